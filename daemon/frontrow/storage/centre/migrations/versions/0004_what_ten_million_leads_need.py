"""What sellers have closed, counted as it changes; what timelines say, in the leads; indices by which nothing reads everything."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


leads = sa.table("leads", *map(sa.column, ("lead", "had_at", "contacted", "answered", "taken_back")))
timeline = sa.table(
    "timeline", sa.column("lead"), sa.column("at"), sa.column("kind"), sa.column("data", sa.JSON())
)
WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "closed_cells",
        sa.Column("seller", WORDS, nullable=False),
        sa.Column("stratum", WORDS, nullable=False),
        sa.Column("leads", sa.Integer(), nullable=False),
        sa.Column("wins", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("seller", "stratum"),
    )
    op.add_column("leads", sa.Column("had_at", sa.BigInteger(), nullable=True))
    for name in ("contacted", "answered", "taken_back"):
        op.add_column("leads", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()))
    _mark()
    op.drop_index("timeline_by_kind", "timeline")
    op.create_index("timeline_by_time", "timeline", ["at"])
    op.create_index("leads_of_store", "leads", ["store", "created_at"])
    op.create_index("raw_leads_of_store", "raw_leads", ["store", "decided_at"])
    standing = sa.text("unlinked_at IS NULL")
    op.create_index(
        "links_by_confidence", "links", ["confidence"], sqlite_where=standing, postgresql_where=standing
    )


def _mark() -> None:
    """Let leads say what their timelines do: read from end to end once, since to look each lead's up takes longer where there are many."""
    t = timeline.c
    having = t.kind.in_(("assigned", "lead_assign", "lead_transfer", "lead_claim"))
    inward = sa.func.coalesce(t.data["direction"].as_string() == "in", sa.false())
    answered = sa.func.coalesce(t.data["answered"].as_boolean(), sa.false())
    said = (
        sa.select(
            t.lead,
            sa.func.min(sa.case((sa.and_(having, t.data["seller"].as_string().is_not(None)), t.at))).label(
                "had_at"
            ),
            _any(t.kind == "lead_touch").label("contacted"),
            _any(sa.and_(t.kind == "lead_touch", sa.or_(inward, answered))).label("answered"),
            _any(t.kind.in_(("returned", "lead_release", "lead_transfer"))).label("taken_back"),
        )
        .group_by(t.lead)
        .subquery("said")
    )
    names = ("had_at", "contacted", "answered", "taken_back")
    op.execute(
        sa.update(leads).values({name: said.c[name] for name in names}).where(leads.c.lead == said.c.lead)
    )


def _any(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return sa.func.max(sa.case((condition, 1), else_=0)) == 1
