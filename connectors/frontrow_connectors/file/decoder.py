"""From a stream of bytes (plain, gzip or zstandard NDJSON) to batches of events or to frames, with bounded memory.

The idea: cut the stream into blocks of whole lines and decode a block in one call; only a block in which something is
wrong is decoded line by line, to name the line. At any time there is one chunk of the input, one block and its events
in memory. Pure but for the source that it is given to read.
"""

import hashlib
import heapq
import itertools
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import msgspec
import zstandard

from frontrow.core import times
from frontrow.core.decoding import decode_columns
from frontrow.core.errors import EventInvalid
from frontrow.core.events import EARLIEST_MS, LATEST_MS, MAX_ID, Event, decode_block, decode_event
from frontrow.core.frames import Frame
from frontrow_connectors.canonical import BOM

CHUNK_BYTES = (
    64 * 1_024
)  # some 350 events; with 256 KiB their making and their going cost a tenth more, in cache misses
MAX_LINE_BYTES = 1_024 * 1_024
# One compressed byte of zstandard can become 32 KiB (a block of 128 KiB from four bytes), and its decoder has no
# bound on what it returns at once; so much input therefore never becomes more than 32 MiB.
ZSTD_INPUT_BYTES = 1_024
ZSTD_WINDOW_BYTES = 128 * 1_024 * 1_024  # what `zstd --long=27` makes; larger ones are refused

TOO_FAR_AHEAD = "a time more than a day ahead of the lines around it"
_NOT_TEXT = {
    b"BZh": "bzip2 data; only plain text, gzip and zstandard are read",
    b"\xfd7zX": "xz data; only plain text, gzip and zstandard are read",
    b"PK\x03\x04": "a zip archive; unpack it first",
    b"\xff\xfe": "UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "UTF-16 text; save it as UTF-8",
}


@dataclass(frozen=True, slots=True)
class FileReject:
    """What could not be taken from a file. ``line`` counts from 1; ``reason`` holds nothing of the line itself."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


class Source(Protocol):
    """What is read from: an ``io.BufferedReader`` fits."""

    def read(self, size: int, /) -> bytes: ...
    def read1(self, size: int, /) -> bytes: ...


def read_batches(
    source: Source,
    *,
    file: str,
    on_reject: Callable[[FileReject], None],
    max_line_bytes: int = MAX_LINE_BYTES,
    believe: bool = False,
) -> Iterator[list[Event]]:
    """Yield the events of ``source`` in the order of its lines, as they can be read; no batch is empty.

    A line that is broken or longer than ``max_line_bytes`` is given to ``on_reject`` and the rest goes on. So is,
    unless ``believe`` is set, one whose time is not believed (:func:`frontrow.core.times.leaps`); to find out takes
    the lines that follow it, so a leap in time waits for them. Where a compressed stream ends too early or is
    damaged, everything before that place is yielded, then the place is given to ``on_reject``, and reading ends.
    ``file`` is the name to use in rejects.
    """

    return _read(source, file, on_reject, max_line_bytes, believe, _AS_EVENTS)


def read_frames(
    source: Source,
    *,
    file: str,
    on_reject: Callable[[FileReject], None],
    max_line_bytes: int = MAX_LINE_BYTES,
    believe: bool = False,
) -> Iterator[Frame]:
    """Yield what :func:`read_batches` does as frames, which nobody has prepared; no event is an object on the way."""
    return _read(source, file, on_reject, max_line_bytes, believe, _AS_FRAMES)


def rebatch(batches: Iterable[Sequence[Event]], size: int) -> Iterator[list[Event]]:
    """Yield the same events in batches of exactly ``size``; only the last may be smaller."""
    held: list[Event] = []
    for batch in batches:
        held += batch
        del batch  # so that events which the caller has done with are gone before the next ones are made
        while len(held) >= size:
            whole = held[:size]
            del held[:size]
            yield whole
            del whole
    if held:
        yield held


def merge(streams: Sequence[Iterator[list[Event]]]) -> Iterator[list[Event]]:
    """Yield the events of several streams merged by event time, in batches of any size; memory: a batch a stream.

    Within one stream events keep their order, even where times fall. Between streams the order is that of (``at``,
    ``platform``, ``room``, ``session``, ``id``); what is equal even so comes in the order of ``streams``. An event
    counts as no later than its arrival, where that is known.

    Recordings of different broadcasts hardly overlap in time, so instead of one heap operation an event, the foremost
    stream is read as far as it stays before the next one.
    """
    heap: list[tuple[_Key, int, list[Event], int, Iterator[list[Event]]]] = []

    def wait_in_line(rank: int, batch: list[Event], start: int, stream: Iterator[list[Event]]) -> None:
        # The rank is unique, so lists and iterators are never compared.
        heapq.heappush(heap, (_key(batch[start]), rank, batch, start, stream))

    for rank, stream in enumerate(streams):
        for batch in itertools.islice(stream, 1):
            wait_in_line(rank, batch, 0, stream)
    while heap:
        _, rank, batch, start, stream = heapq.heappop(heap)
        stop = _run_end(batch, start, rank, heap[0][:2]) if heap else len(batch)
        yield batch[start:stop]
        if stop < len(batch):
            wait_in_line(rank, batch, stop, stream)
            continue
        for following in itertools.islice(stream, 1):
            wait_in_line(rank, following, 0, stream)


class Retimer:
    """Moves a recording to now: the first event is at ``start`` (UTC milliseconds), distances divided by ``speed``.

    Ids and sessions get a suffix of their own, since with the recorded ones a second showing would be dropped as
    duplicates of the first. ``stay.seconds`` stays as it was.
    """

    def __init__(self, *, start: int, speed: float) -> None:
        self._start = start
        self._speed = speed
        self._first: int | None = None
        self._suffix = f"~{start:x}"

    def move(self, event: Event) -> Event:
        if self._first is None:
            self._first = event.at
        at = self._start + round((event.at - self._first) / self._speed)
        session = None if event.session is None else self._own(event.session)
        at = min(max(at, EARLIEST_MS), LATEST_MS)
        return msgspec.structs.replace(event, id=self._own(event.id), session=session, at=at, seen_at=None)

    def _own(self, key: str) -> str:
        if len(key) + len(self._suffix) > MAX_ID:  # cut, two ids could become one
            key = hashlib.sha256(key.encode()).hexdigest()
        return key + self._suffix


_Key = tuple[int, str, str, str, str]


def _key(event: Event) -> _Key:
    return (_effective(event), event.platform, event.room, event.session or "", event.id)


def _effective(event: Event) -> int:
    """Return event time as the engine takes it: nothing happens after it has arrived."""
    return event.at if event.seen_at is None or event.at <= event.seen_at else event.seen_at


def _run_end(batch: list[Event], start: int, rank: int, bound: tuple[_Key, int]) -> int:
    """Return where the run of events from ``start`` on that come before ``bound`` ends; it has at least one."""
    bound_at = bound[0][0]
    for index in range(start + 1, len(batch)):
        event = batch[index]
        at = _effective(event)
        if at > bound_at or (at == bound_at and (_key(event), rank) > bound):
            return index
    return len(batch)


class _Broken(Exception):
    """A compressed stream cannot be read on; the message says why."""


def _unpacked(source: Source) -> Iterator[bytes]:
    head = source.read(4)
    if head.startswith(b"\x1f\x8b"):
        return _gunzipped(_raw(source, head))
    if head == b"\x28\xb5\x2f\xfd" or (head[1:] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F):
        return _unzstandarded(_cut(_raw(source, head), ZSTD_INPUT_BYTES))
    for magic, reason in _NOT_TEXT.items():
        if head.startswith(magic):
            return _refused(reason)
    return _without_bom(_raw(source, head))


def _raw(source: Source, head: bytes) -> Iterator[bytes]:
    chunk = head
    while chunk:
        yield chunk
        chunk = source.read1(CHUNK_BYTES)


def _without_bom(chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in itertools.islice(chunks, 1):
        yield chunk.removeprefix(BOM)
    yield from chunks


def _refused(reason: str) -> Iterator[bytes]:
    yield b""
    raise _Broken(reason)


def _gunzipped(chunks: Iterator[bytes]) -> Iterator[bytes]:
    inflater = None
    for chunk in chunks:
        data = chunk
        while data:
            if inflater is None:
                data = data.lstrip(b"\0")  # padding between members, as tapes and block devices add
                if not data:
                    break
                inflater = zlib.decompressobj(wbits=31)
            yield from _inflated(inflater, data)
            data = inflater.unused_data
            if inflater.eof:
                inflater = None
    if inflater is not None:
        raise _Broken("the gzip stream ends before its end (a truncated file)")


def _inflated(inflater: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    more = True
    while more:
        try:
            out = inflater.decompress(data, CHUNK_BYTES)
        except zlib.error as error:
            raise _Broken("the gzip stream is damaged") from error
        if out:
            yield out
        data = inflater.unconsumed_tail
        # With its output bound reached, the inflater may hold more output even where all input is consumed. At its end,
        # what it calls unconsumed is the next member, which it would not consume for ever.
        more = not inflater.eof and (bool(data) or len(out) == CHUNK_BYTES)


def _unzstandarded(chunks: Iterator[bytes]) -> Iterator[bytes]:
    context = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES)
    frame = None
    for chunk in chunks:
        data = chunk
        while data:
            if frame is None:
                frame = context.decompressobj()
            try:
                out = frame.decompress(data)
            except zstandard.ZstdError as error:
                raise _Broken("the zstandard stream is damaged") from error
            if out:
                yield out
            data = frame.unused_data
            if frame.eof:
                frame = None
    if frame is not None:
        raise _Broken("the zstandard stream ends before its end (a truncated file)")


def _cut(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    for chunk in chunks:
        if len(chunk) <= size:
            yield chunk
        else:
            for start in range(0, len(chunk), size):
                yield chunk[start : start + size]


@dataclass(slots=True)
class _Place:
    """Where the reading stands: the number of the line that comes next. Whoever has done with lines moves it on."""

    line: int = 1


def _blocks(
    chunks: Iterator[bytes], max_line_bytes: int, place: _Place, reject: Callable[[int, str], None]
) -> Iterator[bytes]:
    """Yield whole lines, without the last one's end; too long lines are left out.

    ``place`` is at a block's first line when it is yielded; the caller moves it behind the last before the next block.
    """
    rest = bytearray()  # grows in place: a pipe may give a long line in many small pieces
    skipping = False  # inside a line that was already rejected for its length
    too_long = f"a line of more than {max_line_bytes} bytes"
    broken: _Broken | None = None
    while broken is None:
        try:
            chunk = next(chunks, None)
        except _Broken as error:
            broken = error
            break
        if chunk is None:
            break
        if skipping:
            end = chunk.find(b"\n")
            if end < 0:
                continue
            chunk, skipping = chunk[end + 1 :], False
            place.line += 1
        end = chunk.rfind(b"\n")
        if end < 0:
            rest += chunk
            if len(rest) > max_line_bytes:
                reject(place.line, too_long)
                rest, skipping = bytearray(), True
            continue
        block, rest = b"".join((rest, memoryview(chunk)[:end])), bytearray(chunk[end + 1 :])
        if _first_length(block) > max_line_bytes:
            reject(place.line, too_long)
            place.line += 1
            _, more, block = block.partition(b"\n")
            if not more:
                continue
        yield block
    if broken is not None:
        # A line cut by the break counts as part of it, unless the cut fell just behind its last character.
        if _is_whole(rest):
            yield bytes(rest)
            place.line -= 1
        reject(place.line, str(broken))
    elif rest:
        yield bytes(rest)


def _first_length(block: bytes) -> int:
    end = block.find(b"\n")
    return len(block) if end < 0 else end


def _is_whole(line: bytearray) -> bool:
    try:
        decode_event(line)
    except EventInvalid:
        return False
    return True


Events = TypeVar("Events", list[Event], Frame)


@dataclass(frozen=True, slots=True)
class _Form(Generic[Events]):
    """In which form events are read: as objects, or as columns."""

    decode: Callable[[bytes], Events | None]  # of a block; None: it must be decoded line by line
    of: Callable[[list[Event]], Events]
    times: Callable[[Events], Sequence[int]]  # what moves engine time: arrival, where it is known
    take: Callable[[Events, Sequence[int]], Events]  # the events at these positions


@dataclass(slots=True)
class _Part(Generic[Events]):
    """A block's events, and the number of the line of each."""

    events: Events
    lines: Sequence[int]


def _read(
    source: Source,
    file: str,
    on_reject: Callable[[FileReject], None],
    max_line_bytes: int,
    believe: bool,
    form: _Form[Events],
) -> Iterator[Events]:
    def reject(line: int, reason: str) -> None:
        on_reject(FileReject(file, line, reason))

    # A chunk is never longer than the bound on a line, so only a block's first line can break it.
    chunk_bytes = min(CHUNK_BYTES, max_line_bytes)
    chunks = _cut(_unpacked(source), chunk_bytes)
    place = _Place()
    parts = (
        _decode_block(place, block, reject, form) for block in _blocks(chunks, max_line_bytes, place, reject)
    )
    # No loop over lists here: its variable would keep one block's events in memory while the next ones are made.
    yield from filter(len, (part.events for part in parts) if believe else _believed(parts, reject, form))


def _decode_block(
    place: _Place, block: bytes, reject: Callable[[int, str], None], form: _Form[Events]
) -> _Part[Events]:
    """Return a block's events, and move ``place`` behind it."""
    first_line = place.line
    if block.isspace():  # a packed file of a few kilobytes can hold a hundred million empty lines
        place.line += block.count(b"\n") + 1
        return _Part(form.of([]), ())
    events = form.decode(block)
    if events is None:
        place.line += block.count(b"\n") + 1
        found, lines = _decode_lines(first_line, block, reject)
        return _Part(form.of(found), lines)
    place.line += len(events)
    return _Part(events, range(first_line, place.line))


def _decode_lines(
    first_line: int, block: bytes, reject: Callable[[int, str], None]
) -> tuple[list[Event], list[int]]:
    events: list[Event] = []
    lines: list[int] = []
    for number, line in enumerate(block.split(b"\n"), first_line):
        if not line or line.isspace():
            continue
        try:
            events.append(decode_event(line))
            lines.append(number)
        except EventInvalid as error:
            reject(number, str(error))
    return events, lines


def _believed(
    parts: Iterator[_Part[Events]], reject: Callable[[int, str], None], form: _Form[Events]
) -> Iterator[Events]:
    """Yield the parts' events without those whose time runs ahead of all that follows; they are rejected."""
    ahead: deque[_Part[Events]] = deque()  # read, and not yet yielded
    known: int | None = None
    while (part := ahead.popleft() if ahead else next(parts, None)) is not None:
        if not part.lines:
            continue
        latest = max(form.times(part.events))
        if known is None or latest > known + times.LEAP_MS:
            while sum(len(each.lines) for each in ahead) < times.WITNESSES:
                following = next(parts, None)
                if following is None:
                    break
                ahead.append(following)
            witnesses = itertools.chain.from_iterable(form.times(each.events) for each in ahead)
            _drop_leaps(part, itertools.islice(witnesses, times.WITNESSES), known, reject, form)
            latest = max(form.times(part.events), default=0)
        if part.lines:
            known = latest if known is None or latest > known else known
            yield part.events
        del part


def _drop_leaps(
    part: _Part[Events],
    witnesses: Iterable[int],
    latest: int | None,
    reject: Callable[[int, str], None],
    form: _Form[Events],
) -> None:
    known = [*form.times(part.events), *witnesses]
    leaps = times.leaps(known, len(part.lines), latest)
    for position in leaps:
        reject(part.lines[position], TOO_FAR_AHEAD)
    gone = frozenset(leaps)
    kept = [position for position in range(len(part.lines)) if position not in gone]
    part.events = form.take(part.events, kept)
    part.lines = [part.lines[position] for position in kept]


def _times(events: Sequence[Event]) -> Sequence[int]:
    return [event.at if event.seen_at is None else event.seen_at for event in events]


_AS_EVENTS: _Form[list[Event]] = _Form(
    decode=decode_block,
    of=lambda events: events,
    times=_times,
    take=lambda events, positions: [events[position] for position in positions],
)
_AS_FRAMES: _Form[Frame] = _Form(decode=decode_columns, of=Frame.of, times=Frame.arrivals, take=Frame.take)
