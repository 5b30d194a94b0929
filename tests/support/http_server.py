"""A real HTTP server on a loopback port that answers by a script, or fails as real ones do."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True)
class Request:
    """What came in; header names in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """An ordinary answer."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Failure(Enum):
    """What servers do instead of answering."""

    HANG = auto()  # takes the request and says nothing
    DROP = auto()  # closes the connection without a word
    BREAK_OFF = auto()  # closes it in the middle of the answer
    GARBAGE = auto()  # answers in no known language
    ENDLESS = auto()  # answers 200 and never stops talking


class ScriptedServer:
    """Written on bare sockets, since a framework cannot be made to drop or to garble.

    Each request takes the next entry of ``script``; when it is used up, ``otherwise``.
    """

    def __init__(self, port: int, otherwise: Reply) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.requests: list[Request] = []
        self.script: deque[Reply | Failure] = deque()
        self.otherwise: Reply | Failure = otherwise
        self.on_request: Callable[[Request], None] = lambda request: None
        self._closing = asyncio.Event()

    async def until(self, requests: int, *, patience_s: float = 10.0) -> None:
        """Wait until so many requests have come."""
        async with asyncio.timeout(patience_s):
            while len(self.requests) < requests:
                await asyncio.sleep(0.001)

    def close(self) -> None:
        self._closing.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await _read_request(reader)
            self.requests.append(request)
            self.on_request(request)
            await self._answer(self.script.popleft() if self.script else self.otherwise, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away, as clients do whose time is up
        finally:
            writer.close()

    async def _answer(self, answer: Reply | Failure, writer: asyncio.StreamWriter) -> None:
        match answer:
            case Reply():
                headers = {"content-length": str(len(answer.body)), "connection": "close", **answer.headers}
                lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                writer.write(f"HTTP/1.1 {answer.status} Said\r\n{lines}\r\n".encode() + answer.body)
                await writer.drain()
            case Failure.HANG:
                await self._closing.wait()
            case Failure.DROP:
                writer.transport.abort()
            case Failure.BREAK_OFF:
                writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"err')
                await writer.drain()
            case Failure.ENDLESS:
                writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
                while not self._closing.is_set():
                    writer.write(b" " * 65_536)
                    await writer.drain()
            case Failure.GARBAGE:
                writer.write(b"\x00\xffSSH-2.0-nonsense\r\n\r\n")
                await writer.drain()


@contextlib.asynccontextmanager
async def scripted_server(otherwise: Reply | None = None) -> AsyncIterator[ScriptedServer]:
    """Run a server for the length of the block, on a port that the OS chooses."""
    handlers: set[asyncio.Task[None]] = set()
    scripted: ScriptedServer | None = None

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None and scripted is not None
        handlers.add(task)
        try:
            await scripted.serve(reader, writer)
        finally:
            handlers.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    scripted = ScriptedServer(server.sockets[0].getsockname()[1], otherwise or Reply())
    try:
        yield scripted
    finally:
        scripted.close()
        server.close()
        await asyncio.gather(*handlers, return_exceptions=True)


async def _read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    address = urlsplit(target)
    return Request(method, address.path, dict(parse_qsl(address.query)), headers, body)
