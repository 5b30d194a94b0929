"""What lies between the daemon and everybody else: requests with one answer, and connections that carry messages.

Whatever crosses takes time, drawn from the seed; messages of one connection keep their order, as with TCP. A process
that dies resets everything that was open. Faults (a request or an answer that is lost, a connection that breaks) are
asked of the plan, at each crossing.
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from frontrow_connectors.inbox import Inbox
from tests.simulation.loop import ProcessLoop

WINDOW = 64  # messages that a connection holds unread before its sender has to wait


class Broken(Exception):
    """The other side is not there, or not any more; what was sent may or may not have arrived."""


class Network:
    """Made once for a run. ``outside`` is the loop of everybody but the daemon."""

    def __init__(self, outside: ProcessLoop, rng: random.Random, slow: Callable[[], bool]) -> None:
        self.outside = outside
        self._rng = rng
        self._slow = slow
        self._open: dict[ProcessLoop, list[Callable[[], None]]] = {}

    def latency(self) -> float:
        """Return how long one crossing takes, in seconds."""
        longest = 2.0 if self._slow() and self._rng.random() < 0.1 else 0.02
        return self._rng.uniform(0.0002, longest)

    async def request(
        self,
        to: ProcessLoop | None,
        serve: Callable[[], Awaitable[Any]],
        *,
        timeout_s: float,
        lost: Callable[[], bool] = lambda: False,
    ) -> Any:
        """Let ``serve`` run in the process ``to`` and return what it gives. For tasks of any loop but ``to``.

        ``lost`` is asked once for the way there and once for the way back.

        Raises:
            Broken: Nobody listens, the process died, or no answer came in time.
        """
        here = asyncio.get_running_loop()
        assert isinstance(here, ProcessLoop)
        answer: asyncio.Future[Any] = here.create_future()

        def settle(result: Any, error: Exception | None = None) -> None:
            if not answer.done():
                if error is None:
                    answer.set_result(result)
                else:
                    answer.set_exception(error)

        def reset() -> None:
            here.call_later(self.latency(), settle, None, Broken("reset"))

        def arrive() -> None:
            if to is None or to.dead:
                here.call_later(self.latency(), settle, None, Broken("refused"))
            elif not lost():
                self._open.setdefault(to, []).append(reset)
                to.spawn(work(), "request")

        async def work() -> None:
            result = await serve()
            if not lost():
                here.call_later(self.latency(), settle, result)

        self.outside.call_later(self.latency(), arrive)
        timer = here.call_later(timeout_s, settle, None, Broken("no answer"))
        try:
            return await answer
        finally:
            timer.cancel()

    async def connect(self, accept: Callable[["End"], Coroutine[Any, Any, None]], *, name: str) -> "End":
        """Open a connection from the running process to the outside, where ``accept`` then runs with the other end."""
        here = asyncio.get_running_loop()
        assert isinstance(here, ProcessLoop)
        await asyncio.sleep(self.latency())
        near, far = End(self, here), End(self, self.outside)
        near.other, far.other = far, near
        self._open.setdefault(here, []).append(far.cut)
        self.outside.spawn(accept(far), name)
        return near

    def died(self, loop: ProcessLoop) -> None:
        """Reset what a dead process had open."""
        for reset in self._open.pop(loop, []):
            reset()


class End:
    """One end of a connection."""

    other: "End"

    def __init__(self, network: Network, loop: ProcessLoop) -> None:
        self._network = network
        self._loop = loop
        self._inbox: deque[bytes] = deque()
        self._changed = asyncio.Event()
        self._drained = asyncio.Event()
        self._broken = False
        self._paused = False
        self._last_arrival = 0.0
        self._reading: tuple[Inbox[Any], Callable[[bytes], Any]] | None = None

    def deliver_to(self, inbox: Inbox[Any], read: Callable[[bytes], Any] = lambda message: message) -> None:
        """From now on give what arrives to an inbox, as a transport's protocol does; ``read`` makes it a message."""
        self._reading = (inbox, read)
        self._pour()

    # what an inbox and a client ask of a transport

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self._pour()

    def is_closing(self) -> bool:
        return self._broken

    def abort(self) -> None:
        self.cut()

    @property
    def broken(self) -> bool:
        return self._broken

    async def send(self, message: bytes) -> None:
        """Send; waits while the other side does not read. Raises Broken."""
        while len(self.other._inbox) >= WINDOW and not self._broken:
            self._drained.clear()
            await self._drained.wait()
        if self._broken:
            raise Broken("reset")
        other = self.other
        other._last_arrival = max(other._last_arrival, self._loop.time() + self._network.latency())
        other._loop.call_at(other._last_arrival, other._arrive, message)

    async def receive(self) -> bytes:
        """Return the next message; what had arrived is read before Broken is raised."""
        while not self._inbox:
            if self._broken:
                raise Broken("reset")
            self._changed.clear()
            await self._changed.wait()
        message = self._inbox.popleft()
        self.other._loop.call_soon(self.other._drained.set)
        return message

    def cut(self) -> None:
        """Break the connection: what is on its way is lost, and both sides hear of it."""
        for end in (self, self.other):
            if not end._broken:
                end._broken = True
                end._loop.call_soon(end._changed.set)
                end._loop.call_soon(end._drained.set)
                if end._reading is not None:
                    end._loop.call_soon(end._reading[0].end)

    def _arrive(self, message: bytes) -> None:
        if not self._broken:
            self._inbox.append(message)
            self._changed.set()
            self._pour()

    def _pour(self) -> None:
        """Hand over what has arrived, as one read would."""
        if self._reading is None or self._paused or not self._inbox:
            return
        inbox, read = self._reading
        messages = list(self._inbox)
        self._inbox.clear()
        inbox.receive([read(message) for message in messages], sum(map(len, messages)))
        self.other._loop.call_soon(self.other._drained.set)
