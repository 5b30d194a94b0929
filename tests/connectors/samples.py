"""Invented events that the tests of canonical feeds share."""

from typing import Any

import msgspec

from frontrow.core.events import Event, RoomRef

ROOM = RoomRef(id="demo", platform="sim", room="owner-1")
T0 = 1_750_000_000_000


def event(id: str, **fields: Any) -> Event:
    """Return an event of ``ROOM``: by default somebody enters at ``T0``."""
    made = {
        "id": id,
        "platform": ROOM.platform,
        "room": ROOM.room,
        "kind": "enter",
        "at": T0,
        "viewer": "v-1",
    }
    return msgspec.convert(made | fields, Event)


def line(id: str, **fields: Any) -> bytes:
    """Return the same as JSON."""
    return msgspec.json.encode(event(id, **fields))
