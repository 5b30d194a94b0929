"""One lead on the sales page, from the number to the end, and what was tapped where there is no network."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, expect

from frontrow.core.centre.assignment import Rule
from frontrow.core.centre.book import Access, LeadRow
from tests.browser.conftest import OpenPage
from tests.support.centre import MINUTE, START
from tests.support.sales_server import PHONE, SalesServer, sales_server

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
FAILED = "Failed to load resource"  # Chromium itself writes this of each request that fails
SCREEN = {"width": 390, "height": 844}


@pytest_asyncio.fixture(loop_scope="session")
async def sales(tmp_path: Path) -> AsyncIterator[SalesServer]:
    async with sales_server(tmp_path) as server:
        yield server


def followed(sales: SalesServer, seller: str = "li") -> LeadRow:
    """Return a lead with a number that a seller has claimed."""
    lead = sales.form("v1", at=0)
    return sales.scene.act("lead_claim", lead, seller=seller)


def acts(sales: SalesServer, lead: LeadRow, kind: str) -> list[dict[str, object]]:
    return [entry.data for entry in sales.scene.timeline(lead) if entry.kind == kind]


async def choose(page: Page, text: str) -> None:
    await page.locator("dialog .choice", has_text=text).click()


async def test_the_number_is_shown_for_a_purpose_and_who_saw_it_is_written_down(
    sales: SalesServer, browse: OpenPage
) -> None:
    lead = followed(sales)
    page = await browse(sales.page("li", lead=lead.lead), **SCREEN)
    contact = page.locator(".part-of-lead.contact")
    await expect(contact.locator(".phone")).to_have_text("138****8000")
    await expect(contact).to_contain_text("查看会被记录")
    assert PHONE not in await page.content()
    await contact.get_by_role("button", name="查看号码").click()
    await expect(page.locator("dialog")).to_contain_text("查看会被记录")
    assert sales.scene.rows(Access) == []
    await choose(page, "打电话")
    await expect(contact.locator(".phone")).to_have_text(PHONE)
    assert await contact.locator("a.call").get_attribute("href") == f"tel:{PHONE}"
    await expect(contact).to_contain_text("周小雨")
    [seen] = sales.scene.rows(Access)
    assert (seen.lead, seen.by, seen.purpose) == (lead.lead, "li", "call")
    await expect(page.locator(".entry").first).to_contain_text("查看了号码，为了打电话")
    await page.locator(".back").click()
    await expect(page.locator(".lead-page")).to_be_hidden()
    assert PHONE not in await page.content()


async def test_one_tap_says_what_came_of_it_and_an_end_asks_for_its_reason(
    sales: SalesServer, browse: OpenPage
) -> None:
    lead = followed(sales)
    page = await browse(sales.page("li", lead=lead.lead), **SCREEN)
    outcomes = page.locator(".part-of-lead.outcomes")
    await expect(outcomes.locator(".outcome")).to_have_count(8)
    await expect(outcomes).to_contain_text("结果会立刻教会模型")
    await outcomes.get_by_role("button", name="接通-有意向").click()
    await expect(page.locator(".toast")).to_have_text("已记录：跟进结果")
    await expect(outcomes.get_by_role("button", name="接通-有意向")).to_have_attribute("aria-pressed", "true")
    assert sales.scene.lead(lead.lead).stage == "contacted"
    await outcomes.get_by_role("button", name="战败").click()
    await choose(page, "价格太高")
    await expect(page.locator(".toast")).to_have_text("已记录：跟进结果。模型已经学到了。")
    closed = sales.scene.lead(lead.lead)
    assert (closed.status, closed.reason, closed.review) == ("lost", "price", "pending")
    await expect(page.locator(".page-who")).to_contain_text("等待他人复核“战败”")
    await expect(outcomes).to_be_hidden()
    assert acts(sales, lead, "lead_outcome")[-1] == {"seller": "li", "outcome": "lost", "reason": "price"}


async def test_a_sale_is_confirmed_once_and_may_say_what_it_was_worth(
    sales: SalesServer, browse: OpenPage
) -> None:
    lead = followed(sales)
    page = await browse(sales.page("li", lead=lead.lead, lang="en"), **SCREEN)
    await page.locator(".part-of-lead.outcomes").get_by_role("button", name=re.compile("^Bought")).click()
    await page.locator("#sheet-input").fill("199.5")
    await choose(page, "Yes: Bought")
    await expect(page.locator(".page-who")).to_contain_text("Won")
    assert sales.scene.lead(lead.lead).value == 19_950


async def test_notes_touches_stages_and_the_next_call_stand_in_the_timeline(
    sales: SalesServer, browse: OpenPage
) -> None:
    lead = followed(sales)
    page = await browse(sales.page("li", lead=lead.lead), **SCREEN)
    await page.locator("#note").fill("要 XL，周末回")
    await page.get_by_role("button", name="保存备注").click()
    first = page.locator(".entry").first
    await expect(first).to_contain_text("要 XL，周末回")
    await expect(first).to_contain_text("李想")
    await page.get_by_role("button", name="电话没接").click()
    await expect(first).to_contain_text("电话联系客户 · 没接通")
    await page.locator(".step", has_text="已建联").click()
    await expect(first).to_contain_text("阶段：已建联")
    await page.get_by_role("button", name="一小时后").click()
    await expect(first).to_contain_text("回访")
    row = sales.scene.lead(lead.lead)
    assert row.follow_up_at is not None and abs(row.follow_up_at - START - 60 * MINUTE) < MINUTE
    assert row.stage == "contacted"


async def test_every_line_of_a_timeline_is_in_words(sales: SalesServer, browse: OpenPage) -> None:
    """What a page has no words for it shows by its code, which says nothing to a seller."""
    lead = sales.form("v1", at=0)
    viewer = {"kind": "viewer:douyin", "key": "v1"}
    linked = {"a": viewer, "b": {"kind": "crm", "key": "c-1"}, "source": "crm", "confidence": 0.9}
    told = {"identity": viewer, "purpose": "marketing", "given": True, "by": "li"}
    sales.scene.apply(
        [
            sales.scene.event("identity_link", MINUTE, data=linked),
            sales.scene.event("consent", 2 * MINUTE, data=told),
            sales.scene.event("consent", 3 * MINUTE, data=told | {"given": False}),
        ]
    )
    sales.scene.act("lead_claim", lead, seller="li")
    kinds = {entry.kind for entry in sales.scene.timeline(lead)}
    assert kinds >= {"waiting", "identity_link", "consent"}, kinds
    for language, words in {
        "zh-CN": ("进入公共池", "客户同意：营销消息"),
        "en": ("Into the pool", "agreed to"),
    }.items():
        page = await browse(sales.page("li", lead=lead.lead, lang=language), **SCREEN)
        await expect(page.locator(".entry").first).to_be_visible()
        said = await page.locator(".entry").all_inner_texts()
        for word in words:
            assert any(word in line for line in said), said
        assert not [line for line in said for kind in kinds if line.split("\n")[0] == kind], said


async def test_a_lead_goes_back_to_the_team_and_leaves_the_page_with_a_sentence(
    sales: SalesServer, browse: OpenPage
) -> None:
    lead = followed(sales)
    page = await browse(sales.page("li", lead=lead.lead), **SCREEN)
    await page.get_by_role("button", name="放回团队").click()
    await choose(page, "放回团队")
    await expect(
        page.locator(".page-foot .big-button")
    ).to_be_visible()  # it is in the pool: anybody may claim
    assert sales.scene.lead(lead.lead).owner is None


async def test_a_manager_gives_reviews_and_takes_back(sales: SalesServer, browse: OpenPage) -> None:
    lead = sales.form("v1", at=0)
    page = await browse(sales.page("chen", lead=lead.lead), **SCREEN, expects=FAILED)
    await page.get_by_role("button", name="分配给销售").click()
    await expect(page.locator("dialog .choice")).to_have_count(2)
    await expect(page.locator("dialog .choice").first).to_contain_text("在岗 · 在跟 0 / 50 条")
    await choose(page, "王芳")
    await expect(page.locator(".page-who")).to_contain_text("分给了 王芳")
    sales.scene.act("lead_claim", lead, seller="wang")
    sales.scene.act(
        "lead_outcome", lead, seller="wang", outcome="lost", data={"by": "wang", "loss_reason": "price"}
    )
    review = page.locator(".part-of-lead.decide")
    await expect(review).to_contain_text("原因：价格太高")
    await review.get_by_role("button", name="退回继续跟进").click()
    await expect(page.locator(".entry").first).to_contain_text("复核退回")
    assert sales.scene.lead(lead.lead).status == "following"


async def test_who_may_not_see_a_lead_is_told_nothing_of_it(sales: SalesServer, browse: OpenPage) -> None:
    lead = followed(sales)
    page = await browse(sales.page("wang", lead=lead.lead), **SCREEN, expects=FAILED)
    await expect(page.locator(".lead-page .full-title")).to_contain_text("这条线索不在您这里")
    assert "138" not in await page.locator(".lead-page").inner_text()
    await page.get_by_role("button", name="回到列表").click()
    await expect(page.locator(".lead-page")).to_be_hidden()


async def test_what_was_tapped_without_a_network_waits_and_is_sent_once(
    sales: SalesServer, browse: OpenPage
) -> None:
    lead = followed(sales)
    page = await browse(sales.page("li", lead=lead.lead), **SCREEN, expects=FAILED)
    await expect(page.locator(".outcome")).to_have_count(8)
    await page.context.set_offline(True)
    await page.locator(".outcome").first.click()
    await page.locator("#note").fill("明天下午")
    await page.get_by_role("button", name="保存备注").click()
    await expect(page.locator(".lead-page .lead-waiting")).to_have_text("待发送：跟进结果和备注")
    assert acts(sales, lead, "lead_outcome") == []
    await page.context.set_offline(False)
    await expect(page.locator(".lead-page .lead-waiting")).to_be_hidden()
    assert len(acts(sales, lead, "lead_outcome")) == len(acts(sales, lead, "lead_note")) == 1
    kinds = [entry.kind for entry in sales.scene.timeline(lead)]
    assert kinds.index("lead_outcome") < kinds.index("lead_note"), "in the order in which they were tapped"


async def test_an_answer_that_is_lost_makes_nothing_happen_twice_also_over_a_reload(
    sales: SalesServer, browse: OpenPage
) -> None:
    """The worst moment: done, but the phone does not know it, and is switched off."""
    lead = followed(sales)
    page = await browse(sales.page("li", lead=lead.lead), **SCREEN, expects=FAILED)
    sent: list[str] = []

    async def lose(route: Route) -> None:
        sent.append(route.request.headers["idempotency-key"])
        await route.fetch()
        await route.abort()

    await page.route("**/api/v1/leads/*/outcome", lose)
    await page.locator(".outcome").first.click()
    await expect(page.locator(".lead-page .lead-waiting")).to_be_visible()
    assert len(acts(sales, lead, "lead_outcome")) == 1
    await page.unroute("**/api/v1/leads/*/outcome")
    async with page.expect_request("**/api/v1/leads/*/outcome") as again:
        await page.reload()
    assert (await again.value).headers["idempotency-key"] == sent[0]
    await expect(page.locator(".toast")).to_contain_text("已记录")
    assert len(acts(sales, lead, "lead_outcome")) == 1
    assert await page.evaluate("localStorage.getItem('frontrow.sales.queue')") == "[]"


async def test_what_one_seller_tapped_is_never_sent_as_anothers(sales: SalesServer, browse: OpenPage) -> None:
    """Phones change hands at the end of a shift."""
    lead = followed(sales)
    page = await browse(sales.page("li", lead=lead.lead), **SCREEN, expects=FAILED)
    await page.route("**/api/v1/leads/*/note", lambda route: route.abort())
    await page.locator("#note").fill("我的备注")
    await page.get_by_role("button", name="保存备注").click()
    await expect(page.locator(".lead-page .lead-waiting")).to_be_visible()
    await page.unroute("**/api/v1/leads/*/note")
    await page.goto(sales.page("wang"))
    await expect(page.locator("h1")).to_have_text("线索 · 王芳")
    await expect(page.locator(".banner")).to_be_hidden()
    assert acts(sales, lead, "lead_note") == []
    async with page.expect_response("**/api/v1/leads/*/note"):
        await page.goto(sales.page("li"))
    assert len(acts(sales, lead, "lead_note")) == 1


async def test_a_manager_confirms_before_the_seller_hears_of_it(tmp_path: Path, browse: OpenPage) -> None:
    rules = (Rule(name="with the manager's word", team="hz-a", approval=True),)
    async with sales_server(tmp_path, rules=rules) as sales:
        lead = sales.form("v1", at=0)
        page = await browse(sales.page("chen", lead=lead.lead), **SCREEN)
        decide = page.locator(".part-of-lead.decide")
        await expect(decide.locator("h3")).to_have_text("分给 李想，可以吗？")
        await decide.get_by_role("button", name="可以").click()
        await expect(decide).to_be_hidden()
        assert not sales.scene.lead(lead.lead).awaits_approval
        assert ("todo", "li") in [(told.purpose, told.to) for told in sales.scene.told]
