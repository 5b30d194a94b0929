"""The signed webhook: any receiver with a library of the convention can check it and take each lead once."""

import asyncio
import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import msgspec
import pytest
from tests.support.alerts import DECIDED_AT, an_alert
from tests.support.clock import ManualClock
from tests.support.http_server import Failure, Reply, ScriptedServer

from frontrow.core.alerts import Addressee
from frontrow.core.errors import SinkBusy, SinkRefused
from frontrow_connectors.sinks import webhook
from frontrow_connectors.sinks.contract import Delivery, Sink, SinkContext
from frontrow_connectors.sinks.outward import message_id
from frontrow_connectors.sinks.posting import retry_after_s
from frontrow_connectors.sinks.webhook.options import WebhookOptions, key_of
from frontrow_connectors.sinks.webhook.sink import signed_headers

RAW_KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(RAW_KEY).decode()
OLD_SECRET = "an-older-secret-of-some-length"


def delivery(key: str = "L1:crm", attempt: int = 1, **changes: object) -> Delivery:
    return Delivery(key, an_alert("L1", **changes), attempt)


@pytest.fixture
def sink(server: ScriptedServer, context: SinkContext) -> Sink:
    return webhook.SINK.open(
        WebhookOptions(url=f"{server.url}/leads?from=live", secret=SECRET, timeout_s=1.0), context
    )


def test_the_published_vector_of_the_convention_is_reproduced() -> None:
    headers = signed_headers(
        [key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")],
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1_614_265_330,
        b'{"test": 2432232314}',
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_receiver_can_check_the_signature_over_the_raw_body(
    sink: Sink, server: ScriptedServer, clock: ManualClock
) -> None:
    await sink.deliver([delivery()])
    request = server.requests[0]
    timestamp = str(clock.now() // 1_000)
    assert (request.method, request.path, request.query) == ("POST", "/leads", {"from": "live"})
    assert request.headers["webhook-id"] == request.headers["idempotency-key"] == "L1:crm"
    assert request.headers["webhook-timestamp"] == timestamp
    # HMAC by its definition (RFC 2104), so that this does not repeat the call under test
    block = RAW_KEY.ljust(64, b"\0")
    signed = b"L1:crm." + timestamp.encode() + b"." + request.body
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + signed).digest()
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block) + inner).digest()
    assert request.headers["webhook-signature"] == "v1," + base64.b64encode(outer).decode()


async def test_the_body_tells_the_lead_with_type_and_time(sink: Sink, server: ScriptedServer) -> None:
    await sink.deliver([delivery(words="这款多少钱")])
    request = server.requests[0]
    assert request.headers["content-type"] == "application/json"
    message = json.loads(request.body)
    assert message["type"] == "lead.hot"
    assert message["timestamp"] == "2025-06-15T15:06:40.000Z"
    data = message["data"]
    assert (data["lead"], data["grade"], data["points"], data["probability"]) == ("L1", "hot", 92, 0.38)
    assert data["words"] == "这款多少钱"
    assert data["url"] == "https://front.example/host/demo"
    assert data["decided_at"] == DECIDED_AT
    assert {"kind": "rule", "name": "question", "points": 15, "count": 3, "by": {"price": 3}} in data[
        "reasons"
    ]


async def test_a_number_that_slipped_through_is_masked_here_as_well(
    sink: Sink, server: ScriptedServer
) -> None:
    await sink.deliver([delivery(name="花13800138000", words="打 138 0013 8000")])
    data = json.loads(server.requests[0].body)["data"]
    assert (data["name"], data["words"]) == ("花138****00", "打 138****00")


async def test_a_second_try_has_the_same_id_and_body_and_a_new_time(
    sink: Sink, server: ScriptedServer, clock: ManualClock
) -> None:
    server.script.append(Reply(503))
    with pytest.raises(SinkBusy):
        await sink.deliver([delivery()])
    await clock.advance(61)
    await sink.deliver([delivery(attempt=2)])
    first, second = server.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert int(second.headers["webhook-timestamp"]) == int(first.headers["webhook-timestamp"]) + 61
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


async def test_while_secrets_change_over_both_sign(server: ScriptedServer, context: SinkContext) -> None:
    options = WebhookOptions(url=server.url, secret=SECRET, previous_secret=OLD_SECRET)
    await webhook.SINK.open(options, context).deliver([delivery()])
    request = server.requests[0]
    signed = f"L1:crm.{request.headers['webhook-timestamp']}.".encode() + request.body
    expected = [
        "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
        for key in (RAW_KEY, OLD_SECRET.encode())
    ]
    assert request.headers["webhook-signature"].split(" ") == expected


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_every_2xx_is_taken(sink: Sink, server: ScriptedServer, status: int) -> None:
    server.script.append(Reply(status))
    await sink.deliver([delivery()])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Reply(500), None),
        (Reply(502), None),
        (Reply(503, headers={"retry-after": "120"}), 120.0),
        (Reply(408), None),
        (Reply(425), None),
        (Reply(429, headers={"retry-after": "3"}), 3.0),
        (Failure.HANG, None),
        (Failure.DROP, None),
        (Failure.GARBAGE, None),
    ],
)
async def test_what_passes_is_tried_again(
    sink: Sink, server: ScriptedServer, answer: Reply | Failure, expected: float | None
) -> None:
    server.script.append(answer)
    with pytest.raises(SinkBusy) as busy:
        await sink.deliver([delivery()])
    assert busy.value.retry_after_s == expected


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 409, 410, 413, 422])
async def test_what_stays_wrong_is_refused(sink: Sink, server: ScriptedServer, status: int) -> None:
    server.script.append(Reply(status, headers={"location": f"{server.url}/elsewhere"}))
    with pytest.raises(SinkRefused, match=str(status)):
        await sink.deliver([delivery()])
    assert len(server.requests) == 1  # a signed body goes nowhere else


async def test_an_answer_without_end_is_not_read_to_its_end(sink: Sink, server: ScriptedServer) -> None:
    server.script.append(Failure.ENDLESS)
    async with asyncio.timeout(10):
        await sink.deliver([delivery()])


async def test_a_webhook_takes_one_lead_at_a_time(sink: Sink, server: ScriptedServer) -> None:
    with pytest.raises(SinkRefused, match="one lead"):
        await sink.deliver([delivery("a"), delivery("b")])
    assert server.requests == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        (" 5 ", 5.0),
        ("9999999999999999999999", 3_600.0),
        ("-5", None),
        ("soon", None),
        ("１２", None),
        ("", None),
        ("Sun, 15 Jun 2025 15:07:40 GMT", 60.0),
        ("Sun, 15 Jun 2025 15:07:40", 60.0),
        ("Sun, 15 Jun 2025 15:00:00 GMT", 0.0),
        ("Sun, 15 Jun 2094 15:00:00 GMT", 3_600.0),
        ("Sun, 99 Jun 2025 15:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, expected: float | None) -> None:
    assert retry_after_s(value, now=DECIDED_AT) == expected


async def test_a_date_in_retry_after_is_measured_by_our_clock(
    sink: Sink, server: ScriptedServer, clock: ManualClock
) -> None:
    date = datetime.fromtimestamp(clock.now() / 1_000 + 90, UTC)
    server.script.append(Reply(429, headers={"retry-after": format_datetime(date, usegmt=True)}))
    with pytest.raises(SinkBusy) as busy:
        await sink.deliver([delivery()])
    assert busy.value.retry_after_s == pytest.approx(90, abs=1)


@pytest.mark.parametrize("key", ["a.b", "线索", "x\r\ny: z", "", "k" * 500])
async def test_a_key_that_no_header_carries_becomes_a_stable_id(
    sink: Sink, server: ScriptedServer, key: str
) -> None:
    """A dot would also make the signed text ambiguous."""
    await sink.deliver([delivery(key)])
    id = server.requests[0].headers["webhook-id"]
    assert id == message_id(key) == "msg_" + hashlib.sha256(key.encode()).hexdigest()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"url": "https://crm.example/hook"}, "secret"),
        ({"url": "https://crm.example/hook", "secret": "short"}, "shorter than 16 bytes"),
        ({"url": "https://crm.example/hook", "secret": "whsec_!!not base64!!"}, "must be base64"),
        ({"url": "https://crm.example/hook", "secret": "whsec_c2hvcnQ="}, "shorter than 16 bytes"),
        ({"url": "https://crm.example/hook", "secret": SECRET, "previous_secret": "old"}, "shorter"),
        ({"url": "crm.example/hook", "secret": SECRET}, "https://"),
        ({"url": "http://[::1", "secret": SECRET}, "not an address"),
    ],
)
def test_mistaken_options_are_named_without_the_secret(options: dict[str, object], reason: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=reason) as error:
        msgspec.convert(options, WebhookOptions)
    assert "c2hvcnQ" not in str(error.value) and "!!" not in str(error.value)


async def test_as_a_cloud_event_a_lead_has_every_attribute_under_the_same_signature(
    server: ScriptedServer, context: SinkContext
) -> None:
    options = WebhookOptions(url=server.url, secret=SECRET, format="cloudevents")
    await webhook.SINK.open(options, context).deliver([delivery(words="这款多少钱")])
    request = server.requests[0]
    assert request.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    event = json.loads(request.body)
    data = event.pop("data")
    assert event == {
        "specversion": "1.0",
        "id": "L1:crm",
        "source": "https://front.example/rooms/demo",
        "type": "lead.hot",
        "subject": "L1",
        "time": "2025-06-15T15:06:40.000Z",
        "datacontenttype": "application/json",
        "dataschema": "urn:frontrow:schema:lead-alert:1",
    }
    assert (data["lead"], data["words"]) == ("L1", "这款多少钱")
    assert request.headers["webhook-id"] == "L1:crm"
    signed = f"L1:crm.{request.headers['webhook-timestamp']}.".encode() + request.body
    expected = base64.b64encode(hmac.digest(RAW_KEY, signed, "sha256")).decode()
    assert request.headers["webhook-signature"] == f"v1,{expected}"


@pytest.mark.parametrize(
    ("changes", "type", "time"),
    [
        ({"purpose": "todo", "to": Addressee(seller="lee"), "at": DECIDED_AT + 1_000}, "lead.assigned", "15:06:41"),
        ({"purpose": "escalation", "cause": "seller_no_claim", "at": DECIDED_AT + 300_000}, "lead.breached", "15:11:40"),
        ({"event": "won", "at": DECIDED_AT + 60_000}, "lead.won", "15:07:40"),
    ],
)  # fmt: skip
async def test_what_becomes_of_a_lead_is_told_with_its_type_and_time(
    sink: Sink, server: ScriptedServer, changes: dict[str, Any], type: str, time: str
) -> None:
    await sink.deliver([delivery(**changes)])
    message = json.loads(server.requests[0].body)
    assert (message["type"], message["timestamp"]) == (type, f"2025-06-15T{time}.000Z")
    assert message["data"].get("to") == ({"seller": "lee"} if "to" in changes else None)
    assert message["data"].get("cause") == changes.get("cause")
