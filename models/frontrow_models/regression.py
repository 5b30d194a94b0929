"""Logistic regression by AdaGrad, one lesson after another: River's arithmetic, to the bit, without its dictionaries.

    g = weight · ∂(log loss)/∂(logit),      d = g · x + l2 · w
    S ← S + d²,      w ← w - rate / √(S + first) · d,      intercept ← intercept - its rate · g

(Duchi, Hazan & Singer 2011, as ``river.linear_model.LogisticRegression`` with ``river.optim.AdaGrad`` computes it.)
River spends two thirds of a lesson on its dictionaries; here the numbers stand in lists, in the order of the
features. Each operation is the one that River does, in its order: also ``d ** 2`` and ``** 0.5``, which the
platform's ``pow`` rounds otherwise than ``d * d`` and ``sqrt`` once in 1,000 to 2,500 times. A test learns with both
and compares bits.

What serves is the running mean of the weights and of the intercept, by the lesson,

    m ← m + max(1 / memory, 8 / (n + 8)) · (w - m),      n the lessons so far

(Polyak & Juditsky 1992; newer ones weigh more, as Shamir & Zhang 2013). One buyer's ten looks in a row throw w
towards that buyer, who has bought already; the mean takes it up as far as it lasts. The descent itself goes on from
w, as River's does.

Rejected: the same over numpy rows, which is a third faster for 33 features, has no such ``pow`` and so drifts from River by last
bits; and steps of several lessons at once, which are another algorithm: each lesson's slope depends on the step
before. Where there is the compiled kernel (:mod:`frontrow.core.kernel`) its loop goes the same steps, with the same
``pow``.
"""

from collections.abc import Sequence
from math import exp

import numpy as np
from numpy.typing import NDArray

from frontrow.core import kernel

FLAT = 18.0  # logits beyond which River takes the log loss for a straight line on one side and an exponential on the other
YOUNG = 8.0  # a model's means go back an eighth of its lessons until that is its memory: what began wrong is soon left behind


class Regression:
    """Weights, their sums of squared gradients, and an intercept, with the means that serve; one number per feature, in their order.

    Whoever holds it may read and replace all of them between steps. Not thread-safe.
    """

    __slots__ = (
        "_first", "_l2", "_least", "_rate", "intercept", "iterations", "mean_intercept", "mean_weights", "squares",
        "weights",
    )  # fmt: skip

    def __init__(
        self, features: int, *, rate: float, l2: float, first: float, intercept: float, memory: float = 1.0
    ) -> None:
        """``rate`` is AdaGrad's; ``first`` stands in for squared gradients before the first lesson.

        ``memory`` is how many lessons the means go back, at least 1: then they are the weights, but for last bits.
        """
        self._rate, self._l2, self._first, self._least = rate, l2, first, 1.0 / memory
        self.weights = [0.0] * features
        self.squares = [0.0] * features
        self.mean_weights = [0.0] * features
        self.intercept = self.mean_intercept = intercept
        self.iterations = 0

    def step(self, inputs: Sequence[float], outcome: bool, weight: float, intercept_rate: float) -> None:
        """Learn one lesson; ``inputs`` are scaled, and they and the weight are finite.

        River clips slopes at 1e12, which none reaches whose weight is below that.
        """
        weights, squares, means = self.weights, self.squares, self.mean_weights
        rate, l2, first = self._rate, self._l2, self._first
        self.iterations += 1
        share = max(self._least, YOUNG / (self.iterations + YOUNG))
        total = 0.0
        for x, w in zip(inputs, weights, strict=True):
            total += x * w
        g = slope(total + self.intercept, outcome) * weight
        self.intercept -= intercept_rate * g
        self.mean_intercept += share * (self.intercept - self.mean_intercept)
        for place, x in enumerate(inputs):
            w = weights[place]
            d = x * g + w * l2
            squares[place] = s = squares[place] + d**2.0
            weights[place] = w = w - rate / (s + first) ** 0.5 * d
            means[place] += share * (w - means[place])

    def steps(
        self,
        inputs: NDArray[np.float64],
        outcomes: NDArray[np.bool_],
        counts: NDArray[np.float64],
        intercept_rates: NDArray[np.float64],
    ) -> None:
        """Learn many lessons, one after another, as :meth:`step` does; ``inputs`` are of the shape (lessons, features)."""
        if kernel.compiled is None:
            lessons = zip(
                inputs.tolist(), outcomes.tolist(), counts.tolist(), intercept_rates.tolist(), strict=True
            )
            for row, outcome, count, intercept_rate in lessons:
                self.step(row, outcome, count, intercept_rate)
            return
        weights, squares, means = np.array(self.weights), np.array(self.squares), np.array(self.mean_weights)
        self.intercept, self.mean_intercept = kernel.compiled.regression_steps(
            weights,
            squares,
            means,
            self.intercept,
            self.mean_intercept,
            self.iterations,
            np.ascontiguousarray(inputs, np.float64),
            np.ascontiguousarray(outcomes, np.bool_),
            np.ascontiguousarray(counts, np.float64),
            np.ascontiguousarray(intercept_rates, np.float64),
            (self._rate, self._l2, self._first, self._least),
        )
        self.weights, self.squares, self.mean_weights = weights.tolist(), squares.tolist(), means.tolist()
        self.iterations += len(outcomes)


def slope(logit: float, outcome: bool) -> float:
    """Return the derivative of the log loss by the logit: probability minus outcome, as River computes it."""
    margin = logit if outcome else -logit
    if margin > FLAT:
        size = exp(-margin)
    elif margin < -FLAT:
        size = 1.0
    else:
        size = 1.0 / (exp(margin) + 1.0)
    return -size if outcome else size
