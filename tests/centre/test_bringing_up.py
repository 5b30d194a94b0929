"""A database of an older Frontrow that has leads in it is brought up, and says then what it would have said if it had always been so."""

from dataclasses import fields, replace

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from frontrow.core.centre.book import Entry, LeadRow
from frontrow.core.centre.milestones import mark
from frontrow.storage.centre import tables
from frontrow.storage.centre.book import row_of, select_rows
from frontrow.storage.centre.database import MIGRATIONS, address_of, engine_of, open_database
from tests.support.centre import START, a_lead


def test_whose_turn_it_was_it_is_when_each_rule_has_a_row_of_its_own(empty_database: str) -> None:
    engine = at_version(empty_database, "0007")
    rotations = {
        "round_robin/team/a": {"turn": 3, "last": {"li": 3, "wang": 2}},
        "weighted/rule/x": {"turn": 1, "last": {"li": 1}, "credits": {"li": -5}},
    }
    with engine.begin() as db:
        old = {"name": "turns", "value": {"day": 7, "rotations": rotations}}
        db.execute(sa.insert(tables.states), old)
    engine.dispose()
    engine = open_database(empty_database)
    with engine.connect() as db:
        assert {row.rotation: row.body for row in db.execute(sa.select(tables.turns))} == rotations
        assert db.execute(sa.select(tables.states.c.value)).scalar() == {"day": 7}
    engine.dispose()


NEW = ("had_at", "contacted", "answered", "taken_back")
ENTRIES = [
    Entry("U1", 1, START, "made", "clock", {}),
    Entry("U1", 2, START + 1, "assigned", "rule:x", {"team": "t"}),  # to a team: nobody has it yet
    Entry("U1", 3, START + 2, "assigned", "rule:x", {"seller": "li"}),
    Entry("U1", 4, START + 3, "returned", "clock", {}),
    Entry("U1", 5, START + 4, "lead_claim", "wang", {"seller": "wang"}),
    Entry("U2", 1, START, "lead_touch", "li", {"direction": "out", "answered": False}),
    Entry("U3", 1, START, "lead_touch", "li", {"direction": "out", "answered": False}),
    Entry("U3", 2, START, "lead_touch", "li", {"direction": "in"}),
    Entry("U4", 1, START, "lead_touch", "li", {"answered": True}),
    Entry("U5", 1, START, "lead_transfer", "li", {"seller": "wang"}),
]


def at_version(url: str, version: str) -> sa.Engine:
    engine, config = engine_of(address_of(url)), Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as db:
        config.attributes["connection"] = db
        command.upgrade(config, version)
    return engine


def test_leads_say_what_their_timelines_do(empty_database: str) -> None:
    leads = [a_lead(number) for number in range(1, 7)]
    engine = at_version(empty_database, "0003")
    names = [each.name for each in fields(LeadRow) if each.name not in NEW]
    with engine.begin() as db:
        db.execute(sa.insert(tables.leads), [{name: getattr(row, name) for name in names} for row in leads])
        of_entry = [each.name for each in fields(Entry)]
        rows = [{name: getattr(entry, name) for name in of_entry} for entry in ENTRIES]
        db.execute(sa.insert(tables.timeline), rows)
    engine.dispose()
    expected = [replace(row) for row in leads]
    for entry in ENTRIES:
        mark(expected[int(entry.lead[1:]) - 1], entry)
    assert [(row.had_at, row.answered) for row in expected[:3]] == [
        (START + 2, False),
        (None, False),
        (None, True),
    ]
    engine = open_database(empty_database)
    with engine.connect() as db:
        query = select_rows(LeadRow).order_by(tables.leads.c.number)
        assert [row_of(LeadRow, row) for row in db.execute(query)] == expected
        assert [each["name"] for each in sa.inspect(db).get_indexes("timeline")] == [
            "orders_of_lead",
            "timeline_by_time",
            "timeline_noted",
        ]
    engine.dispose()
