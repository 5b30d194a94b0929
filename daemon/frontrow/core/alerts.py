"""What sales are told of a lead: the card, free of anything that the receiver may not see."""

from dataclasses import dataclass
from typing import Any

from msgspec import Struct


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


class LeadAlert(Struct, frozen=True):
    """A lead as it goes out: the name masked, numbers masked, reasons as aggregates, never raw events.

    ``points`` 0 to 100; ``probability`` 0 to 1, None while the model has too few matured labels. ``decided_at`` is
    UTC milliseconds. ``words`` are the last relevant words, phone numbers masked, or None.
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
