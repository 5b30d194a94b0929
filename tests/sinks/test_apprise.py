"""Apprise: in a thread with a deadline, one message at a time, and a sentence where it is not there."""

import asyncio
import importlib.util
import json
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from tests.support.alerts import an_alert
from tests.support.clock import ManualClock
from tests.support.http_server import Reply, ScriptedServer

from frontrow.core.errors import ConfigError, SinkBusy
from frontrow_connectors.sinks import apprise
from frontrow_connectors.sinks.apprise.options import AppriseOptions
from frontrow_connectors.sinks.apprise.sink import AppriseSink
from frontrow_connectors.sinks.contract import Delivery, SinkContext


def deliveries(count: int = 1) -> list[Delivery]:
    return [Delivery(f"L{n}:mail", an_alert(f"L{n}", words="多少钱"), 1) for n in range(count)]


class Stuck:
    """A service that answers when it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.calls = 0

    def notify(self, **message: Any) -> bool:
        self.calls += 1
        return self.let_go.wait(20)


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    service = Stuck()
    yield service
    service.let_go.set()


async def test_a_service_gets_title_and_text_without_markup(
    server: ScriptedServer, context: SinkContext
) -> None:
    options = AppriseOptions(url=server.url.replace("http", "json") + "/hook")
    await apprise.SINK.open(options, context).deliver(deliveries())
    message = json.loads(server.requests[0].body)
    assert message["title"] == "🔥 热 · 小＊＊花 · 92分"
    assert message["message"].splitlines() == [
        "🔥 热 小＊＊花 · 92分 · 成交概率 38%",
        "理由：点链接 · 问价×3 · 停留18分",
        "直播间：新车首发 https://front.example/host/demo",
        "原话：「多少钱」",
        "线索：L0 · 刚刚",
    ]


async def test_what_takes_too_long_is_given_up_and_no_second_is_begun_meanwhile(
    context: SinkContext, clock: ManualClock, stuck: Stuck
) -> None:
    sink = AppriseSink(AppriseOptions(url="json://127.0.0.1:9", timeout_s=8.0), context)
    sink._service = stuck
    sending = asyncio.ensure_future(sink.deliver(deliveries()))
    await clock.until_sleeping()
    await clock.advance(8.0)
    with pytest.raises(SinkBusy, match="no answer within 8 s"):
        await sending
    with pytest.raises(SinkBusy, match="still on its way"):
        await sink.deliver(deliveries())
    assert stuck.calls == 1
    stuck.let_go.set()
    assert await asyncio.to_thread(sink._ended.wait, 5)
    await sink.deliver(deliveries())
    assert stuck.calls == 2
    await sink.close()


async def test_an_error_of_a_plugin_is_trouble_that_names_nothing(context: SinkContext) -> None:
    class Broken:
        def notify(self, **message: Any) -> bool:
            raise TypeError("token-of-somebody")

    sink = AppriseSink(AppriseOptions(url="json://127.0.0.1:9"), context)
    sink._service = Broken()
    with pytest.raises(SinkBusy, match="^Apprise failed$"):
        await sink.deliver(deliveries())


async def test_nothing_that_apprise_logs_is_shown(
    server: ScriptedServer, context: SinkContext, caplog: pytest.LogCaptureFixture
) -> None:
    server.otherwise = Reply(500)
    sink = apprise.SINK.open(AppriseOptions(url=server.url.replace("http", "json") + "/tok3n"), context)
    with pytest.raises(SinkBusy, match="did not take it"):
        await sink.deliver(deliveries())
    assert not caplog.records


def test_a_service_that_apprise_does_not_know_is_a_mistake_of_the_configuration(context: SinkContext) -> None:
    with pytest.raises(ConfigError, match=r"sinks.test.url: Apprise knows no such service") as error:
        apprise.SINK.open(AppriseOptions(url="nosuch://abc-token"), context)
    assert "abc-token" not in str(error.value)


def test_without_apprise_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(msgspec.ValidationError, match=r"pip install 'frontrow\[apprise\]'"):
        msgspec.convert({"url": "json://x"}, AppriseOptions)


def test_an_address_of_another_kind_is_named_without_it() -> None:
    with pytest.raises(msgspec.ValidationError, match="service://") as error:
        msgspec.convert({"url": "abc-token"}, AppriseOptions)
    assert "abc-token" not in str(error.value)
