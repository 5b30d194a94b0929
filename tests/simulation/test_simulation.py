"""Thousands of seeds keep every invariant; one seed is one story, in any process; and the machinery itself is sound."""

import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from frontrow.core.events import Event, encode_event
from tests.simulation.disk import Disk, File, Mounted, Op, sync_failed
from tests.simulation.feeds import MqttBroker, Outside, WebSocketServer
from tests.simulation.invariants import Violation
from tests.simulation.loop import START_MS, ProcessLoop, SimulatedClock, Stuck, Universe, new_loop
from tests.simulation.network import Network
from tests.simulation.plan import Fault, Plan
from tests.simulation.simulation import Run
from tests.simulation.sinks import Receiver
from tests.simulation.workload import Sent

ROOT = Path(__file__).parents[2]
SEEDS = 300  # of one test; half a minute of one core
LEAST_OF_EACH_FAULT = 3  # in SEEDS; so that no fault has quietly ceased to happen


def simulate(*arguments: object, hash_seed: str = "random") -> subprocess.CompletedProcess[str]:
    """Run the command that repeats seeds."""
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )


def simulate_all(seeds: range) -> Counter[str]:
    """Run seeds in a process of their own; return how often each fault struck."""
    done = simulate(seeds.start, "--to", seeds.stop)
    if done.returncode:
        pytest.fail("\n".join((done.stdout + done.stderr).splitlines()[:60]), pytrace=False)
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["seeds"] == len(seeds)
    return Counter(told["faults"])


@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("first", range(0, 7 * SEEDS, SEEDS))
def test_every_invariant_holds_whatever_goes_wrong(first: int) -> None:
    """What no single crash test can show: that no moment and no combination of faults loses or doubles anything."""
    faults = simulate_all(range(first, first + SEEDS))
    seldom = {
        str(fault): faults[fault]
        for fault in Fault
        if fault not in QUIET and faults[fault] < LEAST_OF_EACH_FAULT
    }
    assert not seldom


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("first", range(0, 20_000, 1_000))
def test_every_invariant_holds_over_many_more_seeds(first: int) -> None:
    simulate_all(range(first, first + 1_000))


# These are in force for a whole run, and do not strike one by one.
QUIET = frozenset({Fault.LATE, Fault.SLOW_NETWORK, Fault.SMALL_QUEUE})


def story(seed: int) -> str:
    """Return the digest of a seed's run, whatever its verdict."""
    run = Run(Plan.of(seed))
    with contextlib.suppress(Violation):
        run.execute()
    return run.record.digest()


@pytest.mark.parametrize("seed", range(4))
def test_a_seed_is_one_story(seed: int) -> None:
    """A failing seed could not be repeated otherwise."""
    assert story(seed) == story(seed)


def test_a_seed_is_one_story_in_every_process() -> None:
    """Neither addresses nor the hashes of texts, which each process draws anew, may change it."""
    first, second = simulate(7, hash_seed="1"), simulate(7, hash_seed="2")
    assert "digest" in first.stdout, first.stderr
    assert first.stdout == second.stdout


# ---------------------------------------------------------------------- time


def make_loop(seed: int = 1) -> tuple[Universe, ProcessLoop]:
    universe = Universe(random.Random(seed))
    return universe, new_loop(universe, "test", random.Random(seed))


def test_an_hour_passes_at_once_and_clocks_agree() -> None:
    universe, loop = make_loop()
    clock = SimulatedClock(universe)
    began = clock.now()
    task = loop.spawn(asyncio.sleep(3_600.0), "sleeper")
    assert universe.run_until(task.done, 10_000.0)
    assert (universe.now, clock.now() - began) == (3_600.0, 3_600_000)


def test_callbacks_keep_their_order_and_equal_timers_do_not() -> None:
    """The first is asyncio's promise; the second is not, so that code which relies on it is found."""
    orders = set()
    for seed in range(20):
        universe, loop = make_loop(seed)
        told: list[str] = []
        for name in "abc":
            loop.call_soon(told.append, name)
            loop.call_later(1.0, told.append, name.upper())
        universe.run_until(lambda: False, 2.0)
        assert told[:3] == ["a", "b", "c"]
        orders.add("".join(told[3:]))
    assert len(orders) == 6


def test_calls_of_one_thread_run_in_order_one_at_a_time() -> None:
    universe, loop = make_loop()
    told: list[int] = []

    async def main() -> list[int]:
        return await asyncio.gather(*(loop.run_in_executor("thread", _tell, told, n) for n in range(5)))

    task = loop.spawn(main(), "main")
    assert universe.run_until(task.done, 10.0)
    assert told == task.result() == [0, 1, 2, 3, 4]


def _tell(told: list[int], number: int) -> int:
    told.append(number)
    return number


def test_a_killed_process_does_nothing_more() -> None:
    """Not even in its ``finally`` clauses, which a kill does not run."""
    universe, loop = make_loop()
    told: list[str] = []

    async def main() -> None:
        try:
            await asyncio.sleep(10.0)
        finally:
            await asyncio.sleep(1.0)
            told.append("finally")

    loop.spawn(main(), "main")
    universe.run_until(lambda: False, 5.0)
    loop.kill()
    universe.run_until(lambda: False, 50.0)
    assert told == []


def test_a_circle_without_time_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.simulation.loop.STUCK_STEPS", 100)
    universe, loop = make_loop()

    async def main() -> None:
        while True:
            await asyncio.sleep(0)

    loop.spawn(main(), "main")
    with pytest.raises(Stuck):
        universe.run_until(lambda: False, 1.0)


# ---------------------------------------------------------------------- faults


class Always(random.Random):
    """Draws whatever has a chance."""

    def random(self) -> float:
        return 0.0


def make_outside(*faults: Fault) -> tuple[Universe, Outside, list[tuple[Fault, int | None]]]:
    """Return an outside on which these faults strike whenever they can, and where they are noted."""
    universe, loop = make_loop()
    struck: list[tuple[Fault, int | None]] = []
    plan = replace(Plan.of(1), faults=frozenset(faults))
    network = Network(loop, random.Random(1), lambda: False)
    outside = Outside(
        plan, network, lambda: None, lambda: False, lambda fault, process: struck.append((fault, process))
    )
    return universe, outside, struck


@pytest.mark.parametrize("server", [WebSocketServer, MqttBroker])
@pytest.mark.parametrize("fault", [Fault.GARBAGE, Fault.DUPLICATES])
@pytest.mark.parametrize("dies", [False, True])
def test_what_a_broken_connection_does_not_take_is_no_fault(
    server: type[WebSocketServer | MqttBroker], fault: Fault, dies: bool
) -> None:
    """Nobody could see it: a process that died had the connection, and the next one never hears of it."""
    universe, outside, struck = make_outside(fault)
    daemon = new_loop(universe, "daemon", random.Random(1))
    event = Event(id="e", platform="test", room="r0", kind="like", at=START_MS)
    serving = server(outside, [Sent(5.0, event, encode_event(event))], Always())
    daemon.spawn(outside.network.connect(serving.serve, name="feed"), "feed")
    universe.run_until(lambda: False, 1.0)
    if dies:
        daemon.kill()
        outside.network.died(daemon)
    universe.run_until(lambda: False, 20.0)
    assert struck == ([] if dies else [(fault, None)])


def test_a_sinks_fault_is_noted_of_the_process_that_asked() -> None:
    """It may have died before its message arrived, and the one that runs by then was not asked anything."""
    universe, outside, struck = make_outside(Fault.SINK_HANGS)
    daemon = new_loop(universe, "daemon", random.Random(1))
    daemon.spawn(Receiver("hook", outside, Always()).post(3, [("key", "lead")]), "sending")
    universe.run_until(lambda: False, 0.0001)
    daemon.kill()
    universe.run_until(lambda: False, 20.0)
    assert struck == [(Fault.SINK_HANGS, 3)]


# ---------------------------------------------------------------------- the disk


def rows_of(disk: Disk, folder: Path) -> list[int]:
    """Return what SQLite finds on a disk."""
    mounted = Mounted(disk, folder)
    connection = apsw.Connection(str(mounted.path), vfs=mounted.name)
    found = [row for (row,) in connection.execute("SELECT a FROM t ORDER BY a")]
    connection.close()
    mounted.unmount()
    return found


def write_rows(
    disk: Disk, folder: Path, rows: int, *, synchronous: str = "FULL"
) -> tuple[Mounted, apsw.Connection]:
    """Commit rows one by one, and leave the process as it stands: a connection that nobody holds would be closed."""
    mounted = Mounted(disk, folder)
    connection = apsw.Connection(str(mounted.path), vfs=mounted.name)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", synchronous)
    connection.execute("CREATE TABLE IF NOT EXISTS t (a)")
    for row in range(rows):
        connection.execute("INSERT INTO t VALUES (?)", (row,))
    return mounted, connection


def crash(disk: Disk, process: tuple[Mounted, apsw.Connection]) -> None:
    disk.off = True
    process[0].unmount()
    disk.off = False


@pytest.mark.parametrize("seed", range(20))
def test_what_sqlite_has_synced_survives_a_power_cut(tmp_path: Path, seed: int) -> None:
    disk = Disk(random.Random(seed))
    crash(disk, write_rows(disk, tmp_path, 50))
    disk.lose_power()
    assert rows_of(disk, tmp_path) == list(range(50))


def test_what_it_has_not_synced_may_be_lost_and_is_never_torn(tmp_path: Path) -> None:
    """With NORMAL a commit is not synced: a power cut takes some of the last, and SQLite sees no half of one."""
    left = set()
    for seed in range(30):
        disk = Disk(random.Random(seed))
        crash(disk, write_rows(disk, tmp_path, 1))
        disk.sync_names()
        crash(disk, write_rows(disk, tmp_path, 30, synchronous="NORMAL"))
        disk.lose_power()
        rows = rows_of(disk, tmp_path)
        assert sorted({*rows, 0}) == list(range(max(rows) + 1))
        left.add(len(rows))
    assert len(left) > 3


def test_a_kill_alone_loses_nothing(tmp_path: Path) -> None:
    disk = Disk(random.Random(1))
    crash(disk, write_rows(disk, tmp_path, 30, synchronous="NORMAL"))
    assert rows_of(disk, tmp_path) == list(range(30))


def test_a_torn_write_leaves_whole_sectors() -> None:
    torn = 0
    for seed in range(200):
        disk = Disk(random.Random(seed))
        file = disk.create("f")
        disk.sync_names()
        file.write(0, b"\x01" * 4_096)
        disk.lose_power()
        sectors = [bytes(file.durable[start : start + 512]) for start in range(0, len(file.durable), 512)]
        assert all(sector in (b"\x01" * 512, bytes(512)) for sector in sectors)
        torn += 0 < sum(sector[0] for sector in sectors) < 8
    assert torn > 5


def test_what_a_failed_sync_was_to_keep_no_later_sync_keeps() -> None:
    """As on Linux: the pages read as before and count as clean."""
    disk = Disk(random.Random(1))
    file = disk.create("f")
    disk.sync_names()
    file.write(0, b"lost")
    disk.forget_pending(file)
    file.write(4, b"kept")
    disk.sync(file)
    assert bytes(file.cached) == b"lostkept"
    disk.lose_power()
    assert bytes(file.cached) == b"\0\0\0\0kept"


def test_files_made_and_deleted_are_pending_until_the_folder_is_synced() -> None:
    outcomes = set()
    for seed in range(30):
        disk = Disk(random.Random(seed))
        disk.create("old")
        disk.sync_names()
        disk.delete("old")
        disk.create("new")
        disk.lose_power()
        outcomes.add(tuple(sorted(disk.names)))
    assert {("old",), ("new",)} <= outcomes


def test_sqlite_hears_of_an_injected_fault(tmp_path: Path) -> None:
    disk = Disk(random.Random(1))
    process = write_rows(disk, tmp_path, 1)

    def fail(op: Op, _name: str) -> None:
        if op is Op.SYNC:
            raise sync_failed()

    disk.before = fail
    with pytest.raises(apsw.IOError) as raised:
        process[1].execute("INSERT INTO t VALUES (9)")
    assert getattr(raised.value, "extendedresult", None) == apsw.SQLITE_IOERR_FSYNC
    crash(disk, process)


def test_a_file_beyond_its_end_reads_as_nothing_and_fills_with_zeros() -> None:
    file = File()
    file.write(3, b"x")
    assert bytes(file.cached) == b"\0\0\0x"
    file.truncate(2)
    assert bytes(file.cached) == b"\0\0"
