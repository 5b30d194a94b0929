"""飞鱼 CRM is told what became of the leads that came from it."""

from frontrow_connectors.sinks.contract import SinkKind
from frontrow_connectors.sinks.feiyu.options import FeiyuSinkOptions
from frontrow_connectors.sinks.feiyu.sink import FeiyuSink

SINK = SinkKind(name="feiyu", options=FeiyuSinkOptions, open=FeiyuSink, audience="source")
