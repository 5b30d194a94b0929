"""Weights of lessons: what is learnt early teaches, in expectation, what the final outcomes would."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from frontrow.core.lessons import Lessons, Stage
from frontrow_models.policies import KNOWN_AFTER, MOST, DelayPolicy, Outage, elapsed
from tests.support.lessons import fresh_lessons


@pytest.mark.parametrize("chance", [0.001, 0.03, 0.3, 0.6])
@pytest.mark.parametrize("within", [0.1, 0.5, 0.9, 1.0])
def test_a_snapshot_weighs_in_expectation_what_its_true_outcome_would(chance: float, within: float) -> None:
    """Each snapshot gives one early lesson, and a second one if its outcome comes late."""
    p = np.full(2, chance)
    positive, negative = elapsed(p, np.array([True, False]), np.full(2, within))
    early, late, never = chance * within, chance * (1 - within), 1 - chance
    # The gradient of a weighted loss is a sum over lessons: so much of it says "yes", so much "no".
    yes = (early + late) * positive
    no = (late + never) * negative
    assert yes / no == pytest.approx(chance / (1 - chance), rel=1e-9)


@pytest.mark.parametrize("chance", [0.001, 0.03, 0.3])
@pytest.mark.parametrize("within", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("given_back", [0.0, 0.1, 0.6])
def test_whatever_share_is_given_back_a_snapshot_weighs_what_is_kept_of_it(
    chance: float, within: float, given_back: float
) -> None:
    """``chance`` is that of an outcome that is kept; the withdrawn ones came as positives first, early or late."""
    ordered = chance / (1.0 - given_back)
    early, late = ordered * within, ordered * (1.0 - within)
    share = [  # stage, outcome, how often
        (Stage.OBSERVED, True, early),
        (Stage.OBSERVED, False, late + 1.0 - ordered),
        (Stage.LATE, True, late),
        (Stage.WITHDRAWN, False, given_back * ordered),
        (Stage.OBSERVED, False, given_back * early),
    ]
    lessons = replace(
        _mature([-1] * len(share)),
        stage=np.array([stage for stage, _, _ in share], np.uint8),
        outcome=np.array([outcome for _, outcome, _ in share]),
        within=np.full(len(share), within, np.float32),
    )
    outcomes, weights = DelayPolicy.steps(np.full(len(share), chance), lessons)
    often = np.array([often for *_, often in share])
    yes, no = (often * weights)[outcomes].sum(), (often * weights)[~outcomes].sum()
    assert yes / no == pytest.approx(chance / (1.0 - chance), rel=0.02)


def test_no_lesson_weighs_more_than_the_bound_whatever_the_model_believes() -> None:
    for chance in (0.0, 1.0, 1.0 - 1e-16):
        for outcome in (True, False):
            for within in (np.finfo(np.float32).tiny, 0.5, 1.0):
                weights = elapsed(np.array([chance]), np.array([outcome]), np.array([within]))
                assert 0.0 <= weights[0] <= MOST


def _mature(delays_ms: list[int]) -> Lessons:
    count = len(delays_ms)
    return Lessons(
        snapshot=np.arange(count),
        served_at=np.zeros(count, np.int64),
        resolved_at=np.full(count, 3_600_000),
        session=np.zeros(count, np.int32),
        room=np.full(count, "sim/1", np.object_),
        inputs=np.zeros((count, 1), np.float32),
        served=np.zeros((count, 1), np.float32),
        outcome=np.array(delays_ms) >= 0,
        delay_ms=np.array(delays_ms, np.int32),
        value=np.zeros(count),
        cause=np.full(count, -1),
        stage=np.full(count, Stage.MATURE, np.uint8),
        ending=np.zeros(count, np.uint8),
        weight=np.ones(count, np.float32),
        reached=np.zeros(count, np.float32),
        viewer=np.arange(count),
        within=np.ones(count, np.float32),
    )


def test_delays_are_believed_only_when_enough_whole_cohorts_have_told_them() -> None:
    policy = DelayPolicy(window_ms=120_000)
    policy.see(_mature([60_000, -1, 600_000, 1_200_000]))
    assert policy.soon is None
    policy.see(_mature([60_000, 600_000, 1_200_000, 1_800_000] * 60))
    assert policy.soon == pytest.approx(0.25, abs=0.01)


def test_a_delay_of_just_the_window_is_within_it_and_each_look_counts_as_many_as_it_stands_for() -> None:
    policy = DelayPolicy(window_ms=120_000)
    delays = _mature([120_000, 120_001] * 60)
    policy.see(replace(delays, weight=np.tile(np.array([3.0, 1.0], np.float32), 60)))
    assert policy.soon == pytest.approx(0.75, abs=0.01)


def test_no_look_that_stands_for_many_weighs_more_than_the_bound_of_three() -> None:
    lessons = fresh_lessons(np.zeros((3, 1), np.float32), np.array([True, False, False]))
    lessons = replace(lessons, weight=np.array([64.0, 64.0, 2.0], np.float32), within=np.ones(3, np.float32))
    _, weights = DelayPolicy.steps(np.full(3, 0.1), lessons)
    assert weights.tolist() == pytest.approx([3.0, 3.0, 2.0])


def test_what_was_taken_back_is_undone_in_an_outage_too_and_is_no_outcome() -> None:
    outage = Outage()
    for number in range(60):
        outage.look(100)
        outage.learnable(np.array([number]))
    outage.look(5_000)
    assert outage.frozen
    stage = np.array([Stage.WITHDRAWN, Stage.OBSERVED], np.uint8)
    assert outage.learnable(np.array([-1, -1]), stage).tolist() == [True, False]
    assert outage.learnable(np.array([7]), np.array([Stage.WITHDRAWN], np.uint8)).all() and outage.frozen


def test_looks_of_an_outage_say_nothing_of_the_rate_of_outcomes() -> None:
    outage = Outage()
    for number in range(60):
        outage.look(100)
        outage.learnable(np.array([number]))
    for _ in range(100):
        outage.look(100)
        outage.learnable(np.array([-1]))
    outage.learnable(np.array([60]))
    outage.look(1_000)
    assert 7.0 < outage.missing < 11.0, "one in a hundred, by what came before it"


def test_what_a_policy_knows_does_not_depend_on_how_lessons_were_cut_into_batches() -> None:
    delays = [int(each) for each in np.random.default_rng(5).exponential(400_000, 500)]
    whole, parts = DelayPolicy(120_000), DelayPolicy(120_000)
    whole.see(_mature(delays))
    for start in range(0, 500, 7):
        part = _mature(delays[start : start + 7])
        parts.see(replace(part, snapshot=np.arange(start, start + len(part))))
    assert whole.state() == parts.state()
    again = DelayPolicy(120_000)
    again.load(whole.state())
    assert again.soon == whole.soon
    assert KNOWN_AFTER <= 500


def _causes(happened: NDArray[np.bool_], first: int = 0) -> NDArray[np.int64]:
    return np.where(happened, first + np.arange(len(happened)), -1)


NONE = np.full(2_000, -1)


def test_when_outcomes_stop_arriving_negatives_teach_nothing_until_one_comes() -> None:
    outage = Outage()
    rng = np.random.default_rng(7)
    for number in range(100):
        outage.look(100)
        assert outage.learnable(_causes(rng.random(100) < 0.03, 100 * number)).all()  # a steady 3 %
    taken = np.concatenate([_look_and_learn(outage, 50) for _ in range(len(NONE) // 50)])
    held_back = int((~taken).sum())
    assert 300 < taken.sum() < 700  # 15 missing outcomes at 3 % are some 500 lessons
    assert outage.frozen
    assert outage.held_back == held_back
    assert outage.learnable(np.array([20_000, -1])).all()
    assert not outage.frozen


def _look_and_learn(outage: Outage, count: int) -> NDArray[np.bool_]:
    """Take looks, and tell of as many that nothing came of."""
    outage.look(count)
    return outage.learnable(np.full(count, -1))


def test_what_is_told_when_a_broadcast_is_over_is_no_silence() -> None:
    """Nobody is looked at any more, and nobody orders; of the looks of its last hour it is told all the same that nothing came of them."""
    outage = Outage()
    rng = np.random.default_rng(7)
    for number in range(100):
        outage.look(100)
        assert outage.learnable(_causes(rng.random(100) < 0.03, 100 * number)).all()
    assert outage.learnable(np.concatenate((NONE, NONE, NONE))).all()
    assert not outage.frozen


def test_an_order_after_five_snapshots_is_one_outcome_and_its_silence_is_five_times_as_long() -> None:
    outage = Outage()
    one = np.array([-1] * 160 + [0] * 5)
    for number in range(60):
        outage.look(len(one))
        assert outage.learnable(np.where(one < 0, -1, number)).all()
    assert 3_000 < sum(int(_look_and_learn(outage, 100).sum()) for _ in range(40)) < 3_600


def test_before_outcomes_were_ever_heard_of_nothing_is_taken_for_an_outage() -> None:
    outage = Outage()
    outage.look(100_000)
    assert outage.learnable(np.full(100_000, -1)).all()
    again = Outage()
    again.load(outage.state())
    assert again.state() == outage.state()


@pytest.mark.parametrize("cut", [1, 7, 100])
def test_how_many_looks_share_an_outcome_is_counted_where_outcomes_are_heard_of(cut: int) -> None:
    """As witnesses of what a number is worth they are one: ten looks at one buyer are not ten buyers."""
    policy = DelayPolicy(window_ms=120_000)
    begun = policy.shared
    looks = 12
    outcomes = np.tile([True, False], 300 * looks)
    causes = np.where(outcomes, np.arange(len(outcomes)) // (2 * looks), -1)
    lessons = fresh_lessons(np.zeros((len(outcomes), 1), np.float32), outcomes, cause=causes)
    for start in range(0, len(outcomes), cut):
        policy.hear(lessons.take(np.arange(start, min(start + cut, len(lessons)))))
        if start == 600:
            again = DelayPolicy(window_ms=120_000)
            again.load(policy.state())
            again.counted = policy.counted
            policy = again
    assert begun < policy.shared == pytest.approx(looks, abs=0.2)
    whole = DelayPolicy(window_ms=120_000)
    whole.hear(lessons)
    assert whole.state() == policy.state()


def test_before_outcomes_are_heard_of_five_looks_are_believed_to_share_one_as_if_five_had_said_so() -> None:
    """Counted in full, a room with two orders was believed to be a hot one."""
    policy = DelayPolicy(window_ms=120_000)
    assert policy.shared == 5.0
    looks = fresh_lessons(np.zeros((20, 1), np.float32), np.ones(20, np.bool_), cause=np.zeros(20, np.int64))
    policy.hear(looks)
    assert policy.shared == (5 * 5 + 20) / (5 + 1)
    for number in range(1, 5):
        policy.hear(replace(looks, cause=np.full(20, number)))
    assert policy.shared == pytest.approx((5 + 20) / 2, rel=0.01), "half of what was believed is left"


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("cut", [1, 7, 20])
def test_looks_at_two_buyers_that_are_told_of_in_turn_are_two_outcomes(first: int, cut: int) -> None:
    """Who orders at the same moment as another is told of in the order of the looks, whichever was heard of first."""
    policy, outage = DelayPolicy(120_000), Outage()
    for number in range(0, 400, 2):
        outcomes, causes = np.ones(20, np.bool_), np.array([number + first, number + 1 - first] * 10)
        lessons = fresh_lessons(np.zeros((20, 1), np.float32), outcomes, cause=causes)
        outage.look(1_000)
        for start in range(0, 20, cut):
            part = lessons.take(np.arange(start, min(20, start + cut)))
            policy.hear(part)
            outage.learnable(part.cause)
            kept = policy, outage
            policy, outage = DelayPolicy(120_000), Outage()  # as after a restart
            policy.load(kept[0].state())
            policy.counted = kept[0].counted
            outage.load(kept[1].state())
    assert policy.shared == pytest.approx(10.0, rel=0.02)
    outage.look(1_000)
    assert outage.missing == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize("cut", [1, 7, 300])
def test_how_many_looks_wait_is_what_was_observed_since_the_last_final_one(cut: int) -> None:
    policy = DelayPolicy(120_000)
    assert policy.waiting == 0
    observed = fresh_lessons(np.zeros((300, 1), np.float32), np.zeros(300, np.bool_))
    final = replace(observed, stage=np.full(300, Stage.MATURE, np.uint8))
    late = replace(observed, stage=np.full(300, Stage.LATE, np.uint8))
    for start in range(0, 300, cut):
        policy.hear(observed.take(np.arange(start, min(300, start + cut))))
        policy.hear(late.take(np.arange(1)))  # an old look that is heard of again is none that is new
    assert policy.waiting == 300, "so far none is final"
    for start in range(0, 100, cut):
        policy.see(final.take(np.arange(start, min(100, start + cut))))
    assert policy.waiting == 200
    policy.hear(observed.take(np.arange(5)))  # looks whose orders were withdrawn: they are observed again
    assert policy.waiting == 200
    other = DelayPolicy(120_000)
    other.load(policy.state())
    assert other.waiting == 0, "another joiner numbers its own looks"
    policy.load(DelayPolicy(120_000).state())
    assert policy.waiting == 200, "and a promotion changes nothing of them"
