"""The sales inbox in a real browser over a real lead centre: what comes, how long there is, who was faster, and what to do where
there is nothing."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from frontrow.runtime.access import Role
from tests.browser.conftest import OpenPage
from tests.support.sales_server import SalesServer, sales_server

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
# Chromium itself writes these to the console.
REFUSED = "Failed to load resource"
REFUSED_SOCKET = "WebSocket connection to"
PHONE = {"width": 390, "height": 844}


@pytest_asyncio.fixture(loop_scope="session")
async def sales(tmp_path: Path) -> AsyncIterator[SalesServer]:
    async with sales_server(tmp_path) as server:
        yield server


def cards(page: Page) -> Locator:
    return page.locator(".lead-card:not([data-gone])")


async def test_a_lead_arrives_with_all_that_a_seller_needs_to_decide(
    sales: SalesServer, browse: OpenPage
) -> None:
    page = await browse(sales.page("li"), **PHONE)
    await expect(page.locator(".full-title")).to_have_text("没有待领取的线索")
    sales.hot("小雨点儿", product="3号 亚麻衬衫")
    card = cards(page).first
    await expect(card.locator(".lead-name")).to_have_text("小**")
    await expect(card.locator(".lead-grade")).to_have_text("热")
    await expect(card.locator(".lead-quality")).to_have_text("Q1")
    await expect(card.locator(".lead-product")).to_have_text("3号 亚麻衬衫")
    await expect(card.locator(".lead-reasons")).to_have_text("点链接 · 问价×3")
    await expect(card.locator(".lead-words")).to_have_text("“有没有 XL 码？”")
    await expect(card.locator(".lead-age")).to_have_text("刚刚")
    await expect(page.locator(".tab-count").first).to_have_text("1")
    await expect(page).to_have_title("(1) 线索 · Frontrow")
    await page.locator(".language").click()
    await expect(card.locator(".lead-reasons")).to_have_text("Clicked link · Asked price ×3")
    await expect(card.get_by_role("button")).to_have_accessible_name("Claim 小**")


async def test_the_token_leaves_the_address_and_a_link_without_one_works_on_this_device(
    sales: SalesServer, browse: OpenPage
) -> None:
    """A to-do in WeCom has no token in its link: it would stand in the chat for everybody who scrolls up."""
    lead = sales.hot("小雨点儿").lead
    page = await browse(sales.page("li", lang="zh-CN"), **PHONE)
    await expect(cards(page)).to_have_count(1)
    assert page.url == f"{sales.base}/sales?lang=zh-CN"
    await page.goto(f"{sales.base}/sales#{lead}")
    await expect(page.locator(".lead-title")).to_have_text("小**")


async def test_of_two_sellers_who_tap_one_has_the_lead_and_the_other_is_told_who(
    sales: SalesServer, browse: OpenPage
) -> None:
    sales.hot("小雨点儿")
    li = await browse(sales.page("li"), **PHONE)
    wang = await browse(sales.page("wang"), **PHONE)
    await expect(cards(wang)).to_have_count(1)
    await li.get_by_role("button", name="领取 小**").click()
    await expect(li.locator(".lead-title")).to_have_text("小**")
    await expect(li.locator(".outcome")).to_have_count(8)
    await expect(wang.locator(".farewell")).to_have_text("小**被 李想 先领走了。")
    await expect(cards(wang)).to_have_count(0)


async def test_a_claim_that_comes_too_late_says_who_was_faster_and_folds_away(
    sales: SalesServer, browse: OpenPage
) -> None:
    """The card still stands where a phone has not heard yet: the daemon's answer must be enough."""
    lead = sales.hot("小雨点儿", words=None)
    sales.scene.act("lead_assign", lead, data={"team": "hz-a", "by": "chen"})
    page = await browse(sales.page("wang"), **PHONE, clock=True, expects=REFUSED)
    await expect(cards(page)).to_have_count(1)
    sales.desk.changed = lambda rows: None  # type: ignore[method-assign]  # the news is lost on its way
    sales.scene.changed = sales.desk.changed
    sales.scene.act("lead_claim", lead, seller="li")
    await page.get_by_role("button", name="领取 小**").click()
    await expect(page.locator(".farewell")).to_have_text("小**被 李想 先领走了。")
    await page.clock.run_for(9_000)
    await expect(page.locator(".lead-card")).to_have_count(0)


async def test_the_ring_counts_the_five_minutes_by_the_daemons_clock(
    sales: SalesServer, browse: OpenPage
) -> None:
    sales.hot("小雨点儿")
    page = await browse(sales.page("li"), **PHONE, clock=True)
    count = page.locator(".lead-card .count")
    await expect(count).to_have_attribute("data-urgency", "calm")
    sales.clock.step_wall(181_000)
    sales.beat()
    await expect(count.locator(".count-text")).to_have_text(re.compile("1:5[0-9]"))
    await expect(count).to_have_attribute("data-urgency", "soon")
    await expect(count.locator(".only-read")).to_have_text("还剩 2 分钟")
    share = await count.locator(".ring-part").get_attribute("stroke-dasharray")
    assert share is not None and 0.36 < float(share.split()[0]) / float(share.split()[1]) < 0.4
    await page.clock.run_for(30_000)  # between two messages it goes on by itself
    await expect(count.locator(".count-text")).to_have_text(re.compile("1:2[0-9]"))
    sales.clock.step_wall(181_000)
    sales.beat()
    await expect(count).to_have_attribute("data-urgency", "late")
    await expect(count.locator(".count-text")).to_have_text(re.compile(r"\+1:0\d"))


async def test_the_most_urgent_stands_first_and_what_is_taken_back_says_so(
    sales: SalesServer, browse: OpenPage
) -> None:
    first = sales.hot("甲乙丙")
    sales.clock.step_wall(30_000)
    sales.hot("丁戊己")
    page = await browse(sales.page("li"), **PHONE)
    await expect(page.locator(".lead-name")).to_have_text(["甲**", "丁**"])
    sales.scene.act("lead_transfer", first, seller="wang", data={"by": "chen"})
    await expect(page.locator(".farewell").first).to_have_text("甲**被 王芳 先领走了。")
    mine = sales.scene.act("lead_claim", sales.scene.leads()[1], seller="li")
    await page.get_by_role("button", name="我的").click()
    await expect(page.locator(".lead-name")).to_have_text("丁**")
    sales.scene.act("lead_transfer", mine, seller="wang", data={"by": "chen"})
    await expect(page.locator(".farewell").first).to_have_text("丁**已转给 王芳。")


@pytest.mark.parametrize(
    ("seller", "role", "title", "sentence"),
    [
        (None, Role.SALES, "链接没有写明您是谁", "--seller"),
        ("nobody", Role.SALES, "组织里现在没有您", "管理员"),
        (None, Role.HOST, "这个链接看不到线索", "管理员"),
    ],
)
async def test_a_link_that_gives_no_leads_says_why_and_what_to_do(
    sales: SalesServer, browse: OpenPage, seller: str | None, role: Role, title: str, sentence: str
) -> None:
    page = await browse(sales.page(seller, role), **PHONE, expects=REFUSED)
    await expect(page.locator(".full-title")).to_have_text(title)
    await expect(page.locator(".full-text")).to_contain_text(sentence)
    await expect(page.locator(".tabs")).to_be_hidden()


async def test_a_token_that_is_revoked_shuts_the_page_and_leaves_nobody_in_it(
    sales: SalesServer, browse: OpenPage
) -> None:
    sales.hot("小雨点儿")
    address = sales.page("li")
    page = await browse(address, **PHONE, expects=REFUSED)
    await expect(cards(page)).to_have_count(1)
    sales.revoke(sales.token("li"))
    sales.clock.step_wall(3_000)  # how long an answer about a token is kept
    sales.desk.close()
    await expect(page.locator(".full-title")).to_have_text("这个链接打不开了", timeout=8_000)
    assert "小**" not in await page.locator("body").inner_text()
    await page.get_by_role("button", name="在这台设备上退出").click()
    await expect(page.locator(".full-title")).to_have_text("链接里缺少 token")


async def test_loading_quiet_and_broken_are_said_in_words(sales: SalesServer, browse: OpenPage) -> None:
    page = await browse(sales.page("li"), **PHONE, clock=True, expects=REFUSED_SOCKET)
    await expect(page.locator(".full-title")).to_have_text("没有待领取的线索")
    sales.clock.step_wall(10 * 60_000)
    sales.beat()
    await expect(page.locator(".full-title")).to_have_text("10 分钟没有新线索了")
    sales.hot("小雨点儿")
    await expect(cards(page)).to_have_count(1)
    sales.scene.failing = True
    sales.beat()
    await expect(page.locator(".banner-title")).to_have_text("线索库暂时没有回应")
    sales.scene.failing = False
    await page.context.set_offline(True)
    sales.desk.close()
    await page.clock.run_for(5_000)
    await expect(page.locator(".banner-title")).to_have_text("和 Frontrow 断开了")
    await expect(cards(page)).to_have_count(1)
    await page.context.set_offline(False)
    await expect(page.locator(".banner")).to_be_hidden()
