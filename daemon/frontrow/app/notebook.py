"""A journal in a notebook: the daemon's own preparation, engine and learner over it, handed out as tables.

Fits :class:`frontrow_models.notebook.Journal`; ``frontrow_models.open_journal`` finds it by its entry point.
"""

import functools
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frontrow.app.backtesting import (
    CHANGES,
    Change,
    Difference,
    Moved,
    Ran,
    compared_of,
    differences_of,
    differing,
    intervals_of,
    moved,
    pair,
    report_lines,
    side_of,
)
from frontrow.app.inputs import Inputs
from frontrow.app.offline import Learning, Sessions, outcomes_of, part_of, rows_of
from frontrow.app.what_if import configured
from frontrow.config import Config, OutcomeConfig
from frontrow.core.engine import Effects, Engine
from frontrow.core.errors import FrontrowError
from frontrow.core.features import NAMES
from frontrow.core.lessons import Ending, Lessons, Served, Stage
from frontrow.core.scoring import sigmoid
from frontrow_connectors.file import FileReject
from frontrow_models.evaluation.judging import Judged
from frontrow_models.evaluation.rolling import Report
from frontrow_models.evaluation.verdict import Verdict
from frontrow_models.plots import Svg, lift_by_hour, lift_svg, reliability_svg
from frontrow_models.served import LOGITS, SERVED
from frontrow_models.tables import Table, table_html

REJECTS = 10  # lines that are named of those that cannot be taken
MOST = 500_000  # snapshots that are handed out at once; some 300 MB
STAGES = ("waiting", "observed", "late", "mature", "withdrawn")
_OF_STAGE = {Stage.OBSERVED: 1, Stage.LATE: 2, Stage.MATURE: 3, Stage.WITHDRAWN: 4}
ENDINGS = tuple(ending.name.lower() for ending in Ending)


class TooMuch(FrontrowError):
    """More snapshots than are handed out at once; the message says what to do."""


class NoModel(FrontrowError):
    """The configuration has no model, so nothing was served or judged."""


class RecordedJournal:
    """Recorded events under one configuration. Nothing is run before something is asked for; then once."""

    def __init__(
        self,
        inputs: Inputs,
        *,
        config: Path | None,
        settings: tuple[str, ...],
        since: int | None,
        until: int | None,
        rejected: list[FileReject],
    ) -> None:
        """Take note of what is to be run; ``config`` None: the defaults. Raises ConfigError.

        ``rejected`` is where ``inputs`` puts the first :data:`REJECTS` lines that it cannot take.
        """
        self._inputs, self._rejected = inputs, rejected
        self._path, self._settings = config, settings
        self.config: Config = configured(config, settings, os.environ)
        self._since, self._until = since, until

    @cached_property
    def _run(self) -> tuple[Ran, "_Looks", "_Outcomes"]:
        looks, outcomes = _Looks(self._since, self._until), _Outcomes(self.config.outcome)
        ran = side_of(self._inputs, self.config, self.config.outcome, [looks, outcomes], sure=False)
        if self._rejected:
            first = "".join(f"\n  {each}" for each in self._rejected)
            warnings.warn(
                f"{self._inputs.rejected:,} lines were left out, the first of them:{first}",
                stacklevel=_levels_to_caller(),
            )
            self._rejected.clear()  # whoever replays the same files has been told
        return ran, looks, outcomes

    @property
    def rejected(self) -> int:
        """How many lines of the files could not be taken, and are left out of everything."""
        self._run  # noqa: B018  # they are found when the files are read
        return self._inputs.rejected

    def snapshots(self) -> Table:
        """Return every look at a viewer between ``since`` and ``until``.

        Raises:
            TooMuch: There are more than ``MOST``; open the journal with ``since`` and ``until``.
        """
        return self._run[1].table()

    def leads(self) -> Table:
        """Return every lead and how it turned out, in the order of their decision."""
        followed = self._run[0].followed
        leads = followed.leads
        return Table.of(
            "leads",
            {
                **{name: [getattr(lead, name) for lead in leads] for name in _LEAD_FIELDS},
                "known": [followed.known(lead) for lead in leads],
                "outcome": [lead.outcome is not None for lead in leads],
                "outcome_kind": [None if lead.outcome is None else lead.outcome.kind for lead in leads],
                "outcome_after_ms": [
                    None if lead.outcome is None else lead.outcome.after_ms for lead in leads
                ],
                "value": [None if lead.outcome is None else lead.outcome.value for lead in leads],
            },
        )

    def outcomes(self) -> Table:
        """Return every outcome as the configuration counts them, and what took one back, in the order of arrival."""
        found = self._run[2].found
        names = ("platform", "room", "viewer", "kind", "said", "at", "value")
        return Table.of("outcomes", {name: [row[place] for row in found] for place, name in enumerate(names)})

    def report(self) -> "Judgement":
        """Return how what was served is judged, over the last final outcomes, with intervals and plots.

        Raises:
            NoModel: The configuration has none.
        """
        ran = self._run[0]
        if ran.side.report is None:
            raise NoModel("model.enabled is false: nothing was served that could be judged")
        return Judgement(ran.side.report, ran.final)

    def replay(self, *, config: str | Path | None = None, settings: Sequence[str] = ()) -> "RecordedJournal":
        """Return the same events under another configuration file; without one, under this one with more ``settings``.

        Raises:
            ConfigError: With every mistake at once.
        """
        path, before = (self._path, self._settings) if config is None else (Path(config), ())
        return RecordedJournal(
            self._inputs,
            config=path,
            settings=(*before, *settings),
            since=self._since,
            until=self._until,
            rejected=self._rejected,
        )

    def compare(self, other: "RecordedJournal") -> "Comparison":
        """Return which leads ``other``, a replay of the same events, gains, loses and moves, and how they turned out.

        All leads are judged by this journal's outcome. Raises ValueError: ``other`` is of other events.
        """
        if other._inputs.files != self._inputs.files:
            raise ValueError("only replays of the same events can be compared; use replay()")
        first, second = self._run[0], other._run[0]
        if other.config.outcome != self.config.outcome:
            second = side_of(self._inputs, other.config, self.config.outcome, sure=False)
        differences = differences_of(first.followed, second.followed)
        paired, unpaired = pair(first.final, second.final)
        return Comparison(
            options=differing(self.config, other.config),
            moved=moved(differences, first.followed, second.followed),
            differences=differences,
            paired=paired,
            unpaired=unpaired,
        )

    def _repr_html_(self) -> str:
        side, counts = self._run[0].side, self._run[0].counts
        rows = [
            ["events", "lines left out", "leads", "of these known", "with an outcome", "labels learnt"],
            [
                f"{n:,}"
                for n in (
                    counts.events,
                    self._inputs.rejected,
                    side.turnout.leads,
                    side.turnout.known,
                    side.turnout.came,
                    side.labels,
                )
            ],
        ]
        return table_html(rows)


def open_journal(
    *files: str | Path,
    config: str | Path | None = None,
    settings: Sequence[str] = (),
    since: int | None = None,
    until: int | None = None,
) -> RecordedJournal:
    """Open a journal or files of events; see :func:`frontrow_models.notebook.open_journal`.

    Raises:
        InputRefused: The files cannot be read together.
        ConfigError: With every mistake in the configuration at once.
        OSError: A file is not there.
    """
    path = None if config is None else Path(config)
    rejected: list[FileReject] = []

    def reject(each: FileReject) -> None:
        if len(rejected) < REJECTS:
            rejected.append(each)

    inputs = Inputs(files, on_reject=reject)
    return RecordedJournal(
        inputs, config=path, settings=tuple(settings), since=since, until=until, rejected=rejected
    )


@dataclass(frozen=True)
class Judgement:
    """A report with its plots. ``lessons`` are the final outcomes that it judges."""

    report: Report
    lessons: Lessons | None

    @property
    def columns(self) -> list[Judged]:
        return self.report.columns

    @cached_property
    def compared(self) -> Report:
        """The columns over those labels of which a probability was shown: what can be compared."""
        return compared_of(self.lessons)

    def __str__(self) -> str:
        sure = {} if self.lessons is None else intervals_of(self.lessons)
        return "\n".join(report_lines("progressively", self.report, self.compared, sure))

    def reliability(self, column: str = "shown") -> Svg:
        """Return the reliability curve of a served probability.

        Raises:
            ValueError: There is no such column, or what it holds is no probability.
        """
        if not SERVED[_place(column)].probability:
            raise ValueError(f"{column} is no probability, so it has no reliability; see lift({column!r})")
        found = next((each for each in self.columns if each.column == column), None)
        if found is None:
            return reliability_svg([], f"reliability of {column}, 0 labels")
        return reliability_svg(found.curve, f"reliability of {column}, {found.labels:,} labels")

    def lift(self, *columns: str) -> Svg:
        """Return the lift of the ten shown by hour, of some columns (none: shown, points, recency).

        Raises:
            ValueError: There is no such column.
        """
        wanted = {name: _place(name) for name in columns or ("shown", "points", "recency")}
        if self.lessons is None:
            return lift_svg({})
        rows = rows_of(self.lessons)
        return lift_svg({name: lift_by_hour(rows, place) for name, place in wanted.items()})

    def _repr_html_(self) -> str:
        head = [
            "",
            "labels",
            "outcomes",
            "ROC AUC",
            "PR AUC",
            "precision@10",
            "log loss",
            "calibration error",
        ]
        rows = [
            [each.column, f"{each.labels:,}", f"{each.outcomes:,}"]
            + [
                _figure(v)
                for v in (each.roc_auc, each.pr_auc, each.precision, each.log_loss, each.calibration_error)
            ]
            for each in self.compared.columns
        ]
        return f"{table_html([head, *rows])}<div>{self.reliability()}{self.lift()}</div>"


@dataclass(frozen=True)
class Comparison:
    """What another configuration changes. ``paired`` is None, with ``unpaired`` saying why, where models cannot be compared."""

    options: dict[str, tuple[Any, Any]]
    moved: dict[Change, Moved]
    differences: list[Difference]
    paired: Verdict | None
    unpaired: str

    def __str__(self) -> str:
        parts = [f"{self.moved[change].leads:,} {change}" for change in CHANGES]
        told = self.unpaired if self.paired is None else self.paired.sentence
        return f"{', '.join(parts)}. {told}"

    def _repr_html_(self) -> str:
        options = [["option", "before", "after"]]
        options += [[name, str(one), str(other)] for name, (one, other) in self.options.items()]
        rows = [["leads", "", "known", "with outcome"]]
        rows += [[c, f"{m.leads:,}", f"{m.known:,}", f"{m.came:,}"] for c, m in self.moved.items()]
        told = self.unpaired if self.paired is None else self.paired.sentence
        return f"{table_html(options)}{table_html(rows)}<p>{told}</p>"


_LEAD_FIELDS = ("platform", "room", "session", "viewer", "lead", "decided_at", "points", "probability")


class _Outcomes:
    """Every outcome; grows with their number alone."""

    def __init__(self, outcome: OutcomeConfig) -> None:
        self._rules = outcome.rules
        self.found: list[tuple[str, str, str | None, str, str, int, int | None]] = []

    def see(self, engine: Engine, effects: Effects, learning: Learning) -> None:
        del engine, learning
        frame = effects.kept
        self.found += [
            (frame.platforms[at], frame.rooms[at], frame.viewers[at], frame.kinds[at], what.name.lower(), frame.ats[at], frame.values[at])
            for at, what in outcomes_of(frame, self._rules)
        ]  # fmt: skip


class _Looks:
    """Every snapshot within a time, with the newest that is known of its outcome."""

    def __init__(self, since: int | None, until: int | None) -> None:
        self._since, self._until = since or 0, until
        self._sessions = Sessions()
        self._parts: list[Served] = []
        # By snapshot: stage, outcome, delay, value, ending, reached.
        self._known: dict[int, tuple[int, bool, int, float, str, float]] = {}
        self._count = 0
        self._too_many = False

    def see(self, engine: Engine, effects: Effects, learning: Learning) -> None:
        self._sessions.see(engine, effects, learning)
        for told in learning:
            which = told.served_at >= self._since
            if self._until is not None:
                which &= told.served_at < self._until
            if isinstance(told, Served):
                self._serve(told, np.flatnonzero(which))
            elif which.any():
                self._resolve(told.take(which))

    def table(self) -> Table:
        if self._too_many:
            raise TooMuch(f"there are more than {MOST:,} snapshots: open the journal with since= and until=")
        parts = self._parts
        snapshot = _joined([part.snapshot for part in parts], np.int64)
        names = [self._sessions.name(number) for part in parts for number in part.session.tolist()]
        served = np.concatenate([np.zeros((0, len(SERVED)), np.float32), *(part.served for part in parts)])
        said = served.astype(np.float64)
        said[:, :LOGITS] = sigmoid(said[:, :LOGITS])
        said[np.isnan(served)] = np.nan  # what was not said is no probability
        inputs = np.concatenate([np.zeros((0, len(NAMES)), np.float32), *(part.inputs for part in parts)])
        none = (0, None, None, None, None, None)
        known = [self._known.get(number, none) for number in snapshot.tolist()]
        return Table.of(
            "snapshots",
            {
                "platform": [name[0] for name in names],
                "room": [name[1] for name in names],
                "session": [name[2] for name in names],
                "viewer": [viewer for part in parts for viewer in part.viewers],
                "snapshot": snapshot,
                "served_at": _joined([part.served_at for part in parts], np.int64),
                **{name: inputs[:, place] for place, name in enumerate(NAMES)},
                **{column.name: said[:, place] for place, column in enumerate(SERVED)},
                "weight": _joined([part.weight for part in parts], np.float32),
                "outcome": [outcome for _, outcome, *_ in known],
                "delay_ms": [delay if outcome else None for _, outcome, delay, *_ in known],
                "value": [value if outcome else None for _, outcome, _, value, *_ in known],
                "stage": [STAGES[stage] for stage, *_ in known],
                "ending": [ending for *_, ending, _ in known],
                "reached": [reached for *_, reached in known],
            },
        )

    def _serve(self, served: Served, which: NDArray[Any]) -> None:
        self._count += len(which)
        self._too_many = self._too_many or self._count > MOST
        if self._too_many:
            self._parts.clear()
            self._known.clear()
        elif len(which):
            self._parts.append(part_of(served, which))

    def _resolve(self, lessons: Lessons) -> None:
        if self._too_many:
            return
        stages = [_OF_STAGE[Stage(stage)] for stage in lessons.stage.tolist()]
        values = zip(
            stages,
            lessons.outcome.tolist(),
            lessons.delay_ms.tolist(),
            lessons.value.tolist(),
            [ENDINGS[ending] for ending in lessons.ending.tolist()],
            lessons.reached.tolist(),
            strict=True,
        )
        self._known.update(zip(lessons.snapshot.tolist(), values, strict=True))


def _levels_to_caller() -> int:
    """Return how many calls up the notebook's own line is, as ``warnings.warn`` counts from whoever asks this.

    From there to here it depends on what was asked for; Python 3.12 would skip our files by itself.
    """
    ours, level = {__file__, functools.__file__}, 1
    frame = sys._getframe(1)
    while frame.f_code.co_filename in ours and frame.f_back is not None:
        frame, level = frame.f_back, level + 1
    return level


def _place(column: str) -> int:
    names = [each.name for each in SERVED]
    if column not in names:
        raise ValueError(f"no column is called {column!r}; there are {', '.join(names)}")
    return names.index(column)


def _joined(parts: Sequence[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    return np.concatenate([np.zeros(0, dtype), *parts])


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
