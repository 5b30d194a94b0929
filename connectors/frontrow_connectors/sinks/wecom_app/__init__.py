"""WeCom (企业微信) application: a to-do to the one seller it is for."""

from frontrow_connectors.sinks.contract import SinkKind
from frontrow_connectors.sinks.wecom_app.options import WeComAppOptions
from frontrow_connectors.sinks.wecom_app.sink import PER_MEMBER, WeComAppSink

SINK = SinkKind(
    name="wecom_app",
    options=WeComAppOptions,
    open=WeComAppSink,
    audience="member",
    per_member=PER_MEMBER,
)
