"""What a running daemon does with three times what it can store: memory, latency, drops, and whether it lives.

Run: ``make bench`` (a minute each), or for five minutes each

    FRONTROW_OVERLOAD_S=300 pytest -s -o addopts=--import-mode=importlib tests/benchmarks/bench_overload.py

The real daemon with its defaults runs in a process of its own, its journal on the disk; a sender (``post_load.py``)
in another. First the sustainable rate is measured: posts of 200 events of a busy room, 16 at a time, each sent when
the one before is answered. Then three times that rate is sent on time, whatever becomes of it:

- *by those who can wait*: the same posts to ``/ingest``, which are answered with 429 when the room's lane is full;
- *by those who cannot*: signed pushes to ``/hooks``, whose likes are merged and whose least worth is dropped.

Beside it another room sends 20 orders a second, each in a post of its own: *orders* is how long they take to be
answered, which is when they are durable; *kept* is the same for the flood's own posts that were taken. *RSS* is the
daemon's resident memory when the flood began, after a third and two thirds of it, and at its end. Journal, seen ids
and viewers grow with what is stored, whatever the load, so the rate of growth is told per stored event, beside the
queue's largest size in the daemon's own metric. The policy is ``daemon/docs/overload.md``.
"""

import asyncio
import os
import re
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import msgspec
import psutil
import pytest

from frontrow.core.events import Event
from tests.benchmarks.bench_latency import Sender, admin_token, crowd, sending, template
from tests.benchmarks.harness import MEBIBYTE, percentile, table
from tests.benchmarks.post_load import NOW, NUMBER, Plan, Post
from tests.support.daemons import Process, process, write_config

SECONDS = int(os.environ.get("FRONTROW_OVERLOAD_S", "60"))
TIMES = 3
BATCH = 200
TEMPLATES = 500
MEASURING_POSTS = 1_500  # 300,000 events
ORDERS_PER_S = 20
SECRET = "benchmark"
CONFIG = f"""
[[rooms]]
id = "dy"
platform = "douyin"
room = "main"
[[feeds]]
id = "dy"
room = "dy"
connector = "douyin_push"
secret = "{SECRET}"
"""
METRIC = re.compile(r"^(frontrow_\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)

pytestmark = pytest.mark.timeout(4 * SECONDS + 300)

_encoder = msgspec.json.Encoder()


@dataclass(slots=True)
class Found:
    """What one flood did."""

    sustainable: float = 0.0  # events/s
    offered: float = 0.0
    resident: list[int] = field(default_factory=list)
    most_queued: float = 0.0
    posts: list[Post] = field(default_factory=list)
    orders: list[Post] = field(default_factory=list)
    stored: float = 0.0
    told: dict[str, dict[str, float]] = field(default_factory=dict)  # merged and dropped, by kind


def write_posts(path: Path) -> None:
    path.write_bytes(b"\n".join(template(batch) for batch in crowd(TEMPLATES, BATCH)))


def write_pushes(path: Path) -> list[str]:
    """Write a busy room's likes, comments and gifts as pushes, a type each; return their types."""
    waiting: defaultdict[str, list[dict[str, object]]] = defaultdict(list)
    bodies: list[bytes] = []
    types: list[str] = []
    for event in (event for batch in crowd(2 * TEMPLATES, BATCH) for event in batch):
        found = push_item(event)
        if found is None or len(bodies) == TEMPLATES:
            continue
        type, item = found
        item["msg_id"] = f"{NUMBER.decode()}-{len(waiting[type])}"
        waiting[type].append(item)
        if len(waiting[type]) == BATCH:
            bodies.append(_encoder.encode(waiting.pop(type)))
            types.append(type)
    path.write_bytes(b"\n".join(bodies))
    return types


def push_item(event: Event) -> tuple[str, dict[str, object]] | None:
    item: dict[str, object] = {"sec_openid": event.viewer, "nickname": event.name, "timestamp": int(NOW)}
    match event.kind:
        case "like":
            return "live_like", item | {"like_num": event.count}
        case "comment":
            return "live_comment", item | {"content": event.text}
        case "gift":
            return "live_gift", item | {"sec_gift_id": "g", "gift_num": 1, "gift_value": event.value or 0}
        case _:
            return None


def write_orders(path: Path) -> None:
    order = Event(
        id=f"{NUMBER.decode()}-order",
        platform="test",
        room="r2",
        session="shop",
        kind="order_paid",
        at=int(NOW),
        viewer="somebody",
    )
    path.write_bytes(_encoder.encode([order]))


def values(metrics: str, name: str) -> dict[str, float]:
    """Return a metric's values by their labels' text; without labels the key is empty."""
    return {labels: float(value) for each, labels, value in METRIC.findall(metrics) if each == name}


def by_kind(metrics: str, name: str) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for labels, value in values(metrics, name).items():
        kind = re.search(r'type="([^"]*)"', labels)
        found[kind[1] if kind else ""] += value
    return {kind: count for kind, count in sorted(found.items()) if count}


def accepted(metrics: str) -> float:
    return sum(
        value
        for labels, value in values(metrics, "frontrow_feed_events_total").items()
        if 'outcome="accepted"' in labels
    )


async def flood(daemon: Process, url: str, folder: Path, pushed: bool) -> Found:
    """Measure what the daemon can, then send three times as much."""
    found = Found()
    token = admin_token(folder)
    posts, pushes, orders = folder / "posts", folder / "pushes", folder / "orders"
    write_posts(posts)
    write_orders(orders)
    types = write_pushes(pushes) if pushed else []
    running = psutil.Process(daemon.popen.pid)

    def plan(path: str, bodies: Path, count: int, every_s: float, connections: int, first: int) -> Plan:
        return Plan(
            url=url,
            path=path,
            token=token,
            bodies=str(bodies),
            posts=count,
            every_s=every_s,
            connections=connections,
            first=first,
        )

    async with httpx.AsyncClient(base_url=url, timeout=30) as http:

        async def scrape() -> str:
            return (await http.get("/metrics")).text

        with sending(plan("/ingest/demo", posts, MEASURING_POSTS, 0.0, 16, 0), folder) as sender:
            began = time.perf_counter()
            sender.begin()
            await sender.over()
            found.sustainable = accepted(await scrape()) / (time.perf_counter() - began)
        found.offered = TIMES * found.sustainable
        every_s = BATCH / found.offered
        count = int(SECONDS / every_s)
        load = plan("/ingest/demo", posts, count, every_s, 256, 1_000_000)
        if pushed:
            load = plan("/hooks/douyin_push/dy", pushes, count, every_s, 256, 1_000_000)
            load.push_secret, load.push_types = SECRET, types
        shop = plan("/ingest/other", orders, SECONDS * ORDERS_PER_S, 1 / ORDERS_PER_S, 32, 50_000_000)
        before = accepted(await scrape())
        with sending(load, folder) as flooding, sending(shop, folder) as selling:

            async def watch() -> None:
                for second in range(SECONDS + 1):
                    if second % max(1, SECONDS // 3) == 0:
                        found.resident.append(running.memory_info().rss)
                    queued = values(await scrape(), "frontrow_intake_queue_events").get("", 0.0)
                    found.most_queued = max(found.most_queued, queued)
                    await asyncio.sleep(1.0)

            for each in (flooding, selling):
                each.begin()
            watching = asyncio.create_task(watch(), name="watching")
            found.posts, found.orders = await _both(flooding, selling)
            await watching
        metrics = await scrape()
        found.stored = accepted(metrics) - before
        for name in ("merged", "dropped"):
            found.told[name] = by_kind(metrics, f"frontrow_events_{name}_total")
        assert (await http.get("/livez")).status_code == 200
        ready = await http.get("/readyz")
        assert ready.status_code == 200, ready.text
    return found


async def _both(flooding: Sender, selling: Sender) -> tuple[list[Post], list[Post]]:
    found = await asyncio.gather(flooding.over(), selling.over())
    return found[0], found[1]


@pytest.mark.parametrize("pushed", [False, True], ids=["those who can wait", "those who cannot"])
async def test_three_times_the_sustainable_rate(tmp_path: Path, pushed: bool) -> None:
    with process("run", "--config", str(write_config(tmp_path, CONFIG)), cwd=tmp_path) as daemon:
        found = await flood(daemon, daemon.until_listening(), tmp_path, pushed)
        code, _, err = daemon.end()
        assert code == 0, err
    assert all(post.status == 200 for post in found.orders), "another room's order was refused"
    assert {post.status for post in found.posts} <= {200, 429}

    def times(posts: list[Post]) -> tuple[str, ...]:
        waits = [post.answered - post.sent for post in posts if post.status == 200]
        return (f"{len(waits):,}", *(f"{percentile(waits, share) * 1000:.0f}" for share in (0.5, 0.99, 1.0)))

    sent = len(found.posts) * BATCH
    refused = sum(post.status == 429 for post in found.posts)
    late = [post.sent - post.due for post in found.posts]
    growth = (found.resident[-1] - found.resident[0]) / max(found.stored, 1)
    stored = f"{found.stored:,.0f} were stored (orders included) and {refused * BATCH:,} answered with 429"
    resident = ", ".join(f"{each / MEBIBYTE:,.0f}" for each in found.resident)
    notes = [
        f"Sustainable: {found.sustainable:,.0f} events/s; offered: {found.offered:,.0f}; of {sent:,} sent, {stored}.",
        f"RSS in MiB: {resident}; {growth:,.0f} bytes for each stored event. At most {found.most_queued:,.0f} waited.",
        *(f"{name}: {counts or 'nothing'}" for name, counts in found.told.items()),
        f"Load behind time: p99 {percentile(late, 0.99) * 1000:.0f} ms.",
    ]
    table(
        f"Three times the sustainable rate for {SECONDS} s, in ms",
        ("what", "answered", "p50", "p99", "max"),
        [("orders of another room", *times(found.orders)), ("kept of the flood", *times(found.posts))],
        *notes,
    )
