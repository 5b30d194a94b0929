"""What the inside asks of the outside, as Protocols: adapters fit these, tests give fakes that work."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from frontrow.core.alerts import Delivery
from frontrow.core.events import Event
from frontrow.core.labels import Label
from frontrow.core.scoring import Matrix, Weights


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


class Model(Protocol):
    """What the engine asks of an online model. One owner learns; everybody else reads :meth:`weights`."""

    @property
    def labels(self) -> int:
        """How many labels have been learnt."""

    @property
    def positives(self) -> int:
        """How many of them were positive."""

    @property
    def ready(self) -> bool:
        """Whether enough labels have been learnt for the probability to be shown as a number."""

    @property
    def version(self) -> str:
        """Return the name of the present state: the same for equal states, another for any change."""

    def weights(self) -> Weights:
        """Return an immutable copy of the present weights; the same object until something is learnt."""

    def observe(self, inputs: Matrix) -> None:
        """See inputs as they are served, in order, so that the scaler learns their spread; shape (rows, features)."""

    def learn(self, labels: Sequence[Label]) -> None:
        """Learn resolved labels, in order. A label whose input is not finite is refused and counted, never learnt."""

    def state(self) -> dict[str, Any]:
        """Return the canonical state: JSON values only, equal for equal models, with its ``version``."""


class Sink(Protocol):
    """One configured receiver of alerts. Called by one worker, one call at a time."""

    async def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Send one message that tells of all ``deliveries``: one alert, or a digest of several.

        Returning means that the receiver has taken it. At least once: after a crash the same may be sent again.

        Raises:
            SinkBusy: Not now (a limit, no answer, 5xx); the same deliveries come again later.
            SinkRefused: Never as it is (4xx, a business error that repeats, a digest that does not fit). A digest
                comes again in smaller parts; a single alert goes to the dead letters.
        """

    async def close(self) -> None:
        """Release connections; idempotent."""
