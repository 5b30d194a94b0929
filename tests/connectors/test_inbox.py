"""Between a connection that reads in bulk and the intake: order, bounds, and acknowledgements after the commit."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from frontrow.core.events import Event
from frontrow_connectors import inbox as inbox_module
from frontrow_connectors.inbox import MAX_BATCH, MAX_BATCH_BYTES, MAX_WAITING_BYTES, Inbox, deliver
from tests.connectors.samples import ROOM, event
from tests.support.clock import ManualClock, settle
from tests.support.feeds import RecordingIntake


class Reading:
    """Notes whether a connection is read."""

    def __init__(self) -> None:
        self.on = True
        self.closing = False

    def pause_reading(self) -> None:
        self.on = False

    def resume_reading(self) -> None:
        self.on = True

    def is_closing(self) -> bool:
        return self.closing


async def test_messages_come_in_order_and_never_more_at_once_than_may_hold_up_the_loop() -> None:
    inbox: Inbox[int] = Inbox(Reading())
    inbox.receive(range(MAX_BATCH + 10), 1)
    inbox.receive(range(MAX_BATCH + 10, MAX_BATCH + 20), 1)
    inbox.end()
    assert await inbox.take() == list(range(MAX_BATCH))
    assert await inbox.take() == list(range(MAX_BATCH, MAX_BATCH + 20))
    assert await inbox.take() == []


async def test_large_messages_come_a_few_at_a_time() -> None:
    """A message may hold a thousand events, and the loop has others to serve."""
    inbox: Inbox[int] = Inbox(Reading())
    inbox.receive(range(10), 5 * MAX_BATCH_BYTES)
    inbox.receive(range(10, 11), 3 * MAX_BATCH_BYTES)
    inbox.end()
    sizes = []
    while taken := await inbox.take():
        sizes.append(len(taken))
    assert sum(sizes) == 11
    assert max(sizes) == 1


@pytest.mark.parametrize(("messages", "size"), [(MAX_BATCH, 1), (1, MAX_WAITING_BYTES)])
async def test_too_much_that_waits_stops_the_reading_by_number_and_by_bytes(messages: int, size: int) -> None:
    reading = Reading()
    inbox: Inbox[int] = Inbox(reading)
    inbox.receive(range(messages), size)
    assert not reading.on
    await inbox.take()
    assert reading.on


async def test_a_connection_that_is_closing_is_neither_stopped_nor_started() -> None:
    """asyncio's transports do not like it."""
    reading = Reading()
    inbox: Inbox[int] = Inbox(reading)
    inbox.receive(range(MAX_BATCH), 1)
    reading.closing = True
    await inbox.take()
    assert not reading.on


async def test_after_the_end_nothing_more_is_taken_in_and_the_goodbye_can_be_read() -> None:
    reading = Reading()
    inbox: Inbox[int] = Inbox(reading)
    inbox.receive(range(MAX_BATCH), 1)
    inbox.end()
    inbox.receive([1], 1)
    assert reading.on
    assert len(await inbox.take()) == MAX_BATCH
    assert await inbox.take() == []


class Server:
    """Sends numbered events, and notes which numbers were acknowledged."""

    def __init__(self, intake: RecordingIntake) -> None:
        self.inbox: Inbox[int] = Inbox(Reading())
        self.acknowledged: list[int] = []
        self._context = intake.context(ManualClock(), room=ROOM)

    def decode(self, numbers: Sequence[int]) -> tuple[list[Event], list[int]]:
        """A negative number is an empty message that wants an acknowledgement."""
        return [event(str(number)) for number in numbers if number >= 0], list(numbers)

    async def acknowledge(self, numbers: Sequence[int]) -> None:
        self.acknowledged += numbers

    @asynccontextmanager
    async def delivering(self) -> AsyncIterator["asyncio.Task[None]"]:
        task = asyncio.create_task(deliver(self._context, self.inbox, self.decode, self.acknowledge))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_batches_are_acknowledged_in_order_each_when_it_and_all_before_it_are_durable() -> None:
    intake = RecordingIntake(hold=True)
    server = Server(intake)
    async with server.delivering():
        for numbers in ([1, 2], [-3], [4]):
            server.inbox.receive(numbers, 1)
            await settle()
        assert [each.id for each in intake.events] == ["1", "2", "4"]
        first, last = (future for future, _ in intake.held)
        last.set_result(None)  # type: ignore[arg-type]  # the receipt is not looked at
        await settle()
        assert server.acknowledged == []
        first.set_result(None)  # type: ignore[arg-type]
        await settle()
        assert server.acknowledged == [1, 2, -3, 4]


async def test_what_is_not_durable_bounds_what_is_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow disk must not let acknowledgements pile up; the rest stays with the sender."""
    monkeypatch.setattr(inbox_module, "MAX_IN_FLIGHT", 10)
    intake = RecordingIntake(hold=True)
    server = Server(intake)
    async with server.delivering():
        for number in range(50):
            server.inbox.receive([number], 1)
            await settle()
        assert len(intake.events) == 5  # an event and an acknowledgement each
        intake.make_durable()
        await settle()
        assert len(intake.events) == 50


async def test_empty_messages_that_want_acknowledgements_are_bounded_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A sender of garbage waits behind its first event like any other."""
    monkeypatch.setattr(inbox_module, "MAX_IN_FLIGHT", 10)
    intake = RecordingIntake(hold=True)
    server = Server(intake)
    async with server.delivering():
        for number in (1, *range(-50, 0)):
            server.inbox.receive([number], 1)
            await settle()
        assert len(server.inbox._waiting) >= 40


async def test_what_arrived_before_the_end_is_delivered() -> None:
    intake = RecordingIntake()
    server = Server(intake)
    async with server.delivering() as task:
        server.inbox.receive(range(3 * MAX_BATCH), 1)
        server.inbox.end()
        await asyncio.wait_for(task, 5)
    assert len(intake.events) == 3 * MAX_BATCH


async def test_others_have_their_turn_between_two_batches() -> None:
    """An intake with room never makes a feed wait, so the feed must let go of the loop by itself."""
    intake = RecordingIntake()
    server = Server(intake)
    seen: list[int] = []

    async def other() -> None:
        while len(intake.events) < 4 * MAX_BATCH:
            seen.append(len(intake.events))
            await asyncio.sleep(0)

    async with server.delivering():
        server.inbox.receive(range(4 * MAX_BATCH), 1)
        await asyncio.wait_for(other(), 5)
    assert {MAX_BATCH, 2 * MAX_BATCH, 3 * MAX_BATCH} <= set(seen)
