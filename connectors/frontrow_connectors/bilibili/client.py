"""The Open-Live client: start a project session, read its WebSocket, keep both alive, end it on leaving.

Two things live here and are lost apart from each other. The *project session* is started over REST, gives the
authentication and the addresses, and outlives connections; the *connection* is one WebSocket at one of them.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
import msgspec

from frontrow.core.errors import FeedError, FeedRefused, FrontrowError
from frontrow_connectors.bilibili.decoder import (
    OP_AUTH,
    OP_HEARTBEAT,
    Decoded,
    Room,
    decode_frame,
    packet,
    signed_headers,
)
from frontrow_connectors.bilibili.options import BilibiliOptions
from frontrow_connectors.connections import Link, accompany, host_of, open_link, post
from frontrow_connectors.contract import FeedContext, FeedState, FeedStatus
from frontrow_connectors.reconnect import keep_connected

PROJECT_HEARTBEAT_S = 20.0
SOCKET_HEARTBEAT_S = 30.0
SILENCE_S = 70.0  # two heartbeats of ours without an answer, and a little
AUTH_TIMEOUT_S = 10.0
CALL_TIMEOUT_S = (
    10.0  # of a request as a whole: an answer that trickles in would keep each single read in time
)
END_TIMEOUT_S = 3.0  # a shutdown waits for it
MIN_FAILURES = 3  # lost connections in a row after which the session itself is doubted

_OVER = frozenset({7000, 7003})  # what a heartbeat is told of a session that no longer runs
_WAIT: Mapping[int, tuple[str, float]] = {
    7001: ("the session before is still being closed", 10.0),
    7002: ("the room still has a session of this project", 30.0),  # it runs out without heartbeats
}
_REFUSED: Mapping[int, str] = {
    4000: "Bilibili does not accept the request; are `app_id` and the identity code (身份码) right?",
    4001: "the access key id is not valid",
    4002: "the signature is not valid; is the access secret right?",
    4003: "the request counts as too old; is this machine's clock right?",
    4007: "this machine's address is not among those that the developer account allows",
    4008: "the access key lacks the right to this request",
    4010: "the service does not know this request; is `api_url` right?",
    5003: "the project is not configured rightly at Bilibili",
    5004: "the room is not among those that the project may use",
    5005: "the room is barred from this project",
    7007: "the identity code (身份码) is wrong or out of date",
    8002: "the access key has no right to this project",
}

T = TypeVar("T")


class _Answer(msgspec.Struct):
    code: int
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Game(msgspec.Struct):
    game_id: str = ""


class _Sockets(msgspec.Struct):
    auth_body: str
    wss_link: list[str]


class _Anchor(msgspec.Struct):
    room_id: int
    open_id: str | None = None
    uid: int | None = None


class _Started(msgspec.Struct):
    game_info: _Game
    websocket_info: _Sockets
    anchor_info: _Anchor


# Compared by identity: an answer about one session must not end the session after it.
@dataclass(slots=True, eq=False)
class _Project:
    """A project session: what the platform gave, whose turn it is, and why it is over ("" while not)."""

    game_id: str
    auth_body: str
    links: list[str]
    host: str
    room: int
    turn: int = 0
    failures: int = 0
    link: Link | None = None
    over: str = ""


class BilibiliFeed:
    """One room over Open-Live; see :class:`frontrow_connectors.contract.Feed`."""

    def __init__(self, options: BilibiliOptions, context: FeedContext) -> None:
        self._options = options
        self._context = context
        self._project: _Project | None = None

    async def run(self) -> None:
        async with httpx.AsyncClient(trust_env=self._options.use_proxy) as http:
            try:
                # Beside the reconnecting, since a wait between two may outlast the platform's patience.
                await accompany(
                    keep_connected(self._context, lambda: self._session(http)), self._beat_project(http)
                )
            finally:
                await self._end(http)

    async def _session(self, http: httpx.AsyncClient) -> None:
        project = self._project or await self._start(http)
        try:
            await self._stay(project)
        except FeedError:
            if self._project is project:
                await self._failed(http, project)
            raise

    async def _start(self, http: httpx.AsyncClient) -> _Project:
        """Start a project session and return it.

        Raises:
            FeedError: It cannot be started now.
            FeedRefused: The key, the code, the project or the room is not right.
        """
        # `str`, since the encoder does not take the kind of text that hides itself.
        body = {"code": str(self._options.identity_code), "app_id": self._options.app_id}
        answer = await self._call(http, "start", body, within_s=CALL_TIMEOUT_S)
        if answer.code != 0:
            raise _start_failure(answer.code)
        self._project = project = _project(answer.data)
        if not project.links or not project.auth_body:
            await self._end(http)
            raise FeedError("Bilibili started a session without an address or an authentication")
        room = self._context.room.room
        if room.isascii() and room.isdecimal() and room != str(project.room):
            await self._end(http)
            raise FeedRefused(f"the identity code (身份码) is that of another room ({project.room})")
        return project

    async def _stay(self, project: _Project) -> None:
        """Read one connection to its end."""
        link = await self._connect(project)
        try:
            project.link = link
            if project.over:  # the heartbeat heard so while the connection was being made
                raise FeedError(project.over)
            await link.send(packet(OP_AUTH, project.auth_body.encode()))
            link.expect(AUTH_TIMEOUT_S, f"no answer to the authentication within {AUTH_TIMEOUT_S:.0f} s")
            await accompany(self._read(link, project), link.watch(), self._beat_socket(link))
        finally:
            project.link = None
            await link.close()

    async def _connect(self, project: _Project) -> Link:
        url = project.links[project.turn % len(project.links)]
        try:
            return await open_link(url, self._context.clock, use_proxy=self._options.use_proxy)
        except FeedRefused as error:
            # The platform named the address, so nobody here can mend it; the next one may be good.
            raise FeedError(error.reason) from error

    async def _failed(self, http: httpx.AsyncClient, project: _Project) -> None:
        """Count a lost connection: the next address has its turn, or the session has failed often enough."""
        project.turn += 1
        project.failures += 1
        if project.failures >= max(MIN_FAILURES, len(project.links)):
            await self._end(http)

    async def _read(self, link: Link, project: _Project) -> None:
        authenticated = False
        async for frame in link.messages():
            room = Room(self._context.room, project.host, self._context.clock.now())
            decoded = decode_frame(frame, room)
            if authenticated:
                project.failures = (
                    0  # only now: one that is cut right after the authentication proves nothing
                )
            elif decoded.auth_code is not None:
                authenticated = await self._authenticated(link, project, decoded.auth_code)
            self._deliver(decoded)
            if project.game_id in decoded.ended:
                await self._over(project, "Bilibili ended the project session; a new one is started")

    async def _authenticated(self, link: Link, project: _Project, code: int) -> bool:
        if code != 0:
            reason = f"the authentication was not accepted ({code}); a new project session is started"
            await self._over(project, reason)
            return False
        link.expect(SILENCE_S, f"nothing heard for {SILENCE_S:.0f} s")
        self._context.status(FeedStatus(FeedState.CONNECTED))
        return True

    def _deliver(self, decoded: Decoded) -> None:
        for reason in decoded.rejected:
            self._context.reject(reason)
        if decoded.events:
            self._context.offer(decoded.events)

    async def _beat_socket(self, link: Link) -> None:
        while True:
            await self._context.clock.sleep(SOCKET_HEARTBEAT_S)
            await link.send(packet(OP_HEARTBEAT))

    async def _beat_project(self, http: httpx.AsyncClient) -> None:
        """Keep whatever project session there is alive, and hear when it is over."""
        while True:
            await self._context.clock.sleep(PROJECT_HEARTBEAT_S)
            project = self._project
            if project is None or not project.game_id:
                continue
            try:
                body = {"game_id": project.game_id}
                answer = await self._call(http, "heartbeat", body, within_s=CALL_TIMEOUT_S)
            except FrontrowError:
                continue  # the next may get through; if too many do not, it is told that the session is over
            if answer.code in _OVER:
                reason = f"the project session is over ({answer.code}); a new one is started"
                await self._over(project, reason)

    async def _over(self, project: _Project, reason: str) -> None:
        """Forget a session that the platform has given up, which needs no `end`, and leave its connection."""
        project.over = project.over or reason
        if self._project is project:
            self._project = None
        if project.link is not None:
            await project.link.end(FeedError(reason))

    async def _end(self, http: httpx.AsyncClient) -> None:
        """End the session, if there is one; without an answer it is left to run out.

        It is forgotten only afterwards: if we are cancelled here, the shutdown ends it.
        """
        project = self._project
        if project is not None and project.game_id:
            body = {"app_id": self._options.app_id, "game_id": project.game_id}
            with contextlib.suppress(FrontrowError):  # nobody can do more; it runs out without heartbeats
                await self._call(http, "end", body, within_s=END_TIMEOUT_S)
        self._project = None

    async def _call(
        self, http: httpx.AsyncClient, verb: str, body: Mapping[str, Any], *, within_s: float
    ) -> _Answer:
        """Return the answer to a signed request, whatever its code.

        Raises:
            FeedError: No answer in time, or one that cannot be read.
            FeedRefused: The address is wrong.
        """
        url = f"{self._options.api_url.rstrip('/')}/v2/app/{verb}"
        content = msgspec.json.encode(body)
        headers = signed_headers(
            content,
            key=self._options.access_key_id,
            secret=self._options.access_secret,
            nonce=f"{self._context.rng.getrandbits(128):032x}",
            timestamp_s=self._context.clock.now() // 1_000,
        )
        try:
            async with asyncio.timeout(within_s):
                answer = await post(http, url, content=content, headers=headers)
        except TimeoutError as error:
            raise FeedError(f"{host_of(url)} did not answer within {within_s:.0f} s") from error
        return _read_as(
            _Answer, answer.content, f"{host_of(url)} answered {answer.status_code}, not readably"
        )


def _start_failure(code: int) -> FrontrowError:
    if code in _REFUSED:
        return FeedRefused(f"{_REFUSED[code]} ({code})")
    if code in _WAIT:
        words, wait_s = _WAIT[code]
        return FeedError(f"{words} ({code})", retry_after_s=wait_s)
    return FeedError(f"Bilibili did not start a session, code {code}")


def _project(data: msgspec.Raw) -> _Project:
    started = _read_as(_Started, data, "Bilibili started a session, but its answer cannot be read")
    anchor = started.anchor_info
    return _Project(
        game_id=started.game_info.game_id,
        auth_body=started.websocket_info.auth_body,
        links=started.websocket_info.wss_link,
        host=anchor.open_id or (str(anchor.uid) if anchor.uid else ""),  # as the decoder names viewers
        room=anchor.room_id,
    )


def _read_as(type: type[T], data: bytes | msgspec.Raw, otherwise: str) -> T:
    try:
        return msgspec.json.decode(data, type=type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FeedError(otherwise) from error
