"""Sends one markdown message to a WeCom group robot and reads the business code of the answer.

WeCom answers HTTP 200 even when it refuses; only ``errcode`` 0 means taken. See
https://developer.work.weixin.qq.com/document/path/91770 (robot) and /90313 (codes).
"""

from collections.abc import Sequence

import httpx
import msgspec
from msgspec import Struct

from frontrow.core.errors import SinkBusy, SinkRefused
from frontrow_connectors.sinks.cards import markdown_card, markdown_digest
from frontrow_connectors.sinks.contract import Delivery, SinkContext
from frontrow_connectors.sinks.posting import Answer, check_status, post
from frontrow_connectors.sinks.wecom.options import WeComOptions

PER_MINUTE = 20  # messages a robot takes in a minute
DIGEST_SIZE = 15  # of about 200 bytes each; 20 would fit as well, but nobody reads 20 on a phone
MAX_CONTENT_BYTES = 4_096  # of a markdown message, in UTF-8

TOO_OFTEN_WAIT_S = 60.0  # the window of WeCom's limit

_TOO_OFTEN = frozenset({45009, 45033})  # calls a minute, calls at once
_BUSY = frozenset({-1})  # "system busy", WeCom's own trouble
_REASONS = {93000: "the robot's key is not valid (was the robot removed from the group?)"}


class _Outcome(Struct):
    errcode: int
    errmsg: str = ""


class WeComSink:
    """Fits :class:`frontrow.core.ports.Sink`."""

    def __init__(self, options: WeComOptions, context: SinkContext) -> None:
        self._options = options
        self._context = context
        self._url = str(httpx.URL(options.url).copy_merge_params({"key": options.key}))

    async def deliver(self, deliveries: Sequence[Delivery]) -> None:
        content = self._content(deliveries)
        body = msgspec.json.encode({"msgtype": "markdown", "markdown": {"content": content}})
        headers = {"content-type": "application/json"}
        answer = await post(self._context.http, self._url, body, headers, timeout_s=self._options.timeout_s)
        check_status(answer, now=self._context.clock.now())
        _check_outcome(answer)

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
                emphasis=_warning,
            )
        return markdown_digest(
            [delivery.alert for delivery in deliveries],
            language=language,
            base_url=base_url,
            now=now,
            max_bytes=MAX_CONTENT_BYTES,
        )


def _warning(text: str) -> str:
    return f'<font color="warning">{text}</font>'  # WeCom's word for its orange


def _check_outcome(answer: Answer) -> None:
    try:
        outcome = msgspec.json.decode(answer.body, type=_Outcome)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # A proxy's or a login page: not WeCom's word, so the message may still be taken later.
        raise SinkBusy("the answer is not WeCom's") from error
    if outcome.errcode == 0:
        return
    # `errmsg` is not repeated: it carries the address of our server and at times parts of the message.
    if outcome.errcode in _TOO_OFTEN:
        raise SinkBusy(f"errcode {outcome.errcode}: too often", retry_after_s=TOO_OFTEN_WAIT_S)
    if outcome.errcode in _BUSY:
        raise SinkBusy(f"errcode {outcome.errcode}: system busy")
    reason = _REASONS.get(outcome.errcode, "WeCom refuses the message")
    raise SinkRefused(f"errcode {outcome.errcode}: {reason}")
