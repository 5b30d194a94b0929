"""DingTalk (钉钉) group robot: leads as markdown messages in a group."""

from frontrow_connectors.sinks.contract import SinkKind
from frontrow_connectors.sinks.dingtalk.options import DingTalkOptions
from frontrow_connectors.sinks.dingtalk.sink import DIGEST_SIZE, PER_MINUTE, DingTalkSink

SINK = SinkKind(
    name="dingtalk",
    options=DingTalkOptions,
    open=DingTalkSink,
    audience="group",
    per_minute=PER_MINUTE,
    digest_size=DIGEST_SIZE,
)
