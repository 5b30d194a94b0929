"""A clock that tests move by hand."""

import asyncio
import heapq
import itertools


class ManualClock:
    """Fits :class:`frontrow.core.ports.Clock`. Time stands still until :meth:`advance`."""

    def __init__(self, now_ms: int = 1_750_000_000_000) -> None:
        self._now_ms = float(now_ms)
        self._monotonic = 1_000.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> int:
        return int(self._now_ms)

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic + seconds, next(self._order), future))
        await future

    @property
    def sleeping(self) -> int:
        """How many tasks wait on this clock."""
        return sum(not future.done() for _, _, future in self._sleepers)

    def step_wall(self, milliseconds: int) -> None:
        """Set the wall clock forth or back, as an administrator or NTP would; nobody wakes."""
        self._now_ms += milliseconds

    async def advance(self, seconds: float) -> None:
        """Let time pass: wake each sleeper at its time, in order, and let what it starts run."""
        end = self._monotonic + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, future = heapq.heappop(self._sleepers)
            self._pass_to(due)
            if not future.done():
                future.set_result(None)
            await settle()
        self._pass_to(end)
        await settle()

    async def until_sleeping(self, tasks: int = 1, *, patience_s: float = 5.0) -> None:
        """Wait (in real time, for real sockets) until so many tasks wait on this clock."""
        async with asyncio.timeout(patience_s):
            while self.sleeping < tasks:
                await asyncio.sleep(0.001)

    def _pass_to(self, monotonic: float) -> None:
        passed = monotonic - self._monotonic
        if passed > 0:
            self._now_ms += passed * 1_000.0
            self._monotonic = monotonic


async def settle() -> None:
    """Let every task that can run go on until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)
