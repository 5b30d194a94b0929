"""The lead desk: what sellers and managers read of leads, what they do with them, and who hears of it.

Whatever somebody does is an event: it is journalled, then applied by the lead centre, and only then answered. So the
first of two claims wins by the journal's order, a repeated request is a duplicate and does nothing twice, and a
daemon that dies in between has either all of it or nothing.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

import msgspec
import structlog
from msgspec import Meta, Struct

from frontrow.core.centre.book import Contact, Entry, LeadRow, RawLead
from frontrow.core.centre.centre import FROM_POOL
from frontrow.core.centre.identities import VIEWER
from frontrow.core.centre.inbox import View
from frontrow.core.centre.packs import Pack
from frontrow.core.centre.reveals import reveal_events
from frontrow.core.centre.sight import EVERYTHING, NOTHING, Sight, sight_of
from frontrow.core.centre.stages import CLOSED, Refusal
from frontrow.core.contact import mask_numbers
from frontrow.core.events import Event
from frontrow.core.ports import Clock, Receipt
from frontrow.runtime.access import Grant, Right, Role
from frontrow.runtime.applying import Follows, until_applied
from frontrow.runtime.repeating import Requests

APPLIED_WITHIN_S = 5.0  # what was journalled is applied in milliseconds, unless the centre's database is away
FEED = "desk"
SHOWN = 200  # leads of an inbox
REASONS = 6  # of a card, those that earned most first
QUEUE = 64  # deltas that wait for one page; who is slower gets a new snapshot
HEARTBEAT_S = 15.0

log = structlog.get_logger(__name__)


class NotThere(Exception):
    """There is no such lead, or not for this reader: who may not see one cannot tell which."""


class NotNow(Exception):
    """What is asked cannot be done to the lead as it is; ``refusal`` says why, and who has it."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


class NotAllowed(Exception):
    """This token's bearer may not do that; the text says why to people, ``code`` to a page that says it in its own words."""

    def __init__(self, text: str, code: str = "forbidden") -> None:
        super().__init__(text)
        self.code = code


class Wish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody does to a lead; which fields matter depends on what it is."""

    outcome: Annotated[str, Meta(max_length=64)] | None = None
    reason: Annotated[str, Meta(max_length=64)] | None = None
    stage: Annotated[str, Meta(max_length=64)] | None = None
    note: Annotated[str, Meta(max_length=2_000)] | None = None
    seller: Annotated[str, Meta(max_length=64)] | None = None
    team: Annotated[str, Meta(max_length=64)] | None = None
    pool: Annotated[str, Meta(max_length=64)] | None = None
    decision: Literal["approve", "reject", "accept", "reopen"] | None = None
    channel: Literal["call", "wechat", "sms", "visit", "email"] | None = None
    direction: Literal["in", "out"] | None = None
    seconds: Annotated[int, Meta(ge=0, le=86_400)] | None = None
    answered: bool | None = None
    follow_up_at: Annotated[int, Meta(ge=0, le=4_102_444_800_000)] | None = None
    value: Annotated[int, Meta(ge=0, le=1_000_000_000_000)] | None = None
    purpose: Annotated[str, Meta(max_length=128)] | None = None


class ExportWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose numbers go whole into a file: an ``export`` of this name, asked for by ``by``."""

    export: Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$")]
    leads: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...], Meta(min_length=1, max_length=1_000)
    ]
    by: Annotated[str, Meta(min_length=1, max_length=64)]
    purpose: Annotated[str, Meta(min_length=1, max_length=128)]


class Reads(Protocol):
    """The centre's database, as :class:`frontrow.storage.centre.desk.Desk` has it; each call may wait for a disk."""

    def inbox(
        self, sight: Sight, view: View, *, limit: int, after: tuple[int, int] | None = None
    ) -> list[LeadRow]: ...
    def lead(self, lead: str) -> LeadRow | None: ...
    def timeline(self, lead: str) -> list[Entry]: ...
    def raws(self, lead: str) -> list[RawLead]: ...
    def reasons(self, leads: Sequence[str]) -> dict[str, list[Any]]: ...
    def entries_of(self, leads: Sequence[str], kinds: Sequence[str]) -> dict[str, list[Entry]]: ...
    def contact(self, customer: str) -> Contact | None: ...


# What may be done, the event that it is, and whose it is to do: of who has the lead, of managers, or of either.
_ACTS: Mapping[str, tuple[str, Literal["holder", "manager", "either", "anyone"]]] = {
    "claim": ("lead_claim", "anyone"),
    "release": ("lead_release", "holder"),
    "touch": ("lead_touch", "holder"),
    "outcome": ("lead_outcome", "either"),
    "stage": ("lead_stage", "holder"),
    "note": ("lead_note", "either"),
    "transfer": ("lead_transfer", "either"),
    "assign": ("lead_assign", "manager"),
    "approve": ("lead_approve", "manager"),
    "review": ("lead_review", "manager"),
    "recycle": ("lead_recycle", "manager"),
}
ACTS = frozenset(_ACTS)
# The lines of a timeline by which a manager says no to a seller, and by which that no ends.
WORDS_OF_MANAGERS = ("lead_approve", "lead_assign", "lead_transfer", "reactivated")


@dataclass(frozen=True, slots=True)
class Reader:
    """Who asks: a token, whom it is in the organisation, and what they see."""

    grant: Grant
    sight: Sight
    name: str

    @property
    def manages(self) -> bool:
        return self.sight.everything or self.sight.manages

    @property
    def by(self) -> str:
        """What the journal calls them."""
        return self.grant.seller or f"token {self.grant.id}"


class Desk:
    """Serves the lead centre's people. For the event loop's thread."""

    def __init__(
        self,
        *,
        reads: Reads,
        follows: Follows,
        put: Callable[[Sequence[Event], str], Awaitable[Receipt]],
        journal_seq: Callable[[], int],
        journalled: Callable[[Event], bool],
        unseal: Callable[[Contact], Awaitable[Mapping[str, Any] | None]],
        pack: Pack,
        clock: Clock,
        rooms: Mapping[tuple[str, str], tuple[str, str]],
    ) -> None:
        """``put`` journals events and is done when they are durable; ``journalled`` says whether one of its id was before; ``unseal`` gives a contact's fields, None: destroyed. ``rooms`` are (id, title) of
        configured rooms by (platform, room)."""
        self._reads = reads
        self._follows = follows
        self._journal_seq = journal_seq
        self._requests = Requests(put, journalled, FEED)
        self._unseal = unseal
        self.pack = pack
        self._clock = clock
        self._rooms = rooms
        self._subscribers: set[Subscription] = set()

    # ------------------------------------------------------------------ reading

    def reader(self, grant: Grant) -> Reader:
        """Return who bears a token, and what they see of leads.

        Raises:
            NotAllowed: The token does not give leads, is of one room, or is of nobody in the organisation.
        """
        if not grant.allows(Right.LEADS, "") or grant.room is not None:
            raise NotAllowed(
                f"This token's role is {grant.role}; it does not give leads of all rooms.", "no_leads"
            )
        organisation = self._follows.centre.organisation
        if grant.seller is None:
            if grant.role in (Role.MANAGER, Role.ADMIN):
                return Reader(grant, EVERYTHING, str(grant.role))
            raise NotAllowed(
                "This token does not say which seller bears it: frontrow token create --role sales --seller ID",
                "no_seller",
            )
        now = self._clock.now()
        sight = sight_of(grant.seller, organisation, now)
        person = organisation.seller(grant.seller, now)
        if sight is NOTHING or person is None:
            raise NotAllowed(
                f"There is no {grant.seller!r} in the organisation at present.", "unknown_seller"
            )
        return Reader(grant, sight, person.name or person.id)

    async def inbox(
        self, reader: Reader, view: View, *, limit: int, after: tuple[int, int] | None = None
    ) -> list[dict[str, Any]]:
        """Return leads as cards, the most urgent first, or of "closed" the latest."""
        rows = await asyncio.to_thread(self._reads.inbox, reader.sight, view, limit=limit, after=after)
        return await self.cards(rows, reader)

    async def cards(self, rows: Sequence[LeadRow], reader: Reader) -> list[dict[str, Any]]:
        """Return leads as cards, in their order."""
        reasons = await asyncio.to_thread(self._reads.reasons, [row.lead for row in rows]) if rows else {}
        cards = [self.card(row, reader, reasons.get(row.lead, ())) for row in rows]
        offered = [] if reader.manages else [card["lead"] for card in cards if "claim" in card["may"]]
        words = await asyncio.to_thread(self._reads.entries_of, offered, WORDS_OF_MANAGERS) if offered else {}
        for card in cards:
            _without_claim(card, reader, words.get(card["lead"], ()))
        return cards

    async def lead(self, reader: Reader, lead: str) -> dict[str, Any]:
        """Return one lead whole: its card, its timeline, what to do in its stage.

        Raises:
            NotThere: There is none, or not for them.
        """
        row = await self.seen(reader, lead)
        entries, raws = await asyncio.gather(
            asyncio.to_thread(self._reads.timeline, row.lead), asyncio.to_thread(self._reads.raws, row.lead)
        )
        stage = row.stage or next(iter(self.pack.workflow.stages))
        path = tuple(row.taxonomy.split("/")) if row.taxonomy else ()
        card = self.card(row, reader, raws[0].reasons if raws else ())
        _without_claim(card, reader, entries)
        return {
            **card,
            "timeline": [
                {
                    "number": entry.number,
                    "at": entry.at,
                    "kind": entry.kind,
                    "actor": entry.actor,
                    "actor_name": self.name(entry.actor),
                    "data": entry.data,
                    "seller_name": self.name(seller)
                    if isinstance(seller := entry.data.get("seller"), str)
                    else None,
                    "note": None if entry.note is None else mask_numbers(entry.note),
                }
                for entry in entries
            ],
            "raw_leads": [
                {
                    "raw": raw.raw,
                    "source": raw.source,
                    "met": raw.met,
                    "room": raw.room,
                    "decided_at": raw.decided_at,
                    "grade": raw.grade,
                    "points": raw.points,
                    "probability": raw.probability,
                    "reasons": raw.reasons,
                    "words": raw.words,
                }
                for raw in raws
            ],
            "sop": [
                {"zh": each.zh, "en": each.en}
                for each in self.pack.sop_of(stage, row.grade, path)  # type: ignore[arg-type]  # a column of grades
            ],
        }

    def colleagues(self, reader: Reader) -> list[dict[str, Any]]:
        """Return to whom a reader can give leads, by team and name: everybody of their teams but managers and themselves, with
        whether they are there now and how many open leads they have."""
        now, centre = self._clock.now(), self._follows.centre
        organisation = centre.organisation
        if reader.sight.everything:
            people = {
                each.id: each for each in organisation.sellers if organisation.seller(each.id, now) is each
            }
        else:
            units = sorted(reader.sight.teams)
            people = {each.id: each for unit in units for each in organisation.sellers_of(unit, now)}
        return [
            {
                "id": each.id,
                "name": each.name or each.id,
                "team": each.team,
                "team_name": ""
                if (unit := organisation.unit(each.team, now)) is None
                else unit.name or unit.id,
                "there": organisation.on_shift(each, now) and not organisation.absent(each, now),
                "open": centre.open_of(each.id),
                "capacity": each.capacity,
            }
            for each in sorted(people.values(), key=lambda each: (each.team, each.name, each.id))
            if each.role != "manager" and each.id != reader.sight.seller
        ]

    def card(self, row: LeadRow, reader: Reader, reasons: Sequence[Any] = ()) -> dict[str, Any]:
        """Return a lead as people are shown it; what it says of the customer is masked. ``reasons`` are those of its latest raw lead.

        ``may`` is by where the lead stands; whom a manager has turned down for it, its timeline knows.
        """
        room_id, title = self._rooms.get((row.platform, row.room), (row.room, ""))
        return {
            "lead": row.lead,
            "number": row.number,
            "version": row.version,
            "status": row.status,
            "stage": row.stage,
            "grade": row.grade,
            "quality": f"Q{row.quality}",
            "points": row.points,
            "probability": row.probability,
            "name": row.name,
            "words": row.words,
            "reasons": _earned(reasons),
            "contact": row.masked,
            "product": None if row.product is None else mask_numbers(row.product),
            "taxonomy": row.taxonomy or None,
            "province": row.province or None,
            "city": row.city or None,
            "platform": row.platform,
            "room": room_id,
            "room_title": title,
            "host": row.host,
            "campaign": row.campaign,
            "channel": row.channel,
            "store": row.store or None,
            "team": row.team,
            "pool": row.pool,
            "holder": row.holder,
            "holder_name": None if row.holder is None else self.name(row.holder),
            "claimed": row.owner is not None,
            "mine": row.holder is not None and row.holder == reader.sight.seller,
            "rule": row.rule,
            "awaits_approval": row.awaits_approval,
            "created_at": row.created_at,
            "hot_at": row.hot_at,
            "assigned_at": row.assigned_at,
            "claimed_at": row.claimed_at,
            "responded_at": row.responded_at,
            "due_at": row.due_at,
            "last_touch_at": row.last_touch_at,
            "touches": row.touches,
            "follow_up_at": row.follow_up_at,
            "breached_at": row.breached_at,
            "breach": row.breach,
            "closed_at": row.closed_at,
            "outcome": row.outcome,
            "reason": row.reason,
            "review": row.review,
            "value": row.value,
            "do_not_contact": row.do_not_contact,
            "protected_until": row.protected_until or None,
            "cycle": row.cycle,
            "raw_leads_count": row.raws,
            "may": self._may(row, reader),
        }

    def _may(self, row: LeadRow, reader: Reader) -> list[str]:
        """Return what this reader can do to a lead as it is."""
        holds = row.owner is not None and row.owner == reader.sight.seller
        open_ = row.status not in CLOSED
        found: list[str] = []
        seller = reader.sight.seller
        free = row.owner is None and row.offered_to in (None, seller) and not row.awaits_approval
        if open_ and seller is not None and free:
            found.append("claim")
        if holds and row.status == "following":
            found += ["release", "touch", "outcome", "stage", "transfer"]
        if holds or reader.manages:
            found.append("note")
        if row.masked is not None and not row.do_not_contact and (holds or reader.manages):
            found.append("reveal")
        if reader.manages and open_:
            found += ["approve"] if row.awaits_approval else []
            found += ["assign"] if row.owner is None else ["transfer"]
            found += ["recycle"] if row.status != "pooled" else []
        if reader.manages and row.review == "pending" and reader.by not in (row.closed_by, row.owner):
            found.append("review")
        return list(dict.fromkeys(found))

    def name(self, who: str) -> str:
        """Return what people call somebody of the organisation; the id of who is not in it at present."""
        person = self._follows.centre.organisation.seller(who, self._clock.now())
        return who if person is None or not person.name else person.name

    async def seen(self, reader: Reader, lead: str) -> LeadRow:
        """Return a lead that this reader sees.

        Raises:
            NotThere: There is none, or not for them.
        """
        row = await asyncio.to_thread(self._reads.lead, lead)
        if row is None or not reader.sight.sees(row):
            raise NotThere
        return row

    # ------------------------------------------------------------------ doing

    async def act(
        self, reader: Reader, lead: str, what: str, wish: Wish, *, key: str | None = None
    ) -> dict[str, Any]:
        """Do something to a lead, and return it as it is then. With the same ``key`` it is done once, however often it is asked for.

        Raises:
            KeyReused: The key was sent before with another request.
            NotThere: There is no such lead, or not for them.
            NotAllowed: It is not theirs to do.
            NotNow: The lead is not in a state for it: somebody else was faster, or a reason is missing.
            NotApplied: It is journalled, and the centre's database is away.
        """
        kind, whose = _ACTS[what]
        row = await asyncio.to_thread(self._reads.lead, lead)
        if row is None:
            raise NotThere
        event = self._event(row, reader, kind, what, wish, key)
        if what == "outcome":
            event = await self._named(event, row)
        if self._requests.done(event, key, wish):
            # Sent again, since the answer was lost: what it did then may have taken the lead out of this reader's
            # sight.
            await self._until_applied()
            refusal = self._follows.centre.refusals.get(event.id)
            if refusal is not None:
                raise NotNow(refusal)
            return await self._after(reader, lead)
        if not reader.sight.sees(row):
            if what != "claim":
                raise NotThere
            await self._too_late(reader, lead, row)
        self._check(row, reader, what, whose)
        refusal = self._follows.centre.would_refuse(row, event, self._clock.now())
        if refusal is not None:
            raise NotNow(refusal)
        refusal = await self._turned_down(row, reader, what, wish)
        if refusal is not None:
            raise NotNow(refusal)
        refusal = await self._journal(event, key, wish)
        if refusal is not None:
            raise NotNow(refusal)
        return await self._after(reader, lead)

    async def _turned_down(self, row: LeadRow, reader: Reader, what: str, wish: Wish) -> Refusal | None:
        """Return why a lead does not go to somebody for whom a manager has said no and to whom none has given it since, or None.

        Asked here and not when it is applied: claims and transfers that are in the journal were done, and a rebuild
        does them again.
        """
        seller = {"claim": reader.sight.seller, "transfer": wish.seller}.get(what)
        if reader.manages or seller is None or row.holder == seller:
            return None
        if not _is_turned_down(seller, await asyncio.to_thread(self._reads.timeline, row.lead)):
            return None
        return Refusal(code="turned_down", seller=None if seller == reader.sight.seller else seller)

    async def _too_late(self, reader: Reader, lead: str, row: LeadRow) -> None:
        """Return where a lead that a reader does not see any more may be theirs to claim all the same.

        Raises:
            NotNow: They saw it while nobody had it, and somebody was faster: that is who.
            NotThere: They never saw it.
        """
        held = NotNow(Refusal(code="held", holder=row.holder))
        if reader.sight.could_have(row):
            if row.awaits_approval:
                raise NotNow(Refusal(code="awaits_approval"))  # and for whom is not said before a manager has
            if row.owner is None and row.holder is not None:
                raise held  # offered to another meanwhile
            return
        if reader.sight.seller is None or row.holder is None:
            raise NotThere
        entries = await asyncio.to_thread(self._reads.timeline, lead)
        left = next((each for each in reversed(entries) if FROM_POOL in each.data), None)
        if left is None or self._follows.centre.organisation.seller(reader.sight.seller, left.at) is None:
            raise NotThere
        # Who has it now took it there; of what became of it later, another team's sellers hear nothing.
        took = row.holder if left.kind == "merged" else left.data.get("seller")
        raise held if took == row.holder else NotThere

    async def reveal(
        self, reader: Reader, lead: str, purpose: str, *, key: str | None = None
    ) -> Mapping[str, Any]:
        """Return the contact that a customer left, after it is durable who asked for it and what for.

        Raises:
            As :meth:`act`; NotThere also where there is no contact, or it was destroyed.
        """
        row = await self.seen(reader, lead)
        if "reveal" not in self._may(row, reader):
            raise NotAllowed("Only who follows the lead sees the number, and of nobody who wants no contact.")
        contact = await asyncio.to_thread(self._reads.contact, row.customer)
        if contact is None:
            raise NotThere
        # Looked at first: what retention or an erasure has taken nobody sees, and nobody is said to have seen.
        fields = await self._unseal(contact)
        if fields is None:
            raise NotThere
        wish = Wish(purpose=purpose)
        await self._journal(self._event(row, reader, "contact_reveal", "reveal", wish, key), key, wish)
        return fields

    async def exported(self, wish: ExportWish) -> None:
        """Keep who gets whole numbers in a file; done when it is durable and on the leads' timelines.

        Raises:
            NotApplied: It is journalled, and the centre's database is away.
        """
        now = self._clock.now()
        await self.journal(reveal_events(wish.export, wish.leads, by=wish.by, purpose=wish.purpose, at=now))

    async def _after(self, reader: Reader, lead: str) -> dict[str, Any]:
        """Return a lead that its reader may not see any more as little as is left to say of it."""
        try:
            return await self.lead(reader, lead)
        except NotThere:
            return {"lead": lead, "gone": True}

    def _check(self, row: LeadRow, reader: Reader, what: str, whose: str) -> None:
        holds = row.owner is not None and row.owner == reader.sight.seller
        if whose == "anyone" and reader.sight.seller is None:
            raise NotAllowed("Only a seller claims leads; this token is of none.")
        if whose == "manager" and not reader.manages:
            raise NotAllowed("Only a manager of its team does that.")
        if whose == "holder" and not holds or whose == "either" and not (holds or reader.manages):
            if row.owner is None and row.status not in CLOSED:
                raise NotNow(Refusal(code="unclaimed"))
            if not reader.manages or whose == "holder":
                raise NotNow(Refusal(code="held", holder=row.owner))

    def _event(
        self, row: LeadRow, reader: Reader, kind: str, what: str, wish: Wish, key: str | None
    ) -> Event:
        now = self._clock.now()
        data: dict[str, Any] = {"by": reader.by}
        for name in (
            "stage",
            "decision",
            "channel",
            "direction",
            "seconds",
            "answered",
            "follow_up_at",
            "team",
            "pool",
            "purpose",
        ):
            value = getattr(wish, name)
            if value is not None:
                data[name] = value
        if wish.reason is not None:
            data["loss_reason"] = wish.reason
        seller = reader.sight.seller
        if what in ("transfer", "assign"):
            seller = wish.seller
        # Without a key: the same wish of the same person about the same version of the lead is the same.
        said = [reader.by, key] if key else [reader.by, row.version, wish]
        id = hashlib.blake2b(msgspec.json.encode(said), digest_size=10).hexdigest()
        return Event(
            id=f"{kind}-{row.lead}-{id}",
            platform=row.platform,
            room=row.room,
            kind=kind,
            at=now,
            lead=row.lead,
            seller=seller,
            outcome=wish.outcome,
            value=wish.value,
            note=wish.note,
            data=data,
        )

    async def _named(self, event: Event, row: LeadRow) -> Event:
        """Return an outcome with the viewer who began the lead, in whose room it stands, so that the model learns from it."""
        raws = await asyncio.to_thread(self._reads.raws, row.lead)
        founder = next((raw for raw in raws if raw.raw == row.raw and raw.kind.startswith(VIEWER)), None)
        return event if founder is None else msgspec.structs.replace(event, viewer=founder.viewer)

    async def _journal(self, event: Event, key: str | None, wish: Wish) -> Refusal | None:
        return (await self.journal([event], key=key, asked=wish))[0]

    async def journal(
        self, events: Sequence[Event], *, key: str | None = None, asked: object = None
    ) -> list[Refusal | None]:
        """Journal events and wait until they are applied; return why each was not done, or None. With a ``key`` of a request this is done
        once; ``asked`` is what the request asks for, the first event's id is made of the key, and not of that.

        Raises:
            KeyReused: The key was sent before with another request.
            NotApplied: They are journalled, and the centre's database is away.
        """
        await self._requests.take(events, key, asked)
        await self._until_applied()
        return [self._follows.centre.refusals.get(event.id) for event in events]

    async def _until_applied(self) -> None:
        """Wait until the centre has applied what is in the journal now."""
        await until_applied(self._follows, self._journal_seq(), APPLIED_WITHIN_S)

    # ------------------------------------------------------------------ telling

    def changed(self, rows: Sequence[LeadRow]) -> None:
        """Hear of leads that have changed, and tell the pages that show or should show them."""
        for subscriber in self._subscribers:
            subscriber.hear(rows)

    async def subscribe(self, reader: Reader) -> "Subscription":
        """Begin to tell a page of its leads; :meth:`unsubscribe` ends it."""
        subscription = Subscription(self, reader)
        self._subscribers.add(subscription)
        return subscription

    def unsubscribe(self, subscription: "Subscription") -> None:
        """Stop telling; idempotent."""
        self._subscribers.discard(subscription)

    def close(self) -> None:
        """End all subscriptions: the daemon stops."""
        for subscriber in list(self._subscribers):
            subscriber.end()

    async def snapshot(self, reader: Reader) -> list[dict[str, Any]]:
        """Return the open leads that a page begins with."""
        return await self.inbox(reader, "open", limit=SHOWN)

    @property
    def now(self) -> int:
        """Wall-clock time, UTC ms: what countdowns count against."""
        return self._clock.now()

    @property
    def behind(self) -> bool:
        """Whether what is shown may be old, since the database does not answer."""
        return self._follows.failing

    def renewed(self, reader: Reader) -> Reader:
        """Return the reader with what they see now: the organisation may have changed."""
        return self.reader(reader.grant)


def _is_turned_down(seller: str, entries: Sequence[Entry]) -> bool:
    """Return whether a manager's last word on a seller is a no; ``entries`` of other kinds than :data:`WORDS_OF_MANAGERS` do not matter."""
    no = False
    for entry in entries:
        if entry.kind == "reactivated":
            no = False  # the customer has come again, and the rules ask anew
        elif entry.data.get("seller") == seller:
            if entry.kind == "lead_approve":
                no = entry.data.get("decision") == "reject"
            elif entry.kind in ("lead_assign", "lead_transfer"):
                no = False
    return no


def _without_claim(card: dict[str, Any], reader: Reader, entries: Sequence[Entry]) -> None:
    """Offer no claim to whom a manager has turned down: it would be refused. What is offered to them they may claim."""
    seller = reader.sight.seller
    if "claim" not in card["may"] or reader.manages or seller is None or card["holder"] == seller:
        return
    if _is_turned_down(seller, entries):
        card["may"].remove("claim")


class Subscription:
    """One open page of leads: a snapshot, then deltas. Bounded: who cannot keep up gets a snapshot again."""

    def __init__(self, desk: Desk, reader: Reader) -> None:
        self._desk = desk
        self.reader = reader
        self._waiting: dict[str, LeadRow] = {}
        self._wake = asyncio.Event()
        self._known: set[str] = set()
        self._ended = False
        self._seq = 0
        self._overrun = True  # begins with a snapshot

    def hear(self, rows: Sequence[LeadRow]) -> None:
        """Hear of leads that have changed."""
        for row in rows:
            if row.lead in self._known or self.reader.sight.sees(row):
                self._waiting[row.lead] = row
        if len(self._waiting) > SHOWN:
            self._waiting.clear()
            self._overrun = True
        if self._waiting or self._overrun:
            self._wake.set()

    def end(self) -> None:
        """Let :meth:`messages` come to its end."""
        self._ended = True
        self._wake.set()

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Yield what the page is to be sent: ``snapshot``, ``delta`` (changed ``leads``, ``gone`` ids, ``taken``: by lead, the names
        of who has those now), ``state``; each with its ``seq``."""
        while not self._ended:
            self._wake.clear()
            self.reader = self._desk.renewed(self.reader)
            if self._overrun:
                self._overrun = False
                self._waiting.clear()
                leads = await self._desk.snapshot(self.reader)
                self._known = {lead["lead"] for lead in leads}
                yield self._message(
                    "snapshot", leads=leads, seller=self.reader.sight.seller, name=self.reader.name
                )
            elif self._waiting:
                yield await self._delta()
            else:
                yield self._message("state")
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _delta(self) -> dict[str, Any]:
        rows, self._waiting = self._waiting, {}
        shown: list[LeadRow] = []
        gone: list[str] = []
        taken: dict[str, str] = {}
        for row in rows.values():
            if row.merged_into is None and self.reader.sight.sees(row):
                self._known.add(row.lead)
                shown.append(row)
            elif row.lead in self._known:
                self._known.discard(row.lead)
                gone.append(row.lead)
                if row.owner is not None and row.merged_into is None:
                    taken[row.lead] = self._desk.name(row.owner)
        cards = await self._desk.cards(shown, self.reader)
        return self._message("delta", leads=cards, gone=gone, taken=taken)

    def _message(self, type: str, **more: Any) -> dict[str, Any]:
        self._seq += 1
        return {"type": type, "seq": self._seq, "now": self._desk.now, "behind": self._desk.behind, **more}


def _earned(reasons: Sequence[Any]) -> list[dict[str, Any]]:
    """Return what earned points, the most first; the parts of a probability are for those who look at one viewer."""
    rules = [each for each in reasons if isinstance(each, dict) and each.get("kind") == "rule"]
    return sorted(rules, key=lambda each: -(each.get("points") or 0))[:REASONS]
