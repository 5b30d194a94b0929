"""The one path from a feed to the journal: queue → frame → facts → engine → commit → acknowledge → tell.

One task owns the engine. While a commit is on its way to the disk (in the store's thread) arrivals gather, and the
next commit takes them together; nothing is acknowledged, and no panel or sink hears of anything, before its frame is
durable. The queue is bounded by events: when it is full, :meth:`Pipeline.put` waits, and so does the feed.
"""

import asyncio
import functools
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import structlog

from frontrow.core.alerts import LeadAlert
from frontrow.core.contact import (
    mask_name,
    mask_numbers,
    redact_extra,
    redact_fields,
    redact_label,
    redact_text,
)
from frontrow.core.engine import Effects, Engine
from frontrow.core.events import MAX_TEXT, Event, RoomRef, too_deep
from frontrow.core.facts import derive
from frontrow.core.intents import RoomLexicon
from frontrow.core.leads import Lead
from frontrow.core.ports import Clock, Receipt
from frontrow.runtime.people import People

MAX_FRAMES_PER_COMMIT = 8
# Not `product` and `order`: these are keys, an id of eleven digits among them must stay itself. They are masked where
# they are shown.
LABELS = ("gift", "form", "host", "campaign", "note")
SHORTEST_NUMBER = 7  # characters
TICK_EVERY_S = 5.0  # how often time is journalled while no event carries it

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Applied:
    """One frame after the engine: what goes to the store, and what is told once it is there."""

    events: Sequence[Event]
    facts: Sequence[int]
    effects: Effects
    alerts: Sequence[tuple[str, LeadAlert]]  # (sink, alert)
    arrived_at: int  # of the frame's oldest event, UTC ms


class Journal(Protocol):
    """Where applied frames become durable."""

    async def commit(self, frames: Sequence[Applied], at: int) -> None:
        """Store all frames in one transaction; return when they are on the disk. An error ends the daemon."""


class Observer(Protocol):
    """Who counts. No call may raise or wait."""

    def accepted(self, room: str, events: Sequence[Event], now: int) -> None: ...
    def duplicates(self, room: str, events: Sequence[Event]) -> None: ...
    def lead(self, room: str, lead: Lead) -> None: ...
    def scored(self, seconds: float) -> None: ...
    def committed(self, seconds: float) -> None: ...
    def acknowledged(self, seconds: float) -> None: ...


@dataclass(slots=True)
class _Entry:
    events: list[Event]
    feed: str
    arrived_at: int
    arrived: float  # monotonic
    done: "asyncio.Future[Receipt]"


@dataclass(frozen=True, slots=True)
class Route:
    """Which sink hears of a room's leads: ``rooms`` are configured ids, empty: all."""

    sink: str
    rooms: frozenset[str]


class QueueFull(Exception):
    """The intake queue has no room and the caller asked not to wait."""


class NotStored(Exception):
    """What was put could not be made durable; the daemon ends, and the sender must send it again."""


class Pipeline:
    """Fits :class:`frontrow.core.ports.Intake`. ``run`` owns the engine from start to end."""

    def __init__(
        self,
        *,
        engine: Engine,
        journal: Journal,
        people: People,
        clock: Clock,
        rooms: Mapping[tuple[str, str], RoomRef],
        lexicons: Mapping[tuple[str, str], RoomLexicon],
        default_lexicon: RoomLexicon,
        routes: Sequence[Route],
        observer: Observer,
        on_durable: Callable[[Sequence[Applied]], None],
        region: str = "CN",
        frame_events: int = 1024,
        frame_s: float = 0.02,
        queue_events: int = 65_536,
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._people = people
        self._clock = clock
        self._rooms = rooms
        self._lexicons = lexicons
        self._default_lexicon = default_lexicon
        self._routes = routes
        self._observer = observer
        self._on_durable = on_durable
        self._region = region
        self._frame_events = frame_events
        self._frame_s = frame_s
        self._queue_events = queue_events
        self._entries: deque[_Entry] = deque()
        self._queued = 0
        self._arrival = asyncio.Event()
        self._room_in_queue = asyncio.Event()
        self._room_in_queue.set()
        self._closing = False
        self._failed: BaseException | None = None

    @property
    def queued(self) -> int:
        """How many events wait to be applied."""
        return self._queued

    @property
    def full(self) -> bool:
        """Whether the queue has reached its bound."""
        return self._queued >= self._queue_events

    async def put(self, events: Sequence[Event], *, feed: str) -> Awaitable[Receipt]:
        while self.full and self._failed is None:
            self._room_in_queue.clear()
            await self._room_in_queue.wait()
        return self.put_nowait(events, feed=feed)

    def put_nowait(self, events: Sequence[Event], *, feed: str) -> "asyncio.Future[Receipt]":
        """Queue events at once.

        Raises:
            QueueFull: The queue is at its bound, or the pipeline is closed.
        """
        if self.full or self._closing or self._failed is not None:
            raise QueueFull
        done: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        if not events:
            done.set_result(Receipt(accepted=0, duplicates=0))
            return done
        entry = _Entry(list(events), feed, self._clock.now(), self._clock.monotonic(), done)
        self._entries.append(entry)
        self._queued += len(entry.events)
        self._arrival.set()
        return done

    async def run(self) -> None:
        """Apply and store until :meth:`close` was called and the queue is empty.

        Raises:
            Exception: The journal could not store. Nothing unstored was acknowledged; the daemon must end.
        """
        try:
            while True:
                if not self._entries:
                    if self._closing:
                        return
                    self._arrival.clear()
                    await self._arrival.wait()
                    continue
                if self._queued < self._frame_events and not self._closing:
                    await self._clock.sleep(self._frame_s)
                await self._step()
        except BaseException as error:
            self._fail(error)
            raise

    def close(self) -> None:
        """Take nothing more; ``run`` ends when all that was taken is durable. Idempotent."""
        self._closing = True
        self._arrival.set()

    async def _step(self) -> None:
        entries = self._take_entries()
        frames: list[Applied] = []
        fresh_of: list[int] = []
        for frame in self._cut(entries):
            frames.append(self._apply(frame, fresh_of))
            await asyncio.sleep(
                0
            )  # a frame may take milliseconds; let sockets and panels have the loop in between
        stored = [frame for frame in frames if frame.events]
        if stored:
            began = self._clock.monotonic()
            try:
                await self._journal.commit(stored, self._clock.now())
            except BaseException:
                _refuse(entries)
                raise
            self._observer.committed(self._clock.monotonic() - began)
        self._acknowledge(entries, fresh_of)
        if frames:
            self._on_durable(frames)

    def _take_entries(self) -> list[_Entry]:
        entries: list[_Entry] = []
        taken = 0
        while self._entries and taken < self._frame_events * MAX_FRAMES_PER_COMMIT:
            entry = self._entries.popleft()
            entries.append(entry)
            taken += len(entry.events)
        self._queued -= taken
        if not self.full:
            self._room_in_queue.set()
        return entries

    def _cut(self, entries: Sequence[_Entry]) -> list[list[Event]]:
        events: list[Event] = []
        for entry in entries:
            for event in entry.events:
                # The event is ours alone since it was put; nobody has seen it without its arrival.
                msgspec.structs.force_setattr(event, "seen_at", entry.arrived_at)
            events += entry.events
        size = self._frame_events
        return [events[start : start + size] for start in range(0, len(events), size)]

    def _apply(self, events: list[Event], fresh_of: list[int]) -> Applied:
        began = self._clock.monotonic()
        facts = [
            prepare(
                event, self._lexicons.get((event.platform, event.room), self._default_lexicon), self._region
            )
            for event in events
        ]
        effects = self._engine.apply(events, facts)
        fresh = set(effects.fresh)
        kept = [events[position] for position in effects.fresh]
        kept_facts = [facts[position] for position in effects.fresh]
        fresh_of += [1 if position in fresh else 0 for position in range(len(events))]
        self._people.note(kept, kept_facts)
        alerts = [
            (route.sink, alert)
            for lead in effects.leads
            for alert, room_id in [self._alert(lead)]
            for route in self._routes
            if not route.rooms or room_id in route.rooms
        ]
        self._observer.scored(self._clock.monotonic() - began)
        self._count(events, fresh, kept)
        for lead in effects.leads:
            self._observer.lead(self._room_id(lead.platform, lead.room), lead)
        return Applied(kept, kept_facts, effects, alerts, events[0].seen_at or 0)

    def _alert(self, lead: Lead) -> tuple[LeadAlert, str]:
        room = self._rooms.get((lead.platform, lead.room))
        words = self._people.words(lead.platform, lead.room, lead.viewer)
        name = self._people.name(lead.platform, lead.room, lead.viewer)
        alert = LeadAlert(
            lead=lead.lead,
            platform=lead.platform,
            room=lead.room,
            room_id=room.id if room else lead.room,
            room_title=room.title if room else "",
            session=lead.session,
            viewer=lead.viewer,
            name=mask_name(mask_numbers(name)),
            grade=lead.grade,
            points=lead.points,
            probability=lead.probability,
            reasons=[reason for reason in lead.reasons if reason.kind == "rule"],
            decided_at=lead.decided_at,
            product=None if lead.product is None else mask_numbers(lead.product),
            words=None if words is None else mask_numbers(words),
        )
        return alert, alert.room_id

    def _room_id(self, platform: str, room: str) -> str:
        known = self._rooms.get((platform, room))
        return known.id if known else room

    def _count(self, events: Sequence[Event], fresh: set[int], kept: Sequence[Event]) -> None:
        by_room: dict[str, list[Event]] = {}
        for event in kept:
            by_room.setdefault(self._room_id(event.platform, event.room), []).append(event)
        for room, of_room in by_room.items():
            self._observer.accepted(room, of_room, self._clock.now())
        if len(kept) == len(events):
            return
        repeated: dict[str, list[Event]] = {}
        for position, event in enumerate(events):
            if position not in fresh:
                repeated.setdefault(self._room_id(event.platform, event.room), []).append(event)
        for room, of_room in repeated.items():
            self._observer.duplicates(room, of_room)

    def _acknowledge(self, entries: Sequence[_Entry], fresh_of: Sequence[int]) -> None:
        start = 0
        now = self._clock.monotonic()
        for entry in entries:
            end = start + len(entry.events)
            accepted = sum(fresh_of[start:end])
            if not entry.done.done():  # the sender may have gone; what it sent is stored all the same
                entry.done.set_result(Receipt(accepted=accepted, duplicates=end - start - accepted))
            self._observer.acknowledged(now - entry.arrived)
            start = end

    def _fail(self, error: BaseException) -> None:
        self._failed = error
        self._room_in_queue.set()
        _refuse(self._entries)
        self._entries.clear()


def _refuse(entries: Iterable[_Entry]) -> None:
    for entry in entries:
        if not entry.done.done():
            entry.done.set_exception(NotStored())
            entry.done.exception()  # a feed without acknowledgements does not look; that is no error of its own


def prepare(event: Event, lexicon: RoomLexicon, region: str) -> int:
    """Return the event's facts, and mask in the event what may not be kept: numbers that nobody consented to."""
    facts = derive(event, lexicon, region)
    # The event is ours alone until it is applied; see Pipeline._cut.
    if event.text:
        msgspec.structs.force_setattr(event, "text", redact_text(event.text))
    if event.name and len(event.name) >= SHORTEST_NUMBER:
        msgspec.structs.force_setattr(event, "name", _redacted_name(event.name))
    for label in LABELS:
        value = getattr(event, label)
        if value is not None and len(value) >= SHORTEST_NUMBER:
            msgspec.structs.force_setattr(event, label, redact_label(value, region))
    if event.fields:
        msgspec.structs.force_setattr(event, "fields", redact_fields(_storable(event.fields), event.consent))
    if event.extra:
        msgspec.structs.force_setattr(event, "extra", redact_extra(_storable(event.extra), region))
    return facts


def _storable(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields that can be read back from the journal: a platform's message that nests too deep becomes text."""
    return {"json": msgspec.json.encode(fields).decode()[:MAX_TEXT]} if too_deep(fields) else fields


@functools.lru_cache(maxsize=65_536)
def _redacted_name(name: str) -> str:
    # Some put their number into their name. A name comes with every event of its viewer, so it is looked at once.
    return redact_text(name)


async def tick(pipeline: Pipeline, engine: Engine, clock: Clock) -> None:
    """Journal the passing of time while no event carries it, so that labels mature and sessions end; until cancelled."""
    while True:
        await clock.sleep(TICK_EVERY_S)
        now = clock.now()
        if engine.now == 0 or now - engine.now < TICK_EVERY_S * 1000.0:
            continue
        event = Event(id=f"tick-{now}", platform="frontrow", room="clock", kind="tick", at=now)
        await pipeline.put([event], feed="clock")
