"""Posts each happening of a lead to a CRM, in the CRM's own fields."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec

from frontrow.core.alerts import event_type
from frontrow.core.errors import SinkRefused
from frontrow_connectors.sinks.contract import Delivery, SinkContext
from frontrow_connectors.sinks.crm.options import CrmOptions
from frontrow_connectors.sinks.outward import fields, message_id
from frontrow_connectors.sinks.posting import check_status, post


class CrmSink:
    """Fits :class:`frontrow.core.ports.Sink`."""

    def __init__(self, options: CrmOptions, context: SinkContext) -> None:
        self._options = options
        self._context = context

    async def deliver(self, deliveries: Sequence[Delivery]) -> str | None:
        if len(deliveries) != 1:
            raise SinkRefused(f"a CRM is told of one lead, not of {len(deliveries)}")
        delivery, options = deliveries[0], self._options
        if options.only and event_type(delivery.alert) not in options.only:
            return None  # not asked for: it counts as told
        body, content_type = self._body(delivery)
        headers = {
            "content-type": content_type,
            "user-agent": "Frontrow",
            "idempotency-key": message_id(delivery.key),
        }
        if options.token is not None:
            bearer = "Bearer " if options.token_header.lower() == "authorization" else ""
            headers[options.token_header.lower()] = f"{bearer}{options.token}"
        answer = await post(self._context.http, options.url, body, headers, timeout_s=options.timeout_s)
        check_status(answer, now=self._context.clock.now())
        return found(answer.body, options.receipt) if options.receipt else None

    async def close(self) -> None:
        """Nothing is held: the HTTP client is shared and closed by who made it."""

    def _body(self, delivery: Delivery) -> tuple[bytes, str]:
        ours = fields(
            delivery.alert,
            key=delivery.key,
            base_url=self._context.base_url,
            now=delivery.alert.decided_at,  # the same for every try
            language=self._context.language,
        )
        theirs: dict[str, Any] = {name: ours[field] for name, field in self._options.fields.items()}
        theirs |= self._options.fixed
        if self._options.body == "json":
            return msgspec.json.encode(nested(theirs)), "application/json"
        flat = {name: _plain(value) for name, value in theirs.items() if value is not None}
        return urlencode(flat).encode(), "application/x-www-form-urlencoded"


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return objects in place of dots: ``{"a.b": 1}`` is ``{"a": {"b": 1}}``. No name may be a part of another."""
    root: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split(".")
        place = root
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return root


def found(body: bytes, path: str) -> str | None:
    """Return the text or number that stands at ``path`` in a JSON answer; None if nothing of that kind does."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else None


def _plain(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
