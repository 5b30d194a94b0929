"""A folder in memory that forgets what was not synced, and whose operations fail when told to."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from frontrow.core.ports import NewFile


class Crash(BaseException):
    """The process is gone, or the machine."""


@dataclass(eq=False)
class Content:
    """A file's bytes, as processes see them and as the disk has them."""

    cached: bytes = b""
    synced: bytes = b""


class MemoryFolder:
    """Fits :class:`frontrow.storage.folder.Folder`.

    Its operation number ``at`` (from 1, what only reads does not count) raises ``error``; a write then has done half.
    """

    def __init__(self, *, at: int = 0, error: Callable[[], BaseException] = Crash) -> None:
        self.files: dict[str, Content] = {}
        self.operations = 0
        self.all_age_s = 0.0  # how long ago each file was last written to
        self._synced_files: dict[str, Content] = {}
        self._at = at
        self._error = error

    def after(self, *, power_lost: bool) -> "MemoryFolder":
        """Return the folder as the next start finds it: as it was seen, or only what was synced."""
        found = MemoryFolder()
        for name, content in (self._synced_files if power_lost else self.files).items():
            bytes = content.synced if power_lost else content.cached
            found.files[name] = found._synced_files[name] = Content(bytes, bytes)
        return found

    def step(self) -> None:
        """Count an operation, or fail."""
        self.operations += 1
        if self.operations == self._at:
            raise self._error()

    def names(self) -> list[str]:
        return list(self.files)

    def create(self, name: str) -> NewFile:
        self.step()
        self.files[name] = Content()
        return _MemoryFile(self, self.files[name])

    def open(self, name: str) -> BinaryIO:
        if name not in self.files:
            raise FileNotFoundError(name)
        return io.BytesIO(self.files[name].cached)

    def age_s(self, name: str) -> float:
        if name not in self.files:
            raise FileNotFoundError(name)
        return self.all_age_s

    def rename(self, name: str, to: str) -> None:
        self.step()
        self.files[to] = self.files.pop(name)

    def remove(self, name: str) -> None:
        self.step()
        if name not in self.files:
            raise FileNotFoundError(name)
        del self.files[name]

    def sync(self) -> None:
        self.step()
        self._synced_files = dict(self.files)


class _MemoryFile:
    def __init__(self, folder: MemoryFolder, content: Content) -> None:
        self._folder = folder
        self._content = content

    def write(self, data: bytes | memoryview) -> None:
        half = len(data) // 2
        self._content.cached += bytes(data[:half])
        self._folder.step()
        self._content.cached += bytes(data[half:])

    def sync(self) -> None:
        self._folder.step()
        self._content.synced = self._content.cached

    def close(self) -> None: ...
