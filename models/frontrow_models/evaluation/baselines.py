"""The base rate as it was known when a snapshot was served: the baseline that any probability must beat.

The others of :data:`frontrow_models.evaluation.judging.BASELINES` (points, time since the last comment) are numbers
that the engine has; they ride along as they are.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


class BaseRate:
    """The share of outcomes among mature labels so far, fading, shrunk to ``prior`` while there are few."""

    def __init__(
        self, *, prior: float = 0.03, prior_labels: float = 100.0, half_life: float = 50_000.0
    ) -> None:
        """``half_life`` is in labels; ``prior`` counts as much as ``prior_labels`` labels."""
        self._prior, self._prior_labels = prior, prior_labels
        self._keep = 0.5 ** (1.0 / half_life)
        self._labels = self._positives = 0.0

    @property
    def rate(self) -> float:
        """What to serve now, between 0 and 1."""
        return (self._positives + self._prior_labels * self._prior) / (self._labels + self._prior_labels)

    def learn(self, outcomes: NDArray[Any], weights: NDArray[Any] | None = None) -> None:
        """Take mature outcomes in order, each standing for its weight (None: 1); the cut into calls does not matter."""
        keep, labels, positives = self._keep, self._labels, self._positives
        counts = np.ones(len(outcomes)) if weights is None else weights
        for outcome, count in zip(np.asarray(outcomes, np.float64).tolist(), counts.tolist(), strict=True):
            labels = keep * labels + count
            positives = keep * positives + outcome * count
        self._labels, self._positives = labels, positives

    def state(self) -> list[float]:
        """Return the state as JSON values."""
        return [self._labels, self._positives]

    def load(self, state: list[float]) -> None:
        """Take over a state."""
        self._labels, self._positives = state
