"""``frontrow backtest``: the same input under two configurations, and who would have become a lead when, and how it went.

Both sides run the daemon's own code over the whole input. Leads of both are judged by one measure, the outcome and the
horizon of the first configuration, so that they can be compared; the model's report is each side's own. Challengers
watch the first side's champion.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import orjson

from frontrow.app.inputs import Inputs
from frontrow.app.offline import (
    Challenged,
    Counts,
    Final,
    Followed,
    LeadsFollowed,
    Turnout,
    Watcher,
    learner_of,
    rows_of,
    run,
    shortest_window_of,
)
from frontrow.app.terminal import Bar, Progress, table
from frontrow.config import Config, OutcomeConfig, dump
from frontrow.core.errors import FrontrowError
from frontrow.core.lessons import Lessons
from frontrow_models.evaluation.intervals import Interval, intervals
from frontrow_models.evaluation.judging import Judged
from frontrow_models.evaluation.rolling import Report, report
from frontrow_models.evaluation.verdict import Verdict, compare, verdict
from frontrow_models.private import open_private
from frontrow_models.served import LOGITS, SERVED
from frontrow_models.versions import span

Change = Literal["gained", "lost", "earlier", "later", "same"]
CHANGES: tuple[Change, ...] = ("gained", "lost", "earlier", "later", "same")
# Of the configuration, what an offline run depends on.
PARTS = ("engine", "points", "outcome", "model", "intents", "rooms")
VALUE_CHARACTERS = 40  # of an option, in the table

Intervals = dict[str, dict[str, Interval | None]]


class NothingToCompare(FrontrowError):
    """The two configurations are the same where it matters, and no challenger was named."""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One run. ``policy`` and ``model`` name the points table and the weights at the end; without a model, None.

    ``compared`` is the part of ``report`` in which columns can be compared, see :func:`compared_of`; ``intervals``
    are 95 % ones of its figures, by column and figure, over resampled room-sessions.
    """

    turnout: Turnout
    policy: str
    model: str | None
    labels: int
    positives: int
    report: Report | None
    compared: Report | None
    intervals: Intervals


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """How many leads changed in one way, and of those of them that are known, how many had an outcome.

    They are looked at as the second side decided them; lost ones as the first did.
    """

    leads: int
    known: int
    came: int


class Backtest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backtest found. Times are engine time, UTC milliseconds; ``after`` None: only challengers were asked for.

    ``options`` are those that differ, by dotted key: (before, after). ``paired`` compares what both sides' models
    showed of the same snapshots, None with ``unpaired`` saying why where they are not the same.
    """

    events: int
    duplicates: int
    rejected: int
    begin: int
    end: int
    options: dict[str, tuple[Any, Any]]
    outcome: OutcomeConfig
    before: Side
    after: Side | None
    moved: dict[Change, Moved]
    paired: Verdict | None
    unpaired: str
    challengers: dict[str, Verdict]


@dataclass(frozen=True, slots=True)
class Ran:
    """A side with all that is compared."""

    side: Side
    followed: LeadsFollowed
    final: Lessons | None
    counts: Counts


@dataclass(frozen=True, slots=True)
class Difference:
    """One lead, of either side or of both; it is the same viewer in the same session."""

    change: Change
    before: Followed | None
    after: Followed | None

    @property
    def either(self) -> Followed:
        found = self.after or self.before
        assert found is not None
        return found


def backtest(
    inputs: Inputs,
    before: Config,
    after: Config | None,
    *,
    challengers: Sequence[str] = (),
    out: Path,
    progress: Bar | None = None,
) -> Backtest:
    """Run both sides and write ``diff.ndjson``, a line per lead that changed, and ``summary.json`` into ``out``.

    The same input and configurations give the same bytes. The lines hold viewers' ids: personal data,
    which only the file's owner may read.

    Raises:
        NothingToCompare: Nothing that is asked for could differ.
        ValueError: There is no challenger of a name.
        OSError: A file cannot be read, or ``out`` not written.
    """
    options = {} if after is None else differing(before, after)
    if not options and not challengers:
        raise NothingToCompare(
            "nothing to compare: name what is to be different (--against, --set) or a challenger"
        )
    watching = Challenged(challengers, window_ms=shortest_window_of(before)) if challengers else None
    _begin(progress, "as configured")
    first = side_of(inputs, before, before.outcome, [watching] if watching else [], progress=progress)
    second: Ran | None = None
    if options and after is not None:
        _begin(progress, "what if      ")
        second = side_of(inputs, after, before.outcome, progress=progress)
    differences = [] if second is None else differences_of(first.followed, second.followed)
    paired, unpaired = (None, "") if second is None else pair(first.final, second.final)
    found = Backtest(
        events=first.counts.events,
        duplicates=first.counts.duplicates,
        rejected=inputs.rejected,
        begin=first.counts.begin,
        end=first.counts.end,
        options=options,
        outcome=before.outcome,
        before=first.side,
        after=None if second is None else second.side,
        moved={} if second is None else moved(differences, first.followed, second.followed),
        paired=paired,
        unpaired=unpaired,
        challengers={} if watching is None else watching.standing().duels,
    )
    out.mkdir(parents=True, exist_ok=True)
    with open_private(out / "diff.ndjson") as file:
        for each in differences:
            if each.change != "same" and second is not None:
                file.write(_line(each, first.followed, second.followed))
    values = msgspec.to_builtins(found)
    (out / "summary.json").write_bytes(
        orjson.dumps(values, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    )
    return found


def differing(one: Config, other: Config) -> dict[str, tuple[Any, Any]]:
    """Return the options that an offline run depends on and that differ, by dotted key, as (one's, other's)."""
    ones, others = _flat(dump(one)), _flat(dump(other))
    names = sorted({*ones, *others})
    return {name: (ones.get(name), others.get(name)) for name in names if ones.get(name) != others.get(name)}


def side_of(
    inputs: Inputs,
    config: Config,
    outcome: OutcomeConfig,
    watchers: Sequence[Watcher] = (),
    *,
    progress: Progress | None = None,
    sure: bool = True,
) -> Ran:
    """Run one side; its leads are judged by ``outcome``. Intervals take seconds: only if one wants to be ``sure``."""
    followed, final, counts = LeadsFollowed(outcome), Final(), Counts()
    engine = run(inputs, config, [counts, followed, final, *watchers], progress=progress)
    learner, lessons = learner_of(engine), final.lessons
    side = Side(
        turnout=followed.turnout(),
        policy=engine.board.id,
        model=None if learner is None else learner.version,
        labels=0 if learner is None else learner.labels,
        positives=0 if learner is None else learner.positives,
        report=None if learner is None else learner.report(waiting=len(engine.labels)),
        compared=None if learner is None else compared_of(lessons),
        intervals={} if not sure or learner is None or lessons is None else intervals_of(lessons),
    )
    return Ran(side, followed, lessons, counts)


def comparable(lessons: Lessons) -> Lessons:
    """Return those of which a probability was shown: judged on these, no column had the easier rows. All if none was."""
    shown = np.isfinite(lessons.served[:, 0])
    return lessons.take(shown) if shown.any() else lessons


def compared_of(lessons: Lessons | None) -> Report:
    """Judge every served column over the :func:`comparable` of final lessons."""
    if lessons is None:
        return Report(labels=0, immature=None, columns=[])
    return report(SERVED, rows_of(comparable(lessons)))


def intervals_of(lessons: Lessons) -> Intervals:
    """Return the intervals of every served column's figures, over the :func:`comparable`."""
    lessons = comparable(lessons)
    rows, blocks = rows_of(lessons), lessons.session.astype(np.int64)
    return {column.name: intervals(place, rows, blocks) for place, column in enumerate(SERVED)}


def differences_of(first: LeadsFollowed, second: LeadsFollowed) -> list[Difference]:
    """Return every lead of both sides, in the order of the earlier of its decisions."""
    ones = {lead.lead: lead for lead in first.leads}
    others = {lead.lead: lead for lead in second.leads}
    found = [
        Difference(_change(ones.get(lead), others.get(lead)), ones.get(lead), others.get(lead))
        for lead in {**ones, **others}
    ]
    return sorted(found, key=_earliest)


def pair(first: Lessons | None, second: Lessons | None) -> tuple[Verdict | None, str]:
    """Compare what both sides showed of the same snapshots; or None, and why it cannot be.

    Snapshots are the same where both sides looked at the same viewers at the same marks and wait for the same outcome:
    a points table or a model's options change nothing of that. Looked at once, so the bootstrap by room is proof.
    """
    if first is None or second is None:
        return None, "one side has no final labels"
    same = len(first) == len(second) and all(
        np.array_equal(getattr(first, name), getattr(second, name))
        for name in ("snapshot", "served_at", "session", "outcome")
    )
    if not same:
        return None, "the two sides do not wait for the same outcomes of the same snapshots"
    one, other = rows_of(first), rows_of(second)
    if np.array_equal(one.served[:, :LOGITS], other.served[:, :LOGITS], equal_nan=True):
        return None, "both sides' models said the same"
    both = np.isfinite(one.served[:, 0]) & np.isfinite(other.served[:, 0])
    if not both.any():
        return None, "there is no snapshot of which both models were ready to show something"
    found = compare(
        one.served[both, 0],
        other.served[both, 0],
        one.outcomes[both],
        blocks=first.session[both].astype(np.int64),
        rooms=one.rooms[both],
        causes=one.causes[both],
    )
    return verdict(found, looked_once=True), ""


def moved(
    differences: Sequence[Difference], first: LeadsFollowed, second: LeadsFollowed
) -> dict[Change, Moved]:
    """Count the leads of each change, and how they turned out."""
    leads, known, came = Counter[Change](), Counter[Change](), Counter[Change]()
    for each in differences:
        leads[each.change] += 1
        if (second if each.after else first).known(each.either):
            known[each.change] += 1
            came[each.change] += each.either.outcome is not None
    return {change: Moved(leads=leads[change], known=known[change], came=came[change]) for change in CHANGES}


def _change(before: Followed | None, after: Followed | None) -> Change:
    if before is None:
        return "gained"
    if after is None:
        return "lost"
    if after.decided_at == before.decided_at:
        return "same"
    return "earlier" if after.decided_at < before.decided_at else "later"


def _earliest(each: Difference) -> tuple[int, str]:
    decided = [lead.decided_at for lead in (each.before, each.after) if lead is not None]
    return min(decided), each.either.lead


def _line(each: Difference, first: LeadsFollowed, second: LeadsFollowed) -> bytes:
    lead = each.either
    moved_ms = each.after.decided_at - each.before.decided_at if each.before and each.after else None
    line = {
        "change": each.change,
        "lead": lead.lead,
        "platform": lead.platform,
        "room": lead.room,
        "session": lead.session,
        "viewer": lead.viewer,
        "moved_ms": moved_ms,
        "before": _told(each.before, first),
        "after": _told(each.after, second),
    }
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _told(lead: Followed | None, followed: LeadsFollowed) -> dict[str, Any] | None:
    if lead is None:
        return None
    return {
        "decided_at": lead.decided_at,
        "points": lead.points,
        "probability": lead.probability,
        "outcome": msgspec.to_builtins(lead.outcome),
        "known": followed.known(lead),
    }


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, Mapping) and value:
            for key, each in value.items():
                walk(each, f"{path}.{key}")
        elif isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value):
            for index, each in enumerate(value):
                walk(each, f"{path}.{each.get('id') or each.get('name') or index}")
        else:
            found[path] = value

    for part in PARTS:
        walk(values[part], part)
    return found


def _begin(progress: Bar | None, label: str) -> None:
    if progress is not None:
        progress.begin(label)


# ---------------------------------------------------------------------- what is printed


def lines_of(found: Backtest) -> list[str]:
    """Return a backtest as a person reads it."""
    kinds = " or ".join(found.outcome.kinds)
    lines = [
        f"{found.events:,} events from {_time(found.begin)} to {_time(found.end)}"
        + (f", {found.duplicates:,} duplicates" if found.duplicates else "")
        + (f", {found.rejected:,} lines rejected" if found.rejected else ""),
        f"A lead turned out well if {kinds} followed within {span(found.outcome.horizon_s)}; it is known after that.",
    ]
    if found.options:
        rows = [("option", "as configured", "what if")]
        rows += [(name, _short(one), _short(other)) for name, (one, other) in found.options.items()]
        lines += ["", *table(rows, right=set()), *_windows_cut(found)]
    lines += ["", *_leads_table(found)]
    if found.moved:
        head = ("leads", "", "known", "with outcome", "precision")
        lines += [
            "",
            *table([head, *(_moved_row(*each) for each in found.moved.items())], right={1, 2, 3, 4}),
        ]
    for label, side in (("as configured", found.before), ("what if", found.after)):
        if side is not None:
            lines += ["", *report_lines(label, side.report, side.compared, side.intervals)]
    if found.paired is not None:
        lines += ["", f"What if against as configured: {found.paired.sentence}"]
    elif found.after is not None:
        lines += ["", f"The models are not compared label by label: {found.unpaired}."]
    for name, told in found.challengers.items():
        lines += ["", f"{name}: {told.sentence}{_why_none(found.before.report, told)}"]
    return lines


def report_lines(label: str, whole: Report | None, compared: Report | None, sure: Intervals) -> list[str]:
    """Return a report beside its baselines over the same labels, with intervals where there are some.

    Where ``whole`` has more labels than ``compared``, a second table judges over all of them what was said of all.
    """
    if whole is None or compared is None:
        return [f"{label}: no model"]
    if not whole.labels:
        return [f"{label}: no label is final yet"]
    head = (
        label,
        "labels",
        "outcomes",
        "ROC AUC",
        "PR AUC",
        "precision@10",
        "log loss",
        "calibration error",
        "ratio",
    )
    rows = [head, *(_judged_row(column, sure.get(column.column, {})) for column in compared.columns)]
    lines = table(rows, right={1, 2, 6, 7})
    immature = "" if whole.immature is None else f" {whole.immature:.1%} of what was served still waits."
    known = any(interval is not None for of_column in sure.values() for interval in of_column.values())
    said = (
        "Intervals are 95 %, over resampled room-sessions."
        if known
        else "There are no intervals of so few room-sessions."
    )
    lines.append(f"{said}{immature}")
    if whole.final > whole.labels:
        lines.append(f"Judged over the last {whole.labels:,} of {whole.final:,} final labels.")
    rest = whole.labels - compared.labels
    if rest:
        head = (f"over all {whole.labels:,} labels", *head[1:])
        rows = [head, *(_judged_row(column, {}) for column in whole.columns if not column.left_out)]
        lines += ["", *table(rows, right={1, 2, 6, 7})]
        lines.append(
            f"Of {rest:,} of these the model showed no probability yet: compare within a table only."
        )
    return lines


def _windows_cut(found: Backtest) -> list[str]:
    """Say where of a window only the horizon runs, for who compares windows or horizons."""
    names = ("outcome.window_s", "outcome.horizon_s")
    if found.options.keys().isdisjoint(names):
        return []
    usual = (found.outcome.window_s, found.outcome.horizon_s)
    lines = []
    for place, label in enumerate(("As configured", "What if")):
        window, horizon = (
            found.options.get(name, (value, value))[place] for name, value in zip(names, usual, strict=True)
        )
        if window > horizon:
            lines.append(
                f"{label}, outcome.window_s is {horizon:,} and not {window:,}: it ends with the horizon (outcome.horizon_s)."
            )
    return lines


def _why_none(whole: Report | None, told: Verdict) -> str:
    """Say why a challenger was compared on no label, where some are final; else nothing."""
    if whole is None or not whole.labels or told.comparison.labels:
        return ""
    if not any(column.column == SERVED[0].name and column.labels for column in whole.columns):
        return f" The champion had shown no probability yet of any of the {whole.labels:,} final labels."
    return (
        " Labels count of which both had told a probability, once their room-session has been silent for an hour:"
        f" none of the {whole.labels:,} final ones does."
    )


def _leads_table(found: Backtest) -> list[str]:
    sides = [side for side in (found.before, found.after) if side is not None]
    head = ("", "as configured", "what if")[: 1 + len(sides)]
    rows: list[tuple[str, ...]] = [
        ("leads", *(f"{side.turnout.leads:,}" for side in sides)),
        ("of these known", *(f"{side.turnout.known:,}" for side in sides)),
        ("with an outcome", *(f"{side.turnout.came:,}" for side in sides)),
        ("precision", *(_precision(side.turnout) for side in sides)),
        ("value, minor units", *(f"{side.turnout.value:,}" for side in sides)),
        ("median from hot to outcome", *(_seconds(side.turnout.waited.median_s) for side in sides)),
        ("labels learnt", *(f"{side.labels:,} ({side.positives:,} positive)" for side in sides)),
    ]
    return table([head, *rows], right=set(range(1, len(head))))


def _moved_row(change: Change, told: Moved) -> tuple[str, ...]:
    share = f"{told.came / told.known:.1%}" if told.known else "–"
    return change, f"{told.leads:,}", f"{told.known:,}", f"{told.came:,}", share


def _judged_row(judged: Judged, sure: Mapping[str, Interval | None]) -> tuple[str, ...]:
    ratio = judged.ratio
    return (
        judged.column,
        f"{judged.labels:,}",
        f"{judged.outcomes:,}",
        _figure(judged.roc_auc, sure.get("roc_auc")),
        _figure(judged.pr_auc, sure.get("pr_auc")),
        _figure(judged.precision, sure.get("precision")),
        _figure(judged.log_loss),
        _figure(judged.calibration_error),
        "–" if ratio is None else _figure(ratio.value, sure.get("ratio")),
    )


def _figure(value: float | None, sure: tuple[float, float | None] | None = None) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if sure is None else f"{value:.3f} ({sure[0]:.3f} to {_or_dash(sure[1])})"


def _or_dash(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _precision(turnout: Turnout) -> str:
    if turnout.precision is None:
        return "–"
    return f"{turnout.precision:.1%} ({turnout.low:.1%} to {turnout.high:.1%})"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f} s"


def _short(value: Any) -> str:
    text = "–" if value is None else orjson.dumps(value, default=str).decode()
    return text if len(text) <= VALUE_CHARACTERS else text[: VALUE_CHARACTERS - 1] + "…"


def _time(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1000.0, UTC):%Y-%m-%d %H:%M:%S}Z"
