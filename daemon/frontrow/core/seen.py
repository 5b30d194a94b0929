"""Which events have been seen: duplicates are known by (platform, room, id) for at least a day of engine time.

Engine time is the running maximum of arrival times of events that were not duplicates. Ids are kept by the hour of it
in which they came, and forgotten by the hour.
"""

import sys
from collections.abc import Sequence
from itertools import accumulate, chain, pairwise, repeat
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from frontrow.core import kernel
from frontrow.core.frames import Frame
from frontrow.core.images import Image

if TYPE_CHECKING:
    from frontrow_kernel import SeenTable

HOUR_MS = 3_600_000
_HOUR_SHIFT = 32
_STAMPS = (1 << _HOUR_SHIFT) - 1
# A room's dictionary takes 20 to 50 bytes an id (CPython 3.11), and more only when most of it is empty.
WIDE_BYTES = 100  # an id
SPARE_BYTES = 65_536  # which are not worth a copy

Key = tuple[str, str]
# Engine time; the rooms; hours in their order and how many ids came in each; then of each id, hour by hour, its
# room's place and its length, both uint32, and the ids' UTF-8 (half surrogate pairs too), one behind another.
Columns = tuple[int, Sequence[Sequence[str]], Sequence[Sequence[int]], bytes, bytes, bytes]


class SeenIds:
    """The ids of every room: in one table of the compiled kernel (``kernel/src/seen.c``), or in :class:`SeenNames`. Both are exact."""

    def __init__(self, *, dedupe_ms: int) -> None:
        self._hours = -(-dedupe_ms // HOUR_MS)
        self._table = self._empty()

    def __len__(self) -> int:
        """How many ids are known."""
        return len(self._table)

    def knows(self, platform: str, room: str, id: str) -> bool:
        """Return whether an event of this id would be a duplicate now."""
        return self._table.knows(platform, room, id)

    def take(self, frame: Frame) -> list[int]:
        """Return the positions of events that have been seen before, and remember the others."""
        if isinstance(self._table, SeenNames):
            return self._table.take(frame)
        return self._table.take(frame.platforms, frame.rooms, frame.ids, frame.seen_ats, frame.ats)

    def image(self) -> Image:
        """Return a copy of what is known, the same whichever way is gone but for the order of ids within an hour."""
        now, rooms, hours, room_of, lengths, ids = self._table.image()
        return Image(
            meta={"now": now, "rooms": list(map(list, rooms)), "hours": list(map(list, hours))},
            arrays={
                "rooms": np.frombuffer(room_of, np.uint32),
                "lengths": np.frombuffer(lengths, np.uint32),
                "ids": np.frombuffer(ids, np.uint8),
            },
        )

    def load(self, image: Image) -> None:
        """Take over an image, from whichever way."""
        meta, arrays = image.meta, image.arrays
        table = self._empty()
        table.load(
            meta["now"], meta["rooms"], meta["hours"], arrays["rooms"], arrays["lengths"], arrays["ids"]
        )
        self._table = table

    def _empty(self) -> "SeenTable | SeenNames":
        return SeenNames(self._hours) if kernel.compiled is None else kernel.compiled.SeenTable(self._hours)


class SeenNames:
    """The ids as Python's strings in one dictionary a room: two lookups an event. What the kernel's table does is defined here."""

    def __init__(self, hours: int) -> None:
        self._hours = hours
        self.now = 0
        self._stamps = 0
        self._rooms: dict[Key, dict[str, int]] = {}  # id → hour and a running number, in the order of hours

    def __len__(self) -> int:
        """How many ids are known."""
        return sum(map(len, self._rooms.values()))

    def knows(self, platform: str, room: str, id: str) -> bool:
        """Return whether an event of this id would be a duplicate now."""
        stamp = self._rooms.get((platform, room), {}).get(id)
        return stamp is not None and self.now // HOUR_MS - (stamp >> _HOUR_SHIFT) <= self._hours

    def take(self, frame: Frame) -> list[int]:
        """Return the positions of events that have been seen before, and remember the others."""
        if not len(frame):
            return []
        arrivals = frame.arrivals()
        now = max(self.now, max(arrivals))
        if now // HOUR_MS != self.now // HOUR_MS:
            return self._take_each(frame, arrivals)
        room = frame.only_room()
        if room is None:
            return self._take_rooms(frame, arrivals, now)
        known = self._of(room)
        before, stamp = len(known), self._stamp(now // HOUR_MS)
        # One look-up an event: a new id gets the stamp, a known one tells its own.
        stamps = list(map(known.setdefault, frame.ids, repeat(stamp)))
        if len(known) - before == len(frame):
            self.now = now
            return []
        fresh: set[str] = set()
        duplicates: list[int] = []
        for position, (name, its) in enumerate(zip(frame.ids, stamps, strict=True)):
            if its != stamp or name in fresh:
                duplicates.append(position)
            else:
                fresh.add(name)
                self.now = max(self.now, arrivals[position])
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
            self.now = now
            return []
        duplicates: list[int] = []
        for position, its in enumerate(stamps):
            if its != stamp:
                duplicates.append(position)
            else:
                self.now = max(self.now, arrivals[position])
        return duplicates

    def _stamp(self, hour: int) -> int:
        """Return a number that tells the hour and, up to the next call, no other id has."""
        self._stamps += 1
        return hour << _HOUR_SHIFT | self._stamps & _STAMPS

    def _take_each(self, frame: Frame, arrivals: Sequence[int]) -> list[int]:
        """Take one event after another: what one moves time to decides what is still known for the next."""
        duplicates: list[int] = []
        now, hour = self.now, self.now // HOUR_MS
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
        if hour != self.now // HOUR_MS:
            self._forget(hour - self._hours)
        self.now = now
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

    def image(self) -> Columns:
        """Return a copy of what is known."""
        rooms = list(self._rooms)
        tables = list(self._rooms.values())
        sizes = np.fromiter(map(len, tables), np.int64, len(tables))
        names = list(chain.from_iterable(tables))
        stamps = np.fromiter(chain.from_iterable(known.values() for known in tables), np.int64, len(names))
        hours = stamps >> _HOUR_SHIFT
        room_of = np.repeat(np.arange(len(rooms), dtype=np.uint32), sizes)
        if (hours[1:] < hours[:-1]).any():  # each room's are in order
            order = np.argsort(hours, kind="stable")
            hours, room_of = hours[order], room_of[order]
            names = [names[place] for place in order.tolist()]
        found, counts = np.unique(hours, return_counts=True)
        ids = _coded("".join(names))
        lengths = np.fromiter(map(len, names), np.uint32, len(names))
        if int(lengths.sum(dtype=np.int64)) != len(ids):  # not ASCII alone
            lengths = np.fromiter((len(_coded(name)) for name in names), np.uint32, len(names))
        return (
            self.now,
            rooms,
            list(zip(found.tolist(), counts.tolist(), strict=True)),
            room_of.tobytes(),
            lengths.tobytes(),
            ids,
        )

    def load(
        self,
        now: int,
        rooms: Sequence[Sequence[str]],
        hours: Sequence[Sequence[int]],
        room_of: NDArray[np.uint32],
        lengths: NDArray[np.uint32],
        ids: NDArray[np.uint8],
    ) -> None:
        """Take over an image, while nothing is known yet.

        Raises:
            ValueError: The columns do not fit together, or the ids are no texts.
        """
        _check(now, rooms, hours, room_of, lengths, ids)
        tables: list[dict[str, int]] = [{} for _ in rooms]
        bounds = accumulate(lengths.tolist(), initial=0)
        whole = ids.tobytes()
        names = (whole[start:end].decode("utf-8", "surrogatepass") for start, end in pairwise(bounds))
        stamps = chain.from_iterable(repeat(hour << _HOUR_SHIFT, count) for hour, count in hours)
        for room, name, stamp in zip(room_of.tolist(), names, stamps, strict=True):
            tables[room].setdefault(name, stamp)
        self.now = now
        self._rooms = {(platform, room): known for (platform, room), known in zip(rooms, tables, strict=True)}
        self._forget(now // HOUR_MS - self._hours)


def _coded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _check(
    now: int,
    rooms: Sequence[Sequence[str]],
    hours: Sequence[Sequence[int]],
    room_of: NDArray[np.uint32],
    lengths: NDArray[np.uint32],
    ids: NDArray[np.uint8],
) -> None:
    of_hours = [hour for hour, _ in hours]
    if (
        of_hours != sorted(set(of_hours))
        or (of_hours and not 0 <= of_hours[0] <= of_hours[-1] <= now // HOUR_MS)
        or min((count for _, count in hours), default=0) < 0
        or not sum(count for _, count in hours) == len(room_of) == len(lengths)
        or int(lengths.sum(dtype=np.int64)) != len(ids)
        or (len(room_of) and int(np.max(room_of)) >= len(rooms))
    ):
        raise ValueError("the columns do not fit together")
