"""The champion's own kind at other rates: one that forgets slowly, and one that follows quickly."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frontrow_models.challengers import Probabilities
from frontrow_models.online import ModelOptions, OnlineModel


class Linear:
    """An :class:`OnlineModel` on trial: what it has become can be made a version and promoted."""

    share = 1.0
    unlearns = True

    def __init__(self, options: ModelOptions) -> None:
        self._model = OnlineModel(options)

    def predict(self, inputs: NDArray[np.float32], words: Sequence[str | None]) -> Probabilities:
        del words
        given = inputs.astype(np.float64)
        parts: list[Probabilities] = [np.zeros(0)]
        while len(given):  # in parts between which the scaler is taken over
            count = self._model.unchanged_for
            parts.append(self._model.weights().probabilities(given[:count]))
            self._model.observe(given[:count])
            given = given[count:]
        said = np.concatenate(parts)
        return said if self._model.labels else np.full(len(inputs), np.nan)

    def learn(
        self,
        inputs: NDArray[np.float32],
        words: Sequence[str | None],
        outcomes: NDArray[np.bool_],
        weights: Probabilities,
        *,
        looks: int = 0,
    ) -> None:
        del words
        self._model.learn(inputs, outcomes, weights, looks=looks)

    def state(self) -> Mapping[str, Any]:
        return self._model.state()


class Slow(Linear):
    """A quarter of the champion's rate: better where nothing changes."""

    def __init__(self) -> None:
        super().__init__(ModelOptions(learning_rate=0.005, intercept_rate=0.0005))


class Fast(Linear):
    """Four times the champion's rate: better where everything does."""

    def __init__(self) -> None:
        super().__init__(ModelOptions(learning_rate=0.08, intercept_rate=0.01))
