"""What the host's panel is sent: the list of hot and warm viewers, as snapshots and deltas with sequence numbers.

A channel per room. Changes are put together: at most one delta each :data:`DELTA_EVERY_S`, and only while somebody
looks. A client that comes back names the last sequence number it saw and is sent what it missed, or a snapshot where
that is no longer at hand.

A delta must stay cheap in a room of fifty thousand viewers, since whoever holds the loop delays everybody's events. So
between two looks at the whole room, which are :data:`REFRESH_EVERY_S` apart, only those are compared who were near
the list's top at the last one or have done something since; a row is made only where a person would see a difference,
and reasons, the dear part, are read once in :data:`REASONS_EVERY_S` where neither points nor probability have changed.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import orjson
from msgspec import Struct

from frontrow.core.alerts import Reason
from frontrow.core.contact import mask_numbers
from frontrow.core.directory import NOBODY
from frontrow.core.engine import Engine, ViewerScore
from frontrow.core.events import RoomRef
from frontrow.core.leads import GRADES, HOT
from frontrow.core.ports import Clock
from frontrow.core.sessions import Session
from frontrow.runtime.people import People
from frontrow.runtime.pipeline import Applied
from frontrow_models.reasons import Explanation

DELTA_EVERY_S = 0.06
STATE_EVERY_S = 1.0
REFRESH_EVERY_S = 5.0  # probabilities fade while nothing happens; the list is looked at again this often
REASONS_EVERY_S = 1.0  # counts and times within them may be so old
CUT = 4  # times the list's length: so many, by grade, points and time, are looked at between two looks at the room
MOST_TOUCHED = 10_000  # viewers between two deltas; beyond that the whole room is looked at
KEPT_MESSAGES = 256
SUBSCRIBER_QUEUE = 64  # messages; a client that is further behind is cut off and comes back for a snapshot

T = TypeVar("T")
Key = tuple[str, str]
Row = dict[str, Any]
Interval = tuple[float, float]
Known = Literal["ready", "not enough data", "off", "staff"]


@dataclass(frozen=True, slots=True)
class FeedLine:
    """A feed as the panel shows it; ``since`` is when it went into this state (UTC ms)."""

    id: str
    connector: str
    state: str
    detail: str
    retry_in_s: float | None
    since: int


class Why(Struct, frozen=True):
    """Both numbers of one viewer at engine time ``at`` (UTC ms), with all that they are made of.

    ``state`` says whether there is a probability: "ready"; "not enough data" while the model has seen too little;
    "off" without a model; "staff", who are never scored. Unless it is "ready", ``probability``, ``interval`` and
    ``explanation`` are None: such a number would mean nothing. ``interval`` is where the share of outcomes lies, with
    95 %, among those who were told about the same probability; None too where these are few. ``model`` is the version
    that says so; ``labels`` and ``positives`` are what it has learnt from.
    """

    room: str
    session: str
    viewer: str
    at: int
    grade: str
    points: int
    rules: list[dict[str, Any]]
    state: Known
    probability: float | None
    interval: tuple[float, float] | None
    explanation: Explanation | None
    model: str | None
    labels: int
    positives: int


class Lagged(Exception):
    """A subscriber did not read fast enough; it is to be closed, and may come back for a snapshot."""


class Subscription:
    """One open panel. Iterate over :meth:`messages` to get what is to be sent, as JSON bytes."""

    def __init__(self) -> None:
        self._queue: deque[bytes] = deque()
        self._ready = asyncio.Event()
        self._lagged = False
        self._closed = False

    def push(self, message: bytes) -> None:
        """Queue a message; marks the subscription as lagged when the queue is at its bound."""
        if len(self._queue) >= SUBSCRIBER_QUEUE:
            self._lagged = True
        else:
            self._queue.append(message)
        self._ready.set()

    def close(self) -> None:
        """End the iteration after what is queued; idempotent."""
        self._closed = True
        self._ready.set()

    async def messages(self) -> AsyncIterator[bytes]:
        """Return what is to be sent, until closed.

        Raises:
            Lagged: The client reads too slowly.
        """
        while True:
            while self._queue:
                yield self._queue.popleft()
            if self._lagged:
                raise Lagged
            if self._closed:
                return
            self._ready.clear()
            await self._ready.wait()


@dataclass(slots=True)
class _Made:
    """A row as it was made last. Where ``look`` differs it is made anew, where ``score`` differs its reasons are."""

    look: tuple[object, ...]
    score: tuple[object, ...]
    reasons: bytes
    read_at: float  # when the reasons were read, monotonic
    row: bytes


@dataclass(slots=True)
class _Channel:
    room: RoomRef
    seq: int = 0
    shown: dict[str, bytes] = field(default_factory=dict)  # viewer → row as last sent, in the list's order
    recent: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=KEPT_MESSAGES))
    subscribers: set[Subscription] = field(default_factory=set)
    dirty: bool = False
    near: dict[int, None] = field(
        default_factory=dict
    )  # engine's rows that were near the top, as a set with an order
    near_of: Session | None = None
    touched: set[int] = field(default_factory=set)  # rows with events since
    made: dict[int, _Made] = field(default_factory=dict)  # of the rows on the list
    session: str | None = None
    oldest_at: int | None = None  # arrival of the oldest event that waits to be shown, UTC ms
    state: bytes = b""
    refreshed: float = 0.0
    dropped_of: str | None = None  # the session that `dropped_before` belongs to
    dropped_before: int = 0  # events given up in earlier sessions


class Panels:
    """The channels of all configured rooms."""

    def __init__(
        self,
        *,
        engine: Engine,
        people: People,
        clock: Clock,
        rooms: Sequence[RoomRef],
        rows: int,
        feeds: Callable[[str], Sequence[FeedLine]],
        dropped: Callable[[str], int],
        on_shown: Callable[[float], None] = lambda _seconds: None,
        settled: Callable[[], bool] = lambda: True,
        interval: Callable[[float], Interval | None] = lambda _probability: None,
        explain: Callable[[int], Explanation | None] = lambda _row: None,
    ) -> None:
        """Make the channels. ``interval`` says how sure a probability is, ``explain`` gives the parts of a row's, and each
        None where that is not known. ``settled`` says whether all that the engine has applied is durable; while it is
        not, nothing is read: what is due is sent, and who asks is answered, at the next :meth:`durable`."""
        self._settled = settled
        self._owing = False  # whether something was due while nothing could be read
        self._asking: list[Callable[[], None]] = []
        self._states_at = 0.0
        self._engine = engine
        self._people = people
        self._clock = clock
        self._rows = rows
        self._feeds = feeds
        self._dropped = dropped
        self._on_shown = on_shown
        self._interval = interval
        self._explain = explain
        # Sequence numbers go on from the wall clock, so that those of an earlier run are never taken for ours.
        first = clock.now()
        self._channels = {room.id: _Channel(room, seq=first) for room in rooms}
        self._by_key: Mapping[Key, _Channel] = {
            (channel.room.platform, channel.room.room): channel for channel in self._channels.values()
        }
        self._wake = asyncio.Event()

    @property
    def open(self) -> int:
        """How many panels are connected."""
        return sum(len(channel.subscribers) for channel in self._channels.values())

    def durable(self, frames: Sequence[Applied]) -> None:
        """Take note of frames that are on the disk; their rooms are shown at the next delta."""
        for applied in frames:
            effects = applied.effects
            watched = {
                key: channel
                for key in effects.rooms
                if (channel := self._by_key.get(key)) is not None and channel.subscribers
            }
            if not watched:
                continue
            for channel in watched.values():
                channel.dirty = True
                if channel.oldest_at is None:
                    channel.oldest_at = applied.arrived_at
            self._wake.set()
            rows, kept = effects.rows.tolist(), effects.kept
            if len(effects.rooms) == 1:
                for channel in watched.values():
                    channel.touched.update(rows)
            else:
                for row, key in zip(rows, zip(kept.platforms, kept.rooms, strict=True), strict=True):
                    found = watched.get(key)
                    if found is not None:
                        found.touched.add(row)
        asking, self._asking = self._asking, []
        for answer in asking:
            answer()
        if self._owing:
            self._owing = False
            self._send_due()

    async def when_settled(self, read: Callable[[], T]) -> T:
        """Return what ``read`` returns, called when all that the engine has applied is durable; raise what it raises."""
        if self._settled():
            return read()
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def answer() -> None:
            if not done.done():  # who asked may have gone
                try:
                    done.set_result(read())
                except Exception as error:  # noqa: BLE001  # is the asker's; the pipeline, which calls this, goes on
                    done.set_exception(error)

        self._asking.append(answer)
        return await done

    def subscribe(self, room: str, since: int | None) -> Subscription:
        """Open a panel of a configured room; it first gets what it missed after ``since``, or a snapshot.

        Raises:
            KeyError: No such room is configured.
        """
        channel = self._channels[room]
        subscription = Subscription()
        if not channel.subscribers:
            channel.shown.clear()  # nobody looked, so nothing was kept up to date
            channel.recent.clear()
            channel.near_of = None
        else:
            self._send_delta(
                channel
            )  # to the others first: what they have been shown is the list's only record
        missed = self._missed(channel, since)
        if missed is None:
            self._update(channel)
            subscription.push(self._snapshot(channel))
        else:
            for message in missed:
                subscription.push(message)
        channel.subscribers.add(subscription)
        return subscription

    def unsubscribe(self, room: str, subscription: Subscription) -> None:
        """Close a panel; idempotent."""
        self._channels[room].subscribers.discard(subscription)
        subscription.close()

    async def run(self) -> None:
        """Send deltas and states until cancelled."""
        while True:
            if not any(channel.dirty for channel in self._channels.values()):
                self._wake.clear()
                await self._sleep_or_wake(STATE_EVERY_S - (self._clock.monotonic() - self._states_at))
            if self._settled():
                self._send_due()
            else:
                self._owing = True
            await self._clock.sleep(DELTA_EVERY_S)

    def _send_due(self) -> None:
        now = self._clock.monotonic()
        for channel in self._channels.values():
            if channel.subscribers and (channel.dirty or now - channel.refreshed >= REFRESH_EVERY_S):
                self._send_delta(channel)
        if now - self._states_at >= STATE_EVERY_S:
            self._states_at = now
            for channel in self._channels.values():
                if channel.subscribers:
                    self._send_state(channel)

    def close(self) -> None:
        """End every subscription."""
        for channel in self._channels.values():
            for subscription in channel.subscribers:
                subscription.close()

    def viewers(self, room: str, limit: int) -> list[Row]:
        """Return the current session's hot and warm viewers of a configured room, hottest first.

        Raises:
            KeyError: No such room is configured.
        """
        session = self._session(self._channels[room])
        if session is None:
            return []
        best = self._best(self._cut(session.warm, limit), limit)
        scores = self._engine.scores([score.row for score in best], self._engine.now, features=self._ready)
        return [self._row(score, self._reasons(score)) for score in scores]

    def why(self, room: str, viewer: str) -> Why | None:
        """Return all that the numbers of one viewer of a configured room's current session are made of.

        None: the viewer has done nothing in it, or left memory after a long silence. The only place where exact parts are
        computed: for whom somebody asks.

        Raises:
            KeyError: No such room is configured.
        """
        session = self._session(self._channels[room])
        row = NOBODY if session is None else self._engine.viewers.directory.row_of(session.number, viewer)
        if row == NOBODY:
            return None
        [score] = self._engine.scores([row], self._engine.now, features=False)
        model = self._engine.model
        state: Known = "off" if model is None else "ready" if score.ready else "not enough data"
        if score.staff:
            state = "staff"
        shown = score.probability if state == "ready" else None
        return Why(
            room=room,
            session=score.session,
            viewer=score.viewer,
            at=self._engine.now,
            grade=score.grade,
            points=score.points,
            rules=[reason_of(reason) for reason in score.reasons],
            state=state,
            probability=shown,
            interval=None if shown is None else self._interval(shown),
            explanation=None if shown is None else self._explain(row),
            model=None if model is None else model.version,
            labels=0 if model is None else model.labels,
            positives=0 if model is None else model.positives,
        )

    def state(self, room: str) -> Row:
        """Return the room's state as the panel gets it.

        Raises:
            KeyError: No such room is configured.
        """
        return self._state(self._channels[room])

    async def _sleep_or_wake(self, seconds: float) -> None:
        if seconds <= 0:
            return
        sleeper = asyncio.ensure_future(self._clock.sleep(seconds))
        waker = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait((sleeper, waker), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeper.cancel()
            waker.cancel()

    def _missed(self, channel: _Channel, since: int | None) -> list[bytes] | None:
        if since is None or not channel.recent or since > channel.seq:
            return None
        if since == channel.seq:
            return []
        if channel.recent[0][0] > since + 1:
            return None
        return [message for seq, message in channel.recent if seq > since]

    def _update(self, channel: _Channel) -> tuple[list[bytes], list[str]]:
        """Bring the list up to date; return the rows that changed and the viewers that left it."""
        channel.dirty = False
        now = self._list(channel)
        before = channel.shown
        changed = [row for viewer, row in now.items() if before.get(viewer) != row]
        gone = [viewer for viewer in before if viewer not in now]
        channel.shown = now
        return changed, gone

    def _send_delta(self, channel: _Channel) -> None:
        oldest_at, channel.oldest_at = channel.oldest_at, None
        session = self._session_id(channel)
        if session != channel.session:
            self._update(channel)
            self._send(channel, self._snapshot_body(channel))
        else:
            changed, gone = self._update(channel)
            if changed or gone:
                body = b'"type":"delta","viewers":[' + b",".join(changed) + b'],"gone":' + orjson.dumps(gone)
                self._send(channel, body)
        if oldest_at is not None:
            self._on_shown((self._clock.now() - oldest_at) / 1000.0)

    def _send_state(self, channel: _Channel) -> None:
        state = self._state(channel)
        self._send(channel, b'"type":"state","state":' + orjson.dumps(state))

    def _send(self, channel: _Channel, body: bytes) -> None:
        channel.seq += 1
        message = b'{"seq":%d,' % channel.seq + body + b"}"
        channel.recent.append((channel.seq, message))
        for subscription in channel.subscribers:
            subscription.push(message)

    def _snapshot(self, channel: _Channel) -> bytes:
        return b'{"seq":%d,' % channel.seq + self._snapshot_body(channel) + b"}"

    def _snapshot_body(self, channel: _Channel) -> bytes:
        channel.session = self._session_id(channel)
        state = orjson.dumps(self._state(channel))
        return (
            b'"type":"snapshot","state":' + state + b',"viewers":[' + b",".join(channel.shown.values()) + b"]"
        )

    def _session(self, channel: _Channel) -> Session | None:
        room = self._engine.room(channel.room.platform, channel.room.room)
        return None if room is None else room.sessions.current

    def _session_id(self, channel: _Channel) -> str | None:
        session = self._session(channel)
        return None if session is None else session.id

    def _list(self, channel: _Channel) -> dict[str, bytes]:
        """Return the rows that are to be shown by viewer, hottest first, made anew only where they look different."""
        touched, channel.touched = channel.touched, set()
        session = self._session(channel)
        now = self._clock.monotonic()
        if session is None:
            channel.refreshed = now
            return {}
        warm = session.warm
        whole = (
            session is not channel.near_of
            or now - channel.refreshed >= REFRESH_EVERY_S
            or len(touched) > MOST_TOUCHED
        )
        if whole:
            channel.near_of, channel.refreshed = session, now
            channel.made.clear()
            near = warm
        else:
            # A row may have been given to a viewer of another room since; then it is not warm here.
            near = {row: None for row in (*channel.near, *touched) if row in warm}
        channel.near = dict.fromkeys(self._cut(near, self._rows))
        best = self._best(list(channel.near), self._rows)
        self._make(channel, best, now)
        return {score.viewer: channel.made[score.row].row for score in best}

    def _make(self, channel: _Channel, best: Sequence[ViewerScore], now: float) -> None:
        """Make those of these rows that look different from how they were made last; forget all others."""
        before, channel.made = channel.made, {}
        stale: list[ViewerScore] = []
        for score in best:
            made, look = before.get(score.row), self._look(score)
            if made is not None and made.look == look:
                channel.made[score.row] = made
            elif (
                made is not None and made.score == self._score(score) and now - made.read_at < REASONS_EVERY_S
            ):
                made.look, made.row = look, orjson.dumps(self._row(score, orjson.Fragment(made.reasons)))
                channel.made[score.row] = made
            else:
                stale.append(score)
        rows = [score.row for score in stale]
        for score in self._engine.scores(rows, self._engine.now, features=self._ready):
            reasons = orjson.dumps(self._reasons(score))
            row = orjson.dumps(self._row(score, orjson.Fragment(reasons)))
            channel.made[score.row] = _Made(self._look(score), self._score(score), reasons, now, row)

    def _cut(self, rows: Iterable[int], limit: int) -> list[int]:
        """Return the best by grade, points and time, best first, :data:`CUT` times as many as are wanted."""
        return heapq.nsmallest(CUT * limit, rows, key=self._standing)

    def _standing(self, row: int) -> tuple[int, int, int]:
        # What the order of the list is, where no probability is shown: see _order.
        engine = self._engine
        return (
            -engine.grade_of(row),
            -engine.points(row, engine.now),
            -engine.viewers.last_at.view[row],
        )

    def _best(self, rows: Sequence[int], limit: int) -> list[ViewerScore]:
        """Return the scores of the first ``limit`` of the list, without reasons; ``rows`` are those of :meth:`_cut`."""
        ready = self._ready
        # Without probabilities the cut's order is the list's, but for grades that have cooled since the last event.
        scores = self._engine.scores(rows if ready else rows[: 2 * limit], self._engine.now, reasons=False)
        scores.sort(key=lambda score: _order(score, ready))
        return scores[:limit]

    @property
    def _ready(self) -> bool:
        return self._engine.model is not None and self._engine.model.ready

    def _probability(self, score: ViewerScore, decimals: int) -> float | None:
        """Return the probability as it is shown: none while the model has learnt too little."""
        shown = score.probability if self._ready else None
        return None if shown is None else round(shown, decimals)

    def _score(self, score: ViewerScore) -> tuple[object, ...]:
        # It fades all the time; a hundredth is what a person would notice, and the rest comes with the next look.
        return (score.viewer, score.points, score.grade, self._probability(score, 2))

    def _look(self, score: ViewerScore) -> tuple[object, ...]:
        people, row = self._people, score.row
        seen = (score.last_at, score.hot_at, score.lead, score.fan, score.staff)
        return (*self._score(score), *seen, people.name(row), people.words(row))

    def _reasons(self, score: ViewerScore) -> list[Row]:
        # A feature's part of a logit says nothing without the probability that it is a part of.
        shown = self._ready and score.probability is not None
        return [reason_of(reason) for reason in score.reasons if shown or reason.kind != "feature"]

    def _row(self, score: ViewerScore, reasons: object) -> Row:
        return {
            "platform": score.platform,
            "room": score.room,
            "session": score.session,
            "viewer": score.viewer,
            "name": mask_numbers(self._people.name(score.row) or score.viewer),
            "grade": score.grade,
            "points": score.points,
            # Three decimals are more than a person can use, and keep rows from changing for nothing.
            "probability": (probability := self._probability(score, 3)),
            "interval": None if probability is None else _rounded(self._interval(probability)),
            "reasons": reasons,
            "last_at": score.last_at,
            "hot_at": score.hot_at,
            "lead": score.lead,
            "fan": score.fan,
            "staff": score.staff,
            "words": _masked(self._people.words(score.row)),
        }

    def _state(self, channel: _Channel) -> Row:
        engine = self._engine
        model = engine.model
        room = engine.room(channel.room.platform, channel.room.room)
        session = None if room is None else room.sessions.current
        now = self._clock.now()
        grades = [] if session is None else [engine.grade_of(row) for row in session.warm]
        hot = sum(grade == HOT for grade in grades)
        return {
            "now": now,
            "room": {"id": channel.room.id, "platform": channel.room.platform, "title": channel.room.title},
            "session": None if session is None else session.id,
            "started_at": None if session is None else session.started_at,
            "ended": session is not None and room is not None and room.sessions.over(session, engine.now),
            "feeds": [
                {
                    "id": line.id,
                    "connector": line.connector,
                    "state": line.state,
                    "detail": line.detail,
                    "retry_in_s": line.retry_in_s,
                    "since": line.since,
                }
                for line in self._feeds(channel.room.id)
            ],
            "last_event_at": None if room is None or not room.last_event_at else room.last_event_at,
            "viewers_online": None if session is None else session.viewers_online,
            "events_per_minute": 0
            if session is None
            else round(session.rate_per_minute(max(now, engine.now))),
            "viewers": 0 if session is None else len(session.rows),
            "hot": hot,
            "warm": len(grades) - hot,
            "product": None if session is None else _masked(session.product),
            "model": {
                "enabled": model is not None,
                "ready": model is not None and model.ready,
                "labels": 0 if model is None else model.labels,
                "positives": 0 if model is None else model.positives,
                "final": 0 if model is None else model.final,
                "final_positives": 0 if model is None else model.final_positives,
            },
            "dropped": self._dropped_in(channel, None if session is None else session.id),
        }

    def _dropped_in(self, channel: _Channel, session: str | None) -> int:
        """Return how many events of the present session were given up."""
        total = self._dropped(channel.room.id)
        if session != channel.dropped_of:
            channel.dropped_before = total if channel.dropped_of is not None else 0
            channel.dropped_of = session
        return total - channel.dropped_before


def reason_of(reason: Reason) -> Row:
    """Return a reason as JSON values: only the keys that its kind has, logits rounded for the eye."""
    found: Row = {"kind": reason.kind, "name": reason.name}
    for key in ("points", "count", "value", "by", "inferred"):
        value = getattr(reason, key)
        if value is not None:
            found[key] = round(value, 3) if isinstance(value, float) else value
    if reason.logit is not None:
        found["logit"] = round(reason.logit, 4)
    return found


def _rounded(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [round(bound, 3) for bound in interval]


def _order(score: ViewerScore, ready: bool) -> tuple[int, float, int, int, str]:
    probability = score.probability if ready and score.probability is not None else 0.0
    return (-GRADES.index(score.grade), -probability, -score.points, -score.last_at, score.viewer)


def _masked(words: str | None) -> str | None:
    return None if words is None else mask_numbers(words)
