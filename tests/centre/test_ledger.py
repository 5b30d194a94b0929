"""The loss ledger: every lost lead has exactly one cause, in words and in the database alike."""

from typing import Any

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from frontrow.core.centre.assignment import Conditions, Rule
from frontrow.core.centre.book import LeadRow
from frontrow.core.centre.indicators import Question
from frontrow.core.centre.ledger import LOSS_CAUSES, LOSS_NAMES, LOST_STATUSES, cause_of_loss, is_lost
from frontrow.core.centre.stages import STATUSES
from frontrow.storage.centre import tables
from frontrow.storage.centre.indicators import loss_cause, query
from tests.centre.test_indicators import lead
from tests.support.centre import MINUTE, RULES, START, Scene, a_policy

TIMES = st.one_of(st.none(), st.integers(START - 10, START + 10))
REASONS = (
    None, "price", "unreachable", "other", "duplicate", "empty_number", "spam", "too_late", "no_answer", "anything",
)  # fmt: skip
BREACHES = (
    None,
    "unassigned",
    "nobody_on_shift",
    "approval_waiting",
    "seller_no_claim",
    "alert_not_delivered",
)
ROWS = st.fixed_dictionaries({
    "status": st.sampled_from(STATUSES), "reason": st.sampled_from(REASONS), "breach": st.sampled_from(BREACHES),
    "quality": st.integers(0, 5), "assigned_at": TIMES, "claimed_at": TIMES, "responded_at": TIMES, "breached_at": TIMES,
    "merged_into": st.sampled_from([None, "other"]),
})  # fmt: skip

_engine = sa.create_engine("sqlite://")
tables.metadata.create_all(_engine, [tables.leads])


def cause_in_the_database(row: LeadRow) -> str | None:
    columns = {name: getattr(row, name) for name in LeadRow.__slots__}
    with _engine.connect() as db:
        db.execute(sa.insert(tables.leads), columns)
        found: str | None = db.execute(
            sa.select(loss_cause()).where(tables.leads.c.merged_into.is_(None))
        ).scalar()
        db.rollback()
    return found


@given(ROWS)
def test_whatever_the_row_a_lost_lead_has_one_cause_and_any_other_has_none(fields: dict[str, Any]) -> None:
    row = lead("A", 1, **fields)
    cause = cause_of_loss(row)
    assert is_lost(row) == (row.status in LOST_STATUSES and row.merged_into is None)
    assert (cause in LOSS_CAUSES) if is_lost(row) else cause is None
    assert cause_in_the_database(row) == cause


def test_every_cause_has_a_name_in_both_languages() -> None:
    assert set(LOSS_NAMES) == set(LOSS_CAUSES)


def test_one_lead_lost_for_each_cause_gives_one_each_and_the_sum_is_the_leads_lost() -> None:
    """From hot viewers to lost leads by what people do, and by what nobody does."""
    nobody = Rule(name="to no team", when=Conditions(rooms=("r2",)), pool="public")
    scene = Scene(a_policy(rules=(nobody, *RULES)))
    late, incomplete, duplicate, invalid, rejected = (
        scene.hot(name, 1_000 * number)
        for number, name in enumerate(("late", "incomplete", "duplicate", "invalid", "rejected"))
    )
    unassigned = scene.hot("unassigned", 6_000, room="r2")
    following = scene.hot("following", 7_000)

    def follow(row: LeadRow, minute: float, **end: Any) -> None:
        at = round(minute * MINUTE)
        scene.act("lead_claim", row, at, seller="li")
        scene.act("lead_touch", row, at + 1, seller="li", data={"channel": "call", "answered": True})
        scene.act("lead_outcome", row, at + 2, seller="li", **end)

    follow(incomplete, 1, outcome="not_interested", data={"loss_reason": "unreachable"})
    follow(rejected, 1, outcome="not_interested", data={"loss_reason": "price"})
    follow(duplicate, 1, outcome="duplicate")
    follow(invalid, 1, outcome="wrong_person")
    follow(late, 9, outcome="not_interested", data={"loss_reason": "price"})
    follow(following, 9.5, outcome="interested")
    scene.pass_time(120 * MINUTE)  # in which nobody has come for the one that nobody was given
    found = {row.lead: cause_of_loss(row) for row in scene.leads() if is_lost(row)}
    assert found == {
        late.lead: "late",
        unassigned.lead: "unassigned",
        incomplete.lead: "incomplete",
        duplicate.lead: "duplicate",
        invalid.lead: "invalid",
        rejected.lead: "rejected",
    }
    with scene.engine.connect() as db:
        figures = query(db, Question(indicators=("loss_by_cause",)))
    assert {each.cut["cause"]: each.numerator for each in figures} == dict.fromkeys(LOSS_CAUSES, 1)
    assert {each.denominator for each in figures} == {sum(each.n for each in figures) / 6} == {6}
    scene.close()
