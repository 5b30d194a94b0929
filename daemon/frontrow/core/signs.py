"""What an event's kind and facts mean to the engine, looked up once per (kind, facts) and then read by number.

A frame's events have few different kinds and facts. Each pair gets a number here; what the pair means stands in tables
by that number, so that a thousand events are told apart by indexing.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frontrow.core import facts as fact
from frontrow.core import kernel
from frontrow.core.columns import as_list
from frontrow.core.events import DAEMON_KINDS, KINDS, PEOPLE_KINDS, ROOM_KINDS
from frontrow.core.features import columns_of
from frontrow.core.outcomes import OutcomeRules
from frontrow.core.points import PointsBoard

# What an event is, as bits.
SILENT = 1  # changes nothing in the engine: of people, of the daemon, unknown
UNKNOWN = 2
OF_ROOM = 4
ENTER = 8
LIKE = 16
GIFT = 32
QUESTION = 64
OUTCOME = 128
VISIT = 256  # says how a visit ended or how long it was
REFUND = 512  # takes an outcome back; also an OUTCOME, since it is there only because of one
CHOOSES = 2048  # an act that may name the product its viewer wants
OF_LEAD = 1024  # what sales say of an outcome; also OF_ROOM, to be taken by itself

_MOST_COLUMNS = len(columns_of("comment", ~0))  # that one event can add to: a comment with all facts
_CHOOSING = frozenset(
    {"product_click", "cart_add", "coupon_claim", "booking", "order_created", "order_paid", "form_submit"}
)
_BOUND = 16_384  # pairs that are remembered; kinds come from outside


class Signs:
    """The tables. ``bits``, ``hits`` and ``columns`` may be replaced whenever :meth:`of` is called."""

    def __init__(self, board: PointsBoard, outcome: OutcomeRules) -> None:
        self._board = board
        self._outcome = outcome
        self._rules = len(board.policy.rules)
        self._begin()

    def _begin(self) -> None:
        self._numbers: dict[tuple[str, int], int] = {}
        self.bits: NDArray[np.int64] = np.zeros(0, np.int64)
        self.hits: NDArray[np.int64] = np.zeros((0, self._rules), np.int64)  # 1 where a rule is touched
        self.columns: NDArray[np.int64] = np.zeros(
            (0, _MOST_COLUMNS), np.int64
        )  # fading columns, filled up with -1

    def of(self, kinds: Sequence[str], facts: Sequence[int]) -> NDArray[np.int64]:
        """Return the number of each event's sign, good until the next call."""
        try:
            return self._look_up(kinds, facts)
        except KeyError:
            if len(self._numbers) > _BOUND:
                self._begin()
            self._learn(zip(kinds, facts, strict=True))
            return self._look_up(kinds, facts)

    def _look_up(self, kinds: Sequence[str], facts: Sequence[int]) -> NDArray[np.int64]:
        if kernel.compiled is not None:
            numbers = np.empty(len(kinds), np.int64)
            if not kernel.compiled.sign_numbers(as_list(kinds), as_list(facts), self._numbers, numbers):
                raise KeyError
            return numbers
        return np.fromiter(
            map(self._numbers.__getitem__, zip(kinds, facts, strict=True)), np.int64, len(kinds)
        )

    def _learn(self, pairs: Iterable[tuple[str, int]]) -> None:
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._numbers]
        self._numbers.update(zip(new, range(len(self._numbers), len(self._numbers) + len(new)), strict=True))
        hits = np.zeros((len(new), self._rules), np.int64)
        columns = np.full((len(new), _MOST_COLUMNS), -1, np.int64)
        for number, (kind, facts) in enumerate(new):
            hits[number, list(self._board.hits(kind, facts))] = 1
            fed = () if self._feeds_nothing(kind) else columns_of(kind, facts)
            columns[number, : len(fed)] = fed
        self.bits = np.append(self.bits, np.array([self._bits(*pair) for pair in new], np.int64))
        self.hits = np.concatenate((self.hits, hits))
        self.columns = np.concatenate((self.columns, columns))

    def _feeds_nothing(self, kind: str) -> bool:
        # A label's own event is no feature, nor what exists only because of it.
        return kind in self._outcome.kinds or kind in self._outcome.refunds

    def _bits(self, kind: str, facts: int) -> int:
        if kind not in KINDS:
            return SILENT | UNKNOWN
        if kind == "lead_outcome" and (self._outcome.won or self._outcome.lost):
            return OF_LEAD | OF_ROOM
        if kind in DAEMON_KINDS or kind in PEOPLE_KINDS:
            return SILENT
        bits = {"enter": ENTER, "like": LIKE, "gift": GIFT, "leave": VISIT, "stay": VISIT}.get(kind, 0)
        if kind in ROOM_KINDS:
            bits |= OF_ROOM
        if kind in self._outcome.kinds:
            bits |= OUTCOME
        if kind in self._outcome.refunds:
            bits |= OUTCOME | REFUND
        if kind in _CHOOSING and kind not in self._outcome.refunds:
            bits |= CHOOSES
        if kind == "comment" and facts & fact.QUESTION:
            bits |= QUESTION
        return bits


def amounts(bits: NDArray[Any], counts: Sequence[int | None], values: Sequence[int | None]) -> NDArray[Any]:
    """Return how much each event adds to the features: a like its count, a gift its value, anything else 1."""
    if kernel.compiled is not None:
        told = np.empty(len(bits))
        kernel.compiled.event_amounts(as_list(counts), as_list(values), bits, LIKE, GIFT, told)
        return told
    found = np.ones(len(bits))
    likes = np.flatnonzero(bits & LIKE)
    if likes.size:
        found[likes] = [1.0 if (count := counts[at]) is None else float(count) for at in likes.tolist()]
    for at in np.flatnonzero(bits & GIFT).tolist():
        found[at] = 1.0 + max(0, values[at] or 0) / 100.0  # a refund of a gift takes nothing back
    return found
