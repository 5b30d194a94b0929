"""The hosted form without its page: links that cannot be forged, mistakes by field, limits, and the event."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.core.centre.forms import (
    TRAP,
    Answers,
    Form,
    Limits,
    Link,
    Ticket,
    language_of,
    mistakes_in,
    read_answers,
    read_link,
    read_ticket,
    submission,
    write_ticket,
)
from frontrow.core.errors import EventInvalid
from frontrow.core.events import RoomRef

ROOM = RoomRef(id="shop", platform="douyin", room="owner-1")
NOW = 1_785_000_000_000
NONCE = "n" * 22


def form(**changes: Any) -> Form:
    base = {
        "id": "trial", "room": "shop", "rooms": ["store"], "title_zh": "试用", "title_en": "Trial",
        "fields": ["name", "phone", "company", "product", "message"], "products": ["1号", "3号"],
        "consent_zh": "我同意", "consent_en": "I agree", "consent_version": "v2", "link_secret": "0123456789abcdef",
    }  # fmt: skip
    return msgspec.convert(base | changes, Form)


def answers(**changes: str) -> Answers:
    given = {"phone": "13800138000", "consent": "yes", "nonce": NONCE, **changes}
    return read_answers(given.items())


# --- links


def test_a_link_says_who_where_and_what() -> None:
    ticket = Ticket("o-77", "s-1")
    query = {
        "room": "store",
        "host": " 小鹿 ",
        "product": "3号",
        "v": write_ticket(form(), "store", ticket),
        "x": "y",
    }
    link, forged = read_link(form(), query)
    assert (link.room, link.host, link.product, link.campaign, link.ticket) == (
        "store",
        "小鹿",
        "3号",
        None,
        ticket,
    )
    assert not forged
    assert dict(link.query).keys() == {"room", "host", "product", "v"}
    assert read_link(form(), dict(link.query)) == (link, False)


@pytest.mark.parametrize("room", ["", "other", "shop\n", "../x"])
def test_a_room_that_the_form_does_not_name_is_its_own(room: str) -> None:
    assert read_link(form(), {"room": room})[0].room == "shop"


@pytest.mark.parametrize(
    "other",
    [
        {"form": form(id="other")}, {"room": "store"}, {"form": form(link_secret="another secret!!")},
        {"form": form(link_secret="")},
    ],
)  # fmt: skip
def test_a_ticket_is_good_for_its_form_and_room_only(other: dict[str, Any]) -> None:
    token = write_ticket(form(), "shop", Ticket("o-77"))
    where: dict[str, Any] = {"form": form(), "room": "shop", **other}
    assert read_ticket(token, form(), "shop") == Ticket("o-77")
    assert read_ticket(token, where["form"], where["room"]) is None
    assert read_link(form(), {"room": "store", "v": token}) == (
        Link("store", query=(("room", "store"),)),
        True,
    )


@given(st.text(max_size=80), st.integers(0, 200))
def test_no_other_text_is_a_ticket(text: str, position: int) -> None:
    token = write_ticket(form(), "shop", Ticket("观众", None))
    changed = token[: position % len(token)] + text + token[position % len(token) + len(text) :]
    if changed != token:
        found = read_ticket(changed, form(), "shop")
        # The last character of Base64 has bits that say nothing.
        assert found is None or (found == Ticket("观众") and changed[:-1] == token[:-1])


@pytest.mark.parametrize("viewer", ["", "x" * 257, "a\nb"])
def test_a_viewer_that_no_event_may_have_gets_no_link(viewer: str) -> None:
    with pytest.raises(ValueError, match="256"):
        write_ticket(form(), "shop", Ticket(viewer))


def test_without_a_secret_there_are_no_signed_links() -> None:
    with pytest.raises(ValueError, match="link_secret"):
        write_ticket(form(link_secret=""), "shop", Ticket("o-77"))


# --- answers


@pytest.mark.parametrize(
    ("changes", "mistakes"),
    [
        ({}, {}), ({"phone": ""}, {"phone": "missing"}), ({"phone": "   "}, {"phone": "missing"}),
        ({"phone": "12345"}, {"phone": "no_number"}), ({"phone": "call me"}, {"phone": "no_number"}),
        ({"phone": "0571-88123456"}, {}), ({"phone": "+44 20 7946 0958"}, {}), ({"phone": "１３８ ００１３ ８０００"}, {}),
        ({"phone": "1" * 33}, {"phone": "too_long"}), ({"name": "鹿" * 65}, {"name": "too_long"}),
        ({"product": "9号"}, {"product": "no_choice"}), ({"product": "3号"}, {}),
        ({"message": "多" * 1_001}, {"message": "too_long"}), ({"consent": ""}, {"consent": "missing"}),
        ({"consent": "no"}, {"consent": "missing"}), ({"phone": "", "consent": ""}, {"phone": "missing", "consent": "missing"}),
    ],
)  # fmt: skip
def test_mistakes_are_named_by_field_in_the_order_of_the_page(
    changes: dict[str, str], mistakes: dict[str, str]
) -> None:
    found = mistakes_in(form(), answers(**changes), "CN")
    assert found == mistakes
    assert list(found) == list(mistakes)


def test_what_is_not_asked_for_is_neither_required_nor_kept() -> None:
    small = form(fields=["phone", "product"], products=[])
    sent = answers(name="x", company="y", product="9号")
    assert mistakes_in(small, sent, "CN") == {}
    event = submission(small, sent, read_link(small, {})[0], room=ROOM, language="en", at=NOW)
    assert (event.fields, event.name, event.product) == ({"phone": "13800138000"}, None, None)


def test_a_submission_keeps_the_text_that_was_agreed_to() -> None:
    link, _ = read_link(form(), {"host": "小鹿", "product": "1号", "campaign": "autumn"})
    sent = answers(name="小明", product="3号", message="一行\n两行")
    event = submission(form(channel="poster"), sent, link, room=ROOM, language="zh-CN", at=NOW)
    assert event.id == event.viewer == f"form:trial:{NONCE}"
    assert (event.kind, event.form, event.consent, event.at) == ("form_submit", "trial", True, NOW)
    assert (event.host, event.product, event.campaign, event.name) == ("小鹿", "3号", "autumn", "小明")
    assert event.fields == {"name": "小明", "phone": "13800138000", "product": "3号", "message": "一行\n两行"}
    assert event.extra == {
        "consent_text": "我同意", "consent_version": "v2", "purposes": ["contact"], "language": "zh-CN", "channel": "poster",
    }  # fmt: skip


def test_a_form_that_was_sent_to_a_viewer_is_the_viewers() -> None:
    link, _ = read_link(form(), {"v": write_ticket(form(), "shop", Ticket("o-77", "s-1"))})
    event = submission(form(), answers(name="小明"), link, room=ROOM, language="en", at=NOW)
    assert (event.viewer, event.session, event.name) == ("o-77", "s-1", None)
    assert event.extra is not None
    assert event.extra["consent_text"] == "I agree"


@pytest.mark.parametrize("nonce", ["", "short", "n" * 65, "a b" * 8, "é" * 20])
def test_without_a_nonce_there_is_no_submission(nonce: str) -> None:
    """It could not be told from its own repetition."""
    with pytest.raises(EventInvalid):
        submission(form(), answers(nonce=nonce), read_link(form(), {})[0], room=ROOM, language="en", at=NOW)


def test_the_trap_is_known() -> None:
    assert answers(**{TRAP: "http://spam.example"}).trapped
    assert not answers(**{TRAP: ""}).trapped


@given(
    st.lists(
        st.tuples(st.sampled_from(["name", "phone", "consent", "nonce", "message", TRAP, "x"]), st.text())
    )
)
def test_whatever_is_sent_is_answers_with_or_without_mistakes(pairs: list[tuple[str, str]]) -> None:
    sent = read_answers(pairs)
    if not mistakes_in(form(), sent, "CN"):
        assert sent.consent
        assert sent.values["phone"]


# --- limits


def test_an_address_may_send_so_often_in_a_minute_and_the_form_in_all() -> None:
    limits, few = Limits(), form(per_minute=5, per_address_per_minute=2)
    assert [limits.allow(few, "a", NOW) for _ in range(3)] == [True, True, False]
    assert [limits.allow(few, name, NOW) for name in "bbcd"] == [True, True, True, False]  # five in all
    assert limits.allow(form(id="other"), "a", NOW)  # another form's
    assert limits.allow(few, "a", NOW + 60_000)


def test_addresses_are_held_in_bounded_number() -> None:
    limits, many = Limits(), form(per_minute=100_000, per_address_per_minute=3)
    limits.MOST = 10  # so that the test is short
    taken = [limits.allow(many, str(number), NOW) for number in range(30)]
    assert sum(taken) <= 10 + 3
    assert len(limits._counts) <= 12


# --- the rest


@pytest.mark.parametrize(
    ("asked", "accept", "language"),
    [
        ("en", "zh-CN", "en"), ("zh-CN", "en", "zh-CN"), (None, "en-GB,en;q=0.9,zh;q=0.8", "en"),
        (None, "fr-FR,zh-TW;q=0.5", "zh-CN"), (None, "fr", "zh-CN"), ("xx", "", "zh-CN"),
    ],
)  # fmt: skip
def test_the_language_is_the_addresss_then_the_browsers(
    asked: str | None, accept: str, language: str
) -> None:
    assert language_of(asked, accept, "zh-CN") == language


@pytest.mark.parametrize(
    ("wrong", "word"), [({"required": ["company"], "fields": ["phone"]}, "company"), ({"link_secret": "short"}, "16"),
     ({"required": ["product"], "products": []}, "choose")]
)  # fmt: skip
def test_a_form_that_contradicts_itself_is_refused(wrong: dict[str, Any], word: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=word):
        form(**wrong)
