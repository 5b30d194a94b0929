"""The catalogue as a page for people: daemon/docs/indicators.md is what :func:`document` gives."""

from frontrow.core.centre.indicators import (
    CATALOGUE,
    DIMENSIONS,
    LEVELS,
    MATURE_DAYS,
    MIN_PEOPLE_LEADS,
    Indicator,
)

HEAD = f"""# The 45 indicators

Made from `frontrow.core.centre.indicators`; a test holds both together. They are asked for by `GET /api/v1/indicators/query` and by
`frontrow export indicators`; every figure has its numerator, denominator, number of cases and the moment as of which it holds.

- Figures of leads are of cohorts: those of a day are about the leads made on that day, whenever they were answered or won.
- An **outcome** also says which share of its leads is still open and younger than {MATURE_DAYS} days, and so may still change.
- A proportion has a 95 % interval. Of one seller with fewer than {MIN_PEOPLE_LEADS} leads there is no rate.
- Where the denominator is 0 there is no value, and `why` says so; so does a channel without an imported cost.
- Times are by the clock on the wall. Quantiles of rooms are right to 2 %, all others exact, by nearest rank.
- The nine dimensions and their cuts: {"; ".join(f"{name} ({', '.join(cuts)})" for name, cuts in DIMENSIONS.items())}.
"""


def document() -> str:
    """Return the page."""
    parts = [HEAD]
    for level, (zh, en) in LEVELS.items():
        parts.append(f"\n## {level} {zh} ({en})\n")
        parts.append(
            "| id | 指标 | indicator | unit | formula | owner | cut by |\n| --- | --- | --- | --- | --- | --- | --- |"
        )
        parts += [_row(indicator) for indicator in CATALOGUE if indicator.level == level]
    return "\n".join(parts) + "\n"


def _row(indicator: Indicator) -> str:
    words = [indicator.formula, *(["**outcome**"] if indicator.outcome else [])]
    cells = (
        f"`{indicator.id}`",
        indicator.zh,
        indicator.en,
        indicator.unit,
        "; ".join(words),
        indicator.owner,
        ", ".join(indicator.dimensions),
    )
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
