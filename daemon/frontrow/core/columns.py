"""One number per row: as a numpy array for many rows at once, and as a view for one row at a time.

Reading one number of a numpy array costs four times as much as reading it through a memoryview of the same memory. A
frame's viewers are updated through the array, a single viewer through the view.
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

FIRST_ROWS = 1024


class Column:
    """Numbers of one kind by row, 0 (or ``fill``) where nothing was written.

    ``array`` and ``view`` are replaced when the column grows: hold the column, not them.
    """

    __slots__ = ("array", "fill", "view")

    def __init__(self, dtype: DTypeLike, *, fill: int = 0) -> None:
        self.fill = fill
        self.array: NDArray[Any] = np.full(FIRST_ROWS, fill, dtype) if fill else np.zeros(FIRST_ROWS, dtype)
        self.view: memoryview[Any] = self.array.data

    def __len__(self) -> int:
        return len(self.array)

    def grow(self, rows: int) -> None:
        """Make room for at least so many rows."""
        if rows > len(self.array):
            # zeros() takes memory that is not there until it is written, so the room ahead costs nothing yet.
            grown = np.zeros(rows, self.array.dtype)
            grown[: len(self.array)] = self.array
            if self.fill:
                grown[len(self.array) :] = self.fill
            self.array = grown
            self.view = grown.data

    def load(self, numbers: NDArray[Any]) -> None:
        """Take over numbers from an image, from row 0 on."""
        self.grow(len(numbers))
        self.array[: len(numbers)] = numbers
        self.array[len(numbers) :] = self.fill


def capacity_for(rows: int) -> int:
    """Return for how many rows to make room when ``rows`` are needed: a half more, so that copies stay rare."""
    return max(FIRST_ROWS, rows + rows // 2)
