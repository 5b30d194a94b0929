"""Senders as the real ones are: they keep what they were told is stored, and send all else again.

Three at a time: HTTP batches, a WebSocket server that counts acknowledgements, and a publisher to a real broker with
QoS 1. A daemon that dies makes each of them repeat itself, so the storms of duplicates come by themselves; the HTTP
sender repeats some batches for no reason, too.
"""

import asyncio
import contextlib
import itertools
import json
import random

import aiomqtt
import httpx
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from frontrow.core.events import Event, encode_event
from tests.crash.zygote import FastClock

PLATFORM, ROOM = "test", "r1"
WINDOW = 64  # WebSocket messages under way
RETRY_S = 0.05
SESSION_S = 3_600  # how long the broker keeps what the daemon has not taken
QUIET_S = 5.0  # the longest wait for an answer of a daemon that lives


class Sender:
    """Makes events, and knows which were sent and which of them were acknowledged."""

    def __init__(self, name: str, dice: random.Random, clock: FastClock) -> None:
        self.name = name
        self.dice = dice
        self.sent: set[str] = set()
        self.acknowledged: set[str] = set()
        self.repeats = 0
        self._clock = clock
        self._numbers = itertools.count()
        self._making = asyncio.Event()
        self._making.set()

    def stop_making(self) -> None:
        """Make no more events; what was made is still sent until it is acknowledged."""
        self._making.clear()

    @property
    def making(self) -> bool:
        return self._making.is_set()

    @property
    def done(self) -> bool:
        """Whether all that was sent is acknowledged."""
        return not self.making and self.sent == self.acknowledged

    def make(self, count: int) -> tuple[list[str], list[bytes]]:
        """Return the ids and the JSON of new events, of a crowd that changes over time."""
        made = [self._event(next(self._numbers)) for _ in range(count)]
        return [event.id for event in made], [encode_event(event) for event in made]

    def _event(self, number: int) -> Event:
        dice = self.dice
        [kind] = dice.choices(
            ("like", "comment", "enter", "product_click", "cart_add", "form_submit", "order_paid"),
            (30, 30, 15, 10, 8, 4, 3),
        )
        asks = dice.random() < 0.4
        # Noise makes the journal grow as real talk does, so that checkpoints come.
        text = "多少钱" if asks else "".join(dice.choices("abcdefghijklmnopqrstuvwxyz ", k=150))
        return Event(
            id=f"{self.name}-{number}",
            platform=PLATFORM,
            room=ROOM,
            kind=kind,
            at=self._clock.now(),
            viewer=f"{self.name}-{number // 400}-{int(40 * dice.random() ** 2)}",
            name=f"viewer {number % 97}",
            text=text if kind == "comment" else None,
        )


class HttpSender(Sender):
    """Posts batches to ``/ingest``; a batch is acknowledged by the answer, and by nothing else."""

    def __init__(self, dice: random.Random, clock: FastClock, *, url: str, token: str) -> None:
        super().__init__("http", dice, clock)
        self._url = url
        self._token = token

    async def run(self, lanes: int = 2) -> None:
        """Send in so many connections at once, until cancelled."""
        headers = {"authorization": f"Bearer {self._token}"}
        client = httpx.AsyncClient(base_url=self._url, headers=headers, timeout=QUIET_S)
        async with client as http, asyncio.TaskGroup() as group:
            for _ in range(lanes):
                group.create_task(self._lane(http))

    async def _lane(self, http: httpx.AsyncClient) -> None:
        while True:
            await self._making.wait()
            ids, lines = self.make(self.dice.randint(1, 60))
            self.sent.update(ids)
            body = b"\n".join(lines)
            while not await self._post(http, body, len(ids)):
                self.repeats += 1
                await asyncio.sleep(RETRY_S)
            self.acknowledged.update(ids)
            if self.dice.random() < 0.1:
                await self._post(http, body, len(ids))  # the platform repeats itself
            await asyncio.sleep(RETRY_S)

    async def _post(self, http: httpx.AsyncClient, body: bytes, count: int) -> bool:
        """Return whether the batch is stored; False: nobody knows."""
        try:
            answer = await http.post("/ingest/demo", content=body)
        except httpx.TransportError:
            return False
        if answer.status_code in (429, 503):
            return False
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert (found["accepted"] + found["duplicates"], found["rejected"]) == (count, [])
        return True


class SocketSender(Sender):
    """A WebSocket server to which the daemon connects; each message is acknowledged by its number."""

    def __init__(self, dice: random.Random, clock: FastClock) -> None:
        super().__init__("socket", dice, clock)
        self._seq = itertools.count(1)
        self._waiting: dict[int, tuple[list[str], bytes]] = {}  # sent and not acknowledged, in order
        self.port = 0

    async def run(self) -> None:
        """Serve until cancelled; ``port`` is known once it serves."""
        async with serve(self._handle, "127.0.0.1", 0, ping_interval=None, close_timeout=0.2) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            await asyncio.get_running_loop().create_future()

    async def _handle(self, connection: ServerConnection) -> None:
        listening = asyncio.ensure_future(self._listen(connection))
        try:
            self.repeats += len(self._waiting)
            for seq in list(self._waiting):  # a daemon that died has forgotten, or has not told us
                if seq in self._waiting:
                    await connection.send(self._waiting[seq][1])
            while not listening.done():
                if self.making and len(self._waiting) < WINDOW:
                    await connection.send(self._next())
                await asyncio.sleep(0.02)
        except ConnectionClosed:
            pass  # what was under way is sent again on the next connection
        finally:
            listening.cancel()

    async def _listen(self, connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for said in connection:
                message = json.loads(said)
                if message["type"] == "ack":
                    self._taken(message["seq"])

    def _next(self) -> bytes:
        seq = next(self._seq)
        ids, lines = self.make(self.dice.randint(1, 8))
        message = b'{"type":"events","seq":%d,"events":[%s]}' % (seq, b",".join(lines))
        self.sent.update(ids)
        self._waiting[seq] = (ids, message)
        return message

    def _taken(self, seq: int) -> None:
        """An acknowledgement stands for all messages up to its own."""
        assert seq < 2**53
        for waiting in [waiting for waiting in self._waiting if waiting <= seq]:
            ids, _ = self._waiting.pop(waiting)
            self.acknowledged.update(ids)


class MqttSender(Sender):
    """Publishes with QoS 1 to a broker that holds, for the daemon's session, whatever the daemon has not acknowledged.

    Only the broker knows what the daemon acknowledged. So ``acknowledged`` is what the broker has answered for, which
    it owes to the daemon; it has to be in the journal in the end.
    """

    def __init__(self, dice: random.Random, clock: FastClock, *, port: int, session: str) -> None:
        super().__init__("mqtt", dice, clock)
        self._port = port
        self._session = session
        self.topic = "frontrow/demo/events"

    async def open_session(self) -> None:
        """Make the daemon's session at the broker, so that nothing is published before anybody wants it."""
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho is typed in part
        properties.SessionExpiryInterval = SESSION_S
        async with aiomqtt.Client(
            "127.0.0.1",
            self._port,
            identifier=self._session,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=False,
            properties=properties,
        ) as client:
            await client.subscribe(self.topic, qos=1)

    async def run(self) -> None:
        """Publish until cancelled."""
        async with aiomqtt.Client("127.0.0.1", self._port) as client:
            while True:
                await self._making.wait()
                ids, lines = self.make(self.dice.randint(1, 8))
                self.sent.update(ids)
                await client.publish(self.topic, b"[" + b",".join(lines) + b"]", qos=1)
                self.acknowledged.update(ids)
                await asyncio.sleep(0.02)
