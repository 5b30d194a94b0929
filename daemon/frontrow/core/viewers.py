"""The table of viewers: one row per viewer and session, one column per thing that is known of them.

A row's number means nothing by itself, and a row that was freed is given to somebody else. Times are event times in
UTC milliseconds, at most engine time; 0 stands for none where none can be so early.
"""

from array import array
from collections.abc import Mapping, Sequence
from itertools import chain, islice, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frontrow.core import facts as fact
from frontrow.core.columns import Column, capacity_for
from frontrow.core.directory import Directory
from frontrow.core.features import MINUTE_MS, hour_left_pct
from frontrow.core.images import Image
from frontrow.core.sessions import Session

Rows = NDArray[np.int64]
Numbers = NDArray[Any]

NEVER = 1 << 62  # later than any time
INTENTS = (
    ("price", fact.PRICE),
    ("discount", fact.DISCOUNT),
    ("spec", fact.SPEC),
    ("stock", fact.STOCK),
    ("delivery", fact.DELIVERY),
    ("instalment", fact.INSTALMENT),
    ("warranty", fact.WARRANTY),
    ("buy", fact.BUY),
)
INTENT_BOUND = 65_535  # comments about one intent that are counted
PRODUCTS_BOUND = 65_535


class Viewers:
    """Columns by row. Whoever opens a row makes room for it in the other tables, too: see :attr:`capacity`."""

    def __init__(self, sessions: Mapping[int, Session]) -> None:
        """Make an empty table; ``sessions`` are all sessions of the engine, by number."""
        self._sessions = sessions
        self.directory = Directory()  # whose a row is, and which row is whose
        self.end = 0  # the number after the highest row that was ever taken
        self._free: list[int] = []
        self._freed: list[int] = []  # given back, and not to be used again yet
        self.capacity = 0
        self.session = self.directory.session  # its number; below 0: a free row
        self.first_at = Column(np.int64)  # NEVER as the row is opened
        self.last_at = Column(np.int64)
        self.entered_at = Column(np.int64)  # an open enter, or 0
        self.left_at = Column(np.int64)  # a leave without its enter yet, or 0
        self.observed_ms = Column(np.int64)
        self.observed = Column(np.uint8)  # whether any stay or visit was observed
        self.enters = Column(np.uint32)
        self.earlier = Column(np.uint32)  # sessions of this viewer before this one
        self.orders = Column(np.uint16)  # of these, those with an outcome
        self.fan = Column(np.uint8)
        self.fan_before = Column(np.uint8)
        self.staff = Column(np.uint8)
        self.alike = Column(np.uint16)  # how many others say the same (frontrow.core.crowd), or 0
        self.unjudged = Column(np.uint8)  # whether something was said since that was last looked into
        self.product = Column(np.uint16)  # the one last chosen, by its number in the session, or 0
        self.grade = Column(np.uint8)
        self.grade_by_points = Column(np.uint8)
        self.bucket = Column(np.uint32)  # the span of time in which the row was last to be snapshot, or 0
        self.due = Column(np.uint8)  # whether a snapshot was taken note of and not yet read
        self.intents = [Column(np.uint16) for _ in INTENTS]
        self._marks = Column(np.int32)  # scratch, means nothing between two calls
        found = {name: column for name, column in vars(self).items() if isinstance(column, Column)}
        del found["_marks"]
        named = zip(INTENTS, self.intents, strict=True)
        self.columns = found | {f"intent_{name}": column for (name, _), column in named}
        self._grow(1)

    def __len__(self) -> int:
        """How many rows are taken."""
        return len(self.directory)

    def open(
        self,
        sessions: Sequence[Session],
        viewers: Sequence[str],
        earlier: Sequence[int],
        orders: Sequence[int] = (),
    ) -> list[int]:
        """Give a row to different viewers who have none, each in a session, and return the rows.

        ``earlier`` are the sessions they came to before, ``orders`` those of them with an outcome (empty: none).
        """
        again = min(len(self._free), len(viewers))
        rows = [self._free.pop() for _ in range(again)]
        rows += range(self.end, self.end + len(viewers) - again)
        self.end += len(viewers) - again
        if self.end > self.capacity:
            self._grow(self.end)
        numbers = [session.number for session in sessions]
        different = set(numbers)
        which = np.array(rows, np.int64)
        self.directory.add(which, np.array(numbers, np.int64), viewers)
        self.first_at.array[which] = NEVER
        if any(earlier):
            self.earlier.array[which] = earlier
        if any(orders):
            self.orders.array[which] = orders
        if len(different) == 1:
            sessions[0].rows.extend(rows)
        else:
            for session, row in zip(sessions, rows, strict=True):
                session.rows.append(row)
        return rows

    def free(self, rows: Rows) -> None:
        """Give rows back, all of them different. Their numbers go to others only after :meth:`release`."""
        numbers = np.unique(self.session.array[rows]).tolist()
        self.directory.remove(rows)
        for name, column in self.columns.items():
            if name != "session":
                column.array[rows] = column.fill
        for number in numbers:
            session = self._sessions[number]
            its = np.array(session.rows, np.int64)
            session.rows = _listed(its[self.session.array[its] == number])
        self._freed += rows.tolist()

    def release(self) -> None:
        """Let the numbers of rows that were given back be used again."""
        if self._freed:
            self._free += self._freed
            self._freed.clear()

    def choose(self, row: int, product: str) -> None:
        """Take note of the product that a viewer clicked, put into a cart, booked or ordered last.

        Of one broadcast :data:`PRODUCTS_BOUND` different ones are told apart; of the others it is not known which.
        """
        products = self.session_of(row).products
        number = products.get(product, 0)
        if not number and len(products) < PRODUCTS_BOUND:
            number = products[product] = len(products) + 1
        self.product.view[row] = number

    def chosen(self, row: int) -> str | None:
        """Return the product that a viewer chose last; None: none."""
        number = self.product.view[row]
        return next(islice(self.session_of(row).products, number - 1, None)) if number else None

    def session_of(self, row: int) -> Session:
        """Return the session of a row."""
        return self._sessions[self.session.view[row]]

    def _grow(self, rows: int) -> None:
        self.capacity = capacity_for(rows)
        self.directory.grow(self.capacity)
        for column in (*self.columns.values(), self._marks):
            column.grow(self.capacity)

    # ------------------------------------------------------------------ watching

    def watch(self, row: int, kind: str, at: int, stay_ms: int | None) -> None:
        """Take note of one event of a viewer: when, whether it comes or goes, how long it says to have stayed (ms)."""
        if at < self.first_at.view[row]:
            self.first_at.view[row] = at
        if at > self.last_at.view[row]:
            self.last_at.view[row] = at
        if kind == "enter":
            self.enters.view[row] += 1
            left_at = self.left_at.view[row]
            if left_at > at:  # its leave came first
                self._observe(row, left_at - at)
                self.left_at.view[row] = 0
            elif self.entered_at.view[row] == 0 or at < self.entered_at.view[row]:
                self.entered_at.view[row] = at
        elif kind == "leave":
            entered_at = self.entered_at.view[row]
            if entered_at and entered_at <= at:
                self._observe(row, at - entered_at)
                self.entered_at.view[row] = 0
            else:
                self.left_at.view[row] = max(self.left_at.view[row], at)
        elif stay_ms is not None:
            self._observe(row, stay_ms)
            self.entered_at.view[row] = (
                0  # the visit's length is told; no leave is to be paired with its enter
            )

    def watched_ms(self, row: int) -> int:
        """Return for how long a viewer has watched: what was observed, or failing that, first to last activity.

        A visit that goes on counts up to the last activity, beside those that were observed to their end.
        """
        last_at: int = self.last_at.view[row]
        if not self.observed.view[row]:
            first_at: int = self.first_at.view[row]
            return max(0, last_at - first_at)
        entered_at = self.entered_at.view[row]
        going_on = max(0, last_at - entered_at) if entered_at else 0
        return int(self.observed_ms.view[row]) + going_on

    def watched_ms_many(self, rows: Rows, first_at: Numbers, last_at: Numbers, entered_at: Numbers) -> Rows:
        """Return :meth:`watched_ms` of many rows as if these were their times."""
        going_on = np.where(entered_at > 0, np.maximum(0, last_at - entered_at), 0)
        observed_ms = self.observed_ms.array[rows] + going_on
        inferred_ms = np.maximum(0, last_at - first_at)
        return np.where(self.observed.array[rows] > 0, observed_ms, inferred_ms)

    def _observe(self, row: int, milliseconds: int) -> None:
        self.observed_ms.view[row] += milliseconds
        self.observed.view[row] = 1

    # ------------------------------------------------------------------ features

    def facts_at(self, rows: Rows, at: int) -> NDArray[np.float64]:
        """Return the numbers from which :func:`standing` follows, as of engine time ``at``; shape (rows, numbers).

        They are taken when a snapshot is due, and made features of when it is read: whole numbers and sums come out
        the same for one row and for a thousand, powers do not.
        """
        if len(rows) < _FEW:
            return np.array([self._facts_of(row, at) for row in rows.tolist()]).reshape(-1, _FACTS)
        numbers, which = np.unique(self.session.array[rows], return_inverse=True)
        found = np.empty((len(rows), _FACTS))
        first_at = self.first_at.array[rows]
        found[:, 0] = self.watched_ms_many(
            rows, first_at, self.last_at.array[rows], self.entered_at.array[rows]
        )
        found[:, 1] = at - first_at
        found[:, 2] = self.enters.array[rows]
        found[:, 3] = self.fan_before.array[rows]
        found[:, 4] = self.earlier.array[rows]
        found[:, 5] = self.orders.array[rows]
        found[:, 6] = self.alike.array[rows]
        sessions = self._sessions
        of_sessions = chain.from_iterable(
            [_facts_of_session(sessions[number], at) for number in numbers.tolist()]
        )
        found[:, 7:] = np.fromiter(of_sessions, np.float64).reshape(len(numbers), -1)[which]
        return found

    def _facts_of(self, row: int, at: int) -> tuple[float, ...]:
        return (
            self.watched_ms(row),
            at - self.first_at.view[row],
            self.enters.view[row],
            self.fan_before.view[row],
            self.earlier.view[row],
            self.orders.view[row],
            self.alike.view[row],
            *_facts_of_session(self.session_of(row), at),
        )

    def different(self, rows: Rows) -> tuple[Rows, Rows]:
        """Return each different row once, and for every one of ``rows`` its place among them."""
        # Marking places in a column by row: a third of the time of sorting.
        marks, order = self._marks.array, np.arange(len(rows))
        marks[rows] = order
        different = rows[marks[rows] == order]
        marks[different] = order[: len(different)]
        return different, marks[rows].astype(np.int64)

    def count_intents(self, rows: Rows, facts: Numbers) -> None:
        """Count what comments were about; one line per comment."""
        for column, (_, mask) in zip(self.intents, INTENTS, strict=True):
            who = rows[(facts & mask) > 0]
            if who.size:
                counts = column.array
                if int(counts[who].max()) + who.size < INTENT_BOUND:
                    np.add.at(counts, who, 1)
                else:
                    asked, times = np.unique(who, return_counts=True)
                    counts[asked] = np.minimum(counts[asked] + times, INTENT_BOUND)

    # ------------------------------------------------------------------ keeping

    def image(self) -> Image:
        """Return a copy of the table."""
        ids, odd = self.directory.image(self.end)
        arrays = {name: column.array[: self.end].copy() for name, column in self.columns.items()}
        return Image(arrays=arrays | {"ids": ids}, texts={"odd_ids": odd})

    def load(self, image: Image) -> None:
        """Take over an image; the sessions by number must be there already, and get their rows."""
        arrays = image.arrays
        self.end = len(arrays["ids"])
        self._grow(self.end)
        for name, column in self.columns.items():
            column.load(arrays[name])
        self.directory.load(arrays["ids"], image.texts["odd_ids"])
        numbers = arrays["session"]
        self._freed, self._free = [], np.flatnonzero(numbers < 0).tolist()
        rows = np.argsort(numbers, kind="stable")[len(self._free) :]
        starts = np.flatnonzero(np.diff(numbers[rows], prepend=-1))
        for start, end in pairwise([*starts.tolist(), len(rows)]):  # none, where nobody is left in memory
            self._sessions[int(numbers[rows[start]])].rows = _listed(rows[start:end])


def _listed(rows: Rows) -> "array[int]":
    return array("i", rows.astype(np.intc).tobytes())


_FEW = 24  # rows up to which one after another is faster than all at once
_FACTS = 14
UNTIL_END = 13  # which of them is the time until the planned end, in ms
_NO_PLAN_MS = 1e12
USUAL_RATE, USUAL_WEIGHT = (
    0.03,
    3.0,
)  # of sessions with an outcome, while a viewer is little known; and in sessions


def _facts_of_session(session: Session, at: int) -> tuple[float, ...]:
    shown_at = session.product_at
    planned = session.planned_end
    return (
        at - session.started_at,
        session.rate,
        session.rate_landmark_ms - at,
        session.viewers_online or 0,
        0 if shown_at is None else at - shown_at,
        session.orders,
        _NO_PLAN_MS if planned is None else planned - at,
    )


def standing(facts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the features that do not fade, from :meth:`Viewers.facts_at`; shape (rows, features)."""
    # Before the landmark a weight grows; the bound keeps the power finite.
    ahead_min = facts[:, 9] / MINUTE_MS
    found = np.empty((len(facts), 13))
    found[:, 0] = facts[:, 0] / MINUTE_MS
    found[:, 1] = np.maximum(0.0, facts[:, 1]) / MINUTE_MS
    found[:, 2:5] = facts[:, 2:5]
    # In a thousand, so that its logarithm spreads; shrunk, since one session of one tells little.
    found[:, 5] = 1000.0 * (facts[:, 5] + USUAL_WEIGHT * USUAL_RATE) / (facts[:, 4] + USUAL_WEIGHT)
    found[:, 6] = facts[:, 6]
    found[:, 7] = np.maximum(0.0, facts[:, 7]) / MINUTE_MS
    found[:, 8] = facts[:, 8] * np.exp2(np.minimum(ahead_min, 1000.0))
    found[:, 9] = facts[:, 10]
    found[:, 10] = np.maximum(0.0, facts[:, 11]) / MINUTE_MS
    found[:, 11] = facts[:, 12] * np.exp2(np.minimum(ahead_min / 30.0, 1000.0))
    found[:, 12] = hour_left_pct(facts[:, UNTIL_END] / MINUTE_MS)
    return found
