"""What the daemon tells of its model, beside what the model itself tells."""

import asyncio
from typing import Any

import numpy as np
from structlog.testing import capture_logs

from frontrow.app.learning import FOLLOWED, Learning
from frontrow.config import OutcomeConfig
from frontrow.core.engine import Engine
from frontrow.core.events import Event
from frontrow.core.features import COUNT
from frontrow.core.lessons import Stage
from frontrow.core.outcomes import OutcomeRules
from frontrow_models.learner import Learner
from frontrow_models.online import ModelOptions
from frontrow_models.versions import Outcome
from tests.support.clock import ManualClock
from tests.support.lessons import fresh_lessons
from tests.support.rooms import START, apply, engine, event
from tests.support.versions import version

MINUTE_S, HOUR_S = 60.0, 3_600.0
WINDOW_MS = 120_000


def learning_of(watched: Engine, **more: Any) -> Learning:
    return Learning(
        watched,
        (),
        window_ms=WINDOW_MS,
        outcome=OutcomeConfig(),
        clock=ManualClock(START),
        **more,
    )


def test_the_time_from_hot_to_purchase_is_told_once_the_horizon_has_passed() -> None:
    """Before that, only those who buy at once would be known, and everybody would seem quick."""
    watched = engine(model=Learner(ModelOptions(), window_ms=WINDOW_MS))
    learning = learning_of(watched)

    def hear(*events: Event) -> None:
        learning.durable(apply(watched, *events))

    hot = [event("form_submit", 0, viewer=v) for v in "abc"] + [
        event("product_click", 1, viewer=v) for v in "abc"
    ]
    told = learning.told()["hot_to_outcome"]
    assert (told.hot, told.median_s) == (0, None)
    hear(*hot)
    told = learning.told()["hot_to_outcome"]
    assert (told.hot, told.outcomes) == (0, 0)
    hear(event("order_paid", 4 * MINUTE_S, viewer="a"), event("order_paid", 20 * MINUTE_S + 1, viewer="b"))
    hear(event("like", HOUR_S + 2, viewer="z"))
    told = learning.told()["hot_to_outcome"]
    assert (told.hot, told.outcomes, told.share_within) == (3, 2, 0.5)
    assert told.median_s == 12 * MINUTE_S - 0.5


def test_leads_are_followed_in_bounded_memory() -> None:
    watched = engine(model=Learner(ModelOptions(), window_ms=WINDOW_MS))
    learning = learning_of(watched)
    count = FOLLOWED + 50
    learning.durable(
        apply(
            watched,
            *(
                event(k, n / 100, viewer=f"v{n}")
                for n in range(count)
                for k in ("form_submit", "product_click")
            ),
        )
    )
    learning._followed.keep(FOLLOWED)
    assert len(learning._followed.leads) == len(learning._followed._waiting) == FOLLOWED
    assert learning._followed.leads[-1].viewer == f"v{count - 1}"


async def test_an_alarm_is_logged_with_the_version_that_leads_after_it() -> None:
    """The guard may have gone back to what came from another version, or from none."""
    other = version(outcome=Outcome.of(OutcomeRules(kinds=frozenset({"like"})), 90_000))
    ours = Outcome.of(OutcomeRules(), 3_600_000)
    model = Learner(ModelOptions(), window_ms=WINDOW_MS, versions=lambda name: other, outcome=ours)
    model.promote("a" * 64, START)
    learning = learning_of(engine(model=model))
    lessons = fresh_lessons(np.zeros((2, COUNT), np.float32), np.array([True, False]))
    model._online._regression.intercept = float("nan")
    model._online._weights = None
    model.learn(lessons)
    assert model.rollbacks == 1
    with capture_logs() as logs:
        await learning._judge(model)
    [told] = [each for each in logs if each["event"] == "model_alarm"]
    assert (told["rolled_back"], told["leads"]) == (True, None)


async def test_a_version_of_another_outcome_is_told_of_until_this_one_has_proven_it() -> None:
    likes = Outcome.of(OutcomeRules(kinds=frozenset({"like"})), 90_000)
    ours, other = Outcome.of(OutcomeRules(), 3_600_000), version(outcome=likes)
    model = Learner(ModelOptions(), window_ms=WINDOW_MS, versions=lambda name: other, outcome=ours)
    learning = learning_of(engine(model=model), predicts=lambda name: likes)
    assert learning.other_outcome is None
    model.promote("a" * 64, START)
    with capture_logs() as logs:
        await learning._ask_champion(model)
    assert [each["event"] for each in logs] == ["champion_of_another_outcome"]
    assert learning.other_outcome == likes
    model.foreign = False  # as calm windows of the guard leave it
    assert learning.other_outcome is None


async def test_what_is_known_is_judged_at_once_after_a_restart() -> None:
    """Else the page said for a minute that there were too few outcomes."""
    model = Learner(ModelOptions(), window_ms=WINDOW_MS)
    inputs, outcomes = np.zeros((40, COUNT), np.float32), np.arange(40) % 4 == 0
    model.learn(fresh_lessons(inputs, outcomes, stage=np.full(40, Stage.MATURE, np.uint8)))
    learning = learning_of(engine(model=model))  # whose clock nobody moves
    judging = asyncio.create_task(learning.run())
    async with asyncio.timeout(30.0):
        while learning.report is None:
            await asyncio.sleep(0)
    judging.cancel()
    assert learning.report.labels == 40
    await asyncio.gather(judging, return_exceptions=True)
