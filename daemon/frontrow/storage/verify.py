"""Goes through a whole store and tells what cannot be read back. It changes nothing, and stops at nothing.

At start only the end of the journal is read, where there is a snapshot; a page elsewhere that was torn or flipped would
wait there until somebody needs it. :class:`Verification` reads all of it in small steps, so that it can run beside a
daemon at work, on a connection of its own.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import apsw

from frontrow.storage.damage import Lost
from frontrow.storage.frames import checksum
from frontrow.storage.rows import SealedTable
from frontrow.storage.sqlite import UNREADABLE, connect_to_read
from frontrow.storage.store import FIRST_CHAIN, SCHEMA, SELECT_FRAME, TABLES, is_frame, link, sealed_tables

FRAMES_A_STEP = 64  # about 2 MB: some milliseconds
STRUCTURE_LINES = 20  # of SQLite's words; the first tell where, more say the same
# Where the number of the last frame cannot be read, the search ends after so many in a row that are not there.
PATIENCE = 20_000

Head = Sequence[int]  # a frame's (first_at, last_at, events)


class Verification:
    """Call :meth:`step` until it says that there is no more; what was found so far can be read at any time.

    ``frames`` and ``events`` count what was found whole, ``last`` is the last frame that is there, ``lost`` tells
    what is lost of the journal, in its order, and ``structure`` what is wrong elsewhere: what SQLite finds, in its
    words, and checksums of leads and alerts.
    """

    def __init__(self, path: Path, *, vfs: str | None = None) -> None:
        """Raises apsw.Error if the file cannot be opened at all."""
        self.frames = 0
        self.events = 0
        self.last = 0
        self.lost: list[Lost] = []
        self.structure: list[str] = []
        self._at: int | None = None  # the last time known of the frames before
        self._db = connect_to_read(path, vfs=vfs)
        self._steps = self._run()

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not self.lost and not self.structure

    def step(self) -> bool:
        """Look at a little more; return whether there is more."""
        return next(self._steps, False)

    def close(self) -> None:
        """Close the file; idempotent. A verification can be left at any time."""
        self._steps.close()
        self._db.close()

    def _run(self) -> Generator[bool, None, None]:
        # Table by table, since each check is one reading transaction, and as long as it lasts the WAL cannot shrink.
        # Not the frames' own: SQLite would read the same pages that their checksums are computed of.
        for table in TABLES:
            self.structure += quick_check(self._db, table)
            yield True
        for sealed in sealed_tables(self._version()):
            self.structure += integrity_check(self._db, sealed)
            yield True
            yield from self._rows_of(sealed)
        yield from self._journal()

    def _version(self) -> int:
        try:
            version: int = self._db.pragma("user_version")
        except UNREADABLE:
            return SCHEMA
        return version

    def _rows_of(self, table: SealedTable) -> Iterator[bool]:
        unfit = 0
        try:
            for rows in table.steps(self._db):
                unfit += sum(not fits for fits, _ in rows)
                yield True
        except UNREADABLE as error:
            self.structure.append(f"{table.name}: {error}")
        if unfit:
            self.structure.append(f"{table.name}: the checksum of {unfit:,} rows does not fit")

    def _journal(self) -> Iterator[bool]:
        last = self._last()
        seq, before, missed = 0, FIRST_CHAIN, 0
        while missed < PATIENCE if last is None else seq < last:
            end = seq + FRAMES_A_STEP
            for seq, row, reason in self._rows(seq + 1, end if last is None else min(end, last)):  # noqa: B020
                missed = 0 if row else missed + 1
                before = self._look(seq, row, reason, before)
            yield True
        if last is None:
            self._open_end()

    def _last(self) -> int | None:
        try:
            last: int = self._db.execute("SELECT max(seq) FROM frames").get or 0
        except UNREADABLE:
            return None
        return last

    def _rows(self, first: int, last: int) -> list[tuple[int, Any, str]]:
        """Return (number, row or None, why not) of the frames ``first`` to ``last``."""
        try:
            found = self._db.execute(f"{SELECT_FRAME} WHERE seq BETWEEN ? AND ?", (first, last)).fetchall()
        except UNREADABLE:
            return [self._row(seq) for seq in range(first, last + 1)]
        rows = {row[0]: row for row in found}
        return [_judged(seq, rows.get(seq)) for seq in range(first, last + 1)]

    def _row(self, seq: int) -> tuple[int, Any, str]:
        try:
            row = self._db.execute(f"{SELECT_FRAME} WHERE seq = ?", (seq,)).fetchone()
        except UNREADABLE as error:
            return seq, None, f"cannot be read ({error})"
        return _judged(seq, row)

    def _look(self, seq: int, row: Any, reason: str, before: bytes) -> bytes:
        """Judge one frame; return its chain, or nothing where that is not known."""
        if row is None:
            self._note(seq, "events", reason, self._head(seq))
            return b""
        self.last, first_at, last_at, events, crc, chain, facts, personal = row
        head = (first_at, last_at, events)
        torn = checksum(facts, personal) != crc
        follows = not before or link(before, (seq, *head), facts) == chain
        if torn and before and follows:
            self._note(seq, "names and texts", "the checksum does not fit", head)
        elif torn:
            self._note(seq, "events", "the checksum does not fit", head)
        elif not follows:
            self._note(seq, "events", "it is not the frame that followed the one before it", head)
        else:
            self.frames += 1
            self.events += events
            self._pass(head)
        found: bytes = chain
        return found

    def _head(self, seq: int) -> Head | None:
        """Return a frame's head, which may be whole where the pages of its blobs are not."""
        query = "SELECT first_at, last_at, events FROM frames WHERE seq = ?"
        try:
            head: Head | None = self._db.execute(query, (seq,)).fetchone()
        except UNREADABLE:
            return None
        return head if head is not None and all(type(value) is int for value in head) else None

    def _note(
        self, seq: int, part: Literal["events", "names and texts"], reason: str, head: Head | None
    ) -> None:
        if head is None:
            found = Lost(seq, seq, part, None, self._at, None, reason)
        else:
            found = Lost(seq, seq, part, head[2], head[0], head[1], reason)
            self._pass(head)
        before = self.lost[-1] if self.lost else None
        if (
            before is None
            or before.last != seq - 1
            or (before.part, before.reason, before.events is None) != (part, reason, found.events is None)
        ):
            self.lost.append(found)
        elif before.events is None or found.events is None:
            self.lost[-1] = replace(before, last=seq)
        else:
            self.lost[-1] = replace(
                before, last=seq, events=before.events + found.events, last_at=found.last_at
            )

    def _pass(self, head: Head) -> None:
        """Note the time of a frame whose head is known; what was lost before it ended by then."""
        if self.lost and self.lost[-1].last_at is None:
            self.lost[-1] = replace(self.lost[-1], last_at=head[0])
        self._at = head[1]

    def _open_end(self) -> None:
        """Make one of all that is lost at the end, since where the end was is not known."""
        tail: Lost | None = None
        while (
            self.lost
            and self.lost[-1].events is None
            and (tail is None or self.lost[-1].last == tail.first - 1)
        ):
            tail = self.lost.pop()
        if tail is not None:
            self.lost.append(replace(tail, last=None, last_at=None))


def _judged(seq: int, row: Any) -> tuple[int, Any, str]:
    if row is None:
        return seq, None, "is missing"
    return (seq, row, "") if is_frame(row) else (seq, None, "has lost some of its columns")


def quick_check(connection: apsw.Connection, table: str | None = None) -> list[str]:
    """Return what SQLite's own check finds wrong in a table, or in all of the file; nothing if it is sound."""
    about = f"'{table}'" if table else str(STRUCTURE_LINES)
    return _told(connection, f"quick_check({about})", f"{table}: " if table else "")


def integrity_check(connection: apsw.Connection, table: SealedTable) -> list[str]:
    """Return what SQLite's own check finds wrong in a table or between it and its indexes, which have no checksums."""
    return _told(connection, f"integrity_check('{table.name}')", f"{table.name}: ")


def _told(connection: apsw.Connection, pragma: str, where: str) -> list[str]:
    try:
        lines = [str(line) for (line,) in connection.execute(f"PRAGMA {pragma}")]
    except UNREADABLE as error:
        lines = [str(error)]
    return [f"{where}{line}" for line in lines[:STRUCTURE_LINES] if line != "ok"]
