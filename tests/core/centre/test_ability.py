"""How good a seller is, is told by more than luck and by other than the leads they got."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.core.centre.ability import (
    MIN_LEADS,
    MIN_SELLERS,
    Ability,
    Cell,
    Tally,
    abilities,
    lower_bounds,
    ranking,
    stratum,
    tallies,
    tally,
)

SELLERS = 80


def shop(seed: int, *, spread: float = 0.5, sellers: int = SELLERS) -> tuple[dict[str, Tally], Any, Any]:
    """Return the tallies of sellers whose skill (on the logit) is known, their true excess a lead, and their raw rates.

    They get 10 to 200 leads each, some much better ones than others.
    """
    random = np.random.default_rng(seed)
    of: dict[str, Tally] = {}
    truth, raw = [], []
    for number in range(sellers):
        skill = random.normal(0.0, spread)
        chance = random.beta(2.0, random.uniform(2.0, 30.0), random.integers(10, 200))
        with_skill = 1 / (1 + np.exp(-(np.log(chance / (1 - chance)) + skill)))
        won = random.random(len(chance)) < with_skill
        of[f"s{number:03}"] = tally(zip(won.tolist(), chance.tolist(), strict=True))
        truth.append(float((with_skill - chance).mean()))
        raw.append(float(won.mean()))
    return of, np.array(truth), np.array(raw)


def rank_correlation(one: Any, other: Any) -> float:
    ranks = [np.argsort(np.argsort(each)) for each in (one, other)]
    return float(np.asarray(np.corrcoef(ranks))[0, 1])


def judged(found: dict[str, Ability], name: str) -> Any:
    values = [getattr(ability, name) for ability in found.values()]
    assert None not in values
    return np.array(values, float)


@pytest.mark.parametrize("seed", range(5))
def test_the_ranking_follows_true_skill_and_better_than_raw_rates_do(seed: int) -> None:
    of, truth, raw = shop(seed)
    found = abilities(of)
    by_excess, by_low, by_rate = (
        rank_correlation(each, truth) for each in (judged(found, "excess"), judged(found, "low"), raw)
    )
    assert by_excess > max(0.7, by_rate + 0.15), (by_excess, by_rate)
    assert by_low > max(0.55, by_rate), (by_low, by_rate)


@pytest.mark.parametrize("seed", range(3))
def test_a_probability_of_something_else_than_a_deal_still_sorts_leads(seed: int) -> None:
    """The model's is of an order within the hour, and deals are a third as frequent; strata take that out."""
    random = np.random.default_rng(seed)
    cells: list[Cell] = []
    truth, raw = [], []
    for number in range(SELLERS):
        skill = random.normal(0.0, 0.6)
        said = random.beta(2.0, random.uniform(2.0, 30.0), random.integers(30, 300))
        chance = said / 3
        with_skill = 1 / (1 + np.exp(-(np.log(chance / (1 - chance)) + skill)))
        won = random.random(len(said)) < with_skill
        cells += [
            Cell(seller=f"s{number:03}", stratum=stratum(3, float(each)), leads=1, wins=int(win))
            for each, win in zip(said, won, strict=True)
        ]
        truth.append(skill)
        raw.append(float(won.mean()))
    found = judged(abilities(tallies(cells)), "excess")
    assert rank_correlation(found, truth) > max(0.65, rank_correlation(raw, truth) + 0.1)


def test_nine_of_ten_intervals_hold_the_truth() -> None:
    inside = []
    for seed in range(20):
        of, truth, _ = shop(seed)
        found = abilities(of)
        weight = np.array([each.leads**2 / each.variance for each in of.values()])
        above_mean = truth - np.average(truth, weights=weight)
        inside += list((judged(found, "low") <= above_mean) & (above_mean <= judged(found, "high")))
    assert 0.86 < np.mean(inside) < 0.96


def test_estimates_are_nearer_to_the_truth_than_what_was_observed() -> None:
    of, truth, _ = shop(7, spread=0.3)
    observed = np.array([(each.wins - each.expected) / each.leads for each in of.values()])
    estimate = judged(abilities(of), "excess")
    assert np.mean((estimate - truth) ** 2) < 0.6 * np.mean((observed - observed.mean() - truth) ** 2)


def test_three_leads_are_never_top_and_five_lucky_ones_neither() -> None:
    of, truth, _ = shop(3)
    best = f"s{int(truth.argmax()):03}"
    of["lucky"] = tally([(True, 0.05)] * 3)
    of["fortunate"] = tally([(True, 0.3), (True, 0.3), (True, 0.3), (False, 0.3), (False, 0.3)])
    found = abilities(of)
    lucky = found["lucky"]
    assert (lucky.leads, lucky.wins, lucky.excess, lucky.low, lucky.high) == (3, 3, None, None, None)
    order = [ability.seller for ability in ranking(found)]
    assert "lucky" not in order
    assert order.index("fortunate") > 10 > order.index(best)
    assert "lucky" not in lower_bounds(found)
    assert list(lower_bounds(found)) == order


def test_easy_leads_make_nobody_a_good_seller() -> None:
    """Both win as often as their leads' strata do; one has all the good leads, and the raw rate of a star."""
    cells = []
    for number in range(10):
        easy = number == 0
        good, bad = (90, 10) if easy else (10, 90)
        cells += [
            Cell(seller=f"s{number}", stratum="q4/p5", leads=good, wins=good // 2),
            Cell(seller=f"s{number}", stratum="q1/p0", leads=bad, wins=bad // 10),
        ]
    found = abilities(tallies(cells))
    excess = found["s0"].excess
    assert excess is not None and abs(excess) < 0.01
    assert found["s0"].wins > 3 * found["s1"].wins


def test_a_tally_is_what_one_computes_by_hand() -> None:
    """20 leads at the overall rate of 0.3 draw the stratum's rates of 0.5 and 0.1 to 0.41… and 0.18…"""
    cells = [
        Cell(seller="a", stratum="x", leads=10, wins=5),
        Cell(seller="b", stratum="x", leads=10, wins=5),
        Cell(seller="a", stratum="y", leads=5, wins=1),
        Cell(seller="b", stratum="y", leads=15, wins=1),
    ]
    x, y = (10 + 20 * 0.3) / 40, (2 + 20 * 0.3) / 40
    of = tallies(cells)
    assert of["a"].leads == 15 and of["a"].wins == 6
    assert of["a"].expected == pytest.approx(10 * x + 5 * y)
    assert of["b"].variance == pytest.approx(10 * x * (1 - x) + 15 * y * (1 - y))


def test_equal_variances_give_morriss_formula() -> None:
    """Morris 1983: B = (k−3)/(k−1) · V/(V+A), with V+A the sample variance where all V are equal."""
    wins = [2, 4, 5, 6, 8, 11]
    of = {
        f"s{number}": Tally(leads=20, wins=each, expected=6.0, variance=4.2)
        for number, each in enumerate(wins)
    }
    excess = [(each - 6) / 20 for each in wins]
    mean = sum(excess) / 6
    variance = 4.2 / 400
    total = sum((each - mean) ** 2 for each in excess) / 5  # V + A
    shrink = 3 / 5 * variance / total
    found = abilities(of)
    for each, ability in zip(excess, found.values(), strict=True):
        estimate = ability.excess
        assert estimate is not None and estimate == pytest.approx((1 - shrink) * (each - mean))
        spread = math.sqrt(variance * (1 - 5 / 6 * shrink) + 2 / 3 * shrink**2 * (each - mean) ** 2)
        assert ability.low == pytest.approx(estimate - 1.6448536 * spread)
        assert ability.high == pytest.approx(estimate + 1.6448536 * spread)


def test_too_little_is_said_and_not_guessed() -> None:
    few = {f"s{number}": tally([(True, 0.5)] * MIN_LEADS) for number in range(MIN_SELLERS - 1)}
    assert [ability.low for ability in abilities(few).values()] == [None] * (MIN_SELLERS - 1)
    few["last"] = tally([(False, 0.5)] * (MIN_LEADS - 1))
    assert ranking(abilities(few)) == []
    few["last"] = tally([(False, 0.5)] * MIN_LEADS)
    assert len(ranking(abilities(few))) == MIN_SELLERS
    assert abilities({}) == {}
    assert tallies([]) == {}


def test_certain_chances_break_nothing() -> None:
    of = {f"s{number}": tally([(number % 2 == 0, float(number % 2))] * 30) for number in range(8)}
    for ability in abilities(of).values():
        assert ability.low is not None and math.isfinite(ability.low)


@pytest.mark.parametrize(
    ("quality", "probability", "name"),
    [(3, None, "q3"), (3, 0.0, "q3/p0"), (3, 0.03, "q3/p2"), (5, 0.69, "q5/p5"), (0, 1.0, "q0/p6")],
)
def test_strata(quality: int, probability: float | None, name: str) -> None:
    assert stratum(quality, probability) == name


CELLS = st.lists(
    st.builds(
        lambda seller, name, leads, part: Cell(seller=seller, stratum=name, leads=leads, wins=int(part * leads)),
        st.sampled_from("abcdefg"), st.sampled_from("xyz"), st.integers(1, 40), st.floats(0, 1),
    ),
    max_size=20,
)  # fmt: skip


@given(CELLS, st.randoms())
def test_the_order_of_cells_changes_no_bit_and_intervals_hold_their_estimate(
    cells: list[Cell], random: Any
) -> None:
    found = abilities(tallies(cells))
    assert abilities(tallies(random.sample(cells, len(cells)))) == found
    for ability in found.values():
        if ability.excess is not None:
            assert ability.low is not None and ability.high is not None
            assert ability.low <= ability.excess <= ability.high
