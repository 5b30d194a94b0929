"""Three kinds of feeds, each with both of its sides: who sends outside, and what the daemon does with it inside.

* HTTP: batches of lines, sent again until they are answered with 200.
* WebSocket: numbered messages, kept by the server until they are acknowledged, sent again on every new connection.
* MQTT at QoS 1: single events with a packet id, at most so many in flight, each kept until its own acknowledgement.

The outside keeps what was not acknowledged for as long as it takes, as real senders should; so when all faults are
over, everything must be in the journal. The inside is the daemon's own clients, with their decoders, their inboxes,
their order of *put, wait until durable, acknowledge*, and their reconnecting; only what lies below, a socket and its
protocol, is replaced by messages of the simulated network.
"""

import asyncio
import contextlib
import json
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from websockets.exceptions import ConnectionClosedError

from frontrow.core.errors import EventInvalid, FeedError
from frontrow.core.events import Event, RoomRef
from frontrow.runtime.intake import Intake, NotStored, QueueFull
from frontrow_connectors.canonical import decode_payload
from frontrow_connectors.connections import accompany
from frontrow_connectors.contract import FeedContext, FeedState, FeedStatus
from frontrow_connectors.inbox import Inbox, deliver
from frontrow_connectors.mqtt.client import MqttFeed
from frontrow_connectors.mqtt.options import MqttOptions
from frontrow_connectors.mqtt.packets import Message
from frontrow_connectors.websocket.client import WebSocketFeed
from frontrow_connectors.websocket.options import WebSocketOptions
from tests.simulation.loop import ProcessLoop
from tests.simulation.network import Broken, End, Network
from tests.simulation.plan import Fault, Plan
from tests.simulation.workload import GARBAGE, PLATFORM, Sent

IN_FLIGHT = 8  # MQTT messages without an acknowledgement
REQUEST_TIMEOUT_S = 5.0

Acknowledged = Callable[[Sequence[Event]], None]


class Daemon(Protocol):
    """What a feed outside needs of whichever daemon runs now."""

    @property
    def loop(self) -> ProcessLoop: ...

    async def ingest(self, room: RoomRef, body: bytes) -> int: ...


@dataclass
class Outside:
    """What all senders share. ``daemon`` returns the one that runs, or None; ``calm`` is set when faults are over."""

    plan: Plan
    network: Network
    daemon: Callable[[], Daemon | None]
    calm: Callable[[], bool]
    happened: Callable[[Fault, int | None], None]  # which, and in which process, None: the one that runs now
    posts: int = 0  # messages that went out to receivers so far

    def draws(self, fault: Fault, rng: random.Random, chance: float) -> bool:
        """Return whether a fault is to strike now; whoever asks tells ``happened`` once it has."""
        return not self.calm() and self.plan.has(fault) and rng.random() < chance

    def strikes(self, fault: Fault, rng: random.Random, chance: float, process: int | None = None) -> bool:
        """Return whether a fault strikes now; if so it is noted, in ``process`` or (None) in the one that runs now."""
        struck = self.draws(fault, rng, chance)
        if struck:
            self.happened(fault, process)
        return struck


# ---------------------------------------------------------------------- HTTP


class HttpSender:
    """Sends one room's events in requests, each until it is taken."""

    def __init__(self, outside: Outside, room: RoomRef, stream: Sequence[Sent], rng: random.Random) -> None:
        self._outside = outside
        self._room = room
        self._stream = stream
        self._rng = rng
        self.done = False

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for batch in _batches(self._stream, self._rng, self._outside.plan.batch_events):
            await asyncio.sleep(max(0.0, batch[-1].due_s - loop.time()))
            lines = [sent.line for sent in batch]
            clean = body = b"\n".join(lines)
            if self._outside.strikes(Fault.GARBAGE, self._rng, 0.3):
                for _ in range(self._rng.randint(1, 3)):
                    lines.insert(self._rng.randint(0, len(lines)), self._rng.choice(GARBAGE))
                body = b"\n".join(lines)
            await self._deliver(body, clean)
            if self._outside.strikes(Fault.DUPLICATES, self._rng, 0.2):
                for _ in range(self._rng.randint(1, 10)):
                    await self._deliver(body, clean)
        self.done = True

    async def _deliver(self, body: bytes, clean: bytes) -> None:
        while True:
            status = await self._post(body)
            if status == 200:
                return
            if status == 400:
                body = clean  # garbage at the beginning can make the whole of it unreadable
            await asyncio.sleep(self._rng.uniform(0.05, 2.0))

    async def _post(self, body: bytes) -> int:
        outside = self._outside
        daemon = outside.daemon()
        try:
            status: int = await outside.network.request(
                None if daemon is None else daemon.loop,
                lambda: daemon.ingest(self._room, body),  # type: ignore[union-attr]  # not called if there is none
                timeout_s=REQUEST_TIMEOUT_S,
                lost=lambda: outside.strikes(Fault.LOST_REQUEST, self._rng, 0.1),
            )
        except Broken:
            return 0
        return status


async def serve_ingest(
    intake: Intake,
    room: RoomRef,
    body: bytes,
    *,
    rejected: Callable[[str], None],
    refused: Callable[[str], None],
    acknowledged: Acknowledged,
) -> int:
    """Do what ``POST /ingest/{room}`` does, and return the status."""
    try:
        batch = decode_payload(body, room)
    except EventInvalid as error:
        rejected(str(error))
        return 400
    for each in batch.rejected:
        rejected(each.reason)
    try:
        await intake.put_nowait(batch.events, feed="live")
    except QueueFull:
        refused("overloaded")
        return 429
    except NotStored:
        refused("not stored")
        return 503
    acknowledged(batch.events)
    return 200


# ---------------------------------------------------------------------- WebSocket


class WebSocketServer:
    """Serves one room's events in numbered messages; forgets a message when it is acknowledged."""

    def __init__(self, outside: Outside, stream: Sequence[Sent], rng: random.Random) -> None:
        self._outside = outside
        self._rng = rng
        self._messages: deque[tuple[int, float, bytes]] = deque()
        self._events: dict[int, list[Event]] = {}
        for seq, batch in enumerate(_batches(stream, rng, outside.plan.batch_events), 1):
            self._events[seq] = [sent.event for sent in batch]
            events = b",".join(sent.line for sent in batch)
            message = b'{"type":"events","seq":%d,"events":[%b]}' % (seq, events)
            self._messages.append((seq, batch[-1].due_s, message))

    @property
    def done(self) -> bool:
        return not self._messages

    def events_of(self, seq: int) -> list[Event]:
        """Return what a message holds."""
        return self._events[seq]

    async def serve(self, end: End) -> None:
        """Serve one connection until it breaks."""
        loop = asyncio.get_running_loop()
        hearing = asyncio.ensure_future(self._hear(end))
        try:
            for seq, due_s, message in list(self._messages):
                while loop.time() < due_s and not end.broken:
                    await asyncio.sleep(min(1.0, due_s - loop.time()))
                    self._maybe_cut(end)
                if self._outside.draws(Fault.GARBAGE, self._rng, 0.2):
                    await _send_as(Fault.GARBAGE, self._outside, end, self._rng.choice(GARBAGE))
                if self._messages and seq >= self._messages[0][0]:
                    await end.send(message)
                    if self._outside.draws(Fault.DUPLICATES, self._rng, 0.2):
                        repeats = self._rng.randint(1, 10)
                        await _send_as(Fault.DUPLICATES, self._outside, end, *[message] * repeats)
                self._maybe_cut(end)
            await hearing
        except Broken:
            hearing.cancel()

    async def _hear(self, end: End) -> None:
        with contextlib.suppress(Broken):
            while True:
                message = json.loads(await end.receive())
                while message["type"] == "ack" and self._messages and self._messages[0][0] <= message["seq"]:
                    self._messages.popleft()

    def _maybe_cut(self, end: End) -> None:
        if not end.broken and self._outside.strikes(Fault.FLAP, self._rng, 0.1):
            end.cut()


class _WebSocketConnection:
    """The daemon's end, with what the client asks of the library's connection."""

    def __init__(self, end: End, heard: Callable[[int], None]) -> None:
        self._end = end
        self._heard = heard
        self.inbox: Inbox[bytes] = Inbox(end)
        self.transport = end
        end.deliver_to(self.inbox)

    async def send(self, message: str) -> None:
        try:
            await self._end.send(message.encode())
        except Broken as error:
            raise ConnectionClosedError(None, None) from error
        answer = json.loads(message)
        if answer["type"] == "ack":
            self._heard(answer["seq"])

    async def ping(self) -> Awaitable[None]:
        if self._end.broken:
            raise ConnectionClosedError(None, None)
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        answered.set_result(None)
        return answered

    async def recv(self) -> bytes:
        raise ConnectionClosedError(None, None)


class WebSocketClient(WebSocketFeed):
    """The real client on a simulated connection."""

    def __init__(
        self, context: FeedContext, network: Network, server: "WebSocketServer", tell: Acknowledged
    ) -> None:
        super().__init__(WebSocketOptions(url="ws://feed.test/"), context)
        self._network = network
        self._server = server
        self._tell = tell

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[Any]:
        end = await _connection(self._context, self._network, self._server)
        connection = _WebSocketConnection(end, lambda seq: self._tell(self._server.events_of(seq)))
        try:
            yield connection
        finally:
            connection.inbox.end()
            end.cut()


# ---------------------------------------------------------------------- MQTT


@dataclass
class MqttBroker:
    """Holds one room's events for a persistent session; each stays until its packet id is acknowledged."""

    outside: Outside
    stream: Sequence[Sent]
    rng: random.Random
    _unacknowledged: dict[int, Sent] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._unacknowledged = dict(enumerate(self.stream, 1))

    @property
    def done(self) -> bool:
        return not self._unacknowledged

    def events_of(self, mid: int) -> list[Event]:
        """Return what a message holds; nothing for garbage."""
        return [self.stream[mid - 1].event] if mid else []

    async def serve(self, end: End) -> None:
        """Publish everything that is not acknowledged, in order; again from the first on the next connection."""
        loop = asyncio.get_running_loop()
        acknowledged = asyncio.Event()
        hearing = asyncio.ensure_future(self._hear(end, acknowledged))
        in_flight: set[int] = set()
        try:
            for mid, sent in list(self._unacknowledged.items()):
                while loop.time() < sent.due_s and not end.broken:
                    await asyncio.sleep(min(1.0, sent.due_s - loop.time()))
                    self._maybe_cut(end)
                while len(in_flight) >= IN_FLIGHT and not end.broken:
                    acknowledged.clear()
                    in_flight &= self._unacknowledged.keys()
                    if len(in_flight) >= IN_FLIGHT:
                        await acknowledged.wait()
                if mid not in self._unacknowledged:
                    continue
                in_flight.add(mid)
                repeats = self.rng.randint(1, 5) if self.outside.draws(Fault.DUPLICATES, self.rng, 0.1) else 0
                packet = b"%d %b" % (mid, sent.line)
                await end.send(packet)
                if repeats:
                    await _send_as(Fault.DUPLICATES, self.outside, end, *[packet] * repeats)
                if self.outside.draws(Fault.GARBAGE, self.rng, 0.1):
                    await _send_as(Fault.GARBAGE, self.outside, end, b"0 " + self.rng.choice(GARBAGE))
                self._maybe_cut(end)
            await hearing
        except Broken:
            hearing.cancel()

    async def _hear(self, end: End, acknowledged: asyncio.Event) -> None:
        try:
            while True:
                self._unacknowledged.pop(int(await end.receive()), None)
                acknowledged.set()
        except Broken:
            acknowledged.set()

    def _maybe_cut(self, end: End) -> None:
        if not end.broken and self.outside.strikes(Fault.FLAP, self.rng, 0.05):
            end.cut()


class MqttClient(MqttFeed):
    """The real client's decoding and delivering at QoS 1, on a simulated connection."""

    def __init__(
        self, context: FeedContext, network: Network, server: MqttBroker, tell: Acknowledged
    ) -> None:
        super().__init__(MqttOptions(), context)
        self._network = network
        self._server = server
        self._tell = tell

    async def _session(self) -> None:
        end = await _connection(self._context, self._network, self._server)
        inbox: Inbox[Message] = Inbox(end)
        end.deliver_to(
            inbox, lambda packet: Message(packet.partition(b" ")[2], int(packet.partition(b" ")[0]))
        )
        self._context.status(FeedStatus(FeedState.CONNECTED))

        async def acknowledge(ids: Sequence[int]) -> None:
            for mid in ids:
                with contextlib.suppress(Broken):
                    await end.send(b"%d" % mid)
                    self._tell(self._server.events_of(mid))

        try:
            await accompany(deliver(self._context, inbox, self._decode, acknowledge))
        finally:
            inbox.end()
            end.cut()
        raise FeedError("the broker closed the connection")


async def _send_as(fault: Fault, outside: Outside, end: End, *messages: bytes) -> None:
    """Send messages that are a fault, which has struck once the first is on its way: a broken connection takes none.

    Raises:
        Broken: The connection broke before all were sent.
    """
    for number, message in enumerate(messages):
        await end.send(message)
        if number == 0:
            outside.happened(fault, None)


async def _connection(context: FeedContext, network: Network, server: WebSocketServer | MqttBroker) -> End:
    try:
        return await network.connect(server.serve, name=context.feed)
    except Broken as error:
        raise FeedError(str(error)) from error


def _batches(stream: Sequence[Sent], rng: random.Random, most: int) -> Iterator[list[Sent]]:
    """Cut a stream into batches of what is due within a second or so."""
    batch: list[Sent] = []
    for sent in stream:
        if batch and (len(batch) >= rng.randint(1, most) or sent.due_s > batch[0].due_s + 1.0):
            yield batch
            batch = []
        batch.append(sent)
    if batch:
        yield batch


def of_room(stream: Sequence[Sent], room: RoomRef) -> list[Sent]:
    """Return the part of a stream that one room's feed sends."""
    return [sent for sent in stream if sent.event.platform == PLATFORM and sent.event.room == room.room]
