"""The time of a running daemon: never backward, whatever the machine's clock does."""

from frontrow.core.ports import Clock
from frontrow.core.times import Arrivals


class SteadyClock:
    """A clock whose wall time never runs backward, whatever the machine's does; see :class:`Arrivals` for the rule."""

    def __init__(self, clock: Clock, latest: int) -> None:
        """``latest`` is the latest time of an earlier run, UTC ms; 0: there was none."""
        self._clock = clock
        self._arrivals = Arrivals(latest)

    def now(self) -> int:
        return self._arrivals.stamp(self._clock.now(), self._clock.monotonic())

    def monotonic(self) -> float:
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
