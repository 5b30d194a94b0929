"""The joiner: what was served meets what happened, in event time, and leaves in an order that a replay repeats."""

import random
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontrow.core.lessons import Ending, Joiner, Lessons, Stage, _ending, _ending_of, window_of
from frontrow.core.outcomes import Heard, What

HORIZON, WINDOW = 3_600_000, 120_000


def make(bound: int = 1_000_000) -> Joiner:
    joiner = Joiner(
        width=1,
        columns=2,
        horizon_ms=HORIZON,
        window_ms=WINDOW,
        room_of=lambda session: f"sim/{session}",
        bound=bound,
    )
    joiner.grow(64)
    return joiner


def order(joiner: Joiner, row: int, at: int, now: int, value: int | None = None) -> int:
    return joiner.hear([row], f"v{row}", Heard(What.SUCCESS, at, value), now)


def serve(joiner: Joiner, at: int, *rows: int, span: int = 1) -> None:
    """Serve rows; where outcomes can come for a moment only, windows are the shortest."""
    count = len(rows)
    joiner.serve(
        np.array(rows, np.int64),
        np.array([row % 3 for row in rows], np.int32),
        np.full(count, at),
        np.array(rows, np.float32).reshape(-1, 1),
        np.full((count, 2), at / 1e7, np.float32),
        np.full(count, span),
    )


def told(lessons: Lessons) -> list[tuple[int, str, bool, int, int]]:
    return [
        (int(snapshot), Stage(stage).name, bool(outcome), int(resolved_at), int(delay))
        for snapshot, stage, outcome, resolved_at, delay in zip(
            lessons.snapshot,
            lessons.stage,
            lessons.outcome,
            lessons.resolved_at,
            lessons.delay_ms,
            strict=True,
        )
    ]


def test_the_looks_at_one_viewer_share_a_number_until_their_row_is_anothers() -> None:
    """A list of ten shows a viewer once: so whoever judges one must know whose the looks are, and needs nobody's name."""
    joiner = make()
    serve(joiner, 1_000, 3, 5)
    serve(joiner, 200_000, 5)
    again = make()
    again.load(joiner.image(64))
    found = []
    for each in (joiner, again):
        serve(each, 1_000 + 2 * HORIZON, 5)  # when nothing of before is held any more
        later = each.resolve(1_000 + 3 * HORIZON + 1_000)
        final = later.take(later.stage == Stage.MATURE)
        each.clear(np.array([5]))
        serve(each, 1_000 + 4 * HORIZON, 5)
        other = each.resolve(5_000 + 5 * HORIZON)
        last = other.take(other.stage == Stage.MATURE)
        found.append((final.viewer.tolist(), last.viewer.tolist()))
    assert found == [([0, 1, 1, 1], [4])] * 2


def test_without_an_outcome_a_snapshot_is_a_negative_after_the_window_and_again_when_mature() -> None:
    joiner = make()
    serve(joiner, 1_000, 5)
    assert told(joiner.resolve(1_000 + WINDOW)) == []
    assert told(joiner.resolve(1_001 + WINDOW)) == [(0, "OBSERVED", False, 1_000 + WINDOW, -1)]
    assert told(joiner.resolve(1_001 + HORIZON)) == [(0, "MATURE", False, 1_000 + HORIZON, -1)]
    assert len(joiner) == 0


@pytest.mark.parametrize("span", [HORIZON, 1_200_000, WINDOW // 2, 1])
def test_windows_are_drawn_as_outcomes_are_believed_to_come(span: int) -> None:
    numbers = np.arange(50_000)
    windows, within = window_of(numbers, np.full(len(numbers), span), shortest_ms=WINDOW, horizon_ms=HORIZON)

    def share(time: float) -> float:
        return float(np.expm1(-3.0 * min(time, span) / HORIZON) / np.expm1(-3.0 * span / HORIZON))

    assert windows.min() >= WINDOW
    assert windows.max() <= max(span, WINDOW)
    for time in (WINDOW, 500_000, 1_000_000, 2_000_000):
        assert np.mean(windows <= time) == pytest.approx(share(time), abs=0.01)
    some = slice(0, 200)
    assert within[some] == pytest.approx([share(each) for each in windows[some].tolist()], abs=1e-4)
    again, _ = window_of(numbers[7:9], np.full(2, span), shortest_ms=WINDOW, horizon_ms=HORIZON)
    assert again.tolist() == windows[7:9].tolist(), "by their numbers, whoever is served beside them"


@pytest.mark.parametrize(
    ("horizon", "mean"), [(24 * HORIZON, 1_200_000), (2 * HORIZON, 1_200_000), (900_000, 300_000)]
)
def test_outcomes_are_believed_to_come_after_a_third_of_the_horizon_and_twenty_minutes_at_most(
    horizon: int, mean: int
) -> None:
    """Whoever gives an order a day's time is still to learn of most looks within the hour."""
    numbers = np.arange(50_000)
    windows, within = window_of(
        numbers, np.full(len(numbers), horizon), shortest_ms=1_000, horizon_ms=horizon
    )
    whole = -np.expm1(-horizon / mean)
    for time in (mean // 4, mean, 2 * mean):
        assert np.mean(windows <= time) == pytest.approx(-np.expm1(-time / mean) / whole, abs=0.01)
    expected = -np.expm1(-windows[:200].astype(np.float64) / mean) / whole
    assert within[:200] == pytest.approx(expected, abs=1e-4)


def test_where_windows_are_as_long_as_the_horizon_all_is_known_when_a_look_is_told() -> None:
    windows, within = window_of(np.arange(9), np.full(9, HORIZON), shortest_ms=HORIZON, horizon_ms=HORIZON)
    assert set(windows.tolist()) == {HORIZON}
    assert set(within.tolist()) == {1.0}


def test_what_is_told_at_one_moment_is_of_one_age_whatever_came_of_it() -> None:
    """Else positives would be older looks than the negatives beside them, and whatever grows with the clock would tell them apart."""
    dice = np.random.default_rng(11)
    joiner = make()
    joiner.grow(40_000)
    orders: list[tuple[int, int]] = []
    ages: dict[bool, list[int]] = {True: [], False: []}
    for step in range(1_000):
        now = 1_000_000 + step * 10_000
        serve(joiner, now, *range(step * 40, step * 40 + 40), span=HORIZON)
        for row in (step * 40 + np.flatnonzero(dice.random(40) < 0.2)).tolist():
            delay = dice.exponential(HORIZON / 3)
            if delay < HORIZON:
                orders.append((now + int(delay), row))
        for at, row in [each for each in orders if each[0] <= now]:
            order(joiner, row, at, now)
        orders = [each for each in orders if each[0] > now]
        lessons = joiner.resolve(now)
        fresh = lessons.take(lessons.stage != Stage.MATURE)
        for outcome, age in zip(
            fresh.outcome.tolist(), (fresh.resolved_at - fresh.served_at).tolist(), strict=True
        ):
            if step >= 360:  # an hour is over
                ages[outcome].append(age)
    assert len(ages[True]) > 3_000
    assert np.mean(ages[True]) == pytest.approx(np.mean(ages[False]), rel=0.04)
    assert np.median(ages[True]) == pytest.approx(np.median(ages[False]), rel=0.06)


def test_windows_that_have_not_ended_go_on_after_a_restart() -> None:
    joiner = make()
    serve(joiner, 1_000, *range(60), span=HORIZON)
    order(joiner, 7, at=100_000, now=100_000)
    first = told(joiner.resolve(600_000))
    again = make()
    again.load(joiner.image(64))
    assert 5 < len(first) < 40
    rest = told(joiner.resolve(HORIZON))
    assert told(again.resolve(HORIZON)) == rest
    observed = [number for number, stage, *_ in (*first, *rest) if stage == "OBSERVED"]
    assert sorted(observed) == list(range(60)), "each once"


def test_an_outcome_within_the_window_is_told_at_once_and_only_once_before_it_is_mature() -> None:
    joiner = make()
    serve(joiner, 1_000, 5)
    assert order(joiner, 5, at=50_000, now=60_000, value=990) == 1
    assert joiner.urgent
    lessons = joiner.resolve(60_250)
    assert told(lessons) == [(0, "OBSERVED", True, 60_000, 59_000)]
    assert lessons.value.tolist() == [990.0]
    assert (lessons.session.tolist(), lessons.room.tolist()) == ([2], ["sim/2"])
    assert told(joiner.resolve(1_001 + WINDOW)) == []
    assert told(joiner.resolve(1_001 + HORIZON)) == [(0, "MATURE", True, 1_000 + HORIZON, 59_000)]


def test_a_late_outcome_brings_the_snapshot_back_as_a_positive() -> None:
    joiner = make()
    serve(joiner, 1_000, 5)
    order(joiner, 5, at=600_000, now=601_000)
    assert told(joiner.resolve(601_250)) == [
        (0, "OBSERVED", False, 1_000 + WINDOW, -1),
        (0, "LATE", True, 601_000, 600_000),
    ]


@pytest.mark.parametrize(("at", "counts"), [(999, 0), (1_000, 1), (1_000 + HORIZON, 1), (1_001 + HORIZON, 0)])
def test_an_outcome_belongs_to_the_snapshots_that_lie_before_it_by_no_more_than_the_horizon(
    at: int, counts: int
) -> None:
    """A snapshot that was taken after the outcome, but before it was heard of, is none of its positives."""
    joiner = make()
    serve(joiner, 1_000, 5)
    assert order(joiner, 5, at=at, now=max(at, 2_000) if at <= 1_000 + HORIZON else 1_000 + HORIZON) == counts


def test_an_outcome_that_is_heard_of_when_its_snapshot_is_mature_is_counted_and_changes_nothing() -> None:
    joiner = make()
    serve(joiner, 1_000, 5)
    assert order(joiner, 5, at=2_000, now=1_001 + HORIZON) == 0
    assert joiner.too_late == 1
    assert [line[2] for line in told(joiner.resolve(1_001 + HORIZON))] == [False, False]


LATE_BY_ONE = 1_001 + HORIZON


@pytest.mark.parametrize(
    ("what", "at", "now", "late"),
    [
        ("an order", 1_000, LATE_BY_ONE, 1),
        ("an order", 1_000 + HORIZON, LATE_BY_ONE, 1),
        ("an order", 1_000, LATE_BY_ONE - 1, 0),  # in time, just
        ("an order", 999, LATE_BY_ONE, 0),  # of before the look, so none of its outcomes
        ("an order", LATE_BY_ONE, LATE_BY_ONE, 0),  # nor one of after its horizon
        ("a refund", 1_000, LATE_BY_ONE, 0),
        ("not interested", 1_000, LATE_BY_ONE, 0),
    ],
)
def test_only_an_outcome_of_a_final_snapshot_is_too_late_and_one_is_counted_once(
    what: str, at: int, now: int, late: int
) -> None:
    say = {"an order": order, "a refund": refund, "not interested": decline}[what]
    joiner = make()
    serve(joiner, 1_000, 5)
    serve(joiner, 1_000, 6)
    assert order(joiner, 6, at=1_500, now=1_500) == 1
    say(joiner, 5, at=at, now=now)
    assert joiner.too_late == late
    say(joiner, 6, at=at, now=now)
    assert joiner.too_late == late, "it had one, and that in time: another changes nothing"
    again = make()
    again.load(joiner.image(64))
    assert again.too_late == late


def test_an_outcome_that_is_too_late_for_several_looks_is_one_and_for_later_looks_it_counts() -> None:
    joiner = make()
    for at in (1_000, 1_100, 900_000):
        serve(joiner, at, 5)
    assert order(joiner, 5, at=950_000, now=1_200 + HORIZON) == 1
    assert joiner.too_late == 1


def test_an_outcome_is_too_late_also_where_older_looks_had_none_to_expect() -> None:
    joiner = make()
    serve(joiner, 1_000, 5)
    serve(joiner, 500_000, 5)
    assert order(joiner, 5, at=1_001 + HORIZON, now=500_001 + HORIZON) == 0
    assert joiner.too_late == 1


def test_only_a_look_of_the_moment_in_which_sales_are_told_is_one_of_whom_they_were() -> None:
    """An older look is judged as one that sales had no part in: they heard of the viewer after it."""
    joiner = make()
    serve(joiner, 1_000, 5, 6)
    joiner.reach(5, 0.25, 2_000)
    joiner.reach(6, 0.5, 1_000)
    assert [joiner.reach_of(row) for row in (5, 6, 7)] == [0.25, 0.5, 0.0]
    serve(joiner, 3_000, 5, 6)
    joiner.reach(5, 1.0)  # whenever that is
    again = make()
    again.load(joiner.image(64))
    serve(again, 4_000, 5, 6)
    lessons = again.resolve(4_001 + HORIZON)
    final = lessons.take(lessons.stage == Stage.MATURE)
    found = zip(final.served_at.tolist(), final.inputs[:, 0].tolist(), final.reached.tolist(), strict=True)
    assert list(found) == [
        (1_000, 5, 0.0), (1_000, 6, 0.5), (3_000, 5, 0.25), (3_000, 6, 0.5), (4_000, 5, 1.0), (4_000, 6, 0.5)
    ]  # fmt: skip
    again.reach(6, 0.75, 4_000)  # its look of that time is gone
    assert again.reach_of(6) == 0.75


def test_that_sales_are_told_of_somebody_who_was_never_looked_at_changes_no_look() -> None:
    joiner = make()
    joiner.grow(5_000)
    serve(joiner, 1_000, *range(4_096))  # as many as there is room for
    joiner.reach(4_500, 1.0, 1_000)
    assert joiner.resolve(1_001 + HORIZON).reached.max() == 0.0


def test_only_the_first_outcome_of_a_snapshot_is_its_outcome() -> None:
    joiner = make()
    serve(joiner, 1_000, 5)
    assert order(joiner, 5, at=2_000, now=2_000, value=1) == 1
    assert order(joiner, 5, at=3_000, now=3_000, value=2) == 0
    assert told(joiner.resolve(4_000)) == [(0, "OBSERVED", True, 2_000, 1_000)]


def test_all_are_kept_while_they_fit_and_never_more_than_the_bound() -> None:
    joiner = make(bound=3_000)
    for step in range(40):  # 30 a minute over an hour are 1,800
        serve(joiner, 1_000 + step * 60_000, *range(30))
    assert (len(joiner), joiner.passed_over) == (1_200, 0)
    for step in range(400):
        serve(joiner, 3_000_000 + step, *range(64))
    assert 2_000 < len(joiner) <= 3_000
    assert len(joiner) + joiner.passed_over == 1_200 + 400 * 64


def test_who_is_kept_stands_for_those_who_are_not() -> None:
    """Eight times too many for the bound: what is kept, weighed, is as many positives and negatives as there were."""
    joiner = make(bound=4_000)
    joiner.grow(1 << 16)
    dice = np.random.default_rng(4)
    found: list[Lessons] = []
    served = positives = 0
    for step in range(400):
        now = 1_000 + step * 60_000
        rows = dice.choice(1 << 16, 500, replace=False)
        buys = rows[dice.random(500) < 0.1]
        serve(joiner, now, *rows.tolist())
        served, positives = served + 500, positives + len(buys)
        for row in buys.tolist():
            joiner.hear([row], f"{row}/{step}", Heard(What.SUCCESS, now), now)
        found.append(joiner.resolve(now + 1))
        assert len(joiner) <= 4_000
    lessons = Lessons.joined(found)
    early = lessons.take(lessons.stage == Stage.OBSERVED)
    assert 2_000 < len(joiner) < 3_600
    assert {8.0, 16.0} <= set(np.unique(early.weight)) <= {1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0}
    assert early.weight.sum() == pytest.approx(served, rel=0.03)
    assert early.weight[early.outcome].sum() == pytest.approx(positives, rel=0.1)


def test_an_outcome_of_whom_nothing_was_kept_is_counted() -> None:
    joiner = make(bound=8)
    for step in range(60):
        serve(joiner, 1_000 + step, *range(20))
    kept = {int(row) for row in joiner.resolve(1_100 + WINDOW).inputs[:, 0]}
    assert 0 < len(kept) < 9
    for row in range(20):
        order(joiner, row, at=200_000, now=200_000)
    assert joiner.lost == 20 - len(kept)
    order(joiner, 30, at=200_000, now=200_000)  # never served
    order(joiner, 19 if 19 not in kept else 18, at=2 * HORIZON, now=2 * HORIZON)
    assert joiner.lost == 20 - len(kept), "long after, it would have been none of theirs"
    again = make(bound=8)
    again.load(joiner.image(64))
    order(again, min(set(range(20)) - kept), at=300_000, now=300_000)
    assert again.lost == joiner.lost + 1


@given(st.lists(st.integers(1, 12), min_size=1, max_size=25), st.integers(0, 25), st.integers(4, 40))
def test_who_is_kept_is_not_a_matter_of_how_many_are_served_in_one_call(
    counts: list[int], cut: int, bound: int
) -> None:
    """Marks may be served one by one or all at once."""

    def kept(parts: list[list[int]]) -> tuple[list[float], list[float]]:
        joiner, mark = make(bound=bound), 0
        for part in parts:
            rows = [row for count in part for row in range(count)]
            marks = [at for place, count in enumerate(part) for at in [1_000 + mark + place] * count]
            mark += len(part)
            joiner.serve(
                np.array(rows, np.int64),
                np.zeros(len(rows), np.int32),
                np.array(marks, np.int64),
                np.array(rows, np.float32).reshape(-1, 1),
                np.zeros((len(rows), 2), np.float32),
            )
        lessons = joiner.resolve(2 * HORIZON)
        return lessons.inputs[:, 0].tolist(), lessons.weight.tolist()

    assert kept([counts]) == kept([[count] for count in counts]) == kept([counts[:cut], counts[cut:]])


def test_a_window_outside_of_the_horizon_is_refused() -> None:
    with pytest.raises(ValueError, match="window"):
        Joiner(width=1, columns=1, horizon_ms=1_000, window_ms=1_001, room_of=str)


def refund(joiner: Joiner, row: int, at: int, now: int) -> int:
    return joiner.hear([row], f"v{row}", Heard(What.REFUND, at), now)


def decline(joiner: Joiner, row: int, at: int, now: int) -> int:
    return joiner.hear([row], f"v{row}", Heard(What.DECLINED, at), now)


def ends(lessons: Lessons) -> list[tuple[str, bool, str, float]]:
    columns = (lessons.stage, lessons.outcome, lessons.ending, lessons.value)
    return [
        (Stage(stage).name, bool(outcome), Ending(ending).name, float(value))
        for stage, outcome, ending, value in zip(*columns, strict=True)
    ]


@pytest.mark.parametrize("at_once", [True, False])
def test_what_was_believed_when_a_lesson_was_told_does_not_depend_on_what_else_fell_into_its_mark(
    at_once: bool,
) -> None:
    """An order and its refund within the window, then "not interested": only of the last is all known."""
    joiner = make()
    serve(joiner, 1_000, 5, span=HORIZON)
    found: list[float] = []
    for number, say in enumerate((order, refund, decline)):
        say(joiner, 5, at=2_000 + number, now=2_000 + number)
        if not at_once:
            found += joiner.resolve(3_000 + number).within.tolist()
    found += joiner.resolve(4_000).within.tolist()
    _, within = window_of(np.zeros(1, np.int64), np.array([HORIZON]), shortest_ms=WINDOW, horizon_ms=HORIZON)
    assert found == [within[0], within[0], 1.0]


def test_a_refund_within_the_window_leaves_a_look_waiting_after_a_restart_too() -> None:
    joiner = make()
    serve(joiner, 1_000, 5)
    order(joiner, 5, at=2_000, now=2_000)
    joiner.resolve(2_250)
    image = joiner.image(64)
    joiner = make()
    joiner.load(image)
    refund(joiner, 5, at=3_000, now=3_000)
    assert ends(joiner.resolve(WINDOW)) == [("WITHDRAWN", False, "RETURNED", 0.0)]
    assert ends(joiner.resolve(WINDOW + 1_250)) == [("OBSERVED", False, "NONE", 0.0)]


def test_a_refund_takes_back_what_was_learnt_of_a_late_order() -> None:
    joiner = make()
    serve(joiner, 1_000, 5)
    order(joiner, 5, at=600_000, now=600_000, value=990)
    assert refund(joiner, 5, at=700_000, now=700_000) == 1
    assert ends(joiner.resolve(700_250)) == [
        ("OBSERVED", False, "NONE", 0.0),
        ("LATE", True, "SUCCESS", 990.0),
        ("WITHDRAWN", False, "RETURNED", 0.0),
    ]
    assert ends(joiner.resolve(1_001 + HORIZON)) == [("MATURE", False, "RETURNED", 0.0)]


def test_a_refund_of_an_order_that_came_within_the_window_leaves_a_negative_in_its_place() -> None:
    joiner = make()
    serve(joiner, 1_000, 5)
    order(joiner, 5, at=5_000, now=5_000)
    refund(joiner, 5, at=300_000, now=300_000)
    assert ends(joiner.resolve(300_250)) == [
        ("OBSERVED", True, "SUCCESS", 0.0),
        ("OBSERVED", False, "RETURNED", 0.0),
        ("WITHDRAWN", False, "RETURNED", 0.0),
    ]


def test_a_refund_after_the_horizon_changes_nothing() -> None:
    joiner = make()
    serve(joiner, 1_000, 5)
    order(joiner, 5, at=5_000, now=5_000)
    assert refund(joiner, 5, at=1_001 + HORIZON, now=1_001 + HORIZON) == 0
    assert ends(joiner.resolve(1_001 + HORIZON))[-1] == ("MATURE", True, "SUCCESS", 0.0)


def test_whoever_is_not_interested_is_a_negative_at_once_and_a_positive_if_they_buy_after_all() -> None:
    joiner = make()
    serve(joiner, 1_000, 5, 6)
    assert decline(joiner, 5, at=20_000, now=20_000) == 1
    assert joiner.urgent
    assert ends(joiner.resolve(20_250)) == [("OBSERVED", False, "DECLINED", 0.0)]
    assert decline(joiner, 5, at=30_000, now=30_000) == 0
    order(joiner, 5, at=40_000, now=40_000)
    assert ends(joiner.resolve(40_250)) == [("LATE", True, "SUCCESS", 0.0)]
    lessons = joiner.resolve(1_001 + HORIZON)
    assert ends(lessons.take(lessons.snapshot == 0)) == [("MATURE", True, "SUCCESS", 0.0)]
    assert ends(lessons.take(lessons.snapshot == 1)) == [
        ("OBSERVED", False, "NONE", 0.0),
        ("MATURE", False, "NONE", 0.0),
    ]


def test_another_order_stands_in_for_one_that_is_taken_back() -> None:
    joiner = make()
    serve(joiner, 1_000, 5)
    order(joiner, 5, at=5_000, now=5_000, value=100)
    order(joiner, 5, at=6_000, now=6_000, value=200)
    assert refund(joiner, 5, at=5_500, now=7_000) == 0, (
        "the first one; of the second one the snapshot is a positive too"
    )
    assert ends(joiner.resolve(7_250)) == [("OBSERVED", True, "SUCCESS", 100.0)]
    assert ends(joiner.resolve(1_001 + HORIZON)) == [("MATURE", True, "SUCCESS", 200.0)]


@dataclass
class _Snapshot:
    row: int
    at: int
    window: int
    within: float
    words: list[tuple[str, int]] = field(
        default_factory=list
    )  # all that was heard in time, and when it happened
    observed: bool = False
    positive: bool = False
    early: bool = False


Line = tuple[
    int, int, int, bool, float
]  # resolved at, snapshot, stage, outcome, share believed to be known by then


class _Plainly:
    """The same by a list of objects, each judged anew by all that was heard: what the columns are held against."""

    def __init__(self) -> None:
        self.snapshots: list[_Snapshot] = []
        self.told: list[Line] = []

    def hear(self, what: str, row: int, at: int, now: int) -> None:
        self.until(now - 1)
        for number, each in enumerate(self.snapshots):
            if each.row != row or now > each.at + HORIZON:
                continue
            each.words.append((what, at))
            fresh = not each.observed and now <= each.at + each.window
            if what == "decline":
                if fresh and each.at <= at <= each.at + HORIZON:
                    each.within = 1.0
                    self.told.append((now, number, int(Stage.OBSERVED), False, each.within))
                    each.observed = True
                continue
            positive = self.bought(each)
            if positive and not each.positive:
                stage = int(Stage.OBSERVED if fresh else Stage.LATE)
                self.told.append((now, number, stage, True, each.within))
                each.early = fresh
                each.observed |= fresh
            elif each.positive and not positive:
                self.told.append((now, number, int(Stage.WITHDRAWN), False, each.within))
                if each.early and now <= each.at + each.window:
                    each.observed = False  # it waits on
                elif each.early:
                    self.told.append((now, number, int(Stage.OBSERVED), False, each.within))
                each.early = False
            each.positive = positive

    @staticmethod
    def bought(each: _Snapshot) -> bool:
        """Whether an order is left once each refund has taken the last order before it."""
        orders = sorted(at for what, at in each.words if what == "outcome")
        for refunded in sorted(at for what, at in each.words if what == "refund"):
            before = [at for at in orders if at <= refunded]
            if before:
                orders.remove(before[-1])
        return any(each.at <= at <= each.at + HORIZON for at in orders)

    def until(self, now: int) -> None:
        """Let windows end that lie before ``now``."""
        for number, each in enumerate(self.snapshots):
            if not each.observed and each.at + each.window < now:
                self.told.append((each.at + each.window, number, int(Stage.OBSERVED), False, each.within))
                each.observed = True

    def all_until(self, now: int) -> list[Line]:
        """Return everything that is known before ``now``, in order."""
        self.until(now)
        final = [
            (each.at + HORIZON, number, int(Stage.MATURE), self.bought(each), each.within)
            for number, each in enumerate(self.snapshots)
        ]
        return sorted([*self.told, *(line for line in final if line[0] < now)])


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["serve", "outcome", "outcome", "refund", "decline", "resolve", "keep"]),
        st.integers(0, 3),
        st.integers(0, WINDOW * 4) | st.integers(0, WINDOW // 4),
        st.integers(0, HORIZON),
    ),
    max_size=60,
)


@settings(max_examples=200)
@given(STEPS)
def test_columns_tell_what_plain_objects_tell_each_thing_once_and_in_order(
    steps: list[tuple[str, int, int, int]],
) -> None:
    joiner, plainly = make(), _Plainly()
    now, heard_at = 1_000_000, 0
    got: list[Line] = []
    say = {"outcome": order, "refund": refund, "decline": decline}

    def resolve() -> None:
        lessons = joiner.resolve(now)
        columns = (lessons.resolved_at, lessons.snapshot, lessons.stage, lessons.outcome, lessons.within)
        part = [(int(a), int(b), int(c), bool(d), float(e)) for a, b, c, d, e in zip(*columns, strict=True)]
        assert [line[:3] for line in part] == sorted(line[:3] for line in part)
        got.extend(part)

    for what, row, step, behind in steps:
        now += step
        if what == "serve":
            now += now == heard_at  # what is served at a time comes before what is heard then
            serve(joiner, now, row, span=behind)
            number = np.array([len(plainly.snapshots)])
            spans = np.array([max(1, behind)])
            window, within = window_of(number, spans, shortest_ms=WINDOW, horizon_ms=HORIZON)
            plainly.snapshots.append(_Snapshot(row, now, int(window[0]), float(within[0])))
        elif what in say:
            heard_at = now
            say[what](joiner, row, at=now - behind // 4, now=now)
            plainly.hear(what, row, now - behind // 4, now)
        elif what == "resolve":
            resolve()
        else:  # a restart
            image = joiner.image(64)
            joiner = make()
            joiner.load(image)
    now += 2 * HORIZON
    resolve()
    assert sorted(got) == plainly.all_until(now)


@given(
    st.lists(
        st.tuples(st.sampled_from(["outcome", "refund", "decline"]), st.integers(0, HORIZON)), max_size=7
    ),
    st.randoms(use_true_random=False),
)
def test_in_any_order_of_arrival_the_final_lessons_are_the_same(
    said: list[tuple[str, int]], dice: random.Random
) -> None:
    """Orders, refunds and sales' words overtake each other on the way; what is judged by must not."""
    say = {"outcome": order, "refund": refund, "decline": decline}

    def final(words: list[tuple[str, int]]) -> list[tuple[str, bool, str, float]]:
        joiner = make()
        for served_at in (1_000, 400_000, 1_200_000):
            serve(joiner, served_at, 5)
        for what, at in words:
            say[what](joiner, 5, at=1_000 + at, now=1_300_000)
            joiner.resolve(1_300_000)
        lessons = joiner.resolve(2 * HORIZON)
        return ends(lessons.take(lessons.stage == Stage.MATURE))

    assert final(said) == final(dice.sample(said, len(said)))


def test_an_order_after_several_snapshots_is_one_cause_of_several_positives() -> None:
    joiner = make()
    serve(joiner, 1_000, 5)
    serve(joiner, 150_000, 5, 6)
    order(joiner, 5, at=200_000, now=200_000)
    order(joiner, 6, at=210_000, now=210_000)
    lessons = joiner.resolve(210_250)
    positive = lessons.take(lessons.outcome)
    assert list(zip(positive.snapshot.tolist(), positive.cause.tolist(), strict=True)) == [
        (0, 0),
        (1, 0),
        (2, 1),
    ]
    assert lessons.take(~lessons.outcome).cause.tolist() == [-1]


def test_the_ending_of_one_state_is_that_of_many() -> None:
    states = range(32)
    assert [_ending_of(state) for state in states] == _ending(np.array(states)).tolist()
