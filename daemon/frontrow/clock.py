"""The one place that reads the machine's clock."""

import asyncio
import time


class SystemClock:
    """The machine's own time; see :class:`frontrow.core.ports.Clock` for the contract."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
