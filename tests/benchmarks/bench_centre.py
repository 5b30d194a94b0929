"""The lead centre with a million raw leads: what it takes to assign, to claim, to look at an inbox, and to count.

Run: ``pytest -s -o addopts=--import-mode=importlib tests/benchmarks/bench_centre.py`` (12 GB of disk, which are free again at its
end; ``FRONTROW_LEADS=100000`` is less, ``FRONTROW_FOLLOWED=5000`` copies more and follows less)

A month of 200 stores with 3,000 sellers: 20,000 leads go through a real journal and the real follower, then they are
copied in the database until there are a tenth of all, and all; both sizes are measured, so that it shows what grows.
Times are of the clock, since a server works beside us, and the mean of the processor's time, ours and the server's,
stands beside them: other work on the machine lengthens the one and hardly the other. Every commit of Postgres is
synced (``fsync`` is on here), SQLite's file is as the daemon has it. Nothing is measured for longer than
:data:`BUDGET_S`.
"""

import asyncio
import contextlib
import gc
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig

from frontrow.app.centre import CentreFollower
from frontrow.clock import SystemClock
from frontrow.core.centre.book import LeadRow
from frontrow.core.centre.centre import Centre
from frontrow.core.centre.indicators import CATALOGUE, Indicator, Question
from frontrow.core.centre.organisation import Organisation
from frontrow.core.centre.sight import EVERYTHING, Sight, sight_of
from frontrow.core.events import Event
from frontrow.core.frames import Frame
from frontrow.runtime.access import Role
from frontrow.storage.aio import StoreThread
from frontrow.storage.centre import tables
from frontrow.storage.centre.book import SqlBook
from frontrow.storage.centre.database import MIGRATIONS, WRITES, bring_up, open_database
from frontrow.storage.centre.desk import Desk, place
from frontrow.storage.centre.indicators import MESSAGES, query
from tests.benchmarks.harness import MEBIBYTE, percentile, table
from tests.benchmarks.many_leads import (
    DAY,
    ORGANISATION,
    PEOPLE,
    POLICY,
    PRODUCTS,
    ROOMS,
    STORES,
    TEAMS,
    copy_leads,
    story,
    write_journal,
)
from tests.support.centre import hot_lead
from tests.support.daemons import running
from tests.support.postgres import Postgres, programs

ALL = int(os.environ.get("FRONTROW_LEADS", "1000000"))
MADE = min(int(os.environ.get("FRONTROW_FOLLOWED", "20000")), ALL // 10)  # by the real follower
TIMES = 200  # of each thing
CLAIMED_OVER_HTTP = 60
BUDGET_S = 60.0  # of each thing
KEPT = ("raw_leads_named", "raw_leads_worded", "timeline_noted", "contacts_held")  # the indices of 0007
# As somebody sets up a server for this; the daemon needs none of it.
SETTINGS = (
    "shared_buffers=512MB",
    "max_wal_size=4GB",
    "maintenance_work_mem=256MB",
    "effective_cache_size=4GB",
)

pytestmark = pytest.mark.timeout(3_600)


class Quiet:
    """Fits the follower's observer."""

    def centre_applied(self, frames: int, seconds: float, behind: int) -> None:
        del frames, seconds, behind

    def centre_failed(self, behind: int) -> None:
        raise AssertionError(f"the follower failed, {behind} frames behind")

    def centre_skipped(self) -> None:
        raise AssertionError("the follower left an event out")


@dataclass(frozen=True, slots=True)
class Figures:
    """Milliseconds of one thing, done many times: of the clock each, and of the processor (ours and the server's) on the average."""

    name: str
    times_ms: Sequence[float]
    cpu_ms: float

    def cells(self) -> list[str]:
        return [
            f"{value:.1f}"
            for value in (*(percentile(self.times_ms, share) for share in (0.5, 0.99)), self.cpu_ms)
        ]


def measured(name: str, run: Callable[[int], object], times: int = TIMES) -> Figures:
    """Return how long each of so many runs took; those before them are not counted: they fill caches, as a daemon's have long been."""
    found: list[float] = []
    before = min(10, times) if times > 1 else 0  # what is asked for once is of the first time
    until, busy = time.perf_counter() + BUDGET_S, 0.0
    for number in range(times + before):
        if number == before:
            busy = _processor_s()
        began = time.perf_counter()
        run(number)
        if number >= before:
            found.append((time.perf_counter() - began) * 1e3)
        if found and time.perf_counter() > until:
            break
    return Figures(name, found, (_processor_s() - busy) / len(found) * 1e3)


def _processor_s() -> float:
    """Return what this process and those that it has started have taken of the processors."""
    total = 0.0
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            # With those of theirs that have ended, as a server's workers do after each question.
            total += times.user + times.system + times.children_user + times.children_system
    return total


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str, Path]]:
    """(name, address, folder) of an empty database."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        yield "SQLite", f"sqlite:///{folder / 'centre.db'}", folder
        return
    if programs() is None:
        pytest.skip("Postgres is not installed")
    server = Postgres(SETTINGS)
    try:
        yield "Postgres", server.database(), folder
    finally:
        server.close()


def test_a_million_leads(database: tuple[str, str, Path]) -> None:
    name, url, folder = database
    now = time.time_ns() // 1_000_000
    told = story(MADE, now)
    write_journal(folder / "store.db", told).close()
    began, busy = time.perf_counter(), time.process_time()
    asyncio.run(_follow(folder / "store.db", url))
    followed_s, cpu_s = time.perf_counter() - began, time.process_time() - busy
    engine = open_database(url)
    with engine.connect() as db:
        each = db.execute(sa.select(sa.func.count()).select_from(tables.leads)).scalar_one()
    print(
        f"\n\n{name}: {len(told):,} events with {MADE:,} raw leads through the follower: {followed_s:.1f} s,"
        f" {cpu_s:.1f} s of our processor time; {each:,} unique leads"
    )
    results: dict[int, list[Figures]] = {}
    copied = 1
    for size in (ALL // 10, ALL):
        began = time.perf_counter()
        if size // MADE > copied:
            copy_leads(engine, copied, size // MADE - 1, 2 * each + 1_000)
            copied = size // MADE
        with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as db:
            db.execute(sa.text("VACUUM ANALYZE" if name == "Postgres" else "ANALYZE"))
        print(
            f"{size:,} raw leads: copied in {time.perf_counter() - began:.0f} s,"
            f" {_bytes(engine, url) / MEBIBYTE:,.0f} MiB; load {os.getloadavg()[0]:.1f}"
        )
        gc.collect()
        results[size] = [*_read(engine), *_count(engine), *_decide(engine), *_kept(engine)]
        for figures in results[size]:
            print("   ", figures.name, *figures.cells(), flush=True)
        if size == ALL:
            _explain(engine)
    engine.dispose()
    results[ALL].append(asyncio.run(_over_http(folder, url)))
    before = {figures.name: figures for figures in results[ALL // 10]}
    rows = [
        [
            figures.name,
            *(before[figures.name].cells() if figures.name in before else ["", "", ""]),
            *figures.cells(),
        ]
        for figures in results[ALL]
    ]
    head = ["ms", *(f"{what} at {size:,}" for size in (ALL // 10, ALL) for what in ("p50", "p99", "cpu"))]
    rss = psutil.Process().memory_info().rss / MEBIBYTE
    table(f"The lead centre in {name}", head, rows, f"{rss:,.0f} MiB of memory in our process at the end")


async def _follow(path: Path, url: str) -> None:
    store = await StoreThread.open(path)

    def make() -> tuple[SqlBook, Centre]:
        book = SqlBook(open_database(url), store.store.id)
        return book, Centre(book, POLICY)

    follower = CentreFollower(
        store=store, make=make, alerts=lambda book, centre, told: [], told=lambda: None, changed=lambda rows: None,
        shown=lambda row: (None, None), clock=SystemClock(), observer=Quiet(),
    )  # fmt: skip
    await follower.open()
    task = asyncio.create_task(follower.run())
    await follower.applied(store.store.seq)
    task.cancel()
    await asyncio.wait([task])
    await follower.close()
    await store.close()


# ---------------------------------------------------------------------- what is measured


def _read(engine: sa.Engine) -> list[Figures]:
    chance, desk = random.Random(1), Desk(engine)
    organisation = Organisation(ORGANISATION.units, ORGANISATION.sellers)
    now = time.time_ns() // 1_000_000

    def seller(_: int) -> Sight:
        store, team, person = chance.randrange(STORES), chance.randrange(TEAMS), chance.randrange(PEOPLE)
        return sight_of(f"s{store}t{team}p{person}", organisation, now)

    def manager(_: int) -> Sight:
        return sight_of(f"s{chance.randrange(STORES)}boss", organisation, now)

    def region(_: int) -> Sight:
        return sight_of(f"region{chance.randrange(4)}boss", organisation, now)

    def pages(sight: Sight, count: int) -> None:
        after = None
        for _ in range(count):
            rows = desk.inbox(sight, "open", limit=50, after=after)
            after = place(rows[-1]) if rows else after

    with engine.connect() as db:
        c = tables.leads.c
        last = db.execute(sa.select(sa.func.max(c.number))).scalar_one()
        numbers = [chance.randrange(last) for _ in range(5_000)]
        some = db.execute(sa.select(c.lead, c.customer).where(c.number.in_(numbers))).all()

    def lead_page(_: int) -> None:
        lead, customer = chance.choice(some)
        assert desk.lead(lead) is not None
        desk.timeline(lead)
        desk.raws(lead)
        desk.contact(customer)

    return [
        measured("inbox page, a seller: what is open", lambda n: desk.inbox(seller(n), "open", limit=50)),
        measured("inbox page, a seller: theirs", lambda n: desk.inbox(seller(n), "mine", limit=50)),
        measured("inbox page, a seller: what is closed", lambda n: desk.inbox(seller(n), "closed", limit=50)),
        measured("inbox page, the manager of a store", lambda n: desk.inbox(manager(n), "open", limit=50)),
        measured("inbox page, the manager of 50 stores", lambda n: desk.inbox(region(n), "open", limit=50)),
        measured("inbox page, who sees everything", lambda n: desk.inbox(EVERYTHING, "open", limit=50)),
        measured("20 pages on, the manager of a store", lambda n: pages(manager(n), 20), 20),
        measured("page of one lead", lead_page),
    ]


def _count(engine: sa.Engine) -> list[Figures]:
    """All indicators that are of leads, each by itself: of the company's last day, of a store's month, and of the company's month."""
    now = time.time_ns() // 1_000_000
    asked = [each for each in CATALOGUE if each.numerator not in MESSAGES and set(each.cuts) >= {"channel"}]
    of_store = {"store": ("s7",)}
    found = [
        _each(
            "indicators, a store's month", engine, asked, from_at=now - 40 * DAY, to_at=now, filters=of_store
        ),
        _each("indicators, the company's last day", engine, asked, from_at=now - DAY, to_at=now),
        _each("indicators, the company's month", engine, asked, from_at=now - 40 * DAY, to_at=now),
    ]
    room = [
        each
        for each in CATALOGUE
        if set(each.cuts) == {"platform", "room", "session", "host", "hour", "day", "week"}
    ]
    return [*found, _each("indicators of rooms, the month", engine, room, from_at=now - 40 * DAY, to_at=now)]


def _each(name: str, engine: sa.Engine, indicators: Sequence[Indicator], **about: Any) -> Figures:
    """Return how long each indicator takes, the slowest ones told by name; one that cannot be asked so is left out."""
    times: dict[str, float] = {}
    busy, until = _processor_s(), time.perf_counter() + 5 * BUDGET_S
    for indicator in indicators:
        if time.perf_counter() > until:
            print(f"    {name}: no time for {indicator.id} and those after it")
            break
        if not set(about.get("filters", ())) <= set(indicator.cuts):
            continue
        question = Question(indicators=(indicator.id,), **about)
        began = time.perf_counter()
        try:
            with engine.connect() as db, _at_most(db, BUDGET_S):
                query(db, question)
        except sa.exc.OperationalError:
            print(f"    {name}: {indicator.id} was cut off after {BUDGET_S:.0f} s")
        times[indicator.id] = (time.perf_counter() - began) * 1e3
    slowest = sorted(times, key=lambda id: -times[id])[:12]
    print("   ", name, "the slowest:", ", ".join(f"{id} {times[id]:.0f}" for id in slowest), flush=True)
    return Figures(name, list(times.values()), (_processor_s() - busy) / len(times) * 1e3)


def _decide(engine: sa.Engine) -> list[Figures]:
    """What one transaction of the follower takes. Engine time stands, so that nothing that is due by the copies rings in between."""
    with engine.connect() as db:
        store = bytes(db.execute(sa.select(tables.position.c.store)).scalar_one())
    book = SqlBook(engine, store)
    centre = Centre(book, POLICY)
    at, stamp = book.position().now, time.time_ns()

    def apply(event: Event, leads: Sequence[Any] = ()) -> list[LeadRow]:
        book.begin()
        centre.apply(Frame.of([event]), [(0, lead) for lead in leads])
        centre.take_told()
        return book.commit()

    def event(kind: str, number: int, **fields: Any) -> Event:
        shared = {
            "id": f"{kind}{stamp}x{number}",
            "kind": kind,
            "platform": "douyin",
            "at": at,
            "seen_at": at,
        }
        return Event(**{**shared, "room": ROOMS[number % len(ROOMS)], **fields})

    made: list[LeadRow] = []
    r, c = tables.raw_leads.c, tables.leads.c
    some = (
        sa.select(r.viewer)
        .join(tables.leads, c.raw == r.raw)
        .where(c.number < TIMES * 3, c.status != "invalid")
    )
    with engine.connect() as db:
        known = [viewer for (viewer,) in db.execute(some.order_by(c.number))]

    def judge_all(_: int) -> None:
        book.begin()
        assert book.closed_cells(at - 366 * DAY, at - DAY)
        book.commit()

    def judge(_: int) -> None:
        book.begin()
        assert book.closed_cells(at - 365 * DAY, at)
        book.roll_back()

    def start(_: int) -> None:
        centre.reload()
        book.begin()
        centre.load()
        book.roll_back()

    def assign(number: int) -> None:
        room, viewer = ROOMS[number % len(ROOMS)], f"new{stamp}x{number}"
        product = PRODUCTS[number % len(PRODUCTS)]
        said = {"name": f"小丑鱼{number}", "text": "这件红色的多少钱，有货吗"}
        click = event("product_click", number, viewer=viewer, product=product, **said)
        written = apply(click, [hot_lead(viewer, at, room=room, session="now", product=product)])
        assert len(written) == 1 and written[0].holder is not None
        made.append(written[0])

    def claim(number: int) -> None:
        row = made[number]
        assert (
            apply(event("lead_claim", number, room=row.room, lead=row.lead, seller=row.holder))[0].owner
            == row.holder
        )

    def again(number: int) -> None:
        assert apply(event("booking", number, viewer=known[number]))

    found = [
        measured("load at the start", start, 3),
        measured("what sellers made of a year's leads, the first time", judge_all, 1),
        measured("what sellers made of a year's leads, once a day", judge, 3),
        measured("assign: a hot lead, from its event to its commit", assign),
        measured("claim: from its event to its commit", claim, max(1, len(made) - 10)),
        measured("a viewer with a lead does something", again, min(TIMES, len(known) - 10)),
    ]
    book.roll_back()
    return found


def _kept(engine: sa.Engine) -> list[Figures]:
    """What the indices cost by which retention finds what is old: a transaction of the follower without them, and how long a
    database of before them takes to be brought up. They are there again at the end."""
    with engine.connect().execution_options(**{WRITES: True}) as db, db.begin():
        for name in KEPT:
            db.execute(sa.text(f"DROP INDEX {name}"))
    without = [
        replace(figures, name=f"{figures.name}, without the indices of retention")
        for figures in _decide(engine)
        if figures.name.startswith(("assign", "claim"))
    ]
    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
        config.attributes["connection"] = connection
        command.downgrade(config, "0007")
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0006'"))
    return [*without, measured("bring the tables of 0006 up to date", lambda _: bring_up(engine), 1)]


async def _over_http(folder: Path, url: str) -> Figures:
    """What a seller waits for a claim, with the whole daemon: two commits and a read, and the way."""
    config = folder / "config.toml"
    config.write_text(
        f'[server]\nport = 0\n[log]\nlevel = "error"\n[storage]\npath = "store.db"\n[model]\nenabled = false\n'
        f'[centre]\ndatabase = "{url}"\n[[rooms]]\nid = "r"\nplatform = "douyin"\nroom = "{ROOMS[0]}"\n',
        "utf-8",
    )
    engine = open_database(url)
    c = tables.leads.c
    with engine.connect() as db:
        free = db.execute(
            sa.select(c.lead, c.team)
            .where(c.closed_at.is_(None), c.merged_into.is_(None), c.team.like("s%t%"), c.status == "pooled")
            .order_by(c.lead)
            .limit(CLAIMED_OVER_HTTP + 5)
        ).all()
    engine.dispose()
    times: list[float] = []
    async with running(config) as daemon:
        async with asyncio.timeout(300):
            while (await daemon.http.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.1)
        for lead, team in free:
            headers = {"authorization": f"Bearer {daemon.token(Role.SALES, seller=f'{team}p1')}"}
            began = time.perf_counter()
            answer = await daemon.http.post(f"/api/v1/leads/{lead}/claim", json={}, headers=headers)
            took = (time.perf_counter() - began) * 1e3
            assert answer.status_code in (200, 409), (
                answer.text
            )  # who had it a short while ago may not have it back yet
            if answer.status_code == 200:
                times.append(took)
    return Figures("claim over HTTP, with the daemon", times[5:], float("nan"))


@contextlib.contextmanager
def _at_most(db: sa.Connection, seconds: float) -> Iterator[None]:
    """End a question that takes longer with an error."""
    connection: Any = db.connection.driver_connection
    if db.dialect.name == "postgresql":
        db.execute(sa.text(f"SET LOCAL statement_timeout = {int(seconds * 1e3)}"))
        yield
        return
    timer = threading.Timer(seconds, connection.interrupt)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


# ---------------------------------------------------------------------- what it takes on the disk, and how it is found


def _bytes(engine: sa.Engine, url: str) -> float:
    if engine.dialect.name == "sqlite":
        return float(
            sum(
                file.stat().st_size for file in Path(url.removeprefix("sqlite:///")).parent.glob("centre.db*")
            )
        )
    with engine.connect() as db:
        return float(db.execute(sa.text("SELECT pg_database_size(current_database())")).scalar_one())


def _explain(engine: sa.Engine) -> None:
    """Print how a seller's inbox and a day's count are found."""
    statements: list[tuple[str, Any]] = []

    def hear(
        _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
    ) -> None:
        if statement.lstrip().startswith("SELECT"):
            statements.append((statement, parameters))

    sa.event.listen(engine, "before_cursor_execute", hear)
    desk = Desk(engine)
    desk.inbox(Sight(seller="s7t1p1", teams=frozenset({"s7t1"})), "open", limit=50)
    desk.inbox(
        Sight(seller="s7boss", teams=frozenset({"s7", "s7t0", "s7t1", "s7t2"}), manages=True),
        "open",
        limit=50,
    )
    now = time.time_ns() // 1_000_000
    with engine.connect() as db:
        query(db, Question(indicators=("lead_to_order",), from_at=now - DAY, to_at=now))
    sa.event.remove(engine, "before_cursor_execute", hear)
    how = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN (COSTS OFF) "
    found: dict[str, None] = {}
    for statement, parameters in statements:
        with engine.connect() as db:
            for row in db.exec_driver_sql(how + statement, parameters):
                line = str(row[-1]).strip()
                if any(word in line for word in ("Scan", "SCAN", "SEARCH", "Sort", "TEMP")):
                    found[line] = None
    print("\n  ".join(["How inboxes and a day's count are found:", *found]))
