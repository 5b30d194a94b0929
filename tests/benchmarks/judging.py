"""How scores of snapshots are judged against what happened: exact measures, and how sure they are.

A score is any number per snapshot, higher for those who are more likely to buy; equal scores share what they get. The
measures are those of scikit-learn to the last digits that matter (``roc_auc_score``, ``average_precision_score``), here
with weights per block, so that one sorting serves a thousand resamples.

Intervals are from a block bootstrap: whole broadcasts are drawn with replacement, since snapshots of one broadcast
share its viewers, its mood and its hour. Differences are paired: both scores are judged on the same draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frontrow_models.evaluation.ranking import precision_at

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Whole = NDArray[np.int64]

TOP = 10  # viewers an hour who are looked at
MEASURES = ("ROC AUC", "PR AUC", f"precision@{TOP}")


@dataclass(frozen=True, slots=True)
class Field:
    """The snapshots that all scores are judged on, one line each.

    ``block`` is the broadcast, ``hour`` the hour of it in which the snapshot was served (from 0), ``viewer`` whose it
    is; all are numbers that only have to differ.
    """

    outcome: Flags
    block: Whole
    hour: Whole
    viewer: Whole

    @property
    def blocks(self) -> list[int]:
        """Every broadcast, once, in order."""
        return sorted(set(self.block.tolist()))


def among(field: Field, where: Flags) -> Field:
    """Return some lines of a field."""
    return Field(field.outcome[where], field.block[where], field.hour[where], field.viewer[where])


class Judgement:
    """One score, judged: the measures over all blocks, or over any draw of them."""

    def __init__(self, field: Field, score: Floats) -> None:
        """``score`` has one finite number per snapshot of ``field``."""
        self._blocks = field.blocks
        order = np.argsort(-score, kind="stable")
        ordered = score[order]
        self._block = np.searchsorted(self._blocks, field.block)[order]
        self._outcome = field.outcome[order]
        self._ends = np.append(
            np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1
        )  # of equal scores
        hours = [_hours(field, score, block) for block in self._blocks]
        self._hits = np.array([sum(found) for found in hours])
        self._hours = np.array([len(found) for found in hours], np.float64)

    def measures(self, draw: Whole | None = None) -> Floats:
        """Return :data:`MEASURES`; ``draw`` says how often each block counts, in the order of blocks, None: once each.

        A measure that has nothing to stand on (no positive, no hour of enough viewers) is NaN.
        """
        times = np.ones(len(self._blocks), np.int64) if draw is None else draw
        weight = times[self._block]
        positive = np.cumsum(weight * self._outcome)[self._ends].astype(np.float64)
        negative = np.cumsum(weight * ~self._outcome)[self._ends].astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.array([
                _area(negative / negative[-1], positive / positive[-1]),
                _average_precision(positive, negative),
                (times @ self._hits) / (times @ self._hours),
            ])  # fmt: skip


def draws(blocks: int, count: int, seed: int = 0) -> Whole:
    """Return ``count`` draws of so many blocks with replacement, as how often each one comes; shape (count, blocks)."""
    drawn = np.random.default_rng(seed).integers(0, blocks, (count, blocks))
    return np.array([np.bincount(each, minlength=blocks) for each in drawn], np.int64)


def interval(values: Floats, share: float = 0.95) -> tuple[Floats, Floats]:
    """Return the lower and upper ends between which ``share`` of the draws lie, per column; NaN draws are left out."""
    tail = (1.0 - share) / 2.0
    low, high = np.nanquantile(values, [tail, 1.0 - tail], axis=0)
    return low, high


def sampled(judgement: Judgement, drawn: Whole) -> Floats:
    """Return the measures of each draw; shape (draws, measures)."""
    return np.array([judgement.measures(draw) for draw in drawn])


def _area(across: Floats, up: Floats) -> float:
    """Return the area under a line that begins at the origin: trapezoids, so equal scores count half."""
    across, up = np.append(0.0, across), np.append(0.0, up)
    return float(np.sum(np.diff(across) * (up[1:] + up[:-1]) / 2.0))


def _average_precision(positive: Floats, negative: Floats) -> float:
    """Return the mean precision over the positives: steps, not trapezoids, which would flatter (Davis, Goadrich 2006)."""
    seen = np.maximum(positive + negative, 1.0)  # where a draw leaves a block out, there is nothing yet
    gained = np.diff(np.append(0.0, positive))
    return float(np.sum(gained * positive / seen) / positive[-1])


def _hours(field: Field, score: Floats, block: int) -> list[float]:
    """Return the precision among the :data:`TOP` viewers of each hour of a broadcast that has as many, as the daemon judges."""
    of_block = np.flatnonzero(field.block == block)
    _, found, shown = precision_at(
        TOP, score[of_block], field.outcome[of_block], field.hour[of_block], field.viewer[of_block]
    )
    precision: list[float] = found[shown == TOP].tolist()
    return precision


def ratio_of_means(probability: Floats, outcome: Flags) -> float:
    """Return mean probability over mean outcome: 1 is calibrated in the large."""
    return float(probability.mean() / outcome.mean())


def cells(values: Sequence[float] | Floats, low: Floats, high: Floats) -> list[str]:
    """Return each measure with its interval, for a table."""
    return [
        f"{value:.4f} [{lower:+.4f}, {upper:+.4f}]"
        if lower < 0
        else f"{value:.4f} [{lower:.4f}, {upper:.4f}]"
        for value, lower, upper in zip(values, low, high, strict=True)
    ]
