"""The guard: watches what was served and says when a model must go back to its last good version, and why.

It acts on nothing itself. Four kinds of alarm:

``not_finite``   a weight or a served probability is NaN or infinite; back at once.
``weights``      a weight is beyond its bound; back at once.
``calibration``  mean probability over share of outcomes is outside [0.5, 2], over enough outcomes; back at once.
``drift``        a signal has risen (ADWIN): the served log loss, or one of the early signals that need no mature label:
                 the mean served probability, and the outcomes within the looks' windows beyond what was expected of it
                 or short of it. A warning: the world has moved, which the last good version may know no better.

Outcomes come in clumps, one for every snapshot of the viewer, so calibration counts in *distinct* outcomes: a window
ends when those that came, or those that were expected (positives expected, over positives per outcome so far), reach
``outcomes``. With 100 independent outcomes of equal clumps a perfect model leaves [0.5, 2] with a chance below 1e-6 a
window, and some 2e-4 where the sizes of clumps vary as an exponential does. A model that is off by 3 × is found by
the end of the second window, as the first may have begun before.
"""

import math
from operator import itemgetter
from typing import Any, Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from frontrow.core.images import Image
from frontrow_models.evaluation.distinct import Distinct
from frontrow_models.evaluation.drift import Rises
from frontrow_models.evaluation.reliability import FLOOR, log_losses

Numbers = NDArray[Any]

Kind = Literal["not_finite", "weights", "calibration", "drift"]

_COSTLIEST = -math.log(FLOOR)  # nats; ADWIN wants numbers within 0 and 1
# What is said of a rise, and what a signal's 1 and 0 were before it was brought within 0 and 1: unit, zero.
_SIGNALS = {
    "log_loss": ("the served log loss rose from {:.3f} to {:.3f} nats a label", _COSTLIEST, 0.0),
    "early_more": (
        "early outcomes beyond what was expected rose from {:.4f} to {:.4f} a snapshot",
        2.0,
        -1.0,
    ),
    "early_fewer": (
        "early outcomes short of what was expected rose from {:.4f} to {:.4f} a snapshot",
        2.0,
        -1.0,
    ),
}


class Alarm(Struct, frozen=True):
    """What is wrong, for a program and for a person. ``roll_back``: the last good version must serve at once."""

    kind: Kind
    sentence: str
    roll_back: bool


class GuardOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``outcomes``: distinct ones, come or expected, that a calibration ratio is judged over.

    ``delta`` is ADWIN's, which takes values for independent. They come in clumps, the snapshots of one viewer, which
    divides the exponent of its bound by their size: 1e-16 is 1e-4 for clumps of 4. Measured over twelve simulated
    worlds of 100,000 labels that stand still, in clumps of 5 and of 10: no false warning (over eight at 1e-5: 3 and
    23); that no orders arrive any more is found after 3,400 to 5,100 snapshots at 3 % to 4 % of outcomes.
    """

    least_ratio: float = 0.5
    greatest_ratio: float = 2.0
    outcomes: int = 100
    greatest_weight: float = 20.0
    delta: float = 1e-16


class Guard:
    """Watches one model from the moment this is made: make a new one when another model serves."""

    def __init__(self, options: GuardOptions | None = None) -> None:
        self._options = options or GuardOptions()
        self._rises = {name: Rises(delta=self._options.delta) for name in _SIGNALS}
        self._distinct = Distinct()
        self._positives = 0  # ever, beside the distinct outcomes: how large clumps are
        # Expected, came, distinct came, labels.
        self._window: tuple[float, float, int, int] = (0.0, 0.0, 0, 0)
        self.windows = 0  # of calibration that have ended
        self._nameless = 0  # positives without a cause are outcomes of their own, numbered downward

    def weights(self, weights: Numbers) -> list[Alarm]:
        """Judge weights, intercept included, before they serve."""
        if not np.isfinite(weights).all():
            broken = int(np.count_nonzero(~np.isfinite(weights)))
            return [Alarm("not_finite", f"{broken} of {len(weights)} weights are not finite numbers", True)]
        greatest = float(np.abs(weights).max(initial=0.0))
        if greatest > self._options.greatest_weight:
            bound = self._options.greatest_weight
            return [Alarm("weights", f"a weight is {greatest:.1f}, beyond the bound of {bound:g}", True)]
        return []

    def served(self, probabilities: Numbers) -> list[Alarm]:
        """Judge what was served, as probabilities or as logits."""
        return _finite(probabilities)[0]

    def observed(self, probabilities: Numbers, outcomes: Numbers, shares: Numbers) -> list[Alarm]:
        """Judge outcomes known when each look's window ended; of its outcomes, ``shares`` are expected within it.

        In both directions, since a rise is what is found: a pipeline that lost its orders shows as too few.
        """
        _, good = _finite(probabilities)
        missing = (
            np.asarray(outcomes[good], np.float64) - probabilities[good] * shares[good]
        )  # within -1 and 1
        more = 0.5 + 0.5 * missing
        return _in_order(self._watch("early_more", more) + self._watch("early_fewer", 1.0 - more))

    def matured(self, probabilities: Numbers, outcomes: Numbers, causes: Numbers) -> list[Alarm]:
        """Judge mature labels in order; however they are cut into calls, the same alarms come in the same order.

        ``causes`` number the outcomes, below 0 for none: a positive without one is an outcome of its own.
        """
        _, good = _finite(probabilities)  # these were told of when they were served
        p, y = probabilities[good], np.asarray(outcomes[good], bool)
        losses = np.minimum(log_losses(p, y) / _COSTLIEST, 1.0)
        return _in_order(self._calibration(p, y, causes[good]) + self._watch("log_loss", losses))

    def image(self) -> dict[str, Image]:
        """Return a copy of the state, in several images by name."""
        own = Image(
            meta={
                "window": list(self._window),
                "windows": self.windows,
                "positives": self._positives,
                "outcomes": self._distinct.count,
                "nameless": self._nameless,
            },
            arrays={"known": self._distinct.state()},
        )
        return {"guard": own, **{f"guard.{name}": rises.image() for name, rises in self._rises.items()}}

    def load(self, images: dict[str, Image]) -> None:
        """Take over a state.

        Raises:
            ValueError: If another version of River made it.
        """
        meta = images["guard"].meta
        self._window, self._positives = tuple(meta["window"]), meta["positives"]
        self._nameless, self.windows = meta["nameless"], meta["windows"]
        self._distinct.load(meta["outcomes"], images["guard"].arrays["known"])
        for name, rises in self._rises.items():
            rises.load(images[f"guard.{name}"])

    def _watch(self, name: str, values: Numbers) -> list[tuple[int, Alarm]]:
        sentence, unit, zero = _SIGNALS[name]
        return [
            (place, Alarm("drift", sentence.format(zero + unit * before, zero + unit * now), False))
            for place, before, now in self._rises[name].update(values.tolist())
        ]

    def _calibration(self, p: Numbers, y: Numbers, causes: Numbers) -> list[tuple[int, Alarm]]:
        alarms: list[tuple[int, Alarm]] = []
        outcomes, (expected, positives, distinct, labels) = self._options.outcomes, self._window
        enough = self._expected()
        for place, (one, came, cause) in enumerate(zip(p.tolist(), y.tolist(), causes.tolist(), strict=True)):
            expected += one
            labels += 1
            if came:
                positives += 1.0
                self._positives += 1
                if cause < 0:
                    self._nameless += 1
                distinct += self._distinct.add(cause if cause >= 0 else -self._nameless)
                enough = self._expected()
            if distinct < outcomes and expected < enough:
                continue
            self.windows += 1
            if (alarm := self._off(expected, positives, distinct, labels)) is not None:
                alarms.append((place, alarm))
            expected, positives, distinct, labels = 0.0, 0.0, 0, 0
        self._window = (expected, positives, distinct, labels)
        return alarms

    def _expected(self) -> float:
        """How many positives are to be expected before a window ends by them."""
        each = self._positives / self._distinct.count if self._distinct.count else 1.0
        return self._options.outcomes * each

    def _off(self, expected: float, positives: float, distinct: int, labels: int) -> Alarm | None:
        """Judge a window that has ended."""
        options = self._options
        if options.least_ratio * positives <= expected <= options.greatest_ratio * positives:
            return None
        ratio = f"a ratio of {expected / positives:.2f}" if positives else "no ratio at all"
        return Alarm(
            "calibration",
            f"{expected:.0f} positives were expected and {positives:.0f} came ({distinct} outcomes, {labels} labels): "
            f"{ratio}, outside [{options.least_ratio:g}, {options.greatest_ratio:g}]",
            True,
        )


def _in_order(alarms: list[tuple[int, Alarm]]) -> list[Alarm]:
    """Return alarms by the place of what they were found at; those of one place as they stand."""
    return [alarm for _, alarm in sorted(alarms, key=itemgetter(0))]


def _finite(probabilities: Numbers) -> tuple[list[Alarm], Numbers]:
    good = np.isfinite(probabilities)
    broken = len(good) - int(np.count_nonzero(good))
    if not broken:
        return [], good
    return [Alarm("not_finite", f"{broken} served probabilities are not finite numbers", True)], good
