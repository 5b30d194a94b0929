"""Choices by hash: even, the same in every process, and within their bound."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.core.sampling import chances, evenly, halvings

NAMES = [f"douyin/1/s/v{number}" for number in range(20_000)]


def test_chances_are_spread_evenly_and_say_nothing_of_their_neighbours() -> None:
    drawn = chances(NAMES)
    assert (drawn >= 0.0).all() and (drawn < 1.0).all()
    counts = np.histogram(drawn, 20, (0.0, 1.0))[0]
    assert ((counts - 1_000) ** 2 / 1_000).sum() < 43.8  # chi square of 19: one in a thousand
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 0.03


def test_another_process_with_another_hash_seed_draws_the_same() -> None:
    code = "from frontrow.core.sampling import chances; print(chances(['a', '主播/1/v']).tolist())"
    path = {"PYTHONPATH": ":".join(sys.path)}
    told = {
        subprocess.run(
            [sys.executable, "-c", code], env=path | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("0", "1")
    }
    assert told == {f"{chances(['a', '主播/1/v']).tolist()}\n".encode()}


@given(st.integers(0, 1_000), st.integers(1, 5_000), st.integers(1, 1_000), st.floats(0.0, 1e7))
def test_all_are_kept_while_they_fit_and_on_average_no_more_than_fit(
    held: int, more: int, bound: int, expected: float
) -> None:
    held = min(held, bound)
    often = halvings(held, more, bound, expected)
    assert (often == 0) == (more <= bound - held and expected <= 2.0 * (bound - held))
    if held < bound:
        assert more / 2**often <= bound - held
    assert halvings(min(held + 1, bound), more, bound, expected) >= often


def test_a_steady_stream_of_too_many_comes_to_rest_well_below_the_bound() -> None:
    """A share that fell to nothing would keep nobody for hours; one that is too large would fill the bound."""
    kept: list[tuple[float, int]] = []
    shares: list[int] = []
    for _ in range(600):
        held = sum(count for count, _ in kept[-60:])
        told = sum(count * 2**often for count, often in kept[-60:])
        shares.append(halvings(int(held), 500, 4_000, told * 60 / max(1, len(kept[-60:]))))
        kept.append((500 / 2 ** shares[-1], shares[-1]))
    assert max(shares) <= 6
    assert {3, 4} <= set(shares[300:]) <= {2, 3, 4, 5}


def test_numbers_are_spread_evenly_and_each_always_alike() -> None:
    drawn = evenly(np.arange(100_000))
    assert drawn.min() >= 0.0
    assert drawn.max() < 1.0
    assert np.histogram(drawn, bins=20, range=(0.0, 1.0))[0] == pytest.approx(np.full(20, 5_000), rel=0.06)
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.02
    assert evenly(np.array([7, 70_000])).tolist() == drawn[[7, 70_000]].tolist()
    first = 0xE220A8397B1DCDAF  # SplitMix64's first number from the seed 0
    assert evenly(np.array([0]))[0] == (first >> 11) * 2.0**-53
