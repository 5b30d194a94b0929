"""Canonical events from a WebSocket server that the daemon connects to."""

from frontrow_connectors.contract import Connector
from frontrow_connectors.websocket.client import WebSocketFeed
from frontrow_connectors.websocket.options import WebSocketOptions

CONNECTOR = Connector(name="websocket", options=WebSocketOptions, platform=None, client=WebSocketFeed)

__all__ = ["CONNECTOR", "WebSocketFeed", "WebSocketOptions"]
