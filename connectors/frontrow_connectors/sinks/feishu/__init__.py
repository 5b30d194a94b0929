"""Feishu/Lark (飞书) group robot: leads as cards in a group."""

from frontrow_connectors.sinks.contract import SinkKind
from frontrow_connectors.sinks.feishu.options import FeishuOptions
from frontrow_connectors.sinks.feishu.sink import DIGEST_SIZE, PER_MINUTE, PER_SECOND, FeishuSink

SINK = SinkKind(
    name="feishu",
    options=FeishuOptions,
    open=FeishuSink,
    audience="group",
    per_minute=PER_MINUTE,
    per_second=PER_SECOND,
    digest_size=DIGEST_SIZE,
)
