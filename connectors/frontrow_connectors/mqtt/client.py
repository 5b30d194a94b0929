"""Reads from an MQTT broker in bulk and acknowledges by hand, after the commit."""

import asyncio
import ssl
from collections.abc import Sequence

from frontrow.core.errors import EventInvalid, FeedError, FeedRefused
from frontrow.core.events import Event
from frontrow_connectors.canonical import count_rejected, decode_plain, reason_class
from frontrow_connectors.connections import accompany
from frontrow_connectors.contract import FeedContext, FeedState, FeedStatus
from frontrow_connectors.inbox import deliver
from frontrow_connectors.mqtt import packets
from frontrow_connectors.mqtt.connection import Connection, connected, reason
from frontrow_connectors.mqtt.decoder import decode_message, too_large
from frontrow_connectors.mqtt.options import MqttOptions
from frontrow_connectors.mqtt.packets import Message
from frontrow_connectors.reconnect import keep_connected

TIMEOUT_S = 5.0  # to connect, and for the broker's answers to that and to subscribing; also for leaving
TOPIC_BYTES = 65_535 + 1_024  # what a packet may hold beside its payload

# CONNACK codes that a person must act on; every other failure is tried again (MQTT 5.0, 3.2.2.2).
_REFUSALS = {
    0x84: "the broker does not speak this protocol version",
    0x85: "the broker does not take this client id",
    0x86: "wrong user name or password",
    0x87: "not authorised",
    0x8A: "this client is banned",
    0x8C: "wrong authentication method",
}


class MqttFeed:
    """One subscription, for one room."""

    def __init__(self, options: MqttOptions, context: FeedContext) -> None:
        self._options = options
        self._context = context
        self._five = options.protocol == "5"

    async def run(self) -> None:
        """Deliver until cancelled."""
        await keep_connected(self._context, self._session)

    async def _session(self) -> None:
        options = self._options
        async with connected(
            options.host,
            options.port,
            tls=await self._tls(),
            five=self._five,
            max_packet_bytes=options.max_payload_bytes + TOPIC_BYTES,
            timeout_s=TIMEOUT_S,
        ) as broker:
            keepalive_s = await self._log_in(broker)
            await accompany(
                deliver(self._context, broker.inbox, self._decode, broker.acknowledge),
                broker.keep_alive(keepalive_s),
                # Beside the delivery, since what a kept session has for us comes before the answer to this.
                self._subscribe(broker),
            )
            raise broker.failure()

    async def _tls(self) -> ssl.SSLContext | None:
        if not self._options.tls:
            return None
        try:
            return await asyncio.to_thread(_tls_context, self._options)
        except (OSError, ssl.SSLError) as error:
            raise FeedRefused(f"a certificate or key file cannot be used: {reason(error)}") from error

    async def _log_in(self, broker: Connection) -> int:
        """Log in, and return the agreed keepalive in seconds."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answer = await broker.log_in(self._connect_packet())
        except TimeoutError as error:
            raise FeedError(f"cannot connect ({reason(error)})") from error
        except FeedError as error:
            raise FeedError(f"cannot connect ({error.reason})") from error
        if answer.code in _REFUSALS:
            raise FeedRefused(_REFUSALS[answer.code])
        if answer.code:
            raise FeedError(f"cannot connect (the broker answered with code 0x{answer.code:02X})")
        # A broker may ask for less patience than ours; that it wants no pings at all does not keep us from looking.
        agreed = answer.properties.get(packets.SERVER_KEEP_ALIVE)
        return agreed if isinstance(agreed, int) and agreed else self._options.keepalive_s

    async def _subscribe(self, broker: Connection) -> None:
        options, context = self._options, self._context
        topics = [topic.replace("{room}", context.room.id) for topic in options.topics]
        try:
            async with asyncio.timeout(TIMEOUT_S):
                codes = await broker.subscribe(topics, options.qos)
        except ValueError:
            broker.end(FeedRefused("a topic is not a valid filter"))
        except TimeoutError as error:
            broker.end(FeedError(f"cannot subscribe ({reason(error)})"))
        except FeedError as error:
            broker.end(FeedError(f"cannot subscribe ({error.reason})"))
        else:
            refused = [topic for topic, code in zip(topics, codes, strict=True) if code >= 0x80]
            if refused:
                broker.end(FeedRefused(f"the broker refuses the subscription to {refused[0]}"))
            else:
                context.status(FeedStatus(FeedState.CONNECTED, f"{options.host}:{options.port}"))

    def _connect_packet(self) -> bytes:
        options = self._options
        persistent = options.qos > 0
        try:
            return packets.connect(
                five=self._five,
                client_id=options.client_id or f"frontrow-{self._context.feed}",
                username=options.username,
                password=options.password,
                clean=not persistent,
                keepalive_s=options.keepalive_s,
                properties={
                    packets.SESSION_EXPIRY_INTERVAL: options.session_expiry_s if persistent else 0,
                    packets.RECEIVE_MAXIMUM: options.max_in_flight,
                    packets.MAXIMUM_PACKET_SIZE: options.max_payload_bytes + TOPIC_BYTES,
                },
            )
        except ValueError as error:
            raise FeedRefused("the client id, user name or password cannot be sent by MQTT") from error

    def _decode(self, messages: Sequence[Message]) -> tuple[Sequence[Event], Sequence[int]]:
        """Return the messages' events, and the numbers to acknowledge them by.

        A payload that can never be taken is acknowledged, too: it was counted, and would come again for ever.
        """
        context, max_bytes = self._context, self._options.max_payload_bytes
        ids = [message.id for message in messages if message.id]
        payloads = [message.payload for message in messages if message.payload is not None]
        if len(payloads) == len(messages) and max(map(len, payloads)) <= max_bytes:
            plain = decode_plain(payloads, context.room)
            if plain is not None:
                return plain, ids
        events: list[Event] = []
        for payload, _ in messages:
            try:
                if payload is None:
                    raise too_large(max_bytes)
                batch = decode_message(payload, context.room, max_bytes=max_bytes)
            except EventInvalid as error:
                context.reject(reason_class(str(error)))
                continue
            count_rejected(context, batch)
            events += batch.events
        return events, ids


def _tls_context(options: MqttOptions) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.ca_file)
    if options.cert_file:
        context.load_cert_chain(options.cert_file, options.key_file)
    return context
