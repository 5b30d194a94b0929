"""Carries out the transfer of a store's leads: plans it, journals it step by step, goes on where it was left, and takes it back.

All of it is in the journal: the first event holds the plan, each further one is a step. So a daemon that dies in
between goes on with the steps that are missing, and a step is done once. Between two steps the lead centre applies
whatever else has come, so new leads do not wait for a store's thousands.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import structlog
from msgspec import Struct

from frontrow.core.centre.centre import KEPT_MS, PLATFORM, ROOM
from frontrow.core.centre.transfer import (
    OpenLead,
    Plan,
    Run,
    Stays,
    Sum,
    Target,
    TransferRefused,
    opening_data,
    overview,
    plan_transfer,
    remaining,
    step_data,
    undo_of,
)
from frontrow.core.events import Event
from frontrow.core.ports import Clock, Receipt
from frontrow.runtime.applying import Follows, until_applied

MAX_LEADS = 20_000  # of one plan, whose event is then some 6 MB; what is left is planned when that is done
FEED = "transfer"
SHOWN = 50  # of the leads that stay and of the sellers that get some, in an answer
APPLIED_WITHIN_S = 60.0
RETRY_S = 5.0  # after the lead centre's database was away

log = structlog.get_logger(__name__)


class Leaving(Protocol):
    """What a plan needs to know, as of one moment: see :func:`frontrow.core.centre.transfer.plan_transfer`."""

    @property
    def leads(self) -> Sequence[OpenLead]: ...
    @property
    def more(self) -> bool:
        """Whether the store has more leads than were asked for."""

    @property
    def present(self) -> Mapping[tuple[str, str], OpenLead]: ...
    @property
    def loads(self) -> Mapping[str, int]: ...


class Reads(Protocol):
    """The lead centre's database; each call may wait for a disk."""

    def to_transfer(self, store: str, *, limit: int) -> Leaving: ...
    def plan(self, plan: str) -> Plan | None: ...


class Preview(Struct, frozen=True, kw_only=True):
    """What a plan comes to. ``merged`` of ``leads`` join one that their customer has there already.

    ``stores`` and ``sellers`` are what each gets ("" waits in a team's pool). ``more``: the store has more leads than
    one plan takes; carry it out, and plan again. ``undoes`` is the plan that this one takes back.
    """

    plan: str
    store: str
    leads: int
    merged: int
    steps: int
    stores: dict[str, Sum]
    sellers: dict[str, Sum]
    staying: tuple[Stays, ...] = ()
    more: bool = False
    undoes: str | None = None


class Transfers:
    """Plans and carries out transfers. For the event loop's thread; :meth:`run` until it is cancelled."""

    def __init__(
        self,
        *,
        reads: Reads,
        follows: Follows,
        put: Callable[[Sequence[Event], str], Awaitable[Receipt]],
        journal_seq: Callable[[], int],
        clock: Clock,
    ) -> None:
        """``put`` journals events and is done when they are durable; ``journal_seq`` is then the number of a frame not before theirs."""
        self._reads = reads
        self._follows = follows
        self._put = put
        self._journal_seq = journal_seq
        self._clock = clock
        self._wake = asyncio.Event()
        self._wake.set()  # there may be one that was left unfinished
        self._settled = asyncio.Event()

    @property
    def runs(self) -> Sequence[Run]:
        """What was begun in the last thirty days, the latest first."""
        return sorted(self._follows.centre.transfers.values(), key=lambda run: (-run.at, run.plan))

    async def plan(self, store: str, target: Target) -> tuple[Plan, Preview]:
        """Return where the open leads of a store would go now.

        Raises:
            TransferRefused: The target cannot take them; says why.
        """
        leaving = await asyncio.to_thread(self._reads.to_transfer, store, limit=MAX_LEADS)
        plan = await asyncio.to_thread(
            plan_transfer,
            leaving.leads,
            store=store,
            target=target,
            organisation=self._follows.centre.organisation,
            at=self._clock.now(),
            present=leaving.present,
            loads=leaving.loads,
        )
        return plan, _preview(plan, more=leaving.more)

    async def undoing(self, plan: str) -> tuple[Plan, Preview]:
        """Return the plan that takes back what was done of another.

        Raises:
            TransferRefused: There is none, it is too old, or it was taken back already.
        """
        run = self._follows.centre.transfers.get(plan)
        content = None if run is None else await asyncio.to_thread(self._reads.plan, plan)
        if run is None or content is None or self._clock.now() - run.at > KEPT_MS:
            raise TransferRefused(f"there is no transfer {plan} of the last {KEPT_MS // 86_400_000} days")
        if run.undone_by is not None:
            raise TransferRefused(f"transfer {plan} was taken back already, by {run.undone_by}")
        back = undo_of(content, run.done)
        return back, _preview(back, undoes=plan)

    async def begin(self, plan: Plan, *, by: str, undoes: str | None = None) -> Run:
        """Journal a plan, and let :meth:`run` carry it out; done when the plan is durable and known.

        Raises:
            TransferRefused: Another one of the same store is under way, or there is nothing to do.
            NotApplied: It is journalled, and the centre's database is away.
        """
        if not plan.steps:
            raise TransferRefused(
                f"there is nothing to transfer: no open lead of {plan.store} has anywhere to go"
            )
        busy = [
            run.plan
            for run in self.runs
            if run.store == plan.store and not run.finished and run.plan != undoes
        ]
        if busy:
            raise TransferRefused(f"transfer {busy[0]} of store {plan.store} is not finished yet")
        now = self._clock.now()
        await self._journal(f"transfer-{plan.id}-0-{now}", now, opening_data(plan, by=by, undoes=undoes))
        self._wake.set()
        return self._follows.centre.transfers[plan.id]

    async def finished(self, plan: str) -> Run:
        """Return a run when nothing of it is left to be done.

        Raises:
            KeyError: There is no such run.
        """
        while not (run := self._follows.centre.transfers[plan]).finished:
            self._settled.clear()
            await self._settled.wait()
        return run

    async def run(self) -> None:
        """Carry out what was begun, the oldest first, now and whenever there is something."""
        await self._follows.applied(0)  # else nobody knows yet what was begun
        while True:
            await self._wake.wait()
            self._wake.clear()
            for run in reversed(self.runs):
                while not self._follows.centre.transfers[run.plan].finished:
                    try:
                        await self._carry_out(run)
                    except (
                        Exception
                    ) as error:  # the database is away; the journal has what was done, and leads go on
                        log.exception(
                            "transfer_waits", plan=run.plan, error=type(error).__name__, retry_in_s=RETRY_S
                        )
                        await self._clock.sleep(RETRY_S)

    async def _carry_out(self, run: Run) -> None:
        content = await asyncio.to_thread(self._reads.plan, run.plan)
        if content is None:
            raise LookupError(run.plan)  # it is written with the run, and stays for as long
        for step in remaining(content, run.done):
            if self._follows.centre.transfers[run.plan].undone_by is not None:
                break
            # With the run's own name: what a crash has left unsure is asked for again and is done once.
            await self._journal(
                f"transfer-{run.plan}-{step.number}-{run.at}", self._clock.now(), step_data(step)
            )
        done = self._follows.centre.transfers[run.plan]
        log.info("transfer_done", plan=done.plan, store=done.store, moved=done.moved, passed=done.passed)
        self._settled.set()

    async def _journal(self, id: str, at: int, data: dict[str, object]) -> None:
        event = Event(id=id, platform=PLATFORM, room=ROOM, kind="store_transfer", at=at, data=data)
        await self._put([event], FEED)
        await until_applied(self._follows, self._journal_seq(), APPLIED_WITHIN_S)


def _preview(plan: Plan, *, more: bool = False, undoes: str | None = None) -> Preview:
    return Preview(
        plan=plan.id,
        store=plan.store,
        leads=len(plan.moves),
        merged=sum(move.merge is not None for move in plan.moves),
        steps=len(plan.steps),
        stores=overview(plan),
        sellers=overview(plan, "seller"),
        staying=plan.staying[:SHOWN],
        more=more,
        undoes=undoes,
    )
