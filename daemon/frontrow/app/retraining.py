"""``frontrow retrain``: learn an input as the daemon would have, judge it as it goes, and keep what it has become.

Every probability is judged that was served before its outcome was known, so the whole input serves to learn and to
judge by. Two are different. What goes on from a version is judged, and searched, only by what was served after that
one was made: the rest it may have learnt already. And options are chosen on the first part of the time, so after a
search the figures are of the rest.

The version is what the model is at the end. It holds no time but the input's own, so the same input gives the same
name.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from frontrow.app.backtesting import Intervals, compared_of, intervals_of, report_lines
from frontrow.app.inputs import Inputs
from frontrow.app.models import ledger_of
from frontrow.app.offline import (
    MODEL_OPTIONS,
    Counts,
    Final,
    Learning,
    NotingLearner,
    Sessions,
    Watcher,
    options_of,
    part_of,
    rows_of,
    run,
    shortest_window_of,
)
from frontrow.app.parts import outcome_of
from frontrow.app.terminal import Bar
from frontrow.config import Config
from frontrow.core.engine import Effects, Engine
from frontrow.core.errors import FrontrowError
from frontrow.core.lessons import Lessons, Served, Stage
from frontrow.core.scoring import Matrix
from frontrow_models.evaluation.rolling import Report, report
from frontrow_models.evaluation.verdict import Verdict, compare, verdict
from frontrow_models.learner import Learner
from frontrow_models.online import ModelOptions, OnlineModel
from frontrow_models.policies import DelayPolicy
from frontrow_models.registry import Registry
from frontrow_models.search import RAW, SEARCHABLE, Begin, NothingToSearch, Record, load_optuna, search
from frontrow_models.served import SERVED
from frontrow_models.versions import (
    Card,
    Outcome,
    Position,
    Version,
    VersionRefused,
    check_outcome,
    fits,
    from_version,
    to_version,
)

SEARCHED = 0.6  # of the final outcomes, those that options are searched on: the first in time
COMPARED = 200_000  # labels, the last ones, over which champion and new model are compared
FIGURES = ("roc_auc", "pr_auc", "precision", "log_loss", "calibration_error")


class RetrainRefused(FrontrowError):
    """There is nothing to learn; the message says why."""


@dataclass(frozen=True, slots=True)
class Retrained:
    """A version that was kept, and how it stands.

    ``report`` is of what was served at or after ``judged_from`` (UTC ms; 0: of everything), ``compared`` the part of
    it in which columns can be compared: the card's figures. ``final`` labels there were, whenever they were served, of
    the last :data:`frontrow.app.offline.FINAL`. ``searched``: the options that a search chose, None
    without one. ``overruled``: of its parent's options those that are configured otherwise, each as (the parent's,
    the configured). ``against`` compares it with the champion, None where none was promoted or the champion cannot be
    computed here; ``champion`` is its name, ``champion_predicts`` what it was learnt for, None where it does not tell.
    """

    name: str
    version: Version
    report: Report
    compared: Report
    intervals: Intervals
    judged_from: int
    final: int
    searched: ModelOptions | None
    overruled: Mapping[str, tuple[float, float]]
    champion: str | None
    champion_predicts: Outcome | None
    against: Verdict | None


def retrain(
    inputs: Inputs,
    config: Config,
    registry: Registry,
    *,
    start: str | None = None,
    trials: int = 0,
    progress: Bar | None = None,
    on_trial: Callable[[int, float], None] = lambda _number, _best: None,
) -> Retrained:
    """Learn the input, from scratch or from a version, and add what came of it to the registry.

    ``start`` is a version's name, with its options; ``trials`` options are searched first. The champion is that of the
    configured store's journal. A version's time is never before its parent's: it knows what that one knew.

    Raises:
        RetrainRefused: The model is switched off, or has seen too little to be kept.
        VersionRefused: There is no such version, this build cannot compute with it, or it predicts another outcome.
        OptunaMissing: A search needs the extra.
        NothingToSearch: There is too little to search on.
        OSError: A file cannot be read, or the version not be kept.
    """
    if not config.model.enabled:
        raise RetrainRefused("model.enabled is false: there is no model to learn")
    parent = None if start is None else registry.load(start)
    options, judged_from = options_of(config), 0
    if start is not None and parent is not None:
        check_outcome(parent, outcome_of(config), start[:12])
        options, judged_from = _options_in(parent), parent.created_at + 1
    searched: ModelOptions | None = None
    if trials:
        searched, judged_from = _search(
            inputs, config, options, parent, judged_from, trials, progress, on_trial
        )
        options = searched
    learner = NotingLearner(options, window_ms=shortest_window_of(config))
    if parent is not None:
        begin_from(learner, parent, options)
    name_of_champion, champion_predicts, rival = _champion(registry, config, judged_from)
    counts, final = Counts(), Final()
    watchers: list[Watcher] = [counts, final, *([] if rival is None else [rival])]
    if progress is not None:
        progress.begin("learning")
    engine = run(inputs, config, watchers, progress=progress, learner=learner)
    model = online_of(learner, options)
    if not model.warm:
        raise RetrainRefused(
            f"the model begins to learn after {options.warm_up:,} snapshots, and the input has fewer"
        )
    lessons = final.lessons
    judged = None if lessons is None else lessons.take(lessons.served_at >= judged_from)
    told, compared, sure = _judged(judged, waiting=len(engine.labels))
    held = 0 if lessons is None else len(lessons)
    text = card_text(counts, config, compared, start, searched=searched is not None, final=held)
    card = Card(text=text, figures=figures_of(compared))
    version = to_version(
        model,
        journal=Position(seq=inputs.seq, at=engine.now),
        parents=[] if start is None else [start],
        label_policy=learner.state()["label_policy"],
        calibration=learner.state()["calibration"],
        card=card,
        outcome=outcome_of(config),
    )
    if parent is not None:
        version = msgspec.structs.replace(version, created_at=max(version.created_at, parent.created_at))
    name = registry.add(version)
    against = None if rival is None else rival.verdict()
    return Retrained(
        name,
        version,
        told,
        compared,
        sure,
        judged_from,
        held,
        searched,
        {} if parent is None else _overruled(options, config, searched=searched is not None),
        name_of_champion,
        champion_predicts,
        against,
    )


def begin_from(learner: Learner, version: Version, options: ModelOptions) -> None:
    """Let a new learner go on from a version, with its own options: its weights, calibration and delays.

    Delays that were counted within another shortest window are left, as a promotion leaves them.
    """
    images = learner.images()
    meta = dict(images["learner"].meta)
    if learner.can_take_delays(version):
        meta["policy"] = version.label_policy
    if version.calibration is not None and set(version.calibration) == set(meta["calibrator"]):
        meta["calibrator"] = version.calibration
    online = from_version(version).image()
    canonical = online.meta["canonical"] | {"options": OnlineModel(options).state()["options"]}
    learner.load({
        **images,
        "learner": replace(images["learner"], meta=meta),
        "online": replace(online, meta=online.meta | {"canonical": canonical}),
    })  # fmt: skip


def online_of(learner: Learner, options: ModelOptions) -> OnlineModel:
    """Return a copy of a learner's model, which is what a version is made of."""
    model = OnlineModel(options)
    model.load(learner.images()["online"])
    return model


def figures_of(told: Report) -> dict[str, float]:
    """Return a report's figures by dotted name, those that there are: ``shown.roc_auc``, ``points.precision``."""
    found: dict[str, float] = {"judged.labels": float(told.labels)}
    for column in told.columns:
        for name in FIGURES:
            value = getattr(column, name)
            if value is not None:
                found[f"{column.column}.{name}"] = float(value)
        if column.ratio is not None and column.ratio.value is not None:
            found[f"{column.column}.calibration_ratio"] = float(column.ratio.value)
        if column.labels:  # not all stand on the same looks: a model says nothing before it is ready
            found[f"{column.column}.labels"] = float(column.labels)
            found[f"{column.column}.outcomes"] = float(column.outcomes)
    return found


def card_text(
    counts: Counts, config: Config, told: Report, start: str | None, *, searched: bool, final: int
) -> str:
    """Return the model card in words; it names no file and no viewer."""
    widest = max(told.columns, key=lambda column: column.labels, default=None)
    after = "" if start is None else " after its parent was made"
    if widest is None:
        judged = _unjudged(final, child=start is not None, searched=searched)
    else:
        judged = (
            f"Its options were searched on the first part of the time{after}; the figures are of what was served after that."
            if searched
            else f"Judged progressively{after and f' on what was served{after}'}: each probability was served before its outcome was known."
        )
        last = f" (the last of {told.final:,})" if told.final > told.labels else ""
        judged += f" {widest.labels:,} labels{last}, {widest.outcomes:,} distinct outcomes."
    origin = "from scratch" if start is None else "on from its parent"
    hours = (counts.end - counts.begin) / 3_600_000
    lines = (
        f"Predicts {outcome_of(config)}.",
        f"Learnt by frontrow retrain {origin}: {counts.events:,} events over {hours:.1f} hours.",
        judged,
        *(["What it must beat stands beside it: base_rate, points, recency."] if widest is not None else []),
        "Orders viewers of rooms like these; says nothing of rooms, prices or seasons that it has not seen.",
    )
    return "\n".join(lines) + "\n"


def lines_of(found: Retrained) -> list[str]:
    """Return what was learnt as a person reads it."""
    lines = [f"version {found.name}"]
    child = bool(found.version.parents)
    if found.overruled:
        told = (
            f"{name} {own:g} (configured {configured:g})"
            for name, (own, configured) in found.overruled.items()
        )
        lines.append(
            f"Its parent's options of the model hold, and not the configured ones: {', '.join(told)}."
        )
    if found.searched is not None:
        options = found.searched
        warm_up = "" if child else f", warm_up {options.warm_up}"
        lines.append(
            f"options found: learning_rate {options.learning_rate:.4g}, l2 {options.l2:.3g}{warm_up}"
            f" (searched on the first part of the time{', judged on the rest' * bool(found.report.labels)})"
        )
    if found.judged_from and found.final and not found.report.labels:
        lines += ["", _unjudged(found.final, child=child, searched=found.searched is not None), ""]
    else:
        lines += ["", *report_lines("progressively", found.report, found.compared, found.intervals)]
        if child and found.searched is None and found.report.labels:
            lines.append(
                f"Judged by {found.report.labels:,} of {found.final:,} final labels, those served after the parent was made."
            )
        lines.append("")
    if found.champion is None:
        lines.append("No version was promoted yet: there is no champion to compare it with.")
    elif found.against is None:
        lines.append(f"The champion {found.champion[:12]} cannot be computed here, so it is not compared.")
    else:
        which = " and on what judges the new version" if found.judged_from else ""
        lines.append(
            f"Against the champion {found.champion[:12]}, from its making on{which}: {found.against.sentence}"
        )
        if not fits(found.champion_predicts, found.version.outcome):
            lines.append(
                f"But the champion was learnt for another outcome, by which it is not judged here: {found.champion_predicts}."
            )
    return lines


def next_lines(name: str, store: Path, folder: Path, options: str) -> list[str]:
    """Return where a version is kept and the commands that find it there; ``options`` are what they need.

    Where there is no store there is no journal that a promotion could be written into.
    """
    commands = [f"frontrow models show {name[:12]}{options}"]
    if store.exists():
        commands.append(f"frontrow models promote {name[:12]}{options}")
    return [f"Kept in {folder}.", "    ".join(commands)]


def _unjudged(final: int, *, child: bool, searched: bool) -> str:
    """Say why there are no figures."""
    if not final:
        return "There are no figures: no label is final yet."
    after = "after the part of the time that options were searched on"
    if child and not searched:
        after = "after the parent was made, which may have learnt from them"
    return f"There are no figures: none of the {final:,} final labels was served {after}."


class Rival:
    """The champion beside what is learnt now: from its making on it says what it thinks, and goes on learning.

    What was served before its making it may have learnt from, so that is not compared; nor is what was served before
    ``judged_from``, which the new model may know.
    """

    def __init__(self, version: Version, *, window_ms: int, judged_from: int) -> None:
        self._since, self._judged_from = version.created_at, judged_from
        self._model = from_version(version)
        self._policy = DelayPolicy(window_ms)
        self._said: dict[int, float] = {}
        self._judged: deque[tuple[NDArray[Any], ...]] = deque()
        self._held = 0

    def see(self, engine: Engine, effects: Effects, learning: Learning) -> None:
        del engine, effects
        for told in learning:
            late = told.served_at > self._since
            if isinstance(told, Served):
                said = self._predict(told.inputs[late].astype(np.float64))
                self._said.update(zip(told.snapshot[late].tolist(), said.tolist(), strict=True))
                continue
            known = told.take(late)
            final = known.stage == Stage.MATURE
            self._judge(known.take(final))
            self._learn(known.take(~final))
            for number in known.snapshot[final].tolist():
                del self._said[number]

    def verdict(self) -> Verdict:
        """Return how the new model, as the challenger, stands against the champion; both raw, and looked at once."""
        empty = (np.zeros(0), np.zeros(0), np.zeros(0, np.bool_), *(np.zeros(0, np.int64) for _ in range(3)))
        joined = [np.concatenate(columns) for columns in zip(empty, *self._judged, strict=True)]
        champion, challenger, outcomes, blocks, rooms, causes = joined
        found = compare(champion, challenger, outcomes, blocks=blocks, rooms=rooms, causes=causes)
        return verdict(found, looked_once=True)

    def _predict(self, inputs: Matrix) -> Matrix:
        parts = [np.zeros(0)]
        while len(inputs):  # in parts between which the scaler is taken over
            count = self._model.unchanged_for
            parts.append(self._model.weights().probabilities(inputs[:count]))
            self._model.observe(inputs[:count])
            inputs = inputs[count:]
        return np.concatenate(parts)

    def _judge(self, lessons: Lessons) -> None:
        if not len(lessons):
            return
        self._policy.see(lessons)
        lessons = lessons.take(lessons.served_at >= self._judged_from)
        said = np.array([self._said[number] for number in lessons.snapshot.tolist()])
        rows, blocks = rows_of(lessons), lessons.session.astype(np.int64)
        self._judged.append((said, rows.served[:, RAW], rows.outcomes, blocks, rows.rooms, rows.causes))
        self._held += len(lessons)
        while self._held > COMPARED:
            self._held -= len(self._judged.popleft()[0])

    def _learn(self, lessons: Lessons) -> None:
        if len(lessons):
            believed = np.array([self._said[number] for number in lessons.snapshot.tolist()])
            self._policy.hear(lessons)
            outcomes, weights = self._policy.steps(believed, lessons)
            self._model.learn(lessons.inputs, outcomes, weights, looks=self._policy.waiting)


class _Recorder:
    """Keeps what is served at ``since`` or later, and how it resolves, for a search."""

    def __init__(self, since: int = 0) -> None:
        self.record = Record()
        self._since = since
        self._sessions = Sessions()

    def see(self, engine: Engine, effects: Effects, learning: Learning) -> None:
        self._sessions.see(engine, effects, learning)
        for told in learning:
            late = told.served_at >= self._since
            if not late.any():
                continue
            if isinstance(told, Served):
                told = part_of(told, np.flatnonzero(late))
                names = [self._sessions.name(number) for number in told.session.tolist()]
                self.record.serve(told, [f"{platform}/{room}" for platform, room, _ in names])
            else:
                self.record.learn(told.take(late))


def _search(
    inputs: Inputs,
    config: Config,
    start: ModelOptions,
    parent: Version | None,
    since: int,
    trials: int,
    progress: Bar | None,
    on_trial: Callable[[int, float], None],
) -> tuple[ModelOptions, int]:
    """Return the options found on what was served at ``since`` or later, and the time from which on what is served may
    judge them.

    Each trial goes on from ``parent``, as what is learnt with them will.
    """
    load_optuna()  # else its absence would be told only after all has been recorded
    recorder = _Recorder(since)
    if progress is not None:
        progress.begin("recording")
    run(inputs, config, [recorder], progress=progress)
    until = recorder.record.split(SEARCHED)
    if since and not until:
        raise NothingToSearch(
            "nothing that was served after the parent was made is final: there is nothing to search by"
        )
    found = search(
        recorder.record,
        start,
        window_ms=shortest_window_of(config),
        until=until,
        trials=trials,
        begin=None if parent is None else _going_on_from(parent),
        on_trial=on_trial,
    )
    return found, until


def _going_on_from(parent: Version) -> Begin:
    return lambda learner, options: begin_from(learner, parent, options)


def _champion(
    registry: Registry, config: Config, judged_from: int
) -> tuple[str | None, Outcome | None, Rival | None]:
    name = ledger_of(registry, config.storage.path).champion
    if name is None:
        return None, None, None
    try:
        version = registry.load(name)
        rival = Rival(version, window_ms=shortest_window_of(config), judged_from=judged_from)
        return name, version.outcome, rival
    except VersionRefused:
        return name, None, None


def _judged(lessons: Lessons | None, *, waiting: int) -> tuple[Report, Report, Intervals]:
    if lessons is None or not len(lessons):
        nothing = Report(labels=0, immature=None, columns=[])
        return nothing, nothing, {}
    return (
        report(SERVED, rows_of(lessons), waiting=waiting), compared_of(lessons), intervals_of(lessons),
    )  # fmt: skip


def _overruled(options: ModelOptions, config: Config, *, searched: bool) -> Mapping[str, tuple[float, float]]:
    """Return by name the options that are configured otherwise; what was searched is told as found."""
    configured = options_of(config)
    both = {name: (getattr(options, name), getattr(configured, name)) for name in MODEL_OPTIONS}
    return {
        name: pair
        for name, pair in both.items()
        if pair[0] != pair[1] and not (searched and name in SEARCHABLE)
    }


def _options_in(version: Version) -> ModelOptions:
    return ModelOptions(**version.options)
