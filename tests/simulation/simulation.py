"""One seed, from its first event to the verdict: starts, kills and restarts the daemon, and injects the faults.

The run has two parts. While it is *stormy* the faults of the plan strike. Then all is *calm*: nothing more goes
wrong, and everybody gets time to finish; what is then not acknowledged, stored and delivered never will be. At the
end the daemon is stopped in order, the machine loses its power, and :mod:`tests.simulation.invariants` reads the disk.
"""

import asyncio
import atexit
import contextlib
import functools
import hashlib
import math
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import structlog

from frontrow.core.errors import CommitFailed, FrontrowError
from frontrow.core.events import Event
from frontrow.core.leads import Lead
from frontrow.storage.store import Store
from tests.simulation import invariants
from tests.simulation.disk import Disk, Mounted, Op, disk_full, sync_failed, write_failed
from tests.simulation.feeds import (
    HttpSender,
    MqttBroker,
    MqttClient,
    Outside,
    WebSocketClient,
    WebSocketServer,
    of_room,
)
from tests.simulation.invariants import Violation
from tests.simulation.loop import ProcessLoop, SimulatedClock, Universe, new_loop
from tests.simulation.network import Network
from tests.simulation.plan import CRASHES, DISK, Fault, Plan
from tests.simulation.sinks import OPENERS, Receiver
from tests.simulation.workload import LATEST_S, Sent, make_stream, room_refs
from tests.simulation.world import Client, Parts, Process, Told, lexicon

STEP_MS = 3_600_000  # a clock step
PATIENCE_S = 600.0  # virtual time in which all must be finished once it is calm, whatever clocks show
JOURNAL_FILES = frozenset({"frontrow.db", "frontrow.db-wal"})
SETTLED_S = 6.0  # of quiet before the end: more than a tick


@dataclass(slots=True)
class Ended:
    """How one process ended: ``why`` is a fault, "stopped", or "error"."""

    number: int
    at: float
    why: str
    error: BaseException | None = None


@dataclass
class Record:
    """Everything that happened which an invariant may ask for."""

    plan: Plan
    stream: list[Sent]
    receivers: list[Receiver]
    acknowledged: Counter[str] = field(default_factory=Counter)
    durable_leads: set[str] = field(default_factory=set)
    shown_early: list[str] = field(default_factory=list)  # leads that a panel showed before they were durable
    shown_points: set[int] = field(default_factory=set)
    struck: list[tuple[Fault, float, int]] = field(default_factory=list)  # fault, when, in which process
    ended: list[Ended] = field(default_factory=list)
    scrapes: dict[int, dict[str, float]] = field(default_factory=dict)
    feed_states: dict[int, Counter[str]] = field(default_factory=dict)
    trace: list[tuple[Any, ...]] = field(default_factory=list)
    logs: list[dict[str, Any]] = field(default_factory=list)
    receipts: list[tuple[int, int]] = field(default_factory=list)  # row of the outbox, messages sent by then
    lagged: int = 0
    steps: int = 0

    def happened(self, *what: Any) -> None:
        self.trace.append(what)

    def digest(self) -> str:
        """Return what two runs of one seed must have in common."""
        return hashlib.sha256(repr((self.trace, sorted(self.acknowledged.items()))).encode()).hexdigest()[:16]


class Run:
    """One run of one plan. ``parts`` lets a test plant a bug, and so does a ``lying`` disk."""

    def __init__(
        self,
        plan: Plan,
        *,
        parts: Parts | None = None,
        lying_disk: float = 0.0,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.plan = plan
        self._parts = parts or Parts()
        self._patience_s = patience_s
        draws = plan.draws
        self._rng = draws.stream("faults")
        self.universe = Universe(draws.stream("order"))
        self.clock = SimulatedClock(self.universe)
        self.disk = Disk(draws.stream("disk"), lying=lying_disk)
        self._outside_loop = new_loop(self.universe, "outside", draws.stream("outside"))
        self.network = Network(
            self._outside_loop,
            draws.stream("network"),
            lambda: not self._calm and plan.has(Fault.SLOW_NETWORK),
        )
        self._outside = Outside(plan, self.network, self._running, lambda: self._calm, self._struck)
        stream = make_stream(plan)
        receivers = [Receiver(name, self._outside, draws.stream(f"sink {name}")) for name in OPENERS]
        self.record = Record(plan, stream, receivers)
        self._senders: list[HttpSender | WebSocketServer | MqttBroker] = []
        self._clients: list[Client] = []
        self._feeds(stream)
        self.process: Process | None = None
        self._number = 0
        self._calm = False
        self._crashes_left = plan.crashes
        self._kill_at_step: int | None = None
        self._doom: tuple[Fault, int] | None = None  # a fault of the disk, and at its how manieth operation
        self._operations = 0
        self._full_until = -1.0
        self._disk_waits_s = 0.0
        self._committing = False
        self._stopping = False

    def execute(self) -> Record:
        """Run to the end and check everything. Raises Violation."""
        with _quiet_logs(self.record):
            try:
                self._storm()
                self._wait_for_calm_work()
                self._stop()
                self.record.steps = self.universe.steps
                self._verdict()
            except Violation as violation:
                violation.record = self.record
                raise
            finally:
                self._outside_loop.kill()
                if self.process is not None:
                    self._bury(self.process)
        return self.record

    # ------------------------------------------------------------------ the two parts and the end

    def _storm(self) -> None:
        lexicon()
        self.disk.before = self._disk_operation
        if self.plan.formatted:
            self._format()
        self.universe.after_step = self._after_step
        self._start()
        for number, sender in enumerate(self._senders):
            if isinstance(sender, HttpSender):
                self._outside_loop.spawn(sender.run(), f"sender {number}")
        if self.plan.has(Fault.CLOCK):
            self._outside_loop.spawn(self._step_clocks(), "clock")
        storm_s = self.plan.span_s + (LATEST_S if self.plan.has(Fault.LATE) else 5.0)
        self.universe.run_until(lambda: False, storm_s)
        self._calm = True
        self._kill_at_step = self._doom = None
        self._full_until = -1.0
        self.record.happened("calm", self.universe.now)

    def _wait_for_calm_work(self) -> None:
        deadline = self.universe.now + self._patience_s
        while True:
            self.universe.run_until(lambda: False, self.universe.now + SETTLED_S)
            if self._settled():
                return
            if self.universe.now >= deadline:
                raise Violation("everything gets done once faults are over", self._what_is_left())

    def _settled(self) -> bool:
        process = self.process
        if process is None or not process.ready or process.store is None or process.intake is None:
            return False
        if process.intake.queued or not all(sender.done for sender in self._senders):
            return False
        return all(pending == 0 for pending, _, _ in process.store.store.outbox_depth().values())

    def _what_is_left(self) -> str:
        process = self.process
        senders = [type(sender).__name__ for sender in self._senders if not sender.done]
        outbox = None if process is None or process.store is None else process.store.store.outbox_depth()
        return f"senders not done: {senders}; outbox: {outbox}; daemon ready: {process is not None and process.ready}"

    def _stop(self) -> None:
        process = self.process
        assert process is not None
        self._stopping = True
        process.stop()
        if not self.universe.run_until(lambda: process.main.done(), self.universe.now + 120.0):
            raise Violation("SIGTERM ends the daemon", "it did not end within 120 s")

    def _verdict(self) -> None:
        process = self.process
        assert process is not None
        self._ended(process, "stopped")
        self.disk.before = lambda _op, _name: None
        self.disk.lose_power()
        mounted = Mounted(self.disk, _folder())
        try:
            store = Store.open(mounted.path, vfs=mounted.name)
            invariants.check(self.record, store, process)
        except FrontrowError as error:
            raise Violation("a store can be read again, whatever happened", str(error)) from error
        finally:
            mounted.unmount()

    # ------------------------------------------------------------------ processes

    def _start(self) -> None:
        self._number += 1
        rng = self.plan.draws.stream(f"loop {self._number}")
        loop = new_loop(self.universe, f"daemon {self._number}", rng, self._waited_s)
        panel_rng = self.plan.draws.stream(f"panel {self._number}")

        def panel_pause_s() -> float:
            return (
                panel_rng.uniform(5.0, 90.0)
                if self._outside.strikes(Fault.SLOW_PANEL, panel_rng, 0.05)
                else 0.0
            )

        self._doom_next()
        self.process = Process(
            self._number,
            self.plan,
            loop=loop,
            clock=self.clock,
            mounted=Mounted(self.disk, _folder()),
            network=self.network,
            clients=self._clients,
            receivers=self.record.receivers,
            told=Told(
                acknowledged=self._acknowledged,
                durable=self._durable,
                shown=self._shown,
                receipt=self._receipt,
                lagged=self._lagged,
                committing=self._is_committing,
            ),
            panel_pause_s=panel_pause_s,
            parts=self._parts,
        )
        self.record.happened("start", self.universe.now, self._number)

    def _doom_next(self) -> None:
        """Draw what will end the process that begins now, if anything will."""
        self._kill_at_step = self._doom = None
        self._operations = 0
        kinds = [fault for fault in (*CRASHES, *DISK) if self.plan.has(fault)]
        if self._calm or not kinds or self._crashes_left == 0:
            return
        self._crashes_left -= 1
        kind = self._rng.choice(kinds)
        # As likely within the first ten steps as within the thousands that follow.
        match kind:
            case Fault.KILL_STEP:
                self._kill_at_step = self.universe.steps + int(
                    math.exp(self._rng.uniform(0.0, math.log(6_000)))
                )
            case Fault.TERM:
                process_number = self._number
                self._outside_loop.call_later(
                    math.exp(self._rng.uniform(math.log(0.001), math.log(80.0))),
                    self._terminate,
                    process_number,
                )
            case _:
                self._doom = (kind, int(math.exp(self._rng.uniform(0.0, math.log(300)))))

    def _terminate(self, number: int) -> None:
        process = self.process
        if process is not None and process.number == number and not self._calm and not process.main.done():
            self._struck(Fault.TERM)
            process.stop()

    def _after_step(self, loop: ProcessLoop) -> None:
        process = self.process
        if process is None or loop is not process.loop:
            return
        invariants.queues_are_bounded(process, self.plan)
        if self.disk.off:
            self._down(process, Fault.KILL_WRITE)
        elif self._kill_at_step is not None and self.universe.steps >= self._kill_at_step:
            self._struck(Fault.KILL_STEP)
            self._down(process, Fault.KILL_STEP)
        elif process.main.done() and not self._stopping:
            self._down(process, "error" if process.main.exception() else "stopped")

    def _down(self, process: Process, why: str) -> None:
        self._ended(process, why)
        self._bury(process)
        self.process = None
        if self.plan.has(Fault.POWER) and not self._calm and why != Fault.TERM and self._rng.random() < 0.6:
            self._struck(Fault.POWER)
            self.record.happened("power", self.disk.lose_power())
        self._outside_loop.call_later(self._rng.uniform(0.1, 4.0), self._start)

    def _ended(self, process: Process, why: str) -> None:
        error = process.main.exception() if process.main.done() else None
        self.record.ended.append(Ended(process.number, self.universe.now, why, error))
        self.record.happened("end", self.universe.now, process.number, why, type(error).__name__)
        self.record.scrapes[process.number] = process.scrape()
        self.record.feed_states[process.number] = process.feed_states
        for unheard in process.loop.errors:
            # A caller that was cancelled in the very step in which its commit failed: the daemon ends of it anyway.
            if error is None or not isinstance(unheard.get("exception"), CommitFailed):
                raise Violation("no task fails unheard", str(unheard))
        invariants.it_ends_by_itself_only_for_a_reason(self.record, error)

    def _bury(self, process: Process) -> None:
        """Take a process away, without anything that it might still do having an effect."""
        self.disk.off = True
        process.loop.kill()
        process.mounted.unmount()
        self.disk.off = False
        self._committing = False
        self.network.died(process.loop)

    def _running(self) -> Process | None:
        return self.process

    # ------------------------------------------------------------------ faults

    def _struck(self, fault: Fault, process: int | None = None) -> None:
        """Note a fault of a process, None: of the one that runs now."""
        self.record.struck.append((fault, self.universe.now, self._number if process is None else process))
        self.record.happened(str(fault), self.universe.now)

    def _disk_operation(self, op: Op, name: str) -> None:
        if self.process is None or self._calm:
            return
        if op is Op.SYNC and self.plan.has(Fault.SLOW_DISK) and self._rng.random() < 0.03:
            self._disk_waits_s += self._rng.uniform(0.3, 6.0)
            # While the journal commits, the attic and snapshots may write in threads of their own: that nobody waits
            # for.
            if self._committing and name in JOURNAL_FILES:
                self._struck(Fault.SLOW_DISK)
        if op is Op.WRITE and self.universe.now < self._full_until:
            raise disk_full()
        if self._doom is None:
            return
        kind, operation = self._doom
        self._operations += 1
        if self._operations < operation:
            return
        if kind is Fault.KILL_WRITE:
            self._doom = None
            self._struck(kind)
            self.disk.off = True
        elif kind is Fault.SYNC_ERROR and op is Op.SYNC:
            self._doom = None
            self._struck(kind)
            for file in self.disk.names.values():
                self.disk.forget_pending(file)
            raise sync_failed()
        elif kind is Fault.DISK_FULL and op is Op.WRITE:
            self._doom = None
            self._struck(kind)
            self._full_until = self.universe.now + self._rng.choice((0.0, 5.0, 20.0))
            raise disk_full()
        elif kind is Fault.WRITE_ERROR and op is Op.WRITE:
            self._doom = None
            self._struck(kind)
            raise write_failed()

    def _waited_s(self) -> float:
        waits_s, self._disk_waits_s = self._disk_waits_s, 0.0
        return waits_s

    async def _step_clocks(self) -> None:
        for _ in range(self._rng.randint(1, 3)):
            await asyncio.sleep(self._rng.uniform(0.0, self.plan.span_s))
            if not self._calm:
                self.clock.wall_offset_ms += self._rng.choice((-STEP_MS, STEP_MS))
                if (
                    self.process is not None and self.process.ready
                ):  # else it was so when the process looked first
                    self._struck(Fault.CLOCK)

    # ------------------------------------------------------------------ what processes tell

    def _acknowledged(self, events: Sequence[Event]) -> None:
        for event in events:
            self.record.acknowledged[event.id] += 1
        self.record.happened("acknowledged", self.universe.now, [event.id for event in events])

    def _durable(self, leads: Sequence[Lead]) -> None:
        self.record.durable_leads.update(lead.lead for lead in leads)

    def _receipt(self, ids: Sequence[int]) -> None:
        self.record.receipts += [(id, self._outside.posts) for id in ids]
        self.record.happened("receipt", self.universe.now, list(ids))

    def _shown(self, message: bytes) -> None:
        for row in orjson.loads(message).get("viewers", ()):
            self.record.shown_points.add(row["points"])
            if row["lead"] is not None and row["lead"] not in self.record.durable_leads:
                self.record.shown_early.append(row["lead"])

    def _lagged(self) -> None:
        self.record.lagged += 1

    def _is_committing(self, now: bool) -> None:
        self._committing = now

    # ------------------------------------------------------------------ making

    def _feeds(self, stream: Sequence[Sent]) -> None:
        """Give each room one or two feeds: of two, each sends about half, and some events come through both."""
        rng = self.plan.draws.stream("feeds")
        for room in room_refs(self.plan):
            mine = of_room(stream, room)
            kinds = rng.sample(("http", "websocket", "mqtt"), rng.randint(1, 2))
            for index, kind in enumerate(kinds):
                part = [
                    sent
                    for sent in mine
                    if len(kinds) == 1 or rng.random() < 0.1 or sent.event.at % 2 == index
                ]
                self._feed(kind, f"{kind}-{room.id}", room, part)

    def _feed(self, kind: str, name: str, room: Any, stream: list[Sent]) -> None:
        rng = self.plan.draws.stream(f"feed {name}")
        match kind:
            case "http":
                self._senders.append(HttpSender(self._outside, room, stream, rng))
            case "websocket":
                server = WebSocketServer(self._outside, stream, rng)
                self._senders.append(server)
                self._clients.append((name, room, WebSocketClient, server))
            case _:
                broker = MqttBroker(self._outside, stream, rng)
                self._senders.append(broker)
                self._clients.append((name, room, MqttClient, broker))

    def _format(self) -> None:
        mounted = Mounted(self.disk, _folder())
        Store.open(mounted.path, vfs=mounted.name).close()
        mounted.unmount()
        self.disk.sync_names()


@functools.cache
def _folder() -> Path:
    """Return where the empty real files are: one folder a process, since making folders is dear."""
    made = tempfile.TemporaryDirectory(prefix="frontrow-simulation-")
    atexit.register(made.cleanup)
    return Path(made.name)


@contextlib.contextmanager
def _quiet_logs(record: Record) -> Iterator[None]:
    def keep(_logger: Any, method: str, event: Any) -> Any:
        record.logs.append({"level": method, **event})
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[keep])
    try:
        yield
    finally:
        structlog.configure(**before)
