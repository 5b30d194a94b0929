"""Care for customers over the journal: what they have agreed to, who they are, what is doubted of them, and what they hear of us.

As at the desk, whatever somebody does is an event: journalled, applied by the lead centre, and only then answered.
Who asks sees keys of identities masked; a number is shown to nobody here but to those who call it, with a note of it.
"""

import asyncio
import hashlib
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol

import msgspec
from msgspec import Meta, Struct

from frontrow.core.centre import identities as ids
from frontrow.core.centre.book import CleanTask, Contact, Identity, LeadRow, Link
from frontrow.core.centre.centre import PLATFORM, ROOM, Centre
from frontrow.core.centre.cleaning import Refused, Report, State
from frontrow.core.centre.nursing import Page, last_words
from frontrow.core.centre.nurture import TEXTS, WITHHELD, Occasion, TouchChannel
from frontrow.core.centre.policy import CentrePolicy
from frontrow.core.centre.queue import reported
from frontrow.core.centre.survivors import survivors
from frontrow.core.contact import mask_numbers
from frontrow.core.events import MAX_ID, Event
from frontrow.core.ports import Clock
from frontrow.runtime.desk import Desk, NotAllowed, NotThere, Reader

SHOWN_OF_KEY = 4  # characters of an identity's key
SHORTEST_MASKED = 8  # of a shorter key nothing is shown

Short = Annotated[str, Meta(max_length=64)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]
Millis = Annotated[int, Meta(ge=0, le=4_102_444_800_000)]


class Unreadable(Exception):
    """What is asked cannot be read; the text says why, without what it holds."""


class Decided(Exception):
    """The task was decided otherwise; ``task`` says how."""

    def __init__(self, task: dict[str, Any]) -> None:
        super().__init__(task["intent"])
        self.task = task


class ConsentWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a customer has said: yes or no to a ``purpose`` (contact, service, marketing …), on one ``channel`` or on all (""), told by
    ``source`` (form, call, sms, wechat, shop …). To withdraw "contact" is to want no contact at all."""

    purpose: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
    given: bool
    channel: TouchChannel | Literal[""] = ""
    source: Short = ""


class Named(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An identity: a ``key`` of a ``kind``; of a phone also its ``number``, of which only the keyed hash is kept."""

    kind: Annotated[str, Meta(min_length=1, max_length=300)]
    key: Annotated[str, Meta(max_length=512)] = ""
    number: Annotated[str, Meta(max_length=64)] = ""


class LinkWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That two identities are one person, how that is known, and how sure it is."""

    a: Named
    b: Named
    source: Name
    confidence: Annotated[float, Meta(ge=0, le=1)] = 1.0


class UnlinkWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That a link was a mistake, and why."""

    link: Annotated[str, Meta(min_length=1, max_length=1_024)]
    reason: Annotated[str, Meta(min_length=1, max_length=256)]


class ReportWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is told of a task: dialing, answered, or decided with the intent that was heard."""

    state: Literal["dialing", "answered", "decided"]
    intent: Literal["yes", "no", "unknown"] | None = None
    by: Short = ""


class NumbersWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Numbers that are no customers': put on a list (``blacklist``, ``staff``, ``test``) or taken off it. Only keyed hashes are kept."""

    list: Literal["blacklist", "staff", "test"]
    numbers: Annotated[tuple[Short, ...], Meta(min_length=1, max_length=1_000)]
    remove: bool = False


class TouchWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message that a program of the owner's has sent to a lead's customer: ``rule`` names what sends it, ``about`` the one message.
    ``capped`` False: it is an answer, and does not count."""

    lead: Name
    rule: Name
    channel: TouchChannel
    about: Annotated[str, Meta(min_length=1, max_length=256)]
    capped: bool = True


class OccasionWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A broadcast that customers are invited to from ``opens_at`` until it begins at ``ends_at``, or a campaign between them (UTC ms).
    One that ends when it opens is called off. ``lines`` are paths of product lines."""

    kind: Literal["invitation", "campaign"]
    occasion: Name
    opens_at: Millis
    ends_at: Millis
    lines: tuple[tuple[Name, ...], ...] = ()


class Customer(Protocol):
    """As :class:`frontrow.storage.centre.care.Customer`."""

    identities: Any
    links: Any
    contacts: Any
    consents: Any
    raws: Any
    leads: Any
    touches: Any


class Reads(Protocol):
    """The centre's database, as :class:`frontrow.storage.centre.care.CareReads` has it; each call may wait for a disk."""

    def tasks(
        self, states: Sequence[str], *, after: tuple[int, str] | None = None, limit: int
    ) -> list[tuple[CleanTask, LeadRow | None]]: ...
    def task(self, task: str) -> CleanTask | None: ...
    def link(self, link: str) -> Link | None: ...
    def suggestions(self, below: float, *, limit: int) -> list[Link]: ...
    def identities(self, customer: str) -> list[Identity]: ...
    def customer(self, customer: str) -> Any: ...
    def preview(self, policy: CentrePolicy, at: int, *, after: int, limit: int) -> Page: ...
    def occasions(self, policy: CentrePolicy) -> tuple[Occasion, ...]: ...


class Care:
    """Serves those who care for customers. For the event loop's thread."""

    def __init__(
        self,
        desk: Desk,
        *,
        reads: Reads,
        centre: Callable[[], Centre],
        lead: Callable[[str], LeadRow | None],
        contact: Callable[[str], Contact | None],
        unseal: Callable[[Contact], Awaitable[Mapping[str, Any] | None]],
        phone_key: Callable[[str], str],
        phone_region: str,
        clock: Clock,
    ) -> None:
        """``lead`` and ``contact`` read the database; ``phone_key`` hashes a number as this installation does."""
        self._desk = desk
        self._reads = reads
        self._centre = centre
        self._lead = lead
        self._contact = contact
        self._unseal = unseal
        self._phone_key = phone_key
        self._phone_region = phone_region
        self._clock = clock

    async def row(self, lead: str) -> LeadRow:
        """Return a lead, whoever may see it.

        Raises:
            NotThere: There is none.
        """
        found = await asyncio.to_thread(self._lead, lead)
        if found is None:
            raise NotThere
        return found

    # ------------------------------------------------------------------ consents

    async def consent(self, row: LeadRow, wish: ConsentWish, *, by: str, key: str | None) -> dict[str, Any]:
        """Keep what a lead's customer has said, at every name of theirs, and return what holds now.

        Raises:
            KeyReused: The key was sent before with another request.
            NotApplied: It is journalled, and the centre's database is away.
        """
        identities = await asyncio.to_thread(self._reads.identities, row.customer)
        told = msgspec.to_builtins(wish) | {"by": by}
        request = [by, key] if key is not None else [by, self._clock.now(), told]
        events = [
            self._event("consent", [request, row.lead, number], told | {"identity": _named(one)})
            for number, one in enumerate(identities)
        ]
        await self._desk.journal(events, key=key, asked=wish)
        return await self.consents(row)

    async def consents(self, row: LeadRow) -> dict[str, Any]:
        """Return what a lead's customer has agreed to and what not; the last word through whichever name."""
        found = await asyncio.to_thread(self._reads.customer, row.customer)
        now = await asyncio.to_thread(self._lead, row.lead)
        return {
            "lead": row.lead,
            "customer": row.customer,
            "do_not_contact": now is not None and now.do_not_contact,
            "consents": [] if found is None else _consents(found),
        }

    # ------------------------------------------------------------------ identities

    async def customer(self, customer: str, sees: Callable[[LeadRow], bool]) -> dict[str, Any]:
        """Return one customer: names with their keys masked, links, leads that the reader sees, what was agreed, what was sent.

        Raises:
            NotThere: There is none, or the reader sees no lead of theirs.
        """
        found = await asyncio.to_thread(self._reads.customer, customer)
        if found is None or not any(sees(row) for row in found.leads):
            raise NotThere
        fields = survivors(found.contacts, found.raws)
        return {
            "customer": customer,
            "identities": [
                {"kind": one.kind, "key": masked_key(one.key), "first_seen": one.first_seen} for one in found.identities
            ],
            "links": [_link(link) for link in found.links],
            "leads": [
                {
                    "lead": row.lead, "store": row.store or None, "status": row.status, "grade": row.grade,
                    "quality": f"Q{row.quality}", "faults": row.faults, "do_not_contact": row.do_not_contact,
                }
                for row in found.leads
                if sees(row)
            ],
            "fields": {
                name: {
                    "value": field.won.value,
                    "source": field.won.source,
                    "at": field.won.at,
                    "others": [{"value": each.value, "source": each.source, "at": each.at} for each in field.lost],
                }
                for name, field in fields.items()
            },
            "consents": _consents(found),
            "touches": [
                {"rule": row.rule, "channel": row.channel, "text": row.text or None, "at": row.at, "by": row.by, "result": row.result}
                for row in found.touches
            ],
        }  # fmt: skip

    async def link(self, wish: LinkWish, *, by: str, key: str | None) -> dict[str, Any]:
        """Link two identities, and return whose they are then.

        Raises:
            Unreadable: One of them is none, or both are one.
            KeyReused: The key was sent before with another request.
            NotApplied: It is journalled, and the centre's database is away.
        """
        a, b = self._identity(wish.a), self._identity(wish.b)
        if a == b:
            raise Unreadable("an identity is not linked to itself")
        data = {
            "a": _named(a),
            "b": _named(b),
            "source": wish.source,
            "confidence": wish.confidence,
            "by": by,
        }
        ends = sorted((a, b))
        for turn in itertools.count():
            # The same link told again is the same one, unless it was taken away meanwhile.
            link = [[_named(each) for each in ends], wish.source, wish.confidence, turn]
            what = link if key is None else [by, key]
            event = self._event("identity_link", what, data)
            name = f"{PLATFORM}/{ROOM}/{event.id}"
            known = await asyncio.to_thread(self._reads.link, name)
            if known is None or known.unlinked_at is None or key is not None:
                break
        if known is None or key is not None:
            await self._desk.journal(
                [event], key=key, asked=[_named(a), _named(b), wish.source, wish.confidence]
            )
            known = await asyncio.to_thread(self._reads.link, name)
        if known is None:
            raise NotThere
        return _link(known)

    async def unlink(self, wish: UnlinkWish, *, by: str) -> dict[str, Any]:
        """Take a link away, and return it as it is then; one that is gone already stays as it is.

        Raises:
            NotThere: There is no such link.
            NotApplied: It is journalled, and the centre's database is away.
        """
        known = await asyncio.to_thread(self._reads.link, wish.link)
        if known is None:
            raise NotThere
        if known.unlinked_at is None:
            data = {"link": wish.link, "by": by, "reason": mask_numbers(wish.reason)}
            await self._desk.journal([self._event("identity_unlink", [wish.link], data)])
            known = await asyncio.to_thread(self._reads.link, wish.link)
        assert known is not None
        return _link(known)

    async def suggestions(self, limit: int) -> list[dict[str, Any]]:
        """Return links that are not sure enough to join by themselves, the surest first."""
        threshold = self._centre().policy.identity.threshold
        return [
            _link(link) for link in await asyncio.to_thread(self._reads.suggestions, threshold, limit=limit)
        ]

    async def list_numbers(self, wish: NumbersWish, *, by: str) -> dict[str, Any]:
        """Put numbers on a list, or take them off it; the leads that have them are judged again.

        Raises:
            Unreadable: One of them is no number that can be called; none is taken then.
            NotApplied: It is journalled, and the centre's database is away.
        """
        keys = sorted({self._identity(Named(kind=ids.PHONE, number=each)).key for each in wish.numbers})
        data = {"list": wish.list, "numbers": keys, "remove": wish.remove, "by": by}
        await self._desk.journal([self._event("number_change", [data, self._clock.now()], data)])
        return {"list": wish.list, "numbers": len(keys), "remove": wish.remove}

    def _identity(self, named: Named) -> ids.Identity:
        key = named.key
        if named.kind == ids.PHONE and named.number:
            number = ids.normalised_phone(named.number, self._phone_region)
            if number is None:
                raise Unreadable("that is no number that can be called")
            key = self._phone_key(number)
        try:
            return ids.identity_of({"kind": named.kind, "key": key})
        except ValueError as error:
            raise Unreadable(str(error)) from error

    # ------------------------------------------------------------------ cleaning

    async def tasks(
        self, states: Sequence[str], *, after: tuple[int, str] | None, limit: int
    ) -> list[dict[str, Any]]:
        """Return tasks in these states, the oldest first, with what may be shown of their leads."""
        found = await asyncio.to_thread(self._reads.tasks, states, after=after, limit=limit)
        return [_task(task, row) for task, row in found]

    async def report(self, name: str, wish: ReportWish, *, by: str) -> dict[str, Any]:
        """Take a report of a task, and return the task; the same again, or one that comes late, changes nothing.

        Raises:
            NotThere: There is no such task.
            Decided: It was decided otherwise.
            Unreadable: A decision without an intent, or an intent without a decision.
            NotApplied: It is journalled, and the centre's database is away.
        """
        known = await asyncio.to_thread(self._reads.task, name)
        if known is None:
            raise NotThere
        report = Report(state=State(wish.state), intent=wish.intent, by=wish.by or by)
        refused = reported(known, report, self._clock.now()).refused
        if refused is Refused.UNREADABLE:
            raise Unreadable("a decision says its intent (yes, no or unknown), and no other state does")
        if refused is None:
            data = {"task": name, "state": wish.state, "by": report.by}
            data |= {} if wish.intent is None else {"intent": wish.intent}
            row = await asyncio.to_thread(self._lead, known.lead)
            if row is None:
                raise NotThere
            # The task's state is a part of it: what was answered before a timeout may be answered after it.
            event = self._event("clean_result", [name, known.state, wish.state, wish.intent], data, row)
            await self._desk.journal([event])
            known = await asyncio.to_thread(self._reads.task, name)
            assert known is not None
            refused = reported(known, report, self._clock.now()).refused
        if refused is Refused.FINAL:
            raise Decided(_task(known, None))
        return _task(known, None) | {"changed": refused is None or refused is Refused.REPEATED}

    async def number(self, name: str, *, by: str) -> Mapping[str, Any]:
        """Return the contact behind an open task for whoever calls, after it is durable that they asked.

        Raises:
            NotThere: No such task, no contact, or it was destroyed.
            NotAllowed: The task is over, or the customer wants no contact.
            NotApplied: It is journalled, and the centre's database is away.
        """
        task = await asyncio.to_thread(self._reads.task, name)
        row = None if task is None else await asyncio.to_thread(self._lead, task.lead)
        contact = None if row is None else await asyncio.to_thread(self._contact, row.customer)
        if task is None or row is None or contact is None:
            raise NotThere
        if row.do_not_contact or task.state in (State.DECIDED, State.TIMEOUT):
            raise NotAllowed(
                "The number is shown for a task that is open, and of nobody who wants no contact."
            )
        data = {"by": by, "purpose": "cleaning", "task": name}
        event = self._event("contact_reveal", [name, by, self._clock.now()], data, row)
        # Looked at first: what retention or an erasure has taken nobody sees, and nobody is said to have seen.
        fields = await self._unseal(contact)
        if fields is None:
            raise NotThere
        await self._desk.journal([event])
        return fields

    # ------------------------------------------------------------------ nurture

    async def preview(self, at: int | None, *, after: int, limit: int) -> dict[str, Any]:
        """Return who would get what at ``at`` (UTC ms; None: now), and for all others and each rule why not."""
        policy = self._centre().policy
        when = self._clock.now() if at is None else at
        page = await asyncio.to_thread(self._reads.preview, policy, when, after=after, limit=limit)
        return preview_body(page, policy, when)

    async def occasions(self) -> list[dict[str, Any]]:
        """Return the broadcasts and campaigns that are known of."""
        found = await asyncio.to_thread(self._reads.occasions, self._centre().policy)
        return [msgspec.to_builtins(each) for each in found]

    async def plan(self, wish: OccasionWish, *, by: str) -> list[dict[str, Any]]:
        """Plan a broadcast or a campaign, or move it, or call it off; return all that are known of.

        Raises:
            Unreadable: It ends before it opens.
            NotApplied: It is journalled, and the centre's database is away.
        """
        if wish.ends_at < wish.opens_at:
            raise Unreadable("it ends before it opens")
        data = msgspec.to_builtins(wish) | {"by": by}
        await self._desk.journal([self._event("occasion_change", [data, self._clock.now()], data)])
        return await self.occasions()

    async def sent(self, row: LeadRow, wish: TouchWish, *, by: str) -> None:
        """Note a message that a program of the owner's has sent; told again it is the same.

        Raises:
            NotApplied: It is journalled, and the centre's database is away.
        """
        data = {
            "rule": wish.rule,
            "channel": wish.channel,
            "about": wish.about,
            "capped": wish.capped,
            "by": by,
        }
        await self._desk.journal([self._event("touch_sent", [row.lead, wish.rule, wish.about], data, row)])

    # ------------------------------------------------------------------ events

    def _event(self, kind: str, what: object, data: dict[str, Any], row: LeadRow | None = None) -> Event:
        id = hashlib.blake2b(msgspec.json.encode(what), digest_size=10).hexdigest()
        return Event(
            id=f"{kind}-{id}"[:MAX_ID],
            platform=PLATFORM if row is None else row.platform,
            room=ROOM if row is None else row.room,
            kind=kind,
            at=self._clock.now(),
            lead=None if row is None else row.lead,
            data=data,
        )


def preview_body(page: Page, policy: CentrePolicy, at: int) -> dict[str, Any]:
    """Return a preview as people and programs read it, with reasons and texts in Chinese and English."""
    found, leads = page.found, page.leads

    def who(customer: str) -> dict[str, Any]:
        row = leads[customer]
        return {"customer": customer, "lead": row.lead, "name": row.name, "contact": row.masked}

    return {
        "at": at,
        "sends": policy.touch.send,
        "touches": [
            {**who(each.customer), "rule": each.rule, "channel": each.channel, "text": each.text}
            for each in found.touches
        ],
        "withheld": [
            {
                **who(each.customer),
                "rule": each.rule,
                "reason": each.reason,
                "zh": WITHHELD[each.reason][0],
                "en": WITHHELD[each.reason][1],
                "until": each.until,
            }
            for each in found.withheld
            if each.reason != "not_due"
        ],
        "counts": found.counts,
        "texts": {
            rule.text: {"zh": TEXTS[rule.text][0], "en": TEXTS[rule.text][1]}
            for rule in policy.touch_rules
            if rule.text in TEXTS
        },
        "next": page.next,
    }


def reader_sees(reader: Reader | None) -> Callable[[LeadRow], bool]:
    """Return which leads somebody sees: of a program (None) all."""
    return (lambda _: True) if reader is None else reader.sight.sees


def masked_key(key: str) -> str:
    """Return the beginning of an identity's key, and that there is more."""
    return f"{key[:SHOWN_OF_KEY]}…" if len(key) >= SHORTEST_MASKED else "…"


def _named(identity: ids.Identity | Identity) -> dict[str, str]:
    return {"kind": identity.kind, "key": identity.key}


def _link(link: Link) -> dict[str, Any]:
    return {
        "link": link.link,
        "a": {"kind": link.a_kind, "key": masked_key(link.a_key)},
        "b": {"kind": link.b_kind, "key": masked_key(link.b_key)},
        "source": link.source,
        "confidence": link.confidence,
        "at": link.at,
        "unlinked_at": link.unlinked_at,
        "unlinked_by": link.unlinked_by,
    }


def _consents(found: Any) -> list[dict[str, Any]]:
    words = last_words(found.consents)
    latest = {}
    for each in sorted(found.consents, key=lambda each: each.at):
        latest[each.purpose, each.channel] = each
    return [
        {
            "purpose": purpose,
            "channel": channel or None,
            "given": words[purpose, channel],
            "at": each.at,
            "source": each.source or None,
        }
        for (purpose, channel), each in sorted(latest.items())
    ]


def _task(task: CleanTask, row: LeadRow | None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "task": task.task,
        "lead": task.lead,
        "reason": task.reason,
        "state": task.state,
        "intent": task.intent,
        "by": task.by,
        "attempt": task.attempt,
        "created_at": task.created_at,
        "due_at": task.due_at,
        "settled_at": task.settled_at,
    }
    if row is not None:
        told |= {
            "name": row.name,
            "contact": row.masked,
            "words": row.words,
            "product": None if row.product is None else mask_numbers(row.product),
            "quality": f"Q{row.quality}",
            "faults": row.faults,
            "do_not_contact": row.do_not_contact,
        }
    return told
