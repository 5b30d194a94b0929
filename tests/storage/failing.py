"""A VFS over the machine's disk whose operations fail when told to."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from frontrow.storage.store import Store

_numbers = itertools.count(1)


def failure(kind: type[apsw.Error], extended: int) -> apsw.Error:
    """Return what SQLite is to be told: an error with its extended code."""
    error = kind("told to fail")
    setattr(error, "extendedresult", extended)  # noqa: B010  # where apsw looks, and its types do not
    return error


FSYNC_FAILS = failure(apsw.IOError, apsw.SQLITE_IOERR_FSYNC)
WRITE_FAILS = failure(apsw.IOError, apsw.SQLITE_IOERR_WRITE)
DISK_FULL = failure(apsw.FullError, apsw.SQLITE_FULL)


@dataclass
class FailingDisk:
    """``sync`` and ``write``: by the end of a file's name, what the next operations on it raise."""

    vfs: str
    sync: dict[str, apsw.Error] = field(default_factory=dict)
    write: dict[str, apsw.Error] = field(default_factory=dict)
    ignored: tuple[str, str] = ("", "")  # a PRAGMA and its value that this VFS takes, and does not do
    stores: list[Store] = field(default_factory=list)

    def open(self, path: Path) -> Store:
        """Open a store on this disk; it is closed when the disk goes."""
        self.stores.append(Store.open(path, vfs=self.vfs))
        return self.stores[-1]

    def mend(self) -> None:
        self.sync.clear()
        self.write.clear()


@contextmanager
def failing_disk() -> Iterator[FailingDisk]:
    """Register the VFS for as long as the block lasts."""
    disk = FailingDisk(f"failing-{next(_numbers)}")
    vfs = _Vfs(disk)
    try:
        yield disk
    finally:
        disk.mend()
        for store in disk.stores:
            store.close()
        vfs.unregister()


class _Vfs(apsw.VFS):
    def __init__(self, disk: FailingDisk) -> None:
        self._disk = disk
        super().__init__(disk.vfs, "")

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        return _File(name, flags, self._disk)


class _File(apsw.VFSFile):
    def __init__(self, name: Any, flags: list[int], disk: FailingDisk) -> None:
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else name or ""
        self._disk = disk
        super().__init__("", name, flags)

    def excepthook(self, *_error: object) -> bool:
        """Say nothing: the failure is on purpose."""
        return True

    def xSync(self, flags: int) -> None:
        self._raise(self._disk.sync)
        super().xSync(flags)

    def xWrite(self, data: Any, offset: int) -> None:
        self._raise(self._disk.write)
        super().xWrite(data, offset)

    def xFileControl(self, op: int, ptr: int) -> bool:
        if op == apsw.SQLITE_FCNTL_PRAGMA:
            pragma = apsw.VFSFcntlPragma(ptr)
            if (pragma.name, pragma.value) == self._disk.ignored:
                return True
        return super().xFileControl(op, ptr)

    def _raise(self, failures: dict[str, apsw.Error]) -> None:
        for end, error in failures.items():
            if self._name.endswith(end):
                raise failure(type(error), getattr(error, "extendedresult"))  # noqa: B009  # as above
