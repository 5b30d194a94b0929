"""Nurture: who hears of us and who does not, and never twice of the same."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from frontrow.core.centre.nurture import (
    DAY_MS,
    DEFAULT_TOUCH_RULES,
    TEXTS,
    TOUCH_CHANNELS,
    TOUCH_POINTS,
    WITHHELD,
    CustomerFacts,
    Occasion,
    SentTouch,
    Touch,
    TouchLimits,
    TouchRule,
    Withheld,
    due_touches,
    preview,
)

HOUR = 3_600_000
NOON = round(datetime(2026, 9, 21, 12, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp() * 1000)
LIMITS = TouchLimits()
WELCOME, INVITATION, OFFER, READING, WAKE = DEFAULT_TOUCH_RULES
NEXT = Occasion(
    kind="invitation", occasion="s2", opens_at=NOON - DAY_MS, ends_at=NOON + DAY_MS, lines=(("beauty",),)
)
SALE = Occasion(kind="campaign", occasion="1111", opens_at=NOON - DAY_MS, ends_at=NOON + DAY_MS)

ANN = CustomerFacts(
    customer="c1",
    grade="warm",
    contact="9f",
    contact_at=NOON - HOUR,
    seen_at=NOON - HOUR,
    consents=("service", "marketing"),
    channels=TOUCH_CHANNELS,
    interests=(("beauty", "skincare"),),
)


def told(*customers: CustomerFacts, **given_: Any) -> list[tuple[str, str]]:
    """Return (rule, "sent" or the reason) of everything that was due."""
    options: dict[str, Any] = {
        "rules": DEFAULT_TOUCH_RULES,
        "history": (),
        "at": NOON,
        "limits": LIMITS,
    } | given_
    return [
        (each.rule, "sent" if isinstance(each, Touch) else each.reason)
        for each in due_touches(customers, **options)
    ]


def went(rule: TouchRule, about: str, ago_days: float, customer: str = "c1") -> SentTouch:
    return SentTouch(
        rule=rule.name,
        customer=customer,
        channel=rule.channel,
        about=about,
        at=NOON - round(ago_days * DAY_MS),
        capped=rule.capped,
    )


# ---- the five touchpoints


def test_whoever_leaves_a_number_is_thanked_once_for_it() -> None:
    """Once per contact, not per event: a second form with the same number says nothing new."""
    [touch] = due_touches([ANN], [WELCOME], [], NOON, limits=LIMITS)
    assert isinstance(touch, Touch)
    assert (touch.channel, touch.text, touch.about) == ("sms", "welcome", "contact:9f")
    again = replace(ANN, contact_at=NOON - 5)
    assert told(again, rules=[WELCOME], history=[touch.sent(NOON)]) == [("welcome", "sent_already")]
    other = replace(ANN, contact="7c")
    assert told(other, rules=[WELCOME], history=[touch.sent(NOON)]) == [("welcome", "sent")]


def test_a_number_that_two_customers_left_rings_once() -> None:
    twin = replace(ANN, customer="c2")
    assert told(twin, ANN, rules=[WELCOME]) == [("welcome", "sent"), ("welcome", "sent_already")]


def test_thanks_that_come_too_late_are_not_sent() -> None:
    old = replace(ANN, contact_at=NOON - DAY_MS - 1)
    assert told(old, rules=[WELCOME]) == [("welcome", "too_late")]
    assert told(replace(ANN, contact_at=NOON - DAY_MS), rules=[WELCOME]) == [("welcome", "sent")]


def test_reading_comes_every_so_many_days_to_those_who_are_not_hot() -> None:
    known = replace(ANN, contact_at=NOON - 20 * DAY_MS)
    assert told(known, rules=[READING]) == [("reading", "sent")]
    assert told(known, rules=[READING], history=[went(READING, "turn:1", 13.9)]) == []
    assert told(known, rules=[READING], history=[went(READING, "turn:1", 14)]) == [("reading", "sent")]
    assert told(replace(known, grade="hot"), rules=[READING]) == []
    assert told(ANN, rules=[READING]) == [], "a week after the contact at the soonest"


def test_a_rule_for_a_line_is_for_those_who_are_interested_in_it() -> None:
    known = replace(ANN, contact_at=NOON - 20 * DAY_MS)
    assert told(known, rules=[replace(READING, line=("beauty",))]) == [("reading", "sent")]
    assert told(known, rules=[replace(READING, line=("beauty", "makeup"))]) == []


def test_people_are_invited_to_what_interests_them_until_it_begins() -> None:
    assert told(ANN, rules=[INVITATION], occasions=[NEXT]) == [("next_broadcast", "sent")]
    assert told(replace(ANN, interests=(("food",),)), rules=[INVITATION], occasions=[NEXT]) == []
    assert told(ANN, rules=[INVITATION], occasions=[replace(NEXT, ends_at=NOON)]) == []
    assert told(ANN, rules=[INVITATION], occasions=[replace(NEXT, opens_at=NOON + 1)]) == []
    assert told(replace(ANN, opted_out=("sms",)), rules=[INVITATION], occasions=[NEXT]) == [
        ("next_broadcast", "opted_out")
    ]


def test_a_campaign_is_told_once_and_another_again() -> None:
    history = [went(OFFER, "campaign:1111", 0.5)]
    assert told(ANN, rules=[OFFER], occasions=[SALE], history=history) == [("offer", "sent_already")]
    other = replace(SALE, occasion="1212")
    assert told(ANN, rules=[OFFER], occasions=[other], history=history) == [("offer", "sent")]
    assert told(ANN, rules=[replace(OFFER, occasion="1111")], occasions=[other]) == []


def test_whoever_is_silent_for_thirty_days_is_woken_once_a_silence_and_three_times_in_all() -> None:
    silent = replace(ANN, seen_at=NOON - 30 * DAY_MS)
    assert told(replace(silent, seen_at=NOON - 30 * DAY_MS + 1), rules=[WAKE]) == []
    assert told(silent, rules=[WAKE]) == [("wake", "sent")]
    same = went(WAKE, f"silence:{silent.seen_at}", 10)
    assert told(silent, rules=[WAKE], history=[same]) == [("wake", "sent_already")]
    earlier = [went(WAKE, f"silence:{n}", 100 + n) for n in range(3)]
    assert told(silent, rules=[WAKE], history=earlier[:2]) == [("wake", "sent")]
    assert told(silent, rules=[WAKE], history=earlier) == [("wake", "rule_cap")]


# ---- reasons against it

REASONS: dict[str, tuple[dict[str, Any], str]] = {
    "wants no contact": ({"do_not_contact": True}, "do_not_contact"),
    "has stopped the channel": ({"opted_out": ("sms",)}, "opted_out"),
    "has stopped another": ({"opted_out": ("email",)}, "sent"),
    "agreed to something else": ({"consents": ("service",)}, "no_consent"),
    "has no number": ({"channels": ("wechat",)}, "no_channel"),
    "has bought": ({"status": "won"}, "stopped"),
    "has said no": ({"status": "lost"}, "stopped"),
    "is talked with": ({"status": "following", "talked_at": NOON - DAY_MS}, "in_talks"),
    "was talked with long ago": ({"status": "following", "talked_at": NOON - 3 * DAY_MS}, "sent"),
    "was talked with before the pool": ({"status": "pooled", "talked_at": NOON - DAY_MS}, "sent"),
}


@pytest.mark.parametrize(("facts", "reason"), REASONS.values(), ids=REASONS)
def test_a_customer_is_not_written_to_who(facts: dict[str, Any], reason: str) -> None:
    assert told(replace(ANN, **facts), rules=[OFFER], occasions=[SALE]) == [("offer", reason)]


def test_what_ends_by_itself_says_when() -> None:
    talking = replace(ANN, status="following", talked_at=NOON - DAY_MS)
    [withheld] = due_touches([talking], [OFFER], [], NOON, occasions=[SALE], limits=LIMITS)
    assert isinstance(withheld, Withheld)
    assert withheld.until == NOON + 2 * DAY_MS


def test_nobody_gets_more_in_seven_days_than_the_limits_say() -> None:
    two = [went(READING, "turn:1", 6.9), went(INVITATION, "invitation:s1", 3)]
    [withheld] = due_touches([ANN], [OFFER], two, NOON, occasions=[SALE], limits=LIMITS)
    assert isinstance(withheld, Withheld)
    assert (withheld.reason, withheld.until) == ("week_cap", two[0].at + 7 * DAY_MS)
    assert told(ANN, rules=[OFFER], occasions=[SALE], history=two, at=withheld.until) == [("offer", "sent")]
    one_sms = replace(LIMITS, sms_per_week=1, per_week=5)
    assert told(ANN, rules=[OFFER], occasions=[SALE], history=two, limits=one_sms) == [
        ("offer", "channel_cap")
    ]
    by_mail = replace(OFFER, channel="email")
    assert told(ANN, rules=[by_mail], occasions=[SALE], history=two, limits=one_sms) == [("offer", "sent")]
    none = replace(LIMITS, per_week=0)
    assert told(ANN, rules=[OFFER], occasions=[SALE], limits=none) == [("offer", "week_cap")]


def test_thanks_are_an_answer_and_count_neither_way() -> None:
    full = [went(READING, "turn:1", 1), went(INVITATION, "invitation:s1", 1)]
    assert told(ANN, rules=[WELCOME], history=full) == [("welcome", "sent")]
    thanked = [went(WELCOME, f"contact:{n}", 1) for n in range(5)]
    assert told(ANN, rules=[OFFER], occasions=[SALE], history=thanked) == [("offer", "sent")]


def test_what_an_earlier_rule_sends_counts_for_the_later_ones() -> None:
    silent = replace(ANN, contact_at=NOON - 30 * DAY_MS, seen_at=NOON - 30 * DAY_MS)
    assert told(silent, occasions=[NEXT, SALE]) == [
        ("welcome", "too_late"),
        ("next_broadcast", "sent"),
        ("offer", "sent"),
        ("reading", "week_cap"),
        ("wake", "week_cap"),
    ]


def test_nobody_is_written_to_at_night_and_the_morning_is_told() -> None:
    night = NOON + 10 * HOUR
    [withheld] = due_touches([ANN], [WELCOME], [], night, limits=LIMITS)
    assert isinstance(withheld, Withheld)
    morning = NOON + 21 * HOUR
    assert (withheld.reason, withheld.until) == ("quiet_hours", morning)
    assert told(ANN, rules=[WELCOME], at=morning) == [("welcome", "sent")]
    assert told(ANN, rules=[WELCOME], at=morning - 1) == [("welcome", "quiet_hours")]


# ---- preview


def test_a_preview_says_of_everybody_what_they_would_get_or_why_not() -> None:
    ben = replace(ANN, customer="c2", contact="7c", do_not_contact=True)
    found = preview([ben, ANN], DEFAULT_TOUCH_RULES, [], NOON, occasions=[SALE], limits=LIMITS)
    assert [(touch.customer, touch.rule) for touch in found.touches] == [("c1", "welcome"), ("c1", "offer")]
    assert found.counts["welcome"] == {"do_not_contact": 1, "sent": 1}
    assert found.counts["reading"] == {"not_due": 2}
    assert len(found.touches) + len(found.withheld) == 2 * len(DEFAULT_TOUCH_RULES)
    assert found == preview([ANN, ben], DEFAULT_TOUCH_RULES, [], NOON, occasions=[SALE], limits=LIMITS)


# ---- rules and texts


def test_a_rule_without_its_days_and_limits_that_no_clock_keeps_are_refused() -> None:
    for point, days in (("content", "every_days"), ("dormant", "silent_days")):
        with pytest.raises(ValueError, match=days):
            TouchRule(name="x", point=point, channel="sms", text="x")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="time zone"):
        TouchLimits(timezone="Mars")


def test_the_default_rules_are_the_five_touchpoints_with_texts_in_both_languages() -> None:
    assert {rule.point for rule in DEFAULT_TOUCH_RULES} == set(TOUCH_POINTS)
    assert all(all(TEXTS[rule.text]) for rule in DEFAULT_TOUCH_RULES)
    assert all(zh and en for zh, en in WITHHELD.values())
    assert all("退订回T" in zh and "to stop" in en for zh, en in TEXTS.values()), "each says how to end it"


# ---- any customers

DAYS = st.integers(0, 60).map(lambda days: NOON - days * DAY_MS)
CUSTOMERS = st.lists(
    st.builds(
        CustomerFacts,
        customer=st.integers(0, 20).map("c{}".format),
        grade=st.sampled_from(["hot", "warm", "cold"]),
        status=st.sampled_from(["new", "following", "won", "lost", "invalid", "pooled"]),
        talked_at=st.none() | DAYS,
        contact=st.none() | st.sampled_from(["a", "b", "c"]),
        contact_at=DAYS,
        seen_at=st.none() | DAYS,
        consents=st.lists(st.sampled_from(["service", "marketing"]), unique=True).map(tuple),
        channels=st.lists(st.sampled_from(TOUCH_CHANNELS), unique=True).map(tuple),
        opted_out=st.lists(st.sampled_from(TOUCH_CHANNELS), unique=True).map(tuple),
        interests=st.lists(st.sampled_from([("beauty",), ("food",)]), unique=True).map(tuple),
        do_not_contact=st.booleans(),
    ),
    max_size=6,
    unique_by=lambda each: each.customer,
)
OCCASIONS = st.lists(st.sampled_from([NEXT, SALE, replace(SALE, occasion="1212")]), unique=True)


@settings(max_examples=60)
@given(customers=CUSTOMERS, occasions=OCCASIONS, days=st.lists(st.integers(0, 20), max_size=6))
def test_over_any_days_nobody_hears_twice_of_the_same_nor_too_often_nor_against_their_will(
    customers: list[CustomerFacts], occasions: list[Occasion], days: list[int]
) -> None:
    history: list[SentTouch] = []
    by_name = {each.customer: each for each in customers}
    rules = {rule.name: rule for rule in DEFAULT_TOUCH_RULES}
    for day in sorted(days):
        at = NOON + day * DAY_MS
        sent = [
            each
            for each in due_touches(
                customers, DEFAULT_TOUCH_RULES, history, at, occasions=occasions, limits=LIMITS
            )
            if isinstance(each, Touch)
        ]
        for touch in sent:
            facts, rule = by_name[touch.customer], rules[touch.rule]
            assert not facts.do_not_contact, "suppresses all"
            assert touch.channel not in facts.opted_out
            assert touch.channel in facts.channels
            assert rule.purpose in facts.consents
            assert facts.status not in rule.stops
        history += [touch.sent(at) for touch in sent]
        for customer in by_name:
            week = [
                each
                for each in history
                if each.customer == customer and each.capped and each.at > at - 7 * DAY_MS
            ]
            assert len(week) <= LIMITS.per_week
    keys = [(each.rule, each.customer, each.about) for each in history]
    assert len(keys) == len(set(keys))


@given(
    contacts=st.lists(st.sampled_from("ab"), min_size=1, max_size=6),
    times=st.lists(st.integers(0, 3), min_size=1, max_size=4),
)
def test_thanks_go_once_to_a_contact_however_often_and_by_whomever_it_is_left(
    contacts: list[str], times: list[int]
) -> None:
    history: list[SentTouch] = []
    for hour in sorted(times):
        at = NOON + hour * HOUR
        left = [
            replace(ANN, customer=f"c{number}", contact=contact, contact_at=at)
            for number, contact in enumerate(contacts)
        ]
        found = due_touches(left, [WELCOME], history, at, limits=LIMITS)
        history += [touch.sent(at) for touch in found if isinstance(touch, Touch)]
    assert sorted(each.about for each in history) == sorted(f"contact:{contact}" for contact in set(contacts))


@settings(max_examples=40)
@given(customers=CUSTOMERS, occasions=OCCASIONS, data=st.data())
def test_the_order_in_which_facts_come_changes_nothing(
    customers: list[CustomerFacts], occasions: list[Occasion], data: st.DataObject
) -> None:
    def run(
        given_: list[CustomerFacts], on: list[Occasion], history: list[SentTouch]
    ) -> list[Touch | Withheld]:
        return due_touches(given_, DEFAULT_TOUCH_RULES, history, NOON, occasions=on, limits=LIMITS)

    history = [went(READING, f"turn:{n}", n, f"c{n}") for n in range(6)]
    shuffled = data.draw(st.permutations(customers)), data.draw(st.permutations(occasions))
    again = run(list(shuffled[0]), list(shuffled[1]), data.draw(st.permutations(history)))
    assert run(customers, occasions, history) == again


@given(customers=CUSTOMERS)
def test_a_key_names_one_message(customers: list[CustomerFacts]) -> None:
    found = [
        each
        for each in due_touches(customers, DEFAULT_TOUCH_RULES, [], NOON, limits=LIMITS)
        if isinstance(each, Touch)
    ]
    assert len({touch.key for touch in found}) == len(found)
