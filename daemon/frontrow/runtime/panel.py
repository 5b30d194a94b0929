"""What the host's panel is sent: the list of hot and warm viewers, as snapshots and deltas with sequence numbers.

A channel per room. Changes are put together: at most one delta each :data:`DELTA_EVERY_S`, and only while somebody
looks. A client that comes back names the last sequence number it saw and is sent what it missed, or a snapshot where
that is no longer at hand.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from frontrow.core.alerts import Reason
from frontrow.core.contact import mask_numbers
from frontrow.core.engine import Engine, ViewerScore
from frontrow.core.events import RoomRef
from frontrow.core.leads import GRADES, HOT
from frontrow.core.ports import Clock
from frontrow.runtime.people import People
from frontrow.runtime.pipeline import Applied

DELTA_EVERY_S = 0.1
STATE_EVERY_S = 1.0
REFRESH_EVERY_S = 5.0  # probabilities fade while nothing happens; the list is looked at again this often
KEPT_MESSAGES = 256
SUBSCRIBER_QUEUE = 64  # messages; a client that is further behind is cut off and comes back for a snapshot

Key = tuple[str, str]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FeedLine:
    """A feed as the panel shows it; ``since`` is when it went into this state (UTC ms)."""

    id: str
    connector: str
    state: str
    detail: str
    retry_in_s: float | None
    since: int


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
class _Channel:
    room: RoomRef
    seq: int = 0
    shown: dict[str, bytes] = field(default_factory=dict)  # viewer → row as last sent, in the list's order
    recent: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=KEPT_MESSAGES))
    subscribers: set[Subscription] = field(default_factory=set)
    dirty: bool = False
    session: str | None = None
    oldest_at: int | None = None  # arrival of the oldest event that waits to be shown, UTC ms
    state: bytes = b""
    refreshed: float = 0.0


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
        dropped: Callable[[str], int] = lambda _room: 0,
        on_shown: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        self._engine = engine
        self._people = people
        self._clock = clock
        self._rows = rows
        self._feeds = feeds
        self._dropped = dropped
        self._on_shown = on_shown
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
        for frame in frames:
            for row in frame.effects.touched:
                state, _ = self._engine.session_of(row)
                channel = self._by_key.get((state.platform, state.room))
                if channel is not None and channel.subscribers:
                    channel.dirty = True
                    if channel.oldest_at is None:
                        channel.oldest_at = frame.arrived_at
                    self._wake.set()

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
        last_state = 0.0
        while True:
            if not any(channel.dirty for channel in self._channels.values()):
                self._wake.clear()
                await self._sleep_or_wake(STATE_EVERY_S - (self._clock.monotonic() - last_state))
            now = self._clock.monotonic()
            for channel in self._channels.values():
                if not channel.subscribers:
                    continue
                if channel.dirty or now - channel.refreshed >= REFRESH_EVERY_S:
                    self._send_delta(channel)
            if now - last_state >= STATE_EVERY_S:
                last_state = now
                for channel in self._channels.values():
                    if channel.subscribers:
                        self._send_state(channel)
            await self._clock.sleep(DELTA_EVERY_S)

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
        return [orjson.loads(row) for row in self._list(self._channels[room], limit).values()]

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
        channel.refreshed = self._clock.monotonic()
        now = self._list(channel, self._rows)
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

    def _session_id(self, channel: _Channel) -> str | None:
        room = self._engine.room(channel.room.platform, channel.room.room)
        return None if room is None or room.sessions.current is None else room.sessions.current.id

    def _list(self, channel: _Channel, limit: int) -> dict[str, bytes]:
        engine = self._engine
        room = engine.room(channel.room.platform, channel.room.room)
        if room is None or room.sessions.current is None:
            return {}
        rows = list(room.sessions.current.warm)
        if len(rows) > 4 * limit:
            # Reading reasons is the dear part; a first cut by grade and points alone keeps a huge room cheap.
            now = engine.now
            rows.sort(key=lambda row: (-engine.grade_of(row), -engine.board.points(row, now), row))
            rows = rows[: 4 * limit]
        scores = engine.scores(rows, engine.now, reasons=False)
        ready = engine.model is not None and engine.model.ready
        scores.sort(key=lambda score: _order(score, ready))
        best = engine.scores([score.row for score in scores[:limit]], engine.now)
        return {score.viewer: orjson.dumps(self._row(score, ready)) for score in best}

    def _row(self, score: ViewerScore, ready: bool) -> Row:
        return {
            "platform": score.platform,
            "room": score.room,
            "session": score.session,
            "viewer": score.viewer,
            "name": mask_numbers(self._people.name(score.platform, score.room, score.viewer)),
            "grade": score.grade,
            "points": score.points,
            # Three decimals are more than a person can use, and keep rows from changing for nothing.
            "probability": round(score.probability, 3) if ready and score.probability is not None else None,
            "reasons": [reason_of(reason) for reason in score.reasons],
            "last_at": score.last_at,
            "hot_at": score.hot_at,
            "lead": score.lead,
            "fan": score.fan,
            "staff": score.staff,
            "words": _masked(self._people.words(score.platform, score.room, score.viewer)),
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
            },
            "dropped": self._dropped(channel.room.id),
        }


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


def _order(score: ViewerScore, ready: bool) -> tuple[int, float, int, int, str]:
    probability = score.probability if ready and score.probability is not None else 0.0
    return (-GRADES.index(score.grade), -probability, -score.points, -score.last_at, score.viewer)


def _masked(words: str | None) -> str | None:
    return None if words is None else mask_numbers(words)
