"""Cleaning: reports that come twice, late and out of order; whom a person looks at; merges that can be undone."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.core.centre.cleaning import (
    SURVIVORSHIP,
    CleaningRules,
    Doubt,
    DoubtFacts,
    DoubtRules,
    Refused,
    Report,
    State,
    Task,
    Value,
    advance,
    doubts_about,
    expired,
    merged,
    queued,
)
from frontrow.core.centre.facts import Region
from frontrow.core.centre.quality import Fault

RULES = CleaningRules(timeout_s=600, attempts=2)
DIALING, ANSWERED = Report(state=State.DIALING, by="cloud"), Report(state=State.ANSWERED, by="cloud")
YES = Report(state=State.DECIDED, intent="yes", by="cloud")
NO = Report(state=State.DECIDED, intent="no", by="cloud")


def new() -> Task:
    return queued("L1", 1_000, RULES)


def test_a_task_goes_from_the_queue_to_an_intent() -> None:
    task, states = new(), []
    for at, report in enumerate((DIALING, ANSWERED, YES), 2_000):
        step = advance(task, report, at)
        assert step.refused is None
        task = step.task
        states.append(task.state)
    assert states == [State.DIALING, State.ANSWERED, State.DECIDED]
    assert (task.intent, task.by, task.changed_at, task.open) == ("yes", "cloud", 2_002, False)


@pytest.mark.parametrize("report", [DIALING, ANSWERED, YES])
def test_the_same_report_three_times_is_one_transition(report: Report) -> None:
    first = advance(new(), report, 2_000)
    second = advance(first.task, report, 3_000)
    third = advance(second.task, report, 4_000)
    assert first.refused is None
    assert second.refused is third.refused is Refused.REPEATED
    assert third.task == first.task


def test_a_report_that_comes_late_does_not_take_a_task_back() -> None:
    decided = advance(new(), YES, 2_000).task
    for late in (DIALING, ANSWERED):
        assert advance(decided, late, 3_000).task == decided
        assert advance(decided, late, 3_000).refused is Refused.STALE
    answered = advance(new(), ANSWERED, 2_000).task
    assert advance(answered, DIALING, 3_000).refused is Refused.STALE


def test_what_was_decided_stays_decided() -> None:
    decided = advance(new(), YES, 2_000).task
    assert advance(decided, NO, 3_000).refused is Refused.FINAL
    assert advance(decided, NO, 3_000).task.intent == "yes"


@pytest.mark.parametrize("report", [Report(state=State.DECIDED), Report(state=State.DIALING, intent="yes")])
def test_a_decision_has_an_intent_and_nothing_else_has_one(report: Report) -> None:
    assert advance(new(), report, 2_000).refused is Refused.UNREADABLE


def test_who_is_not_reached_in_time_is_tried_again_and_then_no_more() -> None:
    task = new()
    assert expired(task, task.due_at - 1, RULES) == (task, None)
    ended, again = expired(task, task.due_at + 5_000, RULES)
    assert ended.state is State.TIMEOUT
    assert again is not None
    assert (again.task, again.queued_at, again.attempt) == ("L1:2", task.due_at, 2)
    last, none = expired(again, again.due_at, RULES)
    assert (last.state, none) == (State.TIMEOUT, None)
    assert expired(last, again.due_at + 1, RULES) == (last, None)


@pytest.mark.parametrize("report", [ANSWERED, YES, NO])
def test_an_answer_after_the_timeout_is_taken_all_the_same(report: Report) -> None:
    ended, _ = expired(new(), 10**9, RULES)
    assert advance(ended, report, 10**9).task.state is report.state
    assert advance(ended, DIALING, 10**9).refused is Refused.STALE


@given(st.lists(st.sampled_from([DIALING, ANSWERED, YES, NO, Report(state=State.TIMEOUT)]), max_size=8))
def test_however_reports_come_a_decision_is_the_end(reports: list[Report]) -> None:
    task = new()
    decided: Task | None = None
    for at, report in enumerate(reports, 2_000):
        task = advance(task, report, at).task
        assert (task.state is State.DECIDED) == (task.intent is not None)
        if decided is not None:
            assert task == decided
        elif not task.open and task.state is State.DECIDED:
            decided = task


@pytest.mark.parametrize(
    ("facts", "doubts"),
    [
        (DoubtFacts(), ()),
        (DoubtFacts(phone_viewers=3), ()),
        (DoubtFacts(phone_viewers=4), (Doubt.SHARED_PHONE,)),
        (DoubtFacts(faults=(Fault.SPAM,)), (Doubt.SUSPECTED_SPAM,)),
        (DoubtFacts(faults=(Fault.CROWD,)), (Doubt.SUSPECTED_SPAM,)),
        (DoubtFacts(faults=(Fault.STAFF,)), ()),  # is known, and needs nobody
        (DoubtFacts(phones=frozenset({"a", "b"})), (Doubt.CONTRADICTORY,)),
        (DoubtFacts(intents=frozenset({"yes", "no"})), (Doubt.CONTRADICTORY,)),
        (DoubtFacts(declared=Region(country="CN"), of_number=Region(country="US")), (Doubt.CONTRADICTORY,)),
        (
            DoubtFacts(
                declared=Region(country="CN", city="杭州"), of_number=Region(country="CN", city="成都")
            ),
            (),
        ),
        (DoubtFacts(faults=(Fault.FORMAT,)), (Doubt.UNREADABLE_NUMBER,)),
        (DoubtFacts(intents=frozenset({"unknown"})), (Doubt.INTENT_UNKNOWN,)),
        (DoubtFacts(intents=frozenset({"unknown", "yes"})), ()),
        (DoubtFacts(phone_viewers=9, faults=(Fault.CLOCKWORK,)), (Doubt.SHARED_PHONE, Doubt.SUSPECTED_SPAM)),
    ],
)
def test_who_is_looked_at_by_a_person_and_why(facts: DoubtFacts, doubts: tuple[Doubt, ...]) -> None:
    assert doubts_about(facts, DoubtRules(viewers_per_phone=3)) == doubts


def _value(record: str, field: str, value: str, source: str, at: int) -> Value:
    return Value(record=record, field=field, value=value, source=source, at=at)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "values", "winner"),
    [
        ("phone", [("comment", 9, "c"), ("form", 5, "f"), ("verified", 1, "v")], "v"),
        ("phone", [("form", 5, "old"), ("form", 9, "new")], "new"),
        ("name", [("form", 9, "陈"), ("form", 5, "陈小明")], "陈小明"),
        ("name", [("verified", 1, "陈"), ("form", 5, "陈小明先生")], "陈"),
        ("consent", [("verified", 5, "yes"), ("comment", 9, "no")], "no"),
        ("campaign", [("form", 5, "spring"), ("form", 9, "summer")], "spring"),
        ("hobby", [("profile", 9, "a"), ("form", 5, "b")], "b"),
        ("city", [("form", 9, ""), ("comment", 5, "杭州")], "杭州"),
    ],
)
def test_which_value_of_a_field_survives(field: str, values: list[tuple[str, int, str]], winner: str) -> None:
    told = [_value(f"r{place}", field, value, source, at) for place, (source, at, value) in enumerate(values)]
    for order in permutations(told):
        assert merged(order)[field].won.value == winner


def test_a_sealed_value_tells_its_length() -> None:
    short = Value(record="a", field="name", value="sealed-long-long", source="form", at=1, length=1)
    long = Value(record="b", field="name", value="sealed", source="form", at=1, length=3)
    assert merged([short, long])["name"].won == long


VALUES = st.builds(
    Value,
    record=st.sampled_from("abc"),
    field=st.sampled_from([*SURVIVORSHIP, "other"]),
    value=st.sampled_from(["", "x", "xy", "xyz"]),
    source=st.sampled_from(["verified", "form", "crm", "profile", "comment"]),
    at=st.integers(0, 3),
)


@given(st.lists(VALUES, max_size=8, unique_by=repr))
def test_a_merge_keeps_everything_and_leaving_a_record_out_undoes_it(values: list[Value]) -> None:
    before = merged([value for value in values if value.record != "c"])
    both = merged(values)
    assert both == merged(values[::-1]) == merged(sorted(values, key=repr))
    kept = [value for survivor in both.values() for value in (survivor.won, *survivor.lost)]
    assert sorted(map(repr, kept)) == sorted(repr(value) for value in values if value.value)
    assert merged(kept, without={"c"}) == before
