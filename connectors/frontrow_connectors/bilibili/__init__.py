"""Bilibili Open-Live: a room's comments, gifts, guards, likes and enters over a signed WebSocket session."""

from frontrow_connectors.bilibili.client import BilibiliFeed
from frontrow_connectors.bilibili.options import BilibiliOptions
from frontrow_connectors.contract import Connector

CONNECTOR = Connector(name="bilibili", options=BilibiliOptions, platform="bilibili", client=BilibiliFeed)
