"""Joins what the parts report with the metrics that count it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import structlog

from frontrow.core.events import Event, RoomRef
from frontrow.core.frames import Frame
from frontrow.core.leads import Lead
from frontrow.runtime.outbox import Outcome
from frontrow.telemetry.metrics import Metrics, reason_class

LOGGED_REASONS = 200  # distinct (feed, reason) pairs that are logged; the counters go on
TALLIED = (
    4_096  # distinct (outcome, platform, room, kind) held until the next scrape; senders may invent kinds
)

Kind = tuple[str, str, str]  # platform, room, kind

log = structlog.get_logger(__name__)


class Observer:
    """Fits the observers of the pipeline, the outbox and the server. Never raises, never waits.

    Events are tallied by the frame, some hundred at a time, and go to the metrics when those are scraped: a counter
    with labels costs more than applying an event, a tally a tenth of a microsecond.
    """

    def __init__(self, metrics: Metrics, rooms: Mapping[str, RoomRef]) -> None:
        """Make an observer of the configured ``rooms``, by id, and let ``metrics`` ask it at each scrape."""
        self._metrics = metrics
        self._ids = {(room.platform, room.room): room.id for room in rooms.values()}
        self._told: set[tuple[str, str]] = set()
        self._accepted: Counter[Kind] = Counter()
        self._known: Counter[Kind] = Counter()
        self._merged: Counter[Kind] = Counter()
        self._dropped: Counter[Kind] = Counter()
        self._dropped_in: Counter[str] = Counter()
        self._arrived: dict[tuple[str, str], int | None] = {}
        metrics.before_scrape = self.flush

    def flush(self) -> None:
        """Bring what was tallied to the metrics."""
        for outcome, tally in (("accepted", self._accepted), ("duplicate", self._known)):
            for (platform, room, kind), count in _taken(tally):
                self._metrics.events(self._room(platform, room), platform, kind, outcome, count)
                if outcome == "duplicate":
                    self._metrics.duplicates(self._room(platform, room), count)
        for (platform, room, kind), count in _taken(self._merged):
            self._metrics.merged(self._room(platform, room), platform, kind, count)
        for (platform, room, kind), count in _taken(self._dropped):
            self._metrics.dropped(self._room(platform, room), platform, kind, count)
        for (platform, room), seen_at in self._arrived.items():
            if seen_at is not None:
                self._metrics.arrived(self._room(platform, room), seen_at / 1000.0)
        self._arrived.clear()

    def _room(self, platform: str, room: str) -> str:
        return self._ids.get((platform, room), room)

    # of the pipeline

    def accepted(self, frame: Frame) -> None:
        room = frame.only_room()
        if room is not None:  # most often: then only kinds are to be told apart
            for kind, count in Counter(frame.kinds).items():
                self._accepted[*room, kind] += count
            self._arrived[room] = seen_at = frame.seen_ats[-1]
            self._metrics.lag(room[0], 0.0 if seen_at is None else (seen_at - frame.ats[-1]) / 1000.0)
            self._bound()
            return
        self._accepted.update(zip(frame.platforms, frame.rooms, frame.kinds, strict=True))
        self._arrived.update(zip(zip(frame.platforms, frame.rooms, strict=True), frame.seen_ats, strict=True))
        # One observation a frame and platform: the newest event's lag is what a live room is about, and costs nothing.
        times = zip(frame.seen_ats, frame.ats, strict=True)
        for platform, (seen_at, at) in dict(zip(frame.platforms, times, strict=True)).items():
            self._metrics.lag(platform, 0.0 if seen_at is None else (seen_at - at) / 1000.0)
        self._bound()

    def duplicates(self, frame: Frame) -> None:
        self._known.update(zip(frame.platforms, frame.rooms, frame.kinds, strict=True))
        self._bound()

    # of the intake

    def merged(self, event: Event) -> None:
        self._merged[event.platform, event.room, event.kind] += 1

    def dropped(self, event: Event, events: int) -> None:
        self._dropped[event.platform, event.room, event.kind] += events
        self._dropped_in[self._room(event.platform, event.room)] += events
        if len(self._dropped) > TALLIED:
            self.flush()

    def dropped_in(self, room: str) -> int:
        """Return how many events of a configured room were given up since the daemon started."""
        return self._dropped_in[room]

    def _bound(self) -> None:
        if len(self._accepted) + len(self._known) + len(self._arrived) > TALLIED:
            self.flush()

    def lead(self, room: str, lead: Lead) -> None:
        self._metrics.lead(room, lead.grade, lead.quality)
        log.info("lead_created", room=room, lead=lead.lead, points=lead.points)

    def scored(self, seconds: float) -> None:
        self._metrics.score.observe(seconds)

    def committed(self, seconds: float) -> None:
        self._metrics.commit.observe(seconds)

    def verified(self, sound: bool) -> None:
        self._metrics.verified(sound)

    def commit_failed(self, cause: str) -> None:
        self._metrics.commit_failed(cause)

    def snapshot(self, seconds: float | None) -> None:
        self._metrics.snapshot(seconds)

    def clock_stepped(self, seconds: float) -> None:
        self._metrics.clock_stepped(seconds)
        log.warning("clock_stepped", seconds=round(seconds, 3))

    # of the lead centre

    def centre_applied(self, frames: int, seconds: float, behind: int) -> None:
        self._metrics.centre_applied(seconds, behind)

    def centre_failed(self, behind: int) -> None:
        self._metrics.centre_failed(behind)

    def centre_skipped(self) -> None:
        self._metrics.centre_skipped()

    def centre_swept(self, part: str, rows: int) -> None:
        self._metrics.centre_swept(part, rows)

    def acknowledged(self, seconds: Sequence[float]) -> None:
        self._metrics.ingest_ack.observe_all(seconds)

    # of the outbox

    def outcome(self, sink: str, outcome: Outcome, alerts: int) -> None:
        self._metrics.delivery(sink, str(outcome), alerts)

    def latency(self, sink: str, seconds: float) -> None:
        self._metrics.alerted(sink, seconds)

    # of the server and the feeds

    def refused(self, route: str, reason: str) -> None:
        self._metrics.refused(route, reason)

    def rejected(self, feed: str, room: RoomRef, reason: str) -> None:
        """Count input that could not be taken, and log each kind of reason once per feed."""
        self._metrics.reject(feed, reason)
        self._metrics.events(room.id, room.platform, "unknown", "rejected")
        kind = (feed, reason_class(reason))
        if kind not in self._told and len(self._told) < LOGGED_REASONS:
            self._told.add(kind)
            log.warning("input_rejected", feed=feed, room=room.id, reason=reason)


def _taken(tally: Counter[Kind]) -> Iterator[tuple[Kind, int]]:
    yield from tally.items()
    tally.clear()
