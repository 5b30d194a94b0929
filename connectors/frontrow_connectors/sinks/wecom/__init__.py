"""WeCom (企业微信) group robot: leads as markdown messages in a group."""

from frontrow_connectors.sinks.contract import SinkKind
from frontrow_connectors.sinks.wecom.options import WeComOptions
from frontrow_connectors.sinks.wecom.sink import DIGEST_SIZE, PER_MINUTE, WeComSink

SINK = SinkKind(
    name="wecom",
    options=WeComOptions,
    open=WeComSink,
    audience="group",
    per_minute=PER_MINUTE,
    digest_size=DIGEST_SIZE,
)
