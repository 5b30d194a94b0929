"""How like real rooms the simulated ones are: recorded and simulated streams side by side.

Run: ``make bench``, or alone ``pytest -s -o addopts=--import-mode=importlib tests/benchmarks/bench_realism.py``

Recordings are read from ``FRONTROW_RECORDINGS`` and nothing of them is kept; without them this skips. They are twenty
Twitch broadcasts of one channel (English, comments and purchases only) and four Bilibili files (A has no comments, B
and C are small, D is a day's comments of one room). None is a room that sells things, so what is compared is how a
crowd comes, talks and repeats itself, not how it buys.

The index of dispersion is the variance of counts per window over their mean: 1 for a Poisson process, more for bursts.
Correlation is that of counts in ten seconds with those so much later. Gini is of comments per viewer who comments.
A viewer's life is the time from the first to the last comment, of those with more than one.
"""

import gzip
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from frontrow.core.events import Event, decode_event
from frontrow_models.simulate import NO_FAULTS, Scenario, simulate
from tests.benchmarks.harness import table

pytestmark = pytest.mark.timeout(600)

SIMULATED = {
    "default": Scenario(viewers=2_000, events_per_s=8.0, duration_s=2 * 3600, faults=NO_FAULTS),
    "small": Scenario(viewers=400, events_per_s=2.0, duration_s=2 * 3600, faults=NO_FAULTS),
    "long": Scenario(viewers=3_000, events_per_s=8.0, duration_s=5 * 3600, faults=NO_FAULTS),
}
LEAST_COMMENTS = 500  # figures of fewer say little
IN_A_ROW = 1_000

# How far beyond the least and the most of the recordings a simulated figure may lie, as a factor. Characters say more
# in Chinese than in English, and the recordings hold both, so lengths need no more than that.
TOLERANCE = 1.5
HELD = ("dispersion, 1 s", "dispersion, 10 s", "dispersion, 60 s", "Gini", "who comment once", "length, median",
        "said before", "life, median, min")  # fmt: skip


def test_simulated_rooms_are_like_recorded_ones(recordings: Path) -> None:
    twitch = _recorded(sorted((recordings / "streams/twitch").glob("*.gz")))
    bilibili = _recorded(sorted((recordings / "streams/bilibili").glob("*.gz")))
    simulated = {name: list(simulate(scenario)) for name, scenario in SIMULATED.items()}
    figures = {name: found for name, events in simulated.items() if (found := _figures(events))}
    real = {
        "Twitch": [found for events in twitch if (found := _figures(events))],
        "Bilibili": [found for events in bilibili if (found := _figures(events))],
    }
    names = list(figures["default"])
    table(
        "Comments, recorded and simulated",
        ["", *(f"{kind} ({len(found)})" for kind, found in real.items()), *figures],
        [
            [
                name,
                *(_range([one[name] for one in found]) for found in real.values()),
                *(f"{found[name]:.2f}" for found in figures.values()),
            ]
            for name in names
        ],
        "Recorded: least, median, most over files with at least 500 comments.",
    )
    kinds = {f"Bilibili {letter}": _kinds(events) for letter, events in zip("ABCD", bilibili, strict=True)}
    kinds |= {name: _kinds(events) for name, events in simulated.items()}
    shown = [
        kind
        for kind, _ in Counter(k for shares in kinds.values() for k in shares).most_common()
        if _many(kinds, kind)
    ]
    table(
        "Share of kinds, %",
        ["", *kinds],
        [[kind, *(f"{100 * shares.get(kind, 0.0):.1f}" for shares in kinds.values())] for kind in shown],
        "Room figures (room_stats) are left out. Likes, clicks and orders are in no recording.",
    )
    for name in HELD:
        every = [one[name] for found in real.values() for one in found]
        for scenario, found in figures.items():
            low, high = min(every) / TOLERANCE, max(every) * TOLERANCE
            assert low <= found[name] <= high, (
                f"{scenario}: {name} is {found[name]:.2f}, not {low:.2f} to {high:.2f}"
            )


def _recorded(files: Iterable[Path]) -> list[list[Event]]:
    streams = []
    for file in files:
        with gzip.open(file) as lines:
            streams.append([decode_event(line) for line in lines])
    return streams


def _figures(events: Sequence[Event]) -> dict[str, float] | None:
    comments = [event for event in events if event.kind == "comment" and event.viewer]
    if len(comments) < LEAST_COMMENTS:
        return None
    at = np.array(sorted(event.at for event in comments))
    seconds = (at - at[0]) / 1000.0
    found = {f"dispersion, {window} s": _dispersion(seconds, window) for window in (1, 10, 60)}
    counts = np.bincount((seconds // 10).astype(int))
    found |= {f"correlation after {lag * 10} s": _correlation(counts, lag) for lag in (1, 6, 30)}
    minutes = np.sort(np.bincount((seconds // 60).astype(int)))[::-1]
    found["in the busiest tenth of minutes"] = float(minutes[: -(-len(minutes) // 10)].sum()) / float(
        minutes.sum()
    )
    per_viewer = np.sort(list(Counter(event.viewer for event in comments).values()))
    n = len(per_viewer)
    found["Gini"] = float((2 * np.arange(1, n + 1) - n - 1) @ per_viewer / (n * per_viewer.sum()))
    found["of the busiest hundredth of viewers"] = float(
        float(per_viewer[-max(1, n // 100) :].sum()) / float(per_viewer.sum())
    )
    found["who comment once"] = float((per_viewer == 1).mean())
    lengths = [len(event.text or "") for event in comments]
    for share, word in ((10, "least tenth"), (50, "median"), (90, "most tenth")):
        found[f"length, {word}"] = float(np.percentile(lengths, share))
    found["said before"] = _said_before([event.text or "" for event in comments])
    lives = _lives(comments)
    found["life, median, min"] = float(np.median(lives))
    found["life, most tenth, min"] = float(np.percentile(lives, 90))
    return found


def _dispersion(seconds: npt.NDArray[np.float64], window: int) -> float:
    counts = np.bincount((seconds // window).astype(int))
    return float(counts.var() / counts.mean())


def _correlation(counts: npt.NDArray[np.int64], lag: int) -> float:
    return float(np.corrcoef(counts[lag:], counts[:-lag])[0, 1])


def _said_before(texts: Sequence[str]) -> float:
    """Return the share of comments whose text stood among those before, within a thousand in a row; the median."""
    parts = [texts[low : low + IN_A_ROW] for low in range(0, max(1, len(texts) - IN_A_ROW + 1), IN_A_ROW)]
    return statistics.median(1.0 - len(set(part)) / len(part) for part in parts)


def _lives(comments: Iterable[Event]) -> list[float]:
    first: dict[str | None, int] = {}
    last: dict[str | None, int] = {}
    for event in comments:
        first[event.viewer] = min(event.at, first.get(event.viewer, event.at))
        last[event.viewer] = max(event.at, last.get(event.viewer, event.at))
    return [(last[viewer] - at) / 60_000 for viewer, at in first.items() if last[viewer] > at]


def _kinds(events: Iterable[Event]) -> dict[str, float]:
    counts = Counter(event.kind for event in events if event.viewer)
    return {kind: count / counts.total() for kind, count in counts.items()}


def _many(kinds: Mapping[str, Mapping[str, float]], kind: str) -> bool:
    return any(shares.get(kind, 0.0) >= 0.005 for shares in kinds.values())


def _range(values: Sequence[float]) -> str:
    if not values:
        return "–"
    return f"{min(values):.2f}  {statistics.median(values):.2f}  {max(values):.2f}"
