"""A whole daemon in which a challenger comes to lead by policy: proven on outcomes, journalled, replayed, listed, taken back."""

import asyncio
import heapq
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frontrow.app.models import ledger_of, registry_beside
from frontrow.app.parts import load_config, outcome_of
from frontrow.cli import DONE, main
from frontrow.clock import SystemClock
from frontrow.core.events import encode_event
from frontrow.runtime.access import Role
from frontrow_models.evaluation.verdict import LEAST_OUTCOMES
from tests.support.daemons import Running, running, write_config
from tests.support.rooms import START, event

HOUR_MS = 3_600_000
ROOMS = {"demo": "r1", "other": "r2"}  # as the configuration and the platform call them
VIEWERS = 60  # of a room, an evening
LONG_S = 5.0  # whoever waits longer waits for time to be moved

# The champion hardly learns; who votes buys, which no prior says.
CONFIG = """
[model]
challengers = ["fast"]
promotion = "policy"
learning_rate = 0.000001
expected_rate = 0.3
min_labels = 10
min_positives = 2
[outcome]
kinds = ["order_paid"]
horizon_s = 600
"""

pytestmark = pytest.mark.timeout(180)


class MovedClock(SystemClock):
    """Stands until it is moved; short waits, which are for other tasks and not for time, pass by themselves."""

    def __init__(self) -> None:
        self.at = START
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> int:
        return self.at

    def monotonic(self) -> float:
        return self.at / 1000.0

    async def sleep(self, seconds: float) -> None:
        if seconds < LONG_S:
            await super().sleep(seconds)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (self.monotonic() + seconds, id(future), future))
        await future

    def move(self, milliseconds: int) -> None:
        self.at += milliseconds
        while self._waiting and self._waiting[0][0] <= self.monotonic():
            _, _, future = heapq.heappop(self._waiting)
            if not future.done():
                future.set_result(None)


class Town:
    """Two rooms of a running daemon, with a broadcast an evening: who votes buys a minute later, most of them."""

    def __init__(self, daemon: Running, clock: MovedClock) -> None:
        self.daemon, self.clock = daemon, clock
        self.token = daemon.token(Role.ADMIN)
        self._dice = np.random.default_rng(5)
        self._sent = self.evenings = 0

    async def say(self, room: str, *said: tuple[str, str]) -> None:
        """Send what viewers do now, (kind, viewer)."""
        lines = []
        for kind, viewer in said:
            self._sent += 1
            order = f"o{self._sent}" if kind == "order_paid" else None
            said_now = event(
                kind, viewer=viewer, id=f"e{self._sent}", at=self.clock.at, room=ROOMS[room], order=order
            )
            lines.append(encode_event(said_now))
        answer = await self.daemon.ingest(b"\n".join(lines), room=room, token=self.token)
        assert answer.status_code == 200, answer.text
        assert answer.json()["accepted"] == len(lines), answer.text

    async def evening(self) -> None:
        """Let two broadcasts begin, and three hours pass."""
        names = {room: [f"{room}{self.evenings}-{n}" for n in range(VIEWERS)] for room in ("demo", "other")}
        voters = {name for each in names.values() for name in each if self._dice.random() < 0.5}
        for room, viewers in names.items():
            await self.say(
                room,
                *(("like", each) for each in viewers),
                *(("vote", each) for each in viewers if each in voters),
            )
        self.clock.move(60_000)
        for room, viewers in names.items():
            bought = [each for each in viewers if self._dice.random() < (0.8 if each in voters else 0.05)]
            await self.say(room, ("like", viewers[0]), *(("order_paid", each) for each in bought))
        for pause in (240_000, 600_000, 3 * HOUR_MS):
            self.clock.move(pause)
            for room in names:
                await self.say(room, ("like", f"{room}-host"))
        self.evenings += 1

    async def told(self) -> dict[str, Any]:
        answer = await self.daemon.http.get("/api/v1/model", params={"token": self.token})
        found: dict[str, Any] = answer.json()
        return found

    async def until_judged(self) -> None:
        """Wait until the challengers' process has told of all evenings but the last."""
        async with asyncio.timeout(60):
            while (standing := (await self.told())["challengers"]) is None or standing["report"]["labels"] < (
                self.evenings - 1
            ) * VIEWERS:
                await asyncio.sleep(0.02)


async def test_a_challenger_leads_by_policy_once_it_is_proven_and_can_be_taken_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, clock = write_config(tmp_path, CONFIG), MovedClock()
    async with running(config, clock=clock) as daemon:
        town, registry = Town(daemon, clock), registry_beside(daemon.store)
        while not (told := await town.told())["promotions"]:
            assert town.evenings < 60, told["challengers"]
            await town.evening()
            await town.until_judged()
        assert town.evenings > 2 * LEAST_OUTCOMES // (2 * VIEWERS), "not before there were enough outcomes"
        [promotion] = told["promotions"]
        assert promotion["by"] == "policy"
        said = re.search(r"fast: Promote: the challenger .* ([\d,]+) distinct outcomes", promotion["reason"])
        assert said is not None, promotion["reason"]
        assert int(said[1].replace(",", "")) >= LEAST_OUTCOMES

        [journalled] = ledger_of(registry, daemon.store).promotions
        assert (journalled.version, journalled.by) == (promotion["version"], "policy")
        leading = registry.load(promotion["version"])
        assert leading.outcome == outcome_of(load_config(config, {}))
        card = leading.card
        assert card.text.startswith("The challenger fast")
        looks = {each["column"]: each["labels"] for each in told["challengers"]["report"]["columns"]}
        assert looks["fast"] < looks["points"], "it was asked later than others, and says so"
        assert card.figures["fast.labels"] >= LEAST_OUTCOMES <= card.figures["fast.outcomes"]
        assert "fast.roc_auc" in card.figures
        await town.evening()  # the first of which the promoted version is asked
        assert (await town.told())["leads"] == promotion["version"]
        listed = await asyncio.to_thread(main, ["models", "list", "--config", str(config)])
        assert listed == DONE
        [champion] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("champion")]
        assert promotion["version"][:8] in champion

        back = await daemon.http.post(
            "/api/v1/models/rollback",
            json={"reason": "only to see"},
            headers={"authorization": f"Bearer {town.token}"},
        )
        assert back.status_code == 200, back.text
        assert back.json()["version"] == promotion["replaces"]
        await town.evening()
        live = await town.told()
        assert live["leads"] == promotion["replaces"]
        assert [each["number"] for each in live["promotions"]] == [1, 2]

    digests = set()
    for size in ("61", "4096"):
        words = ["replay", str(daemon.store), "--config", str(config), "--out", str(tmp_path / size)]
        assert await asyncio.to_thread(main, [*words, "--frame-size", size]) == DONE
        model = json.loads((tmp_path / size / "model.json").read_bytes())
        assert (model["leads"], model["version"]) == (live["leads"], live["version"])
        digests.add(json.loads((tmp_path / size / "summary.json").read_bytes())["digest"])
    assert len(digests) == 1
