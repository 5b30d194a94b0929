"""What preparing is, one event after another: the definition, which the daemon's way by frames is held to."""

from typing import Any

import msgspec
from msgspec.structs import force_setattr

from frontrow.core.contact import redact_extra, redact_fields, redact_label, redact_text
from frontrow.core.events import MAX_TEXT, Event, too_deep
from frontrow.core.facts import derive
from frontrow.core.intents import RoomLexicon
from frontrow.core.preparing import LABELS, SHORTEST_NUMBER
from frontrow.core.promotions import KIND as PROMOTION
from frontrow.core.promotions import is_token


def prepare(event: Event, lexicon: RoomLexicon, region: str) -> int:
    """Return an event's facts, and mask in it what may not be kept; the event must be the caller's alone."""
    facts = derive(event, lexicon, region)
    if event.text:
        force_setattr(event, "text", redact_text(event.text))
    token = event.kind == PROMOTION and event.name is not None and is_token(event.name)
    if event.name and len(event.name) >= SHORTEST_NUMBER and not token:
        force_setattr(event, "name", redact_text(event.name))
    for label in LABELS:
        value = getattr(event, label)
        if value is not None and len(value) >= SHORTEST_NUMBER:
            force_setattr(event, label, redact_label(value, region))
    if event.fields:
        force_setattr(event, "fields", redact_fields(_storable(event.fields), event.consent))
    if event.extra:
        force_setattr(event, "extra", redact_extra(_storable(event.extra), region))
    return facts


def _storable(fields: dict[str, Any]) -> dict[str, Any]:
    return {"json": msgspec.json.encode(fields).decode()[:MAX_TEXT]} if too_deep(fields) else fields
