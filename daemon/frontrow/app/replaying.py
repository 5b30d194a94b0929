"""``frontrow replay``: the whole engine over files or a journal, as fast as it can; same input, same bytes out."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import msgspec
import orjson

from frontrow.app.parts import Lexicons, make_engine, make_lexicons
from frontrow.config import Config
from frontrow.core.alerts import Reason
from frontrow.core.engine import Effects, Engine, ViewerScore
from frontrow.core.errors import FrontrowError
from frontrow.core.events import Event
from frontrow.core.ports import Clock
from frontrow.runtime.pipeline import prepare
from frontrow.storage.frames import Frame
from frontrow.storage.lock import StoreLock
from frontrow.storage.store import Commit, Store
from frontrow_connectors.file import FileReject, iter_batches, merge_by_time

FRAMES_PER_COMMIT = 8
SQLITE_MAGIC = b"SQLite format 3\x00"


class ReplayRefused(FrontrowError):
    """The inputs cannot be replayed together; the message says why."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay did. ``events`` are those applied: neither duplicates nor rejected. ``digest`` is over the files."""

    events: int
    duplicates: int
    rejected: int
    viewers: int
    leads: int
    frames: int
    elapsed_s: float
    events_per_s: float
    digest: str


@dataclass
class _Run:
    """What a replay gathers while it goes."""

    engine: Engine
    leads: list[tuple[tuple[str, str, str, str], bytes]] = field(default_factory=list)
    viewers: dict[tuple[str, str, str, str], bytes] = field(default_factory=dict)
    events: int = 0
    duplicates: int = 0
    rejected: int = 0
    frames: int = 0

    def take(self, read: int, effects: Effects) -> None:
        self.frames += 1
        self.events += len(effects.fresh)
        self.duplicates += read - len(effects.fresh)
        for lead in effects.leads:
            key = (lead.platform, lead.room, lead.session, lead.viewer)
            self.leads.append((key, orjson.dumps(msgspec.to_builtins(lead))))
        self.see(effects.closed)

    def see(self, scores: Sequence[ViewerScore]) -> None:
        model = self.engine.model
        ready = model is not None and model.ready
        for score in scores:
            key = (score.platform, score.room, score.session, score.viewer)
            self.viewers[key] = orjson.dumps(
                {
                    "platform": score.platform,
                    "room": score.room,
                    "session": score.session,
                    "viewer": score.viewer,
                    "points": score.points,
                    "grade": score.grade,
                    "probability": score.probability if ready else None,
                    "reasons": [_plain(reason) for reason in score.reasons],
                }
            )


def replay(
    files: Sequence[str],
    *,
    out: Path,
    config: Config,
    clock: Clock,
    with_model: bool = True,
    journal: Path | None = None,
    frame_size: int = 1024,
    on_reject: Callable[[FileReject], None],
    on_progress: Callable[[int], None] = lambda _events: None,
) -> Summary:
    """Run files through the engine and write ``leads.ndjson``, ``viewers.ndjson``, ``model.json``, ``summary.json``.

    ``files`` are canonical events (several are merged by event time), or one journal. A viewer's line tells its
    score at the end of its session. With ``journal`` every frame is also stored, durably, in a new store there.

    Raises:
        ReplayRefused: A journal together with other files, or ``journal`` exists already.
        OSError: A file cannot be read, or ``out`` not written.
        StoreDamaged: A journal cannot be read back.
    """
    run = _Run(make_engine(config, with_model=with_model, report_closed=True))

    def reject(rejected: FileReject) -> None:
        run.rejected += 1
        on_reject(rejected)

    with ExitStack() as stack:
        frames = _frames(files, config, frame_size, reject, stack)
        began = clock.monotonic()  # the lexicon is compiled by now: a second at any start, whatever the input
        sink = None if journal is None else stack.enter_context(_Recorder(journal, clock))
        for frame in frames:
            effects = run.engine.apply(frame.events, frame.facts)
            run.take(len(frame.events), effects)
            if sink is not None:
                sink.add(frame, effects)
            on_progress(run.events)
    _rest(run)
    elapsed_s = clock.monotonic() - began
    return _write(run, out, elapsed_s)


def _frames(
    files: Sequence[str], config: Config, size: int, reject: Callable[[FileReject], None], stack: ExitStack
) -> Iterator[Frame]:
    journals = [name for name in files if name != "-" and _is_store(Path(name))]
    if journals:
        if len(files) > 1:
            raise ReplayRefused(
                "a journal is replayed alone: it is in its own order, and other files would change it"
            )
        store = Store.open(Path(journals[0]), create=False)
        stack.callback(store.close)
        return _of_journal(store, size)
    lexicons = make_lexicons(config)
    batches = iter_batches(files[0], reject, size) if len(files) == 1 else merge_by_time(files, reject, size)
    return _of_files(batches, lexicons, config.intents.phone_region, size)


def _of_files(batches: Iterator[list[Event]], lexicons: Lexicons, region: str, size: int) -> Iterator[Frame]:
    for batch in batches:
        for start in range(0, len(batch), size):
            events = batch[start : start + size]
            facts = [prepare(event, lexicons.of(event.platform, event.room), region) for event in events]
            yield Frame(events, facts)


def _of_journal(store: Store, size: int) -> Iterator[Frame]:
    """Yield a journal's events in frames of ``size``: other cuts give the same results, and say so in their digest."""
    events: list[Event] = []
    facts: list[int] = []
    for _, frame in store.frames():
        events += frame.events
        facts += frame.facts
        while len(events) >= size:
            yield Frame(events[:size], facts[:size])
            del events[:size], facts[:size]
    if events:
        yield Frame(events, facts)


class _Recorder:
    """Stores a replay's frames in a new journal, some frames a commit, each commit durable."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._commits: list[Commit] = []

    def __enter__(self) -> Self:
        if self._path.exists():
            raise ReplayRefused(f"{self._path} exists already; a replay writes a new journal")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = StoreLock(self._path)
        self._lock.acquire("a replay")
        self._store = Store.open(self._path)
        return self

    def add(self, frame: Frame, effects: Effects) -> None:
        if not effects.fresh:
            return
        kept = Frame(
            [frame.events[position] for position in effects.fresh],
            [frame.facts[position] for position in effects.fresh],
        )
        self._commits.append(Commit(kept, effects.leads, (), self._clock.now()))
        if len(self._commits) >= FRAMES_PER_COMMIT:
            self._flush()

    def __exit__(self, *_error: object) -> None:
        self._flush()
        self._store.close()
        self._lock.release()

    def _flush(self) -> None:
        if self._commits:
            self._store.append(self._commits)
            self._commits.clear()


def _is_store(path: Path) -> bool:
    if not path.is_file():
        return (
            False  # a pipe would lose what is read here; that there is no such file is said when it is opened
        )
    with path.open("rb") as file:
        return file.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC


def _rest(run: _Run) -> None:
    """Score the viewers of sessions that have not ended by the end of the input."""
    for room in run.engine.rooms:
        for session in room.sessions:
            if session.open:
                run.see(run.engine.scores(list(session.rows.values()), session.last_at))


def _write(run: _Run, out: Path, elapsed_s: float) -> Summary:
    out.mkdir(parents=True, exist_ok=True)
    model = run.engine.model
    contents = {
        "leads.ndjson": b"".join(line + b"\n" for _, line in sorted(run.leads)),
        "model.json": orjson.dumps(
            {"enabled": False} if model is None else {"enabled": True, **model.state()},
            option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE,
        ),
        "viewers.ndjson": b"".join(run.viewers[key] + b"\n" for key in sorted(run.viewers)),
    }
    digest = hashlib.sha256()
    for name, content in sorted(contents.items()):
        (out / name).write_bytes(content)
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    summary = Summary(
        events=run.events,
        duplicates=run.duplicates,
        rejected=run.rejected,
        viewers=len(run.viewers),
        leads=len(run.leads),
        frames=run.frames,
        elapsed_s=round(elapsed_s, 3),
        events_per_s=round(run.events / elapsed_s, 1) if elapsed_s > 0 else 0.0,
        digest=digest.hexdigest(),
    )
    (out / "summary.json").write_bytes(
        orjson.dumps(msgspec.to_builtins(summary), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    )
    return summary


def _plain(reason: Reason) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(reason)
    return found
