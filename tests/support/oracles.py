"""What must hold of the lead centre's states and times, said in another way than the code that makes it so."""

from frontrow.core.centre.clock import SlaPolicy, quiet_after
from frontrow.core.centre.stages import CLOSED, LeadState, Workflow


def flaw(state: LeadState, workflow: Workflow) -> str | None:
    """Return what is impossible about a state, or None. No step leads to such a state."""
    closed = state.status in CLOSED
    flaws = {
        "in follow-up by nobody": state.status == "following" and state.owner is None,
        "owned without being in follow-up": state.status in ("new", "pooled") and state.owner is not None,
        "offered though it is not new": state.offered_to is not None and state.status != "new",
        "awaits approval though it is not new": state.awaits_approval and state.status != "new",
        "in follow-up without a stage": state.status == "following" and state.stage is None,
        "in a stage that is not": state.stage is not None and state.stage not in workflow.stages,
        "closed without an outcome": closed and state.outcome is None,
        "without a reason": state.status in ("lost", "invalid") and state.reason is None,
        "closed by nobody": closed and state.closed_by is None,
        "without review": state.status in ("lost", "invalid") and state.review is None,
        "in review though it is not lost": state.status not in ("lost", "invalid")
        and state.review is not None,
        "a reason for nothing": state.status not in ("lost", "invalid") and state.reason is not None,
        "lost or won by nobody": state.status in ("won", "lost") and state.owner is None,
    }
    return next((name for name, is_so in flaws.items() if is_so), None)


def business_elapsed_ms(start: int, end: int, policy: SlaPolicy) -> int:
    """Return how much working time lies between two moments (UTC ms), in ms; 0 where ``end`` is not after ``start``."""
    if end <= start:
        return 0
    worked = end - start
    if policy.in_quiet_hours == "stand":
        for quiet_from, quiet_to in quiet_after(start, policy):
            if quiet_from >= end:
                break
            worked -= max(0, min(quiet_to, end) - max(quiet_from, start))
    return worked
