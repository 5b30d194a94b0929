"""How a room sells right now, beside what the model expects of its viewers: a level that follows within minutes.

A host who gets going, a product that is wanted, a price that is not: a room's rate of outcomes jumps, and nothing of
any viewer says so. What does is how many outcomes came within the shortest window (two minutes) of the looks at its
viewers, against how many were expected of them,

    level = C · ln((came + K) / (expected · pace + K)),      pace = (came + A) / (expected + A) of all rooms,

both fading (of a room by half in eight minutes, of all in an hour). It is added to the logit that is shown, for all
viewers of a room alike; so it moves no order within a room at one time, and nothing is learnt from it. Looks at one
viewer are a minute or two apart, so that in two minutes an outcome counts about once. ``K`` is the Gamma prior of a
Poisson rate: a room with few outcomes has hardly a level. ``C`` is below 1, since a level does not last the hour that
is asked about. The pace keeps what is wrong with all rooms at once out of it: that is for the model and the
calibration to learn, and when outcomes stop arriving everywhere no room falls behind another.

Expected is the chance of a full hour, also shortly before the planned end: that fewer outcomes can come by then says
nothing of the next two minutes.

Figures, and what else was tried: daemon/docs/adr/0029-each-look-has-a-window-of-its-own.md.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frontrow.core.scoring import Matrix

HALF_LIFE_MS, PACE_HALF_LIFE_MS = 480_000.0, 3_600_000.0
C, K, A = 0.6, 15.0, 5.0
ROOMS = 10_000  # that are followed; beyond, the one that was quiet for longest is forgotten


class RoomLevels:
    """What came and what was expected, by room. Times are engine time, UTC ms. Not thread-safe; whoever only reads changes nothing."""

    def __init__(self) -> None:
        self._now = 0
        self._since = -1  # when the first look was taken that something was expected of; -1: none was
        # (came, expected, faded to when): of each room, the one that was quiet for longest first; and of all together.
        self._rooms: dict[str, tuple[float, float, int]] = {}
        self._all = (0.0, 0.0, 0)

    def expect(self, rooms: Sequence[str], outcomes: Matrix, at: NDArray[np.int64]) -> Matrix:
        """Expect so many ``outcomes`` (0 to 1) of each look within the shortest window; ``at`` is when it was served and never falls.

        Return what is to be added to their logits: what was known before each one's moment, so that no cut into calls
        between moments shows.
        """
        known = np.isfinite(outcomes)  # what a broken model says is the guard's affair
        numbers, found = np.where(known, outcomes, 0.0).tolist(), np.empty(len(rooms))
        ends = np.append(np.flatnonzero(np.diff(at)) + 1, len(rooms)).tolist() if len(rooms) else []
        for start, end in zip([0, *ends], ends, strict=False):
            self.fade(int(at[start]))
            self._since = self._now if self._since < 0 else self._since
            found[start:end] = self.of(rooms[start:end])
            sums: dict[str, float] = {}
            for room, expected in zip(rooms[start:end], numbers[start:end], strict=True):
                sums[room] = sums.get(room, 0.0) + expected
            for room, expected in sums.items():
                self._add(room, 0.0, expected, self._now)
        return found

    def hear(
        self,
        rooms: Sequence[str],
        outcomes: NDArray[Any],
        at: NDArray[np.int64],
        served_at: NDArray[np.int64],
    ) -> None:
        """Hear at some times of outcomes that came within the shortest window of looks, each counting as many as its look stands for.

        Those of looks of which nothing was expected are left out.
        """
        told = zip(rooms, outcomes.tolist(), at.tolist(), served_at.tolist(), strict=True)
        for room, came, now, served in told:
            if 0 <= self._since <= served:
                self._add(room, came, 0.0, now)

    def fade(self, now: int) -> None:
        """Let it be ``now``, if it is not later already."""
        self._now = max(self._now, now)

    def of(self, rooms: Sequence[str]) -> Matrix:
        """Return what is to be added to the logits of looks in these rooms; 0 where nothing is known. Shape (rooms,)."""
        known, now = self._rooms, self._now
        came, expected, since = self._all
        keep = 0.5 ** ((now - since) / PACE_HALF_LIFE_MS)
        pace = (came * keep + A) / (expected * keep + A)
        levels: dict[str, float] = {}
        for room in dict.fromkeys(rooms):
            own = known.get(room)
            if own is not None:
                keep = 0.5 ** ((now - own[2]) / HALF_LIFE_MS)
                levels[room] = C * math.log((own[0] * keep + K) / (own[1] * keep * pace + K))
        return np.array([levels.get(room, 0.0) for room in rooms], np.float64)

    def state(self) -> dict[str, Any]:
        """Return all that it holds as JSON values."""
        return {
            "now": self._now,
            "since": self._since,
            "all": list(self._all),
            "rooms": [[room, *numbers] for room, numbers in self._rooms.items()],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over a state."""
        self._now, self._since, self._all = state["now"], state["since"], tuple(state["all"])
        self._rooms = {room: (came, expected, since) for room, came, expected, since in state["rooms"]}

    def _add(self, room: str, came: float, expected: float, now: int) -> None:
        self._now = now = max(self._now, now)
        before, hoped, since = self._all
        keep = 0.5 ** ((now - since) / PACE_HALF_LIFE_MS)
        self._all = (before * keep + came, hoped * keep + expected, now)
        before, hoped, since = self._rooms.pop(room, (0.0, 0.0, now))
        keep = 0.5 ** ((now - since) / HALF_LIFE_MS)
        self._rooms[room] = (before * keep + came, hoped * keep + expected, now)
        if len(self._rooms) > ROOMS:
            del self._rooms[next(iter(self._rooms))]
