"""How a frame lies in the journal: what replay needs in one blob, what is personal in another.

Replay needs no name, text or form, so one person's fields can be destroyed later without changing what replay
computes. Both blobs are columns, which are faster to write and smaller than rows. What replay needs is msgpack; what is
personal is JSON (a form or an ``extra`` may hold whatever JSON can, whole numbers of any size included). Both lie under
zstandard, and a CRC-32 over both tells a damaged page from a good one.
"""

import sys
import threading
import zlib
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import msgspec
import numpy as np
import zstandard
from msgspec import Raw, Struct

from frontrow.core import kernel
from frontrow.core.columns import as_list, count_is
from frontrow.core.errors import StoreDamaged
from frontrow.core.frames import PERSONAL_SELDOM, SELDOM, Frame
from frontrow.core.sketches import BITS

# Level 1: on frames of chat it is four times as fast as level 3 for a tenth more bytes.
_COMPRESSION_LEVEL = 1
_SKETCH_BYTES = 2 * BITS // 8
_MAX_BLOB = (
    256 * 1024 * 1024
)  # bytes after inflation; a frame has at most some thousand events of some kilobytes


@dataclass(frozen=True, slots=True)
class Blobs:
    """A frame as it is stored."""

    facts: bytes
    personal: bytes
    crc: int


class _Coded(Struct, frozen=True, array_like=True):
    """A column of few different strings: the strings, and each event's index among them (16 bits; empty: all 0)."""

    values: list[str | None]
    codes: bytes


class _Facts(Struct, frozen=True, array_like=True):
    """What replay needs. Times are 64-bit differences from the event before; None for a column: nothing but None."""

    events: int
    ids: list[str]
    platforms: _Coded
    rooms: _Coded
    kinds: _Coded
    sessions: _Coded
    viewers: list[str | None]
    ats: bytes
    seen_ats: bytes | list[int | None]
    counts: list[int | None] | None
    values: list[int | None] | None
    fans: list[bool | None] | None
    staffs: list[bool | None] | None
    tests: list[bool] | None
    facts: bytes
    seldom: dict[str, dict[int, Any]]
    sketches: bytes = b""  # 48 bits each, of comments alone; none in frames of earlier versions


class _Personal(Struct, frozen=True, array_like=True):
    names: list[str | None] | None
    texts: list[str | None] | None
    seldom: dict[str, dict[int, Any]]


_encoder = msgspec.msgpack.Encoder()
_facts_decoder = msgspec.msgpack.Decoder(_Facts)
_personal_encoder = msgspec.json.Encoder()
_personal_decoder = msgspec.json.Decoder(_Personal)
_NOTHING_PERSONAL = _Personal(None, None, {})
_NIL = b"\xc0"  # None in msgpack
_own = threading.local()


def pack(frame: Frame) -> Blobs:
    """Return the frame's two blobs and their checksum."""
    facts = _Facts(
        events=len(frame),
        ids=_column(frame.ids),
        platforms=_coded(frame.platforms),
        rooms=_coded(frame.rooms),
        kinds=_coded(frame.kinds),
        sessions=_coded(frame.sessions),
        viewers=_column(frame.viewers),
        ats=_differences(frame.ats),
        seen_ats=_column(frame.seen_ats) if count_is(frame.seen_ats, None) else _differences(frame.seen_ats),
        counts=_sparse(frame.counts),
        values=_sparse(frame.values),
        fans=_sparse(frame.fans),
        staffs=_sparse(frame.staffs),
        tests=_tests(frame.tests),
        facts=_marks(frame.facts),
        seldom={name: values for name, values in frame.seldom.items() if name not in PERSONAL_SELDOM},
        sketches=_sketches(frame),
    )
    facts_blob = _compressed(_encoder.encode(facts))
    personal_blob = _compressed(_personal_encoder.encode(_personal(frame)))
    return Blobs(facts_blob, personal_blob, checksum(facts_blob, personal_blob))


def repack(facts: bytes, frame: Frame, length: int) -> Blobs:
    """Return blobs with the facts as they are, byte for byte, and what is personal in a frame now.

    The personal blob has at least ``length`` bytes: behind what zstandard reads there are zeros.
    """
    blob = _compressed(_personal_encoder.encode(_personal(frame))).ljust(length, b"\0")
    return Blobs(facts, blob, checksum(facts, blob))


def unpack(blobs: Blobs, *, where: str) -> Frame:
    """Return the frame that two blobs hold; ``where`` names it in the error.

    A frame whose personal fields were destroyed (an empty blob, with a checksum that says so) comes back without them.

    Raises:
        StoreDamaged: The bytes are not those that were written.
    """
    if checksum(blobs.facts, blobs.personal) != blobs.crc:
        raise StoreDamaged(f"{where}: the checksum does not fit; the page is torn or was changed")
    try:
        decompressor = zstandard.ZstdDecompressor()
        facts = _facts_decoder.decode(decompressor.decompress(blobs.facts, max_output_size=_MAX_BLOB))
        personal = _NOTHING_PERSONAL
        if blobs.personal:
            inflated = decompressor.decompress(blobs.personal, max_output_size=_MAX_BLOB)
            personal = _personal_decoder.decode(inflated)
        return _joined(facts, personal)
    except (zstandard.ZstdError, msgspec.DecodeError, IndexError, ValueError) as error:
        raise StoreDamaged(f"{where}: cannot be read back ({type(error).__name__})") from error


def may(facts: bytes, hold: Callable[[bytes], bool]) -> bool:
    """Return what ``hold`` says of a frame's facts as they are written, not compressed; True of a blob that cannot be read."""
    try:
        return hold(zstandard.ZstdDecompressor().decompress(facts, max_output_size=_MAX_BLOB))
    except zstandard.ZstdError:
        return True


def checksum(facts: bytes, personal: bytes) -> int:
    """Return the CRC-32 of both blobs in turn."""
    return zlib.crc32(personal, zlib.crc32(facts))


def _compressed(data: bytes) -> bytes:
    # One for each thread: its tables are half a megabyte to make, and what it gives does not depend on what it was
    # given before.
    compressor = getattr(_own, "compressor", None)
    if compressor is None:
        compressor = _own.compressor = zstandard.ZstdCompressor(level=_COMPRESSION_LEVEL)
    return bytes(compressor.compress(data))


def _personal(frame: Frame) -> _Personal:
    return _Personal(
        names=_words(frame.names),
        texts=_words(frame.texts),
        seldom={name: values for name, values in frame.seldom.items() if name in PERSONAL_SELDOM and values},
    )


def _joined(facts: _Facts, personal: _Personal) -> Frame:
    events = facts.events
    nothing: list[None] = [None] * events
    seen = facts.seen_ats
    frame = Frame(
        ids=facts.ids,
        platforms=_decoded(facts.platforms, events),
        rooms=_decoded(facts.rooms, events),
        kinds=_decoded(facts.kinds, events),
        ats=_summed(facts.ats),
        seen_ats=_summed(seen) if isinstance(seen, bytes) else seen,
        sessions=_decoded(facts.sessions, events),
        viewers=facts.viewers,
        names=personal.names or nothing,
        texts=personal.texts or nothing,
        counts=facts.counts or nothing,
        values=facts.values or nothing,
        fans=facts.fans or nothing,
        staffs=facts.staffs or nothing,
        tests=facts.tests or [False] * events,
        facts=_numbers(facts.facts, np.uint16).tolist(),
        sketches=[0] * events,
        seldom=facts.seldom | personal.seldom,
    )
    _spread_sketches(frame, facts.sketches)
    if {len(column) for column in (frame.ids, frame.ats, frame.viewers, frame.names, frame.facts)} != {
        events
    }:
        raise ValueError("columns of different lengths")
    if not set(frame.seldom) <= set(SELDOM):
        raise ValueError("a field of another version")
    return frame


def _sketches(frame: Frame) -> bytes:
    """Return the sketches of the comments, six bytes each; of a frame without any, none."""
    if kernel.compiled is not None:
        written = kernel.compiled.write_numbers(
            as_list(frame.sketches), _SKETCH_BYTES, as_list(frame.kinds), "comment"
        )
        if written is not None:
            return bytes(written)
    if not any(frame.sketches):
        return b""
    said = np.array(list(compress(frame.sketches, _are_comments(frame))), "<u8")
    return said.view(np.uint8).reshape(-1, 8)[:, :_SKETCH_BYTES].tobytes()


def _spread_sketches(frame: Frame, packed: bytes) -> None:
    if not packed:
        return
    narrow = np.frombuffer(packed, np.uint8).reshape(-1, _SKETCH_BYTES)
    wide = np.zeros((len(narrow), 8), np.uint8)
    wide[:, :_SKETCH_BYTES] = narrow
    sketches = [0] * len(frame)
    comments = list(compress(range(len(frame)), _are_comments(frame)))
    for position, sketch in zip(comments, wide.view("<u8").ravel().tolist(), strict=True):
        sketches[position] = sketch
    frame.sketches = sketches


def _are_comments(frame: Frame) -> list[bool]:
    return [kind == "comment" for kind in frame.kinds]


# The kernel writes whole columns at once; what msgspec is given then is not the column but how it is written. It
# leaves to msgspec what it does not know to write.


def _column(column: Sequence[Any]) -> Any:
    values = as_list(column)
    written = None if kernel.compiled is None else kernel.compiled.msgpack_column(values)
    return values if written is None else Raw(written)


def _sparse(column: Sequence[Any]) -> Any:
    values = as_list(column)
    written = None if kernel.compiled is None else kernel.compiled.msgpack_column(values, None)
    return _given(values) if written is None else Raw(written)


def _tests(column: Sequence[bool]) -> Any:
    values = as_list(column)
    if kernel.compiled is not None and kernel.compiled.msgpack_column(values, False) == _NIL:
        return None
    return _column(values) if True in values else None


def _words(column: Sequence[Any]) -> Any:
    values = as_list(column)
    written = None if kernel.compiled is None else kernel.compiled.json_column(values, None)
    return _given(values) if written is None else Raw(written)


def _given(column: list[Any]) -> list[Any] | None:
    return None if count_is(column, None) == len(column) else column


def _coded(column: Sequence[str | None]) -> _Coded:
    if kernel.compiled is not None:
        values, indices = kernel.compiled.code_column(as_list(column))
        return _Coded(values, indices if len(values) > 1 else b"")
    if column and column.count(column[0]) == len(column):
        return _Coded([column[0]], b"")
    codes: dict[str | None, int] = {value: code for code, value in enumerate(dict.fromkeys(column))}
    # A frame has some thousand events, so 16 bits are enough; array() says so if one day they are not.
    numbers = array("H", [codes[value] for value in column])
    if sys.byteorder == "big":
        numbers.byteswap()
    return _Coded(list(codes), numbers.tobytes())


def _decoded(column: _Coded, events: int) -> list[Any]:
    if not column.codes:
        return column.values * events
    values = column.values
    return [values[code] for code in _numbers(column.codes, np.uint16).tolist()]


def span(frame: Frame) -> tuple[int, int]:
    """Return the times (UTC ms) of the first and of the last event of a frame, by time; it has one at least."""
    found = None if kernel.compiled is None else kernel.compiled.least_and_most(as_list(frame.ats))
    first, last = (min(frame.ats), max(frame.ats)) if found is None else found
    return first, last


def _marks(column: Sequence[int]) -> bytes:
    written = None if kernel.compiled is None else kernel.compiled.write_numbers(as_list(column), 2)
    return _little(np.array(column, dtype=np.uint16)) if written is None else bytes(written)


def _differences(column: Sequence[Any]) -> bytes:
    written = None if kernel.compiled is None else kernel.compiled.write_differences(as_list(column))
    if written is not None:
        return bytes(written)
    numbers = np.array(column, dtype=np.int64)
    numbers[1:] -= numbers[:-1].copy()
    return _little(numbers)


def _summed(data: bytes) -> list[int]:
    summed: list[int] = np.cumsum(_numbers(data, np.int64)).tolist()
    return summed


def _little(numbers: "np.ndarray[Any, np.dtype[Any]]") -> bytes:
    return numbers.astype(numbers.dtype.newbyteorder("<"), copy=False).tobytes()


def _numbers(data: bytes, kind: "type[np.integer[Any]]") -> "np.ndarray[Any, np.dtype[Any]]":
    return np.frombuffer(data, dtype=np.dtype(kind).newbyteorder("<")).astype(kind)
