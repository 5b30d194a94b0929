"""The command line: arguments in, exit code out. What the commands do is done below.

Exit codes: 0 done; 1 it failed while it ran; 2 wrong arguments or a wrong configuration; 3 another daemon holds the
store.

Each command imports what it needs when it runs: the daemon, the engine and the model take seconds to import, for which
neither ``--help`` nor a new token should wait.
"""

import contextlib
import getpass
import os
import random
import secrets
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import cyclopts
from cyclopts import App, Parameter

from frontrow import __version__
from frontrow.clock import SystemClock
from frontrow.core import kernel
from frontrow.core.errors import ConfigError, FrontrowError, StoreLocked
from frontrow.runtime.access import Role, make_token

if TYPE_CHECKING:
    from frontrow.app.daemon import Address
    from frontrow.config import Config
    from frontrow.core.promotions import Promotion
    from frontrow_connectors.file import FileReject
    from frontrow_models.registry import Registry

DONE, FAILED, WRONG, LOCKED = 0, 1, 2, 3
DEFAULT_CONFIG = Path("config.toml")
DAY_MS = 86_400_000
START_LABEL = "printed at start"
SHOWN_REJECTS = 20
STANDARD_INPUT = "standard input"
NO_KERNEL = "FRONTROW_NO_KERNEL"  # the environment's; anything there: go without the compiled kernel

app = App(
    name="frontrow",
    version=__version__,
    help="Finds the viewers of a live stream who are about to buy, while the stream is still running.",
    result_action="return_value",
)
token = App(name="token", help="Tokens: who may send, see and do what.")
app.command(token)
centre = App(
    name="centre",
    help="The lead centre: who works where, whose leads are whose, and what customers hear of us.",
)
app.command(centre)
models = App(name="models", help="Versions of the model: which there are, which leads, and which led.")
app.command(models)
outbox = App(name="outbox", help="Alerts to sinks: what waits, what was sent, and dead letters.")
app.command(outbox)
person = App(name="person", help="One person: all that is held of them, and how it is taken away.")
app.command(person)

number = App(name="number", help="Lists of numbers that are no customers'.")
centre.command(number)
form = App(name="form", help="Forms that the daemon itself shows.")
app.command(form)

ConfigPath = Annotated[Path, Parameter(name="--config", help="The configuration file.")]
RegistryPath = Annotated[
    Path | None, Parameter(name="--registry", help="The folder of versions; default: beside the store.")
]
MaybeConfigPath = Annotated[
    Path | None,
    Parameter(
        name="--config",
        help="Policy, rooms and model; default: config.toml where there is one, else built in.",
    ),
]
Settings = Annotated[
    Sequence[str],
    Parameter(
        name="--set", negative="", help="An option set otherwise, as model.learning_rate=0.05; repeat it."
    ),
]
PromotedBy = Annotated[str, Parameter(name="--by", help="Who says so; default: the login name.")]
Why = Annotated[str, Parameter(help="Why, for those who read the history; at most 500 characters.")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if os.environ.get(NO_KERNEL):
        kernel.switch_off()
    if words[:1] == ["replay"]:
        words = [
            STANDARD_INPUT if word == "-" else word for word in words
        ]  # the parser takes - for an option
    try:
        code = app(words, exit_on_error=False, print_error=True)
        sys.stdout.flush()  # here, and not when the interpreter ends, it may turn out that nobody reads any more
    except cyclopts.CycloptsError:
        return WRONG
    except ConfigError as error:
        print(error, file=sys.stderr)
        count = len(error.mistakes)
        print(f"{count} mistake{'s' * (count != 1)} in the configuration.", file=sys.stderr)
        return WRONG
    except StoreLocked as error:
        print(error, file=sys.stderr)
        return LOCKED
    except BrokenPipeError:
        # As `| head` does: what is still to be written goes nowhere, without a word.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (FrontrowError, OSError) as error:
        print(f"frontrow: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 130
    return code if isinstance(code, int) else DONE


@app.command
def run(*, config: ConfigPath = DEFAULT_CONFIG) -> int:
    """Run the daemon until SIGTERM or Ctrl-C."""
    import uvloop

    from frontrow.app.daemon import Daemon, run_until_signal
    from frontrow.app.parts import load_config
    from frontrow.telemetry import logs

    loaded = load_config(config, os.environ)
    logs.configure(level=loaded.log.level, format=loaded.log.format)
    clock = SystemClock()

    def ready(address: "Address") -> None:
        _print_addresses(loaded, address, clock.now())

    async def body() -> None:
        await run_until_signal(Daemon(loaded, clock=clock, rng=random.Random()), ready)

    try:
        uvloop.run(body())
    except BaseExceptionGroup as group:
        expected, others = group.split((FrontrowError, OSError))
        if expected is not None and others is None:
            raise expected.exceptions[0] from group
        raise
    return DONE


@app.command
def check(*, config: ConfigPath = DEFAULT_CONFIG, show: bool = False) -> int:
    """Validate the configuration; name all mistakes at once, each with its place and key.

    Also names rules that can never match or that another hides, and what does not fit together in the organisation.
    Where that is imported, what follows from it are warnings.

    Parameters
    ----------
    show
        Print what is in force, defaults and environment included, secrets hidden.
    """
    import orjson

    from frontrow.app.centre_check import check_centre
    from frontrow.app.parts import load_config, make_lexicons
    from frontrow.config import dump

    loaded = load_config(config, os.environ)
    make_lexicons(loaded)
    found = check_centre(loaded, config, SystemClock().now())
    for warning in found.warnings:
        print(f"{warning} (a warning)", file=sys.stderr)
    if found.mistakes:
        raise ConfigError(list(found.mistakes))
    if show:
        print(orjson.dumps(dump(loaded), option=orjson.OPT_INDENT_2).decode())
    else:
        print(
            f"{config} is right: {len(loaded.rooms)} rooms, {len(loaded.feeds)} feeds, {len(loaded.sinks)} sinks."
        )
    return DONE


@app.command
def replay(
    *files: str,
    out: Path,
    config: MaybeConfigPath = None,
    no_model: Annotated[bool, Parameter(negative="", help="Points only.")] = False,
    journal: Annotated[Path | None, Parameter(help="Also write a durable journal there.")] = None,
    registry: Annotated[
        Path | None,
        Parameter(name="--registry", help="The versions that were promoted; default: beside the journal."),
    ] = None,
    frame_size: Annotated[int, Parameter(help="Events a frame; does not change results.")] = 4096,
) -> int:
    """Run the whole engine over canonical events (.ndjson, .gz, .zst, - for standard input) or over one journal.

    Several files are merged by event time. Writes leads.ndjson, viewers.ndjson, model.json and summary.json into the
    folder OUT. The same input under the same configuration gives the same bytes, but for elapsed_s and events_per_s.
    """
    if not files:
        print("frontrow replay: name at least one file, or - for standard input", file=sys.stderr)
        return WRONG
    if not 1 <= frame_size <= 65_536:
        print("frontrow replay: --frame-size must be from 1 to 65536", file=sys.stderr)
        return WRONG
    import msgspec
    import orjson

    from frontrow.app.replaying import replay as run_replay
    from frontrow.app.what_if import configured
    from frontrow.telemetry import logs

    config = _config_here(config)
    loaded = configured(config, (), os.environ)
    print(_configured_by(config), file=sys.stderr)  # standard output is the summary, for machines
    logs.configure(level="warning", format="console")
    rejected = 0

    def on_reject(reject: "FileReject") -> None:
        nonlocal rejected
        rejected += 1
        if rejected <= SHOWN_REJECTS:
            print(reject, file=sys.stderr)
        elif rejected == SHOWN_REJECTS + 1:
            print("… more are counted in the summary", file=sys.stderr)

    summary = run_replay(
        ["-" if name == STANDARD_INPUT else name for name in files],
        out=out,
        config=loaded,
        clock=SystemClock(),
        with_model=not no_model,
        journal=journal,
        registry=registry,
        frame_size=frame_size,
        on_reject=on_reject,
    )
    print(orjson.dumps(msgspec.to_builtins(summary), option=orjson.OPT_INDENT_2).decode())
    return DONE


@app.command
def backtest(
    *files: str,
    out: Annotated[Path, Parameter(help="The folder for diff.ndjson and summary.json.")],
    config: MaybeConfigPath = None,
    against: Annotated[Path | None, Parameter(help="The configuration of the other side.")] = None,
    settings: Settings = (),
    challengers: Annotated[
        Sequence[str], Parameter(name="--challenger", negative="", help="A model that watches the champion.")
    ] = (),
) -> int:
    """Run files or one journal as configured, and again as it might be; tell which leads change and how they turned out.

    The other side is --against, or else the same configuration, with what --set says. diff.ndjson has a line for every
    lead that is gained, lost, earlier or later; it holds viewers' ids.
    """
    from frontrow.app.backtesting import backtest as run_backtest
    from frontrow.app.backtesting import lines_of
    from frontrow.app.inputs import Inputs
    from frontrow.app.terminal import Bar
    from frontrow.app.what_if import configured
    from frontrow.telemetry import logs

    config = _config_here(config)
    before = configured(config, (), os.environ)
    after = configured(against or config, settings, os.environ) if against or settings else None
    logs.configure(level="warning", format="console")
    try:
        with Bar(sys.stderr, SystemClock()) as progress:
            found = run_backtest(
                Inputs(files, on_reject=_Rejects()),
                before,
                after,
                challengers=challengers,
                out=out,
                progress=progress,
            )
    except ValueError as error:  # no such challenger
        print(f"frontrow backtest: {error}", file=sys.stderr)
        return WRONG
    print("\n".join([_configured_by(config), *lines_of(found)]))
    return DONE


@app.command
def retrain(
    *files: str,
    config: MaybeConfigPath = None,
    start: Annotated[
        str | None,
        Parameter(
            name="--from",
            help="The version to go on from, with its own options of the model, which --set cannot change; without it: from scratch.",
        ),
    ] = None,
    registry: RegistryPath = None,
    search: Annotated[int, Parameter(help="Options to try on the first part (extra frontrow[search]).")] = 0,
    settings: Settings = (),
) -> int:
    """Learn files or one journal as the daemon would have, judge it as it goes, and keep what it has become as a version.

    With --search options are chosen on the first six tenths of the outcomes, and the figures are of what was served
    later. With --from they are of what was served after that version was made, and each trial goes on from it.
    """
    if search < 0:
        print("frontrow retrain: --search must be at least 1", file=sys.stderr)
        return WRONG
    from frontrow.app.inputs import Inputs
    from frontrow.app.models import folder_beside, registry_beside
    from frontrow.app.offline import MODEL_OPTIONS
    from frontrow.app.retraining import lines_of, next_lines
    from frontrow.app.retraining import retrain as run_retrain
    from frontrow.app.terminal import Bar
    from frontrow.app.what_if import configured, keys_of
    from frontrow.telemetry import logs

    config = _config_here(config)
    loaded = configured(config, settings, os.environ)
    overruled = [key for key in keys_of(settings) if key in {f"model.{name}" for name in MODEL_OPTIONS}]
    if start is not None and overruled:
        reason = "a version goes on with its own options of the model; --search finds others"
        print(f"frontrow retrain: --set {overruled[0]} does nothing with --from: {reason}", file=sys.stderr)
        return WRONG
    # Where it would be looked for, as no other command takes a setting.
    store = configured(config, (), os.environ).storage.path
    folder = folder_beside(loaded.storage.path) if registry is None else registry
    versions = registry_beside(loaded.storage.path, folder)
    logs.configure(level="warning", format="console")
    with Bar(sys.stderr, SystemClock()) as progress:
        found = run_retrain(
            Inputs(files, on_reject=_Rejects()),
            loaded,
            versions,
            start=None if start is None else versions.find(start),
            trials=search,
            progress=progress,
            on_trial=lambda number, best: progress.say(
                f"trial {number} of {search}, lowest log loss {best:.4f}"
            ),
        )
    options = "" if config in (None, DEFAULT_CONFIG) else f" --config {shlex.quote(str(config))}"
    options += "" if folder == folder_beside(store) else f" --registry {shlex.quote(str(folder))}"
    told = [*lines_of(found), _configured_by(config), *next_lines(found.name, store, folder, options)]
    print("\n".join(told))
    return DONE


def _config_here(config: Path | None) -> Path | None:
    """Return the configuration that was named, or the one that is here; None: there is none."""
    return DEFAULT_CONFIG if config is None and DEFAULT_CONFIG.exists() else config


def _configured_by(config: Path | None) -> str:
    if config is None:
        return f"Configured by what is built in, without the environment: there is no {DEFAULT_CONFIG} here."
    return f"Configured by {config}."


class _Rejects:
    """Prints the first broken lines of an input."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, reject: "FileReject") -> None:
        self._count += 1
        if self._count <= SHOWN_REJECTS:
            print(reject, file=sys.stderr)
        elif self._count == SHOWN_REJECTS + 1:
            print("… more are counted in the summary", file=sys.stderr)


@app.command
def doctor(
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    salvage: Annotated[
        Path | None, Parameter(help="Write all that can still be read into a new store there.")
    ] = None,
) -> int:
    """Read all that is stored and tell what is sound, what is lost and how to restore. Works beside a running daemon.

    The versions of the model are read too, as by frontrow models verify, and how the lead centre's database is.

    Exits with 0 if all is sound, else with 1.
    """
    from frontrow.app.centre_doctor import look_at_centre
    from frontrow.app.models import examined, registry_beside
    from frontrow.app.parts import load_config
    from frontrow.storage import doctor as examiner

    settings = load_config(config, os.environ)
    store = settings.storage.path
    found = examined(examiner.examine(store), registry_beside(store))
    print("\n".join(found.lines()))
    print(f"  note     {kernel.described()}")
    centre_line, centre_sound = look_at_centre(settings, SystemClock().now())
    print(centre_line)
    if salvage is not None:
        frames, events = examiner.salvage(store, salvage)
        print(f"{salvage}: {frames:,} frames of {events:,} events were written")
    return DONE if found.sound and centre_sound else FAILED


@app.command
def backup(
    file: Path,
    /,
    *,
    keys: Annotated[
        bool,
        Parameter(
            negative="",
            help="Copy the vault too, to FILE.keys: keys that are destroyed later are in it still.",
        ),
    ] = False,
    config: ConfigPath = DEFAULT_CONFIG,
) -> int:
    """Copy the store into a new FILE, and read the copy as a whole before it gets its name. Works beside a running daemon.

    The versions of the model go into the folder FILE.models beside it. frontrow restore FILE puts them back.
    """
    from frontrow.app.models import back_up_versions
    from frontrow.app.parts import load_config
    from frontrow.storage.backup import back_up, back_up_keys
    from frontrow.storage.vault import path_beside

    store = load_config(config, os.environ).storage.path
    done = back_up(store, file)
    if keys:
        back_up_keys(path_beside(store), path_beside(file))
        print(f"{path_beside(file)}: the keys; whoever has both files can read what is sealed")
    print(f"{file}: {done.frames:,} frames of {done.events:,} events in {done.bytes:,} bytes, all whole")
    if versions := back_up_versions(store, file):
        print(f"{file}.models: {versions:,} version{'s' * (versions != 1)} of the model")
    return DONE


@app.command
def restore(file: Path, /, *, config: ConfigPath = DEFAULT_CONFIG) -> int:
    """Put the backup FILE in the store's place, without those who were erased since it was made; the daemon is stopped.

    What stood there is kept beside it, with .replaced behind its name. The vault stays; where there is none,
    FILE.keys is taken.
    """
    from frontrow.app.parts import load_config
    from frontrow.app.restoring import restore as run_restore
    from frontrow.storage.vault import master_key

    loaded = load_config(config, os.environ)
    path = loaded.storage.path
    done = run_restore(file, path, master_key(loaded.privacy.master_key), clock=SystemClock())
    print(f"{path}: {done.frames:,} frames of {done.events:,} events are restored")
    if done.erased:
        print(f"in {done.erased:,} frames somebody was erased who had been erased since")
    if done.replaced is not None:
        print(f"{done.replaced}: what stood there; remove it when you need it no more")
    return DONE


@app.command
def export(
    what: Literal["leads", "timeline", "indicators"],
    /,
    *,
    out: Annotated[Path, Parameter(help="The file; of Parquet the folder.")],
    format: Annotated[Literal["csv", "xlsx", "parquet"], Parameter(help="Which kind of file.")] = "csv",
    since: Annotated[str, Parameter(help="From this day or moment on, as 2026-01-31; UTC.")] = "",
    until: Annotated[str, Parameter(help="Before this day or moment; UTC.")] = "",
    indicator: Annotated[
        Sequence[str], Parameter(negative="", help="Which ones; repeat it. Default: all.")
    ] = (),
    cut: Annotated[
        Sequence[str], Parameter(negative="", help="What to part figures by, as day; repeat it.")
    ] = (),
    contacts: Annotated[bool, Parameter(negative="", help="Leads with whole numbers.")] = False,
    purpose: Annotated[str, Parameter(help="What the numbers are for; stands in the access log.")] = "",
    by: PromotedBy = "",
    config: ConfigPath = DEFAULT_CONFIG,
) -> int:
    """Write leads, their timelines or the indicators to a file, beside a running daemon or without one.

    Numbers are masked. With --contacts they are whole, and who asked for them and what for is in the journal first.
    """
    from frontrow.app.exporting import export as write
    from frontrow.app.exporting import moment, open_vault, revealing
    from frontrow.app.parts import load_config

    if contacts and (what != "leads" or not purpose.strip()):
        print("frontrow export: --contacts is of leads, and needs --purpose", file=sys.stderr)
        return WRONG
    try:
        from_at, to_at = moment(since, 0), moment(until, 1 << 62)
    except ValueError:
        print("frontrow export: --since and --until are days or moments, as 2026-01-31", file=sys.stderr)
        return WRONG
    loaded = load_config(config, os.environ)
    with contextlib.ExitStack() as stack:
        reveal = None
        if contacts:
            vault = stack.enter_context(contextlib.closing(open_vault(loaded)))
            reveal = revealing(
                loaded,
                vault,
                by=by or _login(),
                purpose=purpose.strip(),
                clock=SystemClock(),
                id=secrets.token_hex(8),
            )
        count = write(
            loaded,
            what,
            format,
            out,
            from_at=from_at,
            to_at=to_at,
            indicators=indicator,
            cuts=cut,
            reveal=reveal,
        )
    print(f"{out}: {count:,} row{'s' * (count != 1)}")
    return DONE


@app.command
def simulate(
    *,
    out: Annotated[str, Parameter(help="Where the events go: a file, or - for standard output.")] = "-",
    truth: Annotated[Path | None, Parameter(help="Also write what each viewer truly was.")] = None,
    seed: int = 7,
    viewers: Annotated[int, Parameter(help="Viewers of each room, over the whole broadcast.")] = 2_000,
    minutes: Annotated[int, Parameter(help="Length of the broadcast, 1 to 1440.")] = 60,
    rate: Annotated[float, Parameter(help="Events a second of each room, on average.")] = 20.0,
    rooms: Annotated[int, Parameter(help="Rooms that broadcast at once.")] = 1,
    sessions: Annotated[int, Parameter(help="Broadcasts of each room, an hour apart.")] = 1,
    paid_crowd: Annotated[float, Parameter(help="Share of a hired crowd among all viewers, 0 to 0.9.")] = 0.0,
    sellers: Annotated[int, Parameter(help="Sellers of each room who answer carts.")] = 0,
    chances: Annotated[
        Path | None, Parameter(help="Also write each present viewer's true probability, once a minute.")
    ] = None,
    horizon: Annotated[int, Parameter(help="Of --chances: minutes within which an order is paid.")] = 60,
) -> int:
    """Make a stream with known ground truth, in canonical events. The same arguments give the same bytes."""
    from frontrow_models.simulate import (
        Scenario,
        Sellers,
        room_names,
        write_chances,
        write_ndjson,
        write_truth,
    )
    from frontrow_models.simulate import simulate as run_simulation

    try:
        if horizon < 1:
            raise ValueError("horizon: must be at least one minute")
        scenario = Scenario(
            seed=seed,
            viewers=viewers,
            duration_s=minutes * 60,
            events_per_s=rate,
            rooms=room_names(rooms),
            sessions=sessions,
            paid=paid_crowd,
            sellers=Sellers(count=sellers),
        )
        simulation = run_simulation(scenario)
    except ValueError as error:
        print(f"frontrow simulate: {error}", file=sys.stderr)
        return WRONG
    if out == "-":
        write_ndjson(simulation, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    else:
        with Path(out).open("wb") as file:
            write_ndjson(simulation, file)
    if truth is not None:
        with truth.open("wb") as file:
            write_truth(simulation.truth, file)
    if chances is not None:
        with chances.open("wb") as file:
            write_chances(simulation.world, file, horizon_ms=horizon * 60_000)
    return DONE


@token.command
def create(
    *,
    role: Role,
    room: Annotated[str | None, Parameter(help="A configured room's id; without it: every room.")] = None,
    days: Annotated[float | None, Parameter(help="Days until it expires; without it: never.")] = None,
    label: Annotated[str, Parameter(help="For whom or what, to know it again in the list.")] = "",
    seller: Annotated[
        str | None,
        Parameter(help="Who bears it: a seller's id in the organisation. Only they can claim leads."),
    ] = None,
    config: ConfigPath = DEFAULT_CONFIG,
) -> int:
    """Make a token and print it, once; only its hash is kept. Works beside a running daemon."""
    from frontrow.app.parts import load_config

    loaded = load_config(config, os.environ)
    known = {each.id for each in loaded.rooms}
    if room is not None and room not in known:
        print(
            f"frontrow token create: no room {room!r}; there are: {', '.join(sorted(known))}", file=sys.stderr
        )
        return WRONG
    if days is not None and not 0 < days <= 3_650:
        print("frontrow token create: --days must be more than 0 and at most 3650", file=sys.stderr)
        return WRONG
    now = SystemClock().now()
    expires_at = None if days is None else now + int(days * DAY_MS)
    print(_new_token(loaded, role, room, label, now, expires_at, seller))
    return DONE


@token.command(name="list")
def list_tokens(*, config: ConfigPath = DEFAULT_CONFIG) -> int:
    """List the tokens: id, role, room, label, and whether they still hold. The tokens themselves are not kept."""
    from frontrow.app.parts import load_config
    from frontrow.storage.store import Store

    loaded = load_config(config, os.environ)
    now = SystemClock().now()
    store = Store.open(loaded.storage.path)
    try:
        rows = store.tokens()
    finally:
        store.close()
    for id, role, room, label, _, expires_at, revoked_at in rows:
        if revoked_at is not None:
            state = "revoked"
        elif expires_at is not None and expires_at <= now:
            state = "expired"
        else:
            state = "valid"
        print(f"{id}  {role:8} {room or '(every room)':20} {state:8} {label}")
    return DONE


@token.command
def revoke(id: str, /, *, config: ConfigPath = DEFAULT_CONFIG) -> int:
    """Revoke a token by the id that the list shows; a running daemon refuses it within two seconds."""
    from frontrow.app.parts import load_config
    from frontrow.storage.store import Store

    loaded = load_config(config, os.environ)
    store = Store.open(loaded.storage.path)
    try:
        done = store.token_revoke(id, SystemClock().now())
    finally:
        store.close()
    if not done:
        print(f"frontrow token revoke: no valid token {id!r}", file=sys.stderr)
        return WRONG
    print(f"revoked {id}")
    return DONE


@outbox.command(name="list")
def list_letters(
    *,
    state: Annotated[Literal["pending", "sent", "dead", "all"], Parameter(help="Which.")] = "dead",
    sink: Annotated[str | None, Parameter(help="Of one sink, by its id.")] = None,
    limit: Annotated[int, Parameter(help="At most so many, the newest.")] = 50,
    config: ConfigPath = DEFAULT_CONFIG,
) -> int:
    """List alerts, the newest first: number, state, sink, what it tells, age, tries, and the reason or the receipt.

    Works beside a running daemon.
    """
    from frontrow.app.letters import read
    from frontrow.app.parts import load_config

    if not 1 <= limit <= 10_000:
        print("frontrow outbox list: --limit must be 1 to 10000", file=sys.stderr)
        return WRONG
    loaded, now = load_config(config, os.environ), SystemClock().now()
    found = read(loaded, state=None if state == "all" else state, sink=sink, limit=limit, now=now)
    for each in found:
        fresh = "fresh" if each.fresh else "stale"
        print(
            f"{each.id:>7}  {each.state:7}  {each.sink:16}  {each.event:16}  {each.lead}  {each.to or '(all)':12}"
            f"  {_age(now - each.created_at):>6}  {fresh}  {each.attempts:>2} tries  {each.reason or each.receipt or ''}"
        )
    if not found:
        print("none")
    return DONE


@outbox.command(name="show")
def show_letter(letter: int, /, *, config: ConfigPath = DEFAULT_CONFIG) -> int:
    """Print one alert and what became of it, as JSON; numbers are masked. Works beside a running daemon."""
    import msgspec

    from frontrow.app.letters import read_one
    from frontrow.app.parts import load_config

    found = read_one(load_config(config, os.environ), letter, now=SystemClock().now())
    if found is None:
        print(f"frontrow outbox show: there is no letter {letter}", file=sys.stderr)
        return WRONG
    print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    return DONE


@outbox.command(name="resend")
def resend_letters(letters: list[int], /, *, config: ConfigPath = DEFAULT_CONFIG) -> int:
    """Send dead letters again, by the numbers that the list shows; each counts as new from now on.

    A running daemon is asked and sends them now; in a store that rests they wait for the daemon's start.
    """
    from frontrow.app.asking import ask_to_send_again
    from frontrow.app.letters import put_back
    from frontrow.app.parts import load_config
    from frontrow.core.letters import LetterRefused

    loaded, code = load_config(config, os.environ), DONE
    if not letters:
        print("frontrow outbox resend: which? give the numbers of letters", file=sys.stderr)
        return WRONG
    for letter in letters:
        try:
            try:
                done = put_back(loaded, letter, clock=SystemClock())
            except StoreLocked as locked:
                done = ask_to_send_again(loaded, locked, letter, clock=SystemClock())
        except LetterRefused as refused:
            print(f"frontrow outbox resend: {refused}", file=sys.stderr)
            code = FAILED
        else:
            print(f"letter {done.id} goes to {done.sink} again")
    return code


@centre.command(name="import")
def import_organisation(
    *,
    units: Annotated[Path | None, Parameter(help="A CSV file of regions, stores and teams.")] = None,
    sellers: Annotated[Path | None, Parameter(help="A CSV file of sellers and managers.")] = None,
    replace: Annotated[
        bool, Parameter(negative="", help="The whole organisation is what these files say.")
    ] = False,
    all_or_nothing: Annotated[
        bool, Parameter(negative="", help="One bad row, and nothing is taken.")
    ] = False,
    dry_run: Annotated[bool, Parameter(negative="", help="Only say what is wrong.")] = False,
    config: ConfigPath = DEFAULT_CONFIG,
) -> int:
    """Import who works where; every bad row is named with its line and the reason, and the rest is taken. Asks the running daemon.

    Columns are named in Chinese or English; what they hold is in daemon/docs/organisation.md. Exits with 1 where
    something is wrong.
    """
    from frontrow.app.centre_office import Office
    from frontrow.app.parts import load_config

    if units is None and sellers is None:
        print("frontrow centre import: name --units, --sellers or both", file=sys.stderr)
        return WRONG
    office = Office(load_config(config, os.environ), clock=SystemClock())
    answer, wrong = office.import_files(
        units, sellers, replace=replace, all_or_nothing=all_or_nothing, dry_run=dry_run
    )
    for line in wrong:
        print(line, file=sys.stderr)
    took = "took" if answer.done else "would take" if dry_run else "took nothing, of"
    print(f"{took} {answer.units:,} units and {answer.sellers:,} sellers")
    return FAILED if wrong else DONE


@centre.command(name="costs")
def import_costs(
    file: Path,
    /,
    *,
    currency: Annotated[str, Parameter(help="Of rows that name none.")] = "CNY",
    all_or_nothing: Annotated[
        bool, Parameter(negative="", help="One bad row, and nothing is taken.")
    ] = False,
    dry_run: Annotated[bool, Parameter(negative="", help="Only say what is wrong.")] = False,
    config: ConfigPath = DEFAULT_CONFIG,
) -> int:
    """Import what channels cost from a CSV FILE of channel, day, amount and currency, for the return on them. Asks the running daemon.

    A row replaces an earlier one of the same channel, day and currency. Exits with 1 where a row is bad.
    """
    from frontrow.app.centre_office import Office
    from frontrow.app.parts import load_config

    office = Office(load_config(config, os.environ), clock=SystemClock())
    answer, wrong = office.import_costs(
        file, currency=currency, all_or_nothing=all_or_nothing, dry_run=dry_run
    )
    for line in wrong:
        print(line, file=sys.stderr)
    took = "took" if answer.done else "would take" if dry_run else "took nothing, of"
    print(f"{took} {answer.rows:,} rows")
    return FAILED if wrong else DONE


@centre.command(name="organisation")
def show_organisation(
    *,
    at: Annotated[str | None, Parameter(help="A day, as 2026-03-31 (UTC); default: now.")] = None,
    config: ConfigPath = DEFAULT_CONFIG,
) -> int:
    """Print the organisation as a tree, and what is wrong with it. Asks the running daemon."""
    from frontrow.app.centre_office import Office
    from frontrow.app.parts import load_config

    try:
        moment = None if at is None else _milliseconds(at)
    except ValueError:
        print(f"frontrow centre organisation: --at {at}: not a day, as 2026-03-31 is", file=sys.stderr)
        return WRONG
    office = Office(load_config(config, os.environ), clock=SystemClock())
    print("\n".join(office.organisation(moment)) or "nobody works here yet")
    return DONE


@centre.command(name="transfer")
def transfer_leads(
    store: Annotated[str | None, Parameter(help="The store that leaves.")] = None,
    /,
    *,
    to: Annotated[str, Parameter(help="nearest, region, a store's id, or shares: hz=2,nb=1.")] = "nearest",
    undo: Annotated[str | None, Parameter(help="Take this transfer back, by its plan's name.")] = None,
    dry_run: Annotated[bool, Parameter(negative="", help="Only say what would become of the leads.")] = False,
    config: ConfigPath = DEFAULT_CONFIG,
) -> int:
    """Give the open leads of a store to others, or take that back within thirty days. The running daemon does it, also over a restart."""
    from frontrow.app.centre_office import Office, target_of, transfer_lines
    from frontrow.app.parts import load_config

    if (store is None) == (undo is None):
        print("frontrow centre transfer: name a store, or a plan with --undo", file=sys.stderr)
        return WRONG
    office = Office(load_config(config, os.environ), clock=SystemClock())
    if undo is not None:
        preview = office.undo(undo, dry_run=dry_run)
    else:
        assert store is not None
        preview = office.transfer(store, target_of(to), dry_run=dry_run)
    print("\n".join(transfer_lines(preview)))
    if not dry_run:
        for done, of, moved in office.progress(preview.plan):
            print(f"step {done:,} of {of:,}: {moved:,} leads", flush=True)
    return DONE


@centre.command(name="dry-run")
def dry_run_rules(
    *,
    rules: Annotated[
        Path | None, Parameter(help="The configuration whose rules are tried; default: the same.")
    ] = None,
    start: Annotated[
        str | None, Parameter(name="--from", help="A day or moment (ISO 8601); default: a day before --to.")
    ] = None,
    end: Annotated[
        str | None, Parameter(name="--to", help="A day or moment; default: the last that is known.")
    ] = None,
    config: ConfigPath = DEFAULT_CONFIG,
) -> int:
    """Say which rule would have taken each lead of the last day, and which leads would have gone elsewhere. Changes nothing.

    Works beside a running daemon. Sellers' loads begin empty, so it tells how many leads each would get, not which.
    """
    from frontrow.app.dry_run import lines_of, tried
    from frontrow.app.parts import load_config

    try:
        from_at, to_at = (None if text is None else _milliseconds(text) for text in (start, end))
    except ValueError:
        print(
            "frontrow centre dry-run: --from and --to are days or moments, as 2026-03-31T20:00",
            file=sys.stderr,
        )
        return WRONG
    loaded = load_config(config, os.environ)
    other = loaded if rules is None else load_config(rules, os.environ)
    print("\n".join(lines_of(tried(loaded, other, from_at=from_at, to_at=to_at))))
    return DONE


@centre.command(name="rebuild")
def rebuild_centre(*, config: ConfigPath = DEFAULT_CONFIG) -> int:
    """Make the lead centre's database anew from the journal, beside the one in use, and exchange them. The daemon must be stopped.

    What was sent is not sent again. The one in use stays as it is until the new one is whole.
    """
    from frontrow.app.parts import load_config
    from frontrow.app.rebuilding import rebuild
    from frontrow.app.terminal import Bar

    loaded, clock = load_config(config, os.environ), SystemClock()
    since = datetime.fromtimestamp(clock.now() / 1000, UTC).isoformat(timespec="seconds")
    with Bar(sys.stderr, clock) as bar:
        done = rebuild(
            loaded, now=clock.now(), since=f"{since}, rebuilding the lead centre", progress=bar.frames
        )
    print(f"{done.leads:,} leads from {done.frames:,} frames")
    if done.left:
        print(f"{done.left:,} frames more are followed when the daemon starts")
    return DONE


def _milliseconds(text: str) -> int:
    """Return a day or a moment (ISO 8601, UTC unless it says otherwise) as UTC milliseconds.

    Raises:
        ValueError: It is neither.
    """
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _age(milliseconds: int) -> str:
    minutes = max(0, milliseconds) // 60_000
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 2_880 else f"{minutes // 1_440} d"


@models.command(name="list")
def list_models(*, config: ConfigPath = DEFAULT_CONFIG, registry: RegistryPath = None) -> int:
    """List the versions, the newest first: which leads, what each has learnt, whose child it is; then the promotions."""
    from frontrow.app import models as tools
    from frontrow.app.parts import outcome_of

    loaded = _of_models(config, registry)
    versions = tools.registry_beside(loaded.storage.path, registry)
    ledger = tools.ledger_of(versions, loaded.storage.path)
    print("\n".join([*tools.listing(versions, ledger, outcome_of(loaded)), *tools.history(ledger)]))
    return DONE


@models.command(name="show")
def show_model(version: str, /, *, config: ConfigPath = DEFAULT_CONFIG, registry: RegistryPath = None) -> int:
    """Show a version's card. A version is named by its first digits, six or more."""
    from frontrow.app import models as tools

    versions, store = _registry(config, registry)
    name = versions.find(version)
    print("\n".join(tools.showing(versions, tools.ledger_of(versions, store), name)))
    return DONE


@models.command(name="compare")
def compare_models(
    one: str, other: str, /, *, config: ConfigPath = DEFAULT_CONFIG, registry: RegistryPath = None
) -> int:
    """Show two versions side by side: their figures, and their weights by how much they differ."""
    from frontrow.app import models as tools

    versions, _ = _registry(config, registry)
    print("\n".join(tools.comparison(versions, versions.find(one), versions.find(other))))
    return DONE


@models.command(name="promote")
def promote_model(
    version: str,
    /,
    *,
    by: PromotedBy = "",
    reason: Why = "",
    config: ConfigPath = DEFAULT_CONFIG,
    registry: RegistryPath = None,
) -> int:
    """Let a version lead: as an event of the journal, which the engine obeys at its next mark.

    A running daemon is asked, and keeps what led until then as a version too; that may be once an hour, and instead of
    a version a challenger may be named. On a store that rests the event is written where the journal ends. A version
    that predicts another outcome than the configured one is refused.
    """
    from frontrow.app import models as tools
    from frontrow.app.parts import outcome_of

    by = by or _login()
    try:
        loaded = _of_models(config, registry)
        store, outcome = loaded.storage.path, outcome_of(loaded)
        versions = tools.registry_beside(store, registry)
        done = tools.promote(
            versions, store, version, by=by, reason=reason, clock=SystemClock(), outcome=outcome
        )
    except StoreLocked as locked:
        done = _ask(config, registry, locked, "promote", {"version": version, "by": by, "reason": reason})
    print(f"promotion {done.number}: {done.version} leads")
    return DONE


@models.command(name="rollback")
def roll_back_model(
    *,
    by: PromotedBy = "",
    reason: Why = "rollback",
    config: ConfigPath = DEFAULT_CONFIG,
    registry: RegistryPath = None,
) -> int:
    """Let lead again what led before the champion did. A running daemon is asked, at any time.

    What predicts another outcome than the configured one is refused.
    """
    from frontrow.app import models as tools
    from frontrow.app.parts import outcome_of

    by = by or _login()
    try:
        loaded = _of_models(config, registry)
        store, outcome = loaded.storage.path, outcome_of(loaded)
        versions = tools.registry_beside(store, registry)
        done = tools.roll_back(versions, store, by=by, reason=reason, clock=SystemClock(), outcome=outcome)
    except StoreLocked as locked:
        done = _ask(config, registry, locked, "rollback", {"by": by, "reason": reason})
    print(f"promotion {done.number}: {done.version} leads again")
    return DONE


def _ask(
    config: Path, registry: Path | None, locked: StoreLocked, what: str, body: dict[str, str]
) -> "Promotion":
    """Ask the daemon that holds the store; its registry is the one beside it."""
    from frontrow.app.asking import ask
    from frontrow.app.parts import load_config

    if registry is not None:
        raise locked
    return ask(load_config(config, os.environ), locked, what, body, clock=SystemClock())


@models.command(name="verify")
def verify_models(*, config: ConfigPath = DEFAULT_CONFIG, registry: RegistryPath = None) -> int:
    """Read every version and every promotion, and tell what is wrong. Exits with 0 if all is sound, else with 1."""
    from frontrow.app import models as tools

    found = tools.verify(*_registry(config, registry))
    print("\n".join(found.lines))
    return DONE if found.sound else FAILED


@form.command(name="link")
def form_link(
    *,
    form: Annotated[str, Parameter(help="The form's id.")],
    room: Annotated[str | None, Parameter(help="The room's id; default: the form's.")] = None,
    host: Annotated[str | None, Parameter(help="Who speaks.")] = None,
    product: Annotated[str | None, Parameter(help="What it is about.")] = None,
    campaign: Annotated[str | None, Parameter(help="Of which campaign.")] = None,
    viewer: Annotated[
        str | None, Parameter(help="The platform's id of the viewer whom it is sent to; needs link_secret.")
    ] = None,
    session: Annotated[
        str | None, Parameter(help="The broadcast that it belongs to; needs link_secret.")
    ] = None,
    config: ConfigPath = DEFAULT_CONFIG,
) -> int:
    """Print the address of a form, with what its submissions are to be attributed to."""
    from frontrow.app.links import LinkRefused, form_address
    from frontrow.app.parts import load_config

    try:
        address = form_address(
            load_config(config, os.environ),
            form,
            room=room,
            labels={"host": host, "product": product, "campaign": campaign},
            viewer=viewer,
            session=session,
        )
    except LinkRefused as refused:
        print(f"frontrow form link: {refused}", file=sys.stderr)
        return WRONG
    print(address)
    return DONE


@models.command(name="pin")
def pin_model(
    version: str,
    /,
    *,
    off: Annotated[bool, Parameter(negative="", help="Pin it no longer.")] = False,
    config: ConfigPath = DEFAULT_CONFIG,
    registry: RegistryPath = None,
) -> int:
    """Keep a version whatever its age."""
    versions, _ = _registry(config, registry)
    versions.pin(versions.find(version), keep=not off)
    return DONE


@models.command(name="prune")
def prune_models(
    *,
    keep: Annotated[int, Parameter(help="How many of the newest stay.")] = 50,
    config: ConfigPath = DEFAULT_CONFIG,
    registry: RegistryPath = None,
) -> int:
    """Remove old versions: all but the newest, the pinned, and those that ever led."""
    from frontrow.app import models as tools

    if keep < 1:
        print("frontrow models prune: --keep must be at least 1", file=sys.stderr)
        return WRONG
    versions, store = _registry(config, registry)
    for name in versions.prune(tools.ledger_of(versions, store).ever, keep):
        print(f"removed {name}")
    return DONE


@models.command(name="export")
def export_model(
    version: str,
    /,
    *,
    mlflow: Annotated[str, Parameter(help="The tracking URI of an MLflow server or folder.")],
    experiment: Annotated[str, Parameter(help="The experiment that the run is made in.")] = "frontrow",
    config: ConfigPath = DEFAULT_CONFIG,
    registry: RegistryPath = None,
) -> int:
    """Make an MLflow run of a version: figures, parameters and its text. Needs the extra frontrow[mlflow]."""
    from frontrow_models.mlflow_export import export

    versions, _ = _registry(config, registry)
    name = versions.find(version)
    print(export(name, versions.read(name), uri=mlflow, experiment=experiment))
    return DONE


@person.command(name="export")
def export_person(
    *,
    platform: Annotated[str, Parameter(help="The platform, as in events.")],
    viewer: Annotated[str, Parameter(help="The platform's id of the viewer.")],
    one_name: Annotated[
        bool,
        Parameter(
            help="This name alone; default: all names of the same customer in the lead centre.", negative=()
        ),
    ] = False,
    out: Annotated[Path | None, Parameter(help="A new file for it; default: standard output.")] = None,
    config: ConfigPath = DEFAULT_CONFIG,
) -> int:
    """Write all that is held of a person as JSON: events, contacts unsealed, consents, accesses, leads, alerts.

    Works beside a running daemon.
    """
    import orjson

    from frontrow.app.erasing import export
    from frontrow.app.parts import load_config
    from frontrow.app.persons import known
    from frontrow.storage.vault import Vault, master_key, path_beside
    from frontrow_models.private import open_private

    loaded = load_config(config, os.environ)
    path = loaded.storage.path
    keys, vault = path_beside(path), None
    if keys.exists():
        vault = Vault.open_to_read(keys, master_key(loaded.privacy.master_key))
    found = known(loaded, platform, viewer, one_name=one_name)
    try:
        held = export(path, vault, platform, viewer, None if found is None else found.person)
    finally:
        if vault is not None:
            vault.close()
    for warning in () if found is None else found.warnings():
        print(f"frontrow person export: {warning}", file=sys.stderr)
    data = orjson.dumps(held, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    if out is None:
        sys.stdout.buffer.write(data)
        return DONE
    if out.exists():
        print(f"frontrow person export: {out} exists already", file=sys.stderr)
        return WRONG
    with open_private(out) as file:
        file.write(data)
    print(f"{out}: {len(held['events']):,} events, {len(held['leads']):,} leads")
    return DONE


@person.command(name="erase")
def erase_person(
    *,
    platform: Annotated[str, Parameter(help="The platform, as in events.")],
    viewer: Annotated[str, Parameter(help="The platform's id of the viewer.")],
    by: Annotated[str, Parameter(help="Who erases; default: the login name.")] = "",
    reason: Annotated[str, Parameter(help="Why. It stays in the journal: no name belongs there.")] = "",
    one_name: Annotated[
        bool,
        Parameter(
            help="This name alone; default: all names of the same customer in the lead centre.", negative=()
        ),
    ] = False,
    preview: Annotated[
        bool, Parameter(help="Only show which names and leads would be covered.", negative=())
    ] = False,
    config: ConfigPath = DEFAULT_CONFIG,
) -> int:
    """Erase a person: destroy their keys, and take names, words and notes out of journal, outbox, snapshots and leads.

    That is all viewers, numbers and forms which the lead centre takes for the same customer. Links that are not sure
    enough to join two customers cover nobody else; ``--preview`` shows them.

    There is no way back. A running daemon is asked, and goes on with it when this command has ended, over restarts too.
    What stays is told in daemon/docs/privacy.md.
    """
    from frontrow.app.asking import ask_to_erase
    from frontrow.app.erasing import erase_at_rest, new_wish
    from frontrow.app.parts import load_config
    from frontrow.app.persons import known
    from frontrow.storage.vault import master_key

    loaded = load_config(config, os.environ)
    by = by or _login()
    clock = SystemClock()
    found = known(loaded, platform, viewer, one_name=one_name)
    if preview:
        print("\n".join(["no lead centre: this name alone is covered"] if found is None else found.lines()))
        return DONE
    whole = None if found is None else found.person
    try:
        done = erase_at_rest(
            loaded.storage.path,
            master_key(loaded.privacy.master_key),
            lambda at: new_wish(platform, viewer, by=by, reason=reason, at=at, whole=whole),
            clock=clock,
        )
    except StoreLocked as locked:
        body: dict[str, str | bool] = {"platform": platform, "viewer": viewer, "by": by, "reason": reason}
        if one_name:
            body["one_name"] = True
        begun = ask_to_erase(loaded, locked, body, clock=clock)
        print(
            f"erasure {begun.id}: of {begun.names} names {begun.keys} keys are destroyed, and the daemon goes on with it"
        )
    else:
        for warning in () if found is None else found.warnings():
            print(f"frontrow person erase: {warning}", file=sys.stderr)
        print("\n".join(f"erasure {wish.id}: done, {wish.named} names" for wish in done))
    return DONE


@centre.command(name="touches")
def preview_touches(
    *,
    at: Annotated[
        datetime | None,
        Parameter(help="When, as 2026-11-11T20:00:00+08:00; without a zone: UTC. Default: now."),
    ] = None,
    config: ConfigPath = DEFAULT_CONFIG,
) -> int:
    """Show which customers would get which message, and why the others would not. Sends nothing.

    Works beside a running daemon. Only who has agreed to anything is looked at: nobody else gets a thing.
    """
    from frontrow.app.caring import lines_of, touches
    from frontrow.app.parts import load_config

    loaded = load_config(config, os.environ)
    when = SystemClock().now()
    if at is not None:
        when = round((at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() * 1000)
    print("\n".join(lines_of(*touches(loaded, when), when)))
    return DONE


@number.command(name="add")
def add_numbers(
    numbers: list[str],
    /,
    *,
    list_: Annotated[Literal["blacklist", "staff", "test"], Parameter(name="--list", help="Which list.")],
    config: ConfigPath = DEFAULT_CONFIG,
) -> int:
    """Put numbers on a list; leads with them become invalid. Only a keyed hash of each is kept. The daemon must run."""
    return _list_numbers("add", numbers, list_, config)


@number.command(name="remove")
def remove_numbers(
    numbers: list[str],
    /,
    *,
    list_: Annotated[Literal["blacklist", "staff", "test"], Parameter(name="--list", help="Which list.")],
    config: ConfigPath = DEFAULT_CONFIG,
) -> int:
    """Take numbers off a list. The daemon must run."""
    return _list_numbers("remove", numbers, list_, config)


def _list_numbers(what: str, numbers: list[str], name: str, config: Path) -> int:
    from frontrow.app.caring import NotListed, list_numbers
    from frontrow.app.parts import load_config

    loaded = load_config(config, os.environ)
    try:
        done = list_numbers(loaded, name, numbers, remove=what == "remove", clock=SystemClock())
    except NotListed as refused:
        print(f"frontrow centre number {what}: {refused}", file=sys.stderr)
        return FAILED
    print(
        f"{done} number{'s' if done != 1 else ''} {'taken off' if what == 'remove' else 'put on'} the {name}"
    )
    return DONE


def _registry(config: Path, folder: Path | None) -> "tuple[Registry, Path]":
    """Return the registry and the path of the store whose journal says which version leads."""
    from frontrow.app.models import registry_beside

    store = _of_models(config, folder).storage.path
    return registry_beside(store, folder), store


def _of_models(config: Path, folder: Path | None) -> "Config":
    """Return the configuration of what is done with versions.

    Without a configuration here what is built in holds, where versions are: so it was for whoever retrained here.
    """
    from frontrow.app.models import folder_beside
    from frontrow.app.parts import built_in, load_config

    if config == DEFAULT_CONFIG and not config.exists():
        loaded = built_in()
        if (folder or folder_beside(loaded.storage.path)).is_dir():
            return loaded
    return load_config(config, os.environ)


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""  # a container may have no name for its user


def _new_token(
    config: "Config",
    role: Role,
    room: str | None,
    label: str,
    now: int,
    expires_at: int | None,
    seller: str | None = None,
) -> str:
    from frontrow.storage.store import Store

    made = make_token(
        secrets.token_bytes(32),
        role=role,
        room=room,
        label=label,
        now=now,
        expires_at=expires_at,
        seller=seller,
    )
    store = Store.open(config.storage.path)
    try:
        store.tokens_forget(START_LABEL, now)
        store.token_add(made.row)
    finally:
        store.close()
    return made.token


def _print_addresses(config: "Config", address: "Address", now: int) -> None:
    """Print where the pages are. Rooms that play the simulator need no secrecy: their address opens at once."""
    base = config.server.base_url.rstrip("/") or address.url
    demo = {feed.room for feed in config.feeds if feed.enabled and feed.connector == "simulator"}
    print(f"Frontrow {__version__} listens on {address.url}")
    for room in config.rooms:
        if room.id in demo:
            made = _new_token(config, Role.HOST, room.id, START_LABEL, now, now + DAY_MS)
            print(f"Panel of {room.id} (a simulated stream): {base}/host/{room.id}?token={made}")
        else:
            print(
                f"Panel of {room.id}: {base}/host/{room.id}?token=…  (frontrow token create --role host --room {room.id})"
            )
    if config.centre.enabled:
        # Real customers' leads need secrecy: a token is printed only where every room is a simulated one.
        sellers = config.centre.sellers if all(room.id in demo for room in config.rooms) else ()
        if sellers:
            seller = sellers[0]
            made = _new_token(config, Role.SALES, None, START_LABEL, now, now + DAY_MS, seller.id)
            print(f"Sales page of {seller.name or seller.id} (simulated leads): {base}/sales?token={made}")
        else:
            print(f"Sales page: {base}/sales?token=…  (frontrow token create --role sales --seller ID)")
    sys.stdout.flush()
