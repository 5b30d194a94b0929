"""A lead's life: who may have it, how it ends, and that nobody loses it in silence."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from frontrow.core.centre.clock import SlaPolicy
from frontrow.core.centre.stages import (
    CLOSED,
    REFUSALS,
    STATUS_NAMES,
    STATUSES,
    Act,
    LeadState,
    OutcomeEffect,
    Refusal,
    Step,
    Workflow,
    act_of,
    step,
)
from frontrow.core.events import PEOPLE_KINDS
from tests.support.oracles import flaw
from tests.support.rooms import event

POLICY = SlaPolicy(protection_s=100, recycle_s=1_000, cooldown_s=50)
WORKFLOW = Workflow(
    stages={"contacted": (), "booked": (), "driven": ("booked",)},
    outcomes={
        "interested": OutcomeEffect(),
        "appointment": OutcomeEffect(stage="booked"),
        "evaluated": OutcomeEffect(stage="driven"),
        "deal": OutcomeEffect(closes="won"),
        "no_interest": OutcomeEffect(closes="lost"),
        "too_dear": OutcomeEffect(closes="lost", reason="price"),
        "empty_number": OutcomeEffect(closes="invalid", reason="empty_number"),
        "leave_me": OutcomeEffect(forbids_contact=True),
    },
    loss_reasons=frozenset({"price", "rival"}),
    invalid_reasons=frozenset({"empty_number", "duplicate"}),
)


def act(kind: Any, at: int = 0, **given_: Any) -> Act:
    return Act(kind=kind, at=1000 * at, **given_)


def done(state: LeadState, *acts: Act) -> LeadState:
    for each in acts:
        made = step(state, each, WORKFLOW, POLICY)
        assert isinstance(made, Step), made
        state = made.state
    return state


def refused(state: LeadState, given_: Act) -> Refusal:
    made = step(state, given_, WORKFLOW, POLICY)
    assert isinstance(made, Refusal), made
    return made


def happened(state: LeadState, given_: Act) -> Step:
    made = step(state, given_, WORKFLOW, POLICY)
    assert isinstance(made, Step), made
    return made


NEW = LeadState()
OFFERED = done(NEW, act("assign", seller="li"))
HELD = done(OFFERED, act("claim", seller="li"))
LOST = done(HELD, act("outcome", outcome="no_interest", reason="price", by="li"))
POOLED = done(HELD, act("recycle", 10))


# ---- claims


def test_the_first_claim_wins_and_the_second_is_told_who_holds_it() -> None:
    assert (HELD.status, HELD.owner, HELD.stage) == ("following", "li", "contacted")
    refusal = refused(HELD, act("claim", 99, seller="zhao"))
    assert refusal == Refusal(code="held", holder="li", until=100_000)
    assert refusal.words("zh-CN") == "此线索由 li 跟进"
    assert refusal.words("en") == "li holds this lead"


def test_the_holders_second_claim_changes_nothing() -> None:
    assert happened(HELD, act("claim", 5, seller="li")) == Step(state=HELD)


def test_whoever_was_offered_a_lead_loses_it_to_the_first_claim_and_is_told() -> None:
    assert happened(OFFERED, act("claim", seller="zhao")).left == "li"
    assert happened(OFFERED, act("claim", seller="li")).left is None


def test_nobody_else_may_take_a_lead_in_its_protection_and_each_response_renews_it() -> None:
    assert refused(HELD, act("claim", 99, seller="zhao")).code == "held"
    taken = happened(HELD, act("claim", 100, seller="zhao"))
    assert (taken.state.owner, taken.state.former, taken.left) == ("zhao", "li", "li")
    worked = done(HELD, act("touch", 60))
    assert refused(worked, act("claim", 159, seller="zhao")).until == 160_000


def test_a_released_lead_is_its_teams_again_and_only_its_holder_releases_it() -> None:
    released = happened(HELD, act("release", 5, seller="li"))
    assert (released.state.status, released.state.owner, released.state.former) == ("new", None, "li")
    assert (released.happenings, released.left) == (("reassigned",), "li")
    assert refused(HELD, act("release", 5, seller="zhao")) == Refusal(code="held", holder="li")
    assert refused(OFFERED, act("release", seller="li")).code == "unclaimed"


def test_a_lead_that_stayed_untouched_returns_and_is_counted() -> None:
    returned = happened(HELD, act("return", 15))
    assert (returned.state.status, returned.state.reassignments, returned.left) == ("new", 1, "li")
    assert happened(OFFERED, act("return", 5)).left == "li"
    assert refused(LOST, act("return")).code == "closed"
    assert refused(POOLED, act("return")).code == "pooled"


def test_who_lost_a_lead_to_the_pool_waits_before_claiming_it_again_and_others_do_not() -> None:
    assert (POOLED.status, POOLED.former) == ("pooled", "li")
    assert refused(POOLED, act("claim", 59, seller="li")) == Refusal(code="cooldown", until=60_000)
    assert done(POOLED, act("claim", 60, seller="li")).owner == "li"
    assert done(POOLED, act("claim", 11, seller="zhao")).owner == "zhao"


def test_a_pooled_lead_can_be_given_to_somebody_and_is_on_the_clock_again() -> None:
    given_ = happened(POOLED, act("assign", 20, seller="zhao"))
    assert (given_.state.status, given_.state.offered_to, given_.happenings) == (
        "new",
        "zhao",
        ("reassigned",),
    )


def test_a_lead_is_handed_over_to_its_new_owner_and_the_old_one_is_told() -> None:
    handed = happened(HELD, act("transfer", 5, seller="zhao"))
    assert (handed.state.owner, handed.state.former, handed.left) == ("zhao", "li", "li")
    assert handed.state.stage == HELD.stage
    assert happened(HELD, act("transfer", 5, seller="li")) == Step(state=HELD)
    assert refused(HELD, act("transfer")).code == "seller_missing"


def test_a_lead_that_somebody_holds_is_not_given_to_another_by_a_rule() -> None:
    assert refused(HELD, act("assign", seller="zhao")) == Refusal(code="held", holder="li")
    assert refused(LOST, act("assign", seller="zhao")).code == "closed"


def test_giving_it_to_another_starts_their_clock_and_giving_it_for_the_first_time_does_not() -> None:
    assert happened(NEW, act("assign", seller="li")).happenings == ()
    again = happened(OFFERED, act("assign", seller="zhao"))
    assert (again.happenings, again.left) == (("reassigned",), "li")
    assert happened(OFFERED, act("assign", seller="li")) == Step(state=OFFERED)


def test_what_a_manager_must_confirm_is_claimed_by_nobody_before() -> None:
    asked = happened(NEW, act("assign", seller="li", approval=True))
    assert asked.happenings == ("approval_asked",)
    waiting = asked.state
    assert refused(waiting, act("claim", seller="li")).code == "awaits_approval"
    assert refused(waiting, act("return")).code == "awaits_approval"
    approved = done(waiting, act("approve", decision="approve", by="wang"))
    assert done(approved, act("claim", seller="li")).owner == "li"
    rejected = happened(waiting, act("approve", decision="reject", by="wang"))
    assert (rejected.state.offered_to, rejected.happenings, rejected.left) == (
        None,
        ("approval_given",),
        "li",
    )
    assert refused(waiting, act("approve", decision="approve")).code == "by_missing"
    assert refused(waiting, act("approve", decision="perhaps", by="wang")).code == "malformed"
    assert refused(OFFERED, act("approve", decision="approve", by="wang")).code == "no_approval_asked"


# ---- work


def test_a_response_is_told_to_the_clock_and_so_is_a_promise() -> None:
    touched = happened(HELD, act("touch", 5, follow_up_at=90_000))
    assert touched.happenings == ("responded", "follow_up_set")
    assert touched.state.follow_up_at == 90_000
    said = happened(HELD, act("outcome", outcome="interested", by="li"))
    assert (said.state.outcome, said.happenings) == ("interested", ("responded",))


def test_a_call_of_the_customer_that_nobody_took_is_no_response() -> None:
    assert happened(HELD, act("touch", 5, inward=True, answered=False)) == Step(state=HELD)
    assert happened(HELD, act("touch", 5, inward=True)).happenings == ("responded",)
    assert happened(HELD, act("touch", 5, answered=False)).happenings == ("responded",), "we tried"


def test_whoever_wants_no_contact_gets_none_and_may_still_call() -> None:
    silent = done(HELD, act("contact", decision="forbid"))
    assert refused(silent, act("touch")).code == "do_not_contact"
    assert happened(silent, act("touch", inward=True)).happenings == ("responded",)
    assert happened(done(silent, act("contact", decision="permit")), act("touch"))
    assert (
        refused(done(HELD, act("outcome", outcome="leave_me", by="li")), act("touch")).code
        == "do_not_contact"
    )


@pytest.mark.parametrize("state", [NEW, OFFERED, POOLED], ids=["new", "offered", "pooled"])
@pytest.mark.parametrize(
    "given_",
    [act("touch"), act("outcome", outcome="interested", by="li"), act("stage", stage="booked", by="li")],
    ids=["touch", "outcome", "stage"],
)
def test_who_works_on_a_lead_claims_it_first(state: LeadState, given_: Act) -> None:
    assert refused(state, given_).code == ("pooled" if state is POOLED else "unclaimed")


def test_stages_go_forth_and_back_but_none_comes_before_what_it_needs() -> None:
    assert refused(HELD, act("stage", stage="driven")) == Refusal(code="stage_too_early", missing=("booked",))
    assert refused(HELD, act("outcome", outcome="evaluated", by="li")).code == "stage_too_early"
    assert refused(HELD, act("stage", stage="nowhere")).code == "unknown_stage"
    booked = done(HELD, act("outcome", outcome="appointment", by="li"))
    assert booked.stage == "booked"
    driven = done(
        booked, act("stage", stage="driven"), act("stage", stage="contacted"), act("stage", stage="driven")
    )
    assert (driven.stage, driven.reached) == ("driven", ("contacted", "booked", "driven"))


def test_an_outcome_leads_on_and_never_back() -> None:
    """Who is interested after the test drive has still had it."""
    driven = done(HELD, act("outcome", outcome="appointment", by="li"), act("stage", stage="driven"))
    again = done(driven, act("outcome", outcome="appointment", by="li"))
    assert (again.stage, again.outcome) == ("driven", "appointment")
    assert happened(again, act("outcome", outcome="appointment", by="li")).happenings == ("responded",)


# ---- ends


def test_a_lead_cannot_be_closed_without_outcome_and_reason() -> None:
    assert refused(HELD, act("stage", stage="won", by="li")).code == "outcome_missing"
    assert refused(HELD, act("stage", stage="lost", by="li", reason="price")).code == "outcome_missing"
    said = done(HELD, act("outcome", outcome="interested", by="li"))
    assert refused(said, act("stage", stage="lost", by="li")).code == "reason_missing"
    assert refused(said, act("stage", stage="lost", by="li", reason="duplicate")).code == "unknown_reason"
    assert refused(said, act("stage", stage="invalid", by="li", reason="price")).code == "unknown_reason"
    assert refused(said, act("stage", stage="lost", reason="price")).code == "by_missing"
    assert refused(HELD, act("outcome", outcome="no_interest", by="li")).code == "reason_missing"
    assert refused(HELD, act("outcome", outcome="odd", by="li")).code == "unknown_outcome"
    assert refused(HELD, act("stage", stage="won", outcome="odd", by="li")).code == "unknown_outcome"
    assert refused(HELD, act("outcome", by="li")).code == "outcome_missing"
    closed = happened(said, act("stage", stage="lost", by="li", reason="price"))
    assert (closed.state.status, closed.state.reason, closed.happenings) == ("lost", "price", ("closed",))


def test_one_tap_can_close_where_the_outcome_says_why() -> None:
    won = done(HELD, act("outcome", outcome="deal", by="li", reason="price"))
    assert (won.status, won.reason) == ("won", None), "a success needs no excuse"
    lost = done(HELD, act("outcome", outcome="too_dear", by="li"))
    assert (lost.status, lost.reason, lost.owner) == ("lost", "price", "li")


def test_a_number_that_is_none_is_found_out_before_any_seller_has_it() -> None:
    invalid = happened(OFFERED, act("outcome", outcome="empty_number", by="service"))
    assert (invalid.state.status, invalid.state.reason, invalid.left) == ("invalid", "empty_number", "li")
    assert done(POOLED, act("outcome", outcome="empty_number", by="service")).status == "invalid"


def test_a_second_person_reviews_a_loss_before_it_is_final() -> None:
    assert LOST.review == "pending"
    assert refused(LOST, act("review", decision="accept", by="li")).code == "own_review"
    assert refused(LOST, act("review", decision="accept")).code == "by_missing"
    assert refused(LOST, act("review", decision="maybe", by="wang")).code == "malformed"
    accepted = done(LOST, act("review", decision="accept", by="wang"))
    assert (accepted.status, accepted.review) == ("lost", "accepted")
    assert refused(accepted, act("review", decision="reopen", by="wang")).code == "not_in_review"
    by_manager = done(HELD, act("outcome", outcome="too_dear", by="wang"))
    assert refused(by_manager, act("review", decision="accept", by="wang")).code == "own_review"
    assert refused(by_manager, act("review", decision="accept", by="li")).code == "own_review", "who had it"


def test_a_loss_that_is_not_believed_is_its_owners_work_again() -> None:
    reopened = happened(LOST, act("review", 7, decision="reopen", by="wang"))
    assert (reopened.state.status, reopened.state.owner, reopened.state.reason) == ("following", "li", None)
    assert reopened.happenings == ("reopened",)
    nobodys = done(NEW, act("outcome", outcome="empty_number", by="service"))
    opened = happened(nobodys, act("review", decision="reopen", by="wang"))
    assert (opened.state.status, opened.happenings) == ("new", ("reassigned",))


def test_a_customer_who_comes_again_opens_a_closed_lead_with_a_new_five_minutes() -> None:
    opened = happened(LOST, act("reactivate"))
    assert (opened.state.status, opened.state.owner, opened.state.former) == ("new", None, "li")
    assert (opened.happenings, opened.left) == (("reassigned",), "li")
    assert refused(HELD, act("reactivate")).code == "not_closed"


def test_nothing_is_done_to_a_closed_lead_but_what_opens_it() -> None:
    for kind in ("claim", "release", "transfer", "recycle", "assign"):
        assert refused(LOST, act(kind, seller="li")).code == "closed"
    for given_ in (act("outcome", outcome="deal", by="li"), act("stage", stage="booked")):
        assert refused(LOST, given_).code == "closed"
    assert happened(LOST, act("touch")) == Step(state=LOST)


# ---- any sequence

PEOPLE = st.sampled_from([None, "li", "zhao", "wang"])
ACTS = st.builds(
    Act,
    kind=st.sampled_from(
        ["assign", "approve", "claim", "release", "return", "transfer", "touch", "outcome", "stage", "review"]
        + ["recycle", "reactivate", "contact", "note", "claim", "claim"]
    ),
    at=st.integers(0, 200_000),
    by=PEOPLE,
    seller=PEOPLE,
    approval=st.booleans(),
    decision=st.sampled_from([None, "approve", "reject", "accept", "reopen", "forbid", "permit", "odd"]),
    stage=st.sampled_from([None, *WORKFLOW.stages, *CLOSED, "odd"]),
    outcome=st.sampled_from([None, *WORKFLOW.outcomes, "odd"]),
    reason=st.sampled_from([None, "price", "duplicate", "odd"]),
    inward=st.booleans(),
    answered=st.booleans(),
    follow_up_at=st.sampled_from([None, 300_000]),
)


@settings(max_examples=150)
@given(acts=st.lists(ACTS, min_size=1, max_size=30))
def test_whatever_happens_a_lead_is_in_order_and_nobody_loses_it_in_silence(acts: list[Act]) -> None:
    state = NEW
    for given_ in acts:
        made = step(state, given_, WORKFLOW, POLICY)
        if isinstance(made, Refusal):
            assert made.words("en")
            assert made.words("zh-CN")
            continue
        after = made.state
        assert flaw(after, WORKFLOW) is None, (state, given_, after)
        if state.owner is not None and after.owner != state.owner:
            assert made.left == state.owner
            assert after.former == state.owner
            assert made.happenings, "the timers hear of it"
        if state.offered_to is not None and after.offered_to != state.offered_to:
            assert after.owner == state.offered_to or made.left == state.offered_to
        if state.do_not_contact and given_.kind == "touch":
            assert given_.inward
        if after.status in CLOSED and state.status not in CLOSED:
            assert made.happenings == ("closed",)
        if state.status == "pooled" or after.status == "pooled":
            assert made.happenings or after.status == state.status
        again = step(after, given_, WORKFLOW, POLICY)
        if given_.kind in ("claim", "transfer", "recycle", "assign"):
            assert again == Step(state=after), "told twice is done once"
        state = after


def test_a_state_that_no_step_leads_to_is_found_out() -> None:
    assert flaw(NEW, WORKFLOW) is None
    wrong = [
        replace(NEW, status="following"),
        replace(NEW, owner="li"),
        replace(HELD, offered_to="zhao"),
        replace(HELD, awaits_approval=True),
        replace(HELD, stage=None),
        replace(HELD, stage="odd"),
        replace(LOST, outcome=None),
        replace(LOST, reason=None),
        replace(LOST, closed_by=None),
        replace(LOST, review=None),
        replace(LOST, status="won", reason=None),
        replace(HELD, reason="price"),
        replace(LOST, owner=None),
    ]
    found = [flaw(state, WORKFLOW) for state in wrong]
    assert None not in found
    assert len(set(found)) == len(wrong), "each for its own reason"


# ---- events

FROM_EVENTS = {
    "claim": (event("lead_claim", 1, seller="li"), Act(kind="claim", at=5, seller="li", by="li")),
    "assign to a team's queue": (
        event("lead_assign", 1, data={"by": "wang"}),
        Act(kind="assign", at=5, by="wang"),
    ),
    "transfer": (
        event("lead_transfer", 1, seller="zhao", data={"by": "wang"}),
        Act(kind="transfer", at=5, seller="zhao", by="wang"),
    ),
    "touch": (
        event("lead_touch", 1, seller="li", data={"channel": "call", "direction": "in", "answered": False}),
        Act(kind="touch", at=5, seller="li", by="li", inward=True, answered=False),
    ),
    "outcome": (
        event(
            "lead_outcome", 1, seller="li", outcome="lost", data={"loss_reason": "price", "follow_up_at": 9}
        ),
        Act(kind="outcome", at=5, seller="li", by="li", outcome="lost", reason="price", follow_up_at=9),
    ),
    "stage": (
        event("lead_stage", 1, data={"stage": "booked", "by": "li"}),
        Act(kind="stage", at=5, stage="booked", by="li"),
    ),
    "review": (
        event("lead_review", 1, data={"decision": "accept", "by": "wang"}),
        Act(kind="review", at=5, decision="accept", by="wang"),
    ),
    "recycle": (
        event("lead_recycle", 1, data={"by": "wang", "reason": "left"}),
        Act(kind="recycle", at=5, by="wang", reason="left"),
    ),
    "no lead's": (event("contact_reveal", 1, data={"by": "li", "purpose": "call"}), None),
    "a viewer's": (event("like", 1), None),
}


@pytest.mark.parametrize(("given_", "expected"), FROM_EVENTS.values(), ids=FROM_EVENTS)
def test_journal_events_become_acts(given_: Any, expected: Act | None) -> None:
    assert act_of(given_, 5) == expected


@pytest.mark.parametrize(
    "data",
    [{"by": 5}, {"by": ""}, {"by": "x" * 257}, {"stage": ["won"]}, {"follow_up_at": True}, {"follow_up_at": 1.5},
     {"answered": "no"}, {"direction": "sideways"}, {"seller": 7}],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_and_not_guessed_at(data: dict[str, Any]) -> None:
    assert act_of(event("lead_touch", 1, data=data), 5) == Refusal(code="malformed")


def test_notes_are_never_read() -> None:
    """Personal fields may be destroyed, and replay must decide the same."""
    plain = event("lead_note", 1, seller="li")
    assert act_of(replace(plain, note="战败", extra={"stage": "lost"}), 5) == act_of(plain, 5)
    assert happened(HELD, act("note")) == Step(state=HELD)


def test_people_read_every_status_and_refusal_in_both_languages() -> None:
    assert set(STATUS_NAMES) == set(STATUSES)
    assert STATUS_NAMES["new"][0] == "待跟进"
    assert all(zh and en for zh, en in (*STATUS_NAMES.values(), *REFUSALS.values()))
    kinds = {kind for kind in PEOPLE_KINDS if act_of(event(kind, 1, seller="li"), 5) is not None}
    assert kinds == PEOPLE_KINDS - {"contact_reveal", "clean_result"}
