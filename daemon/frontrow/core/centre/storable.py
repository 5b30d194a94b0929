"""What every database can hold, of what a journal can hold: one rule, applied before anything is decided.

So a centre in SQLite and one in Postgres decide the same and keep the same. The journal keeps what came, as it came.
"""

import hashlib
import math
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from frontrow.core.errors import EventInvalid
from frontrow.core.events import MAX_NAME, Event

NUL, SHOWN_NUL = "\0", "␀"  # Postgres takes every character but the first
MOST = (1 << 63) - 1
MAX_KEY = 600  # bytes; an entry in an index of Postgres has at most 2,704

Thing = TypeVar("Thing", bound=Struct)


def storable(event: Event) -> Event:
    """Return an event as it can be stored: a character NUL is its picture in every text.

    Raises:
        EventInvalid: Its data hold a number beyond 64 bits, or one that is none.
    """
    kept = with_storable_texts(event)
    # What is not looked at is not stored. `fields` hold texts alone: what is sealed, and its mask.
    changed = {
        name: value
        for name in ("data", "fields")
        if (given := getattr(kept, name)) is not None and (value := _storable(given)) != given
    }
    return replace(kept, **changed) if changed else kept


def with_storable_texts(thing: Thing) -> Thing:
    """Return a value with the texts among its fields as they can be stored."""
    changed = {
        name: text.replace(NUL, SHOWN_NUL)
        for name in thing.__struct_fields__
        if isinstance(text := getattr(thing, name), str) and NUL in text
    }
    return replace(thing, **changed) if changed else thing


def storable_text(text: str) -> str:
    """Return a text as it can be stored."""
    return text.replace(NUL, SHOWN_NUL) if NUL in text else text


def plain(value: Any) -> str | int | float | None:
    """Return a value that is to stand in a line of a timeline: a text, cut where it is too long, or a number; None for all else."""
    if isinstance(value, str):
        return value[:MAX_NAME]
    return value if isinstance(value, (int, float)) else None


def event_key(event: Event) -> str:
    """Return the name of an event among all: readable, or where that is too long for an index its hash."""
    key = f"{event.platform}/{event.room}/{event.id}"
    encoded = key.encode("utf-8", "surrogatepass")
    return key if len(encoded) <= MAX_KEY else hashlib.blake2b(encoded, digest_size=20).hexdigest()


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, dict):
        return {storable_text(key): _storable(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_storable(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise EventInvalid("a number that is none")
    if isinstance(value, int) and not -MOST - 1 <= value <= MOST:
        raise EventInvalid("a number beyond 64 bits")
    return value
