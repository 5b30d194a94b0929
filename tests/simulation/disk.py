"""A simulated disk below SQLite: what is written is there at once, what survives a crash is only what was synced.

Idea: SQLite reaches files through a VFS, so a VFS of ours sees every write, sync, truncation and deletion of the
real store, its write-ahead log included. Each file has two contents: *cached*, which is what a process reads (the
page cache), and *durable*, which is what the platters hold. Between them lie the *pending* operations. A sync makes a
file's pending operations durable. A power cut draws for every pending operation whether it reached the disk, and for
a write also in which sectors it did. Names (files made and deleted) are pending in the same way, until the folder is
synced; SQLite does that with the first sync of a new log and with a deletion that asks for it, and so do we.

A kill of the process alone loses nothing: the page cache survives it.

Only shared memory and locks are the machine's: every open database has an empty real file below it, opened by
SQLite's ``unix-excl``, which keeps the log's index on the heap. So WAL runs in its normal mode, as in production.

Not simulated: bytes that change by themselves; a sector that is half written (SQLite relies on
``POWERSAFE_OVERWRITE``, as on every machine, and its log's checksums would find it).
"""

import contextlib
import errno
import io
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

import apsw

from frontrow.core.ports import NewFile

SECTOR = 512  # bytes that a disk writes wholly or not at all

_numbers = itertools.count(1)


class Op(StrEnum):
    """What changes a disk, and so can be the last thing that a process does."""

    CREATE = "create"
    WRITE = "write"
    TRUNCATE = "truncate"
    SYNC = "sync"
    DELETE = "delete"
    RENAME = "rename"


@dataclass(frozen=True, slots=True)
class _Write:
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class _Truncate:
    size: int


@dataclass(slots=True, eq=False)
class File:
    """One file: what a process reads of it, what is on the platters, and the operations in between."""

    durable: bytearray = field(default_factory=bytearray)
    cached: bytearray = field(default_factory=bytearray)
    pending: list[_Write | _Truncate] = field(default_factory=list)

    def write(self, offset: int, data: bytes) -> None:
        _apply(self.cached, _Write(offset, data))
        self.pending.append(_Write(offset, data))

    def truncate(self, size: int) -> None:
        _apply(self.cached, _Truncate(size))
        self.pending.append(_Truncate(size))

    def sync(self) -> None:
        for change in self.pending:
            _apply(self.durable, change)
        self.pending.clear()


class Disk:
    """The files of one machine, over any number of processes and power cuts.

    ``before`` is called before each operation that changes something; it may raise an :class:`apsw.Error`, which SQLite
    then gets instead of the operation. ``lying`` is the share of syncs that do nothing, to show that the
    simulation would notice.
    """

    def __init__(self, rng: random.Random, *, lying: float = 0.0) -> None:
        self.names: dict[str, File] = {}
        self.before: Callable[[Op, str], None] = lambda _op, _name: None
        self.off = False  # the process that uses it is dead: nothing it still does has any effect
        self._durable_names: dict[str, File] = {}
        self._pending_names: list[dict[str, File | None]] = []  # each happens wholly or not at all
        self._rng = rng
        self._lying = lying

    def operation(self, op: Op, name: str) -> None:
        """Announce an operation. Raises what the disk answers instead of doing it."""
        if not self.off:
            self.before(op, name)
        if self.off:
            raise _error(apsw.IOError, apsw.SQLITE_IOERR)

    def create(self, name: str) -> File:
        file = self.names[name] = File()
        self._pending_names.append({name: file})
        return file

    def delete(self, name: str) -> None:
        if self.names.pop(name, None) is not None:
            self._pending_names.append({name: None})

    def rename(self, name: str, to: str) -> None:
        file = self.names[to] = self.names.pop(name)
        self._pending_names.append({name: None, to: file})

    def sync(self, file: File) -> None:
        if self._rng.random() >= self._lying:
            file.sync()

    def sync_names(self) -> None:
        """Make files made and deleted durable."""
        for change in self._pending_names:
            _change(self._durable_names, change)
        self._pending_names.clear()

    def forget_pending(self, file: File) -> None:
        """Answer a sync with failure, as Linux does: what was pending reads as before, yet no later sync writes it."""
        file.pending.clear()

    def lose_power(self) -> int:
        """Keep of what was pending whatever reached the disk, and return how many operations are lost or torn."""
        lost = 0
        fate = self._rng.choice(("nothing", "everything", "prefix", "some", "torn"))
        for renamed in self._pending_names[: self._reached(len(self._pending_names), fate)]:
            _change(self._durable_names, renamed)
        for file in dict.fromkeys(self._durable_names.values()):
            reached = self._reached(len(file.pending), fate)
            for index, change in enumerate(file.pending):
                if index >= reached or (fate in ("some", "torn") and self._rng.random() < 0.5):
                    lost += 1
                    continue
                if fate == "torn" and isinstance(change, _Write) and len(change.data) > SECTOR:
                    lost += 1
                    for part in self._torn(change):
                        _apply(file.durable, part)
                else:
                    _apply(file.durable, change)
            file.pending.clear()
            file.cached = bytearray(file.durable)
        self._pending_names.clear()
        self.names = dict(self._durable_names)
        return lost

    def _reached(self, operations: int, fate: str) -> int:
        match fate:
            case "nothing":
                return 0
            case "prefix":
                return self._rng.randint(0, operations)
        return operations

    def _torn(self, write: _Write) -> list[_Write]:
        """Return the sectors of a write that reached the disk: those before a place, those after it, or any."""
        first = write.offset // SECTOR
        last = (write.offset + len(write.data) - 1) // SECTOR
        sectors = range(first, last + 1)
        cut = self._rng.randint(first, last)
        kept = self._rng.choice((
            [sector for sector in sectors if sector < cut],
            [sector for sector in sectors if sector >= cut],
            [sector for sector in sectors if self._rng.random() < 0.5],
        ))  # fmt: skip
        parts: list[_Write] = []
        for sector in kept:
            begin = max(sector * SECTOR, write.offset)
            end = min((sector + 1) * SECTOR, write.offset + len(write.data))
            parts.append(_Write(begin, write.data[begin - write.offset : end - write.offset]))
        return parts


class SimulatedFolder:
    """Fits :class:`frontrow.storage.folder.Folder`: files whose names begin with ``prefix``."""

    def __init__(self, disk: Disk, prefix: str) -> None:
        self._disk = disk
        self._prefix = prefix

    def names(self) -> list[str]:
        return [name.removeprefix(self._prefix) for name in self._disk.names if name.startswith(self._prefix)]

    def create(self, name: str) -> NewFile:
        self._operation(Op.CREATE, name)
        return _Written(self, self._disk, name, self._disk.create(self._prefix + name))

    def open(self, name: str) -> BinaryIO:
        return io.BytesIO(bytes(self._disk.names[self._prefix + name].cached))

    def age_s(self, name: str) -> float:
        return 0.0  # this disk keeps no times, and nobody here removes by age

    def rename(self, name: str, to: str) -> None:
        self._operation(Op.RENAME, name)
        self._disk.rename(self._prefix + name, self._prefix + to)

    def remove(self, name: str) -> None:
        self._operation(Op.DELETE, name)
        if self._prefix + name not in self._disk.names:
            raise FileNotFoundError(name)
        self._disk.delete(self._prefix + name)

    def sync(self) -> None:
        self._operation(Op.SYNC, "")
        self._disk.sync_names()

    def _operation(self, op: Op, name: str) -> None:
        try:
            self._disk.operation(op, self._prefix + name)
        except apsw.FullError as error:
            raise OSError(errno.ENOSPC, "No space left on device") from error
        except apsw.Error as error:
            raise OSError(errno.EIO, "Input/output error") from error


class _Written:
    """A file of a folder while it is being written."""

    def __init__(self, folder: SimulatedFolder, disk: Disk, name: str, file: File) -> None:
        self._folder, self._disk, self._name, self._file = folder, disk, name, file

    def write(self, data: bytes | memoryview) -> None:
        self._folder._operation(Op.WRITE, self._name)
        self._file.write(len(self._file.cached), bytes(data))

    def sync(self) -> None:
        self._folder._operation(Op.SYNC, self._name)
        self._disk.sync(self._file)

    def close(self) -> None: ...


class Mounted:
    """A disk as one process sees it: a VFS registered with SQLite until :meth:`unmount`.

    ``folder`` holds the empty real file. On the disk a database has the same name for every process.
    """

    def __init__(self, disk: Disk, folder: Path) -> None:
        self.name = f"simulated-{next(_numbers)}"
        self.path = folder / f"{self.name}:frontrow.db"
        self._folder = folder
        self._disk = disk
        self._vfs = _Vfs(self.name, disk)

    def unmount(self) -> None:
        """Take the disk away from a process that is dead; closes what it left open. Idempotent."""
        for connection in apsw.connections():
            if connection.open_vfs == self.name:
                with contextlib.suppress(apsw.Error):
                    connection.close(True)
        if self.name in apsw.vfs_names():
            self._vfs.unregister()
        for path in self._folder.glob(f"{self.name}:*"):
            path.unlink()

    def folder(self) -> SimulatedFolder:
        """Return the folder of snapshots."""
        return SimulatedFolder(self._disk, "snapshots/")


class _Vfs(apsw.VFS):
    def __init__(self, name: str, disk: Disk) -> None:
        super().__init__(name, "unix-excl")
        self._disk = disk

    def excepthook(self, *_error: object) -> bool:
        """Say nothing: what SQLite cannot pass on (a failure while closing) the disk has done on purpose."""
        return True

    def xFullPathname(self, name: str) -> str:
        return name

    def xAccess(self, pathname: str, flags: int) -> bool:
        return _plain(pathname) in self._disk.names

    def xDelete(self, filename: str, syncdir: bool) -> None:
        name = _plain(filename)
        self._disk.operation(Op.DELETE, name)
        self._disk.delete(name)
        if syncdir:
            self._disk.sync_names()

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        if name is None:
            return super().xOpen(
                name, flags
            )  # a temporary file of SQLite's own; nobody needs it after a crash
        plain = _plain(name if isinstance(name, str) else name.filename())
        disk = self._disk
        if disk.off:
            raise _error(apsw.CantOpenError, apsw.SQLITE_CANTOPEN)
        file = disk.names.get(plain)
        if file is None:
            if not flags[0] & apsw.SQLITE_OPEN_CREATE:
                raise _error(apsw.CantOpenError, apsw.SQLITE_CANTOPEN)
            disk.operation(Op.CREATE, plain)
            file = disk.create(plain)
        if flags[0] & apsw.SQLITE_OPEN_MAIN_DB:
            return _Database(name, flags, disk, plain, file)
        flags[1] = flags[0]
        return _SideFile(disk, plain, file, new=bool(flags[0] & apsw.SQLITE_OPEN_CREATE))


class _Simulated:
    """What every file does the same."""

    _disk: Disk
    _name: str
    _file: File
    _sync_names = False

    def excepthook(self, *_error: object) -> bool:
        return True

    def xRead(self, amount: int, offset: int) -> bytes:
        return bytes(self._file.cached[offset : offset + amount])

    def xWrite(self, data: Any, offset: int) -> None:
        self._disk.operation(Op.WRITE, self._name)
        self._file.write(offset, bytes(data))

    def xTruncate(self, newsize: int) -> None:
        self._disk.operation(Op.TRUNCATE, self._name)
        self._file.truncate(newsize)

    def xSync(self, flags: int) -> None:
        self._disk.operation(Op.SYNC, self._name)
        self._disk.sync(self._file)
        if self._sync_names:
            # As SQLite's own unix layer does with the first sync of a journal or log that it made.
            self._disk.sync_names()
            self._sync_names = False

    def xFileSize(self) -> int:
        return len(self._file.cached)

    def xFileControl(self, op: int, ptr: int) -> bool:
        return False

    def xDeviceCharacteristics(self) -> int:
        return apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE

    def xSectorSize(self) -> int:
        return 4096  # what SQLite's own unix layer says


class _Database(_Simulated, apsw.VFSFile):
    """The main file: ours, but for locks and shared memory, which the empty real file below gives."""

    def __init__(self, name: Any, flags: list[int], disk: Disk, plain: str, file: File) -> None:
        self._disk, self._name, self._file = disk, plain, file
        super().__init__("unix-excl", name, flags)


class _SideFile(_Simulated):
    """A journal or write-ahead log; SQLite locks only the main file."""

    def __init__(self, disk: Disk, plain: str, file: File, *, new: bool) -> None:
        self._disk, self._name, self._file, self._sync_names = disk, plain, file, new

    def xLock(self, level: int) -> None: ...

    def xUnlock(self, level: int) -> None: ...

    def xCheckReservedLock(self) -> bool:
        return False

    def xClose(self) -> None: ...


def disk_full() -> apsw.Error:
    """Return what SQLite hears from a disk without room."""
    return _error(apsw.FullError, apsw.SQLITE_FULL)


def sync_failed() -> apsw.Error:
    """Return what SQLite hears when fsync fails."""
    return _error(apsw.IOError, apsw.SQLITE_IOERR_FSYNC)


def write_failed() -> apsw.Error:
    """Return what SQLite hears when a write fails."""
    return _error(apsw.IOError, apsw.SQLITE_IOERR_WRITE)


def _error(kind: type[apsw.Error], code: int) -> apsw.Error:
    error = kind("simulated")
    error.extendedresult = code  # type: ignore[attr-defined]  # what apsw reads, and its stubs do not tell
    return error


def _plain(path: str) -> str:
    return path.rpartition(":")[2]


def _apply(content: bytearray, change: _Write | _Truncate) -> None:
    if isinstance(change, _Truncate):
        if change.size < len(content):
            del content[change.size :]
        else:
            content += bytes(change.size - len(content))
        return
    if len(content) < change.offset:
        content += bytes(change.offset - len(content))
    content[change.offset : change.offset + len(change.data)] = change.data


def _change(names: dict[str, File], change: dict[str, File | None]) -> None:
    for name, file in change.items():
        if file is None:
            names.pop(name, None)
        else:
            names[name] = file
