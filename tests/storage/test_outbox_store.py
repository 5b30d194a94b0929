"""The outbox in SQLite passes what every outbox store must; letters can be looked at and dead ones sent again."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from frontrow.app.daemon import StoreOutbox
from frontrow.core.alerts import LeadAlert
from frontrow.core.frames import Frame
from frontrow.runtime.outbox import OutboxStore
from frontrow.storage.aio import StoreThread
from frontrow.storage.doctor import examine
from frontrow.storage.store import Alert, Commit, Store
from tests.support.alerts import an_alert
from tests.support.outbox import OutboxStoreContract
from tests.support.rooms import event


class TestStoreOutbox(OutboxStoreContract):
    """Against a real file."""

    @pytest.fixture(autouse=True)
    def in_folder(self, tmp_path: Path) -> Iterator[None]:
        self.store = Store.open(tmp_path / "frontrow.db")
        yield
        self.store.close()

    def make(self) -> tuple[OutboxStore, Callable[[str, LeadAlert, int], int]]:
        def add(sink: str, alert: LeadAlert, created_at: int) -> int:
            key = f"{sink}:{alert.lead}"
            frame = Frame.of([event("like", self.store.seq)], [0])
            self.store.append([Commit(frame, (), [Alert(sink, key, alert)], created_at)])
            due = self.store.outbox_due(sink, 1 << 60, 1_000)
            return next(id for id, found, *_ in due if found == key)

        return StoreOutbox(StoreThread(self.store)), add


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path / "frontrow.db")
    alerts = [Alert("ab"[number % 2], f"k{number}", an_alert(f"L{number}")) for number in range(6)]
    store.append([Commit(Frame.of([event("like", 0)], [0]), (), alerts, 1_000)])
    store.outbox_begun("a", [1], 2_000)
    store.outbox_delivered([1], 2_500, "m-1")
    store.outbox_dead([2, 3], 3_000, "HTTP 404")
    yield store
    store.close()


def test_letters_are_listed_newest_first_by_state_and_sink_in_pages(store: Store) -> None:
    def numbers(**asked: Any) -> list[int]:
        return [
            each.id
            for each in store.letters(**({"state": None, "sink": None, "before": None, "limit": 9} | asked))
        ]

    assert numbers() == [6, 5, 4, 3, 2, 1]
    assert numbers(state="dead") == [3, 2]
    assert numbers(sink="a") == [5, 3, 1]
    assert numbers(state="dead", sink="b") == [2]
    assert numbers(before=4, limit=2) == [3, 2]
    sent = store.letter(1)
    assert sent is not None
    assert (sent.state, sent.note, sent.attempts, sent.settled_at) == ("sent", "m-1", 1, 2_500)
    assert sent.alert == an_alert("L0")
    assert store.letter(99) is None


def test_a_dead_letter_sent_again_is_due_as_if_new_and_its_checksum_holds(store: Store) -> None:
    assert store.outbox_again(3, 9_000_000)
    [(_, key, alert, created_at, attempts)] = [
        row for row in store.outbox_due("a", 9_000_000, 9) if row[0] == 3
    ]
    assert (key, alert, created_at, attempts) == ("k2", an_alert("L2"), 9_000_000, 0)
    again = store.letter(3)
    assert again is not None
    assert (again.state, again.note, again.created_at) == ("pending", "HTTP 404", 1_000)
    store.outbox_delivered([3], 9_000_001, "m-2")
    sent = store.letter(3)
    assert sent is not None
    assert (sent.state, sent.note, sent.settled_at) == ("sent", "m-2", 9_000_001)
    assert examine(store.path).sound


def test_only_dead_letters_can_be_sent_again(store: Store) -> None:
    assert not store.outbox_again(1, 9_000)  # sent
    assert not store.outbox_again(4, 9_000)  # waits
    assert not store.outbox_again(99, 9_000)
    assert store.outbox_again(2, 9_000)
    assert not store.outbox_again(2, 9_001)
