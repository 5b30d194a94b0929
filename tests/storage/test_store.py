"""The store: what is durable together, what is found damaged, and that one daemon holds it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from frontrow.core.errors import CommitFailed, StoreDamaged, StoreLocked
from frontrow.core.events import Event
from frontrow.core.facts import PRICE
from frontrow.core.frames import Frame
from frontrow.core.leads import Lead, lead_id
from frontrow.storage.frames import Blobs, checksum, pack, unpack
from frontrow.storage.lock import StoreLock
from frontrow.storage.store import Alert, Commit, Store
from tests.support.alerts import an_alert as make_alert
from tests.support.rooms import START, event

FULL = Event(
    id="e1", platform="p", room="r", kind="form_submit", at=START, session="s", seen_at=START + 5, viewer="v",
    name="小鱼", fan=False, staff=False, test=True, text="你好", seconds=1.5, count=0, gift="rose", value=-3,
    currency="CNY", level=2, product="p1", order="o", renewal=False, form="f", fields={"phone": "1"}, consent=False,
    viewers=3, likes=4, host="h", campaign="c", lead="l", seller="x", outcome="won", note="n", extra={"a": [1, None]},
    model="m", replaces="k", data={"stage": "won"},
)  # fmt: skip


def lead(viewer: str = "v1", at: int = START) -> Lead:
    return Lead(
        lead=lead_id("test", "r1", "s", viewer), platform="test", room="r1", session="s", viewer=viewer, customer=None,
        store=None, grade="hot", quality=None, points=80, probability=0.25, reasons=[], decided_at=at, policy="p",
        model=None, host=None, product=None, campaign=None,
    )  # fmt: skip


def commit(*events: Event, leads: tuple[Lead, ...] = (), alerts: tuple[Alert, ...] = ()) -> Commit:
    return Commit(Frame.of(events, [0] * len(events)), leads, alerts, START)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "deep" / "frontrow.db")


def test_every_field_of_an_event_comes_back(store: Store) -> None:
    plain = event("like", 0)
    assert set(Event.__struct_fields__) == {
        name for name in Event.__struct_fields__ if getattr(FULL, name) is not None
    }
    store.append([Commit(Frame.of([FULL, plain], [PRICE, 0]), (), (), START)])
    [(seq, frame)] = store.frames()
    assert (seq, frame.events(), list(frame.facts)) == (1, [FULL, plain], [PRICE, 0])


def test_whole_numbers_of_any_size_come_back(store: Store) -> None:
    """JSON may hold them, and one event must not keep a whole commit from the disk."""
    huge = event("like", 0, extra={"n": 10**40}, session="s")
    store.append([commit(huge)])
    [(_, frame)] = store.frames()
    assert frame.events()[0].extra == {"n": 10**40}


def test_what_is_personal_is_not_in_the_facts() -> None:
    """So that one person's fields can be destroyed and replay still computes the same."""
    blobs = pack(Frame.of([FULL], [PRICE]))
    facts_only = unpack(Blobs(blobs.facts, b"", checksum(blobs.facts, b"")), where="t")
    [kept] = facts_only.events()
    assert (kept.name, kept.text, kept.fields, kept.note, kept.extra) == (None,) * 5
    assert (kept.viewer, kept.order, list(facts_only.facts)) == ("v", "o", [PRICE])


@given(position=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found(position: int, bit: int) -> None:
    blobs = pack(Frame.of([FULL, event("like", 0)], [PRICE, 0]))
    broken = bytearray(blobs.facts)
    broken[position % len(broken)] ^= 1 << bit
    with pytest.raises(StoreDamaged, match="frame 7: the checksum does not fit"):
        unpack(Blobs(bytes(broken), blobs.personal, blobs.crc), where="frame 7")


def test_frames_go_on_where_the_caller_was(store: Store) -> None:
    for second in range(200):
        store.append([commit(event("like", second))])
    assert [seq for seq, _ in store.frames(after=150)] == list(range(151, 201))
    assert store.seq == 200


def test_a_missing_frame_is_named(store: Store) -> None:
    for second in range(3):
        store.append([commit(event("like", second))])
    store._db.execute("DELETE FROM frames WHERE seq = 2")
    with pytest.raises(StoreDamaged, match="frame 2 is missing"):
        list(store.frames())


def test_a_commit_is_whole_or_not_at_all(store: Store) -> None:
    """A lead without its frame, or the reverse, would be a lie after a crash."""
    good = commit(event("like", 0), leads=(lead(),), alerts=(Alert("wecom", "k", make_alert()),))
    unstorable: Any = None
    bad = Commit(
        Frame.of([event("like", 1)], [0]), (lead("v2"),), (Alert("wecom", "k2", make_alert()),), unstorable
    )
    with pytest.raises(CommitFailed):
        store.append([good, bad])
    assert (store.seq, list(store.frames()), store.leads(key=None, limit=9)) == (0, [], [])
    assert store.outbox_due("wecom", START * 2, 9) == []
    again = Store.open(store.path)
    again.append([good])
    assert (again.seq, len(again.leads(key=None, limit=9))) == (1, 1)


def test_one_lead_per_viewer_and_session_and_one_alert_per_lead_and_sink(store: Store) -> None:
    again = commit(
        event("like", 1),
        leads=(lead(at=START + 9),),
        alerts=(Alert("a", "k", make_alert()), Alert("b", "k", make_alert())),
    )
    store.append([commit(event("like", 0), leads=(lead(),), alerts=(Alert("a", "k", make_alert()),))])
    store.append([again])
    assert [found.decided_at for found in store.leads(key=None, limit=9)] == [START]
    assert [len(store.outbox_due(sink, START * 2, 9)) for sink in "ab"] == [1, 1]


def test_leads_are_paged_newest_first_without_gaps(store: Store) -> None:
    store.append([commit(event("like", 0), leads=tuple(lead(f"v{n}", START + n // 3) for n in range(20)))])
    seen: list[str] = []
    after: tuple[int, str] | None = None
    while page := store.leads(key=("test", "r1"), after=after, limit=7):
        seen += [found.lead for found in page]
        after = (page[-1].decided_at, page[-1].lead)
    assert len(seen) == len(set(seen)) == 20
    assert store.leads(key=("test", "r2"), limit=7) == []


def test_it_is_durable_at_every_commit(store: Store) -> None:
    assert store._db.pragma("journal_mode") == "wal"
    assert store._db.pragma("synchronous") == 2  # FULL


def test_a_reopened_store_goes_on(store: Store) -> None:
    store.append([commit(event("like", 0))])
    store.close()
    again = Store.open(store.path)
    again.append([commit(event("like", 1))])
    assert [seq for seq, _ in again.frames()] == [1, 2]


def test_where_a_feed_went_on_to_is_there_after_a_restart(store: Store) -> None:
    assert store.position("feiyu") is None
    store.keep_position("feiyu", "1")
    store.keep_position("feiyu", '{"until": 2}')
    store.keep_position("other", "3")
    store.close()
    again = Store.open(store.path)
    assert (again.position("feiyu"), again.position("other")) == ('{"until": 2}', "3")


def test_a_file_of_something_else_is_refused_with_a_sentence(tmp_path: Path) -> None:
    text = tmp_path / "notes.db"
    text.write_bytes(b"not a database at all, but long enough to look at" * 50)
    with pytest.raises(StoreDamaged, match="cannot read it"):
        Store.open(text)
    other = tmp_path / "other.db"
    apsw.Connection(str(other)).execute("CREATE TABLE t (x)")
    with pytest.raises(StoreDamaged, match="something else"):
        Store.open(other)


def test_leads_are_told_by_frame_with_the_place_where_they_were_made(store: Store) -> None:
    """Who follows the journal applies a lead between the events that it stood between, however late it follows."""
    frame = Frame.of([event("like", number) for number in range(3)], [0] * 3)
    store.append([Commit(frame, [lead("b"), lead("a", START + 250)], (), START, positions=[2, 0])])
    store.append([Commit(Frame.of([event("like", 9)], [0]), [lead("c")], (), START, positions=[-1])])
    made = store.leads_made(0, 2)
    assert {seq: [(position, each.viewer) for position, each in found] for seq, found in made.items()} == {
        1: [(0, "a"), (2, "b")],
        2: [(-1, "c")],
    }
    assert store.leads_made(1, 1) == {}


def test_a_store_of_a_newer_frontrow_is_refused(store: Store) -> None:
    store._db.pragma("user_version", 99)
    store.close()
    with pytest.raises(StoreDamaged, match="newer Frontrow"):
        Store.open(store.path)


def test_a_second_holder_is_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "frontrow.db"
    held = StoreLock(path)
    held.acquire("2026-01-01T00:00:00+00:00")
    with pytest.raises(
        StoreLocked, match=r"frontrow\.db is in use by frontrow, process \d+ on .*, since 2026"
    ):
        StoreLock(path).acquire("later")
    held.release()
    other = StoreLock(path)
    other.acquire("later")
    other.release()


def test_a_killed_holder_leaves_no_lock(tmp_path: Path) -> None:
    """The lock is the process's, not the file's: after a crash the next start must not need a person."""
    code = (
        "import os,sys,pathlib;from frontrow.storage.lock import StoreLock;"
        "StoreLock(pathlib.Path(sys.argv[1])).acquire('t');os.kill(os.getpid(),9)"
    )
    roots = [
        str(Path(__file__).parents[2] / root) for root in ("daemon", "connectors", "models", "dashboards")
    ]
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "s.db")], check=False, env={"PYTHONPATH": ":".join(roots)}
    )
    lock = StoreLock(tmp_path / "s.db")
    lock.acquire("now")
    lock.release()


def with_sketches() -> Frame:
    frame = Frame.of([event("comment", 0), event("like", 1), event("comment", 2), event("comment", 3)])
    frame.sketches = [(1 << 48) - 1, 0, 0, 7]
    return frame


def test_sketches_come_back_and_outlive_the_words() -> None:
    """Who says the same is decided from them, also when what was said has been destroyed."""
    blobs = pack(with_sketches())
    assert unpack(blobs, where="here").sketches == with_sketches().sketches
    without = Blobs(blobs.facts, b"", checksum(blobs.facts, b""))
    assert unpack(without, where="here").sketches == with_sketches().sketches


def test_a_frame_from_before_there_were_sketches_has_none() -> None:
    blobs = pack(with_sketches())
    fields = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(blobs.facts))
    older = zstandard.ZstdCompressor().compress(msgspec.msgpack.encode(fields[:-1]))
    found = unpack(Blobs(older, blobs.personal, checksum(older, blobs.personal)), where="here")
    assert found.sketches == [0, 0, 0, 0]


@pytest.mark.parametrize("byte", [18, 19])  # of SQLite's header: the versions that may write and read
def test_a_flipped_bit_in_the_header_is_found_when_it_is_opened(tmp_path: Path, byte: int) -> None:
    """Not at the first commit, when events have been taken already."""
    store = Store.open(path := tmp_path / "frontrow.db")
    store.append([commit(event("like", id="1"))])
    store.close()
    content = bytearray(path.read_bytes())
    content[byte] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreDamaged, match="frontrow restore"):
        Store.open(path)
