"""Connections of feeds, shared by the clients: one WebSocket with its limit of silence, one HTTP request.

Every way in which they fail becomes a :class:`FeedError` or a :class:`FeedRefused` whose reason is one short phrase
for people. Addresses are named by their host only: paths and queries of some feeds carry keys.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from frontrow.core.errors import FeedError, FeedRefused, FrontrowError
from frontrow.core.ports import Clock

OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0
REQUEST_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 30.0  # for all of an answer: one that trickles in is none
MAX_ANSWER_BYTES = 8 << 20
MAX_MESSAGE_BYTES = 1 << 20
_REFUSING_STATUS = frozenset({401, 403, 404, 410})

T = TypeVar("T")


class Link:
    """One open WebSocket, read by one task; only that reader ends it.

    Others (a heartbeat, the limit of silence, another task) say why it must end with :meth:`end`. The reader is
    still given all that had arrived before, and then that reason, so that no timer throws away events which wait for
    a full intake. :meth:`watch` must run beside the reader.
    """

    def __init__(self, socket: ClientConnection, clock: Clock, close_words: Mapping[int, str]) -> None:
        self._socket = socket
        self._clock = clock
        self._close_words = close_words
        self._heard = clock.monotonic()
        self._limit_s: float | None = None
        self._why = ""
        self._delivering = False
        self._ended_by: FrontrowError | None = None
        self._left = False

    def expect(self, within_s: float, why: str) -> None:
        """From now on end with ``why`` when nothing came for ``within_s`` seconds; later calls only lengthen it."""
        self._heard = self._clock.monotonic()
        self._limit_s = within_s
        self._why = why

    async def send(self, message: str | bytes) -> None:
        """Send, if the connection still stands; if not, the reader is the one who hears of it."""
        try:
            await self._socket.send(message)
        except ConnectionClosed:
            return

    async def end(self, error: FrontrowError) -> None:
        """Close the connection and make ``error`` the reason that the reader gets; the first reason counts."""
        if self._ended_by is None:
            self._ended_by = error
        await self._socket.close()

    async def close(self) -> None:
        """Leave: close the connection in order; what had arrived can still be read, then it just stops."""
        self._left = True
        await self._socket.close()

    async def receive(self) -> str | bytes | None:
        """Return the next message, or None when the connection is over because we left it by :meth:`close`.

        Raises:
            FeedError: The connection is lost, or was ended with this reason.
            FeedRefused: It was ended with this reason.
        """
        try:
            message = await self._socket.recv()
        except ConnectionClosed as error:
            if self._ended_by is not None:
                raise self._ended_by from error
            if self._left:
                return None
            raise FeedError(self._closed(error)) from error
        self._heard = self._clock.monotonic()
        return message

    async def messages(self) -> AsyncIterator[str | bytes]:
        """Yield what :meth:`receive` returns, until None; read it to its end.

        While the consumer works on a message (the intake may be full), silence is ours and not the other side's.
        """
        while (message := await self.receive()) is not None:
            self._delivering = True
            yield message
            self._delivering = False
            self._heard = self._clock.monotonic()

    async def watch(self) -> None:
        """End the connection when the other side is silent for too long; cancel it when the reader is done."""
        while True:
            if self._delivering or self._limit_s is None:
                remaining = self._limit_s or OPEN_TIMEOUT_S
            else:
                remaining = self._heard + self._limit_s - self._clock.monotonic()
            if remaining <= 0:
                await self.end(FeedError(self._why))
                return
            await self._clock.sleep(remaining)

    def _closed(self, error: ConnectionClosed) -> str:
        if error.rcvd is None:
            return "the connection broke off"
        words = self._close_words.get(error.rcvd.code)
        return f"closed by the other side: {words or 'code'} ({error.rcvd.code})"


async def open_link(
    url: str, clock: Clock, *, use_proxy: bool, close_words: Mapping[int, str] | None = None
) -> Link:
    """Return an open connection to ``url``, which the caller closes.

    No protocol pings are sent: some feeds take them as forbidden traffic and others never answer them; life is seen
    in each feed's own messages, by :meth:`Link.expect`.

    Raises:
        FeedError: It could not be made now.
        FeedRefused: The address is wrong, or the other side refuses us (401, 403, 404, 410).
    """
    try:
        socket = await connect(
            url,
            proxy=True if use_proxy else None,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=None,
            max_size=MAX_MESSAGE_BYTES,
        )
    except ssl.SSLCertVerificationError as error:
        raise FeedRefused(f"the certificate of {host_of(url)} is not valid") from error
    except (InvalidURI, ValueError) as error:
        raise FeedRefused("the address of the feed is not a WebSocket address") from error
    except InvalidStatus as error:
        status = error.response.status_code
        reason = f"{host_of(url)} answered {status}"
        raise FeedRefused(reason) if status in _REFUSING_STATUS else FeedError(reason) from error
    except TimeoutError as error:
        raise FeedError(f"{host_of(url)} did not answer within {OPEN_TIMEOUT_S:.0f} s") from error
    except (OSError, InvalidHandshake, EOFError) as error:
        raise FeedError(f"no connection to {host_of(url)} ({type(error).__name__})") from error
    return Link(socket, clock, close_words or {})


async def post(
    http: httpx.AsyncClient, url: str, *, content: bytes, headers: Mapping[str, str]
) -> httpx.Response:
    """Return the answer to a POST, whatever its status.

    Raises:
        FeedError: No answer in time.
        FeedRefused: The address is wrong.
    """
    try:
        return await http.post(url, content=content, headers=dict(headers), timeout=REQUEST_TIMEOUT_S)
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise FeedRefused("the address of the service is not an HTTP address") from error
    except httpx.HTTPError as error:
        raise FeedError(f"{host_of(url)} does not answer ({type(error).__name__})") from error


async def ask(
    http: httpx.AsyncClient,
    url: str,
    *,
    query: Mapping[str, str] | None = None,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the JSON object that a service answers a GET with, or a POST if there is ``content``.

    At most ``MAX_ANSWER_BYTES`` of an answer are read. Redirects are not followed: what is signed is for one address.

    Raises:
        FeedError: No answer in time, none that can be read, or one that asks to come again (429, 5xx).
        FeedRefused: The address is wrong, or the service refuses us (401, 403, 404, 410).
    """
    received = bytearray()
    try:
        async with (
            asyncio.timeout(ANSWER_TIMEOUT_S),
            http.stream(
                "GET" if content is None else "POST", url, params=dict(query or {}), content=content,
                headers={**(headers or {}), "accept-encoding": "identity"}, timeout=REQUEST_TIMEOUT_S,
            ) as answer,
        ):  # fmt: skip
            async for chunk in answer.aiter_raw():
                received += chunk
                if len(received) > MAX_ANSWER_BYTES:
                    raise FeedError(f"{host_of(url)} answers without end")
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise FeedRefused("the address of the service is not an HTTP address") from error
    except (httpx.HTTPError, TimeoutError) as error:
        raise FeedError(f"{host_of(url)} does not answer ({type(error).__name__})") from error
    status = answer.status_code
    if status in _REFUSING_STATUS:
        raise FeedRefused(f"{host_of(url)} answered {status}")
    if status != 200:
        raise FeedError(
            f"{host_of(url)} answered {status}", retry_after_s=_seconds(answer.headers.get("retry-after"))
        )
    try:
        said = msgspec.json.decode(received)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FeedError(f"{host_of(url)} answered something that is not JSON") from error
    if not isinstance(said, dict):
        raise FeedError(f"{host_of(url)} answered something else than a JSON object")
    return said


def _seconds(retry_after: str | None) -> float | None:
    """Return what Retry-After asks for in seconds, an hour at most; None if it names a date, or nothing."""
    text = (retry_after or "").strip()
    return min(3_600.0, float(text)) if text.isascii() and text.isdigit() and len(text) < 10 else None


async def accompany(main: Coroutine[Any, Any, T], *companions: Coroutine[Any, Any, None]) -> T:
    """Run ``main`` with ``companions`` beside it, and return or raise what it gives; they are cancelled at its end.

    A companion that raises has a bug, since those of feeds speak through :meth:`Link.end`; it takes ``main`` with it.
    """
    results: list[T] = []
    failure: FrontrowError | None = None
    async with asyncio.TaskGroup() as group:
        beside = [group.create_task(each, name=getattr(each, "__qualname__", None)) for each in companions]
        try:
            results.append(await main)
        except FrontrowError as error:
            failure = error  # raised below, since the group would wrap it; a bug may arrive wrapped
        finally:
            for task in beside:
                task.cancel()
    if failure is not None:
        raise failure
    return results[0]


def host_of(url: str) -> str:
    """Return the host of an address, the part that may be shown."""
    try:
        return urlsplit(url).hostname or "the feed"
    except ValueError:
        return "the feed"
