"""A frame: events that are applied and stored together, as columns.

The engine and the journal work on columns, since what is done to a thousand numbers at once costs little more than
what is done to one. Fields that most events have, or that the engine reads of every event, are whole columns, one
value per event; all others are *seldom*: kept by position, only where they are given.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, cast

from frontrow.core.columns import all_same, count_is
from frontrow.core.events import Event

# Event's field → the frame's column. The rest of Event's fields are seldom.
COLUMNS = {
    "id": "ids", "platform": "platforms", "room": "rooms", "kind": "kinds", "at": "ats", "seen_at": "seen_ats",
    "session": "sessions", "viewer": "viewers", "name": "names", "text": "texts", "count": "counts", "value": "values",
    "fan": "fans", "staff": "staffs", "test": "tests",
}  # fmt: skip
SELDOM = tuple(name for name in Event.__struct_fields__ if name not in COLUMNS)
PERSONAL_SELDOM = ("fields", "note", "extra")  # beside the columns of names and texts

_seldom_of = attrgetter(*SELDOM)


@dataclass(slots=True)
class Frame:
    """Columns of the same length, one value per event, in the order of the events; None: not given.

    ``facts`` are the masks of :mod:`frontrow.core.facts`, ``sketches`` those of :mod:`frontrow.core.sketches` for
    comments, else 0. ``seldom`` holds the other fields of :class:`Event` by name, then by position. A frame is not
    changed once it is prepared (:mod:`frontrow.core.preparing`).
    """

    ids: Sequence[str] = ()
    platforms: Sequence[str] = ()
    rooms: Sequence[str] = ()
    kinds: Sequence[str] = ()
    ats: Sequence[int] = ()
    seen_ats: Sequence[int | None] = ()
    sessions: Sequence[str | None] = ()
    viewers: Sequence[str | None] = ()
    names: Sequence[str | None] = ()
    texts: Sequence[str | None] = ()
    counts: Sequence[int | None] = ()
    values: Sequence[int | None] = ()
    fans: Sequence[bool | None] = ()
    staffs: Sequence[bool | None] = ()
    tests: Sequence[bool] = ()
    facts: Sequence[int] = ()
    sketches: Sequence[int] = ()
    seldom: dict[str, dict[int, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Sequence[Event], facts: Sequence[int] | None = None) -> "Frame":
        """Return the frame of ``events``; ``facts[i]`` is the mask of ``events[i]``, none where nobody has derived any."""
        # One comprehension a column: twice as fast as transposing tuples of attributes.
        return cls(
            ids=[event.id for event in events],
            platforms=[event.platform for event in events],
            rooms=[event.room for event in events],
            kinds=[event.kind for event in events],
            ats=[event.at for event in events],
            seen_ats=[event.seen_at for event in events],
            sessions=[event.session for event in events],
            viewers=[event.viewer for event in events],
            names=[event.name for event in events],
            texts=[event.text for event in events],
            counts=[event.count for event in events],
            values=[event.value for event in events],
            fans=[event.fan for event in events],
            staffs=[event.staff for event in events],
            tests=[event.test for event in events],
            facts=[0] * len(events) if facts is None else facts,
            sketches=[0] * len(events),
            seldom=_seldom(events),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def arrivals(self) -> Sequence[int]:
        """Return when each event arrived (UTC ms); where that is not said, when it happened."""
        seen = self.seen_ats
        missing = count_is(seen, None)
        if missing == len(seen):
            return self.ats
        if not missing:
            return cast("Sequence[int]", seen)
        return [at if arrived is None else arrived for arrived, at in zip(seen, self.ats, strict=True)]

    def only_room(self) -> tuple[str, str] | None:
        """Return (platform, room) if all events are of one room, else None."""
        platforms, rooms = self.platforms, self.rooms
        if not rooms or not all_same(rooms) or not all_same(platforms):
            return None
        return platforms[0], rooms[0]

    def take(self, positions: Sequence[int]) -> "Frame":
        """Return the frame of the events at ``positions``, in that order; each at most once."""
        moved = {position: index for index, position in enumerate(positions)}
        columns = {
            name: [column[position] for position in positions] for name, column in self._columns().items()
        }
        kept = {
            name: {moved[position]: value for position, value in values.items() if position in moved}
            for name, values in self.seldom.items()
        }
        return Frame(**columns, seldom={name: values for name, values in kept.items() if values})

    def part(self, start: int, end: int) -> "Frame":
        """Return the frame of the events from position ``start`` up to, not including, ``end``."""
        if start == 0 and end >= len(self):
            return self
        seldom = {
            name: {position - start: value for position, value in values.items() if start <= position < end}
            for name, values in self.seldom.items()
        }
        columns = {name: column[start:end] for name, column in self._columns().items()}
        return Frame(**columns, seldom=_in_order(seldom))

    @classmethod
    def joined(cls, frames: Iterable["Frame"]) -> "Frame":
        """Return one frame of all events of ``frames``, in order."""
        columns: dict[str, list[Any]] = {name: [] for name in _COLUMN_NAMES}
        seldom: dict[str, dict[int, Any]] = {}
        start = 0
        for frame in frames:
            for name, column in frame._columns().items():
                columns[name] += column
            for name, values in frame.seldom.items():
                into = seldom.setdefault(name, {})
                into.update((start + position, value) for position, value in values.items())
            start += len(frame)
        return cls(**columns, seldom=seldom)

    @classmethod
    def cut(cls, frames: Iterable["Frame"], size: int) -> "Iterator[Frame]":
        """Yield the events of ``frames`` in frames of exactly ``size``; only the last may be smaller."""
        held: list[Frame] = []
        count = 0
        for frame in frames:
            start = 0
            while count + len(frame) - start >= size:
                end = start + size - count
                held.append(frame.part(start, end))
                yield cls._whole(held)
                held, count, start = [], 0, end
            if start < len(frame):
                held.append(frame.part(start, len(frame)))
                count += len(frame) - start
        if count:
            yield cls._whole(held)

    @classmethod
    def _whole(cls, frames: "list[Frame]") -> "Frame":
        return frames[0] if len(frames) == 1 else cls.joined(frames)

    def events(self) -> list[Event]:
        """Return the events again, one object each: for those who are not in a hurry."""
        names = list(COLUMNS)
        columns = [getattr(self, column) for column in COLUMNS.values()]
        found = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
        for name, by_position in self.seldom.items():
            for position, value in by_position.items():
                found[position][name] = value
        return [Event(**values) for values in found]

    def _columns(self) -> dict[str, Sequence[Any]]:
        return {name: getattr(self, name) for name in _COLUMN_NAMES}


def _in_order(seldom: dict[str, dict[int, Any]]) -> dict[str, dict[int, Any]]:
    """Return what is seldom, without names of nothing, as it stands in a frame that is made of the same events.

    Its order is part of the journal's bytes, which are not to depend on how a file came to be cut.
    """
    named = sorted((name for name, values in seldom.items() if values), key=SELDOM.index)
    return {name: seldom[name] for name in sorted(named, key=lambda name: next(iter(seldom[name])))}


_COLUMN_NAMES = tuple(column.name for column in fields(Frame) if column.name != "seldom")


def _seldom(events: Sequence[Event]) -> dict[str, dict[int, Any]]:
    # Asked one by one, the likelier ones first: half the time of taking them all and comparing. A test asks for each.
    having = [
        position
        for position, event in enumerate(events)
        if event.product is not None
        or event.gift is not None
        or event.extra is not None
        or event.order is not None
        or event.currency is not None
        or event.seconds is not None
        or event.level is not None
        or event.renewal is not None
        or event.form is not None
        or event.fields is not None
        or event.consent is not None
        or event.viewers is not None
        or event.likes is not None
        or event.host is not None
        or event.campaign is not None
        or event.lead is not None
        or event.seller is not None
        or event.outcome is not None
        or event.note is not None
        or event.model is not None
        or event.replaces is not None
        or event.data is not None
    ]
    found: dict[str, dict[int, Any]] = {}
    for position in having:
        for name, value in zip(SELDOM, _seldom_of(events[position]), strict=True):
            if value is not None:
                found.setdefault(name, {})[position] = value
    return found
