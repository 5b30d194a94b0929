"""Inboxes: everybody sees what is theirs, in one order, page by page, without a gap or a repetition."""

from dataclasses import fields
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frontrow.core.centre.book import LeadRow
from frontrow.core.centre.inbox import FAR, LAST, VIEWS, View
from frontrow.core.centre.sight import EVERYTHING, NOTHING, Sight
from frontrow.core.errors import DatabaseAway
from frontrow.storage.centre import tables
from frontrow.storage.centre.database import open_database
from frontrow.storage.centre.desk import Desk, place
from tests.support.centre import START, a_lead

TEAMS = [f"t{number}" for number in range(20)]  # more than are asked for one by one
SIGHTS = [
    EVERYTHING,
    NOTHING,
    Sight(seller="li", teams=frozenset({"t0"})),
    Sight(seller="chen", teams=frozenset({"t0", "t1"}), manages=True),
    Sight(seller="boss", teams=frozenset(TEAMS), manages=True),
]
_leads = st.lists(
    st.fixed_dictionaries({
        "holder": st.sampled_from([None, "li", "wang", "chen"]),
        "team": st.sampled_from([None, "t0", "t1", "t19", "elsewhere"]),
        "pool": st.sampled_from([None, "public"]),
        "due_at": st.sampled_from([None, None, START, START + 1, START + 2]),
        "closed_at": st.sampled_from([None, None, START, START + 1]),
        "merged_into": st.sampled_from([None, None, None, "U1"]),
    }),
    max_size=25,
)  # fmt: skip


def _is_in(row: LeadRow, sight: Sight, view: View) -> bool:
    """What a view is, said without any database."""
    if row.merged_into is not None:
        return False
    if view == "mine":
        return sight.seller is not None and row.holder == sight.seller and row.closed_at is None
    if view != "all" and (row.closed_at is not None) != (view == "closed"):
        return False
    return sight.sees(row)


@given(leads=_leads, sight=st.sampled_from(SIGHTS), view=st.sampled_from(VIEWS), page=st.integers(1, 4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_the_pages_of_an_inbox_are_all_that_somebody_sees_once_and_in_order(
    database: str, leads: list[dict[str, Any]], sight: Sight, view: View, page: int
) -> None:
    rows = [a_lead(number, **each) for number, each in enumerate(leads, start=1)]
    engine = open_database(database)
    try:
        with engine.begin() as db:
            db.execute(sa.delete(tables.leads))
            if rows:
                db.execute(
                    sa.insert(tables.leads),
                    [{each.name: getattr(row, each.name) for each in fields(row)} for row in rows],
                )
        desk, found, after = Desk(engine), list[LeadRow](), None
        while part := desk.inbox(sight, view, limit=page, after=after):
            assert len(part) <= page
            found += part
            after = place(part[-1])
            assert (0, 0) <= after <= (LAST, FAR)
        assert found == sorted((row for row in rows if _is_in(row, sight, view)), key=place)
    finally:
        engine.dispose()


def test_what_is_due_comes_first_then_what_is_not_and_what_was_closed_last_before_the_rest(
    database: str,
) -> None:
    engine = open_database(database)
    rows = [
        a_lead(1, closed_at=START), a_lead(2), a_lead(3, due_at=START + 9), a_lead(4, closed_at=START + 1), a_lead(5),
        a_lead(6, due_at=START + 5), a_lead(7, due_at=START + 9),
    ]  # fmt: skip
    with engine.begin() as db:
        db.execute(
            sa.insert(tables.leads),
            [{each.name: getattr(row, each.name) for each in fields(row)} for row in rows],
        )
    assert [row.number for row in Desk(engine).inbox(EVERYTHING, "all", limit=9)] == [6, 3, 7, 2, 5, 4, 1]
    engine.dispose()


@pytest.mark.parametrize("lead", ["", "\0", "U1\0", "多" * 9_000, "'; --"])
def test_a_name_that_is_no_leads_names_none(database: str, lead: str) -> None:
    engine = open_database(database)
    assert Desk(engine).lead(lead) is None
    engine.dispose()


def test_a_database_that_is_away_is_said_to_be_away() -> None:
    engine = sa.create_engine("sqlite+pysqlite:////proc/nowhere/centre.db")
    with pytest.raises(DatabaseAway):
        Desk(engine).inbox(EVERYTHING, "open", limit=1)
