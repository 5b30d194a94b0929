"""A backup in the store's place: all of it, but for those who have been erased since it was made."""

import asyncio
import json
from pathlib import Path

import pytest

from frontrow.app.restoring import restore
from frontrow.cli import DONE, FAILED, LOCKED, main
from frontrow.clock import SystemClock
from frontrow.core.errors import StoreDamaged, StoreUnusable
from frontrow.storage import store as stores
from frontrow.storage.doctor import examine
from frontrow.storage.snapshots import Snapshots
from frontrow.storage.store import Store
from frontrow.storage.vault import path_beside
from tests.support.daemons import running
from tests.support.persons import (
    FRAMES,
    HER_ADDRESS,
    HER_NAME,
    HER_NOTE,
    HER_WORDS,
    HIS_NAME,
    Shop,
    erase,
    make_shop,
)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return make_shop(tmp_path)


def back_up(shop: Shop, *more: str) -> Path:
    file = shop.store.parent / "backups" / "b.db"
    file.parent.mkdir(exist_ok=True)
    assert main(["backup", str(file), "--config", str(shop.config), *more]) == DONE
    return file


def restored(shop: Shop, file: Path) -> int:
    return main(["restore", str(file), "--config", str(shop.config)])


def test_who_was_erased_since_is_not_in_what_is_restored(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = back_up(shop)
    before = shop.replayed(tmp_path / "before")
    content = file.read_bytes()
    assert HER_NAME.encode() in content
    erase(shop.store)
    assert restored(shop, file) == DONE
    assert f"in {FRAMES} frames" in capsys.readouterr().out
    after = shop.personal()
    assert [word for word in (HER_NAME, HER_WORDS, HER_NOTE) if word in after] == []
    assert after.count(HER_ADDRESS) == FRAMES  # his
    assert HIS_NAME in after
    assert [word for word in (HER_NAME, HER_WORDS) if word.encode() in shop.store.read_bytes()] == []
    store = Store.open(shop.store)
    assert [alert.words for _, _, _, alert in store.alerts_of("test", "her")] == [None, None]
    assert [row[2].viewer for row in store.outbox_due("wecom", 1 << 60, 9)] == ["him"]
    store.close()
    assert examine(shop.store).sound, examine(shop.store).lines()
    assert shop.replayed(tmp_path / "after") == before
    assert file.read_bytes() == content


def test_the_erasures_in_a_backups_own_journal_hold_where_the_vault_is_lost(shop: Shop) -> None:
    erase(shop.store)
    store = Store.open(shop.store)
    for seq, frame in list(store.frames()):  # as one that was made while the erasure was under way
        if seq <= FRAMES:
            frame.names = [
                HER_NAME if viewer == "her" else name
                for viewer, name in zip(frame.viewers, frame.names, strict=True)
            ]
            store.rewrite_personal(seq - 1, 1, lambda _: frame)  # noqa: B023  # called at once
    store.close()
    assert HER_NAME in shop.personal()
    file = back_up(shop)
    path_beside(shop.store).unlink()
    assert restored(shop, file) == DONE
    assert HER_NAME not in shop.personal()
    assert HIS_NAME in shop.personal()


def test_where_nobody_was_erased_it_is_the_backup(shop: Shop, tmp_path: Path) -> None:
    before, replayed = shop.personal(), shop.replayed(tmp_path / "before")
    file = back_up(shop)
    store = Store.open(shop.store)
    last = store.seq
    store.append([stores.Commit(next(store.frames())[1], (), (), 1)])
    store.close()
    found = restore(file, shop.store, None, clock=SystemClock())
    assert (found.frames, found.erased, found.keys) == (last, 0, False)
    assert shop.personal() == before
    assert shop.replayed(tmp_path / "after") == replayed
    assert found.replaced == shop.store.with_name("frontrow.db.replaced")
    aside = Store.open(found.replaced)
    assert aside.seq == last + 1
    aside.close()
    assert shop.store.stat().st_mode & 0o077 == 0


def test_a_daemon_starts_from_it(shop: Shop) -> None:
    async def one_life() -> None:
        async with running(shop.config):
            pass

    asyncio.run(one_life())
    assert Snapshots.beside(shop.store).kept()
    file = back_up(shop)
    erase(shop.store)
    assert restored(shop, file) == DONE
    assert Snapshots.beside(shop.store).kept() == []  # they have names
    asyncio.run(one_life())
    assert examine(shop.store).sound
    assert HER_NAME not in shop.personal()


def test_on_another_machine_the_keys_of_the_backup_open_what_is_sealed(shop: Shop, tmp_path: Path) -> None:
    file = back_up(shop, "--keys")
    assert path_beside(file).stat().st_mode & 0o077 == 0
    elsewhere = Shop(tmp_path / "elsewhere" / "config.toml", tmp_path / "elsewhere" / "frontrow.db")
    elsewhere.store.parent.mkdir()
    elsewhere.config.write_bytes(shop.config.read_bytes())
    assert restored(elsewhere, file) == DONE
    assert elsewhere.personal() == shop.personal()
    without = file.with_name("c.db")
    assert main(["backup", str(without), "--config", str(shop.config)]) == DONE
    assert not path_beside(without).exists()


def test_keys_that_were_destroyed_stay_destroyed(shop: Shop) -> None:
    file = back_up(shop, "--keys")
    erase(shop.store)
    assert restored(shop, file) == DONE
    assert shop.personal().count(HER_ADDRESS) == FRAMES  # his


def test_what_is_not_whole_or_not_there_replaces_nothing(shop: Shop, tmp_path: Path) -> None:
    before = shop.personal()
    file = back_up(shop)
    broken = bytearray(file.read_bytes())
    at = broken.index(HER_NAME.encode())
    broken[at : at + 3] = b"xyz"
    (tmp_path / "broken").write_bytes(broken)
    for name in ("broken", "nothing"):
        assert restored(shop, tmp_path / name) == FAILED
    with pytest.raises(StoreDamaged):
        restore(tmp_path / "broken", shop.store, None, clock=SystemClock())
    assert shop.personal() == before
    assert restored(shop, file) == DONE
    with pytest.raises(StoreUnusable, match="replaced exists already"):
        restore(file, shop.store, None, clock=SystemClock())
    assert shop.personal() == before


def test_nothing_is_restored_under_a_running_daemon(shop: Shop) -> None:
    file = back_up(shop)

    async def beside() -> None:
        async with running(shop.config):
            assert await asyncio.to_thread(restored, shop, file) == LOCKED

    asyncio.run(beside())


def test_a_restoration_that_fails_leaves_the_store_as_it_was(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = back_up(shop)
    erase(shop.store)
    before = json.dumps(shop.personal())

    def full(*_: object, **__: object) -> tuple[int, int]:
        raise StoreUnusable("the disk is full")

    monkeypatch.setattr(Store, "rewrite_personal", full)
    assert restored(shop, file) == FAILED
    assert json.dumps(shop.personal()) == before
    assert sorted(path.name for path in shop.store.parent.glob("*.restoring*")) == []
