"""The IRC client: log in, join, answer pings, deliver."""

from collections import OrderedDict

from frontrow.core.errors import FeedError, FeedRefused
from frontrow_connectors.connections import Link, accompany, open_link
from frontrow_connectors.contract import FeedContext, FeedState, FeedStatus
from frontrow_connectors.reconnect import keep_connected
from frontrow_connectors.twitch_irc.decoder import Decoded, Room, decode_frame
from frontrow_connectors.twitch_irc.options import TwitchIrcOptions

JOIN_TIMEOUT_S = 15.0
PING_S = 60.0  # Twitch's own pings come only every five minutes or so
SILENCE_S = 90.0  # a ping of ours without an answer, and a little
KNOWN_LOGINS = 20_000  # the oldest are forgotten first; about 200 bytes each
CAPABILITIES = "twitch.tv/tags twitch.tv/commands twitch.tv/membership"


class TwitchIrcFeed:
    """One channel's chat; see :class:`frontrow_connectors.contract.Feed`."""

    def __init__(self, options: TwitchIrcOptions, context: FeedContext) -> None:
        self._options = options
        self._context = context
        self._ids: OrderedDict[str, str] = OrderedDict()

    async def run(self) -> None:
        await keep_connected(self._context, self._session)

    async def _session(self) -> None:
        link = await open_link(
            self._options.socket_url, self._context.clock, use_proxy=self._options.use_proxy
        )
        try:
            nick = self._nick()
            for line in self._greeting(nick):
                await link.send(f"{line}\r\n")
            link.expect(JOIN_TIMEOUT_S, f"the channel was not joined within {JOIN_TIMEOUT_S:.0f} s")
            await accompany(self._read(link, nick), link.watch(), self._ping(link))
        finally:
            await link.close()

    def _nick(self) -> str:
        if self._options.oauth_token and self._options.nick:
            return self._options.nick.lower()
        return f"justinfan{self._context.rng.randrange(10_000, 1_000_000)}"

    def _greeting(self, nick: str) -> list[str]:
        lines = [f"CAP REQ :{CAPABILITIES}", f"NICK {nick}", f"JOIN #{self._options.channel.lower()}"]
        if not nick.startswith("justinfan"):
            lines.insert(1, f"PASS oauth:{self._options.oauth_token.removeprefix('oauth:')}")
        return lines

    async def _read(self, link: Link, nick: str) -> None:
        joined = False
        async for message in link.messages():
            decoded = decode_frame(message, self._room(nick))
            for reply in decoded.replies:
                await link.send(f"{reply}\r\n")
            self._learn(decoded)
            if decoded.joined and not joined:
                joined = True
                link.expect(SILENCE_S, f"nothing heard for {SILENCE_S:.0f} s")
                self._context.status(FeedStatus(FeedState.CONNECTED))
            self._deliver(decoded)
            if decoded.refused:
                await link.end(FeedRefused(decoded.refused))
            if decoded.reconnect:
                await link.end(FeedError("Twitch asked us to connect anew"))

    def _deliver(self, decoded: Decoded) -> None:
        for reason in decoded.rejected:
            self._context.reject(reason)
        if decoded.events:
            self._context.offer(decoded.events)

    async def _ping(self, link: Link) -> None:
        while True:
            await self._context.clock.sleep(PING_S)
            await link.send("PING :frontrow\r\n")

    def _room(self, nick: str) -> Room:
        return Room(
            self._context.room,
            self._options.channel,
            nick,
            self._context.clock.now(),
            purchases=self._options.purchases,
            ids=self._ids,
        )

    def _learn(self, decoded: Decoded) -> None:
        for login, number in decoded.learnt.items():
            self._ids[login] = number
            self._ids.move_to_end(login)
        while len(self._ids) > KNOWN_LOGINS:
            self._ids.popitem(last=False)
