"""Ids that are forgotten give their memory back, and forgetting changes nothing of what is known."""

import random
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.core import seen as module
from frontrow.core.frames import Frame
from frontrow.core.seen import HOUR_MS, SeenIds
from tests.support.rooms import START, event

DAY = 24


def frame(names: list[str], hour: int, room: str = "r1") -> Frame:
    """Return likes with these ids that arrived in an hour from the start."""
    at = START + hour * HOUR_MS
    return Frame.of(
        [event("like", id=name, room=room, at=at, seen_at=at) for name in names], [0] * len(names)
    )


@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from(["r1", "r2", "多"]), st.integers(0, 9), st.integers(0, 5)), max_size=12
        ),
        max_size=8,
    )
)
def test_the_compiled_way_knows_the_same(
    kernel_present: None, frames: list[list[tuple[str, int, int]]]
) -> None:
    """Ids come twice within a frame, in two rooms, again later, and from before the hour."""
    ways = SeenIds(dedupe_ms=DAY * HOUR_MS), SeenIds(dedupe_ms=DAY * HOUR_MS)
    ways[1]._kernel = None
    for number, events in enumerate(frames):
        told = []
        for seen in ways:
            some = [
                event("like", id=f"i{id}", room=room, at=START + number * 900_000 + at)
                for room, id, at in events
            ]
            found = seen.take(Frame.of(some, [0] * len(some)))
            told.append(
                (found, seen._now, {room: list(known.items()) for room, known in seen._rooms.items()})
            )
        # Stamps are told apart, not compared: one way may have asked for more of them.
        (one, now, known), (other, also, also_known) = told
        assert (one, now) == (other, also)
        assert {room: [name for name, _ in ids] for room, ids in known.items()} == {
            room: [name for name, _ in ids] for room, ids in also_known.items()
        }


def bytes_of(seen: SeenIds) -> int:
    """Return what the tables take, without the strings."""
    return sum(map(sys.getsizeof, seen._rooms.values()))


@pytest.mark.parametrize("rooms", [["r1"], ["r1", "r2"]])
def test_a_room_that_goes_quiet_gives_its_memory_back(rooms: list[str]) -> None:
    """The table of a great evening would else stay as large as it was for as long as somebody says something there."""
    seen = SeenIds(dedupe_ms=DAY * HOUR_MS)
    for room in rooms:
        for hour in range(4):  # a great evening
            seen.take(frame([f"{hour}-{number}" for number in range(50_000)], hour, room))
    at_most = bytes_of(seen)
    for hour in range(4, 40):
        for room in rooms:
            seen.take(frame([f"{hour}-quiet"], hour, room))
    assert len(seen) == (DAY + 1) * len(rooms)
    assert bytes_of(seen) < at_most / 1_000
    for room in rooms:
        assert seen.take(frame(["39-quiet", "15-quiet", "0-1"], 39, room)) == [0, 1]


def test_it_is_not_copied_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a room that is as busy every hour, what comes takes the place of what is forgotten."""
    monkeypatch.setattr(module, "SPARE_BYTES", 0)
    seen = SeenIds(dedupe_ms=DAY * HOUR_MS)
    seen.take(frame(["first"], 0))
    [table] = seen._rooms.values()
    for hour in range(5 * DAY):
        seen.take(frame([f"{hour}-{number}" for number in range(100)], hour))
    assert list(seen._rooms.values()) == [table]
    assert seen._rooms["test", "r1"] is table


def test_a_room_of_which_nothing_is_known_any_more_takes_nothing() -> None:
    seen = SeenIds(dedupe_ms=DAY * HOUR_MS)
    for room in range(100):
        seen.take(frame(["a", "b"], 0, f"r{room}"))
    seen.take(frame(["a"], DAY + 2, "other"))
    assert list(seen._rooms) == [("test", "other")]
    assert seen.take(frame(["a"], DAY + 2, "r7")) == []


@pytest.mark.parametrize("seed", range(10))
def test_what_is_known_does_not_depend_on_when_a_table_is_copied(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after an image, which has the ids in their order."""
    dice = random.Random(seed)
    frames = []
    hour = 0
    for _ in range(300):
        hour += dice.choices((0, 1, 5, 30), (80, 15, 4, 1))[0]
        names = [f"{dice.randrange(400)}" for _ in range(dice.randrange(1, 40))]
        frames.append(frame(names, hour, dice.choice(("r1", "r2"))))
    told = []
    for wide, spare in ((0, 0), (200, 0), (200, 10**9)):  # always, when it is worth it, never
        monkeypatch.setattr(module, "WIDE_BYTES", wide)
        monkeypatch.setattr(module, "SPARE_BYTES", spare)
        seen = SeenIds(dedupe_ms=DAY * HOUR_MS)
        found = [seen.take(each) for each in frames[:200]]
        again = SeenIds(dedupe_ms=DAY * HOUR_MS)
        again.load(seen.image())
        found += [again.take(each) for each in frames[200:]]
        told.append(found)
    assert told[0] == told[1] == told[2]
    assert any(told[0])
