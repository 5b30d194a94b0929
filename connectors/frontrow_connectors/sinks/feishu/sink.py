"""Sends one card to a Feishu or Lark group robot and reads the business code of the answer.

Only ``code`` 0 means taken, whatever the HTTP status. Some of Feishu's refusals come with 200 and some with 400, so the
code is read in both. See open.feishu.cn, "use custom bots in a group".
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from urllib.parse import quote

import msgspec

from frontrow_connectors.sinks.cards import Dialect, digest_title, markdown_card, markdown_digest, title
from frontrow_connectors.sinks.codes import Codes
from frontrow_connectors.sinks.contract import Delivery, SinkContext, check_group
from frontrow_connectors.sinks.feishu.options import FeishuOptions
from frontrow_connectors.sinks.posting import check_status, post

PER_MINUTE, PER_SECOND = 100, 5  # messages a robot takes
DIGEST_SIZE = 15  # more would fit, but nobody reads 20 on a phone
MAX_BODY_BYTES = 20_480  # of the whole request
MAX_CONTENT_BYTES = 16_000  # of the text: JSON escapes a line's end and a quotation mark by two bytes

TOO_OFTEN_WAIT_S = 60.0  # the longer window of Feishu's two limits

CODES = Codes(
    receiver="Feishu",
    key="code",
    too_often={11232: TOO_OFTEN_WAIT_S},
    reasons={
        9499: "Feishu cannot read the request",
        19001: "the robot's token is not known (was the robot removed from the group?)",
        19021: "the signature does not fit: look at the secret and at this machine's clock",
        19022: "this machine's address is not among those that may send",
        19024: "the keyword that the robot asks for is not in the message",
    },
)
_FEISHU = Dialect(quote="{}", code="{}", grade="<font color='red'>{}</font>")


class FeishuSink:
    """Fits :class:`frontrow.core.ports.Sink`."""

    def __init__(self, options: FeishuOptions, context: SinkContext) -> None:
        self._options = options
        self._context = context
        self._url = f"{options.url.rstrip('/')}/{quote(options.token, safe='')}"

    async def deliver(self, deliveries: Sequence[Delivery]) -> str | None:
        check_group(deliveries)
        message: dict[str, object] = {"msg_type": "interactive", "card": self._card(deliveries)}
        if self._options.secret is not None:
            timestamp = self._context.clock.now() // 1_000
            message |= {"timestamp": str(timestamp), "sign": sign(timestamp, self._options.secret)}
        body = msgspec.json.encode(message)
        headers = {"content-type": "application/json"}
        answer = await post(self._context.http, self._url, body, headers, timeout_s=self._options.timeout_s)
        if answer.status != 400:
            check_status(answer, now=self._context.clock.now())
        CODES.check(answer)
        return None  # a robot's messages have no id

    async def close(self) -> None:
        """Nothing is held: the HTTP client is shared and closed by who made it."""

    def _card(self, deliveries: Sequence[Delivery]) -> dict[str, object]:
        language, base_url, now = self._context.language, self._context.base_url, self._context.clock.now()
        alerts = [delivery.alert for delivery in deliveries]
        if len(alerts) == 1:
            headline = title(alerts[0], language)
            text = markdown_card(
                alerts[0],
                language=language,
                base_url=base_url,
                now=now,
                max_bytes=MAX_CONTENT_BYTES,
                dialect=_FEISHU,
            )
        else:
            headline = digest_title(len(alerts), language)
            text = markdown_digest(
                alerts,
                language=language,
                base_url=base_url,
                now=now,
                max_bytes=MAX_CONTENT_BYTES,
                dialect=_FEISHU,
            )
        return {
            "config": {"wide_screen_mode": True},
            "header": {"template": "red", "title": {"tag": "plain_text", "content": headline}},
            "elements": [{"tag": "markdown", "content": text}],
        }


def sign(timestamp: int, secret: str) -> str:
    """Return the signature of a message at ``timestamp`` (seconds since 1970), in base64; good for an hour.

    The signed text is the key, and nothing is signed with it: so Feishu documents it.
    """
    return base64.b64encode(hmac.digest(f"{timestamp}\n{secret}".encode(), b"", hashlib.sha256)).decode()
