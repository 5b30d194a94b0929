"""Every option of the daemon: type, bounds, unit, default and meaning. ``config.toml`` shows them all.

Units are in the names: ``_s`` seconds, ``_ms`` milliseconds, ``_hours``, ``_bytes``. Options of connectors and sinks
are declared by these themselves and stand in the same table as ``id`` and ``room``.
"""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from frontrow.core.centre.assignment import DEFAULT_RULES, FALLBACK
from frontrow.core.centre.assignment import Rule as AssignmentRule
from frontrow.core.centre.callbacks import CallbackRules
from frontrow.core.centre.channels import Channel
from frontrow.core.centre.cleaning import CleaningRules, DoubtRules
from frontrow.core.centre.clock import SlaPolicy
from frontrow.core.centre.forms import Form
from frontrow.core.centre.nurture import DEFAULT_TOUCH_RULES, BroadcastRule, TouchLimits, TouchRule
from frontrow.core.centre.organisation import Seller, Unit
from frontrow.core.centre.policy import IdentityLimits, check_names
from frontrow.core.centre.quality import ValidationRules
from frontrow.core.crowd import CrowdRules
from frontrow.core.events import MAX_VALUE, RoomRef
from frontrow.core.outcomes import OutcomeRules
from frontrow.core.points import Policy

Id = Annotated[
    str,
    Meta(
        pattern=r"\A[a-z0-9]+(?:[-_][a-z0-9]+)*\Z",
        max_length=64,
        description="lower-case letters and digits in groups parted by single - or _, as in main-room",
    ),
]
"""A name of the operator's choice, used in URLs, logs and variables' names (where ``-`` becomes ``_``)."""

Key = Annotated[str, Meta(min_length=1, max_length=256)]
Word = Annotated[str, Meta(min_length=1, max_length=64)]
Language = Literal["zh-CN", "en"]


class ServerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where people, webhooks and Prometheus reach the daemon.

    ``port`` 0 lets the system choose. ``base_url`` is how people's browsers reach the pages, for links in alerts;
    empty: ``http://host:port``. ``trusted_proxies`` are the networks whose ``X-Forwarded-For`` says whence a visitor
    of a hosted form comes. ``shutdown_s`` is how long SIGTERM may take to drain; supervisors kill after ten.
    """

    host: Annotated[str, Meta(min_length=1, max_length=255)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8787
    base_url: Annotated[
        str,
        Meta(
            pattern=r"\A(?:https?://[^\s/?#]+(?:/[^\s?#]*)?)?\Z",
            description='an address like "https://live.example.com", or empty',
        ),
    ] = ""
    trusted_proxies: tuple[Key, ...] = ("127.0.0.0/8", "::1/128")
    max_body_bytes: Annotated[int, Meta(ge=1_024, le=67_108_864)] = 1_048_576
    shutdown_s: Annotated[float, Meta(ge=1, le=9)] = 8.0

    @property
    def public_url(self) -> str:
        """How browsers reach the pages, without a slash at the end."""
        if self.base_url:
            return self.base_url.rstrip("/")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


class StorageConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the journal, leads and the outbox are kept. A relative ``path`` starts at the configuration's folder.

    Every ``snapshot_every_s`` the engine's state is written beside the store, so that a start need not read the whole
    journal; 0: never.
    """

    path: Path = Path("data/frontrow.db")
    snapshot_every_s: Annotated[int, Meta(ge=0, le=86_400)] = 60


class IntakeConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How arriving events are cut into frames, each applied and stored at once.

    A frame ends at ``frame_events`` events or after ``frame_ms``, whichever comes first. ``queue_events`` and
    ``queue_bytes`` may wait, and no more than is stored in ``wait_ms``; when a feed has its share of the queue, it is
    slowed down, or thinned where it cannot wait.
    """

    frame_events: Annotated[int, Meta(ge=1, le=65_536)] = 1_024
    frame_ms: Annotated[int, Meta(ge=1, le=1_000)] = 20
    queue_events: Annotated[int, Meta(ge=1, le=1_048_576)] = 65_536
    queue_bytes: Annotated[int, Meta(ge=1_048_576, le=4_294_967_296)] = 134_217_728
    wait_ms: Annotated[int, Meta(ge=100, le=60_000)] = 1_000


class EngineConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a broadcast ends, how long an event's id is remembered against duplicates, and when a viewer leaves memory.

    All in event time. Whoever was silent for ``idle_s`` waits on the disk, and comes back as they were.
    """

    session_silence_s: Annotated[int, Meta(ge=60, le=86_400)] = 1_800
    session_grace_s: Annotated[int, Meta(ge=0, le=3_600)] = 300
    dedupe_hours: Annotated[int, Meta(ge=24, le=720)] = 24
    idle_s: Annotated[int, Meta(ge=60, le=604_800)] = 7_200


class OutcomeConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the model learns to predict: that one of ``kinds`` follows within ``horizon_s``, and is not taken back.

    A form counts only with its sender's consent, a subscription that is only renewed only with ``renewals``. What is
    not known ``window_s`` after a viewer was looked at, or later by a time of each look's own (at the horizon at the
    latest), is learnt as no outcome so far. Events of ``refunds`` take back what came before them. ``won`` and
    ``lost`` are what sales say of a lead, the ``outcome`` of a ``lead_outcome``. ``values`` is the worth of successes
    whose event tells no money, in minor units.
    """

    kinds: Annotated[tuple[str, ...], Meta(min_length=1)] = ("order_paid", "form_submit")
    renewals: bool = False
    horizon_s: Annotated[int, Meta(ge=60, le=86_400)] = 3_600
    window_s: Annotated[int, Meta(ge=1, le=86_400)] = 120
    refunds: tuple[str, ...] = ("order_refunded",)
    won: tuple[Word, ...] = ()
    lost: tuple[Word, ...] = ("not_interested",)
    values: dict[str, Annotated[int, Meta(ge=0, le=MAX_VALUE)]] = {}

    @property
    def rules(self) -> OutcomeRules:
        """Which events say what, as the engine takes it."""
        return OutcomeRules(
            kinds=frozenset(self.kinds),
            refunds=frozenset(self.refunds),
            renewals=self.renewals,
            won=frozenset(self.won),
            lost=frozenset(self.lost),
            values=self.values,
        )


class ModelConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The model of the outcome.

    ``learning_rate`` and ``l2`` are those of its gradient descent; ``expected_rate`` is the share of looks at viewers
    that are believed to be followed by an outcome before anything is learnt. Its probability is shown, and may
    decide, once it has learnt from ``min_labels`` labels with ``min_positives`` positives, and as many negatives,
    among them. A viewer is looked at for learning at most every ``snapshot_every_s``; not more than
    ``snapshot_bound`` such looks wait for their outcome, and of more a share is kept, by hash. ``challengers`` are
    models that learn beside it in a process of their own, are judged by the same outcomes and decide nothing. When
    one is proven better, ``promotion`` "ask" proposes it to people, "policy" lets it lead, once an hour at most.
    ``grade`` says who decides: points alone, or either of both, where a probability from ``hot_probability`` is hot.
    Sales are told of a share ``exploration`` of viewers who are less than ``exploration_points`` below hot, of
    ``exploration_per_hour`` in a room and hour at most, so that it is known what becomes of them.
    """

    enabled: bool = True
    learning_rate: Annotated[float, Meta(gt=0, le=1)] = 0.02
    expected_rate: Annotated[float, Meta(gt=0, lt=1)] = 0.005
    l2: Annotated[float, Meta(ge=0, le=1)] = 0.0001
    min_labels: Annotated[int, Meta(ge=1)] = 200
    min_positives: Annotated[int, Meta(ge=1)] = 20
    snapshot_every_s: Annotated[int, Meta(ge=1, le=3_600)] = 120
    snapshot_bound: Annotated[int, Meta(ge=1_000, le=10_000_000)] = 1_000_000
    challengers: tuple[str, ...] = ()
    promotion: Literal["ask", "policy"] = "ask"
    grade: Literal["points", "points_or_probability"] = "points"
    hot_probability: Annotated[float, Meta(gt=0, le=1)] = 0.5
    exploration: Annotated[float, Meta(ge=0, le=0.5)] = 0.0
    exploration_points: Annotated[int, Meta(ge=1, le=1_000)] = 20
    exploration_per_hour: Annotated[int, Meta(ge=1, le=1_000)] = 4


class PrivacyConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How personal data is protected; see daemon/docs/privacy.md.

    ``master_key`` wraps the keys in the vault beside the store, which are plain without one. It cannot be changed.
    Names, texts (with notes and a platform's own fields) and contacts (forms' fields) leave the journal and the lead
    centre's database after so many days, 0: never.
    """

    master_key: Annotated[
        str,
        Meta(
            pattern=r"\A(?:.{32,})?\Z",
            description="32 characters or more that nobody guesses, or empty",
            extra={"secret": True},
        ),
    ] = ""
    keep_names_days: Annotated[int, Meta(ge=0, le=36_500)] = 0
    keep_texts_days: Annotated[int, Meta(ge=0, le=36_500)] = 0
    keep_contacts_days: Annotated[int, Meta(ge=0, le=36_500)] = 0


class OccasionConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A broadcast that customers are invited to from ``opens`` until it begins at ``ends``, or a campaign that lasts from one to the other.

    Times by ISO 8601, with their zone ("2026-11-11T20:00:00+08:00"). ``lines`` are paths of product lines
    (beauty/skincare), empty: all.
    """

    occasion: Key
    kind: Literal["invitation", "campaign"]
    opens: Key
    ends: Key
    lines: tuple[Key, ...] = ()

    def __post_init__(self) -> None:
        if self.ends_at <= self.opens_at:
            raise ValueError("ends is not after opens")

    @property
    def opens_at(self) -> int:
        """When it opens, UTC milliseconds."""
        return _millis(self.opens)

    @property
    def ends_at(self) -> int:
        """When it ends, UTC milliseconds."""
        return _millis(self.ends)


def _millis(text: str) -> int:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no time like 2026-11-11T20:00:00+08:00") from error
    if time.tzinfo is None:
        raise ValueError(f"{text!r} does not say its zone, as 2026-11-11T20:00:00+08:00 does")
    return round(time.timestamp() * 1000)


class CentreConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The lead centre: customers, who gets which lead, until when, and what becomes of it.

    ``database`` is where it is kept (``sqlite:///…`` or ``postgresql://…``); empty: a file of SQLite beside the
    store. ``pack`` is the trade: one that Frontrow brings, or a file. Where ``units`` or ``sellers`` are given, they
    are the whole organisation; else it is what was imported. ``fallback`` is the pool for leads that no rule takes.
    ``blacklist`` are keyed hashes of numbers that are nobody's customer. ``callback`` says how an outside service
    signs its reports of the cleaning queue. ``touch_rules`` say what customers hear of us and when, within ``touch``,
    which sends nothing until ``send`` is true; ``broadcasts`` say to which broadcasts customers are invited as they
    begin.
    """

    enabled: bool = True
    database: Annotated[str, Meta(max_length=1_024, extra={"secret": True})] = ""
    pack: Key = "commerce"
    rules: tuple[AssignmentRule, ...] = DEFAULT_RULES
    fallback: Key = FALLBACK
    sla: SlaPolicy = SlaPolicy()
    identity: IdentityLimits = IdentityLimits()
    validation: ValidationRules = ValidationRules()
    blacklist: tuple[Key, ...] = ()
    order_outcome: Annotated[str, Meta(max_length=64)] = "won"
    cleaning: CleaningRules = CleaningRules()
    callback: CallbackRules = CallbackRules()
    doubts: DoubtRules = DoubtRules()
    touch: TouchLimits = TouchLimits()
    touch_rules: tuple[TouchRule, ...] = DEFAULT_TOUCH_RULES
    occasions: tuple[OccasionConfig, ...] = ()
    broadcasts: tuple[BroadcastRule, ...] = ()
    units: tuple[Unit, ...] = ()
    sellers: tuple[Seller, ...] = ()

    def __post_init__(self) -> None:
        check_names(self.touch_rules)


class IntentsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How comments are understood.

    ``lexicon`` are more files of words, beside the one that Frontrow brings. ``phone_region`` is the country (ISO
    3166) of numbers written without a country code.
    """

    lexicon: tuple[Path, ...] = ()
    phone_region: Annotated[
        str, Meta(pattern=r"\A[A-Z]{2}\Z", description='a country of two capital letters, like "CN"')
    ] = "CN"


class PanelConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The host's page: its language where the room names none, and how many viewers it shows."""

    language: Language = "zh-CN"
    rows: Annotated[int, Meta(ge=1, le=500)] = 50


class LogConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is logged: ``json`` is a line per record for programs, ``console`` is for people."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class MetricsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rooms beyond ``max_rooms`` share one label, so that a Prometheus is not flooded."""

    max_rooms: Annotated[int, Meta(ge=1, le=10_000)] = 200


class RoomConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A live room.

    ``id`` is its name in URLs; ``platform`` and ``room`` are its key in events. ``language`` is the panel's, None: as
    ``[panel]`` says. ``timezone`` (IANA) decides when a day begins. ``host_aliases`` are what viewers call the host
    after @, beside 主播 and "host"; typing one of ``raffle_words`` counts as joining a raffle. ``store`` is the unit
    that the room's leads belong to; None: the rules say.
    """

    id: Id
    platform: Key
    room: Key
    title: Annotated[str, Meta(max_length=256)] = ""
    language: Language | None = None
    timezone: Key = "Asia/Shanghai"
    host_aliases: tuple[Word, ...] = ()
    raffle_words: tuple[Word, ...] = ()
    store: Key | None = None

    @property
    def ref(self) -> RoomRef:
        """The room as connectors and the engine know it."""
        return RoomRef(id=self.id, platform=self.platform, room=self.room, title=self.title)


class FeedConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a room's events come from. ``options`` is the struct that the connector declares."""

    id: Id
    room: str
    connector: str
    enabled: bool = True
    options: Struct


class SinkConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is told of leads. ``options`` is the struct that the kind of sink declares.

    ``rooms`` are the rooms' ids, empty: all. With ``lifecycle`` a program also hears what becomes of leads: assigned,
    claimed, breached, won and so on. An alert older than ``freshness_s`` is not sent any more, and one that failed
    ``max_attempts`` times goes to the dead letters.
    """

    id: Id
    kind: str
    enabled: bool = True
    rooms: tuple[str, ...] = ()
    lifecycle: bool = False
    freshness_s: Annotated[int, Meta(ge=1, le=86_400)] = 900
    max_attempts: Annotated[int, Meta(ge=1, le=1_000)] = 50
    options: Struct


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration, checked."""

    server: ServerConfig = field(default_factory=ServerConfig)
    storage: StorageConfig = field(default_factory=StorageConfig)
    intake: IntakeConfig = field(default_factory=IntakeConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    points: Policy = field(default_factory=Policy)
    crowd: CrowdRules = field(default_factory=CrowdRules)
    outcome: OutcomeConfig = field(default_factory=OutcomeConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    intents: IntentsConfig = field(default_factory=IntentsConfig)
    centre: CentreConfig = field(default_factory=CentreConfig)
    privacy: PrivacyConfig = field(default_factory=PrivacyConfig)
    panel: PanelConfig = field(default_factory=PanelConfig)
    log: LogConfig = field(default_factory=LogConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    rooms: tuple[RoomConfig, ...] = ()
    feeds: tuple[FeedConfig, ...] = ()
    sinks: tuple[SinkConfig, ...] = ()
    forms: tuple[Form, ...] = ()
    channels: tuple[Channel, ...] = ()
