"""A River logistic regression on scaled inputs, scored as arrays: the champion's kind.

It learns by River's arithmetic (:mod:`frontrow_models.regression`) and is scored over arrays; both are held against
River itself, which :meth:`OnlineModel.river` returns. The scaler's means and spreads are those of all inputs served
so far, taken over when their number reaches ``warm_up`` and each time it has doubled since, and frozen in between: a
scaler that always moves would change what the weights mean, and one that is never refreshed is deaf to whatever
varies only later, all of a viewer's history above all. When they are taken over the weights are re-expressed, so that
the function stays what it was. Nothing is learnt before the first time; lessons that come earlier wait. Between
scaler and regression stands a clip, so that no input, however rare, can throw a weight far in one step.

A model that has learnt nothing ranks by :data:`PRIORS`: whoever clicks, fills a cart and asks comes first, as in the
points table. What it learns moves it from there.
"""

import hashlib
import math
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any, Self

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from frontrow.core.features import FEATURES_VERSION, NAMES, as_mapping
from frontrow.core.images import Image
from frontrow.core.scoring import CLIP, Matrix, Weights
from frontrow.core.viewers import USUAL_RATE
from frontrow_models.regression import Regression

KIND = "scaler|clip|river.LogisticRegression(AdaGrad)"
# A spread counts as a unit at least: inputs are logarithms of counts, and a unit is nearly threefold. Dividing by
# smaller ones would make what is rare, or has only begun to vary (a broadcast's age in its first minutes), loud for
# being rare: weights were thrown about before anything was known. Measured against a floor of 0.2: area 0.82 instead
# of 0.81 on half of the recorded streams, in many orders of them, and 0.69 instead of 0.57 in the first minutes of a
# simulated shop.
FLOOR = 1.0
FIRST_SQUARES = 1.0  # AdaGrad's sum of squared gradients to begin with: else its first steps are of full size, whatever they rest on
MEMORY = 3_000.0  # lessons that the means which serve go back, see frontrow_models.regression
# Looks within a horizon up to which the intercept's last rate is that of the options, and beyond which it falls with
# their number.
FOLLOWED = 10_000
SETTLED = 5.0  # positives that the first belief about the rate of outcomes is worth
# What a feature weighs per unit before anything is learnt; 0 for all others. The points table as log odds: a hot
# viewer's 80 points are believed to be worth ten times the odds, and the first click, cart or question (ln 2 of its
# feature) its 30, 20 or 15 of them; half of what a click or a cart is worth is that it is of the last minutes. The
# log of a rate of outcomes is worth itself. Of a group that says the same one is believed to be real. An hour that is
# cut short leaves its share of outcomes.
_POINT = math.log(10.0) / 80.0
PRIORS = {
    "clicks_5m": 15 * _POINT / math.log(2.0),
    "clicks_30m": 15 * _POINT / math.log(2.0),
    "carts_5m": 10 * _POINT / math.log(2.0),
    "carts_30m": 10 * _POINT / math.log(2.0),
    "questions_30m": 15 * _POINT / math.log(2.0),
    "order_rate": 1.0,
    "same_words": -1.0,
    "hour_left_pct": 1.0,
}
# Where a feature says nothing before the scaler is taken over, if not at 0: an unknown viewer's rate of outcomes.
NEUTRAL = {"order_rate": math.log1p(1000.0 * USUAL_RATE), "hour_left_pct": math.log1p(100.0)}
RIVER = version("river")  # reads the installation's metadata, which takes milliseconds: once


class ModelOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the model learns.

    ``learning_rate`` (AdaGrad's) and ``l2`` are River's. The intercept begins with large steps, one part in five and
    the positives so far (a Newton step's size, where outcomes are rare), and ends with those of ``intercept_rate``:
    at first it is the rate of outcomes that is not known; where more than :data:`FOLLOWED` looks wait for their
    outcomes they are smaller. What serves is a mean, so that its last steps may be large enough to follow a shop's
    rate (daemon/docs/adr/0026-the-intercept-follows-twice-as-fast.md). ``expected_rate`` is the share of snapshots
    believed to be followed by an outcome before anything is learnt. ``warm_up`` is the number of served inputs after
    which the scaler is first taken over and learning begins. Below ``min_labels`` labels or ``min_positives`` of
    either outcome the probability is not shown as a number.
    """

    learning_rate: Annotated[float, Meta(gt=0, le=1)] = 0.02
    intercept_rate: Annotated[float, Meta(gt=0, le=1)] = 0.004
    l2: Annotated[float, Meta(ge=0, le=1)] = 0.0001
    expected_rate: Annotated[float, Meta(gt=0, lt=1)] = 0.005
    warm_up: Annotated[int, Meta(ge=2)] = 500
    min_labels: Annotated[int, Meta(ge=0)] = 200
    min_positives: Annotated[int, Meta(ge=0)] = 20


class OnlineModel:
    """A River logistic regression on frozen-scaled inputs.

    Not thread-safe: a model read while it learns gives wrong numbers without an error. One owner calls
    ``observe`` and ``learn``; the :class:`Weights` that ``weights`` returns are immutable and may go anywhere.
    """

    def __init__(self, options: ModelOptions) -> None:
        self._options = options
        self._regression = Regression(
            len(NAMES),
            rate=options.learning_rate,
            l2=options.l2,
            first=FIRST_SQUARES,
            intercept=math.log(options.expected_rate / (1.0 - options.expected_rate)),
            memory=MEMORY,
        )
        self._regression.weights[:] = [PRIORS.get(name, 0.0) for name in NAMES]
        self._regression.mean_weights[:] = self._regression.weights
        self._observed = 0
        self._sums = np.zeros(len(NAMES))  # of what was served, and of its squares
        self._squares = np.zeros(len(NAMES))
        self._means = np.array([NEUTRAL.get(name, 0.0) for name in NAMES])
        self._scales = np.full(len(NAMES), FLOOR)
        # Lessons that came before the scaler was first taken over; no more than it has served.
        self._held: list[tuple[NDArray[np.float32], NDArray[np.bool_], Matrix]] = []
        self._weights: Weights | None = None
        self._named: str | None = None
        self.labels = 0
        self.positives = 0
        self.refused = 0

    @classmethod
    def of(cls, image: Image) -> Self:
        """Return the model of an image, with the options that it had."""
        made = cls(msgspec.convert(image.meta["canonical"]["options"], ModelOptions))
        made.load(image)
        return made

    @property
    def options(self) -> ModelOptions:
        """How it learns."""
        return self._options

    @property
    def ready(self) -> bool:
        """Whether enough labels of both outcomes have been learnt for the probability to be shown as a number."""
        enough = self.labels >= self._options.min_labels and self.positives >= self._options.min_positives
        # Both sides: a model that has seen no negative yet believes in everybody.
        return enough and self.labels - self.positives >= self._options.min_positives

    @property
    def intercept_rate(self) -> float:
        """How far the next lesson moves the intercept, per unit of its slope, while few looks wait for their outcomes."""
        return float(self._intercept_rates(np.array([self.positives]), 0)[0])

    def _intercept_rates(self, positives: NDArray[np.int64], looks: int) -> Matrix:
        """Return the same, after each number of positives, where so many ``looks`` wait for their outcomes."""
        last = self._options.intercept_rate * min(1.0, FOLLOWED / max(looks, 1))
        rates: Matrix = np.maximum(last, 1.0 / (SETTLED + positives))
        return rates

    @property
    def warm(self) -> bool:
        """Whether the scaler has been taken over, so that lessons are learnt."""
        return self._observed >= self._options.warm_up

    @property
    def unchanged_for(self) -> int:
        """How many inputs can be observed before the scaler is taken over again."""
        boundary = self._options.warm_up
        while boundary <= self._observed:
            boundary *= 2
        return boundary - self._observed

    def weights(self) -> Weights:
        """Return an immutable copy of the present weights; the same object until something is learnt."""
        if self._weights is None:
            self._weights = Weights(
                means=self._means.copy(),
                scales=self._scales.copy(),
                weights=np.array(self._regression.mean_weights),
                intercept=self._regression.mean_intercept,
            )
        return self._weights

    def numbers(self) -> Matrix:
        """Return all weights and intercepts, those that serve and those that the descent goes on from: to be watched."""
        held = self._regression
        return np.array([*held.mean_weights, held.mean_intercept, *held.weights, held.intercept])

    def observe(self, inputs: Matrix) -> None:
        """See inputs as they are served, in order, so that the scaler learns their spread; shape (rows, features).

        One that is not finite counts as one without any number.
        """
        while len(inputs):
            count = self.unchanged_for
            part, inputs = inputs[:count], inputs[count:]
            finite = np.isfinite(part).all(axis=1)
            known = np.where(np.reshape(finite, (-1, 1)), part, 0.0)
            # Added one after another, so that no cut into calls shows.
            self._sums = np.add.accumulate(np.vstack((self._sums, known)))[-1]
            self._squares = np.add.accumulate(np.vstack((self._squares, known * known)))[-1]
            self._observed += len(part)
            if len(part) == count:
                self._take_over()
        self._named = None

    def learn(
        self,
        inputs: NDArray[np.float32],
        outcomes: NDArray[np.bool_],
        weights: Matrix | None = None,
        *,
        looks: int = 0,
    ) -> None:
        """Learn lessons in order, each counting as much as its weight (None: 1); one below 0 is unlearnt.

        ``looks`` is how many wait for their outcomes: where they are many the intercept takes smaller steps, so that
        it does not follow in minutes what outcomes tell of the last hour.

        One whose inputs or weight are not finite is refused and counted in ``refused``, never learnt.
        """
        if weights is None:
            weights = np.ones(len(outcomes))
        if not len(outcomes):
            return
        if not self.warm:
            self._held.append((inputs, outcomes, weights))
            return
        given = inputs.astype(np.float64)
        # The firewall: one NaN would destroy every weight for ever.
        finite = np.isfinite(given).all(axis=1) & np.isfinite(weights)
        scaled = self.weights().scaled(given)
        if not finite.all():
            self.refused += int(np.count_nonzero(~finite))
            scaled, outcomes, weights = scaled[finite], outcomes[finite], weights[finite]
        counts = np.where(weights >= 0.0, 1, -1)
        positives = self.positives + np.cumsum(counts * outcomes)
        before = np.append(self.positives, positives)[:-1]
        self._regression.steps(scaled, outcomes, weights, self._intercept_rates(before, looks))
        self.labels += int(counts.sum())
        self.positives = int(positives[-1]) if len(positives) else self.positives
        self._weights = self._named = None

    def predict_one(self, inputs: Sequence[float]) -> float:
        """Return River's own probability for one input: the reference that array scoring is held against."""
        from river import preprocessing

        scaler: Any = preprocessing.StandardScaler()
        for name, mean, scale in zip(NAMES, self._means.tolist(), self._scales.tolist(), strict=True):
            scaler.counts[name], scaler.means[name], scaler.vars[name] = 1, mean, scale * scale
        scaled = scaler.transform_one(as_mapping(inputs))
        scaled = {name: min(CLIP, max(-CLIP, value)) for name, value in scaled.items()}
        return float(self.river(serving=True).predict_proba_one(scaled)[True])

    def river(self, *, serving: bool = False) -> Any:
        """Return a ``river.linear_model.LogisticRegression`` in this state, over scaled inputs by name.

        It learns as this model does for as long as its ``intercept_lr`` is kept at :attr:`intercept_rate`; of its
        weights this model serves the running mean, which it has instead if ``serving``.
        """
        from river import linear_model, optim
        from river.utils import VectorDict

        regression: Any = linear_model.LogisticRegression(
            optimizer=optim.AdaGrad(self._options.learning_rate, eps=FIRST_SQUARES),
            l2=self._options.l2,
            intercept_lr=self.intercept_rate,
            intercept_init=self._regression.mean_intercept if serving else self._regression.intercept,
        )
        weights = self._regression.mean_weights if serving else self._regression.weights
        regression._weights = VectorDict(as_mapping(weights))  # River has no other way in
        regression.optimizer.g2.update(as_mapping(self._regression.squares))
        regression.optimizer.n_iterations = self._regression.iterations
        return regression

    def _take_over(self) -> None:
        """Let the scaler be that of all inputs so far, and express the same function in its terms."""
        means = self._sums / self._observed
        scales = np.maximum(np.sqrt(np.maximum(self._squares / self._observed - means * means, 0.0)), FLOOR)
        moved, ratios = ((means - self._means) / self._scales).tolist(), (scales / self._scales).tolist()
        first, regression = self._observed == self._options.warm_up, self._regression
        for place, (move, ratio) in enumerate(zip(moved, ratios, strict=True)):
            # Before it knew what is usual here the expected rate was that of nobody in particular: from now on, of
            # the usual.
            regression.intercept += 0.0 if first else regression.weights[place] * move
            regression.mean_intercept += 0.0 if first else regression.mean_weights[place] * move
            regression.weights[place] *= ratio
            regression.mean_weights[place] *= ratio
            regression.squares[place] /= ratio * ratio
        self._means, self._scales = means, scales
        self._weights = None
        held, self._held = self._held, []
        for part in held:
            self.learn(*part)

    @property
    def version(self) -> str:
        """The name of the present state: the same for equal states, another for any change."""
        if self._named is None:
            canonical = msgspec.json.encode(self._canonical(), order="deterministic")
            self._named = hashlib.sha256(canonical).hexdigest()[:16]
        return self._named

    def state(self) -> dict[str, Any]:
        """Return the canonical state: JSON values only, equal for equal models, with its ``version``."""
        return {"version": self.version, **self._canonical()}

    def image(self) -> Image:
        """Return a copy of all that it holds."""
        held = self._held
        return Image(
            meta={
                "canonical": self._canonical(),
                "refused": self.refused,
            },
            arrays={
                "scales": self._scales.copy(),
                "held": np.concatenate([np.zeros((0, len(NAMES)), np.float32), *(part[0] for part in held)]),
                "held_outcomes": np.concatenate([np.zeros(0, np.bool_), *(part[1] for part in held)]),
                "held_weights": np.concatenate([np.zeros(0), *(part[2] for part in held)]),
            },
        )

    def load(self, image: Image) -> None:
        """Take over an image of a model with the same options, which then goes on as that one would have."""
        self.take(image.meta["canonical"])
        self._scales = image.arrays["scales"].copy()
        self.refused = image.meta["refused"]
        held = (image.arrays["held"], image.arrays["held_outcomes"], image.arrays["held_weights"])
        self._held = [held] if len(held[0]) else []

    def take(self, canonical: dict[str, Any]) -> None:
        """Take over a canonical state of a model with the same options and features."""
        scaler, regression = canonical["scaler"], self._regression
        self._observed = scaler["count"]
        self._sums, self._squares = np.array(scaler["sums"]), np.array(scaler["squares"])
        self._means = np.array(scaler["means"])
        self._scales = np.array(scaler["variances"]) ** 0.5
        regression.mean_weights, regression.squares = list(canonical["weights"]), list(canonical["squares"])
        regression.mean_intercept, regression.iterations = canonical["intercept"], canonical["iterations"]
        descent = canonical["descent"]
        regression.weights, regression.intercept = list(descent["weights"]), descent["intercept"]
        self.labels, self.positives = canonical["labels"], canonical["positives"]
        self._weights = self._named = None

    def _canonical(self) -> dict[str, Any]:
        regression = self._regression
        return {
            "kind": KIND,
            "river": RIVER,
            "features_version": FEATURES_VERSION,
            "features": list(NAMES),
            "options": msgspec.to_builtins(self._options),
            "scaler": {
                "count": self._observed,
                "clip": CLIP,
                "means": self._means.tolist(),
                "variances": (self._scales * self._scales).tolist(),
                "sums": self._sums.tolist(),
                "squares": self._squares.tolist(),
            },
            "weights": list(regression.mean_weights),
            "intercept": regression.mean_intercept,
            "descent": {"weights": list(regression.weights), "intercept": regression.intercept},
            "squares": list(regression.squares),
            "iterations": regression.iterations,
            "labels": self.labels,
            "positives": self.positives,
        }
