"""Where the time of one event goes: each stage on the way from bytes to the durable journal, in µs per event.

Run: ``make bench``, or alone ``pytest -s -o addopts=--import-mode=importlib tests/benchmarks/bench_engine.py``

The stages are called one after another in this process, frame by frame (1,024 events, as files are cut; eight frames
a commit), and each is timed over the whole stream:

- *decode*: NDJSON, unpacked if need be, to checked events.
- *prepare*: what a comment's words say (lexicon, phone numbers), and masking numbers in what is kept.
- *frame*: events to columns.
- *engine, points*: duplicates, sessions, watching, points, grades, features, leads: ``Engine.apply`` without a model.
- *engine, model*: what ``Engine.apply`` costs more with the River model: snapshots, probabilities, labels, learning.
- *people*: the last name and the last words of each viewer, for panels and alerts.
- *pack*: a frame as compressed blobs.
- *commit*: SQLite's transaction with its fsync, without packing.

Wall and processor time are medians over three passes, each with a new engine and a new store; the last scores at the
end of a replay are not among the stages. What bounds each: one core, but for the commit, which waits for the disk.
Of *decode* that is bytes (some 200 an event), of *prepare* the words, of the engine hashing (an event's id, its
viewer) and the work per event that is left in Python, of *pack* bytes again.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from frontrow.app.parts import Lexicons, make_engine, make_lexicons
from frontrow.config import defaults
from frontrow.core.events import Event
from frontrow.core.frames import Frame
from frontrow.core.preparing import Preparer
from frontrow.runtime.people import People
from frontrow.storage.frames import pack
from frontrow.storage.store import Commit, Store
from frontrow_connectors.file import FileReject, iter_batches, merge_by_time
from frontrow_models.simulate import write_ndjson
from frontrow_models.simulate.busy import busy_room
from tests.benchmarks.harness import ROUNDS, median, table

pytestmark = pytest.mark.timeout(600)

FRAME_EVENTS = 1024
FRAMES_PER_COMMIT = 8
EVENTS, VIEWERS = 200_000, 100_000
STAGES = ("decode", "prepare", "frame", "engine, points", "engine, model", "people", "pack", "commit")

Times = dict[str, tuple[float, float]]  # stage → (wall, processor) seconds


class Watch:
    """Adds up wall and processor time by stage. The processor's is of the whole process; nothing else runs in it."""

    def __init__(self) -> None:
        self.wall_s: defaultdict[str, float] = defaultdict(float)
        self.cpu_s: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def on(self, stage: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.cpu_s[stage] += time.process_time() - cpu
        self.wall_s[stage] += time.perf_counter() - wall

    def less(self, whole: str, part: str) -> tuple[float, float]:
        """Return what is left of a stage without what another one measured of it."""
        return self.wall_s[whole] - self.wall_s[part], self.cpu_s[whole] - self.cpu_s[part]


def refuse(rejected: FileReject) -> None:
    pytest.fail(f"the input should have no broken line: {rejected}")


def decoded(files: Sequence[Path], watch: Watch) -> list[list[Event]]:
    """Return a stream's frames of events."""
    names = [str(file) for file in files]
    with watch.on("decode"):
        batches = (
            iter_batches(names[0], refuse, FRAME_EVENTS)
            if len(names) == 1
            else merge_by_time(names, refuse, FRAME_EVENTS)
        )
        return list(batches)


def one_pass(files: Sequence[Path], lexicons: Lexicons, store: Store) -> tuple[int, Times]:
    """Take a stream through all stages once; return its events and the times."""
    watch = Watch()
    config = defaults()
    preparer = Preparer(lexicons.of_room, lexicons.default, config.intents.phone_region)
    frames: list[Frame] = []
    for events in decoded(files, watch):
        with watch.on("frame"):
            frame = Frame.of(events)
        with watch.on("prepare"):
            frames.append(preparer.prepare(frame))
    del events
    for stage, with_model in (("points", False), ("all", True)):
        engine = make_engine(config, with_model=with_model)
        with watch.on(stage):
            applied = [engine.apply(frame) for frame in frames]
        del engine
    people = People()
    with watch.on("people"):
        for effects in applied:
            people.note(effects.kept, effects.rows)
    with watch.on("pack"):
        for effects in applied:
            pack(effects.kept)
    with watch.on("append"):
        for start in range(0, len(frames), FRAMES_PER_COMMIT):
            some = applied[start : start + FRAMES_PER_COMMIT]
            store.append([Commit(effects.kept, effects.leads, (), 0) for effects in some])
    times = {
        **{stage: (watch.wall_s[stage], watch.cpu_s[stage]) for stage in STAGES},
        "engine, points": (watch.wall_s["points"], watch.cpu_s["points"]),
        "engine, model": watch.less("all", "points"),
        "commit": watch.less("append", "pack"),
    }
    return sum(len(frame) for frame in frames), times


def measure(files: Sequence[Path], folder: Path) -> tuple[int, list[Times]]:
    """Return the stream's events and the times of each round."""
    lexicons = make_lexicons(defaults())
    found: list[Times] = []
    events = 0
    for number in range(ROUNDS):
        store = Store.open(folder / f"{number}.db")
        try:
            events, times = one_pass(files, lexicons, store)
        finally:
            store.close()
        found.append(times)
    return events, found


def report(what: str, events: int, found: list[Times]) -> None:
    def line(name: str, stages: Sequence[str]) -> tuple[object, ...]:
        wall = median(sum(times[stage][0] for stage in stages) for times in found) / events * 1e6
        cpu = median(sum(times[stage][1] for stage in stages) for times in found) / events * 1e6
        return name, f"{wall:.2f}", f"{cpu:.2f}"

    rows = [line(stage, (stage,)) for stage in STAGES]
    rows.append(line("all", STAGES))
    table(f"Cost of one event, {what}, {events:,} events", ("stage", "µs wall", "µs CPU"), rows)


def test_busy_room(tmp_path: Path) -> None:
    path = tmp_path / "busy.ndjson"
    with path.open("wb") as file:
        write_ndjson(busy_room(events=EVENTS, viewers=VIEWERS), file)
    events, found = measure([path], tmp_path)
    assert events == EVENTS
    report("a simulated busy room", events, found)


def test_twitch_recordings(recordings: Path, tmp_path: Path) -> None:
    files = sorted((recordings / "streams" / "twitch").glob("*.ndjson*"))
    if not files:
        pytest.skip(f"no recorded Twitch streams in {recordings}")
    events, found = measure(files, tmp_path)
    report(f"{len(files)} recorded Twitch streams", events, found)
