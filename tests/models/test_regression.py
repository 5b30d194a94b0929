"""What learns is River's arithmetic: the same bits as River's own object, whatever it is taught."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import optim

from frontrow.core.features import COUNT, as_mapping
from frontrow_models.online import ModelOptions, OnlineModel
from frontrow_models.regression import Regression, slope

OPTIONS = st.builds(
    ModelOptions,
    learning_rate=st.floats(1e-3, 1.0),
    intercept_rate=st.floats(1e-4, 1.0),
    l2=st.just(0.0) | st.floats(1e-6, 0.1),
    expected_rate=st.floats(1e-4, 0.9),
    warm_up=st.just(50),
)


def warm(options: ModelOptions, dice: np.random.Generator) -> OnlineModel:
    """A model that may learn; its first feature never varies."""
    model = OnlineModel(options)
    served = dice.exponential(1.0, (50, COUNT))
    served[:, 0] = 1.0
    model.observe(served)
    return model


@settings(max_examples=40, deadline=None)
@given(
    options=OPTIONS,
    seed=st.integers(0, 2**32 - 1),
    spread=st.sampled_from((0.1, 1.0, 100.0)),
    share=st.sampled_from((0.0, 0.03, 0.5, 1.0)),
)
def test_it_learns_what_river_learns_to_the_bit(
    options: ModelOptions, seed: int, spread: float, share: float
) -> None:
    dice = np.random.default_rng(seed)
    model = warm(options, dice)
    inputs = (dice.exponential(spread, (60, COUNT)) * (dice.random((60, COUNT)) < 0.7)).astype(np.float32)
    outcomes, weights = dice.random(60) < share, dice.random(60) * 3.0
    scaled = model.weights().scaled(inputs.astype(np.float64))
    river = model.river()
    for place, (row, outcome, weight) in enumerate(
        zip(scaled.tolist(), outcomes.tolist(), weights.tolist(), strict=True)
    ):
        river.intercept_lr = optim.schedulers.Constant(model.intercept_rate)
        river.learn_one(as_mapping(row), outcome, w=weight)
        one = slice(place, place + 1)
        model.learn(inputs[one], outcomes[one], weights[one])

    taught = model.state()
    assert taught["descent"] == {"weights": list(river.weights.values()), "intercept": river.intercept}
    assert taught["squares"] == list(river.optimizer.g2.values())
    assert taught["iterations"] == river.optimizer.n_iterations
    assert any(taught["weights"])


def test_what_serves_is_the_running_mean_of_what_was_learnt() -> None:
    """One buyer's looks move what serves as far as they last, and a model that began wrong is not held to its beginning."""
    dice = np.random.default_rng(8)
    regression = Regression(3, rate=0.1, l2=0.0, first=1.0, intercept=0.0, memory=50.0)
    weights, intercepts = np.zeros(3), 0.0
    for number in range(1, 301):
        regression.step(dice.normal(size=3).tolist(), bool(dice.random() < 0.3), 1.0, 0.05)
        share = max(1.0 / 50.0, 8.0 / (number + 8.0))
        weights = weights + share * (np.array(regression.weights) - weights)
        intercepts += share * (regression.intercept - intercepts)
    assert np.allclose(regression.mean_weights, weights, rtol=1e-12)
    assert regression.mean_intercept == pytest.approx(intercepts, rel=1e-12)
    assert regression.mean_weights != regression.weights


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    spread=st.sampled_from((1e-9, 0.1, 1.0, 100.0)),
    l2=st.just(0.0) | st.floats(1e-6, 0.1),
    lessons=st.integers(0, 80),
)
def test_the_compiled_steps_are_those_of_python_to_the_bit(
    kernel_present: None, seed: int, spread: float, l2: float, lessons: int
) -> None:
    dice = np.random.default_rng(seed)
    inputs = dice.normal(0.0, spread, (lessons, COUNT)) * (dice.random((lessons, COUNT)) < 0.7)
    outcomes, counts = dice.random(lessons) < 0.2, dice.normal(0.5, 2.0, lessons)
    rates = dice.random(lessons)
    at_once, one_by_one = (
        Regression(COUNT, rate=0.02, l2=l2, first=1.0, intercept=-3.0, memory=30.0) for _ in range(2)
    )
    at_once.steps(inputs, outcomes, counts, rates)
    for row, outcome, count, rate in zip(
        inputs.tolist(), outcomes.tolist(), counts.tolist(), rates.tolist(), strict=True
    ):
        one_by_one.step(row, outcome, count, rate)
    assert at_once.weights == one_by_one.weights
    assert at_once.squares == one_by_one.squares
    assert (at_once.intercept, at_once.iterations) == (one_by_one.intercept, one_by_one.iterations)
    assert (at_once.mean_weights, at_once.mean_intercept) == (
        one_by_one.mean_weights,
        one_by_one.mean_intercept,
    )


@given(logit=st.floats(-50.0, 50.0), outcome=st.booleans())
def test_a_slope_is_that_of_rivers_log_loss(logit: float, outcome: bool) -> None:
    assert slope(logit, outcome) == optim.losses.Log().gradient(outcome, logit)


@pytest.mark.parametrize("cut", [1, 7, 64])
def test_what_is_learnt_does_not_depend_on_how_lessons_were_cut(cut: int) -> None:
    dice = np.random.default_rng(4)
    inputs, outcomes = dice.exponential(1.0, (200, COUNT)).astype(np.float32), dice.random(200) < 0.1
    weights = dice.random(200)
    whole, parts = (warm(ModelOptions(warm_up=50), np.random.default_rng(5)) for _ in range(2))
    whole.learn(inputs, outcomes, weights)
    for start in range(0, 200, cut):
        part = slice(start, start + cut)
        parts.learn(inputs[part], outcomes[part], weights[part])
    assert whole.state() == parts.state()
