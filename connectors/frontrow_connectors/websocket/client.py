"""Connects to a WebSocket server and reads canonical events; acknowledges where the server asks for it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from frontrow.core.errors import EventInvalid, FeedError, FeedRefused
from frontrow.core.events import Event
from frontrow_connectors.canonical import count_rejected, decode_plain, reason_class
from frontrow_connectors.connections import accompany
from frontrow_connectors.contract import FeedContext, FeedState, FeedStatus
from frontrow_connectors.inbox import deliver
from frontrow_connectors.reconnect import keep_connected
from frontrow_connectors.websocket.connection import BulkConnection
from frontrow_connectors.websocket.decoder import decode_message, encode_ack, encode_resume
from frontrow_connectors.websocket.options import WebSocketOptions

CLOSE_TIMEOUT_S = 2.0
SEND_TIMEOUT_S = 10.0  # a server that does not read our acknowledgements for so long is given up
MAX_RETRY_AFTER_S = 3_600.0

POLICY_VIOLATION = 1008  # RFC 6455, 7.4.1; what servers close with when they do not want us
TOO_BIG = 1009


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

            async def acknowledge(seqs: Sequence[int]) -> None:
                # Exactly what was sent, even if it is lower than before: the server may have begun to count anew, and
                # an acknowledgement of the old height would be taken for messages that never came.
                if await _try_send(connection, *map(encode_ack, seqs)):
                    self._acknowledged = seqs[-1]

            await accompany(
                deliver(self._context, connection.inbox, self._decode, acknowledge), self._watch(connection)
            )
            try:
                await connection.recv()
            except ConnectionClosed as ended:
                raise self._failure(ended) from ended

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[BulkConnection]:
        options = self._options
        token = options.token
        try:
            connection = await connect(
                options.url,
                additional_headers=None if token is None else {"Authorization": f"Bearer {token}"},
                proxy=True if options.use_proxy else None,
                open_timeout=options.open_timeout_s,
                ping_interval=None,  # see `_watch`
                close_timeout=CLOSE_TIMEOUT_S,
                max_size=options.max_message_bytes,
                ssl=await self._tls(),
                create_connection=BulkConnection,
            )
            assert isinstance(connection, BulkConnection)
        except InvalidStatus as error:
            raise self._status_failure(error) from error
        except InvalidURI as error:
            raise FeedRefused("the address is not a valid one") from error
        except ssl.SSLCertVerificationError as error:
            raise FeedRefused(f"the server's certificate is not valid ({error.verify_message})") from error
        except (OSError, TimeoutError, InvalidHandshake, EOFError) as error:
            raise FeedError(f"cannot connect to {self._place} ({_why(error)})") from error
        async with connection:
            try:
                yield connection
            finally:
                connection.inbox.end()

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

    def _decode(self, messages: Sequence[bytes]) -> tuple[Sequence[Event], Sequence[int]]:
        """Return the messages' events, and the numbers to acknowledge them by where they have one."""
        context = self._context
        plain = decode_plain(messages, context.room)
        if plain is not None:
            return plain, ()
        events: list[Event] = []
        seqs: list[int] = []
        for data in messages:
            try:
                message = decode_message(data, context.room, context.clock.now())
            except EventInvalid as error:
                context.reject(reason_class(str(error)))
                continue
            count_rejected(context, message.batch)
            events += message.batch.events
            if message.seq is not None:
                seqs.append(message.seq)
        return events, seqs

    async def _watch(self, connection: BulkConnection) -> None:
        """Break off a connection of which nothing is heard any more, not even the answer to a ping.

        The library's own watch is not used: it waits for the answer while we read nothing, because the intake is
        full, and would break off a connection that is well.
        """
        options, inbox = self._options, connection.inbox
        while True:
            await asyncio.sleep(options.ping_interval_s)
            before = inbox.beats
            try:
                async with asyncio.timeout(options.ping_timeout_s):
                    await (await connection.ping())
            except TimeoutError:
                if inbox.beats == before and not inbox.paused:
                    connection.transport.abort()
            except ConnectionClosed:
                return

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


async def _try_send(connection: ClientConnection, *messages: str) -> bool:
    """Return whether the messages were sent. If not, the connection is over, and ``recv`` says how."""
    try:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            for message in messages:
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
