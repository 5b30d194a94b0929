"""The WeCom application: a to-do that one seller understands, and a token that is asked for only when it is needed."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.support.alerts import DECIDED_AT, an_alert
from tests.support.clock import ManualClock
from tests.support.http_server import Reply, Request, ScriptedServer

from frontrow.core.alerts import Addressee, LeadAlert
from frontrow.core.errors import SinkBusy, SinkRefused
from frontrow_connectors.sinks import wecom_app
from frontrow_connectors.sinks.contract import Delivery, Sink, SinkContext
from frontrow_connectors.sinks.wecom_app.options import WeComAppOptions
from frontrow_connectors.sinks.wecom_app.sink import MAX_CONTENT_BYTES

LEE = Addressee(seller="lee", wecom="LiLei")
SENT = b'{"errcode":0,"errmsg":"ok","invaliduser":"","msgid":"m-1"}'


class Company:
    """Answers as WeCom does: gives tokens that live 7,200 s, and takes messages with the newest."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.tokens = 0
        self.says: list[bytes] = []  # to messages, before it says yes
        server.on_request = self._answer

    def _answer(self, request: Request) -> None:
        if request.path == "/cgi-bin/gettoken":
            assert request.query == {"corpid": "ww1", "corpsecret": "S3cret"}
            self.tokens += 1
            body = b'{"errcode":0,"errmsg":"ok","access_token":"T%d","expires_in":7200}' % self.tokens
        elif self.says:
            body = self.says.pop(0)
        elif request.query == {"access_token": f"T{self.tokens}"}:
            body = SENT
        else:
            body = b'{"errcode":40014,"errmsg":"invalid access_token"}'
        self.server.otherwise = Reply(body=body)

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(each.body) for each in self.server.requests if each.path.endswith("/message/send")]


@pytest.fixture
def company(server: ScriptedServer) -> Company:
    return Company(server)


@pytest.fixture
def make(server: ScriptedServer, context: SinkContext) -> Callable[[], Sink]:
    options = WeComAppOptions(corp_id="ww1", agent_id=7, secret="S3cret", url=server.url, timeout_s=3.0)
    return lambda: wecom_app.SINK.open(options, context)


@pytest.fixture
def sink(make: Callable[[], Sink]) -> Sink:
    return make()


def todo(**changes: Any) -> LeadAlert:
    return an_alert(
        "L42",
        **{
            "purpose": "todo",
            "to": LEE,
            "due_at": DECIDED_AT + 300_000,
            "product": "SU7 Max",
            "words": "这款多少钱",
            "region": "浙江 杭州",
            "quality": "Q3",
        }
        | changes,
    )


def delivery(alert: LeadAlert | None = None) -> Delivery:
    return Delivery("sellers:L42", alert or todo(), 1)


async def test_a_to_do_says_what_a_seller_must_know_and_where_to_go(
    sink: Sink, company: Company, clock: ManualClock
) -> None:
    await clock.advance(30)
    assert await sink.deliver([delivery()]) == "m-1"
    [message] = company.messages
    content = message.pop("markdown")["content"]
    assert message == {
        "touser": "LiLei",
        "msgtype": "markdown",
        "agentid": 7,
        "enable_duplicate_check": 1,
        "duplicate_check_interval": 1_800,
    }
    assert content.splitlines() == [
        '📌 待跟进 · <font color="warning">🔥 热</font> · **小＊＊花** · 92分 · 成交概率 38%',
        "> 首次联系：23:11:40 前（还剩4分30秒）",
        "> 理由：点链接 · 问价×3 · 停留18分",
        "> 直播间：[新车首发](https://front.example/host/demo)",
        "> 原话：「这款多少钱」",
        "> 商品：SU7 Max",
        "> 地区：浙江 杭州",
        "> 质量：Q3",
        "> 线索：`L42` · 30秒前",
        "[打开线索](https://front.example/sales#L42)",
    ]


@pytest.mark.parametrize(
    ("changes", "zh", "en"),
    [
        ({"purpose": "nudge"}, ["⏰ 即将超时", "还剩5分00秒"], ["⏰ Nearly late", "5 min 00 s left"]),
        (
            {"purpose": "escalation", "due_at": DECIDED_AT - 20_000, "holder": "kim", "cause": "seller_no_claim"},
            ["⚠️ 已超时", "已超20秒", "当前销售：kim", "原因：销售没有领取"],
            ["⚠️ Late", "20 s over", "Seller: kim", "Cause: the seller did not claim it"],
        ),
        (
            {"purpose": "approval", "holder": "kim", "due_at": DECIDED_AT + 7_500_000},
            ["✋ 等你确认", "建议分给：kim", "还剩2小时05分"],
            ["✋ Waits for you", "Proposed seller: kim", "2 h 05 min left"],
        ),
        ({"cause": "a_new_cause"}, ["原因：a＿new＿cause"], ["Cause: a＿new＿cause"]),
    ],
)  # fmt: skip
async def test_every_purpose_has_its_words_in_both_languages(
    sink: Sink,
    company: Company,
    server: ScriptedServer,
    context: SinkContext,
    changes: dict[str, Any],
    zh: list[str],
    en: list[str],
) -> None:
    await sink.deliver([delivery(todo(**changes))])
    options = WeComAppOptions(corp_id="ww1", agent_id=7, secret="S3cret", url=server.url)
    await wecom_app.SINK.open(options, replace(context, language="en")).deliver([delivery(todo(**changes))])
    contents = [message["markdown"]["content"] for message in company.messages]
    for content, words in zip(contents, (zh, en), strict=True):
        assert [word for word in words if word not in content] == []


@pytest.mark.parametrize(
    ("zone", "shown"), [("America/Los_Angeles", "08:11:40 前"), ("Nowhere/At_All", "首次联系：还剩")]
)
async def test_times_are_those_of_the_sellers_own_zone(
    sink: Sink, company: Company, zone: str, shown: str
) -> None:
    await sink.deliver([delivery(todo(to=Addressee(seller="lee", wecom="LiLei", timezone=zone)))])
    assert shown in company.messages[0]["markdown"]["content"]


@pytest.mark.parametrize("text", ["很长的话" * 1_000, "👩\u200d👧" * 1_000])
async def test_a_to_do_fits_and_keeps_deadline_lead_and_link(sink: Sink, company: Company, text: str) -> None:
    await sink.deliver([delivery(todo(words=text, name=text, room_title=text, product=text, region=text))])
    content = company.messages[0]["markdown"]["content"]
    assert len(content.encode()) <= MAX_CONTENT_BYTES
    assert "前（还剩5分00秒）" in content
    assert content.endswith("[打开线索](https://front.example/sales#L42)")


async def test_one_token_serves_many_messages_until_shortly_before_its_end(
    sink: Sink, company: Company, clock: ManualClock
) -> None:
    for _ in range(3):
        await sink.deliver([delivery()])
    assert company.tokens == 1
    await clock.advance(7_200 - 301)
    await sink.deliver([delivery()])
    assert company.tokens == 1
    await clock.advance(2)
    await sink.deliver([delivery()])
    assert (company.tokens, len(company.messages)) == (2, 5)


@pytest.mark.parametrize("code", [40001, 40014, 42001])
async def test_a_token_that_was_taken_back_is_renewed_once_and_the_message_goes(
    sink: Sink, company: Company, code: int
) -> None:
    await sink.deliver([delivery()])
    company.says = [b'{"errcode":%d,"errmsg":"token"}' % code]
    assert await sink.deliver([delivery()]) == "m-1"
    assert (company.tokens, len(company.messages)) == (2, 3)


async def test_a_token_that_is_never_right_ends_the_message_and_asks_no_more(
    sink: Sink, company: Company
) -> None:
    company.says = [b'{"errcode":40014,"errmsg":"token"}'] * 2
    with pytest.raises(SinkRefused, match="errcode 40014"):
        await sink.deliver([delivery()])
    assert company.tokens == 2


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"errcode":60020,"errmsg":"not allow to access from your ip, from ip: 192.0.2.1"}', "trusted addresses"),
        (b'{"errcode":81013,"errmsg":"user & party & tag all invalid"}', "errcode 81013: the member is not known"),
        (b'{"errcode":0,"errmsg":"ok","invaliduser":"lilei"}', "the member is not known"),
        (b'{"errcode":0,"errmsg":"ok","unlicenseduser":"lilei"}', "no licence"),
        (b'{"errcode":40056,"errmsg":"invalid agentid"}', "agent_id"),
        (b'{"errcode":99999,"errmsg":"?"}', "errcode 99999: WeCom refuses"),
    ],
)  # fmt: skip
async def test_what_a_person_must_mend_is_said_in_clear_words(
    sink: Sink, company: Company, body: bytes, reason: str
) -> None:
    company.says = [body]
    with pytest.raises(SinkRefused, match=reason) as refused:
        await sink.deliver([delivery()])
    assert "192.0.2.1" not in refused.value.reason


async def test_too_often_waits_for_a_minute(sink: Sink, company: Company) -> None:
    company.says = [b'{"errcode":45009,"errmsg":"api freq out of limit"}']
    with pytest.raises(SinkBusy, match="45009") as busy:
        await sink.deliver([delivery()])
    assert busy.value.retry_after_s == 60.0


@pytest.mark.parametrize(
    "body",
    [b"<html>", b'{"errcode":0}', b'{"errcode":0,"access_token":"","expires_in":7200}', b'{"errcode":0,"access_token":"T"}'],
)  # fmt: skip
async def test_an_answer_that_is_no_token_is_asked_for_again_later(
    sink: Sink, server: ScriptedServer, body: bytes
) -> None:
    server.script.append(Reply(body=body))
    with pytest.raises(SinkBusy, match="not WeCom's"):
        await sink.deliver([delivery()])
    assert len(server.requests) == 1


async def test_a_seller_without_a_userid_is_named(sink: Sink, company: Company) -> None:
    with pytest.raises(SinkRefused, match="seller lee has no WeCom userid"):
        await sink.deliver([delivery(todo(to=Addressee(seller="lee", mobile="+8613800138000")))])
    assert company.tokens == 0
