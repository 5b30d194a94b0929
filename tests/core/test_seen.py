"""Ids are known for a day, whichever way is gone; those that are forgotten give their memory back."""

import contextlib
import random
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.core import kernel
from frontrow.core import seen as module
from frontrow.core.frames import Frame
from frontrow.core.images import Image
from frontrow.core.seen import HOUR_MS, SeenIds, SeenNames
from tests.support.rooms import START, event

DAY = 24


def frame(names: list[str], hour: int, room: str = "r1") -> Frame:
    """Return likes with these ids that arrived in an hour from the start."""
    at = START + hour * HOUR_MS
    return Frame.of(
        [event("like", id=name, room=room, at=at, seen_at=at) for name in names], [0] * len(names)
    )


# A third way: the kernel's table where all hashes are the same, or nearly. Only rooms and bytes tell ids apart there.
MASKS = (0, 0xC0000000)
IDS = (
    *(f"i{number}" for number in range(10)),
    *(
        "",
        "\0",
        "i\0",
        "i1\0",
        "é",
        "e\u0301",
        "多",
        "多多",
        "\U0001d11e",
        "\ud834\udd1e",
        "\ud834",
        "\udd1e",
        "i\ud834",
    ),
    "long" * 100,
    "long" * 100 + ".",
    "wider than a page" * 70_000,
)
ROOMS = ("r1", "r2", "多", "r\0", "\ud834", "")
Arrival = tuple[str, str, int, bool]

arrivals = st.tuples(
    st.sampled_from(ROOMS),
    st.sampled_from(IDS),
    st.one_of(st.integers(0, 3 * HOUR_MS), st.integers(-3 * HOUR_MS, 40 * HOUR_MS)),
    st.booleans(),
)


def arrived(events: list[Arrival], start: int) -> Frame:
    """Return events whose rooms and ids no intake would let in; who says when it arrived happened long before."""
    return Frame(
        ids=[f"{id}."[:-1] for _, id, _, _ in events],  # other objects than those of the last time
        platforms=["p" if said else "q" for *_, said in events],
        rooms=[room for room, *_ in events],
        seen_ats=[start + after if said else None for *_, after, said in events],
        ats=[5 if said else start + after for *_, after, said in events],
    )


def known_to(seen: SeenIds) -> tuple[int, list[tuple[int, str, str, str]]]:
    """Return engine time, and hour, platform, room and id of all that is known, in an order of its own."""
    image = seen.image()
    lengths, whole = image.arrays["lengths"].tolist(), image.arrays["ids"].tobytes()
    ends = np.cumsum([0, *lengths]).tolist()
    hours = [hour for hour, count in image.meta["hours"] for _ in range(count)]
    places = image.arrays["rooms"].tolist()
    assert sorted(set(places)) == list(range(len(image.meta["rooms"])))  # no room for nothing
    return image.meta["now"], sorted(
        (hour, *image.meta["rooms"][place], whole[start:end].decode("utf-8", "surrogatepass"))
        for hour, place, start, end in zip(hours, places, ends, ends[1:], strict=False)
    )


@contextlib.contextmanager
def way(name: str) -> Iterator[None]:
    """Let what is made within go one way: by the name "python", the kernel's, or with fewer bits of its hashes."""
    given = kernel.compiled
    assert given is not None
    if name == "python":
        kernel.compiled = None
    elif name.isdigit():
        kernel.compiled = cast(
            ModuleType, SimpleNamespace(SeenTable=lambda hours: given.SeenTable(hours, int(name)))
        )
    try:
        yield
    finally:
        kernel.compiled = given


@pytest.mark.parametrize("mask", MASKS)
@given(steps=st.lists(st.tuples(st.lists(arrivals, max_size=12), st.integers(0, 12)), max_size=10))
def test_all_ways_know_the_same(
    kernel_present: None, mask: int, steps: list[tuple[list[Arrival], int]]
) -> None:
    """Ids come twice within a frame, in two rooms, again later, after they were forgotten, and over a restart in another way."""
    names = ["python", "compiled", str(mask)]

    def new(name: str) -> SeenIds:
        with way(name):
            return SeenIds(dedupe_ms=DAY * HOUR_MS)

    ways = [new(name) for name in names]
    start = START
    for events, hours in steps:
        start += hours * HOUR_MS
        found = [seen.take(arrived(events, start)) for seen in ways]
        assert found[0] == found[1] == found[2]
        known = [known_to(seen) for seen in ways]
        assert known[0] == known[1] == known[2]
        keys = {(platform, room, id) for _, platform, room, id in known[0][1]}
        for seen in ways:
            assert len(seen) == len(keys)
            for room, id, _, said in events:
                # Not all are: time may have moved so far within the frame that its first ids are forgotten.
                key = "p" if said else "q", room, id
                assert seen.knows(*key) == (key in keys)
            assert not seen.knows("p", "no such room", "i1")
            assert not seen.knows("p", "r1", "no such id")
        if hours % 3 == 0:  # each goes on with what another one knew
            images = [seen.image() for seen in ways]
            ways = [new(name) for name in names]
            for place, seen in enumerate(ways):
                with way(names[place]):
                    seen.load(images[(place + 1) % len(ways)])


def test_many_rooms_through_many_hours(each_way: str) -> None:
    """Tables grow, are swept and shrink, and rooms come and go; a list of everything tells what must be known."""
    seen = SeenIds(dedupe_ms=DAY * HOUR_MS)
    dice = random.Random(5)
    came: dict[tuple[str, str], int] = {}
    hour = engine_hour = now = 0  # the latter two are of the latest that was new
    for _ in range(120):
        hour += dice.choices((0, 1, 9), (60, 35, 5))[0]
        busy = dice.choice((3, 30, 3_000))
        rooms = [f"r{hour // 8}-{dice.randrange(busy)}" for _ in range(busy)]
        ids = [f"{dice.randrange(busy)}" for _ in range(busy)]
        at = START + hour * HOUR_MS
        repeated = []
        for position, key in enumerate(zip(rooms, ids, strict=True)):
            if engine_hour - came.get(key, -1_000) <= DAY:
                repeated.append(position)
            else:
                came[key] = engine_hour = hour
                now = max(now, at + position * 1_000)
        ats = [at + position * 1_000 for position in range(busy)]
        told = seen.take(Frame(ids=ids, platforms=["p"] * busy, rooms=rooms, ats=ats, seen_ats=[None] * busy))
        assert told == repeated
        assert len(seen) == sum(engine_hour - since <= DAY for since in came.values())
        assert seen._table.now == now
    assert len(came) > 50_000


def test_an_image_gives_no_more_than_is_known_for_as_long(each_way: str) -> None:
    longer, shorter = SeenIds(dedupe_ms=2 * DAY * HOUR_MS), SeenIds(dedupe_ms=DAY * HOUR_MS)
    longer.take(frame(["old"], 0, "quiet"))
    longer.take(frame(["new"], DAY + 2))
    assert len(longer) == 2
    shorter.load(longer.image())
    assert shorter.image().meta["rooms"] == [["test", "r1"]]
    assert shorter.take(frame(["old"], DAY + 2, "quiet")) == []
    assert shorter.take(frame(["new"], DAY + 2)) == [0]


def test_a_frame_is_taken_in_parts_that_know_of_each_other(each_way: str) -> None:
    names = [f"{number % 1_500}" for number in range(4_000)]
    seen = SeenIds(dedupe_ms=DAY * HOUR_MS)
    assert seen.take(frame(names, 0)) == list(range(1_500, 4_000))


@pytest.mark.parametrize("to", ["compiled", "python"])
@pytest.mark.parametrize(
    "changed",
    [
        {"now": -1},
        {"hours": [[START // HOUR_MS, 1]]},
        {"hours": [[START // HOUR_MS, 3]]},
        {"hours": [[START // HOUR_MS + 1, 2]]},
        {"hours": [[START // HOUR_MS, 1], [START // HOUR_MS, 1]]},
        {"hours": [[START // HOUR_MS, 3], [START // HOUR_MS + 1, -1]]},
        {"hours": [[-1, 2]]},
        {"rooms": np.array([0, 1], np.uint32)},
        {"rooms": np.array([0], np.uint32)},
        {"lengths": np.array([1, 1], np.uint32)},
        {"lengths": np.array([3, 1], np.uint32)},
        {"lengths": np.array([2, 2**32 - 1], np.uint32)},
        {"ids": np.frombuffer(b"a\xffb", np.uint8)},
    ],
)
def test_an_image_that_does_not_fit_together_is_refused(
    kernel_present: None, to: str, changed: dict[str, Any]
) -> None:
    """A snapshot's bytes are summed; yet nothing may be read beyond an array, and what is known stays."""
    with way(to):
        seen = SeenIds(dedupe_ms=DAY * HOUR_MS)
        seen.take(frame(["aa", "b"], 0))
        image = seen.image()
        SeenIds(dedupe_ms=DAY * HOUR_MS).load(image)
        wrong = Image(
            meta={name: changed.get(name, value) for name, value in image.meta.items()},
            arrays=image.arrays | {name: value for name, value in changed.items() if name in image.arrays},
        )
        if isinstance(changed.get("rooms"), np.ndarray):
            wrong.meta["rooms"] = image.meta["rooms"]
        with pytest.raises(ValueError):
            seen.load(wrong)
        assert seen.take(frame(["aa", "b", "c"], 0)) == [0, 1]


def bytes_of(seen: SeenIds) -> int:
    """Return what the tables take; of Python's without the strings."""
    table = seen._table
    return sum(map(sys.getsizeof, table._rooms.values() if isinstance(table, SeenNames) else [table]))


def tables(seen: SeenIds) -> list[dict[str, int]]:
    """Return the dictionaries of Python's way."""
    assert isinstance(seen._table, SeenNames)
    return list(seen._table._rooms.values())


@pytest.mark.parametrize("rooms", [["r1"], ["r1", "r2"]])
def test_a_room_that_goes_quiet_gives_its_memory_back(each_way: str, rooms: list[str]) -> None:
    """The table of a great evening would else stay as large as it was for as long as somebody says something there."""
    seen = SeenIds(dedupe_ms=DAY * HOUR_MS)
    for room in rooms:
        for hour in range(4):  # a great evening
            seen.take(frame([f"{hour}-{number}" for number in range(50_000)], hour, room))
    at_most = bytes_of(seen)
    for hour in range(4, 40):
        for room in rooms:
            seen.take(frame([f"{hour}-quiet"], hour, room))
    assert len(seen) == (DAY + 1) * len(rooms)
    assert bytes_of(seen) < at_most / 1_000
    for room in rooms:
        assert seen.take(frame(["39-quiet", "15-quiet", "0-1"], 39, room)) == [0, 1]


def test_it_is_not_copied_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a room that is as busy every hour, what comes takes the place of what is forgotten."""
    monkeypatch.setattr(kernel, "compiled", None)
    monkeypatch.setattr(module, "SPARE_BYTES", 0)
    seen = SeenIds(dedupe_ms=DAY * HOUR_MS)
    seen.take(frame(["first"], 0))
    [table] = tables(seen)
    for hour in range(5 * DAY):
        seen.take(frame([f"{hour}-{number}" for number in range(100)], hour))
    [still] = tables(seen)
    assert still is table


def test_a_room_of_which_nothing_is_known_any_more_takes_nothing(each_way: str) -> None:
    seen = SeenIds(dedupe_ms=DAY * HOUR_MS)
    for room in range(100):
        seen.take(frame(["a", "b"], 0, f"r{room}"))
    seen.take(frame(["a"], DAY + 2, "other"))
    assert seen.image().meta["rooms"] == [["test", "other"]]
    assert seen.take(frame(["a"], DAY + 2, "r7")) == []
    sizes = []
    for day in range(2, 9):
        for room in range(1_000):
            seen.take(frame(["a"], day * (DAY + 2), f"{day} {room}"))
        sizes.append(bytes_of(seen))
    assert len(seen) == 1_000
    assert len(set(sizes)) == 1


@pytest.mark.parametrize("seed", range(10))
def test_what_is_known_does_not_depend_on_when_a_table_is_copied(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after an image, which has the ids in the order of their hours."""
    monkeypatch.setattr(kernel, "compiled", None)
    dice = random.Random(seed)
    frames = []
    hour = 0
    for _ in range(300):
        hour += dice.choices((0, 1, 5, 30), (80, 15, 4, 1))[0]
        names = [f"{dice.randrange(400)}" for _ in range(dice.randrange(1, 40))]
        frames.append(frame(names, hour, dice.choice(("r1", "r2"))))
    told = []
    for wide, spare in ((0, 0), (200, 0), (200, 10**9)):  # always, when it is worth it, never
        monkeypatch.setattr(module, "WIDE_BYTES", wide)
        monkeypatch.setattr(module, "SPARE_BYTES", spare)
        seen = SeenIds(dedupe_ms=DAY * HOUR_MS)
        found = [seen.take(each) for each in frames[:200]]
        again = SeenIds(dedupe_ms=DAY * HOUR_MS)
        again.load(seen.image())
        found += [again.take(each) for each in frames[200:]]
        told.append(found)
    assert told[0] == told[1] == told[2]
    assert any(told[0])
