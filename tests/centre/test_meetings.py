"""The eight ways in which a lead meets its customer, each through the lead centre as journal events bring them about."""

import pytest

from frontrow.core.centre.meeting import Meeting
from tests.support.centre import MINUTE, Scene, a_policy, place

DAY = 24 * 60 * MINUTE
ROOMS = a_policy(rooms=(place("r1", "hangzhou"), place("r2", "shanghai")))


def met(scene: Scene) -> list[str]:
    """How each raw lead met its customer, in the order of making."""
    return [raw.met for raw in sorted(scene.raws(), key=lambda raw: (raw.decided_at, raw.raw))]


def test_a_new_customer_with_a_new_wish_begins_a_lead() -> None:
    scene = Scene(ROOMS)
    lead = scene.hot("v")
    assert met(scene) == [Meeting.NEW]
    assert (lead.status, lead.store, lead.holder, lead.raws, lead.cycle) == ("new", "hangzhou", "li", 1, 1)


def test_a_lead_that_somebody_follows_takes_what_its_customer_does_next() -> None:
    scene = Scene(ROOMS)
    lead = scene.hot("v", grade="warm", points=50)
    scene.act("lead_claim", lead, MINUTE, seller="li")
    told = len(scene.told)
    again = scene.hot("v", 2 * MINUTE, session="s2", points=85)
    assert met(scene) == [Meeting.NEW, Meeting.OPEN_LEAD]
    assert again.lead == lead.lead
    assert (again.holder, again.grade, again.points, again.raws) == ("li", "hot", 85, 2)
    news = [(each.to, each.purpose, each.event) for each in scene.told[told:]]
    assert news == [("li", "nudge", "hot_again")], "who has it hears of it, and nobody else"


def test_a_customer_of_another_store_gets_a_lead_in_this_one_and_keeps_that() -> None:
    scene = Scene(ROOMS)
    first = scene.hot("v")
    scene.act("lead_claim", first, MINUTE, seller="li")
    other = scene.hot("v", 2 * MINUTE, room="r2", session="t1")
    assert met(scene) == [Meeting.NEW, Meeting.OTHER_STORE]
    assert (other.store, other.customer) == ("shanghai", first.customer)
    assert other.lead != first.lead
    assert scene.lead(first.lead).owner == "li"


def test_who_is_in_the_public_pool_begins_again_with_five_minutes_of_their_own() -> None:
    scene = Scene(ROOMS)
    lead = scene.hot("v")
    scene.act("lead_claim", lead, MINUTE, seller="li")
    pooled = scene.act("lead_recycle", lead, 2 * MINUTE, data={"by": "chen", "reason": "busy"})
    assert (pooled.status, pooled.pool, pooled.holder) == ("pooled", "public", None)
    back = scene.hot("v", DAY, session="s2")
    assert met(scene) == [Meeting.NEW, Meeting.KNOWN]
    assert (back.lead, back.status, back.pool, back.cycle) == (lead.lead, "new", None, 2)
    assert back.holder == "wang", "it is their turn"
    assert scene.timers(back)["breach", 1] == DAY + 5 * MINUTE
    assert (back.claimed_at, back.responded_at) == (None, None)


@pytest.mark.parametrize(("outcome", "status"), [("not_interested", "lost"), ("empty_number", "invalid")])
def test_a_lead_that_was_lost_or_invalid_comes_back(outcome: str, status: str) -> None:
    scene = Scene(ROOMS)
    lead = scene.hot("v")
    scene.act("lead_claim", lead, MINUTE, seller="li")
    lost = scene.act("lead_outcome", lead, 2 * MINUTE, seller="li", outcome=outcome)
    assert (lost.status, lost.review) == (status, "pending")
    back = scene.hot("v", DAY, session="s2")
    assert met(scene) == [Meeting.NEW, Meeting.REACTIVATED]
    assert (back.lead, back.status, back.cycle, back.former) == (lead.lead, "new", 2, "li")
    assert (back.outcome, back.reason, back.review, back.closed_at) == (None, None, None, None)
    assert back.quality >= 1, "what was wrong with it the last time is not what is said of it now"


def test_who_has_bought_and_asks_again_comes_to_whom_they_bought_from() -> None:
    scene = Scene(ROOMS)
    lead = scene.hot("v")
    scene.act("lead_claim", lead, MINUTE, seller="wang")
    won = scene.act("lead_outcome", lead, 2 * MINUTE, seller="wang", outcome="won", value=19_900)
    assert (won.status, won.value) == ("won", 19_900)
    scene.hot("other", 3 * MINUTE)  # the next turn
    back = scene.hot("v", DAY, session="s2")
    assert met(scene)[-1] == Meeting.REPURCHASE
    assert (back.lead, back.status, back.offered_to, back.cycle) == (lead.lead, "new", "wang", 2)


def test_whom_somebody_sent_is_a_referral() -> None:
    scene = Scene(ROOMS)
    scene.form("v", "13800138000", referred_by="C1")
    assert met(scene) == [Meeting.REFERRAL]


@pytest.mark.parametrize("channel", ["walk_in", "offline", "exhibition"])
def test_who_came_in_person_is_a_walk_in(channel: str) -> None:
    scene = Scene(ROOMS)
    lead = scene.form("v", "13800138000", channel=channel)
    assert met(scene) == [Meeting.WALK_IN]
    assert lead.channel == channel


def test_n_raw_leads_are_m_unique_ones_and_a_phone_makes_two_names_one_customer() -> None:
    scene = Scene(ROOMS)
    for number, (viewer, room) in enumerate(
        [("a", "r1"), ("a", "r1"), ("a", "r2"), ("b", "r1"), ("b", "r2")]
    ):
        scene.hot(viewer, number * MINUTE, room=room, session=f"s{number}")
    assert (len(scene.raws()), len(scene.leads())) == (5, 4)
    before = {(row.lead, row.store, row.customer) for row in scene.leads()}

    a, b = ({"kind": "viewer:douyin", "key": name} for name in "ab")
    scene.say(
        "identity_link", 5 * MINUTE, id="same", data={"a": a, "b": b, "source": "crm", "confidence": 1.0}
    )
    assert len(scene.raws()) == 5
    assert sorted(row.store for row in scene.leads()) == ["hangzhou", "shanghai"]
    assert len({row.customer for row in scene.leads()}) == 1

    scene.say(
        "identity_unlink", 6 * MINUTE, data={"link": "frontrow/centre/same", "by": "chen", "reason": "no"}
    )
    assert {(row.lead, row.store, row.customer) for row in scene.leads()} == before
