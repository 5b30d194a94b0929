"""Twitch EventSub: the mapping of each notification, and a connection that moves, is revoked, is cut and garbles."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection

from frontrow.core.errors import EventInvalid
from frontrow.core.events import Event, RoomRef, decode_event, encode_event
from frontrow_connectors.contract import UNKNOWN, FeedState
from frontrow_connectors.twitch_eventsub.client import TwitchEventSubFeed
from frontrow_connectors.twitch_eventsub.decoder import (
    Keepalive,
    Message,
    Move,
    Notified,
    Revoked,
    Room,
    Welcome,
    decode_message,
)
from frontrow_connectors.twitch_eventsub.options import TwitchEventSubOptions
from tests.support.clock import ManualClock
from tests.support.feed_runs import GatedIntake, eager, running, until
from tests.support.http_server import Reply, Request, scripted_server
from tests.support.recordings import recording
from tests.support.websocket_server import Script, ScriptedSockets, cut, stay

ROOM = RoomRef(id="main", platform="twitch", room="1971641")
NOW = 1_750_000_000_000
SENT = "2025-06-15T15:06:38.464757833Z"
SENT_MS = 1_749_999_998_464


def envelope(type: str, payload: Any, /, id: str = "env-1", **metadata: Any) -> str:
    head = {"message_id": id, "message_type": type, "message_timestamp": SENT, **metadata}
    return json.dumps({"metadata": head, "payload": payload}, ensure_ascii=False)


def notification(type: str, event: Any, /, id: str = "env-1") -> str:
    payload = {"subscription": {"id": "s", "type": type, "version": "1", "status": "enabled"}, "event": event}
    return envelope("notification", payload, id=id, subscription_type=type, subscription_version="1")


def chat(id: str = "chat-1", text: str = "how much is it", **more: Any) -> str:
    event = {
        **CHANNEL,
        "chatter_user_id": "4145994",
        "chatter_user_login": "mira",
        "chatter_user_name": "Mira",
        "message_id": id,
        "message": {"text": text, "fragments": [{"type": "text", "text": text}]},
        "badges": [],
        "message_type": "text",
        "cheer": None,
        "reply": None,
        **more,
    }
    return notification("channel.chat.message", event, id=f"env-{id}")


CHANNEL = {
    "broadcaster_user_id": "1971641",
    "broadcaster_user_login": "shop",
    "broadcaster_user_name": "Shop",
}
MIRA = {"user_id": "4145994", "user_login": "mira", "user_name": "Mira", **CHANNEL}
FROM_MIRA = {"viewer": "4145994", "name": "Mira", "at": SENT_MS}
ANONYMOUS = {"user_id": None, "user_login": None, "user_name": None, "is_anonymous": True, **CHANNEL}


def decode(text: str, **room: Any) -> Message:
    return decode_message(text, Room(ROOM, NOW, **room))


def events(text: str, **room: Any) -> list[Event]:
    message = decode(text, **room)
    assert isinstance(message, Notified)
    return message.events


def badge(name: str) -> dict[str, str]:
    return {"set_id": name, "id": "1", "info": ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            chat(),
            [{"id": "chat-1", "kind": "comment", "text": "how much is it", "fan": False, "staff": False, **FROM_MIRA}],
        ),
        (chat(badges=[badge("subscriber"), badge("premium")]), [{"fan": True, "staff": False}]),
        (chat(badges=[badge("founder")]), [{"fan": True}]),
        (chat(badges=[badge("broadcaster")]), [{"staff": True}]),
        (chat(badges=[badge("moderator")]), [{"staff": True}]),
        (chat(badges=[badge("staff")]), [{"staff": False}]),
        (chat(source_broadcaster_user_id="77"), [{"kind": UNKNOWN, "id": "env-chat-1"}]),
        (
            notification("channel.cheer", {**MIRA, "is_anonymous": False, "message": "go", "bits": 1000}),
            [{"id": "env-1", "kind": "gift", "gift": "bits", "count": 1000, "value": 1000, "currency": "USD", **FROM_MIRA}],
        ),
        (
            notification("channel.cheer", {**ANONYMOUS, "message": "go", "bits": 5}),
            [{"kind": "gift", "viewer": None, "name": None, "count": 5}],
        ),
        (
            notification("channel.bits.use", {**MIRA, "bits": 20, "type": "power_up"}),
            [{"kind": "gift", "count": 20, "extra": {"type": "power_up"}}],
        ),
        (
            notification("channel.subscribe", {**MIRA, "tier": "1000", "is_gift": False}),
            [
                {
                    "id": "env-1", "kind": "order_paid", "product": "sub-tier1", "renewal": False, "value": 499,
                    "currency": "USD", "fan": True, **FROM_MIRA,
                },
            ],
        ),
        (
            notification("channel.subscribe", {**MIRA, "tier": "1000", "is_gift": True}),
            [{"kind": "fan_club", "fan": True, "value": None}],
        ),
        (
            notification(
                "channel.subscription.message",
                {**MIRA, "tier": "2000", "cumulative_months": 15, "message": {"text": "love it", "emotes": []}},
            ),
            [
                {"id": "env-1", "kind": "order_paid", "product": "sub-tier2", "renewal": True, "value": 999},
                {"id": "env-1-comment", "kind": "comment", "text": "love it", "fan": True, **FROM_MIRA},
            ],
        ),
        (
            notification(
                "channel.subscription.message",
                {**MIRA, "tier": "1000", "cumulative_months": 1, "message": {"text": "hello", "emotes": []}},
            ),
            [{"id": "env-1-comment", "kind": "comment", "text": "hello"}],
        ),
        (
            notification("channel.subscription.gift", {**MIRA, "total": 5, "tier": "1000", "is_anonymous": False}),
            [{"kind": "order_paid", "product": "gift-sub-tier1", "count": 5, "value": 2495, "fan": None, **FROM_MIRA}],
        ),
        (
            notification("channel.subscription.gift", {**ANONYMOUS, "total": 1, "tier": "3000"}),
            [{"kind": "order_paid", "product": "gift-sub-tier3", "count": 1, "value": 2499, "viewer": None}],
        ),
        (
            notification("channel.follow", {**MIRA, "followed_at": "2025-06-15T15:06:30.5Z"}),
            [{"id": "env-1", "kind": "follow", **FROM_MIRA, "at": SENT_MS - 7_964}],
        ),
        (
            notification("stream.online", {**CHANNEL, "id": "9", "type": "live", "started_at": "2025-06-15T15:00:00Z"}),
            [{"kind": "room_start", "at": 1_749_999_600_000, "viewer": None, "extra": {"id": "9", "type": "live"}}],
        ),
        (notification("stream.offline", CHANNEL), [{"kind": "room_end", "at": SENT_MS}]),
        (notification("channel.raid", {"viewers": 9}), [{"kind": UNKNOWN, "id": "env-1", "at": SENT_MS}]),
        (notification("channel.new_thing", {"x": 1}), [{"kind": UNKNOWN, "id": "env-1"}]),
        (envelope("session_new_thing", {"x": 1}), [{"kind": UNKNOWN, "id": "env-1"}]),
    ],
)  # fmt: skip
def test_each_notification_becomes_its_canonical_events(text: str, expected: list[dict[str, Any]]) -> None:
    found = events(text)
    assert [
        {name: getattr(event, name) for name in fields} for event, fields in zip(found, expected, strict=True)
    ] == expected
    assert {(event.platform, event.room) for event in found} == {("twitch", "1971641")}


def test_cheers_in_chat_are_gifts_only_where_no_other_subscription_tells_them() -> None:
    cheer = chat(cheer={"bits": 50})
    assert [event.kind for event in events(cheer)] == ["comment"]
    comment, gift = events(cheer, bits_in_chat=True)
    assert (gift.id, gift.value, gift.viewer) == ("chat-1-bits", 50, comment.viewer)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            envelope("session_welcome", {"session": {"id": "s-1", "keepalive_timeout_seconds": 15, "reconnect_url": None}}),
            Welcome("s-1", 15.0),
        ),
        (envelope("session_keepalive", {}), Keepalive()),
        (envelope("session_reconnect", {"session": {"id": "s-1", "reconnect_url": "ws://127.0.0.1/x"}}), Move("ws://127.0.0.1/x")),
        (
            envelope("revocation", {"subscription": {"type": "channel.follow", "status": "authorization_revoked"}}),
            Revoked("channel.follow", "authorization_revoked"),
        ),
    ],
)  # fmt: skip
def test_each_message_of_the_session_is_understood(text: str, message: Message) -> None:
    assert decode(text) == message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "{}",
        "[" * 100_000,
        '{"metadata":{"message_id":"x"}}',
        envelope("session_welcome", {}),
        envelope("revocation", {"subscription": 7}),
        envelope("session_new_thing", {}, id=""),
        notification("channel.chat.message", {"message_id": "x"}),
        notification("channel.chat.message", []),
        notification("channel.cheer", {**MIRA, "bits": "12"}),
        notification("channel.cheer", {**MIRA, "bits": -12}),
        notification("channel.subscribe", {**MIRA, "tier": "9"}),
        notification("channel.follow", {**MIRA, "followed_at": "yesterday"}),
        notification("channel.follow", {**MIRA, "followed_at": "0001-01-01T00:00:00+23:59"}),
    ],
)
def test_what_cannot_be_read_is_invalid_and_the_reason_quotes_nobody(text: str) -> None:
    with pytest.raises(EventInvalid) as caught:
        decode(text)
    assert "Mira" not in str(caught.value)


@pytest.mark.recordings
def test_real_events_are_kept_whole() -> None:
    """Moderation in a real channel: nothing of it is mapped, and nothing of it may be lost."""
    lines = recording("fixtures/twitch/eventsub_events.jsonl").read_text().splitlines()
    assert len(lines) == 80
    for number, line in enumerate(lines):
        case = json.loads(line)
        [event] = events(
            notification(case["subscription_type"].replace("-", "."), case["event"], id=f"real-{number}")
        )
        assert event.kind == UNKNOWN
        assert event.extra is not None
        assert event.extra["message"]["event"] == case["event"]


SCALAR = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=9), st.sampled_from(["1000", SENT])
)
VALUE = SCALAR | st.lists(SCALAR, max_size=2) | st.fixed_dictionaries({"text": SCALAR, "bits": SCALAR})
NAMES = [
    "user_id", "user_name", "user_login", "chatter_user_id", "chatter_user_name", "message_id", "message", "badges",
    "cheer", "bits", "tier", "is_gift", "total", "cumulative_months", "followed_at", "started_at",
]  # fmt: skip
TYPES = [
    "channel.chat.message", "channel.cheer", "channel.subscribe", "channel.subscription.message", "channel.follow",
    "channel.subscription.gift", "stream.online", "odd",
]  # fmt: skip


@given(
    st.sampled_from(TYPES), st.dictionaries(st.sampled_from(NAMES), VALUE, max_size=10), st.text(max_size=5)
)
def test_wrong_types_and_absurd_values_are_events_or_invalid(
    type: str, event: dict[str, Any], id: str
) -> None:
    """And every event that comes out can be journalled and read back."""
    try:
        found = events(notification(type, event, id=id), bits_in_chat=True)
    except EventInvalid:
        return
    for each in found:
        assert decode_event(encode_event(each)).id == each.id


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_garbage_raises_nothing_else(garbage: bytes | str) -> None:
    with pytest.raises(EventInvalid):
        decode_message(garbage, Room(ROOM, NOW))


# --- the client -------------------------------------------------------------------------------------------------


@dataclass
class Helix:
    """The REST side: takes subscriptions as Twitch does, or answers what the test says."""

    status: Callable[[str], int] = field(default=lambda type: 202)
    asked: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, request: Request) -> Reply:
        assert request.path == "/helix/eventsub/subscriptions"
        if request.headers["authorization"] != "Bearer token-1" or request.headers["client-id"] != "client-1":
            return Reply(401, b'{"status":401}')
        body = json.loads(request.body)
        self.asked.append(body)
        return Reply(self.status(body["type"]), b"{}")

    def sessions(self) -> list[str]:
        return list(dict.fromkeys(body["transport"]["session_id"] for body in self.asked))


@dataclass
class Twitch:
    helix: Helix
    sockets: ScriptedSockets
    clock: ManualClock
    intake: GatedIntake
    feed: TwitchEventSubFeed


def welcome(session: str, keepalive_s: int = 15) -> str:
    return envelope("session_welcome", {"session": {"id": session, "keepalive_timeout_seconds": keepalive_s}})


def says(*messages: str | bytes, then: Callable[[ServerConnection], Any] = stay) -> Script:
    async def script(connection: ServerConnection) -> None:
        for message in messages:
            await connection.send(message)
        result = then(connection)
        if asyncio.iscoroutine(result):
            await result

    return script


@asynccontextmanager
async def twitch(*scripts: Script, token: str = "token-1", **helix: Any) -> AsyncIterator[Twitch]:
    fake = Helix(**helix)
    async with ScriptedSockets(*scripts).running() as sockets, scripted_server() as rest:
        rest.on_request = lambda request: rest.script.append(fake.answer(request))
        options = TwitchEventSubOptions(
            client_id="client-1",
            access_token=token,
            broadcaster_id="1971641",
            socket_url=f"{sockets.url}/ws",
            api_url=f"{rest.url}/helix",
        )
        clock, intake = ManualClock(), GatedIntake()
        feed = TwitchEventSubFeed(options, eager(intake.context(clock, room=ROOM)))
        yield Twitch(fake, sockets, clock, intake, feed)


async def test_a_session_subscribes_and_delivers() -> None:
    async with twitch(says(welcome("s-1"), chat("a"))) as run, running(run.feed):
        [event] = await run.intake.until(1)
        assert event.id == "a"
        assert run.sockets.paths == ["/ws?keepalive_timeout_seconds=15"]
        assert {body["type"]: body["version"] for body in run.helix.asked} == {
            "channel.chat.message": "1", "channel.cheer": "1", "channel.subscribe": "1", "channel.follow": "2",
            "channel.subscription.gift": "1", "channel.subscription.message": "1", "channel.raid": "1",
            "stream.online": "1", "stream.offline": "1",
        }  # fmt: skip
        [follow] = [body for body in run.helix.asked if body["type"] == "channel.follow"]
        assert follow["condition"] == {"broadcaster_user_id": "1971641", "moderator_user_id": "1971641"}
        assert follow["transport"] == {"method": "websocket", "session_id": "s-1"}
        assert (await run.intake.until_state(FeedState.CONNECTED)).sentence == "Connected."


async def test_a_cut_connection_subscribes_anew_and_passes_repeats_on() -> None:
    scripts = says(welcome("s-1"), chat("a"), then=cut), says(welcome("s-2"), chat("a"), chat("b"))
    async with twitch(*scripts) as run, running(run.feed):
        await until(lambda: [event.id for event in run.intake.events][-2:] == ["a", "b"])
        assert run.helix.sessions()[-1] == "s-2"
        status = await run.intake.until_state(FeedState.WAITING)
        assert status.detail == "the connection broke off"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (4000, "an error inside Twitch (4000)"),
        (4003, "nothing was subscribed within ten seconds (4003)"),
        (4005, "the network was too slow (4005)"),
        (4999, "closed by the other side: code (4999)"),
    ],
)
async def test_close_codes_are_told_in_words(code: int, words: str) -> None:
    def close(connection: ServerConnection) -> Any:
        return connection.close(code)

    async with twitch(says(welcome("s-1"), then=close), says(welcome("s-2"))) as run, running(run.feed):
        assert words in (await run.intake.until_state(FeedState.WAITING)).sentence


def moves(
    to: Callable[[], str], *before: str, after: asyncio.Event, last: tuple[str, ...], then: Script = stay
) -> Script:
    """Send, ask to move, and go on sending until the client has left."""

    async def script(connection: ServerConnection) -> None:
        for message in (welcome("s-1"), *before):
            await connection.send(message)
        await connection.send(
            envelope("session_reconnect", {"session": {"id": "s-1", "reconnect_url": to()}})
        )
        await after.wait()
        for message in last:
            await connection.send(message)
        await then(connection)

    return script


async def test_a_move_loses_nothing_and_subscribes_nothing() -> None:
    """The old connection still brings events after the order to move; the new one is opened before it is left."""
    opened, left = asyncio.Event(), asyncio.Event()

    async def new(connection: ServerConnection) -> None:
        opened.set()
        await until(lambda: any(event.id == "b" for event in run.intake.events))
        await connection.send(welcome("s-1"))
        await connection.send(chat("c"))
        await left.wait()
        await connection.send(chat("d"))
        await connection.wait_closed()

    scripts = moves(lambda: f"{run.sockets.url}/moved?id=1", chat("a"), after=opened, last=(chat("b"),)), new
    async with twitch(*scripts) as run, running(run.feed):
        await run.intake.until(3)
        left.set()
        found = await run.intake.until(4)
        assert [event.id for event in found] == ["a", "b", "c", "d"]
        assert run.sockets.paths == ["/ws?keepalive_timeout_seconds=15", "/moved?id=1"]
        assert run.helix.sessions() == ["s-1"]
        assert [status.state for status in run.intake.statuses] == [FeedState.CONNECTING, FeedState.CONNECTED]


async def test_a_move_is_tried_again_while_the_old_connection_stands() -> None:
    tried = asyncio.Event()

    async def refuses(connection: ServerConnection) -> None:
        tried.set()
        cut(connection)

    old = moves(lambda: f"{run.sockets.url}/moved", after=tried, last=(chat("still here"),))
    async with twitch(old, refuses, says(welcome("s-1"), chat("moved"))) as run, running(run.feed):
        found = await run.intake.until(2)
        assert sorted(event.id for event in found) == ["moved", "still here"]
        assert len(run.sockets.paths) == 3


async def test_when_the_old_connection_goes_first_the_new_one_goes_on() -> None:
    opened = asyncio.Event()

    async def old(connection: ServerConnection) -> None:
        await connection.send(welcome("s-1"))
        session = {"id": "s-1", "reconnect_url": f"{run.sockets.url}/moved"}
        await connection.send(envelope("session_reconnect", {"session": session}))
        await opened.wait()
        await connection.close(4004)

    async def new(connection: ServerConnection) -> None:
        opened.set()
        await asyncio.sleep(0.05)  # let the old one be gone before the welcome
        await connection.send(welcome("s-1"))
        await connection.send(chat("a"))
        await connection.wait_closed()

    async with twitch(old, new) as run, running(run.feed):
        await run.intake.until(1)
        assert run.helix.sessions() == ["s-1"]
        assert not any(status.state is FeedState.WAITING for status in run.intake.statuses)


async def test_an_address_to_move_to_that_is_none_ends_in_a_fresh_connection() -> None:
    gone = asyncio.Event()
    gone.set()

    async def closes(connection: ServerConnection) -> None:
        await until(lambda: any(event.id == "a" for event in run.intake.events))
        await connection.close(4004)

    old = moves(lambda: "nonsense", after=gone, last=(chat("a"),), then=closes)
    async with twitch(old, says(welcome("s-2"), chat("b"))) as run, running(run.feed):
        found = await run.intake.until(2)
        assert [event.id for event in found] == ["a", "b"]
        assert run.helix.sessions() == ["s-1", "s-2"]


def revocation(type: str, status: str = "authorization_revoked") -> str:
    return envelope("revocation", {"subscription": {"id": "x", "type": type, "status": status}})


async def test_a_revocation_is_told_and_the_rest_goes_on() -> None:
    async with (
        twitch(says(welcome("s-1"), revocation("channel.follow"), chat("a"))) as run,
        running(run.feed),
    ):
        await run.intake.until(1)
        assert run.intake.statuses[-1].sentence == (
            "Refused: Twitch ended channel.follow: the right was withdrawn; check the configuration."
        )
        assert len(run.sockets.paths) == 1


async def test_when_everything_is_revoked_the_connection_is_given_up() -> None:
    def only_chat(type: str) -> int:
        return 202 if type == "channel.chat.message" else 403

    gone = revocation("channel.chat.message", "user_removed")
    async with (
        twitch(says(welcome("s-1"), gone), says(welcome("s-2"), chat("b")), status=only_chat) as run,
        running(run.feed),
    ):
        status = await run.intake.until_state(FeedState.REFUSED, times=2)
        assert status.detail == "Twitch ended channel.chat.message: the user no longer exists"
        assert status.retry_in_s is not None
        await run.clock.until_sleeping()
        await run.clock.advance(status.retry_in_s)
        await run.intake.until(1)


async def test_a_missing_right_costs_only_its_own_events() -> None:
    def status(type: str) -> int:
        return 403 if type in {"channel.follow", "channel.cheer"} else 202

    async with (
        twitch(says(welcome("s-1"), chat("a", cheer={"bits": 7})), status=status) as run,
        running(run.feed),
    ):
        comment, gift = await run.intake.until(2)
        assert (comment.kind, gift.kind, gift.value) == (
            "comment",
            "gift",
            7,
        )  # chat stands in for channel.cheer
        connected = await run.intake.until_state(FeedState.CONNECTED)
        assert "without channel.follow, the access token lacks the right (403)" in connected.sentence


@pytest.mark.parametrize(
    ("status", "state", "words"),
    [
        (403, FeedState.REFUSED, "Twitch grants nothing"),
        (429, FeedState.WAITING, "too many connections of this user (429); trying again in 60 s"),
        (503, FeedState.WAITING, "Twitch answered 503"),
    ],
)
async def test_refused_subscriptions_are_told_and_tried_again(
    status: int, state: FeedState, words: str
) -> None:
    async with twitch(says(welcome("s-1"), chat("a")), status=lambda type: status) as run, running(run.feed):
        told = await run.intake.until_state(state)
        assert words in told.sentence
        run.helix.status = lambda type: 202
        if told.retry_in_s:
            await run.clock.until_sleeping()
            await run.clock.advance(told.retry_in_s)
        await run.intake.until(1)


async def test_a_token_that_has_run_out_is_refused_and_not_shown() -> None:
    async with twitch(says(welcome("s-1")), token="worn-out") as run, running(run.feed):
        told = await run.intake.until_state(FeedState.REFUSED)
        assert "has run out (401)" in told.sentence
        assert "worn-out" not in told.sentence


async def test_silence_beyond_the_keepalive_and_its_grace_ends_the_connection() -> None:
    async with (
        twitch(says(welcome("s-1", keepalive_s=10)), says(welcome("s-2"), chat("a"))) as run,
        running(run.feed),
    ):
        await run.intake.until_state(FeedState.CONNECTED)
        await run.clock.until_sleeping()
        await run.clock.advance(14)
        assert len(run.sockets.paths) == 1
        await run.clock.advance(2)
        await run.intake.until(1)
        assert run.intake.statuses[2].detail == "nothing heard for 15 s"


async def test_signs_of_life_keep_a_quiet_connection() -> None:
    pulse: asyncio.Queue[str] = asyncio.Queue()

    async def alive(connection: ServerConnection) -> None:
        await connection.send(welcome("s-1", keepalive_s=10))
        while True:
            await connection.send(await pulse.get())

    async with twitch(alive) as run, running(run.feed):
        await run.intake.until_state(FeedState.CONNECTED)
        for beat in range(6):
            await run.clock.until_sleeping()
            await run.clock.advance(10)
            await pulse.put(envelope("session_keepalive", {}))
            await pulse.put(chat(f"beat-{beat}"))
            await run.intake.until(beat + 1)
        assert len(run.sockets.paths) == 1


async def test_no_welcome_in_time_is_a_lost_connection() -> None:
    async with twitch(stay, says(welcome("s-2"), chat("a"))) as run, running(run.feed):
        await run.clock.until_sleeping()
        await run.clock.advance(10)
        await run.intake.until(1)
        assert run.intake.statuses[1].detail == "no welcome within 10 s"


async def test_nothing_but_pongs_is_ever_sent() -> None:
    """Twitch closes the connection of a client that sends anything else (4001)."""
    sent: list[str | bytes] = []

    async def listens(connection: ServerConnection) -> None:
        await connection.send(welcome("s-1"))
        await (await connection.ping())
        await connection.send(chat("a"))
        sent.extend([message async for message in connection])

    async with twitch(listens) as run:
        async with running(run.feed):
            await run.intake.until(1)
        assert sent == []


async def test_garbage_is_counted_and_the_connection_goes_on() -> None:
    garbage: list[str | bytes] = [
        "{",
        "null",
        b"\x00\xff",
        notification("channel.cheer", {"bits": "x"}),
        chat("a", message=3),
    ]
    async with twitch(says(welcome("s-1"), *garbage, chat("good"))) as run, running(run.feed):
        [event] = await run.intake.until(1)
        assert event.id == "good"
        assert len(run.intake.rejected) == 5
        assert len(run.sockets.paths) == 1
