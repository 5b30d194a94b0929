"""How a lead meets what is known of its customer: the eight ways, one of which every lead is."""

from collections.abc import Sequence
from enum import StrEnum

from frontrow.core.centre.book import LeadRow
from frontrow.core.centre.stages import CLOSED


class Meeting(StrEnum):
    """The eight ways. What the store knows goes before where the lead came from: an open lead is an open lead, whoever referred it."""

    OPEN_LEAD = "open_lead"  # it goes into the lead that somebody is following
    REPURCHASE = "repurchase"  # a customer who has bought here asks again
    REACTIVATED = "reactivated"  # a lead that was lost or invalid comes back
    KNOWN = "known"  # in this store's public pool: known, and nobody's
    OTHER_STORE = "other_store"  # a customer of another store
    REFERRAL = "referral"  # new, and somebody sent them
    WALK_IN = "walk_in"  # new, and came in person, to a store or an event
    NEW = "new"


WALK_IN_CHANNELS = frozenset({"walk_in", "offline", "exhibition"})


def meeting(
    here: LeadRow | None, elsewhere: Sequence[LeadRow], *, referred: bool, channel: str | None
) -> Meeting:
    """Return which way it is. ``here`` is the customer's lead in this store, ``elsewhere`` those in others."""
    if here is not None:
        if here.status == "won":
            return Meeting.REPURCHASE
        if here.status in CLOSED:
            return Meeting.REACTIVATED
        return Meeting.KNOWN if here.status == "pooled" else Meeting.OPEN_LEAD
    if elsewhere:
        return Meeting.OTHER_STORE
    if referred:
        return Meeting.REFERRAL
    return Meeting.WALK_IN if channel in WALK_IN_CHANNELS else Meeting.NEW
