"""The arena in a process of its own, so that no challenger can slow an event down.

What was served and resolved goes to the child through a pipe, by a thread that waits for it; who calls never waits.
When the child is too slow the oldest of what it was to be told is dropped and counted, and its figures say how many
labels it missed: a challenger may be late or lost, and nothing else changes. A child that dies stays dead until the
next start.

Messages are msgpack behind their length. What comes back is a :class:`~frontrow_models.arena.Standing` as JSON.
"""

import os
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import IO, Any, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from frontrow.core.lessons import Lessons, Served
from frontrow_models.arena import Arena, Standing
from frontrow_models.challengers import make_challenger

MOST_BYTES = 64 * 1024 * 1024  # that wait for the child
STANDING_MS = 60_000  # engine time between two reports
NICE = 10

_LENGTH = struct.Struct("<I")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Beside:
    """The daemon's end. Calls return at once; close it when done."""

    def __init__(self, challengers: Sequence[str], *, window_ms: int, most_bytes: int = MOST_BYTES) -> None:
        """Start the child.

        Raises:
            ValueError: There is no challenger of one of the names.
        """
        for name in challengers:
            make_challenger(name)
        self._most_bytes = most_bytes
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._more = threading.Condition()
        self._closed = False
        self.dropped = 0  # messages that the child was too slow for
        self.standing: Standing | None = None
        self.states: dict[str, Mapping[str, Any]] = {}
        command = [sys.executable, "-m", "frontrow_models.beside", str(window_ms), *challengers]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._threads = [
            threading.Thread(target=run, name=f"challengers-{run.__name__}", daemon=True)
            for run in (self._write, self._read)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Whether the child runs."""
        return self._child.poll() is None

    def serve(self, served: Served, words: Sequence[str | None]) -> None:
        """Tell of what was served; ``words`` are each viewer's last comment, or None."""
        self._put(_encode(["served", _told(served), list(words)]))

    def learn(self, lessons: Lessons) -> None:
        """Tell of lessons, in the order of resolution."""
        self._put(_encode(["lessons", _told(lessons)]))

    def forget(self) -> None:
        """Tell to forget the words of all looks so far: of those, too, that the child has not read of yet, as it reads in order."""
        self._put(_encode(["forget", None]))

    def promoted(self, at: int) -> None:
        """Tell that what is served at engine time ``at`` or later is said by another champion."""
        self._put(_encode(["promoted", at]))

    def close(self, wait_s: float = 5.0) -> None:
        """End the child, after it has read what it was told if that takes no longer than ``wait_s``; idempotent."""
        with self._more:
            self._closed = True
            self._more.notify()
        for thread in self._threads:
            thread.join(wait_s)
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        for stream in (self._child.stdin, self._child.stdout):
            if stream is not None:
                stream.close()

    def _put(self, message: bytes) -> None:
        with self._more:
            if self._closed:
                return
            self._waiting.append(message)
            self._bytes += len(message)
            while self._bytes > self._most_bytes:
                self._bytes -= len(self._waiting.popleft())
                self.dropped += 1
            self._more.notify()

    def _write(self) -> None:
        assert self._child.stdin is not None
        try:
            while True:
                with self._more:
                    while not self._waiting and not self._closed:
                        self._more.wait()
                    if not self._waiting:
                        break
                    message = self._waiting.popleft()
                    self._bytes -= len(message)
                _send(self._child.stdin, message)
            self._child.stdin.close()
        except (BrokenPipeError, ValueError):  # the child has died; what it was to be told goes nowhere
            with self._more:
                self._closed = True
                self._waiting.clear()

    def _read(self) -> None:
        assert self._child.stdout is not None
        while (message := _receive(self._child.stdout)) is not None:
            told, states = _decode(message)
            # States first: who reads that one of them is proven better finds one that has learnt at least as much.
            self.states = states
            self.standing = msgspec.json.decode(told, type=Standing)


def _told(columns: Served | Lessons) -> list[Any]:
    told: list[Any] = []
    for each in fields(columns):
        column = getattr(columns, each.name)
        plain = isinstance(column, np.ndarray) and column.dtype != np.object_
        told.append([column.dtype.str, column.shape, column.tobytes()] if plain else list(column))
    return told


def _columns(told: list[Any], strings: type) -> list[Any]:
    found: list[Any] = []
    for column in told:
        if len(column) == 3 and isinstance(column[2], bytes):
            dtype, shape, data = column
            found.append(np.frombuffer(data, dtype).reshape(shape))
        else:
            found.append(_strings(column) if strings is np.ndarray else column)
    return found


def _strings(column: list[str]) -> NDArray[np.object_]:
    found = np.empty(len(column), np.object_)
    found[:] = column
    return found


def _send(stream: IO[bytes], message: bytes) -> None:
    stream.write(_LENGTH.pack(len(message)) + message)
    stream.flush()


def _receive(stream: IO[bytes]) -> bytes | None:
    head = stream.read(_LENGTH.size)
    return stream.read(*_LENGTH.unpack(head)) if len(head) == _LENGTH.size else None


def run(arena: Arena, source: IO[bytes], target: IO[bytes]) -> None:
    """Feed an arena with messages until their end, and tell how it stands once a minute of engine time, and at the end."""
    told_at = 0
    while (message := _receive(source)) is not None:
        what, told, *words = _decode(message)
        if what == "promoted":
            arena.promoted(told)
            continue
        if what == "forget":
            arena.forget()
            continue
        if what == "served":
            served = Served(*_columns(told, list))
            arena.serve(served, words[0])
            continue
        lessons = Lessons(*_columns(told, np.ndarray))
        arena.learn(lessons)
        now = int(np.max(lessons.resolved_at, initial=0))
        if now >= told_at + STANDING_MS:
            told_at = now
            _tell(arena, target)
    _tell(arena, target)


def _tell(arena: Arena, target: IO[bytes]) -> None:
    _send(target, _encode([msgspec.json.encode(arena.standing()), cast("dict[str, Any]", arena.states())]))


def main(arguments: Sequence[str]) -> None:
    """Be the child: ``window_ms`` and the challengers' names as arguments."""
    os.nice(NICE)
    arena = Arena({name: make_challenger(name) for name in arguments[1:]}, window_ms=int(arguments[0]))
    run(arena, sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main(sys.argv[1:])
