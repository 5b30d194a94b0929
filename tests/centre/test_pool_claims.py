"""Leads of the company's pool, which are of no store: to whose store they belong once somebody has claimed them, and what happens where
their customer has a lead there already. One lead of a customer in a store is what everything else rests on."""

from typing import Any

import pytest

from frontrow.core.centre.assignment import Conditions, Rule
from frontrow.core.centre.book import LeadRow
from tests.support.centre import MINUTE, Scene, a_policy, place

DAY = 24 * 60 * MINUTE
POOL = Rule(name="to whoever is first", pool="company")


@pytest.fixture
def scene() -> Scene:
    """Leads of r1 are the company's, those of r2 are Hangzhou's."""
    return Scene(a_policy(rules=(POOL,), rooms=(place("r2", "hangzhou"),)))


def of_company(scene: Scene, at: int = 0, viewer: str = "v") -> LeadRow:
    lead = scene.hot(viewer, at)
    assert (lead.store, lead.pool, lead.holder) == ("", "company", None)
    return lead


def same_person(scene: Scene, at: int, a: str = "v", b: str = "w") -> None:
    """Let two viewers be found to be one."""
    first, second = ({"kind": "viewer:douyin", "key": name} for name in (a, b))
    data = {"a": first, "b": second, "source": "crm", "confidence": 1.0}
    scene.say("identity_link", at, id="same", data=data)


def both(scene: Scene, **there: Any) -> tuple[LeadRow, LeadRow]:
    """A customer with a lead of the company's pool, and one in Hangzhou under another name, made known as one person after 3 minutes."""
    here, other = of_company(scene), scene.hot("w", MINUTE, room="r2", session="t1", **there)
    return here, other


def test_a_lead_that_is_claimed_belongs_to_the_store_of_who_claimed_it(scene: Scene) -> None:
    lead = of_company(scene)
    claimed = scene.act("lead_claim", lead, MINUTE, seller="zhou")
    assert (claimed.store, claimed.team, claimed.pool, claimed.owner) == ("shanghai", "sh-a", None, "zhou")
    assert [raw.store for raw in scene.raws()] == ["shanghai"]
    released = scene.act("lead_release", lead, 2 * MINUTE, seller="zhou")
    assert (released.store, released.pool) == ("shanghai", "company"), "from then on, whoever may claim it"


def test_a_lead_that_a_manager_gives_away_belongs_to_the_store_of_who_has_it() -> None:
    scene = Scene(a_policy(rules=(POOL,)))
    lead = of_company(scene)
    scene.act("lead_assign", lead, MINUTE, data={"by": "chen", "seller": "li"})
    offered = scene.lead(lead.lead)
    assert (offered.holder, offered.store) == ("li", ""), "who has not said yes may yet let it go to anybody"
    assert scene.act("lead_claim", lead, 2 * MINUTE, seller="li").store == "hangzhou"


def test_who_is_of_no_store_takes_a_lead_to_none(scene: Scene) -> None:
    scene.say(
        "org_change",
        data={"sellers": [{"id": "head", "team": "east"}]},
    )
    lead = of_company(scene, MINUTE)
    assert scene.act("lead_claim", lead, 2 * MINUTE, seller="head").store == ""
    given = scene.act("lead_transfer", lead, 3 * MINUTE, seller="li", data={"by": "head"})
    assert (given.owner, given.store) == ("li", "hangzhou")


def test_the_next_raw_lead_of_the_customer_goes_into_the_claimed_lead(scene: Scene) -> None:
    lead = of_company(scene)
    scene.act("lead_claim", lead, MINUTE, seller="li")
    again = scene.hot("v", 2 * MINUTE, room="r2", session="t1")
    assert (again.lead, again.raws, len(scene.leads())) == (lead.lead, 2, 1)


def test_a_lead_that_their_colleague_follows_takes_the_claimed_one_and_its_seller_hears(scene: Scene) -> None:
    """Nobody loses a customer to a colleague who did not know."""
    here, there = both(scene)
    scene.act("lead_claim", there, 2 * MINUTE, seller="wang")
    same_person(scene, 3 * MINUTE)
    assert len(scene.leads()) == 2, "they are of two stores, one of which is none"
    late = scene.event("lead_claim", 4 * MINUTE, platform="douyin", room="r1", lead=here.lead, seller="li")
    scene.apply([late])
    refusal = scene.centre.refusals[late.id]
    assert (refusal.code, refusal.holder) == ("held", "wang")
    [row] = scene.leads()
    assert (row.lead, row.owner, row.store) == (there.lead, "wang", "hangzhou")
    assert scene.lead(here.lead).merged_into == there.lead
    assert [each.to for each in scene.told if each.event == "hot_again"] == ["wang"]


def test_who_follows_the_customer_already_goes_on_with_one_lead(scene: Scene) -> None:
    here, there = both(scene)
    scene.act("lead_claim", there, 2 * MINUTE, seller="li")
    same_person(scene, 3 * MINUTE)
    scene.act("lead_claim", here, 4 * MINUTE, seller="li")
    [row] = scene.leads()
    assert (row.lead, row.owner) == (there.lead, "li")
    assert not scene.centre.refused


def test_what_nobody_of_the_store_has_claimed_is_claimed_with_it(scene: Scene) -> None:
    here, there = both(scene)
    same_person(scene, 3 * MINUTE)
    scene.act("lead_claim", here, 4 * MINUTE, seller="li")
    [row] = scene.leads()
    assert (row.lead, row.owner, row.status, row.store) == (there.lead, "li", "following", "hangzhou")


@pytest.mark.parametrize("outcome", ["won", "not_interested", "empty_number"])
def test_a_lead_that_the_store_had_closed_begins_again_with_who_claims(scene: Scene, outcome: str) -> None:
    here, there = both(scene)
    scene.act("lead_claim", there, 2 * MINUTE, seller="wang")
    scene.act("lead_outcome", there, 2 * MINUTE, seller="wang", outcome=outcome)
    same_person(scene, 3 * MINUTE)
    scene.act("lead_claim", here, 4 * MINUTE, seller="li")
    [row] = scene.leads()
    assert (row.lead, row.owner, row.status, row.cycle) == (there.lead, "li", "following", 2)
    assert (row.closed_at, row.outcome, row.claimed_at) == (None, None, row.claimed_at)
    assert scene.lead(here.lead).merged_into == there.lead


def test_a_lead_of_the_public_pool_of_the_store_begins_again_too(scene: Scene) -> None:
    """Also with whom it had been taken from a moment ago: the customer has come again."""
    here, there = both(scene)
    scene.act("lead_claim", there, 2 * MINUTE, seller="li")
    scene.act("lead_recycle", there, 3 * MINUTE, data={"by": "chen"})
    same_person(scene, 3 * MINUTE)
    scene.act("lead_claim", here, 4 * MINUTE, seller="li")
    [row] = scene.leads()
    assert (row.lead, row.owner, row.cycle) == (there.lead, "li", 2)


def test_a_lead_that_waits_for_a_manager_is_not_had_by_a_way_around(scene: Scene) -> None:
    approved = Rule(name="asks", when=Conditions(rooms=("r2",)), team="hz-a", approval=True)
    scene = Scene(a_policy(rules=(approved, POOL), rooms=(place("r2", "hangzhou"),)))
    here, there = both(scene)
    assert there.awaits_approval
    same_person(scene, 3 * MINUTE)
    late = scene.event("lead_claim", 4 * MINUTE, platform="douyin", room="r1", lead=here.lead, seller="li")
    scene.apply([late])
    assert scene.centre.refusals[late.id].code == "awaits_approval"
    assert [(row.lead, row.owner, row.store) for row in scene.leads()] == [
        (here.lead, None, ""),
        (there.lead, None, "hangzhou"),
    ]


def test_a_lead_is_not_given_away_to_where_a_colleague_follows_its_customer(scene: Scene) -> None:
    """Whoever gives it is told who that is, and can give it to them."""
    scene.say("org_change", data={"sellers": [{"id": "head", "team": "east"}]})
    here, there = both(scene)
    scene.act("lead_claim", there, 2 * MINUTE, seller="wang")
    scene.act("lead_claim", here, 2 * MINUTE, seller="head")
    same_person(scene, 3 * MINUTE)
    given = scene.event(
        "lead_transfer", 4 * MINUTE, platform="douyin", room="r1", lead=here.lead, seller="li",
        data={"by": "head"},
    )  # fmt: skip
    scene.apply([given])
    assert (scene.centre.refusals[given.id].code, scene.centre.refusals[given.id].holder) == ("held", "wang")
    assert scene.lead(here.lead).owner == "head"
    scene.act("lead_transfer", here, 5 * MINUTE, seller="wang", data={"by": "head"})
    assert [(row.lead, row.owner) for row in scene.leads()] == [(there.lead, "wang")]


def test_who_turn_out_to_be_two_after_all_part_with_a_lead_each(scene: Scene) -> None:
    here, there = both(scene)
    same_person(scene, 3 * MINUTE)
    scene.act("lead_claim", here, 4 * MINUTE, seller="li")
    unlink = {"link": "frontrow/centre/same", "by": "chen", "reason": "no"}
    scene.say("identity_unlink", 5 * MINUTE, data=unlink)
    assert [(row.lead, row.store) for row in scene.leads()] == [
        (here.lead, "hangzhou"),
        (there.lead, "hangzhou"),
    ]
    assert len({row.customer for row in scene.leads()}) == 2


def test_however_the_journal_is_cut_and_wherever_it_is_kept_the_leads_are_the_same(database: str) -> None:
    """Two leads meet under one unique key within a transaction, and within several."""
    a, b = ({"kind": "viewer:douyin", "key": name} for name in "vw")
    same = {"a": a, "b": b, "source": "crm", "confidence": 1.0}
    dumps = []
    for url, together in ((database, True), ("sqlite://", False)):
        scene = Scene(a_policy(rules=(POOL,), rooms=(place("r2", "hangzhou"),)), url=url)
        here, there = both(scene)
        claim = {"platform": "douyin", "room": "r1", "kind": "lead_claim"}
        events = [
            scene.event(at=2 * MINUTE, lead=there.lead, seller="wang", **claim),
            scene.event("identity_link", 3 * MINUTE, data=same),
            scene.event(at=4 * MINUTE, lead=here.lead, seller="li", **claim),
            scene.event(at=5 * MINUTE, lead=here.lead, seller="wang", **claim),
            scene.event("tick", DAY),
        ]
        for part in [events] if together else [[each] for each in events]:
            scene.apply(part)
        assert (len(scene.leads()), scene.centre.refused["lead_claim"]) == (1, 1)
        dumps.append((scene.dump(), scene.told))
        scene.close()
    assert dumps[0] == dumps[1]
