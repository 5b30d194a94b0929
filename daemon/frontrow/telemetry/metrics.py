"""The daemon's Prometheus metrics: names, labels and help in one place; every name begins with ``frontrow_``.

Labels never hold viewers. Rooms are bounded: those beyond ``max_rooms`` are counted under ``other``.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from frontrow import __version__
from frontrow.core.events import KINDS

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OTHER = "other"
# From a millisecond to ten seconds: what a host and a platform's deadline (2 s) can feel.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
_MINUTES = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0, 60.0, 300.0, 900.0)


@dataclass(frozen=True, slots=True)
class Gauges:
    """What is read at the moment of a scrape."""

    viewers: int
    viewers_grouped: int
    labels_pending: int
    labels_passed_over: int
    outcomes_lost: int
    outcomes_late: int
    queue_events: int
    journal_seq: int
    outbox: dict[str, tuple[int, int, float]]  # sink → pending, dead, age of the oldest pending in seconds
    feeds: dict[tuple[str, str, str], str]  # (feed, room, connector) → state
    model_labels: int
    model_positives: int
    model_ready: bool
    model_frozen: bool
    model_alarms: int
    model_rollbacks: int
    model_other_outcome: bool
    model_quality: dict[
        tuple[str, str], float
    ]  # (served column, metric) → value, of the last minute's judgement
    challengers_dropped: int
    challengers_proposed: Sequence[tuple[str, bool]]  # name, whether it is proven better than the champion
    panels: int


class Metrics:
    """One registry with everything that the daemon counts. ``gauges`` is asked at each scrape."""

    def __init__(self, *, rooms: Iterable[str], max_rooms: int = 200) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for every counter, which nobody reads
        self.registry = CollectorRegistry(auto_describe=False)
        self._rooms = frozenset(sorted(rooms)[:max_rooms])
        registry = self.registry
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self.gauges: Callable[[], Gauges] | None = None
        self.before_scrape: Callable[[], None] = lambda: None
        registry.register(_AtScrape(self))

        self._events = Counter(
            "frontrow_feed_events_total",
            "Events by what became of them: accepted, duplicate or rejected.",
            ("room", "platform", "type", "outcome"),
            registry=registry,
        )
        self._rejects = Counter(
            "frontrow_dlq_events_total",
            "Input that could not be taken, by reason.",
            ("feed", "reason"),
            registry=registry,
        )
        self._last_event = Gauge(
            "frontrow_feed_last_event_timestamp_seconds",
            "When the room's last event came.",
            ("room",),
            registry=registry,
        )
        self._feed_lag = Histogram(
            "frontrow_feed_lag_seconds",
            "From an event's own time to its arrival here.",
            ("platform",),
            buckets=(*_SECONDS, 30.0, 60.0, 300.0),
            registry=registry,
        )
        self.ingest_ack = BulkHistogram("frontrow_ingest_ack_seconds", "From arrival to durable.", _SECONDS)
        registry.register(self.ingest_ack)
        self.commit = Histogram(
            "frontrow_journal_fsync_seconds",
            "One commit of the journal, fsync included.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.score = Histogram(
            "frontrow_score_seconds",
            "Applying one frame: features, points, probability, leads.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._commit_failures = Counter(
            "frontrow_journal_failures_total",
            "Commits that failed, by cause (full, fsync, io, locked, other); the daemon ends on the first.",
            ("cause",),
            registry=registry,
        )
        self._sound = Gauge(
            "frontrow_journal_sound",
            "1 if all frames were found whole since the start, 0 if not, -1 before that is known.",
            registry=registry,
        )
        self._sound.set(-1)
        self._centre_s = Histogram(
            "frontrow_centre_apply_seconds",
            "Time that one transaction of the lead centre took.",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
            registry=registry,
        )
        self._centre_behind = Gauge(
            "frontrow_centre_behind_frames",
            "Durable frames that the lead centre has not applied yet.",
            registry=registry,
        )
        self._centre_skipped = Counter(
            "frontrow_centre_skipped_total",
            "Events that the lead centre could not apply, by a mistake of ours; the log names the frame.",
            registry=registry,
        )
        self._centre_failures = Counter(
            "frontrow_centre_failures_total",
            "Times that the lead centre's database failed; what came meanwhile waits in the journal.",
            registry=registry,
        )
        self._centre_swept = Counter(
            "frontrow_centre_swept_total",
            "Rows of the lead centre's database that lost what had been kept for long enough, by part: names, texts, contacts.",
            ("part",),
            registry=registry,
        )
        self._snapshots = Counter(
            "frontrow_snapshots_total",
            "Snapshots of the engine, by outcome.",
            ("outcome",),
            registry=registry,
        )
        self._snapshot_s = Gauge(
            "frontrow_snapshot_seconds", "How long the last snapshot took to write.", registry=registry
        )
        self.event_to_panel = Histogram(
            "frontrow_event_to_panel_seconds",
            "From an event's arrival to its row on the host's WebSocket.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._event_to_alert = Histogram(
            "frontrow_event_to_alert_seconds",
            "From a lead's decision to the sink's receipt.",
            ("sink",),
            buckets=(*_SECONDS, *_MINUTES[4:]),
            registry=registry,
        )
        self._duplicates = Counter(
            "frontrow_dedupe_hits_total", "Events that were known already.", ("room",), registry=registry
        )
        self._leads = Counter(
            "frontrow_leads_created_total", "Leads made.", ("room", "grade", "quality"), registry=registry
        )
        self._deliveries = Counter(
            "frontrow_alert_deliveries_total",
            "Alerts by sink and outcome.",
            ("sink", "outcome"),
            registry=registry,
        )
        self._refused = Counter(
            "frontrow_http_refused_total", "Requests refused, by why.", ("route", "reason"), registry=registry
        )
        self._dropped = Counter(
            "frontrow_events_dropped_total",
            "Events given up under overload, by room and kind.",
            ("room", "platform", "type"),
            registry=registry,
        )
        self._merged = Counter(
            "frontrow_events_merged_total",
            "Likes and enters that became part of another one of the same viewer under overload.",
            ("room", "platform", "type"),
            registry=registry,
        )
        steps = Counter(
            "frontrow_clock_steps_total",
            "How often the machine's clock was set forward or backward by a second or more while the daemon ran.",
            ("direction",),
            registry=registry,
        )
        self._steps_forward, self._steps_backward = steps.labels("forward"), steps.labels("backward")
        Gauge("frontrow_build_info", "The version that runs.", ("version",), registry=registry).labels(
            __version__
        ).set(1)

    def room(self, room: str) -> str:
        """Return the label value for a room."""
        return room if room in self._rooms else OTHER

    def events(self, room: str, platform: str, kind: str, outcome: str, count: int = 1) -> None:
        """Count events of one kind and outcome."""
        self._events.labels(self.room(room), platform, kind if kind in KINDS else "unknown", outcome).inc(
            count
        )

    def reject(self, feed: str, reason: str) -> None:
        """Count input that could not be taken; the reason is cut to its kind, so that labels stay few."""
        self._rejects.labels(feed, reason_class(reason)).inc()

    def arrived(self, room: str, at_s: float) -> None:
        """Note when a room's last event came, in seconds UTC."""
        self._last_event.labels(self.room(room)).set(at_s)

    def lag(self, platform: str, seconds: float) -> None:
        """Note how late an event was."""
        self._feed_lag.labels(platform).observe(max(0.0, seconds))

    def duplicates(self, room: str, count: int) -> None:
        """Count duplicates of a room."""
        self._duplicates.labels(self.room(room)).inc(count)

    def lead(self, room: str, grade: str, quality: str | None) -> None:
        """Count a lead."""
        self._leads.labels(self.room(room), grade, quality or "none").inc()

    def delivery(self, sink: str, outcome: str, count: int = 1) -> None:
        """Count alerts of a sink by outcome: delivered, digested, busy, refused, stale, failed."""
        self._deliveries.labels(sink, outcome).inc(count)

    def alerted(self, sink: str, seconds: float) -> None:
        """Note how long a lead took to reach a sink."""
        self._event_to_alert.labels(sink).observe(max(0.0, seconds))

    def commit_failed(self, cause: str) -> None:
        """Count a commit that failed."""
        self._commit_failures.labels(cause).inc()

    def verified(self, sound: bool) -> None:
        """Note what reading the whole journal has found."""
        self._sound.set(1 if sound else 0)

    def centre_applied(self, seconds: float, behind: int) -> None:
        """Take note of a transaction of the lead centre, and of how many frames wait for it."""
        self._centre_s.observe(seconds)
        self._centre_behind.set(behind)

    def centre_failed(self, behind: int) -> None:
        """Count a failure of the lead centre's database, and take note of how many frames wait for it."""
        self._centre_failures.inc()
        self._centre_behind.set(behind)

    def centre_skipped(self) -> None:
        """Count an event that the lead centre could not apply by a mistake of ours."""
        self._centre_skipped.inc()

    def centre_swept(self, part: str, rows: int) -> None:
        """Count rows of the lead centre's database that lost a part of what was personal in them, since it was too old."""
        self._centre_swept.labels(part).inc(rows)

    def snapshot(self, seconds: float | None) -> None:
        """Count a snapshot that took so long to write, or (None) that failed."""
        self._snapshots.labels("failed" if seconds is None else "written").inc()
        if seconds is not None:
            self._snapshot_s.set(seconds)

    def clock_stepped(self, seconds: float) -> None:
        """Count a step of the machine's clock, forward or (negative) backward."""
        (self._steps_forward if seconds > 0.0 else self._steps_backward).inc()

    def refused(self, route: str, reason: str) -> None:
        """Count a refused request."""
        self._refused.labels(route, reason).inc()

    def dropped(self, room: str, platform: str, kind: str, count: int = 1) -> None:
        """Count events given up."""
        self._dropped.labels(self.room(room), platform, kind if kind in KINDS else "unknown").inc(count)

    def merged(self, room: str, platform: str, kind: str, count: int = 1) -> None:
        """Count events that became part of another one."""
        self._merged.labels(self.room(room), platform, kind if kind in KINDS else "unknown").inc(count)

    def render(self) -> bytes:
        """Return everything in Prometheus's text format."""
        self.before_scrape()
        return generate_latest(self.registry)


def reason_class(reason: str) -> str:
    """Return the first words of a reason, without what varies: at most as many classes as there are messages."""
    head = reason.split(" - ")[0].split(":")[0]
    return "".join(character for character in head if not character.isdigit())[:60].strip() or "other"


class BulkHistogram(Collector):
    """A histogram without labels that takes many observations at once; the client's own takes a microsecond each."""

    def __init__(self, name: str, help: str, bounds: Sequence[float]) -> None:
        """Make a histogram; ``bounds`` are the buckets' upper bounds without infinity, ascending."""
        self._name = name
        self._help = help
        self._bounds = np.array(bounds)
        self._counts = np.zeros(len(bounds) + 1, np.int64)
        self._sum = 0.0

    def observe_all(self, values: Sequence[float]) -> None:
        """Count all of ``values``."""
        observed = np.array(values, dtype=np.float64)
        self._sum += float(observed.sum())
        # A value equal to a bucket's bound belongs to that bucket.
        places = np.searchsorted(self._bounds, observed, side="left")
        self._counts += np.bincount(places, minlength=len(self._counts))

    def collect(self) -> Iterable[Metric]:
        upper = [*map(str, self._bounds.tolist()), "+Inf"]
        below = np.cumsum(self._counts).tolist()
        buckets = [(bound, float(count)) for bound, count in zip(upper, below, strict=True)]
        yield HistogramMetricFamily(self._name, self._help, buckets=buckets, sum_value=self._sum)


class _AtScrape(Collector):
    """Reads the daemon's state when Prometheus asks, so that nothing has to be kept up to date in between."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        if self._metrics.gauges is None:
            return
        now = self._metrics.gauges()
        yield _gauge("frontrow_viewers_active", "Viewers in sessions that are held.", now.viewers)
        yield _gauge(
            "frontrow_viewers_grouped",
            "Times that a viewer was found to say what several others say, and to share their points, since the journal's start.",
            now.viewers_grouped,
        )
        yield _gauge("frontrow_labels_pending", "Snapshots that wait for their outcome.", now.labels_pending)
        yield _gauge(
            "frontrow_labels_passed_over",
            "Snapshots that were not kept, as too many waited, since the journal's start.",
            now.labels_passed_over,
        )
        yield _gauge(
            "frontrow_outcomes_lost",
            "Outcomes none of whose snapshots was kept, since the journal's start.",
            now.outcomes_lost,
        )
        yield _gauge(
            "frontrow_outcomes_late",
            "Outcomes that were heard of after their snapshot was final, since the journal's start.",
            now.outcomes_late,
        )
        yield _gauge("frontrow_intake_queue_events", "Events that wait to be applied.", now.queue_events)
        yield _gauge("frontrow_journal_frames", "The number of the last durable frame.", now.journal_seq)
        yield _gauge("frontrow_model_labels", "Labels learnt.", now.model_labels)
        yield _gauge("frontrow_model_positives", "Positive labels learnt.", now.model_positives)
        yield _gauge("frontrow_model_ready", "1 once the probability is shown.", float(now.model_ready))
        yield _gauge(
            "frontrow_model_frozen", "1 while outcomes do not arrive and nothing is learnt.", now.model_frozen
        )
        yield _gauge(
            "frontrow_model_alarms",
            "Alarms of the model's guard since the journal's start.",
            now.model_alarms,
        )
        yield _gauge(
            "frontrow_model_rollbacks", "How often it went back to a good state.", now.model_rollbacks
        )
        yield _gauge(
            "frontrow_model_other_outcome",
            "1 while the version that leads was learnt for another outcome than the configured one.",
            float(now.model_other_outcome),
        )
        yield _gauge(
            "frontrow_challengers_dropped",
            "Messages that the challengers were too slow for.",
            now.challengers_dropped,
        )
        proposed = GaugeMetricFamily(
            "frontrow_challenger_proposed",
            "1 while a challenger is proven better than the champion and waits to be promoted.",
            labels=["challenger"],
        )
        for name, better in now.challengers_proposed:
            proposed.add_metric([name], float(better))
        yield proposed
        quality = GaugeMetricFamily(
            "frontrow_model_quality",
            "Of what was served, by the outcomes that are final: the model's, its challengers' and the baselines'.",
            labels=["served", "metric"],
        )
        for (column, metric), value in now.model_quality.items():
            quality.add_metric([column, metric], value)
        yield quality
        yield _gauge("frontrow_panels_connected", "Open host panels.", now.panels)
        depth = GaugeMetricFamily(
            "frontrow_alert_outbox_depth", "Alerts that wait to be sent.", labels=["sink"]
        )
        dead = GaugeMetricFamily("frontrow_alert_dead_letters", "Alerts given up.", labels=["sink"])
        oldest = GaugeMetricFamily(
            "frontrow_alert_outbox_oldest_seconds", "Age of the oldest one.", labels=["sink"]
        )
        for sink, (pending, lost, age_s) in now.outbox.items():
            depth.add_metric([sink], pending)
            dead.add_metric([sink], lost)
            oldest.add_metric([sink], age_s)
        yield from (depth, dead, oldest)
        up = GaugeMetricFamily(
            "frontrow_feed_connected", "1 while a feed is connected.", labels=["feed", "room", "connector"]
        )
        for (feed, room, connector), state in now.feeds.items():
            up.add_metric([feed, self._metrics.room(room), connector], float(state == "connected"))
        yield up


def _gauge(name: str, help: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help, value=value)
