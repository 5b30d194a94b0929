"""Connects to a WebSocket server and reads canonical events; acknowledges where the server asks for it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from frontrow.core.errors import EventInvalid, FeedError, FeedRefused
from frontrow.core.ports import Receipt
from frontrow_connectors.canonical import count_rejected, reason_class
from frontrow_connectors.contract import FeedContext, FeedState, FeedStatus
from frontrow_connectors.reconnect import keep_connected
from frontrow_connectors.websocket.decoder import decode_message, encode_ack, encode_resume
from frontrow_connectors.websocket.options import WebSocketOptions

CLOSE_TIMEOUT_S = 2.0
SEND_TIMEOUT_S = 10.0  # a server that does not read our acknowledgements for so long is given up
MAX_UNACKNOWLEDGED = 256  # messages put and not yet durable; while it is full nothing is read
MAX_RETRY_AFTER_S = 3_600.0

POLICY_VIOLATION = 1008  # RFC 6455, 7.4.1; what servers close with when they do not want us
TOO_BIG = 1009

_Pending = asyncio.Queue[tuple[int, Awaitable[Receipt] | None]]


class WebSocketFeed:
    """One connection, for one room."""

    def __init__(self, options: WebSocketOptions, context: FeedContext) -> None:
        self._options = options
        self._context = context
        self._place = _place(options.url)
        # Only spares repetition: what a server sends again is known by its ids.
        self._acknowledged: int | None = None

    async def run(self) -> None:
        """Deliver until cancelled."""
        await keep_connected(self._context, self._session)

    async def _session(self) -> None:
        async with self._connected() as connection:
            if self._acknowledged is not None:
                await _try_send(connection, encode_resume(self._acknowledged))
            self._context.status(FeedStatus(FeedState.CONNECTED, self._place))
            pending: _Pending = asyncio.Queue(MAX_UNACKNOWLEDGED)
            async with asyncio.TaskGroup() as tasks:
                acks = tasks.create_task(
                    self._acknowledge(connection, pending),
                    name=f"websocket[{self._context.feed}].acknowledge",
                )
                try:
                    ended = await self._deliver(connection, pending)
                finally:
                    acks.cancel()
        raise self._failure(ended)

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[ClientConnection]:
        options = self._options
        token = options.token
        try:
            connection = await connect(
                options.url,
                additional_headers=None if token is None else {"Authorization": f"Bearer {token}"},
                proxy=True if options.use_proxy else None,
                open_timeout=options.open_timeout_s,
                ping_interval=options.ping_interval_s,
                ping_timeout=options.ping_timeout_s,
                close_timeout=CLOSE_TIMEOUT_S,
                max_size=options.max_message_bytes,
                ssl=await self._tls(),
            )
        except InvalidStatus as error:
            raise self._status_failure(error) from error
        except InvalidURI as error:
            raise FeedRefused("the address is not a valid one") from error
        except ssl.SSLCertVerificationError as error:
            raise FeedRefused(f"the server's certificate is not valid ({error.verify_message})") from error
        except (OSError, TimeoutError, InvalidHandshake, EOFError) as error:
            raise FeedError(f"cannot connect to {self._place} ({_why(error)})") from error
        async with connection:
            yield connection

    async def _tls(self) -> ssl.SSLContext | bool | None:
        """Return what ``connect`` wants: None for ws://, True for the system's certificates, or ours."""
        if not self._options.url.startswith("wss://"):
            return None
        if self._options.ca_file is None:
            return True
        try:
            return await asyncio.to_thread(ssl.create_default_context, cafile=self._options.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise FeedRefused(f"the file in `ca_file` cannot be used ({_why(error)})") from error

    async def _deliver(self, connection: ClientConnection, pending: _Pending) -> ConnectionClosed:
        """Put messages until the connection ends, and return how it ended."""
        while True:
            try:
                data = await connection.recv(decode=False)
            except ConnectionClosed as ended:
                return ended
            await self._put(data, pending)

    async def _put(self, data: bytes, pending: _Pending) -> None:
        context = self._context
        try:
            message = decode_message(data, context.room, context.clock.now())
        except EventInvalid as error:
            context.reject(reason_class(str(error)))
            return
        count_rejected(context, message.batch)
        receipt = await context.put(message.batch.events) if message.batch.events else None
        if message.seq is not None:
            await pending.put((message.seq, receipt))

    async def _acknowledge(self, connection: ClientConnection, pending: _Pending) -> None:
        """Acknowledge messages in the order in which they came, each when its events are durable."""
        while True:
            seq, receipt = await pending.get()
            if receipt is not None:
                await receipt
            # Exactly what was sent, even if it is lower than before: the server may have begun to count anew, and an
            # acknowledgement of the old height would be taken for messages that never came.
            if await _try_send(connection, encode_ack(seq)):
                self._acknowledged = seq

    def _failure(self, ended: ConnectionClosed) -> FeedError | FeedRefused:
        received, sent = ended.rcvd, ended.sent
        if sent is not None and sent.code == TOO_BIG:
            self._context.reject(f"a message of more than {self._options.max_message_bytes} bytes")
            return FeedError("a message was larger than `max_message_bytes`")
        if received is not None and received.code == POLICY_VIOLATION:
            return FeedRefused("the server closed with 1008 (policy violation)")
        code = "without a closing handshake" if received is None else f"with code {received.code}"
        return FeedError(f"the connection to {self._place} ended {code}")

    def _status_failure(self, error: InvalidStatus) -> FeedError | FeedRefused:
        status = error.response.status_code
        if status in (408, 425, 429) or not 400 <= status < 500:
            wait_s = _retry_after(error.response.headers.get("Retry-After"), self._context.clock.now())
            return FeedError(f"the server answered {status}", retry_after_s=wait_s)
        return FeedRefused(f"the server answered {status}")


async def _try_send(connection: ClientConnection, message: str) -> bool:
    """Return whether the message was sent. If not, the connection is over, and ``recv`` says how."""
    try:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await connection.send(message)
    except ConnectionClosed:
        return False
    except TimeoutError:
        connection.transport.abort()
        return False
    return True


def _retry_after(value: str | None, now: int) -> float | None:
    """Return the header's seconds (RFC 9110, 10.2.3: a number or a date), or None if it gives none that is usable."""
    if value is None:
        return None
    try:
        seconds = float(value) if value.isdigit() else parsedate_to_datetime(value).timestamp() - now / 1_000
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def _place(url: str) -> str:
    """Return host and port: what people may see of an address that can hold secrets."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or "the server"


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).rstrip(".") or type(error).__name__
