"""The outbox worker: every alert is told once, in time, within the receiver's budget, whatever the receiver does."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tests.support.alerts import an_alert
from tests.support.clock import ManualClock, settle
from tests.support.http_server import Failure, Reply, scripted_server
from tests.support.outbox import FakeOutboxStore, OutboxStoreContract, RecordingObserver

from frontrow.core.alerts import Addressee, Delivery, LeadAlert
from frontrow.core.errors import SinkBusy, SinkRefused
from frontrow.runtime.budget import WINDOW_S, Budget
from frontrow.runtime.outbox import STALE, OutboxPolicy, OutboxStore, OutboxWorker, Outcome
from frontrow_connectors.sinks import wecom
from frontrow_connectors.sinks.contract import SinkContext
from frontrow_connectors.sinks.wecom.options import WeComOptions

ROBOT = OutboxPolicy(per_minute=20, digest_size=15)


@dataclass
class FakeSink:
    """Fits the port: remembers what it was sent and when, and answers by ``behave``."""

    clock: ManualClock
    behave: Callable[[Sequence[Delivery]], Exception | None] = lambda deliveries: None
    takes_s: float = 0.0
    receipt: str | None = None
    begun_at: list[float] = field(default_factory=list)
    messages: list[list[Delivery]] = field(default_factory=list)

    async def deliver(self, deliveries: Sequence[Delivery]) -> str | None:
        self.begun_at.append(self.clock.monotonic())
        self.messages.append(list(deliveries))
        await self.clock.sleep(self.takes_s)
        error = self.behave(deliveries)
        if error is not None:
            raise error
        return self.receipt

    async def close(self) -> None: ...

    def leads(self) -> list[list[str]]:
        return [[delivery.alert.lead for delivery in message] for message in self.messages]


@dataclass
class Bench:
    """A worker over a store and a sink, with time in hand."""

    policy: OutboxPolicy = ROBOT
    clock: ManualClock = field(default_factory=ManualClock)
    store: FakeOutboxStore = field(default_factory=FakeOutboxStore)
    observer: RecordingObserver = field(default_factory=RecordingObserver)

    def __post_init__(self) -> None:
        self.sink = FakeSink(self.clock)
        self.worker = self.make_worker()

    def make_worker(self) -> OutboxWorker:
        return OutboxWorker(
            self.store,
            self.sink,
            "robot",
            self.policy,
            clock=self.clock,
            rng=random.Random(7),
            observer=self.observer,
        )

    def add(self, lead: str, **changes: object) -> None:
        """Commit an alert and call the worker, as the daemon does."""
        now = self.clock.now()
        self.store.add("robot", an_alert(lead, decided_at=now, **changes), now)
        self.worker.notify()

    async def pass_time(self, seconds: float, *, step_s: float = 0.1) -> None:
        for _ in range(round(seconds / step_s)):
            await self.clock.advance(step_s)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.worker.run())
        await settle()
        try:
            yield
        finally:
            if task.done():
                task.result()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def most_in_a_minute(times: Sequence[float]) -> int:
    return max((sum(start <= time < start + WINDOW_S for time in times) for start in times), default=0)


class TestFakeStore(OutboxStoreContract):
    def make(self) -> tuple[OutboxStore, Callable[[str, LeadAlert, int], int]]:
        store = FakeOutboxStore()
        return store, store.add


# What people feel: how soon they are told


async def test_a_single_lead_is_told_at_once_and_alone() -> None:
    bench = Bench()
    async with bench.running():
        bench.add("L1")
        await settle()
    assert bench.sink.leads() == [["L1"]]
    assert bench.store.told() == ["L1"]
    assert bench.observer.outcomes == [(Outcome.DELIVERED, 1)]
    assert bench.observer.latencies == [0.0]


async def test_sixty_leads_in_a_second_are_all_told_within_seconds_and_the_budget_holds() -> None:
    """A busy room is when leads are worth most: twenty singles and then a minute of silence would lose them."""
    bench = Bench()
    bench.sink.takes_s = 0.03
    async with bench.running():
        for number in range(60):
            bench.add(f"L{number}")
            await bench.clock.advance(1 / 60)
        await bench.pass_time(90)
    assert sorted(bench.store.told()) == sorted(f"L{number}" for number in range(60))
    assert most_in_a_minute(bench.sink.begun_at) <= 20
    assert bench.observer.count(Outcome.DIGESTED) >= 30
    assert max(bench.observer.latencies) <= 7.0
    assert max(len(message) for message in bench.sink.messages) <= 15


async def test_leads_that_wait_together_go_as_digests_at_once() -> None:
    bench = Bench()
    for number in range(60):
        bench.add(f"L{number}")
    async with bench.running():
        await bench.pass_time(1)
    assert [len(message) for message in bench.sink.messages] == [15, 15, 15, 15]
    assert max(bench.observer.latencies) <= 1.0


async def test_a_stream_of_leads_beyond_the_budget_is_told_in_digests_without_long_waits() -> None:
    bench = Bench()
    async with bench.running():
        for number in range(600):  # two a second, six times the budget
            bench.add(f"L{number}")
            await bench.clock.advance(0.5)
        await bench.pass_time(10)
    assert len(set(bench.store.told())) == len(bench.store.receipts) == 600
    assert most_in_a_minute(bench.sink.begun_at) <= 20
    assert max(bench.observer.latencies) <= 7.0


async def test_in_a_digest_the_hottest_come_first() -> None:
    bench = Bench(OutboxPolicy(per_minute=1, digest_size=3))
    bench.add("cool", grade="warm", points=50, probability=None)
    bench.add("likely", points=85, probability=0.9)
    bench.add("sure", points=100, probability=0.2)
    bench.add("unlikely", points=99, probability=0.1)
    async with bench.running():
        await bench.pass_time(120)
    assert bench.sink.leads() == [["likely", "sure", "unlikely"], ["cool"]]


async def test_a_sink_without_digests_gets_every_lead_alone() -> None:
    bench = Bench(OutboxPolicy(per_minute=2, digest_size=1))
    for number in range(5):
        bench.add(f"L{number}")
    async with bench.running():
        await bench.pass_time(150)
    assert [len(message) for message in bench.sink.messages] == [1] * 5
    assert most_in_a_minute(bench.sink.begun_at) == 2


async def test_without_a_limit_nothing_waits_and_nothing_is_put_together() -> None:
    bench = Bench(OutboxPolicy(per_minute=None, digest_size=15))
    for number in range(40):
        bench.add(f"L{number}")
    async with bench.running():
        await bench.pass_time(1)
    assert [len(message) for message in bench.sink.messages] == [1] * 40


# The budget


async def test_a_restart_keeps_the_budget() -> None:
    bench = Bench(OutboxPolicy(per_minute=3, digest_size=1))
    for number in range(3):
        bench.add(f"L{number}")
    async with bench.running():
        await bench.pass_time(1)
    assert len(bench.sink.messages) == 3
    bench.worker = bench.make_worker()
    async with bench.running():
        bench.add("L3")
        await bench.pass_time(50)
        assert len(bench.sink.messages) == 3
        await bench.pass_time(25)
    assert len(bench.sink.messages) == 4
    assert most_in_a_minute(bench.sink.begun_at) == 3


async def test_a_wall_clock_that_is_set_back_or_forth_changes_no_budget() -> None:
    bench = Bench(OutboxPolicy(per_minute=2, digest_size=1, freshness_s=None))
    async with bench.running():
        for number in range(6):
            bench.add(f"L{number}")
        for step_ms in (3_600_000, -7_200_000, 3_600_000, 0):
            bench.clock.step_wall(step_ms)
            await bench.pass_time(60)
    assert len(bench.store.receipts) == 6
    assert most_in_a_minute(bench.sink.begun_at) == 2


async def test_a_wall_clock_set_back_during_a_restart_does_not_shut_the_budget_for_an_hour() -> None:
    bench = Bench(OutboxPolicy(per_minute=1, digest_size=1))
    async with bench.running():
        bench.add("L1")
        await bench.pass_time(1)
    bench.clock.step_wall(-3_600_000)
    bench.worker = bench.make_worker()
    async with bench.running():
        bench.add("L2")
        await bench.pass_time(61)
    assert bench.store.told() == ["L1", "L2"]
    assert most_in_a_minute(bench.sink.begun_at) == 1


async def test_a_receiver_with_a_limit_a_second_never_sees_more_in_any() -> None:
    bench = Bench(OutboxPolicy(per_minute=100, per_second=5, digest_size=15))
    async with bench.running():
        for number in range(40):
            bench.add(f"L{number}")
        await bench.pass_time(20, step_s=0.05)
    times = bench.sink.begun_at
    assert max(sum(start <= time < start + 1.0 for time in times) for start in times) == 5
    assert sorted(bench.store.told()) == sorted(f"L{number}" for number in range(40))


async def test_what_is_too_much_for_one_person_waits_and_nobody_else_does() -> None:
    """WeCom drops silently what a member gets beyond 30 a minute."""
    bench = Bench(OutboxPolicy(per_member=3, freshness_s=None))
    async with bench.running():
        for number in range(7):
            bench.add(f"L{number}", to=Addressee(seller="lee"), purpose="todo")
        bench.add("other", to=Addressee(seller="kim"), purpose="todo")
        await bench.pass_time(1)
        assert len(bench.store.told()) == 4 and "other" in bench.store.told()
        await bench.pass_time(121, step_s=0.5)
    lee = [
        at
        for at, [each] in zip(bench.sink.begun_at, bench.sink.messages, strict=True)
        if each.alert.to == Addressee(seller="lee")
    ]
    assert len(lee) == 7
    assert max(sum(start <= time < start + WINDOW_S for time in lee) for start in lee) == 3
    assert bench.observer.count(Outcome.BUSY) == 0


async def test_a_restart_keeps_what_one_person_has_had() -> None:
    bench = Bench(OutboxPolicy(per_member=2, freshness_s=None))
    for restart in range(2):
        bench.worker = bench.make_worker()
        async with bench.running():
            for number in range(2):
                bench.add(f"L{restart}{number}", to=Addressee(seller="lee"), purpose="todo")
            await bench.pass_time(5)
    assert sorted(bench.store.told()) == ["L00", "L01"]


async def test_the_receivers_id_of_a_message_is_kept_as_its_receipt() -> None:
    bench = Bench()
    bench.sink.receipt = "msg-1\n" + "x" * 500
    async with bench.running():
        bench.add("L1")
        await bench.pass_time(1)
    assert bench.store.kept[1].error == "msg-1" + "x" * 123


async def test_failed_messages_count_too() -> None:
    """A robot that answers 500 may have counted the call."""
    bench = Bench(OutboxPolicy(per_minute=5, digest_size=15))
    bench.sink.behave = lambda deliveries: SinkBusy("HTTP 500")
    async with bench.running():
        bench.add("L1")
        await bench.pass_time(300)
    assert len(bench.sink.messages) >= 5
    assert most_in_a_minute(bench.sink.begun_at) <= 5


@given(
    limit=st.integers(1, 25),
    spent=st.lists(st.floats(0, 60), max_size=30),
    visits=st.lists(st.tuples(st.floats(0, 40), st.floats(0, 12), st.booleans()), max_size=120),
)
def test_in_no_minute_are_there_more_messages_than_the_limit(
    limit: int, spent: list[float], visits: list[tuple[float, float, bool]]
) -> None:
    """Exact, wherever between begin and end a message arrives; and never a longer wait than exactness asks for."""
    budget = Budget(limit, spent=spent)
    begun, ended = [0.0] * len(spent), sorted(spent)
    now = 60.0
    for gap, lasts, full in visits:
        now += gap
        opens_at = budget.opens_at(now, full=full)
        counting = [end for end in ended if end + WINDOW_S > now]
        if (full and len(counting) < limit) or len(counting) < limit / 2:
            assert opens_at == now
        else:  # paced or shut, but never beyond the moment at which a place must be free
            assert now <= opens_at <= counting[-limit if len(counting) >= limit else 0] + WINDOW_S
        now = opens_at
        begun.append(now)
        now += lasts
        ended.append(now)
        budget.book(now)
    for first, last in zip(ended[len(spent) :], begun[len(spent) + limit :], strict=False):
        assert last >= first + WINDOW_S


@settings(max_examples=25, deadline=None)
@given(
    limit=st.integers(1, 8),
    arrivals=st.lists(st.tuples(st.floats(0, 10), st.integers(1, 20)), min_size=1, max_size=12),
    failing=st.sets(st.integers(0, 30), max_size=6),
    takes_s=st.sampled_from([0.0, 0.5, 3.0]),
)
def test_whatever_arrives_and_fails_the_worker_tells_all_within_the_budget(
    limit: int, arrivals: list[tuple[float, int]], failing: set[int], takes_s: float
) -> None:
    async def scenario() -> None:
        bench = Bench(OutboxPolicy(per_minute=limit, digest_size=6, freshness_s=None))
        bench.sink.takes_s = takes_s

        def behave(deliveries: Sequence[Delivery]) -> Exception | None:
            return SinkBusy("HTTP 503") if len(bench.sink.messages) in failing else None

        bench.sink.behave = behave
        total = 0
        async with bench.running():
            for gap, count in arrivals:
                await bench.pass_time(gap, step_s=0.5)
                for _ in range(count):
                    bench.add(f"L{total}")
                    total += 1
            for _ in range(200):
                if len(bench.store.receipts) == total:
                    break
                await bench.pass_time(30, step_s=1.0)
        assert len(set(bench.store.told())) == len(bench.store.receipts) == total
        assert most_in_a_minute(bench.sink.begun_at) <= limit

    asyncio.run(scenario())


# Trouble


async def test_a_lead_is_tried_until_it_is_taken_and_has_one_receipt() -> None:
    bench = Bench()
    answers = iter([SinkBusy("HTTP 503"), SinkBusy("no answer in time"), None])
    bench.sink.behave = lambda deliveries: next(answers)
    async with bench.running():
        bench.add("L1")
        await bench.pass_time(30)
    assert bench.store.told() == ["L1"]
    assert [message[0].attempt for message in bench.sink.messages] == [1, 2, 3]
    assert len({message[0].key for message in bench.sink.messages}) == 1
    assert bench.observer.outcomes == [(Outcome.BUSY, 1), (Outcome.BUSY, 1), (Outcome.DELIVERED, 1)]


async def test_waits_between_tries_double_with_jitter_up_to_a_minute() -> None:
    bench = Bench(OutboxPolicy(freshness_s=None))
    bench.sink.behave = lambda deliveries: SinkBusy("HTTP 503")
    async with bench.running():
        bench.add("L1")
        await bench.pass_time(600)
    waits = [
        later - earlier for earlier, later in zip(bench.sink.begun_at, bench.sink.begun_at[1:], strict=False)
    ]
    for tries, wait in enumerate(waits):
        ceiling = min(60.0, 2.0**tries)
        assert 0.5 * ceiling <= wait <= ceiling + 0.2
    assert len({round(wait / min(60.0, 2.0**tries), 3) for tries, wait in enumerate(waits)}) > 3  # jitter


async def test_the_wait_that_a_receiver_asks_for_is_kept_by_all() -> None:
    bench = Bench()
    answers = iter([SinkBusy("errcode 45009", retry_after_s=42.0)])
    bench.sink.behave = lambda deliveries: next(answers, None)
    async with bench.running():
        bench.add("L1")
        await bench.pass_time(1)
        bench.add("L2")
        await bench.pass_time(40.5)
        assert len(bench.sink.messages) == 1
        await bench.pass_time(2)
    assert sorted(bench.store.told()) == ["L1", "L2"]


async def test_a_refused_lead_goes_to_the_dead_letters_and_the_next_is_sent() -> None:
    bench = Bench()
    bench.sink.behave = lambda deliveries: (
        SinkRefused("HTTP 400") if deliveries[0].alert.lead == "bad" else None
    )
    async with bench.running():
        bench.add("bad")
        await settle()
        bench.add("good")
        await bench.pass_time(5)
    assert bench.store.dead_letters() == {"bad": "HTTP 400"}
    assert bench.store.told() == ["good"]
    assert bench.observer.outcomes == [(Outcome.REFUSED, 1), (Outcome.DELIVERED, 1)]


@pytest.mark.parametrize("error", [SinkRefused("HTTP 400"), SinkBusy("HTTP 500"), RuntimeError("bug")])
async def test_one_lead_that_the_receiver_chokes_on_costs_no_other_lead(error: Exception) -> None:
    """In a digest the receiver does not say which: halves find it, and the others are told."""
    bench = Bench(OutboxPolicy(per_minute=20, digest_size=15, freshness_s=None, max_attempts=12))
    bench.sink.behave = lambda deliveries: (
        error if any(delivery.alert.lead == "L13" for delivery in deliveries) else None
    )
    for number in range(30):
        bench.add(f"L{number}")
    async with bench.running():
        await bench.pass_time(900, step_s=0.5)
    assert sorted(bench.store.told()) == sorted(f"L{number}" for number in range(30) if number != 13)
    assert list(bench.store.dead_letters()) == ["L13"]
    assert max(bench.observer.latencies) < 180


async def test_a_lead_never_tried_goes_before_a_hotter_one_that_failed() -> None:
    bench = Bench(OutboxPolicy(per_minute=None))
    bench.add("failed", points=100)
    await bench.store.begun("robot", [1], bench.clock.now())
    bench.add("new", points=80)
    async with bench.running():
        await bench.pass_time(1)
    assert bench.sink.leads() == [["new"], ["failed"]]


async def test_after_trouble_digests_grow_back_to_their_size() -> None:
    bench = Bench(OutboxPolicy(per_minute=20, digest_size=15))
    answers = iter([SinkBusy("HTTP 503")])
    bench.sink.behave = lambda deliveries: next(answers, None)
    for number in range(60):
        bench.add(f"L{number}")
    async with bench.running():
        await bench.pass_time(30)
    assert [len(message) for message in bench.sink.messages][:4] == [15, 7, 14, 15]
    assert len(bench.store.receipts) == 60


async def test_a_receiver_that_refuses_everything_is_not_hammered_nor_the_outbox_emptied_at_once() -> None:
    """With a wrong key every alert is refused; what is not yet a dead letter is sent once the key is right."""
    bench = Bench()
    bench.sink.behave = lambda deliveries: SinkRefused("errcode 93000")
    async with bench.running():
        for number in range(40):
            bench.add(f"L{number}")
        await bench.pass_time(60)
    assert len(bench.store.dead_letters()) < 10


async def test_a_sink_that_never_answers_is_left_after_its_deadline() -> None:
    bench = Bench(OutboxPolicy(deliver_timeout_s=10.0))
    bench.sink.takes_s = 1e9
    async with bench.running():
        bench.add("L1")
        await bench.pass_time(9.9)
        assert bench.observer.outcomes == []
        await bench.pass_time(0.2)
        assert bench.observer.outcomes == [(Outcome.BUSY, 1)]
        bench.sink.takes_s = 0.0
        await bench.pass_time(2)
    assert bench.store.told() == ["L1"]


async def test_a_dead_sink_slows_no_other() -> None:
    clock, store = ManualClock(), FakeOutboxStore()
    dead, alive = Bench(clock=clock, store=store), FakeSink(clock)
    dead.sink.takes_s = 1e9
    observer = RecordingObserver()
    other = OutboxWorker(
        store, alive, "other", OutboxPolicy(), clock=clock, rng=random.Random(1), observer=observer
    )
    async with dead.running(), asyncio.TaskGroup() as group:
        task = group.create_task(other.run())
        for number in range(50):
            dead.add(f"L{number}")
            store.add("other", an_alert(f"L{number}"), clock.now())
            other.notify()
            await clock.advance(1.0)
        task.cancel()
    assert len(alive.messages) == 50
    assert max(observer.latencies) <= 1.0


async def test_a_bug_in_a_sink_is_logged_without_the_viewers_words_and_tried_again() -> None:
    bench = Bench()
    answers = iter([ValueError("小花 said 13800138000")])
    bench.sink.behave = lambda deliveries: next(answers, None)
    with capture_logs() as logs:
        async with bench.running():
            bench.add("L1")
            await bench.pass_time(5)
    assert bench.store.told() == ["L1"]
    bug = next(entry for entry in logs if entry["event"] == "sink_bug")
    assert bug["error"] == "ValueError"
    assert any("behave" in place or "deliver" in place for place in bug["at"])
    assert "小花" not in repr(logs) and "138" not in repr(logs)
    assert "小花" not in repr(bench.store.kept[1].error)


async def test_a_sink_that_cancels_itself_does_not_end_its_worker() -> None:
    bench = Bench()
    answers = iter([asyncio.CancelledError()])

    def behave(deliveries: Sequence[Delivery]) -> None:
        for error in answers:
            raise error

    bench.sink.behave = behave
    async with bench.running():
        bench.add("L1")
        await bench.pass_time(5)
    assert bench.store.told() == ["L1"]


async def test_a_failing_store_ends_the_worker_rather_than_losing_receipts() -> None:
    bench = Bench()

    async def full(ids: Sequence[int], at: int, receipt: str) -> None:
        raise OSError("disk full")

    bench.store.delivered = full  # type: ignore[method-assign]  # one call of a working fake is to fail
    bench.add("L1")
    with pytest.raises(OSError, match="disk full"):
        await asyncio.wait_for(bench.worker.run(), 5)


async def test_after_the_last_try_an_alert_is_a_dead_letter_that_says_so() -> None:
    bench = Bench(OutboxPolicy(freshness_s=None, max_attempts=3))
    bench.sink.behave = lambda deliveries: SinkBusy("HTTP 503")
    async with bench.running():
        bench.add("L1")
        await bench.pass_time(60)
    assert len(bench.sink.messages) == 3
    assert bench.store.dead_letters() == {"L1": "given up after 3 tries: HTTP 503"}
    assert bench.observer.count(Outcome.GIVEN_UP) == 1


async def test_after_ten_minutes_of_silence_a_receiver_gets_everything_once() -> None:
    bench = Bench(OutboxPolicy(freshness_s=None))
    bench.sink.behave = lambda deliveries: SinkBusy("HTTP 503")
    async with bench.running():
        for number in range(20):
            bench.add(f"L{number}")
            await bench.pass_time(30, step_s=1.0)
        bench.sink.behave = lambda deliveries: None
        await bench.pass_time(61, step_s=1.0)
    assert sorted(bench.store.told()) == sorted(f"L{number}" for number in range(20))
    assert bench.store.dead_letters() == {}


# Freshness, restarts, the end


async def test_an_alert_too_old_to_matter_is_not_sent_but_kept_as_a_dead_letter() -> None:
    bench = Bench(OutboxPolicy(freshness_s=900.0))
    bench.add("old")
    await bench.clock.advance(901)
    with capture_logs() as logs:
        async with bench.running():
            bench.add("new")
            await bench.pass_time(1)
    assert bench.store.told() == ["new"]
    assert bench.store.dead_letters() == {"old": STALE}
    assert bench.observer.count(Outcome.STALE) == 1
    assert any(entry["event"] == "alerts_not_sent" and entry["alerts"] == 1 for entry in logs)


async def test_a_message_cut_off_by_a_crash_is_sent_again_under_the_same_key() -> None:
    bench = Bench()
    bench.sink.takes_s = 5.0
    async with bench.running():
        bench.add("L1")
        await bench.pass_time(1)
    assert bench.store.told() == []
    bench.worker = bench.make_worker()
    async with bench.running():
        await bench.pass_time(6)
    assert bench.store.told() == ["L1"]
    assert [message[0].key for message in bench.sink.messages] == ["L1:robot"] * 2
    assert [message[0].attempt for message in bench.sink.messages] == [1, 2]


async def test_stopping_lets_the_present_message_end_and_begins_no_other() -> None:
    bench = Bench(OutboxPolicy())
    bench.sink.takes_s = 3.0
    bench.add("L1")
    bench.add("L2")
    task = asyncio.create_task(bench.worker.run())
    await bench.pass_time(1)
    bench.worker.stop()
    await bench.pass_time(2.5)
    assert task.done()
    task.result()
    assert len(bench.store.receipts) == len(bench.sink.messages) == 1


async def test_an_idle_worker_finds_rows_that_nobody_called_for() -> None:
    bench = Bench()
    async with bench.running():
        await bench.pass_time(1)
        bench.store.add("robot", an_alert("L1"), bench.clock.now())
        await bench.pass_time(31, step_s=1.0)
    assert bench.store.told() == ["L1"]


async def test_a_wecom_robot_that_fails_in_every_way_gets_the_lead_once_it_answers() -> None:
    """The whole way over real HTTP: worker, sink, server."""
    bench = Bench()
    ok = Reply(body=b'{"errcode":0,"errmsg":"ok"}')
    async with scripted_server(ok) as server, httpx.AsyncClient() as http:
        server.script.extend(
            [Failure.DROP, Reply(500), Reply(body=b'{"errcode":45009,"errmsg":"too often"}')]
        )
        context = SinkContext(
            sink="robot", clock=bench.clock, http=http, base_url="https://front.example", language="zh-CN"
        )
        bench.sink = wecom.SINK.open(WeComOptions(key="k", url=server.url), context)  # type: ignore[assignment]
        bench.worker = bench.make_worker()
        bench.add("L1")
        async with bench.running():
            for tries in range(1, 5):
                await server.until(tries)
                async with asyncio.timeout(10):
                    while len(bench.observer.outcomes) < tries:
                        await asyncio.sleep(0.001)
                await bench.pass_time(61, step_s=0.5) if tries < 4 else None
    assert bench.store.told() == ["L1"]
    assert len(server.requests) == 4
    assert bench.observer.outcomes == [(Outcome.BUSY, 1)] * 3 + [(Outcome.DELIVERED, 1)]
