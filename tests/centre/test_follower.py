"""The task that follows the journal: whatever dies or goes away in between, each frame is applied once, and each message told once."""

import asyncio
import contextlib
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw
import pytest
import sqlalchemy as sa
import structlog
import structlog.testing

from frontrow.app.centre import ANOTHER_HISTORY, RETRY_S, CentreFollower
from frontrow.app.parts import load_config
from frontrow.app.rebuilding import rebuild
from frontrow.config import Config
from frontrow.core.alerts import Addressee
from frontrow.core.centre.book import LeadRow, Told
from frontrow.core.centre.centre import PLATFORM, ROOM, Centre
from frontrow.core.centre.conduct import INTERVALS
from frontrow.core.centre.organisation import change_data
from frontrow.core.centre.policy import policy_data
from frontrow.core.errors import DatabaseAway, StoreDamaged, StoreLocked
from frontrow.core.events import Event
from frontrow.core.frames import Frame
from frontrow.core.leads import Lead, LeadGrouped
from frontrow.storage.aio import StoreThread
from frontrow.storage.centre import database as centre_database
from frontrow.storage.centre import tables
from frontrow.storage.centre.book import TABLES, SqlBook
from frontrow.storage.centre.database import open_database
from frontrow.storage.lock import StoreLock
from frontrow.storage.store import Alert, Commit, Store
from tests.support.alerts import an_alert
from tests.support.centre import MINUTE, ORGANISATION, START, a_policy, hot_lead
from tests.support.clock import ManualClock, settle
from tests.support.daemons import ROOT, SOURCE_ROOTS
from tests.support.postgres import Postgres, needs_postgres

EVENTS = 40
TICKS = INTERVALS + 2  # of somebody who acts by the clock
GROUPED = "e30"  # the event behind which the engine found a group
TOLD = EVENTS + 1 + TICKS  # events of the story


Outcome = tuple[dict[str, list[str]], list[str]]


class Stopped(BaseException):
    """The process dies here."""


class Quiet:
    """Fits the follower's observer."""

    def __init__(self) -> None:
        self.failures = self.skipped = 0

    def centre_applied(self, frames: int, seconds: float, behind: int) -> None:
        del frames, seconds, behind

    def centre_failed(self, behind: int) -> None:
        del behind
        self.failures += 1

    def centre_skipped(self) -> None:
        self.skipped += 1


def story() -> list[tuple[Event, list[Lead]]]:
    """Viewers who turn hot, and what becomes of them: some are claimed, some returned, some meet again, some leave a form."""

    def event(kind: str, number: int, at: int, **fields: Any) -> Event:
        place = {"platform": "douyin", "room": "r1"} if "viewer" in fields or "lead" in fields else {}
        return Event(**{
            "id": f"e{number}", "kind": kind, "at": START + at, "seen_at": START + at, "platform": PLATFORM, "room": ROOM,
            **place, **fields,
        })  # fmt: skip

    found: list[tuple[Event, list[Lead]]] = [
        (event("policy_change", EVENTS, 0, data={"policy": policy_data(a_policy()), "version": "v"}), []),
        (event("org_change", 0, 0, data=change_data(ORGANISATION)), []),
    ]

    for number in range(1, EVENTS):
        at = number * 2 * MINUTE
        viewer = f"v{number % 7}"
        if number % 5 == 3:
            data = {"phone": f"{number % 3}" * 32, "country": "CN", "province": "浙江", "city": "杭州"}
            form = event("form_submit", number, at, viewer=viewer, consent=True, form="f", data=data)
            found.append((form, []))
        elif number % 3 == 2:
            raw = hot_lead(f"v{(number - 1) % 7}", START + at - 2 * MINUTE, session=f"s{number - 1}").lead
            found.append((event("lead_claim", number, at, lead=raw, seller=("li", "wang")[number % 2]), []))
        else:
            said = event("comment", number, at, viewer=viewer, name=viewer, text="多少钱")
            found.append((said, [hot_lead(viewer, START + at, session=f"s{number}")]))
    begins = EVENTS * 2 * MINUTE
    for tick in range(TICKS):  # who is hot before that can be seen
        at = begins + tick * MINUTE // 4
        said = event("comment", 1_000 + tick, at, viewer="metronome", text="多少钱")
        found.append((said, [hot_lead("metronome", START + at, session="s-last")] if tick == 2 else []))
    return found


def grouped(event: Event) -> LeadGrouped:
    """Return that the first to turn hot is found in a group when another event comes."""
    _, [lead] = next((event, leads) for event, leads in story() if leads)
    return LeadGrouped(lead.lead, lead.platform, lead.viewer, event.at, 4)


def journal(path: Path, frame: int = 1) -> Store:
    """Return a store whose journal tells the story, cut into frames of so many events."""
    store = Store.open(path)
    told = story()
    commits = [
        Commit(
            Frame.of([event for event, _ in part]),
            [lead for _, leads in part for lead in leads],
            (),
            START,
            [at for at, (_, leads) in enumerate(part) for _ in leads],
            [(at, grouped(event)) for at, (event, _) in enumerate(part) if event.id == GROUPED],
        )
        for part in (told[start : start + frame] for start in range(0, len(told), frame))
    ]
    store.append(commits)
    return store


class Following:
    """A follower of a journal, as the daemon has it."""

    def __init__(self, store: StoreThread, url: str, clock: ManualClock) -> None:
        self.observer = Quiet()
        self.changed: list[LeadRow] = []
        self.book: SqlBook | None = None

        def make() -> tuple[SqlBook, Centre]:
            self.book = book = SqlBook(open_database(url), store.store.id)
            return book, Centre(book, a_policy())

        self.follower = CentreFollower(
            store=store, make=make, alerts=alerts, told=lambda: None, changed=self.changed.extend,
            shown=lambda _row: (None, None), clock=clock, observer=self.observer,
        )  # fmt: skip


def alerts(book: SqlBook, centre: Centre, told: Sequence[Told]) -> list[tuple[Alert, int]]:
    """One message for each, as the daemon makes them."""
    del book, centre
    return [
        (Alert("wecom", each.key, an_alert(each.lead, to=Addressee(seller=each.to))), each.at)
        for each in told
        if each.to is not None
    ]


@contextlib.asynccontextmanager
async def following(path: Path, url: str, clock: ManualClock | None = None) -> AsyncIterator[Following]:
    """Follow a journal until the block ends."""
    store = await StoreThread.open(path)
    clock = clock or ManualClock(START)
    found = Following(store, url, clock)
    task: asyncio.Task[None] | None = None
    try:
        await found.follower.open()
        task = asyncio.create_task(found.follower.run())
        yield found
    finally:
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        await found.follower.close()
        await store.close()


async def caught_up(each: Following) -> None:
    """Wait until all of the journal is applied."""
    async with asyncio.timeout(30):
        await each.follower.applied(each.follower._store.store.seq)


def decided(url: str) -> dict[str, list[str]]:
    """All that the database holds, but for what is shown of people."""
    engine = open_database(url)
    found: dict[str, list[str]] = {}
    with engine.connect() as db:
        for table in [*TABLES.values(), tables.position]:
            personal = {"name", "words", "store", "mark", "seq"} if table is not tables.states else set()
            columns = [column for column in table.columns if column.name not in personal]
            found[table.name] = sorted(repr(tuple(row)) for row in db.execute(sa.select(*columns)))
    engine.dispose()
    return found


def letters(path: Path) -> list[str]:
    """The keys of all messages in the outbox."""
    with contextlib.closing(Store.open(path)) as store:
        return sorted(key for _, key, *_ in store.outbox_due("wecom", 1 << 60, 10_000))


@pytest.fixture(autouse=True)
def logged() -> Iterator[Any]:
    """What the follower logs, which to print as it is printed on a terminal takes seconds."""
    with structlog.testing.capture_logs() as found:
        yield found


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What one run without any trouble gives: the database, and the messages."""
    folder = tmp_path_factory.mktemp("expected")
    path, url = folder / "store.db", f"sqlite:///{folder / 'centre.db'}"

    async def run() -> None:
        journal(path).close()
        async with following(path, url) as each:
            await caught_up(each)

    asyncio.run(run())
    found = decided(url), letters(path)
    assert len(found[0]["leads"]) > 4 and len(found[1]) > 20, "else nothing is tried here"
    assert any("clockwork" in entry for entry in found[0]["leads"]), "else nobody's conduct is looked at here"
    assert any("crowd" in entry for entry in found[0]["leads"]), "nor is what the engine found after a lead"
    return found


def dies_in(each: Following, step: str, nth: int, die: Callable[[], None]) -> None:
    """Let a follower die where it takes a step for the n-th time: before it, or after it has been done."""
    name, _, when = step.partition(" ")
    owner: Any = {"outbox_add": each.follower._store.store, "commit": each.book, "put": each.book}[name]
    whole: Callable[..., Any] = getattr(owner, name)
    left = [nth]

    def dying(*arguments: Any) -> Any:
        left[0] -= 1
        if left[0] == 0 and when == "before":
            die()
        done = whole(*arguments)
        if left[0] == 0:
            die()
        return done

    setattr(owner, name, dying)


def _stop() -> None:
    raise Stopped


def _lose_the_database() -> None:
    raise sa.exc.OperationalError("COMMIT", {}, Exception("the connection was lost"))


STEPS = ["put before", "outbox_add before", "outbox_add after", "commit before", "commit after"]


@pytest.mark.parametrize(("step", "nth"), [*((step, 1) for step in STEPS), ("put before", 30)])
async def test_a_daemon_that_dies_at_any_step_goes_on_as_if_it_had_not(
    tmp_path: Path, database: str, expected: Outcome, step: str, nth: int
) -> None:
    """What was told is in the outbox before the position is written: the second time it has the same key."""
    path = tmp_path / "store.db"
    journal(path).close()
    store = await StoreThread.open(path)
    died = Following(store, database, ManualClock(START))
    await died.follower.open()
    dies_in(died, step, nth, _stop)
    with pytest.raises(Stopped):
        await died.follower.run()
    assert died.book is not None
    died.book.close()
    await store.close()
    async with following(path, database) as again:
        await caught_up(again)
    assert (decided(database), letters(path)) == expected


@pytest.mark.parametrize("step", ["put before", "outbox_add after", "commit before", "commit after"])
async def test_a_database_that_fails_once_is_asked_again_where_it_says_it_is(
    tmp_path: Path, database: str, expected: Outcome, step: str
) -> None:
    """Where the answer to a commit is lost, nobody but the database knows whether it was done."""
    path, clock = tmp_path / "store.db", ManualClock(START)
    journal(path).close()
    store = await StoreThread.open(path)
    each = Following(store, database, clock)
    await each.follower.open()
    dies_in(each, step, 2, _lose_the_database)
    task = asyncio.create_task(each.follower.run())
    await clock.until_sleeping()
    assert (each.follower.failing, each.observer.failures) == (True, 1)
    await clock.advance(RETRY_S)
    await caught_up(each)
    task.cancel()
    await asyncio.wait([task])
    assert not each.follower.failing
    await each.follower.close()
    await store.close()
    assert (decided(database), letters(path)) == expected


DYING = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.centre import test_follower as test
from tests.support.clock import ManualClock

async def follow(path, url, step, nth):
    store = await test.StoreThread.open(Path(path))
    each = test.Following(store, url, ManualClock(test.START))
    await each.follower.open()
    test.dies_in(each, step, int(nth), lambda: os.kill(os.getpid(), signal.SIGKILL))
    await each.follower.run()

asyncio.run(follow(*sys.argv[1:]))
"""


@pytest.mark.parametrize(("step", "nth"), [("commit before", 2)])
async def test_a_process_that_is_killed_leaves_nothing_undone_or_done_twice(
    tmp_path: Path, database: str, expected: Outcome, step: str, nth: int
) -> None:
    path = tmp_path / "store.db"
    journal(path).close()
    search = os.pathsep.join([*SOURCE_ROOTS, str(ROOT)])
    died = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", DYING, str(path), database, step, str(nth)],
        env={**os.environ, "PYTHONPATH": search}, capture_output=True, timeout=40, check=False,
    )  # fmt: skip
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    async with following(path, database) as again:
        await caught_up(again)
    assert (decided(database), letters(path)) == expected


@pytest.mark.parametrize("frame", [7, 1_000])
async def test_however_the_journal_is_cut_into_frames_it_gives_the_same(
    tmp_path: Path, database: str, expected: Outcome, frame: int
) -> None:
    path = tmp_path / "store.db"
    journal(path, frame).close()
    async with following(path, database) as each:
        await caught_up(each)
    assert (decided(database), letters(path)) == expected


@needs_postgres
async def test_a_server_that_is_stopped_and_started_again_is_caught_up_with(
    tmp_path: Path, expected: Outcome
) -> None:
    path, clock, server = tmp_path / "store.db", ManualClock(START), Postgres()
    try:
        url = server.database()
        journal(path).close()
        async with following(path, url, clock) as each:
            await caught_up(each)
            server.stop(signal.SIGQUIT)
            event = story()[-1][0]
            later = Commit(
                Frame.of([_later(event)]),
                [hot_lead("v1", START + 10_000 * MINUTE, session="later")],
                (),
                START,
                [0],
            )
            await each.follower._store.call(each.follower._store.store.append, [later])
            each.follower._arrived.set()
            await clock.until_sleeping(patience_s=20)
            assert each.follower.failing
            server.start()
            await clock.advance(RETRY_S)
            await caught_up(each)
            await settle()
            assert not each.follower.failing
        assert len(decided(url)["raw_leads"]) == len(expected[0]["raw_leads"]) + 1
    finally:
        server.close()


async def test_a_file_that_somebody_else_has_locked_is_tried_again(
    tmp_path: Path, expected: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(centre_database, "BUSY_S", 0.05)
    path, file, clock = tmp_path / "store.db", tmp_path / "centre.db", ManualClock(START)
    journal(path).close()
    open_database(f"sqlite:///{file}").dispose()
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with following(path, f"sqlite:///{file}", clock) as each:
            await clock.until_sleeping()
            assert each.follower.failing
            other.execute("ROLLBACK")
            await clock.advance(RETRY_S)
            await caught_up(each)
    assert (decided(f"sqlite:///{file}"), letters(path)) == expected


def _later(event: Event) -> Event:
    at = START + 10_000 * MINUTE
    return Event(
        id="later", kind="comment", platform="douyin", room="r1", viewer="v1", text="?", at=at, seen_at=at
    )


async def test_a_database_that_has_followed_what_was_taken_back_says_how_to_go_on(
    tmp_path: Path, database: str
) -> None:
    """As after a restore: the journal goes on otherwise from somewhere on."""
    path, clock = tmp_path / "store.db", ManualClock(START)
    journal(path).close()
    async with following(path, database) as each:
        await caught_up(each)
    with contextlib.closing(apsw.Connection(str(path))) as db:
        db.execute("DELETE FROM leads WHERE seq > 30; DELETE FROM frames WHERE seq > 30")
    with contextlib.closing(Store.open(path)) as store:
        store.append([Commit(Frame.of([_later(story()[0][0])]), (), (), START)] * 20)
    store_thread = await StoreThread.open(path)
    each = Following(store_thread, database, clock)
    with pytest.raises(StoreDamaged, match="frontrow centre rebuild"):
        await each.follower.open()
    await each.follower.close()
    await store_thread.close()
    assert "stop the daemon" in ANOTHER_HISTORY


async def test_a_database_that_comes_back_with_another_history_is_not_followed_on(
    tmp_path: Path, database: str, logged: list[dict[str, Any]]
) -> None:
    """As when the server's own backup was put back, or another one's, while it was away: to go on would mix two histories."""
    path, clock = tmp_path / "store.db", ManualClock(START)
    journal(path).close()
    store = await StoreThread.open(path)
    each = Following(store, database, clock)
    await each.follower.open()
    dies_in(each, "commit before", 2, _lose_the_database)
    task = asyncio.create_task(each.follower.run())
    await clock.until_sleeping()
    assert str(each.follower.state) == "away"
    engine = open_database(database)
    with engine.begin() as db:
        whole = db.execute(sa.select(tables.position)).one()
        db.execute(sa.update(tables.position).values(mark=bytes(len(whole.mark))))
    for _ in range(2):
        await clock.advance(RETRY_S)
        await clock.until_sleeping()
    assert (str(each.follower.state), each.observer.failures) == ("failing", 3)
    refused = [line for line in logged if line["event"] == "centre_refused"]
    assert [line["reason"] for line in refused] == [ANOTHER_HISTORY], "once"
    with engine.begin() as db:
        assert db.execute(sa.select(tables.position.c.seq)).scalar() == whole.seq, "nothing was applied"
        db.execute(sa.update(tables.position).values(mark=whole.mark))
    engine.dispose()
    await clock.advance(RETRY_S)
    await caught_up(each)
    await settle()
    assert str(each.follower.state) == "ok"
    task.cancel()
    await asyncio.wait([task])
    await each.follower.close()
    await store.close()


# ---------------------------------------------------------------------- frontrow centre rebuild


def configured(folder: Path, database: str, more: str = "") -> Config:
    path = folder / "config.toml"
    path.write_text(f'[storage]\npath = "store.db"\n[centre]\ndatabase = "{database}"\n{more}', "utf-8")
    return load_config(path, {})


def rebuilt(config: Config, now: int = START) -> tuple[int, int, int]:
    seen: list[tuple[int, int]] = []
    done = rebuild(config, now=now, since="now", progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen) and seen[-1] == (done.frames, done.frames)
    return done.frames, done.leads, done.left


async def test_a_database_that_is_made_anew_is_the_one_that_was_there_and_tells_nobody_again(
    tmp_path: Path, database: str, expected: Outcome
) -> None:
    path, config = tmp_path / "store.db", configured(tmp_path, database)
    journal(path).close()
    async with following(path, database) as each:
        await caught_up(each)
    with contextlib.closing(apsw.Connection(str(path))) as outbox:
        outbox.execute("DELETE FROM outbox")  # as when what was sent long ago has been cleared away
    engine = open_database(database)
    with engine.begin() as db:
        db.execute(sa.delete(tables.timeline))
        db.execute(sa.update(tables.leads).values(holder="nobody"))
        seen = {
            "id": "export:1",
            "lead": "U",
            "customer": "C",
            "by": "boss",
            "purpose": "an audit",
            "at": START,
        }
        db.execute(sa.insert(tables.accesses), seen)
    engine.dispose()
    assert await asyncio.to_thread(rebuilt, config) == (TOLD, len(expected[0]["leads"]), 0)
    log = {"accesses": [*expected[0]["accesses"], repr(tuple(seen.values()))]}  # which no journal has
    assert decided(database) == expected[0] | log
    async with following(path, database) as each:
        await caught_up(each)
    assert (decided(database), letters(path)) == (expected[0] | log, [])


async def test_what_the_old_database_had_not_followed_yet_is_left_to_the_daemon_which_tells_of_it(
    tmp_path: Path, database: str, expected: Outcome
) -> None:
    path, config = tmp_path / "store.db", configured(tmp_path, database)
    store = journal(path)
    store.close()
    thread = await StoreThread.open(path)
    died = Following(thread, database, ManualClock(START))
    await died.follower.open()
    dies_in(died, "commit before", 2, _stop)
    with pytest.raises(Stopped):
        await died.follower.run()
    assert died.book is not None
    died.book.close()
    await thread.close()
    frames, _, left = await asyncio.to_thread(rebuilt, config)
    assert 0 < frames < TOLD and frames + left == TOLD
    async with following(path, database) as each:
        await caught_up(each)
    assert (decided(database), letters(path)) == expected


async def test_a_database_that_is_gone_is_made_from_the_journals_end(
    tmp_path: Path, expected: Outcome
) -> None:
    path, file = tmp_path / "store.db", tmp_path / "centre.db"
    journal(path).close()
    assert (await asyncio.to_thread(rebuilt, configured(tmp_path, f"sqlite:///{file}")))[2] == 0
    assert decided(f"sqlite:///{file}") == expected[0]
    assert letters(path) == []
    assert [name for name in os.listdir(tmp_path) if "rebuilding" in name] == []


async def test_nothing_is_made_anew_beside_a_running_daemon(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    journal(path).close()
    lock = StoreLock(path)
    lock.acquire("now")
    with pytest.raises(StoreLocked):
        rebuild(configured(tmp_path, ""), now=START, since="now", progress=lambda done, total: None)
    lock.release()


async def test_a_journal_that_cannot_be_read_leaves_the_database_as_it_was(
    tmp_path: Path, database: str, expected: Outcome
) -> None:
    path, config = tmp_path / "store.db", configured(tmp_path, database)
    journal(path).close()
    async with following(path, database) as each:
        await caught_up(each)
    with contextlib.closing(apsw.Connection(str(path))) as db:
        db.execute("UPDATE frames SET facts = zeroblob(20) WHERE seq = 20")
    with pytest.raises(StoreDamaged, match="frame 20"):
        rebuild(config, now=START, since="now", progress=lambda done, total: None)
    assert decided(database) == expected[0]


async def test_an_event_that_fails_by_our_mistake_stops_nothing_that_comes_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One frame that could not be applied would stop all leads of the company until somebody mends the program."""
    journal(tmp_path / "frontrow.db", frame=7).close()
    hear = Centre._hear
    claims = [event.id for event, _ in story() if event.kind == "lead_claim"]

    def mistaken(self: Centre, event: Event, at: int) -> None:
        hear(self, event, at)
        if event.id == claims[1]:
            raise ZeroDivisionError

    monkeypatch.setattr(Centre, "_hear", mistaken)
    url = f"sqlite:///{tmp_path / 'centre.db'}"
    async with following(tmp_path / "frontrow.db", url) as each:
        await caught_up(each)
        assert (each.observer.skipped, each.observer.failures) == (1, 0)
    monkeypatch.setattr(
        Centre, "_hear", lambda self, event, at: event.id != claims[1] and hear(self, event, at)
    )
    other = f"sqlite:///{tmp_path / 'other.db'}"
    async with following(tmp_path / "frontrow.db", other) as each:
        await caught_up(each)
    assert decided(url) == decided(other), "as if that one event had said nothing"


@contextlib.contextmanager
def no_file_grows() -> Iterator[None]:
    """Let the system refuse to write into any file behind its first kilobyte, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_024, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_disk_that_fails_while_the_file_is_emptied_is_said_and_asked_again(
    tmp_path: Path, logged: list[dict[str, Any]]
) -> None:
    """An erasure and the sweeping wait for this: the error of a driver would end the one, and with it the daemon."""
    path, url = tmp_path / "store.db", f"sqlite:///{tmp_path / 'centre.db'}"
    journal(path).close()
    async with following(path, url) as each:
        await caught_up(each)
        wal = tmp_path / "centre.db-wal"
        before = wal.stat().st_size
        assert before > 0
        with no_file_grows():
            for _ in range(2):
                with pytest.raises(DatabaseAway, match="disk"):
                    await each.follower.scrub()
        assert wal.stat().st_size == before
        failed = [line for line in logged if line["event"] == "centre_file_not_emptied"]
        assert len(failed) == 1, "once, not on every try"
        assert await each.follower.scrub()
        assert wal.stat().st_size == 0
