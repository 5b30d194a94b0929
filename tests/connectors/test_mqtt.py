"""Canonical events over MQTT, against a real broker: acknowledged after the commit, never before."""

import asyncio
import contextlib
import gc
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiomqtt
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontrow.core.errors import EventInvalid
from frontrow_connectors.canonical import decode_payload, decode_plain
from frontrow_connectors.contract import FeedState
from frontrow_connectors.inbox import MAX_BATCH, MAX_WAITING_BYTES
from frontrow_connectors.mqtt import MqttFeed, MqttOptions, packets
from frontrow_connectors.mqtt import client as mqtt_client
from frontrow_connectors.mqtt.decoder import decode_message
from frontrow_connectors.reconnect import LAST_CEILING_S, REFUSED_WAIT_S
from tests.connectors.samples import ROOM, line
from tests.support.clock import ManualClock, settle
from tests.support.feed_runs import GatedIntake
from tests.support.feeds import RecordingIntake
from tests.support.mosquitto import PROGRAM, Mosquitto, needs_broker

TOPIC = "frontrow/demo/events"


def ids(intake: RecordingIntake) -> list[str]:
    return [each.id for each in intake.events]


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    running = Mosquitto(tmp_path)
    await running.start()
    yield running
    await running.stop()


class Playing:
    """A feed that runs; ``quit`` cancels it, as the daemon's end does."""

    def __init__(self, port: int, intake: RecordingIntake, clock: ManualClock, **options: Any) -> None:
        made = msgspec.convert({"host": "127.0.0.1", "port": port, **options}, MqttOptions)
        self._task = asyncio.ensure_future(MqttFeed(made, intake.context(clock, room=ROOM)).run())

    async def quit(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


Play = Callable[..., Awaitable[Playing]]


@pytest.fixture
async def play(broker: Mosquitto) -> AsyncIterator[Play]:
    """Start a feed at the broker and wait until it is connected."""
    feeds: list[Playing] = []

    async def play(intake: RecordingIntake, clock: ManualClock | None = None, **options: Any) -> Playing:
        feeds.append(Playing(broker.port, intake, clock or ManualClock(), **options))
        await intake.until_state(FeedState.CONNECTED)
        return feeds[-1]

    yield play
    for feed in feeds:
        await feed.quit()


async def publish(broker: Mosquitto, *payloads: bytes, qos: int = 1, topic: str = TOPIC) -> None:
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        for payload in payloads:
            await client.publish(topic, payload, qos=qos)


# --- the decoder


def test_a_payload_is_one_event_an_array_or_lines() -> None:
    one, two = line("a"), line("b")
    pretty = msgspec.json.format(one, indent=2)
    for body, expected in [
        (one, ["a"]),
        (pretty, ["a"]),
        (b"[" + one + b"," + two + b"]", ["a", "b"]),
        (one + b"\n\n" + two + b"\n", ["a", "b"]),
        (b"\xef\xbb\xbf" + one, ["a"]),
        (one[:-1] + b',"newer":1}\n' + two, ["a", "b"]),
    ]:
        batch = decode_payload(body, ROOM)
        assert [each.id for each in batch.events] == expected
        assert not batch.rejected


def test_a_bad_element_is_rejected_by_position_and_the_others_are_taken() -> None:
    wrong_room, tick = line("x", room="other"), line("y", kind="tick")
    parts = [line("a"), wrong_room, b"{}", line("b"), tick]
    for body in (b"[" + b",".join(parts) + b"]", b"\n".join(parts)):
        batch = decode_payload(body, ROOM)
        assert [each.id for each in batch.events] == ["a", "b"]
        assert [each.index for each in batch.rejected] == [1, 2, 4]


def test_one_bad_object_is_one_reject_however_many_lines_it_has() -> None:
    batch = decode_payload(b'{\n"id": "a",\n"kind": 5\n}', ROOM)
    assert not batch.events
    assert len(batch.rejected) == 1


@pytest.mark.parametrize("body", [b"", b" \n", b"[1,", b"\xef\xbb\xbf"])
def test_what_is_none_of_the_forms_is_refused_whole(body: bytes) -> None:
    with pytest.raises(EventInvalid):
        decode_payload(body, ROOM)


def test_a_payload_beyond_the_bound_is_refused() -> None:
    with pytest.raises(EventInvalid, match="more than 1024 bytes"):
        decode_message(line("a") + b" " * 1_024, ROOM, max_bytes=1_024)


part = st.sampled_from(
    [
        line("a"), line("b", kind="comment", text="多少钱"), line("c", kind="comment"), line("d", room="other"),
        line("e", platform="other"), line("f", kind="tick"), line("g")[:-1] + b',"newer":{"deep":[1]}}', b"",
        b"[" + line("h") + b"]", line("i") + b"\n" + line("j"), line("k") + line("l"), b"7", b"{}", line("m") + b"\n",
        line("n")[:20], line("n")[20:], b"\xef\xbb\xbf" + line("o"), b"\xff", line("p") + b"\n\n" + line("q"), b"\n",
    ]
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(part, max_size=6))
def test_many_payloads_together_give_what_each_gives_by_itself(payloads: list[bytes]) -> None:
    """The quick way either gives the same or says that it cannot."""
    together = decode_plain(payloads, ROOM)
    if together is None:
        return
    batches = [decode_payload(each, ROOM) for each in payloads]
    assert together == [event for batch in batches for event in batch.events]
    assert not any(batch.rejected for batch in batches)


def test_plain_payloads_do_take_the_quick_way() -> None:
    assert decode_plain([line("a"), line("b") + b"\n" + line("c")], ROOM) is not None
    for other in (line("x", room="other"), line("x", platform="other"), line("x", kind="tick"), b"{}", b""):
        assert decode_plain([line("a"), other], ROOM) is None


Json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["id", "kind", "at", "x"]), inner)
    ),
    max_leaves=12,
)


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.binary(max_size=200)
    | Json.map(msgspec.json.encode)
    | Json.map(lambda j: line("a") + msgspec.json.encode(j))
)
def test_no_payload_whatever_breaks_the_decoder(body: bytes) -> None:
    try:
        batch = decode_payload(body, ROOM)
    except EventInvalid:
        return
    assert all(each.room == ROOM.room for each in batch.events)
    assert len({each.index for each in batch.rejected}) == len(batch.rejected)


# --- the broker


@needs_broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("qos", [0, 1])
async def test_events_arrive(broker: Mosquitto, play: Play, protocol: str, qos: int) -> None:
    intake = RecordingIntake()
    await play(intake, protocol=protocol, qos=qos)
    await publish(
        broker, line("a"), b"[" + line("b") + b"," + line("c") + b"]", line("d") + b"\n" + line("e"), qos=qos
    )
    await intake.until(5)
    assert ids(intake) == ["a", "b", "c", "d", "e"]
    assert intake.statuses[-1].sentence == f"Connected: 127.0.0.1:{broker.port}."


@needs_broker
async def test_topics_and_wildcards_are_as_configured(broker: Mosquitto, play: Play) -> None:
    intake = RecordingIntake()
    await play(intake, topics=["shop/+/{room}", "other"])
    await publish(broker, line("no"), topic=TOPIC)
    await publish(broker, line("a"), topic="shop/7/demo")
    await publish(broker, line("b"), topic="other")
    await intake.until(2)
    assert ids(intake) == ["a", "b"]


@needs_broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_what_was_not_durable_when_the_daemon_died_comes_again(
    broker: Mosquitto, play: Play, protocol: str
) -> None:
    """The heart of it: acknowledged means stored."""
    dying = RecordingIntake(hold=True)
    feed = await play(dying, protocol=protocol)
    await publish(broker, line("a"), line("b"))
    await dying.until(2)
    await feed.quit()
    dying.make_durable()  # too late: nobody listens

    second = RecordingIntake()
    feed = await play(second, protocol=protocol)
    await second.until(2)
    assert ids(second) == ["a", "b"]
    await acknowledged(broker, second)
    await feed.quit()

    third = RecordingIntake()
    await play(third, protocol=protocol)
    await publish(broker, line("after"))
    await third.until(1)
    assert ids(third) == ["after"]


async def acknowledged(broker: Mosquitto, intake: RecordingIntake) -> None:
    """Wait until the broker has all acknowledgements: they travel in order before what comes of this."""
    sentinel = len(intake.events) + 1
    await publish(broker, line(f"sentinel-{sentinel}"))
    await intake.until(sentinel)
    await asyncio.sleep(0.1)  # in real time: nothing tells us that the last acknowledgement was read


@needs_broker
async def test_acknowledgements_stop_at_the_first_that_is_not_durable(broker: Mosquitto, play: Play) -> None:
    """They go out in the order of arrival (MQTT 5.0, 4.6), so a later commit waits for an earlier one."""
    intake = RecordingIntake(hold=True)
    feed = await play(intake)
    await publish(broker, line("a"))
    await intake.until(1)
    await publish(broker, line("b"))  # later, so that it has a receipt of its own
    await intake.until(2)
    future, _ = intake.held.pop()
    future.set_result(None)  # type: ignore[arg-type]  # "b" alone becomes durable; its receipt is not looked at
    await settle()
    await feed.quit()
    second = RecordingIntake()
    await play(second)
    await second.until(2)
    assert ids(second) == ["a", "b"]


@needs_broker
async def test_events_published_while_the_daemon_is_away_wait_for_it(broker: Mosquitto, play: Play) -> None:
    feed = await play(RecordingIntake())
    await feed.quit()
    await publish(broker, line("a"))
    intake = RecordingIntake()
    await play(intake)
    await intake.until(1)
    assert ids(intake) == ["a"]


@needs_broker
async def test_the_broker_sends_no_more_than_may_wait_for_the_commit(broker: Mosquitto, play: Play) -> None:
    """Back-pressure: a slow disk does not fill our memory, the rest stays with the broker."""
    intake = RecordingIntake(hold=True)
    await play(intake, max_in_flight=5)
    await publish(broker, *(line(f"e{n}") for n in range(30)))
    await intake.until(5)
    await asyncio.sleep(0.1)  # in real time: that nothing more comes cannot be waited for otherwise
    assert len(intake.events) == 5
    async with asyncio.timeout(10):
        while len(intake.events) < 30:
            intake.make_durable()
            await asyncio.sleep(0.005)
    assert ids(intake) == [f"e{n}" for n in range(30)]


@needs_broker
async def test_garbage_is_counted_by_reason_acknowledged_and_the_others_go_on(
    broker: Mosquitto, play: Play
) -> None:
    intake = RecordingIntake()
    feed = await play(intake, max_payload_bytes=1_024)
    secret = b"words of a viewer"
    await publish(
        broker, b"", b"\xff\xfe" + secret, b"[" + line("a") + b',{"id":1}]', line("b", room="other")
    )
    await publish(broker, b"x" * 2_000, line("c"))
    await intake.until(2)
    # Nothing is wrong with these but the length of one; they come after the others, and are looked at together.
    await publish(broker, line("too long") + b" " * 2_000, line("e"))
    await intake.until(3)
    assert ids(intake) == ["a", "c", "e"]
    assert len(intake.rejected) == 6
    assert "viewer" not in " ".join(intake.rejected)
    await acknowledged(broker, intake)
    await feed.quit()
    again = RecordingIntake()
    await play(again)
    await publish(broker, line("d"))
    await again.until(1)
    assert ids(again) == ["d"]
    assert not again.rejected


@needs_broker
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_a_broker_that_goes_and_comes_back_is_found_again(
    broker: Mosquitto, play: Play, how: signal.Signals
) -> None:
    intake, clock = RecordingIntake(), ManualClock()
    await play(intake, clock)
    await broker.stop(how)
    waiting = await intake.until_state(FeedState.WAITING)
    assert waiting.sentence.startswith("Connection lost: ")
    await clock.until_sleeping()
    await clock.advance(LAST_CEILING_S)
    still = await intake.until_state(FeedState.WAITING, times=2)
    assert "cannot connect" in still.sentence
    await broker.start()
    await clock.until_sleeping()
    await clock.advance(LAST_CEILING_S)
    await intake.until_state(FeedState.CONNECTED, times=2)
    await publish(broker, line("a"))
    await intake.until(1)
    assert ids(intake) == ["a"]


@needs_broker
async def test_a_client_that_is_thrown_out_by_a_second_one_comes_back(broker: Mosquitto, play: Play) -> None:
    intake, clock = RecordingIntake(), ManualClock()
    await play(intake, clock, client_id="one")
    async with aiomqtt.Client("127.0.0.1", broker.port, identifier="one"):
        await intake.until_state(FeedState.WAITING)
    await clock.until_sleeping()
    await clock.advance(LAST_CEILING_S)
    await intake.until_state(FeedState.CONNECTED, times=2)


@needs_broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_wrong_password_needs_a_person_and_the_right_one_is_taken(
    tmp_path: Path, protocol: str
) -> None:
    assert PROGRAM is not None
    passwords = tmp_path / "passwords"
    maker = Path(PROGRAM).with_name("mosquitto_passwd")
    if not maker.exists():
        maker = Path("/usr/bin/mosquitto_passwd")
    if not maker.exists():
        pytest.skip("mosquitto_passwd is not installed")
    subprocess.run([maker, "-b", "-c", passwords, "frontrow", "right"], check=True)  # noqa: ASYNC221 - short
    broker = Mosquitto(tmp_path, "allow_anonymous false", f"password_file {passwords}")
    await broker.start()
    try:
        wrong = RecordingIntake()
        clock = ManualClock()
        feed = Playing(broker.port, wrong, clock, username="frontrow", password="wrong", protocol=protocol)
        refused = await wrong.until_state(FeedState.REFUSED)
        assert refused.retry_in_s == REFUSED_WAIT_S
        assert "wrong" not in refused.sentence or "wrong user name or password" in refused.sentence
        await feed.quit()
        right = RecordingIntake()
        feed = Playing(broker.port, right, clock, username="frontrow", password="right", protocol=protocol)
        await right.until_state(FeedState.CONNECTED)
        await feed.quit()
    finally:
        await broker.stop()


@needs_broker
async def test_a_subscription_that_the_broker_forbids_needs_a_person(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic read allowed/#\n")
    broker = Mosquitto(tmp_path, "allow_anonymous true", f"acl_file {acl}")
    await broker.start()
    try:
        intake = RecordingIntake()
        feed = Playing(broker.port, intake, ManualClock(), topics=["allowed/x", "$bad/#/filter"])
        refused = await intake.until_state(FeedState.REFUSED)
        assert "filter" in refused.sentence
        await feed.quit()
    finally:
        await broker.stop()


@needs_broker
async def test_over_tls_the_brokers_certificate_is_checked(tmp_path: Path) -> None:
    key, cert = make_certificate(tmp_path)
    broker = Mosquitto(tmp_path, "allow_anonymous true", f"keyfile {key}", f"certfile {cert}")
    await broker.start()
    try:
        stranger = RecordingIntake()
        feed = Playing(broker.port, stranger, ManualClock(), tls=True)
        refused = await stranger.until_state(FeedState.REFUSED)
        assert "the broker's certificate is not valid" in refused.sentence
        await feed.quit()
        known = RecordingIntake()
        feed = Playing(broker.port, known, ManualClock(), tls=True, ca_file=str(cert))
        await known.until_state(FeedState.CONNECTED)
        await feed.quit()
    finally:
        await broker.stop()


def make_certificate(folder: Path) -> tuple[Path, Path]:
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert),
    ]  # fmt: skip
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed, so no certificate can be made")
    return key, cert


@needs_broker
async def test_a_session_with_more_waiting_than_we_read_at_once_is_taken_up(
    broker: Mosquitto, play: Play
) -> None:
    """The broker sends what waited before it answers to our subscribing; to stop reading there would be for ever."""
    feed = await play(RecordingIntake())
    await feed.quit()
    words = "y" * 4_000
    block = b"[" + b",".join(line(f"{{}}-{n}", kind="comment", text=words) for n in range(25)) + b"]"
    blocks = [block.replace(b"{}", b"%d" % number) for number in range(15)]
    assert sum(map(len, blocks)) > MAX_WAITING_BYTES
    await publish(broker, *blocks)
    intake = RecordingIntake()
    await play(intake)
    await intake.until(25 * len(blocks))


@needs_broker
async def test_a_full_intake_stops_the_reading_and_qos_0_waits_at_the_broker(
    broker: Mosquitto, play: Play
) -> None:
    """Our memory stays bounded, and a pause that the kernel's and the broker's buffers bridge costs nothing."""
    intake = GatedIntake()
    intake.free.clear()
    await play(intake, qos=0)
    count = MAX_BATCH * 2 + 500
    await publish(broker, *(line(f"e{n}") for n in range(count)), qos=0)
    assert intake.events == []
    intake.free.set()
    await intake.until(count)
    assert ids(intake) == [f"e{n}" for n in range(count)]


# --- without a broker


async def test_a_certificate_file_that_is_not_there_needs_a_person() -> None:
    intake = RecordingIntake()
    feed = Playing(1, intake, ManualClock(), tls=True, ca_file="no-such-file.pem")
    refused = await intake.until_state(FeedState.REFUSED)
    assert "certificate" in refused.sentence
    await feed.quit()


@contextlib.asynccontextmanager
async def silent_server() -> AsyncIterator[tuple[int, list[asyncio.StreamWriter]]]:
    """Takes connections and never says a word."""
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], writers
    finally:
        for writer in writers:
            writer.close()
        server.close()
        await server.wait_closed()


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
CONNACK, SUBACK = b"\x20\x03\0\0\0", b"\x90\x04\0\x01\0\0"


@contextlib.asynccontextmanager
async def scripted_broker(
    after: Answer, *, connack: bytes = CONNACK, suback: bytes = SUBACK
) -> AsyncIterator[int]:
    """Answers to connecting and subscribing as it is told to, and then does what the test wants."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            for answer in (connack, suback):
                head = await reader.readexactly(2)
                await reader.readexactly(head[1])
                writer.write(answer)
            await after(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read and never say a word."""
    while await reader.read(1_024):
        pass


def saying(*words: bytes) -> Answer:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"".join(words))
        await listen(reader, writer)

    return say


async def test_a_broker_whose_answers_to_pings_we_do_not_read_is_not_taken_for_dead() -> None:
    """A full intake is our fault. It takes four seconds, the shortest keepalive that MQTT has being one."""
    body = b"\0\1t\0" + line("a")
    message = b"\x30" + bytes((len(body) & 127 | 128, len(body) >> 7)) + body

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(message * MAX_BATCH * 4)
        while (await reader.read(2)) == packets.PING:
            writer.write(b"\xd0\0")

    intake = GatedIntake()
    intake.free.clear()
    async with scripted_broker(pour) as port:
        feed = Playing(port, intake, ManualClock(), keepalive_s=1, qos=0)
        await intake.until_state(FeedState.CONNECTED)
        await asyncio.sleep(
            2.0
        )  # longer than we wait for an answer, had we not stopped the reading ourselves
        intake.free.set()
        await intake.until(MAX_BATCH * 4)
        await asyncio.sleep(2.0)  # and as long again, in which pings are answered
        assert intake.statuses[-1].state is FeedState.CONNECTED
        await feed.quit()


async def test_a_broker_that_falls_silent_is_found_dead_by_the_patience_it_asked_for() -> None:
    """A half-open connection looks alive to TCP for hours; 1.5 times the keepalive is the standard's limit."""
    intake = RecordingIntake()
    asks_for_a_second = b"\x20\x06\0\0\x03\x13\0\x01"
    async with scripted_broker(listen, connack=asks_for_a_second) as port:
        feed = Playing(port, intake, ManualClock(), keepalive_s=600)
        await intake.until_state(FeedState.CONNECTED)
        waiting = await intake.until_state(FeedState.WAITING, patience_s=10)
        await feed.quit()
    assert waiting.sentence.startswith("Connection lost: the broker no longer answers")


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        (b"\xe0\x01\x8e", "another client came with the same client id"),
        (b"\xe0\x00", "the broker closed the connection: in order"),
        (b"\xe0\x01\xa2", "code 0xA2"),
        (b"\x30\x01\0", "the broker sent a message without a topic"),
        (b"\x10\x00", "a packet that is none of a broker's"),
        (SUBACK, "answered what was not asked"),
        (CONNACK, "answered what was not asked"),
        (b"HTTP/1.1 400 Bad Request\r\n".ljust(100, b"."), "a packet that is none of a broker's"),
        (b"\x90" + b"\xff" * 8, "the broker sent a length of more than four bytes"),
    ],
)
async def test_a_broker_that_leaves_or_talks_nonsense_is_left_with_a_sentence(
    word: bytes, sentence: str
) -> None:
    intake = RecordingIntake()
    message = (
        b"\x30" + bytes((4 + len(line("a")) & 127 | 128, 4 + len(line("a")) >> 7)) + b"\0\1t\0" + line("a")
    )
    async with scripted_broker(saying(message, word)) as port:
        feed = Playing(port, intake, ManualClock(), max_payload_bytes=1_024, qos=0)
        waiting = await intake.until_state(FeedState.WAITING)
        await feed.quit()
    assert sentence in waiting.sentence
    assert ids(intake) == ["a"]  # what came before is delivered


@pytest.mark.parametrize(
    ("connack", "suback", "state", "sentence"),
    [
        (b"\x20\x03\0\x8a\0", SUBACK, FeedState.REFUSED, "this client is banned"),
        (
            b"\x20\x03\0\x89\0",
            SUBACK,
            FeedState.WAITING,
            "cannot connect (the broker answered with code 0x89)",
        ),
        (b"\x20\x01\0", SUBACK, FeedState.WAITING, "cannot connect (the broker sent an answer"),
        (b"\x20\x04\0\0\x01\x99", SUBACK, FeedState.WAITING, "cannot connect (the broker sent properties"),
        (
            CONNACK,
            b"\x90\x04\0\x01\0\x87",
            FeedState.REFUSED,
            "refuses the subscription to frontrow/demo/events",
        ),
        (
            CONNACK,
            b"\x90\x05\0\x01\0\0\0",
            FeedState.WAITING,
            "cannot subscribe (the broker sent answers to more",
        ),
        (CONNACK, b"\x90\x04\0\x02\0\0", FeedState.WAITING, "cannot subscribe (the broker sent an answer"),
        (CONNACK, b"", FeedState.WAITING, "cannot subscribe (no answer in time)"),
    ],
)
async def test_every_answer_of_a_broker_becomes_a_state_and_a_sentence(
    connack: bytes, suback: bytes, state: FeedState, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_client, "TIMEOUT_S", 1.0)
    intake = RecordingIntake()
    async with scripted_broker(listen, connack=connack, suback=suback) as port:
        feed = Playing(port, intake, ManualClock())
        status = await intake.until_state(state)
        await feed.quit()
    assert sentence in status.sentence


@pytest.mark.parametrize("tls", [False, True])
async def test_a_broker_that_never_answers_is_given_up_and_its_socket_closed(
    monkeypatch: pytest.MonkeyPatch, tls: bool
) -> None:
    monkeypatch.setattr(mqtt_client, "TIMEOUT_S", 0.1)
    intake = RecordingIntake()
    async with silent_server() as (port, writers):
        feed = Playing(port, intake, ManualClock(), tls=tls)
        waiting = await intake.until_state(FeedState.WAITING)
        assert "cannot connect" in waiting.sentence
        assert len(writers) == 1
        await feed.quit()
        gc.collect()  # an unclosed socket would be a ResourceWarning, and so an error


async def test_a_feed_that_is_cancelled_while_it_connects_leaves_nothing_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mqtt_client, "TIMEOUT_S", 0.2)
    intake = RecordingIntake()
    async with silent_server() as (port, writers):
        feed = Playing(port, intake, ManualClock())
        await intake.until_state(FeedState.CONNECTING)
        await asyncio.sleep(0)
        await feed.quit()
        assert len(writers) <= 1
        gc.collect()
    await settle()
    assert {task.get_name() for task in asyncio.all_tasks()} == {asyncio.current_task().get_name()}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "wrong",
    [
        {"topics": []},
        {"qos": 2},
        {"port": 0},
        {"protocol": "3.1"},
        {"password": "p"},
        {"ca_file": "ca.pem"},
        {"tls": True, "key_file": "key.pem"},
        {"max_in_flight": 0},
    ],
)
def test_options_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, MqttOptions)
