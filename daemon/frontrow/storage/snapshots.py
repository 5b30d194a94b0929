"""Snapshots: the engine's state as files beside the store, so that a start need not read the whole journal.

A snapshot is derived: with the frames after it, it must give what the whole journal gives, and if there is none, or
none that fits, the journal is read from its beginning and nothing is lost but time. So whatever is doubtful about a
snapshot (a damaged byte, another journal, another version or configuration) has one answer: it is told in the log, and
the next older one is tried.

A file is one piece after another, each with its length and a CRC-32 that also covers its place. The first is the head:
of which journal and frame this is (:meth:`frontrow.storage.store.Store.mark`), made by what, and what follows. A file
gets its name only when all of it is on the disk, so that a crash at any moment leaves those before it as they were.
"""

import ast
import contextlib
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np
import structlog
import zstandard
from msgspec import Struct
from numpy.typing import NDArray

from frontrow.core.errors import SnapshotFailed
from frontrow.core.images import Image
from frontrow.core.ports import Folder, NewFile
from frontrow.storage.folder import DiskFolder

KEPT = 2  # the last, and one more in case that its bytes go bad
SUFFIX, UNFINISHED = ".snap", ".part"
MAGIC, FORMAT = b"FRSNAP", b"\x01\n"
# A piece of an array is compressed, summed and written in calls that let other threads run; coding a piece of texts or
# of a long list does not, and takes about 2 ms.
ARRAY_PIECE = 1 << 20  # bytes
TEXT_PIECE = 1 << 15  # texts, or entries of a list
MAX_PIECE = 1 << 30  # bytes after inflation; a damaged length is not to take all memory
# Bytes between syncs. One sync of all at the end would make a commit of the journal, which shares the disk, wait for
# it.
SYNC_EVERY = 4 << 20
_COMPRESSION_LEVEL = 1  # three times as fast as level 3 for some percent more bytes

_PIECE = struct.Struct("<III")  # length inflated, length stored, CRC-32
_PLACE = struct.Struct("<II")

log = structlog.get_logger(__name__)


class _Array(Struct, frozen=True, array_like=True):
    name: str
    type: str
    shape: tuple[int, ...]


class _Image(Struct, frozen=True, array_like=True):
    name: str
    values: dict[str, Any]
    lists: list[tuple[str, int]]  # long values of ``meta``, in pieces: name and length
    arrays: list[_Array]
    texts: list[tuple[str, int]]


class _Head(Struct, frozen=True):
    seq: int
    mark: bytes
    identity: dict[str, str]
    images: list[_Image]


_encoder = msgspec.msgpack.Encoder()
_head_decoder = msgspec.msgpack.Decoder(_Head)
_texts_decoder = msgspec.msgpack.Decoder(list[str | None])
_list_decoder = msgspec.msgpack.Decoder(list[Any])


class _Unfit(Exception):
    """Why a snapshot is not used: ``reason`` for eyes, ``damaged`` if its bytes are not those that were written."""

    def __init__(self, reason: str, *, damaged: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.damaged = damaged


class Snapshots:
    """The snapshots of one store. One thread writes; reading is for the start, and for the doctor."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    @classmethod
    def beside(cls, store: Path) -> "Snapshots":
        """Return those of the store at a path on the machine's disk."""
        return cls(DiskFolder(store.with_name(store.name + ".snapshots")))

    def kept(self) -> list[int]:
        """Return the frames' numbers of the snapshots that are there, the newest first."""
        return sorted(
            (seq for name in self._folder.names() if (seq := _seq_of(name)) is not None), reverse=True
        )

    def write(self, seq: int, mark: bytes, images: Mapping[str, Image], identity: Mapping[str, str]) -> int:
        """Write the state after frame ``seq`` and return the file's bytes; then remove all but the last two.

        For a thread of its own: nothing in it holds up other threads for more than some milliseconds. The images must
        not change meanwhile, and the frame must be durable already. ``mark`` is the store's for ``seq``. ``identity``
        names whatever else a reader must have in common: versions of the code, the configuration.

        Raises:
            SnapshotFailed: The disk is full, or failed. Those that were there are as they were.
            ValueError: An image holds what cannot be written.
        """
        unfinished = f"{seq:020}{UNFINISHED}"
        try:
            self._sweep()
            with contextlib.closing(self._folder.create(unfinished)) as file:
                written = _write(file, _Head(seq, mark, dict(identity), _outline(images)), images)
            self._folder.rename(unfinished, _name(seq))
            self._folder.sync()
            self._sweep(seq)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._folder.remove(unfinished)
            raise SnapshotFailed(f"snapshot at frame {seq}: {error.strerror or error}") from error
        return written

    def newest(
        self, max_seq: int, identity: Mapping[str, str], mark: Callable[[int], bytes | None]
    ) -> tuple[int, dict[str, Image]] | None:
        """Return (number of its last frame, images) of the newest snapshot that fits, or None.

        It fits if it is of a frame up to ``max_seq`` of this very journal (``mark`` is :meth:`Store.mark`) and was made
        with the same ``identity``. Why others were passed over is logged, each once.
        """
        try:
            there = self.kept()
        except OSError as error:
            log.warning("snapshots_unreadable", reason=error.strerror)
            return None
        for seq in there:
            try:
                with self._folder.open(_name(seq)) as file:
                    head, pieces = _read_head(file)
                    _check_fit(head, max_seq, identity, mark)
                    return seq, _read(head, pieces)
            except _Unfit as unfit:
                if unfit.damaged:
                    log.warning("snapshot_damaged", seq=seq, reason=unfit.reason)
                else:
                    log.info("snapshot_passed_over", seq=seq, reason=unfit.reason)
            except OSError as error:
                log.warning("snapshot_damaged", seq=seq, reason=f"cannot be read ({error.strerror})")
        return None

    def remove_all(self, but: int | None = None) -> None:
        """Remove all snapshots, finished or not, ``but`` that of one frame; a start then reads more of the journal.

        Raises:
            SnapshotFailed: They cannot be removed.
        """
        spared = None if but is None else _name(but)
        try:
            for name in self._folder.names():
                if name != spared and name.endswith((SUFFIX, UNFINISHED)):
                    self._folder.remove(name)
        except OSError as error:
            raise SnapshotFailed(f"snapshots cannot be removed: {error.strerror or error}") from error

    def examine(self, seq: int) -> str:
        """Return what is wrong with the bytes of a snapshot, or nothing; of which journal it is does not matter."""
        try:
            with self._folder.open(_name(seq)) as file:
                head, pieces = _read_head(file)
                _read(head, pieces)
        except _Unfit as unfit:
            return unfit.reason
        except OSError as error:
            return f"cannot be read ({error.strerror})"
        return ""

    def _sweep(self, written: int | None = None) -> None:
        """Remove what is unfinished; after a snapshot was ``written``, also those that it replaces.

        Of those with higher numbers than the last written none can be of this journal: it was restored from a backup.
        """
        spared = self.kept()
        if written is not None:
            spared = [seq for seq in spared if seq <= written][:KEPT]
        names = {_name(seq) for seq in spared}
        for name in self._folder.names():
            if name not in names and name.endswith((SUFFIX, UNFINISHED)):
                self._folder.remove(name)


def _name(seq: int) -> str:
    return f"{seq:020}{SUFFIX}"


def _seq_of(name: str) -> int | None:
    number = name.removesuffix(SUFFIX)
    return int(number) if name == number + SUFFIX and number.isdecimal() else None


# ---------------------------------------------------------------------- writing


def _outline(images: Mapping[str, Image]) -> list[_Image]:
    return [
        _Image(
            name,
            {key: value for key, value in image.meta.items() if not _is_long(value)},
            [(key, len(value)) for key, value in image.meta.items() if _is_long(value)],
            [_Array(key, _type_name(array), array.shape) for key, array in image.arrays.items()],
            [(key, len(texts)) for key, texts in image.texts.items()],
        )
        for name, image in images.items()
    ]


def _write(file: NewFile, head: _Head, images: Mapping[str, Image]) -> int:
    compressor = zstandard.ZstdCompressor(level=_COMPRESSION_LEVEL)
    file.write(MAGIC + FORMAT)
    written, synced = len(MAGIC + FORMAT), 0
    for place, piece in enumerate(_pieces(head, images)):
        stored = compressor.compress(piece)
        crc = zlib.crc32(stored, zlib.crc32(_PLACE.pack(place, len(piece))))
        file.write(_PIECE.pack(len(piece), len(stored), crc))
        file.write(stored)
        written += _PIECE.size + len(stored)
        if written - synced > SYNC_EVERY:
            file.sync()
            synced = written
    file.sync()
    return written


def _pieces(head: _Head, images: Mapping[str, Image]) -> Iterator[bytes | memoryview]:
    yield _encoder.encode(head)
    for outline in head.images:
        image = images[outline.name]
        for name, length in outline.lists:
            yield from _list_pieces(image.meta[name], length)
        for array in outline.arrays:
            flat = _bytes_of(image.arrays[array.name])
            for start in range(0, len(flat), ARRAY_PIECE):
                yield flat[start : start + ARRAY_PIECE]
        for name, length in outline.texts:
            yield from _list_pieces(image.texts[name], length)


def _list_pieces(values: Sequence[Any], length: int) -> Iterator[bytes]:
    for start in range(0, length, TEXT_PIECE):
        yield _encoder.encode(values[start : start + TEXT_PIECE])


def _is_long(value: Any) -> bool:
    return isinstance(value, list) and len(value) > TEXT_PIECE


def _bytes_of(array: NDArray[Any]) -> memoryview:
    flat: NDArray[Any] = np.ascontiguousarray(array).reshape(-1)
    return flat.view(np.uint8).data


def _type_name(array: NDArray[Any]) -> str:
    if array.dtype.hasobject:
        raise ValueError("an array of objects cannot be written")
    return repr(np.lib.format.dtype_to_descr(array.dtype))


# ---------------------------------------------------------------------- reading


def _read_head(file: BinaryIO) -> tuple[_Head, Iterator[bytes]]:
    if file.read(len(MAGIC)) != MAGIC:
        raise _Unfit("it does not begin as a snapshot does", damaged=True)
    if file.read(len(FORMAT)) != FORMAT:
        raise _Unfit("its format is of another version", damaged=False)
    pieces = _stored_pieces(file)
    try:
        return _head_decoder.decode(next(pieces)), pieces
    except msgspec.DecodeError as error:
        raise _Unfit("its head is of another version", damaged=False) from error


def _stored_pieces(file: BinaryIO) -> Iterator[bytes]:
    """Yield each piece, checked; the reader knows how many there must be."""
    decompressor = zstandard.ZstdDecompressor()
    place = 0
    while True:
        start = file.read(_PIECE.size)
        length, size, crc = _PIECE.unpack(start) if len(start) == _PIECE.size else (0, 0, 0)
        stored = file.read(size) if length <= MAX_PIECE and size <= MAX_PIECE else b""
        if len(start) != _PIECE.size or len(stored) != size:
            raise _Unfit(f"it ends within piece {place}", damaged=True)
        if zlib.crc32(stored, zlib.crc32(_PLACE.pack(place, length))) != crc:
            raise _Unfit(f"the checksum of piece {place} does not fit", damaged=True)
        yield decompressor.decompress(stored, max_output_size=length)
        place += 1


def _check_fit(
    head: _Head, max_seq: int, identity: Mapping[str, str], mark: Callable[[int], bytes | None]
) -> None:
    if head.seq > max_seq:
        raise _Unfit(f"the journal ends at frame {max_seq}, before it", damaged=False)
    if mark(head.seq) != head.mark:
        raise _Unfit("it is of another journal, or of another history of this one", damaged=False)
    differing = sorted(
        key for key in identity.keys() | head.identity.keys() if identity.get(key) != head.identity.get(key)
    )
    if differing:
        raise _Unfit(f"it was made with another {', '.join(differing)}", damaged=False)


def _read(head: _Head, pieces: Iterator[bytes]) -> dict[str, Image]:
    return {outline.name: _read_image(outline, pieces) for outline in head.images}


def _read_image(outline: _Image, pieces: Iterator[bytes]) -> Image:
    meta = dict(outline.values)
    for name, length in outline.lists:
        meta[name] = _read_list(_list_decoder, length, pieces)
    arrays = {array.name: _read_array(array, pieces) for array in outline.arrays}
    texts = {name: _read_list(_texts_decoder, length, pieces) for name, length in outline.texts}
    return Image(meta, arrays, texts)


def _read_list(
    decoder: "msgspec.msgpack.Decoder[list[Any]]", length: int, pieces: Iterator[bytes]
) -> list[Any]:
    values: list[Any] = []
    for _ in range(0, length, TEXT_PIECE):
        values += decoder.decode(next(pieces))
    return values


def _read_array(outline: _Array, pieces: Iterator[bytes]) -> NDArray[Any]:
    array: NDArray[Any] = np.empty(
        outline.shape, np.lib.format.descr_to_dtype(ast.literal_eval(outline.type))
    )
    flat = _bytes_of(array)
    for start in range(0, len(flat), ARRAY_PIECE):
        piece = next(pieces)
        flat[start : start + len(piece)] = piece
    return array
