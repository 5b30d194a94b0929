"""What sales are told of a lead: the card, free of anything that the receiver may not see."""

from dataclasses import dataclass
from typing import Any, Literal

from msgspec import Struct

Purpose = Literal["lead", "todo", "nudge", "escalation", "approval", "touch", "feedback"]
CLUE = "clue:"  # what a viewer's id begins with who is a lead of 飞鱼, whose own id follows


class Reason(Struct, frozen=True, omit_defaults=True):
    """One part of a score.

    ``kind`` "rule": a rule of the points table fired, worth ``points``, after ``count`` occurrences or at ``value``
    (seconds for ``watched``); ``by`` splits the count (intents of a question: price, spec, stock, …).
    ``kind`` "feature": an additive part of the model's logit: ``logit`` for a feature whose number is ``value``.
    """

    kind: str
    name: str
    points: int | None = None
    logit: float | None = None
    count: int | None = None
    value: float | None = None
    by: dict[str, int] | None = None
    inferred: bool | None = None  # watched: estimated from first to last activity, not observed


class Addressee(Struct, frozen=True, omit_defaults=True):
    """The one person who is told, and how they are reached; None: not in that way.

    ``seller`` is the id in the organisation (of a manager as well), ``wecom`` the userid, ``mobile`` an E.164 number.
    ``timezone`` (IANA) is that in which times are shown to them. Nobody else may be sent what has an addressee.
    """

    seller: str
    wecom: str | None = None
    mobile: str | None = None
    timezone: str = "Asia/Shanghai"


class CustomerTouch(Struct, frozen=True, omit_defaults=True):
    """A message of nurture to the customer: by which ``rule``, on which ``channel``, which ``text`` (its name).

    ``name`` is that of the message, the same however often it is sent. ``reach`` are the customer's ids in systems of
    the owner's, by kind ("wecom", "crm"), added when it is sent: what is stored names nobody.
    """

    name: str
    rule: str
    channel: str
    text: str
    customer: str
    reach: dict[str, list[str]] | None = None


class LeadFeedback(Struct, frozen=True, omit_defaults=True):
    """What the platform that a lead came from is to hear: ``clue`` is the lead's id there, ``outcome`` what became of it, ``state`` what that is
    there by the trade's pack, None: it says nothing."""

    clue: str
    outcome: str
    state: str | None = None


class LeadAlert(Struct, frozen=True):
    """A lead as it goes out: the name masked, numbers masked, reasons as aggregates, never raw events.

    ``points`` 0 to 100; ``probability`` 0 to 1, None while the model has too few matured labels. ``decided_at`` is
    UTC milliseconds. ``words`` are the last relevant words, phone numbers masked, or None.

    ``purpose`` is why it is told: a new ``lead`` to a group or a program; to one person (``to``) a ``todo``, a
    ``nudge`` before the deadline, an ``escalation`` behind it, or an ``approval`` that is waited for. ``event`` names
    for programs what has happened ("won", "assigned" …) where the purpose does not; ``at`` is when it was decided
    that this be told, and ``due_at`` the deadline (UTC ms). ``holder`` is the seller whom an escalation or an
    approval is about, ``cause`` the code of why a deadline passed. A ``touch`` is to the customer, and no seller is
    told. A ``feedback`` is for the platform that the lead came from. ``region`` is a place in words, ``quality`` Q0
    to Q5.
    """

    lead: str
    platform: str
    room: str
    room_id: str
    room_title: str
    session: str
    viewer: str
    name: str
    grade: str
    points: int
    probability: float | None
    reasons: list[Reason]
    decided_at: int
    product: str | None = None
    words: str | None = None
    extra: dict[str, Any] | None = None
    purpose: Purpose = "lead"
    event: str | None = None
    to: Addressee | None = None
    at: int | None = None
    due_at: int | None = None
    region: str | None = None
    quality: str | None = None
    holder: str | None = None
    cause: str | None = None
    touch: CustomerTouch | None = None
    feedback: LeadFeedback | None = None


_EVENTS: dict[Purpose, str] = {
    "todo": "assigned",
    "nudge": "nudged",
    "escalation": "breached",
    "approval": "approval_asked",
    "touch": "touch_due",
    "feedback": "outcome",
}


def event_type(alert: LeadAlert) -> str:
    """Return what has happened, as programs are told: "lead.hot", "lead.assigned", "lead.breached", "lead.won" …"""
    return f"lead.{alert.event or _EVENTS.get(alert.purpose, alert.grade)}"


def alert_key(sink: str, alert: LeadAlert) -> str:
    """Return the outbox key: one for a new lead, and one for each later message about it to each person."""
    if alert.purpose == "lead" and alert.event is None:
        return f"{sink}:{alert.lead}"
    to = alert.to.seller if alert.to else ""
    at = alert.decided_at if alert.at is None else alert.at
    return f"{sink}:{alert.lead}:{event_type(alert)}:{to}:{at}"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One row of the outbox: ``key`` is stable over retries, and so an idempotency key for the receiver."""

    key: str
    alert: LeadAlert
    attempt: int  # from 1


_GRADES = {"hot": 2, "warm": 1, "cold": 0}


def heat(alert: LeadAlert) -> tuple[int, float, int, int, str]:
    """Return what alerts are sorted by, greatest first: grade, probability, points, recency, then the lead's id.

    It is the order of the panels, so that a digest and a panel name the same viewer first.
    """
    probability = -1.0 if alert.probability is None else alert.probability
    return (_GRADES.get(alert.grade, -1), probability, alert.points, alert.decided_at, alert.lead)
