"""How many different outcomes there were among positives: several snapshots of a viewer share one."""

from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

REMEMBERED = 100_000


class Distinct:
    """Counts different numbers, of which equal ones come near each other. Remembers the last ``remembered`` of them.

    The snapshots of one outcome mature within one horizon, so what is forgotten does not come again.
    """

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self.count = 0
        # In the order of first sight. A dict of which the front is deleted looks for its new front ever longer.
        self._known: OrderedDict[int, None] = OrderedDict()

    def add(self, number: int) -> bool:
        """Take a number and return whether it is new."""
        if number in self._known:
            return False
        self._known[number] = None
        self.count += 1
        if len(self._known) > self._remembered:
            self._known.popitem(last=False)
        return True

    def state(self) -> NDArray[np.int64]:
        """Return what is remembered, oldest first; ``count`` is the caller's to keep."""
        return np.fromiter(self._known, np.int64, len(self._known))

    def load(self, count: int, known: NDArray[Any]) -> None:
        """Take over a state."""
        self.count, self._known = count, OrderedDict.fromkeys(known.tolist())
