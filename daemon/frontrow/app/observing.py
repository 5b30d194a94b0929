"""Joins what the parts report with the metrics that count it."""

from collections import Counter
from collections.abc import Mapping, Sequence

import structlog

from frontrow.core.events import Event, RoomRef
from frontrow.core.leads import Lead
from frontrow.runtime.outbox import Outcome
from frontrow.telemetry.metrics import Metrics, reason_class

LOGGED_REASONS = 200  # distinct (feed, reason) pairs that are logged; the counters go on

log = structlog.get_logger(__name__)


class Observer:
    """Fits the observers of the pipeline, the outbox and the server. Never raises, never waits."""

    def __init__(self, metrics: Metrics, rooms: Mapping[str, RoomRef]) -> None:
        self._metrics = metrics
        self._rooms = rooms
        self._told: set[tuple[str, str]] = set()

    # of the pipeline

    def accepted(self, room: str, events: Sequence[Event], now: int) -> None:
        for (platform, kind), count in Counter((event.platform, event.kind) for event in events).items():
            self._metrics.events(room, platform, kind, "accepted", count)
        last = events[-1]
        self._metrics.arrived(room, (last.seen_at or now) / 1000.0)
        # One observation a frame and room: the newest event's lag is what a live room is about, and costs nothing.
        self._metrics.lag(last.platform, ((last.seen_at or now) - last.at) / 1000.0)

    def duplicates(self, room: str, events: Sequence[Event]) -> None:
        for (platform, kind), count in Counter((event.platform, event.kind) for event in events).items():
            self._metrics.events(room, platform, kind, "duplicate", count)
        self._metrics.duplicates(room, len(events))

    def lead(self, room: str, lead: Lead) -> None:
        self._metrics.lead(room, lead.grade, lead.quality)
        log.info("lead_created", room=room, lead=lead.lead, points=lead.points)

    def scored(self, seconds: float) -> None:
        self._metrics.score.observe(seconds)

    def committed(self, seconds: float) -> None:
        self._metrics.commit.observe(seconds)

    def acknowledged(self, seconds: float) -> None:
        self._metrics.ingest_ack.observe(seconds)

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
