"""Quality: each level from the facts that make it, each fault from the one thing that is wrong."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.core.centre.conduct import SIGNS
from frontrow.core.centre.facts import Region
from frontrow.core.centre.quality import (
    KNOWN_FAULTS,
    SPAM_FAULTS,
    Contact,
    Fault,
    NumberLists,
    Quality,
    QualityFacts,
    ValidationRules,
    faults_of,
    is_test_number,
    quality_of,
)

GOOD = Contact(phone="a" * 32)
LISTS = NumberLists(blacklist=frozenset({"b" * 32}), staff=frozenset({"c" * 32}), test=frozenset({"d" * 32}))
ZHEJIANG = ValidationRules(countries=("CN",), provinces=("浙江",))


def with_phone(phone: str | None) -> QualityFacts:
    return QualityFacts(contact=Contact(phone=phone))


@pytest.mark.parametrize(
    ("facts", "level"),
    [
        (QualityFacts(), Quality.ANONYMOUS),
        (QualityFacts(linkable=True), Quality.IDENTIFIED),
        (QualityFacts(contact=GOOD), Quality.REACHABLE),
        (QualityFacts(contact=GOOD, linkable=True), Quality.REACHABLE),
        (QualityFacts(contact=Contact(phone="a" * 32, dead=True)), Quality.ANONYMOUS),
        (with_phone(None), Quality.ANONYMOUS),
        (QualityFacts(contact=GOOD, confirmed=True), Quality.VERIFIED),
        (QualityFacts(booked=True), Quality.VERIFIED),
        (QualityFacts(test_drive_done=True), Quality.COMMITTED),
        (QualityFacts(ordered=True), Quality.COMMITTED),
        (QualityFacts(staff=True, ordered=True), Quality.INVALID),
        (with_phone("b" * 32), Quality.INVALID),
        (with_phone("c" * 32), Quality.INVALID),
        (with_phone("d" * 32), Quality.INVALID),
        (QualityFacts(clockwork=True, linkable=True), Quality.INVALID),
        (QualityFacts(spam=True, contact=GOOD), Quality.INVALID),
        (QualityFacts(crowd=True, contact=GOOD), Quality.INVALID),
        (QualityFacts(region=Region(country="US"), contact=GOOD), Quality.INVALID),
        # A person's word and an order outweigh what was only suspected.
        (QualityFacts(crowd=True, confirmed=True), Quality.VERIFIED),
        (QualityFacts(spam=True, ordered=True), Quality.COMMITTED),
    ],
)
def test_each_level_is_reached_by_its_facts(facts: QualityFacts, level: Quality) -> None:
    assert quality_of(facts, ZHEJIANG, LISTS) is level


@pytest.mark.parametrize(
    ("facts", "fault"),
    [
        (QualityFacts(staff=True), "staff"),
        (with_phone("c" * 32), "staff_number"),
        (with_phone("b" * 32), "blacklist"),
        (with_phone("d" * 32), "test_number"),
        (QualityFacts(spam=True), "spam"),
        (QualityFacts(crowd=True), "crowd"),
        (QualityFacts(one_line=True), "one_line"),
        (QualityFacts(clockwork=True), "clockwork"),
        (QualityFacts(in_step=True), "in_step"),
        (QualityFacts(region=Region(country="CN", province="广东")), "out_of_region"),
        (with_phone(None), "format"),
        (QualityFacts(contact=Contact(phone="a" * 32, dead=True)), "dead_number"),
    ],
)
def test_each_fault_has_its_name(facts: QualityFacts, fault: str) -> None:
    assert faults_of(facts, ZHEJIANG, LISTS) == (fault,)


def test_nothing_is_suspected_that_nothing_finds() -> None:
    """A cleaner who filters by a fault that never comes takes the list for clean. A machine has no fault of its own: it is
    known by its conduct, and each sign of that is one."""
    by_a_person, by_the_engine = Fault.SPAM, Fault.CROWD
    assert {by_a_person, by_the_engine, *SIGNS} == SPAM_FAULTS


def test_every_fault_is_told_and_the_gravest_first() -> None:
    contact = Contact(phone="b" * 32, dead=True, region=Region(country="US"))
    found = faults_of(QualityFacts(staff=True, spam=True, contact=contact), ZHEJIANG, LISTS)
    assert found == ("staff", "blacklist", "spam", "out_of_region", "dead_number")


def test_a_viewer_who_gave_nothing_is_on_no_list() -> None:
    assert faults_of(QualityFacts(), ZHEJIANG, LISTS) == ()


@pytest.mark.parametrize(
    ("declared", "of_number", "outside"),
    [
        (Region(), Region(), False),  # nothing is known
        (Region(), Region(country="CN", province="广东"), True),
        (Region(country="CN", province="浙江"), Region(country="CN", province="广东"), False),  # has moved
        (Region(country="CN", province="广东"), Region(country="CN", province="浙江"), True),
        (Region(country="CN"), Region(country="CN", province="浙江"), False),
    ],
)
def test_what_was_declared_says_more_than_the_number(
    declared: Region, of_number: Region, outside: bool
) -> None:
    facts = QualityFacts(region=declared, contact=Contact(phone="a" * 32, region=of_number))
    assert (Fault.OUT_OF_REGION in faults_of(facts, ZHEJIANG, LISTS)) is outside


@pytest.mark.parametrize(
    ("number", "is_test"),
    [
        ("+8613800138000", True),
        ("+8613811111111", True),
        ("+8613812345678", True),
        ("+8613887654321", True),
        ("+8613890123456", True),
        ("+8613816247753", False),
        ("+8613811111112", False),
    ],
)
def test_numbers_that_are_typed_to_have_typed_one(number: str, is_test: bool) -> None:
    assert is_test_number(number) is is_test


@given(
    st.fixed_dictionaries(
        {name: st.booleans() for name in QualityFacts.__struct_fields__ if name not in ("contact", "region")}
    ),
    st.sampled_from([None, GOOD, Contact(phone=None), Contact(phone="b" * 32)]),
)
def test_more_that_speaks_for_a_lead_never_lowers_its_level(
    flags: dict[str, bool], contact: Contact | None
) -> None:
    facts = QualityFacts(**flags, contact=contact)  # type: ignore[arg-type]
    level = quality_of(facts, lists=LISTS)
    for good in ("linkable", "confirmed", "booked", "test_drive_done", "ordered"):
        assert quality_of(msgspec.structs.replace(facts, **{good: True}), lists=LISTS) >= level
    if set(faults_of(facts, lists=LISTS)) & KNOWN_FAULTS:
        assert level is Quality.INVALID
