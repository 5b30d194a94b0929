"""Turns: some requests are read at a time, room by room, and between them everybody else has the loop.

Decoding a request of some hundred events takes milliseconds. Hundreds that arrive together would otherwise be decoded
in a row before the pipeline has the loop again: it would store nothing while it is sent most, and other rooms'
requests would wait for all of one room's. So a request waits for its turn before it is decoded. The rooms take turns,
whatever number waits in each, and a room in which too many wait is told so at once, undecoded.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

AT_ONCE = 4  # in one round of the loop: with one, the pipeline would have nothing to do while requests wait
MOST_WAITING = 64  # in one room: about as many as are decoded and stored within a platform's two seconds


class TooManyWait(Exception):
    """As many of this room wait as may."""


class Turns:
    """Gives turns to whoever asks, by key in rotation, within a key in the order of asking."""

    def __init__(self, *, at_once: int = AT_ONCE, most: int = MOST_WAITING) -> None:
        self._free = at_once
        self._most = most
        self._waiting: dict[
            str, deque[asyncio.Future[None]]
        ] = {}  # only keys with somebody, the next one first

    @asynccontextmanager
    async def turn(self, key: str) -> AsyncIterator[None]:
        """Wait for a turn and have it until the block ends. Nothing within the block should wait.

        Raises:
            TooManyWait: At once, where ``most`` of this key wait already.
        """
        if self._free:
            self._free -= 1
        else:
            await self._wait(key)
        try:
            yield
        finally:
            # In the loop's next round: what else is ready, the pipeline's next frame above all, comes first.
            asyncio.get_running_loop().call_soon(self._pass_on)

    async def _wait(self, key: str) -> None:
        queue = self._waiting.setdefault(key, deque())
        if len(queue) >= self._most:
            raise TooManyWait
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._pass_on()  # the turn came while its owner went
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            key = next(iter(self._waiting))
            queue = self._waiting.pop(key)
            while queue:
                place = queue.popleft()
                if not place.done():  # whoever has gone in the meantime has none
                    if queue:
                        self._waiting[key] = queue  # behind all others
                    place.set_result(None)
                    return
        self._free += 1
