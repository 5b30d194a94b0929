"""Canonical events from a WebSocket server that drops, repeats and garbles."""

import asyncio
import http
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from frontrow.core.errors import EventInvalid
from frontrow_connectors.contract import UNKNOWN, FeedState
from frontrow_connectors.inbox import MAX_BATCH
from frontrow_connectors.reconnect import LAST_CEILING_S, REFUSED_WAIT_S
from frontrow_connectors.websocket import WebSocketFeed, WebSocketOptions
from frontrow_connectors.websocket import client as websocket_client
from frontrow_connectors.websocket.decoder import decode_message, encode_ack, encode_resume
from tests.connectors.samples import ROOM, T0, line
from tests.support.clock import ManualClock, settle
from tests.support.feed_runs import GatedIntake, eager, running, until
from tests.support.feeds import RecordingIntake
from tests.support.websocket_server import Script, ScriptedSockets, cut, stay


def envelope(seq: int, *parts: bytes) -> bytes:
    return b'{"type":"events","seq":%d,"events":[%s]}' % (seq, b",".join(parts))


def feed(
    url: str, intake: RecordingIntake, clock: ManualClock | None = None, **options: Any
) -> WebSocketFeed:
    """Return a feed that reconnects at once, or by a clock of the test's own."""
    made = msgspec.convert({"url": url, **options}, WebSocketOptions)
    context = intake.context(clock or ManualClock(), room=ROOM)
    return WebSocketFeed(made, context if clock else eager(context))


def ids(intake: RecordingIntake) -> list[str]:
    return [each.id for each in intake.events]


def sending(*messages: bytes | str) -> Script:
    """A script that sends these and stays."""

    async def script(connection: ServerConnection) -> None:
        for message in messages:
            await connection.send(message)
        await stay(connection)

    return script


class Answers:
    """A script that sends messages and keeps what the client says, per connection."""

    def __init__(self, *messages: bytes) -> None:
        self.messages = messages
        self.said: list[dict[str, Any]] = []
        self.connection: ServerConnection | None = None

    async def __call__(self, connection: ServerConnection) -> None:
        self.connection = connection
        for message in self.messages:
            await connection.send(message)
        async for said in connection:
            self.said.append(msgspec.json.decode(said))


# --- the decoder


@pytest.mark.parametrize(
    "data",
    [
        line("a"),
        b"[" + line("a") + b"]",
        b"\n" + line("a") + b"\n",
        b"\xef\xbb\xbf" + line("a"),
        envelope(0, line("a")),
    ],
)
def test_a_message_is_one_event_an_array_lines_or_an_envelope(data: bytes) -> None:
    message = decode_message(data, ROOM, T0)
    assert [each.id for each in message.batch.events] == ["a"]
    assert message.seq == (0 if data.startswith(b'{"type"') else None)


def test_an_envelope_with_a_bad_element_is_taken_without_it_and_acknowledged() -> None:
    message = decode_message(envelope(7, line("a"), b"{}", line("b", room="other"), line("c")), ROOM, T0)
    assert [each.id for each in message.batch.events] == ["a", "c"]
    assert [each.index for each in message.batch.rejected] == [1, 2]
    assert message.seq == 7


@pytest.mark.parametrize(
    "data",
    [
        b'{"type":"events","events":[]}',
        b'{"type":"events","seq":-1,"events":[]}',
        b'{"type":"events","seq":9007199254740992,"events":[]}',
        b'{"type":"events","seq":1}',
        b'{"type":"events","seq":1,"events":{}}',
        b'{"type":"events","seq":1,"events":null}',
        b"",
        b"[",
    ],
)
def test_an_envelope_that_cannot_be_acknowledged_is_refused_whole(data: bytes) -> None:
    with pytest.raises(EventInvalid):
        decode_message(data, ROOM, T0)


def test_an_empty_envelope_is_fine() -> None:
    message = decode_message(b'{"type":"events","seq":3,"events":[]}', ROOM, T0)
    assert message.seq == 3
    assert not message.batch.events


def test_a_type_that_is_not_known_is_kept_whole_under_one_id() -> None:
    data = b'{"type":"weather","wind":[1,2]}'
    one, two = (decode_message(data, ROOM, T0 + n).batch.events[0] for n in range(2))
    assert (one.kind, one.at, one.platform, one.room) == (UNKNOWN, T0, ROOM.platform, ROOM.room)
    assert one.extra == {"type": "weather", "message": {"type": "weather", "wind": [1, 2]}}
    assert one.id == two.id
    assert decode_message(data + b" ", ROOM, T0).batch.events[0].id != one.id


def test_an_event_with_a_field_called_type_is_still_an_event() -> None:
    """A newer version's field must not turn events into unknown messages."""
    message = decode_message(line("a")[:-1] + b',"type":"events"}', ROOM, T0)
    assert message.batch.events[0].extra == {"type": "events"}


Json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["events", "enter", "x"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["type", "seq", "events", "kind", "id"]), inner)
    ),
    max_leaves=10,
)


@settings(deadline=None)  # a busy machine is no failure
@given(st.binary(max_size=200) | Json.map(msgspec.json.encode))
def test_no_message_whatever_breaks_the_decoder(data: bytes) -> None:
    try:
        message = decode_message(data, ROOM, T0)
    except EventInvalid:
        return
    assert all(each.room == ROOM.room for each in message.batch.events)


def test_what_we_say_is_json() -> None:
    assert msgspec.json.decode(encode_ack(5)) == {"type": "ack", "seq": 5}
    assert msgspec.json.decode(encode_resume(6)) == {"type": "resume", "seq": 6}


# --- the client


async def test_events_arrive_as_text_and_binary_in_every_form() -> None:
    intake = RecordingIntake()
    sockets = ScriptedSockets(
        sending(line("a").decode(), line("b"), b"[" + line("c") + b"]", line("d") + b"\n" + line("e"))
    )
    async with sockets.running(), running(feed(sockets.url, intake)):
        await intake.until(5)
    assert ids(intake) == ["a", "b", "c", "d", "e"]
    assert intake.statuses[1].sentence == f"Connected: 127.0.0.1:{sockets.port}."


async def test_garbage_is_counted_and_the_others_go_on() -> None:
    intake = RecordingIntake()
    words = b"words of a viewer"
    sockets = ScriptedSockets(
        sending(
            b"\xff\xfe" + words, b"[" + words, b"", b"[" + line("a") + b",{}]", b'{"type":"new"}', line("b")
        )
    )
    async with sockets.running(), running(feed(sockets.url, intake)):
        await intake.until(3)
    assert ids(intake)[::2] == ["a", "b"]
    assert intake.events[1].kind == UNKNOWN
    assert len(intake.rejected) == 4
    assert "viewer" not in " ".join(intake.rejected)


async def test_the_token_goes_in_a_header_and_never_in_a_sentence() -> None:
    headers: list[str | None] = []

    async def script(connection: ServerConnection) -> None:
        assert connection.request is not None
        headers.append(connection.request.headers.get("Authorization"))
        await connection.close(1011)

    intake, clock = RecordingIntake(), ManualClock()
    sockets = ScriptedSockets(script)
    async with sockets.running():
        url = f"{sockets.url}/room?key=in-the-query"
        async with running(feed(url, intake, clock, token="s3cret-token")):
            await intake.until_state(FeedState.WAITING)
    assert headers == ["Bearer s3cret-token"]
    told = " ".join(status.sentence for status in intake.statuses)
    assert "s3cret" not in told
    assert "in-the-query" not in told


async def test_nothing_is_acknowledged_before_it_is_durable() -> None:
    intake = RecordingIntake(hold=True)
    server = Answers(envelope(1, line("a")), envelope(2, line("b")))
    async with (sockets := ScriptedSockets(server)).running(), running(feed(sockets.url, intake)):
        await intake.until(2)
        await settle()
        assert server.said == []
        intake.make_durable()
        await until(lambda: len(server.said) == 2)
    assert server.said == [{"type": "ack", "seq": 1}, {"type": "ack", "seq": 2}]


async def test_acknowledgements_wait_for_the_first_that_is_not_durable() -> None:
    """They are cumulative: "2" would also say that "1" is stored."""
    intake = RecordingIntake(hold=True)
    server = Answers(envelope(1, line("a")))
    async with (sockets := ScriptedSockets(server)).running(), running(feed(sockets.url, intake)):
        await intake.until(1)
        assert server.connection is not None
        await server.connection.send(envelope(2, line("b")))  # later, so that it has a receipt of its own
        await intake.until(2)
        later, _ = intake.held.pop()
        later.set_result(None)  # type: ignore[arg-type]  # the receipt is not looked at
        await asyncio.sleep(0.05)  # in real time: that nothing is said cannot be waited for otherwise
        assert server.said == []
        intake.make_durable()
        await until(lambda: len(server.said) == 2)


async def test_an_envelope_of_which_nothing_can_be_taken_is_acknowledged() -> None:
    """It was counted; unacknowledged, it would come again for ever."""
    intake = RecordingIntake()
    server = Answers(envelope(1, b"{}"), envelope(2))
    async with (sockets := ScriptedSockets(server)).running(), running(feed(sockets.url, intake)):
        await until(lambda: len(server.said) == 2)
    assert len(intake.rejected) == 1


async def test_after_a_broken_connection_the_feed_resumes_behind_what_it_acknowledged() -> None:
    intake = RecordingIntake()
    first, second = Answers(envelope(1, line("a")), envelope(2, line("b"))), Answers()
    async with (sockets := ScriptedSockets(first, second)).running(), running(feed(sockets.url, intake)):
        await until(lambda: len(first.said) == 2)
        intake.hold = True
        assert first.connection is not None
        await first.connection.send(envelope(3, line("c")))
        await intake.until(3)
        cut(first.connection)
        await until(lambda: second.said != [])
        assert second.said == [{"type": "resume", "seq": 2}]
        intake.hold = False
        assert second.connection is not None
        await second.connection.send(envelope(3, line("c")))  # again, as the server must
        await until(lambda: len(second.said) == 2)
    assert second.said[1] == {"type": "ack", "seq": 3}
    assert ids(intake) == ["a", "b", "c", "c"]


async def test_a_first_connection_does_not_resume() -> None:
    server = Answers(envelope(1))
    intake = RecordingIntake()
    async with (sockets := ScriptedSockets(server)).running(), running(feed(sockets.url, intake)):
        await until(lambda: server.said != [])
    assert server.said == [{"type": "ack", "seq": 1}]


async def test_a_server_that_counts_anew_is_acknowledged_at_its_own_height() -> None:
    """An acknowledgement of the old height would cover messages that were never sent."""
    server = Answers(envelope(500, line("a")), envelope(1, line("b")))
    intake = RecordingIntake()
    async with (sockets := ScriptedSockets(server)).running(), running(feed(sockets.url, intake)):
        await until(lambda: len(server.said) == 2)
    assert [each["seq"] for each in server.said] == [500, 1]


async def test_a_full_intake_stops_the_reading() -> None:
    """TCP carries the back-pressure to the server, and our memory stays bounded."""
    sent = 0

    async def flood(connection: ServerConnection) -> None:
        nonlocal sent
        noise = random.Random(7)  # so that it does not compress to nothing
        message = b"[" + b",".join(line(noise.randbytes(100).hex()) for n in range(500)) + b"]"
        while True:
            await connection.send(message)
            sent += 1

    class Full(RecordingIntake):
        async def put(self, events: Any) -> Any:
            await asyncio.Event().wait()

    async with (sockets := ScriptedSockets(flood)).running(), running(feed(sockets.url, Full())):
        before = -1
        async with asyncio.timeout(10):
            while sent == 0 or before != sent:
                before = sent
                await asyncio.sleep(0.1)
        assert sent * 150_000 < 100_000_000  # what the kernel and the two libraries hold


async def test_a_lost_connection_is_made_again_with_a_sentence_for_every_state() -> None:
    intake, clock = RecordingIntake(), ManualClock()

    async def drop(connection: ServerConnection) -> None:
        await connection.send(line("a"))
        cut(connection)

    sockets = ScriptedSockets(drop, sending(line("b")))
    async with sockets.running(), running(feed(sockets.url, intake, clock)):
        waiting = await intake.until_state(FeedState.WAITING)
        assert waiting.sentence.startswith("Connection lost: the connection to 127.0.0.1")
        assert "without a closing handshake; trying again in" in waiting.sentence
        await clock.until_sleeping()
        await clock.advance(LAST_CEILING_S)
        await intake.until(2)
    assert ids(intake) == ["a", "b"]


async def test_a_message_beyond_the_bound_is_counted_and_the_connection_made_again() -> None:
    intake = RecordingIntake()
    sockets = ScriptedSockets(sending(line("a"), b" " * 5_000), sending(line("b")))
    async with sockets.running(), running(feed(sockets.url, intake, max_message_bytes=1_024)):
        await intake.until(2)
    assert ids(intake) == ["a", "b"]
    assert intake.rejected == ["a message of more than 1024 bytes"]
    assert any("max_message_bytes" in status.sentence for status in intake.statuses)


async def test_a_server_that_no_longer_answers_pings_is_found_dead() -> None:
    """A half-open connection looks alive to TCP for hours."""

    async def freeze(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await asyncio.Event().wait()

    intake, clock = RecordingIntake(), ManualClock()
    sockets = ScriptedSockets(freeze)
    pings: dict[str, Any] = {"ping_interval_s": 0.05, "ping_timeout_s": 0.05}
    async with sockets.running(), running(feed(sockets.url, intake, clock, **pings)):
        await intake.until_state(FeedState.WAITING)


async def test_a_server_whose_answers_to_pings_we_do_not_read_is_not_taken_for_dead() -> None:
    """A full intake is our fault, and to connect again would bring nothing but repetitions."""

    async def pour(connection: ServerConnection) -> None:
        for number in range(MAX_BATCH * 4):
            await connection.send(line(f"e{number}"))
        await stay(connection)

    intake, sockets = GatedIntake(), ScriptedSockets(pour)
    intake.free.clear()
    async with (
        sockets.running(),
        running(feed(sockets.url, intake, ping_interval_s=0.02, ping_timeout_s=0.3)),
    ):
        await intake.until_state(FeedState.CONNECTED)
        await asyncio.sleep(0.5)  # in real time, as the pings are
        intake.free.set()
        await intake.until(MAX_BATCH * 4)
    assert len(sockets.paths) == 1


async def test_a_server_that_does_not_read_acknowledgements_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a fake, since the kernel's buffers hold about 100,000 acknowledgements before a real send waits."""
    monkeypatch.setattr(websocket_client, "SEND_TIMEOUT_S", 0.01)

    class Stuck:
        aborted = False

        async def send(self, message: str) -> None:
            await asyncio.Event().wait()

        @property
        def transport(self) -> "Stuck":
            return self

        def abort(self) -> None:
            self.aborted = True

    stuck = Stuck()
    assert not await websocket_client._try_send(cast("ClientConnection", stuck), encode_ack(1))
    assert stuck.aborted


@asynccontextmanager
async def answering(status: http.HTTPStatus, **headers: str) -> AsyncIterator[str]:
    """Serve a server that answers every handshake so."""

    def process_request(connection: ServerConnection, _: Request) -> Response:
        response = connection.respond(status, "no\n")
        for name, value in headers.items():
            response.headers[name.replace("_", "-")] = value
        return response

    async with serve(stay, "127.0.0.1", 0, process_request=process_request) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_refusal_needs_a_person(status: int) -> None:
    intake, clock = RecordingIntake(), ManualClock()
    async with answering(http.HTTPStatus(status)) as url, running(feed(url, intake, clock)):
        refused = await intake.until_state(FeedState.REFUSED)
    assert refused.retry_in_s == REFUSED_WAIT_S
    assert str(status) in refused.sentence


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_server_that_asks_for_patience_gets_it(status: int) -> None:
    intake, clock = RecordingIntake(), ManualClock()
    async with answering(http.HTTPStatus(status), Retry_After="42") as url, running(feed(url, intake, clock)):
        waiting = await intake.until_state(FeedState.WAITING)
    assert waiting.retry_in_s == 42


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (format_datetime(datetime.fromtimestamp(T0 / 1_000 + 30, UTC), usegmt=True), 30.0),
        (format_datetime(datetime.fromtimestamp(T0 / 1_000 - 30, UTC), usegmt=True), 0.0),
        ("99999999999", 3_600.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        (None, None),
    ],
)
def test_a_wait_may_be_given_as_a_date_and_is_bounded(value: str | None, seconds: float | None) -> None:
    assert websocket_client._retry_after(value, T0) == seconds


async def test_being_closed_for_policy_needs_a_person() -> None:
    async def refuse(connection: ServerConnection) -> None:
        await connection.close(1008, "no")

    intake, clock = RecordingIntake(), ManualClock()
    async with (sockets := ScriptedSockets(refuse)).running(), running(feed(sockets.url, intake, clock)):
        refused = await intake.until_state(FeedState.REFUSED)
    assert "1008" in refused.sentence


async def test_no_server_and_a_server_of_another_kind_are_tried_again() -> None:
    async def not_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ready\r\n")
        writer.close()

    server = await asyncio.start_server(not_http, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    intake, clock = RecordingIntake(), ManualClock()
    async with running(feed(f"ws://127.0.0.1:{port}", intake, clock)):
        other = await intake.until_state(FeedState.WAITING)
        assert "cannot connect" in other.sentence
        server.close()
        await server.wait_closed()
        await clock.until_sleeping()
        await clock.advance(LAST_CEILING_S)
        none = await intake.until_state(FeedState.WAITING, times=2)
    assert "cannot connect" in none.sentence


async def test_a_certificate_file_that_is_not_there_needs_a_person() -> None:
    intake, clock = RecordingIntake(), ManualClock()
    async with running(feed("wss://127.0.0.1:1", intake, clock, ca_file="no-such.pem")):
        refused = await intake.until_state(FeedState.REFUSED)
    assert "ca_file" in refused.sentence


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://h"},
        {"url": "ws://"},
        {"url": "ws://[h"},
        {"url": "ws://h:99999"},
        {"url": "ws://h:x"},
        {"url": "ws://h/#part"},
        {"url": "ws://h", "ca_file": "ca.pem"},
        {"url": "ws://h", "token": "line\nend"},
        {"url": "ws://h", "token": ""},
        {"url": "ws://h", "max_message_bytes": 1},
    ],
)
def test_options_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, WebSocketOptions)
