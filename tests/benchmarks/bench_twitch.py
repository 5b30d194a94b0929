"""How well the shipped model finds buyers in the recorded Twitch streams, beside what is easier and beside hindsight.

Run: ``make bench``, or alone ``pytest -s -o addopts=--import-mode=importlib tests/benchmarks/bench_twitch.py``
It skips where ``FRONTROW_RECORDINGS`` does not name a folder with the streams. With scikit-learn installed it also fits
the offline regression; without it that line is missing. It takes about three minutes of processor time, most of it for the
other orders.

What is measured: see ``twitch.py`` for snapshots and labels, ``judging.py`` for the measures. The engine learns from
the first broadcast on, and each score is what it served at that moment. All lines of a table are judged on the same
snapshots. The table that counts is that of the second half of the broadcasts, which the offline regression has not
seen.

- *base rate*: the share of positives among the labels known at that moment; it ranks by nothing but time.
- *points alone*: the shipped points table.
- *last-comment recency*: how short ago the viewer wrote before the comment for which the snapshot was taken. The time
  since that comment itself is the same for all: snapshots are taken when somebody writes.
- *offline regression*: scikit-learn's LogisticRegression with its default penalty on the same features, scaled, fitted
  on all labels of the first half at once and then left as it is; and the same with the penalty that does best in
  cross-validation by broadcast within the first half.

*precision@10* is of each hour of a broadcast the ten viewers with the highest scores, each once, by the highest
snapshot; equal scores share their places. There are few positives: ten broadcasts have some 70 positive snapshots of
some 25 viewers in an hour, so one viewer more or less among the ten of 40 hours is 0.0025. Read the intervals.

Ten broadcasts have too few buyers to tell two good scores apart. So the same is asked of the twenty in other orders, each again
learnt from the first on and judged on its last ten; they share their buyers, so that they are no twelve witnesses, but no score is
lucky in the one order that came.
"""

import importlib
import importlib.util
import random
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from frontrow.core.events import Event
from tests.benchmarks.harness import table
from tests.benchmarks.judging import (
    MEASURES,
    Flags,
    Floats,
    Judgement,
    among,
    cells,
    draws,
    interval,
    ratio_of_means,
    sampled,
)
from tests.benchmarks.twitch import Recorded, base_rate, in_order_of, read, recorded, served_of

pytestmark = pytest.mark.timeout(900)

DRAWS = 1_000
PENALTIES = (1.0, 0.1, 0.01, 0.001)  # scikit-learn's C: smaller is stronger
ORDERS = 11  # others than the one that came
OURS = "the shipped model, online"


@pytest.fixture(scope="module")
def events(recordings: Path) -> list[Event]:
    files = sorted((recordings / "streams" / "twitch").glob("*.ndjson*"))
    if not files:
        pytest.skip(f"no recorded Twitch streams in {recordings}")
    return read(files)


@pytest.fixture(scope="module")
def streams(events: list[Event]) -> Recorded:
    return recorded(events, served_of(events))


def test_judgement_on_the_second_half(streams: Recorded) -> None:
    """The issue's row."""
    half = second_half(streams)
    scores = baselines(streams) | offline(streams, ~half)
    show(f"Twitch, the last {streams.broadcasts - streams.broadcasts // 2} broadcasts", streams, scores, half)


def test_judgement_on_all_broadcasts(streams: Recorded) -> None:
    """From the first event on, when nothing has been learnt yet."""
    everything = np.ones(len(streams.at), np.bool_)
    show(f"Twitch, all {streams.broadcasts} broadcasts", streams, baselines(streams), everything)


def test_judgement_in_other_orders(events: list[Event], streams: Recorded) -> None:
    """The second half of the same broadcasts, had they come in other orders; the mean of the orders."""
    found: dict[str, list[Floats]] = {}
    for order in range(ORDERS + 1):
        if order:
            shuffled = in_order_of(events, random.Random(order))
            streams = recorded(shuffled, served_of(shuffled))
        half = second_half(streams)
        field = among(streams.field, half)
        for name, score in (baselines(streams) | offline(streams, ~half)).items():
            name = name.partition("=")[0]  # the penalty that does best is not the same in all
            found.setdefault(name, []).append(Judgement(field, score[half]).measures())
    rows = []
    for name, measures in found.items():
        ahead = np.mean(np.array(found[OURS]) > np.array(measures), axis=0)
        shares = "" if name == OURS else " ".join(f"{share:.0%}" for share in ahead)
        rows.append((name, *(f"{value:.4f}" for value in np.mean(measures, axis=0)), shares))
    table(
        f"Twitch, the last {streams.broadcasts - streams.broadcasts // 2} broadcasts, mean of {ORDERS + 1} orders",
        ("score", *MEASURES, "orders in which the shipped model is ahead"),
        rows,
    )


def second_half(streams: Recorded) -> Flags:
    """Return which snapshots are of the broadcasts that came last."""
    half: Flags = streams.field.block >= streams.field.blocks[streams.broadcasts // 2]
    return half


def baselines(streams: Recorded) -> dict[str, Floats]:
    """Return the scores that need no learning, and ours first."""
    return {
        OURS: streams.probability,
        "base rate": base_rate(streams),
        "points alone": streams.points,
        "last-comment recency": -streams.quiet_ms,
    }


def offline(streams: Recorded, first_half: Flags) -> dict[str, Floats]:
    """Return the scores of regressions fitted on the first half, by name; none without scikit-learn."""
    if importlib.util.find_spec("sklearn") is None:
        print("\nscikit-learn is not installed: no offline regression")
        return {}
    linear, pipeline, scaling, search = (
        importlib.import_module(f"sklearn.{name}")
        for name in ("linear_model", "pipeline", "preprocessing", "model_selection")
    )
    inputs, outcome = streams.features[first_half], streams.field.outcome[first_half]
    blocks = streams.field.block[first_half]
    plain = pipeline.make_pipeline(scaling.StandardScaler(), linear.LogisticRegression(max_iter=10_000))
    tuned = search.GridSearchCV(
        plain,
        {"logisticregression__C": PENALTIES},
        scoring="roc_auc",
        cv=search.GroupKFold(min(5, len(set(blocks.tolist())))),
    )
    plain.fit(inputs, outcome)
    tuned.fit(inputs, outcome, groups=blocks)
    chosen = tuned.best_params_["logisticregression__C"]
    return {
        "offline regression": plain.decision_function(streams.features),
        f"offline regression, C={chosen:g}": tuned.decision_function(streams.features),
    }


def show(title: str, streams: Recorded, scores: Mapping[str, Floats], where: Flags) -> None:
    """Print how each score does on the snapshots at ``where``, and how far ours is ahead of each other."""
    field = among(streams.field, where)
    drawn = draws(len(field.blocks), DRAWS)
    judged = {name: Judgement(field, score[where]) for name, score in scores.items()}
    samples = {name: sampled(judgement, drawn) for name, judgement in judged.items()}
    values = {name: judgement.measures() for name, judgement in judged.items()}
    rows = [(name, *cells(values[name], *interval(samples[name]))) for name in scores]
    table(
        f"{title}: each score, with the interval of 95 % of draws of broadcasts",
        ("score", *MEASURES),
        rows,
        f"{len(field.outcome):,} snapshots, {np.count_nonzero(field.outcome):,} positive "
        f"({field.outcome.mean():.2%}); in all broadcasts {streams.outcomes} outcomes with a snapshot before them.",
        f"mean probability over mean outcome: {ratio_of_means(streams.probability[where], field.outcome):.2f}",
    )
    ahead = []
    for name in scores:
        if name != OURS:
            difference = samples[OURS] - samples[name]
            shares = " ".join(f"{share:.0%}" for share in np.nanmean(difference > 0, axis=0))
            ahead.append((name, *cells(values[OURS] - values[name], *interval(difference)), shares))
    table(
        f"{title}: how far the shipped model is ahead (to reach: above 0 everywhere)",
        ("of", *MEASURES, "draws ahead"),
        ahead,
    )
