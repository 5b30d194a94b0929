"""What happened in rooms, and what channels cost."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Words = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
COUNTS = (
    "events", "heard", "duplicates", "overflow", "gaps", "span_ms", "gap_ms", "comments", "questions", "answered", "likes",
    "gift_value", "clicks", "carts", "viewers", "returners", "clickers", "carters", "form_viewers", "price_viewers",
    "dwell_observed", "dwell_inferred",
)  # fmt: skip


def upgrade() -> None:
    op.create_table(
        "room_facts",
        sa.Column("platform", Words, nullable=False),
        sa.Column("room", Words, nullable=False),
        sa.Column("session", Words, nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("host", Words, nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in COUNTS),
        sa.Column("peak", sa.BigInteger(), nullable=True),
        sa.Column("lag", sa.JSON(), nullable=False),
        sa.Column("dwell", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("platform", "room", "session", "hour", "host"),
    )
    op.create_index("room_facts_by_time", "room_facts", ["hour"])
    op.create_table(
        "room_memory",
        sa.Column("platform", Words, nullable=False),
        sa.Column("room", Words, nullable=False),
        sa.Column("session", Words, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("platform", "room", "session"),
    )
    op.create_table(
        "costs",
        sa.Column("channel", Words, nullable=False),
        sa.Column("day", sa.BigInteger(), nullable=False),
        sa.Column("currency", Words, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("channel", "day", "currency"),
    )
    op.create_index("costs_by_day", "costs", ["day"])


def downgrade() -> None:
    op.drop_table("costs")
    op.drop_table("room_memory")
    op.drop_table("room_facts")
