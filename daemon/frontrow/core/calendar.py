"""Numbers that wait for their times: a calendar queue.

(Brown: "Calendar Queues", CACM 1988.) Times of one bucket lie together, unsorted; buckets are few and in a heap. So
to put a number down and to take it costs some hundred nanoseconds, and it takes eight bytes while it waits.
"""

from array import array
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

_BITS = 12  # of a bucket's length: 4,096 ms
_LENGTH = 1 << _BITS
_WITHIN = _LENGTH - 1
MOST = 1 << (63 - _BITS)  # numbers lie below


class Calendar:
    """Whole numbers, each with a time in milliseconds. Not thread-safe."""

    def __init__(self) -> None:
        # Each entry is a number and how far into the bucket its time is, as one number.
        self._buckets: dict[int, array[int]] = {}
        self._order: list[int] = []  # a heap of the buckets

    def add(self, times: NDArray[np.int64], numbers: NDArray[np.int64]) -> None:
        """Let numbers, from 0 to :data:`MOST`, wait for their times."""
        entries = (numbers << _BITS | times & _WITHIN).tolist()
        for bucket, entry in zip((times >> _BITS).tolist(), entries, strict=True):
            held = self._buckets.get(bucket)
            if held is None:
                held = self._buckets[bucket] = array("q")
                heappush(self._order, bucket)
            held.append(entry)

    def due(self, now: int) -> bool:
        """Return whether a number waits whose time is before ``now``."""
        if not self._order or self._order[0] > (now - 1) >> _BITS:
            return False
        first, last = self._order[0], now - 1
        return first < last >> _BITS or any(
            entry & _WITHIN <= last & _WITHIN for entry in self._buckets[first]
        )

    def take(self, now: int) -> NDArray[np.int64]:
        """Return the numbers whose times are before ``now``, in no order, and forget them."""
        last, found = now - 1, list[NDArray[np.int64]]()
        while self._order and self._order[0] < last >> _BITS:
            found.append(np.array(self._buckets.pop(heappop(self._order)), np.int64))
        if self._order and self._order[0] == last >> _BITS:
            held = np.array(self._buckets[self._order[0]], np.int64)
            come = held & _WITHIN <= last & _WITHIN
            found.append(held[come])
            if come.all():
                del self._buckets[heappop(self._order)]
            elif come.any():
                self._buckets[self._order[0]] = array("q", held[~come].tolist())
        return np.concatenate([np.zeros(0, np.int64), *found]) >> _BITS
