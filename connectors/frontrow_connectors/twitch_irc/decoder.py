"""Twitch IRC lines → what to answer, and canonical events. Pure.

The grammar is that of IRCv3 (https://ircv3.net/specs/extensions/message-tags): ``@tags :prefix COMMAND params``.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from frontrow.core.errors import EventInvalid
from frontrow.core.events import EARLIEST_MS, LATEST_MS, MAX_ID, MAX_NAME, Event, RoomRef, convert_event
from frontrow_connectors.contract import unknown_event
from frontrow_connectors.twitch import bits, standing, subscription

PRESENCE_BUCKET_MS = 10_000  # Twitch gathers joins and parts for about so long before it tells them

# Known, and without anything that a viewer did: modes of the room, our own state, the greeting, lists of names.
IGNORED = frozenset({
    "001", "002", "003", "004", "353", "366", "372", "375", "376", "CAP", "GLOBALUSERSTATE", "HOSTTARGET", "PONG",
    "ROOMSTATE", "USERSTATE",
})  # fmt: skip
_REFUSALS: Mapping[str, str] = {
    "login authentication failed": "Twitch does not accept the token",
    "login unsuccessful": "Twitch does not accept the token",
    "improperly formatted auth": "the token is not written as Twitch expects it",
    "invalid nick": "the nick is not valid",
}
_REFUSING_NOTICES: Mapping[str, str] = {
    "msg_banned": "this account is banned from the channel",
    "msg_channel_suspended": "the channel does not exist or is suspended",
    "tos_ban": "the channel is closed",
}
_ANONYMOUS_GIVER = "274598607"  # the account in whose name Twitch tells of anonymous gifts
_UNESCAPED = {":": ";", "s": " ", "\\": "\\", "r": "\r", "n": "\n"}


@dataclass(frozen=True, slots=True)
class Line:
    """One IRC message; ``text`` is its source, ``login`` the name before the ``!`` of the prefix, or ""."""

    text: str
    tags: Mapping[str, str]
    login: str
    command: str
    params: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Room:
    """What mapping needs beside the line. ``ids`` are user ids known by login; ``own`` is our own nick."""

    ref: RoomRef
    channel: str
    own: str
    now: int
    purchases: bool = True
    ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Decoded:
    """What one WebSocket message held. ``refused`` says why Twitch does not let us in; ``learnt`` are user ids."""

    events: list[Event] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    learnt: dict[str, str] = field(default_factory=dict)
    joined: bool = False
    reconnect: bool = False
    refused: str = ""


def decode_frame(data: str | bytes, room: Room) -> Decoded:
    """Return all that a WebSocket message holds; a line that cannot be read is a reason in ``rejected``."""
    decoded = Decoded()
    text = data if isinstance(data, str) else data.decode("utf-8", "replace")
    for line in text.replace("\r\n", "\n").split(
        "\n"
    ):  # not splitlines: U+2028 may stand in a viewer's words
        if not line:
            continue
        try:
            _take(parse_line(line), room, decoded)
        except EventInvalid as error:
            decoded.rejected.append(str(error))
    return decoded


def parse_line(line: str) -> Line:
    """Return the parts of one line, without its end.

    Raises:
        EventInvalid: It has no command.
    """
    rest, tags, prefix = line, "", ""
    if rest.startswith("@"):
        tags, _, rest = rest[1:].partition(" ")
    rest = rest.lstrip(" ")
    if rest.startswith(":"):
        prefix, _, rest = rest[1:].partition(" ")
    head, colon, trailing = rest.lstrip(" ").partition(" :")
    command, *params = head.split(" ") if head else [""]
    if not command.isalnum() or not command.isascii():
        raise EventInvalid("a line without an IRC command")
    params = [param for param in params if param]
    if colon:
        params.append(trailing)
    login = prefix.partition("!")[0] if "!" in prefix else ""
    return Line(line, _tags(tags), login.lower(), command.upper(), tuple(params))


def unescape(value: str) -> str:
    """Return a tag's value without its escapes; a lone backslash at the end is dropped, as the grammar says."""
    if "\\" not in value:
        return value
    parts: list[str] = []
    characters = iter(value)
    for character in characters:
        if character == "\\":
            escaped = next(characters, "")
            parts.append(_UNESCAPED.get(escaped, escaped))
        else:
            parts.append(character)
    return "".join(parts)


def _tags(text: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    for tag in text.split(";"):
        key, _, value = tag.partition("=")
        if key:
            tags[key] = unescape(value)
    return tags


def _take(line: Line, room: Room, decoded: Decoded) -> None:
    if line.login and (number := line.tags.get("user-id")):
        decoded.learnt[line.login] = number
    match line.command:
        case "PING":
            decoded.replies.append("PONG" + (f" :{line.params[-1]}" if line.params else ""))
        case "RECONNECT":
            decoded.reconnect = True
        case "JOIN" | "PART" if line.login == room.own.lower():
            decoded.joined = decoded.joined or line.command == "JOIN"
        case "JOIN" | "PART":
            _check_channel(line, room)
            decoded.events.append(_presence(line, room, decoded))
        case "PRIVMSG":
            _check_channel(line, room)
            decoded.events.extend(_message(line, room))
        case "USERNOTICE":
            _check_channel(line, room)
            _usernotice(line, room, decoded)
        case "NOTICE":
            _notice(line, room, decoded)
        case command if command not in IGNORED:
            decoded.events.append(_unknown(line, room, command))


def _check_channel(line: Line, room: Room) -> None:
    if not line.params or line.params[0].lower() != f"#{room.channel.lower()}":
        raise EventInvalid(f"a {line.command} of another channel")


def _presence(line: Line, room: Room, decoded: Decoded) -> Event:
    """Return the ``enter`` or ``leave`` of a JOIN or PART, which carries no time, no user id and no id of its own."""
    if not line.login:
        raise EventInvalid(f"a {line.command} of nobody")
    number = decoded.learnt.get(line.login) or room.ids.get(line.login)
    return convert_event({
        "id": f"{line.command.lower()}-{line.login}-{room.now // PRESENCE_BUCKET_MS}",
        "platform": room.ref.platform,
        "room": room.ref.room,
        "kind": "enter" if line.command == "JOIN" else "leave",
        "at": room.now,
        "viewer": number or f"login:{line.login}",
        "name": line.login,
    })  # fmt: skip


def _message(line: Line, room: Room) -> list[Event]:
    if _elsewhere(line):
        return [_unknown(line, room, "shared_chat")]
    text, extra = _said(line), {}
    if text.startswith("\x01ACTION ") or text == "\x01ACTION\x01":
        text, extra = text[8:].removesuffix("\x01"), {"action": True}
    events = [_event(line, room, "comment", text=text, extra=extra)]
    if room.purchases and line.tags.get("bits"):
        events.append(_event(line, room, "gift", suffix="-bits", **bits(_number(line, "bits"))))
    return events


def _said(line: Line) -> str:
    """Return what was said; Twitch leaves out the colon before a single word."""
    return " ".join(line.params[1:])


def _usernotice(line: Line, room: Room, decoded: Decoded) -> None:
    type = line.tags.get("msg-id", "")
    if _elsewhere(line) or type == "sharedchatnotice":
        decoded.events.append(_unknown(line, room, "shared_chat"))
        return
    mapper = _NOTICES.get(type)
    if mapper is not None and room.purchases:
        try:
            decoded.events.extend(mapper(line, room))
        except EventInvalid as error:  # the viewer's words, below, are still good
            decoded.rejected.append(f"USERNOTICE {type}: {error}")
    elif type != "announcement":
        decoded.events.append(_unknown(line, room, f"USERNOTICE {type}"))
    if text := _said(line):
        decoded.events.append(_event(line, room, "comment", suffix="-comment", text=text))


def _subscribed(line: Line, room: Room) -> list[Event]:
    bought = subscription(_plan(line), renewal=line.tags["msg-id"] == "resub")
    return [_event(line, room, "order_paid", **{**bought, "fan": True})]


def _gifted_one(line: Line, room: Room) -> list[Event]:
    """A gift to one person; one that belongs to a gift to many was paid for with that, and only makes a fan."""
    events: list[Event] = []
    if not line.tags.get("msg-param-community-gift-id"):
        months = _number(line, "msg-param-gift-months", 1)
        events.append(_event(line, room, "order_paid", **subscription(_plan(line), gifted=1, months=months)))
    recipient = line.tags.get("msg-param-recipient-id")
    if recipient:
        name = line.tags.get("msg-param-recipient-display-name") or None
        person: dict[str, Any] = {"viewer": recipient, "name": name, "fan": True, "staff": None}
        events.append(_event(line, room, "fan_club", suffix="-recipient", **person))
    return events


def _gifted_many(line: Line, room: Room) -> list[Event]:
    count = _number(line, "msg-param-mass-gift-count")
    months = _number(line, "msg-param-gift-months", 1)
    return [_event(line, room, "order_paid", **subscription(_plan(line), gifted=count, months=months))]


# Raids, upgrades to come, badges and milestones have no place among the canonical kinds and are kept as unknown.
_NOTICES: Mapping[str, Callable[[Line, Room], list[Event]]] = {
    "sub": _subscribed,
    "resub": _subscribed,
    "subgift": _gifted_one,
    "anonsubgift": _gifted_one,
    "submysterygift": _gifted_many,
    "anonsubmysterygift": _gifted_many,
}


def _notice(line: Line, room: Room, decoded: Decoded) -> None:
    said, type = _said(line).lower(), line.tags.get("msg-id", "")
    refusal = _REFUSING_NOTICES.get(type) or next(
        (why for begin, why in _REFUSALS.items() if said.startswith(begin)), ""
    )
    if refusal:
        decoded.refused = refusal
    else:
        decoded.events.append(_unknown(line, room, f"NOTICE {type}"))


def _plan(line: Line) -> str:
    return line.tags.get("msg-param-sub-plan", "")


def _number(line: Line, tag: str, default: int | None = None) -> int:
    value = line.tags.get(tag, "")
    if not value and default is not None:
        return default
    if not (value.isascii() and value.isdecimal() and len(value) < 16):
        raise EventInvalid(f"tag {tag!r} is not a number")
    return int(value)


def _elsewhere(line: Line) -> bool:
    """Return whether this was said in another channel that shares its chat with ours."""
    source = line.tags.get("source-room-id")
    return bool(source) and source != line.tags.get("room-id")


def _id(line: Line, room: Room) -> str:
    """Return the platform's id of this line, or one made of its content and, where it has none, its time."""
    id = line.tags.get("id", "")
    if 0 < len(id) <= MAX_ID - 16:  # room for the suffixes of derived events
        return id
    seed = "" if line.tags.get("tmi-sent-ts") else str(room.now)
    return f"sha256-{hashlib.sha256((seed + line.text).encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def _event(
    line: Line,
    room: Room,
    kind: str,
    *,
    suffix: str = "",
    extra: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Event:
    tags = line.tags
    name = tags.get("display-name") or tags.get("login") or line.login
    viewer = tags.get("user-id") or (f"login:{line.login}" if line.login else None)
    if viewer == _ANONYMOUS_GIVER:
        viewer, name = None, ""
    badges = tags.get("badges")
    kept = {key: value for key, value in tags.items() if value and key not in _MAPPED}
    return convert_event({
        "id": _id(line, room) + suffix,
        "platform": room.ref.platform,
        "room": room.ref.room,
        "kind": kind,
        "at": _number(line, "tmi-sent-ts", room.now),
        "viewer": viewer,
        "name": name[:MAX_NAME] or None,
        **({} if badges is None else standing(badge.partition("/")[0] for badge in badges.split(","))),
        "extra": {**kept, **(extra or {})} or None,
        **fields,
    })  # fmt: skip


# Mapped, or how a line looks, which says nothing.
_MAPPED = frozenset({
    "id", "user-id", "display-name", "login", "tmi-sent-ts", "rm-received-ts", "room-id", "badges", "color", "emotes",
    "flags", "mod", "subscriber", "turbo", "vip", "user-type", "client-nonce", "historical", "emote-only", "system-msg",
})  # fmt: skip


def _unknown(line: Line, room: Room, type: str) -> Event:
    """Return the event that keeps the line whole; never raises, whatever the line holds."""
    sent, viewer = line.tags.get("tmi-sent-ts", ""), line.tags.get("user-id", "")
    at = int(sent) if sent.isascii() and sent.isdecimal() and len(sent) < 16 else room.now
    return unknown_event(
        id=_id(line, room),
        room=room.ref,
        at=at if EARLIEST_MS <= at <= LATEST_MS else room.now,
        type=type,
        message=line.text,
        viewer=viewer if 0 < len(viewer) <= MAX_ID else None,
    )
