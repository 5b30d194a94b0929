"""WeChat Channels (视频号): the leads (留资) that viewers leave in a broadcast's form, asked for at an interval."""

from frontrow_connectors.channels_leads.client import ChannelsLeadsFeed
from frontrow_connectors.channels_leads.options import ChannelsLeadsOptions
from frontrow_connectors.contract import Connector

CONNECTOR = Connector(
    name="channels_leads", options=ChannelsLeadsOptions, platform=None, client=ChannelsLeadsFeed
)

__all__ = ["CONNECTOR", "ChannelsLeadsFeed", "ChannelsLeadsOptions"]
