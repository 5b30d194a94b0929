"""Random numbers that are the same for ever: everything is made of ``random.Random.random``.

It is the only method whose sequence Python promises to keep for a seed, so nothing else of :mod:`random` is used.
The transcendental functions come from the C library, whose last bits may differ; what they give is cut to whole
milliseconds before it is seen. Floats are added up by ``math.fsum`` or one by one: ``sum`` changed in Python 3.12.
"""

import math
import random
from bisect import bisect_right
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """One stream of random numbers, named by ``key``; streams of different keys do not disturb each other.

    A key of text is hashed by SHA-512 inside ``random.Random``, not by ``hash``, so PYTHONHASHSEED does not matter.
    """

    __slots__ = ("random",)

    def __init__(self, *key: object) -> None:
        self.random = random.Random("/".join(map(str, key))).random

    def pick(self, items: Sequence[T]) -> T:
        """Return one of ``items``, each with the same chance."""
        return items[int(self.random() * len(items))]

    def weighted(self, items: Sequence[T], cumulative: Sequence[float]) -> T:
        """Return one of ``items`` by weights given as running sums."""
        return items[self.index(cumulative)]

    def index(self, cumulative: Sequence[float]) -> int:
        """Return a position by weights given as running sums."""
        # min: rounding may put the product at the very top of the last sum
        return min(bisect_right(cumulative, self.random() * cumulative[-1]), len(cumulative) - 1)

    def chance(self, probability: float) -> bool:
        return self.random() < probability

    def whole(self, low: int, high: int) -> int:
        """Return a whole number from ``low`` to ``high``, both possible."""
        return low + int(self.random() * (high - low + 1))

    def exponential(self, mean: float) -> float:
        return -mean * math.log(1.0 - self.random())

    def normal(self) -> float:
        """Return a standard normal number (Box and Muller 1958; the second of the pair is not used)."""
        return math.sqrt(self.exponential(2.0)) * math.cos(2.0 * math.pi * self.random())


def running_sums(weights: Sequence[float]) -> list[float]:
    """Return the weights as running sums, for :meth:`Dice.index`."""
    sums: list[float] = []
    total = 0.0
    for weight in weights:
        total += weight
        sums.append(total)
    return sums
