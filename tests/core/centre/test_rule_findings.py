"""Rules that take nothing are named, with the rule that stands in their way; rules that take something are not."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from frontrow.core.centre.assignment import Conditions, Rule, Rules
from frontrow.core.centre.facts import LeadFacts
from frontrow.core.centre.organisation import Organisation, Seller, Unit
from frontrow.core.centre.rule_findings import Known, findings, implies
from tests.core.centre.test_assignment import SOME_CONDITIONS, SOME_LEADS

NOW = 1_767_585_600_000
COMPANY = Organisation(
    [
        Unit(id="s", kind="store", cities=("杭州",)),
        Unit(id="t", kind="team", parent="s", products=("auto/suv",)),
        Unit(id="idle", kind="team", parent="s"),
        Unit(id="closed", kind="team", parent="s", to_at=NOW),
        Unit(id="soon", kind="team", parent="s", from_at=NOW + 1),
    ],
    [
        Seller(id="a", team="t"),
        Seller(id="b", team="idle", capacity=0),
        Seller(id="c", team="idle", to_at=NOW),
    ],
)
KNOWN = Known(
    platforms=("douyin", "bilibili"), rooms=("douyin/a", "bilibili/b"), hosts=("A",), products=("auto/suv/x5", "p1"),
    places={"浙江": ("杭州", "宁波"), "江苏": ("南京",)}, pools=("public",),
)  # fmt: skip


def rule(name: str = "r", **fields: Any) -> Rule:
    when = {key: fields.pop(key) for key in list(fields) if key in Conditions.__struct_fields__}
    target = {} if {"pool", "by"} & fields.keys() else {"team": "t"}
    return Rule(name=name, when=Conditions(**when), **(target | fields))


def told(*rules: Rule, known: Known = KNOWN) -> list[tuple[str, str, str | None]]:
    return [(finding.rule, finding.kind, finding.other) for finding in findings(rules, COMPANY, NOW, known)]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"rooms": ("z",)}, "there is no room 'z'"),
        ({"hosts": ("C", "D")}, "there is no host 'C' or 'D'"),
        ({"products": ("boats",)}, "there is no product 'boats'"),
        ({"cities": ("上海",)}, "there is no city '上海'"),
        ({"grades": ("blazing",)}, "there is no grade 'blazing'"),
        ({"quality_at_least": 6}, "quality goes up to Q5, and it wants Q6"),
        ({"points_at_least": 101}, "points go up to 100, and it wants 101"),
        (
            {"grades": ("cold",), "points_at_least": 40},
            "a lead that is 'cold' has at most 39 points, and it wants 40",
        ),
        (
            {"grades": ("cold", "warm"), "points_at_least": 80},
            "a lead that is 'cold' or 'warm' has at most 79 points, and it wants 80",
        ),
        ({"platforms": ("bilibili",), "rooms": ("douyin/a",)}, "room 'douyin/a' is not on 'bilibili'"),
        ({"provinces": ("江苏",), "cities": ("杭州", "宁波")}, "'杭州' or '宁波' does not lie in '江苏'"),
        ({"team": "z"}, "there is no team 'z'"),
        ({"team": "closed"}, "there is no team 'closed'"),
        ({"pool": "z"}, "there is no pool 'z'"),
        ({"by": ("product",), "products": ("auto/ev",)}, "no unit sells 'auto/ev'"),
    ],
)
def test_a_rule_that_can_never_match_is_named_with_the_reason(wrong: dict[str, Any], reason: str) -> None:
    known = msgspec.structs.replace(KNOWN, products=None) if "by" in wrong else KNOWN
    [finding] = findings([rule(**wrong)], COMPANY, NOW, known)
    assert (finding.kind, finding.reason) == ("never", f"rule 'r' can never match: {reason}")


@pytest.mark.parametrize(
    "right",
    [
        {}, {"rooms": ("a",)}, {"rooms": ("douyin/a", "bilibili/b")}, {"hosts": ("A",)}, {"products": ("auto",)},
        {"products": ("p1",)}, {"cities": ("杭州",), "provinces": ("浙江",)}, {"grades": ("hot", "cold"), "points_at_least": 90},
        {"grades": ("warm",), "points_at_least": 79}, {"pool": "public"}, {"by": ("region",)},
        {"by": ("product",), "products": ("auto/suv/x5",)}, {"by": ("product",), "products": ("auto",)},
        {"campaigns": ("any",)}, {"rooms": ("a",), "platforms": ("douyin",)},
    ],
)  # fmt: skip
def test_a_rule_that_can_match_is_not(right: dict[str, Any]) -> None:
    assert told(rule(**right)) == []


def test_a_team_that_begins_tomorrow_exists() -> None:
    assert told(rule(team="soon")) == []


def test_what_is_half_wrong_is_told_too() -> None:
    [strange, nobody, goes_on] = findings(
        [rule("x", hosts=("A", "C")), rule("y", team="idle", if_nobody="next"), rule("z", team="idle")], COMPANY, NOW, KNOWN
    )  # fmt: skip
    assert (strange.kind, strange.reason) == ("unknown", "rule 'x' names a host that there is not: 'C'")
    assert nobody.kind == goes_on.kind == "nobody"
    assert nobody.reason.endswith("where nobody can take any: they all go on to the next rule")
    assert goes_on.reason.endswith("where nobody can take any: they wait in its pool")


def test_two_rules_of_one_name_are_told_once() -> None:
    assert told(*(rule("x", rooms=("a",), points_at_least=9 - n) for n in range(3))) == [("x", "twice", "x")]


@pytest.mark.parametrize(
    ("earlier", "later", "hidden"),
    [
        ({}, {"rooms": ("a",)}, True),
        ({"rooms": ("a",)}, {}, False),
        ({"rooms": ("a",)}, {"rooms": ("douyin/a",)}, True),
        ({"rooms": ("douyin/a",)}, {"rooms": ("a",)}, False),
        ({"rooms": ("a", "b")}, {"rooms": ("a",)}, True),
        ({"rooms": ("a",)}, {"rooms": ("a", "b")}, False),
        ({"platforms": ("douyin",)}, {"rooms": ("douyin/a",)}, True),
        ({"platforms": ("douyin",)}, {"rooms": ("a",)}, False),
        ({"products": ("auto",)}, {"products": ("auto/suv",)}, True),
        ({"products": ("auto/suv",)}, {"products": ("auto",)}, False),
        ({"grades": ("hot", "warm")}, {"grades": ("hot",)}, True),
        ({"grades": ("hot", "warm", "cold")}, {}, True),
        ({"quality_at_least": 3}, {"quality_at_least": 4}, True),
        ({"quality_at_least": 4}, {"quality_at_least": 3}, False),
        ({"points_at_least": 50}, {"points_at_least": 50, "hosts": ("A",)}, True),
        ({"returning": True}, {"returning": True}, True),
        ({"returning": True}, {}, False),
        ({"hosts": ("A",)}, {"rooms": ("a",)}, False),
        ({"if_nobody": "next"}, {"rooms": ("a",)}, False),  # it may let the lead go on
        ({"by": ("region",)}, {"rooms": ("a",)}, False),  # it may find no store
        ({"by": ("region",)}, {"rooms": ("a",), "by": ("region",)}, True),
        ({"pool": "public"}, {"rooms": ("a",)}, True),
        ({"team": "z"}, {"rooms": ("a",)}, False),  # it takes nothing
    ],
)
def test_a_rule_that_an_earlier_one_hides_is_named_with_it(
    earlier: dict[str, Any], later: dict[str, Any], hidden: bool
) -> None:
    found = [each for each in told(rule("one", **earlier), rule("two", **later)) if each[0] == "two"]
    assert found == ([("two", "hidden", "one")] if hidden else [])


def test_a_hidden_rule_is_said_in_a_sentence_with_both_names() -> None:
    [finding] = findings([rule("one"), rule("two", rooms=("a",))], COMPANY, NOW, KNOWN)
    assert finding.reason == "rule 'two' is hidden: 'one' stands before it and takes every lead that it could"


@settings(max_examples=120)
@given(SOME_CONDITIONS, SOME_CONDITIONS, SOME_LEADS)
def test_what_is_implied_is_so_for_every_lead(
    one: dict[str, Any], other: dict[str, Any], lead: LeadFacts
) -> None:
    narrow, wide = Conditions(**one), Conditions(**other)
    both = Conditions(**(other | one))  # often narrower than the other, which two drawn apart seldom are
    for inner in (narrow, both):
        if implies(inner, wide) and [*Rules([Rule(name="n", when=inner, team="t")]).matching(lead)]:
            assert [*Rules([Rule(name="w", when=wide, team="t")]).matching(lead)]


@settings(max_examples=120)
@given(SOME_CONDITIONS, SOME_LEADS)
def test_no_rule_that_takes_a_lead_is_said_never_to_match(when: dict[str, Any], lead: LeadFacts) -> None:
    points = min(lead.points, {"cold": 39, "warm": 79, "hot": 100}[lead.grade])
    lead = msgspec.structs.replace(lead, points=points)
    one = Rule(name="r", when=Conditions(**when), team="t")
    if [*Rules([one]).matching(lead)]:
        assert "never" not in [finding.kind for finding in findings([one], COMPANY, NOW)]
