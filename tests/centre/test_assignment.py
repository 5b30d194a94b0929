"""Who gets a lead, through the lead centre: rules, strategies, shifts and capacity, approval, and stores that keep theirs."""

from collections import Counter
from typing import Any

import pytest
import sqlalchemy as sa

from frontrow.core.centre.assignment import Conditions, Rule
from frontrow.core.centre.book import TurnRow
from frontrow.core.centre.organisation import Absence, OrgChange, Seller, Shift, Unit, change_data
from tests.support.centre import MINUTE, ORGANISATION, START, Scene, a_policy, place

HOUR = 60 * MINUTE


def by_team(*rules: Rule, **fields: Any) -> Scene:
    return Scene(a_policy(rules=rules, **fields))


def team(name: str, /, **when: Any) -> Rule:
    return Rule(name=f"{name} by {', '.join(when)}", when=Conditions(**when), team=name)


def test_the_first_rule_that_matches_takes_it_and_the_lead_says_which() -> None:
    scene = by_team(team("sh-a", hosts=("zhang",)), team("hz-a", rooms=("r1",)), team("sh-a", rooms=("r1",)))
    lead = scene.hot("v")
    assert (lead.team, lead.rule, lead.store) == ("hz-a", "hz-a by rooms", "hangzhou")
    assigned = scene.timeline(lead)[1]
    assert (assigned.kind, assigned.actor) == ("assigned", "rule:hz-a by rooms")
    assert assigned.data["why"]["considered"] == 2


@pytest.mark.parametrize(
    ("when", "given", "takes"),
    [
        ({"platforms": ("douyin",)}, {}, True),
        ({"platforms": ("bilibili",)}, {}, False),
        ({"rooms": ("douyin/r1",)}, {}, True),
        ({"hosts": ("A",)}, {"host": "A"}, True),
        ({"hosts": ("A",)}, {"host": "B"}, False),
        ({"campaigns": ("618",)}, {"campaign": "618"}, True),
        ({"products": ("sku1",)}, {"product": "sku1"}, True),
        ({"products": ("sku1",)}, {}, False),
        ({"grades": ("hot",)}, {"grade": "warm", "points": 50}, False),
        ({"points_at_least": 90}, {"points": 95}, True),
        ({"points_at_least": 90}, {"points": 85}, False),
        ({"quality_at_least": 2}, {"quality": "Q2"}, True),
        ({"quality_at_least": 2}, {"quality": "Q1"}, False),
        ({"returning": True}, {}, False),
        ({"returning": False}, {}, True),
    ],
)
def test_each_dimension(when: dict[str, Any], given: dict[str, Any], takes: bool) -> None:
    lead = by_team(team("sh-a", **when)).hot("v", **given)
    assert (lead.team == "sh-a") is takes


def test_the_place_of_a_number_finds_the_store_and_an_unknown_place_is_not_guessed() -> None:
    scene = by_team(Rule(name="near", by=("region",)))
    lead = scene.form("v", "13800138000", province="浙江", city="杭州")
    assert (lead.store, lead.team, lead.rule) == ("hangzhou", "hz-a", "near")
    lost = scene.form("w", "13900139000", province="云南", city="昆明")
    assert (lost.store, lost.pool, lost.rule) == ("", "public", None)


def test_the_product_line_finds_its_group() -> None:
    pack = a_policy().pack
    line = "/".join(pack.products[0].path)
    scene = by_team(Rule(name="by line", by=("product",)))
    change = OrgChange(
        units=(Unit(id="hz-care", kind="team", parent="hangzhou", products=(line,)),),
        sellers=(Seller(id="feng", team="hz-care"),),
    )
    scene.say("org_change", data=change_data(change))
    word = pack.products[0].words[0]
    lead = scene.hot("v", product=word)
    assert (lead.team, lead.holder, lead.taxonomy) == ("hz-care", "feng", line)


def test_turns_are_fair_to_one_lead() -> None:
    scene = Scene()
    holders = Counter(scene.hot(f"v{number}", number).holder for number in range(41))
    assert sorted(holders.values()) == [20, 21]


def test_who_is_off_shift_away_or_full_gets_none_and_a_manager_none_at_all() -> None:
    scene = Scene()
    away = Absence(from_at=START - HOUR, to_at=START + HOUR)
    night = Shift(weekdays=(7,), from_minute=9 * 60, to_minute=18 * 60)  # it is Sunday, 23:06
    change = OrgChange(
        sellers=(
            Seller(id="li", team="hz-a", absences=(away,)),
            Seller(id="wang", team="hz-a", shifts=(night,)),
            Seller(id="full", team="hz-a", capacity=2),
        )
    )
    scene.say("org_change", data=change_data(change))
    assert [scene.hot(f"v{number}", number).holder for number in range(4)] == ["full", "full", None, None]
    why = scene.timeline(scene.leads()[-1])[1].data["why"]
    assert why["passed_over"] == {"absent": 1, "off_shift": 1, "at_capacity": 1}


def test_room_comes_back_when_a_lead_is_closed_released_or_taken_back() -> None:
    scene = Scene()
    scene.say("org_change", data=change_data(OrgChange(
        units=ORGANISATION.units, sellers=(Seller(id="one", team="hz-a", capacity=1),), replace=True
    )))  # fmt: skip
    first = scene.hot("a")
    assert (first.holder, scene.hot("b", 1).holder) == ("one", None)
    scene.act("lead_claim", first, 2, seller="one")
    scene.act("lead_outcome", first, 3, seller="one", outcome="not_interested")
    assert scene.hot("c", 4).holder == "one"


def test_somebody_who_changes_teams_gets_new_leads_there_and_keeps_the_old() -> None:
    scene = Scene()
    before = [scene.hot("a", 0), scene.hot("b", 1)]
    move = OrgChange(sellers=(Seller(id="li", team="sh-a", wecom="li", from_at=START + 10),))
    scene.say("org_change", 2, data=change_data(move))
    assert [scene.hot(f"c{number}", 20 + number).holder for number in range(3)] == ["wang", "wang", "wang"]
    assert scene.lead(before[0].lead).holder == "li"


def test_what_was_decided_outlives_a_restart() -> None:
    from frontrow.core.centre.centre import Centre

    scene = Scene()
    holders = [scene.hot("a", 0).holder]
    scene.centre = Centre(scene.book, a_policy())
    holders.append(scene.hot("b", 1).holder)
    assert holders == ["li", "wang"]


# ---- a manager confirms


ASKING = Rule(name="big ones", team="hz-a", approval=True)


def people_told(scene: Scene) -> list[tuple[str | None, str]]:
    return [(each.to, each.purpose) for each in scene.told if each.to is not None]


def test_a_manager_is_asked_first_and_the_seller_told_when_they_agree() -> None:
    scene = by_team(ASKING)
    lead = scene.hot("v")
    assert (lead.awaits_approval, lead.offered_to) == (True, "li")
    assert people_told(scene) == [("chen", "approval")]
    refused = scene.act("lead_claim", lead, MINUTE, seller="li")
    assert (refused.owner, scene.centre.refused["lead_claim"]) == (None, 1)

    lead = scene.act("lead_approve", lead, MINUTE, data={"by": "chen", "decision": "approve"})
    assert (lead.awaits_approval, lead.holder) == (False, "li")
    assert people_told(scene) == [("chen", "approval"), ("li", "todo")]
    assert scene.act("lead_claim", lead, MINUTE + 1, seller="li").owner == "li"


def test_who_is_rejected_is_not_told_and_the_next_is_proposed() -> None:
    scene = by_team(ASKING)
    lead = scene.hot("v")
    lead = scene.act("lead_approve", lead, MINUTE, data={"by": "chen", "decision": "reject"})
    assert (lead.awaits_approval, lead.offered_to) == (True, "wang")
    assert people_told(scene) == [("chen", "approval")] * 2


def test_whoever_was_rejected_is_not_proposed_again() -> None:
    """A manager said no to both for this lead; only when it begins again may they be asked about them again."""
    scene = by_team(ASKING)
    lead = scene.hot("v")
    offered = [lead.offered_to]
    for at in (1, 2):
        lead = scene.act("lead_approve", lead, at * MINUTE, data={"by": "chen", "decision": "reject"})
        offered.append(lead.offered_to)
    assert (offered, lead.awaits_approval, lead.team) == (["li", "wang", None], False, "hz-a")
    claimed = scene.act("lead_claim", lead, 3 * MINUTE, seller="li")
    assert claimed.owner == "li", "who takes it from the queue themselves is not proposed"
    released = scene.act("lead_release", claimed, 4 * MINUTE, seller="li")
    assert (released.offered_to, released.holder) == (None, None), "nor is anybody when it comes back"
    scene.act("lead_claim", lead, 5 * MINUTE, seller="wang")
    scene.act("lead_outcome", lead, 6 * MINUTE, seller="wang", outcome="won")
    again = scene.hot("v", 7 * MINUTE, session="s2")
    assert (again.lead, again.cycle, again.awaits_approval) == (lead.lead, 2, True)


def test_a_manager_who_does_not_answer_is_asked_again_and_the_promise_breaks_in_their_name() -> None:
    scene = by_team(ASKING)
    lead = scene.hot("v")
    scene.pass_time(5 * MINUTE)
    assert set(people_told(scene)) == {("chen", "approval"), ("chen", "escalation")}
    assert people_told(scene).count(("chen", "approval")) >= 2
    assert scene.lead(lead.lead).breach == "approval_waiting"


# ---- a lead's store is its own


STORES = (place("r1", "hangzhou"), place("r2", "shanghai"))


def test_a_rule_of_another_store_does_not_take_a_lead_from_its_own() -> None:
    scene = by_team(team("sh-a"), team("hz-a"), rooms=STORES)
    lead = scene.hot("v")
    assert (lead.store, lead.team, lead.holder) == ("hangzhou", "hz-a", "li")


def test_where_no_rule_names_a_team_of_its_store_it_waits_in_the_stores_pool() -> None:
    scene = by_team(team("sh-a"), rooms=STORES)
    lead = scene.hot("v")
    assert (lead.store, lead.team, lead.holder, lead.pool) == ("hangzhou", "hangzhou", None, None)
    scene.pass_time(5 * MINUTE)
    assert [each.to for each in scene.told if each.purpose == "escalation"] == []  # a store without a manager


def test_a_pool_of_a_rule_takes_leads_of_any_store() -> None:
    scene = by_team(Rule(name="to cold callers", pool="cold"), rooms=STORES)
    lead = scene.hot("v")
    assert (lead.store, lead.pool, lead.team) == ("hangzhou", "cold", None)


def test_reassignment_stays_in_the_store_whatever_the_rules_say_by_then() -> None:
    from frontrow.core.centre.policy import policy_data

    scene = by_team(team("hz-a"))
    lead = scene.hot("v")
    scene.say(
        "policy_change", 1, data={"policy": policy_data(a_policy(rules=(team("sh-a"),))), "version": "2"}
    )
    scene.pass_time(5 * MINUTE)
    row = scene.lead(lead.lead)
    assert (row.store, row.team, row.holder) == ("hangzhou", "hangzhou", None)
    again = scene.hot("v", 6 * MINUTE, session="s2")
    assert again.lead == lead.lead


def test_turns_of_those_who_have_left_are_forgotten() -> None:
    scene = Scene()
    for number in range(4):
        scene.hot(f"v{number}", number)
    gone = OrgChange(sellers=(Seller(id="li", team="hz-a", from_at=START + 10, to_at=START + 11),))
    scene.say("org_change", 5, data=change_data(gone))
    [rotation] = scene.centre._turns.rotations.values()
    assert "li" in rotation.last
    scene.hot("w", 24 * HOUR)
    [rotation] = scene.centre._turns.rotations.values()
    assert "li" not in rotation.last and "wang" in rotation.last


# ---- how the seller is told


BEST = Rule(name="to the best", team="hz-a", strategy="best_performer", notify=("todo", "sms"))


def test_a_rule_says_whether_a_text_message_goes_out_too() -> None:
    scene = by_team(BEST)
    scene.hot("v")
    assert [(each.to, each.through) for each in scene.told if each.purpose == "todo"] == [
        ("li", ("todo", "sms"))
    ]
    scene.pass_time(3 * MINUTE)
    assert [each.through for each in scene.told if each.purpose == "nudge"] == [("todo",)]


def test_who_is_told_after_an_approval_is_told_as_the_rule_says() -> None:
    scene = by_team(Rule(name="asked", team="hz-a", approval=True, notify=("todo", "sms")))
    lead = scene.hot("v")
    scene.act("lead_approve", lead, 1, data={"by": "chen", "decision": "approve"})
    assert [(each.to, each.purpose, each.through) for each in scene.told if each.to] == [
        ("chen", "approval", ("todo",)),
        ("li", "todo", ("todo", "sms")),
    ]


def test_an_assignment_writes_the_turns_of_its_rule_alone() -> None:
    """Of three hundred rules each lead would rewrite all the others' turns, and what there ever was of them."""
    scene = by_team(
        Rule(name="one", team="hz-a", when=Conditions(rooms=("r1",))),
        Rule(name="two", team="sh-a", when=Conditions(rooms=("r2",))),
    )
    scene.hot("a", room="r1")
    scene.hot("b", 1, room="r2")
    written: list[Any] = []

    def executed(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "turns" in statement and not statement.startswith("SELECT"):
            written.append(parameters)

    sa.event.listen(scene.engine, "before_cursor_execute", executed)
    before = {row.rotation: row.body["turn"] for row in scene.rows(TurnRow)}
    scene.hot("c", 2, room="r2")
    after = {row.rotation: row.body["turn"] for row in scene.rows(TurnRow)}
    assert len(after) == 2 and {name for name in after if after[name] != before[name]} == {
        "round_robin/team/sh-a"
    }
    assert len(written) == 1 and "sh-a" in str(written) and "hz-a" not in str(written)
