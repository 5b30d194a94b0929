"""An outbox in memory that works, what watches a worker, and the contract that every outbox store must pass."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from frontrow.core.alerts import Addressee, LeadAlert
from frontrow.runtime.outbox import OutboxRow, OutboxStore, Outcome
from tests.support.alerts import an_alert


@dataclass
class _Kept:
    row: OutboxRow
    due_at: int
    state: str = "pending"
    error: str = ""


@dataclass
class FakeOutboxStore:
    """Fits :class:`frontrow.runtime.outbox.OutboxStore`; survives its workers as a file would."""

    kept: dict[int, _Kept] = field(default_factory=dict)
    messages: list[tuple[str, int]] = field(default_factory=list)
    receipts: list[tuple[int, int]] = field(default_factory=list)  # row, when

    def add(self, sink: str, alert: LeadAlert, created_at: int) -> int:
        """Commit one alert for a sink, due at once."""
        id = len(self.kept) + 1
        row = OutboxRow(id=id, sink=sink, key=f"{alert.lead}:{sink}", alert=alert, created_at=created_at)
        self.kept[id] = _Kept(row, due_at=created_at)
        return id

    async def due(self, sink: str, now: int, limit: int) -> list[OutboxRow]:
        waiting = [kept for kept in self._pending(sink) if kept.due_at <= now]
        waiting.sort(key=lambda kept: (kept.row.created_at, kept.row.id))
        return [kept.row for kept in waiting[:limit]]

    async def next_due(self, sink: str) -> int | None:
        return min((kept.due_at for kept in self._pending(sink)), default=None)

    async def begun(self, sink: str, ids: Sequence[int], at: int) -> None:
        self.messages.append((sink, at))
        for kept in self._of(ids):
            kept.row = replace(kept.row, attempts=kept.row.attempts + 1)

    async def begun_since(self, sink: str, since: int) -> list[int]:
        return [at for name, at in self.messages if name == sink and at >= since]

    async def told_since(self, sink: str, since: int) -> list[tuple[str, int]]:
        told = [(self.kept[id].row, at) for id, at in self.receipts if at >= since]
        return [
            (row.alert.to.seller, at) for row, at in told if row.sink == sink and row.alert.to is not None
        ]

    async def delivered(self, ids: Sequence[int], at: int, receipt: str) -> None:
        for kept in self._of(ids):
            kept.state, kept.error = "delivered", receipt
            self.receipts.append((kept.row.id, at))

    async def postpone(self, ids: Sequence[int], due_at: int, error: str) -> None:
        for kept in self._of(ids):
            kept.due_at, kept.error = due_at, error

    async def dead(self, ids: Sequence[int], at: int, error: str) -> None:
        for kept in self._of(ids):
            kept.state, kept.error = "dead", error

    def told(self) -> list[str]:
        """Return the leads with a receipt, in the order of the receipts."""
        return [self.kept[id].row.alert.lead for id, _ in self.receipts]

    def dead_letters(self) -> dict[str, str]:
        """Return the reason of every dead letter, by lead."""
        return {kept.row.alert.lead: kept.error for kept in self.kept.values() if kept.state == "dead"}

    def _pending(self, sink: str) -> list[_Kept]:
        return [kept for kept in self.kept.values() if kept.state == "pending" and kept.row.sink == sink]

    def _of(self, ids: Sequence[int]) -> list[_Kept]:
        return [kept for id in ids if (kept := self.kept[id]).state == "pending"]


@dataclass
class RecordingObserver:
    """Fits :class:`frontrow.runtime.outbox.OutboxObserver`."""

    outcomes: list[tuple[Outcome, int]] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)

    def outcome(self, sink: str, outcome: Outcome, alerts: int) -> None:
        self.outcomes.append((outcome, alerts))

    def latency(self, sink: str, seconds: float) -> None:
        self.latencies.append(seconds)

    def count(self, outcome: Outcome) -> int:
        return sum(alerts for name, alerts in self.outcomes if name is outcome)


class OutboxStoreContract(ABC):
    """What every store must do; subclass it, say how a store is made, and pytest collects the tests."""

    @abstractmethod
    def make(self) -> tuple[OutboxStore, Callable[[str, LeadAlert, int], int]]:
        """Return an empty store and a function that commits (sink, alert, created_at) and returns the row's id."""

    async def test_due_rows_are_the_pending_ones_of_the_sink_oldest_first(self) -> None:
        store, add = self.make()
        late, early = add("a", an_alert("late"), 2_000), add("a", an_alert("early"), 1_000)
        add("b", an_alert("other"), 500)
        assert [row.id for row in await store.due("a", 5_000, 10)] == [early, late]
        assert [row.id for row in await store.due("a", 1_500, 10)] == [early]
        assert [row.id for row in await store.due("a", 5_000, 1)] == [early]

    async def test_a_row_comes_back_as_it_was_committed(self) -> None:
        store, add = self.make()
        id = add("a", an_alert("L7", words="这款多少钱"), 1_000)
        row = (await store.due("a", 5_000, 1))[0]
        assert (row.id, row.sink, row.created_at, row.attempts) == (id, "a", 1_000, 0)
        assert row.alert == an_alert("L7", words="这款多少钱")

    async def test_keys_differ_between_sinks_and_leads(self) -> None:
        store, add = self.make()
        for sink in ("a", "b"):
            add(sink, an_alert("L1"), 1_000)
            add(sink, an_alert("L2"), 1_000)
        keys = [row.key for sink in ("a", "b") for row in await store.due(sink, 5_000, 10)]
        assert len(set(keys)) == 4

    async def test_a_postponed_row_is_due_at_its_time_and_says_when(self) -> None:
        store, add = self.make()
        id = add("a", an_alert(), 1_000)
        await store.postpone([id], 9_000, "HTTP 503")
        assert await store.due("a", 8_999, 10) == []
        assert await store.next_due("a") == 9_000
        assert [row.id for row in await store.due("a", 9_000, 10)] == [id]

    async def test_delivered_and_dead_rows_are_never_due_again(self) -> None:
        store, add = self.make()
        ids = [add("a", an_alert(lead), 1_000) for lead in ("L1", "L2")]
        await store.delivered(ids[:1], 2_000, "m-1")
        await store.dead(ids[1:], 2_000, "HTTP 400")
        await store.postpone(ids, 3_000, "too late to matter")
        assert await store.due("a", 9_000, 10) == []
        assert await store.next_due("a") is None

    async def test_who_was_told_lately_is_known_of_what_was_delivered_to_a_person(self) -> None:
        store, add = self.make()
        lee = Addressee(seller="lee")
        ids = [add("a", an_alert(f"L{n}", purpose="todo", to=lee), 1_000) for n in range(3)]
        other, public = add("b", an_alert("L1", to=lee), 1_000), add("a", an_alert("L9"), 1_000)
        await store.delivered(ids[:1], 2_000, "")
        await store.delivered([ids[1], public, other], 3_000, "")
        assert sorted(await store.told_since("a", 2_000)) == [("lee", 2_000), ("lee", 3_000)]
        assert await store.told_since("a", 2_001) == [("lee", 3_000)]

    async def test_one_message_is_one_however_many_rows_it_tells_of(self) -> None:
        store, add = self.make()
        ids = [add("a", an_alert(f"L{n}"), 1_000) for n in range(3)]
        await store.begun("a", ids, 2_000)
        await store.begun("a", ids[:1], 3_000)
        assert await store.begun_since("a", 2_000) == [2_000, 3_000]
        assert await store.begun_since("a", 2_001) == [3_000]
        assert await store.begun_since("b", 0) == []
        assert [row.attempts for row in await store.due("a", 9_000, 10)] == [2, 1, 1]
