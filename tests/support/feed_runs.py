"""Running a feed under test: at once reconnecting, always stopped."""

import asyncio
import dataclasses
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from frontrow.core.events import Event
from frontrow.core.ports import Receipt
from frontrow_connectors.contract import Feed, FeedContext
from tests.support.feeds import RecordingIntake


class Eager(random.Random):
    """Draws the shortest wait, so that a test need not move the clock to see a reconnection."""

    def uniform(self, a: float, b: float) -> float:
        return a


class GatedIntake(RecordingIntake):
    """An intake that is full while ``free`` is cleared."""

    def __init__(self) -> None:
        super().__init__()
        self.free = asyncio.Event()
        self.free.set()

    async def put(self, events: Sequence[Event]) -> Awaitable[Receipt]:
        await self.free.wait()
        return await super().put(events)


def eager(context: FeedContext) -> FeedContext:
    return dataclasses.replace(context, rng=Eager(7))


@asynccontextmanager
async def running(feed: Feed) -> AsyncIterator["asyncio.Task[None]"]:
    """Run a feed as the daemon does, and stop it as a shutdown does."""
    task = asyncio.create_task(feed.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error


async def until(true: Callable[[], bool], *, patience_s: float = 10.0) -> None:
    """Wait in real time, for real sockets, until something is so."""
    async with asyncio.timeout(patience_s):
        while not true():
            await asyncio.sleep(0.002)
