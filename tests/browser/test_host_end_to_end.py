"""The host's page in a real browser against the whole real daemon: its own sockets, store, engine and model.

The other browser tests write the daemon's half of the conversation themselves. Here nothing is written by hand but
events, which come in by HTTP as a platform's would.

The last test makes the first picture of README. To renew it::

    FRONTROW_SCREENSHOTS=out/screenshots .venv/bin/python -m pytest tests/browser/test_host_end_to_end.py -k picture
    cp out/screenshots/host-panel.png dashboards/docs/host-panel.png
"""

import asyncio
import base64
import contextlib
import re
import unicodedata
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, WebSocket, expect

from frontrow.app.parts import load_config
from frontrow.app.replaying import replay
from frontrow.clock import SystemClock
from frontrow.core.events import Event, encode_event
from frontrow.runtime.access import Role
from frontrow_connectors.file import FileReject
from frontrow_models.simulate import Scenario, simulate, write_ndjson
from tests.browser.conftest import OpenPage
from tests.support.daemons import ROOT, Running, running, write_config
from tests.support.rooms import event

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

SECONDS_MS = 1_000
# Chromium itself writes these to the console; a test that is about them expects them, and nothing else.
REFUSED_PAGE = "Failed to load resource"
REFUSED_SOCKET = "WebSocket connection to"


@pytest_asyncio.fixture(loop_scope="session")
async def daemon(tmp_path: Path) -> AsyncIterator[Running]:
    # Viewers who all say the same few things would be taken for a crowd.
    async with running(write_config(tmp_path, "[crowd]\npartners = 0\n")) as up:
        yield up


def page_of(daemon: Running, token: str, room: str = "demo", **query: object) -> str:
    options = "".join(f"&{key}={value}" for key, value in query.items())
    return f"{daemon.url}/host/{room}?token={token}{options}"


def ndjson(events: Sequence[Event]) -> bytes:
    return b"\n".join(encode_event(each) for each in events)


def asks_clicks_and_sends(viewer: str, name: str, **more: Any) -> list[Event]:
    """What makes a viewer hot: asks the price twice, clicks the link, sends the form. 15 + 30 + 50 points."""
    at = SystemClock().now()
    about: dict[str, Any] = {"viewer": viewer, "name": name, **more}
    return [
        event("comment", id=f"{viewer}-1", at=at, text="这个多少钱", **about),
        event("comment", id=f"{viewer}-2", at=at + 1, text="how much is it?", **about),
        event("product_click", id=f"{viewer}-3", at=at + 2, product="3号 亚麻衬衫", **about),
        event("form_submit", id=f"{viewer}-4", at=at + 3, form="consult", **about),
    ]


def clicks_and_asks(viewer: str, name: str) -> list[Event]:
    """What makes a viewer warm: 30 + 15 points."""
    return asks_clicks_and_sends(viewer, name)[1:3]


def rows(page: Page) -> Locator:
    return page.locator("button.row")


def chips(row: Locator) -> Locator:
    return row.locator(".chip")


async def shape(row: Locator) -> str:
    return await row.locator(".grade-icon").inner_html()


# ---------------------------------------------------------------- a viewer turns hot


async def test_who_turns_hot_appears_within_seconds_in_the_language_of_the_link(
    daemon: Running, browse: OpenPage
) -> None:
    """The page is open before anything happens, and nobody touches it."""
    token = daemon.token(Role.HOST, "demo")
    chinese = await browse(page_of(daemon, token), width=390)
    english = await browse(page_of(daemon, token, lang="en"), width=390)
    await expect(chinese.locator(".full-title")).to_have_text("还没有开播")
    await expect(english.locator(".full-title")).to_have_text("Not live yet")

    answer = await daemon.ingest(
        ndjson([*asks_clicks_and_sends("v1", "小丑鱼"), *clicks_and_asks("v2", "阿泽")])
    )
    assert answer.json() == {"accepted": 6, "duplicates": 0, "rejected": []}

    table = [
        (chinese, "热", "温", "分", ["填了表单", "点链接", "问价×2"], ["点链接", "问价"], "刚刚"),
        (english, "Hot", "Warm", "pts", ["Sent form", "Clicked link", "Asked price ×2"],
         ["Clicked link", "Asked price"], "just now"),
    ]  # fmt: skip
    for page, hot_word, warm_word, unit, hot_chips, warm_chips, now in table:
        hot, warm = rows(page).nth(0), rows(page).nth(1)
        await expect(hot.locator(".name-text")).to_have_text("小丑鱼", timeout=3 * SECONDS_MS)
        await expect(hot.locator(".grade-word")).to_have_text(hot_word)
        await expect(hot.locator(".points")).to_have_text(f"95{unit}")
        await expect(chips(hot)).to_have_text(hot_chips)
        await expect(hot.locator(".age")).to_have_text(now)
        await expect(warm.locator(".name-text")).to_have_text("阿泽")
        await expect(warm.locator(".grade-word")).to_have_text(warm_word)
        await expect(warm.locator(".points")).to_have_text(f"45{unit}")
        await expect(chips(warm)).to_have_text(warm_chips)
        assert await shape(hot) != await shape(warm)  # not by colour alone
        # Whole chips in one line: a chip that wraps is cut off by the row.
        assert await chips(hot).evaluate_all("chips => new Set(chips.map(chip => chip.offsetTop)).size") == 1
        # A model that has learnt nothing yet shows no number at all.
        await expect(hot.locator(".percent")).to_have_text("")
        await expect(hot.locator(".chance .only-read")).to_have_text(re.compile("数据不足|not enough data"))
        await expect(page.locator("h1")).to_have_text("夏季新品")


async def test_what_a_shown_viewer_does_next_is_in_the_row_at_once(daemon: Running, browse: OpenPage) -> None:
    await daemon.ingest(ndjson(clicks_and_asks("v2", "阿泽")))
    page = await browse(page_of(daemon, daemon.token(Role.HOST, "demo")))
    row = rows(page).first
    await expect(row.locator(".points-value")).to_have_text("45")
    more = [
        event("cart_add", id="c", viewer="v2", at=SystemClock().now(), product="3号 亚麻衬衫"),
        event("form_submit", id="f", viewer="v2", at=SystemClock().now(), form="consult"),
    ]
    await daemon.ingest(ndjson(more))
    await expect(row.locator(".points-value")).to_have_text("100")
    await expect(row.locator(".grade-word")).to_have_text("热")
    await expect(chips(row)).to_have_text(["填了表单", "点链接", "加购"])
    await row.click()
    [lead] = (await daemon.http.get("/api/v1/leads", params={"token": daemon.token(Role.SALES)})).json()[
        "leads"
    ]
    await expect(page.locator("dialog.card .facts")).to_contain_text(
        lead["lead"]
    )  # what sales have on the phone


# ---------------------------------------------------------------- the daemon goes and comes back


async def test_when_the_daemon_stops_the_page_says_so_and_comes_back_by_itself(
    tmp_path: Path, browse: OpenPage
) -> None:
    config = write_config(tmp_path)
    async with running(config) as first:
        token = first.token(Role.HOST, "demo")
        await first.ingest(ndjson(asks_clicks_and_sends("v1", "小丑鱼")))
        page = await browse(page_of(first, token), expects=REFUSED_SOCKET)
        await expect(rows(page)).to_have_count(1)
        port = httpx.URL(first.url).port

    lost = page.locator(".banner[data-kind=lost]")
    await expect(lost).to_contain_text("和 Frontrow 断开了")
    await expect(lost).to_contain_text("名单停在")
    await expect(page.locator(".stage-word")).to_have_text("已断开")
    await expect(rows(page).first.locator(".name-text")).to_have_text("小丑鱼")  # what was known stays

    async with running(config, environ={"FRONTROW__SERVER__PORT": str(port)}) as second:
        assert second.url == first.url
        await expect(lost).to_be_hidden(timeout=30 * SECONDS_MS)
        await expect(page.locator(".stage-word")).to_have_text("直播中")
        await expect(rows(page).first.locator(".name-text")).to_have_text("小丑鱼")
        await expect(chips(rows(page).first)).to_have_text(["填了表单", "点链接", "问价×2"])
        await second.ingest(ndjson(asks_clicks_and_sends("v3", "豆包妈妈")))
        await expect(rows(page).locator(".name-text")).to_have_text(["豆包妈妈", "小丑鱼"])


# ---------------------------------------------------------------- who may not see it


async def test_who_may_not_see_the_room_is_told_and_sees_nobody(daemon: Running, browse: OpenPage) -> None:
    await daemon.ingest(ndjson(asks_clicks_and_sends("v1", "小丑鱼")))
    tokens = {
        "a wrong token": "fr_wrong",
        "no token": "",
        "another room's token": daemon.token(Role.HOST, "other"),
        "a feed's token": daemon.token(Role.INGEST, "demo"),
    }
    for what, token in tokens.items():
        page = await browse(page_of(daemon, token), expects=REFUSED_PAGE)
        frames = heard(page)
        await page.reload()
        title = page.locator(".full[data-kind=forbidden] .full-title")
        await expect(title, what).to_have_text("这个链接不能打开本直播间")
        await expect(page.locator(".stage-word"), what).to_have_text("打不开")
        await expect(rows(page), what).to_have_count(0)
        assert frames == [], what
        seen = await page.content()
        assert "小丑鱼" not in seen, what
        assert "夏季新品" not in seen, what


async def test_a_room_that_is_not_there_is_named(daemon: Running, browse: OpenPage) -> None:
    page = await browse(page_of(daemon, daemon.token(Role.ADMIN), room="nowhere"), expects=REFUSED_PAGE)
    await expect(page.locator(".full[data-kind=unknown_room] .full-title")).to_have_text(
        "没有叫“nowhere”的直播间"
    )


# ---------------------------------------------------------------- telephone numbers

NUMBER = "13800138000"
SPELT = [
    NUMBER,
    "138 0013 8000",
    "138-0013-8000",
    "+86 138 0013 8000",
    "１３８００１３８０００",
    "①③⑧⓪⓪①③⑧⓪⓪⓪",
    "一三八零零一三八零零零",
    "1️⃣3️⃣8️⃣0️⃣0️⃣1️⃣3️⃣8️⃣0️⃣0️⃣0️⃣",
]


async def test_no_telephone_number_ever_reaches_the_page(daemon: Running, browse: OpenPage) -> None:
    """Neither what the page shows, nor its attributes, nor what it is sent."""
    page = await browse(page_of(daemon, daemon.token(Role.HOST, "demo"), limit=20))
    frames = heard(page)
    await page.reload()
    await expect(page.locator(".full-title")).to_have_text("还没有开播")
    for count, spelt in enumerate(SPELT):
        about: dict[str, Any] = {"viewer": f"v{count}", "name": f"小美{spelt}", "at": SystemClock().now()}
        events = [
            *asks_clicks_and_sends(f"v{count}", f"小美{spelt}", fields={"电话": spelt, "姓名": "小美"}),
            event("comment", id=f"w{count}", text=f"多少钱 我的电话是{spelt} 加我", **about),
        ]
        assert (await daemon.ingest(ndjson(events))).json()["accepted"] == len(events)
    await expect(rows(page)).to_have_count(len(SPELT))
    for position in range(len(SPELT)):
        await rows(page).nth(position).click()
        words = page.locator("dialog.card .card-words")
        await expect(words).to_contain_text("我的电话是")
        assert tell(await page.content()) == []
        await page.keyboard.press("Escape")
    assert len(frames) > 0
    assert [found for frame in frames for found in tell(frame)] == []


async def test_the_search_for_numbers_itself_finds_every_spelling() -> None:
    assert all(tell(f"<p title='小美{spelt}'>") for spelt in SPELT)
    assert tell("小美13****00 的电话") == []


def tell(text: str) -> list[str]:
    """Return the pieces of seven digits of NUMBER that can be read out of a text, in whatever spelling."""
    plain = unicodedata.normalize("NFKC", text).translate(str.maketrans("零一三八", "0138"))
    plain = re.sub(r"[^\w<>]|[\ufe0f\u20e3]", "", plain)
    return [NUMBER[at : at + 7] for at in range(len(NUMBER) - 6) if NUMBER[at : at + 7] in plain]


def heard(page: Page) -> list[str]:
    """Return a list that fills with what the page's WebSockets are sent from now on."""
    frames: list[str] = []

    def listen(link: WebSocket) -> None:
        link.on("framereceived", lambda payload: frames.append(str(payload)))

    page.on("websocket", listen)
    return frames


# ---------------------------------------------------------------- the first picture of README

BEGAN = 1_767_268_800_000  # 2026-01-01 20:00 in Shanghai
GONE_MS = 18 * 60 * SECONDS_MS
DAY_MS = 24 * 3_600 * SECONDS_MS
# A whole show of the evening before, from which the model has learnt: an outcome takes an hour to be known.
EVENING_BEFORE = Scenario(
    seed=701, platform="demo", rooms=("demo",), start=BEGAN - DAY_MS, viewers=600, events_per_s=4.0
)
SHOW = Scenario(seed=2, platform="demo", rooms=("demo",), start=BEGAN, viewers=320, events_per_s=8.0)
ROWS = 6  # all that are hot, and the first that are warm
NUMBERS_AND_NAMES = ".name-text, .points-value, .percent"
DAEMON = {
    "FRONTROW__SERVER__PORT": "0",
    "FRONTROW__LOG__LEVEL": "warning",
    "FRONTROW__FEEDS__DEMO__ENABLED": "false",  # the show is told by the test
}
# Chinese, Japanese, Korean and Latin letters: a machine that renders the picture has fonts for these, and for emoji
# or Thai perhaps none.
NO_FONT = re.compile(r"[^\u0020-\u024f\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u4e00-\u9fff\uac00-\ud7a3]")


class Evening(SystemClock):
    """The machine's clock, set to 20:18 of one evening: the same picture on whatever day it is made."""

    def __init__(self) -> None:
        self._ahead = BEGAN + GONE_MS - super().now()

    def now(self) -> int:
        return super().now() + self._ahead


class Show:
    """The simulated show as it arrives, bit by bit."""

    def __init__(self) -> None:
        self._arrivals = simulate(SHOW).arrivals()
        self._next = next(self._arrivals)

    def until(self, now: int) -> list[Event]:
        """Return what has arrived by ``now`` and was not returned before."""
        events: list[Event] = []
        while self._next[0] <= now:
            arrived = self._next[1]
            name = None if arrived.name is None else NO_FONT.sub("", arrived.name).strip() or "云朵"
            events.append(msgspec.structs.replace(arrived, name=name))
            self._next = next(self._arrivals)
        return events


def journal_of(events: Sequence[Event], folder: Path) -> Path:
    """Return a store whose journal holds these events, as ``frontrow replay --journal`` writes it."""
    recording, store = folder / "show.ndjson", folder / "frontrow.db"
    with recording.open("wb") as out:
        write_ndjson(events, out)
    rejects: list[FileReject] = []
    replay(
        [str(recording)],
        out=folder / "replayed",
        config=load_config(ROOT / "config.toml", {}),
        clock=SystemClock(),
        journal=store,
        on_reject=rejects.append,
    )
    assert rejects == []
    return store


@contextlib.asynccontextmanager
async def a_show_that_goes_on(folder: Path) -> AsyncIterator[tuple[Running, Callable[[], None]]]:
    """Run the daemon with the repository's own configuration, 18 minutes into a show, which goes on by HTTP.

    Gives the daemon, and what makes the show hold its breath.
    """
    show = Show()
    past = [*simulate(EVENING_BEFORE), *show.until(BEGAN + GONE_MS)]
    store = await asyncio.to_thread(journal_of, past, folder)
    environ = {**DAEMON, "FRONTROW__STORAGE__PATH": str(store)}
    clock = Evening()
    async with running(ROOT / "config.toml", clock=clock, environ=environ) as daemon:
        token = daemon.token(Role.INGEST, "demo")
        paused = asyncio.Event()

        async def go_on() -> None:
            while not paused.is_set():
                if events := show.until(clock.now()):
                    answer = await daemon.ingest(ndjson(events), token=token)
                    assert answer.json()["rejected"] == []
                await clock.sleep(0.25)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(go_on(), name="the show")
            yield daemon, paused.set
            paused.set()


@pytest.mark.timeout(120)  # two broadcasts are simulated, replayed and recovered
async def test_the_picture_of_a_show_that_goes_on(
    tmp_path: Path, browse: OpenPage, chromium: Browser, screenshots: Path
) -> None:
    """What a stranger sees first is the real page on the real daemon, with a model that has learnt."""
    shots = [("host-zh-CN", "zh-CN", "light"), ("host-en", "en", "light"), ("host-en-dark", "en", "dark")]
    async with a_show_that_goes_on(tmp_path) as (daemon, pause):
        token = daemon.token(Role.HOST, "demo")
        pages = [
            await browse(
                page_of(daemon, token, lang=lang, theme=theme, mask=1, limit=ROWS),
                width=390,
                height=604,
                device={"device_scale_factor": 2},
            )
            for _, lang, theme in shots
        ]
        for page in pages:
            await expect(rows(page)).to_have_count(ROWS)
            await expect(rows(page).locator(".percent:visible")).to_have_count(ROWS)
        await expect(rows(pages[0]).locator(".age", has_text="刚刚").first).to_be_visible()
        pause()
        await come_to_rest(pages)
        await every_reason_adds_up(daemon, token)
        for (name, _, _), page in zip(shots, pages, strict=True):
            assert await overflowing(page) == []
            await page.screenshot(path=screenshots / f"{name}.png", animations="disabled")
        chinese = pages[0]
        await expect(chinese.locator("h1")).to_have_text("夏季新品专场 · 演示")
        await expect(chinese.locator(".stage-word")).to_have_text("直播中")
        await expect(chinese.locator(".model")).to_contain_text("概率来自")
        await expect(chinese.locator(".grade-word").first).to_have_text("热")
        await expect(chinese.locator(".grade-word").last).to_have_text("温")
        for name in await rows(chinese).locator(".name-text").all_inner_texts():
            assert re.fullmatch(r".+\*\*.+|.\*?", name)
        for page in pages:
            await page.context.close()  # before the daemon stops, of which the console would tell
    await side_by_side(
        chromium,
        [screenshots / f"{name}.png" for name in ("host-zh-CN", "host-en-dark")],
        screenshots / "host-panel.png",
    )


async def every_reason_adds_up(daemon: Running, token: str) -> None:
    """Ask for the reasons of everybody on the list: exact parts, as the model that has learnt gives them."""
    headers = {"authorization": f"Bearer {token}"}
    listed = (await daemon.http.get("/api/v1/rooms/demo/viewers", headers=headers)).json()["viewers"]
    for row in listed:
        answer = await daemon.http.get(
            "/api/v1/rooms/demo/reasons", params={"viewer": row["viewer"]}, headers=headers
        )
        why = answer.json()
        found = why["explanation"]
        assert (why["state"], why["points"]) == ("ready", row["points"])
        assert why["probability"] == found["probability"] == pytest.approx(row["probability"], abs=6e-3)
        raw = found["intercept"] + sum(part["logit"] for part in found["parts"])
        assert abs(raw - found["raw_logit"]) < 1e-9
        calibrated = found["calibrated_intercept"] + sum(part["calibrated"] for part in found["parts"])
        assert abs(calibrated - found["logit"]) < 1e-9
        assert all(set(part["words"]) == {"zh-CN", "en"} for part in found["parts"])
    assert listed


async def come_to_rest(pages: Sequence[Page]) -> None:
    """Wait until all pages show the same numbers, in the order of the numbers: rows move at most every two seconds."""
    async with asyncio.timeout(10):
        while True:
            shown = [await rows(page).locator(NUMBERS_AND_NAMES).all_inner_texts() for page in pages]
            if all(texts == shown[0] for texts in shown) and await in_order(pages[0]):
                return
            await asyncio.sleep(0.05)


async def in_order(page: Page) -> bool:
    """Return whether the chances fall from row to row within each grade."""
    for grade in ("hot", "warm"):
        texts = await page.locator(f".row[data-grade={grade}] .percent").all_inner_texts()
        chances = [0 if text == "<1%" else int(text.strip("<>%")) for text in texts]
        if chances != sorted(chances, reverse=True):
            return False
    return True


async def overflowing(page: Page) -> list[str]:
    """Return what stands partly outside the page to the right."""
    found: list[str] = await page.evaluate(
        """() => [...document.querySelectorAll('.row *, .head *')]
            .filter(one => one.getClientRects().length > 0 && !one.closest('.only-read'))
            .filter(one => one.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
            .map(one => one.className)"""
    )
    return found


async def side_by_side(chromium: Browser, pictures: Sequence[Path], together: Path) -> None:
    """Put pictures that were taken at twice their size beside each other, on nothing."""
    images = "".join(
        f'<img src="data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}">'
        for picture in pictures
    )
    style = (
        "body { margin: 0; display: flex; gap: 24px; padding: 4px; width: max-content; }"
        "img { width: 390px; border-radius: 12px; outline: 1px solid rgb(128 128 128 / 40%); }"
    )
    context = await chromium.new_context(viewport={"width": 840, "height": 640}, device_scale_factor=2)
    page = await context.new_page()
    await page.set_content(f"<!doctype html><style>{style}</style>{images}")
    picture = await page.locator("body").screenshot(path=together, omit_background=True)
    await context.close()
    assert len(picture) < 400_000  # it stands in the repository
