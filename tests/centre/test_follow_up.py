"""What people do with leads, through the lead centre: claims, ends and reviews, the public pool, merges, erasure."""

from typing import Any

import pytest

from frontrow.core.alerts import LeadFeedback
from frontrow.core.centre.assignment import Conditions, Rule
from frontrow.core.centre.book import CleanTask, Contact, LeadRow, RawLead
from tests.support.centre import MINUTE, START, Scene, a_policy, place

HOUR = 60 * MINUTE
DAY = 24 * HOUR


def refusal(scene: Scene) -> Any:
    """Why the last event was not done."""
    return scene.centre.refusals.get(f"e{scene.number}")


def followed(scene: Scene, viewer: str = "v", at: int = 0, seller: str = "li") -> LeadRow:
    lead = scene.hot(viewer, at)
    return scene.act("lead_claim", lead, at + 1, seller=seller)


def test_the_first_of_two_claims_wins_and_the_other_hears_who_has_it() -> None:
    scene = Scene()
    lead = scene.hot("v")
    claims = [
        scene.event("lead_claim", MINUTE, platform="douyin", room="r1", lead=lead.lead, seller=seller)
        for seller in ("wang", "li")
    ]
    scene.apply(claims)
    row = scene.lead(lead.lead)
    assert (row.owner, row.status, row.claimed_at) == ("wang", "following", START + MINUTE)
    assert (refusal(scene).code, refusal(scene).holder) == ("held", "wang")


def test_who_claims_from_a_pool_brings_the_lead_into_their_team_whose_manager_answers_for_it() -> None:
    scene = Scene(a_policy(rules=(Rule(name="for whoever is first", pool="night"),)))
    lead = scene.hot("v")
    assert (lead.team, lead.pool) == (None, "night")
    claimed = scene.act("lead_claim", lead, MINUTE, seller="zhou")
    assert (claimed.team, claimed.pool) == ("sh-a", None)


def test_a_call_that_nobody_answered_says_so_in_the_timeline() -> None:
    scene = Scene()
    lead = followed(scene)
    data = {"by": "li", "channel": "call", "direction": "out", "answered": False, "seconds": 0}
    scene.act("lead_touch", lead, MINUTE, seller="li", data=data)
    told = scene.timeline(lead)[-1].data
    assert (told["answered"], told["seconds"]) == (False, 0)


def test_a_second_claim_of_who_has_it_changes_nothing() -> None:
    scene = Scene()
    lead = followed(scene)
    before = scene.dump()
    again = scene.act("lead_claim", lead, MINUTE, seller="li")
    assert (again.version, again.claimed_at, again.entries) == (lead.version, lead.claimed_at, lead.entries)
    assert refusal(scene) is None
    assert scene.dump()["timers"] == before["timers"]


def test_an_event_of_no_lead_changes_nothing_and_is_counted() -> None:
    scene = Scene()
    scene.hot("v")
    before = scene.dump()
    for kind in ("lead_claim", "lead_outcome", "lead_approve", "lead_assign", "contact_reveal"):
        scene.say(kind, 0, lead="Unone", seller="li", outcome="won")
        assert refusal(scene).code == "malformed"
    after = scene.dump()
    assert {name: rows for name, rows in after.items()} == before


def test_a_released_lead_goes_to_another() -> None:
    scene = Scene()
    lead = scene.act("lead_release", followed(scene), MINUTE, seller="li")
    assert (lead.status, lead.owner, lead.offered_to, lead.former) == ("new", None, "wang", "li")
    assert scene.timers(lead)["breach", 1] == 6 * MINUTE


def test_nobody_releases_what_another_has() -> None:
    scene = Scene()
    lead = scene.act("lead_release", followed(scene), MINUTE, seller="wang")
    assert (lead.owner, refusal(scene).code, refusal(scene).holder) == ("li", "held", "li")


def test_a_transfer_tells_who_has_it_from_now_on() -> None:
    scene = Scene()
    lead = followed(scene)
    since = len(scene.told)
    lead = scene.act("lead_transfer", lead, MINUTE, seller="wang", data={"by": "chen"})
    assert (lead.owner, lead.status, lead.former) == ("wang", "following", "li")
    assert [(each.to, each.purpose) for each in scene.told[since:] if each.to] == [("wang", "todo")]


@pytest.mark.parametrize(
    ("outcome", "reason", "code"),
    [(None, None, "outcome_missing"), ("nonsense", None, "unknown_outcome"), ("lost", None, "reason_missing"),
     ("lost", "nonsense", "unknown_reason")],
)  # fmt: skip
def test_a_lead_is_not_closed_without_an_outcome_and_a_reason(
    outcome: str | None, reason: str | None, code: str
) -> None:
    scene = Scene()
    data = {} if reason is None else {"loss_reason": reason}
    lead = scene.act("lead_outcome", followed(scene), MINUTE, seller="li", outcome=outcome, data=data)
    assert (lead.status, refusal(scene).code) == ("following", code)


def test_a_loss_is_looked_at_by_somebody_else_who_may_open_it_again() -> None:
    scene = Scene()
    lead = scene.act("lead_outcome", followed(scene), MINUTE, seller="li", outcome="not_interested")
    assert (lead.status, lead.reason, lead.review) == ("lost", "no_need", "pending")
    assert scene.timers(lead) == {}
    scene.act("lead_review", lead, 2 * MINUTE, seller="li", data={"by": "li", "decision": "accept"})
    assert refusal(scene).code == "own_review"
    open_ = scene.act("lead_review", lead, 3 * MINUTE, data={"by": "chen", "decision": "reopen"})
    assert (open_.status, open_.owner, open_.closed_at) == ("following", "li", None)
    lost = scene.act("lead_outcome", lead, 4 * MINUTE, seller="li", outcome="not_interested")
    final = scene.act("lead_review", lost, 5 * MINUTE, data={"by": "chen", "decision": "accept"})
    assert (final.status, final.review) == ("lost", "accepted")


def test_what_a_stage_needs_comes_first() -> None:
    scene = Scene()
    stages = a_policy().pack.workflow.stages
    late = next((stage for stage, before in stages.items() if before), None)
    lead = followed(scene)
    if late is not None:
        lead = scene.act("lead_stage", lead, MINUTE, seller="li", data={"stage": late})
        assert refusal(scene).code == "stage_too_early"
    lead = scene.act("lead_stage", lead, MINUTE, seller="li", data={"stage": "nonsense"})
    assert refusal(scene).code == "unknown_stage"
    assert lead.stage == next(iter(stages))


def test_a_silent_lead_goes_to_the_pool_after_thirty_days_and_its_last_seller_waits_a_day() -> None:
    scene = Scene()
    lead = followed(scene)
    scene.act("lead_touch", lead, MINUTE, seller="li", data={"channel": "call", "direction": "out"})
    recycled_at = MINUTE + 30 * DAY
    scene.pass_time(recycled_at)
    pooled = scene.lead(lead.lead)
    assert (pooled.status, pooled.pool, pooled.holder, pooled.former) == ("pooled", "public", None, "li")
    scene.act("lead_claim", lead, recycled_at + HOUR, seller="li")
    assert (refusal(scene).code, refusal(scene).until) == ("cooldown", START + recycled_at + DAY)
    claimed = scene.act("lead_claim", lead, recycled_at + HOUR, seller="wang")
    assert (claimed.owner, claimed.pool, claimed.status) == ("wang", None, "following")


def test_nobody_claims_what_is_protected_and_anybody_what_is_not_any_more() -> None:
    scene = Scene()
    lead = followed(scene)
    scene.act("lead_touch", lead, MINUTE, seller="li", data={"channel": "call", "direction": "out"})
    scene.act("lead_claim", lead, DAY, seller="wang")
    assert (refusal(scene).code, refusal(scene).holder) == ("held", "li")
    since = len(scene.told)
    claimed = scene.act("lead_claim", lead, MINUTE + 7 * DAY, seller="wang")
    assert claimed.owner == "wang"
    assert [(each.to, each.event) for each in scene.told[since:] if each.to] == [("li", "protection_ended")]


def test_who_wants_no_contact_is_not_contacted() -> None:
    scene = Scene()
    lead = followed(scene)
    identity = {"kind": "viewer:douyin", "key": "v"}
    scene.say("consent", MINUTE, data={"identity": identity, "purpose": "contact", "given": False})
    lead = scene.act(
        "lead_touch", lead, 2 * MINUTE, seller="li", data={"channel": "call", "direction": "out"}
    )
    assert (lead.do_not_contact, lead.touches, refusal(scene).code) == (True, 0, "do_not_contact")
    lead = scene.act("lead_touch", lead, 3 * MINUTE, seller="li", data={"channel": "call", "direction": "in"})
    assert lead.touches == 1, "who calls us may be answered"
    scene.say("consent", 4 * MINUTE, data={"identity": identity, "purpose": "contact", "given": True})
    assert scene.lead(lead.lead).do_not_contact is False


# ---- merges


A, B = ({"kind": "viewer:douyin", "key": name} for name in "ab")


def link(scene: Scene, at: int, name: str = "same") -> None:
    scene.say("identity_link", at, id=name, data={"a": A, "b": B, "source": "crm", "confidence": 1.0})


def unlink(scene: Scene, at: int, name: str = "same") -> None:
    scene.say("identity_unlink", at, data={"link": f"frontrow/centre/{name}", "by": "chen", "reason": "no"})


def test_a_merge_keeps_the_lead_that_is_followed_and_unlinking_gives_both_back_with_their_timers() -> None:
    scene = Scene()
    first = scene.hot("a")
    second = scene.act("lead_claim", scene.hot("b", 1), 2, seller="wang")
    scene.act("lead_touch", second, 3, seller="wang", data={"channel": "call", "direction": "out"})
    link(scene, MINUTE)
    [row] = scene.leads()
    assert (row.lead, row.owner) == (second.lead, "wang")
    merged = scene.lead(first.lead)
    assert (merged.merged_into, scene.timers(merged)) == (second.lead, {})
    assert scene.centre._turns.open == {"wang": 1}

    unlink(scene, 2 * MINUTE)
    again, other = scene.leads()
    assert (again.lead, again.holder, again.status, again.merged_into) == (first.lead, "li", "new", None)
    assert (other.lead, other.owner) == (second.lead, "wang")
    assert again.customer != other.customer
    assert scene.timers(again)["breach", 1] == 7 * MINUTE, "five minutes from when it was there again"
    assert {kind for kind, _ in scene.timers(other)} == {"protection", "recycle"}
    assert scene.centre._turns.open == {"li": 1, "wang": 1}


def test_an_act_on_a_lead_that_was_merged_is_done_to_the_one_it_went_into() -> None:
    scene = Scene()
    first, second = scene.hot("a"), scene.hot("b", 1)
    link(scene, MINUTE)
    claimed = scene.act("lead_claim", second, 2 * MINUTE, seller="li")
    assert claimed.owner is None
    assert scene.lead(first.lead).owner == "li"


def test_what_came_in_while_they_were_one_has_its_own_lead_after_they_part() -> None:
    scene = Scene(a_policy(rooms=(place("r1", "hangzhou"), place("r2", "shanghai"))))
    scene.hot("a")
    scene.hot("b", 1, room="r2", session="t")
    link(scene, MINUTE)
    scene.hot("b", 2 * MINUTE, session="s2")  # in the room of a's store: goes into a's lead there
    assert len(scene.leads()) == 2
    unlink(scene, 3 * MINUTE)
    assert sorted((row.store, row.raws) for row in scene.leads()) == [
        ("hangzhou", 1), ("hangzhou", 1), ("shanghai", 1),
    ]  # fmt: skip
    homes = {raw.raw: raw.lead for raw in scene.raws()}
    assert len(set(homes.values())) == 3


def test_merging_and_parting_over_and_over_gives_the_same_leads() -> None:
    scene = Scene()
    scene.hot("a")
    scene.hot("b", 1)
    before = [(row.lead, row.customer, row.holder, row.status) for row in scene.leads()]
    for number in range(4):
        link(scene, (2 * number + 1) * 1_000, f"l{number}")
        assert len(scene.leads()) == 1
        unlink(scene, (2 * number + 2) * 1_000, f"l{number}")
    assert [(row.lead, row.customer, row.holder, row.status) for row in scene.leads()] == before


# ---- personal data


def test_erasing_somebody_leaves_what_was_decided_and_nothing_personal() -> None:
    scene = Scene()
    raw = scene.form("v", "13800138000", at=0)
    scene.act("lead_claim", raw, 1, seller="li")
    scene.act("lead_note", raw, 2, seller="li", note="asks for Mrs Wu")
    other = scene.form("w", "13900139000", at=3)
    assert scene.lead(raw.lead).masked is not None
    scene.say(
        "person_erase", MINUTE, data={"identities": [{"kind": "viewer:douyin", "key": "v"}], "by": "chen"}
    )
    row = scene.lead(raw.lead)
    assert (row.owner, row.status, row.do_not_contact) == ("li", "following", True)
    assert (row.name, row.words, row.masked) == (None, None, None)
    assert all(entry.note is None for entry in scene.timeline(row))
    mine, theirs = sorted(scene.rows(Contact), key=lambda contact: contact.at)
    assert (mine.sealed, mine.masked) == (None, None)
    assert theirs.sealed is not None
    assert scene.lead(other.lead).masked is not None


def test_a_reveal_is_written_down() -> None:
    from frontrow.core.centre.book import Access

    scene = Scene()
    lead = scene.form("v", "13800138000")
    scene.act("contact_reveal", lead, 1, data={"by": "li", "purpose": "call"})
    [access] = scene.rows(Access)
    assert (access.by, access.purpose, access.lead, access.at) == ("li", "call", lead.lead, START + 1)
    assert scene.timeline(lead)[-1].kind == "contact_reveal"


def test_a_phone_that_turns_out_to_be_shared_parts_whoever_it_had_joined() -> None:
    """Each has their own lead again, with all their raw leads in it, and a person is asked about the number."""
    scene = Scene()
    for number in range(7):
        scene.form(f"v{number}", "one phone", number * 1_000)
        scene.hot(f"v{number}", number * 1_000 + 500)
    leads = scene.leads()
    assert len(leads) == 7
    assert len({lead.customer for lead in leads}) == 7
    assert sorted(raw.lead for raw in scene.rows(RawLead)) == sorted(2 * [lead.lead for lead in leads])
    assert {task.reason for task in scene.rows(CleanTask)} >= {"shared_phone"}


def test_a_lead_by_a_form_that_turns_hot_is_given_by_the_rule_for_hot_ones() -> None:
    """The form makes the lead, warm; the click in the same second makes it hot, and its five minutes begin then."""
    rules = (
        Rule(name="hot", when=Conditions(grades=("hot",)), team="hz-a"),
        Rule(name="rest", pool="later"),
    )
    scene = Scene(a_policy(rules=rules))
    lead = scene.form("v1", "p1")
    assert (lead.rule, lead.pool, lead.holder) == ("rest", "later", None)
    lead = scene.hot("v1", 90_000)
    assert (lead.rule, lead.pool, lead.team, lead.grade) == ("hot", None, "hz-a", "hot")
    assert lead.holder in ("li", "wang")
    assert (lead.hot_at, lead.due_at) == (START + 90_000, START + 90_000 + 5 * MINUTE)
    claimed = scene.act("lead_claim", lead, 100_000, seller=lead.holder)
    assert scene.hot("v1", 110_000, session="s2").holder == claimed.holder, "who follows it keeps it"


def test_nobody_is_reminded_of_a_person_who_was_erased() -> None:
    scene = Scene()
    lead = scene.hot("v1")
    identity = {"kind": "viewer:douyin", "key": "v1"}
    scene.say("person_erase", 1_000, data={"identities": [identity], "by": "dpo", "reason": "asked"})
    told = len(scene.told)
    scene.pass_time(60 * MINUTE)
    assert scene.timers(lead) == {}
    assert scene.told[told:] == []


def test_what_was_merged_stays_so_when_the_lead_that_it_went_into_is_closed() -> None:
    """Each further link of a customer, a form's for one, looks at who is who again; it must not open what nobody has lost."""
    scene = Scene()
    scene.hot("a")
    won = scene.act("lead_claim", scene.hot("b", 1), 2, seller="wang")
    link(scene, MINUTE)
    scene.act("lead_outcome", won, 2 * MINUTE, seller="wang", outcome="won")
    data = {"a": B, "b": {"kind": "crm", "key": "c-1"}, "source": "crm", "confidence": 1.0}
    scene.say("identity_link", 4 * MINUTE, id="more", data=data)
    assert [(row.lead, row.status) for row in scene.leads()] == [(won.lead, "won")]


def test_an_outcome_lifts_quality_and_never_lowers_it_but_to_nothing() -> None:
    scene = Scene()
    lead = followed(scene)
    levels = []
    for minute, outcome in enumerate(("no_answer", "interested", "no_answer"), start=1):
        levels.append(scene.act("lead_outcome", lead, minute * MINUTE, seller="li", outcome=outcome).quality)
    sold = scene.act("lead_outcome", lead, 5 * MINUTE, seller="li", outcome="won")
    other = followed(scene, "other", 6 * MINUTE, "wang")
    gone = scene.act("lead_outcome", other, 7 * MINUTE, seller="wang", outcome="empty_number")
    assert (levels, sold.quality, gone.quality) == ([1, 4, 4], 5, 0)


def test_an_outcome_is_for_every_form_of_feiyu_that_went_into_the_lead_and_for_no_other() -> None:
    """Two forms of one number are one lead, and 飞鱼 has two; what the same customer does in a room is not theirs."""
    scene = Scene()
    lead = scene.form("clue:7001", "1")
    assert scene.form("clue:7002", "1", MINUTE).lead == lead.lead, "the younger one was merged into it"
    scene.form("w", "1", 2 * MINUTE)
    other = scene.hot("x", 2 * MINUTE)
    scene.act("lead_claim", lead, 3 * MINUTE, seller="li")
    scene.act("lead_claim", other, 3 * MINUTE, seller="li")
    scene.act("lead_outcome", other, 4 * MINUTE, seller="li", outcome="interested")
    scene.act("lead_outcome", lead, 5 * MINUTE, seller="li", outcome="interested")
    scene.act("lead_outcome", lead, 6 * MINUTE, seller="li", outcome="no_answer")
    told = [each for each in scene.told if each.feedback is not None]
    assert [(each.at - START, each.feedback) for each in told] == [
        (at * MINUTE, LeadFeedback(clue=clue, outcome=outcome, state=state))
        for at, outcome, state in ((5, "interested", "194"), (6, "no_answer", None))
        for clue in ("7001", "7002")
    ]
    assert len({each.key for each in told}) == 4
    assert {each.purpose for each in told} == {"feedback"} and {each.to for each in told} == {None}


def feedback(scene: Scene) -> list[tuple[int, str]]:
    """When outcomes were told of, and which."""
    return [(each.at - START, each.feedback.outcome) for each in scene.told if each.feedback is not None]


LOST = {"loss_reason": "price", "by": "li"}


def test_a_loss_is_told_of_when_somebody_else_has_confirmed_it() -> None:
    """飞鱼 learns from what it hears: a loss that the review takes back must never have been one there."""
    scene = Scene()
    lead = scene.form("clue:7001", "1")
    scene.act("lead_claim", lead, MINUTE, seller="li")
    lost = {"seller": "li", "outcome": "lost", "data": LOST}
    assert scene.act("lead_outcome", lead, 2 * MINUTE, **lost).review == "pending"
    assert feedback(scene) == []
    scene.act("lead_review", lead, 3 * MINUTE, data={"by": "li", "decision": "accept"})
    assert feedback(scene) == [], "nobody reviews their own"
    scene.act("lead_review", lead, 4 * MINUTE, data={"by": "chen", "decision": "reopen"})
    assert feedback(scene) == []
    scene.act("lead_outcome", lead, 5 * MINUTE, **lost)
    scene.act("lead_review", lead, 6 * MINUTE, data={"by": "chen", "decision": "accept"})
    assert feedback(scene) == [(6 * MINUTE, "lost")]
    scene.act("lead_review", lead, 7 * MINUTE, data={"by": "chen", "decision": "accept"})
    assert feedback(scene) == [(6 * MINUTE, "lost")], "and once"


def test_an_invalid_lead_is_told_of_as_a_lost_one_is_and_a_deal_at_once() -> None:
    scene = Scene()
    gone, sold = scene.form("clue:7001", "1"), scene.form("clue:7002", "2")
    for lead, outcome in ((gone, "empty_number"), (sold, "won")):
        scene.act("lead_claim", lead, MINUTE, seller="li")
        scene.act("lead_outcome", lead, 2 * MINUTE, seller="li", outcome=outcome)
    assert feedback(scene) == [(2 * MINUTE, "won")]
    scene.act("lead_review", gone, 3 * MINUTE, data={"by": "chen", "decision": "accept"})
    assert feedback(scene) == [(2 * MINUTE, "won"), (3 * MINUTE, "empty_number")]


def test_an_outcome_that_did_not_end_the_lead_is_not_told_of_again_when_the_end_is_confirmed() -> None:
    scene = Scene()
    lead = scene.form("clue:7001", "1")
    scene.act("lead_claim", lead, MINUTE, seller="li")
    scene.act("lead_outcome", lead, 2 * MINUTE, seller="li", outcome="interested")
    scene.act("lead_stage", lead, 3 * MINUTE, seller="li", data={**LOST, "stage": "lost"})
    assert (
        scene.act("lead_review", lead, 4 * MINUTE, data={"by": "chen", "decision": "accept"}).status == "lost"
    )
    assert feedback(scene) == [(2 * MINUTE, "interested")]


def test_who_comes_again_before_the_review_was_not_lost() -> None:
    scene = Scene()
    lead = scene.form("clue:7001", "1")
    scene.act("lead_claim", lead, MINUTE, seller="li")
    scene.act("lead_outcome", lead, 2 * MINUTE, seller="li", outcome="lost", data=LOST)
    assert scene.form("clue:7001", "1", 3 * MINUTE).lead == lead.lead
    scene.act("lead_review", lead, 4 * MINUTE, data={"by": "chen", "decision": "accept"})
    assert (scene.lead(lead.lead).status, feedback(scene)) == ("new", [])
