"""What only a simulated shop can tell: whether probabilities are true, what waiting for labels costs, what a paid crowd does.

Run: ``make bench``, or alone ``pytest -s -o addopts=--import-mode=importlib tests/benchmarks/bench_shop.py``
It takes about nine minutes of processor time: eight worlds of six rooms of 1,200 viewers over four hours, once as
they are, once without a planned end and once with a paid crowd of 20 % of the viewers on top; one world of rooms of
6,000; and two single rooms of 1,000 over two hours, under the shocks and drift of the simulator's defaults; the
outcome is an order within an hour. How the engine runs and what is kept of it: ``shop.py``. All but the first table
are judged on snapshots served after the first 5,000 final labels of their world. Worlds share nothing but their kind:
what is said of them is of their 48 rooms together.

**Ranking.** Of all snapshots from the first on, when nothing is learnt: the model's raw probability, points alone, and the
truth. Pooled, and of snapshots of one room within five minutes (pairs; each counts once), which is what a host sees:
pooled areas also tell how the room's rate moved. *precision@10*: of each hour of a room the ten viewers with the
highest scores.

**Calibration.** ECE over bins of equal mass (``calibration_error``). A room-hour counts where Σp ≥ 20; its ratio is Σp / Σy. Since an order
is the outcome of several snapshots, twenty positives are a handful of orders, and chance alone throws the ratio out
of [0.8, 1.25]: the truth's own share within it, Σp* / Σy, is the most that can be reached. Σp / Σp* is free of that
chance. In the last hour of a broadcast the truth falls, since nobody orders when it is over, and nothing that is seen
tells when it will be: the same is also said of the hours before it. In rooms of 6,000 the truth itself reaches the
band, and what is missing is the model's own.

**The planned end.** Rooms tell how long they mean to broadcast and keep to it within some ten minutes (``Scenario.plan_off_min``): what
the model makes of that is told beside the same worlds in which nobody tells it.

**Waiting.** The excess log loss over the truth is the mean Kullback-Leibler divergence of what was said (p) from the truth
(p*): ``E = mean(p* ln(p*/p) + (1-p*) ln((1-p*)/(1-p)))``, the expectation of the difference of log losses over the
outcomes, without their noise. A model of what can be seen never reaches 0. So three that differ in nothing but when
they learn are compared on the same snapshots: the shipped one; one that *waits* for the full hour; one that is told
each outcome *at once*, which nobody can be. ``E shipped / E waiting`` holds the floor in both parts; ``(E shipped - E
at once) / (E waiting
- E at once)`` is the share of what waiting costs that the shipped one still pays. Rooms' levels (``frontrow_models.levels``) are followed by the shipped one, and with all
outcomes by the one that is told at once; an hour late there are none. A fourth learns each outcome *as it comes* and
never takes a late one for none, without levels: what a policy of labels could at best make of what it hears, told
when this one tells it. Intervals draw rooms with replacement; six of one world are rough, so eight worlds are taken.

**Crowd.** The paid viewers come on top; all others do the very same with and without them (same seed). *Hot viewers* are
those whom the product calls so, by the points table unless configured otherwise: the leads; their precision is the
share that ordered within an hour of it. precision@10 as above tells what a list in the order of the probability would
have lost.
"""

from typing import NamedTuple

import numpy as np
import pytest

from frontrow_models.evaluation.ranking import roc_auc
from frontrow_models.evaluation.reliability import calibration_error, reliability_curve
from frontrow_models.simulate import Scenario, room_names
from tests.benchmarks.harness import table
from tests.benchmarks.judging import Flags, Floats, Judgement, among, draws, interval
from tests.benchmarks.shop import PLACE, Shop, as_they_come, at_once, shop, together, waits

pytestmark = pytest.mark.timeout(1_800)

SEEDS = 7, 8, 9, 10, 11, 12, 13, 14
SMALL = 11, 12  # seeds of single rooms
LABELS = 5_000  # final ones, from which on what is shown must be true
LEAST = 20.0  # expected positives of a room-hour
BAND = 0.8, 1.25
DRAWS = 1_000
KINDS = {"plain": "the end planned", "unplanned": "no end planned", "large": "rooms of 6,000"}
NEAR_MS = 300_000


class Worlds(NamedTuple):
    """Worlds, and all snapshots of them as one run of all their rooms; that has no calls, which are of one learner."""

    each: list[Shop]
    together: Shop


def worlds(paid: float = 0.0, *, plan_off_min: float | None = 10.0) -> Worlds:
    found = [
        shop(
            Scenario(
                seed=seed,
                viewers=1_200,
                events_per_s=4.0,
                rooms=room_names(6),
                duration_s=4 * 3600,
                paid=paid,
                plan_off_min=plan_off_min,
            )
        )
        for seed in SEEDS
    ]
    return Worlds(found, together(found))


@pytest.fixture(scope="module")
def plain() -> Worlds:
    return worlds()


@pytest.fixture(scope="module")
def unplanned() -> Worlds:
    return worlds(plan_off_min=None)


@pytest.fixture(scope="module")
def large() -> Worlds:
    one = Scenario(seed=SEEDS[0], viewers=6_000, events_per_s=20.0, rooms=room_names(6), duration_s=4 * 3600)
    found = [shop(one)]
    return Worlds(found, found[0])


def test_ranking(plain: Worlds) -> None:
    ranking("48 rooms of eight simulated worlds from the first snapshot on", plain.together)


@pytest.mark.parametrize("seed", SMALL)
def test_ranking_of_one_small_room(seed: int) -> None:
    """A host's first broadcast: some hundred orders, and nothing learnt anywhere before."""
    alone = shop(Scenario(seed=seed, viewers=1_000, events_per_s=3.0, duration_s=2 * 3600))
    ranking(f"One simulated shop, two hours, seed {seed}", alone)


def ranking(title: str, plain: Shop) -> None:
    """Print how the scores rank all snapshots."""
    scores = {
        "the model, raw": plain.served[:, PLACE["champion"]],
        "points alone": plain.served[:, PLACE["points"]],
        "base rate": plain.served[:, PLACE["base_rate"]],
        "recency (fading comments)": plain.served[:, PLACE["recency"]],
        "the truth": plain.p_true,
    }
    begun = plain.at < np.min(plain.at) + 20 * 60_000
    rows = []
    for name, score in scores.items():
        measures = Judgement(plain.field, score).measures()
        near = [_near(plain, score, where) for where in (begun, np.ones(len(begun), np.bool_))]
        rows.append([name, *(f"{value:.3f}" for value in (*near, *measures))])
    head = ("score", "ROC AUC near, first 20 min", "near, all", "pooled", "PR AUC", "precision@10")
    table(title, head, rows, _told(plain))


@pytest.mark.parametrize("which", ["plain", "unplanned", "large"])
def test_what_is_shown_is_true(which: str, request: pytest.FixtureRequest) -> None:
    plain: Shop = request.getfixturevalue(which).together
    where = _after(plain)
    shown, truth = plain.served[where, PLACE["shown"]], plain.p_true[where]
    field = among(plain.field, where)
    errors = [calibration_error(reliability_curve(p, field.outcome)) for p in (shown, truth)]
    group = field.block * 1_000 + field.hour
    keys = np.unique(group)
    sums = np.array([[p[group == key].sum() for p in (shown, truth, field.outcome)] for key in keys])
    counted = sums[:, 0] >= LEAST
    # What is told at the very end is of an hour that there is not.
    before = counted & (keys % 1_000 < np.max(plain.field.hour[plain.at < np.max(plain.at)]))
    ratios = {
        f"{name}{when}": sums[which, above] / sums[which, below]
        for when, which in (("", counted), (", before the last hour", before))
        for name, above, below in (
            ("shown / what came", 0, 2),
            ("shown / truth", 0, 1),
            ("truth / what came (chance alone)", 1, 2),
        )
    }
    sums = sums[counted]
    table(
        f"Calibration after {LABELS:,} final labels, {KINDS[which]}",
        ("room-hours' ratio", f"within [{BAND[0]}, {BAND[1]}]", "least", "median", "most"),
        [
            (name, f"{_within(found):.0%}", *(f"{end:.2f}" for end in np.quantile(found, [0.0, 0.5, 1.0])))
            for name, found in ratios.items()
        ],
        f"ECE {errors[0]:.4f} (to reach: < 0.02); of the truth itself {errors[1]:.4f}. Overall ratio {shown.sum() / field.outcome.sum():.2f}.",
        f"{len(sums)} room-hours with at least {LEAST:.0f} expected positives (to reach: 90 % within). {_told(plain)}",
    )


@pytest.mark.parametrize("which", ["plain", "unplanned", "large"])
def test_what_waiting_for_labels_costs(which: str, request: pytest.FixtureRequest) -> None:
    found: Worlds = request.getfixturevalue(which)
    plain = found.together
    where = _after(plain)
    truth, room = plain.p_true[where], plain.field.block[where]
    said = {
        "the shipped model": plain.served[where, PLACE["shown"]],
        "waits for the full hour": np.concatenate([waits(world) for world in found.each])[where],
        "is told at once": np.concatenate([at_once(world) for world in found.each])[where],
        "as they come, none in vain": np.concatenate([as_they_come(world) for world in found.each])[where],
    }
    blocks = np.unique(room)
    drawn = draws(len(blocks), DRAWS)
    sums = {
        name: np.array([divergence(truth, p)[room == block].sum() for block in blocks])
        for name, p in said.items()
    }
    count = np.array([np.count_nonzero(room == block) for block in blocks])
    whole = np.ones((1, len(blocks)), np.int64)
    ours, late, fresh, best = sums.values()
    rows = []
    for name, of_room in sums.items():
        low, high = interval((drawn @ of_room / (drawn @ count))[:, None])
        rows.append((name, f"{float(of_room.sum()) / float(count.sum()):.4f} [{low[0]:.4f}, {high[0]:.4f}]"))
    for name, above, below in (
        ("shipped / waiting", ours, late),
        ("(shipped - at once) / (waiting - at once)", ours - fresh, late - fresh),
        ("(as they come - at once) / (waiting - at once)", best - fresh, late - fresh),
    ):
        low, high = interval((drawn @ above / (drawn @ below))[:, None])
        value = (whole @ above / (whole @ below))[0]
        rows.append((name, f"{value:.2f} [{low[0]:.2f}, {high[0]:.2f}]"))
    table(
        f"Excess log loss over the truth, nats (to reach: 0.5 of waiting), {KINDS[which]}",
        ("", "E"),
        rows,
        _told(plain),
    )


def test_a_paid_crowd(plain: Worlds) -> None:
    crowded = worlds(paid=0.2)
    found = {}
    for name, column in (("shown", "shown"), ("points alone", "points")):
        found[name] = [_precision(each.together, column) for each in (plain, crowded)]
    hot = [float(each.together.leads.mean()) for each in (plain, crowded)]
    rows = {"hot viewers (leads)": hot}
    rows |= {f"precision@10, {name}": pair for name, pair in found.items()}
    table(
        "Precision under a paid crowd of 20 % (to reach, of hot viewers: 10 % less at most)",
        ("", "without", "with", "drop"),
        [
            (name, f"{without:.3f}", f"{beset:.3f}", f"{1 - beset / without:+.1%}")
            for name, (without, beset) in rows.items()
        ],
        f"{len(plain.together.leads):,} leads without the crowd, {len(crowded.together.leads):,} with it.",
        _told(plain.together),
        _told(crowded.together),
    )


def _after(found: Shop) -> Flags:
    """Return which snapshots were served after enough final labels, and with a number shown."""
    after: Flags = (found.final >= LABELS) & np.isfinite(found.served[:, PLACE["shown"]])
    return after


def _precision(found: Shop, column: str) -> float:
    where = _after(found)
    judgement = Judgement(among(found.field, where), found.served[where, PLACE[column]])
    return float(judgement.measures()[2])


def _near(found: Shop, score: Floats, where: Flags) -> float:
    """Return the area among snapshots of one room within five minutes, each such span weighing as its pairs."""
    group = found.field.block * 100_000 + found.at // NEAR_MS % 100_000
    right = pairs = 0.0
    for key in np.unique(group[where & found.field.outcome]):
        some = where & (group == key)
        area = roc_auc(score[some], found.field.outcome[some])
        if area is not None:
            positives = np.count_nonzero(found.field.outcome[some])
            weight = positives * (np.count_nonzero(some) - positives)
            right, pairs = right + weight * area, pairs + weight
    return right / pairs


def divergence(truth: Floats, said: Floats) -> Floats:
    """Return the Kullback-Leibler divergence of each probability from the truth, in nats."""
    p = np.clip(said, 1e-9, 1.0 - 1e-9)
    q = np.clip(truth, 1e-12, 1.0 - 1e-12)
    result: Floats = q * np.log(q / p) + (1.0 - q) * np.log((1.0 - q) / (1.0 - p))
    return result


def _within(ratios: Floats) -> float:
    return float(np.mean((ratios >= BAND[0]) & (ratios <= BAND[1])))


def _told(found: Shop) -> str:
    outcome = found.field.outcome
    return f"{len(outcome):,} snapshots, {np.count_nonzero(outcome):,} positive ({outcome.mean():.1%}), {len(found.field.blocks)} rooms."
