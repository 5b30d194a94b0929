"""The one path from a feed to the journal: intake → frame → facts → engine → commit → acknowledge → tell.

One task owns the engine. While a commit is on its way to the disk (in the store's thread) arrivals gather, and the
next commit takes them together; nothing is acknowledged, and no panel or sink hears of anything, before its frame is
durable. What waits meanwhile, and how much of it may, is :mod:`frontrow.runtime.intake`'s.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from frontrow.core.alerts import LeadAlert
from frontrow.core.contact import mask_name, mask_numbers
from frontrow.core.engine import MARK_MS, Effects, Engine
from frontrow.core.events import Event, RoomRef
from frontrow.core.frames import Frame
from frontrow.core.leads import Lead
from frontrow.core.ports import Clock
from frontrow.core.preparing import Preparer
from frontrow.runtime.intake import Intake, QueueFull, Taken
from frontrow.runtime.people import People

MAX_FRAMES_PER_COMMIT = 8
TICK_EVERY_S = 5.0  # how often time is journalled while no event carries it
HURRY_S = 0.5  # and how soon, when an outcome was heard of that is learnt at the next mark


@dataclass(frozen=True, slots=True)
class Applied:
    """One frame after the engine: what goes to the store, and what is told once it is there."""

    frame: Frame  # of events that were not known already
    effects: Effects
    alerts: Sequence[tuple[str, LeadAlert]]  # (sink, alert)
    arrived_at: int  # of the frame's oldest event, UTC ms
    duplicates: Mapping[tuple[str, str], int] = field(default_factory=dict)  # by (platform, room)


class Journal(Protocol):
    """Where applied frames become durable."""

    async def commit(self, frames: Sequence[Applied], at: int) -> None:
        """Store all frames in one transaction; return when they are on the disk. An error ends the daemon."""


class Observer(Protocol):
    """Who counts. No call may raise or wait."""

    def accepted(self, frame: Frame) -> None: ...
    def duplicates(self, frame: Frame) -> None: ...
    def lead(self, room: str, lead: Lead) -> None: ...
    def scored(self, seconds: float) -> None: ...
    def committed(self, seconds: float) -> None: ...
    def acknowledged(self, seconds: Sequence[float]) -> None: ...


@dataclass(frozen=True, slots=True)
class Route:
    """Which sink hears of a room's leads: ``rooms`` are configured ids, empty: all."""

    sink: str
    rooms: frozenset[str]


class Pipeline:
    """``run`` owns the engine from start to end."""

    def __init__(
        self,
        *,
        intake: Intake,
        engine: Engine,
        journal: Journal,
        people: People,
        clock: Clock,
        rooms: Mapping[tuple[str, str], RoomRef],
        preparer: Preparer,
        routes: Sequence[Route],
        observer: Observer,
        on_durable: Callable[[Sequence[Applied]], None],
        between: Callable[[], None] = lambda: None,
        frame_events: int = 1024,
        frame_s: float = 0.02,
    ) -> None:
        """Make a pipeline. ``on_durable`` hears of frames that are on the disk. ``between`` is called after it, when
        everything that the engine has applied is durable and nothing is being applied: for images of the engine."""
        self._intake = intake
        self._engine = engine
        self._journal = journal
        self._people = people
        self._clock = clock
        self._rooms = rooms
        self._preparer = preparer
        self._routes = routes
        self._observer = observer
        self._on_durable = on_durable
        self._between = between
        self._frame_events = frame_events
        self._frame_s = frame_s
        self._settled = True

    @property
    def settled(self) -> bool:
        """Whether all that the engine has applied is durable: only then may anybody be shown what the engine holds."""
        return self._settled

    async def run(self) -> None:
        """Apply and store until the intake is closed and empty.

        Raises:
            Exception: The journal could not store. Nothing unstored was acknowledged; the daemon must end.
        """
        intake = self._intake
        try:
            while True:
                await intake.arrival()
                if not intake.queued:
                    return  # closed
                if intake.queued < self._frame_events and not intake.closed:
                    await self._clock.sleep(self._frame_s)
                await self._step()
        except BaseException:
            intake.fail()
            raise

    async def _step(self) -> None:
        began = self._clock.monotonic()
        most = self._frame_events * MAX_FRAMES_PER_COMMIT
        taken = self._intake.take(most)
        self._settled = False
        try:
            frames, duplicates = await self._apply_all(taken)
            await self._store([applied for applied in frames if len(applied.frame)])
        except BaseException:
            taken.refuse()
            raise
        self._settled = True
        now = self._clock.monotonic()
        # Small commits tell how long a commit takes, and nothing of how many events could be stored.
        if len(taken) * 2 >= most:
            self._intake.served(len(taken), now - began)
        taken.acknowledge(duplicates)
        self._observer.acknowledged([now - entry.arrived for entry, _ in taken.parts])
        self._on_durable(frames)
        self._between()

    async def _apply_all(self, taken: Taken) -> tuple[list[Applied], list[int]]:
        """Return what came of each frame, and the positions of all duplicates among what was taken."""
        frames: list[Applied] = []
        duplicates: list[int] = []
        start = 0
        for frame in Frame.cut(taken.frames(), self._frame_events):
            applied = self._apply(frame, taken.seen_ats[start : start + len(frame)])
            frames.append(applied)
            duplicates += [start + position for position in applied.effects.duplicates]
            start += len(frame)
            # A frame takes milliseconds; let sockets and panels have the loop in between.
            await asyncio.sleep(0)
        return frames, duplicates

    async def _store(self, frames: Sequence[Applied]) -> None:
        if not frames:
            return
        began = self._clock.monotonic()
        await self._journal.commit(frames, self._clock.now())
        self._observer.committed(self._clock.monotonic() - began)

    def _apply(self, frame: Frame, seen_ats: Sequence[int]) -> Applied:
        began = self._clock.monotonic()
        frame.seen_ats = seen_ats  # when it came here, whatever the sender says
        self._preparer.prepare(frame)
        effects = self._engine.apply(frame)
        alerts = self._alerts(effects)
        self._people.note(effects.kept, effects.rows)
        self._people.free(effects.freed)
        self._observer.scored(self._clock.monotonic() - began)
        if len(effects.kept):
            self._observer.accepted(effects.kept)
        duplicates: Mapping[tuple[str, str], int] = {}
        if effects.duplicates:
            again = frame.take(effects.duplicates)
            self._observer.duplicates(again)
            duplicates = Counter(zip(again.platforms, again.rooms, strict=True))
        for lead in effects.leads:
            self._observer.lead(self._room_id(lead.platform, lead.room), lead)
        return Applied(effects.kept, effects, alerts, min(seen_ats), duplicates)

    def _alerts(self, effects: Effects) -> list[tuple[str, LeadAlert]]:
        """Return what sinks are told: with the names and words of the moment of each lead, wherever the frame ends."""
        if not effects.leads or not self._routes:
            return []
        told = People()
        noted = 0
        found: list[tuple[str, LeadAlert]] = []
        for lead, row, position in zip(effects.leads, effects.lead_rows, effects.lead_positions, strict=True):
            if position >= noted:
                told.note(effects.kept.part(noted, position + 1), effects.rows[noted : position + 1])
                noted = position + 1
            alert = self._alert(
                lead, told.name(row) or self._people.name(row), told.words(row) or self._people.words(row)
            )
            found += [
                (route.sink, alert)
                for route in self._routes
                if not route.rooms or alert.room_id in route.rooms
            ]
        return found

    def _alert(self, lead: Lead, name: str | None, words: str | None) -> LeadAlert:
        room = self._rooms.get((lead.platform, lead.room))
        return LeadAlert(
            lead=lead.lead,
            platform=lead.platform,
            room=lead.room,
            room_id=room.id if room else lead.room,
            room_title=room.title if room else "",
            session=lead.session,
            viewer=lead.viewer,
            name=mask_name(mask_numbers(name or lead.viewer)),
            grade=lead.grade,
            points=lead.points,
            probability=lead.probability,
            reasons=[reason for reason in lead.reasons if reason.kind == "rule"],
            decided_at=lead.decided_at,
            product=None if lead.product is None else mask_numbers(lead.product),
            words=None if words is None else mask_numbers(words),
            extra=None if lead.propensity is None else {"propensity": lead.propensity},
        )

    def _room_id(self, platform: str, room: str) -> str:
        known = self._rooms.get((platform, room))
        return known.id if known else room


async def tick(
    intake: Intake, engine: Engine, clock: Clock, due: Callable[[], int | None] = lambda: None
) -> None:
    """Journal the passing of time while no event carries it; until cancelled, or until the intake takes nothing more.

    So labels mature and sessions end, and what was just bought is learnt within a second also in a quiet room.
    ``due`` is when something is to happen (UTC ms) that waits for time to pass, or None.
    """
    while True:
        await clock.sleep(HURRY_S)
        now = clock.now()
        passed = now // MARK_MS > engine.now // MARK_MS
        next_due = due()
        hurried = passed and (engine.labels.urgent or (next_due is not None and engine.now < next_due <= now))
        if engine.now == 0 or not (hurried or now - engine.now >= TICK_EVERY_S * 1000.0):
            continue
        event = Event(id=f"tick-{now}", platform="frontrow", room="clock", kind="tick", at=now)
        try:
            await intake.put([event], feed="clock")
        except QueueFull:
            return  # the daemon ends, and the pipeline says why
