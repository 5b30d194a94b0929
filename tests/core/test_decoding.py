"""Lines become the same columns whichever way they are read, and no way takes what another refuses."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from frontrow.core import kernel
from frontrow.core.decoding import decode_columns, decode_columns_at_once
from frontrow.core.errors import EventInvalid
from frontrow.core.events import EARLIEST_MS, KINDS, LATEST_MS, MAX_VALUE, Event, decode_batch, decode_event
from frontrow.core.frames import SELDOM, Frame
from tests.core.test_frames import COMMON, GIVEN

AT = 1_767_268_800_000
PLAIN: dict[str, Any] = {"id": "1", "platform": "p", "room": "r", "kind": "like", "at": AT}
EVERYTHING = {**PLAIN, "viewer": "v1", **GIVEN, **COMMON}

texts = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", "多少钱", "é", "\u0085", "\x7f", "\x1f", '"', "\\", "😀", "a" * 64, "a" * 65]),
    st.sampled_from(["x" * 256, "x" * 257, "😀" * 256, "多" * 257, "x" * 4_096, "多" * 4_097]),
)
numbers = st.one_of(
    st.sampled_from([AT, EARLIEST_MS, EARLIEST_MS - 1, LATEST_MS, LATEST_MS + 1, -1, 0, 10**9, 10**9 + 1]),
    st.sampled_from([MAX_VALUE, -MAX_VALUE, MAX_VALUE + 1, 10**17, 10**18, 2**63, 10**30]),
    st.sampled_from([0.0, -0.0, 1.5, 1e3, 604_800.0, 604_800.5, 1e308, 0.1, 12.000000000000001]),
    st.integers(0, 100),
    st.floats(0, 10**6),
)
values = st.one_of(
    st.none(),
    st.booleans(),
    texts,
    numbers,
    st.sampled_from(["CNY", "cny", "CNYX", "CN", "ＣＮＹ"]),
    st.dictionaries(texts, st.one_of(st.none(), texts, numbers, st.lists(texts, max_size=2)), max_size=2),
)
names = st.sampled_from([*Event.__struct_fields__, "unknown", "", "kin", "kindly", 'quoted"', "名"])
kinds = st.sampled_from([*sorted(KINDS), "unheard of"])
fields = st.lists(st.one_of(st.tuples(st.just("kind"), kinds), st.tuples(names, values)), max_size=6)
spaces = st.sampled_from(["", "", " ", "\t", "  ", "\r"])


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """Lines of JSON that are events, or nearly."""
    of = draw(fields)
    base = PLAIN if draw(st.booleans()) else {"kind": "comment", "text": "多少钱", **PLAIN}
    pairs = [(name, value) for name, value in base.items() if draw(st.integers(0, 30))]
    if draw(st.booleans()):  # else some fields are there twice
        pairs = list({**dict(pairs), **dict(of)}.items())
    else:
        pairs += of
    pairs = draw(st.permutations(pairs))
    ascii_only, space = draw(st.booleans()), draw(spaces)

    def encoded(value: object) -> str:
        return json.dumps(value, ensure_ascii=ascii_only)

    parts = [f"{encoded(name)}{space}:{space}{encoded(value)}" for name, value in pairs]
    line = f"{space}{{{space}{f'{space},{space}'.join(parts)}{space}}}{space}"
    return line.encode("utf-8", "surrogatepass").replace(b"\n", b" ")


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A line with a byte changed, gone or added."""
    line = bytearray(draw(lines()))
    place = draw(st.integers(0, len(line) - 1))
    byte = draw(st.sampled_from(b'"\\{}[],:.-+0189eEntf \x00\x1f\x7f\x80\xc2\xe4\xed\xf0\xff'))
    match draw(st.sampled_from(["change", "remove", "add"])):
        case "change":
            line[place] = byte
        case "remove":
            del line[place]
        case _:
            line.insert(place, byte)
    return bytes(line)


def expected(block: bytes) -> Frame | None:
    try:
        return Frame.of([decode_event(line) for line in block.split(b"\n")])
    except EventInvalid:
        return None


def same(one: Frame | None, other: Frame | None) -> bool:
    """Whether both are the same in types and in order, too: 1, 1.0 and True are not."""
    return repr(one) == repr(other)


@pytest.mark.usefixtures("kernel_present")
@given(st.lists(st.one_of(lines(), lines(), damaged()), min_size=1, max_size=4))
@settings(max_examples=300)
@example([b'{"id":"1","platform":"p","room":"r","kind":"comment","at":1767268800000,"text":null}'])
@example([b'{"id":"1","platform":"p","room":"r","kind":"stay","at":1767268800000}'])
@example([b'{"id":"1","platform":"p","room":"r","kind":"like","at":1767268800000}{"id":"2"}'])
@example([b""])
@example([b'{"id":"\\u0031\\/","platform":"p","room":"r","kind":"lik\\u0065","at":1767268800000}'])
@example([b'{"id":"\\u007f","platform":"p","room":"r","kind":"like","at":1767268800000}'])
@example([b'{"id":"\\n","platform":"p","room":"r","kind":"like","at":1767268800000}'])
@example(
    [
        b'{"id":"1","platform":"p","room":"r","kind":"like","at":1767268800000,"name":"\\ud83d\\ude00\\u00e9\\u591a"}'
    ]
)
@example([b'{"id":"1","platform":"p","room":"r","kind":"like","at":1767268800000,"name":"\\ud83d"}'])
@example([b'{"id":"1","platform":"p","room":"r","kind":"like","at":1767268800000,"name":"\\ud83d\\u0041"}'])
@example([b'{"id":"1","platform":"p","room":"r","kind":"like","at":1767268800000,"name":"\\ude00"}'])
@example([b'{"id":"1","platform":"p","room":"r","kind":"like","at":1767268800000,"name":"\\u12g4"}'])
@example([b'{"id":"1","platform":"p","room":"r","kind":"like","at":1767268800000,"name":"\\x"}'])
@example(
    [
        b'{"id":"1","platform":"p","room":"r","kind":"comment","at":1767268800000,"text":"'
        + b"\\u591a" * 4_096
        + b'"}'
    ]
)
@example(
    [
        b'{"id":"1","platform":"p","room":"r","kind":"comment","at":1767268800000,"text":"'
        + b"\\u591a" * 4_097
        + b'"}'
    ]
)
@example([b'{"id":"1","platform":"p","room":"r","kind":"gift","currency":"\\u0043NY","at":1767268800000}'])
@example(
    [
        b'{"id":"1","platform":"p","room":"r","kind":"like","at":1767268800000,"extra":'
        + b"[" * 99
        + b"]" * 99
        + b"}"
    ]
)
@example(
    [
        b'{"id":"1","platform":"p","room":"r","kind":"like","at":1767268800000,"extra":'
        + b'{"a":' * 32
        + b"1"
        + b"}" * 33
    ]
)
@example(
    [
        b'{"id":"1","platform":"p","room":"r","kind":"like","at":1767268800000,"extra":'
        + b'{"a":' * 33
        + b"1"
        + b"}" * 34
    ]
)
@example([b'{"id":"1","platform":"p","room":"r","kind":"like","at":1767268800000,"fields":{"a":1]}'])
@example([b'{"id":"1","platform":"p","room":"r","kind":"like","at":1767268800000,"data":{"a":"\\'])
@example([b'{"id":"1","platform":"p","room":"r","kind":"like","at":1767268800000,"value":-0}'])
@example([b'{"id":"1","platform":"p","room":"r","kind":"like","at":01767268800000}'])
@example([b'{"id":"\xed\xa0\x80","platform":"p","room":"r","kind":"like","at":1767268800000}'])
@example([b'{"id":"\xc0\x80","platform":"p","room":"r","kind":"like","at":1767268800000}'])
@example([b'{"id":"\xf4\x90\x80\x80","platform":"p","room":"r","kind":"like","at":1767268800000}'])
def test_the_kernel_takes_and_refuses_what_python_does(block: list[bytes]) -> None:
    joined = b"\n".join(block)
    assert same(decode_columns(joined), expected(joined))


@st.composite
def arrays(draw: st.DrawFn) -> bytes:
    """A JSON array of events, or nearly; sometimes with something damaged between them."""
    elements = draw(st.lists(st.one_of(lines(), lines(), damaged()), max_size=4))
    space = draw(st.sampled_from([b"", b" ", b"\n", b"\r\n\t"]))
    joint = draw(st.sampled_from([b",", b",", b",", b",,", b"", b"\x0b"]))
    close = draw(st.sampled_from([b"]", b"]", b"]", b"", b"]]", b",]", b"] {}"]))
    return b"[" + space + (space + joint + space).join(elements) + space + close


@pytest.mark.usefixtures("kernel_present")
@given(arrays())
@example(b"[]")
@example(b"[ ]")
@example(b"[")
@example(b"[{}]")
def test_an_array_is_taken_at_once_where_nothing_is_to_be_said_of_it(body: bytes) -> None:
    try:
        batch = decode_batch(body)
        wanted = None if batch.rejected else Frame.of(batch.events)
    except EventInvalid:
        wanted = None
    assert same(decode_columns_at_once(body.strip()), wanted)


@pytest.mark.usefixtures("each_way")
def test_an_array_in_a_file_is_no_event() -> None:
    assert decode_columns(b"[" + json.dumps(PLAIN).encode() + b"]") is None


@pytest.mark.usefixtures("each_way")
def test_every_field_comes_into_its_column() -> None:
    lines = [json.dumps(each, ensure_ascii=False).encode() for each in (PLAIN, EVERYTHING, PLAIN)]
    frame = decode_columns(b"\n".join(lines))
    assert frame is not None
    assert same(frame, expected(b"\n".join(lines)))
    assert set(frame.seldom) == set(SELDOM)
    assert frame.texts == [None, EVERYTHING["text"], None]


@pytest.mark.usefixtures("kernel_present")
def test_a_line_of_another_form_does_not_keep_the_others_from_the_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a newer sender adds is looked at by Python; escapes and platforms' own fields are not, and what stands around never is."""
    asked: list[bytes] = []

    def read(line: bytes) -> Event:
        asked.append(line)
        return decode_event(line)

    monkeypatch.setattr("frontrow.core.decoding.decode_event", read)
    plain, nested, escaped, newer = (
        json.dumps({**PLAIN, **more}).encode()
        for more in ({}, {"extra": {"a\\": ["}"]}}, {"name": 'é"多😀\n'}, {"newer": 1})
    )
    frame = decode_columns(b"\n".join([plain, nested, escaped, newer]))
    assert frame is not None
    assert frame.seldom == {"extra": {1: {"a\\": ["}"]}, 3: {"newer": 1}}}
    assert frame.names == [None, None, 'é"多😀\n', None]
    assert asked == [newer]


@pytest.mark.usefixtures("kernel_present")
def test_the_kernel_is_not_given_what_it_cannot_read() -> None:
    assert kernel.compiled is not None
    with pytest.raises(TypeError):
        kernel.compiled.read_events(None, b"{}", decode_event)
    with pytest.raises(ValueError):
        kernel.compiled.read_events(None, b"{}", decode_event, decode_event, False)
