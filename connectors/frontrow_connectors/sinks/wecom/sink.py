"""Sends one markdown message to a WeCom group robot and reads the business code of the answer.

WeCom answers HTTP 200 even when it refuses; only ``errcode`` 0 means taken. See
https://developer.work.weixin.qq.com/document/path/91770 (robot) and /90313 (codes).
"""

from collections.abc import Sequence

import httpx
import msgspec

from frontrow_connectors.sinks.cards import Dialect, markdown_card, markdown_digest
from frontrow_connectors.sinks.codes import Codes
from frontrow_connectors.sinks.contract import Delivery, SinkContext, check_group
from frontrow_connectors.sinks.posting import check_status, post
from frontrow_connectors.sinks.wecom.options import WeComOptions

PER_MINUTE = 20  # messages a robot takes in a minute
DIGEST_SIZE = 15  # of about 200 bytes each; 20 would fit as well, but nobody reads 20 on a phone
MAX_CONTENT_BYTES = 4_096  # of a markdown message, in UTF-8

TOO_OFTEN_WAIT_S = 60.0  # the window of WeCom's limit

CODES = Codes(
    receiver="WeCom",
    too_often={45009: TOO_OFTEN_WAIT_S, 45033: TOO_OFTEN_WAIT_S},  # calls a minute, calls at once
    busy=frozenset({-1}),  # "system busy", WeCom's own trouble
    reasons={93000: "the robot's key is not valid (was the robot removed from the group?)"},
)
_WECOM = Dialect(grade='<font color="warning">{}</font>')  # WeCom's word for its orange


class WeComSink:
    """Fits :class:`frontrow.core.ports.Sink`."""

    def __init__(self, options: WeComOptions, context: SinkContext) -> None:
        self._options = options
        self._context = context
        self._url = str(httpx.URL(options.url).copy_merge_params({"key": options.key}))

    async def deliver(self, deliveries: Sequence[Delivery]) -> str | None:
        check_group(deliveries)
        content = self._content(deliveries)
        body = msgspec.json.encode({"msgtype": "markdown", "markdown": {"content": content}})
        headers = {"content-type": "application/json"}
        answer = await post(self._context.http, self._url, body, headers, timeout_s=self._options.timeout_s)
        check_status(answer, now=self._context.clock.now())
        CODES.check(answer)
        return None  # a robot's messages have no id

    async def close(self) -> None:
        """Nothing is held: the HTTP client is shared and closed by who made it."""

    def _content(self, deliveries: Sequence[Delivery]) -> str:
        language, base_url, now = self._context.language, self._context.base_url, self._context.clock.now()
        if len(deliveries) == 1:
            return markdown_card(
                deliveries[0].alert,
                language=language,
                base_url=base_url,
                now=now,
                max_bytes=MAX_CONTENT_BYTES,
                dialect=_WECOM,
            )
        return markdown_digest(
            [delivery.alert for delivery in deliveries],
            language=language,
            base_url=base_url,
            now=now,
            max_bytes=MAX_CONTENT_BYTES,
        )
