"""What is read again: files of canonical events or one journal, as frames, prepared as the daemon prepares them.

An input can be read more than once, as a comparison of two configurations needs it. Frames are cut so that none spans
more than an hour of arrivals: whoever looks at a frame's effects still finds every session that it touched. Where
frames are cut changes no result.
"""

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path, PurePath

import numpy as np

from frontrow.app.parts import make_lexicons
from frontrow.app.terminal import NoProgress, Progress
from frontrow.config import Config
from frontrow.core.errors import FrontrowError
from frontrow.core.events import Event
from frontrow.core.frames import Frame
from frontrow.core.preparing import Preparer
from frontrow.storage.store import Store
from frontrow_connectors.file import FileReject
from frontrow_connectors.file.client import open_source
from frontrow_connectors.file.decoder import merge, read_batches, rebatch

FRAME_EVENTS = 4_096
HOUR_MS = 3_600_000
SQLITE_MAGIC = b"SQLite format 3\x00"


class InputRefused(FrontrowError):
    """The files cannot be read together, or not again; the message says why."""


class Inputs:
    """Files of canonical events (several are merged by event time), or one journal."""

    def __init__(
        self, files: Sequence[str | Path], *, on_reject: Callable[[FileReject], None] = lambda _: None
    ) -> None:
        """Name the input; broken lines are given to ``on_reject``, the first time that they are read.

        Raises:
            InputRefused: Nothing is named, or a journal together with others, or something that can be read but once.
            OSError: A file is not there.
        """
        self.files = [str(each) for each in files]
        if not self.files:
            raise InputRefused("name at least one file of events, or one journal")
        for name in self.files:
            if not Path(name).is_file():
                os.stat(name)  # says which one is missing
                raise InputRefused(f"{name}: is no file, and only files can be read more than once")
        journals = [name for name in self.files if is_journal(Path(name))]
        if journals and len(self.files) > 1:
            raise InputRefused(
                "a journal is read alone: it has its own order, and other files would change it"
            )
        self.journal = Path(journals[0]) if journals else None
        self.seq = 0  # number of the journal's last frame that was read; 0 without a journal
        self.bytes = sum(os.stat(name).st_size for name in self.files)
        self.rejected = 0
        self._on_reject: Callable[[FileReject], None] | None = on_reject

    def frames(
        self, config: Config, *, size: int = FRAME_EVENTS, progress: Progress | None = None
    ) -> Iterator[Frame]:
        """Yield the input from its beginning, in frames of at most ``size`` events, none of which is empty.

        Raises:
            OSError: A file cannot be read.
            StoreDamaged: The journal cannot be read back.
        """
        told = progress or NoProgress()
        events = 0
        with ExitStack() as stack:
            frames = self._journal(stack) if self.journal else self._files(stack, config, size)
            for done_bytes, frame in frames:
                for part in _parts(frame, size):
                    yield part
                    events += len(part)
                    told.at(events=events, done_bytes=done_bytes, total_bytes=self.bytes)
        self._on_reject = None

    def _journal(self, stack: ExitStack) -> Iterator[tuple[int, Frame]]:
        assert self.journal is not None
        store = stack.enter_context(closing(Store.open(self.journal, create=False)))
        last = max(1, store.seq)
        # A frame of the daemon is small, and an engine takes many events at once much faster.
        waiting: list[Frame] = []
        for seq, frame in store.frames():
            waiting.append(frame)
            self.seq = seq
            if sum(map(len, waiting)) >= FRAME_EVENTS:
                yield self.bytes * seq // last, Frame.joined(waiting)
                waiting = []
        if waiting:
            yield self.bytes, Frame.joined(waiting)

    def _files(self, stack: ExitStack, config: Config, size: int) -> Iterator[tuple[int, Frame]]:
        # As merge_by_time does, with the sources in hand, to know how far each has been read.
        ordered = sorted(self.files, key=lambda path: (PurePath(path).name, path))
        sources = [(path, stack.enter_context(open_source(path))) for path in ordered]
        streams = [read_batches(source, file=path, on_reject=self._reject) for path, source in sources]
        lexicons = make_lexicons(config)
        preparer = Preparer(lexicons.of_room, lexicons.default, config.intents.phone_region)
        batches: Iterable[list[Event]] = streams[0] if len(streams) == 1 else merge(streams)
        for events in rebatch(batches, size):
            read = sum(source.raw.tell() for _, source in sources if not source.closed)
            yield read, preparer.frame(events)

    def _reject(self, rejected: FileReject) -> None:
        if self._on_reject is not None:
            self.rejected += 1
            self._on_reject(rejected)


def is_journal(path: Path) -> bool:
    """Return whether a file is a store. Only for files: a pipe would lose what is read here."""
    with path.open("rb") as file:
        return file.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC


def _parts(frame: Frame, size: int) -> Iterator[Frame]:
    if not len(frame):
        return
    hours = np.maximum.accumulate(np.array(frame.arrivals(), np.int64)) // HOUR_MS
    cuts = [0, *(np.flatnonzero(hours[1:] != hours[:-1]) + 1).tolist(), len(frame)]
    for begin, end in itertools.pairwise(cuts):
        for start in range(begin, end, size):
            yield frame.part(start, min(end, start + size))
