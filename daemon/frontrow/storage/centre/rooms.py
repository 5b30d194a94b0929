"""Keeps what was counted of rooms, and reads it back: rows for the indicators, and the memory of who counts and of who looks at conduct."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from frontrow.core.centre.conduct import Conduct
from frontrow.core.centre.room_facts import COUNTS, FactsRow, Place, RoomFacts
from frontrow.storage.centre import tables

_f, _m = tables.room_facts, tables.room_memory
_KEY = tuple(column.name for column in _f.primary_key)
_VALUES = (*COUNTS, "peak", "lag", "dwell")
_AT_PLACE = [_f.c[name] == sa.bindparam(f"at_{name}") for name in _KEY]
_FIND = sa.select(*(_f.c[name] for name in _VALUES)).where(*_AT_PLACE)
_UPDATE = sa.update(_f).where(*_AT_PLACE).values({name: sa.bindparam(name) for name in _VALUES})
_OF_CONDUCT = {"platform": "", "room": "", "session": "conduct"}
_IS_CONDUCT = sa.and_(*(_m.c[name] == value for name, value in _OF_CONDUCT.items()))
_OF_MEMORY = [_m.c[name] == sa.bindparam(f"of_{name}") for name in ("platform", "room", "session")]


def load_rooms(engine: sa.Engine, facts: RoomFacts) -> None:
    """Let who counts go on from what was written."""
    with engine.connect() as db:
        rows = db.execute(
            sa.select(_m.c.platform, _m.c.room, _m.c.session, _m.c.body).where(sa.not_(_IS_CONDUCT))
        ).all()
    facts.load(((row.platform, row.room, row.session), bytes(row.body)) for row in rows)


def save_rooms(db: sa.Connection, facts: RoomFacts) -> None:
    """Write what has changed; whoever commits says so to ``facts``."""
    for (
        session
    ) in facts.sessions():  # one after the other: a session's later life adds to what its earlier one left
        session.found(_read(db, session.missing()))
        _put(db, session.rows())
    memories = facts.memories()
    keys = [dict(zip(("of_platform", "of_room", "of_session"), key, strict=True)) for key in memories]
    db.execute(sa.delete(_m).where(*_OF_MEMORY), keys)
    kept = [
        {"platform": platform, "room": room, "session": session, "body": body}
        for (platform, room, session), body in memories.items()
        if body is not None
    ]
    db.execute(sa.insert(_m), kept)


def load_conduct(engine: sa.Engine, conduct: Conduct, seq: int) -> None:
    """Let who looks at viewers' conduct go on from what was written, or from ``seq`` where nothing was."""
    with engine.connect() as db:
        body = db.execute(sa.select(_m.c.body).where(_IS_CONDUCT)).scalar()
    conduct.load(None if body is None else bytes(body), seq)


def save_conduct(db: sa.Connection, conduct: Conduct) -> None:
    """Write what is known of viewers' conduct; whoever commits says so to ``conduct``."""
    body = conduct.packed()
    if db.execute(sa.update(_m).where(_IS_CONDUCT).values(body=body)).rowcount == 0:
        db.execute(sa.insert(_m), {**_OF_CONDUCT, "body": body})


def _read(db: sa.Connection, places: Iterable[Place]) -> dict[Place, FactsRow]:
    found: dict[Place, FactsRow] = {}
    for place in places:
        row = db.execute(_FIND, _at(place)).first()
        if row is not None:
            kept = dict(row._mapping)
            counts = {name: kept.pop(name) for name in COUNTS}
            found[place] = FactsRow(counts, **kept)
    return found


def _put(db: sa.Connection, rows: Iterable[tuple[Place, FactsRow]]) -> None:
    for place, row in rows:
        values: dict[str, Any] = asdict(row)
        values |= values.pop("counts")
        if db.execute(_UPDATE, {**_at(place), **values}).rowcount == 0:
            db.execute(sa.insert(_f), {**place._asdict(), **values})


def _at(place: Place) -> dict[str, Any]:
    return {f"at_{name}": value for name, value in place._asdict().items()}
