"""Bilibili Open-Live on the wire: signed requests, binary frames, messages → canonical events. Pure.

A frame is a row of packets: a header of 16 bytes, big-endian (u32 packet length with the header, u16 header length,
u16 body version, u32 operation, u32 sequence), then the body. Versions 2 (zlib) and 3 (brotli) hold packets again.
Nothing in a frame is believed: lengths are checked against what is there, inflation has a budget and a depth.
"""

import base64
import hashlib
import hmac
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import brotli
import msgspec

from frontrow.core.errors import EventInvalid
from frontrow.core.events import EARLIEST_MS, LATEST_MS, MAX_ID, MAX_NAME, Event, RoomRef, convert_event
from frontrow_connectors.contract import unknown_event

HEADER = struct.Struct(">IHHII")
MAX_INFLATED_BYTES = 8 << 20  # of one frame, all its compressed packets together
MAX_DEPTH = 3  # real frames nest once
PREFIX = "LIVE_OPEN_PLATFORM_"

OP_HEARTBEAT, OP_HEARTBEAT_REPLY, OP_MESSAGE, OP_AUTH, OP_AUTH_REPLY = 2, 3, 5, 7, 8
_PLAIN = (0, 1)
_ZLIB, _BROTLI = 2, 3
_MS_FROM = (
    100_000_000_000  # as seconds in the year 5138, as milliseconds in 1973: a time above is in ms already
)


def signed_headers(body: bytes, *, key: str, secret: str, nonce: str, timestamp_s: int) -> dict[str, str]:
    """Return the headers of a request to Open-Live, with the signature over the six of them that it covers."""
    signed = {
        "x-bili-accesskeyid": key,
        "x-bili-content-md5": hashlib.md5(body, usedforsecurity=False).hexdigest(),
        "x-bili-signature-method": "HMAC-SHA256",
        "x-bili-signature-nonce": nonce,
        "x-bili-signature-version": "1.0",
        "x-bili-timestamp": str(timestamp_s),
    }
    text = "\n".join(f"{name}:{signed[name]}" for name in sorted(signed))
    signature = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    return {
        **signed,
        "Authorization": signature,
        "Content-Type": "application/json",
        "Accept": "application/json",
    }


def packet(operation: int, body: bytes = b"", *, version: int = 1, sequence: int = 1) -> bytes:
    """Return one packet as it goes over the wire; a client's packets have version 1."""
    return HEADER.pack(HEADER.size + len(body), HEADER.size, version, operation, sequence) + body


@dataclass(slots=True)
class Decoded:
    """What one frame held. ``ended`` are the project sessions that the platform says are over."""

    events: list[Event] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    auth_code: int | None = None
    ended: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Room:
    """What mapping needs beside the message: the room, its anchor's ``open_id`` ("" if unknown), and arrival."""

    ref: RoomRef
    host: str
    now: int


def decode_frame(frame: str | bytes, room: Room) -> Decoded:
    """Return all that a WebSocket message holds; what cannot be read is a reason in ``rejected``, never an error."""
    decoded = Decoded()
    if isinstance(frame, str):
        decoded.rejected.append("a text message where binary packets are expected")
        return decoded
    _Reader(room, decoded).read(frame, depth=0)
    return decoded


class _Reader:
    def __init__(self, room: Room, decoded: Decoded) -> None:
        self._room = room
        self._decoded = decoded
        self._budget = MAX_INFLATED_BYTES

    def read(self, data: bytes, depth: int) -> None:
        """Read packets one after the other; a length that cannot be true ends the row, what came before stays."""
        at, tolerated = 0, False
        while at < len(data):
            header = HEADER.unpack_from(data, at) if len(data) - at >= HEADER.size else None
            if header is None or not HEADER.size <= header[1] <= header[0] <= len(data) - at:
                if not tolerated:
                    self._reject("a packet whose length field cannot be true")
                return
            length, header_length, version, operation, _ = header
            self._take(version, operation, data[at + header_length : at + length], depth)
            # A heartbeat's reply repeats the heartbeat's body behind itself, outside its own length.
            tolerated = operation == OP_HEARTBEAT_REPLY
            at += length

    def _take(self, version: int, operation: int, body: bytes, depth: int) -> None:
        if operation in (OP_HEARTBEAT, OP_HEARTBEAT_REPLY):
            return
        if operation == OP_AUTH_REPLY:
            self._auth(body)
        elif operation == OP_MESSAGE and version in _PLAIN:
            self._message(body)
        elif operation == OP_MESSAGE and version in (_ZLIB, _BROTLI):
            self._compressed(version, body, depth)
        else:
            self._unknown(version, operation, body)

    def _compressed(self, version: int, body: bytes, depth: int) -> None:
        if depth >= MAX_DEPTH:
            self._reject("packets packed into packets too deeply")
            return
        inflated, whole = (_inflate_zlib if version == _ZLIB else _inflate_brotli)(body, self._budget)
        self._budget -= len(inflated)
        if not whole:
            self._reject("a compressed packet that is cut, damaged or too large")
        # Whole packets at the front of a damaged stream are good neighbours, and are taken.
        if inflated:
            self.read(inflated, depth + 1)

    def _auth(self, body: bytes) -> None:
        try:
            self._decoded.auth_code = _AUTH.decode(body or b"{}").code
        except _UNREADABLE:
            self._reject("an unreadable answer to the authentication")

    def _message(self, body: bytes) -> None:
        try:
            message = _JSON.decode(body)
        except _UNREADABLE:
            self._reject("a message that is not JSON")
            return
        if not isinstance(message, dict) or not isinstance(message.get("cmd"), str):
            self._reject("a message without 'cmd'")
            return
        self._map(message, message["cmd"].partition(":")[0], body)

    def _map(self, message: dict[str, Any], cmd: str, body: bytes) -> None:
        data = message.get("data")
        fields = _Fields(data if isinstance(data, dict) else {}, self._room, body)
        if cmd == f"{PREFIX}INTERACTION_END":
            game = fields.data.get("game_id")
            self._decoded.ended.append(game if isinstance(game, str) else "")
        mapper = _MAPPERS.get(cmd)
        if mapper is None:
            self._decoded.events.append(fields.unknown(cmd, message))
            return
        try:
            self._decoded.events.extend(mapper(fields))
        except EventInvalid as error:
            self._reject(f"{cmd}: {error}")

    def _unknown(self, version: int, operation: int, body: bytes) -> None:
        message = {"version": version, "operation": operation, "body": base64.b64encode(body).decode("ascii")}
        fields = _Fields({}, self._room, body)
        self._decoded.events.append(fields.unknown(f"operation {operation} version {version}", message))

    def _reject(self, reason: str) -> None:
        self._decoded.rejected.append(reason)


class _AuthReply(msgspec.Struct):
    code: int = 0


_AUTH = msgspec.json.Decoder(_AuthReply)
_JSON = msgspec.json.Decoder()
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError)


def _inflate_zlib(body: bytes, budget: int) -> tuple[bytes, bool]:
    inflater = zlib.decompressobj()
    parts: list[bytes] = []
    taken = 0
    try:
        # In steps, so that damage in the middle does not take away what was inflated before it.
        for at in range(0, len(body), _STEP):
            part = inflater.decompress(body[at : at + _STEP], budget - taken + 1)
            parts.append(part)
            taken += len(part)
            if inflater.eof or taken > budget:
                break
    except zlib.error:
        return b"".join(parts)[:budget], False
    return b"".join(parts)[:budget], inflater.eof and taken <= budget


def _inflate_brotli(body: bytes, budget: int) -> tuple[bytes, bool]:
    inflater = brotli.Decompressor()
    parts: list[bytes] = []
    taken, feed = 0, body
    try:
        while not inflater.is_finished() and taken <= budget:
            part = inflater.process(feed, output_buffer_limit=min(_OUT, budget - taken + 1))
            feed = b""
            if not part and inflater.can_accept_more_data():
                break  # it wants more than there is: the body is cut
            parts.append(part)
            taken += len(part)
    except brotli.error:
        return b"".join(parts)[:budget], False
    return b"".join(parts)[:budget], inflater.is_finished() and taken <= budget


_STEP = 4_096  # compressed bytes
_OUT = 1 << 18  # inflated bytes


class _Fields:
    """A message's ``data``, read with checked types, and the event's fields that all messages share."""

    def __init__(self, data: dict[str, Any], room: Room, body: bytes) -> None:
        self.data = data
        self._room = room
        self._body = body
        self._used: set[str] = {"room_id"}

    def text(self, name: str, default: str | None = None) -> str | None:
        value = self._value(name)
        if value is not None and not isinstance(value, str):
            raise EventInvalid(f"{name!r} is not text")
        return default if value is None else value

    def number(self, name: str, default: int | None = None) -> int | None:
        value = self._value(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise EventInvalid(f"{name!r} is not a whole number")
        return default if value is None else value

    def decimal(self, name: str) -> float:
        value = self._value(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise EventInvalid(f"{name!r} is not a number")
        if not abs(value) < 1e12:
            raise EventInvalid(f"{name!r} is too large")
        return value

    def flag(self, name: str) -> bool | None:
        value = self._value(name)
        if value is not None and not isinstance(value, bool | int):
            raise EventInvalid(f"{name!r} is neither true nor false")
        return None if value is None else bool(value)

    def under(self, name: str) -> "_Fields":
        """Return the same reader over a nested object."""
        value = self._value(name)
        return _Fields(value if isinstance(value, dict) else {}, self._room, self._body)

    def event(self, kind: str, id: str, *, person: "_Fields | None" = None, **fields: Any) -> Event:
        """Return the event; ``person`` is where the viewer is told of, the message itself by default."""
        person = person or self
        viewer, name = person.viewer(), person.text("uname")
        staff = self.flag("is_admin")
        if viewer is not None and viewer == self._room.host:
            staff = True
        at = self.at()
        extra = self._left()
        if person is not self and (left := person._left()):
            extra["user_info"] = left
        return convert_event({
            "id": id,
            "platform": self._room.ref.platform,
            "room": self._room.ref.room,
            "kind": kind,
            "at": at,
            "viewer": viewer,
            "name": None if name is None else name[:MAX_NAME],
            "fan": self._fan(),
            "staff": staff,
            "extra": extra or None,
            **fields,
        })  # fmt: skip

    def unknown(self, type: str, message: Any) -> Event:
        """Return the event that keeps the message whole; never raises, whatever the message holds."""
        at = _time(self.data.get("timestamp"))
        at = self._room.now if at is None else at
        viewer = self.data.get("open_id")
        return unknown_event(
            id=self.id(),
            room=self._room.ref,
            at=at,
            type=type,
            message=message,
            viewer=viewer if isinstance(viewer, str) and 0 < len(viewer) <= MAX_ID else None,
        )

    def id(self, name: str = "msg_id") -> str:
        """Return the platform's id of this message, or one made of the content and its time."""
        value = self._value(name)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if (
            isinstance(value, str) and 0 < len(value) <= MAX_ID - 16
        ):  # room for the suffixes of derived events
            return value
        seed = b"" if self.data.get("timestamp") else str(self._room.now).encode()
        return f"sha256-{hashlib.sha256(seed + self._body).hexdigest()[:32]}"

    def at(self) -> int:
        """Return event time in ms: the platform's, or arrival where it says none."""
        for name in ("timestamp", "start_time"):
            value = self.number(name)
            if value:
                return value if value >= _MS_FROM else value * 1_000
        return self._room.now

    def viewer(self) -> str | None:
        open_id, uid = self.text("open_id"), self.number("uid")
        return open_id or (str(uid) if uid else None)  # `uid` is 0 since the platform went over to `open_id`

    def _fan(self) -> bool | None:
        # The levels themselves are kept in `extra`: this runs after what is left was taken.
        medal, guard = self.number("fans_medal_level"), self.number("guard_level")
        return None if medal is None and guard is None else bool(medal or guard)

    def _left(self) -> dict[str, Any]:
        return {key: value for key, value in self.data.items() if key not in self._used}

    def _value(self, name: str) -> Any:
        self._used.add(name)
        return self.data.get(name)


def _time(value: Any) -> int | None:
    """Return a time in ms that an event can carry, or None."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    at = value if value >= _MS_FROM else value * 1_000
    return at if EARLIEST_MS <= at <= LATEST_MS else None


def _fen(milli_yuan: int) -> int:
    """Return 分 from the platform's thousandths of a yuan, rounded half up."""
    return (milli_yuan + 5) // 10


def _comment(fields: _Fields) -> list[Event]:
    return [fields.event("comment", fields.id(), text=fields.text("msg"))]


def _gift(fields: _Fields) -> list[Event]:
    id, count = fields.id(), fields.number("gift_num", 1) or 0
    price = fields.number("r_price")
    if price is None:
        price = fields.number("price")
    money: dict[str, Any] = {}
    if fields.flag("paid") and price is not None:
        money = {"value": _fen(price * count), "currency": "CNY"}
    return [fields.event("gift", id, gift=fields.text("gift_name"), count=count, **money)]


def _super_chat(fields: _Fields) -> list[Event]:
    number = fields.id("message_id")
    text, value = fields.text("message"), round(fields.decimal("rmb") * 100)
    gift = fields.event("gift", f"sc-{number}-gift", gift="super_chat", count=1, value=value, currency="CNY")
    return [gift, fields.event("comment", f"sc-{number}-comment", text=text)]


def _guard(fields: _Fields) -> list[Event]:
    person, id = fields.under("user_info"), fields.id()
    level = fields.number("guard_level")
    price, count = fields.number("price"), fields.number("guard_num", 1)
    order = fields.event(
        "order_paid",
        id,
        person=person,
        product=f"guard-{level}",
        count=count,
        value=None if price is None else _fen(price),
        currency=None if price is None else "CNY",
    )
    return [order, fields.event("fan_club", f"{id}-fan-club", person=person, level=level)]


def _like(fields: _Fields) -> list[Event]:
    return [fields.event("like", fields.id(), count=fields.number("like_count", 1))]


def _plain(kind: str) -> "Callable[[_Fields], list[Event]]":
    return lambda fields: [fields.event(kind, fields.id())]


# DM_MIRROR is the same comment told to a second room's session; it has the same `msg_id`, which the intake knows.
# SUPER_CHAT_DEL and INTERACTION_END have no place among the canonical kinds and are kept as unknown on purpose.
_MAPPERS: Mapping[str, Callable[[_Fields], list[Event]]] = {
    f"{PREFIX}DM": _comment,
    f"{PREFIX}DM_MIRROR": _comment,
    f"{PREFIX}SEND_GIFT": _gift,
    f"{PREFIX}SUPER_CHAT": _super_chat,
    f"{PREFIX}GUARD": _guard,
    f"{PREFIX}LIKE": _like,
    f"{PREFIX}LIVE_ROOM_ENTER": _plain("enter"),
    f"{PREFIX}LIVE_START": _plain("room_start"),
    f"{PREFIX}LIVE_END": _plain("room_end"),
}
