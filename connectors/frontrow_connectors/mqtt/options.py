"""Options of the MQTT connector."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from frontrow.config.secret import Secret

Topic = Annotated[str, Meta(min_length=1, max_length=65_535)]


class MqttOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of a subscription to an MQTT broker.

    ``host``: the broker's name or address. Default "localhost".
    ``port``: its port. Default 1883 (8883 is usual with ``tls``).
    ``topics``: what to subscribe to, MQTT wildcards allowed; ``{room}`` stands for the room's id. Default
    ["frontrow/{room}/events"].
    ``qos``: 1 acknowledges a message only after its events are durable, and unacknowledged ones come again; 0 may
    lose. Default 1.
    ``client_id``: the persistent session's name at the broker, unique there. Default "frontrow-" and the feed's name.
    ``protocol``: "5" or "3.1.1". Default "5".
    ``username``, ``password``: how to log in. Default none.
    ``tls``: encrypt, and check the broker's certificate. Default false.
    ``ca_file``: PEM file of who may sign the broker's certificate. Default the system's.
    ``cert_file``, ``key_file``: PEM files of our own certificate and key. Default none.
    ``keepalive_s``: a silent connection is found dead after about 1.5 times this, in seconds. Default 30.
    ``session_expiry_s``: how long the broker keeps our session while we are away, in seconds (MQTT 5; with 3.1.1 the
    broker decides). Default 86400.
    ``max_in_flight``: most QoS 1 messages that wait for their acknowledgement; MQTT 5 tells the broker, with 3.1.1 its
    own bound holds. Default 256.
    ``max_payload_bytes``: a larger payload is rejected, in bytes. Default 1 MiB.
    """

    host: Annotated[str, Meta(min_length=1)] = "localhost"
    port: Annotated[int, Meta(ge=1, le=65_535)] = 1883
    topics: Annotated[tuple[Topic, ...], Meta(min_length=1)] = ("frontrow/{room}/events",)
    qos: Literal[0, 1] = 1
    client_id: Annotated[str, Meta(max_length=65_535)] = ""
    protocol: Literal["5", "3.1.1"] = "5"
    username: str | None = None
    password: Secret | None = None
    tls: bool = False
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    keepalive_s: Annotated[int, Meta(ge=1, le=65_535)] = 30
    session_expiry_s: Annotated[int, Meta(ge=0, le=4_294_967_295)] = 86_400
    max_in_flight: Annotated[int, Meta(ge=1, le=65_535)] = 256
    max_payload_bytes: Annotated[int, Meta(ge=1_024, le=64 * 1_048_576)] = 1_048_576

    def __post_init__(self) -> None:
        if not self.tls and (self.ca_file or self.cert_file or self.key_file):
            raise ValueError("`ca_file`, `cert_file` and `key_file` need `tls = true`")
        if self.key_file and not self.cert_file:
            raise ValueError("`key_file` needs `cert_file`")
        if self.password is not None and self.username is None:
            raise ValueError("`password` needs `username`")
