"""The canonical event, version 1: the one shape in which everything that can change a result is written.

A feed's decoder makes events, the journal keeps them, the engine applies them. An event is never changed after
the intake has stamped and redacted it. Kinds that this version does not know are stored and counted.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np
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
MAX_PARTS = 10_000  # elements or lines of a body that are looked at one by one, where one of them is broken

Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
Name = Annotated[str, Meta(max_length=MAX_NAME)]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
Millis = Annotated[int, Meta(ge=EARLIEST_MS, le=LATEST_MS)]
Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
Value = Annotated[int, Meta(ge=-MAX_VALUE, le=MAX_VALUE)]
Seconds = Annotated[float, Meta(ge=0, le=MAX_STAY_S)]
# The length as well: a pattern's `$` would let a line's end stand behind the three letters.
THREE_LETTERS = r"^[A-Z]{3}$"
Currency = Annotated[str, Meta(pattern=THREE_LETTERS, max_length=3)]

VIEWER_KINDS = frozenset({
    "enter", "leave", "stay", "comment", "like", "gift", "follow", "unfollow", "fan_club", "share", "product_click",
    "cart_add", "coupon_claim", "lottery_join", "vote", "order_created", "order_paid", "order_refunded", "form_submit",
    "booking",
})  # fmt: skip
ROOM_KINDS = frozenset({"room_start", "room_end", "room_stats", "product_on_show", "host_change"})
PEOPLE_KINDS = frozenset({
    "lead_claim", "lead_release", "lead_outcome", "lead_note", "lead_transfer", "lead_assign", "lead_approve",
    "lead_stage", "lead_touch", "lead_review", "lead_recycle", "contact_reveal", "clean_result",
})  # fmt: skip
# What is known of people, stores and channels beside the rooms.
CENTRE_KINDS = frozenset({
    "identity_link", "identity_unlink", "consent", "person_erase", "org_change", "store_transfer", "channel_change",
    "cost_change", "touch_sent", "touch_result", "occasion_change", "number_change",
})  # fmt: skip
# request_mark: that something was asked for under a key, see runtime/repeating.py.
DAEMON_KINDS = frozenset({"tick", "policy_change", "model_change", "request_mark"}) | CENTRE_KINDS
KINDS = VIEWER_KINDS | ROOM_KINDS | PEOPLE_KINDS | DAEMON_KINDS
# What no feed may write: a CRM tells of claims, outcomes and notes; all else comes through the daemon's own doors.
INNER_KINDS = DAEMON_KINDS | (
    PEOPLE_KINDS - {"lead_claim", "lead_release", "lead_outcome", "lead_note", "lead_transfer"}
)


class Event(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """One thing that happened in a room.

    ``id`` is unique within (``platform``, ``room``) and the key of duplicates. ``at`` is event time and ``seen_at``
    arrival, both UTC milliseconds. ``viewer`` is the platform's stable id, ``name`` a label only. ``fan`` and
    ``staff`` are what the platform says of the viewer with this event; None: it says nothing. ``test`` marks platform
    test data: stored, counted, never scored. ``value`` is in minor units of ``currency`` (分, cents). ``stay.seconds``
    is one visit's length and adds up, ``seconds`` of ``room_start`` and ``room_stats`` how much longer the broadcast
    is planned to go on; 0: nobody knows. ``extra`` keeps the platform's own fields. ``gc=False`` is sound because an
    event holds only JSON values, which cannot refer back to it.
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
    outcome: Name | None = None  # lead_outcome; model_change: promotion or rollback
    note: Text | None = None
    model: Name | None = None  # model_change: which version leads from here on
    replaces: Name | None = None  # and which one it replaces
    data: dict[str, Any] | None = None  # what an event of the lead centre is about; see core/centre/events.py
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


Part = TypeVar("Part", bytes, msgspec.Raw)

_EVENT = msgspec.json.Decoder(Event)
_EVENTS = msgspec.json.Decoder(list[Event])
_RAWS = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECT = msgspec.json.Decoder(dict[str, Any])
_FIELDS = frozenset(Event.__struct_fields__)
_ENCODER = msgspec.json.Encoder()
# As lenient as it can be: it only looks for the ends of elements. Numbers stay text, since an integer of many digits
# takes long to read, and beyond some thousands is refused.
_SCANNER = json.JSONDecoder(parse_int=str, parse_float=str, strict=False)
# What the decoders raise, whatever bytes they are given.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

# Identities stand in logs, file names and other programs' tables, where these characters end a line, a string or the
# terminal's colour. Names and texts may hold them: they are shown to people, and cleaned where they are shown.
IDENTITIES = ("id", "platform", "room", "kind", "session", "viewer")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
# Where none of these bytes is, no JSON string holds such a character: raw ones below a space are not JSON.
_CONTROL_MARKS = (b"\\", b"\x7f", b"\xc2")

_NEWLINE, _BRACE = b"\n{"
_SHORT = (
    2_048  # bytes; of a shorter block each event is looked at, which costs less than looking at the block
)


def decode_event(data: bytes | bytearray | memoryview | msgspec.Raw | str) -> Event:
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
    except UNREADABLE as error:
        raise EventInvalid(f"not JSON: {_reason(error)}") from error
    _check(event)
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
    _check(event)
    return event


def decode_batch(body: bytes) -> Batch:
    """Return the events of a JSON array or of lines of JSON (NDJSON), and what could not be taken by position.

    Positions count the array's elements, or the lines that are not blank. A body that starts with ``[`` is an array.

    Raises:
        EventInvalid: The body as a whole is not JSON of either form, so that no position can be named; or something
            in it is broken and it has more than ``MAX_PARTS`` elements or lines.
    """
    body = body.removeprefix(b"\xef\xbb\xbf").strip()
    if not body.startswith(b"["):
        events = decode_block(body)
        return decode_lines(body.split(b"\n")) if events is None else Batch(events, [])
    try:
        events = _EVENTS.decode(body)
    except UNREADABLE:
        try:
            raws = _RAWS.decode(body)
        except UNREADABLE as error:
            elements = _elements(body)
            if elements is None:
                raise EventInvalid(f"not a JSON array: {_reason(error)}") from error
            return _decode_each(_few(elements))
        return _decode_each(_few(raws))
    nested = np.count_nonzero(np.frombuffer(body, np.uint8) == _BRACE) != len(events)
    if not _any_refused(events, body, nested=nested):
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
    """Return the events of NDJSON lines; blank lines are passed over and have no position.

    Raises:
        EventInvalid: One is broken and there are more than ``MAX_PARTS``.
    """
    return _decode_each(_few([line for line in lines if line.strip()]))


def decode_block(block: bytes) -> list[Event] | None:
    """Return the events of NDJSON lines, or None where a line must be looked at by itself (:func:`decode_event`).

    ``block`` does not end with a line's end. What comes back is what :func:`decode_event` gives for each line, in two
    thirds of the time. None says only that a line is blank, broken, or needs more than a look.
    """
    lines = _plain_lines(block) if len(block) >= _SHORT else 0
    try:
        if lines:
            events = _EVENT.decode_lines(block)
            if len(events) != lines:
                return None
        else:
            events = list(map(_EVENT.decode, block.split(b"\n")))
    except UNREADABLE:
        return None
    return None if _any_refused(events, block, nested=not lines) else events


def encode_event(event: Event) -> bytes:
    """Return the event as one line of JSON without the line's end; fields at their default are left out."""
    return _ENCODER.encode(event)


def missing_field(event: Event) -> str | None:
    """Return why an event says nothing without a field that its kind is about, or None if all is there."""
    need = NEEDS.get(event.kind)
    if need is not None and getattr(event, need) is None:
        return f"a {event.kind} needs {need!r} - at `$.{need}`"
    return None


# Recordings have orders without `order` and likes without `count`, so only what a kind cannot do without is asked.
NEEDS = {"comment": "text", "stay": "seconds"}


def has_control(key: str) -> bool:
    """Return whether a text has a control character (C0, DEL, C1), which no identity may have."""
    return not key.isprintable() and _CONTROL.search(key) is not None


def too_deep(value: Any, depth: int = MAX_DEPTH) -> bool:
    """Return whether a JSON value nests arrays and objects more than ``depth`` levels deep."""
    if isinstance(value, dict):
        return depth == 0 or any(too_deep(inner, depth - 1) for inner in value.values())
    if isinstance(value, list | tuple):
        return depth == 0 or any(too_deep(inner, depth - 1) for inner in value)
    return False


def _check(event: Event) -> None:
    refusal = _refusal(event)
    if refusal is not None:
        raise EventInvalid(refusal)


def _refusal(event: Event) -> str | None:
    if event.extra is not None and too_deep(event.extra):
        return f"nested more than {MAX_DEPTH} levels deep - at `$.extra`"
    if event.data is not None and too_deep(event.data):
        return f"nested more than {MAX_DEPTH} levels deep - at `$.data`"
    if event.fields is not None and too_deep(event.fields):
        return f"nested more than {MAX_DEPTH} levels deep - at `$.fields`"
    keys = f"{event.id}{event.platform}{event.room}{event.kind}{event.session}{event.viewer}"
    if has_control(keys):
        field = next(name for name in IDENTITIES if has_control(getattr(event, name) or ""))
        return f"a control character - at `$.{field}`"
    return missing_field(event)


def _any_refused(events: Sequence[Event], source: bytes, *, nested: bool) -> bool:
    """Return whether :func:`_refusal` has a word on any of the events, which were decoded from ``source``.

    ``nested`` False says that no event has ``extra`` or ``fields``.
    """
    if nested or any(mark in source for mark in _CONTROL_MARKS):
        return any(_refusal(event) is not None for event in events)
    # What a kind needs is all that is left. A loop takes half as long here as any().
    for event in events:  # noqa: SIM110
        if event.kind in NEEDS and missing_field(event) is not None:
            return True
    return False


def _plain_lines(block: bytes) -> int:
    """Return how many lines a block has if each begins with the only ``{`` in it, else 0.

    No such line holds two events. So if the block is read as one stream of JSON values, where the end of a line is mere
    space, and gives as many events as it has lines, then each line is one event; and none has an object in it.
    """
    data = np.frombuffer(block, np.uint8)
    ends, braces = data == _NEWLINE, data == _BRACE
    plain = block.startswith(b"{") and not ends[-1] and np.array_equal(ends[:-1], braces[1:])
    return int(np.count_nonzero(braces)) if plain else 0


def _few(parts: Sequence[Part]) -> Sequence[Part]:
    # A byte or two of a hostile body would become an entry with a reason in the answer, and a line's work to decode.
    if len(parts) > MAX_PARTS:
        raise EventInvalid(f"more than {MAX_PARTS} elements or lines of which not all are events")
    return parts


def _decode_each(parts: Sequence[Part]) -> Batch:
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
    elements: list[bytes] = []
    try:
        text = body.decode(errors="surrogateescape")  # bytes that are no UTF-8 come back as they were, below
        position = _skip_space(text, 1)
        more = text[position] != "]"
        while more:
            _, end = _SCANNER.raw_decode(text, position)
            elements.append(text[position:end].encode(errors="surrogateescape"))
            position = _skip_space(text, end)
            more = text[position] == ","
            if more:
                position = _skip_space(text, position + 1)
        if text[position] != "]" or text[position + 1 :].strip():
            return None
    except (ValueError, IndexError, RecursionError):
        return None
    return elements


def _skip_space(text: str, position: int) -> int:
    while text[position] in " \t\r\n":
        position += 1
    return position


def _decode_keeping_unknown(data: bytes | bytearray | memoryview | msgspec.Raw | str) -> Event:
    try:
        fields = _OBJECT.decode(data)
    except UNREADABLE as error:
        raise EventInvalid(f"not JSON: {_reason(error)}") from error
    return convert_event(fields)


def _reason(error: Exception) -> str:
    # msgspec's messages name types, bounds and paths, never the value, so a viewer's words cannot leak through them.
    text = str(error)
    if "$.at`" in text and f">= {EARLIEST_MS}" in text:
        return f"{text} (UTC milliseconds are expected; is this in seconds?)"
    return text
