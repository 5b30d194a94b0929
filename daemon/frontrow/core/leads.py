"""Leads and grades: who has turned hot, decided once per viewer and session."""

import hashlib
from typing import Any, Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from frontrow.core.alerts import Reason
from frontrow.core.points import Policy

Grade = Literal["hot", "warm", "cold"]
COLD, WARM, HOT = 0, 1, 2
GRADES: tuple[Grade, Grade, Grade] = ("cold", "warm", "hot")


class Lead(Struct, frozen=True):
    """A raw lead: one per viewer and session that turned hot, or was shown to find out. Unknown is None.

    ``points``, ``probability`` and ``reasons`` are those of the moment ``decided_at`` (engine time, UTC ms); they do
    not change afterwards. ``quality`` is what the platform alone tells: Q2 of a fan or of a viewer who was there
    before, else Q1; contacts, customers and stores are the lead centre's. ``product`` is the one that the viewer last
    clicked, put into a cart, booked or ordered; failing that, the one on show. ``probability`` is None while the
    model has learnt too little to be believed. ``policy`` and ``model`` name the points table and the weights that
    decided. ``propensity`` is None where the viewer was hot; else they were under the threshold and shown for the
    sake of learning, with this chance, and ``grade`` is theirs (:mod:`frontrow.core.exploration`).
    """

    lead: str
    platform: str
    room: str
    session: str
    viewer: str
    customer: str | None
    store: str | None
    grade: Grade
    quality: str | None
    points: int
    probability: float | None
    reasons: list[Reason]
    decided_at: int
    policy: str
    model: str | None
    host: str | None
    product: str | None
    campaign: str | None
    propensity: float | None = None


class LeadGrouped(Struct, frozen=True):
    """The viewer of a lead was found to be one of a group (:mod:`frontrow.core.crowd`) after it was made; it stays a lead.

    ``at`` is engine time (UTC ms), ``others`` how many say the same. Who leaves the group and is found in one again
    is told of again.
    """

    lead: str
    platform: str
    viewer: str
    at: int
    others: int


def lead_id(platform: str, room: str, session: str, viewer: str) -> str:
    """Return the lead's id: the same for the same viewer and session wherever and however often it is computed."""
    # JSON-like framing with lengths keeps ("ab", "c") and ("a", "bc") apart.
    key = "\x1f".join(f"{len(part)}:{part}" for part in (platform, room, session, viewer))
    return "L" + hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()


def grade_after(before: int, points: int, policy: Policy) -> int:
    """Return the grade by points, with hysteresis: a grade is left only below its own lower bound.

    Where points never fall this is the same as the plain bounds.
    """
    if points >= policy.hot or (before == HOT and points >= policy.hot_leave):
        return HOT
    if points >= policy.warm or (before >= WARM and points >= policy.warm_leave):
        return WARM
    return COLD


def grades_after(before: NDArray[Any], points: NDArray[Any], policy: Policy) -> NDArray[Any]:
    """Return :func:`grade_after` of many."""
    hot = (points >= policy.hot) | ((before == HOT) & (points >= policy.hot_leave))
    warm = (points >= policy.warm) | ((before >= WARM) & (points >= policy.warm_leave))
    return np.where(hot, HOT, np.where(warm, WARM, COLD))
