"""What a sink is: it renders lead alerts for one kind of receiver and sends them once, or says why not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
import msgspec

from frontrow.core.alerts import LeadAlert
from frontrow.core.ports import Clock


@dataclass(frozen=True, slots=True)
class Delivery:
    """One row of the outbox: ``key`` is stable over retries, and so an idempotency key for the receiver."""

    key: str
    alert: LeadAlert
    attempt: int  # from 1


class Sink(Protocol):
    """One configured receiver. Called by one worker, one call at a time."""

    async def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Send one message that tells of all ``deliveries``: one alert, or a digest of several.

        Returning means that the receiver has taken it. At least once: after a crash the same may be sent again.

        Raises:
            SinkBusy: Not now (a limit, no answer, 5xx); the same deliveries come again later.
            SinkRefused: Never as it is (4xx, a business error that repeats); goes to the dead letters.
        """
        ...

    async def close(self) -> None:
        """Release connections; idempotent."""
        ...


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
