"""A feed that misbehaves cannot delay or kill the events of another: the whole daemon, real servers on the loopback.

Each test has a feed that is well, whose server sends an event and waits for its acknowledgement, fifty times over, and
beside it one that is not. Nothing is asked of time but that all of it happens at all, while the other goes on.
"""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
from websockets.asyncio.server import ServerConnection

from frontrow.clock import SystemClock
from frontrow.core.events import encode_event
from tests.support.daemons import Running, running, write_config
from tests.support.rooms import event
from tests.support.websocket_server import Script, ScriptedSockets, cut, stay

ROUNDS = 50
PATIENCE_S = 30.0

FEED = """
[[feeds]]
id = "{id}"
room = "{room}"
connector = "{connector}"
{options}
"""


class Well:
    """A server whose every event must be acknowledged before it sends the next."""

    def __init__(self) -> None:
        self.acknowledged = 0
        self.done = asyncio.Event()

    async def __call__(self, connection: ServerConnection) -> None:
        now = SystemClock().now()
        while self.acknowledged < ROUNDS:
            number = self.acknowledged + 1
            one = encode_event(event("like", number, id=f"well-{number}", at=now))
            await connection.send(b'{"type":"events","seq":%d,"events":[%s]}' % (number, one))
            while msgspec.json.decode(await connection.recv()) != {"type": "ack", "seq": number}:
                pass  # a `resume`: something has broken this connection, which the test will say
            self.acknowledged = number
        self.done.set()
        await stay(connection)


class Ill:
    """A server that does one bad thing; ``times`` counts how often it has."""

    def __init__(self) -> None:
        self.times = 0

    async def flood(self, connection: ServerConnection) -> None:
        """Send events as fast as they are taken, for ever."""
        now = SystemClock().now()
        for block in itertools.count():
            lines = (
                event("like", n, id=f"{id(connection)}-{block}-{n}", room="r2", at=now) for n in range(100)
            )
            await connection.send(b"\n".join(map(encode_event, lines)))
            self.times += 1
            await asyncio.sleep(0)  # this server and the daemon share a loop here

    async def send_garbage(self, connection: ServerConnection) -> None:
        """Send what is no event, in every form, for ever."""
        noise = random.Random(7)
        while True:
            parts = [
                noise.randbytes(300),
                b"[" * 300,
                b"{}" * 300,
                b'{"type":"events","seq":1,"events":[{}]}',
                b"",
            ]
            for part in parts:
                await connection.send(part)
            self.times += 1
            await asyncio.sleep(0)

    async def flap(self, connection: ServerConnection) -> None:
        """Break off right after the handshake."""
        self.times += 1
        cut(connection)

    async def send_too_much(self, connection: ServerConnection) -> None:
        """Send a message beyond the bound, in fragments, so that only their sum is."""
        self.times += 1
        await connection.send([bytes(10_000)] * 200)
        await stay(connection)

    async def hang(self, connection: ServerConnection) -> None:
        """Send half a frame and read nothing."""
        self.times += 1
        connection.transport.write(b"\x81\x7e\xff\xffhalf")
        connection.transport.pause_reading()
        await asyncio.Event().wait()


@asynccontextmanager
async def raw_server(answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[int]:
    """Serve what is none of a broker's or a WebSocket server's words."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await answer(writer)
            while await reader.read(65_536):
                pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def daemon_with(
    folder: Path, well: ScriptedSockets, connector: str, options: str
) -> AsyncIterator[Running]:
    config = FEED.format(id="well", room="demo", connector="websocket", options=f'url = "{well.url}"')
    config += FEED.format(id="ill", room="other", connector=connector, options=options)
    async with running(write_config(folder, config)) as up:
        yield up


async def accepted(http: httpx.AsyncClient, room: str) -> int:
    """Return how many events of a room are durable."""
    lines = (await http.get("/metrics")).text.splitlines()
    found = [
        line
        for line in lines
        if line.startswith("frontrow_feed_events_total{")
        and f'room="{room}"' in line
        and '"accepted"' in line
    ]
    return round(sum(float(line.rpartition(" ")[2]) for line in found))


async def until_well(up: Running, well: Well, servers: Sequence[ScriptedSockets]) -> None:
    """Wait until the feed that is well has had all its acknowledgements, on its first connection."""
    await asyncio.wait_for(well.done.wait(), PATIENCE_S)
    assert await accepted(up.http, "demo") == ROUNDS
    assert len(servers[0].paths) == 1


@pytest.mark.parametrize("illness", ["flood", "send_garbage", "flap", "send_too_much", "hang"])
async def test_an_ill_websocket_feed_harms_no_other(tmp_path: Path, illness: str) -> None:
    well, ill = Well(), Ill()
    script: Script = getattr(ill, illness)
    healthy, unhealthy = ScriptedSockets(well), ScriptedSockets(script)
    async with healthy.running(), unhealthy.running():
        options = f'url = "{unhealthy.url}"'
        async with daemon_with(tmp_path, healthy, "websocket", options) as up:
            await until_well(up, well, [healthy])
            assert ill.times > 0


async def test_a_flood_is_taken_all_the_same(tmp_path: Path) -> None:
    """To keep it from harming others is not to shut it out."""
    well, ill = Well(), Ill()
    healthy, unhealthy = ScriptedSockets(well), ScriptedSockets(ill.flood)
    async with (
        healthy.running(),
        unhealthy.running(),
        daemon_with(tmp_path, healthy, "websocket", f'url = "{unhealthy.url}"') as up,
    ):
        await until_well(up, well, [healthy])
        async with asyncio.timeout(PATIENCE_S):
            while await accepted(up.http, "other") < 2_000:
                await asyncio.sleep(0.05)


async def say_nothing(writer: asyncio.StreamWriter) -> None:
    """Take the connection and be silent for ever."""


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def talk_nonsense(writer: asyncio.StreamWriter) -> None:
    noise = random.Random(7)
    while True:
        writer.write(noise.randbytes(10_000))
        await writer.drain()


async def promise_much(writer: asyncio.StreamWriter) -> None:
    """Answer like a broker, then begin a message of 256 MB and send it for ever."""
    writer.write(b"\x20\x03\0\0\0" + b"\x90\x04\0\x01\0\0" + b"\x30\xff\xff\xff\x7f\0\x01t")
    while True:
        writer.write(bytes(10_000))
        await writer.drain()


@pytest.mark.parametrize("connector", ["mqtt", "websocket"])
@pytest.mark.parametrize("illness", [say_nothing, hang_up, talk_nonsense, promise_much])
async def test_a_server_that_speaks_another_language_harms_no_other_feed(
    tmp_path: Path, connector: str, illness: Callable[[asyncio.StreamWriter], Awaitable[None]]
) -> None:
    well = Well()
    healthy = ScriptedSockets(well)
    async with healthy.running(), raw_server(illness) as port:
        options = (
            f'url = "ws://127.0.0.1:{port}"'
            if connector == "websocket"
            else f'host = "127.0.0.1"\nport = {port}'
        )
        async with daemon_with(tmp_path, healthy, connector, options) as up:
            await until_well(up, well, [healthy])
