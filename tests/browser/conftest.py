"""The system's Chromium, one for all page tests, and pages that watch for what must never happen."""

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from tests.support.panel_server import PanelServer, panel_server

PATIENCE_MS = 10_000  # of whoever waits for a page, on a machine that is busy with others

# Without these Chromium looks its maker's hosts up at every start, on machines that may have no network.
QUIET_ARGUMENTS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-lcd-text",
]


def find_chromium() -> str | None:
    """Return the path of a Chromium: ``FRONTROW_CHROMIUM`` if set, else the first that the system has."""
    named = os.environ.get("FRONTROW_CHROMIUM")
    candidates = (
        [named] if named else ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
    )
    return next((found for name in candidates if (found := shutil.which(name))), None)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium on this machine (set FRONTROW_CHROMIUM, or install the package chromium)")
    # The sandbox refuses to start for root, and only then is it given up.
    arguments = [*QUIET_ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def panel() -> AsyncIterator[PanelServer]:
    async with panel_server() as server:
        yield server


@dataclass
class Watched:
    """A page and what it did that it must not do."""

    origin: str
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    expects: str | None = (
        None  # what the console may say: Chromium itself writes failures there that a test is about
    )

    def watch(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self._leaves(request.url))
        page.on("websocket", lambda link: self._leaves(link.url))
        page.on("dialog", lambda dialog: self.errors.append(f"dialog: {dialog.message}"))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        if self.expects is not None and self.expects in message.text:
            return
        self.errors.append(f"{message.type}: {message.text}")

    def _leaves(self, url: str) -> None:
        if urlsplit(url).netloc != urlsplit(self.origin).netloc:
            self.outside.append(url)


OpenPage = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture(loop_scope="session")
async def browse(chromium: Browser) -> AsyncIterator[OpenPage]:
    """Give ``await browse(url, width=360, height=720)``: a page of any server, each in a context of its own.

    Every page is held to: no console error, no uncaught error, no dialog, no request and no WebSocket to another
    origin than its own. ``clock=True`` gives the page a clock that the test moves (``page.clock``).
    """
    opened: list[tuple[Page, Watched]] = []

    async def open_one(
        url: str,
        *,
        width: int = 360,
        height: int = 720,
        clock: bool = False,
        expects: str | None = None,
        device: dict[str, Any] | None = None,
    ) -> Page:
        context = await chromium.new_context(
            viewport={"width": width, "height": height}, timezone_id="Asia/Shanghai", **(device or {})
        )
        context.set_default_timeout(PATIENCE_MS)
        page = await context.new_page()
        watched = Watched(url, expects=expects)
        watched.watch(page)
        if clock:
            await page.clock.install()
        opened.append((page, watched))
        await page.goto(url)
        return page

    yield open_one
    for page, watched in opened:
        await page.context.close()
        assert watched.errors == []
        assert watched.outside == []


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browse: OpenPage, panel: PanelServer) -> OpenPage:
    """Give ``await open_page(width=360, height=720, **options of the address)``: the scripted panel, by ``browse``."""

    async def open_one(
        *,
        room: str = "demo",
        width: int = 360,
        height: int = 720,
        clock: bool = False,
        expects: str | None = None,
        device: dict[str, Any] | None = None,
        **query: object,
    ) -> Page:
        return await browse(
            panel.page(room, **query), width=width, height=height, clock=clock, expects=expects, device=device
        )

    return open_one


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Return the folder for pictures: ``FRONTROW_SCREENSHOTS``, by default ``out/screenshots``."""
    folder = Path(os.environ.get("FRONTROW_SCREENSHOTS", "out/screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
