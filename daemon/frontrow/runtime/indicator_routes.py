"""The indicators over HTTP: their catalogue, and figures in arrays as charts take them. For managers and administrators."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.params import FromQuery, QueryParameter

from frontrow.core.centre.indicators import (
    BY_ID,
    CATALOGUE,
    DIMENSIONS,
    LEVELS,
    Figure,
    Question,
    QuestionRefused,
)
from frontrow.core.centre.sight import Sight
from frontrow.core.ports import Clock
from frontrow.runtime.access import Access, Grant, Role
from frontrow.runtime.answers import Http, problem
from frontrow.runtime.desk import NotAllowed
from frontrow.runtime.door import Door, Refused

MAX_INDICATORS = 45
MAX_ROWS = 10_000  # of one answer
VALUES = ("numerator", "denominator", "value", "why", "n", "immature", "low", "high")
"""What a row has behind its cuts, and before its quantiles."""

Ask = Callable[[Question], Awaitable[list[Figure]]]


def indicator_routes(
    ask: Ask,
    sight: Callable[[Grant], Sight],
    access: Access,
    clock: Clock,
    refused: Refused,
) -> list[Any]:
    """Return the handlers. ``ask`` computes figures; ``sight`` says what the bearer of a token sees of leads, or raises NotAllowed; ``refused``
    counts refusals by route and reason."""

    door = Door("indicators", access, clock, refused)

    async def sight_of(request: Http) -> Sight:
        grant = await door.grant(request)
        try:
            seen = sight(grant)
        except NotAllowed as error:
            raise door.forbidden(error) from error
        if grant.role not in (Role.MANAGER, Role.ADMIN) or not (seen.everything or seen.manages):
            text = f"This token's role is {grant.role}; indicators are for managers."
            raise door.refusal("forbidden", 403, text)
        return seen

    @get("/api/v1/indicators", summary="The indicators that can be asked for", tags=["indicators"])
    async def catalogue(request: Http) -> dict[str, Any]:
        """Formula, unit, owner and cuts of each, in Chinese and English; levels and dimensions."""
        await sight_of(request)
        return {
            "levels": [{"id": level, "zh": zh, "en": en} for level, (zh, en) in LEVELS.items()],
            "dimensions": {name: list(cuts) for name, cuts in DIMENSIONS.items()},
            "indicators": [
                {**msgspec.to_builtins(each), "dimensions": list(each.dimensions)} for each in CATALOGUE
            ],
        }

    @get("/api/v1/indicators/query", summary="Figures of indicators", tags=["indicators"])
    async def figures(
        request: Http,
        indicators: FromQuery[str],
        by: FromQuery[str] = "",
        keep: FromQuery[list[str] | None] = None,
        since: Annotated[int, QueryParameter(name="from", ge=0, le=1 << 62)] = 0,
        until: Annotated[int, QueryParameter(name="to", ge=0, le=1 << 62)] = 1 << 62,
        as_of: Annotated[int | None, QueryParameter(ge=0, le=1 << 62)] = None,
        offset_minutes: FromQuery[int] = 480,
        currency: FromQuery[str] = "CNY",
    ) -> dict[str, Any]:
        """``indicators`` and ``by`` (cuts) are parted by commas; ``keep`` is ``cut:value``, to be repeated; no value is unknown. Times are UTC ms.

        Of each indicator come ``columns`` and ``rows``: its cuts, then numerator, denominator, value, why there is
        none, n, the share still immature, the interval, and its quantiles. A manager of the organisation gets the
        figures of their teams.
        """
        seen = await sight_of(request)
        names = _parted(indicators)
        if len(names) > MAX_INDICATORS:
            raise problem(400, f"At most {MAX_INDICATORS} indicators are asked for at once.")
        filters = _filters(keep or [])
        if not seen.everything:
            asked = set(filters.get("team", seen.teams))
            filters["team"] = tuple(sorted(asked & seen.teams, key=str))
        question = Question(
            indicators=names,
            cuts=_parted(by),
            filters=filters,
            from_at=since,
            to_at=until,
            as_of=as_of,
            offset_minutes=offset_minutes,
            currency=currency,
        )
        try:
            found = await ask(question)
        except QuestionRefused as error:
            raise door.refusal("not understood", 400, f"{error}.") from error
        if len(found) > MAX_ROWS:
            raise problem(
                400, f"These are more than {MAX_ROWS:,} figures: ask for a shorter time, or fewer cuts."
            )
        return {
            "as_of": found[0].as_of if found else None,
            "series": [
                _series(name, question.cuts, [each for each in found if each.indicator == name])
                for name in names
            ],
        }

    return [catalogue, figures]


def _series(name: str, cuts: Sequence[str], found: Sequence[Figure]) -> dict[str, Any]:
    indicator = BY_ID[name]
    keys = [*cuts, *([indicator.part] if indicator.part else [])]
    quantiles = [f"p{percent}" for percent in indicator.quantiles]
    return {
        "indicator": name,
        "zh": indicator.zh,
        "en": indicator.en,
        "unit": indicator.unit,
        "columns": [*keys, *VALUES, *quantiles],
        "rows": [
            [
                *(each.cut[key] for key in keys),
                *(getattr(each, value) for value in VALUES),
                *((each.quantiles or {}).get(quantile) for quantile in quantiles),
            ]
            for each in found
        ],
    }


def _parted(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _filters(keep: Sequence[str]) -> dict[str, tuple[str | int | None, ...]]:
    found: dict[str, tuple[str | int | None, ...]] = {}
    for each in keep:
        cut, colon, text = each.partition(":")
        if not colon:
            raise problem(400, "What is kept is written as cut:value.")
        value: str | int | None = text or None
        if cut == "quality":
            if not (text.isascii() and text.isdigit() and len(text) == 1):
                raise problem(400, "A quality is 0 to 5.")
            value = int(text)
        found[cut] = (*found.get(cut, ()), value)
    return found
