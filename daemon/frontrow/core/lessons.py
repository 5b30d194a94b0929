"""From what was served and what happened later to lessons: what a model may learn from, and what it is judged by.

A *snapshot* is what the models saw of a viewer at one mark, and what they said. The joiner waits for what becomes of
it, in event time, and tells of it in lessons:

* *observed*: after its window, or at the outcome if that comes within it. Fresh, and not yet certain:
  a negative here may still buy;
* *late*: the outcome came after the window. The snapshot comes again, as a positive;
* *withdrawn*: the outcome was taken back: the order's money was returned. What was learnt of it is to be undone. If it had
  come within the window, the snapshot is besides observed to be a negative when that ends, as it would have been
  without the order;
* *mature*: the horizon has passed, the outcome is final. Too old to learn from in a room that changes by the minute, but the
  only one to be judged by.

**Each snapshot has a window of its own, drawn as outcomes come** (:func:`window_of`): one in ten the shortest, a third within eight
minutes, the last nearly the whole horizon. So a negative is told when a positive would have been, and what is learnt
at one moment is of looks of one age, whatever came of it. With one window for all, negatives are of now and positives
of an hour's past: a model takes whatever grows with the clock for the difference
(daemon/docs/adr/0029-each-look-has-a-window-of-its-own.md).

A learner weighs all but the last so that what it learns in the end is what that would have taught it (see
``frontrow_models.policies``). Lessons leave in the order (time of resolution, snapshot), so that a replay learns in the
same order.

An outcome counts for the snapshots of its viewer that lie before it in event time by no more than the horizon, and
only if it is heard of before they are mature. One heard later is counted, and changes nothing. So it is with what
takes it back. "Not interested" ends the waiting of the window: the snapshot is a negative at once, and an order that
comes all the same is a late one. What is final depends on what was heard, and not on the order in which it was.

Not more than a bound of snapshots wait. Where more would, a share is chosen by hash (:mod:`frontrow.core.sampling`),
and each one that is kept weighs as many as it stands for. An outcome none of whose snapshots was kept is counted.

Snapshots lie in columns, in the order of serving, which is the order of maturing; each knows the one before it of the
same row. So a million of them are a few large arrays, and the newest of a row leads to all others.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from frontrow.core.calendar import Calendar
from frontrow.core.columns import Column, zeros
from frontrow.core.images import Image
from frontrow.core.outcomes import Heard, Ledger, Success, What
from frontrow.core.sampling import chances, evenly, halvings, weights

_FIRST = 4096  # snapshots that there is room for at first
_NONE = -1
_MEAN_MS = 1_200_000.0  # until an outcome: whoever gives it a day's time still hears of most within the hour
_DRAWN = 4096  # windows that are drawn ahead
_LEAST_ELAPSED = 64  # a part of the horizon: how many come in it is not told from less
_LONGEST_MS = (1 << 31) - 1  # delays are told apart up to here, 24 days
# What a snapshot's state is made of.
_OBSERVED = 1  # an observed lesson was told
_POSITIVE = 2  # its outcome was heard of, and stands
_EARLY = 4  # ... and was told as observed
_RETURNED = 8  # an outcome of it was taken back
_DECLINED = 16

Numbers = NDArray[Any]


class Stage(IntEnum):
    """How certain a lesson's outcome is."""

    OBSERVED = 0
    LATE = 1
    MATURE = 2
    WITHDRAWN = 3


class Ending(IntEnum):
    """What is known of how it ended with a snapshot's viewer."""

    NONE = 0  # nothing was heard
    SUCCESS = 1
    RETURNED = 2  # a success that was taken back
    DECLINED = 3  # "not interested"


@dataclass(frozen=True, slots=True)
class Lessons:
    """Columns, one value per lesson, in the order (``resolved_at``, ``snapshot``, ``stage``).

    ``snapshot`` numbers what was served; ``served_at`` and ``resolved_at`` are engine time (UTC ms); ``session`` is
    the engine's number of the session, ``room`` its room's name, "platform/room". ``inputs`` (lessons, features) and
    ``served`` (lessons, columns) are what the models saw and said. ``outcome`` says whether it happened, ``delay_ms``
    how long after serving it was heard of (-1: it was not), ``value`` its money in minor units (0: none was told),
    ``cause`` which outcome it was: an order after five snapshots is five positives and one cause (-1: none).
    ``stage`` holds numbers of :class:`Stage`, ``ending`` of :class:`Ending`. A withdrawn lesson's outcome is False,
    and what is undone is a positive. ``weight`` is how many snapshots this one stands for. ``reached`` is the chance
    at which sales had been told of the viewer by then, 1 for whoever was hot, 0 if they had not been. ``within`` is
    the share of its outcomes that was believed to come within its window, or to be known by then: above 0, at most 1.
    ``viewer`` tells the viewers of broadcasts apart, and nobody's name: it is the number of their first snapshot in
    it.
    """

    snapshot: NDArray[np.int64]
    served_at: NDArray[np.int64]
    resolved_at: NDArray[np.int64]
    session: NDArray[np.int32]
    room: NDArray[np.object_]
    inputs: NDArray[np.float32]
    served: NDArray[np.float32]
    outcome: NDArray[np.bool_]
    delay_ms: NDArray[np.int32]
    value: NDArray[np.float64]
    cause: NDArray[np.int64]
    stage: NDArray[np.uint8]
    ending: NDArray[np.uint8]
    weight: NDArray[np.float32]
    reached: NDArray[np.float32]
    viewer: NDArray[np.int64]
    within: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.snapshot)

    def take(self, which: Numbers) -> "Lessons":
        """Return the lessons at some positions, or where a mask is true."""
        return Lessons(*[getattr(self, name)[which] for name in _LESSON])

    @classmethod
    def joined(cls, parts: Sequence["Lessons"]) -> Self:
        """Return the lessons of several parts (at least one), one part after another."""
        return cls(*[np.concatenate([getattr(part, name) for part in parts]) for name in _LESSON])


_LESSON = tuple(column.name for column in fields(Lessons))


@dataclass(frozen=True, slots=True)
class Served:
    """What was served at marks, columns as in :class:`Lessons`.

    ``rows`` are the viewers' rows, which another viewer may have by now, ``rooms`` "platform/room", ``broadcasts``
    the ids of the sessions and ``viewers`` the platform's ids of the viewers.
    """

    snapshot: NDArray[np.int64]
    served_at: NDArray[np.int64]
    session: NDArray[np.int32]
    rows: NDArray[np.int64]
    rooms: Sequence[str]
    broadcasts: Sequence[str]
    viewers: Sequence[str]
    inputs: NDArray[np.float32]
    served: NDArray[np.float32]
    weight: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.snapshot)


def window_of(
    numbers: NDArray[np.int64], spans_ms: NDArray[np.int64], *, shortest_ms: int, horizon_ms: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the window of each snapshot by its number, in ms, and the share of its outcomes that is believed to come within it.

    Outcomes are believed to come after an exponential time with a mean of a third of the horizon, twenty minutes at
    most, cut off where none can come any more, ``spans_ms`` (above 0) after it: at the horizon, or when the broadcast
    is planned to be over. That belief need not be right: how the ages of positives and negatives differ then is
    second to what one window for all makes of them.
    """
    mean = min(horizon_ms / 3.0, _MEAN_MS)
    whole = -np.expm1(spans_ms / -mean)
    drawn = -mean * np.log1p(-whole * evenly(numbers))
    windows = np.minimum(np.maximum(np.rint(drawn), shortest_ms), horizon_ms).astype(np.int32)
    within = np.minimum(-np.expm1(windows / -mean) / whole, 1.0)
    # A window of nothing has seen nothing; a learner divides by what it has not seen.
    return windows, np.maximum(within, np.finfo(np.float32).tiny).astype(np.float32)


def _numbers(rows: NDArray[np.int64]) -> list[str]:
    return list(map(str, rows.tolist()))


class Joiner:
    """Snapshots that wait for their outcome, not more than ``bound``."""

    _COLUMNS = (
        "inputs", "served", "served_at", "session", "before", "state", "halved", "reached", "viewer", "window", "within",
    )  # fmt: skip

    def __init__(
        self,
        *,
        width: int,
        columns: int,
        horizon_ms: int,
        window_ms: int,
        room_of: Callable[[int], str],
        names_of: Callable[[NDArray[np.int64]], Sequence[str]] = _numbers,
        bound: int = 1_000_000,
    ) -> None:
        """Make an empty joiner for inputs of ``width`` numbers with ``columns`` numbers served beside each.

        No snapshot's window is shorter than ``window_ms``. ``room_of`` returns the name of the room of a session's
        number, for as long as a snapshot of it waits. ``names_of`` returns what rows are called in every replay: by
        that, and the time, it is chosen who is kept.

        Raises:
            ValueError: The window is longer than the horizon, or the horizon than 24 days.
        """
        if not 0 <= window_ms <= horizon_ms <= _LONGEST_MS:
            raise ValueError("the window must lie within the horizon, and that within 24 days")
        self._width = width
        self._room_of = room_of
        self._names_of = names_of
        self._horizon_ms = horizon_ms
        self._window_ms = window_ms
        self._bound = bound
        # Snapshots are numbered from 0; those before `_begin` are gone. Number n lies at place n - `_base`.
        self._base = self._begin = self._end = 0
        self._windows = Calendar()  # when each one's window ends
        # Windows of the whole horizon, drawn ahead: the first one's number, and what window_of() gives.
        self._drawn = (0, np.zeros(0, np.int32), np.zeros(0, np.float32))
        self._inputs = np.zeros((_FIRST, width), np.float32)
        self._served = np.zeros((_FIRST, columns), np.float32)
        self._served_at = np.zeros(_FIRST, np.int64)
        self._session = np.zeros(_FIRST, np.int32)
        self._before = np.zeros(_FIRST, np.int32)  # how far back the same row's former one is; 0: none
        self._state = np.zeros(_FIRST, np.uint8)
        self._halved = np.zeros(_FIRST, np.uint8)  # how often the share that was kept
        # By snapshot, of those whose outcome stands: few are. Its delay (ms), value and cause.
        self._happened: dict[int, tuple[int, int, int]] = {}
        self._ledger = Ledger(horizon_ms)
        self._newest = Column(np.int64)  # by row: the number after that of its newest snapshot, or 0
        self._first = Column(np.int64)  # by row: the number after that of its first snapshot, or 0
        self._reach = Column(np.float32)  # by row: the chance at which sales were told of it, or 0
        self._passed_over: Column | None = (
            None  # by row: when its last snapshot that was not kept was served, or 0
        )
        # What is not told yet: the snapshot, when it was heard (engine time), the stage, the ending, what was believed to
        # come within its window; delay, value and cause of an outcome that stands.
        self._heard: list[tuple[int, int, int, int, float, tuple[int, int, int] | None]] = []
        self._reached = np.zeros(_FIRST, np.float32)
        self._window = np.zeros(_FIRST, np.int32)  # ms
        self._within = np.zeros(_FIRST, np.float32)
        self._viewer = np.zeros(_FIRST, np.int64)  # the number of the first snapshot of its row
        self._stand_for = 0  # how many those stand for that are held
        self.passed_over = 0  # snapshots that were not kept
        self.lost = 0  # outcomes none of whose snapshots was kept
        self.too_late = 0  # outcomes that were heard of when a snapshot they belong to was mature

    def __len__(self) -> int:
        return self._end - self._begin

    @property
    def end(self) -> int:
        """The number that the next snapshot gets."""
        return self._end

    def grow(self, rows: int) -> None:
        """Make room for at least so many rows."""
        self._newest.grow(rows)
        self._first.grow(rows)
        self._reach.grow(rows)
        if self._passed_over is not None:
            self._passed_over.grow(rows)

    def clear(self, rows: NDArray[np.int64]) -> None:
        """Give rows back; they have no snapshots that wait."""
        self._newest.array[rows] = 0
        self._first.array[rows] = 0
        self._reach.array[rows] = 0.0
        if self._passed_over is not None:
            self._passed_over.array[rows] = 0

    def waiting(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return for each row whether its newest snapshot is still held."""
        return self._newest.array[rows] > self._begin

    def reach(self, row: int, chance: float, now: int | None = None) -> None:
        """Let sales have been told of a row's viewer, with that chance; at engine time ``now``, so that a snapshot of that very
        time is one of whom they were told."""
        self._reach.view[row] = chance
        newest: int = self._newest.view[row] - 1
        if newest >= self._begin and self._at(newest) == now:
            self._reached[newest - self._base] = chance

    def reach_of(self, row: int) -> float:
        """Return the chance at which sales were told of a row's viewer; 0: they were not."""
        chance: float = self._reach.view[row]
        return chance

    def serve(
        self,
        rows: NDArray[np.int64],
        sessions: NDArray[np.int32],
        at: NDArray[np.int64],
        inputs: NDArray[np.float32],
        served: NDArray[np.float32],
        spans: NDArray[np.int64] | None = None,
    ) -> NDArray[np.int64]:
        """Keep what was served of different rows, each at its engine time ``at``; times never fall, nor from call to call,
        and lie after all that was heard before.

        ``spans`` is how long an outcome of each can be expected to come, in ms; None: for the whole horizon. Return
        the places of those that were kept; they got the next numbers, in this order.
        """
        if not len(rows):
            return np.zeros(0, np.int64)
        if spans is None:
            spans = np.full(len(rows), self._horizon_ms)
        room = self._bound - len(self) - len(rows)
        if room >= 0 and self._expected(int(at[0]), len(rows)) <= 2.0 * room:  # so it is at all of the times
            self._keep(rows, sessions, at, inputs, served, spans, 0)
            return np.arange(len(rows))
        # One time after another, so that it does not matter how many are served in one call.
        ends = np.append(np.flatnonzero(np.diff(at)) + 1, len(rows)).tolist()
        kept: list[NDArray[np.int64]] = []
        for start, end in zip([0, *ends], ends, strict=False):
            now = int(at[start])
            often = halvings(len(self), end - start, self._bound, self._expected(now))
            which = self._chosen(rows[start:end], now, often) + start
            self._keep(
                rows[which], sessions[which], at[which], inputs[which], served[which], spans[which], often
            )
            kept.append(which)
        return np.concatenate(kept)

    def _expected(self, now: int, more: int = 0) -> float:
        """Return how many snapshots come within the horizon, kept or not, as far as those tell that are held, and ``more``."""
        elapsed_ms = now - self._at(self._begin) if self._begin < self._end else 0
        return (
            (self._stand_for + more) * self._horizon_ms / max(elapsed_ms, self._horizon_ms / _LEAST_ELAPSED)
        )

    def weights(self, first: int) -> NDArray[np.float32]:
        """Return how many each snapshot stands for, from the number ``first`` on."""
        return weights(self._halved[first - self._base : self._end - self._base])

    def _chosen(self, rows: NDArray[np.int64], at: int, often: int) -> NDArray[np.int64]:
        """Return the places of those rows that are kept of all that were served at a time, and count the others."""
        if not often:
            return np.arange(len(rows))
        drawn = chances(f"{name}/{at}" for name in self._names_of(rows))
        which = np.flatnonzero(drawn < 0.5**often)
        room = max(0, self._bound - len(self))
        if len(which) > room:  # seldom: twice as many as were to be expected, or no room at all
            which = np.sort(which[np.argsort(drawn[which], kind="stable")[:room]])
        if self._passed_over is None:
            self._passed_over = Column(np.int64)
            self._passed_over.grow(len(self._newest))
        over = np.ones(len(rows), np.bool_)
        over[which] = False
        self._passed_over.array[rows[over]] = at
        self.passed_over += len(rows) - len(which)
        return which

    def _keep(
        self,
        rows: NDArray[np.int64],
        sessions: NDArray[np.int32],
        at: NDArray[np.int64],
        inputs: NDArray[np.float32],
        served: NDArray[np.float32],
        spans: NDArray[np.int64],
        often: int,
    ) -> None:
        taken = len(rows)
        if not taken:
            return
        self._make_room(taken)
        start = self._end - self._base
        numbers = np.arange(self._end, self._end + taken)
        place = slice(start, start + taken)
        newest = self._newest.array[rows] - 1
        self._inputs[place] = inputs
        self._served[place] = served
        self._served_at[place] = at
        self._session[place] = sessions
        self._halved[place] = often
        self._reached[place] = self._reach.array[rows]
        self._stand_for += taken << often
        windows, self._within[place] = self._draw(numbers, spans)
        self._window[place] = windows
        self._windows.add(at + windows, numbers)
        self._before[place] = np.where(newest >= self._begin, numbers - newest, 0)
        self._state[place] = 0
        first = self._first.array[rows]
        first = np.where(first > 0, first, numbers + 1)
        self._viewer[place] = first - 1
        self._first.array[rows] = first
        self._newest.array[rows] = numbers + 1
        self._end += taken

    @property
    def left_out(self) -> int:
        """How many words on viewers were not taken: somebody had too many."""
        return self._ledger.left_out

    def hear(self, rows: Sequence[int], viewer: str, heard: Heard, now: int) -> int:
        """Join what was heard at engine time ``now`` to the snapshots of its viewer's rows.

        ``viewer`` is a name of its own, the same whatever rows they have. Return for how many snapshots it is another
        outcome than before, or of how many it ended the waiting.
        """
        places: list[int] = []
        too_late = kept = False
        for place in self._places_of(rows):
            served_at = int(self._served_at[place])
            kept |= served_at <= heard.at <= served_at + self._horizon_ms
            if now <= served_at + self._horizon_ms:
                places.append(place)
            elif heard.what is What.SUCCESS and not self._state[place] & _POSITIVE:
                too_late |= served_at <= heard.at <= served_at + self._horizon_ms
        self.too_late += too_late
        if heard.what is What.SUCCESS and not kept and self._passed_over is not None:
            last = max((int(self._passed_over.view[row]) for row in rows), default=0)
            self.lost += last > 0 and last <= heard.at <= last + self._horizon_ms
        if heard.what is What.DECLINED:
            return sum(self._decline(place, heard.at, now) for place in places)
        successes = self._ledger.hear(viewer, heard, now)
        return sum(self._judge(place, successes, now) for place in places)

    @property
    def urgent(self) -> bool:
        """Whether an outcome was heard of that :meth:`resolve` has not told yet."""
        return bool(self._heard)

    def due(self, now: int) -> bool:
        """Return whether :meth:`resolve` may return anything; what it returns may be empty all the same."""
        if self._heard:
            return True
        return self._windows.due(now) or (
            self._begin < self._end and self._at(self._begin) + self._horizon_ms < now
        )

    def resolve(self, now: int) -> Lessons:
        """Return every lesson that engine time ``now`` gives, in order; what is mature is forgotten."""
        parts = [self._told()]
        ended = self._windows.take(now) - self._base
        # Of whom something was told within the window, that was it.
        quiet = ended[(self._state[ended] & _OBSERVED) == 0]
        self._state[quiet] |= _OBSERVED
        if quiet.size:
            parts.append(self._lessons(quiet, self._served_at[quiet] + self._window[quiet], Stage.OBSERVED))
        ripe = np.arange(
            self._begin - self._base, self._places_until(self._begin, now - self._horizon_ms), dtype=np.int64
        )
        if ripe.size:
            final = self._lessons(ripe, self._served_at[ripe] + self._horizon_ms, Stage.MATURE)
            state = self._state[ripe]
            final.ending[:] = _ending(state)
            for index in np.flatnonzero(state & _POSITIVE).tolist():
                self._fill(final, index, self._happened.pop(int(ripe[index]) + self._base))
            parts.append(final)
            self._begin += len(ripe)
            self._stand_for -= int(final.weight.sum(dtype=np.float64))
        lessons = Lessons.joined(parts) if len(parts) > 1 else parts[0]
        return lessons.take(np.lexsort((lessons.stage, lessons.snapshot, lessons.resolved_at)))

    def image(self, rows: int) -> Image:
        """Return a copy of everything, with the newest snapshots of the first ``rows`` rows."""
        held = slice(self._begin - self._base, self._end - self._base)
        return Image(
            meta={
                "begin": self._begin,
                "end": self._end,
                "passed_over": self.passed_over,
                "lost": self.lost,
                "too_late": self.too_late,
                "ledger": self._ledger.image(),
                "heard": [list(each) for each in self._heard],
                "happened": [[number, *told] for number, told in self._happened.items()],
            },
            arrays={name: getattr(self, f"_{name}")[held].copy() for name in self._COLUMNS}
            | {
                "newest": self._newest.array[:rows].copy(),
                "first": self._first.array[:rows].copy(),
                "reach": self._reach.array[:rows].copy(),
                "passed_over": np.zeros(0, np.int64)
                if self._passed_over is None
                else self._passed_over.array[:rows].copy(),
            },
        )

    def load(self, image: Image) -> None:
        """Take over an image of a joiner for inputs and columns of the same widths."""
        meta, arrays = image.meta, image.arrays
        self._base = self._begin = meta["begin"]
        self._end = meta["end"]
        self._stand_for = int(weights(arrays["halved"]).sum(dtype=np.float64))
        self.passed_over, self.lost, self.too_late = meta["passed_over"], meta["lost"], meta["too_late"]
        if len(arrays["passed_over"]):
            self._passed_over = Column(np.int64)
            self._passed_over.grow(len(self._newest))
            self._passed_over.load(arrays["passed_over"])
        self._ledger.load(meta["ledger"])
        self._happened = {number: (delay, value, cause) for number, delay, value, cause in meta["happened"]}
        for name in self._COLUMNS:
            setattr(self, f"_{name}", arrays[name].copy())
        # One whose order came early waits again if that is taken back.
        waiting = np.flatnonzero(((self._state & _OBSERVED) == 0) | ((self._state & _EARLY) != 0))
        self._windows = Calendar()
        self._windows.add(self._served_at[waiting] + self._window[waiting], waiting + self._base)
        self._newest.load(arrays["newest"])
        self._first.load(arrays["first"])
        self._reach.load(arrays["reach"])
        self._heard = [
            (number, now, stage, ending, within, None if told is None else (told[0], told[1], told[2]))
            for number, now, stage, ending, within, told in meta["heard"]
        ]

    def _draw(
        self, numbers: NDArray[np.int64], spans: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return :func:`window_of` of the next numbers. Most are of the whole horizon, and many of those are drawn at once."""
        first, windows, within = self._drawn
        start = int(numbers[0]) - first
        if not 0 <= start <= len(windows) - len(numbers):
            first, start = int(numbers[0]), 0
            ahead = np.arange(first, first + max(_DRAWN, len(numbers)))
            windows, within = self._windows_of(ahead, np.full(len(ahead), self._horizon_ms))
            self._drawn = first, windows, within
        windows, within = windows[start : start + len(numbers)], within[start : start + len(numbers)]
        cut = np.flatnonzero(spans < self._horizon_ms)
        if cut.size:
            windows, within = windows.copy(), within.copy()
            windows[cut], within[cut] = self._windows_of(numbers[cut], np.maximum(spans[cut], 1))
        return windows, within

    def _windows_of(
        self, numbers: NDArray[np.int64], spans: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        return window_of(numbers, spans, shortest_ms=self._window_ms, horizon_ms=self._horizon_ms)

    def _at(self, number: int) -> int:
        return int(self._served_at[number - self._base])

    def _places_until(self, number: int, served_before: int) -> int:
        """Return the first place, from a snapshot's on, of what was served at ``served_before`` or later."""
        first, end = number - self._base, self._end - self._base
        return first + int(np.searchsorted(self._served_at[first:end], served_before, side="left"))

    def _places_of(self, rows: Sequence[int]) -> Iterator[int]:
        """Yield the places of all snapshots of some rows that wait, of each row the newest first."""
        for row in rows:
            number: int = self._newest.view[row] - 1
            while number >= self._begin:
                place = number - self._base
                yield place
                step = int(self._before[place])
                if not step:
                    break
                number -= step

    def _judge(self, place: int, successes: Sequence[Success], now: int) -> bool:
        """Let a snapshot's outcome be what its viewer's ``successes`` say; return whether it is another than before."""
        served_at, state = int(self._served_at[place]), int(self._state[place])
        until = served_at + self._horizon_ms
        its = [each for each in successes if served_at <= each.at <= until]
        success = next((each for each in its if each.stands), None)
        before, number = bool(state & _POSITIVE), place + self._base
        state &= ~_RETURNED
        if len(its) and not all(each.stands for each in its):
            state |= _RETURNED
        if success is not None and not before:
            early = not state & _OBSERVED and now - served_at <= int(self._window[place])
            state |= _POSITIVE | (_EARLY | _OBSERVED if early else 0)
            self._happened[number] = (now - served_at, success.value, success.cause)
            self._tell(number, now, Stage.OBSERVED if early else Stage.LATE, state)
        elif success is not None:  # it was known of another one
            self._happened[number] = (self._happened[number][0], success.value, success.cause)
        elif before:
            early = bool(state & _EARLY)
            state &= ~(_POSITIVE | _EARLY)
            del self._happened[number]
            self._tell(number, now, Stage.WITHDRAWN, state)
            if early and now <= served_at + int(self._window[place]):
                state &= ~_OBSERVED  # it waits on, as it would have done without the outcome
            elif early:
                self._tell(number, now, Stage.OBSERVED, state)
        self._state[place] = state
        return before != (success is not None)

    def _decline(self, place: int, at: int, now: int) -> bool:
        """Let a snapshot's viewer have declined; return whether that ended the waiting of its window."""
        served_at, state = int(self._served_at[place]), int(self._state[place])
        if not served_at <= at <= served_at + self._horizon_ms:
            return False
        state |= _DECLINED
        ended = not state & _OBSERVED and now - served_at <= int(self._window[place])
        if ended:
            state |= _OBSERVED
            self._within[place] = 1.0  # all is known that is to be expected
            self._tell(place + self._base, now, Stage.OBSERVED, state)
        self._state[place] = state
        return ended

    def _tell(self, number: int, now: int, stage: Stage, state: int) -> None:
        within = float(self._within[number - self._base])
        happened = self._happened.get(number)
        self._heard.append((number, now, int(stage), int(_ending_of(state)), within, happened))

    def _told(self) -> Lessons:
        """Return the lessons of what was heard since the last time."""
        heard, self._heard = self._heard, []
        numbers = np.array([number for number, *_ in heard], np.int64)
        moments = np.array([now for _, now, *_ in heard], np.int64)
        lessons = self._lessons(numbers - self._base, moments, 0)
        for index, (_, _, stage, ending, within, happened) in enumerate(heard):
            lessons.stage[index], lessons.ending[index], lessons.within[index] = stage, ending, within
            if happened is not None:
                self._fill(lessons, index, happened)
        return lessons

    @staticmethod
    def _fill(lessons: Lessons, index: int, happened: tuple[int, int, int]) -> None:
        lessons.outcome[index] = True
        lessons.delay_ms[index], lessons.value[index], lessons.cause[index] = happened

    def _lessons(self, places: Numbers, resolved_at: Numbers, stage: int) -> Lessons:
        """Return lessons of no outcome."""
        count = len(places)
        session = self._session[places]
        different, which = np.unique(session, return_inverse=True)
        rooms = np.array([self._room_of(number) for number in different.tolist()], np.object_)
        return Lessons(
            snapshot=places + self._base,
            served_at=self._served_at[places],
            resolved_at=resolved_at.astype(np.int64),
            session=session,
            room=rooms[which],
            inputs=self._inputs[places],
            served=self._served[places],
            outcome=np.zeros(count, np.bool_),
            delay_ms=np.full(count, _NONE, np.int32),
            value=np.zeros(count),
            cause=np.full(count, _NONE, np.int64),
            stage=np.full(count, stage, np.uint8),
            ending=np.full(count, Ending.NONE, np.uint8),
            weight=weights(self._halved[places]),
            reached=self._reached[places],
            viewer=self._viewer[places],
            within=self._within[places],
        )

    def _make_room(self, more: int) -> None:
        """Move what is held to the front, into larger arrays if it fills four fifths of these."""
        start, end = self._begin - self._base, self._end - self._base
        if end + more <= len(self._served_at):
            return
        held = end - start
        size = max(_FIRST, len(self._served_at))
        while held + more > size * 4 // 5:
            size += size // 2
        for name in self._COLUMNS:
            old: Numbers = getattr(self, f"_{name}")
            new = zeros((size, *old.shape[1:]), old.dtype)
            new[:held] = old[start:end]
            setattr(self, f"_{name}", new)
        self._base = self._begin


def _ending_of(state: int) -> Ending:
    """Return the ending that a state stands for."""
    if state & _POSITIVE:
        return Ending.SUCCESS
    if state & _RETURNED:
        return Ending.RETURNED
    return Ending.DECLINED if state & _DECLINED else Ending.NONE


def _ending(state: Numbers) -> NDArray[np.uint8]:
    """Return :func:`_ending_of` of many."""
    declined = np.where(state & _DECLINED, Ending.DECLINED, Ending.NONE)
    returned = np.where(state & _RETURNED, Ending.RETURNED, declined)
    ending: NDArray[np.uint8] = np.where(state & _POSITIVE, Ending.SUCCESS, returned).astype(np.uint8)
    return ending
