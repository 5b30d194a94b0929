"""What the host sees of viewers: who, how hot, why, in which order, and that the list does not jump."""

import itertools
import math
import re
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from frontrow.core.explaining import INTERCEPT, OTHERS
from frontrow.core.features import NAMES
from frontrow_models.calibration import KNEE
from tests.browser.conftest import OpenPage
from tests.support.panel_data import (
    CLICK,
    MINUTE,
    NOW,
    PRICE_3,
    READY,
    STAYED_18,
    delta,
    evening,
    feature,
    row,
    rule,
    snapshot,
    state,
    why,
)
from tests.support.panel_server import PanelServer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


def rows(page: Page) -> Locator:
    return page.locator("button.row")


async def names(page: Page) -> list[str]:
    return await page.locator("button.row .name-text").all_inner_texts()


async def chips(page: Page, at: int = 0) -> list[str]:
    return await rows(page).nth(at).locator(".chip").all_inner_texts()


async def frames(page: Page) -> None:
    """Let the page draw what it was told."""
    await page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


async def test_a_row_says_who_how_hot_and_why_in_chinese(panel: PanelServer, open_page: OpenPage) -> None:
    panel.on_join = lambda page: page.say(
        snapshot(row("a", "小雨点儿", points=92, probability=0.38, last_at=NOW - 130_000), model=READY)
    )
    page = await open_page()
    first = rows(page).first
    await expect(first.locator(".name-text")).to_have_text("小雨点儿")
    await expect(first.locator(".grade-word")).to_have_text("热")
    await expect(first.locator(".points")).to_have_text("92分")
    await expect(first.locator(".percent")).to_have_text("38%")
    await expect(first.locator(".age")).to_have_text("2 分前")
    assert await chips(page) == ["点链接", "问价×3", "停留18分"]
    assert await page.evaluate("document.documentElement.lang") == "zh-CN"


async def test_a_row_says_the_same_in_english(panel: PanelServer, open_page: OpenPage) -> None:
    panel.on_join = lambda page: page.say(
        snapshot(row("a", "小雨点儿", points=92, probability=0.38, last_at=NOW - 130_000), model=READY)
    )
    page = await open_page(lang="en")
    first = rows(page).first
    await expect(first.locator(".grade-word")).to_have_text("Hot")
    await expect(first.locator(".points")).to_have_text("92pts")
    await expect(first.locator(".age")).to_have_text("2 min ago")
    assert await chips(page) == ["Clicked link", "Asked price ×3", "Stayed 18 min"]
    await expect(page.locator("body")).not_to_contain_text("热")


CHIPS: list[tuple[list[Any], list[str], list[str]]] = [
    ([rule("form_submit", 50, count=1), rule("cart_add", 20, count=2)], ["填了表单", "加购×2"], ["Sent form", "In cart ×2"]),
    ([rule("question", 15, count=3, by={"stock": 1, "price": 2})], ["问价×2", "问库存"], ["Asked price ×2", "Asked stock"]),
    ([rule("question", 15, count=1)], ["问商品"], ["Asked"]),
    ([rule("question", 15, count=1, by={"tailoring": 1})], ["问tailoring"], ["Asked tailoring"]),
    ([rule("watched", 5, value=1_080.0, inferred=True)], ["停留约18分"], ["Stayed ~18 min"]),
    ([rule("watched", 5, value=9_000.0)], ["停留2时30分"], ["Stayed 2 h 30 min"]),
    ([rule("house_rule_7", 12, count=2)], ["house_rule_7×2"], ["house_rule_7 ×2"]),
    ([rule("toString", 1), rule("times", 1)], ["toString", "times"], ["toString", "times"]),
    ([rule("comments", 10, count=7), rule("raffle", 10, count=1), rule("mention_host", 5, count=1), rule("phone", 20, count=1)],
     ["留了电话", "发言×7", "抽奖"], ["Left phone", "Comments ×7", "Raffle"]),
    ([], [], []),
]  # fmt: skip


async def test_chips_are_at_most_three_by_points(panel: PanelServer, open_page: OpenPage) -> None:
    told = [row(f"{at:02}", points=90, reasons=reasons) for at, (reasons, _, _) in enumerate(CHIPS)]
    panel.on_join = lambda page: page.say(snapshot(*told))
    page = await open_page(limit=len(CHIPS))
    await expect(rows(page)).to_have_count(len(CHIPS))
    assert [await chips(page, at) for at in range(len(CHIPS))] == [zh for _, zh, _ in CHIPS]
    await page.locator(".language").click()
    assert [await chips(page, at) for at in range(len(CHIPS))] == [en for _, _, en in CHIPS]


async def test_what_moves_the_probability_is_in_the_row_once_the_model_is_ready(
    panel: PanelServer, open_page: OpenPage
) -> None:
    told = [
        CLICK,
        feature("intercept", 2.0),
        feature("carts_30m", 0.4),
        feature("price_5m", 0.9),
        feature("likes_5m", -2.0, 0.0),
        feature("room_viewers", 3.0),
        {"kind": "feature", "name": OTHERS, "logit": 5.0},
        feature("price_5m", -0.02),
    ]
    panel.on_join = lambda page: page.say(snapshot(row("a", probability=0.4, reasons=told)))
    page = await open_page()
    await expect(rows(page)).to_have_count(1)
    assert await chips(page) == ["点链接"]
    await expect(rows(page).locator(".cause")).to_have_count(0)
    panel.conversations[0].say({"type": "state", "seq": 2, "state": state(model=READY)})
    # Of what the viewer did: what did not happen, and what is true of the whole room, is in the card.
    await expect(rows(page).locator(".cause")).to_have_text(["问价 +0.9", "加购领券 +0.4"])
    await page.locator(".language").click()
    await expect(rows(page).locator(".cause")).to_have_text(["Price asked +0.9", "Cart, coupons +0.4"])


async def test_grades_differ_in_colour_shape_and_word(panel: PanelServer, open_page: OpenPage) -> None:
    panel.on_join = lambda page: page.say(
        snapshot(row("a"), row("b", grade="warm", points=50), row("c", grade="cold", points=5))
    )
    page = await open_page(min_grade="cold")
    await expect(rows(page)).to_have_count(3)
    seen = await rows(page).evaluate_all(
        """rows => rows.map(row => [
            row.querySelector('.grade-word').textContent,
            getComputedStyle(row.querySelector('.grade')).color,
            row.querySelector('.grade-icon svg').innerHTML,
        ])"""
    )
    assert [word for word, _, _ in seen] == ["热", "温", "冷"]
    assert len({colour for _, colour, _ in seen}) == 3
    assert len({shape for _, _, shape in seen}) == 3


async def test_no_probability_is_shown_before_the_model_is_ready(
    panel: PanelServer, open_page: OpenPage
) -> None:
    panel.on_join = lambda page: page.say(snapshot(row("a", probability=0.38), row("b", probability=0.91)))
    page = await open_page()
    await expect(page.locator(".model")).to_have_text("概率：数据不足 · 已有 21 个最终结果，2 个转化")
    assert "%" not in await page.locator("#dock").inner_text()
    await expect(rows(page).locator(".unknown")).to_have_text(["数据不足"] * 2)
    await expect(rows(page).first).to_have_accessible_name(re.compile("转化概率：数据不足"))
    panel.conversations[0].say({"type": "state", "seq": 2, "state": state(model=READY)})
    await expect(rows(page).first.locator(".percent")).to_be_visible()
    await expect(page.locator(".model")).to_have_text("概率来自 1,260 个结果，48 个转化")


async def test_a_probability_never_claims_certainty(panel: PanelServer, open_page: OpenPage) -> None:
    given = [1.0, 0.99, 0.385, 0.01, 0.0099, 0.0]
    panel.on_join = lambda page: page.say(
        snapshot(*(row(str(one), probability=one) for one in given), model=READY)
    )
    page = await open_page()
    await expect(rows(page).locator(".percent")).to_have_text([">99%", "99%", "39%", "1%", "<1%", "<1%"])


async def test_the_order_is_grade_then_probability_points_recency_and_viewer(
    panel: PanelServer, open_page: OpenPage
) -> None:
    told = [
        row("warm-likely", grade="warm", points=70, probability=0.9),
        row("z-tie", points=80, probability=0.2),
        row("a-tie", points=80, probability=0.2),
        row("recent", points=80, probability=0.2, last_at=NOW + 1),
        row("more-points", points=81, probability=0.2),
        row("likely", points=80, probability=0.3),
        row("unknown", points=99, probability=None),
    ]
    panel.on_join = lambda page: page.say(snapshot(*told, model=READY))
    page = await open_page()
    await expect(rows(page)).to_have_count(7)
    assert await names(page) == [
        "likely",
        "more-points",
        "recent",
        "a-tie",
        "z-tie",
        "unknown",
        "warm-likely",
    ]


async def test_while_the_model_learns_the_order_is_by_points(panel: PanelServer, open_page: OpenPage) -> None:
    panel.on_join = lambda page: page.say(
        snapshot(row("few", points=80, probability=0.9), row("many", points=99, probability=0.1))
    )
    page = await open_page()
    await expect(rows(page)).to_have_count(2)
    assert await names(page) == ["many", "few"]


async def test_deltas_change_add_and_remove_rows(panel: PanelServer, open_page: OpenPage) -> None:
    panel.on_join = lambda page: page.say(
        snapshot(row("a", points=90), row("b", points=85), row("c", points=82))
    )
    page = await open_page(clock=True)
    await expect(rows(page)).to_have_count(3)
    link = panel.conversations[0]
    link.say(delta(row("d", points=100), row("b", grade="cold", points=20), seq=2, gone=("c",)))
    await page.clock.run_for(2_100)
    await expect(page.locator("button.row .name-text")).to_have_text(["d", "a"])
    link.say(snapshot(row("e"), seq=3))  # replaces what was there
    await page.clock.run_for(2_100)
    await expect(page.locator("button.row .name-text")).to_have_text(["e"])


async def test_what_was_already_seen_is_not_applied_again(panel: PanelServer, open_page: OpenPage) -> None:
    panel.on_join = lambda page: page.say(snapshot(row("a", points=90), seq=10))
    page = await open_page()
    await expect(rows(page)).to_have_count(1)
    panel.conversations[0].say(delta(row("a", points=1), seq=10))
    panel.conversations[0].say(delta(row("a", points=91), seq=12))
    await expect(rows(page).locator(".points-value")).to_have_text("91")


async def test_staff_are_never_listed(panel: PanelServer, open_page: OpenPage) -> None:
    panel.on_join = lambda page: page.say(snapshot(row("a"), row("moderator", staff=True)))
    page = await open_page()
    await expect(page.locator("button.row .name-text")).to_have_text(["a"])


async def test_rows_hold_still_under_the_pointer_but_say_what_changes(
    panel: PanelServer, open_page: OpenPage
) -> None:
    """Nobody may click a viewer who jumped under the pointer."""
    panel.on_join = lambda page: page.say(
        snapshot(row("a", points=90), row("b", points=85), row("c", points=82))
    )
    page = await open_page(clock=True)
    await expect(rows(page)).to_have_count(3)
    await rows(page).nth(1).hover()
    panel.conversations[0].say(delta(row("c", points=99), row("new", points=100), seq=2, gone=("b",)))
    await expect(rows(page).nth(2).locator(".points-value")).to_have_text("99")  # content is live
    await page.clock.run_for(10_000)
    assert await names(page) == ["a", "b", "c"]
    await expect(rows(page).nth(1).locator(".age")).to_have_text("已离开名单")
    await expect(page.locator(".held")).to_have_text("名单已停住，有 1 位新观众")
    await page.mouse.move(5, 5)  # to the header
    await expect(page.locator("button.row .name-text")).to_have_text(["new", "c", "a"])
    await expect(page.locator(".held")).to_be_hidden()


async def test_rows_hold_still_while_the_focus_is_in_the_list(
    panel: PanelServer, open_page: OpenPage
) -> None:
    panel.on_join = lambda page: page.say(snapshot(row("a", points=90), row("b", points=85)))
    page = await open_page(clock=True)
    await expect(rows(page)).to_have_count(2)
    await page.keyboard.press("ArrowDown")
    panel.conversations[0].say(delta(row("b", points=99), seq=2))
    await expect(rows(page).nth(1).locator(".points-value")).to_have_text("99")
    await page.clock.run_for(10_000)
    assert await names(page) == ["a", "b"]


async def test_a_pointer_left_lying_in_the_list_does_not_stop_it_for_ever(
    panel: PanelServer, open_page: OpenPage
) -> None:
    panel.on_join = lambda page: page.say(snapshot(row("a", points=90), row("b", points=85)))
    page = await open_page(clock=True)
    await expect(rows(page)).to_have_count(2)
    await page.keyboard.press("ArrowDown")
    await expect(rows(page).first).to_be_focused()
    panel.conversations[0].say(delta(row("b", points=99), seq=2))
    await page.clock.run_for(31_000)
    await expect(page.locator("button.row .name-text")).to_have_text(["b", "a"])
    # The focus stays with the viewer, not with the place.
    assert await page.evaluate("document.activeElement.querySelector('.name-text').textContent") == "a"


async def test_the_order_moves_at_most_every_two_seconds(panel: PanelServer, open_page: OpenPage) -> None:
    panel.on_join = lambda page: page.say(snapshot(row("a", points=90), row("b", points=85)))
    page = await open_page(clock=True)
    await expect(rows(page)).to_have_count(2)
    await page.evaluate(
        """() => {
            // Within one task the clock stands still: a busy machine must add nothing between a look at it and a move.
            const read = performance.now.bind(performance);
            let looked = false, last;
            performance.now = () => {
                if (!looked) {
                    looked = true;
                    last = read();
                    queueMicrotask(() => { looked = false; });
                }
                return last;
            };
            window.moves = [performance.now()];
            const moved = () => window.moves.push(last);
            for (const list of document.querySelectorAll('ol.rows')) new MutationObserver(moved).observe(list, {childList: true});
        }"""
    )
    points = 90
    for seq in range(2, 42):  # the other one leads with every message, six seconds long
        points += 1
        panel.conversations[0].say(delta(row("ab"[seq % 2], points=points), seq=seq))
        await expect(rows(page).filter(has_text=str(points))).to_have_count(1)  # numbers do not wait
        await page.clock.run_for(150)
    moves = await page.evaluate("window.moves")
    gaps = [after - before for before, after in itertools.pairwise(moves)]
    assert len(gaps) >= 2
    assert min(gaps[1:]) >= 1_999  # the first is counted from somewhen after the first list
    assert max(gaps) < 4_500


async def test_a_new_row_fades_in_and_reduced_motion_stops_that(
    panel: PanelServer, open_page: OpenPage
) -> None:
    panel.on_join = lambda page: page.say(snapshot(row("a")))
    moving = await open_page()
    still = await open_page(device={"reduced_motion": "reduce"})
    animations = []
    for at, page in enumerate((moving, still)):
        await expect(rows(page)).to_have_count(1)
        animation = "document.querySelector('.row-item').getAnimations().length"
        assert await page.evaluate(animation) == 0  # the first list is simply there
        await page.evaluate("""() => {
            window.names = [];
            addEventListener('animationstart', event => window.names.push(event.animationName), true);
        }""")
        panel.conversations[at].say(delta(row("b", points=99), seq=2))
        await expect(rows(page)).to_have_count(2)
        await frames(page)
        animations.append(await page.evaluate("window.names"))
    assert animations == [["appear"], []]


async def test_new_hot_viewers_are_announced_once_and_together(
    panel: PanelServer, open_page: OpenPage
) -> None:
    panel.on_join = lambda page: page.say(
        snapshot(row("a", "早就热了"), row("b", "阿泽", grade="warm", points=70))
    )
    page = await open_page(clock=True)
    await expect(rows(page)).to_have_count(2)
    spoken = page.locator("p[aria-live=polite]")
    await expect(spoken).to_have_text("")
    panel.conversations[0].say(delta(row("b", "阿泽"), row("c", "Luna"), seq=2))
    await expect(spoken).to_have_text("新的热观众：阿泽和Luna")
    panel.conversations[0].say(delta(row("b", "阿泽", points=99), row("d", "豆豆"), seq=3))
    await page.clock.run_for(6_000)
    await expect(spoken).to_have_text("新的热观众：豆豆")


async def test_ages_and_the_clock_tick_by_themselves(panel: PanelServer, open_page: OpenPage) -> None:
    panel.on_join = lambda page: page.say(snapshot(row("a", last_at=NOW)))
    page = await open_page(clock=True)
    age, clock = rows(page).locator(".age"), page.locator(".clock")
    # Beside what the test moves it goes on by itself, by seconds where the machine is busy.
    await expect(clock).to_have_text(re.compile("^01:12:[45][0-9]$"))
    await page.clock.run_for(22_000)  # a silence of forty seconds would end the connection
    await expect(age).to_have_text(re.compile("^[2345]0 秒前$"))
    await expect(clock).to_have_text(re.compile("^01:13:[0-5][0-9]$"))
    panel.conversations[0].say({"type": "state", "seq": 2, "state": state(now=NOW + 100_000)})
    await expect(age).to_have_text("1 分前")  # it has come, before the page's time goes on
    await page.clock.run_for(25_000)
    await expect(age).to_have_text("2 分前")


async def test_ages_go_by_the_servers_clock_not_the_browsers(panel: PanelServer, open_page: OpenPage) -> None:
    """`NOW` is months from the browser's own time; a wrong clock on the host's machine must not matter."""
    panel.on_join = lambda page: page.say(snapshot(row("a", last_at=NOW - 5 * MINUTE)))
    page = await open_page()
    await expect(rows(page).locator(".age")).to_have_text("5 分前")


async def test_the_limit_counts_all_rows_and_more_can_be_asked_for(
    panel: PanelServer, open_page: OpenPage
) -> None:
    panel.on_join = lambda page: page.say(evening())
    page = await open_page()
    await expect(rows(page)).to_have_count(8)
    await expect(page.locator(".section[data-grade=hot] .section-count")).to_have_text("5")
    await expect(page.locator(".section[data-grade=warm] .section-count")).to_have_text("12")
    await expect(page.locator(".more")).to_have_text("还有 9 位")
    await page.locator(".more").click()
    await expect(rows(page)).to_have_count(17)
    await expect(page.locator(".more")).to_have_text("收起")
    await page.locator(".more").click()
    await expect(rows(page)).to_have_count(8)


async def test_where_each_grade_has_a_column_each_has_the_limit(
    panel: PanelServer, open_page: OpenPage
) -> None:
    """An evening with twelve hot viewers must not leave the column of the warm ones empty."""
    panel.on_join = lambda page: page.say(evening())
    page = await open_page(width=1280, limit=3)
    await expect(page.locator(".section[data-grade=hot] .row")).to_have_count(3)
    await expect(page.locator(".section[data-grade=warm] .row")).to_have_count(3)
    await expect(page.locator(".more")).to_have_text("还有 11 位")


async def test_limit_and_least_grade_come_from_the_address(panel: PanelServer, open_page: OpenPage) -> None:
    panel.on_join = lambda page: page.say(evening())
    page = await open_page(limit=3)
    await expect(rows(page)).to_have_count(3)
    page = await open_page(min_grade="hot", limit=20)
    await expect(rows(page)).to_have_count(5)
    assert set(await page.locator(".grade-word").all_inner_texts()) == {"热"}


async def test_scale_makes_everything_larger(panel: PanelServer, open_page: OpenPage) -> None:
    panel.on_join = lambda page: page.say(evening())
    heights = []
    for scale in (1, 1.5):
        page = await open_page(width=720, scale=scale)
        await expect(rows(page)).to_have_count(8)
        box = await rows(page).first.bounding_box()
        assert box is not None
        heights.append(box["height"])
    assert heights[1] == pytest.approx(1.5 * heights[0], rel=0.03)


async def test_keys_choose_a_viewer_open_the_card_and_give_the_focus_back(
    panel: PanelServer, open_page: OpenPage
) -> None:
    panel.on_join = lambda page: page.say(evening())
    page = await open_page()
    await expect(rows(page)).to_have_count(8)
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp"):
        await page.keyboard.press(key)
    await expect(rows(page).nth(1)).to_be_focused()
    outline = await rows(page).nth(1).evaluate("row => getComputedStyle(row).outlineStyle")
    assert outline == "solid"
    await page.keyboard.press("Enter")
    card = page.locator("dialog.card")
    await expect(card).to_be_visible()
    await expect(card.locator(".card-name")).to_have_text("阿泽")
    await page.keyboard.press("Escape")
    await expect(card).to_be_hidden()
    await expect(rows(page).nth(1)).to_be_focused()


async def test_arrows_go_across_grades_and_stop_at_the_ends(panel: PanelServer, open_page: OpenPage) -> None:
    panel.on_join = lambda page: page.say(snapshot(row("a"), row("b", grade="warm", points=50)))
    page = await open_page()
    await expect(rows(page)).to_have_count(2)
    await page.keyboard.press("ArrowUp")
    await expect(rows(page).nth(0)).to_be_focused()
    for _ in range(4):
        await page.keyboard.press("ArrowDown")
    await expect(rows(page).nth(1)).to_be_focused()
    assert await page.locator("button.row[tabindex='0']").count() == 1


async def test_the_card_shows_points_by_rule_beside_parts_of_the_probability(
    panel: PanelServer, open_page: OpenPage
) -> None:
    panel.on_join = lambda page: page.say(evening())
    page = await open_page(width=1280)
    await rows(page).first.click()
    points, parts = page.locator(".card-column").nth(0), page.locator(".card-column").nth(1)
    await expect(points.locator(".part-name")).to_have_text(
        ["填了表单", "点链接", "留了电话", "问价×3 · 问库存", "停留18分"]
    )
    await expect(points.locator(".parts .part-number")).to_have_text(["+50", "+30", "+20", "+15", "+5"])
    await expect(points).to_contain_text("合计100")
    await expect(points).to_contain_text("按规则合计 120，封顶 100")
    # Counts at several speeds tell of one thing, and what is the room's is nobody's own: all of it sums to the logit.
    await expect(parts.locator(".part-name")).to_have_text(
        ["点链接", "问价", "观看时长", "点赞", "加购领券", "其他信号合计", "起点（本直播间人人相同）"]
    )
    await expect(parts.locator(".part-number")).to_have_text(
        ["+1.22", "+0.86", "+0.31", "−0.27", "+0.22", "+0.04", "−3.22"]
    )
    await expect(parts).to_contain_text("27–49% 后来转化了")
    await expect(page.locator(".card-words")).to_contain_text("这件有没有 XL 码？")
    await expect(page.locator(".facts")).to_contain_text("刚刚 · 23:06:")
    await expect(page.locator(".facts")).to_contain_text("L-000318")
    left, right = await points.bounding_box(), await parts.bounding_box()
    assert left is not None
    assert right is not None
    assert right["x"] >= left["x"] + left["width"]


async def test_an_open_card_goes_on_with_its_viewer(panel: PanelServer, open_page: OpenPage) -> None:
    panel.on_join = lambda page: page.say(snapshot(row("a", points=90), row("b", points=85)))
    page = await open_page()
    await rows(page).first.click()
    card = page.locator("dialog.card")
    panel.conversations[0].say(delta(row("a", points=95, words="还有货吗"), seq=2))
    await expect(card.locator(".points-value")).to_have_text("95")
    await expect(card.locator(".card-words")).to_contain_text("还有货吗")
    panel.conversations[0].say(delta(seq=3, gone=("a",)))
    await expect(card.locator(".card-gone")).to_have_text("这位观众已不在名单里。")


async def test_the_card_says_why_there_is_no_probability_yet(panel: PanelServer, open_page: OpenPage) -> None:
    panel.on_join = lambda page: page.say(snapshot(row("a", probability=0.4)))
    page = await open_page()
    await rows(page).first.click()
    await expect(page.locator("dialog.card")).to_contain_text(
        "数据不足：模型还在学习，结果够了才给概率。已有 37 个结果，其中 4 个转化；最终结果 21 个，其中 2 个转化。"
    )
    assert "%" not in await page.locator("dialog.card").inner_text()


async def test_search_finds_by_name_and_reason_and_escape_ends_it(
    panel: PanelServer, open_page: OpenPage
) -> None:
    told = [row("a", "Luna"), row("b", "阿泽", reasons=[PRICE_3]), row("c", "Marta", reasons=[STAYED_18])]
    panel.on_join = lambda page: page.say(snapshot(*told))
    page = await open_page()
    await expect(rows(page)).to_have_count(3)
    await page.keyboard.press("/")
    await expect(page.locator("#search")).to_be_focused()
    await page.keyboard.type("luna")
    await expect(page.locator("button.row .name-text")).to_have_text(["Luna"])
    await page.locator("#search").fill("问价")
    await expect(page.locator("button.row .name-text")).to_have_text(["Luna", "阿泽"])
    await page.locator("#search").fill("没有这个人")
    await expect(page.locator(".full-title")).to_have_text("没有找到“没有这个人”")
    await page.keyboard.press("Escape")
    await expect(rows(page)).to_have_count(3)


async def test_help_explains_the_page_and_its_keys(panel: PanelServer, open_page: OpenPage) -> None:
    panel.on_join = lambda page: page.say(snapshot(row("a")))
    page = await open_page(lang="en")
    await expect(rows(page)).to_have_count(1)
    await page.keyboard.press("?")
    await expect(page.locator("dialog.help")).to_be_visible()
    await expect(page.locator("dialog.help kbd")).to_have_text(["↑", "↓", "Enter", "/", "?", "Esc"])
    await page.keyboard.press("Escape")
    await expect(page.locator("dialog.help")).to_be_hidden()


async def test_the_language_changes_in_place_and_stays_in_the_address(
    panel: PanelServer, open_page: OpenPage
) -> None:
    panel.on_join = lambda page: page.say(evening())
    page = await open_page()
    await expect(rows(page)).to_have_count(8)
    await page.locator(".language").click()
    await expect(page.locator(".stage-word")).to_have_text("Live")
    assert await page.evaluate("document.documentElement.lang") == "en"
    assert "lang=en" in page.url
    assert len(panel.conversations) == 1  # the connection goes on
    await page.reload()
    await expect(page.locator(".stage-word")).to_have_text("Live")


async def test_both_catalogues_say_the_same_things(open_page: OpenPage) -> None:
    """A message that one language lacks would throw where nobody tests it; a lost placeholder would lie."""
    page = await open_page()
    differences = await page.evaluate(
        """async () => {
            const {CATALOGUES} = await import('/static/i18n/index.js');
            const flat = (messages, at = '') => Object.entries(messages).flatMap(([key, value]) =>
                typeof value === 'string' || 'other' in value && typeof value.other === 'string' && at !== 'intent.'
                    ? [[at + key, value]] : flat(value, `${at}${key}.`));
            const holes = value => typeof value === 'string'
                ? [...new Set(value.match(/\\{\\w+\\}/g) ?? [])].sort().join()
                : [...new Set(Object.values(value).map(holes))].join('|');
            const zh = Object.fromEntries(flat(CATALOGUES['zh-CN'])), en = Object.fromEntries(flat(CATALOGUES.en));
            return [...new Set([...Object.keys(zh), ...Object.keys(en)])]
                .filter(key => !(key in zh) || !(key in en) || holes(zh[key]) !== holes(en[key]));
        }"""
    )
    assert differences == []


async def test_every_feature_of_the_model_has_words(open_page: OpenPage) -> None:
    page = await open_page()
    known = await page.evaluate(
        "async () => Object.keys((await import('/static/i18n/index.js')).CATALOGUES['zh-CN'].part)"
    )
    sums = await page.evaluate(
        """async names => (await import('/static/host/words.js'))
            .parts(names.map(name => ({kind: 'feature', name, logit: 1, value: 1}))).map(part => [part.name, part.logit])""",
        [*NAMES, OTHERS, INTERCEPT],
    )
    assert [name for name, _ in sums if name not in known] == []
    assert [name for name in known if name not in dict(sums)] == []
    assert sum(logit for _, logit in sums) == len(NAMES) + 2


async def test_a_probability_comes_with_its_interval_where_there_is_one(
    panel: PanelServer, open_page: OpenPage
) -> None:
    told = [
        (0.38, [0.27, 0.494]),
        (0.37, [0.91, 1.0]),
        (0.2, None),
        (0.03, [0.004, 0.05]),
        (0.02, [0.5, 2.0]),
    ]
    panel.on_join = lambda page: page.say(
        snapshot(*(row(str(p), probability=p, interval=interval) for p, interval in told), model=READY)
    )
    page = await open_page(width=1280)
    await expect(rows(page).locator(".interval")).to_have_text(["27–49%", "≥91%", "", "≤5%", ""])
    await rows(page).nth(2).click()
    await expect(page.locator(".card-column").nth(1)).to_contain_text("数据不足")


@pytest.mark.parametrize("width", [360, 1920])
async def test_the_exact_parts_are_asked_for_when_the_drawer_is_opened_by_keys_and_sum_to_the_logit(
    panel: PanelServer, open_page: OpenPage, width: int
) -> None:
    asked: list[str] = []
    odd = "v/1?&" + "很长的名字" * 8

    def answer(viewer: str) -> tuple[int, Any]:
        asked.append(viewer)
        return 200, why(viewer)

    panel.why = answer
    parts = [feature("intercept", -2.9), feature("clicks_5m", 1.0)]
    panel.on_join = lambda page: page.say(
        snapshot(row(odd, odd, probability=0.3, reasons=parts), model=READY)
    )
    page = await open_page(width=width)
    await expect(rows(page)).to_have_count(1)
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    drawer = page.locator("details.exact")
    await expect(drawer).to_be_visible()
    assert asked == []
    await page.keyboard.press("Tab")
    await expect(drawer.locator("summary")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(drawer).to_contain_text("最近几分钟点购买链接约 2 次")
    assert asked == [odd]
    shown = await drawer.locator("li .part-number").evaluate_all("all => all.map(one => Number(one.title))")
    raw, calibrated, chance = await drawer.locator(".part-total .part-number").evaluate_all(
        "all => all.map(one => Number(one.title))"
    )
    assert abs(sum(shown) - raw) < 1e-9
    assert calibrated == pytest.approx(1.1 * raw - 0.3 * math.log1p(math.exp(raw - KNEE)) + 0.25, abs=1e-9)
    assert chance == pytest.approx(1 / (1 + math.exp(-calibrated)), abs=1e-9)
    assert await page.locator(".sheet-body").evaluate("body => body.scrollWidth <= body.clientWidth")


async def test_the_drawer_says_what_to_do_where_the_numbers_do_not_come(
    panel: PanelServer, open_page: OpenPage
) -> None:
    given = [(500, {}), (200, why("a", state="not enough data", probability=None, explanation=None))]
    panel.why = lambda _viewer: given.pop(0)
    parts = [feature("intercept", -2.9), feature("clicks_5m", 1.0)]
    panel.on_join = lambda page: page.say(snapshot(row("a", probability=0.3, reasons=parts), model=READY))
    page = await open_page(lang="en", expects="Failed to load resource")
    await rows(page).first.click()
    summary = page.locator("details.exact summary")
    for words in ("did not come", "Not enough data"):
        await summary.click()
        await expect(page.locator(".exact-body")).to_contain_text(words)
        await summary.click()
