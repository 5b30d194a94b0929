"""What has been kept for long enough leaves the lead centre's database too, each part at its time, however often it is looked for."""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog.testing

from frontrow.app.retaining import EVERY_S, PAUSE_S, Sweeping
from frontrow.core.centre.book import Contact, LeadRow
from frontrow.core.centre.erasing import CONTACTS, NAMES, TEXTS
from frontrow.core.events import Event
from frontrow.core.frames import Frame
from frontrow.core.leads import Lead
from frontrow.storage.centre.sweeping import _KEPT, _oldest, overdue, sweep, sweep_all
from frontrow.storage.store import Commit
from tests.centre.test_follower import Following, caught_up, configured, following, journal, rebuilt
from tests.support.centre import START, Scene, hot_lead
from tests.support.clock import ManualClock

DAY_MS = 86_400_000
PARTS = (NAMES, TEXTS, CONTACTS)


@pytest.fixture
def scene(database: str) -> Iterator[Scene]:
    with closing(Scene(url=database)) as found:
        yield found


def said(scene: Scene, viewer: str, at: int, name: str | None = None, **fields: Any) -> LeadRow:
    """Let a viewer who says something turn hot, and return the lead that this went into."""
    raw = hot_lead(viewer, START + at, session=f"s{at}", **fields)
    event = scene.event(
        "comment", at, platform="douyin", room="r1", viewer=viewer, name=name or viewer, text=f"{viewer} {at}"
    )
    scene.apply([event], [raw])
    return scene.lead(scene.raw(raw.lead).lead)


def before(at: int, *parts: str) -> dict[str, int]:
    """What is older than ``at`` goes, of these parts or of all."""
    return dict.fromkeys(parts or PARTS, START + at)


def swept(scene: Scene, at: int, *parts: str) -> dict[str, int]:
    """Sweep until nothing is left, and return how many rows each part was taken of."""
    found: dict[str, int] = {}
    for taken in sweep_all(scene.engine, before(at, *parts)):
        for part, rows in taken.items():
            found[part] = found.get(part, 0) + rows
    return found


def test_each_part_goes_at_its_time_and_nothing_else_does(scene: Scene) -> None:
    old = said(scene, "old", 0, "旧客")
    scene.form("old", "1", DAY_MS)
    scene.act("lead_note", old, DAY_MS, seller="li", note="想要三件")
    new = said(scene, "new", 9 * DAY_MS, "新客")
    scene.act("lead_note", new, 10 * DAY_MS, seller="li", note="问价")
    old, kept = scene.lead(old.lead), scene.lead(new.lead)
    assert old.masked and old.name and old.words
    assert swept(scene, 5 * DAY_MS, NAMES) == {NAMES: 1}
    assert (scene.lead(old.lead).name, scene.lead(old.lead).words) == (None, old.words)
    assert [raw.name for raw in sorted(scene.raws(), key=lambda raw: raw.decided_at)] == [
        None,
        None,
        kept.name,
    ]
    assert swept(scene, 5 * DAY_MS, TEXTS) == {TEXTS: 2}, "what was said, and the note"
    assert [entry.note for entry in scene.timeline(old) if entry.kind == "lead_note"] == [None]
    assert swept(scene, 5 * DAY_MS, CONTACTS) == {CONTACTS: 1}
    [contact] = scene.rows(Contact)
    assert (contact.sealed, contact.masked, contact.city) == (None, None, "杭州"), "a place is a fact"
    after = scene.lead(old.lead)
    assert (after.name, after.words, after.masked) == (None, None, None)
    assert (after.version, after.chain, after.quality) == (old.version, old.chain, old.quality)
    assert scene.lead(new.lead) == kept
    assert [entry.note for entry in scene.timeline(new) if entry.kind == "lead_note"] == ["问价"]


def test_a_lead_keeps_what_a_newer_visit_has_told(scene: Scene) -> None:
    """Its customer is somebody who is still about: what they said last year goes, and who they are is known from yesterday."""
    lead = said(scene, "v", 0, "老名字")
    scene.form("v", "1", 1_000)
    again = said(scene, "v", 9 * DAY_MS, "新的名字")
    assert again.lead == lead.lead
    scene.form("v", "2", 10 * DAY_MS)
    swept(scene, 5 * DAY_MS)
    after = scene.lead(lead.lead)
    assert (after.name, after.masked, after.words) == (again.name, "138****8000", None)
    swept(scene, 11 * DAY_MS)
    after = scene.lead(lead.lead)
    assert (after.name, after.masked) == (None, None)


def test_a_step_takes_little_and_can_be_the_last(scene: Scene) -> None:
    for number in range(7):
        said(scene, f"v{number}", number * 1_000)
    assert sweep(scene.engine, before(DAY_MS, NAMES), rows=3) == {NAMES: 3}
    assert [raw.name is None for raw in sorted(scene.raws(), key=lambda raw: raw.decided_at)] == (
        [True] * 3 + [False] * 4
    ), "the oldest first"
    assert overdue(scene.engine, before(DAY_MS, NAMES)) == 4
    assert swept(scene, DAY_MS, NAMES) == {NAMES: 4}
    assert swept(scene, DAY_MS, NAMES) == {}, "nothing is done twice"
    assert overdue(scene.engine, before(DAY_MS, NAMES)) == 0


def test_a_step_that_fails_takes_nothing(scene: Scene) -> None:
    said(scene, "v", 0)
    whole = scene.dump()

    def fails(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.startswith("UPDATE leads"):
            raise sa.exc.OperationalError(statement, {}, Exception("the connection was lost"))

    sa.event.listen(scene.engine, "before_cursor_execute", fails)
    with pytest.raises(sa.exc.OperationalError):
        sweep(scene.engine, before(DAY_MS))
    sa.event.remove(scene.engine, "before_cursor_execute", fails)
    assert scene.dump() == whole


Tell = Callable[[Scene], Any]


def a_life(seed: int) -> list[Tell]:
    """Sixty days of six viewers: they turn hot, leave forms, are found to be one person and then not, are noted about."""
    dice, found, links = random.Random(seed), list[Tell](), list[str]()

    def link(at: int, id: str, a: str, b: str) -> Tell:
        data = {
            "a": {"kind": "viewer:douyin", "key": a}, "b": {"kind": "viewer:douyin", "key": b}, "source": "crm", "confidence": 1.0
        }  # fmt: skip
        return lambda scene: scene.say("identity_link", at, id=id, data=data)

    def unlink(at: int, id: str) -> Tell:
        return lambda scene: scene.say(
            "identity_unlink", at, data={"link": id, "reason": "another", "by": "li"}
        )

    def note(at: int, number: int) -> Tell:
        def tell(scene: Scene) -> None:
            lead = scene.leads()[number % len(scene.leads())]
            scene.act("lead_note", lead, at, seller="li", note=f"note {at}")

        return tell

    for day in range(60):
        at, viewer, other = day * DAY_MS, f"v{dice.randrange(6)}", f"v{dice.randrange(6)}"
        kind = dice.choice(["said", "said", "form", "link", "unlink", "note"])
        if kind == "said" or not found:
            found.append(partial(said, viewer=viewer, at=at, name=f"名字{dice.randrange(9)}"))
        elif kind == "form":
            found.append(partial(Scene.form, viewer=viewer, phone=str(dice.randrange(5)), at=at))
        elif kind == "link" and viewer != other:
            links.append(f"link{day}")
            found.append(link(at, links[-1], viewer, other))
        elif kind == "unlink" and links:
            found.append(unlink(at, links.pop(dice.randrange(len(links)))))
        else:
            found.append(note(at, dice.randrange(4)))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_a_database_that_is_made_anew_holds_the_same_after_a_sweep(
    new_database: Callable[[], str], seed: int
) -> None:
    """Whenever it was swept in between, what is left is decided by what happened and by how old it is alone."""
    kept = 15 * DAY_MS
    with closing(Scene(url=new_database())) as lived, closing(Scene(url=new_database())) as anew:
        for day, tell in enumerate(a_life(seed)):
            tell(lived)
            if day % 7 == seed:
                swept(lived, day * DAY_MS - kept)
        for tell in a_life(seed):
            tell(anew)
        last = 59 * DAY_MS - kept
        swept(lived, last)
        assert sum(swept(anew, last).values()) > 10, "else nothing is tried here"
        assert shown(lived) == shown(anew)
        for scene in (lived, anew):  # of a lead that was merged into another nobody sees more than that it is
            known = {raw.name for raw in scene.raws()}
            assert all(row.name in known for row in scene.rows(LeadRow))
            assert any(row.name for row in scene.leads()) and overdue(scene.engine, before(last)) == 0


def shown(scene: Scene) -> dict[str, list[str]]:
    """All that the database holds, but for names and numbers of leads that were merged into others."""
    whole = scene.dump()
    rows = scene.rows(LeadRow)
    for row in rows:
        if row.merged_into is not None:
            row.name = row.masked = None
    return whole | {"leads": sorted(map(repr, rows))}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("part", "place"), [(part, place) for part in PARTS for place in range(len(_KEPT[part]))]
)
def test_what_is_to_go_is_found_by_what_is_still_there(scene: Scene, part: str, place: int) -> None:
    """A sweep each hour over millions of leads may not read those of which it has taken all."""
    key = {"raw_leads": "raw", "timeline": "lead", "contacts": "id"}[_KEPT[part][place][0].name]
    query = _oldest(part, place, START, 9, _KEPT[part][place][0].c[key])
    text = str(query.compile(scene.engine, compile_kwargs={"literal_binds": True}))
    with scene.engine.connect() as db:
        plan = " ".join(str(row) for row in db.execute(sa.text(f"EXPLAIN QUERY PLAN {text}")))
    assert any(name in plan for name in ("_named", "_worded", "_noted", "_held")), plan
    assert "SCAN" not in plan and "TEMP B-TREE" not in plan


# ---------------------------------------------------------------------- beside the follower


class Counts:
    """Fits the sweeping's observer."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}

    def centre_swept(self, part: str, rows: int) -> None:
        self.rows[part] = self.rows.get(part, 0) + rows


def sweeping(each: Following, clock: ManualClock, counts: Counts | None = None, **days: int) -> Sweeping:
    return Sweeping(
        days,
        between=each.follower.between,
        scrub=each.follower.scrub,
        clock=clock,
        observer=counts or Counts(),
    )


def names(url: str) -> int:
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as db:
        found = db.execute(sa.text("SELECT count(*) FROM raw_leads WHERE name IS NOT NULL")).scalar_one()
    engine.dispose()
    return int(found)


async def passes(clock: ManualClock, seconds: float) -> None:
    """Let time pass until everybody waits for it again, also who works in a thread meanwhile."""
    await clock.until_sleeping()
    await clock.advance(seconds)
    await clock.until_sleeping()


async def test_it_goes_by_the_clock_and_is_told_by_number_only(tmp_path: Path, database: str) -> None:
    path, clock = tmp_path / "store.db", ManualClock(START)
    journal(path).close()
    async with following(path, database, clock) as each:
        await caught_up(each)
        had = names(database)
        assert had > 4
        counts = Counts()
        sweeper = sweeping(each, clock, counts, names=2)
        with structlog.testing.capture_logs() as logs:
            task = asyncio.create_task(sweeper.run())
            await passes(clock, EVERY_S)
            assert (names(database), logs) == (had, []), "nothing is too old yet"
            clock.step_wall(3 * DAY_MS)
            await passes(clock, EVERY_S)
            await passes(clock, PAUSE_S)
            assert names(database) == 0
            task.cancel()
        assert counts.rows == {NAMES: had}
        assert [line for line in logs if line["event"] == "centre_retention"] == [
            {"event": "centre_retention", "log_level": "info", NAMES: had}
        ]


async def test_the_follower_waits_for_one_step_at_most(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is too old has waited for days already; a hot lead has five minutes."""
    from frontrow.app import retaining

    monkeypatch.setattr(retaining, "sweep", partial(sweep, rows=1))
    path, clock = tmp_path / "store.db", ManualClock(START + 9 * DAY_MS)
    journal(path).close()
    async with following(path, database, clock) as each:
        await caught_up(each)
        had = names(database)
        task = asyncio.create_task(sweeping(each, clock, names=2).run())
        await clock.until_sleeping()
        assert names(database) == had - 1
        later = event_at(START + 9 * DAY_MS)
        await each.follower._store.call(each.follower._store.store.append, [later])
        each.follower._arrived.set()
        await caught_up(each)
        assert names(database) == had - 1 + 1, "it is applied, while the sweep rests"
        for _ in range(had - 1):
            await passes(clock, PAUSE_S)
        await passes(clock, PAUSE_S)
        assert names(database) == 1
        task.cancel()


def event_at(at: int) -> Commit:
    event = Event(
        id="later",
        kind="comment",
        platform="douyin",
        room="r1",
        viewer="new",
        name="新客",
        text="?",
        at=at,
        seen_at=at,
    )
    leads: list[Lead] = [hot_lead("new", at, session="later")]
    return Commit(Frame.of([event]), leads, (), START, [0])


async def test_a_database_that_is_away_is_swept_when_it_is_back(tmp_path: Path, database: str) -> None:
    path, clock = tmp_path / "store.db", ManualClock(START + 9 * DAY_MS)
    journal(path).close()
    async with following(path, database, clock) as each:
        await caught_up(each)
        each.follower.failing = True
        sweeper = sweeping(each, clock, names=2)
        task = asyncio.create_task(sweeper.run())
        await clock.until_sleeping()
        assert names(database) > 0 and not sweeper.failing, "the follower says that it is away"
        each.follower.failing = False
        await passes(clock, EVERY_S)
        await passes(clock, PAUSE_S)
        assert names(database) == 0
        task.cancel()


async def test_a_mistake_of_ours_is_told_once_and_ends_nothing(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from frontrow.app import retaining

    def fails(engine: sa.Engine, before: Any) -> dict[str, int]:
        raise sa.exc.ProgrammingError("UPDATE", {}, Exception("no such column"))

    monkeypatch.setattr(retaining, "sweep", fails)
    path, clock = tmp_path / "store.db", ManualClock(START + 9 * DAY_MS)
    journal(path).close()
    async with following(path, database, clock) as each:
        await caught_up(each)
        sweeper = sweeping(each, clock, names=2)
        with structlog.testing.capture_logs() as logs:
            task = asyncio.create_task(sweeper.run())
            for _ in range(2):
                await passes(clock, EVERY_S)
        assert sweeper.failing
        assert [line["event"] for line in logs] == ["centre_retention_failed"]
        monkeypatch.setattr(retaining, "sweep", sweep)
        await passes(clock, EVERY_S)
        await passes(clock, PAUSE_S)
        assert not sweeper.failing and names(database) == 0
        task.cancel()


async def test_a_database_that_is_made_anew_comes_without_what_is_too_old(
    tmp_path: Path, database: str
) -> None:
    """The journal may hold it still: it ages by frames, and no daemon may have run for weeks."""
    path = tmp_path / "store.db"
    journal(path).close()
    async with following(path, database) as each:
        await caught_up(each)
    assert names(database) > 0
    config = configured(tmp_path, database, "[privacy]\nkeep_names_days = 2\n")
    await asyncio.to_thread(rebuilt, config, START + 9 * DAY_MS)
    assert names(database) == 0
