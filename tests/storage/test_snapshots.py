"""Snapshots: what comes back is what was written, or nothing; and a crash at any moment leaves the one before."""

import errno
import os
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from structlog.testing import capture_logs

from frontrow.core.errors import SnapshotFailed
from frontrow.core.frames import Frame
from frontrow.core.images import Image
from frontrow.storage.snapshots import ARRAY_PIECE, FORMAT, MAGIC, TEXT_PIECE, Snapshots
from frontrow.storage.store import Commit, Store
from tests.storage.folders import Content, Crash, MemoryFolder
from tests.support.rooms import START, event

IDENTITY = {"engine": "7", "configuration": "c1"}
FOLDER = "frontrow.db.snapshots"


def mark(seq: int) -> bytes:
    """Stand for a journal that has every frame."""
    return b"mark of " + str(seq).encode()


def image(tag: int, rows: int = 10) -> Image:
    """Return an image that tells one state from another."""
    return Image(
        meta={"tag": tag, "open": {"a": [1, None, "x"]}, "many": [[n, "x"] for n in range(rows)]},
        arrays={
            "points": np.arange(rows) + tag,
            "fading": np.linspace(0, tag, rows * 2).reshape(rows, 2),
            "flags": np.arange(rows) % 3 == 0,
            "nothing": np.empty((0, 4), np.float32),
        },
        texts={"viewers": [f"v{tag}-{n}" for n in range(rows)], "names": [None, "小鱼", ""] * rows},
    )


def plain(images: Mapping[str, Image]) -> Any:
    """Return images as values that can be compared."""
    return {
        name: (
            image.meta,
            {key: (a.dtype, a.shape, a.tobytes()) for key, a in image.arrays.items()},
            image.texts,
        )
        for name, image in images.items()
    }


def newest(snapshots: Snapshots, max_seq: int = 1_000, **identity: str) -> Any:
    found = snapshots.newest(max_seq, IDENTITY | identity, mark)
    return None if found is None else (found[0], plain(found[1]))


@pytest.fixture
def snapshots(tmp_path: Path) -> Snapshots:
    return Snapshots.beside(tmp_path / "frontrow.db")


def test_what_was_written_comes_back(snapshots: Snapshots) -> None:
    images = {"engine": image(1), "people": image(2, rows=TEXT_PIECE + 5), "empty": Image()}
    snapshots.write(12, mark(12), images, IDENTITY)
    assert newest(snapshots) == (12, plain(images))


def test_large_columns_come_back(snapshots: Snapshots) -> None:
    """They are written in pieces; the last is not full, and one may be just full."""
    arrays = {
        "odd": np.arange(ARRAY_PIECE // 8 * 2 + 3),
        "even": np.arange(ARRAY_PIECE // 8),
        "strided": np.arange(600_000).reshape(2, -1).T,
    }
    texts: dict[str, list[str | None]] = {"even": ["x"] * TEXT_PIECE, "odd": ["y"] * (2 * TEXT_PIECE + 1)}
    images = {"engine": Image(arrays=arrays, texts=texts)}
    snapshots.write(1, mark(1), images, IDENTITY)
    assert newest(snapshots) == (1, plain(images))


_types = st.one_of(
    npst.scalar_dtypes(),
    npst.array_dtypes(npst.integer_dtypes(), allow_subarrays=False),
    st.just(np.dtype([("at", "<i8"), ("share", "<f4", (2,))])),
)


@settings(max_examples=60)
@given(data=st.data())
def test_any_array_comes_back(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    type = data.draw(_types)
    shape = data.draw(npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    count = int(np.prod(shape)) * type.itemsize
    array = np.frombuffer(data.draw(st.binary(min_size=count, max_size=count)), type).reshape(shape)
    snapshots = Snapshots.beside(tmp_path_factory.mktemp("s") / "frontrow.db")
    snapshots.write(1, mark(1), {"part": Image(arrays={"a": array})}, IDENTITY)
    assert newest(snapshots) == (1, plain({"part": Image(arrays={"a": array})}))


def test_objects_are_refused(snapshots: Snapshots) -> None:
    with pytest.raises(ValueError, match="objects"):
        snapshots.write(1, mark(1), {"part": Image(arrays={"a": np.array([object()])})}, IDENTITY)
    assert snapshots.kept() == []


def test_only_its_owner_may_read_it(snapshots: Snapshots, tmp_path: Path) -> None:
    """It holds viewers' names."""
    snapshots.write(1, mark(1), {"part": image(1)}, IDENTITY)
    [file] = (tmp_path / FOLDER).iterdir()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_the_last_two_are_kept(snapshots: Snapshots, tmp_path: Path) -> None:
    for seq in (3, 5, 9, 20):
        snapshots.write(seq, mark(seq), {"part": image(seq)}, IDENTITY)
    assert snapshots.kept() == [20, 9]
    assert len(list((tmp_path / FOLDER).iterdir())) == 2


def test_those_of_a_journal_that_was_set_back_make_room(snapshots: Snapshots) -> None:
    """A store restored from a backup goes on from an earlier frame; what is after it is of another history."""
    for seq in (10, 20):
        snapshots.write(seq, mark(seq), {"part": image(seq)}, IDENTITY)
    snapshots.write(15, mark(15), {"part": image(15)}, IDENTITY)
    assert snapshots.kept() == [15, 10]


def test_one_of_frames_that_the_journal_does_not_have_is_passed_over(snapshots: Snapshots) -> None:
    for seq in (10, 20):
        snapshots.write(seq, mark(seq), {"part": image(seq)}, IDENTITY)
    with capture_logs() as logs:
        assert newest(snapshots, max_seq=19) == (10, plain({"part": image(10)}))
    assert [(entry["event"], entry["seq"], entry["reason"]) for entry in logs] == [
        ("snapshot_passed_over", 20, "the journal ends at frame 19, before it")
    ]


def test_one_of_another_journal_is_passed_over(snapshots: Snapshots) -> None:
    snapshots.write(10, b"another", {"part": image(10)}, IDENTITY)
    with capture_logs() as logs:
        assert newest(snapshots) is None
    assert [entry["reason"] for entry in logs] == [
        "it is of another journal, or of another history of this one"
    ]


def test_one_of_another_version_or_configuration_is_passed_over(snapshots: Snapshots) -> None:
    snapshots.write(10, mark(10), {"part": image(10)}, IDENTITY)
    with capture_logs() as logs:
        assert newest(snapshots, engine="8", features="2") is None
    assert [entry["reason"] for entry in logs] == ["it was made with another engine, features"]
    assert newest(snapshots) is not None


def test_a_damaged_one_is_told_and_the_one_before_is_used(snapshots: Snapshots, tmp_path: Path) -> None:
    for seq in (10, 20):
        snapshots.write(seq, mark(seq), {"part": image(seq)}, IDENTITY)
    path = max((tmp_path / FOLDER).iterdir())
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with capture_logs() as logs:
        assert newest(snapshots) == (10, plain({"part": image(10)}))
    assert [(entry["log_level"], entry["event"], entry["seq"]) for entry in logs] == [
        ("warning", "snapshot_damaged", 20)
    ]
    assert "checksum of piece" in snapshots.examine(20)
    assert snapshots.examine(10) == ""


@settings(max_examples=150)
@given(position=st.integers(0, 1 << 20), bit=st.integers(0, 7), cut=st.booleans())
def test_no_damage_gives_another_state(position: int, bit: int, cut: bool) -> None:
    """Whichever bit flips, and wherever it ends: it is not used, and that is told."""
    folder = MemoryFolder()
    Snapshots(folder).write(1, mark(1), {"part": image(1)}, IDENTITY)
    [content] = folder.files.values()
    damaged = bytearray(content.cached)
    position %= len(damaged)
    if cut:
        del damaged[position:]
    else:
        damaged[position] ^= 1 << bit
    content.cached = bytes(damaged)
    with capture_logs() as logs:
        assert newest(Snapshots(folder)) is None
    assert len(logs) == 1


def test_pieces_that_changed_places_are_found() -> None:
    folder = MemoryFolder()
    texts: dict[str, list[str | None]] = {"a": ["x"], "b": ["y"]}
    Snapshots(folder).write(1, mark(1), {"part": Image(texts=texts)}, IDENTITY)
    [content] = folder.files.values()
    start, piece = len(MAGIC + FORMAT), struct.Struct("<III")
    pieces = []
    while start < len(content.cached):
        end = start + piece.size + piece.unpack_from(content.cached, start)[1]
        pieces.append(content.cached[start:end])
        start = end
    head, first, second = pieces
    content.cached = MAGIC + FORMAT + head + second + first
    assert newest(Snapshots(folder)) is None
    content.cached = MAGIC + FORMAT + head + first + second
    assert newest(Snapshots(folder)) == (1, plain({"part": Image(texts=texts)}))


def write_over(folder: MemoryFolder) -> None:
    """Write a third snapshot, which ends with the removal of the first."""
    Snapshots(folder).write(30, mark(30), {"part": image(30, rows=200), "more": image(31)}, IDENTITY)


def with_two(**fails: Any) -> MemoryFolder:
    folder = MemoryFolder(**fails)
    for seq in (10, 20):
        content = MemoryFolder()
        Snapshots(content).write(seq, mark(seq), {"part": image(seq)}, IDENTITY)
        folder.files |= content.files
    folder.files["00000000000000000025.part"] = Content(b"of a crash before", b"")
    folder._synced_files = dict(folder.files)
    return folder


def operations() -> range:
    """Return the numbers of all operations of :func:`write_over`."""
    folder = with_two()
    write_over(folder)
    assert sorted(folder.files) == ["00000000000000000020.snap", "00000000000000000030.snap"]
    return range(1, folder.operations + 1)


@pytest.mark.parametrize("power_lost", [False, True], ids=["killed", "power lost"])
@pytest.mark.parametrize("at", operations())
def test_a_crash_at_any_moment_leaves_one_that_fits(at: int, power_lost: bool) -> None:
    folder = with_two(at=at)
    with pytest.raises(Crash):
        write_over(folder)
    after = folder.after(power_lost=power_lost)
    with capture_logs() as logs:
        found = newest(Snapshots(after))
    assert logs == []
    assert found in (
        (20, plain({"part": image(20)})),
        (30, plain({"part": image(30, rows=200), "more": image(31)})),
    )
    write_over(after)
    assert sorted(after.files) == ["00000000000000000020.snap", "00000000000000000030.snap"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("at", operations())
def test_a_disk_that_fails_at_any_moment_leaves_one_that_fits(at: int, code: int) -> None:
    """And a snapshot that was not synced never gets its name."""
    folder = with_two(at=at, error=lambda: OSError(code, os.strerror(code)))
    with pytest.raises(SnapshotFailed, match=f"frame 30: {os.strerror(code)}"):
        write_over(folder)
    for power_lost in (False, True):
        found = newest(Snapshots(folder.after(power_lost=power_lost)))
        assert found is not None
        assert found[0] in (20, 30)
    write_over(folder)
    assert newest(Snapshots(folder.after(power_lost=True)))[0] == 30


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("not a folder")
    with capture_logs() as logs:
        assert newest(Snapshots.beside(tmp_path / "frontrow.db")) is None
    assert [entry["event"] for entry in logs] == ["snapshots_unreadable"]
    with pytest.raises(SnapshotFailed):
        Snapshots.beside(tmp_path / "frontrow.db").write(1, mark(1), {"part": image(1)}, IDENTITY)


def test_it_fits_the_store_that_it_was_made_of(tmp_path: Path) -> None:
    """And neither another store nor this one restored from a backup, which has gone on otherwise since."""

    def append(store: Store, number: int) -> None:
        store.append([Commit(Frame.of([event("like", number)], [0]), (), (), START)])

    store = Store.open(tmp_path / "frontrow.db")
    append(store, 1)
    store.settle()
    shutil.copyfile(store.path, tmp_path / "backup.db")
    append(store, 2)
    snapshots = Snapshots.beside(store.path)
    made = store.mark(2)
    assert made is not None
    snapshots.write(2, made, {"part": image(1)}, IDENTITY)
    append(store, 3)
    assert snapshots.newest(store.seq, IDENTITY, store.mark) is not None
    restored, other = Store.open(tmp_path / "backup.db"), Store.open(tmp_path / "other.db")
    assert snapshots.newest(restored.seq, IDENTITY, restored.mark) is None
    append(restored, 20)
    for number in (1, 2):
        append(other, number)
    assert snapshots.newest(restored.seq, IDENTITY, restored.mark) is None
    assert snapshots.newest(other.seq, IDENTITY, other.mark) is None
    again = Store.open(store.path)
    assert snapshots.newest(again.seq, IDENTITY, again.mark) is not None
