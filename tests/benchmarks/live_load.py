"""The senders of ``bench_live.py``: a program that puts one kind of load on a daemon, from a process of its own.

    python -m tests.benchmarks.live_load KIND EVENTS RATE ADDRESS

``KIND`` is ``http``, ``websocket`` or ``mqtt``. It makes ``EVENTS`` events of a busy room beforehand and writes
``ready``, with the port where it serves one. It begins at a line on standard input, sends ``RATE`` events a second (0:
as many as are taken) until all are sent or ``SECONDS`` are over, and writes in the end what it sent, as JSON.
"""

import asyncio
import json
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import uvloop
from websockets.asyncio.server import ServerConnection, serve

from frontrow.clock import SystemClock
from frontrow.core.events import encode_event
from frontrow_connectors.mqtt import packets
from frontrow_models.simulate.busy import busy_room

SECONDS = 12.0
BATCH = 200  # events in a POST
CONNECTIONS = 32  # POSTs that wait for their answer at a time
PORTION = 100  # messages written at a time
HIGH_WATER = 1_048_576  # bytes that wait in the sender before it waits itself
TOPIC = "live"
VIEWERS = 100_000


def made(count: int) -> list[bytes]:
    """Return the events as JSON."""
    now = SystemClock().now()
    events = busy_room(events=count, viewers=VIEWERS, start=now, platform="test", room="r1")
    return [encode_event(event) for event in events]


def portions(parts: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    """Yield the parts, so many at a time."""
    return (parts[start : start + size] for start in range(0, len(parts), size))


def due_in(began: float, sent: int, rate: float) -> float:
    """Return how long to wait before more may be sent, in seconds."""
    return began + sent / rate - time.perf_counter() if rate else 0.0


async def http(bodies: Sequence[bytes], rate: float, url: str) -> dict[str, int]:
    """Post all bodies, and each that was answered with 429 again; over plain sockets, a client's library being slow."""
    address = urlsplit(url)
    head = f"POST /ingest/demo HTTP/1.1\r\nhost: {address.netloc}\r\nauthorization: Bearer {os.environ['FRONTROW_TOKEN']}"
    queue = iter(bodies)
    sent = busy = 0
    began = time.perf_counter()

    async def post() -> None:
        nonlocal sent, busy
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        for body in queue:
            if time.perf_counter() - began > SECONDS:
                break
            await asyncio.sleep(max(0.0, due_in(began, sent, rate)))
            sent += BATCH
            while True:
                writer.write(f"{head}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
                status, answer = await read_answer(reader)
                if status != 429:
                    break
                busy += 1
                await asyncio.sleep(1.0)
            assert status == 200, answer
            assert not json.loads(answer)["rejected"], answer
        writer.close()

    async with asyncio.TaskGroup() as senders:
        for number in range(CONNECTIONS):
            senders.create_task(post(), name=f"sender {number}")
    return {"sent": sent, "busy": busy}


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Return the status and the body of an answer that says how long it is."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    _, _, rest = head.partition(b"content-length:")
    return int(head.split()[1]), await reader.readexactly(int(rest.split()[0]))


async def websocket(frames: Sequence[bytes], rate: float) -> None:
    """Serve one client until killed; write frames made beforehand, since to make them costs more than to read them."""
    begin, over = asyncio.Event(), asyncio.Event()
    sent = 0
    loop = asyncio.get_running_loop()

    def wait_for_line() -> None:
        sys.stdin.readline()
        loop.call_soon_threadsafe(begin.set)

    async def send(connection: ServerConnection) -> None:
        nonlocal sent
        await begin.wait()
        began = time.perf_counter()
        for some in portions(frames, PORTION):
            if time.perf_counter() - began > SECONDS:
                break
            connection.transport.write(b"".join(some))
            sent += len(some)
            await asyncio.sleep(max(0.0, due_in(began, sent, rate)))
            while connection.transport.get_write_buffer_size() > HIGH_WATER:
                await asyncio.sleep(0.001)
        over.set()
        await connection.wait_closed()

    async with serve(send, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        say(f"ready {next(iter(server.sockets)).getsockname()[1]}")
        threading.Thread(target=wait_for_line, daemon=True).start()
        await over.wait()
        say(json.dumps({"sent": sent}))
        await asyncio.Event().wait()  # to close the connection would be another event for the daemon


def mqtt(payloads: Sequence[bytes], rate: float, port: int) -> dict[str, int]:
    """Publish with QoS 0 from a plain socket: a client library takes as long for a message as the daemon for ten."""
    began, sent = time.perf_counter(), 0
    with socket.create_connection(("127.0.0.1", port)) as broker:
        hello = packets.connect(
            five=False,
            client_id="load",
            username=None,
            password=None,
            clean=True,
            keepalive_s=600,
            properties={},
        )
        broker.sendall(hello)
        assert broker.recv(4) == b"\x20\x02\x00\x00", "the broker did not take us"
        for some in portions(payloads, PORTION):
            if time.perf_counter() - began > SECONDS:
                break
            broker.sendall(b"".join(some))
            sent += len(some)
            time.sleep(max(0.0, due_in(began, sent, rate)))
    return {"sent": sent}


def frame(payload: bytes) -> bytes:
    """Return a final text frame."""
    length = len(payload)
    return (
        struct.pack("!BB", 0x81, length) if length < 126 else struct.pack("!BBH", 0x81, 126, length)
    ) + payload


def publication(payload: bytes) -> bytes:
    """Return a PUBLISH packet of MQTT 3.1.1 with QoS 0."""
    body = struct.pack("!H", len(TOPIC)) + TOPIC.encode() + payload
    length = len(body)
    return b"\x30" + (bytes((length,)) if length < 128 else bytes((length & 127 | 128, length >> 7))) + body


def say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    kind, count, rate, address = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    events = made(count)
    match kind:
        case "http":
            bodies = [b"\n".join(some) for some in portions(events, BATCH)]
            say("ready")
            sys.stdin.readline()
            say(json.dumps(uvloop.run(http(bodies, rate, address))))
        case "websocket":
            uvloop.run(websocket([frame(each) for each in events], rate))
        case "mqtt":
            payloads = [publication(each) for each in events]
            say("ready")
            sys.stdin.readline()
            say(json.dumps(mqtt(payloads, rate, int(address))))
        case _:
            raise SystemExit(f"no such load: {kind}")


if __name__ == "__main__":
    main()
