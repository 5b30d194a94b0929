"""The part of MQTT that one who only subscribes needs, as bytes: MQTT 5.0 and 3.1.1, QoS 0 and 1. Pure.

Section numbers are those of the OASIS standard of MQTT 5.0; 3.1.1 is the same without properties and reason codes.
Not here: publishing, QoS 2, wills, topic aliases (never asked for, so never used; 3.3.2.3.4) and enhanced
authentication (likewise; 4.12).
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = (
    1, 2, 3, 4, 8, 9, 12, 13, 14,
)  # fmt: skip
PING = bytes((PINGREQ << 4, 0))
GOODBYE = bytes((DISCONNECT << 4, 0))  # without a reason: in order

# Properties (2.2.2.2) that are sent or read, and how the values of all are laid out.
SESSION_EXPIRY_INTERVAL, SERVER_KEEP_ALIVE, RECEIVE_MAXIMUM, MAXIMUM_PACKET_SIZE = 0x11, 0x13, 0x21, 0x27
_LAYOUTS: Mapping[int, str] = {
    **dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), "B"),
    **dict.fromkeys((0x13, 0x21, 0x22, 0x23), "H"),
    **dict.fromkeys((0x02, 0x11, 0x18, 0x27), "I"),
    0x0B: "varint",
    **dict.fromkeys((0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F), "bytes"),
    0x26: "pair",
}

SUBSCRIPTION_ID = 1  # of our only SUBSCRIBE packet
MAX_TOPIC = 65_535  # bytes
_LARGEST_HEAD = 2 + MAX_TOPIC + 2  # of a PUBLISH: its topic and its number


class Malformed(Exception):
    """What came is not MQTT, or not what a broker may send to us. The text never holds anything of it."""


class Message(NamedTuple):
    """A published message: ``id`` is what to acknowledge, 0 with QoS 0; ``payload`` is None where it was too large."""

    payload: bytes | None
    id: int


class Control(NamedTuple):
    """Any other packet."""

    type: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What a CONNACK says: a reason code of MQTT 5 (0: connected) and properties by number."""

    code: int
    properties: Mapping[int, int | bytes]


# --- what we send


def connect(
    *,
    five: bool,
    client_id: str,
    username: str | None,
    password: str | None,
    clean: bool,
    keepalive_s: int,
    properties: Mapping[int, int],
) -> bytes:
    """Return a CONNECT packet (3.1); ``properties`` are left out with 3.1.1.

    Raises:
        ValueError: A text is longer than MQTT can say, or holds what it cannot.
    """
    flags = clean << 1 | (password is not None) << 6 | (username is not None) << 7
    body = _text("MQTT") + struct.pack("!BBH", 5 if five else 4, flags, keepalive_s)
    if five:
        body += _properties(properties)
    texts = [each for each in (client_id, username, password) if each is not None]
    return _packet(CONNECT, 0, body + b"".join(map(_text, texts)))


def subscribe(filters: Sequence[str], qos: int, *, five: bool) -> bytes:
    """Return a SUBSCRIBE packet (3.8).

    Raises:
        ValueError: One is not a topic filter (4.7).
    """
    for each in filters:
        _check_filter(each)
    body = struct.pack("!H", SUBSCRIPTION_ID) + (_properties({}) if five else b"")
    return _packet(SUBSCRIBE, 2, body + b"".join(_text(each) + bytes((qos,)) for each in filters))


def acknowledgements(ids: Sequence[int]) -> bytes:
    """Return a PUBACK packet (3.4) for each; the short form, which says success in both versions."""
    return b"".join([struct.pack("!BBH", PUBACK << 4, 2, id) for id in ids])


# --- what we are sent


class Parser:
    """Cuts a stream into packets, with bounded memory whatever comes.

    Of a PUBLISH packet larger than ``max_bytes`` the payload is passed over as it comes, and None stands for it. Any
    other packet of that size is malformed.
    """

    def __init__(self, *, five: bool, max_bytes: int) -> None:
        self._five = five
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []  # of a packet that is not complete
        self._have = 0
        self._need = 0  # bytes before it is worth looking at it again
        self._skip = 0  # bytes of a payload to pass over

    def feed(self, data: bytes, messages: list[Message], controls: list[Control]) -> None:
        """Append the messages and the other packets that ``data`` completes, each in order.

        Raises:
            Malformed: The stream cannot be read any further; what came before was appended.
        """
        if self._skip:
            passed = min(self._skip, len(data))
            self._skip -= passed
            data = data[passed:]
        self._parts.append(data)
        self._have += len(data)
        if self._have < self._need:
            return
        data = b"".join(self._parts) if len(self._parts) > 1 else data
        rest = data[self._cut(data, messages, controls) :]
        self._parts, self._have = [rest], len(rest)

    def _cut(self, data: bytes, messages: list[Message], controls: list[Control]) -> int:
        """Take the whole packets at the beginning of ``data``, and return where they end."""
        five, largest = self._five, self._max_bytes
        at, end = 0, len(data)
        self._need = 0
        while end - at > 1:
            # The length (1.5.5): seven bits a byte, the lowest first, the eighth says that there are more.
            length = data[at + 1]
            start = at + 2
            if length > 127:
                length, start = varint(data, at + 1)
                if not start:
                    break
            stop = start + length
            first = data[at]
            if first >> 4 != PUBLISH:
                if length > largest:
                    raise Malformed("a packet of more bytes than we take")
                if stop > end:
                    self._need = stop - at
                    break
                controls.append(Control(first >> 4, data[start:stop]))
                at = stop
                continue
            qos = first >> 1 & 3
            if qos > 1:
                raise Malformed("a message with a QoS that nobody asked for")
            if stop > end and (length <= largest or end - start < min(length, _LARGEST_HEAD)):
                self._need = stop - at if length <= largest else start + min(length, _LARGEST_HEAD) - at
                break
            if length < 2:
                raise Malformed("a message without a topic")
            # The variable header (3.3.2): the topic, the number with QoS 1, the properties with MQTT 5.
            body = start + 2 + (data[start] << 8 | data[start + 1])
            id = 0
            if qos:
                if body + 2 > stop:
                    raise Malformed("a message that is shorter than its header")
                id = data[body] << 8 | data[body + 1]
                body += 2
                if not id:
                    raise Malformed("a message without a number")
            if length > largest:
                messages.append(Message(None, id))
                self._skip = max(0, stop - end)
                at = min(stop, end)
                continue
            if five:
                if body >= stop:
                    raise Malformed("a message that is shorter than its header")
                size = data[body]
                body += 1
                if size > 127:
                    size, body = varint(data, body - 1)
                    if not body:
                        raise Malformed("a message that is shorter than its header")
                body += size
            if body > stop:
                raise Malformed("a message that is shorter than its header")
            messages.append(Message(data[body:stop], id))
            at = stop
        return at


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a variable byte integer and where it ends, or (0, 0) if it is not complete.

    Raises:
        Malformed: It has more than four bytes.
    """
    value = 0
    for place, byte in enumerate(data[at : at + 4]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 128:
            return value, at + place + 1
    if len(data) - at >= 4:
        raise Malformed("a length of more than four bytes")
    return 0, 0


def read_connack(body: bytes, *, five: bool) -> Answer:
    """Return what a CONNACK's body says (3.2); the codes of 3.1.1 as those of 5 that mean the same.

    Raises:
        Malformed: It says nothing that can be read.
    """
    if len(body) < 2:
        raise Malformed("an answer to our connecting that is too short")
    if five:
        return Answer(body[1], _read_properties(body[2:]) if len(body) > 2 else {})
    codes = {0: 0, 1: 0x84, 2: 0x85, 3: 0x88, 4: 0x86, 5: 0x87}
    return Answer(codes.get(body[1], 0x80), {})


def read_suback(body: bytes, *, five: bool) -> list[int]:
    """Return the codes of a SUBACK's body (3.9), one per filter, from 0x80 on: refused.

    Raises:
        Malformed: It cannot be read, or answers to what was not asked.
    """
    start = 2
    if five:
        size, start = varint(body, 2)
        start += size
    if body[:2] != struct.pack("!H", SUBSCRIPTION_ID) or start < 2 or start > len(body):
        raise Malformed("an answer to our subscribing that cannot be read")
    return list(body[start:])


def read_disconnect(body: bytes) -> int:
    """Return why the broker leaves (3.14); without a reason 0."""
    return body[0] if body else 0


def _read_properties(data: bytes) -> dict[int, int | bytes]:
    """Return the properties that ``data`` begins with, by number (2.2.2); the last of a number counts."""
    size, at = varint(data, 0)
    end = at + size
    if not at or end > len(data):
        raise Malformed("properties that are not complete")
    found: dict[int, int | bytes] = {}
    try:
        while at < end:
            number = data[at]
            at += 1
            match _LAYOUTS[number]:
                case "varint":
                    found[number], at = varint(data, at)
                    if not at:
                        raise Malformed("properties that are not complete")
                case "bytes":
                    found[number], at = _read_bytes(data, at)
                case "pair":
                    _, at = _read_bytes(data, at)
                    found[number], at = _read_bytes(data, at)
                case layout:
                    (found[number],) = struct.unpack_from(f"!{layout}", data, at)
                    at += struct.calcsize(f"!{layout}")
    except (KeyError, struct.error) as error:
        raise Malformed("properties that cannot be read") from error
    if at != end:
        raise Malformed("properties that are not complete")
    return found


def _read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    (length,) = struct.unpack_from("!H", data, at)
    return data[at + 2 : at + 2 + length], at + 2 + length


def _packet(type: int, flags: int, body: bytes) -> bytes:
    return bytes((type << 4 | flags,)) + _varint(len(body)) + body


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _text(text: str) -> bytes:
    data = text.encode()
    if len(data) > 65_535 or "\0" in text:
        raise ValueError("a text that MQTT cannot carry")
    return struct.pack("!H", len(data)) + data


def _properties(properties: Mapping[int, int]) -> bytes:
    body = b"".join(
        struct.pack(f"!B{_LAYOUTS[number]}", number, value) for number, value in properties.items()
    )
    return _varint(len(body)) + body


def _check_filter(text: str) -> None:
    levels = text.split("/")
    wild = any(("#" in level or "+" in level) and len(level) > 1 for level in levels)
    if not text or wild or "#" in levels[:-1]:
        raise ValueError("not a topic filter")
