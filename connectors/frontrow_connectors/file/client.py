"""Opens files: for ``frontrow replay`` as iterators, for a live room as a feed that reads in a thread."""

import asyncio
import contextlib
import io
import math
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import PurePath
from typing import Self

import structlog

from frontrow.core.events import Event
from frontrow.core.frames import Frame
from frontrow.core.ports import Receipt
from frontrow_connectors.canonical import reason_class, refusal
from frontrow_connectors.contract import FeedContext, FeedState, FeedStatus
from frontrow_connectors.file.decoder import (
    CHUNK_BYTES,
    FileReject,
    Retimer,
    merge,
    read_batches,
    read_frames,
    rebatch,
)
from frontrow_connectors.file.options import FileOptions
from frontrow_connectors.reconnect import REFUSED_WAIT_S

STANDARD_INPUT = "-"
BATCH_LINES = 1_024
STEP_S = 0.02  # paced events that are due within the same step are put together; a frame's length
READ_AHEAD = 2  # batches read and not yet put
LOGGED_REJECTS = 100  # lines named one by one in the log; beyond, they are only counted

log = structlog.get_logger(__name__)


def iter_batches(
    path: str, on_reject: Callable[[FileReject], None], batch_lines: int = BATCH_LINES
) -> Iterator[list[Event]]:
    """Yield the events of one file (``-``: standard input) in batches of ``batch_lines``; the last may be smaller.

    See :func:`frontrow_connectors.file.decoder.read_batches` for what is rejected and how it goes on.

    Raises:
        OSError: The file cannot be opened or read; when the first batch is asked for, or later.
    """
    with open_source(path) as source:
        yield from rebatch(read_batches(source, file=path, on_reject=on_reject), batch_lines)


def merge_by_time(
    paths: Sequence[str], on_reject: Callable[[FileReject], None], batch_lines: int = BATCH_LINES
) -> Iterator[list[Event]]:
    """Yield the events of several files merged by event time; the order in which they are named does not matter.

    Events keep their order within a file; between files see :func:`frontrow_connectors.file.decoder.merge`. What is
    equal even in its id comes in the order of the files' names. A file named twice is read twice (its events are then
    duplicates). All files are open at once, and one batch of each is in memory.

    Raises:
        OSError: As :func:`iter_batches`; all files are opened before the first event is yielded.
        ValueError: Standard input is named more than once.
    """
    if list(paths).count(STANDARD_INPUT) > 1:
        raise ValueError("standard input (-) can be named only once")
    ordered = sorted(paths, key=lambda path: (PurePath(path).name, path))
    with contextlib.ExitStack() as stack:
        sources = [(path, stack.enter_context(open_source(path))) for path in ordered]
        streams = [read_batches(source, file=path, on_reject=on_reject) for path, source in sources]
        yield from rebatch(streams[0] if len(streams) == 1 else merge(streams), batch_lines)


def iter_frames(paths: Sequence[str], on_reject: Callable[[FileReject], None], size: int) -> Iterator[Frame]:
    """Yield the events of files (``-``: standard input) in frames of ``size``, not prepared; the last may be smaller.

    Several are merged as :func:`merge_by_time` does.

    Raises:
        OSError: As :func:`iter_batches`.
        ValueError: As :func:`merge_by_time`.
    """
    if len(paths) > 1:
        yield from map(Frame.of, merge_by_time(paths, on_reject, size))
        return
    with open_source(paths[0]) as source:
        yield from Frame.cut(read_frames(source, file=paths[0], on_reject=on_reject), size)


def open_source(path: str) -> io.BufferedReader:
    """Return the file, opened for reading bytes; ``-`` is standard input, which is left open when this is closed."""
    # Not sys.stdin.buffer: a thread that still waits in it when the interpreter ends would crash the process.
    raw = io.FileIO(0, "rb", closefd=False) if path == STANDARD_INPUT else io.FileIO(path, "rb")
    return io.BufferedReader(raw, CHUNK_BYTES)


class FileFeed:
    """Plays one file into a room; ends when the file does and its last event is durable."""

    def __init__(self, options: FileOptions, context: FeedContext) -> None:
        self._options = options
        self._context = context
        self._taken = 0
        self._rejected = 0

    async def run(self) -> None:
        """Play the file to its end. A file that cannot be read is tried again, rarely."""
        context, path = self._context, self._options.path
        name = "standard input" if path == STANDARD_INPUT else path
        while True:
            self._taken = self._rejected = 0
            context.status(FeedStatus(FeedState.CONNECTING, name))
            try:
                await self._play(name)
            except OSError as error:
                # What was read before a failure in the middle comes again then, and is known by its ids.
                why = f"cannot read {name} ({error.strerror or type(error).__name__})"
                context.status(FeedStatus(FeedState.REFUSED, why, REFUSED_WAIT_S))
                await context.clock.sleep(REFUSED_WAIT_S)
            else:
                done = f"{name} is read, {self._taken} events taken, {self._rejected} lines rejected"
                context.status(FeedStatus(FeedState.ENDED, done))
                return

    async def _play(self, name: str) -> None:
        last: Awaitable[Receipt] | None = None
        pace = _Pace(self._options, self._context)
        with _ReadAhead(self._options) as ahead:
            opened = False
            while (item := await ahead.next()) is not None:
                if not opened:
                    self._context.status(FeedStatus(FeedState.CONNECTED, f"reading {name}"))
                    opened = True
                if isinstance(item, FileReject):
                    self._reject(item)
                    continue
                for due_s, events in pace.steps(self._of_room(item)):
                    await pace.wait_until(due_s)
                    last = await self._context.put(events)
                    self._taken += len(events)
        if last is not None:
            await last  # frames become durable in order, so the last stands for all

    def _of_room(self, events: list[Event]) -> list[Event]:
        taken: list[Event] = []
        for event in events:
            reason = refusal(event, self._context.room)
            if reason is None:
                taken.append(event)
            else:
                self._rejected += 1
                self._context.reject(reason)
        return taken

    def _reject(self, rejected: FileReject) -> None:
        self._rejected += 1
        if self._rejected <= LOGGED_REJECTS:
            log.warning(
                "file_line_rejected",
                feed=self._context.feed,
                file=rejected.file,
                line=rejected.line,
                reason=rejected.reason,
            )
        self._context.reject(reason_class(rejected.reason))


class _Pace:
    """When which events are due: at ``speed``, counted from the first event."""

    def __init__(self, options: FileOptions, context: FeedContext) -> None:
        self._speed = options.speed
        self._retime = options.retime
        self._clock = context.clock
        self._first: int | None = None
        self._began_s = 0.0
        self._retimer: Retimer | None = None
        self._due_s = 0.0

    def steps(self, events: list[Event]) -> Iterator[tuple[float, list[Event]]]:
        """Yield the events in groups, each with the seconds since the beginning at which it is due."""
        if not self._speed:
            if events:
                yield 0.0, events
            return
        group: list[Event] = []
        for event in events:
            due_s = self._due(event)
            if due_s > self._due_s and group:
                yield self._due_s, group
                group = []
            self._due_s = max(self._due_s, due_s)  # a late event does not turn time back
            group.append(event if self._retimer is None else self._retimer.move(event))
        if group:
            yield self._due_s, group

    async def wait_until(self, due_s: float) -> None:
        wait_s = self._began_s + due_s - self._clock.monotonic()
        if due_s > 0 and wait_s > 0:
            await self._clock.sleep(wait_s)

    def _due(self, event: Event) -> float:
        if self._first is None:  # standard input may begin long after we do
            self._first = event.at
            self._began_s = self._clock.monotonic()
            if self._retime:
                self._retimer = Retimer(start=self._clock.now(), speed=self._speed)
        return math.ceil((event.at - self._first) / 1_000 / self._speed / STEP_S) * STEP_S


_Item = list[Event] | FileReject | Exception | None


class _ReadAhead:
    """Reads the file in a thread of its own, at most ``READ_AHEAD`` items before they are asked for.

    A daemon thread rather than the loop's executor: nothing can wake a thread that waits for standard input, and the
    loop waits for its executor when it ends, so the daemon would not stop. This one is simply left behind.
    """

    def __init__(self, options: FileOptions) -> None:
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._slots = threading.Semaphore(READ_AHEAD)
        self._stopped = threading.Event()
        self._items: asyncio.Queue[_Item] = asyncio.Queue()  # bounded by the slots

    def __enter__(self) -> Self:
        threading.Thread(target=self._read, name="frontrow-file", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._slots.release()

    async def next(self) -> list[Event] | FileReject | None:
        """Return the next batch or reject, or None at the end. Raises what reading raised, OSError above all."""
        item = await self._items.get()
        self._slots.release()
        if isinstance(item, Exception):
            raise item
        return item

    def _read(self) -> None:
        with contextlib.suppress(_Stopped):
            try:
                self._read_all()
            except _Stopped:
                raise
            except Exception as error:  # noqa: BLE001 - the feed raises it; else it would wait for ever
                self._hand_over(error)
            else:
                self._hand_over(None)

    def _read_all(self) -> None:
        options = self._options
        with open_source(options.path) as source:
            batches = read_batches(
                source,
                file=options.path,
                on_reject=self._hand_over,
                max_line_bytes=options.max_line_bytes,
                # Arrival is stamped here. Only a feed that keeps to the file's own pace could wait for its future.
                believe=not options.speed,
            )
            for batch in batches:
                for start in range(0, len(batch), BATCH_LINES):
                    self._hand_over(batch[start : start + BATCH_LINES])

    def _hand_over(self, item: _Item) -> None:
        self._slots.acquire()
        if self._stopped.is_set():
            raise _Stopped
        try:
            self._loop.call_soon_threadsafe(self._items.put_nowait, item)
        except RuntimeError as error:  # the loop is closed
            raise _Stopped from error


class _Stopped(Exception):
    """Nobody wants the rest of the file."""
