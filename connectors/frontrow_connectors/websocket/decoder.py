"""From a WebSocket message to events, and the three messages of the acknowledgement protocol. Pure.

Protocol: a server that wants acknowledgements sends ``{"type": "events", "seq": n, "events": […]}``. We answer
``{"type": "ack", "seq": n}`` once everything up to that message is durable, and after a reconnect we begin with
``{"type": "resume", "seq": n}``, n being the last one acknowledged.
"""

import hashlib
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from frontrow.core.errors import EventInvalid
from frontrow.core.events import Batch, RoomRef
from frontrow_connectors.canonical import decode_payload
from frontrow_connectors.contract import unknown_event

MAX_SEQ = 2**53 - 1  # what every JSON reader keeps exact


@dataclass(frozen=True, slots=True)
class Message:
    """What a message holds; ``seq`` is what to acknowledge when it is durable, or None."""

    batch: Batch
    seq: int | None = None


class _Envelope(Struct, frozen=True):
    """Only what tells the forms apart: a canonical event has a ``kind`` and no ``type``."""

    type: str | None = None
    kind: str | None = None
    seq: int | None = None
    events: msgspec.Raw = msgspec.Raw(b"")


_ENVELOPE = msgspec.json.Decoder(_Envelope)


def decode_message(data: bytes, room: RoomRef, now: int) -> Message:
    """Return what one message holds. A ``type`` that is not known is kept whole as an unknown event at ``now``.

    Raises:
        EventInvalid: The message as a whole cannot be read; it is not to be acknowledged.
    """
    envelope = _envelope(data)
    if envelope is None or envelope.type is None or envelope.kind is not None:
        return Message(decode_payload(data, room))
    if envelope.type == "events":
        return _decode_events(envelope, room)
    content = msgspec.json.decode(data)
    # The same words have the same id: a greeting on every connection is stored once.
    key = "message-" + hashlib.sha256(data).hexdigest()[:32]
    return Message(Batch([unknown_event(id=key, room=room, at=now, type=envelope.type, message=content)], []))


def encode_ack(seq: int) -> str:
    """Return the message that acknowledges everything up to ``seq``."""
    return f'{{"type":"ack","seq":{seq}}}'


def encode_resume(seq: int) -> str:
    """Return the message that asks for everything after ``seq``."""
    return f'{{"type":"resume","seq":{seq}}}'


def _envelope(data: bytes) -> _Envelope | None:
    try:
        return _ENVELOPE.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # an array, lines, or garbage: decode_payload tells which


def _decode_events(envelope: _Envelope, room: RoomRef) -> Message:
    if envelope.seq is None or not 0 <= envelope.seq <= MAX_SEQ:
        raise EventInvalid("an `events` message needs a `seq` from 0 to 2^53 - 1")
    events = bytes(envelope.events)
    if not events.startswith(b"["):
        raise EventInvalid("an `events` message needs an array of `events`")
    return Message(decode_payload(events, room), envelope.seq)
