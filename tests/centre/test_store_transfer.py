"""A store leaves the company: its leads go where the plan said, once, whatever dies in between, and come back if asked."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from frontrow.core.centre.book import Identity, LeadRow, RawLead, TimerRow
from frontrow.core.centre.centre import Centre
from frontrow.core.centre.organisation import OrgChange, Seller, Unit, change_data
from frontrow.core.centre.transfer import Plan, Target, TransferRefused, opening_data, step_data, undo_of
from frontrow.core.events import Event
from frontrow.core.ports import Receipt
from frontrow.runtime.transfers import MAX_LEADS, Preview, Transfers
from frontrow.storage.centre.book import TABLES
from frontrow.storage.centre.desk import Desk
from tests.support.centre import START, Scene, a_policy, place
from tests.support.clock import ManualClock

COMPANY = OrgChange(
    units=(
        Unit(id="east", kind="region"),
        *(Unit(id=store, kind="store", parent="east") for store in ("old", "hz", "nb")),
        *(Unit(id=f"{store}-t", kind="team", parent=store) for store in ("old", "hz", "nb")),
    ),
    sellers=tuple(
        Seller(id=f"{store}{number}", team=f"{store}-t", capacity=5_000)
        for store in ("old", "hz", "nb")
        for number in (1, 2)
    ),
)
ROOMS = a_policy(rooms=(place("r1", "old"), place("r2", "hz"), place("r3", "nb")), rules=())


class Killed(BaseException):
    """The process is gone, whatever it would have caught."""


class Journal:
    """A journal of one scene: it applies what it is given at once, and may die after so many events."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.seen: set[str] = set()
        self.dies_after: int | None = None
        self.now = START + 100

    async def put(self, events: Sequence[Event], feed: str) -> Receipt:
        for event in events:
            if self.dies_after == 0:
                raise Killed
            if self.dies_after is not None:
                self.dies_after -= 1
            if event.id not in self.seen:  # as the engine knows duplicates
                self.seen.add(event.id)
                self.now += 1
                self.scene.apply([replace_time(event, self.now)])
        return Receipt(accepted=len(events), duplicates=0)

    @property
    def centre(self) -> Centre:
        return self.scene.centre

    failing = False

    async def applied(self, seq: int) -> None:
        """It is applied when it is put."""

    async def tried(self, seq: int) -> bool:
        return True

    def transfers(self) -> Transfers:
        """As after a start: the centre is read anew from its database."""
        self.scene.centre = Centre(self.scene.book, ROOMS)
        self.scene.book.begin()
        self.scene.centre.load()
        self.scene.book.roll_back()
        return Transfers(
            reads=Desk(self.scene.engine), follows=self, put=self.put, journal_seq=lambda: 0,
            clock=ManualClock(self.now),
        )  # fmt: skip


def replace_time(event: Event, now: int) -> Event:
    import msgspec

    return msgspec.structs.replace(event, seen_at=now)


def carried_out(journal: Journal, plan: Plan, undoes: str | None = None) -> None:
    async def body() -> None:
        transfers = journal.transfers()
        await transfers.begin(plan, by="chen", undoes=undoes)
        await finish(transfers, plan)

    asyncio.run(body())


async def finish(transfers: Transfers, plan: Plan) -> None:
    running = asyncio.create_task(transfers.run())
    done = asyncio.create_task(transfers.finished(plan.id))
    await asyncio.wait((running, done), return_when=asyncio.FIRST_COMPLETED)
    for task in (running, done):
        if task.done():
            task.result()
        task.cancel()


def planned(journal: Journal, target: Target, store: str = "old") -> tuple[Plan, Preview]:
    return asyncio.run(journal.transfers().plan(store, target))


def where(scene: Scene) -> dict[str, tuple[Any, ...]]:
    """All that a transfer changes and an undo gives back, by lead."""
    return {
        row.lead: (row.store, row.team, row.holder, row.owner, row.status, row.merged_into, row.customer)
        for row in scene.rows(LeadRow)
    }


def history(scene: Scene) -> dict[str, tuple[Any, ...]]:
    """What the clock has measured, by lead."""
    return {
        row.lead: (
            row.created_at,
            row.hot_at,
            row.sla,
            row.responded_at,
            row.breached_at,
            row.breach,
            row.breaches,
        )
        for row in scene.rows(LeadRow)
    }


def many(scene: Scene, count: int) -> None:
    """Give the old store ``count`` leads in all states, every tenth customer also one in another store: copies of real ones."""
    scene.say("org_change", data=change_data(COMPANY))
    first, claimed, pooled = (scene.hot(f"v{number}", number) for number in range(3))
    scene.act("lead_assign", first, 10, data={"by": "chen", "seller": "old1"})
    scene.act("lead_claim", claimed, 10, seller="old2")
    scene.act("lead_touch", claimed, 11, seller="old2", data={"channel": "call", "direction": "out"})
    scene.act("lead_recycle", pooled, 11, data={"by": "chen", "reason": "busy"})
    there = scene.hot("v0", 20, room="r2", session="t")
    scene.act("lead_claim", there, 21, seller="hz1")
    closed = scene.hot("v1", 22, room="r3", session="u")
    scene.act("lead_claim", closed, 23, seller="nb1")
    scene.act("lead_outcome", closed, 24, seller="nb1", outcome="not_interested")
    found = {row.lead: row for row in scene.leads()}
    templates = [found[each.lead] for each in (first, claimed, pooled)]
    elsewhere = [found[there.lead], found[closed.lead]]
    raws = {raw.raw: raw for raw in scene.raws()}
    timers: dict[str, list[TimerRow]] = {}
    for timer in scene.rows(TimerRow):
        timers.setdefault(timer.lead, []).append(timer)
    made: dict[type[Any], list[Any]] = {LeadRow: [], RawLead: [], Identity: [], TimerRow: []}

    def copied(row: LeadRow, number: int, serial: int) -> None:
        raw = raws[row.raw]
        name, customer = f"{row.lead}-{serial}", f"C{number}"
        made[LeadRow].append(
            replace(row, lead=name, raw=f"{raw.raw}-{serial}", customer=customer, number=100 + serial)
        )
        made[RawLead].append(
            replace(raw, raw=f"{raw.raw}-{serial}", lead=name, customer=customer, viewer=f"w{number}")
        )
        made[TimerRow] += (replace(timer, lead=name) for timer in timers.get(row.lead, ()))

    serial = 0
    for number in range(count - len(templates)):
        serial += 1
        made[Identity].append(Identity("viewer:douyin", f"w{number}", f"C{number}", START))
        copied(templates[number % 3], number, serial)
        if number % 10 == 0:
            serial += 1
            copied(elsewhere[number // 10 % 2], number, serial)
    with scene.engine.begin() as db:
        for kind, rows in made.items():
            names = [column.name for column in TABLES[kind].columns]
            db.execute(
                sa.insert(TABLES[kind]), [{name: getattr(row, name) for name in names} for row in rows]
            )


@pytest.mark.parametrize(
    "count", [500, pytest.param(5_000, marks=(pytest.mark.long, pytest.mark.timeout(300)))]
)
def test_all_open_leads_go_as_the_dry_run_said_through_a_crash_and_come_back(count: int) -> None:
    scene = Scene(ROOMS, None)
    many(scene, count)
    journal = Journal(scene)
    before, measured = where(scene), history(scene)
    at_old = {lead for lead, (store, *_, merged, _) in before.items() if store == "old" and merged is None}
    assert len(at_old) == count
    plan, preview = planned(journal, Target(how="share", shares={"hz": 2, "nb": 1}))
    assert where(scene) == before, "a dry run changes nothing"
    assert preview.leads == count

    async def killed_in_the_middle() -> None:
        transfers = journal.transfers()
        await transfers.begin(plan, by="chen")
        journal.dies_after = len(plan.steps) // 2
        with pytest.raises(Killed):
            await finish(transfers, plan)
        journal.dies_after = None

    asyncio.run(killed_in_the_middle())
    half = where(scene)
    assert 0 < sum(half[lead][0] == "old" for lead in at_old) < count

    asyncio.run(finish(journal.transfers(), plan))
    after = where(scene)
    run = scene.centre.transfers[plan.id]
    assert (run.moved, run.passed, run.finished) == (count, 0, True)
    assert set(after) == set(before), "none is lost"
    assert Counter(after[lead][0] for lead in at_old) == Counter(
        {store: got.moved for store, got in preview.stores.items()}
    )
    for move in plan.moves:
        place_, holder = after[move.lead][0], after[move.lead][2]
        assert place_ == move.after.store
        if move.merge is None:
            assert (after[move.lead][1], holder) == (move.after.team, move.after.seller)
    unique = Counter((customer, store) for store, *_, merged, customer in after.values() if merged is None)
    assert max(unique.values()) == 1, "none is there twice"
    assert sum(after[lead][5] is not None for lead in after) == preview.merged
    assert history(scene) == measured, "what the clock has measured stays"

    loads = Counter(row.holder for row in scene.leads() if row.holder and row.closed_at is None)
    assert scene.centre._turns.open == dict(loads)

    carried_out(journal, undo_of(plan, run.done), undoes=plan.id)
    assert where(scene) == before
    assert history(scene) == measured
    assert scene.centre.transfers[plan.id].undone_by is not None


def small() -> tuple[Scene, Journal]:
    scene = Scene(ROOMS, None)
    scene.say("org_change", data=change_data(COMPANY))
    return scene, Journal(scene)


def test_what_is_told_twice_is_done_once() -> None:
    scene, journal = small()
    for number in range(5):
        scene.hot(f"v{number}", number)
    plan, _ = planned(journal, Target(how="region"))
    carried_out(journal, plan)
    once = scene.dump()
    scene.say("store_transfer", 200, data=step_data(plan.steps[0]))
    assert scene.dump() == once


def test_a_lead_that_was_won_meanwhile_stays_with_who_won_it() -> None:
    scene, journal = small()
    one, other = scene.hot("a"), scene.hot("b", 1)
    scene.act("lead_claim", one, 2, seller="old1")
    plan, _ = planned(journal, Target(how="store", store="hz"))
    scene.act("lead_outcome", one, 3, seller="old1", outcome="won")
    carried_out(journal, plan)
    assert (scene.lead(one.lead).store, scene.lead(one.lead).owner) == ("old", "old1")
    assert scene.lead(other.lead).store == "hz"
    run = scene.centre.transfers[plan.id]
    assert (run.moved, run.passed) == (1, 1)


def test_a_lead_that_is_followed_goes_on_though_the_customers_lead_there_is_lost() -> None:
    scene, journal = small()
    lost = scene.hot("v", room="r2", session="t")
    scene.act("lead_claim", lost, 1, seller="hz1")
    scene.act("lead_outcome", lost, 2, seller="hz1", outcome="not_interested")
    followed = scene.hot("v", 3)
    scene.act("lead_claim", followed, 4, seller="old1")
    before = where(scene)
    plan, preview = planned(journal, Target(how="store", store="hz"))
    assert preview.merged == 1
    carried_out(journal, plan)
    row = scene.lead(followed.lead)
    assert (row.store, row.status, row.merged_into) == ("hz", "following", None)
    assert row.owner in ("hz1", "hz2")
    assert scene.lead(lost.lead).merged_into == row.lead
    carried_out(journal, undo_of(plan, {1}), undoes=plan.id)
    assert where(scene) == before


def test_leads_that_were_one_customers_before_go_along_and_part_as_ever() -> None:
    scene, journal = small()
    scene.hot("a")
    scene.hot("b", 1)
    a, b = ({"kind": "viewer:douyin", "key": name} for name in "ab")
    scene.say("identity_link", 2, id="l", data={"a": a, "b": b, "source": "crm", "confidence": 1.0})
    plan, preview = planned(journal, Target(how="store", store="hz"))
    assert preview.leads == 1
    carried_out(journal, plan)
    scene.say("identity_unlink", 200, data={"link": "frontrow/centre/l", "by": "chen", "reason": "no"})
    assert [row.store for row in scene.leads()] == ["hz", "hz"]
    assert len(scene.rows(LeadRow)) == 2


def test_who_gets_leads_is_told_and_nobody_else() -> None:
    scene, journal = small()
    lead = scene.hot("v")
    scene.act("lead_claim", lead, 1, seller="old1")
    since = len(scene.told)
    plan, _ = planned(journal, Target(how="store", store="hz"))
    carried_out(journal, plan)
    row = scene.lead(lead.lead)
    assert [(each.to, each.purpose) for each in scene.told[since:] if each.to] == [(row.owner, "todo")]
    last = scene.timeline(lead)[-1]
    assert (last.kind, last.actor) == ("store_transfer", "chen")
    assert (last.data["from"], last.data["to"], last.data["seller"]) == ("old", "hz", row.owner)


def test_an_undo_of_what_is_half_done_stops_the_rest() -> None:
    scene, journal = small()
    leads = [scene.hot(f"v{number}", number) for number in range(3)]
    plan, _ = planned(journal, Target(how="store", store="hz"))
    scene.say("store_transfer", 100, data=opening_data(plan, by="chen"))
    back = undo_of(plan, ())
    scene.say("store_transfer", 101, data=opening_data(back, by="chen", undoes=plan.id))
    scene.say("store_transfer", 102, data=step_data(plan.steps[0]))
    assert {scene.lead(each.lead).store for each in leads} == {"old"}
    assert scene.centre.transfers[plan.id].finished


def test_a_room_of_a_store_that_has_left_gives_its_leads_by_the_rules() -> None:
    scene, _ = small()
    end = Unit(id="old", kind="store", parent="east", from_at=0, to_at=START + 10)
    scene.say("org_change", data=change_data(OrgChange(units=(end,))))
    assert scene.hot("v", 5).store == "old"
    assert scene.hot("w", 20).store == ""


def test_what_cannot_be_done_is_refused_in_words() -> None:
    scene, journal = small()
    with pytest.raises(TransferRefused, match="no store nowhere"):
        planned(journal, Target(how="store", store="nowhere"))
    empty, _ = planned(journal, Target(how="region"))
    with pytest.raises(TransferRefused, match="nothing to transfer"):
        carried_out(journal, empty)
    with pytest.raises(TransferRefused, match="no transfer T1"):
        asyncio.run(journal.transfers().undoing("T1"))
    assert MAX_LEADS >= 5_000
    scene.close()


def test_a_database_that_is_away_is_asked_again() -> None:
    scene, journal = small()
    lead = scene.hot("v")
    plan, _ = planned(journal, Target(how="store", store="hz"))

    async def body() -> None:
        clock = ManualClock(journal.now)
        transfers = journal.transfers()
        transfers._clock = clock
        reads, transfers._reads = transfers._reads, Away()
        await transfers.begin(plan, by="chen")
        running = asyncio.create_task(transfers.run())
        await clock.until_sleeping()
        assert scene.lead(lead.lead).store == "old"
        transfers._reads = reads
        await clock.advance(5)
        await asyncio.wait_for(transfers.finished(plan.id), 10)
        running.cancel()

    asyncio.run(body())
    assert scene.lead(lead.lead).store == "hz"


class Away:
    """A database that does not answer."""

    def to_transfer(self, store: str, *, limit: int) -> Any:
        raise ConnectionError

    def plan(self, plan: str) -> Plan | None:
        raise ConnectionError
