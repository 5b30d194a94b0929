"""The features: their names, their order, their version, and the columns that hold them.

A viewer in a session is one row. Most features are counts that fade: each event adds its weight at its own event
time, and reading multiplies by how far that has faded. The state is kept relative to a landmark (*forward decay*,
Cormode, Shkapenyuk, Srivastava, Xu: "Forward Decay: A Practical Time Decay Model for Streaming Systems", ICDE 2009),
so an update is an addition, a late event gets exactly the weight it would have had, and the order of arrival changes
at most the last bits. ``np.add.at`` adds in order, so the state does not depend on how many are added at once.

Kinds that are outcomes (orders, forms) feed no viewer's feature of the session in which they happen: a label must not
be seen before it is known, nor anything that exists only because of it. ``order_rate`` is of sessions that ended
before and stands still from a viewer's first event on; of the room only what was heard before is counted. ``fan`` is
what was known *before* the event that is being scored.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frontrow.core import facts as fact
from frontrow.core.columns import FIRST_ROWS, zeros

FEATURES_VERSION = 4

MINUTE_MS = 60_000.0
# Minutes until the planned end of the broadcast that count: at most an hour, which also stands for a plan that nobody
# told, and at least six, since who has come so far does not stop to the minute.
UNTIL_END_MIN = 6.0, 60.0
# An hour's outcomes come to looks about as an exponential time with this mean does, cut off at the hour.
SOON_MIN = 30.0
SHORT, MIDDLE, LONG = SPANS = 1 * MINUTE_MS, 5 * MINUTE_MS, 30 * MINUTE_MS  # half-lives

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

# What is known of the viewer besides, and of the room at that moment. How long a viewer has been quiet is not among
# it: snapshots are taken when somebody acts, so the model would never have seen what it is then asked about.
# ``same_words`` is how many others say the same lines (frontrow.core.crowd); ``hour_left_pct`` is that of
# hour_left_pct().
STANDING = ("watched_min", "present_min", "enters", "fan", "earlier_sessions", "order_rate", "same_words")
ROOM = (
    "room_age_min",
    "room_events_1m",
    "room_viewers",
    "product_age_min",
    "room_orders_30m",
    "hour_left_pct",
)

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
SPAN_OF = tuple(SPANS.index(half_life) for _, half_life in _FADING)  # which of SPANS a column has
_SPANS_OF = np.array(SPAN_OF)
_WIDTH = len(_FADING)
_TINY = 2.0**-100  # single precision has all its digits down to 2**-126
_FURTHEST = 64.0  # half-lives; an hour of the shortest is 60
_REBASE_ROWS = 65_536  # moved at a time, in double precision

# Exact moves of the landmark: a power of two changes no digit, so all half-lives must divide the step. An hour of the
# shortest half-life is 2**60, which leaves single precision (up to 2**127) room for the amounts.
REBASE_MS = 3_600_000

Matrix = NDArray[np.float64]
Numbers = NDArray[Any]


def hour_left_pct(until_end_min: Matrix) -> Matrix:
    """Return how many percent of an hour's outcomes can still come, so many minutes before the planned end.

    100 (1 - e^(-t / 30)) / (1 - e^(-2)), t within :data:`UNTIL_END_MIN`: half an hour is 73 of them, ten minutes are
    33.
    """
    left = np.clip(until_end_min, *UNTIL_END_MIN) / -SOON_MIN
    share: Matrix = np.expm1(left) / math.expm1(UNTIL_END_MIN[1] / -SOON_MIN)
    return 100.0 * share


def selling_ms(until_end_ms: Matrix, horizon_ms: int) -> NDArray[np.int64]:
    """Return for how long outcomes can come, so many ms before the planned end: the horizon at most, and what always counts at least."""
    least = min(UNTIL_END_MIN[0] * MINUTE_MS, horizon_ms)
    found: NDArray[np.int64] = np.clip(until_end_ms, least, horizon_ms).astype(np.int64)
    return found


def columns_of(kind: str, facts: int) -> tuple[int, ...]:
    """Return the fading columns that an event of this kind with these facts adds to."""
    feeds = [kind] if kind in _FED_BY else []
    if kind == "comment":
        feeds += [feed for mask, feed in _COMMENT_FEEDS if facts & mask]
    return tuple(FADING.index(name) for feed in feeds for name in _FED_BY[feed])


def fading_weights(ats: Numbers, landmark_ms: int) -> Numbers:
    """Return what one unit at each event time (UTC ms) adds, for each half-life; shape (half-lives, events).

    The order is that of :data:`SPANS`. Computed for all events of a frame at once: a vector's ``exp2`` and a scalar's
    differ in the last bit, and whoever updates one viewer must add the same as who updates a thousand.
    """
    elapsed = ats.astype(np.float64) - landmark_ms
    # What lies further ahead than the landmark is ever left behind is weighed anew when it has been moved.
    weights: Matrix = np.exp2(np.minimum(elapsed[None, :] / np.array(SPANS)[:, None], _FURTHEST))
    return weights


class FadingColumns:
    """The fading part of every row. ``add`` and ``add_many`` collect or add, ``read`` fades to a moment.

    The state is single precision: an addition is off by at most 6e-8 of the sum, which is nothing beside what a count
    means, and halves the memory of a viewer. Not thread-safe; owned by one engine.
    """

    def __init__(self, origin_ms: int) -> None:
        self._landmark_ms = origin_ms
        self._state: NDArray[np.float32] = np.zeros((FIRST_ROWS, _WIDTH), np.float32)
        self._cells: list[int] = []  # of what was collected: row and column as one number
        self._weights: list[float] = []
        self._known: dict[tuple[str, int], tuple[int, ...]] = {}

    @property
    def landmark_ms(self) -> int:
        """The moment to which the stored numbers relate, UTC milliseconds."""
        return self._landmark_ms

    def grow(self, rows: int) -> None:
        """Make room for at least so many rows."""
        if rows > len(self._state):
            grown = zeros((rows, _WIDTH), np.float32)
            grown[: len(self._state)] = self._state
            self._state = grown

    def clear(self, rows: Numbers) -> None:
        """Give rows back as zeros."""
        self.flush()
        self._state[rows] = 0.0

    def known(self, kind: str, facts: int) -> tuple[int, ...]:
        """Return :func:`columns_of`, remembered."""
        key = (kind, facts)
        columns = self._known.get(key)
        if columns is None:
            columns = columns_of(kind, facts)
            if len(self._known) < 65_536:  # bounded: unknown kinds come from outside
                self._known[key] = columns
        return columns

    def add(self, row: int, columns: Sequence[int], amount: float, weights: Sequence[float]) -> None:
        """Let one event add ``amount`` to columns; ``weights`` are its own of :func:`fading_weights`, per half-life."""
        for column in columns:
            self._cells.append(row * _WIDTH + column)
            self._weights.append(amount * weights[SPAN_OF[column]])

    def add_many(
        self, rows: Numbers, kinds: Numbers, tables: Numbers, amounts: Numbers, weights: Numbers
    ) -> None:
        """Let many events add, in their order.

        ``tables[kinds[i]]`` are the columns that event ``i`` adds to, filled up with -1; ``weights`` as
        :func:`fading_weights` gives them.
        """
        self.flush()
        columns = tables[kinds]
        fed, place = np.nonzero(columns >= 0)  # in the order of events
        column = columns[fed, place]
        weight = (amounts[fed] * weights[_SPANS_OF[column], fed]).astype(np.float32)
        np.add.at(self._state.reshape(-1), rows[fed] * _WIDTH + column, weight)

    def flush(self) -> None:
        """Add what was collected, in the order in which it came."""
        if self._cells:
            weights = np.array(self._weights).astype(np.float32)
            np.add.at(self._state.reshape(-1), np.array(self._cells, dtype=np.intp), weights)
            self._cells.clear()
            self._weights.clear()

    def read(self, rows: Numbers, at: Matrix) -> Matrix:
        """Return the faded counts of ``rows``, each at its moment ``at`` (UTC ms); shape (rows, fading columns)."""
        self.flush()
        return self.faded(self._state[rows], at)

    def faded(self, state: NDArray[np.float32], at: Matrix) -> Matrix:
        """Return rows of :meth:`array`, kept from a moment since the landmark was moved, faded to ``at``."""
        # A look back from behind the landmark multiplies; the bound keeps 0 × infinity out of it.
        behind = np.minimum((self._landmark_ms - at)[:, None] / np.array(SPANS), 1000.0)
        faded: Matrix = state.astype(np.float64) * np.exp2(behind)[:, _SPANS_OF]
        return faded

    def rebase(self, now_ms: int) -> int:
        """Move the landmark forward by whole steps once it is far behind; return by how much (ms), 0 if it stays.

        Called at marks, so replay does the same. What is so old that it underflows counts nothing, as its age says.
        """
        steps = (now_ms - self._landmark_ms) // REBASE_MS
        if steps <= 0:
            return 0
        self.flush()
        moved = steps * REBASE_MS
        for start in range(0, len(self._state), _REBASE_ROWS):
            part = self._state[start : start + _REBASE_ROWS]
            part[...] = _moved(part, moved)
        self._landmark_ms += moved
        return moved

    def array(self) -> NDArray[np.float32]:
        """Return the numbers by row, relative to the landmark."""
        self.flush()
        return self._state

    def move_row(self, row: int, landmark_ms: int) -> None:
        """Let one row's numbers, which relate to an earlier landmark, relate to this one."""
        if landmark_ms != self._landmark_ms:  # moving by nothing would still drop what is tiny
            self._state[row] = _moved(self._state[row], self._landmark_ms - landmark_ms)

    def image(self, rows: int) -> NDArray[np.float32]:
        """Return a copy of the first ``rows`` rows."""
        self.flush()
        return self._state[:rows].copy()

    def load(self, state: NDArray[np.float32]) -> None:
        """Take over all rows from an image, relative to the landmark that this was made with."""
        self.grow(len(state))
        self._state[: len(state)] = state
        self._state[len(state) :] = 0.0


def _moved(numbers: NDArray[np.float32], by_ms: int) -> NDArray[np.float32]:
    """Return numbers that relate to a landmark ``by_ms`` later: powers of two, so one move or many give the same.

    They would not where single precision runs out of digits; so far down a number is 0.
    """
    moved = (numbers * np.exp2(-(by_ms / _HALF_LIVES))).astype(np.float32)
    moved[moved < _TINY] = 0.0
    return moved


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
