"""All that is said of one served column over some rows: the same function judges offline and over a rolling window."""

from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from frontrow_models.evaluation.ranking import average_precision, precision_at, roc_auc
from frontrow_models.evaluation.reliability import (
    Bin,
    Ratio,
    calibration_error,
    calibration_ratio,
    debiased_calibration_error,
    log_loss,
    reliability_curve,
)

Numbers = NDArray[Any]

SHOWN = 10  # how many a host looks at


class Column(Struct, frozen=True):
    """A number that was served with each snapshot. ``probability``: it is one; else it only orders."""

    name: str
    probability: bool = True


# What a model must beat. The last is minus the seconds since the viewer's last comment.
BASELINES = (Column("base_rate"), Column("points", probability=False), Column("recency", probability=False))


class Judged(Struct, frozen=True):
    """A column's metrics over mature labels. None: the rows cannot tell (too few, one class, or no probability).

    ``left_out`` rows had no finite number in this column and are in none of the metrics. ``outcomes`` are distinct.
    ``precision`` is the mean over room-hours, each counting once, of the precision among the ``SHOWN`` best viewers
    of it, each by the highest score that was served of them in that hour.
    """

    column: str
    labels: int
    left_out: int
    positives: int
    outcomes: int
    roc_auc: float | None
    pr_auc: float | None
    precision: float | None
    room_hours: int
    log_loss: float | None
    calibration_error: float | None
    debiased_calibration_error: float | None
    ratio: Ratio | None
    curve: list[Bin]


def judge(
    column: Column,
    scores: Numbers,
    outcomes: Numbers,
    groups: Numbers,
    causes: Numbers,
    viewers: Numbers,
    *,
    weights: Numbers | None = None,
    k: int = SHOWN,
) -> Judged:
    """Judge one column.

    ``groups`` are room-hours, ``causes`` numbers of outcomes (below 0: none) and ``viewers`` those of viewers, as
    integers. ``weights`` are how many each row stands for, None: one. Counts are of rows, and the precision is that
    of the rows that are there: who would have been among the best of all cannot be told from a sample.
    """
    good = np.isfinite(scores)
    left_out = len(good) - int(good.sum())
    if left_out:
        scores, outcomes, groups, causes = scores[good], outcomes[good], groups[good], causes[good]
        viewers = viewers[good]
        weights = None if weights is None else weights[good]
    keys, precision, _ = precision_at(k, scores, outcomes, groups, viewers)
    curve = reliability_curve(scores, outcomes, weights) if column.probability else []
    positives = int(np.count_nonzero(outcomes))
    known = causes[causes >= 0]
    different = len(np.unique(known))
    # A positive of no number is an outcome of its own.
    shared = max(1.0, positives / max(1, different + positives - len(known)))
    return Judged(
        column=column.name,
        labels=len(scores),
        left_out=left_out,
        positives=positives,
        outcomes=different,
        roc_auc=roc_auc(scores, outcomes, weights),
        pr_auc=average_precision(scores, outcomes, weights),
        precision=float(precision.mean()) if len(keys) else None,
        room_hours=len(keys),
        log_loss=log_loss(scores, outcomes, weights) if column.probability else None,
        calibration_error=calibration_error(curve),
        debiased_calibration_error=debiased_calibration_error(curve),
        ratio=calibration_ratio(scores, outcomes, weights, shared=shared) if column.probability else None,
        curve=curve,
    )
