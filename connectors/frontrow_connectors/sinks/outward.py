"""What programs are told of a lead: an alert as plain data, looked at once more before it leaves the house."""

import difflib
import hashlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from frontrow.core.alerts import CustomerTouch, LeadAlert, event_type
from frontrow_connectors.sinks.cards import (
    chips,
    grade_word,
    lead_link,
    masked,
    probability_text,
    room_link,
)

_ONLY_WHERE_KNOWN = (
    "event",
    "to",
    "at",
    "due_at",
    "region",
    "quality",
    "holder",
    "cause",
    "touch",
    "feedback",
)


def told(alert: LeadAlert, *, base_url: str) -> dict[str, Any]:
    """Return the alert as JSON values: numbers masked, of an addressee the id alone, and with the link to follow.

    The same for every attempt. What came later than the first receivers is left out where it is unknown.
    """
    data: dict[str, Any] = msgspec.to_builtins(alert)
    # The engine has masked both already; what leaves the house is looked at twice.
    data["name"] = masked(alert.name)
    data["words"] = None if alert.words is None else masked(alert.words)
    if alert.to is not None:
        data["to"] = {"seller": alert.to.seller}
    for name in _ONLY_WHERE_KNOWN:
        if data[name] is None:
            del data[name]
    link = room_link(base_url, alert.room_id) if alert.to is None else lead_link(base_url, alert.lead)
    if link:
        data["url"] = link
    return data


def rfc3339(at: int) -> str:
    """Return a time, UTC milliseconds, as "2025-06-15T15:06:40.000Z"."""
    time = datetime.fromtimestamp(at / 1_000, UTC).isoformat(timespec="milliseconds")
    return time.replace("+00:00", "Z")


def happened_at(alert: LeadAlert) -> int:
    """Return when what the alert tells was decided, UTC milliseconds."""
    return alert.decided_at if alert.at is None else alert.at


Value = str | int | float | None


def fields(alert: LeadAlert, *, key: str, base_url: str, now: int, language: str) -> dict[str, Value]:
    """Return every field that a mapping can name (:data:`FIELDS`), unknown as None; ``now`` is for ``minutes_left``."""
    data = told(alert, base_url=base_url)
    why = " · ".join(chips(alert.reasons, language))
    touch = alert.touch
    score = probability_text(alert.probability, language)
    times = {"decided_at": alert.decided_at, "at": happened_at(alert), "due_at": alert.due_at}
    return {
        "event": event_type(alert),
        "key": message_id(key),
        **{name: data.get(name) for name in _AS_THEY_ARE},
        **{name: None if at is None else rfc3339(at) for name, at in times.items()},
        "decided_at_ms": alert.decided_at,
        "minutes_left": None if alert.due_at is None else max(0, -((now - alert.due_at) // 60_000)),
        "reasons": why,
        "summary": " · ".join(part for part in (grade_word(alert.grade, language), score, why) if part),
        "seller": None if alert.to is None else alert.to.seller,
        "touch_rule": None if touch is None else touch.rule,
        "touch_channel": None if touch is None else touch.channel,
        "touch_text": None if touch is None else touch.text,
        "customer": None if touch is None else touch.customer,
        **{kind: _first(touch, kind) for kind in ("wecom", "crm")},
    }


def _first(touch: CustomerTouch | None, kind: str) -> str | None:
    ids = None if touch is None or touch.reach is None else touch.reach.get(kind)
    return ids[0] if ids else None


_AS_THEY_ARE = (
    "lead", "platform", "room", "room_id", "room_title", "session", "viewer", "name", "words", "grade", "quality",
    "points", "probability", "product", "region", "holder", "cause", "purpose", "url",
)  # fmt: skip
FIELDS = frozenset(
    (*_AS_THEY_ARE, "event", "key", "decided_at", "at", "due_at", "decided_at_ms", "minutes_left", "reasons", "summary",
     "seller", "touch_rule", "touch_channel", "touch_text", "customer", "wecom", "crm")
)  # fmt: skip


def check_fields(names: Iterable[str], where: str) -> None:
    """Return if each is a field of ours.

    Raises:
        ValueError: One is not; names it, and the nearest that is.
    """
    for name in names:
        if name not in FIELDS:
            near = difflib.get_close_matches(name, sorted(FIELDS), 1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise ValueError(f"{where}: {name!r} is no field of ours{hint}")


_PLAIN_ID = re.compile(r"[A-Za-z0-9_\-:]{1,128}")


def message_id(key: str) -> str:
    """Return the outbox key as an id that a header can carry; webhooks sign it between dots, so it has none."""
    if _PLAIN_ID.fullmatch(key):
        return key
    return "msg_" + hashlib.sha256(key.encode()).hexdigest()
