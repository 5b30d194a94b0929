"""How long it takes from an outcome to the first score by the weights that it changed, in the running daemon.

The real daemon runs in this process, its journal on the disk, and is asked as a person's program would: an order is
posted over HTTP, and from the moment of its acknowledgement the viewers of the room are asked for, again and again,
until the answer holds a score by another intercept, which every lesson moves. Negatives are not due in that time, so
it is the order's doing.

- *with others*: twenty likes a second of other viewers, which carry time along; an outcome is learnt at the next mark, 0 to 250 ms later;
- *alone*: nothing else happens, and the daemon itself must tell its engine that time passes.

Milliseconds, the way of the asking included. Run: ``pytest -o addopts=--import-mode=importlib -s
tests/benchmarks/bench_freshness.py``
"""

import asyncio
import random
import time
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from frontrow.clock import SystemClock
from frontrow.core.events import Event, encode_event
from frontrow.runtime.access import Role
from tests.benchmarks.harness import percentile, table
from tests.support.daemons import Running, running, write_config

pytestmark = pytest.mark.timeout(300)

OUTCOMES = 100  # in each situation
WARMING = 700  # viewers, more than the snapshots after which learning begins
LIKE_EVERY_S = 0.05
ASK_EVERY_S = 0.005
BOUND_MS = 1_000.0
# The model is shown as soon as it may be: what is asked for here is when its numbers change, not what they are worth.
CONFIG = "[model]\nmin_labels = 1\nmin_positives = 1\n"


class LeapingClock(SystemClock):
    """The wall clock, which has been put forward: outcomes become final without anybody's waiting."""

    ahead_ms = 0

    def now(self) -> int:
        return super().now() + self.ahead_ms


class Shop:
    """A room of the daemon with a hot viewer, whose score is watched, and others who look, like and buy."""

    def __init__(self, daemon: Running, clock: LeapingClock) -> None:
        self._daemon, self._clock = daemon, clock
        self._token = daemon.token(Role.ADMIN)
        self._ids = count()

    async def post(self, kind: str, viewers: Iterable[str]) -> None:
        """Let viewers do something now; return when it is acknowledged."""
        bodies = [self._event(kind, viewer) for viewer in viewers]
        answer = (await self._daemon.ingest(b"\n".join(bodies), token=self._token)).json()
        assert answer["accepted"] == len(bodies), answer

    async def intercept(self) -> float:
        """Return the intercept by which the hot viewer is scored now."""
        query: dict[str, Any] = {"token": self._token, "limit": 1}
        answer = await self._daemon.http.get("/api/v1/rooms/demo/viewers", params=query)
        [row] = answer.json()["viewers"]
        [found] = [reason["logit"] for reason in row["reasons"] if reason["name"] == "intercept"]
        return float(found)

    async def warm_up(self, buyers: Iterable[str]) -> None:
        """Let the scaler be taken over, some outcomes become final, and ``buyers`` be looked at."""
        crowd = [f"crowd-{number}" for number in range(WARMING)]
        await self.post("product_click", crowd)
        await asyncio.sleep(0.6)
        await self.post("order_paid", crowd[:20])
        self._clock.ahead_ms += 3_700_000
        await self.post("like", crowd[:1])
        await self.post("form_submit", ["hot"])
        await self.post("product_click", ["hot", *buyers])
        await asyncio.sleep(0.6)

    async def to_score_ms(self, buyer: str) -> float:
        """Let a viewer buy; return how long it takes from its acknowledgement until a score has changed."""
        before = await self.intercept()
        await self.post("order_paid", [buyer])
        began = time.perf_counter()
        while await self.intercept() == before:
            await asyncio.sleep(ASK_EVERY_S)
        return (time.perf_counter() - began) * 1e3

    async def likes(self) -> None:
        """Let other viewers like the room until cancelled."""
        while True:
            await self.post("like", [f"crowd-{next(self._ids) % WARMING}"])
            await asyncio.sleep(LIKE_EVERY_S)

    def _event(self, kind: str, viewer: str) -> bytes:
        made = Event(
            id=f"{kind}-{next(self._ids)}", platform="test", room="r1", kind=kind, at=self._clock.now(), viewer=viewer
        )  # fmt: skip
        return encode_event(made)


async def measure(folder: Path) -> dict[str, list[float]]:
    """Return the milliseconds of each outcome, by situation."""
    clock, dice = LeapingClock(), random.Random(1)
    buyers = {name: [f"{name}-{number}" for number in range(OUTCOMES)] for name in ("with others", "alone")}
    found: dict[str, list[float]] = {name: [] for name in buyers}
    async with running(write_config(folder, CONFIG), clock=clock) as daemon:
        shop = Shop(daemon, clock)
        await shop.warm_up([*buyers["with others"], *buyers["alone"]])
        liking = asyncio.create_task(shop.likes())
        for name, each in buyers.items():
            if name == "alone":
                liking.cancel()
            for buyer in each:
                found[name].append(await shop.to_score_ms(buyer))
                await asyncio.sleep(dice.random() * 0.25)  # at any place between two marks
    return found


async def test_freshness(tmp_path: Path) -> None:
    found = await measure(tmp_path)
    rows = [
        [name, *(f"{percentile(each, share):.0f}" for share in (0.5, 0.99)), f"{max(each):.0f}"]
        for name, each in found.items()
    ]
    table(
        f"Outcome acknowledged → first score by changed weights, {OUTCOMES} outcomes each (ms)",
        ["the room", "p50", "p99", "most"],
        rows,
    )
    assert all(percentile(each, 0.99) < BOUND_MS for each in found.values())
