"""One number per row: as a numpy array for many rows at once, and as a view for one row at a time.

Reading one number of a numpy array costs four times as much as reading it through a memoryview of the same memory. A
frame's viewers are updated through the array, a single viewer through the view.
"""

import mmap
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from frontrow.core import kernel

FIRST_ROWS = 1024
OWN_PAGES = 1 << 20  # bytes from which an array gets pages of its own


def zeros(shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array of zeros, for numbers that stay and grow.

    A large one has pages of its own. It takes memory only where it is written, so that the room ahead costs nothing,
    and all of it goes back as the array is replaced by a larger one. What numpy itself allocates comes from C's heap,
    where arrays of some megabytes leave holes behind as they grow.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if size < OWN_PAGES:
        return np.zeros(shape, dtype)
    # Private, which is not the default: what a forked process writes is its own.
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(pages, dtype).reshape(shape)


def as_list(column: Sequence[Any]) -> list[Any]:
    """Return a column as a list, itself if it is one: what the kernel reads."""
    return column if isinstance(column, list) else list(column)


def count_is(column: Sequence[object], value: Literal[True, False] | None) -> int:
    """Return how often a column holds None, True or False. Of each number and text, a list would ask whether it equals that."""
    if kernel.compiled is not None and isinstance(column, list):
        found: int = kernel.compiled.count_is(column, value)
        return found
    return column.count(value)


def all_same(column: Sequence[str | None]) -> bool:
    """Return whether all values of a column are equal."""
    if kernel.compiled is not None and isinstance(column, list):
        alike: bool = kernel.compiled.all_same(column)
        return alike
    return not column or column.count(column[0]) == len(column)


def whole_numbers(column: Sequence[int | None], others: Sequence[int | None] = ()) -> NDArray[np.int64]:
    """Return the numbers of a column; where one is None, that of ``others`` stands for it, and is none itself.

    Raises:
        OverflowError: One has more than 64 bits.
    """
    if kernel.compiled is not None:
        numbers = np.empty(len(column), np.int64)
        given = as_list(column)
        kernel.compiled.whole_numbers(given, as_list(others) if others else given, numbers)
        return numbers
    if not others or None not in column:
        return np.array(column, np.int64)
    return np.array(
        [other if number is None else number for number, other in zip(column, others, strict=True)], np.int64
    )


class Column:
    """Numbers of one kind by row, 0 (or ``fill``) where nothing was written.

    ``array`` and ``view`` are replaced when the column grows: hold the column, not them.
    """

    __slots__ = ("array", "fill", "view")

    def __init__(self, dtype: DTypeLike, *, fill: int = 0) -> None:
        self.fill = fill
        self.array: NDArray[Any] = np.full(FIRST_ROWS, fill, dtype) if fill else zeros(FIRST_ROWS, dtype)
        self.view: memoryview[Any] = self.array.data

    def __len__(self) -> int:
        return len(self.array)

    def grow(self, rows: int) -> None:
        """Make room for at least so many rows."""
        if rows > len(self.array):
            grown = zeros(rows, self.array.dtype)
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
