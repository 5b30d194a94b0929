"""Exact additive reasons: one viewer's logit as a sum of parts, one per feature, raw and calibrated, with words.

    raw logit        =      intercept + Σ parts
    calibrated logit = a · (intercept + Σ parts) + bend + b,      b: the bias, the room's own, and its level now

so with every part times a, and the intercept a·intercept + bend + b, the reasons of the number that people see sum to
it as exactly: what high numbers are bent by belongs to no feature, but to all of them together. Nothing is estimated:
a linear model's parts are its own.
"""

import math

from msgspec import Struct

from frontrow.core.features import NAMES
from frontrow.core.scoring import Matrix, Weights, sigmoid
from frontrow_models.calibration import Calibration
from frontrow_models.words import INTERCEPT, LANGUAGES, phrase


class Part(Struct, frozen=True):
    """What one feature adds: ``logit`` to the raw logit, ``calibrated`` to the calibrated one.

    ``value`` is what it counts, faded (``expm1`` of the model's input); ``words`` say it, by language, and never
    whether it speaks for or against: that is the sign.
    """

    name: str
    value: float
    logit: float
    calibrated: float
    words: dict[str, str]


class Explanation(Struct, frozen=True):
    """Why a probability is what it is.

    ``raw_logit`` is ``intercept`` and all parts' ``logit``, ``logit`` is ``calibrated_intercept`` and all parts'
    ``calibrated``, each within 1e-9; ``probability`` is the sigmoid of ``logit``. The calibrated ones are ``slope``
    times the raw ones, to the intercept ``bias`` and ``bend`` are added: what the place is worth, and what so high a
    number is worth less. ``parts`` are all features', the largest first; ``words`` are the intercept's.
    """

    raw_logit: float
    intercept: float
    slope: float
    bias: float
    bend: float
    logit: float
    calibrated_intercept: float
    probability: float
    words: dict[str, str]
    parts: list[Part]


def explain(
    weights: Weights, calibration: Calibration, inputs: Matrix, room: str, level: float = 0.0
) -> Explanation:
    """Return the reasons of one row of ``inputs``, shape (1, features), in its room ("platform/room"), which is at a level now."""
    raw = weights.logits(inputs)
    logit = calibration.logits(raw, [room], level)
    bias, bend = float(calibration.biases([room])[0] + level), float(calibration.bends(raw)[0])
    slope = calibration.slope
    parts = [
        Part(
            name=name,
            value=math.expm1(value),
            logit=part,
            calibrated=slope * part,
            words={language: phrase(name, value, language) for language in LANGUAGES},
        )
        for name, value, part in zip(
            NAMES, inputs[0].tolist(), weights.parts(inputs)[0].tolist(), strict=True
        )
    ]
    return Explanation(
        raw_logit=float(raw[0]),
        intercept=weights.intercept,
        slope=slope,
        bias=bias,
        bend=bend,
        logit=float(logit[0]),
        calibrated_intercept=slope * weights.intercept + bend + bias,
        probability=float(sigmoid(logit)[0]),
        words={language: INTERCEPT[language] for language in LANGUAGES},
        parts=sorted(
            parts, key=lambda part: -abs(part.logit)
        ),  # stable: equal ones stay in the features' order
    )
