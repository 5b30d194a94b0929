"""Nurture over the book: what is known of a customer there, what they had, and when to look at them again.

Who gets what is decided by :mod:`nurture`. Here is what it asks, read from rows by what a customer is now: so what
was merged counts together, and parts again. Nobody is looked at on every day: each customer has one moment at which
something may have become due, and an occasion (a broadcast, a campaign) is brought to customers in slices.

"Seen" is what the lead centre hears of: a raw lead, a contact, a touch of a seller. Mere presence in a room is the
engine's.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from frontrow.core.centre import identities as ids
from frontrow.core.centre.book import (
    Book,
    Consent,
    Contact,
    Identity,
    LeadRow,
    RawLead,
    State,
    TimerRow,
    TouchRow,
)
from frontrow.core.centre.nurture import (
    DAY_MS,
    TOUCH_CHANNELS,
    CustomerFacts,
    Occasion,
    Preview,
    SentTouch,
    Touch,
    TouchChannel,
    TouchRule,
    Withheld,
    due_touches,
    preview,
)
from frontrow.core.centre.policy import CentrePolicy
from frontrow.core.errors import EventInvalid
from frontrow.core.events import MAX_NAME

LOOK, SWEEP = (
    "nurture",
    "sweep",
)  # kinds of timers: of a lead whose customer is to be looked at, and of all customers
SWEEPS = "sweeps"  # the state in which those that are under way are kept
OURS = "frontrow"  # who has sent a message
WAITING, SENT, REFUSED = "waiting", "sent", "refused"  # what has come back of it
OCCASIONS = "occasions"  # the state in which those that were told of are kept
SLICE = 100  # customers to whom an occasion is brought at once …
SLICE_MS = 2_000  # … and the engine time until the next ones: leads are not kept waiting by a campaign
CONTACT = "contact"  # the purpose of whoever leaves a number to be called
CLOCK = "clock"  # the actor of what nobody did
SERVICE = "service"  # and of an answer to that, which needs no other consent


class Reads(Protocol):
    """What is read of the book; see :class:`frontrow.core.centre.book.Book`."""

    def state(self, name: str) -> State | None: ...
    def identities_of(self, customer: str) -> list[Identity]: ...
    def contacts_of(self, kind: str, key: str) -> list[Contact]: ...
    def consents_of(self, kind: str, key: str) -> list[Consent]: ...
    def raws_of(self, customer: str) -> list[RawLead]: ...
    def leads_of(self, customer: str) -> list[LeadRow]: ...
    def founded_by(self, customer: str) -> list[LeadRow]: ...
    def touches_of(self, customer: str) -> list[TouchRow]: ...
    def touches_about(self, about: str) -> list[TouchRow]: ...


def last_words(consents: Iterable[Consent]) -> dict[tuple[str, str], bool]:
    """Return by (purpose, channel) what was said last, through whichever identity; of two at one moment the refusal."""
    said: dict[tuple[str, str], tuple[int, bool]] = {}
    for each in consents:
        key = (each.purpose, each.channel)
        word = (each.at, not each.given)
        said[key] = max(said.get(key, word), word)
    # A word on every channel goes before an older one on a single channel.
    return {
        (purpose, channel): not max(word, said.get((purpose, ""), word))[1]
        for (purpose, channel), word in said.items()
    }


def facts_of(book: Reads, customer: str, policy: CentrePolicy) -> CustomerFacts:
    """Return what nurture may know of a customer."""
    identities = book.identities_of(customer)
    contacts = [each for one in identities for each in book.contacts_of(one.kind, one.key) if each.phone]
    contact = max(contacts, key=lambda each: (each.at, each.id), default=None)
    words = last_words(each for one in identities for each in book.consents_of(one.kind, one.key))
    leads = book.leads_of(customer)
    latest = max(leads, key=lambda row: (row.hot_at, row.number), default=None)
    talked = [row.last_touch_at for row in leads if row.last_touch_at is not None]
    seen = [raw.decided_at for raw in book.raws_of(customer)] + [each.at for each in contacts] + talked
    kinds = {one.kind for one in identities}
    reached: dict[TouchChannel, bool] = {
        "sms": contact is not None,
        "wechat": bool(kinds & {ids.WECOM, ids.CRM}),
        "email": ids.CRM in kinds,
    }
    agreed = sorted(
        f"{purpose}:{channel}" if channel else purpose for (purpose, channel), is_so in words.items() if is_so
    )
    if CONTACT in agreed:
        agreed.append(SERVICE)
    return CustomerFacts(
        customer=customer,
        grade="cold" if latest is None else latest.grade,  # type: ignore[arg-type]  # a column of grades
        lead=None if latest is None else latest.lead,
        status="new" if latest is None else latest.status,  # type: ignore[arg-type]  # a column of statuses
        talked_at=max(talked, default=None),
        contact=None if contact is None else contact.phone,
        contact_at=None if contact is None else contact.at,
        seen_at=max(seen, default=None),
        consents=tuple(agreed),
        channels=tuple(channel for channel in policy.touch_channels if reached[channel]),
        opted_out=tuple(
            channel
            for channel in reached
            if any(
                said == channel and not is_so and words.get((purpose, "")) is not False
                for (purpose, said), is_so in words.items()
            )
        ),
        interests=tuple(sorted({tuple(row.taxonomy.split("/")) for row in leads if row.taxonomy})),
        do_not_contact=words.get((CONTACT, "")) is False
        or any(row.do_not_contact for row in book.founded_by(customer)),
    )


def history_of(book: Reads, facts: CustomerFacts) -> list[SentTouch]:
    """Return what a customer had, under all the names that are theirs now, and what went to their number, whosever it was then."""
    rows = {row.touch: row for row in book.touches_of(facts.customer)}
    sent = [_sent(row, facts.customer) for row in rows.values()]
    if facts.contact is not None:
        about = f"contact:{facts.contact}"
        sent += [_sent(row, "") for row in book.touches_about(about) if row.touch not in rows]
    return sent


def _sent(row: TouchRow, customer: str) -> SentTouch:
    channel: TouchChannel = row.channel  # type: ignore[assignment]  # a column of channels
    return SentTouch(
        rule=row.rule,
        customer=customer,
        channel=channel,
        about=row.about,
        at=row.at,
        capped=row.capped,
        refused=row.result == REFUSED,
    )


def occasions_of(book: Reads, planned: Iterable[Occasion]) -> tuple[Occasion, ...]:
    """Return the occasions that the policy plans, and those that events have told of, of which the last word holds."""
    found = {(each.kind, each.occasion): each for each in planned}
    known = book.state(OCCASIONS)
    for body in [] if known is None else known.value.values():
        told = read_occasion(body)
        found[told.kind, told.occasion] = told
    return tuple(sorted(found.values(), key=lambda each: (each.opens_at, each.kind, each.occasion)))


def read_occasion(data: object) -> Occasion:
    """Return the occasion that JSON values tell of.

    Raises:
        ValidationError, ValueError: They tell of none.
    """
    told = msgspec.convert(data, Occasion)
    if not 0 < len(told.occasion) <= MAX_NAME or told.ends_at < told.opens_at:
        raise ValueError("an occasion has a name, and ends after it opens")
    return told


@dataclass(frozen=True)
class Judged:
    """What is known of a customer, what they had, and what is due for them now or withheld."""

    facts: CustomerFacts
    history: list[SentTouch]
    decided: list[Touch | Withheld]


def judged(
    book: Reads, customer: str, policy: CentrePolicy, occasions: Sequence[Occasion], at: int
) -> Judged:
    """Return what a customer gets at ``at`` (UTC ms), and why they do not get the rest of what is due."""
    facts = facts_of(book, customer, policy)
    history = history_of(book, facts)
    rules, limits = policy.touch_rules, policy.touch
    return Judged(
        facts, history, due_touches([facts], rules, history, at, occasions=occasions, limits=limits)
    )


def next_look(found: Judged, rules: Sequence[TouchRule], at: int) -> int | None:
    """Return when something may be due that is not at ``at`` (UTC ms); None: not before something happens to the customer.

    Of occasions nothing is said here: they are brought to customers.
    """
    facts = found.facts
    if facts.do_not_contact:
        return None
    times = [each.until for each in found.decided if isinstance(each, Withheld) and each.until is not None]
    past = found.history + [each.sent(at) for each in found.decided if isinstance(each, Touch)]
    for rule in rules:
        begins = None if facts.contact_at is None else facts.contact_at + 1000 * rule.delay_s
        match rule.point:
            case "welcome" if begins is not None:
                times.append(begins)
            case "content" if begins is not None:
                turns = [
                    each.at for each in past if each.rule == rule.name and each.customer == facts.customer
                ]
                times.append(max(turns) + (rule.every_days or 0) * DAY_MS if turns else begins)
            case "dormant" if facts.seen_at is not None:
                times.append(facts.seen_at + (rule.silent_days or 0) * DAY_MS)
            case _:
                pass
    return min((each for each in times if each > at), default=None)


@dataclass(frozen=True)
class Hands:
    """What the lead centre lends: a line on a lead's timeline, that a lead has changed, a message that is to go out, and the policy."""

    note: Callable[[LeadRow, str, str, int, Mapping[str, Any]], None]
    changed: Callable[[LeadRow], None]
    tell: Callable[[LeadRow, Touch, str, int], None]
    policy: Callable[[], CentrePolicy]


class Nurse:
    """Looks after customers when their moment has come, and brings occasions to them. Part of one lead centre."""

    def __init__(self, book: Book, hands: Hands) -> None:
        self._book = book
        self._hands = hands

    @property
    def at_work(self) -> bool:
        """Whether anything is to be sent at all."""
        policy = self._hands.policy()
        return policy.touch.send and bool(policy.touch_rules)

    def stir(self, customer: str, at: int) -> None:
        """Look at a customer at once: something has happened to them."""
        if self.at_work:
            latest = max(
                self._book.leads_of(customer), key=lambda row: (row.hot_at, row.number), default=None
            )
            if latest is not None:
                self._book.put(TimerRow(latest.lead, LOOK, 0, at))

    def look(self, row: LeadRow, at: int) -> None:
        """Decide what the customer of a lead gets now, and when to look again."""
        if not self.at_work:
            return
        policy, book = self._hands.policy(), self._book
        occasions = occasions_of(book, policy.occasions)
        found = judged(book, row.customer, policy, occasions, at)
        named = found.facts.lead
        lead = row if named is None or named == row.lead else book.lead(named)
        assert lead is not None
        for each in found.decided:
            if isinstance(each, Touch):
                self._send(lead, each, at)
        again = next_look(found, policy.touch_rules, at)
        if again is not None:
            book.put(TimerRow(lead.lead, LOOK, 0, again))

    def _send(self, row: LeadRow, touch: Touch, at: int) -> None:
        founder = self._book.raw(row.raw)
        assert founder is not None
        name = touch_id(touch.rule, ids.Identity(founder.kind, founder.viewer), touch.about)
        self._book.put(
            TouchRow(
                touch=name,
                kind=founder.kind,
                key=founder.viewer,
                lead=row.lead,
                rule=touch.rule,
                channel=touch.channel,
                text=touch.text,
                about=touch.about,
                at=at,
                capped=touch.capped,
                by=OURS,
            )
        )
        told = {"rule": touch.rule, "channel": touch.channel, "text": touch.text}
        self._hands.note(row, "nurture", f"rule:{touch.rule}", at, told)
        self._hands.tell(row, touch, name, at)
        self._hands.changed(row)

    def heard(self, row: LeadRow, id: str, data: Mapping[str, Any], at: int) -> None:
        """Note a message that another program of the owner's has sent to the customer of a lead: it counts like ours.

        Raises:
            EventInvalid: It does not say what was sent.
        """
        texts = {name: data.get(name) for name in ("rule", "channel", "about", "by")}
        rule, channel, capped = texts["rule"], texts["channel"], data.get("capped", True)
        known = all(
            each is None or (isinstance(each, str) and 0 < len(each) <= MAX_NAME) for each in texts.values()
        )
        if not known or rule is None or channel not in TOUCH_CHANNELS or not isinstance(capped, bool):
            raise EventInvalid("it does not say by which rule and on which channel")
        founder = self._book.raw(row.raw)
        assert founder is not None
        by = texts["by"] or "program"
        about = texts["about"] or f"event:{id}"
        identity = ids.Identity(founder.kind, founder.viewer)
        name = touch_id(rule, identity, about)
        if any(each.touch == name for each in self._book.touches_of(row.customer)):
            return  # told again, or of what we have decided ourselves
        self._book.put(
            TouchRow(
                name, identity.kind, identity.key, row.lead, rule, channel, "", about, at, capped, by, SENT
            )
        )
        self._hands.note(row, "nurture", by, at, {"rule": rule, "channel": channel})
        self._hands.changed(row)

    def came_back(self, row: LeadRow, data: Mapping[str, Any], at: int) -> None:
        """Note what became of a message to the customer of a lead. Taken by one of several receivers, it was sent.

        Raises:
            EventInvalid: There is no such message, or it does not say what became of it.
        """
        name, result = data.get("touch"), data.get("result")
        touch = next((each for each in self._book.touches_of(row.customer) if each.touch == name), None)
        if touch is None or result not in (SENT, REFUSED):
            raise EventInvalid("it tells of no message")
        if touch.result == result or touch.result == SENT:
            return
        touch.result = str(result)
        self._book.put(touch)
        if result == REFUSED:
            told = {"rule": touch.rule, "channel": touch.channel, "text": touch.text or None}
            self._hands.note(row, "nurture_refused", CLOCK, at, told)
            self._hands.changed(row)
            self.stir(row.customer, at)  # what it stood in the way of may go out now

    # ------------------------------------------------------------------ occasions

    def plan(self, data: Mapping[str, Any], at: int) -> None:
        """Take word of a broadcast or a campaign; the last word on one holds, and one that ends at once is called off.

        Raises:
            EventInvalid: It tells of none.
        """
        try:
            told = read_occasion({name: value for name, value in data.items() if name != "by"})
        except ValueError as error:
            raise EventInvalid("it tells of no occasion") from error
        book, name = self._book, f"{told.kind}:{told.occasion}"
        known = book.state(OCCASIONS) or State(OCCASIONS, {})
        kept = {each: body for each, body in known.value.items() if body["ends_at"] > at}
        known.value = {**kept, name: msgspec.to_builtins(told)}
        book.put(known)
        self._announce(told, at)

    def begins(self, platform: str, room: str, began: int, at: int) -> None:
        """Hear that a broadcast has begun in a room at ``began`` (UTC ms): an occasion, where a rule says so. While one of the room lasts, another
        beginning is the same one: a feed that was cut off tells it again."""
        policy = self._hands.policy()
        id = policy.room_id(platform, room)
        rule = policy.broadcast_of(id)
        ends_at = began + 1000 * (0 if rule is None else rule.for_s)
        name = room_occasion(id)
        lasting = {each.named for each in occasions_of(self._book, ()) if each.ends_at > at}
        if rule is None or ends_at <= at or name in lasting:
            return
        lines = [line.split("/") for line in rule.lines]
        told = {"kind": "invitation", "occasion": f"{name}@{began}", "opens_at": began, "ends_at": ends_at}
        self.plan(told | {"lines": lines}, at)

    def policy_changed(self, before: CentrePolicy, at: int) -> None:
        """Hear of another policy: who gets what may be different for everybody."""
        policy = self._hands.policy()
        if not self.at_work:
            return
        for each in policy.occasions:
            self._announce(each, at)
        if (before.touch, before.touch_rules) != (policy.touch, policy.touch_rules):
            self._sweep("policy", at)

    def _announce(self, occasion: Occasion, at: int) -> None:
        if occasion.ends_at > at:
            self._sweep(f"{occasion.kind}:{occasion.occasion}", max(at, occasion.opens_at))

    def _sweep(self, why: str, at: int) -> None:
        """Look at every customer who has agreed to anything, from ``at`` on, a slice at a time."""
        known = self._book.state(SWEEPS) or State(SWEEPS, {})
        number = next(
            (int(number) for number, sweep in known.value.items() if sweep["why"] == why),
            1 + max(map(int, known.value), default=0),
        )
        known.value = {**known.value, str(number): {"why": why, "after": 0}}
        self._book.put(known)
        self._book.put(TimerRow("", SWEEP, number, at))

    def sweep(self, timer: TimerRow) -> None:
        """Do the next slice of a sweep."""
        known = self._book.state(SWEEPS)
        sweep = None if known is None else known.value.get(str(timer.number))
        if known is None or sweep is None:
            return
        rows = self._book.consented(sweep["after"], SLICE) if self.at_work else []
        for row in rows:
            self.look(row, timer.due_at)
        rest = {number: each for number, each in known.value.items() if number != str(timer.number)}
        if len(rows) == SLICE:
            rest[str(timer.number)] = {**sweep, "after": rows[-1].number}
            self._book.put(TimerRow("", SWEEP, timer.number, timer.due_at + SLICE_MS))
        known.value = rest
        self._book.put(known)


def room_occasion(room: str) -> str:
    """Return what the occasions are named that a room's broadcasts make as they begin, each behind an @ the moment."""
    return f"room:{room}"[: MAX_NAME - 20]


def touch_id(rule: str, identity: ids.Identity, about: str) -> str:
    """Return what names a message: the same however often it is decided."""
    framed = "\x1f".join(f"{len(part)}:{part}" for part in (rule, identity.kind, identity.key, about))
    return "T" + hashlib.blake2b(framed.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()


@dataclass(frozen=True)
class Page:
    """A page of a preview: leads by customer, what they would get and why not, and where the next page begins; None: nowhere."""

    leads: dict[str, LeadRow]
    found: Preview
    next: int | None


def previewed(book: Book, policy: CentrePolicy, at: int, *, after: int = 0, limit: int) -> Page:
    """Return who would get what at ``at`` (UTC ms), of the customers who have agreed to anything; nobody else gets a thing.

    ``after`` is a lead's number, and ``limit`` how many leads are looked at. What is known is what is known now.
    Sends nothing.
    """
    rows = book.consented(after, limit)
    leads: dict[str, LeadRow] = {}
    facts: list[CustomerFacts] = []
    history: list[SentTouch] = []
    for row in rows:
        known = facts_of(book, row.customer, policy)
        if known.lead == row.lead:  # of a customer with several, on the page of the latest
            leads[row.customer] = row
            facts.append(known)
            history += history_of(book, known)
    occasions = occasions_of(book, policy.occasions)
    found = preview(facts, policy.touch_rules, history, at, occasions=occasions, limits=policy.touch)
    return Page(leads, found, rows[-1].number if len(rows) == limit else None)
