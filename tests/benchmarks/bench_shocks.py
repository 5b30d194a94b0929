"""What waiting for labels costs in rooms whose rates jump, where a model could know all but the jumps.

Run: ``make bench``, or alone ``pytest -s -o addopts=--import-mode=importlib tests/benchmarks/bench_shocks.py``
It takes about two minutes of processor time.

In the shops of ``bench_shop.py`` most of what any model is off by are the viewers' types, which no event tells; there no learner's excess
log loss comes near to half of another's. Here a look's true chance is a logistic regression on what is seen of it and the level of its
room, so that what is left is what is not learnt yet. Eight hours, 24 rooms that begin and end, 40,000 looks, each at another viewer;
each room's level is drawn anew every 30 to 60 minutes; outcomes come after a Weibull time (shape 0.8, scale ten minutes) that is cut
off at the hour. No end is planned, and no feature counts a room's orders: an hour late nothing tells of a level.

It is the world in which a policy that tells negatives after two minutes was found to have 0.45 of the excess of one that waits (River's
logistic regression by SGD with an intercept for each room; nothing of it but its figures is left). Its size of jumps was not told, and is
found from these: 2.7 % of looks succeed where nothing jumps and 3.7 % where rooms do, and the best hundredth of the true chances has
a mean of 0.38 and 0.60. A normal logit has that with a standard deviation of ``SPREAD``, and levels of ``JUMP`` on top. The features
are uniform, so that the clip of inputs is no part of it; with their lighter tails it is 2.7 and 4.0 %, 0.31 and 0.58.

The learners are those of ``bench_shop.py``: the shipped one behind the shipped joiner, one that differs from it in nothing but that it *waits*
for the full hour and follows no level, one that is told *at once*. Each is told at several learning rates, since 40,000 looks are few: the
shipped rate is one for shops, whose weights begin near to what they come to. ``E`` is the mean Kullback-Leibler divergence of what was
said from the truth, of looks after the first 90 minutes, nats; intervals draw rooms.
"""

import numpy as np
import pytest
from numpy.typing import NDArray

from frontrow.core.features import NAMES
from frontrow.core.lessons import Joiner
from frontrow.core.outcomes import Heard, What
from frontrow.core.scoring import sigmoid
from frontrow.core.viewers import USUAL_RATE
from frontrow_models.online import NEUTRAL, ModelOptions
from frontrow_models.served import LOGITS
from tests.benchmarks.bench_shop import divergence
from tests.benchmarks.harness import table
from tests.benchmarks.judging import Field, Floats, draws, interval
from tests.benchmarks.shop import HOUR_MS, PLACE, SHIPPED, Kept, Shop, anew, at_once, waits

pytestmark = pytest.mark.timeout(1_800)

SEEDS = 1, 2, 3, 4, 5, 6
START = 1_000_000
SHORTEST_MS = 120_000
HOURS, STEP_MS = 8, 20_000
ROOMS, LOOKS = 24, 40_000
SPREAD, JUMP, RATE = 1.54, 1.27, 0.027
WIDEST = 2.42  # of a feature: uniform from 0, with a standard deviation of 0.7
SEEN = (
    "clicks_5m",
    "carts_30m",
    "questions_5m",
    "comments_5m",
    "likes_30m",
    "gifts_30m",
    "watched_min",
    "present_min",
)
FROM_MS = 90 * 60_000
RATES = SHIPPED.learning_rate, 0.06, 0.2
DRAWS = 1_000


@pytest.mark.parametrize(
    ("name", "jump"), [("whose rates jump every 30 to 60 minutes", JUMP), ("that stay as they are", 0.0)]
)
def test_what_waiting_for_labels_costs(name: str, jump: float) -> None:
    found = [world(seed, jump=jump) for seed in SEEDS]
    # After how many labels a number is shown does not depend on the rate.
    where = [(each.at >= START + FROM_MS) & np.isfinite(each.served[:, PLACE["shown"]]) for each in found]
    rows = []
    for rate in RATES:
        options = ModelOptions(learning_rate=rate)
        sums: dict[str, list[float]] = {}
        counts: list[int] = []
        for each, judged in zip(found, where, strict=True):
            rooms, truth = each.field.block[judged], each.p_true[judged]
            for who, p in {
                "shipped": anew(each, options, window_ms=SHORTEST_MS),
                "waits": waits(each, options),
                "at once": at_once(each, options),
            }.items():
                off = divergence(truth, p[judged])
                sums.setdefault(who, []).extend(float(off[rooms == room].sum()) for room in np.unique(rooms))
            counts += [int(np.count_nonzero(rooms == room)) for room in np.unique(rooms)]
        drawn = draws(len(counts), DRAWS)
        ours, late, fresh = (np.array(of_room) for of_room in sums.values())
        excess = (f"{of_room.sum() / sum(counts):.4f}" for of_room in (ours, late, fresh))
        rows.append((f"{rate:g}", *excess, ratio(ours, late, drawn), ratio(fresh, late, drawn)))
    table(
        f"Excess log loss over the truth in rooms {name}, nats (to reach: 0.5 of waiting)",
        ("learning rate", "the shipped model", "waits", "told at once", "shipped / waits", "at once / waits"),
        rows,
        f"{len(SEEDS)} worlds of {ROOMS} rooms and {LOOKS:,} looks, {np.mean([each.field.outcome.mean() for each in found]):.1%} positive.",
    )


def ratio(above: Floats, below: Floats, drawn: NDArray[np.int64]) -> str:
    low, high = interval((drawn @ above / (drawn @ below))[:, None])
    return f"{above.sum() / below.sum():.2f} [{low[0]:.2f}, {high[0]:.2f}]"


def world(seed: int, *, jump: float) -> Shop:
    """Run the shipped learner behind the shipped joiner over one world."""
    dice = np.random.default_rng(seed)
    steps = HOURS * HOUR_MS // STEP_MS
    begins = dice.integers(0, steps * 5 // 8, ROOMS)
    ends = np.minimum(steps, begins + dice.integers(steps // 8, steps // 2, ROOMS))
    levels = levels_of(dice, steps, jump)
    weights = dice.normal(0.3, 0.6, len(SEEN))
    weights *= SPREAD / (WIDEST / np.sqrt(12.0) * np.linalg.norm(weights))
    base = base_of(dice.uniform(0.0, WIDEST, (100_000, len(SEEN))) @ weights)
    pace = LOOKS / float((ends - begins).sum())
    places = [NAMES.index(name) for name in SEEN]
    usual = np.zeros(len(NAMES))
    usual[NAMES.index("order_rate")] = np.log1p(1000.0 * USUAL_RATE)
    for name, value in NEUTRAL.items():
        usual[NAMES.index(name)] = value
    names = [f"sim/{room}" for room in range(ROOMS)]
    learner = Kept(SHIPPED, window_ms=SHORTEST_MS)
    joiner = Joiner(
        width=len(NAMES),
        columns=Kept.columns,
        horizon_ms=HOUR_MS,
        window_ms=SHORTEST_MS,
        room_of=names.__getitem__,
    )
    joiner.grow(LOOKS * 2)
    heard: list[tuple[int, int]] = []  # when, and of which row
    said: list[Floats] = []
    truth: list[Floats] = []
    happened: list[NDArray[np.bool_]] = []
    blocks: list[NDArray[np.int64]] = []
    moments: list[NDArray[np.int64]] = []
    row = 0
    for step in range(steps):
        now = START + step * STEP_MS
        for _, who in sorted(each for each in heard if each[0] < now):
            joiner.hear([who], str(who), Heard(What.SUCCESS, now - 1), now - 1)
        heard = [each for each in heard if each[0] >= now]
        open_rooms = np.flatnonzero((begins <= step) & (step < ends))
        room = np.repeat(open_rooms, dice.poisson(pace, len(open_rooms)))
        count = len(room)
        if count:
            inputs = np.tile(usual, (count, 1))
            inputs[:, places] = dice.uniform(0.0, WIDEST, (count, len(places)))
            p = sigmoid(base + inputs[:, places] @ weights + levels[room, step])
            rows, at = np.arange(row, row + count), np.full(count, now)
            row += count
            served = learner.serve(
                inputs, [names[each] for each in room.tolist()], np.zeros(count, np.int64), at
            )
            joiner.serve(rows, room.astype(np.int32), at, inputs.astype(np.float32), served)
            outcome = dice.random(count) < p
            chance = -np.expm1(-(6.0**0.8))  # of a delay within the hour
            delays = 600_000.0 * (-np.log1p(-chance * dice.random(count))) ** (1.0 / 0.8)
            heard += [
                (now + int(delays[each]) + 1, int(rows[each])) for each in np.flatnonzero(outcome).tolist()
            ]
            said.append(served.astype(np.float64))
            truth.append(p)
            happened.append(outcome)
            blocks.append(room)
            moments.append(at)
        learner.learn(joiner.resolve(now))
    columns = np.concatenate(said)
    columns[:, :LOGITS] = sigmoid(columns[:, :LOGITS])
    at = np.concatenate(moments)
    return Shop(
        field=Field(
            outcome=np.concatenate(happened),
            block=np.concatenate(blocks),
            hour=(at - START) // HOUR_MS,
            viewer=np.arange(len(at)),
        ),
        at=at,
        served=columns,
        p_true=np.concatenate(truth),
        final=np.zeros(len(at), np.int64),
        leads=np.zeros(0, np.bool_),
        calls=learner.calls,
    )


def levels_of(dice: np.random.Generator, steps: int, jump: float) -> Floats:
    """Return each room's level at each step: normal, drawn anew after 30 to 60 minutes; shape (rooms, steps)."""
    levels = np.zeros((ROOMS, steps))
    for room in range(ROOMS):
        step = 0
        while step < steps:
            length = int(dice.integers(1_800_000 // STEP_MS, 3_600_000 // STEP_MS + 1))
            levels[room, step : step + length] = dice.normal(0.0, jump)
            step += length
    return levels


def base_of(logits: Floats) -> float:
    """Return what must be added to logits for a share of :data:`RATE` to succeed."""
    low, high = -20.0, 5.0
    while high - low > 1e-6:
        middle = (low + high) / 2.0
        low, high = (middle, high) if float(sigmoid(logits + middle).mean()) < RATE else (low, middle)
    return low
