"""Tells 飞鱼 CRM what became of a lead that came from it, as the state that it counts and advertises by."""

from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from frontrow.core.alerts import LeadFeedback
from frontrow.core.errors import SinkBusy, SinkRefused
from frontrow_connectors.feiyu.decoder import (
    CALLBACK_PATH,
    Refusal,
    callback_message,
    refusal_of,
    signed_headers,
)
from frontrow_connectors.sinks.contract import Delivery, SinkContext
from frontrow_connectors.sinks.feiyu.options import FeiyuSinkOptions
from frontrow_connectors.sinks.outward import happened_at
from frontrow_connectors.sinks.posting import check_status, post

CLUES_KEPT = 10_000  # of which the last state that was told is in mind
SUPERSEDED = "superseded"


class FeiyuSink:
    """Fits :class:`frontrow.core.ports.Sink`. Saying the same again changes nothing there."""

    def __init__(self, options: FeiyuSinkOptions, context: SinkContext) -> None:
        self._options = options
        self._context = context
        self._told: OrderedDict[str, int] = OrderedDict()  # clue → of when what it was told last is (UTC ms)

    async def deliver(self, deliveries: Sequence[Delivery]) -> str | None:
        if len(deliveries) != 1:
            raise SinkRefused(f"飞鱼 is told of one lead, not of {len(deliveries)}")
        alert = deliveries[0].alert
        if alert.feedback is None:
            raise SinkRefused("飞鱼 is told what became of its leads, and nothing else")
        clue, at = alert.feedback.clue, happened_at(alert)
        state = self._state(alert.feedback)
        if state == 0:
            return None  # not asked for: it counts as told
        if self._told.get(clue, at) > at:
            return (
                SUPERSEDED  # it waited, and what came after it did not: to tell it now would take that back
            )
        await self._tell(clue, state)
        self._told.pop(clue, None)
        self._told[clue] = at
        while len(self._told) > CLUES_KEPT:
            self._told.popitem(last=False)
        return f"{clue}={state}"

    async def close(self) -> None:
        """Nothing is held: the HTTP client is shared and closed by who made it."""

    def _state(self, feedback: LeadFeedback) -> int:
        """Return the state that an outcome is there, 0: none."""
        configured = self._options.states.get(feedback.outcome)
        if configured is not None:
            return configured
        if feedback.state is None:
            return 0
        if not (feedback.state.isascii() and feedback.state.isdigit()):
            raise SinkRefused("the trade's pack says a state that is no number")
        return int(feedback.state)

    async def _tell(self, clue: str, state: int) -> None:
        options, now = self._options, self._context.clock.now()
        body = msgspec.json.encode({"source": 0, "data": {"clue_id": clue, "clue_convert_state": state}})
        headers = signed_headers(
            callback_message(now // 1_000), options.signature_key, options.access_token, now // 1_000
        )
        answer = await post(
            self._context.http,
            options.api_url.rstrip("/") + CALLBACK_PATH,
            body,
            headers | {"content-type": "application/json", "user-agent": "Frontrow"},
            timeout_s=options.timeout_s,
        )
        check_status(answer, now=now)
        try:
            said = msgspec.json.decode(answer.body, type=dict[str, object])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            said = {}
        match refusal_of(said):
            case Refusal.KEYS:
                raise SinkRefused("飞鱼 refuses the key or the token")
            case Refusal.OTHER:
                raise SinkBusy("飞鱼 answered that it failed")
            case None:
                return
