"""What learning costs: processor time per label of the whole way from what was served to weights, calibration and judgement.

Learning at 1,000 labels/s may take 5 % of one core: 50 µs a label. A label is all that becomes of one snapshot: it is
scored and kept, its viewer's outcome is joined to it, it is learnt when it is fresh (and again if its outcome is
late), and it calibrates, is judged and watched over when it is final. They come as the engine's marks bring them, 250
in 250 ms, in 50 rooms; 3 % are positives, in clumps, and at nearly every mark somebody buys, so that nothing waits to
be learnt together.

Run: ``pytest -o addopts=--import-mode=importlib -s tests/benchmarks/bench_learning.py``
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from frontrow.core.features import COUNT
from frontrow.core.lessons import Joiner, Served, Stage
from frontrow.core.outcomes import Heard, What
from frontrow.core.scoring import sigmoid
from frontrow_models.beside import Beside
from frontrow_models.learner import Learner
from frontrow_models.online import ModelOptions
from tests.benchmarks.harness import median, table

MARK_MS, MARK = 250, 250  # labels at once
ROOMS, VIEWERS = 50, 15_000  # each is snapshot once a minute
HORIZON_MS, WINDOW_MS = 90_000, 20_000  # short, so that all stages are reached soon; a label costs the same
BEFORE = 800  # marks until what is final was shown to somebody
ROUND, ROUNDS = 100, 4  # marks
BUDGET_US = 50.0


class Room:
    """Viewers who are served, and some of whom buy; and the processor time of each part of what is done with them."""

    def __init__(self) -> None:
        self.learner = Learner(ModelOptions(), window_ms=WINDOW_MS)
        self.beside = Beside([], window_ms=WINDOW_MS)  # what it is told is the same for any challengers
        self.spent: dict[str, float] = defaultdict(float)  # seconds
        self._dice = np.random.default_rng(1)
        self._joiner = Joiner(
            width=COUNT,
            columns=Learner.columns,
            horizon_ms=HORIZON_MS,
            window_ms=WINDOW_MS,
            room_of=self._name,
        )
        self._joiner.grow(VIEWERS)
        self._mark = 0
        self._orders: dict[int, list[int]] = defaultdict(list)  # rows by mark

    def mark(self) -> None:
        """Let a quarter of a second pass."""
        dice, self._mark = self._dice, self._mark + 1
        now = 1_000_000 + self._mark * MARK_MS
        rows = np.arange(self._mark * MARK, (self._mark + 1) * MARK) % VIEWERS
        sessions, at = (rows % ROOMS).astype(np.int32), np.full(MARK, now)
        rooms = list(map(self._name, sessions.tolist()))
        inputs = dice.exponential(0.7, (MARK, COUNT)) * (dice.random((MARK, COUNT)) < 0.6)
        kept = inputs.astype(np.float32)
        buy = dice.random(MARK) < sigmoid(0.8 * inputs[:, 0] + 0.3 * inputs[:, 1] - 6.4)
        for row, late in zip(rows[buy].tolist(), dice.weibull(0.8, np.count_nonzero(buy)), strict=True):
            self._orders[self._mark + 1 + int(200 * late)].append(row)

        with self._timed("scores, and what the scaler sees"):
            served = self.learner.serve(inputs, rooms, np.zeros(MARK, np.int64), at)
        with self._timed("snapshots and their outcomes"):
            first = self._joiner.end
            self._joiner.serve(rows, sessions, at, kept, served)
            for row in self._orders.pop(self._mark, ()):
                self._joiner.hear([row], str(row), Heard(What.SUCCESS, now), now)
            lessons = self._joiner.resolve(now)
        with self._timed("final ones: calibrated, judged, watched"):
            self.learner.learn(lessons.take(lessons.stage == Stage.MATURE))
        with self._timed("fresh ones: weighed, watched, learnt"):
            self.learner.learn(lessons.take(lessons.stage != Stage.MATURE))
        told = Served(
            np.arange(first, first + MARK),
            at,
            sessions,
            rows,
            rooms,
            rooms,
            rooms,
            kept,
            served,
            np.ones(MARK, np.float32),
        )
        with self._timed("the hand-over to the challengers' process"):
            self.beside.serve(told, [None] * MARK)
            self.beside.learn(lessons)

    @staticmethod
    def _name(session: int) -> str:
        return f"shop/{session}"

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        began = time.process_time()
        yield
        self.spent[part] += time.process_time() - began


@pytest.mark.timeout(240)
def test_learning() -> None:
    room = Room()
    try:
        for _ in range(BEFORE):
            room.mark()
        costs: dict[str, list[float]] = defaultdict(list)
        labels, positives = room.learner.labels, room.learner.positives
        for _ in range(ROUNDS):
            room.spent.clear()
            for _ in range(ROUND):
                room.mark()
            for part, seconds in {**room.spent, "all": sum(room.spent.values())}.items():
                costs[part].append(seconds / (ROUND * MARK) * 1e6)
    finally:
        room.beside.close()
    labels, positives = room.learner.labels - labels, room.learner.positives - positives
    assert room.learner.ready
    assert not room.learner.frozen
    assert room.learner._outage.held_back == 0
    assert labels == pytest.approx(
        ROUNDS * ROUND * MARK, rel=0.05
    )  # as many as were looked at, each a while ago
    found = {part: median(us) for part, us in costs.items()}
    rows = [[part, f"{us:.1f}", f"{us / 10:.2f} %"] for part, us in found.items()]
    table(
        f"Learning, per label (the budget is {BUDGET_US:.0f} µs, 5 %)",
        ["per label", "processor µs", "of a core at 1,000 labels/s"],
        rows,
        f"{ROUNDS} rounds of {ROUND * MARK:,} labels, medians; {positives / labels:.1%} of lessons were positive",
    )
    assert found["all"] < BUDGET_US
