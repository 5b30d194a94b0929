"""A CRM gets each lead in its own fields, by a mapping and without code."""

import json
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest
from tests.support.alerts import DECIDED_AT, an_alert
from tests.support.clock import ManualClock
from tests.support.http_server import Reply, ScriptedServer

from frontrow.core.alerts import Addressee
from frontrow_connectors.sinks import crm
from frontrow_connectors.sinks.contract import Delivery, SinkContext
from frontrow_connectors.sinks.crm.options import CrmOptions
from frontrow_connectors.sinks.outward import FIELDS, fields


def options(url: str = "https://crm.example", **changes: Any) -> CrmOptions:
    return msgspec.convert({"url": url, "fields": {"id": "lead"}} | changes, CrmOptions)


def delivery(**changes: Any) -> Delivery:
    return Delivery("crm:L1", an_alert("L1", **changes), 1)


async def test_the_crm_gets_its_own_fields_and_what_always_stands_there(
    server: ScriptedServer, context: SinkContext
) -> None:
    wanted = options(
        f"{server.url}/api/leads?tenant=3",
        fields={"external_id": "lead", "contact.name": "name", "contact.area": "region", "when": "decided_at"}
        | {"remark": "summary", "event": "event", "page": "url"},
        fixed={"source": "live", "channel.id": 7, "channel.paid": True},
        token="abc",
    )
    await crm.SINK.open(wanted, context).deliver([delivery(region="浙江 杭州")])
    request = server.requests[0]
    assert (request.method, request.path, request.query) == ("POST", "/api/leads", {"tenant": "3"})
    assert request.headers["authorization"] == "Bearer abc"
    assert request.headers["idempotency-key"] == "crm:L1"
    assert json.loads(request.body) == {
        "external_id": "L1",
        "contact": {"name": "小**花", "area": "浙江 杭州"},
        "when": "2025-06-15T15:06:40.000Z",
        "remark": "热 · 成交概率 38% · 点链接 · 问价×3 · 停留18分",
        "event": "lead.hot",
        "page": "https://front.example/host/demo",
        "source": "live",
        "channel": {"id": 7, "paid": True},
    }


async def test_a_form_has_flat_names_and_no_unknowns(server: ScriptedServer, context: SinkContext) -> None:
    wanted = options(
        server.url,
        body="form",
        fields={"lead.name": "name", "area": "region"},
        fixed={"paid": False},
        token="abc",
        token_header="X-Api-Key",
    )
    await crm.SINK.open(wanted, context).deliver([delivery(name="小&花")])
    request = server.requests[0]
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["x-api-key"] == "abc"
    assert parse_qsl(request.body.decode()) == [("lead.name", "小&花"), ("paid", "false")]


async def test_only_what_is_asked_for_is_sent(server: ScriptedServer, context: SinkContext) -> None:
    sink = crm.SINK.open(options(server.url, only=["lead.won"]), context)
    assert await sink.deliver([delivery()]) is None
    await sink.deliver([delivery(event="won", at=DECIDED_AT + 1)])
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "receipt"),
    [
        (b'{"data":{"id":"r-1"}}', "r-1"),
        (b'{"data":{"id":42}}', "42"),
        (b'{"data":{"id":true}}', None),
        (b'{"data":[1]}', None),
        (b"<html>", None),
        (b"", None),
    ],
)
async def test_the_records_id_is_the_receipt_where_the_answer_has_one(
    server: ScriptedServer, context: SinkContext, answer: bytes, receipt: str | None
) -> None:
    server.script.append(Reply(200, answer))
    assert (
        await crm.SINK.open(options(server.url, receipt="data.id"), context).deliver([delivery()]) == receipt
    )


async def test_every_try_is_the_same_byte_for_byte(
    server: ScriptedServer, context: SinkContext, clock: ManualClock
) -> None:
    everything = {f"our.{name}": name for name in FIELDS}
    sink = crm.SINK.open(options(server.url, fields=everything), context)
    told = delivery(purpose="todo", to=Addressee(seller="lee"), due_at=DECIDED_AT + 300_000)
    await sink.deliver([told])
    await clock.advance(120)
    await sink.deliver([told])
    assert server.requests[0].body == server.requests[1].body


def test_every_field_that_a_mapping_can_name_is_given() -> None:
    given = fields(an_alert(), key="k", base_url="", now=DECIDED_AT, language="en")
    assert set(given) == FIELDS


@pytest.mark.parametrize(
    ("left_ms", "minutes"), [(300_000, 5), (240_001, 5), (240_000, 4), (1, 1), (0, 0), (-5, 0)]
)
def test_minutes_left_are_rounded_up_and_never_negative(left_ms: int, minutes: int) -> None:
    alert = an_alert(due_at=DECIDED_AT + left_ms)
    assert fields(alert, key="k", base_url="", now=DECIDED_AT, language="en")["minutes_left"] == minutes


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fields": {"id": "leed"}}, "'leed' is no field of ours .did you mean 'lead'"),
        ({"fixed": {"id": 1}}, "'id' stands in fields and in fixed"),
        ({"fixed": {"id.inner": 1}}, "'id' cannot be a value and hold 'id.inner'"),
        ({"fixed": {"a..b": 1}}, "'a..b' has an empty part"),
        ({"token_header": "bad: header"}, "no name of a header"),
        ({"url": "crm.example"}, "https://"),
        ({"body": "xml"}, "xml"),
    ],
)
def test_mistaken_options_are_named(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=reason):
        options(**changes)
