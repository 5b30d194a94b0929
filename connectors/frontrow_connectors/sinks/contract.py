"""What a sink is: it renders lead alerts for one kind of receiver and sends them once, or says why not.

The port itself, :class:`frontrow.core.ports.Sink`, lives in the core, since the outbox worker calls it too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec

from frontrow.core.alerts import Delivery
from frontrow.core.ports import Clock, Sink

__all__ = ["Delivery", "Sink", "SinkContext", "SinkKind"]


@dataclass(frozen=True, kw_only=True)
class SinkContext:
    """What a sink is given: its configured id, time, one shared HTTP client, and the public base URL of our pages."""

    sink: str
    clock: Clock
    http: httpx.AsyncClient
    base_url: str
    language: str  # "zh-CN" or "en"


@dataclass(frozen=True, kw_only=True)
class SinkKind:
    """One entry of the registry.

    ``per_minute`` is how many messages the receiver takes in any 60 s (None: no limit); above it the worker puts
    alerts together, at most ``digest_size`` in one message. 1 means that this sink knows no digest.
    """

    name: str
    options: type[msgspec.Struct]
    open: Callable[[Any, SinkContext], Sink]
    per_minute: int | None = None
    digest_size: int = 1
