"""Alerts: rows that were stored before are read, and every message has a key and a type of its own."""

from typing import Any

import msgspec
import pytest

from frontrow.core.alerts import Addressee, LeadAlert, alert_key, event_type
from tests.support.alerts import an_alert

OLD_ROW = (
    b'{"lead":"L1","platform":"p","room":"r","room_id":"demo","room_title":"","session":"s","viewer":"v","name":"n",'
    b'"grade":"hot","points":81,"probability":null,"reasons":[],"decided_at":1,"product":null,"words":null,"extra":null}'
)


def test_a_row_from_before_addressees_is_a_new_lead_for_everybody() -> None:
    alert = msgspec.json.decode(OLD_ROW, type=LeadAlert)
    assert (alert.purpose, alert.to, alert.event) == ("lead", None, None)
    assert alert_key("robot", alert) == "robot:L1"


def test_an_alert_to_one_person_comes_back_as_it_was_stored() -> None:
    to = Addressee(seller="lee", wecom="LiLei", mobile="+8613800138000", timezone="Asia/Urumqi")
    alert = an_alert(to=to, purpose="nudge", at=5, due_at=9, region="浙江 杭州", quality="Q3", holder="kim")
    assert msgspec.json.decode(msgspec.json.encode(alert), type=LeadAlert) == alert


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "lead.hot"),
        ({"grade": "warm"}, "lead.warm"),
        ({"purpose": "todo"}, "lead.assigned"),
        ({"purpose": "nudge"}, "lead.nudged"),
        ({"purpose": "escalation"}, "lead.breached"),
        ({"purpose": "approval"}, "lead.approval_asked"),
        ({"event": "won"}, "lead.won"),
        ({"purpose": "todo", "event": "transferred"}, "lead.transferred"),
    ],
)
def test_programs_are_told_what_has_happened(changes: dict[str, Any], expected: str) -> None:
    assert event_type(an_alert(**changes)) == expected


def test_each_message_to_each_person_has_a_key_of_its_own_that_stays() -> None:
    lee, kim = Addressee(seller="lee"), Addressee(seller="kim")
    alerts = [
        an_alert(),
        an_alert("L2"),
        an_alert(event="won", at=7),
        an_alert(purpose="todo", to=lee, at=1),
        an_alert(purpose="todo", to=kim, at=2),
        an_alert(purpose="todo", to=lee, at=3),  # the lead came back
        an_alert(purpose="nudge", to=lee, at=1),
        an_alert(purpose="nudge", to=lee, at=2),
    ]
    keys = [alert_key("app", alert) for alert in alerts]
    assert len(set(keys)) == len(keys)
    assert keys == [alert_key("app", alert) for alert in alerts]
