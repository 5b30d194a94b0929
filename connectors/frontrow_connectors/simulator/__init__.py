"""A simulated broadcast, played live: for a demo, and for trying a configuration without a platform."""

from frontrow_connectors.contract import Connector
from frontrow_connectors.simulator.client import SimulatorFeed
from frontrow_connectors.simulator.options import SimulatorOptions

CONNECTOR = Connector(name="simulator", options=SimulatorOptions, platform=None, client=SimulatorFeed)
