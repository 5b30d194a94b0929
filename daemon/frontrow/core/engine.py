"""The engine: ``apply(events, facts) -> effects``. Pure and deterministic; the same events give the same effects.

Engine time is the running maximum of arrival times (``seen_at``), or of event times where a source has none. What is
recorded or learnt from is decided at *marks*, the multiples of 250 ms of engine time, or at the very event for
points; never where a frame ends. So however a stream is cut into frames, the leads, the labels and the weights are
the same, byte for byte.

What happens at a mark is computed as late as it can be: a viewer's snapshot is due at the mark after its event, but
its numbers are read only when the viewer is touched again or when something is to be learnt. Until then nothing that
it reads can change, and many snapshots are read together.
"""

import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta, Struct

from frontrow.core import facts as fact
from frontrow.core import features
from frontrow.core.alerts import Reason
from frontrow.core.events import DAEMON_KINDS, KINDS, PEOPLE_KINDS, Event
from frontrow.core.labels import LabelQueue, Owner
from frontrow.core.leads import COLD, GRADES, HOT, Grade, Lead, grade_after, lead_id
from frontrow.core.points import PointsBoard, Policy
from frontrow.core.ports import Model
from frontrow.core.scoring import Matrix, Weights
from frontrow.core.sessions import Session, Sessions

MARK_MS = 250
_NEVER = 1 << 62  # later than any time
LEARN_MS = 30_000  # every 120th mark: fresh enough, and rare enough to learn many labels at once
HOUR_MS = 3_600_000
MINUTE_MS = 60_000.0

_INTENTS = (
    ("price", fact.PRICE),
    ("discount", fact.DISCOUNT),
    ("spec", fact.SPEC),
    ("stock", fact.STOCK),
    ("delivery", fact.DELIVERY),
    ("instalment", fact.INSTALMENT),
    ("warranty", fact.WARRANTY),
    ("buy", fact.BUY),
)


class EngineOptions(Struct, frozen=True, kw_only=True):
    """What the engine must know besides the points table. Times in milliseconds.

    ``outcome_kinds`` happen or do not within ``horizon_ms`` of a snapshot. A viewer is snapshot at most once in
    ``snapshot_every_ms``. ``grade_by`` "points_or_probability" also makes those hot whose probability reaches
    ``hot_probability`` (once the model is ready), until it falls below nine tenths of that.
    """

    silence_ms: int = 1_800_000
    grace_ms: int = 300_000
    dedupe_ms: Annotated[int, Meta(ge=24 * HOUR_MS)] = 24 * HOUR_MS
    outcome_kinds: frozenset[str] = frozenset({"order_paid", "form_submit"})
    horizon_ms: int = 3_600_000
    snapshot_every_ms: int = 120_000
    snapshot_bound: int = 1_000_000
    grade_by: Literal["points", "points_or_probability"] = "points"
    hot_probability: float = 0.5
    report_closed: bool = False


@dataclass(slots=True)
class Effects:
    """What one frame did. ``fresh`` are the positions of events that were not duplicates.

    ``touched`` are the rows whose numbers may have changed, each once, in the order of first touch; ``leads`` are
    those that this frame made, in the order of their decision. ``probabilities`` are the model's for ``touched`` at the
    frame's end, in the same order (None: no model); they only refresh what people see. ``closed`` are the last scores of the viewers of
    sessions that ended, where the options ask for them; a late event may close a session again.
    """

    fresh: list[int] = field(default_factory=list)
    leads: list[Lead] = field(default_factory=list)
    touched: dict[int, None] = field(default_factory=dict)
    probabilities: Matrix | None = None
    closed: list["ViewerScore"] = field(default_factory=list)
    unknown: int = 0


@dataclass(slots=True)
class RoomState:
    """One room as the engine knows it."""

    platform: str
    room: str
    sessions: Sessions
    ids: dict[str, int] = field(default_factory=dict)  # event id → hour of engine time in which it was seen
    visits: dict[str, int] = field(default_factory=dict)  # viewer → sessions before the present one
    last_event_at: int = 0


@dataclass(frozen=True, slots=True)
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


def utc_day(_room: tuple[str, str], at: int) -> int:
    """Return the number of the UTC day at ``at`` (ms): what holds for rooms without a time zone of their own."""
    return at // (24 * HOUR_MS)


class Engine:
    """Owns all state of all rooms. Not thread-safe: one owner applies frames in journal order."""

    def __init__(
        self,
        options: EngineOptions,
        policy: Policy,
        model: Model | None,
        *,
        day_of: Callable[[tuple[str, str], int], int] = utc_day,
    ) -> None:
        """Make an engine with nothing in it. ``day_of`` numbers the day of a room, (platform, room), at a time."""
        self._day_of = day_of
        self.options = options
        self.policy = policy
        self.model = model
        self.board = PointsBoard(policy)
        self.labels = LabelQueue(horizon_ms=options.horizon_ms, bound=options.snapshot_bound)
        self.now = 0  # engine time, UTC ms; 0 before the first event
        self._hour = 0
        self._dedupe_hours = -(-options.dedupe_ms // HOUR_MS)
        self._rooms: dict[tuple[str, str], RoomState] = {}
        self._fading: features.FadingColumns | None = None
        self._watch_ms = min(self.board.watch_bounds_ms, default=None)
        # One entry per row (viewer and session). Arrays, not objects: the collector never sees them.
        self._where: list[tuple[RoomState, Session]] = []
        self._viewer: list[str] = []
        self._first_at = array("q")
        self._last_at = array("q")
        self._entered_at = array("q")  # an open enter, or 0
        self._left_at = array("q")  # a leave without its enter yet, or 0
        self._observed_ms = array("q")
        self._observed = bytearray()  # whether any stay or visit was observed
        self._enters = array("I")
        self._fan = bytearray()
        self._fan_before = bytearray()
        self._staff = bytearray()
        self._grade = bytearray()
        self._grade_by_points = bytearray()
        self._hot_at = array("q")  # engine time at which it first turned hot, or 0
        self._bucket = array("q")
        self._intents = [array("H") for _ in _INTENTS]
        self._earlier = array("I")
        self._leads: dict[int, str] = {}
        self._touched: list[int] = []  # rows to be snapshot at the next mark
        # Rows whose mark has passed: (mark, standing features).
        self._due: dict[int, tuple[int, list[float]]] = {}
        self._active: dict[int, None] = {}  # rows touched since the last mark, where probability may make hot
        self._hot_by_probability: set[int] = set()
        self._open_sessions: list[tuple[RoomState, Session]] = []

    # ------------------------------------------------------------------ applying

    def apply(self, events: Sequence[Event], facts: Sequence[int]) -> Effects:
        """Apply events in order; ``facts[i]`` is the mask of ``events[i]``. Return what came of it.

        Never raises for the content of an event: what cannot be used is counted or kept, and the rest goes on.
        """
        effects = Effects()
        rooms = self._rooms
        for position, event in enumerate(events):
            room = rooms.get((event.platform, event.room))
            if room is None:
                room = self._open_room(event.platform, event.room)
            seen_hour = room.ids.get(event.id)
            if seen_hour is not None:
                if self._hour - seen_hour <= self._dedupe_hours:
                    continue
                del room.ids[event.id]
            seen_at = event.at if event.seen_at is None else event.seen_at
            if seen_at > self.now:
                self._advance(seen_at, effects)
            room.ids[event.id] = self._hour
            effects.fresh.append(position)
            self._take(room, event, facts[position], effects)
        if self.model is not None and effects.touched:
            rows = list(effects.touched)
            now = self.now
            inputs = self._inputs(rows, [now] * len(rows), [self._standing(row, now) for row in rows])
            effects.probabilities = self.model.weights().probabilities(inputs)
        return effects

    def _take(self, room: RoomState, event: Event, facts: int, effects: Effects) -> None:
        kind = event.kind
        if kind in DAEMON_KINDS or kind in PEOPLE_KINDS:
            return  # a tick has done its work by moving time; the others are kept for those who read them
        at = min(event.at, self.now)  # a feed's clock may run ahead of ours; nothing is from the future
        if kind not in KINDS:
            effects.unknown += 1
            return
        session = room.sessions.of(event.session, at, kind, counts=not event.test)
        if event.test:
            self._open_test_row(room, session, event, effects)
            return
        session.count(at)
        if not session.open:
            session.open = True
            self._open_sessions.append((room, session))
        if at > room.last_event_at:
            room.last_event_at = at
        viewer = event.viewer
        if viewer is None:
            _note_of_room(session, event, at)
            return
        row = session.rows.get(viewer)
        if row is None:
            row = self._open_row(room, session, viewer)
        if row in self._due or kind in self.options.outcome_kinds:
            self._serve()  # before this event changes what is to be read, or resolves what is to be served
        effects.touched[row] = None
        if event.staff:
            self._staff[row] = 1
            self._grade[row] = self._grade_by_points[row] = COLD
            self._hot_by_probability.discard(row)
            session.warm.pop(row, None)  # whoever turns out to be staff leaves the panel
            return
        if event.fan is not None and kind not in self.options.outcome_kinds:
            self._fan_before[row] = self._fan[row]
            self._fan[row] = event.fan
        self._watch(row, kind, event, at)
        board = self.board
        hits = board.hits(kind, facts)
        if hits:
            day = self._day_of((room.platform, room.room), at) if board.by_day else 0
            board.hit(row, hits, at=at, owner=(room.platform, room.room, viewer), day=day)
        if kind == "comment" and facts & fact.QUESTION:
            for column, (_, mask) in zip(self._intents, _INTENTS, strict=True):
                if facts & mask and column[row] < 65_535:
                    column[row] += 1
        if kind in self.options.outcome_kinds:
            self._outcome(Owner(room.platform, room.room, viewer), at)
        else:
            self._feed(row, kind, facts, event, at)
        self._regrade(row, room, session, viewer, effects)

    def _feed(self, row: int, kind: str, facts: int, event: Event, at: int) -> None:
        assert self._fading is not None
        if kind == "like" and event.count is not None:
            amount = float(event.count)
        elif kind == "gift":
            amount = 1.0 + max(0, event.value or 0) / 100.0  # a refund of a gift takes nothing back
        else:
            amount = 1.0
        self._fading.add(row, kind, facts, amount, at)
        if self.model is not None:
            bucket = self.now // self.options.snapshot_every_ms
            if self._bucket[row] != bucket:
                self._bucket[row] = bucket
                self._touched.append(row)
            if self.options.grade_by != "points":
                self._active[row] = None

    def _watch(self, row: int, kind: str, event: Event, at: int) -> None:
        if at < self._first_at[row]:
            self._first_at[row] = at
        if at > self._last_at[row]:
            self._last_at[row] = at
        if kind == "enter":
            self._enters[row] += 1
            left_at = self._left_at[row]
            if left_at > at:  # its leave came first
                self._observe(row, left_at - at)
                self._left_at[row] = 0
            elif self._entered_at[row] == 0 or at < self._entered_at[row]:
                self._entered_at[row] = at
        elif kind == "leave":
            entered_at = self._entered_at[row]
            if entered_at and entered_at <= at:
                self._observe(row, at - entered_at)
                self._entered_at[row] = 0
            else:
                self._left_at[row] = max(self._left_at[row], at)
        elif kind == "stay" and event.seconds is not None:
            self._observe(row, math.ceil(event.seconds * 1000.0))
            self._entered_at[row] = 0  # the visit's length is told; no leave is to be paired with its enter
        if self._watch_ms is not None:
            watched_ms = self.watched_ms(row)
            if watched_ms > self._watch_ms or self._observed[row]:
                self.board.set_watched(row, watched_ms)

    def _observe(self, row: int, milliseconds: int) -> None:
        self._observed_ms[row] += milliseconds
        self._observed[row] = 1

    def watched_ms(self, row: int) -> int:
        """Return for how long a viewer has watched: what was observed, or failing that, first to last activity.

        A visit that goes on counts up to the last activity, beside those that were observed to their end.
        """
        if not self._observed[row]:
            return max(0, self._last_at[row] - self._first_at[row])
        entered_at = self._entered_at[row]
        going_on = max(0, self._last_at[row] - entered_at) if entered_at else 0
        return self._observed_ms[row] + going_on

    def _regrade(self, row: int, room: RoomState, session: Session, viewer: str, effects: Effects) -> None:
        if self._staff[row]:
            return
        before = self._grade[row]
        by_points = grade_after(
            self._grade_by_points[row], self.board.points(row, self._last_at[row]), self.policy
        )
        self._grade_by_points[row] = by_points
        grade = HOT if row in self._hot_by_probability else by_points
        if grade != before:
            self._set_grade(row, grade, room, session, viewer, self.now, effects)

    def _set_grade(
        self, row: int, grade: int, room: RoomState, session: Session, viewer: str, now: int, effects: Effects
    ) -> None:
        self._grade[row] = grade
        if grade == COLD:
            session.warm.pop(row, None)
        else:
            session.warm[row] = None
        if grade == HOT and row not in self._leads:
            self._make_lead(row, room, session, viewer, now, effects)

    def _outcome(self, owner: Owner, at: int) -> None:
        self.labels.outcome(owner, at, self.now)
        # A snapshot that is still to be taken would already lie after its own outcome.
        self._touched = [row for row in self._touched if self._owner(row) != owner]

    def _owner(self, row: int) -> Owner:
        room, _ = self._where[row]
        return Owner(room.platform, room.room, self._viewer[row])

    def _make_lead(
        self, row: int, room: RoomState, session: Session, viewer: str, now: int, effects: Effects
    ) -> None:
        lead = lead_id(room.platform, room.room, session.id, viewer)
        self._leads[row] = lead
        self._hot_at[row] = now
        session.leads += 1
        score = self.scores([row], now)[0]
        effects.leads.append(
            Lead(
                lead=lead,
                platform=room.platform,
                room=room.room,
                session=session.id,
                viewer=viewer,
                customer=None,
                store=None,
                grade="hot",
                quality=None,
                points=score.points,
                probability=score.probability if self.model is not None and self.model.ready else None,
                reasons=score.reasons,
                decided_at=now,
                policy=self.board.id,
                model=None if self.model is None else self.model.version,
                host=session.host,
                product=session.product,
                campaign=session.campaign,
            )
        )

    # ------------------------------------------------------------------ time

    def _advance(self, now: int, effects: Effects) -> None:
        before = self.now
        self.now = now
        if before == 0:
            self._fading = features.FadingColumns(now - now % features.REBASE_MS)
            self._hour = now // HOUR_MS
            return
        if now // MARK_MS == before // MARK_MS:
            return
        mark = (before // MARK_MS + 1) * MARK_MS
        self._mark(mark, effects)
        learn_at = now - now % LEARN_MS
        if learn_at > before - before % LEARN_MS:
            self._learn(learn_at)
            self._close_sessions(learn_at, effects)
        hour = now // HOUR_MS
        if hour != self._hour:
            self._hour = hour
            assert self._fading is not None
            if now - self._fading.landmark_ms >= features.REBASE_MS:
                self._serve()
                self._fading.rebase(now)
            self._forget_ids()

    def _mark(self, mark: int, effects: Effects) -> None:
        for row in self._touched:
            self._due[row] = (mark, self._standing(row, mark))
        self._touched.clear()
        if self._active:
            self._grade_by_probability(mark, effects)

    def _grade_by_probability(self, mark: int, effects: Effects) -> None:
        rows = [row for row in self._active if not self._staff[row]]
        self._active.clear()
        if not rows or self.model is None or not self.model.ready:
            return
        inputs = self._inputs(rows, [mark] * len(rows), [self._standing(row, mark) for row in rows])
        bound = self.options.hot_probability
        for row, probability in zip(rows, self.model.weights().probabilities(inputs), strict=True):
            if probability >= bound:
                self._hot_by_probability.add(row)
            elif probability < 0.9 * bound:
                self._hot_by_probability.discard(row)
            grade = HOT if row in self._hot_by_probability else self._grade_by_points[row]
            if grade != self._grade[row]:
                effects.touched[row] = None
                room, session = self._where[row]
                self._set_grade(row, grade, room, session, self._viewer[row], mark, effects)

    def _close_sessions(self, now: int, effects: Effects) -> None:
        still_open: list[tuple[RoomState, Session]] = []
        for room, session in self._open_sessions:
            if not room.sessions.over(session, now):
                still_open.append((room, session))
                continue
            session.open = False
            if self.options.report_closed:
                effects.closed += self.scores(list(session.rows.values()), session.last_at)
        self._open_sessions = still_open

    def _learn(self, mark: int) -> None:
        if self.model is None:
            return
        self._serve()
        labels = self.labels.mature(mark)
        if labels:
            self.model.learn(labels)

    def _serve(self) -> None:
        """Take the snapshots that are due: read, score with the weights of that moment, and queue for a label."""
        if not self._due or self.model is None:
            return
        rows = list(self._due)
        marks = [mark for mark, _ in self._due.values()]
        inputs = self._inputs(rows, marks, [standing for _, standing in self._due.values()])
        self._due.clear()
        probabilities = self.model.weights().probabilities(inputs)
        self.model.observe(inputs)
        kept = inputs.astype(np.float32)
        for index, row in enumerate(rows):
            self.labels.serve(self._owner(row), marks[index], kept[index], float(probabilities[index]))

    def _forget_ids(self) -> None:
        oldest = self._hour - self._dedupe_hours
        for room in self._rooms.values():
            stale: list[str] = []
            for (
                event_id,
                hour,
            ) in room.ids.items():  # in the order of engine time, so the old ones stand first
                if hour >= oldest:
                    break
                stale.append(event_id)
            for event_id in stale:
                del room.ids[event_id]

    # ------------------------------------------------------------------ rows

    def _open_room(self, platform: str, room: str) -> RoomState:
        state = RoomState(
            platform, room, Sessions(silence_ms=self.options.silence_ms, grace_ms=self.options.grace_ms)
        )
        self._rooms[platform, room] = state
        return state

    def _open_test_row(self, room: RoomState, session: Session, event: Event, effects: Effects) -> None:
        """Give a viewer of the platform's test data a line, and nothing else."""
        if event.viewer is None:
            return
        row = session.rows.get(event.viewer)
        effects.touched[self._open_row(room, session, event.viewer) if row is None else row] = None

    def _open_row(self, room: RoomState, session: Session, viewer: str) -> int:
        assert self._fading is not None
        row = len(self._where)
        self._where.append((room, session))
        self._viewer.append(viewer)
        self._first_at.append(_NEVER)
        self._last_at.append(0)
        for column in (self._entered_at, self._left_at, self._observed_ms, self._hot_at, self._enters):
            column.append(0)
        self._bucket.append(-1)
        for flags in (
            self._observed,
            self._fan,
            self._fan_before,
            self._staff,
            self._grade,
            self._grade_by_points,
        ):
            flags.append(0)
        for intents in self._intents:
            intents.append(0)
        visits = room.visits.get(viewer, 0)
        self._earlier.append(visits)
        room.visits[viewer] = visits + 1
        self.board.add_row()
        self._fading.add_row()
        session.rows[viewer] = row
        return row

    def _standing(self, row: int, at: int) -> list[float]:
        session = self._where[row][1]
        shown_at = session.product_at
        return [
            self.watched_ms(row) / MINUTE_MS,
            max(0, at - self._first_at[row]) / MINUTE_MS,
            float(self._enters[row]),
            float(self._fan_before[row]),
            float(self._earlier[row]),
            max(0, at - session.started_at) / MINUTE_MS,
            session.rate * 2.0 ** (min(0, session.rate_at - at) / MINUTE_MS),
            float(session.viewers_online or 0),
            0.0 if shown_at is None else max(0, at - shown_at) / MINUTE_MS,
        ]

    def _inputs(self, rows: Sequence[int], at: Sequence[int], standing: Sequence[list[float]]) -> Matrix:
        assert self._fading is not None
        self._fading.flush()
        fading = self._fading.read(np.array(rows, dtype=np.intp), np.array(at, dtype=np.float64))
        return features.assemble(fading, np.array(standing))

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
        """How many viewers in sessions are held."""
        return len(self._where)

    def grade_of(self, row: int) -> int:
        """Return a row's grade: 0 cold, 1 warm, 2 hot."""
        return self._grade[row]

    def session_of(self, row: int) -> tuple[RoomState, Session]:
        """Return where a row is."""
        return self._where[row]

    def scores(self, rows: Sequence[int], at: int, *, reasons: bool = True) -> list[ViewerScore]:
        """Return both numbers of some rows at engine time ``at``; changes nothing that is recorded or learnt from."""
        if not rows:
            return []
        weights: Weights | None = None
        probabilities: Matrix | None = None
        parts: Matrix | None = None
        inputs: Matrix | None = None
        if self.model is not None:
            weights = self.model.weights()
            inputs = self._inputs(rows, [at] * len(rows), [self._standing(row, at) for row in rows])
            probabilities = weights.probabilities(inputs)
            parts = weights.parts(inputs) if reasons else None
        found: list[ViewerScore] = []
        for index, row in enumerate(rows):
            staff = bool(self._staff[row])
            points = 0 if staff else self.board.points(row, at)
            why = self._rule_reasons(row, at) if reasons and not staff else []
            if weights is not None and parts is not None and inputs is not None and not staff:
                why += _feature_reasons(weights, parts[index], inputs[index])
            room, session = self._where[row]
            found.append(
                ViewerScore(
                    row=row,
                    platform=room.platform,
                    room=room.room,
                    session=session.id,
                    viewer=self._viewer[row],
                    points=points,
                    grade=GRADES[COLD if staff else self._grade_at(row, points)],
                    probability=None if probabilities is None or staff else float(probabilities[index]),
                    reasons=why,
                    last_at=self._last_at[row],
                    hot_at=self._hot_at[row] or None,
                    lead=self._leads.get(row),
                    fan=bool(self._fan[row]),
                    staff=staff,
                )
            )
        return found

    def _grade_at(self, row: int, points: int) -> int:
        # Where points fade, a viewer who does nothing cools all the same; no event says so, only the reading.
        by_points = grade_after(self._grade_by_points[row], points, self.policy)
        return HOT if row in self._hot_by_probability else by_points

    def _rule_reasons(self, row: int, at: int) -> list[Reason]:
        found: list[Reason] = []
        for reason in self.board.reasons(row, at):
            signal = self.board.signal_of(reason.name)
            if signal == "watched":
                reason = Reason(
                    kind="rule",
                    name=reason.name,
                    points=reason.points,
                    value=self.watched_ms(row) / 1000.0,
                    inferred=not self._observed[row] or self._entered_at[row] > 0,
                )
            elif signal == "question":
                by = {
                    name: column[row]
                    for column, (name, _) in zip(self._intents, _INTENTS, strict=True)
                    if column[row]
                }
                reason = Reason(
                    kind="rule", name=reason.name, points=reason.points, count=reason.count, by=by
                )
            found.append(reason)
        return found


def _feature_reasons(weights: Weights, parts: Matrix, inputs: Matrix) -> list[Reason]:
    """Return the parts of a logit that are not zero, largest first, and the intercept last; they sum to the logit."""
    order = sorted(np.flatnonzero(parts), key=lambda index: (-abs(parts[index]), index))
    found = [
        Reason(
            kind="feature",
            name=features.NAMES[index],
            logit=float(parts[index]),
            value=float(np.expm1(inputs[index])),
        )
        for index in order
    ]
    found.append(Reason(kind="feature", name="intercept", logit=weights.intercept, value=1.0))
    return found


def _note_of_room(session: Session, event: Event, at: int) -> None:
    if event.kind == "product_on_show":
        session.product, session.product_at = event.product, at
    elif event.kind == "host_change":
        session.host = event.host
    elif event.kind == "room_stats" and event.viewers is not None:
        session.viewers_online = event.viewers
    if event.campaign is not None:
        session.campaign = event.campaign
