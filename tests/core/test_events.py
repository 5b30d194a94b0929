"""The canonical event: what is taken and what is refused, one by one or many at once, always the same."""

import json
import re
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from frontrow.core.errors import EventInvalid
from frontrow.core.events import (
    MAX_PARTS,
    Batch,
    Event,
    convert_event,
    decode_batch,
    decode_block,
    decode_event,
    decode_lines,
    encode_event,
)
from tests.support import hostile

GOOD = hostile.HEAD + b"}"


def line(id: str, more: str = "", kind: str = "like") -> bytes:
    return f'{{"id":"{id}","platform":"p","room":"r","kind":"{kind}","at":1750000000000{more}}}'.encode()


def refused(data: bytes) -> bool:
    try:
        decode_event(data)
    except EventInvalid:
        return True
    return False


# --- one event


@pytest.mark.parametrize("data", hostile.corpus("refused"))
def test_each_mistake_of_the_corpus_is_refused(data: bytes) -> None:
    with pytest.raises(EventInvalid):
        decode_event(data)


@pytest.mark.parametrize("data", hostile.corpus("kept"))
def test_what_is_odd_and_harmless_is_kept_and_can_be_stored(data: bytes) -> None:
    event = decode_event(data)
    assert decode_event(encode_event(event)) == event


@pytest.mark.parametrize("what", sorted(hostile.too_large()))
def test_what_is_too_large_is_refused_and_not_repeated_in_the_reason(what: str) -> None:
    """A reason goes into a log and an answer; it must not bring the megabytes along."""
    with pytest.raises(EventInvalid) as caught:
        decode_event(hostile.too_large()[what])
    assert len(str(caught.value)) < 200


def test_a_reason_never_repeats_what_a_viewer_wrote() -> None:
    reasons: list[str] = []
    for data in hostile.corpus("refused"):
        try:
            decode_event(data.replace(b'"id":"', b'"id":"secret-', 1))
        except EventInvalid as error:
            reasons.append(str(error))
    assert len(reasons) > 100
    assert "secret" not in " ".join(reasons)


def test_ids_that_differ_only_behind_the_bound_are_never_one() -> None:
    """Cut, they would be one id, and the second event would be dropped as a duplicate."""
    with pytest.raises(EventInvalid, match="256"):
        decode_event(line("i" * 256 + "1"))
    assert decode_event(line("i" * 256)).id == "i" * 256


def test_a_time_in_seconds_is_refused_with_a_hint() -> None:
    with pytest.raises(EventInvalid, match="is this in seconds"):
        decode_event(line("a").replace(b"1750000000000", b"1750000000"))


@pytest.mark.parametrize("field", ["id", "platform", "room", "kind", "session", "viewer"])
@pytest.mark.parametrize("character", ["\0", "\n", "\x1b", "\x7f", "\x85", "\x9f"])
def test_a_control_character_in_an_identity_is_refused_and_the_field_named(
    field: str, character: str
) -> None:
    """It would end a line of a log, or a string of another program, or paint the terminal."""
    fields = json.loads(line("a"))
    fields[field] = f"x{character}y"
    with pytest.raises(EventInvalid, match=rf"a control character - at `\$\.{field}`"):
        convert_event(fields)
    for ascii_only in (True, False):
        assert refused(json.dumps(fields, ensure_ascii=ascii_only).encode())


def test_of_a_field_that_comes_twice_the_last_holds() -> None:
    assert decode_event(line("a", ',"count":1,"count":2')).count == 2


@given(st.binary(max_size=200) | st.builds(lambda head, tail: head + tail, st.just(GOOD[:-1]), st.binary()))
def test_no_bytes_whatever_give_anything_but_an_event_or_a_refusal(data: bytes) -> None:
    for decode in (decode_event, decode_batch, decode_block):
        try:
            decode(data)
        except EventInvalid as error:
            assert len(str(error)) < 200


@settings(deadline=None)  # a busy machine is no failure
@given(hostile.events())
def test_every_event_that_was_taken_reads_back_the_same(event: Event) -> None:
    """What is stored must be what a replay reads."""
    try:
        checked = decode_event(encode_event(event))
    except EventInvalid:
        return
    assert checked == event
    assert encode_event(checked) == encode_event(event)


# --- many events


FILL = [
    line(f"e{n}", ',"name":"' + "n" * 100 + '"') for n in range(20)
]  # beyond what is looked at one by one
Lines = st.lists(
    st.one_of(
        st.integers(0, 99).map(lambda n: line(f"e{n}")),
        st.sampled_from(hostile.corpus("refused")),
        st.sampled_from(hostile.corpus("kept")),
        st.sampled_from(
            [
                b"",
                b" ",
                b"\r",
                line("cr") + b"\r",
                line("x") + line("y"),
                line("x") + b"," + line("y"),
                line("x") + b" " + line("y"),
                line("x")[:12],
                line("x")[12:],
                line("x", ',"extra":')[:-1],
                b'{"b":1}}',
                b'{"b":[{}',
                b"{}]}}",
                line("deep", ',"extra":{"a":' + "[" * 40 + "]" * 40 + "}"),
                line("said", ',"text":"{}"', "comment"),
                line("unsaid", "", "comment"),
                line("stays", ',"text":"x"', "stay"),
                line("says", ',"seconds":1', "comment"),
            ]
        ),
    ),
    max_size=12,
)


@settings(deadline=None)  # a busy machine is no failure
@example([line("a")[:-1] + b",", b'"count":1}', line("b") + line("c")])
@example([line("a")[:-1], b'"count":1}', line("b") + b"," + line("c")])
@example([line("a", ',"extra":')[:-1], b'{"b":1}}', line("b") + b" " + line("c")])
@example([line("a", ',"extra":{"b":[{}')[:-1], b"{}]}}", line("b") + line("c")])
@given(Lines)
def test_a_block_gives_what_its_lines_give_or_nothing(lines: list[bytes]) -> None:
    """Whether a line is taken must not depend on its neighbours, nor on how fast they could be decoded."""
    for chosen in (lines, FILL + lines, lines + FILL):
        events = decode_block(b"\n".join(chosen))
        if events is not None:
            assert events == [decode_event(each) for each in chosen]


@pytest.mark.parametrize("more", ["", ',"extra":{"a":1}', ',"name":"é\\n"', ',"text":"{"'])
def test_a_block_of_good_lines_is_decoded_at_once(more: str) -> None:
    """The fast way must be the one that is taken."""
    lines = [line(f"e{n}", more) for n in range(500)]
    assert decode_block(b"\n".join(lines)) == [decode_event(each) for each in lines]


def as_lines(parts: list[bytes]) -> bytes:
    return b"\n".join(parts)


def as_array(parts: list[bytes]) -> bytes:
    return b"[" + b",".join(parts) + b"]"


# An array's elements can only be told apart where each ends as JSON does: words, or brackets without their pairs, end
# nowhere. Bytes that are no text, halves of characters and impossible numbers are no hindrance.
ELEMENTS = [
    each
    for each in hostile.corpus("refused")
    if each.startswith(b'{"id"')
    and each.endswith(b"}")
    and not re.search(rb"0x|[+]1|:01|:-}|x41|,}|}{", each)
]


@pytest.mark.parametrize("form", [as_lines, as_array])
@pytest.mark.parametrize("one_by_one", [True, False])
def test_good_events_among_bad_ones_are_taken_and_the_bad_ones_named(
    form: Callable[[list[bytes]], bytes], one_by_one: bool
) -> None:
    bad = ELEMENTS if form is as_array else hostile.corpus("refused")
    assert len(bad) > 80
    for chosen in [[each] for each in bad] if one_by_one else [bad]:
        parts: list[bytes] = []
        for number, each in enumerate(chosen):
            parts += [line(f"g{number}"), each]
        batch = decode_batch(form(parts))
        assert [event.id for event in batch.events] == [f"g{number}" for number in range(len(chosen))]
        assert [each.index for each in batch.rejected] == list(range(1, 2 * len(chosen), 2))


@pytest.mark.parametrize(
    ("body", "events", "rejected"),
    [
        (b"\xef\xbb\xbf" + GOOD, 1, 0),
        (b"\xef\xbb\xbf[" + GOOD + b"]", 1, 0),
        (b"[]", 0, 0),
        (b"", 0, 0),
        (b" \r\n\t ", 0, 0),
        (GOOD + b"\r\n\r\n" + GOOD + b"\r\n", 2, 0),
        (GOOD + b"\r" + GOOD, 0, 1),  # no line end that NDJSON knows: two values on one line
        ((GOOD + b"\n" + GOOD).decode().encode("utf-16"), 0, 2),
        ((GOOD + b"\n" + GOOD).decode().encode("utf-32"), 0, 2),
        (b"\0" * 100, 0, 1),
    ],
)
def test_bodies_of_other_shapes(body: bytes, events: int, rejected: int) -> None:
    batch = decode_batch(body)
    assert (len(batch.events), len(batch.rejected)) == (events, rejected)


@pytest.mark.parametrize(
    "body", [b"[" + GOOD, b"[" + GOOD + b"]]", b"[" + GOOD + b",]", b"[" * 100_000, b"[\xff\xfe]x"]
)
def test_an_array_whose_elements_cannot_be_told_apart_is_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises(EventInvalid):
        decode_batch(body)


@pytest.mark.parametrize("body", [b"[" + b"1," * 1_000_000 + b"1]", b"1\n" * 1_000_000])
def test_a_million_crumbs_are_refused_at_once_and_not_one_by_one(body: bytes) -> None:
    """Two bytes each would become an entry of the answer, a count and a reason: thirty times what was sent."""
    with pytest.raises(EventInvalid, match=str(MAX_PARTS)):
        decode_batch(body)


def test_the_bound_is_for_broken_bodies_only() -> None:
    lines = [line(f"e{n}") for n in range(MAX_PARTS + 1)]
    assert len(decode_batch(as_lines(lines)).events) == MAX_PARTS + 1
    assert len(decode_batch(as_array(lines)).events) == MAX_PARTS + 1


def test_blank_lines_have_no_position() -> None:
    batch = decode_lines([b"", line("a"), b" ", b"broken", b"", line("b")])
    assert isinstance(batch, Batch)
    assert [event.id for event in batch.events] == ["a", "b"]
    assert [each.index for each in batch.rejected] == [1]
