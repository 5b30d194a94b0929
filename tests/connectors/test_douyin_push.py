"""Douyin live data push: who may post, and what the items become."""

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontrow.core.errors import EventInvalid, SignatureInvalid
from frontrow.core.events import Event, RoomRef
from frontrow_connectors.contract import UNKNOWN, HookAnswer, HookRequest
from frontrow_connectors.douyin_push import DouyinPushOptions, DouyinPushReceiver
from frontrow_connectors.douyin_push.decoder import decode_push, milliseconds, signature

ROOM = RoomRef(id="shop", platform="douyin", room="owner-1")
SECRET = "push-secret"
NOW = 1_711_939_200_000

COMMENT = {
    "msg_id": "m-1", "sec_openid": "o-1", "content": "多少钱", "avatar_url": "", "nickname": "小明",
    "timestamp": 1_711_939_193_044,
}  # fmt: skip
LIKE = {
    "msg_id": "m-2",
    "sec_openid": "o-1",
    "like_num": 5,
    "nickname": "小明",
    "timestamp": 1_711_939_195_000,
}
GIFT = {
    "msg_id": "123456782", "sec_openid": "o-2", "sec_gift_id": "rose", "gift_num": 123, "gift_value": 10_000,
    "avatar_url": "https://example.com/a.png", "nickname": "小红", "timestamp": 1_649_068_964, "test": True,
    "audience_sec_open_id": "o-3",
}  # fmt: skip
FAN = {
    "msg_id": "m-4", "sec_openid": "o-1", "fansclub_reason_type": 2, "fansclub_level": 1, "nickname": "小明",
    "timestamp": 1_711_939_196_000,
}  # fmt: skip


def headers(
    body: bytes, *, type: str, stamp: int = NOW, secret: str = SECRET, room: str = "7001"
) -> dict[str, str]:
    """Return a request's headers, signed by the formula of the documentation, written here a second time."""
    signed = {"x-msg-type": type, "x-nonce-str": "n0nce", "x-roomid": room, "x-timestamp": str(stamp)}
    text = "&".join(f"{name}={signed[name]}" for name in sorted(signed)).encode() + body + secret.encode()
    return {
        **signed,
        "x-signature": base64.b64encode(hashlib.md5(text).digest()).decode(),
        "content-type": "application/json",
        "x-forwarded-for": "192.0.2.1",
    }


def push(items: Any, *, type: str, now: int = NOW, **options: Any) -> HookAnswer:
    body = items if isinstance(items, bytes) else msgspec.json.encode(items)
    request = HookRequest(headers=headers(body, type=type), query={}, body=body, now=now)
    return DouyinPushReceiver(DouyinPushOptions(secret=SECRET, **options), ROOM).receive(request)


def only(events: Sequence[Event]) -> Event:
    assert len(events) == 1
    return events[0]


# --- the signature


@pytest.mark.parametrize(
    ("type", "expected"),
    [("live_gift", "PDcKhdlsrKEJif6uMKD2dw=="), ("user_group", "GAkalGmhzqlUGQO/TgvMug==")],
)
def test_the_official_vectors_are_reproduced(type: str, expected: str) -> None:
    signed = {"x-nonce-str": "123456", "x-timestamp": "456789", "x-roomid": "268", "x-msg-type": type}
    assert signature(signed, "abc123你好".encode(), "123abc") == expected


def test_the_official_vector_passes_the_door_and_only_its_body_is_refused() -> None:
    """The whole way: signature and age are right, and "abc123你好" is no JSON."""
    signed = {
        "x-nonce-str": "123456", "x-timestamp": "456789", "x-roomid": "268", "x-msg-type": "live_gift",
        "x-signature": "PDcKhdlsrKEJif6uMKD2dw==",
    }  # fmt: skip
    receiver = DouyinPushReceiver(DouyinPushOptions(secret="123abc"), ROOM)
    with pytest.raises(EventInvalid):
        receiver.receive(HookRequest(headers=signed, query={}, body="abc123你好".encode(), now=456_789_000))


def test_a_signed_push_is_answered_in_the_platforms_style() -> None:
    answer = push([COMMENT], type="live_comment")
    assert answer.status == 200
    assert msgspec.json.decode(answer.body) == {"err_no": 0, "err_msg": "ok"}
    assert len(answer.events) == 1


@pytest.mark.parametrize(
    "change", ["body", "secret", "x-msg-type", "x-nonce-str", "x-roomid", "x-timestamp", "x-signature"]
)
def test_whatever_is_changed_after_signing_is_found(change: str) -> None:
    body = msgspec.json.encode([COMMENT])
    signed = headers(body, type="live_comment", secret="other" if change == "secret" else SECRET)
    if change == "body":
        body += b" "
    elif change in signed:
        signed[change] += "1"
    with pytest.raises(SignatureInvalid):
        DouyinPushReceiver(DouyinPushOptions(secret=SECRET), ROOM).receive(
            HookRequest(headers=signed, query={}, body=body, now=NOW)
        )


@pytest.mark.parametrize("missing", ["x-msg-type", "x-nonce-str", "x-roomid", "x-timestamp", "x-signature"])
def test_a_missing_header_refuses(missing: str) -> None:
    body = msgspec.json.encode([COMMENT])
    signed = headers(body, type="live_comment")
    del signed[missing]
    with pytest.raises(SignatureInvalid, match=missing):
        DouyinPushReceiver(DouyinPushOptions(secret=SECRET), ROOM).receive(
            HookRequest(headers=signed, query={}, body=body, now=NOW)
        )


@settings(deadline=None)  # a busy machine is no failure
@given(st.text(max_size=40))
def test_no_signature_whatever_breaks_the_comparison(given_signature: str) -> None:
    body = b"[]"
    signed = headers(body, type="live_comment")
    if given_signature.strip() == signed["x-signature"]:
        return
    with pytest.raises(SignatureInvalid):
        DouyinPushReceiver(DouyinPushOptions(secret=SECRET), ROOM).receive(
            HookRequest(headers=signed | {"x-signature": given_signature}, query={}, body=body, now=NOW)
        )


@pytest.mark.parametrize("late_ms", [0, 299_999, 300_000, -300_000])
def test_a_fresh_push_is_taken(late_ms: int) -> None:
    assert push([COMMENT], type="live_comment", now=NOW + late_ms).events


@pytest.mark.parametrize(("late_ms", "word"), [(300_001, "ago"), (-300_001, "ahead"), (86_400_000, "ago")])
def test_a_push_signed_too_long_ago_or_ahead_is_refused(late_ms: int, word: str) -> None:
    """Otherwise whoever once saw a push could send it again for ever."""
    with pytest.raises(SignatureInvalid, match=word):
        push([COMMENT], type="live_comment", now=NOW + late_ms)


def test_the_age_that_is_allowed_is_configured() -> None:
    assert push([COMMENT], type="live_comment", now=NOW + 3_000_000, max_age_s=3_600).events


def test_a_timestamp_in_seconds_is_understood() -> None:
    body = msgspec.json.encode([COMMENT])
    request = HookRequest(
        headers=headers(body, type="live_comment", stamp=NOW // 1_000), query={}, body=body, now=NOW + 2_000
    )
    assert DouyinPushReceiver(DouyinPushOptions(secret=SECRET), ROOM).receive(request).events


@pytest.mark.parametrize("stamp", ["", "now", "-5", "1e12", "1" * 17, "１７１１９３９２０００００"])
def test_a_timestamp_that_is_no_number_is_refused(stamp: str) -> None:
    body = b"[]"
    signed = headers(body, type="live_comment") | {"x-timestamp": stamp}
    signed["x-signature"] = signature(signed, body, SECRET)
    with pytest.raises(SignatureInvalid):
        DouyinPushReceiver(DouyinPushOptions(secret=SECRET), ROOM).receive(
            HookRequest(headers=signed, query={}, body=body, now=NOW)
        )


@pytest.mark.parametrize(
    ("stamp", "expected"), [(1_649_068_964, 1_649_068_964_000), (1_711_939_193_044,) * 2]
)
def test_seconds_and_milliseconds_are_told_apart(stamp: int, expected: int) -> None:
    assert milliseconds(stamp) == expected


# --- the items


def test_a_comment() -> None:
    assert only(push([COMMENT], type="live_comment").events) == Event(
        id="m-1", platform="douyin", room="owner-1", session="7001", kind="comment", at=1_711_939_193_044,
        viewer="o-1", name="小明", text="多少钱",
    )  # fmt: skip


def test_a_like_counts_its_clicks() -> None:
    assert only(push([LIKE], type="live_like").events) == Event(
        id="m-2", platform="douyin", room="owner-1", session="7001", kind="like", at=1_711_939_195_000,
        viewer="o-1", name="小明", count=5,
    )  # fmt: skip


def test_a_gifts_value_is_the_total_in_fen_and_test_data_is_marked() -> None:
    """The sample of the documentation: `gift_value` is for all 123 of them, the time is in seconds."""
    assert only(push([GIFT], type="live_gift").events) == Event(
        id="123456782", platform="douyin", room="owner-1", session="7001", kind="gift", at=1_649_068_964_000,
        viewer="o-2", name="小红", gift="rose", count=123, value=10_000, currency="CNY", test=True,
        extra={"avatar_url": "https://example.com/a.png", "audience_sec_open_id": "o-3"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "fan", "extra"),
    [
        (1, True, {"fansclub_reason_type": 1}),
        (2, True, {"fansclub_reason_type": 2}),
        (16, False, {"fansclub_reason_type": 16, "reason": "quit"}),
        (9, None, {"fansclub_reason_type": 9}),
    ],
)
def test_who_joins_rises_in_or_leaves_the_fan_club(
    reason: int, fan: bool | None, extra: dict[str, Any]
) -> None:
    made = only(push([{**FAN, "fansclub_reason_type": reason}], type="live_fansclub").events)
    assert (made.kind, made.level, made.fan, made.extra) == ("fan_club", 1, fan, extra)


def test_a_type_that_is_not_known_is_kept_whole() -> None:
    item = {"msg_id": "m-9", "sec_openid": "o-1", "timestamp": 1_711_939_196_000, "group": "red"}
    made = only(push([item], type="user_group").events)
    assert (made.kind, made.id, made.at, made.viewer, made.session) == (
        UNKNOWN, "m-9", 1_711_939_196_000, "o-1", "7001",
    )  # fmt: skip
    assert made.extra == {"type": "user_group", "message": item}


def test_an_unknown_item_without_id_and_time_gets_the_same_id_again() -> None:
    one, two = (only(push([item], type="new").events) for item in ({"a": 1, "b": 2}, {"b": 2, "a": 1}))
    assert one == two
    assert one.at == NOW
    assert only(push([{"a": 2}], type="new").events).id != one.id


def test_test_data_of_an_unknown_type_is_marked_too() -> None:
    assert only(push([{"msg_id": "t", "test": True}], type="new").events).test


def test_numeric_ids_become_text() -> None:
    made = only(push([{**COMMENT, "msg_id": 2**63, "sec_openid": 7}], type="live_comment").events)
    assert (made.id, made.viewer) == (str(2**63), "7")


def test_a_comment_without_a_viewer_is_kept() -> None:
    item = {**COMMENT, "sec_openid": ""}
    assert only(push([item], type="live_comment").events).viewer is None


def test_a_name_beyond_the_bound_is_cut_since_it_is_only_a_label() -> None:
    made = only(push([{**COMMENT, "nickname": "长" * 300}], type="live_comment").events)
    assert made.name == "长" * 256


@pytest.mark.parametrize(
    ("type", "bad"),
    [
        ("live_comment", {**COMMENT, "content": None}),
        ("live_comment", {**COMMENT, "content": "x" * 5_000}),
        ("live_comment", {key: value for key, value in COMMENT.items() if key != "content"}),
        ("live_comment", {**COMMENT, "msg_id": ""}),
        ("live_comment", {**COMMENT, "msg_id": True}),
        ("live_comment", {**COMMENT, "timestamp": None}),
        ("live_comment", {**COMMENT, "timestamp": 5}),
        ("live_comment", {**COMMENT, "timestamp": 1e30}),
        ("live_comment", {**COMMENT, "sec_openid": {}}),
        ("live_comment", {**COMMENT, "test": "yes"}),
        ("live_comment", "text"),
        ("live_comment", None),
        ("live_like", {**LIKE, "like_num": -1}),
        ("live_like", {**LIKE, "like_num": "5"}),
        ("live_gift", {**GIFT, "gift_value": 1.5}),
        ("live_gift", {**GIFT, "gift_num": True}),
    ],
)
def test_a_bad_item_is_rejected_by_position_and_the_others_are_taken(type: str, bad: Any) -> None:
    good = {"live_comment": COMMENT, "live_like": LIKE, "live_gift": GIFT}[type]
    answer = push([good, bad, {**good, "msg_id": "m-99"}], type=type)
    assert [each.id for each in answer.events] == [good["msg_id"], "m-99"]
    assert len(answer.rejected) == 1
    assert answer.rejected[0].startswith("item 1: ")
    assert "多少钱" not in answer.rejected[0]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"msg_id":"m"}', b"[", b"null", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_array_is_refused_whole(body: bytes) -> None:
    with pytest.raises(EventInvalid):
        push(body, type="live_comment")


def test_an_empty_array_is_fine() -> None:
    answer = push([], type="live_comment")
    assert not answer.events
    assert answer.status == 200


Json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*COMMENT, *LIKE, *GIFT, *FAN]), inner, max_size=8)
    ),
    max_leaves=12,
)
Items = st.lists(
    st.one_of(Json, *(st.dictionaries(st.sampled_from(list(base)), Json, max_size=3).map(base.__or__) for base in (COMMENT, LIKE, GIFT, FAN))),
    max_size=4,
)  # fmt: skip


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.binary(max_size=100) | Items.map(msgspec.json.encode),
    st.sampled_from(["live_comment", "live_like", "live_gift", "live_fansclub", "other"]),
)
def test_no_body_whatever_breaks_the_decoder_and_what_it_gives_can_be_stored(body: bytes, type: str) -> None:
    try:
        batch = decode_push(body, type=type, session="s", room=ROOM, now=NOW)
    except EventInvalid:
        return
    assert len(batch.events) + len(batch.rejected) == len(msgspec.json.decode(body))
    for made in batch.events:
        assert msgspec.json.decode(msgspec.json.encode(made), type=Event) == made
        assert (made.platform, made.room, made.session) == ("douyin", "owner-1", "s")
