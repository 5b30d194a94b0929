"""What an event costs as the same events are spread over more rooms: 1, 10, 100 and 1,000.

Run: ``make bench``, or alone ``pytest -s -o addopts=--import-mode=importlib tests/benchmarks/bench_rooms.py``

One busy stream of 20,000 viewers, whose viewers are dealt out to the rooms: so kinds, words, viewers and the total
rate are the same, and only the number of rooms differs. Events of all rooms lie mixed in every frame of 1,024, as
they come in: with 1,000 rooms a frame has some 640 of them. Each room is configured, with a host's name of its own.

Measured is processor time of this process, for all that is below HTTP: the body's decoding, facts and masking, the
frame, the engine with its model, and the journal (eight frames a commit, fsync). Passes over 1, 10, 100 and 1,000
rooms are made in turn, three times within a minute or as often as that allows; ratios to one room are of the same
round, and their median is told. Every room begins, and a first quarter of the stream is taken, before the clock is
read: opening a room happens once.

What bounds it: memory. Each room of a frame has a session and what was said in it, which have left the
processor's caches by the time they are asked again. The garbage collector is set as the program sets it.
"""

import functools
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from frontrow.app.parts import make_engine, make_lexicons
from frontrow.config import defaults
from frontrow.core.decoding import decode_columns_at_once
from frontrow.core.events import Event, decode_batch
from frontrow.core.frames import Frame
from frontrow.core.preparing import Preparer
from frontrow.runtime import collector
from frontrow.storage.store import Commit, Store
from frontrow_models.simulate.busy import busy_room
from tests.benchmarks.harness import ROUNDS, in_turn, median, table

pytestmark = pytest.mark.timeout(600)

ROOMS = (1, 10, 100, 1_000)
EVENTS, VIEWERS = 65_536, 20_000  # eight commits
EVENTS_PER_S = 5_000.0
WARM_UP = 0.25
FRAME_EVENTS = 1_024
FRAMES_PER_COMMIT = 8
TARGET = 1.3


@dataclass(frozen=True, slots=True)
class Pass:
    """Microseconds per event, and how many rooms a frame had on average."""

    cpu_us: float
    wall_us: float
    rooms_a_frame: float


def bodies(stream: Sequence[Event], rooms: int) -> list[bytes]:
    """Return a stream, dealt out to so many rooms, as JSON arrays of a frame's events each."""
    dealt = [_in_room(event, rooms) for event in stream]
    first = [_beginning(dealt[0], number) for number in range(rooms)]
    frames = (dealt[start : start + FRAME_EVENTS] for start in range(0, len(dealt), FRAME_EVENTS))
    return [msgspec.json.encode(frame) for frame in (first, *frames)]


def _beginning(like: Event, number: int) -> Event:
    fields = {"id": f"begin-{number}", "room": f"room-{number:04}", "kind": "room_stats", "viewer": None}
    return msgspec.structs.replace(like, **fields, text=None, count=None, value=None)


def _in_room(event: Event, rooms: int) -> Event:
    # By the viewer, whose id is as good as random: CRC-32 is the same in every run, which hash() is not.
    room = f"room-{zlib.crc32((event.viewer or event.id).encode()) % rooms:04}"
    return msgspec.structs.replace(event, room=room)


def one_pass(stream: list[bytes], rooms: int, path: Path) -> Pass:
    """Take the stream through a new engine into a new store."""
    config = defaults()
    lexicon = make_lexicons(config).default.lexicon
    of_room = {
        ("sim", f"room-{number:04}"): lexicon.for_room(host_aliases=(f"小号{number}",))
        for number in range(rooms)
    }
    preparer = Preparer(of_room, lexicon.for_room(), config.intents.phone_region)
    engine = make_engine(config)
    store = Store.open(path)
    commits: list[Commit] = []
    warm = 1 + int(len(stream) * WARM_UP)
    touched = events = 0
    collector.settle()  # as the program does
    try:
        for number, body in enumerate(stream):
            if number == warm:
                wall, cpu = time.perf_counter(), time.process_time()
                touched = events = 0
            frame = decode_columns_at_once(body) or Frame.of(decode_batch(body).events)
            effects = engine.apply(preparer.prepare(frame))
            commits.append(Commit(effects.kept, effects.leads, (), 0))
            events += len(frame)
            touched += len(effects.rooms)
            if len(commits) == FRAMES_PER_COMMIT or not number:
                store.append(commits)
                commits.clear()
        assert not commits
        cpu_us = (time.process_time() - cpu) / events * 1e6
        wall_us = (time.perf_counter() - wall) / events * 1e6
        assert store.seq == len(stream)
        assert sum(1 for _ in engine.rooms) == rooms
    finally:
        collector.release()
        store.close()
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
    return Pass(cpu_us, wall_us, touched / (len(stream) - warm))


def test_cost_of_an_event_as_rooms_grow(tmp_path: Path) -> None:
    busy = list(busy_room(events=EVENTS, viewers=VIEWERS, events_per_s=EVENTS_PER_S))
    streams = {rooms: bodies(busy, rooms) for rooms in ROOMS}
    del busy

    def run(rooms: int) -> Pass:
        return one_pass(streams[rooms], rooms, tmp_path / "store.db")

    run(ROOMS[0])  # the first pass of a process pays for what Python makes once
    found = in_turn({rooms: functools.partial(run, rooms) for rooms in ROOMS}, ROUNDS, budget_s=40.0)
    single = found[ROOMS[0]]
    rows: list[tuple[object, ...]] = []
    for rooms in ROOMS:
        passes = found[rooms]
        pairs = list(zip(passes, single, strict=True))
        rows.append(
            (
                f"{rooms:,}",
                f"{passes[0].rooms_a_frame:,.0f}",
                f"{median(each.wall_us for each in passes):.2f}",
                f"{median(each.cpu_us for each in passes):.2f}",
                f"{median(each.cpu_us / one.cpu_us for each, one in pairs):.2f}",
            )
        )
    table(
        f"Cost of one event by rooms, {EVENTS:,} events of {VIEWERS:,} viewers in all",
        ("rooms", "rooms a frame", "µs wall", "µs CPU", "× one room"),
        rows,
        f"to reach: {TARGET} × at 1,000 rooms, by processor time",
    )
