"""The lead centre's tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Words = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "accesses",
        sa.Column("id", Words, nullable=False),
        sa.Column("lead", Words, nullable=False),
        sa.Column("customer", Words, nullable=False),
        sa.Column("by", Words, nullable=False),
        sa.Column("purpose", Words, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_accesses_at"), "accesses", ["at"], unique=False)
    op.create_index(op.f("ix_accesses_customer"), "accesses", ["customer"], unique=False)
    op.create_index(op.f("ix_accesses_lead"), "accesses", ["lead"], unique=False)
    op.create_table(
        "clean_tasks",
        sa.Column("task", Words, nullable=False),
        sa.Column("lead", Words, nullable=False),
        sa.Column("reason", Words, nullable=False),
        sa.Column("state", Words, nullable=False),
        sa.Column("intent", Words, nullable=True),
        sa.Column("by", Words, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("task"),
    )
    op.create_index("clean_tasks_by_state", "clean_tasks", ["state", "created_at"], unique=False)
    op.create_index(op.f("ix_clean_tasks_lead"), "clean_tasks", ["lead"], unique=False)
    op.create_table(
        "consents",
        sa.Column("kind", Words, nullable=False),
        sa.Column("key", Words, nullable=False),
        sa.Column("purpose", Words, nullable=False),
        sa.Column("channel", Words, nullable=False),
        sa.Column("given", sa.Boolean(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("source", Words, nullable=False),
        sa.PrimaryKeyConstraint("kind", "key", "purpose", "channel"),
    )
    op.create_table(
        "contacts",
        sa.Column("id", Words, nullable=False),
        sa.Column("kind", Words, nullable=False),
        sa.Column("key", Words, nullable=False),
        sa.Column("phone", Words, nullable=False),
        sa.Column("country", Words, nullable=False),
        sa.Column("province", Words, nullable=False),
        sa.Column("city", Words, nullable=False),
        sa.Column("masked", Words, nullable=True),
        sa.Column("sealed", Words, nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("form", Words, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("contacts_of_identity", "contacts", ["kind", "key", "at"], unique=False)
    op.create_table(
        "identities",
        sa.Column("kind", Words, nullable=False),
        sa.Column("key", Words, nullable=False),
        sa.Column("customer", Words, nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "key"),
    )
    op.create_index(op.f("ix_identities_customer"), "identities", ["customer"], unique=False)
    op.create_table(
        "leads",
        sa.Column("lead", Words, nullable=False),
        sa.Column("raw", Words, nullable=False),
        sa.Column("customer", Words, nullable=False),
        sa.Column("store", Words, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("platform", Words, nullable=False),
        sa.Column("room", Words, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("hot_at", sa.BigInteger(), nullable=False),
        sa.Column("grade", Words, nullable=False),
        sa.Column("quality", sa.Integer(), nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("probability", sa.Float(), nullable=True),
        sa.Column("sla", Words, nullable=False),
        sa.Column("host", Words, nullable=True),
        sa.Column("product", Words, nullable=True),
        sa.Column("campaign", Words, nullable=True),
        sa.Column("channel", Words, nullable=True),
        sa.Column("taxonomy", Words, nullable=False),
        sa.Column("country", Words, nullable=False),
        sa.Column("province", Words, nullable=False),
        sa.Column("city", Words, nullable=False),
        sa.Column("flags", sa.JSON(), nullable=False),
        sa.Column("raws", sa.Integer(), nullable=False),
        sa.Column("cycle", sa.Integer(), nullable=False),
        sa.Column("status", Words, nullable=False),
        sa.Column("stage", Words, nullable=True),
        sa.Column("reached", sa.JSON(), nullable=False),
        sa.Column("owner", Words, nullable=True),
        sa.Column("offered_to", Words, nullable=True),
        sa.Column("awaits_approval", sa.Boolean(), nullable=False),
        sa.Column("former", Words, nullable=True),
        sa.Column("protected_until", sa.BigInteger(), nullable=False),
        sa.Column("cooldown_until", sa.BigInteger(), nullable=False),
        sa.Column("reassignments", sa.Integer(), nullable=False),
        sa.Column("outcome", Words, nullable=True),
        sa.Column("reason", Words, nullable=True),
        sa.Column("closed_by", Words, nullable=True),
        sa.Column("review", Words, nullable=True),
        sa.Column("follow_up_at", sa.BigInteger(), nullable=True),
        sa.Column("do_not_contact", sa.Boolean(), nullable=False),
        sa.Column("holder", Words, nullable=True),
        sa.Column("team", Words, nullable=True),
        sa.Column("pool", Words, nullable=True),
        sa.Column("rule", Words, nullable=True),
        sa.Column("assigned_at", sa.BigInteger(), nullable=True),
        sa.Column("claimed_at", sa.BigInteger(), nullable=True),
        sa.Column("responded_at", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("last_touch_at", sa.BigInteger(), nullable=True),
        sa.Column("touches", sa.Integer(), nullable=False),
        sa.Column("breached_at", sa.BigInteger(), nullable=True),
        sa.Column("breach", Words, nullable=True),
        sa.Column("breaches", sa.Integer(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("value", sa.BigInteger(), nullable=True),
        sa.Column("churn_risk", sa.Integer(), nullable=False),
        sa.Column("merged_into", Words, nullable=True),
        sa.Column("name", Words, nullable=True),
        sa.Column("words", Words, nullable=True),
        sa.Column("masked", Words, nullable=True),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("chain", Words, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("lead"),
        sa.UniqueConstraint("number"),
    )
    op.create_index(
        "closed_by_time",
        "leads",
        ["closed_at", "number"],
        unique=False,
        sqlite_where=sa.text("closed_at IS NOT NULL AND merged_into IS NULL"),
        postgresql_where=sa.text("closed_at IS NOT NULL AND merged_into IS NULL"),
    )
    op.create_index(
        "closed_of_holder",
        "leads",
        ["holder", "closed_at", "number"],
        unique=False,
        sqlite_where=sa.text("closed_at IS NOT NULL AND merged_into IS NULL"),
        postgresql_where=sa.text("closed_at IS NOT NULL AND merged_into IS NULL"),
    )
    op.create_index(
        "closed_of_nobody",
        "leads",
        ["closed_at", "number"],
        unique=False,
        sqlite_where=sa.text("closed_at IS NOT NULL AND merged_into IS NULL AND holder IS NULL"),
        postgresql_where=sa.text("closed_at IS NOT NULL AND merged_into IS NULL AND holder IS NULL"),
    )
    op.create_index(
        "closed_of_team",
        "leads",
        ["team", "closed_at", "number"],
        unique=False,
        sqlite_where=sa.text("closed_at IS NOT NULL AND merged_into IS NULL"),
        postgresql_where=sa.text("closed_at IS NOT NULL AND merged_into IS NULL"),
    )
    op.create_index("leads_by_time", "leads", ["created_at", "lead"], unique=False)
    op.create_index(
        "leads_merged",
        "leads",
        ["merged_into"],
        unique=False,
        sqlite_where=sa.text("merged_into IS NOT NULL"),
        postgresql_where=sa.text("merged_into IS NOT NULL"),
    )
    op.create_index("leads_of_customer", "leads", ["customer"], unique=False)
    op.create_index(
        "one_lead_per_customer_and_store",
        "leads",
        ["customer", "store"],
        unique=True,
        sqlite_where=sa.text("merged_into IS NULL"),
        postgresql_where=sa.text("merged_into IS NULL"),
    )
    op.create_index(
        "open_by_urgency",
        "leads",
        ["due_at", "number"],
        unique=False,
        sqlite_where=sa.text("closed_at IS NULL AND merged_into IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL AND merged_into IS NULL"),
    )
    op.create_index(
        "open_of_holder",
        "leads",
        ["holder", "due_at", "number"],
        unique=False,
        sqlite_where=sa.text("closed_at IS NULL AND merged_into IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL AND merged_into IS NULL"),
    )
    op.create_index(
        "open_of_team",
        "leads",
        ["team", "due_at", "number"],
        unique=False,
        sqlite_where=sa.text("closed_at IS NULL AND merged_into IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL AND merged_into IS NULL"),
    )
    op.create_table(
        "links",
        sa.Column("link", Words, nullable=False),
        sa.Column("a_kind", Words, nullable=False),
        sa.Column("a_key", Words, nullable=False),
        sa.Column("b_kind", Words, nullable=False),
        sa.Column("b_key", Words, nullable=False),
        sa.Column("source", Words, nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("unlinked_at", sa.BigInteger(), nullable=True),
        sa.Column("unlinked_by", Words, nullable=True),
        sa.PrimaryKeyConstraint("link"),
    )
    op.create_index("links_of_a", "links", ["a_kind", "a_key"], unique=False)
    op.create_index("links_of_b", "links", ["b_kind", "b_key"], unique=False)
    op.create_table(
        "organisation",
        sa.Column("what", Words, nullable=False),
        sa.Column("id", Words, nullable=False),
        sa.Column("from_at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("what", "id", "from_at"),
    )
    op.create_table(
        "position",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("store", sa.LargeBinary(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("mark", sa.LargeBinary(), nullable=False),
        sa.Column("now", sa.BigInteger(), nullable=False),
        sa.Column("policy", Words, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "raw_leads",
        sa.Column("raw", Words, nullable=False),
        sa.Column("source", Words, nullable=False),
        sa.Column("platform", Words, nullable=False),
        sa.Column("room", Words, nullable=False),
        sa.Column("session", Words, nullable=True),
        sa.Column("kind", Words, nullable=False),
        sa.Column("viewer", Words, nullable=False),
        sa.Column("customer", Words, nullable=False),
        sa.Column("lead", Words, nullable=False),
        sa.Column("store", Words, nullable=False),
        sa.Column("met", Words, nullable=False),
        sa.Column("grade", Words, nullable=False),
        sa.Column("quality", sa.Integer(), nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("probability", sa.Float(), nullable=True),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.Column("host", Words, nullable=True),
        sa.Column("product", Words, nullable=True),
        sa.Column("campaign", Words, nullable=True),
        sa.Column("channel", Words, nullable=True),
        sa.Column("policy", Words, nullable=False),
        sa.Column("model", Words, nullable=True),
        sa.Column("name", Words, nullable=True),
        sa.Column("words", Words, nullable=True),
        sa.PrimaryKeyConstraint("raw"),
    )
    op.create_index(op.f("ix_raw_leads_customer"), "raw_leads", ["customer"], unique=False)
    op.create_index(op.f("ix_raw_leads_decided_at"), "raw_leads", ["decided_at"], unique=False)
    op.create_index(op.f("ix_raw_leads_lead"), "raw_leads", ["lead"], unique=False)
    op.create_table(
        "states",
        sa.Column("name", Words, nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "timeline",
        sa.Column("lead", Words, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", Words, nullable=False),
        sa.Column("actor", Words, nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("note", Words, nullable=True),
        sa.PrimaryKeyConstraint("lead", "number"),
    )
    op.create_index("timeline_by_kind", "timeline", ["kind", "at"], unique=False)
    op.create_table(
        "timers",
        sa.Column("lead", Words, nullable=False),
        sa.Column("kind", Words, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("lead", "kind", "number"),
    )
    op.create_index("timers_due", "timers", ["due_at", "lead", "kind", "number"], unique=False)
