"""The store: journal, leads, outbox, tokens and positions in one SQLite file.

Synchronous and for one thread; :mod:`frontrow.storage.aio` puts it behind asyncio. WAL with ``synchronous=FULL``:
when a commit returns, it is on the disk. There is no setting that turns this off.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import msgspec

from frontrow.core.alerts import LeadAlert
from frontrow.core.errors import StoreDamaged, StoreUnusable
from frontrow.core.leads import Lead
from frontrow.storage.frames import Blobs, Frame, pack, unpack
from frontrow.storage.lock import make_private

SCHEMA = 1
_APPLICATION_ID = 0x46524F57  # "FROW": what `file` and a careful operator see

_TABLES = """
CREATE TABLE frames (
  seq INTEGER PRIMARY KEY,
  first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, events INTEGER NOT NULL,
  facts BLOB NOT NULL, personal BLOB NOT NULL, crc INTEGER NOT NULL
) STRICT;
CREATE TABLE leads (
  lead TEXT PRIMARY KEY, seq INTEGER NOT NULL REFERENCES frames(seq),
  platform TEXT NOT NULL, room TEXT NOT NULL, session TEXT NOT NULL, viewer TEXT NOT NULL,
  decided_at INTEGER NOT NULL, body BLOB NOT NULL,
  UNIQUE (platform, room, session, viewer)
) STRICT, WITHOUT ROWID;
CREATE INDEX leads_by_time ON leads (decided_at DESC, lead);
CREATE TABLE outbox (
  id INTEGER PRIMARY KEY, sink TEXT NOT NULL, key TEXT NOT NULL, alert BLOB NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'dead')),
  created_at INTEGER NOT NULL, due_at INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
  settled_at INTEGER, error TEXT NOT NULL DEFAULT '',
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
  created_at INTEGER NOT NULL, expires_at INTEGER, revoked_at INTEGER
) STRICT, WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert to be sent: to which sink, under which key (unique per sink), and what it says."""

    sink: str
    key: str
    alert: LeadAlert


@dataclass(frozen=True, slots=True)
class Commit:
    """What becomes durable together. ``at`` is wall-clock time, UTC milliseconds."""

    frame: Frame
    leads: Sequence[Lead]
    alerts: Sequence[Alert]
    at: int


_json = msgspec.json.Encoder()
_lead_decoder = msgspec.json.Decoder(Lead)
_alert_decoder = msgspec.json.Decoder(LeadAlert)


class Store:
    """One open store. Every method is one transaction, or reads one state."""

    def __init__(self, connection: apsw.Connection, path: Path) -> None:
        self._db = connection
        self.path = path
        row = connection.execute("SELECT max(seq) FROM frames").fetchone()
        self._seq: int = row[0] or 0 if row else 0

    @classmethod
    def open(cls, path: Path, *, create: bool = True) -> "Store":
        """Open a store, making it (and its folder) where ``create`` says so and there is none.

        The file and its folder are made for their owner alone: they hold what viewers said.

        Raises:
            StoreDamaged: The file is not a store of ours, is of a newer version, or SQLite finds it damaged.
            StoreUnusable: It cannot be opened for writing: a folder, no right, no room.
            FileNotFoundError: There is none and ``create`` is false.
        """
        if not create and not path.exists():
            raise FileNotFoundError(path)
        try:
            make_private(path)
            connection = apsw.Connection(str(path))
            connection.set_busy_timeout(
                5_000
            )  # tokens are written by the command line beside a running daemon
            connection.pragma("journal_mode", "wal")
            connection.pragma("synchronous", "FULL")
            connection.pragma("foreign_keys", True)
            cls._migrate(connection, path)
            return cls(connection, path)
        except (apsw.CantOpenError, apsw.ReadOnlyError, apsw.IOError, apsw.FullError, OSError) as error:
            raise StoreUnusable(
                f"{path}: cannot be opened for writing ({error}); see [storage] path"
            ) from error
        except (apsw.NotADBError, apsw.CorruptError) as error:
            raise StoreDamaged(
                f"{path}: SQLite cannot read it ({error}). Restore it from a backup, or move it away to begin anew."
            ) from error

    @staticmethod
    def _migrate(connection: apsw.Connection, path: Path) -> None:
        # Immediate: two processes that both make the store would otherwise both see an empty one.
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            version = connection.pragma("user_version")
            if version == 0:
                if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() != (0,):
                    raise StoreDamaged(f"{path}: is an SQLite file of something else")
                connection.execute(_TABLES)
                connection.pragma("application_id", _APPLICATION_ID)
                connection.pragma("user_version", SCHEMA)
            elif version > SCHEMA:
                raise StoreDamaged(
                    f"{path}: was written by a newer Frontrow (schema {version}, this one knows {SCHEMA})"
                )
        connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file; idempotent."""
        self._db.close()

    # ------------------------------------------------------------------ journal

    @property
    def seq(self) -> int:
        """The number of the last durable frame; 0 before the first."""
        return self._seq

    def append(self, commits: Sequence[Commit]) -> int:
        """Make frames durable, each with its leads and alerts, in one transaction; return the last frame's number.

        A lead or an alert that is there already stays as it is: one lead per viewer and session, one alert per lead
        and sink, even if the policy was changed between two runs and decides the same lead anew.

        Raises:
            apsw.Error: Nothing of it is stored. A full disk or a failed fsync is for the caller to end the daemon on.
        """
        seq = self._seq
        with self._db:
            for commit in commits:
                seq += 1
                blobs = pack(commit.frame)
                events = commit.frame.events
                self._db.execute(
                    "INSERT INTO frames VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (
                        seq,
                        events[0].at,
                        events[-1].at,
                        len(events),
                        blobs.facts,
                        blobs.personal,
                        blobs.crc,
                    ),
                )
                for lead in commit.leads:
                    self._db.execute(
                        "INSERT INTO leads VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                        (
                            lead.lead,
                            seq,
                            lead.platform,
                            lead.room,
                            lead.session,
                            lead.viewer,
                            lead.decided_at,
                            _json.encode(lead),
                        ),
                    )
                for alert in commit.alerts:
                    self._db.execute(
                        "INSERT INTO outbox (sink, key, alert, state, created_at, due_at)"
                        " VALUES (?, ?, ?, 'pending', ?, ?) ON CONFLICT DO NOTHING",
                        (alert.sink, alert.key, _json.encode(alert.alert), commit.at, commit.at),
                    )
        self._seq = seq
        return seq

    def frames(self, after: int = 0) -> Iterator[tuple[int, Frame]]:
        """Return the frames after ``after`` with their numbers, in order.

        Raises:
            StoreDamaged: A frame is missing or its bytes have changed; it is named by number.
        """
        expected = after + 1
        # In slices, so that no read transaction stays open while the caller works: it would keep the WAL from shrinking.
        while True:
            rows: list[Any] = self._db.execute(
                "SELECT seq, facts, personal, crc FROM frames WHERE seq >= ? ORDER BY seq LIMIT 64",
                (expected,),
            ).fetchall()
            if not rows:
                return
            for seq, facts, personal, crc in rows:
                where = f"{self.path}: frame {expected}"
                if seq != expected:
                    raise StoreDamaged(f"{where} is missing; restore the store from a backup")
                yield seq, unpack(Blobs(facts, personal, crc), where=where)
                expected += 1

    # ------------------------------------------------------------------ leads

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

    # ------------------------------------------------------------------ outbox

    def outbox_due(self, sink: str, now: int, limit: int) -> list[tuple[int, str, LeadAlert, int, int]]:
        """Return (id, key, alert, created_at, attempts) of what is due for a sink, oldest first."""
        rows = self._db.execute(
            "SELECT id, key, alert, created_at, attempts FROM outbox"
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
        with self._db:
            self._db.executemany(
                "UPDATE outbox SET attempts = attempts + 1 WHERE id = ?", [(id,) for id in ids]
            )
            self._db.execute("INSERT INTO messages (sink, at, alerts) VALUES (?, ?, ?)", (sink, at, len(ids)))

    def outbox_begun_since(self, sink: str, since: int) -> list[int]:
        """Return when messages to a sink were begun at ``since`` or later (UTC ms), oldest first; forgets older notes."""
        with self._db:
            self._db.execute("DELETE FROM messages WHERE sink = ? AND at < ?", (sink, since - 3_600_000))
            rows: list[Any] = self._db.execute(
                "SELECT at FROM messages WHERE sink = ? AND at >= ? ORDER BY at", (sink, since)
            ).fetchall()
        return [at for (at,) in rows]

    def outbox_delivered(self, ids: Sequence[int], at: int) -> None:
        """Keep the receipts of alerts that a receiver has taken."""
        self._settle(ids, "sent", at, "")

    def outbox_dead(self, ids: Sequence[int], at: int, error: str) -> None:
        """Put alerts among the dead letters, with the reason."""
        self._settle(ids, "dead", at, error)

    def outbox_postpone(self, ids: Sequence[int], due_at: int, error: str) -> None:
        """Let pending alerts wait until ``due_at``, and keep why."""
        with self._db:
            self._db.executemany(
                "UPDATE outbox SET due_at = ?, error = ? WHERE id = ? AND state = 'pending'",
                [(due_at, error, id) for id in ids],
            )

    def _settle(self, ids: Sequence[int], state: str, at: int, error: str) -> None:
        with self._db:
            self._db.executemany(
                "UPDATE outbox SET state = ?, settled_at = ?, error = ? WHERE id = ? AND state = 'pending'",
                [(state, at, error, id) for id in ids],
            )

    def outbox_depth(self) -> dict[str, tuple[int, int, int | None]]:
        """Return per sink: pending alerts, dead letters, and when the oldest pending one was made (UTC ms)."""
        rows = self._db.execute(
            "SELECT sink, sum(state = 'pending'), sum(state = 'dead'),"
            " min(CASE state WHEN 'pending' THEN created_at END) FROM outbox GROUP BY sink"
        )
        return {sink: (pending, dead, oldest) for sink, pending, dead, oldest in rows}

    # ------------------------------------------------------------------ tokens

    def token_add(self, row: dict[str, Any]) -> None:
        """Keep a token: ``id, hash, role, room, label, created_at, expires_at``."""
        self._db.execute(
            "INSERT INTO tokens (id, hash, role, room, label, created_at, expires_at)"
            " VALUES (:id, :hash, :role, :room, :label, :created_at, :expires_at)",
            row,
        )

    def token_by_hash(self, hash: bytes) -> tuple[str, str, str | None, int | None, int | None] | None:
        """Return (id, role, room, expires_at, revoked_at) of a token, or None."""
        row = self._db.execute(
            "SELECT id, role, room, expires_at, revoked_at FROM tokens WHERE hash = ?", (hash,)
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
        self._db.execute("UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", (at, id))
        return self._db.changes() == 1

    def tokens_forget(self, label: str, expired_before: int) -> None:
        """Delete the tokens of a label that have expired."""
        self._db.execute("DELETE FROM tokens WHERE label = ? AND expires_at < ?", (label, expired_before))
