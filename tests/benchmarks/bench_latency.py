"""How long an event takes from HTTP to the row on the host's panel, at 1,000 events a second for 30 s.

Run: ``make bench``, or alone ``pytest -s -o addopts=--import-mode=importlib tests/benchmarks/bench_latency.py``

The real daemon with its defaults runs in a process of its own, its journal on the disk; this process is the load and
the panel, on the loopback. Every 20 ms it posts 20 events of a simulated busy room, whether or not earlier posts were
answered, so that a slow daemon is not spared. One event of each post is a probe: a like of one of 20 hot viewers in
turn, which changes ``last_at`` in that viewer's row.

- *event to row*: from the moment before the probe's POST is sent to the moment at which a WebSocket message with that
  viewer's row, its ``last_at`` not before the probe, has arrived.
- *POST to answer*: the same POSTs, until the answer, which comes when the events are durable.
- *load behind time*: how late this process sent its POSTs; were it much, the other figures would tell of the load.

All in milliseconds, over all probes of a round; each round has a new daemon and a new store, and the median over
rounds is told. *CPU* is the daemon's processor time (all of its threads) per second of the load, 100 % being one core.

What bounds it: by design, and not work. A frame waits up to 20 ms for company (``intake.frame_ms``), a commit waits for
the disk, and a panel is sent at most one delta in 100 ms (``DELTA_EVERY_S``): people cannot read faster, and a row that
changes ten times a second is sent once. An event therefore waits 0 to 100 ms, 50 ms on average, for the panel's turn.
"""

import asyncio
import os
import re
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
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
from tests.support.daemons import Process, process, write_config

pytestmark = pytest.mark.timeout(900)

SECONDS = 30
EVENTS_PER_S = 1_000
POST_EVERY_S = 0.02
BATCH = round(EVENTS_PER_S * POST_EVERY_S)
POSTS = round(SECONDS / POST_EVERY_S)
PROBES = [f"probe-{number:02}" for number in range(20)]
SESSION = "broadcast"
VIEWERS = 50_000
PATIENCE_S = 10.0

# The panel shows 50 viewers. While the model is not ready they are in the order of points, and the probes have more
# than anybody: so they are on the list to the end. The model scores and learns all the same.
CONFIG = "[model]\nmin_labels = 1_000_000_000\n"

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


@dataclass(slots=True)
class Round:
    """What one round measured; times in seconds."""

    to_row: list[float] = field(default_factory=list)
    to_answer: list[float] = field(default_factory=list)
    behind: list[float] = field(default_factory=list)
    missing: int = 0  # probes whose row never came
    repeated: int = 0  # posts that were sent twice
    cpu_share: float = 0.0
    resident: int = 0
    commit_s: float = 0.0  # on average


class Panel:
    """The host's side: notes when the row of each probe arrives."""

    def __init__(self, found: Round) -> None:
        self._found = found
        self._awaited: defaultdict[str, deque[tuple[int, float]]] = defaultdict(deque)  # viewer → (at, sent)

    def expect(self, viewer: str, at: int, sent: float) -> None:
        """Say that a probe of this event time is being sent."""
        self._awaited[viewer].append((at, sent))

    @property
    def missing(self) -> int:
        """How many probes have not been seen."""
        return sum(map(len, self._awaited.values()))

    async def watch(self, socket: ClientConnection) -> None:
        """Read until cancelled."""
        while True:
            data = await socket.recv()
            arrived = time.perf_counter()
            for row in _decoder.decode(data).get("viewers", ()):
                awaited = self._awaited.get(row["viewer"])
                while awaited and awaited[0][0] <= row["last_at"]:
                    self._found.to_row.append(arrived - awaited.popleft()[1])


class Load:
    """The sender's side: posts on time, whatever happened to earlier posts."""

    def __init__(self, http: httpx.AsyncClient, panel: Panel, found: Round) -> None:
        self._http = http
        self._panel = panel
        self._found = found
        self._clock = SystemClock()
        crowd = busy_room(events=POSTS * (BATCH - 1), viewers=VIEWERS, platform="test", room="r1")
        self._crowd = list(crowd)  # made beforehand: it costs this process time that the posts need
        self._number = 0

    async def make_hot(self) -> None:
        """Give every probe a hundred points."""
        for kind in ("product_click", "cart_add", "form_submit"):
            now = self._clock.now()
            await self._post(_encoder.encode([self._event(kind, viewer, now) for viewer in PROBES]))

    async def run(self) -> None:
        began = time.perf_counter() + 0.1
        async with asyncio.TaskGroup() as posts:
            for number, viewer in zip(range(POSTS), cycle(PROBES), strict=False):
                due = began + number * POST_EVERY_S
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                posts.create_task(self._send(number, viewer, due), name=f"post {number}")

    async def _send(self, number: int, viewer: str, due: float) -> None:
        now = self._clock.now()
        batch = [*self._others(number, now), self._event("like", viewer, now)]
        body = _encoder.encode(batch)
        sent = time.perf_counter()
        self._found.behind.append(sent - due)
        self._panel.expect(viewer, now, sent)
        await self._post(body)
        self._found.to_answer.append(time.perf_counter() - sent)

    async def _post(self, body: bytes) -> None:
        try:
            answer = await self._http.post("/ingest/demo", content=body)
        except httpx.TransportError:  # a kept connection was just being closed; known ids make repeating safe
            self._found.repeated += 1
            answer = await self._http.post("/ingest/demo", content=body)
        assert answer.status_code == 200, answer.text
        assert not answer.json()["rejected"], answer.text

    def _others(self, number: int, now: int) -> Iterator[Event]:
        for event in self._crowd[number * (BATCH - 1) : (number + 1) * (BATCH - 1)]:
            yield msgspec.structs.replace(event, at=now, session=SESSION)

    def _event(self, kind: str, viewer: str, now: int) -> Event:
        self._number += 1
        id = f"probe-{self._number}"
        return Event(id=id, platform="test", room="r1", session=SESSION, kind=kind, at=now, viewer=viewer)


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


async def one_round(daemon: Process, url: str, folder: Path) -> Round:
    """Put the load on a running daemon and watch its panel."""
    found = Round()
    panel = Panel(found)
    token = admin_token(folder)
    headers = {"authorization": f"Bearer {token}"}
    # The server closes a connection after five idle seconds; one that idled nearly as long is better not used again.
    limits = httpx.Limits(max_connections=None, keepalive_expiry=1.0)
    async with (
        httpx.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=PATIENCE_S) as http,
        connect(f"{url.replace('http', 'ws', 1)}/ws/host/demo?token={token}", max_size=None) as socket,
    ):
        load = Load(http, panel, found)
        await load.make_hot()
        watching = asyncio.create_task(panel.watch(socket), name="panel")
        try:
            running = psutil.Process(daemon.popen.pid)
            before, began = cpu_s(running), time.perf_counter()
            await load.run()
            found.cpu_share = (cpu_s(running) - before) / (time.perf_counter() - began)
            found.resident = running.memory_info().rss
            patience = time.perf_counter() + PATIENCE_S
            while panel.missing and not watching.done() and time.perf_counter() < patience:
                await asyncio.sleep(0.01)
        finally:
            watching.cancel()
            await asyncio.wait((watching,))
        if not watching.cancelled():
            watching.result()  # the daemon has closed the panel; this says why
        found.missing = panel.missing
        found.commit_s = mean_commit_s((await http.get("/metrics")).text)
    return found


def cpu_s(process: psutil.Process) -> float:
    """Return the processor time that a process and its threads have used."""
    times: Any = process.cpu_times()
    return float(times.user + times.system)


async def test_from_http_to_the_panel(tmp_path: Path) -> None:
    found: list[Round] = []
    for number in range(ROUNDS):
        folder = tmp_path / str(number)
        folder.mkdir()
        with process("run", "--config", str(write_config(folder, CONFIG)), cwd=folder) as daemon:
            found.append(await one_round(daemon, daemon.until_listening(), folder))
            code, _, err = daemon.end()
            assert code == 0, err
    assert all(len(each.to_answer) == POSTS for each in found)
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
        f"The daemon's CPU in each round: {cpu} of one core; {resident:,.0f} MiB resident at the end.",
        f"Its own account: a commit takes {commit:.1f} ms on average; a delta is sent each {DELTA_EVERY_S * 1000:.0f} ms.",
    ]
    if repeated := sum(each.repeated for each in found):
        notes.append(f"Posts sent twice, their connection having been closed: {repeated}.")
    late_s = median(percentile(each.behind, 0.99) for each in found)
    if late_s > POST_EVERY_S:
        notes.append(
            "The load itself was late: the machine was too busy for these figures to tell of the daemon."
        )
    table(
        f"From HTTP to the panel at {EVENTS_PER_S:,} events/s for {SECONDS} s, in ms, median of {ROUNDS} rounds",
        ("what", "p50", "p99", "max", "a round"),
        [
            line("event to row", [each.to_row for each in found]),
            line("POST to answer", [each.to_answer for each in found]),
            line("load behind time", [each.behind for each in found]),
        ],
        *notes,
    )
