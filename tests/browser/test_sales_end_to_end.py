"""The sales page in a real browser against the whole real daemon: engine, journal, lead centre, vault."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from frontrow.runtime.access import Role
from tests.app.test_approving import COMPANY
from tests.app.test_daemon import hot
from tests.app.test_desk import ORGANISATION, Person
from tests.browser.conftest import OpenPage
from tests.support.daemons import Running, running, write_config

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(loop_scope="session")
async def daemon(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(write_config(tmp_path, ORGANISATION)) as up:
        yield up


async def test_from_a_hot_viewer_to_a_deal_with_one_thumb(daemon: Running, browse: OpenPage) -> None:
    async def page_of(seller: str) -> Page:
        token = daemon.token(Role.SALES, seller=seller)
        return await browse(f"{daemon.url}/sales?token={token}", width=390, height=844)

    li, wang = await page_of("li"), await page_of("wang")
    await expect(li.locator(".full-title")).to_have_text("没有待领取的线索")
    await daemon.ingest(hot(consent=True, fields={"姓名": "小丑鱼", "手机号": "13912340678"}))
    await expect(wang.locator(".lead-card")).to_have_count(1)
    await li.locator(".lead-card .big-button").click()
    await expect(wang.locator(".farewell")).to_contain_text("李想 先领走了")
    await li.get_by_role("button", name="查看号码").click()
    await li.locator("dialog .choice").first.click()
    await expect(li.locator(".phone")).to_have_text("13912340678")
    await li.locator(".outcome", has_text="已成交").click()
    await li.locator("dialog .choice").click()
    await expect(li.locator(".page-who")).to_contain_text("已成交")
    said = await li.locator(".entry-text").all_inner_texts()
    assert said[:3] == ["结果：已成交", "查看了号码，为了打电话", "领取"]
    again = await li.reload()  # the address has no token any more, as a link in a message has none
    assert again is not None and again.status == 200
    await expect(li.locator(".lead-title")).not_to_be_empty()


async def test_a_button_under_the_finger_is_not_replaced(daemon: Running, browse: OpenPage) -> None:
    """News of the lead comes at any moment; a tap that it fell into was lost."""
    token = daemon.token(Role.SALES, seller="li")
    here, there = [await browse(f"{daemon.url}/sales?token={token}", width=390, height=844) for _ in range(2)]
    await daemon.ingest(hot(consent=True, fields={"姓名": "小丑鱼", "手机号": "13912340678"}))
    await here.locator(".lead-card .big-button").click()
    await expect(here.locator(".page-who")).not_to_be_empty()
    await there.goto(here.url)
    won = here.locator(".outcome", has_text="已成交")
    await won.scroll_into_view_if_needed()
    await won.hover()
    await here.mouse.down()
    await there.get_by_role("button", name="查看号码").click()
    await there.locator("dialog .choice").first.click()
    await expect(here.locator(".entry-text").first).to_have_text("查看了号码，为了打电话")
    await here.mouse.up()
    await expect(here.locator("dialog .choice")).to_be_visible()


async def test_no_claim_is_offered_to_whom_the_manager_has_turned_down(
    tmp_path: Path, browse: OpenPage
) -> None:
    company, _, _ = COMPANY.partition("[[sinks]]")
    async with running(write_config(tmp_path, company)) as daemon:
        chen = Person(daemon, "chen")
        token = daemon.token(Role.SALES, seller="li")
        li = await browse(f"{daemon.url}/sales?token={token}", width=390, height=844)
        await expect(li.locator(".full-title")).to_be_visible()
        await daemon.ingest(hot())
        lead = await chen.first_lead()
        for _ in range(2):
            await chen.do(lead, "approve", decision="reject")
        card = li.locator(".lead-card")
        await expect(card).to_have_count(1)
        await expect(card.locator(".big-button")).to_be_hidden()
        await li.reload()
        await expect(card).to_have_count(1)
        await expect(card.locator(".big-button")).to_be_hidden()
        await chen.do(lead, "assign", seller="li")
        await expect(card.locator(".big-button")).to_be_visible()
