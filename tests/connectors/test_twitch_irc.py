"""Twitch IRC: the grammar of a line, the mapping of each command, and a connection that drops and garbles."""

import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection

from frontrow.core.errors import EventInvalid
from frontrow.core.events import Event, RoomRef, decode_event, encode_event
from frontrow_connectors.contract import UNKNOWN, FeedState
from frontrow_connectors.twitch_irc.client import TwitchIrcFeed
from frontrow_connectors.twitch_irc.decoder import Decoded, Room, decode_frame, parse_line, unescape
from frontrow_connectors.twitch_irc.options import TwitchIrcOptions
from tests.support.clock import ManualClock
from tests.support.feed_runs import GatedIntake, eager, running, until
from tests.support.recordings import recording
from tests.support.websocket_server import Script, ScriptedSockets, cut, stay

ROOM = RoomRef(id="main", platform="twitch", room="1971641")
NOW = 1_750_000_000_000
SENT = NOW - 1_500


def decode(data: str | bytes, **room: Any) -> Decoded:
    return decode_frame(data, Room(ROOM, "Shop", "justinfan5", NOW, **room))


def tagged(command: str, said: str | None = None, /, *, login: str = "mira", **tags: str) -> str:
    all_tags = {
        "id": "msg-1", "user-id": "4145994", "display-name": "Mira", "room-id": "1971641", "tmi-sent-ts": str(SENT),
        "badges": "", "color": "#FF0000", **{name.replace("_", "-"): value for name, value in tags.items()},
    }  # fmt: skip
    head = ";".join(f"{name}={value}" for name, value in all_tags.items())
    prefix = f"{login}!{login}@{login}.tmi.twitch.tv" if command == "PRIVMSG" else "tmi.twitch.tv"
    return f"@{head} :{prefix} {command} #shop" + ("" if said is None else f" :{said}")


def notice(type: str, said: str | None = None, /, **tags: str) -> str:
    return tagged("USERNOTICE", said, msg_id=type, login="mira", **tags)


def presence(command: str, login: str = "mira") -> str:
    return f":{login}!{login}@{login}.tmi.twitch.tv {command} #shop"


FROM_MIRA = {"viewer": "4145994", "name": "Mira", "at": SENT}
PLAN = {"msg_param_sub_plan": "1000"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            tagged("PRIVMSG", "how much is it"),
            [{"id": "msg-1", "kind": "comment", "text": "how much is it", "fan": False, "staff": False, **FROM_MIRA}],
        ),
        (tagged("PRIVMSG", ":) a : b"), [{"text": ":) a : b"}]),
        (tagged("PRIVMSG", "one\u2028two"), [{"text": "one\u2028two"}]),
        (tagged("PRIVMSG") + " forsenParty", [{"text": "forsenParty"}]),
        (tagged("PRIVMSG", "\x01ACTION waves\x01"), [{"text": "waves", "extra": {"action": True}}]),
        (tagged("PRIVMSG", "x", badges="subscriber/24,premium/1"), [{"fan": True, "staff": False}]),
        (tagged("PRIVMSG", "x", badges="broadcaster/1"), [{"staff": True}]),
        (tagged("PRIVMSG", "x", badges="moderator/1,founder/0"), [{"staff": True, "fan": True}]),
        (tagged("PRIVMSG", "x", first_msg="1"), [{"extra": {"first-msg": "1"}}]),
        (tagged("PRIVMSG", "x", display_name="a\\sb\\:c"), [{"name": "a b;c"}]),
        (
            tagged("PRIVMSG", "Cheer50", bits="50"),
            [
                {"id": "msg-1", "kind": "comment", "text": "Cheer50"},
                {"id": "msg-1-bits", "kind": "gift", "gift": "bits", "count": 50, "value": 50, "currency": "USD", **FROM_MIRA},
            ],
        ),
        (
            tagged("PRIVMSG", "x", source_room_id="77"),
            [{"kind": UNKNOWN, "viewer": "4145994", "at": SENT}],
        ),
        (
            notice("sub", **PLAN),
            [{"id": "msg-1", "kind": "order_paid", "product": "sub-tier1", "renewal": False, "value": 499, "fan": True, **FROM_MIRA}],
        ),
        (
            notice("sub", msg_param_sub_plan="Prime"),
            [{"kind": "order_paid", "product": "sub-prime", "renewal": False, "value": 0, "currency": "USD"}],
        ),
        (
            notice("resub", "six months!", msg_param_sub_plan="2000"),
            [
                {"id": "msg-1", "kind": "order_paid", "product": "sub-tier2", "renewal": True, "value": 999},
                {"id": "msg-1-comment", "kind": "comment", "text": "six months!", **FROM_MIRA},
            ],
        ),
        (
            notice("subgift", msg_param_recipient_id="88", msg_param_recipient_display_name="Noor", **PLAN),
            [
                {"kind": "order_paid", "product": "gift-sub-tier1", "count": 1, "value": 499, **FROM_MIRA},
                {"id": "msg-1-recipient", "kind": "fan_club", "viewer": "88", "name": "Noor", "fan": True},
            ],
        ),
        (
            notice("subgift", msg_param_gift_months="3", **PLAN),
            [{"kind": "order_paid", "count": 1, "value": 1497}],
        ),
        (
            notice("submysterygift", msg_param_mass_gift_count="5", **PLAN),
            [{"kind": "order_paid", "product": "gift-sub-tier1", "count": 5, "value": 2495, **FROM_MIRA}],
        ),
        (
            notice("subgift", msg_param_community_gift_id="9", msg_param_recipient_id="88", **PLAN),
            [{"kind": "fan_club", "viewer": "88", "name": None}],
        ),
        (
            notice("submysterygift", user_id="274598607", msg_param_mass_gift_count="1", **PLAN),
            [{"kind": "order_paid", "viewer": None, "name": None}],
        ),
        (notice("raid", msg_param_viewerCount="20"), [{"kind": UNKNOWN, "id": "msg-1", "viewer": "4145994"}]),
        (
            notice("viewermilestone", "ten streams"),
            [{"kind": UNKNOWN, "id": "msg-1"}, {"kind": "comment", "id": "msg-1-comment", "text": "ten streams"}],
        ),
        (
            notice("announcement", "new colours today", badges="moderator/1"),
            [{"kind": "comment", "text": "new colours today", "staff": True}],
        ),
        (notice("sharedchatnotice", "x", source_room_id="77"), [{"kind": UNKNOWN}]),
        (
            presence("JOIN"),
            [{"id": "join-mira-175000000", "kind": "enter", "viewer": "login:mira", "name": "mira", "at": NOW}],
        ),
        (presence("PART"), [{"id": "part-mira-175000000", "kind": "leave", "viewer": "login:mira", "at": NOW}]),
        (":tmi.twitch.tv NOTICE #shop :This room is in slow mode.", [{"kind": UNKNOWN, "at": NOW}]),
        ("@tmi-sent-ts=1749999998500 :tmi.twitch.tv CLEARCHAT #shop :mira", [{"kind": UNKNOWN, "at": SENT}]),
        (":tmi.twitch.tv 421 justinfan5 FOO :Unknown command", [{"kind": UNKNOWN}]),
        (":tmi.twitch.tv NEWTHING #shop", [{"kind": UNKNOWN}]),
    ],
)  # fmt: skip
def test_each_line_becomes_its_canonical_events(line: str, expected: list[dict[str, Any]]) -> None:
    decoded = decode(line + "\r\n")
    assert decoded.rejected == []
    found = [
        {name: getattr(event, name) for name in fields}
        for event, fields in zip(decoded.events, expected, strict=True)
    ]
    assert found == expected


@pytest.mark.parametrize(
    "line",
    [
        ":tmi.twitch.tv 001 justinfan5 :Welcome, GLHF!",
        ":tmi.twitch.tv CAP * ACK :twitch.tv/tags",
        "@emote-only=0;room-id=1971641 :tmi.twitch.tv ROOMSTATE #shop",
        ":justinfan5.tmi.twitch.tv 353 justinfan5 = #shop :mira noor",
        ":justinfan5.tmi.twitch.tv 366 justinfan5 #shop :End of /NAMES list",
        ":tmi.twitch.tv PONG tmi.twitch.tv :frontrow",
        "",
    ],
)
def test_what_nobody_did_is_passed_over(line: str) -> None:
    assert decode(line) == Decoded()


def test_our_own_join_tells_that_we_are_in_and_is_no_viewer() -> None:
    assert decode(presence("JOIN", "justinfan5")) == Decoded(joined=True)
    assert decode(presence("PART", "justinfan5")) == Decoded()


def test_a_ping_is_answered_with_its_own_words() -> None:
    assert decode("PING :tmi.twitch.tv\r\n").replies == ["PONG :tmi.twitch.tv"]
    assert decode("PING\r\n").replies == ["PONG"]


def test_several_lines_in_a_frame_are_all_read() -> None:
    frame = "\r\n".join(
        [presence("JOIN"), tagged("PRIVMSG", "a", id="1"), "PING :x", tagged("PRIVMSG", "b", id="2")]
    )
    decoded = decode(frame)
    assert [event.kind for event in decoded.events] == ["enter", "comment", "comment"]
    assert decoded.replies == ["PONG :x"]


def test_who_leaves_is_known_by_the_id_that_he_wrote_under() -> None:
    """A PART names only the login; without this, stay and comments of one viewer would be two people's."""
    decoded = decode(tagged("PRIVMSG", "bye") + "\r\n" + presence("PART"))
    assert [event.viewer for event in decoded.events] == ["4145994", "4145994"]
    assert decoded.learnt == {"mira": "4145994"}
    assert decode(presence("JOIN"), ids={"mira": "4145994"}).events[0].viewer == "4145994"


def test_purchases_can_be_left_to_another_feed_and_are_still_kept() -> None:
    decoded = decode(
        tagged("PRIVMSG", "Cheer50", bits="50") + "\r\n" + notice("sub", **PLAN), purchases=False
    )
    assert [event.kind for event in decoded.events] == ["comment", UNKNOWN]
    assert decoded.events[0].extra == {"bits": "50"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (":tmi.twitch.tv NOTICE * :Login authentication failed", "does not accept the token"),
        (":tmi.twitch.tv NOTICE * :Improperly formatted auth", "not written as Twitch expects"),
        ("@msg-id=msg_channel_suspended :tmi.twitch.tv NOTICE #shop :gone", "does not exist or is suspended"),
    ],
)
def test_a_refusal_is_recognised(line: str, words: str) -> None:
    assert words in decode(line).refused


@pytest.mark.parametrize(
    "bad",
    [
        "@a=b", ":only.a.prefix", "@;;; : ", "???", "\x00", presence("JOIN").replace("#shop", "#other"),
        tagged("PRIVMSG", "x").replace("#shop", "#other"), "PRIVMSG", tagged("PRIVMSG", "x", tmi_sent_ts="soon"),
        tagged("PRIVMSG", "x", tmi_sent_ts="12"), notice("sub", msg_param_sub_plan="9"), "JOIN #shop",
        notice("submysterygift", **PLAN), tagged("PRIVMSG", "y" * 5000),
    ],
)  # fmt: skip
def test_a_bad_line_is_rejected_and_its_neighbours_stay(bad: str) -> None:
    decoded = decode(f"{tagged('PRIVMSG', 'a', id='1')}\r\n{bad}\r\n{tagged('PRIVMSG', 'b', id='2')}\r\n")
    assert [event.id for event in decoded.events if event.kind == "comment"] == ["1", "2"]
    assert len(decoded.rejected) == 1
    assert "mira" not in decoded.rejected[0].lower()


def test_the_words_of_a_notice_survive_its_bad_tags() -> None:
    decoded = decode(notice("resub", "still here", msg_param_sub_plan="9"))
    assert [event.text for event in decoded.events] == ["still here"]
    assert len(decoded.rejected) == 1


def test_a_line_without_an_id_gets_the_same_one_each_time() -> None:
    line = tagged("PRIVMSG", "a", id="")
    first, second = decode(line).events[0].id, decode(line).events[0].id
    assert first == second != decode(tagged("PRIVMSG", "b", id="")).events[0].id


@pytest.mark.parametrize(
    ("escaped", "plain"),
    [
        ("a\\sb", "a b"),
        ("\\:", ";"),
        ("\\\\s", "\\s"),
        ("\\r\\n", "\r\n"),
        ("end\\", "end"),
        ("\\x", "x"),
        ("", ""),
    ],
)
def test_tags_are_unescaped(escaped: str, plain: str) -> None:
    assert unescape(escaped) == plain


@given(st.text(max_size=60))
def test_unescaping_undoes_escaping(value: str) -> None:
    table = {"\\": "\\\\", ";": "\\:", " ": "\\s", "\r": "\\r", "\n": "\\n"}
    assert unescape("".join(table.get(character, character) for character in value)) == value


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_garbage_never_raises_and_never_loses_a_good_neighbour(garbage: str | bytes) -> None:
    good = tagged("PRIVMSG", "hi", id="good")
    frame = garbage + b"\r\n" + good.encode() if isinstance(garbage, bytes) else f"{garbage}\r\n{good}"
    decoded = decode(frame)
    assert decoded.events[-1].id == "good"
    check_journal(decoded.events[:-1])


TAGS = ["id", "user-id", "badges", "tmi-sent-ts", "bits", "msg-id", "msg-param-sub-plan", "msg-param-mass-gift-count",
        "display-name", "source-room-id", "room-id", "msg-param-recipient-id"]  # fmt: skip
_TAG_ENDS = re.compile(r"[; \r\n]")
_LINE_ENDS = re.compile(r"[\r\n]")
VALUES = st.text(max_size=12) | st.sampled_from(
    ["sub", "subgift", "1000", str(SENT), "5", "-1", "\u0663", "9" * 30]
)


@given(
    st.sampled_from(["PRIVMSG", "USERNOTICE", "NOTICE", "JOIN", "CLEARCHAT"]),
    st.dictionaries(st.sampled_from(TAGS), VALUES, max_size=8),
    st.text(max_size=20),
)
def test_absurd_tags_are_events_or_reasons(command: str, tags: dict[str, str], said: str) -> None:
    """And every event that comes out can be journalled and read back."""
    tagged_values = (f"{name}={_TAG_ENDS.sub('', value)}" for name, value in tags.items())
    line = f"@{';'.join(tagged_values)} :mira!mira@x {command} #shop :{_LINE_ENDS.sub('', said)}"
    decoded = decode(line)
    assert decoded.events or decoded.rejected or decoded.refused
    check_journal(decoded.events)


def check_journal(events: list[Event]) -> None:
    for event in events:
        assert decode_event(encode_event(event)).id == event.id


@pytest.mark.recordings
def test_eight_hundred_real_lines_of_one_channel_are_all_understood() -> None:
    lines = json.loads(
        gzip.decompress(recording("fixtures/twitch/recent_messages_nymn.json.gz").read_bytes())
    )
    frame = "\r\n".join(lines["messages"])
    decoded = decode_frame(frame, Room(ROOM, "nymn", "justinfan5", NOW))
    assert decoded.rejected == []
    said = sum(" PRIVMSG #nymn" in line for line in lines["messages"])
    assert sum(event.kind == "comment" for event in decoded.events) == said > 700
    assert len({event.id for event in decoded.events}) == len(decoded.events)
    check_journal(decoded.events)


@pytest.mark.recordings
def test_every_named_case_of_real_lines_gives_what_its_command_means() -> None:
    cases = [
        json.loads(line) for line in recording("fixtures/twitch/irc_lines.jsonl").read_text().splitlines()
    ]
    assert len(cases) == 201
    for case in cases:
        decoded = decode_frame(
            case["raw"], Room(ROOM, parse_line(case["raw"]).params[0][1:], "justinfan5", NOW)
        )
        assert decoded.rejected == [], case["case"]
        kinds = [event.kind for event in decoded.events]
        line = parse_line(case["raw"])
        if line.tags.get("source-room-id", line.tags.get("room-id")) != line.tags.get("room-id"):
            assert kinds == [UNKNOWN], case["case"]  # said in another channel that shares its chat
            continue
        match line.command, line.tags.get("msg-id"):
            case "PRIVMSG", _:
                assert kinds == (["comment", "gift"] if "bits" in line.tags else ["comment"]), case["case"]
            case "USERNOTICE", "sub" | "resub":
                assert kinds[0] == "order_paid", case["case"]
            case "USERNOTICE", "subgift":
                assert kinds[-1] == "fan_club", case["case"]
            case "USERNOTICE", "announcement":
                assert kinds == ["comment"], case["case"]
            case _:
                assert kinds[:1] == [UNKNOWN], case["case"]
        check_journal(decoded.events)


def test_a_line_without_a_command_is_invalid() -> None:
    with pytest.raises(EventInvalid):
        parse_line("@tag=1 :prefix ")


# --- the client -------------------------------------------------------------------------------------------------


@dataclass
class Chat:
    sockets: ScriptedSockets
    clock: ManualClock
    intake: GatedIntake
    feed: TwitchIrcFeed


async def greeted(connection: ServerConnection) -> list[str]:
    """Take the client's greeting as Twitch does, let it in, and return the lines it sent."""
    lines: list[str] = []
    while not lines or not lines[-1].startswith("JOIN"):
        message = await connection.recv()
        assert isinstance(message, str)
        assert message.endswith("\r\n")
        lines.append(message.strip())
    nick = next(line.removeprefix("NICK ") for line in lines if line.startswith("NICK "))
    await connection.send(
        ":tmi.twitch.tv CAP * ACK :twitch.tv/tags twitch.tv/commands twitch.tv/membership\r\n"
        f":tmi.twitch.tv 001 {nick} :Welcome, GLHF!\r\n:{nick}!{nick}@{nick}.tmi.twitch.tv JOIN #shop\r\n"
    )
    return lines


def says(*messages: str | bytes, then: Callable[[ServerConnection], Any] = stay) -> Script:
    async def script(connection: ServerConnection) -> None:
        await greeted(connection)
        for message in messages:
            await connection.send(message)
        result = then(connection)
        if asyncio.iscoroutine(result):
            await result

    return script


def said(id: str) -> str:
    return tagged("PRIVMSG", "hi", id=id) + "\r\n"


@asynccontextmanager
async def chat(*scripts: Script, **options: Any) -> AsyncIterator[Chat]:
    async with ScriptedSockets(*scripts).running() as sockets:
        clock, intake = ManualClock(), GatedIntake()
        chosen = TwitchIrcOptions(channel="Shop", socket_url=sockets.url, **options)
        yield Chat(sockets, clock, intake, TwitchIrcFeed(chosen, eager(intake.context(clock, room=ROOM))))


async def test_an_anonymous_reader_joins_and_delivers() -> None:
    greetings: list[list[str]] = []

    async def script(connection: ServerConnection) -> None:
        greetings.append(await greeted(connection))
        await connection.send(presence("JOIN") + "\r\n" + said("a"))
        await stay(connection)

    async with chat(script) as run, running(run.feed):
        found = await run.intake.until(2)
        assert [event.kind for event in found] == ["enter", "comment"]
        cap, nick, join = greetings[0]
        assert cap == "CAP REQ :twitch.tv/tags twitch.tv/commands twitch.tv/membership"
        assert re.fullmatch(r"NICK justinfan[0-9]{5,6}", nick)
        assert join == "JOIN #shop"
        assert (await run.intake.until_state(FeedState.CONNECTED)).sentence == "Connected."


async def test_a_token_is_sent_before_the_nick() -> None:
    greetings: list[list[str]] = []

    async def script(connection: ServerConnection) -> None:
        greetings.append(await greeted(connection))
        await stay(connection)

    async with chat(script, nick="Reader", oauth_token="oauth:t0p") as run, running(run.feed):
        await run.intake.until_state(FeedState.CONNECTED)
        assert greetings[0][1:3] == ["PASS oauth:t0p", "NICK reader"]


async def test_pings_are_answered() -> None:
    answers: list[str | bytes] = []

    async def script(connection: ServerConnection) -> None:
        await greeted(connection)
        await connection.send("PING :tmi.twitch.tv\r\n")
        answers.append(await connection.recv())
        await stay(connection)

    async with chat(script) as run, running(run.feed):
        await until(lambda: answers == ["PONG :tmi.twitch.tv\r\n"])


async def test_a_cut_connection_joins_anew_and_passes_repeats_on() -> None:
    async with chat(says(said("a"), then=cut), says(said("a"), said("b"))) as run, running(run.feed):
        found = await run.intake.until(3)
        assert [event.id for event in found] == ["a", "a", "b"]
        assert (await run.intake.until_state(FeedState.WAITING)).detail == "the connection broke off"


async def test_an_order_to_reconnect_is_followed_after_what_came_with_it() -> None:
    order = said("a") + ":tmi.twitch.tv RECONNECT\r\n" + said("b")
    async with chat(says(order), says(said("c"))) as run, running(run.feed):
        found = await run.intake.until(3)
        assert [event.id for event in found] == ["a", "b", "c"]
        assert (await run.intake.until_state(FeedState.WAITING)).detail == "Twitch asked us to connect anew"


async def test_a_refused_login_says_so_and_is_tried_again_later() -> None:
    async def refuses(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(":tmi.twitch.tv NOTICE * :Login authentication failed\r\n")
        await stay(connection)

    async with chat(refuses, says(said("a")), nick="reader", oauth_token="w0rn") as run, running(run.feed):
        status = await run.intake.until_state(FeedState.REFUSED)
        assert status.sentence == "Refused: Twitch does not accept the token; check the configuration."
        assert status.retry_in_s is not None
        await run.clock.until_sleeping()
        await run.clock.advance(status.retry_in_s)
        await run.intake.until(1)


async def test_a_channel_that_never_answers_is_given_up() -> None:
    async with chat(stay, says(said("a"))) as run, running(run.feed):
        await run.clock.until_sleeping(2)
        await run.clock.advance(15)
        await run.intake.until(1)
        assert run.intake.statuses[1].detail == "the channel was not joined within 15 s"


async def test_our_own_pings_find_a_dead_connection_and_keep_a_quiet_one() -> None:
    pings: list[str | bytes] = []

    async def answers_twice(connection: ServerConnection) -> None:
        await greeted(connection)
        async for message in connection:
            pings.append(message)
            if len(pings) < 3:
                await connection.send(
                    ":tmi.twitch.tv PONG tmi.twitch.tv :frontrow\r\n" + said(f"p{len(pings)}")
                )

    async with chat(answers_twice, says(said("b"))) as run, running(run.feed):
        await run.intake.until_state(FeedState.CONNECTED)
        for beat in (1, 2):
            await run.clock.until_sleeping(2)
            await run.clock.advance(60)
            await run.intake.until(beat)
        assert len(run.sockets.paths) == 1
        await run.clock.until_sleeping(2)
        await run.clock.advance(91)
        await run.intake.until(3)
        waiting = await run.intake.until_state(FeedState.WAITING)
        assert waiting.detail == "nothing heard for 90 s"


async def test_user_ids_learnt_from_comments_serve_those_who_leave_later() -> None:
    async with chat(says(said("a"), presence("PART") + "\r\n")) as run, running(run.feed):
        comment, leave = await run.intake.until(2)
        assert (leave.kind, leave.viewer) == ("leave", comment.viewer)


async def test_garbage_is_counted_and_the_connection_goes_on() -> None:
    garbage: list[str | bytes] = [
        "???\r\n",
        b"\xff\xfe\x00",
        tagged("PRIVMSG", "x", tmi_sent_ts="soon") + "\r\n",
    ]
    async with chat(says(*garbage, said("good"))) as run, running(run.feed):
        [event] = await run.intake.until(1)
        assert event.id == "good"
        assert len(run.intake.rejected) == 3
        assert len(run.sockets.paths) == 1
