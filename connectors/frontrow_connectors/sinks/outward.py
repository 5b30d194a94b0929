"""What programs are told of a lead: an alert as plain data, looked at once more before it leaves the house."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from frontrow.core.alerts import LeadAlert
from frontrow_connectors.sinks.cards import lead_link, masked, room_link

_ONLY_WHERE_KNOWN = ("event", "to", "at", "due_at", "region", "quality", "holder", "cause")


def told(alert: LeadAlert, *, base_url: str) -> dict[str, Any]:
    """Return the alert as JSON values: numbers masked, of an addressee the id alone, and with the link to follow.

    The same for every attempt. What came later than the first receivers is left out where it is unknown.
    """
    data: dict[str, Any] = msgspec.to_builtins(alert)
    # The engine has masked both already; what leaves the house is looked at twice.
    data["name"] = masked(alert.name)
    data["words"] = None if alert.words is None else masked(alert.words)
    if alert.to is not None:
        data["to"] = {"seller": alert.to.seller}
    for name in _ONLY_WHERE_KNOWN:
        if data[name] is None:
            del data[name]
    link = room_link(base_url, alert.room_id) if alert.to is None else lead_link(base_url, alert.lead)
    if link:
        data["url"] = link
    return data


def rfc3339(at: int) -> str:
    """Return a time, UTC milliseconds, as "2025-06-15T15:06:40.000Z"."""
    time = datetime.fromtimestamp(at / 1_000, UTC).isoformat(timespec="milliseconds")
    return time.replace("+00:00", "Z")


def happened_at(alert: LeadAlert) -> int:
    """Return when what the alert tells was decided, UTC milliseconds."""
    return alert.decided_at if alert.at is None else alert.at
