"""What is said when something stored cannot be read back: what is lost, and how to go on."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

HOW_TO_RESTORE = (
    "Stop the daemon and keep the file with its -wal beside it, untouched; `frontrow doctor` tells all that is lost."
    " To restore, `frontrow restore FILE` puts the last backup in its place, and it beside: what came after the backup is lost."
    " Without a backup, `frontrow doctor --salvage FILE` writes all that can still be read into a new store."
)


@dataclass(frozen=True, slots=True)
class Lost:
    """Frames ``first`` to ``last``, of which ``part`` is lost.

    Times are UTC milliseconds. Where the damage has taken the frames' own, they are those of the frames around, and
    ``events`` is None. ``last`` is None where the end of the journal cannot be found any more.
    """

    first: int
    last: int | None
    part: Literal["events", "names and texts"]
    events: int | None
    first_at: int | None
    last_at: int | None
    reason: str

    def __str__(self) -> str:
        if self.last is None:
            which = f"all frames from {self.first} on"
        elif self.last == self.first:
            which = f"frame {self.first}"
        else:
            which = f"frames {self.first} to {self.last}"
        count = "of an unknown number of events" if self.events is None else f"of {self.events:,} events"
        what = "" if self.part == "events" else f", only the {self.part}; scores and leads are not concerned"
        return f"{which} {count}, {_when(self.first_at)} to {_when(self.last_at)}{what}: {self.reason}"


def _when(at: int | None) -> str:
    if at is None:
        return "unknown"
    try:
        return datetime.fromtimestamp(at / 1000.0, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):  # events may claim any time
        return f"{at} ms"
