"""The WeCom robot: what it posts, and that only `errcode` 0 counts as taken."""

import json

import msgspec
import pytest
from tests.support.alerts import an_alert
from tests.support.http_server import Failure, Reply, ScriptedServer

from frontrow.core.errors import SinkBusy, SinkRefused
from frontrow_connectors.sinks import wecom
from frontrow_connectors.sinks.contract import Delivery, Sink, SinkContext
from frontrow_connectors.sinks.registry import SINKS
from frontrow_connectors.sinks.wecom.options import WeComOptions

KEY = "693a91f6-7aoc-4bc4-97a0-0ec2sifa5aaa"
OK = Reply(body=b'{"errcode":0,"errmsg":"ok"}')


@pytest.fixture
def sink(server: ScriptedServer, context: SinkContext) -> Sink:
    server.otherwise = OK
    return wecom.SINK.open(
        WeComOptions(key=KEY, url=f"{server.url}/cgi-bin/webhook/send", timeout_s=1.0), context
    )


def deliveries(count: int = 1, **changes: object) -> list[Delivery]:
    return [Delivery(f"L{n}:wecom", an_alert(f"L{n}", **changes), 1) for n in range(count)]


async def test_one_lead_is_posted_as_a_markdown_card(sink: Sink, server: ScriptedServer) -> None:
    await sink.deliver(deliveries())
    request = server.requests[0]
    assert (request.method, request.path, request.query) == ("POST", "/cgi-bin/webhook/send", {"key": KEY})
    assert request.headers["content-type"] == "application/json"
    message = json.loads(request.body)
    assert message["msgtype"] == "markdown"
    lines = message["markdown"]["content"].splitlines()
    assert lines[0] == '<font color="warning">🔥 热</font> **小＊＊花** · 92分 · 成交概率 38%'
    assert lines[-1] == "> 线索：`L0` · 刚刚"


async def test_several_leads_are_posted_as_one_digest(sink: Sink, server: ScriptedServer) -> None:
    await sink.deliver(deliveries(15, name="很长的名字" * 30, words="很长的话" * 300))
    assert len(server.requests) == 1
    content = json.loads(server.requests[0].body)["markdown"]["content"]
    assert content.startswith("**15 位高意向观众**")
    assert all(f"`L{number}`" in content for number in range(15))
    assert len(content.encode()) <= 4_096


@pytest.mark.parametrize("words", ["很长的话" * 1_000, "👩\u200d👧" * 1_000, "a" * 4_096])
async def test_no_card_exceeds_what_wecom_takes(sink: Sink, server: ScriptedServer, words: str) -> None:
    await sink.deliver(deliveries(words=words, name=words[:256], room_title=words[:256]))
    assert len(json.loads(server.requests[0].body)["markdown"]["content"].encode()) <= 4_096


@pytest.mark.parametrize(
    ("answer", "reason", "retry_after_s"),
    [
        (Reply(body=b'{"errcode":45009,"errmsg":"api freq out of limit"}'), "errcode 45009", 60.0),
        (Reply(body=b'{"errcode":45033,"errmsg":"concurrent"}'), "errcode 45033", 60.0),
        (Reply(body=b'{"errcode":-1,"errmsg":"system busy"}'), "errcode -1", None),
        (Reply(500), "HTTP 500", None),
        (Reply(503, headers={"retry-after": "7"}), "HTTP 503", 7.0),
        (Reply(429, headers={"retry-after": "30"}), "HTTP 429", 30.0),
        (Reply(200, b"<html>please log in</html>"), "not WeCom's", None),
        (Reply(200, b'{"errcode":"0"}'), "not WeCom's", None),
        (Reply(200, b""), "not WeCom's", None),
        (Reply(200, b"\xff\xfe"), "not WeCom's", None),
        (Reply(200, b"[" * 200_000), "not WeCom's", None),
        (Failure.HANG, "no answer in time", None),
        (Failure.DROP, "connection failed", None),
        (Failure.BREAK_OFF, "connection failed", None),
        (Failure.GARBAGE, "connection failed", None),
    ],
)
async def test_what_passes_is_tried_again(
    sink: Sink, server: ScriptedServer, answer: Reply | Failure, reason: str, retry_after_s: float | None
) -> None:
    server.script.append(answer)
    with pytest.raises(SinkBusy) as busy:
        await sink.deliver(deliveries())
    assert reason in busy.value.reason
    assert busy.value.retry_after_s == retry_after_s
    assert KEY not in busy.value.reason and "127.0.0.1" not in busy.value.reason
    await sink.deliver(deliveries())  # the sink itself is unharmed


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Reply(body=b'{"errcode":93000,"errmsg":"invalid webhook url, from ip: 192.0.2.1"}'), "errcode 93000: the robot's key"),
        (Reply(body=b'{"errcode":40058,"errmsg":"markdown.content exceed max length"}'), "errcode 40058"),
        (Reply(404), "HTTP 404"),
        (Reply(302, headers={"location": "http://127.0.0.1:9/"}), "redirects are not followed"),
    ],
)  # fmt: skip
async def test_what_stays_wrong_is_refused(
    sink: Sink, server: ScriptedServer, answer: Reply, reason: str
) -> None:
    server.script.append(answer)
    with pytest.raises(SinkRefused) as refused:
        await sink.deliver(deliveries())
    assert reason in refused.value.reason
    assert "192.0.2.1" not in refused.value.reason
    assert len(server.requests) == 1


async def test_a_server_that_is_not_there_is_busy(context: SinkContext) -> None:
    sink = wecom.SINK.open(WeComOptions(key=KEY, url="http://127.0.0.1:1/send"), context)
    with pytest.raises(SinkBusy, match="connection failed"):
        await sink.deliver(deliveries())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "key"),
        ({"key": ""}, "length"),
        ({"key": "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=abc"}, "only what stands behind"),
        ({"key": "abc", "url": "qyapi.weixin.qq.com"}, "https://"),
        ({"key": "abc", "url": "ftp://example"}, "https://"),
        ({"key": "abc", "timeout_s": 0}, "timeout_s"),
        ({"key": "abc", "kee": "abc"}, "kee"),
    ],
)
def test_mistaken_options_are_named_without_the_key(options: dict[str, object], reason: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=reason) as error:
        msgspec.convert(options, WeComOptions)
    assert "=abc" not in str(error.value)


def test_the_registry_knows_the_sinks_by_name_and_their_limits() -> None:
    limits = {
        name: (kind.per_minute, kind.per_second, kind.per_member, kind.digest_size)
        for name, kind in SINKS.items()
    }
    assert limits == {
        "wecom": (20, None, None, 15),
        "dingtalk": (20, None, None, 15),
        "feishu": (100, 5, None, 15),
        "apprise": (20, None, None, 10),
        "wecom_app": (None, None, 30, 1),
        "sms": (None, None, 5, 1),
        "webhook": (None, None, None, 1),
        "crm": (None, None, None, 1),
        "feiyu": (None, None, None, 1),
    }
