"""The page always says where it stands: loading, empty, quiet, broken, forbidden, and everything between."""

import re
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.support.panel_data import MINUTE, NOW, delta, evening, feed, row, snapshot, state
from tests.support.panel_server import PanelServer

FAILURES = "WebSocket connection to"  # Chromium writes each refused one to the console

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


def full(page: Page) -> Locator:
    return page.locator(".full:visible")


def banner(page: Page) -> Locator:
    return page.locator(".banner:visible")


async def test_loading_shows_where_the_list_will_be(panel: PanelServer, open_page: OpenPage) -> None:
    page = await open_page()  # the server accepts and says nothing
    await expect(full(page).locator(".full-title")).to_have_text("正在取名单")
    await expect(page.locator(".skeleton")).to_be_visible()
    await expect(page.locator(".stage-word")).to_have_text("连接中")
    (await panel.joined()).say(snapshot(row("a")))
    await expect(full(page)).to_have_count(0)
    await expect(page.locator(".stage-word")).to_have_text("直播中")


@pytest.mark.parametrize(
    ("options", "told", "title", "text"),
    [
        ({}, {}, "还没有热观众和温观众", "有人问价、点链接或填表单时，会马上出现在这里。"),
        ({"min_grade": "hot"}, {}, "还没有热观众", "有人问价、点链接或填表单时，会马上出现在这里。"),
        (
            {"lang": "en"},
            {},
            "No hot or warm viewers yet",
            "Whoever asks a price, clicks a link or sends a form appears here at once.",
        ),
        (
            {},
            {"session": None, "started_at": None, "last_event_at": None},
            "还没有开播",
            "一开播，热观众就会出现在这里，页面不用刷新。",
        ),
        ({}, {"ended": True}, "本场已结束", "这一场没有出现热观众或温观众。"),
    ],
)
async def test_empty_says_why_and_what_comes_next(
    panel: PanelServer,
    open_page: OpenPage,
    options: dict[str, Any],
    told: dict[str, Any],
    title: str,
    text: str,
) -> None:
    panel.on_join = lambda page: page.say(snapshot(**told))
    page = await open_page(**options)
    await expect(full(page).locator(".full-title")).to_have_text(title)
    await expect(full(page).locator(".full-text")).to_have_text(text)
    await expect(page.locator(".list")).to_be_hidden()


async def test_a_quiet_room_is_told_apart_from_a_broken_feed(panel: PanelServer, open_page: OpenPage) -> None:
    """ "No comments shown" must not leave the host guessing whether nobody speaks or the line is dead."""
    panel.on_join = lambda page: page.say(snapshot(row("a"), last_event_at=NOW - 2 * MINUTE - 50_000))
    page = await open_page(clock=True)
    await expect(page.locator("button.row")).to_have_count(1)
    await expect(banner(page)).to_have_count(0)
    await page.clock.run_for(12_000)
    await expect(banner(page).locator(".banner-title")).to_have_text("直播间 3 分钟没有互动")
    await expect(banner(page)).to_contain_text("连接正常，是大家没说话。")
    await expect(page.locator(".feed-state")).to_have_text("已连接")
    panel.conversations[0].say(
        {"type": "state", "seq": 2, "state": state(now=NOW + 60_000, last_event_at=NOW - 170_000)}
    )
    await expect(page.locator(".clock")).to_have_text(re.compile("^01:13:4[0-9]$"))  # it goes on by itself
    await page.clock.run_for(10_000)
    await expect(banner(page).locator(".banner-title")).to_have_text("直播间 4 分钟没有互动")
    panel.conversations[0].say(
        {"type": "state", "seq": 3, "state": state(now=NOW + 73_000, last_event_at=NOW + 73_000)}
    )
    await expect(banner(page)).to_have_count(0)


@pytest.mark.parametrize(
    ("code", "token", "lang", "text"),
    [
        (4401, "t", "zh-CN", "口令失效、写错，或不属于这个直播间。请向管理员要一个新链接。"),
        (4401, "", "zh-CN", "链接里缺少 token。请向管理员要完整的链接。"),
        (
            4403,
            "t",
            "en",
            "Its token has expired, is mistyped, or belongs to another room. Ask your admin for a new link.",
        ),
    ],
)
async def test_forbidden_says_whom_to_ask(
    panel: PanelServer, open_page: OpenPage, code: int, token: str, lang: str, text: str
) -> None:
    panel.on_join = lambda page: page.close(code)
    page = await open_page(token=token, lang=lang, clock=True)
    await expect(full(page)).to_have_attribute("data-kind", "forbidden")
    await expect(full(page).locator(".full-text")).to_have_text(text)
    await page.clock.run_for(30_000)  # it does not knock on
    assert len(panel.conversations) == 1
    panel.on_join = lambda page: page.say(snapshot(row("a")))
    await page.locator(".full button").click()
    await expect(page.locator("button.row")).to_have_count(1)


async def test_a_token_revoked_during_the_stream_hides_the_viewers(
    panel: PanelServer, open_page: OpenPage
) -> None:
    panel.on_join = lambda page: page.say(snapshot(row("a", "小雨点儿")))
    page = await open_page()
    await page.locator("button.row").click()
    await expect(page.locator(".card-name")).to_have_text("小雨点儿")
    panel.conversations[0].close(4401)
    await expect(full(page)).to_have_attribute("data-kind", "forbidden")
    assert "小雨点儿" not in await page.locator("html").inner_html()


async def test_an_unknown_room_is_named(panel: PanelServer, open_page: OpenPage) -> None:
    panel.on_join = lambda page: page.close(4404)
    page = await open_page(room="%E5%A4%8F%E5%A4%A9")
    await expect(full(page).locator(".full-title")).to_have_text("没有叫“夏天”的直播间")
    assert panel.conversations[0].room == "夏天"


async def test_broken_from_the_start_counts_down_and_tries_until_it_works(
    panel: PanelServer, open_page: OpenPage
) -> None:
    panel.refuse = True
    page = await open_page(expects=FAILURES)
    await expect(full(page)).to_have_attribute("data-kind", "broken")
    await expect(full(page).locator(".full-title")).to_have_text("连不上 Frontrow")
    await expect(full(page).locator(".full-text")).to_contain_text("第 2 次")
    panel.refuse = False
    panel.on_join = lambda conversation: conversation.say(snapshot(row("a")))
    await expect(page.locator("button.row")).to_have_count(1)
    await expect(full(page)).to_have_count(0)


async def test_trying_at_once_can_be_asked_for(panel: PanelServer, open_page: OpenPage) -> None:
    panel.refuse = True
    page = await open_page(expects=FAILURES, clock=True)
    words = full(page).locator(".full-text")
    for _ in range(120):  # up to where a wait takes at least 15 seconds
        tries = re.search(r"第 (\d+) 次", await words.inner_text())
        if tries is not None and int(tries[1]) >= 6:
            break
        await page.clock.run_for(1_000)
    await expect(words).to_contain_text("秒后自动重试（第")
    panel.refuse = False
    panel.on_join = lambda conversation: conversation.say(snapshot(row("a")))
    await full(page).locator("button").click()
    await expect(page.locator("button.row")).to_have_count(1)  # now, not when the fifteen seconds are over


async def test_a_lost_connection_keeps_the_list_says_so_and_resumes(
    panel: PanelServer, open_page: OpenPage
) -> None:
    panel.on_join = lambda page: page.say(snapshot(row("a", points=90), seq=41))
    page = await open_page(expects=FAILURES)
    await expect(page.locator("button.row")).to_have_count(1)
    assert "since" not in panel.conversations[0].query
    assert panel.conversations[0].query["token"] == "t"
    panel.conversations[0].say(delta(row("a", points=92), seq=57))
    await expect(page.locator("button.row .points-value")).to_have_text("92")
    panel.refuse = True
    panel.conversations[0].close(1012)
    await expect(banner(page).locator(".banner-title")).to_have_text("和 Frontrow 断开了")
    await expect(banner(page)).to_contain_text("名单停在 23:06:40")
    await expect(page.locator(".stage-word")).to_have_text("已断开")
    await expect(page.locator("button.row")).to_have_count(1)
    panel.refuse = False
    panel.on_join = lambda page: page.say(delta(row("b", points=99), seq=58))
    second = await panel.joined(2)
    assert second.query["since"] == "57"
    await expect(page.locator("button.row")).to_have_count(2)
    await expect(banner(page)).to_have_count(0)


async def test_a_daemon_started_anew_may_count_from_the_beginning(
    panel: PanelServer, open_page: OpenPage
) -> None:
    panel.on_join = lambda page: page.say(snapshot(row("a"), seq=500))
    page = await open_page()
    await expect(page.locator("button.row")).to_have_count(1)
    panel.on_join = lambda page: page.say(snapshot(row("b"), row("c"), seq=3))
    panel.conversations[0].close(1001)
    await panel.joined(2)
    await expect(page.locator("button.row .name-text")).to_have_text(["b", "c"])
    panel.conversations[1].say(delta(row("c", points=99), seq=4))
    await expect(page.locator("button.row .points-value").filter(has_text="99")).to_have_count(1)


async def test_a_short_break_is_not_worth_a_banner(panel: PanelServer, open_page: OpenPage) -> None:
    panel.on_join = lambda page: page.say(snapshot(row("a")))
    page = await open_page()
    # Else the wait for the next try alone could take the whole second that a break may take unseen.
    await page.add_init_script("Math.random = () => 0")
    await page.reload()
    again = await panel.joined(2)
    await expect(page.locator("button.row")).to_have_count(1)
    await page.evaluate(
        """() => {
            window.seen = 0;
            const look = () => { window.seen += document.querySelector('.banner').hidden ? 0 : 1; };
            new MutationObserver(look).observe(document.querySelector('.banner'), {attributes: true});
        }"""
    )
    again.close(1001)
    await panel.joined(3)
    await expect(page.locator(".stage-word")).to_have_text("直播中")
    assert await page.evaluate("window.seen") == 0


async def test_a_connection_that_falls_silent_is_given_up(panel: PanelServer, open_page: OpenPage) -> None:
    """A half-open connection (a laptop that slept) looks connected for minutes, while the list stands still."""
    panel.on_join = lambda page: page.say(snapshot(row("a"), seq=7))
    page = await open_page(clock=True)
    await expect(page.locator("button.row")).to_have_count(1)
    # Beside what the test moves it goes on by itself, by seconds where the machine is busy: a little less than forty.
    await page.clock.run_for(34_000)
    assert len(panel.conversations) == 1
    await page.clock.run_for(8_000)
    second = await panel.joined(2)
    assert second.query["since"] == "7"


async def test_waits_grow_and_are_bounded(open_page: OpenPage) -> None:
    page = await open_page()
    waits = await page.evaluate(
        """async () => {
            const {backoff} = await import('/static/host/link.js');
            return [1, 2, 3, 4, 5, 6, 7, 50, 5000].map(n => [backoff(n, () => 0), backoff(n, () => 1)]);
        }"""
    )
    assert waits[:5] == [[500, 1000], [1000, 2000], [2000, 4000], [4000, 8000], [8000, 16000]]
    assert waits[5:] == [[15000, 30000]] * 4


FEEDS: list[tuple[list[Any], str | re.Pattern[str], str | re.Pattern[str]]] = [
    ([feed("connecting")], "正在连接直播间", "Connecting to the room"),
    ([feed("connected")], "已连接", "Connected"),
    (
        [feed("waiting", retry_in_s=8.0, since=NOW)],
        re.compile("^连接断开，[1-8] 秒后重连$"),  # real seconds, of which a busy machine may take some
        re.compile("^Connection lost, trying again in [1-8] s$"),
    ),
    ([feed("waiting", since=NOW)], "连接断开，正在重连", "Connection lost, trying again"),
    (
        [feed("refused", detail="invalid app secret")],
        "平台拒绝了连接，请检查配置",
        "The platform refused us; check the configuration",
    ),
    ([feed("ended")], "数据已放完", "All data has been played"),
    ([], "正在接收推送", "Receiving pushes"),
    ([feed(), feed("waiting", id="b")], "1 路已连接，共 2 路", "1 of 2 feeds connected"),
    ([feed(), feed(id="b")], "2 路均已连接", "All 2 feeds connected"),
]


async def test_the_state_line_says_what_the_feeds_do(panel: PanelServer, open_page: OpenPage) -> None:
    panel.on_join = lambda page: page.say(snapshot(row("a"), feeds=[feed("connecting")]))
    page = await open_page()
    english = await open_page(lang="en")
    for seq, (feeds, zh, en) in enumerate(FEEDS, 2):
        for link in [await panel.joined(1), await panel.joined(2)]:
            link.say({"type": "state", "seq": seq, "state": state(feeds=feeds)})
        await expect(page.locator(".feed-state")).to_have_text(zh)
        await expect(english.locator(".feed-state")).to_have_text(en)


async def test_a_feeds_countdown_goes_on_between_messages(panel: PanelServer, open_page: OpenPage) -> None:
    panel.on_join = lambda page: page.say(
        snapshot(row("a"), feeds=[feed("waiting", retry_in_s=20.0, since=NOW)])
    )
    page = await open_page(clock=True)
    await expect(page.locator("button.row")).to_have_count(1)
    await page.clock.run_for(12_000)
    await expect(banner(page).locator(".banner-title")).to_have_text("收不到直播间的新消息")
    await expect(banner(page).locator(".banner-text")).to_have_text(
        re.compile("^连接断开，[1-8] 秒后重连。$")
    )
    await page.clock.run_for(10_000)
    await expect(page.locator(".feed-state")).to_have_text("连接断开，正在重连")


async def test_a_refused_feed_gives_the_daemons_reason(panel: PanelServer, open_page: OpenPage) -> None:
    panel.on_join = lambda page: page.say(
        snapshot(row("a"), feeds=[feed("refused", detail="invalid app secret")])
    )
    page = await open_page()
    await expect(banner(page)).to_contain_text("请检查该数据源的密钥和权限：invalid app secret")


async def test_every_feed_can_be_looked_at(panel: PanelServer, open_page: OpenPage) -> None:
    feeds = [
        feed(),
        feed(
            "waiting",
            id="backup",
            connector="websocket",
            detail="connection reset",
            retry_in_s=4.0,
            since=NOW,
        ),
    ]
    panel.on_join = lambda page: page.say(snapshot(row("a"), feeds=feeds, dropped=3))
    page = await open_page()
    await page.locator(".feed-state").click()
    lines = page.locator("#feeds .feed")
    await expect(lines).to_have_count(2)
    await expect(lines.nth(1)).to_contain_text("backup")
    await expect(lines.nth(1)).to_contain_text("connection reset")
    await expect(page.locator("#feeds")).to_contain_text("本场有 3 条消息没能处理")
    await expect(page.locator(".feed-state")).to_have_attribute("aria-expanded", "true")


async def test_the_head_tells_the_session_and_leaves_out_what_is_not_known(
    panel: PanelServer, open_page: OpenPage
) -> None:
    panel.on_join = lambda page: page.say(snapshot(row("a")))
    page = await open_page()
    await expect(page.locator("h1")).to_have_text("夏季新品专场")
    await expect(page.locator(".head")).to_contain_text("1,204 人在看")
    await expect(page.locator(".head")).to_contain_text("每分钟 86 条互动")
    await expect(page.locator(".product")).to_have_text("讲解中3号 亚麻衬衫")
    assert await page.title() == "夏季新品专场 · Frontrow"
    panel.conversations[0].say({"type": "state", "seq": 2, "state": state(viewers_online=None, product=None)})
    await expect(page.locator(".product")).to_be_hidden()
    await expect(page.locator(".head")).not_to_contain_text("人在看")


async def test_an_ended_session_says_how_long_it_was(panel: PanelServer, open_page: OpenPage) -> None:
    panel.on_join = lambda page: page.say(snapshot(row("a"), ended=True, last_event_at=NOW))
    page = await open_page()
    await expect(page.locator(".stage-word")).to_have_text("已结束")
    await expect(page.locator(".clock")).to_have_text("共 01:12:40")
    await expect(banner(page).locator(".banner-title")).to_have_text("本场已结束")


async def test_what_the_address_gets_wrong_is_shown_not_ignored(
    panel: PanelServer, open_page: OpenPage
) -> None:
    panel.on_join = lambda page: page.say(snapshot(row("a")))
    page = await open_page(min_grad="hot", layout="ticker", limit="many", lang="zh-CN")
    notices = page.locator(".notice-texts p")
    await expect(notices).to_have_text(
        [
            "链接里的参数“min_grad”不认识，未生效。是不是 min_grade？",
            "链接里的参数“layout”不认识，未生效。",
            "链接里的 limit=many 不能用，已按默认显示。",
        ]
    )
    await page.locator(".notices button").click()
    await expect(page.locator(".notices")).to_be_hidden()


async def test_values_out_of_bounds_are_told_and_the_defaults_hold(
    panel: PanelServer, open_page: OpenPage
) -> None:
    panel.on_join = lambda page: page.say(evening())
    wrong = {"limit": "0", "scale": "9", "theme": "pink", "lang": "fr", "mask": "yes", "min_grade": "tepid"}
    page = await open_page(**wrong)
    await expect(page.locator(".notice-texts p")).to_have_text(
        [f"链接里的 {key}={value} 不能用，已按默认显示。" for key, value in wrong.items()]
    )
    await expect(page.locator("button.row")).to_have_count(8)
    page = await open_page(limit="8.5")
    await expect(page.locator(".notices")).to_contain_text("limit=8.5")


async def test_messages_that_cannot_be_read_are_counted_and_the_rest_goes_on(
    panel: PanelServer, open_page: OpenPage
) -> None:
    panel.on_join = lambda page: page.say(snapshot(row("a", points=10)))
    page = await open_page()
    link = await panel.joined()
    nonsense = [
        "not json",
        "null",
        "[]",
        "{}",
        '{"type":"delta"}',
        '{"type":"delta","seq":99,"viewers":{}}',
        '{"type":"feast","seq":99}',
    ]
    for count, text in enumerate(nonsense, 1):
        link.say(text)
        link.say(delta(row("a", points=10 + count), seq=1 + count))
        await expect(page.locator("button.row .points-value")).to_have_text(str(10 + count))
        await expect(page.locator(".notices")).to_contain_text(f"有 {count} 条消息读不懂")


async def test_a_bad_row_or_state_does_not_take_the_good_ones_along(
    panel: PanelServer, open_page: OpenPage
) -> None:
    bad: list[Any] = [
        None,
        7,
        "row",
        {},
        {"viewer": "x"},
        {"viewer": 1, "grade": "hot"},
        {"viewer": "x", "grade": "scorching"},
    ]
    odd = row("odd") | {
        "points": "92",
        "probability": 7,
        "reasons": [None, {}, {"name": 3}, {"kind": "rule", "name": "cart_add", "count": "2"}],
        "last_at": None,
    }
    panel.on_join = lambda page: page.say(
        {"type": "snapshot", "seq": 1, "state": {"now": "noon"}, "viewers": [*bad, odd, row("good")]}
    )
    page = await open_page()
    await expect(page.locator("button.row .name-text")).to_have_text(["good", "odd"])
    await expect(page.locator(".notices")).to_contain_text(f"有 {len(bad) + 1} 条消息读不懂")
    await page.locator("button.row").first.click()
    await expect(page.locator("dialog.card")).to_be_visible()
