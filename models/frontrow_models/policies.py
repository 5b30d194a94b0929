"""Label policies: how much each lesson weighs, so that early labels teach what final ones would.

An outcome may come long after its snapshot was served. To wait until all is known costs, in rooms that change by the
minute, more than anything else; so a snapshot is learnt as it stands after a window, and again as a positive if its
outcome comes later. What is learnt from is then not what is true: positives stand beside negatives that they were
once taken for. The policy weighs the lessons so that their expectation is the true loss (elapsed-time sampling: Yang
et al., "Capturing Delayed Feedback in Conversion Rate Prediction via Elapsed-Time Sampling", AAAI 2021, arXiv
2012.03245). With p the chance of the outcome within the horizon, F the share of outcomes that come within the window,
and d = p(1 - F): positives 1 + d, negatives (1 + d)(1 - p) / (1 - pF). p is the model's own, from before the lessons
are learnt; F is each snapshot's own, since its window was drawn by it (:func:`frontrow.core.lessons.window_of`), and
so known from the first lesson on. Rejected: one window of two minutes for all, with the weights of Ktena et al.
(RecSys 2019, arXiv 1907.06558) until F is known (daemon/docs/adr/0029-each-look-has-a-window-of-its-own.md).

What is taken back is undone: a withdrawn lesson is a positive of *negative* weight, the step that was made reversed
at the model's present p. Then what was learnt of a snapshot whose order is refunded is what it would have been
without the order, for any kind of viewer, and p is the chance of an outcome that is kept. Rejected: one more
negative, which in rooms where one look in a hundred succeeds undoes a hundredth of a positive; and lowering all
positives by the usual share of refunds, which never learns who it is that gives back.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from frontrow.core.lessons import Lessons, Stage
from frontrow_models.evaluation.distinct import Distinct

MOST = 3.0  # no lesson weighs more: a model that is far off must not throw itself further
KNOWN_AFTER = 100.0  # mature positives, faded, from which on F is believed
FORGET_AFTER = (
    2_000.0  # mature positives after which a former one counts 1/e: delays change from season to season
)
# Looks that share an outcome, before any was heard of, and how many outcomes that belief is worth.
SHARED, SHARED_KNOWN = 5.0, 5.0
# Outcomes that are known again. All looks of one are told of at one time, in turn with those of others that came at
# the very same time.
AT_ONCE = 256

Weights = NDArray[np.float64]


def elapsed(probability: Weights, outcome: NDArray[np.bool_], within: Weights) -> Weights:
    """Return the weight of each lesson; ``within`` is F, the share of its outcomes that come within its window.

    All arguments and the result have one number per lesson.
    """
    again = 1.0 + probability * (1.0 - within)
    # 1 - pF is 0 only where p and F are 1, and then 1 - p is 0 as well.
    certain = np.maximum(1.0 - probability * within, 1e-12)
    weights: Weights = np.where(outcome, again, again * (1.0 - probability) / certain)
    return np.minimum(weights, MOST)


class DelayState(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What :meth:`DelayPolicy.state` gives, as it must be where it comes from a file."""

    window_ms: Annotated[int, Meta(ge=0)]
    positives: Annotated[float, Meta(ge=0, le=1e18)]
    within: Annotated[float, Meta(ge=0, le=1e18)]
    looks: Annotated[float, Meta(ge=0, le=1e18)] = 0.0
    outcomes: Annotated[float, Meta(ge=0, le=1e18)] = 0.0
    last: Annotated[int, Meta(ge=-1)] = -1  # older versions tell it; it is of their joiner


class DelayPolicy:
    """How much lessons weigh, how soon outcomes come, and how many looks share one."""

    def __init__(self, window_ms: int) -> None:
        """``window_ms`` is the joiner's shortest window."""
        self._window_ms = window_ms
        self._positives = 0.0  # mature ones, faded by their number
        self._within = 0.0  # of them, those whose outcome came within the window
        self._looks = self._outcomes = 0.0  # positives and the outcomes that they had, faded by the latter
        self._heard = Distinct(AT_ONCE)  # causes
        self._newest = self._final = -1  # the last snapshot that was observed, and that is final

    @property
    def soon(self) -> float | None:
        """The share of outcomes that come within the shortest window; None while too few are mature."""
        return self._within / self._positives if self._positives >= KNOWN_AFTER else None

    @property
    def shared(self) -> float:
        """How many looks have one outcome in common, at least 1: as witnesses of what a number is worth they are one."""
        return max(1.0, (SHARED_KNOWN * SHARED + self._looks) / (SHARED_KNOWN + self._outcomes))

    @property
    def waiting(self) -> int:
        """How many looks wait for their outcomes, about: those observed since the last one that is final."""
        return max(0, self._newest - self._final)

    @property
    def counted(self) -> tuple[int, int, list[int]]:
        """The numbers behind :attr:`waiting`, and the last causes: of this joiner, so no part of what a version knows of delays."""
        return self._newest, self._final, self._heard.state().tolist()

    @counted.setter
    def counted(self, numbers: tuple[int, int, Sequence[int]]) -> None:
        self._newest, self._final, causes = numbers
        self._heard.load(len(causes), np.array(causes, np.int64))

    @staticmethod
    def steps(probability: Weights, lessons: Lessons) -> tuple[NDArray[np.bool_], Weights]:
        """Return what is to be learnt of lessons that are not final: the outcome of each, and its weight.

        ``probability`` is the model's before it learns them.

        What was withdrawn is a positive of negative weight: see above. Whatever stands for more than :data:`MOST`
        counts as so many: all of one time stand for as many, so that only the pace is bounded, and yes and no alike.
        """
        withdrawn = lessons.stage == Stage.WITHDRAWN
        outcome: NDArray[np.bool_] = lessons.outcome | withdrawn
        stands_for = np.minimum(lessons.weight.astype(np.float64), MOST)
        return outcome, np.where(withdrawn, -stands_for, stands_for) * elapsed(
            probability, outcome, lessons.within.astype(np.float64)
        )

    def hear(self, lessons: Lessons) -> None:
        """Take note of how many looks an outcome is heard for, of lessons that are not final: all of one outcome come together."""
        observed = lessons.snapshot[lessons.stage == Stage.OBSERVED]
        if len(observed):
            if self._newest < 0:  # whoever comes in the middle counts from there
                self._final = max(self._final, int(observed[0]) - 1)
            self._newest = max(
                self._newest, int(observed.max())
            )  # not in order: each has a window of its own
        fade = 1.0 - 1.0 / FORGET_AFTER
        for cause in lessons.cause[lessons.outcome].tolist():  # one by one, so that no cut into batches shows
            if cause < 0 or self._heard.add(cause):
                self._looks, self._outcomes = self._looks * fade, self._outcomes * fade + 1.0
            self._looks += 1.0

    def see(self, lessons: Lessons) -> None:
        """Take note of the delays of mature lessons. Only whole cohorts tell of delays: early ones lack the late."""
        which = lessons.outcome & (lessons.stage == Stage.MATURE)
        final = lessons.snapshot[lessons.stage == Stage.MATURE]
        if len(final):
            self._final = max(self._final, int(final[-1]))
        early, stands_for = lessons.delay_ms[which] <= self._window_ms, lessons.weight[which]
        fade = 1.0 - 1.0 / FORGET_AFTER
        # One by one, so that no cut into batches shows.
        for within, weight in zip(early.tolist(), stands_for.tolist(), strict=True):
            self._positives = self._positives * fade + weight
            self._within = self._within * fade + within * weight

    def state(self) -> dict[str, Any]:
        """Return the state as JSON values; :meth:`load` takes it over."""
        return {
            "window_ms": self._window_ms,
            "positives": self._positives,
            "within": self._within,
            "looks": self._looks,
            "outcomes": self._outcomes,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take over the state of a policy with the same window; what is counted of a joiner stays."""
        self._positives, self._within = state["positives"], state["within"]
        self._looks, self._outcomes = state.get("looks", 0.0), state.get("outcomes", 0.0)


class Outage:
    """Whether labels still arrive. No outcome in any room for long is a broken feed, not a thousand negatives.

    At the rate of outcomes so far, those that are missing since the last one would number :attr:`missing`; the chance
    that none of them came is exp(-missing), and beyond :data:`SILENCE` that is no chance. The rate is counted, not
    the model's, which may be far off when it has just begun; and in outcomes, not in positives: one order after five
    snapshots is one. The silence is counted in looks as they are taken, not as they are told, which goes on for an
    hour when a broadcast is over and nobody can order any more.
    """

    SILENCE = 15.0  # e**-15 is three in ten million
    KNOWN_AFTER = 20  # outcomes from which on their rate is believed
    FORGET_AFTER = 50_000.0  # looks after which a former one counts 1/e

    def __init__(self) -> None:
        self._looks = self._outcomes = 0.0  # faded
        self._taken = 0  # looks that are not among these yet
        self._heard = Distinct(AT_ONCE)  # causes
        self._quiet = 0  # looks since the last outcome
        self.held_back = 0  # negatives that were not to be learnt

    @property
    def missing(self) -> float:
        """How many outcomes there should have been since the last one; 0 while their rate is not known."""
        known = self._heard.count >= self.KNOWN_AFTER
        return self._quiet * self._outcomes / max(self._looks, 1.0) if known else 0.0

    def look(self, count: int) -> None:
        """Take note of so many looks that were taken."""
        self._taken += count
        self._quiet += count

    @property
    def frozen(self) -> bool:
        """Whether negatives teach nothing now."""
        return self.missing > self.SILENCE

    def learnable(
        self, cause: NDArray[np.int64], stage: NDArray[np.uint8] | None = None
    ) -> NDArray[np.bool_]:
        """Return which of these lessons that are not final may be learnt, in order, and count them.

        ``cause`` numbers the outcome of each, below 0 for none. What was withdrawn (by ``stage``) always may, and says
        nothing of a silence.
        """
        frozen = self.frozen
        if not frozen:  # what an outage shows says nothing of the rate
            keep = (1.0 - 1.0 / self.FORGET_AFTER) ** self._taken
            self._looks = self._looks * keep + self._taken
            self._outcomes *= keep
        self._taken = 0
        taken = np.ones(len(cause), np.bool_)
        counted = np.arange(len(cause)) if stage is None else np.flatnonzero(stage != Stage.WITHDRAWN)
        # One by one, so that no cut into batches shows.
        for position, number in zip(counted.tolist(), cause[counted].tolist(), strict=True):
            if number >= 0:
                self._outcomes += self._heard.add(number)
                self._quiet = 0
                frozen = False  # an outcome ends every silence
            elif frozen:
                taken[position] = False
                self.held_back += 1
        return taken

    def state(self) -> dict[str, Any]:
        """Return the state as JSON values; :meth:`load` takes it over."""
        return {
            "looks": self._looks,
            "outcomes": self._outcomes,
            "taken": self._taken,
            "heard": self._heard.count,
            "causes": self._heard.state().tolist(),
            "quiet": self._quiet,
            "held_back": self.held_back,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take over a state."""
        self._looks, self._outcomes, self._taken = state["looks"], state["outcomes"], state["taken"]
        self._heard.load(state["heard"], np.array(state["causes"], np.int64))
        self._quiet = state["quiet"]
        self.held_back = state["held_back"]
