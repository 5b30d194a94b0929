"""The metrics are their definitions: each is held against a slow one that is written down as the textbook has it."""

from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontrow_models.evaluation.intervals import intervals
from frontrow_models.evaluation.judging import Column, judge
from frontrow_models.evaluation.keys import block_keys, outcome_keys, room_hours, room_keys
from frontrow_models.evaluation.latency import NEVER, hot_to_outcome
from frontrow_models.evaluation.ranking import average_precision, best_of_each, precision_at, roc_auc
from frontrow_models.evaluation.reliability import (
    BINS,
    FLOOR,
    calibration_error,
    calibration_ratio,
    debiased_calibration_error,
    log_loss,
    log_losses,
    reliability_curve,
    wilson,
)
from frontrow_models.evaluation.rolling import Rows

# Few different scores, so that ties are the rule.
ROWS = st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 3)), max_size=25)
GROUPED = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.booleans()), max_size=30)


def columns(rows: list[Any], width: int) -> list[np.ndarray[Any, Any]]:
    return [np.array([row[place] for row in rows], np.int64) for place in range(width)]


@given(ROWS)
def test_the_area_is_the_share_of_pairs_in_the_right_order_ties_counting_half(rows: Any) -> None:
    pairs = [
        (Fraction(2 * (a > b) + (a == b), 2), w * v)
        for (a, y, w), (b, x, v) in product(rows, rows)
        if y and not x
    ]
    total = sum(weight for _, weight in pairs)
    scores, outcomes, weights = columns(rows, 3)
    found = roc_auc(scores / 10, outcomes.astype(bool), weights)
    if not total:
        assert found is None
    else:
        assert found == pytest.approx(float(sum(won * weight for won, weight in pairs) / total), abs=1e-15)


@given(ROWS)
def test_average_precision_is_the_step_function_over_distinct_thresholds(rows: Any) -> None:
    positives = sum(w for _, y, w in rows if y)
    expected, recall = Fraction(0), Fraction(0)
    for threshold in sorted({a for a, _, _ in rows}, reverse=True):
        shown = sum(w for a, _, w in rows if a >= threshold)
        found = sum(w for a, y, w in rows if a >= threshold and y)
        if shown and positives:
            expected += (Fraction(found, positives) - recall) * Fraction(found, shown)
            recall = Fraction(found, positives)
    scores, outcomes, weights = columns(rows, 3)
    actual = average_precision(scores, outcomes, weights)
    assert actual is None if not positives else actual == pytest.approx(float(expected), abs=1e-14)


@given(ROWS)
def test_a_weight_is_as_many_equal_rows(rows: Any) -> None:
    scores, outcomes, weights = columns(rows, 3)
    repeated = np.repeat(np.arange(len(rows)), weights)
    p = (scores + 1) / 8
    for metric in (roc_auc, average_precision, log_loss):
        one, many = metric(p, outcomes, weights), metric(p[repeated], outcomes[repeated])
        assert (one is None) == (many is None)
        assert one is None or one == pytest.approx(many, abs=1e-12)
    one_error = calibration_error(reliability_curve(p, outcomes, weights, bins=3))
    ratio = calibration_ratio(p, outcomes, weights)
    if not len(repeated):
        assert one_error is None and ratio is None
        return
    many_ratio = calibration_ratio(p[repeated], outcomes[repeated])
    assert ratio is not None and many_ratio is not None
    assert ratio.value == (None if many_ratio.value is None else pytest.approx(many_ratio.value))


@given(ROWS, st.randoms())
def test_the_order_of_rows_says_nothing(rows: Any, dice: Any) -> None:
    scores, outcomes, _ = columns(rows, 3)
    mixed = np.array(dice.sample(range(len(rows)), len(rows)), np.int64)
    assert roc_auc(scores, outcomes) == roc_auc(scores[mixed], outcomes[mixed])
    assert average_precision(scores, outcomes) == average_precision(scores[mixed], outcomes[mixed])


@given(GROUPED, st.integers(1, 4))
def test_precision_at_k_is_the_mean_over_all_orders_of_equal_scores(rows: Any, k: int) -> None:
    groups, scores, outcomes = columns(rows, 3)
    keys, precision, shown = precision_at(k, scores, outcomes, groups)
    assert keys.tolist() == sorted(set(groups.tolist()))
    for key, found, count in zip(keys, precision, shown, strict=True):
        members = [(int(s), int(y)) for g, s, y in zip(groups, scores, outcomes, strict=True) if g == key]
        places, hits = min(k, len(members)), Fraction(0)
        left = places
        for score in sorted({s for s, _ in members}, reverse=True):
            tied = [y for s, y in members if s == score]
            drawn = min(left, len(tied))
            hits += Fraction(sum(tied) * drawn, len(tied))
            left -= drawn
        assert (count, found) == (places, pytest.approx(float(hits / places), abs=1e-15))


def test_precision_needs_at_least_one_place() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        precision_at(0, np.ones(1), np.ones(1), np.zeros(1, np.int64))


def test_a_viewer_counts_once_with_the_highest_score() -> None:
    people, scores = np.array([1, 2, 1, 2, 3, 1]), np.array([0.1, 0.9, 0.4, 0.9, 0.2, 0.3])
    outcomes, hours = np.array([1, 0, 0, 1, 1, 1], bool), np.array([7, 7, 7, 7, 7, 8])
    group, best, came = best_of_each(people, scores, outcomes, hours)
    assert group.tolist() == [7, 7, 7, 8] and best.tolist() == [0.4, 0.9, 0.2, 0.3]
    assert came.tolist() == [0.0, 0.5, 1.0, 1.0]  # of two equal looks at the second viewer one had an outcome
    _, precision, shown = precision_at(2, scores, outcomes, hours, people)
    assert precision.tolist() == [0.25, 1.0] and shown.tolist() == [2, 1]
    empty = best_of_each(people[:0], scores[:0], outcomes[:0], hours[:0])
    assert [part.tolist() for part in empty] == [[], [], []]


@given(GROUPED, st.integers(1, 4), st.randoms())
def test_people_with_one_row_each_are_rows_and_their_order_says_nothing(rows: Any, k: int, dice: Any) -> None:
    groups, scores, outcomes = columns(rows, 3)
    mixed = np.array(dice.sample(range(len(groups)), len(groups)), np.int64)
    plain = precision_at(k, scores, outcomes, groups)
    alone = precision_at(k, scores[mixed], outcomes[mixed], groups[mixed], mixed)
    for one, other in zip(plain, alone, strict=True):
        assert one.tolist() == pytest.approx(other.tolist())
    halves = precision_at(k, scores, outcomes, groups, np.arange(len(groups)) // 2)
    turned = precision_at(k, scores[mixed], outcomes[mixed], groups[mixed], mixed // 2)
    assert halves[1].tolist() == pytest.approx(turned[1].tolist())


def test_the_area_is_right_where_outcomes_are_rare() -> None:
    # River's ROCAUC with ten thresholds says 0.51 of such a model.
    dice = np.random.default_rng(4)
    logits = dice.normal(-6.2, 1.2, 40_000)
    p = 1 / (1 + np.exp(-logits))
    y = dice.random(len(p)) < p
    positives, negatives = p[y], np.sort(p[~y])
    slow = np.searchsorted(negatives, positives).mean() / len(negatives)
    assert 0.001 < y.mean() < 0.008
    assert roc_auc(p, y) == pytest.approx(slow, abs=1e-12)
    assert slow > 0.75


def test_one_surprise_costs_no_more_than_the_clip_says() -> None:
    losses = log_losses(np.array([0.0, 1.0, 0.25]), np.array([True, False, True]))
    assert losses.tolist() == pytest.approx([-np.log(FLOOR), -np.log(FLOOR), np.log(4)])
    assert log_loss(np.array([0.0]), np.array([False])) == pytest.approx(FLOOR, rel=1e-3)


def test_without_rows_nothing_is_known() -> None:
    none = np.zeros(0)
    assert roc_auc(none, none) is average_precision(none, none) is log_loss(none, none) is None
    assert calibration_error([]) is debiased_calibration_error([]) is None
    assert calibration_ratio(none, none) is None
    assert reliability_curve(none, none) == []
    assert reliability_curve(np.full(3, 0.5), np.ones(3), np.zeros(3)) == []
    assert calibration_ratio(np.full(3, 0.5), np.ones(3), np.zeros(3)) is None


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=80), st.integers(1, 20))
def test_bins_hold_all_rows_in_order_and_never_part_equal_probabilities(rows: Any, bins: int) -> None:
    p, y = np.array([a for a, _ in rows]) / 12, np.array([b for _, b in rows])
    curve = reliability_curve(p, y, bins=bins)
    assert sum(b.weight for b in curve) == len(rows) and len(curve) <= min(bins, len(set(p.tolist())))
    assert sum(b.weight * b.share for b in curve) == pytest.approx(y.sum())
    means = [b.mean_p for b in curve]
    assert means == sorted(means)
    start = 0
    for b in curve:  # each bin is a run of the sorted probabilities that ends where a value ends
        end = start + round(b.weight)
        assert np.sort(p)[start:end].mean() == pytest.approx(b.mean_p)
        assert end == len(rows) or np.sort(p)[end - 1] < np.sort(p)[end]
        start = end
        assert 0 <= b.low <= b.share <= b.high <= 1


def test_bins_are_of_about_equal_mass() -> None:
    p = np.random.default_rng(1).random(3_000)
    assert [b.weight for b in reliability_curve(p, p > 0.5)] == [3_000 / BINS] * BINS


def test_equal_probabilities_go_where_their_middle_lies() -> None:
    p = np.repeat([0.1, 0.5, 0.9], [3, 6, 1])
    assert [b.weight for b in reliability_curve(p, p > 0.2, bins=2)] == [3, 7]


def test_the_wilson_interval_is_the_published_one() -> None:
    # Wilson's score interval without correction; 81 of 263: Newcombe 1998, table I.
    low, high = wilson(np.array([81 / 263, 0.0]), np.array([263.0, 20.0]))
    assert (low[0], high[0]) == (pytest.approx(0.2553, abs=5e-5), pytest.approx(0.3662, abs=5e-5))
    assert (low[1], high[1]) == (0.0, pytest.approx(0.1611, abs=5e-5))


def simulated(seed: int, *, rows: int = 4_000, off: float = 0.0) -> tuple[Any, Any]:
    dice = np.random.default_rng(seed)
    p = 1 / (1 + np.exp(-dice.normal(-3, 1, rows)))
    return np.clip(p + off, 0, 1), dice.random(rows) < p


def test_the_bias_correction_takes_away_a_good_part_of_what_chance_adds() -> None:
    curves = [reliability_curve(*simulated(seed)) for seed in range(30)]
    plain = np.mean([calibration_error(curve) for curve in curves])
    debiased = np.mean([debiased_calibration_error(curve) for curve in curves])
    assert plain > 0.008  # the model is perfect
    assert 0 < debiased < 0.65 * plain


def test_both_estimators_find_a_model_that_promises_too_much() -> None:
    curve = reliability_curve(*simulated(3, rows=20_000, off=0.05))
    plain, debiased = calibration_error(curve), debiased_calibration_error(curve)
    assert plain == pytest.approx(0.05, abs=0.004) and debiased == pytest.approx(0.05, abs=0.004)


def test_the_interval_of_the_ratio_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(200):
        ratio = calibration_ratio(*simulated(seed, rows=500))
        assert ratio is not None and ratio.high is not None
        covered += ratio.low <= 1.0 <= ratio.high
    assert covered >= 186  # of 200; 95 % are 190


def test_looks_that_share_an_outcome_are_one_witness_of_the_ratio() -> None:
    covered = 0
    for seed in range(400):
        p, outcomes = (np.repeat(each, 5) for each in simulated(seed, rows=500))
        judged = judge(
            Column("champion", probability=True), p, outcomes, np.zeros(2_500), np.where(outcomes, np.arange(2_500) // 5, -1),
            np.arange(2_500) // 5,
        )  # fmt: skip
        assert judged.ratio is not None and judged.ratio.high is not None
        covered += judged.ratio.low <= 1.0 <= judged.ratio.high
    assert 0.92 < covered / 400 < 0.98, "95 % would be right"


def test_the_interval_of_a_ratio_over_broadcasts_is_wide_where_they_differ() -> None:
    """Ten broadcasts, of which half sell twice as much as was promised, and half a half."""
    dice = np.random.default_rng(3)
    blocks = np.repeat(np.arange(10), 1_000)
    p = np.full(10_000, 0.1)
    outcomes = dice.random(10_000) < np.where(blocks % 2, 0.2, 0.05)
    alike = calibration_ratio(p, outcomes)
    rows = Rows(
        served=p[:, None], outcomes=outcomes, served_at=blocks * 3_600_000, resolved_at=blocks * 3_600_000, rooms=blocks,
        causes=np.where(outcomes, np.arange(10_000), -1), weights=np.ones(10_000), reached=np.zeros(10_000),
        viewers=np.arange(10_000),
    )  # fmt: skip
    found = intervals(0, rows, blocks)["ratio"]
    assert found is not None and alike is not None and alike.high is not None
    assert found[0] < 0.7 < alike.low < alike.high < 1.05 < found[1]


def test_without_an_outcome_the_ratio_has_a_lower_bound_only() -> None:
    ratio = calibration_ratio(np.full(100, 0.5), np.zeros(100))
    assert ratio is not None
    assert (ratio.value, ratio.high) == (None, None)
    assert ratio.low == pytest.approx(0.5 / 0.0370, rel=1e-2)


def test_time_from_hot_to_outcome_leaves_out_who_bought_before() -> None:
    minute = 60_000
    hot = np.array([0, 0, 0, 10 * minute, NEVER, 0])
    bought = np.array([2 * minute, 4 * minute, 30 * minute, 5 * minute, minute, NEVER])
    found = hot_to_outcome(hot, bought)
    assert (found.hot, found.outcomes, found.median_s) == (5, 3, 240.0)
    assert found.share_within == pytest.approx(2 / 3)
    none = hot_to_outcome(hot[4:], bought[4:])
    assert (none.hot, none.outcomes, none.median_s, none.share_within) == (1, 0, None, None)


def test_keys_are_the_same_in_every_process_and_tell_apart_what_differs() -> None:
    assert room_keys(["p/room"]).tolist() == [7989017462814876880]
    rooms, sessions = ["p/a", "p/a", "p/as", "p/b"], ["s1", "s2", "1", "s1"]
    assert len(set(block_keys(rooms, sessions).tolist())) == 4
    hours = room_hours(room_keys(["p/a"] * 3), np.array([0, 3_599_999, 3_600_000]))
    assert hours[0] == hours[1] != hours[2]


def test_snapshots_before_one_order_share_an_outcome() -> None:
    session, served = np.array([7, 7, 7, 8, 7]), np.array([0, 1_000, 2_000, 0, 0])
    keys = outcome_keys(session, served, np.array([5_000, 4_000, 4_000, 5_000, -1]))
    assert keys[0] == keys[1] and len(set(keys[:4].tolist())) == 3
    assert np.min(keys) == keys[4] == -1
