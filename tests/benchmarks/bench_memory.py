"""How much memory a viewer costs: resident bytes per viewer where one daemon holds 1,000,000 of them.

Run: ``make bench``, or alone ``pytest -s -o addopts=--import-mode=importlib tests/benchmarks/bench_memory.py``

One room, one session, fifty minutes of it. Viewers come in 25 waves of 40,000, and have three events each within
their two minutes: everybody enters, then acts twice as the busy mix has it (likes, comments, gifts, clicks …), one in
six of these acts being another entry. Viewer ids have 16 characters, event ids 21, names some eight characters, all
of them different. All of it lies within the outcome's horizon (an hour), so every snapshot still waits for its label:
the most that such viewers can hold.

Resident memory (psutil) is read after a full collection, in processes of their own, once: it varies by little. Before
the first event the program is imported and the engine has taken the viewers of another, small room. Events are made
as they are needed and forgotten; what is kept of them is measured with it.

- *as the daemon holds them*: engine with its model, names and last words. The table of seen event ids is told apart: it
  grows with events and not with viewers. It is measured by an engine that has seen as many events with ids as long, but
  of no viewer.
- *3 h after the last event*, as ticks tell it, idle viewers have left memory for the attic on the disk (the rule: two
  hours of silence), and their snapshots have become labels; after 26 h the ids are forgotten, too.
- The second table tells by tracemalloc which modules hold what, in bytes asked for, of 100,000 viewers (the first
  one's are in pages, with the allocator's waste).

What bounds it: what a snapshot holds of a viewer (150 bytes), what fades (some 90), and the names, which are Python's
objects. Ids lie in an array, and the table that finds a row by them has two places of eight bytes for each, more or
less, as it doubles; arrays that grow take memory only where they are written. Seen event ids stay for 24 h of event
time. Snapshots are taken of an active viewer once in two minutes and stay for the horizon, so a room's are bounded by
its activity in one hour, and by a million in all.
"""

import contextlib
import functools
import gc
import itertools
import tempfile
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePath

import psutil
import pytest

from frontrow.app.parts import make_engine
from frontrow.config import defaults
from frontrow.core import facts
from frontrow.core.engine import Engine
from frontrow.core.events import Event
from frontrow.core.frames import Frame
from frontrow.core.ports import Attic
from frontrow.runtime import collector
from frontrow.runtime.people import People
from frontrow.storage.attic import DiskAttic
from frontrow_models.simulate.busy import BUSY_MIX, viewer_id
from tests.benchmarks.harness import in_a_fresh_process, table

pytestmark = pytest.mark.timeout(900)

VIEWERS = 1_000_000
TRACED_VIEWERS = 100_000
WAVES = 25
WAVE_MS = 120_000  # the engine takes one snapshot of a viewer in each of these
EVENTS_EACH = 3
START = 1_750_003_200_000  # where such a span begins
BEFORE = START - 1_200_000  # when the small room was open; engine time never turns back
HOUR_MS = 3_600_000
TICK_MS = 30_000
FRAME_EVENTS = 1024
OTHERS = 100  # viewers of the small room
SHOWN_MODULES = 10
SHOWN_AS = {PurePath(__file__).name: "(texts of the events)", "<string>": "(named tuples)"}
TARGET = 600

# Kinds by thousandths of the mix, in an order that spreads them.
_OF_1000 = [kind for kind, share in BUSY_MIX for _ in range(round(share * 1000))]
_TEXTS = {"comment": "这件多少钱"}


def stream(viewers: int, room: str, start: int, *, waves: int = WAVES) -> Iterator[Event]:
    """Yield every viewer's events in order of time, holding none."""
    number = itertools.count()
    each = viewers // waves
    for wave in range(waves):
        for step in range(EVENTS_EACH):
            for position in range(each):
                who = wave * each + position
                kind = "enter" if step == 0 else _OF_1000[(who * 389 + step * 211) % len(_OF_1000)]
                at = start + wave * WAVE_MS + (step * each + position) * WAVE_MS // (EVENTS_EACH * each)
                yield Event(
                    id=f"{start}-{next(number):07}",
                    platform="test",
                    room=room,
                    session="s1",
                    kind=kind,
                    at=at,
                    viewer=viewer_id(1, who),
                    name=f"观众小鱼{who:x}",
                    text=_TEXTS.get(kind),
                    count=3 if kind == "like" else None,
                )


def of_nobody(events: int, room: str, start: int) -> Iterator[Event]:
    """Yield as many events with such ids over the same time, of no viewer."""
    for number in range(events):
        at = start + number * WAVES * WAVE_MS // events
        yield Event(
            id=f"{start}-{number:07}",
            platform="test",
            room=room,
            session="s1",
            kind="room_stats",
            at=at,
            viewers=number % 1000,
        )


def fill(engine: Engine, people: People | None, events: Iterator[Event]) -> None:
    """Apply events as frames, with the facts that their words would give."""
    while batch := list(itertools.islice(events, FRAME_EVENTS)):
        masks = [facts.PRICE if event.kind == "comment" else 0 for event in batch]
        effects = engine.apply(Frame.of(batch, masks))
        if people is not None:
            people.note(effects.kept, effects.rows)
            people.free(effects.freed)


def ticks(start: int, end: int) -> Iterator[Event]:
    """Yield what tells the engine that time passes."""
    for at in range(start, end, TICK_MS):
        yield Event(id=f"tick-{at}", platform="frontrow", room="clock", kind="tick", at=at)


def warm_engine(attic: Attic | None = None) -> Engine:
    """Return an engine that has had the viewers of the small room, in a process whose memory is set as the program sets it."""
    collector.give_back()
    engine = make_engine(defaults(), attic=attic)
    fill(engine, None, stream(OTHERS, "small", BEFORE, waves=1))
    gc.collect()
    return engine


def resident() -> int:
    gc.collect()
    rss: int = psutil.Process().memory_info().rss
    return rss


def viewers_held() -> list[tuple[str, int, int]]:
    """Return (what, viewers in memory, bytes by which this process has grown) as time passes."""
    with tempfile.TemporaryDirectory() as folder:
        attic = DiskAttic.open(Path(folder) / "attic", store=bytes(16))
        attic.rewind(0)
        with contextlib.closing(attic):
            return _as_time_passes(warm_engine(attic))


def _as_time_passes(engine: Engine) -> list[tuple[str, int, int]]:
    people = People()
    before, rows = resident(), engine.rows
    fill(engine, people, stream(VIEWERS, "large", START))
    assert engine.rows - rows == VIEWERS
    found = [("as the daemon holds them", VIEWERS, resident() - before)]
    end = START + WAVES * WAVE_MS
    for hours in (3, 26):
        fill(engine, people, ticks(engine.now + TICK_MS, end + hours * HOUR_MS))
        found.append((f"{hours} h after the last event", engine.rows, resident() - before))
    return found


def ids_held() -> int:
    """Return the bytes by which this process grows with as many seen ids, of no viewer."""
    engine = warm_engine()
    before, rows = resident(), engine.rows
    fill(engine, None, of_nobody(VIEWERS * EVENTS_EACH, "large", START))
    assert engine.rows == rows
    return resident() - before


def by_module() -> Counter[str]:
    """Return the bytes that some viewers hold, by the module that asked for them."""
    engine, people = warm_engine(), People()
    tracemalloc.start()
    fill(engine, people, stream(TRACED_VIEWERS, "large", START))
    gc.collect()
    found: Counter[str] = Counter()
    for statistic in tracemalloc.take_snapshot().statistics("filename"):
        path = PurePath(statistic.traceback[0].filename)
        found[SHOWN_AS.get(path.name, path.name)] += statistic.size
    return found


def test_resident_memory_per_viewer() -> None:
    ids = in_a_fresh_process(ids_held) / VIEWERS
    held = in_a_fresh_process(viewers_held)
    rows: list[tuple[object, ...]] = [
        (what, f"{viewers:,}", f"{size / 2**20:,.0f}", f"{size / VIEWERS:,.0f}")
        for what, viewers, size in held
    ]
    everything = held[0][2] / VIEWERS
    table(
        f"Resident memory of {VIEWERS:,} viewers with {EVENTS_EACH} events each",
        ("what", "viewers held", "MiB", "bytes per viewer"),
        [
            *rows,
            ("seen ids alone", "0", f"{ids * VIEWERS / 2**20:,.0f}", f"{ids:,.0f}"),
        ],
        f"without the table of seen ids: {everything - ids:,.0f} bytes per viewer (to reach: {TARGET})",
        f"a seen id: {ids / EVENTS_EACH:,.0f} bytes",
    )


def test_who_holds_it() -> None:
    found = in_a_fresh_process(functools.partial(by_module))
    shown = [(name, f"{size / TRACED_VIEWERS:,.0f}") for name, size in found.most_common(SHOWN_MODULES)]
    total = sum(found.values())
    rest = total - sum(size for _, size in found.most_common(SHOWN_MODULES))
    table(
        f"The same of {TRACED_VIEWERS:,} viewers, by the module that asked for the memory, in bytes per viewer",
        ("module", "bytes"),
        [*shown, ("others", f"{rest / TRACED_VIEWERS:,.0f}"), ("all", f"{total / TRACED_VIEWERS:,.0f}")],
    )
