"""The points table: a policy of rules, compiled once, and the columns that hold who has what.

A rule watches one *signal*. How often a viewer gave the signal in a session (its occurrences) is all that is kept;
what the occurrences are worth is computed from the counts, so that the order in which events arrive cannot matter.

A rule's worth is ``points × min(repeat, occurrences // at_least)``, bounded by ``cap``. With ``half_life_s`` each
occurrence fades, and the worth is ``points × min(repeat, faded occurrences)``. Rules of one ``group`` are bounded
together; the total lies between 0 and the policy's cap.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from frontrow.core import facts as fact
from frontrow.core.alerts import Reason
from frontrow.core.columns import FIRST_ROWS, Column, zeros
from frontrow.core.images import Image

Signal = Literal[
    "form_submit", "product_click", "cart_add", "question", "raffle", "mention_host", "comments", "watched", "phone",
    "company", "contact", "enter", "like", "share", "follow", "gift", "fan_club", "coupon_claim", "booking",
    "order_created", "order_paid", "order_refunded",
]  # fmt: skip


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the points table.

    ``per`` is the span over which ``repeat`` counts: one session, one day (the room's own) or ever, of one viewer in
    one room.
    ``repeat`` is how often the rule may pay (0: without bound), ``cap`` the most points that it may give (None: no
    bound of its own). ``half_life_s`` in seconds, 0: occurrences do not fade. ``at_least`` is how many occurrences
    make one (3 comments). ``over_s`` is for ``watched`` alone: more seconds than this.
    """

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    signal: Signal
    points: Annotated[int, Meta(ge=-100, le=100)]
    per: Literal["session", "day", "ever"] = "session"
    repeat: Annotated[int, Meta(ge=0, le=1000)] = 1
    cap: Annotated[int, Meta(ge=0)] | None = None
    half_life_s: Annotated[float, Meta(ge=0)] = 0.0
    group: str = ""
    at_least: Annotated[int, Meta(ge=1, le=1000)] = 1
    over_s: Annotated[float, Meta(ge=0)] = 0.0


SAME_WORDS = "same_words"  # the reason of those who share a group's points (core/crowd.py)
# Reasons of the kind "rule" that no rule of a table gives. A rule of that name would be taken for them: everybody who
# met it for one of a crowd.
ENGINE_REASONS = frozenset({SAME_WORDS})

DEFAULT_RULES = (
    Rule(name="form_submit", signal="form_submit", points=50),
    Rule(name="product_click", signal="product_click", points=30),
    Rule(name="cart_add", signal="cart_add", points=20),
    Rule(name="question", signal="question", points=15),
    Rule(name="raffle", signal="raffle", points=10),
    Rule(name="mention_host", signal="mention_host", points=5),
    Rule(name="comments", signal="comments", points=10, at_least=3),
    Rule(name="watched", signal="watched", points=5, over_s=900.0),
    Rule(name="phone", signal="phone", points=20),
    Rule(name="company", signal="company", points=10),
)


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The points table and the grades' bounds, in points.

    Hot from ``hot`` and until below ``hot_leave``; warm from ``warm`` and until below ``warm_leave``; else cold.
    ``group_caps`` bound what the rules of one group give together.
    """

    cap: Annotated[int, Meta(ge=1, le=1000)] = 100
    hot: int = 80
    warm: int = 40
    hot_leave: int = 75
    warm_leave: int = 35
    rules: tuple[Rule, ...] = DEFAULT_RULES
    group_caps: dict[str, Annotated[int, Meta(ge=0)]] = {}


def policy_id(policy: Policy) -> str:
    """Return a short name that changes with any change of the policy: 12 hex digits of its canonical SHA-256."""
    canonical = msgspec.json.encode(policy, order="deterministic")
    return hashlib.sha256(canonical).hexdigest()[:12]


def policy_mistakes(policy: Policy) -> list[tuple[str, str]]:
    """Return what is wrong with a policy that each field alone does not show, as (key path, reason)."""
    mistakes: list[tuple[str, str]] = []
    if not policy.warm <= policy.hot:
        mistakes.append(("points.warm", f"must not be above hot ({policy.hot})"))
    if policy.hot > policy.cap:
        mistakes.append(("points.hot", f"can never be reached: cap is {policy.cap}"))
    if policy.hot_leave > policy.hot:
        mistakes.append(("points.hot_leave", f"must not be above hot ({policy.hot})"))
    if policy.warm_leave > policy.warm:
        mistakes.append(("points.warm_leave", f"must not be above warm ({policy.warm})"))
    seen: set[str] = set()
    for index, rule in enumerate(policy.rules):
        path = f"points.rules[{index}]"
        if rule.name in seen:
            mistakes.append((f"{path}.name", f"is used twice: {rule.name!r}"))
        seen.add(rule.name)
        if rule.name in ENGINE_REASONS:
            reason = f"{rule.name!r} is the engine's own reason, of viewers who are one group; name the rule otherwise"
            mistakes.append((f"{path}.name", reason))
        if rule.over_s and rule.signal != "watched":
            mistakes.append((f"{path}.over_s", "is for the signal 'watched' only"))
        if rule.signal == "watched" and (rule.half_life_s or rule.at_least != 1 or rule.repeat != 1):
            mistakes.append((path, "'watched' is a state and takes neither half_life_s, at_least nor repeat"))
        if rule.signal == "watched" and rule.per != "session":
            mistakes.append((f"{path}.per", "'watched' is told per session"))
        if rule.half_life_s and rule.per != "session":
            mistakes.append((f"{path}.half_life_s", "fading is within a session; per must be 'session'"))
        if rule.half_life_s and rule.at_least != 1:
            mistakes.append((f"{path}.at_least", "cannot be combined with half_life_s"))
        if rule.group and rule.group not in policy.group_caps:
            mistakes.append((f"{path}.group", f"has no bound in points.group_caps: {rule.group!r}"))
    return mistakes


def signals_of(kind: str, facts: int) -> tuple[str, ...]:
    """Return the signals that one event of a viewer gives; ``facts`` is the mask of :mod:`frontrow.core.facts`.

    ``watched`` is not among them: it is a state of the viewer, not of an event.
    """
    signals: list[str] = []
    match kind:
        case "comment":
            signals.append("comments")
            if facts & fact.QUESTION:
                signals.append("question")
            if facts & fact.HOST:
                signals.append("mention_host")
            if facts & fact.RAFFLE_WORD:
                signals.append("raffle")
            if facts & fact.CONTACT:
                signals.append("contact")
        case "lottery_join" | "vote":
            signals.append("raffle")
        case "form_submit" | "product_click" | "cart_add" | "coupon_claim" | "booking" | "enter" | "like":
            signals.append(kind)
        case "share" | "follow" | "gift" | "fan_club" | "order_created" | "order_paid" | "order_refunded":
            signals.append(kind)
        case _:
            pass
    if facts & fact.PHONE_VALID:
        signals.append("phone")
    if facts & fact.COMPANY:
        signals.append("company")
    return tuple(signals)


@dataclass(frozen=True, slots=True)
class Tally:
    """What counting would give: occurrences by rule and row, and the sum of worths by row."""

    rows: NDArray[np.int64]
    counts: NDArray[np.int64]
    raw: NDArray[np.int64]


_NO_CAP = 1 << 40  # more than any rule can give
COUNT_BOUND = (
    65_535  # occurrences of one rule that are counted; a viewer who gives more signals is counted no further
)


class PointsBoard:
    """Who has how many points: one row per viewer and session, one column of occurrences per rule."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.id = policy_id(policy)
        self._rules = policy.rules
        # A line per row, so that all that is known of a viewer lies together.
        self._counts: NDArray[np.uint16] = np.zeros((FIRST_ROWS, len(policy.rules)), np.uint16)
        self._count = self._counts.data
        self._at_least = np.array([rule.at_least for rule in policy.rules], np.int64)
        self._repeat = np.array([rule.repeat or COUNT_BOUND for rule in policy.rules], np.int64)
        self._points = np.array([rule.points for rule in policy.rules], np.int64)
        self._caps = np.array([_NO_CAP if rule.cap is None else rule.cap for rule in policy.rules], np.int64)
        self._faded = {
            index: Column(np.float64) for index, rule in enumerate(policy.rules) if rule.half_life_s
        }
        self._landmark_ms: int | None = None
        self._raw = Column(np.int32)  # the sum of all worths, where nothing fades and no group bounds it
        self._plain = not self._faded and not any(rule.group for rule in policy.rules)
        self._watched = [index for index, rule in enumerate(policy.rules) if rule.signal == "watched"]
        self._hits: dict[tuple[str, int], tuple[int, ...]] = {}
        # Of rules that count over more than a session: occurrences by (owner, rule, span), and what each row was paid.
        self._beyond: dict[tuple[tuple[str, str, str], int, int], int] = {}
        self._paid: dict[tuple[int, int], int] = {}
        self._growth = [self._worths(rule) for rule in policy.rules]
        self._signals = {rule.name: rule.signal for rule in policy.rules}
        # By rule, where the occurrences alone say what it is worth: the reason for each number of them. None: nothing.
        self._told: list[dict[int, Reason | None] | None] = [
            {} if rule.per == "session" and index not in self._faded else None
            for index, rule in enumerate(policy.rules)
        ]
        self.beyond = any(rule.per != "session" for rule in policy.rules)
        self.by_day = any(rule.per == "day" for rule in policy.rules)
        self.watch_bounds_ms = [policy.rules[index].over_s * 1000.0 for index in self._watched]
        # Whether a session's points only ever grow, but for what an observation corrects, and grow with the counts
        # alone: then what a frame did to a viewer can be told from its beginning and its end.
        self.monotone = self._plain and all(
            rule.per == "session" and rule.points >= 0 for rule in policy.rules
        )

    @property
    def of_session(self) -> bool:
        """Whether what a viewer did in one session alone decides, by occurrences that do not fade."""
        return self._plain and not self.beyond

    def rules_by_column(self) -> tuple[NDArray[Any], ...]:
        """Return of each rule at how many occurrences it counts one, how many of these at most, the points and their bound; then
        the rules about watching and the times beyond which they hold (ms)."""
        watched = np.array(self._watched, np.int64)
        bounds = np.array(self.watch_bounds_ms, np.float64)
        return self._at_least, self._repeat, self._points, self._caps, watched, bounds

    def columns(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the sums of worths by row, where :attr:`of_session` holds, and the occurrences by row and rule."""
        return self._raw.array, self._counts

    def grow(self, rows: int) -> None:
        """Make room for at least so many rows, with nothing in them."""
        for column in (self._raw, *self._faded.values()):
            column.grow(rows)
        if rows > len(self._counts):
            grown = zeros((rows, len(self._rules)), np.uint16)
            grown[: len(self._counts)] = self._counts
            self._counts, self._count = grown, grown.data

    def clear(self, rows: NDArray[np.int64]) -> None:
        """Give rows back with nothing in them."""
        for column in (self._raw, *self._faded.values()):
            column.array[rows] = column.fill
        self._counts[rows] = 0
        if self._paid:
            gone = set(rows.tolist())
            self._paid = {key: points for key, points in self._paid.items() if key[1] not in gone}

    def arrays(self) -> list[NDArray[Any]] | None:
        """Return the arrays that hold all of a row, or None where a policy keeps more than a row's own numbers."""
        return None if self._faded or self.beyond else [self._raw.array, self._counts]

    def hits(self, kind: str, facts: int) -> tuple[int, ...]:
        """Return the indices of the rules that an event of this kind and these facts touches."""
        key = (kind, facts)
        found = self._hits.get(key)
        if found is None:
            signals = signals_of(kind, facts)
            found = tuple(index for index, rule in enumerate(self._rules) if rule.signal in signals)
            if len(self._hits) < 65_536:  # bounded: unknown kinds come from outside
                self._hits[key] = found
        return found

    def hit(
        self, row: int, rules: Sequence[int], *, at: int, owner: tuple[str, str, str], day: int = 0
    ) -> None:
        """Count one occurrence of each rule.

        ``at`` is event time; ``owner`` names the viewer beyond the session (platform, room, viewer); ``day`` numbers
        the room's day, and is needed only where ``by_day`` says so.
        """
        for index in rules:
            rule = self._rules[index]
            before: int = self._count[row, index]
            if before < COUNT_BOUND:
                self._count[row, index] = before + 1
            if rule.per != "session":
                self._pay(index, row, (owner, index, day if rule.per == "day" else -1))
            elif index in self._faded:
                self._fade_in(index, row, at)
            elif self._plain and before < COUNT_BOUND:
                growth = self._growth[index]
                if before < len(growth):
                    self._raw.view[row] += growth[before]
                elif rule.repeat == 0 and rule.cap is None and (before + 1) % rule.at_least == 0:
                    self._raw.view[row] += rule.points

    def tally(self, rows: NDArray[np.int64], hits: NDArray[np.int64]) -> "Tally":
        """Return what it would be to count many occurrences, without counting them. For a monotone board only.

        ``rows`` are different; ``hits`` has a line per row with the number of occurrences for each rule.
        """
        counts = np.minimum(self._counts[rows] + hits, COUNT_BOUND)
        times = np.minimum(counts // self._at_least, self._repeat)
        worths = np.minimum(self._points * times, self._caps)
        return Tally(rows, counts, worths.sum(axis=1))

    def count(self, tally: "Tally", where: NDArray[np.bool_]) -> None:
        """Count what :meth:`tally` told, for those of its rows where ``where`` is true."""
        rows = tally.rows[where]
        self._counts[rows] = tally.counts[where]
        self._raw.array[rows] = tally.raw[where]

    def capped(self, raw: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the points for sums of worths, where nothing fades and no group bounds it."""
        capped: NDArray[np.int64] = np.clip(raw, 0, self.policy.cap)
        return capped

    def counts_of(self, rule: int, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return a rule's occurrences, for each row."""
        counts: NDArray[Any] = self._counts[rows, rule]
        return counts

    def image(self, rows: int) -> Image:
        """Return a copy of everything in the first ``rows`` rows."""
        arrays: dict[str, NDArray[Any]] = {"counts": self._counts[:rows].copy()}
        arrays |= {f"faded{index}": column.array[:rows].copy() for index, column in self._faded.items()}
        return Image(
            meta={
                "landmark": self._landmark_ms,
                "beyond": [[*owner, index, span, n] for (owner, index, span), n in self._beyond.items()],
                "paid": [[index, row, points] for (index, row), points in self._paid.items()],
            },
            arrays=arrays | {"raw": self._raw.array[:rows].copy()},
        )

    def load(self, image: Image) -> None:
        """Take over an image of a board with the same policy."""
        counts = image.arrays["counts"]
        self.grow(len(counts))
        self._counts[: len(counts)] = counts
        self._counts[len(counts) :] = 0
        for index, column in self._faded.items():
            column.load(image.arrays[f"faded{index}"])
        self._raw.load(image.arrays["raw"])
        self._landmark_ms = image.meta["landmark"]
        self._beyond = {
            ((platform, room, viewer), index, span): n
            for platform, room, viewer, index, span, n in image.meta["beyond"]
        }
        self._paid = {(index, row): points for index, row, points in image.meta["paid"]}

    @property
    def watched_rules(self) -> list[int]:
        """The indices of the rules about watching."""
        return self._watched

    def set_watched(self, row: int, watched_ms: int) -> None:
        """Say for how long the viewer has watched by now; may also fall, when an observation corrects an estimate."""
        for index in self._watched:
            rule = self._rules[index]
            now = 1 if watched_ms > rule.over_s * 1000.0 else 0
            if self._count[row, index] != now:
                self._count[row, index] = now
                if self._plain:
                    self._raw.view[row] += rule.points if now else -rule.points

    def points(self, row: int, at: int) -> int:
        """Return the row's points at event time ``at``, rounded half up where occurrences fade."""
        if self._plain:
            raw: int = self._raw.view[row]
            cap = self.policy.cap
            return cap if raw > cap else max(raw, 0)
        groups: dict[str, float] = {}
        for index, rule in enumerate(self._rules):
            groups[rule.group] = groups.get(rule.group, 0.0) + self._worth(index, row, at)
        caps = self.policy.group_caps
        total = sum(
            min(worth, float(caps[name])) if name in caps else worth for name, worth in groups.items()
        )
        return int(min(float(self.policy.cap), max(0.0, math.floor(total + 0.5))))

    def points_of(self, rows: NDArray[np.int64], at: int) -> NDArray[np.int64]:
        """Return :meth:`points` of many rows."""
        if self._plain:
            return self.capped(self._raw.array[rows].astype(np.int64))
        return np.array([self.points(row, at) for row in rows.tolist()], np.int64)

    def occurrences(self, rows: NDArray[np.int64]) -> list[list[int]]:
        """Return for each of ``rows`` the occurrences of every rule."""
        found: list[list[int]] = self._counts[rows].tolist()
        return found

    def tallies(self, rows: NDArray[np.int64]) -> NDArray[np.uint16]:
        """Return :meth:`occurrences` as an array; shape (rows, rules)."""
        return self._counts[rows]

    def reasons(self, row: int, occurrences: Sequence[int], at: int) -> list[Reason]:
        """Return the rules that give the row anything, in the order of the policy. Sums may exceed the caps.

        ``occurrences`` are the row's, as :meth:`occurrences` gives them.
        """
        found: list[Reason] = []
        for index, count in enumerate(occurrences):
            if not count:
                continue
            told = self._told[index]
            if told is None or count not in told:
                worth = self._worth(index, row, at)
                reason = None
                if worth:
                    points = math.floor(worth + 0.5)
                    reason = Reason(kind="rule", name=self._rules[index].name, points=points, count=count)
                if told is not None:
                    told[count] = reason
            else:
                reason = told[count]
            if reason is not None:
                found.append(reason)
        return found

    def signal_of(self, name: str) -> str:
        """Return the signal that the rule of this name watches."""
        return self._signals[name]

    def _worth(self, index: int, row: int, at: int) -> float:
        rule = self._rules[index]
        if rule.per != "session":
            return float(self._paid.get((index, row), 0))
        if index in self._faded:
            landmark = self._landmark_ms if self._landmark_ms is not None else at
            # Behind the landmark the factor grows; what it multiplies has shrunk as much, so the bound loses nothing.
            fade: float = 2.0 ** min(1000.0, (landmark - at) / (rule.half_life_s * 1000.0))
            times: float = self._faded[index].view[row] * fade
        else:
            times = float(self._count[row, index] // rule.at_least)
        if rule.repeat:
            times = min(times, float(rule.repeat))
        worth = rule.points * times
        if rule.cap is not None:
            worth = max(-float(rule.cap), min(float(rule.cap), worth))
        return worth

    @staticmethod
    def _worths(rule: Rule) -> list[int]:
        """Return what each further occurrence adds, until nothing more is added (empty where it has no bound)."""
        if rule.repeat == 0 and rule.cap is None:
            return []
        added: list[int] = []
        worth = 0
        bound = rule.repeat or (abs(rule.cap or 0) // max(1, abs(rule.points)) + 1)
        for occurrence in range(1, bound * rule.at_least + 1):
            times = min(occurrence // rule.at_least, bound)
            now = rule.points * times
            if rule.cap is not None:
                now = max(-rule.cap, min(rule.cap, now))
            added.append(now - worth)
            worth = now
        return added

    def _pay(self, index: int, row: int, key: tuple[tuple[str, str, str], int, int]) -> None:
        """Pay the row what one more occurrence adds over the whole span: to the session in which it happens."""
        before = self._beyond.get(key, 0)
        self._beyond[key] = before + 1
        rule, growth = self._rules[index], self._growth[index]
        if before < len(growth):
            added = growth[before]
        else:
            endless = rule.repeat == 0 and rule.cap is None and (before + 1) % rule.at_least == 0
            added = rule.points if endless else 0
        if added:
            self._paid[index, row] = self._paid.get((index, row), 0) + added
            if self._plain:
                self._raw.view[row] += added

    def _fade_in(self, index: int, row: int, at: int) -> None:
        # Forward decay (Cormode et al., ICDE 2009): what is stored never fades, only the reading does.
        if self._landmark_ms is None:
            self._landmark_ms = at
        half_life_ms = self._rules[index].half_life_s * 1000.0
        if (at - self._landmark_ms) / half_life_ms > 900.0:
            self._move_landmark(at)
        self._faded[index].view[row] += 2.0 ** ((at - self._landmark_ms) / half_life_ms)

    def _move_landmark(self, at: int) -> None:
        # A double overflows at 2**1024; fade everything to the new landmark long before that.
        assert self._landmark_ms is not None
        for index, column in self._faded.items():
            factor = 2.0 ** -((at - self._landmark_ms) / (self._rules[index].half_life_s * 1000.0))
            column.array *= factor
        self._landmark_ms = at
