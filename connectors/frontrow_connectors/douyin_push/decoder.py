"""The signature and the payloads of Douyin's live data push. Pure.

Source: developer.open-douyin.com, interaction/develop/server/live (danmu; live-room-scope/data-open; audience-play).
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from frontrow.core.errors import EventInvalid
from frontrow.core.events import MAX_ID, MAX_NAME, Batch, Event, Rejected, RoomRef, convert_event
from frontrow_connectors.contract import unknown_event

# Exactly the documented ones: a proxy may add others that begin with `x-` (x-forwarded-for), which were not signed.
SIGNED_HEADERS = ("x-msg-type", "x-nonce-str", "x-roomid", "x-timestamp")

# Seconds reach this in the year 5138, milliseconds in March 1973, so it tells the two units apart.
MILLISECONDS_FROM = 100_000_000_000

_QUIT = 16  # fansclub_reason_type of one who leaves the fan club; seen in use, not documented
_COMMON = frozenset({"msg_id", "sec_openid", "nickname", "timestamp", "test"})

_BODY = msgspec.json.Decoder(list[Any])


def signature(headers: Mapping[str, str], body: bytes, secret: str) -> str:
    """Return what ``x-signature`` must be: Base64 of MD5 over the sorted signed headers, the raw body and the secret.

    ``headers`` has lower-case names and all of :data:`SIGNED_HEADERS`. MD5 is what the platform signs with.
    """
    signed = "&".join(f"{name}={headers[name]}" for name in SIGNED_HEADERS)
    digest = hashlib.md5(signed.encode() + body + secret.encode(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")


def milliseconds(stamp: int) -> int:
    """Return a time that came in seconds or in milliseconds in milliseconds, told apart by magnitude."""
    return stamp if stamp >= MILLISECONDS_FROM else stamp * 1_000


def decode_push(body: bytes, *, type: str, session: str, room: RoomRef, now: int) -> Batch:
    """Return the events of one push: items of one ``type``, of the broadcast ``session``.

    A bad item is rejected by position and the others are taken. Items of a type that is not known are kept whole; they
    are at ``now`` where they have no time.

    Raises:
        EventInvalid: The body is not a JSON array.
    """
    try:
        items = _BODY.decode(body)
    except msgspec.ValidationError as error:
        raise EventInvalid("the body is not a JSON array") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EventInvalid(f"the body is not JSON: {error}") from error
    events: list[Event] = []
    rejected: list[Rejected] = []
    for index, item in enumerate(items):
        try:
            if not isinstance(item, dict):
                raise EventInvalid("an item that is not an object")
            events.append(_decode_item(item, type=type, session=session, room=room, now=now))
        except EventInvalid as error:
            rejected.append(Rejected(index, str(error)))
    return Batch(events, rejected)


def _decode_item(item: dict[str, Any], *, type: str, session: str, room: RoomRef, now: int) -> Event:
    mapped = _MAPPINGS.get(type)
    if mapped is None:
        return _keep_unknown(item, type=type, session=session, room=room, now=now)
    kind, own, names = mapped
    fields: dict[str, Any] = {
        "id": _text_id(item, "msg_id"),
        "platform": room.platform,
        "room": room.room,
        "session": session,
        "kind": kind,
        "at": _at(item),
        "test": item.get("test") or False,
    }
    if item.get("sec_openid") not in (None, ""):
        fields["viewer"] = _text_id(item, "sec_openid")
    name = item.get("nickname")
    if isinstance(name, str) and name:
        fields["name"] = name[:MAX_NAME]  # a label only, so cutting it is better than losing the event
    for field, source in names.items():
        if source not in item:
            raise EventInvalid(f"a {type} without {source!r}")
        fields[field] = item[source]
    rest = {
        key: value
        for key, value in item.items()
        if key not in _COMMON and key not in names.values() and value not in (None, "")
    }
    fields |= own
    if type == "live_fansclub":
        fields |= _fan_club(item, rest)
    if rest:
        fields["extra"] = rest
    return convert_event(fields)


# type → kind, fixed fields, and the event's field for each of the platform's that must be there
_MAPPINGS: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    "live_comment": ("comment", {}, {"text": "content"}),
    "live_like": ("like", {}, {"count": "like_num"}),
    # `gift_value` is documented as the total of the item's gifts, in 分.
    "live_gift": (
        "gift",
        {"currency": "CNY"},
        {"gift": "sec_gift_id", "count": "gift_num", "value": "gift_value"},
    ),
    "live_fansclub": ("fan_club", {}, {"level": "fansclub_level"}),
}


def _fan_club(item: dict[str, Any], rest: dict[str, Any]) -> dict[str, Any]:
    """Return what the platform says of the viewer: a fan by joining (2) or a higher level (1), no longer one by 16."""
    reason = item.get("fansclub_reason_type")
    if reason == _QUIT:
        rest["reason"] = "quit"
        return {"fan": False}
    return {"fan": True} if reason in (1, 2) else {}


def _keep_unknown(item: dict[str, Any], *, type: str, session: str, room: RoomRef, now: int) -> Event:
    try:
        key = _text_id(item, "msg_id")
    except EventInvalid:
        key = f"{type[:64]}-" + hashlib.sha256(msgspec.json.encode(item, order="sorted")).hexdigest()[:32]
    try:
        at = _at(item)
    except EventInvalid:
        at = now
    viewer = item.get("sec_openid")
    event = unknown_event(
        id=key,
        room=room,
        at=at,
        type=type,
        message=item,
        viewer=viewer if isinstance(viewer, str) and 0 < len(viewer) <= MAX_ID else None,
    )
    # Through the same gate as every event: whatever it is, it can be stored and read back.
    fields = msgspec.structs.asdict(event) | {"session": session, "test": item.get("test") is True}
    return convert_event({name: value for name, value in fields.items() if value is not None})


def _text_id(item: dict[str, Any], name: str) -> str:
    """Return an id as text: the platform's are 64-bit numbers or strings, depending on the type and its age."""
    value = item.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value:
        raise EventInvalid(f"an item without a usable {name!r}")
    return value


def _at(item: dict[str, Any]) -> int:
    value = item.get("timestamp")
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 16:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise EventInvalid("an item without a usable 'timestamp'")
    return milliseconds(value)
