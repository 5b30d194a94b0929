"""What a connector is: its options, a pure decoder, and either a client that runs or a receiver that answers.

A *client* (WebSocket, MQTT, file, poller) is given a :class:`FeedContext` and runs until it is cancelled or its
input ends. A *receiver* (webhook) is a pure function from a request to an answer and events. Neither keeps state
that matters: what they deliver is in the journal, or was never acknowledged.
"""

import enum
import hashlib
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from frontrow.core.events import Event, RoomRef, has_control
from frontrow.core.ports import Clock, Receipt


class FeedState(enum.StrEnum):
    """In which state a feed is; what a panel translates."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    WAITING = "waiting"  # lost; will be tried again after `retry_in_s`
    REFUSED = "refused"  # a person must act; tried again, but rarely
    ENDED = "ended"  # the input is over (a file's end); nothing more will come


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """A feed's state and, in one short English phrase without viewers' data or secrets, why."""

    state: FeedState
    detail: str = ""
    retry_in_s: float | None = None

    @property
    def sentence(self) -> str:
        """Return the state as one sentence for people."""
        match self.state:
            case FeedState.CONNECTING:
                return _sentence("Connecting", self.detail)
            case FeedState.CONNECTED:
                return _sentence("Connected", self.detail)
            case FeedState.WAITING:
                again = "" if self.retry_in_s is None else f"; trying again in {self.retry_in_s:.0f} s"
                return _sentence("Connection lost", self.detail, again)
            case FeedState.REFUSED:
                return _sentence("Refused", self.detail, "; check the configuration")
            case FeedState.ENDED:
                return _sentence("Ended", self.detail)


def _sentence(head: str, detail: str, tail: str = "") -> str:
    return f"{head}: {detail}{tail}." if detail else f"{head}{tail}."


class Position(Protocol):
    """Where a feed goes on from, in its own words; for feeds that ask, and are not sent to.

    Kept beside the journal. A feed keeps a position once all that came before it is durable, and not earlier: after a
    crash it asks again for what may not have been stored, and the repeated is known by its ids.
    """

    async def read(self) -> str | None:
        """Return what was kept last; None if nothing was."""

    async def keep(self, position: str) -> None:
        """Keep this from now on, durably."""


class ForgetfulPosition:
    """A position that is kept as long as the process lives."""

    def __init__(self) -> None:
        self._position: str | None = None

    async def read(self) -> str | None:
        return self._position

    async def keep(self, position: str) -> None:
        self._position = position


@dataclass(frozen=True, kw_only=True)
class FeedContext:
    """What a running feed is given; everything that it may touch outside itself.

    ``put`` is the intake bound to this feed (see :class:`frontrow.core.ports.Intake`): awaiting it is back-pressure,
    what it returns is done when the events are durable. ``offer`` is for feeds that cannot wait, since the other side
    would cut them off and sends nothing again: it never waits, and under overload thins what was offered. ``status``
    tells people what the feed does; call it when the state changes. ``reject`` counts input that could not be made
    into an event and logs the reason once per reason: pass a reason without the input's own text. ``rng`` is for
    jitter. ``position`` is where a feed that asks goes on from.
    """

    feed: str
    room: RoomRef
    clock: Clock
    rng: random.Random
    put: Callable[[Sequence[Event]], Awaitable[Awaitable[Receipt]]]
    offer: Callable[[Sequence[Event]], Awaitable[Receipt]]
    status: Callable[[FeedStatus], None]
    reject: Callable[[str], None]
    position: Position = field(default_factory=ForgetfulPosition)


class Feed(Protocol):
    """A client. ``run`` reconnects for ever by itself and returns only when the input is over."""

    async def run(self) -> None: ...


@dataclass(frozen=True, slots=True)
class HookRequest:
    """A webhook's request: header names in lower case, the raw body, and when it came (UTC milliseconds).

    ``from_here`` says that the connection came from this machine itself, which a proxy's does too.
    """

    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    now: int
    from_here: bool = False


@dataclass(frozen=True, slots=True)
class HookAnswer:
    """What to store first and then to answer. ``rejected`` are reasons, one per item that was not taken."""

    events: Sequence[Event] = ()
    body: bytes = b"{}"
    status: int = 200
    content_type: str = "application/json"
    rejected: Sequence[str] = field(default=())


class Receiver(Protocol):
    """A webhook's pure half. The server stores ``events`` durably before it sends the answer."""

    def receive(self, request: HookRequest) -> HookAnswer:
        """Check and decode one request.

        Raises:
            SignatureInvalid: Answered with 401 and counted.
            EventInvalid: The body as a whole cannot be read; answered with 400 and counted.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Connector:
    """One entry of the registry: a name, the options' type, and how to make the client or the receiver.

    Exactly one of ``client`` and ``receiver`` is given. ``platform`` is what its events carry, or None where the
    room's configuration decides (generic feeds).
    """

    name: str
    options: type[msgspec.Struct]
    platform: str | None
    client: Callable[[Any, FeedContext], Feed] | None = None
    receiver: Callable[[Any, RoomRef], Receiver] | None = None


UNKNOWN = "unknown"
"""The kind under which a connector stores a message type that it does not know; see :func:`unknown_event`."""


def unknown_event(
    *, id: str, room: RoomRef, at: int, type: str, message: Any, viewer: str | None = None
) -> Event:
    """Return the event that keeps a message of unknown type whole: ``extra`` is ``{"type": …, "message": …}``.

    Identities that no event may have give way, since the message is worth more: the id to its hash, the viewer to None.
    """
    if has_control(id):
        id = f"sha256-{hashlib.sha256(id.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
    if viewer is not None and has_control(viewer):
        viewer = None
    return Event(
        id=id,
        platform=room.platform,
        room=room.room,
        kind=UNKNOWN,
        at=at,
        viewer=viewer,
        extra={"type": type[:128], "message": message},
    )
