"""The canonical event, version 1: the one shape in which everything that can change a result is written.

A feed's decoder makes events, the journal keeps them, the engine applies them. An event is never changed after
the intake has stamped and redacted it. Kinds that this version does not know are stored and counted.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from frontrow.core.errors import EventInvalid

# Times outside these are mistakes of a unit or of a clock, not events: 2001-09-09 and 2100-01-01, in ms UTC.
# Seconds taken for milliseconds land in January 1970 and so below the first.
EARLIEST_MS = 1_000_000_000_000
LATEST_MS = 4_102_444_800_000

MAX_ID = 256  # characters
MAX_NAME = 256
MAX_TEXT = 4_096
MAX_COUNT = 1_000_000_000
MAX_VALUE = 1_000_000_000_000  # minor units: ten thousand million yuan
MAX_STAY_S = 7 * 24 * 3600
MAX_DEPTH = (
    32  # of `fields` and `extra`: what is stored must be readable again, well below any parser's own bound
)

Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
Name = Annotated[str, Meta(max_length=MAX_NAME)]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
Millis = Annotated[int, Meta(ge=EARLIEST_MS, le=LATEST_MS)]
Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
Value = Annotated[int, Meta(ge=-MAX_VALUE, le=MAX_VALUE)]
Seconds = Annotated[float, Meta(ge=0, le=MAX_STAY_S)]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$")]

VIEWER_KINDS = frozenset({
    "enter", "leave", "stay", "comment", "like", "gift", "follow", "unfollow", "fan_club", "share", "product_click",
    "cart_add", "coupon_claim", "lottery_join", "vote", "order_created", "order_paid", "order_refunded", "form_submit",
    "booking",
})  # fmt: skip
ROOM_KINDS = frozenset({"room_start", "room_end", "room_stats", "product_on_show", "host_change"})
PEOPLE_KINDS = frozenset({"lead_claim", "lead_release", "lead_outcome", "lead_note", "lead_transfer"})
DAEMON_KINDS = frozenset({"tick", "policy_change", "model_change"})
KINDS = VIEWER_KINDS | ROOM_KINDS | PEOPLE_KINDS | DAEMON_KINDS


class Event(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """One thing that happened in a room.

    ``id`` is unique within (``platform``, ``room``) and the key of duplicates. ``at`` is event time and
    ``seen_at`` arrival, both UTC milliseconds. ``viewer`` is the platform's stable id, ``name`` a label only.
    ``fan`` and ``staff`` are what the platform says of the viewer with this event; None: it says nothing.
    ``test`` marks platform test data: stored, counted, never scored. ``value`` is in minor units of ``currency``
    (分, cents). ``stay.seconds`` is one visit's length and adds up. ``extra`` keeps the platform's own fields.
    ``gc=False`` is sound because an event holds only JSON values, which cannot refer back to it.
    """

    id: Id
    platform: Id
    room: Id
    kind: Annotated[str, Meta(min_length=1, max_length=64)]
    at: Millis
    session: Id | None = None
    seen_at: Millis | None = None
    viewer: Id | None = None
    name: Name | None = None
    fan: bool | None = None
    staff: bool | None = None
    test: bool = False
    # what happened, by kind
    text: Text | None = None  # comment
    seconds: Seconds | None = None  # stay
    count: Count | None = None  # like, gift, orders
    gift: Name | None = None
    value: Value | None = None
    currency: Currency | None = None
    level: Count | None = None  # fan_club
    product: Name | None = None
    order: Name | None = None
    renewal: bool | None = None
    form: Name | None = None
    fields: dict[str, Any] | None = None  # form_submit
    consent: bool | None = None
    viewers: Count | None = None  # room_stats
    likes: Count | None = None  # room_stats
    host: Name | None = None  # host_change
    campaign: Name | None = None
    lead: Name | None = None  # kinds of people
    seller: Name | None = None
    outcome: Name | None = None
    note: Text | None = None
    extra: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class RoomRef:
    """A configured room: ``id`` is its name in URLs; (``platform``, ``room``) its key in events."""

    id: str
    platform: str
    room: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """An element of a batch that was not taken: its position, from 0, and the reason in words."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What a body of many events gave: those that can be taken, and the others by position."""

    events: list[Event]
    rejected: list[Rejected]


_EVENT = msgspec.json.Decoder(Event)
_EVENTS = msgspec.json.Decoder(list[Event])
_RAWS = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECT = msgspec.json.Decoder(dict[str, Any])
_FIELDS = frozenset(Event.__struct_fields__)
_ENCODER = msgspec.json.Encoder()


def decode_event(data: bytes | bytearray | memoryview | str) -> Event:
    """Return the event that one JSON object holds.

    A field that version 1 does not know is kept under ``extra``, so that a newer sender loses nothing here.

    Raises:
        EventInvalid: Not JSON, a field of the wrong type or out of its bounds, or a kind without what it is about.
    """
    try:
        event = _EVENT.decode(data)
    except msgspec.ValidationError as error:
        if "unknown field" not in str(error):
            raise EventInvalid(_reason(error)) from error
        event = _decode_keeping_unknown(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EventInvalid(f"not JSON: {_reason(error)}") from error
    _check_kind(event)
    return event


def convert_event(fields: dict[str, Any]) -> Event:
    """Return the event made of already decoded JSON values; unknown fields go to ``extra``.

    Raises:
        EventInvalid: As :func:`decode_event`.
    """
    known = {key: value for key, value in fields.items() if key in _FIELDS}
    if len(known) != len(fields):
        extra = known.get("extra")
        unknown = {key: value for key, value in fields.items() if key not in _FIELDS}
        known["extra"] = {**unknown, **extra} if isinstance(extra, dict) else unknown
    try:
        event = msgspec.convert(known, Event)
    except msgspec.ValidationError as error:
        raise EventInvalid(_reason(error)) from error
    _check_kind(event)
    return event


def decode_batch(body: bytes) -> Batch:
    """Return the events of a JSON array or of lines of JSON (NDJSON), and what could not be taken by position.

    Positions count the array's elements, or the lines that are not blank. A body that starts with ``[`` is an array.

    Raises:
        EventInvalid: The body as a whole is not JSON of either form, so that no position can be named.
    """
    body = body.removeprefix(b"\xef\xbb\xbf").strip()
    if not body.startswith(b"["):
        return decode_lines(body.split(b"\n"))
    try:
        events = _EVENTS.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            return _decode_each([bytes(raw) for raw in _RAWS.decode(body)])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            elements = _elements(body)
            if elements is None:
                raise EventInvalid(f"not a JSON array: {_reason(error)}") from error
            return _decode_each(elements)
    if all(event.kind not in _NEEDS and event.extra is None and event.fields is None for event in events):
        return Batch(events, [])
    taken: list[Event] = []
    rejected: list[Rejected] = []
    for index, event in enumerate(events):
        refusal = _refusal(event)
        if refusal is None:
            taken.append(event)
        else:
            rejected.append(Rejected(index, refusal))
    return Batch(taken, rejected)


def decode_lines(lines: Sequence[bytes]) -> Batch:
    """Return the events of NDJSON lines; blank lines are passed over and have no position."""
    return _decode_each([line for line in lines if line.strip()])


def encode_event(event: Event) -> bytes:
    """Return the event as one line of JSON without the line's end; fields at their default are left out."""
    return _ENCODER.encode(event)


def missing_field(event: Event) -> str | None:
    """Return why an event says nothing without a field that its kind is about, or None if all is there."""
    need = _NEEDS.get(event.kind)
    if need is not None and getattr(event, need) is None:
        return f"a {event.kind} needs {need!r} - at `$.{need}`"
    return None


# Recordings have orders without `order` and likes without `count`, so only what a kind cannot do without is asked.
_NEEDS = {"comment": "text", "stay": "seconds"}


def too_deep(value: Any, depth: int = MAX_DEPTH) -> bool:
    """Return whether a JSON value nests arrays and objects more than ``depth`` levels deep."""
    if isinstance(value, dict):
        return depth == 0 or any(too_deep(inner, depth - 1) for inner in value.values())
    if isinstance(value, list | tuple):
        return depth == 0 or any(too_deep(inner, depth - 1) for inner in value)
    return False


def _check_kind(event: Event) -> None:
    refusal = _refusal(event)
    if refusal is not None:
        raise EventInvalid(refusal)


def _refusal(event: Event) -> str | None:
    for name, value in (("extra", event.extra), ("fields", event.fields)):
        if value is not None and too_deep(value):
            return f"nested more than {MAX_DEPTH} levels deep - at `$.{name}`"
    return missing_field(event)


def _decode_each(parts: list[bytes]) -> Batch:
    events: list[Event] = []
    rejected: list[Rejected] = []
    for index, part in enumerate(parts):
        try:
            events.append(decode_event(part))
        except EventInvalid as error:
            rejected.append(Rejected(index, str(error)))
    return Batch(events, rejected)


def _elements(body: bytes) -> list[bytes] | None:
    """Return the elements of an array one of which our parser does not take (half a surrogate pair, NaN), or None.

    The standard library's parser is slower and takes these, so it can find where each element ends; what is wrong with
    one is then said of that one, and the others are taken.
    """
    scanner = json.JSONDecoder()
    elements: list[bytes] = []
    try:
        text = body.decode()
        position = _skip_space(text, 1)
        while text[position] != "]":
            _, end = scanner.raw_decode(text, position)
            elements.append(text[position:end].encode())
            position = _skip_space(text, end)
            if text[position] == ",":
                position = _skip_space(text, position + 1)
            elif text[position] != "]":
                return None
        return elements if not text[position + 1 :].strip() else None
    except (ValueError, IndexError, RecursionError):
        return None


def _skip_space(text: str, position: int) -> int:
    while text[position] in " \t\r\n":
        position += 1
    return position


def _decode_keeping_unknown(data: bytes | bytearray | memoryview | str) -> Event:
    try:
        fields = _OBJECT.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EventInvalid(f"not JSON: {_reason(error)}") from error
    return convert_event(fields)


def _reason(error: Exception) -> str:
    # msgspec's messages name types, bounds and paths, never the value, so a viewer's words cannot leak through them.
    text = str(error)
    if "$.at`" in text and f">= {EARLIEST_MS}" in text:
        return f"{text} (UTC milliseconds are expected; is this in seconds?)"
    return text
