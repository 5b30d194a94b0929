"""When a click turns into a paid order, and with which probability that happens before the broadcast ends.

The idea: a viewer's clicks are a Poisson process whose rate is constant within a block of the run sheet, given the
viewer's habits and visits. Each click leads to an order with a fixed chance, paid after a random delay; an order counts
if it is paid before the end. Thinning a Poisson process by independent chances leaves a Poisson process, so

    p = 1 - exp(-Σ_blocks rate · convert · ∫ F(end - t) dt)

with F the distribution of the delay, and the integral over the viewer's presence in the block in closed form. The
simulation draws from the same numbers, so p is exact and needs no sampling.
"""

import math

from frontrow_models.simulate.dice import Dice
from frontrow_models.simulate.people import MATCH, Viewer
from frontrow_models.simulate.stage import BLOCK_MS, Stage

# From click to payment: eight seconds at least, then most pay within two minutes and some think it over.
SHORTEST_S = 8.0
PARTS = ((0.7, 45.0), (0.3, 420.0))  # (share, mean seconds beyond the shortest)


def draw_delay_s(dice: Dice) -> float:
    """Return the seconds from a click to the payment that it leads to."""
    share, mean = PARTS[0]
    return SHORTEST_S + dice.exponential(mean if dice.chance(share) else PARTS[1][1])


def paid_share_s(within_s: float) -> float:
    """Return ∫ F(x) dx from 0 to ``within_s``: in seconds, how much of the time so far clicks could be paid after."""
    rest = within_s - SHORTEST_S
    if rest <= 0.0:
        return 0.0
    return rest - math.fsum(share * mean * -math.expm1(-rest / mean) for share, mean in PARTS)


def appeal(stage: Stage, block: int, favourite: int) -> float:
    """Return the factor on a viewer's hazards in a block of the run sheet."""
    return stage.appeal[block] * (MATCH if stage.product[block] == favourite else 1.0)


def true_probability(viewer: Viewer, stage: Stage, *, start: int, end: int) -> float:
    """Return the probability that the viewer pays for at least one order before ``end``; see the module's text."""
    rate = viewer.click * viewer.convert
    if rate == 0.0:
        return 0.0
    hazard = 0.0
    for enter, exit in viewer.visits:
        for block in range((enter - start) // BLOCK_MS, -((start - exit) // BLOCK_MS)):
            low = max(enter, start + block * BLOCK_MS)
            high = min(exit, start + (block + 1) * BLOCK_MS)
            payable_s = paid_share_s((end - low) / 1000.0) - paid_share_s((end - high) / 1000.0)
            hazard += rate * appeal(stage, block, viewer.favourite) * payable_s
    return -math.expm1(-hazard)
