"""The learner over simulated lessons: it learns what is there, says it honestly, and goes back when something breaks."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from frontrow.core.features import COUNT, NAMES
from frontrow.core.lessons import Joiner, Lessons, Stage
from frontrow.core.outcomes import Heard, OutcomeRules, What
from frontrow.core.scoring import sigmoid
from frontrow_models.evaluation.guard import GuardOptions
from frontrow_models.learner import Learner, Versions, no_versions
from frontrow_models.online import ModelOptions, OnlineModel
from frontrow_models.versions import Outcome, Position, Version
from tests.support.lessons import fresh_lessons
from tests.support.versions import version

ROOMS = "sim/a", "sim/b"
HORIZON, WINDOW = 3_600_000, 120_000
OUTCOME = Outcome.of(OutcomeRules(), HORIZON)
OTHER = Outcome.of(OutcomeRules(kinds=frozenset({"like"})), HORIZON)
OPTIONS = ModelOptions(warm_up=200, min_labels=200, min_positives=20)

AT = Position(seq=1, at=1_750_000_000_000)


class World:
    """One room in which a click and a question raise the chance to buy; orders come after a Weibull delay."""

    def __init__(self, seed: int, *, base: float = -3.0) -> None:
        self.rng = np.random.default_rng(seed)
        self.base = base
        self.jump = 0.0  # by which the second room is better, as a logit
        self.now = 1_000_000
        self.joiner = Joiner(
            width=COUNT,
            columns=Learner.columns,
            horizon_ms=HORIZON,
            window_ms=WINDOW,
            room_of=ROOMS.__getitem__,
        )
        self.joiner.grow(100_000)
        self._row = 0
        self._orders: list[tuple[int, int]] = []

    def step(self, learner: Learner, viewers: int = 20, *, cut: int = 1) -> list[Lessons]:
        """Let twenty seconds pass: serve some viewers, hear of orders, learn; ``cut``: in how many calls."""
        self.now += 20_000
        inputs = np.zeros((viewers, COUNT))
        inputs[:, :4] = self.rng.exponential(0.7, (viewers, 4))
        rows = np.arange(self._row, self._row + viewers) % 100_000
        self._row += viewers
        at = np.full(viewers, self.now)
        rooms = np.arange(viewers, dtype=np.int32) % 2
        served = learner.serve(
            inputs, [ROOMS[room] for room in rooms.tolist()], np.zeros(viewers, np.int64), at
        )
        self.joiner.serve(rows, rooms, at, inputs.astype(np.float32), served)
        chance = sigmoid(self.base + 1.2 * inputs[:, 0] - 0.6 * inputs[:, 1] + self.jump * rooms)
        for row in rows[self.rng.random(viewers) < chance].tolist():
            delay = int(600_000 * self.rng.weibull(0.8))
            if delay < HORIZON:
                self._orders.append((self.now + delay, row))
        due = [order for order in self._orders if order[0] <= self.now]
        self._orders = [order for order in self._orders if order[0] > self.now]
        for _, row in sorted(due):
            self.joiner.hear([row], str(row), Heard(What.SUCCESS, self.now), self.now)
        lessons = self.joiner.resolve(self.now)
        parts = [lessons.take(part) for part in np.array_split(np.arange(len(lessons)), cut)]
        for part in parts:
            learner.learn(part)
        return parts


def shown(learner: Learner) -> list[float]:
    """Return what is shown of one and the same viewer in either room, and somewhere else."""
    logits = learner.weights().logits(np.zeros((1, COUNT)))
    found: list[float] = learner.probabilities(np.repeat(logits, 3), [*ROOMS, "sim/c"]).tolist()
    return found


def break_weights(learner: Learner) -> None:
    """Let its weights be no numbers any more."""
    learner._online._regression.intercept = float("nan")
    learner._online._weights = None


def test_a_room_that_begins_to_sell_is_raised_within_minutes_and_the_reasons_add_up() -> None:
    world, learner = World(5), make()
    for _ in range(600):
        world.step(learner)
    assert learner.ready
    a, b, _ = shown(learner)
    assert 0.8 < b / a < 1.25
    world.jump = 2.5
    for _ in range(30):  # ten minutes
        world.step(learner)
    a, b, _ = shown(learner)
    assert b / a > 1.25
    assert a < b
    inputs = np.zeros((1, COUNT))
    for room, probability in zip(ROOMS, (a, b), strict=True):
        reasons = learner.explain(inputs, room)
        assert reasons.probability == probability, "to the bit: both are shown"
        total = reasons.calibrated_intercept + sum(part.calibrated for part in reasons.parts)
        assert total == pytest.approx(reasons.logit, abs=1e-9)
    served = learner.serve(np.repeat(inputs, 2, axis=0), ROOMS, np.zeros(2, np.int64), np.full(2, world.now))
    assert sigmoid(served[:, 0].astype(np.float64)) == pytest.approx([a, b], rel=1e-6)
    assert served[0, 1] == served[1, 1], "the model's own number knows nothing of it"


def test_when_a_broadcast_is_over_it_goes_on_learning_and_takes_it_for_no_outage() -> None:
    """For an hour it is told of looks that nothing came of them, and nobody is looked at any more."""
    world, learner = World(7, base=-1.0), make()  # some 250 orders an hour and room
    for _ in range(540):
        world.step(learner)
    held_back, labels = learner._outage.held_back, learner.labels
    for _ in range(200):
        world.step(learner, viewers=0)
    assert learner.labels > labels + 500
    assert learner._outage.held_back == held_back == 0
    assert not learner.frozen


def test_a_promoted_version_begins_without_levels_and_the_hour_is_whole_for_them_before_the_planned_end() -> (
    None
):
    world, learner = World(5), make()
    for _ in range(600):
        world.step(learner)
    assert learner._levels.state()["rooms"]
    version = learner.as_version(AT)
    promoted = Learner(OPTIONS, window_ms=WINDOW, versions=lambda name: version)
    promoted.load(learner.images())
    assert promoted._levels.state() == learner._levels.state()
    promoted.promote("the same", world.now)
    assert promoted._levels.state()["rooms"] == []
    inputs = np.zeros((40, COUNT))
    inputs[:, :4] = 0.7
    expected = []
    for left in (100.0, 30.0):
        inputs[:, NAMES.index("hour_left_pct")] = np.log1p(left)
        again = make()
        again.load(learner.images())
        again.serve(inputs, ["sim/c"] * 40, np.zeros(40, np.int64), np.full(40, world.now + 1))
        expected.append(next(each for each in again._levels.state()["rooms"] if each[0] == "sim/c")[2])
    assert expected[0] == pytest.approx(expected[1], rel=1e-9), "what is expected within two minutes"


@pytest.mark.parametrize(("delay_ms", "counts"), [(WINDOW, True), (WINDOW + 1, False)])
def test_only_what_comes_within_the_shortest_window_tells_of_a_rooms_level(
    delay_ms: int, counts: bool
) -> None:
    world, learner = World(5), make()
    for _ in range(600):
        world.step(learner)
    before = shown(learner)
    count = 40
    late = fresh_lessons(np.zeros((count, COUNT), np.float32), np.ones(count, np.bool_))
    at = np.full(count, world.now)
    late = replace(
        late,
        served_at=at - 100,
        resolved_at=at,
        stage=np.full(count, Stage.LATE, np.uint8),
        delay_ms=np.full(count, delay_ms, np.int32),
        within=np.full(count, 0.5, np.float32),
    )
    learner.learn(late)
    after = shown(learner)
    raised = after[0] / after[1] > 1.1 * before[0] / before[1]
    assert raised is counts


def test_a_number_that_is_none_is_shown_to_nobody_and_the_last_good_model_serves_at_once() -> None:
    """Also where the weights are sound: here the calibration is broken, as by a file that somebody wrote."""
    world, learner = World(5), make()
    for _ in range(1_000):
        world.step(learner)
    before, good = shown(learner), learner._good
    assert good is not None and learner.alarms == []
    learner._calibrator.load(learner._calibrator.state() | {"slope": float("nan")})
    inputs = np.zeros((3, COUNT))

    def served() -> np.ndarray[Any, Any]:
        return learner.serve(inputs, [*ROOMS, "sim/c"], np.zeros(3, np.int64), np.full(3, world.now))[:, 0]

    assert not np.isfinite(served()).any()
    assert [(alarm.kind, alarm.roll_back) for alarm in learner.alarms] == [("not_finite", True)]
    assert learner.rollbacks == 1
    assert sigmoid(served().astype(np.float64)) == pytest.approx(before, rel=0.5)


def test_where_outcomes_stop_arriving_in_all_rooms_none_is_worse_than_another() -> None:
    world, learner = World(6), make()
    for _ in range(600):
        world.step(learner)
    world.jump = 2.5
    for _ in range(30):
        world.step(learner)
    a, b, _ = shown(learner)
    assert b > a
    world.base = -30.0
    for _ in range(400):
        world.step(learner)
    assert learner.frozen
    a, b, _ = shown(learner)
    assert 0.8 < b / a < 1.25


def test_in_an_outage_no_room_has_a_level_and_what_was_served_in_it_makes_none_afterwards() -> None:
    """Nothing was expected of those looks: each of their outcomes would seem one more than there should be."""
    world, learner = World(6), make()
    for _ in range(600):
        world.step(learner)
    inputs = np.zeros((1, COUNT))

    def levels() -> list[float]:
        """What is added to the logit in each room, beside what the calibration says."""
        logits = np.repeat(learner.weights().logits(inputs), 2)
        alone = learner._calibrator.calibration.probabilities(logits, ROOMS)
        shown = learner.probabilities(logits, ROOMS)
        found: list[float] = (np.log(shown / (1.0 - shown)) - np.log(alone / (1.0 - alone))).tolist()
        return found

    def hear_of(served_at: int, first_cause: int) -> None:
        """Hear now of forty outcomes of the second room's looks."""
        count = 40
        lessons = fresh_lessons(np.zeros((count, COUNT), np.float32), np.ones(count, np.bool_))
        learner.learn(
            replace(
                lessons,
                room=np.full(count, ROOMS[1], np.object_),
                served_at=np.full(count, served_at),
                resolved_at=np.full(count, world.now),
                cause=first_cause + np.arange(count),
            )
        )

    assert max(map(abs, levels())) > 1e-3
    world.base = -30.0
    while not learner.frozen:
        world.step(learner)
    world.step(learner)
    assert levels() == pytest.approx([0.0, 0.0], abs=1e-9)
    hear_of(world.now, 1_000_000)
    assert not learner.frozen
    assert levels() == pytest.approx([0.0, 0.0], abs=1e-9)
    hear_of(world.now, 2_000_000)
    assert levels() == pytest.approx([0.0, 0.0], abs=1e-9)
    world.step(learner)
    hear_of(world.now, 3_000_000)
    assert levels()[1] > 0.3, "of these looks something was expected"


def test_looks_that_share_an_outcome_are_one_witness_of_what_a_number_is_worth() -> None:
    """Counted in full, two buyers at whom one had looked ten times each moved what all are told."""

    def moved(looks: int) -> tuple[float, float]:
        """The model's logit, and by how much the calibration moves it, where so many looks share an outcome."""
        learner = Learner(ModelOptions(warm_up=2, min_positives=5), window_ms=WINDOW)
        learner.serve(
            np.random.default_rng(1).random((2, COUNT)), ROOMS, np.zeros(2, np.int64), np.zeros(2, np.int64)
        )
        nothing = np.zeros((200, COUNT), np.float32)
        came = np.arange(200) % 2 == 0
        causes = np.where(came, np.arange(200) // (2 * looks), -1)
        learner.learn(fresh_lessons(nothing, came, cause=causes))
        outcomes = np.arange(40) % 4 > 0
        learner.learn(fresh_lessons(nothing[:40], outcomes, stage=np.full(40, Stage.MATURE, np.uint8)))
        [raw] = learner.weights().logits(np.zeros((1, COUNT))).tolist()
        [shown] = learner.probabilities(np.array([raw]), ["sim/c"]).tolist()
        return raw, float(np.log(shown / (1.0 - shown))) - raw

    (raw, alone), (same, shared) = moved(1), moved(10)
    assert raw == same, "what is learnt is the same"
    assert alone > shared + 0.2, "more came than was promised"


class Watched:
    """A learner that is judged every five minutes, by a window of the guard each time, and learns ten labels after each."""

    def __init__(self, versions: Versions = no_versions, outcome: Outcome | None = None) -> None:
        self.learner = Learner(
            ModelOptions(warm_up=2, min_labels=10_000), window_ms=WINDOW, versions=versions, outcome=outcome
        )
        self.learner.serve(
            np.random.default_rng(1).random((2, COUNT)), ROOMS, np.zeros(2, np.int64), np.array([0, 0])
        )
        self.count = 0

    def judge(self, every_ms: int = 300_000) -> None:
        """Let twenty labels become final, half of them positive, as was promised, and learn ten labels before it."""
        taught = fresh_lessons(np.zeros((10, COUNT), np.float32), np.arange(10) % 2 == 0)
        self.learner.learn(taught)
        served_at = np.full(20, self.count * every_ms)
        outcomes = np.arange(20) >= 10
        final = fresh_lessons(np.zeros((20, COUNT), np.float32), outcomes)
        self.learner.learn(
            replace(
                final,
                served_at=served_at,
                resolved_at=served_at + HORIZON,
                stage=np.full(20, Stage.MATURE, np.uint8),
                cause=np.where(outcomes, self.count * 20 + np.arange(20), -1),
            )
        )
        self.count += 1

    def labels_after_a_fault(self) -> int:
        """Break the weights, and return how many labels the model has learnt that serves instead."""
        break_weights(self.learner)
        # Its numbers are none, so nothing is learnt of it.
        self.learner.learn(fresh_lessons(np.full((1, COUNT), np.nan, np.float32), np.zeros(1, np.bool_)))
        assert self.learner.rollbacks == 1
        return self.learner.labels


@pytest.mark.parametrize(("windows", "good"), [(4, False), (5, True)])
def test_a_state_is_good_once_two_windows_that_were_wholly_served_since_have_been_calm(
    windows: int, good: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sooner, what a fault has already changed would be gone back to; later, what has served well would be lost."""
    monkeypatch.setattr("frontrow_models.learner.GUARD", GuardOptions(outcomes=10))
    watched = Watched()
    # Every half hour: the first state is kept when the first labels are final, after an hour; the third window's looks
    # are the first since, and the fourth and the fifth window are wholly of looks after those.
    for _ in range(windows):
        watched.judge(every_ms=HORIZON // 2)
    assert watched.learner.alarms == []
    assert watched.labels_after_a_fault() == (10 if good else 0)


def test_what_a_former_model_was_is_not_good_by_what_a_promoted_one_has_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("frontrow_models.learner.GUARD", GuardOptions(outcomes=10))
    promoted = version(50)
    watched = Watched(lambda _name: promoted)
    for _ in range(4):  # one more, and what it was at first would be good
        watched.judge(every_ms=HORIZON // 2)
    watched.learner.promote("a", 3 * HORIZON // 2 + 1)
    watched.judge(every_ms=HORIZON // 2)
    assert watched.learner.alarms == []
    assert watched.labels_after_a_fault() == 50
    assert watched.learner.leads == "a"


@pytest.mark.parametrize(("windows", "labels"), [(16, 10), (17, 30), (18, 30), (19, 50)])
def test_states_that_may_be_gone_back_to_lie_ten_minutes_apart(
    windows: int, labels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that what is gone back to has not lost more than ten minutes, and an hour of them fits into memory."""
    monkeypatch.setattr("frontrow_models.learner.GUARD", GuardOptions(outcomes=10))
    watched = Watched()
    for _ in range(windows):
        watched.judge()
    assert watched.learner.alarms == []
    assert watched.labels_after_a_fault() == labels


def make() -> Learner:
    return Learner(OPTIONS, window_ms=WINDOW)


def test_it_finds_what_raises_the_chance_and_what_it_shows_is_calibrated() -> None:
    world, learner = World(3), make()
    for _ in range(1_000):  # five and a half hours
        world.step(learner)
    assert learner.ready
    weights = learner.weights().weights
    assert weights[0] > 0.15 > -0.05 > weights[1]
    shown, champion, base_rate = learner.report(waiting=len(world.joiner)).columns[:3]
    assert shown.roc_auc is not None
    assert shown.roc_auc > 0.62
    assert shown.log_loss is not None
    assert base_rate.log_loss is not None
    assert shown.log_loss < base_rate.log_loss
    [p] = learner.probabilities(learner.weights().logits(np.zeros((1, COUNT))), ["sim/a"]).tolist()
    assert learner.explain(np.zeros((1, COUNT)), "sim/a").probability == p
    interval = learner.judging_alike()().interval(p)
    assert interval is not None
    # Not quite around it: it has learnt on since it was told to those whose outcomes are known.
    assert interval[0] / 1.2 < p < interval[1] * 1.2
    assert interval[1] - interval[0] < 0.02
    learner.since = world.now  # as after a promotion: what another told is no promise of this one
    assert learner.judging_alike()().interval(p) is None
    assert shown.ratio is not None
    assert shown.ratio.value is not None
    assert 0.8 < shown.ratio.value < 1.25
    assert champion.labels > shown.labels  # what was said before it was ready was shown to nobody
    assert learner.alarms == []


def test_a_rate_of_outcomes_that_doubles_is_half_followed_after_six_thousand_looks() -> None:
    rng, model, nothing = np.random.default_rng(0), OnlineModel(ModelOptions()), np.zeros((1, COUNT))
    model.observe(np.zeros((500, COUNT)))
    for rate, looks in ((0.05, 20_000), (0.10, 6_000)):
        model.learn(np.zeros((looks, COUNT), np.float32), rng.random(looks) < rate)
    [logit] = model.weights().logits(nothing).tolist()
    usual, doubled = (float(np.log(rate / (1.0 - rate))) for rate in (0.05, 0.10))
    assert (usual + doubled) / 2 < logit < doubled


def test_a_busy_hour_moves_the_intercept_no_faster_than_a_quiet_one() -> None:
    """Outcomes tell of the last hour, however many they are: who follows them within minutes follows its noise."""

    def moved(looks: int, waiting: int) -> float:
        rng, model = np.random.default_rng(0), OnlineModel(ModelOptions())
        model.observe(np.zeros((500, COUNT)))
        model.learn(np.zeros((60_000, COUNT), np.float32), rng.random(60_000) < 0.05)
        before = model.weights().intercept
        model.learn(np.zeros((looks, COUNT), np.float32), rng.random(looks) < 0.10, looks=waiting)
        return model.weights().intercept - before

    quiet, busy = moved(4_000, 10_000), moved(40_000, 100_000)
    assert 0.3 < quiet < 0.6 and 0.3 < busy < 0.6
    assert moved(40_000, 0) > 0.65, "of a doubled rate all but noise"
    assert moved(4_000, 100_000) < quiet / 3


def test_an_outcome_changes_the_served_weights_in_the_same_call() -> None:
    world, learner = World(3), make()
    for _ in range(100):
        world.step(learner)
    before = learner.version
    world.joiner.hear([world._row - 1], "last", Heard(What.SUCCESS, world.now), world.now)
    learner.learn(world.joiner.resolve(world.now))
    assert learner.version != before


def test_what_is_taken_back_is_unlearnt() -> None:
    """All orders of viewers who ask are refunded: the model becomes what it would be had they never ordered.

    Not to the bit: a step is reversed at the weights of the refund, and those have moved on since the order.
    """
    dice = np.random.default_rng(5)
    refunded, never, believing = make(), make(), make()
    for _ in range(400):
        inputs = np.zeros((10, COUNT), np.float32)
        inputs[:, :2] = dice.random((10, 2)) > 0.5
        ordered = dice.random(10) < 0.3
        back = ordered & (inputs[:, 1] > 0)
        for learner, outcome in ((refunded, ordered), (never, ordered & ~back), (believing, ordered)):
            learner.serve(inputs.astype(np.float64), ["sim/a"] * 10, *np.zeros((2, 10), np.int64))
            learner.learn(fresh_lessons(inputs, outcome))
        none = np.zeros(np.count_nonzero(back), np.bool_)
        withdrawn = np.full(len(none), Stage.WITHDRAWN, np.uint8)
        refunded.learn(fresh_lessons(inputs[back], none, stage=withdrawn))
        refunded.learn(fresh_lessons(inputs[back], none))
    asking = np.zeros((1, COUNT))
    asking[0, 1] = 1.0
    told, true, naive = (
        float(learner.weights().probabilities(asking)[0]) for learner in (refunded, never, believing)
    )
    assert abs(told - true) < 0.2 * (naive - true)
    assert naive > 2.0 * told
    assert (refunded.labels, refunded.positives) == (never.labels, never.positives)


def test_what_is_learnt_and_what_is_told_survive_a_restart_to_the_bit() -> None:
    world, learner = World(5), make()
    for _ in range(400):
        world.step(learner)
    again = make()
    again.load(learner.images())
    lessons = [world.joiner.resolve(world.now + step * 60_000) for step in range(1, 50)]
    for part in lessons:
        learner.learn(part)
        again.learn(part)
    assert again.state() == learner.state()
    assert again.report() == learner.report()


def _poisoned(lessons: Lessons) -> Lessons:
    inputs: NDArray[Any] = lessons.inputs.copy()
    inputs[:, 3] = np.nan
    return replace(lessons, inputs=inputs)


def test_a_lesson_with_a_number_that_is_none_is_refused_and_the_weights_stay_finite() -> None:
    world, learner = World(7), make()
    for _ in range(200):
        world.step(learner)
    learner.learn(_poisoned(world.joiner.resolve(world.now + WINDOW)))
    assert learner.refused > 0
    assert np.isfinite(learner.weights().weights).all()


def test_a_model_that_promises_three_times_too_much_is_put_back_to_what_served_well() -> None:
    world, learner = World(11), make()
    for _ in range(1_000):
        world.step(learner)
    assert learner.rollbacks == 0
    good = learner._calibrator.calibration
    for _ in range(900):
        learner._calibrator._bias = good.bias + 2.5  # as if a fault threw it again and again
        learner._calibrator._current = None
        world.step(learner)
        if learner.rollbacks:
            break
    assert learner.rollbacks == 1
    assert [alarm.kind for alarm in learner.alarms if alarm.roll_back] == ["calibration"]
    assert abs(learner._calibrator.calibration.bias - good.bias) < 1.0


@pytest.mark.parametrize("cut", [1, 3])
def test_judging_does_not_depend_on_how_lessons_are_cut(cut: int) -> None:
    world, learner = World(13), make()
    whole = World(13)
    reference = make()
    for _ in range(400):
        world.step(learner, cut=cut)
        whole.step(reference)
    judged, expected = learner.report(), reference.report()
    assert judged.labels == expected.labels
    if cut == 1:
        assert judged == expected


def test_when_orders_stop_arriving_it_stops_to_learn_and_says_so() -> None:
    world, learner = World(17), make()
    for _ in range(500):
        world.step(learner)
    weights = learner.weights().intercept
    world.base = -40.0
    world._orders.clear()
    for _ in range(400):
        world.step(learner)
    assert learner.frozen
    assert learner.weights().intercept > weights - 1.5
    assert (world.joiner.resolve(world.now).stage == Stage.OBSERVED).sum() == 0


# ---------------------------------------------------------------------- promotions


def test_a_promoted_version_answers_for_what_it_has_served_itself_and_gives_way_to_what_led_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("frontrow_models.learner.GUARD", GuardOptions(outcomes=100))
    world, promoted = World(11), dict[str, Version]()
    learner = Learner(OPTIONS, window_ms=WINDOW, versions=promoted.__getitem__)

    def steps(count: int, *, promise: float = 0.0) -> None:
        """Some go by, in all of which too much is promised, as by a fault that learning cannot mend."""
        good = learner._calibrator._bias
        for _ in range(count):
            if learner.rollbacks:
                return
            if promise:
                learner._calibrator._bias, learner._calibrator._current = good + promise, None
            world.step(learner)
        if promise:
            learner._calibrator._bias, learner._calibrator._current = good, None

    steps(350)
    promoted["a"] = learner.as_version(AT)
    steps(170, promise=2.5)  # none of it is final yet when its successor comes
    learner.promote("a", world.now + 1)
    steps(180)
    assert (learner.rollbacks, learner.leads) == (0, "a")
    steps(400, promise=2.5)
    assert (learner.rollbacks, learner.leads) == (1, None)
    assert [alarm.kind for alarm in learner.alarms if alarm.roll_back] == ["calibration"]
    for _ in range(150):  # what was promised too much is not held against whoever came back, either
        world.step(learner)
    assert learner.rollbacks == 1


def test_a_version_without_a_calibration_is_shown_as_it_is_until_it_has_one() -> None:
    world, promoted = World(3), dict[str, Version]()
    taught = make()
    for _ in range(60):
        world.step(taught)
    raw, calibrated = "a" * 64, "b" * 64
    promoted[raw] = msgspec.structs.replace(taught.as_version(AT), calibration=None)
    promoted[calibrated] = taught.as_version(AT)
    learner = Learner(OPTIONS, window_ms=WINDOW, versions=promoted.__getitem__)
    assert taught._online.ready
    assert not taught._calibrator.enough
    for name, shown in ((calibrated, False), (raw, True)):
        learner.promote(name, world.now + 1)
        assert learner.ready is shown
        assert (learner.as_version(AT).calibration is None) is shown


@pytest.mark.parametrize(("window_ms", "taken"), [(WINDOW, True), (600_000, False)])
def test_delays_of_a_promoted_version_count_only_where_they_are_of_the_same_window(
    window_ms: int, taken: bool
) -> None:
    world, taught = World(3), make()
    for _ in range(300):
        world.step(taught)
    version = taught.as_version(AT)
    assert version.label_policy["positives"] > 0.0
    learner = Learner(OPTIONS, window_ms=window_ms, versions=lambda name: version)
    learner.promote("a", world.now + 1)
    found = learner.state()["label_policy"]
    assert found["window_ms"] == window_ms
    assert found["positives"] == (version.label_policy["positives"] if taken else 0.0)


def test_a_promoted_version_that_breaks_begins_again_where_nothing_was_good_before() -> None:
    world, promoted = World(3), dict[str, Version]()
    taught = make()
    for _ in range(300):
        world.step(taught)
    promoted["a"] = taught.as_version(AT)
    learner = Learner(OPTIONS, window_ms=WINDOW, versions=promoted.__getitem__)
    learner.promote("a", world.now + 1)
    break_weights(learner)
    world.step(learner)
    assert (learner.rollbacks, learner.leads) == (1, "a")
    assert np.isfinite(learner.weights().intercept)
    assert learner.labels >= promoted["a"].labels


def test_a_version_of_another_outcome_that_breaks_begins_from_nothing_and_not_again() -> None:
    """What was asked for another outcome was never good for this one."""
    world, taught = World(3), Learner(OPTIONS, window_ms=WINDOW, outcome=OTHER)
    for _ in range(300):
        world.step(taught)
    version = taught.as_version(AT)
    learner = Learner(OPTIONS, window_ms=WINDOW, versions=lambda name: version, outcome=OUTCOME)
    learner.promote("a", world.now + 1)
    break_weights(learner)
    world.step(learner)
    assert (learner.rollbacks, learner.leads, learner.ready) == (1, None, False)
    assert not learner.foreign
    assert [alarm.roll_back for alarm in learner.alarms] == [True]
    assert np.isfinite(learner.weights().intercept)
    assert learner.labels < version.labels


def test_what_led_with_another_outcome_and_was_never_proven_is_not_gone_back_to() -> None:
    world, promoted = World(3), dict[str, Version]()
    taught = Learner(OPTIONS, window_ms=WINDOW, outcome=OTHER)
    for _ in range(300):
        world.step(taught)
    promoted["other"] = taught.as_version(AT)
    promoted["ours"] = msgspec.structs.replace(promoted["other"], outcome=OUTCOME)
    learner = Learner(OPTIONS, window_ms=WINDOW, versions=promoted.__getitem__, outcome=OUTCOME)
    for name in ("other", "ours"):
        learner.promote(name, world.now + 1)
        assert learner.ready
    break_weights(learner)
    world.step(learner)
    assert (learner.rollbacks, learner.leads) == (1, "ours")


def test_what_was_good_before_a_version_of_another_outcome_led_is_gone_back_to() -> None:
    world, promoted = World(5), dict[str, Version]()
    learner = Learner(OPTIONS, window_ms=WINDOW, versions=promoted.__getitem__, outcome=OUTCOME)
    for _ in range(400):
        world.step(learner)
    assert learner.ready
    promoted["ours"] = learner.as_version(AT)
    promoted["other"] = msgspec.structs.replace(promoted["ours"], outcome=OTHER)
    learner.promote("ours", world.now + 1)
    learner.promote("other", world.now + 2)
    break_weights(learner)
    world.step(learner)
    assert (learner.rollbacks, learner.leads) == (1, None)  # what was shown before either led
    assert learner.ready
    assert not learner.foreign


@pytest.mark.parametrize(("windows", "foreign"), [(4, True), (5, False)])
def test_a_version_of_another_outcome_is_foreign_until_calm_windows_of_this_one_have_judged_it(
    windows: int, foreign: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frontrow_models.learner.GUARD", GuardOptions(outcomes=10))
    found = {
        "other": version(50, outcome=OTHER),
        "ours": version(50, outcome=OUTCOME),
        "of before": version(50),
    }
    watched = Watched(found.__getitem__, outcome=OUTCOME)
    for name in ("ours", "of before"):
        watched.learner.promote(name, 0)
        assert not watched.learner.foreign
    watched.learner.promote("other", 0)
    for _ in range(windows):
        assert watched.learner.foreign
        watched.judge(every_ms=HORIZON // 2)
    assert watched.learner.alarms == []
    assert watched.learner.foreign is foreign
    again = Watched(found.__getitem__, outcome=OUTCOME)
    again.learner.load(watched.learner.images())
    assert again.learner.foreign is foreign
    watched.learner.promote("ours", 10 * HORIZON)
    assert not watched.learner.foreign


def test_what_a_promotion_has_changed_survives_a_restart_to_the_bit() -> None:
    world, promoted = World(5), dict[str, Version]()
    learner = Learner(OPTIONS, window_ms=WINDOW, versions=promoted.__getitem__)
    for _ in range(400):
        world.step(learner)
    version = learner.as_version(AT)
    promoted["a"] = msgspec.structs.replace(version, options=version.options | {"learning_rate": 0.5})
    learner.promote("a", world.now + 1)
    for _ in range(50):
        world.step(learner)
    again = make()
    again.load(learner.images())
    lessons = [world.joiner.resolve(world.now + step * 60_000) for step in range(1, 50)]
    for part in lessons:
        learner.learn(part)
        again.learn(part)
    assert again.state() == learner.state()
    assert again.images()["learner"] == learner.images()["learner"]


def test_without_versions_promotions_are_passed_over() -> None:
    learner = make()
    learner.promote("a", 1)
    assert learner.leads is None
