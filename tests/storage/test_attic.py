"""Attics: what is taken is what was put last, and after going back to a mark what had been put last by then."""

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import apsw
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from frontrow.core.attic import MemoryAttic
from frontrow.core.errors import CommitFailed, StoreDamaged, StoreUnusable
from frontrow.core.ports import Attic
from frontrow.storage.attic import FLUSH_ITEMS, DiskAttic, Filter, examine, hash_of
from tests.storage.failing import FSYNC_FAILS, failing_disk

STORE = b"store number one"
MARK = b"mark"


class Rewinding(Attic, Protocol):
    """What both attics can do beyond the protocol."""

    def rewind(self, seq: int) -> None: ...


class AtticContract:
    """What every attic must do.

    ``make`` is called once for each; ``again`` is what the next start has at a mark; after ``keep`` nobody goes back
    to a mark before ``oldest``.
    """

    def make(self) -> Rewinding:
        raise NotImplementedError

    def again(self, attic: Rewinding, seq: int) -> Rewinding:
        raise NotImplementedError

    def keep(self, attic: Rewinding, seq: int, oldest: int) -> None:
        raise NotImplementedError

    def test_what_was_never_put_is_not_there(self) -> None:
        attic = self.make()
        assert attic.take([b"a", b""]) == [None, None]
        assert attic.take([]) == []

    def test_the_last_row_counts_and_stays(self) -> None:
        attic = self.make()
        attic.put([(b"a", b"1"), (b"b", b""), (b"a", b"2")])
        assert attic.take([b"b", b"x", b"a"]) == [b"", None, b"2"]
        attic.put([(b"a", b"3")])
        assert attic.take([b"a", b"a"]) == [b"3", b"3"]

    def test_going_back_to_a_mark_takes_away_what_came_later(self) -> None:
        attic = self.make()
        attic.put([(b"a", b"1"), (b"b", b"1")])
        attic.mark(7)
        attic.put([(b"a", b"2"), (b"c", b"2")])
        attic.mark(9)
        attic.put([(b"a", b"3"), (b"b", b"3")])
        attic = self.again(attic, 9)
        assert attic.take([b"a", b"b", b"c"]) == [b"2", b"1", b"2"]
        attic = self.again(attic, 7)
        assert attic.take([b"a", b"b", b"c"]) == [b"1", b"1", None]
        with pytest.raises(KeyError):
            attic.rewind(9)

    def test_going_back_to_the_beginning_leaves_nothing(self) -> None:
        attic = self.make()
        attic.put([(b"a", b"1")])
        attic.mark(7)
        attic.rewind(0)
        assert attic.take([b"a"]) == [None]
        with pytest.raises(KeyError):
            attic.rewind(7)
        attic.put([(b"a", b"2")])
        assert attic.take([b"a"]) == [b"2"]

    def test_whoever_goes_back_before_a_group_was_forgotten_finds_it(self) -> None:
        attic = self.make()
        attic.put([(b"session1 a", b"1"), (b"session2 a", b"2")])
        attic.mark(3)
        attic.forget([b"session1"])
        attic.mark(5)
        attic.put([(b"session3 a", b"3")])
        self.keep(attic, 5, 3)
        assert attic.take([b"session2 a", b"session3 a"]) == [b"2", b"3"]
        attic = self.again(attic, 3)
        assert attic.take([b"session1 a", b"session2 a", b"session3 a"]) == [b"1", b"2", None]

    @pytest.mark.parametrize("seed", range(40))
    def test_any_history(self, seed: int) -> None:
        """Against a dictionary that is copied at each mark. Of what was forgotten nothing is asked but after going back."""
        rng = random.Random(seed)
        attic = self.make()
        groups = [b"sess%04d" % number for number in range(rng.choice([1, 5, 30]))]
        rows: dict[bytes, dict[bytes, bytes]] = {group: {} for group in groups}
        marks: dict[int, dict[bytes, dict[bytes, bytes]]] = {}
        names = rng.choice([5, 50, 500])
        seq = 0
        for _ in range(rng.randrange(1, 40)):
            match rng.randrange(8):
                case 0 | 1:
                    seq += rng.randrange(1, 5)
                    attic.mark(seq)
                    marks[seq] = {group: dict(kept) for group, kept in rows.items()}
                    if rng.random() < 0.5:
                        oldest = rng.choice(sorted(marks))
                        self.keep(attic, seq, oldest)
                        marks = {marked: kept for marked, kept in marks.items() if marked >= oldest}
                case 2 if marks:
                    seq = rng.choice(sorted(marks))
                    attic = self.again(attic, seq)
                    rows = {group: dict(kept) for group, kept in marks[seq].items()}
                    marks = {marked: kept for marked, kept in marks.items() if marked <= seq}
                case 3 if rows:
                    ended = rng.sample(sorted(rows), rng.randrange(len(rows)))
                    attic.forget(ended)
                    for group in ended:
                        del rows[group]
                case _ if rows:
                    items = [
                        (rng.choice(sorted(rows)) + b" viewer %d" % rng.randrange(names), rng.randbytes(3))
                        for _ in range(rng.randrange(names))
                    ]
                    attic.put(items)
                    for key, row in items:
                        rows[key[:8]][key] = row
            asked = [group + b" viewer %d" % name for group in rows for name in range(names)]
            assert attic.take(asked) == [rows[key[:8]].get(key) for key in asked]


class TestMemoryAttic(AtticContract):
    """In memory."""

    def make(self) -> Rewinding:
        return MemoryAttic()

    def again(self, attic: Rewinding, seq: int) -> Rewinding:
        attic.rewind(seq)
        return attic

    def keep(self, attic: Rewinding, seq: int, oldest: int) -> None:
        """It lies in memory as long as the process, and keeps all."""

    def test_what_is_forgotten_takes_no_memory(self) -> None:
        attic = MemoryAttic()
        attic.put([(b"session1 %d" % number, b"x") for number in range(10)] + [(b"session2 1", b"x")])
        attic.forget([b"session1", b"session9"])
        assert len(attic) == 1


class TestDiskAttic(AtticContract):
    """In a real file, which is opened anew for every start."""

    @pytest.fixture(autouse=True)
    def in_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setattr(
            "frontrow.storage.attic.FLUSH_ITEMS", 300
        )  # so that histories go beyond what waits
        monkeypatch.setattr("frontrow.storage.attic.REMOVE_ITEMS", 40)
        self.folder = tmp_path
        self.made: list[DiskAttic] = []
        yield
        for attic in self.made:
            attic.close()

    def make(self) -> DiskAttic:
        attic = DiskAttic.open(self.folder / f"{len(self.made)}.attic", store=STORE)
        attic.rewind(0)
        self.made.append(attic)
        return attic

    def again(self, attic: Rewinding, seq: int) -> Rewinding:
        assert isinstance(attic, DiskAttic)
        attic.settle(seq, MARK)
        attic.put([(b"viewer 1", b"after the snapshot"), (b"viewer 2", b"and lost with the crash")])
        attic.close()
        opened = DiskAttic.open(attic.path, store=STORE)
        assert opened.fits(seq, MARK)
        opened.rewind(seq)
        self.made.append(opened)
        assert examine(attic.path, store=STORE) == ""
        return opened

    def keep(self, attic: Rewinding, seq: int, oldest: int) -> None:
        assert isinstance(attic, DiskAttic)
        attic.settle(seq, MARK)
        attic.prune(oldest)


Open = Callable[..., DiskAttic]


@pytest.fixture
def open_attic(tmp_path: Path) -> Iterator[Open]:
    """Opens the attic of one store, and closes all at the end."""
    opened: list[DiskAttic] = []

    def open(store: bytes = STORE, **options: object) -> DiskAttic:
        opened.append(DiskAttic.open(tmp_path / "frontrow.db.attic", store=store, **options))  # type: ignore[arg-type]
        return opened[-1]

    yield open
    for attic in opened:
        attic.close()


def filled(attic: DiskAttic, rows: int = 100) -> None:
    """Fill an attic and settle it at frame 5."""
    attic.rewind(0)
    attic.put([(b"viewer %d" % number, b"row %d" % number * 20) for number in range(rows)])
    attic.mark(5)
    attic.settle(5, MARK)


def test_a_mark_is_of_one_journal(open_attic: Open) -> None:
    attic = open_attic()
    filled(attic)
    assert attic.fits(5, MARK)
    assert not attic.fits(5, b"of another history")
    assert not attic.fits(4, MARK)


def test_a_mark_that_was_not_settled_does_not_fit(open_attic: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its entries may not be on the disk; no snapshot was written for it either."""
    monkeypatch.setattr("frontrow.storage.attic.FLUSH_ITEMS", 200)
    attic = open_attic()
    filled(attic)
    attic.put([(b"viewer %d" % number, b"new") for number in range(300)])
    attic.mark(6)
    attic.put([(b"viewer %d" % number, b"newer") for number in range(300)])
    again = open_attic()
    assert not again.fits(6, MARK)
    again.rewind(5)
    assert again.take([b"viewer 1", b"viewer 1000"]) == [b"row 1" * 20, None]


def test_it_fits_nothing_when_its_file_is_lost(open_attic: Open, tmp_path: Path) -> None:
    filled(open_attic())
    for path in tmp_path.iterdir():
        path.unlink()
    assert not open_attic().fits(5, MARK)


@pytest.mark.parametrize("content", [b"", b"not an SQLite file at all" * 1_000], ids=["empty", "something"])
def test_it_fits_nothing_when_its_file_is_something_else(
    open_attic: Open, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "frontrow.db.attic").write_bytes(content)
    with capture_logs() as logs:
        attic = open_attic()
    assert [entry["event"] for entry in logs] == ["attic_emptied"] * bool(content)
    assert not attic.fits(5, MARK)
    filled(attic)
    assert open_attic().fits(5, MARK)


def test_another_store_finds_it_empty(open_attic: Open) -> None:
    attic = open_attic()
    filled(attic)
    attic.close()
    with capture_logs() as logs:
        attic = open_attic(b"another")
    assert [(entry["event"], entry["reason"]) for entry in logs] == [
        ("attic_emptied", "it is of another store")
    ]
    assert not attic.fits(5, MARK)


def damage(path: Path, sql: str) -> None:
    """Change what SQLite itself takes for sound."""
    connection = apsw.Connection(str(path))
    connection.execute(sql)
    connection.close()


def test_a_lost_entry_is_found_at_start(open_attic: Open) -> None:
    """Else its viewer would come back as a stranger, and scores would differ from the journal's."""
    attic = open_attic()
    filled(attic)
    attic.close()
    damage(attic.path, "DELETE FROM entries WHERE id = 50")
    assert examine(attic.path, store=STORE) == "entries are missing or were changed"
    assert not open_attic().fits(5, MARK)


def test_a_changed_row_is_found_when_it_is_taken(open_attic: Open) -> None:
    """It is not used, and the next start does not rely on the file any more."""
    attic = open_attic()
    filled(attic)
    attic.close()
    damage(attic.path, "UPDATE entries SET row = zeroblob(length(row)) WHERE id = 50")
    assert examine(attic.path, store=STORE) == "the checksum of entry 50 does not fit"
    again = open_attic()
    again.rewind(5)
    assert again.take([b"viewer 1"]) == [b"row 1" * 20]
    with pytest.raises(StoreDamaged, match="entry 50 does not fit.*Nothing is lost"):
        again.take([b"viewer 49"])
    again.close()
    last = open_attic()
    assert not last.fits(5, MARK)
    filled(last)
    assert last.take([b"viewer 49"]) == [b"row 49" * 20]


@settings(max_examples=40)
@given(position=st.integers(0, 1 << 30), bit=st.integers(0, 7))
@example(position=18, bit=0)  # of SQLite's header: who may write
@example(position=29314, bit=0)  # the type of an entry's key: a text
@example(position=15906, bit=3)  # the type of a number of the index: bytes
@example(position=15906, bit=0)  # the size of one: no number of 64 bits as numpy has it
def test_no_flipped_bit_gives_another_row(
    position: int, bit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Not by what is removed either: nobody else may go with those whose session is forgotten."""
    attic = DiskAttic.open(path := tmp_path_factory.mktemp("attic") / "frontrow.db.attic", store=STORE)
    filled(attic)
    attic.forget([b"viewer 9"])  # a group: with those from 90 on
    attic.mark(6)
    attic.settle(6, MARK)
    attic.close()
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= 1 << bit
    path.write_bytes(content)
    keys = [b"viewer %d" % number for number in range(101) if not b"viewer %d" % number >= b"viewer 9"]
    with capture_logs():
        again = DiskAttic.open(path, store=STORE)
    try:
        if again.fits(6, MARK):
            again.rewind(6)
            again.prune(6)
            rows = [b"row" + key.removeprefix(b"viewer") for key in keys]
            assert again.take(keys) == [
                None if key == b"viewer 100" else row * 20 for key, row in zip(keys, rows, strict=True)
            ]
    except StoreDamaged:
        pass  # found when it was taken
    finally:
        again.close()


def test_a_flipped_bit_in_a_key_is_found_when_its_viewer_comes_back(tmp_path: Path) -> None:
    """Its entry would be nobody's, and the viewer one who was never here."""
    attic = DiskAttic.open(path := tmp_path / "frontrow.db.attic", store=STORE)
    filled(attic)
    attic.mark(6)
    attic.settle(6, MARK)
    attic.close()
    content = path.read_bytes()
    where = content.index(b"viewer 14row 14")  # a key, and its row behind it
    path.write_bytes(content[:where] + b"w" + content[where + 1 :])
    again = DiskAttic.open(path, store=STORE)
    assert again.fits(6, MARK)
    with pytest.raises(StoreDamaged, match="the checksum of entry"):
        again.take([b"viewer 14"])
    again.close()


def test_a_sound_file_is_found_sound(open_attic: Open) -> None:
    attic = open_attic()
    filled(attic)
    assert examine(attic.path, store=STORE) == ""


def test_what_nobody_goes_back_to_is_removed(open_attic: Open) -> None:
    attic = open_attic()
    attic.rewind(0)
    for seq in (1, 2, 3):
        attic.put([(b"often", b"%d" % seq), (b"once at %d" % seq, b"x")])
        attic.mark(seq)
        attic.settle(seq, MARK)
    attic.put([(b"often", b"4")])
    attic.prune(2)
    assert [attic.fits(seq, MARK) for seq in (1, 2, 3)] == [False, True, True]
    assert attic._db.execute("SELECT count(*) FROM entries").get == 3 + 2
    again = open_attic()
    again.rewind(2)
    assert again.take([b"often", b"once at 1", b"once at 3"]) == [b"2", b"x", None]
    assert examine(attic.path, store=STORE) == ""


def stored(attic: DiskAttic) -> list[bytes]:
    """Return the keys that are in the file."""
    return [key for (key,) in attic._db.execute("SELECT key FROM entries ORDER BY id")]


def test_what_was_forgotten_is_removed_once_no_snapshot_before_it_is_kept(
    open_attic: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by a process that was started in between: what is to be removed outlives it."""
    monkeypatch.setattr("frontrow.storage.attic.REMOVE_ITEMS", 2)
    attic = open_attic()
    attic.rewind(0)
    attic.put([(b"session1 %d" % number, b"x") for number in range(5)] + [(b"session2 1", b"x")])
    attic.mark(10)
    attic.settle(10, MARK)
    attic.forget([b"session1"])
    for seq in (20, 30):
        attic.mark(seq)
        attic.settle(seq, MARK)
    attic.prune(10)
    assert len(stored(attic)) == 6
    attic.close()
    again = open_attic()
    again.rewind(30)
    assert again.take([b"session1 1"]) == [b"x"]  # nobody asks, and whoever goes back to 10 must find it
    again.prune(20)
    assert stored(again) == [b"session2 1"]
    assert again._db.execute("SELECT count(*) FROM forgotten").get == 0
    assert examine(again.path, store=STORE) == ""
    again.close()
    last = open_attic()
    assert last.fits(30, MARK)
    last.rewind(30)
    assert last.take([b"session1 1", b"session2 1"]) == [None, b"x"]


def test_going_back_takes_back_what_was_forgotten_later(open_attic: Open) -> None:
    """The engine that goes on from there may come to another end of that session."""
    attic = open_attic()
    attic.rewind(0)
    attic.put([(b"session1 1", b"x")])
    attic.mark(10)
    attic.settle(10, MARK)
    attic.forget([b"session1"])
    attic.mark(20)
    attic.settle(20, MARK)
    attic.rewind(10)
    attic.mark(30)
    attic.settle(30, MARK)
    attic.prune(30)
    assert attic.take([b"session1 1"]) == [b"x"]


def test_without_snapshots_it_grows_no_further_either(
    open_attic: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frontrow.storage.attic.FLUSH_ITEMS", 50)
    attic = open_attic()
    attic.rewind(0)
    for session in range(100):
        group = b"sess%04d" % session
        attic.put([(group + b" %d" % (number % 5), b"%d" % number) for number in range(10)])
        if session:
            attic.forget([b"sess%04d" % (session - 1)])
    assert len(stored(attic)) <= 50
    assert attic._db.execute("SELECT count(*) FROM forgotten").get == 0
    assert attic.take([b"sess0099 4"]) == [b"9"]


def test_a_changed_note_of_what_was_forgotten_is_found_at_start(open_attic: Open) -> None:
    """Else the rows of a session that goes on would be removed."""
    attic = open_attic()
    attic.rewind(0)
    attic.put([(b"session1 1", b"x"), (b"session2 1", b"x")])
    attic.mark(10)
    attic.settle(10, MARK)
    attic.forget([b"session1"])
    attic.mark(20)
    attic.settle(20, MARK)
    attic.close()
    damage(attic.path, "UPDATE forgotten SET prefix = CAST('session2' AS BLOB)")
    assert examine(attic.path, store=STORE) == "what was forgotten was changed"
    assert not open_attic().fits(20, MARK)


def test_rows_are_found_while_another_thread_writes_them(
    open_attic: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A viewer who comes back in that moment must not be taken for a new one."""
    monkeypatch.setattr("frontrow.storage.attic.FLUSH_ITEMS", 500)
    with ThreadPoolExecutor(1) as thread:
        attic = open_attic(submit=thread.submit)
        attic.rewind(0)
        rng = random.Random(5)
        rows: dict[bytes, bytes] = {}
        for seq in range(1, 40):
            items = [(b"viewer %d" % rng.randrange(5_000), rng.randbytes(50)) for _ in range(400)]
            attic.put(items)
            rows.update(items)
            asked = [b"viewer %d" % rng.randrange(6_000) for _ in range(100)]
            assert attic.take(asked) == [rows.get(key) for key in asked]
            if seq % 9 == 0:
                attic.mark(seq)
                thread.submit(attic.settle, seq, MARK)
        assert thread.submit(threading.get_ident).result() != threading.get_ident()
    assert attic.take(sorted(rows)) == [rows[key] for key in sorted(rows)]


def test_a_failed_write_ends_it(tmp_path: Path) -> None:
    with failing_disk() as disk:
        attic = DiskAttic.open(tmp_path / "frontrow.db.attic", store=STORE, vfs=disk.vfs)
        try:
            filled(attic)
            attic.put([(b"a", b"1")])
            attic.mark(6)
            disk.sync["attic"] = FSYNC_FAILS
            with pytest.raises(CommitFailed, match="attic: cannot be written: .*fsync"):
                attic.settle(6, MARK)
            disk.mend()
            with pytest.raises(CommitFailed, match="takes no more"):
                attic.settle(6, MARK)
            with pytest.raises(CommitFailed):
                attic.put([(b"viewer %d" % number, b"x") for number in range(FLUSH_ITEMS)])
        finally:
            attic.close()
    again = DiskAttic.open(tmp_path / "frontrow.db.attic", store=STORE)
    assert again.fits(5, MARK)
    again.close()


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "frontrow.db.attic").mkdir()
    with pytest.raises(StoreUnusable, match="cannot be opened for writing"):
        DiskAttic.open(tmp_path / "frontrow.db.attic", store=STORE)


@pytest.mark.parametrize("keys", [1, 2_048, 131_072])
def test_the_filter_lets_all_pass_that_were_added_and_few_others(keys: int) -> None:
    filter = Filter(keys)
    added = [b"douyin\0room\0%d" % (number * 7) for number in range(keys)]
    filter.add(np.array([hash_of(key) for key in added], np.int64))
    assert keys <= filter.capacity <= max(keys, 2_048)  # the latter two are as full as it gets
    assert len(filter.maybe(added)) == keys
    others = [b"douyin\0room\0%d" % (number * 7 + 1) for number in range(100_000)]
    assert len(filter.maybe(others)) < 200
    assert filter.size / filter.capacity == 4
