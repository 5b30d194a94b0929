"""The hosted form in a browser: filled in and sent with and without JavaScript, on a small phone, light and dark."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.support.daemons import Running, running, write_config
from tests.support.stored_forms import stored_forms

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

FORM = """
[[forms]]
id = "trial"
room = "demo"
title_zh = "领取亚麻衬衫试用装"
title_en = "Get a free sample of the linen shirt"
intro_zh = "填好后，客服会在五分钟内联系您。"
intro_en = "We will call you within five minutes."
fields = ["name", "phone", "company", "product", "message"]
products = ["1号 连衣裙", "3号 亚麻衬衫"]
consent_zh = "我同意商家用以上信息就所选产品联系我，并已了解我可以随时要求删除这些信息。"
consent_en = "I agree that the shop uses this to contact me about the product, and know that I can have it deleted at any time."
consent_version = "2026-11"
"""
LOOKS = [("zh-CN", "light", 360), ("en", "dark", 360), ("zh-CN", "dark", 1280), ("en", "light", 320)]


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def daemon(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with running(write_config(tmp_path_factory.mktemp("form"), FORM)) as up:
        yield up


def phones(daemon: Running) -> list[Any]:
    return [answers["phone"] for _, answers in stored_forms(daemon.store)]


@pytest.mark.parametrize(("lang", "theme", "width"), LOOKS)
async def test_it_fits_and_says_what_is_missing_and_thanks(
    daemon: Running, browse: OpenPage, screenshots: Path, lang: str, theme: str, width: int
) -> None:
    page = await browse(
        f"{daemon.url}/form/trial?lang={lang}&product=3号 亚麻衬衫",
        width=width,
        device={"color_scheme": theme},
        expects="status of 422",
    )
    name = f"form-{lang}-{theme}-{width}"

    async def shot(state: str) -> None:
        assert await page.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )
        await page.screenshot(path=screenshots / f"{name}-{state}.png", full_page=True)

    await expect(page.locator("select")).to_have_value("3号 亚麻衬衫")
    await shot("open")
    # As a browser without its own checks would send it.
    await page.locator("form").evaluate("form => form.noValidate = true")
    await page.locator("#phone").fill("12345")
    await page.locator("#message").fill("有 XL 吗？")
    await page.locator("button").click()
    await expect(page.locator(".error")).to_have_count(2)
    await expect(page.locator("#message")).to_have_value("有 XL 吗？")
    await shot("mistakes")
    before = len(phones(daemon))
    await page.locator("#phone").fill(f"1380013{width:04}")
    await page.locator(".consent input").check()
    await page.locator("button").click()
    await expect(page.locator(".message h2")).to_have_text("已收到" if lang == "zh-CN" else "Received")
    await shot("sent")
    assert phones(daemon)[before:] == [f"1380013{width:04}"]
    await page.reload()
    assert len(phones(daemon)) == before + 1


async def test_it_works_without_javascript_and_by_keyboard_alone(daemon: Running, browse: OpenPage) -> None:
    page = await browse(f"{daemon.url}/form/trial?lang=zh-CN", device={"java_script_enabled": False})
    await page.locator("#phone").focus()
    await page.keyboard.type("13900139000")
    for _ in range(4):  # company, product, message, consent; the trap is no stop
        await page.keyboard.press("Tab")
    await page.keyboard.press("Space")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.locator(".message")).to_be_visible()
    assert phones(daemon)[-1] == "13900139000"


async def test_the_language_can_be_changed_and_the_link_is_kept(daemon: Running, browse: OpenPage) -> None:
    page = await browse(f"{daemon.url}/form/trial?lang=zh-CN&host=小鹿")
    await page.locator(".language").click()
    await expect(page.locator("h1")).to_have_text("Get a free sample of the linen shirt")
    action = await page.locator("form").get_attribute("action")
    assert action is not None
    assert "host=" in action
