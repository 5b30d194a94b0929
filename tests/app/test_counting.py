"""What happens in the rooms is counted by the whole daemon, once, over its restarts."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from frontrow.core.centre.indicators import Question
from frontrow.core.events import encode_event
from frontrow.storage.centre.database import open_database
from frontrow.storage.centre.indicators import query
from tests.app.test_daemon import now_ms
from tests.support.daemons import running, write_config
from tests.support.rooms import event


def body(*events: Any) -> bytes:
    return b"\n".join(map(encode_event, events))


def database(store: Path) -> sa.Engine:
    return open_database(f"sqlite:///{store.with_name(f'{store.stem}-centre.db')}")


async def test_counts_go_on_over_a_restart_and_duplicates_are_told(tmp_path: Path) -> None:
    config, now = write_config(tmp_path), now_ms()
    first = [event(id=f"a{n}", kind="like", at=now, viewer=f"v{n % 3}", session="s") for n in range(6)]
    async with running(config) as daemon:
        await daemon.ingest(body(*first))
        await daemon.ingest(body(*first[:4]))  # four of them again, and nothing else
        store = daemon.store
    async with running(config) as daemon:
        await daemon.ingest(body(event(id="b", kind="product_click", at=now, viewer="v0", session="s")))
    engine = database(store)
    asked = ("events_received", "viewers_seen", "product_click_rate", "likes_per_viewer", "duplicate_rate")
    with engine.connect() as db:
        assert db.execute(sa.text("SELECT count(*) FROM room_facts")).scalar() == 1
        found = {
            each.indicator: (each.numerator, each.denominator)
            for each in query(db, Question(indicators=asked))
        }
    engine.dispose()
    assert found == {
        "events_received": (7, None),
        "viewers_seen": (3, None),
        "product_click_rate": (1, 3),
        "likes_per_viewer": (6, 3),
        "duplicate_rate": (4, 11),
    }


async def test_where_nothing_was_counted_yet_the_journal_is_counted_from_its_beginning(
    tmp_path: Path,
) -> None:
    """As in a database of before there were counts: it has followed the journal already."""
    config, now = write_config(tmp_path), now_ms()
    likes = [event(id=f"a{n}", kind="like", at=now, viewer=f"v{n}", session="s") for n in range(5)]
    async with running(config) as daemon:
        await daemon.ingest(body(*likes))
        store = daemon.store
    engine = database(store)
    with engine.begin() as db:
        assert db.execute(sa.text("SELECT seq FROM position")).scalar()
        db.execute(sa.text("DELETE FROM room_facts"))
        db.execute(sa.text("DELETE FROM room_memory"))
    async with running(config) as daemon:
        await daemon.ingest(body(event(id="b", kind="like", at=now, viewer="v0", session="s")))
    with engine.connect() as db:
        found = db.execute(sa.text("SELECT events, viewers, heard FROM room_facts")).all()
    engine.dispose()
    assert [tuple(row) for row in found] == [
        (6, 5, 1)
    ]  # of the journal nobody knows how many duplicates there were
