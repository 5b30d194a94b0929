"""The book of the lead centre in its database: rows are read once, changed in memory, and written together.

One owner, one transaction for each stretch of the journal: :meth:`SqlBook.begin`, the centre's work, :meth:`SqlBook.commit`. What was put is
written before a query that it could change the answer of, and at the commit at the latest.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, fields
from typing import Any, TypeVar

import sqlalchemy as sa

from frontrow.core.centre.ability import BANDS, Cell
from frontrow.core.centre.book import (
    Access,
    CleanTask,
    Consent,
    Contact,
    Cost,
    Entry,
    Identity,
    LeadRow,
    Link,
    OrgRow,
    Position,
    RawLead,
    State,
    TimerRow,
)
from frontrow.core.errors import StoreDamaged
from frontrow.storage.centre import tables
from frontrow.storage.centre.database import WRITES

Row = TypeVar("Row")

TABLES: dict[type[Any], sa.Table] = {
    Identity: tables.identities,
    Link: tables.links,
    Contact: tables.contacts,
    Consent: tables.consents,
    RawLead: tables.raw_leads,
    LeadRow: tables.leads,
    TimerRow: tables.timers,
    Entry: tables.timeline,
    State: tables.states,
    OrgRow: tables.organisation,
    Access: tables.accesses,
    CleanTask: tables.clean_tasks,
    Cost: tables.costs,
}
_COLUMNS = {row: tuple(column.name for column in fields(row)) for row in TABLES}
_KEYS = {row: tuple(column.name for column in table.primary_key) for row, table in TABLES.items()}
_INSERT = {row: sa.insert(table) for row, table in TABLES.items()}
_UPDATE = {
    row: sa.update(table)
    .where(*(column == sa.bindparam(f"old_{column.name}") for column in table.primary_key))
    .values({name: sa.bindparam(name) for name in _COLUMNS[row]})
    for row, table in TABLES.items()
}
_DELETE = {
    row: sa.delete(table).where(*(column == sa.bindparam(column.name) for column in table.primary_key))
    for row, table in TABLES.items()
}
_BY_KEY = {
    row: sa.select(*(table.c[name] for name in _COLUMNS[row])).where(
        *(column == sa.bindparam(column.name) for column in table.primary_key)
    )
    for row, table in TABLES.items()
}
_BATCH = 500


def select_rows(row: type[Any], *where: Any) -> sa.Select[Any]:
    """Return a query of rows of a class, column by column as :func:`row_of` takes them."""
    table = TABLES[row]
    return sa.select(*(table.c[name] for name in _COLUMNS[row])).where(*where)


_id, _ln, _l, _r = tables.identities.c, tables.links.c, tables.leads.c, tables.raw_leads.c
_p = sa.bindparam
_IDENTITIES_OF = select_rows(Identity, _id.customer == _p("customer")).order_by(
    _id.first_seen, _id.kind, _id.key
)
_LINKS_OF_A = select_rows(Link, _ln.a_kind == _p("kind"), _ln.a_key == _p("key")).order_by(_ln.at, _ln.link)
_LINKS_OF_B = select_rows(Link, _ln.b_kind == _p("kind"), _ln.b_key == _p("key")).order_by(_ln.at, _ln.link)
_LEAD_OF = select_rows(
    LeadRow, _l.customer == _p("customer"), _l.store == _p("store"), _l.merged_into.is_(None)
)
_LEADS_OF = select_rows(LeadRow, _l.customer == _p("customer"), _l.merged_into.is_(None)).order_by(_l.number)
_FOUNDED = select_rows(LeadRow, _l.customer == _p("customer")).order_by(_l.number)
_LEADS_MADE = sa.select(sa.func.max(_l.number))
_MERGED = select_rows(LeadRow, _l.merged_into == _p("lead")).order_by(_l.number)
_RAWS_OF = select_rows(RawLead, _r.customer == _p("customer")).order_by(_r.decided_at, _r.raw)
_CONTACTS = select_rows(
    Contact, tables.contacts.c.kind == _p("kind"), tables.contacts.c.key == _p("key")
).order_by(tables.contacts.c.at, tables.contacts.c.id)
_CONSENTS = select_rows(Consent, tables.consents.c.kind == _p("kind"), tables.consents.c.key == _p("key"))
_TASKS_OF = select_rows(CleanTask, tables.clean_tasks.c.lead == _p("lead")).order_by(
    tables.clean_tasks.c.created_at, tables.clean_tasks.c.task
)
_ENTRIES = select_rows(Entry, tables.timeline.c.lead == _p("lead")).order_by(tables.timeline.c.number)
_t = tables.timers.c
_DUE = (
    select_rows(TimerRow, _t.due_at <= _p("until")).order_by(_t.due_at, _t.lead, _t.kind, _t.number).limit(1)
)
_TIMERS_OF = select_rows(TimerRow, _t.lead == _p("lead")).order_by(_t.due_at, _t.kind, _t.number)
_ORGANISATION = select_rows(OrgRow).order_by(
    tables.organisation.c.what, tables.organisation.c.id, tables.organisation.c.from_at
)
_OPEN = (
    sa.select(_l.holder, sa.func.count())
    .where(_l.holder.is_not(None), _l.closed_at.is_(None), _l.merged_into.is_(None))
    .group_by(_l.holder)
)

_band: sa.ColumnElement[int] = sa.literal_column("0")
for _bound in BANDS:
    _band = _band + sa.case((_r.probability >= sa.literal_column(str(_bound)), 1), else_=0)
_banded = (
    sa.select(
        _l.holder,
        _r.quality,
        sa.case((_r.probability.is_not(None), _band)).label("band"),
        sa.case((_l.status == "won", 1), else_=0).label("won"),
    )
    .select_from(tables.leads.join(tables.raw_leads, _r.raw == _l.raw))
    .where(
        _l.closed_at >= _p("since"),
        _l.closed_at < _p("before"),
        _l.status.in_(("won", "lost")),
        _l.holder.is_not(None),
        _l.merged_into.is_(None),
    )
    .subquery()
)
_CLOSED = sa.select(
    _banded.c.holder, _banded.c.quality, _banded.c.band, sa.func.count(), sa.func.sum(_banded.c.won)
).group_by(_banded.c.holder, _banded.c.quality, _banded.c.band)


def row_of(kind: type[Row], found: sa.Row[Any]) -> Row:
    """Return the object of a row that :func:`select_rows` found."""
    return kind(**dict(zip(_COLUMNS[kind], found, strict=True)))


class SqlBook:
    """Fits :class:`frontrow.core.centre.book.Book`. For one thread; the database may be read by others meanwhile."""

    def __init__(self, engine: sa.Engine, store: bytes) -> None:
        """Follow the journal of the store of this identity.

        Raises:
            StoreDamaged: The database follows another journal.
        """
        self.engine = engine
        self._store = store
        self._connection: sa.Connection | None = None
        self._rows: dict[tuple[type[Any], tuple[Any, ...]], Any] = {}  # read or put in this transaction
        self._stored: set[tuple[type[Any], tuple[Any, ...]]] = set()  # of these, which the database has
        self._dirty: dict[type[Any], dict[tuple[Any, ...], Any]] = {}
        self._written: dict[str, LeadRow] = {}  # in this transaction
        self._held: dict[str, tuple[str, str]] = {}  # by lead: the unique key that the database gives it
        self.next_due: int | None = None  # when the first timer is due (UTC ms), as of the last commit
        self._position = self._read_position()

    # ------------------------------------------------------------------ transactions

    def begin(self) -> None:
        """Begin a transaction."""
        self._connection = self.engine.connect().execution_options(**{WRITES: True})
        self._connection.begin()

    def commit(self) -> list[LeadRow]:
        """Write what was put and the position; all of it becomes visible at once. Return the leads that were written."""
        db = self._db
        self._flush()
        self._write_position(db)
        self.next_due = db.execute(sa.select(sa.func.min(_t.due_at))).scalar()
        db.commit()
        written = list(self._written.values())
        self._end()
        return written

    def roll_back(self) -> None:
        """Forget what was put since :meth:`begin`; idempotent."""
        if self._connection is not None:
            self._connection.rollback()
            self._end()
            self._position = self._read_position()

    def close(self) -> None:
        """Close the database; idempotent."""
        self.roll_back()
        self.engine.dispose()

    def _end(self) -> None:
        assert self._connection is not None
        self._connection.close()
        self._connection = None
        self._rows.clear()
        self._stored.clear()
        self._dirty.clear()
        self._written.clear()
        self._held.clear()

    @property
    def db(self) -> sa.Connection:
        """The connection of the transaction that was begun, with all that was put written: for what goes beside."""
        self._flush()
        return self._db

    @property
    def _db(self) -> sa.Connection:
        assert self._connection is not None, "begin() comes first"
        return self._connection

    # ------------------------------------------------------------------ position

    def position(self) -> Position:
        return self._position

    def _read_position(self) -> Position:
        c = tables.position.c
        with self.engine.connect() as db:
            self.next_due = db.execute(sa.select(sa.func.min(_t.due_at))).scalar()
            row = db.execute(sa.select(c.store, c.seq, c.mark, c.now, c.policy)).first()
        if row is None:
            return Position()
        if bytes(row.store) != self._store:
            raise StoreDamaged(
                f"{self.engine.url.render_as_string(hide_password=True)}: follows the journal of another store;"
                " name another database in [centre], or move this one away to build it anew"
            )
        return Position(row.seq, bytes(row.mark), row.now, row.policy)

    def _write_position(self, db: sa.Connection) -> None:
        values = {**asdict(self._position), "store": self._store}
        if db.execute(sa.update(tables.position).values(values)).rowcount == 0:
            db.execute(sa.insert(tables.position), {"id": 1, **values})

    # ------------------------------------------------------------------ reading

    def state(self, name: str) -> State | None:
        return self._get(State, (name,))

    def organisation(self) -> list[OrgRow]:
        return self._all(OrgRow, _ORGANISATION, {})

    def open_leads(self) -> dict[str, int]:
        self._flush(LeadRow)
        return {seller: count for seller, count in self._db.execute(_OPEN)}

    def closed_cells(self, since: int, before: int) -> list[Cell]:
        self._flush(LeadRow, RawLead)
        return [
            Cell(
                seller=seller,
                stratum=f"q{quality}" + ("" if band is None else f"/p{band}"),
                leads=leads,
                wins=wins,
            )
            for seller, quality, band, leads, wins in self._db.execute(
                _CLOSED, {"since": since, "before": before}
            )
        ]

    def identity(self, kind: str, key: str) -> Identity | None:
        return self._get(Identity, (kind, key))

    def identities_of(self, customer: str) -> list[Identity]:
        return self._all(Identity, _IDENTITIES_OF, {"customer": customer})

    def links_of(self, kind: str, key: str) -> list[Link]:
        of = {"kind": kind, "key": key}
        return self._all(Link, _LINKS_OF_A, of) + self._all(Link, _LINKS_OF_B, of)

    def link(self, link: str) -> Link | None:
        return self._get(Link, (link,))

    def contact_of(self, customer: str) -> Contact | None:
        found = [
            contact
            for identity in self.identities_of(customer)
            for contact in self.contacts_of(identity.kind, identity.key)
        ]
        return max(found, key=lambda contact: (contact.at, contact.id), default=None)

    def contacts_of(self, kind: str, key: str) -> list[Contact]:
        return self._all(Contact, _CONTACTS, {"kind": kind, "key": key})

    def consents_of(self, kind: str, key: str) -> list[Consent]:
        return self._all(Consent, _CONSENTS, {"kind": kind, "key": key})

    def raw(self, raw: str) -> RawLead | None:
        return self._get(RawLead, (raw,))

    def raws_of(self, customer: str) -> list[RawLead]:
        return self._all(RawLead, _RAWS_OF, {"customer": customer})

    def lead(self, lead: str) -> LeadRow | None:
        return self._get(LeadRow, (lead,))

    def lead_of(self, customer: str, store: str) -> LeadRow | None:
        found = self._all(LeadRow, _LEAD_OF, {"customer": customer, "store": store})
        return found[0] if found else None

    def leads_of(self, customer: str) -> list[LeadRow]:
        return self._all(LeadRow, _LEADS_OF, {"customer": customer})

    def founded_by(self, customer: str) -> list[LeadRow]:
        return self._all(LeadRow, _FOUNDED, {"customer": customer})

    def leads_made(self) -> int:
        self._flush(LeadRow)
        return self._db.execute(_LEADS_MADE).scalar() or 0

    def merged_into(self, lead: str) -> list[LeadRow]:
        return self._all(LeadRow, _MERGED, {"lead": lead})

    def entries(self, lead: str) -> list[Entry]:
        return self._all(Entry, _ENTRIES, {"lead": lead})

    def task(self, task: str) -> CleanTask | None:
        return self._get(CleanTask, (task,))

    def cost(self, channel: str, day: int, currency: str) -> Cost | None:
        return self._get(Cost, (channel, day, currency))

    def tasks_of(self, lead: str) -> list[CleanTask]:
        return self._all(CleanTask, _TASKS_OF, {"lead": lead})

    def due(self, until: int) -> TimerRow | None:
        if TimerRow not in self._dirty and (self.next_due is None or self.next_due > until):
            return None
        found = self._all(TimerRow, _DUE, {"until": until})
        return found[0] if found else None

    def timers_of(self, lead: str) -> list[TimerRow]:
        return self._all(TimerRow, _TIMERS_OF, {"lead": lead})

    def _get(self, row: type[Row], key: tuple[Any, ...]) -> Row | None:
        known: Row | None = self._rows.get((row, key))
        if known is not None:
            return known
        found = self._db.execute(_BY_KEY[row], dict(zip(_KEYS[row], key, strict=True))).first()
        return None if found is None else self._take(row, found)

    def _all(self, row: type[Row], query: sa.Select[Any], values: dict[str, Any]) -> list[Row]:
        self._flush(row)
        return [self._take(row, found) for found in self._db.execute(query, values)]

    def _take(self, row: type[Row], found: sa.Row[Any]) -> Row:
        """Return the one object of a row: that which was read or put before, where there is one."""
        values = dict(zip(_COLUMNS[row], found, strict=True))
        key = tuple(values[name] for name in _KEYS[row])
        self._stored.add((row, key))
        known: Row | None = self._rows.get((row, key))
        if known is None:
            known = self._rows[row, key] = row(**values)
            if isinstance(known, LeadRow):
                self._hold(known)
        return known

    def _hold(self, row: LeadRow) -> None:
        """Note which unique key the database gives a lead now."""
        if row.merged_into is None:
            self._held[row.lead] = row.customer, row.store
        else:
            self._held.pop(row.lead, None)

    # ------------------------------------------------------------------ writing

    def put(self, row: object) -> None:
        kind = type(row)
        key = tuple(getattr(row, name) for name in _KEYS[kind])
        self._rows[kind, key] = row
        self._dirty.setdefault(kind, {})[key] = row

    def remove(self, row: object) -> None:
        kind = type(row)
        key = tuple(getattr(row, name) for name in _KEYS[kind])
        self._rows.pop((kind, key), None)
        self._dirty.setdefault(kind, {}).pop(key, None)
        if (kind, key) in self._stored:
            self._stored.discard((kind, key))
            self._db.execute(_DELETE[kind], dict(zip(_KEYS[kind], key, strict=True)))

    def _flush(self, *kinds: type[Any]) -> None:
        for kind in kinds or tuple(self._dirty):
            rows = self._dirty.get(kind)
            if rows:
                self._write(kind, rows)
                rows.clear()

    def _write(self, kind: type[Any], rows: dict[tuple[Any, ...], Any]) -> None:
        db, names, keys = self._db, _COLUMNS[kind], _KEYS[kind]
        if kind is LeadRow:
            self._written.update((row.lead, row) for row in rows.values())
            self._free_keys(rows.values())
        unknown = [key for key in rows if (kind, key) not in self._stored]
        self._stored.update((kind, key) for key in self._present(kind, unknown))
        new: list[dict[str, Any]] = []
        old: list[dict[str, Any]] = []
        for key, row in rows.items():
            values = {name: getattr(row, name) for name in names}
            if (kind, key) in self._stored:
                old.append(values | {f"old_{name}": part for name, part in zip(keys, key, strict=True)})
            else:
                new.append(values)
                self._stored.add((kind, key))
        if old:
            db.execute(_UPDATE[kind], old)
        if new:
            db.execute(_INSERT[kind], new)

    def _free_keys(self, rows: Collection[LeadRow]) -> None:
        """Take from leads that give up their unique key (customer, store) what they hold, so that another can have it, in whatever
        order they are written."""
        leaving = [
            row.lead
            for row in rows
            if row.lead in self._held
            and (row.merged_into is not None or self._held[row.lead] != (row.customer, row.store))
        ]
        for start in range(0, len(leaving), _BATCH):
            which = _l.lead.in_(leaving[start : start + _BATCH])
            self._db.execute(sa.update(tables.leads).where(which).values(merged_into=_l.lead))
        for row in rows:
            self._hold(row)

    def _present(self, kind: type[Any], keys: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Return which of these keys the database has."""
        columns = [TABLES[kind].c[name] for name in _KEYS[kind]]
        found: list[tuple[Any, ...]] = []
        for start in range(0, len(keys), _BATCH):
            part = keys[start : start + _BATCH]
            which = (
                columns[0].in_([key[0] for key in part])
                if len(columns) == 1
                else sa.tuple_(*columns).in_(list(part))
            )
            found += [tuple(row) for row in self._db.execute(sa.select(*columns).where(which))]
        return found
