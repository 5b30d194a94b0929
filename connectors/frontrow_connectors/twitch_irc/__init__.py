"""Twitch chat over IRC in a WebSocket: comments, bits, subscriptions, who comes and goes; no right needed to read."""

from frontrow_connectors.contract import Connector
from frontrow_connectors.twitch_irc.client import TwitchIrcFeed
from frontrow_connectors.twitch_irc.options import TwitchIrcOptions

CONNECTOR = Connector(name="twitch_irc", options=TwitchIrcOptions, platform="twitch", client=TwitchIrcFeed)
