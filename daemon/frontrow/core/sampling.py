"""Choices by hash: of what is to be kept when not all can be, and of whom to show for the sake of learning.

A choice is a function of names and times, so that every replay chooses the same, in any frames and with any hash
seed. Nobody can foresee it from outside who does not know the platform's ids, and nothing depends on it but the
choice itself.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_HALVINGS = 20
_UNIT = 2.0**-64


def chances(names: Iterable[str]) -> NDArray[np.float64]:
    """Return for each name a number that is as if drawn evenly from [0, 1), and always the same; a microsecond each."""
    hashed = hashlib.blake2b
    drawn = b"".join(
        [hashed(name.encode("utf-8", "surrogatepass"), digest_size=8).digest() for name in names]
    )
    return np.frombuffer(drawn, ">u8").astype(np.float64) * _UNIT


def evenly(numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return for each number ≥ 0 one that is as if drawn evenly from [0, 1), and always the same; some nanoseconds each.

    The last step of SplitMix64 (Steele, Lea & Flood: "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
    """
    mixed = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E37_79B9_7F4A_7C15)
    mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58_476D_1CE4_E5B9)
    mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D0_49BB_1331_11EB)
    result: NDArray[np.float64] = ((mixed ^ mixed >> np.uint64(31)) >> np.uint64(11)).astype(np.float64)
    return result * 2.0**-53


def halvings(held: int, more: int, bound: int, expected: float) -> int:
    """Return how often the share of ``more`` that is kept is halved when ``held`` of ``bound`` are held already; 0: all.

    ``expected`` is how many come, kept or not, in the time for which each one is held. The share is known before it
    is chosen who is kept, so that whoever is kept stands for 2**halvings, without bias (Horvitz & Thompson 1952). It
    spends the room that is left over half of that time: a steady stream of too many comes to rest at two thirds of
    the bound, and a sudden one leaves a seventh of the room at the end. Rejected: a share that follows the room alone
    (it fell to nothing within the first hour of a steady stream), and reservoirs, which drop what may have been
    learnt already.
    """
    room, found = max(0, bound - held), 0
    while found < MOST_HALVINGS and expected / 2.0**found > 2.0 * room:
        found += 1
    if more > room:
        while found < MOST_HALVINGS and more / 2.0**found > room / 2.0:
            found += 1
    return found


def weights(halved: NDArray[Any]) -> NDArray[np.float32]:
    """Return for how many one stands who was kept with a share halved so often."""
    found: NDArray[np.float32] = np.exp2(halved.astype(np.float32))
    return found
