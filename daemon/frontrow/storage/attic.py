"""The attic on disk: rows of viewers who have left memory, in an SQLite file of its own beside the store.

What it holds is derived from the journal, and it belongs to the snapshots: an engine that is put back to a snapshot
must find here exactly what had been put by then. So nothing is ever overwritten: every put is a new entry with a higher
number, the last entry of a key counts, and a mark notes the last number at the frame of an image. To go back to a mark
is to remove the entries behind it (:meth:`DiskAttic.rewind`). That a group of keys is forgotten has a number among
them too. Entries that a later one has replaced, or whose group is forgotten, go when no snapshot before that number is
kept any more (:meth:`DiskAttic.prune`); where there is no mark, nobody goes back to one, and they go at once.

The path of events only touches memory, but for the viewers who do come back: puts wait in a list, which is written by
another thread, and a Bloom filter of four to eight bytes a viewer knows whom there is no need to look for. Its
commits are in order but not synced one by one; :meth:`DiskAttic.settle` syncs, before the snapshot that relies on it
is written.

If the file is lost, damaged or another's, it is emptied, no mark fits, and the engine is rebuilt from the journal. The
index and the marks are checked as a whole when the file is opened, each row by its CRC-32 when it is taken.
"""

import contextlib
import itertools
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import structlog
from numpy.typing import NDArray

from frontrow.core.errors import CommitFailed, StoreDamaged, StoreUnusable
from frontrow.core.ports import GROUP_BYTES
from frontrow.storage.folder import make_private
from frontrow.storage.sqlite import UNREADABLE, Writer, connect, connect_to_read, empty, reset

SCHEMA = 2
APPLICATION_ID = 0x46524154  # "FRAT"
# Puts that wait before they are written: some megabytes. They change most pages of the index once, however many they
# are.
FLUSH_ITEMS = 16_384
MAX_WAITING = 4 * FLUSH_ITEMS  # puts; when so many wait, whoever puts more waits as well
REMOVE_ITEMS = 4_096  # forgotten entries that one transaction removes; writing waits as long
CHECKPOINT_PAGES = 8_000  # 32 MB; nobody waits for it
CACHE_KIB = 16_384  # for the index, of which a million viewers have 20 MB

_GROUP = f"substr(key, 1, {GROUP_BYTES})"
_TABLES = f"""
CREATE TABLE attic (store BLOB NOT NULL, digest INTEGER NOT NULL) STRICT;
CREATE TABLE entries (
  id INTEGER PRIMARY KEY, hash INTEGER NOT NULL, crc INTEGER NOT NULL, key BLOB NOT NULL, row BLOB NOT NULL
) STRICT;
CREATE INDEX entries_by_hash ON entries (hash);
CREATE INDEX entries_by_group ON entries ({_GROUP});
CREATE TABLE forgotten (id INTEGER PRIMARY KEY, prefix BLOB NOT NULL, crc INTEGER NOT NULL) STRICT;
CREATE TABLE marks (seq INTEGER PRIMARY KEY, last INTEGER NOT NULL, mark BLOB NOT NULL, crc INTEGER NOT NULL) STRICT;
"""
_SELECT = "SELECT id, crc, key, row FROM entries WHERE hash = ? ORDER BY id DESC"
# The index, of which nothing else knows whether it is whole, only proposes; the unary plus has each key itself looked
# at.
_OF_GROUP = (
    f"id IN (SELECT id FROM entries INDEXED BY entries_by_group WHERE {_GROUP} = ? AND id < ? LIMIT ?)"
    f" AND +{_GROUP} = ?"
)

Submit = Callable[[Callable[[], None]], object]

log = structlog.get_logger(__name__)


def run_now(task: Callable[[], None]) -> None:
    """Run a task in the thread that brings it."""
    task()


class _Unfit(Exception):
    """Why a file is not the attic that is looked for."""


@dataclass(slots=True)
class _Content:
    """What is known of a file's content without looking at its rows."""

    hashes: NDArray[np.int64]
    replaced: list[tuple[int, int]]  # an entry, and the next one of the same key
    forgotten: list[tuple[int, bytes]]  # a number, and the group that was forgotten then
    marks: dict[
        int, tuple[int, bytes]
    ]  # by frame: the last entry, and the store's mark; nothing until it is settled


class DiskAttic:
    """Fits :class:`frontrow.core.ports.Attic`. One thread puts, takes and marks; any other may do the rest.

    After a failed write, whatever puts raises :class:`CommitFailed`: the daemon must end.
    """

    def __init__(self, path: Path, writer: apsw.Connection, reader: apsw.Connection, submit: Submit) -> None:
        self.path = path
        self._db = writer
        self._writer = Writer(writer, path, checkpoint_pages=CHECKPOINT_PAGES)
        self._reader = reader
        self._submit = submit
        self._failure: CommitFailed | StoreDamaged | None = None
        self._lock = threading.Lock()  # of the six below
        self._last = 0
        self._waiting: list[tuple[int, bytes, bytes]] = []
        self._new_marks: dict[int, int] = {}
        self._new_forgotten: list[tuple[int, bytes]] = []
        self._scheduled = False
        # What is not in the file yet, by key; the second is what is being written. A key is looked for in this order
        # and then in the filter, and leaves one only when it is in the next: so it is always found, without a lock.
        self._new: dict[bytes, bytes] = {}
        self._leaving: dict[bytes, bytes] = {}
        self._filter = Filter(0)
        self._writing = (
            threading.RLock()
        )  # of the writer, and of what follows it: the filter's changes, and these three
        self._replaced: list[tuple[int, int]] = []
        self._forgotten: list[tuple[int, bytes]] = []
        self._marks: dict[int, tuple[int, bytes]] = {}

    @classmethod
    def open(
        cls, path: Path, *, store: bytes, submit: Submit = run_now, vfs: str | None = None
    ) -> "DiskAttic":
        """Open the attic of a store (its :attr:`Store.id`), or make it; then :meth:`rewind` before it is used.

        One that is damaged or another store's is emptied, which is told in the log. ``submit`` has tasks run in another
        thread, soon and in order; by default they run at once.

        Raises:
            StoreUnusable: It cannot be opened for writing.
        """
        try:
            if vfs is None:
                make_private(path)
            try:
                return cls._opened(path, store, submit, vfs)
            except (_Unfit, *UNREADABLE) as error:
                log.warning("attic_emptied", path=str(path), reason=str(error))
            empty(path, vfs=vfs)
            return cls._opened(path, store, submit, vfs)
        except (apsw.Error, OSError) as error:
            raise StoreUnusable(f"{path}: cannot be opened for writing ({error})") from error

    @classmethod
    def _opened(cls, path: Path, store: bytes, submit: Submit, vfs: str | None) -> "DiskAttic":
        with contextlib.ExitStack() as stack:
            writer = connect(path, vfs=vfs, synchronous="NORMAL")
            stack.callback(writer.close)
            writer.pragma("cache_size", -CACHE_KIB)
            with writer:
                if writer.execute("SELECT count(*) FROM sqlite_schema").get == 0:
                    writer.execute(_TABLES)
                    writer.execute("INSERT INTO attic VALUES (?, 0)", (store,))
                    writer.pragma("application_id", APPLICATION_ID)
                    writer.pragma("user_version", SCHEMA)
            if writer.readonly("main"):  # as SQLite takes a file whose header names a later version to be
                raise _Unfit("its header does not let it be written")
            content = _checked(writer, store)
            reader = connect_to_read(path, vfs=vfs)
            stack.callback(reader.close)
            attic = cls(path, writer, reader, submit)
            attic._filter = Filter(len(content.hashes))
            attic._filter.add(content.hashes)
            attic._replaced, attic._forgotten = content.replaced, content.forgotten
            attic._marks = content.marks
            stack.pop_all()
        return attic

    # ------------------------------------------------------------------ in the path of events

    def put(self, items: Sequence[tuple[bytes, bytes]]) -> None:
        """See the protocol. Raises CommitFailed or StoreDamaged if the disk failed, now or before."""
        with self._lock:
            self._waiting += [
                (id, key, row) for id, (key, row) in zip(itertools.count(self._last + 1), items, strict=False)
            ]
            self._last += len(items)
            self._new.update(items)
        self._flush_if_due()

    def forget(self, groups: Sequence[bytes]) -> None:
        """See the protocol. Raises CommitFailed or StoreDamaged if the disk failed, now or before."""
        with self._lock:
            self._new_forgotten += zip(itertools.count(self._last + 1), groups, strict=False)
            self._last += len(groups)
        self._flush_if_due()

    def _flush_if_due(self) -> None:
        with self._lock:
            due = len(self._waiting) + len(self._new_forgotten) >= FLUSH_ITEMS and not self._scheduled
            self._scheduled |= due
        if due:
            self._submit(self._flush_for_put)
        if len(self._waiting) >= MAX_WAITING:
            self._flush()
        if self._failure is not None:
            raise self._failure

    def take(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See the protocol."""
        new, leaving = self._new, self._leaving
        found: list[bytes | None] = list(map(new.get, keys)) if new else [None] * len(keys)
        if leaving:
            found = [leaving.get(key) if row is None else row for key, row in zip(keys, found, strict=True)]
        for position in self._filter.maybe(keys):
            if found[position] is None:
                found[position] = self._read(keys[position])
        return found

    def mark(self, seq: int) -> None:
        """See the protocol."""
        with self._lock:
            self._new_marks[seq] = self._last

    def _read(self, key: bytes) -> bytes | None:
        try:
            rows: list[Any] = self._reader.execute(_SELECT, (hash_of(key),)).fetchall()
            for id, crc, found, row in rows:
                # Before the key is looked at: one with a flipped bit is nobody's, and would be passed over in silence.
                if not _is_whole(id, found, row, crc):
                    raise _Unfit(f"the checksum of entry {id} does not fit")
                if found == key:
                    kept: bytes = row
                    return kept
        except (_Unfit, *UNREADABLE) as error:
            raise self._condemned(str(error)) from error
        return None

    def _condemned(self, reason: str) -> StoreDamaged:
        """Empty the file, so that the next start does not rely on it, and return what to raise."""
        with self._writing, contextlib.suppress(apsw.Error):
            reset(self._db)
        return StoreDamaged(
            f"{self.path}: {reason}. It holds nothing of its own and was emptied: start again, and the whole journal is"
            " read once. Nothing is lost; but look at the disk."
        )

    # ------------------------------------------------------------------ beside it

    def settle(self, seq: int, mark: bytes) -> None:
        """Make durable all that was put up to the mark of frame ``seq``; before the snapshot at ``seq`` is written.

        ``mark`` is the store's, :meth:`Store.mark`; :meth:`fits` compares it.

        Raises:
            CommitFailed: The disk failed, or is full; the daemon must end.
            KeyError: ``seq`` was not marked.
        """
        self._flush()
        with self._writing:
            last, _ = self._marks[seq]
            with self._transaction() as db:
                _write_mark(db, seq, last, mark)
            self._writer.checkpoint(whole=True)
            self._marks[seq] = (last, mark)

    def fits(self, seq: int, mark: bytes) -> bool:
        """Return whether :meth:`rewind` can go back to frame ``seq`` of the journal that this ``mark`` names."""
        return bool(mark) and self._marks.get(seq, (0, b""))[1] == mark

    def rewind(self, seq: int) -> None:
        """Remove all that was put after the mark of frame ``seq``; all that there is, if it is 0.

        Raises:
            KeyError: There is no such mark.
            CommitFailed: The disk failed.
        """
        self._flush()  # the mark may be among what waits
        with self._writing:
            last = 0 if seq == 0 else self._marks[seq][0]
            with self._transaction() as db:
                db.execute("DELETE FROM marks WHERE seq > ?", (seq,))
                if last == 0:
                    db.execute("DELETE FROM entries")
                    db.execute("DELETE FROM forgotten")
                    db.execute("UPDATE attic SET digest = 0")
                    self._filter = Filter(0)
                else:
                    _remove(db, "id > ?", last)
                    db.execute("DELETE FROM forgotten WHERE id > ?", (last,))
            self._marks = {marked: value for marked, value in self._marks.items() if marked <= seq}
            self._replaced = [(id, by) for id, by in self._replaced if by <= last]
            self._forgotten = [(id, group) for id, group in self._forgotten if id <= last]
            with self._lock:
                self._last = last

    def prune(self, seq: int) -> None:
        """Remove what was replaced or forgotten by the mark of frame ``seq``: nobody goes back before it any more.

        Raises:
            KeyError: There is no such mark.
            CommitFailed: The disk failed.
        """
        with self._writing:
            last, _ = self._marks[seq]
            with self._transaction() as db:  # the first: from here on nobody can go back
                db.execute("DELETE FROM marks WHERE seq < ?", (seq,))
            self._marks = {marked: value for marked, value in self._marks.items() if marked >= seq}
        self._remove_unneeded(last)

    def _remove_unneeded(self, last: int) -> None:
        """Remove what nobody takes any more who goes back to entry ``last`` or not so far."""
        with self._writing:
            due = [pair for pair in self._replaced if pair[1] <= last]
            if due:
                with self._transaction() as db:
                    for pair in due:
                        # Pairs are found by hash, when the file is opened; here the keys have their say.
                        _remove(db, "id = ? AND key = (SELECT key FROM entries WHERE id = ?)", *pair)
            self._replaced = [pair for pair in self._replaced if pair[1] > last]
            forgotten = [(id, group) for id, group in self._forgotten if id <= last]
            self._writer.checkpoint_if_due()
        for id, group in forgotten:
            while self._remove_some(id, group):
                pass

    def _remove_some(self, id: int, group: bytes) -> bool:
        """Remove entries of a group that was forgotten at number ``id``; return whether there may be more."""
        with self._writing:
            with self._transaction() as db:
                more = _remove(db, _OF_GROUP, group, id, REMOVE_ITEMS, group) == REMOVE_ITEMS
                if not more:
                    db.execute("DELETE FROM forgotten WHERE id = ?", (id,))
            if not more:
                self._forgotten.remove((id, group))
            self._writer.checkpoint_if_due()
        return more

    def close(self) -> None:
        """Close the file; idempotent. What was put since the last :meth:`settle` is not needed again."""
        with self._writing:
            self._reader.close()
            self._db.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[apsw.Connection]:
        """Commit what is done inside; a file that turns out to be damaged is emptied, since each start would find it so."""
        try:
            with self._writer.transaction() as db:
                yield db
        except CommitFailed as failure:
            if isinstance(failure.__cause__, apsw.CorruptError | apsw.NotADBError):
                raise self._condemned(str(failure.__cause__)) from failure
            raise

    def _flush_for_put(self) -> None:
        with contextlib.suppress(CommitFailed, StoreDamaged):  # told by the put that comes next
            self._flush()

    def _flush(self) -> None:
        """Write what waits."""
        with self._writing:
            with self._lock:
                self._scheduled = False
                entries, self._waiting = self._waiting, []
                forgotten, self._new_forgotten = self._new_forgotten, []
                marks, self._new_marks = self._new_marks, {}
                self._leaving = self._new
                self._new = {}
            if not entries and not marks and not forgotten:
                return
            try:
                with self._transaction() as db:
                    hashes, replaced = self._write(db, entries)
                    db.executemany(
                        "INSERT INTO forgotten VALUES (?, ?, ?)",
                        [(id, group, _crc(id, group, b"")) for id, group in forgotten],
                    )
                    for seq, last in marks.items():
                        _write_mark(db, seq, last, b"")
                self._replaced += replaced
                self._forgotten += forgotten
                self._marks |= {seq: (last, b"") for seq, last in marks.items()}
                self._note(hashes)
                self._writer.checkpoint_if_due()
                if not self._marks:
                    self._remove_unneeded(self._last)
            except (CommitFailed, StoreDamaged) as failure:
                self._failure = failure
                raise

    def _write(
        self, db: apsw.Connection, entries: list[tuple[int, bytes, bytes]]
    ) -> tuple[NDArray[np.int64], list[tuple[int, int]]]:
        """Insert entries; return their hashes, and which entries they replace."""
        keys = [key for _, key, _ in entries]
        hashes = list(map(hash_of, keys))
        latest: dict[bytes, int] = {}
        for position in self._filter.maybe(keys):
            found = self._db.execute(_SELECT, (hashes[position],))
            before = next((id for id, _, key, _ in found if key == keys[position]), None)
            if before is not None:
                latest[keys[position]] = before
        replaced = []
        for id, key, _ in entries:
            if key in latest:
                replaced.append((latest[key], id))
            latest[key] = id
        rows = [
            (hash, id, _crc(id, key, row), key, row)
            for (id, key, row), hash in zip(entries, hashes, strict=True)
        ]
        rows.sort()  # in the order of the index, whose pages are many; those of the new rows are few
        db.executemany("INSERT INTO entries (hash, id, crc, key, row) VALUES (?, ?, ?, ?, ?)", rows)
        made = np.array(hashes, np.int64)
        _change_digest(db, _digest(np.array([id for id, _, _ in entries], np.int64), made))
        return made, replaced

    def _note(self, hashes: NDArray[np.int64]) -> None:
        """Let the filter know what is in the file now, and with it let go of what was being written."""
        if self._filter.count + len(hashes) > self._filter.capacity:
            _, hashes = _scan(self._db)
            grown = Filter(len(hashes))
            grown.add(hashes)
            self._filter = grown
        else:
            self._filter.add(hashes)
        self._leaving = {}


class Filter:
    """A Bloom filter in blocks of one word: up to four bits of one 64-bit word a key, so one look into memory.

    About one key in a thousand that was never added passes. Putze, Sanders, Singler: Cache-, Hash- and
    Space-Efficient Bloom Filters (2007). Of a key's hash it uses the CRC-32, the fastest hash at hand that is the
    same in every process.
    """

    def __init__(self, keys: int) -> None:
        words = 1 << max(10, ((keys - 1) // 2).bit_length())
        self._words = np.zeros(words, np.uint64)
        self._shift = np.uint64(65 - words.bit_length())
        self.count = 0

    @property
    def capacity(self) -> int:
        """How many keys it may hold; with more, too many pass."""
        return 2 * len(self._words)

    @property
    def size(self) -> int:
        """How many bytes it takes."""
        return self._words.nbytes

    def add(self, hashes: NDArray[np.int64]) -> None:
        """Add keys by their :func:`hash_of`. Only one thread may."""
        words, bits = self._places(hashes.view(np.uint64) >> _CRC)
        np.bitwise_or.at(self._words, words, bits)
        self.count += len(hashes)

    def maybe(self, keys: Sequence[bytes]) -> list[int]:
        """Return the positions of keys that may have been added; of all others it is sure."""
        words, bits = self._places(np.fromiter(map(zlib.crc32, keys), np.uint64, len(keys)))
        positions: list[int] = np.flatnonzero(self._words[words] & bits == bits).tolist()
        return positions

    def _places(self, crcs: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Return each key's word and its bits there. A dozen calls of numpy, which is all that a single key costs."""
        mixed = crcs * _ODD
        bits = _PAIRS[(mixed >> _FIRST_PAIR) & _PAIR] | _PAIRS[(mixed >> _SECOND_PAIR) & _PAIR]
        return mixed >> self._shift, bits


_ODD = np.uint64(
    0x9E37_79B9_7F4A_7C15
)  # Fibonacci hashing: 2^64 over the golden ratio; its high bits know all of a key
_CRC, _FIRST_PAIR, _SECOND_PAIR, _PAIR = np.uint64(32), np.uint64(16), np.uint64(28), np.uint64(0xFFF)
_PAIRS = np.uint64(1) << np.arange(4_096, dtype=np.uint64) % np.uint64(64) | (
    np.uint64(1) << np.arange(4_096, dtype=np.uint64) // np.uint64(64)
)  # of twelve bits: two of a word's bits


def path_beside(store: Path) -> Path:
    """Return where the attic of the store at a path lies."""
    return store.with_name(store.name + ".attic")


def hash_of(key: bytes) -> int:
    """Return 64 bits of a key, signed: its CRC-32, which the filter uses, then 32 bits that nobody can aim at."""
    bits = zlib.crc32(key) << 32 | int.from_bytes(blake2b(key, digest_size=4).digest())
    return bits - (bits >> 63 << 64)


def examine(path: Path, *, store: bytes, vfs: str | None = None) -> str:
    """Return what is wrong with an attic's file, read wholly and left as it is, or nothing."""
    try:
        connection = connect_to_read(path, vfs=vfs)
        try:
            _checked(connection, store)
            for id, crc, key, row in connection.execute("SELECT id, crc, key, row FROM entries"):
                if not _is_whole(id, key, row, crc):
                    return f"the checksum of entry {id} does not fit"
        finally:
            connection.close()
    except (_Unfit, apsw.Error) as error:
        return str(error)
    return ""


def _checked(connection: apsw.Connection, store: bytes) -> _Content:
    """Return what a file holds, once it is known to be this store's and its index and marks to be whole."""
    try:
        return _read_checked(connection, store)
    except (TypeError, ValueError, OverflowError) as error:
        # A flipped bit may change a column's type or size: SQLite holds to a strict table's types when it writes, not
        # when it reads.
        raise _Unfit(f"a column holds what was not written ({type(error).__name__})") from error


def _read_checked(connection: apsw.Connection, store: bytes) -> _Content:
    if connection.pragma("application_id") != APPLICATION_ID or connection.pragma("user_version") != SCHEMA:
        raise _Unfit("it is not an attic of this version")
    row: Any = connection.execute("SELECT store, digest FROM attic").fetchone()
    if row is None or row[0] != store:
        raise _Unfit("it is of another store")
    ids, hashes = _scan(connection)
    if _digest(ids, hashes) != row[1]:
        raise _Unfit("entries are missing or were changed")
    marks: list[Any] = connection.execute("SELECT seq, last, mark, crc FROM marks").fetchall()
    for seq, last, mark, crc in marks:
        if _mark_crc(seq, last, mark) != crc:
            raise _Unfit(f"the mark of frame {seq} was changed")
    forgotten: list[Any] = connection.execute("SELECT id, prefix, crc FROM forgotten ORDER BY id").fetchall()
    for id, group, crc in forgotten:
        if _crc(id, group, b"") != crc:
            raise _Unfit("what was forgotten was changed")
    order = np.lexsort((ids, hashes))
    ids, ordered = ids[order], hashes[order]
    same = ordered[1:] == ordered[:-1]
    replaced = list(zip(ids[:-1][same].tolist(), ids[1:][same].tolist(), strict=True))
    return _Content(
        hashes,
        replaced,
        [(id, group) for id, group, _ in forgotten],
        {seq: (last, mark) for seq, last, mark, _ in marks},
    )


def _scan(connection: apsw.Connection) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the (ids, hashes) of all entries, from the index alone."""
    return _columns(connection.execute("SELECT id, hash FROM entries INDEXED BY entries_by_hash"))


def _remove(db: apsw.Connection, which: str, *values: int | bytes) -> int:
    """Remove entries by a condition; return how many there were."""
    gone = _columns(db.execute(f"DELETE FROM entries WHERE {which} RETURNING id, hash", values))
    _change_digest(db, -_digest(*gone))
    return len(gone[0])


def _write_mark(db: apsw.Connection, seq: int, last: int, mark: bytes) -> None:
    row = (seq, last, mark, _mark_crc(seq, last, mark))
    db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?)", row)


def _mark_crc(seq: int, last: int, mark: bytes) -> int:
    return zlib.crc32(mark, zlib.crc32(b"%d %d" % (seq, last)))


def _columns(rows: Iterable[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    flat = np.fromiter(itertools.chain.from_iterable(rows), np.int64)
    return flat[::2], flat[1::2]


def _change_digest(db: apsw.Connection, by: int) -> None:
    # Not in SQL, whose whole numbers do not wrap.
    digest = db.execute("SELECT digest FROM attic").get + by
    db.execute("UPDATE attic SET digest = ?", (_signed(digest),))


def _digest(ids: NDArray[np.int64], hashes: NDArray[np.int64]) -> int:
    """Return a sum over entries that knows which there are and not in which order they are read."""
    mixed = (hashes.astype(np.uint64) ^ (ids.astype(np.uint64) * _ODD)) * _ODD
    return _signed(int(mixed.sum(dtype=np.uint64)))


def _signed(number: int) -> int:
    number &= (1 << 64) - 1
    return number - (number >> 63 << 64)


def _is_whole(id: int, key: object, row: object, crc: object) -> bool:
    # A flipped bit may make a text of what was written as bytes.
    return isinstance(key, bytes) and isinstance(row, bytes) and _crc(id, key, row) == crc


def _crc(id: int, key: bytes, row: bytes) -> int:
    return zlib.crc32(row, zlib.crc32(key, id & 0xFFFF_FFFF))
