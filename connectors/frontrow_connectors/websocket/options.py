"""Options of the WebSocket connector."""

from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from frontrow.config.secret import Secret

Url = Annotated[
    str, Meta(pattern=r"\Awss?://\S+\Z", description='an address like "wss://events.example/rooms/demo"')
]
Interval = Annotated[float, Meta(gt=0, le=3_600)]


class WebSocketOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of a WebSocket server that sends canonical events.

    ``url``: where to connect, ws:// or wss://. Required.
    ``token``: sent as ``Authorization: Bearer``; over ws:// it travels in the clear. Default none.
    ``ca_file``: PEM file of who may sign the server's certificate (wss). Default the system's.
    ``use_proxy``: go through the proxy that the environment names. Default false.
    ``max_message_bytes``: a larger message is not taken and ends the connection, in bytes, after decompression.
    Default 1 MiB.
    ``ping_interval_s``: how often we ping, in seconds. Default 20.
    ``ping_timeout_s``: if nothing comes for so long after a ping, the connection counts as dead, in seconds. Default 20.
    ``open_timeout_s``: how long connecting may take, in seconds. Default 10.
    """

    url: Url
    token: Secret | None = None
    ca_file: str | None = None
    use_proxy: bool = False
    max_message_bytes: Annotated[int, Meta(ge=1_024, le=64 * 1_048_576)] = 1_048_576
    ping_interval_s: Interval = 20.0
    ping_timeout_s: Interval = 20.0
    open_timeout_s: Interval = 10.0

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            if not parts.hostname or parts.port == 0 or parts.fragment:
                raise ValueError("no host, port 0, or a fragment")
        except ValueError as error:
            raise ValueError(f"`url` is not a WebSocket address ({error})") from error
        if self.ca_file and not self.url.startswith("wss://"):
            raise ValueError("`ca_file` needs a wss:// `url`")
        if self.token is not None and not (self.token.isascii() and self.token.isprintable() and self.token):
            raise ValueError("`token` must be of printable ASCII characters, since it travels in a header")
