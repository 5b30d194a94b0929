"""The compiled kernel by itself: what is not of the form that its callers give is refused, and nothing is kept for longer than it is needed.

That it gives what Python gives is asked where its callers are tested. The crowd's state has tests of its own
(test_crowd_compiled.py).
"""

import gc
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from frontrow.core import kernel
from frontrow.core.decoding import decode_columns

pytestmark = pytest.mark.usefixtures("kernel_present")

KIND = ("kind", "k", False, True, True, 0, 1, 64, None)
SIGNS, ROWS, EVENTS, FED = 3, 4, 2, 2
SETTINGS = [100, 60, 30, 50, 20, 100, 60_000, 255, 100, 60_000, 1, 2, 4, 8]


def compiled() -> Any:
    assert kernel.compiled is not None
    return kernel.compiled


def nothing(_: bytes) -> None:
    return None


def read(fields: tuple[tuple[object, ...], ...], block: bytes) -> Any:
    layout = compiled().event_layout(fields, 0, (("comment", 0),))
    return compiled().read_events(layout, block, nothing, nothing, False)


# ---------------------------------------------------------------------- columns


def test_kinds_from_outside_are_not_interned() -> None:
    """In Python 3.12 whatever is interned stays for good, and a feed may invent kinds without end."""
    line = '{"id":"1","platform":"p","room":"r","kind":"%s","at":1767268800000}'
    for invented in ("invented here", "invented h\\u0065re"):
        frame = decode_columns((line % invented).encode())
        assert frame is not None
        [found] = frame.kinds
        assert found == "invented here"
        assert sys.intern("".join(list(found))) is not found


@pytest.mark.parametrize("kind", ["comment", "c\\u006fmment"])
def test_a_kind_is_known_however_it_is_written(kind: str) -> None:
    line = '{"id":"1","platform":"p","room":"r","kind":"comment","at":1767268800000}'.replace("comment", kind)
    assert decode_columns(line.encode()) is None  # a comment needs a text
    assert decode_columns(line.replace("{", '{"text":"",').encode()) is not None


def test_a_text_is_as_long_as_its_characters() -> None:
    short = ("name", "t", False, False, False, 1, 3, 4, None)
    assert read((KIND, short), '{"kind":"a","name":"多"}'.encode()) is None
    assert read((KIND, short), b'{"kind":"a","name":"\\u591a"}') is None
    assert read((KIND, short), '{"kind":"a","name":"多多多"}'.encode()) == (["a"], ["多多多"], {})


def test_null_is_none_whatever_stands_for_a_field_that_is_not_given() -> None:
    count = ("count", "i", True, False, False, 1, 0, 9, 7)
    assert read((KIND, count), b'{"kind":"a","count":null}\n{"kind":"a"}') == (["a", "a"], [None, 7], {})


@pytest.mark.parametrize(
    ("fields", "needs"),
    [
        ((KIND, ("x", "i", False, False, False, 64, 0, 9, None)), ()),
        ((KIND,), (("comment", 1),)),
        ((KIND,), (("comment", -1),)),
        ((KIND,), (("comment", 0),) * 9),
        ((KIND, ("a name of 14 c", "i", False, False, False, 1, 0, 9, None)), ()),
        ((KIND,) * 65, ()),
        ((), ()),
    ],
)
def test_a_layout_has_room_for_all(fields: tuple[Any, ...], needs: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError):
        compiled().event_layout(fields, 0, needs)


def test_values_may_change_the_list_that_is_coded() -> None:
    column: list[Any] = []

    class Odd:
        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            column.clear()
            return False

    column += [Odd() for _ in range(8)]
    values, codes = compiled().code_column(column)
    assert len(codes) == 16
    assert values[-1] is None


# ---------------------------------------------------------------------- directory


def test_a_slot_without_a_row_is_nobody() -> None:
    """Never written so; yet row -1 would be in front of the arrays."""
    mask, rows, sessions = (1 << 64) - 1, np.zeros(1, np.int64), np.zeros(1, np.int64)
    tag = (hash("v") * 0xD6E8FEB86659FD93 & mask) >> 33
    table = np.zeros(64, np.int64)
    table[tag >> 25] = tag << 32
    heads, session_of = np.zeros((4, 3), np.uint64), np.zeros(4, np.int32)
    assert compiled().directory_rows(rows, sessions, ["v"], table, 25, heads, session_of) == []
    assert rows.tolist() == [-1]


# ---------------------------------------------------------------------- rooms


def ahead(**changed: Any) -> Any:
    session = SimpleNamespace(open=True, id="s", started_at=0, ended_at=None, last_at=5, number=7)
    state = SimpleNamespace(sessions=SimpleNamespace(current=session), last_event_at=5)
    given: dict[str, Any] = {
        "rooms": {("p", "r"): state},
        "platforms": ["p"] * EVENTS,
        "names": ["r"] * EVENTS,
        "sessions": [None] * EVENTS,
        "bounds": (0, EVENTS, 1, 100),
        "bits": np.zeros(EVENTS, np.int64),
        "at": np.array([6, 9]),
        "which": np.zeros(EVENTS, np.int64),
        "numbers": np.zeros(EVENTS, np.int64),
    } | changed
    found = compiled().sessions_ahead(*given.values())
    assert found is None or found == ([state], [session])
    return found, state.last_event_at, given["which"].tolist(), given["numbers"].tolist()


def test_sessions_that_go_on_are_found() -> None:
    assert ahead()[0] is not None
    assert ahead()[1:] == (9, [0, 0], [7, 7])
    assert ahead(bits=np.array([0, 1]))[1:] == (6, [0, -1], [7, -1])


@pytest.mark.parametrize(
    "changed",
    [
        {"bits": np.ones(EVENTS, np.int64)},
        {"rooms": {}},
        {"names": ["r", "other"]},
        {"platforms": ["p", "other"]},
        {"sessions": ["s", None]},
        {"sessions": ["t", "t"]},
        {"at": np.array([6, 106])},
        {"at": np.array([6, -1])},
    ],
)
def test_where_a_session_may_not_go_on_nothing_is_noted(changed: dict[str, Any]) -> None:
    assert ahead(**changed)[:2] == (None, 5)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"bounds": (-1, EVENTS, 1, 100)}, ValueError),
        ({"bounds": (0, EVENTS + 1, 1, 100)}, ValueError),
        ({"bounds": (2, 1, 1, 100)}, ValueError),
        ({"which": np.zeros(1, np.int64)}, ValueError),
        ({"at": np.zeros(EVENTS, np.int32)}, TypeError),
        ({"names": ["r"]}, ValueError),
        ({"names": ["r", None]}, TypeError),
        ({"names": ["r", "\ud800" * 2]}, None),
        ({"names": 5}, TypeError),
        ({"rooms": {("p", "r"): None}}, AttributeError),
    ],
)
def test_what_is_no_frame_of_rooms_is_told(changed: dict[str, Any], error: type[Exception] | None) -> None:
    if error is None:
        assert ahead(**changed)[0] is None
        return
    with pytest.raises(error):
        ahead(**changed)


def test_ids_are_known_from_the_second_time_on() -> None:
    table, name = compiled().SeenTable(24), "a room".replace("a", "the")
    before = sys.getrefcount(name)
    asked = ["p"] * 5, [name, name, "s", name, "s"], ["1", "2", "1", "2", "3"], [None] * 5, [7] * 5
    assert table.take(*asked) == [3]
    assert table.take(*asked) == [0, 1, 2, 3, 4]
    assert (len(table), table.now) == (4, 7)
    del asked
    assert sys.getrefcount(name) == before + 1
    table.take(["p"], ["s"], ["4"], [26 * 3_600_000], [7])
    assert sys.getrefcount(name) == before
    assert (len(table), table.now) == (1, 26 * 3_600_000)


@pytest.mark.parametrize(
    "wrong",
    [
        ([], ["r"], ["1"], [1], [1]),
        (["p"], ["r"], ["1"], [1], [1, 2]),
        (["p"], [None], ["1"], [1], [1]),
        ([b"p"], ["r"], ["1"], [1], [1]),
        (["p"], ["r"], [[]], [1], [1]),
        (["p"], ["r"], ["1"], ["1"], [1]),
        (["p"], ["r"], ["1"], [1 << 64], [1]),
        (["p"], ["r"], ["1"], [None], [None]),
        (["p"], ["r"], ["1"]),
        ([], [], [], [], 1),
    ],
)
def test_what_is_no_frame_of_ids_is_told(wrong: Any) -> None:
    table = compiled().SeenTable(24)
    with pytest.raises((TypeError, ValueError, OverflowError)):
        table.take(*wrong)
    assert len(table) == 0
    assert table.image() == (0, [], [], b"", b"", b"")
    assert table.take(["p"], ["r"], ["1"], [None], [1]) == []


def test_what_is_no_question_for_an_id_is_told() -> None:
    table = compiled().SeenTable(24)
    for wrong in (("p", "r"), ("p", None, "1"), (1, "r", "1"), ("p", "r", b"1")):
        with pytest.raises(TypeError):
            table.knows(*wrong)
    for arguments in ((-1,), (), ("a day",)):
        with pytest.raises((TypeError, ValueError)):
            compiled().SeenTable(*arguments)
    with pytest.raises(TypeError):
        compiled().SeenTable(hours=24)


@pytest.mark.parametrize(
    ("rooms", "hours"),
    [
        ([["p"]], [[0, 1]]),
        ([["p", 1]], [[0, 1]]),
        ([1], [[0, 1]]),
        ([["p", "r"]], [0]),
        ([["p", "r"]], [["0", 1]]),
    ],
)
def test_what_is_no_image_of_ids_is_told(rooms: Any, hours: Any) -> None:
    one = np.zeros(1, np.uint32)
    table = compiled().SeenTable(24)
    with pytest.raises(TypeError):
        table.load(1, rooms, hours, one, one + 1, b"1")
    with pytest.raises(TypeError):
        table.load(1, [["p", "r"]], [[0, 1]], one.astype(np.uint64), one + 1, b"1")
    table = compiled().SeenTable(24)
    table.load(1, [["p", "r"]], [[0, 1]], one, one + 1, b"1")
    assert table.knows("p", "r", "1")
    with pytest.raises(ValueError):  # something is known already
        table.load(1, [["p", "r"]], [[0, 1]], one, one + 1, b"1")


# ---------------------------------------------------------------------- taking


def rules(**changed: Any) -> tuple[Any, ...]:
    found: dict[str, Any] = {
        "settings": SETTINGS,
        "at_least": [1, 2],
        "repeat": [1, 1],
        "points": [5, 5],
        "caps": [9, 9],
        "watched": [1],
        "bounds": np.array([1000.0]),
        "span_of": [0, 2, 1],
        "masks": [0] * 8,
    } | changed
    return tuple(np.array(each, np.float64 if name == "bounds" else np.int64) for name, each in found.items())


def columns() -> tuple[Any, ...]:
    sizes = "qqqqqBIbbBHBBI"
    plain = [np.zeros(ROWS, np.dtype(size)) for size in sizes]
    raw, counts = np.zeros(ROWS, np.int32), np.zeros((ROWS, 2), np.uint16)
    fading = np.zeros((ROWS, 3), np.float32)
    return (*plain, raw, counts, fading, *(np.zeros(ROWS, np.uint16) for _ in range(8)))


def frame(**changed: Any) -> tuple[Any, ...]:
    zeros = np.zeros(EVENTS, np.int64)
    found: dict[str, Any] = {
        "at": zeros,
        "now": zeros,
        "bits": zeros,
        "sign": zeros,
        "facts": zeros,
        "amount": np.ones(EVENTS),
        "rows": zeros,
        "weights": np.ones((3, EVENTS)),
        "hits": np.ones((SIGNS, 2), np.int64),
        "feeds": np.full((SIGNS, FED), 2, np.int64),
        "fan": None,
        "staff": None,
    } | changed
    return tuple(found.values())


def taken(**changed: Any) -> Any:
    taker = compiled().Taker(rules(), {}, set())
    taker.bind(columns())
    taker.of_frame(frame(**changed))
    taker.of_part([SimpleNamespace(rate=0.0, last_at=0)], np.zeros(EVENTS, np.int64))
    return taker.take(0, EVENTS, 0)


def test_events_are_taken() -> None:
    assert taken() == 4 * EVENTS


@pytest.mark.parametrize(
    "changed",
    [
        {"sign": np.full(EVENTS, SIGNS)},
        {"sign": np.full(EVENTS, -1)},
        {"feeds": np.full((SIGNS, FED), 3)},
        {"hits": np.ones((0, 2), np.int64)},
        {"feeds": np.zeros((0, FED), np.int64)},
        {"rows": np.full(EVENTS, ROWS)},
        {"weights": np.ones((2, EVENTS))},
    ],
)
def test_an_event_does_not_reach_beyond_its_tables(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        taken(**changed)


@pytest.mark.parametrize(
    "changed",
    [
        {"at_least": [1, 0]},
        {"at_least": [1]},
        {"repeat": [1]},
        {"caps": [1]},
        {"watched": [2]},
        {"watched": [-1]},
        {"watched": [0, 1]},
        {"span_of": [0, 3]},
        {"span_of": [-1]},
        {"masks": [0] * 7},
        {"settings": SETTINGS[:-1]},
        {"settings": [*SETTINGS[:6], 0, *SETTINGS[7:]]},
    ],
)
def test_rules_that_none_has_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        compiled().Taker(rules(**changed), {}, set())


def test_a_taker_that_was_not_made_takes_nothing() -> None:
    kind: Any = compiled().Taker
    taker = kind.__new__(kind)
    for asked, given in ((taker.bind, [columns()]), (taker.of_frame, [frame()]), (taker.take, [0, 0, 0])):
        with pytest.raises(ValueError):
            asked(*given)
    with pytest.raises(ValueError):
        kind.__init__(taker, rules(at_least=[0, 0]), {}, set())
    kind.__init__(taker, rules(), {}, set())
    with pytest.raises(TypeError):
        kind.__init__(taker, rules(), {}, set())


def buffers(of: tuple[Any, ...]) -> Iterator[int]:
    return (sys.getrefcount(each) for each in of if each is not None)


def test_a_taker_lets_go_what_it_held() -> None:
    """An array with a buffer held has a reference more."""
    held = rules(), columns(), columns(), frame(), frame(fan=np.zeros(EVENTS, np.int8))
    touched: dict[int, int] = {}
    sessions = [SimpleNamespace(rate=0.0, last_at=0)]
    which = np.zeros(EVENTS, np.int64)

    def counts() -> list[int]:
        of = [count for each in held for count in buffers(each)]
        return [*of, *map(sys.getrefcount, (touched, sessions, which))]

    before = counts()
    taker = compiled().Taker(held[0], touched, None)
    for _ in range(3):
        for bound in held[1:3]:
            taker.bind(bound)
            with pytest.raises(ValueError):
                taker.bind((*bound[:-1], np.zeros(1, np.uint16)))
            taker.bind(bound)
        for given in held[3:]:
            with pytest.raises(TypeError):
                taker.of_frame((*given[:-1], np.zeros(EVENTS)))
            taker.of_frame(given)
            taker.of_part(sessions, which)
            assert taker.take(0, EVENTS, 0) == 4 * EVENTS
    assert counts() != before
    del taker, bound, given
    gc.collect()
    assert counts() == before
