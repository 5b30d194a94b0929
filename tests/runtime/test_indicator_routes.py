"""The indicators over HTTP, computed from a small company, and who may ask for what of them."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from frontrow.core.centre.indicators import Figure, Question
from frontrow.core.centre.sight import EVERYTHING, Sight
from frontrow.runtime.access import Access, Grant, Role, TokenRow
from frontrow.runtime.desk import NotAllowed
from frontrow.runtime.indicator_routes import VALUES, indicator_routes
from frontrow.storage.centre.database import open_database
from frontrow.storage.centre.indicators import query
from tests.centre.test_indicators import AS_OF, MESSAGES, START, fill
from tests.support.clock import ManualClock

TOKENS: dict[str, tuple[Role, str | None]] = {
    "admin": (Role.ADMIN, None), "manager": (Role.MANAGER, None), "chen": (Role.MANAGER, "chen"), "nobody": (Role.MANAGER, "gone"),
    "li": (Role.SALES, "li"), "host": (Role.HOST, None),
}  # fmt: skip


@pytest.fixture
async def http() -> AsyncIterator[AsyncTestClient[Litestar]]:
    """The routes over a company in memory. chen manages team hz, and no other."""
    engine = open_database("sqlite://")
    fill(engine)

    async def find(hash: bytes) -> TokenRow | None:
        for name, (role, seller) in TOKENS.items():
            if hashlib.sha256(name.encode()).digest() == hash:
                return (name, str(role), None, None, None, seller)
        return None

    def sight(grant: Grant) -> Sight:
        if grant.seller == "gone":
            raise NotAllowed("There is no 'gone' in the organisation at present.")
        teams = frozenset({"hz"})
        return (
            EVERYTHING
            if grant.seller is None
            else Sight(seller=grant.seller, teams=teams, manages=grant.seller == "chen")
        )

    async def ask(question: Question) -> list[Figure]:
        with engine.connect() as db:
            return query(db, question, MESSAGES)

    refused: list[tuple[str, str]] = []
    routes = indicator_routes(ask, sight, Access(find), ManualClock(), lambda *each: refused.append(each))
    async with AsyncTestClient(Litestar(routes)) as client:
        yield client
    engine.dispose()


async def get(http: AsyncTestClient[Litestar], path: str, token: str = "admin", **query: Any) -> Any:
    answer = await http.get(path, params=query, headers={"authorization": f"Bearer {token}"})
    return answer.status_code, answer.json()


async def test_the_catalogue_has_45_with_formula_unit_owner_and_dimensions(
    http: AsyncTestClient[Litestar],
) -> None:
    status, body = await get(http, "/api/v1/indicators")
    assert status == 200 and len(body["indicators"]) == 45
    assert (len(body["levels"]), len(body["dimensions"])) == (9, 9)
    for each in body["indicators"]:
        assert all(
            each[name] for name in ("id", "level", "zh", "en", "formula", "unit", "owner", "dimensions")
        )


async def test_figures_come_as_arrays_that_a_chart_takes(http: AsyncTestClient[Litestar]) -> None:
    asked: dict[str, Any] = {
        "indicators": "lead_to_order, first_response,quality_mix",
        "by": "channel",
        "from": START,
        "to": START + 1,
    }
    status, body = await get(http, "/api/v1/indicators/query", **asked)
    assert (status, body["as_of"]) == (200, AS_OF)
    order, response, mix = body["series"]
    assert order["columns"] == ["channel", *VALUES]
    assert [row[:4] for row in order["rows"]] == [[None, 0, 5, 0.0], ["ads", 1, 1, 1.0]]
    assert response["columns"] == ["channel", *VALUES, "p50", "p90"]
    assert [row[-2:] for row in response["rows"]] == [[240.0, 400.0], [60.0, 60.0]]
    assert mix["columns"][:2] == ["channel", "quality"]
    assert {(row[0], row[1], row[2]) for row in mix["rows"]} >= {("ads", 5, 1), (None, 4, 1)}


async def test_what_is_kept_is_kept_and_no_value_is_the_unknown(http: AsyncTestClient[Litestar]) -> None:
    for keep, leads in ((["channel:ads"], 2), (["channel:"], 6), (["quality:4", "quality:3"], 2)):
        _, body = await get(http, "/api/v1/indicators/query", indicators="raw_leads", keep=keep)
        assert body["series"][0]["rows"][0][0] == leads, keep


async def test_alerts_are_told_from_the_outbox(http: AsyncTestClient[Litestar]) -> None:
    _, body = await get(http, "/api/v1/indicators/query", indicators="alert_delivery_rate,time_to_alert")
    assert [series["rows"][0][2] for series in body["series"]] == [0.6, 2.0]


async def test_a_manager_of_the_organisation_gets_the_figures_of_their_teams(
    http: AsyncTestClient[Litestar],
) -> None:
    asked: dict[str, Any] = {"indicators": "lead_to_order"}
    _, all_of_it = await get(http, "/api/v1/indicators/query", **asked)
    _, theirs = await get(http, "/api/v1/indicators/query", "chen", **asked)
    _, others = await get(http, "/api/v1/indicators/query", "chen", keep=["team:sh"], **asked)
    assert [body["series"][0]["rows"][0][1] for body in (all_of_it, theirs, others)] == [6, 3, 0]
    # What cannot be parted by team is the whole company's, and not theirs.
    status, _ = await get(http, "/api/v1/indicators/query", "chen", indicators="events_received")
    assert status == 400


@pytest.mark.parametrize(
    ("token", "status"),
    [("", 401), ("host", 403), ("li", 403), ("nobody", 403), ("manager", 200), ("admin", 200)],
)
async def test_who_may_ask(http: AsyncTestClient[Litestar], token: str, status: int) -> None:
    for path in ("/api/v1/indicators", "/api/v1/indicators/query"):
        assert (await get(http, path, token, indicators="raw_leads"))[0] == status


@pytest.mark.parametrize(
    "asked",
    [
        {"indicators": "nonsense"},
        {"indicators": "raw_leads", "by": "moon"},
        {"indicators": "raw_leads", "keep": ["team"]},
        {"indicators": "raw_leads", "keep": ["quality:five"]},
        {"indicators": "raw_leads", "offset_minutes": 10_000},
        {"indicators": "raw_leads", "from": -1},
        {},
    ],
)
async def test_a_question_that_cannot_be_answered_is_refused(
    http: AsyncTestClient[Litestar], asked: Any
) -> None:
    status, body = await get(http, "/api/v1/indicators/query", **asked)
    assert status == 400 and body["detail"]
