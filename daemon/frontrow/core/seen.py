"""Which events have been seen: duplicates are known by (platform, room, id) for at least a day of engine time.

Engine time is the running maximum of arrival times of events that were not duplicates. Ids are kept by the hour of it
in which they came, and forgotten by the hour.
"""

import sys
from collections.abc import Sequence
from itertools import chain, islice, repeat

import numpy as np

from frontrow.core import kernel
from frontrow.core.frames import Frame
from frontrow.core.images import Image

HOUR_MS = 3_600_000
_HOUR_SHIFT = 32
_STAMPS = (1 << _HOUR_SHIFT) - 1
# A room's dictionary takes 20 to 50 bytes an id (CPython 3.11), and more only when most of it is empty.
WIDE_BYTES = 100  # an id
SPARE_BYTES = 65_536  # which are not worth a copy

Key = tuple[str, str]


class SeenIds:
    """The ids of every room. Python strings in one dictionary a room: exact, and two lookups an event."""

    def __init__(self, *, dedupe_ms: int) -> None:
        self._hours = -(-dedupe_ms // HOUR_MS)
        self._now = 0
        self._stamps = 0
        self._rooms: dict[Key, dict[str, int]] = {}  # id → hour and a running number, in the order of hours
        self._kernel = kernel.compiled

    def __len__(self) -> int:
        """How many ids are known."""
        return sum(map(len, self._rooms.values()))

    def knows(self, platform: str, room: str, id: str) -> bool:
        """Return whether an event of this id would be a duplicate now."""
        stamp = self._rooms.get((platform, room), {}).get(id)
        return stamp is not None and self._now // HOUR_MS - (stamp >> _HOUR_SHIFT) <= self._hours

    def take(self, frame: Frame) -> list[int]:
        """Return the positions of events that have been seen before, and remember the others."""
        if not len(frame):
            return []
        arrivals = frame.arrivals()
        now = max(self._now, max(arrivals))
        if now // HOUR_MS != self._now // HOUR_MS:
            return self._take_each(frame, arrivals)
        room = frame.only_room()
        if room is None:
            return (self._take_rooms if self._kernel is None else self._take_compiled)(frame, arrivals, now)
        known = self._of(room)
        before, stamp = len(known), self._stamp(now // HOUR_MS)
        # One look-up an event: a new id gets the stamp, a known one tells its own.
        stamps = list(map(known.setdefault, frame.ids, repeat(stamp)))
        if len(known) - before == len(frame):
            self._now = now
            return []
        fresh: set[str] = set()
        duplicates: list[int] = []
        for position, (name, its) in enumerate(zip(frame.ids, stamps, strict=True)):
            if its != stamp or name in fresh:
                duplicates.append(position)
            else:
                fresh.add(name)
                self._now = max(self._now, arrivals[position])
        return duplicates

    def _take_rooms(self, frame: Frame, arrivals: Sequence[int], now: int) -> list[int]:
        """Take events of several rooms, all within one hour of engine time."""
        if len(set(frame.ids)) < len(frame):  # perhaps within one room
            return self._take_each(frame, arrivals)
        rooms = self._rooms
        keys = list(zip(frame.platforms, frame.rooms, strict=True))
        tables = list(map(rooms.get, keys))
        if None in tables:
            tables = [self._of(key) for key in keys]
        stamp = self._stamp(now // HOUR_MS)
        stamps = [known.setdefault(name, stamp) for known, name in zip(tables, frame.ids, strict=True)]  # type: ignore[union-attr]  # no None is left
        if stamps.count(stamp) == len(frame):
            self._now = now
            return []
        duplicates: list[int] = []
        for position, its in enumerate(stamps):
            if its != stamp:
                duplicates.append(position)
            else:
                self._now = max(self._now, arrivals[position])
        return duplicates

    def _take_compiled(self, frame: Frame, arrivals: Sequence[int], now: int) -> list[int]:
        """Do what :meth:`_take_rooms` does, in C."""
        assert self._kernel is not None
        duplicates: list[int] = self._kernel.seen_ids(
            self._rooms, frame.platforms, frame.rooms, frame.ids, self._stamp(now // HOUR_MS)
        )
        if duplicates:
            known = set(duplicates)
            now = max(
                (at for position, at in enumerate(arrivals) if position not in known), default=self._now
            )
        self._now = max(self._now, now)
        return duplicates

    def _stamp(self, hour: int) -> int:
        """Return a number that tells the hour and, up to the next call, no other id has."""
        self._stamps += 1
        return hour << _HOUR_SHIFT | self._stamps & _STAMPS

    def _take_each(self, frame: Frame, arrivals: Sequence[int]) -> list[int]:
        """Take one event after another: what one moves time to decides what is still known for the next."""
        duplicates: list[int] = []
        now, hour = self._now, self._now // HOUR_MS
        stamp = self._stamp(hour)
        rooms = self._rooms
        for position, (platform, room, name, at) in enumerate(
            zip(frame.platforms, frame.rooms, frame.ids, arrivals, strict=True)
        ):
            known = rooms.get((platform, room))
            if known is None:
                known = self._of((platform, room))
            if name in known:
                if hour - (known[name] >> _HOUR_SHIFT) <= self._hours:
                    duplicates.append(position)
                    continue
                del known[name]  # to stand behind those that came in between
            if at > now:
                now = at
                if hour != at // HOUR_MS:
                    hour = at // HOUR_MS
                    stamp = self._stamp(hour)
            known[name] = stamp
        if hour != self._now // HOUR_MS:
            self._forget(hour - self._hours)
        self._now = now
        return duplicates

    def _of(self, room: Key) -> dict[str, int]:
        return self._rooms.setdefault(room, {})

    def _forget(self, oldest: int) -> None:
        for room, known in list(self._rooms.items()):
            stale: list[str] = []
            for name, stamp in known.items():  # in the order of hours, so the old ones stand first
                if stamp >> _HOUR_SHIFT >= oldest:
                    break
                stale.append(name)
            for name in stale:
                del known[name]
            if not known:
                del self._rooms[room]
            elif sys.getsizeof(known) > SPARE_BYTES + WIDE_BYTES * len(known):
                # By itself it only grows, or shrinks as new ids come. The copy costs less than forgetting did.
                self._rooms[room] = dict(known)

    def image(self) -> Image:
        """Return a copy of what is known."""
        return Image(
            meta={
                "now": self._now,
                "rooms": [[*key, len(known), _runs(known)] for key, known in self._rooms.items()],
            },
            texts={"ids": list(chain.from_iterable(self._rooms.values()))},
        )

    def load(self, image: Image) -> None:
        """Take over an image."""
        self._now = image.meta["now"]
        names = iter(image.texts["ids"])
        self._rooms = {}
        for platform, room, _, runs in image.meta["rooms"]:
            known = self._rooms[platform, room] = {}
            for hour, count in runs:
                known.update((name, hour << _HOUR_SHIFT) for name in islice(names, count) if name is not None)


def _runs(known: dict[str, int]) -> list[tuple[int, int]]:
    """Return (hour, how many ids) in order."""
    hours = np.fromiter(known.values(), np.int64, len(known)) >> _HOUR_SHIFT
    starts = np.flatnonzero(np.append(True, hours[1:] != hours[:-1])) if known else np.zeros(0, np.int64)
    counts = np.diff(np.append(starts, len(known)))
    return list(zip(hours[starts].tolist(), counts.tolist(), strict=True))
