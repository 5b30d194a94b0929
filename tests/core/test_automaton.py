"""The automaton finds what looking at every place finds, and the sieve lets through what has a pattern."""

from contextlib import nullcontext
from functools import reduce
from operator import or_

from hypothesis import example, given
from hypothesis import strategies as st

from frontrow.core.automaton import Automaton, Sieve
from tests.support.kernels import without_kernel

LETTERS = st.sampled_from("abé多少钱🪟\0")
STRINGS = st.text(LETTERS, min_size=1, max_size=4)
NUMBERS = st.integers(-3, 3) | st.builds(
    lambda mask, length: mask | length << 16, st.integers(0, 0xFFFF), st.integers(1, 9)
)


@given(st.sets(STRINGS), st.text(LETTERS))
def test_every_occurrence_is_found_at_its_characters(strings: set[str], text: str) -> None:
    # Places are those of characters, not of bytes, and an occurrence inside another counts too.
    numbers = {string: number for number, string in enumerate(sorted(strings))}
    found = [
        (end, numbers[text[start:end]])
        for end in range(len(text) + 1)
        for start in range(end)
        if text[start:end] in numbers
    ]
    automaton = Automaton(numbers)
    hits = automaton.hits(text)
    assert sorted(hits) == sorted(found)
    assert [end for end, _ in hits] == sorted(end for end, _ in hits)


@given(
    st.dictionaries(STRINGS.filter(lambda string: "\0" not in string), NUMBERS),
    st.lists(st.text(LETTERS), min_size=1),
)
def test_what_is_found_in_parts_is_what_each_of_them_has(numbers: dict[str, int], parts: list[str]) -> None:
    """With the kernel and without: the masks of plain parts, and the hits of those where a rule decides."""
    automaton = Automaton(numbers)
    parts = [part.replace("\0", "") for part in parts]
    hits = [automaton.hits(part) for part in parts]
    ruled = [any(number < 0 for _, number in each) for each in hits]
    for way in (nullcontext, without_kernel):
        with way():
            masks, closer = automaton.spread("\0".join(parts))
        assert closer == [(n, parts[n], hits[n]) for n in range(len(parts)) if ruled[n]]
        for n, each in enumerate(hits):
            assert ruled[n] or masks[n] == reduce(or_, (number & 0xFFFF for _, number in each), 0)


@given(st.lists(st.none() | st.text(st.sampled_from("abXx1Ａ１é，字😀\udc00\0"), max_size=6)))
@example(["字" * 300 + "ab", "x" * 4_096, "a", "b"])
def test_a_text_is_let_through_if_it_has_a_pattern(texts: list[str | None]) -> None:
    def stand_in(character: str) -> str:
        return "1" if character == "１" else " "

    sieve = Sieve(("a", "b"), ("x", "1", "ab"), stand_in=stand_in)
    seen = ["".join(c if c.isascii() else stand_in(c) for c in text or "").lower() for text in texts]
    wanted = [
        position for position, text in enumerate(seen) if "ab" in text or "x1a" in text or "x1b" in text
    ]
    assert sieve.sift(texts) == wanted
    with without_kernel():
        assert sieve.sift(texts) == wanted
