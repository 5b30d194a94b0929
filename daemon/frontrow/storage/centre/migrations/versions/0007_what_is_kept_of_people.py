"""What is kept of people is found by its age, as far as it is still there, so that retention reads nothing else."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

KEPT = (
    ("raw_leads_named", "raw_leads", "decided_at", "name IS NOT NULL"),
    ("raw_leads_worded", "raw_leads", "decided_at", "words IS NOT NULL"),
    ("timeline_noted", "timeline", "at", "note IS NOT NULL"),
    ("contacts_held", "contacts", "at", "sealed IS NOT NULL OR masked IS NOT NULL"),
)


def upgrade() -> None:
    for name, table, at, kept in KEPT:
        op.create_index(name, table, [at], sqlite_where=sa.text(kept), postgresql_where=sa.text(kept))


def downgrade() -> None:
    for name, table, _, _ in reversed(KEPT):
        op.drop_index(name, table)
