"""What the inside asks of the outside, as Protocols: adapters fit these, tests give fakes that work."""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from frontrow.core.alerts import Delivery
from frontrow.core.centre.identities import Identity
from frontrow.core.events import Event
from frontrow.core.images import Image
from frontrow.core.lessons import Lessons
from frontrow.core.scoring import Matrix, Weights

GROUP_BYTES = 8  # of a key of the attic


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
    """What became of a batch, known once it is durable: how many were new and how many were known already.

    ``dropped`` were given up under overload, which happens only to what was offered.
    """

    accepted: int
    duplicates: int
    dropped: int = 0


class Intake(Protocol):
    """Where a feed puts its events. What is done with them when too many come is in ``daemon/docs/overload.md``."""

    async def put(self, events: Sequence[Event], *, feed: str) -> Awaitable[Receipt]:
        """Queue events and return what is done once their frame is durable.

        Waiting for this call is the back-pressure: it returns when the feed's share of the queue has room, and what it
        has taken is never thinned. The awaitable need not be awaited (it is a future, not a coroutine). A feed that has
        an acknowledgement sends it when it is done, and never before; others may drop it.
        It fails only if the daemon cannot store, and then the daemon stops.
        """

    def offer(self, events: Sequence[Event], *, feed: str) -> Awaitable[Receipt]:
        """Queue events of a feed that cannot wait: one that would be cut off, or whose platform sends nothing again.

        Never waits. Under overload likes and enters are merged, then the least worth is dropped and counted. The
        awaitable is as that of :meth:`put`, done once all that is left of the events is durable.
        """


class Sealer(Protocol):
    """Seals what persons entrusted, each with a key of their own, and knows numbers by keyed hashes."""

    def phone_key(self, e164: str) -> str:
        """Return what a number is known by: 32 hexadecimal digits, the same for the same number in one installation."""

    def seal_all(self, items: Sequence[tuple[Identity, str, bytes]]) -> list[bytes]:
        """Return each (identity, purpose, data) sealed; new keys are durable when this returns.

        Raises:
            CommitFailed: A new key cannot be kept, and the daemon must end.
        """


class Attic(Protocol):
    """Where the rows of viewers go who have been idle for long, and come back from. Derived from the journal.

    Deterministic: what is taken depends only on what was put, never on when something was written or removed inside.
    The first ``GROUP_BYTES`` of a key name its group, all of whose keys are forgotten together.
    """

    def put(self, items: Sequence[tuple[bytes, bytes]]) -> None:
        """Keep each (key, row); a key that was put before has the later row from now on."""

    def take(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the last row put for each key, or None. It stays here: whoever goes back to an older state takes it again.

        In the path of events: far less than a microsecond for a key that was never put.

        Raises:
            StoreDamaged: A row cannot be read back; the daemon must end, and rebuilds it all from the journal.
        """

    def forget(self, groups: Sequence[bytes]) -> None:
        """Note that no key of these groups, named by ``GROUP_BYTES`` each, will be put or taken any more.

        But by whoever goes back to a mark before this call: so rows go only when nobody can.
        """

    def mark(self, seq: int) -> None:
        """Note that what was put so far belongs to the state after frame ``seq``; called as its image is taken."""


class NewFile(Protocol):
    """A file that is being written. All methods raise OSError."""

    def write(self, data: bytes | memoryview) -> None:
        """Write all of ``data`` at the end."""

    def sync(self) -> None:
        """Return when what was written is on the disk."""

    def close(self) -> None:
        """Close it; idempotent."""


class Folder(Protocol):
    """Files by name, and nothing below. All methods raise OSError."""

    def names(self) -> list[str]:
        """Return the names that are there, in no order; none if there is no folder."""

    def create(self, name: str) -> NewFile:
        """Make an empty file, which only its owner may read, and the folder where it does not exist."""

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading."""

    def age_s(self, name: str) -> float:
        """Return how long ago a file was last written to, in seconds."""

    def rename(self, name: str, to: str) -> None:
        """Give a file another name, at once; a file of that name is replaced."""

    def remove(self, name: str) -> None:
        """Remove a file."""

    def sync(self) -> None:
        """Return when the names are on the disk as they are now."""


class Model(Protocol):
    """What the engine asks of an online model. One owner learns; everybody else reads :meth:`weights`."""

    @property
    def labels(self) -> int:
        """How many labels have been learnt."""

    @property
    def positives(self) -> int:
        """How many of them were positive."""

    @property
    def final(self) -> int:
        """How many final outcomes what is shown was calibrated on."""

    @property
    def final_positives(self) -> int:
        """How many of these were positive."""

    @property
    def ready(self) -> bool:
        """Whether enough labels have been learnt for the probability to be shown as a number."""

    @property
    def version(self) -> str:
        """Return the name of the present state: the same for equal states, another for any change."""

    @property
    def columns(self) -> int:
        """How many numbers :meth:`serve` returns for each row."""

    def weights(self) -> Weights:
        """Return an immutable copy of the present weights; the same object until something is learnt."""

    def probabilities(self, logits: Matrix, rooms: Sequence[str]) -> Matrix:
        """Return what is shown for raw logits of :meth:`weights`, each in its room ("platform/room"); shape (rows,)."""

    def serve(
        self, inputs: Matrix, rooms: Sequence[str], points: NDArray[np.int64], at: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Say what is believed of snapshots, in order, and what it is to be judged against; shape (rows, ``columns``).

        ``at`` is engine time, UTC ms, and never falls.
        The model also sees the inputs, shape (rows, features), so that its scaler learns their spread.
        """

    def learn(self, lessons: Lessons) -> None:
        """Learn from what is fresh, and be judged by what is final, in order.

        A lesson whose numbers are not finite is refused and counted, never learnt.
        """

    def promote(self, version: str, at: int) -> None:
        """Go on as the version of this name (:mod:`frontrow.core.promotions`) from engine time ``at`` on.

        What was served before ``at`` was said by another, and says nothing of this one.

        Raises:
            FrontrowError: There is no such version. Whoever applies a journal looks before the first frame.
        """

    def state(self) -> dict[str, Any]:
        """Return the canonical state: JSON values only, equal for equal models, with its ``version``."""

    def images(self) -> dict[str, Image]:
        """Return a copy of all that it holds, by part."""

    def load(self, images: Mapping[str, Image]) -> None:
        """Take over images of a model that began with the same options; go on as that one would have, promotions and all."""


class Sink(Protocol):
    """One configured receiver of alerts. Called by one worker, one call at a time."""

    async def deliver(self, deliveries: Sequence[Delivery]) -> str | None:
        """Send one message that tells of all ``deliveries``: one alert, or a digest of several.

        Returning means that the receiver has taken it; what is returned is the receiver's own id of the message, None
        where it gives none. At least once: after a crash the same may be sent again.

        Raises:
            SinkBusy: Not now (a limit, no answer, 5xx); the same deliveries come again later.
            SinkRefused: Never as it is (4xx, a business error that repeats, a digest that does not fit). A digest
                comes again in smaller parts; a single alert goes to the dead letters.
        """

    async def close(self) -> None:
        """Release connections; idempotent."""
