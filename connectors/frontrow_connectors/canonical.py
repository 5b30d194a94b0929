"""Payloads that already hold canonical events: what the file, MQTT and WebSocket connectors share.

Pure: bytes and a room in, events and reasons out.
"""

import re
from collections.abc import Sequence

import msgspec

from frontrow.core.decoding import decode_columns_at_once
from frontrow.core.errors import EventInvalid
from frontrow.core.events import (
    INNER_KINDS,
    Batch,
    Event,
    Rejected,
    RoomRef,
    decode_batch,
    decode_block,
    decode_event,
)
from frontrow.core.frames import Frame
from frontrow_connectors.contract import FeedContext

BOM = b"\xef\xbb\xbf"
_PLACE = re.compile(r" \(byte \d+\)")


def decode_payload(body: bytes, room: RoomRef) -> Batch:
    """Return the events of one canonical event, a JSON array of them, or lines of them (NDJSON).

    What cannot be taken is in ``rejected`` by position: the array's elements, or the lines that are not blank.
    Events of another room and kinds that only the daemon may write are refused in the same way.

    Raises:
        EventInvalid: The body as a whole is of none of these forms.
    """
    body = body.removeprefix(BOM).strip()
    if not body:
        raise EventInvalid("an empty payload")
    batch = _decode_one(body) if body.startswith(b"{") else None
    return of_room(decode_batch(body) if batch is None else batch, room)


def decode_frame(body: bytes, room: RoomRef) -> Frame | None:
    """Return the frame of a body all of whose events are to be taken, not prepared; else None, or where there is no kernel.

    What comes back is the frame of what :func:`decode_payload` gives. None says only that the body must be given to
    that.
    """
    frame = decode_columns_at_once(body.removeprefix(BOM).strip())
    if frame is None:
        return None
    plain = not len(frame) or (
        frame.only_room() == (room.platform, room.room) and INNER_KINDS.isdisjoint(frame.kinds)
    )
    return frame if plain else None


def decode_plain(payloads: Sequence[bytes], room: RoomRef) -> list[Event] | None:
    """Return the events of payloads that are one event each, or lines of them, all of them to be taken; else None.

    What comes back is what :func:`decode_payload` gives for one after the other, in a fifth of the time. None says only
    that at least one of them must be looked at by itself.
    """
    events = decode_block(
        b"\n".join(payloads)
    )  # each line of it must be an event, so none goes over two payloads
    return None if events is None or _any_refused(events, room) else events


def of_room(batch: Batch, room: RoomRef) -> Batch:
    """Return the batch with the events that :func:`refusal` names moved to ``rejected``, positions kept."""
    if not _any_refused(batch.events, room):
        return batch
    gone = {rejected.index for rejected in batch.rejected}
    positions = (index for index in range(len(batch.events) + len(gone)) if index not in gone)
    taken: list[Event] = []
    rejected = list(batch.rejected)
    for index, event in zip(positions, batch.events, strict=True):
        reason = refusal(event, room)
        if reason is None:
            taken.append(event)
        else:
            rejected.append(Rejected(index, reason))
    return Batch(taken, sorted(rejected, key=lambda each: each.index))


def refusal(event: Event, room: RoomRef) -> str | None:
    """Return why this room's feed may not deliver the event, or None if it may."""
    if event.platform != room.platform or event.room != room.room:
        return "an event of another platform or room than this feed's"
    if event.kind in INNER_KINDS:
        # A feed that could write these could change policy and models, or move engine time.
        return "a kind that only the daemon itself may write"
    return None


def _any_refused(events: Sequence[Event], room: RoomRef) -> bool:
    """Return whether :func:`refusal` names any of the events, without a call for each."""
    platform, name = room.platform, room.room
    for event in events:
        if event.room != name or event.platform != platform or event.kind in INNER_KINDS:
            return True
    return False


def count_rejected(context: FeedContext, batch: Batch) -> None:
    """Tell the feed's context of every rejected position."""
    for rejected in batch.rejected:
        context.reject(reason_class(rejected.reason))


def reason_class(reason: str) -> str:
    """Return the reason without byte positions, so that reasons stay few however many inputs are broken."""
    return _PLACE.sub("", reason)


def _decode_one(body: bytes) -> Batch | None:
    """Return the batch of a body that is one JSON object (over several lines, too), or None if it is not one."""
    try:
        return Batch([decode_event(body)], [])
    except EventInvalid as error:
        try:
            msgspec.json.decode(body, type=msgspec.Raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return Batch([], [Rejected(0, str(error))])
