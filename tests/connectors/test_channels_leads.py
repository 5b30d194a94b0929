"""Leads of WeChat Channels: tokens, forms → broadcasts → pages, each lead once, and what a person must mend."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.core.events import RoomRef
from frontrow_connectors.channels_leads import ChannelsLeadsFeed, ChannelsLeadsOptions
from frontrow_connectors.channels_leads.decoder import Broadcast, Source, decode_leads
from frontrow_connectors.contract import FeedContext, FeedState, ForgetfulPosition
from tests.support.clock import ManualClock
from tests.support.feed_runs import eager, running
from tests.support.feeds import RecordingIntake
from tests.support.http_server import Failure, Reply, Request, ScriptedServer, scripted_server

ROOM = RoomRef(id="wx", platform="channels", room="owner-1")
NOW_S = 1_785_000_000
LIVE_S = NOW_S - 1_800
PAGE = 3
APP_ID, SECRET = "wx01", "app-secret"


def lead(number: int, **fields: Any) -> dict[str, Any]:
    """Return an invented lead in the documented shape."""
    answers = [{"title": "姓名", "value": "小明"}, {"title": "手机号", "value": f"138{number:08}"}]
    return {"anchor_nickname": "小鹿", "live_start_time": LIVE_S, "live_description": "上新", "close_flag": False,
            "leads_data": answers, **fields}  # fmt: skip


class WeChat:
    """The service: tokens that run out or are revoked, and lists that are paged by a buffer."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.leads: dict[str, list[dict[str, Any]]] = {"live-1": []}
        self.starts: dict[str, int] = {"live-1": LIVE_S}
        self.token = "token-1"
        self.tokens_given = 0
        self.forced = 0
        self.valid: set[str] = {"token-1"}
        self.refuse_with = 40001
        self.error: dict[str, int] = {}  # the last part of a path → the errcode of all its answers
        self.asked: list[tuple[str, dict[str, Any]]] = []
        server.on_request = self._asked

    def _asked(self, request: Request) -> None:
        body = msgspec.json.decode(request.body)
        name = request.path.rsplit("/", 1)[-1]
        self.asked.append((name, body))
        self.server.otherwise = Reply(200, msgspec.json.encode(self._answer(name, request, body)))

    def _answer(self, name: str, request: Request, body: dict[str, Any]) -> Any:
        if name in self.error:
            return {"errcode": self.error[name], "errmsg": "said in words"}
        if name == "stable_token":
            if body["appid"] != APP_ID:
                return {"errcode": 40013, "errmsg": "invalid appid"}
            if body["secret"] != SECRET:
                return {"errcode": 40125, "errmsg": "invalid appsecret"}
            self.tokens_given += 1
            if body["force_refresh"]:
                self.forced += 1
                self.token = f"forced-{self.forced}"
                self.valid = {self.token}
            return {"access_token": self.token, "expires_in": 7_200}
        if request.query["access_token"] not in self.valid:
            return {"errcode": self.refuse_with, "errmsg": "invalid credential"}
        if name == "get_leads_component_id":
            forms = [
                {"leads_component_id": "c1", "leads_description": "试用", "status": 4},
                {"leads_component_id": "c2", "leads_description": "未审核", "status": 2},
            ]
            return self._page("item", forms, body, size=1)
        if name == "get_leads_request_id":
            assert body["leads_component_id"] == "c1", "only approved forms are asked about"
            return self._page(
                "item",
                [
                    {
                        "request_id": request_id,
                        "live_start_time": self.starts[request_id],
                        "live_description": "d",
                    }
                    for request_id in self.leads
                ],
                body,
                size=2,
            )
        assert body["version"] == 1
        return self._page("user_data", self.leads[body["request_id"]], body, size=PAGE)

    def _page(self, key: str, items: list[Any], body: dict[str, Any], *, size: int) -> Any:
        start = int(body["last_buffer"] or 0)
        return {
            "errcode": 0, key: items[start : start + size], "last_buffer": str(min(start + size, len(items))),
            "continue_flag": start + size < len(items),
        }  # fmt: skip

    def pages(self, request: str = "live-1") -> list[str]:
        """Return the buffers that leads of a broadcast were asked for with."""
        return [body["last_buffer"] for name, body in self.asked if body.get("request_id") == request]


class Run:
    """A feed that runs against the service."""

    def __init__(self, wechat: WeChat) -> None:
        self.wechat = wechat
        self.clock = ManualClock(NOW_S * 1_000)
        self.position = ForgetfulPosition()
        self.intake = RecordingIntake()

    @asynccontextmanager
    async def up(self, **options: Any) -> AsyncIterator[None]:
        made = ChannelsLeadsOptions(
            **{
                "app_id": APP_ID, "app_secret": SECRET, "api_url": self.wechat.server.url, "consent_text": "同意联系",
                **options,
            }
        )  # fmt: skip
        context = eager(self.intake.context(self.clock, room=ROOM))
        context = FeedContext(**{**vars(context), "position": self.position})
        async with running(ChannelsLeadsFeed(made, context)):
            yield

    async def rounds(self, count: int, step_s: float = 1) -> None:
        """Let time pass, in steps, until so many rounds are done."""
        async with asyncio.timeout(10):
            while sum(status.state is FeedState.CONNECTED for status in self.intake.statuses) < count:
                await self.clock.until_sleeping()
                await self.clock.advance(step_s)

    @property
    def phones(self) -> list[str]:
        return [event.fields["phone"] for event in self.intake.events if event.fields]


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    async with scripted_server() as server:
        yield Run(WeChat(server))


async def test_a_lead_becomes_a_form_of_its_broadcast(run: Run) -> None:
    run.wechat.leads["live-1"] = [lead(1)]
    async with run.up(lead_channel="channels"):
        await run.rounds(1)
    [event] = run.intake.events
    assert event.id == event.viewer
    assert event.id.startswith("leads:")
    assert (event.kind, event.form, event.host, event.consent) == (
        "form_submit",
        "channels_leads",
        "小鹿",
        True,
    )
    assert event.fields == {"name": "小明", "phone": "13800000001"}
    assert NOW_S * 1_000 <= event.at <= NOW_S * 1_000 + 60_000
    assert event.extra is not None
    kept = {
        name: event.extra[name]
        for name in ("leads_component_id", "request_id", "leads_description", "channel")
    }
    assert list(kept.values()) == ["c1", "live-1", "试用", "channels"]
    assert "138" not in event.id


async def test_pages_are_read_to_the_end_and_only_the_last_is_asked_for_again(run: Run) -> None:
    run.wechat.leads["live-1"] = [lead(number) for number in range(5)]
    async with run.up():
        await run.rounds(1)
        assert run.wechat.pages() == ["", "3"]
        run.wechat.leads["live-1"] += [lead(number) for number in range(5, 8)]
        await run.rounds(2)
    assert run.wechat.pages() == ["", "3", "3", "6"]
    assert run.phones == [f"138{number:08}" for number in range(8)]  # each once, in their order


async def test_a_restart_goes_on_behind_the_last_full_page_and_repeats_nothing(run: Run) -> None:
    run.wechat.leads["live-1"] = [lead(number) for number in range(4)]
    async with run.up():
        await run.rounds(1)
    run.wechat.leads["live-1"].append(lead(4))
    run.wechat.asked.clear()
    run.intake.statuses.clear()
    async with run.up():
        await run.rounds(1)
    assert run.wechat.pages() == ["3"]
    assert run.phones == [f"138{number:08}" for number in range(5)]


async def test_a_buffer_is_kept_only_after_its_page_is_durable(run: Run) -> None:
    run.wechat.leads["live-1"] = [lead(number) for number in range(4)]
    run.intake.hold = True
    async with run.up():
        while not run.intake.held:
            await run.clock.until_sleeping()
            await run.clock.advance(1)
            await asyncio.sleep(0.01)
        assert await run.position.read() is None
        run.intake.hold = False
        run.intake.make_durable()
        await run.rounds(1)
        assert '"buffer":"3"' in (await run.position.read() or "")


async def test_what_is_kept_holds_nobodys_number(run: Run) -> None:
    run.wechat.leads["live-1"] = [lead(1)]
    async with run.up():
        await run.rounds(1)
    kept = await run.position.read() or ""
    assert "live-1" in kept
    assert "13800000001" not in kept and "小明" not in kept


@pytest.mark.parametrize("code", [40001, 42001, 40014])
async def test_a_token_that_has_run_out_is_asked_for_anew(run: Run, code: int) -> None:
    run.wechat.refuse_with = code
    async with run.up():
        await run.rounds(1)
        run.wechat.token, run.wechat.valid = "token-2", {"token-2"}
        run.wechat.leads["live-1"] = [lead(1)]
        await run.rounds(2)
    assert run.phones == ["13800000001"]
    assert (run.wechat.tokens_given, run.wechat.forced) == (2, 0)


async def test_a_token_that_was_revoked_is_renewed_by_force_once(run: Run) -> None:
    run.wechat.valid = set()  # and asking gives the same one
    run.wechat.leads["live-1"] = [lead(1)]
    async with run.up():
        await run.rounds(1)
    assert run.phones == ["13800000001"]
    assert run.wechat.forced == 1


async def test_a_token_is_asked_for_once_while_it_lasts(run: Run) -> None:
    async with run.up(every_s=1_200):
        await run.rounds(5, 60)
        assert run.wechat.tokens_given == 1
        await run.rounds(8, 60)  # beyond its two hours less five minutes
        assert run.wechat.tokens_given == 2


async def test_new_tokens_that_are_refused_are_a_persons_matter_and_not_forced_for_ever(run: Run) -> None:
    run.wechat.error = {"get_leads_component_id": 40001}
    async with run.up():
        async with asyncio.timeout(10):
            while sum(status.state is FeedState.REFUSED for status in run.intake.statuses) < 4:
                await run.clock.until_sleeping()
                await run.clock.advance(30)
    assert run.wechat.forced == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"app_id": "wx99"}, "AppID is not right (40013)"),
        ({"app_secret": "x"}, "AppSecret is not right (40125)"),
    ],
)
async def test_wrong_keys_are_refused_in_clear_words(run: Run, options: dict[str, str], words: str) -> None:
    async with run.up(**options):
        status = await run.intake.until_state(FeedState.REFUSED)
    assert words in status.sentence


@pytest.mark.parametrize(
    ("code", "state", "wait_s"),
    [
        (48001, FeedState.REFUSED, 300), (40164, FeedState.REFUSED, 300), (100000, FeedState.REFUSED, 300),
        (45009, FeedState.WAITING, 3_600), (45011, FeedState.WAITING, 60), (-1, FeedState.WAITING, 60),
        (12345, FeedState.WAITING, 0),
    ],
)  # fmt: skip
async def test_every_business_error_says_who_must_do_what(
    run: Run, code: int, state: FeedState, wait_s: float
) -> None:
    run.wechat.error = {"get_leads_component_id": code}
    async with run.up():
        await run.clock.until_sleeping()
        await run.clock.advance(1)
        status = await run.intake.until_state(state)
    assert status.retry_in_s == wait_s
    assert str(code) in status.sentence
    assert "said in words" not in status.sentence


async def test_a_broadcast_that_cannot_be_asked_about_does_not_stop_the_others(run: Run) -> None:
    run.wechat.leads = {"live-1": [lead(1)], "live-2": [lead(2)], "live-3": [lead(3)]}
    run.wechat.starts = {"live-1": LIVE_S, "live-2": LIVE_S, "live-3": NOW_S - 90 * 86_400}
    real = run.wechat._answer

    def answer(name: str, request: Request, body: dict[str, Any]) -> Any:
        return {"errcode": 9999} if body.get("request_id") == "live-1" else real(name, request, body)

    run.wechat._answer = answer  # type: ignore[method-assign]  # the service has a bad day
    async with run.up():
        await run.rounds(1)
    assert run.phones == ["13800000002"]  # and live-3 is too long ago
    assert run.intake.rejected == ["WeChat does not answer for a broadcast"]


async def test_a_place_that_wechat_does_not_know_any_more_is_left(run: Run) -> None:
    await run.position.keep('{"c1/live-1":{"buffer":"gone","start_s":1}}')
    run.wechat.leads["live-1"] = [lead(1)]
    real = run.wechat._answer

    def answer(name: str, request: Request, body: dict[str, Any]) -> Any:
        return {"errcode": -2} if body.get("last_buffer") == "gone" else real(name, request, body)

    run.wechat._answer = answer  # type: ignore[method-assign]  # as after a change of its format
    async with run.up():
        await run.rounds(1)
    assert run.phones == ["13800000001"]


@pytest.mark.parametrize(
    "failure",
    [Failure.DROP, Failure.GARBAGE, Reply(502), Reply(200, b"null"), Reply(200, b'{"access_token": 7}')],
)
async def test_after_a_failure_it_goes_on(run: Run, failure: Failure | Reply) -> None:
    run.wechat.leads["live-1"] = [lead(1)]
    run.wechat.server.script.extend([failure, failure])
    async with run.up():
        await run.rounds(1)
    assert run.phones == ["13800000001"]
    assert any(status.state is FeedState.WAITING for status in run.intake.statuses)


async def test_a_list_that_never_ends_is_left(run: Run) -> None:
    """It says that it goes on, and gives the same place again."""
    endless = {"errcode": 0, "item": [], "last_buffer": "1", "continue_flag": True}
    real = run.wechat._answer

    def answer(name: str, request: Request, body: dict[str, Any]) -> Any:
        return endless if name == "get_leads_component_id" else real(name, request, body)

    run.wechat._answer = answer  # type: ignore[method-assign]  # a bug over there
    async with run.up():
        await run.rounds(1)
    assert len(run.wechat.asked) == 3  # the token, and the list twice


@pytest.mark.parametrize("items", [7, "x", {"a": 1}, [None, 7, {"leads_component_id": []}]])
async def test_a_list_that_is_none_is_empty(run: Run, items: Any) -> None:
    real = run.wechat._answer

    def answer(name: str, request: Request, body: dict[str, Any]) -> Any:
        return (
            {"errcode": 0, "item": items} if name == "get_leads_component_id" else real(name, request, body)
        )

    run.wechat._answer = answer  # type: ignore[method-assign]  # of another shape than documented
    async with run.up():
        await run.rounds(1)
    assert run.phones == []


async def test_calls_are_no_more_than_may_be_made_in_a_minute(run: Run) -> None:
    run.wechat.leads = {f"live-{number}": [] for number in range(30)}
    run.wechat.starts = dict.fromkeys(run.wechat.leads, LIVE_S)
    async with run.up(calls_per_minute=60):
        began = run.clock.monotonic()
        await run.rounds(1)
        took_s = run.clock.monotonic() - began
    assert took_s >= len(run.wechat.asked) - 1


BROADCAST = Broadcast("c1", "live-1", "试用", LIVE_S)
SOURCE = Source(ROOM, "f", "", "", "secret")


@pytest.mark.parametrize(
    ("answers", "fields"),
    [
        ([("您的电话", "1")], {"phone": "1"}),
        ([("联系我", "13800138000"), ("城市", "杭州")], {"phone": "13800138000", "城市": "杭州"}),
        ([("手机", "1"), ("备用手机", "2")], {"phone": "1", "phone 2": "2"}),
        ([("城市", "杭州"), ("预算", "20万")], {"城市": "杭州", "预算": "20万"}),
        ([("姓名", ""), ("称呼", "王先生")], {"name": "王先生"}),
    ],
)  # fmt: skip
def test_the_number_is_found_by_its_title_or_its_pattern(
    answers: list[tuple[str, str]], fields: dict[str, str]
) -> None:
    made = lead(1, leads_data=[{"title": title, "value": value} for title, value in answers])
    batch = decode_leads([made], BROADCAST, SOURCE, NOW_S * 1_000)
    assert batch.events[0].fields == fields


def test_a_lead_of_last_week_is_not_of_the_broadcast_that_is_on_the_air() -> None:
    old = lead(1, live_start_time=NOW_S - 7 * 86_400)
    [event] = decode_leads([old], BROADCAST, SOURCE, NOW_S * 1_000).events
    assert event.at == (NOW_S - 7 * 86_400 + 12 * 3_600) * 1_000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["leads_data", "title", "value", "live_start_time", "anchor_nickname"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.lists(JSON | JSON.map(lambda value: lead(1, leads_data=[value])), max_size=4))
def test_whatever_a_page_holds_is_a_lead_or_a_rejection(leads: list[Any]) -> None:
    batch = decode_leads(leads, BROADCAST, SOURCE, NOW_S * 1_000)
    assert len(batch.events) + len(batch.rejected) == len(leads)
