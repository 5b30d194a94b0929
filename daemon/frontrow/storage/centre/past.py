"""What was decided of leads in a time: for a dry run of other rules. Read-only, beside a running daemon."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa

from frontrow.core.centre.book import OrgRow, RawLead
from frontrow.storage.centre import tables
from frontrow.storage.centre.book import row_of, select_rows

_BATCH = 500
_l, _r, _t = tables.leads.c, tables.raw_leads.c, tables.timeline.c


@dataclass(frozen=True, slots=True)
class Past:
    """A raw lead that began a lead, where its customer was known to be from, and who got it first: ``rule`` None: none took it."""

    raw: RawLead
    country: str
    province: str
    city: str
    rule: str | None
    team: str | None
    pool: str | None
    seller: str | None


def decided(engine: sa.Engine, from_at: int, to_at: int) -> Iterator[Past]:
    """Yield the leads that were begun from ``from_at`` on and before ``to_at`` (UTC ms), in the order of deciding."""
    with engine.connect() as db:
        query = (
            select_rows(RawLead, _r.decided_at >= from_at, _r.decided_at < to_at)
            # A raw lead that began a lead stays with it, whatever that is merged into.
            .join(tables.leads, sa.and_(_l.lead == _r.lead, _l.raw == _r.raw))
            .add_columns(_l.lead.label("began"), _l.country, _l.province, _l.city)
            .order_by(_r.decided_at, _r.raw)
        )
        found = db.execute(query).all()
        for start in range(0, len(found), _BATCH):
            part = found[start : start + _BATCH]
            given: dict[str, Any] = {}
            entries = (
                sa.select(_t.lead, _t.actor, _t.data)
                .where(_t.lead.in_([row.began for row in part]), _t.kind.in_(["assigned", "waiting"]))
                .order_by(_t.lead, _t.number)
            )
            for entry in db.execute(entries):
                given.setdefault(entry.lead, entry)
            for row in part:
                first = given.get(row.began)
                data = {} if first is None else first.data
                rule = None if first is None else first.actor.removeprefix("rule:")
                yield Past(
                    raw=RawLead(*tuple(row)[: len(fields(RawLead))]),
                    country=row.country,
                    province=row.province,
                    city=row.city,
                    rule=None if first is None or rule == first.actor else rule,
                    team=data.get("team"),
                    pool=data.get("pool"),
                    seller=data.get("seller"),
                )


def organisation_rows(engine: sa.Engine) -> list[OrgRow]:
    """Return all versions of all units and sellers."""
    with engine.connect() as db:
        return [row_of(OrgRow, row) for row in db.execute(select_rows(OrgRow))]


def last_moment(engine: sa.Engine) -> int:
    """Return engine time (UTC ms) up to which the lead centre has followed the journal."""
    with engine.connect() as db:
        return db.execute(sa.select(tables.position.c.now)).scalar() or 0
