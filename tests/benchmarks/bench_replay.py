"""How fast ``frontrow replay`` is, as a person runs it: the real program, in a process of its own, on one core.

Run: ``make bench``, or alone ``pytest -s -o addopts=--import-mode=importlib tests/benchmarks/bench_replay.py``

What is measured:

- *events/s* is ``events_per_s`` of ``summary.json``: events applied per second of wall time between the compiled
  lexicon and the last score. It has reading, decoding, duplicates, facts, the engine with points and model, the last
  scores of all viewers and, with ``--journal``, the journal with its fsyncs; not the start of the program nor writing
  the results.
- *µs CPU* is the processor time (user and system) of an event: that of the whole process less that of the same
  program on an empty file. It has writing the results. On a machine with other work it is the steadier of the two.
- *times the baseline* compares with ``tests/benchmarks/baseline.py``, the same job written the obvious way, with the
  same input and the same configuration, also on one core: the two run in turn, and the median of the rounds' ratios is
  told, by wall time and by processor time.

The busy room has 1,000,000 events of 100,000 viewers within 100 s: no label matures, and none is learnt by either.
Both take all of it: in its first 100,000 events only 15,000 viewers are in the baseline's dictionaries, which would
flatter it by a tenth. There are three rounds, fewer where three minutes do not suffice. *With learning* is a room of
100,000 events in 111 minutes, so that half of what is served matures; both take all of it.
*Few texts* and *all texts different* bound what comments cost: see ``busy_room`` on what recorded rooms are like.

What bounds it: one core; the engine is one thread by design, since its results depend on order. The stages are told
apart by ``bench_engine.py``. The recordings are of slow rooms, where a second of work covers hours of broadcast:
there most events are looked at by the model, and learning, one label after another, weighs more than in a busy room.
"""

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from frontrow_models.simulate import write_ndjson
from frontrow_models.simulate.busy import DISTINCT_TEXTS, busy_room
from tests.benchmarks.harness import Cost, in_turn, median, one_core, python, rounds, table

pytestmark = pytest.mark.timeout(900)

EVENTS, VIEWERS = 1_000_000, 100_000
FEWER_EVENTS = 300_000  # where only the texts differ
SLOW_EVENTS_PER_S = 15.0
TARGET, TARGET_RATIO = 100_000, 8
HEAD = ("replay of", "events", "viewers", "leads", "events/s", "µs wall", "µs CPU")


@dataclass(frozen=True, slots=True)
class Run:
    """One replay. ``cpu_us`` is per event, without the program's start."""

    summary: dict[str, Any]
    cpu_us: float

    @property
    def wall_us(self) -> float:
        return 1e6 / float(self.summary["events_per_s"])


class Program:
    """A command that replays a file into a new journal, on one core."""

    def __init__(self, *command: str, folder: Path) -> None:
        self._command = command
        self._folder = folder
        folder.mkdir()
        empty = folder / "empty.ndjson"
        empty.touch()
        self._run("--help")  # compiles its modules
        self._start_s = self._replay(empty, "--journal").cpu_s

    def __call__(self, *arguments: str | Path, journal: bool = True) -> Run:
        cost = self._replay(*arguments, *(["--journal"] if journal else []))
        summary: dict[str, Any] = json.loads((self._folder / "out" / "summary.json").read_bytes())
        return Run(summary, (cost.cpu_s - self._start_s) / summary["events"] * 1e6)

    def _replay(self, *arguments: str | Path) -> Cost:
        given = list(arguments)
        if given[-1] == "--journal":
            given.append(self._folder / "journal.db")
        try:
            return self._run(*given, "--out", self._folder / "out")
        finally:
            for file in self._folder.glob("journal.db*"):
                file.unlink()

    def _run(self, *arguments: str | Path) -> Cost:
        with one_core():
            return python(*self._command, *arguments, cwd=self._folder)


@pytest.fixture
def frontrow(tmp_path: Path) -> Program:
    return Program("-m", "frontrow", "replay", folder=tmp_path / "frontrow")


@pytest.fixture
def baseline(tmp_path: Path) -> Program:
    return Program("-m", "tests.benchmarks.baseline", folder=tmp_path / "baseline")


def write_room(path: Path, **room: Any) -> Path:
    """Write a busy room's stream; return its path."""
    with path.open("wb") as file:
        assert write_ndjson(busy_room(**room), file) == room["events"]
    return path


def row(what: str, runs: Sequence[Run]) -> tuple[object, ...]:
    """Return a line of the table: medians over runs, which must all have computed the same."""
    summary = runs[0].summary
    for name in ("digest", "events", "viewers", "leads"):
        assert len({run.summary.get(name) for run in runs}) == 1, f"the runs differ in their {name}"
    wall_us = median(run.wall_us for run in runs)
    return (
        what,
        *(f"{summary[name]:,}" for name in ("events", "viewers", "leads")),
        f"{1e6 / wall_us:,.0f}",
        f"{wall_us:.2f}",
        f"{median(run.cpu_us for run in runs):.2f}",
    )


def times(ours: Sequence[Run], theirs: Sequence[Run]) -> str:
    """Return in words how many times as fast we are: the median of the rounds' ratios."""
    pairs = list(zip(ours, theirs, strict=True))
    wall = median(their.wall_us / our.wall_us for our, their in pairs)
    cpu = median(their.cpu_us / our.cpu_us for our, their in pairs)
    return (
        f"{wall:.1f} times the baseline by wall time, {cpu:.1f} by processor time (to reach: {TARGET_RATIO})"
    )


def test_busy_room_against_the_baseline(frontrow: Program, baseline: Program, tmp_path: Path) -> None:
    """The issue's row."""
    busy = write_room(tmp_path / "busy.ndjson", events=EVENTS, viewers=VIEWERS)
    runs: dict[str, Callable[[], Run]] = {
        "ours": lambda: frontrow(busy),
        "theirs": lambda: baseline(busy),
    }
    found = in_turn(runs, budget_s=120.0)
    table(
        f"Replay of a simulated room of {EVENTS:,} events within 100 s of broadcast, with --journal, on one core",
        HEAD,
        [
            row("frontrow replay --journal", found["ours"]),
            row("the baseline, with its journal", found["theirs"]),
        ],
        f"to reach: {TARGET:,} events/s; {times(found['ours'], found['theirs'])}",
        f"{DISTINCT_TEXTS:.0%} of the comments are different from all before.",
    )


def test_busy_room_with_learning(frontrow: Program, baseline: Program, tmp_path: Path) -> None:
    busy = write_room(
        tmp_path / "slow.ndjson", events=100_000, viewers=10_000, events_per_s=SLOW_EVENTS_PER_S
    )
    found = in_turn({"ours": lambda: frontrow(busy), "theirs": lambda: baseline(busy)}, 2, budget_s=20.0)
    table(
        "Replay of a simulated room of 100,000 events in 111 minutes: labels mature and are learnt",
        HEAD,
        [
            row("frontrow replay --journal", found["ours"]),
            row("the baseline, with its journal", found["theirs"]),
        ],
        times(found["ours"], found["theirs"]),
        f"{found['theirs'][0].summary['labels']:,} labels learnt by the baseline.",
    )


def test_busy_room_by_how_different_its_texts_are(frontrow: Program, tmp_path: Path) -> None:
    rows = []
    for what, share in (("1,100 texts", 0.0), ("as recorded", DISTINCT_TEXTS), ("all texts different", 1.0)):
        busy = write_room(
            tmp_path / "busy.ndjson", events=FEWER_EVENTS, viewers=VIEWERS, distinct_texts=share
        )
        rows.append(row(what, [frontrow(busy)]))
        if share == DISTINCT_TEXTS:
            rows.append(row("… without --journal", [frontrow(busy, journal=False)]))
    table(f"The same room's first {FEWER_EVENTS:,} events with other texts, with --journal", HEAD, rows)


def test_twitch_recordings(frontrow: Program, recordings: Path) -> None:
    files = sorted((recordings / "streams" / "twitch").glob("*.ndjson*"))
    if not files:
        pytest.skip(f"no recorded Twitch streams in {recordings}")
    model = [frontrow(*files, journal=False)]
    points = [frontrow(*files, "--no-model", journal=False)]
    table(
        f"Replay of {len(files)} recorded Twitch streams",
        HEAD,
        [row("recordings", model), row("recordings, points only", points)],
    )


def test_start_up(tmp_path: Path) -> None:
    empty = tmp_path / "empty.ndjson"
    empty.touch()
    lexicon = "from frontrow.lexicon import load_lexicon; "
    steps: dict[str, tuple[str | Path, ...]] = {
        "python alone": ("-c", "pass"),
        "+ imports of the program": ("-c", "import frontrow.cli"),
        "+ compiling the lexicon": ("-c", f"import frontrow.cli; {lexicon}load_lexicon(())"),
        "replay of an empty file": ("-m", "frontrow", "replay", empty, "--out", tmp_path / "out"),
    }
    rows = []
    for what, arguments in steps.items():
        python(*arguments, cwd=tmp_path)  # compiles modules and warms the disk's cache
        costs = rounds(functools.partial(python, *arguments, cwd=tmp_path), 2)
        rows.append(
            (
                what,
                f"{median(cost.wall_s for cost in costs):.2f}",
                f"{median(cost.cpu_s for cost in costs):.2f}",
            )
        )
    table(
        "Start-up, whatever the input; each line has those before it",
        ("what", "wall s", "CPU s"),
        rows,
    )
