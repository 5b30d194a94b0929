"""A folder of whole files: each is written under another name, synced, and only then gets its own.

Behind a port, so that tests can put a disk under it that fails or forgets.
"""

import os
from pathlib import Path
from typing import BinaryIO

from frontrow.clock import SystemClock
from frontrow.core.ports import NewFile


class DiskFolder:
    """Fits :class:`frontrow.core.ports.Folder` with the machine's disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        try:
            return os.listdir(self.path)
        except FileNotFoundError:
            return []

    def create(self, name: str) -> NewFile:
        make_folder(self.path)
        flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC
        return _NewFile(os.open(self.path / name, flags, 0o600))

    def open(self, name: str) -> BinaryIO:
        return (self.path / name).open("rb")

    def age_s(self, name: str) -> float:
        return SystemClock().now() / 1000.0 - (self.path / name).stat().st_mtime

    def rename(self, name: str, to: str) -> None:
        (self.path / name).replace(self.path / to)

    def remove(self, name: str) -> None:
        (self.path / name).unlink()

    def sync(self) -> None:
        sync_folder(self.path)


class _NewFile:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, data: bytes | memoryview) -> None:
        rest = memoryview(data).cast("B")
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make a folder for its owner alone, and those above it, so that a loss of power does not take them away again."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Return when the folder's names are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_private(path: Path) -> None:
    """Make a file that only its owner may read, and its folder, durably, where they do not exist. Raises OSError."""
    make_folder(path.parent)
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        # It must be one that can be written to; what opens it next would say so less plainly.
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
        return
    os.close(descriptor)
    sync_folder(path.parent)
