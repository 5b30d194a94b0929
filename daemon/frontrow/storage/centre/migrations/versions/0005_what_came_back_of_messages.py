"""What came back of the messages of nurture: of those from before nothing is known, and they count as sent."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("touches", sa.Column("result", WORDS, nullable=False, server_default="waiting"))


def downgrade() -> None:
    op.drop_column("touches", "result")
