"""Every decoder under bytes that nobody should send: events or a counted refusal, never anything else.

What comes out must also get through the intake: it is prepared, stored and read back here as the daemon does.
"""

import io
import json
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import brotli
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from frontrow.core.errors import EventInvalid, SignatureInvalid
from frontrow.core.events import Event, RoomRef, decode_event, encode_event
from frontrow.core.frames import Frame
from frontrow.telemetry.metrics import reason_class
from frontrow_connectors.bilibili import decoder as bilibili
from frontrow_connectors.canonical import decode_frame, decode_payload, decode_plain
from frontrow_connectors.contract import HookRequest
from frontrow_connectors.douyin_push import DouyinPushOptions, DouyinPushReceiver
from frontrow_connectors.douyin_push.decoder import SIGNED_HEADERS, decode_push, signature
from frontrow_connectors.file.decoder import FileReject, read_batches, read_frames
from frontrow_connectors.form import FormOptions, FormReceiver
from frontrow_connectors.mqtt import decoder as mqtt
from frontrow_connectors.twitch_eventsub import decoder as eventsub
from frontrow_connectors.twitch_irc import decoder as irc
from frontrow_connectors.websocket import decoder as websocket
from tests.support import hostile
from tests.support.preparing import prepare
from tests.support.rooms import lexicon

ROOM = RoomRef(id="demo", platform="test", room="r1")
NOW = 1_750_000_000_000
SECRET = "s3cret"

Outcome = tuple[Sequence[Event], Sequence[str]]  # what was taken, and why the rest was not


def of_file(data: bytes) -> Outcome:
    rejects: list[FileReject] = []
    batches = read_batches(io.BufferedReader(io.BytesIO(data)), file="f", on_reject=rejects.append)
    events = [event for batch in batches for event in batch]
    again: list[FileReject] = []
    frames = read_frames(io.BufferedReader(io.BytesIO(data)), file="f", on_reject=again.append)
    assert repr(Frame.joined(frames)) == repr(Frame.joined([Frame.of(events)]))
    assert again == rejects
    return events, [reject.reason for reject in rejects]


def of_payload(data: bytes) -> Outcome:
    frame = decode_frame(data, ROOM)  # columns at once, or nothing is said of any of it
    batch = decode_payload(data, ROOM)
    if frame is not None:
        assert repr(frame) == repr(Frame.of(batch.events))
        assert not batch.rejected
    return batch.events, [each.reason for each in batch.rejected]


def of_many(data: bytes) -> Outcome:
    payloads = [data, data]
    events = decode_plain(payloads, ROOM)
    if events is None:
        return [], ["looked at one by one"]
    assert events == [decode_event(each) for each in payloads]
    return events, []


def of_websocket(data: bytes) -> Outcome:
    message = websocket.decode_message(data, ROOM, NOW)
    return message.batch.events, [each.reason for each in message.batch.rejected]


def of_mqtt(data: bytes) -> Outcome:
    batch = mqtt.decode_message(data, ROOM, max_bytes=1_048_576)
    return batch.events, [each.reason for each in batch.rejected]


def of_bilibili(data: bytes) -> Outcome:
    decoded = bilibili.decode_frame(data, bilibili.Room(ROOM, "host", NOW))
    return decoded.events, decoded.rejected


def of_irc(data: bytes) -> Outcome:
    decoded = irc.decode_frame(data, irc.Room(ROOM, "channel", "own", NOW))
    return decoded.events, decoded.rejected


def of_eventsub(data: bytes) -> Outcome:
    message = eventsub.decode_message(data, eventsub.Room(ROOM, NOW, bits_in_chat=True))
    return message.events if isinstance(message, eventsub.Notified) else [], []


def of_douyin(data: bytes) -> Outcome:
    events: list[Event] = []
    reasons: list[str] = []
    for type in ("live_comment", "live_like", "live_gift", "live_fansclub", "live_unheard_of"):
        batch = decode_push(data, type=type, session="s", room=ROOM, now=NOW)
        events += batch.events
        reasons += [each.reason for each in batch.rejected]
    return events, reasons


FORM = FormReceiver(
    FormOptions(
        signature="none", form="f", entry_id="$.id", viewer="$.viewer", name="$.name", at=("$.at", "$.other[0]"),
        product="$.product", host="$.host", consent="$.ok", consent_text="text", lead_channel="c",
        fields={"phone": ("$.phone", "$.answers[?@.k=='x'].v"), "all": "$.answers[*]"},
    ),
    ROOM,
)  # fmt: skip


def of_form(data: bytes) -> Outcome:
    request = HookRequest(headers={}, query={}, body=data, now=NOW, from_here=True)
    return FORM.receive(request).events, []


DECODERS: Mapping[str, Callable[[bytes], Outcome]] = {
    "bilibili": of_bilibili,
    "douyin": of_douyin,
    "eventsub": of_eventsub,
    "file": of_file,
    "form": of_form,
    "irc": of_irc,
    "many": of_many,
    "mqtt": of_mqtt,
    "payload": of_payload,
    "websocket": of_websocket,
}


def check(decode: Callable[[bytes], Outcome], data: bytes) -> Outcome:
    """Decode, and let the daemon's next steps follow: none may fail, and no reason may be long."""
    try:
        events, reasons = decode(data)
    except EventInvalid as error:
        events, reasons = [], [str(error)]
    assert all(len(reason) < 300 for reason in reasons)
    for event in events:
        prepare(event, lexicon(), "CN")
        assert decode_event(encode_event(event)).id == event.id
    return events, reasons


# --- what platforms send, with other things in it

ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        None, True, False, 0, -1, 1, 12.0, 0.5, 2**31, 2**53 + 1, 2**64, -(10**30), 1e308, "", "x", "5", "v" * 300,
        "\0", "\u202e", "\x1b[2J", "多少钱", [], [1], {}, {"a": {"b": []}}, 1_750_000_000, NOW, "2025-06-15T15:06:40Z",
        "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+00:00", "2025-06-15T15:06:40.123456789-23:59",
    ]
)  # fmt: skip


def objects(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, ODD))


def pack_bilibili(message: Any, version: int, lie: int) -> bytes:
    body = json.dumps(message).encode()
    frame = bilibili.packet(5, body, version=0)
    if version == 2:
        frame = bilibili.packet(5, zlib.compress(frame), version=2)
    elif version == 3:
        frame = bilibili.packet(5, brotli.compress(frame, quality=1), version=3)
    return struct.pack(">I", len(frame) + lie) + frame[4:] if lie else frame


Bilibili = st.builds(
    pack_bilibili,
    st.fixed_dictionaries(
        {
            "cmd": st.sampled_from([f"LIVE_OPEN_PLATFORM_{name}" for name in (
                "DM", "DM_MIRROR", "SEND_GIFT", "SUPER_CHAT", "GUARD", "LIKE", "LIVE_ROOM_ENTER", "LIVE_START",
                "LIVE_END", "INTERACTION_END", "NEW",
            )]),
            "data": ODD | objects(
                "msg_id", "open_id", "uid", "uname", "msg", "timestamp", "start_time", "gift_num", "gift_name",
                "r_price", "price", "paid", "message_id", "rmb", "message", "user_info", "guard_level", "guard_num",
                "like_count", "is_admin", "fans_medal_level", "game_id", "extra",
            ),
        }
    ),
    st.sampled_from([0, 2, 3]),
    st.sampled_from([0, 0, 0, 0, -1, 1, 2**31]),
)  # fmt: skip

Douyin = st.lists(
    ODD
    | objects(
        "msg_id", "sec_openid", "nickname", "timestamp", "test", "content", "like_num", "sec_gift_id", "gift_num",
        "gift_value", "fansclub_level", "fansclub_reason_type", "new",
    ),
    max_size=3,
).map(lambda items: json.dumps(items).encode())  # fmt: skip

Form = objects(
    "id", "viewer", "name", "at", "other", "product", "host", "ok", "phone", "answers", "channel", "consent_text",
).map(lambda message: json.dumps(message).encode())  # fmt: skip

EventSub = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries(
            {
                "message_id": st.just("m1") | ODD,
                "message_type": st.sampled_from(["notification"] * 5 + ["session_welcome", "revocation", "new"]),
                "message_timestamp": st.sampled_from(["2025-06-15T15:06:40Z", "0001-01-01T00:00:00Z", "x", ""]),
                "subscription_type": st.sampled_from([*eventsub._MAPPERS, "channel.new"]),
            }
        ),
        "payload": st.fixed_dictionaries(
            {
                "session": ODD | objects("id", "keepalive_timeout_seconds", "reconnect_url"),
                "subscription": ODD | objects("type", "status"),
                "event": objects(
                    "message_id", "message", "badges", "cheer", "chatter_user_id", "chatter_user_name", "bits", "tier",
                    "is_gift", "cumulative_months", "total", "followed_at", "started_at", "user_id", "user_name",
                    "source_broadcaster_user_id", "broadcaster_user_id",
                ),
            }
        ),
    }
).map(lambda message: json.dumps(message).encode())  # fmt: skip

Irc = st.builds(
    lambda tags, command, words: f"@{tags} :n!n@n {command} #channel {words}".encode("utf-8", "surrogatepass"),
    st.dictionaries(
        st.sampled_from([
            "id", "user-id", "display-name", "login", "tmi-sent-ts", "badges", "bits", "msg-id", "room-id",
            "source-room-id", "msg-param-sub-plan", "msg-param-mass-gift-count", "msg-param-gift-months",
            "msg-param-cumulative-months", "msg-param-recipient-id", "system-msg", "new",
        ]),
        st.sampled_from([
            "", "0", "1", "-1", "9" * 15, "9" * 400, "٣", "1e9", "x\\s\\:", "\\", "\0", "v" * 300, "1000", "sub", "resub",
            "subgift", "submysterygift", "1750000000000", "broadcaster/1,moderator", "\x1b[2J",
        ]),
    ).map(lambda tags: ";".join(f"{key}={value}" for key, value in tags.items())),
    st.sampled_from(["PRIVMSG", "USERNOTICE", "JOIN", "PART", "NOTICE", "CLEARCHAT", "RECONNECT", "NEW"]),
    st.sampled_from(["", ":", ":hi", ":\0", ":" + "t" * 5_000, ":\x01ACTION waves\x01"]),
)  # fmt: skip

Canonical = st.sampled_from([*hostile.corpus("refused"), *hostile.corpus("kept")])
Envelope = st.builds(
    lambda seq, events: b'{"type":"events","seq":%s,"events":%s}' % (json.dumps(seq).encode(), events),
    ODD,
    st.lists(Canonical, max_size=3).map(lambda each: b"[" + b",".join(each) + b"]") | Canonical,
)
SHAPED: Mapping[str, st.SearchStrategy[bytes]] = {
    "bilibili": Bilibili,
    "douyin": Douyin,
    "eventsub": EventSub,
    "file": st.lists(Canonical, max_size=4).map(b"\n".join),
    "form": Form,
    "irc": st.lists(Irc, max_size=3).map(b"\r\n".join),
    "many": Canonical,
    "mqtt": Canonical,
    "payload": st.lists(Canonical, max_size=4).map(b"\n".join),
    "websocket": Canonical | Envelope,
}


@pytest.mark.parametrize("name", sorted(DECODERS))
@settings(deadline=None, max_examples=150)  # a busy machine is no failure
@example(data=b"")
@example(data=b"[" * 100_000)
@example(data=b"\xef\xbb\xbf")
@example(data="多少钱".encode("gbk"))
@given(data=st.binary(max_size=300))
def test_bytes_of_no_shape_are_refused_and_never_fail(name: str, data: bytes) -> None:
    check(DECODERS[name], data)


@pytest.mark.parametrize("name", sorted(DECODERS))
def test_messages_of_the_right_shape_with_wrong_things_in_them_never_fail(name: str) -> None:
    taken = 0

    @settings(deadline=None, max_examples=250)
    @given(SHAPED[name])
    def run(data: bytes) -> None:
        nonlocal taken
        taken += len(check(DECODERS[name], data)[0])

    run()
    assert taken > 10, "the test must get through to events, or it shows nothing"


@pytest.mark.parametrize("name", sorted(DECODERS))
@pytest.mark.parametrize("what", sorted(hostile.too_large()))
def test_what_is_too_large_is_refused_by_every_decoder(name: str, what: str) -> None:
    events, _ = check(DECODERS[name], hostile.too_large()[what])
    assert all(event.kind == "unknown" for event in events)


@pytest.mark.parametrize("levels", [33, 400, 900, 5_000])
def test_a_message_of_unknown_type_that_nests_without_end_can_be_stored(levels: int) -> None:
    """It is kept whole as far as it can be read back, on whatever depth of the stack it was decoded."""
    nested = b'{"a":' * levels + b"1" + b"}" * levels
    message = b'{"cmd":"LIVE_OPEN_PLATFORM_NEW","data":{"msg_id":"1","new":' + nested + b"}}"
    check(of_bilibili, bilibili.packet(5, message, version=0))
    check(of_douyin, b'[{"msg_id":"1","timestamp":1750000000000,"content":"x","new":' + nested + b"}]")
    check(of_form, b'{"id":"1","answers":' + nested + b"}")
    check(of_websocket, b'{"type":"new","data":' + nested + b"}")
    metadata = b'"metadata":{"message_id":"1","message_type":"notification","subscription_type":"new"}'
    check(of_eventsub, b"{" + metadata + b',"payload":{"event":' + nested + b"}}")


def test_a_small_frame_that_unpacks_to_much_is_cut_at_its_budget() -> None:
    big = bilibili.packet(5, b'{"cmd":"x","pad":"' + b" " * 30_000_000 + b'"}', version=0)
    for version, packed in ((2, zlib.compress(big)), (3, brotli.compress(big, quality=1))):
        events, reasons = check(of_bilibili, bilibili.packet(5, packed, version=version))
        assert not events
        assert "a compressed packet that is cut, damaged or too large" in reasons


def test_headers_of_a_webhook_are_hostile_as_well() -> None:
    receiver = DouyinPushReceiver(DouyinPushOptions(secret=SECRET), ROOM)
    for value in ("", "\0", "9" * 5_000, "-1", "１７５０", "x" * 300, "\xff", "1e400", "nan"):
        for name in (*SIGNED_HEADERS, "x-signature"):
            headers = {
                "x-msg-type": "live_like", "x-nonce-str": "n", "x-roomid": "s", "x-timestamp": str(NOW // 1_000),
                name: value,
            }  # fmt: skip
            try:
                headers.setdefault("x-signature", signature(headers, b"[]", SECRET))
                receiver.receive(HookRequest(headers, {}, b"[]", NOW))
            except (SignatureInvalid, EventInvalid):
                continue


@pytest.mark.parametrize("name", sorted(DECODERS))
def test_reasons_fall_into_few_classes_whatever_is_sent(name: str) -> None:
    """Each class is a series of the metrics and a line of the log; a sender must not be able to make them."""
    classes: set[str] = set()

    @settings(deadline=None, max_examples=300)
    @given(SHAPED[name] | st.binary(max_size=100))
    def run(data: bytes) -> None:
        classes.update(map(reason_class, check(DECODERS[name], data)[1]))

    run()
    assert len(classes) < 60, sorted(classes)
    assert all(each.isascii() and each.isprintable() for each in classes)
