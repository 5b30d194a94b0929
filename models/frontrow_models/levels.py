"""How a room sells right now, beside what the model expects of its viewers: a level that follows within minutes.

A host who gets going, a product that is wanted, a price that is not: a room's rate of outcomes jumps, and nothing of
any viewer says so. What does is how many outcomes came within the shortest window (two minutes) of the looks at its
viewers, against how many were expected of them. A room's level is taken for a logarithm that is drawn anew from a normal
distribution at times nobody knows, and the outcomes of a minute for a Poisson number. What is known of it is a
distribution over :data:`GRID`, followed from minute to minute (the forward recursion of a hidden Markov model; Rabiner 1989):

    p(g) ← p(g) · exp(came · g - expected · pace · e^g), normed;     p(g) ← k · p(g) + (1 - k) · prior(g),  k = e^(-1 / LASTS)

    level = C · Σ p(g) · g,      pace = (came + A) / (expected + A) of all rooms, fading by half in an hour

It is added to the logit that is shown, for all viewers of a room alike; so it moves no order within a room at one time,
and nothing is learnt from it. Looks at one viewer are a minute or two apart, so that in two minutes an outcome counts
about once. A room with few outcomes stays near the prior, which has no level. ``C`` is below 1, since a level does not
last the hour that is asked about. The pace keeps what is wrong with all rooms at once out of it: that is for the model
and the calibration to learn, and when outcomes stop arriving everywhere no room falls behind another.

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

MINUTE_MS = 60_000
SPREAD = 0.5  # of the logarithm of a room's level: one in three sells 1.6 times as well as usual, or as badly
LASTS = 20.0  # minutes that a level lasts in the mean
C, A, PACE_HALF_LIFE = 0.5, 5.0, 60.0  # the last in minutes
GRID = np.linspace(-2.0 * SPREAD, 2.0 * SPREAD, 13)
ROOMS = 10_000  # that are followed; beyond, the one that was quiet for longest is forgotten

_FACTORS = np.exp(GRID)
_PRIOR = np.exp(-0.5 * (GRID / SPREAD) ** 2)
_PRIOR /= _PRIOR.sum()


class RoomLevels:
    """What is known of rooms' levels. Times are engine time, UTC ms. Not thread-safe; whoever only reads changes nothing.

    What is expected and heard within a minute counts from the next minute on, so that neither its order nor its cut into
    calls shows.
    """

    def __init__(self) -> None:
        self._minute = 0  # the latest
        self._since = -1  # when the first look was taken that something was expected of; -1: none was
        # Of each room, the one that was quiet for longest first: the minute that its distribution is of, that, and its mean.
        self._rooms: dict[str, tuple[int, Matrix, float]] = {}
        self._fresh: dict[str, list[float]] = {}  # what came and what was expected this minute
        self._all = (0.0, 0.0, 0)  # the same of all rooms until this minute, faded to which

    def expect(self, rooms: Sequence[str], outcomes: Matrix, at: NDArray[np.int64]) -> Matrix:
        """Expect so many ``outcomes`` (0 to 1) of each look within the shortest window; ``at`` is when it was served and never falls.

        Return what is to be added to their logits.
        """
        known = np.isfinite(outcomes)  # what a broken model says is the guard's affair
        numbers, found = np.where(known, outcomes, 0.0).tolist(), np.empty(len(rooms))
        ends = [*(np.flatnonzero(np.diff(at // MINUTE_MS)) + 1).tolist(), len(rooms)] if len(rooms) else []
        for start, end in zip([0, *ends], ends, strict=False):
            self.fade(int(at[start]))
            self._since = int(at[start]) if self._since < 0 else self._since
            found[start:end] = self.of(rooms[start:end])
            for room, expected in zip(rooms[start:end], numbers[start:end], strict=True):
                self._of_this_minute(room)[1] += expected
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
                self.fade(now)
                self._of_this_minute(room)[0] += came

    def fade(self, now: int) -> None:
        """Let it be ``now``, if it is not later already."""
        minute = now // MINUTE_MS
        if minute > self._minute:
            if self._fresh:
                self._take(self._fresh)
            self._fresh, self._minute = {}, minute

    def of(self, rooms: Sequence[str]) -> Matrix:
        """Return what is to be added to the logits of looks in these rooms; 0 where nothing is known. Shape (rooms,)."""
        levels: dict[str, float] = {}
        for room in dict.fromkeys(rooms):
            known = self._rooms.get(room)
            if known is not None:
                levels[room] = C * _kept(self._minute - known[0]) * known[2]  # the prior's mean is 0
        return np.array([levels.get(room, 0.0) for room in rooms], np.float64)

    def state(self) -> dict[str, Any]:
        """Return all that it holds as JSON values."""
        return {
            "minute": self._minute,
            "since": self._since,
            "all": list(self._all),
            "rooms": [[room, minute, p.tolist()] for room, (minute, p, _) in self._rooms.items()],
            "fresh": [[room, *numbers] for room, numbers in self._fresh.items()],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over a state."""
        self._minute, self._since, self._all = state["minute"], state["since"], tuple(state["all"])
        self._rooms = {room: (minute, np.array(p), _mean(np.array(p))) for room, minute, p in state["rooms"]}
        self._fresh = {room: numbers for room, *numbers in state["fresh"]}

    def _of_this_minute(self, room: str) -> list[float]:
        found = self._fresh.get(room)
        if found is None:
            found = self._fresh[room] = [0.0, 0.0]
        return found

    def _take(self, fresh: Mapping[str, Sequence[float]]) -> None:
        """Take what came in the minute that is over into what is known."""
        came, expected, minute = self._all
        keep = 0.5 ** ((self._minute - minute) / PACE_HALF_LIFE)
        came, expected = came * keep, expected * keep
        pace = (came + A) / (expected + A)
        for room, (own, hoped) in fresh.items():
            known = self._rooms.pop(room, None)
            p = _PRIOR
            if known is not None:
                keep = _kept(self._minute - known[0])
                p = keep * known[1] + (1.0 - keep) * _PRIOR
            likely = own * GRID - hoped * pace * _FACTORS
            p = p * np.exp(likely - likely.max())
            p /= p.sum()
            self._rooms[room] = self._minute, p, _mean(p)
            came, expected = came + own, expected + hoped
        while len(self._rooms) > ROOMS:
            del self._rooms[next(iter(self._rooms))]
        self._all = came, expected, self._minute


def _mean(p: Matrix) -> float:
    return float((p * GRID).sum())


def _kept(minutes: int) -> float:
    """Return the chance that a level has not been drawn anew in so many minutes."""
    return math.exp(-minutes / LASTS)
