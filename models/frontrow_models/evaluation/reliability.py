"""Whether probabilities mean what they say: log loss, calibration error, calibration ratio, the reliability curve.

Pure functions over arrays of one number per row. ``weights`` are not negative; None means 1 for each. Intervals take
rows as independent; snapshots of one viewer are not, so read them as the least that is unknown, and see
:mod:`frontrow_models.evaluation.paired` for one that resamples rooms. What the rows cannot tell is None.
"""

import math
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Numbers = NDArray[Any]
Matrix = NDArray[np.float64]

FLOOR = 1e-4  # probabilities are read as at least this and at most 1 less this, so one surprise costs at most 9.2 nats
BINS = 15
SURE = 1.959963984540054  # standard deviations of a 95 % interval


class Bin(Struct, frozen=True):
    """Rows of like probability: their mean probability, and the share of outcomes with its 95 % Wilson interval.

    ``weight`` is that of its rows in all; ``count`` Kish's effective number of them, ``(Σw)² / Σw²``, which the
    interval uses.
    """

    weight: float
    count: float
    mean_p: float
    share: float
    low: float
    high: float


class Ratio(Struct, frozen=True):
    """Mean probability over the share of outcomes, with a 95 % interval: above 1 promises too much.

    ``value`` and ``high`` are None where no outcome came: nothing bounds the ratio from above. ``expected`` and
    ``came`` are the sums that it compares.
    """

    expected: float
    came: float
    value: float | None
    low: float
    high: float | None


def log_losses(probabilities: Numbers, outcomes: Numbers, *, floor: float = FLOOR) -> Matrix:
    """Return the log loss of each row in nats, of probabilities clipped to ``floor`` … ``1 - floor``."""
    p = np.clip(np.asarray(probabilities, np.float64), floor, 1.0 - floor)
    result: Matrix = -np.log(np.where(np.asarray(outcomes, bool), p, 1.0 - p))
    return result


def log_loss(
    probabilities: Numbers, outcomes: Numbers, weights: Numbers | None = None, *, floor: float = FLOOR
) -> float | None:
    """Return the weighted mean of :func:`log_losses`, None without rows."""
    return _mean(log_losses(probabilities, outcomes, floor=floor), weights)


def reliability_curve(
    probabilities: Numbers, outcomes: Numbers, weights: Numbers | None = None, *, bins: int = BINS
) -> list[Bin]:
    """Return bins of about equal weight, lowest probabilities first; equal probabilities always share a bin.

    So there may be fewer than ``bins``, down to one for a model that says the same of everybody. Rows without weight
    count nowhere.
    """
    p, y, w = _rows(probabilities, outcomes, weights)
    order = np.argsort(p, kind="stable")
    order = order[w[order] > 0.0]
    if not len(order):
        return []
    p, y, w = p[order], y[order], w[order]
    runs = np.flatnonzero(np.r_[True, p[1:] != p[:-1]])
    middle = np.cumsum(w) - 0.5 * w
    # A run of equal probabilities belongs where its middle lies.
    ends = np.r_[runs[1:], len(p)] - 1
    bin_of = np.floor(0.5 * (middle[runs] + middle[ends]) / w.sum() * bins)
    starts = runs[np.r_[True, bin_of[1:] != bin_of[:-1]]]
    weight = np.add.reduceat(w, starts)
    count = weight * weight / np.add.reduceat(w * w, starts)
    mean_p, share = np.add.reduceat(p * w, starts) / weight, np.add.reduceat(y * w, starts) / weight
    columns = (column.tolist() for column in (weight, count, mean_p, share, *wilson(share, count)))
    return [Bin(*values) for values in zip(*columns, strict=True)]


def wilson(share: Numbers, count: Numbers) -> tuple[Matrix, Matrix]:
    """Return the 95 % score interval of a share of ``count`` rows (Wilson 1927): low and high, within 0 and 1."""
    square = SURE * SURE
    middle = (share + square / (2.0 * count)) / (1.0 + square / count)
    half = (
        SURE
        * np.sqrt(share * (1.0 - share) / count + square / (4.0 * count * count))
        / (1.0 + square / count)
    )
    return np.clip(middle - half, 0.0, share), np.clip(middle + half, share, 1.0)


def calibration_error(curve: list[Bin]) -> float | None:
    """Return the expected calibration error, ``Σ weight_b |mean p_b - share_b| / Σ weight_b``; None without bins.

    Estimated by plugging in, over bins of equal mass (Nixon et al. 2019, "Measuring calibration in deep learning").
    Chance alone makes it positive: a perfect model reaches about ``√(2 bins · p(1-p) / (π n))`` and not 0.
    """
    return _over(curve, [abs(b.mean_p - b.share) for b in curve])


def debiased_calibration_error(curve: list[Bin]) -> float | None:
    """Return :func:`calibration_error` less what chance adds to it, as estimated; may fall below 0. None without bins.

    After Kumar, Liang, Ma 2019 ("Verified uncertainty calibration"), who draw each bin's share from a normal with its
    own spread ``s² = share(1-share)/n`` and subtract by how much that raises the error. Here the mean of that folded
    normal is written out, ``s√(2/π)·exp(-d²/2s²) + d·erf(d/s√2)`` for a gap ``d``, so nothing is drawn.
    Of a perfect model it takes away two fifths of the error, not all: the gap that it starts from is chance already.
    """
    return _over(curve, [2.0 * abs(b.mean_p - b.share) - _expected_gap(b) for b in curve])


def calibration_ratio(
    probabilities: Numbers, outcomes: Numbers, weights: Numbers | None = None, *, shared: float = 1.0
) -> Ratio | None:
    """Return mean probability over mean outcome; None without rows.

    The interval is Wilson's of the share of outcomes, turned over. ``shared`` is how many rows have one outcome in common,
    at least 1: as witnesses they are one.
    """
    p, y, w = _rows(probabilities, outcomes, weights)
    total = float(w.sum())
    if not total > 0.0:
        return None
    expected, came = float((p * w).sum()), float((y * w).sum())
    low, high = wilson(np.array([came / total]), np.array([total * total / (w * w).sum() / shared]))
    return Ratio(
        expected=expected,
        came=came,
        value=expected / came if came > 0.0 else None,
        low=expected / total / float(high[0]),
        high=expected / total / float(low[0]) if low[0] > 0.0 else None,
    )


def _expected_gap(b: Bin) -> float:
    gap = abs(b.mean_p - b.share)
    spread = math.sqrt(max(0.0, b.share * (1.0 - b.share)) / b.count)
    if spread == 0.0:
        return gap
    return spread * math.sqrt(2.0 / math.pi) * math.exp(-0.5 * (gap / spread) ** 2) + gap * math.erf(
        gap / (spread * math.sqrt(2.0))
    )


def _over(curve: list[Bin], gaps: list[float]) -> float | None:
    total = sum(b.weight for b in curve)
    return sum(b.weight * gap for b, gap in zip(curve, gaps, strict=True)) / total if total > 0.0 else None


def _rows(p: Numbers, y: Numbers, w: Numbers | None) -> tuple[Matrix, Matrix, Matrix]:
    weight = np.ones(len(p)) if w is None else np.asarray(w, np.float64)
    return np.asarray(p, np.float64), np.asarray(y, np.float64), weight


def _mean(values: Matrix, weights: Numbers | None) -> float | None:
    if weights is None:
        return float(values.sum() / len(values)) if len(values) else None
    total = float(np.sum(weights))
    return float((values * weights).sum() / total) if total > 0.0 else None
