"""What a feed under test is given, and what it did with it."""

import asyncio
import random
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field

from frontrow.core.events import Event, RoomRef
from frontrow.core.ports import Clock, Receipt
from frontrow.runtime.intake import NotStored, QueueFull
from frontrow_connectors.contract import FeedContext, FeedState, FeedStatus


@dataclass
class RecordingIntake:
    """Takes everything; the test decides when it is durable (at once, unless ``hold`` is set)."""

    events: list[Event] = field(default_factory=list)
    statuses: list[FeedStatus] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    hold: bool = False
    held: list[tuple[asyncio.Future[Receipt], int]] = field(default_factory=list)

    async def put(self, events: Sequence[Event]) -> Awaitable[Receipt]:
        return self.offer(events)

    def offer(self, events: Sequence[Event]) -> Awaitable[Receipt]:
        self.events.extend(events)
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        if self.hold:
            self.held.append((future, len(events)))
        else:
            future.set_result(Receipt(accepted=len(events), duplicates=0))
        return future

    def make_durable(self) -> None:
        """Tell the feed that all it has put so far is on disk."""
        for future, count in self.held:
            if not future.done():
                future.set_result(Receipt(accepted=count, duplicates=0))
        self.held.clear()

    def context(self, clock: Clock, *, room: RoomRef, feed: str = "test-feed", seed: int = 7) -> FeedContext:
        return FeedContext(
            feed=feed,
            room=room,
            clock=clock,
            rng=random.Random(seed),
            put=self.put,
            offer=self.offer,
            status=self.statuses.append,
            reject=self.rejected.append,
        )

    async def until(self, count: int, *, patience_s: float = 10.0) -> list[Event]:
        """Wait until at least ``count`` events came, and return all."""
        async with asyncio.timeout(patience_s):
            while len(self.events) < count:
                await asyncio.sleep(0.002)
        return self.events

    async def until_state(self, state: FeedState, *, times: int = 1, patience_s: float = 10.0) -> FeedStatus:
        """Wait until the feed has said ``state`` so many times, and return the last such status."""
        async with asyncio.timeout(patience_s):
            while sum(status.state is state for status in self.statuses) < times:
                await asyncio.sleep(0.002)
        return [status for status in self.statuses if status.state is state][-1]


class FailedIntake:
    """The intake of a daemon whose journal has failed: ``closed``, or what is put cannot be stored."""

    def __init__(self, *, closed: bool) -> None:
        self._closed = closed

    async def put(self, events: Sequence[Event], *, feed: str) -> Awaitable[Receipt]:
        return self.offer(events, feed=feed)

    def offer(self, events: Sequence[Event], *, feed: str) -> Awaitable[Receipt]:
        if self._closed:
            raise QueueFull
        done: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        done.set_exception(NotStored())
        return done
