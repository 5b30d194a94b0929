"""The learner: the champion with all that makes it honest, behind the engine's port.

A River model learns from fresh lessons, weighed by the label policy; what it says is calibrated on final outcomes;
all that was shown is judged by the outcome it turned out to have; and a guard puts the last good state back at once
when something breaks. All of it is computed from lessons in order, so a replay gives the same weights, alarms and
figures.

A promotion puts a version in the place of all that was learnt. From then on that is judged by what it has served
itself, and what the guard goes back to is what served well before, whichever version that came from. A version of
another outcome than the one that is taught has not served well before it has been judged by this one.

Challengers are not here: they run beside (:mod:`frontrow_models.arena`) and cannot slow this down.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from frontrow.core.features import NAMES
from frontrow.core.images import Image
from frontrow.core.lessons import Lessons, Stage
from frontrow.core.scoring import Matrix, Weights, sigmoid
from frontrow_models.calibration import CalibrationOptions, Calibrator
from frontrow_models.evaluation.alike import Alike
from frontrow_models.evaluation.baselines import BaseRate
from frontrow_models.evaluation.guard import Alarm, Guard, GuardOptions
from frontrow_models.evaluation.rolling import Report, Rolling, Rows, report
from frontrow_models.levels import RoomLevels
from frontrow_models.online import NEUTRAL, ModelOptions, OnlineModel
from frontrow_models.policies import DelayPolicy, Outage
from frontrow_models.reasons import Explanation, explain
from frontrow_models.served import LOGITS, SERVED
from frontrow_models.versions import Card, Outcome, Position, Version, fits, from_version, to_version

KEPT_EVERY_MS = 600_000  # engine time between two states that may be gone back to
KEPT = 64  # of them at most; then every second one goes
PROVEN_AFTER = 2  # calm windows of the guard, wholly served since a state was kept, after which it is good
# Rooms jump: what a hundred outcomes of one of them say within minutes is not yet that the model is wrong.
GUARD = GuardOptions(outcomes=300)
ALARMS = 20  # that are remembered
RECENT = NAMES.index("comments_1m")
LEFT = NAMES.index("hour_left_pct")
WHOLE = NEUTRAL["hour_left_pct"]

# Gives the version of a name at once, or None where its promotion is to be passed over; raises FrontrowError if there
# is none.
Versions = Callable[[str], Version | None]


class Good(NamedTuple):
    """A state that may be gone back to. ``leads`` is the version that it has come from, None: none."""

    online: Image
    calibrator: dict[str, Any]
    leads: str | None
    as_it_is: bool


def no_versions(_name: str) -> Version | None:
    """Pass every promotion over: for whoever tries out options on a journal that has seen promotions."""
    return None


class Learner:
    """Fits :class:`frontrow.core.ports.Model`. Not thread-safe: one owner serves and learns."""

    columns = len(SERVED)

    def __init__(
        self,
        options: ModelOptions,
        *,
        window_ms: int,
        versions: Versions = no_versions,
        outcome: Outcome | None = None,
    ) -> None:
        """``window_ms`` is the joiner's shortest window; ``versions`` are those that promotions name.

        ``outcome`` is what lessons tell of, for the versions that it becomes; None: they do not say.
        """
        self.outcome = outcome
        self._window_ms = window_ms
        self._versions = versions
        self._online = OnlineModel(options)
        self._policy = DelayPolicy(window_ms)
        self._outage = Outage()
        self._calibrator = self._new_calibrator()
        self._levels = RoomLevels()
        self._base = BaseRate()
        self._rolling = Rolling(SERVED)
        self._guard = Guard(GUARD)
        self.leads: str | None = None  # the version that all this has come from; None: it began by itself
        # What leads was learnt for another outcome, and no calm windows of this one have judged it yet.
        self.foreign = False
        self.since = 0  # what was served before was said by another model; engine time, UTC ms
        self._as_it_is = False  # its raw number is shown until it is calibrated: the promoted version says so
        # The last promoted version as it was then; None: there was none, or it was of another outcome.
        self._begun: Good | None = None
        self._good: Good | None = None  # what is gone back to
        self._kept: list[tuple[int, Good]] = []  # what may become that, and since when (engine time)
        self._calm: list[int] = []  # when that was served at which the guard's last windows ended
        self._windows = 0
        self._heard_at = 0  # when the newest lesson of those that are being learnt was resolved
        self.alarms: list[Alarm] = []  # the last ones, oldest first
        self.alarmed = 0  # how many there were
        self.rollbacks = 0

    @property
    def labels(self) -> int:
        return self._online.labels

    @property
    def positives(self) -> int:
        return self._online.positives

    @property
    def final(self) -> int:
        return self._calibrator.labels

    @property
    def final_positives(self) -> int:
        return self._calibrator.positives

    @property
    def refused(self) -> int:
        """Lessons that were not learnt, as their numbers were not finite."""
        return self._online.refused

    @property
    def ready(self) -> bool:
        # Both: enough to have learnt from, and enough final outcomes to know what the numbers are worth.
        return self._online.ready and (self._calibrator.enough or self._as_it_is)

    @property
    def version(self) -> str:
        return self._online.version

    @property
    def frozen(self) -> bool:
        """Whether outcomes have stopped arriving, so that negatives are not learnt."""
        return self._outage.frozen

    def weights(self) -> Weights:
        return self._online.weights()

    def probabilities(self, logits: Matrix, rooms: Sequence[str]) -> Matrix:
        return self._calibrator.calibration.probabilities(logits, rooms, self._level(rooms))

    def serve(
        self, inputs: Matrix, rooms: Sequence[str], points: NDArray[np.int64], at: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        self._outage.look(len(inputs))
        if self._outage.frozen:
            self._levels = RoomLevels()  # what is heard of again was not expected in between
        served = np.empty((len(inputs), len(SERVED)), np.float32)
        logits, hour = np.empty(len(inputs)), np.empty(len(inputs))
        planned = inputs[:, LEFT] < WHOLE - 1e-9
        begin = 0
        while begin < len(inputs):  # in parts between which the scaler is taken over
            part = slice(begin, begin + self._online.unchanged_for)
            weights = self._online.weights()
            hour[part] = logits[part] = weights.logits(inputs[part])
            if planned[part].any():
                whole = inputs[part].copy()
                whole[:, LEFT] = WHOLE
                hour[part] = weights.logits(whole)
            self._online.observe(inputs[part])
            begin = part.stop
        calibration, levels = self._calibrator.calibration, np.zeros(len(inputs))
        if self._follows:
            soon = calibration.probabilities(hour, rooms) * (self._policy.soon or 0.0)
            levels = self._levels.expect(rooms, soon, at)
        # A model that is not shown to anybody promises nothing, and is not to be judged by it.
        ready = self.ready
        served[:, 0] = calibration.logits(logits, rooms, levels) if ready else np.nan
        served[:, 1] = logits
        served[:, 2] = self._base.rate
        served[:, 3] = points
        served[:, 4] = inputs[:, RECENT]
        if ready:
            self._hear(self._guard.served(served[:, 0]))
        return served

    def learn(self, lessons: Lessons) -> None:
        if len(lessons):
            self._heard_at = int(lessons.resolved_at[-1])
            self._levels.fade(self._heard_at)
        final = lessons.stage == Stage.MATURE
        # What is final was served an hour ago: nothing that is learnt here was known when it was said.
        if final.any():
            self._judge(lessons.take(final))
            lessons = lessons.take(~final)
        self._teach(lessons)

    def promote(self, version: str, at: int) -> None:
        found = self._versions(version)
        if found is None:
            return
        if self._good is None and self.ready and not self.foreign:
            self._good = self._present()  # not proven, but it was shown until now, and no alarm was given
        self._online = from_version(found)
        self._calibrator = self._new_calibrator()
        if found.calibration is not None:
            self._calibrator.load(found.calibration)
        self._as_it_is = found.calibration is None
        if self.can_take_delays(found):
            self._policy.load(found.label_policy)
        self.leads, self.foreign = version, not fits(found.outcome, self.outcome)
        self._begun = None if self.foreign else self._present()
        self._watch_anew(at)

    def can_take_delays(self, version: Version) -> bool:
        """Return whether a version's label policy is of this shortest window.

        Of another its share of outcomes that come within would be of something else.
        """
        return version.label_policy.get("window_ms") == self._window_ms

    def as_version(self, journal: Position, *, card: Card | None = None) -> Version:
        """Return the version that it is now: a child of the one that it came from. Raises VersionRefused."""
        uncalibrated = self._as_it_is and not self._calibrator.enough
        return to_version(
            self._online,
            journal=journal,
            parents=[] if self.leads is None else [self.leads],
            label_policy=self._policy.state(),
            calibration=None if uncalibrated else self._calibrator.state(),
            card=card,
            outcome=self.outcome,
        )

    def report(self, *, waiting: int = 0) -> Report:
        """Judge all that was served over the window of the last final outcomes; ``waiting`` have none yet."""
        return self._rolling.report(waiting=waiting)

    def judging(self, *, waiting: int = 0) -> Callable[[], Report]:
        """Return what makes :meth:`report` of this moment, in any thread: it takes some hundred milliseconds."""
        return partial(report, SERVED, self._rolling.rows(), waiting=waiting, final=self._rolling.seen)

    def judging_alike(self) -> Callable[[], Alike]:
        """Return what tells how those turned out whom it told about the same, as of now, made in any thread.

        What an earlier champion told is another promise, and counts nowhere.
        """
        rows = self._rolling.rows()
        rows = rows.at(rows.served_at >= self.since)
        return partial(Alike, rows.served[:, 0], rows.outcomes, rows.causes)

    def explain(self, inputs: Matrix, room: str) -> Explanation:
        """Return the reasons of one row of ``inputs``, shape (1, features), in its room, as it would be shown now."""
        calibration, level = self._calibrator.calibration, float(self._level([room])[0])
        return explain(self._online.weights(), calibration, inputs, room, level)

    def state(self) -> dict[str, Any]:
        return self._online.state() | {
            "leads": self.leads,
            "calibration": self._calibrator.state(),
            "label_policy": self._policy.state(),
        }

    def _teach(self, lessons: Lessons) -> None:
        if not len(lessons):
            return
        believed = self._online.weights().probabilities(lessons.inputs.astype(np.float64))
        early = lessons.stage == Stage.OBSERVED
        self._policy.hear(lessons)
        if self._online.ready:
            self._hear(
                self._guard.observed(
                    believed[early], lessons.outcome[early], lessons.within[early].astype(np.float64)
                )
            )
        if self._follows:
            soon = lessons.take(lessons.outcome & (lessons.delay_ms <= self._window_ms))
            self._levels.hear(soon.room.tolist(), soon.weight, soon.resolved_at, soon.served_at)
        learnable = self._outage.learnable(lessons.cause, lessons.stage)
        outcomes, weights = self._policy.steps(believed, lessons)
        self._online.learn(
            lessons.inputs[learnable], outcomes[learnable], weights[learnable], looks=self._policy.waiting
        )
        self._hear(self._guard.weights(self._online.numbers()))

    def _judge(self, lessons: Lessons) -> None:
        if not len(lessons):
            return
        served = lessons.served.astype(np.float64)
        # What the model of now says of them: what it said an hour ago tells what its numbers were worth then.
        raw = self._online.weights().logits(lessons.inputs.astype(np.float64))
        self._calibrator.learn(
            lessons.room.tolist(), raw, lessons.outcome, lessons.weight, shared=self._policy.shared
        )
        served[:, :LOGITS] = sigmoid(served[:, :LOGITS])
        self._base.learn(lessons.outcome, lessons.weight)
        self._policy.see(lessons)
        self._rolling.add(Rows.of(served, lessons))
        told = np.isfinite(served[:, 0]) & (lessons.served_at >= self.since)
        if told.any():
            shown = lessons.take(told)
            self._hear(self._guard.matured(served[told, 0], shown.outcome, shown.cause))
            self._keep_good(int(shown.resolved_at[-1]), int(shown.served_at[-1]))

    @property
    def _follows(self) -> bool:
        """Whether what comes of looks at once can be held against what is expected of them."""
        return self._calibrator.enough and self._policy.soon is not None and not self._outage.frozen

    def _level(self, rooms: Sequence[str]) -> Matrix:
        # Where outcomes have stopped arriving a room without them is no worse than others.
        return self._levels.of(rooms) if self._follows else np.zeros(len(rooms))

    def _new_calibrator(self) -> Calibrator:
        # As few as the model is shown after: its intercept moves slowly, and it is this that makes it true.
        return Calibrator(CalibrationOptions(least=max(1, self._online.options.min_positives)))

    def _keep_good(self, now: int, served_at: int) -> None:
        if self._guard.windows > self._windows:
            self._windows = self._guard.windows
            self._calm = [*self._calm, served_at][-PROVEN_AFTER - 1 :]
            if len(self._calm) > PROVEN_AFTER:
                proven = [good for since, good in self._kept if since <= self._calm[0]]
                if proven:
                    self._good, self.foreign = proven[-1], False
                self._kept = self._kept[max(0, len(proven) - 1) :]
        if not self._kept or now >= self._kept[-1][0] + KEPT_EVERY_MS:
            self._kept.append((now, self._present()))
            self._kept = self._kept[::2] if len(self._kept) > KEPT else self._kept

    def _hear(self, alarms: Sequence[Alarm]) -> None:
        self.alarms = [*self.alarms, *alarms][-ALARMS:]
        self.alarmed += len(alarms)
        if not any(alarm.roll_back for alarm in alarms):
            return
        self.rollbacks += 1
        broken = any(alarm.kind != "calibration" for alarm in alarms if alarm.roll_back)
        back = self._good or (self._begun if broken else None)
        if back is not None:
            self._go_back(back)
        else:
            if broken:
                self._online = OnlineModel(self._online.options)  # and it never served well for long
                self.leads, self.foreign = None, False
            # Else it only promises wrongly: it is shown again when it is calibrated anew.
            self._calibrator, self._as_it_is = self._new_calibrator(), False
        self._watch_anew(max(self.since, self._heard_at + 1))

    def _present(self) -> Good:
        return Good(self._online.image(), self._calibrator.state(), self.leads, self._as_it_is)

    def _go_back(self, to: Good) -> None:
        self._online = OnlineModel.of(to.online)
        self._calibrator = self._new_calibrator()
        self._calibrator.load(to.calibrator)
        self.leads, self._as_it_is, self.foreign = to.leads, to.as_it_is, False

    def _watch_anew(self, since: int) -> None:
        """Judge from now on only what is served at ``since`` or later: the rest was said by another model."""
        self.since = since
        self._levels = RoomLevels()  # what was expected was another model's
        self._guard, self._windows = Guard(GUARD), 0
        self._kept, self._calm = [], []

    # ------------------------------------------------------------------ keeping

    def images(self) -> dict[str, Image]:
        held = [*filter(None, (self._begun, self._good)), *(good for _, good in self._kept)]
        own = Image(
            meta={
                "policy": self._policy.state(),
                "counted": self._policy.counted,
                "outage": self._outage.state(),
                "calibrator": self._calibrator.state(),
                "levels": self._levels.state(),
                "base": self._base.state(),
                "leads": self.leads,
                "foreign": self.foreign,
                "since": self.since,
                "as_it_is": self._as_it_is,
                "calm": list(self._calm),
                "windows": self._windows,
                "rollbacks": self.rollbacks,
                "alarmed": self.alarmed,
                "alarms": msgspec.to_builtins(self.alarms),
                "held": [list(good[1:]) for good in held],
                "begun": self._begun is not None,
                "proven": self._good is not None,
                "kept": [since for since, _ in self._kept],
            }
        )
        return {
            "learner": own,
            "online": self._online.image(),
            "rolling": self._rolling.image(),
            **{f"held.{index}": good.online for index, good in enumerate(held)},
            **self._guard.image(),
        }

    def load(self, images: Mapping[str, Image]) -> None:
        meta = images["learner"].meta
        self._online = OnlineModel.of(
            images["online"]
        )  # a promotion or the guard may have changed its options
        self._policy.load(meta["policy"])
        newest, final, causes = meta["counted"]
        self._policy.counted = (newest, final, causes)
        self._outage.load(meta["outage"])
        self._calibrator = self._new_calibrator()
        self._calibrator.load(meta["calibrator"])
        self._levels.load(meta["levels"])
        self._base.load(meta["base"])
        self.leads, self.foreign = meta["leads"], meta["foreign"]
        self.since, self._as_it_is = meta["since"], meta["as_it_is"]
        self._calm, self._windows, self.rollbacks = list(meta["calm"]), meta["windows"], meta["rollbacks"]
        self.alarmed = meta["alarmed"]
        self.alarms = msgspec.convert(meta["alarms"], list[Alarm])
        self._rolling.load(images["rolling"])
        self._guard.load({name: image for name, image in images.items() if name.startswith("guard")})
        held = [Good(images[f"held.{index}"], *rest) for index, rest in enumerate(meta["held"])]
        self._begun = held.pop(0) if meta["begun"] else None
        self._good = held.pop(0) if meta["proven"] else None
        self._kept = list(zip(meta["kept"], held, strict=True))
