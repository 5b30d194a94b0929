"""What happened in the rooms, counted by session, hour and host: what the indicators of feeds, audience and engagement are made of.

Pure: durable frames go in, in the journal's order, and the same journal gives the same counts wherever its frames are cut.
Events are counted in the hour of their own time, each viewer once a session, in the hour and under the host in which
they were first seen; so a rate of viewers compares those who came then with each other. Staff and test events are not
counted as viewers, and what people and the daemon say of leads is no event of a feed.

Memory: one row of numbers for each viewer of a session that goes on (about 200 bytes, the name included), no more than
:data:`MOST_VIEWERS` a session; who comes after these is not counted as a viewer, and their events are in
``overflow``. A session leaves memory at the first full hour of engine time at which it has been silent for an hour
more than ends it; what comes to it later is added to its rows, its viewers counted anew. Who was in a room before is
known by a hash of eight bytes, for the last :data:`MOST_KNOWN` to twice as many viewers.

Two things are not in the journal and so are counted only of what the running daemon has heard: ``duplicates`` and
``heard``. An answer given by voice is not seen: a question counts as answered where staff writes within
:data:`ANSWER_MS`.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from frontrow.core import facts as words
from frontrow.core.centre import sketch
from frontrow.core.centre.storable import storable_text
from frontrow.core.events import DAEMON_KINDS, PEOPLE_KINDS
from frontrow.core.frames import Frame
from frontrow.core.sessions import Session, Sessions

HOUR_MS = 3_600_000
GAP_MS = 60_000  # without any event, while a session goes on
ANSWER_MS = 180_000  # within which staff writes after a question
LATE_MS = HOUR_MS  # beyond the silence that ends it, in which a session stays in memory
MOST_VIEWERS = 500_000  # of one session
MOST_KNOWN = 500_000  # of one room, in each of two generations
UNWRITTEN_FRAMES = 256  # and …
UNWRITTEN_MS = 30_000  # … engine time after which the counts are written
MOST_PENDING = 256  # questions of a session that wait for an answer

Numbers = NDArray[np.int64]

_OTHER, _NOT_OF_A_FEED = 0, -1


class _Codes(dict[str, int]):
    """Codes of kinds; asked for by map() without a call into Python."""

    def __missing__(self, kind: str) -> int:
        return _OTHER


_CODES = _Codes({
    **dict.fromkeys(PEOPLE_KINDS | DAEMON_KINDS, _NOT_OF_A_FEED),
    "comment": 1, "like": 2, "gift": 3, "product_click": 4, "cart_add": 5, "form_submit": 6, "enter": 7, "leave": 8, "stay": 9,
    "room_stats": 10, "room_start": 11, "room_end": 12, "host_change": 13,
})  # fmt: skip
_COMMENT, _LIKE, _GIFT, _CLICK, _CART, _FORM, _ENTER, _LEAVE, _STAY, _STATS, _START = range(1, 12)
_PRICE_WORDS = words.PRICE | words.DISCOUNT | words.INSTALMENT

# What is known of a viewer, as bits.
_CLICKED, _CARTED, _FORMED, _ASKED_PRICE, _RETURNING, _STAFF = (1 << bit for bit in range(6))
_BIT_OF = np.zeros(16, np.uint8)
_BIT_OF[[_CLICK, _CART, _FORM]] = _CLICKED, _CARTED, _FORMED

COUNTS = (
    "events", "heard", "duplicates", "overflow", "gaps", "span_ms", "gap_ms", "comments", "questions", "answered", "likes",
    "gift_value", "clicks", "carts", "viewers", "returners", "clickers", "carters", "form_viewers", "price_viewers",
    "dwell_observed", "dwell_inferred",
)  # fmt: skip
_EVENT_COUNTS = COUNTS[:14]
_VIEWER_COUNTS = COUNTS[14:]
(
    _EVENTS, _HEARD, _DUPLICATES, _OVERFLOW, _GAPS, _SPAN, _GAP, _COMMENTS, _QUESTIONS, _ANSWERED, _LIKES, _VALUE, _CLICKS, _CARTS,
) = range(len(_EVENT_COUNTS))  # fmt: skip
_ARRAYS, _LISTS = ("group", "bits"), ("entered_at", "observed_ms")


class Place(NamedTuple):
    """What one row is about. ``hour`` is when it begins (UTC ms), ``host`` "" where the feed names none."""

    platform: str
    room: str
    session: str
    hour: int
    host: str


@dataclass(slots=True)
class FactsRow:
    """What happened there: :data:`COUNTS` by name, ``peak`` the most viewers at a time that the feed told (None: it told none), and two
    sketches (:mod:`frontrow.core.centre.sketch`): of the feed's ``lag`` and of what viewers were seen to stay
    (``dwell``), in ms."""

    counts: dict[str, int]
    peak: int | None
    lag: dict[str, int]
    dwell: dict[str, int]

    def added(self, other: "FactsRow") -> "FactsRow":
        """Return both together."""
        peaks = [peak for peak in (self.peak, other.peak) if peak is not None]
        lag = sketch.from_json(self.lag) + sketch.from_json(other.lag)
        dwell = sketch.from_json(self.dwell) + sketch.from_json(other.dwell)
        return FactsRow(
            {name: self.counts[name] + other.counts[name] for name in COUNTS},
            max(peaks, default=None),
            sketch.as_json(lag),
            sketch.as_json(dwell),
        )


@dataclass(slots=True)
class _Group:
    """One row in the making: what is counted by event. ``base`` is what an earlier life of the session left; None: not looked up yet."""

    place: Place
    counts: Numbers = field(default_factory=lambda: np.zeros(len(_EVENT_COUNTS), np.int64))
    lag: Numbers = field(default_factory=lambda: np.zeros(sketch.BUCKETS, np.int64))
    peak: int | None = None
    looked_up: bool = False
    base: FactsRow | None = None


class Audience:
    """A session while it is in memory: its viewers, one number each, and its rows in the making."""

    def __init__(self, session: Session, number: int) -> None:
        self.session = session
        self.number = number  # among those of the room in memory, in the order in which they were begun
        self.groups: list[_Group] = []
        self.group_of: dict[tuple[int, str], int] = {}
        self.viewers: dict[str, int] = {}
        self.entered_at: list[int] = []  # lists: what is changed one by one is changed faster there
        self.observed_ms: list[int] = []
        self.group: NDArray[np.int32] = np.zeros(64, np.int32)
        self.bits: NDArray[np.uint8] = np.zeros(64, np.uint8)
        self.arrived = 0  # the last event's arrival
        self.last_group = 0
        self.pending: list[tuple[int, int]] = []  # questions: (at, group)
        self.dirty = False

    def group_at(self, place: Place) -> int:
        """Return the number of a group, made where there is none."""
        number = self.group_of.get((place.hour, place.host))
        if number is None:
            number = self.group_of[place.hour, place.host] = len(self.groups)
            self.groups.append(_Group(place))
        self.last_group = number
        return number

    def room_for(self, more: int) -> None:
        """Make the arrays long enough."""
        need = len(self.viewers) + more
        for column in (self.entered_at, self.observed_ms):
            column.extend([0] * more)
        if need > len(self.bits):
            for name in _ARRAYS:
                old = getattr(self, name)
                longer = np.zeros(max(need, 2 * len(old)), old.dtype)
                longer[: len(old)] = old
                setattr(self, name, longer)

    def missing(self) -> list[Place]:
        """Return the rows that an earlier life of this session may have left, and nobody has looked for yet."""
        return [group.place for group in self.groups if not group.looked_up]

    def found(self, rows: Mapping[Place, FactsRow]) -> None:
        """Hear what is written of the rows of :meth:`missing`; of those that are not in it nothing is."""
        for group in self.groups:
            if not group.looked_up:
                group.looked_up, group.base = True, rows.get(group.place)

    def rows(self) -> Iterator[tuple[Place, FactsRow]]:
        """Yield each row whole, as it stands now; after :meth:`found`."""
        count = len(self.viewers)
        bits, group, observed = self.bits[:count], self.group[:count], np.array(self.observed_ms, np.int64)
        guest = (bits & _STAFF) == 0
        stayed = observed > 0
        conditions = (
            guest,
            guest & (bits & _RETURNING > 0),
            guest & (bits & _CLICKED > 0),
            guest & (bits & _CARTED > 0),
            guest & (bits & _FORMED > 0),
            guest & (bits & _ASKED_PRICE > 0),
            guest & stayed,
            guest & ~stayed,
        )
        distinct = [np.bincount(group[each], minlength=len(self.groups)) for each in conditions]
        for number, each in enumerate(self.groups):
            counts = dict(zip(_EVENT_COUNTS, each.counts.tolist(), strict=True))
            counts |= {name: int(found[number]) for name, found in zip(_VIEWER_COUNTS, distinct, strict=True)}
            dwell = sketch.counted(observed[guest & stayed & (group == number)])
            row = FactsRow(counts, each.peak, sketch.as_json(each.lag), sketch.as_json(dwell))
            yield each.place, row if each.base is None else each.base.added(row)

    def packed(self) -> bytes:
        """Return everything as bytes; :meth:`unpacked` reads it."""
        count = len(self.viewers)
        session = self.session
        body = {
            "session": [session.started_at, session.named, session.last_at, session.ended_at, session.host],
            "groups": [
                [
                    list(each.place),
                    each.counts.tolist(),
                    sketch.as_json(each.lag),
                    each.peak,
                    None if each.base is None else _row_as_json(each.base),
                ]
                for each in self.groups
            ],
            "viewers": list(self.viewers),
            "arrays": [getattr(self, name)[:count].tobytes() for name in _ARRAYS],
            "lists": [getattr(self, name) for name in _LISTS],
            "rest": [self.number, self.arrived, self.last_group, self.pending],
        }
        return msgspec.msgpack.encode(body)

    @classmethod
    def unpacked(cls, id: str, packed: bytes) -> "Audience":
        body = msgspec.msgpack.decode(packed)
        started_at, named, last_at, ended_at, host = body["session"]
        session = Session(
            id=id, started_at=started_at, named=named, last_at=last_at, ended_at=ended_at, host=host
        )
        self = cls(session, body["rest"][0])
        for place, counts, lag, peak, base in body["groups"]:
            where = Place(*place)
            self.group_of[where.hour, where.host] = len(self.groups)
            group = _Group(where, np.array(counts, np.int64), sketch.from_json(lag), peak, looked_up=True)
            group.base = None if base is None else _row_from_json(base)
            self.groups.append(group)
        self.viewers = {viewer: number for number, viewer in enumerate(body["viewers"])}
        for name, data in zip(_ARRAYS, body["arrays"], strict=True):
            setattr(self, name, np.frombuffer(data, getattr(self, name).dtype).copy())
        self.entered_at, self.observed_ms = body["lists"]
        _, self.arrived, self.last_group, pending = body["rest"]
        self.pending = [(at, group) for at, group in pending]
        return self


class _Room:
    """A room: its sessions in memory, and who was there before."""

    def __init__(self, platform: str, room: str, silence_ms: int, grace_ms: int) -> None:
        self.platform, self.room = platform, room
        self.audiences: dict[str, Audience] = {}
        self.known: list[NDArray[np.uint64]] = [
            np.zeros(0, np.uint64),
            np.zeros(0, np.uint64),
        ]  # older, newer
        self.known_dirty = False
        self.first: dict[
            str, int
        ] = {}  # viewer → the number of the first session in memory in which they were
        self.numbered = 0
        self.sessions = Sessions(silence_ms=silence_ms, grace_ms=grace_ms, opened=self._opened)

    def _opened(self, session: Session) -> None:
        self.numbered += 1
        self.audiences[session.id] = Audience(session, self.numbered)

    def add(self, audience: Audience) -> None:
        """Take a session that was in memory before a restart."""
        self.audiences[audience.session.id] = audience
        self.sessions.add(audience.session)
        self.numbered = max(self.numbered, audience.number)
        self.note(audience.viewers, audience)

    def note(self, viewers: Iterable[str], audience: Audience) -> None:
        """Take note that viewers are in a session."""
        first, number = self.first, audience.number
        for viewer in viewers:
            if first.setdefault(viewer, number) > number:
                first[viewer] = number

    def was_here(self, viewers: Sequence[str], before: Audience) -> NDArray[np.bool_]:
        """Return of each viewer whether they were in a session before this one."""
        hashes = _hashes(viewers)
        known = np.zeros(len(viewers), bool)
        for generation in self.known:
            if generation.size:
                at = np.minimum(np.searchsorted(generation, hashes), generation.size - 1)
                known |= generation[at] == hashes
        first, number = self.first, before.number
        known |= [first.get(viewer, number) < number for viewer in viewers]
        return known

    def retire(self, audience: Audience) -> None:
        """Remember who was there, and forget the rest."""
        del self.audiences[audience.session.id]
        self.sessions.forget(audience.session)
        if self.sessions.current is audience.session:
            self.sessions.current = None
        for viewer in audience.viewers:
            if self.first.get(viewer) == audience.number:
                del self.first[viewer]
        if audience.viewers:
            older, newer = self.known
            newer = np.union1d(newer, _hashes(list(audience.viewers)))
            if newer.size > MOST_KNOWN:
                older, newer = newer, np.zeros(0, np.uint64)
            self.known = [older, newer]
            self.known_dirty = True


class RoomFacts:
    """Counts frames. Not thread-safe: one owner, in the journal's order.

    What it holds is written and read as parts by (platform, room, session); session "" is who was in the room before,
    and ("", "", "") how far it has come.
    """

    def __init__(
        self, *, silence_ms: int = 1_800_000, grace_ms: int = 300_000, currency: str = "CNY"
    ) -> None:
        """The times are those of the engine, so that sessions are the same. Gifts of another currency than ``currency`` are not added
        up; one that names none is of this."""
        self._silence_ms, self._grace_ms, self._currency = silence_ms, grace_ms, currency
        self._rooms: dict[tuple[str, str], _Room] = {}
        self._retired: list[tuple[_Room, Audience]] = []
        self.seq = 0  # of the last frame that was counted
        self.now = 0  # engine time
        self._written_seq = 0
        self._written_at = 0  # engine time

    # ------------------------------------------------------------------ counting

    def take(self, seq: int, frame: Frame, duplicates: Mapping[tuple[str, str], int] | None = None) -> None:
        """Count a durable frame; one that was counted before is passed over.

        ``duplicates`` are those that were heard with it, by (platform, room); None: nobody knows, as of a frame from
        the journal.
        """
        if seq <= self.seq:
            return
        self.seq = seq
        if len(frame):
            self._take_frame(_Work(frame, self.now, duplicates is not None))
        self.take_duplicates(duplicates or {})

    def _take_frame(self, work: "_Work") -> None:
        hours = work.nows // HOUR_MS
        starts = [0, *(np.flatnonzero(hours[1:] != hours[:-1]) + 1).tolist()]
        for start, end in zip(starts, [*starts[1:], len(hours)], strict=True):
            self._pass(int(work.nows[start]))
            heard = np.flatnonzero(work.codes[start:end] >= 0) + start
            for room, positions in self._by_room(work, heard):
                self._take_room(room, work, positions)
            self.now = int(work.nows[end - 1])

    def _pass(self, now: int) -> None:
        """Let engine time be ``now``: with each full hour the sessions that have long been over leave memory."""
        if now // HOUR_MS == self.now // HOUR_MS:
            return
        silent = self._silence_ms + LATE_MS
        for room in self._rooms.values():
            for audience in list(room.audiences.values()):
                if now // HOUR_MS * HOUR_MS > audience.session.last_at + silent:
                    room.retire(audience)
                    self._retired.append((room, audience))

    def _by_room(self, work: "_Work", heard: Numbers) -> Iterator[tuple[_Room, Numbers]]:
        if not heard.size:
            return
        frame = work.frame
        only = frame.only_room()
        if only is not None:
            yield self._room(only), heard
            return
        names: Sequence[Any] = (
            frame.rooms if work.same_platform else list(zip(frame.platforms, frame.rooms, strict=True))
        )
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
        which = np.array([numbers[name] for name in names], np.int64)[heard]
        order = np.argsort(which, kind="stable")
        ends = np.cumsum(np.bincount(which, minlength=len(numbers)))
        for name, positions in zip(numbers, np.split(heard[order], ends[:-1]), strict=True):
            if positions.size:
                yield self._room((frame.platforms[0], name) if work.same_platform else name), positions

    def _room(self, key: tuple[str, str]) -> _Room:
        room = self._rooms.get(key)
        if room is None:
            room = self._rooms[key] = _Room(*key, self._silence_ms, self._grace_ms)
        return room

    def _take_room(self, room: _Room, work: "_Work", positions: Numbers) -> None:
        """Count events of one room, in order: stretches between those that begin or end something."""
        marks = np.flatnonzero(work.codes[positions] >= _START).tolist()
        start = 0
        for mark in marks:
            self._take_stretch(room, work, positions[start:mark])
            self._take_mark(room, work, positions[mark : mark + 1])
            start = mark + 1
        self._take_stretch(room, work, positions[start:])

    def _take_mark(self, room: _Room, work: "_Work", position: Numbers) -> None:
        at = int(position[0])
        frame, when = work.frame, int(work.ats[at])
        session = room.sessions.of(frame.sessions[at], when, frame.kinds[at])
        host = frame.seldom.get("host", {}).get(at)
        if host is not None:
            session.host = host
        self._count(room, room.audiences[session.id], work, position)

    def _take_stretch(self, room: _Room, work: "_Work", positions: Numbers) -> None:
        if not positions.size:
            return
        frame, ats = work.frame, work.ats[positions]
        places = positions.tolist()
        named = frame.sessions[places[0]]
        if work.same_session or all(frame.sessions[at] == named for at in places):
            high = int(np.max(ats))
            session = room.sessions.holding(named, int(ats[0]), int(np.min(ats)), high)
            if session is not None:
                session.last_at = max(session.last_at, high)
                self._count(room, room.audiences[session.id], work, positions)
                return
        # Runs of one session, in order: who was in a room before hangs on what other sessions have had until then.
        run: list[int] = []
        of = ""
        for at, when in zip(places, ats.tolist(), strict=True):
            session = room.sessions.of(frame.sessions[at], when, frame.kinds[at])
            if run and session.id != of:
                self._count(room, room.audiences[of], work, np.array(run, np.int64))
                run = []
            of = session.id
            run.append(at)
        self._count(room, room.audiences[of], work, np.array(run, np.int64))

    def _count(self, room: _Room, audience: Audience, work: "_Work", positions: Numbers) -> None:
        """Count events of one session under one host."""
        audience.dirty = True
        arrived = work.nows[positions]
        before = np.concatenate(([audience.arrived or arrived[0]], arrived[:-1]))
        passed = arrived - before
        audience.arrived = int(arrived[-1])
        hours = work.ats[positions] // HOUR_MS
        host = storable_text(audience.session.host or "")
        starts = [0, *(np.flatnonzero(hours[1:] != hours[:-1]) + 1).tolist()]
        for start, end in zip(starts, [*starts[1:], len(hours)], strict=True):
            hour = int(hours[start]) * HOUR_MS
            group = audience.group_at(Place(room.platform, room.room, audience.session.id, hour, host))
            self._count_hour(room, audience, work, positions[start:end], passed[start:end], group)

    def _count_hour(
        self,
        room: _Room,
        audience: Audience,
        work: "_Work",
        positions: Numbers,
        passed: Numbers,
        number: int,
    ) -> None:
        frame, codes = work.frame, work.codes[positions]
        places = positions.tolist()
        group = audience.groups[number]
        counts = group.counts
        who = self._viewers(room, audience, [frame.viewers[at] for at in places], number)
        counts[_EVENTS] += len(places)
        if work.heard:
            counts[_HEARD] += len(places)
        passed = passed[passed <= self._silence_ms]
        silent = passed[passed > GAP_MS]
        counts[_GAPS] += silent.size
        counts[_SPAN] += passed.sum()
        counts[_GAP] += silent.sum()
        if work.lags_known:
            group.lag += sketch.counted(work.lags[positions])
        staff = None if work.staff is None else work.staff[positions]
        facts = work.facts[positions]
        said = codes == _COMMENT
        by_guest = said if staff is None else said & ~staff
        asked = by_guest & (facts & words.QUESTION > 0)
        counts[_COMMENTS] += np.count_nonzero(by_guest)
        counts[_QUESTIONS] += np.count_nonzero(asked)
        counts[_CLICKS] += np.count_nonzero(codes == _CLICK)
        counts[_CARTS] += np.count_nonzero(codes == _CART)
        counts[_LIKES] += work.likes[positions].sum()
        currencies = frame.seldom.get("currency", {})
        for at in positions[codes == _GIFT].tolist():
            if currencies.get(at, self._currency) == self._currency:
                counts[_VALUE] += frame.values[at] or 0
        told: Mapping[int, int] = frame.seldom.get("viewers", {})
        for at in positions[codes == _STATS].tolist() if told else ():
            if at in told:
                group.peak = max(group.peak or 0, told[at])
        counts[_OVERFLOW] += np.count_nonzero(who == -2)
        bits = _BIT_OF[codes]
        bits[by_guest & (facts & _PRICE_WORDS > 0)] |= _ASKED_PRICE
        if staff is not None:
            bits[staff] |= _STAFF
        known = who >= 0
        doing = known & (bits > 0)
        np.bitwise_or.at(audience.bits, who[doing], bits[doing])
        self._watch(audience, work, positions, who, known & (codes >= _ENTER) & (codes <= _STAY))
        answers = np.zeros(len(places), bool) if staff is None else said & staff
        if audience.pending or asked.any():
            _answer(audience, work.ats, positions, asked, answers, number)

    def _viewers(self, room: _Room, audience: Audience, viewers: Sequence[str | None], group: int) -> Numbers:
        """Return the number of each event's viewer; −1: it has none, −2: there are too many to tell them apart."""
        known = audience.viewers
        found = list(map(known.get, viewers))  # type: ignore[arg-type]  # None is nobody there
        if None not in found:
            return np.array(found, np.int64)
        who = np.array([-1 if viewer is None else known.get(viewer, -3) for viewer in viewers], np.int64)
        missing = np.flatnonzero(who == -3).tolist()
        if not missing:
            return who
        new = dict.fromkeys(viewer for place in missing if (viewer := viewers[place]) is not None)
        taken = list(new)[: max(0, MOST_VIEWERS - len(known))]
        if taken:
            audience.room_for(len(taken))
            first = len(known)
            returning = room.was_here(taken, audience)
            span = slice(first, first + len(taken))
            audience.group[span] = group
            audience.bits[span] = np.where(returning, _RETURNING, 0)
            for number, viewer in enumerate(taken, start=first):
                known[viewer] = number
            room.note(taken, audience)
        for place in missing:
            who[place] = known.get(viewers[place], -2)  # type: ignore[arg-type]  # those without a viewer are not missing
        return who

    @staticmethod
    def _watch(
        audience: Audience, work: "_Work", positions: Numbers, who: Numbers, which: NDArray[np.bool_]
    ) -> None:
        """Add up what was seen of viewers' stay: from enter to leave, and visits told whole. A later enter goes before an earlier one."""
        seconds: Mapping[int, float] = work.frame.seldom.get("seconds", {})
        entered, observed = audience.entered_at, audience.observed_ms
        positions = positions[which]
        columns = positions, who[which], work.codes[positions], work.ats[positions]
        for at, viewer, code, when in zip(*(column.tolist() for column in columns), strict=True):
            if code == _ENTER:
                entered[viewer] = when
            elif code == _LEAVE:
                if entered[viewer]:
                    observed[viewer] += max(0, when - entered[viewer])
                    entered[viewer] = 0
            else:
                observed[viewer] += round(1000 * seconds.get(at, 0.0))

    def take_duplicates(self, duplicates: Mapping[tuple[str, str], int]) -> None:
        """Count duplicates that were heard, by (platform, room), in each room's present session."""
        for key, count in duplicates.items():
            room = self._rooms.get(key)
            current = None if room is None else room.sessions.current
            audience = None if room is None or current is None else room.audiences[current.id]
            if audience is not None and audience.groups:
                audience.groups[audience.last_group].counts[[_HEARD, _DUPLICATES]] += count
                audience.dirty = True

    # ------------------------------------------------------------------ writing

    @property
    def due(self) -> bool:
        """Whether it is time to write: the rest would be counted from the journal again after a crash."""
        return self.seq - self._written_seq >= UNWRITTEN_FRAMES or self.now - self._written_at >= UNWRITTEN_MS

    def sessions(self) -> "list[Audience]":
        """Return the sessions whose rows are to be written, in the order of writing: first those that have left memory."""
        live = [
            audience
            for room in self._rooms.values()
            for audience in room.audiences.values()
            if audience.dirty
        ]
        return [*(audience for _, audience in self._retired), *live]

    def memories(self) -> dict[tuple[str, str, str], bytes | None]:
        """Return what has changed of what :meth:`load` reads; None: it goes. To be asked when all rows are written."""
        found: dict[tuple[str, str, str], bytes | None] = {
            (room.platform, room.room, audience.session.id): None for room, audience in self._retired
        }
        for key, room in self._rooms.items():
            if room.known_dirty:
                found[*key, ""] = msgspec.msgpack.encode([part.tobytes() for part in room.known])
            for id, audience in room.audiences.items():
                if audience.dirty:
                    found[*key, id] = audience.packed()
        present = [
            [*key, room.sessions.current.id]
            for key, room in self._rooms.items()
            if room.sessions.current is not None
        ]
        found["", "", ""] = msgspec.msgpack.encode([self.seq, self.now, present])
        return found

    def written(self) -> None:
        """Hear that all of it is on the disk."""
        self._retired.clear()
        for room in self._rooms.values():
            room.known_dirty = False
            for audience in room.audiences.values():
                audience.dirty = False
        self._written_seq, self._written_at = self.seq, self.now

    def load(self, memories: Iterable[tuple[tuple[str, str, str], bytes]]) -> None:
        """Take over what was written; instead of what is here."""
        self._rooms.clear()
        self._retired.clear()
        self.seq = self.now = 0
        present: list[tuple[str, str, str]] = []
        for (platform, name, session), body in memories:
            if not platform:
                self.seq, self.now, present = msgspec.msgpack.decode(body)
                continue
            room = self._room((platform, name))
            if session:
                room.add(Audience.unpacked(session, body))
            else:
                room.known = [np.frombuffer(part, np.uint64) for part in msgspec.msgpack.decode(body)]
        for platform, name, session in present:
            room = self._room((platform, name))
            room.sessions.current = room.audiences[session].session
        self._written_seq, self._written_at = self.seq, self.now


class _Work:
    """A frame while it is counted: what is computed once for all of its events."""

    def __init__(self, frame: Frame, now: int, duplicates_known: bool) -> None:
        self.frame = frame
        self.heard = duplicates_known
        self.codes = np.array(list(map(_CODES.__getitem__, frame.kinds)), np.int8)
        if True in frame.tests:
            self.codes[np.array(frame.tests, bool)] = _NOT_OF_A_FEED
        ats = np.array(frame.ats, np.int64)
        seen = frame.seen_ats
        missing = seen.count(None)
        arrivals = frame.arrivals() if missing else seen
        self.lags_known = missing < len(seen)
        arrived = np.array(arrivals, np.int64) if self.lags_known else ats
        self.nows: Numbers = np.maximum.accumulate(np.maximum(arrived, now))
        self.ats: Numbers = np.minimum(ats, self.nows)
        self.lags: Numbers = np.maximum(arrived - ats, 0)
        self.facts: Numbers = (
            np.array(frame.facts, np.int64) if any(frame.facts) else np.zeros(len(frame), np.int64)
        )
        self.staff: NDArray[np.bool_] | None = None
        if True in frame.staffs:
            self.staff = np.array([each is True for each in frame.staffs], bool)
        self.likes: Numbers = np.zeros(len(frame), np.int64)
        if (self.codes == _LIKE).any():
            self.likes = np.array([1 if count is None else count for count in frame.counts], np.int64)
            self.likes[self.codes != _LIKE] = 0
        self.same_session = frame.sessions.count(frame.sessions[0]) == len(frame)
        self.same_platform = frame.platforms.count(frame.platforms[0]) == len(frame)


def _answer(
    audience: Audience,
    ats: Numbers,
    positions: Numbers,
    asked: NDArray[np.bool_],
    answers: NDArray[np.bool_],
    group: int,
) -> None:
    """Let what staff writes answer the questions that were asked shortly before."""
    pending = audience.pending
    either = asked | answers
    for at, is_question in zip(positions[either].tolist(), asked[either].tolist(), strict=True):
        when = int(ats[at])
        if is_question:
            pending.append((when, group))
            del pending[:-MOST_PENDING]
        else:
            for since, of in pending:
                audience.groups[of].counts[_ANSWERED] += 0 <= when - since <= ANSWER_MS
            pending.clear()


def _hashes(viewers: Sequence[str]) -> NDArray[np.uint64]:
    digest = b"".join(
        hashlib.blake2b(viewer.encode("utf-8", "surrogatepass"), digest_size=8).digest() for viewer in viewers
    )
    return np.frombuffer(digest, "<u8").astype(np.uint64)


def _row_as_json(row: FactsRow) -> list[Any]:
    return [row.counts, row.peak, row.lag, row.dwell]


def _row_from_json(body: Sequence[Any]) -> FactsRow:
    return FactsRow(*body)
