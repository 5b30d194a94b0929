"""How many messages a receiver may be sent, kept exactly, and spent so that bursts do not use it up.

The limit is a sliding window: in any 60 s at most ``per_minute`` messages. A token bucket was rejected, since one of
20 a minute lets 40 through within a minute; counting by calendar minutes does the same at the minute's turn.

Spending is a policy on top. The first half of the window is free. Once half is used, messages are paced: the time
until the window frees again is divided evenly among what is left, so that alerts gather into digests, every few
seconds one, instead of twenty singles at once and then a minute of silence. A message that is full already gains
nothing from waiting and goes as long as the window has room.
"""

import math
from collections import deque
from collections.abc import Iterable

WINDOW_S = 60.0


class Budget:
    """The sliding window of one receiver. Times are seconds of the monotonic clock, never decreasing.

    A message is booked when its sending has *ended*, well or badly, and the next may *begin* 60 s after the end that
    frees its place: whenever within its sending a message really arrived, the receiver sees the limit kept.
    """

    def __init__(
        self, per_minute: int | None, *, per_second: int | None = None, spent: Iterable[float] = ()
    ) -> None:
        if (per_minute is not None and per_minute < 1) or (per_second is not None and per_second < 1):
            raise ValueError("a receiver that takes no message at all cannot have an outbox")
        self._limit = per_minute
        self._gap_s = 0.0 if per_second is None else 1.0 / per_second
        self._ended = deque(sorted(spent))
        self._last = self._ended[-1] if self._ended else -math.inf

    def book(self, at: float) -> None:
        """Count one message whose sending has ended at ``at``."""
        self._last = at
        if self._limit is not None:
            self._ended.append(at)

    def free(self, now: float) -> int | None:
        """Return how many messages may go singly right now, unpaced; None: any number."""
        if self._limit is None:
            return None
        self._forget(now)
        return max(0, (self._limit + 1) // 2 - len(self._ended))

    def left(self, now: float) -> int | None:
        """Return how many messages the window still takes, paced or not; None: any number."""
        if self._limit is None:
            return None
        self._forget(now)
        return max(0, self._limit - len(self._ended))

    def opens_at(self, now: float, *, full: bool) -> float:
        """Return when the next message may begin: ``now``, or later. ``full``: it could not tell of more leads."""
        return max(self._window_opens_at(now, full), self._last + self._gap_s)

    def _window_opens_at(self, now: float, full: bool) -> float:
        if self._limit is None:
            return now
        self._forget(now)
        left = self._limit - len(self._ended)
        if left <= 0:
            # More than the limit may be booked, when the configuration has lowered it since.
            return self._ended[-self._limit] + WINDOW_S
        if full or self.free(now):
            return now
        pace_s = (self._ended[0] + WINDOW_S - self._ended[-1]) / (left + 1)
        return max(now, self._ended[-1] + pace_s)

    def _forget(self, now: float) -> None:
        while self._ended and self._ended[0] + WINDOW_S <= now:
            self._ended.popleft()
