"""The features: their names, their order, their version, and the columns that hold them.

A viewer in a session is one row. Most features are counts that fade: each event adds its weight at its own event
time, and reading multiplies by how far that has faded. The state is kept relative to a landmark (*forward decay*,
Cormode, Shkapenyuk, Srivastava, Xu: "Forward Decay: A Practical Time Decay Model for Streaming Systems", ICDE 2009),
so an update is an addition, a late event gets exactly the weight it would have had, and the order of arrival changes
at most the last bits. Updates are collected and added together with ``np.add.at``, which adds in order: the state
does not depend on how many are added at once.

Kinds that are outcomes (orders, forms) feed no feature: a label must not be seen before it is known, nor anything
that exists only because of it. ``fan`` is what was known *before* the event that is being scored.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from frontrow.core import facts as fact

FEATURES_VERSION = 1

MINUTE_MS = 60_000.0
SHORT, MIDDLE, LONG = 1 * MINUTE_MS, 5 * MINUTE_MS, 30 * MINUTE_MS  # half-lives

# (name, half-life): one column of state each. What feeds them is in FEEDS.
_FADING: tuple[tuple[str, float], ...] = (
    ("comments_1m", SHORT),
    ("comments_5m", MIDDLE),
    ("comments_30m", LONG),
    ("questions_1m", SHORT),
    ("questions_5m", MIDDLE),
    ("questions_30m", LONG),
    ("price_5m", MIDDLE),
    ("closing_5m", MIDDLE),  # stock, delivery, instalment, how to buy: asked late in a decision
    ("likes_1m", SHORT),
    ("likes_5m", MIDDLE),
    ("likes_30m", LONG),
    ("clicks_1m", SHORT),
    ("clicks_5m", MIDDLE),
    ("clicks_30m", LONG),
    ("carts_5m", MIDDLE),
    ("carts_30m", LONG),
    ("gifts_5m", MIDDLE),
    ("gifts_30m", LONG),
    ("social_5m", MIDDLE),  # follow, share, fan club
    ("social_30m", LONG),
    ("games_5m", MIDDLE),  # raffle, vote
    ("mentions_5m", MIDDLE),
)
FADING = tuple(name for name, _ in _FADING)

# What is known of the viewer besides, and of the room at that moment. How long a viewer has been quiet is not among it:
# snapshots are taken when somebody acts, so the model would never have seen what it is then asked about.
STANDING = ("watched_min", "present_min", "enters", "fan", "earlier_sessions")
ROOM = ("room_age_min", "room_events_1m", "room_viewers", "product_age_min")

NAMES: tuple[str, ...] = FADING + STANDING + ROOM
COUNT = len(NAMES)

_FED_BY: dict[str, tuple[str, ...]] = {
    "comment": ("comments_1m", "comments_5m", "comments_30m"),
    "question": ("questions_1m", "questions_5m", "questions_30m"),
    "price": ("price_5m",),
    "closing": ("closing_5m",),
    "mention": ("mentions_5m",),
    "like": ("likes_1m", "likes_5m", "likes_30m"),
    "product_click": ("clicks_1m", "clicks_5m", "clicks_30m"),
    "cart_add": ("carts_5m", "carts_30m"),
    "coupon_claim": ("carts_5m",),
    "gift": ("gifts_5m", "gifts_30m"),
    "follow": ("social_5m", "social_30m"),
    "share": ("social_5m", "social_30m"),
    "fan_club": ("social_5m", "social_30m"),
    "lottery_join": ("games_5m",),
    "vote": ("games_5m",),
}

# Which fact of a comment feeds what, besides "comment" itself.
_COMMENT_FEEDS: tuple[tuple[int, str], ...] = (
    (fact.QUESTION, "question"),
    (fact.PRICE | fact.DISCOUNT, "price"),
    (fact.STOCK | fact.DELIVERY | fact.INSTALMENT | fact.BUY, "closing"),
    (fact.HOST, "mention"),
)

_HALF_LIVES = np.array([half_life for _, half_life in _FADING])
_WIDTH = len(_FADING)

# Exact moves of the landmark: a power of two changes no digit, so all half-lives must divide the step.
REBASE_MS = 6 * 3_600_000

Matrix = NDArray[np.float64]


def columns_of(kind: str, facts: int) -> tuple[int, ...]:
    """Return the fading columns that an event of this kind with these facts adds to."""
    feeds = [kind] if kind in _FED_BY else []
    if kind == "comment":
        feeds += [feed for mask, feed in _COMMENT_FEEDS if facts & mask]
    return tuple(FADING.index(name) for feed in feeds for name in _FED_BY[feed])


class FadingColumns:
    """The fading part of every row. ``add`` collects, ``flush`` adds, ``read`` fades to a moment.

    Not thread-safe; owned by one engine.
    """

    def __init__(self, origin_ms: int) -> None:
        self._landmark_ms = origin_ms
        self._state: Matrix = np.zeros((1024, _WIDTH))
        self._rows = 0
        self._row: list[int] = []
        self._columns: list[tuple[int, ...]] = []
        self._amount: list[float] = []
        self._at: list[int] = []
        self._known: dict[tuple[str, int], tuple[int, ...]] = {}

    @property
    def landmark_ms(self) -> int:
        """The moment to which the stored numbers relate, UTC milliseconds."""
        return self._landmark_ms

    def add_row(self) -> None:
        """Give one more row of zeros."""
        self._rows += 1
        if self._rows > len(self._state):
            # np.resize would repeat the data; growing by half keeps the copies rare and the waste small.
            grown = np.zeros((len(self._state) + len(self._state) // 2, _WIDTH))
            grown[: len(self._state)] = self._state
            self._state = grown

    def add(self, row: int, kind: str, facts: int, amount: float, at: int) -> None:
        """Let an event add ``amount`` at event time ``at`` to what its kind and facts feed."""
        key = (kind, facts)
        columns = self._known.get(key)
        if columns is None:
            columns = columns_of(kind, facts)
            if len(self._known) < 65_536:  # bounded: unknown kinds come from outside
                self._known[key] = columns
        if columns:
            self._row.append(row)
            self._columns.append(columns)
            self._amount.append(amount)
            self._at.append(at)

    def flush(self) -> None:
        """Add what was collected, in the order in which it came."""
        if not self._row:
            return
        widths = [len(columns) for columns in self._columns]
        column = np.fromiter(
            (c for columns in self._columns for c in columns), dtype=np.intp, count=sum(widths)
        )
        row = np.repeat(np.array(self._row, dtype=np.intp), widths)
        elapsed = np.repeat(np.array(self._at, dtype=np.float64) - self._landmark_ms, widths)
        weight = np.repeat(np.array(self._amount), widths) * np.exp2(elapsed / _HALF_LIVES[column])
        np.add.at(self._state.reshape(-1), row * _WIDTH + column, weight)
        self._row.clear()
        self._columns.clear()
        self._amount.clear()
        self._at.clear()

    def read(self, rows: NDArray[np.intp], at: NDArray[np.float64]) -> Matrix:
        """Return the faded counts of ``rows``, each at its moment ``at`` (UTC ms); shape (rows, fading columns)."""
        elapsed = (at - self._landmark_ms)[:, None]
        # A look back from behind the landmark multiplies; the bound keeps 0 × infinity out of it.
        faded: Matrix = self._state[rows] * np.exp2(np.minimum(-(elapsed / _HALF_LIVES), 1000.0))
        return faded

    def rebase(self, now_ms: int) -> None:
        """Move the landmark forward by whole steps once it is far behind; called at marks, so replay does the same.

        An event so late that its weight underflows counts nothing, which is what its age says anyway.
        """
        steps = (now_ms - self._landmark_ms) // REBASE_MS
        if steps <= 0:
            return
        self.flush()
        moved = steps * REBASE_MS
        self._state *= np.exp2(-(moved / _HALF_LIVES))
        self._landmark_ms += moved


def assemble(fading: Matrix, standing: Matrix) -> Matrix:
    """Return the model's input in the order of ``NAMES``: ``log1p`` of everything, bounded.

    ``standing`` holds ``STANDING`` and ``ROOM`` as raw numbers (minutes, counts, 0 or 1). The logarithm tames heavy
    tails; the bound is the firewall's: no absurd number may reach a weight. Both inputs are finite and not negative.
    """
    joined = np.concatenate((fading, standing), axis=1)
    result: Matrix = np.log1p(np.clip(joined, 0.0, 1e9))
    return result


def as_mapping(row: Sequence[float]) -> dict[str, float]:
    """Return one row of the model's input by name, in order: what River is given."""
    return dict(zip(NAMES, row, strict=True))
