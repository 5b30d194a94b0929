"""What was heard of a viewer: which success stands, whatever was heard first."""

from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.core import outcomes as module
from frontrow.core.frames import Frame
from frontrow.core.outcomes import Heard, Ledger, OutcomeRules, What
from tests.support.rooms import event

HOUR = 3_600_000
START = 10 * HOUR


def paid(at: int, value: int | None = None, order: str | None = None) -> Heard:
    return Heard(What.SUCCESS, START + at, value, order)


def back(at: int, value: int | None = None, order: str | None = None) -> Heard:
    return Heard(What.REFUND, START + at, value, order)


def standing(*heard: Heard) -> list[tuple[int, int]]:
    """Return (time after the start, money left) of each success that stands at the end."""
    ledger, found = Ledger(HOUR), []
    for each in heard:
        found = ledger.hear("v", each, START + 100)
    return [(each.at - START, each.value) for each in found if each.stands]


CASES = {
    "nothing is given back": ((paid(1, 500), paid(2, 300)), [(1, 500), (2, 300)]),
    "a refund is of the order that it names": (
        (paid(1, 500, "a"), paid(2, 300, "b"), back(9, 500, "a")),
        [(2, 300)],
    ),
    "a refund that names none is of the last order before it": (
        (paid(1, 500), paid(2, 300), paid(8, 100), back(5)),
        [(1, 500), (8, 100)],
    ),
    "two refunds are of two orders": ((paid(1, 500), paid(2, 300), back(5), back(6)), []),
    "a part that is given back lets the rest stand": ((paid(1, 500, "a"), back(2, -200, "a")), [(1, 300)]),
    "parts add up": ((paid(1, 500, "a"), back(2, 200, "a"), back(3, 300, "a")), []),
    "without its amount a refund is of all": ((paid(1, 500), back(2)), []),
    "a refund of an order that nobody heard of is of none": (
        (paid(1, 500, "a"), back(2, 500, "b")),
        [(1, 500)],
    ),
    "a form is no order": ((Heard(What.SUCCESS, START, of_order=False), back(2)), [(0, 0)]),
    "the shop and sales speak of one order": (
        (paid(1, 500, "a"), paid(4, None, "a"), back(5, 500, "a")),
        [],
    ),
    "what an order is worth says whoever knows it": ((paid(1, None, "a"), paid(4, 500, "a")), [(1, 500)]),
    "an order that a form had named is an order all the same": (
        (Heard(What.SUCCESS, START + 1, None, "a", of_order=False), paid(4, 500, "a"), back(5)),
        [],
    ),
}


@pytest.mark.parametrize("heard, expected", CASES.values(), ids=CASES)
def test_in_any_order_of_hearing_the_same_stands(
    heard: tuple[Heard, ...], expected: list[tuple[int, int]]
) -> None:
    for order in permutations(heard):
        assert standing(*order) == expected


WORDS = st.builds(
    Heard,
    st.sampled_from([What.SUCCESS, What.REFUND]),
    st.integers(START, START + 6),
    st.sampled_from([None, 100, 250]),
    st.sampled_from([None, None, "a", "b"]),
    st.booleans(),
)


@given(st.lists(WORDS, max_size=8).flatmap(lambda words: st.tuples(st.just(words), st.permutations(words))))
def test_what_stands_is_a_function_of_what_was_heard_and_not_of_its_order(
    both: tuple[list[Heard], list[Heard]],
) -> None:
    one, other = both
    assert standing(*one) == standing(*other)


def test_an_order_that_is_told_twice_keeps_the_number_that_it_was_first_known_by() -> None:
    """Whoever counts outcomes has counted it; sales may tell of it later, and of an earlier time."""
    ledger = Ledger(HOUR)
    [first] = ledger.hear("v", paid(9, 500, "a"), START + 9)
    [again] = ledger.hear("v", paid(1, None, "a"), START + 20)
    assert (again.at, again.cause, again.value) == (START + 1, first.cause, 500)


def test_what_was_heard_a_horizon_ago_is_known_and_what_was_heard_before_that_is_not() -> None:
    ledger = Ledger(HOUR)
    ledger.hear("v", paid(0, 500), START)
    ledger.hear("other", paid(1, 500), START + 1)
    ledger.hear("v", paid(7, 300), START + 7)
    assert len(ledger.hear("v", back(8), START + HOUR)) == 2
    ledger.hear("third", paid(9), START + HOUR + 1)
    assert [line[0] for line in ledger.image()["lines"]] == ["other", "v", "third"], (
        "who was heard of a horizon ago"
    )
    ledger.hear("third", paid(9), START + HOUR + 2)
    assert [line[0] for line in ledger.image()["lines"]] == ["v", "third"]
    assert len(ledger.hear("v", back(9), START + HOUR + 2)) == 1, "the later order, and what took it back"


def test_whoever_heard_of_last_is_kept_whole_though_it_began_long_ago() -> None:
    ledger = Ledger(HOUR)
    ledger.hear("v", paid(0, 500), START)
    ledger.hear("v", paid(5, 300), START + HOUR)
    ledger.hear("other", paid(6), START + HOUR + 1)
    assert [line[0] for line in ledger.image()["lines"]] == ["v", "other"]


def test_whoever_is_told_of_without_end_is_bounded_and_that_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "VIEWERS_BOUND", 2)
    ledger = Ledger(HOUR)
    for second in range(module.HEARD_BOUND + 3):
        found = ledger.hear("spree", paid(second), START + second)
    assert (len(found), ledger.left_out) == (module.HEARD_BOUND, 3)
    for viewer in ("a", "b", "spree"):
        found = ledger.hear(viewer, paid(300), START + 300)
    assert (len(found), ledger.left_out) == (1, 5), (
        "the third viewer pushed out the first, who pushed out the second"
    )
    assert len(ledger.hear("a", paid(HOUR), START + 400 + HOUR)) == 1, (
        "what is older than the horizon is gone"
    )


def test_what_was_heard_survives_a_restart() -> None:
    ledger, again = Ledger(HOUR), Ledger(HOUR)
    ledger.hear("v", paid(1, 500, "a"), START + 1)
    again.load(msgspec.json.decode(msgspec.json.encode(ledger.image())))
    assert again.hear("v", back(2, 100, "a"), START + 2) == ledger.hear("v", back(2, 100, "a"), START + 2)
    assert again.image() == ledger.image()


def test_rules_say_what_an_event_says_and_what_it_is_worth() -> None:
    rules = OutcomeRules(won=frozenset({"ordered"}), values={"form_submit": 5_000, "ordered": 90_000})

    def said(kind: str, **fields: Any) -> tuple[What, int | None] | None:
        frame = Frame.of([event(kind, 0, **fields)], [0])
        heard = rules.heard(frame, 0, frame.ats[0])
        return None if heard is None else (heard.what, heard.value)

    assert said("order_paid", value=990) == (What.SUCCESS, 990)
    assert said("order_paid", renewal=True) is None
    assert said("form_submit") is None
    assert said("form_submit", consent=True) == (What.SUCCESS, 5_000)
    assert said("order_refunded", value=-990) == (What.REFUND, -990)
    assert said("lead_outcome", outcome="ordered") == (What.SUCCESS, 90_000)
    assert said("lead_outcome", outcome="not_interested") == (What.DECLINED, None)
    assert said("lead_outcome", outcome="no_answer") is None
    assert said("lead_outcome") is None
    assert said("like") is None
