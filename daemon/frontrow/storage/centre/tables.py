"""The tables of the lead centre. One row class of :mod:`frontrow.core.centre.book` is one table, field by field.

The database is derived: the journal gives it again. What it holds of people beyond that (names, words, notes, sealed
contacts) is in columns of their own that nothing is decided by.
"""

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
    String,
    Table,
    Text,
)

metadata = MetaData()

Millis = BigInteger  # UTC

position = Table(
    "position",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("store", LargeBinary, nullable=False),  # which journal it follows
    Column("seq", BigInteger, nullable=False),
    Column("mark", LargeBinary, nullable=False),
    Column("now", Millis, nullable=False),
    Column("policy", String(64), nullable=False),
)

states = Table(
    "states",
    metadata,
    Column("name", String(256), primary_key=True),
    Column("value", JSON, nullable=False),
)

organisation = Table(
    "organisation",
    metadata,
    Column("what", String(16), primary_key=True),
    Column("id", String(256), primary_key=True),
    Column("from_at", Millis, primary_key=True),
    Column("body", JSON, nullable=False),
)

identities = Table(
    "identities",
    metadata,
    Column("kind", String(320), primary_key=True),
    Column("key", String(512), primary_key=True),
    Column("customer", String(32), nullable=False, index=True),
    Column("first_seen", Millis, nullable=False),
)

links = Table(
    "links",
    metadata,
    Column("link", String(1024), primary_key=True),
    Column("a_kind", String(320), nullable=False),
    Column("a_key", String(512), nullable=False),
    Column("b_kind", String(320), nullable=False),
    Column("b_key", String(512), nullable=False),
    Column("source", String(256), nullable=False),
    Column("confidence", Float, nullable=False),
    Column("at", Millis, nullable=False),
    Column("unlinked_at", Millis),
    Column("unlinked_by", String(256)),
    Index("links_of_a", "a_kind", "a_key"),
    Index("links_of_b", "b_kind", "b_key"),
)

contacts = Table(
    "contacts",
    metadata,
    Column("id", String(1024), primary_key=True),
    Column("kind", String(320), nullable=False),
    Column("key", String(512), nullable=False),
    Column("phone", String(64), nullable=False),
    Column("country", String(8), nullable=False),
    Column("province", String(64), nullable=False),
    Column("city", String(64), nullable=False),
    Column("masked", String(64)),
    Column("sealed", Text),
    Column("at", Millis, nullable=False),
    Column("form", String(256)),
    Index("contacts_of_identity", "kind", "key", "at"),
)

consents = Table(
    "consents",
    metadata,
    Column("kind", String(320), primary_key=True),
    Column("key", String(512), primary_key=True),
    Column("purpose", String(64), primary_key=True),
    Column("channel", String(64), primary_key=True),
    Column("given", Boolean, nullable=False),
    Column("at", Millis, nullable=False),
    Column("source", String(256), nullable=False),
)

raw_leads = Table(
    "raw_leads",
    metadata,
    Column("raw", String(32), primary_key=True),
    Column("source", String(16), nullable=False),
    Column("platform", String(256), nullable=False),
    Column("room", String(256), nullable=False),
    Column("session", String(256)),
    Column("kind", String(320), nullable=False),
    Column("viewer", String(512), nullable=False),
    Column("customer", String(32), nullable=False, index=True),
    Column("lead", String(32), nullable=False, index=True),
    Column("store", String(256), nullable=False),
    Column("met", String(32), nullable=False),
    Column("grade", String(8), nullable=False),
    Column("quality", Integer, nullable=False),
    Column("points", Integer, nullable=False),
    Column("probability", Float),
    Column("reasons", JSON, nullable=False),
    Column("decided_at", Millis, nullable=False, index=True),
    Column("host", String(256)),
    Column("product", String(256)),
    Column("campaign", String(256)),
    Column("channel", String(256)),
    Column("policy", String(64), nullable=False),
    Column("model", String(64)),
    Column("name", String(256)),
    Column("words", Text),
)

leads = Table(
    "leads",
    metadata,
    Column("lead", String(32), primary_key=True),
    Column("raw", String(32), nullable=False),
    Column("customer", String(32), nullable=False),
    Column("store", String(256), nullable=False),
    Column("number", BigInteger, nullable=False, unique=True),
    Column("platform", String(256), nullable=False),
    Column("room", String(256), nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("hot_at", Millis, nullable=False),
    Column("grade", String(8), nullable=False),
    Column("quality", Integer, nullable=False),
    Column("points", Integer, nullable=False),
    Column("probability", Float),
    Column("sla", String(128), nullable=False),
    Column("host", String(256)),
    Column("product", String(256)),
    Column("campaign", String(256)),
    Column("channel", String(256)),
    Column("taxonomy", String(256), nullable=False),
    Column("country", String(8), nullable=False),
    Column("province", String(64), nullable=False),
    Column("city", String(64), nullable=False),
    Column("flags", JSON, nullable=False),
    Column("raws", Integer, nullable=False),
    Column("cycle", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("stage", String(64)),
    Column("reached", JSON, nullable=False),
    Column("owner", String(256)),
    Column("offered_to", String(256)),
    Column("awaits_approval", Boolean, nullable=False),
    Column("former", String(256)),
    Column("protected_until", Millis, nullable=False),
    Column("cooldown_until", Millis, nullable=False),
    Column("reassignments", Integer, nullable=False),
    Column("outcome", String(64)),
    Column("reason", String(64)),
    Column("closed_by", String(256)),
    Column("review", String(16)),
    Column("follow_up_at", Millis),
    Column("do_not_contact", Boolean, nullable=False),
    Column("holder", String(256)),
    Column("team", String(256)),
    Column("pool", String(256)),
    Column("rule", String(256)),
    Column("assigned_at", Millis),
    Column("claimed_at", Millis),
    Column("responded_at", Millis),
    Column("due_at", Millis),
    Column("last_touch_at", Millis),
    Column("touches", Integer, nullable=False),
    Column("breached_at", Millis),
    Column("breach", String(32)),
    Column("breaches", Integer, nullable=False),
    Column("closed_at", Millis),
    Column("value", BigInteger),
    Column("churn_risk", Integer, nullable=False),
    Column("merged_into", String(32), index=True),
    Column("name", String(256)),
    Column("words", Text),
    Column("masked", String(64)),
    Column("entries", Integer, nullable=False),
    Column("chain", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    # Who one has open, the most urgent first: a seller's inbox; and what nobody has yet: the team's and the pool's.
    Index("leads_of_holder", "holder", "closed_at", "due_at"),
    Index("leads_of_team", "team", "holder", "closed_at", "due_at"),
    Index("leads_of_pool", "pool", "holder", "closed_at", "due_at"),
    Index("leads_by_time", "created_at", "lead"),
    Index("leads_by_urgency", "closed_at", "due_at"),
)
Index("all_leads_of_customer", leads.c.customer, leads.c.store)
Index(
    "one_lead_per_customer_and_store",
    leads.c.customer,
    leads.c.store,
    unique=True,
    sqlite_where=leads.c.merged_into.is_(None),
    postgresql_where=leads.c.merged_into.is_(None),
)

timers = Table(
    "timers",
    metadata,
    Column("lead", String(32), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("due_at", Millis, nullable=False),
    Index("timers_due", "due_at", "lead", "kind", "number"),
)

timeline = Table(
    "timeline",
    metadata,
    Column("lead", String(32), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", Millis, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("actor", String(256), nullable=False),
    Column("data", JSON, nullable=False),
    Column("note", Text),
    Index("timeline_by_kind", "kind", "at"),
)

accesses = Table(
    "accesses",
    metadata,
    Column("id", String(1024), primary_key=True),
    Column("lead", String(32), nullable=False, index=True),
    Column("customer", String(32), nullable=False, index=True),
    Column("by", String(256), nullable=False),
    Column("purpose", String(256), nullable=False),
    Column("at", Millis, nullable=False, index=True),
)

clean_tasks = Table(
    "clean_tasks",
    metadata,
    Column("task", String(64), primary_key=True),
    Column("lead", String(32), nullable=False, index=True),
    Column("reason", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("intent", String(16)),
    Column("by", String(256)),
    Column("created_at", Millis, nullable=False),
    Column("settled_at", Millis),
    Index("clean_tasks_by_state", "state", "created_at"),
)

# What is counted of rooms (:mod:`frontrow.core.centre.room_facts`), field by field of its rows.
room_facts = Table(
    "room_facts",
    metadata,
    Column("platform", String(256), primary_key=True),
    Column("room", String(256), primary_key=True),
    Column("session", String(256), primary_key=True),
    Column("hour", Millis, primary_key=True),
    Column("host", String(256), primary_key=True),
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

# What the counting has in memory, so that a restart goes on with it: viewers of sessions that go on, as the platforms name them.
room_memory = Table(
    "room_memory",
    metadata,
    Column("platform", String(256), primary_key=True),
    Column("room", String(256), primary_key=True),
    Column("session", String(256), primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

costs = Table(
    "costs",
    metadata,
    Column("channel", String(256), primary_key=True),
    Column("day", Millis, primary_key=True),  # when it begins
    Column("currency", String(3), primary_key=True),
    Column("amount", BigInteger, nullable=False),
)
Index("costs_by_day", costs.c.day)
