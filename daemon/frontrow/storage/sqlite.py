"""SQLite files that keep what they were told: opened so that a commit is durable, and never used again after a failure.

What a failure means. When fsync fails, the system may have thrown away the pages that it could not write and mark them
clean, so that a second fsync succeeds without writing anything, and reading shows bytes that the disk never got
(PostgreSQL learnt it in 2018). SQLite raises ``SQLITE_IOERR_FSYNC`` once, rolls back in memory, and would go on happily
behind such a gap. So here the first failure of any commit is the last: the file takes no more writes, and is closed
without a checkpoint, which leaves it as it was. The next start reads what is there and first writes it all anew
(:meth:`Writer.checkpoint`), before anything is built on it. Until then nothing of the failed commit was acknowledged;
whether it is found again is chance, and either is right.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import apsw

from frontrow.core.errors import CommitFailed, StoreUnusable

BUSY_MS = 5_000  # tokens are written by the command line beside a running daemon
_LEVELS = {"FULL": 2, "NORMAL": 1}  # what PRAGMA synchronous answers; there is no other here
# A page that was changed gives an SQLite error, one that the disk does not give back an I/O error; a page of the
# schema may read well, and call a column something else.
UNREADABLE = (apsw.CorruptError, apsw.NotADBError, apsw.IOError, apsw.SQLError)
_FSYNC = {apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_IOERR_DIR_FSYNC}


def rewrite_wal(path: Path, *, vfs: str | None = None) -> None:
    """Write a file's WAL over itself and sync it; while nobody may write to the file.

    After a failed fsync the system may show bytes of the WAL that never reached the disk, and take itself to owe it
    nothing. A checkpoint would then sync the file, but the old, shorter WAL could come back at a loss of power, to be
    applied once more to a file that is ahead of it.

    Raises:
        OSError: It cannot be read or written.
        apsw.Error: The same, by a VFS.
    """
    name = f"{path}-wal"
    if vfs is None:
        with contextlib.suppress(FileNotFoundError), open(name, "r+b", buffering=0) as file:
            data = file.read()
            file.seek(0)
            file.write(data)
            os.fsync(file.fileno())
        return
    flags = [apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_WAL, 0]
    try:
        wal = apsw.VFSFile(vfs, name, flags)
    except apsw.CantOpenError:
        return  # there is none
    try:
        size = wal.xFileSize()
        wal.xWrite(wal.xRead(size, 0), 0)
        wal.xSync(apsw.SQLITE_SYNC_FULL)
    finally:
        wal.xClose()


def connect(
    path: Path, *, vfs: str | None = None, synchronous: Literal["FULL", "NORMAL"] = "FULL"
) -> apsw.Connection:
    """Open a file in WAL mode, and make sure that what commits rely on is in force.

    FULL: a commit is durable when it returns. NORMAL: a checkpoint is; a crash loses the last commits in order.

    Raises:
        StoreUnusable: The file system, or the VFS, does not give what was asked for.
        apsw.Error: It cannot be opened.
    """
    connection = apsw.Connection(str(path), vfs=vfs)
    try:
        connection.set_busy_timeout(BUSY_MS)
        connection.transaction_mode = "IMMEDIATE"
        mode = connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", synchronous)
        connection.pragma("foreign_keys", True)
        connection.pragma("wal_autocheckpoint", 0)  # its errors would be swallowed; see Writer
        level = connection.pragma("synchronous")
        if mode != "wal" or level != _LEVELS[synchronous]:
            raise StoreUnusable(
                f"{path}: commits would not be durable there (journal_mode is {mode}, synchronous is {level});"
                " use a local disk"
            )
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_read(path: Path, *, vfs: str | None = None) -> apsw.Connection:
    """Open a file that may be in use, or damaged, and change nothing in it. Raises apsw.Error."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY, vfs=vfs)
    connection.set_busy_timeout(BUSY_MS)
    return connection


def empty(path: Path, *, vfs: str | None = None) -> None:
    """Make a file an empty database, whatever it was; for what can be made again only. Raises apsw.Error."""
    connection = apsw.Connection(str(path), vfs=vfs)
    try:
        connection.set_busy_timeout(BUSY_MS)
        reset(connection)
    finally:
        connection.close()


def reset(connection: apsw.Connection) -> None:
    """Remove all that is in an open database, which may be damaged. Raises apsw.Error."""
    connection.config(apsw.SQLITE_DBCONFIG_RESET_DATABASE, 1)
    connection.execute("VACUUM")
    connection.config(apsw.SQLITE_DBCONFIG_RESET_DATABASE, 0)


class Writer:
    """The writing side of a connection that :func:`connect` opened; for one thread."""

    def __init__(self, connection: apsw.Connection, path: Path, *, checkpoint_pages: int) -> None:
        self._db = connection
        self._path = path
        self._checkpoint_pages = checkpoint_pages
        self._wal_pages = 0
        self._failed = ""
        connection.set_wal_hook(self._on_wal)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[apsw.Connection]:
        """Commit what is done inside, durably, or nothing of it.

        Raises:
            CommitFailed: It failed, now or at an earlier time.
        """
        self._refuse_if_failed()
        try:
            with self._db:
                yield self._db
        except apsw.Error as error:
            raise self._fail(error) from error

    def checkpoint_if_due(self) -> None:
        """Copy the WAL into the file when it has become long.

        Not by SQLite's own hook, which does not tell when it fails.
        """
        if self._wal_pages >= self._checkpoint_pages:
            self.checkpoint()

    def checkpoint(self, *, whole: bool = False) -> None:
        """Copy the WAL into the file and sync it: all that readers allow, or wait for them and copy the ``whole``.

        Raises:
            CommitFailed: It failed, now or at an earlier time; what was committed is in the WAL still.
        """
        self._refuse_if_failed()
        mode = apsw.SQLITE_CHECKPOINT_TRUNCATE if whole else apsw.SQLITE_CHECKPOINT_PASSIVE
        try:
            self._db.wal_checkpoint(mode=mode)
        except apsw.BusyError as error:
            if whole:
                raise self._fail(error) from error
            return  # another process does the same at this moment
        except apsw.Error as error:
            raise self._fail(error) from error
        self._wal_pages = 0

    def empty_wal(self) -> bool:
        """Copy the WAL into the file and empty it, if nobody reads at this moment; else return False, without waiting.

        Raises:
            CommitFailed: It failed, now or at an earlier time; what was committed is in the WAL still.
        """
        self._refuse_if_failed()
        self._db.set_busy_timeout(0)
        try:
            self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError:
            return False
        except apsw.Error as error:
            raise self._fail(error) from error
        finally:
            self._db.set_busy_timeout(BUSY_MS)
        self._wal_pages = 0
        return True

    def settle(self, *, vfs: str | None = None) -> None:
        """Write anew, and sync, all that the WAL shows, then copy it into the file.

        Raises:
            CommitFailed: That cannot be done.
        """
        self._refuse_if_failed()
        try:
            self._db.execute("BEGIN IMMEDIATE")  # no other program may write meanwhile
            try:
                rewrite_wal(self._path, vfs=vfs)
            finally:
                self._db.execute("ROLLBACK")
        except apsw.Error as error:
            raise self._fail(error) from error
        except OSError as error:
            self._failed = "io"
            raise CommitFailed(
                f"{self._path}-wal: cannot be written anew ({error.strerror})", cause="io"
            ) from error
        self.checkpoint(whole=True)

    def _on_wal(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _refuse_if_failed(self) -> None:
        if self._failed:
            raise CommitFailed(
                f"{self._path}: takes no more since a commit failed ({self._failed})", cause="other"
            )

    def _fail(self, error: apsw.Error) -> CommitFailed:
        failure = explained(error, self._path)
        self._failed = failure.cause
        with contextlib.suppress(apsw.Error):
            self._db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        return failure


def explained(error: apsw.Error, path: Path) -> CommitFailed:
    """Return what an error of a commit means for the operator."""
    code = getattr(error, "extendedresult", 0)
    if isinstance(error, apsw.FullError):
        cause, what = "full", "the disk is full"
    elif code in _FSYNC:
        cause, what = "fsync", "the disk failed to keep it (fsync)"
    elif isinstance(error, apsw.IOError):
        name = apsw.mapping_extended_result_codes.get(code, "SQLITE_IOERR")
        cause, what = "io", f"the disk failed ({name})"
    elif isinstance(error, apsw.BusyError):
        cause, what = "locked", f"another program has locked it for more than {BUSY_MS // 1000} s"
    else:
        cause, what = "other", str(error) or type(error).__name__
    advice = {
        "full": "Make room, then start again.",
        "locked": "End that program, then start again.",
        "other": "Start again; if it comes back, run `frontrow doctor`.",
    }.get(
        cause,
        "Look at the disk and the system's log, then start again; `frontrow doctor` tells what is whole.",
    )
    return CommitFailed(
        f"{path}: cannot be written: {what}. Nothing that was acknowledged is lost. {advice}", cause=cause
    )
