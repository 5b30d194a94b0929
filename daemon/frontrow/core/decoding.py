"""From bytes to columns: lines of JSON become a frame, and no event is an object on the way where that can be avoided.

The compiled kernel reads events of the common form straight into columns: objects of known keys, texts, plain
numbers, and dictionaries that Python reads. It refuses nothing: an event of any other form is given to
:func:`frontrow.core.events.decode_event`, which says what is to be said. What it takes is what msgspec takes; it is
told of fields, types and bounds by :class:`Event`'s own annotations.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from frontrow.core import kernel
from frontrow.core.errors import EventInvalid
from frontrow.core.events import (
    IDENTITIES,
    NEEDS,
    THREE_LETTERS,
    UNREADABLE,
    Event,
    decode_block,
    decode_event,
    too_deep,
)
from frontrow.core.frames import COLUMNS, Frame

# Texts that many events share: one object for all of a block's.
_SHARED = frozenset({
    "platform", "room", "kind", "session", "gift", "currency", "product", "form", "host", "campaign", "seller",
})  # fmt: skip
_OBJECT = msgspec.json.Decoder(dict[str, Any])


def decode_columns(block: bytes) -> Frame | None:
    """Return the frame of NDJSON lines, not prepared, or None where a line must be looked at by itself.

    ``block`` does not end with a line's end. What comes back is the frame of the events that :func:`decode_event`
    gives for each line; None says only that one of them is blank or broken, or that there is no kernel and one needs
    more than a look.
    """
    if kernel.compiled is None:
        events = decode_block(block)
        return None if events is None else Frame.of(events)
    return _read(block, is_array=False)


def decode_columns_at_once(body: bytes) -> Frame | None:
    """Return the frame of a JSON array of events or of NDJSON lines, not prepared; None where anything is to be said of any of them.

    ``body`` has no space around it. None is also what it returns without a kernel, where columns come later and cost
    the same.
    """
    return None if kernel.compiled is None else _read(body, is_array=body.startswith(b"["))


def _read(block: bytes, *, is_array: bool) -> Frame | None:
    assert kernel.compiled is not None
    found = kernel.compiled.read_events(_layout(), block, _event_or_none, _object_or_none, is_array)
    if found is None:
        return None
    *columns, seldom = found
    count = len(columns[0])
    return Frame(
        **dict(zip(COLUMNS.values(), columns, strict=True)),
        facts=[0] * count,
        sketches=[0] * count,
        seldom=seldom,
    )


def _event_or_none(line: bytes) -> Event | None:
    try:
        return decode_event(line)
    except EventInvalid:
        return None


def _object_or_none(data: bytes) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = _OBJECT.decode(data)
    except UNREADABLE:
        return None
    return None if too_deep(found) else found


@cache
def _layout() -> Any:
    """Return what the kernel must know of an event."""
    assert kernel.compiled is not None
    described = inspect.type_info(Event)
    assert isinstance(described, inspect.StructType)
    names = [field.name for field in described.fields]
    needs = tuple((kind, names.index(field)) for kind, field in NEEDS.items())
    fields = tuple(_field(field) for field in described.fields)
    return kernel.compiled.event_layout(fields, names.index("kind"), needs)


def _field(field: inspect.Field) -> tuple[object, ...]:
    """Return (name, type, nullable, required, shared, column, low, high, none) of a field; see columns.c."""
    columns = list(COLUMNS)
    types: Sequence[inspect.Type] = (
        field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,)
    )
    [of] = [each for each in types if not isinstance(each, inspect.NoneType)]
    letter, low, high = _bounds(field.name, of)
    return (
        field.name,
        letter,
        len(types) > 1,
        field.required,
        field.name in _SHARED,
        columns.index(field.name) if field.name in columns else -1,
        low,
        high,
        None if field.default is msgspec.NODEFAULT else field.default,
    )


def _bounds(name: str, of: inspect.Type) -> tuple[str, int, int]:
    match of:
        case inspect.StrType(min_length=shortest, max_length=int(longest), pattern=None):
            return "k" if name in IDENTITIES else "t", shortest or 0, longest
        case inspect.StrType(max_length=int(longest), pattern=pattern) if pattern == THREE_LETTERS:
            return "c", 3, longest
        case inspect.IntType(gt=None, ge=int(low), lt=None, le=int(high), multiple_of=None):
            return "i", low, high
        case inspect.FloatType(gt=None, ge=int(low), lt=None, le=int(high), multiple_of=None):
            return "f", low, high
        case inspect.BoolType():
            return "b", 0, 1
        case inspect.DictType(min_length=None, max_length=None):
            return "d", 0, 0
        case _:
            return "o", 0, 0  # left to Python
