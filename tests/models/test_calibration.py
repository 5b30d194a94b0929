"""Calibration and reasons: probabilities that mean what they say, and parts that add up to them."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontrow.core.features import COUNT
from frontrow.core.scoring import Weights, sigmoid
from frontrow_models.calibration import (
    BIAS,
    FALLS,
    KNEE,
    ROOM_BIAS,
    ROOMS,
    SLOPE,
    TAILS,
    Calibration,
    CalibrationOptions,
    Calibrator,
    CalibratorState,
    raw_logits,
)
from frontrow_models.evaluation.ranking import roc_auc
from frontrow_models.evaluation.reliability import calibration_error, calibration_ratio, reliability_curve
from frontrow_models.reasons import explain

LABELS = 5_000


def world(seed: int, *, labels: int, slope: float, bias: float, base: float) -> tuple[list[str], Any, Any]:
    """Rooms, raw logits of a model that is off by a line, outcomes; each of 20 rooms has a shock that no model sees."""
    dice = np.random.default_rng(seed)
    truth = dice.normal(base, 1.0, labels)
    room = dice.integers(0, 20, labels)
    outcomes = dice.random(labels) < 1 / (1 + np.exp(-(truth + dice.normal(0, 0.3, 20)[room])))
    return [f"p/{number}" for number in room.tolist()], (truth - bias) / slope, outcomes


@pytest.mark.parametrize(
    ("slope", "bias", "base"), [(0.5, -1.0, -3.5), (2.0, 1.0, -3.5), (0.6, -0.5, -2.2), (1.8, 0.7, -2.5)]
)
@pytest.mark.parametrize("seed", range(3))
def test_after_5000_labels_the_calibration_error_is_below_two_percent(
    slope: float, bias: float, base: float, seed: int
) -> None:
    rooms, raw, outcomes = world(seed, labels=LABELS + 30_000, slope=slope, bias=bias, base=base)
    calibrator = Calibrator()
    calibrator.learn(rooms[:LABELS], raw[:LABELS], outcomes[:LABELS])
    assert calibrator.enough
    p = calibrator.calibration.probabilities(raw[LABELS:], rooms[LABELS:])
    error = calibration_error(reliability_curve(p, outcomes[LABELS:]))
    before = calibration_error(reliability_curve(sigmoid(raw[LABELS:]), outcomes[LABELS:]))
    assert error is not None and before is not None
    assert error < 0.02 < before  # as it was, it would not have passed


def test_a_right_model_is_left_as_it_is() -> None:
    rooms, raw, outcomes = world(1, labels=20_000, slope=1.0, bias=0.0, base=-3.0)
    calibrator = Calibrator()
    calibrator.learn(rooms, raw, outcomes)
    assert calibrator.calibration.slope == pytest.approx(1.0, abs=0.08)
    assert calibrator.calibration.bias == pytest.approx(0.0, abs=0.2)


def test_until_there_are_enough_of_both_outcomes_it_is_the_identity_and_nothing_is_shown() -> None:
    rooms, raw, outcomes = world(2, labels=6_000, slope=0.5, bias=-1.0, base=-2.5)
    calibrator = Calibrator()
    enough = int(np.flatnonzero(np.cumsum(outcomes) == 200)[0])
    calibrator.learn(rooms[:enough], raw[:enough], outcomes[:enough])
    now = calibrator.calibration
    assert (calibrator.positives, now.enough, now.shown(raw, rooms)) == (199, False, None)
    assert (now.logits(raw, rooms) == raw).all()
    assert (now.probabilities(raw, rooms) == sigmoid(raw)).all()
    calibrator.learn(rooms[enough : enough + 1], raw[enough : enough + 1], outcomes[enough : enough + 1])
    later = calibrator.calibration
    shown = later.shown(raw, rooms)
    assert later.enough and shown is not None and np.max(abs(shown - sigmoid(raw))) > 0.01
    assert now.shown(raw, rooms) is None  # what was handed out does not change


def test_positives_alone_are_not_enough() -> None:
    calibrator = Calibrator()
    calibrator.learn(["p/r"] * 500, np.zeros(500), np.ones(500, bool))
    assert not calibrator.enough and calibrator.calibration == Calibration()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 900), max_size=6), st.integers(0, 6))
def test_the_state_is_the_same_over_any_cut_and_restart(places: list[int], restart: int) -> None:
    rooms, raw, outcomes = world(3, labels=900, slope=0.7, bias=0.3, base=-1.5)
    whole, pieces = Calibrator(), Calibrator()
    whole.learn(rooms, raw, outcomes)
    ends = [*sorted(places), 900]
    for number, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        if number == restart:
            state = msgspec.json.decode(msgspec.json.encode(pieces.state()))
            pieces = Calibrator()
            pieces.load(state)
        pieces.learn(rooms[start:end], raw[start:end], outcomes[start:end])
    assert msgspec.json.encode(pieces.state()) == msgspec.json.encode(whole.state())
    assert pieces.calibration.probabilities(raw, rooms).tobytes() == (
        whole.calibration.probabilities(raw, rooms).tobytes()
    )


def test_it_finds_the_line_that_a_fit_over_all_labels_finds() -> None:
    rooms, raw, outcomes = world(4, labels=15_000, slope=0.6, bias=-0.7, base=-2.5)
    still = CalibrationOptions(
        half_life=1e9, room_half_life=1e9, spread_slope=0.5, spread_room=1e-6, tail=0.0, spread_tail=1e-6
    )
    calibrator = Calibrator(still)
    calibrator.learn(rooms, raw, outcomes)
    x = np.column_stack([raw, np.ones(len(raw))])
    line, prior = np.array([1.0, 0.0]), np.diag([4.0, 1.0])
    for _ in range(30):  # Newton on the penalised likelihood of all labels at once
        p = sigmoid(x @ line)
        slope = x.T @ (outcomes - p) - prior @ (line - [1.0, 0.0])
        line = line + np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + prior, slope)
    assert calibrator.calibration.slope == pytest.approx(line[0], abs=0.02)
    assert calibrator.calibration.bias == pytest.approx(line[1], abs=0.05)


def test_a_step_is_the_fading_newton_step_that_is_written_down() -> None:
    rooms, raw, outcomes = world(9, labels=600, slope=0.6, bias=-0.7, base=-1.5)
    options = CalibrationOptions(
        half_life=150, room_half_life=30, spread_slope=0.4, spread_bias=0.8, spread_room=0.5, tail=-0.3, spread_tail=0.6
    )  # fmt: skip
    line, anchor = np.array([1.0, 0.0, -0.3]), np.array([1.0, 0.0, -0.3])
    prior = np.diag([0.4**-2, 0.8**-2, 0.6**-2])
    known, own = np.zeros((3, 3)), {room: (0.0, 0.0) for room in rooms}
    keep, room_keep = 2 ** (-1 / 150), 2 ** (-1 / 30)
    for room, z, y in zip(rooms, raw, outcomes, strict=True):
        x, (bias, sure) = np.array([z, 1.0, np.log1p(np.exp(z - KNEE))]), own[room]
        p = 1 / (1 + np.exp(-(line @ x + bias)))
        known = keep * known + p * (1 - p) * np.outer(x, x)
        line = line + np.linalg.solve(known + prior, (y - p) * x - (1 - keep) * prior @ (line - anchor))
        sure = room_keep * sure + p * (1 - p)
        own[room] = (bias + ((y - p) - (1 - room_keep) * 0.5**-2 * bias) / (sure + 0.5**-2), sure)
    calibrator = Calibrator(options)
    calibrator.learn(rooms, raw, outcomes)
    state = calibrator.state()
    assert [state["slope"], state["bias"], state["tail"]] == pytest.approx(line.tolist(), abs=1e-9)
    assert {room: bias for room, bias, _ in state["rooms"]} == pytest.approx(
        {room: bias for room, (bias, _) in own.items()}, abs=1e-9
    )


def test_the_order_of_a_room_never_turns_over_whatever_is_learnt() -> None:
    dice = np.random.default_rng(5)
    raw = dice.normal(0, 5, 4_000)
    calibrator = Calibrator(CalibrationOptions(spread_slope=2.0, spread_tail=2.0))
    for count in range(100, 4_001, 100):
        part = slice(count - 100, count)
        calibrator.learn(["p/r"] * 100, raw[part], raw[part] < 0)  # the worst model there is
        now = calibrator.calibration
        assert now.slope >= SLOPE[0] > 0 and abs(now.bias) <= BIAS and now.tail >= -FALLS * now.slope
        assert (np.diff(now.logits(np.linspace(-8.0, 8.0, 81), ["p/r"] * 81)) > 0.0).all()
    assert now.slope < 1.01 * SLOPE[0]
    assert roc_auc(now.logits(raw, ["p/r"] * 4_000), raw > 0) == 1.0


def test_a_room_has_a_bias_of_its_own_once_it_has_labels_and_a_new_one_hardly() -> None:
    dice = np.random.default_rng(6)
    raw = dice.normal(-2, 1, 20_000)
    rooms = np.where(np.arange(20_000) % 4 == 0, "p/hot", "p/cold")
    y = dice.random(20_000) < sigmoid(raw + np.where(rooms == "p/hot", 0.8, -0.3))
    calibrator = Calibrator()
    calibrator.learn(rooms.tolist(), raw, y)
    calibrator.learn(["p/new"] * 5, np.full(5, -2.0), np.ones(5, bool))
    own = calibrator.calibration.rooms
    assert own["p/hot"] - own["p/cold"] == pytest.approx(1.1, abs=0.25)
    assert 0 < own["p/new"] < 0.4
    for room in ("p/hot", "p/cold"):
        rows = rooms == room
        ratio = calibration_ratio(
            calibrator.calibration.probabilities(raw[rows], [room] * int(rows.sum())), y[rows]
        )
        assert ratio is not None and ratio.value == pytest.approx(1.0, abs=0.1)
    unknown = calibrator.calibration.logits(np.array([-2.0]), ["p/never seen"])
    now = calibrator.calibration
    assert unknown[0] == now.slope * -2.0 + now.bends(np.array([-2.0]))[0] + now.bias


def test_rooms_are_bounded_and_the_longest_quiet_is_forgotten_first() -> None:
    calibrator = Calibrator()
    rooms = [f"p/{number}" for number in range(ROOMS)] + ["p/0", "p/new"]
    calibrator.learn(rooms, np.zeros(len(rooms)), np.ones(len(rooms), bool))
    kept = [room for room, _, _ in calibrator.state()["rooms"]]
    assert len(kept) == ROOMS and kept[-2:] == ["p/0", "p/new"] and "p/1" not in kept


def test_absurd_logits_are_refused_or_bounded() -> None:
    calibrator = Calibrator()
    calibrator.learn(["p/r"] * 3, np.array([np.nan, np.inf, -np.inf]), np.ones(3, bool))
    assert (calibrator.refused, calibrator.labels) == (3, 0)
    rooms, raw, outcomes = world(7, labels=4_000, slope=1.0, bias=0.0, base=-2.0)
    calibrator.learn(rooms, raw, outcomes)
    before = calibrator.calibration
    calibrator.learn(["p/0"], np.array([1e300]), np.zeros(1, bool))
    assert abs(calibrator.calibration.slope - before.slope) < 0.1
    calibrator.learn(["p/r"] * 5_000, np.full(5_000, -8.0), np.ones(5_000, bool))
    now = calibrator.calibration
    assert SLOPE[0] <= now.slope <= SLOPE[1] and abs(now.bias) <= BIAS
    assert all(abs(bias) <= ROOM_BIAS for bias in now.rooms.values())


def test_it_follows_a_model_that_changes_but_slowly() -> None:
    rooms, raw, outcomes = world(8, labels=80_000, slope=1.0, bias=0.0, base=-2.5)
    calibrator = Calibrator()
    calibrator.learn(rooms, raw, outcomes)

    def told(logit: float) -> float:
        return float(calibrator.calibration.logits(np.array([logit]), ["p/new"])[0])

    was = told(-2.5)
    calibrator.learn(rooms[:1_000], raw[:1_000] + 1, outcomes[:1_000])
    soon = told(-1.5) - was
    calibrator.learn(rooms, raw + 1, outcomes)
    assert soon > 0.6
    assert abs(told(-1.5) - was) < 0.35


def test_raw_logits_are_those_of_the_served_probabilities() -> None:
    z = np.linspace(-25, 25, 101)
    assert raw_logits(sigmoid(z)) == pytest.approx(z, abs=1e-4)
    assert raw_logits(np.array([0.0, 1.0])).tolist() == [-30.0, 30.0]


@settings(max_examples=60)
@given(
    st.integers(0, 10_000),
    st.floats(*SLOPE),
    st.floats(-BIAS, BIAS),
    st.floats(-ROOM_BIAS, ROOM_BIAS),
    st.floats(*TAILS),
)
def test_reasons_sum_to_the_raw_and_to_the_calibrated_logit(
    seed: int, slope: float, bias: float, own: float, tail: float
) -> None:
    dice = np.random.default_rng(seed)
    weights = Weights(
        dice.normal(0, 2, COUNT),
        dice.choice(np.array([0.0, 0.02, 1.0, 3.0]), COUNT),
        dice.normal(0, 3, COUNT),
        -2.0,
    )
    inputs = dice.random((1, COUNT)) * 5
    plain = explain(weights, Calibration(), inputs, "p/own")
    assert plain.raw_logit == plain.logit == weights.logits(inputs)[0]
    assert abs(plain.intercept + sum(part.logit for part in plain.parts) - plain.raw_logit) < 1e-9
    assert len(plain.parts) == COUNT
    calibration = Calibration(slope, bias, {"p/own": own}, True, tail)
    found, other = (explain(weights, calibration, inputs, room) for room in ("p/own", "p/other"))
    assert found.logit == calibration.logits(weights.logits(inputs), ["p/own"])[0]
    assert found.probability == sigmoid(np.array([found.logit]))[0]
    calibrated = found.calibrated_intercept + sum(part.calibrated for part in found.parts)
    assert abs(calibrated - found.logit) < 1e-9
    assert found.raw_logit == plain.raw_logit
    assert found.calibrated_intercept - other.calibrated_intercept == pytest.approx(own, abs=1e-9)


def test_a_label_that_stands_for_four_calibrates_as_four_do() -> None:
    """A quarter of the snapshots is kept while too many come: the other half of the labels must not outweigh them."""
    dice = np.random.default_rng(8)
    raw = np.full(8_000, -1.0)
    first = dice.random(4_000) < 0.5  # all are kept
    then = dice.random(4_000) < 0.1  # of four times as many
    outcomes = np.concatenate((first, then))
    order = dice.permutation(8_000)
    weights = np.repeat([1.0, 4.0], 4_000)
    calibrator = Calibrator(CalibrationOptions(half_life=1e6, room_half_life=1e6))
    calibrator.learn(["a/1"] * 8_000, raw[order], outcomes[order], weights[order])
    told = float(calibrator.calibration.probabilities(np.array([-1.0]), ["a/1"])[0])
    assert abs(told - (0.5 + 4 * 0.1) / 5) < 0.02


def test_high_numbers_that_promise_too_much_are_bent_and_the_low_ones_left() -> None:
    """A line cannot: what it takes off the high ones it takes off all."""
    dice = np.random.default_rng(12)
    raw = dice.normal(-3.0, 1.5, 60_000)
    truth = raw - 0.6 * np.logaddexp(0.0, raw - KNEE)
    y = dice.random(60_000) < sigmoid(truth)
    line, bent = Calibrator(CalibrationOptions(tail=0.0, spread_tail=1e-6)), Calibrator()
    for each in (line, bent):
        each.learn(["p/r"] * 40_000, raw[:40_000], y[:40_000])
    later = slice(40_000, None)
    high = raw[later] > 0.0
    told = [each.calibration.probabilities(raw[later], ["p/r"] * 20_000) for each in (line, bent)]
    off = [abs(float(p[high].mean() - sigmoid(truth[later])[high].mean())) for p in told]
    assert off[1] < 0.02 < off[0]
    assert abs(float(told[1][~high].mean() - sigmoid(truth[later])[~high].mean())) < 0.005


def test_before_anything_is_known_high_numbers_are_believed_to_promise_too_much() -> None:
    calibrator = Calibrator(CalibrationOptions(least=1))
    calibrator.learn(["p/r"] * 2, np.array([-5.0, -5.0]), np.array([False, True]), shared=1e6)
    high, low = calibrator.calibration.logits(np.array([1.0, -6.0]), ["p/r"] * 2)
    assert high < 0.0 and low == pytest.approx(-6.0, abs=0.02)


def test_ten_looks_that_share_an_outcome_say_as_much_as_one() -> None:
    """Else two orders would be believed as twenty."""
    raw, y = np.full(300, -3.0), np.arange(300) % 7 == 0
    once, shared = (
        Calibrator(CalibrationOptions(least=1, half_life=1e9, room_half_life=1e9)) for _ in range(2)
    )
    once.learn(["p/r"] * 300, raw, y)
    shared.learn(["p/r"] * 3_000, np.repeat(raw, 10), np.repeat(y, 10), shared=10.0)
    told = [each.calibration.logits(np.array([-3.0]), ["p/r"])[0] for each in (once, shared)]
    assert told[0] == pytest.approx(told[1], abs=0.02)
    full = Calibrator(CalibrationOptions(least=1, half_life=1e9, room_half_life=1e9))
    full.learn(["p/r"] * 3_000, np.repeat(raw, 10), np.repeat(y, 10))
    sure = [known for each in (once, shared, full) for _, _, known in each.state()["rooms"]]
    assert sure[1] == pytest.approx(sure[0], rel=0.05) and sure[2] > 5 * sure[0]


def test_a_version_of_before_the_bend_goes_on_as_it_was() -> None:
    rooms, raw, outcomes = world(10, labels=3_000, slope=0.6, bias=-0.5, base=-2.0)
    calibrator = Calibrator()
    calibrator.learn(rooms, raw, outcomes)
    new = ("tail", "known_tail")
    older = {name: value for name, value in calibrator.state().items() if name not in new}
    msgspec.convert(older, CalibratorState)
    calibrator.load(older)
    now = calibrator.calibration
    assert now.tail == 0.0
    own = now.rooms.get("p/0", 0.0)
    assert now.logits(np.array([1.5]), ["p/0"])[0] == now.slope * 1.5 + now.bias + own
