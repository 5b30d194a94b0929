"""The daemon: makes every part, runs them in one group, and takes them down in stages, each with its budget."""

import asyncio
import contextlib
import ipaddress
import random
import secrets
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import apsw
import httpx
import structlog
import uvicorn

from frontrow.app.erasing import Erasing
from frontrow.app.feeds import Feeds
from frontrow.app.following import Following
from frontrow.app.gate import ChannelGate
from frontrow.app.keeping import Keeper, identity_of
from frontrow.app.lead_centre import LeadCentre
from frontrow.app.learning import Learning
from frontrow.app.letters import Letters
from frontrow.app.models import registry_beside
from frontrow.app.observing import Observer
from frontrow.app.parts import Lexicons, make_engine, make_lexicons
from frontrow.app.promoting import Promoting
from frontrow.app.retaining import kept_days, retain
from frontrow.app.touching import CustomerSink, TouchOutbox
from frontrow.config import Config, SinkConfig
from frontrow.core import kernel
from frontrow.core.alerts import LeadAlert, alert_key
from frontrow.core.engine import Engine
from frontrow.core.errors import CommitFailed, ConfigError, Mistake
from frontrow.core.events import RoomRef
from frontrow.core.ports import Clock, Sink
from frontrow.core.preparing import Preparer
from frontrow.runtime import collector
from frontrow.runtime.access import Access
from frontrow.runtime.desk import Desk
from frontrow.runtime.forms import Hosting, form_routes
from frontrow.runtime.http import BoundedHttp
from frontrow.runtime.intake import Intake
from frontrow.runtime.outbox import OutboxPolicy, OutboxRow, OutboxStore, OutboxWorker
from frontrow.runtime.panel import Panels
from frontrow.runtime.people import People
from frontrow.runtime.pipeline import Applied, Pipeline, Route, tick
from frontrow.runtime.server import Page, Services, application
from frontrow.runtime.steady import SteadyClock
from frontrow.storage.aio import StoreThread, verify_beside
from frontrow.storage.attic import DiskAttic, path_beside
from frontrow.storage.lock import StoreLock
from frontrow.storage.snapshots import Snapshots
from frontrow.storage.store import Alert, Commit
from frontrow.storage.vault import Vault, master_key
from frontrow.storage.vault import path_beside as vault_beside
from frontrow.telemetry.metrics import CONTENT_TYPE, Gauges, Metrics
from frontrow_connectors.canonical import decode_frame, decode_payload
from frontrow_connectors.contract import HookRequest
from frontrow_connectors.sinks.contract import SinkContext
from frontrow_connectors.sinks.registry import SINKS
from frontrow_dashboards import forms as form_page
from frontrow_dashboards import pages

HTTP_TIMEOUT_S = 10.0
ANNOUNCED_WITHIN_S = 2.0  # what a start waits for the lead centre; one that is far behind is not waited for
LAST_SNAPSHOT_S = 4.0  # what must be left of the budget for one more snapshot at the end
SERVER_GRACE_S = 2.0  # for answers that are on their way and panels that say goodbye

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a running daemon is reached: ``url`` without a slash at its end."""

    url: str
    port: int


class StoreJournal:
    """Fits :class:`frontrow.runtime.pipeline.Journal` with the store."""

    def __init__(self, store: StoreThread, observer: Observer) -> None:
        self._store = store
        self._observer = observer

    async def commit(self, frames: Sequence[Applied], at: int) -> None:
        commits = [
            Commit(
                frame=frame.frame,
                leads=frame.effects.leads,
                alerts=[Alert(sink, alert_key(sink, alert), alert) for sink, alert in frame.alerts],
                at=at,
                positions=frame.effects.lead_positions,
                grouped=frame.effects.grouped,
            )
            for frame in frames
        ]
        try:
            await self._store.call(self._store.store.append, commits)
        except CommitFailed as failed:
            self._observer.commit_failed(failed.cause)
            log.critical(
                "journal_failed", path=str(self._store.store.path), cause=failed.cause, error=str(failed)
            )
            raise


class StoreOutbox:
    """Fits :class:`frontrow.runtime.outbox.OutboxStore` with the store."""

    def __init__(self, store: StoreThread) -> None:
        self._call = store.call
        self._store = store.store

    async def due(self, sink: str, now: int, limit: int) -> list[OutboxRow]:
        rows: list[tuple[int, str, LeadAlert, int, int]] = await self._call(
            self._store.outbox_due, sink, now, limit
        )
        return [
            OutboxRow(id, sink, key, alert, created_at, attempts)
            for id, key, alert, created_at, attempts in rows
        ]

    async def next_due(self, sink: str) -> int | None:
        return await self._call(self._store.outbox_next, sink)

    async def begun(self, sink: str, ids: Sequence[int], at: int) -> None:
        await self._call(self._store.outbox_begun, sink, ids, at)

    async def begun_since(self, sink: str, since: int) -> list[int]:
        return await self._call(self._store.outbox_begun_since, sink, since)

    async def told_since(self, sink: str, since: int) -> list[tuple[str, int]]:
        return await self._call(self._store.outbox_told_since, sink, since)

    async def delivered(self, ids: Sequence[int], at: int, receipt: str) -> None:
        await self._call(self._store.outbox_delivered, ids, at, receipt)

    async def postpone(self, ids: Sequence[int], due_at: int, error: str) -> None:
        await self._call(self._store.outbox_postpone, ids, due_at, error)

    async def dead(self, ids: Sequence[int], at: int, error: str) -> None:
        await self._call(self._store.outbox_dead, ids, at, error)


class Daemon:
    """One daemon from a configuration. :meth:`run` once."""

    def __init__(self, config: Config, *, clock: Clock, rng: random.Random) -> None:
        self._config = config
        self._clock: Clock = clock
        self._rng = rng
        self._stop = asyncio.Event()
        self._state = "starting"
        self._outbox_depth: Mapping[str, tuple[int, int, int | None]] = {}

    def stop(self) -> None:
        """Begin to shut down in order; :meth:`run` returns when it is done. Idempotent."""
        self._stop.set()

    async def run(self, *, ready: Callable[[Address], None] = lambda _address: None) -> None:
        """Run until :meth:`stop`. ``ready`` is called once requests are answered.

        Raises:
            ConfigError: A lexicon cannot be used, or the port is taken.
            StoreLocked: Another daemon holds the store.
            StoreDamaged: The journal or the vault cannot be read back.
            StoreUnusable: One of them cannot be opened; the vault, also without its master key.
            CannotFollow: A version that was promoted in the journal is not there, or cannot be used.
            BaseExceptionGroup: A part failed that the daemon cannot be without; the journal above all.
        """
        config = self._config
        lexicons = make_lexicons(config)
        lock = StoreLock(config.storage.path)
        lock.acquire(datetime.fromtimestamp(self._clock.now() / 1000.0, UTC).isoformat(timespec="seconds"))
        try:
            listener = _listen(config)
            with contextlib.closing(listener):
                store = await StoreThread.open(config.storage.path)
                try:
                    master = master_key(config.privacy.master_key)
                    vault = await asyncio.to_thread(Vault.open, vault_beside(config.storage.path), master)
                    with contextlib.closing(vault):
                        await self._run(store, vault, lexicons, listener, ready)
                finally:
                    await store.close()
        finally:
            lock.release()

    async def _run(
        self,
        store: StoreThread,
        vault: Vault,
        lexicons: Lexicons,
        listener: socket.socket,
        ready: Callable[[Address], None],
    ) -> None:
        config = self._config
        rooms: dict[str, RoomRef] = {room.id: room.ref for room in config.rooms}
        metrics = Metrics(rooms=rooms, max_rooms=config.metrics.max_rooms)
        observer = Observer(metrics, rooms)
        following = Following(registry_beside(config.storage.path))
        keeper, engine, people = await self._recover(store, following, observer)
        try:
            if not self._stop.is_set():
                await self._serve(
                    store,
                    vault,
                    lexicons,
                    listener,
                    ready,
                    keeper,
                    engine,
                    following,
                    people,
                    metrics,
                    observer,
                )
        finally:
            keeper.close()

    async def _serve(
        self,
        store: StoreThread,
        vault: Vault,
        lexicons: Lexicons,
        listener: socket.socket,
        ready: Callable[[Address], None],
        keeper: Keeper,
        engine: Engine,
        following: Following,
        people: People,
        metrics: Metrics,
        observer: Observer,
    ) -> None:
        # From here on time never runs backward: an alert would wait, and a mark, until a clock set back has caught up.
        self._clock = SteadyClock(self._clock, engine.now, observer.clock_stepped)
        config, clock = self._config, self._clock
        rooms: dict[str, RoomRef] = {room.id: room.ref for room in config.rooms}
        sinks = [sink for sink in config.sinks if sink.enabled]
        workers: list[OutboxWorker] = []

        learning = Learning(
            engine,
            config.model.challengers if config.model.enabled else (),
            window_ms=min(engine.options.window_ms, engine.options.horizon_ms),
            outcome=config.outcome,
            clock=clock,
            predicts=following.predicts,
        )

        def notify() -> None:
            for worker in workers:
                worker.notify()

        def on_durable(frames: Sequence[Applied]) -> None:
            panels.durable(frames)
            if centre is not None:
                centre.follower.durable(frames)
            for frame in frames:
                learning.durable(frame.effects)
            if any(frame.alerts for frame in frames):
                notify()

        intake = Intake(
            clock=clock,
            observer=observer,
            telling=lambda event: lexicons.facts(event, config.intents.phone_region) != 0,
            queue_events=config.intake.queue_events,
            queue_bytes=config.intake.queue_bytes,
            wait_s=config.intake.wait_ms / 1000.0,
        )
        preparer = Preparer(lexicons.of_room, lexicons.default, config.intents.phone_region, vault)
        pipeline = Pipeline(
            intake=intake,
            engine=engine,
            journal=StoreJournal(store, observer),
            people=people,
            clock=clock,
            rooms={(room.platform, room.room): room for room in rooms.values()},
            preparer=preparer,
            routes=[
                # A new lead has no addressee yet; whoever gives it one tells them. Where it came from hears what
                # became of it.
                Route(sink.id, frozenset(sink.rooms))
                for sink in sinks
                if SINKS[sink.kind].audience in ("group", "program")
            ],
            observer=observer,
            on_durable=on_durable,
            between=lambda: keeper.between(engine, people),
            frame_events=config.intake.frame_events,
            frame_s=config.intake.frame_ms / 1000.0,
        )
        feeds = Feeds(
            config,
            rooms=rooms,
            intake=intake,
            clock=clock,
            rng=self._rng,
            observer=observer,
            store=store,
            gate=ChannelGate(config.channels, rooms.values()),
        )
        panels = Panels(
            engine=engine,
            people=people,
            clock=clock,
            rooms=list(rooms.values()),
            rows=config.panel.rows,
            feeds=feeds.lines,
            dropped=observer.dropped_in,
            on_shown=metrics.event_to_panel.observe,
            settled=lambda: pipeline.settled,
            interval=learning.interval,
            explain=learning.explain,
        )
        erasing = Erasing(
            store=store,
            vault=vault,
            intake=intake,
            engine=engine,
            people=people,
            preparer=preparer,
            keeper=keeper,
            forget=learning.forget,
            when_settled=panels.when_settled,
            waits_s=2.0 * config.intake.wait_ms / 1000.0,
            clock=clock,
        )
        promoting = Promoting(
            engine,
            following,
            learning,
            intake=intake,
            when_settled=panels.when_settled,
            seq=lambda: store.store.seq,
            by_policy=config.model.promotion == "policy",
            clock=clock,
        )
        centre: LeadCentre | None = None
        desk: Desk | None = None
        if config.centre.enabled:
            by_key = {(room.platform, room.room): room for room in rooms.values()}
            centre = LeadCentre(
                config,
                store=store,
                vault=vault,
                people=people,
                clock=clock,
                observer=observer,
                sinks=sinks,
                told=notify,
                rooms=by_key,
            )
            await centre.open()
            erasing.follow(centre.person, centre.forgotten)
            desk = centre.serve(intake, lambda event: engine.seen.knows(event.platform, event.room, event.id))
        metrics.gauges = lambda: self._gauges(engine, learning, intake, panels, feeds, store)
        async with httpx.AsyncClient(timeout=HTTP_TIMEOUT_S) as http:
            opened = [self._open_sink(sink, http, centre) for sink in sinks]
            workers += [
                self._worker(
                    sink,
                    adapter,
                    StoreOutbox(store) if centre is None else TouchOutbox(StoreOutbox(store), intake),
                    observer,
                )
                for sink, adapter in zip(sinks, opened, strict=True)
            ]
            server = _Server(
                application(
                    self._services(
                        store,
                        intake,
                        panels,
                        feeds,
                        observer,
                        metrics,
                        rooms,
                        learning,
                        promoting,
                        Letters(store, config, clock=clock, notify=notify),
                        centre,
                        erasing,
                    )
                ),
                config,
            )
            try:
                async with asyncio.TaskGroup() as group:
                    applying = group.create_task(pipeline.run(), name="pipeline")
                    showing = group.create_task(panels.run(), name="panels")
                    keeping = group.create_task(keeper.run(), name="snapshots")
                    verifying = group.create_task(self._verify(observer), name="verification")
                    judging = group.create_task(learning.run(), name="judge")
                    proposing = group.create_task(promoting.run(), name="promotions")
                    retaining = group.create_task(retain(store, kept_days(config), clock), name="retention")
                    forgetting = group.create_task(erasing.run(), name="erasures")
                    due = (lambda: None) if centre is None else (lambda: centre.follower.next_due)
                    ticking = group.create_task(tick(intake, engine, clock, due), name="ticks")
                    desking: list[asyncio.Task[None]] = []
                    if centre is not None:
                        desking = [
                            group.create_task(centre.announce(intake), name="policy"),
                            group.create_task(centre.transfers.run(), name="transfers"),
                            group.create_task(centre.sweeping.run(), name="centre retention"),
                            group.create_task(centre.follower.run(), name="centre"),
                        ]
                        # A seller who is new in the configuration would be told that there is no such person.
                        await asyncio.wait(desking[:1], timeout=ANNOUNCED_WITHIN_S)
                    feeding = group.create_task(feeds.run(), name="feeds")
                    sending = [group.create_task(worker.run(), name="outbox") for worker in workers]
                    serving = group.create_task(server.serve(sockets=[listener]), name="http")
                    await server.is_up.wait()
                    collector.settle()
                    self._state = "ok"
                    address = _address(listener)
                    log.info(
                        "ready",
                        url=address.url,
                        rooms=len(rooms),
                        feeds=len(config.feeds),
                        frames=store.store.seq,
                        engine=kernel.described(),
                    )
                    ready(address)
                    await self._stop.wait()
                    # Before the intake is closed; the next start goes on with what is being erased, and with what is
                    # too old.
                    for task in (proposing, forgetting, retaining, *desking[:3]):
                        task.cancel()
                    left_s = await self._shut_down(
                        intake,
                        [panels] if desk is None else [panels, desk],
                        server,
                        workers,
                        [feeding, ticking],
                        applying,
                        [*sending, serving],
                    )
                    showing.cancel()
                    keeping.cancel()
                    verifying.cancel()
                    judging.cancel()
                    for task in desking:
                        task.cancel()
                    if left_s >= LAST_SNAPSHOT_S and applying.done():
                        keeper.last(engine, people)
                        await keeper.finish()
            finally:
                collector.release()
                await asyncio.to_thread(learning.close)
                if centre is not None:
                    await centre.close()
                for adapter in opened:
                    await adapter.close()

    async def _shut_down(
        self,
        intake: Intake,
        panels: Sequence[Panels | Desk],
        server: "_Server",
        workers: Sequence[OutboxWorker],
        sources: Sequence["asyncio.Task[None]"],
        applying: "asyncio.Task[None]",
        last: Sequence["asyncio.Task[None]"],
    ) -> float:
        """Stop what brings events, then make durable what was taken, then answer, then go. All within the budget.

        Returns:
            How much of the budget is left, in seconds.
        """
        self._state = "draining"
        deadline = self._clock.monotonic() + self._config.server.shutdown_s
        log.info("draining", queued=intake.queued)
        for task in sources:
            task.cancel()
        await _ended("sources", sources, 2.0)
        intake.close()
        await _ended("pipeline", [applying], max(0.1, deadline - self._clock.monotonic()))
        for each in panels:
            each.close()
        for worker in workers:
            worker.stop()
        server.should_exit = True
        await _ended("server and sinks", last, max(0.1, deadline - self._clock.monotonic()))
        log.info("stopped")
        return deadline - self._clock.monotonic()

    async def _verify(self, observer: Observer) -> None:
        """Read the whole store once, beside everything else: a start reads only its end."""
        path = self._config.storage.path
        try:
            found = await verify_beside(path, self._clock)
        except apsw.Error as error:
            log.warning("journal_not_verified", path=str(path), reason=str(error))
            return
        observer.verified(found.sound)
        if found.sound:
            log.info("journal_verified", frames=found.frames, events=found.events)
        else:
            log.error(
                "journal_damaged",
                path=str(path),
                lost=[str(lost) for lost in found.lost],
                structure=found.structure,
                advice="run frontrow doctor; then restore the last backup, or salvage what is whole",
            )

    async def _recover(
        self, store: StoreThread, following: Following, observer: Observer
    ) -> tuple[Keeper, Engine, People]:
        """Bring an engine to where the journal ends."""
        config, clock = self._config, self._clock
        began = clock.monotonic()
        path = config.storage.path
        attic_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="attic")
        attic = await asyncio.to_thread(
            DiskAttic.open, path_beside(path), store=store.store.id, submit=attic_thread.submit
        )
        keeper = Keeper(
            store=store,
            attic=attic,
            attic_thread=attic_thread,
            snapshots=Snapshots.beside(path),
            identity=identity_of(config),
            clock=clock,
            every_s=float(config.storage.snapshot_every_s),
            observer=observer,
        )
        engine = make_engine(
            config, report_learning=bool(config.model.challengers), attic=attic, versions=following
        )
        people = People()
        try:
            snapshot, events = await store.call(
                keeper.restore, engine, people, following, stopping=self._stop.is_set
            )
        except BaseException:
            keeper.close()
            raise
        if events or snapshot:
            log.info(
                "recovered",
                snapshot=snapshot,
                events=events,
                frames=store.store.seq,
                seconds=round(clock.monotonic() - began, 3),
            )
        return keeper, engine, people

    def _open_sink(self, sink: SinkConfig, http: httpx.AsyncClient, centre: LeadCentre | None) -> Sink:
        context = SinkContext(
            sink=sink.id,
            clock=self._clock,
            http=http,
            base_url=self._config.server.public_url,
            language=self._config.panel.language,
        )
        opened = SINKS[sink.kind].open(sink.options, context)
        if centre is None:
            return opened
        region = self._config.intents.phone_region
        return CustomerSink(opened, centre.reach, clock=self._clock, phone_region=region)

    def _worker(
        self, sink: SinkConfig, adapter: Sink, outbox: OutboxStore, observer: Observer
    ) -> OutboxWorker:
        kind = SINKS[sink.kind]
        return OutboxWorker(
            outbox,
            adapter,
            sink.id,
            OutboxPolicy(
                per_minute=kind.per_minute,
                per_second=kind.per_second,
                per_member=kind.per_member,
                digest_size=kind.digest_size,
                freshness_s=float(sink.freshness_s),
                max_attempts=sink.max_attempts,
            ),
            clock=self._clock,
            rng=random.Random(self._rng.random()),
            observer=observer,
        )

    def _services(
        self,
        store: StoreThread,
        intake: Intake,
        panels: Panels,
        feeds: Feeds,
        observer: Observer,
        metrics: Metrics,
        rooms: Mapping[str, RoomRef],
        learning: Learning,
        promoting: Promoting,
        letters: Letters,
        centre: LeadCentre | None,
        erasing: Erasing,
    ) -> Services:
        async def scrape() -> tuple[bytes, str]:
            self._outbox_depth = await store.call(store.store.outbox_depth)
            return metrics.render(), CONTENT_TYPE

        access = Access(lambda hash: store.call(store.store.token_by_hash, hash))
        return Services(
            clock=self._clock,
            access=access,
            intake=intake,
            panels=panels,
            rooms=rooms,
            decode=decode_payload,
            # The channels look at each event by itself.
            columns=lambda body, room: None if feeds.gate.stands else decode_frame(body, room),
            admit=feeds.gate.admit,
            hook=feeds.receiver,
            hook_request=HookRequest,
            leads=lambda key, after, limit: store.call(store.store.leads, key=key, after=after, limit=limit),
            document=_document,
            asset=_asset,
            metrics=scrape,
            model=learning.told,
            promotions=promoting,
            letters=letters,
            erasures=erasing,
            ready=lambda: {"daemon": self._state, "intake": "full" if intake.full else "ok"},
            beside=lambda: {} if centre is None else centre.checks,
            counters=observer,
            max_body_bytes=self._config.server.max_body_bytes,
            routes=[
                *(
                    []
                    if centre is None
                    else centre.routes(access, observer.refused, self._config.server.max_body_bytes)
                ),
                *form_routes(
                    Hosting(
                        forms={form.id: form for form in self._config.forms},
                        rooms=rooms,
                        clock=self._clock,
                        intake=intake,
                        admit=feeds.gate.admit_one,
                        render=form_page.render,
                        nonce=lambda: secrets.token_urlsafe(16),
                        refused=observer.refused,
                        trusted=[ipaddress.ip_network(each) for each in self._config.server.trusted_proxies],
                        region=self._config.intents.phone_region,
                        language=self._config.panel.language,
                    )
                ),
            ],
        )

    def _gauges(
        self,
        engine: Engine,
        learning: Learning,
        intake: Intake,
        panels: Panels,
        feeds: Feeds,
        store: StoreThread,
    ) -> Gauges:
        model, now = engine.model, self._clock.now()
        return Gauges(
            viewers=engine.rows,
            viewers_grouped=engine.grouped,
            labels_pending=len(engine.labels),
            labels_passed_over=engine.labels.passed_over,
            outcomes_lost=engine.labels.lost,
            outcomes_late=engine.labels.too_late,
            queue_events=intake.queued,
            journal_seq=store.store.seq,
            outbox={
                sink: (pending, dead, 0.0 if oldest is None else max(0.0, (now - oldest) / 1000.0))
                for sink, (pending, dead, oldest) in self._outbox_depth.items()
            },
            feeds=feeds.states(),
            model_labels=0 if model is None else model.labels,
            model_positives=0 if model is None else model.positives,
            model_ready=model is not None and model.ready,
            model_frozen=learning.frozen,
            model_alarms=learning.alarms,
            model_rollbacks=learning.rollbacks,
            model_other_outcome=learning.other_outcome is not None,
            model_quality=learning.quality(),
            challengers_dropped=learning.dropped,
            challengers_proposed=[(name, name in learning.proposed) for name in learning.challengers],
            panels=panels.open,
        )


async def run_until_signal(daemon: Daemon, ready: Callable[[Address], None]) -> None:
    """Run a daemon until SIGTERM or SIGINT; a second one ends the process at once."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)  # the next one has its usual effect
        daemon.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await daemon.run(ready=ready)


class _Server(uvicorn.Server):
    """uvicorn without its own signals: the daemon stops its parts in its own order."""

    def __init__(self, app: object, config: Config) -> None:
        super().__init__(
            uvicorn.Config(
                app,  # type: ignore[arg-type]  # Litestar's ASGI types and uvicorn's differ in name only
                log_config=None,
                access_log=False,
                lifespan="off",
                http=BoundedHttp,
                ws="websockets-sansio",
                proxy_headers=False,  # nobody asks whence a request comes
                ws_max_size=65_536,  # panels send nothing
                server_header=False,
                timeout_graceful_shutdown=int(SERVER_GRACE_S),
            )
        )
        self.is_up = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()


def _listen(config: Config) -> socket.socket:
    host, port = config.server.host, config.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        reason = f"cannot listen on {host}:{port}: {error.strerror or error}"
        key = "server.host" if isinstance(error, socket.gaierror) else "server.port"
        raise ConfigError([Mistake("configuration", 0, 0, key, reason)]) from error
    return listener


def _address(listener: socket.socket) -> Address:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return Address(f"http://{shown}:{port}", port)


def _document(name: str, if_none_match: str | None) -> Page:
    return Page(*pages.document(name).answer(if_none_match))


def _asset(path: str, if_none_match: str | None) -> Page | None:
    asset = pages.asset(path)
    return None if asset is None else Page(*asset.answer(if_none_match))


async def _ended(stage: str, tasks: Sequence["asyncio.Task[None]"], budget_s: float) -> None:
    """Wait for tasks to end; those that have not by then are named and cancelled."""
    running = [task for task in tasks if not task.done()]
    if not running:
        return
    _, late = await asyncio.wait(running, timeout=budget_s)
    if late:
        log.warning("stopping_late", stage=stage, tasks=sorted(task.get_name() for task in late))
        for task in late:
            task.cancel()
