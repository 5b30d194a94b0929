"""Leads and alerts have checksums: whatever bit is flipped in them is told, and no change of an alert hides it."""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from frontrow.core.frames import Frame
from frontrow.core.leads import LeadGrouped
from frontrow.storage.doctor import examine, salvage
from frontrow.storage.rows import GROUPED, LEADS, OUTBOX, ROWS_A_STEP
from frontrow.storage.store import SCHEMA, UNSEALED, Alert, Commit, Store
from frontrow.storage.verify import Verification
from tests.storage.test_store import lead
from tests.support.alerts import an_alert
from tests.support.rooms import START, event

ROWS = ROWS_A_STEP + 100  # more than one step
SINKS = ("sink", "other")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of few events and many leads, each with an alert that stands somewhere else."""
    path = tmp_path_factory.mktemp("sound") / "frontrow.db"
    store = Store.open(path)
    leads = [lead(f"v{number}") for number in range(ROWS)]
    alerts = [Alert(SINKS[number % 2], f"k{number}", an_alert(f"L{number}")) for number in range(ROWS)]
    frame = Frame.of([event("like", number) for number in range(7)], [0] * 7)
    places = [number % 7 - 1 for number in range(ROWS)]
    grouped = [
        (number % 7 - 1, LeadGrouped(f"L{number}", "test", f"v{number}", START + number, 3))
        for number in range(ROWS)
    ]
    store.append([Commit(frame, leads, alerts, START, places, grouped)])
    store.outbox_begun("sink", range(1, 200), START + 1)
    store.outbox_delivered(range(1, 100), START + 2)
    store.outbox_dead(range(100, 150), START + 3, "refused")
    store.outbox_postpone(range(150, 200), START + 60_000, "busy")
    store.outbox_postpone(range(1, 120), START + 60_000, "settled already: stays as it is")
    store.settle()
    store.close()
    return path


@pytest.fixture
def path(tmp_path: Path, sound: Path) -> Path:
    """The same in a file of this test's own."""
    copy = tmp_path / "frontrow.db"
    copy.write_bytes(sound.read_bytes())
    return copy


def change(path: Path, *statements: str) -> None:
    connection = apsw.Connection(str(path))
    connection.pragma("foreign_keys", False)
    for sql in statements:
        connection.execute(sql)
    connection.close()


def found_beside(path: Path) -> Sequence[str]:
    """Return what a daemon's verification finds."""
    verification = Verification(path)
    while verification.step():
        pass
    verification.close()
    assert verification.lost == []
    return verification.structure


def content(path: Path) -> list[Any]:
    """Return all rows, and what the daemon reads of them through the indexes."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return [
            db.execute("SELECT * FROM leads ORDER BY lead").fetchall(),
            db.execute("SELECT * FROM leads ORDER BY decided_at DESC, lead").fetchall(),
            db.execute("SELECT lead FROM leads WHERE viewer = 'v7' AND platform = 'test'").fetchall(),
            db.execute("SELECT * FROM outbox ORDER BY id").fetchall(),
            db.execute("SELECT * FROM grouped ORDER BY id").fetchall(),
            db.execute("SELECT * FROM grouped WHERE seq = 1 ORDER BY id").fetchall(),
            *(
                db.execute(
                    "SELECT * FROM outbox WHERE sink = ? AND state = 'pending' AND due_at <= ? ORDER BY due_at, id",
                    (sink, START + 100_000),
                ).fetchall()
                for sink in SINKS
            ),
        ]
    finally:
        db.close()


def test_whatever_happens_to_an_alert_its_checksum_fits(path: Path) -> None:
    assert examine(path).problems == []
    assert found_beside(path) == []


@pytest.mark.parametrize(
    ("table", "column"),
    [
        *(("leads", column) for column in LEADS.columns),
        *((table.name, column) for table in (OUTBOX, GROUPED) for column in table.columns[1:]),
    ],
)
def test_a_changed_column_is_told(path: Path, table: str, column: str) -> None:
    """As a flipped bit leaves it: still of its type, and sound for SQLite."""
    texts = (LEADS if table == "leads" else OUTBOX).texts
    which = "viewer = 'v160'" if table == "leads" else "id = 160"
    value = f"{column} || '!'" if column in texts else f"{column} + 1"
    if column == "state":
        value = "'sent'"
    elif column == "settled_at":
        value = "5"
    elif column in ("body", "alert") and table != "grouped":
        value = f"CAST(replace({column}, '1', '2') AS BLOB)"
    elif column == "body":
        value = "CAST(replace(body, 'test', 'best') AS BLOB)"
    change(path, f"UPDATE {table} SET {column} = {value} WHERE {which}")
    assert found_beside(path) == [f"{table}: the checksum of 1 rows does not fit"]
    [problem] = examine(path).problems
    assert problem == f"{table}: 1 of {ROWS} were changed or cannot be read back"


def test_a_changed_alert_stays_told_whatever_is_done_with_it(path: Path) -> None:
    """A new checksum over damaged columns would say that they are sound."""
    change(path, "UPDATE outbox SET due_at = due_at + 1 WHERE id = 160")
    change(path, "UPDATE outbox SET key = 'another' WHERE id = 161")
    store = Store.open(path)
    store.outbox_begun("sink", [160, 161], START)
    store.outbox_postpone([160, 161], START, "busy")
    store.outbox_delivered([160, 161], START)
    store.close()
    assert found_beside(path) == ["outbox: the checksum of 2 rows does not fit"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 1 << 30), bit=st.integers(0, 7))
@example(position=3019, bit=0)  # of what the schema calls a column
def test_no_flipped_bit_goes_unseen(
    position: int, bit: int, sound: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Anywhere in the file, their indexes included: what is called sound is what was written."""
    path = tmp_path_factory.mktemp("flipped") / "frontrow.db"
    data = bytearray(sound.read_bytes())
    data[position % len(data)] ^= 1 << bit
    path.write_bytes(data)
    if examine(path).sound:
        assert content(path) == content(sound)


def test_only_what_is_as_it_was_written_is_salvaged(path: Path, sound: Path, tmp_path: Path) -> None:
    """A flipped name would go to sales as if it were true; the journal gives every lead again."""
    change(path, "UPDATE leads SET room = 'elsewhere' WHERE viewer = 'v5'")
    change(path, "UPDATE outbox SET sink = CAST(X'ff' AS TEXT) WHERE id = 7")
    change(path, "UPDATE grouped SET position = position + 1 WHERE id = 9")
    assert len(examine(path).problems) == 3
    to = tmp_path / "saved.db"
    salvage(path, to)
    assert examine(to).sound
    before, after = content(sound), content(to)
    assert len(after[0]) == len(before[0]) - 1
    assert [row[0] for row in after[3]] == [id for id in range(1, ROWS + 1) if id != 7]
    assert [row[1:] for row in after[4]] == [row[1:] for row in before[4] if row[0] != 9]


def as_before_checksums(path: Path) -> None:
    """Make a store what a Frontrow wrote that knew none."""
    change(
        path,
        "ALTER TABLE leads DROP COLUMN crc",
        "ALTER TABLE outbox DROP COLUMN crc",
        "DROP TABLE grouped",
        "DROP INDEX leads_by_frame",
        "ALTER TABLE leads DROP COLUMN position",
        "ALTER TABLE tokens DROP COLUMN seller",
        f"PRAGMA user_version = {UNSEALED}",
    )


def without_places(rows: list[Any]) -> list[Any]:
    """Return what :func:`content` gives, without what a store of before cannot say: where leads were made, and seals over it."""
    leads, by_time, *rest = without_grouped(rows)
    return [[row[:8] for row in leads], [row[:8] for row in by_time], *rest]


def without_grouped(rows: list[Any]) -> list[Any]:
    """Return what :func:`content` gives, without who was found in a group: stores of before do not keep it."""
    return [*rows[:4], *rows[6:]]


def test_a_store_without_checksums_gets_them_when_it_is_opened(path: Path, sound: Path) -> None:
    as_before_checksums(path)
    Store.open(path).close()
    assert without_places(content(path)) == without_places(content(sound))
    assert {row[9] for row in content(path)[0]} == {-1}
    assert examine(path).sound
    change(path, "UPDATE leads SET decided_at = 1 WHERE viewer = 'v5'")
    assert found_beside(path) == ["leads: the checksum of 1 rows does not fit"]
    db = apsw.Connection(str(path))
    assert db.pragma("user_version") == SCHEMA
    db.close()


def test_a_store_without_checksums_is_examined_and_salvaged_as_it_is(
    path: Path, sound: Path, tmp_path: Path
) -> None:
    as_before_checksums(path)
    data = path.read_bytes()
    assert examine(path).sound
    salvage(path, tmp_path / "saved.db")
    assert path.read_bytes() == data
    assert without_places(content(tmp_path / "saved.db")) == without_places(content(sound))
    assert examine(tmp_path / "saved.db").sound


# ---------------------------------------------------------------------- stores whose leads' positions are in no seal

_LEADS_OF_SCHEMA_4 = """
CREATE TABLE leads (
  lead TEXT PRIMARY KEY, seq INTEGER NOT NULL REFERENCES frames(seq),
  platform TEXT NOT NULL, room TEXT NOT NULL, session TEXT NOT NULL, viewer TEXT NOT NULL,
  decided_at INTEGER NOT NULL, body BLOB NOT NULL, crc INTEGER NOT NULL DEFAULT 0,
  position INTEGER NOT NULL DEFAULT -1,
  UNIQUE (platform, room, session, viewer)
) STRICT, WITHOUT ROWID;
CREATE INDEX leads_by_time ON leads (decided_at DESC, lead);
CREATE INDEX leads_by_frame ON leads (seq);
PRAGMA user_version = 4;
"""


def as_of_schema_4(path: Path) -> None:
    """Make a store what a Frontrow wrote whose seals left the position out."""
    db = apsw.Connection(str(path))
    db.pragma("foreign_keys", False)
    rows = db.execute("SELECT * FROM leads").fetchall()
    db.execute("DROP TABLE leads; DROP TABLE grouped")
    db.execute(_LEADS_OF_SCHEMA_4)
    for *columns, _, position in rows:
        packed = msgspec.msgpack.encode(
            [each.encode() if isinstance(each, str) else each for each in columns]
        )
        db.execute(
            "INSERT INTO leads VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*columns, zlib.crc32(packed), position),
        )
    db.close()


def test_a_store_whose_leads_positions_were_in_no_seal_gets_them_when_it_is_opened(
    path: Path, sound: Path
) -> None:
    as_of_schema_4(path)
    assert examine(path).sound
    assert found_beside(path) == []
    Store.open(path).close()
    assert without_grouped(content(path)) == without_grouped(content(sound))
    assert examine(path).sound
    change(path, "UPDATE leads SET position = position + 1 WHERE viewer = 'v5'")
    assert found_beside(path) == ["leads: the checksum of 1 rows does not fit"]


DAMAGES = {
    "a text": "UPDATE leads SET room = 'elsewhere' WHERE viewer = 'v5'",
    "a seal": "UPDATE leads SET crc = crc + 1 WHERE viewer = 'v5'",
    "a text that is none": "UPDATE leads SET session = CAST(X'ff' AS TEXT) WHERE viewer = 'v5'",
    "a key": "UPDATE leads SET lead = 'L-another' WHERE viewer = 'v5'",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_was_damaged_before_is_told_and_not_sealed_over(path: Path, damage: str) -> None:
    """A lead that was changed by a bad disk would be called sound for ever."""
    as_of_schema_4(path)
    change(path, damage)
    assert found_beside(path) == ["leads: the checksum of 1 rows does not fit"]
    Store.open(path).close()
    assert found_beside(path) == ["leads: the checksum of 1 rows does not fit"]
    [problem] = examine(path).problems
    assert problem == f"leads: 1 of {ROWS} were changed or cannot be read back"


@pytest.mark.parametrize(
    ("column", "value"), [("decided_at", "'soon'"), ("position", "NULL"), ("crc", "X'00'")]
)
def test_a_column_of_another_type_stops_no_daemon(path: Path, column: str, value: str) -> None:
    """SQLite writes no such row; all others get their seals, and the one is told."""
    as_of_schema_4(path)
    db = apsw.Connection(str(path))
    table: str = db.execute("SELECT sql FROM sqlite_schema WHERE name = 'leads'").get
    db.close()

    def let_the_table_be(sql: str) -> None:
        db = apsw.Connection(str(path))
        db.pragma("writable_schema", True)
        db.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'leads'", (sql,))
        db.close()

    let_the_table_be(table.replace(" NOT NULL", "").replace("STRICT, ", ""))
    change(path, f"UPDATE leads SET {column} = {value} WHERE viewer = 'v5'")
    let_the_table_be(table)
    Store.open(path).close()
    assert "leads: the checksum of 1 rows does not fit" in found_beside(path)
    assert any(f"1 of {ROWS} were changed" in problem for problem in examine(path).problems)


def test_a_store_of_before_is_read_and_salvaged_as_it_is(path: Path, sound: Path, tmp_path: Path) -> None:
    as_of_schema_4(path)
    data = path.read_bytes()
    store = Store.open_to_read(path)
    made = store.leads_made(0, 1)[1]
    store.close()
    assert [place for place, _ in made] == sorted(number % 7 - 1 for number in range(ROWS))
    salvage(path, tmp_path / "saved.db")
    assert path.read_bytes() == data
    assert without_grouped(content(tmp_path / "saved.db")) == without_grouped(content(sound))


def test_a_store_of_before_keeps_from_now_on_who_is_found_in_a_group(path: Path, sound: Path) -> None:
    change(path, "DROP TABLE grouped", "PRAGMA user_version = 5")
    assert examine(path).sound
    assert found_beside(path) == []
    store = Store.open(path)
    assert store.grouped(0, 1) == {}
    found = LeadGrouped("L1", "test", "v1", START, 5)
    store.append(
        [Commit(Frame.of([event("like", 8)], [0]), (), (), START, grouped=[(-1, found), (0, found)])]
    )
    assert store.grouped(0, 2) == {2: [(-1, found), (0, found)]}
    assert store.grouped(2, 9) == {}
    store.close()
    assert without_grouped(content(path)) == without_grouped(content(sound))
    assert examine(path).sound
