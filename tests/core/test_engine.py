"""The engine: what one frame does, and that the cut into frames does nothing."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontrow.core.engine import Engine
from frontrow.core.events import Event
from frontrow.core.features import COUNT, FADING, NAMES
from frontrow.core.frames import Frame
from frontrow.core.images import Image
from frontrow.core.leads import Lead
from frontrow.core.lessons import Ending, Lessons, Stage, window_of
from frontrow.core.outcomes import OutcomeRules
from frontrow.core.points import Policy, Rule
from frontrow.core.scoring import Matrix, Weights
from frontrow_models.learner import Learner
from frontrow_models.online import ModelOptions
from frontrow_models.simulate import Faults, Scenario, simulate
from tests.support.lessons import fresh_lessons
from tests.support.rooms import ROOM, START, apply, engine, event, facts_of


def score(of: Engine, viewer: str = "v1", session: int = 0) -> Any:
    room = of.room(ROOM.platform, ROOM.room)
    assert room is not None
    found = list(room.sessions)[session]
    return of.scores([of.viewers.directory.row_of(found.number, viewer)], of.now)[0]


def test_a_repeated_id_is_applied_once_and_not_among_the_kept() -> None:
    under_test = engine()
    effects = apply(
        under_test, event("comment", 0, text="好看", id="a"), event("comment", 1, text="好看", id="a")
    )
    assert (effects.kept.ids, effects.duplicates) == (["a"], [1])
    assert apply(under_test, event("comment", 2, text="好看", id="a")).duplicates == [0]


def test_an_id_is_remembered_for_a_day_of_engine_time_and_not_for_ever() -> None:
    under_test = engine()
    apply(under_test, event("like", 0, id="a"))
    assert apply(
        under_test, event("like", 23.9 * 3600, id="b"), event("like", 23.9 * 3600, id="a")
    ).duplicates == [1]
    late = apply(under_test, event("like", 27 * 3600, id="c"), event("like", 27 * 3600, id="a"))
    assert late.duplicates == []


def test_a_duplicate_does_not_move_time() -> None:
    """It is not journalled, so a replay could not move time by it either."""
    under_test = engine()
    apply(under_test, event("like", 0, id="a"))
    apply(under_test, event("like", 500, id="a"))
    assert under_test.now == START


def test_a_viewer_who_turns_hot_is_one_lead_however_often_it_happens() -> None:
    under_test = engine()
    first = apply(under_test, event("form_submit", 0), event("product_click", 1))
    assert [(lead.viewer, lead.points, lead.grade) for lead in first.leads] == [("v1", 80, "hot")]
    assert first.leads[0].decided_at == START + 1_000
    assert apply(under_test, event("cart_add", 2), event("comment", 3, text="多少钱")).leads == []


def products_of(*events: Event) -> list[str | None]:
    return [lead.product for lead in apply(engine(), *events).leads]


def test_a_lead_names_the_product_that_its_viewer_chose_last() -> None:
    shown = event("product_on_show", 0, viewer=None, product="on show")
    hot = event("form_submit", 3)
    assert products_of(shown, event("product_click", 1), hot) == ["on show"], "a click that names nothing"
    assert products_of(shown, event("product_click", 1, product=""), hot) == ["on show"]
    clicked = event("product_click", 1, product="a")
    assert products_of(shown, clicked, hot) == ["a"]
    assert products_of(shown, clicked, event("cart_add", 2, product="b"), hot) == ["b"]
    other = event("product_click", 2, viewer="v2", product="of another")
    assert products_of(clicked, other, hot) == ["a"]
    assert products_of(clicked, event("order_refunded", 2, product="given back"), hot) == ["a"]
    assert products_of(clicked, event("comment", 2, text="好看", product="beside a comment"), hot) == ["a"]
    assert products_of(clicked, event("cart_add", 2, product="tried", test=True), hot) == ["a"]


def test_the_product_of_a_form_is_that_of_the_lead_that_the_form_makes() -> None:
    assert products_of(event("product_click", 1, product="a"), event("form_submit", 3, product="b")) == ["b"]


def test_what_a_viewer_chose_is_of_one_broadcast() -> None:
    under_test = engine()
    apply(under_test, event("product_click", 0, session="s1", product="a"))
    later = event("product_click", 9000, session="s2"), event("form_submit", 9001, session="s2")
    assert [lead.product for lead in apply(under_test, *later).leads] == [None]


def test_of_too_many_products_the_later_are_not_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frontrow.core.viewers.PRODUCTS_BOUND", 1)
    clicks = [event("product_click", at, product=name) for at, name in enumerate(("a", "b"))]
    assert products_of(*clicks, event("form_submit", 3)) == [None], (
        "not the first, which is not meant any more"
    )
    assert products_of(*clicks, clicks[0], event("form_submit", 3)) == [None], "a duplicate is not applied"
    again = event("product_click", 2, product="a")
    assert products_of(*clicks, again, event("form_submit", 3)) == ["a"]


def test_a_lead_is_decided_at_its_event_with_the_points_of_that_moment() -> None:
    effects = apply(
        engine(), event("form_submit", 0), event("product_click", 1), event("cart_add", 2), event("like", 3)
    )
    assert [lead.points for lead in effects.leads] == [80]


def test_the_reasons_of_a_lead_add_up_to_its_points_and_its_logit() -> None:
    model = taught()
    under_test = engine(model=model)
    lead = apply(
        under_test, event("form_submit", 0), event("comment", 1, text="多少钱"), event("product_click", 2)
    ).leads[0]
    assert sum(reason.points or 0 for reason in lead.reasons if reason.kind == "rule") == lead.points
    logit = sum(reason.logit or 0.0 for reason in lead.reasons if reason.kind == "feature")
    shown = model.probabilities(np.array([logit]), [f"{ROOM.platform}/{ROOM.room}"])[
        0
    ]  # the raw logit, calibrated
    assert lead.probability == pytest.approx(shown, abs=1e-12)


def test_a_new_session_makes_a_new_lead_of_the_same_viewer() -> None:
    under_test = engine()
    leads = [
        *apply(
            under_test, event("form_submit", 0, session="s1"), event("product_click", 1, session="s1")
        ).leads,
        *apply(
            under_test, event("form_submit", 9000, session="s2"), event("product_click", 9001, session="s2")
        ).leads,
    ]
    assert [lead.session for lead in leads] == ["s1", "s2"]
    assert len({lead.lead for lead in leads}) == 2
    assert [lead.quality for lead in leads] == ["Q1", "Q2"], "who was there before can be linked"


def test_a_fan_can_be_linked_from_the_first_session_on() -> None:
    hot = [event("form_submit", 0, fan=True), event("product_click", 1, fan=True)]
    [lead] = apply(engine(), *hot).leads
    assert lead.quality == "Q2"


def test_staff_and_test_events_get_a_line_but_no_points_and_never_a_lead() -> None:
    under_test = engine()
    effects = apply(
        under_test,
        event("form_submit", 0, viewer="host", staff=True),
        event("product_click", 1, viewer="host"),
        event("form_submit", 2, viewer="tester", test=True),
        event("product_click", 3, viewer="tester", test=True),
    )
    assert effects.leads == []
    assert (score(under_test, "host").points, score(under_test, "host").staff) == (0, True)
    assert score(under_test, "tester").points == 0


def test_whoever_turns_out_to_be_staff_leaves_the_panel() -> None:
    under_test = engine()
    apply(under_test, event("product_click", 0), event("cart_add", 1))
    room = under_test.room(ROOM.platform, ROOM.room)
    assert room is not None
    assert room.sessions.current is not None
    assert list(room.sessions.current.warm) == [0]
    apply(under_test, event("comment", 2, text="hi", staff=True))
    assert list(room.sessions.current.warm) == []
    assert score(under_test).grade == "cold"


def test_a_hot_viewer_stays_hot_while_points_hover_at_the_bound() -> None:
    """Whoever flaps on the panel is trusted by nobody."""
    policy = Policy(rules=(Rule(name="click", signal="product_click", points=80, half_life_s=3600),))
    under_test = engine(policy=policy)
    apply(under_test, event("product_click", 0))
    apply(under_test, event("like", 240))  # 76 points
    assert (score(under_test).points, score(under_test).grade) == (76, "hot")
    apply(under_test, event("like", 480))  # 73 points
    assert (score(under_test).points, score(under_test).grade) == (73, "warm")


def test_a_late_event_does_not_bring_faded_points_back() -> None:
    policy = Policy(rules=(Rule(name="click", signal="product_click", points=20, repeat=0, half_life_s=60),))
    under_test = engine(policy=policy)
    effects = apply(under_test, event("product_click", 0), event("enter", -180), event("enter", -18 * 3600))
    assert effects.leads == []
    assert score(under_test).points == 20


def test_who_does_nothing_cools_where_points_fade() -> None:
    policy = Policy(rules=(Rule(name="click", signal="product_click", points=80, half_life_s=60),))
    under_test = engine(policy=policy)
    apply(under_test, event("product_click", 0), event("like", 600, viewer="v2"))
    assert (score(under_test).points, score(under_test).grade) == (0, "cold")


def test_test_data_neither_ends_a_session_nor_begins_a_stay() -> None:
    under_test = engine()
    apply(
        under_test,
        event("enter", 0, test=True),
        event("room_end", 1, viewer=None, test=True),
        event("product_click", 960),
    )
    room = under_test.room(ROOM.platform, ROOM.room)
    assert room is not None
    assert len(list(room.sessions)) == 1
    assert score(under_test).points == 30


def test_a_visit_told_by_its_length_is_not_counted_again_by_a_leave() -> None:
    under_test = engine()
    apply(
        under_test,
        event("enter", 0),
        event("stay", 480, seconds=480),
        event("leave", 1000),
        event("like", 1000),
    )
    assert under_test.viewers.watched_ms(0) == 480_000


def test_a_visit_that_goes_on_counts_beside_those_that_ended() -> None:
    under_test = engine()
    apply(under_test, event("enter", 0), event("leave", 60), event("enter", 100), event("like", 1500))
    assert under_test.viewers.watched_ms(0) == 60_000 + 1_400_000
    reason = next(each for each in score(under_test).reasons if each.name == "watched")
    assert reason.inferred


def test_a_hair_more_than_fifteen_minutes_is_more() -> None:
    under_test = engine()
    apply(under_test, event("stay", 901, seconds=900.0004))
    assert score(under_test).points == 5


def test_a_negative_value_takes_nothing_from_a_feature() -> None:
    under_test = engine(model=Learner(ModelOptions(), window_ms=120_000))
    apply(under_test, event("gift", 0, value=-(10**12)), event("gift", 1, value=100))
    inputs = under_test.inputs([0], START + 1000)
    assert inputs[0][NAMES.index("gifts_5m")] > np.log1p(2.9)


def test_an_unknown_kind_is_counted_and_makes_nobody() -> None:
    under_test = engine()
    effects = apply(under_test, event("hologram", 0))
    assert (len(effects.kept), effects.rows.tolist(), effects.unknown, under_test.rows) == (1, [-1], 1, 0)


def test_a_viewers_clock_that_runs_ahead_is_not_believed() -> None:
    under_test = engine()
    apply(under_test, event("like", 0, seen_at=START), event("like", 100_000, seen_at=START + 1))
    assert score(under_test).last_at == START + 1


def test_watching_is_observed_where_it_was_and_else_inferred_and_said_so() -> None:
    under_test = engine()
    apply(
        under_test,
        event("enter", 0, viewer="seen"),
        event("leave", 1000, viewer="seen"),
        event("like", 0, viewer="guessed"),
        event("like", 1000, viewer="guessed"),
    )
    reasons = {viewer: score(under_test, viewer).reasons[0] for viewer in ("seen", "guessed")}
    assert [(each.name, each.value, each.inferred) for each in reasons.values()] == [
        ("watched", 1000.0, False),
        ("watched", 1000.0, True),
    ]


def test_an_observation_corrects_an_estimate() -> None:
    under_test = engine()
    apply(under_test, event("like", 0), event("like", 1000))
    assert score(under_test).points == 5
    apply(under_test, event("enter", 900), event("leave", 950))
    assert score(under_test).points == 0


def test_questions_are_told_apart_in_the_reasons() -> None:
    under_test = engine()
    apply(
        under_test,
        event("comment", 0, text="多少钱"),
        event("comment", 1, text="还有货吗"),
        event("comment", 2, text="价格多少"),
    )
    reason = next(each for each in score(under_test).reasons if each.name == "question")
    assert (reason.points, reason.count) == (15, 3)
    assert reason.by is not None
    assert (reason.by["price"], reason.by["stock"]) == (2, 1)


class Listener:
    """A model that keeps what it is told to learn."""

    columns = 1
    labels = positives = final = final_positives = 0
    ready = settled = False
    version = "none"

    def __init__(self) -> None:
        self.learnt: list[tuple[str, str, bool]] = []

    def weights(self) -> Weights:
        return Weights(np.zeros(COUNT), np.zeros(COUNT), np.zeros(COUNT), 0.0)

    def probabilities(self, logits: Matrix, rooms: Sequence[str]) -> Matrix:
        return logits

    def serve(self, inputs: Matrix, rooms: Sequence[str], points: Any, at: Any) -> Any:
        return np.zeros((len(inputs), 1), np.float32)

    def learn(self, lessons: Lessons) -> None:
        told = zip(lessons.served_at.tolist(), lessons.stage.tolist(), lessons.outcome.tolist(), strict=True)
        self.learnt += [
            (f"{(at - START) / 1000:.2f}", Stage(stage).name, outcome) for at, stage, outcome in told
        ]

    def promote(self, version: str, at: int) -> None: ...

    def state(self) -> dict[str, Any]:
        return {}

    def images(self) -> dict[str, Image]:
        return {}

    def load(self, images: Mapping[str, Image]) -> None: ...


HORIZON, WINDOW = 600, 120


def learnt(*events: Event, outcome: OutcomeRules | None = None) -> list[tuple[str, str, bool]]:
    """Return (seconds at which it was served, stage, outcome) of every lesson by the end, in the order of learning."""
    model = Listener()
    under_test = engine(
        model=model,
        horizon_ms=HORIZON * 1000,
        window_ms=WINDOW * 1000,
        outcome=outcome or OutcomeRules(),
    )
    apply(under_test, *events)
    apply(under_test, event("tick", 3 * HORIZON, viewer=None), event("tick", 3 * HORIZON + 60, viewer=None))
    return model.learnt


def final(*events: Event, outcome: OutcomeRules | None = None) -> list[tuple[str, bool]]:
    """Return (seconds at which it was served, outcome) of every final lesson."""
    lessons = learnt(*events, outcome=outcome)
    return [(served_at, happened) for served_at, stage, happened in lessons if stage == "MATURE"]


def test_an_outcome_within_the_horizon_makes_a_positive_and_silence_a_negative() -> None:
    assert final(event("like", 0), event("like", 1, viewer="v2"), event("order_paid", 300)) == [
        ("0.25", True),
        ("1.25", False),
    ]


def test_what_is_known_after_the_window_is_learnt_first_and_a_later_outcome_as_it_comes() -> None:
    spans = np.full(3, HORIZON * 1000)
    windows, _ = window_of(np.arange(3), spans, shortest_ms=WINDOW * 1000, horizon_ms=HORIZON * 1000)
    assert windows[0] > windows[1] == windows[2] == WINDOW * 1000
    lessons = learnt(
        event("like", 0, viewer="a"), event("like", 1, viewer="b"), event("like", 2, viewer="c"),
        event("order_paid", 5, viewer="c"), event("order_paid", int(windows[0]) / 1000 + 60, viewer="a"),
    )  # fmt: skip
    assert [lesson for lesson in lessons if lesson[1] != "MATURE"] == [
        ("2.25", "OBSERVED", True),
        ("1.25", "OBSERVED", False),
        ("0.25", "OBSERVED", False),
        ("0.25", "LATE", True),
    ]


def test_near_the_planned_end_windows_are_as_short_as_what_is_left() -> None:
    """Nobody orders when it is over, so what is known by then is all that is to be known."""
    model = Listener()
    under_test = engine(model=model, report_learning=True)
    apply(under_test, event("room_start", 0, viewer=None, seconds=3_600.0))
    apply(under_test, event("room_stats", 1_500, viewer=None, viewers=300))
    apply(under_test, *(event("like", 3_000, viewer=f"v{number}") for number in range(300)))
    told = apply(under_test, event("tick", 3_001, viewer=None), event("tick", 8_000, viewer=None)).lessons
    fresh = Lessons.joined(told)
    fresh = fresh.take(fresh.stage == Stage.OBSERVED)
    waited = fresh.resolved_at - fresh.served_at
    assert len(fresh) == 300
    assert waited.min() == 120_000
    assert 500_000 < waited.max() <= 600_000


def test_an_outcome_is_learnt_at_the_next_mark_and_not_only_when_the_next_lessons_are_due() -> None:
    model = Listener()
    under_test = engine(model=model, horizon_ms=HORIZON * 1000, window_ms=WINDOW * 1000)
    apply(under_test, event("like", 0), event("order_paid", 5), event("tick", 5.5, viewer=None))
    assert model.learnt == [("0.25", "OBSERVED", True)]


def test_a_renewal_or_a_form_without_consent_is_no_outcome_and_feeds_no_feature_either() -> None:
    assert final(event("like", 0), event("order_paid", 5, renewal=True)) == [("0.25", False)]
    assert final(event("like", 0), event("form_submit", 5, fields={"name": "a"})) == [("0.25", False)]
    assert final(event("like", 0), event("form_submit", 5, fields={"name": "a"}, consent=True)) == [
        ("0.25", True)
    ]


def test_an_outcome_after_the_horizon_is_no_positive() -> None:
    assert final(event("like", 0), event("like", 1, viewer="v2"), event("order_paid", HORIZON + 1)) == [
        ("0.25", False),
        ("1.25", False),
    ]


def test_an_outcome_that_happened_before_the_snapshot_is_no_positive_of_it() -> None:
    """The order arrives late: at the time of the snapshot it had been paid already."""
    assert final(event("like", 60), event("like", 61, viewer="v2"), event("order_paid", 30)) == [
        ("60.25", False),
        ("61.25", False),
    ]


SALES = OutcomeRules(won=frozenset({"ordered"}))


def test_a_refund_within_the_horizon_takes_the_success_back_and_one_after_it_does_not() -> None:
    order = event("order_paid", 5, order="o1", value=990)
    refund = event("order_refunded", 90, order="o1", value=990)
    assert learnt(event("like", 0), order, refund) == [
        ("0.25", "OBSERVED", True),
        ("0.25", "WITHDRAWN", False),
        ("0.25", "OBSERVED", False),  # when its window ends, as without the order
        ("0.25", "MATURE", False),
    ]
    assert final(event("like", 0), order, event("order_refunded", HORIZON + 1)) == [("0.25", True)]


def test_a_word_of_sales_on_a_lead_is_an_outcome_of_its_viewer_whoever_the_event_names() -> None:
    named = engine(
        model=Listener(),
        horizon_ms=HORIZON * 1000,
        window_ms=WINDOW * 1000,
        outcome=SALES,
        report_learning=True,
    )
    hot = [event("product_click", 0), event("form_submit", 1), event("cart_add", 2)]
    [lead] = apply(named, *hot).leads
    won = event("lead_outcome", 30, viewer=None, lead=lead.lead, outcome="ordered", seller="s1")
    after = apply(named, won, event("tick", 31, viewer=None)).lessons
    [told] = after
    assert (told.outcome.tolist(), told.ending.tolist()) == ([True], [Ending.SUCCESS])
    assert final(*hot, event("lead_outcome", 30, outcome="ordered"), outcome=SALES)[0][1]
    assert not final(*hot, event("lead_outcome", 30, outcome="ordered", test=True), outcome=SALES)[0][1]
    assert not final(*hot, event("lead_outcome", 30, viewer="v2", outcome="ordered"), outcome=SALES)[0][1]
    assert not final(*hot, event("lead_outcome", 30, outcome="no_answer"), outcome=SALES)[0][1]


def test_whoever_is_not_interested_is_learnt_at_the_next_mark_and_not_only_after_the_window() -> None:
    model = Listener()
    under_test = engine(model=model, horizon_ms=HORIZON * 1000, window_ms=WINDOW * 1000)
    apply(under_test, event("like", 0), event("lead_outcome", 5, outcome="not_interested"))
    apply(under_test, event("tick", 5.5, viewer=None))
    assert model.learnt == [("0.25", "OBSERVED", False)]


def test_a_word_of_sales_makes_nobody_and_begins_no_session() -> None:
    under_test = engine()
    assert apply(
        under_test, event("lead_outcome", 0, viewer="nobody", outcome="not_interested")
    ).rows.tolist() == [-1]
    assert (under_test.rows, list(under_test.rooms)) == (0, [])


def test_an_outcome_in_another_session_is_the_viewers_all_the_same() -> None:
    assert final(event("like", 0, session="s1"), event("order_paid", 5, session="s2")) == [("0.25", True)]


def test_what_is_served_and_what_becomes_of_it_is_told_where_it_is_asked_for() -> None:
    under_test = engine(
        model=Learner(ModelOptions(), window_ms=WINDOW * 1000),
        horizon_ms=HORIZON * 1000,
        window_ms=WINDOW * 1000,
        report_learning=True,
    )
    first = apply(
        under_test, event("like", 0), event("like", 0, viewer="v2"), event("comment", 40, text="hi")
    )
    later = apply(under_test, event("order_paid", 50), event("tick", 2 * HORIZON, viewer=None))
    [served] = first.served
    assert served.viewers == ["v1", "v2"]
    assert served.snapshot.tolist() == [0, 1]
    assert np.isnan(served.served[:, 0]).all()  # nothing was shown: the model has learnt nothing yet
    told = [
        (int(number), Stage(stage).name)
        for part in later.lessons
        for number, stage in zip(part.snapshot, part.stage, strict=True)
    ]
    assert (0, "OBSERVED") in told
    assert (1, "MATURE") in told


def test_an_order_shows_in_its_viewers_features_only_in_later_sessions() -> None:
    """A gift of five is told as six events: whoever sees the first of them could foretell the others."""
    rate, of_room = NAMES.index("order_rate"), NAMES.index("room_orders_30m")

    def inputs(*events: Event) -> Any:
        under_test = engine(model=Learner(ModelOptions(), window_ms=120_000))
        apply(under_test, *events)
        row = score(under_test, session=-1).row
        return under_test.inputs([row], START + 20_000_000)[0]

    quiet = inputs(event("like", 0, session="s1"), event("like", 1, session="s1"))
    bought = inputs(event("like", 0, session="s1"), event("order_paid", 1, session="s1"))
    assert bought[rate] == quiet[rate]
    assert bought[of_room] > quiet[of_room] == 0.0
    again = event("like", 9_000, session="s2")
    after = inputs(event("like", 0, session="s1"), event("order_paid", 1, session="s1"), again)
    without = inputs(event("like", 0, session="s1"), event("like", 1, session="s1"), again)
    assert after[rate] > without[rate]
    assert np.expm1(after[rate]) == pytest.approx(1000.0 * (1 + 0.09) / (1 + 3))


def test_the_model_is_told_how_long_a_broadcast_is_planned_to_go_on() -> None:
    """All of an hour's outcomes can come where nobody told an end, and those of six minutes where it has passed."""

    def left(after: float, *events: Event) -> float:
        under_test = engine(model=Learner(ModelOptions(), window_ms=120_000))
        apply(under_test, *events, event("like", 2))
        found = under_test.inputs([0], START + round(after * 60_000))
        return float(np.expm1(found[0, NAMES.index("hour_left_pct")]))

    begun = event("room_start", 0, viewer=None, seconds=7_200.0)
    assert left(90, event("room_start", 0, viewer=None)) == pytest.approx(100)
    percents = [left(after, begun) for after in (1, 60, 90, 110, 114, 125)]
    assert percents == pytest.approx([100, 100, 73.11, 32.78, 20.96, 20.96], abs=0.01)
    told_anew = event("room_stats", 1, viewer=None, seconds=10_800.0)
    assert left(150, begun, told_anew) == pytest.approx(73.11 + 0.02, abs=0.01)
    taken_back = event("room_stats", 1, viewer=None, seconds=0.0)
    assert left(110, begun, taken_back) == pytest.approx(100)
    assert left(110, begun, event("room_stats", 1, viewer=None, viewers=7)) == pytest.approx(32.78, abs=0.01)


@pytest.mark.parametrize("many", [False, True])
def test_a_plan_counts_alike_for_one_viewer_and_for_many(many: bool) -> None:
    under_test = engine(model=Learner(ModelOptions(), window_ms=120_000))
    apply(under_test, event("room_start", 0, viewer=None, seconds=3_600.0))
    apply(under_test, *(event("like", 1, viewer=f"v{number}") for number in range(200)))
    rows = list(range(200)) if many else [7]
    found = under_test.inputs(rows, START + 2_400_000)[:, NAMES.index("hour_left_pct")]
    assert set(np.expm1(found).round(4).tolist()) == {56.2742}


def test_no_features_come_from_an_outcome() -> None:
    """A label that feeds its own feature teaches the model to look up the answer."""

    def inputs(*events: Event) -> list[float]:
        under_test = engine(model=Learner(ModelOptions(), window_ms=120_000))
        apply(under_test, event("like", 0), *events)
        room = under_test.room(ROOM.platform, ROOM.room)
        assert room is not None and room.sessions.current is not None
        found = under_test.inputs([0], START + 60_000)
        fading: list[float] = found[0][: len(FADING)].tolist()
        return [*fading, float(found[0][NAMES.index("fan")])]

    assert inputs() == inputs(event("order_paid", 0.1, fan=True), event("form_submit", 0.1))


LEAKS = {
    "an order that was taken back": (event("order_refunded", 9, fan=True, value=500),),
    "many refunds": tuple(event("order_refunded", 5 + number, viewer="v2") for number in range(30)),
    "sales call it a success": (event("lead_outcome", 9, outcome="ordered", fan=True),),
    "sales call it a failure": (event("lead_outcome", 9, outcome="not_interested", fan=True),),
}


@pytest.mark.parametrize("events", LEAKS.values(), ids=LEAKS)
def test_nothing_that_exists_only_because_of_an_outcome_is_a_feature_or_a_reason_to_look(
    events: tuple[Event, ...],
) -> None:
    """Planted: each would tell the model that an order was there. All of its features are compared, and every look."""

    def served(*planted: Event) -> list[tuple[str, int, bytes]]:
        under_test = engine(
            model=Learner(ModelOptions(), window_ms=WINDOW * 1000),
            horizon_ms=HORIZON * 1000,
            window_ms=WINDOW * 1000,
            snapshot_every_ms=1_000,
            report_learning=True,
            outcome=SALES,
        )
        seen = [
            event("like", 0),
            event("comment", 1, text="多少钱", viewer="v2"),
            event("order_paid", 2, value=500),
        ]
        later = [
            event("like", 60),
            event("comment", 61, text="好看", viewer="v2"),
            event("tick", 90, viewer=None),
        ]
        found = apply(under_test, *seen, *planted, *later).served
        return [
            (viewer, at, inputs.tobytes())
            for part in found
            for viewer, at, inputs in zip(part.viewers, part.served_at.tolist(), part.inputs, strict=True)
        ]

    assert served(*events) == served()
    assert served(event("like", 9)) != served(), "what may be seen is seen"


def test_fan_is_what_was_known_before_the_event() -> None:
    under_test = engine(model=Learner(ModelOptions(), window_ms=120_000))
    apply(under_test, event("comment", 0, text="hi", fan=True))
    fan = NAMES.index("fan")
    assert under_test.inputs([0], START)[0][fan] == 0.0
    apply(under_test, event("comment", 1, text="hi", fan=True))
    assert under_test.inputs([0], START)[0][fan] == np.log1p(1.0)


def taught() -> Learner:
    """A model that has learnt enough to be believed."""
    dice = np.random.default_rng(1)
    model = Learner(ModelOptions(warm_up=50, min_labels=10, min_positives=2), window_ms=120_000)
    model.serve(dice.random((50, COUNT)), [""] * 50, *np.zeros((2, 50), np.int64))
    inputs = np.repeat(np.arange(20) % 2, COUNT).reshape(20, COUNT).astype(np.float32)
    model.learn(fresh_lessons(inputs, inputs[:, 0] > 0))
    assert not model.ready  # how the first outcomes turned out in the end is not known yet
    model.learn(fresh_lessons(inputs, inputs[:, 0] > 0, stage=np.full(20, Stage.MATURE, np.uint8)))
    assert model.ready
    return model


def test_probability_makes_hot_where_the_policy_says_so_and_the_model_is_ready() -> None:
    under_test = engine(model=taught(), grade_by="points_or_probability", hot_probability=0.0001)
    effects = apply(under_test, event("like", 0), event("like", 1, viewer="v2"))
    assert [(lead.viewer, lead.points, lead.decided_at) for lead in effects.leads] == [("v1", 0, START + 250)]
    assert effects.leads[0].probability is not None


def test_whoever_turns_out_to_be_staff_before_the_mark_is_no_lead() -> None:
    under_test = engine(model=taught(), grade_by="points_or_probability", hot_probability=0.0001)
    effects = apply(
        under_test, event("enter", 0), event("enter", 0.1, staff=True), event("tick", 1, viewer=None)
    )
    assert effects.leads == []


def test_a_number_is_unknown_until_the_model_is_to_be_believed() -> None:
    untaught = engine(model=Learner(ModelOptions(), window_ms=120_000))
    [lead] = apply(untaught, event("form_submit", 0), event("product_click", 1)).leads
    assert lead.probability is None


def test_probability_alone_decides_nothing_by_default() -> None:
    assert apply(engine(model=taught()), event("like", 0), event("like", 1, viewer="v2")).leads == []


STREAM = list(
    simulate(
        Scenario(
            seed=3,
            viewers=150,
            duration_s=1200,
            events_per_s=3.0,
            faults=Faults(duplicate=0.05, reorder=0.1, late=0.02),
        )
    )
)
FACTS = facts_of(STREAM)


def outcome_of(cuts: list[int], *, options: dict[str, Any]) -> bytes:
    """Run the stream in frames that end at ``cuts``; return all that is recorded or learnt."""
    model = Learner(ModelOptions(warm_up=100), window_ms=60_000)
    under_test = engine(model=model, horizon_ms=300_000, window_ms=60_000, report_closed=True, **options)
    leads: list[Lead] = []
    for start, end in zip([0, *cuts], [*cuts, len(STREAM)], strict=True):
        leads += under_test.apply(Frame.of(STREAM[start:end], FACTS[start:end])).leads
        under_test.scores(
            list(range(0, under_test.rows, 7)), under_test.now
        )  # a panel that looks changes nothing
    lines = [
        (each.viewer, each.points, each.grade, each.probability, each.reasons)
        for each in under_test.scores(list(range(under_test.rows)), under_test.now)
    ]
    assert model.labels > 100
    return msgspec.json.encode([leads, lines, model.state()])


@pytest.mark.parametrize("grade_by", ["points", "points_or_probability"])
def test_however_a_stream_is_cut_into_frames_the_results_are_the_same_bytes(grade_by: str) -> None:
    options = {"grade_by": grade_by, "hot_probability": 0.6}
    whole = outcome_of([], options=options)
    assert outcome_of(list(range(1, len(STREAM))), options=options) == whole
    for seed in range(3):
        dice = random.Random(seed)
        assert outcome_of(sorted(dice.sample(range(len(STREAM)), 40)), options=options) == whole


@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_any_cut_gives_the_same_bytes(cuts: list[int]) -> None:
    assert outcome_of(sorted(cuts), options={}) == outcome_of([500], options={})
