"""What judging costs: processor time per label of calibration, rolling judge, duel and guard, and of one question.

Learning as a whole may take 5 % of one core at 1,000 labels/s: 50 µs a label for everything. Labels come as the
engine's marks bring them, 250 at once, of 50 rooms with 3 % of outcomes and clumps of five; two challengers ride
along.

Run: ``pytest -o addopts=--import-mode=importlib -s tests/benchmarks/bench_judge.py``
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from frontrow_models.calibration import Calibrator, raw_logits
from frontrow_models.evaluation.baselines import BaseRate
from frontrow_models.evaluation.duel import Duel
from frontrow_models.evaluation.guard import Guard
from frontrow_models.evaluation.judging import BASELINES, Column
from frontrow_models.evaluation.keys import HOUR_MS, block_keys, room_keys
from frontrow_models.evaluation.rolling import LABELS, Rolling, Rows
from frontrow_models.evaluation.verdict import verdict
from tests.benchmarks.harness import median, rounds, table

MARK = 250  # labels at once: 1,000 a second, by marks of 250 ms
MARKS = 240
COLUMNS = (Column("shown"), Column("champion"), Column("a"), Column("b"), *BASELINES)


def labels() -> list[tuple[list[str], list[str], Rows]]:
    dice = np.random.default_rng(1)
    count, found = MARK * MARKS, []
    logits = np.repeat(dice.normal(-3.8, 1, count // 5), 5)
    outcomes = np.repeat(dice.random(count // 5) < 1 / (1 + np.exp(-logits[::5])), 5)
    p = 1 / (1 + np.exp(-(logits[:, None] + dice.normal(0, 0.3, (count, 4)))))
    served = np.column_stack([p, np.full(count, 0.03), dice.integers(0, 100, (count, 2))])
    order = np.lexsort((dice.random(count), np.arange(count) // 1_000))
    for start in range(0, count, MARK):
        rows = order[start : start + MARK]
        room = [f"p/{number}" for number in dice.integers(0, 50, MARK).tolist()]
        at = np.sort(start + dice.integers(0, MARK, MARK)) * 600
        session = [str(moment // HOUR_MS) for moment in at.tolist()]
        keys = room_keys(room)
        causes = np.where(outcomes[rows], rows // 5, -1)
        found.append(
            (
                room,
                session,
                Rows(
                    served[rows],
                    outcomes[rows],
                    at,
                    at + HOUR_MS,
                    keys,
                    causes,
                    np.ones(MARK),
                    np.zeros(MARK),
                    rows // 7,
                ),
            )
        )
    return found


def per_label_us(given: list[Any], begin: Callable[[], Callable[..., object]]) -> float:
    """Return the processor time of one label, median of rounds; ``begin`` gives what takes a mark's labels."""

    def run() -> float:
        take = begin()
        began = time.process_time()
        for room, session, rows in given:
            take(room, session, rows)
        return (time.process_time() - began) / (MARK * MARKS) * 1e6

    return median(rounds(run))


def rolling() -> Callable[..., object]:
    judge = Rolling(COLUMNS)
    return lambda room, session, rows: judge.add(rows)


def calibrator() -> Callable[..., object]:
    learner = Calibrator()

    def take(room: list[str], session: list[str], rows: Rows) -> None:
        raw = raw_logits(rows.served[:, 1])
        learner.learn(room, raw, rows.outcomes)
        learner.calibration.probabilities(raw, room)

    return take


def duels() -> Callable[..., object]:
    two = Duel(), Duel()

    def take(room: list[str], session: list[str], rows: Rows) -> None:
        blocks = block_keys(room, session)
        for place, duel in enumerate(two):
            duel.add(
                rows.served[:, 1], rows.served[:, 2 + place], rows.outcomes,
                served_at=rows.served_at, blocks=blocks, rooms=rows.rooms, causes=rows.causes,
            )  # fmt: skip

    return take


def guard() -> Callable[..., object]:
    watcher = Guard()

    def take(room: list[str], session: list[str], rows: Rows) -> None:
        watcher.served(rows.served[:, 0])
        watcher.observed(rows.served[:, 0], rows.outcomes, np.full(len(rows.outcomes), 0.4))
        watcher.matured(rows.served[:, 0], rows.outcomes, rows.causes)

    return take


def base_rate() -> Callable[..., object]:
    rate = BaseRate()
    return lambda room, session, rows: rate.learn(rows.outcomes)


def test_judging() -> None:
    given = labels()
    parts = {
        "calibration (learns, and is applied)": calibrator,
        f"rolling judge, {len(COLUMNS)} columns": rolling,
        "duels, 2 challengers": duels,
        "guard (served, observed, mature)": guard,
        "base rate": base_rate,
    }
    found = {name: per_label_us(given, begin) for name, begin in parts.items()}
    total = sum(found.values())
    rows = [[name, f"{us:.2f}", f"{us / 10:.2f} %"] for name, us in {**found, "all": total}.items()]
    head = ["per label", "processor µs", "of a core at 1,000 labels/s"]
    table("Judging, per label (the budget of all learning is 50 µs, 5 %)", head, rows)

    judge, duel = Rolling(COLUMNS), Duel()
    for room, session, some in given:
        judge.add(some)
        duel.add(
            some.served[:, 1], some.served[:, 2], some.outcomes, served_at=some.served_at,
            blocks=block_keys(room, session), rooms=some.rooms, causes=some.causes,
        )  # fmt: skip

    def cpu_ms(run: Callable[[], object]) -> float:
        began = time.process_time()
        run()
        return (time.process_time() - began) * 1e3

    asked = {
        f"report over {LABELS:,} labels, {len(COLUMNS)} columns": judge.report,
        "verdict, 50 rooms": lambda: verdict(duel.comparison()),
    }
    costs = [[name, f"{median(rounds(lambda run=run: cpu_ms(run))):.1f}"] for name, run in asked.items()]  # type: ignore[misc]
    table("One question", ["asked once a minute or less", "processor ms"], costs)
    assert total < 50
