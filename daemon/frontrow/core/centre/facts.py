"""What rules may know of a lead when they decide who gets it: facts only, nothing personal."""

from msgspec import Struct

from frontrow.core.leads import Grade


class Region(Struct, frozen=True, kw_only=True):
    """Where somebody is from, as far as it is known; "" where it is not. ``country`` is ISO 3166 (``CN``)."""

    country: str = ""
    province: str = ""  # as in 浙江, without 省, 市 or 自治区
    city: str = ""  # as in 杭州, without 市


NOWHERE = Region()


class LeadFacts(Struct, frozen=True, kw_only=True):
    """A lead as rules see it. None: not known. ``taxonomy`` is the product's path from the widest class to the line.

    ``quality`` is 0 to 5 (Q0 to Q5), ``points`` 0 to 100, ``probability`` 0 to 1. ``store`` is the store that the
    lead belongs to already, where something but a rule says so (the room, an existing lead of the customer).
    """

    lead: str
    platform: str
    room: str
    grade: Grade
    quality: int
    points: int
    probability: float | None = None
    session: str | None = None
    host: str | None = None
    campaign: str | None = None
    channel: str | None = None
    product: str | None = None
    taxonomy: tuple[str, ...] = ()
    region: Region = NOWHERE
    store: str | None = None
    returning: bool = False  # the customer is known from before
