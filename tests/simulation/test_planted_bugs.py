"""The simulation finds bugs: each test here plants one in a private subclass, and the invariant that it breaks says so.

Without these nobody could tell a simulation that asserts everything from one that asserts nothing.
"""

import asyncio
import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest

from frontrow.app.daemon import StoreJournal, StoreOutbox
from frontrow.app.observing import Observer
from frontrow.core.engine import Effects, Engine
from frontrow.core.events import RoomRef
from frontrow.core.frames import Frame
from frontrow.core.images import Image
from frontrow.core.ports import Attic
from frontrow.runtime.intake import Intake, Lane
from frontrow.runtime.outbox import OutboxRow, Outcome
from frontrow.runtime.pipeline import Applied, Pipeline
from frontrow.storage.aio import StoreThread
from frontrow.storage.store import Store
from tests.simulation.disk import Mounted
from tests.simulation.invariants import Violation
from tests.simulation.plan import Fault, Plan
from tests.simulation.simulation import Run
from tests.simulation.world import Parts, new_engine

pytestmark = pytest.mark.timeout(300)  # a rare moment takes up to a hundred seeds

SEEDS = 150  # a bug that so many seeds do not find is not found in time


class AcknowledgesTooEarly(StoreJournal):
    """Says that a frame is durable and then begins to store it."""

    def __init__(self, store: StoreThread, observer: Observer) -> None:
        super().__init__(store, observer)
        self._before: asyncio.Future[None] | None = None

    async def commit(self, frames: Sequence[Applied], at: int) -> None:
        before = self._before

        async def later() -> None:
            if before is not None:
                await before
            await asyncio.sleep(0.2)
            await StoreJournal.commit(self, frames, at)

        self._before = asyncio.ensure_future(later())


class StoresOtherTimes(StoreJournal):
    """Stores another time than was sent."""

    async def commit(self, frames: Sequence[Applied], at: int) -> None:
        await super().commit(
            [
                replace(each, frame=replace(each.frame, ats=[at + 1 for at in each.frame.ats]))
                for each in frames
            ],
            at,
        )


class ForgetsAlerts(StoreJournal):
    """Stores leads without their alerts."""

    async def commit(self, frames: Sequence[Applied], at: int) -> None:
        await super().commit([replace(frame, alerts=[]) for frame in frames], at)


class Breaks(StoreJournal):
    """Fails by a mistake of the programmer's."""

    async def commit(self, frames: Sequence[Applied], at: int) -> None:
        raise KeyError("a bug")


class ForgetsTheKey(StoreOutbox):
    """Sends each attempt under a key of its own."""

    async def due(self, sink: str, now: int, limit: int) -> list[OutboxRow]:
        return [replace(row, key=f"{row.key}:{row.attempts}") for row in await super().due(sink, now, limit)]


class ForgetsReceipts(StoreOutbox):
    """Does not keep the first receipt that a receiver gives."""

    _forgot = False

    async def delivered(self, ids: Sequence[int], at: int, receipt: str) -> None:
        if self._forgot:
            await super().delivered(ids, at, receipt)
        else:
            self._forgot = True
            await self.postpone(ids, at + 1_000, "")


class GivesUpSilently(StoreOutbox):
    """Never looks again at an alert that was tried once."""

    async def due(self, sink: str, now: int, limit: int) -> list[OutboxRow]:
        return [row for row in await super().due(sink, now, limit) if not row.attempts]


class LearnsAtFrameEnds(Engine):
    """Decides when to learn by where a frame ends."""

    def apply(self, frame: Frame) -> Effects:
        effects = super().apply(frame)
        self._learn(self.now)
        return effects


class ForgetsWhatItSaw(Engine):
    """Takes every event for a new one."""

    def apply(self, frame: Frame) -> Effects:
        self.seen = type(self.seen)(dedupe_ms=self.options.dedupe_ms)
        return super().apply(frame)


class TooManyPoints(Engine):
    """Gives more points than the cap."""

    def apply(self, frame: Frame) -> Effects:
        effects = super().apply(frame)
        effects.leads = [msgspec.structs.replace(lead, points=lead.points + 50) for lead in effects.leads]
        return effects


class Leaks(Engine):
    """Keeps something of every frame that it was ever given, duplicates too."""

    leaked = 0

    def apply(self, frame: Frame) -> Effects:
        self.leaked += 1
        return super().apply(frame)

    @property
    def rows(self) -> int:
        return super().rows + self.leaked


class ForgetsLabels(Engine):
    """Loses with every restart from a snapshot what waits for its outcome."""

    def load(self, images: Mapping[str, Image]) -> None:
        super().load(images)
        self.labels = Engine(self.options, self.policy, self.model).labels
        self.labels.grow(self.viewers.capacity)


class TellsBeforeItStores(Pipeline):
    """Shows on panels what is not durable yet."""

    def _apply(self, frame: Frame, seen_ats: Sequence[int]) -> Applied:
        applied = super()._apply(frame, seen_ats)
        self._on_durable([applied])
        return applied


class TakesEverything(Intake):
    """Has no bound."""

    def _fits(self, lane: Lane, events: int, size: int) -> bool:
        return True


class CountsNoDuplicates(Observer):
    """Leaves a storm of duplicates out of the metrics."""

    def duplicates(self, frame: Frame) -> None: ...


class CountsNoClockSteps(Observer):
    """Lets a clock be set without a word."""

    def clock_stepped(self, seconds: float) -> None: ...


class CountsNoGarbage(Observer):
    """Throws away what it cannot read."""

    def rejected(self, feed: str, room: RoomRef, reason: str) -> None: ...


class CountsNoTrouble(Observer):
    """Tells of alerts that were delivered, and of no others."""

    def outcome(self, sink: str, outcome: Outcome, alerts: int) -> None:
        if outcome is Outcome.DELIVERED:
            super().outcome(sink, outcome, alerts)


def _of(kind: type[Engine]) -> Any:
    def make(plan: Plan, attic: Attic) -> Engine:
        usual = new_engine(plan, attic)
        return kind(usual.options, usual.policy, usual.model, attic=attic)

    return make


@dataclass(frozen=True)
class Bug:
    """A planted bug: what is exchanged, the faults under which it shows, and what the invariant says."""

    parts: Parts
    faults: frozenset[Fault]
    says: str
    changes: dict[str, Any] = dataclasses.field(default_factory=dict)
    lying_disk: float = 0.0


def _bug(parts: Parts, says: str, *faults: Fault, lying_disk: float = 0.0, **changes: Any) -> Bug:
    return Bug(parts, frozenset(faults), says, changes, lying_disk)


async def _opened_unsettled(mounted: Mounted) -> StoreThread:
    return StoreThread(await asyncio.to_thread(Store.open, mounted.path, vfs=mounted.name))


KILLS = (Fault.KILL_STEP, Fault.KILL_WRITE)
BUGS = {
    "acknowledges before the commit": _bug(
        Parts(journal=AcknowledgesTooEarly), "every acknowledged event is in the journal", *KILLS
    ),
    "a disk that lies about one sync in five": _bug(
        Parts(), "every acknowledged event is in the journal", *KILLS, Fault.POWER, lying_disk=0.2
    ),
    "goes on behind a failed fsync": _bug(
        Parts(open_store=_opened_unsettled),
        "every acknowledged event is in the journal|can be read again",
        Fault.SYNC_ERROR,
        Fault.KILL_STEP,
        Fault.POWER,
        crashes=4,
        formatted=True,
    ),
    "stores another time than was sent": _bug(
        Parts(journal=StoresOtherTimes), "the journal holds what was sent"
    ),
    "stores duplicates": _bug(
        Parts(engine=_of(ForgetsWhatItSaw)), "every event is in the journal once", Fault.DUPLICATES
    ),
    "decides by where a frame ends": _bug(
        Parts(engine=_of(LearnsAtFrameEnds)), "gives the same", frame_events=3
    ),
    "loses alerts": _bug(Parts(journal=ForgetsAlerts), "alerts"),
    "sends under a new key each time": _bug(
        Parts(outbox=ForgetsTheKey), "a sink hears of a lead under one key", Fault.SINK_BUSY, Fault.SINK_LOSES
    ),
    "forgets receipts": _bug(Parts(outbox=ForgetsReceipts), "no sink hears"),
    "gives up silently": _bug(
        Parts(outbox=GivesUpSilently), "everything gets done", Fault.SINK_BUSY, Fault.SINK_HANGS
    ),
    "shows leads before they are durable": _bug(
        Parts(pipeline=TellsBeforeItStores),
        "a panel hears of a lead only after it is durable",
        Fault.SLOW_DISK,
        panel=True,
    ),
    "gives too many points": _bug(Parts(engine=_of(TooManyPoints)), "points lie between 0 and the cap"),
    "has no bound on its queue": _bug(
        Parts(intake=TakesEverything),
        "the intake's queue is bounded",
        Fault.SLOW_DISK,
        queue_events=2,
        batch_events=2,
        bursts=3,
    ),
    "restarts from half a snapshot": _bug(
        Parts(engine=_of(ForgetsLabels)), "gives the same", Fault.KILL_STEP, Fault.TERM, snapshot_every_s=2.0
    ),
    "leaks": _bug(Parts(engine=_of(Leaks)), "memory is bounded", Fault.DUPLICATES),
    "hides duplicates": _bug(Parts(observer=CountsNoDuplicates), "every fault is visible", Fault.DUPLICATES),
    "hides garbage": _bug(
        Parts(observer=CountsNoGarbage), "every fault is visible. garbage", Fault.GARBAGE, Fault.KILL_STEP
    ),
    "hides that a sink is silent": _bug(
        Parts(observer=CountsNoTrouble),
        "every fault is visible. sink does not answer",
        Fault.SINK_HANGS,
        Fault.KILL_STEP,
    ),
    "hides that the clock was set": _bug(
        Parts(observer=CountsNoClockSteps), "every fault is visible. clock step", Fault.CLOCK
    ),
    "fails by a mistake": _bug(Parts(journal=Breaks), "the daemon ends by errors it knows"),
}


@pytest.mark.parametrize("name", BUGS)
def test_the_simulation_finds(name: str) -> None:
    bug = BUGS[name]
    others: list[str] = []
    for seed in range(SEEDS):
        plan = replace(Plan.of(seed), faults=bug.faults, **{"crashes": 2, **bug.changes})
        try:
            Run(plan, parts=bug.parts, lying_disk=bug.lying_disk, patience_s=200.0).execute()
        except Violation as violation:
            if re.search(bug.says, str(violation)):
                return
            others.append(str(violation)[:200])
    pytest.fail(f"{SEEDS} seeds did not find it; what they found: {others[:3]}")
