"""Who is shown to find out: by chance, few, and the same in every replay."""

from typing import Any

import pytest

from frontrow.core.engine import Effects, Engine
from frontrow.core.exploration import HOUR_MS, Exploration
from frontrow.core.leads import Lead
from frontrow.core.lessons import Lessons, Stage
from frontrow_models.learner import Learner
from frontrow_models.online import ModelOptions
from tests.support.rooms import START, apply, engine, event


def test_each_is_chosen_with_the_rate_and_once_an_hour() -> None:
    exploration = Exploration(0.1, per_hour=10_000)
    names = [f"sim/a/s/v{number}" for number in range(10_000)]
    first = [exploration.chooses("sim/a", name, 5 * HOUR_MS) for name in names]
    assert 900 < sum(first) < 1_100
    again = Exploration(0.1, per_hour=10_000)
    assert [again.chooses("sim/a", name, 6 * HOUR_MS - 1) for name in names] == first
    later = [exploration.chooses("sim/a", name, 6 * HOUR_MS) for name in names]
    assert 60 < sum(a and b for a, b in zip(first, later, strict=True)) < 140, "another draw each hour"


def test_a_room_has_no_more_of_them_in_an_hour_than_it_may_also_after_a_restart() -> None:
    exploration = Exploration(1.0, per_hour=3)
    assert [exploration.chooses("sim/a", f"v{number}", 0) for number in range(5)] == [True] * 3 + [False] * 2
    again = Exploration(1.0, per_hour=3)
    again.load(exploration.state())
    assert not again.chooses("sim/a", "v9", HOUR_MS - 1)
    assert again.chooses("sim/b", "v9", HOUR_MS - 1)
    assert again.chooses("sim/a", "v9", HOUR_MS)


def exploring(rate: float, **options: Any) -> Engine:
    learner = Learner(ModelOptions(), window_ms=120_000)
    given: dict[str, Any] = {"exploration": rate, "exploration_points": 40, "report_learning": True}
    return engine(model=learner, **{**given, **options})


WARM = (event("product_click", 0), event("cart_add", 1))  # 50 of 80 points
TICK = event("tick", 2, viewer=None)


def leads_of(effects: Effects) -> list[tuple[str, str, int, float | None]]:
    def told(lead: Lead) -> tuple[str, str, int, float | None]:
        return lead.viewer, lead.grade, lead.points, lead.propensity

    return list(map(told, effects.leads))


def test_whoever_is_just_not_hot_may_be_shown_and_the_lead_says_so_with_its_chance() -> None:
    under_test = exploring(1.0)
    assert leads_of(apply(under_test, *WARM, TICK)) == [("v1", "warm", 50, 1.0)]
    [score] = under_test.scores([0], under_test.now)
    assert (score.grade, score.hot_at) == ("warm", None)
    assert leads_of(apply(under_test, event("like", 5), event("tick", 6, viewer=None))) == [], (
        "once a session"
    )


@pytest.mark.parametrize(
    "options", [{"exploration": 0.0}, {"exploration_points": 30}, {"exploration_per_hour": 0}]
)
def test_by_default_and_beyond_its_bounds_nobody_is_shown(options: dict[str, float]) -> None:
    assert leads_of(apply(exploring(1.0, **options), *WARM, TICK)) == []


def test_staff_are_never_shown() -> None:
    assert leads_of(apply(exploring(1.0), *WARM, event("like", 1.1, staff=True), TICK)) == []


def test_who_was_shown_and_turns_hot_is_no_second_lead_but_hot() -> None:
    under_test = exploring(1.0)
    apply(under_test, *WARM, TICK)
    later = apply(under_test, event("form_submit", 30), event("tick", 31, viewer=None))
    assert leads_of(later) == []
    [score] = under_test.scores([0], under_test.now)
    assert (score.grade, score.hot_at) == ("hot", START + 30_000)


def test_what_was_served_of_a_viewer_tells_with_which_chance_they_were_shown_then() -> None:
    under_test = exploring(0.5, exploration_per_hour=1_000, snapshot_every_ms=10_000)
    viewers = [f"v{number}" for number in range(60)]
    warm = [
        each
        for name in viewers
        for each in (event("product_click", 0, viewer=name), event("cart_add", 0, viewer=name))
    ]
    chosen = {viewer for viewer, *_ in leads_of(apply(under_test, *warm, TICK))}
    assert 15 < len(chosen) < 45
    hot = event("form_submit", 20, viewer="v0", consent=False)
    after = [event("like", 25, viewer=name) for name in ("cold", *viewers)]
    done = apply(
        under_test, hot, *after, event("tick", 4_000, viewer=None), event("tick", 4_060, viewer=None)
    )
    lessons = Lessons.joined(done.lessons)
    final = lessons.take(lessons.stage == Stage.MATURE)
    first, later = final.reached[:60], final.reached[60:]
    assert len(final) == 121
    assert sorted(set(first.tolist())) == [0.0, 0.5]
    assert int((first == 0.5).sum()) == len(chosen)
    assert sorted(set(later.tolist())) == [0.0, 0.5, 1.0]
    assert int((later == 1.0).sum()) == 1
    assert int((later == 0.5).sum()) == len(chosen - {"v0"})
