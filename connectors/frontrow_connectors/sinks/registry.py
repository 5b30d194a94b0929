"""Every sink that Frontrow ships, by the name that configuration uses."""

from collections.abc import Mapping
from types import MappingProxyType

from frontrow_connectors.sinks import apprise, crm, dingtalk, feishu, feiyu, sms, webhook, wecom, wecom_app
from frontrow_connectors.sinks.contract import SinkKind

_SHIPPED = (wecom, wecom_app, dingtalk, feishu, sms, webhook, crm, feiyu, apprise)
SINKS: Mapping[str, SinkKind] = MappingProxyType({module.SINK.name: module.SINK for module in _SHIPPED})
