"""When a disk fails: the store says so and takes no more, and the next start has all that was acknowledged."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from frontrow.core.errors import CommitFailed, StoreUnusable
from frontrow.core.frames import Frame
from frontrow.storage.aio import StoreThread
from frontrow.storage.store import CHECKPOINT_PAGES, Alert, Commit, Store
from tests.storage.failing import DISK_FULL, FSYNC_FAILS, WRITE_FAILS, FailingDisk, failing_disk
from tests.support.alerts import an_alert
from tests.support.rooms import START, event


@pytest.fixture
def disk() -> Iterator[FailingDisk]:
    with failing_disk() as made:
        yield made


def commit(number: int, text: str = "你好") -> Commit:
    frame = Frame.of([event("comment", number, text=text)], [0])
    return Commit(frame, (), [Alert("sink", f"k{number}", an_alert(f"L{number}"))], START)


def noise(number: int) -> str:
    """Return a text that cannot be compressed much."""
    return os.urandom(60_000).hex() + str(number)


def numbers(store: Store) -> list[int]:
    """Return the journal's frames; reading them checks them."""
    return [seq for seq, _ in store.frames()]


@pytest.mark.parametrize(
    ("failing", "error", "cause", "words"),
    [
        ("sync", FSYNC_FAILS, "fsync", r"failed to keep it \(fsync\)"),
        ("write", WRITE_FAILS, "io", r"failed \(SQLITE_IOERR_WRITE\)"),
        ("write", DISK_FULL, "full", "the disk is full.*Make room"),
    ],
)
def test_a_failed_commit_says_what_happened_and_is_the_last(
    tmp_path: Path, disk: FailingDisk, failing: str, error: apsw.Error, cause: str, words: str
) -> None:
    """Behind a failed fsync the system may pretend that all is well; going on would build on what is not there."""
    store = disk.open(tmp_path / "frontrow.db")
    store.append([commit(1)])
    getattr(disk, failing)["-wal"] = error
    with pytest.raises(CommitFailed, match=words) as caught:
        store.append([commit(2)])
    assert caught.value.cause == cause
    assert str(store.path) in str(caught.value)
    assert "Nothing that was acknowledged is lost" in str(caught.value)
    disk.mend()
    with pytest.raises(CommitFailed, match=f"takes no more since a commit failed \\({cause}\\)"):
        store.append([commit(2)])
    with pytest.raises(CommitFailed, match="takes no more"):
        store.outbox_delivered([1], START)
    assert (store.seq, numbers(store)) == (1, [1])
    store.close()
    again = Store.open(store.path)
    assert numbers(again)[:1] == [1]
    assert again.append([commit(3)]) == len(numbers(again))


def test_what_a_failed_fsync_left_behind_is_written_anew_before_anything_is_built_on_it(
    tmp_path: Path, disk: FailingDisk
) -> None:
    """The log may hold a commit that the disk never got. Opened by its owner, the store needs no log any more."""
    store = disk.open(tmp_path / "frontrow.db")
    store.append([commit(1)])
    disk.sync["-wal"] = FSYNC_FAILS
    with pytest.raises(CommitFailed):
        store.append([commit(2)])
    store.close()
    wal = store.path.with_name("frontrow.db-wal")
    assert wal.stat().st_size > 0, "closing it after a failure leaves it as it was"
    again = Store.open(store.path)
    again.settle()
    assert wal.stat().st_size == 0
    found = numbers(again)
    shutil.copyfile(store.path, tmp_path / "copy.db")
    assert numbers(Store.open(tmp_path / "copy.db")) == found


def test_a_store_that_cannot_be_settled_is_not_used(tmp_path: Path, disk: FailingDisk) -> None:
    store = disk.open(tmp_path / "frontrow.db")
    store.append([commit(1)])
    disk.sync["frontrow.db"] = FSYNC_FAILS
    again = disk.open(store.path)
    with pytest.raises(CommitFailed, match="fsync"):
        again.settle()
    with pytest.raises(CommitFailed, match="takes no more"):
        again.append([commit(2)])


async def test_whoever_opens_it_for_the_daemon_settles_it(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "frontrow.db")
    store.append([commit(1)])
    behind = await StoreThread.open(store.path)
    assert store.path.with_name("frontrow.db-wal").stat().st_size == 0
    await behind.close()


def test_an_error_while_the_log_is_copied_is_no_secret(tmp_path: Path, disk: FailingDisk) -> None:
    """SQLite's own way of doing this at a commit does not tell when it fails."""
    store = disk.open(tmp_path / "frontrow.db")
    disk.sync["frontrow.db"] = FSYNC_FAILS
    acknowledged = 0
    with pytest.raises(CommitFailed, match="fsync"):
        for number in range(1, CHECKPOINT_PAGES):
            store.append([commit(number, noise(number))])
            acknowledged = number
    assert acknowledged > 10
    disk.mend()
    store.close()
    assert numbers(Store.open(store.path)) == list(range(1, acknowledged + 2))


def test_the_log_stays_short(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "frontrow.db")
    for number in range(1, 200):
        store.append([commit(number, noise(number))])
    page = 4_096 + 24
    assert store.path.with_name("frontrow.db-wal").stat().st_size < 1.1 * CHECKPOINT_PAGES * page


@pytest.mark.parametrize("setting", ["OFF", "NORMAL"])
def test_a_disk_that_does_not_keep_commits_is_refused(
    tmp_path: Path, disk: FailingDisk, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever turned it down from outside: a hook of another library, a VFS, another build of SQLite."""
    disk.ignored = ("synchronous", "FULL")
    monkeypatch.setattr(
        apsw, "connection_hooks", [lambda connection: connection.pragma("synchronous", setting)]
    )
    with pytest.raises(StoreUnusable, match="would not be durable.*synchronous is [01]"):
        disk.open(tmp_path / "frontrow.db")


def test_a_place_without_a_log_is_refused() -> None:
    with pytest.raises(StoreUnusable, match="would not be durable"):
        Store.open(Path("/frontrow-test.db"), vfs="memdb")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    made = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=2m", "frontrow-test", str(folder)],
        check=False,
        capture_output=True,
    )
    if not made or made.returncode != 0:
        pytest.skip("a file system of its own may not be mounted here (needs root)")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    """All that was acknowledged is there when room was made, and the next frame follows."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_000_000))
    store = Store.open(small_disk / "frontrow.db")
    acknowledged = 0
    with pytest.raises(CommitFailed, match="the disk is full") as caught:
        for number in range(1, 1_000):
            store.append([commit(number, noise(number))])
            acknowledged = number
    assert caught.value.cause == "full"
    assert acknowledged > 0
    store.close()
    ballast.unlink()
    again = Store.open(store.path)
    again.settle()
    assert numbers(again)[:acknowledged] == list(range(1, acknowledged + 1))
    assert len(numbers(again)) <= acknowledged + 1
    again.append([commit(0)])
    again.close()


def test_a_disk_without_room_for_a_new_store_is_told(small_disk: Path) -> None:
    with (small_disk / "ballast").open("wb") as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(65_536))
            file.flush()
    with pytest.raises(StoreUnusable, match="cannot be"):
        Store.open(small_disk / "frontrow.db")
