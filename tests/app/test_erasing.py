"""One person is erased: from journal, outbox, snapshots, memory and backups, and replay gives what it gave before."""

import asyncio
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import apsw
import msgspec
import pytest
import structlog.testing

from frontrow.app import erasing as erasing_app
from frontrow.app.erasing import Erasing, NotErased, erase_at_rest, export
from frontrow.cli import DONE, LOCKED, WRONG, main
from frontrow.clock import SystemClock
from frontrow.core.centre.erasing import KIND
from frontrow.core.centre.identities import viewer_identity
from frontrow.core.engine import Engine
from frontrow.core.errors import StoreDamaged
from frontrow.core.events import Event, encode_event
from frontrow.core.ports import Intake, Receipt
from frontrow.core.preparing import Preparer
from frontrow.runtime.access import Role
from frontrow.runtime.intake import NotStored, QueueFull
from frontrow.runtime.people import People
from frontrow.storage.aio import StoreThread
from frontrow.storage.doctor import examine
from frontrow.storage.snapshots import Snapshots
from frontrow.storage.store import Commit, Store
from frontrow.storage.vault import Vault, path_beside
from tests.core.lexicons import default_lexicon
from tests.support.daemons import SOURCE_ROOTS, Running, running, write_config
from tests.support.feeds import FailedIntake
from tests.support.persons import (
    FRAMES,
    HER_ADDRESS,
    HER_NAME,
    HER_NOTE,
    HER_WORDS,
    HERS,
    HIS_NAME,
    HIS_WORDS,
    STORAGE,
    Shop,
    erase,
    events,
    make_shop,
    raw,
)
from tests.support.ports import stable_port
from tests.support.rooms import START, engine


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return make_shop(tmp_path)


def test_nothing_of_her_can_be_read_and_all_of_him(shop: Shop) -> None:
    before = shop.personal()
    assert all(word.encode() in raw(shop.store.parent) for word in (HER_NAME, HER_WORDS))
    assert all(word in before for word in (*HERS, HIS_NAME, HIS_WORDS))
    erase(shop.store)
    after = shop.personal()
    assert [word for word in (HER_NAME, HER_WORDS, HER_NOTE) if word in after] == []
    assert after.count(HER_ADDRESS) == before.count(HER_ADDRESS) / 2  # his, who wrote the same
    assert after.count(HIS_NAME) == before.count(HIS_NAME)
    left = raw(shop.store.parent)  # of which no page may hold them any more, free or not
    assert [word for word in (HER_NAME, HER_WORDS, HER_NOTE) if word.encode() in left] == []
    assert HIS_WORDS.encode() in left


def test_the_journal_verifies_and_replays_to_the_same(shop: Shop, tmp_path: Path) -> None:
    copy = Shop(shop.config, tmp_path / "copy" / "frontrow.db")
    copy.store.parent.mkdir()
    erase(shop.store)
    shutil.copy(shop.store, copy.store)  # with the event in it
    shutil.copy(path_beside(shop.store), path_beside(copy.store))
    assert examine(shop.store).sound, examine(shop.store).lines()
    erased = shop.replayed(tmp_path / "erased")
    store = Store.open(copy.store)
    for seq, frame in store.frames():  # what was erased is put back
        if seq <= FRAMES:
            both = Preparer({}, default_lexicon().for_room(), "CN").frame(
                [*events(seq - 1), *events(seq - 1, "him", HIS_NAME, HIS_WORDS)]
            )
            frame.names, frame.texts = both.names, both.texts
            store.rewrite_personal(seq - 1, 1, lambda _: frame)  # noqa: B023  # called at once
    store.close()
    assert copy.replayed(tmp_path / "whole") == erased
    assert HER_NAME in copy.personal()
    assert len(erased["viewers.ndjson"].splitlines()) == 2 * 1


def test_her_alerts_lose_name_and_words_and_those_that_wait_are_not_sent(shop: Shop) -> None:
    erase(shop.store)
    store = Store.open(shop.store)
    of_her, of_him = store.alerts_of("test", "her"), store.alerts_of("test", "him")
    assert {(alert.name, alert.words) for _, _, _, alert in of_her} == {("***", None)}
    assert sorted((sink, state) for sink, state, _, _ in of_her) == [("crm", "sent"), ("wecom", "dead")]
    assert sorted((sink, state) for sink, state, _, _ in of_him) == [("crm", "sent"), ("wecom", "pending")]
    assert [row[2].viewer for row in store.outbox_due("wecom", START * 2, 9)] == ["him"]
    assert len(store.leads_of("test", "her")) == 1  # a lead is a fact
    store.close()


def test_the_journal_says_once_that_somebody_was_erased(shop: Shop) -> None:
    erase(shop.store)
    store = Store.open_to_read(shop.store)
    [told] = [each for _, frame in store.frames_with(KIND) for each in frame.events() if each.kind == KIND]
    store.close()
    assert told.data == {
        "identities": [{"kind": "viewer:test", "key": "her"}], "by": "tests", "reason": "asked"
    }  # fmt: skip


def test_who_comes_back_begins_anew(shop: Shop) -> None:
    erase(shop.store)
    store, vault = Store.open(shop.store), Vault.open(path_beside(shop.store))
    later = events(0, at=SystemClock().now() + 60_000)
    later = [msgspec.structs.replace(each, id=f"again-{each.id}") for each in later]
    store.append(
        [Commit(Preparer({}, default_lexicon().for_room(), "CN", vault).frame(later), (), (), START)]
    )
    store.close()
    vault.close()
    assert shop.personal().count(HER_NAME) == 3
    assert shop.personal().count(HER_ADDRESS) == FRAMES + 1


KILLED_AT = """
import os, pathlib, sys
from frontrow.app.erasing import erase_at_rest, new_wish
from frontrow.clock import SystemClock
from frontrow.storage.store import Store
from frontrow.storage.vault import Vault
where, left = sys.argv[2], int(sys.argv[3])
owner = Vault if where in ("end_erasure", "_scrub") else Store
before = getattr(owner, where)
def dying(self, *arguments, **more):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), 9)
    return before(self, *arguments, **more)
setattr(owner, where, dying)
import frontrow.app.erasing
frontrow.app.erasing.FRAMES_A_STEP = 8
wish = lambda at: new_wish("test", "her", by="tests", reason="asked", at=at)
erase_at_rest(pathlib.Path(sys.argv[1]), None, wish, clock=SystemClock())
"""


@pytest.mark.parametrize(
    ("where", "calls"),
    [("_scrub", 1), ("append", 0), ("rewrite_personal", 0), ("rewrite_personal", 3), ("rewrite_alerts", 0), ("end_erasure", 0)],
)  # fmt: skip
def test_a_process_that_is_killed_in_the_middle_is_finished_by_the_next_start(
    shop: Shop, where: str, calls: int
) -> None:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(SOURCE_ROOTS)}
    command = [sys.executable, "-c", KILLED_AT, str(shop.store), where, str(calls)]
    killed = subprocess.run(command, check=False, env=environ, timeout=60, capture_output=True)
    assert killed.returncode == -9, killed.stderr
    assert any("1 erasures are under way" in note for note in examine(shop.store).notes)
    if where in ("rewrite_personal", "append"):
        assert HER_NAME in shop.personal()

    async def one_life() -> None:
        async with running(shop.config) as daemon:
            await erased_by(daemon)

    asyncio.run(one_life())
    after = shop.personal()
    assert [word for word in (HER_NAME, HER_WORDS, HER_NOTE) if word in after] == []
    found = examine(shop.store)
    assert found.sound, found.lines()
    store = Store.open_to_read(shop.store)
    assert sum(list(frame.kinds).count(KIND) for _, frame in store.frames_with(KIND)) == 1
    store.close()


async def erased_by(daemon: Running) -> None:
    """Return when a daemon has finished all erasures."""
    async with asyncio.timeout(20):
        while True:
            vault = await asyncio.to_thread(Vault.open_to_read, path_beside(daemon.store))
            under_way = vault.erasures()
            vault.close()
            if not under_way:
                return
            await asyncio.sleep(0.05)


async def test_a_running_daemon_erases_and_shows_nothing_any_more(tmp_path: Path) -> None:
    config = write_config(tmp_path, STORAGE)
    now = SystemClock().now()
    async with running(config) as daemon:
        body = b"\n".join(
            encode_event(each)
            for each in [*events(0, at=now), *events(0, "him", HIS_NAME, HIS_WORDS, at=now)]
            if each.kind != "contact_reveal"
        )
        assert (await daemon.ingest(body)).json()["accepted"] == 7
        admin = {"authorization": f"Bearer {daemon.token(Role.ADMIN)}"}
        viewers = (await daemon.http.get("/api/v1/rooms/demo/viewers", headers=admin)).text
        assert (HER_NAME in viewers, HIS_NAME in viewers) == (True, True)
        wish = {"platform": "test", "viewer": "her", "reason": "asked"}
        for role in (Role.MANAGER, Role.SALES, Role.HOST, Role.INGEST):
            refused = {"authorization": f"Bearer {daemon.token(role)}"}
            assert (
                await daemon.http.post("/api/v1/persons/erase", json=wish, headers=refused)
            ).status_code == 403
        for bad in ({"platform": "test"}, wish | {"more": 1}, wish | {"viewer": ""}):
            assert (
                await daemon.http.post("/api/v1/persons/erase", json=bad, headers=admin)
            ).status_code == 400
        answer = await daemon.http.post("/api/v1/persons/erase", json=wish, headers=admin)
        assert (answer.status_code, answer.json()["keys"]) == (200, 1)
        viewers = (await daemon.http.get("/api/v1/rooms/demo/viewers", headers=admin)).text
        assert (HER_NAME in viewers, HIS_NAME in viewers) == (False, True)
        await erased_by(daemon)
        vault, store = Vault.open_to_read(path_beside(daemon.store)), Store.open_to_read(daemon.store)
        personal = [each for _, frame in store.frames() for each in frame.events() if each.viewer == "her"]
        assert {(each.name, each.text, each.fields) for each in personal} == {(None, None, None)}
        people = snapshot_of(daemon.store, store)
        assert (HER_NAME.encode() in people, HIS_NAME.encode() in people) == (False, True)
        vault.close()
        store.close()
    shop = Shop(config, daemon.store)
    async with running(config) as again:
        admin = {"authorization": f"Bearer {again.token(Role.ADMIN)}"}
        viewers = (await again.http.get("/api/v1/rooms/demo/viewers", headers=admin)).text
        assert (HER_NAME in viewers, HIS_NAME in viewers) == (False, True)
    assert HER_WORDS not in shop.personal()


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Read a store beside whoever works on it, as a tool does that takes its time over one question."""
    # Of the library that the store uses: within a process the locks of another one are not seen.
    with contextlib.closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as db:
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM frames").fetchall()
        yield


async def test_an_erasure_is_under_way_for_as_long_as_somebody_reads_what_was(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until they have gone, her words are in the journal's file or its WAL. It goes on by itself when they go, or at the next start."""
    monkeypatch.setattr(erasing_app, "WAL_PAUSE_S", 0.001)
    monkeypatch.setattr(erasing_app, "AGAIN_S", 0.05)
    looks = 0
    empty_wal = Store.empty_wal

    def looked(store: Store) -> bool:
        nonlocal looks
        looks += 1
        return empty_wal(store)

    monkeypatch.setattr(Store, "empty_wal", looked)

    async def waits(daemon: Running, viewer: str) -> None:
        admin = {"authorization": f"Bearer {daemon.token(Role.ADMIN)}"}
        wish = {"platform": "test", "viewer": viewer, "reason": "asked"}
        with structlog.testing.capture_logs() as logs:
            answer = await daemon.http.post("/api/v1/persons/erase", json=wish, headers=admin)
            assert answer.status_code == 200, answer.text
            # The vault ends an erasure before the log says so: what is said here may be of an earlier one.
            ended = {"event": "person_erased", "erasure": answer.json()["id"]}

            def told() -> tuple[int, int]:
                waiting = [each for each in logs if each["event"] == "erasure_waits"]
                return len(waiting), len([each for each in logs if ended.items() <= each.items()])

            async with asyncio.timeout(20):
                while told() == (0, 0):
                    await asyncio.sleep(0.02)
                enough = looks + 4  # some more tries
                while looks < enough and told() == (1, 0):
                    await asyncio.sleep(0.02)
            assert told() == (1, 0)
            assert any("1 erasures are under way" in note for note in examine(shop.store).notes)

    with contextlib.ExitStack() as reader:
        async with running(shop.config) as daemon:
            with reading(shop.store):
                await waits(daemon, "her")
            await erased_by(daemon)
            assert HER_WORDS.encode() not in raw(shop.store.parent)
            reader.enter_context(reading(shop.store))
            await waits(daemon, "him")
    async with running(shop.config) as daemon:
        await erased_by(daemon)
        assert HIS_WORDS.encode() not in raw(shop.store.parent)


def test_at_rest_too_nothing_is_called_done_while_somebody_reads_what_was(shop: Shop) -> None:
    with reading(shop.store), pytest.raises(NotErased, match="somebody reads"):
        erase(shop.store)
    assert HER_WORDS.encode() in raw(shop.store.parent)
    assert any("1 erasures are under way" in note for note in examine(shop.store).notes)
    assert len(erase_at_rest(shop.store, None, None, clock=SystemClock())) == 1
    assert HER_WORDS.encode() not in raw(shop.store.parent)


def snapshot_of(path: Path, store: Store) -> bytes:
    """Return all names and words in the only snapshot that is there."""
    snapshots = Snapshots.beside(path)
    assert len(snapshots.kept()) == 1
    with (path.with_name(path.name + ".snapshots") / f"{snapshots.kept()[0]:020}.snap").open("rb") as file:
        from frontrow.storage.snapshots import _read, _read_head

        image = _read(*_read_head(file))["people"]
    people = People()
    people.load(image)
    return b"".join(bytes(array.tobytes()) for array in people.image().arrays.values())


def test_the_command_erases_at_rest_and_asks_a_running_daemon(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["person", "erase", "--platform", "test", "--config", str(shop.config), "--viewer"]
    assert main([*command, "her", "--reason", "asked"]) == DONE
    assert "done" in capsys.readouterr().out
    assert HER_WORDS not in shop.personal()
    port = stable_port(random.Random(11))
    shop.config.write_text(shop.config.read_text("utf-8").replace("port = 0", f"port = {port}"), "utf-8")

    async def beside() -> None:
        async with running(shop.config) as daemon:
            assert await asyncio.to_thread(main, [*command, "him"]) == DONE
            await erased_by(daemon)

    asyncio.run(beside())
    assert "the daemon goes on" in capsys.readouterr().out
    assert HIS_WORDS not in shop.personal()


def test_a_store_that_is_held_by_no_daemon_that_answers_is_left_alone(shop: Shop) -> None:
    async def beside() -> None:
        async with running(shop.config):  # port 0: nobody knows where it listens
            command = [
                "person",
                "erase",
                "--platform",
                "test",
                "--viewer",
                "her",
                "--config",
                str(shop.config),
            ]
            assert await asyncio.to_thread(main, command) == LOCKED

    asyncio.run(beside())
    assert HER_WORDS in shop.personal()


def test_an_export_holds_all_of_her_and_nothing_of_him(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "her.json"
    command = ["person", "export", "--platform", "test", "--viewer", "her", "--config", str(shop.config)]
    assert main([*command, "--out", str(out)]) == DONE
    assert main([*command, "--out", str(out)]) == WRONG
    capsys.readouterr()
    assert main(command) == DONE
    held = json.loads(out.read_bytes())
    assert json.loads(capsys.readouterr().out) == held
    assert out.stat().st_mode & 0o077 == 0
    assert len(held["events"]) == 5 * FRAMES + 1
    assert [each["answers"]["地址"] for each in held["contacts"]] == [HER_ADDRESS] * FRAMES
    assert {each["given"] for each in held["consents"]} == {True}
    assert [each["seller"] for each in held["accesses"]] == ["s1"] * FRAMES
    assert len(held["leads"]) == 1
    assert {each["sink"] for each in held["alerts"]} == {"wecom", "crm"}
    text = out.read_text("utf-8")
    assert HIS_NAME not in text
    assert '"him"' not in text
    erase(shop.store)
    vault = Vault.open_to_read(path_beside(shop.store))
    rest = json.dumps(export(shop.store, vault, "test", "her"), ensure_ascii=False)
    vault.close()
    assert [word for word in HERS if word in rest] == []


def test_of_a_damaged_journal_the_keys_go_and_the_rest_waits(shop: Shop) -> None:
    store = Store.open(shop.store)
    store._db.execute("UPDATE frames SET personal = zeroblob(9) WHERE seq = 3")
    store.close()
    with pytest.raises(StoreDamaged):
        erase(shop.store)
    vault = Vault.open_to_read(path_beside(shop.store))
    assert len(vault.erasures()) == 1
    assert vault.erased()(viewer_identity("test", "her")) is not None
    vault.close()


class Slow:
    """An intake behind which another feed's events wait."""

    def __init__(self) -> None:
        self.put_ids: list[str] = []
        self.durable = asyncio.Event()

    async def put(self, events: Sequence[Event], *, feed: str) -> Awaitable[Receipt]:
        self.put_ids += [each.id for each in events]

        async def done() -> Receipt:
            await self.durable.wait()
            return Receipt(len(events), 0)

        return asyncio.ensure_future(done())

    def offer(self, events: Sequence[Event], *, feed: str) -> Awaitable[Receipt]:
        raise AssertionError("an erasure is never dropped")


class Keeper:
    """Counts how often snapshots were replaced."""

    replaced = 0

    async def replace_all(self, engine: Engine, people: People, when_settled: object) -> None:
        self.replaced += 1


def erasing_of(store: StoreThread, vault: Vault, intake: Intake, keeper: Keeper) -> Erasing:
    async def settled(read: Callable[[], bool]) -> bool:
        return read()

    return Erasing(
        store=store, vault=vault, intake=intake, engine=engine(), people=People(), keeper=keeper, when_settled=settled,
        forget=lambda _viewers: None,
        preparer=Preparer({}, default_lexicon().for_room(), "CN"), waits_s=0.0, clock=SystemClock(),
    )  # fmt: skip


@pytest.mark.parametrize("closed", [True, False])
async def test_a_journal_that_fails_leaves_an_erasure_under_way_without_an_error_of_its_own(
    shop: Shop, closed: bool
) -> None:
    """The daemon ends by the journal's error, which says what is to be done; the next start goes on with the erasure."""
    store, vault = await StoreThread.open(shop.store), Vault.open(path_beside(shop.store))
    erasing = erasing_of(store, vault, FailedIntake(closed=closed), keeper := Keeper())
    with pytest.raises((NotStored, QueueFull)):
        await erasing.erase("test", "her", by="", reason="")
    async with asyncio.timeout(10):
        await erasing.run()
    assert (len(vault.erasures()), keeper.replaced) == (1, 0)
    await store.close()
    vault.close()


async def test_nothing_is_finished_before_the_journal_says_so(shop: Shop) -> None:
    """Two who work on one erasure tell it once, and the second waits for the first: else names could outlive it in memory."""
    store, vault = await StoreThread.open(shop.store), Vault.open(path_beside(shop.store))
    slow, keeper = Slow(), Keeper()
    erasing = erasing_of(store, vault, slow, keeper)
    asked = asyncio.create_task(erasing.erase("test", "her", by="", reason=""))
    async with asyncio.timeout(10):
        while not slow.put_ids:
            await asyncio.sleep(0.01)
    running = asyncio.create_task(erasing.run())
    await asyncio.sleep(0.1)
    assert (len(vault.erasures()), keeper.replaced, asked.done()) == (1, 0, False)
    assert HER_NAME in shop.personal()
    slow.durable.set()
    begun = await asked
    async with asyncio.timeout(10):
        while vault.erasures():
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait([running])
    assert (keeper.replaced, slow.put_ids) == (1, [f"erase-{begun.id}"])
    assert HER_NAME not in shop.personal()
    await store.close()
    vault.close()
