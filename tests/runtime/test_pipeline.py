"""From queue to journal: nothing is acknowledged or told before it is durable, and the queue is bounded."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from frontrow.core.engine import Engine
from frontrow.core.events import Event
from frontrow.core.frames import Frame
from frontrow.core.leads import Lead
from frontrow.core.ports import Receipt
from frontrow.core.preparing import Preparer
from frontrow.runtime.intake import Intake, NotStored, QueueFull
from frontrow.runtime.people import People
from frontrow.runtime.pipeline import TICK_EVERY_S, Applied, Pipeline, Route, tick
from frontrow_models.learner import Learner
from frontrow_models.online import ModelOptions
from tests.support.clock import ManualClock, settle
from tests.support.rooms import ROOM, START, engine, event, lexicon


@dataclass
class HeldJournal:
    """Stores when the test says so; the order of what happened is in ``story``."""

    story: list[str]
    hold: bool = False
    broken: bool = False
    commits: list[Sequence[Applied]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def commit(self, frames: Sequence[Applied], at: int) -> None:
        if self.hold:
            await self.gate.wait()
        if self.broken:
            raise OSError(28, "No space left on device")
        self.commits.append(frames)
        self.story.append("durable")

    @property
    def events(self) -> list[Event]:
        return [each for frames in self.commits for frame in frames for each in frame.frame.events()]


class Counts:
    """An observer that counts."""

    def __init__(self) -> None:
        self.accepted_events = 0
        self.duplicate_events = 0
        self.leads: list[Lead] = []

    def accepted(self, frame: Frame) -> None:
        self.accepted_events += len(frame)

    def duplicates(self, frame: Frame) -> None:
        self.duplicate_events += len(frame)

    def lead(self, room: str, lead: Lead) -> None:
        self.leads.append(lead)

    def merged(self, event: Event) -> None: ...
    def dropped(self, event: Event, events: int) -> None: ...

    def scored(self, seconds: float) -> None: ...
    def committed(self, seconds: float) -> None: ...
    def acknowledged(self, seconds: Sequence[float]) -> None: ...


@dataclass
class Rig:
    """A pipeline with a clock to move and a journal to hold."""

    intake: Intake
    engine: Engine
    journal: HeldJournal
    clock: ManualClock
    counts: Counts
    story: list[str]
    task: "asyncio.Task[None]"

    async def frame(self) -> None:
        """Let one frame's time pass."""
        await settle()
        await self.clock.advance(0.05)


def make(
    story: list[str] | None = None,
    *,
    queue: int = 100,
    frame: int = 10,
    routes: Sequence[Route] = (),
    model: Learner | None = None,
) -> Rig:
    told = story if story is not None else []
    clock, journal, counts = ManualClock(START), HeldJournal(told), Counts()
    intake = Intake(clock=clock, observer=counts, telling=lambda _event: False, queue_events=queue)
    owned = engine(model=model)
    pipeline = Pipeline(
        intake=intake,
        engine=owned,
        journal=journal,
        people=People(),
        clock=clock,
        rooms={(ROOM.platform, ROOM.room): ROOM},
        preparer=Preparer({}, lexicon(), "CN"),
        routes=routes,
        observer=counts,
        on_durable=lambda _frames: told.append("told"),
        frame_events=frame,
    )
    return Rig(intake, owned, journal, clock, counts, told, asyncio.ensure_future(pipeline.run()))


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = make(routes=[Route("wecom", frozenset()), Route("elsewhere", frozenset({"other"}))])
    yield made
    made.task.cancel()
    await asyncio.gather(made.task, return_exceptions=True)


async def test_a_batch_is_acknowledged_after_it_is_durable_and_told_after_that(rig: Rig) -> None:
    rig.journal.hold = True
    done = asyncio.ensure_future(_wait(await rig.intake.put([event("like", 0)], feed="f")))
    done.add_done_callback(lambda _done: rig.story.append("acknowledged"))
    await rig.frame()
    assert rig.story == []
    rig.journal.gate.set()
    await settle()
    assert rig.story.index("durable") < rig.story.index("acknowledged")
    assert rig.story.index("durable") < rig.story.index("told")
    assert done.result() == Receipt(accepted=1, duplicates=0)


async def _wait(done: "object") -> Receipt:
    result: Receipt = await done  # type: ignore[misc]  # the port promises an awaitable
    return result


async def test_duplicates_are_counted_and_not_stored(rig: Rig) -> None:
    first = await rig.intake.put([event("like", 0, id="a"), event("like", 0, id="b")], feed="f")
    second = await rig.intake.put([event("like", 0, id="b")], feed="f")
    await rig.frame()
    assert (await first, await second) == (Receipt(2, 0), Receipt(0, 1))
    assert [each.id for each in rig.journal.events] == ["a", "b"]
    assert rig.counts.duplicate_events == 1


async def test_a_batch_of_duplicates_alone_is_acknowledged_without_a_commit(rig: Rig) -> None:
    await rig.intake.put([event("like", 0, id="a")], feed="f")
    await rig.frame()
    again = await rig.intake.put([event("like", 0, id="a")], feed="f")
    await rig.frame()
    assert await again == Receipt(0, 1)
    assert len(rig.journal.commits) == 1


async def test_arrivals_during_a_commit_go_into_the_next_together(rig: Rig) -> None:
    rig.journal.hold = True
    await rig.intake.put([event("like", 0)], feed="f")
    await rig.frame()
    for second in range(1, 6):
        await rig.intake.put([event("like", second)], feed="f")
    rig.journal.gate.set()
    await rig.frame()
    assert [[len(frame.frame) for frame in frames] for frames in rig.journal.commits] == [[1], [5]]


async def test_a_large_batch_is_cut_into_frames_in_one_commit(rig: Rig) -> None:
    done = await rig.intake.put([event("like", second) for second in range(25)], feed="f")
    await rig.frame()
    assert await done == Receipt(25, 0)
    assert [[len(frame.frame) for frame in frames] for frames in rig.journal.commits] == [[10, 10, 5]]


async def test_a_full_queue_makes_put_wait_and_put_nowait_refuse() -> None:
    rig = make(queue=10)
    rig.journal.hold = True
    await rig.intake.put([event("like", 0)], feed="f")
    await rig.frame()  # taken, and held in the commit
    await rig.intake.put([event("like", second) for second in range(1, 11)], feed="f")
    waiting = asyncio.ensure_future(rig.intake.put([event("like", 99)], feed="f"))
    await settle()
    assert not waiting.done()
    with pytest.raises(QueueFull):
        rig.intake.put_nowait([event("like", 100)], feed="f")
    rig.journal.hold = False
    rig.journal.gate.set()
    await rig.frame()
    await waiting
    rig.intake.close()
    await rig.frame()
    await rig.task
    assert len(rig.journal.events) == 12


async def test_closing_stores_what_was_taken_and_takes_no_more(rig: Rig) -> None:
    done = await rig.intake.put([event("like", 0)], feed="f")
    rig.intake.close()
    await settle()
    assert await done == Receipt(1, 0)
    await rig.task
    with pytest.raises(QueueFull):
        rig.intake.put_nowait([event("like", 1)], feed="f")


async def test_a_journal_that_cannot_store_ends_the_pipeline_and_acknowledges_nothing() -> None:
    rig = make()
    rig.journal.broken = True
    done = await rig.intake.put([event("like", 0)], feed="f")
    await rig.frame()
    with pytest.raises(OSError, match="No space left"):
        await rig.task
    with pytest.raises(NotStored):
        await done
    assert rig.story == []


async def test_a_lead_is_alerted_to_the_sinks_of_its_room_masked(rig: Rig) -> None:
    await rig.intake.put(
        [
            event("comment", 0, text="多少钱 打我电话13800138000", name="小丑鱼"),
            event("form_submit", 1, fields={}),
            event("product_click", 2, product="p"),
        ],
        feed="f",
    )
    await rig.frame()
    [frame] = rig.journal.commits[0]
    [(sink, alert)] = frame.alerts
    assert (sink, alert.room_id, alert.points, alert.probability) == ("wecom", "demo", 85, None)
    assert alert.name != "小丑鱼"
    assert alert.words is not None
    assert "13800138000" not in alert.words
    assert [lead.lead for lead in rig.counts.leads] == [alert.lead]


async def test_a_number_without_consent_is_not_kept(rig: Rig) -> None:
    """It counts, but only masked words go to the disk."""
    await rig.intake.put(
        [
            event("comment", 0, text="我的电话 138 0013 8000"),
            event("form_submit", 1, fields={"phone": "13800138000"}),
            event("form_submit", 2, viewer="v2", fields={"phone": "13800138000"}, consent=True),
        ],
        feed="f",
    )
    await rig.frame()
    comment, refused, consented = rig.journal.events
    assert comment.text is not None
    assert comment.text.startswith("我的电话")
    assert "8000" not in comment.text
    assert refused.fields is not None
    assert refused.fields["phone"] != "13800138000"
    assert consented.fields == {"phone": "13800138000"}


async def test_a_platforms_own_fields_are_kept_without_numbers_and_with_their_ids(rig: Rig) -> None:
    extra = {
        "msg": "7200000000000000000",
        "note": "call 138 0013 8000",
        "telphone": "010-1234",
        "deep": [{"n": 13800138000}],
    }
    await rig.intake.put([event("like", 0, extra=extra)], feed="f")
    await rig.frame()
    assert rig.journal.events[0].extra == {
        "msg": "7200000000000000000",
        "note": "call ***",
        "telphone": "***",
        "deep": [{"n": "***"}],
    }


async def test_arrival_is_stamped_whatever_the_sender_says(rig: Rig) -> None:
    await rig.intake.put([event("like", 0, seen_at=START + 10**9)], feed="f")
    await rig.frame()
    assert rig.journal.events[0].seen_at == START


async def test_time_is_journalled_while_no_event_carries_it() -> None:
    rig = make()
    await rig.intake.put([event("like", 0)], feed="f")
    await rig.frame()
    ticking = asyncio.ensure_future(tick(rig.intake, rig.engine, rig.clock))
    await rig.clock.advance(3 * TICK_EVERY_S + 1)
    await rig.frame()
    assert [each.kind for each in rig.journal.events] == ["like", "tick", "tick", "tick"]
    for task in (ticking, rig.task):
        task.cancel()
    await asyncio.gather(ticking, rig.task, return_exceptions=True)


@pytest.mark.parametrize("queue", [1, 100], ids=["waiting for room", "asleep"])
async def test_ticks_end_without_an_error_of_their_own_when_nothing_can_be_stored(queue: int) -> None:
    """Beside the journal's error theirs would say nothing, and hide from the operator what is to be done."""
    rig = make(queue=queue)
    rig.journal.hold = True
    await rig.intake.put([event("like", 0)], feed="f")
    await rig.frame()  # taken, and held in the commit
    await rig.intake.put([event("like", 1)], feed="f")
    ticking = asyncio.ensure_future(tick(rig.intake, rig.engine, rig.clock))
    await rig.clock.advance((TICK_EVERY_S + 1.0) if queue == 1 else 0.0)
    assert not ticking.done()
    rig.journal.broken = True
    rig.journal.gate.set()
    await rig.clock.advance(TICK_EVERY_S + 1.0)
    with pytest.raises(OSError, match="No space left"):
        await rig.task
    assert ticking.done()
    await ticking


async def test_an_outcome_is_learnt_within_a_second_though_nothing_else_happens() -> None:
    model = Learner(ModelOptions(warm_up=2), window_ms=120_000)
    rig = make(model=model)
    ticking = asyncio.ensure_future(tick(rig.intake, rig.engine, rig.clock))
    await rig.intake.put([event("product_click", 0, viewer=viewer) for viewer in ("a", "b")], feed="f")
    await rig.frame()
    await rig.clock.advance(1.0)
    assert model.labels == 0
    await rig.intake.put([event("order_paid", 1, viewer="a")], feed="f")
    await rig.clock.advance(0.9)
    assert (model.labels, model.positives) == (1, 1)
    assert (model.final, model.final_positives) == (0, 0)  # it may still be taken back
    await rig.clock.advance(1.0)
    assert [each.kind for each in rig.journal.events[2:]] == ["order_paid", "tick"]
    for task in (ticking, rig.task):
        task.cancel()
    await asyncio.gather(ticking, rig.task, return_exceptions=True)
