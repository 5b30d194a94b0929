"""The rolling judge says of its window what anybody computes of the same rows from the journal: to the bit."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontrow_models.evaluation.baselines import BaseRate
from frontrow_models.evaluation.judging import BASELINES, Column, Judged, judge
from frontrow_models.evaluation.keys import HOUR_MS, room_hours, room_keys
from frontrow_models.evaluation.ranking import roc_auc
from frontrow_models.evaluation.rolling import Rolling, Rows, report

COLUMNS = (Column("shown"), Column("champion"), Column("challenger"), *BASELINES)
ROOMS = room_keys(["p/a", "p/b", "p/c"])


def stream(seed: int, labels: int, *, holes: bool = True) -> Rows:
    """Mature labels of three rooms; snapshots of one outcome share a cause, and scores are often equal."""
    dice = np.random.default_rng(seed)
    outcomes = dice.random(labels) < 0.2
    served: Any = np.round(np.clip(dice.normal(0.2 + 0.2 * outcomes[:, None], 0.2, (labels, 6)), 0, 1), 1)
    served[:, 4:] *= 40
    if holes:
        served[dice.random(labels) < 0.05, 2] = np.nan  # a challenger that broke
    at = np.cumsum(dice.integers(0, 200_000, labels))
    return Rows(
        served=served,
        outcomes=outcomes,
        served_at=at,
        resolved_at=at + HOUR_MS,
        rooms=ROOMS[dice.integers(0, 3, labels)],
        causes=np.where(outcomes, np.arange(labels) // 5, -1),
        weights=dice.choice((1.0, 1.0, 4.0), labels),
        reached=dice.choice((0.0, 0.1, 1.0), labels),
        viewers=dice.integers(0, 20, labels),
    )


def cut(rows: Rows, places: list[int]) -> list[Rows]:
    ends = [*sorted(min(place, len(rows)) for place in places), len(rows)]
    return [rows.at(slice(start, end)) for start, end in zip([0, *ends], ends, strict=False)]


def offline(rows: Rows) -> list[Judged]:
    groups = room_hours(rows.rooms, rows.served_at)
    return [
        judge(
            column,
            rows.served[:, place].copy(),
            rows.outcomes,
            groups,
            rows.causes,
            rows.viewers,
            weights=rows.weights,
        )
        for place, column in enumerate(COLUMNS)
    ]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 50),
    labels=st.integers(0, 160),
    bound=st.integers(1, 100),
    places=st.lists(st.integers(0, 160), max_size=6),
    window_ms=st.one_of(st.none(), st.integers(1, 6_000_000)),
    restart=st.integers(0, 6),
)
def test_the_window_is_judged_as_offline_to_the_bit_over_any_cut_and_restart(
    seed: int, labels: int, bound: int, places: list[int], window_ms: int | None, restart: int
) -> None:
    rows = stream(seed, labels)
    rolling = Rolling(COLUMNS, labels=bound, window_ms=window_ms)
    for number, part in enumerate(cut(rows, places)):
        if number == restart:
            image = rolling.image()
            rolling = Rolling(COLUMNS, labels=bound, window_ms=window_ms)
            rolling.load(image)
        rolling.add(part)
    window = rows.at(slice(max(0, labels - bound), None))
    if window_ms is not None and labels:
        window = window.at(window.resolved_at > np.max(rows.resolved_at) - window_ms)
    report = rolling.report(waiting=7)
    assert report.columns == offline(window)
    assert (report.labels, report.final, report.immature) == (len(window), labels, 7 / (7 + labels))
    msgspec.json.encode(report)


def test_a_window_of_time_leaves_out_what_is_just_as_old() -> None:
    rows = stream(6, 3, holes=False)
    span = int(rows.resolved_at[2] - rows.resolved_at[1])
    for window_ms, kept in ((span, 1), (span + 1, 2)):
        rolling = Rolling(COLUMNS, window_ms=window_ms)
        rolling.add(rows)
        assert len(rolling.rows()) == kept


def test_an_image_is_a_copy() -> None:
    rolling = Rolling(COLUMNS, labels=50)
    rolling.add(stream(1, 40))
    image = rolling.image()
    before = {name: array.tobytes() for name, array in image.arrays.items()}
    rolling.add(stream(2, 40))
    assert {name: array.tobytes() for name, array in image.arrays.items()} == before


def test_memory_does_not_grow() -> None:
    rolling = Rolling(COLUMNS, labels=64)
    sizes = set()
    for seed in range(20):
        rolling.add(stream(seed, 100))
        sizes.add(sum(array.nbytes for array in rolling.image().arrays.values()))
        assert rolling.report().labels == 64
    assert sizes == {64 * (6 * 8 + 7 * 8 + 1)}


def test_a_state_of_other_columns_is_refused() -> None:
    image = Rolling(COLUMNS, labels=50).image()
    with pytest.raises(ValueError, match="does not fit one of 50"):
        Rolling(COLUMNS[:2], labels=50).load(image)
    with pytest.raises(ValueError, match="a window of 50 labels"):
        Rolling(COLUMNS, labels=51).load(image)


def test_rows_that_a_challenger_broke_on_are_left_out_of_its_numbers_and_told() -> None:
    rows = stream(3, 400)
    rolling = Rolling(COLUMNS)
    rolling.add(rows)
    found = {judged.column: judged for judged in rolling.report().columns}
    good = np.isfinite(rows.served[:, 2])
    assert 0 < found["challenger"].left_out == (~good).sum() and found["champion"].left_out == 0
    assert found["challenger"].roc_auc == roc_auc(
        rows.served[good, 2], rows.outcomes[good], rows.weights[good]
    )


def test_what_only_orders_is_not_judged_as_a_probability() -> None:
    rolling = Rolling(COLUMNS)
    rolling.add(stream(4, 400))
    points = next(judged for judged in rolling.report().columns if judged.column == "points")
    assert points.roc_auc is not None and points.precision is not None
    assert (points.log_loss, points.ratio, points.curve, points.calibration_error) == (None, None, [], None)


def test_an_outcome_of_five_snapshots_is_one_outcome() -> None:
    rolling = Rolling(COLUMNS)
    rows = stream(5, 500)
    rolling.add(rows)
    judged = rolling.report().columns[0]
    assert judged.positives == rows.outcomes.sum() > judged.outcomes == len(set(rows.causes.tolist())) - 1


def test_an_empty_window_knows_nothing() -> None:
    report = Rolling(COLUMNS).report()
    assert (report.labels, report.immature) == (0, None)
    for judged in report.columns:
        assert judged.roc_auc is judged.precision is judged.log_loss is None
        assert judged.ratio is None


def test_the_base_rate_is_what_was_known_when_it_was_served() -> None:
    outcomes: Any = np.random.default_rng(1).random(5_000) < 0.08
    whole, pieces = BaseRate(prior=0.5), BaseRate(prior=0.5)
    assert whole.rate == 0.5
    whole.learn(outcomes)
    for part in np.split(outcomes, [1, 700, 701, 4_000]):
        pieces.learn(part)
        again = BaseRate(prior=0.5)
        again.load(pieces.state())
        pieces = again
    assert pieces.rate == whole.rate == pytest.approx((outcomes.sum() + 50) / 5_100, rel=0.02)


def test_the_base_rate_forgets() -> None:
    rate = BaseRate(half_life=1_000)
    rate.learn(np.ones(5_000))
    rate.learn(np.zeros(5_000))
    assert rate.rate < 0.05


def test_those_who_were_shown_by_chance_stand_for_all_who_might_have_been() -> None:
    """Sales tell outcomes only of whom they were told: the hot always, a quarter of the others."""
    dice = np.random.default_rng(2)
    count = 20_000
    p = dice.beta(1.0, 6.0, count)
    outcomes = dice.random(count) < p
    hot = p > 0.3
    reached = np.where(hot, 1.0, np.where(dice.random(count) < 0.25, 0.25, 0.0))
    causes = np.where(outcomes, np.arange(count), -1)
    at = np.arange(count) * 1_000
    rooms = np.zeros(count, np.int64)
    rows = Rows(p[:, None] * 1.0, outcomes, at, at, rooms, causes, np.ones(count), reached, np.arange(count))
    told = report([Column("champion")], rows)
    whole, [weighed] = told.columns[0], told.reached
    told_of = np.flatnonzero(reached > 0)
    naive = judge(
        Column("champion"), p[told_of], outcomes[told_of], at[told_of] * 0, causes[told_of], told_of
    )
    assert whole.roc_auc and weighed.roc_auc and naive.roc_auc
    assert whole.log_loss and weighed.log_loss and naive.log_loss
    assert abs(weighed.log_loss - whole.log_loss) < 0.015 < naive.log_loss - whole.log_loss
    assert abs(weighed.roc_auc - whole.roc_auc) < 0.015
    assert weighed.labels == int((reached > 0).sum())
    rows = rows.at(reached != 0.25)
    assert report([Column("champion")], rows).reached == [], "without exploration there is nothing to weigh"
