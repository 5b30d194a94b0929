"""The guard is quiet while the world stands still and the model is right, and loud soon after either is not."""

import re
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import drift

from frontrow_models.evaluation.drift import Rises
from frontrow_models.evaluation.guard import Alarm, Guard, GuardOptions


def world(seed: int, *, labels: int, clump: int = 5, base: float = -3.6) -> tuple[Any, Any, Any]:
    """True probabilities, outcomes and their numbers; each viewer has ``clump`` snapshots within a thousand labels."""
    dice = np.random.default_rng(seed)
    viewers = labels // clump
    p = 1 / (1 + np.exp(-dice.normal(base, 1, viewers)))
    y = dice.random(viewers) < p
    who = np.repeat(np.arange(viewers), clump)
    order = np.lexsort((dice.random(len(who)), who // 200))
    who = who[order]
    return p[who], y[who], np.where(y[who], who, -1)


def first_alarm(guard: Guard, kind: str, p: Any, y: Any, causes: Any) -> tuple[int, Alarm]:
    """Give labels in small steps until this alarm; return how many it took."""
    for start in range(0, len(p), 50):
        step = slice(start, start + 50)
        for alarm in guard.matured(p[step], y[step], causes[step]):
            if alarm.kind == kind:
                return start + 50, alarm
    raise AssertionError(f"no alarm of {kind} within {len(p)} labels")


@pytest.mark.parametrize("seed", range(6))
def test_a_right_model_in_a_world_that_stands_still_gives_no_alarm(seed: int) -> None:
    guard = Guard()
    p, y, causes = world(seed, labels=60_000)
    early = y & (np.random.default_rng(seed).random(len(y)) < 0.4)
    assert (
        guard.served(p) + guard.observed(p, early, np.full(len(p), 0.4)) + guard.matured(p, y, causes) == []
    )


@pytest.mark.parametrize(("off", "within"), [(3.0, 9_000), (1 / 3, 26_000)])
@pytest.mark.parametrize("seed", range(3))
def test_a_model_off_by_three_times_is_found_within_two_windows(off: float, within: int, seed: int) -> None:
    guard = Guard()
    p, y, causes = world(seed, labels=20_000)
    assert guard.matured(p, y, causes) == []
    later = [column[20_000:] for column in world(seed + 100, labels=60_000)]
    found, alarm = first_alarm(guard, "calibration", later[0] * off, later[1], later[2])
    assert found <= within and alarm.roll_back
    assert "outside [0.5, 2]" in alarm.sentence


def test_a_model_that_promises_nothing_or_whose_promises_never_come_is_found_too() -> None:
    p, y, causes = world(1, labels=30_000)
    _, nothing = first_alarm(Guard(), "calibration", np.zeros(len(p)), y, causes)
    assert nothing.sentence.startswith("0 positives were expected") and "ratio of 0.00" in nothing.sentence
    count, never = first_alarm(Guard(), "calibration", p, y & False, causes)
    assert count < 4_000 and "and 0 came" in never.sentence and "no ratio at all, outside" in never.sentence


def test_five_snapshots_of_one_order_are_not_five_orders() -> None:
    # 12 % instead of 3 % in the next hundred labels, by chance: 60 positives and 12 people.
    y = np.r_[np.ones(60, bool), np.zeros(40, bool)]
    p = np.full(100, 0.12)
    causes = np.where(y, np.arange(100) // 5, -1)
    options = GuardOptions(outcomes=40)
    assert Guard(options).matured(p, y, causes) == []
    assert [alarm.kind for alarm in Guard(options).matured(p, y, np.where(y, np.arange(100), -1))] == [
        "calibration"
    ]


def test_positives_without_a_number_are_outcomes_of_their_own() -> None:
    y, p = np.ones(60, bool), np.full(60, 0.1)
    alarms = Guard(GuardOptions(outcomes=40)).matured(p, y, np.full(60, -1))
    assert "(40 outcomes, 40 labels)" in alarms[0].sentence


def test_lost_orders_show_in_early_outcomes_before_any_label_matures() -> None:
    guard = Guard()
    p, y, _ = world(2, labels=40_000)
    assert guard.observed(p[:20_000], y[:20_000], np.ones(20_000)) == []
    alarms = guard.observed(p[20_000:28_000], np.zeros(8_000, bool), np.ones(8_000))
    assert alarms and {alarm.kind for alarm in alarms} == {"drift"}
    assert "short of what was expected rose" in alarms[0].sentence and not alarms[0].roll_back


def test_a_rise_of_the_served_loss_warns_and_a_fall_does_not() -> None:
    p, y, causes = world(3, labels=60_000)
    blind = np.full(len(p), 0.5)
    guard = Guard(GuardOptions(outcomes=10**9))
    assert guard.matured(blind[:20_000], y[:20_000], causes[:20_000]) == []
    better = slice(20_000, 40_000)
    assert guard.matured(p[better], y[better], causes[better]) == []
    alarms = guard.matured(blind[:2_000], y[:2_000], causes[:2_000])
    assert [alarm.kind for alarm in alarms] == ["drift"]
    assert re.search(r"log loss rose from 0\.1\d\d to 0\.\d{3} nats", alarms[0].sentence)


def test_numbers_that_are_none_are_told_and_reach_no_sum() -> None:
    guard = Guard()
    _, y, causes = world(4, labels=1_000)
    before = msgspec.json.encode(guard.image()["guard"].meta)
    broken = np.full(1_000, np.nan)
    assert [alarm.kind for alarm in guard.served(broken)] == ["not_finite"]
    assert guard.matured(broken, y, causes) == guard.observed(broken, y, np.ones(len(y))) == []
    assert msgspec.json.encode(guard.image()["guard"].meta) == before
    assert guard.served(np.array([0.2, np.inf]))[0].roll_back


def test_weights_are_judged_before_they_serve() -> None:
    guard = Guard(GuardOptions(greatest_weight=5))
    assert guard.weights(np.array([1.0, -5.0])) == []
    assert guard.weights(np.array([1.0, -5.1]))[0].sentence == "a weight is 5.1, beyond the bound of 5"
    assert guard.weights(np.array([1.0, np.nan, np.inf]))[0] == Alarm(
        "not_finite", "2 of 3 weights are not finite numbers", True
    )


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(0, 9_000), max_size=4), st.integers(0, 4))
def test_alarms_are_the_same_over_any_cut_and_restart(places: list[int], restart: int) -> None:
    p, y, causes = world(5, labels=9_000)
    p = np.where(np.arange(9_000) < 3_000, p, 1 - p)
    whole = Guard().matured(p, y, causes)
    assert {alarm.kind for alarm in whole} == {"calibration", "drift"}
    guard, alarms = Guard(), []
    ends = [*sorted(places), len(p)]
    for number, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        if number == restart:
            images = guard.image()
            guard = Guard()
            guard.load(images)
        alarms += guard.matured(p[start:end], y[start:end], causes[start:end])
    assert alarms == whole


def test_a_rise_is_where_river_detects_drift_upward_and_its_state_goes_on_after_a_restart() -> None:
    dice = np.random.default_rng(6)
    values = (dice.random(6_000) < np.repeat([0.1, 0.4, 0.1, 0.4], 1_500)).astype(float).tolist()
    adwin: Any = drift.ADWIN  # untyped
    reference = adwin(delta=1e-5)
    found: list[int] = []
    expected: list[int] = []
    rises = Rises(delta=1e-5)
    for place, value in enumerate(values):
        if place % 100 == 77 or (found and found[-1] == place - 1):  # also just after a cut
            image = rises.image()
            rises = Rises(delta=1e-5)
            rises.load(image)
        if rises.update([value]):
            found.append(place)
        reference.update(value)
        if reference.drift_detected:
            expected.append(place)
        assert rises._window.get_width() == reference.width
    assert len(found) == 2 and len(expected) == 3  # up, down, up
    assert found == [expected[0], expected[2]]


def test_the_state_of_another_river_is_refused() -> None:
    image = Rises(delta=0.01).image()
    image.meta["river"] = "0.1"
    with pytest.raises(ValueError, match=r"is of River 0\.1"):
        Rises(delta=0.01).load(image)
