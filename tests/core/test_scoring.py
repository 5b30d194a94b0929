"""Scoring by arrays is River's own arithmetic; the parts are the logit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from frontrow.core.features import COUNT, NAMES
from frontrow.core.scoring import sigmoid
from frontrow.core.viewers import USUAL_RATE
from frontrow_models.online import ModelOptions, OnlineModel

ROWS = hnp.arrays(np.float64, st.tuples(st.integers(1, 30), st.just(COUNT)), elements=st.floats(0, 25))


def taught(seed: int = 0, *, labels: int = 200, constant: int = 3) -> OnlineModel:
    """A model that has learnt; some features never varied."""
    dice = np.random.default_rng(seed)
    inputs = dice.random((300, COUNT)) * 5
    inputs[:, :constant] = 1.0
    model = OnlineModel(ModelOptions(warm_up=250))
    model.observe(inputs)
    outcomes = dice.random(labels) < inputs[:labels, 10] / 5
    model.learn(inputs[:labels].astype(np.float32), outcomes)
    return model


MODEL = taught()


@settings(max_examples=200, deadline=None)
@given(inputs=ROWS)
def test_arrays_score_as_river_does_one_by_one(inputs: np.ndarray) -> None:
    ours = MODEL.weights().probabilities(inputs)
    rivers = [MODEL.predict_one(row.tolist()) for row in inputs]
    np.testing.assert_allclose(ours, rivers, rtol=0, atol=1e-12)


def looked_at(**counts: float) -> np.ndarray:
    """One input of a viewer nothing is known of but these counts."""
    row = np.zeros((1, COUNT))
    row[0, NAMES.index("order_rate")] = np.log1p(1000.0 * USUAL_RATE)
    row[0, NAMES.index("hour_left_pct")] = np.log1p(100.0)
    for name, count in counts.items():
        row[0, NAMES.index(name)] = np.log1p(count)
    return row


def test_an_untaught_model_believes_in_the_expected_rate() -> None:
    model = OnlineModel(ModelOptions())
    assert model.weights().probabilities(looked_at())[0] == pytest.approx(0.005)
    assert model.predict_one(looked_at()[0].tolist()) == pytest.approx(0.005)


def test_from_the_first_minute_on_a_group_is_believed_as_one_and_what_is_left_of_the_hour_as_its_share() -> (
    None
):
    logits = OnlineModel(ModelOptions()).weights().logits
    alone = logits(looked_at(clicks_30m=1.0))[0]
    assert logits(looked_at(clicks_30m=1.0, same_words=3.0))[0] == pytest.approx(alone - np.log(4.0))
    assert logits(looked_at(clicks_30m=1.0, hour_left_pct=40.0))[0] == pytest.approx(alone - np.log(101 / 41))


def test_from_the_first_minute_on_who_clicks_fills_a_cart_and_asks_is_believed_by_the_points() -> None:
    """A new room has learnt nothing; a click is 30 points there, a cart 20, a question 15, and 80 tenfold odds."""
    logits = OnlineModel(ModelOptions()).weights().logits
    nobody = logits(looked_at())[0]
    fresh = {"clicks_5m": 1.0, "clicks_30m": 1.0}, {"carts_5m": 1.0, "carts_30m": 1.0}, {"questions_30m": 1.0}
    for counts, points in zip(fresh, (30, 20, 15), strict=True):
        assert logits(looked_at(**counts))[0] - nobody == pytest.approx(points / 80 * np.log(10.0))
    all_three = logits(looked_at(**fresh[0], **fresh[1], **fresh[2]))[0]
    assert all_three - nobody == pytest.approx(65 / 80 * np.log(10.0))
    for old, points in (("clicks_30m", 15), ("carts_30m", 10)):
        assert logits(looked_at(**{old: 1.0}))[0] - nobody == pytest.approx(points / 80 * np.log(10.0))
    assert logits(looked_at(comments_30m=50.0, watched_min=90.0))[0] == nobody


@settings(max_examples=50, deadline=None)
@given(inputs=ROWS)
def test_the_parts_and_the_intercept_sum_to_the_logit(inputs: np.ndarray) -> None:
    weights = MODEL.weights()
    total = weights.parts(inputs).sum(axis=1) + weights.intercept
    np.testing.assert_allclose(total, weights.logits(inputs), rtol=0, atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(inputs=ROWS)
def test_a_rows_bits_do_not_depend_on_its_company(inputs: np.ndarray) -> None:
    weights = MODEL.weights()
    together = weights.probabilities(inputs)
    alone = np.concatenate([weights.probabilities(inputs[index : index + 1]) for index in range(len(inputs))])
    assert together.tobytes() == alone.tobytes()


@pytest.mark.parametrize(
    ("logit", "expected"), [(31.0, 1.0), (-31.0, 0.0), (0.0, 0.5), (1e308, 1.0), (-1e308, 0.0)]
)
def test_the_sigmoid_saturates_where_rivers_does(logit: float, expected: float) -> None:
    assert sigmoid(np.array([logit]))[0] == expected


def test_a_copy_of_the_weights_does_not_change_when_the_model_learns() -> None:
    model = taught(1)
    before, name = model.weights(), model.version
    kept = before.weights.copy()
    model.learn(np.full((1, COUNT), 9.0, np.float32), np.array([True]))
    assert (before.weights == kept).all()
    assert model.version != name


def test_one_nan_never_reaches_a_weight() -> None:
    """A single one would make every later probability NaN."""
    model = taught(2)
    before = model.state()
    broken = np.ones((1, COUNT), np.float32)
    broken[0, 5] = np.nan
    model.learn(broken, np.array([True]))
    assert model.state() == before
    assert model.refused == 1


def test_equal_models_have_equal_states_and_names() -> None:
    assert taught(4).state() == taught(4).state()
    assert taught(4).state()["version"] != taught(5).state()["version"]
    assert taught(4).state()["features"] == list(NAMES)


def test_a_spread_of_rounding_noise_is_no_spread() -> None:
    """Dividing by it once threw a weight to 600,000 on a real recording."""
    inputs = np.full((250, COUNT), 0.1)
    inputs[1::2] += 1e-9
    inputs[:, 0] = np.arange(250) % 7
    model = OnlineModel(ModelOptions(warm_up=250))
    model.observe(inputs)
    model.learn(np.full((500, COUNT), 20.0, np.float32), np.arange(500) % 2 == 1)
    weights = model.weights()
    assert np.abs(weights.weights).max() < 10
    assert np.max(np.ptp(weights.parts(inputs)[:, 1:], axis=0)) < 1e-7


def test_nothing_is_learnt_before_the_scaler_is_frozen_and_nothing_is_lost() -> None:
    dice = np.random.default_rng(3)
    inputs = dice.random((100, COUNT))
    lessons = (inputs[:60].astype(np.float32), np.arange(60) % 3 == 0)
    early, late = OnlineModel(ModelOptions(warm_up=100)), OnlineModel(ModelOptions(warm_up=100))
    early.observe(inputs[:50])
    early.learn(*lessons)
    assert early.labels == 0
    early.observe(inputs[50:])
    late.observe(inputs)
    late.learn(*lessons)
    assert early.labels == 60
    assert early.state() == late.state()


def test_a_model_that_has_seen_buyers_only_is_not_to_be_believed() -> None:
    model = OnlineModel(ModelOptions(warm_up=2, min_labels=10, min_positives=5))
    model.observe(np.random.default_rng(1).random((2, COUNT)))
    model.learn(np.ones((50, COUNT), np.float32), np.ones(50, np.bool_))
    assert not model.ready
    model.learn(np.ones((5, COUNT), np.float32), np.zeros(5, np.bool_))
    assert model.ready


def test_the_scaler_stands_still_until_its_inputs_have_doubled_and_the_function_does_not_change_then() -> (
    None
):
    model = taught(6, constant=0)
    inputs = np.random.default_rng(8).random((40, COUNT)) * 5
    before, said = model.weights(), model.weights().logits(inputs)
    assert model.unchanged_for == 200
    model.observe(np.random.default_rng(9).random((199, COUNT)) * 9)
    assert model.weights().means.tolist() == before.means.tolist()
    model.observe(np.ones((1, COUNT)))
    after = model.weights()
    assert (after.means != before.means).all()
    assert (after.weights != before.weights).any()
    np.testing.assert_allclose(after.logits(inputs), said, rtol=0, atol=1e-9)
    assert model.unchanged_for == 500


def test_what_varies_only_later_has_a_weight_of_its_own_from_then_on() -> None:
    model = taught(6, constant=3)
    assert (model.weights().weights[:3] == 0.0).all()  # as it came: it has told nothing apart
    inputs = np.tile(model.weights().means, (200, 1))
    inputs[1::2, 0] += 2.0
    model.learn(inputs.astype(np.float32), np.arange(200) % 2 == 1)
    assert model.weights().weights[0] > 0.05
    assert model.weights().weights[1:3] == pytest.approx([0.0, 0.0], abs=1e-3)


@pytest.mark.parametrize("cut", [1, 7, 100])
def test_the_scaler_does_not_depend_on_how_inputs_were_cut(cut: int) -> None:
    inputs = np.random.default_rng(4).random((600, COUNT)) * 5
    whole, parts = OnlineModel(ModelOptions(warm_up=50)), OnlineModel(ModelOptions(warm_up=50))
    whole.observe(inputs)
    for start in range(0, 600, cut):
        parts.observe(inputs[start : start + cut])
    assert whole.state() == parts.state()


def test_an_image_goes_on_as_the_model_would_have() -> None:
    model, again = taught(6), OnlineModel(ModelOptions(warm_up=250))
    again.load(model.image())
    inputs = np.random.default_rng(4).random((300, COUNT)) * 5
    for each in (model, again):
        each.observe(inputs)
        each.learn(inputs.astype(np.float32), np.arange(300) % 3 == 0, np.linspace(0.5, 2.0, 300))
    assert again.state() == model.state()


def test_the_rate_of_outcomes_is_found_within_some_dozen_of_them_and_then_moves_slowly() -> None:
    dice = np.random.default_rng(2)
    model = OnlineModel(ModelOptions(warm_up=100))
    model.observe(dice.random((100, COUNT)))
    inputs = dice.random((1_000, COUNT)).astype(np.float32)
    model.learn(inputs, dice.random(1_000) < 0.1)
    found = model.weights().probabilities(inputs.astype(np.float64)).mean()
    assert 0.05 < found < 0.14
    model.learn(inputs[:50], np.zeros(50, np.bool_))
    assert abs(model.weights().probabilities(inputs.astype(np.float64)).mean() - found) < 0.03
