"""How sure figures are: intervals by resampling whole broadcasts, since the labels of one are no independent witnesses."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frontrow_models.evaluation.judging import SHOWN
from frontrow_models.evaluation.keys import room_hours
from frontrow_models.evaluation.paired import ALPHA, bootstrap
from frontrow_models.evaluation.ranking import average_precision, precision_at, roc_auc
from frontrow_models.evaluation.rolling import Rows

REPLICATES = 200  # enough for the second digit of a bound, at 50,000 labels some seconds a column

SEED = 0

Interval = tuple[float, float]
Numbers = NDArray[Any]


def intervals(
    place: int, rows: Rows, blocks: NDArray[Any], *, replicates: int = REPLICATES
) -> dict[str, Interval | None]:
    """Return by name of figure its 95 % interval over resampled ``blocks``, integers, one per row.

    ``place`` is the column's among the served. None: there are fewer than two blocks, or most resamples cannot tell.
    """
    good = np.isfinite(rows.served[:, place])
    scores, outcomes, known = rows.served[good, place], rows.outcomes[good], blocks[good]
    hours = room_hours(rows.rooms, rows.served_at)[good]
    keys, precision, _ = precision_at(SHOWN, scores, outcomes, hours, rows.viewers[good])
    _, first = np.unique(hours, return_index=True)  # a room-hour lies in the block in which it begins

    order = np.argsort(scores, kind="stable")  # so that no resample is to be sorted again
    scores, outcomes = scores[order], outcomes[order]
    names, which = np.unique(known[order], return_inverse=True)

    def of_rows(statistic: Callable[[Numbers, Numbers, Numbers], float | None]) -> Interval | None:
        if len(names) < 2:
            return None
        dice = np.random.default_rng(SEED)
        found = [
            statistic(scores, outcomes, np.bincount(drawn, minlength=len(names))[which])
            for drawn in (dice.integers(0, len(names), len(names)) for _ in range(replicates))
        ]
        told = [value for value in found if value is not None]
        if 2 * len(told) < replicates:
            return None
        low, high = np.quantile(told, [ALPHA / 2.0, 1.0 - ALPHA / 2.0])
        return float(low), float(high)

    return {
        "roc_auc": of_rows(roc_auc),
        "pr_auc": of_rows(average_precision),
        "precision": bootstrap(precision, np.ones(len(keys)), known[first]),
        "ratio": of_rows(_ratio),
    }


def _ratio(scores: Numbers, outcomes: Numbers, weights: Numbers) -> float | None:
    came = float((outcomes * weights).sum())
    return float((scores * weights).sum()) / came if came > 0.0 else None
