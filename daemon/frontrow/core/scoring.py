"""Scoring with a frozen copy of a linear model's weights: arrays in, logits and their exact parts out.

River's pipeline ``StandardScaler | LogisticRegression`` predicts one dictionary at a time. The same arithmetic over
columns, products summed column by column in the order of the features, gives the same bits for any number of rows;
a matrix product would not (its order of summation depends on the shape).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

# Standard deviations, of which none is below a unit of the logarithm (so e² times the usual count, or more): further
# out an input says no more. Who clicks sixteen times is no hotter than who clicks four times, and more likely to be
# paid for it.
CLIP = 2.0
SATURATED = 30.0  # River's scalar sigmoid is exactly 0 or 1 beyond this logit


@dataclass(frozen=True)
class Weights:
    """An immutable copy of a scaler and a linear model, to be read by anybody at any time.

    All arrays have one number per feature, in the order of :data:`frontrow.core.features.NAMES`. ``scales`` are
    standard deviations; 0 means that the feature has not varied yet, and then it counts as 0, as in River.
    """

    means: Matrix
    scales: Matrix
    weights: Matrix
    intercept: float

    def scaled(self, inputs: Matrix) -> Matrix:
        """Return the inputs as the model sees them: centred, in standard deviations, clipped; same shape."""
        varied = self.scales > 0.0
        result: Matrix = np.where(varied, (inputs - self.means) / np.where(varied, self.scales, 1.0), 0.0)
        return np.clip(result, -CLIP, CLIP)

    def parts(self, inputs: Matrix) -> Matrix:
        """Return what each feature adds to the logit; shape (rows, features). With the intercept they sum to it."""
        result: Matrix = self.scaled(inputs) * self.weights
        return result

    def logits(self, inputs: Matrix) -> Matrix:
        """Return the raw logit of each row of ``inputs``; shape (rows,)."""
        return self.summed(self.parts(inputs))

    def summed(self, parts: Matrix) -> Matrix:
        """Return the raw logit of each row of which :meth:`parts` gave the parts; shape (rows,)."""
        total: Matrix = np.zeros(len(parts))
        for column in parts.T:
            total += column
        return total + self.intercept

    def probabilities(self, inputs: Matrix) -> Matrix:
        """Return the probability of the outcome for each row; shape (rows,), each from 0 to 1."""
        return sigmoid(self.logits(inputs))


def sigmoid(logits: Matrix) -> Matrix:
    """Return River's scalar sigmoid of each logit: exactly 0 or 1 beyond :data:`SATURATED`."""
    bounded = np.clip(logits, -SATURATED, SATURATED)
    result: Matrix = 1.0 / (1.0 + np.exp(-bounded))
    result[logits > SATURATED] = 1.0
    result[logits < -SATURATED] = 0.0
    return result
