"""Trees that grow while they learn: River's, on the features as they are. Slow, and bounded: they run beside, on samples.

They find what a linear model cannot, that two things mean something only together. A prediction costs some 40 µs for a
tree and 400 µs for a forest of ten, learning three times that (``tests/benchmarks/bench_challengers.py``).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frontrow.core.features import as_mapping
from frontrow_models.challengers import Probabilities

SEED = 20_260_101
MEGABYTES = 32.0  # of a tree, as River estimates it


class _River:
    share = 1.0
    unlearns = False  # a branch that has split cannot be merged again

    def __init__(self, model: Any) -> None:
        self._model = model
        self._learnt = False

    def predict(self, inputs: NDArray[np.float32], words: Sequence[str | None]) -> Probabilities:
        del words
        if not self._learnt:
            return np.full(len(inputs), np.nan)
        said = (self._model.predict_proba_one(as_mapping(row)) for row in inputs.tolist())
        # A leaf that has seen one class only knows no other, and no chance is quite none or quite certain.
        told: Probabilities = np.clip([each.get(True, 0.0) for each in said], 1e-4, 1.0 - 1e-4)
        return told

    def learn(
        self,
        inputs: NDArray[np.float32],
        words: Sequence[str | None],
        outcomes: NDArray[np.bool_],
        weights: Probabilities,
        *,
        looks: int = 0,
    ) -> None:
        del words, looks
        for row, outcome, weight in zip(inputs.tolist(), outcomes.tolist(), weights.tolist(), strict=True):
            self._learn(as_mapping(row), outcome, weight)
            self._learnt = True

    def _learn(self, row: dict[str, float], outcome: bool, weight: float) -> None:
        self._model.learn_one(row, outcome, w=weight)

    def state(self) -> None:
        return None  # made anew from the journal


class Tree(_River):
    """One Hoeffding tree that replaces branches which the world has left (Bifet & Gavaldà 2009)."""

    def __init__(self) -> None:
        from river.tree import HoeffdingAdaptiveTreeClassifier

        super().__init__(HoeffdingAdaptiveTreeClassifier(seed=SEED, max_depth=12, max_size=MEGABYTES))


class Forest(_River):
    """Ten such trees on samples of rows and features (Gomes et al. 2017), and those on a tenth of the snapshots."""

    share = 0.1

    def __init__(self) -> None:
        from river.forest import ARFClassifier

        super().__init__(ARFClassifier(n_models=10, seed=SEED, max_depth=10, max_size=MEGABYTES))

    def _learn(self, row: dict[str, float], outcome: bool, weight: float) -> None:
        # A forest weighs rows by its own draws: whole repetitions instead, and a fraction is dropped.
        for _ in range(max(1, round(weight * self.share))):
            self._model.learn_one(row, outcome)
