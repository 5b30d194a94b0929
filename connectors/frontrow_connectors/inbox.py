"""From a connection that reads in bulk to the intake: what the WebSocket and the MQTT client share.

The connection's callback puts whole lists of messages into an :class:`Inbox`, and one task, :func:`deliver`, puts
their events into the intake in batches. A call of the intake for every single message would cost more than reading,
decoding and scoring it.

What is bounded, and what happens at the bound:

- messages read and not yet delivered: the connection stops reading, so that TCP holds the other side back;
- events of this feed that are not yet durable: nothing is delivered until some are, so that a feed that floods takes
  a share of the intake's queue and not all of it, and the others wait behind that share at most.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

from frontrow.core.events import Event
from frontrow.core.ports import Receipt
from frontrow_connectors.contract import FeedContext

# Decoded at once, some 4 ms of the loop; so many messages may also wait before the reading stops.
MAX_BATCH = 1_024
MAX_BATCH_BYTES = 262_144
MAX_WAITING_BYTES = 1_048_576  # of messages that wait; what one more read brings comes on top
# Events and acknowledgements of one feed that wait for the disk: what two commits take.
MAX_IN_FLIGHT = 16_384

M = TypeVar("M")
A = TypeVar("A")


class Reading(Protocol):
    """What can be told to read no more for now: an asyncio transport."""

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def is_closing(self) -> bool: ...


class Inbox(Generic[M]):
    """What one connection has read and nobody has taken yet.

    ``beats`` counts whatever shows that the connection works or that a silence is ours: data that came, and every
    stop and start of the reading. Where it stands still, the other side is silent.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._waiting: list[M] = []
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._ended = False
        self.paused = False
        self.beats = 0

    def receive(self, messages: Sequence[M], size: int) -> None:
        """Take what one read brought: messages in order, and how many bytes it had. Never waits."""
        self.beats += 1
        if not messages or self._ended:
            return
        self._waiting += messages
        self._bytes += size
        if len(self._waiting) >= MAX_BATCH or self._bytes >= MAX_WAITING_BYTES:
            self._pause()
        self._arrived.set()

    def end(self) -> None:
        """Say that nothing more is wanted or will come; what waits can still be taken. Idempotent."""
        self._ended = True
        self._arrived.set()
        self._resume()  # for the other side's goodbye, which a connection that is being closed waits for

    async def take(self) -> list[M]:
        """Return the oldest messages; none: the connection is over and all were taken.

        One at least, and at most ``MAX_BATCH`` and about ``MAX_BATCH_BYTES``, by the mean size of those that wait.
        """
        while not self._waiting and not self._ended:
            self._arrived.clear()
            await self._arrived.wait()
        waiting = len(self._waiting)
        count = min(MAX_BATCH, max(1, waiting * MAX_BATCH_BYTES // max(1, self._bytes)))
        taken = self._waiting[:count]
        del self._waiting[:count]
        self._bytes -= self._bytes * len(taken) // max(1, waiting)
        if not self._waiting:
            self._resume()
        return taken

    def _pause(self) -> None:
        if not self.paused and not self._reading.is_closing():
            self._reading.pause_reading()
            self.paused = True

    def _resume(self) -> None:
        if self.paused:
            self.paused = False
            self.beats += 1
            if not self._reading.is_closing():
                self._reading.resume_reading()


class _InFlight(Generic[A]):
    """Batches put and not yet durable, in order."""

    def __init__(self) -> None:
        self._batches: asyncio.Queue[tuple[Awaitable[Receipt] | None, int, Sequence[A]]] = asyncio.Queue()
        self._weight = 0
        self._room = asyncio.Event()

    async def add(self, receipt: Awaitable[Receipt] | None, weight: int, acks: Sequence[A]) -> None:
        """Note a batch; return when there is room for the next."""
        self._weight += weight
        self._batches.put_nowait((receipt, weight, acks))  # bounded by the weights
        while self._weight >= MAX_IN_FLIGHT:
            self._room.clear()
            await self._room.wait()

    async def settle(self, acknowledge: Callable[[Sequence[A]], Awaitable[None]]) -> None:
        """Acknowledge each batch when it is durable and all before it are, until cancelled."""
        while True:
            receipt, weight, acks = await self._batches.get()
            if receipt is not None:
                await receipt
            if acks:
                await acknowledge(acks)
            self._weight -= weight
            self._room.set()


async def deliver(
    context: FeedContext,
    inbox: Inbox[M],
    decode: Callable[[Sequence[M]], tuple[Sequence[Event], Sequence[A]]],
    acknowledge: Callable[[Sequence[A]], Awaitable[None]],
) -> None:
    """Put what comes into the intake until the connection is over, and acknowledge it in order once it is durable.

    ``decode`` gives the events of some messages and what to acknowledge for them; it counts what it cannot take.
    ``acknowledge`` does not raise when the connection is lost: what it could not say will come again.
    """
    in_flight: _InFlight[A] = _InFlight()
    async with asyncio.TaskGroup() as tasks:
        settling = tasks.create_task(in_flight.settle(acknowledge), name=f"feed[{context.feed}].acknowledge")
        try:
            while messages := await inbox.take():
                events, acks = decode(messages)
                receipt = await context.put(events) if events else None
                if events or acks:
                    await in_flight.add(receipt, len(events) + len(acks), acks)
                # An intake with room takes a batch without waiting; the others need their turn all the same.
                await asyncio.sleep(0)
        finally:
            settling.cancel()
