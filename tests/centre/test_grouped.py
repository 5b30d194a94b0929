"""Leads whose group is found after they were made: engine, journal and lead centre together, and in a daemon at work."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from frontrow.app.lead_centre import database_url
from frontrow.app.parts import load_config
from frontrow.app.rebuilding import rebuild
from frontrow.clock import SystemClock
from frontrow.core.attic import MemoryAttic
from frontrow.core.centre.book import LeadRow
from frontrow.core.engine import Engine
from frontrow.core.events import Event, encode_event
from frontrow.runtime.access import Role
from frontrow.storage.centre.book import row_of, select_rows
from frontrow.storage.centre.database import open_database
from frontrow.storage.store import Commit, Store
from tests.app.test_desk import Person
from tests.centre.test_follower import Outcome, caught_up, decided, following, letters
from tests.core.test_crowd import frame_of, make, stream
from tests.support.daemons import running, write_config

SEED = 8  # of a broadcast in which five hired viewers are leads before anybody can know
CUT = 197


def written(path: Path, parts: Sequence[tuple[Engine, Sequence[Event]]], size: int) -> None:
    """Write the journal of a broadcast, each part through an engine, in frames of a size."""
    with contextlib.closing(Store.open(path)) as store:
        for engine, events in parts:
            for start in range(0, len(events), size):
                effects = engine.apply(frame_of(list(events[start : start + size])))
                store.append([
                    Commit(effects.kept, effects.leads, (), 0, effects.lead_positions, effects.grouped)
                ])  # fmt: skip


async def followed(path: Path, url: str) -> Outcome:
    """Return what follows from a journal."""
    async with following(path, url) as each:
        await caught_up(each)
    return decided(url), letters(path)


def leads_of(url: str) -> list[LeadRow]:
    engine = open_database(url)
    with engine.connect() as db:
        found = [row_of(LeadRow, row) for row in db.execute(select_rows(LeadRow))]
    engine.dispose()
    return found


async def test_the_same_leads_are_suspected_in_any_frames_and_after_a_start_from_a_snapshot(
    tmp_path: Path, new_database: Callable[[], str]
) -> None:
    events = stream(seed=SEED)
    urls = [new_database() for _ in range(3)]
    paths = [tmp_path / f"{number}.db" for number in range(3)]
    written(paths[0], [(make(), events)], 64)
    written(paths[1], [(make(), events)], 7)
    attic = MemoryAttic()
    before, after = make(attic), make(attic)
    written(paths[2], [(before, events[:CUT])], 20)
    images = before.images()
    meta = msgspec.json.decode(msgspec.json.encode(images["engine"].meta))
    after.load(images | {"engine": replace(images["engine"], meta=meta)})
    written(paths[2], [(after, events[CUT:])], 20)

    expected, *others = [await followed(*each) for each in zip(paths, urls, strict=True)]
    assert others == [expected, expected]
    found = leads_of(urls[0])
    suspected = [lead for lead in found if lead.faults]
    assert len(suspected) == 5 < len(found)
    assert {(lead.quality, *lead.faults) for lead in suspected} == {(0, "crowd")}


class MovedClock(SystemClock):
    """Waits in real time, while the wall clock stands where a test has put it."""

    def __init__(self, at: int) -> None:
        self.at = at

    def now(self) -> int:
        return self.at


POINTS = """
[points]
hot = 70
hot_leave = 70
"""


async def test_a_daemon_suspects_them_over_a_restart_and_a_rebuild_says_the_same(tmp_path: Path) -> None:
    """What an engine finds goes two ways to the lead centre: from memory while it keeps up, and out of the journal."""
    config = write_config(tmp_path, POINTS)
    events = stream(seed=SEED)
    clock = MovedClock(events[0].at)

    async def send(to: Sequence[Event]) -> None:
        for start in range(0, len(to), 20):
            part = to[start : start + 20]
            clock.at = part[-1].at
            answer = await up.ingest(b"\n".join(encode_event(each) for each in part))
            assert answer.json()["accepted"] == len(part), answer.text

    async with running(config, clock=clock) as up:
        await send(events[:CUT])
    async with running(config, clock=clock) as up:
        await send(events[CUT:])
        office = Person(up, None, Role.ADMIN)
        await office.do(
            await office.first_lead(), "note", note="all that came before is applied when this is answered"
        )
        told = (await office.get("/api/v1/cleaning?state=queued")).json()["tasks"]
        cards = {card["lead"]: card for card in await office.leads()}
        assert {task["reason"] for task in told} == {"suspected_spam"}
        asked = {task["lead"] for task in told}
        assert len(asked) >= 3
        assert {lead for lead, card in cards.items() if card["quality"] == "Q0"} == asked
        for lead in asked:
            timeline = (await office.get(f"/api/v1/leads/{lead}")).json()["timeline"]
            assert [line["data"]["sign"] for line in timeline if line["kind"] == "suspected"] == ["crowd"]

    loaded = load_config(config, {})
    url = database_url(loaded)
    before = decided(url)
    rebuild(loaded, now=clock.at, since="now", progress=lambda _done, _total: None)
    assert decided(url) == before
