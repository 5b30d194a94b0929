"""What is made of a frame's columns all at once, in the kernel and without it: the same numbers, and the same said of what is none."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.core import kernel, preparing, signs
from frontrow.core.columns import all_same, count_is, whole_numbers
from frontrow.core.intents import MENTIONS
from frontrow.core.outcomes import OutcomeRules
from frontrow.core.points import PointsBoard, Policy
from frontrow.core.preparing import FACTS_BITS

numbers = st.integers(-(1 << 63), (1 << 63) - 1)
kinds = st.sampled_from(["like", "gift", "comment", "enter", "order_paid", "invented"])


def both_ways(make: Callable[[], Any]) -> Any:
    """Return what the kernel makes and, if it is there, has just been held against what Python makes."""
    with pytest.MonkeyPatch.context() as without:
        without.setattr(kernel, "compiled", None)
        expected = make()
    found = make()
    assert np.array_equal(found, expected)
    assert type(found) is type(expected)
    return found


@given(st.lists(st.tuples(st.none() | numbers, numbers)))
def test_a_number_that_is_not_given_is_another_ones(pairs: list[tuple[int | None, int]]) -> None:
    column, others = [first for first, _ in pairs], [second for _, second in pairs]
    found = both_ways(lambda: whole_numbers(column, others))
    assert found.tolist() == [second if first is None else first for first, second in pairs]


@pytest.mark.parametrize("number", [1 << 63, -(1 << 63) - 1])
def test_a_number_beyond_64_bits_is_none(number: int, each_way: str) -> None:
    with pytest.raises(OverflowError):
        whole_numbers([1, number])


@given(st.lists(st.none() | st.booleans()), st.sampled_from([None, True, False]))
def test_none_and_flags_are_counted(column: list[Any], value: Any) -> None:
    assert both_ways(lambda: count_is(column, value)) == sum(each is value for each in column)


@given(st.lists(st.none() | st.sampled_from(["a", "b", "a" * 30, "价格"]), max_size=6), st.booleans())
def test_columns_of_one_value_are_told(column: list[str | None], copied: bool) -> None:
    if copied:  # equal texts need not be one object
        column = [None if each is None else "".join(list(each)) for each in column]
    assert both_ways(lambda: all_same(column)) == (len(set(column)) <= 1)


@given(st.lists(st.tuples(kinds, st.integers(0, 1 << 15)), max_size=40))
def test_events_have_the_signs_of_their_kinds_and_facts(pairs: list[tuple[str, int]]) -> None:
    def made() -> Any:
        table = signs.Signs(PointsBoard(Policy()), OutcomeRules())
        named = [kind for kind, _ in pairs]
        facts = [fact for _, fact in pairs]
        first = table.of(named[:5], facts[:5])  # some are known by now, the others not
        return np.concatenate((first, table.of(["".join(list(kind)) for kind in named], facts)))

    found = both_ways(made)
    assert len(set(found[min(5, len(pairs)) :].tolist())) == len(set(pairs))


@given(
    st.lists(
        st.tuples(st.sampled_from([0, signs.LIKE, signs.GIFT]), st.none() | numbers, st.none() | numbers)
    )
)
def test_likes_count_and_gifts_are_worth_something(events: list[tuple[int, int | None, int | None]]) -> None:
    bits = np.array([bit for bit, _, _ in events], np.int64)
    counts, values = [count for _, count, _ in events], [value for _, _, value in events]
    found = both_ways(lambda: signs.amounts(bits, counts, values)).tolist()
    for amount, (bit, count, value) in zip(found, events, strict=True):
        if bit == signs.LIKE:
            assert amount == (1.0 if count is None else float(count))
        elif bit == signs.GIFT:
            assert amount == 1.0 + max(0, value or 0) / 100.0
        else:
            assert amount == 1.0


@given(
    st.lists(st.tuples(st.none() | st.sampled_from(["", "多少钱", "hi", "new"]), kinds), max_size=12),
    st.booleans(),
)
def test_of_known_texts_comments_get_what_is_known(events: list[tuple[str | None, str]], some: bool) -> None:
    known = {"多少钱": 5 | 77 << FACTS_BITS, "hi": 3 << FACTS_BITS}
    texts, named = [text for text, _ in events], [kind for _, kind in events]
    positions = list(range(0, len(events), 2)) if some else None
    asked = range(len(events)) if positions is None else positions

    def made() -> Any:
        facts, sketches = [0] * len(events), [0] * len(events)
        unread = preparing._recall(texts, named, known, facts, sketches, positions)
        return [unread, facts, sketches] if events else []

    def flat() -> list[int]:
        return [number for column in made() for number in column]

    both_ways(flat)
    unread, facts, sketches = made() or ([], [], [])
    assert unread == [each for each in asked if texts[each] and texts[each] not in known]
    for each in asked:
        if named[each] == "comment" and (text := texts[each]) in known:
            assert (facts[each], sketches[each]) == (known[text] & 0xFFFF, known[text] >> FACTS_BITS)


@given(
    st.lists(
        st.none() | st.sampled_from(["", "多少钱", "@她 多少钱", "hi\uff20", "x\ufe6by", "hi", "\u0140"]),
        max_size=9,
    )
)
def test_texts_that_may_mention_somebody_are_told_apart(texts: list[str | None]) -> None:
    known = {"多少钱": 5, "hi\uff20": 3}
    facts: list[int] = []

    def made() -> list[int]:
        nonlocal facts
        facts, sketches = [0] * len(texts), [0] * len(texts)
        unread, marked = preparing._recall_unmarked(texts, ["comment"] * len(texts), known, facts, sketches)
        return [*unread, -1, *marked, -1, *facts]

    both_ways(made)
    marked = [place for place, text in enumerate(texts) if text and any(mark in text for mark in MENTIONS)]
    unread = [place for place, text in enumerate(texts) if text and place not in marked and text not in known]
    assert made()[: -len(texts) or None] == [*unread, -1, *marked, -1]
    assert facts == [5 if text == "多少钱" else 0 for text in texts]


@pytest.mark.usefixtures("kernel_present")
@pytest.mark.parametrize(
    ("name", "given", "error"),
    [
        ("whole_numbers", ([1], [1], np.zeros(2, np.int64)), ValueError),
        ("whole_numbers", ([1], [], np.zeros(1, np.int64)), TypeError),
        ("whole_numbers", (["x"], ["x"], np.zeros(1, np.int64)), TypeError),
        ("whole_numbers", ([None], [None], np.zeros(1, np.int64)), TypeError),
        ("whole_numbers", ([1], [1], np.zeros(1, np.int32)), TypeError),
        ("sign_numbers", (["a"], ["b"], {}, np.zeros(1, np.int64)), TypeError),
        ("sign_numbers", ([1], [1], {}, np.zeros(1, np.int64)), TypeError),
        ("sign_numbers", (["a"], [1], [], np.zeros(1, np.int64)), TypeError),
        ("sign_numbers", (["a"], [1 << 70], {}, np.zeros(1, np.int64)), OverflowError),
        ("event_amounts", ([1], [1], np.zeros(2, np.int64), 1, 2, np.zeros(1)), ValueError),
        ("event_amounts", (["x"], [1], np.ones(1, np.int64), 1, 2, np.zeros(1)), TypeError),
        ("recall_texts", (["a"], [], "comment", {}, [0], [0], 16, None, ""), ValueError),
        ("recall_texts", (["a"], ["comment"], "comment", {}, [0], [0], 64, None, ""), ValueError),
        ("recall_texts", (["a"], ["comment"], "comment", {}, [0], [0], 16, [1], ""), IndexError),
        ("recall_texts", (["a"], ["comment"], "comment", {"a": "x"}, [0], [0], 16, None, ""), TypeError),
        ("recall_texts", ([b"a"], ["comment"], "comment", {}, [0], [0], 16, None, ""), TypeError),
        ("count_is", ((), None), TypeError),
        ("all_same", ((),), TypeError),
    ],
)
def test_what_is_not_of_the_form_is_refused(
    name: str, given: tuple[Any, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        getattr(kernel.compiled, name)(*given)
