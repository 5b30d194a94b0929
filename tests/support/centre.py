"""A lead centre over a real database in memory, spoken to by events, its time moved by them."""

import weakref
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

from frontrow.core.centre.assignment import Rule
from frontrow.core.centre.book import Entry, LeadRow, RawLead, TimerRow, Told
from frontrow.core.centre.centre import PLATFORM, ROOM, Centre
from frontrow.core.centre.organisation import OrgChange, Seller, Unit, change_data
from frontrow.core.centre.packs import Pack
from frontrow.core.centre.policy import CentrePolicy, RoomPlace
from frontrow.core.events import Event
from frontrow.core.frames import Frame
from frontrow.core.leads import Lead, lead_id
from frontrow.packs import read_pack
from frontrow.storage.centre.book import TABLES, SqlBook, row_of, select_rows
from frontrow.storage.centre.database import open_database

START = 1_750_000_000_000  # 2025-06-15, a Sunday, 23:06 in Shanghai
STORE = b"journal of tests"
MINUTE = 60_000

ORGANISATION = OrgChange(
    units=(
        Unit(id="east", kind="region", provinces=("浙江", "上海")),
        Unit(id="hangzhou", kind="store", parent="east", cities=("杭州",), provinces=("浙江",)),
        Unit(id="shanghai", kind="store", parent="east", cities=("上海",), provinces=("上海",)),
        Unit(id="hz-a", kind="team", parent="hangzhou"),
        Unit(id="sh-a", kind="team", parent="shanghai"),
    ),
    sellers=(
        Seller(id="li", team="hz-a", wecom="li"),
        Seller(id="wang", team="hz-a", wecom="wang"),
        Seller(id="chen", team="hz-a", role="manager", wecom="chen"),
        Seller(id="zhou", team="sh-a", wecom="zhou"),
    ),
)
RULES = (Rule(name="everything to Hangzhou", team="hz-a"),)


@cache
def commerce() -> Pack:
    """The pack of live commerce that is shipped."""
    return read_pack("commerce")


def a_policy(**fields: Any) -> CentrePolicy:
    """Return a policy: everything to one team, unless ``fields`` say otherwise."""
    return CentrePolicy(**{"pack": commerce(), "rules": RULES, **fields})


class Scene:
    """One centre. Every call applies one frame; ``at`` are milliseconds after :data:`START`."""

    def __init__(
        self,
        policy: CentrePolicy | None = None,
        organisation: OrgChange | None = ORGANISATION,
        *,
        url: str = "sqlite://",
        frame: int | None = None,
    ) -> None:
        self.engine = open_database(url)
        self.book = SqlBook(self.engine, STORE)
        # Of most tests nobody closes it; from Python 3.13 on a connection that is open when it goes is warned of.
        weakref.finalize(self, self.book.close)
        self.centre = Centre(self.book, policy or a_policy())
        self.told: list[Told] = []
        self.number = 0
        self.history: list[tuple[Event, Sequence[Lead]]] = []
        if organisation is not None:
            self.say("org_change", data=change_data(organisation))

    def event(self, kind: str, at: int = 0, **fields: Any) -> Event:
        self.number += 1
        return Event(**{
            "id": f"e{self.number}", "kind": kind, "at": START + at, "seen_at": START + at, "platform": PLATFORM,
            "room": ROOM, **fields,
        })  # fmt: skip

    def say(self, kind: str, at: int = 0, **fields: Any) -> None:
        """Apply an event of the centre's own."""
        self.apply([self.event(kind, at, **fields)])

    def act(self, kind: str, lead: LeadRow | str, at: int = 0, **fields: Any) -> LeadRow:
        """Apply what somebody does to a lead, and return the lead then."""
        name = lead if isinstance(lead, str) else lead.lead
        self.apply([self.event(kind, at, platform="douyin", room="r1", lead=name, **fields)])
        return self.lead(name)

    def pass_time(self, at: int) -> None:
        """Let it be ``at``."""
        self.say("tick", at)

    def hot(
        self, viewer: str, at: int = 0, *, room: str = "r1", session: str = "s1", **fields: Any
    ) -> LeadRow:
        """Let a viewer turn hot; return the lead that this went into."""
        raw = hot_lead(viewer, START + at, room=room, session=session, **fields)
        touch = self.event("product_click", at, platform="douyin", room=room, viewer=viewer)
        self.apply([touch], [raw])
        made = self.raw(raw.lead)
        return self.lead(made.lead)

    def form(self, viewer: str, phone: str, at: int = 0, *, room: str = "r1", **data: Any) -> LeadRow:
        """Let a viewer leave a contact; ``phone`` is what the keyed hash is made of here."""
        key = (phone.encode().hex() + "0" * 32)[:32]
        event = self.event(
            "form_submit", at, platform="douyin", room=room, viewer=viewer, consent=True, form="f",
            data={"phone": key, "country": "CN", "province": "浙江", "city": "杭州", **data},
            fields={"sealed": "c2VhbGVk", "masked": "138****8000"},
        )  # fmt: skip
        self.apply([event])
        return self.lead(self.raw(lead_id("douyin", room, f"form:{event.id}", viewer)).lead)

    def apply(self, events: Iterable[Event], leads: Sequence[Lead] = ()) -> None:
        """Apply one frame; the leads are made behind its last event."""
        frame = Frame.of(list(events))
        self.book.begin()
        self.centre.apply(frame, [(len(frame) - 1, lead) for lead in leads])
        self.told += self.centre.take_told()
        self.book.commit()

    def lead(self, lead: str) -> LeadRow:
        found: list[LeadRow] = [row for row in self.rows(LeadRow) if row.lead == lead]
        return found[0]

    def raw(self, raw: str) -> RawLead:
        found: list[RawLead] = [row for row in self.rows(RawLead) if row.raw == raw]
        return found[0]

    def raws(self) -> list[RawLead]:
        """All raw leads, in no order."""
        return self.rows(RawLead)

    def leads(self) -> list[LeadRow]:
        """All unique leads that are not merged into others, in order."""
        found = [row for row in self.rows(LeadRow) if row.merged_into is None]
        return sorted(found, key=lambda row: row.number)

    def timers(self, lead: LeadRow) -> dict[tuple[str, int], int]:
        """When what is due, in milliseconds after the start."""
        return {
            (row.kind, row.number): row.due_at - START for row in self.rows(TimerRow) if row.lead == lead.lead
        }

    def timeline(self, lead: LeadRow) -> list[Entry]:
        found = [row for row in self.rows(Entry) if row.lead == lead.lead]
        return sorted(found, key=lambda row: row.number)

    def rows(self, kind: type[Any]) -> list[Any]:
        with self.engine.connect() as db:
            return [row_of(kind, row) for row in db.execute(select_rows(kind))]

    def dump(self) -> dict[str, list[str]]:
        """All that the database holds, sorted."""
        with self.engine.connect() as db:
            return {
                table.name: sorted(repr(tuple(row)) for row in db.execute(sa.select(table)))
                for table in TABLES.values()
            }

    def close(self) -> None:
        self.book.close()


def hot_lead(
    viewer: str, at: int, *, room: str = "r1", session: str = "s1", grade: Any = "hot", points: int = 80,
    product: str | None = None, quality: str | None = None, platform: str = "douyin", **fields: Any
) -> Lead:  # fmt: skip
    """Return a raw lead as the engine makes it."""
    return Lead(**{
        "lead": lead_id(platform, room, session, viewer), "platform": platform, "room": room, "session": session,
        "viewer": viewer, "customer": None, "store": None, "grade": grade, "quality": quality, "points": points,
        "probability": None, "reasons": [], "decided_at": at, "policy": "p", "model": None, "host": None,
        "product": product, "campaign": None, **fields,
    })  # fmt: skip


def a_lead(number: int, **fields: Any) -> LeadRow:
    """Return a row of a unique lead, the ``number``-th, of a customer of its own."""
    return LeadRow(**{
        "lead": f"U{number}", "raw": f"L{number}", "customer": f"C{number}", "store": "s1", "number": number,
        "platform": "douyin", "room": "r1", "created_at": START, "hot_at": START, "grade": "hot", "quality": 1,
        "points": 80, "probability": None, "sla": "v", **fields,
    })  # fmt: skip


def place(room: str, store: str | None = None) -> RoomPlace:
    """Return a configured room of a store."""
    return RoomPlace(platform="douyin", room=room, id=room, store=store)
