"""Short ways to make events, engines and facts for tests."""

import functools
from collections.abc import Sequence
from typing import Any

from frontrow.core.engine import Effects, Engine, EngineOptions
from frontrow.core.events import Event, RoomRef
from frontrow.core.frames import Frame
from frontrow.core.intents import RoomLexicon
from frontrow.core.points import Policy
from frontrow.core.ports import Model
from frontrow.lexicon import load_lexicon
from tests.support.preparing import prepare

START = 1_750_000_000_000
ROOM = RoomRef(id="demo", platform="test", room="r1", title="夏季新品")


@functools.cache
def lexicon() -> RoomLexicon:
    """The default lexicon in a room without names or raffle words of its own."""
    return load_lexicon(()).for_room(host_aliases=(), raffle_words=())


def event(
    kind: str, after: float = 0.0, *, viewer: str | None = "v1", id: str | None = None, **fields: Any
) -> Event:
    """Return an event so many seconds after START; its id is made of what it is, unless given."""
    at = START + round(after * 1000)
    made: dict[str, Any] = {"platform": ROOM.platform, "room": ROOM.room, "at": at, **fields}
    return Event(id=id or f"{kind}-{viewer}-{at}", kind=kind, viewer=viewer, **made)


def facts_of(events: Sequence[Event]) -> list[int]:
    """Return what the intake would derive of each event."""
    return [prepare(each, lexicon(), "CN") for each in events]


def engine(*, policy: Policy | None = None, model: Model | None = None, **options: Any) -> Engine:
    """Return a fresh engine with defaults."""
    return Engine(EngineOptions(**options), policy or Policy(), model)


def apply(to: Engine, *events: Event) -> Effects:
    """Apply events as one frame."""
    return to.apply(Frame.of(events, facts_of(events)))
