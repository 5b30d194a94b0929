"""Apprise: the long tail of services that Frontrow has no sink of its own for."""

from frontrow_connectors.sinks.apprise.options import AppriseOptions
from frontrow_connectors.sinks.apprise.sink import DIGEST_SIZE, AppriseSink
from frontrow_connectors.sinks.contract import SinkKind

SINK = SinkKind(
    name="apprise",
    options=AppriseOptions,
    open=AppriseSink,
    audience="group",
    per_minute=20,  # of services in general little is known; a robot's limit is a careful one
    digest_size=DIGEST_SIZE,
)
