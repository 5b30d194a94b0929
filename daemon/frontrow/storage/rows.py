"""Checksums of leads, of what groups their viewers are in, and of the outbox's rows: what finds a bit that was flipped in one of them.

A row's seal is a CRC-32 over its columns. What changes of an alert (its state, when it is due, how often it was
tried) has a CRC-32 of its own, and the row's seal is both together by exclusive or. A change takes the old one out
and puts the new one in, without looking at the rest: so a row that was damaged before is damaged still behind it. In
the same way the place of a lead among its frame's events goes into the seal of a row that had none of it.

Times, texts and blobs alike count as bytes, so that a row can be looked at whose text is no UTF-8 any more.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import apsw
import msgspec

ROWS_A_STEP = 512  # about a millisecond

_encode = msgspec.msgpack.Encoder().encode


def lead_seal(lead: Sequence[Any]) -> int:
    """Return the seal of a lead's columns, as :data:`LEADS` has them: the position last."""
    return _crc(lead[:-1]) ^ position_seal(lead[-1])


def position_seal(position: int) -> int:
    """Return the part of a lead's seal that its position among its frame's events is."""
    return _crc((position,))


def grouped_seal(grouped: Sequence[Any]) -> int:
    """Return the seal of a (seq, position, body) of ``grouped``."""
    return _crc(grouped)


def alert_seal(sink: str | bytes, key: str | bytes, alert: bytes, created_at: int) -> int:
    """Return the part of an alert's seal that never changes."""
    return _crc((sink, key, alert, created_at))


def standing_seal(standing: Sequence[Any]) -> int:
    """Return the part of an alert's seal that changes: of its (state, due_at, attempts, settled_at, error)."""
    return _crc(standing)


@dataclass(frozen=True, slots=True)
class SealedTable:
    """A table whose rows have seals, in ``crc``; ``columns`` are the others, the first of them its key. ``sealed``: there are seals yet."""

    name: str
    columns: tuple[str, ...]
    texts: frozenset[str]
    body: str  # the column that holds what the row says, in JSON
    seal: Callable[[Sequence[Any]], int]
    sealed: bool = True

    def steps(self, db: apsw.Connection) -> Iterator[list[tuple[bool, list[Any]]]]:
        """Return all rows, some at a time, each with whether its seal fits; texts are bytes.

        Between two steps no transaction is open.

        Raises:
            apsw.Error: One of ``UNREADABLE``: the rows from here on cannot be read.
        """
        cast = ", ".join(f"CAST({name} AS BLOB)" if name in self.texts else name for name in self.columns)
        key = self.columns[0]
        last = f"CAST(? AS {'TEXT' if key in self.texts else 'INTEGER'})"
        query = f"SELECT {cast}, {'crc' if self.sealed else 'NULL'} FROM {self.name}"
        after: Any = None
        while True:
            where = "" if after is None else f"WHERE {key} > {last}"
            found: list[Any] = db.execute(
                f"{query} {where} ORDER BY {key} LIMIT {ROWS_A_STEP}", () if after is None else (after,)
            ).fetchall()
            yield [(not self.sealed or self.seal(row[:-1]) == row[-1], list(row[:-1])) for row in found]
            if len(found) < ROWS_A_STEP:
                return
            before, after = after, found[-1][0]
            if type(after) is not (bytes if key in self.texts else int) or (
                before is not None and after <= before
            ):
                raise apsw.CorruptError(f"rows of {self.name} are out of order")

    def as_stored(self, row: Sequence[Any]) -> list[Any]:
        """Return a row that :meth:`steps` gave with its texts as texts. Raises UnicodeDecodeError."""
        return [
            value.decode() if name in self.texts and isinstance(value, bytes) else value
            for name, value in zip(self.columns, row, strict=True)
        ]


def _of_alert(row: Sequence[Any]) -> int:
    _, sink, key, alert, state, created_at, *rest = row
    return alert_seal(sink, key, alert, created_at) ^ standing_seal((state, *rest))


LEADS = SealedTable(
    "leads",
    ("lead", "seq", "platform", "room", "session", "viewer", "decided_at", "body", "position"),
    frozenset(("lead", "platform", "room", "session", "viewer")),
    "body",
    lead_seal,
)
# As stores of before have them: with a position that is not in the seal, without one, and without seals.
LEADS_UNSEALED_PLACE = replace(LEADS, seal=lambda row: _crc(row[:-1]))
LEADS_UNPLACED = replace(LEADS, columns=LEADS.columns[:-1], seal=lambda row: _crc(row))
LEADS_UNSEALED = replace(LEADS_UNPLACED, sealed=False)
OUTBOX = SealedTable(
    "outbox",
    (
        "id", "sink", "key", "alert", "state", "created_at", "due_at", "attempts", "settled_at", "error"
    ),
    frozenset(("sink", "key", "state", "error")),
    "alert",
    _of_alert,
)  # fmt: skip
OUTBOX_UNSEALED = replace(OUTBOX, sealed=False)
GROUPED = SealedTable(
    "grouped",
    ("id", "seq", "position", "body"),
    frozenset(),
    "body",
    lambda row: grouped_seal(row[1:]),
)


def seal_all(db: apsw.Connection) -> None:
    """Give every row the seal of what it holds now; in a transaction of the caller's."""
    for table in (LEADS, OUTBOX):
        key = table.columns[0]
        kind = "TEXT" if key in table.texts else "INTEGER"
        for step in replace(table, sealed=False).steps(db):
            db.executemany(
                f"UPDATE {table.name} SET crc = ? WHERE {key} = CAST(? AS {kind})",
                [(table.seal(row), row[0]) for _, row in step],
            )


def seal_positions(db: apsw.Connection) -> None:
    """Take the positions of leads into their seals, where they were in none; in a transaction of the caller's.

    Nothing else of a row is looked at, so a seal that did not fit does not fit afterwards. A row that has a column of
    another type than the table's, which no seal fits either, is left: SQLite would write none of it.
    """

    def with_position(*row: Any) -> int:
        crc, position = row
        sealed: int = crc ^ position_seal(position)
        return sealed

    db.create_scalar_function("with_position", with_position, 2, deterministic=True)
    types = " AND ".join(
        f"typeof({name}) = '{'text' if name in LEADS.texts else 'blob' if name == LEADS.body else 'integer'}'"
        for name in (*LEADS.columns, "crc")
    )
    db.execute(f"UPDATE leads SET crc = with_position(crc, position) WHERE {types}")


def _crc(values: Sequence[Any]) -> int:
    return zlib.crc32(_encode([value.encode() if isinstance(value, str) else value for value in values]))
