"""What a lead's timeline says once and for all, kept in the lead: what figures of many leads would otherwise read their timelines for."""

from frontrow.core.centre.book import Entry, LeadRow

HAVING = (
    "assigned",
    "lead_assign",
    "lead_transfer",
    "lead_claim",
)  # after which somebody has it, if they name one
TAKEN_BACK = ("returned", "lead_release", "lead_transfer")


def mark(row: LeadRow, entry: Entry) -> None:
    """Take note of what a new line of a lead's timeline says of it; the lines come in their order."""
    data = entry.data
    if row.had_at is None and entry.kind in HAVING and data.get("seller") is not None:
        row.had_at = entry.at
    if entry.kind in TAKEN_BACK:
        row.taken_back = True
    if entry.kind == "lead_touch":
        row.contacted = True
        row.answered = row.answered or data.get("direction") == "in" or data.get("answered") is True
