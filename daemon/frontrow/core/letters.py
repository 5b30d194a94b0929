"""What became of an alert for one sink: waiting, sent with a receipt, or a dead letter with the reason; as people look at it.

Pure: what is stored goes in, what may be shown comes out. Names and words are masked when an alert is made; a seller's mobile
number is hidden here.
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from frontrow.core.alerts import LeadAlert, event_type
from frontrow.core.contact import mask_numbers
from frontrow.core.errors import FrontrowError

State = Literal["pending", "sent", "dead"]


class LetterRefused(FrontrowError):
    """A letter cannot be sent again; says why. ``missing``: there is none of this number."""

    def __init__(self, reason: str, *, missing: bool = False) -> None:
        super().__init__(reason)
        self.missing = missing


class Letter(Struct, frozen=True):
    """One alert for one sink as it is stored. Times are UTC milliseconds.

    ``settled_at`` is when it was sent or given up; of a pending one when a person asked that it be sent again, or None.
    ``note`` is why it waits or is dead; of a sent one the receiver's id of the message, or empty.
    """

    id: int
    sink: str
    key: str
    alert: LeadAlert
    state: State
    created_at: int
    due_at: int
    attempts: int
    settled_at: int | None
    note: str


class LetterView(Struct, frozen=True):
    """A letter as it is shown. Times are UTC milliseconds, unknown is None.

    ``event`` is what it tells ("lead.hot"), ``to`` the seller whom it is for. ``fresh_until`` is until when its sink
    would still send it, None: for ever, or the sink is configured no more; ``fresh`` whether that is now. ``reason``
    is why it waits or is dead, ``receipt`` the receiver's id of the message. ``alert`` is what it says, where the
    whole is shown.
    """

    id: int
    sink: str
    key: str
    state: State
    lead: str
    event: str
    to: str | None
    created_at: int
    again_at: int | None
    due_at: int | None
    settled_at: int | None
    attempts: int
    fresh_until: int | None
    fresh: bool
    reason: str | None
    receipt: str | None
    alert: dict[str, Any] | None = None


def view(letter: Letter, *, now: int, freshness_s: int | None, whole: bool = False) -> LetterView:
    """Return a letter as it may be shown; ``freshness_s`` is its sink's limit, None: it has none, or there is no such sink."""
    waits = letter.state == "pending"
    again_at = letter.settled_at if waits else None
    born = letter.created_at if again_at is None else again_at
    fresh_until = None if freshness_s is None else born + freshness_s * 1_000
    alert = letter.alert
    return LetterView(
        id=letter.id,
        sink=letter.sink,
        key=letter.key,
        state=letter.state,
        lead=alert.lead,
        event=event_type(alert),
        to=None if alert.to is None else alert.to.seller,
        created_at=letter.created_at,
        again_at=again_at,
        due_at=letter.due_at if waits else None,
        settled_at=None if waits else letter.settled_at,
        attempts=letter.attempts,
        fresh_until=fresh_until,
        fresh=fresh_until is None or now <= fresh_until,
        reason=letter.note or None if letter.state != "sent" else None,
        receipt=letter.note or None if letter.state == "sent" else None,
        alert=_shown(alert) if whole else None,
    )


def _shown(alert: LeadAlert) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(alert)
    told["name"] = mask_numbers(alert.name)
    told["words"] = None if alert.words is None else mask_numbers(alert.words)
    if alert.to is not None and alert.to.mobile is not None:
        told["to"]["mobile"] = mask_numbers(alert.to.mobile)
    return told
