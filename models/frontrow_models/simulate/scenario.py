"""What is simulated: the knobs of a scenario, with units, and the ground truth that comes out."""

import enum
import math
from dataclasses import dataclass

from msgspec import Struct

from frontrow.core.events import EARLIEST_MS, LATEST_MS, MAX_ID

SIMULATOR_VERSION = "3"
"""Changes whenever the same scenario gives other bytes."""

DICE = "2"
"""Part of every seed: the version that last changed what happens, and not only what is told of it. With the same dice figures can
be compared."""

DEFAULT_START = 1_767_268_800_000  # 2026-01-01 20:00 in Shanghai: prime time

MAX_VIEWERS = 2_000_000  # a viewer takes about 1 kB
MAX_DURATION_S = 24 * 3600
MAX_EVENTS_PER_S = 100_000.0
MAX_SESSIONS = 100


class ViewerType(enum.StrEnum):
    """What a viewer is in truth; no event tells it (staff are flagged as on the platforms)."""

    BUYER = "buyer"  # came to buy: asks, clicks, compares, and buys one time in three
    BROWSER = "browser"  # most of the room: looks in, half of them for a minute
    FAN = "fan"  # here for the host: long stays, many comments, gifts, few orders
    BOT = "bot"  # likes, raffles and spam; never buys
    PAID = "paid"  # a hired crowd: writes and clicks as hot viewers do, in bursts, after a script; never buys
    COMPETITOR = "competitor"  # asks like a buyer, clicks, never buys
    STAFF = "staff"  # assistants of the host


class Crowd(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shares of the types of viewers, relative to their sum. A paid crowd comes on top: :attr:`Scenario.paid`."""

    buyer: float = 0.08
    browser: float = 0.61
    fan: float = 0.22
    bot: float = 0.06
    competitor: float = 0.02
    staff: float = 0.01


class Mix(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Weights of what a room does without any wish to buy, relative to their sum.

    Only these are scaled to reach ``events_per_s``. Questions, clicks, carts, forms and orders come from each
    viewer's own interest: a busier room has more likes, not more buyers.
    """

    like: float = 0.80
    comment: float = 0.10
    gift: float = 0.05
    share: float = 0.015
    follow: float = 0.025
    fan_club: float = 0.002
    unfollow: float = 0.001


class Faults(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the platform does to events between viewer and Frontrow. Rates are shares of events, 0 to 1, in sum ≤ 1.

    ``duplicate``: arrives twice, the second up to ``duplicate_after_s`` seconds later. ``reorder``: arrives up to
    ``reorder_by_s`` seconds late, so behind younger events. ``late``: arrives up to ``late_by_s`` seconds late, and at
    least a tenth of it. ``lost``: never arrives. Everything else arrives ``latency_ms`` after it happened.
    ``room_start``, ``room_end`` and ``product_on_show`` are spared: without them there is no broadcast to speak of.
    """

    duplicate: float = 0.01
    reorder: float = 0.02
    late: float = 0.002
    lost: float = 0.0
    latency_ms: int = 150
    duplicate_after_s: float = 20.0
    reorder_by_s: float = 3.0
    late_by_s: float = 60.0


NO_FAULTS = Faults(duplicate=0.0, reorder=0.0, late=0.0, lost=0.0)


class Drift(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much the chance to buy moves while nothing that can be seen of a viewer does.

    All spreads are of the logarithm of the chance that a click becomes an order. ``shock``: of a room's level, which is
    drawn anew from three after each ``shortest_min`` to ``longest_min`` minutes. ``slow``: how far the weight of a
    viewer's style (who asks against who likes and chats) swings over ``period_min`` minutes, in all rooms alike and
    across broadcasts. ``session``: of one broadcast against the next.
    """

    shock: float = 0.5
    shortest_min: float = 30.0
    longest_min: float = 60.0
    slow: float = 0.3
    period_min: float = 240.0
    session: float = 0.2


NO_DRIFT = Drift(shock=0.0, slow=0.0, session=0.0)


class Sellers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """People who answer viewers with something in the cart. With ``count`` 0, the default, there are none.

    ``speed_s``: mean seconds until a seller answers, exponential; a viewer who has decided before gets no answer.
    ``skill``: factor on the chance that the cart becomes an order once it was answered. Each answer is a
    ``lead_claim``, each end a ``lead_outcome``: ``won`` with the payment, ``lost`` half an hour after the answer.
    """

    count: int = 0
    speed_s: float = 60.0
    skill: float = 2.0


NO_SELLERS = Sellers()


class Scenario(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One broadcast or more in each of some rooms. Equal scenarios give equal bytes.

    ``seed``: whole number ≥ 0. ``platform``, ``rooms``: keys that the events carry; each room is a world of its own.
    ``start``: UTC milliseconds of ``room_start``. ``duration_s``: seconds from ``room_start`` to ``room_end``.
    ``viewers``: different viewers of each room over the whole broadcast; a fifth or so are there at a time.
    ``events_per_s``: events of each room per second, aimed at on average over the broadcast (the room's rate swings
    about threefold with pitches and raffles, and is higher where the viewers' own interest gives more). ``crowd``,
    ``mix``, ``faults``, ``drift``, ``sellers``: see there. ``seen_at``: whether events carry their arrival time; a live
    feed leaves it to the intake. ``paid``: share of a paid crowd among all viewers, 0 to 0.9; it comes on top of
    ``viewers``, all of whom do exactly what they do without it. ``sessions``: broadcasts of each room, one after the
    other with ``pause_s`` seconds between; three in ten of the viewers come to every one of them. ``plan_off_min``:
    how far the planned length that ``room_start`` tells is off, as a standard deviation in minutes; None: no plan is
    told.

    Raises:
        ValueError: A value cannot be used; the message names the field and its bounds.
    """

    seed: int = 7
    platform: str = "sim"
    rooms: tuple[str, ...] = ("room-1",)
    start: int = DEFAULT_START
    duration_s: int = 7200
    viewers: int = 400
    events_per_s: float = 20.0
    crowd: Crowd = Crowd()
    mix: Mix = Mix()
    faults: Faults = Faults()
    seen_at: bool = True
    paid: float = 0.0
    drift: Drift = Drift()
    sellers: Sellers = NO_SELLERS
    sessions: int = 1
    pause_s: int = 3600
    plan_off_min: float | None = 10.0

    def __post_init__(self) -> None:
        _bounds("seed", self.seed, 0, 2**63 - 1)
        _bounds("duration_s", self.duration_s, 60, MAX_DURATION_S)
        _bounds("start", self.start, EARLIEST_MS, LATEST_MS - 2 * MAX_SESSIONS * MAX_DURATION_S * 1000)
        _bounds("viewers", self.viewers, 1, MAX_VIEWERS)
        _bounds("events_per_s", self.events_per_s, 0.0, MAX_EVENTS_PER_S)
        if not self.rooms or len(set(self.rooms)) != len(self.rooms):
            raise ValueError("rooms: at least one, and no name twice")
        for name in (self.platform, *self.rooms):
            _bounds("platform and rooms: length of a name", len(name), 1, MAX_ID)
        _weights("crowd", self.crowd)
        _weights("mix", self.mix)
        _check_faults(self.faults)
        _bounds("paid", self.paid, 0.0, 0.9)
        _bounds("sessions", self.sessions, 1, MAX_SESSIONS)
        _bounds("pause_s", self.pause_s, 60, MAX_DURATION_S)
        if self.plan_off_min is not None:
            _bounds("plan_off_min", self.plan_off_min, 0.0, MAX_DURATION_S / 60)
        for name in ("shock", "slow", "session"):
            _bounds(f"drift.{name}", getattr(self.drift, name), 0.0, 2.0)
        _bounds("drift.shortest_min", self.drift.shortest_min, 1.0, MAX_DURATION_S / 60)
        _bounds("drift.longest_min", self.drift.longest_min, self.drift.shortest_min, MAX_DURATION_S / 60)
        _bounds("drift.period_min", self.drift.period_min, 10.0, 60_000.0)
        _bounds("sellers.count", self.sellers.count, 0, 1_000)
        _bounds("sellers.speed_s", self.sellers.speed_s, 1.0, 3600.0)
        _bounds("sellers.skill", self.sellers.skill, 0.0, 10.0)

    @property
    def end(self) -> int:
        """UTC milliseconds of the last ``room_end``."""
        return self.start_of(self.sessions - 1) + self.duration_s * 1000

    def start_of(self, session: int) -> int:
        """Return the UTC milliseconds of ``room_start`` of a broadcast, counted from 0."""
        return self.start + session * (self.duration_s + self.pause_s) * 1000


def room_names(count: int) -> tuple[str, ...]:
    """Return names for so many rooms: ``room-1``, ``room-2``, …"""
    return tuple(f"room-{number}" for number in range(1, count + 1))


@dataclass(frozen=True, slots=True)
class ViewerTruth:
    """What the simulator knows of one viewer in one broadcast.

    ``p_true`` is the probability at ``came_at`` that this viewer pays for at least one order before the broadcast ends
    (:meth:`frontrow_models.simulate.World.p_true`); ``bought`` is whether it happened, ``paid_at`` when first (UTC
    milliseconds). ``interest`` is the latent wish to buy, in standard deviations within the type. ``came_at`` and
    ``left_at`` (UTC milliseconds) are the first entry and the end of the last visit, ``watched_s`` the seconds of all
    visits, whatever the platform told of them.
    """

    platform: str
    room: str
    session: str
    viewer: str
    type: str
    interest: float
    came_at: int
    left_at: int
    watched_s: float
    p_true: float
    bought: bool
    paid_at: int | None


def _bounds(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name}: must be from {low} to {high}")


def _weights(name: str, weights: Struct) -> None:
    values = [getattr(weights, field) for field in weights.__struct_fields__]
    if not all(math.isfinite(value) and value >= 0 for value in values) or sum(values) <= 0:
        raise ValueError(f"{name}: weights must be finite and not negative, and one must be above 0")


def _check_faults(faults: Faults) -> None:
    rates = (faults.duplicate, faults.reorder, faults.late, faults.lost)
    if not all(0.0 <= rate <= 1.0 for rate in rates) or sum(rates) > 1.0:
        raise ValueError("faults: duplicate, reorder, late and lost must be from 0 to 1 and at most 1 in sum")
    _bounds("faults.latency_ms", faults.latency_ms, 0, 60_000)
    for name in ("duplicate_after_s", "reorder_by_s", "late_by_s"):
        _bounds(f"faults.{name}", getattr(faults, name), 0.0, 3600.0)
