"""Twitch EventSub: a channel's chat, bits, subscriptions, follows and broadcasts over a WebSocket."""

from frontrow_connectors.contract import Connector
from frontrow_connectors.twitch_eventsub.client import TwitchEventSubFeed
from frontrow_connectors.twitch_eventsub.options import TwitchEventSubOptions

CONNECTOR = Connector(
    name="twitch_eventsub", options=TwitchEventSubOptions, platform="twitch", client=TwitchEventSubFeed
)
