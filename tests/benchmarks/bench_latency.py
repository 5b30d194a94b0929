"""How long an event takes from HTTP to its viewer's row on the host's WebSocket, and what that costs.

Run: ``make bench``, or alone ``pytest -s -o addopts=--import-mode=importlib tests/benchmarks/bench_latency.py``

The real daemon with its defaults runs in a process of its own, its journal on the disk; a sender (``post_load.py``)
runs in another, and this process is the panel, all on the loopback. The sender posts batches of a simulated busy room
at their times, whether or not earlier posts were answered, so that a slow daemon is not spared. One event of each
post is a probe: a like of one of 20 hot viewers in turn, which changes ``last_at`` in that viewer's row.

- *event to row*: from the moment before the probe's POST is written to the moment at which a WebSocket message with that
  viewer's row, its ``last_at`` not before the probe, has arrived.
- *POST to answer*: the same POSTs, until the answer, which comes when the events are durable.
- *load behind time*: how late the sender wrote its POSTs; were it much, the other figures would tell of the load.

All in milliseconds, over all probes of a round; each round has a new daemon and a new store, and the median over
rounds is told. *CPU* is the daemon's processor time (all of its threads) per second of the load, 100 % being one core.

What bounds it: at a low rate nothing but design. A frame waits up to 20 ms for company (``intake.frame_ms``), a commit
waits for the disk, and a panel is sent at most one delta in 60 ms (``DELTA_EVERY_S``): people cannot read faster, and a
row that changes ten times in it is sent once. An event therefore waits 0 to 60 ms, 30 ms on average, for the
panel's turn. At a high rate frames of some milliseconds, one after the other, stand before the panel's turn as well.
"""

import asyncio
import os
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
import pytest
from websockets.asyncio.client import ClientConnection, connect

from frontrow.clock import SystemClock
from frontrow.core.events import Event
from frontrow.runtime.access import Role, make_token
from frontrow.runtime.panel import DELTA_EVERY_S
from frontrow.storage.store import Store
from frontrow_models.simulate.busy import busy_room
from tests.benchmarks.harness import MEBIBYTE, ROUNDS, median, percentile, table
from tests.benchmarks.post_load import NOW, NUMBER, Plan, Post
from tests.support.daemons import ROOT, SOURCE_ROOTS, Process, process, write_config

pytestmark = pytest.mark.timeout(900)

SECONDS = 15
WARM_UP_S = 2.0  # connections and caches; what is sent in it is not told
POST_EVERY_S = 0.02
LARGEST_BATCH = 200
PROBES = [f"probe-{number:02}" for number in range(20)]
SESSION = "broadcast"
VIEWERS = 50_000
PATIENCE_S = 10.0

# The panel shows 50 viewers. While the model is not ready they are in the order of points, and the probes have more
# than anybody: so they are on the list to the end. The model scores and learns all the same.
CONFIG = "[model]\nmin_labels = 1_000_000_000\n"

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast a round sends."""

    events_per_s: int

    @property
    def batch(self) -> int:
        return min(LARGEST_BATCH, round(self.events_per_s * POST_EVERY_S))

    @property
    def every_s(self) -> float:
        return self.batch / self.events_per_s

    @property
    def posts(self) -> int:
        return round((SECONDS + WARM_UP_S) / self.every_s)


@dataclass(slots=True)
class Round:
    """What one round measured; times in seconds."""

    to_row: list[float] = field(default_factory=list)
    to_answer: list[float] = field(default_factory=list)
    behind: list[float] = field(default_factory=list)
    missing: int = 0  # probes whose row never came
    refused: int = 0  # posts that were not answered with 200
    cpu_share: float = 0.0
    resident: int = 0
    commit_s: float = 0.0  # on average


class Sender:
    """The program of ``post_load.py``, its connections open, waiting to begin."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        file = folder / f"{plan.first}-plan.json"
        file.write_bytes(_encoder.encode(plan))
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.post_load", str(file)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([*SOURCE_ROOTS, str(ROOT)])},
        )
        assert self._line() == b"ready\n"

    def begin(self) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.write(b"go\n")
        self._popen.stdin.flush()

    async def over(self) -> list[Post]:
        """Wait until all is answered, and return what became of each post."""
        return msgspec.json.decode(await asyncio.to_thread(self._line), type=list[Post])

    def end(self) -> None:
        self._popen.kill()
        self._popen.communicate()

    def _line(self) -> bytes:
        assert self._popen.stdout is not None
        line = self._popen.stdout.readline()
        assert line, "the sender ended early"
        return line


@contextmanager
def sending(plan: Plan, folder: Path) -> Iterator[Sender]:
    """Start a sender, and make sure that it is gone when the block ends."""
    sender = Sender(plan, folder)
    try:
        yield sender
    finally:
        sender.end()


def template(events: list[Event]) -> bytes:
    """Return a body with places for the post's number and its time; ids hold the one, ``at`` is the other."""
    at = int(NOW)
    made = [
        msgspec.structs.replace(each, id=f"{NUMBER.decode()}-{index}", at=at, session=SESSION)
        for index, each in enumerate(events)
    ]
    return _encoder.encode(made)


def crowd(batches: int, size: int) -> Iterator[list[Event]]:
    """Yield batches of a busy room's events, without its start."""
    events = busy_room(events=batches * size + 1, viewers=VIEWERS, platform="test", room="r1")
    next(events)
    for _ in range(batches):
        yield [next(events) for _ in range(size)]


def probe(kind: str, viewer: str, at: int = int(NOW)) -> Event:
    return Event(
        id=f"{kind}-{viewer}", platform="test", room="r1", session=SESSION, kind=kind, at=at, viewer=viewer
    )


def write_templates(rate: Rate, path: Path) -> None:
    """Write the bodies: each ends with the probe whose turn it is."""
    batches = crowd(rate.posts, rate.batch - 1)
    lines = [
        template([*batch, probe("like", PROBES[number % len(PROBES)])])
        for number, batch in enumerate(batches)
    ]
    path.write_bytes(b"\n".join(lines))


def admin_token(folder: Path) -> str:
    """Make a token beside the running daemon, as the command line does."""
    made = make_token(os.urandom(32), role=Role.ADMIN, room=None, label="benchmark", now=0, expires_at=None)
    store = Store.open(folder / "data" / "frontrow.db", create=False)
    store.token_add(made.row)
    store.close()
    return made.token


def mean_commit_s(metrics: str) -> float:
    """Return the mean of the daemon's own histogram of commits."""
    sums = dict(re.findall(r"^frontrow_journal_fsync_seconds_(sum|count) (\S+)$", metrics, re.MULTILINE))
    return float(sums["sum"]) / float(sums["count"])


def cpu_s(process: psutil.Process) -> float:
    """Return the processor time that a process and its threads have used."""
    times: Any = process.cpu_times()
    return float(times.user + times.system)


Seen = list[tuple[float, str, int]]  # when a row arrived, whose it is, its last_at


async def watch(socket: ClientConnection, seen: Seen) -> None:
    """Note when the probes' rows arrive, until cancelled."""
    probes = frozenset(PROBES)
    while True:
        data = await socket.recv()
        arrived = time.perf_counter()
        for row in _decoder.decode(data).get("viewers", ()):
            if row["viewer"] in probes:
                seen.append((arrived, row["viewer"], row["last_at"]))


def probe_of(post: Post) -> str:
    """Return whose turn it was in a post."""
    return PROBES[post.number % len(PROBES)]


def latencies(posts: list[Post], seen: Seen) -> tuple[list[float], int]:
    """Return how long each post's probe took to its row, and how many rows never came."""
    arrivals: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
    for arrived, viewer, last_at in seen:
        arrivals[viewer].append((arrived, last_at))
    found: list[float] = []
    missing = 0
    next_of: defaultdict[str, int] = defaultdict(int)
    for post in sorted(posts, key=lambda post: (post.at, post.number)):
        rows, index = arrivals[probe_of(post)], next_of[probe_of(post)]
        while index < len(rows) and (rows[index][1] < post.at or rows[index][0] < post.sent):
            index += 1
        next_of[probe_of(post)] = index
        if index < len(rows):
            found.append(rows[index][0] - post.sent)
        else:
            missing += 1
    return found, missing


async def one_round(daemon: Process, url: str, folder: Path, rate: Rate) -> Round:
    """Put the load on a running daemon and watch its panel."""
    found, seen = Round(), Seen()
    token = admin_token(folder)
    headers = {"authorization": f"Bearer {token}"}
    bodies = folder / "bodies.ndjson"
    write_templates(rate, bodies)
    plan = Plan(
        url=url,
        path="/ingest/demo",
        token=token,
        bodies=str(bodies),
        posts=rate.posts,
        every_s=rate.every_s,
        connections=32,
    )
    async with (
        httpx.AsyncClient(base_url=url, headers=headers, timeout=PATIENCE_S) as http,
        connect(f"{url.replace('http', 'ws', 1)}/ws/host/demo?token={token}", max_size=None) as socket,
    ):
        for kind in ("product_click", "cart_add", "form_submit"):  # a hundred points for every probe
            now = SystemClock().now()
            answer = await http.post(
                "/ingest/demo", content=_encoder.encode([probe(kind, viewer, now) for viewer in PROBES])
            )
            assert answer.status_code == 200, answer.text
        watching = asyncio.create_task(watch(socket, seen), name="panel")
        try:
            with sending(plan, folder) as sender:
                running = psutil.Process(daemon.popen.pid)
                before, began = cpu_s(running), time.perf_counter()
                sender.begin()
                posts = await sender.over()
                found.cpu_share = (cpu_s(running) - before) / (time.perf_counter() - began)
            found.resident = running.memory_info().rss
            last = max(post.at for post in posts)
            patience = time.perf_counter() + PATIENCE_S
            while not any(last_at >= last for _, _, last_at in seen[-50:]) and not watching.done():
                await asyncio.sleep(0.05)
                if time.perf_counter() > patience:
                    break
            await asyncio.sleep(2 * DELTA_EVERY_S)
        finally:
            watching.cancel()
            await asyncio.wait((watching,))
        if not watching.cancelled():
            watching.result()  # the daemon has closed the panel; this says why
        found.commit_s = mean_commit_s((await http.get("/metrics")).text)
    told = [post for post in posts if post.due - posts[0].due >= WARM_UP_S and post.status == 200]
    found.refused = sum(post.status != 200 for post in posts)
    found.to_row, found.missing = latencies(told, seen)
    found.to_answer = [post.answered - post.sent for post in told]
    found.behind = [post.sent - post.due for post in told]
    return found


@pytest.mark.parametrize("events_per_s", [1_000, 5_000, 20_000])
async def test_from_http_to_the_panel(tmp_path: Path, events_per_s: int) -> None:
    rate = Rate(events_per_s)
    found: list[Round] = []
    for number in range(ROUNDS):
        folder = tmp_path / str(number)
        folder.mkdir()
        with process("run", "--config", str(write_config(folder, CONFIG)), cwd=folder) as daemon:
            found.append(await one_round(daemon, daemon.until_listening(), folder, rate))
            code, _, err = daemon.end()
            assert code == 0, err
    assert not any(each.missing for each in found), "a probe's row never came"

    def line(name: str, times: list[list[float]]) -> tuple[object, ...]:
        shares = (0.5, 0.99, 1.0)
        return (
            name,
            *(f"{median(percentile(each, share) for each in times) * 1000:.1f}" for share in shares),
            f"{min(map(len, times)):,}",
        )

    cpu = " ".join(f"{each.cpu_share:.0%}" for each in found)
    commit = median(each.commit_s for each in found) * 1000
    resident = median(each.resident for each in found) / MEBIBYTE
    notes = [
        f"{rate.batch} events a POST. The daemon's CPU: {cpu} of one core; {resident:,.0f} MiB resident at the end.",
        f"Its own account: a commit takes {commit:.1f} ms on average; a delta is sent each {DELTA_EVERY_S * 1000:.0f} ms.",
    ]
    if refused := sum(each.refused for each in found):
        notes.append(f"Posts refused: {refused}.")
    late_s = median(percentile(each.behind, 0.99) for each in found)
    if late_s > POST_EVERY_S:
        notes.append(
            "The load itself was late: the machine was too busy for these figures to tell of the daemon."
        )
    table(
        f"From HTTP to the panel at {events_per_s:,} events/s for {SECONDS} s, in ms, median of {ROUNDS} rounds",
        ("what", "p50", "p99", "max", "a round"),
        [
            line("event to row", [each.to_row for each in found]),
            line("POST to answer", [each.to_answer for each in found]),
            line("load behind time", [each.behind for each in found]),
        ],
        *notes,
    )
