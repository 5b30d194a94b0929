"""How well each seller turns leads into deals, given the leads they got: observed − expected, shrunk, with an interval.

A raw rate says who got the good leads, and above all who got few: of 3,000 sellers the best raw rate belongs to
somebody with two leads and two wins. So three things are done, each the textbook's:

1. *Indirect standardisation*. A lead's chance with an average seller is the rate of its stratum (quality and band of the
   probability) over all sellers, drawn to the overall rate where the stratum is small. The model's probability itself
   is of another outcome and a shorter time than a deal, so it only sorts leads. A seller's excess is (wins − Σ
   chances) ÷ leads, its variance Σ chance × (1 − chance) ÷ leads².
2. *Empirical Bayes*. True excesses are taken as normal around their weighted mean with variance A, which is that at which the
   weighted squares of the observed ones are what chance and A explain (Paule & Mandel, J. Res. NBS 87, 1982). Each
   observed one is drawn to the mean by B = (k−3)/(k−1) · V/(V+A) for k sellers (Morris, JASA 78, 1983, pp. 47–55).
3. *An interval of 90 %* by Morris's variance, which also counts that the mean and A are estimates.

Nobody is judged by fewer than five leads, and nobody at all among fewer than five sellers. Who routes by this takes
``low``, the end of the interval that one may rely on. Not here: which leads are old enough to count (the caller gives
closed ones).
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

MIN_LEADS = 5  # of a seller, to be judged
MIN_SELLERS = 5  # with as many leads each; below four, Morris's variance does not exist
PRIOR_LEADS = 20.0  # leads at the overall rate that a stratum's rate is mixed with
BANDS = (0.01, 0.03, 0.1, 0.2, 0.4, 0.7)
# A chance this near 0 or 1 would make one surprise prove everything: the normal approximation knows no rare events.
_SUREST = 0.01
_Z90 = 1.6448536269514722  # of the normal distribution, at 95 %
_HALVINGS = 80  # of the bracket of A, which is then exact to the last bits


class Cell(Struct, frozen=True, kw_only=True):
    """Closed leads of one seller in one stratum: what a GROUP BY gives. ``leads`` is 1 or more, ``wins`` of them were won."""

    seller: str
    stratum: str
    leads: int
    wins: int


class Tally(Struct, frozen=True, kw_only=True):
    """A seller's closed leads: how many, wins, wins that an average seller would have had, and the variance of those."""

    leads: int
    wins: int
    expected: float
    variance: float


class Ability(Struct, frozen=True, kw_only=True):
    """What a seller's leads say. ``excess`` is wins per lead above those of an average seller with the same leads.

    It lies between ``low`` and ``high`` with 90 %. All three are None where there are too few leads, or too few
    sellers, to say anything; ``leads``, ``wins`` and ``expected`` are then all that is known.
    """

    seller: str
    leads: int
    wins: int
    expected: float
    excess: float | None = None
    low: float | None = None
    high: float | None = None


def stratum(quality: int, probability: float | None) -> str:
    """Return the stratum of a lead: its quality (0 to 5), and the band of its probability, where it has one."""
    if probability is None:
        return f"q{quality}"
    return f"q{quality}/p{sum(probability >= bound for bound in BANDS)}"


def tallies(cells: Iterable[Cell]) -> dict[str, Tally]:
    """Return each seller's tally, by id, with chances by stratum over all sellers. The order of cells means nothing."""
    cells = list(cells)
    leads: dict[str, int] = defaultdict(int)
    wins: dict[str, int] = defaultdict(int)
    by_seller: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        leads[cell.stratum] += cell.leads
        wins[cell.stratum] += cell.wins
        by_seller[cell.seller].append(cell)
    overall = sum(wins.values()) / max(1, sum(leads.values()))
    chances = {
        name: (wins[name] + PRIOR_LEADS * overall) / (count + PRIOR_LEADS) for name, count in leads.items()
    }
    return {seller: _tally(by_seller[seller], chances) for seller in sorted(by_seller)}


def tally(outcomes: Iterable[tuple[bool, float]]) -> Tally:
    """Return the tally of leads whose chances with an average seller are known: (won, chance) of each."""
    each = list(outcomes)
    chances = [_unsure(chance) for _, chance in each]
    return Tally(
        leads=len(each),
        wins=sum(won for won, _ in each),
        expected=math.fsum(chances),
        variance=math.fsum(chance * (1 - chance) for chance in chances),
    )


def abilities(of: Mapping[str, Tally]) -> dict[str, Ability]:
    """Return what is known of each seller, by id. The average of those who are judged is 0."""
    judged = sorted(seller for seller, tally in of.items() if tally.leads >= MIN_LEADS)
    found = {
        seller: Ability(seller=seller, leads=each.leads, wins=each.wins, expected=each.expected)
        for seller, each in sorted(of.items())
    }
    if len(judged) >= MIN_SELLERS:
        excesses = [(of[seller].wins - of[seller].expected) / of[seller].leads for seller in judged]
        variances = [of[seller].variance / of[seller].leads ** 2 for seller in judged]
        for seller, (excess, spread) in zip(judged, _shrunk(excesses, variances), strict=True):
            before = found[seller]
            found[seller] = Ability(
                seller=seller,
                leads=before.leads,
                wins=before.wins,
                expected=before.expected,
                excess=excess,
                low=excess - _Z90 * spread,
                high=excess + _Z90 * spread,
            )
    return found


def ranking(of: Mapping[str, Ability]) -> list[Ability]:
    """Return who is judged, the best first: by what one may rely on, so few leads never lead the list by luck."""
    judged = [(ability.low, ability) for ability in of.values() if ability.low is not None]
    return [ability for _, ability in sorted(judged, key=lambda pair: (-pair[0], pair[1].seller))]


def lower_bounds(of: Mapping[str, Ability]) -> dict[str, float]:
    """Return ``low`` of each who is judged, by id: what routing to the best takes."""
    return {ability.seller: ability.low for ability in ranking(of) if ability.low is not None}


def _tally(cells: Sequence[Cell], chances: Mapping[str, float]) -> Tally:
    chance = {cell.stratum: _unsure(chances[cell.stratum]) for cell in cells}
    return Tally(
        leads=sum(cell.leads for cell in cells),
        wins=sum(cell.wins for cell in cells),
        # Sums that do not depend on the order, to the last bit.
        expected=math.fsum(cell.leads * chance[cell.stratum] for cell in cells),
        variance=math.fsum(cell.leads * chance[cell.stratum] * (1 - chance[cell.stratum]) for cell in cells),
    )


def _unsure(chance: float) -> float:
    return min(max(chance, _SUREST), 1 - _SUREST)


def _shrunk(observed: Sequence[float], variances: Sequence[float]) -> list[tuple[float, float]]:
    """Return each one's estimate above the mean, and its standard deviation (Morris 1983, unequal variances)."""
    count = len(observed)
    between = _between(observed, variances)
    weights = [1 / (variance + between) for variance in variances]
    total = math.fsum(weights)
    mean = _mean(observed, weights)
    # Weighted as the rest, so that a seller with few leads does not make everybody's interval wider.
    typical = (
        math.fsum(weight * variance for weight, variance in zip(weights, variances, strict=True)) / total
    )
    found: list[tuple[float, float]] = []
    for each, variance, weight in zip(observed, variances, weights, strict=True):
        shrink = (count - 3) / (count - 1) * variance * weight
        doubt = 2 / (count - 3) * shrink**2 * (typical + between) * weight
        spread = variance * (1 - (1 - weight / total) * shrink) + doubt * (each - mean) ** 2
        found.append(((1 - shrink) * (each - mean), math.sqrt(spread)))
    return found


def _between(observed: Sequence[float], variances: Sequence[float]) -> float:
    """Return the variance of true excesses between sellers: 0 where chance explains all that is seen."""

    def surplus(between: float) -> float:
        weights = [1 / (variance + between) for variance in variances]
        mean = _mean(observed, weights)
        squares = (weight * (each - mean) ** 2 for each, weight in zip(observed, weights, strict=True))
        return math.fsum(squares) - (len(observed) - 1)

    if surplus(0.0) <= 0:
        return 0.0
    # Excesses lie within −1 and 1, so their variance is below 4; the surplus falls as the variance rises.
    low, high = 0.0, 4.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if surplus(middle) > 0 else (low, middle)
    return (low + high) / 2


def _mean(observed: Sequence[float], weights: Sequence[float]) -> float:
    return math.fsum(each * weight for each, weight in zip(observed, weights, strict=True)) / math.fsum(
        weights
    )
