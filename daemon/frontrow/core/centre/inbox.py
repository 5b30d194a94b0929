"""The order of an inbox, and what names a place in it, so that a page goes on where the one before ended."""

from typing import Literal

View = Literal["mine", "open", "closed", "all"]
VIEWS: tuple[View, ...] = ("mine", "open", "closed", "all")
FAR = 1 << 62  # behind every time, and every number
LAST = FAR + (1 << 50)  # no place is behind it


def place_of(*, due_at: int | None, closed_at: int | None, number: int) -> tuple[int, int]:
    """Return where a lead stands in every view: open ones first, what is due soonest before the rest and what is not due behind them by
    their numbers; then closed ones, the latest first. Two whole numbers, not negative, within 64 bits; each lead has
    its own."""
    if closed_at is not None:
        return LAST - closed_at, FAR - number
    return FAR if due_at is None else due_at, number
