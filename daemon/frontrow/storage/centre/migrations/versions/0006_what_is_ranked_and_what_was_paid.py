"""Raw leads are found by their room, and paid orders by themselves: a question about either reads neither everybody's leads nor all timelines."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("raw_leads_of_room", "raw_leads", ["room", "decided_at"])
    paid = sa.text("kind = 'order_paid'")
    op.create_index("orders_of_lead", "timeline", ["lead", "at"], sqlite_where=paid, postgresql_where=paid)


def downgrade() -> None:
    op.drop_index("orders_of_lead", "timeline")
    op.drop_index("raw_leads_of_room", "raw_leads")
