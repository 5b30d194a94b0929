"""A lead's life as a state machine: from 待跟进 over the stages of its trade to won, lost or invalid, or to the public pool.

Pure: a state and an act give another state, or a refusal that says why. Acts are what journal events say; who has the right to an
act (whose lead it is to see, who is a manager) is decided before, by the role and the organisation; here only what
holds for everybody. The timers belong to :mod:`frontrow.core.centre.clock`: a step names the happenings to hand to
it.

    new ──claim──► following ──outcome or stage──► won
     ▲  ◄─release─   │  ▲                          lost, invalid ── review by another ──► final, or following again
     │  ◄─return──   │  └──transfer──┐
     └─reactivate── closed    recycle └► pooled ──claim──► following

Nothing takes a lead from its owner in silence: a step that does says so in ``left``, and the state in ``former``.
"""

from collections.abc import Callable, Mapping
from typing import Literal, get_args

from msgspec import Struct
from msgspec.structs import replace

from frontrow.core.centre.clock import Happening, SlaPolicy
from frontrow.core.events import LATEST_MS, MAX_NAME, Event

Status = Literal["new", "following", "won", "lost", "invalid", "pooled"]
Closed = Literal["won", "lost", "invalid"]
STATUSES: tuple[Status, ...] = get_args(Status)
CLOSED: tuple[Closed, ...] = get_args(Closed)
STATUS_NAMES: Mapping[Status, tuple[str, str]] = {
    "new": ("待跟进", "to follow up"),
    "following": ("跟进中", "in follow-up"),
    "won": ("已成交", "won"),
    "lost": ("战败", "lost"),
    "invalid": ("无效", "invalid"),
    "pooled": ("公海", "public pool"),
}
"""What people read, in Chinese and English."""


class OutcomeEffect(Struct, frozen=True, kw_only=True):
    """What an outcome does to a lead: the end that it brings, or None, the reason that it is in itself, or None, and the stage that
    it reaches where the lead is not beyond it, or None. ``forbids_contact``: the customer wants to hear no more."""

    closes: Closed | None = None
    reason: str | None = None
    stage: str | None = None
    forbids_contact: bool = False


class Workflow(Struct, frozen=True, kw_only=True):
    """What a trade says about the life of its leads; packs give it.

    ``stages`` in their usual order, each with the stages that must have been reached before it. A lead may go back to
    any.
    """

    stages: dict[str, tuple[str, ...]]
    outcomes: dict[str, OutcomeEffect]
    loss_reasons: frozenset[str]
    invalid_reasons: frozenset[str]

    @property
    def first_stage(self) -> str:
        """The stage of a lead that was claimed and nothing more."""
        return next(iter(self.stages))


class LeadState(Struct, frozen=True, kw_only=True):
    """Where a lead stands. Times are UTC ms, people are sellers' ids.

    ``owner`` is who claimed it, and stays with a lead that was closed; ``offered_to`` whom it was given to and who
    has not claimed it. Until ``protected_until`` nobody else may claim what has an owner. ``former`` is who had it
    last, and until ``cooldown_until`` may not have it back from the pool. ``outcome`` is the last one, ``reason`` why
    it was lost or invalid, ``closed_by`` who said so, whose word stands once somebody else has accepted it
    (``review``). ``reached`` are the stages that it went through.
    """

    status: Status = "new"
    stage: str | None = None
    reached: tuple[str, ...] = ()
    owner: str | None = None
    offered_to: str | None = None
    awaits_approval: bool = False
    former: str | None = None
    protected_until: int = 0
    cooldown_until: int = 0
    reassignments: int = 0
    outcome: str | None = None
    reason: str | None = None
    closed_by: str | None = None
    review: Literal["pending", "accepted"] | None = None
    follow_up_at: int | None = None
    do_not_contact: bool = False


ActKind = Literal[
    "assign", "approve", "claim", "release", "return", "transfer", "touch", "outcome", "stage", "review", "recycle",
    "reactivate", "contact", "note",
]  # fmt: skip


class Act(Struct, frozen=True, kw_only=True):
    """Something that is done to a lead at ``at`` (engine time, UTC ms) by ``by``, None: the daemon.

    ``seller``: who is to have it (assign, transfer; None in assign: the team's queue), or who acts (claim, release). ``approval``
    of assign: a manager must confirm. ``decision``: approve | reject, accept | reopen (review), forbid | permit
    (contact). ``stage`` may be one of the trade's or an end; ``answered`` of a touch ``inward``: whether anybody of
    ours was there. "return" takes a lead back that was not responded to, "reactivate" opens a closed one because its
    customer has come again.
    """

    kind: ActKind
    at: int
    by: str | None = None
    seller: str | None = None
    approval: bool = False
    decision: str | None = None
    stage: str | None = None
    outcome: str | None = None
    reason: str | None = None
    inward: bool = False
    answered: bool = True
    follow_up_at: int | None = None


RefusalCode = Literal[
    "held", "unclaimed", "closed", "pooled", "not_closed", "awaits_approval", "no_approval_asked", "cooldown",
    "own_review", "not_in_review", "unknown_stage", "stage_too_early", "unknown_outcome", "outcome_missing",
    "reason_missing", "unknown_reason", "do_not_contact", "seller_missing", "by_missing", "malformed", "turned_down",
]  # fmt: skip
REFUSALS: Mapping[RefusalCode, tuple[str, str]] = {
    "held": ("此线索由 {holder} 跟进", "{holder} holds this lead"),
    "unclaimed": ("请先领取此线索", "claim this lead first"),
    "closed": ("此线索已关闭", "this lead is closed"),
    "pooled": ("此线索在公海，请先领取", "this lead is in the public pool; claim it first"),
    "not_closed": ("此线索尚未关闭", "this lead is not closed"),
    "awaits_approval": ("等待经理确认", "a manager has to confirm it first"),
    "no_approval_asked": ("此线索无需确认", "nobody asked for a confirmation"),
    "cooldown": (
        "此线索刚从您处回到公海，暂不能再领取",
        "it went to the pool from you a short while ago; not yet",
    ),
    "own_review": ("须由他人复核", "somebody else has to review it"),
    "not_in_review": ("此线索不在复核中", "this lead is not in review"),
    "unknown_stage": ("没有此阶段", "there is no such stage"),
    "stage_too_early": ("须先完成：{missing}", "first comes: {missing}"),
    "unknown_outcome": ("没有此跟进结果", "there is no such outcome"),
    "outcome_missing": ("关闭前须填写跟进结果", "a lead cannot be closed without an outcome"),
    "reason_missing": ("关闭前须填写原因", "a lead cannot be closed without a reason"),
    "unknown_reason": ("没有此原因", "there is no such reason"),
    "do_not_contact": ("客户要求不再联系", "the customer wants no contact"),
    "seller_missing": ("缺少销售人员", "it does not say which seller"),
    "by_missing": ("缺少操作人", "it does not say who does it"),
    "malformed": ("内容无法识别", "it cannot be read"),
    # Said by the desk, and never by a step: journals of before hold such claims and transfers, which were done.
    "turned_down": (
        "经理未同意由{seller}跟进此线索",
        "a manager has turned {seller} down for this lead, and can still give it to them",
    ),
}
"""What people read, in Chinese and English; ``{holder}``, ``{missing}`` and ``{seller}`` stand for the refusal's own."""
_YOU = ("您", "you")


class Refusal(Struct, frozen=True, kw_only=True):
    """Why an act is not done. ``holder`` has the lead; ``until`` (UTC ms) is when it can be tried again; ``missing`` are stages;
    ``seller`` is who may not have it, None: who asked."""

    code: RefusalCode
    holder: str | None = None
    seller: str | None = None
    until: int | None = None
    missing: tuple[str, ...] = ()

    def words(self, language: Literal["zh-CN", "en"]) -> str:
        """Return a sentence for people."""
        english = language == "en"
        return REFUSALS[self.code][english].format(
            holder=self.holder or "?", missing=", ".join(self.missing), seller=self.seller or _YOU[english]
        )


class Step(Struct, frozen=True, kw_only=True):
    """An act that is done: the new state, what happened (for the timers, in this order), and who lost the lead by it, if anybody.

    An act that changes nothing (the holder's second claim) gives the same state and no happening.
    """

    state: LeadState
    happenings: tuple[Happening, ...] = ()
    left: str | None = None


def step(state: LeadState, act: Act, workflow: Workflow, policy: SlaPolicy) -> Step | Refusal:
    """Return what an act makes of a lead, or why it is not to be done. The policy is the one that the lead is measured by."""
    return _RULES[act.kind](state, act, workflow, policy)


def act_of(event: Event, at: int) -> Act | Refusal | None:
    """Return what a journal event does to a lead, at engine time ``at``; None where its kind does nothing to one.

    Only facts are read, never ``note`` or ``extra``, which may be destroyed.
    """
    kind = _KINDS.get(event.kind)
    if kind is None:
        return None
    data = event.data or {}
    texts = {
        name: data.get(name) for name in ("by", "decision", "stage", "reason", "loss_reason", "direction")
    }
    follow_up_at, answered = data.get("follow_up_at"), data.get("answered", True)
    if (
        not all(
            text is None or (isinstance(text, str) and 0 < len(text) <= MAX_NAME) for text in texts.values()
        )
        or not (follow_up_at is None or (type(follow_up_at) is int and 0 <= follow_up_at <= LATEST_MS))
        or not isinstance(answered, bool)
        or texts["direction"] not in (None, "in", "out")
    ):
        return Refusal(code="malformed")
    seller = event.seller if event.seller is not None else data.get("seller")
    if not (seller is None or (isinstance(seller, str) and len(seller) <= MAX_NAME)):
        return Refusal(code="malformed")
    return Act(
        kind=kind,
        at=at,
        by=texts["by"] or (None if kind in ("assign", "transfer") else seller),
        seller=seller,
        decision=texts["decision"],
        stage=texts["stage"],
        outcome=event.outcome,
        reason=texts["loss_reason"] or texts["reason"],
        inward=texts["direction"] == "in",
        answered=answered,
        follow_up_at=follow_up_at,
    )


_KINDS: Mapping[str, ActKind] = {
    "lead_assign": "assign",
    "lead_approve": "approve",
    "lead_claim": "claim",
    "lead_release": "release",
    "lead_transfer": "transfer",
    "lead_touch": "touch",
    "lead_outcome": "outcome",
    "lead_stage": "stage",
    "lead_review": "review",
    "lead_recycle": "recycle",
    "lead_note": "note",
}


# ---- rules, each (state, act, workflow, policy) -> Step | Refusal


def _assign(state: LeadState, act: Act, workflow: Workflow, policy: SlaPolicy) -> Step | Refusal:
    if state.status in CLOSED:
        return Refusal(code="closed")
    if state.owner is not None:
        return Refusal(code="held", holder=state.owner)
    given = replace(state, status="new", offered_to=act.seller, awaits_approval=act.approval)
    if given == state:
        return Step(state=state)
    happenings: list[Happening] = []
    if state.awaits_approval and not act.approval:
        happenings.append("approval_given")
    anew = state.status == "pooled" or (state.offered_to is not None and state.offered_to != act.seller)
    if anew:
        happenings.append("reassigned")
    if act.approval:
        happenings.append("approval_asked")
    left = state.offered_to if state.offered_to != act.seller else None
    return Step(state=given, happenings=tuple(happenings), left=left)


def _approve(state: LeadState, act: Act, workflow: Workflow, policy: SlaPolicy) -> Step | Refusal:
    if not state.awaits_approval:
        return Refusal(code="no_approval_asked")
    if act.by is None:
        return Refusal(code="by_missing")
    if act.decision not in ("approve", "reject"):
        return Refusal(code="malformed")
    rejected = act.decision == "reject"
    decided = replace(state, awaits_approval=False, offered_to=None if rejected else state.offered_to)
    return Step(state=decided, happenings=("approval_given",), left=state.offered_to if rejected else None)


def _claim(state: LeadState, act: Act, workflow: Workflow, policy: SlaPolicy) -> Step | Refusal:
    seller = act.seller
    if seller is None:
        return Refusal(code="seller_missing")
    if state.status in CLOSED:
        return Refusal(code="closed", holder=state.owner)
    if state.owner == seller:
        return Step(state=state)
    if state.owner is not None and act.at < state.protected_until:
        return Refusal(code="held", holder=state.owner, until=state.protected_until)
    if state.awaits_approval:
        return Refusal(code="awaits_approval")
    if state.status == "pooled" and state.former == seller and act.at < state.cooldown_until:
        return Refusal(code="cooldown", until=state.cooldown_until)
    return _owned_by(seller, state, act, workflow, policy, "claimed")


def _transfer(state: LeadState, act: Act, workflow: Workflow, policy: SlaPolicy) -> Step | Refusal:
    if act.seller is None:
        return Refusal(code="seller_missing")
    if state.status in CLOSED:
        return Refusal(code="closed", holder=state.owner)
    if state.owner == act.seller:
        return Step(state=state)
    return _owned_by(act.seller, state, act, workflow, policy, "transferred")


def _owned_by(
    seller: str, state: LeadState, act: Act, workflow: Workflow, policy: SlaPolicy, happening: Happening
) -> Step:
    left = state.owner or state.offered_to
    owned = replace(
        _in_stage(state, state.stage or workflow.first_stage),
        status="following",
        owner=seller,
        offered_to=None,
        awaits_approval=False,
        former=state.owner or state.former,
        protected_until=act.at + 1000 * policy.protection_s,
    )
    happenings: tuple[Happening, ...] = (
        ("approval_given", happening) if state.awaits_approval else (happening,)
    )
    return Step(state=owned, happenings=happenings, left=None if left == seller else left)


def _release(state: LeadState, act: Act, workflow: Workflow, policy: SlaPolicy) -> Step | Refusal:
    refusal = _not_in_follow_up(state)
    if refusal is not None:
        return refusal
    if act.seller is not None and act.seller != state.owner:
        return Refusal(code="held", holder=state.owner)
    return _queued(state)


def _return(state: LeadState, act: Act, workflow: Workflow, policy: SlaPolicy) -> Step | Refusal:
    if state.status in CLOSED:
        return Refusal(code="closed")
    if state.status == "pooled":
        return Refusal(code="pooled")
    if state.awaits_approval:
        return Refusal(code="awaits_approval")
    return _queued(replace(state, reassignments=state.reassignments + 1))


def _queued(state: LeadState) -> Step:
    """The lead is its team's, and nobody's within it."""
    left = state.owner or state.offered_to
    queued = replace(
        state, status="new", owner=None, offered_to=None, former=left or state.former, protected_until=0
    )
    return Step(state=queued, happenings=("reassigned",), left=left)


def _recycle(state: LeadState, act: Act, workflow: Workflow, policy: SlaPolicy) -> Step | Refusal:
    if state.status in CLOSED:
        return Refusal(code="closed")
    if state.status == "pooled":
        return Step(state=state)
    left = state.owner or state.offered_to
    pooled = replace(
        state,
        status="pooled",
        owner=None,
        offered_to=None,
        awaits_approval=False,
        former=left or state.former,
        protected_until=0,
        cooldown_until=act.at + 1000 * policy.cooldown_s,
        follow_up_at=None,
        reassignments=0,
    )
    return Step(state=pooled, happenings=("pooled",), left=left)


def _touch(state: LeadState, act: Act, workflow: Workflow, policy: SlaPolicy) -> Step | Refusal:
    if state.do_not_contact and not act.inward:
        return Refusal(code="do_not_contact")
    if act.inward and not act.answered:
        return Step(state=state)  # whoever rang and found nobody has not been responded to
    if state.status in CLOSED:
        return Step(state=state)  # a word of thanks; what was decided stands
    refusal = _not_in_follow_up(state)
    return refusal or _responded(state, act, policy)


def _outcome(state: LeadState, act: Act, workflow: Workflow, policy: SlaPolicy) -> Step | Refusal:
    effect = None if act.outcome is None else workflow.outcomes.get(act.outcome)
    if effect is None:
        return Refusal(code="outcome_missing" if act.outcome is None else "unknown_outcome")
    # A number that is none is found out by whoever cleans leads, before any seller has them.
    if not (effect.closes == "invalid" and state.status in ("new", "pooled")):
        refusal = _not_in_follow_up(state)
        if refusal is not None:
            return refusal
    if effect.stage is not None and _is_onward(state, effect.stage, workflow):
        missing = _missing(state, effect.stage, workflow)
        if missing:
            return Refusal(code="stage_too_early", missing=missing)
        state = _in_stage(state, effect.stage)
    said = replace(state, outcome=act.outcome, do_not_contact=state.do_not_contact or effect.forbids_contact)
    if effect.closes is not None:
        return _close(said, effect.closes, act, act.reason or effect.reason, workflow)
    return _responded(said, act, policy)


def _stage(state: LeadState, act: Act, workflow: Workflow, policy: SlaPolicy) -> Step | Refusal:
    refusal = _not_in_follow_up(state)
    if refusal is not None:
        return refusal
    if act.stage in CLOSED:
        if act.outcome is not None:
            if act.outcome not in workflow.outcomes:
                return Refusal(code="unknown_outcome")
            state = replace(state, outcome=act.outcome)
        return _close(state, act.stage, act, act.reason, workflow)
    if act.stage is None or act.stage not in workflow.stages:
        return Refusal(code="unknown_stage")
    missing = _missing(state, act.stage, workflow)
    if missing:
        return Refusal(code="stage_too_early", missing=missing)
    # It is a sign of work, but none that the customer has heard of, and so it renews no time.
    return _with_promise(_in_stage(state, act.stage), act, ())


def _close(state: LeadState, end: Closed, act: Act, reason: str | None, workflow: Workflow) -> Step | Refusal:
    if act.by is None:
        return Refusal(code="by_missing")  # or nobody could be kept from reviewing their own
    if state.outcome is None:
        return Refusal(code="outcome_missing")
    if end != "won":
        known = workflow.loss_reasons if end == "lost" else workflow.invalid_reasons
        if reason is None:
            return Refusal(code="reason_missing")
        if reason not in known:
            return Refusal(code="unknown_reason")
    closed = replace(
        state,
        status=end,
        reason=None if end == "won" else reason,
        closed_by=act.by,
        review=None if end == "won" else "pending",
        offered_to=None,
        awaits_approval=False,
        protected_until=0,
        follow_up_at=None,
    )
    return Step(state=closed, happenings=("closed",), left=state.offered_to)


def _review(state: LeadState, act: Act, workflow: Workflow, policy: SlaPolicy) -> Step | Refusal:
    if state.review != "pending":
        return Refusal(code="not_in_review")
    if act.by is None:
        return Refusal(code="by_missing")
    if act.by == state.closed_by or act.by == state.owner:
        return Refusal(code="own_review", holder=state.closed_by)
    if act.decision == "accept":
        return Step(state=replace(state, review="accepted"))
    if act.decision != "reopen":
        return Refusal(code="malformed")
    opened = _opened(state)
    if opened.owner is None:
        return Step(state=opened, happenings=("reassigned",))
    opened = replace(
        opened, status="following", stage=state.stage, protected_until=act.at + 1000 * policy.protection_s
    )
    return Step(state=opened, happenings=("reopened",))


def _reactivate(state: LeadState, act: Act, workflow: Workflow, policy: SlaPolicy) -> Step | Refusal:
    if state.status not in CLOSED:
        return Refusal(code="not_closed")
    # What they said last time is history, and what they ask now is a new question with five minutes of its own.
    opened = replace(
        _opened(state), owner=None, former=state.owner or state.former, outcome=None, reassignments=0
    )
    return Step(state=opened, happenings=("reassigned",), left=state.owner)


def _opened(state: LeadState) -> LeadState:
    return replace(state, status="new", reason=None, closed_by=None, review=None)


def _contact(state: LeadState, act: Act, workflow: Workflow, policy: SlaPolicy) -> Step | Refusal:
    if act.decision not in ("forbid", "permit"):
        return Refusal(code="malformed")
    return Step(state=replace(state, do_not_contact=act.decision == "forbid"))


def _note(state: LeadState, act: Act, workflow: Workflow, policy: SlaPolicy) -> Step | Refusal:
    return Step(state=state)


def _responded(state: LeadState, act: Act, policy: SlaPolicy) -> Step:
    until = act.at + 1000 * policy.protection_s
    return _with_promise(replace(state, protected_until=until), act, ("responded",))


def _with_promise(state: LeadState, act: Act, happenings: tuple[Happening, ...]) -> Step:
    if act.follow_up_at is None:
        return Step(state=state, happenings=happenings)
    return Step(
        state=replace(state, follow_up_at=act.follow_up_at), happenings=(*happenings, "follow_up_set")
    )


def _not_in_follow_up(state: LeadState) -> Refusal | None:
    if state.status == "following":
        return None
    code: RefusalCode = (
        "closed" if state.status in CLOSED else "pooled" if state.status == "pooled" else "unclaimed"
    )
    return Refusal(code=code)


def _missing(state: LeadState, stage: str, workflow: Workflow) -> tuple[str, ...]:
    return tuple(before for before in workflow.stages.get(stage, ()) if before not in state.reached)


def _is_onward(state: LeadState, stage: str, workflow: Workflow) -> bool:
    """An outcome leads on, never back: who is interested after a test drive has still had it. A stage that is chosen may."""
    order = list(workflow.stages)
    return state.stage is None or order.index(stage) > order.index(state.stage)


def _in_stage(state: LeadState, stage: str) -> LeadState:
    reached = state.reached if stage in state.reached else (*state.reached, stage)
    return replace(state, stage=stage, reached=reached)


_RULES: Mapping[ActKind, Callable[[LeadState, Act, Workflow, SlaPolicy], Step | Refusal]] = {
    "assign": _assign,
    "approve": _approve,
    "claim": _claim,
    "release": _release,
    "return": _return,
    "transfer": _transfer,
    "touch": _touch,
    "outcome": _outcome,
    "stage": _stage,
    "review": _review,
    "recycle": _recycle,
    "reactivate": _reactivate,
    "contact": _contact,
    "note": _note,
}
