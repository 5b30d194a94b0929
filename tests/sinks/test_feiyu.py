"""飞鱼 hears what became of its leads: signed, in its own states, the later word after the earlier one."""

import json
from typing import Any

import msgspec
import pytest
from tests.support.alerts import DECIDED_AT, an_alert
from tests.support.http_server import Reply, ScriptedServer

from frontrow.core.alerts import LeadFeedback
from frontrow.core.errors import SinkBusy, SinkRefused
from frontrow_connectors.feiyu.decoder import signature
from frontrow_connectors.sinks import feiyu
from frontrow_connectors.sinks.contract import Delivery, Sink, SinkContext
from frontrow_connectors.sinks.feiyu.options import FeiyuSinkOptions

KEY, TOKEN = "key-of-tests", "token-of-tests"
OK = Reply(200, b'{"status": "success", "count": 0}')


def opened(server: ScriptedServer, context: SinkContext, **more: Any) -> Sink:
    server.otherwise = OK
    values = {"api_url": server.url, "signature_key": KEY, "access_token": TOKEN} | more
    return feiyu.SINK.open(msgspec.convert(values, FeiyuSinkOptions), context)


def outcome(
    code: str = "won", state: str | None = "285", at: int = DECIDED_AT, clue: str = "7001"
) -> Delivery:
    told = LeadFeedback(clue=clue, outcome=code, state=state)
    return Delivery("f:1", an_alert("U1", purpose="feedback", feedback=told, at=at), 1)


async def test_an_outcome_is_told_signed_and_names_nobody(
    server: ScriptedServer, context: SinkContext
) -> None:
    assert await opened(server, context).deliver([outcome()]) == "7001=285"
    [request] = server.requests
    now_s = context.clock.now() // 1_000
    assert (request.method, request.path, request.query) == ("POST", "/crm/v2/openapi/clue/callback/", {})
    assert request.headers["timestamp"] == str(now_s)
    assert request.headers["access-token"] == TOKEN
    assert request.headers["signature"] == signature(f"/crm/v2/openapi/clue/callback/ {now_s}", KEY)
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {"source": 0, "data": {"clue_id": "7001", "clue_convert_state": 285}}


async def test_what_is_configured_goes_before_the_pack(server: ScriptedServer, context: SinkContext) -> None:
    sink = opened(server, context, states={"won": 3, "no_answer": 0, "no_time": 4})
    assert await sink.deliver([outcome()]) == "7001=3"
    assert await sink.deliver([outcome("no_answer", "194")]) is None
    assert await sink.deliver([outcome("no_time", None)]) == "7001=4"
    assert await sink.deliver([outcome("odd", None)]) is None, "nobody says what that is there"
    assert [json.loads(each.body)["data"]["clue_convert_state"] for each in server.requests] == [3, 4]


async def test_what_waited_does_not_take_back_what_came_later(
    server: ScriptedServer, context: SinkContext
) -> None:
    """The first word failed and is tried again after the second has gone out."""
    sink = opened(server, context)
    server.script.append(Reply(503))
    with pytest.raises(SinkBusy):
        await sink.deliver([outcome("interested", "194", DECIDED_AT)])
    assert await sink.deliver([outcome("won", "285", DECIDED_AT + 1)]) == "7001=285"
    assert await sink.deliver([outcome("interested", "194", DECIDED_AT)]) == "superseded"
    assert await sink.deliver([outcome("interested", "194", DECIDED_AT, clue="7002")]) == "7002=194"
    assert await sink.deliver([outcome("won", "285", DECIDED_AT + 1)]) == "7001=285", (
        "said again, as after a crash"
    )
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ('{"status": -2, "msg": "签名错误"}', SinkRefused),
        ('{"status": -1, "msg": "missing params"}', SinkBusy),
        ("<html>", SinkBusy),
        ("[1]", SinkBusy),
    ],
)
async def test_an_answer_that_is_no_success_says_whether_to_come_again(
    server: ScriptedServer, context: SinkContext, answer: str, error: type[Exception]
) -> None:
    sink = opened(server, context)
    server.script.append(Reply(200, answer.encode()))
    with pytest.raises(error):
        await sink.deliver([outcome()])


async def test_a_state_that_is_no_number_is_the_packs_mistake(
    server: ScriptedServer, context: SinkContext
) -> None:
    with pytest.raises(SinkRefused, match="no number"):
        await opened(server, context).deliver([outcome(state="PAID")])
    assert server.requests == []
