"""Which of several records of one customer is shown: the survivorship rules of :mod:`cleaning` over the book's rows.

Computed from who is who now. So when customers are merged the better value is shown, and when they are parted each has
their own again. For those who read: nothing is decided by it.
"""

from collections.abc import Iterable

from frontrow.core.centre.book import Contact, RawLead
from frontrow.core.centre.cleaning import Source, Survivor, Value, merged


def survivors(contacts: Iterable[Contact], raws: Iterable[RawLead]) -> dict[str, Survivor]:
    """Return by field (``name``, ``phone``, ``province``, ``city``) the value of a customer that is shown, and the others.

    Numbers and names are masked ones. A number that can be called goes before one that cannot, whatever its age.
    """
    values: list[Value] = []
    for contact in contacts:
        source: Source = "form" if contact.phone else "comment"
        told = {"phone": contact.masked, "province": contact.province, "city": contact.city}
        values += _values(contact.id, told, source, contact.at)
    for raw in raws:
        source = "form" if raw.source == "form" else "profile"
        values += _values(raw.raw, {"name": raw.name}, source, raw.decided_at)
    return merged(values)


def _values(record: str, told: dict[str, str | None], source: Source, at: int) -> list[Value]:
    return [
        Value(record=record, field=field, value=value, source=source, at=at)
        for field, value in told.items()
        if value
    ]
