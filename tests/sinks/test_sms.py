"""Text messages: the official signature vectors, a gateway that checks every signature by itself, and what codes mean."""

import hashlib
import json
import re
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from tests.support.alerts import DECIDED_AT, an_alert
from tests.support.clock import ManualClock
from tests.support.http_server import Reply, Request, ScriptedServer

from frontrow.core.alerts import Addressee
from frontrow.core.errors import SinkBusy, SinkRefused
from frontrow_connectors.sinks import sms
from frontrow_connectors.sinks.contract import Delivery, Sink, SinkContext
from frontrow_connectors.sinks.sms.aliyun import national, signed_headers
from frontrow_connectors.sinks.sms.options import SmsOptions

SECRET = "an access key's secret"
LEE = Addressee(seller="lee", mobile="+8613800138000")


def hmac_sha256(key: bytes, text: bytes) -> str:
    """HMAC by its definition (RFC 2104), so that the gateway does not repeat the call under test."""
    block = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + text).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in block) + inner).hexdigest()


class Gateway:
    """Says OK only to what is signed as the documentation says, once for each nonce."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.says: list[Reply] = []  # to signed requests, before it says OK
        self.nonces: set[str] = set()
        self.sent: list[dict[str, str]] = []
        server.on_request = self._answer

    def _answer(self, request: Request) -> None:
        if not self._is_signed(request):
            self.server.otherwise = Reply(400, b'{"Code":"SignatureDoesNotMatch","Message":"no"}')
            return
        self.sent.append(request.query)
        ok = Reply(body=b'{"Code":"OK","Message":"OK","BizId":"9006%d^0","RequestId":"r"}' % len(self.sent))
        self.server.otherwise = self.says.pop(0) if self.says else ok

    def _is_signed(self, request: Request) -> bool:
        found = re.fullmatch(
            r"ACS3-HMAC-SHA256 Credential=LTAI0,SignedHeaders=([a-z0-9;-]+),Signature=([0-9a-f]{64})",
            request.headers["authorization"],
        )
        if found is None:
            return False
        names = found[1].split(";")
        wanted = {"host", *(name for name in request.headers if name.startswith("x-acs-"))}
        nonce = request.headers["x-acs-signature-nonce"]
        if names != sorted(names) or set(names) != wanted or nonce in self.nonces:
            return False
        self.nonces.add(nonce)
        query = "&".join(
            f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"
            for name, value in sorted(request.query.items())
        )
        body = hashlib.sha256(request.body).hexdigest()
        headers = "".join(f"{name}:{request.headers[name]}\n" for name in names)
        text = f"{request.method}\n{request.path}\n{query}\n{headers}\n{found[1]}\n{body}"
        signed = "ACS3-HMAC-SHA256\n" + hashlib.sha256(text.encode()).hexdigest()
        return (
            request.headers["x-acs-content-sha256"] == body
            and hmac_sha256(SECRET.encode(), signed.encode()) == found[2]
        )


@pytest.fixture
def gateway(server: ScriptedServer) -> Gateway:
    return Gateway(server)


def options(server: ScriptedServer, **changes: Any) -> SmsOptions:
    given: dict[str, Any] = {
        "access_key_id": "LTAI0",
        "access_key_secret": SECRET,
        "sign_name": "示例汽车",
        "templates": {"todo": "SMS_100000001"},
        "url": server.url,
        "timeout_s": 1.0,
    }
    return msgspec.convert(given | changes, SmsOptions)


@pytest.fixture
def sink(server: ScriptedServer, gateway: Gateway, context: SinkContext) -> Sink:
    return sms.SINK.open(options(server), context)


def delivery(attempt: int = 1, **changes: Any) -> Delivery:
    todo = {"purpose": "todo", "to": LEE, "due_at": DECIDED_AT + 290_000, "product": "SU7 Max"}
    return Delivery("sms:L1:lead.assigned:lee:1", an_alert("L1", **(todo | changes)), attempt)


@pytest.mark.parametrize(
    ("date", "nonce", "signature"),
    [
        ("2023-10-26T10:22:32Z", "3156853299f313e23d1673dc12e1703d",
         "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"),
        ("2023-10-26T09:01:01Z", "d410180a5abf7fe235dd9b74aca91fc0",
         "e521358f7776c97df52e6b2891a8bc73026794a071b50c3323388c4e0df64804"),
    ],
)  # fmt: skip
def test_the_documented_examples_of_the_signature_are_reproduced(
    date: str, nonce: str, signature: str
) -> None:
    headers = signed_headers(
        "YourAccessKeyId",
        "YourAccessKeySecret",
        host="ecs.cn-shanghai.aliyuncs.com",
        action="RunInstances",
        version="2014-05-26",
        date=date,
        nonce=nonce,
        query={"RegionId": "cn-shanghai", "ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"},
    )
    assert headers["authorization"] == (
        "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;x-acs-content-sha256;"
        f"x-acs-date;x-acs-signature-nonce;x-acs-version,Signature={signature}"
    )


async def test_a_to_do_is_a_template_with_its_variables_to_the_sellers_own_number(
    sink: Sink, gateway: Gateway, server: ScriptedServer
) -> None:
    assert await sink.deliver([delivery()]) == "90061^0"
    [sent] = gateway.sent
    assert json.loads(sent.pop("TemplateParam")) == {"name": "小＊＊花", "product": "SU7 Max", "minutes": "5"}
    assert len(sent.pop("OutId")) == 32
    assert sent == {"PhoneNumbers": "13800138000", "SignName": "示例汽车", "TemplateCode": "SMS_100000001"}
    request = server.requests[0]
    assert (request.method, request.path, request.body) == ("POST", "/", b"")
    assert request.headers["x-acs-action"] == "SendSms"
    assert request.headers["x-acs-version"] == "2017-05-25"
    assert request.headers["x-acs-date"] == "2025-06-15T15:06:40Z"


async def test_each_try_has_a_nonce_of_its_own_and_the_same_number_of_ours(
    sink: Sink, gateway: Gateway
) -> None:
    for attempt in (1, 2, 3):
        await sink.deliver([delivery(attempt)])
    assert len(gateway.nonces) == 3
    assert len({sent["OutId"] for sent in gateway.sent}) == 1


@pytest.mark.parametrize("text", ["*+~ &=%/?#'\"", "很长" * 500, "https://evil.example/x\n【假】", "\ud800"])
async def test_whatever_stands_in_a_variable_the_signature_holds_and_it_is_short(
    sink: Sink, gateway: Gateway, text: str
) -> None:
    await sink.deliver([delivery(name=text, product=text)])
    values = json.loads(gateway.sent[0]["TemplateParam"]).values()
    assert all(0 < len(value) <= 20 and "://" not in value and "\n" not in value for value in values)


async def test_an_unknown_variable_is_a_dash_since_an_empty_one_is_refused(
    sink: Sink, gateway: Gateway
) -> None:
    await sink.deliver([delivery(product=None, due_at=None)])
    assert json.loads(gateway.sent[0]["TemplateParam"]) == {
        "name": "小＊＊花",
        "product": "–",
        "minutes": "–",
    }


@pytest.mark.parametrize(
    ("reply", "wait_s"),
    [
        (Reply(body=b'{"Code":"isv.BUSINESS_LIMIT_CONTROL","Message":"Permits:1"}'), 60.0),
        (Reply(body=b'{"Code":"isp.SYSTEM_ERROR","Message":"?"}'), None),
        (Reply(400, b'{"Code":"Throttling.User","Message":"?"}'), 60.0),
        (Reply(503, b'{"Code":"ServiceUnavailable","Message":"?"}'), None),
    ],
)
async def test_what_passes_is_tried_again(
    sink: Sink, gateway: Gateway, reply: Reply, wait_s: float | None
) -> None:
    gateway.says = [reply]
    with pytest.raises(SinkBusy) as busy:
        await sink.deliver([delivery()])
    assert busy.value.retry_after_s == wait_s


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("isv.AMOUNT_NOT_ENOUGH", 200, "balance"),
        ("isv.MOBILE_NUMBER_ILLEGAL", 200, "mobile number is not valid"),
        ("isv.TEMPLATE_MISSING_PARAMETERS", 200, "`variables` does not fill"),
        ("isv.DAY_LIMIT_CONTROL", 200, "limit for the day"),
        ("InvalidTimeStamp.Expired", 400, "clock"),
        ("isv.SOMETHING_NEW", 200, "refuses"),
    ],
)
async def test_what_a_person_must_mend_is_said_without_the_number(
    sink: Sink, gateway: Gateway, code: str, status: int, reason: str
) -> None:
    gateway.says = [Reply(status, json.dumps({"Code": code, "Message": "13800138000"}).encode())]
    with pytest.raises(SinkRefused, match=f"{re.escape(code)}: .*{reason}") as refused:
        await sink.deliver([delivery()])
    assert "138" not in refused.value.reason


async def test_a_wrong_secret_is_found_by_the_gateway_and_named(
    server: ScriptedServer, gateway: Gateway, context: SinkContext
) -> None:
    wrong = sms.SINK.open(options(server, access_key_secret="another"), context)
    with pytest.raises(SinkRefused, match="the access key's secret does not fit"):
        await wrong.deliver([delivery()])


async def test_what_has_no_template_or_no_number_is_not_sent(sink: Sink, gateway: Gateway) -> None:
    with pytest.raises(SinkRefused, match="no template is configured for nudge"):
        await sink.deliver([delivery(purpose="nudge")])
    with pytest.raises(SinkRefused, match="seller kim has no mobile number"):
        await sink.deliver([delivery(to=Addressee(seller="kim", wecom="Kim"))])
    assert gateway.sent == []


def test_numbers_abroad_keep_their_country() -> None:
    assert [national(number) for number in ("+8613800138000", "+85251234567")] == [
        "13800138000",
        "85251234567",
    ]


async def test_time_goes_into_the_signature_by_our_clock(
    sink: Sink, gateway: Gateway, server: ScriptedServer, clock: ManualClock
) -> None:
    await clock.advance(61)
    await sink.deliver([delivery()])
    assert server.requests[0].headers["x-acs-date"] == "2025-06-15T15:07:41Z"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"templates": {}}, "nothing would ever be sent"),
        ({"templates": {"todoo": "SMS_1"}}, "'todoo' is none of todo"),
        ({"templates": {"todo": "1"}}, "should look like SMS_"),
        ({"variables": {"name": "nane"}}, "'nane' is no field of ours .did you mean 'name'"),
        ({"variables": {"1name": "name"}}, "matching regex"),
        ({"url": "dysmsapi.aliyuncs.com"}, "https://"),
    ],
)
def test_mistaken_options_are_named(server: ScriptedServer, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=reason) as error:
        options(server, **changes)
    assert SECRET not in str(error.value)
