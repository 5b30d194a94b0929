"""``frontrow replay``: the whole engine over files or a journal, as fast as it can; same input, same bytes out."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Self

import msgspec
import orjson

from frontrow.app.following import Following
from frontrow.app.inputs import is_journal
from frontrow.app.models import registry_beside
from frontrow.app.parts import make_engine, make_lexicons
from frontrow.config import Config
from frontrow.core import kernel
from frontrow.core.engine import Effects, Engine, ScoreColumns, ViewerScore
from frontrow.core.errors import FrontrowError
from frontrow.core.frames import Frame
from frontrow.core.ports import Clock
from frontrow.core.preparing import Preparer
from frontrow.runtime import collector
from frontrow.storage.lock import StoreLock
from frontrow.storage.store import Commit, Store
from frontrow_connectors.file import FileReject, iter_frames
from frontrow_models.private import open_private

FRAME_EVENTS = 4_096  # larger than live: nobody waits for a frame here
EVENTS_PER_COMMIT = 8_192
SCORED_AT_ONCE = (
    1_024  # viewers; of more at once the first are out of the processor's caches when the last are made
)
WRITTEN_AT_ONCE = 256  # lines; of 100,000 viewers all together are 90 MB


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
    viewers: dict[tuple[str, str, str], dict[str, bytes]] = field(default_factory=dict)  # by session, then id
    events: int = 0
    duplicates: int = 0
    rejected: int = 0
    frames: int = 0

    def take(self, effects: Effects) -> None:
        self.frames += 1
        self.events += len(effects.kept)
        self.duplicates += len(effects.duplicates)
        for lead in effects.leads:
            key = (lead.platform, lead.room, lead.session, lead.viewer)
            self.leads.append((key, _encode(lead)))
        self.see(effects.closed)

    def see(self, scores: Sequence[ViewerScore]) -> None:
        """Take the lines of viewers."""
        for score in scores:
            lines, head = self._of_session((score.platform, score.room, score.session))
            told = score.probability if score.ready else None
            reasons = _encode(score.reasons)[1:-1]
            lines[score.viewer] = _line(head, score.viewer, score.points, score.grade, told, reasons)

    def see_all(self, session: tuple[str, str, str], scores: ScoreColumns) -> None:
        """Take the lines of viewers of one session."""
        lines, head = self._of_session(session)
        lines.update(zip(scores.viewers, _lines(head, scores), strict=True))

    def _of_session(self, name: tuple[str, str, str]) -> tuple[dict[str, bytes], bytes]:
        """Return the lines of a session by viewer, and what each begins with."""
        head = _encode(dict(zip(("platform", "room", "session"), name, strict=True)))[:-1]
        return self.viewers.setdefault(name, {}), head


def _line(
    head: bytes, viewer: str, points: int, grade: str, probability: float | None, reasons: bytes
) -> bytes:
    # Written out: a structure for each viewer, encoded, takes longer.
    told = b"null" if probability is None else _encode(probability)
    return b'%b,"viewer":%b,"points":%d,"grade":"%b","probability":%b,"reasons":[%b]}\n' % (
        head,
        _encode(viewer),
        points,
        grade.encode(),
        told,
        reasons,
    )


def _lines(head: bytes, scores: ScoreColumns) -> list[bytes]:
    if kernel.compiled is not None:
        viewers, points, grades, probabilities, reasons = scores
        told = _encode(probabilities)
        lines = kernel.compiled.write_lines(head, viewers, points, grades, told, reasons)
        if lines is not None:
            return list(lines)
    return list(map(_line, repeat(head), *scores))


_encode = msgspec.json.Encoder().encode


def replay(
    files: Sequence[str],
    *,
    out: Path,
    config: Config,
    clock: Clock,
    with_model: bool = True,
    journal: Path | None = None,
    registry: Path | None = None,
    frame_size: int = FRAME_EVENTS,
    on_reject: Callable[[FileReject], None],
    on_progress: Callable[[int], None] = lambda _events: None,
) -> Summary:
    """Run files through the engine and write ``leads.ndjson``, ``viewers.ndjson``, ``model.json``, ``summary.json``.

    ``files`` are canonical events (several are merged by event time), or one journal. A viewer's line tells its score
    at the end of its session. With ``journal`` every frame is also stored, durably, in a new store there, and what
    was promoted in the registry beside it. ``registry`` is the folder of the versions that promotions name; None:
    that beside the journal which is replayed, or beside the configured store.

    Raises:
        CannotFollow: A version that was promoted is not there or cannot be used; of a journal, before anything is done.
        ReplayRefused: A journal together with other files, or ``journal`` exists already.
        OSError: A file cannot be read, or ``out`` not written.
        StoreDamaged: A journal cannot be read back.
    """
    following = Following(registry_beside(_journal_of(files) or config.storage.path, registry))
    run = _Run(make_engine(config, with_model=with_model, report_closed=True, versions=following))

    def reject(rejected: FileReject) -> None:
        run.rejected += 1
        on_reject(rejected)

    with ExitStack() as stack:
        collector.settle()
        stack.callback(collector.release)
        frames = _frames(files, config, frame_size, reject, stack, following if with_model else None)
        began = clock.monotonic()  # the lexicon is compiled by now: a second at any start, whatever the input
        frames_per_commit = max(1, EVENTS_PER_COMMIT // frame_size)
        sink = None if journal is None else stack.enter_context(_Recorder(journal, clock, frames_per_commit))
        for frame in frames:
            effects = run.engine.apply(frame)
            run.take(effects)
            if sink is not None:
                sink.add(effects)
            on_progress(run.events)
        if sink is not None:
            sink.finish()
        if journal is not None:
            for version in following.held:
                registry_beside(journal).add(version)
    _rest(run)
    elapsed_s = clock.monotonic() - began
    return _write(run, out, elapsed_s)


def _journal_of(files: Sequence[str]) -> Path | None:
    # Files alone are looked into: that there is no such one is said when it is opened.
    named = [Path(name) for name in files if name != "-" and Path(name).is_file()]
    journals = [path for path in named if is_journal(path)]
    if journals and len(files) > 1:
        raise ReplayRefused(
            "a journal is replayed alone: it is in its own order, and other files would change it"
        )
    return journals[0] if journals else None


def _frames(
    files: Sequence[str],
    config: Config,
    size: int,
    reject: Callable[[FileReject], None],
    stack: ExitStack,
    following: Following | None,
) -> Iterator[Frame]:
    journal = _journal_of(files)
    if journal is not None:
        store = Store.open(journal, create=False)
        stack.callback(store.close)
        if following is not None:
            following.look_ahead(store)
        return Frame.cut((frame for _, frame in store.frames()), size)
    lexicons = make_lexicons(config)
    preparer = Preparer(lexicons.of_room, lexicons.default, config.intents.phone_region)
    return map(preparer.prepare, iter_frames(files, reject, size))


class _Recorder:
    """Stores a replay's frames in a new journal, some frames a commit, each commit durable.

    A thread packs and commits while the next frames are computed: compression, SQLite and the disk do not hold up
    Python. One commit is under way at a time, so memory stays bounded.
    """

    def __init__(self, path: Path, clock: Clock, frames_per_commit: int) -> None:
        self._path = path
        self._clock = clock
        self._frames_per_commit = frames_per_commit
        self._commits: list[Commit] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._under_way: Future[int] | None = None

    def __enter__(self) -> Self:
        if self._path.exists():
            raise ReplayRefused(f"{self._path} exists already; a replay writes a new journal")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = StoreLock(self._path)
        self._lock.acquire("a replay")
        self._store = Store.open(self._path)
        return self

    def add(self, effects: Effects) -> None:
        if not len(effects.kept):
            return
        self._commits.append(
            Commit(
                effects.kept, effects.leads, (), self._clock.now(), effects.lead_positions, effects.grouped
            )
        )
        if len(self._commits) >= self._frames_per_commit:
            self._flush()

    def finish(self) -> None:
        """Return when all that was added is durable."""
        self._flush()
        self._settle()

    def __exit__(self, *_error: object) -> None:
        self._thread.shutdown(wait=True)
        self._store.close()
        self._lock.release()

    def _flush(self) -> None:
        self._settle()
        if self._commits:
            self._under_way = self._thread.submit(self._store.append, self._commits)
            self._commits = []

    def _settle(self) -> None:
        if self._under_way is not None:
            self._under_way.result()
            self._under_way = None


def _rest(run: _Run) -> None:
    """Score the viewers of sessions that have not ended by the end of the input."""
    for room in run.engine.rooms:
        for session in room.sessions:
            if session.open:
                rows = session.rows.tolist()
                for start in range(0, len(rows), SCORED_AT_ONCE):
                    part = rows[start : start + SCORED_AT_ONCE]
                    run.see_all(
                        (room.platform, room.room, session.id),
                        run.engine.scores_as_json(part, session.last_at),
                    )


def _write(run: _Run, out: Path, elapsed_s: float) -> Summary:
    out.mkdir(parents=True, exist_ok=True)
    model = run.engine.model
    told = orjson.dumps(
        {"enabled": False} if model is None else {"enabled": True, **model.state()},
        option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE,
    )
    contents = {
        "leads.ndjson": [line + b"\n" for _, line in sorted(run.leads)],
        "model.json": [told],
        "viewers.ndjson": [
            line for _, lines in sorted(run.viewers.items()) for line in map(lines.__getitem__, sorted(lines))
        ],
    }
    digest = hashlib.sha256()
    for name, lines in sorted(contents.items()):
        digest.update(f"{name} {sum(map(len, lines))}\n".encode())
        with open_private(out / name) as file:  # viewers' ids
            for start in range(0, len(lines), WRITTEN_AT_ONCE):
                part = b"".join(lines[start : start + WRITTEN_AT_ONCE])
                file.write(part)
                digest.update(part)
    summary = Summary(
        events=run.events,
        duplicates=run.duplicates,
        rejected=run.rejected,
        viewers=sum(map(len, run.viewers.values())),
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
