"""Douyin live data push: a signed webhook with comments, likes, gifts and fan club changes."""

from frontrow_connectors.contract import Connector
from frontrow_connectors.douyin_push.options import DouyinPushOptions
from frontrow_connectors.douyin_push.receiver import DouyinPushReceiver

CONNECTOR = Connector(
    name="douyin_push", options=DouyinPushOptions, platform="douyin", receiver=DouyinPushReceiver
)

__all__ = ["CONNECTOR", "DouyinPushOptions", "DouyinPushReceiver"]
