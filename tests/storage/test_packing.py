"""How frames are written: with the compiled kernel and without it the same bytes, whatever the columns hold.

The chain of a journal is over these bytes, and so are the digests of journals that are compared.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.core import kernel
from frontrow.core.frames import Frame
from frontrow.storage.frames import Blobs, pack, span, unpack
from tests.support.kernels import without_kernel

EDGES = [0, 31, 32, 127, 128, 255, 256, 65_535, 65_536, (1 << 32) - 1, 1 << 32, (1 << 63) - 1]
EDGES += [-number for number in EDGES] + [-33, -129, -32_769, -(1 << 31) - 1, -(1 << 63)]
TEXTS = [
    "",
    "\0",
    '"',
    "\\",
    "\x1f\x7f\x80",
    "é" * 31,
    "多" * 11,
    "😀" * 8,
    "a" * 255,
    "a" * 256,
    "多" * 22_000,
]

words = st.text(st.characters(codec="utf-8"), max_size=40) | st.sampled_from(TEXTS)
numbers = st.integers(-(1 << 63), (1 << 63) - 1) | st.sampled_from(EDGES)
values = st.none() | st.booleans() | words | numbers

COLUMNS = {
    "ids": words, "platforms": words, "rooms": words, "kinds": st.sampled_from(["comment", "like", "comments", ""]),
    "ats": numbers, "seen_ats": st.none() | numbers, "sessions": st.none() | words, "viewers": st.none() | words,
    "names": st.none() | words, "texts": st.none() | words, "counts": st.none() | numbers,
    "values": st.none() | numbers, "fans": st.none() | st.booleans(), "staffs": st.none() | st.booleans(),
    "tests": st.booleans(), "facts": st.integers(0, 65_535), "sketches": st.integers(0, (1 << 48) - 1),
}  # fmt: skip


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    """Columns that hold anything of their kind, or one thing alone, as most columns do."""
    events = draw(st.integers(1, 20))
    columns: dict[str, Any] = {
        name: draw(st.lists(each, min_size=events, max_size=events) | each.map(lambda same: [same] * events))
        for name, each in COLUMNS.items()
    }
    extra = st.dictionaries(words, st.none() | st.integers() | words, max_size=3)
    seldom: dict[str, dict[str, Any]] = draw(
        st.fixed_dictionaries({}, optional={name: st.builds(dict, extra) for name in ("extra", "fields")})
    )
    return Frame(**columns, seldom={name: {0: value} for name, value in seldom.items()})


@pytest.mark.usefixtures("kernel_present")
@given(frame=frames())
def test_both_ways_write_the_same_and_it_reads_back(frame: Frame) -> None:
    blobs, times = pack(frame), span(frame)
    with without_kernel():
        assert (pack(frame), span(frame)) == (blobs, times)
    found = unpack(blobs, where="here")
    for column in fields(Frame):
        if column.name != "sketches":  # of comments alone
            assert getattr(found, column.name) == getattr(frame, column.name), column.name


def blobs_or_error(frame: Frame) -> Blobs | str:
    try:
        return pack(frame)
    except (UnicodeEncodeError, OverflowError, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


@pytest.mark.usefixtures("kernel_present")
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("ids", "half a pair: \ud83d"), ("viewers", "\udc00"), ("names", "a\ud800b"), ("texts", "多\udfff"),
        ("ids", 1.5), ("names", 7), ("names", ["a"]), ("texts", True), ("kinds", None),
        ("ats", 1 << 63), ("ats", 1 << 64), ("ats", None), ("seen_ats", -(1 << 63) - 1), ("seen_ats", True),
        ("counts", 1 << 63), ("counts", (1 << 64) - 1), ("values", 1 << 64), ("values", -(1 << 63) - 1),
        ("counts", 2.5), ("fans", 1), ("tests", 1), ("tests", None), ("facts", 65_536), ("facts", -1), ("facts", True),
        ("sketches", 1 << 48), ("sketches", (1 << 64) - 1), ("sketches", 1 << 64), ("sketches", -1),
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_no_event_holds_is_written_or_refused_alike(column: str, value: object, place: int) -> None:
    """Events are checked before they come here; if one day they were not, a journal would not depend on the kernel."""
    three = {
        name: [0] * 3 for name in ("ats", "facts", "sketches")
    } | {name: ["comment"] * 3 for name in ("ids", "platforms", "rooms", "kinds")}  # fmt: skip
    rest = {each.name: [None] * 3 for each in fields(Frame) if each.name not in (*three, "seldom")}
    columns: dict[str, Any] = three | rest | {"tests": [False] * 3}
    columns[column] = [*columns[column][:place], value, *columns[column][place + 1 :]]
    frame = Frame(**columns)
    compiled = blobs_or_error(frame)
    with without_kernel():
        assert blobs_or_error(frame) == compiled


def test_a_frame_is_written_the_same_whatever_was_written_before() -> None:
    """What compresses is used again and again, and is to remember nothing."""
    drawn = np.random.default_rng(7)

    def words_of(many: int) -> list[str]:
        return [f"v{number}" for number in drawn.integers(0, 300, many).tolist()]

    def frame(events: int) -> Frame:
        made = {name: words_of(events) for name in ("ids", "platforms", "rooms", "kinds", "viewers", "texts")}
        rest = {each.name: [None] * events for each in fields(Frame) if each.name not in (*made, "seldom")}
        zeros = {name: [0] * events for name in ("ats", "seen_ats", "facts", "sketches")}
        columns: dict[str, Any] = made | rest | zeros | {"tests": [False] * events}
        return Frame(**columns)

    made = [frame(events) for events in (1, 4_096, 3, 256, 8_192, 1_024, 2)]
    once = [pack(each) for each in made]
    assert [pack(each) for each in reversed(made)] == once[::-1]


# ---------------------------------------------------------------------- the kernel's columns


def compiled() -> Any:
    assert kernel.compiled is not None
    return kernel.compiled


@pytest.mark.usefixtures("kernel_present")
@given(column=st.lists(values, max_size=40))
def test_columns_are_written_as_msgspec_writes_them(column: list[Any]) -> None:
    assert compiled().msgpack_column(column) == msgspec.msgpack.encode(column)
    texts = [value for value in column if value is None or isinstance(value, str)]
    assert compiled().json_column(texts) == msgspec.json.encode(texts)


@pytest.mark.usefixtures("kernel_present")
@pytest.mark.parametrize("length", [0, 1, 15, 16, 65_535, 65_536])
def test_columns_of_any_length_are_written_as_msgspec_writes_them(length: int) -> None:
    for value in (None, True, -1, "viewer"):
        column = [value] * length
        assert compiled().msgpack_column(column) == msgspec.msgpack.encode(column)
    for text in (None, "name", "\x00" * 9):
        assert compiled().json_column([text] * length) == msgspec.json.encode([text] * length)


@pytest.mark.usefixtures("kernel_present")
def test_every_character_is_written_as_msgspec_writes_it() -> None:
    whole = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    assert compiled().json_column(whole) == msgspec.json.encode(whole)
    assert compiled().msgpack_column(whole) == msgspec.msgpack.encode(whole)


@pytest.mark.usefixtures("kernel_present")
def test_a_column_that_need_not_be_told_is_not() -> None:
    assert compiled().msgpack_column([None, None], None) == b"\xc0"
    assert compiled().msgpack_column([], None) == b"\xc0"
    assert compiled().msgpack_column([None, 0], None) == b"\x92\xc0\x00"
    assert compiled().json_column([None, None], None) == b"null"
    assert compiled().json_column([None, ""], None) == b'[null,""]'


@pytest.mark.usefixtures("kernel_present")
@pytest.mark.parametrize(
    "wrong",
    [
        lambda: compiled().msgpack_column(("a",)),
        lambda: compiled().json_column([], None, None),
        lambda: compiled().json_column(),
        lambda: compiled().write_differences((1,)),
        lambda: compiled().least_and_most("1"),
        lambda: compiled().write_numbers([1], 0),
        lambda: compiled().write_numbers([1], 9),
        lambda: compiled().write_numbers([1], "1"),
        lambda: compiled().write_numbers([1], 2, ["a"]),
        lambda: compiled().write_numbers([1], 2, ["a"], b"a"),
        lambda: compiled().write_numbers([1, 2], 2, ["a"], "a"),
    ],
)
def test_what_is_no_column_is_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        wrong()
