"""Nurture through the lead centre: what customers get by the journal's events, once, and above all what they do not; in both databases."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frontrow.core.centre.book import LeadRow, Told, TouchRow
from frontrow.core.centre.identities import Identity
from frontrow.core.centre.nursing import SLICE_MS
from frontrow.core.centre.nurture import (
    DAY_MS,
    TOUCH_CHANNELS,
    BroadcastRule,
    Occasion,
    TouchLimits,
    TouchRule,
)
from frontrow.core.centre.policy import RoomPlace, policy_data
from frontrow.core.errors import DatabaseAway
from frontrow.storage.centre.care import CareReads
from tests.support.centre import START, STORE, Scene, a_policy

HOUR = 3_600_000
AWAKE = TouchLimits(send=True, quiet_hours=(), per_week=20)
WELCOME = TouchRule(
    name="welcome", point="welcome", channel="sms", text="welcome", purpose="service", capped=False
)
READING = TouchRule(
    name="reading", point="content", channel="sms", text="reading", every_days=14, delay_s=7 * 86_400
)
INVITE = TouchRule(name="invite", point="invitation", channel="sms", text="invitation")
OFFER = TouchRule(name="offer", point="campaign", channel="sms", text="offer")
WAKE = TouchRule(name="wake", point="dormant", channel="sms", text="wake", silent_days=30)


class Nursing(Protocol):
    """Begins a scene with these rules in a database of its own."""

    def __call__(self, *rules: TouchRule, limits: TouchLimits = AWAKE, **fields: Any) -> Scene: ...


@pytest.fixture
def nursing(new_database: Callable[[], str]) -> Iterator[Nursing]:
    begun: list[Scene] = []

    def begin(*rules: TouchRule, limits: TouchLimits = AWAKE, **fields: Any) -> Scene:
        begun.append(Scene(a_policy(touch_rules=rules, touch=limits, **fields), url=new_database()))
        return begun[-1]

    yield begin
    for scene in begun:
        scene.close()


def sent(scene: Scene) -> list[tuple[str, int]]:
    """What went out: by which rule, and when after the start."""
    rows: list[TouchRow] = sorted(scene.rows(TouchRow), key=lambda row: (row.at, row.rule, row.key))
    told = [each for each in scene.told if each.touch is not None]
    assert len(told) == len({each.key for each in told}) == sum(row.by == "frontrow" for row in rows)
    return [(row.rule, row.at - START) for row in rows]


def agree(scene: Scene, viewer: str, at: int, *, given: bool = True, **data: Any) -> None:
    identity = {"kind": "viewer:douyin", "key": viewer}
    scene.say("consent", at, data={"identity": identity, "purpose": "marketing", "given": given, **data})


@pytest.fixture
def scene(nursing: Nursing) -> Scene:
    return nursing(WELCOME, READING, INVITE, OFFER, WAKE)


def test_whoever_leaves_a_number_is_thanked_once_however_many_forms_they_send(scene: Scene) -> None:
    lead = scene.form("v1", "13800001111")
    scene.form("v1", "13800001111", 1_000)
    scene.hot("v1", 2_000)
    assert sent(scene) == [("welcome", 0)]
    [told] = [each for each in scene.told if each.purpose == "touch"]
    assert told.to is None and told.touch is not None and told.touch.channel == "sms"
    assert "nurture" in [entry.kind for entry in scene.timeline(lead)]
    scene.form("v1", "13900002222", 3_000)
    assert sent(scene) == [("welcome", 0), ("welcome", 3_000)], "another telephone is another contact"


def test_one_telephone_rings_once_though_two_viewers_leave_it(scene: Scene) -> None:
    scene.form("v1", "13800001111")
    scene.form("v2", "13800001111", 1_000)
    assert sent(scene) == [("welcome", 0)]


def test_nothing_goes_out_while_sending_is_off(nursing: Nursing) -> None:
    scene = nursing(WELCOME, limits=TouchLimits(quiet_hours=()))
    lead = scene.form("v1", "13800001111")
    assert sent(scene) == [] and not any(kind == "nurture" for kind, _ in scene.timers(lead))


def test_switching_it_on_looks_at_everybody_once(nursing: Nursing) -> None:
    scene = nursing(WELCOME, limits=TouchLimits(quiet_hours=()))
    for number in range(3):
        scene.form(f"v{number}", f"1380000111{number}")
    policy = a_policy(touch_rules=(WELCOME,), touch=AWAKE)
    scene.say("policy_change", HOUR, data={"policy": policy_data(policy), "version": "2"})
    assert sent(scene) == [("welcome", HOUR)] * 3


def test_thanks_left_in_quiet_hours_go_out_when_they_end(nursing: Nursing) -> None:
    """The scene begins at 23:06 in Shanghai; the hours end at nine."""
    scene = nursing(WELCOME, limits=TouchLimits(send=True))
    lead = scene.form("v1", "13800001111")
    assert sent(scene) == []
    due = scene.timers(lead)["nurture", 0]
    scene.pass_time(due - 1)
    assert sent(scene) == []
    scene.pass_time(due + 5 * HOUR)
    assert sent(scene) == [("welcome", due)]
    assert due // HOUR == 9, "nine hours and some after six past eleven"


def test_reading_comes_by_the_calendar_to_those_who_agreed(scene: Scene) -> None:
    scene.form("v1", "13800001111")
    scene.form("v2", "13900002222")
    agree(scene, "v1", 1_000)
    scene.pass_time(40 * DAY_MS)
    assert [each for each in sent(scene) if each[0] == "reading"] == [
        ("reading", 7 * DAY_MS),
        ("reading", 21 * DAY_MS),
        ("reading", 35 * DAY_MS),
    ]


def test_a_consent_that_is_taken_back_ends_it_and_one_that_comes_late_begins_it(scene: Scene) -> None:
    scene.form("v1", "13800001111")
    scene.pass_time(8 * DAY_MS)
    assert ("reading", 7 * DAY_MS) not in sent(scene)
    agree(scene, "v1", 9 * DAY_MS)
    assert ("reading", 9 * DAY_MS) in sent(scene)
    agree(scene, "v1", 10 * DAY_MS, given=False, channel="sms")
    scene.pass_time(60 * DAY_MS)
    assert [rule for rule, _ in sent(scene)] == ["welcome", "reading"]


def test_the_silent_are_woken_once_for_each_silence(scene: Scene) -> None:
    scene.form("v1", "13800001111")
    agree(scene, "v1", 0)
    scene.hot("v1", 10 * DAY_MS)
    scene.pass_time(100 * DAY_MS)
    assert [each for each in sent(scene) if each[0] == "wake"] == [("wake", 40 * DAY_MS)]
    scene.hot("v1", 100 * DAY_MS, session="s9")
    scene.pass_time(131 * DAY_MS)
    assert ("wake", 130 * DAY_MS) in sent(scene)


def occasion(scene: Scene, at: int, **data: Any) -> None:
    body = {"kind": "invitation", "occasion": "s2", "opens_at": START + HOUR, "ends_at": START + 5 * HOUR}
    scene.say("occasion_change", at, data={**body, **data})


def test_everybody_who_agreed_is_invited_once_when_a_broadcast_opens(scene: Scene) -> None:
    for number in range(4):
        scene.form(f"v{number}", f"1380000111{number}")
        if number:
            agree(scene, f"v{number}", 0)
    occasion(scene, 0)
    occasion(scene, 10)
    scene.pass_time(2 * HOUR)
    assert [each for each in sent(scene) if each[0] == "invite"] == [("invite", HOUR)] * 3
    scene.form("v9", "13800009999", 3 * HOUR)
    agree(scene, "v9", 3 * HOUR)
    assert ("invite", 3 * HOUR) in sent(scene), "who agrees meanwhile is invited too"
    agree(scene, "v0", 6 * HOUR)
    assert len([each for each in sent(scene) if each[0] == "invite"]) == 4, "and nobody after it began"


def test_a_broadcast_that_is_called_off_invites_nobody(scene: Scene) -> None:
    scene.form("v1", "13800001111")
    agree(scene, "v1", 0)
    occasion(scene, 0)
    occasion(scene, 10, opens_at=START, ends_at=START)
    scene.pass_time(2 * HOUR)
    assert "invite" not in dict(sent(scene))


def test_a_planned_campaign_is_brought_in_slices_and_leaves_nobody_out(
    nursing: Nursing, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = 4
    monkeypatch.setattr("frontrow.core.centre.nursing.SLICE", few)
    sale = Occasion(kind="campaign", occasion="1111", opens_at=START + HOUR, ends_at=START + 9 * HOUR)
    scene = nursing(OFFER)
    forms = [
        scene.event(
            "form_submit", 0, platform="douyin", room="r1", viewer=f"v{number}", consent=True, form="f",
            data={"phone": f"{number:032x}", "country": "CN", "province": "", "city": ""},
        )
        for number in range(few + 3)
    ]  # fmt: skip
    agreed = [
        scene.event(
            "consent",
            0,
            data={
                "identity": {"kind": "viewer:douyin", "key": f"v{number}"},
                "purpose": "marketing",
                "given": True,
            },
        )
        for number in range(few + 3)
    ]
    scene.apply(forms + agreed)
    occasion(scene, 0, kind="campaign", occasion="1111", opens_at=sale.opens_at, ends_at=sale.ends_at)
    scene.pass_time(HOUR)
    assert sent(scene) == [("offer", HOUR)] * few
    scene.pass_time(HOUR + SLICE_MS)
    assert len(sent(scene)) == few + 3
    scene.pass_time(8 * HOUR)
    assert len(sent(scene)) == few + 3


def test_what_the_owners_own_program_sent_counts_like_ours(nursing: Nursing) -> None:
    scene = nursing(READING, limits=TouchLimits(send=True, quiet_hours=(), per_week=1))
    lead = scene.form("v1", "13800001111")
    agree(scene, "v1", 0)
    said = {"rule": "newsletter", "channel": "wechat", "about": "may", "by": "crm"}
    scene.act("touch_sent", lead, 5 * DAY_MS, data=said)
    scene.act("touch_sent", lead, 5 * DAY_MS + 1, data=said)
    assert sent(scene) == [("newsletter", 5 * DAY_MS)]
    scene.pass_time(13 * DAY_MS)
    assert sent(scene)[1] == ("reading", 12 * DAY_MS), "the week's only message was the newsletter"


def test_a_customer_of_two_names_has_one_history_and_two_again_when_they_are_parted(nursing: Nursing) -> None:
    scene = nursing(WAKE, limits=AWAKE)
    for viewer, at in (("v1", 0), ("v2", 1_000)):
        scene.form(viewer, f"1380000111{viewer[1]}", at)
        agree(scene, viewer, at)
    scene.pass_time(31 * DAY_MS)
    assert len(sent(scene)) == 2
    a, b = ({"kind": "viewer:douyin", "key": viewer} for viewer in ("v1", "v2"))
    link = scene.event(
        "identity_link", 32 * DAY_MS, data={"a": a, "b": b, "source": "crm", "confidence": 1.0}
    )
    scene.apply([link])
    scene.pass_time(33 * DAY_MS)
    assert len(sent(scene)) == 2, "of this silence the customer has had a word"
    scene.say(
        "identity_unlink",
        34 * DAY_MS,
        data={"link": f"frontrow/centre/{link.id}", "by": "m", "reason": "wrong"},
    )
    scene.pass_time(70 * DAY_MS)
    assert len(sent(scene)) == 2


# Each example has a database of its own.
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    acts=st.lists(
        st.tuples(
            st.sampled_from(["form", "hot", "agree", "revoke", "sale", "wait", "link"]),
            st.sampled_from(["v1", "v2"]),
            st.integers(1, 40 * 24),
        ),
        max_size=8,
    ),
    how=st.sampled_from(["consent", "outcome", "erase"]),
)
def test_nobody_who_wants_no_contact_ever_gets_anything(
    nursing: Nursing, acts: list[tuple[str, str, int]], how: str
) -> None:
    """Whatever happens before and after, and whoever they are merged with."""
    scene = nursing(WELCOME, READING, INVITE, OFFER, WAKE)
    at = 0
    lead = scene.form("v1", "13800001111")
    agree(scene, "v1", 0)
    at = _forbid(scene, lead, how)
    before = len(sent(scene))
    marks = {row.touch for row in scene.rows(TouchRow)}
    for number, (act, viewer, hours) in enumerate(acts):
        at += hours * HOUR
        match act:
            case "form":
                scene.form(viewer, f"1380000222{viewer[1]}", at)
            case "hot":
                scene.hot(viewer, at, session=f"s{number}")
            case "agree" | "revoke":
                agree(scene, viewer, at, given=act == "agree")
            case "sale":
                occasion(
                    scene,
                    at,
                    kind="campaign",
                    occasion=str(number),
                    opens_at=START + at,
                    ends_at=START + at + DAY_MS,
                )
            case "link":
                a, b = ({"kind": "viewer:douyin", "key": each} for each in ("v1", "v2"))
                scene.say("identity_link", at, data={"a": a, "b": b, "source": "crm", "confidence": 1.0})
            case _:
                scene.pass_time(at)
    scene.pass_time(at + 50 * DAY_MS)
    theirs = {("viewer:douyin", "v1")}
    if any(act == "link" for act, _, _ in acts):
        first = next(n for n, (act, _, _) in enumerate(acts) if act == "link")
        joined = sum(hours for _, _, hours in acts[: first + 1]) * HOUR
        late = [
            row for row in scene.rows(TouchRow) if row.touch not in marks and row.at - START > joined + HOUR
        ]
        assert late == [], "one customer with them"
    new = [row for row in scene.rows(TouchRow) if row.touch not in marks]
    assert before == len(marks)
    assert [row for row in new if (row.kind, row.key) in theirs] == []


def _forbid(scene: Scene, lead: LeadRow, how: str) -> int:
    viewer = {"kind": "viewer:douyin", "key": "v1"}
    match how:
        case "consent":
            scene.say("consent", HOUR, data={"identity": viewer, "purpose": "contact", "given": False})
        case "erase":
            scene.say("person_erase", HOUR, data={"identities": [viewer]})
        case _:
            pack = scene.centre.policy.pack
            code = next(each.code for each in pack.outcomes if each.forbids_contact)
            scene.act("lead_claim", lead, HOUR, seller=lead.holder)
            scene.act("lead_outcome", lead, HOUR, seller=lead.holder, outcome=code, data={"by": lead.holder})
    assert scene.lead(lead.lead).do_not_contact
    return HOUR


def test_frames_cut_otherwise_give_the_same_messages(nursing: Nursing) -> None:
    def play(cut: int) -> tuple[dict[str, list[str]], list[Told]]:
        scene = nursing(WELCOME, READING, INVITE, WAKE)
        events = []
        for number in range(6):
            events.append(
                scene.event(
                    "form_submit", number * HOUR, platform="douyin", room="r1", viewer=f"v{number % 3}", consent=True,
                    form="f", data={"phone": f"{number % 4:032x}", "country": "CN", "province": "", "city": ""},
                )
            )  # fmt: skip
            identity = {"kind": "viewer:douyin", "key": f"v{number % 3}"}
            events.append(
                scene.event(
                    "consent",
                    number * HOUR,
                    data={"identity": identity, "purpose": "marketing", "given": True},
                )
            )
        events.append(scene.event("occasion_change", 7 * HOUR, data={
            "kind": "invitation", "occasion": "s", "opens_at": START + 8 * HOUR, "ends_at": START + 9 * HOUR}))  # fmt: skip
        events.append(scene.event("tick", 60 * DAY_MS))
        for start in range(0, len(events), cut):
            scene.apply(events[start : start + cut])
        return scene.dump(), scene.told

    whole = play(100)
    assert any(each.touch is not None for each in whole[1])
    assert play(1) == whole == play(3)


def test_what_is_shown_of_a_customer_and_before_anything_is_sent_is_what_the_book_has(
    nursing: Nursing,
) -> None:
    """People look at it beside the follower, through queries of their own."""
    scene = nursing(WELCOME, READING)
    for viewer in ("v1", "v2", "v3"):
        scene.form(viewer, f"1380000111{viewer[1]}")
    agree(scene, "v1", 1_000)
    scene.pass_time(8 * DAY_MS)
    reads = CareReads(scene.engine, STORE)
    customer = reads.customer(scene.leads()[0].customer)
    assert customer is not None
    assert [touch.rule for touch in customer.touches] == ["welcome", "reading"]
    assert [(each.purpose, each.given) for each in customer.consents] == [
        ("contact", True),
        ("marketing", True),
    ]
    pages = [reads.preview(scene.centre.policy, START + 30 * DAY_MS, after=0, limit=2)]
    while (after := pages[-1].next) is not None:
        pages.append(reads.preview(scene.centre.policy, START + 30 * DAY_MS, after=after, limit=2))
    assert len(pages) > 1
    assert [(touch.rule, touch.customer) for page in pages for touch in page.found.touches] == [
        ("reading", customer.leads[0].customer)
    ]
    assert reads.customer("nobody") is None


def test_two_rules_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="named 'wake'"):
        a_policy(touch_rules=(WAKE, WAKE))


def test_a_channel_that_nothing_sends_on_reaches_nobody(nursing: Nursing) -> None:
    scene = nursing(WELCOME, touch_channels=tuple(each for each in TOUCH_CHANNELS if each != "sms"))
    scene.form("v1", "13800001111")
    assert sent(scene) == []


def test_an_occasion_that_is_none_is_refused(scene: Scene) -> None:
    for data in ({}, {"kind": "party"}, {"kind": "campaign", "occasion": "", "opens_at": 1, "ends_at": 2}):
        scene.say("occasion_change", 0, data=data)
    assert scene.centre.refused["occasion_change"] == 3


# ---- what comes back


def came_back(scene: Scene, rule: str, result: str, at: int) -> None:
    row = next(row for row in scene.rows(TouchRow) if row.rule == rule)
    scene.act("touch_result", row.lead, at, data={"touch": row.touch, "result": result})


def test_what_its_receiver_refused_counts_against_no_bound_and_is_not_tried_again(
    nursing: Nursing,
) -> None:
    """A wrong template must not keep a customer from what they would have got."""
    limits = TouchLimits(send=True, quiet_hours=(), per_week=1)
    scene = nursing(INVITE, OFFER, limits=limits)
    lead = scene.form("v1", "13800001111")
    agree(scene, "v1", 0)
    for kind in ("invitation", "campaign"):
        times = {"opens_at": START + HOUR, "ends_at": START + 3 * HOUR}
        scene.say("occasion_change", 0, data={"kind": kind, "occasion": kind, **times})
    scene.pass_time(HOUR)
    assert sent(scene) == [("invite", HOUR)], "one a week"
    came_back(scene, "invite", "refused", HOUR + 1)
    scene.pass_time(2 * HOUR)
    assert sent(scene) == [("invite", HOUR), ("offer", HOUR + 1)]
    assert [line.kind for line in scene.timeline(lead)][-2:] == ["nurture_refused", "nurture"]
    came_back(scene, "invite", "sent", 2 * HOUR)  # somebody sent the dead letter again
    came_back(scene, "invite", "refused", 2 * HOUR)  # and another receiver would not have it
    assert {row.rule: row.result for row in scene.rows(TouchRow)} == {"invite": "sent", "offer": "waiting"}


def test_turns_go_on_behind_one_that_was_refused_and_a_cap_counts_what_was_taken(
    nursing: Nursing,
) -> None:
    capped = msgspec.structs.replace(READING, cap=1)
    scene = nursing(capped)
    scene.form("v1", "13800001111")
    agree(scene, "v1", 0)
    scene.pass_time(8 * DAY_MS)
    came_back(scene, "reading", "refused", 8 * DAY_MS)
    scene.pass_time(60 * DAY_MS)
    assert sent(scene) == [("reading", 7 * DAY_MS), ("reading", 21 * DAY_MS)]


def test_a_result_of_no_message_changes_nothing(
    nursing: Nursing,
) -> None:
    scene = nursing(WELCOME)
    lead = scene.form("v1", "13800001111")
    for data in (
        {},
        {"touch": "T1", "result": "sent"},
        {"touch": scene.rows(TouchRow)[0].touch, "result": "?"},
    ):
        scene.act("touch_result", lead, HOUR, data=data)
    assert scene.centre.refused["touch_result"] == 3
    assert [row.result for row in scene.rows(TouchRow)] == ["waiting"]


# ---- broadcasts that begin


def begins(scene: Scene, at: int, *, began: int | None = None, room: str = "r1") -> None:
    start = START + (at if began is None else began)
    event = scene.event("room_start", at, platform="douyin", room=room, session=f"s{at}")
    scene.apply([msgspec.structs.replace(event, at=start)])


@pytest.fixture
def live(nursing: Nursing) -> Scene:
    """A scene whose room r1, of skin care, invites customers as it begins."""
    rule = BroadcastRule(rooms=("demo",), lines=("beauty/skincare",))
    places = (RoomPlace(platform="douyin", room="r1", id="demo"),)
    scene = nursing(INVITE, limits=TouchLimits(send=True, quiet_hours=()), broadcasts=(rule,), rooms=places)
    for number, product in enumerate(("保湿面霜", "哑光口红", None)):
        scene.form(f"v{number}", f"1380000111{number}")
        scene.hot(f"v{number}", number, product=product)
        agree(scene, f"v{number}", 10)
    return scene


def test_a_broadcast_that_begins_invites_whom_its_rule_says(live: Scene) -> None:
    begins(live, HOUR)
    begins(live, HOUR + 1)
    begins(live, HOUR + 2, room="r2")
    live.pass_time(2 * HOUR)
    assert sent(live) == [("invite", HOUR)], "who likes skin care, once, though the feed told it again"
    begins(live, DAY_MS)
    live.pass_time(DAY_MS + HOUR)
    assert sent(live) == [("invite", HOUR), ("invite", DAY_MS)], "the next broadcast is another one"


def test_nobody_is_invited_to_what_has_been_over_for_long(live: Scene) -> None:
    """A journal that is read late, or a feed that delivers late, tells of broadcasts of yesterday."""
    begins(live, DAY_MS, began=HOUR)
    live.pass_time(2 * DAY_MS)
    assert sent(live) == []


def test_a_rule_of_a_rooms_broadcasts_is_for_them_alone(live: Scene) -> None:
    rules = tuple(
        msgspec.structs.replace(INVITE, name=name, occasion=occasion)
        for name, occasion in (("mine", "room:demo"), ("other", "room:r2"))
    )
    policy = msgspec.structs.replace(live.centre.policy, touch_rules=rules)
    live.say("policy_change", 20, data={"policy": policy_data(policy), "version": "2"})
    begins(live, HOUR)
    live.pass_time(2 * HOUR)
    assert sent(live) == [("mine", HOUR)]


@pytest.mark.parametrize("answered", [0, 1])
@pytest.mark.parametrize(
    "ask",
    [
        lambda reads: reads.tasks(["queued"], limit=9),
        lambda reads: reads.task("t"),
        lambda reads: reads.link("l"),
        lambda reads: reads.suggestions(0.9, limit=9),
        lambda reads: reads.identities("C"),
        lambda reads: reads.customer("C"),
        lambda reads: reads.person(Identity("viewer:douyin", "v")),
        lambda reads: reads.one_name(Identity("viewer:douyin", "v")),
        lambda reads: reads.preview(a_policy(), START, after=0, limit=9),
        lambda reads: reads.occasions(a_policy()),
    ],
)
def test_a_connection_that_is_lost_is_a_database_that_is_away(
    nursing: Nursing, ask: Callable[[CareReads], object], answered: int
) -> None:
    """Whoever asks is told to come again (503), also where the first question was still answered."""
    scene, left = nursing(WELCOME), [answered]

    def lost(*_: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise sa.exc.OperationalError("SELECT", {}, Exception("the connection was lost"))

    reads = CareReads(scene.engine, STORE)
    ask(reads)
    sa.event.listen(scene.engine, "before_cursor_execute", lost)
    try:
        with pytest.raises(DatabaseAway):
            for _ in range(2):
                ask(reads)
    finally:
        sa.event.remove(scene.engine, "before_cursor_execute", lost)
