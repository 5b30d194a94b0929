"""Every sink that Frontrow ships, by the name that configuration uses."""

from collections.abc import Mapping
from types import MappingProxyType

from frontrow_connectors.sinks import dingtalk, feishu, webhook, wecom
from frontrow_connectors.sinks.contract import SinkKind

SINKS: Mapping[str, SinkKind] = MappingProxyType(
    {kind.name: kind for kind in (wecom.SINK, dingtalk.SINK, feishu.SINK, webhook.SINK)}
)
