"""What an operator can say of a receiver of webhooks."""

import base64
import binascii
from typing import Annotated, Literal

from msgspec import Meta, Struct

from frontrow.config.secret import Secret
from frontrow_connectors.sinks.posting import check_url

PREFIX = "whsec_"
SHORTEST_KEY = (
    16  # bytes; the convention asks for 24, yet receivers exist whose secret is a UUID without dashes
)


class WebhookOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of one receiver.

    ``secret`` is ``whsec_`` and base64, as the convention writes it, or any other text, which is then the key by its
    UTF-8 bytes. ``previous_secret`` signs as well while receivers change over. ``format`` is that of the body:
    the convention's own, or a CloudEvent. ``timeout_s`` is the longest wait for the connection and for each part of the
    answer.
    """

    url: str
    secret: Secret
    previous_secret: Secret | None = None
    format: Literal["standard", "cloudevents"] = "standard"
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 8.0

    def __post_init__(self) -> None:
        check_url(self.url)
        for secret in (self.secret, self.previous_secret):
            if secret is not None and len(key_of(secret)) < SHORTEST_KEY:
                raise ValueError(f"the secret is shorter than {SHORTEST_KEY} bytes")


def key_of(secret: str) -> bytes:
    """Return the key that signs.

    Raises:
        ValueError: ``whsec_`` is not followed by base64. The message does not repeat the secret.
    """
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        # Not chained: the cause would show how the secret is made up.
        raise ValueError(f"behind {PREFIX} the secret must be base64") from None
