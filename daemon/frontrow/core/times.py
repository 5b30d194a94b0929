"""Which times are believed, where a clock or a sender may be wrong. Pure: what it is told decides, not a clock.

Engine time only ever moves forward, so one time far in the future would stop it: marks, labels and ends of sessions
would wait until the world has caught up. Two sources move it, and each has its rule here. In files the lines bear
witness for one another (:func:`leaps`). A live daemon stamps arrivals by its own clock (:class:`Arrivals`), and an
event's own time counts as no later than its arrival. Bounds of the times themselves are in
:mod:`frontrow.core.events`; a time that lies far back is kept, since late events and old recordings are real.
"""

from collections.abc import Sequence

LEAP_MS = 24 * 3_600_000  # further ahead at one step, a time needs others that agree
WITNESSES = 8  # following times that are asked
UNSEEN_LEAP_MS = 366 * LEAP_MS  # a leap with nothing behind it that could agree is believed up to here
BELIEF_S = 60.0  # for how long a clock must show a leap before it is followed
_BEHIND_PACE = 0.5  # of real time, while the clock is behind what it showed before


def leaps(times: Sequence[int], count: int, latest: int | None) -> list[int]:
    """Return which of the first ``count`` times (UTC ms, in the order of a file) run ahead of all that follows.

    A time more than a day ahead of the latest one before it, or the first at all, is a leap. It is not believed where
    most of the ``WITNESSES`` times behind it are more than a day earlier than it, or where none is behind it and it is
    ahead by more than a year. ``latest`` is the latest believed time so far, None before the first. What stands in
    ``times`` from ``count`` on only bears witness.
    """
    found: list[int] = []
    for position in range(count):
        at = times[position]
        if latest is not None and at <= latest + LEAP_MS:
            latest = max(latest, at)
            continue
        following = times[position + 1 : position + 1 + WITNESSES]
        behind = sum(later < at - LEAP_MS for later in following)
        unseen = not following and latest is not None and at > latest + UNSEEN_LEAP_MS
        if 2 * behind > len(following) or unseen:
            found.append(position)
        else:
            latest = at
    return found


class Arrivals:
    """Stamps arrivals: never backward, and not after a clock that leaps ahead until it has kept to that for a minute.

    While the clock is behind what it showed before (it was set back), stamps go on at half pace until it has caught up,
    so that what waits for engine time still happens. Not thread-safe.
    """

    def __init__(self, latest: int = 0) -> None:
        """``latest`` is the latest time of an earlier run, UTC ms; 0: there was none."""
        self._latest = float(latest)
        self._at_s: float | None = None  # monotonic, of the last stamp
        self._doubted_since_s: float | None = None

    def stamp(self, now: int, monotonic_s: float) -> int:
        """Return the arrival time of what arrives as the clock shows ``now`` (UTC ms)."""
        if self._at_s is None:  # how long the daemon was off nobody knows, so the clock is believed
            self._latest = max(self._latest, float(now))
        else:
            passed_ms = max(0.0, monotonic_s - self._at_s) * 1_000.0
            if self._believes(now, passed_ms, monotonic_s):
                self._latest = max(float(now), self._latest + _BEHIND_PACE * passed_ms)
            else:
                self._latest += passed_ms
        self._at_s = monotonic_s
        return int(self._latest)

    def _believes(self, now: int, passed_ms: float, monotonic_s: float) -> bool:
        if now <= self._latest + passed_ms + LEAP_MS:
            self._doubted_since_s = None
            return True
        if self._doubted_since_s is None:
            self._doubted_since_s = monotonic_s
        return monotonic_s - self._doubted_since_s >= BELIEF_S
