"""What both Twitch feeds say alike: badges, tiers of subscriptions, bits, times.

Twitch does not tell what somebody paid. Values here are its United States list prices, in cents; they rank viewers
and are no bookkeeping. A bit is one cent to the streamer.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from frontrow.core.errors import EventInvalid

CURRENCY = "USD"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_PLANS = {"1000": ("tier1", 499), "2000": ("tier2", 999), "3000": ("tier3", 2_499), "Prime": ("prime", 0)}
_FAN = frozenset({"subscriber", "founder"})
_STAFF = frozenset(
    {"broadcaster", "moderator", "lead_moderator"}
)  # `staff` is a badge of Twitch's own employees


def standing(badges: Iterable[str]) -> dict[str, Any]:
    """Return the fields ``fan`` and ``staff`` of an event whose sender shows these badges (names only)."""
    names = set(badges)
    return {"fan": bool(names & _FAN), "staff": bool(names & _STAFF)}


def subscription(
    plan: str, *, renewal: bool | None = None, gifted: int | None = None, months: int = 1
) -> dict[str, Any]:
    """Return an ``order_paid``'s fields for a plan ("1000", "2000", "3000", "Prime").

    ``gifted`` is how many were given to others (None: bought for oneself); ``months`` is for how long each.

    Raises:
        EventInvalid: No such plan.
    """
    try:
        name, cents = _PLANS[plan]
    except KeyError as error:
        raise EventInvalid("a subscription of an unknown tier") from error
    product = f"sub-{name}" if gifted is None else f"gift-sub-{name}"
    value = cents * months * (1 if gifted is None else gifted)
    return {"product": product, "renewal": renewal, "count": gifted, "value": value, "currency": CURRENCY}


def bits(count: int) -> dict[str, Any]:
    """Return a ``gift``'s fields for so many bits."""
    return {"gift": "bits", "count": count, "value": count, "currency": CURRENCY}


def milliseconds(text: str) -> int:
    """Return the UTC milliseconds of an RFC 3339 time, as fine as nanoseconds; without a zone it is taken as UTC.

    Raises:
        EventInvalid: Not such a time.
    """
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        return (at - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError) as error:
        raise EventInvalid("a time that is not RFC 3339") from error
