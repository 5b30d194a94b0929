"""How sure a probability is: of those who were told about the same, how many had the outcome, with its interval.

The bins of :mod:`frontrow_models.evaluation.reliability` hold equal numbers of rows, so nearly all of them lie where
nearly everybody is, near zero, and the few whom a host looks at share the last one. Here each probability has a bin
of its own: the rows within :data:`NEAR` of its logit. Their mean is not quite the probability, since they lie denser
to one side; the interval of their share is moved by as much as the two differ, in logits.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frontrow_models.evaluation.reliability import FLOOR, wilson

Numbers = NDArray[Any]

NEAR = 0.25  # of a logit, to either side: 38 % is compared with 32 % to 44 %
LEAST = 30.0  # rows that witness independently; of fewer the interval would span most of what is possible


class Alike:
    """Mature labels by the probability that was shown. Immutable, may be read by anybody."""

    def __init__(self, probabilities: Numbers, outcomes: Numbers, causes: Numbers) -> None:
        """``causes`` number the outcomes, below 0: a positive without one is an outcome of its own. Probabilities that
        are not finite were shown to nobody and are left out."""
        good = np.isfinite(probabilities)
        p, y, cause = probabilities[good], np.asarray(outcomes[good], np.bool_), causes[good]
        order = np.argsort(p, kind="stable")
        self._p = p[order]
        self._sums = np.concatenate(([0.0], np.cumsum(p[order])))
        self._came = np.concatenate(([0], np.cumsum(y[order])))
        known = cause[y & (cause >= 0)]
        distinct = len(np.unique(known)) + int(np.count_nonzero(y)) - len(known)
        # Snapshots of one viewer who buys are positives together: so many rows are one witness.
        self._clump = max(1.0, float(np.count_nonzero(y)) / distinct) if distinct else 1.0

    def interval(self, probability: float) -> tuple[float, float] | None:
        """Return the 95 % Wilson interval of the share of outcomes among those alike; None where there are too few."""
        logit = _logit(probability)
        low, high = np.searchsorted(self._p, [_sigmoid(logit - NEAR), _sigmoid(logit + NEAR)]).tolist()
        count = high - low
        if count < LEAST * self._clump:
            return None
        share = float(self._came[high] - self._came[low]) / count
        lowest, highest = wilson(np.array([share]), np.array([count / self._clump]))
        moved = logit - _logit(float(self._sums[high] - self._sums[low]) / count)
        return _moved(float(lowest[0]), moved), _moved(float(highest[0]), moved)


def _moved(bound: float, by: float) -> float:
    return bound if bound in (0.0, 1.0) else _sigmoid(_logit(bound) + by)


def _logit(probability: float) -> float:
    p = min(1.0 - FLOOR, max(FLOOR, probability))
    return math.log(p) - math.log1p(-p)


def _sigmoid(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-logit))
