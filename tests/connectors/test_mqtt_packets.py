"""MQTT as bytes: what we send is what the standard says, and no stream, however cut or broken, breaks the parser."""

import itertools
import struct
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from frontrow_connectors.mqtt import packets
from frontrow_connectors.mqtt.packets import Control, Malformed, Message, Parser

MAX_BYTES = 70_000


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes((value & 127 | 128,))
        value >>= 7
    return out + bytes((value,))


def packet(first: int, body: bytes) -> bytes:
    return bytes((first,)) + varint(len(body)) + body


def publication(
    payload: bytes, *, id: int = 0, five: bool = True, topic: bytes = b"t", properties: bytes = b""
) -> bytes:
    """Return a PUBLISH packet as a broker sends it."""
    body = struct.pack("!H", len(topic)) + topic
    body += struct.pack("!H", id) if id else b""
    body += varint(len(properties)) + properties if five else b""
    return packet(0x32 if id else 0x30, body + payload)


def parse(
    stream: bytes, cuts: Sequence[int] = (), *, five: bool = True
) -> tuple[list[Message], list[Control], str]:
    """Return what a stream in pieces gives, and why it cannot be read any further if it cannot."""
    parser = Parser(five=five, max_bytes=MAX_BYTES)
    messages: list[Message] = []
    controls: list[Control] = []
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    try:
        for start, end in itertools.pairwise(places):
            parser.feed(stream[start:end], messages, controls)
    except Malformed as error:
        return messages, controls, str(error)
    return messages, controls, ""


# --- what comes

_props = st.sampled_from([b"", b"\x01\x01", b"\x03\x00\x01x" * 60, b"\x26\x00\x01a\x00\x01b"])
_ids = st.integers(0, 65_535)


@st.composite
def _published(draw: st.DrawFn) -> tuple[bytes, Message]:
    payload = draw(st.binary(max_size=40) | st.sampled_from([117, 118, 16_380, 66_000]).map(bytes))
    id = draw(_ids)
    topic = draw(st.sampled_from([b"t", b"frontrow/demo/events", b"x" * 300]))
    return publication(payload, id=id, topic=topic, properties=draw(_props)), Message(payload, id)


_controlled = st.sampled_from(
    [packet(0x20, b"\0\0\0"), packet(0xD0, b""), packet(0x90, b"\0\x01\0\0"), packet(0xE0, b"\x8b")]
)


@settings(deadline=None)
@given(st.lists(_published() | _controlled, max_size=8), st.lists(st.integers(0, 2**20), max_size=12))
def test_packets_are_found_however_the_stream_is_cut(parts: list[Any], cuts: list[int]) -> None:
    stream = b"".join(part if isinstance(part, bytes) else part[0] for part in parts)
    messages, controls, broken = parse(stream, cuts)
    assert not broken
    assert messages == [part[1] for part in parts if not isinstance(part, bytes)]
    assert [control.type for control in controls] == [
        part[0] >> 4 for part in parts if isinstance(part, bytes)
    ]


@settings(deadline=None)
@given(st.binary(max_size=60), st.lists(st.integers(0, 100), max_size=6), st.booleans())
def test_no_stream_whatever_breaks_the_parser_and_pieces_change_nothing(
    stream: bytes, cuts: list[int], five: bool
) -> None:
    whole = parse(publication(b"first", five=five) + stream, five=five)
    pieces = parse(publication(b"first", five=five) + stream, cuts, five=five)
    assert whole == pieces
    assert whole[0][0] == Message(b"first", 0)


@pytest.mark.parametrize("five", [True, False])
@pytest.mark.parametrize("id", [0, 7])
@pytest.mark.parametrize("piece", [1, 1_000, 10**6])
def test_a_payload_beyond_the_bound_is_passed_over_and_its_number_kept(
    five: bool, id: int, piece: int
) -> None:
    """It can be acknowledged, so that it does not come again for ever, and takes no memory."""
    size = MAX_BYTES + (1_000 if piece == 1 else 5_000_000)
    stream = publication(bytes(size), id=id, five=five, topic=b"x" * 500) + publication(b"next", five=five)
    parser = Parser(five=five, max_bytes=MAX_BYTES)
    messages: list[Message] = []
    for start in range(0, len(stream), piece):
        parser.feed(stream[start : start + piece], messages, [])
        assert parser._have <= MAX_BYTES + piece
    assert messages == [Message(None, id), Message(b"next", 0)]


@pytest.mark.parametrize(
    "stream",
    [
        publication(b"", id=1)[:1].replace(b"\x32", b"\x34") + b"\x05\0\x01t\0\x01",  # QoS 2
        b"\x36\x05\0\x01t\0\x01",  # QoS 3
        b"\x30\x01\0",
        b"\x30\x02\0\x09",
        b"\x32\x04\0\x01t\0",
        b"\x32\x06\0\x01t\0\0\0",  # the number 0
        b"\x30\x03\0\x01t",  # no properties
        b"\x30\x04\0\x01t\x05",  # longer properties than the packet
        b"\x30\x05\0\x01t\xff\xff",
        b"\x30\xff\xff\xff\xff\x01",
        packet(0x90, bytes(MAX_BYTES + 1)),
    ],
)
def test_what_a_broker_may_not_send_is_told_and_what_came_before_is_kept(stream: bytes) -> None:
    messages, _, broken = parse(publication(b"a") + stream)
    assert messages == [Message(b"a", 0)]
    assert broken


def test_the_reader_of_an_answer_to_connecting_knows_all_properties() -> None:
    """Written by another implementation."""
    properties = Properties(PacketTypes.CONNACK)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = 5
    properties.ReceiveMaximum = 6
    properties.MaximumQoS = 1
    properties.MaximumPacketSize = 7
    properties.AssignedClientIdentifier = "id"
    properties.UserProperty = [("a", "b"), ("c", "d")]
    properties.ServerKeepAlive = 8
    properties.AuthenticationData = b"\x00"
    answer = packets.read_connack(b"\x01\x00" + properties.pack(), five=True)  # type: ignore[no-untyped-call]
    assert answer.code == 0
    assert answer.properties[packets.SERVER_KEEP_ALIVE] == 8
    assert answer.properties[packets.SESSION_EXPIRY_INTERVAL] == 5
    assert answer.properties[packets.RECEIVE_MAXIMUM] == 6


@given(st.binary(max_size=40), st.booleans())
def test_no_answer_whatever_breaks_its_readers(body: bytes, five: bool) -> None:
    for read in (packets.read_connack, packets.read_suback):
        try:
            read(body, five=five)
        except Malformed:
            continue


@pytest.mark.parametrize(
    ("code", "means"), [(0, 0), (1, 0x84), (2, 0x85), (3, 0x88), (4, 0x86), (5, 0x87), (9, 0x80)]
)
def test_the_codes_of_3_1_1_are_read_as_those_of_5(code: int, means: int) -> None:
    assert packets.read_connack(bytes((0, code)), five=False).code == means


def test_the_codes_of_a_subscription_stand_behind_its_properties() -> None:
    assert packets.read_suback(b"\0\x01" + b"\x03\x1f\0\0" + b"\x01\x87", five=True) == [1, 0x87]
    assert packets.read_suback(b"\0\x01\x01\x80", five=False) == [1, 0x80]


# --- what we send


def test_a_connect_packet_is_as_the_standard_has_it() -> None:
    """MQTT 5.0, 3.1: flags for user name, password and a clean start; the keepalive; properties; three texts."""
    sent = packets.connect(
        five=True, client_id="c", username="u", password="p", clean=True, keepalive_s=30,
        properties={packets.SESSION_EXPIRY_INTERVAL: 1, packets.RECEIVE_MAXIMUM: 2, packets.MAXIMUM_PACKET_SIZE: 3},
    )  # fmt: skip
    body = b"\0\4MQTT\x05\xc2\0\x1e" + b"\x0d\x11\0\0\0\x01\x21\0\x02\x27\0\0\0\x03" + b"\0\1c\0\1u\0\1p"
    assert sent == packet(0x10, body)
    old = packets.connect(
        five=False,
        client_id="c",
        username=None,
        password=None,
        clean=False,
        keepalive_s=1,
        properties={0x11: 1},
    )
    assert old == packet(0x10, b"\0\4MQTT\x04\x00\0\x01\0\1c")


def test_a_subscribe_packet_is_as_the_standard_has_it() -> None:
    assert packets.subscribe(["a/+", "#"], 1, five=True) == packet(0x82, b"\0\1\0\0\3a/+\1\0\1#\1")
    assert packets.subscribe(["a"], 0, five=False) == packet(0x82, b"\0\1\0\1a\0")


def test_acknowledgements_are_sent_together() -> None:
    assert packets.acknowledgements([1, 65_535]) == b"\x40\2\0\1\x40\2\xff\xff"


@pytest.mark.parametrize("wrong", ["", "a#", "#/a", "a/#/b", "a+", "+a/b", "a\0b", "x" * 65_536])
def test_what_is_no_topic_filter_is_not_sent(wrong: str) -> None:
    with pytest.raises(ValueError, match="filter|carry"):
        packets.subscribe([wrong], 0, five=True)


def test_what_mqtt_cannot_carry_is_not_sent() -> None:
    with pytest.raises(ValueError, match="carry"):
        packets.connect(
            five=True,
            client_id="c",
            username="u" * 65_536,
            password=None,
            clean=True,
            keepalive_s=1,
            properties={},
        )
