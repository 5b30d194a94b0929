"""Brings alerts from the outbox to one receiver: the owner of retries, budget, digests and dead letters.

One worker for each sink and nothing shared between them, so a dead sink slows nobody. The rules:

* *At least once.* A message is noted in the store before it is sent, and its alerts are delivered when the sink says
  so. After a crash in between they are sent again, under the same key.
* *Budget.* Never more messages in any 60 s than the receiver takes, restarts included; see
  :mod:`frontrow.runtime.budget`. When more alerts wait than may go singly, they go as digests, hottest first.
* *Trouble is the sink's until shown otherwise.* After a failure the whole sink rests (jittered, doubling, at most
  :data:`LONGEST_REST_S`, or what the receiver asks for), and the alerts of the failed message wait at least as long.
  Alerts that were tried less often go first, and the digest after a failure is half as large, so one alert that the
  receiver chokes on is soon alone and holds up nobody.
* *Refused* digests come again in halves; a refused single alert goes to the dead letters.
* *Freshness.* An alert that has waited longer than ``freshness_s`` is worse than none: someone would call a viewer who
  has left. It goes to the dead letters as "stale", never out, singly or in a digest, and is logged and counted. The
  lead itself stays on every panel. Receivers that are programs (a CRM) have no limit: None. What a person sends again
  is fresh from then on.
* *One person's share.* Where a receiver limits what one person gets (WeCom: 30 a minute, silently), what is too much for
  them waits, and nobody else does.
"""

import asyncio
import math
import random
import traceback
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import PurePath
from typing import Any, Protocol

import structlog

from frontrow.core.alerts import Delivery, LeadAlert, heat
from frontrow.core.errors import SinkBusy, SinkRefused
from frontrow.core.ports import Clock, Sink
from frontrow.runtime.budget import WINDOW_S, Budget

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0  # of an alert between two tries
LONGEST_REST_S = 30.0  # of a sink in trouble: how late its recovery is seen at worst
LONGEST_IDLE_S = 30.0  # looks again even if nobody called: a net under missed calls and clocks that were set
SHORTEST_IDLE_S = 0.05
FETCH = 256  # rows looked at in one step; more than any digest, and the rest waits in the store
MAX_RECEIPT = 128  # characters of the id that a receiver gives a message

STALE = "stale"

log = structlog.get_logger(__name__)


class Outcome(StrEnum):
    """What became of an alert in one try; the metric's label."""

    DELIVERED = "delivered"  # singly
    DIGESTED = "digested"  # delivered within a digest
    BUSY = "busy"  # will be tried again
    FAILED = "failed"  # a bug of the sink; will be tried again
    REFUSED = "refused"  # a single one: a dead letter; in a digest: tried again in a smaller one
    STALE = "stale"  # a dead letter
    GIVEN_UP = "given_up"  # a dead letter after the last try


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One alert for one sink. ``attempts`` counts the messages that were begun with it; times are UTC milliseconds.

    ``created_at`` is when it was stored, or when a person asked that it be sent again.
    """

    id: int
    sink: str
    key: str
    alert: LeadAlert
    created_at: int
    attempts: int = 0


class OutboxStore(Protocol):
    """Where the outbox is kept. Every call is durable when it returns. A failure of the store ends the worker.

    Times are UTC milliseconds. A row is pending until it is delivered or dead; calls on other rows change nothing.
    """

    async def due(self, sink: str, now: int, limit: int) -> list[OutboxRow]:
        """Return pending rows whose ``due_at`` is not after ``now``, oldest first, at most ``limit``."""

    async def next_due(self, sink: str) -> int | None:
        """Return the earliest ``due_at`` of the pending rows, or None if nothing is pending."""

    async def begun(self, sink: str, ids: Sequence[int], at: int) -> None:
        """Note that one message with these rows is about to be sent: one more attempt of each, one more message."""

    async def begun_since(self, sink: str, since: int) -> list[int]:
        """Return the times of the messages begun at ``since`` or later; older notes may be forgotten."""

    async def told_since(self, sink: str, since: int) -> list[tuple[str, int]]:
        """Return to whom (``to.seller``) messages were delivered at ``since`` or later, and when."""

    async def delivered(self, ids: Sequence[int], at: int, receipt: str) -> None:
        """Keep the receipt: the receiver has taken these, and gave them this id, or none ("")."""

    async def postpone(self, ids: Sequence[int], due_at: int, error: str) -> None:
        """Let these wait until ``due_at`` and keep why."""

    async def dead(self, ids: Sequence[int], at: int, error: str) -> None:
        """Move these to the dead letters with the reason; they are kept, and never due again by themselves."""


class OutboxObserver(Protocol):
    """Who counts. Neither call may raise or wait."""

    def outcome(self, sink: str, outcome: Outcome, alerts: int) -> None:
        """So many alerts had this outcome."""

    def latency(self, sink: str, seconds: float) -> None:
        """One alert was delivered so long after it had been stored."""


@dataclass(frozen=True, kw_only=True)
class OutboxPolicy:
    """How one sink is served. The limits (None: none) and ``digest_size`` come from the sink's kind.

    ``per_member`` is how many messages a minute one person takes; such a sink knows no digest.

    ``max_attempts`` bounds how often an alert is tried where freshness does not; 50 are about 40 minutes.
    """

    per_minute: int | None = None
    per_second: int | None = None
    per_member: int | None = None
    digest_size: int = 1
    freshness_s: float | None = 900.0
    max_attempts: int = 50
    deliver_timeout_s: float = 10.0


class OutboxWorker:
    """Serves one sink until it is cancelled, or until :meth:`stop` has let the present message end."""

    def __init__(
        self,
        store: OutboxStore,
        sink: Sink,
        name: str,
        policy: OutboxPolicy,
        *,
        clock: Clock,
        rng: random.Random,
        observer: OutboxObserver,
    ) -> None:
        self._store = store
        self._sink = sink
        self._name = name
        self._policy = policy
        self._clock = clock
        self._rng = rng
        self._observer = observer
        self._budget = Budget(policy.per_minute, per_second=policy.per_second)
        self._members: dict[str, Budget] = {}  # at most the sellers of the organisation
        self._called = asyncio.Event()
        self._stopping = False
        self._troubles = 0  # messages in a row that were not taken
        self._rests_until = 0.0  # monotonic
        self._largest = policy.digest_size

    def notify(self) -> None:
        """Say that rows were committed; cheap, and may be called at any time from the loop's thread."""
        self._called.set()

    def stop(self) -> None:
        """Let :meth:`run` return after the message that is being sent now, at most ``deliver_timeout_s`` later."""
        self._stopping = True
        self._called.set()

    async def run(self) -> None:
        """Serve the sink. Never ends by a failure of the sink; a failure of the store passes through."""
        await self._recall_budget()
        while not self._stopping:
            self._called.clear()
            wait_s = await self._step()
            if wait_s > 0:
                await self._finished_within(self._called.wait(), wait_s)

    async def _recall_budget(self) -> None:
        """Book what was sent before a restart, each message at the latest moment at which it may have arrived.

        Stored times are of the wall clock, which may have been set since: the future counts as now.
        """
        now, monotonic = self._clock.now(), self._clock.monotonic()
        longest_s = WINDOW_S + self._policy.deliver_timeout_s
        begun = await self._store.begun_since(self._name, now - int(longest_s * 1_000))
        ages = ((now - at) / 1_000 - self._policy.deliver_timeout_s for at in begun)
        self._budget = Budget(
            self._policy.per_minute,
            per_second=self._policy.per_second,
            spent=[monotonic - max(0.0, age) for age in ages],
        )
        if self._policy.per_member is not None:
            for seller, at in await self._store.told_since(self._name, now - int(WINDOW_S * 1_000)):
                self._member(seller).book(monotonic - max(0.0, (now - at) / 1_000))

    async def _step(self) -> float:
        """Do one thing, if one can be done, and return how many seconds to wait for the next, unless called."""
        monotonic = self._clock.monotonic()
        earliest = max(self._rests_until, self._budget.opens_at(monotonic, full=True))
        if earliest > monotonic:
            return earliest - monotonic
        now = self._clock.now()
        rows = await self._store.due(self._name, now, FETCH)
        stale = [row for row in rows if self._is_stale(row, now)]
        if stale:
            await self._bury(stale, STALE, Outcome.STALE)
            return 0.0
        if not rows:
            return await self._idle_s(now)
        if await self._held_back(rows, now, monotonic):
            return 0.0
        opens_at = self._budget.opens_at(monotonic, full=len(rows) >= self._largest)
        if opens_at > monotonic:
            return opens_at - monotonic
        await self._send(self._chosen(rows, self._budget.free(monotonic)))
        return 0.0

    async def _idle_s(self, now: int) -> float:
        next_due = await self._store.next_due(self._name)
        if next_due is None:
            return LONGEST_IDLE_S
        return min(LONGEST_IDLE_S, max(SHORTEST_IDLE_S, (next_due - now) / 1_000))

    def _is_stale(self, row: OutboxRow, now: int) -> bool:
        limit_s = self._policy.freshness_s
        return limit_s is not None and now - row.created_at > limit_s * 1_000

    async def _held_back(self, rows: Sequence[OutboxRow], now: int, monotonic: float) -> bool:
        """Let what is too much for one person wait until they take more, and return whether there was any."""
        if self._policy.per_member is None:
            return False
        waiting: dict[str, list[int]] = {}
        for row in rows:
            if row.alert.to is not None and self._member(row.alert.to.seller).left(monotonic) == 0:
                waiting.setdefault(row.alert.to.seller, []).append(row.id)
        for seller, ids in waiting.items():
            wait_s = self._member(seller).opens_at(monotonic, full=True) - monotonic
            reason = f"this person has had {self._policy.per_member} messages within a minute"
            await self._store.postpone(ids, now + math.ceil(wait_s * 1_000), reason)
        return bool(waiting)

    def _member(self, seller: str) -> Budget:
        return self._members.setdefault(seller, Budget(self._policy.per_member))

    def _chosen(self, rows: Sequence[OutboxRow], free: int | None) -> list[OutboxRow]:
        """Return the rows of the next message: one, if all may go singly, else as many as a digest holds."""
        ordered = sorted(rows, key=lambda row: heat(row.alert), reverse=True)
        ordered.sort(key=lambda row: row.attempts)  # stable: hottest first among those tried as often
        singly = free is None or len(rows) <= free
        return ordered[: 1 if singly else self._largest]

    async def _send(self, rows: Sequence[OutboxRow]) -> None:
        await self._store.begun(self._name, [row.id for row in rows], self._clock.now())
        rows = [replace(row, attempts=row.attempts + 1) for row in rows]
        try:
            receipt = await self._deliver([Delivery(row.key, row.alert, row.attempts) for row in rows])
        except SinkBusy as error:
            # Who says when to come again has a limit, and would not like twice the messages of half the size.
            self._note_trouble(error.reason, len(rows), halve=error.retry_after_s is None)
            self._rest(self._backoff(self._troubles, LONGEST_REST_S), asked_s=error.retry_after_s)
            await self._postpone(rows, error.reason, Outcome.BUSY)
        except SinkRefused as error:
            self._note_trouble(error.reason, len(rows), halve=True)
            # A first refusal is taken for this message's own fault, more in a row for the receiver's.
            self._rest(self._backoff(self._troubles - 1, LONGEST_REST_S))
            await self._refused(rows, error.reason)
        except Exception as error:  # noqa: BLE001  # a bug of the sink must not end the worker
            # The error's text is not logged, so `log.exception` will not do: it may hold a viewer's words.
            log.error("sink_bug", sink=self._name, error=type(error).__name__, at=_places(error))
            reason = f"internal error ({type(error).__name__})"
            self._note_trouble(reason, len(rows), halve=True)
            self._rest(self._backoff(self._troubles, LONGEST_REST_S))
            await self._postpone(rows, reason, Outcome.FAILED)
        else:
            self._note_success()
            await self._receipt(rows, receipt)

    async def _deliver(self, deliveries: Sequence[Delivery]) -> str:
        timeout_s = self._policy.deliver_timeout_s
        receipt: str | None = None

        async def deliver() -> None:
            nonlocal receipt
            receipt = await self._sink.deliver(deliveries)

        try:
            if not await self._finished_within(deliver(), timeout_s):
                raise SinkBusy(f"no answer within {timeout_s:g} s")
        finally:
            ended = self._clock.monotonic()
            self._budget.book(ended)
            for seller in {each.alert.to.seller for each in deliveries if each.alert.to is not None}:
                self._member(seller).book(ended)
        return "".join(filter(str.isprintable, receipt or ""))[:MAX_RECEIPT]

    async def _receipt(self, rows: Sequence[OutboxRow], receipt: str) -> None:
        now = self._clock.now()
        await self._store.delivered([row.id for row in rows], now, receipt)
        self._observer.outcome(
            self._name, Outcome.DELIVERED if len(rows) == 1 else Outcome.DIGESTED, len(rows)
        )
        for row in rows:
            self._observer.latency(self._name, max(0.0, (now - row.created_at) / 1_000))

    async def _refused(self, rows: Sequence[OutboxRow], reason: str) -> None:
        if len(rows) == 1:
            await self._bury(rows, reason, Outcome.REFUSED)
        else:
            await self._postpone(rows, reason, Outcome.REFUSED)

    async def _postpone(self, rows: Sequence[OutboxRow], reason: str, outcome: Outcome) -> None:
        last_try = [row for row in rows if row.attempts >= self._policy.max_attempts]
        again = [row for row in rows if row.attempts < self._policy.max_attempts]
        if last_try:
            tries = self._policy.max_attempts
            await self._bury(last_try, f"given up after {tries} tries: {reason}", Outcome.GIVEN_UP)
        if again:
            wait_s = self._rests_until - self._clock.monotonic()
            if outcome is not Outcome.REFUSED:  # a refused digest comes again as soon as it is smaller
                wait_s = max(wait_s, self._backoff(max(row.attempts for row in again), LONGEST_WAIT_S))
            due_at = self._clock.now() + math.ceil(max(0.0, wait_s) * 1_000)
            await self._store.postpone([row.id for row in again], due_at, reason)
            self._observer.outcome(self._name, outcome, len(again))

    async def _bury(self, rows: Sequence[OutboxRow], reason: str, outcome: Outcome) -> None:
        await self._store.dead([row.id for row in rows], self._clock.now(), reason)
        self._observer.outcome(self._name, outcome, len(rows))
        log.warning("alerts_not_sent", sink=self._name, alerts=len(rows), reason=reason)

    def _note_trouble(self, reason: str, size: int, *, halve: bool) -> None:
        self._troubles += 1
        if halve:
            self._largest = max(1, size // 2)
        if self._troubles == 1:  # said once when the state changes, not on every try
            log.warning("sink_trouble", sink=self._name, reason=reason)

    def _note_success(self) -> None:
        if self._troubles:
            log.info("sink_recovered", sink=self._name, after=self._troubles)
        self._troubles = 0
        # Doubled, not reset: the alert that the receiver choked on may be in the next digest.
        self._largest = min(self._policy.digest_size, self._largest * 2)

    def _rest(self, seconds: float, *, asked_s: float | None = None) -> None:
        self._rests_until = self._clock.monotonic() + (seconds if asked_s is None else asked_s)

    def _backoff(self, failures: int, longest_s: float) -> float:
        """Return the seconds to wait after so many failures: doubling, from half to all of it at random."""
        if failures < 1:
            return 0.0
        ceiling_s = min(longest_s, FIRST_WAIT_S * 2.0 ** min(failures - 1, 16))
        return ceiling_s * self._rng.uniform(0.5, 1.0)

    async def _finished_within(self, work: Coroutine[Any, Any, Any], seconds: float) -> bool:
        """Run ``work`` for at most so long by our clock and return whether it ended; its error passes through.

        ``asyncio.timeout`` would read the loop's clock, and a task group would wrap the error. Both tasks end here,
        whatever happens.
        """
        working = asyncio.create_task(work, name=f"outbox:{self._name}:work")
        timer = asyncio.create_task(self._clock.sleep(seconds), name=f"outbox:{self._name}:timer")
        try:
            await asyncio.wait({working, timer}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                return False
            if working.cancelled():
                # By itself, for nobody here did; it must not look like our own cancelling.
                raise SinkBusy("the sink broke off")
            working.result()
            return True
        finally:
            working.cancel()
            timer.cancel()
            await asyncio.gather(working, timer, return_exceptions=True)


def _places(error: BaseException) -> list[str]:
    """Return where an error came from, innermost last, without its text and without paths of this machine."""
    frames = traceback.extract_tb(error.__traceback__)[-5:]
    return [f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
