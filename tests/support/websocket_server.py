"""A real WebSocket server on the loopback, whose connections follow scripts in turn."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

Script = Callable[[ServerConnection], Coroutine[Any, Any, None]]


class ScriptedSockets:
    """The n-th connection gets the n-th script, and every later one the last; when a script ends, it is closed."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts: Sequence[Script] = scripts
        self.paths: list[str] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator["ScriptedSockets"]:
        """Serve on a port that the system chose."""
        async with serve(self._handle, "127.0.0.1", 0, ping_interval=None, close_timeout=0.5) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            yield self

    async def _handle(self, connection: ServerConnection) -> None:
        number = len(self.paths)
        assert connection.request is not None
        self.paths.append(connection.request.path)
        script = asyncio.ensure_future(self.scripts[min(number, len(self.scripts) - 1)](connection))
        closed = asyncio.ensure_future(connection.wait_closed())
        await asyncio.wait({script, closed}, return_when=asyncio.FIRST_COMPLETED)
        script.cancel()  # a script that waits for the test must not outlive its connection
        closed.cancel()
        with suppress(ConnectionClosed, asyncio.CancelledError):
            await script


async def stay(connection: ServerConnection) -> None:
    """Say nothing more and wait until the client leaves."""
    await connection.wait_closed()


def cut(connection: ServerConnection) -> None:
    """Break the connection off without a closing handshake, as a dead network does."""
    connection.transport.abort()
