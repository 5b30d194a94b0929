"""The recorded Twitch streams as the daemon sees them: what the shipped engine serves of them, and what came of it.

The engine is that of the tree, with the model of the tree and its defaults; only what counts as the outcome is set.
It gets the events of all broadcasts merged by time, as ``frontrow replay`` would. What it serves is taken where it
hands its snapshots over to wait for their label. So each score is the one of its moment, from weights that had learnt
only from labels resolved before it.

The labels of the judgement are found here, from the files and by nobody else's joiner. A snapshot is a positive if its
viewer has a new subscription, a gifted one or bits within :data:`HORIZON_MS` after it was served. A renewal is none of
these. It gets a kind that the engine does not know, so that it is no outcome, no negative and no feature to it.

What the engine learns is its own affair: it learns from its own joiner. What is read here of the future serves only to
judge.
"""

import bisect
import gzip
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from frontrow.app.parts import make_engine, make_lexicons
from frontrow.config import Config, defaults
from frontrow.core.events import Event, decode_event
from frontrow.core.preparing import Preparer
from frontrow.core.scoring import sigmoid
from frontrow_models.served import SERVED
from tests.benchmarks.judging import Field

HORIZON_MS = 30 * 60_000
KINDS = ("order_paid", "gift")  # a gift here is bits
RENEWED = "order_renewed"  # no kind of version 1: stored, counted, and nothing else
FRAME_EVENTS = 4_096
CHAMPION, POINTS = (
    next(place for place, column in enumerate(SERVED) if column.name == name)
    for name in ("champion", "points")
)
HOUR_MS = 3_600_000
_NO_TIME = 1 << 62
NEVER_MS = 24 * HOUR_MS  # how long ago a comment was that there was not

Numbers = NDArray[np.float64]
Whole = NDArray[np.int64]
Key = tuple[str, str, str]  # platform, room, viewer


@dataclass
class Served:
    """What the engine served, one line per snapshot, in the order of serving."""

    session: list[str] = field(default_factory=list)
    viewer: list[Key] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    points: list[int] = field(default_factory=list)
    inputs: list[NDArray[np.float32]] = field(default_factory=list)
    probability: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.at)


@dataclass(frozen=True)
class Recorded:
    """All snapshots with what is known of them. ``features`` are as served; times are UTC milliseconds.

    ``resolved_at`` is when the label was known: at the outcome, or when the horizon had passed. ``quiet_ms`` is how
    long before it the comment lies that the viewer wrote in this broadcast before the one that led to the snapshot.
    """

    field: Field
    at: Whole
    resolved_at: Whole
    features: Numbers
    probability: Numbers
    points: Numbers
    quiet_ms: Numbers
    outcomes: int

    @property
    def broadcasts(self) -> int:
        return len(self.field.blocks)


def read(files: Sequence[Path]) -> list[Event]:
    """Return the events of all files by time; those of one time stay as they are."""
    events = [decode_event(line) for file in files for line in _lines(file)]
    events.sort(key=lambda event: event.at)
    return [msgspec.structs.replace(event, kind=RENEWED) if event.renewal else event for event in events]


def in_order_of(events: Sequence[Event], dice: random.Random) -> list[Event]:
    """Return the same broadcasts in another order: each as it was, at a time when another began, or two hours after the one before."""
    broadcasts: dict[str, list[Event]] = {}
    for event in events:
        broadcasts.setdefault(event.session or "", []).append(event)
    parts = sorted(broadcasts.values(), key=lambda part: part[0].at)
    begins = [part[0].at for part in parts]
    dice.shuffle(parts)
    found: list[Event] = []
    free = begins[0]
    for begin, part in zip(begins, parts, strict=True):
        later = max(begin, free) - part[0].at
        found += [msgspec.structs.replace(event, at=event.at + later) for event in part]
        free = found[-1].at + 2 * HOUR_MS
    return found


def served_of(events: Sequence[Event], config: Config | None = None) -> Served:
    """Run the shipped engine over the events; return what it served."""
    config = defaults() if config is None else config
    outcome = msgspec.structs.replace(config.outcome, kinds=KINDS, horizon_s=HORIZON_MS // 1000)
    config = msgspec.structs.replace(config, outcome=outcome)
    lexicons = make_lexicons(config)
    preparer = Preparer(lexicons.of_room, lexicons.default, config.intents.phone_region)
    engine, served = make_engine(config, report_learning=True), Served()
    for start in range(0, len(events), FRAME_EVENTS):
        for told in engine.apply(preparer.frame(events[start : start + FRAME_EVENTS])).served:
            served.session += told.broadcasts
            for room, viewer in zip(told.rooms, told.viewers, strict=True):
                platform, _, name = room.partition("/")
                served.viewer.append((platform, name, viewer))
            served.at += told.served_at.tolist()
            served.inputs += list(told.inputs)
            served.probability += sigmoid(told.served[:, CHAMPION].astype(np.float64)).tolist()
            served.points += told.served[:, POINTS].astype(int).tolist()
    return served


def recorded(events: Sequence[Event], served: Served) -> Recorded:
    """Join what was served with what came of it."""
    at = np.array(served.at, np.int64)
    bought = _times(event for event in events if event.kind in KINDS)
    next_at = np.array(
        [_first(bought.get(key, []), moment) for key, moment in zip(served.viewer, served.at, strict=True)],
        np.int64,
    )
    outcome = next_at <= at + HORIZON_MS
    began: dict[str, int] = {}
    for event in events:
        began.setdefault(event.session or "", event.at)
    sessions = {session: number for number, session in enumerate(began)}
    viewers = {key: number for number, key in enumerate(dict.fromkeys(served.viewer))}
    viewer = np.array([viewers[key] for key in served.viewer], np.int64)
    started = np.array([began[session] for session in served.session], np.int64)
    return Recorded(
        field=Field(
            outcome=outcome,
            block=np.array([sessions[session] for session in served.session], np.int64),
            hour=(at - started) // HOUR_MS,
            viewer=viewer,
        ),
        at=at,
        resolved_at=np.where(outcome, next_at, at + HORIZON_MS),
        features=np.array(served.inputs, np.float64),
        probability=np.array(served.probability),
        points=np.array(served.points, np.float64),
        quiet_ms=_quiet_ms(events, served),
        outcomes=len(set(zip(viewer[outcome].tolist(), next_at[outcome].tolist(), strict=True))),
    )


def base_rate(found: Recorded) -> Numbers:
    """Return, for each snapshot, the share of positives among the labels that were resolved before it; 0 before any."""
    order = np.argsort(found.resolved_at, kind="stable")
    known = np.searchsorted(found.resolved_at[order], found.at, side="left")
    positives = np.append(0, np.cumsum(found.field.outcome[order]))[known]
    return positives / np.maximum(known, 1)


def _lines(file: Path) -> Iterator[bytes]:
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as lines:
        yield from lines


def _times(events: Iterator[Event]) -> dict[Key, list[int]]:
    """Return when each viewer did something, in order."""
    found: dict[Key, list[int]] = {}
    for event in events:
        found.setdefault((event.platform, event.room, event.viewer or ""), []).append(event.at)
    return found


def _first(times: Sequence[int], at: int) -> int:
    """Return the first of ``times``, which are in order, that is not before ``at``; far in the future if none is."""
    place = bisect.bisect_left(times, at)
    return times[place] if place < len(times) else _NO_TIME


def _quiet_ms(events: Sequence[Event], served: Served) -> Numbers:
    comments: dict[tuple[str, Key], list[int]] = {}
    for event in events:
        if event.kind == "comment":
            whose = (event.session or "", (event.platform, event.room, event.viewer or ""))
            comments.setdefault(whose, []).append(event.at)
    found = np.full(len(served), float(NEVER_MS))
    for line, (session, key, at) in enumerate(zip(served.session, served.viewer, served.at, strict=True)):
        times = comments.get((session, key), [])
        before = bisect.bisect_right(times, at) - 2  # the last one is what the snapshot was taken for
        if before >= 0:
            found[line] = at - times[before]
    return found
