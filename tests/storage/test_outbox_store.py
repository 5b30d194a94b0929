"""The outbox in SQLite passes what every outbox store must."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from frontrow.app.daemon import StoreOutbox
from frontrow.core.alerts import LeadAlert
from frontrow.core.frames import Frame
from frontrow.runtime.outbox import OutboxStore
from frontrow.storage.aio import StoreThread
from frontrow.storage.store import Alert, Commit, Store
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
