"""What misbehaves hurts nobody else: a sink, a panel, a room, a feed.

Each test has somebody who misbehaves and somebody who does not, moves the clock, and compares what the second one gets
with what it gets when alone.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson
import pytest

from frontrow.core.alerts import Delivery
from frontrow.core.engine import Engine
from frontrow.core.events import Event, RoomRef
from frontrow.core.frames import Frame
from frontrow.core.leads import Lead
from frontrow.core.preparing import Preparer
from frontrow.runtime.intake import Intake, QueueFull
from frontrow.runtime.outbox import OutboxPolicy, OutboxWorker
from frontrow.runtime.panel import SUBSCRIBER_QUEUE, Lagged, Panels, Subscription
from frontrow.runtime.people import People
from frontrow.runtime.pipeline import MAX_FRAMES_PER_COMMIT, Applied, Pipeline, Route
from tests.support.clock import ManualClock, settle
from tests.support.outbox import FakeOutboxStore, RecordingObserver
from tests.support.rooms import ROOM, START, engine, event, lexicon

OTHER = RoomRef(id="other", platform="test", room="r2")
PER_EVENT_S = 0.001
FRAME = 64
COMMIT_S = FRAME * MAX_FRAMES_PER_COMMIT * PER_EVENT_S  # the largest


class Silent:
    """Observes everything and says nothing."""

    def accepted(self, frame: Frame) -> None: ...
    def duplicates(self, frame: Frame) -> None: ...
    def lead(self, room: str, lead: Lead) -> None: ...
    def scored(self, seconds: float) -> None: ...
    def committed(self, seconds: float) -> None: ...
    def acknowledged(self, seconds: Sequence[float]) -> None: ...
    def merged(self, event: Event) -> None: ...
    def dropped(self, event: Event, events: int) -> None: ...


class HangingSink:
    """Takes a message and never says that it has."""

    async def deliver(self, deliveries: Sequence[Delivery]) -> None:
        await asyncio.get_running_loop().create_future()

    async def close(self) -> None: ...


@dataclass
class PromptSink:
    """Says at once that it has what it is sent; remembers when."""

    clock: ManualClock
    told: list[tuple[str, float]] = field(default_factory=list)

    async def deliver(self, deliveries: Sequence[Delivery]) -> None:
        self.told += [(delivery.alert.viewer, self.clock.monotonic()) for delivery in deliveries]

    async def close(self) -> None: ...


@dataclass
class House:
    """A daemon without sockets: intake, pipeline, panels, and an outbox worker for each sink."""

    clock: ManualClock
    engine: Engine
    intake: Intake
    panels: Panels
    outbox: FakeOutboxStore
    workers: list[OutboxWorker]
    tasks: "list[asyncio.Task[None]]"
    durable_at: dict[str, float] = field(default_factory=dict)

    async def commit(self, frames: Sequence[Applied], at: int) -> None:
        """A disk that takes its time for every event."""
        await self.clock.sleep(sum(len(applied.frame) for applied in frames) * PER_EVENT_S)
        for applied in frames:
            self.durable_at.update(dict.fromkeys(applied.frame.ids, self.clock.monotonic()))
            for sink, alert in applied.alerts:
                self.outbox.add(sink, alert, at)

    def durable(self, frames: Sequence[Applied]) -> None:
        self.panels.durable(frames)
        for worker in self.workers:
            worker.notify()

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def house(
    sinks: dict[str, HangingSink | PromptSink] | None = None, *, clock: ManualClock | None = None
) -> House:
    clock = clock or ManualClock(START)
    owned, people, store = engine(), People(), FakeOutboxStore()
    intake = Intake(clock=clock, observer=Silent(), telling=lambda _event: False, queue_events=4_096)
    panels = Panels(
        engine=owned,
        people=people,
        clock=clock,
        rooms=[ROOM, OTHER],
        rows=50,
        feeds=lambda _room: (),
        dropped=lambda _room: 0,
    )
    workers = [
        OutboxWorker(
            store,
            sink,
            name,
            OutboxPolicy(deliver_timeout_s=10.0),
            clock=clock,
            rng=random.Random(7),
            observer=RecordingObserver(),
        )
        for name, sink in (sinks or {}).items()
    ]
    made = House(clock, owned, intake, panels, store, workers, [])
    pipeline = Pipeline(
        intake=intake,
        engine=owned,
        journal=made,
        people=people,
        clock=clock,
        rooms={(room.platform, room.room): room for room in (ROOM, OTHER)},
        preparer=Preparer({}, lexicon(), "CN"),
        routes=[Route(name, frozenset()) for name in sinks or {}],
        observer=Silent(),
        on_durable=made.durable,
        frame_events=FRAME,
    )
    made.tasks += [asyncio.ensure_future(each) for each in (pipeline.run(), panels.run())]
    made.tasks += [asyncio.ensure_future(worker.run()) for worker in workers]
    return made


def hot(viewer: str, room: RoomRef = OTHER) -> list[Event]:
    """What makes a viewer hot."""
    kinds = ("comment", "form_submit", "product_click")
    return [
        event(
            kind, n, viewer=viewer, id=f"{viewer}-{kind}", room=room.room, text="多少钱" if n == 0 else None
        )
        for n, kind in enumerate(kinds)
    ]


async def test_a_sink_that_hangs_delays_no_other_and_no_event() -> None:
    clock = ManualClock(START)
    prompt = PromptSink(clock)
    under_test = house({"hangs": HangingSink(), "prompt": prompt}, clock=clock)
    began = clock.monotonic()
    for n in range(20):
        under_test.intake.put_nowait(hot(f"w{n}"), feed="f")
        await clock.advance(1.0)
    await under_test.end()
    assert [viewer for viewer, _ in prompt.told] == [f"w{n}" for n in range(20)]
    assert all(at - (began + n) < 0.1 for n, (_, at) in enumerate(prompt.told))
    assert all(at - (began + int(id[1:].split("-")[0])) < 0.1 for id, at in under_test.durable_at.items())


async def test_a_panel_that_does_not_read_is_cut_off_and_the_others_see_everything() -> None:
    under_test = house()
    deaf = under_test.panels.subscribe(OTHER.id, None)
    reader = under_test.panels.subscribe(OTHER.id, None)
    seen: list[tuple[str, float]] = []
    reading = asyncio.ensure_future(_read(reader, under_test.clock, seen))
    began = under_test.clock.monotonic()
    rounds = SUBSCRIBER_QUEUE + 20
    for n in range(rounds):
        under_test.intake.put_nowait(hot(f"w{n}"), feed="f")
        await under_test.clock.advance(1.0)
    messages = deaf.messages()
    for _ in range(SUBSCRIBER_QUEUE):
        await anext(messages)
    with pytest.raises(Lagged):
        await anext(messages)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await under_test.end()
    first_seen: dict[str, float] = {}
    for viewer, at in seen:
        first_seen.setdefault(viewer, at)
    assert set(first_seen) >= {f"w{n}" for n in range(50)}  # the panel has fifty rows
    assert all(at - (began + int(viewer[1:])) < 0.25 for viewer, at in first_seen.items())


async def _read(panel: Subscription, clock: ManualClock, seen: list[tuple[str, float]]) -> None:
    async for message in panel.messages():
        now = clock.monotonic()
        seen += [(row["viewer"], now) for row in orjson.loads(message).get("viewers", ())]


async def test_a_room_that_floods_over_http_is_refused_alone() -> None:
    under_test = house()
    refused = 0
    sent_at: dict[str, float] = {}
    for step in range(200):
        for batch in range(10):  # ten times what the disk takes
            events = [event("like", viewer=f"v{n}", id=f"flood-{step}-{batch}-{n}") for n in range(100)]
            try:
                under_test.intake.put_nowait(events, feed="http")
            except QueueFull:
                refused += 1
        if step % 20 == 0:
            quiet = hot(f"w{step}")
            under_test.intake.put_nowait(quiet, feed="http")
            sent_at.update((each.id, under_test.clock.monotonic()) for each in quiet)
        await under_test.clock.advance(0.1)
    await under_test.end()
    assert refused > 1_000
    # The commit that is being written, then the one it goes into, which may end with the flood's whole batch.
    assert max(under_test.durable_at[id] - at for id, at in sent_at.items()) <= 2 * (
        COMMIT_S + 100 * PER_EVENT_S
    )


async def test_a_feed_that_floods_with_what_nobody_knows_costs_another_room_no_lead() -> None:
    clock = ManualClock(START)
    prompt = PromptSink(clock)
    under_test = house({"prompt": prompt}, clock=clock)
    began = clock.monotonic()
    for step in range(100):
        flood = [
            event(f"kind-{step}-{n}", viewer=f"v{n}", id=f"x{step}-{n}", extra={"n": n}) for n in range(1_000)
        ]
        under_test.intake.offer(flood, feed="platform")
        if step % 10 == 0:
            under_test.intake.offer(hot(f"w{step}"), feed="shop")
        assert under_test.intake.queued <= 4_096
        await clock.advance(0.1)
    await under_test.end()
    assert [viewer for viewer, _ in prompt.told] == [f"w{step}" for step in range(0, 100, 10)]
    late = [at - (began + int(viewer[1:]) / 10) for viewer, at in prompt.told]
    assert max(late) <= 2 * COMMIT_S + 0.1


async def test_a_flood_in_the_same_lane_costs_its_room_no_order() -> None:
    """A platform's one socket brings likes and orders alike."""
    under_test = house()
    for step in range(100):
        flood = [event("like", viewer=f"v{n}", id=f"x{step}-{n}", room="r2") for n in range(1_000)]
        under_test.intake.offer([*flood[:500], *hot(f"w{step}"), *flood[500:]], feed="platform")
        await under_test.clock.advance(0.1)
    await under_test.clock.advance(10.0)
    await under_test.end()
    assert {f"w{step}-{kind}" for step in range(100) for kind in ("form_submit", "product_click")} <= set(
        under_test.durable_at
    )


async def test_a_frame_lets_others_have_the_loop_before_the_next() -> None:
    """However much one commit takes, a panel or a request waits for one frame of it at most."""
    under_test = house()
    turns = 0

    async def bystander() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    applied: list[int] = []
    real = under_test.engine.apply

    def counted(frame: Frame) -> object:
        applied.append(turns)
        return real(frame)

    under_test.engine.apply = counted  # type: ignore[method-assign,assignment]  # only looks on
    watching = asyncio.ensure_future(bystander())
    await settle()
    under_test.intake.put_nowait(
        [event("like", id=str(n), viewer=f"v{n}") for n in range(5 * FRAME)], feed="f"
    )
    await settle()
    await under_test.clock.advance(1.0)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    await under_test.end()
    assert len(applied) == 5
    assert len(set(applied)) == 5
