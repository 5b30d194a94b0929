"""The Feishu robot: its signature in the body, its card, and codes that come with 200 and with 400."""

import json

import msgspec
import pytest
from tests.support.alerts import an_alert
from tests.support.clock import ManualClock
from tests.support.http_server import Reply, ScriptedServer

from frontrow.core.errors import SinkBusy, SinkRefused
from frontrow_connectors.sinks import feishu
from frontrow_connectors.sinks.contract import Delivery, Sink, SinkContext
from frontrow_connectors.sinks.feishu.options import FeishuOptions
from frontrow_connectors.sinks.feishu.sink import DIGEST_SIZE, MAX_BODY_BYTES, sign

OK = Reply(body=b'{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}')


@pytest.fixture
def sink(server: ScriptedServer, context: SinkContext) -> Sink:
    server.otherwise = OK
    options = FeishuOptions(token="T0", secret="abc", url=f"{server.url}/hook/", timeout_s=1.0)
    return feishu.SINK.open(options, context)


def deliveries(count: int = 1, **changes: object) -> list[Delivery]:
    return [Delivery(f"L{n}:feishu", an_alert(f"L{n}", **changes), 1) for n in range(count)]


def test_the_signature_is_that_of_the_vector() -> None:
    assert sign(1_700_000_000, "abc") == "VIS10b0EBvzzSdFnuk4tznEmK5wHaruvf/WnViv2yR4="


async def test_a_lead_is_a_card_signed_in_the_body(
    sink: Sink, server: ScriptedServer, clock: ManualClock
) -> None:
    await sink.deliver(deliveries())
    request = server.requests[0]
    assert (request.method, request.path, request.query) == ("POST", "/hook/T0", {})
    message = json.loads(request.body)
    now_s = clock.now() // 1_000
    assert (message["timestamp"], message["sign"]) == (str(now_s), sign(now_s, "abc"))
    assert message["msg_type"] == "interactive"
    card = message["card"]
    assert card["header"]["title"] == {"tag": "plain_text", "content": "🔥 热 · 小＊＊花 · 92分"}
    assert card["elements"][0]["content"].splitlines() == [
        "<font color='red'>🔥 热</font> **小＊＊花** · 92分 · 成交概率 38%",
        "理由：点链接 · 问价×3 · 停留18分",
        "直播间：[新车首发](https://front.example/host/demo)",
        "线索：L0 · 刚刚",
    ]


async def test_a_robot_without_a_secret_sends_no_signature(
    server: ScriptedServer, context: SinkContext
) -> None:
    server.otherwise = OK
    await feishu.SINK.open(FeishuOptions(token="T0", url=server.url), context).deliver(deliveries())
    assert {"timestamp", "sign"}.isdisjoint(json.loads(server.requests[0].body))


async def test_a_viewer_can_mention_nobody(sink: Sink, server: ScriptedServer) -> None:
    await sink.deliver(deliveries(name="<at id=all></at>", words="<at user_id=ou_1>x</at>"))
    assert b"<at" not in server.requests[0].body


@pytest.mark.parametrize("text", ['"' * 4_000, "👩\u200d👧" * 1_000, "很长的话" * 1_000])
async def test_no_message_is_longer_than_feishu_takes(sink: Sink, server: ScriptedServer, text: str) -> None:
    for count in (1, DIGEST_SIZE):
        await sink.deliver(deliveries(count, words=text, name=text, room_title=text, product=text))
    assert max(len(request.body) for request in server.requests) <= MAX_BODY_BYTES
    header = json.loads(server.requests[1].body)["card"]["header"]
    assert header["title"]["content"] == "15 位高意向观众"


async def test_too_often_waits_for_the_longer_window(sink: Sink, server: ScriptedServer) -> None:
    server.script.append(Reply(body=b'{"code":11232,"msg":"frequency limited"}'))
    with pytest.raises(SinkBusy, match="code 11232") as busy:
        await sink.deliver(deliveries())
    assert busy.value.retry_after_s == 60.0


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (9499, "cannot read"),
        (19001, "token is not known"),
        (19021, "signature does not fit"),
        (19022, "address is not among"),
        (19024, "keyword"),
        (12345, "refuses"),
    ],
)
async def test_what_a_person_must_mend_is_said_in_words(
    sink: Sink, server: ScriptedServer, status: int, code: int, reason: str
) -> None:
    server.script.append(Reply(status, b'{"code":%d,"msg":"bad thing from 192.0.2.1"}' % code))
    with pytest.raises(SinkRefused, match=f"code {code}: .*{reason}") as refused:
        await sink.deliver(deliveries())
    assert "192.0.2.1" not in refused.value.reason


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "token"),
        ({"token": "https://open.feishu.cn/open-apis/bot/v2/hook/abc"}, "only the last part"),
        ({"token": "abc", "url": "open.feishu.cn"}, "https://"),
    ],
)
def test_mistaken_options_are_named_without_the_token(options: dict[str, object], reason: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=reason) as error:
        msgspec.convert(options, FeishuOptions)
    assert "hook/abc" not in str(error.value)
