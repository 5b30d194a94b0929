"""Reads from an MQTT broker and acknowledges by hand. The only module that knows aiomqtt and the paho client in it.

aiomqtt 2.5 has no acknowledgement by hand, so :class:`_Broker` takes it from the paho client that it wraps. paho's
own reconnecting is off (aiomqtt sets ``reconnect_on_failure=False`` and never calls paho's loops that reconnect): a
connection here lives once, and :func:`frontrow_connectors.reconnect.keep_connected` makes the next.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Literal

import aiomqtt
from aiomqtt.types import SubscribeTopic
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY, MQTTv5
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from frontrow.core.errors import EventInvalid, FeedError, FeedRefused
from frontrow.core.ports import Receipt
from frontrow_connectors.canonical import count_rejected, reason_class
from frontrow_connectors.contract import FeedContext, FeedState, FeedStatus
from frontrow_connectors.mqtt.decoder import decode_message
from frontrow_connectors.mqtt.options import MqttOptions
from frontrow_connectors.reconnect import keep_connected

TIMEOUT_S = (
    5.0  # for the broker to answer to connect, subscribe and disconnect; paho's own connect waits as long
)
TOPIC_BYTES = 65_535 + 1_024  # what a packet may hold beside its payload

# CONNACK and SUBACK codes that a person must act on; every other failure is tried again (MQTT 5.0, 3.2.2.2; paho
# translates those of 3.1.1 to them).
_REFUSALS = {
    0x84: "the broker does not speak this protocol version",
    0x85: "the broker does not take this client id",
    0x86: "wrong user name or password",
    0x87: "not authorised",
    0x8A: "this client is banned",
    0x8C: "wrong authentication method",
    0x8F: "a topic filter that the broker does not take",
    0xA2: "the broker takes no wildcards",
}


class MqttFeed:
    """One subscription, for one room."""

    def __init__(self, options: MqttOptions, context: FeedContext) -> None:
        self._options = options
        self._context = context

    async def run(self) -> None:
        """Deliver until cancelled."""
        await keep_connected(self._context, self._session)

    async def _session(self) -> None:
        options, context = self._options, self._context
        async with _connect(options, context) as broker:
            topics = [topic.replace("{room}", context.room.id) for topic in options.topics]
            await broker.subscribe(topics, options.qos)
            context.status(FeedStatus(FeedState.CONNECTED, f"{options.host}:{options.port}"))
            # Bounded: while it is full no message is read, and the broker sends no more than `max_in_flight`.
            unacknowledged: _Pending = asyncio.Queue(options.max_in_flight)
            async with asyncio.TaskGroup() as tasks:
                acks = tasks.create_task(
                    _acknowledge(broker, unacknowledged), name=f"mqtt[{context.feed}].acknowledge"
                )
                try:
                    reason = await self._deliver(broker, unacknowledged)
                finally:
                    acks.cancel()
        raise FeedError(reason)

    async def _deliver(self, broker: "_Broker", unacknowledged: "_Pending") -> str:
        """Put messages until the connection is lost, and return why it was."""
        try:
            async for message in broker.messages():
                receipt = await self._put(bytes(message.payload))
                if message.qos > 0:
                    await unacknowledged.put((message.mid, message.qos, receipt))
        except aiomqtt.MqttError as error:
            return _reason(error.__cause__ or error)
        return "the broker closed the connection"

    async def _put(self, payload: bytes) -> Awaitable[Receipt] | None:
        """Queue the payload's events; None: there are none, so that nothing has to become durable."""
        context = self._context
        try:
            batch = decode_message(payload, context.room, max_bytes=self._options.max_payload_bytes)
        except EventInvalid as error:
            context.reject(reason_class(str(error)))
            return None
        count_rejected(context, batch)
        return await context.put(batch.events) if batch.events else None


_Pending = asyncio.Queue[tuple[int, int, Awaitable[Receipt] | None]]


async def _acknowledge(broker: "_Broker", pending: _Pending) -> None:
    """Acknowledge messages in the order in which they came (MQTT 5.0, 4.6), each when its events are durable.

    A payload that can never be taken is acknowledged, too: it was counted, and would come again for ever.
    """
    while True:
        mid, qos, receipt = await pending.get()
        if receipt is not None:
            await receipt
        broker.acknowledge(mid, qos)


class _Broker:
    """One connection to a broker."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client
        self._paho = client._client
        self._paho.manual_ack_set(True)

    def messages(self) -> AsyncIterator[aiomqtt.Message]:
        return aiter(self._client.messages)

    async def subscribe(self, topics: list[str], qos: Literal[0, 1]) -> None:
        """Subscribe to all. Raises FeedRefused where the broker or paho does not take one, else FeedError."""
        try:
            granted: Sequence[ReasonCode | int] = await self._client.subscribe(self._filters(topics, qos))
        except ValueError as error:
            raise FeedRefused("a topic is not a valid filter") from error
        except aiomqtt.MqttError as error:
            raise FeedError(f"cannot subscribe: {_reason(error)}") from error
        for topic, code in zip(topics, granted, strict=True):
            if _code(code) >= 0x80:
                raise FeedRefused(f"the broker refuses the subscription to {topic}")

    def _filters(self, topics: list[str], qos: Literal[0, 1]) -> SubscribeTopic:
        if self._paho.protocol == MQTTv5:
            return [(topic, SubscribeOptions(qos=qos)) for topic in topics]
        return [(topic, int(qos)) for topic in topics]

    def acknowledge(self, mid: int, qos: int) -> None:
        # On a connection that is just being lost this fails, which is right: the message comes again on the next.
        self._paho.ack(mid, qos)

    def abandon(self) -> None:
        """Close the socket of a connection that was never completed; aiomqtt leaves it open."""
        self._paho._sock_close()


@contextlib.asynccontextmanager
async def _connect(options: MqttOptions, context: FeedContext) -> AsyncIterator[_Broker]:
    try:
        tls = await asyncio.to_thread(_tls_context, options) if options.tls else None
    except (OSError, ssl.SSLError) as error:
        raise FeedRefused(f"a certificate or key file cannot be used: {_reason(error)}") from error
    client = _client(options, context, tls)
    broker = _Broker(client)
    # A task of its own, always awaited here: paho connects in a thread that cannot be cancelled, and a socket that it
    # opens after we have gone would never be closed.
    opening = asyncio.ensure_future(client.__aenter__())
    try:
        await asyncio.shield(opening)
    except aiomqtt.MqttError as error:
        broker.abandon()
        raise _connect_failure(error) from error
    except asyncio.CancelledError:
        await asyncio.wait({opening}, timeout=TIMEOUT_S)
        opening.cancel()
        broker.abandon()
        raise
    try:
        yield broker
    finally:
        # A broker that is gone cannot answer to our goodbye; the reason was told where it was noticed.
        with contextlib.suppress(aiomqtt.MqttError):
            await client.__aexit__(None, None, None)
        broker.abandon()


def _client(options: MqttOptions, context: FeedContext, tls: ssl.SSLContext | None) -> aiomqtt.Client:
    persistent = options.qos > 0
    five = options.protocol == "5"
    return aiomqtt.Client(
        options.host,
        options.port,
        identifier=options.client_id or f"frontrow-{context.feed}",
        username=options.username,
        password=options.password,
        protocol=aiomqtt.ProtocolVersion.V5 if five else aiomqtt.ProtocolVersion.V311,
        clean_start=(not persistent) if five else MQTT_CLEAN_START_FIRST_ONLY,
        clean_session=None if five else not persistent,
        properties=_connect_properties(options) if five else None,
        tls_context=tls,
        keepalive=options.keepalive_s,
        timeout=TIMEOUT_S,
        queue_type=_queue_type(
            options.max_in_flight, lambda: context.reject("a QoS 0 message that came too fast")
        ),
    )


def _connect_properties(options: MqttOptions) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho is typed in part
    properties.SessionExpiryInterval = options.session_expiry_s if options.qos else 0
    properties.ReceiveMaximum = options.max_in_flight
    properties.MaximumPacketSize = options.max_payload_bytes + TOPIC_BYTES
    return properties


def _tls_context(options: MqttOptions) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.ca_file)
    if options.cert_file:
        context.load_cert_chain(options.cert_file, options.key_file)
    context.sslsocket_class = _ClosingSocket
    return context


class _ClosingSocket(ssl.SSLSocket):
    """Closes itself when the handshake fails; paho forgets it then, and it would stay open until it is collected."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def _queue_type(limit: int, dropped: Callable[[], None]) -> type[asyncio.Queue[aiomqtt.Message]]:
    """Return the queue between paho and us: bounded for QoS 0, whose overflow is dropped and counted.

    QoS 1 is bounded by the broker, which waits for acknowledgements (MQTT 5: at ``limit``, as we told it; MQTT 3.1.1:
    at its own setting), and must not be dropped here: it would come again only on the next connection.
    """

    class Bounded(asyncio.Queue[aiomqtt.Message]):
        def put_nowait(self, item: aiomqtt.Message) -> None:
            if item.qos == 0 and self.qsize() >= limit:
                dropped()
            else:
                super().put_nowait(item)

    return Bounded


def _connect_failure(error: aiomqtt.MqttError) -> FeedError | FeedRefused:
    refusal = _REFUSALS.get(_code(error.rc)) if isinstance(error, aiomqtt.MqttCodeError) else None
    if refusal is not None:
        return FeedRefused(refusal)
    cause = error.__context__  # aiomqtt hides it, and keeps its text only
    if isinstance(cause, ssl.SSLCertVerificationError):
        return FeedRefused(f"the broker's certificate is not valid ({cause.verify_message})")
    return FeedError(f"cannot connect ({_reason(cause or error)})")


def _code(code: ReasonCode | int | None) -> int:
    """Return a reason code as the number that MQTT 5 gives it; 0 where there is none."""
    return int(code.value) if isinstance(code, ReasonCode) else code or 0


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error) or type(error).__name__).rstrip(".")
