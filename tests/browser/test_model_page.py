"""The model's page: one sentence, the figures behind it, and words wherever there is no figure yet."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.support.panel_data import told
from tests.support.panel_server import PanelServer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

NEW: dict[str, Any] = {
    "ready": False, "labels": 37, "positives": 4, "report": None, "challengers": None, "alarms": [], "hot_to_outcome": None,
}  # fmt: skip
LOOKS = [("zh-CN", "light", 360), ("en", "dark", 360), ("zh-CN", "dark", 1920), ("en", "light", 1920)]


def address(panel: PanelServer, lang: str = "zh-CN", theme: str = "light") -> str:
    return f"{panel.base}/model?token=t&lang={lang}&theme={theme}"


@pytest.mark.parametrize(("lang", "theme", "width"), LOOKS)
async def test_every_figure_stands_beside_the_baselines_and_nothing_leaves_the_page(
    panel: PanelServer, browse: OpenPage, screenshots: Path, lang: str, theme: str, width: int
) -> None:
    answer = told(frozen=True)
    panel.model = lambda: (200, answer)
    page = await browse(address(panel, lang, theme), width=width)
    rows = page.locator("main > section tbody tr")
    await expect(rows).to_have_count(6)
    shown = answer["report"]["columns"][0]
    assert (await rows.first.locator("td").all_inner_texts())[:2] == [
        f"{shown['roc_auc']:.3f}", f"{shown['pr_auc']:.3f}"
    ]  # fmt: skip
    await expect(rows.nth(3).locator("td.none-yet")).to_have_count(3)  # points are no probability
    await expect(page.locator(".model-sentence")).to_have_count(2)
    await expect(page.locator(".curve-point")).to_have_count(len(shown["curve"]))
    await expect(page.locator(".duel")).to_have_count(2)
    await expect(page.locator(".model-facts")).to_contain_text("7.3")
    assert await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    await page.screenshot(path=screenshots / f"model-{lang}-{theme}-{width}.png", full_page=True)


async def test_only_what_is_judged_over_the_same_outcomes_is_compared(
    panel: PanelServer, browse: OpenPage
) -> None:
    """The probability shown is missing where the model was not ready: over fewer rows it may look better than it is."""
    answer = told()
    shown, champion = answer["report"]["columns"][:2]
    champion["roc_auc"] = 0.61
    panel.model = lambda: (200, answer)
    page = await browse(address(panel))
    sentence = page.locator(".model-sentence")
    await expect(sentence).to_contain_text(f"显示的概率的 ROC AUC 为 {shown['roc_auc']:.3f}，高于所有基线")
    shown["labels"] -= 1
    await page.reload()
    await expect(sentence).to_contain_text("当前模型（未校准）的 ROC AUC 为 0.610，没有超过基线“只看分数”")
    await expect(page.locator("main")).to_contain_text("只有结果数相同的行可以直接相比")


async def test_a_version_of_another_outcome_is_told_with_both_outcomes(
    panel: PanelServer, browse: OpenPage
) -> None:
    answer = told(other_outcome="like within 90 seconds of a look at a viewer")
    panel.model = lambda: (200, answer)
    page = await browse(address(panel))
    await expect(page.locator(".model-sentence").nth(1)).to_have_text(
        "换上的版本原来学的不是现在配置的结果。请换上合适的版本、重新训练，或把结果配置改回去。"
    )
    for words in (answer["outcome"], answer["other_outcome"]):
        await expect(page.locator(".model-facts [lang=en]", has_text=words)).to_have_count(1)
    panel.model = lambda: (200, told())
    await page.reload()
    await expect(page.locator(".model-sentence")).to_have_count(1)
    await expect(page.locator(".model-facts [lang=en]")).to_have_count(1)


async def test_what_is_not_known_yet_says_so_in_words(panel: PanelServer, browse: OpenPage) -> None:
    panel.model = lambda: (200, told(**NEW))
    page = await browse(address(panel))
    await expect(page.locator(".model-sentence")).to_have_text(
        "数据不足：模型还在学习，现在不显示概率。已学 37 个结果，其中 4 个转化。"
    )
    await expect(page.locator("main section", has_text="数据不足")).to_have_count(2)
    await expect(page.locator("main")).not_to_contain_text("0.")
    await expect(page.locator("main")).to_contain_text("没有挑战者")
    await page.locator(".language").click()
    await expect(page.locator("h1")).to_have_text("Model")
    await expect(page.locator("main")).to_contain_text("Not enough data: no final outcomes yet")


@pytest.mark.parametrize(
    ("status", "answer", "title"),
    [
        (200, {"enabled": False}, "模型未启用"),
        (403, {}, "这个链接看不到模型"),
        (500, {}, "连不上 Frontrow"),
    ],
)
async def test_without_figures_the_page_says_what_to_do(
    panel: PanelServer, browse: OpenPage, status: int, answer: Any, title: str
) -> None:
    panel.model = lambda: (status, answer)
    page = await browse(address(panel), expects="Failed to load resource")
    await expect(page.locator(".full-title")).to_have_text(title)
    panel.model = lambda: (200, told(**NEW))
    if status != 200:
        await page.locator(".button").click()
        await expect(page.locator(".model-sentence")).to_be_visible()


async def test_figures_stay_and_say_their_age_when_the_daemon_is_gone(
    panel: PanelServer, browse: OpenPage
) -> None:
    panel.model = lambda: (200, told())
    page = await browse(address(panel), clock=True, expects="Failed to load resource")
    await expect(page.locator(".model-sentence")).to_be_visible()
    panel.model = lambda: (500, {})
    await page.clock.run_for(31_000)
    await expect(page.locator(".as-of")).to_contain_text("连不上 Frontrow")
    await expect(page.locator(".model-sentence")).to_be_visible()
