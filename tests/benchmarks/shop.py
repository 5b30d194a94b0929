"""Simulated shops as the daemon sees them: what the shipped engine served, and what the simulator knows of it.

The engine is that of the tree with its defaults; only an order alone counts as the outcome, returned or not, since
that is what the simulator knows the probability of. All calls of its learner are kept, so that other ways to learn
can be put in its place afterwards, on the very same snapshots and at the same moments.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from frontrow.app.parts import make_engine, make_lexicons
from frontrow.config import defaults
from frontrow.core.features import MINUTE_MS, NAMES, SOON_MIN, UNTIL_END_MIN
from frontrow.core.leads import Lead
from frontrow.core.lessons import Lessons, Stage, window_of
from frontrow.core.preparing import Preparer
from frontrow.core.scoring import Matrix, sigmoid
from frontrow_models.calibration import CalibrationOptions, Calibrator, raw_logits
from frontrow_models.learner import Learner
from frontrow_models.levels import RoomLevels
from frontrow_models.online import ModelOptions, OnlineModel
from frontrow_models.policies import DelayPolicy
from frontrow_models.served import LOGITS, SERVED
from frontrow_models.simulate import Scenario, simulate
from tests.benchmarks.judging import Field

FRAME_EVENTS = 4_096
HOUR_MS = 3_600_000
SHIPPED = ModelOptions()
LEFT = NAMES.index("hour_left_pct")
PLACE = {column.name: place for place, column in enumerate(SERVED)}

Call = tuple[Matrix, Sequence[str], NDArray[np.int64]] | Lessons  # what was served, or learnt


@dataclass(frozen=True)
class Shop:
    """All snapshots of a run, one line each.

    ``served`` has the columns of :data:`SERVED`, logits as probabilities, NaN where nothing was shown. ``p_true`` is
    the chance of an order within an hour of ``at`` (UTC ms), and ``field.outcome`` whether it came; blocks are rooms,
    hours those since the start. ``final`` is how many labels were final when it was served. ``leads`` says of each
    viewer whom the product called hot, in the order of decision, whether an order came within an hour of that.
    """

    field: Field
    at: NDArray[np.int64]
    served: Matrix
    p_true: Matrix
    final: NDArray[np.int64]
    leads: NDArray[np.bool_]
    calls: list[Call]


class Kept(Learner):
    """The shipped learner, which keeps what it was told."""

    def __init__(self, options: ModelOptions, *, window_ms: int) -> None:
        super().__init__(options, window_ms=window_ms)
        self.calls: list[Call] = []

    def serve(
        self, inputs: Matrix, rooms: Sequence[str], points: NDArray[np.int64], at: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        self.calls.append((inputs.copy(), list(rooms), at.copy()))
        return super().serve(inputs, rooms, points, at)

    def learn(self, lessons: Lessons) -> None:
        self.calls.append(lessons)
        super().learn(lessons)


class Other:
    """The shipped model and calibration under another policy of labels: final ones alone, or the outcome at once.

    How many looks share an outcome, and wait for one, all know as the shipped one does. Who waits for an hour knows
    nothing of a level that half fades in eight minutes; who is told at once follows it by all outcomes.
    """

    def __init__(self, options: ModelOptions) -> None:
        self._online = OnlineModel(options)
        self._policy = DelayPolicy(defaults().outcome.window_s * 1000)
        self._calibrator = Calibrator(CalibrationOptions(least=max(1, options.min_positives)))
        self._levels = RoomLevels()
        self._asked: tuple[list[str], Matrix, NDArray[np.int64]] = ([], np.zeros(0), np.zeros(0, np.int64))

    def serve(self, inputs: Matrix, rooms: Sequence[str], at: NDArray[np.int64]) -> Matrix:
        found, begin = np.empty(len(inputs)), 0
        while begin < len(inputs):  # in parts between which the scaler is taken over, as Learner.serve
            part = slice(begin, begin + self._online.unchanged_for)
            found[part] = self._online.weights().logits(inputs[part])
            self._online.observe(inputs[part])
            begin = part.stop
        probabilities = self._calibrator.calibration.probabilities(found, rooms)
        self._asked = (list(rooms), probabilities, at)
        shown: Matrix = sigmoid(raw_logits(probabilities) + self._levels.of(rooms))
        return shown

    def be_told(self, outcomes: NDArray[np.bool_]) -> None:
        """Let it know what comes of all that it was asked about last, for the levels of rooms."""
        rooms, probabilities, at = self._asked
        if self._calibrator.enough:
            each = (
                1.0 / self._policy.shared
            )  # all looks are told of, so that an outcome comes as often as they are
            self._levels.expect(rooms, probabilities * each, at)
            which = np.flatnonzero(outcomes)
            told = [rooms[place] for place in which.tolist()]
            self._levels.hear(told, np.full(len(which), each), at[which], at[which])

    def learn(self, inputs: NDArray[np.float32], outcomes: NDArray[np.bool_]) -> None:
        self._online.learn(inputs, outcomes, looks=self._policy.waiting)

    def calibrate(self, lessons: Lessons) -> Lessons:
        """Calibrate by what of the lessons is final, and return that."""
        mature = lessons.take(lessons.stage == Stage.MATURE)
        raw = self._online.weights().logits(mature.inputs.astype(np.float64))
        self._calibrator.learn(mature.room.tolist(), raw, mature.outcome, shared=self._policy.shared)
        self._policy.hear(lessons.take(lessons.stage != Stage.MATURE))
        self._policy.see(mature)
        return mature


def shop(scenario: Scenario) -> Shop:
    """Run the shipped engine over a scenario."""
    run = simulate(scenario)
    events = list(run)
    config = defaults()
    outcome = msgspec.structs.replace(config.outcome, kinds=("order_paid",), refunds=())
    config = msgspec.structs.replace(config, outcome=outcome)
    lexicons = make_lexicons(config)
    preparer = Preparer(lexicons.of_room, lexicons.default, config.intents.phone_region)
    engine = make_engine(config, report_learning=True)
    model = engine.model = Kept(ModelOptions(), window_ms=config.outcome.window_s * 1000)
    rooms: list[str] = []
    viewers: list[str] = []
    moments: list[NDArray[np.int64]] = []
    served: list[NDArray[np.float32]] = []
    leads: list[Lead] = []
    for start in range(0, len(events), FRAME_EVENTS):
        part = events[start : start + FRAME_EVENTS]
        effects = engine.apply(preparer.frame(part))
        leads += effects.leads
        for told in effects.served:
            rooms += told.rooms
            viewers += told.viewers
            moments.append(told.served_at)
            served.append(told.served)
    # A mark may lie up to a quarter of a second after the end of the broadcast.
    at = np.minimum(np.concatenate(moments), scenario.end)
    columns = np.concatenate(served).astype(np.float64)
    columns[:, :LOGITS] = sigmoid(columns[:, :LOGITS])
    return Shop(
        field=Field(
            outcome=run.world.pays(viewers, at, HOUR_MS),
            block=np.unique(rooms, return_inverse=True)[1],
            hour=(at - scenario.start) // HOUR_MS,
            viewer=np.unique(viewers, return_inverse=True)[1],
        ),
        at=at,
        served=columns,
        p_true=run.world.p_true_many(viewers, at, HOUR_MS),
        final=_final(model.calls),
        leads=run.world.pays(
            [lead.viewer for lead in leads],
            np.minimum([lead.decided_at for lead in leads], scenario.end),
            HOUR_MS,
        ),
        calls=model.calls,
    )


def anew(found: Shop, options: ModelOptions, *, window_ms: int) -> Matrix:
    """Return what the shipped learner had shown under other options; NaN where nothing. Shape (snapshots,)."""
    learner, said = Learner(options, window_ms=window_ms), list[Matrix]()
    for call in found.calls:
        if isinstance(call, Lessons):
            learner.learn(call)
        else:
            inputs, rooms, at = call
            served = learner.serve(inputs, rooms, np.zeros(len(inputs), np.int64), at)
            said.append(sigmoid(served[:, PLACE["shown"]].astype(np.float64)))
    return np.concatenate(said)


def waits(found: Shop, options: ModelOptions = SHIPPED) -> Matrix:
    """Return what a model had said that learns each snapshot once, when its outcome is final."""
    other, said = Other(options), list[Matrix]()
    for call in found.calls:
        if isinstance(call, Lessons):
            mature = other.calibrate(call)
            other.learn(mature.inputs, mature.outcome)
        else:
            said.append(other.serve(*call))
    return np.concatenate(said)


def at_once(found: Shop, options: ModelOptions = SHIPPED) -> Matrix:
    """Return what a model had said that learns each snapshot's outcome as soon as it is served: no joiner can."""
    other, said, count = Other(options), list[Matrix](), 0
    fresh: list[Matrix] = []
    for call in found.calls:
        if isinstance(call, Lessons):
            inputs = np.concatenate([np.zeros((0, call.inputs.shape[1])), *fresh]).astype(np.float32)
            other.calibrate(call)
            other.learn(inputs, found.field.outcome[count - len(inputs) : count])
            fresh.clear()
        else:
            said.append(other.serve(*call))
            fresh.append(call[0])
            other.be_told(found.field.outcome[count : count + len(call[0])])
            count += len(call[0])
    return np.concatenate(said)


def as_they_come(found: Shop) -> Matrix:
    """Return what a model had said that learns each snapshot once: an outcome as it comes, and that there is none at the shipped joiner's
    own time for it, knowing it for sure.
    """
    outcome, at = found.field.outcome, found.at
    inputs = np.concatenate([call[0] for call in found.calls if not isinstance(call, Lessons)])
    due = at + _windows(inputs)
    for call in found.calls:
        if isinstance(call, Lessons):
            known = call.outcome & (call.stage == Stage.MATURE)
            due[call.snapshot[known]] = at[call.snapshot[known]] + call.delay_ms[known]
    order = np.argsort(due, kind="stable")
    due = due[order]
    lessons = inputs.astype(np.float32)
    other, said = Other(ModelOptions()), list[Matrix]()
    count = told = 0
    for call in found.calls:
        if isinstance(call, Lessons):
            other.calibrate(call)
            until = int(np.searchsorted(due, at[count - 1] if count else 0, side="right"))
            which = order[told:until]
            other.learn(lessons[which], outcome[which])
            told = until
        else:
            said.append(other.serve(*call))
            count += len(call[0])
    return np.concatenate(said)


def _windows(inputs: Matrix) -> NDArray[np.int64]:
    """Return the time of each snapshot at which the shipped joiner tells that nothing has come, or would have told it."""
    horizon_ms = defaults().outcome.horizon_s * 1000
    share = np.expm1(inputs[:, LEFT]) / 100.0  # of the hour's outcomes, which is how long is left
    left_min = -SOON_MIN * np.log1p(share * np.expm1(-UNTIL_END_MIN[1] / SOON_MIN))
    windows, _ = window_of(
        np.arange(len(inputs)),
        np.minimum(np.rint(left_min * MINUTE_MS), horizon_ms).astype(np.int64),
        shortest_ms=defaults().outcome.window_s * 1000,
        horizon_ms=horizon_ms,
    )
    return windows.astype(np.int64)


def together(shops: Sequence[Shop]) -> Shop:
    """Return the snapshots of several worlds as those of one with all their rooms and viewers, without calls."""
    of_rooms, of_viewers = 0, 0
    fields: list[Field] = []
    for found in shops:
        field = found.field
        fields.append(replace(field, block=field.block + of_rooms, viewer=field.viewer + of_viewers))
        of_rooms, of_viewers = of_rooms + int(field.block.max()) + 1, of_viewers + int(field.viewer.max()) + 1
    return Shop(
        field=Field(
            outcome=np.concatenate([field.outcome for field in fields]),
            block=np.concatenate([field.block for field in fields]),
            hour=np.concatenate([field.hour for field in fields]),
            viewer=np.concatenate([field.viewer for field in fields]),
        ),
        at=np.concatenate([found.at for found in shops]),
        served=np.concatenate([found.served for found in shops]),
        p_true=np.concatenate([found.p_true for found in shops]),
        final=np.concatenate([found.final for found in shops]),
        leads=np.concatenate([found.leads for found in shops]),
        calls=[],
    )


def _final(calls: Sequence[Call]) -> NDArray[np.int64]:
    known, found = 0, list[NDArray[np.int64]]()
    for call in calls:
        if isinstance(call, Lessons):
            known += int(np.count_nonzero(call.stage == Stage.MATURE))
        else:
            found.append(np.full(len(call[0]), known))
    return np.concatenate(found)
