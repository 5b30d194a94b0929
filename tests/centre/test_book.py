"""The book and its two databases: what is written is read again, the same in both, whatever it is."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frontrow.core.centre.book import (
    Access,
    CleanTask,
    Consent,
    Contact,
    Entry,
    Identity,
    Link,
    OrgRow,
    RawLead,
    State,
    TimerRow,
)
from frontrow.core.errors import StoreDamaged
from frontrow.core.frames import Frame
from frontrow.storage.centre import tables
from frontrow.storage.centre.book import TABLES, TIMERS_READ, SqlBook, row_of, select_rows
from frontrow.storage.centre.database import WRITES, open_database
from tests.support.centre import START, STORE, Scene, a_lead, hot_lead

MOST = (1 << 63) - 1
WORDS = "小鱼 🐟 é\u0301\u202e'\";--\\ \t\n"
NESTED = {"": None, "a": [1, -MOST - 1, 1.5, True, {"深": [[], {}]}], "b": WORDS, "c": 2**53 + 1}
# In the order of their code points, which is no language's.
SORTED = ["", "-", "B", "Z", "_", "a", "a b", "ab", "z", "ß", "ä", "é", "中", "ａ", "🐟"]


@contextmanager
def booked(url: str) -> Iterator[SqlBook]:
    """Give a book on a database, in a transaction."""
    book = SqlBook(open_database(url), STORE)
    try:
        book.begin()
        yield book
    finally:
        book.close()


def test_tables_are_made_once_and_are_what_the_code_takes_them_for(empty_database: str) -> None:
    open_database(empty_database).dispose()
    engine = open_database(empty_database)
    with engine.connect() as db:
        context = MigrationContext.configure(db, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, tables.metadata) == []
    engine.dispose()


def test_no_text_has_a_length_or_an_order_of_its_own() -> None:
    """SQLite would ignore a length and Postgres refuse the row, and each database sorts by its own language where it may."""
    kinds = {
        str(column): column.type for table in tables.metadata.tables.values() for column in table.columns
    }
    texts = {name: kind for name, kind in kinds.items() if isinstance(kind, sa.String)}
    assert [name for name, kind in texts.items() if kind is not tables.Words] == []


FULL: list[Any] = [
    State("n", NESTED),
    OrgRow("unit", WORDS, MOST, NESTED),
    Identity("viewer:中", WORDS, "C1", MOST),
    Link("l", "a", WORDS, "b", "k", "s", 0.1 + 0.2, 1, 2, "x"),
    Contact("c", "k", "y", "f" * 32, "CN", "浙江", "杭州", "138", "s" * 9_000, MOST, None),
    Consent("k", "y", "contact", "", True, MOST, WORDS),
    RawLead(
        "r", "room", "p", "r1", None, "k", "v", "C1", "U1", "", "new", "hot", 5, 80, 1e-308, [NESTED], MOST,
        None, WORDS, None, None, "p", None, WORDS, "长" * 4_096,
    ),
    Entry("U1", 1, MOST, "made", "clock", NESTED, WORDS),
    TimerRow("U1", "breach", 1, MOST),
    Access("a", "U1", "C1", WORDS, "", MOST),
    CleanTask("t", "U1", "r", "queued", None, None, -MOST - 1, None),
]  # fmt: skip


def test_every_row_comes_back_as_it_was_put(database: str) -> None:
    lead = a_lead(1, reached=["新", ""], flags=[], value=MOST, probability=0.1, words="长" * 4_096)
    with booked(database) as book:
        for row in [*FULL, lead]:
            book.put(row)
        assert book.commit() == [lead]
    with booked(database) as book:
        for row in [*FULL, lead]:
            kind: type[Any] = type(row)
            key = {column.name: getattr(row, column.name) for column in TABLES[kind].primary_key}
            found = book.db.execute(select_rows(kind).filter_by(**key)).one()
            assert row_of(kind, found) == row


def test_what_was_put_is_seen_before_it_is_written_and_after(database: str) -> None:
    """A frame's second event must find what its first has done."""

    def look(book: SqlBook) -> None:
        assert [each.key for each in book.identities_of("C1")] == ["b", "a"]
        assert [each.lead for each in book.leads_of("C1")] == ["U1"]
        assert [each.lead for each in book.founded_by("C1")] == ["U1", "U2"]
        assert [each.lead for each in book.merged_into("U1")] == ["U2"]
        assert book.lead_of("C1", "s1") is not None and book.lead_of("C1", "s2") is None
        assert [each.kind for each in book.timers_of("U1")] == ["nudge", "breach"]
        assert (due := book.due(100)) is not None and due.kind == "nudge"
        assert book.due(9) is None
        assert book.leads_made() == 2
        assert book.open_leads() == {"li": 1}

    with booked(database) as book:
        book.put(Identity("viewer:p", "a", "C1", 2))
        book.put(Identity("viewer:p", "b", "C1", 1))
        book.put(a_lead(1, holder="li"))
        book.put(a_lead(2, customer="C1", merged_into="U1", holder="li"))
        for kind, due in (("breach", 20), ("nudge", 10), ("recycle", 5)):
            book.put(TimerRow("U1", kind, 1, due))
        book.remove(book.timers_of("U1")[0])
        look(book)
        assert book.db.in_transaction()  # all is written
        look(book)
        book.commit()
        book.begin()
        look(book)


def test_what_was_rolled_back_was_never_there(database: str) -> None:
    with booked(database) as book:
        book.put(a_lead(1, holder="li"))
        book.position().seq = 1
        book.commit()
        book.begin()
        row = book.lead("U1")
        assert row is not None
        row.holder, row.version = "wang", 2
        book.put(row)
        book.put(a_lead(2))
        book.put(TimerRow("U1", "breach", 1, 5))
        book.position().seq = 7
        assert book.db.in_transaction()  # and all of it is written
        book.roll_back()
        book.begin()
        assert book.leads_made() == 1
        assert (again := book.lead("U1")) is not None and again.holder == "li"
        assert (book.position().seq, book.due(100), book.next_due) == (1, None, None)


def test_one_of_two_who_write_the_same_unique_lead_at_once_has_it(database: str) -> None:
    """One lead per customer and store: the database's word, whoever writes into it."""
    open_database(database).dispose()
    both, outcomes = threading.Barrier(2), list[str]()

    def write(lead: str, number: int) -> None:
        engine = open_database(database)
        try:
            both.wait(10)
            with engine.connect().execution_options(**{WRITES: True}) as db, db.begin():
                row = a_lead(number, lead=lead, customer="C1", store="s1")
                db.execute(
                    sa.insert(tables.leads), {each.name: getattr(row, each.name) for each in fields(row)}
                )
            outcomes.append("written")
        except sa.exc.IntegrityError:
            outcomes.append("refused")
        finally:
            engine.dispose()

    threads = [threading.Thread(target=write, args=(f"U{number}", number)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(outcomes) == ["refused", "written"]
    with booked(database) as book:
        assert len(book.leads_of("C1")) == 1


def test_leads_may_exchange_their_unique_keys_in_one_transaction(database: str) -> None:
    """As where two customers are parted and joined anew; no order of writing them one by one would do."""
    with booked(database) as book:
        for row in (a_lead(1), a_lead(2), a_lead(3, customer="C1", merged_into="U1")):
            book.put(row)
        book.commit()
        book.begin()
        first, second, third = (book.lead(name) for name in ("U1", "U2", "U3"))
        assert first is not None and second is not None and third is not None
        first.customer, second.customer = second.customer, first.customer
        third.customer, third.merged_into = "C3", None
        for each in (first, second, third):
            book.put(each)
        book.commit()
        book.begin()
        assert [[row.lead for row in book.leads_of(each)] for each in ("C1", "C2", "C3")] == [
            ["U2"],
            ["U1"],
            ["U3"],
        ]


def test_two_books_that_write_into_one_database_are_told_of_each_other(database: str) -> None:
    """Two machines with copies of one store, and one database in their configuration."""
    with booked(database) as one, booked_later(database) as start:
        other = start()
        one.put(a_lead(1))
        one.position().seq, one.position().mark = 1, b"one"
        one.commit()
        other.begin()
        other.position().seq, other.position().mark = 1, b"other"
        other.put(State("n", {}))
        with pytest.raises(StoreDamaged, match="somebody else writes into this database"):
            other.commit()
        other.roll_back()
        other.reread()
        assert other.position().mark == b"one"
        other.begin()
        assert other.state("n") is None


@contextmanager
def booked_later(url: str) -> Iterator[Callable[[], SqlBook]]:
    book = SqlBook(open_database(url), STORE)
    try:
        yield lambda: book
    finally:
        book.close()


def test_a_database_that_follows_another_journal_is_refused_in_words(database: str) -> None:
    with booked(database) as book:
        book.commit()
    engine = open_database(database)
    with pytest.raises(
        StoreDamaged, match="follows the journal of another store; name another database"
    ) as error:
        SqlBook(engine, b"another store")
    assert "://" in str(error.value)
    engine.dispose()


def test_timers_are_due_in_the_order_of_time_then_of_code_points(database: str) -> None:
    """What rings first decides who is told first, so both databases must say the same, whatever language they sort by."""
    expected = [(due, f"U{text}", kind) for due in (5, 6) for text in SORTED for kind in ("breach", "nudge")]
    with booked(database) as book:
        for due, lead, kind in reversed(expected):
            book.put(TimerRow(lead, kind, due, due))
        for number in range(TIMERS_READ + 7):  # more than are read at once, many of them due together
            book.put(TimerRow(f"V{number:04}", "breach", 1, 7))
        book.commit()
        book.begin()
        found = []
        while (timer := book.due(7)) is not None:
            found.append((timer.due_at, timer.lead, timer.kind))
            book.remove(timer)
            if len(found) == 3:
                book.put(TimerRow("U", "recycle", 1, 5))  # comes while others ring
        expected.insert(3, (5, "U", "recycle"))
        more = [(7, f"V{number:04}", "breach") for number in range(TIMERS_READ + 7)]
        assert sorted(found[:4]) == sorted(expected[:4])
        assert found[4:] == [*expected[4:], *more]
        book.commit()
        assert book.next_due is None


def test_whatever_is_ordered_by_texts_is_ordered_by_their_code_points(database: str) -> None:
    with booked(database) as book:
        for text in reversed(SORTED):
            book.put(OrgRow("unit", text, 0, {}))
            book.put(Identity("viewer:p", text, "C1", 0))
            book.put(Consent("k", "y", "contact", text, True, 0, ""))
            book.put(replace(FULL[6], raw=text, decided_at=0))
        book.commit()
        book.begin()
        assert [row.id for row in book.organisation()] == SORTED
        assert [row.key for row in book.identities_of("C1")] == SORTED
        assert [row.channel for row in book.consents_of("k", "y")] == SORTED
        assert [row.raw for row in book.raws_of("C1")] == SORTED
        by_database = sa.select(tables.identities.c.key).order_by(tables.identities.c.key)
        assert list(book.db.execute(by_database).scalars()) == SORTED


# ---------------------------------------------------------------------- against a model of it

CUSTOMERS, LEADS = ["C1", "C2"], ["U1", "U2", "U3"]
_put_identity = st.builds(
    Identity, st.just("k"), st.sampled_from("abc"), st.sampled_from(CUSTOMERS), st.integers(0, 3)
)
_put_timer = st.builds(
    TimerRow,
    st.sampled_from(LEADS),
    st.sampled_from(["breach", "nudge"]),
    st.integers(1, 2),
    st.integers(0, 9),
)
_acts = st.lists(
    st.one_of(
        st.tuples(st.just("put"), _put_identity | _put_timer),
        st.tuples(st.just("remove"), st.integers(0, 9)),
        st.tuples(st.just("look"), st.sampled_from(CUSTOMERS + LEADS)),
        st.tuples(st.just("due"), st.integers(0, 9)),
        st.tuples(st.sampled_from(["commit", "roll back", "write"]), st.none()),
    ),
    max_size=40,
)


@given(acts=_acts)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_a_book_answers_as_one_that_is_all_in_memory_would(
    database: str, acts: list[tuple[str, Any]]
) -> None:
    """It asks the database once and keeps the rest in mind; nobody may notice."""
    with booked(database) as book:
        for table in tables.metadata.tables.values():
            if table.name != "position":
                book.db.execute(sa.delete(table))
        book.commit()
        book.begin()
        kept: dict[Any, Any] = {}
        now: dict[Any, Any] = {}
        for what, about in acts:
            match what:
                case "put":
                    row = replace(about)
                    known = now.get(_key(row))
                    if (
                        isinstance(row, Identity) and known is not None
                    ):  # as the centre does: changed, then put
                        stored = book.identity(row.kind, row.key)
                        assert stored is not None
                        stored.customer = about.customer
                        row = stored
                    now[_key(row)] = replace(row)
                    book.put(row)
                case "remove":
                    timers = sorted((each for each in now.values() if isinstance(each, TimerRow)), key=_key)
                    if timers:
                        gone = timers[about % len(timers)]
                        del now[_key(gone)]
                        book.remove(next(each for each in book.timers_of(gone.lead) if each == gone))
                case "look":
                    assert book.identities_of(about) == _of(
                        now, Identity, "customer", about, "first_seen", "kind", "key"
                    )
                    assert book.timers_of(about) == _of(
                        now, TimerRow, "lead", about, "due_at", "kind", "number"
                    )
                case "due":
                    due = [
                        each for each in now.values() if isinstance(each, TimerRow) and each.due_at <= about
                    ]
                    due.sort(key=lambda each: (each.due_at, each.lead, each.kind, each.number))
                    assert book.due(about) == (due[0] if due else None)
                case "write":
                    assert book.db is not None
                case "commit":
                    book.commit()
                    book.begin()
                    kept = {key: replace(row) for key, row in now.items()}
                case "roll back":
                    book.roll_back()
                    book.begin()
                    now = {key: replace(row) for key, row in kept.items()}


def _key(row: Any) -> tuple[Any, ...]:
    return type(row).__name__, *(getattr(row, column.name) for column in TABLES[type(row)].primary_key)


def _of(rows: dict[Any, Any], kind: type[Any], name: str, value: str, *order: str) -> list[Any]:
    found = [row for row in rows.values() if isinstance(row, kind) and getattr(row, name) == value]
    return sorted(found, key=lambda row: tuple(getattr(row, each) for each in order))


def test_what_a_lead_asks_of_the_database_is_bounded_and_less_where_leads_come_together(
    database: str,
) -> None:
    """A question to a server takes a fraction of a millisecond: fifty of them are what a seller waits for."""
    scene = Scene(url=database)
    for number in range(3):
        scene.hot(f"before{number}")
    asked: list[str] = []
    sa.event.listen(scene.engine, "before_cursor_execute", lambda *arguments: asked.append(arguments[2]))

    def counted(leads: int, act: Callable[[], object]) -> float:
        asked.clear()
        act()
        return len(asked) / leads

    def together() -> None:
        scene.book.begin()
        for number in range(20):
            frame = Frame.of(
                [scene.event("product_click", platform="douyin", room="r1", viewer=f"v{number}")]
            )
            scene.centre.apply(frame, [(0, hot_lead(f"v{number}", START))])
        scene.book.commit()

    one, claimed = (
        hot_lead("one", START),
        scene.event("lead_claim", platform="douyin", room="r1", lead="", seller="li"),
    )
    click = scene.event("product_click", platform="douyin", room="r1", viewer="one")
    assert counted(1, lambda: scene.apply([click], [one])) <= 18
    assert counted(1, lambda: scene.apply([msgspec.structs.replace(claimed, lead=one.lead)])) <= 11
    assert counted(20, together) <= 7
    scene.close()
