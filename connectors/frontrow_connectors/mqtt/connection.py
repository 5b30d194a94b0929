"""One connection to an MQTT broker that only subscribes: made, read in bulk, kept alive, and left in order.

Why not a library: paho-mqtt, which aiomqtt wraps, reads each packet with four or more system calls, some 90 µs of
processor time a message; see daemon/docs/adr/0006-receivers.md. A connection here lives once; who makes the next is
:func:`frontrow_connectors.reconnect.keep_connected`.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

from frontrow.core.errors import FeedError, FeedRefused
from frontrow_connectors.inbox import Inbox
from frontrow_connectors.mqtt import packets
from frontrow_connectors.mqtt.packets import Answer, Control, Malformed, Message, Parser

# Reason codes of a broker's DISCONNECT (MQTT 5.0, 3.14.2.1) that brokers use.
_GOODBYES = {
    0x00: "in order",
    0x82: "it takes something of ours for a protocol error",
    0x87: "not authorised",
    0x89: "it is busy",
    0x8B: "it is shutting down",
    0x8D: "it heard nothing of us",
    0x8E: "another client came with the same client id",
    0x93: "more unacknowledged messages than we agreed on",
    0x97: "a quota is exceeded",
    0x98: "by its operator",
}


class Connection(asyncio.Protocol):
    """Use :func:`connected`. :attr:`inbox` has the messages; when it has ended, :meth:`failure` says why."""

    inbox: Inbox[Message]
    _transport: asyncio.Transport

    def __init__(self, *, five: bool, max_packet_bytes: int) -> None:
        self._five = five
        self._parser = Parser(five=five, max_bytes=max_packet_bytes)
        self._loop = asyncio.get_running_loop()
        self._awaited: dict[int, asyncio.Future[bytes]] = {}  # packet type → its body
        self._lost = asyncio.Event()
        self._ended_by: FeedError | FeedRefused | None = None

    # what the feed does

    async def log_in(self, packet: bytes) -> Answer:
        """Send a CONNECT packet and return the broker's answer.

        Raises:
            FeedError: The connection was lost.
        """
        body = await self._ask(packet, packets.CONNACK)
        try:
            return packets.read_connack(body, five=self._five)
        except Malformed as error:
            raise FeedError(f"the broker sent {error}") from error

    async def subscribe(self, filters: Sequence[str], qos: int) -> list[int]:
        """Subscribe, and return the broker's code for each filter.

        Raises:
            FeedError: The connection was lost.
            ValueError: One is no topic filter.
        """
        body = await self._ask(packets.subscribe(filters, qos, five=self._five), packets.SUBACK)
        try:
            codes = packets.read_suback(body, five=self._five)
        except Malformed as error:
            raise FeedError(f"the broker sent {error}") from error
        if len(codes) != len(filters):
            raise FeedError("the broker sent answers to more or fewer topics than were asked for")
        return codes

    async def acknowledge(self, ids: Sequence[int]) -> None:
        """Say that these messages need not come again. Where the connection is lost they will. Does not wait."""
        if not self._transport.is_closing():
            self._transport.write(packets.acknowledgements(ids))

    def end(self, error: FeedError | FeedRefused) -> None:
        """Read no more, and make ``error`` what :meth:`failure` gives; the first counts."""
        self._ended_by = self._ended_by or error
        self.inbox.end()

    def failure(self) -> FeedError | FeedRefused:
        """Return why the connection is over."""
        return self._ended_by or FeedError("the broker closed the connection")

    async def keep_alive(self, interval_s: float) -> None:
        """Ping the broker so often that it does not give us up, and end the connection when it is silent; for ever.

        A broker gives up who is silent for 1.5 times the agreed interval (3.1.2.10), and so do we.
        """
        asked = False
        while True:
            before = self.inbox.beats
            await asyncio.sleep(interval_s * 0.75)
            # While nothing is read, because the intake is full, the silence is ours.
            if asked and self.inbox.beats == before and not self.inbox.paused:
                self._break("the broker no longer answers")
            self._transport.write(packets.PING)
            asked = True

    async def leave(self, within_s: float) -> None:
        """Say goodbye, so that the broker does not take us for dead, and close."""
        self.inbox.end()
        if not self._transport.is_closing():
            self._transport.write(packets.GOODBYE)
            self._transport.close()
        try:
            async with asyncio.timeout(within_s):
                await self._lost.wait()
        except TimeoutError:
            return
        finally:
            self._transport.abort()

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.inbox = Inbox(self._transport)

    def data_received(self, data: bytes) -> None:
        messages: list[Message] = []
        controls: list[Control] = []
        broken: Malformed | None = None
        try:
            self._parser.feed(data, messages, controls)
        except Malformed as error:
            broken = error
        self.inbox.receive(messages, len(data))
        for control in controls:
            self._control(control)
        if broken is not None:
            self._break(f"the broker sent {broken}")

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(FeedError(reason(exc) if exc else "the broker closed the connection"))
        for awaited in self._awaited.values():
            if not awaited.done():
                awaited.set_exception(self.failure())
                awaited.exception()  # whoever asked may have been cancelled, and then nobody looks
        self._lost.set()

    async def _ask(self, packet: bytes, answer: int) -> bytes:
        if self._transport.is_closing():
            raise self.failure()
        awaited: asyncio.Future[bytes] = self._loop.create_future()
        self._awaited[answer] = awaited
        self._transport.write(packet)
        return await awaited

    def _control(self, control: Control) -> None:
        match control.type:
            case packets.CONNACK | packets.SUBACK:
                awaited = self._awaited.get(control.type)
                if awaited is None or awaited.done():
                    self._break("the broker answered what was not asked")
                else:
                    awaited.set_result(control.body)
            case packets.PINGRESP:
                pass  # that it came is all it says
            case packets.DISCONNECT:
                code = packets.read_disconnect(control.body)
                self._break(f"the broker closed the connection: {_GOODBYES.get(code, f'code 0x{code:02X}')}")
            case _:
                self._break("the broker sent a packet that is none of a broker's")

    def _break(self, why: str) -> None:
        self.end(FeedError(why))
        self._transport.abort()


@asynccontextmanager
async def connected(
    host: str, port: int, *, tls: ssl.SSLContext | None, five: bool, max_packet_bytes: int, timeout_s: float
) -> AsyncIterator[Connection]:
    """Open a connection, and leave and close it in the end, whatever happens in between.

    Raises:
        FeedRefused: The broker's certificate is not valid.
        FeedError: There is no connection to be had now.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            _, connection = await loop.create_connection(
                lambda: Connection(five=five, max_packet_bytes=max_packet_bytes),
                host,
                port,
                ssl=tls,
                server_hostname=host if tls else None,
            )
    except ssl.SSLCertVerificationError as error:
        raise FeedRefused(f"the broker's certificate is not valid ({error.verify_message})") from error
    except (OSError, TimeoutError) as error:
        raise FeedError(f"cannot connect ({reason(error)})") from error
    try:
        yield connection
    finally:
        await connection.leave(timeout_s)


def reason(error: BaseException) -> str:
    """Return why in a few words."""
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error) or type(error).__name__).rstrip(".")
