"""What of a frame is a person's, and what a frame is without it: the same to whatever computes."""

import msgspec
import pytest

from frontrow.core.centre.erasing import CONTACTS, NAMES, TEXTS, Erasure, blanked, erase_event, without
from frontrow.core.centre.identities import PHONE, Identity, identity_of, viewer_identity
from frontrow.core.events import Event
from frontrow.core.frames import Frame
from tests.support.alerts import an_alert
from tests.support.rooms import START, event

PHONE_KEY = "ab" * 16
HERS, NUMBER = viewer_identity("test", "her"), Identity(PHONE, PHONE_KEY)
LEAD = "L1"


def frame(*events: Event) -> Frame:
    return Frame.of(events)


EVENTS = [
    event("comment", 0, viewer="her", name="小花", text="多少钱", extra={"avatar": "x"}),
    event("comment", 1, viewer="him", name="大树", text="@小花 我也要"),
    event("form_submit", 2, viewer="her", fields={"姓名": "张三"}, consent=True),
    event("form_submit", 3, viewer=None, fields={"sealed": "AAAA"}, data={"phone": PHONE_KEY}),
    event("form_submit", 4, viewer="him", fields={"sealed": "AAAA"}, data={"phone": PHONE_KEY}),
    event("lead_note", 5, viewer=None, lead=LEAD, note="她要三件"),
    event("lead_note", 6, viewer=None, lead="L2", note="他要一件"),
    event("comment", 7, viewer="her", platform="elsewhere", name="小花", text="你好"),
    event("like", 8, viewer="her", count=3),
]


def test_what_is_a_persons_is_found_by_viewer_number_and_lead() -> None:
    found = Erasure.of([HERS, NUMBER], [LEAD], START + 60_000).positions(frame(*EVENTS))
    assert found == [
        0,
        2,
        3,
        5,
        8,
    ]  # not what others wrote of her, and not a form that he sent with her number
    assert Erasure.of([HERS], [], START + 60_000).positions(frame(*EVENTS)) == [0, 2, 8]


def test_what_came_later_is_new() -> None:
    assert Erasure.of([HERS], [LEAD], START + 2_000).positions(frame(*EVENTS)) == [0, 2]
    late = event("comment", 0, viewer="her", text="多少钱", seen_at=START + 3_000)
    assert Erasure.of([HERS], [], START + 2_000).positions(frame(late)) == []


def test_without_a_person_all_that_is_computed_from_is_the_same() -> None:
    before = frame(*EVENTS)
    rest = Erasure.of([HERS, NUMBER], [LEAD], START + 60_000).rest_of(before)
    assert rest is not None
    blank = [
        msgspec.structs.replace(each, name=None, text=None, fields=None, note=None, extra=None)
        for each in EVENTS
    ]
    expected = [blank[at] if at in (0, 2, 3, 5, 8) else EVENTS[at] for at in range(len(EVENTS))]
    assert rest.events() == expected
    assert before.events() == EVENTS
    assert Erasure.of([HERS, NUMBER], [LEAD], START + 60_000).rest_of(rest) is None


def test_frames_are_sorted_out_by_the_bytes_of_their_facts() -> None:
    erasure = Erasure.of([HERS], [LEAD], START)
    assert erasure.may_concern(b"..her..")
    assert erasure.may_concern(b"..L1..")
    assert not erasure.may_concern(b"..him..")
    assert Erasure(lambda _: None).may_concern(b"")


@pytest.mark.parametrize(
    ("part", "gone"), [(NAMES, {"name"}), (TEXTS, {"text", "note", "extra"}), (CONTACTS, {"fields"})]
)
def test_each_part_can_go_alone(part: str, gone: set[str]) -> None:
    full = event(
        "form_submit", name="小花", text="你好", note="n", extra={"a": 1}, fields={"b": 2}, data={"c": 3}
    )
    rest = without(frame(full), [0], [part])
    assert rest is not None
    assert rest.events() == [msgspec.structs.replace(full, **dict.fromkeys(gone))]
    assert without(rest, [0], [part]) is None


def test_an_alert_keeps_what_is_no_name_and_no_word() -> None:
    alert = an_alert(name="小**", words="多少钱", extra={"propensity": 0.1, "avatar": "x"}, viewer="her")
    rest = Erasure.of([HERS], [], START).rest_of_alert(alert, START)
    assert rest == blanked(alert)
    assert rest == msgspec.structs.replace(alert, name="***", words=None, extra={"propensity": 0.1})
    assert Erasure.of([HERS], [], START).rest_of_alert(alert, START + 1) is None
    assert Erasure.of([viewer_identity("test", "him")], [], START).rest_of_alert(alert, START) is None


def test_the_event_names_who_was_erased_and_no_number() -> None:
    made = erase_event("x", [HERS], by="李", reason="她打电话 13800138000 来", at=START)
    assert made.data is not None
    assert [identity_of(each) for each in made.data["identities"]] == [HERS]
    assert "13800138000" not in str(made.data)
