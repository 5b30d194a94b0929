"""Damage: found wherever it is, told frame by frame, and what is whole can be saved."""

import asyncio
import re
import threading
from collections.abc import Sequence
from pathlib import Path

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frontrow.cli import main
from frontrow.core.errors import StoreDamaged, StoreUnusable
from frontrow.core.frames import Frame
from frontrow.core.images import Image
from frontrow.storage.aio import StoreThread, verify_beside
from frontrow.storage.attic import DiskAttic, path_beside
from frontrow.storage.damage import Lost
from frontrow.storage.doctor import Examination, examine, salvage
from frontrow.storage.snapshots import Snapshots
from frontrow.storage.store import Alert, Commit, Store
from frontrow.storage.verify import FRAMES_A_STEP, Verification
from tests.storage.test_store import lead
from tests.support.alerts import an_alert
from tests.support.clock import ManualClock
from tests.support.rooms import START, event

FRAMES, EVENTS = 200, 60
PAGE = 4_096
SECOND = 1_000


def texts(number: int) -> list[str]:
    """Return a frame's texts, which differ, so that frames take some pages each."""
    return [
        f"{(number * EVENTS + place) * 7_919_123 % 1_000_003:x} 这个多少钱 " * 3 for place in range(EVENTS)
    ]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound store: frames a second apart, each with a lead and an alert."""
    path = tmp_path_factory.mktemp("sound") / "frontrow.db"
    made = Store.open(path)
    commits = []
    for number in range(FRAMES):
        events = [
            event("comment", number, viewer=f"v{place}", id=f"{number}-{place}", text=text)
            for place, text in enumerate(texts(number))
        ]
        alert = Alert("sink", f"k{number}", an_alert(f"L{number}"))
        commits.append(Commit(Frame.of(events, [0] * EVENTS), [lead(f"v{number}")], [alert], START))
    made.append(commits)
    made.settle()
    made.close()
    return path


@pytest.fixture
def store(tmp_path: Path, sound: Path) -> Path:
    """The sound store in a file of this test's own."""
    path = tmp_path / "frontrow.db"
    path.write_bytes(sound.read_bytes())
    return path


def change(path: Path, sql: str, values: Sequence[object] = ()) -> None:
    """Change what SQLite itself takes for sound."""
    connection = apsw.Connection(str(path))
    connection.pragma("foreign_keys", False)
    connection.execute(sql, values)
    connection.close()


def flip(path: Path, position: int, mask: int = 0x10) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        [byte] = file.read(1)
        file.seek(position)
        file.write(bytes([byte ^ mask]))


def blob_of(path: Path, seq: int, column: str) -> int:
    """Return a position in the file within a frame's blob."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    blob: bytes = connection.execute(f"SELECT {column} FROM frames WHERE seq = ?", (seq,)).get
    connection.close()
    content = path.read_bytes()
    parts = (blob[start : start + 24] for start in range(len(blob) - 24))
    return content.index(next(part for part in parts if content.count(part) == 1))


def verified(path: Path) -> Verification:
    verification = Verification(path)
    while verification.step():
        pass
    verification.close()
    return verification


def only(found: Sequence[Lost]) -> Lost:
    [lost] = found
    return lost


def test_a_sound_store_is_found_sound(store: Path) -> None:
    verification = verified(store)
    assert (verification.sound, verification.frames, verification.events) == (True, FRAMES, FRAMES * EVENTS)
    found = examine(store)
    assert found.sound
    assert found.lines()[0] == f"{store}: sound"
    assert found.advice == ""


def test_a_flipped_bit_of_a_frame_is_told_with_what_is_lost(store: Path) -> None:
    """In the middle of the file, where no start with a snapshot would look."""
    flip(store, blob_of(store, 77, "facts"))
    lost = only(verified(store).lost)
    assert lost == Lost(
        77, 77, "events", 60, START + 76 * SECOND, START + 76 * SECOND, "the checksum does not fit"
    )
    assert str(lost) == (
        "frame 77 of 60 events, 2025-06-15T15:07:56+00:00 to 2025-06-15T15:07:56+00:00: the checksum does not fit"
    )
    found = examine(store)
    assert not found.sound
    assert "frontrow doctor --salvage" in found.advice


def test_a_flipped_bit_of_names_and_texts_leaves_the_scores(store: Path) -> None:
    flip(store, blob_of(store, 77, "personal"))
    lost = only(verified(store).lost)
    assert (lost.first, lost.last, lost.part) == (77, 77, "names and texts")
    assert "scores and leads are not concerned" in str(lost)


async def test_a_daemon_at_work_verifies_beside_it(store: Path) -> None:
    """In small steps, with time between them for what matters more; commits go on meanwhile."""
    flip(store, blob_of(store, 77, "facts"))
    clock = ManualClock()
    behind = await StoreThread.open(store)
    verifying = asyncio.create_task(verify_beside(store, clock, pause_s=1.0))
    await clock.until_sleeping()
    frame = Frame.of([event("like", 0)], [0])
    await behind.call(behind.store.append, [Commit(frame, [], [], START)])
    steps = 0
    while not verifying.done():
        await clock.advance(1.0)
        steps += 1
        async with asyncio.timeout(5):
            while not verifying.done() and not clock.sleeping:
                await asyncio.sleep(0.001)
    verification = await verifying
    assert steps >= FRAMES // FRAMES_A_STEP
    assert [lost.first for lost in verification.lost] == [77]
    await behind.close()


def test_lost_frames_are_told_together(store: Path) -> None:
    change(store, "DELETE FROM frames WHERE seq BETWEEN 60 AND 130 OR seq = 140")
    first, second = verified(store).lost
    assert (first.first, first.last, first.events, first.reason) == (60, 130, None, "is missing")
    assert (first.first_at, first.last_at) == (START + 58 * SECOND, START + 130 * SECOND)
    assert (second.first, second.last) == (140, 140)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE frames SET first_at = first_at + 1 WHERE seq = 90",
        "UPDATE frames SET events = events + 1 WHERE seq = 90",
        """
        UPDATE frames SET (facts, personal, crc) = (SELECT facts, personal, crc FROM frames WHERE seq = 10)
        WHERE seq = 90
        """,
    ],
    ids=["its time", "its number of events", "another frame's blobs"],
)
def test_a_frame_that_was_exchanged_or_changed_is_found(store: Path, sql: str) -> None:
    """Its own checksum fits; the chain does not."""
    change(store, sql)
    lost = only(verified(store).lost)
    assert (lost.first, lost.last) == (90, 90)
    assert "not the frame that followed" in lost.reason
    opened = Store.open(store)
    with pytest.raises(StoreDamaged, match="frame 90 does not follow.*To restore"):
        list(opened.frames())
    opened.close()


def test_a_torn_last_frame_is_found_at_every_start(store: Path) -> None:
    flip(store, blob_of(store, FRAMES, "facts"))
    with pytest.raises(StoreDamaged, match=r"frame 200: the checksum does not fit.*To restore"):
        Store.open(store)


def test_frames_after_a_snapshot_are_checked_at_start(store: Path) -> None:
    flip(store, blob_of(store, 150, "facts"))
    opened = Store.open(store)
    assert len(list(opened.frames(after=150))) == 50
    with pytest.raises(StoreDamaged, match="frame 150: the checksum"):
        list(opened.frames(after=140))
    opened.close()


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(half=st.integers(0, 1 << 20))
def test_a_torn_page_anywhere_is_found_and_the_rest_is_saved(
    half: int, sound: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whichever page but the first it is: it is told, and what is saved is whole."""
    folder = tmp_path_factory.mktemp("torn")
    path, to = folder / "frontrow.db", folder / "new.db"
    content = sound.read_bytes()
    start = PAGE + half * (PAGE // 2) % (len(content) - PAGE)
    torn = content[:start] + bytes(PAGE // 2) + content[start + PAGE // 2 :]
    path.write_bytes(torn)
    assert examine(path).sound is (torn == content)
    try:
        frames, events = salvage(path, to)
    except StoreDamaged as error:
        assert "nothing can be read" in str(error)
        return
    assert frames >= verified(path).frames
    new = Store.open(to)
    assert sum(len(frame) for _, frame in new.frames()) == events
    new.close()


def test_all_that_can_be_read_is_saved(store: Path, tmp_path: Path) -> None:
    """Frames, leads, what was sent and what was not; names and texts that are lost are left out."""
    flip(store, blob_of(store, 50, "facts"))
    flip(store, blob_of(store, 60, "personal"))
    to = tmp_path / "new" / "saved.db"
    assert salvage(store, to) == (FRAMES - 1, (FRAMES - 1) * EVENTS)
    old, new = Store.open(store), Store.open(to)
    saved = dict(new.frames())
    assert saved[49].texts == texts(48)
    assert saved[59].texts == [None] * EVENTS  # the 60th of the old ones
    assert saved[59].ids == [f"59-{place}" for place in range(EVENTS)]
    assert saved[FRAMES - 1].texts == texts(FRAMES - 1)
    assert new.leads(key=None, limit=1_000) == old.leads(key=None, limit=1_000)
    assert new.outbox_depth() == old.outbox_depth()
    old.close()
    new.close()
    assert examine(to).sound
    with pytest.raises(StoreUnusable, match="exists already"):
        salvage(store, to)


def test_what_only_shortens_a_start_is_looked_at_too(store: Path) -> None:
    opened = Store.open(store)
    mark = opened.mark(150)
    assert mark is not None
    snapshots = Snapshots.beside(store)
    snapshots.write(150, mark, {"part": Image(texts={"viewers": ["v"] * 100})}, {})
    attic = DiskAttic.open(path_beside(store), store=opened.id)
    attic.rewind(0)
    attic.put([(b"viewer", b"row" * 100)])
    attic.mark(150)
    attic.settle(150, mark)
    attic.close()
    opened.close()
    assert {"snapshot at frame 150", "frontrow.db.attic: idle viewers' rows are whole"} <= set(
        examine(store).notes
    )
    [snapshot] = (store.parent / "frontrow.db.snapshots").iterdir()
    flip(snapshot, snapshot.stat().st_size - 3)
    change(path_beside(store), "UPDATE entries SET row = zeroblob(300)")
    problems = examine(store).problems
    assert [problem.split(":")[0] for problem in problems] == ["snapshot at frame 150", "frontrow.db.attic"]
    assert all("nothing is lost" in problem for problem in problems)


@pytest.mark.parametrize("content", [b"", b"no database" * 1_000], ids=["empty", "something"])
def test_something_else_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "frontrow.db"
    path.write_bytes(content)
    found = examine(path)
    assert not found.sound
    assert len(found.problems) == 1


def test_many_losses_are_cut_short() -> None:
    lost = [Lost(number, number, "events", 1, 0, 0, "x") for number in range(1, 200, 2)]
    lines = Examination(Path("s.db"), lost).lines()
    assert len(lines) == 1 + 50 + 1
    assert lines[-1] == "  LOST     and 50 more"


def test_the_command_says_it_and_fails(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        f'[storage]\npath = "{store}"\n[[rooms]]\nid = "demo"\nplatform = "p"\nroom = "r"\n', "utf-8"
    )
    assert main(["doctor", "--config", str(config)]) == 0
    assert re.search(r"frontrow\.db: sound\n", capsys.readouterr().out)
    flip(store, blob_of(store, 77, "facts"))
    assert main(["doctor", "--config", str(config), "--salvage", str(tmp_path / "new.db")]) == 1
    out = capsys.readouterr().out
    assert "NOT SOUND" in out
    assert "LOST     frame 77 of 60 events" in out
    assert "new.db: 199 frames of 11,940 events were written" in out


async def test_a_verification_can_be_left_in_the_middle_of_a_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that stops does not wait for it, and must not stumble over it."""
    inside, go_on = threading.Event(), threading.Event()
    step = Verification.step

    def slow(self: Verification) -> bool:
        inside.set()
        go_on.wait(10)
        return step(self)

    monkeypatch.setattr(Verification, "step", slow)
    Store.open(tmp_path / "s.db").close()
    task = asyncio.ensure_future(verify_beside(tmp_path / "s.db", ManualClock()))
    await asyncio.to_thread(inside.wait, 10)
    task.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
