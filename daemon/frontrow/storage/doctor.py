"""``frontrow doctor``: everything that is stored, looked at as a whole, and what to do where it is not sound.

It only reads, and may run beside a daemon. :func:`salvage` writes, but into a new store.
"""

import contextlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import msgspec

from frontrow.core.alerts import LeadAlert
from frontrow.core.errors import StoreDamaged, StoreUnusable
from frontrow.core.leads import Lead, LeadGrouped
from frontrow.storage import attic, vault
from frontrow.storage.damage import HOW_TO_RESTORE, Lost
from frontrow.storage.frames import Blobs, checksum, unpack
from frontrow.storage.rows import OUTBOX, SealedTable
from frontrow.storage.snapshots import Snapshots
from frontrow.storage.sqlite import UNREADABLE, connect, connect_to_read, explained
from frontrow.storage.store import (
    RETENTION,
    SCHEMA,
    SELECT_FRAME,
    Commit,
    Store,
    check_version,
    read_id,
    read_mark,
    sealed_tables,
)
from frontrow.storage.verify import Verification, integrity_check, quick_check

FRAMES_A_COMMIT = 64
SHOWN = 50  # lines about the journal; a broken disk may give thousands


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found. ``lost`` is of the journal; ``problems`` is what else is not sound; ``notes`` is what is."""

    path: Path
    lost: Sequence[Lost] = ()
    problems: Sequence[str] = ()
    notes: Sequence[str] = ()
    advice: str = ""
    frames: int = 0  # that are whole
    events: int = 0  # of them

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.lost and not self.problems

    def lines(self) -> list[str]:
        """Return all of it as lines to print."""
        shown = [f"  LOST     {lost}" for lost in self.lost[:SHOWN]]
        if len(self.lost) > SHOWN:
            shown.append(f"  LOST     and {len(self.lost) - SHOWN} more")
        return [
            f"{self.path}: {'sound' if self.sound else 'NOT SOUND'}",
            *(f"  ok       {note}" for note in self.notes),
            *shown,
            *(f"  problem  {problem}" for problem in self.problems),
            *([self.advice] if self.advice else []),
        ]


@dataclass(slots=True)
class _Findings:
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def examine(path: Path, *, vfs: str | None = None) -> Examination:
    """Read all of a store, its snapshots and its attic; never raises for what is wrong with them."""
    if vfs is None and not path.exists():
        return Examination(path, problems=["there is no such file; a daemon makes one when it starts"])
    try:
        db = connect_to_read(path, vfs=vfs)
    except apsw.Error as error:
        return Examination(path, problems=[f"cannot be opened ({error})"], advice=HOW_TO_RESTORE)
    found = _Findings()
    try:
        tables = sealed_tables(check_version(db, path))
        verification = _journal(path, db, found, vfs)
        lost = verification.lost
        _bodies(db, found, tables)
        worst = bool(lost or found.problems)
        _derived(path, db, found, vfs)
        if vfs is None:
            wrong, known = vault.examine(vault.path_beside(path))
            found.problems += wrong
            found.notes += known
    except (StoreDamaged, *UNREADABLE) as error:
        return Examination(path, problems=[*found.problems, str(error)], advice=HOW_TO_RESTORE)
    finally:
        db.close()
    advice = HOW_TO_RESTORE if worst else ""
    return Examination(
        path, lost, found.problems, found.notes, advice, verification.frames, verification.events
    )


def _journal(path: Path, db: apsw.Connection, found: _Findings, vfs: str | None) -> Verification:
    structure = quick_check(db)
    found.problems += [f"SQLite: {line}" for line in structure]
    if not structure:
        found.notes.append("SQLite finds its structure whole")
    verification = Verification(path, vfs=vfs)
    try:
        while verification.step():
            pass
    finally:
        verification.close()
    found.notes.append(f"{verification.frames:,} frames of {verification.events:,} events are whole")
    return verification


def _bodies(db: apsw.Connection, found: _Findings, tables: Sequence[SealedTable]) -> None:
    """Read leads, alerts and the like, in tables as this store has them."""
    for table, type in zip(tables, (Lead, LeadAlert, LeadGrouped), strict=False):
        decoder: Any = msgspec.json.Decoder(type)
        body = table.columns.index(table.body)
        count = bad = 0
        found.problems += integrity_check(db, table)
        try:
            for rows in table.steps(db):
                count += len(rows)
                bad += sum(not (fits and _can_be_decoded(decoder, row[body])) for fits, row in rows)
        except UNREADABLE as error:
            found.problems.append(f"{table.name}: cannot be read after {count:,} rows ({error})")
            continue
        if bad:
            found.problems.append(f"{table.name}: {bad:,} of {count:,} were changed or cannot be read back")
        else:
            found.notes.append(f"{count:,} rows of {table.name} can be read back")


def _can_be_decoded(decoder: Any, body: Any) -> bool:
    try:
        decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError):  # a torn row may have no body
        return False
    return True


def _derived(path: Path, db: apsw.Connection, found: _Findings, vfs: str | None) -> None:
    """Look at what only shortens a start. Where it is not sound, the next start passes it over."""
    snapshots = Snapshots.beside(path)
    for seq in snapshots.kept():
        if wrong := snapshots.examine(seq):
            found.problems.append(
                f"snapshot at frame {seq}: {wrong}; a start passes it over, nothing is lost"
            )
        else:
            fits = "" if read_mark(db, seq) is not None else ", of frames that this journal does not have"
            found.notes.append(f"snapshot at frame {seq}{fits}")
    loft = attic.path_beside(path)
    if loft.exists():
        wrong = attic.examine(loft, store=read_id(db), vfs=vfs)
        if wrong:
            found.problems.append(
                f"{loft.name}: {wrong}; a start empties it and reads the journal, nothing is lost"
            )
        else:
            found.notes.append(f"{loft.name}: idle viewers' rows are whole")


def salvage(path: Path, to: Path) -> tuple[int, int]:
    """Write all that can still be read of a store into a new one at ``to``; return (frames, events) written.

    Frames are numbered anew, without gaps; one whose names and texts alone are lost comes without them. Everything
    else comes as it is, but leads and alerts whose checksum does not fit: leads with their frame, or with the next
    that is there.

    Raises:
        StoreUnusable: There is a file at ``to`` already, or it cannot be written.
        StoreDamaged: Nothing at all can be read.
    """
    if to.exists():
        raise StoreUnusable(f"{to} exists already; what is salvaged goes into a new file")
    try:
        db = connect_to_read(path)
    except apsw.Error as error:
        raise StoreDamaged(f"{path}: cannot be opened ({error})") from error
    try:
        tables = sealed_tables(check_version(db, path))
        numbers = _salvage_frames(path, db, to)
        _salvage_tables(db, to, numbers, tables)
    except UNREADABLE as error:
        raise StoreDamaged(f"{path}: nothing can be read ({error})") from error
    finally:
        db.close()
    return len(numbers), sum(numbers.values())


def _salvage_frames(path: Path, db: apsw.Connection, to: Path) -> dict[int, int]:
    """Copy the frames; return by their old numbers how many events each has."""
    verification = Verification(path)
    try:
        while verification.step():
            pass
    finally:
        verification.close()
    lost = _Lost(verification.lost)
    copied: dict[int, int] = {}
    commits: list[Commit] = []
    store = Store.open(to)
    try:
        for seq in range(1, verification.last + 1):
            part = lost.part(seq)
            if part == "events":
                continue
            _, _, _, events, crc, _, facts, personal = db.execute(f"{SELECT_FRAME} WHERE seq = ?", (seq,)).get
            if part is not None:
                personal, crc = b"", checksum(facts, b"")
            commits.append(Commit(unpack(Blobs(facts, personal, crc), where=f"frame {seq}"), (), (), 0))
            copied[seq] = events
            if len(commits) == FRAMES_A_COMMIT:
                store.append(commits)
                commits.clear()
        store.append(commits)
    finally:
        store.close()
    return copied


def _salvage_tables(
    db: apsw.Connection, to: Path, numbers: dict[int, int], tables: Sequence[SealedTable]
) -> None:
    old = sorted(numbers)
    new = connect(to)
    try:
        for table, present in zip(tables, sealed_tables(SCHEMA), strict=False):
            into = f"{table.name} ({', '.join((*present.columns, 'crc'))})"
            with new:
                for row in _sound(db, table):
                    if present is not OUTBOX:
                        row[1] = min(bisect_left(old, row[1]) + 1, len(old))
                    if len(row) < len(present.columns):  # a lead of before, when none had a place
                        row.append(-1)
                    _insert(new, into, [*row, present.seal(row)])
        for name in ("messages", "positions", "tokens"):
            columns = [column for _, column, *_ in db.execute(f"PRAGMA table_info({name})")]
            with new:
                for values in _readable(db, name, columns):
                    _insert(new, f"{name} ({', '.join(columns)})", values)
        with new:
            new.execute("DELETE FROM positions WHERE feed GLOB ?", (f"{RETENTION}*",))  # of the old numbers
    except apsw.Error as error:
        raise explained(error, to) from error
    finally:
        new.close()


def _insert(db: apsw.Connection, into: str, row: Sequence[Any]) -> None:
    with contextlib.suppress(apsw.ConstraintError):  # a torn row: some columns, or others
        db.execute(f"INSERT INTO {into} VALUES ({', '.join('?' * len(row))})", row)


def _sound(db: apsw.Connection, table: SealedTable) -> Iterator[list[Any]]:
    """Return the rows of a table that are as they were written, up to where it cannot be read."""
    with contextlib.suppress(*UNREADABLE):
        for rows in table.steps(db):
            for fits, row in rows:
                with contextlib.suppress(UnicodeDecodeError):
                    if fits and type(row[1]) is (bytes if table.columns[1] in table.texts else int):
                        yield table.as_stored(row)


def _readable(db: apsw.Connection, table: str, columns: Sequence[str]) -> list[Any]:
    """Return some columns of a table's rows up to where it cannot be read; none where it is of a schema without them."""
    present = {column for _, column, *_ in db.execute(f"PRAGMA table_info({table})")}
    rows: list[Any] = []
    if present.issuperset(columns):
        with contextlib.suppress(UnicodeDecodeError, *UNREADABLE):
            rows.extend(db.execute(f"SELECT {', '.join(columns)} FROM {table}"))
    return rows


class _Lost:
    """Finds what is lost of a frame, by its number."""

    def __init__(self, lost: Sequence[Lost]) -> None:
        self._lost = lost
        self._firsts = [each.first for each in lost]

    def part(self, seq: int) -> str | None:
        index = bisect_right(self._firsts, seq) - 1
        if index < 0:
            return None
        found = self._lost[index]
        return found.part if found.last is None or seq <= found.last else None
