"""EventSub messages → what the client must do, and canonical events. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from frontrow.core.errors import EventInvalid
from frontrow.core.events import EARLIEST_MS, LATEST_MS, MAX_ID, MAX_NAME, Event, RoomRef, convert_event
from frontrow_connectors.contract import unknown_event
from frontrow_connectors.twitch import bits, milliseconds, standing, subscription


@dataclass(frozen=True, slots=True)
class Welcome:
    """The connection is open: subscribe with ``session_id``; silence longer than ``keepalive_s`` means it is lost."""

    session_id: str
    keepalive_s: float


@dataclass(frozen=True, slots=True)
class Keepalive:
    """A sign of life."""


@dataclass(frozen=True, slots=True)
class Move:
    """Open ``url``, and leave this connection once that one has said welcome."""

    url: str


@dataclass(frozen=True, slots=True)
class Revoked:
    """A subscription is gone; ``reason`` is Twitch's word for why."""

    type: str
    reason: str


@dataclass(frozen=True, slots=True)
class Notified:
    """What a notification (or a message of a type that we do not know) became."""

    events: list[Event] = field(default_factory=list)


Message = Welcome | Keepalive | Move | Revoked | Notified


@dataclass(frozen=True, slots=True)
class Room:
    """What mapping needs beside the message: the room, arrival in ms, and whether chat's cheers are its gifts."""

    ref: RoomRef
    now: int
    bits_in_chat: bool = False


def decode_message(data: str | bytes, room: Room) -> Message:
    """Return what one WebSocket message says.

    Raises:
        EventInvalid: It cannot be read; the connection goes on.
    """
    try:
        envelope = _ENVELOPE.decode(data)
        match envelope.metadata.message_type:
            case "session_welcome":
                session = _SESSION.decode(envelope.payload).session
                return Welcome(session.id, float(session.keepalive_timeout_seconds or _KEEPALIVE_S))
            case "session_keepalive":
                return Keepalive()
            case "session_reconnect":
                return Move(_SESSION.decode(envelope.payload).session.reconnect_url or "")
            case "revocation":
                gone = _REVOCATION.decode(envelope.payload).subscription
                return Revoked(gone.type, gone.status)
            case "notification":
                return Notified(_notification(envelope, room))
            case other:
                return Notified([_unknown(envelope, room, other)])
    except _UNREADABLE as error:
        # msgspec's messages name types, places and bounds, never the values.
        raise EventInvalid(f"not a message of EventSub: {error}") from error


class _Metadata(msgspec.Struct):
    message_id: str
    message_type: str
    message_timestamp: str = ""
    subscription_type: str = ""


class _Envelope(msgspec.Struct):
    metadata: _Metadata
    payload: msgspec.Raw = msgspec.Raw(b"{}")


class _Session(msgspec.Struct):
    id: str
    keepalive_timeout_seconds: float | None = None
    reconnect_url: str | None = None


class _SessionPayload(msgspec.Struct):
    session: _Session


class _Subscription(msgspec.Struct):
    type: str
    status: str = "unknown"


class _RevocationPayload(msgspec.Struct):
    subscription: _Subscription


class _EventPayload(msgspec.Struct):
    event: dict[str, Any]


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_SESSION = msgspec.json.Decoder(_SessionPayload)
_REVOCATION = msgspec.json.Decoder(_RevocationPayload)
_EVENT = msgspec.json.Decoder(_EventPayload)
_ANY = msgspec.json.Decoder()
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError)
_KEEPALIVE_S = 10  # Twitch's default


def _notification(envelope: _Envelope, room: Room) -> list[Event]:
    mapper = _MAPPERS.get(envelope.metadata.subscription_type)
    if mapper is None:
        return [_unknown(envelope, room, envelope.metadata.subscription_type)]
    fields = _Fields(_EVENT.decode(envelope.payload).event, envelope.metadata, room)
    try:
        if fields.elsewhere():
            return [_unknown(envelope, room, "shared_chat")]
        return mapper(fields)
    except EventInvalid as error:
        raise EventInvalid(f"{envelope.metadata.subscription_type}: {error}") from error


def _unknown(envelope: _Envelope, room: Room, type: str) -> Event:
    metadata = envelope.metadata
    if not 0 < len(metadata.message_id) <= MAX_ID:
        raise EventInvalid("a message without a usable id")
    try:
        at = milliseconds(metadata.message_timestamp)
    except EventInvalid:
        at = room.now
    return unknown_event(
        id=metadata.message_id,
        room=room.ref,
        at=at if EARLIEST_MS <= at <= LATEST_MS else room.now,
        type=type,
        message=_ANY.decode(envelope.payload),
    )


class _Fields:
    """A notification's ``event``, read with checked types, and the event's fields that all kinds share."""

    def __init__(self, data: dict[str, Any], metadata: _Metadata, room: Room) -> None:
        self.data = data
        self.id = metadata.message_id
        self.room = room
        self._sent = metadata.message_timestamp
        self._used = {"broadcaster_user_id", "broadcaster_user_login", "broadcaster_user_name"}

    def text(self, name: str) -> str | None:
        value = self._value(name)
        if value is not None and not isinstance(value, str):
            raise EventInvalid(f"{name!r} is not text")
        return value

    def number(self, name: str) -> int:
        value = self._value(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise EventInvalid(f"{name!r} is not a whole number")
        return value

    def flag(self, name: str) -> bool:
        return self._value(name) is True

    def under(self, name: str) -> "_Fields":
        """Return the same reader over a nested object; an absent one is empty."""
        value = self._value(name)
        nested = _Fields(value if isinstance(value, dict) else {}, _Metadata(self.id, ""), self.room)
        nested._sent = self._sent
        return nested

    def elsewhere(self) -> bool:
        """Return whether this was said in another channel that shares its chat with ours."""
        source = self.data.get("source_broadcaster_user_id")
        return source is not None and source != self.data.get("broadcaster_user_id")

    def badges(self) -> list[str]:
        badges = self._value("badges")
        sets = (
            [badge.get("set_id") for badge in badges if isinstance(badge, dict)]
            if isinstance(badges, list)
            else []
        )
        return [name for name in sets if isinstance(name, str)]

    def event(
        self, kind: str, *, id: str | None = None, who: str = "user", since: str = "", **fields: Any
    ) -> Event:
        """Return the event; ``who`` begins the names of the viewer's fields, ``since`` names the time's field."""
        viewer, login, name = self.text(f"{who}_id"), self.text(f"{who}_login"), self.text(f"{who}_name")
        label = name or login
        at = (self.text(since) if since else None) or self._sent
        extra = {
            key: value for key, value in self.data.items() if key not in self._used and value is not None
        }
        return convert_event({
            "id": id or self.id,
            "platform": self.room.ref.platform,
            "room": self.room.ref.room,
            "kind": kind,
            "at": milliseconds(at) if at else self.room.now,
            "viewer": viewer or None,
            "name": label[:MAX_NAME] if label else None,
            "extra": extra or None,
            **fields,
        })  # fmt: skip

    def _value(self, name: str) -> Any:
        self._used.add(name)
        return self.data.get(name)


def _chat(fields: _Fields) -> list[Event]:
    id = fields.text("message_id") or fields.id  # the same id as on IRC
    text = fields.under("message").text("text")  # its `fragments` say the same again
    sender = standing(fields.badges())
    cheer = fields.under("cheer")
    events = [fields.event("comment", id=id, who="chatter_user", text=text, **sender)]
    if fields.room.bits_in_chat and cheer.data:
        events.append(
            fields.event("gift", id=f"{id}-bits", who="chatter_user", **bits(cheer.number("bits")), **sender)
        )
    return events


def _cheer(fields: _Fields) -> list[Event]:
    return [fields.event("gift", **bits(fields.number("bits")))]


def _subscribed(fields: _Fields) -> list[Event]:
    plan = fields.text("tier") or ""
    if fields.flag("is_gift"):  # the giver's order comes as channel.subscription.gift
        return [fields.event("fan_club", fan=True)]
    return [fields.event("order_paid", fan=True, **subscription(plan, renewal=False))]


def _resubscribed(fields: _Fields) -> list[Event]:
    text = fields.under("message").text("text")
    plan, months = fields.text("tier") or "", fields.number("cumulative_months")
    events: list[Event] = []
    if months > 1:  # the first month comes as channel.subscribe
        events.append(fields.event("order_paid", fan=True, **subscription(plan, renewal=True)))
    if text or not events:
        events.append(fields.event("comment", id=f"{fields.id}-comment", text=text or "", fan=True))
    return events


def _gifted(fields: _Fields) -> list[Event]:
    return [
        fields.event("order_paid", **subscription(fields.text("tier") or "", gifted=fields.number("total")))
    ]


def _follow(fields: _Fields) -> list[Event]:
    return [fields.event("follow", since="followed_at")]


def _online(fields: _Fields) -> list[Event]:
    return [fields.event("room_start", since="started_at")]


def _offline(fields: _Fields) -> list[Event]:
    return [fields.event("room_end")]


# channel.raid has no place among the canonical kinds and is kept as unknown on purpose.
_MAPPERS: Mapping[str, Callable[[_Fields], list[Event]]] = {
    "channel.chat.message": _chat,
    "channel.cheer": _cheer,
    "channel.bits.use": _cheer,
    "channel.subscribe": _subscribed,
    "channel.subscription.message": _resubscribed,
    "channel.subscription.gift": _gifted,
    "channel.follow": _follow,
    "stream.online": _online,
    "stream.offline": _offline,
}
