"""Who is who, as people see it: links on timelines, what is shown of the merged and of the parted, consents at every name."""

from collections.abc import Iterator
from typing import Any

import pytest

from frontrow.core.centre.book import Consent, Contact, LeadRow, RawLead
from frontrow.core.centre.survivors import survivors
from tests.support.centre import Scene, hot_lead


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.close()


def viewer(key: str) -> dict[str, str]:
    return {"kind": "viewer:douyin", "key": key}


def link(scene: Scene, at: int, a: Any, b: Any, **more: Any) -> str:
    event = scene.event(
        "identity_link", at, data={"a": a, "b": b, "source": "crm", "confidence": 1.0, "by": "m", **more}
    )
    scene.apply([event])
    return f"frontrow/centre/{event.id}"


def kinds(scene: Scene, lead: LeadRow) -> list[str]:
    return [entry.kind for entry in scene.timeline(lead)]


def named(scene: Scene, viewer: str, name: str, at: int) -> LeadRow:
    raw = hot_lead(viewer, 1_750_000_000_000 + at)
    touch = scene.event("comment", at, platform="douyin", room="r1", viewer=viewer, name=name, text="好")
    scene.apply([touch], [raw])
    return scene.lead(scene.raw(raw.lead).lead)


def test_links_and_partings_stand_on_timelines_with_who_and_why(scene: Scene) -> None:
    one, two = scene.hot("v1"), scene.hot("v2", 1_000)
    name = link(scene, 2_000, viewer("v1"), viewer("v2"))
    assert "identity_link" in kinds(scene, one)
    scene.say("identity_unlink", 3_000, data={"link": name, "by": "m"})
    assert scene.centre.refused["identity_unlink"] == 1, "without a reason nobody is parted"
    scene.say("identity_unlink", 4_000, data={"link": name, "by": "m", "reason": "two people"})
    for lead in (one, two):
        [entry] = [each for each in scene.timeline(lead) if each.kind == "identity_unlink"]
        assert (entry.actor, entry.data["reason"]) == ("m", "two people")


def test_the_merged_show_what_is_best_known_and_the_parted_nothing_of_each_other(scene: Scene) -> None:
    one = scene.hot("v1")
    scene.form("v2", "13800001111", 1_000)
    name = link(scene, 2_000, viewer("v1"), viewer("v2"))
    [merged] = scene.leads()
    assert (merged.lead, merged.masked, merged.city) == (one.lead, "138****8000", "杭州")
    scene.say("identity_unlink", 3_000, data={"link": name, "by": "m", "reason": "two people"})
    parted = scene.lead(one.lead)
    assert (parted.masked, parted.city) == (None, "")


def test_a_name_from_a_form_goes_before_one_of_a_profile_and_the_newest_of_equals_last(scene: Scene) -> None:
    lead = named(scene, "v1", "小丑鱼", 0)
    assert lead.name == "小**"
    other = named(scene, "v2", "陈小明", 1_000)
    link(scene, 2_000, viewer("v1"), viewer("v2"))
    assert scene.lead(lead.lead).name == "陈**", "of two profiles the newer"
    shown = survivors([], scene.rows(RawLead))["name"]
    assert (shown.won.value, [each.value for each in shown.lost]) == ("陈**", ["小**"])
    assert other.name == "陈**"


def test_a_number_that_can_be_called_survives_a_newer_one_that_cannot(scene: Scene) -> None:
    scene.form("v1", "13800001111")
    scene.apply([scene.event("form_submit", 1_000, platform="douyin", room="r1", viewer="v1", consent=True, form="f",
                             data={"unreadable": True}, fields={"sealed": "c2VhbGVk"})])  # fmt: skip
    shown = survivors(scene.rows(Contact), scene.rows(RawLead))
    assert shown["phone"].won.value == "138****8000" and shown["city"].won.value == "杭州"


def test_a_consent_is_on_the_timeline_once_and_withdrawing_contact_closes_the_door(scene: Scene) -> None:
    lead = scene.form("v1", "13800001111")
    for number, name in enumerate((viewer("v1"), {"kind": "wecom", "key": "wm1"})):
        scene.say(
            "consent",
            1_000 + number,
            data={"identity": name, "purpose": "marketing", "given": True, "source": "call", "by": "li"},
        )
    assert kinds(scene, lead).count("consent") == 1, "the second name is nobody's yet"
    scene.say(
        "consent",
        2_000,
        data={"identity": viewer("v1"), "purpose": "contact", "given": False, "channel": "sms"},
    )
    assert not scene.lead(lead.lead).do_not_contact, "one channel is one channel"
    scene.say("consent", 3_000, data={"identity": viewer("v1"), "purpose": "contact", "given": False})
    assert scene.lead(lead.lead).do_not_contact
    assert len(scene.rows(Consent)) == 4


def test_wecom_and_crm_ids_lead_to_the_same_customer(scene: Scene) -> None:
    one = scene.hot("v1")
    scene.form("v2", "13800001111", 1_000)
    link(scene, 2_000, viewer("v1"), {"kind": "wecom", "key": "wm1"}, source="wecom")
    link(scene, 3_000, {"kind": "crm", "key": "77"}, {"kind": "wecom", "key": "wm1"}, source="crm")
    link(scene, 4_000, {"kind": "crm", "key": "77"}, viewer("v2"), source="crm", confidence=0.5)
    assert len(scene.leads()) == 2, "not sure enough to join"
    link(scene, 5_000, {"kind": "crm", "key": "77"}, viewer("v2"), source="crm", confidence=0.9)
    assert [lead.lead for lead in scene.leads()] == [one.lead]
