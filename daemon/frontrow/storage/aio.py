"""The store behind asyncio: one thread of its own, calls in order, the loop never blocked by the disk."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

from frontrow.storage.store import Store

P = ParamSpec("P")
T = TypeVar("T")


class StoreThread:
    """Runs every call on the store in one thread. SQLite has one writer; so have we."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")

    @classmethod
    async def open(cls, path: Path) -> "StoreThread":
        """Open the store at ``path``; see :meth:`Store.open` for what it raises."""
        store = await asyncio.to_thread(Store.open, path)
        return cls(store)

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a method of the store there and return what it returns.

        A caller that is cancelled leaves the call running: a commit is never half awaited into nothing.
        """
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._thread, lambda: function(*args, **kwargs)))

    async def close(self) -> None:
        """Finish what is queued, then close the file."""
        await self.call(self.store.close)
        self._thread.shutdown(wait=True)
