"""The interval of a probability: from those who were told about the same, and none where there are too few."""

from typing import Any

import numpy as np
import pytest

from frontrow_models.evaluation.alike import LEAST, Alike


def shown(seed: int, rows: int = 50_000) -> tuple[Any, Any, Any]:
    """Probabilities as they are on a stream, nearly all of them small; outcomes come as often as they say."""
    dice = np.random.default_rng(seed)
    p = 1.0 / (1.0 + np.exp(-dice.normal(-4.0, 1.3, rows)))
    outcomes = dice.random(rows) < p
    return p, outcomes, np.where(outcomes, np.arange(rows), -1)


@pytest.mark.parametrize("probability", [0.003, 0.02, 0.1, 0.3])
def test_the_interval_holds_what_is_true_as_often_as_it_says(probability: float) -> None:
    """Also far out, where a host looks and hardly anybody is."""
    held = 0
    for seed in range(40):
        found = Alike(*shown(seed)).interval(probability)
        assert found is not None
        held += found[0] <= probability <= found[1]
    assert held >= 34  # of 38 expected; fewer come once in a hundred times


def test_a_probability_that_hardly_anybody_was_told_has_none() -> None:
    p, outcomes, causes = shown(1)
    assert Alike(p, outcomes, causes).interval(0.97) is None
    assert Alike(p[:0], outcomes[:0], causes[:0]).interval(0.1) is None
    few = np.full(int(LEAST) - 1, 0.5)
    assert Alike(few, few > 0.4, np.arange(len(few))).interval(0.5) is None
    enough = np.full(int(LEAST), 0.5)
    assert Alike(enough, enough < 0.4, np.full(len(enough), -1)).interval(0.5) == pytest.approx(
        (0.0, 0.114), abs=0.01
    )


def test_snapshots_of_one_outcome_are_one_witness() -> None:
    p = np.full(400, 0.5)
    outcomes = np.arange(400) % 2 == 0
    apart = Alike(p, outcomes, np.arange(400)).interval(0.5)
    clumps = Alike(p, outcomes, np.arange(400) // 8).interval(0.5)  # four positives to each outcome
    assert apart is not None
    assert clumps is not None
    assert clumps[1] - clumps[0] == pytest.approx(2.0 * (apart[1] - apart[0]), rel=0.05)


def test_what_was_shown_to_nobody_counts_nowhere() -> None:
    p, outcomes, causes = shown(2)
    hidden = (
        np.append(p, np.full(9_000, np.nan)),
        np.append(outcomes, np.ones(9_000, bool)),
        np.append(causes, np.arange(9_000)),
    )
    assert Alike(*hidden).interval(0.02) == Alike(p, outcomes, causes).interval(0.02)
