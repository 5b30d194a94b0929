"""Bilibili Open-Live: framing that believes nothing, the mapping of every message, and the session's life."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import brotli
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection

from frontrow.core.events import RoomRef, decode_event, encode_event
from frontrow_connectors.bilibili import CONNECTOR
from frontrow_connectors.bilibili.client import END_TIMEOUT_S, BilibiliFeed
from frontrow_connectors.bilibili.decoder import (
    HEADER,
    MAX_DEPTH,
    MAX_INFLATED_BYTES,
    Decoded,
    Room,
    decode_frame,
    packet,
    signed_headers,
)
from frontrow_connectors.bilibili.options import BilibiliOptions
from frontrow_connectors.contract import UNKNOWN, FeedState
from tests.support.clock import ManualClock
from tests.support.feed_runs import GatedIntake, eager, running, until
from tests.support.http_server import Failure, Reply, Request, scripted_server
from tests.support.recordings import recording
from tests.support.websocket_server import Script, ScriptedSockets, cut, stay

ROOM = RoomRef(id="main", platform="bilibili", room="4639581")
NOW = 1_750_000_000_000
SECONDS = 1_749_999_990
HOST = "open-id-of-the-anchor"


def decode(frame: bytes) -> Decoded:
    return decode_frame(frame, Room(ROOM, HOST, NOW))


def message(cmd: str, prefix: str = "LIVE_OPEN_PLATFORM_", /, **data: Any) -> bytes:
    return packet(5, json.dumps({"cmd": prefix + cmd, "data": data}, ensure_ascii=False).encode(), version=0)


def comment(id: str = "m-1", text: str = "这个多少钱") -> bytes:
    return message(
        "DM", msg_id=id, msg=text, timestamp=SECONDS, open_id="viewer-1", uname="小满", room_id=4639581
    )


def test_requests_are_signed_as_the_published_formula_says() -> None:
    headers = signed_headers(
        b'{"game_id":"g1"}', key="ak", secret="sk", nonce="n1", timestamp_s=1_700_000_000
    )
    assert headers["x-bili-content-md5"] == "7b104299c85be159545209b2a73257bf"
    assert headers["Authorization"] == "c181cad0785d7840161895b2157001b024de337e6a350d44caf98b92bd9d3548"


@pytest.mark.recordings
def test_real_frames_are_taken_apart() -> None:
    """One of them is a heartbeat's reply whose length field leaves out the echo behind it."""
    frames = {
        entry["name"]: bytes.fromhex(entry["hex"])
        for entry in json.loads(recording("fixtures/bilibili/raw_packets.json").read_text())
    }
    assert decode(frames["auth_reply"]).auth_code == 0
    assert decode(frames["heartbeat"]) == Decoded()
    assert decode(frames["heartbeat_reply_popularity"]) == Decoded()
    [event] = decode(frames["normal_packet_brotli_watched_change"]).events
    assert event.kind == UNKNOWN
    assert event.extra is not None
    assert event.extra["type"] == "WATCHED_CHANGE"


USER = {"open_id": "viewer-1", "uname": "小满", "uface": "http://127.0.0.1/face.jpg", "timestamp": SECONDS}
FROM_USER = {"viewer": "viewer-1", "name": "小满", "at": SECONDS * 1_000}


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (
            message("DM", **USER, msg="有现货吗", msg_id="m1", fans_medal_level=3, guard_level=0, is_admin=0),
            [{"id": "m1", "kind": "comment", "text": "有现货吗", "fan": True, "staff": False, **FROM_USER}],
        ),
        (
            message("DM_MIRROR", **USER, msg="有现货吗", msg_id="m1"),
            [{"id": "m1", "kind": "comment", "text": "有现货吗", "fan": None, "staff": None, **FROM_USER}],
        ),
        (
            message("DM", **{**USER, "open_id": HOST}, msg="大家好", msg_id="m2", guard_level=0),
            [{"id": "m2", "kind": "comment", "viewer": HOST, "staff": True, "fan": False}],
        ),
        (
            message("DM", **{**USER, "open_id": ""}, uid=77, msg="旧版", msg_id="m3"),
            [{"id": "m3", "viewer": "77"}],
        ),
        (
            message("SEND_GIFT", **USER, msg_id="g1", gift_name="铃铛", gift_num=3, r_price=1000, price=900, paid=True),
            [{"id": "g1", "kind": "gift", "gift": "铃铛", "count": 3, "value": 300, "currency": "CNY", **FROM_USER}],
        ),
        (
            message("SEND_GIFT", **USER, msg_id="g2", gift_name="小心心", gift_num=1, r_price=5000, paid=False),
            [{"id": "g2", "kind": "gift", "count": 1, "value": None, "currency": None}],
        ),
        (
            message("SEND_GIFT", **USER, msg_id="g3", gift_name="旧礼物", gift_num=1, price=105, paid=True),
            [{"id": "g3", "value": 11}],
        ),
        (
            message("SUPER_CHAT", **USER, message_id=42, message="首发什么时候", rmb=30, guard_level=3),
            [
                {"id": "sc-42-gift", "kind": "gift", "value": 3000, "currency": "CNY", "fan": True, **FROM_USER},
                {"id": "sc-42-comment", "kind": "comment", "text": "首发什么时候", "value": None, **FROM_USER},
            ],
        ),
        (
            message(
                "GUARD",
                user_info={"open_id": "viewer-1", "uname": "小满"},
                guard_level=3, guard_num=1, guard_unit="月", price=198_000, msg_id="s1", timestamp=SECONDS,
            ),
            [
                {
                    "id": "s1", "kind": "order_paid", "product": "guard-3", "count": 1, "value": 19_800,
                    "currency": "CNY", "fan": True, **FROM_USER,
                },
                {"id": "s1-fan-club", "kind": "fan_club", "level": 3, **FROM_USER},
            ],
        ),
        (
            message("LIKE", **USER, like_count=14, like_text="点赞了", msg_id="l1"),
            [{"id": "l1", "kind": "like", "count": 14, **FROM_USER}],
        ),
        (message("LIVE_ROOM_ENTER", **USER, msg_id="e1"), [{"id": "e1", "kind": "enter", **FROM_USER}]),
        (
            message("LIVE_START", **{**USER, "open_id": HOST}, title="新品", msg_id="b1"),
            [{"id": "b1", "kind": "room_start", "at": SECONDS * 1_000}],
        ),
        (message("LIVE_END", timestamp=SECONDS, msg_id="b2"), [{"id": "b2", "kind": "room_end"}]),
        (
            message("SUPER_CHAT_DEL", message_ids=[42], msg_id="d1"),
            [{"id": "d1", "kind": UNKNOWN, "at": NOW}],
        ),
        (
            message("SOMETHING_NEW", msg_id="n1", open_id="viewer-9", timestamp=SECONDS),
            [{"id": "n1", "kind": UNKNOWN, "viewer": "viewer-9", "at": SECONDS * 1_000}],
        ),
        (message("WATCHED_CHANGE", "", num=5), [{"kind": UNKNOWN, "at": NOW}]),
    ],
)  # fmt: skip
def test_each_message_becomes_its_canonical_events(frame: bytes, expected: list[dict[str, Any]]) -> None:
    decoded = decode(frame)
    assert decoded.rejected == []
    assert len(decoded.events) == len(expected)
    for event, fields in zip(decoded.events, expected, strict=True):
        assert {name: getattr(event, name) for name in fields} == fields
        assert (event.platform, event.room) == ("bilibili", "4639581")


def test_fields_without_a_place_are_kept() -> None:
    [event] = decode(message("DM", **USER, msg="好", msg_id="m1", reply_uname="阿川", glory_level=4)).events
    assert event.extra == {"uface": USER["uface"], "reply_uname": "阿川", "glory_level": 4}


def test_a_message_without_an_id_gets_the_same_one_each_time() -> None:
    first, second = (decode(message("LIVE_ROOM_ENTER", **USER)).events[0].id for _ in range(2))
    other = decode(message("LIVE_ROOM_ENTER", **{**USER, "open_id": "viewer-2"})).events[0].id
    assert first == second != other


def test_an_ended_session_is_told_and_stored() -> None:
    decoded = decode(message("INTERACTION_END", game_id="game-1", timestamp=SECONDS))
    assert decoded.ended == ["game-1"]
    assert [event.kind for event in decoded.events] == [UNKNOWN]


def pack(frame: bytes, version: int) -> bytes:
    body = zlib.compress(frame) if version == 2 else brotli.compress(frame)
    return packet(5, body, version=version)


@pytest.mark.parametrize(
    "frame",
    [
        comment("a") + comment("b"),
        pack(comment("a") + comment("b"), 2),
        pack(comment("a") + comment("b"), 3),
        pack(pack(comment("a"), 3) + comment("b"), 2),
        comment("a") + packet(3, b"\0\0\0\1") + pack(comment("b"), 3),
        packet(8, b'{"code":0}') + comment("a") + comment("b"),
    ],
)
def test_packets_in_a_row_and_in_each_other_are_all_found(frame: bytes) -> None:
    decoded = decode(frame)
    assert [event.id for event in decoded.events] == ["a", "b"]
    assert decoded.rejected == []


def lying(length: int, header: int = 16) -> bytes:
    return HEADER.pack(length, header, 0, 5, 1) + b"{}"


@pytest.mark.parametrize(
    "bad",
    [
        lying(0), lying(15), lying(10_000), lying(2**32 - 1), lying(18, 0), lying(18, 19), b"\0" * 15, b"x",
    ],
)  # fmt: skip
def test_a_length_that_lies_costs_no_neighbour_before_it(bad: bytes) -> None:
    decoded = decode(comment("good") + bad)
    assert [event.id for event in decoded.events] == ["good"]
    assert decoded.rejected == ["a packet whose length field cannot be true"]


@pytest.mark.parametrize(
    "bad",
    [
        packet(5, b"not json", version=0),
        packet(5, b'{"no":"cmd"}', version=0),
        packet(5, b"[" * 100_000, version=0),
        packet(5, b"\xff\xfe", version=0),
        packet(5, b"not zlib", version=2),
        packet(5, b"not brotli", version=3),
        packet(5, brotli.compress(b"x" * 99)[:-3], version=3),
        packet(5, zlib.compress(b"0" * (MAX_INFLATED_BYTES + 1)), version=2),
        packet(5, brotli.compress(b"0" * (MAX_INFLATED_BYTES + 1)), version=3),
        packet(8, b"{"),
        message("DM", msg_id="x", timestamp=SECONDS),
        message("DM", msg_id="x", msg=7),
        message("DM", msg_id="x", msg="hi", timestamp=1),
        message("SEND_GIFT", msg_id="x", gift_num="3"),
        message("SEND_GIFT", msg_id="x", gift_num=-1),
        message("SUPER_CHAT", message_id=1, message="hi", rmb="30"),
    ],
)
def test_a_bad_packet_is_rejected_with_a_reason_and_its_neighbours_stay(bad: bytes) -> None:
    decoded = decode(comment("before") + bad + comment("after"))
    assert [event.id for event in decoded.events] == ["before", "after"]
    assert decoded.rejected


def test_what_was_inflated_before_the_damage_is_taken() -> None:
    body = zlib.compress(comment("whole") + comment("cut"), level=0)
    decoded = decode(packet(5, body[:-30], version=2) + comment("after"))
    assert [event.id for event in decoded.events] == ["whole", "after"]
    assert decoded.rejected


def test_packets_are_not_followed_for_ever_inwards() -> None:
    frame = comment("deep")
    for _ in range(MAX_DEPTH + 1):
        frame = pack(frame, 2)
    decoded = decode(frame + comment("flat"))
    assert [event.id for event in decoded.events] == ["flat"]
    assert decoded.rejected == ["packets packed into packets too deeply"]


def test_the_inflation_budget_is_one_for_the_whole_frame() -> None:
    """Many middling bombs must not do what one large one may not."""
    bomb = packet(5, zlib.compress(b"\0" * (MAX_INFLATED_BYTES // 2)), version=2)
    decoded = decode(bomb * 40)
    assert sum("compressed packet" in reason for reason in decoded.rejected) >= 38


def test_a_reason_never_quotes_the_viewer() -> None:
    decoded = decode(message("DM", msg="13800138000", msg_id="x", timestamp="13800138000", uname="小满"))
    assert decoded.rejected
    assert not any("13800138000" in reason or "小满" in reason for reason in decoded.rejected)


@given(st.binary(max_size=400))
@example(b"\0\0\0\x10\0\x10\0\x02\0\0\0\x05\0\0\0\x01")
def test_garbage_never_raises_and_never_loses_a_good_neighbour(garbage: bytes) -> None:
    assert decode(comment("good") + garbage).events[0].id == "good"


SCALAR = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=9),
)
VALUE = SCALAR | st.lists(SCALAR, max_size=2) | st.fixed_dictionaries({"open_id": SCALAR, "uname": SCALAR})
NAMES = [
    "msg_id", "message_id", "open_id", "uid", "uname", "timestamp", "start_time", "msg", "message", "rmb", "gift_num",
    "gift_name", "r_price", "price", "paid", "guard_level", "guard_num", "user_info", "like_count", "is_admin",
    "fans_medal_level", "game_id",
]  # fmt: skip
CMDS = [
    "DM",
    "SEND_GIFT",
    "SUPER_CHAT",
    "GUARD",
    "LIKE",
    "LIVE_ROOM_ENTER",
    "LIVE_START",
    "INTERACTION_END",
    "ODD",
]


@given(st.sampled_from(CMDS), st.dictionaries(st.sampled_from(NAMES), VALUE, max_size=12))
def test_wrong_types_and_absurd_values_are_events_or_reasons(cmd: str, data: dict[str, Any]) -> None:
    """And every event that comes out can be journalled and read back."""
    decoded = decode(message(cmd, **data) + comment("good"))
    assert decoded.events[-1].id == "good"
    assert len(decoded.events) > 1 or decoded.rejected
    for event in decoded.events:
        assert decode_event(encode_event(event)).id == event.id


# --- the client -------------------------------------------------------------------------------------------------


def says(code: int, **data: Any) -> Reply:
    return Reply(body=json.dumps({"code": code, "message": "", "data": data or None}).encode())


@dataclass
class OpenLive:
    """The platform's REST side, as a fake that works: it checks signatures and knows which sessions run."""

    links: list[str]
    start_codes: list[int] = field(default_factory=list)  # answered first, one by one
    heartbeat_code: int = 0
    room_id: int = 4639581
    hangs_at_end: bool = False
    calls: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    sessions: int = 0

    def answer(self, request: Request) -> Reply | Failure:
        headers = request.headers
        expected = signed_headers(
            request.body,
            key="ak",
            secret="sk",
            nonce=headers["x-bili-signature-nonce"],
            timestamp_s=int(headers["x-bili-timestamp"]),
        )["Authorization"]
        if headers["authorization"] != expected:
            return says(4002)
        verb = request.path.rpartition("/")[2]
        self.calls.append(verb)
        self.bodies.append(json.loads(request.body))
        if verb == "end" and self.hangs_at_end:
            return Failure.HANG
        if verb != "start":
            return says(self.heartbeat_code if verb == "heartbeat" else 0)
        if self.start_codes and (code := self.start_codes.pop(0)):
            return says(code)
        self.sessions += 1
        return says(
            0,
            game_info={"game_id": f"game-{self.sessions}"},
            websocket_info={"auth_body": self.auth_body(self.sessions), "wss_link": self.links},
            anchor_info={"room_id": self.room_id, "open_id": HOST, "uname": "主播", "uid": 0},
        )

    @staticmethod
    def auth_body(session: int) -> str:
        return json.dumps({"roomid": 4639581, "protover": 2, "key": f"key-{session}", "group": "open"})


@dataclass
class Platform:
    rest: OpenLive
    sockets: ScriptedSockets
    clock: ManualClock
    intake: GatedIntake
    feed: BilibiliFeed
    greetings: list[bytes]


def authenticated(greetings: list[bytes], then: Script, code: int = 0) -> Script:
    async def script(connection: ServerConnection) -> None:
        first = await connection.recv()
        assert isinstance(first, bytes)
        greetings.append(first)
        await connection.send(packet(8, json.dumps({"code": code}).encode()))
        await then(connection)

    return script


@asynccontextmanager
async def platform(
    *scripts: Script, links: int = 2, secret: str = "sk", **rest: Any
) -> AsyncIterator[Platform]:
    greetings: list[bytes] = []
    sockets = ScriptedSockets(*(authenticated(greetings, script) for script in scripts))
    async with sockets.running():
        fake = OpenLive([f"{sockets.url}/sub{number}" for number in range(links)], **rest)
        async with scripted_server() as server:
            server.on_request = lambda request: server.script.append(fake.answer(request))
            options = BilibiliOptions(
                access_key_id="ak", access_secret=secret, app_id=5, identity_code="CODE", api_url=server.url
            )
            clock, intake = ManualClock(), GatedIntake()
            feed = BilibiliFeed(options, eager(intake.context(clock, room=ROOM)))
            yield Platform(fake, sockets, clock, intake, feed, greetings)


def sends(*frames: bytes, then: Callable[[ServerConnection], Any] = stay) -> Script:
    async def script(connection: ServerConnection) -> None:
        for frame in frames:
            await connection.send(frame)
        result = then(connection)
        if asyncio.iscoroutine(result):
            await result

    return script


async def test_a_session_is_started_delivers_beats_and_is_ended() -> None:
    beats: list[bytes] = []

    async def listen(connection: ServerConnection) -> None:
        await connection.send(comment("m-1"))
        async for raw in connection:
            assert isinstance(raw, bytes)
            beats.append(raw)
            await connection.send(packet(3, b"\0\0\0\1") + raw[16:])

    async with platform(listen) as run:
        async with running(run.feed):
            [event] = await run.intake.until(1)
            assert event.id == "m-1"
            assert (await run.intake.until_state(FeedState.CONNECTED)).sentence == "Connected."
            for beat in range(1, 4):
                await run.clock.advance(30)
                await until(lambda beat=beat: len(beats) == beat)  # type: ignore[misc]
            await until(lambda: run.rest.calls.count("heartbeat") >= 1)
        assert run.greetings == [packet(7, run.rest.auth_body(1).encode())]
        assert set(beats) == {packet(2)}
        assert run.rest.bodies[0] == {"code": "CODE", "app_id": 5}
        assert run.rest.calls[-1] == "end"
        assert run.rest.bodies[-1] == {"app_id": 5, "game_id": "game-1"}
        assert not any(status.state is FeedState.WAITING for status in run.intake.statuses)


async def test_a_lost_connection_goes_on_at_the_next_address_with_the_same_authentication() -> None:
    async with (
        platform(sends(comment("a"), then=cut), sends(comment("a"), comment("b"))) as run,
        running(run.feed),
    ):
        events = await run.intake.until(3)
        assert [event.id for event in events] == ["a", "a", "b"]  # what is sent twice is passed on twice
        assert run.rest.calls.count("start") == 1
        assert run.sockets.paths == ["/sub0", "/sub1"]
        assert len(set(run.greetings)) == 1
        waiting = await run.intake.until_state(FeedState.WAITING)
        assert waiting.sentence == "Connection lost: the connection broke off; trying again in 0 s."


async def test_an_address_that_is_none_costs_only_its_turn() -> None:
    async with platform(sends(comment("a"))) as run:
        run.rest.links.insert(0, "nonsense")
        async with running(run.feed):
            await run.intake.until(1)
            waiting = await run.intake.until_state(FeedState.WAITING)
            assert waiting.detail == "the address of the feed is not a WebSocket address"
            assert run.rest.calls == ["start"]


@pytest.mark.parametrize(("links", "failures"), [(1, 3), (5, 5)])
async def test_after_enough_failures_the_session_is_ended_and_started_again(
    links: int, failures: int
) -> None:
    scripts = [sends(then=cut)] * failures + [sends(comment("late"))]
    async with platform(*scripts, links=links) as run, running(run.feed):
        await run.intake.until(1)
        assert [call for call in run.rest.calls if call != "heartbeat"] == ["start", "end", "start"]
        assert len(run.sockets.paths) == failures + 1
        assert run.greetings[-1] == packet(7, run.rest.auth_body(2).encode())


async def test_a_session_that_the_platform_ended_is_started_again_and_loses_nothing() -> None:
    last = comment("a") + message("INTERACTION_END", game_id="game-1") + comment("b")
    async with platform(sends(last), sends(comment("c"))) as run, running(run.feed):
        events = await run.intake.until(4)
        assert [event.id for event in events if event.kind == "comment"] == ["a", "b", "c"]
        assert run.rest.calls == ["start", "start"]


async def test_the_end_of_another_session_is_nothing_to_us() -> None:
    frames = message("INTERACTION_END", game_id="game-of-before"), comment("a")
    async with platform(sends(*frames)) as run, running(run.feed):
        await run.intake.until(2)
        assert run.rest.calls == ["start"]


@pytest.mark.parametrize("code", [7000, 7003])
async def test_a_heartbeat_told_that_the_session_is_over_starts_it_again(code: int) -> None:
    async with platform(stay, sends(comment("after")), heartbeat_code=code) as run, running(run.feed):
        await run.intake.until_state(FeedState.CONNECTED)
        await run.clock.until_sleeping(3)
        await run.clock.advance(20)
        await run.intake.until(1)
        run.rest.heartbeat_code = 0
        assert run.rest.calls[:3] == ["start", "heartbeat", "start"]
        detail = next(status.detail for status in run.intake.statuses if status.state is FeedState.WAITING)
        assert detail == f"the project session is over ({code}); a new one is started"


async def test_an_authentication_that_is_not_accepted_brings_a_new_session() -> None:
    async with platform(stay, sends(comment("after"))) as run:
        run.sockets.scripts = [authenticated(run.greetings, stay, code=-101), run.sockets.scripts[1]]
        async with running(run.feed):
            await run.intake.until(1)
            assert run.rest.calls == ["start", "start"]
            assert [status.state for status in run.intake.statuses] == [
                FeedState.CONNECTING, FeedState.WAITING, FeedState.CONNECTING, FeedState.CONNECTED,
            ]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "state", "words"),
    [
        (
            7007,
            FeedState.REFUSED,
            "Refused: the identity code (身份码) is wrong or out of date (7007); check",
        ),
        (8002, FeedState.REFUSED, "the access key has no right to this project"),
        (7001, FeedState.WAITING, "still being closed (7001); trying again in 10 s"),
        (7002, FeedState.WAITING, "still has a session of this project (7002); trying again in 30 s"),
        (5000, FeedState.WAITING, "code 5000"),
    ],
)
async def test_a_start_that_is_answered_no_says_what_to_do_and_is_tried_again(
    code: int, state: FeedState, words: str
) -> None:
    async with platform(sends(comment("at last")), start_codes=[code]) as run, running(run.feed):
        status = await run.intake.until_state(state)
        assert words in status.sentence
        if status.retry_in_s:
            await run.clock.until_sleeping(2)
            assert run.intake.events == []
            await run.clock.advance(status.retry_in_s)
        await run.intake.until(1)


async def test_a_wrong_secret_is_refused_in_words_that_do_not_tell_it() -> None:
    async with platform(stay, secret="not-the-secret") as run, running(run.feed):
        status = await run.intake.until_state(FeedState.REFUSED)
        assert "is the access secret right?" in status.sentence
        assert "not-the-secret" not in status.sentence


async def test_a_code_of_another_room_is_refused_and_its_session_ended() -> None:
    async with platform(stay, room_id=99) as run, running(run.feed):
        status = await run.intake.until_state(FeedState.REFUSED)
        assert "another room" in status.sentence
        await until(lambda: run.rest.calls == ["start", "end"])
        assert run.sockets.paths == []


async def test_a_silent_connection_is_given_up() -> None:
    async with platform(stay, sends(comment("after"))) as run, running(run.feed):
        await run.intake.until_state(FeedState.CONNECTED)
        await run.clock.until_sleeping(3)
        await run.clock.advance(71)
        await run.intake.until(1)
        assert run.intake.statuses[2].detail == "nothing heard for 70 s"


async def test_a_full_intake_does_not_hold_up_the_reading() -> None:
    """The platform cuts off who does not read, and sends nothing again: what comes is offered, not waited with."""
    async with platform(sends(comment("a"), comment("b"))) as run:
        run.intake.free.clear()
        async with running(run.feed):
            assert [event.id for event in await run.intake.until(2)] == ["a", "b"]


async def test_garbage_is_counted_and_the_connection_goes_on() -> None:
    garbage = [b"\0" * 7, packet(5, b"junk", version=3), packet(5, b"{", version=0), lying(2**31)]
    async with platform(sends(*garbage, comment("good"))) as run, running(run.feed):
        [event] = await run.intake.until(1)
        assert event.id == "good"
        assert len(run.intake.rejected) == 4
        assert len(run.sockets.paths) == 1


async def test_an_end_that_is_not_answered_does_not_hold_up_the_shutdown() -> None:
    async with platform(stay, hangs_at_end=True) as run, asyncio.timeout(END_TIMEOUT_S + 3):
        async with running(run.feed):
            await run.intake.until_state(FeedState.CONNECTED)
        assert run.rest.calls[-1] == "end"


def test_the_registry_entry_fits_the_options() -> None:
    assert (CONNECTOR.name, CONNECTOR.platform, CONNECTOR.options) == (
        "bilibili",
        "bilibili",
        BilibiliOptions,
    )
    assert CONNECTOR.client is BilibiliFeed
