"""The fact that whole numbers of leads go into a file: one event for each, as where a number is shown to one person."""

from collections.abc import Iterable

from frontrow.core.centre.centre import PLATFORM, ROOM
from frontrow.core.events import Event

KIND = "contact_reveal"


def reveal_events(export: str, leads: Iterable[str], *, by: str, purpose: str, at: int) -> list[Event]:
    """Return the events of an export of this name; told again they are the same. ``at`` is now (UTC ms)."""
    data = {"by": by, "purpose": purpose, "export": export}
    return [
        Event(
            id=f"{KIND}-export-{export}-{lead}",
            platform=PLATFORM,
            room=ROOM,
            kind=KIND,
            at=at,
            seen_at=at,
            lead=lead,
            data=data,
        )
        for lead in leads
    ]
