"""The engine: ``apply(frame) -> effects``. Pure and deterministic; the same events give the same effects.

Engine time is the running maximum of arrival times (``seen_at``), or of event times where a source has none. What is
recorded or learnt from is decided at *marks*, the multiples of 250 ms of engine time, or at the very event for
points; never where a frame ends. So however a stream is cut into frames, the leads, the labels and the weights are
the same, byte for byte.

A frame is taken in *stretches*, the events between two marks. With the compiled kernel they are taken one after
another in C (:meth:`Engine._take_compiled`), which comes back for each event that does what is rare: that somebody's
grade changes, that somebody leaves or buys. Without it, viewers of a stretch do not depend on one another, so most of
them are updated all at once, column by column (:meth:`Engine._take_stretch`). Whoever needs a closer look is taken
event by event (:meth:`Engine._take`), and so are short stretches. All ways give the same, to the bit.

What happens at a mark is computed as late as it can be: all that a viewer's snapshot reads is kept as it is at the
mark after its event, but numbers are made of it only when something is to be learnt, or heard, or decided. Many
snapshots are read together.
"""

import math
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, compress, islice, repeat
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypeVar, cast

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from frontrow.core import features, kernel, signs
from frontrow.core.alerts import Reason
from frontrow.core.columns import all_same, count_is, whole_numbers
from frontrow.core.crowd import Crowd, CrowdRules
from frontrow.core.explaining import as_json, as_reasons, largest_of, largest_parts
from frontrow.core.exploration import Exploration
from frontrow.core.frames import Frame
from frontrow.core.images import Image
from frontrow.core.leads import (
    COLD,
    GRADES,
    HOT,
    WARM,
    Grade,
    Lead,
    LeadGrouped,
    grade_after,
    grades_after,
    lead_id,
)
from frontrow.core.lessons import Joiner, Lessons, Served
from frontrow.core.outcomes import Heard, OutcomeRules, What
from frontrow.core.points import COUNT_BOUND, SAME_WORDS, PointsBoard, Policy, Tally
from frontrow.core.ports import GROUP_BYTES, Attic, Model
from frontrow.core.promotions import Promotion, Succession, promotions_of
from frontrow.core.scoring import Matrix
from frontrow.core.seen import SeenIds
from frontrow.core.sessions import Session, Sessions
from frontrow.core.viewers import INTENT_BOUND, INTENTS, NEVER, UNTIL_END, Rows, Viewers, standing

if TYPE_CHECKING:
    from frontrow_kernel import Taker

ENGINE_VERSION = 15  # of what images hold; another one is needed when they, or what is computed, change
MARK_MS = 250
LEARN_MS = 30_000  # every 120th mark: fresh enough, and rare enough to learn many labels at once
HOUR_MS = 3_600_000
VISITS_BOUND = 1_000_000  # viewers of one room whose former sessions are remembered, the latest ones
FORGET_MS = 48 * HOUR_MS  # after its last event a session that is not a room's present one is forgotten
LEAVE_AT_ONCE = 10_000  # viewers who leave memory at one mark; some 30 ms
ALIKE_BOUND = 65_535  # others who say the same that are counted
TELL_PLAN = frozenset({"room_start", "room_stats"})
JUDGED_AT_ONCE = 50  # viewers who are judged again at one mark; less than 10 ms
LOOKED_AT_ONCE = 25  # of those who are looked at, at one mark
KNOWN_REASONS = 65_536  # whose JSON is kept
FEW = 24  # events up to which one after another is faster than all at once

Numbers = NDArray[Any]
Key = tuple[str, str]
K = TypeVar("K")

_LONG = features.SPANS.index(features.LONG)
_BUCKETS = (1 << 31) - 1  # spans are told apart in 31 bits; two that are alike are decades apart
_REGRADE = 2  # what the kernel says of an event after which a viewer may have another grade
_LANDMARK = struct.Struct("<q")


class EngineOptions(Struct, frozen=True, kw_only=True):
    """What the engine must know besides the points table. Times in milliseconds.

    ``outcome`` says which events are outcomes: they happen or do not within ``horizon_ms`` of a snapshot. No
    snapshot's window is shorter than ``window_ms`` (at most the horizon). A viewer is snapshot at most once in
    ``snapshot_every_ms``. ``grade_by`` "points_or_probability" also makes those hot whose probability reaches
    ``hot_probability`` (once the model is ready), until it falls below nine tenths of that. Of viewers less than
    ``exploration_points`` below hot a share ``exploration`` is shown all the same, ``exploration_per_hour`` in a room
    at most. Viewers who are one group by the rules of ``crowd`` share its points. Whoever was silent for ``idle_ms``
    leaves memory, where there is an attic to go to.
    """

    silence_ms: int = 1_800_000
    grace_ms: int = 300_000
    dedupe_ms: Annotated[int, Meta(ge=24 * HOUR_MS)] = 24 * HOUR_MS
    outcome: OutcomeRules = OutcomeRules()
    horizon_ms: int = 3_600_000
    window_ms: int = 120_000
    snapshot_every_ms: int = 120_000
    snapshot_bound: int = 1_000_000
    grade_by: Literal["points", "points_or_probability"] = "points"
    hot_probability: float = 0.5
    exploration: float = 0.0
    exploration_points: int = 20
    exploration_per_hour: int = 4
    report_closed: bool = False
    report_learning: bool = False
    crowd: CrowdRules = CrowdRules()
    idle_ms: int = 7_200_000


@dataclass(slots=True)
class Effects:
    """What one frame did.

    ``kept`` are its events without duplicates (the same object where there were none), ``duplicates`` the positions
    of the others. ``rows`` has each kept event's viewer, or -1. ``rooms`` are (platform, room) of all rooms in which
    something may have changed. ``leads`` are those that this frame made, in the order of their decision, with their
    ``lead_rows`` and the ``lead_positions`` among the kept events: that of the event that made the viewer hot, or of
    the one before the mark that did (-1: before the first). ``grouped`` are viewers who have a lead of this session
    and were found to be one of a group, each with such a position, in this order. ``freed`` are rows whose viewers
    have left memory; their numbers may be given to others. ``served`` and ``lessons`` are what was served and
    resolved, in this order of time, where the options ask for them. ``closed`` are the last scores of the viewers of
    sessions that ended, where the options ask for them; a late event may close a session again. ``unknown`` counts
    events of kinds that this version does not know. ``promoted`` are the promotions that were obeyed, each with its
    mark: what was served at that mark or later is the promoted version's.
    """

    kept: Frame = field(default_factory=Frame)
    duplicates: list[int] = field(default_factory=list)
    rows: Rows = field(default_factory=lambda: np.zeros(0, np.int64))
    rooms: set[Key] = field(default_factory=set)
    leads: list[Lead] = field(default_factory=list)
    lead_rows: list[int] = field(default_factory=list)
    lead_positions: list[int] = field(default_factory=list)
    grouped: list[tuple[int, LeadGrouped]] = field(default_factory=list)
    freed: list[int] = field(default_factory=list)
    closed: list["ViewerScore"] = field(default_factory=list)
    unknown: int = 0
    served: list[Served] = field(default_factory=list)
    lessons: list[Lessons] = field(default_factory=list)
    promoted: list[tuple[Promotion, int]] = field(default_factory=list)


@dataclass(slots=True)
class RoomState:
    """One room as the engine knows it."""

    platform: str
    room: str
    sessions: Sessions
    visits: dict[str, int] = field(default_factory=dict)  # viewer → sessions so far
    buyers: dict[str, int] = field(default_factory=dict)  # viewer → sessions so far with an outcome
    last_event_at: int = 0


@dataclass(slots=True)  # not frozen: that would make it three times as dear, and many are made
class ViewerScore:
    """One viewer in one session, at one moment: both numbers, each with its reasons.

    ``probability`` is the model's, whether or not it is ready to be shown, and None without a model and for staff. The
    ``logit`` of the features' reasons and the intercept sum to its raw logit.
    """

    row: int
    platform: str
    room: str
    session: str
    viewer: str
    points: int
    grade: Grade
    probability: float | None
    reasons: list[Reason]
    last_at: int
    hot_at: int | None
    lead: str | None
    fan: bool
    staff: bool
    ready: bool = False  # whether the model was, then: a number that is not believed is not to be shown


class ScoreColumns(NamedTuple):
    """Viewers' scores, one value each: as in :class:`ViewerScore`, but for ``probabilities`` that are believed alone, and ``reasons``, which
    are JSON values with commas between them."""

    viewers: list[str]
    points: list[int]
    grades: list[Grade]
    probabilities: list[float | None]
    reasons: list[bytes]


def utc_day(_room: Key, at: int) -> int:
    """Return the number of the UTC day at ``at`` (ms): what holds for rooms without a time zone of their own."""
    return at // (24 * HOUR_MS)


class _Work:
    """A frame while it is applied: what is computed once for all of its events."""

    def __init__(self, frame: Frame, now: int, table: signs.Signs) -> None:
        self.frame = frame
        ats = whole_numbers(frame.ats)
        arrived = whole_numbers(frame.seen_ats, frame.ats)
        self.now: Rows = np.maximum.accumulate(np.maximum(arrived, now))
        self.at: Rows = np.minimum(
            ats, self.now
        )  # a feed's clock may run ahead of ours; nothing is from the future
        self.sign = table.of(frame.kinds, frame.facts)
        self.bits: Rows = table.bits[self.sign]
        self.hits = table.hits
        self.columns = table.columns
        self.facts: Numbers = whole_numbers(frame.facts)
        self.amount = signs.amounts(self.bits, frame.counts, frame.values)
        self.said_at: Rows = np.flatnonzero(whole_numbers(frame.sketches))
        self.said: list[int] = self.said_at.tolist()
        self.heard = 0  # how many of them were taken note of
        self.staff = _flags(frame.staffs)
        self.fan = _flags(frame.fans)
        self.test = count_is(frame.tests, True) > 0
        named = frame.seldom.get("product", {})
        choosing = np.flatnonzero(self.bits & signs.CHOOSES).tolist() if named else ()
        self.products: dict[int, str] = {at: name for at in choosing if (name := named.get(at))}
        self.choices = list(self.products)
        self.rows: Rows = np.full(len(frame), -1, np.int64)
        self.only_room = frame.only_room()
        self.same_platform = self.only_room is not None or all_same(frame.platforms)
        self.same_session = all_same(frame.sessions)
        self.landmark_ms = -1
        self.weights: Matrix = np.zeros((0, 0))
        # For the compiled way: the events up to which sessions and rows are found, those of the present part, and up
        # to where looking far ahead has failed.
        self.found_until = 0
        self.found: list[Session] = []
        self.which: Rows = np.zeros(0, np.int64)
        self.near_until = 0
        self.given_ms = -1  # the landmark of the weights that the kernel has
        self._alone: Rows | None = None

    def stretches(self, now: int) -> list[tuple[int, int]]:
        """Return where stretches begin and end: a new one begins where engine time, which is ``now``, passes a mark."""
        if self.now[-1] // MARK_MS == now // MARK_MS:
            return [(0, len(self.now))]
        marks = self.now // MARK_MS
        starts = [0, *(np.flatnonzero(marks[1:] != marks[:-1]) + 1).tolist()]
        return list(zip(starts, [*starts[1:], len(marks)], strict=True))

    @property
    def alone(self) -> Rows:
        """The positions of events that are taken by themselves: those of a whole room, tests, and those that name a campaign."""
        if self._alone is None:
            alone = (self.bits & signs.OF_ROOM) > 0
            if self.test:
                alone |= np.array(self.frame.tests)
            if "campaign" in self.frame.seldom:
                alone[list(self.frame.seldom["campaign"])] = True
            self._alone = np.flatnonzero(alone)
        return self._alone

    def sessions(
        self, part: slice, heard: NDArray[np.bool_]
    ) -> tuple[Sequence[tuple[str, str, str | None]], Rows]:
        """Return the different (platform, room, session as given) of the events of a part that are ``heard``, and for
        each of these events its place among them."""
        frame = self.frame
        platform, name, session = frame.platforms[0], frame.rooms[0], frame.sessions[0]
        if not (self.same_platform and self.same_session):
            keys = zip(frame.platforms[part], frame.rooms[part], frame.sessions[part], strict=True)
            return _places(list(keys), heard)
        if self.only_room is not None:
            return [(platform, name, session)], np.zeros(np.count_nonzero(heard), np.int64)
        names, which = _places(frame.rooms[part], heard)
        return [(platform, name, session) for name in names], which

    def weigh(self, landmark_ms: int) -> None:
        """Compute what one unit at each event's time adds to what fades."""
        if landmark_ms != self.landmark_ms:
            self.landmark_ms = landmark_ms
            self.weights = features.fading_weights(self.at, landmark_ms)
            self.weights[:, (self.bits & signs.REFUND) > 0] = 0.0


def _places(keys: Sequence[K], where: NDArray[np.bool_]) -> tuple[list[K], Rows]:
    """Return the different ones of ``keys`` where ``where`` is true, and for each of those its place among them."""
    keys = list(compress(keys, where.tolist()))
    places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    return list(places), np.fromiter(map(places.__getitem__, keys), np.int64, len(keys))


def _flags(column: Sequence[bool | None]) -> NDArray[np.int8] | None:
    """Return 1, 0, or -1 for None, of each; None where all are None."""
    if count_is(column, None) == len(column):
        return None
    return np.array([-1 if flag is None else int(flag) for flag in column], np.int8)


class _Rates:
    """The rates of sessions as of each event of a part, for the few who ask."""

    def __init__(
        self, positions: Rows, which: Rows, weights: Matrix, numbers: Sequence[int], before: Sequence[float]
    ) -> None:
        """``which[i]`` is the session, among ``numbers``, of the event at ``positions[i]``, with its weight; ``before``
        are the rates before them."""
        self._positions = positions
        self._which = which
        self._weights = weights
        self._numbers = numbers
        self._before = before

    def at(self, session: Session, position: int) -> float:
        """Return a session's rate just after the event at ``position``."""
        place = self._numbers.index(session.number)
        so_far = (self._which == place) & (self._positions <= position)
        # accumulate() adds one after another, as the events did.
        return float(np.add.accumulate(np.append(self._before[place], self._weights[so_far]))[-1])


class _Update:
    """What the events of a part would do to their viewers' times and points, each viewer once."""

    def __init__(self, engine: "Engine", work: _Work, positions: Rows, who: Rows, event: Rows) -> None:
        """``who`` are the different rows, ``event[i]`` the place among them of the viewer of the i-th position."""
        viewers, board = engine.viewers, engine.board
        self._engine = engine
        self.who = who
        at = work.at[positions]
        self.first_at = viewers.first_at.array[who]
        self.last_at = viewers.last_at.array[who]
        np.minimum.at(self.first_at, event, at)
        np.maximum.at(self.last_at, event, at)
        enters = (work.bits[positions] & signs.ENTER) > 0
        self.enters = viewers.enters.array[who] + np.bincount(event[enters], minlength=len(who)).astype(
            np.uint32
        )
        entered_at = viewers.entered_at.array[who]
        entered_at[entered_at == 0] = NEVER
        np.minimum.at(entered_at, event[enters], at[enters])
        entered_at[entered_at == NEVER] = 0
        self.entered_at = entered_at
        # Points can have changed only of those who gave a signal or have watched long enough now.
        touched = work.hits[work.sign[positions]]
        giving = np.flatnonzero(touched.any(axis=1))
        hits = np.zeros((len(who), len(board.policy.rules)), np.int64)
        np.add.at(hits, event[giving], touched[giving])
        if board.watched_rules:
            watched_ms = viewers.watched_ms_many(who, self.first_at, self.last_at, entered_at)
            for rule, bound_ms in zip(board.watched_rules, board.watch_bounds_ms, strict=True):
                hits[:, rule] = (watched_ms > bound_ms) & (board.counts_of(rule, who) == 0)
        self._hit = np.flatnonzero(hits.any(axis=1))
        self.tally: Tally = board.tally(who[self._hit], hits[self._hit])

    def regrades(self) -> tuple[Rows, Rows]:
        """Return the places in ``who`` of those whose grade by points would be another than before; never of staff.

        The second are the places of those who only turn from cold to warm: of their events nothing else follows, since
        points that grow were never more than they are at the end. The first are the others.
        """
        engine, rows = self._engine, self.who[self._hit]
        viewers = engine.viewers
        before = viewers.grade_by_points.array[rows]
        points = engine.shared(rows, engine.board.capped(self.tally.raw))
        grade = grades_after(before, points, engine.policy)
        changed = (grade != before) & (viewers.staff.array[rows] == 0)
        warming = changed & (grade == WARM) & (before == COLD) & (viewers.grade.array[rows] == COLD)
        return self._hit[changed & ~warming], self._hit[warming]

    def write(self, where: NDArray[np.bool_]) -> None:
        """Let it be so for those of ``who`` where ``where`` is true."""
        viewers, rows = self._engine.viewers, self.who[where]
        viewers.first_at.array[rows] = self.first_at[where]
        viewers.last_at.array[rows] = self.last_at[where]
        viewers.enters.array[rows] = self.enters[where]
        viewers.entered_at.array[rows] = self.entered_at[where]
        self._engine.board.count(self.tally, where[self._hit])


class _Found(NamedTuple):
    """The sessions of a part's events: the different ones, for each event that is ``heard`` its place among them, and when the
    latest event of each happens."""

    found: list[tuple[RoomState, Session]]
    which: Rows
    heard: NDArray[np.bool_]
    latest: list[int]


class _Due(NamedTuple):
    """Rows that are to be snapshot, and all that is read of them as it was at their mark."""

    rows: Rows
    mark: int
    facts: Matrix
    points: NDArray[np.int64]
    fading: NDArray[np.float32]  # relative to the landmark, which stays until they are served


@dataclass(slots=True)
class _Said:
    """What was said, one value each: by whose row, by whom, and its sketch."""

    rows: list[int] = field(default_factory=list)
    viewers: list[str] = field(default_factory=list)
    sketches: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Decided:
    """A lead without what the model says of it, and what the model is to be asked: as they were when it was decided.

    Until the model changes, at a mark, many are asked for together.
    """

    lead: Lead
    session: int  # its number
    fading: NDArray[np.float32]
    facts: Matrix


class Engine:
    """Owns all state of all rooms. Not thread-safe: one owner applies frames in journal order."""

    def __init__(
        self,
        options: EngineOptions,
        policy: Policy,
        model: Model | None,
        *,
        day_of: Callable[[Key, int], int] = utc_day,
        attic: Attic | None = None,
    ) -> None:
        """Make an engine with nothing in it. ``day_of`` numbers the day of a room, (platform, room), at a time.

        Whoever was idle for long goes to the ``attic`` and comes back from there; without one nobody leaves.
        """
        self._day_of = day_of
        self._attic = attic
        self.options = options
        self.policy = policy
        self.model = model
        self.board = PointsBoard(policy)
        self.labels = Joiner(
            width=features.COUNT,
            columns=0 if model is None else model.columns,
            horizon_ms=options.horizon_ms,
            window_ms=min(options.window_ms, options.horizon_ms),
            room_of=self._room_name,
            names_of=self._names_of,
            bound=options.snapshot_bound,
        )
        self.now = 0  # engine time, UTC ms; 0 before the first event
        self.seen = SeenIds(dedupe_ms=options.dedupe_ms)
        self.succession = Succession()
        self._rooms: dict[Key, RoomState] = {}
        self._sessions: dict[int, Session] = {}  # by number
        self._room_of: dict[int, RoomState] = {}  # by session's number
        self._next_session = 0
        self._open_sessions: list[Session] = []
        self.viewers = Viewers(self._sessions)
        self._capacity = 0
        self._effects = Effects()  # of the frame that is being applied
        self._signs = signs.Signs(self.board, options.outcome)
        self._fading: features.FadingColumns | None = None
        self._watch_ms = min(self.board.watch_bounds_ms, default=None)
        self._leads: dict[int, str] = {}
        self._row_of_lead: dict[str, int] = {}
        self._hot_at: dict[int, int] = {}  # engine time at which a row first turned hot
        self._hot_by_probability: set[int] = set()
        self._decided: list[
            _Decided
        ] = []  # leads of the frame that is being applied, until the next mark in it
        # While viewers are taken out of many: where we are, and the rates of sessions as they were there.
        self._position = 0
        self._work: _Work | None = None
        self._rates: _Rates | None = None
        self.events = 0  # how many were applied so far
        self._touched: dict[
            int, int
        ] = {}  # row → number of the event, of those to be snapshot at the next mark
        self._due: list[_Due] = []  # of those whose mark has passed
        # Rows touched since the last mark, where something is decided of them there.
        self._active: set[int] = set()
        self._watching = model is not None and (options.grade_by != "points" or options.exploration > 0.0)
        self._exploration = Exploration(options.exploration, per_hour=options.exploration_per_hour)
        self._crowd = Crowd(options.crowd)
        self._said = _Said()  # since the last mark
        # Hot or grouped rows who have said something since they were last judged, in this order.
        self._speakers: dict[int, None] = {}
        self._kernel = kernel.compiled
        self._taker: Taker | None = self._made_taker()
        self._taker_rows = -1  # for how many it knows the columns
        self._reasons_known: dict[bytes, bytes] = {}  # by occurrences and intents, as an array has them
        # The same of one rule, by its number and occurrences; of one about questions by intents, too.
        self._reason_known: dict[tuple[int, int, bytes], bytes] = {}
        rules = self.board.policy.rules
        self._asking = {number for number, rule in enumerate(rules) if rule.signal == "question"}
        self.grouped = 0  # how often a viewer was found to be one of a group

    # ------------------------------------------------------------------ applying

    def apply(self, frame: Frame) -> Effects:
        """Apply the events of a frame in order. Return what came of it.

        Never raises for the content of an event: what cannot be used is counted or kept, and the rest goes on.
        """
        effects = self._effects = Effects()
        self.viewers.release()
        effects.duplicates = self.seen.take(frame)
        kept = effects.kept = frame if not effects.duplicates else _without(frame, effects.duplicates)
        if not len(kept):
            return effects
        work = self._work = _Work(kept, self.now, self._signs)
        effects.unknown = int(np.count_nonzero(work.bits & signs.UNKNOWN))
        promotions = promotions_of(kept) if (work.bits & signs.SILENT).any() else ()
        for start, end in work.stretches(self.now):
            self._position = start - 1
            if work.now[start] > self.now:
                self._advance(int(work.now[start]), effects)
            if promotions:
                self.succession.hear(each for position, each in promotions if start <= position < end)
            assert self._fading is not None
            work.weigh(self._fading.landmark_ms)
            if self._taker is not None:
                self._take_compiled(self._taker, work, start, end, effects)
            elif end - start <= FEW or not self.board.monotone:
                for position in range(start, end):
                    self._take(work, position, effects)
            else:
                self._take_stretch(work, start, end, effects)
            self.now = int(work.now[end - 1])
            if work.heard < len(work.said):
                self._note_words(work, start, end)
        self._write_leads(effects)
        self._work = None
        self.events += len(kept)
        effects.rows = work.rows
        if work.only_room is not None:
            effects.rooms.add(work.only_room)
        elif work.same_platform:
            effects.rooms.update(zip(repeat(kept.platforms[0]), set(kept.rooms)))
        else:
            effects.rooms.update(zip(kept.platforms, kept.rooms, strict=True))
        return effects

    # ------------------------------------------------------------------ one event

    def _take(self, work: _Work, position: int, effects: Effects) -> None:
        """Take one event wholly."""
        self._position = position
        self.now = int(work.now[position])
        bits = int(work.bits[position])
        if bits & signs.SILENT:
            return  # a tick has done its work by moving time; the others are kept for those who read them
        frame, at = work.frame, int(work.at[position])
        if bits & signs.OF_LEAD:
            self._hear_of_lead(frame, position, at)
            return
        room = self._room(frame.platforms[position], frame.rooms[position])
        test = frame.tests[position]
        session = room.sessions.of(frame.sessions[position], at, frame.kinds[position], counts=not test)
        viewer = frame.viewers[position]
        if test:  # platform test data gets a line, and nothing else
            if viewer is not None:
                work.rows[position] = self._row(room, session, viewer)
            return
        self._note_of_session(room, session, at)
        session.count(float(work.weights[0, position]))
        if viewer is None:
            _note_of_room(session, frame, position, at)
            return
        row = self._row(room, session, viewer)
        work.rows[position] = row
        if self._due and bits & signs.OUTCOME:
            self._serve()  # before this event resolves what is to be served
        self._take_of_row(work, position, row, effects)

    def _take_of_row(self, work: _Work, position: int, row: int, effects: Effects) -> None:
        """Take what one event changes in its viewer's row."""
        frame, viewers, at = work.frame, self.viewers, int(work.at[position])
        self.now = int(work.now[position])
        bits, kind, facts = int(work.bits[position]), frame.kinds[position], frame.facts[position]
        if frame.staffs[position]:
            viewers.staff.view[row] = 1
            viewers.grade.view[row] = viewers.grade_by_points.view[row] = COLD
            self._hot_by_probability.discard(row)
            viewers.session_of(row).warm.pop(row, None)  # whoever turns out to be staff leaves the panel
            return
        fan = frame.fans[position]
        if fan is not None and not bits & signs.OUTCOME:
            viewers.fan_before.view[row] = viewers.fan.view[row]
            viewers.fan.view[row] = fan
        stay_ms = None
        if kind == "stay" and (seconds := frame.seldom.get("seconds", {}).get(position)) is not None:
            stay_ms = math.ceil(seconds * 1000.0)
        if not bits & signs.REFUND or viewers.first_at.view[row] == NEVER:
            viewers.watch(row, kind, at, stay_ms)
        if (product := work.products.get(position)) is not None:
            viewers.choose(row, product)
        board = self.board
        if self._watch_ms is not None:
            watched_ms = viewers.watched_ms(row)
            if watched_ms > self._watch_ms or viewers.observed.view[row]:
                board.set_watched(row, watched_ms)
        hits = board.hits(kind, facts)
        if hits:
            room = self._room_of[viewers.session.view[row]]
            day = self._day_of((room.platform, room.room), at) if board.by_day else 0
            viewer = frame.viewers[position]
            assert viewer is not None
            board.hit(row, hits, at=at, owner=(room.platform, room.room, viewer), day=day)
        if bits & signs.QUESTION:
            for column, (_, mask) in zip(viewers.intents, INTENTS, strict=True):
                if facts & mask and column.view[row] < INTENT_BOUND:
                    column.view[row] += 1
        if bits & signs.OUTCOME:
            heard = self.options.outcome.heard(frame, position, at)
            if heard is not None:
                self._hear(self._room_of[viewers.session.view[row]], frame.viewers[position] or "", heard)
                if heard.what is What.SUCCESS:
                    self._count_order(row, frame.viewers[position], float(work.weights[_LONG, position]))
        else:
            assert self._fading is not None
            columns = self._fading.known(kind, facts)
            if columns:
                self._fading.add(
                    row, columns, float(work.amount[position]), work.weights[:, position].tolist()
                )
            self._note_of_touch(position, row)
        self._regrade(row, effects)

    def _count_order(self, row: int, viewer: str | None, weight: float) -> None:
        room, session = self.session_of(row)
        session.orders += weight
        if viewer is not None and viewer not in session.bought:
            session.bought[viewer] = None
            if session.counted:
                self._count_buyers(room, [viewer])

    @staticmethod
    def _count_buyers(room: RoomState, viewers: Iterable[str]) -> None:
        buyers = room.buyers
        for viewer in viewers:
            buyers[viewer] = buyers.pop(viewer, 0) + 1
        for viewer in list(islice(buyers, max(0, len(buyers) - VISITS_BOUND))):
            del buyers[viewer]

    def _note_of_session(self, room: RoomState, session: Session, at: int) -> None:
        if not session.open:
            session.open = True
            self._open_sessions.append(session)
        if at > room.last_event_at:
            room.last_event_at = at

    def _note_of_touch(self, position: int, row: int) -> None:
        if self.model is None:
            return
        bucket = self._bucket()
        if self.viewers.bucket.view[row] != bucket:
            self.viewers.bucket.view[row] = bucket
            self._touched[row] = self.events + position
        if self._watching:
            self._active.add(row)

    def _bucket(self) -> int:
        """Return the number of the span of time in which a viewer is snapshot once; never 0."""
        return 1 + (self.now // self.options.snapshot_every_ms & _BUCKETS)

    def _regrade(self, row: int, effects: Effects) -> None:
        viewers = self.viewers
        if viewers.staff.view[row]:
            return
        points = self.points(row, viewers.last_at.view[row])
        by_points = grade_after(viewers.grade_by_points.view[row], points, self.policy)
        turns_hot = by_points == HOT and viewers.grade.view[row] != HOT
        if (
            turns_hot
            and not viewers.alike.view[row]
            and self._joins_group(row, self.now, self._just_said(row))
        ):
            points = self.points(row, viewers.last_at.view[row])
            by_points = grade_after(COLD, points, self.policy)
        viewers.grade_by_points.view[row] = by_points
        grade = HOT if row in self._hot_by_probability else by_points
        if grade != viewers.grade.view[row]:
            self._set_grade(row, grade, self.now, effects)

    def _set_grade(self, row: int, grade: int, now: int, effects: Effects) -> None:
        self.viewers.grade.view[row] = grade
        session = self.viewers.session_of(row)
        if grade == COLD:
            session.warm.pop(row, None)
        else:
            session.warm[row] = None
        if grade == HOT and row not in self._leads:
            self._make_lead(row, now, effects)
        elif grade == HOT and row not in self._hot_at:  # shown already, and would be now
            if self.model is not None:
                self._serve()
            self._hot_at[row] = now
            self.labels.reach(row, 1.0, now)

    def _hear_of_lead(self, frame: Frame, position: int, at: int) -> None:
        """Take what sales say of a lead; of one that is not known here, of the viewer that the event names."""
        heard = None if frame.tests[position] else self.options.outcome.heard(frame, position, at)
        if heard is None:
            return
        self._serve()
        row = self._row_of_lead.get(frame.seldom.get("lead", {}).get(position, ""), -1)
        viewer = frame.viewers[position]
        room = self._rooms.get((frame.platforms[position], frame.rooms[position]))
        if row >= 0:
            room, viewer = self._room_of[self.viewers.session.view[row]], self.viewers.directory.viewer(row)
        if room is not None and viewer is not None:
            self._hear(room, viewer, heard)

    def _hear(self, room: RoomState, viewer: str, heard: Heard) -> None:
        """Join what was heard of a viewer to what was served of them, over all sessions of the room."""
        directory = self.viewers.directory
        recent = room.sessions.since(heard.at - self.options.horizon_ms)
        found = (directory.row_of(session.number, viewer) for session in recent)
        rows = [row for row in found if row >= 0]
        self.labels.hear(rows, f"{room.platform}/{room.room}/{viewer}", heard, self.now)
        if heard.what is What.SUCCESS:
            for row in rows:  # a snapshot that is still to be taken would already lie after its own outcome
                self._touched.pop(row, None)

    def _make_lead(self, row: int, now: int, effects: Effects, *, propensity: float | None = None) -> None:
        if self.model is not None:
            self._serve()  # what a lead names of the model must not depend on which viewers came along in its frame
        room, session = self.session_of(row)
        viewer = self.viewers.directory.viewer(row)
        lead = lead_id(room.platform, room.room, session.id, viewer)
        self._leads[row] = lead
        self._row_of_lead[lead] = row
        if propensity is None:
            self._hot_at[row] = now
        self.labels.reach(row, 1.0 if propensity is None else propensity, now)
        session.leads += 1
        effects.lead_rows.append(row)
        effects.lead_positions.append(self._position)
        [occurrences] = self.board.occurrences(np.array([row], np.int64))
        decided = Lead(
            lead=lead,
            platform=room.platform,
            room=room.room,
            session=session.id,
            viewer=viewer,
            customer=None,
            store=None,
            grade="hot" if propensity is None else GRADES[self.viewers.grade.view[row]],
            quality="Q2" if self.viewers.fan.view[row] or self.viewers.earlier.view[row] else "Q1",
            points=self.points(row, now),
            probability=None,
            reasons=self._rule_reasons(row, occurrences, now),
            decided_at=now,
            policy=self.board.id,
            model=None if self.model is None else self.model.version,
            host=session.host,
            product=self.viewers.chosen(row) or session.product,
            campaign=session.campaign,
            propensity=propensity,
        )
        if self.model is None:
            effects.leads.append(decided)
            return
        assert self._fading is not None
        rate = session.rate
        if self._rates is not None:
            session.rate = self._rates.at(session, self._position)
        facts = self.viewers.facts_at(np.array([row], np.int64), now)
        session.rate = rate
        self._decided.append(_Decided(decided, session.number, self._fading.array()[row].copy(), facts))

    def _write_leads(self, effects: Effects) -> None:
        """Complete the leads that were decided with what the model says of them, before the model changes."""
        if not self._decided:
            return
        assert self.model is not None
        assert self._fading is not None
        decided, self._decided = self._decided, []
        moments = np.array([each.lead.decided_at for each in decided])
        fading = self._fading.faded(np.array([each.fading for each in decided]), moments)
        inputs = features.assemble(fading, standing(np.concatenate([each.facts for each in decided])))
        weights, ready = self.model.weights(), self.model.ready
        rooms = self._room_names([each.session for each in decided])
        probabilities = self.model.probabilities(weights.logits(inputs), rooms).tolist()
        parts = as_reasons(largest_parts(weights, inputs))
        for each, probability, part in zip(decided, probabilities, parts, strict=True):
            told = probability if ready else None
            effects.leads.append(
                msgspec.structs.replace(each.lead, probability=told, reasons=each.lead.reasons + part)
            )

    # ------------------------------------------------------------------ groups

    def _note_words(self, work: _Work, start: int, end: int) -> None:
        """Keep what viewers said in a stretch until the next mark."""
        low = work.heard
        work.heard = bisect_left(work.said, end, low)
        places = work.said[low : work.heard]
        if not places:
            return
        said, frame = self._said, work.frame
        for place, row in zip(places, work.rows[places].tolist(), strict=True):
            if row >= 0 and not (work.test and frame.tests[place]):
                said.rows.append(row)
                said.viewers.append(frame.viewers[place] or "")
                said.sketches.append(frame.sketches[place])

    def _hear_words(self) -> None:
        """Take what was said since the last mark. What is judged of a group is so the same however frames are cut."""
        said, self._said = self._said, _Said()
        if not said.rows or not self.options.crowd.partners:
            return
        viewers = self.viewers
        which, named, sketches = whole_numbers(said.rows), said.viewers, said.sketches
        staff = viewers.staff.array[which] > 0
        if staff.any():
            others = (~staff).tolist()
            which, named, sketches = (
                which[~staff],
                list(compress(named, others)),
                list(compress(sketches, others)),
            )
        self._crowd.hear(viewers.session.array[which].tolist(), named, sketches)
        viewers.unjudged.array[which] = 1
        judged = (viewers.grade.array[which] == HOT) | (viewers.alike.array[which] > 0)
        self._speakers.update(zip(which[judged].tolist(), repeat(None)))

    def _just_said(self, row: int) -> list[int]:
        """Return the sketches of what a viewer has said since the last mark, up to the event that is taken."""
        rows, sketches = self._said.rows, self._said.sketches
        found = (
            [sketch for its, sketch in zip(rows, sketches, strict=True) if its == row] if row in rows else []
        )
        if (work := self._work) is not None:
            places = work.said_at[work.heard : bisect_right(work.said, self._position, work.heard)]
            said = places[work.rows[places] == row].tolist()
            found += [work.frame.sketches[place] for place in said if not work.frame.tests[place]]
        return found

    def _joins_group(self, row: int, at: int, just_said: Sequence[int] = ()) -> bool:
        """Judge at engine time ``at`` whether a viewer is one of a group, and take note of it."""
        viewers = self.viewers
        number, viewer, before = (
            viewers.session.view[row],
            viewers.directory.viewer(row),
            viewers.alike.view[row],
        )
        alike = self._crowd.partners_of(number, viewer, just_said, grouped=before > 0)
        viewers.unjudged.view[row] = 0
        viewers.alike.view[row] = others = min(alike, ALIKE_BOUND)
        if alike > 0 and not before:
            self.grouped += 1
            if (lead := self._leads.get(row)) is not None:
                found = LeadGrouped(
                    lead=lead, platform=self.session_of(row)[0].platform, viewer=viewer, at=at, others=others
                )
                self._effects.grouped.append((self._position, found))
        return alike > 0

    def _judge_speakers(self, mark: int, effects: Effects) -> None:
        """Judge those again who are hot or grouped and have said something: groups grow, and honest viewers say more."""
        viewers = self.viewers
        for row in list(islice(self._speakers, JUDGED_AT_ONCE)):
            del self._speakers[row]
            if viewers.alike.view[row] or viewers.grade.view[row] == HOT:
                self._judge(row, mark, effects)

    def _judge_looked_at(self, rows: Rows, mark: int, effects: Effects) -> None:
        """Judge of viewers who are about to be looked at, in order, those who are warm at least and have said something since.

        They need not turn hot to be believed by the model, which is told how many say the same.
        """
        viewers = self.viewers
        known = (viewers.grade.array[rows] >= WARM) | (viewers.alike.array[rows] > 0)
        which = rows[known & (viewers.unjudged.array[rows] > 0)]
        for row in which[:LOOKED_AT_ONCE].tolist():
            self._speakers.pop(row, None)
            self._judge(row, mark, effects)

    def _judge(self, row: int, mark: int, effects: Effects) -> None:
        """Judge whether a viewer is one of a group, and let the grade follow."""
        viewers = self.viewers
        before = viewers.alike.view[row]
        if viewers.staff.view[row]:
            return
        if self._joins_group(row, mark):
            self._hot_by_probability.discard(row)
        if viewers.alike.view[row] != before:
            room, _ = self.session_of(row)
            effects.rooms.add((room.platform, room.room))
            self._regrade_at(row, mark, effects)

    def _regrade_at(self, row: int, mark: int, effects: Effects) -> None:
        """Set the grade of a viewer of whom something else than their own events has changed."""
        viewers = self.viewers
        by_points = grade_after(COLD, self.points(row, viewers.last_at.view[row]), self.policy)
        viewers.grade_by_points.view[row] = by_points
        grade = HOT if row in self._hot_by_probability else by_points
        if grade != viewers.grade.view[row]:
            self._set_grade(row, grade, mark, effects)

    def shared(self, rows: Rows, points: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return what viewers have of their own points: all of them, or their share of their group's at most."""
        alike = self.viewers.alike.array[rows].astype(np.int64)
        if not alike.any():
            return points
        return np.where(alike > 0, np.minimum(points, self.options.crowd.budget // (alike + 1)), points)

    def points(self, row: int, at: int) -> int:
        """Return a viewer's points as :meth:`shared` gives them, at event time ``at``."""
        points, alike = self.board.points(row, at), self.viewers.alike.view[row]
        return min(points, self.options.crowd.budget // (alike + 1)) if alike else points

    def _points_of(self, rows: Rows, at: int) -> NDArray[np.int64]:
        return self.shared(rows, self.board.points_of(rows, at))

    # ------------------------------------------------------------------ many events

    def _take_stretch(self, work: _Work, start: int, end: int, effects: Effects) -> None:
        """Take the events between two marks; those that concern a whole room stand between parts."""
        bits = work.bits[start:end]
        of_room = (bits & signs.OF_ROOM) > 0
        if work.test:
            of_room |= np.array(work.frame.tests[start:end])
        if "campaign" in work.frame.seldom:
            of_room |= np.isin(np.arange(start, end), list(work.frame.seldom["campaign"]))
        begin = start
        for position in (np.flatnonzero(of_room) + start).tolist():
            self._take_part(work, begin, position, effects)
            self._take(work, position, effects)
            begin = position + 1
        self._take_part(work, begin, end, effects)

    def _take_part(self, work: _Work, start: int, end: int, effects: Effects) -> None:
        """Take events of viewers between two marks."""
        if end - start <= FEW or not self._find_sessions(work, start, end):
            for position in range(start, end):
                self._take(work, position, effects)
            return
        part = slice(start, end)
        row, bits = work.rows[part], work.bits[part]
        viewers = self.viewers
        of_viewer = row >= 0
        if self._due and bool((bits[of_viewer] & signs.OUTCOME).any()):
            self._serve()
        closer = self._closer(work, part)
        positions = np.flatnonzero(of_viewer)
        who, event = viewers.different(row[positions])
        apart = np.zeros(len(who), np.bool_)
        apart[event[closer[positions]]] = True
        update = _Update(self, work, start + positions, who, event)
        regraded, warming = update.regrades()
        apart[regraded] = True
        update.write(~apart)
        self._warm(who[warming[~apart[warming]]])
        together = positions[~apart[event]]
        self._count_together(work, start + together, row[together])
        self._choose_together(work, start + together)
        self.now = int(work.now[end - 1])
        self._touch_together(start + together, row[together])
        for position in positions[apart[event]].tolist():
            self._position = start + position
            self._take_of_row(work, start + position, int(row[position]), effects)
        self._rates = None
        self.now = int(work.now[end - 1])

    def _find_sessions(self, work: _Work, start: int, end: int) -> bool:
        """Find the session and the row of each event and take note of the sessions.

        False: they are to be taken one by one, as where a session begins or ends, or a room has events of several
        sessions. Nothing was noted then, but a session that they begin may have been begun.
        """
        sessions = self._sessions_of(work, start, end, begin=True)
        if sessions is None:
            return False
        part, found, which, heard = slice(start, end), sessions.found, sessions.which, sessions.heard
        weight = work.weights[0, part][heard]
        before = [session.rate for _, session in found]
        numbers = [session.number for _, session in found]
        self._rates = _Rates(np.flatnonzero(heard) + start, which, weight, numbers, before)
        rates = np.array(before)
        np.add.at(rates, which, weight)  # in the order of events, as one after another would
        for (room, session), latest, rate in zip(found, sessions.latest, rates.tolist(), strict=True):
            if latest > session.last_at:
                session.last_at = latest
            session.rate = rate
            self._note_of_session(room, session, latest)
        self._find_rows_of(work, part, sessions)
        return True

    def _sessions_of(self, work: _Work, start: int, end: int, *, begin: bool) -> _Found | None:
        """Return the session of each event; None as in :meth:`_find_sessions`. Without ``begin`` none is begun or made present."""
        part = slice(start, end)
        heard = (work.bits[part] & signs.SILENT) == 0
        at = work.at[part][heard]
        if not at.size:
            return None
        different, which = work.sessions(part, heard)
        if not work.same_session and len({key[:2] for key in different}) != len(different):
            return None
        low = np.full(len(different), NEVER)
        high = np.zeros(len(different), np.int64)
        np.minimum.at(low, which, at)
        np.maximum.at(high, which, at)
        first = np.empty(len(different), np.int64)
        first[which[::-1]] = at[::-1]  # the last to be written is the first
        found: list[tuple[RoomState, Session]] = []
        latest, silence_ms = high.tolist(), self.options.silence_ms
        for (platform, name, named), begun, earliest, last in zip(
            different, first.tolist(), low.tolist(), latest, strict=True
        ):
            room = self._rooms.get((platform, name))
            if room is None:
                if not begin:
                    return None
                room = self._room(platform, name)
            session = room.sessions.current
            # What goes on in nearly every room: its session does. Asked here, since a call for each room would cost
            # most of the rest.
            if session is not None and earliest >= session.started_at:
                if named is not None:
                    goes_on = session.id == named
                else:
                    goes_on = session.ended_at is None and last <= session.last_at + silence_ms
                if goes_on:
                    found.append((room, session))
                    continue
            if not begin and not room.sessions.present(named):
                return None
            session = room.sessions.holding(named, begun, earliest, last)
            if session is None:
                return None
            found.append((room, session))
        return _Found(found, which, heard, latest)

    def _find_rows_of(self, work: _Work, part: slice, sessions: _Found) -> None:
        """Find the row of each event's viewer in the sessions that were found."""
        heard = sessions.heard
        rooms, found = zip(*sessions.found, strict=True)
        which, numbers = np.full(len(heard), -1), np.full(len(heard), -1)
        which[heard] = sessions.which
        numbers[heard] = np.array([session.number for session in found])[sessions.which]
        self._find_rows(work, part, heard, numbers, which, rooms, found)

    def _find_rows(
        self,
        work: _Work,
        part: slice,
        heard: NDArray[np.bool_],
        numbers: Rows,
        which: Rows,
        rooms: Sequence[RoomState],
        sessions: Sequence[Session],
    ) -> None:
        """Find the row of each event's viewer. Of each event of the part ``which`` is the place of its session among ``sessions``, and of
        its room among ``rooms``, and ``numbers`` the session's number; of those that are not ``heard`` anything."""
        viewers: Sequence[Any] = work.frame.viewers[part]
        named = heard
        if count_is(viewers, None):
            named = heard & np.array([viewer is not None for viewer in viewers])
        some = not named.all()
        if some:
            viewers = list(compress(viewers, named.tolist()))
            numbers, which = numbers[named], which[named]
        rows = self.viewers.directory.rows_of(numbers, viewers)
        missing = np.flatnonzero(rows < 0)
        if missing.size:
            new = [viewers[place] for place in missing.tolist()]
            found = list(zip(rooms, sessions, strict=True))
            rows[missing] = self._new_rows(found, which[missing].tolist(), new)
        if some:
            work.rows[part][named] = rows
        else:
            work.rows[part] = rows

    def _new_rows(
        self, found: Sequence[tuple[RoomState, Session]], which: Sequence[int], viewers: Sequence[str]
    ) -> list[int]:
        """Give a row to viewers who have none, and return that of each; some may be the same."""
        asked = list(zip(which, viewers, strict=True))
        new = list(dict.fromkeys(asked))
        rows = self._open_rows([found[place] for place, _ in new], [viewer for _, viewer in new])
        row_of = dict(zip(new, rows, strict=True))
        return [row_of[each] for each in asked]

    def _closer(self, work: _Work, part: slice) -> NDArray[np.bool_]:
        """Return which events make their viewer one to be taken event by event, whatever the points say."""
        viewers, row, bits = self.viewers, work.rows[part], work.bits[part]
        closer = (bits & (signs.OUTCOME | signs.VISIT)) > 0
        closer |= ((bits & signs.ENTER) > 0) & (viewers.left_at.array[row] > 0)
        if work.staff is not None:
            closer |= work.staff[part] > 0
        if work.fan is not None:
            fan = work.fan[part]
            closer |= (fan >= 0) & ((viewers.fan.array[row] != fan) | (viewers.fan_before.array[row] != fan))
        return closer & (row >= 0)

    def _count_together(self, work: _Work, positions: Rows, rows: Rows) -> None:
        """Add to the intents and to the features."""
        assert self._fading is not None
        asking = (work.bits[positions] & signs.QUESTION) > 0
        if asking.any():
            self.viewers.count_intents(rows[asking], work.facts[positions[asking]])
        self._fading.add_many(
            rows, work.sign[positions], work.columns, work.amount[positions], work.weights[:, positions]
        )

    def _choose_together(self, work: _Work, positions: Rows) -> None:
        """Take note of the products that some events of viewers name; ``positions`` ascend."""
        if work.choices and positions.size:
            among = np.zeros(len(work.rows), np.bool_)
            among[positions] = True
            self._choose_between(work, int(positions[0]), int(positions[-1]) + 1, among)

    def _choose_between(
        self, work: _Work, start: int, end: int, among: NDArray[np.bool_] | None = None
    ) -> None:
        """Take note of the products that the events from ``start`` up to ``end`` name, or only those ``among`` which they are."""
        choices = work.choices
        low = bisect_left(choices, start)
        if low == len(choices) or choices[low] >= end:
            return
        positions = choices[low : bisect_left(choices, end, low)]
        for position, row in zip(positions, work.rows[positions].tolist(), strict=True):
            if row >= 0 and (among is None or among[position]):
                self.viewers.choose(row, work.products[position])

    def _warm(self, rows: Rows) -> None:
        """Let cold viewers be warm, by points."""
        viewers = self.viewers
        viewers.grade.array[rows] = viewers.grade_by_points.array[rows] = WARM
        for row, number in zip(rows.tolist(), viewers.session.array[rows].tolist(), strict=True):
            self._sessions[number].warm[row] = None

    def _touch_together(self, positions: Rows, rows: Rows) -> None:
        """Do what :meth:`_note_of_touch` does, for many."""
        if self.model is None or not rows.size:
            return
        buckets = self.viewers.bucket.array
        bucket = self._bucket()
        new = buckets[rows] != bucket
        if new.any():
            fresh, where = np.unique(rows[new], return_index=True)
            buckets[fresh] = bucket
            first = self.events + positions[new][where]
            self._touched.update(zip(fresh.tolist(), first.tolist(), strict=True))
        if self._watching:
            self._active.update(rows.tolist())

    # ------------------------------------------------------------------ compiled

    def _made_taker(self) -> "Taker | None":
        """Return what takes events in C, where there is a kernel and the points table is one that it knows."""
        board, options, policy = self.board, self.options, self.policy
        if kernel.compiled is None or not board.of_session:
            return None
        settings = (
            policy.cap,
            policy.hot,
            policy.warm,
            policy.hot_leave,
            policy.warm_leave,
            options.crowd.budget,
            options.snapshot_every_ms,
            _BUCKETS,
            INTENT_BOUND,
            COUNT_BOUND,
            signs.SILENT,
            signs.ENTER,
            signs.QUESTION,
            signs.OUTCOME | signs.VISIT,
        )
        rules = (
            np.array(settings, np.int64),
            *board.rules_by_column(),
            np.array(features.SPAN_OF, np.int64),
            np.array([mask for _, mask in INTENTS], np.int64),
        )
        touched = None if self.model is None else self._touched
        taker: Taker = kernel.compiled.Taker(rules, touched, self._active if self._watching else None)
        return taker

    def _take_compiled(self, taker: "Taker", work: _Work, start: int, end: int, effects: Effects) -> None:
        """Take the events between two marks: in C what most of them change, and here what is rare."""
        position = start
        while position < end:
            if position >= work.found_until:
                alone = work.alone
                place = int(np.searchsorted(alone, position))
                until = int(alone[place]) if place < len(alone) else len(work.rows)
                if until == position or not self._find_ahead(work, position, end, until):
                    for each in range(position, min(end, max(until, position + 1))):
                        self._take(work, each, effects)
                    position = min(end, max(until, position + 1))
                    continue
            stop = min(end, work.found_until)
            self._take_found(taker, work, position, stop, effects)
            position = stop

    def _find_ahead(self, work: _Work, position: int, end: int, until: int) -> bool:
        """Find the sessions and the rows of events from a position on: until somebody may leave memory or a session may be closed,
        which is at the marks of learning, or where that cannot be told so early, to the stretch's end."""
        chunk = (
            int(np.searchsorted(work.now, (int(work.now[position]) // LEARN_MS + 1) * LEARN_MS))
            if position >= work.near_until
            else end
        )
        far = min(until, chunk)
        if self._find_compiled(work, position, far):
            return True
        sessions = None
        if far > end:
            sessions = self._sessions_of(work, position, far, begin=False)
            if sessions is None:
                work.near_until = chunk
        if sessions is None:
            far = min(far, end)
            sessions = self._sessions_of(work, position, far, begin=True)
        if sessions is None:
            return False
        part = slice(position, far)
        for (room, session), latest in zip(sessions.found, sessions.latest, strict=True):
            self._note_of_session(room, session, latest)
        self._find_rows_of(work, part, sessions)
        if not work.which.size:
            work.which = np.full(len(work.rows), -1)
        work.which[part][sessions.heard] = sessions.which
        work.found = [session for _, session in sessions.found]
        work.found_until = far
        work.given_ms = -1
        return True

    def _find_compiled(self, work: _Work, start: int, end: int) -> bool:
        """Do what :meth:`_find_ahead` does, in C: where each room's present session goes on through all of its events."""
        assert self._kernel is not None
        frame, events = work.frame, len(work.rows)
        if not work.which.size:
            work.which = np.full(events, -1)
        numbers = np.empty(events, np.int64)
        bounds = start, end, signs.SILENT, self.options.silence_ms
        found = self._kernel.sessions_ahead(
            self._rooms,
            frame.platforms,
            frame.rooms,
            frame.sessions,
            bounds,
            work.bits,
            work.at,
            work.which,
            numbers,
        )
        if found is None:
            return False
        rooms, work.found = found
        part = slice(start, end)
        which = work.which[part]
        heard = which >= 0
        self._find_rows(work, part, heard, numbers[part], which, rooms, work.found)
        work.found_until = end
        work.given_ms = -1
        return True

    def _take_found(self, taker: "Taker", work: _Work, position: int, stop: int, effects: Effects) -> None:
        """Take events whose sessions and rows are found."""
        assert self._fading is not None
        if self._taker_rows != self.viewers.capacity:
            self._taker_rows = self.viewers.capacity
            taker.bind(self._taker_columns())
        self._fading.flush()
        if work.given_ms != work.landmark_ms:
            work.given_ms = work.landmark_ms
            taker.of_frame(
                (
                    work.at,
                    work.now,
                    work.bits,
                    work.sign,
                    work.facts,
                    work.amount,
                    work.rows,
                    work.weights,
                    work.hits,
                    work.columns,
                    work.fan,
                    work.staff,
                )
            )
            taker.of_part(work.found, work.which)
        while True:
            told = taker.take(position, stop, self.events)
            begin, position, why = position, told >> 2, told & 3
            self._choose_between(work, begin, position + (why == _REGRADE))
            if not why:
                return
            self._position, self.now = position, int(work.now[position])
            row = int(work.rows[position])
            if why == _REGRADE:
                self._regrade(row, effects)
            else:
                if self._due and int(work.bits[position]) & signs.OUTCOME:
                    self._serve()
                self._take_of_row(work, position, row, effects)
                self._fading.flush()
            position += 1

    def _taker_columns(self) -> tuple[NDArray[Any], ...]:
        assert self._fading is not None
        viewers = self.viewers
        columns = (
            viewers.first_at,
            viewers.last_at,
            viewers.entered_at,
            viewers.left_at,
            viewers.observed_ms,
            viewers.observed,
            viewers.enters,
            viewers.fan,
            viewers.fan_before,
            viewers.staff,
            viewers.alike,
            viewers.grade,
            viewers.grade_by_points,
            viewers.bucket,
        )
        return (
            *(column.array for column in columns),
            *self.board.columns(),
            self._fading.array(),
            *(column.array for column in viewers.intents),
        )

    # ------------------------------------------------------------------ time

    def _advance(self, now: int, effects: Effects) -> None:
        before = self.now
        self.now = now
        if before == 0:
            self._fading = features.FadingColumns(now - now % features.REBASE_MS)
            self._fading.grow(self.viewers.capacity)
            return
        if now // MARK_MS == before // MARK_MS:
            return
        mark = (before // MARK_MS + 1) * MARK_MS
        self._write_leads(effects)
        self._hear_words()
        if self.succession.waiting:
            self._obey(mark, effects)
        self._mark(mark, effects)
        self._write_leads(effects)
        if self.labels.urgent:
            self._learn(mark)  # whoever has just bought says what is wanted now
        learn_at = now - now % LEARN_MS
        if learn_at > before - before % LEARN_MS:
            self._learn(learn_at)
            self._judge_speakers(learn_at, effects)
            self._write_leads(effects)  # of whom the landmark of this moment holds
            self._close_sessions(learn_at, effects)
            self._send_away(learn_at, effects)
        assert self._fading is not None
        if now - self._fading.landmark_ms >= features.REBASE_MS:
            self._serve()
            self._move_landmark(self._fading.rebase(now))

    def _move_landmark(self, by_ms: int) -> None:
        for session in self._sessions.values():
            session.move_landmark(by_ms)

    def _obey(self, mark: int, effects: Effects) -> None:
        """Let those lead who were promoted since the last mark; the looks of this mark are theirs, those before are not."""
        self._serve()
        for promotion in self.succession.waiting:
            if self.model is not None:
                self.model.promote(promotion.version, mark)
            effects.promoted.append((promotion, mark))
        self.succession.obeyed()

    def _mark(self, mark: int, effects: Effects) -> None:
        if self._touched:
            assert self._fading is not None
            touched = sorted(self._touched, key=self._touched.__getitem__)
            rows = np.array(touched, np.int64)
            self._judge_looked_at(rows, mark, effects)
            due = self.viewers.due
            if len(touched) < FEW:
                again = any(due.view[row] for row in touched)
                points = np.array([self.points(row, mark) for row in touched], np.int64)
            else:
                again = bool(due.array[rows].any())
                points = self._points_of(rows, mark)
            if again:  # snapshots of a row are served one after the other
                self._serve()
            facts = self.viewers.facts_at(rows, mark)
            self._due.append(_Due(rows, mark, facts, points, self._fading.array()[rows]))
            due.array[rows] = 1
            self._touched.clear()
        if self._active:
            near = list(self._active) if self.options.exploration > 0.0 else []
            if self.options.grade_by != "points":
                self._grade_by_probability(mark, effects)
            self._active.clear()
            self._explore(near, mark, effects)

    def _explore(self, rows: Sequence[int], mark: int, effects: Effects) -> None:
        """Show some of those who are just not hot, so that it is known what would become of them."""
        viewers, hot = self.viewers, self.policy.hot
        near: list[int] = []
        for row in rows:
            if row in self._leads or viewers.staff.view[row] or viewers.grade.view[row] == HOT:
                continue
            if 0 < hot - self.points(row, mark) < self.options.exploration_points:
                near.append(row)
        near.sort(key=self._name_of)
        for row, name in zip(near, self._names_of(np.array(near, np.int64)), strict=True):
            room, _ = self.session_of(row)
            if self._exploration.chooses(self._room_name(viewers.session.view[row]), name, mark):
                effects.rooms.add((room.platform, room.room))
                self._make_lead(row, mark, effects, propensity=self._exploration.rate)

    def _grade_by_probability(self, mark: int, effects: Effects) -> None:
        viewers = self.viewers
        rows = [row for row in self._active if not viewers.staff.view[row]]
        self._active.clear()
        if not rows or self.model is None or not self.model.ready:
            return
        rows.sort(key=self._name_of)  # in an order that no frame's cut and no row's number has a say in
        bound = self.options.hot_probability
        for row, probability in zip(rows, self._probabilities(rows, mark), strict=True):
            is_hot = viewers.grade.view[row] == HOT
            if (
                probability >= bound
                and not viewers.alike.view[row]
                and (is_hot or not self._joins_group(row, mark))
            ):
                self._hot_by_probability.add(row)
            elif probability < 0.9 * bound:
                self._hot_by_probability.discard(row)
            grade = HOT if row in self._hot_by_probability else viewers.grade_by_points.view[row]
            if grade != viewers.grade.view[row]:
                room, _ = self.session_of(row)
                effects.rooms.add((room.platform, room.room))
                self._set_grade(row, grade, mark, effects)

    def _close_sessions(self, now: int, effects: Effects) -> None:
        still_open: list[Session] = []
        for session in self._open_sessions:
            if not self._room_of[session.number].sessions.over(session, now):
                still_open.append(session)
                continue
            session.open = False
            self._crowd.forget([session.number])
            if self.options.report_closed:
                effects.closed += self.scores(session.rows.tolist(), session.last_at)
        self._open_sessions = still_open
        old = [each for each in self._sessions.values() if each.last_at < now - FORGET_MS]
        if forgotten := [session for session in old if self._can_be_forgotten(session)]:
            # All at once: what is done per session is little, what is done per call is not.
            self._free(np.concatenate([session.rows for session in forgotten], dtype=np.int64), effects)
            for session in forgotten:
                self._room_of.pop(session.number).sessions.forget(session)
                del self._sessions[session.number]
            if self._attic is not None:
                self._attic.forget([_attic_group(session) for session in forgotten])

    def _can_be_forgotten(self, session: Session) -> bool:
        if session.open or session is self._room_of[session.number].sessions.current:
            return False
        return not self.labels.waiting(np.array(session.rows, np.int64)).any()

    def _send_away(self, now: int, effects: Effects) -> None:
        """Let viewers leave memory who were silent for long and are neither shown nor waited for."""
        if self._attic is None or self.board.arrays() is None:
            return
        viewers = self.viewers
        end = viewers.end
        silent = viewers.last_at.array[:end] < now - self.options.idle_ms
        silent &= (viewers.due.array[:end] == 0) & (viewers.session.array[:end] >= 0)
        silent[
            list(
                chain(
                    self._touched,
                    self._active,
                    self._speakers,
                    *(each.warm for each in self._shown_sessions()),
                )
            )
        ] = False
        rows = np.flatnonzero(silent)
        leaving = rows[~self.labels.waiting(rows)][:LEAVE_AT_ONCE]
        if leaving.size:
            self._attic.put(self._packed(leaving))
            self._note_of_leaving(leaving)
            self._free(leaving, effects)

    def _note_of_leaving(self, rows: Rows) -> None:
        by_session: dict[int, list[str]] = {}
        numbers = self.viewers.session.array[rows].tolist()
        for viewer, number in zip(self.viewers.directory.viewers(rows), numbers, strict=True):
            by_session.setdefault(number, []).append(viewer)
        for number, ids in by_session.items():
            session = self._sessions[number]
            session.away += len(ids)
            if not session.counted:
                session.left.append(msgspec.msgpack.encode(ids))

    def _shown_sessions(self) -> Iterator[Session]:
        """Yield the sessions whose hot and warm viewers somebody may look at."""
        for room in self._rooms.values():
            if room.sessions.current is not None:
                yield room.sessions.current

    def _free(self, rows: Rows, effects: Effects) -> None:
        assert self._fading is not None
        for row in rows.tolist():
            self.viewers.session_of(row).warm.pop(row, None)
            self._row_of_lead.pop(self._leads.pop(row, ""), None)
            self._hot_at.pop(row, None)
            self._hot_by_probability.discard(row)
            self._speakers.pop(row, None)
        self.viewers.free(rows)
        self.board.clear(rows)
        self.labels.clear(rows)
        self._fading.clear(rows)
        effects.freed += rows.tolist()

    # ------------------------------------------------------------------ leaving and coming back

    def _row_arrays(self) -> list[NDArray[Any]]:
        """Return all that is known of a row but its session, its viewer and its lead, in a fixed order."""
        assert self._fading is not None
        columns = [column.array for name, column in self.viewers.columns.items() if name != "session"]
        return [*columns, *(self.board.arrays() or ()), self._fading.array()]

    def _packed(self, rows: Rows) -> list[tuple[bytes, bytes]]:
        """Return (key, row) for each of ``rows``, as they go to the attic."""
        assert self._fading is not None
        count = len(rows)
        lines = np.hstack(
            [
                np.ascontiguousarray(array[rows]).reshape(count, -1).view(np.uint8)
                for array in self._row_arrays()
            ]
        )
        landmark = _LANDMARK.pack(self._fading.landmark_ms)
        found: list[tuple[bytes, bytes]] = []
        viewers = self.viewers.directory.viewers(rows)
        for row, viewer, line in zip(rows.tolist(), viewers, lines, strict=True):
            lead = self._leads.get(row)
            told = (lead, self._hot_at.get(row), row in self._hot_by_probability, self.labels.reach_of(row))
            more = told if lead else ()
            packed = landmark + line.tobytes() + msgspec.msgpack.encode(more)
            found.append((_attic_key(self.viewers.session_of(row), viewer), packed))
        return found

    def _unpack(self, row: int, packed: bytes) -> None:
        """Give a row what :meth:`_packed` told of it."""
        assert self._fading is not None
        offset = _LANDMARK.size
        for array in self._row_arrays():
            numbers = np.frombuffer(packed, array.dtype, array[row].size, offset)
            array[row] = numbers.reshape(array.shape[1:])
            offset += numbers.nbytes
        self._fading.move_row(row, *_LANDMARK.unpack_from(packed))
        more = msgspec.msgpack.decode(packed[offset:])
        if more:
            self._leads[row], hot_at, by_probability, reach = more
            if hot_at is not None:
                self._hot_at[row] = hot_at
            self.labels.reach(row, reach)
            self._row_of_lead[self._leads[row]] = row
            if by_probability:
                self._hot_by_probability.add(row)

    def _come_back(
        self, where: Sequence[tuple[RoomState, Session]], viewers: Sequence[str]
    ) -> dict[int, int]:
        """Let those of some viewers come back who had left memory; return their rows by place."""
        assert self._attic is not None
        asked = [place for place, (_, session) in enumerate(where) if session.away]
        packed = self._attic.take([_attic_key(where[place][1], viewers[place]) for place in asked])
        back = {place: line for place, line in zip(asked, packed, strict=True) if line is not None}
        sessions = [where[place][1] for place in back]
        rows = self.viewers.open(sessions, [viewers[place] for place in back], [0] * len(back))
        if self.viewers.capacity > self._capacity:
            self._make_room()
        for row, session, line in zip(rows, sessions, back.values(), strict=True):
            self._unpack(row, line)
            session.away -= 1
        return dict(zip(back, rows, strict=True))

    def _learn(self, mark: int) -> None:
        if self.model is None:
            return
        self._serve()
        if self.labels.due(mark):
            lessons = self.labels.resolve(mark)
            if not len(lessons):
                return
            self.model.learn(lessons)
            if self.options.report_learning:
                self._effects.lessons.append(lessons)

    def _serve(self) -> None:
        """Take the snapshots that are due: read, score with the weights of that moment, and queue for a label."""
        if not self._due or self.model is None:
            return
        assert self._fading is not None
        due, self._due = self._due, []
        rows = np.concatenate([each.rows for each in due])
        marks = np.repeat(np.array([each.mark for each in due]), [len(each.rows) for each in due])
        facts = np.concatenate([each.facts for each in due])
        points = np.concatenate([each.points for each in due])
        self.viewers.due.array[rows] = 0
        fading = self._fading.faded(np.concatenate([each.fading for each in due]), marks)
        inputs = features.assemble(fading, standing(facts))
        sessions = self.viewers.session.array[rows]
        rooms = self._room_names(sessions.tolist())
        served = self.model.serve(inputs, rooms, points, marks)
        kept = inputs.astype(np.float32)
        first = self.labels.end
        spans = features.selling_ms(facts[:, UNTIL_END], self.options.horizon_ms)
        taken = self.labels.serve(rows, sessions, marks, kept, served, spans)
        if self.options.report_learning:
            self._effects.served.append(
                Served(
                    snapshot=np.arange(first, self.labels.end),
                    served_at=marks[taken],
                    session=sessions[taken],
                    rows=rows[taken],
                    rooms=[rooms[place] for place in taken.tolist()],
                    broadcasts=[self._sessions[number].id for number in sessions[taken].tolist()],
                    viewers=self.viewers.directory.viewers(rows[taken]),
                    inputs=kept[taken],
                    served=served[taken],
                    weight=self.labels.weights(first),
                )
            )

    # ------------------------------------------------------------------ rooms and rows

    def _room(self, platform: str, room: str) -> RoomState:
        state = self._rooms.get((platform, room))
        if state is None:
            options = self.options

            def opened(session: Session) -> None:
                assert self._fading is not None
                session.number = self._next_session
                session.rate_landmark_ms = self._fading.landmark_ms
                self._next_session += 1
                self._sessions[session.number] = session
                self._room_of[session.number] = made

            sessions = Sessions(
                silence_ms=options.silence_ms,
                grace_ms=options.grace_ms,
                opened=opened,
                passed=lambda session: self._count_visits(made, session),
            )
            made = state = self._rooms[platform, room] = RoomState(platform, room, sessions)
        return state

    def _row(self, room: RoomState, session: Session, viewer: str) -> int:
        row = self.viewers.directory.row_of(session.number, viewer)
        if row < 0:
            [row] = self._open_rows([(room, session)], [viewer])
        return row

    def _open_rows(self, where: Sequence[tuple[RoomState, Session]], viewers: Sequence[str]) -> list[int]:
        """Give a row to different viewers, each of a room and session, who have none, and return the rows."""
        back: dict[int, int] = {}
        different = list({id(each): each for each in where}.values())  # most often one
        if any(session.away for _, session in different):
            back = self._come_back(where, viewers)
            others = [place for place in range(len(viewers)) if place not in back]
            where, viewers = [where[place] for place in others], [viewers[place] for place in others]
        sessions = [session for _, session in where]
        earlier = [0] * len(viewers)
        if any(room.visits for room, _ in different):
            earlier = [room.visits.get(viewer, 0) for (room, _), viewer in zip(where, viewers, strict=True)]
        orders: Sequence[int] = ()
        if any(room.buyers for room, _ in different):
            orders = [room.buyers.get(viewer, 0) for (room, _), viewer in zip(where, viewers, strict=True)]
        rows = self.viewers.open(sessions, viewers, earlier, orders)
        if any(session.counted for _, session in different):
            for (room, session), viewer, count in zip(where, viewers, earlier, strict=True):
                if session.counted:
                    room.visits[viewer] = count + 1
        if self.viewers.capacity > self._capacity:
            self._make_room()
        for place, row in back.items():  # in the order of places
            rows.insert(place, row)
        return rows

    def _count_visits(self, room: RoomState, session: Session) -> None:
        """Count a session's viewers among the visitors of its room, once: when it is the present one no longer.

        Not as they come: most rooms have one session, and a second table of all viewers would be for nothing.
        """
        if session.counted:
            return
        session.counted = True
        gone = [viewer for part in session.left for viewer in msgspec.msgpack.decode(part, type=list[str])]
        visits = room.visits
        # Sorted: who comes first here is forgotten first, and the order of rows is nobody's business.
        here = self.viewers.directory.viewers(np.array(session.rows, np.int64))
        for viewer in sorted({*here, *gone}):
            visits[viewer] = visits.pop(viewer, 0) + 1
        session.left.clear()
        self._count_buyers(room, session.bought)
        for viewer in list(islice(visits, max(0, len(visits) - VISITS_BOUND))):
            del visits[viewer]

    def _make_room(self) -> None:
        self._capacity = self.viewers.capacity
        assert self._fading is not None
        self._fading.grow(self._capacity)
        self.board.grow(self._capacity)
        self.labels.grow(self._capacity)

    def _names_of(self, rows: Rows) -> list[str]:
        numbers = self.viewers.session.array[rows].tolist()
        heads = {number: f"{self._room_name(number)}/{self._sessions[number].id}/" for number in set(numbers)}
        return [
            heads[number] + viewer
            for number, viewer in zip(numbers, self.viewers.directory.viewers(rows), strict=True)
        ]

    def _name_of(self, row: int) -> tuple[str, str, str, str]:
        room, session = self.session_of(row)
        return room.platform, room.room, session.id, self.viewers.directory.viewer(row)

    # ------------------------------------------------------------------ keeping

    def images(self) -> dict[str, Image]:
        """Return a copy of all that the engine holds, by part: what :meth:`load` takes over. Between two frames."""
        end = self.viewers.end
        images = {
            "engine": self._image(),
            "viewers": self.viewers.image(),
            "points": self.board.image(end),
            "labels": self.labels.image(end),
            "seen": self.seen.image(),
        }
        if self.model is not None:
            images |= {f"model.{name}": image for name, image in self.model.images().items()}
        return images

    def load(self, images: Mapping[str, Image]) -> None:
        """Take over images of an engine that began with the same options, policy and model; this one has applied nothing yet."""
        self._load(images["engine"])
        self._taker_rows = -1
        self.viewers.load(images["viewers"])
        self._said.viewers = self.viewers.directory.viewers(np.array(self._said.rows, np.int64))
        if self._fading is not None:
            self._make_room()
            self._fading.load(images["engine"].arrays["fading"])
        self.board.load(images["points"])
        self.labels.load(images["labels"])
        self.seen.load(images["seen"])
        if self.model is not None:
            parts = {name: image for name, image in images.items() if name.startswith("model.")}
            self.model.load({name.removeprefix("model."): image for name, image in parts.items()})

    def _image(self) -> Image:
        fading = self._fading
        rooms = list(self._rooms.values())
        place = {id(room): number for number, room in enumerate(rooms)}
        return Image(
            meta={
                "now": self.now,
                "events": self.events,
                "landmark": None if fading is None else fading.landmark_ms,
                "rooms": [
                    [
                        room.platform,
                        room.room,
                        room.last_event_at,
                        len(room.visits),
                        len(room.buyers),
                        None if room.sessions.current is None else room.sessions.current.number,
                    ]
                    for room in rooms
                ],
                "sessions": [
                    [place[id(self._room_of[number])], session.kept(), list(session.warm)]
                    for number, session in self._sessions.items()
                ],
                "succession": self.succession.state(),
                "next_session": self._next_session,
                "open_sessions": [session.number for session in self._open_sessions],
                "leads": [[row, lead] for row, lead in self._leads.items()],
                "hot_at": [[row, at] for row, at in self._hot_at.items()],
                "hot_by_probability": sorted(self._hot_by_probability),
                "touched": [[row, number] for row, number in self._touched.items()],
                "active": sorted(self._active),
                "exploration": self._exploration.state(),
                "due": [[each.rows.tolist(), each.mark, each.points.tolist()] for each in self._due],
                "crowd": self._crowd.state(),
                "said": [list(self._said.rows), list(self._said.sketches)],
                "speakers": list(self._speakers),
                "grouped": self.grouped,
            },
            arrays={
                "fading": np.zeros((0, 0), np.float32) if fading is None else fading.image(self.viewers.end),
                "due": np.concatenate([each.facts for each in self._due]) if self._due else np.zeros((0, 0)),
                "due_fading": np.concatenate([each.fading for each in self._due])
                if self._due
                else np.zeros((0, 0), np.float32),
                "visits": np.fromiter(chain.from_iterable(room.visits.values() for room in rooms), np.int64),
                "buyers": np.fromiter(chain.from_iterable(room.buyers.values() for room in rooms), np.int64),
            },
            texts={
                "visits": list(chain.from_iterable(room.visits for room in rooms)),
                "buyers": list(chain.from_iterable(room.buyers for room in rooms)),
            },
        )

    def _load(self, image: Image) -> None:
        meta = image.meta
        self.now, self.events = meta["now"], meta["events"]
        if meta["landmark"] is not None:
            self._fading = features.FadingColumns(meta["landmark"])
        visits = zip(image.texts["visits"], image.arrays["visits"].tolist(), strict=True)
        rooms: list[RoomState] = []
        buyers = zip(image.texts["buyers"], image.arrays["buyers"].tolist(), strict=True)
        for platform, name, last_event_at, count, bought, _ in meta["rooms"]:
            room = self._room(platform, name)
            room.last_event_at = last_event_at
            room.visits = {viewer: times for viewer, times in islice(visits, count) if viewer is not None}
            room.buyers = {viewer: times for viewer, times in islice(buyers, bought) if viewer is not None}
            rooms.append(room)
        for place, kept, warm in meta["sessions"]:
            session = Session.from_kept(kept)
            session.warm = dict.fromkeys(warm)
            self._sessions[session.number] = session
            self._room_of[session.number] = rooms[place]
            rooms[place].sessions.add(session)
        for room, (*_, current) in zip(rooms, meta["rooms"], strict=True):
            room.sessions.current = None if current is None else self._sessions[current]
        self.succession.load(meta["succession"])
        self._next_session = meta["next_session"]
        self._open_sessions = [self._sessions[number] for number in meta["open_sessions"]]
        self._leads = dict(meta["leads"])
        self._row_of_lead = {lead: row for row, lead in self._leads.items()}
        self._hot_at = dict(meta["hot_at"])
        self._hot_by_probability = set(meta["hot_by_probability"])
        # The kernel holds both.
        self._touched.update(meta["touched"])
        self._active.update(meta["active"])
        self._exploration.load(meta["exploration"])
        self._crowd.load(meta["crowd"])
        rows, sketches = meta["said"]
        self._said = _Said(rows, [], sketches)  # by whom is known when viewers are
        self._speakers = dict.fromkeys(meta["speakers"])
        self.grouped = meta["grouped"]
        start = 0
        for rows, mark, points in meta["due"]:
            part = slice(start, start + len(rows))
            facts, fading = image.arrays["due"][part], image.arrays["due_fading"][part]
            self._due.append(_Due(np.array(rows, np.int64), mark, facts, np.array(points, np.int64), fading))
            start += len(rows)

    # ------------------------------------------------------------------ reading

    @property
    def rooms(self) -> Iterator[RoomState]:
        """Every room that has had an event, in the order of its first."""
        return iter(self._rooms.values())

    def room(self, platform: str, room: str) -> RoomState | None:
        """Return a room's state, or None before its first event."""
        return self._rooms.get((platform, room))

    @property
    def rows(self) -> int:
        """How many viewers in sessions are held in memory."""
        return len(self.viewers)

    def rows_of(self, platform: str, viewer: str) -> list[int]:
        """Return the rows of a platform's viewer that are in memory: one for each session, in all of its rooms."""
        directory = self.viewers.directory
        rows = [
            directory.row_of(session.number, viewer)
            for room in self.rooms
            if room.platform == platform
            for session in room.sessions
        ]
        return [row for row in rows if row >= 0]

    def grade_of(self, row: int) -> int:
        """Return a row's grade: 0 cold, 1 warm, 2 hot."""
        grade: int = self.viewers.grade.view[row]
        return grade

    def session_of(self, row: int) -> tuple[RoomState, Session]:
        """Return where a row is."""
        number = self.viewers.session.view[row]
        return self._room_of[number], self._sessions[number]

    def scores(
        self, rows: Sequence[int], at: int, *, reasons: bool = True, features: bool = True
    ) -> list[ViewerScore]:
        """Return both numbers of some rows at engine time ``at``; changes nothing that is recorded or learnt from.

        Without ``features`` the reasons are those of the points alone.
        """
        if not rows:
            return []
        viewers = self.viewers
        which = np.array(rows, np.int64)
        numbers: list[int] = viewers.session.array[which].tolist()
        probabilities: list[float | None] = [None] * len(rows)
        parts: list[list[Reason]] = [[]] * len(rows)
        if self.model is not None:
            weights = self.model.weights()
            inputs = self.inputs(rows, at)
            rooms = self._room_names(numbers)
            probabilities = self.model.probabilities(weights.logits(inputs), rooms).tolist()
            if reasons and features:
                parts = as_reasons(largest_parts(weights, inputs))
        rules: Sequence[Sequence[int]] = [()] * len(rows)
        if reasons:
            rules = self.board.occurrences(which)
        ready = self.model is not None and self.model.ready
        where = {number: self._room_of[number] for number in set(numbers)}
        columns = zip(
            rows,
            numbers,
            viewers.directory.viewers(which),
            self._points_of(which, at).tolist(),
            probabilities,
            rules,
            viewers.last_at.array[which].tolist(),
            viewers.fan.array[which].tolist(),
            viewers.staff.array[which].tolist(),
            parts,
            strict=True,
        )
        found: list[ViewerScore] = []
        for row, number, viewer, points, probability, occurrences, last_at, fan, staff, part in columns:
            room, session = where[number], self._sessions[number]
            found.append(
                ViewerScore(
                    row=row,
                    platform=room.platform,
                    room=room.room,
                    session=session.id,
                    viewer=viewer,
                    points=0 if staff else points,
                    grade=GRADES[COLD if staff else self._grade_at(row, points)],
                    probability=None if staff else probability,
                    reasons=[] if staff or not reasons else self._rule_reasons(row, occurrences, at) + part,
                    last_at=last_at,
                    hot_at=self._hot_at.get(row),
                    lead=self._leads.get(row),
                    fan=bool(fan),
                    staff=bool(staff),
                    ready=ready,
                )
            )
        return found

    def scores_as_json(self, rows: Sequence[int], at: int) -> ScoreColumns:
        """Return what :meth:`scores` does by column, and of the reasons their JSON: for whoever writes down many."""
        viewers, which = self.viewers, np.array(rows, np.int64)
        staff = viewers.staff.array[which] > 0
        points = self._points_of(which, at)
        grades = grades_after(viewers.grade_by_points.array[which], points, self.policy)
        by_probability = self._hot_by_probability
        grades[[place for place, row in enumerate(rows) if row in by_probability]] = HOT
        grades[staff] = COLD
        reasons = self._rule_reasons_as_json(which, at)
        told: list[float | None] = [None] * len(rows)
        if self.model is not None:
            weights, inputs = self.model.weights(), self.inputs(rows, at)
            parts = weights.parts(inputs)
            if self.model.ready:
                rooms = self._room_names(viewers.session.array[which].tolist())
                told = self.model.probabilities(weights.summed(parts), rooms).tolist()
            reasons = as_json(largest_of(parts, inputs, weights.intercept), reasons)
        for place in np.flatnonzero(staff).tolist():
            reasons[place], told[place] = b"", None
        return ScoreColumns(
            viewers=viewers.directory.viewers(which),
            points=np.where(staff, 0, points).tolist(),
            grades=[GRADES[grade] for grade in grades.tolist()],
            probabilities=told,
            reasons=reasons,
        )

    def inputs(self, rows: Sequence[int], at: int) -> Matrix:
        """Return what the model is given of some rows at engine time ``at``; shape (rows, features)."""
        assert self._fading is not None
        which = np.array(rows, np.int64)
        fading = self._fading.read(which, np.full(len(which), at))
        return features.assemble(fading, standing(self.viewers.facts_at(which, at)))

    def _probabilities(self, rows: Sequence[int], at: int) -> list[float]:
        assert self.model is not None
        logits = self.model.weights().logits(self.inputs(rows, at))
        rooms = self._room_names(self.viewers.session.array[list(rows)].tolist())
        found: list[float] = self.model.probabilities(logits, rooms).tolist()
        return found

    def _room_name(self, number: int) -> str:
        """Return "platform/room" of a session's number."""
        room = self._room_of[number]
        return f"{room.platform}/{room.room}"

    def _room_names(self, numbers: Sequence[int]) -> list[str]:
        names = {number: self._room_name(number) for number in set(numbers)}
        return [names[number] for number in numbers]

    def _grade_at(self, row: int, points: int) -> int:
        # Where points fade, a viewer who does nothing cools all the same; no event says so, only the reading.
        by_points = grade_after(self.viewers.grade_by_points.view[row], points, self.policy)
        return HOT if row in self._hot_by_probability else by_points

    def _rule_reasons(self, row: int, occurrences: Sequence[int], at: int) -> list[Reason]:
        found: list[Reason] = []
        viewers = self.viewers
        for reason in self.board.reasons(row, occurrences, at):
            signal = self.board.signal_of(reason.name)
            if signal == "watched":
                reason = Reason(
                    kind="rule",
                    name=reason.name,
                    points=reason.points,
                    value=viewers.watched_ms(row) / 1000.0,
                    inferred=not viewers.observed.view[row] or viewers.entered_at.view[row] > 0,
                )
            elif signal == "question":
                by = {
                    name: column.view[row]
                    for column, (name, _) in zip(viewers.intents, INTENTS, strict=True)
                    if column.view[row]
                }
                reason = Reason(
                    kind="rule", name=reason.name, points=reason.points, count=reason.count, by=by
                )
            found.append(reason)
        if alike := viewers.alike.view[row]:
            lost = self.points(row, at) - self.board.points(row, at)
            found.append(Reason(kind="rule", name=SAME_WORDS, points=lost, count=alike))
        return found

    def _rule_reasons_as_json(self, rows: Rows, at: int) -> list[bytes]:
        """Return each row's rule reasons as JSON values with commas between them. Most viewers have the same few."""
        viewers, known = self.viewers, self._reasons_known
        if not self.board.of_session or len(known) > KNOWN_REASONS:
            known.clear()
            self._reason_known.clear()
        tallies = self.board.tallies(rows)
        rules = tallies.shape[1]
        keys = np.concatenate([tallies, *(column.array[rows][:, None] for column in viewers.intents)], axis=1)
        own = viewers.alike.array[rows] > 0
        for rule in self.board.watched_rules:
            own |= tallies[:, rule] > 0
        own |= not self.board.of_session
        found = _looked_up(known, keys)
        for place in np.flatnonzero(own).tolist():  # what is told depends on more than on counts
            found[place] = _encoded(self._rule_reasons(int(rows[place]), keys[place, :rules].tolist(), at))
        missing = [place for place, reasons in enumerate(found) if reasons is None]
        new = keys[missing]
        for place, key, counts in zip(missing, _as_bytes(new), new[:, :rules].tolist(), strict=True):
            if key not in known:
                asked = key[rules * keys.itemsize :]
                known[key] = self._joined_reasons(int(rows[place]), counts, asked, at)
            found[place] = known[key]
        return cast("list[bytes]", found)  # none is missing any more

    def _joined_reasons(self, row: int, counts: Sequence[int], asked: bytes, at: int) -> bytes:
        """Return the reasons of a row as JSON where counts and intents alone decide; each rule's is made once for all who have it."""
        told = self._reason_known
        found: list[bytes] = []
        for rule, count in enumerate(counts):
            if not count:
                continue
            key = (rule, count, asked if rule in self._asking else b"")
            reason = told.get(key)
            if reason is None:
                alone = [0] * len(counts)
                alone[rule] = count
                reason = told[key] = _encoded(self._rule_reasons(row, alone, at))
            if reason:
                found.append(reason)
        return b",".join(found)


def _looked_up(known: dict[bytes, bytes], keys: NDArray[np.uint16]) -> list[bytes | None]:
    """Return what is known of each row of ``keys``; None: nothing."""
    if kernel.compiled is not None:
        return list(kernel.compiled.find_known(known, keys))
    return [known.get(key) for key in _as_bytes(keys)]


def _as_bytes(keys: NDArray[np.uint16]) -> list[bytes]:
    width, data = keys.shape[1] * keys.itemsize, keys.tobytes()
    return [data[at : at + width] for at in range(0, len(data), width)]


def _encoded(reasons: Iterable[Reason]) -> bytes:
    return b",".join(map(_encode, reasons))


_encode = msgspec.json.Encoder().encode


def _attic_key(session: Session, viewer: str) -> bytes:
    return _attic_group(session) + viewer.encode()


def _attic_group(session: Session) -> bytes:
    # The session's number, not its name: a name may be used again for another broadcast.
    return session.number.to_bytes(GROUP_BYTES)


def _note_of_room(session: Session, frame: Frame, position: int, at: int) -> None:
    def given(name: str) -> Any:
        return frame.seldom.get(name, {}).get(position)

    match frame.kinds[position]:
        case "product_on_show":
            session.product, session.product_at = given("product"), at
        case "host_change":
            session.host = given("host")
        case "room_stats":
            if (viewers := given("viewers")) is not None:
                session.viewers_online = viewers
        case _:
            pass
    if (seconds := given("seconds")) is not None and frame.kinds[position] in TELL_PLAN:
        session.planned_end = at + round(1000.0 * seconds) if seconds else None
    if (campaign := given("campaign")) is not None:
        session.campaign = campaign


def _without(frame: Frame, positions: Sequence[int]) -> Frame:
    """Return a frame without the events at some positions."""
    out = set(positions)
    return frame.take([position for position in range(len(frame)) if position not in out])
