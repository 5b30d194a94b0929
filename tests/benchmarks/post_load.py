"""A sender for benchmarks: posts prepared bodies at their times, whatever becomes of earlier ones, from its own process.

    python -m tests.benchmarks.post_load PLAN

``PLAN`` is a JSON file, the fields of :class:`Plan`. It says ``ready``, begins at a line on standard input, and
writes in the end what became of each post, as JSON: :class:`Post`.

Bodies are templates, so that making them takes no time while posting: :data:`NUMBER` becomes the post's number, which
makes all ids in it new, and :data:`NOW` the time of sending. The client is a plain socket: a library takes longer for
a request than the daemon for its events, and this process shares the machine with it.
"""

import asyncio
import base64
import hashlib
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import uvloop

from frontrow.clock import SystemClock

NUMBER = b"#NUMBER#"
NOW = b"1111111111111"


class Plan(msgspec.Struct, kw_only=True):
    """What is sent: ``bodies`` is a file of templates, one a line, used in turn; ``every_s`` apart, ``posts`` in all.

    ``connections`` carry at most one request each at a time; a post for which none is free is sent late, and its
    times tell. ``every_s`` 0: as soon as a connection is free. With a ``push_secret`` each is signed as a push of
    Douyin; ``push_types`` are then those of the templates.
    """

    url: str
    path: str
    token: str
    bodies: str
    posts: int
    every_s: float
    connections: int
    first: int = 0
    push_secret: str | None = None
    push_types: list[str] = []


class Post(msgspec.Struct, array_like=True):
    """One request: when it was due, sent and answered (``perf_counter``), the time in it (ms), and the status."""

    number: int
    due: float
    sent: float
    answered: float
    at: int
    status: int


class Sender:
    """The connections and what became of the posts."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._templates = Path(plan.bodies).read_bytes().splitlines()
        self._free: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()
        self._freed = asyncio.Event()
        self._clock = SystemClock()
        self.posts: list[Post] = []

    async def run(self) -> None:
        address = urlsplit(self._plan.url)
        for _ in range(self._plan.connections):
            self._free.append(await asyncio.open_connection(address.hostname, address.port))
        say("ready")
        await asyncio.to_thread(sys.stdin.readline)
        async with asyncio.TaskGroup() as group:
            for number, due in self._times():
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                while not self._free:
                    self._freed.clear()
                    await self._freed.wait()
                group.create_task(self._post(number, due), name=f"post {number}")
                await asyncio.sleep(0)
        for _, writer in self._free:
            writer.close()

    def _times(self) -> Iterator[tuple[int, float]]:
        began = time.perf_counter()
        for number in range(self._plan.posts):
            yield self._plan.first + number, began + number * self._plan.every_s

    async def _post(self, number: int, due: float) -> None:
        reader, writer = self._free.popleft()
        at = self._clock.now()
        template = self._templates[number % len(self._templates)]
        body = template.replace(NUMBER, b"%08d" % number).replace(NOW, b"%d" % at)
        sent = time.perf_counter()
        writer.write(self._head(number, body, at) + body)
        status = await _answer(reader)
        self.posts.append(Post(number, due, sent, time.perf_counter(), at, status))
        self._free.append((reader, writer))
        self._freed.set()

    def _head(self, number: int, body: bytes, at: int) -> bytes:
        lines = [f"POST {self._plan.path} HTTP/1.1", "host: load", f"content-length: {len(body)}"]
        if self._plan.push_secret is None:
            lines.append(f"authorization: Bearer {self._plan.token}")
        else:
            type = self._plan.push_types[number % len(self._templates)]
            signed = {"x-msg-type": type, "x-nonce-str": "n", "x-roomid": "77", "x-timestamp": str(at)}
            text = "&".join(f"{name}={value}" for name, value in sorted(signed.items()))
            digest = hashlib.md5(text.encode() + body + self._plan.push_secret.encode()).digest()
            signed["x-signature"] = base64.b64encode(digest).decode()
            lines += [f"{name}: {value}" for name, value in signed.items()]
        return "\r\n".join([*lines, "", ""]).encode()


async def _answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    await reader.readexactly(length)
    return int(head[9:12])


def say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    sender = Sender(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan))
    uvloop.run(sender.run())
    say(msgspec.json.encode(sender.posts).decode())


if __name__ == "__main__":
    main()
