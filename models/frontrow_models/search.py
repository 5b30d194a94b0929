"""A search for a model's options on recorded lessons: what was served and resolved, learnt again by other options.

What is searched is judged progressively, as the daemon judges: each final outcome by the probability that was served
when nobody knew it. A model that was chosen because it did well on some labels must be judged on others; so a record
ends at a time, and whoever uses the result judges it by what was served after that.

Optuna is an extra, and imported only here, when something is searched.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from frontrow.core.errors import FrontrowError
from frontrow.core.lessons import Lessons, Served, Stage
from frontrow.core.scoring import sigmoid
from frontrow_models.evaluation.reliability import log_loss
from frontrow_models.learner import Learner
from frontrow_models.online import ModelOptions
from frontrow_models.served import SERVED

MOST = 300_000  # snapshots in a record; 60 MB
SEED = 0
WARMING = 0.5  # of what is searched on, the share that only warms a model up: early labels would favour haste
RAW = [column.name for column in SERVED].index("champion")
POINTS = [column.name for column in SERVED].index("points")
# Of the options, where it is worth looking: an order of magnitude to both sides of the defaults.
RATES, PENALTIES, WARM_UPS = (0.001, 0.2), (1e-6, 1e-2), (100, 2_000)


# What a search may choose; whoever tells of options tells of these as found.
SEARCHABLE = frozenset({"learning_rate", "l2", "warm_up"})

# Lets a new learner with these options go on from something that has learnt before.
Begin = Callable[[Learner, ModelOptions], None]


class OptunaMissing(FrontrowError):
    """Optuna is not installed."""


class NothingToSearch(FrontrowError):
    """The record has no final outcomes of both kinds to judge by."""


@dataclass
class Record:
    """What was served and resolved, in order. Bounded: after ``MOST`` snapshots nothing more is taken."""

    served: list[tuple[Served, list[str]]] = field(default_factory=list)
    calls: list[tuple[int, Lessons | None]] = field(
        default_factory=list
    )  # (place in served, None) or (-1, lessons)
    snapshots: int = 0
    full: bool = False

    def serve(self, served: Served, rooms: list[str]) -> None:
        """Take what was served; ``rooms`` are "platform/room" of each."""
        self.full = self.full or self.snapshots + len(served) > MOST
        if not self.full:
            self.calls.append((len(self.served), None))
            self.served.append((served, rooms))
            self.snapshots += len(served)

    def learn(self, lessons: Lessons) -> None:
        """Take lessons; their inputs and what was served are found again by their snapshots."""
        if not self.full:
            bare = replace(
                lessons,
                inputs=np.zeros((len(lessons), 0), np.float32),
                served=np.zeros((len(lessons), 0), np.float32),
            )
            self.calls.append((-1, bare))

    def split(self, share: float, until: int | None = None) -> int:
        """Return the engine time before which a share of the final outcomes became final; 0 without any.

        With ``until`` only those that were final before it count.
        """
        final = [each.take(each.stage == Stage.MATURE) for _, each in self.calls if each is not None]
        kept = [each.take(each.resolved_at < until) for each in final] if until is not None else final
        times = np.sort(np.concatenate([np.zeros(0, np.int64), *(each.resolved_at for each in kept)]))
        return int(times[int(share * (len(times) - 1))]) if len(times) else 0


def progressive_loss(
    record: Record, options: ModelOptions, *, window_ms: int, until: int, begin: Begin | None = None
) -> float | None:
    """Return the log loss that a learner with these options would have had on what was final before ``until``.

    Of its champion, raw, on the later half of them; None where there was no outcome, or nothing else. ``begin`` lets it
    go on from something that has learnt before; without, it begins from nothing.
    """
    if not record.served:
        return None
    learner = Learner(options, window_ms=window_ms)
    if begin is not None:
        begin(learner, options)
    first = int(record.served[0][0].snapshot[0])
    inputs = np.concatenate([each.inputs for each, _ in record.served])
    said = np.zeros((len(inputs), len(SERVED)), np.float32)
    since = record.split(WARMING, until)
    scores: list[NDArray[Any]] = []
    outcomes: list[NDArray[np.bool_]] = []
    for place, lessons in record.calls:
        if lessons is None:
            served, rooms = record.served[place]
            points = served.served[:, POINTS].astype(np.int64)
            said[served.snapshot - first] = learner.serve(
                served.inputs.astype(np.float64), rooms, points, served.served_at
            )
            continue
        if not len(lessons):
            continue
        known = lessons.take(lessons.resolved_at < until)
        if not len(known):
            break  # lessons come in the order of resolution, so what follows is of the other part
        where = known.snapshot - first
        whole = replace(known, inputs=inputs[where], served=said[where])
        learner.learn(whole)
        final = whole.take((whole.stage == Stage.MATURE) & (whole.resolved_at >= since))
        scores.append(final.served[:, RAW].astype(np.float64))
        outcomes.append(final.outcome)
    if not outcomes:
        return None
    happened = np.concatenate(outcomes)
    if happened.all() or not happened.any():
        return None
    return log_loss(sigmoid(np.concatenate(scores)), happened)


def load_optuna() -> Any:
    """Return Optuna; ask before a record is made, which takes as long as its input is.

    Raises:
        OptunaMissing: Install ``frontrow[search]``.
    """
    try:
        return import_module("optuna")
    except ModuleNotFoundError as error:
        raise OptunaMissing("Optuna is not installed: pip install 'frontrow[search]'") from error


def search(
    record: Record,
    start: ModelOptions,
    *,
    window_ms: int,
    until: int,
    trials: int,
    begin: Begin | None = None,
    on_trial: Callable[[int, float], None] = lambda _number, _best: None,
) -> ModelOptions:
    """Return the best of so many options by :func:`progressive_loss` before ``until``; ``start`` is tried first, within the
    bounds of the search.

    With ``begin`` each trial goes on from that, and ``warm_up`` stays as it is in ``start``: what goes on has a scaler.
    The same record gives the same options. ``on_trial`` is told each trial's number and the lowest loss so far.

    Raises:
        OptunaMissing: Install ``frontrow[search]``.
        NothingToSearch: Nothing is final before ``until``.
    """
    optuna = load_optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if progressive_loss(record, start, window_ms=window_ms, until=until, begin=begin) is None:
        raise NothingToSearch("too little is final in the first part of the input to search by")

    def options_of(values: dict[str, Any]) -> ModelOptions:
        return msgspec.structs.replace(start, **values)

    def objective(trial: Any) -> float:
        values = {
            "learning_rate": trial.suggest_float("learning_rate", *RATES, log=True),
            "l2": trial.suggest_float("l2", *PENALTIES, log=True),
        }
        if begin is None:
            values["warm_up"] = trial.suggest_int("warm_up", *WARM_UPS, log=True)
        loss = progressive_loss(record, options_of(values), window_ms=window_ms, until=until, begin=begin)
        return float("inf") if loss is None else loss

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=SEED), direction="minimize")
    first: dict[str, Any] = {
        "learning_rate": min(max(start.learning_rate, RATES[0]), RATES[1]),
        "l2": min(max(start.l2, PENALTIES[0]), PENALTIES[1]),
    }
    if begin is None:
        first["warm_up"] = min(max(start.warm_up, WARM_UPS[0]), WARM_UPS[1])
    study.enqueue_trial(first)
    study.optimize(
        objective,
        n_trials=trials,
        callbacks=[lambda done, trial: on_trial(trial.number + 1, float(done.best_value))],
    )
    return options_of(study.best_params)
