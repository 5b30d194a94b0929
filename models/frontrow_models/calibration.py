"""Calibration: what a raw logit z is worth, learnt slowly from mature labels, one more number for each room.

    calibrated logit = a · z + t · ln(1 + e^(z - k)) + b + bias of the room

(Platt 1999, with a bend: ``t`` is what each unit beyond the knee k is worth more, or less. Beta calibration (Kull,
Silva Filho & Flach 2017) has such a bend at z = 0; where one look in thirty succeeds nearly all numbers lie below.)
It comes after the model and never changes the order within a room, since a > 0 and a + t > 0, nor the model's
reasons: the calibrated logit is a sum of the same parts, each times a, and of the bend. Until there are enough labels
of both outcomes it is the identity, while it learns in silence.

**It begins in the belief that high numbers promise too much**: t is -0.4 before anything is known. A linear model that has met few
outcomes adds up what it should not, and on simulated shops of six rooms t came out between -0.15 and -0.7 where it
was begun at
0. Without that belief looks told 0.75 or more came to a third in single rooms, where a first broadcast ends before the bend
is known.

**How it learns.** One label at a time, in order, by a Newton step on the fading log likelihood: with γ = 2^(-1/half-life),
x = (z, 1, ln(1 + e^(z - k))), residual r = y − p, w = p (1 − p), prior N(θ₀ = (1, 0, -0.4), Λ₀⁻¹),

    Λ ← γ (Λ − Λ₀) + Λ₀ + w x xᵀ,      θ ← θ + Λ⁻¹ (r x − (1 − γ) Λ₀ (θ − θ₀)),

(a label that stands for more counts in w and r as many times) and the same in one dimension for a room's bias around
0, which is the shrinkage: a room with few labels has hardly a bias of its own. It needs no rate to be tuned: its
first steps are as large as what is known is little, and later ones are one part in the labels of a half-life.
Rejected: plain gradient steps. A rate slow enough not to follow noise (logits and bias are correlated when outcomes
are rare) had not arrived after 5,000 labels.

**An outcome is one witness.** A viewer who orders had been looked at ten times within the hour: ten positives, which say
one thing. So each label counts 1 / (looks that share an outcome) in w and r; counted in full, a room with two orders
was believed to be a hot one. Measured: daemon/docs/adr/0023-an-outcome-is-one-witness.md.

The labels are an hour old. So the half-life is long: a fast layer would correct today's rooms for what they were.
What a room is worth right now is told by its first outcomes (:mod:`frontrow_models.levels`), and added to what is
shown.
"""

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from frontrow.core.scoring import SATURATED, Matrix, sigmoid

Numbers = NDArray[Any]

LOGIT_BOUND = 8.0  # learnt from as if no raw logit were beyond; one absurd label must not turn the line
SLOPE = (0.25, 4.0)
BIAS = 4.0
ROOM_BIAS = 1.5
ROOMS = 4096  # with a bias of their own; beyond, the one that has had no label for longest is forgotten
KNEE = -2.0  # k: a raw probability of 0.12. At -1 the loss was higher in all of seven shops, at 0 in most
TAIL = -0.4
TAILS = (-4.0, 2.0)
FALLS = 0.9  # t is above -FALLS · a, so that a higher number is never worth less


class CalibrationOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``least`` labels of either outcome must have come before the identity is left.

    ``half_life`` and ``room_half_life`` are in labels, of all rooms and of one. ``spread_*`` are the standard
    deviations of the priors: how far slope, bias, tail and a room's bias are believed to be from 1, 0, ``tail`` and
    0.
    """

    least: Annotated[int, Meta(ge=1)] = 200
    half_life: Annotated[float, Meta(gt=1)] = 20_000.0
    room_half_life: Annotated[float, Meta(gt=1)] = 5_000.0
    spread_slope: Annotated[float, Meta(gt=0)] = 0.25
    spread_bias: Annotated[float, Meta(gt=0)] = 1.0
    tail: Annotated[float, Meta(ge=TAILS[0], le=TAILS[1])] = TAIL
    spread_tail: Annotated[float, Meta(gt=0)] = 0.25
    spread_room: Annotated[float, Meta(gt=0)] = 0.2


_USUAL = CalibrationOptions()
_SPREADS = _USUAL.spread_slope, _USUAL.spread_bias, _USUAL.spread_tail


# The sums of w z² and their like, faded: 1e5 for labels that stand for one look each. Far below what rounding in three
# steps of elimination could make of a sum of squares.
MOST_KNOWN = 1e10
Finite = Annotated[float, Meta(ge=-1e18, le=1e18)]  # which NaN is not
Count = Annotated[int, Meta(ge=0, le=1 << 53)]


class CalibratorState(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What :meth:`Calibrator.state` gives, as it must be where it comes from a file."""

    slope: Annotated[float, Meta(ge=SLOPE[0], le=SLOPE[1])]
    bias: Annotated[float, Meta(ge=-BIAS, le=BIAS)]
    known: tuple[Finite, Finite, Finite]
    rooms: Annotated[
        list[tuple[str, Annotated[float, Meta(ge=-ROOM_BIAS, le=ROOM_BIAS)], Annotated[float, Meta(ge=0)]]],
        Meta(max_length=ROOMS),
    ]
    labels: Count
    positives: Count
    refused: Count
    # Older versions have neither, and go on as they were.
    tail: Annotated[float, Meta(ge=TAILS[0], le=TAILS[1])] = 0.0
    known_tail: tuple[Finite, Finite, Finite] = (0.0, 0.0, 0.0)

    @property
    def wrong(self) -> str | None:
        """Why no calibrator can have been in this state, as the end of a sentence; None: one can."""
        if self.positives > self.labels:
            return f"has {self.positives} positives among {self.labels} labels"
        if self.slope + self.tail <= 0.0:
            return "would give a higher number a lower probability"
        k0, k1, k2 = self.known
        t0, t1, t2 = self.known_tail
        if max(map(abs, (*self.known, *self.known_tail))) > MOST_KNOWN or min(k0, k2, t2) < 0.0:
            return "knows what no labels can have taught"
        # A sum of w x xᵀ: with what is believed beforehand added, no pivot is below that belief. Half of it is left
        # to rounding, so that the next step divides by nothing near 0.
        slope, bias, tail = (spread**-2.0 for spread in _SPREADS)
        d0 = k0 + slope
        d1 = k2 + bias - k1 * k1 / d0
        if d1 >= bias / 2.0:
            l3 = (t1 - t0 * k1 / d0) / d1
            if t2 + tail - t0 * t0 / d0 - l3 * l3 * d1 >= tail / 2.0:
                return None
        return "knows what no labels can have taught (its information is no sum of squares)"


@dataclass(frozen=True, slots=True)
class Calibration:
    """An immutable copy of the map, to be read by anybody. ``enough`` is False while it is the identity for want of labels."""

    slope: float = 1.0
    bias: float = 0.0
    rooms: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    enough: bool = False
    tail: float = 0.0

    def bends(self, raw: Matrix) -> Matrix:
        """Return what the bend adds to the sloped logit in each row; shape (rows,)."""
        with np.errstate(invalid="ignore"):  # of a broken model it is NaN, which the guard finds
            result: Matrix = self.tail * np.logaddexp(0.0, raw - KNEE)
        return result

    def biases(self, rooms: Sequence[str]) -> Matrix:
        """Return what else is added in each row: the bias and the room's own; shape (rows,)."""
        own = self.rooms
        if not own:
            return np.full(len(rooms), self.bias)
        return np.array([self.bias + own.get(room, 0.0) for room in rooms], np.float64)

    def logits(self, raw: Matrix, rooms: Sequence[str], levels: Matrix | float = 0.0) -> Matrix:
        """Return the calibrated logit of each raw one; shape (rows,). ``levels`` is what else its room is worth now."""
        result: Matrix = self.slope * raw + self.bends(raw) + (self.biases(rooms) + levels)
        return result

    def probabilities(self, raw: Matrix, rooms: Sequence[str], levels: Matrix | float = 0.0) -> Matrix:
        """Return the calibrated probability of each raw logit: the number to rank, learn and judge by, always there."""
        return sigmoid(self.logits(raw, rooms, levels))

    def shown(self, raw: Matrix, rooms: Sequence[str]) -> Matrix | None:
        """Return :meth:`probabilities`, or None while there is not enough data to show a number to anybody."""
        return self.probabilities(raw, rooms) if self.enough else None


def raw_logits(probabilities: Numbers) -> Matrix:
    """Return the logit of raw probabilities as served, within ± :data:`SATURATED`, where River says exactly 0 or 1."""
    p = np.asarray(probabilities, np.float64)
    with np.errstate(divide="ignore"):
        result: Matrix = np.clip(np.log(p) - np.log1p(-p), -SATURATED, SATURATED)
    return result


class Calibrator:
    """Learns a :class:`Calibration`. One owner calls ``learn``; what ``calibration`` returns may go anywhere."""

    def __init__(self, options: CalibrationOptions | None = None) -> None:
        self._options = chosen = options or CalibrationOptions()
        self._keep, self._room_keep = 0.5 ** (1.0 / chosen.half_life), 0.5 ** (1.0 / chosen.room_half_life)
        self._priors = (
            chosen.spread_slope**-2.0,
            chosen.spread_bias**-2.0,
            chosen.spread_tail**-2.0,
            chosen.spread_room**-2.0,
        )
        self._slope, self._bias, self._tail = 1.0, 0.0, chosen.tail
        self._known = [0.0, 0.0, 0.0]  # Λ − Λ₀: slope², slope·bias, bias²
        self._known_tail = [0.0, 0.0, 0.0]  # slope·tail, bias·tail, tail²
        self._rooms: OrderedDict[str, tuple[float, float]] = (
            OrderedDict()
        )  # bias and what is known of it; longest quiet first
        self._current: Calibration | None = None
        self.labels = self.positives = self.refused = 0

    @property
    def enough(self) -> bool:
        """Whether there are enough labels of both outcomes to leave the identity."""
        return min(self.positives, self.labels - self.positives) >= self._options.least

    @property
    def calibration(self) -> Calibration:
        """What to serve with now."""
        if self._current is None:
            own = {room: bias for room, (bias, _) in self._rooms.items()}
            self._current = (
                Calibration(self._slope, self._bias, MappingProxyType(own), True, self._tail)
                if self.enough
                else Calibration()
            )
        return self._current

    def learn(
        self,
        rooms: Sequence[str],
        raw: Matrix,
        outcomes: Numbers,
        weights: Numbers | None = None,
        *,
        shared: float = 1.0,
    ) -> None:
        """Take mature labels in order, each with its room and the raw logit as served; the cut into calls is nothing.

        Each stands for its weight, None: 1. ``shared`` looks have an outcome in common. A logit that is not finite is
        refused and counted.
        """
        counts = (np.ones(len(raw)) if weights is None else weights) / shared
        good = np.isfinite(raw)
        self.refused += len(good) - int(np.count_nonzero(good))
        z = np.clip(raw, -LOGIT_BOUND, LOGIT_BOUND)[good].tolist()
        named = rooms if good.all() else [room for room, finite in zip(rooms, good, strict=True) if finite]
        self._steps(named, z, np.asarray(outcomes, bool)[good].tolist(), counts[good].tolist())
        self._current = None

    def state(self) -> dict[str, Any]:
        """Return the state as JSON values; rooms in the order in which they would be forgotten."""
        return {
            "slope": self._slope,
            "bias": self._bias,
            "known": list(self._known),
            "rooms": [[room, bias, known] for room, (bias, known) in self._rooms.items()],
            "labels": self.labels,
            "positives": self.positives,
            "refused": self.refused,
            "tail": self._tail,
            "known_tail": list(self._known_tail),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over a state."""
        self._slope, self._bias, self._known = state["slope"], state["bias"], list(state["known"])
        self._rooms = OrderedDict((room, (bias, known)) for room, bias, known in state["rooms"])
        self.labels, self.positives, self.refused = state["labels"], state["positives"], state["refused"]
        self._tail, self._known_tail = state.get("tail", 0.0), list(state.get("known_tail", (0.0, 0.0, 0.0)))
        self._current = None

    def _steps(
        self, rooms: Sequence[str], logits: Sequence[float], outcomes: Sequence[bool], counts: Sequence[float]
    ) -> None:
        known, exp, log1p, (least, most) = self._rooms, math.exp, math.log1p, SLOPE
        keep, room_keep, believed = self._keep, self._room_keep, self._options.tail
        prior_slope, prior_bias, prior_tail, prior_room = self._priors
        forget_slope, forget_bias = (1.0 - keep) * prior_slope, (1.0 - keep) * prior_bias
        forget_tail, forget_room = (1.0 - keep) * prior_tail, (1.0 - room_keep) * prior_room
        slope, bias, (k0, k1, k2) = self._slope, self._bias, self._known
        tail, (t0, t1, t2) = self._tail, self._known_tail
        for room, z, outcome, count in zip(rooms, logits, outcomes, counts, strict=True):
            own, own_known = known.pop(room, (0.0, 0.0))
            over = log1p(exp(z - KNEE))  # within bounds, as z is
            p = 1.0 / (1.0 + exp(-(slope * z + tail * over + bias + own)))
            residual, w = count * (outcome - p), count * p * (1.0 - p)

            k0, k1, k2 = keep * k0 + w * z * z, keep * k1 + w * z, keep * k2 + w
            t0, t1, t2 = keep * t0 + w * z * over, keep * t1 + w * over, keep * t2 + w * over * over
            to_slope = residual * z - forget_slope * (slope - 1.0)
            to_bias = residual - forget_bias * bias
            to_tail = residual * over - forget_tail * (tail - believed)
            # Λ = L D Lᵀ, positive definite as a sum of two such.
            d0 = k0 + prior_slope
            l1, l2 = k1 / d0, t0 / d0
            d1 = k2 + prior_bias - l1 * k1
            l3 = (t1 - l2 * k1) / d1
            d2 = t2 + prior_tail - l2 * t0 - l3 * l3 * d1
            to_bias -= l1 * to_slope
            to_tail -= l2 * to_slope + l3 * to_bias
            step_tail = to_tail / d2
            step_bias = to_bias / d1 - l3 * step_tail
            slope += to_slope / d0 - l1 * step_bias - l2 * step_tail
            bias += step_bias
            tail += step_tail
            if not (least <= slope <= most and -BIAS <= bias <= BIAS):
                slope, bias = min(most, max(least, slope)), min(BIAS, max(-BIAS, bias))
            tail = min(TAILS[1], max(-FALLS * slope, tail))

            own_known = room_keep * own_known + w
            own += (residual - forget_room * own) / (own_known + prior_room)
            if not -ROOM_BIAS <= own <= ROOM_BIAS:
                own = min(ROOM_BIAS, max(-ROOM_BIAS, own))
            known[room] = (own, own_known)  # now the last to be forgotten
            if len(known) > ROOMS:
                known.popitem(last=False)
        self._slope, self._bias, self._known = slope, bias, [k0, k1, k2]
        self._tail, self._known_tail = tail, [t0, t1, t2]
        self.labels += len(logits)
        self.positives += sum(outcomes)
