"""The short way past the `websockets` library, held against the library itself: same messages, same answers."""

import asyncio
import itertools
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from frontrow_connectors.inbox import MAX_BATCH
from frontrow_connectors.websocket.connection import LONGEST, BulkConnection

LIMIT = 70_000


class Wire(asyncio.Transport):
    """What a connection is written to, and whether it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.reading = True

    def write(self, data: Any) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        pass


def protocol() -> ClientProtocol:
    return ClientProtocol(
        parse_uri("ws://h/"),
        max_size=LIMIT,
        extensions=[ClientPerMessageDeflateFactory(client_max_window_bits=12)],
    )


def answer_to(client: ClientProtocol) -> bytes:
    """Return a server's answer to a client's handshake."""
    client.send_request(client.connect())
    server = ServerProtocol(extensions=[ServerPerMessageDeflateFactory(server_no_context_takeover=True)])
    for data in client.data_to_send():
        server.receive_data(data)
    (request,) = server.events_received()
    server.send_response(server.accept(request))  # type: ignore[arg-type]  # the first event is the request
    return b"".join(server.data_to_send())


def by_the_library(stream: bytes) -> tuple[list[bytes], State, int | None]:
    """Return the messages, the state and the close code that the library makes of what a server sends."""
    client = protocol()
    client.receive_data(answer_to(client) + stream)
    events = client.events_received()[1:]
    list(client.data_to_send())
    return messages_of(events), client.state, None if client.close_sent is None else client.close_sent.code


def messages_of(events: Iterable[Event]) -> list[bytes]:
    messages: list[bytes] = []
    parts = b""
    for event in events:
        if isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            parts += event.data
            if event.fin:
                messages.append(parts)
                parts = b""
    return messages


async def by_us(stream: bytes, cuts: Sequence[int]) -> tuple[list[bytes], State, int | None]:
    """Return the same of our connection, for the same stream in pieces."""
    client = protocol()
    connection = BulkConnection(client, ping_interval=None)
    connection.connection_made(Wire())
    whole = answer_to(client) + stream
    places = sorted({0, len(whole), *(cut % (len(whole) + 1) for cut in cuts)})
    messages: list[bytes] = []
    for start, end in itertools.pairwise(places):
        connection.data_received(whole[start:end])
        messages += connection.inbox._waiting
        connection.inbox._waiting.clear()
    return messages, client.state, None if client.close_sent is None else client.close_sent.code


def frame(first: int, payload: bytes, *, length: int | None = None, mask: bool = False) -> bytes:
    """Return a frame as it may come; ``length`` is what it says of itself, which need not be so."""
    size = len(payload) if length is None else length
    masked = 0x80 if mask else 0
    if size < 126:
        head = bytes((first, masked | size))
    elif size < 65_536:
        head = bytes((first, masked | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, masked | 127)) + size.to_bytes(8, "big")
    return head + payload


def deflated(payload: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-12)
    return (packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


payloads = st.binary(max_size=40) | st.sampled_from([0, 125, 126, 127, 65_535, 65_536, LIMIT, LIMIT + 1]).map(
    bytes
)
plain = st.builds(frame, st.sampled_from([0x81, 0x82]), payloads)
fragmented = st.builds(
    lambda first, parts, last, between: (
        frame(first, b"a") + b"".join(between + frame(0x00, part) for part in parts) + frame(0x80, last)
    ),
    st.sampled_from([0x01, 0x02]),
    st.lists(st.binary(max_size=20), max_size=3),
    st.binary(max_size=20),
    st.sampled_from([b"", frame(0x89, b"ping"), frame(0x8A, b"")]),
)
compressed = st.builds(lambda data: frame(0xC1, deflated(data)), st.binary(max_size=300))
control = st.sampled_from(
    [frame(0x89, b""), frame(0x89, b"?" * 125), frame(0x8A, b"unasked"), frame(0x88, b"\x03\xe8")]
)
wrong = st.one_of(
    st.builds(frame, st.integers(0, 255), st.binary(max_size=8)),
    st.builds(lambda data: frame(0x81, data, mask=True), st.binary(max_size=8)),
    st.builds(lambda length: frame(0x82, b"", length=length), st.integers(0, 2**63 - 1)),
    st.binary(max_size=12),
    st.just(frame(0x01, b"the beginning of a message whose next fragment may never come")),
)
streams = st.lists(plain | plain | fragmented | compressed | control, max_size=8).map(b"".join)


@example(b"", b"\x00\xfe", b"", [])  # refused for its mask, while its length has not come
@example(b"", b"\x83\x7e", b"", [])  # no frame that there is, of a length that has not come
@example(frame(0x81, b"a"), b"\x82\xff", b"", [1, 3, 200])
@settings(deadline=None, max_examples=300)
@given(streams, st.just(b"") | wrong, streams, st.lists(st.integers(0, 2**20), max_size=12))
async def test_whatever_comes_in_whatever_pieces_is_what_the_library_makes_of_it(
    stream: bytes, broken: bytes, more: bytes, cuts: list[int]
) -> None:
    """Messages, their order, the state of the connection and how it is closed: a short way must not lead elsewhere."""
    data = stream + broken + more
    assert await by_us(data, cuts) == by_the_library(data)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, LONGEST, LONGEST + 1, LIMIT])
async def test_every_length_of_a_message_is_taken_in_single_bytes(size: int) -> None:
    """The length has three forms, and each may be cut anywhere."""
    payload = bytes(size)
    messages, state, _ = await by_us(frame(0x82, payload) + frame(0x81, b"next"), range(300))
    assert messages == [payload, b"next"]
    assert state is State.OPEN


async def test_the_short_way_is_taken_in_whatever_pieces_the_handshake_comes() -> None:
    """Else everything would still be right, and slow."""
    for piece in (1, 2, 3, 4, 5, 10_000):
        client = protocol()
        connection = BulkConnection(client, ping_interval=None)
        connection.connection_made(Wire())
        answer = answer_to(client)
        for start in range(0, len(answer), piece):
            connection.data_received(answer[start : start + piece])
        connection.data_received(frame(0x81, b"a"))
        assert connection.inbox._waiting == [b"a"]
        assert client.events_received() == []
        assert connection._headed


async def test_a_message_within_the_cut_lengths_but_beyond_the_bound_ends_the_connection() -> None:
    small = ClientProtocol(parse_uri("ws://h/"), max_size=1_024)
    connection = BulkConnection(small, ping_interval=None)
    connection.connection_made(Wire())
    connection.data_received(answer_to(small) + frame(0x81, bytes(1_024)) + frame(0x81, bytes(1_025)))
    assert [len(each) for each in await connection.inbox.take()] == [1_024]
    assert small.close_sent is not None
    assert small.close_sent.code == 1009


async def test_what_comes_with_the_answer_to_the_handshake_is_not_lost() -> None:
    """A server that sends at once has its first messages in the same segment."""
    messages, _, _ = await by_us(frame(0x81, b"a") + frame(0x81, b"b"), [])
    assert messages == [b"a", b"b"]


async def test_the_reading_stops_while_much_waits_and_goes_on_when_it_is_taken() -> None:
    client = protocol()
    connection, wire = BulkConnection(client, ping_interval=None), Wire()
    connection.connection_made(wire)
    connection.data_received(answer_to(client) + frame(0x81, b"x") * (MAX_BATCH + 1))
    assert not wire.reading
    assert len(await connection.inbox.take()) == MAX_BATCH
    assert not wire.reading
    assert len(await connection.inbox.take()) == 1
    assert wire.reading


async def test_endless_empty_fragments_take_no_memory() -> None:
    """They are within every bound on bytes."""
    client = protocol()
    connection = BulkConnection(client, ping_interval=None)
    connection.connection_made(Wire())
    connection.data_received(answer_to(client) + frame(0x01, b"") + frame(0x00, b"") * 10_000)
    assert connection._fragments is not None
    assert not connection._fragments
