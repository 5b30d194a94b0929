"""The EventSub client: welcome, subscribe within ten seconds, deliver, move to another connection when asked."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx
import msgspec

from frontrow.core.errors import EventInvalid, FeedError, FeedRefused, FrontrowError
from frontrow_connectors.canonical import reason_class
from frontrow_connectors.connections import Link, accompany, open_link, post
from frontrow_connectors.contract import FeedContext, FeedState, FeedStatus
from frontrow_connectors.reconnect import ceiling, keep_connected
from frontrow_connectors.twitch_eventsub.decoder import (
    Message,
    Move,
    Notified,
    Revoked,
    Room,
    Welcome,
    decode_message,
)
from frontrow_connectors.twitch_eventsub.options import TwitchEventSubOptions

WELCOME_TIMEOUT_S = 10.0
SUBSCRIBE_TIMEOUT_S = 10.0  # Twitch closes a connection (4003) that has no subscription by then
MOVE_TIMEOUT_S = 30.0  # Twitch closes the old connection (4004) by then
GRACE_S = 5.0  # beyond the keepalive that Twitch promises
CROWDED_S = 60.0  # after 429: three connections of this user stand already, and old ones need time to go

CLOSE_WORDS: Mapping[int, str] = {
    4000: "an error inside Twitch",
    4001: "we sent something, which is not allowed",
    4002: "we did not answer a ping",
    4003: "nothing was subscribed within ten seconds",
    4004: "we did not move to the new connection in time",
    4005: "the network was too slow",
    4006: "an error of the network",
    4007: "the address of the new connection was not valid",
}
_REFUSED: Mapping[int, str] = {
    400: "Twitch does not accept the request",
    403: "the access token lacks the right",
    404: "there is no such user or channel",
}
_REVOKED: Mapping[str, str] = {
    "authorization_revoked": "the right was withdrawn",
    "moderator_removed": "the user is no longer a moderator",
    "user_removed": "the user no longer exists",
    "version_removed": "Twitch no longer offers this version",
}


@dataclass(slots=True)
class _Stay:
    """One connection while it is read: where Twitch asks us to move, and what came of that."""

    link: Link
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""
    successor: Link | None = None


class TwitchEventSubFeed:
    """One channel over EventSub; see :class:`frontrow_connectors.contract.Feed`."""

    def __init__(self, options: TwitchEventSubOptions, context: FeedContext) -> None:
        self._options = options
        self._context = context
        self._conditions = _conditions(options)
        self._granted: set[str] = set()

    async def run(self) -> None:
        async with httpx.AsyncClient(trust_env=self._options.use_proxy) as http:
            await keep_connected(self._context, lambda: self._session(http))

    async def _session(self, http: httpx.AsyncClient) -> None:
        url = httpx.URL(self._options.socket_url)
        url = url.copy_merge_params({"keepalive_timeout_seconds": str(self._options.keepalive_s)})
        link, welcome = await self._welcomed(str(url))
        try:
            await self._subscribe(http, welcome.session_id)
        except BaseException:
            await link.close()
            raise
        following: Link | None = link
        while (
            following is not None
        ):  # a connection that we moved to has the subscriptions of the one before it
            following = await self._stay(following)

    async def _welcomed(self, url: str) -> tuple[Link, Welcome]:
        """Return an open connection that has said welcome, with its limit of silence set."""
        use_proxy = self._options.use_proxy
        link = await open_link(url, self._context.clock, use_proxy=use_proxy, close_words=CLOSE_WORDS)
        try:
            link.expect(WELCOME_TIMEOUT_S, f"no welcome within {WELCOME_TIMEOUT_S:.0f} s")
            welcome = await accompany(self._until_welcome(link), link.watch())
        except BaseException:
            await link.close()
            raise
        limit_s = welcome.keepalive_s + GRACE_S
        link.expect(limit_s, f"nothing heard for {limit_s:.0f} s")
        return link, welcome

    async def _until_welcome(self, link: Link) -> Welcome:
        while (raw := await link.receive()) is not None:
            message = self._decode(raw)
            if isinstance(message, Welcome):
                return message
            if isinstance(message, Notified):
                self._context.offer(message.events)
        raise FeedError("closed before the welcome")

    async def _subscribe(self, http: httpx.AsyncClient, session_id: str) -> None:
        """Ask for all that we want of this session, and say what was not given.

        Raises:
            FeedError: Twitch cannot do it now.
            FeedRefused: Nothing was given.
        """
        try:
            async with asyncio.timeout(SUBSCRIBE_TIMEOUT_S):
                answers = await asyncio.gather(
                    *(self._ask(http, session_id, type) for type in self._conditions)
                )
        except TimeoutError as error:
            raise FeedError(
                f"Twitch did not take the subscriptions within {SUBSCRIBE_TIMEOUT_S:.0f} s"
            ) from error
        for answer in answers:
            if isinstance(answer, FrontrowError):
                raise answer
        refused = {type: why for type, why in zip(self._conditions, answers, strict=True) if why is not None}
        self._granted = set(self._conditions) - set(refused)
        detail = "; ".join(f"without {type}, {why}" for type, why in refused.items())
        if not self._granted:
            raise FeedRefused(f"Twitch grants nothing: {detail}")
        self._context.status(FeedStatus(FeedState.CONNECTED, detail))

    async def _ask(self, http: httpx.AsyncClient, session_id: str, type: str) -> FrontrowError | str | None:
        """Ask for one subscription; return None when it is given, else why not: an error where all must wait."""
        version, condition = self._conditions[type]
        body = {
            "type": type,
            "version": version,
            "condition": condition,
            "transport": {"method": "websocket", "session_id": session_id},
        }
        headers = {
            "Authorization": f"Bearer {self._options.access_token}",
            "Client-Id": self._options.client_id,
            "Content-Type": "application/json",
        }
        url = f"{self._options.api_url.rstrip('/')}/eventsub/subscriptions"
        try:
            answer = await post(http, url, content=msgspec.json.encode(body), headers=headers)
        except FrontrowError as error:
            return error
        match answer.status_code:
            case 200 | 202 | 409:  # 409: it stands already
                return None
            case 401:
                return FeedRefused("the access token is not valid or has run out (401)")
            case 429:
                return FeedError(
                    "Twitch has too many connections of this user (429)", retry_after_s=CROWDED_S
                )
            case status if status in _REFUSED:
                return f"{_REFUSED[status]} ({status})"
            case status:
                return FeedError(f"Twitch answered {status} to a subscription")

    async def _stay(self, link: Link) -> Link | None:
        """Read a connection to its end, and return the one to go on with if Twitch asked us to move."""
        stay = _Stay(link)
        handed_over = False
        try:
            await accompany(self._read(stay), link.watch(), self._move(stay))
            handed_over = True
            return stay.successor
        finally:
            await link.close()
            if stay.successor is not None and not handed_over:
                await stay.successor.close()

    async def _read(self, stay: _Stay) -> None:
        try:
            async for raw in stay.link.messages():
                await self._handle(stay, self._decode(raw))
        except FeedError:
            if not stay.asked.is_set():
                raise
            await stay.settled.wait()  # the old connection went first; the new one, being opened, decides
            if stay.successor is None:
                raise

    async def _handle(self, stay: _Stay, message: Message | None) -> None:
        match message:
            case Notified(events):
                self._context.offer(events)
            case Move(url) if not stay.asked.is_set():
                stay.url = url
                stay.asked.set()
            case Revoked():
                await self._revoked(stay, message)
            case _:
                pass  # a sign of life, a message that was rejected, or a second order to move

    async def _revoked(self, stay: _Stay, message: Revoked) -> None:
        name = message.type if message.type in self._conditions else "a subscription"
        reason = f"Twitch ended {name}: {_REVOKED.get(message.reason, 'no known reason')}"
        self._granted.discard(message.type)
        self._context.status(FeedStatus(FeedState.REFUSED, reason))
        if not self._granted:
            await stay.link.end(FeedRefused(reason))

    async def _move(self, stay: _Stay) -> None:
        """When asked, open the new connection while the old one is still read, then leave the old one."""
        await stay.asked.wait()
        clock, failures = self._context.clock, 0
        latest = clock.monotonic() + MOVE_TIMEOUT_S
        while True:
            try:
                stay.successor, _ = await self._welcomed(stay.url)
                break
            except FrontrowError as error:
                failures += 1
                wait_s = self._context.rng.uniform(0.0, ceiling(failures))
                if isinstance(error, FeedRefused) or clock.monotonic() + wait_s > latest:
                    break
                await clock.sleep(wait_s)
        stay.settled.set()
        if stay.successor is not None:
            await stay.link.close()  # the reader still gets what had arrived, then stops

    def _decode(self, raw: str | bytes) -> Message | None:
        room = Room(self._context.room, self._context.clock.now(), bits_in_chat=not self._granted & _BITS)
        try:
            return decode_message(raw, room)
        except EventInvalid as error:
            self._context.reject(reason_class(str(error)))
            return None


_BITS = {"channel.cheer", "channel.bits.use"}


def _conditions(options: TwitchEventSubOptions) -> dict[str, tuple[str, dict[str, str]]]:
    """Return what to subscribe to: the type, its version and its condition."""
    channel = {"broadcaster_user_id": options.broadcaster_id}
    user = options.user_id or options.broadcaster_id
    wanted = {
        "channel.chat.message": ("1", {**channel, "user_id": user}),
        "channel.subscribe": ("1", channel),
        "channel.subscription.gift": ("1", channel),
        "channel.subscription.message": ("1", channel),
        "channel.follow": ("2", {**channel, "moderator_user_id": user}),
        "stream.online": ("1", channel),
        "stream.offline": ("1", channel),
        "channel.raid": ("1", {"to_broadcaster_user_id": options.broadcaster_id}),
    }
    if options.bits == "cheer":
        wanted["channel.cheer"] = ("1", channel)
    elif options.bits == "bits_use":
        wanted["channel.bits.use"] = ("1", channel)
    return wanted
