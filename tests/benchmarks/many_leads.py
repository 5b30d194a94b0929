"""A month of a company with 200 stores and 3,000 sellers, for a benchmark: what happened as a journal, and as many copies of it as one wants.

A raw lead has some four events: the click that it was made at, and of most a claim, of many a form, a call and an
outcome. One in six is of a viewer who had turned hot before. Copies are other customers with the same story: what is
counted by time, by store or by seller grows as they do.
"""

import random
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from frontrow.core.alerts import Reason
from frontrow.core.centre.assignment import Conditions, Rule
from frontrow.core.centre.centre import PLATFORM, ROOM
from frontrow.core.centre.organisation import OrgChange, Seller, Unit, change_data
from frontrow.core.centre.policy import CentrePolicy, RoomPlace, policy_data
from frontrow.core.events import Event
from frontrow.core.frames import Frame
from frontrow.core.leads import Lead
from frontrow.packs import read_pack
from frontrow.storage.centre import tables
from frontrow.storage.store import Commit, Store
from tests.support.centre import hot_lead

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
STORES, TEAMS, PEOPLE, REGIONS = 200, 3, 5, 4
ROOMS = [f"room{number}" for number in range(STORES)]  # one of each store
LINES = ("beauty/skincare", "fashion/clothes", "food")  # what the teams of each store sell
PRODUCTS = tuple(f"p{number}" for number in range(len(LINES)))  # one of each line
MONTH = 30 * DAY
FRAME = 16  # events
COPIED_OFF = 365 * DAY  # later than the first of its kind rings the timer of a copy: none within a benchmark
# What is said of a lead in the end, how often of a hundred.
ENDS: tuple[tuple[int, str, Mapping[str, str]], ...] = (
    (6, "won", {}),
    (25, "not_interested", {}),
    (12, "lost", {"loss_reason": "price"}),
    (6, "empty_number", {}),
    (25, "interested", {}),
    (10, "call_later", {}),
)

_PACK = read_pack("commerce")
POLICY = CentrePolicy(
    pack=msgspec.structs.replace(
        _PACK,
        products=tuple(
            msgspec.structs.replace(line, ids=(PRODUCTS[LINES.index("/".join(line.path))],))
            if "/".join(line.path) in LINES
            else line
            for line in _PACK.products
        ),
    ),
    rules=(
        Rule(name="hot", when=Conditions(grades=("hot",)), by=("product",), strategy="best_performer"),
        Rule(name="others", by=("product",), strategy="least_loaded"),
    ),
    rooms=tuple(
        RoomPlace(platform="douyin", room=room, id=room, store=f"s{number}", channel=f"channel{number % 7}")
        for number, room in enumerate(ROOMS)
    ),
)


def _organisation() -> OrgChange:
    units = [Unit(id="hq", kind="company")]
    sellers = []
    for region in range(REGIONS):
        units.append(Unit(id=f"region{region}", kind="region", parent="hq"))
        sellers.append(Seller(id=f"region{region}boss", team=f"region{region}", role="manager"))
    for store in range(STORES):
        units.append(Unit(id=f"s{store}", kind="store", parent=f"region{store % REGIONS}"))
        sellers.append(Seller(id=f"s{store}boss", team=f"s{store}", role="manager"))
        for team in range(TEAMS):
            units.append(
                Unit(id=f"s{store}t{team}", kind="team", parent=f"s{store}", products=(LINES[team],))
            )
            sellers += [
                Seller(id=f"s{store}t{team}p{person}", team=f"s{store}t{team}", capacity=100_000)
                for person in range(PEOPLE)
            ]
    return OrgChange(units=tuple(units), sellers=tuple(sellers), replace=True)


ORGANISATION = _organisation()

Told = list[tuple[Event, list[Lead]]]


def story(leads: int, until: int) -> Told:
    """Return what happened in the month before ``until`` (UTC ms): events in order, each with the raw leads that were made at it."""
    chance = random.Random(1)
    begins = until - MONTH
    own = {"platform": PLATFORM, "room": ROOM}
    found: list[tuple[int, str, dict[str, Any], list[Lead]]] = [
        (begins, "policy_change", {**own, "data": {"policy": policy_data(POLICY), "version": "v"}}, []),
        (begins, "org_change", {**own, "data": change_data(ORGANISATION)}, []),
    ]
    for number in range(leads):
        at = begins + 1 + (MONTH - MINUTE) * number // leads
        found += _lead_of(number, at, chance)
    found.sort(key=lambda each: each[0])
    return [
        (Event(**{"id": f"e{place}", "kind": kind, "at": at, "seen_at": at, **fields}), made)
        for place, (at, kind, fields, made) in enumerate(found)
        if at <= until
    ]


def _lead_of(
    number: int, at: int, chance: random.Random
) -> Iterable[tuple[int, str, dict[str, Any], list[Lead]]]:
    again = number > 1_000 and chance.random() < 1 / 6
    viewer = f"viewer{chance.randrange(number) if again else number}"
    # Whoever comes back mostly does so where they were before.
    store = int(viewer[6:]) * 7 % STORES if not again or chance.random() < 0.7 else chance.randrange(STORES)
    line = chance.randrange(TEAMS)
    room = ROOMS[store]
    raw = hot_lead(
        viewer, at, room=room, session=f"{room}-{at // DAY}-{number if again else ''}",
        grade=chance.choices(("hot", "warm"), (9, 1))[0], points=chance.randrange(40, 101), host=f"host{store % 50}",
        product=PRODUCTS[line], probability=chance.random() ** 4, quality="Q2" if chance.random() < 0.3 else "Q1",
        reasons=[Reason("rule", "product_click", points=20, count=2), Reason("rule", "question", points=30, count=3)],
    )  # fmt: skip
    here = {"platform": "douyin", "room": room}
    seller = f"s{store}t{line}p{chance.randrange(PEOPLE)}"
    who = {"viewer": viewer, "name": f"小丑鱼{number}", "text": "这件红色的多少钱，有货吗"}
    yield at, "product_click", {**here, **who, "product": PRODUCTS[line]}, [raw]
    if chance.random() < 0.25:
        data: dict[str, Any] = {
            "phone": f"{number:032x}",
            "country": "CN",
            "province": "浙江",
            "city": f"city{store % 100}",
        }
        fields = {"sealed": "c2VhbGVk" * 20, "masked": "138****8000"}
        submitted = {
            **here, "viewer": viewer, "consent": True, "form": "f", "data": data, "fields": fields,
        }  # fmt: skip
        yield at + 2 * MINUTE, "form_submit", submitted, []
    if chance.random() < 0.1:
        return  # nobody has looked at it
    about = {**here, "lead": raw.lead, "seller": seller}
    claimed = at + chance.randrange(20_000, 6 * MINUTE)
    yield claimed, "lead_claim", about, []
    if chance.random() < 0.75:
        data = {"channel": "phone", "direction": "out", "answered": chance.random() < 0.7, "by": seller}
        yield claimed + MINUTE, "lead_touch", {**about, "data": data, "note": "called back"}, []
    one = chance.randrange(100)
    for share, outcome, said in ENDS:
        one -= share
        if one < 0:
            told: dict[str, Any] = {**about, "outcome": outcome, "data": {"by": seller, **said}}
            if outcome == "won":
                told["value"] = chance.randrange(1_000, 500_000)
            yield claimed + chance.randrange(5 * MINUTE, 5 * DAY), "lead_outcome", told, []
            return


def write_journal(path: Path, told: Told) -> Store:
    """Return a store whose journal tells a story, in frames of some events each."""
    store = Store.open(path)
    rest = iter(told)
    while some := list(islice(rest, 100 * FRAME)):
        parts = (some[start : start + FRAME] for start in range(0, len(some), FRAME))
        store.append(
            [
                Commit(
                    Frame.of([event for event, _ in part]),
                    [lead for _, made in part for lead in made],
                    (),
                    part[-1][0].at,
                    [at for at, (_, made) in enumerate(part) for _ in made],
                )
                for part in parts
            ]
        )
    return store


# ---------------------------------------------------------------------- copies

_NAMED: Mapping[sa.Table, tuple[str, ...]] = {
    tables.identities: ("key", "customer"),
    tables.links: ("link", "a_key", "b_key"),
    tables.contacts: ("id", "key", "phone"),
    tables.consents: ("key",),
    tables.raw_leads: ("raw", "viewer", "customer", "lead"),
    tables.leads: ("lead", "raw", "customer", "merged_into"),
    tables.timers: ("lead",),
    tables.timeline: ("lead",),
    tables.clean_tasks: ("task", "lead"),
}
"""By what the rows that are copied are known, their own name first: these get the copy's number."""
_ROWS_AT_ONCE = 200  # that are copied, in one transaction


def copy_leads(engine: sa.Engine, first: int, last: int, step: int) -> None:
    """Add the copies from number ``first`` to ``last`` of all that the follower has written; ``step`` is beyond the number of its leads.

    All copies of some rows come together, then those of the next ones: so rows lie in the order of time, as they do
    where they were made one after the other, and an index is written in a few places at a time.
    """
    copies = sa.Table("copies", sa.MetaData(), sa.Column("number", sa.BigInteger), prefixes=["TEMPORARY"])
    with engine.connect() as db:
        copies.create(db)
        db.execute(sa.insert(copies), [{"number": number} for number in range(first, last + 1)])
        db.commit()
        for table, named in _NAMED.items():
            place = sa.Column("place", sa.Integer, primary_key=True)
            columns = [sa.Column(column.name, column.type) for column in table.c]
            made = sa.Table(f"made_{table.name}", sa.MetaData(), place, *columns, prefixes=["TEMPORARY"])
            made.create(db)
            names = [column.name for column in columns]
            ours = sa.select(table).where(table.c[named[0]].not_like("%~%"))
            db.execute(sa.insert(made).from_select(names, ours))
            rows = db.execute(sa.select(sa.func.max(place))).scalar() or 0
            db.commit()
            for start in range(1, rows + 1, _ROWS_AT_ONCE):
                copied = (
                    sa.select(*(_copied(made.c[name], table, named, copies.c.number, step) for name in names))
                    .select_from(made.join(copies, sa.true()))
                    .where(place >= start, place < start + _ROWS_AT_ONCE)
                )
                db.execute(sa.insert(table).from_select(names, copied))
                db.commit()
            made.drop(db)
            db.commit()
        copies.drop(db)
        db.commit()


def _copied(
    column: sa.Column[Any], table: sa.Table, named: tuple[str, ...], copy: sa.Column[int], step: int
) -> sa.ColumnElement[Any]:
    if column.name in named:
        return column.concat("~").concat(sa.cast(copy, sa.Text))
    if column.name == "number" and table is tables.leads:
        return column + copy * step
    if column.name == "due_at" and table is tables.timers:
        return column + COPIED_OFF
    return column
