"""What is personal can be rewritten in the journal and the outbox: the rest of the file says what it said."""

from pathlib import Path

import apsw
import pytest

from frontrow.core.alerts import LeadAlert
from frontrow.core.centre.erasing import blanked, without
from frontrow.core.frames import Frame
from frontrow.storage.doctor import examine
from frontrow.storage.store import Alert, Commit, Store
from tests.support.alerts import an_alert
from tests.support.rooms import START, event


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store of ten frames, a minute each; an even one is of v0, an odd one of v1."""
    made = Store.open(tmp_path / "frontrow.db")
    for number in range(10):
        viewer = f"v{number % 2}"
        said = event("comment", number * 60, viewer=viewer, name="小花" * 40, text="我要三件" * 40)
        alert = an_alert(f"L{number}", viewer=viewer, name="小**", words="多少钱" * 9)
        made.append([Commit(Frame.of([said]), (), [Alert("crm", f"k{number}", alert)], START + number)])
    return made


def rows(store: Store, query: str) -> list[tuple[object, ...]]:
    connection = apsw.Connection(str(store.path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return list(connection.execute(query))
    finally:
        connection.close()


def blank(frame: Frame) -> Frame | None:
    return without(frame, range(len(frame)))


def named(store: Store) -> list[int]:
    return [seq for seq, frame in store.frames() if frame.names != [None]]


def test_facts_and_chain_stay_and_every_check_holds(store: Store) -> None:
    facts = "SELECT seq, first_at, last_at, events, chain, facts, length(personal) FROM frames"
    before = rows(store, facts)
    mark = store.mark(10)
    assert store.rewrite_personal(0, 100, blank) == (10, 10)
    assert rows(store, facts) == before
    assert store.mark(10) == mark
    assert named(store) == []
    store.close()
    assert examine(store.path).sound
    Store.open(store.path).close()


def test_only_what_may_be_concerned_is_read(store: Store) -> None:
    seen: list[str] = []

    def rest_of(frame: Frame) -> Frame | None:
        seen.extend(viewer or "" for viewer in frame.viewers)
        return blank(frame)

    assert store.rewrite_personal(0, 100, rest_of, may_concern=lambda facts: b"v1" in facts) == (10, 5)
    assert seen == ["v1"] * 5
    assert named(store) == [1, 3, 5, 7, 9]


def test_it_goes_on_where_it_was_up_to_a_time(store: Store) -> None:
    until = START + 5 * 60_000
    assert store.rewrite_personal(0, 3, blank, before=until, place="names") == (3, 3)
    assert store.place("names") == 3
    assert store.rewrite_personal(3, 9, blank, before=until, place="names") == (5, 2)
    assert store.rewrite_personal(5, 9, blank, before=until, place="names") == (5, 0)
    assert (store.place("names"), store.place("texts")) == (5, 0)
    assert named(store) == [6, 7, 8, 9, 10]


def test_what_is_left_alone_is_written_nowhere(store: Store) -> None:
    before = store.path.read_bytes()
    assert store.rewrite_personal(0, 100, lambda _: None) == (10, 0)
    assert store.rewrite_alerts(0, 100, lambda *_: None, at=START, error="") == (10, 0)
    assert store.empty_wal()
    whole = store.path.read_bytes()
    assert store.rewrite_personal(0, 100, lambda _: None) == (10, 0)
    assert (len(before), whole) == (len(before), store.path.read_bytes())


def test_alerts_that_wait_die_and_their_checksums_hold(store: Store) -> None:
    ids = [row[0] for row in store.outbox_due("crm", START * 2, 100)]
    store.outbox_delivered(ids[:4], START + 50)

    def of_v1(alert: LeadAlert, created_at: int) -> LeadAlert | None:
        assert created_at == START + int(alert.lead[1:])
        return blanked(alert) if alert.viewer == "v1" else None

    assert store.rewrite_alerts(0, 6, of_v1, at=START + 60, error="gone") == (6, 3)
    assert store.rewrite_alerts(6, 100, of_v1, at=START + 60, error="gone") == (10, 2)
    assert store.rewrite_alerts(10, 100, of_v1, at=START + 60, error="gone") == (10, 0)
    assert [(state, alert.words) for _, state, _, alert in store.alerts_of("test", "v1")] == [
        ("sent", None), ("sent", None), ("dead", None), ("dead", None), ("dead", None),
    ]  # fmt: skip
    assert [alert.lead for _, _, alert, _, _ in store.outbox_due("crm", START * 2, 9)] == ["L4", "L6", "L8"]
    store.close()
    assert examine(store.path).sound


def test_nothing_of_what_was_is_left_in_the_file(store: Store) -> None:
    store.rewrite_personal(0, 100, blank)
    store.rewrite_alerts(0, 100, lambda alert, _: blanked(alert), at=START, error="")
    assert store.empty_wal()
    left = store.path.read_bytes() + Path(f"{store.path}-wal").read_bytes()
    assert not any(word.encode() in left for word in ("小花", "我要三件", "多少钱"))


def test_a_wal_that_somebody_reads_is_emptied_later(store: Store) -> None:
    reader = apsw.Connection(str(store.path), flags=apsw.SQLITE_OPEN_READONLY)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM frames").fetchall()
    store.rewrite_personal(0, 100, blank)
    assert not store.empty_wal()
    reader.close()
    assert store.empty_wal()
    assert Path(f"{store.path}-wal").stat().st_size == 0
