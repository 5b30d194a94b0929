"""Plots for notebooks as small SVG, by hand: no plotting library is needed, and a notebook's file stays small."""

import html
import math
from collections.abc import Mapping, Sequence

import numpy as np

from frontrow_models.evaluation.judging import SHOWN
from frontrow_models.evaluation.keys import HOUR_MS, room_hours
from frontrow_models.evaluation.ranking import precision_at
from frontrow_models.evaluation.reliability import Bin
from frontrow_models.evaluation.rolling import Rows

WIDTH, HEIGHT, EDGE = 420, 260, 44  # pixels
COLOURS = ("#1f6feb", "#d1480f", "#5b8c2a", "#8250df", "#6e7781")


class Svg(str):
    """The text of an SVG that a notebook shows as a picture."""

    def _repr_svg_(self) -> str:
        return str(self)


def reliability_svg(curve: Sequence[Bin], title: str = "reliability") -> Svg:
    """Return a reliability curve: mean probability of each bin against its share of outcomes, with 95 % intervals."""
    most = max([0.01, *(max(each.mean_p, each.high) for each in curve)])
    frame = _Frame((0.0, most), (0.0, most), "probability that was served", "share with outcome", title)
    parts = [frame.line([(0.0, 0.0), (most, most)], "#aaaaaa", dash=True)]
    for each in curve:
        parts.append(frame.line([(each.mean_p, each.low), (each.mean_p, each.high)], COLOURS[0]))
        parts.append(frame.dot(each.mean_p, each.share, COLOURS[0]))
    return frame.svg(parts, {})


def lift_by_hour(rows: Rows, place: int) -> dict[int, float]:
    """Return by hour (number since 1970, UTC) the mean over its room-hours of: precision@10 over the base rate there.

    Both are of viewers, each once. 1 is blind luck. Room-hours without an outcome, in which nobody could have found
    one, are left out.
    """
    good = np.isfinite(rows.served[:, place])
    outcomes, served_at = rows.outcomes[good], rows.served_at[good]
    groups = room_hours(rows.rooms[good], served_at)
    viewers = rows.viewers[good]
    _, precision, _ = precision_at(SHOWN, rows.served[good, place], outcomes, groups, viewers)
    _, base, _ = precision_at(max(1, len(groups)), np.zeros(len(groups)), outcomes, groups, viewers)
    _, first = np.unique(groups, return_index=True)
    hours = served_at[first] // HOUR_MS
    found: dict[int, list[float]] = {}
    for hour, share, rate in zip(hours.tolist(), precision.tolist(), base.tolist(), strict=True):
        if rate > 0.0:
            found.setdefault(hour, []).append(share / rate)
    return {hour: float(np.mean(found[hour])) for hour in sorted(found)}


def lift_svg(lifts: Mapping[str, Mapping[int, float]], title: str = "lift of the ten shown, by hour") -> Svg:
    """Return lines of :func:`lift_by_hour`, one per named column."""
    hours = sorted({hour for lift in lifts.values() for hour in lift})
    if not hours:
        return _Frame((0.0, 1.0), (0.0, 1.0), "no final outcome yet", "", title).svg([], {})
    most = max([1.5, *(value for lift in lifts.values() for value in lift.values())])
    frame = _Frame(
        (0.0, max(1.0, hours[-1] - hours[0])), (0.0, most), "hours since the first", "× base rate", title
    )
    parts = [frame.line([(0.0, 1.0), (max(1.0, hours[-1] - hours[0]), 1.0)], "#aaaaaa", dash=True)]
    legend: dict[str, str] = {}
    for (name, lift), colour in zip(lifts.items(), COLOURS, strict=False):
        points = [(float(hour - hours[0]), value) for hour, value in lift.items()]
        legend[name] = colour
        parts += [frame.line(points, colour), *(frame.dot(*point, colour) for point in points)]
    return frame.svg(parts, legend)


class _Frame:
    """Two axes from a low to a high value each."""

    def __init__(
        self, x: tuple[float, float], y: tuple[float, float], below: str, beside: str, title: str
    ) -> None:
        self._x, self._y = x, y
        self._words = (below, beside, title)

    def line(self, points: Sequence[tuple[float, float]], colour: str, *, dash: bool = False) -> str:
        path = " ".join(f"{self._left(x):.1f},{self._top(y):.1f}" for x, y in points)
        broken = ' stroke-dasharray="4 4"' if dash else ""
        return f'<polyline points="{path}" fill="none" stroke="{colour}"{broken}/>'

    def dot(self, x: float, y: float, colour: str) -> str:
        return f'<circle cx="{self._left(x):.1f}" cy="{self._top(y):.1f}" r="3" fill="{colour}"/>'

    def svg(self, parts: Sequence[str], legend: Mapping[str, str]) -> Svg:
        below, beside, title = map(html.escape, self._words)
        labels = [
            f'<text x="{WIDTH / 2}" y="16" text-anchor="middle" font-weight="bold">{title}</text>',
            f'<text x="{WIDTH / 2}" y="{HEIGHT - 6}" text-anchor="middle">{below}</text>',
            f'<text transform="translate(12,{HEIGHT / 2}) rotate(-90)" text-anchor="middle">{beside}</text>',
        ]
        for part in (0.0, 0.5, 1.0):
            x, y = _between(self._x, part), _between(self._y, part)
            labels += [
                f'<text x="{self._left(x):.1f}" y="{HEIGHT - EDGE + 14}" text-anchor="middle">{x:.3g}</text>',
                f'<text x="{EDGE - 5}" y="{self._top(y) + 4:.1f}" text-anchor="end">{y:.3g}</text>',
            ]
        for line, (name, colour) in enumerate(legend.items()):
            words = f'x="{WIDTH - 10}" y="{36 + 14 * line}" text-anchor="end" fill="{colour}"'
            labels.append(f"<text {words}>{html.escape(name)}</text>")
        box = f'<rect x="{EDGE}" y="{EDGE / 2}" width="{WIDTH - 1.5 * EDGE}" height="{HEIGHT - 1.5 * EDGE}" fill="none" stroke="#888888"/>'
        return Svg(
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif"'
            f' font-size="11">{box}{"".join(parts)}{"".join(labels)}</svg>'
        )

    def _left(self, x: float) -> float:
        return EDGE + (WIDTH - 1.5 * EDGE) * _share(self._x, x)

    def _top(self, y: float) -> float:
        return HEIGHT - EDGE - (HEIGHT - 1.5 * EDGE) * _share(self._y, y)


def _between(bounds: tuple[float, float], part: float) -> float:
    return bounds[0] + (bounds[1] - bounds[0]) * part


def _share(bounds: tuple[float, float], value: float) -> float:
    found = (value - bounds[0]) / (bounds[1] - bounds[0])
    return found if math.isfinite(found) else 0.0
