"""What the inside asks of the outside, as Protocols: adapters fit these, tests give fakes that work."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Protocol

from frontrow.core.events import Event


class Clock(Protocol):
    """Where time comes from. Only :mod:`frontrow.clock` reads the machine's; tests move one by hand."""

    def now(self) -> int:
        """Return wall-clock time, UTC milliseconds."""

    def monotonic(self) -> float:
        """Return seconds that never run backwards; only differences mean anything."""

    async def sleep(self, seconds: float) -> None:
        """Wait; the one way in which Frontrow's tasks let time pass."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a batch, known once it is durable: how many were new and how many were known already."""

    accepted: int
    duplicates: int


class Intake(Protocol):
    """Where a feed puts its events."""

    async def put(self, events: Sequence[Event], *, feed: str) -> Awaitable[Receipt]:
        """Queue events and return what is done once their frame is durable.

        Waiting for this call is the back-pressure: it returns when the queue has room. The awaitable need not be awaited (it is a future, not a coroutine). A feed that has an
        acknowledgement sends it when it is done, and never before; others may drop it.
        It fails only if the daemon cannot store, and then the daemon stops.
        """
