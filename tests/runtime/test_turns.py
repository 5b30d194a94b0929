"""Turns: one at a time, room by room, and others have the loop in between."""

import asyncio
import itertools

import pytest

from frontrow.runtime.turns import TooManyWait, Turns
from tests.support.clock import settle


class Queue:
    """Requests that note when they have their turn."""

    def __init__(self, *, most: int = 64, at_once: int = 1) -> None:
        self.turns = Turns(most=most, at_once=at_once)
        self.order: list[str] = []

    async def request(self, key: str, name: str) -> None:
        async with self.turns.turn(key):
            self.order.append(name)

    def ask(self, *names: str) -> "list[asyncio.Task[None]]":
        return [asyncio.create_task(self.request(name[0], name)) for name in names]


async def test_rooms_take_turns_and_each_keeps_its_order() -> None:
    queue = Queue()
    asked = queue.ask("a1", "a2", "a3", "a4", "b1", "b2", "c1")
    await asyncio.gather(*asked)
    assert queue.order == ["a1", "a2", "b1", "c1", "a3", "b2", "a4"]


async def test_between_two_turns_others_have_the_loop() -> None:
    queue = Queue()
    asked = queue.ask(*(f"a{n}" for n in range(5)))
    had: list[int] = []
    while not all(task.done() for task in asked):
        had.append(len(queue.order))
        await asyncio.sleep(0)
    assert set(range(1, 5)) <= set(had)


async def test_so_many_have_turns_in_one_round_and_never_more() -> None:
    queue = Queue(at_once=3)
    asked = queue.ask(*(f"a{n}" for n in range(10)))
    had = [0]
    while not all(task.done() for task in asked):
        await asyncio.sleep(0)
        had.append(len(queue.order))
    steps = [after - before for before, after in itertools.pairwise(had)]
    assert max(steps) == 3
    assert len(queue.order) == 10
    await settle()
    queue.ask("a10", "a11", "a12", "a13")
    await asyncio.sleep(0)
    assert len(queue.order) == 13  # all turns have come back


async def test_a_room_in_which_too_many_wait_is_told_so_and_others_are_not() -> None:
    queue = Queue(most=2)
    asked = queue.ask("a1", "a2", "a3", "a4", "b1")
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(each) for each in results] == [type(None)] * 3 + [TooManyWait, type(None)]
    assert sorted(queue.order) == ["a1", "a2", "a3", "b1"]


@pytest.mark.parametrize("rounds", range(6))
async def test_whoever_goes_takes_nobodys_turn_with_him(rounds: int) -> None:
    queue = Queue()
    asked = queue.ask("a1", "a2", "b1", "a3")
    for _ in range(rounds):
        await asyncio.sleep(0)
    asked[1].cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    assert {"a1", "b1", "a3"} <= set(queue.order)
    await settle()
    await queue.request("a", "later")
    assert queue.order[-1] == "later"


async def test_a_request_that_fails_passes_its_turn_on() -> None:
    queue = Queue()

    async def fails() -> None:
        async with queue.turns.turn("a"):
            raise ValueError

    failing = asyncio.create_task(fails())
    [good] = queue.ask("a1")
    with pytest.raises(ValueError):  # ours, from three lines above
        await failing
    await good
    assert queue.order == ["a1"]
