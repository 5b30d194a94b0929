"""One daemon per store: an advisory lock beside the database that says who holds it."""

import contextlib
import fcntl
import os
import socket
from pathlib import Path
from typing import TextIO

from frontrow.core.errors import StoreLocked, StoreUnusable
from frontrow.storage.folder import make_private


class StoreLock:
    """Held from :meth:`acquire` to :meth:`release`, or to the end of the process, however it ends."""

    def __init__(self, store: Path) -> None:
        self._path = store.with_name(store.name + ".lock")
        self._file: TextIO | None = None

    def acquire(self, since: str) -> None:
        """Take the lock; ``since`` is what a second daemon is told of our start.

        Raises:
            StoreLocked: Another process holds it; the error says which, on which host, since when.
            StoreUnusable: The lock's file or its folder cannot be made.
        """
        # The file stays when the lock goes: unlinking it would let two daemons lock two files of one name.
        try:
            make_private(self._path)
            file = self._path.open("a+", encoding="utf-8")
        except OSError as error:
            raise StoreUnusable(
                f"{self._path}: cannot be made ({error.strerror}); see [storage] path"
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise StoreLocked(str(self._path.with_suffix("")), holder) from error
        try:
            file.truncate(0)
            file.write(f"frontrow, process {os.getpid()} on {socket.gethostname()}, since {since}\n")
            file.flush()
        except OSError as error:
            with contextlib.suppress(OSError):
                file.close()  # tries to write once more
            raise StoreUnusable(
                f"{self._path}: cannot be written ({error.strerror}); make room, or see [storage] path"
            ) from error
        self._file = file

    def release(self) -> None:
        """Give the lock back; idempotent."""
        if self._file is not None:
            self._file.close()
            self._file = None
