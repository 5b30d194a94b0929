"""How well scores order people: exact ROC AUC, average precision, precision among the K shown. Pure functions.

Exact, since an approximation by thresholds lies where positives are rare: with 0.4 % of them River's default ``ROCAUC``
gives 0.51 for a model whose area is 0.81. Scores may be probabilities or anything else that orders; equal scores are
equal, and no metric depends on how rows with equal scores happen to lie.

All arrays have one number per row. ``weights`` are not negative; None means 1 for each. What the rows cannot tell is
None, never a number.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[Any]
Matrix = NDArray[np.float64]


def roc_auc(scores: Numbers, outcomes: Numbers, weights: Numbers | None = None) -> float | None:
    """Return the chance that a positive stands above a negative, a tie counting half (Mann & Whitney 1947).

    None without at least one positive and one negative of some weight. Without weights it is exact: sums of halves.
    """
    positive, negative = _by_score(scores, outcomes, weights)
    pairs = positive.sum() * negative.sum()
    if not pairs > 0.0:
        return None
    below = np.cumsum(negative) - negative
    return float((positive * (below + 0.5 * negative)).sum() / pairs)


def average_precision(scores: Numbers, outcomes: Numbers, weights: Numbers | None = None) -> float | None:
    """Return the area under precision over recall as a step function, ``Σ (R_i - R_(i-1)) P_i`` from the top down.

    Rows of one score enter together. None without a positive. The base rate is what a blind order reaches.
    """
    positive, negative = _by_score(scores, outcomes, weights)
    found = np.cumsum(positive[::-1])
    if not len(found) or not found[-1] > 0.0:
        return None
    shown = found + np.cumsum(negative[::-1])
    precision = np.divide(found, shown, out=np.zeros_like(found), where=shown > 0.0)
    return float((positive[::-1] * precision).sum() / found[-1])


def precision_at(
    k: int, scores: Numbers, outcomes: Numbers, groups: Numbers, people: Numbers | None = None
) -> tuple[Numbers, Matrix, NDArray[np.int64]]:
    """Return of each group (in ascending order): its key, the precision among the K best, and how many were shown.

    ``groups`` are integers, a room-hour as a rule. ``people`` are integers too: whose the rows are; each is shown
    once, as :func:`best_of_each` says. None: each row is somebody else's. A group of fewer than K shows all it has.
    Where the K-th place is shared by equal scores, each of those counts by its chance to be drawn for it, so points
    with many ties are judged by what they promise on average, and not by luck.

    Raises:
        ValueError: If ``k`` is below 1.
    """
    if k < 1:
        raise ValueError(f"precision among the first {k}: at least 1 is needed")
    if not len(scores):
        return np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64)
    if people is not None:
        groups, scores, outcomes = best_of_each(people, scores, outcomes, groups)
    order = np.lexsort((-np.asarray(scores, np.float64), groups))
    group, score, outcome = groups[order], scores[order], np.asarray(outcomes, np.float64)[order]
    fresh = np.r_[True, group[1:] != group[:-1]]
    starts = np.flatnonzero(fresh)
    sizes = np.diff(np.r_[starts, len(group)])
    runs = np.flatnonzero(fresh | np.r_[True, score[1:] != score[:-1]])
    lengths = np.diff(np.r_[runs, len(group)])
    rank = runs - np.repeat(starts, sizes)[runs]  # places that are taken before this run of equal scores
    share = np.clip((k - rank) / lengths, 0.0, 1.0)
    hits = np.add.reduceat(outcome * np.repeat(share, lengths), starts)
    shown = np.minimum(sizes, k).astype(np.int64)
    return group[starts], hits / shown, shown


def best_of_each(
    people: Numbers, scores: Numbers, outcomes: Numbers, groups: Numbers
) -> tuple[Numbers, Matrix, Matrix]:
    """Return of each person in each group (in ascending order): the group, their highest score, and what came of it.

    A list shows a viewer once, while a room-hour has several snapshots of them. Where several of these have the
    highest score, what came of it is the share of them with an outcome.
    """
    if not len(scores):
        return np.zeros(0, np.int64), np.zeros(0), np.zeros(0)
    order = np.lexsort((-np.asarray(scores, np.float64), people, groups))
    group, person, score = groups[order], people[order], np.asarray(scores, np.float64)[order]
    starts = np.flatnonzero(np.r_[True, (group[1:] != group[:-1]) | (person[1:] != person[:-1])])
    highest = score == np.repeat(score[starts], np.diff(np.r_[starts, len(order)]))
    came = np.add.reduceat(np.where(highest, np.asarray(outcomes, np.float64)[order], 0.0), starts)
    return group[starts], score[starts], came / np.add.reduceat(highest.astype(np.float64), starts)


def _by_score(scores: Numbers, outcomes: Numbers, weights: Numbers | None) -> tuple[Matrix, Matrix]:
    """Return the weight of positives and of negatives at each distinct score, lowest first."""
    outcome = np.asarray(outcomes, np.float64)
    weight = np.ones(len(outcome)) if weights is None else np.asarray(weights, np.float64)
    if not len(outcome):
        return np.zeros(0), np.zeros(0)
    order = np.argsort(scores, kind="stable")
    score = scores[order]
    starts = np.flatnonzero(np.r_[True, score[1:] != score[:-1]])
    positive: Matrix = np.add.reduceat((outcome * weight)[order], starts)
    negative: Matrix = np.add.reduceat(((1.0 - outcome) * weight)[order], starts)
    return positive, negative
