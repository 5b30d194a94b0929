"""A real server of the host's page whose other half of the conversation is written by the test.

It serves :mod:`frontrow_dashboards.pages` and accepts the page's WebSocket; what is said on it, and when it ends, is
the test's. Nothing here scores or stores.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

import uvicorn

from frontrow_dashboards import pages

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PATIENCE_S = 10.0


class Conversation:
    """One accepted WebSocket of a page: what it asked for, and the means to answer."""

    def __init__(self, room: str, query: dict[str, str]) -> None:
        self.room = room
        self.query = query
        self.closed = asyncio.Event()  # by the page, by the test, or by the network
        self._out: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue(10_000)

    def say(self, message: Any) -> None:
        """Send a message: an object as JSON, a string as it is."""
        text = message if isinstance(message, str) else json.dumps(message)
        self._out.put_nowait({"type": "websocket.send", "text": text})

    def close(self, code: int = 1000) -> None:
        """End the conversation with a code; what was said before is sent first."""
        self._out.put_nowait({"type": "websocket.close", "code": code})

    async def run(self, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                speaking = tasks.create_task(self._speak(send), name="speak")
                tasks.create_task(self._listen(receive, speaking), name="listen")
        finally:
            self.closed.set()

    async def _speak(self, send: Send) -> None:
        with contextlib.suppress(OSError):  # the page has gone in between
            while True:
                message = await self._out.get()
                await send(message)
                if message["type"] == "websocket.close":
                    return

    async def _listen(self, receive: Receive, speaking: asyncio.Task[None]) -> None:
        while (await receive())["type"] != "websocket.disconnect":
            pass
        speaking.cancel()


@dataclass
class PanelServer:
    """``on_join`` is called with each conversation; ``refuse`` makes the server turn connections away; ``why`` answers
    who asks for a viewer's reasons and ``model`` who asks for the model, with a status and what is sent as JSON."""

    base: str
    on_join: Callable[[Conversation], None] = lambda conversation: None
    refuse: bool = False
    why: Callable[[str], tuple[int, Any]] = lambda _viewer: (404, {"status": 404})
    model: Callable[[], tuple[int, Any]] = lambda: (200, {"enabled": False})
    conversations: list[Conversation] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)  # paths, in order

    def page(self, room: str = "demo", **query: object) -> str:
        """Return the address of a room's page with these options."""
        options = "&".join(f"{key}={value}" for key, value in {"token": "t", **query}.items())
        return f"{self.base}/host/{room}?{options}"

    async def joined(self, count: int = 1) -> Conversation:
        """Wait until so many conversations were begun, and return that one."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.conversations) < count:
                await asyncio.sleep(0.005)
        return self.conversations[count - 1]

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._converse(scope, receive, send)
        elif scope["type"] == "http":
            self.requests.append(scope["path"])
            await self._serve(scope, send)

    async def _serve(self, scope: Scope, send: Send) -> None:
        path: str = scope["path"]
        if path.startswith("/api/v1/rooms/") and path.endswith("/reasons"):
            viewer = parse_qs(scope["query_string"].decode())["viewer"][0]
            status, answer = self.why(viewer)
            await _answer(send, status, {"content-type": "application/json"}, json.dumps(answer).encode())
            return
        if path == "/api/v1/model":
            status, answer = self.model()
            await _answer(send, status, {"content-type": "application/json"}, json.dumps(answer).encode())
            return
        name = "host" if path.startswith("/host/") else "model" if path == "/model" else None
        found = pages.asset(path.removeprefix("/static/")) if name is None else pages.document(name)
        if found is None:
            status, headers, body = 404, {"content-type": "text/plain"}, b"not found"
        else:
            match = dict(scope["headers"]).get(b"if-none-match")
            status, headers, body = found.answer(match.decode() if match is not None else None)
        await _answer(send, status, headers, body)

    async def _converse(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        if self.refuse:
            await send({"type": "websocket.close", "code": 1013})  # before accepting: a refused handshake
            return
        query = {key: values[0] for key, values in parse_qs(scope["query_string"].decode()).items()}
        conversation = Conversation(unquote(scope["path"].removeprefix("/ws/host/")), query)
        await send({"type": "websocket.accept"})
        self.conversations.append(conversation)
        self.on_join(conversation)
        await conversation.run(receive, send)


async def _answer(send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the signals are pytest's


@contextlib.asynccontextmanager
async def panel_server() -> AsyncIterator[PanelServer]:
    """Serve on a port that the system chose, for as long as the block lasts."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        panel = PanelServer(f"http://127.0.0.1:{listener.getsockname()[1]}")
        config = uvicorn.Config(
            panel.app,
            interface="asgi3",
            ws="websockets-sansio",
            lifespan="off",
            log_config=None,
            timeout_graceful_shutdown=1,
        )
        server = _Server(config)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve(sockets=[listener]), name="panel-server")
            async with asyncio.timeout(PATIENCE_S):
                while not server.started:
                    await asyncio.sleep(0.005)
            try:
                yield panel
            finally:
                for conversation in panel.conversations:
                    conversation.close(1001)
                server.should_exit = True
