"""The loss ledger: why each lost lead was lost, exactly one cause for each, so that the causes add up to the leads lost.

Lost is what was closed as lost or invalid, and what lies in the public pool, where nobody follows it; such a lead
leaves the ledger when somebody claims it. A lead that went into another is not lost. The cause is the first step at
which the lead went wrong: what was no lead of its own, or none at all; then what nobody had; then what was answered
too late; then what could not be reached; and what is left the customer has turned down. All of it stands in the
lead's row, of which the times are those of its present cycle.
"""

from typing import Literal, get_args

from frontrow.core.centre.book import LeadRow

LossCause = Literal["late", "unassigned", "incomplete", "duplicate", "invalid", "rejected"]
LOSS_CAUSES: tuple[LossCause, ...] = get_args(LossCause)
LOSS_NAMES: dict[LossCause, tuple[str, str]] = {
    "late": ("跟进不及时", "answered too late, or left lying"),
    "unassigned": ("无人承接", "nobody had it"),
    "incomplete": ("信息不全", "no contact to reach them by"),
    "duplicate": ("重复", "a duplicate"),
    "invalid": ("无效", "not a customer"),
    "rejected": ("客户放弃", "the customer turned it down"),
}
"""What people read, in Chinese and English."""

LOST_STATUSES = ("lost", "invalid", "pooled")
# Codes of reasons, as packs and platforms have them.
DUPLICATE_REASONS = ("duplicate", "duplication")
INCOMPLETE_REASONS = ("incomplete", "empty", "empty_number", "no_contact", "dead_number", "not_connected")
LATE_REASONS = ("too_late",)
SILENT_REASONS = ("no_answer", "unreachable", "other")  # in these the customer has said nothing
NOBODY_BREACHES = (
    "unassigned",
    "nobody_on_shift",
    "approval_waiting",
)  # causes of a breach that no seller could help
REACHABLE = 3  # from this quality on there is a valid contact with consent


def is_lost(row: LeadRow) -> bool:
    """Return whether a lead is in the ledger."""
    return row.merged_into is None and row.status in LOST_STATUSES


def cause_of_loss(row: LeadRow) -> LossCause | None:
    """Return the one cause for which a lead is lost, or None: it is not. Whatever the row, a lost lead has one."""
    if not is_lost(row):
        return None
    if row.status == "invalid":
        if row.reason in DUPLICATE_REASONS:
            return "duplicate"
        return "incomplete" if row.reason in INCOMPLETE_REASONS else "invalid"
    if row.reason in LATE_REASONS:
        return "late"
    given = row.assigned_at is not None and row.assigned_at >= row.hot_at
    claimed = row.claimed_at is not None and row.claimed_at >= row.hot_at
    if not (given or claimed) or row.breach in NOBODY_BREACHES:
        return "unassigned"
    if row.responded_at is None or row.breached_at is not None:
        return "late"
    reachable = row.quality >= REACHABLE
    if row.status == "pooled":
        return "late" if reachable else "incomplete"
    return "incomplete" if row.reason in SILENT_REASONS and not reachable else "rejected"
