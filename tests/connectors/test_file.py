"""Canonical events from files: nothing whole is lost, everything broken is named, memory stays bounded."""

import asyncio
import contextlib
import gzip
import io
import itertools
import os
import random
import subprocess
import sys
import tempfile
import threading
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
import structlog
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from frontrow.core.events import Event, decode_event, encode_event
from frontrow.core.ports import Receipt
from frontrow_connectors.contract import FeedState
from frontrow_connectors.file import FileOptions, FileReject, iter_batches, merge_by_time
from frontrow_connectors.file.client import FileFeed
from frontrow_connectors.file.decoder import CHUNK_BYTES, TOO_FAR_AHEAD, Retimer, merge, read_batches, rebatch
from frontrow_connectors.reconnect import REFUSED_WAIT_S
from tests.connectors.samples import ROOM, T0, event, line
from tests.support import hostile
from tests.support.clock import ManualClock, settle
from tests.support.feeds import RecordingIntake


def read(data: bytes, *, max_line_bytes: int = 1_048_576) -> tuple[list[Event], list[FileReject]]:
    rejects: list[FileReject] = []
    batches = read_batches(
        io.BufferedReader(io.BytesIO(data)),
        file="f",
        on_reject=rejects.append,
        max_line_bytes=max_line_bytes,
    )
    return [each for batch in batches for each in batch], rejects


def no_rejects(reject: FileReject) -> None:
    pytest.fail(str(reject))


def ids(events: list[Event]) -> list[str]:
    return [each.id for each in events]


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


PACKERS: dict[str, Callable[[bytes], bytes]] = {"plain": bytes, "gzip": gzip.compress, "zstandard": zstd}


@pytest.fixture(params=sorted(PACKERS))
def pack(request: pytest.FixtureRequest) -> Callable[[bytes], bytes]:
    return PACKERS[request.param]


# --- reading


def test_every_event_is_read_in_order_however_it_is_packed(pack: Callable[[bytes], bytes]) -> None:
    data = b"".join(line(f"e{n}") + b"\n" for n in range(10_000))
    assert len(data) > 3 * CHUNK_BYTES  # so that lines are cut by chunks
    events, rejects = read(pack(data))
    assert ids(events) == [f"e{n}" for n in range(10_000)]
    assert not rejects


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\n\n \n"])
def test_the_last_line_needs_no_end_and_blank_lines_are_passed_over(end: bytes) -> None:
    events, rejects = read(line("a") + b"\r\n\n" + line("b") + end)
    assert ids(events) == ["a", "b"]
    assert not rejects


def test_a_byte_order_mark_is_passed_over() -> None:
    assert ids(read(b"\xef\xbb\xbf" + line("a") + b"\n")[0]) == ["a"]


@pytest.mark.parametrize("data", [b"", b"\n", b"{", b"x"])
def test_tiny_files_are_no_special_case(data: bytes) -> None:
    events, rejects = read(data)
    assert not events
    assert len(rejects) == len(data.strip())


def test_several_packed_parts_one_after_the_other_are_read_whole(pack: Callable[[bytes], bytes]) -> None:
    """`cat a.gz b.gz` is a valid file, and what log rotation makes."""
    events, rejects = read(pack(line("a") + b"\n") + pack(line("b") + b"\n"))
    assert ids(events) == ["a", "b"]
    assert not rejects


@pytest.mark.parametrize("level", [0, 1, 9])
def test_large_gzip_parts_one_after_the_other_are_read_whole(level: int) -> None:
    """Of a part that unpacks to more than is unpacked at a time, the end comes with the next part behind it."""
    parts = [
        b"".join(line(f"e{n}") + b"\n" for n in range(start, start + 3_000)) for start in (0, 3_000, 6_000)
    ]
    assert len(parts[0]) > 3 * CHUNK_BYTES
    events, rejects = read(b"".join(gzip.compress(part, level) for part in parts))
    assert ids(events) == [f"e{n}" for n in range(9_000)]
    assert not rejects


def test_padding_between_gzip_parts_is_passed_over() -> None:
    events, rejects = read(gzip.compress(line("a") + b"\n") + b"\0" * 512 + gzip.compress(line("b")))
    assert ids(events) == ["a", "b"]
    assert not rejects


def test_fields_of_a_newer_version_are_kept() -> None:
    events, _ = read(line("a")[:-1] + b',"mood":"curious"}\n')
    assert events[0].extra == {"mood": "curious"}


# --- what is broken


def test_a_broken_line_is_named_and_the_rest_goes_on(pack: Callable[[bytes], bytes]) -> None:
    lines = [line(f"e{n}") for n in range(5_000)]
    lines[3_000] = b'{"id": "broken'
    lines[4_000] = msgspec.json.encode({"id": "x", "platform": "sim", "room": "r", "kind": "enter", "at": 5})
    events, rejects = read(pack(b"\n".join(lines)))
    assert len(events) == 4_998
    assert [(each.file, each.line) for each in rejects] == [("f", 3_001), ("f", 4_001)]
    assert str(rejects[1]).startswith("f:4001: ")
    assert "seconds" in rejects[1].reason


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(line("a") + line("b"), id="two on one line"),
        pytest.param(line("a") + b"," + line("b"), id="two with a comma"),
        pytest.param(b"[" + line("a") + b"]", id="an array"),
        pytest.param(b"\xff\xfe{}", id="not UTF-8"),
        pytest.param(
            b'{"id":"a","platform":"p","room":"r","kind":"comment","at":1750000000000}', id="no text"
        ),
        pytest.param(
            b'{"id":"a","platform":"p","room":"r","kind":"stay","at":1750000000000}', id="no seconds"
        ),
        pytest.param(
            b'{"id":"a","platform":"p","room":"r","kind":"stay","text":"a","at":1750000000000}',
            id="no seconds but text",
        ),
        pytest.param(
            b'{"id":"a","platform":"p","room":"r","kind":"comment","seconds":1,"at":1750000000000}',
            id="no text but seconds",
        ),
        pytest.param(
            line("a")[:-1] + b',"extra":{"a":' + b"[" * 40 + b"]" * 40 + b"}}", id="nested too deeply"
        ),
        pytest.param(line("a").replace(b'"v-1"', b'"v\\u00001"'), id="NUL in an identity"),
        pytest.param(line("a") + b"\r" + line("b"), id="two with a lone carriage return"),
        pytest.param("多少钱".encode("gbk"), id="GBK"),
        pytest.param(b'{"extra":' + b"[" * 100_000, id="nested without end"),
        pytest.param(b"null", id="null"),
    ],
)
def test_one_bad_line_costs_only_itself(bad: bytes) -> None:
    events, rejects = read(line("before") + b"\n" + bad + b"\n" + line("after") + b"\n")
    assert ids(events) == ["before", "after"]
    assert [each.line for each in rejects] == [2]


def test_an_object_over_two_lines_is_not_taken_for_one_event() -> None:
    """Whether a line is taken must not depend on how fast its neighbours could be decoded."""
    first, second = line("a").split(b",", 1)
    events, rejects = read(first + b",\n" + second + b"\n" + line("b"))
    assert ids(events) == ["b"]
    assert [each.line for each in rejects] == [1, 2]


@pytest.mark.parametrize("length", [1_000, 1_001, 5_000, 400_000])
@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_a_line_beyond_the_bound_is_rejected_once_and_the_rest_goes_on(length: int, where: str) -> None:
    long = b"x" * length
    before, after = line("before"), line("after")
    lines = {"first": [long, before, after], "middle": [before, long, after], "last": [before, after, long]}
    events, rejects = read(b"\n".join(lines[where]), max_line_bytes=1_000)
    assert ids(events) == ["before", "after"]
    assert [each.line for each in rejects] == [{"first": 1, "middle": 2, "last": 3}[where]]
    assert ("more than 1000 bytes" in rejects[0].reason) == (length > 1_000)


def test_an_endless_line_does_not_fill_the_memory() -> None:
    class Endless:
        """Gives a gigabyte without a line's end."""

        left = 1_000_000_000

        def read(self, size: int) -> bytes:
            return self.read1(size)

        def read1(self, size: int) -> bytes:
            size = min(size, self.left)
            self.left -= size
            return b"x" * size

    rejects: list[FileReject] = []
    assert list(read_batches(Endless(), file="f", on_reject=rejects.append)) == []
    assert [each.line for each in rejects] == [1]


@pytest.mark.parametrize("kind", ["gzip", "zstandard"])
def test_a_truncated_file_gives_all_before_its_end_and_says_where_it_stopped(kind: str) -> None:
    """A recording whose machine lost its power is still a recording."""
    noise = os.urandom  # so that it does not compress, and the cut falls amid the lines
    lines = [line(f"e{n}", name=noise(20).hex()) for n in range(5_000)]
    packed = PACKERS[kind](b"\n".join(lines))
    events, rejects = read(packed[: len(packed) // 2])
    assert 1_000 < len(events) < 4_000
    assert ids(events) == [f"e{n}" for n in range(len(events))]
    assert [each.line for each in rejects] == [len(events) + 1]
    assert "truncated" in rejects[0].reason
    assert kind in rejects[0].reason


@pytest.mark.parametrize("kind", ["gzip", "zstandard"])
def test_a_file_cut_in_its_very_last_bytes_loses_no_event(kind: str) -> None:
    """The cut is in the checksum, or in an empty last block: everything is there, and it is still said."""
    pack = gzip.compress if kind == "gzip" else zstandard.ZstdCompressor(write_checksum=True).compress
    events, rejects = read(pack(line("a") + b"\n" + line("b"))[:-1])
    assert ids(events) == ["a", "b"]
    assert [each.line for each in rejects] == [2]
    assert "truncated" in rejects[0].reason


@pytest.mark.parametrize("kind", ["gzip", "zstandard"])
def test_garbage_after_a_packed_part_is_named(kind: str) -> None:
    events, rejects = read(PACKERS[kind](line("a") + b"\n") + b"garbage")
    assert ids(events) == ["a"]
    assert [each.line for each in rejects] == [2]
    assert "damaged" in rejects[0].reason


@pytest.mark.parametrize(
    ("head", "word"),
    [(b"BZh9", "bzip2"), (b"\xfd7zXZ\0", "xz"), (b"PK\x03\x04", "zip"), ('{"id"'.encode("utf-16"), "UTF-16")],
)
def test_other_formats_are_named_instead_of_a_thousand_broken_lines(head: bytes, word: str) -> None:
    events, rejects = read(head + b"\n1\n2\n3\n")
    assert not events
    assert len(rejects) == 1
    assert word in rejects[0].reason


@pytest.mark.parametrize("kind", ["gzip", "zstandard"])
def test_a_bomb_is_unpacked_piece_by_piece(kind: str) -> None:
    """A few KiB that unpack to far more than memory should hold at once."""
    bomb = PACKERS[kind](b"x" * 200_000_000)
    assert len(bomb) < 250_000
    tracemalloc.start()
    try:
        events, rejects = read(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert not events
    assert [each.line for each in rejects] == [1]
    assert peak < 80_000_000


@settings(deadline=None)  # a busy machine is no failure
@given(st.binary(max_size=400), st.sampled_from(sorted(PACKERS)), st.integers(0, 400))
def test_no_bytes_whatever_break_the_reader(data: bytes, kind: str, cut: int) -> None:
    events, _ = read(PACKERS[kind](data)[:cut])
    assert all(isinstance(each, Event) for each in events)


Lines = st.lists(
    st.one_of(
        st.integers(0, 99).map(lambda n: line(f"e{n}")),
        st.sampled_from([b"", b" ", b"{}", b"broken", b'{"id":"a",', line("x") + line("y"), b"\r"]),
        st.integers(90, 300).map(lambda n: b"x" * n),
    ),
    max_size=30,
)


@settings(deadline=None)  # a busy machine is no failure
@given(Lines, st.integers(120, 260))
def test_the_fast_way_and_the_line_by_line_way_agree(lines: list[bytes], bound: int) -> None:
    """Against a plain model: each line by itself, none longer than the bound."""
    events, rejects = read(b"\n".join(lines), max_line_bytes=bound)
    expected: list[str] = []
    bad: list[int] = []
    for number, each in enumerate(lines, 1):
        try:
            if each.strip() and len(each) > bound:
                raise ValueError
            if each.strip():
                expected.append(msgspec.json.decode(each, type=Event).id)
        except ValueError:
            bad.append(number)
    assert ids(events) == expected
    assert [each.line for each in rejects] == bad


def test_the_corpus_of_mistakes_is_named_line_by_line_and_the_rest_is_kept() -> None:
    """The same verdict as for each line by itself; a block with a mistake takes another way than one without."""
    bad, good = hostile.corpus("refused"), hostile.corpus("kept")
    data = b"\n".join([*bad, *good, *bad])
    events, rejects = read(data)
    far = [b'"at: 2099"' in each for each in good].index(True)
    assert [event.id for event in events] == [decode_event(each).id for each in good if each is not good[far]]
    lines = [*range(1, len(bad) + 1), len(bad) + far + 1]
    assert [each.line for each in rejects if each.line <= len(bad) + len(good)] == lines
    assert len(rejects) == 2 * len(bad) + 1


@pytest.mark.parametrize("what", sorted(hostile.too_large()))
def test_a_line_that_is_too_large_costs_only_itself(what: str) -> None:
    events, rejects = read(line("a") + b"\n" + hostile.too_large()[what] + b"\n" + line("b"))
    assert ids(events) == ["a", "b"]
    assert [each.line for each in rejects] == [2]


@pytest.mark.parametrize("kind", sorted(hostile.bombs()))
def test_a_hundred_million_empty_lines_are_passed_over(kind: str) -> None:
    """A bomb that would hurt by its lines instead of by its bytes."""
    bomb = hostile.bombs()[kind]
    assert len(bomb) < 500_000
    events, rejects = read(bomb + PACKERS[kind](b"broken"))
    assert not events
    assert [each.line for each in rejects] == [100_000_001]


# --- times

FAR = 4_000_000_000_000  # 2096


@pytest.mark.parametrize("field", ["at", "seen_at"])
@pytest.mark.parametrize("place", [0, 1, 700, 1_999])
def test_a_line_from_the_future_is_named_and_does_not_move_time_for_the_rest(field: str, place: int) -> None:
    lines = [line(f"e{n}", at=T0 + n) for n in range(2_000)]
    lines[place] = line("far", **{"at": T0, field: FAR})
    for data in (b"\n".join(lines), b"\n\n".join(lines)):
        events, rejects = read(data)
        assert ids(events) == [f"e{n}" for n in range(2_000) if n != place]
        assert [(each.line, each.reason) for each in rejects] == [
            (data[: data.index(b'"far"')].count(b"\n") + 1, TOO_FAR_AHEAD)
        ]


def test_however_a_file_arrives_the_same_lines_are_believed() -> None:
    """A pipe gives what it has; what is refused must not hang on that."""

    class Trickle:
        """Gives a few bytes at a time."""

        def __init__(self, data: bytes, size: int) -> None:
            self.rest = io.BytesIO(data)
            self.size = size

        def read(self, size: int) -> bytes:
            return self.rest.read(size)

        def read1(self, size: int) -> bytes:
            return self.rest.read(min(size, self.size))

    days = [0, 400, 400, 1, 0, 0, 900, 0, 30, 30, 30, 0, 30, 30, 30, 30, 30, 900, 30, 30, 30, 30, 30, 30, 900]
    lines = [line(f"e{n}", at=T0 + day * 86_400_000) for n, day in enumerate(days)]
    outcomes: list[tuple[list[str], list[FileReject]]] = []
    for size in (1, 7, 150, 1_000, 1_000_000):
        rejects: list[FileReject] = []
        source = Trickle(b"\n".join(lines), size)
        events = flat(read_batches(source, file="f", on_reject=rejects.append))
        outcomes.append((ids(events), rejects))
    assert all(each == outcomes[0] for each in outcomes)
    assert [each.line for each in outcomes[0][1]] == [2, 3, 7, 18, 25]


def test_one_wrong_line_does_not_hold_its_file_back_while_files_are_merged(write: Callable[..., str]) -> None:
    one = write("one", [event("far", at=FAR), *(event(f"a{n}", at=T0 + 2 * n) for n in range(20))])
    two = write("two", [event(f"b{n}", at=T0 + 2 * n + 1) for n in range(20)])
    rejects: list[FileReject] = []
    merged = flat(merge_by_time([one, two], rejects.append))
    assert [each.at for each in merged] == list(range(T0, T0 + 40))
    assert [(each.file, each.line) for each in rejects] == [(one, 1)]


def test_nothing_is_merged_behind_its_own_arrival(write: Callable[..., str]) -> None:
    """The engine takes an event's time as no later than its arrival; a platform's clock may run ahead."""
    one = write("one", [event("a", at=T0 + 60_000, seen_at=T0), event("b", at=T0 + 60_001, seen_at=T0 + 1)])
    two = write("two", [event("c", at=T0 + 5, seen_at=T0 + 5)])
    assert ids(flat(merge_by_time([two, one], no_rejects))) == ["a", "b", "c"]


# --- iterators for replay


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def write(name: str, events: list[Event], packer: Callable[[bytes], bytes] = bytes) -> str:
        path = tmp_path / name
        path.write_bytes(packer(b"".join(msgspec.json.encode(each) + b"\n" for each in events)))
        return str(path)

    return write


def flat(batches: Iterator[list[Event]]) -> list[Event]:
    return [each for batch in batches for each in batch]


def test_batches_have_the_size_that_was_asked_for(write: Callable[..., str]) -> None:
    path = write("a.ndjson", [event(f"e{n}") for n in range(5_000)])
    sizes = [len(batch) for batch in iter_batches(path, no_rejects, batch_lines=1_024)]
    assert sizes == [1_024] * 4 + [904]


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.integers(0, 7)), st.integers(1, 5))
def test_rebatching_changes_only_where_batches_end(sizes: list[int], size: int) -> None:
    batches = [[event(f"{b}-{n}") for n in range(count)] for b, count in enumerate(sizes)]
    cut = list(rebatch(batches, size))
    assert [each for batch in cut for each in batch] == [each for batch in batches for each in batch]
    assert all(len(batch) == size for batch in cut[:-1])
    assert all(0 < len(batch) <= size for batch in cut)


def test_a_missing_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.ndjson"):
        list(iter_batches(str(tmp_path / "nothing.ndjson"), no_rejects))


def test_merging_gives_one_stream_in_event_time_whatever_the_order_of_the_files(
    write: Callable[..., str],
) -> None:
    a = write("a.ndjson", [event(f"a{n}", at=T0 + 3 * n) for n in range(2_000)])
    b = write("b.ndjson.gz", [event(f"b{n}", at=T0 + 2 * n) for n in range(2_000)], gzip.compress)
    c = write("c.ndjson.zst", [event(f"c{n}", at=T0 + 50_000 + n) for n in range(2_000)], zstd)
    merged = flat(merge_by_time([a, b, c], no_rejects))
    assert [(each.at, each.id) for each in merged] == sorted((each.at, each.id) for each in merged)
    assert len(merged) == 6_000
    for order in ([c, b, a], [b, a, c]):
        assert flat(merge_by_time(order, no_rejects)) == merged


def test_equal_times_are_ordered_by_platform_room_session_and_id(write: Callable[..., str]) -> None:
    one = write("one", [event("z", platform="a"), event("a", platform="b", room="x")])
    two = write("two", [event("b", platform="a", session="s")])
    three = write("three", [event("c", platform="b", room="w")])
    expected = ["z", "b", "c", "a"]
    assert ids(flat(merge_by_time([one, two, three], no_rejects))) == expected
    assert ids(flat(merge_by_time([three, two, one], no_rejects))) == expected


Rooms = st.lists(st.lists(st.integers(0, 5), max_size=6), min_size=1, max_size=4)


@settings(deadline=None)  # a busy machine is no failure
@given(Rooms, st.randoms(use_true_random=False))
def test_the_names_of_files_and_their_order_do_not_matter(rooms: list[list[int]], rng: random.Random) -> None:
    """Each file a room; times often equal. What it must be: each room's own order, and one order of all."""
    made = [
        [event(f"{n}", platform="p", room=f"r{place}", at=T0 + at) for n, at in enumerate(times)]
        for place, times in enumerate(rooms)
    ]
    outcomes: list[list[Event]] = []
    for _ in range(3):
        names = rng.sample(["a", "b", "c", "d"], len(made))
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder, name) for name in names]
            for path, events in zip(paths, made, strict=True):
                path.write_bytes(b"\n".join(map(encode_event, events)))
            rng.shuffle(paths)
            outcomes.append(flat(merge_by_time([str(path) for path in paths], no_rejects)))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    for place, events in enumerate(made):
        assert [each for each in outcomes[0] if each.room == f"r{place}"] == events


def test_within_a_file_events_keep_their_order_even_where_time_falls(write: Callable[..., str]) -> None:
    one = write("one", [event("a", at=T0 + 10), event("late", at=T0 + 3), event("b", at=T0 + 30)])
    two = write("two", [event("x", at=T0 + 5), event("y", at=T0 + 20)])
    for order in ([one, two], [two, one]):
        assert ids(flat(merge_by_time(order, no_rejects))) == ["x", "a", "late", "y", "b"]


def test_the_same_event_in_two_files_comes_twice(write: Callable[..., str]) -> None:
    """Dropping duplicates is the engine's work, which counts them."""
    one, two = write("one", [event("a")]), write("two", [event("a")])
    assert ids(flat(merge_by_time([one, two], no_rejects))) == ["a", "a"]


def test_rejects_name_the_file_that_they_are_in(write: Callable[..., str], tmp_path: Path) -> None:
    good = write("good.ndjson", [event("a")])
    bad = tmp_path / "bad.ndjson"
    bad.write_bytes(b"nonsense\n" + line("b") + b"\n")
    rejects: list[FileReject] = []
    assert len(flat(merge_by_time([good, str(bad)], rejects.append))) == 2
    assert [(each.file, each.line) for each in rejects] == [(str(bad), 1)]


def test_standard_input_can_be_named_only_once() -> None:
    with pytest.raises(ValueError, match="only once"):
        list(merge_by_time(["-", "-"], no_rejects))


Streams = st.lists(st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=4), max_size=4), max_size=4)


@settings(deadline=None)  # a busy machine is no failure
@given(Streams)
def test_merging_is_the_same_as_taking_the_least_head_each_time(streams: list[list[list[int]]]) -> None:
    made = [
        [[event(f"{s}-{b}-{n}", at=T0 + at) for n, at in enumerate(batch)] for b, batch in enumerate(batches)]
        for s, batches in enumerate(streams)
    ]
    heads = [[each for batch in batches for each in batch] for batches in made]
    expected: list[str] = []
    while any(heads):
        least = min((head for head in heads if head), key=lambda head: (head[0].at, head[0].id))
        expected.append(least.pop(0).id)
    assert ids(flat(merge([iter(batches) for batches in made]))) == expected


def test_standard_input_is_read_as_a_stream() -> None:
    """In a process of its own: what a shell's pipe gives, packed or not."""
    program = (
        "from frontrow_connectors.file import iter_batches\n"
        "print(sum(len(b) for b in iter_batches('-', lambda r: print(r))))"
    )
    data = b"".join(line(f"e{n}") + b"\n" for n in range(3_000)) + b"broken\n"
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=gzip.compress(data),
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=30,
    )
    told, count = done.stdout.decode().splitlines()
    assert told.startswith("-:3001: ")
    assert count == "3000"


@pytest.mark.recordings
def test_recorded_streams_are_read_without_a_reject(recordings: Path) -> None:
    files = sorted(str(each) for each in recordings.glob("streams/*/*.ndjson.gz"))
    assert files
    merged = flat(merge_by_time(files, no_rejects))
    assert len(merged) == sum(len(batch) for each in files for batch in iter_batches(each, no_rejects))
    assert all(a.at <= b.at for a, b in itertools.pairwise(merged))


# --- the live feed


@contextlib.contextmanager
def playing(
    options: FileOptions, intake: RecordingIntake, clock: ManualClock
) -> Iterator[asyncio.Task[None]]:
    task = asyncio.ensure_future(FileFeed(options, intake.context(clock, room=ROOM)).run())
    try:
        yield task
    finally:
        task.cancel()


async def test_a_file_is_delivered_and_the_feed_ends(write: Callable[..., str]) -> None:
    path = write("a.ndjson.gz", [event(f"e{n}") for n in range(3_000)], gzip.compress)
    intake = RecordingIntake()
    with playing(FileOptions(path=path), intake, ManualClock()) as task:
        await asyncio.wait_for(task, 10)
    assert ids(intake.events) == [f"e{n}" for n in range(3_000)]
    assert [status.state for status in intake.statuses] == [
        FeedState.CONNECTING,
        FeedState.CONNECTED,
        FeedState.ENDED,
    ]
    assert intake.statuses[-1].sentence == f"Ended: {path} is read, 3000 events taken, 0 lines rejected."


async def test_the_end_is_said_only_when_the_last_event_is_durable(write: Callable[..., str]) -> None:
    intake = RecordingIntake(hold=True)
    with playing(FileOptions(path=write("a", [event("a")])), intake, ManualClock()) as task:
        await intake.until(1)
        await settle()
        assert [status.state for status in intake.statuses] == [FeedState.CONNECTING, FeedState.CONNECTED]
        intake.make_durable()
        await asyncio.wait_for(task, 5)
    assert intake.statuses[-1].state is FeedState.ENDED


async def test_a_broken_line_is_logged_with_file_and_line_and_counted_by_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(line("a") + b"\n" + b"secret words of a viewer\n" + line("b") + b"\n")
    intake = RecordingIntake()
    with (
        structlog.testing.capture_logs() as logs,
        playing(FileOptions(path=str(path)), intake, ManualClock()) as task,
    ):
        await asyncio.wait_for(task, 5)
    assert ids(intake.events) == ["a", "b"]
    assert len(intake.rejected) == 1
    assert [(each["file"], each["line"]) for each in logs] == [(str(path), 2)]
    assert "viewer" not in str(logs) + str(intake.rejected)


async def test_events_of_other_rooms_and_of_the_daemon_are_refused(write: Callable[..., str]) -> None:
    path = write(
        "a",
        [event("a"), event("b", room="other"), event("c", platform="x"), event("d", kind="policy_change")],
    )
    intake = RecordingIntake()
    with playing(FileOptions(path=path), intake, ManualClock()) as task:
        await asyncio.wait_for(task, 5)
    assert ids(intake.events) == ["a"]
    assert len(intake.rejected) == 3


async def test_speed_paces_by_event_time(write: Callable[..., str]) -> None:
    path = write(
        "a", [event("a"), event("b", at=T0 + 10_000), event("c", at=T0 + 10_001), event("d", at=T0 + 30_000)]
    )
    intake, clock = RecordingIntake(), ManualClock()
    with playing(FileOptions(path=path, speed=10), intake, clock) as task:
        await clock.until_sleeping()
        assert ids(intake.events) == ["a"]
        await clock.advance(0.99)
        assert ids(intake.events) == ["a"]
        await clock.advance(0.05)
        assert ids(intake.events) == ["a", "b", "c"]
        await clock.advance(1.9)
        assert len(intake.events) == 3
        await clock.advance(0.1)
        await asyncio.wait_for(task, 5)
    assert ids(intake.events) == ["a", "b", "c", "d"]


async def test_a_late_event_does_not_turn_the_pace_back(write: Callable[..., str]) -> None:
    path = write(
        "a", [event("a"), event("b", at=T0 + 5_000), event("late", at=T0 + 1_000), event("c", at=T0 + 6_000)]
    )
    intake, clock = RecordingIntake(), ManualClock()
    with playing(FileOptions(path=path, speed=1), intake, clock) as task:
        await clock.until_sleeping()
        await clock.advance(5.01)
        assert ids(intake.events) == ["a", "b", "late"]
        await clock.advance(1)
        await asyncio.wait_for(task, 5)


async def test_a_line_from_the_future_does_not_stop_a_file_that_keeps_its_pace(
    write: Callable[..., str],
) -> None:
    """At its pace it would be due in seventy years, and everything behind it."""
    path = write("a", [event("a"), event("far", at=FAR), event("b", at=T0 + 10), event("c", at=T0 + 20)])
    intake, clock = RecordingIntake(), ManualClock()
    with playing(FileOptions(path=path, speed=1), intake, clock) as task:
        await clock.until_sleeping()
        await clock.advance(1)
        await asyncio.wait_for(task, 5)
    assert ids(intake.events) == ["a", "b", "c"]
    assert intake.rejected == [TOO_FAR_AHEAD]


async def test_retiming_shows_a_recording_as_if_it_happened_now(write: Callable[..., str]) -> None:
    path = write("a", [event("a", session="s", seen_at=T0), event("b", at=T0 + 20_000, session="s")])
    intake, clock = RecordingIntake(), ManualClock(now_ms=T0 + 999_000_000)
    with playing(FileOptions(path=path, speed=2, retime=True), intake, clock) as task:
        await clock.until_sleeping()
        await clock.advance(10)
        await asyncio.wait_for(task, 5)
    assert [each.at for each in intake.events] == [T0 + 999_000_000, T0 + 999_010_000]
    assert all(each.seen_at is None for each in intake.events)
    assert len({each.session for each in intake.events}) == 1


def test_two_showings_of_one_recording_have_different_ids_and_sessions() -> None:
    recorded = event("a" * 256, session="s" * 256)
    first = Retimer(start=T0, speed=1).move(recorded)
    second = Retimer(start=T0 + 1, speed=1).move(recorded)
    assert len({first.id, second.id, recorded.id}) == 3
    assert len({first.session, second.session, recorded.session}) == 3
    assert len({Retimer(start=T0, speed=1).move(event(f"{n}" + "a" * 255)).id for n in range(9)}) == 9
    msgspec.convert(msgspec.to_builtins(first), Event)  # still within all bounds


def test_retiming_without_a_speed_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="speed"):
        msgspec.convert({"path": "a", "retime": True}, FileOptions)


async def test_a_missing_file_is_said_and_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "later.ndjson"
    intake, clock = RecordingIntake(), ManualClock()
    with playing(FileOptions(path=str(path)), intake, clock) as task:
        await clock.until_sleeping()
        assert intake.statuses[-1].state is FeedState.REFUSED
        assert "No such file" in intake.statuses[-1].sentence
        path.write_bytes(line("a"))
        await clock.advance(REFUSED_WAIT_S)
        await asyncio.wait_for(task, 5)
    assert ids(intake.events) == ["a"]


async def test_lines_of_a_pipe_arrive_as_they_are_written(tmp_path: Path) -> None:
    """`tail -F` writes a line now and then: it must not wait until a batch is full."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    intake = RecordingIntake()
    with playing(FileOptions(path=str(path)), intake, ManualClock()) as task:
        with await asyncio.to_thread(path.open, "wb", 0) as pipe:
            pipe.write(line("a") + b"\n")
            await intake.until(1)
            pipe.write(line("b") + b"\n")
            await intake.until(2)
        await asyncio.wait_for(task, 5)
    assert intake.statuses[-1].state is FeedState.ENDED


async def test_a_full_intake_stops_the_reading_and_a_cancelled_feed_leaves_no_thread(tmp_path: Path) -> None:
    """Otherwise a large file would fill the memory while the daemon is busy."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    written = 0

    def write_without_end() -> None:
        nonlocal written
        block = b"".join(line(f"e{n}") + b"\n" for n in range(500))
        with contextlib.suppress(BrokenPipeError), path.open("wb", 0) as pipe:
            while True:
                written += pipe.write(block)

    class FullIntake(RecordingIntake):
        async def put(self, events: Sequence[Event]) -> Awaitable[Receipt]:
            await asyncio.Event().wait()
            raise AssertionError

    intake = FullIntake()
    writer = threading.Thread(target=write_without_end, daemon=True)
    with playing(FileOptions(path=str(path)), intake, ManualClock()) as task:
        writer.start()
        await intake.until_state(FeedState.CONNECTED)
        stands = -1
        async with asyncio.timeout(10):
            while stands != written:  # the pipe is full and nobody reads
                stands = written
                await asyncio.sleep(0.1)
        assert written < 8 * CHUNK_BYTES
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(10):
            while writer.is_alive() or any(each.name == "frontrow-file" for each in threading.enumerate()):
                await asyncio.sleep(0.005)
