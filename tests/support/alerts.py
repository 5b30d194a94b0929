"""Lead alerts with invented viewers."""

from typing import Any

from frontrow.core.alerts import LeadAlert, Reason

DECIDED_AT = 1_750_000_000_000


def question(**by: int) -> Reason:
    return Reason("rule", "question", points=15, count=sum(by.values()), by=by)


def an_alert(lead: str = "L1", **changes: Any) -> LeadAlert:
    """Return a plausible alert; name only what the test is about."""
    fields: dict[str, Any] = {
        "lead": lead,
        "platform": "test",
        "room": "r1",
        "room_id": "demo",
        "room_title": "新车首发",
        "session": "s1",
        "viewer": "v1",
        "name": "小**花",
        "grade": "hot",
        "points": 92,
        "probability": 0.38,
        "reasons": [
            Reason("rule", "product_click", points=30, count=1),
            question(price=3),
            Reason("rule", "watched", points=5, value=1_085.0),
        ],
        "decided_at": DECIDED_AT,
    }
    return LeadAlert(**(fields | changes))
