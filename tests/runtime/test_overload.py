"""Three times what can be stored, for five minutes: the queue keeps its bound, and what matters most arrives in time.

The clock is moved by hand and the disk is a journal that takes so long per event, so the figures are exact and the
same everywhere; the real process under the same load is ``tests/benchmarks/bench_overload.py``.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from frontrow.core.events import Event
from frontrow.core.facts import derive
from frontrow.core.frames import Frame
from frontrow.core.leads import Lead
from frontrow.core.preparing import Preparer
from frontrow.runtime.intake import Intake, QueueFull
from frontrow.runtime.people import People
from frontrow.runtime.pipeline import MAX_FRAMES_PER_COMMIT, Applied, Pipeline
from tests.support.clock import ManualClock, settle
from tests.support.rooms import ROOM, START, engine, event, lexicon

STORED_PER_S = 100  # by the journal below
SECONDS = 300
EVERY_S = 0.1
FRAME = 8
QUEUE = 200
# One lane may hold half of the queue, which is stored in a second; before that the commit that is being written, and
# behind that the one that it goes into.
LONGEST_S = QUEUE / 2 / STORED_PER_S + 2 * FRAME * MAX_FRAMES_PER_COMMIT / STORED_PER_S


@dataclass
class SlowJournal:
    """Takes its time for every event, and remembers how long each had waited when it was durable."""

    clock: ManualClock
    sent: dict[str, float]
    stored: Counter[str] = field(default_factory=Counter)
    waited: dict[str, float] = field(default_factory=dict)

    async def commit(self, frames: Sequence[Applied], at: int) -> None:
        await self.clock.sleep(sum(len(applied.frame) for applied in frames) / STORED_PER_S)
        for applied in frames:
            self.stored.update(applied.frame.kinds)
            for id in applied.frame.ids:
                self.waited[id] = self.clock.monotonic() - self.sent[id]


@dataclass
class Counts:
    """Observes the intake and the pipeline."""

    merges: Counter[str] = field(default_factory=Counter)
    drops: Counter[str] = field(default_factory=Counter)

    def merged(self, event: Event) -> None:
        self.merges[event.kind] += 1

    def dropped(self, event: Event, events: int) -> None:
        self.drops[event.kind] += events

    def accepted(self, frame: Frame) -> None: ...
    def duplicates(self, frame: Frame) -> None: ...
    def lead(self, room: str, lead: Lead) -> None: ...
    def scored(self, seconds: float) -> None: ...
    def committed(self, seconds: float) -> None: ...
    def acknowledged(self, seconds: Sequence[float]) -> None: ...


class Platform:
    """Sends a busy room's mix, three times as much as is stored, and never waits."""

    def __init__(self) -> None:
        self._rng = random.Random(7)
        self._number = 0
        self.sent: Counter[str] = Counter()

    def batch(self) -> list[Event]:
        return [self._event() for _ in range(int(3 * STORED_PER_S * EVERY_S))]

    def _event(self) -> Event:
        self._number += 1
        draw = self._rng.random()
        viewer = f"v{self._rng.randrange(400)}"
        id = f"e{self._number}"
        if draw < 0.50:
            made = event("like", viewer=viewer, id=id, count=self._rng.randrange(1, 9))
        elif draw < 0.66:
            made = event("enter", viewer=viewer, id=id)
        elif draw < 0.90:
            made = event("comment", viewer=viewer, id=id, text="哈哈哈 真好看")
        elif draw < 0.96:
            made = event("comment", viewer=viewer, id=f"q{self._number}", text="这款多少钱")
        else:
            made = event(
                self._rng.choice(("order_paid", "form_submit", "product_click")), viewer=viewer, id=id
            )
        self.sent[made.kind] += 1
        return made


async def test_three_times_what_can_be_stored_for_five_minutes() -> None:
    clock, counts, sent = ManualClock(START), Counts(), dict[str, float]()
    journal, platform = SlowJournal(clock, sent), Platform()
    intake = Intake(
        clock=clock,
        observer=counts,
        telling=lambda event: derive(event, lexicon()) != 0,
        queue_events=QUEUE,
    )
    pipeline = Pipeline(
        intake=intake,
        engine=engine(),
        journal=journal,
        people=People(),
        clock=clock,
        rooms={(ROOM.platform, ROOM.room): ROOM},
        preparer=Preparer({}, lexicon(), "CN"),
        routes=(),
        observer=counts,
        on_durable=lambda _frames: None,
        frame_events=FRAME,
    )
    running = asyncio.ensure_future(pipeline.run())
    most_queued = refused = 0
    patient: list[str] = []
    for step in range(int(SECONDS / EVERY_S)):
        batch = platform.batch()
        sent.update((each.id, clock.monotonic()) for each in batch)
        intake.offer(batch, feed="platform")
        # Beside it, a shop system that can wait; it has one order a second, in another room.
        if step % 10 == 0:
            order = event("order_paid", viewer="w", id=f"shop-{step}", room="r2")
            sent[order.id] = clock.monotonic()
            try:
                intake.put_nowait([order], feed="shop")
                patient.append(order.id)
            except QueueFull:
                refused += 1
        most_queued = max(most_queued, intake.queued)
        await clock.advance(EVERY_S)
    intake.close()
    while not running.done():
        await clock.advance(1.0)
        await settle()
    await running

    assert most_queued <= QUEUE
    assert refused == 0
    vital = ("order_paid", "form_submit", "product_click")
    assert {kind: journal.stored[kind] for kind in vital} == {
        kind: platform.sent[kind] + (len(patient) if kind == "order_paid" else 0) for kind in vital
    }
    questions = [id for id in sent if id.startswith("q")]
    assert all(id in journal.waited for id in questions)
    assert set(counts.drops) <= {"like", "enter", "comment"}
    assert counts.drops["comment"] > 0  # it was too much even without a single like
    assert journal.stored["comment"] + counts.drops["comment"] == platform.sent["comment"]
    for kind in ("like", "enter"):  # what was merged and then dropped is told twice
        told = journal.stored[kind] + counts.merges[kind] + counts.drops[kind]
        assert platform.sent[kind] <= told <= platform.sent[kind] + counts.merges[kind]
    assert max(journal.waited.values()) <= LONGEST_S
    assert max(journal.waited[id] for id in patient) <= 3 * FRAME * MAX_FRAMES_PER_COMMIT / STORED_PER_S
