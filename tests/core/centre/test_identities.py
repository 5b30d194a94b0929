"""Who is one customer: decided by the links that hold now, never by how they came and went."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.core.centre.identities import (
    PHONE,
    Identity,
    Link,
    Neighbours,
    component_of,
    components,
    customer_id,
    identity_of,
    is_shared,
    link_of,
    masked_phone,
    normalised_phone,
    phone_key,
    regrouped,
    viewer_identity,
)

SECRET = bytes(range(32))
NUMBER = "+8613800138000"
AT = 1_700_000_000_000


def viewer(number: int, platform: str = "douyin") -> Identity:
    return viewer_identity(platform, f"v{number}")


def phone(number: int) -> Identity:
    return Identity(PHONE, f"{number:032x}")


def form(number: int) -> Identity:
    return Identity("form", f"enquiry:{number}")


def link(a: Identity, b: Identity, confidence: float = 1.0, id: str = "") -> Link:
    return Link(id or f"{a.kind}{a.key}-{b.kind}{b.key}", a, b, "form", confidence, AT)


def neighbours(links: Iterable[Link]) -> Neighbours:
    held = list(links)
    return lambda identity: [each for each in held if identity in (each.a, each.b)]


# ---------------------------------------------------------------------- phones


@pytest.mark.parametrize(
    ("text", "e164"),
    [
        ("13800138000", NUMBER),
        ("138 0013 8000", NUMBER),
        ("+86 138-0013-8000", NUMBER),
        ("１３８００１３８０００", NUMBER),
        ("一三八零零一三八零零零", NUMBER),
        ("0571-88123456", "+8657188123456"),
        ("+44 20 7946 0958", "+442079460958"),
        ("12345678901", None),
        ("没有", None),
    ],
)
def test_a_number_is_one_number_however_it_is_written(text: str, e164: str | None) -> None:
    assert normalised_phone(text) == e164


def test_the_hash_of_a_number_is_that_of_the_standard_and_needs_the_secret() -> None:
    """HMAC-SHA256 as `openssl dgst -sha256 -mac HMAC` computes it, cut to half; another secret gives another."""
    assert phone_key(NUMBER, SECRET) == "eee9810e7b839a5c52ae4093c2785f71"
    assert phone_key(NUMBER, bytes(32)) != phone_key(NUMBER, SECRET)


def test_a_number_is_shown_with_at_least_four_digits_hidden() -> None:
    assert masked_phone(NUMBER) == "138****8000"
    assert masked_phone("+442079460958").count("*") >= 4


# ---------------------------------------------------------------------- what events say


def test_an_event_makes_a_link() -> None:
    data = {
        "a": {"kind": "viewer:douyin", "key": "v1"},
        "b": {"kind": "phone", "key": "0" * 32},
        "source": "form",
        "confidence": 1,
    }
    assert link_of("e1", data, AT) == Link("e1", viewer(1), phone(0), "form", 1.0, AT)


GOOD: Mapping[str, Any] = {"kind": "viewer:douyin", "key": "v1"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"a": None}, "object of kind and key"),
        ({"a": {"kind": "viewer:", "key": "v1"}}, "viewer:<platform>"),
        ({"a": {"kind": "email", "key": "v1"}}, "viewer:<platform>"),
        ({"a": {"kind": "crm", "key": ""}}, "1 to 512"),
        ({"a": {"kind": "crm", "key": "a\nb"}}, "1 to 512"),
        ({"a": {"kind": "phone", "key": "13800138000"}}, "never the number"),
        ({"b": dict(GOOD)}, "itself"),
        ({"source": ""}, "source"),
        ({"confidence": 1.5}, "from 0 to 1"),
        ({"confidence": True}, "from 0 to 1"),
        ({"confidence": float("nan")}, "from 0 to 1"),
    ],
)
def test_what_makes_no_link_is_refused_without_telling_the_key(change: dict[str, Any], reason: str) -> None:
    data = {"a": dict(GOOD), "b": {"kind": "crm", "key": "c1"}, "source": "form", "confidence": 0.9} | change
    with pytest.raises(ValueError, match=reason) as refused:
        link_of("e1", data, AT)
    assert "13800138000" not in str(refused.value)


def test_an_identity_is_written_as_kind_and_key_alone() -> None:
    assert identity_of({"kind": "form", "key": "f:1"}) == Identity("form", "f:1")
    with pytest.raises(ValueError, match="kind and key"):
        identity_of({"kind": "form", "key": "f:1", "name": "x"})


# ---------------------------------------------------------------------- components

LINKS = st.builds(
    link,
    st.sampled_from([viewer(n) for n in range(6)] + [form(n) for n in range(2)]),
    st.sampled_from([phone(n) for n in range(3)] + [form(n) for n in range(2)] + [Identity("crm", "1")]),
    st.sampled_from([0.5, 0.8, 1.0]),
).filter(lambda made: made.a != made.b)
HISTORIES = st.lists(st.tuples(st.sampled_from(["link", "unlink"]), LINKS), max_size=30)


def held_after(history: Sequence[tuple[str, Link]]) -> list[Link]:
    held: dict[str, Link] = {}
    for what, each in history:
        if what == "link":
            held[each.id] = each
        else:
            held.pop(each.id, None)
    return list(held.values())


@given(HISTORIES)
def test_after_any_links_and_unlinkings_the_groups_are_those_of_the_links_that_hold(
    history: list[tuple[str, Link]],
) -> None:
    """Kept up step by step, from what :func:`regrouped` says alone, as a table of customers is."""
    held: dict[str, Link] = {}
    groups: dict[Identity, frozenset[Identity]] = {}
    for what, each in history:
        before = neighbours(held.values())
        if what == "link":
            held[each.id] = each
        elif each.id in held:
            each = held.pop(each.id)
        else:
            continue
        old, new = regrouped(each, before, neighbours(held.values()), max_viewers=2)
        assert frozenset().union(*old) == frozenset().union(*new)
        for group in new:
            groups.update(dict.fromkeys(group, group))
    expected = components(held.values(), max_viewers=2)
    assert {identity: groups.get(identity, frozenset([identity])) for identity in expected} == expected
    alone = groups.keys() - expected.keys()
    assert all(groups[identity] == {identity} for identity in alone)


@given(HISTORIES, st.randoms(use_true_random=False))
def test_groups_do_not_depend_on_the_order_of_links(history: list[tuple[str, Link]], dice: Any) -> None:
    links = held_after(history)
    shuffled = list(links)
    dice.shuffle(shuffled)
    found = components(links, max_viewers=2)
    assert components(shuffled, max_viewers=2) == found
    assert all(
        component_of(identity, neighbours(links), max_viewers=2) == group for identity, group in found.items()
    )


@given(HISTORIES)
def test_groups_never_overlap(history: list[tuple[str, Link]]) -> None:
    groups = set(components(held_after(history), max_viewers=2).values())
    assert sum(map(len, groups)) == len(frozenset().union(*groups))


def test_a_link_below_the_threshold_joins_nobody() -> None:
    weak = [link(viewer(1), phone(1), 0.79)]
    assert component_of(viewer(1), neighbours(weak)) == {viewer(1)}
    assert component_of(viewer(1), neighbours(weak), threshold=0.79) == {viewer(1), phone(1)}


def test_two_links_between_the_same_two_must_both_go_before_they_part() -> None:
    one, other = link(viewer(1), phone(1), id="1"), link(phone(1), viewer(1), id="2")
    assert len(component_of(viewer(1), neighbours([one, other]))) == 2
    assert len(component_of(viewer(1), neighbours([other]))) == 2
    assert len(component_of(viewer(1), neighbours([]))) == 1


def test_a_phone_of_many_viewers_is_shared_and_joins_nobody() -> None:
    links = [link(viewer(number), phone(1)) for number in range(5)]
    assert len(component_of(viewer(0), neighbours(links), max_viewers=5)) == 6
    links.append(link(viewer(5), phone(1)))
    assert is_shared(phone(1), neighbours(links), max_viewers=5)
    assert component_of(viewer(0), neighbours(links), max_viewers=5) == {viewer(0)}
    assert component_of(phone(1), neighbours(links), max_viewers=5) == {phone(1)}
    assert set(components(links, max_viewers=5).values()) == {
        frozenset([each]) for each in (phone(1), *map(viewer, range(6)))
    }


def test_a_phone_is_shared_also_where_each_viewer_came_by_a_form_of_their_own() -> None:
    """Else one number in a thousand forms would make a thousand viewers one customer."""
    links = [link(viewer(number), form(number)) for number in range(6)]
    links += [link(form(number), phone(1)) for number in range(6)]
    assert is_shared(phone(1), neighbours(links), max_viewers=5)
    assert component_of(viewer(0), neighbours(links), max_viewers=5) == {viewer(0), form(0)}
    assert not is_shared(phone(1), neighbours(links), max_viewers=6)


def test_a_viewer_with_many_phones_is_not_shared() -> None:
    links = [link(viewer(1), phone(number)) for number in range(9)]
    assert not is_shared(viewer(1), neighbours(links))
    assert len(component_of(viewer(1), neighbours(links))) == 10


# ---------------------------------------------------------------------- the customer's id


def test_a_customer_keeps_the_id_of_the_oldest_identity_and_gets_it_back_after_unlinking() -> None:
    seen = {viewer(1): AT + 5, viewer(2): AT, phone(1): AT + 9}
    one, other = link(viewer(1), phone(1)), link(viewer(2), phone(1))

    def ids(links: list[Link]) -> dict[Identity, str]:
        return {each: customer_id(component_of(each, neighbours(links)), seen.__getitem__) for each in seen}

    alone, merged = ids([one]), ids([one, other])
    assert alone[viewer(1)] == alone[phone(1)] != alone[viewer(2)]
    assert set(merged.values()) == {alone[viewer(2)]}
    assert ids([one]) == alone


def test_of_identities_first_seen_at_once_kind_and_key_decide() -> None:
    both = [viewer(1), viewer(1, "bilibili")]
    assert customer_id(both, lambda _: AT) == customer_id(reversed(both), lambda _: AT)
    assert customer_id([viewer(1, "bilibili")], lambda _: AT) == customer_id(both, lambda _: AT)
    # ("form", "ab") and ("forma", "b") are not the same.
    assert customer_id([Identity("form", "ab")], lambda _: AT) != customer_id(
        [Identity("forma", "b")], lambda _: AT
    )
