"""Whose turn it is has a row for each rule or team, so that an assignment writes the turns of its own alone."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
states = sa.table("states", sa.column("name"), sa.column("value", sa.JSON()))


def upgrade() -> None:
    turns = op.create_table(
        "turns",
        sa.Column("rotation", WORDS, nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("rotation"),
    )
    db, mine = op.get_bind(), states.c.name == "turns"
    known = db.execute(sa.select(states.c.value).where(mine)).scalar()
    if known is not None:
        rows = [{"rotation": name, "body": body} for name, body in known.get("rotations", {}).items()]
        if rows:
            db.execute(sa.insert(turns), rows)
        db.execute(sa.update(states).where(mine).values(value={"day": known.get("day", 0)}))


def downgrade() -> None:
    turns = sa.table("turns", sa.column("rotation"), sa.column("body", sa.JSON()))
    db, mine = op.get_bind(), states.c.name == "turns"
    known = db.execute(sa.select(states.c.value).where(mine)).scalar()
    if known is not None:
        rotations = {row.rotation: row.body for row in db.execute(sa.select(turns.c.rotation, turns.c.body))}
        db.execute(sa.update(states).where(mine).values(value={**known, "rotations": rotations}))
    op.drop_table("turns")
