"""The book: what the lead centre knows, as rows, and the port to wherever they are kept.

Rows are plain mutable objects. Whoever changes one says so with :meth:`Book.put`; what was put is written together, in
one transaction with the position in the journal (:meth:`Book.commit`). Texts that are personal (names, notes) are kept
for those who read and are never decided by: they may be destroyed.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

from frontrow.core.alerts import LeadFeedback
from frontrow.core.centre.ability import Cell
from frontrow.core.centre.nurture import Touch


@dataclass(slots=True)
class Position:
    """How far the centre has followed: ``seq`` the last frame applied, ``mark`` what names the journal up to there.

    ``now`` is engine time then (UTC ms), ``policy`` the version of the policy in force ("" before the first).
    """

    seq: int = 0
    mark: bytes = b""
    now: int = 0
    policy: str = ""


@dataclass(slots=True)
class Identity:
    """One way in which somebody is known. ``customer`` is whom it belongs to by the links that stand now."""

    kind: str
    key: str
    customer: str
    first_seen: int  # UTC ms


@dataclass(slots=True)
class Link:
    """That two identities are one person. ``unlinked_at`` None: it stands."""

    link: str
    a_kind: str
    a_key: str
    b_kind: str
    b_key: str
    source: str
    confidence: float
    at: int
    unlinked_at: int | None = None
    unlinked_by: str | None = None


@dataclass(slots=True)
class RawLead:
    """A raw lead as it was decided, never changed but for whom it belongs to. ``lead`` is the unique lead it went into.

    ``source`` "room": a viewer turned hot; "form": somebody left a contact. ``met`` is how it met its customer.
    """

    raw: str
    source: str
    platform: str
    room: str
    session: str | None
    kind: str  # of the identity …
    viewer: str  # … and its key
    customer: str
    lead: str
    store: str
    met: str
    grade: str
    quality: int
    points: int
    probability: float | None
    reasons: list[Any]
    decided_at: int
    host: str | None
    product: str | None
    campaign: str | None
    channel: str | None
    policy: str
    model: str | None
    name: str | None = None  # masked; personal
    words: str | None = None  # masked; personal
    faults: list[str] = field(default_factory=list)  # what was wrong with it when it came


@dataclass(slots=True)
class LeadRow:
    """A unique lead: one of a customer in a store. Times are UTC ms; None, and 0 of ``protected_until`` and its like: has not happened.

    Where it stands is what :class:`frontrow.core.centre.stages.LeadState` says, field by field; ``holder`` is its
    owner or, before anybody has claimed it, to whom it was offered. ``raw`` is the raw lead that began it: whose
    customer that is, its customer is. ``store`` "" is no store yet. ``merged_into`` names the lead that this one went
    into; such a row has no timer. ``sla`` is the version of the clock's policy that it is measured by. ``flags`` are
    what quality is decided from, sorted.
    """

    lead: str
    raw: str
    customer: str
    store: str
    number: int  # of all unique leads, in order
    platform: str
    room: str
    created_at: int
    hot_at: int  # of the raw lead that the present clock runs from
    grade: str
    quality: int
    points: int
    probability: float | None
    sla: str
    host: str | None = None
    product: str | None = None
    campaign: str | None = None
    channel: str | None = None
    taxonomy: str = ""  # path, parted by /
    country: str = ""
    province: str = ""
    city: str = ""
    flags: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)  # what is wrong with it, the gravest first
    raws: int = 1
    cycle: int = 1  # how often it was begun: a lost lead that comes back, a customer who buys again
    # Where it stands.
    status: str = "new"
    stage: str | None = None
    reached: list[str] = field(default_factory=list)
    owner: str | None = None
    offered_to: str | None = None
    awaits_approval: bool = False
    former: str | None = None
    protected_until: int = 0
    cooldown_until: int = 0
    reassignments: int = 0
    outcome: str | None = None
    reason: str | None = None
    closed_by: str | None = None
    review: str | None = None
    follow_up_at: int | None = None
    do_not_contact: bool = False
    # Who has it, and by which rule.
    holder: str | None = None
    team: str | None = None
    pool: str | None = None
    rule: str | None = None
    # The clock.
    assigned_at: int | None = None
    claimed_at: int | None = None
    responded_at: int | None = None
    due_at: int | None = None  # when the first answer is due, or the promised next one
    last_touch_at: int | None = None
    touches: int = 0
    breached_at: int | None = None
    breach: str | None = None  # the cause of the last breach
    breaches: int = 0
    # What its timeline says (:mod:`frontrow.core.centre.milestones`): when somebody had it for the first time;
    # whether it was called or written to, whether the customer answered, wrote or called; whether it was taken back,
    # released or handed over.
    had_at: int | None = None
    contacted: bool = False
    answered: bool = False
    taken_back: bool = False
    closed_at: int | None = None
    value: int | None = None  # minor units of what was sold
    churn_risk: int = 0  # 0 to 100, a count of warnings
    merged_into: str | None = None
    name: str | None = None  # masked; personal
    words: str | None = None  # masked; personal
    masked: str | None = None  # the contact, masked; personal
    entries: int = 0  # of its timeline …
    chain: str = ""  # … and the hash of them all
    version: int = 0  # counts changes: what a page compares


@dataclass(slots=True)
class TimerRow:
    """Something that is to happen to a lead at ``due_at`` unless it is taken off; ``number`` tells several of a kind apart."""

    lead: str
    kind: str
    number: int
    due_at: int


@dataclass(slots=True)
class Entry:
    """A line of a lead's timeline. ``actor`` is a seller's id, "rule:…", or "clock". ``note`` is personal."""

    lead: str
    number: int
    at: int
    kind: str
    actor: str
    data: dict[str, Any] = field(default_factory=dict)
    note: str | None = None


@dataclass(slots=True)
class Told:
    """A message that somebody is to get: one seller or manager (``to``), or programs that hear of all leads (``to`` None).

    ``key`` makes it one however often it is computed. ``purpose`` is that of an alert; ``event`` what has happened,
    where the purpose does not say it (``assigned``, ``claimed``, ``returned``, ``breached``, ``won`` …). ``cause`` is
    that of a breach. ``through`` are the ways in which the rule wants it told: "todo" every way that costs nothing,
    "sms" a text message.
    """

    key: str
    to: str | None
    purpose: str  # as an alert's
    lead: str
    at: int
    due_at: int | None = None
    event: str | None = None
    holder: str | None = None
    cause: str | None = None
    through: tuple[str, ...] = ("todo",)
    touch: Touch | None = None  # of nurture: what the customer is to get
    feedback: LeadFeedback | None = (
        None  # for the platform that ``raw``, one of the lead's raw leads, came from
    )
    raw: str | None = None


@dataclass(slots=True)
class Contact:
    """A contact that somebody left with consent: what may be known of it openly, and the rest sealed (personal). ``phone`` "": a number
    that nobody can read."""

    id: str  # of the event that brought it
    kind: str  # of the identity that left it …
    key: str
    phone: str  # keyed hash
    country: str
    province: str
    city: str
    masked: str | None
    sealed: str | None
    at: int
    form: str | None


@dataclass(slots=True)
class State:
    """A small state of one of the centre's parts, as JSON: whose turn it is, and the like."""

    name: str
    value: dict[str, Any]


@dataclass(slots=True)
class TurnRow:
    """Whose turn it is by one strategy in one team, or by one rule; ``body`` is the :class:`frontrow.core.centre.assignment.Rotation` as JSON."""

    rotation: str
    body: dict[str, Any]


@dataclass(slots=True)
class OrgRow:
    """One version of a unit ("unit") or of a seller ("seller") of the organisation; ``body`` is the record as JSON."""

    what: str
    id: str
    from_at: int
    body: dict[str, Any]


@dataclass(slots=True)
class Consent:
    """The last word of an identity on one purpose through one channel ("" any)."""

    kind: str
    key: str
    purpose: str
    channel: str
    given: bool
    at: int
    source: str


@dataclass(slots=True)
class Access:
    """That somebody was shown a contact."""

    id: str  # of the event
    lead: str
    customer: str
    by: str
    purpose: str
    at: int


@dataclass(slots=True)
class Cost:
    """What a channel cost on a day, which begins at ``day`` (UTC ms); ``amount`` in minor units."""

    channel: str
    day: int
    currency: str
    amount: int


@dataclass(slots=True)
class CleanTask:
    """A question about a lead that a person, or an outside service, is to answer. ``due_at`` None: nobody is at it."""

    task: str
    lead: str
    reason: str
    state: str
    intent: str | None
    by: str | None
    created_at: int
    settled_at: int | None
    attempt: int = 1
    due_at: int | None = None


@dataclass(slots=True)
class TouchRow:
    """A message of nurture that went to an identity's customer. ``by`` is who sent it: we, or a program of the owner's. ``result`` is what
    has come back of it: "waiting", "sent", or "refused", by every receiver that it was for."""

    touch: str
    kind: str  # of the identity …
    key: str
    lead: str
    rule: str
    channel: str
    text: str  # its name; "" where another program chose it
    about: str
    at: int
    capped: bool
    by: str
    result: str = "waiting"


class Book(Protocol):
    """What is known, for one owner. Reads see what was put before, written or not. Order: by number or by (time, id)."""

    def position(self) -> Position: ...
    def state(self, name: str) -> State | None: ...
    def leads_made(self) -> int:
        """Return how many unique leads there are."""

    def organisation(self) -> list[OrgRow]: ...
    def turns(self) -> list[TurnRow]: ...
    def open_leads(self) -> dict[str, int]:
        """Return how many open leads each seller has."""

    def closed_cells(self, since: int, before: int) -> list[Cell]:
        """Return what sellers made of their leads that were won or lost at ``since`` or later and before ``before`` (UTC ms).

        Strata are by what was known when a lead was made, never by what became of it.
        """

    def contact_of(self, customer: str) -> Contact | None:
        """Return the newest contact that a customer left with consent, one that can be called before others, or None."""

    def contacts_of(self, kind: str, key: str) -> list[Contact]: ...
    def consents_of(self, kind: str, key: str) -> list[Consent]: ...
    def tasks_of(self, lead: str) -> list[CleanTask]: ...
    def task(self, task: str) -> CleanTask | None: ...
    def cost(self, channel: str, day: int, currency: str) -> Cost | None: ...
    def identity(self, kind: str, key: str) -> Identity | None: ...
    def identities_of(self, customer: str) -> list[Identity]: ...
    def links_of(self, kind: str, key: str) -> list[Link]: ...
    def link(self, link: str) -> Link | None: ...
    def raw(self, raw: str) -> RawLead | None: ...
    def raws_of(self, customer: str) -> list[RawLead]: ...
    def lead(self, lead: str) -> LeadRow | None: ...
    def lead_of(self, customer: str, store: str) -> LeadRow | None:
        """Return the unique lead of a customer in a store that is not merged into another, or None."""

    def leads_of(self, customer: str) -> list[LeadRow]:
        """Return the leads of a customer in all stores that are not merged into others, oldest first."""

    def merged_into(self, lead: str) -> list[LeadRow]: ...
    def entries(self, lead: str) -> list[Entry]: ...
    def due(self, until: int) -> TimerRow | None:
        """Return the first timer (by due time, lead, kind, number) due at ``until`` or before, or None."""

    def timers_of(self, lead: str) -> list[TimerRow]: ...
    def founded_by(self, customer: str) -> list[LeadRow]:
        """Return all leads of a customer, those that are merged into others too, by number."""

    def touches_of(self, customer: str) -> list[TouchRow]:
        """Return what went to any identity of a customer, oldest first."""

    def touches_about(self, about: str) -> list[TouchRow]:
        """Return what went to anybody about one thing, oldest first."""

    def consented(self, after: int, limit: int) -> list[LeadRow]:
        """Return leads behind a number, in their order, whose customers have agreed to anything; not those merged into others."""

    def put(self, row: object) -> None: ...
    def remove(self, row: object) -> None:
        """Take a row away, a timer or a version of the organisation."""
