"""Canonical events over MQTT, acknowledged after they are durable."""

from frontrow_connectors.contract import Connector
from frontrow_connectors.mqtt.client import MqttFeed
from frontrow_connectors.mqtt.options import MqttOptions

CONNECTOR = Connector(name="mqtt", options=MqttOptions, platform=None, client=MqttFeed)

__all__ = ["CONNECTOR", "MqttFeed", "MqttOptions"]
