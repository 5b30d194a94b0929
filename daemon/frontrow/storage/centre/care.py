"""What people and programs read of customers, of the cleaning queue and of nurture. Each call is one transaction that only reads."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from frontrow.core.centre import identities as ids
from frontrow.core.centre.book import CleanTask, Consent, Contact, Identity, LeadRow, Link, RawLead, TouchRow
from frontrow.core.centre.nursing import Page, occasions_of, previewed
from frontrow.core.centre.nurture import Occasion
from frontrow.core.centre.policy import CentrePolicy
from frontrow.storage.centre import tables
from frontrow.storage.centre.book import SqlBook, row_of, select_rows
from frontrow.storage.centre.database import answering


@dataclass(frozen=True)
class Customer:
    """All rows of one customer. ``links`` are those that stand and those that were taken away, oldest first."""

    identities: list[Identity]
    links: list[Link]
    contacts: list[Contact]
    consents: list[Consent]
    raws: list[RawLead]
    leads: list[LeadRow]
    touches: list[TouchRow]


@dataclass(frozen=True)
class WholePerson:
    """All that a person is known by: ``identities``, the one asked for first, and ``leads``, unique ones and raw ones.

    ``unsure`` are links that stand and join nobody: below the threshold, or through a number that too many viewers
    share. Who is at their other end is somebody else, until such a link is confirmed. ``seq`` is the last frame of
    the journal that this is known from.
    """

    identities: list[ids.Identity]
    leads: list[str]
    unsure: list[Link]
    seq: int


class CareReads:
    """Reads the database that the centre writes. Thread-safe. Every method raises DatabaseAway where it does not answer."""

    def __init__(self, engine: sa.Engine, store: bytes) -> None:
        self._engine = engine
        self._store = store

    def tasks(
        self, states: Sequence[str], *, after: tuple[int, str] | None = None, limit: int
    ) -> list[tuple[CleanTask, LeadRow | None]]:
        """Return tasks in these states with the leads they are about, the oldest first, behind (created at, task)."""
        c = tables.clean_tasks.c
        query = select_rows(CleanTask, c.state.in_(list(states)))
        if after is not None:
            query = query.where(sa.tuple_(c.created_at, c.task) > sa.tuple_(*after))
        with self._reading() as db:
            found = [
                row_of(CleanTask, row)
                for row in db.execute(query.order_by(c.created_at, c.task).limit(limit))
            ]
            where = tables.leads.c.lead.in_(sorted({task.lead for task in found}))
            leads = {
                row.lead: row
                for row in (row_of(LeadRow, each) for each in db.execute(select_rows(LeadRow, where)))
            }
        return [(task, leads.get(task.lead)) for task in found]

    def task(self, task: str) -> CleanTask | None:
        """Return a task, or None."""
        with self._reading() as db:
            row = db.execute(select_rows(CleanTask, tables.clean_tasks.c.task == task)).first()
        return None if row is None else row_of(CleanTask, row)

    def link(self, link: str) -> Link | None:
        """Return a link, also one that was taken away, or None."""
        with self._reading() as db:
            row = db.execute(select_rows(Link, tables.links.c.link == link)).first()
        return None if row is None else row_of(Link, row)

    def suggestions(self, below: float, *, limit: int) -> list[Link]:
        """Return links that stand and are not sure enough to join, the surest first."""
        c = tables.links.c
        query = select_rows(Link, c.confidence < below, c.unlinked_at.is_(None))
        with self._reading() as db:
            found = db.execute(query.order_by(c.confidence.desc(), c.at, c.link).limit(limit))
            return [row_of(Link, row) for row in found]

    def identities(self, customer: str) -> list[Identity]:
        """Return how a customer is known."""
        with self._book() as book:
            return book.identities_of(customer)

    def customer(self, customer: str) -> Customer | None:
        """Return all of one customer, or None where nobody has this name now."""
        with self._book() as book:
            identities = book.identities_of(customer)
            if not identities:
                return None
            links: dict[str, Link] = {}
            for each in identities:
                links.update((link.link, link) for link in book.links_of(each.kind, each.key))
            return Customer(
                identities=identities,
                links=sorted(links.values(), key=lambda link: (link.at, link.link)),
                contacts=[each for one in identities for each in book.contacts_of(one.kind, one.key)],
                consents=[each for one in identities for each in book.consents_of(one.kind, one.key)],
                raws=book.raws_of(customer),
                leads=book.leads_of(customer),
                touches=book.touches_of(customer),
            )

    def person(self, asked: ids.Identity) -> WholePerson:
        """Return all that somebody is known by, of whom one identity is known; that alone where the lead centre has never heard of it."""
        with self._book() as book:
            seq, row = book.position().seq, book.identity(asked.kind, asked.key)
            if row is None:
                return WholePerson([asked], [], [], seq)
            known = [ids.Identity(each.kind, each.key) for each in book.identities_of(row.customer)]
            links = {
                link.link: link
                for each in known
                for link in book.links_of(each.kind, each.key)
                if link.unlinked_at is None
            }
            mine = {(each.kind, each.key) for each in known}
            return WholePerson(
                [asked, *sorted(each for each in known if each != asked)],
                [
                    *(lead.lead for lead in book.founded_by(row.customer)),
                    *(raw.raw for raw in book.raws_of(row.customer)),
                ],
                [
                    link
                    for _, link in sorted(links.items())
                    if not {(link.a_kind, link.a_key), (link.b_kind, link.b_key)} <= mine
                ],
                seq,
            )

    def one_name(self, asked: ids.Identity) -> WholePerson:
        """Return the same of one name alone: the leads that it began."""
        with self._book() as book:
            seq, row = book.position().seq, book.identity(asked.kind, asked.key)
            raws = [] if row is None else book.raws_of(row.customer)
            own = {raw.raw for raw in raws if (raw.kind, raw.viewer) == (asked.kind, asked.key)}
            leads = [] if row is None else book.founded_by(row.customer)
            return WholePerson(
                [asked], [*(lead.lead for lead in leads if lead.raw in own), *sorted(own)], [], seq
            )

    def preview(self, policy: CentrePolicy, at: int, *, after: int, limit: int) -> Page:
        """Return who would get what; see :func:`previewed`."""
        with self._book() as book:
            return previewed(book, policy, at, after=after, limit=limit)

    def occasions(self, policy: CentrePolicy) -> tuple[Occasion, ...]:
        """Return the broadcasts and campaigns that are known of."""
        with self._book() as book:
            return occasions_of(book, policy.occasions)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with answering(), self._engine.connect() as db:
            yield db

    @contextlib.contextmanager
    def _book(self) -> Iterator[SqlBook]:
        with answering():
            book = SqlBook(self._engine, self._store)
            book.begin(writes=False)
            try:
                yield book
            finally:
                book.roll_back()
