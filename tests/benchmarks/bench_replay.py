"""How fast ``frontrow replay`` is, as a person runs it: the real program, in a process of its own.

Run: ``make bench``, or alone ``pytest -s -o addopts=--import-mode=importlib tests/benchmarks/bench_replay.py``

Measured, each as the median of three runs:

- *events/s* is ``events_per_s`` of ``summary.json``: events applied per second of wall time between the compiled
  lexicon and the last score. It has reading, decoding, facts, the engine with points and model, the last scores of
  all viewers and, with ``--journal``, the journal; not the start of the program nor writing the results.
- *wall s* and *CPU s* (user and system) are of the whole process, start and results included.
- *start-up* is measured apart: the imports, the lexicon, and a whole replay of an empty file.

What bounds it: one core; the engine is one thread by design, since its results depend on order. In a busy room the
points and the facts of comments are most of it. The recordings are of slow rooms, where a second of work covers hours
of broadcast: there most events are looked at by the model, and learning, one label after another, weighs as much as
all the rest. With ``--journal`` each commit of eight frames also waits for the disk (fsync).
"""

import functools
import json
from pathlib import Path
from typing import Any

import pytest

from frontrow_models.simulate import write_ndjson
from frontrow_models.simulate.busy import busy_room
from tests.benchmarks.harness import Cost, median, python, rounds, table

pytestmark = pytest.mark.timeout(900)

EVENTS, VIEWERS = 300_000, 100_000
HEAD = ("replay of", "events", "viewers", "events/s", "wall s", "CPU s")

Run = tuple[Cost, dict[str, Any]]


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated very busy room, as a file."""
    path = tmp_path_factory.mktemp("busy") / "busy.ndjson"
    with path.open("wb") as file:
        assert write_ndjson(busy_room(events=EVENTS, viewers=VIEWERS), file) == EVENTS
    return path


def replay(folder: Path, *arguments: str | Path) -> Run:
    """Replay once; return what it cost and what it says."""
    out = folder / "out"
    cost = python("-m", "frontrow", "replay", *arguments, "--out", out, cwd=folder)
    summary: dict[str, Any] = json.loads((out / "summary.json").read_bytes())
    return cost, summary


def row(what: str, runs: list[Run]) -> tuple[object, ...]:
    """Return a line of the table: medians over runs, which must all have computed the same."""
    summaries = [summary for _, summary in runs]
    assert len({summary["digest"] for summary in summaries}) == 1, "the runs differ in what they computed"
    costs = [cost for cost, _ in runs]
    return (
        what,
        f"{summaries[0]['events']:,}",
        f"{summaries[0]['viewers']:,}",
        f"{median(summary['events_per_s'] for summary in summaries):,.0f}",
        f"{median(cost.wall_s for cost in costs):.2f}",
        f"{median(cost.cpu_s for cost in costs):.2f}",
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
        costs = rounds(functools.partial(python, *arguments, cwd=tmp_path))
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


def test_twitch_recordings(recordings: Path, tmp_path: Path) -> None:
    files = sorted((recordings / "streams" / "twitch").glob("*.ndjson*"))
    if not files:
        pytest.skip(f"no recorded Twitch streams in {recordings}")
    model = rounds(lambda: replay(tmp_path, *files))
    points = rounds(lambda: replay(tmp_path, *files, "--no-model"))
    table(
        f"Replay of {len(files)} recorded Twitch streams",
        HEAD,
        [row("recordings", model), row("recordings, points only", points)],
    )


def test_busy_room(busy: Path, tmp_path: Path) -> None:
    def journalled() -> Run:
        journal = tmp_path / "journal.db"
        try:
            return replay(tmp_path, busy, "--journal", journal)
        finally:
            for file in tmp_path.glob("journal.db*"):
                file.unlink()

    rows = [
        row("busy room", rounds(lambda: replay(tmp_path, busy))),
        row("busy room, points only", rounds(lambda: replay(tmp_path, busy, "--no-model"))),
        row("busy room, with --journal", rounds(journalled)),
    ]
    assert rows[0][1] == f"{EVENTS:,}"
    table(
        f"Replay of a simulated room of {EVENTS:,} events within 30 s of broadcast",
        HEAD,
        rows,
        f"{VIEWERS:,} viewers could come; those that did by then are counted.",
    )
