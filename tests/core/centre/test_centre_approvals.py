"""A lead for which a manager owes a decision: nobody forgets it, whatever the five-minute clock has done."""

from frontrow.core.centre.assignment import Rule
from tests.support.centre import MINUTE, START, Scene, a_policy


def test_a_manager_is_asked_for_a_decision_until_it_is_made() -> None:
    scene = Scene(a_policy(rules=(Rule(name="confirm", team="hz-a", approval=True),)))
    lead = scene.hot("v1")
    scene.pass_time(3 * 60 * MINUTE)
    asked = [
        (told.at - START) // MINUTE for told in scene.told if (told.to, told.purpose) == ("chen", "approval")
    ]
    assert asked == [0, 2, 6, 14, 30, 62, 126], "at once, and after 2, 4, 8, … minutes more"
    assert "li" not in {told.to for told in scene.told}, "nobody has given it to the seller yet"
    assert scene.lead(lead.lead).awaits_approval
    scene.act("lead_approve", lead, 3 * 60 * MINUTE, data={"decision": "approve", "by": "chen"})
    before = len(scene.told)
    scene.pass_time(12 * 60 * MINUTE)
    assert not [told for told in scene.told[before:] if told.purpose == "approval"]
