"""``kill -9`` at any moment of a real daemon under load: nothing acknowledged is lost, nothing is stored twice.

One evening is one store, three senders that know what was acknowledged, and daemons that are killed one after another
in the middle of whatever they do, each started again at once. In the end the journal must hold what was sent, exactly
once, and a replay of it must give the leads that are stored and one model. Run one evening again with
``FRONTROW_TEST_SEED=n``; the moments of the kills are drawn again, though what the machine does between them is its
own.
"""

import asyncio
import contextlib
import json
import random
import shutil
import signal
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from frontrow.cli import DONE
from frontrow.storage.attic import path_beside
from frontrow.storage.doctor import examine
from tests.crash.checks import assert_once, assert_replays_to_itself, leads_as_replayed, rows, stored_ids
from tests.crash.incarnations import (
    Incarnation,
    Zygote,
    make_token,
    until_ready,
    until_written,
)
from tests.crash.senders import HttpSender, MqttSender, Sender, SocketSender
from tests.support.daemons import write_config
from tests.support.http_server import Reply, ScriptedServer, scripted_server
from tests.support.mosquitto import Mosquitto, needs_broker
from tests.support.ports import stable_port

DRAIN_S = 120.0

CONFIG = """
[outcome]
horizon_s = 60
[model]
min_labels = 50
min_positives = 3
snapshot_every_s = 10
[[feeds]]
id = "socket"
room = "demo"
connector = "websocket"
url = "ws://127.0.0.1:{socket}"
[[feeds]]
id = "broker"
room = "demo"
connector = "mqtt"
host = "127.0.0.1"
port = {broker}
[[sinks]]
id = "crm"
kind = "webhook"
url = "{crm}/hook"
secret = "a-secret-of-tests"
freshness_s = 86400
[engine]
idle_s = 60
[storage]
snapshot_every_s = {snapshot_every_s}
"""
SELDOM_S, ALWAYS_S = 60, 1  # between two snapshots; the latter is as often as can be configured

# What the daemon does when it dies, and how often that is drawn. The first word of each is what test output tells.
PHASES = {"starting": 3, "working": 3, "committing": 3, "checkpointing": 2, "stopping": 3, "snapshotting": 6}
WITHOUT_SNAPSHOTS = {**PHASES, "snapshotting": 0}


@dataclass
class Evening:
    """One store and what is around it."""

    store: Path
    config: Path
    warm: Zygote
    senders: Sequence[Sender]
    crm: ScriptedServer
    dice: random.Random
    phases: Mapping[str, int]
    start_s: float = 1.0  # how long a start took last
    kills: Counter[str] = field(default_factory=Counter)
    halves: int = 0  # how many kills left half a snapshot

    async def kill_one(self) -> None:
        """Start a daemon and kill it in a phase that is drawn; one that ended before the blow does not count."""
        [phase] = self.dice.choices(list(self.phases), list(self.phases.values()))
        daemon = self.warm.run(self.config)
        await self._reach(phase, daemon)
        daemon.signal(signal.SIGKILL)
        code = await asyncio.to_thread(daemon.wait)
        complaint = daemon.complaint()
        assert "Traceback" not in complaint, complaint
        if code == -signal.SIGKILL:
            self.kills[phase] += 1
            self.halves += any(self.store.with_name(self.store.name + ".snapshots").glob("*.part"))
        else:
            assert (phase, code) == ("stopping", DONE), f"{phase}: it ended with {code}: {complaint}"

    async def _reach(self, phase: str, daemon: Incarnation) -> None:
        dice = self.dice
        if phase == "starting":
            await asyncio.sleep(dice.uniform(0.0, 1.2 * self.start_s))
            return
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.to_thread(until_ready, daemon)
        self.start_s = loop.time() - began
        await asyncio.sleep(dice.uniform(0.0, 0.8))
        match phase:
            case "committing":
                log = self.store.with_name(self.store.name + "-wal")
                await asyncio.to_thread(until_written, log, daemon, patience_s=1.0)
                await asyncio.sleep(dice.uniform(0.0, 0.003))
            case "checkpointing":
                await asyncio.to_thread(until_written, self.store, daemon, patience_s=3.0)
            case "snapshotting":
                # Its parts in turn: the attic is made durable, then the file is written, named, and others removed.
                part = dice.choice((".attic-wal", ".attic", ".snapshots", ".snapshots"))
                path = self.store.with_name(self.store.name + part)
                await asyncio.to_thread(until_written, path, daemon, patience_s=3.0)
                await asyncio.sleep(dice.uniform(0.0, 0.01))
            case "stopping":
                daemon.signal(signal.SIGTERM)
                await asyncio.sleep(dice.uniform(0.0, 0.3))

    def look(self, folder: Path) -> None:
        """Look at what a killed daemon left, in a copy: opening it would mend what the next start has to mend."""
        for name in (self.store.name, f"{self.store.name}-wal"):
            if (self.store.parent / name).exists():
                shutil.copy(self.store.parent / name, folder / name)
        owed = set[str]().union(*(each.acknowledged for each in self.senders if each.name != "mqtt"))
        assert_once(stored_ids(folder / self.store.name), owed)

    async def finish(self) -> None:
        """Let one last daemon take everything that is still under way, and end in order."""
        daemon = self.warm.run(self.config)
        await asyncio.to_thread(until_ready, daemon)
        for sender in self.senders:
            sender.stop_making()
        sent = sum(len(sender.sent) for sender in self.senders)
        async with asyncio.timeout(DRAIN_S):
            while not (
                all(sender.done for sender in self.senders)
                and sum(n for (n,) in rows(self.store, "SELECT sum(events) FROM frames")) >= sent
                and rows(self.store, "SELECT count(*) FROM outbox WHERE state = 'pending'") == [(0,)]
            ):
                assert daemon.alive, daemon.complaint()
                await asyncio.sleep(0.1)
        daemon.signal(signal.SIGTERM)
        assert await asyncio.to_thread(daemon.wait) == DONE, daemon.complaint()


@contextlib.asynccontextmanager
async def evening(
    warm: Zygote, folder: Path, seed: int, snapshot_every_s: int, phases: Mapping[str, int]
) -> AsyncIterator[Evening]:
    """Set up the broker, the servers and the senders of one evening; the senders run until the block ends."""
    dice = random.Random(seed)
    port = stable_port(dice)
    broker = Mosquitto(folder, "allow_anonymous true", "max_queued_messages 0", "max_queued_bytes 0")
    await broker.start()
    socket = SocketSender(random.Random(seed + 1), warm.clock)
    mqtt = MqttSender(random.Random(seed + 2), warm.clock, port=broker.port, session="frontrow-broker")
    await mqtt.open_session()
    try:
        async with scripted_server(Reply(204)) as crm, asyncio.TaskGroup() as group:
            tasks = [group.create_task(socket.run())]
            while not socket.port:
                await asyncio.sleep(0)
            more = CONFIG.format(
                socket=socket.port, broker=broker.port, crm=crm.url, snapshot_every_s=snapshot_every_s
            )
            config = write_config(folder, more)
            config.write_text(config.read_text("utf-8").replace("port = 0", f"port = {port}", 1), "utf-8")
            http = HttpSender(
                random.Random(seed + 3), warm.clock, url=f"http://127.0.0.1:{port}", token=make_token(config)
            )
            tasks += [group.create_task(http.run()), group.create_task(mqtt.run())]
            store = folder / "data" / "frontrow.db"
            yield Evening(store, config, warm, (http, socket, mqtt), crm, dice, phases)
            for task in tasks:
                task.cancel()
    finally:
        await broker.stop()


async def spend(
    warm: Zygote,
    folder: Path,
    seed: int,
    *,
    kills: int,
    look_every: int,
    snapshot_every_s: int = SELDOM_S,
    phases: Mapping[str, int],
) -> Evening:
    """Spend one evening with so many kills, and check all that must hold at its end."""
    copies = folder / "copies"
    copies.mkdir(parents=True)
    async with evening(warm, folder, seed, snapshot_every_s, phases) as one:
        looked = 0
        while one.kills.total() < kills:
            await one.kill_one()
            if one.kills.total() >= looked + look_every:
                looked = one.kills.total()
                await asyncio.to_thread(one.look, copies)
        await one.finish()
    await asyncio.to_thread(check, one, folder)
    return one


def check(one: Evening, folder: Path) -> None:
    sent = set[str]().union(*(sender.sent for sender in one.senders))
    found = stored_ids(one.store)
    assert_once(found, sent)
    assert found.keys() == sent
    summary = assert_replays_to_itself(one.store, one.config, folder / "replayed")
    leads = {json.loads(line)["lead"] for line in leads_as_replayed(one.store).splitlines()}
    assert len(leads) == summary["leads"] > 0
    alerts = [lead for (lead,) in rows(one.store, "SELECT substr(key, 5) FROM outbox WHERE state = 'sent'")]
    assert sorted(alerts) == sorted(leads)  # each once, and none of a lead that is not there
    assert {json.loads(request.body)["data"]["lead"] for request in one.crm.requests} == leads
    assert rows(one.store, "PRAGMA integrity_check") == [("ok",)]
    examination = examine(one.store)
    assert examination.sound, examination.lines()
    assert any(note.startswith("snapshot at frame") for note in examination.notes)
    attic = path_beside(one.store)
    assert rows(attic, "SELECT count(*) > 0 FROM entries") == [(1,)]  # whoever was idle has left memory
    model = summary["model"]
    assert 0 < model["positives"] < model["labels"]
    print(  # noqa: T201  # pytest shows it where a test fails, or with -s
        f"kills {dict(one.kills)}, {one.halves} with half a snapshot; {len(sent)} events, {summary['leads']} leads, {model['labels']} labels,"
        f" {sum(sender.repeats for sender in one.senders)} batches sent again,"
        f" a start took {one.start_s:.2f} s"
    )


@needs_broker
@pytest.mark.timeout(240)
async def test_five_kills_lose_nothing(warm: Zygote, tmp_path: Path, seed: int) -> None:
    one = await spend(warm, tmp_path, seed, kills=5, look_every=1, phases=WITHOUT_SNAPSHOTS)
    assert one.kills.total() == 5


@needs_broker
@pytest.mark.timeout(240)
async def test_kills_while_snapshots_are_taken_all_the_time_lose_nothing(
    warm: Zygote, tmp_path: Path, seed: int
) -> None:
    """What is left of one is half a snapshot at most; the next start goes on from a whole one, and to the same leads."""
    one = await spend(
        warm, tmp_path, seed, kills=6, look_every=2, snapshot_every_s=ALWAYS_S, phases={"snapshotting": 1}
    )
    assert one.kills.total() == 6


@pytest.mark.broker
@pytest.mark.long
@needs_broker
@pytest.mark.timeout(2_400)
async def test_two_hundred_kills_lose_nothing(warm: Zygote, tmp_path: Path, seed: int) -> None:
    """Eight evenings: a store that is short enough to be looked at whole, and for starts that are not all reading.

    Every other one takes snapshots all the time; in between starts read the whole journal.
    """
    kills: Counter[str] = Counter()
    halves = 0
    for number in range(8):
        often = number % 2 == 1
        one = await spend(
            warm,
            tmp_path / str(number),
            seed * 1_000 + number,
            kills=25,
            look_every=5,
            snapshot_every_s=ALWAYS_S if often else SELDOM_S,
            phases=PHASES if often else WITHOUT_SNAPSHOTS,
        )
        kills += one.kills
        halves += one.halves
    assert kills.total() == 200
    assert set(kills) == set(PHASES)
    assert halves
