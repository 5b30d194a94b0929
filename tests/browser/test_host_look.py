"""How the page looks: contrast that can be computed, and pictures for people to look at."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.support.panel_data import MINUTE, NOW, evening, feed, row, snapshot
from tests.support.panel_server import Conversation, PanelServer

FAILURES = "WebSocket connection to"  # Chromium writes each refused one to the console

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

THEMES = ["light", "dark", "transparent"]
TEXT = ["--ink", "--ink-soft", "--accent", "--hot", "--warm", "--cold", "--good", "--bad"]
GROUNDS = ["--surface", "--raised", "--hover"]
AA_TEXT, AA_SHAPE = 4.5, 3.0  # WCAG 2.2, 1.4.3 and 1.4.11

Colour = tuple[float, float, float, float]
BLACK: Colour = (0.0, 0.0, 0.0, 1.0)
WHITE: Colour = (255.0, 255.0, 255.0, 1.0)

# A colour drawn on a canvas comes back as plain numbers, whatever notation the style sheet uses.
READ_TOKENS = """names => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
    const style = getComputedStyle(document.documentElement);
    return Object.fromEntries(names.map(name => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = style.getPropertyValue(name).trim();
        canvas.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
        return [name, [r, g, b, a / 255]];
    }));
}"""


def over(top: Colour, below: Colour) -> Colour:
    alpha = top[3]
    red, green, blue = (alpha * top[i] + (1 - alpha) * below[i] for i in range(3))
    return (red, green, blue, 1.0)


def luminance(colour: Colour) -> float:
    """Return relative luminance as WCAG 2.2 defines it."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (value / 255 for value in colour[:3])
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: Colour, b: Colour) -> float:
    lighter, darker = sorted((luminance(a), luminance(b)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


async def tokens(page: Page, names: list[str]) -> dict[str, Colour]:
    read: dict[str, list[float]] = await page.evaluate(READ_TOKENS, names)
    return {name: (r, g, b, a) for name, (r, g, b, a) in read.items()}


async def test_the_measure_itself_is_right() -> None:
    assert contrast(BLACK, WHITE) == pytest.approx(21.0)
    assert contrast((119, 119, 119, 1), WHITE) == pytest.approx(4.48, abs=0.01)  # #777, the known near miss


@pytest.mark.parametrize("theme", THEMES)
async def test_every_text_colour_has_aa_contrast_on_every_ground(
    panel: PanelServer, open_page: OpenPage, theme: str
) -> None:
    """Transparent lies over a picture nobody knows: AA must hold over black and over white."""
    page = await open_page(theme=theme)
    colours = await tokens(page, [*TEXT, *GROUNDS, "--chip"])
    poor = []
    for backdrop in (BLACK, WHITE):
        for ground in GROUNDS:
            behind = over(colours[ground], backdrop)
            for text in TEXT:
                ratio = contrast(over(colours[text], behind), behind)
                if ratio < AA_TEXT:
                    poor.append(f"{text} on {ground}: {ratio:.2f}")
            chip = over(colours["--chip"], behind)
            if contrast(over(colours["--ink"], chip), chip) < AA_TEXT:
                poor.append(f"--ink on --chip on {ground}")
    assert poor == []


@pytest.mark.parametrize("theme", THEMES)
async def test_the_focus_can_be_seen(panel: PanelServer, open_page: OpenPage, theme: str) -> None:
    panel.on_join = lambda page: page.say(snapshot(row("a")))
    page = await open_page(theme=theme)
    await expect(page.locator("button.row")).to_have_count(1)
    colours = await tokens(page, ["--accent", "--surface", "--hover"])
    for ground in ("--surface", "--hover"):
        assert contrast(colours["--accent"], over(colours[ground], WHITE)) >= AA_SHAPE
    order = []
    for _ in range(5):
        await page.keyboard.press("Tab")
        order.append(
            await page.evaluate(
                """() => {
                    const style = getComputedStyle(document.activeElement);
                    return [document.activeElement.className.split(' ').at(-1), style.outlineStyle, parseFloat(style.outlineWidth) >= 2];
                }"""
            )
        )
    assert [(style, wide) for _, style, wide in order] == [("solid", True)] * 5
    assert [name for name, _, _ in order] == ["language", "feed-state", "row", "icon-button", "icon-button"]


async def test_the_transparent_page_paints_no_ground(panel: PanelServer, open_page: OpenPage) -> None:
    panel.on_join = lambda page: page.say(snapshot(row("a")))
    page = await open_page(theme="transparent")
    await expect(page.locator("button.row")).to_have_count(1)
    grounds = await page.evaluate(
        "['html', 'body', '.dock'].map(one => getComputedStyle(document.querySelector(one)).backgroundColor)"
    )
    assert grounds == ["rgba(0, 0, 0, 0)"] * 3
    assert await page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "normal"


@pytest.mark.parametrize(("scheme", "theme"), [("dark", "dark"), ("light", "light")])
async def test_without_a_theme_the_system_decides_and_inside_obs_it_is_transparent(
    panel: PanelServer, open_page: OpenPage, scheme: str, theme: str
) -> None:
    page = await open_page(device={"color_scheme": scheme})
    assert await page.evaluate("document.documentElement.dataset.theme") == theme
    page = await open_page(
        device={"color_scheme": scheme, "user_agent": "Mozilla/5.0 Chrome/127.0.0.0 Safari/537.36 OBS/31.0.2"}
    )
    assert await page.evaluate("document.documentElement.dataset.theme") == "transparent"


async def test_everything_that_can_be_pressed_has_a_name(panel: PanelServer, open_page: OpenPage) -> None:
    panel.on_join = lambda page: page.say(evening())
    page = await open_page()
    await expect(page.locator("button.row")).to_have_count(8)
    unnamed = await page.evaluate(
        """() => [...document.querySelectorAll('button, input')]
            .filter(one => !(one.ariaLabel || one.innerText.trim() || one.labels?.[0]?.textContent))
            .filter(one => one.getClientRects().length > 0).map(one => one.outerHTML.slice(0, 80))"""
    )
    assert unnamed == []
    tree = await page.locator("body").aria_snapshot()
    assert 'main "热观众名单"' in tree
    assert 'button "热 小雨点儿 粉丝团 100 分 转化概率 38%，区间 27–49% 填了表单 点链接 留了电话' in tree
    assert 'heading "夏季新品专场" [level=1]' in tree


async def shoot(page: Page, folder: Path, name: str) -> None:
    if "transparent" in name:  # stand for the video that such a page lies over
        await page.evaluate(
            "document.documentElement.style.background = 'linear-gradient(160deg, #f5efe6 0 35%, #b7c7c9 35% 60%, #54626b 60%)'"
        )
    await page.evaluate("document.fonts.ready")
    await page.screenshot(path=folder / f"{name}.png", animations="disabled")


# Each language in each theme where the page is a dock, and at each width; a theme changes colours alone, a width the
# form, so the other pairs would show nothing new.
EVENINGS = [
    *((lang, theme, 360) for lang in ("zh-CN", "en") for theme in THEMES),
    ("zh-CN", "light", 1280),
    ("en", "dark", 1280),
    ("zh-CN", "dark", 1920),
    ("en", "light", 1920),
]
HEIGHTS = {360: 720, 1280: 800, 1920: 1080}


@pytest.mark.parametrize(("lang", "theme", "width"), EVENINGS)
async def test_pictures_of_an_ordinary_evening(
    panel: PanelServer, open_page: OpenPage, screenshots: Path, lang: str, theme: str, width: int
) -> None:
    panel.on_join = lambda page: page.say(evening())
    page = await open_page(
        width=width,
        height=HEIGHTS[width],
        lang=lang,
        theme=theme,
        limit=8 if width == 360 else 14,
        device={"device_scale_factor": 2} if width == 360 else None,
    )
    await expect(page.locator("button.row").first).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    await shoot(page, screenshots, f"host-{lang}-{theme}-{width}")
    await page.locator("button.row").first.click()
    await shoot(page, screenshots, f"host-{lang}-{theme}-{width}-card")


STATES: dict[str, Any] = {
    "loading": lambda page: None,
    "empty": lambda page: page.say(snapshot()),
    "quiet": lambda page: page.say(snapshot(row("a", "小雨点儿"), row("b", "阿泽", grade="warm", points=55), hot=1, warm=1, last_event_at=NOW - 4 * MINUTE)),
    "forbidden": lambda page: page.close(4401),
    "unknown": lambda page: page.close(4404),
    "before": lambda page: page.say(snapshot(session=None, started_at=None, last_event_at=None, viewers_online=None, product=None)),
    "refused": lambda page: page.say(snapshot(row("a", "小雨点儿"), hot=1, feeds=[feed("refused", detail="invalid app secret")])),
    "ended": lambda page: page.say(snapshot(row("a", "小雨点儿"), hot=1, ended=True)),
}  # fmt: skip


# What the states look like in colours is seen in one theme; the others have a banner and a full page each.
LOOKS = [
    ("zh-CN", "dark", tuple(STATES)),
    ("en", "light", tuple(STATES)),
    ("zh-CN", "transparent", ("quiet", "empty")),
]


@pytest.mark.parametrize(("lang", "theme", "states"), LOOKS)
async def test_pictures_of_the_designed_states(
    panel: PanelServer, open_page: OpenPage, screenshots: Path, lang: str, theme: str, states: tuple[str, ...]
) -> None:
    page = await open_page(lang=lang, theme=theme, height=480, device={"device_scale_factor": 2})
    for name in states:
        panel.on_join = STATES[name]
        await page.reload()
        await expect(page.locator(".full:visible, .banner:visible").first).to_be_visible()
        await shoot(page, screenshots, f"host-{lang}-{theme}-state-{name}")


@pytest.mark.parametrize(("lang", "theme"), [("zh-CN", "dark"), ("en", "light")])
async def test_pictures_of_a_daemon_that_is_gone(
    panel: PanelServer, open_page: OpenPage, screenshots: Path, lang: str, theme: str
) -> None:
    def lose(link: Conversation) -> None:
        link.say(snapshot(row("a", "小雨点儿"), hot=1))
        link.close(1012)
        panel.refuse = True

    panel.on_join = lose
    page = await open_page(
        lang=lang, theme=theme, height=480, expects=FAILURES, device={"device_scale_factor": 2}
    )
    await expect(page.locator(".banner[data-kind=lost]")).to_be_visible()
    await shoot(page, screenshots, f"host-{lang}-{theme}-state-lost")
    await page.goto(f"{page.url}&min_grad=hot")
    await expect(page.locator(".full[data-kind=broken]")).to_be_visible()
    await shoot(page, screenshots, f"host-{lang}-{theme}-state-broken")
