"""The DingTalk robot: its signature, its words, and ten minutes of silence where it asks for them."""

import json
from urllib.parse import quote

import msgspec
import pytest
from tests.support.alerts import an_alert
from tests.support.clock import ManualClock
from tests.support.http_server import Reply, ScriptedServer

from frontrow.core.errors import SinkBusy, SinkRefused
from frontrow_connectors.sinks import dingtalk
from frontrow_connectors.sinks.contract import Delivery, Sink, SinkContext
from frontrow_connectors.sinks.dingtalk.options import DingTalkOptions
from frontrow_connectors.sinks.dingtalk.sink import DIGEST_SIZE, MAX_BODY_BYTES, sign

OK = Reply(body=b'{"errcode":0,"errmsg":"ok"}')


@pytest.fixture
def sink(server: ScriptedServer, context: SinkContext) -> Sink:
    server.otherwise = OK
    options = DingTalkOptions(token="T0", secret="SECabc", url=f"{server.url}/robot/send", timeout_s=1.0)
    return dingtalk.SINK.open(options, context)


def deliveries(count: int = 1, **changes: object) -> list[Delivery]:
    return [Delivery(f"L{n}:dingtalk", an_alert(f"L{n}", **changes), 1) for n in range(count)]


def test_the_signature_is_that_of_the_vector() -> None:
    assert quote(sign(1_700_000_000_000, "SECabc"), safe="") == (
        "jcUpW0QmtKduN03n4JqQ0PBosVjqnM8gU7fIIvsDmCM%3D"
    )


async def test_a_lead_is_a_signed_markdown_message(
    sink: Sink, server: ScriptedServer, clock: ManualClock
) -> None:
    await sink.deliver(deliveries(words="这款多少钱"))
    request = server.requests[0]
    now = clock.now()
    assert (request.method, request.path) == ("POST", "/robot/send")
    assert request.query == {"access_token": "T0", "timestamp": str(now), "sign": sign(now, "SECabc")}
    message = json.loads(request.body)
    assert message["msgtype"] == "markdown" and message["at"] == {"isAtAll": False}
    assert message["markdown"]["title"] == "🔥 热 · 小＊＊花 · 92分"
    assert message["markdown"]["text"].split("  \n") == [
        '<font color="#FF7F00">🔥 热</font> **小＊＊花** · 92分 · 成交概率 38%',
        "> 理由：点链接 · 问价×3 · 停留18分",
        "> 直播间：[新车首发](https://front.example/host/demo)",
        "> 原话：「这款多少钱」",
        "> 线索：`L0` · 刚刚",
    ]


async def test_a_robot_without_a_secret_sends_no_signature(
    server: ScriptedServer, context: SinkContext
) -> None:
    server.otherwise = OK
    await dingtalk.SINK.open(DingTalkOptions(token="T0", url=server.url), context).deliver(deliveries())
    assert server.requests[0].query == {"access_token": "T0"}


@pytest.mark.parametrize("text", ['"' * 4_000, "👩\u200d👧" * 1_000, "很长的话" * 1_000])
async def test_no_message_is_longer_than_dingtalk_takes(
    sink: Sink, server: ScriptedServer, text: str
) -> None:
    for count in (1, DIGEST_SIZE):
        await sink.deliver(deliveries(count, words=text, name=text, room_title=text, product=text))
    assert max(len(request.body) for request in server.requests) <= MAX_BODY_BYTES
    title = json.loads(server.requests[1].body)["markdown"]["title"]
    assert title == "15 位高意向观众"


@pytest.mark.parametrize(("code", "wait_s"), [(130101, 600.0), (410100, 600.0), (-1, None)])
async def test_who_was_too_fast_is_silent_for_ten_minutes(
    sink: Sink, server: ScriptedServer, code: int, wait_s: float | None
) -> None:
    server.script.append(Reply(body=b'{"errcode":%d,"errmsg":"send too fast"}' % code))
    with pytest.raises(SinkBusy, match=f"errcode {code}") as busy:
        await sink.deliver(deliveries())
    assert busy.value.retry_after_s == wait_s


@pytest.mark.parametrize(
    ("code", "reason"),
    [(310000, "security check failed"), (400101, "token is not known"), (400102, "switched off"), (430101, "refuses")],
)  # fmt: skip
async def test_what_a_person_must_mend_is_said_without_dingtalks_own_words(
    sink: Sink, server: ScriptedServer, code: int, reason: str
) -> None:
    server.script.append(
        Reply(body=b'{"errcode":%d,"errmsg":"ip 192.0.2.1 not in whitelist, more: T0"}' % code)
    )
    with pytest.raises(SinkRefused, match=f"errcode {code}: .*{reason}") as refused:
        await sink.deliver(deliveries())
    assert "192.0.2.1" not in refused.value.reason and "T0" not in refused.value.reason


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "token"),
        ({"token": "https://oapi.dingtalk.com/robot/send?access_token=abc"}, "only what stands behind"),
        ({"token": "abc", "url": "oapi.dingtalk.com"}, "https://"),
    ],
)
def test_mistaken_options_are_named_without_the_token(options: dict[str, object], reason: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=reason) as error:
        msgspec.convert(options, DingTalkOptions)
    assert "=abc" not in str(error.value)
