"""From a click to a payment: a chain of stages, drawn and known in closed form.

A click waits an exponential time for its decision: an order, the cart or nothing. The cart waits another one for its
own decision; if there are sellers, one may answer before it falls, and then it falls at a better chance. An order is
paid or not, and the payment comes after a mixture of two Weibull times: most within a minute or two, some after long
thought.

All waits but the last forget how long they have lasted, so what is known of an intent is its stage, since when, and
that nothing was seen since. Its chance to be paid within a time is then the posterior that it is still undecided, times
the distribution of the sum of the waits that are left (:class:`Waits`, tabulated by numerical integration).
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from frontrow_models.simulate.dice import Dice

CLICK_S = 25.0  # mean wait from a click to its decision
CART_S = 200.0  # and from the cart to its
# From the order to its payment: (share, shape, scale in seconds) of Weibull times.
PAYMENT = ((0.7, 0.9, 45.0), (0.3, 0.8, 480.0))

MOST_ORDER, MOST_CART = 0.6, 0.9  # caps of the two chances of an order

Array = npt.NDArray[np.float64]
Stage = tuple[int | None, int | None, int | None, int | None]

_SETTLED = 1e-15  # a silent intent that is still undecided with less than this chance is settled


@dataclass(frozen=True, slots=True)
class Odds:
    """Chances of an intent: of the cart, of an order from the click, from the cart, from the answered cart; of pay."""

    cart: float
    order: float
    cart_order: float
    answered: float
    pay: float


@dataclass(slots=True)
class Intent:
    """One click and what comes of it; UTC milliseconds, drawn when the click happens. None: never."""

    at: int
    odds: Odds
    product: int
    count: int = 1
    seller: int = 1
    order: str = ""
    carted: int | None = None
    answered: int | None = None
    ordered: int | None = None
    paid: int | None = None

    def stage(self, at: int) -> Stage:
        """Return when the intent was carted, answered, ordered and paid; None of what has not happened by ``at``."""
        carted, answered, ordered, paid = self.carted, self.answered, self.ordered, self.paid
        return (
            None if carted is None or carted > at else carted,
            None if answered is None or answered > at else answered,
            None if ordered is None or ordered > at else ordered,
            None if paid is None or paid > at else paid,
        )


def draw_fate(dice: Dice, intent: Intent, *, answer_s: float | None) -> None:
    """Draw what comes after the stage that the intent is in. ``answer_s``: mean wait for a seller; None: no sellers."""
    odds = intent.odds
    if intent.carted is None and intent.answered is None and intent.ordered is None:
        decided = _after(dice, intent.at, CLICK_S)
        draw = dice.random()
        if draw < odds.order:
            intent.ordered = decided
        elif draw < odds.order + odds.cart:
            intent.carted = decided
        else:
            return
    if intent.ordered is None and intent.answered is None and intent.carted is not None:
        decided = _after(dice, intent.carted, CART_S)
        answer = decided if answer_s is None else _after(dice, intent.carted, answer_s)
        if answer < decided:
            intent.answered = answer
        elif dice.chance(odds.cart_order):
            intent.ordered = decided
        else:
            return
    if intent.ordered is None and intent.answered is not None:
        decided = _after(dice, intent.answered, CART_S)
        if not dice.chance(odds.answered):
            return
        intent.ordered = decided
    if intent.ordered is not None and dice.chance(odds.pay):
        intent.paid = intent.ordered + int(_payment_s(dice) * 1000.0)


def redraw_fate(dice: Dice, intent: Intent, at: int, *, answer_s: float | None) -> Intent:
    """Return the intent with another future after ``at``: of the same stage, and since it nothing seen (by rejection)."""
    seen = intent.stage(at)
    carted, answered, ordered, paid = seen
    while True:
        drawn = replace(intent, carted=carted, answered=answered, ordered=ordered, paid=paid)
        if paid is None:
            draw_fate(dice, drawn, answer_s=answer_s)
        if drawn.stage(at) == seen:
            return drawn


def _after(dice: Dice, at: int, mean_s: float) -> int:
    return at + int(dice.exponential(mean_s) * 1000.0)


def _payment_s(dice: Dice) -> float:
    _, shape, scale = PAYMENT[0] if dice.chance(PAYMENT[0][0]) else PAYMENT[1]
    return scale * math.pow(dice.exponential(1.0), 1.0 / shape)


class Waits:
    """Distributions of the waits until a payment, given that it comes, as functions of seconds.

    ``answer_s``: mean wait for a seller in the cart; None: there are no sellers. Tables have a point per second, between
    which straight lines are drawn; ``longest_s`` is the most that will be asked for.
    """

    def __init__(self, longest_s: float, answer_s: float | None) -> None:
        self._seconds = np.arange(int(longest_s) + 3, dtype=np.float64)
        self._answer_rate = 0.0 if answer_s is None else 1.0 / answer_s
        self._leave_cart = 1.0 / CART_S + self._answer_rate
        self.paid = payment_share(self._seconds)
        self.from_answer = self._delayed(self.paid, 1.0 / CART_S)
        self.from_cart = self._delayed(self.paid, self._leave_cart) / (CART_S * self._leave_cart)
        self.by_answer = (
            self._delayed(self.from_answer, self._leave_cart) * self._answer_rate / self._leave_cart
        )
        # ∫ from 0 of the distributions from a click: over an order at once, the cart, the answered cart
        clicks = [
            self._delayed(share, 1.0 / CLICK_S) for share in (self.paid, self.from_cart, self.by_answer)
        ]
        self.click = clicks
        self.click_sums = [_integral(share) for share in clicks]

    def _delayed(self, share: Array, rate: float) -> Array:
        """Return the distribution after one more exponential wait: K' = rate · (share − K)."""
        fine = 8  # steps a second, since the Weibull times begin steeply
        steps = np.arange((len(share) - 1) * fine + 1) / fine
        known = payment_share(steps) if share is self.paid else np.interp(steps, self._seconds, share)
        keep = math.exp(-rate / fine)
        # exact for a share that is linear within the step
        ahead = 1.0 - (1.0 - keep) * fine / rate
        gains = (1.0 - keep - ahead) * known[:-1] + ahead * known[1:]
        found, value = np.zeros(len(share)), 0.0
        for number, gain in enumerate(gains.tolist(), start=1):
            value = value * keep + gain
            if number % fine == 0:
                found[number // fine] = value
        return found

    def at(self, table: Array, seconds: Array | float) -> Array:
        """Return a table's values at times in seconds."""
        return np.asarray(np.interp(seconds, self._seconds, table), np.float64)

    def intent_pays(self, intent: Intent, at: int, within_s: float) -> float:
        """Return the chance that an intent is paid within ``within_s`` seconds after ``at``, by its stage at ``at``."""
        odds = intent.odds
        carted, answered, ordered, paid = intent.stage(at)
        if paid is not None or odds.pay == 0.0:
            return 0.0
        if ordered is not None:
            age_s = (at - ordered) / 1000.0
            before, after = payment_share(np.array([age_s, age_s + within_s])).tolist()
            return float(odds.pay * (after - before) / (1.0 - odds.pay * before))
        if answered is not None:
            left = math.exp(-(at - answered) / 1000.0 / CART_S)
            if left < _SETTLED:
                return 0.0
            reached = odds.answered * float(self.at(self.from_answer, within_s))
            silent = left + (1.0 - odds.answered) * (1.0 - left)
        elif carted is not None:
            left = math.exp(-(at - carted) / 1000.0 * self._leave_cart)
            if left < _SETTLED:
                return 0.0
            reached = odds.cart_order * float(self.at(self.from_cart, within_s))
            reached += odds.answered * float(self.at(self.by_answer, within_s))
            silent = left + (1.0 - odds.cart_order) * (1.0 - left) / (CART_S * self._leave_cart)
        else:
            left = math.exp(-(at - intent.at) / 1000.0 / CLICK_S)
            if left < _SETTLED:
                return 0.0
            straight, cart, answer = (float(self.at(table, within_s)) for table in self.click)
            reached = odds.order * straight + odds.cart * (odds.cart_order * cart + odds.answered * answer)
            silent = left + (1.0 - odds.order - odds.cart) * (1.0 - left)
        return odds.pay * reached * left / silent


def payment_share(seconds: Array) -> Array:
    """Return the distribution function of the wait from an order to its payment."""
    beyond = np.maximum(seconds, 0.0)
    share = np.zeros_like(beyond)
    for part, shape, scale in PAYMENT:
        share -= part * np.expm1(-((beyond / scale) ** shape))
    return share


def _integral(share: Array) -> Array:
    return np.concatenate(([0.0], np.cumsum((share[1:] + share[:-1]) / 2.0)))
