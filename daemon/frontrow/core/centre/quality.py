"""How usable a lead is: what is wrong with it, by name, and its level from Q0 to Q5.

Quality says nothing of how eager a viewer is; that is the grade. It is decided from facts alone: hashes, regions and
flags, never a number, a name or a text, since these may be destroyed.

Faults are of three sorts. What somebody *knows* (staff, a number on a list) makes a lead invalid whatever else is
known. What is only *suspected* (spam, a crowd, a machine's conduct, a region by the number's prefix) gives way to a
person who has confirmed the lead, to a booking and to an order. The others take a contact away, and leave the lead as
it is.
"""

from enum import IntEnum, StrEnum

from msgspec import Struct

from frontrow.core.centre.facts import NOWHERE, Region


class Quality(IntEnum):
    """The six levels."""

    INVALID = 0  # a machine by its conduct, spam, staff or host, on a blacklist, of the wrong region
    ANONYMOUS = 1  # behaviour only, no contact
    IDENTIFIED = 2  # a platform's id that can be linked: a follower, a fan club's member, known from before
    REACHABLE = 3  # a valid contact with consent
    VERIFIED = 4  # intent confirmed by customer service or a seller, or booked
    COMMITTED = 5  # test drive done, or ordered


class Fault(StrEnum):
    """What is wrong with a lead. The values are for machines: they are stored, exported and counted."""

    STAFF = "staff"  # host, moderator, assistant, by the platform's word
    STAFF_NUMBER = "staff_number"  # a number of the company's own people
    BLACKLIST = "blacklist"
    TEST_NUMBER = "test_number"  # one that nobody is reached at, as those of examples and of testers
    SPAM = "spam"  # a person has looked, and said no
    CROWD = "crowd"  # one of many who act as one
    ONE_LINE = "one_line"  # writes one line again and again, or two or three
    CLOCKWORK = "clockwork"  # acts by the clock
    IN_STEP = "in_step"  # acts in the same moments as the same few others
    OUT_OF_REGION = "out_of_region"
    FORMAT = "format"  # a contact was given, and no numbering plan has it
    DEAD_NUMBER = "dead_number"  # was called, and there is nobody


KNOWN_FAULTS = frozenset({Fault.STAFF, Fault.STAFF_NUMBER, Fault.BLACKLIST, Fault.TEST_NUMBER})
SPAM_FAULTS = frozenset({Fault.SPAM, Fault.CROWD, Fault.ONE_LINE, Fault.CLOCKWORK, Fault.IN_STEP})
SUSPECTED_FAULTS = SPAM_FAULTS | {Fault.OUT_OF_REGION}
CONTACT_FAULTS = frozenset({Fault.FORMAT, Fault.DEAD_NUMBER})


class ValidationRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where leads are taken from. A list that is empty allows everything.

    ``countries`` are ISO 3166 (``CN``), ``provinces`` and ``cities`` as in :class:`Region` (浙江, 杭州). A region that is
    not known is allowed: most viewers tell none.
    """

    countries: tuple[str, ...] = ()
    provinces: tuple[str, ...] = ()
    cities: tuple[str, ...] = ()


class NumberLists(Struct, frozen=True, kw_only=True):
    """Numbers that are no customers', as keyed hashes (32 hexadecimal digits), like those in events."""

    blacklist: frozenset[str] = frozenset()
    staff: frozenset[str] = frozenset()
    test: frozenset[str] = frozenset()


EVERYWHERE, NO_NUMBERS = ValidationRules(), NumberLists()


class Contact(Struct, frozen=True, kw_only=True):
    """What is known of the number that somebody gave, with consent: without it none is kept.

    ``phone`` is its keyed hash, None where it is no number that can be called. ``dead``: it was called, and there is
    nobody.
    """

    phone: str | None
    region: Region = NOWHERE
    dead: bool = False


class QualityFacts(Struct, frozen=True, kw_only=True):
    """What quality is decided from.

    ``one_line``, ``clockwork`` and ``in_step`` are signs of :mod:`frontrow.core.centre.conduct`.
    ``linkable``: follows, is in the fan club, or was known before this session. ``confirmed``: a person of customer service or
    sales has heard the intent. ``contact`` is None where none was given; ``region`` is what was declared, of a form
    or a profile.
    """

    staff: bool = False
    spam: bool = False
    crowd: bool = False
    one_line: bool = False
    clockwork: bool = False
    in_step: bool = False
    contact: Contact | None = None
    region: Region = NOWHERE
    linkable: bool = False
    confirmed: bool = False
    booked: bool = False
    test_drive_done: bool = False
    ordered: bool = False


def quality_of(
    facts: QualityFacts, rules: ValidationRules = EVERYWHERE, lists: NumberLists = NO_NUMBERS
) -> Quality:
    """Return the level of a lead: the highest that its facts reach, or Q0 for a fault that they do not outweigh."""
    found = set(faults_of(facts, rules, lists))
    if found & KNOWN_FAULTS:
        return Quality.INVALID
    if facts.ordered or facts.test_drive_done:
        return Quality.COMMITTED
    if facts.confirmed or facts.booked:
        return Quality.VERIFIED
    if found & SUSPECTED_FAULTS:
        return Quality.INVALID
    if facts.contact is not None and not found & CONTACT_FAULTS:
        return Quality.REACHABLE
    return Quality.IDENTIFIED if facts.linkable else Quality.ANONYMOUS


def faults_of(
    facts: QualityFacts, rules: ValidationRules = EVERYWHERE, lists: NumberLists = NO_NUMBERS
) -> tuple[Fault, ...]:
    """Return all that is wrong with a lead, the gravest first; empty where nothing is."""
    contact = facts.contact
    phone = None if contact is None else contact.phone
    regions = [facts.region] if contact is None else [facts.region, contact.region]
    found = {
        Fault.STAFF: facts.staff,
        Fault.STAFF_NUMBER: phone in lists.staff,
        Fault.BLACKLIST: phone in lists.blacklist,
        Fault.TEST_NUMBER: phone in lists.test,
        Fault.SPAM: facts.spam,
        Fault.CROWD: facts.crowd,
        Fault.ONE_LINE: facts.one_line,
        Fault.CLOCKWORK: facts.clockwork,
        Fault.IN_STEP: facts.in_step,
        Fault.OUT_OF_REGION: _outside(regions, rules),
        Fault.FORMAT: contact is not None and phone is None,
        Fault.DEAD_NUMBER: contact is not None and contact.dead,
    }
    return tuple(fault for fault, is_so in found.items() if is_so)


def is_test_number(e164: str) -> bool:
    """Return whether a number (``+8613800138000``) is one of those that people type when they have to type one.

    Those are: all but the first three digits alike, the last eight ascending or descending, and China Mobile's former
    service number, which stands in most examples. To be asked where the number is still there, before it is hashed.
    """
    digits = e164.lstrip("+")
    last = digits[-8:]
    runs = "0123456789012345678", "9876543210987654321"
    return len(set(last)) == 1 or any(last in run for run in runs) or digits == "8613800138000"


def _outside(regions: list[Region], rules: ValidationRules) -> bool:
    # What was declared says more than a number's prefix: people move and keep their number.
    for field, allowed in (
        ("country", rules.countries),
        ("province", rules.provinces),
        ("city", rules.cities),
    ):
        told = next((value for region in regions if (value := getattr(region, field))), "")
        if allowed and told and told not in allowed:
            return True
    return False
