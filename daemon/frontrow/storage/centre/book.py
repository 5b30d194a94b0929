"""The book of the lead centre in its database: rows are read once, changed in memory, and written together.

One owner, one transaction for each stretch of the journal: :meth:`SqlBook.begin`, the centre's work,
:meth:`SqlBook.commit`. Within it a row is one object, and a question is asked of the database once: what was put
since is added in memory. All is written at the commit, each table at a time.

Texts are ordered here, by their code points, and never by a database, each of which has its own order of people's
languages.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from operator import attrgetter
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from frontrow.core.centre.ability import BANDS, Cell, stratum
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
    TouchRow,
    TurnRow,
)
from frontrow.core.errors import StoreDamaged
from frontrow.storage.centre import tables
from frontrow.storage.centre.database import WRITES

Row = TypeVar("Row")
Key = tuple[Any, ...]

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
    TouchRow: tables.touches,
    TurnRow: tables.turns,
}
_COLUMNS = {row: tuple(column.name for column in fields(row)) for row in TABLES}
_KEYS = {row: tuple(column.name for column in table.primary_key) for row, table in TABLES.items()}
_REST = {row: tuple(name for name in _COLUMNS[row] if name not in _KEYS[row]) for row in TABLES}
FIRST_TIMERS_READ, TIMERS_READ = 32, 500  # at once, where any is due; more where those were not enough
NEVER = 1 << 62  # after every time


def select_rows(row: type[Any], *where: Any) -> sa.Select[Any]:
    """Return a query of rows of a class, column by column as :func:`row_of` takes them."""
    table = TABLES[row]
    return sa.select(*(table.c[name] for name in _COLUMNS[row])).where(*where)


def row_of(kind: type[Row], found: sa.Row[Any]) -> Row:
    """Return the object of a row that :func:`select_rows` found."""
    make: Callable[..., Row] = kind
    return make(*found)


def _key_is(row: type[Any], prefix: str = "") -> list[Any]:
    table = TABLES[row]
    return [table.c[name] == sa.bindparam(prefix + name) for name in _KEYS[row]]


def _key_of(row: type[Any]) -> Callable[[Any], Key]:
    names = _KEYS[row]
    if len(names) > 1:
        return attrgetter(*names)
    get = attrgetter(*names)
    return lambda each: (get(each),)


_KEY_OF = {row: _key_of(row) for row in TABLES}
_BY_KEY = {row: select_rows(row, *_key_is(row)) for row in TABLES}
# The names of parameters in SET and in WHERE must differ.
_UPDATE = {
    row: sa.update(table)
    .where(*_key_is(row, "key_"))
    .values({name: sa.bindparam(name) for name in _REST[row]})
    for row, table in TABLES.items()
}
_DELETE = {row: sa.delete(table).where(*_key_is(row)) for row, table in TABLES.items()}


def _upserts(insert: Callable[[sa.Table], Any]) -> dict[type[Any], Any]:
    """Return what writes a row of each class that need not be new: one that is there is exchanged."""
    found: dict[type[Any], Any] = {}
    for row, table in TABLES.items():
        new = insert(table)
        found[row] = new.on_conflict_do_update(
            index_elements=list(_KEYS[row]), set_={name: new.excluded[name] for name in _REST[row]}
        )
    return found


_UPSERT = {"sqlite": _upserts(sqlite.insert), "postgresql": _upserts(postgresql.insert)}


class _Groups:
    """Rows of a class by some of their columns, each group in an order."""

    def __init__(self, row: type[Any], columns: tuple[str, ...], order: tuple[str, ...]) -> None:
        table = TABLES[row]
        self.row = row
        self.columns = columns
        self.query = select_rows(row, *(table.c[name] == sa.bindparam(name) for name in columns))
        self.in_order = attrgetter(*order)
        self.of: Callable[[Any], Any] = attrgetter(*columns) if columns else lambda _row: None


_IDENTITIES = _Groups(Identity, ("customer",), ("first_seen", "kind", "key"))
_LINKS_OF_A = _Groups(Link, ("a_kind", "a_key"), ("at", "link"))
_LINKS_OF_B = _Groups(Link, ("b_kind", "b_key"), ("at", "link"))
_CONTACTS = _Groups(Contact, ("kind", "key"), ("at", "id"))
_CONSENTS = _Groups(Consent, ("kind", "key"), ("purpose", "channel"))
_RAWS = _Groups(RawLead, ("customer",), ("decided_at", "raw"))
_LEADS = _Groups(LeadRow, ("customer",), ("number",))
_MERGED = _Groups(LeadRow, ("merged_into",), ("number",))
_TIMERS = _Groups(TimerRow, ("lead",), ("due_at", "kind", "number"))
_ENTRIES = _Groups(Entry, ("lead",), ("number",))
_TASKS = _Groups(CleanTask, ("lead",), ("created_at", "task"))
_TOUCHES = _Groups(TouchRow, ("kind", "key"), ("at", "touch"))
_ABOUT = _Groups(TouchRow, ("about",), ("at", "touch"))
_ORGANISATION = _Groups(OrgRow, (), ("what", "id", "from_at"))
_TURNS = _Groups(TurnRow, (), ("rotation",))
_GROUPS: dict[type[Any], tuple[_Groups, ...]] = {
    row: tuple(
        each
        for each in (
            _IDENTITIES, _LINKS_OF_A, _LINKS_OF_B, _CONTACTS, _CONSENTS, _RAWS, _LEADS, _MERGED, _TIMERS, _ENTRIES,
            _TASKS, _TOUCHES, _ABOUT, _ORGANISATION, _TURNS,
        )
        if each.row is row
    )
    for row in TABLES
}  # fmt: skip
# Which nothing can be in before the lead, or the identity and the customer who is named by it.
_OF_NEW_LEADS = (_TIMERS, _ENTRIES, _TASKS, _MERGED)
_OF_NEW_IDENTITIES = (_LINKS_OF_A, _LINKS_OF_B, _CONTACTS, _CONSENTS, _TOUCHES)
_OF_NEW_CUSTOMERS = (_IDENTITIES, _RAWS, _LEADS)

_l, _t = tables.leads.c, tables.timers.c
_TIMER_PLACE = sa.tuple_(_t.due_at, _t.lead, _t.kind, _t.number)
_DUE = (
    select_rows(
        TimerRow,
        _t.due_at >= sa.bindparam("due_at"),  # what the index is entered by, beside what it is read from
        sa.tuple_(sa.bindparam("due_at"), sa.bindparam("lead"), sa.bindparam("kind"), sa.bindparam("number"))
        < _TIMER_PLACE,
    )
    .order_by(_t.due_at, _t.lead, _t.kind, _t.number)
    .limit(sa.bindparam("most"))
)
_AGREED = (
    sa.exists()
    .where(
        tables.identities.c.customer == _l.customer,
        tables.consents.c.kind == tables.identities.c.kind,
        tables.consents.c.key == tables.identities.c.key,
        tables.consents.c.given,
    )
    .correlate(tables.leads)
)
_CONSENTED = (
    select_rows(LeadRow, _l.number > sa.bindparam("after"), _l.merged_into.is_(None), _AGREED)
    .order_by(_l.number)
    .limit(sa.bindparam("most"))
)
_NEXT_DUE = sa.select(sa.func.min(_t.due_at))
_LEADS_MADE = sa.select(sa.func.max(_l.number))
_OPEN = (
    sa.select(_l.holder, sa.func.count())
    .where(_l.holder.is_not(None), _l.closed_at.is_(None), _l.merged_into.is_(None))
    .group_by(_l.holder)
)
_r = tables.raw_leads.c
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
        _l.closed_at >= sa.bindparam("since"),
        _l.closed_at < sa.bindparam("before"),
        _l.status.in_(("won", "lost")),
        _l.holder.is_not(None),
        _l.merged_into.is_(None),
    )
    .subquery()
)
_CLOSED = sa.select(
    _banded.c.holder, _banded.c.quality, _banded.c.band, sa.func.count(), sa.func.sum(_banded.c.won)
).group_by(_banded.c.holder, _banded.c.quality, _banded.c.band)
_cells = tables.closed_cells
_COUNTED = "closed_cells"  # the state that says of which time the table of that name counts


def _adding(insert: Callable[[sa.Table], Any]) -> Any:
    new = insert(_cells)
    more = {name: _cells.c[name] + new.excluded[name] for name in ("leads", "wins")}
    return new.on_conflict_do_update(index_elements=["seller", "stratum"], set_=more)


_ADD_CELLS = {"sqlite": _adding(sqlite.insert), "postgresql": _adding(postgresql.insert)}


class _Session:
    """What one transaction has read and put."""

    def __init__(self) -> None:
        self.rows: dict[type[Any], dict[Key, Any]] = {row: {} for row in TABLES}
        # Of rows: which the database has, which were asked for and are not there, which were taken away and are there
        # still.
        self.stored, self.absent, self.removed = _keys(), _keys(), _keys()
        self.dirty: dict[type[Any], dict[Key, Any]] = {row: {} for row in TABLES}
        self.groups: dict[_Groups, dict[Any, dict[Key, Any]]] = {
            each: {} for of_row in _GROUPS.values() for each in of_row
        }
        self.places: dict[_Groups, dict[Key, Any]] = {each: {} for each in self.groups}
        self.read: set[tuple[_Groups, Any]] = set()  # groups of which all is here
        self.written: dict[str, LeadRow] = {}
        self.standing: dict[Key, Key] = {}  # under which unique key the database has a lead
        self.judged: dict[Key, _Judged | None] = {}  # what the database's row of a lead says of its seller
        self.timers: list[tuple[int, str, str, int]] = []  # a heap; what is not so any more is left in it
        self.timers_read: tuple[int, str, str, int] = (-1, "", "", 0)  # up to here all timers are here

    def place(self, kind: type[Any], key: Key, row: Any) -> None:
        """Let a row stand in the groups that it belongs to now."""
        self.rows[kind][key] = row
        for groups in _GROUPS[kind]:
            places, now = self.places[groups], groups.of(row)
            if key in places and places[key] != now:
                del self.groups[groups][places[key]][key]
            places[key] = now
            self.groups[groups].setdefault(now, {})[key] = row
        if kind is TimerRow:
            heapq.heappush(self.timers, (row.due_at, row.lead, row.kind, row.number))

    def forget(self, kind: type[Any], key: Key) -> None:
        """Take a row out of all groups."""
        del self.rows[kind][key]
        for groups in _GROUPS[kind]:
            del self.groups[groups][self.places[groups].pop(key)][key]


class SqlBook:
    """Fits :class:`frontrow.core.centre.book.Book`. For one thread; the database may be read by others meanwhile.

    The key of a row never changes. Whatever else does is put before anything is asked that depends on it.
    """

    def __init__(self, engine: sa.Engine, store: bytes) -> None:
        """Follow the journal of the store of this identity.

        Raises:
            StoreDamaged: The database follows another journal.
        """
        self.engine = engine
        self._store = store
        self._upsert = _UPSERT[engine.dialect.name]
        self._add_cells = _ADD_CELLS[engine.dialect.name]
        self._counted: _Time | None = None  # of which the table of closed leads counts, None: of none yet …
        self._counted_kept: _Time | None = None  # … and as of the last commit
        self._connection: sa.Connection | None = None
        self._session = _Session()
        self._made: int | None = None
        self._position = self._kept = Position()
        self.next_due: int | None = None  # when the first timer is due (UTC ms), as of the last commit
        self.reread()

    # ------------------------------------------------------------------ transactions

    def begin(self, *, writes: bool = True) -> None:
        """Begin a transaction; one that only reads keeps nobody from writing."""
        self._connection = self.engine.connect().execution_options(**{WRITES: writes})
        self._connection.begin()

    def commit(self) -> list[LeadRow]:
        """Write what was put and the position; all of it becomes visible at once. Return the leads that were written.

        Raises:
            StoreDamaged: Somebody else has written into the database since.
        """
        db = self._db
        self._flush()
        self._write_position(db)
        next_due = db.execute(_NEXT_DUE).scalar()
        db.commit()
        self.next_due = next_due
        self._kept, self._counted_kept = replace(self._position), self._counted
        written = list(self._session.written.values())
        self._end()
        return written

    def roll_back(self) -> None:
        """Forget what was put since :meth:`begin`; idempotent, also where the database does not answer any more.

        Where a commit has failed nobody knows whether it was done: :meth:`reread` comes first then.
        """
        if self._connection is not None:
            try:
                self._connection.rollback()
            except sa.exc.SQLAlchemyError:
                self._connection.invalidate()  # whatever was open there, the other end gives it up
            self._end()
        self._position, self._made, self._counted = replace(self._kept), None, self._counted_kept

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Do something within the transaction that is taken back alone where it fails; the error passes through."""
        self._flush()
        position, written, counted = replace(self._position), dict(self._session.written), self._counted
        nested = self._db.begin_nested()
        try:
            yield
            self._flush()
            nested.commit()
        except BaseException:
            nested.rollback()
            # What was read may have been changed since.
            self._session = _Session()
            self._session.written = written
            self._position, self._made, self._counted = position, None, counted
            self.next_due = 0  # timers that this transaction has set may come before those of the last one
            raise

    def reread(self) -> None:
        """Read how far the database has followed; between transactions.

        Raises:
            StoreDamaged: It follows the journal of another store.
        """
        c = tables.position.c
        with self.engine.connect() as db:
            self.next_due = db.execute(_NEXT_DUE).scalar()
            row = db.execute(sa.select(c.store, c.seq, c.mark, c.now, c.policy)).first()
            counted = db.execute(_BY_KEY[State], {"name": _COUNTED}).first()
        if row is None:
            self._kept = Position()
        elif bytes(row.store) != self._store:
            raise StoreDamaged(
                f"{self._name}: follows the journal of another store; name another database in [centre],"
                " or move this one away to build it anew"
            )
        else:
            self._kept = Position(row.seq, bytes(row.mark), row.now, row.policy)
        self._counted_kept = None if counted is None else (counted.value["since"], counted.value["before"])
        self._position, self._made, self._counted = replace(self._kept), None, self._counted_kept

    def close(self) -> None:
        """Close the database; idempotent."""
        self.roll_back()
        self.engine.dispose()

    def _end(self) -> None:
        assert self._connection is not None
        self._connection.close()
        self._connection = None
        self._session = _Session()

    @property
    def db(self) -> sa.Connection:
        """The connection of the transaction that was begun, with all that was put written: for what goes beside."""
        self._flush()
        return self._db

    @property
    def _db(self) -> sa.Connection:
        assert self._connection is not None, "begin() comes first"
        return self._connection

    @property
    def _name(self) -> str:
        return self.engine.url.render_as_string(hide_password=True)

    # ------------------------------------------------------------------ position

    def position(self) -> Position:
        return self._position

    def _write_position(self, db: sa.Connection) -> None:
        c, kept = tables.position.c, self._kept
        values = {**asdict(self._position), "store": self._store}
        ours = sa.update(tables.position).where(
            c.store == self._store, c.seq == kept.seq, c.mark == kept.mark
        )
        if db.execute(ours.values(values)).rowcount == 1:
            return
        try:
            if kept.seq == 0:
                db.execute(sa.insert(tables.position), {"id": 1, **values})
                return
        except sa.exc.IntegrityError:
            pass
        raise StoreDamaged(
            f"{self._name}: somebody else writes into this database; of the daemons that are configured with it, stop all but one"
        )

    # ------------------------------------------------------------------ reading

    def state(self, name: str) -> State | None:
        return self._get(State, (name,))

    def organisation(self) -> list[OrgRow]:
        return self._all(_ORGANISATION, None)

    def turns(self) -> list[TurnRow]:
        return self._all(_TURNS, None)

    def open_leads(self) -> dict[str, int]:
        self._flush()
        return {seller: count for seller, count in self._db.execute(_OPEN)}

    def closed_cells(self, since: int, before: int) -> list[Cell]:
        """What is asked for next is mostly a day later: what has left that time is taken off what was counted, and what has come is added, so
        that a day costs what was closed in two days and not what was in a year. Leads of that time that change
        meanwhile: :meth:`_recount`.
        """
        self._flush()
        counted = self._counted
        if counted is None or not counted[0] <= since < counted[1] <= before:
            self._db.execute(sa.delete(_cells))
            parts = [(since, before, 1)]
        else:
            parts = [(counted[1], before, 1), (counted[0], since, -1)]
        for begin, end, sign in parts:
            if begin < end:
                self._add(
                    {
                        (cell.seller, cell.stratum): (sign * cell.leads, sign * cell.wins)
                        for cell in self._closed(begin, end)
                    }
                )
        self._counted = (since, before)
        self.put(State(_COUNTED, {"since": since, "before": before}))
        c = _cells.c
        return [
            Cell(seller=seller, stratum=stratum, leads=leads, wins=wins)
            for seller, stratum, leads, wins in self._db.execute(
                sa.select(c.seller, c.stratum, c.leads, c.wins)
            )
        ]

    def _closed(self, since: int, before: int) -> Iterator[Cell]:
        """Yield what was closed in a time as it stands in the leads, and read it there."""
        for seller, quality, band, leads, wins in self._db.execute(
            _CLOSED, {"since": since, "before": before}
        ):
            name = f"q{quality}" + ("" if band is None else f"/p{band}")
            yield Cell(seller=seller, stratum=name, leads=leads, wins=wins)

    def _recount(self, rows: Iterable[LeadRow]) -> None:
        """Let leads that are being written count as they are now, and not as they were: one that was closed may be opened again, or merged."""
        session, changes = self._session, dict[Key, tuple[int, int]]()
        for row in rows:
            before, now = session.judged.get((row.lead,)), _judged(row)
            session.judged[row.lead,] = now
            for judged, sign in ((before, -1), (now, 1)) if before != now else ():
                if (
                    judged is None
                    or self._counted is None
                    or not self._counted[0] <= judged[1] < self._counted[1]
                ):
                    continue
                raw = self.raw(row.raw)
                assert raw is not None  # a lead has the raw lead that began it
                key = judged[0], stratum(raw.quality, raw.probability)
                leads, wins = changes.get(key, (0, 0))
                changes[key] = leads + sign, wins + sign * judged[2]
        self._add(changes)

    def _add(self, changes: Mapping[Key, tuple[int, int]]) -> None:
        rows = [
            {"seller": seller, "stratum": name, "leads": leads, "wins": wins}
            for (seller, name), (leads, wins) in sorted(changes.items())
            if leads or wins
        ]
        if rows:
            self._db.execute(self._add_cells, rows)
        if any(row["leads"] < 0 for row in rows):
            self._db.execute(sa.delete(_cells).where(_cells.c.leads == 0))

    def cost(self, channel: str, day: int, currency: str) -> Cost | None:
        return self._get(Cost, (channel, day, currency))

    def identity(self, kind: str, key: str) -> Identity | None:
        return self._get(Identity, (kind, key))

    def identities_of(self, customer: str) -> list[Identity]:
        return self._all(_IDENTITIES, customer)

    def links_of(self, kind: str, key: str) -> list[Link]:
        return self._all(_LINKS_OF_A, (kind, key)) + self._all(_LINKS_OF_B, (kind, key))

    def link(self, link: str) -> Link | None:
        return self._get(Link, (link,))

    def contact_of(self, customer: str) -> Contact | None:
        found = [
            contact
            for identity in self.identities_of(customer)
            for contact in self.contacts_of(identity.kind, identity.key)
        ]
        return max(found, key=lambda contact: (contact.phone != "", contact.at, contact.id), default=None)

    def contacts_of(self, kind: str, key: str) -> list[Contact]:
        return self._all(_CONTACTS, (kind, key))

    def consents_of(self, kind: str, key: str) -> list[Consent]:
        return self._all(_CONSENTS, (kind, key))

    def raw(self, raw: str) -> RawLead | None:
        return self._get(RawLead, (raw,))

    def raws_of(self, customer: str) -> list[RawLead]:
        return self._all(_RAWS, customer)

    def lead(self, lead: str) -> LeadRow | None:
        return self._get(LeadRow, (lead,))

    def lead_of(self, customer: str, store: str) -> LeadRow | None:
        return next((row for row in self.leads_of(customer) if row.store == store), None)

    def leads_of(self, customer: str) -> list[LeadRow]:
        return [row for row in self.founded_by(customer) if row.merged_into is None]

    def founded_by(self, customer: str) -> list[LeadRow]:
        return self._all(_LEADS, customer)

    def leads_made(self) -> int:
        if self._made is None:
            stored = self._db.execute(_LEADS_MADE).scalar() or 0
            self._made = max((row.number for row in self._session.rows[LeadRow].values()), default=0)
            self._made = max(self._made, stored)
        return self._made

    def merged_into(self, lead: str) -> list[LeadRow]:
        return self._all(_MERGED, lead)

    def entries(self, lead: str) -> list[Entry]:
        return self._all(_ENTRIES, lead)

    def task(self, task: str) -> CleanTask | None:
        return self._get(CleanTask, (task,))

    def tasks_of(self, lead: str) -> list[CleanTask]:
        return self._all(_TASKS, lead)

    def touches_of(self, customer: str) -> list[TouchRow]:
        found = [
            row for one in self.identities_of(customer) for row in self._all(_TOUCHES, (one.kind, one.key))
        ]
        return sorted(found, key=_TOUCHES.in_order)

    def touches_about(self, about: str) -> list[TouchRow]:
        return self._all(_ABOUT, about)

    def consented(self, after: int, limit: int) -> list[LeadRow]:
        self._flush()
        found = self._db.execute(_CONSENTED, {"after": after, "most": limit})
        return [row for each in found if (row := self._take(LeadRow, each)) is not None]

    def due(self, until: int) -> TimerRow | None:
        session = self._session
        rows = session.rows[TimerRow]
        while True:
            while session.timers:
                place = session.timers[0]
                row: TimerRow | None = rows.get(place[1:])
                if row is not None and row.due_at == place[0]:
                    break
                heapq.heappop(session.timers)  # taken off, or put off
            first = session.timers[0] if session.timers else None
            if first is not None and first <= session.timers_read:
                return row if first[0] <= until else None
            if not self._read_timers(until):
                return row if first is not None and first[0] <= until else None

    def _read_timers(self, until: int) -> bool:
        """Read the next stored timers that are due; return whether there may be any that were not here before."""
        session = self._session
        if self.next_due is None or self.next_due > until or session.timers_read >= (until + 1,):
            return False
        at = dict(zip(("due_at", "lead", "kind", "number"), session.timers_read, strict=True))
        # Whatever is next, due or not: whoever applies much at once asks again a little later.
        most = FIRST_TIMERS_READ if session.timers_read[0] < 0 else TIMERS_READ
        found = self._db.execute(_DUE, {**at, "most": most}).all()
        for each in found:
            row = self._take(TimerRow, each)
            if row is not None:
                heapq.heappush(session.timers, (row.due_at, row.lead, row.kind, row.number))
        if len(found) == most:
            last = row_of(TimerRow, found[-1])
            session.timers_read = (last.due_at, last.lead, last.kind, last.number)
        else:
            session.timers_read = (NEVER, "", "", 0)
        return True

    def timers_of(self, lead: str) -> list[TimerRow]:
        return self._all(_TIMERS, lead)

    def _get(self, kind: type[Row], key: Key) -> Row | None:
        session = self._session
        known: Row | None = session.rows[kind].get(key)
        if known is not None or key in session.absent[kind] or key in session.removed[kind]:
            return known
        found = self._db.execute(_BY_KEY[kind], dict(zip(_KEYS[kind], key, strict=True))).first()
        if found is None:
            session.absent[kind].add(key)
            return None
        return self._take(kind, found)

    def _all(self, groups: _Groups, value: Any) -> list[Any]:
        session = self._session
        if (groups, value) not in session.read:
            values = value if len(groups.columns) > 1 else (value,) if groups.columns else ()
            for found in self._db.execute(groups.query, dict(zip(groups.columns, values, strict=True))):
                self._take(groups.row, found)
            session.read.add((groups, value))
        return sorted(session.groups[groups].get(value, {}).values(), key=groups.in_order)

    def _take(self, kind: type[Row], found: sa.Row[Any]) -> Row | None:
        """Return the one object of a row that was read: that which was read or put before, where there is one; None: it was taken away."""
        session = self._session
        row = row_of(kind, found)
        key = _KEY_OF[kind](row)
        if key in session.removed[kind]:
            return None
        known: Row | None = session.rows[kind].get(key)
        if known is None:
            session.place(kind, key, row)
            known = row
        session.stored[kind].add(key)
        if isinstance(row, LeadRow):
            session.standing.setdefault(key, _standing(row))
            session.judged.setdefault(key, _judged(row))
        return known

    # ------------------------------------------------------------------ writing

    def put(self, row: object) -> None:
        kind, session = type(row), self._session
        key = _KEY_OF[kind](row)
        if isinstance(row, LeadRow):
            session.written[row.lead] = row
            if key not in session.rows[kind]:
                session.read.update((groups, row.lead) for groups in _OF_NEW_LEADS)
                if self._made is not None:
                    self._made = max(self._made, row.number)
        elif isinstance(row, Identity) and key in session.absent[kind] and key not in session.rows[kind]:
            session.read.update((groups, row.customer) for groups in _OF_NEW_CUSTOMERS)
            session.read.update((groups, key) for groups in _OF_NEW_IDENTITIES)
        if key in session.removed[kind]:
            session.removed[kind].discard(key)
            session.stored[kind].add(key)
        session.place(kind, key, row)
        session.dirty[kind][key] = row

    def remove(self, row: object) -> None:
        kind, session = type(row), self._session
        key = _KEY_OF[kind](row)
        session.forget(kind, key)
        session.dirty[kind].pop(key, None)
        if key in session.stored[kind]:
            session.stored[kind].discard(key)
            session.removed[kind].add(key)

    def _flush(self) -> None:
        for kind, rows in self._session.dirty.items():
            if self._session.removed[kind]:
                self._delete(kind, self._session.removed[kind])
            if rows:
                self._write(kind, rows)
                rows.clear()

    def _delete(self, kind: type[Any], keys: set[Key]) -> None:
        self._db.execute(_DELETE[kind], [dict(zip(_KEYS[kind], key, strict=True)) for key in sorted(keys)])
        self._session.absent[kind].update(keys)
        keys.clear()

    def _write(self, kind: type[Any], rows: dict[Key, Any]) -> None:
        db, session = self._db, self._session
        stored, names = session.stored[kind], _COLUMNS[kind]
        old = [row for key, row in rows.items() if key in stored]
        new = [row for key, row in rows.items() if key not in stored]
        if kind is LeadRow:
            self._free(old)
        if old:
            parts = [(name, name) for name in _REST[kind]] + [(f"key_{name}", name) for name in _KEYS[kind]]
            db.execute(_UPDATE[kind], [{to: getattr(row, name) for to, name in parts} for row in old])
        if new:
            db.execute(self._upsert[kind], [{name: getattr(row, name) for name in names} for row in new])
            stored.update(map(_KEY_OF[kind], new))
        if kind is LeadRow:
            session.standing.update((key, _standing(row)) for key, row in rows.items())
            self._recount(rows.values())

    def _free(self, rows: Iterable[LeadRow]) -> None:
        """Let leads whose unique key has changed stand under none, before any takes the key that another had."""
        session = self._session
        moved = [row.lead for row in rows if session.standing[(row.lead,)] != _standing(row)]
        if moved:
            self._db.execute(
                sa.update(tables.leads).where(_l.lead == sa.bindparam("moved")).values(merged_into=_l.lead),
                [{"moved": lead} for lead in moved],
            )


def _keys() -> dict[type[Any], set[Key]]:
    return {row: set() for row in TABLES}


def _standing(row: LeadRow) -> Key:
    return row.customer, row.store, row.merged_into


_Time = tuple[int, int]  # from, and before (UTC ms)
_Judged = tuple[str, int, bool]  # whose closed lead it is, when it was closed, whether it was won


def _judged(row: LeadRow) -> _Judged | None:
    """Return what a lead says of its seller, as the query over all leads counts it; None: nothing."""
    if (
        row.closed_at is None
        or row.holder is None
        or row.status not in ("won", "lost")
        or row.merged_into is not None
    ):
        return None
    return row.holder, row.closed_at, row.status == "won"
