"""What has been kept for long enough leaves the journal, each part at its time; the rest of the journal stays as it is."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from frontrow.app import retaining
from frontrow.app.centre_doctor import look_at_centre
from frontrow.app.parts import load_config
from frontrow.app.retaining import DAY_MS, aged, kept_days
from frontrow.clock import SystemClock
from frontrow.core.centre.erasing import CONTACTS, NAMES, TEXTS
from frontrow.core.frames import Frame
from frontrow.core.promotions import promotion_event, promotions_of
from frontrow.storage.centre import tables
from frontrow.storage.centre.database import open_database
from frontrow.storage.centre.sweeping import sweep
from frontrow.storage.doctor import examine, salvage
from frontrow.storage.store import Alert, Commit, Store
from tests.support.alerts import an_alert
from tests.support.daemons import running, write_config
from tests.support.rooms import event

DAYS = 12
NOW = 1_750_000_000_000
CONFIG = """
[storage]
path = "frontrow.db"
[privacy]
keep_names_days = 9
keep_texts_days = 5
"""


def filled(path: Path, now: int) -> Store:
    """Return a store of one frame and one alert a day, up to ``now``."""
    store = Store.open(path)
    for day in range(DAYS, 0, -1):
        at = now - day * DAY_MS
        form = event(
            "form_submit",
            name="小花",
            text="我要三件",
            note="n",
            fields={"a": 1},
            extra={"b": 2},
            data={"c": 3},
            at=at,
        )
        alert = Alert("crm", f"k{day}", an_alert(f"L{day}", words="多少钱"))
        store.append([Commit(Frame.of([form]), (), [alert], at)])
    return store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return filled(tmp_path / "frontrow.db", NOW)


def having(store: Store, field: str) -> int:
    """Return how many events have a field still: the newest."""
    found = [getattr(each, field) is not None for _, frame in store.frames() for each in frame.events()]
    assert found == sorted(found)
    return sum(found)


def test_each_part_goes_at_its_time(store: Store) -> None:
    list(aged(store, {NAMES: 9, TEXTS: 5, CONTACTS: 2}, NOW))
    assert {name: having(store, name) for name in ("name", "text", "note", "extra", "fields", "data")} == {
        "name": 9, "text": 5, "note": 5, "extra": 5, "fields": 2, "data": DAYS,
    }  # fmt: skip
    alerts = [alert for _, _, _, alert in store.alerts_of("test", "v1")]
    assert [alert.words is not None for alert in alerts] == [False] * (DAYS - 5) + [True] * 5
    store.close()
    assert examine(store.path).sound


def test_a_day_later_one_day_more_is_gone_and_nothing_is_read_twice(store: Store) -> None:
    list(aged(store, {NAMES: 9}, NOW))
    seen: list[int] = []
    before = store.rewrite_personal

    def rewrite(after: int, *arguments: object, **more: object) -> tuple[int, int]:
        seen.append(after)
        return before(after, *arguments, **more)  # type: ignore[arg-type]

    store.rewrite_personal = rewrite  # type: ignore[method-assign]
    list(aged(store, {NAMES: 9}, NOW + DAY_MS))
    assert having(store, "name") == 8
    assert min(seen) == DAYS - 9


def test_each_step_is_small_and_can_be_the_last(store: Store) -> None:
    steps = aged(store, {NAMES: 1}, NOW)
    assert next(steps) == 4
    store.close()
    again = Store.open(store.path)
    assert having(again, "name") == DAYS - 4
    list(aged(again, {NAMES: 1}, NOW))
    assert having(again, "name") == 1


def test_a_salvaged_journal_is_looked_at_from_its_beginning(store: Store, tmp_path: Path) -> None:
    list(aged(store, {NAMES: 9}, NOW))
    store._db.execute("UPDATE frames SET facts = zeroblob(9) WHERE seq = 2")
    store.close()
    salvage(store.path, tmp_path / "salvaged.db")
    salvaged = Store.open(tmp_path / "salvaged.db")
    list(aged(salvaged, {NAMES: 8}, NOW))
    assert having(salvaged, "name") == 8


def test_who_let_a_model_lead_and_why_stays(tmp_path: Path) -> None:
    """It is no viewer's, and the registry's ledger is held against it."""
    store = Store.open(tmp_path / "frontrow.db")
    promoted = promotion_event(
        number=1, version="a" * 64, replaces=None, by="李", reason="better", at=NOW - 99 * DAY_MS
    )
    store.append(
        [Commit(Frame.of([promoted, event("comment", name="小花", text="好", at=NOW)]), (), (), NOW)]
    )
    list(aged(store, {NAMES: 1, TEXTS: 1}, NOW + 2 * DAY_MS))
    [(_, frame)] = store.frames()
    assert [each.name for each in frame.events()] == ["李", None]
    [(_, kept)] = promotions_of(frame)
    assert (kept.by, kept.reason) == ("李", "better")


def test_nothing_is_configured_nothing_goes(tmp_path: Path) -> None:
    assert kept_days(load_config(write_config(tmp_path), {})) == {}
    assert kept_days(load_config(write_config(tmp_path, CONFIG), {})) == {NAMES: 9, TEXTS: 5}


async def test_a_daemon_does_it_by_itself(tmp_path: Path) -> None:
    """Every personal field of the journal goes at its own time. Each kept day is one more than is over."""
    config = write_config(tmp_path, CONFIG + "keep_contacts_days = 2\n")
    filled(tmp_path / "frontrow.db", SystemClock().now()).close()
    fields = ("name", "text", "note", "extra", "fields")
    async with running(config) as daemon, asyncio.timeout(20):
        while True:
            store = await asyncio.to_thread(Store.open_to_read, daemon.store)
            counts = [
                sum(
                    getattr(each, field) is not None for _, frame in store.frames() for each in frame.events()
                )
                for field in fields
            ]
            store.close()
            if counts == [8, 4, 4, 4, 1]:  # a day is over since the oldest that is kept
                return
            await asyncio.sleep(0.05)


async def test_a_daemon_sweeps_the_lead_centres_database_and_says_so_where_it_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number that was kept for two days is taken at the start; a sweep that fails is for whoever looks after the daemon."""
    config = write_config(tmp_path, CONFIG + "keep_contacts_days = 2\n")
    now = SystemClock().now()

    def sealed() -> list[Any]:
        engine = open_database(f"sqlite:///{tmp_path / 'frontrow-centre.db'}")
        with engine.connect() as db:
            found = db.execute(sa.select(tables.contacts.c.sealed, tables.contacts.c.phone)).all()
        engine.dispose()
        return [tuple(row) for row in found]

    engine = open_database(f"sqlite:///{tmp_path / 'frontrow-centre.db'}")
    with engine.begin() as db:
        row = {
            "id": "f",
            "kind": "viewer:test",
            "key": "v",
            "phone": "k",
            "country": "",
            "province": "",
            "city": "",
        }
        db.execute(
            sa.insert(tables.contacts), row | {"sealed": "c2VhbGVk", "masked": "138", "at": now - 9 * DAY_MS}
        )
    engine.dispose()
    monkeypatch.setattr(retaining, "sweep", None)
    monkeypatch.setattr(retaining, "EVERY_S", 0.05)
    async with running(config) as daemon, asyncio.timeout(20):
        while "centre_retention" not in (checks := (await daemon.http.get("/readyz")).json()["checks"]):
            await asyncio.sleep(0.01)
        assert (checks["centre"], checks["centre_retention"]) == ("ok", "failing")
        settings = load_config(config, {})
        line, sound = await asyncio.to_thread(look_at_centre, settings, now)
        assert not sound and "1 rows" in line and "centre_retention_failed" in line
        monkeypatch.setattr(retaining, "sweep", sweep)
        while (await asyncio.to_thread(sealed)) != [(None, "k")]:
            await asyncio.sleep(0.01)
        while "centre_retention" in (await daemon.http.get("/readyz")).json()["checks"]:
            await asyncio.sleep(0.01)
        assert (await asyncio.to_thread(look_at_centre, settings, now))[1]
        metrics = (await daemon.http.get("/metrics")).text
        assert 'frontrow_centre_swept_total{part="contacts"} 1.0' in metrics
