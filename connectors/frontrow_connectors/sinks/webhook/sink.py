"""Posts one lead as JSON, signed by the Standard Webhooks convention, version 1.0.0.

As that convention's own message, or as a CloudEvent 1.0 (structured mode) under the same signature.
The signature is HMAC-SHA256 over ``id.timestamp.body``; the id is stable over retries, so a receiver that remembers
ids takes each lead once. See https://www.standardwebhooks.com.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from urllib.parse import quote

import msgspec

from frontrow.core.alerts import LeadAlert, event_type
from frontrow.core.errors import SinkRefused
from frontrow_connectors.sinks.contract import Delivery, SinkContext
from frontrow_connectors.sinks.outward import happened_at, message_id, rfc3339, told
from frontrow_connectors.sinks.posting import check_status, post
from frontrow_connectors.sinks.webhook.options import WebhookOptions, key_of

SCHEMA = "urn:frontrow:schema:lead-alert:1"  # changes with what a receiver must know anew


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
        id = message_id(delivery.key)
        if self._options.format == "cloudevents":
            body = cloud_event(delivery.alert, id, base_url=self._context.base_url)
            content_type = "application/cloudevents+json; charset=utf-8"
        else:
            body, content_type = (
                payload(delivery.alert, base_url=self._context.base_url),
                "application/json",
            )
        headers = {
            "content-type": content_type,
            "user-agent": "Frontrow",
            **signed_headers(self._keys, id, now // 1_000, body),
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


def cloud_event(alert: LeadAlert, id: str, *, base_url: str) -> bytes:
    """Return the body as a CloudEvent 1.0 in structured mode; ``source`` and ``id`` together name the message.

    As :func:`payload` the same for every attempt. ``subject`` is the lead, ``time`` when what is told was decided.
    """
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": id,
            "source": f"{base_url.rstrip('/')}/rooms/{quote(alert.room_id, safe='')}",
            "type": event_type(alert),
            "subject": alert.lead,
            "time": rfc3339(happened_at(alert)),
            "datacontenttype": "application/json",
            "dataschema": SCHEMA,
            "data": told(alert, base_url=base_url),
        }
    )
