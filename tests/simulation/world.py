"""The daemon under simulation: the only module here that knows how Frontrow's parts are put together.

It mirrors what ``frontrow.app.daemon`` does below its HTTP server, with the real pipeline, engine, model, store,
outbox workers, panels, metrics and ticks, and the real adapters between them. When the parts change, this is the file
to change.
"""

import asyncio
import functools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import msgspec
import orjson

from frontrow.app.daemon import StoreJournal, StoreOutbox
from frontrow.app.keeping import Keeper
from frontrow.app.observing import Observer
from frontrow.core.alerts import LeadAlert
from frontrow.core.engine import Engine, EngineOptions
from frontrow.core.events import Event, RoomRef
from frontrow.core.facts import derive
from frontrow.core.frames import Frame
from frontrow.core.intents import RoomLexicon
from frontrow.core.leads import Lead
from frontrow.core.points import DEFAULT_RULES, Policy, Rule
from frontrow.core.ports import Attic, Clock, Receipt
from frontrow.core.preparing import Preparer
from frontrow.lexicon import load_lexicon
from frontrow.runtime.intake import Intake
from frontrow.runtime.outbox import OutboxPolicy, OutboxWorker
from frontrow.runtime.panel import FeedLine, Lagged, Panels, Subscription
from frontrow.runtime.people import People
from frontrow.runtime.pipeline import Applied, Journal, Pipeline, Route, tick
from frontrow.runtime.steady import SteadyClock
from frontrow.storage.aio import StoreThread
from frontrow.storage.attic import DiskAttic, path_beside
from frontrow.storage.snapshots import Snapshots
from frontrow.storage.store import Store
from frontrow.telemetry.metrics import Metrics
from frontrow_connectors.contract import FeedContext, FeedState, FeedStatus
from frontrow_models.learner import Learner
from frontrow_models.online import ModelOptions
from tests.simulation.disk import Mounted
from tests.simulation.feeds import MqttBroker, MqttClient, WebSocketClient, WebSocketServer, serve_ingest
from tests.simulation.loop import ProcessLoop, SimulatedClock
from tests.simulation.network import Network
from tests.simulation.plan import Plan
from tests.simulation.sinks import OPENERS, ROBOT, ROBOT_DIGEST, ROBOT_PER_MINUTE, Receiver
from tests.simulation.workload import room_refs

SUBSCRIBER_QUEUE = 64
PANEL_ROWS = 10
MAX_ATTEMPTS = 8

Client = tuple[str, RoomRef, "type[WebSocketClient | MqttClient]", "WebSocketServer | MqttBroker"]


@functools.cache
def lexicon() -> RoomLexicon:
    """The default lexicon; two seconds of work, once a process."""
    return load_lexicon(()).for_room(host_aliases=(), raffle_words=())


def policy(plan: Plan) -> Policy:
    """Return a points table by which a click and a question make a lead."""
    rules: tuple[Rule, ...] = DEFAULT_RULES
    if plan.fading_points:
        rules = tuple(
            rule
            if rule.signal == "watched" or rule.at_least != 1
            else msgspec.structs.replace(rule, half_life_s=30.0)
            for rule in rules
        )
    return Policy(hot=40, hot_leave=35, warm=15, warm_leave=10, cap=70, rules=rules)


def new_engine(plan: Plan, attic: Attic) -> Engine:
    """Return an empty engine whose model learns from the first labels on."""
    options = EngineOptions(
        horizon_ms=10_000,
        window_ms=1_000,
        snapshot_every_ms=2_000,
        silence_ms=40_000,
        grace_ms=5_000,
        grade_by="points_or_probability" if plan.by_probability else "points",
        hot_probability=0.55,
        idle_ms=plan.idle_ms,
    )
    model = Learner(
        ModelOptions(learning_rate=0.1, warm_up=4, min_labels=4, min_positives=1), window_ms=1_000
    )
    return Engine(options, policy(plan), model, attic=attic)


@dataclass
class Replayed:
    """What a journal alone gives, cut into frames of a size of one's own."""

    engine: Engine
    leads: list[bytes] = field(default_factory=list)
    alerts: list[tuple[str, bytes]] = field(default_factory=list)  # sink, alert


def replayed(plan: Plan, events: Frame, size: int, engine: Engine) -> Replayed:
    """Apply a whole journal to an empty engine in frames of ``size`` events, and tell its leads and alerts."""
    found = Replayed(engine)
    people = People()
    intake = new_intake(plan, _NoClock(), _Deaf(), Intake)
    pipeline = _pipeline(
        plan, intake, found.engine, people, _NoJournal(), _NoClock(), _Deaf(), lambda _frames: None
    )
    for start in range(0, len(events), size):
        effects = found.engine.apply(events.part(start, min(start + size, len(events))))
        found.leads += [msgspec.json.encode(lead) for lead in effects.leads]
        found.alerts += [(sink, msgspec.json.encode(alert)) for sink, alert in pipeline._alerts(effects)]
        people.note(effects.kept, effects.rows)
        people.free(effects.freed)
    return found


def scores_of(engine: Engine) -> list[tuple[Any, ...]]:
    """Return every viewer's numbers as they are now, sorted."""
    found: list[tuple[Any, ...]] = []
    for room in engine.rooms:
        for session in room.sessions:
            found += (
                (score.platform, score.room, score.session, score.viewer, score.points, score.grade,
                 score.probability, score.lead, score.hot_at, score.fan, score.staff)
                for score in engine.scores(session.rows.tolist(), engine.now)
            )  # fmt: skip
    return sorted(found, key=lambda row: row[:4])


def new_intake(plan: Plan, clock: Clock, observer: Any, kind: type[Intake]) -> Intake:
    """Return an empty intake, as small as the plan says."""
    return kind(
        clock=clock,
        observer=observer,
        telling=lambda event: derive(event, lexicon(), "CN") != 0,
        queue_events=plan.queue_events,
    )


def _pipeline(
    plan: Plan,
    intake: Intake,
    engine: Engine,
    people: People,
    journal: Journal,
    clock: Clock,
    observer: Any,
    on_durable: Callable[[Sequence[Applied]], None],
    kind: type[Pipeline] = Pipeline,
    between: Callable[[], None] = lambda: None,
) -> Pipeline:
    return kind(
        intake=intake,
        engine=engine,
        journal=journal,
        people=people,
        clock=clock,
        rooms={(room.platform, room.room): room for room in room_refs(plan)},
        preparer=Preparer({}, lexicon(), "CN"),
        routes=[Route(sink, frozenset()) for sink in OPENERS],
        observer=observer,
        on_durable=on_durable,
        between=between,
        frame_events=plan.frame_events,
    )


class _NoJournal:
    async def commit(self, frames: Sequence[Applied], at: int) -> None: ...


class _Deaf:
    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_arguments: None


class _NoClock:
    def now(self) -> int:
        return 0

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None: ...


async def opened(mounted: Mounted) -> StoreThread:
    """Open the store as the daemon does."""
    return await StoreThread.open(mounted.path, vfs=mounted.name)


@dataclass
class Parts:
    """What of the product a process is made of; a test that plants a bug gives another part."""

    open_store: Callable[[Mounted], Awaitable[StoreThread]] = opened
    journal: Callable[[StoreThread, Observer], Journal] = StoreJournal
    outbox: Callable[[StoreThread], Any] = StoreOutbox
    engine: Callable[[Plan, Attic], Engine] = new_engine
    keeper: type[Keeper] = Keeper
    intake: type[Intake] = Intake
    pipeline: type[Pipeline] = Pipeline
    observer: type[Observer] = Observer


@dataclass
class Told:
    """What a process tells the run; the run keeps it over all processes."""

    acknowledged: Callable[[Sequence[Event]], None]
    durable: Callable[[Sequence[Lead]], None]
    shown: Callable[[bytes], None]
    receipt: Callable[[Sequence[int]], None]
    committing: Callable[[bool], None]
    lagged: Callable[[], None]


class Process:
    """One run of the daemon, from its start to its end by whatever cause."""

    def __init__(
        self,
        number: int,
        plan: Plan,
        *,
        loop: ProcessLoop,
        clock: SimulatedClock,
        mounted: Mounted,
        network: Network,
        clients: Sequence[Client],
        receivers: Sequence[Receiver],
        told: Told,
        panel_pause_s: Callable[[], float],
        parts: Parts,
    ) -> None:
        self.number = number
        self.loop = loop
        self.mounted = mounted
        self.ready = False
        self.feed_states: Counter[str] = Counter()
        self.store: StoreThread | None = None
        self.engine: Engine | None = None
        self.parts = parts
        self.subscriptions: list[Subscription] = []
        self._plan = plan
        self._clock: Clock = clock
        self._network = network
        self._clients = clients
        self._receivers = receivers
        self._told = told
        self._panel_pause_s = panel_pause_s
        self._rng = plan.draws.stream(f"process {number}")
        self._rooms = {room.id: room for room in room_refs(plan)}
        self.metrics = Metrics(rooms=self._rooms)
        self._observer = parts.observer(self.metrics, self._rooms)
        self._people = People()
        self._stop = asyncio.Event()
        self._workers: list[OutboxWorker] = []
        self.intake: Intake | None = None
        self.panels: Panels | None = None
        self.main = loop.spawn(self._main(), f"daemon {number}")

    def stop(self) -> None:
        """Ask it to end in order, as SIGTERM does."""
        self._stop.set()

    async def ingest(self, room: RoomRef, body: bytes) -> int:
        """Answer a request."""
        if self.intake is None or not self.ready:
            return 503
        return await serve_ingest(
            self.intake,
            room,
            body,
            rejected=lambda reason: self._observer.rejected("live", room, reason),
            refused=lambda reason: self._observer.refused("ingest", reason),
            acknowledged=self._told.acknowledged,
        )

    def scrape(self) -> dict[str, float]:
        """Return the metrics' samples: name with labels → value."""
        self.metrics.before_scrape()
        found: dict[str, float] = {}
        for metric in self.metrics.registry.collect():
            if metric.name.startswith("frontrow_"):
                for sample in metric.samples:
                    labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
                    found[f"{sample.name}{{{labels}}}"] = sample.value
        return found

    async def _main(self) -> None:
        store = await self.parts.open_store(self.mounted)
        self.store = store
        try:
            keeper = await self._keeper(store)
            try:
                engine = self.parts.engine(self._plan, keeper._attic)
                await store.call(keeper.restore, engine, self._people, stopping=self._stop.is_set)
                self._told.durable(await store.call(stored_leads, store.store))
                if not self._stop.is_set():  # else it is not whole
                    self.engine = engine
                    await self._run(store, keeper, engine)
            finally:
                keeper.close()
        finally:
            await store.close()

    async def _keeper(self, store: StoreThread) -> Keeper:
        path = path_beside(self.mounted.path)
        submit = functools.partial(self.loop.run_in_executor, "attic")
        attic = await asyncio.to_thread(
            DiskAttic.open, path, store=store.store.id, submit=submit, vfs=self.mounted.name
        )
        return self.parts.keeper(
            store=store,
            attic=attic,
            attic_thread=ThreadPoolExecutor(max_workers=1),  # given nothing to do: see `submit`
            snapshots=Snapshots(self.mounted.folder()),
            identity={"plan": str(self._plan.seed)},
            clock=self._clock,
            every_s=self._plan.snapshot_every_s,
            observer=self._observer,
        )

    async def _run(self, store: StoreThread, keeper: Keeper, engine: Engine) -> None:
        self._clock = SteadyClock(self._clock, engine.now, self._observer.clock_stepped)
        journal = self.parts.journal(store, self._observer)
        intake = self.intake = new_intake(self._plan, self._clock, self._observer, self.parts.intake)
        pipeline = _pipeline(
            self._plan,
            intake,
            engine,
            self._people,
            _Telling(journal, self._told),
            self._clock,
            self._observer,
            self._durable,
            self.parts.pipeline,
            lambda: keeper.between(engine, self._people),
        )
        self.panels = Panels(
            engine=engine,
            people=self._people,
            clock=self._clock,
            rooms=list(self._rooms.values()),
            rows=PANEL_ROWS,
            feeds=self._feed_lines,
            dropped=self._observer.dropped_in,
            on_shown=self.metrics.event_to_panel.observe,
            settled=lambda: pipeline.settled,
        )
        outbox = _Receipts(self.parts.outbox(store), self._told)
        for receiver in self._receivers:
            self._workers.append(self._worker(outbox, receiver))
        async with asyncio.TaskGroup() as group:
            applying = group.create_task(pipeline.run(), name="pipeline")
            showing = group.create_task(self.panels.run(), name="panels")
            keeping = group.create_task(keeper.run(), name="snapshots")
            sources = [group.create_task(tick(intake, engine, self._clock), name="ticks")]
            sources += [
                group.create_task(self._feed(intake, *client), name=f"feed[{client[0]}]")
                for client in self._clients
            ]
            sending = [group.create_task(worker.run(), name="outbox") for worker in self._workers]
            looked_at = list(self._rooms)[:1] if self._plan.panel else []
            watching = [group.create_task(self._watch(room), name="panel") for room in looked_at]
            self.ready = True
            await self._stop.wait()
            self.ready = False
            for task in sources:
                task.cancel()
            intake.close()
            await applying
            keeping.cancel()
            self.panels.close()
            for worker in self._workers:
                worker.stop()
            await asyncio.wait([*sending, *watching])
            showing.cancel()
            keeper.last(engine, self._people)
            await keeper.finish()

    def _durable(self, frames: Sequence[Applied]) -> None:
        assert self.panels is not None
        self.panels.durable(frames)
        if any(frame.alerts for frame in frames):
            for worker in self._workers:
                worker.notify()

    def _worker(self, outbox: Any, receiver: Receiver) -> OutboxWorker:
        robot = receiver.name == ROBOT
        return OutboxWorker(
            outbox,
            OPENERS[receiver.name](receiver, self.number, self._clock),
            receiver.name,
            OutboxPolicy(
                per_minute=ROBOT_PER_MINUTE if robot else None,
                digest_size=ROBOT_DIGEST if robot else 1,
                freshness_s=self._plan.freshness_s,
                max_attempts=MAX_ATTEMPTS,
            ),
            clock=self._clock,
            rng=self._rng,
            observer=self._observer,
        )

    async def _feed(self, intake: Intake, feed: str, room: RoomRef, client: Any, server: Any) -> None:
        async def put(events: Sequence[Event]) -> Any:
            receipt: asyncio.Future[Receipt] = await intake.put(events, feed=feed)  # type: ignore[assignment]
            return receipt

        def status(now: FeedStatus) -> None:
            self.feed_states[now.state] += 1

        context = FeedContext(
            feed=feed,
            room=room,
            clock=self._clock,
            rng=self._rng,
            put=put,
            offer=functools.partial(intake.offer, feed=feed),
            status=status,
            reject=functools.partial(self._observer.rejected, feed, room),
        )
        await client(context, self._network, server, self._told.acknowledged).run()

    def _feed_lines(self, room: str) -> list[FeedLine]:
        return [
            FeedLine(feed, "simulated", str(FeedState.CONNECTED), "", None, 0)
            for feed, of, _, _ in self._clients
            if of.id == room
        ]

    async def _watch(self, room: str) -> None:
        """Look at a panel as a host's browser does: come back when cut off, from the last message seen."""
        assert self.panels is not None
        since: int | None = None
        while not self._stop.is_set():
            subscription = await self.panels.when_settled(
                functools.partial(self.panels.subscribe, room, since)
            )
            self.subscriptions.append(subscription)
            try:
                async for message in subscription.messages():
                    since = orjson.loads(message)["seq"]
                    self._told.shown(message)
                    pause_s = self._panel_pause_s()
                    if pause_s:
                        await asyncio.sleep(pause_s)
            except Lagged:
                self._told.lagged()
            finally:
                self.subscriptions.remove(subscription)
                self.panels.unsubscribe(room, subscription)


class _Telling:
    """A journal that says which leads are durable, once they are."""

    def __init__(self, journal: Journal, told: Told) -> None:
        self._journal = journal
        self._told = told

    async def commit(self, frames: Sequence[Applied], at: int) -> None:
        self._told.committing(True)
        await self._journal.commit(frames, at)
        self._told.committing(False)
        self._told.durable([lead for frame in frames for lead in frame.effects.leads])


class _Receipts:
    """An outbox store that says which receipts are durable, once they are."""

    def __init__(self, outbox: Any, told: Told) -> None:
        self._outbox = outbox
        self._told = told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._outbox, name)

    async def delivered(self, ids: Sequence[int], at: int, receipt: str) -> None:
        await self._outbox.delivered(ids, at, receipt)
        self._told.receipt(ids)


def journal_of(store: Store) -> Frame:
    """Return a store's whole journal as one frame."""
    return Frame.joined(frame for _, frame in store.frames())


def stored_leads(store: Store) -> list[Lead]:
    """Return all leads of a store, in the order of their ids."""
    return sorted(store.leads(key=None, limit=1_000_000), key=lambda lead: lead.lead)


@dataclass(frozen=True, slots=True)
class OutboxLine:
    """One row of the outbox as it lies in the store."""

    id: int
    sink: str
    key: str
    alert: LeadAlert
    state: str
    error: str


def outbox_lines(store: Store) -> Iterator[OutboxLine]:
    """Yield the outbox's rows, settled ones too."""
    rows: Any = store._db.execute(
        "SELECT id, sink, key, alert, state, error FROM outbox ORDER BY id"
    ).fetchall()
    for id, sink, key, alert, state, error in rows:
        yield OutboxLine(id, sink, key, msgspec.json.decode(alert, type=LeadAlert), state, error)
