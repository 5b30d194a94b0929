"""The tables of the lead centre. One row class of :mod:`frontrow.core.centre.book` is one table, field by field.

The database is derived: the journal gives it again. What it holds of people beyond that (names, words, notes, sealed
contacts) is in columns of their own that nothing is decided by.

Texts have no length here: what is too long is refused or cut before it is decided by, the same for every database, of
which SQLite would ignore a length and Postgres refuse the row. They are ordered by their bytes in both.
"""

import sqlalchemy as sa
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

metadata = MetaData()

Millis = BigInteger  # UTC
Words = Text().with_variant(Text(collation="C"), "postgresql")

position = Table(
    "position",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("store", LargeBinary, nullable=False),  # which journal it follows
    Column("seq", BigInteger, nullable=False),
    Column("mark", LargeBinary, nullable=False),
    Column("now", Millis, nullable=False),
    Column("policy", Words, nullable=False),
)

states = Table(
    "states",
    metadata,
    Column("name", Words, primary_key=True),
    Column("value", JSON, nullable=False),
)

turns = Table(
    "turns",
    metadata,
    Column("rotation", Words, primary_key=True),
    Column("body", JSON, nullable=False),
)

organisation = Table(
    "organisation",
    metadata,
    Column("what", Words, primary_key=True),
    Column("id", Words, primary_key=True),
    Column("from_at", Millis, primary_key=True),
    Column("body", JSON, nullable=False),
)

identities = Table(
    "identities",
    metadata,
    Column("kind", Words, primary_key=True),
    Column("key", Words, primary_key=True),
    Column("customer", Words, nullable=False, index=True),
    Column("first_seen", Millis, nullable=False),
)

links = Table(
    "links",
    metadata,
    Column("link", Words, primary_key=True),
    Column("a_kind", Words, nullable=False),
    Column("a_key", Words, nullable=False),
    Column("b_kind", Words, nullable=False),
    Column("b_key", Words, nullable=False),
    Column("source", Words, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("at", Millis, nullable=False),
    Column("unlinked_at", Millis),
    Column("unlinked_by", Words),
    Index("links_of_a", "a_kind", "a_key"),
    Index("links_of_b", "b_kind", "b_key"),
)
_standing = links.c.unlinked_at.is_(None)
Index("links_by_confidence", links.c.confidence, sqlite_where=_standing, postgresql_where=_standing)

contacts = Table(
    "contacts",
    metadata,
    Column("id", Words, primary_key=True),
    Column("kind", Words, nullable=False),
    Column("key", Words, nullable=False),
    Column("phone", Words, nullable=False),
    Column("country", Words, nullable=False),
    Column("province", Words, nullable=False),
    Column("city", Words, nullable=False),
    Column("masked", Words),
    Column("sealed", Words),
    Column("at", Millis, nullable=False),
    Column("form", Words),
    Index("contacts_of_identity", "kind", "key", "at"),
)
_held = sa.or_(contacts.c.sealed.is_not(None), contacts.c.masked.is_not(None))
# This one and its like have what is personal and still there, by its age: what retention looks for.
Index("contacts_held", contacts.c.at, sqlite_where=_held, postgresql_where=_held)

consents = Table(
    "consents",
    metadata,
    Column("kind", Words, primary_key=True),
    Column("key", Words, primary_key=True),
    Column("purpose", Words, primary_key=True),
    Column("channel", Words, primary_key=True),
    Column("given", Boolean, nullable=False),
    Column("at", Millis, nullable=False),
    Column("source", Words, nullable=False),
)

raw_leads = Table(
    "raw_leads",
    metadata,
    Column("raw", Words, primary_key=True),
    Column("source", Words, nullable=False),
    Column("platform", Words, nullable=False),
    Column("room", Words, nullable=False),
    Column("session", Words),
    Column("kind", Words, nullable=False),
    Column("viewer", Words, nullable=False),
    Column("customer", Words, nullable=False, index=True),
    Column("lead", Words, nullable=False, index=True),
    Column("store", Words, nullable=False),
    Column("met", Words, nullable=False),
    Column("grade", Words, nullable=False),
    Column("quality", Integer, nullable=False),
    Column("points", Integer, nullable=False),
    Column("probability", Float),
    Column("reasons", JSON, nullable=False),
    Column("decided_at", Millis, nullable=False, index=True),
    Column("host", Words),
    Column("product", Words),
    Column("campaign", Words),
    Column("channel", Words),
    Column("policy", Words, nullable=False),
    Column("model", Words),
    Column("faults", JSON),
    Column("name", Words),
    Column("words", Words),
    Index("raw_leads_of_store", "store", "decided_at"),
    Index("raw_leads_of_room", "room", "decided_at"),
)
_named, _worded = raw_leads.c.name.is_not(None), raw_leads.c.words.is_not(None)
Index("raw_leads_named", raw_leads.c.decided_at, sqlite_where=_named, postgresql_where=_named)
Index("raw_leads_worded", raw_leads.c.decided_at, sqlite_where=_worded, postgresql_where=_worded)

leads = Table(
    "leads",
    metadata,
    Column("lead", Words, primary_key=True),
    Column("raw", Words, nullable=False),
    Column("customer", Words, nullable=False),
    Column("store", Words, nullable=False),
    Column("number", BigInteger, nullable=False, unique=True),
    Column("platform", Words, nullable=False),
    Column("room", Words, nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("hot_at", Millis, nullable=False),
    Column("grade", Words, nullable=False),
    Column("quality", Integer, nullable=False),
    Column("points", Integer, nullable=False),
    Column("probability", Float),
    Column("sla", Words, nullable=False),
    Column("host", Words),
    Column("product", Words),
    Column("campaign", Words),
    Column("channel", Words),
    Column("taxonomy", Words, nullable=False),
    Column("country", Words, nullable=False),
    Column("province", Words, nullable=False),
    Column("city", Words, nullable=False),
    Column("flags", JSON, nullable=False),
    Column("faults", JSON),
    Column("raws", Integer, nullable=False),
    Column("cycle", Integer, nullable=False),
    Column("status", Words, nullable=False),
    Column("stage", Words),
    Column("reached", JSON, nullable=False),
    Column("owner", Words),
    Column("offered_to", Words),
    Column("awaits_approval", Boolean, nullable=False),
    Column("former", Words),
    Column("protected_until", Millis, nullable=False),
    Column("cooldown_until", Millis, nullable=False),
    Column("reassignments", Integer, nullable=False),
    Column("outcome", Words),
    Column("reason", Words),
    Column("closed_by", Words),
    Column("review", Words),
    Column("follow_up_at", Millis),
    Column("do_not_contact", Boolean, nullable=False),
    Column("holder", Words),
    Column("team", Words),
    Column("pool", Words),
    Column("rule", Words),
    Column("assigned_at", Millis),
    Column("claimed_at", Millis),
    Column("responded_at", Millis),
    Column("due_at", Millis),
    Column("last_touch_at", Millis),
    Column("touches", Integer, nullable=False),
    Column("breached_at", Millis),
    Column("breach", Words),
    Column("breaches", Integer, nullable=False),
    Column("had_at", Millis),
    Column("contacted", Boolean, nullable=False, server_default=sa.false()),
    Column("answered", Boolean, nullable=False, server_default=sa.false()),
    Column("taken_back", Boolean, nullable=False, server_default=sa.false()),
    Column("closed_at", Millis),
    Column("value", BigInteger),
    Column("churn_risk", Integer, nullable=False),
    Column("merged_into", Words),
    Column("name", Words),
    Column("words", Words),
    Column("masked", Words),
    Column("entries", Integer, nullable=False),
    Column("chain", Words, nullable=False),
    Column("version", Integer, nullable=False),
    Index("leads_of_customer", "customer"),
    Index("leads_by_time", "created_at", "lead"),
    Index("leads_of_store", "store", "created_at"),
)
_open = sa.and_(leads.c.closed_at.is_(None), leads.c.merged_into.is_(None))
_closed = sa.and_(leads.c.closed_at.is_not(None), leads.c.merged_into.is_(None))


def _some(name: str, which: sa.ColumnElement[bool], *columns: str, unique: bool = False) -> None:
    """Make an index of those leads alone for which a condition holds, so that it is as large as they are many."""
    Index(
        name,
        *(leads.c[column] for column in columns),
        unique=unique,
        sqlite_where=which,
        postgresql_where=which,
    )


_some("one_lead_per_customer_and_store", leads.c.merged_into.is_(None), "customer", "store", unique=True)
_some("leads_merged", leads.c.merged_into.is_not(None), "merged_into")
# What somebody has open, the most urgent first (of nobody: what is in the queues and the pools), and the same once it
# is closed.
_some("open_of_holder", _open, "holder", "due_at", "number")
_some("open_of_team", _open, "team", "due_at", "number")
_some("open_by_urgency", _open, "due_at", "number")
_some("closed_of_holder", _closed, "holder", "closed_at", "number")
_some("closed_of_nobody", sa.and_(_closed, leads.c.holder.is_(None)), "closed_at", "number")
_some("closed_of_team", _closed, "team", "closed_at", "number")
_some("closed_by_time", _closed, "closed_at", "number")

# Leads that were closed in a time, which a state says, by seller and stratum (:mod:`frontrow.core.centre.ability`).
closed_cells = Table(
    "closed_cells",
    metadata,
    Column("seller", Words, primary_key=True),
    Column("stratum", Words, primary_key=True),
    Column("leads", Integer, nullable=False),
    Column("wins", Integer, nullable=False),
)

timers = Table(
    "timers",
    metadata,
    Column("lead", Words, primary_key=True),
    Column("kind", Words, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("due_at", Millis, nullable=False),
    Index("timers_due", "due_at", "lead", "kind", "number"),
)

timeline = Table(
    "timeline",
    metadata,
    Column("lead", Words, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", Millis, nullable=False),
    Column("kind", Words, nullable=False),
    Column("actor", Words, nullable=False),
    Column("data", JSON, nullable=False),
    Column("note", Words),
    # Of the time alone: with a kind before it, a question about one lead's timeline is taken to it by SQLite, and
    # reads everybody's.
    Index("timeline_by_time", "at"),
)
_paid = timeline.c.kind == sa.literal_column("'order_paid'")
Index("orders_of_lead", timeline.c.lead, timeline.c.at, sqlite_where=_paid, postgresql_where=_paid)
_noted = timeline.c.note.is_not(None)
Index("timeline_noted", timeline.c.at, sqlite_where=_noted, postgresql_where=_noted)

accesses = Table(
    "accesses",
    metadata,
    Column("id", Words, primary_key=True),
    Column("lead", Words, nullable=False, index=True),
    Column("customer", Words, nullable=False, index=True),
    Column("by", Words, nullable=False),
    Column("purpose", Words, nullable=False),
    Column("at", Millis, nullable=False, index=True),
)

clean_tasks = Table(
    "clean_tasks",
    metadata,
    Column("task", Words, primary_key=True),
    Column("lead", Words, nullable=False, index=True),
    Column("reason", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("intent", Words),
    Column("by", Words),
    Column("created_at", Millis, nullable=False),
    Column("settled_at", Millis),
    Column("attempt", Integer, nullable=False, server_default="1"),
    Column("due_at", Millis),
    Index("clean_tasks_by_state", "state", "created_at"),
)

# What is counted of rooms (:mod:`frontrow.core.centre.room_facts`), field by field of its rows.
room_facts = Table(
    "room_facts",
    metadata,
    Column("platform", Words, primary_key=True),
    Column("room", Words, primary_key=True),
    Column("session", Words, primary_key=True),
    Column("hour", Millis, primary_key=True),
    Column("host", Words, primary_key=True),
    Column("events", BigInteger, nullable=False),
    Column("heard", BigInteger, nullable=False),
    Column("duplicates", BigInteger, nullable=False),
    Column("overflow", BigInteger, nullable=False),
    Column("gaps", BigInteger, nullable=False),
    Column("span_ms", BigInteger, nullable=False),
    Column("gap_ms", BigInteger, nullable=False),
    Column("comments", BigInteger, nullable=False),
    Column("questions", BigInteger, nullable=False),
    Column("answered", BigInteger, nullable=False),
    Column("likes", BigInteger, nullable=False),
    Column("gift_value", BigInteger, nullable=False),
    Column("clicks", BigInteger, nullable=False),
    Column("carts", BigInteger, nullable=False),
    Column("viewers", BigInteger, nullable=False),
    Column("returners", BigInteger, nullable=False),
    Column("clickers", BigInteger, nullable=False),
    Column("carters", BigInteger, nullable=False),
    Column("form_viewers", BigInteger, nullable=False),
    Column("price_viewers", BigInteger, nullable=False),
    Column("dwell_observed", BigInteger, nullable=False),
    Column("dwell_inferred", BigInteger, nullable=False),
    Column("peak", BigInteger),
    Column("lag", JSON, nullable=False),
    Column("dwell", JSON, nullable=False),
    Index("room_facts_by_time", "hour"),
)

# What the counting has in memory, so that a restart goes on with it: viewers of sessions that go on, as the platforms
# name them.
room_memory = Table(
    "room_memory",
    metadata,
    Column("platform", Words, primary_key=True),
    Column("room", Words, primary_key=True),
    Column("session", Words, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

costs = Table(
    "costs",
    metadata,
    Column("channel", Words, primary_key=True),
    Column("day", Millis, primary_key=True),  # when it begins
    Column("currency", Words, primary_key=True),
    Column("amount", BigInteger, nullable=False),
)
Index("costs_by_day", costs.c.day)

touches = Table(
    "touches",
    metadata,
    Column("touch", Words, primary_key=True),
    Column("kind", Words, nullable=False),
    Column("key", Words, nullable=False),
    Column("lead", Words, nullable=False, index=True),
    Column("rule", Words, nullable=False),
    Column("channel", Words, nullable=False),
    Column("text", Words, nullable=False),
    Column("about", Words, nullable=False, index=True),
    Column("at", Millis, nullable=False),
    Column("capped", Boolean, nullable=False),
    Column("by", Words, nullable=False),
    Column("result", Words, nullable=False, server_default="waiting"),
    Index("touches_of_identity", "kind", "key", "at"),
)
