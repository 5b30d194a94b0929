"""Quantiles of many times from counts in buckets: small, added up in any order, and right to 2 %.

The idea of DDSketch (Masson, Rim & Lee, *DDSketch: a fast and fully-mergeable quantile sketch*, VLDB 2019): bucket i
holds what lies between γ^(i−1) and γ^i, so a bucket's middle is off by no more than a share of the value. Here the
bounds are whole milliseconds, made once from powers: no logarithm is taken of a value, and every machine puts a time
into the same bucket.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

ACCURACY = 0.02  # of a quantile, relative; below 50 ms it is a whole millisecond
_GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
LONGEST_MS = 31 * 86_400_000  # what is longer counts as this


def _bounds() -> list[int]:
    bounds, power = [0], 1.0
    while bounds[-1] < LONGEST_MS:
        power *= _GAMMA
        bounds.append(min(LONGEST_MS, max(bounds[-1] + 1, round(power))))
    return bounds


_BOUNDS = _bounds()
_TABLE: NDArray[np.int64] = np.array(_BOUNDS, np.int64)
BUCKETS = len(_BOUNDS)  # bucket 0 holds 0 ms, and whatever is less


def buckets_of(times_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of the bucket of each time."""
    return np.minimum(np.searchsorted(_TABLE, times_ms), BUCKETS - 1)


def counted(times_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many times each bucket holds; as long as there are buckets."""
    return np.bincount(buckets_of(times_ms), minlength=BUCKETS)


def as_json(counts: NDArray[np.int64]) -> dict[str, int]:
    """Return the buckets that hold something; keys are texts, as JSON has them."""
    filled = np.flatnonzero(counts)
    return {str(bucket): int(counts[bucket]) for bucket in filled.tolist()}


def from_json(kept: Mapping[str, int]) -> NDArray[np.int64]:
    """Return counts by bucket again."""
    counts = np.zeros(BUCKETS, np.int64)
    for bucket, count in kept.items():
        counts[int(bucket)] += count
    return counts


def merged(sketches: Iterable[Mapping[str, Any]]) -> dict[int, int]:
    """Return the counts by bucket of several sketches together."""
    total: dict[int, int] = {}
    for sketch in sketches:
        for bucket, count in sketch.items():
            total[int(bucket)] = total.get(int(bucket), 0) + count
    return total


def quantile(counts: Mapping[int, int], share: float) -> float | None:
    """Return the time (ms) at or below which ``share`` (0 to 1) of all lie, by nearest rank; None: there are none."""
    total = sum(counts.values())
    if not total:
        return None
    passed = 0
    for bucket in sorted(counts):
        passed += counts[bucket]
        if passed >= share * total:
            break
    low, high = _BOUNDS[max(0, bucket - 1)] + 1 if bucket else 0, _BOUNDS[bucket]
    return float(high) if low >= high else (low + high) / 2
