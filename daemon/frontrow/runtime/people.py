"""Who the rows are, for people's eyes: the last name and the last words that mattered, per row of the engine.

Kept apart from the engine, which must compute the same without them. Filled from the personal half of the journal at
start and from each frame afterwards.
"""

from collections.abc import Sequence

from frontrow.core import facts as fact
from frontrow.core.events import Event

MAX_WORDS = 120  # characters shown of what somebody said

_TELLING = fact.QUESTION | fact.CONTACT | fact.HOST


class People:
    """Names and words by (platform, room, viewer); of each viewer the latest only."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str, str], str] = {}
        self._words: dict[tuple[str, str, str], str] = {}

    def note(self, events: Sequence[Event], facts: Sequence[int]) -> None:
        """Take names and telling words from events; a question replaces what was said before."""
        for event, mask in zip(events, facts, strict=True):
            if event.viewer is None:
                continue
            if event.name:
                self._names[event.platform, event.room, event.viewer] = event.name
            if event.text and mask & _TELLING:
                self._words[event.platform, event.room, event.viewer] = event.text[:MAX_WORDS]

    def name(self, platform: str, room: str, viewer: str) -> str:
        """Return the display name, or the platform's id where no event has given a name."""
        return self._names.get((platform, room, viewer), viewer)

    def words(self, platform: str, room: str, viewer: str) -> str | None:
        """Return the last words that mattered, or None."""
        return self._words.get((platform, room, viewer))
