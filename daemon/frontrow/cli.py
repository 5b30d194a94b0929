"""The command line: arguments in, exit code out. What the commands do is done below.

Exit codes: 0 done; 1 it failed while it ran; 2 wrong arguments or a wrong configuration; 3 another daemon holds the
store.

Each command imports what it needs when it runs: the daemon, the engine and the model take seconds to import, for which
neither ``--help`` nor a new token should wait.
"""

import os
import random
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import App, Parameter

from frontrow import __version__
from frontrow.clock import SystemClock
from frontrow.core.errors import ConfigError, FrontrowError, StoreLocked
from frontrow.runtime.access import Role, make_token

if TYPE_CHECKING:
    from frontrow.app.daemon import Address
    from frontrow.config import Config
    from frontrow_connectors.file import FileReject

DONE, FAILED, WRONG, LOCKED = 0, 1, 2, 3
DEFAULT_CONFIG = Path("config.toml")
DAY_MS = 86_400_000
START_LABEL = "printed at start"
SHOWN_REJECTS = 20
STANDARD_INPUT = "standard input"

app = App(
    name="frontrow",
    version=__version__,
    help="Finds the viewers of a live stream who are about to buy, while the stream is still running.",
    result_action="return_value",
)
token = App(name="token", help="Tokens: who may send, see and do what.")
app.command(token)

ConfigPath = Annotated[Path, Parameter(name="--config", help="The configuration file.")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["replay"]:
        words = [
            STANDARD_INPUT if word == "-" else word for word in words
        ]  # the parser takes - for an option
    try:
        code = app(words, exit_on_error=False, print_error=True)
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
    except (FrontrowError, OSError) as error:
        print(f"frontrow: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return FAILED
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

    Parameters
    ----------
    show
        Print what is in force, defaults and environment included, secrets hidden.
    """
    import orjson

    from frontrow.app.parts import load_config, make_lexicons
    from frontrow.config import dump

    loaded = load_config(config, os.environ)
    make_lexicons(loaded)
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
    config: Annotated[
        Path | None, Parameter(name="--config", help="Policy, rooms and model; default: built in.")
    ] = None,
    no_model: Annotated[bool, Parameter(negative="", help="Points only.")] = False,
    journal: Annotated[Path | None, Parameter(help="Also write a durable journal there.")] = None,
    frame_size: Annotated[int, Parameter(help="Events a frame; does not change results.")] = 4096,
) -> int:
    """Run the whole engine over canonical events (.ndjson, .gz, .zst, - for standard input) or over one journal.

    Several files are merged by event time. Writes leads.ndjson, viewers.ndjson, model.json and summary.json into the
    folder OUT. The same input gives the same bytes, but for elapsed_s and events_per_s.
    """
    if not files:
        print("frontrow replay: name at least one file, or - for standard input", file=sys.stderr)
        return WRONG
    if not 1 <= frame_size <= 65_536:
        print("frontrow replay: --frame-size must be from 1 to 65536", file=sys.stderr)
        return WRONG
    import msgspec
    import orjson

    from frontrow.app.parts import load_config
    from frontrow.app.replaying import replay as run_replay
    from frontrow.config import defaults
    from frontrow.telemetry import logs

    loaded = defaults() if config is None else load_config(config, os.environ)
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
        frame_size=frame_size,
        on_reject=on_reject,
    )
    print(orjson.dumps(msgspec.to_builtins(summary), option=orjson.OPT_INDENT_2).decode())
    return DONE


@app.command
def doctor(
    *,
    config: ConfigPath = DEFAULT_CONFIG,
    salvage: Annotated[
        Path | None, Parameter(help="Write all that can still be read into a new store there.")
    ] = None,
) -> int:
    """Read all that is stored and tell what is sound, what is lost and how to restore. Works beside a running daemon.

    Exits with 0 if all is sound, else with 1.
    """
    from frontrow.app.parts import load_config
    from frontrow.storage import doctor as examiner

    store = load_config(config, os.environ).storage.path
    found = examiner.examine(store)
    print("\n".join(found.lines()))
    if salvage is not None:
        frames, events = examiner.salvage(store, salvage)
        print(f"{salvage}: {frames:,} frames of {events:,} events were written")
    return DONE if found.sound else FAILED


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
) -> int:
    """Make a stream with known ground truth, in canonical events. The same arguments give the same bytes."""
    from frontrow_models.simulate import Scenario, room_names, write_ndjson, write_truth
    from frontrow_models.simulate import simulate as run_simulation

    try:
        scenario = Scenario(
            seed=seed, viewers=viewers, duration_s=minutes * 60, events_per_s=rate, rooms=room_names(rooms)
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
    return DONE


@token.command
def create(
    *,
    role: Role,
    room: Annotated[str | None, Parameter(help="A configured room's id; without it: every room.")] = None,
    days: Annotated[float | None, Parameter(help="Days until it expires; without it: never.")] = None,
    label: Annotated[str, Parameter(help="For whom or what, to know it again in the list.")] = "",
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
    print(_new_token(loaded, role, room, label, now, expires_at))
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


def _new_token(
    config: "Config", role: Role, room: str | None, label: str, now: int, expires_at: int | None
) -> str:
    from frontrow.storage.store import Store

    made = make_token(
        secrets.token_bytes(32), role=role, room=room, label=label, now=now, expires_at=expires_at
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
    sys.stdout.flush()
