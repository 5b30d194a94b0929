"""飞鱼 CRM: signed questions, windows that overlap, each lead once, and what a person must mend."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from frontrow.core.events import RoomRef
from frontrow_connectors.contract import FeedContext, FeedState, ForgetfulPosition
from frontrow_connectors.feiyu import FeiyuFeed, FeiyuOptions
from frontrow_connectors.feiyu.decoder import decode_clues, pull_message, signature
from tests.support.clock import ManualClock
from tests.support.feed_runs import eager, running, until
from tests.support.feeds import RecordingIntake
from tests.support.http_server import Failure, Reply, Request, ScriptedServer, scripted_server

ROOM = RoomRef(id="dy", platform="douyin", room="owner-1")
NOW_S = 1_785_000_000
KEY, TOKEN = "key1", "token1"


def clue(id: int, made_s: int = NOW_S - 30, **fields: Any) -> dict[str, Any]:
    """Return an invented lead in the shape that published clients of 飞鱼 read."""
    return {
        "clue_id": str(id), "create_time": str(made_s), "name": "小鹿", "telphone": "13800138000", "weixin": "",
        "province_name": "", "location": "江苏+镇江", "promotion_name": "秋季上新", "clue_source": 1, "adv_id": "166",
        "remark_dict": {}, "date": None, **fields,
    }  # fmt: skip


class Feiyu:
    """The service: checks what is signed by the published formula, and gives the leads of the window by pages."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.clues: list[dict[str, Any]] = []
        self.windows: list[tuple[int, int, int]] = []  # start, end, page
        server.on_request = self._asked

    def _asked(self, request: Request) -> None:
        self.server.otherwise = Reply(200, msgspec.json.encode(self._answer(request)))

    def _answer(self, request: Request) -> Any:
        query, stamp = request.query, request.headers["timestamp"]
        start, end, page = int(query["start_time"]), int(query["end_time"]), int(query["page"])
        message = f"/crm/v2/openapi/pull-clues/?start_time={start}&end_time={end} {stamp}"
        if request.headers["signature"] != signature(message, KEY):
            return {"status": -2, "msg": "signature check failed"}
        if request.headers["access-token"] != TOKEN:
            return {"status": -2, "msg": "token is invalid"}
        self.windows.append((start, end, page))
        found = [each for each in self.clues if start <= int(each["create_time"]) <= end]
        size = int(query["page_size"])
        return {"status": "success", "count": len(found), "data": found[(page - 1) * size : page * size]}


class Run:
    """A feed that runs against the service."""

    def __init__(self, feiyu: Feiyu, clock: ManualClock, position: ForgetfulPosition) -> None:
        self.feiyu, self.clock, self.position = feiyu, clock, position
        self.intake = RecordingIntake()

    @asynccontextmanager
    async def up(self, **options: Any) -> AsyncIterator[None]:
        made = FeiyuOptions(
            **{"signature_key": KEY, "access_token": TOKEN, "api_url": self.feiyu.server.url, **options}
        )
        context = eager(self.intake.context(self.clock, room=ROOM))
        context = FeedContext(**{**vars(context), "position": self.position})
        async with running(FeiyuFeed(made, context)):
            yield

    async def rounds(self, count: int) -> None:
        """Wait for the first round, then let so many more pass."""
        await self.clock.until_sleeping()
        for _ in range(count):
            await self.clock.advance(60)
            await self.clock.until_sleeping()

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.intake.events]


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    async with scripted_server() as server:
        yield Run(Feiyu(server), ManualClock(NOW_S * 1_000), ForgetfulPosition())


def test_the_published_formula_gives_the_known_signature() -> None:
    """Computed apart from this code; it shows agreement with the formula, not with 飞鱼."""
    assert signature(pull_message(1_700_000_000, 1_700_003_600, 1_700_003_601), "key1") == (
        "OGM2MzVlMzEzNjhhY2U5MjZmN2M0MjQzNjhiNTdlNWI3ZTZjYTJmZjYwMmIzYTBlNjEyYTI0MjljNjc1ZWVmMg=="
    )


async def test_a_lead_becomes_a_form_with_seconds_as_milliseconds(run: Run) -> None:
    run.feiyu.clues = [clue(7)]
    async with run.up(consent_text="同意联系", lead_channel="feiyu"):
        await run.rounds(0)
    [event] = run.intake.events
    assert (event.id, event.viewer, event.kind, event.form) == ("clue:7", "clue:7", "form_submit", "feiyu")
    assert (event.at, event.consent, event.campaign) == ((NOW_S - 30) * 1_000, True, "秋季上新")
    assert event.fields == {"name": "小鹿", "phone": "13800138000"}
    assert event.extra is not None
    assert (event.extra["location"], event.extra["channel"], event.extra["consent_text"]) == (
        "江苏+镇江", "feiyu", "同意联系",
    )  # fmt: skip
    assert run.intake.statuses[-1].state is FeedState.CONNECTED


async def test_windows_overlap_and_each_lead_is_put_once(run: Run) -> None:
    run.feiyu.clues = [clue(1)]
    async with run.up():
        await run.rounds(1)
        run.feiyu.clues.append(clue(2, NOW_S - 20))  # made before, seen later
        run.feiyu.clues.append(clue(3, NOW_S + 61))
        await run.rounds(2)
    assert run.ids == ["clue:1", "clue:2", "clue:3"]
    starts = [start for start, _, _ in run.feiyu.windows]
    assert starts[:3] == [NOW_S - 86_400 - 600, NOW_S - 600, NOW_S + 60 - 600]


async def test_all_pages_of_a_window_are_read(run: Run) -> None:
    run.feiyu.clues = [clue(number) for number in range(1, 26)]
    async with run.up(page_size=10):
        await run.rounds(0)
    assert len(run.ids) == len(set(run.ids)) == 25
    assert [page for _, _, page in run.feiyu.windows] == [1, 2, 3]


async def test_after_a_restart_it_goes_on_where_it_was_however_long_that_is_ago(run: Run) -> None:
    async with run.up():
        await run.rounds(0)
    run.clock.step_wall(10 * 86_400_000)
    run.feiyu.windows.clear()
    run.feiyu.clues = [clue(4, NOW_S + 86_400)]
    async with run.up():
        await until(lambda: len(run.feiyu.windows) >= 2)
        await run.clock.until_sleeping()
    assert run.ids == ["clue:4"]
    assert run.feiyu.windows[0][0] == NOW_S - 600
    assert all(end - start <= 7 * 86_400 for start, end, _ in run.feiyu.windows)
    assert run.feiyu.windows[-1][1] == NOW_S + 10 * 86_400


async def test_the_position_waits_for_the_journal(run: Run) -> None:
    """What is not durable yet must be asked for again after a crash."""
    run.intake.hold = True
    run.feiyu.clues = [clue(1)]
    async with run.up():
        await run.intake.until(1)
        await asyncio.sleep(0.02)
        assert await run.position.read() is None
        run.intake.make_durable()
        await run.clock.until_sleeping()
        assert await run.position.read() == f'{{"until":{NOW_S}}}'


@pytest.mark.parametrize("wrong", [{"signature_key": "other"}, {"access_token": "other"}])
async def test_a_wrong_key_or_token_is_refused_in_clear_words(run: Run, wrong: dict[str, str]) -> None:
    async with run.up(**wrong):
        status = await run.intake.until_state(FeedState.REFUSED)
    assert "key or the token" in status.sentence
    assert status.retry_in_s == 300


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (Reply(500), FeedState.WAITING), (Reply(429, headers={"retry-after": "7"}), FeedState.WAITING),
        (Reply(200, b"<html>"), FeedState.WAITING), (Reply(200, b"[]"), FeedState.WAITING),
        (Reply(200, b'{"status": -1, "msg": "busy"}'), FeedState.WAITING), (Reply(403), FeedState.REFUSED),
        (Reply(302, headers={"location": "/"}), FeedState.WAITING), (Failure.DROP, FeedState.WAITING),
        (Failure.BREAK_OFF, FeedState.WAITING), (Failure.GARBAGE, FeedState.WAITING), (Failure.ENDLESS, FeedState.WAITING),
        (Reply(200, b'{"status": "success", "data": {}}'), FeedState.CONNECTED),
        (Reply(200, b'{"status": "success", "data": "x"}'), FeedState.WAITING),
    ],
)  # fmt: skip
async def test_whatever_the_service_does_is_a_state_and_goes_on(
    run: Run, answer: Reply | Failure, state: FeedState
) -> None:
    run.feiyu.clues = [clue(1)]
    run.feiyu.server.script.append(answer)
    async with run.up():
        said = await run.intake.until_state(state)
        if answer == Reply(429, headers={"retry-after": "7"}):
            assert said.retry_in_s == 7
        await run.clock.until_sleeping()
        for _ in range(6):
            await run.clock.advance(60)
            if run.ids:
                break
            await asyncio.sleep(0.02)
        await until(lambda: run.ids == ["clue:1"])


async def test_a_bad_lead_costs_only_itself(run: Run) -> None:
    bad = [{"name": "no id", "create_time": str(NOW_S - 5)}, {**clue(2), "clue_id": "a\nb"}]
    run.feiyu.clues = [*bad, clue(3)]
    async with run.up():
        await run.rounds(0)
    assert run.ids == ["clue:3"]
    assert len(run.intake.rejected) == 2


@pytest.mark.parametrize("made", [None, "", "soon", -1, 0, True, "9" * 20, 10**11, 5])
def test_a_time_that_is_none_is_the_arrival(made: Any) -> None:
    batch = decode_clues(
        [{**clue(1), "create_time": made}, 7, []],
        room=ROOM,
        now=NOW_S * 1_000,
        form="f",
        consent_text="",
        channel="",
    )
    assert [event.at for event in batch.events] == [NOW_S * 1_000]
    assert batch.events[0].consent is None
    assert [each.index for each in batch.rejected] == [1, 2]
