"""From an MQTT payload to events. Pure."""

from frontrow.core.errors import EventInvalid
from frontrow.core.events import Batch, RoomRef
from frontrow_connectors.canonical import decode_payload


def decode_message(payload: bytes, room: RoomRef, *, max_bytes: int) -> Batch:
    """Return the events of one message: a canonical event, a JSON array of them, or NDJSON.

    Raises:
        EventInvalid: The payload as a whole is too large or of none of these forms.
    """
    if len(payload) > max_bytes:
        raise too_large(max_bytes)
    return decode_payload(payload, room)


def too_large(max_bytes: int) -> EventInvalid:
    """Return what is wrong with a payload beyond the bound."""
    return EventInvalid(f"a payload of more than {max_bytes} bytes")
