"""The champion: a River pipeline, ``StandardScaler | LogisticRegression``, behind the engine's port.

River learns; arrays score. The scaler learns the spread of the first served inputs and is then frozen: a scaler that
moves on would change what the weights mean, and costs more than the rest of learning together. Nothing is learnt
before it is frozen; labels that come earlier wait. Between scaler and regression stands a clip, so that no input, however
rare, can throw a weight far in one step.
"""

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Struct

from frontrow.core.features import FEATURES_VERSION, NAMES, as_mapping
from frontrow.core.images import Image
from frontrow.core.labels import Label, labels_of, told
from frontrow.core.scoring import CLIP, Matrix, Weights

LEAST_SCALE = 0.01  # standard deviations below this, of log1p inputs, count as none
RIVER = version("river")  # reads the installation's metadata, which takes milliseconds: once


class ModelOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the model learns.

    ``learning_rate`` and ``l2`` are River's; ``warm_up`` is the number of served inputs after which the scaler is
    frozen and learning begins. Below ``min_labels`` labels or ``min_positives`` of either outcome the probability is
    not shown as a number.
    """

    learning_rate: Annotated[float, Meta(gt=0, le=1)] = 0.02
    l2: Annotated[float, Meta(ge=0, le=1)] = 0.0001
    warm_up: Annotated[int, Meta(ge=2)] = 500
    min_labels: Annotated[int, Meta(ge=0)] = 200
    min_positives: Annotated[int, Meta(ge=0)] = 20


class OnlineModel:
    """A River logistic regression on frozen-scaled inputs; fits :class:`frontrow.core.ports.Model`.

    Not thread-safe: a River object read while it learns gives wrong numbers without an error. One owner calls
    ``observe`` and ``learn``; the :class:`Weights` that ``weights`` returns are immutable and may go anywhere.
    """

    def __init__(self, options: ModelOptions) -> None:
        self._options = options
        # River brings all of scipy.stats, a second of importing, for which only what has a model should wait.
        from river import linear_model, optim, preprocessing

        self._scaler: Any = preprocessing.StandardScaler()
        self._regression: Any = linear_model.LogisticRegression(
            optimizer=optim.SGD(options.learning_rate), l2=options.l2, intercept_lr=options.learning_rate
        )
        self._observed = 0
        self._held: list[Label] = []  # came before the scaler was frozen; no more than it has served
        self._weights: Weights | None = None
        self._named: str | None = None
        self._frozen = False
        self.labels = 0
        self.positives = 0
        self.refused = 0

    @property
    def ready(self) -> bool:
        enough = self.labels >= self._options.min_labels and self.positives >= self._options.min_positives
        # Both sides: a model that has seen no negative yet believes in everybody.
        return enough and self.labels - self.positives >= self._options.min_positives

    @property
    def settled(self) -> bool:
        return self._frozen

    def weights(self) -> Weights:
        if self._weights is None:
            # The mappings are defaultdicts and would take a key on reading; plain copies are read instead.
            means, variances = dict(self._scaler.means), dict(self._scaler.vars)
            weights = self._regression.weights
            self._weights = Weights(
                means=np.array([means.get(name, 0.0) for name in NAMES]),
                scales=np.array([variances.get(name, 0.0) ** 0.5 for name in NAMES]),
                weights=np.array([weights.get(name, 0.0) for name in NAMES]),
                intercept=float(self._regression.intercept),
            )
        return self._weights

    def observe(self, inputs: Matrix) -> None:
        for row in inputs[: max(0, self._options.warm_up - self._observed)]:
            if np.isfinite(row).all():
                self._scaler.learn_one(as_mapping(row.tolist()))
                self._observed += 1
                self._weights = self._named = None
        if self._observed >= self._options.warm_up and not self._frozen:
            self._freeze()

    def learn(self, labels: Sequence[Label]) -> None:
        if not self._frozen:
            self._held += labels
            return
        if not labels:
            return
        inputs = np.array([label.inputs for label in labels], dtype=np.float64)
        # The firewall: one NaN would destroy every weight for ever.
        finite: list[bool] = np.isfinite(inputs).all(axis=1).tolist()  # type: ignore[assignment]  # its stub admits a scalar
        scaled = (
            self.weights().scaled(inputs).tolist()
        )  # what the scaler's transform_one gives, a hundred times as fast
        for label, row, good in zip(labels, scaled, finite, strict=True):
            if not good:
                self.refused += 1
                continue
            self._regression.learn_one(as_mapping(row), label.outcome)
            self.labels += 1
            self.positives += label.outcome
        self._weights = self._named = None

    def predict_one(self, inputs: Sequence[float]) -> float:
        """Return River's own probability for one input: the reference that array scoring is held against."""
        scaled = self._scaler.transform_one(as_mapping(inputs))
        scaled = {name: min(CLIP, max(-CLIP, value)) for name, value in scaled.items()}
        return float(self._regression.predict_proba_one(scaled)[True])

    def _freeze(self) -> None:
        # A spread within the rounding of float32 is no spread: dividing by it would make numbers out of noise. River's
        # scaler gives 0 for a variance of 0, so the feature counts nothing there and here.
        for name, variance in dict(self._scaler.vars).items():
            if variance < LEAST_SCALE**2:
                self._scaler.vars[name] = 0.0
        self._frozen = True
        self._weights = self._named = None
        held, self._held = self._held, []
        self.learn(held)

    @property
    def version(self) -> str:
        if self._named is None:
            canonical = msgspec.json.encode(self._canonical(), order="deterministic")
            self._named = hashlib.sha256(canonical).hexdigest()[:16]
        return self._named

    def state(self) -> dict[str, Any]:
        return {"version": self.version, **self._canonical()}

    def image(self) -> Image:
        scaler, regression = self._scaler, self._regression
        held = self._held
        return Image(
            meta={
                "canonical": self._canonical(),
                "counts": dict(scaler.counts),
                "means": dict(scaler.means),
                "variances": dict(scaler.vars),
                "weights": dict(regression.weights),
                "refused": self.refused,
                "held": told(held),
            },
            arrays={"held": np.array([label.inputs for label in held], np.float32).reshape(-1, len(NAMES))},
        )

    def load(self, image: Image) -> None:
        from river.utils import VectorDict

        meta = image.meta
        canonical = meta["canonical"]
        scaler, regression = self._scaler, self._regression
        scaler.counts.update(meta["counts"])
        scaler.means.update(meta["means"])
        scaler.vars.update(meta["variances"])
        regression._weights = VectorDict(meta["weights"])  # River has no other way in; a test pins it
        regression.intercept = canonical["intercept"]
        regression.optimizer.n_iterations = canonical["iterations"]
        self._observed, self._frozen = canonical["scaler"]["count"], canonical["scaler"]["frozen"]
        self.labels, self.positives, self.refused = (
            canonical["labels"],
            canonical["positives"],
            meta["refused"],
        )
        self._held = labels_of(meta["held"], image.arrays["held"])
        self._weights = self._named = None

    def _canonical(self) -> dict[str, Any]:
        means, variances = dict(self._scaler.means), dict(self._scaler.vars)
        weights = self._regression.weights
        return {
            "kind": "river.StandardScaler|clip|river.LogisticRegression(SGD)",
            "river": RIVER,
            "features_version": FEATURES_VERSION,
            "features": list(NAMES),
            "options": msgspec.to_builtins(self._options),
            "scaler": {
                "count": self._observed,
                "frozen": self._frozen,
                "clip": CLIP,
                "means": [means.get(name, 0.0) for name in NAMES],
                "variances": [variances.get(name, 0.0) for name in NAMES],
            },
            "weights": [weights.get(name, 0.0) for name in NAMES],
            "intercept": float(self._regression.intercept),
            "iterations": int(self._regression.optimizer.n_iterations),
            "labels": self.labels,
            "positives": self.positives,
        }
