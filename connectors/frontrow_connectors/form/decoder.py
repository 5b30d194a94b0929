"""One submission of a form, as its service posts it, made into a ``form_submit`` by the configured paths. Pure."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from frontrow.core.errors import EventInvalid
from frontrow.core.events import (
    EARLIEST_MS,
    MAX_ID,
    MAX_NAME,
    Event,
    RoomRef,
    convert_event,
    has_control,
    too_deep,
)
from frontrow_connectors.canonical import BOM
from frontrow_connectors.form.options import LABELS, FormOptions, parsed
from frontrow_connectors.form.paths import JsonPath, Place, first, without

MAX_BYTES = 262_144  # of one submission; forms with files send their addresses
MAX_ANSWERS = 1_000  # of a submission that is not JSON
URLENCODED = "application/x-www-form-urlencoded"
# Seconds reach this in the year 5138, milliseconds in March 1973, so it tells the two units apart.
MILLISECONDS_FROM = 100_000_000_000

_Paths = tuple[JsonPath, ...]


@dataclass(frozen=True, slots=True)
class Mapped:
    """The options with every path parsed and the time zone found; made once."""

    options: FormOptions
    zone: tzinfo
    entry_id: _Paths
    viewer: _Paths
    name: _Paths
    at: _Paths
    consent: _Paths
    drop: _Paths
    labels: Mapping[str, _Paths]
    fields: Mapping[str, _Paths]

    @classmethod
    def of(cls, options: FormOptions, zone: tzinfo) -> "Mapped":
        """Return the mapping that the options describe; the paths have been checked with them."""
        return cls(
            options=options,
            zone=zone,
            entry_id=parsed(options.entry_id),
            viewer=parsed(options.viewer),
            name=parsed(options.name),
            at=parsed(options.at),
            consent=parsed(options.consent),
            drop=parsed(options.drop),
            labels={label: parsed(getattr(options, label)) for label in LABELS},
            fields={field: parsed(paths) for field, paths in options.fields.items()},
        )


def decode_submission(body: bytes, *, content_type: str, mapping: Mapped, room: RoomRef, now: int) -> Event:
    """Return the submission that a request's body holds: a JSON object, or the answers as a browser's form sends them.

    What no path has taken is kept under ``extra``. The same submission gives the same id, whenever it comes.

    Raises:
        EventInvalid: It cannot be read, or has no id of its own.
    """
    document = _read(body, content_type)
    options, taken = mapping.options, _Taken(document)
    entry = taken.text(mapping.entry_id)
    if entry is None:
        raise EventInvalid("a submission without an id: entry_id finds nothing in it")
    key = _key(options.form, entry)
    consent = taken.consent(mapping)
    event: dict[str, Any] = {
        "id": key,
        "platform": room.platform,
        "room": room.room,
        "kind": "form_submit",
        "at": taken.time(mapping, now),
        "viewer": _viewer(taken.text(mapping.viewer)) or key,
        "form": options.form,
        "fields": _fields(mapping, taken),
    }
    if consent is not None:
        event["consent"] = consent
    name = taken.text(mapping.name)
    if name is not None:
        event["name"] = name[:MAX_NAME]  # a label only, so cutting it is better than losing the lead
    for label, paths in mapping.labels.items():
        value = taken.text(paths)
        called = (
            options.fixed.get(label) if value is None else options.values.get(label, {}).get(value, value)
        )
        if called:
            event[label] = called[:MAX_NAME]
    event["extra"] = _extra(mapping, taken, consent)
    return convert_event({name: value for name, value in event.items() if value not in (None, {})})


def _read(body: bytes, content_type: str) -> dict[str, Any]:
    if len(body) > MAX_BYTES:
        raise EventInvalid("a submission that is too large")
    if content_type.partition(";")[0].strip().lower() == URLENCODED:
        return _answers(body)
    try:
        document = msgspec.json.decode(
            body.removeprefix(BOM)
        )  # some services write one, which is no mistake of the customer's
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EventInvalid("the body is not JSON") from error
    if not isinstance(document, dict):
        raise EventInvalid("the body is not a JSON object")
    if too_deep(document):
        raise EventInvalid("a submission that is nested too deep")
    return document


def _answers(body: bytes) -> dict[str, Any]:
    """Return answers by name; those of one name that came several times are a list."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_ANSWERS, errors="strict")
    except (UnicodeDecodeError, ValueError) as error:
        raise EventInvalid("the body is not what a browser's form sends") from error
    document: dict[str, Any] = {}
    for name, value in pairs:
        known = document.get(name)
        if known is None:
            document[name] = value
        elif isinstance(known, list):
            known.append(value)
        else:
            document[name] = [known, value]
    return document


class _Taken:
    """A document, and the places in it that have been mapped to something."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.places: list[Place] = []

    def value(self, paths: Sequence[JsonPath]) -> Any:
        found = first(paths, self.document)
        if found is None:
            return None
        self.places.append(found[0])
        return found[1]

    def text(self, paths: Sequence[JsonPath]) -> str | None:
        """Return a text, or a number as one; of a list, as choices are sent, the first. None: nothing of the kind."""
        return _text(self.value(paths))

    def time(self, mapping: Mapped, now: int) -> int:
        """Return the time of submission, UTC milliseconds; the arrival where none is told, or one in the future."""
        at = _time(self.value(mapping.at), mapping.zone)
        return now if at is None or at < EARLIEST_MS else min(at, now)

    def consent(self, mapping: Mapped) -> bool | None:
        """Return whether consent was given; None where the form does not ask for it."""
        if not mapping.consent:
            return True if mapping.options.consent_always else None
        said = self.value(mapping.consent)
        answers = said if isinstance(said, list) else [said]
        return any(
            text is not None and text.strip().lower() in mapping.options.consent_values
            for text in map(_text, answers)
        )


def _fields(mapping: Mapped, taken: _Taken) -> dict[str, Any]:
    options = mapping.options
    fields: dict[str, Any] = {name: value for name, value in options.fixed.items() if name not in LABELS}
    for name, paths in mapping.fields.items():
        value = taken.value(paths)
        if value is not None:
            fields[name] = _called(value, options.values.get(name, {}))
    return fields


def _called(value: Any, names: Mapping[str, str]) -> Any:
    """Return an answer, each choice in it by the name that the configuration gives it."""
    if isinstance(value, list):
        return [_called(each, names) for each in value]
    text = _text(value)
    return value if text is None else names.get(text, value)


def _extra(mapping: Mapped, taken: _Taken, consent: bool | None) -> dict[str, Any]:
    options = mapping.options
    dropped = [place for path in mapping.drop for place, _ in path.nodes(taken.document)]
    extra: dict[str, Any] = without(taken.document, [*taken.places, *dropped]) or {}
    if options.lead_channel:
        extra["channel"] = options.lead_channel
    if consent and options.consent_text:
        extra["consent_text"] = options.consent_text
        extra["consent_version"] = options.consent_version
    return extra


def _text(value: Any) -> str | None:
    if isinstance(value, list):
        return next((text for text in map(_text, value) if text is not None), None)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return value.strip() or None if isinstance(value, str) else None


def _time(value: Any, zone: tzinfo) -> int | None:
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) <= 16:
        value = int(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not 0 < value < 1e15:
            return None
        return int(value if value >= MILLISECONDS_FROM else value * 1_000)
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value.strip())
        return int((read if read.tzinfo else read.replace(tzinfo=zone)).timestamp() * 1_000)
    except (ValueError, OverflowError):
        return None


def _viewer(value: str | None) -> str | None:
    """Return a viewer's id that an event may have. One that it may not is no reason to lose a lead."""
    return value if value is not None and len(value) <= MAX_ID and not has_control(value) else None


def _key(form: str, entry: str) -> str:
    """Return the event's id: ids of entries are unique in one form only, and many services count from 1."""
    key = f"form:{form}:{entry}"
    if len(key) <= MAX_ID and not has_control(key):
        return key
    return f"form:{form}:{hashlib.sha256(entry.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
