"""What people read of the lead centre: inboxes and single leads. Each call is one short transaction of its own."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from frontrow.core.centre.book import CleanTask, Contact, Entry, LeadRow, RawLead
from frontrow.core.centre.centre import transfer_state
from frontrow.core.centre.facts import Region
from frontrow.core.centre.inbox import FAR, LAST, View, place_of
from frontrow.core.centre.sight import Sight
from frontrow.core.centre.stages import CLOSED
from frontrow.core.centre.transfer import OpenLead, Plan, read_plan
from frontrow.core.errors import DatabaseAway
from frontrow.storage.centre import tables
from frontrow.storage.centre.book import row_of, select_rows
from frontrow.storage.centre.database import answering

_l = tables.leads.c
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Leaving:
    """The leads of a store that leaves; fits :class:`frontrow.runtime.transfers.Leaving`."""

    leads: list[OpenLead]
    more: bool  # than were asked for
    present: dict[tuple[str, str], OpenLead]
    loads: dict[str, int]


_OPEN = sa.and_(_l.closed_at.is_(None), _l.merged_into.is_(None))
_CLOSED = sa.and_(_l.closed_at.is_not(None), _l.merged_into.is_(None))


class Desk:
    """Reads the database that the centre writes. Thread-safe. Every method raises DatabaseAway where it does not answer."""

    def __init__(self, engine: sa.Engine, *, is_open: Callable[[], bool] = lambda: True) -> None:
        """``is_open`` says whether the tables are there and up to date; until then the database counts as away."""
        self._engine = engine
        self._is_open = is_open

    @property
    def engine(self) -> sa.Engine:
        """The database that is read."""
        return self._engine

    def inbox(
        self, sight: Sight, view: View, *, limit: int, after: tuple[int, int] | None = None
    ) -> list[LeadRow]:
        """Return leads that somebody sees, in the order of :func:`~frontrow.core.centre.inbox.place_of`.

        "mine": what they hold and is open. "open" and "closed": all that is. ``after`` is the place of the last one
        they have.
        """
        found: list[LeadRow] = []
        with self.reading() as db:
            for stretch, behind in _stretches(view, after):
                if len(found) == limit:
                    break
                query = _first_of(db.dialect.name, stretch, _parts(sight, view), sight.manages)
                asked = {**behind, "seller": sight.seller, "most": limit - len(found)}
                if "teams" in _parts(sight, view):
                    asked["teams"] = _list_of(db.dialect.name, sorted(sight.teams))
                found += sorted(map(_lead_of, db.execute(query, asked)), key=place)
        return found

    def lead(self, lead: str) -> LeadRow | None:
        """Return a lead, or where it was merged into another one that one; None: there is none."""
        if "\0" in lead:
            return None  # no name of a lead, and no text to Postgres
        with self.reading() as db:
            for _ in range(64):  # merges of merges; a circle would be a bug, and no reason to hang
                row = db.execute(select_rows(LeadRow, _l.lead == lead)).first()
                found = None if row is None else row_of(LeadRow, row)
                if found is None or found.merged_into is None:
                    return found
                lead = found.merged_into
        return None

    def timeline(self, lead: str) -> list[Entry]:
        """Return what happened to a lead, in order."""
        where = tables.timeline.c.lead == lead
        return self._rows(Entry, select_rows(Entry, where).order_by(tables.timeline.c.number))

    def entries_of(self, leads: Sequence[str], kinds: Sequence[str]) -> dict[str, list[Entry]]:
        """Return what happened of some kinds to some leads, by lead and in order; leads to which nothing of it happened are left out."""
        c = tables.timeline.c
        where = sa.and_(c.lead.in_(list(leads)), c.kind.in_(list(kinds)))
        found: dict[str, list[Entry]] = {}
        for entry in self._rows(Entry, select_rows(Entry, where).order_by(c.lead, c.number)):
            found.setdefault(entry.lead, []).append(entry)
        return found

    def raws(self, lead: str) -> list[RawLead]:
        """Return the raw leads that went into a lead, the latest first."""
        c = tables.raw_leads.c
        return self._rows(RawLead, select_rows(RawLead, c.lead == lead).order_by(c.decided_at.desc(), c.raw))

    def reasons(self, leads: Sequence[str]) -> dict[str, list[Any]]:
        """Return the reasons of the latest raw lead of each of some leads."""
        c = tables.raw_leads.c
        query = (
            sa.select(c.lead, c.reasons).where(c.lead.in_(list(leads))).order_by(c.decided_at, c.raw.desc())
        )
        with self.reading() as db:
            return {lead: reasons for lead, reasons in db.execute(query)}

    def contact(self, customer: str) -> Contact | None:
        """Return the newest contact of a customer, one that can be called before others, or None.

        One of which nothing is left, since retention or an erasure has taken it, comes behind all: of it there is
        nothing to show.
        """
        c, i = tables.contacts.c, tables.identities.c
        of = sa.select(i.kind, i.key).where(i.customer == customer).subquery()
        query = (
            select_rows(Contact, c.kind == of.c.kind, c.key == of.c.key)
            .order_by(c.sealed.is_not(None).desc(), (c.phone != "").desc(), c.at.desc(), c.id.desc())
            .limit(1)
        )
        found = self._rows(Contact, query)
        return found[0] if found else None

    def tasks(self, state: Sequence[str], *, limit: int) -> list[CleanTask]:
        """Return questions about leads in these states, the oldest first."""
        c = tables.clean_tasks.c
        query = select_rows(CleanTask, c.state.in_(list(state))).order_by(c.created_at, c.task).limit(limit)
        return self._rows(CleanTask, query)

    def to_transfer(self, store: str, *, limit: int) -> Leaving:
        """Return what a plan for the leads of a store needs to know, as of one moment."""
        c = _l
        columns = (
            c.lead, c.customer, c.team, c.holder, c.country, c.province, c.city, c.product, c.taxonomy, c.status, c.store,
        )  # fmt: skip
        of_store = sa.and_(c.store == store, c.closed_at.is_(None), c.merged_into.is_(None))
        with self.reading() as db:
            query = sa.select(*columns).where(of_store).order_by(c.number).limit(limit + 1)
            found = [(row.store, _open_lead(row)) for row in db.execute(query)]
            customers = sorted({lead.customer for _, lead in found if lead.customer is not None})
            present: dict[tuple[str, str], OpenLead] = {}
            for start in range(0, len(customers), _CHUNK):
                others = sa.select(*columns).where(
                    c.customer.in_(customers[start : start + _CHUNK]),
                    c.store != store,
                    c.merged_into.is_(None),
                )
                present.update(((row.store, row.customer), _open_lead(row)) for row in db.execute(others))
            loads = db.execute(
                sa.select(c.holder, sa.func.count())
                .where(c.holder.is_not(None), c.closed_at.is_(None), c.merged_into.is_(None))
                .group_by(c.holder)
            )
            return Leaving(
                leads=[lead for _, lead in found[:limit]],
                more=len(found) > limit,
                present=present,
                loads={holder: count for holder, count in loads},
            )

    def plan(self, plan: str) -> Plan | None:
        """Return the plan of a store's transfer that the journal has told of, or None: none, or it is too old."""
        c = tables.states.c
        with self.reading() as db:
            found = db.execute(sa.select(c.value).where(c.name == transfer_state(plan))).scalar()
        return None if found is None else read_plan(found)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Give a connection to read with, for a question of another module's."""
        if not self._is_open():
            raise DatabaseAway("the lead centre's database has not answered yet")
        with answering(), self._engine.connect() as db:
            yield db

    def _rows(self, kind: type[Any], query: sa.Select[Any]) -> list[Any]:
        with self.reading() as db:
            return [row_of(kind, row) for row in db.execute(query)]


def _open_lead(row: Any) -> OpenLead:
    return OpenLead(
        lead=row.lead,
        customer=row.customer,
        team=row.team,
        seller=row.holder,
        region=Region(country=row.country, province=row.province, city=row.city),
        product=row.product,
        taxonomy=tuple(row.taxonomy.split("/")) if row.taxonomy else (),
        status="closed" if row.status in CLOSED else row.status,
    )


def place(lead: LeadRow) -> tuple[int, int]:
    """Return where a lead stands in an inbox."""
    return place_of(due_at=lead.due_at, closed_at=lead.closed_at, number=lead.number)


def _lead_of(row: sa.Row[Any]) -> LeadRow:
    return row_of(LeadRow, row)


# The stretches of which views are made, in order, each in the order of an index: open leads that are due, open ones
# that are not, closed ones.
_Stretch = Literal["due", "undated", "closed"]
_Part = Literal["everything", "held", "pooled", "teams"]  # what somebody sees, each for one index


def _stretches(view: View, after: tuple[int, int] | None) -> list[tuple[_Stretch, dict[str, int]]]:
    """Return the stretches of a view that lie behind a place, each with the place in it."""
    at, number = (-1, -1) if after is None else after
    found: list[tuple[_Stretch, dict[str, int]]] = []
    if view != "closed":
        if at < FAR:
            found.append(("due", {"at": at, "number": number}))
        if at <= FAR:
            found.append(("undated", {"number": number if at == FAR else -1}))
    if view in ("closed", "all"):
        before = (LAST - at, FAR - number) if at > FAR else (FAR, FAR)
        found.append(("closed", {"at": before[0], "number": before[1]}))
    return found


def _parts(sight: Sight, view: View) -> tuple[_Part, ...]:
    """Return the parts of what somebody sees in a view."""
    mine: tuple[_Part, ...] = () if sight.seller is None else ("held",)
    if view == "mine":
        return mine
    if sight.everything:
        return ("everything",)
    return (*mine, *(("pooled",) if mine else ()), *(("teams",) if sight.teams else ()))


@cache
def _first_of(dialect: str, stretch: _Stretch, parts: tuple[_Part, ...], manages: bool) -> sa.Select[Any]:
    """Return a query of the ``most`` first leads of a stretch behind a place that are in any of some parts; they come in no order.

    The first of each part are found in an index, which has its leads in the stretch's order, and only those that are
    the first of all are read: an OR over the parts would read all that each of them has. Made once: to put it
    together takes longer than to ask it.
    """
    most = sa.bindparam("most", type_=sa.Integer)
    found = [
        sa.select(_found_of(_CONDITIONS[part], stretch, pooled=part == "pooled").limit(most).subquery())
        for part in parts
        if part != "teams"
    ]
    if "teams" in parts:
        found.append(_of_teams(dialect, stretch, manages, most))
    if not found:
        return select_rows(LeadRow, sa.false())
    c = sa.union(*found).subquery("found").c
    order = (c.at.desc(), c.number.desc()) if stretch == "closed" else (c.at, c.number)
    return select_rows(LeadRow, _l.number.in_(sa.select(c.number).order_by(*order).limit(most)))


_CONDITIONS: dict[_Part, Any] = {
    "everything": sa.true(),
    "held": sa.and_(_l.holder == sa.bindparam("seller"), _l.awaits_approval.is_(False)),
    "pooled": sa.and_(_l.pool.is_not(None), _l.holder.is_(None)),
}


# What is NULL throughout orders nothing. SQLite sees that an index has the rest of its columns in order then;
# Postgres does, and need not sort all that there is, where the order names every column of the index.
_NO_DATE = (_l.due_at,)
_OF_NOBODY = (_l.holder,)


def _found_of(condition: Any, stretch: _Stretch, *, pooled: bool = False) -> sa.Select[Any]:
    """Return a query of the places of a stretch for whose leads a condition holds, in order; ``pooled``: all of them are of nobody."""
    number = sa.bindparam("number", type_=sa.BigInteger)
    behind = sa.tuple_(sa.bindparam("at", type_=sa.BigInteger), number)
    match stretch:
        case "due":
            where: Any = sa.and_(_OPEN, sa.tuple_(_l.due_at, _l.number) > behind)
            at: Any = _l.due_at
            order: tuple[Any, ...] = (_l.due_at, _l.number)
        case "undated":
            where = sa.and_(_OPEN, _l.due_at.is_(None), _l.number > number)
            at, order = _l.number, (*_NO_DATE, _l.number)
        case "closed":
            where = sa.and_(_CLOSED, sa.tuple_(_l.closed_at, _l.number) < behind)
            at, order = _l.closed_at, (_l.closed_at.desc(), _l.number.desc())
    if pooled and stretch != "closed":
        order = (*_OF_NOBODY, *order)
    return sa.select(_l.number, at.label("at")).where(condition, where).order_by(*order)


def _of_teams(dialect: str, stretch: _Stretch, manages: bool, most: Any) -> sa.Select[Any]:
    """Return a query of the first places of each of the ``teams``: each is asked for by itself, so that it takes as long however many leads
    they have, and a region's some hundred teams no longer than their number."""
    nobodys = [] if manages else [_l.holder.is_(None)]
    if dialect == "postgresql":
        given = sa.bindparam("teams", type_=postgresql.ARRAY(tables.Words))
        team = (
            sa.func.unnest(given).table_valued(sa.column("value", tables.Words)).render_derived(name="team")
        )
        of_team = sa.and_(_l.team == team.c.value, *nobodys)
        each = _found_of(of_team, stretch).limit(most).lateral()
        return sa.select(each.c.number, each.c.at).select_from(team).join(each, sa.true())
    # SQLite knows no LATERAL, but looks a list in IN up anew for each team.
    listed = sa.func.json_each(sa.bindparam("teams", type_=sa.Text)).table_valued("value", name="team")
    first = _found_of(sa.and_(_l.team == listed.c.value, *nobodys), stretch).limit(most)
    lead = tables.leads.alias("of_team")
    at = {"due": lead.c.due_at, "undated": lead.c.number, "closed": lead.c.closed_at}[stretch]
    numbers = first.with_only_columns(_l.number).correlate(listed)
    return sa.select(lead.c.number, at.label("at")).select_from(listed).join(lead, lead.c.number.in_(numbers))


def _list_of(dialect: str, values: list[str]) -> Any:
    """Return a list as a parameter."""
    return values if dialect == "postgresql" else orjson.dumps(values).decode()
