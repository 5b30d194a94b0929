"""What the viewers of one seed do: a small stream in which leads appear early, and what the feeds make of it.

The stream is made before the run begins and does not depend on it, so that what was sent is known.
"""

import random
from dataclasses import dataclass
from typing import Any

import msgspec

from frontrow.core.events import Event, RoomRef, encode_event
from tests.simulation.loop import START_MS
from tests.simulation.plan import Fault, Plan

PLATFORM = "test"
LATEST_S = 60.0  # how much later than it happened an event is sent, where a feed reorders

_TEXTS = (
    "这个多少钱", "有优惠吗", "什么时候发货", "还有货吗", "主播好", "666", "哈哈哈", "保修多久", "怎么买", "我要一个",
    "电话13800138000", "颜色有几种", "不错", "来了",
)  # fmt: skip
_NAMES = ("小丑鱼", "阿明", "Lily", "张先生", "买买买", "电话13800138000")
_KINDS = (
    ("like", 25), ("comment", 25), ("enter", 12), ("leave", 4), ("stay", 3), ("product_click", 8), ("cart_add", 5),
    ("form_submit", 3), ("order_paid", 5), ("gift", 4), ("share", 2), ("follow", 2), ("lottery_join", 2),
    ("fan_club", 1), ("room_stats", 1), ("product_on_show", 1), ("room_start", 1), ("room_end", 1), ("firework", 1),
)  # fmt: skip


GARBAGE: tuple[bytes, ...] = (
    b"{",
    b"\xff\xfe\x00",
    b"null",
    b"[1,2",
    b'{"id":"x","kind":"like"}',
    b'{"id":"x","platform":"test","room":"r0","kind":"like","at":12}',
    b'{"id":"x","platform":"test","room":"r0","kind":"like","at":1e308}',
    b'{"id":"x","platform":"test","room":"r0","kind":"comment","at":1750000000000}',
    b'{"id":"x","platform":"test","room":"nowhere","kind":"like","at":1750000000000}',
    b'{"id":"x","platform":"test","room":"r0","kind":"tick","at":1750000000000}',
    b'{"id":"x","platform":"test","room":"r0","kind":"like","at":1750000000000,"count":-5}',
    b"{" * 500,
)


@dataclass(frozen=True, slots=True)
class Sent:
    """One event and when its feed sends it first, in seconds of virtual time."""

    due_s: float
    event: Event
    line: bytes


def room_refs(plan: Plan) -> list[RoomRef]:
    """Return the configured rooms."""
    return [
        RoomRef(id=f"room-{n}", platform=PLATFORM, room=f"r{n}", title="夏季新品") for n in range(plan.rooms)
    ]


def make_stream(plan: Plan) -> list[Sent]:
    """Return all events in the order in which they are sent."""
    rng = plan.draws.stream("workload")
    kinds, weights = [kind for kind, _ in _KINDS], [weight for _, weight in _KINDS]
    late = 0.15 if plan.has(Fault.LATE) else 0.0
    found: list[Sent] = []
    moments = [rng.uniform(0.1, plan.span_s) for _ in range(plan.bursts)]
    for number in range(plan.events):
        happened_s = rng.choice(moments) + rng.uniform(0.0, 0.1) if moments else rng.uniform(0.1, plan.span_s)
        kind = rng.choices(kinds, weights)[0]
        event = _event(rng, plan, number, kind, happened_s)
        delay_s = rng.uniform(0.0, LATEST_S) if rng.random() < late else rng.uniform(0.0, 0.3)
        found.append(Sent(happened_s + delay_s, event, encode_event(event)))
    found.sort(key=lambda sent: sent.due_s)
    return found


def _event(rng: random.Random, plan: Plan, number: int, kind: str, happened_s: float) -> Event:
    room = f"r{rng.randrange(plan.rooms)}"
    at = START_MS + int(happened_s * 1000.0)
    fields: dict[str, Any] = {}
    if kind not in ("room_start", "room_end", "room_stats", "product_on_show"):
        # Few viewers do most, as everywhere, so that leads appear.
        viewer = min(rng.randrange(plan.viewers), rng.randrange(plan.viewers))
        fields["viewer"] = f"v{viewer}"
        if rng.random() < 0.5:
            fields["name"] = rng.choice(_NAMES)
        if rng.random() < 0.1:
            fields["fan"] = rng.random() < 0.7
        if rng.random() < 0.02:
            fields["staff"] = True
        if rng.random() < 0.02:
            fields["test"] = True
    if plan.named_sessions:
        fields["session"] = f"s{int(happened_s // 40)}"
    match kind:
        case "comment":
            fields["text"] = rng.choice(_TEXTS)
        case "stay":
            fields["seconds"] = rng.uniform(1.0, 1_200.0)
        case "like":
            fields["count"] = rng.randint(1, 30)
        case "gift":
            fields |= {"gift": "rose", "count": 1, "value": rng.randint(10, 5_000), "currency": "CNY"}
        case "product_click" | "cart_add" | "product_on_show":
            fields["product"] = f"p{rng.randint(1, 3)}"
        case "order_paid":
            fields |= {"order": f"o{number}", "value": 9_900, "currency": "CNY"}
        case "form_submit":
            fields |= {"form": "f", "fields": {"phone": "13800138000"}, "consent": rng.random() < 0.5}
        case "room_stats":
            fields["viewers"] = rng.randint(1, 500)
        case "firework":
            fields["extra"] = {"height": rng.randint(1, 9)}
    return msgspec.convert(
        {"id": f"e{number}", "platform": PLATFORM, "room": room, "kind": kind, "at": at, **fields}, Event
    )
