"""The store behind asyncio: one thread of its own, calls in order, the loop never blocked by the disk."""

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

from frontrow.core.ports import Clock
from frontrow.storage.store import Store
from frontrow.storage.verify import Verification

P = ParamSpec("P")
T = TypeVar("T")


class StoreThread:
    """Runs every call on the store in one thread. SQLite has one writer; so have we."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")

    @classmethod
    async def open(cls, path: Path, *, vfs: str | None = None) -> "StoreThread":
        """Open the store at ``path`` and settle it; for the one who holds its lock.

        See :meth:`Store.open` for ``vfs`` and what it raises, and :meth:`Store.settle`.
        """

        def settled() -> Store:
            store = Store.open(path, vfs=vfs)
            try:
                store.settle(vfs=vfs)
            except BaseException:
                store.close()
                raise
            return store

        return cls(await asyncio.to_thread(settled))

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


async def verify_beside(
    path: Path, clock: Clock, *, pause_s: float = 0.05, vfs: str | None = None
) -> Verification:
    """Read a whole store while the daemon works on it, in small steps with pauses, and return what was found.

    At the default pause it reads some 40 MB a second. Raises apsw.Error if the file cannot be opened.
    """
    loop = asyncio.get_running_loop()
    # One thread for all: whoever cancels this in the middle of a step closes the file behind that step.
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="verification")
    try:
        verification = await loop.run_in_executor(thread, functools.partial(Verification, path, vfs=vfs))
        try:
            while await loop.run_in_executor(thread, verification.step):
                await clock.sleep(pause_s)
        finally:
            await loop.run_in_executor(thread, verification.close)
    finally:
        thread.shutdown(wait=False)
    return verification
