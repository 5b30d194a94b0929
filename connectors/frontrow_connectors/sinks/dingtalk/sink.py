"""Sends one markdown message to a DingTalk group robot and reads the business code of the answer.

DingTalk answers HTTP 200 even when it refuses; only ``errcode`` 0 means taken. Whoever sends more than 20 messages a
minute is locked out for ten: so code 130101 is answered by ten minutes of silence, and anything shorter would only make
it longer. See open.dingtalk.com, "custom robot access".
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence

import httpx
import msgspec

from frontrow_connectors.sinks.cards import Dialect, digest_title, markdown_card, markdown_digest, title
from frontrow_connectors.sinks.codes import Codes
from frontrow_connectors.sinks.contract import Delivery, SinkContext, check_group
from frontrow_connectors.sinks.dingtalk.options import DingTalkOptions
from frontrow_connectors.sinks.posting import check_status, post

PER_MINUTE = 20  # messages a robot takes in a minute
DIGEST_SIZE = 15  # more would fit, but nobody reads 20 on a phone
MAX_BODY_BYTES = 20_000  # of the whole request
MAX_CONTENT_BYTES = 16_000  # of the text: JSON escapes a line's end and a quotation mark by two bytes

LOCKED_OUT_S = 600.0

CODES = Codes(
    receiver="DingTalk",
    too_often={130101: LOCKED_OUT_S, 410100: LOCKED_OUT_S},
    busy=frozenset({-1}),  # "system busy"
    reasons={
        310000: "the security check failed: look at the secret (and this machine's clock), at the keyword that"
        " the message must hold, or at the addresses that may send",
        400101: "the robot's token is not known (was the robot removed from the group?)",
        400102: "the robot has been switched off",
    },
)

# A single line's end is no line break in DingTalk's markdown; two blanks before it make one.
_DINGTALK = Dialect(end="  \n", grade='<font color="#FF7F00">{}</font>')


class DingTalkSink:
    """Fits :class:`frontrow.core.ports.Sink`."""

    def __init__(self, options: DingTalkOptions, context: SinkContext) -> None:
        self._options = options
        self._context = context

    async def deliver(self, deliveries: Sequence[Delivery]) -> str | None:
        check_group(deliveries)
        message = {"msgtype": "markdown", "markdown": self._markdown(deliveries), "at": {"isAtAll": False}}
        body = msgspec.json.encode(message)
        headers = {"content-type": "application/json"}
        answer = await post(
            self._context.http, self._address(), body, headers, timeout_s=self._options.timeout_s
        )
        check_status(answer, now=self._context.clock.now())
        CODES.check(answer)
        return None  # a robot's messages have no id

    async def close(self) -> None:
        """Nothing is held: the HTTP client is shared and closed by who made it."""

    def _address(self) -> str:
        query = {"access_token": str(self._options.token)}
        if self._options.secret is not None:
            timestamp = self._context.clock.now()
            query |= {"timestamp": str(timestamp), "sign": sign(timestamp, self._options.secret)}
        return str(httpx.URL(self._options.url).copy_merge_params(query))

    def _markdown(self, deliveries: Sequence[Delivery]) -> dict[str, str]:
        language, base_url, now = self._context.language, self._context.base_url, self._context.clock.now()
        alerts = [delivery.alert for delivery in deliveries]
        if len(alerts) == 1:
            text = markdown_card(
                alerts[0],
                language=language,
                base_url=base_url,
                now=now,
                max_bytes=MAX_CONTENT_BYTES,
                dialect=_DINGTALK,
            )
            return {"title": title(alerts[0], language), "text": text}
        text = markdown_digest(
            alerts,
            language=language,
            base_url=base_url,
            now=now,
            max_bytes=MAX_CONTENT_BYTES,
            dialect=_DINGTALK,
        )
        return {"title": digest_title(len(alerts), language), "text": text}


def sign(timestamp: int, secret: str) -> str:
    """Return the signature of a call at ``timestamp`` (UTC ms), in base64; good for an hour."""
    signed = f"{timestamp}\n{secret}".encode()
    return base64.b64encode(hmac.digest(secret.encode(), signed, hashlib.sha256)).decode()
