"""The store: journal, leads, outbox, tokens and positions in one SQLite file.

Synchronous and for one thread; :mod:`frontrow.storage.aio` puts it behind asyncio. WAL with ``synchronous=FULL``:
when a commit returns, it is on the disk. There is no setting that turns this off, and a file system or VFS on which it
would not be in force is refused. What happens after a failed commit is told in :mod:`frontrow.storage.sqlite`.

Every frame carries two checks. ``crc`` is over its two blobs and finds a torn or changed page. ``chain`` is a hash of
the frame's facts, its numbers and the chain before it: it finds a frame that is lost, exchanged or of another history,
and one frame's chain names all that came before it, so that a snapshot can say of which journal it is. Personal fields
are not in the chain, since they may be destroyed. Leads, what is found of them, and alerts have checksums of
:mod:`frontrow.storage.rows`.
"""

import hashlib
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain as chain_
from itertools import repeat, takewhile
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import msgspec

from frontrow.core.alerts import LeadAlert
from frontrow.core.errors import StoreDamaged, StoreUnusable
from frontrow.core.frames import Frame
from frontrow.core.leads import Lead, LeadGrouped
from frontrow.core.letters import Letter, State
from frontrow.storage.damage import HOW_TO_RESTORE
from frontrow.storage.folder import make_private
from frontrow.storage.frames import Blobs, may, pack, repack, span, unpack
from frontrow.storage.rows import (
    GROUPED,
    LEADS,
    LEADS_UNPLACED,
    LEADS_UNSEALED,
    LEADS_UNSEALED_PLACE,
    OUTBOX,
    OUTBOX_UNSEALED,
    SealedTable,
    alert_seal,
    grouped_seal,
    lead_seal,
    seal_all,
    seal_positions,
    standing_seal,
)
from frontrow.storage.sqlite import Writer, connect, connect_to_read

SCHEMA = 6
UNSEALED = (
    2  # the schema of a store whose leads and alerts have no checksums yet; they get them when it is opened
)
UNPLACED = 3  # whose leads do not say behind which event of their frame they were made, and whose tokens name no seller
UNSEALED_PLACES = 4  # whose leads say so, and have checksums over all but that
UNGROUPED = 5  # which does not keep whose viewers were found to be one of a group
APPLICATION_ID = 0x46524F57  # "FROW": what `file` and a careful operator see
CHAIN_BYTES = 16
# The WAL is copied into the file when it has so many pages (4 MB). Measured on commits of 8 frames of 1,024 events: a
# commit takes 1 ms and the copying 15 to 20 ms, once in twenty commits. With 4,000 pages it takes 45 ms for the same
# total, and a thread of its own costs half as much processor time again to save 6 ms of the longest wait.
CHECKPOINT_PAGES = 1_000

_TABLES = """
CREATE TABLE store (id BLOB NOT NULL) STRICT;
INSERT INTO store VALUES (randomblob(16));
CREATE TABLE frames (
  seq INTEGER PRIMARY KEY,
  first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, events INTEGER NOT NULL,
  crc INTEGER NOT NULL, chain BLOB NOT NULL,
  facts BLOB NOT NULL, personal BLOB NOT NULL
) STRICT;
CREATE TABLE leads (
  lead TEXT PRIMARY KEY, seq INTEGER NOT NULL REFERENCES frames(seq),
  platform TEXT NOT NULL, room TEXT NOT NULL, session TEXT NOT NULL, viewer TEXT NOT NULL,
  decided_at INTEGER NOT NULL, body BLOB NOT NULL, crc INTEGER NOT NULL DEFAULT 0,
  position INTEGER NOT NULL DEFAULT -1,
  UNIQUE (platform, room, session, viewer)
) STRICT, WITHOUT ROWID;
CREATE INDEX leads_by_time ON leads (decided_at DESC, lead);
CREATE INDEX leads_by_frame ON leads (seq);
CREATE TABLE outbox (
  id INTEGER PRIMARY KEY, sink TEXT NOT NULL, key TEXT NOT NULL, alert BLOB NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'dead')),
  created_at INTEGER NOT NULL, due_at INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
  settled_at INTEGER, error TEXT NOT NULL DEFAULT '', crc INTEGER NOT NULL DEFAULT 0,
  UNIQUE (sink, key)
) STRICT;
CREATE INDEX outbox_due ON outbox (sink, due_at) WHERE state = 'pending';
CREATE TABLE messages (
  id INTEGER PRIMARY KEY, sink TEXT NOT NULL, at INTEGER NOT NULL, alerts INTEGER NOT NULL
) STRICT;
CREATE INDEX messages_by_time ON messages (sink, at);
CREATE TABLE positions (feed TEXT PRIMARY KEY, position TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE tokens (
  id TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, role TEXT NOT NULL, room TEXT, label TEXT NOT NULL,
  created_at INTEGER NOT NULL, expires_at INTEGER, revoked_at INTEGER, seller TEXT
) STRICT, WITHOUT ROWID;
"""
_GROUPED = """
CREATE TABLE grouped (
  id INTEGER PRIMARY KEY, seq INTEGER NOT NULL REFERENCES frames(seq), position INTEGER NOT NULL,
  body BLOB NOT NULL, crc INTEGER NOT NULL
) STRICT;
CREATE INDEX grouped_by_frame ON grouped (seq);
"""


def _made_fit(connection: apsw.Connection, path: Path) -> None:
    """Bring a store to this version's schema.

    Raises:
        StoreDamaged: It is another's or damaged; a header that lets nobody write is found here, not at the first commit.
    """
    migrate(connection, path)
    if connection.readonly("main") and os.access(path, os.W_OK):
        raise StoreDamaged(
            f"{path}: its header does not let it be written, though the file may be. {HOW_TO_RESTORE}"
        )


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert to be sent: to which sink, under which key (unique per sink), and what it says."""

    sink: str
    key: str
    alert: LeadAlert


@dataclass(frozen=True, slots=True)
class Commit:
    """What becomes durable together. ``at`` is wall-clock time, UTC milliseconds.

    ``positions`` are those of the events behind which the leads were made, and ``grouped`` what else became of leads,
    as :class:`frontrow.core.engine.Effects` has them.
    """

    frame: Frame
    leads: Sequence[Lead]
    alerts: Sequence[Alert]
    at: int
    positions: Sequence[int] = ()
    grouped: Sequence[tuple[int, LeadGrouped]] = ()


TABLES = ("store", "leads", "outbox", "messages", "positions", "tokens")  # beside the frames
RETENTION = "retention:"  # places that begin with it are of this file's frames: a copy that numbers them anew has none
FIRST_CHAIN = bytes(CHAIN_BYTES)
SELECT_FRAME = "SELECT seq, first_at, last_at, events, crc, chain, facts, personal FROM frames"
_INSERT_FRAME = "INSERT INTO frames VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_LEAD = "INSERT INTO leads VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_INSERT_GROUPED = "INSERT INTO grouped (seq, position, body, crc) VALUES (?, ?, ?, ?)"
_INSERT_ALERT = (
    "INSERT INTO outbox (sink, key, alert, created_at, state, due_at, attempts, settled_at, error, crc)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_SELECT_STANDING = (
    "SELECT state, due_at, attempts, settled_at, error, crc FROM outbox WHERE id = ? AND state = 'pending'"
)
_SELECT_DEAD = _SELECT_STANDING.replace("'pending'", "'dead'")
_SELECT_LETTER = (
    "SELECT id, sink, key, alert, state, created_at, due_at, attempts, settled_at, error FROM outbox"
)
_UPDATE_STANDING = (
    "UPDATE outbox SET state = ?, due_at = ?, attempts = ?, settled_at = ?, error = ?, crc = ? WHERE id = ?"
)
_HEAD = struct.Struct("<4q")
_MAX_ID = (1 << 63) - 1  # what SQLite takes for a number

_json = msgspec.json.Encoder()
_lead_decoder = msgspec.json.Decoder(Lead)
_grouped_decoder = msgspec.json.Decoder(LeadGrouped)
_alert_decoder = msgspec.json.Decoder(LeadAlert)


class Store:
    """One open store. Every method is one transaction, or reads one state.

    What writes raises :class:`CommitFailed` if it fails, and from then on whatever would write does: the daemon must
    end. A new start finds what was acknowledged, whole.
    """

    def __init__(self, connection: apsw.Connection, path: Path) -> None:
        self._db = connection
        self._writer = Writer(connection, path, checkpoint_pages=CHECKPOINT_PAGES)
        self.path = path
        self._seq, self._chain = self._tail()

    @classmethod
    def open(cls, path: Path, *, create: bool = True, vfs: str | None = None) -> "Store":
        """Open a store, making it (and its folder) where ``create`` says so and there is none.

        The file and its folder are made for their owner alone: they hold what viewers said. ``vfs`` names a
        registered SQLite VFS to open it with, in place of the machine's; the file is then the VFS's to make.

        Checked each time: that SQLite can read the file and its schema, that it is a store of this version, that
        commits will be durable, and the checksums of the last frame. All else is :mod:`frontrow.storage.doctor`'s.

        Raises:
            StoreDamaged: The file is not a store of ours, is of another version, or is found damaged.
            StoreUnusable: It cannot be opened for writing (a folder, no right, no room), or not durably.
            FileNotFoundError: There is none and ``create`` is false.
        """
        if vfs is None:
            if not create and not path.exists():
                raise FileNotFoundError(path)
            _make(path)
        return cls._opened(path, lambda: connect(path, vfs=vfs), _made_fit, "opened for writing")

    @classmethod
    def open_to_read(cls, path: Path) -> "Store":
        """Open a store that is there, of this schema or one before, to read its journal; nothing is changed in it.

        Raises:
            StoreDamaged: The file is not a store of ours, is of another version, or is found damaged.
            StoreUnusable: It cannot be opened.
        """
        return cls._opened(path, lambda: connect_to_read(path), check_version, "opened")

    @classmethod
    def _opened(
        cls,
        path: Path,
        connected: Callable[[], apsw.Connection],
        fit: Callable[[apsw.Connection, Path], object],
        what: str,
    ) -> "Store":
        try:
            connection = connected()
            try:
                fit(connection, path)
                return cls(connection, path)
            except BaseException:
                connection.close()
                raise
        except (apsw.NotADBError, apsw.CorruptError) as error:
            raise StoreDamaged(f"{path}: SQLite cannot read it ({error}). {HOW_TO_RESTORE}") from error
        except apsw.Error as error:
            raise StoreUnusable(f"{path}: cannot be {what} ({error}); see [storage] path") from error

    def settle(self, *, vfs: str | None = None) -> None:
        """Make all that the store has been found to hold truly durable; for the daemon, before it builds on it.

        After a failed fsync and a restart, the system may still show a commit that never reached the disk; a loss of
        power would take it later, and with it what was committed behind it. So everything is written anew, and synced.
        ``vfs`` is that of :meth:`open`.

        Raises:
            CommitFailed: That cannot be done.
        """
        self._writer.settle(vfs=vfs)

    def close(self) -> None:
        """Close the file; idempotent."""
        self._db.close()

    # ------------------------------------------------------------------ journal

    @property
    def seq(self) -> int:
        """The number of the last durable frame; 0 before the first."""
        return self._seq

    @property
    def id(self) -> bytes:
        """What tells this store from every other; a copy of the file has it too."""
        return read_id(self._db)

    def mark(self, seq: int) -> bytes | None:
        """Return what names this journal up to frame ``seq``, or None if it has no such frame.

        Two journals have the same mark only if they are the same up to there: a store that was restored from a backup
        and has gone on otherwise gives another.
        """
        return read_mark(self._db, seq)

    def append(self, commits: Sequence[Commit]) -> int:
        """Make frames durable, each with its leads, what was found of leads, and alerts, in one transaction; return the last frame's number.

        A lead or an alert that is there already stays as it is: one lead per viewer and session, one alert per lead
        and sink, even if the policy was changed between two runs and decides the same lead anew.

        Raises:
            CommitFailed: It is not acknowledged, and the store takes no more: the daemon must end.
        """
        seq, chain = self._seq, self._chain
        leads: list[tuple[Any, ...]] = []
        alerts: list[tuple[Any, ...]] = []
        grouped: list[tuple[Any, ...]] = []
        with self._writer.transaction() as db:
            for commit in commits:
                seq += 1
                head = (seq, *span(commit.frame), len(commit.frame))
                blobs = pack(commit.frame)
                chain = link(chain, head, blobs.facts)
                db.execute(_INSERT_FRAME, (*head, blobs.crc, chain, blobs.facts, blobs.personal))
                positions = chain_(commit.positions, repeat(-1))
                leads += [_lead_row(lead, seq, at) for lead, at in zip(commit.leads, positions, strict=False)]
                alerts += [_alert_row(alert, commit.at) for alert in commit.alerts]
                grouped += [_grouped_row(seq, at, each) for at, each in commit.grouped]
            if leads:
                db.executemany(_INSERT_LEAD, leads)
            if alerts:
                db.executemany(_INSERT_ALERT, alerts)
            if grouped:
                db.executemany(_INSERT_GROUPED, grouped)
        self._seq, self._chain = seq, chain
        self._writer.checkpoint_if_due()
        return seq

    def frames(self, after: int = 0) -> Iterator[tuple[int, Frame]]:
        """Return the frames after ``after`` with their numbers, in order, each one's checksums checked.

        Raises:
            StoreDamaged: A frame is missing or its bytes have changed; it is named by number.
        """
        expected = after + 1
        chain = self._chain_at(after)
        # In slices, so that no read transaction stays open while the caller works: it would keep the WAL from
        # shrinking.
        while True:
            try:
                rows: list[Any] = self._db.execute(
                    f"{SELECT_FRAME} WHERE seq >= ? ORDER BY seq LIMIT 64", (expected,)
                ).fetchall()
            except apsw.CorruptError as error:
                raise self._damaged(
                    f"frame {expected} or one soon after it cannot be read ({error})"
                ) from error
            if not rows:
                return
            for row in rows:
                if row[0] != expected:
                    raise self._damaged(f"frame {expected} is missing")
                yield expected, self._unpacked(row, chain)
                chain = row[5]
                expected += 1

    def frames_with(self, kind: str, after: int = 0) -> Iterator[tuple[int, Frame]]:
        """Return of the frames after ``after`` those with an event of a kind, in order; for a kind that few frames have.

        An eighth of the work of reading them all. Their checksums are checked, all others' not.

        Raises:
            StoreDamaged: As :meth:`frames`.
        """
        return self.frames_that(lambda facts: kind.encode() in facts, after)

    def frames_that(
        self, may_concern: Callable[[bytes], bool], after: int = 0
    ) -> Iterator[tuple[int, Frame]]:
        """Return of the frames after ``after`` those of whose facts ``may_concern`` says yes; as :meth:`frames_with`."""
        expected = after + 1
        while rows := self._facts_from(expected, 64):
            for seq, facts in rows:
                if may(facts, may_concern):
                    yield next(self.frames(after=seq - 1))
            expected = rows[-1][0] + 1

    def _facts_from(self, first: int, limit: int, before: int | None = None) -> list[Any]:
        """Return (number, facts) of frames from ``first`` on, up to one that does not end ``before`` a time (UTC ms)."""
        try:
            rows: list[Any] = self._db.execute(
                "SELECT seq, facts, last_at FROM frames WHERE seq >= ? ORDER BY seq LIMIT ?", (first, limit)
            ).fetchall()
        except apsw.CorruptError as error:
            raise self._damaged(f"frame {first} or one soon after it cannot be read ({error})") from error
        ending = takewhile(lambda row: before is None or row[2] < before, rows)
        return [(seq, facts) for seq, facts, _ in ending]

    def _unpacked(self, row: Sequence[Any], before: bytes) -> Frame:
        if not is_frame(row):
            raise self._damaged(f"frame {row[0]} has lost some of its columns")
        seq, first_at, last_at, events, crc, chain, facts, personal = row
        try:
            frame = unpack(Blobs(facts, personal, crc), where=f"frame {seq}")
        except StoreDamaged as error:
            raise self._damaged(str(error)) from error
        if link(before, (seq, first_at, last_at, events), facts) != chain:
            raise self._damaged(f"frame {seq} does not follow the frame before it: one of them was exchanged")
        return frame

    def _tail(self) -> tuple[int, bytes]:
        """Return the last frame's number and chain, once it has been found whole."""
        row = self._db.execute(f"{SELECT_FRAME} ORDER BY seq DESC LIMIT 1").fetchone()
        if row is None:
            return 0, FIRST_CHAIN
        self._unpacked(row, self._chain_at(row[0] - 1))
        return row[0], row[5]

    def _chain_at(self, seq: int) -> bytes:
        if seq == 0:
            return FIRST_CHAIN
        row = self._db.execute("SELECT chain FROM frames WHERE seq = ?", (seq,)).fetchone()
        if row is None:
            raise self._damaged(f"frame {seq} is missing")
        chain: bytes = row[0]
        return chain

    def _damaged(self, what: str) -> StoreDamaged:
        return StoreDamaged(f"{self.path}: {what}. {HOW_TO_RESTORE}")

    # ------------------------------------------------------------------ what is personal

    def rewrite_personal(
        self,
        after: int,
        limit: int,
        rest_of: Callable[[Frame], Frame | None],
        *,
        may_concern: Callable[[bytes], bool] = lambda _facts: True,
        before: int | None = None,
        place: str = "",
    ) -> tuple[int, int]:
        """Look at up to ``limit`` frames after ``after``, and keep of each only what ``rest_of`` gives; None: all of it.

        Only the personal half is written, and its checksum: facts and chain stay as they are. It keeps its length,
        which SQLite writes where the old one lies: nothing of that stays in the file. ``may_concern`` sorts out by a
        frame's facts, not compressed. Frames from the first that does not end ``before`` a time (UTC ms) are left.
        The last one is noted under ``place``, for :meth:`place`, in the same transaction.

        Returns:
            The number of the last frame that was looked at, ``after`` if there was none, and how many were changed.

        Raises:
            StoreDamaged: A frame cannot be read.
            CommitFailed: It is not certain what was changed; do it again with an open store.
        """
        rows = self._facts_from(after + 1, limit, before)
        if not rows:
            return after, 0
        changed: list[tuple[bytes, int, int]] = []
        for seq, facts in rows:
            if may(facts, may_concern):
                rest = rest_of(next(self.frames(after=seq - 1))[1])
                if rest is not None:
                    blobs = repack(facts, rest, self._length_of(seq))
                    changed.append((blobs.personal, blobs.crc, seq))
        last: int = rows[-1][0]
        if changed or place:
            with self._writer.transaction() as db:
                db.executemany("UPDATE frames SET personal = ?, crc = ? WHERE seq = ?", changed)
                if place:
                    db.execute("INSERT OR REPLACE INTO positions VALUES (?, ?)", (place, str(last)))
            self._writer.checkpoint_if_due()
        return last, len(changed)

    def _length_of(self, seq: int) -> int:
        length: int = self._db.execute("SELECT length(personal) FROM frames WHERE seq = ?", (seq,)).get
        return length

    def place(self, name: str) -> int:
        """Return the number of the frame that :meth:`rewrite_personal` has noted under a name; 0: none yet."""
        found = self._db.execute("SELECT position FROM positions WHERE feed = ?", (name,)).fetchone()
        return 0 if found is None else int(found[0])

    def rewrite_alerts(
        self,
        after: int,
        limit: int,
        rest_of: Callable[[LeadAlert, int], LeadAlert | None],
        *,
        at: int,
        error: str,
    ) -> tuple[int, int]:
        """Look at up to ``limit`` alerts with ids after ``after``, and keep of each what ``rest_of`` gives; None: all of it.

        It is given the alert and when it was made (UTC ms). One that was pending is not sent any more: it is a dead
        letter from ``at`` on, with ``error``. Returns and raises as :meth:`rewrite_personal`.
        """
        rows: list[Any] = self._db.execute(
            "SELECT id, sink, key, alert, created_at, crc FROM outbox WHERE id > ? ORDER BY id LIMIT ?",
            (after, limit),
        ).fetchall()
        if not rows:
            return after, 0
        changed: list[tuple[bytes, int, int]] = []
        for id, sink, key, body, created_at, crc in rows:
            try:
                alert = _alert_decoder.decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue  # nobody can read it any more; the doctor names it
            rest = rest_of(alert, created_at)
            if rest is not None:
                new = _json.encode(rest).ljust(
                    len(body)
                )  # of one length, it is written where the old one lies
                seals = alert_seal(sink, key, body, created_at) ^ alert_seal(sink, key, new, created_at)
                changed.append((new, crc ^ seals, id))
        if changed:
            with self._writer.transaction() as db:
                db.executemany("UPDATE outbox SET alert = ?, crc = ? WHERE id = ?", changed)
                dead = _Standing("dead", due_at=at, attempts=0, settled_at=at, error=error)
                _change(db, [id for _, _, id in changed], lambda old: dead._replace(attempts=old.attempts))
            self._writer.checkpoint_if_due()
        return rows[-1][0], len(changed)

    def empty_wal(self) -> bool:
        """Copy the WAL, where pages lie as they were, into the file; False if somebody reads it at this moment.

        Raises:
            CommitFailed: It failed.
        """
        return self._writer.empty_wal()

    # ------------------------------------------------------------------ leads

    def leads_of(self, platform: str, viewer: str) -> list[Lead]:
        """Return all leads of a platform's viewer, oldest first; reads the whole table."""
        rows = self._db.execute(
            "SELECT body FROM leads WHERE platform = ? AND viewer = ? ORDER BY decided_at, lead",
            (platform, viewer),
        )
        return [_lead_decoder.decode(body) for (body,) in rows]

    def viewers_of_leads(self) -> Iterator[tuple[str, str, str]]:
        """Return (lead, platform, viewer) of all leads."""
        rows: Iterator[tuple[str, str, str]] = self._db.execute("SELECT lead, platform, viewer FROM leads")
        return rows

    def alerts_of(self, platform: str, viewer: str) -> list[tuple[str, str, int, LeadAlert]]:
        """Return (sink, state, created_at, alert) of all alerts about a platform's viewer; reads the whole table."""
        rows = self._db.execute(
            "SELECT sink, state, created_at, alert FROM outbox WHERE instr(alert, ?) ORDER BY id",
            (_json.encode(viewer)[1:-1],),
        )
        found = [(sink, state, at, _alert_decoder.decode(body)) for sink, state, at, body in rows]
        return [row for row in found if (row[3].platform, row[3].viewer) == (platform, viewer)]

    def leads(
        self, *, key: tuple[str, str] | None, after: tuple[int, str] | None = None, limit: int
    ) -> list[Lead]:
        """Return leads, newest first: of the room (platform, room) ``key``, or of all rooms (None).

        ``after`` is the (``decided_at``, ``lead``) of the last one that the caller has already.
        """
        clauses: list[str] = []
        values: list[Any] = []
        if key is not None:
            clauses.append("platform = ? AND room = ?")
            values += key
        if after is not None:
            clauses.append("(decided_at < ? OR (decided_at = ? AND lead > ?))")
            values += (after[0], after[0], after[1])
        where = f"WHERE {' AND '.join(clauses)} " if clauses else ""
        rows = self._db.execute(
            f"SELECT body FROM leads {where}ORDER BY decided_at DESC, lead LIMIT ?", (*values, limit)
        )
        return [_lead_decoder.decode(body) for (body,) in rows]

    def leads_made(self, after: int, until: int) -> dict[int, list[tuple[int, Lead]]]:
        """Return the leads that frames made after frame ``after`` up to ``until``: by frame, each with the position of the
        event behind which it was made, in the order of their making."""
        found: dict[int, list[tuple[int, Lead]]] = {}
        rows = self._db.execute(
            "SELECT seq, position, body FROM leads WHERE seq > ? AND seq <= ?", (after, until)
        )
        for seq, position, body in rows:
            found.setdefault(seq, []).append((position, _lead_decoder.decode(body)))
        for made in found.values():
            made.sort(key=made_order)
        return found

    def grouped(self, after: int, until: int) -> dict[int, list[tuple[int, LeadGrouped]]]:
        """Return what was found in frames after frame ``after`` up to ``until`` of viewers who had a lead: by frame, each with the position
        of the event behind which it was found, in order."""
        found: dict[int, list[tuple[int, LeadGrouped]]] = {}
        rows = self._db.execute(
            "SELECT seq, position, body FROM grouped WHERE seq > ? AND seq <= ? ORDER BY id", (after, until)
        )
        for seq, position, body in rows:
            found.setdefault(seq, []).append((position, _grouped_decoder.decode(body)))
        return found

    # ------------------------------------------------------------------ outbox

    def outbox_add(self, alerts: Sequence[tuple[Alert, int]]) -> None:
        """Put alerts into the outbox, each made at a time (UTC ms); one that is there already, by sink and key, stays as it is."""
        with self._writer.transaction() as db:
            db.executemany(_INSERT_ALERT, [_alert_row(alert, at) for alert, at in alerts])

    def outbox_due(self, sink: str, now: int, limit: int) -> list[tuple[int, str, LeadAlert, int, int]]:
        """Return (id, key, alert, created_at, attempts) of what is due for a sink, oldest first.

        What is sent again counts as created when that was asked for.
        """
        rows = self._db.execute(
            "SELECT id, key, alert, coalesce(settled_at, created_at), attempts FROM outbox"
            " WHERE sink = ? AND state = 'pending' AND due_at <= ? ORDER BY due_at, id LIMIT ?",
            (sink, now, limit),
        )
        return [
            (id, key, _alert_decoder.decode(body), created, tries) for id, key, body, created, tries in rows
        ]

    def outbox_next(self, sink: str) -> int | None:
        """Return when the next pending alert of a sink is due (UTC ms), or None if nothing is pending."""
        row = self._db.execute(
            "SELECT min(due_at) FROM outbox WHERE sink = ? AND state = 'pending'", (sink,)
        ).fetchone()
        return row[0] if row else None

    def outbox_begun(self, sink: str, ids: Sequence[int], at: int) -> None:
        """Note that one message with these alerts is about to go out: one more attempt of each, one more message."""
        with self._writer.transaction() as db:
            _change(db, ids, lambda old: old._replace(attempts=old.attempts + 1))
            db.execute("INSERT INTO messages (sink, at, alerts) VALUES (?, ?, ?)", (sink, at, len(ids)))

    def outbox_begun_since(self, sink: str, since: int) -> list[int]:
        """Return when messages to a sink were begun at ``since`` or later (UTC ms), oldest first; forgets older notes."""
        with self._writer.transaction() as db:
            db.execute("DELETE FROM messages WHERE sink = ? AND at < ?", (sink, since - 3_600_000))
            rows: list[Any] = db.execute(
                "SELECT at FROM messages WHERE sink = ? AND at >= ? ORDER BY at", (sink, since)
            ).fetchall()
        return [at for (at,) in rows]

    def outbox_told_since(self, sink: str, since: int) -> list[tuple[str, int]]:
        """Return (``to.seller``, when) of what was sent to one person at ``since`` or later (UTC ms).

        Looked for among the last 10,000 rows of all sinks, so that no start waits for a table of millions.
        """
        rows = self._db.execute(
            "SELECT settled_at, alert FROM outbox WHERE id > (SELECT max(id) FROM outbox) - 10000"
            " AND +sink = ? AND state = 'sent' AND settled_at >= ?",
            (sink, since),
        )
        alerts = [(at, _alert_decoder.decode(body)) for at, body in rows]
        return [(alert.to.seller, at) for at, alert in alerts if alert.to is not None]

    def outbox_times(self, since: int, until: int) -> list[tuple[int, str, int | None]]:
        """Return (created_at, state, settled_at) of alerts made at ``since`` or later and before ``until`` (UTC ms).

        Looked for among the last 100,000 rows of all sinks: about a tenth of a second of this thread's time.
        """
        rows: list[Any] = self._db.execute(
            "SELECT created_at, state, settled_at FROM outbox WHERE id > (SELECT max(id) FROM outbox) - 100000"
            " AND created_at >= ? AND created_at < ?",
            (since, until),
        ).fetchall()
        return rows

    def outbox_delivered(self, ids: Sequence[int], at: int, receipt: str = "") -> None:
        """Keep the receipts of alerts that a receiver has taken, with the id that it gave the message."""
        self._settle(ids, "sent", at, receipt)

    def outbox_dead(self, ids: Sequence[int], at: int, error: str) -> None:
        """Put alerts among the dead letters, with the reason."""
        self._settle(ids, "dead", at, error)

    def outbox_postpone(self, ids: Sequence[int], due_at: int, error: str) -> None:
        """Let pending alerts wait until ``due_at``, and keep why."""
        with self._writer.transaction() as db:
            _change(db, ids, lambda old: old._replace(due_at=due_at, error=error))

    def _settle(self, ids: Sequence[int], state: str, at: int, error: str) -> None:
        with self._writer.transaction() as db:
            _change(db, ids, lambda old: old._replace(state=state, settled_at=at, error=error))

    def letters(
        self, *, state: State | None, sink: str | None, before: int | None, limit: int
    ) -> list[Letter]:
        """Return what is and was in the outbox, newest first: in one state and for one sink, or (None) in all.

        ``before`` is the number of the last one that the caller has already.
        """
        asked = {
            "state = ?": state,
            "sink = ?": sink,
            "id < ?": None if before is None else min(before, _MAX_ID),
        }
        clauses = [clause for clause, value in asked.items() if value is not None]
        where = f" WHERE {' AND '.join(clauses)}" if clauses else ""
        values = [value for value in asked.values() if value is not None]
        rows = self._db.execute(f"{_SELECT_LETTER}{where} ORDER BY id DESC LIMIT ?", (*values, limit))
        return [_letter(row) for row in rows]

    def letter(self, id: int) -> Letter | None:
        """Return one alert of the outbox and where it stands, or None."""
        if id > _MAX_ID:
            return None
        row = self._db.execute(f"{_SELECT_LETTER} WHERE id = ?", (id,)).fetchone()
        return None if row is None else _letter(row)

    def outbox_again(self, id: int, at: int) -> bool:
        """Let a dead letter be due at ``at``, as if made then and never tried; return whether it was a dead one.

        Its last reason stays until there is another.
        """
        with self._writer.transaction() as db:
            return _change(
                db,
                [id],
                lambda old: old._replace(state="pending", due_at=at, attempts=0, settled_at=at),
                select=_SELECT_DEAD,
            )

    def outbox_depth(self) -> dict[str, tuple[int, int, int | None]]:
        """Return per sink: pending alerts, dead letters, and when the oldest pending one was made (UTC ms)."""
        rows = self._db.execute(
            "SELECT sink, sum(state = 'pending'), sum(state = 'dead'),"
            " min(CASE state WHEN 'pending' THEN created_at END) FROM outbox GROUP BY sink"
        )
        return {sink: (pending, dead, oldest) for sink, pending, dead, oldest in rows}

    # ------------------------------------------------------------------ tokens

    def position(self, feed: str) -> str | None:
        """Return where a feed went on to, in its own words; None if it has kept nothing."""
        row = self._db.execute("SELECT position FROM positions WHERE feed = ?", (feed,)).fetchone()
        return row[0] if row else None

    def keep_position(self, feed: str, position: str) -> None:
        """Keep where a feed is to go on from. To be called once all that came before it is durable."""
        with self._writer.transaction() as db:
            db.execute("INSERT OR REPLACE INTO positions VALUES (?, ?)", (feed, position))

    def token_add(self, row: dict[str, Any]) -> None:
        """Keep a token: ``id, hash, role, room, label, created_at, expires_at, seller``."""
        with self._writer.transaction() as db:
            db.execute(
                "INSERT INTO tokens (id, hash, role, room, label, created_at, expires_at, seller)"
                " VALUES (:id, :hash, :role, :room, :label, :created_at, :expires_at, :seller)",
                {"seller": None, **row},
            )

    def token_by_hash(
        self, hash: bytes
    ) -> tuple[str, str, str | None, int | None, int | None, str | None] | None:
        """Return (id, role, room, expires_at, revoked_at, seller) of a token, or None."""
        row = self._db.execute(
            "SELECT id, role, room, expires_at, revoked_at, seller FROM tokens WHERE hash = ?", (hash,)
        ).fetchone()
        return tuple(row) if row else None

    def tokens(self) -> list[tuple[str, str, str | None, str, int, int | None, int | None]]:
        """Return (id, role, room, label, created_at, expires_at, revoked_at) of all tokens, oldest first."""
        return list(
            self._db.execute(
                "SELECT id, role, room, label, created_at, expires_at, revoked_at FROM tokens ORDER BY created_at, id"
            )
        )

    def token_revoke(self, id: str, at: int) -> bool:
        """Revoke a token from now on; return whether there was such a token that was not revoked yet."""
        with self._writer.transaction() as db:
            db.execute("UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", (at, id))
            return db.changes() == 1

    def tokens_forget(self, label: str, expired_before: int) -> None:
        """Delete the tokens of a label that have expired."""
        with self._writer.transaction() as db:
            db.execute("DELETE FROM tokens WHERE label = ? AND expires_at < ?", (label, expired_before))


def made_order(made: tuple[int, Lead]) -> tuple[int, int, str]:
    """Return what leads of one frame are ordered by, each with its position."""
    position, lead = made
    return position, lead.decided_at, lead.lead


class _Standing(NamedTuple):
    """What changes of an alert in the outbox."""

    state: str
    due_at: int
    attempts: int
    settled_at: int | None
    error: str


def _lead_row(lead: Lead, seq: int, position: int) -> tuple[Any, ...]:
    row = (lead.lead, seq, lead.platform, lead.room, lead.session, lead.viewer, lead.decided_at, _json.encode(lead))  # fmt: skip
    return (*row, lead_seal((*row, position)), position)


def _grouped_row(seq: int, position: int, grouped: LeadGrouped) -> tuple[Any, ...]:
    row = (seq, position, _json.encode(grouped))
    return (*row, grouped_seal(row))


def _alert_row(alert: Alert, at: int) -> tuple[Any, ...]:
    row = (alert.sink, alert.key, _json.encode(alert.alert), at)
    standing = _Standing("pending", due_at=at, attempts=0, settled_at=None, error="")
    return (*row, *standing, alert_seal(*row) ^ standing_seal(standing))


def _letter(row: Sequence[Any]) -> Letter:
    id, sink, key, alert, *standing = row
    return Letter(id, sink, key, _alert_decoder.decode(alert), *standing)


def _change(
    db: apsw.Connection,
    ids: Sequence[int],
    change: Callable[[_Standing], _Standing],
    *,
    select: str = _SELECT_STANDING,
) -> bool:
    """Change where pending alerts stand, and their seals with it; return whether there was any.

    Those that are settled stay as they are, unless ``select`` is of others.
    """
    changed = False
    for id in ids:
        row = db.execute(select, (id,)).fetchone()
        if row is not None:
            changed = True
            *standing, crc = row
            old = _Standing(*standing)
            new = change(old)
            db.execute(_UPDATE_STANDING, (*new, crc ^ standing_seal(old) ^ standing_seal(new), id))
    return changed


# ---------------------------------------------------------------------- what readers beside the store share


def migrate(connection: apsw.Connection, path: Path) -> None:
    """Make the tables in a new file, and bring one of an earlier schema up to this one.

    Raises:
        StoreDamaged: It is an SQLite file of something else, or a store of another version.
    """
    connection.pragma("secure_delete", True)  # what leaves a page is overwritten there
    with connection:
        if (
            connection.pragma("user_version") == 0
            and connection.execute("SELECT count(*) FROM sqlite_schema").get == 0
        ):
            connection.execute(_TABLES + _GROUPED)
            connection.pragma("application_id", APPLICATION_ID)
            connection.pragma("user_version", SCHEMA)
        version = check_version(connection, path)
        if version <= UNSEALED:
            for table in ("leads", "outbox"):
                connection.execute(f"ALTER TABLE {table} ADD COLUMN crc INTEGER NOT NULL DEFAULT 0")
        if version <= UNPLACED:
            connection.execute(
                "ALTER TABLE leads ADD COLUMN position INTEGER NOT NULL DEFAULT -1;"
                "CREATE INDEX leads_by_frame ON leads (seq);"
                "ALTER TABLE tokens ADD COLUMN seller TEXT"
            )
        if version <= UNSEALED:
            seal_all(connection)
        elif version <= UNSEALED_PLACES:
            seal_positions(connection)
        if version <= UNGROUPED:
            connection.execute(_GROUPED)
        if version < SCHEMA:
            connection.pragma("user_version", SCHEMA)


def check_version(connection: apsw.Connection, path: Path) -> int:
    """Return the file's schema, from ``UNSEALED`` to ``SCHEMA``; raise StoreDamaged if it is no such store."""
    version: int = connection.pragma("user_version")
    if connection.pragma("application_id") != APPLICATION_ID:
        raise StoreDamaged(f"{path}: is an SQLite file of something else")
    if version > SCHEMA:
        raise StoreDamaged(
            f"{path}: was written by a newer Frontrow (schema {version}, this one knows {SCHEMA})"
        )
    if version < UNSEALED:
        raise StoreDamaged(
            f"{path}: was written by a Frontrow before 0.2 (schema {version}, this one needs {SCHEMA});"
            " it cannot be read any more. Move it away to begin anew."
        )
    return version


def sealed_tables(version: int) -> tuple[SealedTable, ...]:
    """Return the tables whose rows have checksums, leads first and then the outbox, as a store of a schema has them."""
    if version <= UNSEALED:
        return LEADS_UNSEALED, OUTBOX_UNSEALED
    if version <= UNPLACED:
        return LEADS_UNPLACED, OUTBOX
    if version <= UNGROUPED:
        return LEADS_UNSEALED_PLACE if version <= UNSEALED_PLACES else LEADS, OUTBOX
    return LEADS, OUTBOX, GROUPED


def read_id(connection: apsw.Connection) -> bytes:
    """Return the store's identity."""
    found: bytes = connection.execute("SELECT id FROM store").get
    return found


def read_mark(connection: apsw.Connection, seq: int) -> bytes | None:
    """Return :meth:`Store.mark` over a connection of the caller's own."""
    if seq == 0:
        return hashlib.blake2b(read_id(connection) + FIRST_CHAIN, digest_size=CHAIN_BYTES).digest()
    row = connection.execute("SELECT chain FROM frames WHERE seq = ?", (seq,)).fetchone()
    if row is None:
        return None
    return hashlib.blake2b(read_id(connection) + row[0], digest_size=CHAIN_BYTES).digest()


def is_frame(row: Sequence[Any]) -> bool:
    """Return whether a row of frames has all its columns: one of a page that was torn may have none or others."""
    return tuple(map(type, row)) == (int,) * 5 + (bytes,) * 3


def link(before: bytes, head: tuple[int, int, int, int], facts: bytes) -> bytes:
    """Return a frame's chain: over the chain before it, its (seq, first_at, last_at, events) and its facts."""
    hash = hashlib.blake2b(before, digest_size=CHAIN_BYTES)
    hash.update(_HEAD.pack(*head))
    hash.update(facts)
    return hash.digest()


def _make(path: Path) -> None:
    try:
        make_private(path)
    except OSError as error:
        raise StoreUnusable(f"{path}: cannot be made ({error.strerror}); see [storage] path") from error
