"""How the parts are made from a configuration: the engine, the lexicons, the registries' option types."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from msgspec import structs

from frontrow.config import Config, defaults, load
from frontrow.config.schema import OutcomeConfig
from frontrow.core.centre.packs import Pack
from frontrow.core.engine import Engine, EngineOptions, utc_day
from frontrow.core.events import Event
from frontrow.core.facts import derive
from frontrow.core.intents import Lexicon, RoomLexicon
from frontrow.core.points import Policy
from frontrow.core.ports import Attic
from frontrow.lexicon import load_lexicon
from frontrow.packs import SHIPPED, path_of, read_pack
from frontrow_models.challengers import CHALLENGERS
from frontrow_models.learner import Learner, Versions, no_versions
from frontrow_models.online import ModelOptions
from frontrow_models.versions import Outcome

Key = tuple[str, str]


def load_config(path: Path, environ: Mapping[str, str]) -> Config:
    """Return the configuration of a file, joined with what each connector and sink declares.

    Raises:
        ConfigError: With every mistake at once, those of the lexicon files included.
    """
    # Every protocol's client comes with these, which a replay without a configuration has no use for.
    from frontrow_connectors.registry import CONNECTORS
    from frontrow_connectors.sinks.registry import SINKS

    config = load(
        path,
        environ=environ,
        connectors={name: connector.options for name, connector in CONNECTORS.items()},
        sinks={name: kind.options for name, kind in SINKS.items()},
        platforms={name: connector.platform for name, connector in CONNECTORS.items()},
        challengers=CHALLENGERS,
    )
    if config.centre.pack not in SHIPPED:  # beside the configuration, as all its paths
        pack = str(path_of(config.centre.pack, path.parent).absolute())
        config = structs.replace(config, centre=structs.replace(config.centre, pack=pack))
    return of_trade(config)


def built_in(environ: Mapping[str, str] | None = None) -> Config:
    """Return the configuration that holds without a file: what :func:`load_config` gives for an empty one.

    Raises:
        ConfigError: For mistakes in ``environ``.
    """
    return of_trade(defaults(environ=environ))


def make_pack(config: Config) -> Pack:
    """Return the configured trade.

    Raises:
        ConfigError: With every mistake of its file.
    """
    return read_pack(config.centre.pack)


def of_trade(config: Config) -> Config:
    """Return a configuration with what its trade says, where there is a lead centre: the points table and the events to learn from, where the
    configuration leaves these at their defaults, and the outcomes that sellers tap.

    Raises:
        ConfigError: As :func:`make_pack`.
    """
    if not config.centre.enabled:
        return config
    pack, outcome, default = make_pack(config), config.outcome, OutcomeConfig()
    told = {
        *outcome.won,
        *outcome.lost,
    }  # what the configuration says of an outcome goes before what the trade says
    outcome = structs.replace(
        outcome,
        kinds=pack.training.kinds
        if pack.training.kinds and outcome.kinds == default.kinds
        else outcome.kinds,
        won=(*outcome.won, *sorted(pack.won - told)),
        lost=(*outcome.lost, *sorted(pack.lost - told)),
    )
    points = pack.points if pack.points is not None and config.points == Policy() else config.points
    return structs.replace(config, outcome=outcome, points=points)


def outcome_of(config: Config) -> Outcome:
    """Return the outcome that the model learns, as versions tell it."""
    return Outcome.of(config.outcome.rules, config.outcome.horizon_s * 1000)


def make_engine(
    config: Config,
    *,
    with_model: bool = True,
    report_closed: bool = False,
    report_learning: bool = False,
    attic: Attic | None = None,
    versions: Versions = no_versions,
) -> Engine:
    """Return a new engine with nothing in it; the model as configured, or none. Without an attic nobody leaves memory.

    ``versions`` are those that promotions in the journal name; without them promotions are passed over.
    """
    options = EngineOptions(
        silence_ms=config.engine.session_silence_s * 1000,
        grace_ms=config.engine.session_grace_s * 1000,
        dedupe_ms=config.engine.dedupe_hours * 3_600_000,
        outcome=config.outcome.rules,
        horizon_ms=config.outcome.horizon_s * 1000,
        window_ms=config.outcome.window_s * 1000,
        snapshot_every_ms=config.model.snapshot_every_s * 1000,
        snapshot_bound=config.model.snapshot_bound,
        grade_by=config.model.grade,
        hot_probability=config.model.hot_probability,
        exploration=config.model.exploration,
        exploration_points=config.model.exploration_points,
        exploration_per_hour=config.model.exploration_per_hour,
        report_closed=report_closed,
        report_learning=report_learning,
        crowd=config.crowd,
        idle_ms=config.engine.idle_s * 1000,
    )
    model = None
    if with_model and config.model.enabled:
        model = Learner(
            ModelOptions(
                learning_rate=config.model.learning_rate,
                expected_rate=config.model.expected_rate,
                l2=config.model.l2,
                min_labels=config.model.min_labels,
                min_positives=config.model.min_positives,
            ),
            window_ms=min(options.window_ms, options.horizon_ms),
            versions=versions,
            outcome=outcome_of(config),
        )
    zones = {(room.platform, room.room): ZoneInfo(room.timezone) for room in config.rooms}

    def day_of(room: Key, at: int) -> int:
        zone = zones.get(room)
        return utc_day(room, at) if zone is None else datetime.fromtimestamp(at / 1000.0, zone).toordinal()

    return Engine(options, config.points, model, day_of=day_of, attic=attic)


@dataclass(frozen=True, slots=True)
class Lexicons:
    """The lexicon as each configured room has it, and as all others have it."""

    of_room: Mapping[Key, RoomLexicon]
    default: RoomLexicon

    def of(self, platform: str, room: str) -> RoomLexicon:
        """Return the lexicon for a room's comments."""
        return self.of_room.get((platform, room), self.default)

    def facts(self, event: Event, region: str) -> int:
        """Return an event's facts, which its room's lexicon finds; see :func:`frontrow.core.facts.derive`."""
        return derive(event, self.of(event.platform, event.room), region)


@functools.lru_cache(maxsize=4)
def _lexicon(paths: tuple[Path, ...], _stamps: tuple[tuple[int, int], ...], pack: Path | None) -> Lexicon:
    # Immutable, and two seconds of work: a process that makes several daemons or replays compiles it once.
    packs = [] if pack is None else [(pack, read_pack(str(pack)).lexicon_tables)]
    return load_lexicon(paths, packs)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)  # the loader says in words what is wrong with it
    return (status.st_mtime_ns, status.st_size)


def make_lexicons(config: Config) -> Lexicons:
    """Return the lexicon, with the trade's words where there is a lead centre, and with each room's host names and raffle words.

    Raises:
        ConfigError: A lexicon file is missing or wrong; all mistakes at once.
    """
    pack = path_of(config.centre.pack) if config.centre.enabled else None
    files = (*config.intents.lexicon, *([] if pack is None else [pack]))
    lexicon = _lexicon(config.intents.lexicon, tuple(map(_stamp, files)), pack)
    # Rooms with the same words share what was made of them, and what is remembered of texts read with it.
    of_words = functools.lru_cache(maxsize=None)(
        lambda aliases, raffle: lexicon.for_room(host_aliases=aliases, raffle_words=raffle)
    )
    return Lexicons(
        of_room={
            (room.platform, room.room): of_words(tuple(room.host_aliases), tuple(room.raffle_words))
            for room in config.rooms
        },
        default=of_words((), ()),
    )
