"""The five-minute clock through the lead centre: who is told when, what is taken back, and by which cause a promise was broken."""

from typing import Any

import pytest

from frontrow.core.centre.assignment import Rule
from frontrow.core.centre.clock import QuietHours, SlaPolicy
from frontrow.core.centre.organisation import Absence, OrgChange, Seller, Unit, change_data
from tests.support.centre import MINUTE, ORGANISATION, START, Scene, a_policy

SECOND = 1_000
HOUR = 60 * MINUTE


def told(scene: Scene, since: int = 0) -> list[tuple[str | None, str, str | None, int]]:
    """What people (not programs) were told, with seconds after the start."""
    return [
        (each.to, each.purpose, each.event, (each.at - START) // SECOND)
        for each in scene.told[since:]
        if each.to is not None
    ]


def kinds(scene: Scene, lead: Any) -> list[tuple[str, int]]:
    return [(entry.kind, (entry.at - START) // SECOND) for entry in scene.timeline(lead)]


def test_three_and_four_minutes_nudge_and_five_break_the_promise_escalate_and_give_it_to_the_next() -> None:
    scene = Scene()
    lead = scene.hot("v")
    scene.pass_time(3 * MINUTE - 1)
    assert told(scene) == [("li", "todo", None, 0)]
    scene.pass_time(6 * MINUTE)  # one late tick: everything happens at its own time all the same
    assert told(scene)[1:] == [
        ("li", "nudge", None, 180),
        ("li", "nudge", None, 240),
        ("chen", "escalation", None, 300),
        ("li", "nudge", "returned", 300),
        ("wang", "todo", None, 300),
    ]
    row = scene.lead(lead.lead)
    assert (row.holder, row.breach, row.breaches, row.reassignments) == ("wang", "seller_no_claim", 1, 1)
    assert row.breached_at == START + 5 * MINUTE
    assert scene.timers(row)["breach", 1] == 10 * MINUTE, "the next one has five minutes of their own"
    assert kinds(scene, lead) == [
        ("made", 0), ("assigned", 0), ("nudge", 180), ("nudge", 240), ("breach", 300), ("returned", 300),
        ("assigned", 300),
    ]  # fmt: skip


def test_only_the_manager_of_the_leads_own_team_hears_of_it() -> None:
    others = OrgChange(
        sellers=(
            Seller(id="boss", team="east", role="manager"),
            Seller(id="sun", team="sh-a", role="manager"),
        )
    )
    scene = Scene()
    scene.say("org_change", data=change_data(others))
    scene.hot("v")
    scene.pass_time(HOUR)
    assert {each.to for each in scene.told} - {None} == {"li", "wang", "chen"}


def test_a_team_without_a_manager_has_that_of_the_nearest_unit_above() -> None:
    boss = OrgChange(sellers=(Seller(id="boss", team="east", role="manager"),))
    scene = Scene(a_policy(rules=(Rule(name="to Shanghai", team="sh-a"),)))
    scene.say("org_change", data=change_data(boss))
    scene.hot("v")
    scene.pass_time(5 * MINUTE)
    assert [each.to for each in scene.told if each.purpose == "escalation"] == ["boss"]


def test_after_three_others_it_goes_to_the_public_pool() -> None:
    scene = Scene()
    lead = scene.hot("v")
    scene.pass_time(HOUR)
    row = scene.lead(lead.lead)
    assert (row.status, row.pool, row.holder, row.breaches) == ("pooled", "public", None, 4)
    assert scene.timers(row) == {}
    assert [who for who, purpose, _, _ in told(scene) if purpose == "todo"] == ["li", "wang", "li", "wang"]


def test_who_has_responded_is_left_alone() -> None:
    scene = Scene()
    lead = scene.hot("v")
    scene.act("lead_claim", lead, MINUTE, seller="li")
    scene.act("lead_touch", lead, 2 * MINUTE, seller="li", data={"channel": "call", "direction": "out"})
    scene.pass_time(HOUR)
    row = scene.lead(lead.lead)
    assert (row.breaches, row.responded_at, row.touches) == (0, START + 2 * MINUTE, 1)
    assert told(scene) == [("li", "todo", None, 0)]


def test_a_claim_is_no_response_and_what_is_claimed_and_untouched_is_taken_back() -> None:
    scene = Scene()
    lead = scene.hot("v")
    scene.act("lead_claim", lead, MINUTE, seller="li")
    scene.pass_time(15 * MINUTE)
    row = scene.lead(lead.lead)
    assert (row.owner, row.breach) == ("li", "seller_claimed_untouched"), "who telephones keeps it for now"
    since = len(scene.told)
    scene.pass_time(16 * MINUTE)
    row = scene.lead(lead.lead)
    assert (row.owner, row.holder, row.status, row.former) == (None, "wang", "new", "li")
    assert told(scene, since) == [
        ("chen", "escalation", None, 16 * 60),
        ("li", "nudge", "returned", 16 * 60),
        ("wang", "todo", None, 16 * 60),
    ]


def test_an_outcome_is_a_response() -> None:
    scene = Scene()
    lead = scene.hot("v")
    scene.act("lead_claim", lead, MINUTE, seller="li")
    row = scene.act("lead_outcome", lead, 4 * MINUTE, seller="li", outcome="interested")
    assert row.responded_at == START + 4 * MINUTE
    assert ("breach", 1) not in scene.timers(row)


QUIET = SlaPolicy(quiet_hours=(QuietHours(start="22:00", end="08:00"),))  # it is 23:06 in Shanghai
MORNING = (8 * 60 + 53) * MINUTE + 20 * SECOND  # 08:00 there, after the start


def test_quiet_hours_stand_still_and_the_five_minutes_go_on_in_the_morning() -> None:
    scene = Scene(a_policy(sla=QUIET))
    lead = scene.hot("v")
    assert scene.timers(lead) == {
        ("nudge", 1): MORNING + 3 * MINUTE,
        ("nudge", 2): MORNING + 4 * MINUTE,
        ("breach", 1): MORNING + 5 * MINUTE,
    }
    scene.pass_time(MORNING)
    assert scene.lead(lead.lead).breaches == 0


def test_quiet_hours_are_those_of_the_policys_time_zone() -> None:
    scene = Scene(a_policy(sla=SlaPolicy(quiet_hours=QUIET.quiet_hours, timezone="Europe/Berlin")))
    assert scene.timers(scene.hot("v"))["breach", 1] == 5 * MINUTE  # it is 17:06 there


def test_a_lead_keeps_the_clock_by_which_it_was_begun() -> None:
    from frontrow.core.centre.policy import policy_data

    scene = Scene()
    lead = scene.hot("v")
    slower = a_policy(sla=SlaPolicy(first_response_s=600))
    scene.say("policy_change", MINUTE, data={"policy": policy_data(slower), "version": "2"})
    scene.pass_time(5 * MINUTE)
    assert scene.lead(lead.lead).breaches == 1
    later = scene.hot("w", 6 * MINUTE)
    assert scene.timers(later)["breach", 1] == 16 * MINUTE
    assert later.sla != lead.sla


NIGHT = Absence(from_at=START - HOUR, to_at=START + 24 * HOUR)


@pytest.mark.parametrize(
    ("cause", "rule", "away", "claims"),
    [
        ("seller_no_claim", Rule(name="r", team="hz-a"), False, False),
        ("seller_claimed_untouched", Rule(name="r", team="hz-a"), False, True),
        ("approval_waiting", Rule(name="r", team="hz-a", approval=True), False, False),
        ("nobody_on_shift", Rule(name="r", team="hz-a"), True, False),
        ("unassigned", Rule(name="r", team="hz-a", roles=("specialist",)), False, False),
    ],
)
def test_each_breach_has_its_one_cause(cause: str, rule: Rule, away: bool, claims: bool) -> None:
    scene = Scene(a_policy(rules=(rule,)))
    if away:
        sellers = tuple(
            Seller(id=each.id, team=each.team, role=each.role, absences=(NIGHT,))
            for each in ORGANISATION.sellers
            if each.team == "hz-a"
        )
        scene.say("org_change", data=change_data(OrgChange(sellers=sellers)))
    lead = scene.hot("v")
    if claims:
        scene.act("lead_claim", lead, MINUTE, seller="li")
    scene.pass_time(5 * MINUTE)
    row = scene.lead(lead.lead)
    assert (row.breach, row.breaches) == (cause, 1)
    [entry] = [entry for entry in scene.timeline(lead) if entry.kind == "breach"]
    assert entry.data["cause"] == cause


def test_a_lead_of_a_team_that_is_not_there_still_goes_somewhere() -> None:
    scene = Scene(a_policy(rules=(Rule(name="r", team="nowhere"),)))
    lead = scene.hot("v")
    assert (lead.status, lead.pool, lead.holder, lead.store) == ("new", "public", None, "")
    scene.pass_time(HOUR)
    assert scene.lead(lead.lead).status == "pooled"


def test_what_was_promised_is_recalled_to_who_has_it_alone() -> None:
    scene = Scene()
    lead = scene.hot("v")
    scene.act("lead_claim", lead, MINUTE, seller="li")
    promised = START + 3 * HOUR
    scene.act(
        "lead_outcome", lead, 2 * MINUTE, seller="li", outcome="call_later", data={"follow_up_at": promised}
    )
    since = len(scene.told)
    scene.pass_time(4 * HOUR)
    assert told(scene, since) == [("li", "nudge", "follow_up_due", 3 * 3600)]


def test_frames_cut_otherwise_give_the_same() -> None:
    one, other = Scene(), Scene()
    for scene, step in ((one, MINUTE // 2), (other, 20 * MINUTE)):
        scene.number = 100
        scene.hot("v")
        for at in range(step, 40 * MINUTE + 1, step):
            scene.number = 1_000 + at
            scene.pass_time(at)
    assert one.told == other.told
    left, right = one.dump(), other.dump()
    assert left == right


def test_teams_without_anybody_let_it_wait_and_give_it_when_somebody_comes() -> None:
    early = Seller(id="xu", team="hz-b", absences=(Absence(from_at=0, to_at=START + 4 * MINUTE),))
    change = OrgChange(units=(Unit(id="hz-b", kind="team", parent="hangzhou"),), sellers=(early,))
    scene = Scene(a_policy(rules=(Rule(name="r", team="hz-b"),)))
    scene.say("org_change", data=change_data(change))
    lead = scene.hot("v")
    assert (lead.holder, lead.team) == (None, "hz-b")
    scene.pass_time(5 * MINUTE)
    assert scene.lead(lead.lead).holder == "xu"
