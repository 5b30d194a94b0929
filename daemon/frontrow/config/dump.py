"""The configuration as plain values, to be shown to people: every secret is replaced."""

from enum import Enum
from pathlib import Path
from typing import Any

from msgspec import Struct

from frontrow.config.schema import Config, FeedConfig, SinkConfig
from frontrow.config.secret import SHOWN_INSTEAD, SecretText
from frontrow.config.shape import OPTIONS, options_of


def dump(config: Config) -> dict[str, Any]:
    """Return what is in force, defaults included, in the shape of the file; None stands for what TOML leaves out."""
    return _table(config)


def _table(struct: Struct) -> dict[str, Any]:
    dumped: dict[str, Any] = {}
    for option in options_of(type(struct)):
        value = getattr(struct, option.attribute)
        if isinstance(struct, FeedConfig | SinkConfig) and option.name == OPTIONS:
            dumped |= _table(value)
        else:
            dumped[option.name] = _plain(value, secret=option.kind.secret)
    return dumped


def _plain(value: Any, *, secret: bool) -> Any:
    match value:
        case Struct():
            return _table(value)
        case dict():
            return {key: _plain(each, secret=secret) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each, secret=secret) for each in value]
        case set() | frozenset():
            return sorted(_plain(each, secret=secret) for each in value)
        case None | "":
            return value  # nothing to hide, and worth knowing
        case _ if secret or isinstance(value, SecretText):
            return SHOWN_INSTEAD
        case Enum():
            return value.value
        case Path():
            return str(value)
    return value
