"""Whom to show to sales though the grade does not say so: few, by hash, each with the chance at which it was chosen.

What becomes of viewers whom nobody is told of says little of what would have become of them. So a small share of
those just under the threshold is shown, by chance and not by judgement, and the chance is kept: weighing by its
inverse makes those who were shown stand for all (Horvitz & Thompson 1952; in advertising Li et al., WSDM 2011).

One draw a viewer, session and hour of engine time, by :func:`frontrow.core.sampling.chances`, and not more than a
number per room and hour. Whether there is still room for one is known before it is drawn, so the chance is the rate,
or nothing.
"""

from typing import Any

from frontrow.core.sampling import chances

HOUR_MS = 3_600_000


class Exploration:
    """Chooses. Owned by one engine, asked at marks, in an order that every replay repeats."""

    def __init__(self, rate: float, *, per_hour: int) -> None:
        """``rate`` is the chance of each; at most ``per_hour`` are chosen in a room and hour."""
        self.rate = rate
        self._per_hour = per_hour
        self._hour = 0
        self._chosen: dict[str, int] = {}  # by room, in this hour

    def chooses(self, room: str, name: str, at: int) -> bool:
        """Return whether to show who is called ``name`` (viewer and session), at engine time ``at`` (UTC ms)."""
        hour = at // HOUR_MS
        if hour != self._hour:
            self._hour = hour
            self._chosen.clear()
        chosen = self._chosen.get(room, 0)
        # Another salt than that of the looks that are kept: the two choices have nothing to do with each other.
        if chosen >= self._per_hour or chances([f"explore/{name}/{hour}"])[0] >= self.rate:
            return False
        self._chosen[room] = chosen + 1
        return True

    def state(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        return {"hour": self._hour, "chosen": [list(each) for each in self._chosen.items()]}

    def load(self, state: dict[str, Any]) -> None:
        """Take over a state."""
        self._hour, self._chosen = state["hour"], {room: chosen for room, chosen in state["chosen"]}
