"""Posts one lead as JSON, signed by the Standard Webhooks convention, version 1.0.0.

The signature is HMAC-SHA256 over ``id.timestamp.body``; the id is stable over retries, so a receiver that remembers
ids takes each lead once. See https://www.standardwebhooks.com.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence

import msgspec

from frontrow.core.alerts import LeadAlert, event_type
from frontrow.core.errors import SinkRefused
from frontrow_connectors.sinks.contract import Delivery, SinkContext
from frontrow_connectors.sinks.outward import happened_at, rfc3339, told
from frontrow_connectors.sinks.posting import check_status, post
from frontrow_connectors.sinks.webhook.options import WebhookOptions, key_of

_PLAIN_ID = re.compile(r"[A-Za-z0-9_\-:]{1,128}")


class WebhookSink:
    """Fits :class:`frontrow.core.ports.Sink`. Knows no digest: a receiver that is a program wants each lead."""

    def __init__(self, options: WebhookOptions, context: SinkContext) -> None:
        self._options = options
        self._context = context
        secrets = (options.secret, options.previous_secret)
        self._keys = [key_of(secret) for secret in secrets if secret is not None]

    async def deliver(self, deliveries: Sequence[Delivery]) -> str | None:
        if len(deliveries) != 1:
            raise SinkRefused(f"a webhook tells of one lead, not of {len(deliveries)}")
        delivery = deliveries[0]
        now = self._context.clock.now()
        body = payload(delivery.alert, base_url=self._context.base_url)
        headers = {
            "content-type": "application/json",
            "user-agent": "Frontrow",
            **signed_headers(self._keys, message_id(delivery.key), now // 1_000, body),
        }
        answer = await post(
            self._context.http, self._options.url, body, headers, timeout_s=self._options.timeout_s
        )
        check_status(answer, now=self._context.clock.now())
        return None

    async def close(self) -> None:
        """Nothing is held: the HTTP client is shared and closed by who made it."""


def signed_headers(keys: Sequence[bytes], id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers of the convention; ``timestamp`` in seconds, one signature for each key."""
    signed = b"%b.%d.%b" % (id.encode(), timestamp, body)
    digests = (hmac.new(key, signed, hashlib.sha256).digest() for key in keys)
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests),
        # The name under which receivers without the convention look for the same thing.
        "idempotency-key": id,
    }


def message_id(key: str) -> str:
    """Return the outbox key as an id that a header can carry; the signed text is parted by dots, so it has none."""
    if _PLAIN_ID.fullmatch(key):
        return key
    return "msg_" + hashlib.sha256(key.encode()).hexdigest()


def payload(alert: LeadAlert, *, base_url: str) -> bytes:
    """Return the body: ``type``, ``timestamp`` (when what is told was decided) and the alert under ``data``.

    The same for every attempt, byte for byte, so that a receiver may compare.
    """
    message = {
        "type": event_type(alert),
        "timestamp": rfc3339(happened_at(alert)),
        "data": told(alert, base_url=base_url),
    }
    return msgspec.json.encode(message)
