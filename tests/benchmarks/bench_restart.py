"""How long a restart takes with 1,000,000 viewers in memory: from the start of the process until it scores again.

Run: ``make bench``, or alone ``pytest -s -o addopts=--import-mode=importlib tests/benchmarks/bench_restart.py``

What a daemon would leave behind is made beforehand, by the product's own code: 1,000,000 viewers of one room have
entered at 5,000 events a second, and lie in the journal (one event each). A daemon is started on it and stopped in
order, which writes a snapshot. Then 60 s more of a busy room follow in the journal, 300,000 events at the same rate.
All of it has just happened, so nobody is idle and every label is still open: the most that such viewers can hold.

Each start is ``frontrow run`` in a process of its own, which is then given one event, and killed. *Ready* is when it
says where it listens, *scoring* when it has answered for that event, which it does after the commit. That all viewers
are there again is read from its metrics. With the snapshot there are two starts, and the median is told; *from the
journal alone* is the first start, which has 1,000,000 events to read and no snapshot.

What bounds it: one core. The imports and the lexicon take the first seconds of any start; then bytes to unpack, an
id and a name for each viewer to make a text of, and for the tail the same engine as in ``bench_engine.py``.
"""

import contextlib
import itertools
import json
import os
import re
import signal
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil
import pytest

from frontrow.app.parts import load_config
from frontrow.clock import SystemClock
from frontrow.core import facts
from frontrow.core.events import Event, encode_event
from frontrow.core.frames import Frame
from frontrow.runtime.access import Role, make_token
from frontrow.storage.snapshots import Snapshots
from frontrow.storage.store import Commit, Store
from frontrow_models.simulate.busy import busy_room, viewer_id
from tests.benchmarks.harness import in_turn, median, table
from tests.support.daemons import process, write_config

pytestmark = pytest.mark.timeout(900)

VIEWERS = 1_000_000
EVENTS_PER_S = 5_000
TAIL_S = 60
FRAME_EVENTS = 1_024
FRAMES_PER_COMMIT = 8
STARTS = 2
TARGET_S = 10
SEED = 7


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from the start of the process; ``cpu_s`` is what it had used when it was ready.

    ``snapshot`` is the frame of the snapshot that it began with, or 0, and ``events`` what it applied after it.
    """

    ready_s: float
    scoring_s: float
    cpu_s: float
    resident: int
    snapshot: int
    events: int


def entries(start: int) -> Iterator[Event]:
    """Yield everybody's entry."""
    for who in range(VIEWERS):
        at = start + who * 1000 // EVENTS_PER_S
        yield Event(
            id=f"{start}-{who:07}", platform="test", room="r1", session="s1", kind="enter", at=at, seen_at=at,
            viewer=viewer_id(SEED, who), name=f"观众小鱼{who:x}",
        )  # fmt: skip


def tail(start: int) -> Iterator[Event]:
    """Yield what follows after the snapshot."""
    busy = busy_room(
        seed=SEED,
        events=TAIL_S * EVENTS_PER_S + 1,
        viewers=VIEWERS,
        events_per_s=EVENTS_PER_S,
        start=start,
        platform="test",
        room="r1",
    )
    for event in itertools.islice(busy, 1, None):  # the broadcast has begun already
        yield msgspec.structs.replace(event, session="s1", seen_at=event.at)


def write_journal(config: Path, events: Iterator[Event]) -> None:
    """Append events to the store's journal, as a daemon would have."""
    with contextlib.closing(Store.open(load_config(config, {}).storage.path)) as store:
        frames = iter(lambda: list(itertools.islice(events, FRAME_EVENTS)), [])
        while some := list(itertools.islice(frames, FRAMES_PER_COMMIT)):
            store.append([Commit(Frame.of(each, facts_of(each)), (), (), each[-1].at) for each in some])


def facts_of(events: list[Event]) -> list[int]:
    """Return what the words would give, as often as in a busy room: a fifth of the comments are questions."""
    return [facts.PRICE if event.kind == "comment" and event.at % 5 == 0 else 0 for event in events]


def make_tokens(config: Path) -> dict[Role, str]:
    with contextlib.closing(Store.open(load_config(config, {}).storage.path)) as store:
        made = {
            role: make_token(os.urandom(32), role=role, room=None, label="bench", now=0, expires_at=None)
            for role in (Role.INGEST, Role.ADMIN)
        }
        for each in made.values():
            store.token_add(each.row)
    return {role: each.token for role, each in made.items()}


def start(config: Path, tokens: dict[Role, str], *, stop: bool = False) -> Start:
    """Start the daemon, have one event scored, and kill it, or ``stop`` it in order."""
    began = time.perf_counter()
    telling = {"FRONTROW__LOG__LEVEL": "info"}
    with process("run", "--config", str(config), cwd=config.parent, environ=telling) as daemon:
        url = daemon.until_listening()
        ready_s = time.perf_counter() - began
        usage = psutil.Process(daemon.popen.pid)
        times = usage.cpu_times()
        now = SystemClock().now()
        event = Event(
            id=f"probe-{now}", platform="test", room="r1", kind="like", at=now, viewer=viewer_id(SEED, 0)
        )
        answer = json.loads(ask(f"{url}/ingest/demo", tokens[Role.INGEST], encode_event(event)))
        scoring_s = time.perf_counter() - began
        assert answer["accepted"] == 1
        metrics = ask(f"{url}/metrics", tokens[Role.ADMIN], None).decode()
        held = re.search(r"^frontrow_viewers_active (\S+)$", metrics, re.MULTILINE)
        assert held is not None
        assert int(float(held[1])) == VIEWERS
        resident = usage.memory_info().rss
        code, _, log = daemon.end(signal.SIGTERM if stop else signal.SIGKILL, timeout_s=120)
        assert code == (0 if stop else -signal.SIGKILL), log
        recovered = next(json.loads(line) for line in log.splitlines() if '"recovered"' in line)
        return Start(
            ready_s,
            scoring_s,
            times.user + times.system,
            resident,
            recovered["snapshot"],
            recovered["events"],
        )


def ask(url: str, token: str, body: bytes | None) -> bytes:
    request = urllib.request.Request(url, body, {"authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: bytes = answer.read()
    return found


def row(how: str, found: Sequence[Start]) -> tuple[object, ...]:
    return (
        how,
        f"{found[0].events:,}",
        f"{median(each.ready_s for each in found):.1f}",
        f"{median(each.scoring_s for each in found):.1f}",
        f"{median(each.cpu_s for each in found):.1f}",
        f"{median(each.resident for each in found) / 2**20:,.0f}",
    )


def test_restart(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    write_journal(config, entries(SystemClock().now() - VIEWERS * 1000 // EVENTS_PER_S))
    tokens = make_tokens(config)
    journal = start(config, tokens, stop=True)
    store = load_config(config, {}).storage.path
    assert len(Snapshots.beside(store).kept()) == 1
    write_journal(config, tail(SystemClock().now() - TAIL_S * 1000))
    snapshot = in_turn({"with": lambda: start(config, tokens)}, STARTS)["with"]
    assert journal.snapshot == 0
    assert all(each.snapshot > 0 and each.events >= TAIL_S * EVENTS_PER_S for each in snapshot)
    files = [file for folder in store.parent.glob("*.snapshots") for file in folder.iterdir()]
    table(
        f"From the start of the process with {VIEWERS:,} viewers in memory",
        ("how", "events to apply", "ready s", "scoring s", "CPU s till ready", "resident MiB"),
        [
            row(f"with a snapshot {TAIL_S} s old", snapshot),
            row("from the journal alone", [journal]),
        ],
        f"to reach: {TARGET_S} s with the snapshot, which has {max(map(_size, files)) / 2**20:,.0f} MiB",
    )


def _size(file: Path) -> int:
    return file.stat().st_size
