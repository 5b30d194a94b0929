"""The configuration: one typed, frozen :class:`Config` from ``config.toml`` and the environment, or every mistake.

* :mod:`~frontrow.config.schema`: every option with type, bounds and default
* :mod:`~frontrow.config.loading`: :func:`load` and :func:`defaults`
* :mod:`~frontrow.config.dump`: what is in force, without secrets
* :mod:`~frontrow.config.secret`: the type :data:`Secret`, for connectors' and sinks' own options

Nothing here reads the process's environment by itself; the caller passes it.
"""

from frontrow.config.dump import dump
from frontrow.config.loading import Declared, defaults, load
from frontrow.config.schema import (
    Config,
    EngineConfig,
    FeedConfig,
    IntakeConfig,
    IntentsConfig,
    LogConfig,
    MetricsConfig,
    ModelConfig,
    OutcomeConfig,
    PanelConfig,
    RoomConfig,
    ServerConfig,
    SinkConfig,
    StorageConfig,
)
from frontrow.config.secret import Secret, SecretText

__all__ = [
    "Config",
    "Declared",
    "EngineConfig",
    "FeedConfig",
    "IntakeConfig",
    "IntentsConfig",
    "LogConfig",
    "MetricsConfig",
    "ModelConfig",
    "OutcomeConfig",
    "PanelConfig",
    "RoomConfig",
    "Secret",
    "SecretText",
    "ServerConfig",
    "SinkConfig",
    "StorageConfig",
    "defaults",
    "dump",
    "load",
]
