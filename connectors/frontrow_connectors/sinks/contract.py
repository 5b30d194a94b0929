"""What a sink is: it renders lead alerts for one kind of receiver and sends them once, or says why not.

The port itself, :class:`frontrow.core.ports.Sink`, lives in the core, since the outbox worker calls it too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import httpx
import msgspec

from frontrow.core.alerts import Delivery
from frontrow.core.errors import SinkRefused
from frontrow.core.ports import Clock, Sink

__all__ = ["Audience", "Delivery", "Sink", "SinkContext", "SinkKind", "check_group"]

Audience = Literal["group", "member", "program", "source"]
"""Who reads: a group of people, the one person whom an alert is addressed to, a program that takes everything, or the platform that a lead
came from, which hears what became of it (``feedback``) and nothing else."""


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

    ``per_minute`` is how many messages the receiver takes in any 60 s (None: no limit), ``per_second`` in any second;
    above them the worker puts alerts together, at most ``digest_size`` in one message. 1 means that this sink knows no
    digest. ``per_member`` is how many one person takes in any 60 s, where ``audience`` is "member".
    """

    name: str
    options: type[msgspec.Struct]
    open: Callable[[Any, SinkContext], Sink]
    audience: Audience
    per_minute: int | None = None
    per_second: int | None = None
    per_member: int | None = None
    digest_size: int = 1


def check_group(deliveries: Sequence[Delivery]) -> None:
    """Return if a group may read all of these.

    Raises:
        SinkRefused: One is meant for one person alone.
    """
    if any(each.alert.to is not None or each.alert.purpose == "touch" for each in deliveries):
        raise SinkRefused("this is meant for one person, and a group would read it")
