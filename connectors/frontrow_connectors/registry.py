"""Every connector, by name. Written down, not found: what is not in this list does not exist."""

from collections.abc import Mapping
from types import MappingProxyType, ModuleType

from frontrow_connectors import (
    bilibili,
    channels_leads,
    douyin_push,
    feiyu,
    file,
    form,
    mqtt,
    simulator,
    twitch_eventsub,
    twitch_irc,
    websocket,
)
from frontrow_connectors.contract import Connector

FOLDERS: tuple[ModuleType, ...] = (
    bilibili,
    channels_leads,
    douyin_push,
    feiyu,
    file,
    form,
    mqtt,
    simulator,
    twitch_eventsub,
    twitch_irc,
    websocket,
)

CONNECTORS: Mapping[str, Connector] = MappingProxyType(
    {connector.name: connector for connector in (folder.CONNECTOR for folder in FOLDERS)}
)
