"""Takes names, words, notes and contacts out of the lead centre's database when they have been kept for as long as is configured.

What there is to take is found by indices of what is still there, so nothing has to be remembered of how far a sweep
got: it can end behind any batch, be done twice, and finds in a database that was made anew what it would find in the
one before. Nothing is decided by what it takes, so it commutes with whatever the centre does in between; leads keep
their versions.

A lead shows what its raw leads and its customer's contacts say, so it is settled with them: it keeps the name of a
newer visit.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from frontrow.core.centre.book import RawLead
from frontrow.core.centre.erasing import CONTACTS, NAMES, TEXTS
from frontrow.core.centre.survivors import survivors
from frontrow.storage.centre import tables
from frontrow.storage.centre.book import row_of, select_rows
from frontrow.storage.centre.database import WRITES

ROWS_A_STEP = 100  # of each part at once: measured, 4 to 25 ms of the centre's thread in SQLite

_raws, _leads, _contacts, _ids, _lines = (
    tables.raw_leads.c, tables.leads.c, tables.contacts.c, tables.identities.c, tables.timeline.c,
)  # fmt: skip
_held = sa.or_(_contacts.sealed.is_not(None), _contacts.masked.is_not(None))  # as the index has it
# What is kept of a part, by which time it ages, and in what.
_KEPT: Mapping[str, tuple[tuple[sa.Table, sa.ColumnElement[bool], sa.Column[Any]], ...]] = {
    NAMES: ((tables.raw_leads, _raws.name.is_not(None), _raws.decided_at),),
    TEXTS: (
        (tables.raw_leads, _raws.words.is_not(None), _raws.decided_at),
        (tables.timeline, _lines.note.is_not(None), _lines.at),
    ),
    CONTACTS: ((tables.contacts, _held, _contacts.at),),
}


def sweep(engine: sa.Engine, before: Mapping[str, int], rows: int = ROWS_A_STEP) -> dict[str, int]:
    """Take out of a database some of what is older than ``before`` (UTC ms, by part), in one transaction; nobody else may write meanwhile.

    Return of how many rows each part was taken, at most ``rows`` of each kind of row; {}: there is no more.
    """
    taken: dict[str, int] = {}
    with engine.connect().execution_options(**{WRITES: True}) as db, db.begin():
        for part, until in before.items():
            count = sum(take(db, until, rows) for take in _TAKES[part])
            if count:
                taken[part] = count
    return taken


def sweep_all(engine: sa.Engine, before: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """Yield what each step of :func:`sweep` took, until there is no more."""
    while taken := sweep(engine, before):
        yield taken


def overdue(engine: sa.Engine, before: Mapping[str, int]) -> int:
    """Return how many rows hold what is older than ``before`` (UTC ms, by part)."""
    with engine.connect() as db:
        return sum(
            db.execute(sa.select(sa.func.count()).select_from(table).where(kept, at < until)).scalar_one()
            for part, until in before.items()
            for table, kept, at in _KEPT[part]
        )


def _oldest(part: str, place: int, until: int, rows: int, *columns: sa.Column[Any]) -> sa.Select[Any]:
    _, kept, at = _KEPT[part][place]
    return sa.select(*columns).where(kept, at < until).order_by(at).limit(rows)


def _names(db: sa.Connection, until: int, rows: int) -> int:
    found = db.execute(_oldest(NAMES, 0, until, rows, _raws.raw, _raws.customer)).all()
    if not found:
        return 0
    _blank(db, tables.raw_leads, _raws.raw, [each.raw for each in found], "name")
    customers = sorted({each.customer for each in found})
    left: dict[str, list[RawLead]] = {}
    for row in db.execute(select_rows(RawLead, _raws.customer.in_(customers), _raws.name.is_not(None))):
        raw: RawLead = row_of(RawLead, row)
        left.setdefault(raw.customer, []).append(raw)
    changes: dict[str | None, list[str]] = {}
    for lead in db.execute(
        sa.select(_leads.lead, _leads.customer, _leads.merged_into, _leads.name).where(
            _leads.customer.in_(customers), _leads.name.is_not(None)
        )
    ):
        known = left.get(lead.customer, [])
        shown = survivors((), known).get("name")
        name = None if shown is None else shown.won.value
        if (
            lead.merged_into is not None
        ):  # it stands still until it parts, and then says what is known by then
            name = lead.name if lead.name in {raw.name for raw in known} else None
        if name != lead.name:
            changes.setdefault(name, []).append(lead.lead)
    _set(db, "name", changes)
    return len(found)


def _words(db: sa.Connection, until: int, rows: int) -> int:
    found = db.execute(_oldest(TEXTS, 0, until, rows, _raws.raw, _raws.customer)).all()
    if not found:
        return 0
    raws = [each.raw for each in found]
    _blank(db, tables.raw_leads, _raws.raw, raws, "words")
    # Of its customer is whoever a lead began by; that is what leads are found by.
    begun = sa.and_(_leads.customer.in_(sorted({each.customer for each in found})), _leads.raw.in_(raws))
    db.execute(sa.update(tables.leads).where(begun, _leads.words.is_not(None)).values(words=None))
    return len(found)


def _notes(db: sa.Connection, until: int, rows: int) -> int:
    found = db.execute(_oldest(TEXTS, 1, until, rows, _lines.lead, _lines.number)).all()
    if found:
        line = sa.and_(_lines.lead == sa.bindparam("of"), _lines.number == sa.bindparam("place"))
        places = [{"of": each.lead, "place": each.number} for each in found]
        db.execute(sa.update(tables.timeline).where(line).values(note=None), places)
    return len(found)


def _numbers(db: sa.Connection, until: int, rows: int) -> int:
    found = db.execute(_oldest(CONTACTS, 0, until, rows, _contacts.id, _contacts.kind, _contacts.key)).all()
    if not found:
        return 0
    _blank(db, tables.contacts, _contacts.id, [each.id for each in found], "sealed", "masked")
    keys: dict[str, set[str]] = {}
    for each in found:
        keys.setdefault(each.kind, set()).add(each.key)
    customers = sorted(
        {
            customer
            for kind, of_kind in keys.items()
            for customer in db.execute(
                sa.select(_ids.customer).where(_ids.kind == kind, _ids.key.in_(sorted(of_kind)))
            ).scalars()
        }
    )
    theirs = tables.contacts.join(
        tables.identities, sa.and_(_ids.kind == _contacts.kind, _ids.key == _contacts.key)
    )
    left: dict[str, list[tuple[tuple[bool, int, str], str | None]]] = {}
    for row in db.execute(
        sa.select(_ids.customer, _contacts.id, _contacts.phone, _contacts.at, _contacts.masked)
        .select_from(theirs)
        .where(_ids.customer.in_(customers))
    ):
        left.setdefault(row.customer, []).append(((row.phone != "", row.at, row.id), row.masked))
    changes: dict[str | None, list[str]] = {}
    for lead in db.execute(
        sa.select(_leads.lead, _leads.customer, _leads.merged_into, _leads.masked).where(
            _leads.customer.in_(customers), _leads.masked.is_not(None)
        )
    ):
        known = left.get(lead.customer, [])
        # The contact that the book says is the customer's: the newest, one that can be called before others.
        masked = max(known)[1] if known else None
        if lead.merged_into is not None:
            masked = lead.masked if lead.masked in {each for _, each in known} else None
        if masked != lead.masked:
            changes.setdefault(masked, []).append(lead.lead)
    _set(db, "masked", changes)
    return len(found)


_TAKES = {NAMES: (_names,), TEXTS: (_words, _notes), CONTACTS: (_numbers,)}


def _blank(db: sa.Connection, table: sa.Table, key: sa.Column[Any], keys: Iterable[str], *names: str) -> None:
    db.execute(sa.update(table).where(key.in_(keys)).values(dict.fromkeys(names, None)))


def _set(db: sa.Connection, name: str, changes: Mapping[str | None, list[str]]) -> None:
    for value, leads in changes.items():
        db.execute(sa.update(tables.leads).where(_leads.lead.in_(leads)).values({name: value}))
