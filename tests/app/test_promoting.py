"""Promotions while the daemon runs: asked for over HTTP or by the command line, durable, obeyed, and once an hour."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from frontrow.app.asking import ask
from frontrow.app.models import ledger_of, promote, registry_beside
from frontrow.app.parts import load_config, outcome_of
from frontrow.cli import DONE, LOCKED, main
from frontrow.clock import SystemClock
from frontrow.core.errors import StoreLocked
from frontrow.core.events import encode_event
from frontrow.core.outcomes import OutcomeRules
from frontrow.core.promotions import PromotionRefused
from frontrow.runtime.access import Role
from frontrow_models.versions import Outcome, from_version
from tests.support.daemons import Running, running, write_config
from tests.support.rooms import START, event
from tests.support.versions import version

HOUR_MS = 3_600_000
LIKES = Outcome.of(OutcomeRules(kinds=frozenset({"like"})), 90_000)

# Looks at viewers are many and the scaler is taken over after 500 of them.
MODEL = """
[model]
snapshot_every_s = 1
min_labels = 10
min_positives = 2
"""

pytestmark = pytest.mark.timeout(120)


class MovedClock(SystemClock):
    """Waits in real time, while both clocks stand until they are moved."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> int:
        return self.at

    def monotonic(self) -> float:
        return self.at / 1000.0


class Place:
    """A running daemon with three versions in its registry."""

    def __init__(self, daemon: Running, clock: MovedClock, config: Path) -> None:
        self.daemon = daemon
        self.clock = clock
        self.config = config
        self.registry = registry_beside(daemon.store)
        self.names = [self.registry.add(version(learnt, seed=learnt)) for learnt in (10, 20, 30)]
        self.token = daemon.token(Role.ADMIN)

    async def post(self, what: str, token: str | None = None, **body: Any) -> httpx.Response:
        return await self.daemon.http.post(
            f"/api/v1/models/{what}",
            json=body,
            headers={"authorization": f"Bearer {token or self.token}"},
        )

    async def promote(self, name: str, **more: str) -> httpx.Response:
        return await self.post("promote", version=name, **more)

    async def pass_time(self, milliseconds: int = 1_000) -> None:
        """Let time pass, of which the journal hears by an event."""
        self.clock.at += milliseconds
        body = encode_event(event("like", id=f"t{self.clock.at}", at=self.clock.at))
        assert (await self.daemon.ingest(body, token=self.token)).status_code == 200

    async def look(self, number: int) -> None:
        """Let forty viewers come and look around for five minutes, so that some labels are learnt."""
        lines = [
            encode_event(event("comment", viewer=f"v{n}", id=f"c{number}-{n}", text="来了", at=self.clock.at))
            for n in range(40)
        ]
        await self.daemon.ingest(b"\n".join(lines), token=self.token)
        await self.pass_time(60_000)
        await self.pass_time(240_000)

    async def told(self) -> dict[str, Any]:
        answer = await self.daemon.http.get("/api/v1/model", params={"token": self.token})
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    config, clock = write_config(tmp_path, MODEL), MovedClock()
    async with running(config, clock=clock) as daemon:
        yield Place(daemon, clock, config)


async def test_a_promotion_is_durable_when_it_is_answered_and_obeyed_at_the_next_mark(place: Place) -> None:
    await place.pass_time()
    answer = await place.promote(place.names[0][:8], by="Li", reason="better")
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "number": 1,
        "version": place.names[0],
        "replaces": None,  # what led had learnt nothing yet
        "by": "Li",
        "reason": "better",
        "at": place.clock.at,
        "back": False,
    }
    [promotion] = ledger_of(place.registry, place.daemon.store).promotions
    assert (promotion.number, promotion.version, promotion.by) == (1, place.names[0], "Li")
    assert (await place.told())["leads"] is None
    await place.pass_time()
    told = await place.told()
    assert told["leads"] == place.names[0]
    assert [each["version"] for each in told["promotions"]] == [place.names[0]]
    assert told["labels"] == 10


async def test_what_led_is_kept_with_what_it_has_learnt_since_and_can_be_gone_back_to(place: Place) -> None:
    await place.pass_time()
    await place.promote(place.names[0])
    await place.pass_time(HOUR_MS)
    await place.look(0)
    learnt = (await place.told())["version"]
    second = (await place.promote(place.names[1])).json()
    kept = place.registry.load(second["replaces"])
    assert from_version(kept).version == learnt
    assert second["replaces"] != place.names[0]
    assert kept.parents == [place.names[0]]
    assert kept.scaler.count > version(10, seed=10).scaler.count  # it has served since
    await place.pass_time()
    assert (await place.told())["leads"] == place.names[1]
    back = await place.post("rollback", reason="worse")
    assert back.status_code == 200, back.text  # at once, though the promotion was a second ago
    assert back.json()["version"] == second["replaces"]
    await place.pass_time()
    told = await place.told()
    assert (told["leads"], told["labels"]) == (second["replaces"], kept.labels)


async def test_what_is_promoted_once_more_on_purpose_can_be_taken_back_step_by_step(place: Place) -> None:
    await place.pass_time()
    for name in (place.names[0], place.names[1], place.names[0]):
        assert (await place.promote(name)).status_code == 200
        await place.pass_time(HOUR_MS)
    *_, second, third = ledger_of(place.registry, place.daemon.store).promotions
    for expected in (third.replaces, second.replaces):
        back = (await place.post("rollback")).json()
        assert (back["version"], back["back"]) == (expected, True)
        await place.pass_time()
    assert "nothing led before" in (await place.post("rollback")).json()["detail"]


async def test_a_promotion_can_be_taken_back_before_its_mark_has_come(place: Place) -> None:
    await place.pass_time()
    await place.promote(place.names[0])
    await place.look(0)
    await place.pass_time(HOUR_MS)
    kept = (await place.promote(place.names[1])).json()["replaces"]
    back = (await place.post("rollback")).json()
    assert (back["version"], back["replaces"]) == (kept, place.names[1])
    await place.pass_time()
    told = await place.told()
    assert told["leads"] == kept
    assert [each["number"] for each in told["promotions"]] == [1, 2, 3]


async def test_what_was_promoted_live_replays_to_the_same_model_in_any_frames(tmp_path: Path) -> None:
    config, clock = write_config(tmp_path, MODEL), MovedClock()
    async with running(config, clock=clock) as daemon:
        place = Place(daemon, clock, config)
        for number in range(3):
            await place.pass_time(HOUR_MS)
            await place.look(number)
            assert (await place.promote(place.names[number])).status_code == 200
        await place.pass_time()
        await place.look(3)
        live = await place.told()
    assert live["leads"] == place.names[2]
    assert live["labels"] > 30  # it has learnt on
    for size in ("1", "4096"):
        words = ["replay", str(daemon.store), "--config", str(config), "--out", str(tmp_path / size)]
        assert await asyncio.to_thread(main, [*words, "--frame-size", size]) == DONE
        model = json.loads((tmp_path / size / "model.json").read_bytes())
        assert (model["leads"], model["version"]) == (live["leads"], live["version"])
    digests = {
        json.loads((tmp_path / size / "summary.json").read_bytes())["digest"] for size in ("1", "4096")
    }
    assert len(digests) == 1


async def test_of_two_who_promote_at_once_the_second_is_told_who_was_first(place: Place) -> None:
    await place.pass_time()
    answers = await asyncio.gather(
        place.promote(place.names[0], by="Li"), place.promote(place.names[1], by="Wang")
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    [won] = [answer.json() for answer in answers if answer.status_code == 200]
    [lost] = [answer.json() for answer in answers if answer.status_code == 409]
    assert lost["detail"] == f"{won['by']} was first: by promotion 1 {won['version']} leads"
    assert [each.version for each in ledger_of(place.registry, place.daemon.store).promotions] == [
        won["version"]
    ]


async def test_there_is_one_promotion_an_hour(place: Place) -> None:
    await place.pass_time()
    await place.promote(place.names[0])
    await place.pass_time(HOUR_MS - 60_000)
    early = await place.promote(place.names[1])
    assert (early.status_code, early.headers["retry-after"]) == (429, "60")
    assert "the next may be in 1 minutes, a rollback at any time" in early.json()["detail"]
    await place.pass_time(60_000)
    assert (await place.promote(place.names[1])).status_code == 200


async def test_what_cannot_lead_is_refused_in_words_and_nothing_is_written(
    place: Place, tmp_path: Path
) -> None:
    await place.pass_time()
    (tmp_path / "data" / "frontrow.db.models" / f"{place.names[2]}.json").write_bytes(b"{}")
    for name, words in (
        ("0" * 64, "no version in the registry begins"),
        ("ab", "give at least 6 digits"),
        ("slow", "no challenger runs"),
        (place.names[2], "it was changed or is damaged"),
    ):
        answer = await place.promote(name)
        assert answer.status_code == 409
        assert words in answer.json()["detail"]
    assert "nothing led before" in (await place.post("rollback")).json()["detail"]
    assert ledger_of(place.registry, place.daemon.store).promotions == []
    await place.promote(place.names[0])
    await place.pass_time(HOUR_MS)
    assert "leads already" in (await place.promote(place.names[0])).json()["detail"]


async def test_a_version_of_another_outcome_does_not_lead_and_what_led_is_kept_with_its_own(
    place: Place,
) -> None:
    configured = outcome_of(load_config(place.config, {}))
    await place.pass_time()
    other = place.registry.add(version(40, outcome=LIKES))
    answer = await place.promote(other)
    assert answer.status_code == 409
    assert f"predicts {LIKES}. Here what is to be predicted is {configured}" in answer.json()["detail"]
    assert ledger_of(place.registry, place.daemon.store).promotions == []
    fits = place.registry.add(version(50, outcome=configured))
    assert (await place.promote(fits)).status_code == 200
    await place.pass_time(HOUR_MS)
    await place.look(0)
    kept = (await place.promote(place.names[0])).json()["replaces"]
    assert kept != fits
    assert place.registry.read(kept).outcome == configured


async def test_a_daemon_whose_champion_predicts_something_else_says_so_until_another_leads(
    tmp_path: Path,
) -> None:
    """Somebody has changed what counts as won: it goes on, and is not to be believed without a word."""
    config, clock = write_config(tmp_path, MODEL), MovedClock()
    configured = outcome_of(load_config(config, {}))
    async with running(config, clock=clock) as daemon:
        place = Place(daemon, clock, config)
        await place.pass_time()
        assert (await place.told())["other_outcome"] is None
    # While another outcome was configured.
    other = place.registry.add(version(40, outcome=LIKES))
    promote(place.registry, daemon.store, other, by="", reason="", clock=clock)
    with capture_logs() as logs:
        async with running(config, clock=clock) as daemon:
            place = Place(daemon, clock, config)
            await place.pass_time()
            told = await place.told()
            assert (told["leads"], told["outcome"], told["other_outcome"]) == (
                other, str(configured), str(LIKES)
            )  # fmt: skip
            assert "\nfrontrow_model_other_outcome 1.0\n" in (await daemon.http.get("/metrics")).text
            await place.pass_time(HOUR_MS)
            assert (await place.promote(place.names[0])).status_code == 200
            await place.pass_time()
            told = await place.told()
            assert (told["leads"], told["other_outcome"]) == (place.names[0], None)
            assert "\nfrontrow_model_other_outcome 0.0\n" in (await daemon.http.get("/metrics")).text
    [warned] = [each for each in logs if each["event"] == "champion_of_another_outcome"]
    assert (warned["log_level"], warned["version"]) == ("warning", other)
    assert (warned["predicts"], warned["configured"]) == (str(LIKES), str(configured))
    assert "frontrow retrain" in warned["advice"]


async def test_what_led_before_and_predicts_something_else_is_not_rolled_back_to(tmp_path: Path) -> None:
    config, clock = write_config(tmp_path, MODEL), MovedClock()
    configured = outcome_of(load_config(config, {}))
    async with running(config, clock=clock) as daemon:
        place = Place(daemon, clock, config)
        await place.pass_time()
    # While another outcome was configured.
    other = place.registry.add(version(40, outcome=LIKES))
    for name in (other, place.names[0]):
        promote(place.registry, daemon.store, name, by="", reason="", clock=clock)
    async with running(config, clock=clock) as daemon:
        place = Place(daemon, clock, config)
        await place.pass_time()
        answer = await place.post("rollback")
        assert answer.status_code == 409
        assert answer.json()["detail"] == (
            f"{other}: predicts {LIKES}. Here what is to be predicted is {configured};"
            " promote another version instead (frontrow models list)"
        )
        await place.pass_time()
        assert (await place.told())["leads"] == place.names[0]
        assert len(ledger_of(place.registry, daemon.store).promotions) == 2


async def test_what_was_learnt_for_something_else_is_not_taken_for_what_is_predicted_now(
    tmp_path: Path,
) -> None:
    """What it has learnt here since is too little to say so. And nobody is to wait where nothing can be gone back to."""
    config, clock = write_config(tmp_path, MODEL), MovedClock()
    async with running(config, clock=clock) as daemon:
        place = Place(daemon, clock, config)
        await place.pass_time()
    # While another outcome was configured.
    other = place.registry.add(version(40, outcome=LIKES))
    promote(place.registry, daemon.store, other, by="", reason="", clock=clock)
    async with running(config, clock=clock) as daemon:
        place = Place(daemon, clock, config)
        for number in range(3):
            await place.look(number)
        assert (await place.told())["labels"] > 40
        await place.pass_time(HOUR_MS)
        assert (await place.promote(place.names[0])).status_code == 200
        [_, second] = ledger_of(place.registry, daemon.store).promotions
        assert second.replaces == other
        assert (await place.post("rollback")).status_code == 409
        answer = await place.promote(place.names[1])
        assert answer.status_code == 200, answer.text
        await place.pass_time()
        assert (await place.told())["leads"] == place.names[1]
        early = await place.promote(place.names[2])
        assert early.status_code == 429, "what led before fits, so that it can be gone back to"


async def test_only_an_administrator_of_all_rooms_lets_a_model_lead(place: Place) -> None:
    for role, room in ((Role.MANAGER, None), (Role.INGEST, None), (Role.ADMIN, "demo")):
        answer = await place.post("promote", place.daemon.token(role, room), version=place.names[0])
        assert answer.status_code == 403
    refused = await place.daemon.http.post("/api/v1/models/promote", content=b"{")
    assert refused.status_code == 401
    assert (await place.post("promote", versoin=place.names[0])).status_code == 400
    for answer in (
        await place.promote(place.names[0], reason="r" * 501),
        await place.post("rollback", reason="r" * 501),
    ):
        assert answer.status_code == 400
        assert "length <= 500 - at `$.reason`" in answer.json()["detail"]
    assert ledger_of(place.registry, place.daemon.store).promotions == []


async def test_old_versions_are_removed_by_a_promotion_but_none_that_led(place: Place) -> None:
    for learnt in range(100, 150):
        place.registry.add(version(learnt))
    await place.pass_time()
    await place.promote(place.names[0])
    names = place.registry.names()
    assert len(names) == 51  # the newest fifty, and the oldest of all, which leads
    assert place.names[0] in names
    assert place.names[1] not in names


async def test_while_the_pins_are_damaged_a_promotion_removes_no_version_and_that_is_logged(
    place: Place,
) -> None:
    for learnt in range(100, 150):
        place.registry.add(version(learnt))
    (place.daemon.store.parent / f"{place.daemon.store.name}.models" / "pins.json").write_bytes(b"[")
    await place.pass_time()
    with capture_logs() as logs:
        assert (await place.promote(place.names[0])).status_code == 200
    assert len(place.registry.names()) == 53
    [told] = [each for each in logs if each["event"] == "versions_not_pruned"]
    assert "pins.json" in told["reason"]


# ---------------------------------------------------------------------- the command line


async def test_the_command_line_asks_the_daemon_that_holds_the_store(place: Place) -> None:
    locked = StoreLocked(str(place.daemon.store), "process 1")
    config = load_config(place.config, {})

    async def asked(what: str, url: str = "", **body: str) -> Any:
        return await asyncio.to_thread(
            ask, config, locked, what, body, clock=place.clock, url=url or place.daemon.url
        )

    await place.pass_time()
    done = await asked("promote", version=place.names[0], by="Li")
    assert (done.number, done.version, done.by) == (1, place.names[0], "Li")
    with pytest.raises(PromotionRefused, match="was less than an hour ago"):
        await asked("promote", version=place.names[1])
    with pytest.raises(
        StoreLocked, match=r"in use by process 1, which cannot be asked: nobody answers at http://127.0.0.1:9"
    ):
        await asked("rollback", url="http://127.0.0.1:9")


async def test_where_a_daemon_listens_nobody_knows_it_is_said(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["models", "promote", place.names[0], "--config", str(place.config)]
    assert await asyncio.to_thread(main, words) == LOCKED
    err = capsys.readouterr().err
    assert "is in use by frontrow, process" in err
    assert "server.port is 0" in err
