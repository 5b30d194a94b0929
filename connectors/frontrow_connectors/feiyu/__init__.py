"""飞鱼 CRM: the leads (线索) of Ocean Engine's forms, asked for at an interval."""

from frontrow_connectors.contract import Connector
from frontrow_connectors.feiyu.client import FeiyuFeed
from frontrow_connectors.feiyu.options import FeiyuOptions

CONNECTOR = Connector(name="feiyu", options=FeiyuOptions, platform=None, client=FeiyuFeed)

__all__ = ["CONNECTOR", "FeiyuFeed", "FeiyuOptions"]
