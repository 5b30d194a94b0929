"""Challengers beside the champion: asked when it is served, taught what is fresh, judged by what turned out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from frontrow.core.features import COUNT
from frontrow.core.lessons import Lessons, Served, Stage
from frontrow.core.scoring import sigmoid
from frontrow_models.arena import Arena, sampled
from frontrow_models.beside import Beside
from frontrow_models.challengers import CHALLENGERS, Challenger, make_challenger
from frontrow_models.served import SERVED

WINDOW = 120_000


class Knows:
    """Says the true chance, and notes when it was asked and taught."""

    share = 1.0
    unlearns = True

    def __init__(self) -> None:
        self.taught: list[tuple[float, bool, float]] = []
        self.looks = 0

    def predict(self, inputs: NDArray[np.float32], words: Sequence[str | None]) -> NDArray[np.float64]:
        return sigmoid(2.0 * inputs[:, 0].astype(np.float64) - 2.0)

    def learn(
        self,
        inputs: NDArray[np.float32],
        words: Sequence[str | None],
        outcomes: NDArray[np.bool_],
        weights: NDArray[np.float64],
        *,
        looks: int = 0,
    ) -> None:
        self.looks = looks
        self.taught += zip(inputs[:, 0].tolist(), outcomes.tolist(), weights.tolist(), strict=True)

    def state(self) -> dict[str, Any]:
        return {"knows": True}


def batch(
    seed: int, first: int, count: int, *, at: int, rooms: int = 5
) -> tuple[Served, list[str | None], Lessons, Lessons]:
    """Return what was served, the words beside it, and its lessons: first what is fresh, then what is final."""
    rng = np.random.default_rng(seed)
    inputs = np.zeros((count, COUNT), np.float32)
    inputs[:, 0] = rng.exponential(0.6, count)
    outcome = rng.random(count) < sigmoid(2.0 * inputs[:, 0].astype(np.float64) - 2.0)
    session = (np.arange(count) % rooms).astype(np.int32)
    served = np.zeros((count, len(SERVED)), np.float32)
    served[:, :2] = -1.0  # the champion knows the base rate and nothing else
    served[:, 2] = 0.27
    numbers = np.arange(first, first + count)
    told = Served(
        numbers,
        np.full(count, at),
        session,
        numbers,
        [f"sim/{each}" for each in session],
        ["s"] * count,
        [f"v{number}" for number in numbers],
        inputs,
        served,
        np.ones(count, np.float32),
    )
    words = [
        ("多少钱" if happened else "哈哈") if number % 3 else None
        for number, happened in zip(numbers, outcome, strict=True)
    ]

    def lessons(stage: Stage, resolved_at: int) -> Lessons:
        return Lessons(
            snapshot=numbers,
            served_at=told.served_at,
            resolved_at=np.full(count, resolved_at),
            session=session,
            room=np.array([f"sim/{each}" for each in session], np.object_),
            inputs=inputs,
            served=served,
            outcome=outcome,
            delay_ms=np.where(outcome, 60_000, -1).astype(np.int32),
            value=np.zeros(count),
            cause=np.where(outcome, numbers, -1),
            stage=np.full(count, stage, np.uint8),
            ending=outcome.astype(np.uint8),
            weight=np.ones(count, np.float32),
            reached=np.zeros(count, np.float32),
            viewer=numbers,
            within=np.ones(count, np.float32),
        )

    return told, words, lessons(Stage.OBSERVED, at + WINDOW), lessons(Stage.MATURE, at + 3_600_000)


def test_a_challenger_that_knows_more_is_proposed_and_told_why() -> None:
    knows = Knows()
    challengers: dict[str, Challenger] = {"knows": knows}
    arena = Arena(challengers, window_ms=WINDOW)
    for hour in range(60):
        told, words, fresh, final = batch(hour, hour * 100, 100, at=hour * 7_200_000)
        arena.serve(told, words)
        arena.learn(fresh)
        arena.learn(final)
    assert len(knows.taught) == 6_000
    assert knows.looks == 100, "those of this hour: the last was final before"
    standing = arena.standing()
    shown, _, _, _, _, challenger = standing.report.columns
    assert challenger.column == "knows"
    assert challenger.roc_auc is not None
    assert challenger.roc_auc > 0.6
    assert (shown.log_loss or 0.0) > (challenger.log_loss or 1.0)
    assert standing.duels["knows"].decision == "promote", standing.duels["knows"].sentence
    assert arena.states()["knows"]["knows"] is True
    assert arena.states()["knows"]["label_policy"]["positives"] > 1_000


def test_a_silence_brings_a_snapshots_first_and_final_lesson_in_one_call() -> None:
    knows = Knows()
    challengers: dict[str, Challenger] = {"knows": knows}
    arena = Arena(challengers, window_ms=WINDOW)
    told, words, fresh, final = batch(1, 0, 50, at=0)
    arena.serve(told, words)
    arena.learn(Lessons.joined([fresh, final]))
    assert len(knows.taught) == 50
    assert arena.standing().report.labels == 50
    assert arena.missed == 0


def test_what_was_never_served_here_teaches_and_judges_nothing_and_is_counted() -> None:
    knows = Knows()
    arena = Arena({"knows": knows}, window_ms=WINDOW)
    _, _, fresh, final = batch(1, 0, 50, at=0)
    arena.learn(fresh)
    arena.learn(final)
    assert arena.missed == 100
    assert knows.taught == []
    assert arena.standing().report.labels == 0


@pytest.mark.parametrize("name", CHALLENGERS)
def test_every_challenger_learns_what_is_there_and_is_the_same_every_time(name: str) -> None:
    def run() -> tuple[list[float], float]:
        challenger = make_challenger(name)
        said: list[float] = []
        for number in range(12):
            told, words, fresh, _ = batch(number, number * 200, 200, at=0)
            said += challenger.predict(told.inputs, words).tolist()
            challenger.learn(fresh.inputs, words, fresh.outcome, np.ones(len(fresh)))
        told, words, fresh, _ = batch(99, 0, 400, at=0)
        last = challenger.predict(told.inputs, words)
        return said, float(last[fresh.outcome].mean() - last[~fresh.outcome].mean())

    said, apart = run()
    again, _ = run()
    assert np.array_equal(said, again, equal_nan=True)
    assert np.isnan(said[:200]).all()  # nothing was learnt yet, and that is said
    assert apart > 0.01


def test_a_sample_is_chosen_by_number_and_has_its_size() -> None:
    numbers = np.arange(100_000)
    chosen = sampled(numbers, 0.1)
    assert 9_500 < chosen.sum() < 10_500
    assert np.array_equal(chosen[500:600], sampled(numbers[500:600], 0.1))
    assert sampled(numbers, 1.0).all()


def test_an_unknown_challenger_is_named_with_all_that_there_are() -> None:
    with pytest.raises(ValueError, match="'treee'; there are slow, fast, text, tree, forest"):
        make_challenger("treee")


def test_in_a_process_of_its_own_it_comes_to_the_same() -> None:
    names = ("slow", "text")
    arena = Arena({name: make_challenger(name) for name in names}, window_ms=WINDOW)
    beside = Beside(names, window_ms=WINDOW)
    try:
        for hour in range(8):
            told, words, fresh, final = batch(hour, hour * 100, 100, at=hour * 7_200_000)
            for each in (arena, beside):
                each.serve(told, words)
                each.learn(fresh)
                each.learn(final)
    finally:
        beside.close(wait_s=60.0)
    assert beside.dropped == 0
    assert beside.standing == arena.standing()
    assert beside.states.keys() == {"slow"}
    assert not beside.alive


def test_a_child_that_dies_takes_nothing_with_it() -> None:
    beside = Beside(("slow",), window_ms=WINDOW)
    beside._child.kill()
    beside._child.wait()
    for hour in range(3):
        told, words, fresh, _ = batch(hour, hour * 100, 100, at=hour)
        beside.serve(told, words)
        beside.learn(fresh)
    assert not beside.alive
    beside.close()
    beside.close()
    assert beside.standing is None


def test_a_child_that_is_too_slow_misses_the_oldest_and_that_is_counted() -> None:
    beside = Beside(("slow",), window_ms=WINDOW, most_bytes=100_000)
    try:
        for number in range(40):
            told, words, fresh, _ = batch(number, number * 200, 200, at=number)
            beside.serve(told, words)
            beside.learn(fresh)
        assert beside.dropped > 0
    finally:
        beside.close(wait_s=60.0)
