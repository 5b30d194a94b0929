"""Alibaba Cloud text messages: ``SendSms`` of the Dysms API, 2017-05-25, with signature ACS3-HMAC-SHA256.

The API takes its parameters in the query of a POST whose body is empty. Signed are the method, the path, the sorted
query, the headers ``host`` and ``x-acs-…`` and the body's hash. See help.aliyun.com, "V3 版本请求体 & 签名机制" (two of whose
examples are tests) and "SendSms"; codes: "短信服务 API 错误码".

SendSms knows no idempotency key: a message that was cut off by a crash may be sent twice.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

import httpx
import msgspec

from frontrow.core.errors import SinkBusy, SinkRefused
from frontrow_connectors.sinks.contract import SinkContext
from frontrow_connectors.sinks.posting import Answer, check_status, post
from frontrow_connectors.sinks.sms.options import SmsOptions
from frontrow_connectors.sinks.sms.provider import SmsMessage

ACTION, VERSION = "SendSms", "2017-05-25"
ALGORITHM = "ACS3-HMAC-SHA256"
CHINA = "+86"

# A number's limits count by the minute, the hour and the day; the code does not say which was reached.
LIMIT_WAIT_S = 60.0

_LATER: Mapping[str, float | None] = {
    "isv.BUSINESS_LIMIT_CONTROL": LIMIT_WAIT_S,
    "Throttling": LIMIT_WAIT_S,
    "Throttling.User": LIMIT_WAIT_S,
    "Throttling.Api": LIMIT_WAIT_S,
    "isp.SYSTEM_ERROR": None,
    "ServiceUnavailable": None,
    "InternalError": None,
}
_REASONS = {
    "isv.AMOUNT_NOT_ENOUGH": "the account's balance is used up",
    "isv.OUT_OF_SERVICE": "the account's service is stopped, as a rule for want of balance",
    "isv.ACCOUNT_NOT_EXISTS": "the account does not exist",
    "isv.ACCOUNT_ABNORMAL": "the account is not in order",
    "isv.PRODUCT_UN_SUBSCRIPT": "the account has not ordered text messages",
    "isp.RAM_PERMISSION_DENY": "the access key may not send text messages (AliyunDysmsFullAccess)",
    "isv.SMS_TEMPLATE_ILLEGAL": "the template is not known or not approved",
    "isv.SMS_SIGNATURE_ILLEGAL": "the signature (签名) is not known or not approved",
    "isv.SMS_SIGNATURE_SCENE_ILLEGAL": "signature and template are of different kinds",
    "isv.SIGN_STATE_ILLEGAL": "the signature (签名) is switched off",
    "isv.TEMPLATE_MISSING_PARAMETERS": "the template has variables that `variables` does not fill",
    "isv.INVALID_PARAMETERS": "a parameter is not valid",
    "isv.INVALID_JSON_PARAM": "the variables are not valid",
    "isv.PARAM_LENGTH_LIMIT": "a variable is too long: lower `longest`",
    "isv.PARAM_NOT_SUPPORT_URL": "a variable holds an address of the web",
    "isv.BLACK_KEY_CONTROL_LIMIT": "a variable holds a word that is not allowed",
    "isv.SMS_CONTENT_ILLEGAL": "the text holds what is not allowed",
    "isv.MOBILE_NUMBER_ILLEGAL": "the seller's mobile number is not valid",
    "isv.DOMESTIC_NUMBER_NOT_SUPPORTED": "the template is for numbers abroad",
    "isv.DAY_LIMIT_CONTROL": "the account's limit for the day is reached",
    "isv.MONTH_LIMIT_CONTROL": "the account's limit for the month is reached",
    "isv.DENY_IP_RANGE": "this machine's address is in a region that may not send",
    "SignatureDoesNotMatch": "the access key's secret does not fit",
    "InvalidAccessKeyId.NotFound": "the access key is not known",
    "InvalidTimeStamp.Expired": "this machine's clock is wrong by more than 15 minutes",
}


class _Said(msgspec.Struct, rename="pascal"):
    code: str
    biz_id: str = ""


class Aliyun:
    """Fits :class:`frontrow_connectors.sinks.sms.provider.SmsProvider`."""

    def __init__(self, options: SmsOptions, context: SinkContext) -> None:
        self._options = options
        self._context = context
        self._base = httpx.URL(options.url)

    async def send(self, message: SmsMessage) -> str | None:
        now = self._context.clock.now()
        query = {
            "PhoneNumbers": national(message.mobile),
            "SignName": self._options.sign_name,
            "TemplateCode": message.template,
            "TemplateParam": msgspec.json.encode(message.variables).decode(),
            "OutId": hashlib.sha256(message.key.encode()).hexdigest()[:32],
        }
        # Once for each try and for no other: the key is stable, the attempt counts, and a clock set back is no harm.
        nonce = hashlib.sha256(f"{message.key}\n{message.attempt}\n{now}".encode()).hexdigest()[:32]
        headers = signed_headers(
            self._options.access_key_id,
            self._options.access_key_secret,
            host=self._base.netloc.decode(),
            action=ACTION,
            version=VERSION,
            date=datetime.fromtimestamp(now // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            nonce=nonce,
            query=query,
        )
        url = f"{str(self._base).rstrip('/')}/?{canonical_query(query)}"
        answer = await post(self._context.http, url, b"", headers, timeout_s=self._options.timeout_s)
        return self._checked(answer)

    def _checked(self, answer: Answer) -> str | None:
        """Return the receipt. The code is read whatever the status: the gateway's refusals come with 4xx and 503."""
        try:
            said = msgspec.json.decode(answer.body, type=_Said)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            check_status(answer, now=self._context.clock.now())
            raise SinkBusy("the answer is not Alibaba Cloud's") from error
        if said.code == "OK" and 200 <= answer.status < 300:
            return said.biz_id or None
        if said.code in _LATER:
            raise SinkBusy(f"{said.code}", retry_after_s=_LATER[said.code])
        reason = _REASONS.get(said.code, "Alibaba Cloud refuses the message")
        raise SinkRefused(f"{said.code[:64]}: {reason}")


def national(mobile: str) -> str:
    """Return an E.164 number as SendSms wants it: without +86, abroad with the country's digits alone."""
    return mobile.removeprefix(CHINA).removeprefix("+")


def canonical_query(query: Mapping[str, str]) -> str:
    """Return the query sorted and encoded by RFC 3986, as it is signed and sent."""
    return "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in sorted(query.items()))


def signed_headers(
    key_id: str,
    secret: str,
    *,
    host: str,
    action: str,
    version: str,
    date: str,
    nonce: str,
    query: Mapping[str, str],
) -> dict[str, str]:
    """Return the headers of a POST to "/" with an empty body, ``Authorization`` among them."""
    hashed_body = hashlib.sha256(b"").hexdigest()
    headers = {
        "host": host,
        "x-acs-action": action,
        "x-acs-content-sha256": hashed_body,
        "x-acs-date": date,
        "x-acs-signature-nonce": nonce,
        "x-acs-version": version,
    }
    names = ";".join(headers)  # sorted already
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = "\n".join(["POST", "/", canonical_query(query), lines, names, hashed_body])
    signed = f"{ALGORITHM}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
    return headers | {
        "authorization": f"{ALGORITHM} Credential={key_id},SignedHeaders={names},Signature={signature}"
    }


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")
