"""What the sinks' tests share: a real server, a client, and time in hand."""

from collections.abc import AsyncIterator

import httpx
import pytest
from tests.support.clock import ManualClock
from tests.support.http_server import ScriptedServer, scripted_server

from frontrow_connectors.sinks.contract import SinkContext


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def context(clock: ManualClock) -> AsyncIterator[SinkContext]:
    async with httpx.AsyncClient() as http:
        yield SinkContext(
            sink="test", clock=clock, http=http, base_url="https://front.example", language="zh-CN"
        )
