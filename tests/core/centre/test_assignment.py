"""A lead goes to who is there, by the first rule that takes it, and the decision says why."""

import gc
import weakref
from collections import Counter
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontrow.core.centre.assignment import (
    DEFAULT_RULES,
    FALLBACK,
    Conditions,
    Rule,
    Rules,
    Skipped,
    State,
    Strategy,
    Why,
    decide,
    dry_run,
    explain,
)
from frontrow.core.centre.facts import LeadFacts, Region
from frontrow.core.centre.organisation import Absence, Organisation, OrgChange, Seller, Shift, Unit

NOON = 1_767_585_600_000 + 4 * 3_600_000  # Monday 2026-01-05, 12:00 in Shanghai
DAY = 86_400_000
OFFICE = Shift(weekdays=(1, 2, 3, 4, 5), from_minute=540, to_minute=1080)


def facts(number: int = 0, **fields: Any) -> LeadFacts:
    given: dict[str, Any] = {"platform": "douyin", "room": "a", "grade": "hot", "quality": 3, "points": 85}
    return LeadFacts(lead=f"L{number}", **(given | fields))


def team_of(*sellers: Seller) -> Organisation:
    units = [Unit(id="hq", kind="company"), Unit(id="s", kind="store", parent="hq"), Unit(id="t", kind="team", parent="s")]  # fmt: skip
    return Organisation(units, sellers)


def seller(id: str, **fields: Any) -> Seller:
    given: dict[str, Any] = {"team": "t", "capacity": 100_000}
    return Seller(id=id, **(given | fields))


def rule(name: str = "r", **fields: Any) -> Rule:
    when = {key: fields.pop(key) for key in list(fields) if key in Conditions.__struct_fields__}
    target: dict[str, Any] = {} if {"pool", "by"} & fields.keys() else {"team": "t"}
    return Rule(name=name, when=Conditions(**when), **(target | fields))


def given_to(
    organisation: Organisation, count: int, *, state: State | None = None, at: int = NOON, **fields: Any
) -> list[str | None]:
    state = State() if state is None else state
    rules = Rules([rule(**fields)])
    return [decide(facts(number), rules, organisation, state, at).seller for number in range(count)]


# --- which rule


@pytest.mark.parametrize(
    ("when", "lead", "taken"),
    [
        # S1-38: by source
        ({"hosts": ("A",)}, {"host": "A"}, True),
        ({"hosts": ("A",)}, {"host": "B"}, False),
        ({"hosts": ("A",)}, {}, False),
        ({"rooms": ("a",)}, {}, True),
        ({"rooms": ("douyin/a",)}, {}, True),
        ({"rooms": ("bilibili/a",)}, {}, False),
        ({"platforms": ("douyin", "bilibili")}, {"platform": "bilibili"}, True),
        ({"platforms": ("douyin",)}, {"platform": "bilibili"}, False),
        ({"campaigns": ("618",)}, {"campaign": "618"}, True),
        ({"campaigns": ("618",)}, {}, False),
        ({"channels": ("form",)}, {"channel": "form"}, True),
        # S1-39: by place; what is unknown meets no rule
        ({"provinces": ("浙江",)}, {"region": Region(province="浙江", city="杭州")}, True),
        ({"cities": ("杭州", "宁波")}, {"region": Region(province="浙江", city="杭州")}, True),
        (
            {"provinces": ("江苏",), "cities": ("杭州",)},
            {"region": Region(province="浙江", city="杭州")},
            False,
        ),
        ({"provinces": ("浙江",)}, {}, False),
        # S1-40: by product
        ({"products": ("auto/suv",)}, {"taxonomy": ("auto", "suv", "x5"), "product": "p1"}, True),
        ({"products": ("p1",)}, {"taxonomy": ("auto", "suv", "x5"), "product": "p1"}, True),
        ({"products": ("auto/su",)}, {"taxonomy": ("auto", "suv")}, False),
        ({"products": ("auto/suv",)}, {"taxonomy": ("auto",)}, False),
        ({"products": ("auto/suv",)}, {}, False),
        # S1-41: by grade, and what else one knows
        ({"grades": ("hot",)}, {}, True),
        ({"grades": ("warm", "cold")}, {}, False),
        ({"quality_at_least": 3}, {}, True),
        ({"quality_at_least": 4}, {}, False),
        ({"points_at_least": 85}, {}, True),
        ({"points_at_least": 86}, {}, False),
        ({"returning": True}, {}, False),
        ({"returning": False}, {}, True),
        ({"grades": ("hot",), "rooms": ("b",)}, {}, False),
        ({}, {}, True),
    ],
)
def test_which_leads_a_rule_takes(when: dict[str, Any], lead: dict[str, Any], taken: bool) -> None:
    decision = decide(facts(**lead), Rules([rule(**when)]), team_of(seller("a")), State(), NOON)
    assert (decision.rule, decision.seller, decision.pool) == (
        ("r", "a", None) if taken else (None, None, FALLBACK)
    )


def test_the_first_rule_that_matches_wins_whatever_it_is_found_by() -> None:
    rules = Rules(
        [
            rule("suv in b", products=("auto/suv",), rooms=("b",)),
            rule("hot", grades=("hot",), pool="hot"),
            rule("a", rooms=("a",), pool="a"),
            rule("all", pool="all"),
        ],
        fallback="last",
    )
    company, state = team_of(seller("a")), State()
    leads = [
        facts(),
        facts(grade="warm"),
        facts(grade="cold", room="c"),
        facts(room="b", taxonomy=("auto", "suv")),
    ]
    decisions = [decide(lead, rules, company, state, NOON) for lead in leads]
    assert [(decision.rule, decision.pool) for decision in decisions] == [
        ("hot", "hot"), ("a", "a"), ("all", "all"), ("suv in b", None),
    ]  # fmt: skip


VALUES = {
    "platforms": ("douyin", "bilibili"), "rooms": ("a", "b", "douyin/a"), "hosts": ("A", "B"), "grades": ("hot", "warm"),
    "products": ("auto", "auto/suv", "shoes"), "cities": ("杭州", "宁波"),
}  # fmt: skip
SOME_CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.lists(st.sampled_from(values), max_size=2, unique=True).map(tuple) for name, values in VALUES.items()},
        "quality_at_least": st.integers(0, 5),
        "points_at_least": st.sampled_from([0, 40, 80]),
        "returning": st.none() | st.booleans(),
    },
)  # fmt: skip
SOME_LEADS = st.builds(
    facts,
    platform=st.sampled_from(["douyin", "bilibili"]), room=st.sampled_from("abc"), host=st.sampled_from(["A", "B", None]),
    grade=st.sampled_from(["hot", "warm", "cold"]), quality=st.integers(0, 5), points=st.integers(0, 100),
    taxonomy=st.sampled_from([(), ("auto",), ("auto", "suv"), ("shoes",)]), returning=st.booleans(),
    region=st.sampled_from([Region(), Region(province="浙江", city="杭州")]),
)  # fmt: skip


@settings(max_examples=80)
@given(st.lists(SOME_CONDITIONS, max_size=8), SOME_LEADS)
def test_the_index_finds_what_asking_every_rule_in_turn_finds(
    wanted: list[dict[str, Any]], lead: LeadFacts
) -> None:
    made = [rule(f"r{number}", **when) for number, when in enumerate(wanted)]
    in_turn = [
        each.name
        for each in made
        if [*Rules([each]).matching(lead)] == [each]
    ]  # fmt: skip
    assert [each.name for each in Rules(made).matching(lead)] == in_turn


# --- who is eligible (L13)


def test_whoever_is_not_there_at_that_moment_gets_nothing_and_is_counted() -> None:
    company = team_of(
        seller("absent", absences=(Absence(from_at=NOON - DAY, to_at=NOON + 1),)),
        seller("busy", capacity=2),
        seller("free"),
        seller("gone", to_at=NOON),
        seller("long gone", to_at=NOON - 40 * DAY),
        seller("manager", role="manager"),
        seller("night", shifts=(Shift(weekdays=(1,), from_minute=1200, to_minute=360),)),
        seller("none", capacity=0),
        seller("shoes", products=("shoes",)),
        seller("tomorrow", from_at=NOON + 1),
    )
    state = State(open={"busy": 2})
    decision = decide(facts(taxonomy=("auto",)), Rules([rule()]), company, state, NOON, excluding={"slow"})
    assert decision.seller == "free"
    assert decision.why == Why(
        considered=7,
        eligible=1,
        passed_over={"left": 1, "absent": 1, "off_shift": 1, "lacks_product": 1, "at_capacity": 2},
    )
    decision = decide(
        facts(taxonomy=("auto",)), Rules([rule()]), company, state, NOON, excluding={"free", "busy"}
    )
    assert (decision.team, decision.seller) == ("t", None)
    assert decision.why.passed_over["excluded"] == 2
    assert decision.why.passed_over["at_capacity"] == 1
    assert explain(decision, "zh-CN") == (
        "规则“r”；7 人中 0 人可接；1 人已离职；1 人请假；1 人不在班；1 人不负责该产品；2 人已排除；1 人已满"
    )
    assert explain(decision, "en").startswith("rule “r”; 0 of 7 eligible; 1 left the company; 1 absent; ")


def test_eligibility_is_looked_at_again_for_each_lead() -> None:
    """An absence that begins between two leads of the same second counts for the second one."""
    company = team_of(
        seller("a", absences=(Absence(from_at=NOON + 500, to_at=NOON + 900),)), seller("b", shifts=(OFFICE,))
    )
    rules, state = Rules([rule()]), State()
    moments = [NOON, NOON + 499, NOON + 500, NOON + 501, NOON + 899, NOON + 900, NOON + 6 * 3_600_000]
    found = [decide(facts(), rules, company, state, at).seller for at in moments]
    assert found == ["a", "b", "b", "b", "b", "a", "a"]


def test_a_seller_who_moves_gets_new_leads_in_the_new_team_only_and_keeps_their_open_ones() -> None:
    company = team_of(seller("a", capacity=2), seller("b")).changed(
        OrgChange(units=(Unit(id="u", kind="team", parent="s"),), sellers=(seller("a", team="u", capacity=2, from_at=NOON),))
    )  # fmt: skip
    rules, state = Rules([rule("t", rooms=("a",)), rule("u", team="u")]), State()
    assert decide(facts(1), rules, company, state, NOON - 1).seller == "a"
    assert [decide(facts(2 + n), rules, company, state, NOON).seller for n in range(3)] == ["b", "b", "b"]
    assert [decide(facts(9, room="z"), rules, company, state, NOON).seller for _ in range(2)] == ["a", None]


def test_a_lead_that_nobody_can_take_waits_or_goes_on_as_the_rule_says() -> None:
    company = team_of(seller("a", capacity=0), seller("m", role="manager"))
    waits = decide(facts(), Rules([rule(approval=True)]), company, State(), NOON)
    assert (waits.rule, waits.team, waits.seller, waits.approval) == ("r", "t", None, False)
    goes_on = Rules(
        [rule("first", if_nobody="next"), rule("gone", team="gone"), rule("boss", roles=("manager",))]
    )
    decision = decide(facts(), goes_on, company, State(), NOON)
    assert (decision.rule, decision.seller) == ("boss", "m")
    assert decision.why.skipped == (
        Skipped(rule="first", reason="nobody"),
        Skipped(rule="gone", reason="no_unit"),
    )
    lost = decide(facts(), Rules([rule("first", if_nobody="next")], fallback="sea"), company, State(), NOON)
    assert (lost.rule, lost.pool) == (None, "sea")
    assert explain(lost, "en") == "no rule took it; rule “first” had nobody"


def test_an_approval_proposes_a_seller() -> None:
    decision = decide(
        facts(), Rules([rule(approval=True, notify=("todo", "sms"))]), team_of(seller("a")), State(), NOON
    )
    assert (decision.seller, decision.approval, decision.notify) == ("a", True, ("todo", "sms"))


def test_a_closed_lead_makes_room() -> None:
    company, state, rules = team_of(seller("a", capacity=1)), State(), Rules([rule()])
    assert decide(facts(1), rules, company, state, NOON).seller == "a"
    assert decide(facts(2), rules, company, state, NOON).seller is None
    state.closed("a")
    assert decide(facts(2), rules, company, state, NOON).seller == "a"
    state.closed("a")
    state.closed("a")
    assert state.open == {}


# --- which of them


@pytest.mark.parametrize("strategy", ["round_robin", "weighted"])
def test_ten_thousand_leads_are_given_evenly_while_others_come_and_go(strategy: Strategy) -> None:
    """SuiteCRM#2032, #8935: who is off shift gets none, and that makes nobody else's share uneven."""
    steady = [seller(f"s{number}") for number in range(7)]
    others = [
        seller("office", shifts=(OFFICE,)),
        seller(
            "part",
            absences=tuple(
                Absence(from_at=NOON + d * DAY, to_at=NOON + d * DAY + DAY // 2) for d in range(9)
            ),
        ),
        seller("shoes", products=("shoes",)),
        seller("small", capacity=3),
        seller("away", absences=(Absence(from_at=0, to_at=NOON + 99 * DAY),)),
        seller("night", shifts=(Shift(weekdays=(1, 2, 3, 4, 5, 6, 7), from_minute=1320, to_minute=360),)),
    ]
    company, rules, state = team_of(*steady, *others), Rules([rule(strategy=strategy)]), State()
    got: Counter[str | None] = Counter()
    for number in range(10_000):
        at = NOON + number * 60_000
        lead = facts(number, taxonomy=("shoes",) if number % 3 else ("auto",))
        chosen = decide(lead, rules, company, state, at).seller
        got[chosen] += 1
        if chosen == "office":
            assert company.on_shift(others[0], at)
    counts = [got[each.id] for each in steady]
    assert max(counts) - min(counts) <= 1
    assert (got["away"], got["small"], got[None]) == (0, 3, 0)
    assert 0 < got["night"] < min(counts) and 0 < got["office"] < min(counts)


def test_weights_hold_to_within_one_lead_at_any_length_and_not_in_a_row() -> None:
    company = team_of(seller("a", weight=5), seller("b"), seller("c", weight=2))
    order = given_to(company, 800, strategy="weighted")
    counts: Counter[str | None] = Counter()
    for number, chosen in enumerate(order, start=1):
        counts[chosen] += 1
        for id, weight in (("a", 5), ("b", 1), ("c", 2)):
            assert abs(counts[id] - number * weight / 8) <= 1
    assert max(len(run) for run in "".join(map(str, order)).replace("b", " ").replace("c", " ").split()) <= 2


@settings(max_examples=15)
@given(
    st.lists(st.integers(1, 5), min_size=2, max_size=4), st.lists(st.integers(1, 5), max_size=3), st.randoms()
)
def test_weights_hold_among_those_always_there_whoever_comes_and_goes(
    steady: list[int], others: list[int], random: Any
) -> None:
    people = [seller(f"s{number}", weight=weight) for number, weight in enumerate(steady)]
    guests = [seller(f"g{number}", weight=weight) for number, weight in enumerate(others)]
    company, rules, state = team_of(*people, *guests), Rules([rule(strategy="weighted")]), State()
    got: Counter[str | None] = Counter()
    for number in range(300):
        away = {guest.id for guest in guests if random.random() < 0.5}
        got[decide(facts(number), rules, company, state, NOON, excluding=away).seller] += 1
    served = [got[person.id] / person.weight for person in people]
    assert max(served) - min(served) <= 2


def test_the_least_loaded_by_their_capacity_gets_it() -> None:
    company = team_of(seller("a", capacity=10), seller("b", capacity=20), seller("c", capacity=20))
    state = State(open={"a": 5, "b": 9, "c": 9})
    assert given_to(company, 4, state=state, strategy="least_loaded") == ["b", "c", "a", "b"]


def test_where_leads_are_closed_at_once_the_least_loaded_take_turns() -> None:
    company, state, rules = team_of(seller("a"), seller("b")), State(), Rules([rule(strategy="least_loaded")])
    order = []
    for number in range(4):
        chosen = decide(facts(number), rules, company, state, NOON).seller
        assert chosen is not None
        state.closed(chosen)
        order.append(chosen)
    assert order == ["a", "b", "a", "b"]


def test_the_best_performer_who_is_free_gets_it_and_the_unknown_come_last() -> None:
    """S1-41. What counts is the bound that one may rely on; three lucky leads give none."""
    company = team_of(
        seller("best", capacity=2), seller("good", capacity=1), seller("poor", capacity=1), seller("new1", capacity=2),
        seller("new2", capacity=2), seller("star", absences=(Absence(from_at=0, to_at=NOON + 1),)),
    )  # fmt: skip
    state = State(abilities={"best": 0.05, "good": 0.01, "poor": -0.2, "star": 0.3})
    order = given_to(company, 9, state=state, strategy="best_performer")
    assert order == ["best", "best", "good", "poor", "new1", "new2", "new1", "new2", None]


STAFF = st.lists(
    st.builds(
        lambda weight, capacity, skill: (weight, capacity, skill),
        st.integers(1, 5), st.integers(0, 6), st.sampled_from([(), ("auto",), ("shoes",)]),
    ),
    max_size=6,
)  # fmt: skip


@settings(max_examples=40)
@given(STAFF, st.sampled_from(["round_robin", "weighted", "least_loaded", "best_performer"]), st.randoms())
def test_a_decision_is_a_function_of_what_it_is_given(
    staff: list[tuple[int, int, tuple[str, ...]]], strategy: Strategy, random: Any
) -> None:
    """In whatever order people stand in the list, and with the state written down and read back in between."""
    people = [
        seller(f"s{number}", weight=weight, capacity=capacity, products=products)
        for number, (weight, capacity, products) in enumerate(staff)
    ]
    rules = Rules([rule(strategy=strategy)])
    state, other = State(abilities={"s1": 0.1, "s3": 0.1}), State(abilities={"s1": 0.1, "s3": 0.1})
    company, shuffled = team_of(*people), team_of(*random.sample(people, len(people)))
    for number in range(25):
        lead = facts(number, taxonomy=random.choice([("auto", "suv"), ("shoes",), ()]))
        before = state.copy()
        decision = decide(lead, rules, company, state, NOON + number)
        other = msgspec.json.decode(msgspec.json.encode(other), type=State)
        assert decide(lead, rules, shuffled, other, NOON + number) == decision
        assert other == state
        if decision.seller is None:
            assert decision.why.eligible == 0 and decision.team == "t"
        else:
            chosen = next(person for person in people if person.id == decision.seller)
            assert before.open.get(chosen.id, 0) < chosen.capacity
        assert (
            decision.why.considered
            == decision.why.eligible + sum(decision.why.passed_over.values())
            == len(people)
        )


def test_turns_of_who_is_gone_are_forgotten() -> None:
    company, state = team_of(seller("a"), seller("b", to_at=NOON + 1)), State()
    for strategy in ("round_robin", "weighted"):
        given_to(company, 2, state=state, strategy=strategy)
    state.forget(company, NOON + 1)
    assert [set(rotation.last) for rotation in state.rotations.values()] == [{"a"}, {"a"}]
    assert [set(rotation.credits) for rotation in state.rotations.values()] == [set(), {"a"}]


# --- by what the organisation says


LINES = ("auto/suv", "auto/ev", "shoes/run")
NATION = Organisation(
    [
        Unit(id="hq", kind="company"),
        *(Unit(id=store, kind="store", parent="hq", cities=(city,)) for store, city in (("hz", "杭州"), ("hz2", "杭州"), ("nj", "南京"))),
        *(Unit(id=f"{store}-{line}", kind="team", parent=store, products=(line,)) for store in ("hz", "nj") for line in LINES),
    ],
    [
        *(seller(f"{store}-{line}-{n}", team=f"{store}-{line}") for store in ("hz", "nj") for line in LINES for n in range(2)),
        seller("expert", team="hz-auto/suv", role="specialist"),
    ],
)  # fmt: skip


def test_the_founding_sentence_is_the_default() -> None:
    """S1-43: a new hot lead goes by intended product to that line's sales group, and its seller gets a to-do."""
    state = State()
    for line in LINES:
        lead = facts(taxonomy=(*line.split("/"), "model"))
        decision = decide(lead, Rules(DEFAULT_RULES), NATION, state, NOON)
        assert decision.rule == "hot-by-product-line"
        assert decision.team is not None and decision.team.endswith(line)
        assert decision.seller is not None and decision.notify == ("todo",)
    in_hangzhou = decide(facts(region=Region(city="杭州")), Rules(DEFAULT_RULES), NATION, state, NOON)
    assert (in_hangzhou.rule, in_hangzhou.seller) == ("hot-by-region", "expert")
    assert decide(facts(), Rules(DEFAULT_RULES), NATION, state, NOON).pool == FALLBACK, (
        "unknown is not guessed"
    )
    assert (
        decide(facts(grade="warm", taxonomy=("shoes", "run")), Rules(DEFAULT_RULES), NATION, state, NOON).rule
        is None
    )


def test_spam_is_no_sellers_lead_by_default() -> None:
    assert (
        decide(facts(quality=0, taxonomy=("shoes", "run")), Rules(DEFAULT_RULES), NATION, State(), NOON).rule
        is None
    )


@pytest.mark.parametrize(
    ("by", "lead", "sellers"),
    [
        (("region",), {"region": Region(city="南京")}, {f"nj-{line}-{n}" for line in LINES for n in range(2)}),
        (("product",), {"taxonomy": ("shoes", "run")}, {f"{s}-shoes/run-{n}" for s in ("hz", "nj") for n in range(2)}),
        (("region", "product"), {"region": Region(city="南京"), "taxonomy": ("shoes", "run")}, {"nj-shoes/run-0", "nj-shoes/run-1"}),
        (("product",), {"store": "nj", "taxonomy": ("shoes", "run")}, {"nj-shoes/run-0", "nj-shoes/run-1"}),
        (("region", "product"), {"store": "nj", "region": Region(city="杭州"), "taxonomy": ("shoes", "run")}, {"nj-shoes/run-0", "nj-shoes/run-1"}),
        (("region",), {}, set()),
        (("product",), {"taxonomy": ("boats",)}, set()),
        (("region", "product"), {"taxonomy": ("shoes", "run")}, set()),
        (("region",), {"store": "closed", "region": Region(city="南京")}, {f"nj-{line}-{n}" for line in LINES for n in range(2)}),
    ],
)  # fmt: skip
def test_units_are_found_by_place_and_by_product(
    by: Any, lead: dict[str, Any], sellers: set[str | None]
) -> None:
    rules, state = Rules([rule(by=by)]), State()
    decisions = [decide(facts(number, **lead), rules, NATION, state, NOON) for number in range(12)]
    assert {decision.seller for decision in decisions} == (sellers or {None})
    if not sellers:
        assert decisions[0].pool == FALLBACK
        assert decisions[0].why.skipped == (Skipped(rule="r", reason="no_unit"),)


def test_the_high_end_line_goes_to_a_senior_expert() -> None:
    """S1-40."""
    rules = Rules(
        [rule("high end", products=("auto/suv",), team="hz", roles=("specialist",)), *DEFAULT_RULES]
    )
    assert decide(facts(taxonomy=("auto", "suv")), rules, NATION, State(), NOON).seller == "expert"


def test_where_nobody_is_there_the_stores_of_a_place_share_what_waits() -> None:
    empty = Organisation(NATION.units)
    rules, state = Rules([rule(by=("region",))]), State()
    lead = facts(region=Region(city="杭州"))
    assert [decide(lead, rules, empty, state, NOON).team for _ in range(4)] == ["hz", "hz2", "hz", "hz2"]


# --- dry run, shape


def test_a_dry_run_says_who_would_get_what_and_changes_nothing() -> None:
    company, state = team_of(seller("a", capacity=2), seller("b", capacity=3)), State(open={"a": 1})
    rules = Rules([rule("a", rooms=("a",)), rule("p", rooms=("b",), pool="p"), rule("never", rooms=("zzz",))])
    leads = [(facts(number, room="aaaaabc"[number]), NOON + number) for number in range(7)]
    run = dry_run(leads, rules, company, state)
    assert [(each.lead, each.rule, each.seller) for each in run.decisions] == [
        ("L0", "a", "a"), ("L1", "a", "b"), ("L2", "a", "b"), ("L3", "a", "b"), ("L4", "a", None), ("L5", "p", None),
        ("L6", None, None),
    ]  # fmt: skip
    assert run.by_rule == {"a": 5, "p": 1, "never": 0, "": 1}
    assert (run.by_team, run.by_seller, run.by_pool) == ({"t": 5}, {"b": 3, "a": 1}, {"p": 1, FALLBACK: 1})
    assert state == State(open={"a": 1})


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"name": "r"}, "exactly one of team, pool and by"),
        ({"name": "r", "team": "t", "pool": "p"}, "exactly one of team, pool and by"),
        ({"name": "r", "team": "t", "when": {"room": ["a"]}}, r"unknown field `room` - at `\$\.when`"),
        ({"name": "r", "team": "t", "when": {"quality_at_least": 6}}, "<= 5"),
        ({"name": "r", "team": "t", "when": {"grades": ["blazing"]}}, "blazing"),
        ({"name": "r", "team": "t", "roles": []}, "length >= 1"),
    ],
)
def test_a_rule_that_is_none_is_refused_with_what_is_wrong(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=reason):
        msgspec.convert(given, Rule)


def test_turns_come_in_a_circle() -> None:
    order = given_to(team_of(*(seller(id) for id in "abc")), 9)
    assert order == ["a", "b", "c"] * 3
    assert all(one != other for one, other in pairwise(order))


def test_what_is_kept_of_an_organisation_goes_with_it() -> None:
    """A day of changes makes hundreds of them."""
    company = team_of(seller("a"))
    decide(facts(), Rules([rule()]), company, State(), NOON)
    kept = weakref.ref(company)
    del company
    gc.collect()
    assert kept() is None
