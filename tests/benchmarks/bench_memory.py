"""How much memory a viewer costs: resident bytes per viewer of an engine that holds 100,000 of them.

Run: ``make bench``, or alone ``pytest -s -o addopts=--import-mode=importlib tests/benchmarks/bench_memory.py``

One room, one session, an hour of it. Each viewer enters, likes a minute and a half later, and asks for a price after
another minute and a half: three events. Viewer ids have 20 characters, event ids 24. All of it lies within the
outcome's horizon (an hour), so every snapshot still waits for its label: the most that such viewers can hold.

Each line of the first table is measured in processes of its own, three times, and the median is told: resident memory
(psutil) after the last event less that before the first, divided by the viewers. Before the first event the program is
imported and the engine has taken the viewers of another, small room. Events are made as they are needed and forgotten;
what the engine keeps of them (ids, mostly) is measured with it. The table of seen event ids is told apart: it grows
with events and not with viewers. The second table tells by tracemalloc which modules hold what, in bytes asked for
(the first one's are in pages, with the allocator's waste).

What bounds it: numbers of a viewer are in arrays, which grow by steps, so that some of it is air between two steps.
Seen event ids stay for 24 h of event time. Snapshots are taken of an active viewer once in two minutes and stay for
the horizon, so a room's are bounded by its activity in one hour, and by a million in all.
"""

import functools
import gc
import heapq
import multiprocessing
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePath
from typing import TypeVar

import psutil
import pytest

from frontrow.app.parts import make_engine
from frontrow.config import defaults
from frontrow.core import facts
from frontrow.core.engine import Engine
from frontrow.core.events import Event
from frontrow.runtime.people import People
from tests.benchmarks.harness import median, rounds, table

pytestmark = pytest.mark.timeout(900)

VIEWERS = 100_000
KINDS = ("enter", "like", "comment")  # each viewer's events, in order
START = 1_750_000_000_000
BEFORE = START - 7_200_000  # when the small room was open; engine time never turns back
COMING_MS = 3_000_000  # over which the viewers come, evenly
STEP_MS = 90_000  # between two events of one viewer
FRAME_EVENTS = 1024
OTHERS = 100  # viewers of the small room
SHOWN_MODULES = 8
SHOWN_AS = {PurePath(__file__).name: "(strings of the events)", "<string>": "(named tuples)"}

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes. ``resident`` by which the process grew; ``ids`` of these the table of seen event ids with its strings."""

    resident: int
    ids: int


def stream(viewers: int, room: str, start: int) -> Iterator[Event]:
    """Yield every viewer's events in order of time, holding none."""

    def of_kind(step: int) -> Iterator[tuple[int, int, int]]:
        for viewer in range(viewers):
            yield start + viewer * COMING_MS // viewers + step * STEP_MS, step, viewer

    merged = heapq.merge(*(of_kind(step) for step in range(len(KINDS))))
    for number, (at, step, viewer) in enumerate(merged):
        kind = KINDS[step]
        yield Event(
            id=f"message-{number:016}",
            platform="test",
            room=room,
            session="s1",
            kind=kind,
            at=at,
            viewer=f"viewer-{viewer:013}",
            name=f"观众 {viewer}",
            text="这件多少钱" if kind == "comment" else None,
        )


def fill(engine: Engine, people: People | None, events: Iterator[Event]) -> None:
    """Apply events as frames, with the facts that their words would give."""
    while frame := list(islice(events, FRAME_EVENTS)):
        masks = [facts.PRICE if event.kind == "comment" else 0 for event in frame]
        engine.apply(frame, masks)
        if people is not None:
            people.note(frame, masks)


def warm_engine(*, with_model: bool) -> Engine:
    """Return an engine that has the viewers of the small room."""
    engine = make_engine(defaults(), with_model=with_model)
    fill(engine, None, stream(OTHERS, "small", BEFORE))
    gc.collect()
    return engine


def resident(with_model: bool, with_people: bool) -> Memory:
    """Return by how much this process grows with 100,000 viewers."""
    process = psutil.Process()
    engine = warm_engine(with_model=with_model)
    people = People() if with_people else None
    before = process.memory_info().rss
    fill(engine, people, stream(VIEWERS, "large", START))
    gc.collect()
    grown = process.memory_info().rss - before
    room = engine.room("test", "large")
    assert room is not None
    assert len(room.ids) == VIEWERS * len(KINDS)
    assert engine.rows == VIEWERS + OTHERS
    assert (len(engine.labels) > 2 * VIEWERS) == with_model, (
        "most viewers have two snapshots that wait, or three"
    )
    return Memory(grown, sys.getsizeof(room.ids) + sum(map(sys.getsizeof, room.ids)))


def by_module() -> Counter[str]:
    """Return the bytes that 100,000 viewers hold in the engine with its model, by the module that asked for them."""
    engine = warm_engine(with_model=True)
    tracemalloc.start()
    fill(engine, None, stream(VIEWERS, "large", START))
    gc.collect()
    found: Counter[str] = Counter()
    for statistic in tracemalloc.take_snapshot().statistics("filename"):
        path = PurePath(statistic.traceback[0].filename)
        found[SHOWN_AS.get(path.name, path.name)] += statistic.size
    return found


def in_a_fresh_process(function: Callable[[], Result]) -> Result:
    """Return what a module's function returns in a Python of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function).result()


def test_resident_memory_per_viewer() -> None:
    rows: list[tuple[object, ...]] = []
    for what, with_model, with_people in (
        ("engine, points only", False, False),
        ("engine with its model", True, False),
        ("… and names and last words, as the daemon has", True, True),
    ):
        run = functools.partial(in_a_fresh_process, functools.partial(resident, with_model, with_people))
        found = rounds(run)
        grown = median(memory.resident for memory in found) / VIEWERS
        ids = median(memory.ids for memory in found) / VIEWERS
        rows.append((what, f"{grown:,.0f}", f"{ids:,.0f}", f"{grown - ids:,.0f}"))
    table(
        f"Resident memory at {VIEWERS:,} viewers with {len(KINDS)} events each, in bytes per viewer",
        ("what", "all", "seen event ids", "without these"),
        rows,
    )


def test_who_holds_it() -> None:
    found = in_a_fresh_process(by_module)
    shown = [(name, f"{size / VIEWERS:,.0f}") for name, size in found.most_common(SHOWN_MODULES)]
    total = sum(found.values())
    rest = total - sum(size for _, size in found.most_common(SHOWN_MODULES))
    table(
        "The engine with its model, by the module that asked for the memory, in bytes per viewer",
        ("module", "bytes"),
        [*shown, ("others", f"{rest / VIEWERS:,.0f}"), ("all", f"{total / VIEWERS:,.0f}")],
    )
