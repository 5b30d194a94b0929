"""Messages of nurture, faults of leads, attempts to clean one."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "touches",
        sa.Column("touch", WORDS, nullable=False),
        sa.Column("kind", WORDS, nullable=False),
        sa.Column("key", WORDS, nullable=False),
        sa.Column("lead", WORDS, nullable=False),
        sa.Column("rule", WORDS, nullable=False),
        sa.Column("channel", WORDS, nullable=False),
        sa.Column("text", WORDS, nullable=False),
        sa.Column("about", WORDS, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("capped", sa.Boolean(), nullable=False),
        sa.Column("by", WORDS, nullable=False),
        sa.PrimaryKeyConstraint("touch"),
    )
    op.create_index("ix_touches_about", "touches", ["about"])
    op.create_index("ix_touches_lead", "touches", ["lead"])
    op.create_index("touches_of_identity", "touches", ["kind", "key", "at"])
    for table in ("leads", "raw_leads"):
        op.add_column(table, sa.Column("faults", sa.JSON(), nullable=True))
        op.execute(f"UPDATE {table} SET faults = '[]'")
    op.add_column("clean_tasks", sa.Column("attempt", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("clean_tasks", sa.Column("due_at", sa.BigInteger(), nullable=True))
