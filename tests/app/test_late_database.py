"""A daemon whose Postgres is not there when it starts: events, panels and the journal work, and what they said is done when it comes."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog.testing
import websockets

from frontrow.app import centre as follower
from frontrow.app import erasing
from frontrow.app.centre_doctor import look_at_centre
from frontrow.app.parts import load_config
from frontrow.core.errors import StoreDamaged, StoreUnusable
from frontrow.runtime.access import Role
from frontrow.storage.centre import database
from frontrow.storage.centre.database import bring_up, open_database, unopened_database
from frontrow.storage.doctor import examine
from tests.app.test_daemon import hot, next_message
from tests.app.test_desk import ORGANISATION, Person
from tests.app.test_erasing import erased_by
from tests.support.daemons import Running, running, write_config
from tests.support.postgres import Postgres, needs_postgres

NOW = 1_750_000_000_000

pytestmark = needs_postgres


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Postgres]:
    """A server with an empty database "leads", stopped."""
    monkeypatch.setattr(follower, "RETRY_S", 0.05)
    made = await asyncio.to_thread(Postgres)
    try:
        with psycopg.connect(made.url("postgres"), autocommit=True) as db:
            db.execute("CREATE DATABASE leads TEMPLATE template0")
        await asyncio.to_thread(made.stop)
        yield made
    finally:
        await asyncio.to_thread(made.close)


def config(tmp_path: Path, url: str) -> Path:
    return write_config(tmp_path, f'[centre]\ndatabase = "{url}"\n{ORGANISATION}')


async def state(daemon: Running) -> str:
    answer = await daemon.http.get("/readyz")
    assert (answer.status_code, answer.json()["ready"]) == (200, True), "events are taken"
    return str(answer.json()["checks"]["centre"])


async def until(daemon: Running, wanted: str) -> None:
    async with asyncio.timeout(30):
        while await state(daemon) != wanted:
            await asyncio.sleep(0.02)


async def test_what_came_before_the_database_is_given_to_whom_it_belongs_when_it_comes(
    tmp_path: Path, server: Postgres
) -> None:
    """Its tables are made then, and the organisation was journalled before the leads that it is for."""
    path = config(tmp_path, server.url("leads"))
    with structlog.testing.capture_logs() as logs:
        async with running(path) as daemon:
            assert await state(daemon) == "away"
            li, admin = Person(daemon, "li"), Person(daemon, None, Role.ADMIN)
            async with websockets.connect(daemon.socket_url("demo", daemon.token(Role.HOST))) as panel:
                await next_message(panel, "snapshot")
                accepted = await daemon.ingest(hot())
                assert accepted.status_code == 200 and accepted.json()["accepted"] > 0
                begun = await next_message(panel, "snapshot")
                assert [row["grade"] for row in begun["viewers"]] == ["hot"]
            for path_of in ("inbox", "leads/U1", "indicators/query?indicators=raw_leads", "organisation"):
                answer = await admin.get(f"/api/v1/{path_of}")
                assert (answer.status_code, answer.headers.get("retry-after")) == (503, "1"), path_of
            assert (await li.do("U1", "claim")).status_code == 503
            line, sound = await asyncio.to_thread(look_at_centre, load_config(path, {}), NOW)
            assert "away" in line and not sound
            await asyncio.to_thread(server.start)
            await until(daemon, "ok")
            lead = await li.first_lead()
            done = await li.do(lead, "claim")
            assert (done.status_code, done.json()["holder"]) == (200, "li")
    told = [each["event"] for each in logs]
    assert told.count("centre_away") == 1 and told.count("centre_recovered") == 1
    line, sound = await asyncio.to_thread(look_at_centre, load_config(path, {}), NOW)
    assert sound and "has followed" in line


async def test_a_server_that_comes_up_slowly_is_said_to_be_away_once(
    tmp_path: Path, server: Postgres
) -> None:
    """Nobody listens, then one who is starting up turns connections away: other words, and the same trouble."""
    turned_away = 0

    async def starting_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal turned_away
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            [length] = struct.unpack("!i", await reader.readexactly(4))
            await reader.readexactly(length - 4)
            fields = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"
            writer.write(b"E" + struct.pack("!i", 4 + len(fields)) + fields)
            await writer.drain()
            turned_away += 1
        writer.close()

    with structlog.testing.capture_logs() as logs:
        async with running(config(tmp_path, server.url("leads"))) as daemon:
            assert await state(daemon) == "away"
            async with await asyncio.start_server(starting_up, "127.0.0.1", server.port), asyncio.timeout(20):
                while turned_away < 4:  # a connection and a ping each time that it is tried
                    await asyncio.sleep(0.02)
            await asyncio.to_thread(server.start)
            await until(daemon, "ok")
    told = [each["event"] for each in logs]
    assert (told.count("centre_away"), told.count("centre_recovered")) == (1, 1)


async def test_a_late_database_is_not_called_back_before_it_knows_the_company(
    tmp_path: Path, server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who works where comes from the journal: until that is followed, nobody may be told that the desk knows who they are."""
    step, at_it, go_on = follower.CentreFollower._step, asyncio.Event(), asyncio.Event()

    async def held_up(*given: Any) -> None:
        at_it.set()
        await go_on.wait()
        await step(*given)

    monkeypatch.setattr(follower.CentreFollower, "_step", held_up)
    async with running(config(tmp_path, server.url("leads"))) as daemon:
        li = Person(daemon, "li")
        await asyncio.to_thread(server.start)
        try:
            async with asyncio.timeout(20):
                await at_it.wait()
            assert await state(daemon) == "away"
        finally:
            go_on.set()
        await until(daemon, "ok")
        assert (await li.get("/api/v1/inbox")).status_code == 200


async def test_a_daemon_that_never_saw_its_database_leaves_all_to_the_next(
    tmp_path: Path, server: Postgres
) -> None:
    path = config(tmp_path, server.url("leads"))
    for number in range(2):
        async with running(path) as daemon:
            await daemon.ingest(hot(viewer=f"v{number}"))
    await asyncio.to_thread(server.start)
    async with running(path) as daemon:
        assert await state(daemon) == "ok"
        li = Person(daemon, "li")
        async with asyncio.timeout(20):
            while len(found := await li.leads()) < 2:
                await asyncio.sleep(0.02)
        assert {each["team"] for each in found} == {"a"}, "the first start has journalled who works where"


async def test_a_server_that_answers_and_refuses_is_an_error_at_the_start(
    tmp_path: Path, server: Postgres
) -> None:
    await asyncio.to_thread(server.start)
    with pytest.raises(StoreUnusable, match="nothing"):
        async with running(config(tmp_path, server.url("nothing"))):
            pass


async def test_a_server_that_comes_up_while_one_asks_is_no_refusal(
    server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It turned the connection away since it was starting, and took others by the time that it was asked why."""
    ask = database._is_away

    def asked_after_it_came(engine: Any) -> bool:
        server.start()
        return ask(engine)

    engine = unopened_database(server.url("leads"))
    with monkeypatch.context() as late:
        late.setattr(database, "_is_away", asked_after_it_came)
        await asyncio.to_thread(bring_up, engine)
    assert await asyncio.to_thread(database.present_version, engine) == database.HEAD
    engine.dispose()


async def test_a_database_of_a_newer_frontrow_is_an_error_at_the_start_and_loud_when_it_comes_later(
    tmp_path: Path, server: Postgres
) -> None:
    """It is found out when it comes; events go on, since whoever mends it can do so while they do."""
    await asyncio.to_thread(server.start)
    open_database(server.url("leads")).dispose()

    def version(text: str) -> None:
        with psycopg.connect(server.url("leads"), autocommit=True) as db:
            db.execute("UPDATE alembic_version SET version_num = %s", (text,))

    def present() -> Any:
        with psycopg.connect(server.url("leads")) as db:
            return db.execute("SELECT version_num FROM alembic_version").fetchone()

    [known] = present()
    version("9999")
    with pytest.raises(StoreDamaged, match="newer Frontrow"):
        async with running(config(tmp_path, server.url("leads"))):
            pass
    await asyncio.to_thread(server.stop)
    with structlog.testing.capture_logs() as logs:
        async with running(config(tmp_path, server.url("leads"))) as daemon:
            assert await state(daemon) == "away"
            await asyncio.to_thread(server.start)
            await until(daemon, "failing")
            await daemon.ingest(hot())
            assert (await Person(daemon, "li").get("/api/v1/inbox")).status_code == 503
            version(known)
            await until(daemon, "ok")
            assert await Person(daemon, "li").first_lead()
    assert [each["event"] for each in logs].count("centre_refused") == 1


async def test_an_erasure_that_the_database_was_away_for_is_finished_when_it_is_back(
    tmp_path: Path, server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its keys are gone and the journal is clean meanwhile; nobody has to start the daemon again, or to ask twice."""
    begin = erasing._begin
    monkeypatch.setattr(erasing, "AGAIN_S", 0.05)

    def begin_and_lose_the_database(vault: Any, wish: Any) -> int:
        keys: int = begin(vault, wish)
        server.stop()
        return keys

    monkeypatch.setattr(erasing, "_begin", begin_and_lose_the_database)
    await asyncio.to_thread(server.start)
    path = config(tmp_path, server.url("leads"))
    with structlog.testing.capture_logs() as logs:
        async with running(path) as daemon:
            li, admin = Person(daemon, "li"), Person(daemon, None, Role.ADMIN)
            await daemon.ingest(hot(viewer="v1"))
            lead = await li.first_lead()
            await li.do(lead, "note", note="想要三件")
            asked = {"platform": "test", "viewer": "v1", "reason": "asked"}
            done = await admin.post("/api/v1/persons/erase", **asked)
            assert done.status_code == 200, done.text
            async with asyncio.timeout(20):
                while "erasure_waits" not in [each["event"] for each in logs]:
                    await asyncio.sleep(0.02)
            assert "person_erased" not in [each["event"] for each in logs]
            assert await state(daemon) == "away"
            refused = await admin.post("/api/v1/persons/erase", **asked | {"viewer": "v2"})
            assert refused.status_code == 503, "who else they are is not known now"
            assert "erasure" in " ".join(examine(daemon.store).lines())
            await asyncio.to_thread(server.start)
            await erased_by(daemon)
            async with asyncio.timeout(20):  # it is said a moment later
                while "person_erased" not in [each["event"] for each in logs]:
                    await asyncio.sleep(0.02)
            assert (await li.get(f"/api/v1/leads/{lead}")).json()["name"] is None
    told = [each["event"] for each in logs]
    assert (told.count("erasure_waits"), told.count("person_erased")) == (1, 1)
    with psycopg.connect(server.url("leads")) as db:
        found = db.execute("SELECT count(*) FROM timeline WHERE note IS NOT NULL").fetchone()
    assert found == (0,)
