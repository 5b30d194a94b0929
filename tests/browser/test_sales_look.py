"""How the sales page looks: nothing sticks out at any width, contrast that can be computed, two hundred cards, pictures for people."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.test_host_end_to_end import side_by_side
from tests.browser.test_host_look import AA_TEXT, BLACK, READ_TOKENS, contrast, over
from tests.support.sales_server import SalesServer, sales_server

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

LONG = "非常非常非常长的名字" * 8
WIDTHS = [(360, 720), (390, 844), (1280, 800), (1920, 1080)]
LOOKS = [
    ("zh-CN", "light", 390),
    ("en", "dark", 390),
    ("en", "light", 360),
    ("zh-CN", "dark", 1280),
    ("en", "light", 1920),
]
OVERFLOW = """() => {
    const all = [document.documentElement, ...document.querySelectorAll('.sales-head, .inbox-list, .lead-card, .lead-top, .tabs, .tab, .page-head, .page-body, .part-of-lead, .grid, .outcome, .page-foot, .sheet, .choice')];
    const wide = all.filter(one => one.getClientRects().length > 0 && one.scrollWidth > one.clientWidth + 1);
    const small = [...document.querySelectorAll('button, a.big-button, .lead-link')]
        .filter(one => one.getClientRects().length > 0 && one.getBoundingClientRect().height < 35);
    return [...wide, ...small].map(one => one.className || one.tagName);
}"""


@pytest_asyncio.fixture(loop_scope="session")
async def sales(tmp_path: Path) -> AsyncIterator[SalesServer]:
    async with sales_server(tmp_path) as server:
        yield server


def an_evening(sales: SalesServer) -> str:
    """Let some people turn hot, and li follow one; return that lead."""
    mine = sales.form("小雨点儿", at=0)
    sales.scene.act("lead_claim", mine, seller="li")
    sales.clock.step_wall(100_000)
    sales.hot("阿泽的厨房", product="3号 亚麻衬衫", probability=0.38)
    sales.clock.step_wall(120_000)
    sales.hot(LONG, product=LONG, words=LONG * 2, grade="warm", points=55)
    sales.clock.step_wall(20_000)
    sales.hot("米", words=None, grade="cold", points=20, reasons=[])
    sales.scene.act("lead_note", mine, seller="li", note="周末回家再看", data={"by": "li"})
    sales.scene.act(
        "lead_touch",
        mine,
        seller="li",
        data={"by": "li", "channel": "call", "direction": "out", "answered": False},
    )
    return mine.lead


@pytest.mark.parametrize(("lang", "theme", "width"), LOOKS)
async def test_pictures_of_the_list_and_of_one_lead(
    sales: SalesServer, browse: OpenPage, screenshots: Path, lang: str, theme: str, width: int
) -> None:
    lead = an_evening(sales)
    height = dict(WIDTHS)[width]
    page = await browse(sales.page("li", lang=lang, theme=theme), width=width, height=height)
    await expect(page.locator(".lead-card")).to_have_count(3)
    assert await page.evaluate(OVERFLOW) == []
    await page.screenshot(path=screenshots / f"sales-list-{lang}-{theme}-{width}.png")
    await page.goto(f"{sales.base}/sales?lang={lang}&theme={theme}#{lead}")
    await expect(page.locator(".entry")).not_to_have_count(0)
    assert await page.evaluate(OVERFLOW) == []
    await page.screenshot(path=screenshots / f"sales-lead-{lang}-{theme}-{width}.png")
    await page.locator(".part-of-lead.timeline").scroll_into_view_if_needed()
    await page.screenshot(path=screenshots / f"sales-lead-{lang}-{theme}-{width}-below.png")
    await page.locator(".outcome").nth(7).click()
    await expect(page.locator("dialog")).to_be_visible()
    assert await page.evaluate(OVERFLOW) == []
    await page.screenshot(path=screenshots / f"sales-why-{lang}-{theme}-{width}.png")


async def test_the_picture_in_the_readme(
    sales: SalesServer, browse: OpenPage, chromium: Browser, screenshots: Path
) -> None:
    """To renew it: ``cp out/screenshots/sales.png dashboards/docs/sales.png``. Names are invented, and masked."""
    said = [
        ("阿泽", "3号 亚麻衬衫", "有没有 XL 码？", 0.0), ("小雨点儿", "2号 防晒外套", "这个多少钱，包邮吗", 40.0),
        ("米粒", "3号 亚麻衬衫", "今天下单什么时候到", 70.0), ("南瓜", "5号 冰丝凉席", "一米八的床能用吗", 15.0),
    ]  # fmt: skip
    for viewer, product, words, pause in said:
        sales.clock.step_wall(round(pause * 1_000))
        sales.hot(viewer, product=product, words=words)
    lead = sales.hot("橘子汽水", product="3号 亚麻衬衫", words="怎么分期")
    sales.form("橘子汽水", at=0)
    sales.scene.act("lead_claim", lead, seller="li")
    sharp = {"device_scale_factor": 2}
    inbox = await browse(sales.page("li"), width=390, height=604, device=sharp)
    await expect(inbox.locator(".lead-card")).to_have_count(4)
    one = await browse(
        sales.page("li", theme="dark", lang="en", lead=lead.lead), width=390, height=604, device=sharp
    )
    await expect(one.locator(".outcome")).to_have_count(8)
    await one.locator(".part-of-lead.outcomes").evaluate("part => part.scrollIntoView({block: 'end'})")
    taken = [screenshots / "sales-picture-zh-CN.png", screenshots / "sales-picture-en.png"]
    for page, path in zip((inbox, one), taken, strict=True):
        await page.screenshot(path=path, animations="disabled")
    await side_by_side(chromium, taken, screenshots / "sales.png")


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_text_on_the_accent_and_on_the_ground_can_be_read(
    sales: SalesServer, browse: OpenPage, theme: str
) -> None:
    page = await browse(sales.page("li", theme=theme))
    names = [
        "--ground",
        "--surface",
        "--chip",
        "--ink",
        "--ink-soft",
        "--accent",
        "--warm",
        "--bad",
        "--good",
        "--hot",
        "--cold",
    ]
    read = await page.evaluate(READ_TOKENS, names)
    colour = {name: tuple(value) for name, value in read.items()}
    pairs = [("--surface", "--accent"), ("--ink", "--chip")] + [
        (ink, ground)
        for ink in ("--ink", "--ink-soft", "--warm", "--bad", "--good")
        for ground in ("--ground", "--surface")
    ]
    for ink, ground in pairs:
        assert contrast(over(colour[ink], BLACK), over(colour[ground], BLACK)) >= AA_TEXT, (ink, ground)


async def test_every_control_has_a_name_and_the_thumb_is_not_needed(
    sales: SalesServer, browse: OpenPage
) -> None:
    an_evening(sales)
    page = await browse(sales.page("li"), width=390, height=844)
    await expect(page.locator(".lead-card")).to_have_count(3)
    unnamed = """() => [...document.querySelectorAll('button, a, input, textarea')]
        .filter(one => one.getClientRects().length > 0 && !(one.getAttribute('aria-label') || one.textContent.trim() || one.labels?.length))
        .map(one => one.className)"""
    assert await page.evaluate(unnamed) == []
    await page.locator(".lead-link").first.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator(".lead-title")).to_be_focused()
    assert await page.evaluate(unnamed) == []
    await page.keyboard.press("Escape")
    await expect(page.locator(".lead-link").first).to_be_focused()


async def test_two_hundred_leads_are_drawn_and_followed_without_a_stutter(
    sales: SalesServer, browse: OpenPage
) -> None:
    """A card out of sight costs next to nothing; the whole list is drawn in less than ten pictures' time."""
    for number in range(200):
        sales.hot(f"观众{number}", product="3号 亚麻衬衫")
    page = await browse(sales.page("li"), width=390, height=844)
    await expect(page.locator(".lead-card")).to_have_count(200)
    await expect(page.locator(".tab-count").first).to_have_text("200")
    seen = """() => [...document.querySelectorAll('.lead-card')].filter(one => one.checkVisibility({contentVisibilityAuto: true})
        && one.querySelector('.lead-link').checkVisibility({contentVisibilityAuto: true})).length"""
    assert await page.evaluate(seen) < 40
    before = await page.evaluate(
        "() => [...document.querySelectorAll('.lead-card')].map(one => one)[0].dataset.probe = 'kept'"
    )
    sales.scene.act("lead_claim", sales.scene.leads()[3], seller="wang")
    await expect(page.locator(".farewell:visible")).to_have_count(1)
    assert before == await page.locator(".lead-card").first.get_attribute("data-probe"), (
        "what did not change stays"
    )


async def test_nothing_moves_for_who_wants_no_motion(sales: SalesServer, browse: OpenPage) -> None:
    page: Page = await browse(sales.page("li"), width=390, height=844, device={"reduced_motion": "reduce"})
    await expect(page.locator(".full-title")).to_be_visible()
    sales.hot("甲乙丙")
    await expect(page.locator(".lead-card")).to_have_count(1)
    sales.hot("丁戊己")
    await expect(page.locator(".lead-card[data-new]")).to_have_count(1)
    assert await page.locator(".lead-card[data-new]").evaluate("one => one.getAnimations().length") == 0


async def test_sound_is_off_until_somebody_wants_it(sales: SalesServer, browse: OpenPage) -> None:
    page = await browse(sales.page("li"), width=390, height=844)
    await page.evaluate("""() => {
        const real = AudioContext.prototype.createOscillator;
        window.tones = 0;
        AudioContext.prototype.createOscillator = function () { window.tones += 1; return real.call(this); };
    }""")
    sales.hot("甲乙丙")
    await expect(page.locator(".lead-card")).to_have_count(1)
    assert await page.evaluate("window.tones") == 0
    sound = page.get_by_role("button", name="新线索提示音")
    await expect(sound).to_have_attribute("aria-pressed", "false")
    await sound.click()
    await expect(sound).to_have_attribute("aria-pressed", "true")
    sales.hot("丁戊己")
    await expect(page.locator(".lead-card")).to_have_count(2)
    assert await page.evaluate("window.tones") == 2


HOSTILE: list[Any] = ["<img src=x onerror=window.pwned=1>", "\\u202eevil", "加我13800138000", "W" * 300]


async def test_what_viewers_call_themselves_is_text_and_breaks_no_layout(
    sales: SalesServer, browse: OpenPage
) -> None:
    for name in HOSTILE:
        sales.hot(name, words=name, product=name)
    page = await browse(sales.page("li"), width=360)
    await expect(page.locator(".lead-card")).to_have_count(len(HOSTILE))
    assert await page.evaluate(OVERFLOW) == []
    assert await page.evaluate("window.pwned") is None
    assert await page.locator(".sales img").count() == 0
    assert "13800138000" not in await page.content()
