"""The cleaning queue through the lead centre: whom a person should look at, and reports that come twice, late and otherwise."""

from collections.abc import Iterator
from typing import Any

import pytest

from frontrow.core.alerts import Reason
from frontrow.core.centre.book import CleanTask
from frontrow.core.centre.cleaning import CleaningRules, DoubtRules
from frontrow.core.points import SAME_WORDS
from tests.support.centre import START, Scene, a_policy

RULES = CleaningRules(timeout_s=600, attempts=2)
TIMEOUT_MS = 600_000


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene(a_policy(cleaning=RULES))
    yield made
    made.close()


def tasks(scene: Scene, **wanted: Any) -> list[CleanTask]:
    found = sorted(scene.rows(CleanTask), key=lambda task: (task.created_at, task.task))
    return [task for task in found if all(getattr(task, name) == value for name, value in wanted.items())]


def reasons(scene: Scene) -> list[str]:
    return [task.reason for task in tasks(scene)]


def unreadable(scene: Scene, viewer: str, at: int = 0) -> None:
    scene.apply([
        scene.event("form_submit", at, platform="douyin", room="r1", viewer=viewer, consent=True, form="f",
                    data={"unreadable": True}, fields={"sealed": "c2VhbGVk"})
    ])  # fmt: skip


def asked(scene: Scene) -> CleanTask:
    """A task about a lead: its customer left two numbers on one visit."""
    scene.form("v1", "13800001111")
    scene.form("v1", "13900002222", 1_000)
    [task] = tasks(scene)
    return task


def report(scene: Scene, task: CleanTask | str, at: int, **data: Any) -> None:
    name = task if isinstance(task, str) else task.task
    scene.say("clean_result", at, data={"task": name, "by": "service", **data})


def test_two_numbers_on_one_visit_are_looked_at_by_a_person_once(scene: Scene) -> None:
    task = asked(scene)
    assert (task.reason, task.state, task.attempt, task.due_at) == ("contradictory", "queued", 1, None)
    scene.form("v1", "13700003333", 2_000)
    assert reasons(scene) == ["contradictory"]


def test_a_number_that_nobody_can_call_is_asked_about_and_no_contact(scene: Scene) -> None:
    lead = scene.hot("v1")
    unreadable(scene, "v1", 1_000)
    lead = scene.lead(lead.lead)
    assert reasons(scene) == ["unreadable_number"]
    assert (lead.quality, lead.faults, lead.masked) == (1, ["format"], None)
    readable = scene.form("v1", "13800001111", 2_000)
    assert (readable.quality, readable.faults, readable.masked) == (3, [], "138****8000")
    unreadable(scene, "v1", 3_000)
    assert scene.lead(lead.lead).masked == "138****8000", "what can be called goes before what came last"


def test_a_number_that_came_before_the_lead_is_asked_about_with_it(scene: Scene) -> None:
    unreadable(scene, "v1")
    assert scene.leads() == []
    lead = scene.hot("v1", 1_000)
    assert lead.faults == ["format"] and reasons(scene) == ["unreadable_number"]
    assert scene.raw(lead.raw).faults == ["format"], "what was wrong with it when it came"


def test_the_same_report_three_times_is_one_transition(scene: Scene) -> None:
    task = asked(scene)
    report(scene, task, 2_000, state="decided", intent="yes")
    [lead] = scene.leads()
    entries = len(scene.timeline(lead))
    for again in (3_000, 4_000):
        report(scene, task, again, state="decided", intent="yes")
    [done] = tasks(scene)
    assert (done.state, done.intent, done.by, done.settled_at) == ("decided", "yes", "service", START + 2_000)
    [lead] = scene.leads()
    assert (lead.quality, len(scene.timeline(lead))) == (4, entries)


def test_what_was_decided_is_not_decided_otherwise_nor_opened_by_what_comes_late(scene: Scene) -> None:
    task = asked(scene)
    report(scene, task, 2_000, state="decided", intent="yes")
    report(scene, task, 3_000, state="decided", intent="no")
    assert scene.centre.refused["clean_result"] == 1
    report(scene, task, 4_000, state="dialing")
    [done] = tasks(scene)
    assert (done.state, done.intent) == ("decided", "yes")


@pytest.mark.parametrize(
    "data", [{"state": "decided"}, {"state": "dialing", "intent": "no"}, {"state": "gone"}, {}]
)
def test_a_report_that_says_nothing_is_refused(scene: Scene, data: dict[str, Any]) -> None:
    task = asked(scene)
    report(scene, task, 2_000, **data)
    assert scene.centre.refused["clean_result"] == 1 and tasks(scene)[0].state == "queued"


def test_nobody_is_hurried_before_they_take_a_task(scene: Scene) -> None:
    asked(scene)
    scene.pass_time(30 * 86_400_000)
    assert [task.state for task in tasks(scene)] == ["queued"]


def test_a_task_that_was_begun_and_not_reported_back_goes_to_the_next_as_often_as_the_rules_allow(
    scene: Scene,
) -> None:
    task = asked(scene)
    report(scene, task, 2_000, state="dialing")
    scene.pass_time(2_000 + TIMEOUT_MS - 1)
    assert [each.state for each in tasks(scene)] == ["dialing"]
    scene.pass_time(2_000 + TIMEOUT_MS)
    assert [(each.state, each.attempt) for each in tasks(scene)] == [("timeout", 1), ("queued", 2)]
    second = tasks(scene, state="queued")[0]
    report(scene, second, 3_000_000, state="dialing")
    scene.pass_time(3_000_000 + TIMEOUT_MS)
    assert [(each.state, each.attempt) for each in tasks(scene)] == [("timeout", 1), ("timeout", 2)]
    report(scene, task, 5_000_000, state="decided", intent="no")
    assert [each.state for each in tasks(scene)] == ["decided", "timeout"], "an answer after all is taken"


def test_an_answer_to_the_first_attempt_answers_the_second(scene: Scene) -> None:
    task = asked(scene)
    report(scene, task, 2_000, state="dialing")
    scene.pass_time(2_000 + TIMEOUT_MS)
    report(scene, task, 2_100 + TIMEOUT_MS, state="decided", intent="yes")
    assert [(each.state, each.intent) for each in tasks(scene)] == [("decided", "yes"), ("decided", "yes")]


def test_who_was_reached_and_did_not_say_is_for_a_person(scene: Scene) -> None:
    task = asked(scene)
    report(scene, task, 2_000, state="decided", intent="unknown")
    assert reasons(scene) == ["contradictory", "intent_unknown"]


def test_a_service_that_says_no_after_a_seller_heard_yes_is_a_contradiction(scene: Scene) -> None:
    lead = scene.hot("v1")
    unreadable(scene, "v1", 500)
    [task] = tasks(scene)
    pack = scene.centre.policy.pack
    code = next(each.code for each in pack.outcomes if each.quality == 4 and each.closes is None)
    scene.act("lead_claim", lead, 1_000, seller=lead.holder)
    scene.act("lead_outcome", lead, 2_000, seller=lead.holder, outcome=code, data={"by": lead.holder})
    report(scene, task, 3_000, state="decided", intent="no")
    assert reasons(scene) == ["unreadable_number", "contradictory"]


def test_a_report_about_a_lead_that_was_merged_goes_to_where_it_went(scene: Scene) -> None:
    first = scene.hot("v0")
    task = asked(scene)
    report(scene, task, 2_000, state="dialing")
    a, b = ({"kind": "viewer:douyin", "key": viewer} for viewer in ("v0", "v1"))
    scene.say("identity_link", 3_000, data={"a": a, "b": b, "source": "crm", "confidence": 1.0})
    scene.pass_time(2_000 + TIMEOUT_MS)
    second = tasks(scene, state="queued")[0]
    report(scene, second, 3_000 + TIMEOUT_MS, state="decided", intent="yes")
    assert scene.lead(first.lead).quality == 4


def test_a_test_a_form_without_consent_and_who_comes_again_make_no_lead_and_need_no_fault(
    scene: Scene,
) -> None:
    """What cannot become a lead cannot be wrong with one."""
    given = {"platform": "douyin", "room": "r1", "form": "f", "data": {"phone": "a" * 32}}
    scene.apply([scene.event("form_submit", 0, viewer="v1", consent=True, test=True, **given)])
    scene.apply([scene.event("form_submit", 0, viewer="v2", consent=False, **given)])
    scene.form("v3", "13800001111")
    again = scene.form("v3", "13800001111", 2_000)
    assert (again.number, again.raws, again.faults) == (1, 2, []), "the first lead that was made at all"


def test_a_moderator_who_tries_the_form_is_no_lead(scene: Scene) -> None:
    given = {"platform": "douyin", "room": "r1", "form": "f", "consent": True, "data": {"phone": "a" * 32}}
    scene.apply([scene.event("form_submit", 0, viewer="mod", staff=True, **given)])
    guest = scene.form("v3", "13800001111", 1_000)
    assert guest.number == 1, "the first lead that was made at all"


def numbers(scene: Scene, name: str, phone: str, at: int, **more: Any) -> None:
    key = (phone.encode().hex() + "0" * 32)[:32]
    scene.say("number_change", at, data={"list": name, "numbers": [key], "by": "m", **more})


def test_numbers_on_a_list_make_leads_invalid_and_off_it_valid_again(scene: Scene) -> None:
    lead = scene.form("v1", "13800001111")
    numbers(scene, "staff", "13800001111", 1_000)
    assert (scene.lead(lead.lead).quality, scene.lead(lead.lead).faults) == (0, ["staff_number"])
    later = scene.form("v2", "13800001111", 2_000)
    assert later.quality == 0, "and those that come"
    numbers(scene, "staff", "13800001111", 3_000, remove=True)
    assert (scene.lead(lead.lead).quality, scene.lead(lead.lead).faults) == (3, [])
    for data in (
        {"list": "friends", "numbers": []},
        {"list": "test", "numbers": ["13800001111"]},
        {"list": "test"},
    ):
        scene.say("number_change", 4_000, data=data)
    assert scene.centre.refused["number_change"] == 3


def test_who_said_the_same_as_many_others_is_suspected_when_the_lead_comes(scene: Scene) -> None:
    """The engine found it when the lead was made, and a person confirms or clears it; on a lead that is there it is said once."""
    same = [Reason(kind="rule", name=SAME_WORDS, points=-40, count=7)]
    hired, honest = scene.hot("a", reasons=same, quality="Q2"), scene.hot("b", quality="Q2")
    assert (hired.flags, hired.faults, hired.quality) == (["crowd", "linkable"], ["crowd"], 0)
    assert (honest.flags, honest.faults, honest.quality) == (["linkable"], [], 2)
    again = scene.hot("b", 1_000, session="s2", reasons=same)
    assert (again.lead, again.quality) == (honest.lead, 0)
    scene.hot("b", 2_000, session="s3", reasons=same)
    for lead in (hired, honest):
        told = [entry.data for entry in scene.timeline(lead) if entry.kind == "suspected"]
        assert told == [{"sign": "crowd", "others": 7}]
    assert [(task.lead, task.reason) for task in tasks(scene)] == [
        (hired.lead, "suspected_spam"), (honest.lead, "suspected_spam")
    ]  # fmt: skip
    task = next(each for each in tasks(scene) if each.lead == hired.lead)
    report(scene, task, 3_000, state="decided", intent="yes")
    assert scene.lead(hired.lead).quality == 4, "a person has spoken with them"


def test_nobody_is_suspected_by_their_words_where_conduct_is_left_out() -> None:
    made = Scene(a_policy(doubts=DoubtRules(conduct=False)))
    lead = made.hot("a", reasons=[Reason(kind="rule", name=SAME_WORDS, points=-40, count=7)])
    assert (lead.flags, tasks(made)) == ([], [])
    made.close()
