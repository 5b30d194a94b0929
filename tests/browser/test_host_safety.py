"""Names are the least trusted text there is: they stay text, stay in their place, and carry no phone number out."""

import pytest
from playwright.async_api import expect

from frontrow_dashboards import pages
from tests.browser.conftest import OpenPage
from tests.support.panel_data import NOW, READY, feature, feed, row, rule, snapshot
from tests.support.panel_server import PanelServer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

HOSTILE = {
    "script": "<script>window.pwned=1</script>",
    "image": "<img src=x onerror=window.pwned=1>",
    "outside image": "<img src='http://example.invalid/steal.png'>",
    "closing tags": "</bdi></span></button><h1 style='position:fixed;inset:0'>x",
    "entity": "&lt;b&gt; &amp; &#x202e;",
    "template": "${window.pwned=1} {{constructor.constructor('window.pwned=1')()}} {n}",
    "style": 'x" style="position:fixed;font-size:999px',
    "url": "javascript:window.pwned=1",
    "long latin": "W" * 200,
    "long chinese": "长" * 200,
    "long words": "very long name " * 14,
    "emoji": "👨\u200d👩\u200d👧\u200d👦" * 30,
    "flags": "🇨🇳" * 60,
    "right to left": "مرحبا بالعالم كيف حالك اليوم " * 6,
    "override": "\u202eevil\u202c \u2066abc\u2069",
    "zero width": "\u200b\u200c\u200d\ufeff\u2060",
    "fillers": "\u3164\u115f\u2800\u00ad",
    "zalgo": "Z\u0300" + "\u0301\u0302\u0303\u0304" * 60 + "algo",
    "lines": "one\ntwo\r\nthree\u2028four\tfive",
    "controls": "a\u0000b\u0007c\u001b[31m",
    "huge glyphs": "﷽" * 40 + "𒐫" * 20,
    "lone surrogate": "ab\ud800cd",
    "proto": "__proto__",
    "empty": "",
}
WIDTHS = [(320, 480), (360, 720), (390, 844), (1280, 800), (1920, 1080)]

OVERFLOW = """() => {
    const wide = [document.documentElement, ...document.querySelectorAll('.dock, .list, .head, .foot, .full, .sheet, .sheet-body, .row')]
        .filter(one => one.scrollWidth > one.clientWidth + (one === document.documentElement ? 0 : 1));
    const right = document.documentElement.clientWidth + 0.5;
    const out = [...document.querySelectorAll('.score, .age, .language, .icon-button, .name, .why, .chance')]
        .filter(one => one.getClientRects().length > 0 && (one.getBoundingClientRect().right > right || one.getBoundingClientRect().left < -0.5));
    return [...wide, ...out].map(one => one.className || one.tagName);
}"""


def hostile_evening() -> list[dict[str, object]]:
    rows = []
    for at, (viewer, name) in enumerate(HOSTILE.items()):
        reasons = [
            rule(name or "x", 30, count=3),
            rule("question", 15, count=2, by={name or "x": 2}),
            feature(name or "x", 0.5),
        ]
        rows.append(
            row(
                f"<{viewer}>",
                name,
                points=100 - at,
                probability=0.5,
                reasons=reasons,
                words=name,
                lead=name,
                fan=at % 2 == 0,
            )
        )
    return rows


@pytest.mark.parametrize("lang", ["zh-CN", "en"])
async def test_hostile_names_are_inert_and_break_no_layout_at_any_width(
    panel: PanelServer, open_page: OpenPage, lang: str
) -> None:
    everything = "".join(HOSTILE.values())
    panel.on_join = lambda page: page.say(
        snapshot(
            *hostile_evening(),
            model=READY,
            room={"id": "demo", "platform": everything, "title": everything},
            product=HOSTILE["image"] + HOSTILE["long latin"],
            feeds=[
                feed(
                    "refused",
                    id=everything,
                    connector=HOSTILE["long latin"],
                    detail=HOSTILE["image"] + "W" * 200,
                ),
                feed("waiting", id="<b>"),
            ],
        )
    )
    page = await open_page(limit=100, lang=lang)
    await expect(page.locator("button.row")).to_have_count(len(HOSTILE))
    heights = None
    for width, height in WIDTHS:
        await page.set_viewport_size({"width": width, "height": height})
        assert await page.evaluate(OVERFLOW) == [], width
        heights = await page.locator("button.row").evaluate_all(
            "rows => rows.map(row => Math.round(row.getBoundingClientRect().height))"
        )
        assert max(heights) - min(heights) <= 1, f"a name made its row higher at {width}"
    await page.locator(".feed-state").click()
    for index in range(len(HOSTILE)):
        await page.set_viewport_size({"width": 320, "height": 480})
        await page.locator("button.row").nth(index).click()
        assert await page.evaluate(OVERFLOW) == []
        await page.keyboard.press("Escape")
    assert await page.evaluate("window.pwned") is None
    assert (
        await page.locator(
            "#dock script, #dock img, #dock style, #dock h1 h1, dialog img, dialog script"
        ).count()
        == 0
    )
    assert await page.locator("h1").count() == 1


async def test_names_keep_what_is_visible_and_lose_what_is_not(open_page: OpenPage) -> None:
    page = await open_page()
    cases = {
        "小雨点儿": "小雨点儿",
        HOSTILE["script"]: HOSTILE["script"],
        HOSTILE["override"]: "evil abc",
        HOSTILE["zero width"]: "",
        HOSTILE["fillers"]: "",
        HOSTILE["lines"]: "one two three four five",
        HOSTILE["controls"]: "abc[31m",
        "👨\u200d👩\u200d👧 家": "👨\u200d👩\u200d👧 家",
        "❤\ufe0f\u200d🔥": "❤\ufe0f\u200d🔥",
        "👩🏽\u200d🚀": "👩🏽\u200d🚀",
        "a\u200db": "ab",
        "Z\u0300\u0301\u0302\u0303\u0304": "Z\u0300\u0301\u0302",
        "क्षि": "क्षि",
        "W" * 300: "W" * 199 + "…",
    }
    shown = await page.evaluate(
        "async names => { const {clean} = await import('/static/host/names.js'); return names.map(clean); }",
        list(cases),
    )
    assert shown == list(cases.values())


NUMBERS = {
    "加我13800138000": "加我13****00",
    "138 0013 8000": "13****00",
    "138-0013-8000找我": "13****00找我",
    "1.3.8.0.0.1.3.8.0.0.0": "1.****.0",
    "１３８００１３８０００": "１３****００",
    "①③⑧⓪⓪①③⑧": "①③****③⑧",
    "1\u200b3\u200b8\u200b0\u200b0\u200b1\u200b3": "13****13",
    "".join(f"{digit}\ufe0f\u20e3" for digit in "1380013"): "1\ufe0f****\u20e33\ufe0f\u20e3",
    "١٢٣٤٥٦٧": "١٢****٦٧",
    "微信1234567": "微信12****67",
    "用户123456": "用户123456",  # six digits are a name, not a number
}


async def test_long_numbers_in_names_are_hidden(panel: PanelServer, open_page: OpenPage) -> None:
    told = [row(f"{at:02}", name, words=name, lead=name) for at, name in enumerate(NUMBERS)]
    panel.on_join = lambda page: page.say(snapshot(*told))
    page = await open_page(limit=20)
    await expect(page.locator("button.row")).to_have_count(len(NUMBERS))
    assert await page.locator("button.row .name-text").all_text_contents() == list(NUMBERS.values())
    for at, (name, shown) in enumerate(NUMBERS.items()):
        await page.locator("button.row").nth(at).click()
        await expect(page.locator(".card-name")).to_have_text(shown)
        if name != shown:
            assert name not in await page.locator("html").inner_html()
        await page.keyboard.press("Escape")


async def test_what_frontrow_and_its_operator_name_is_no_telephone_number(
    panel: PanelServer, open_page: OpenPage
) -> None:
    """Sales have the lead's id on their phones: it must be the same here, and a third of all ids have seven digits in
    a row. A title often begins with its date."""
    lead = "Led1814892f0ba55d5d48"
    title = "2026-06-18 年中大促 20260618"
    room = {"id": "demo", "platform": "test", "title": title}
    panel.on_join = lambda page: page.say(snapshot(row("a", lead=lead), row("b", lead=f"{lead}0"), room=room))
    page = await open_page()
    await expect(page.locator("h1")).to_have_text(title)
    await page.locator("button.row").first.click()
    await expect(page.locator("dialog.card .facts dd").last).to_have_text(lead)
    await page.keyboard.press("Escape")
    await page.locator("button.row").last.click()
    await expect(page.locator("dialog.card .facts dd").last).to_have_text("Led18****92f0ba55d5d480")


MASKED = {
    "小雨点儿": "小**儿",
    "阿泽": "阿*",
    "鱼": "*",
    "👨\u200d👩\u200d👧小鱼👩🏽\u200d🚀": "👨\u200d👩\u200d👧**👩🏽\u200d🚀",
    "": "未具名观众",
}


async def test_mask_leaves_first_and_last_character(panel: PanelServer, open_page: OpenPage) -> None:
    panel.on_join = lambda page: page.say(snapshot(*(row(f"{at}", name) for at, name in enumerate(MASKED))))
    page = await open_page(mask=1)
    await expect(page.locator("button.row .name-text")).to_have_text(list(MASKED.values()))
    await page.locator("button.row").first.click()
    await expect(page.locator(".card-name")).to_have_text("小**儿")
    whole = await page.locator("html").inner_html()
    assert [name for name in MASKED if len(name) > 1 and name in whole] == []


async def test_search_does_not_see_through_the_mask(panel: PanelServer, open_page: OpenPage) -> None:
    panel.on_join = lambda page: page.say(snapshot(row("a", "小雨点儿")))
    page = await open_page(mask=1)
    await expect(page.locator("button.row")).to_have_count(1)
    await page.keyboard.press("/")
    await page.keyboard.type("雨点")
    await expect(page.locator("button.row:visible")).to_have_count(0)


async def test_the_policy_stops_script_that_would_get_in_all_the_same(
    panel: PanelServer, open_page: OpenPage
) -> None:
    """The second wall: even if a later change put HTML in, the browser would not run it."""
    panel.on_join = lambda page: page.say(snapshot(row("a")))
    page = await open_page(expects="This document requires")
    await expect(page.locator("button.row")).to_have_count(1)
    refused = await page.evaluate(
        """() => {
            const tried = [];
            try { document.body.innerHTML = '<img src=x>'; } catch (error) { tried.push(error.name); }
            try { document.body.append(Object.assign(document.createElement('script'), {text: 'window.pwned = 1'})); }
            catch (error) { tried.push(error.name); }
            return [tried, window.pwned ?? null];
        }"""
    )
    assert refused == [["TypeError", "TypeError"], None]


async def test_only_what_the_page_names_is_asked_for(panel: PanelServer, open_page: OpenPage) -> None:
    panel.on_join = lambda page: page.say(snapshot(row("a", last_at=NOW)))
    page = await open_page()
    await expect(page.locator("button.row")).to_have_count(1)
    assert panel.requests[0] == "/host/demo"
    for path in panel.requests[1:]:
        assert pages.asset(path.removeprefix("/static/")) is not None, path
    assert len(panel.conversations) == 1
