"""What viewers say, without a lexicon: a linear model over hashed runs of characters of the last comment.

It finds words that nobody has put into a lexicon, homophones and typos among them. Words are personal, so the champion
must not depend on them: a replay after somebody's words were destroyed would give other leads. So this one stays a
challenger; what it is worth says whether the lexicon needs more words.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frontrow_models.challengers import Probabilities

BUCKETS = 1 << 16
LONGEST = 3  # characters of a run
READ = 64  # characters of a comment


def runs(words: str) -> dict[int, float]:
    """Return the hashed runs of one to three characters of a comment, each once, together of length 1."""
    text = words[:READ].casefold()
    found = {
        zlib.crc32(text[start : start + length].encode("utf-8", "surrogatepass")) % BUCKETS
        for length in range(1, LONGEST + 1)
        for start in range(len(text) - length + 1)
    }
    size = len(found) ** -0.5 if found else 0.0
    return dict.fromkeys(sorted(found), size)  # sorted: a sum of floats must not depend on the order of a set


class Text:
    """Logistic regression with AdaGrad, so that rare runs learn in large steps."""

    share = 1.0
    unlearns = True

    def __init__(self) -> None:
        from river import linear_model, optim

        self._model: Any = linear_model.LogisticRegression(optim.AdaGrad(0.3), l2=0.0, intercept_lr=0.02)
        self._learnt = False

    def predict(self, inputs: NDArray[np.float32], words: Sequence[str | None]) -> Probabilities:
        del inputs
        if not self._learnt:
            return np.full(len(words), np.nan)
        return np.array([self._model.predict_proba_one(runs(each or ""))[True] for each in words])

    def learn(
        self,
        inputs: NDArray[np.float32],
        words: Sequence[str | None],
        outcomes: NDArray[np.bool_],
        weights: Probabilities,
        *,
        looks: int = 0,
    ) -> None:
        del inputs, looks
        for each, outcome, weight in zip(words, outcomes.tolist(), weights.tolist(), strict=True):
            self._model.learn_one(runs(each or ""), outcome, w=weight)
            self._learnt = True

    def state(self) -> Mapping[str, Any] | None:
        return None  # it reads words, which no champion may
