"""The 45 indicators, each against a number worked out by hand in :data:`EXPECTED` from the small company in :func:`company`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from frontrow.core import facts
from frontrow.core.centre.book import Consent, Contact, Entry, Identity, LeadRow, RawLead
from frontrow.core.centre.indicators import (
    BY_ID,
    CATALOGUE,
    DIMENSIONS,
    LEVELS,
    Figure,
    Question,
    QuestionRefused,
    wilson,
)
from frontrow.core.centre.indicators_document import document
from frontrow.core.centre.milestones import mark
from frontrow.core.centre.room_facts import RoomFacts
from frontrow.core.events import Event
from frontrow.core.frames import Frame
from frontrow.storage.centre import tables
from frontrow.storage.centre.book import SqlBook
from frontrow.storage.centre.database import open_database
from frontrow.storage.centre.indicators import MEASURES, Message, query
from frontrow.storage.centre.rooms import save_rooms
from tests.centre.conftest import DATABASES
from tests.support.postgres import own_database

START = 1_750_000_000_000  # 15:06:40 UTC, 23:06:40 in Shanghai: what follows is within one hour
HOUR = START // 3_600_000 * 3_600_000
SECOND, MINUTE, DAY = 1_000, 60_000, 86_400_000
AS_OF = START + 10 * DAY


def event(kind: str, second: float, *, lag: int = 100, **fields: Any) -> Event:
    at = START + round(second * SECOND)
    fields = {"platform": "douyin", "room": "r1", "session": "s1"} | fields
    return Event(id=f"{kind}-{second}", kind=kind, at=at, seen_at=at + lag, **fields)


ASKED = {10: facts.PRICE, 230: facts.STOCK}
BROADCAST = [
    event("enter", 0, viewer="v1"),
    event("comment", 10, viewer="v1", text="多少钱"),
    event("enter", 20, viewer="v2"),
    event("comment", 30, viewer="v2", text="哈哈", lag=2_000),
    event("comment", 40, viewer="h", text="99", staff=True),  # answers v1
    event("like", 50, viewer="v2", count=4),
    event("like", 60, viewer="v1"),
    event("gift", 70, viewer="v1", value=500, currency="CNY"),
    event("gift", 75, viewer="v2", value=100, currency="USD"),
    event("product_click", 80, viewer="v1"),
    event("product_click", 85, viewer="v1"),
    event("cart_add", 90, viewer="v1"),
    event("form_submit", 95, viewer="v2"),
    # 105 seconds without anything
    event("room_stats", 200, viewers=40),
    event("leave", 210, viewer="v1"),
    event("stay", 220, viewer="v3", seconds=100.0),
    event("comment", 230, viewer="v3", text="有货吗"),
    event("room_stats", 240, viewers=35),
    event("like", 241, viewer="v9", test=True),
    event("lead_claim", 242, lead="A", seller="li"),
    event("tick", 243, platform="frontrow", room="clock"),
]


def rooms() -> RoomFacts:
    """v2 was here three hours ago; of the broadcast two events came twice."""
    counted = RoomFacts()
    counted.take(1, Frame.of([event("like", -3 * 3_600, viewer="v2", session="s0")]), {})
    asked = [ASKED.get((each.at - START) // SECOND, 0) for each in BROADCAST]
    counted.take(2, Frame.of(BROADCAST, asked), {("douyin", "r1"): 2})
    return counted


def lead(name: str, number: int, **fields: Any) -> LeadRow:
    known: dict[str, Any] = {
        "lead": name, "raw": f"r{name}", "customer": f"c{name}", "store": "hangzhou", "number": number, "platform": "douyin",
        "room": "r1", "created_at": START, "hot_at": START, "grade": "hot", "quality": 1, "points": 80, "probability": None,
        "sla": "v", "host": "小雅",
    }  # fmt: skip
    return LeadRow(**known | fields)


def raw(of: LeadRow, name: str | None = None, **fields: Any) -> RawLead:
    known: dict[str, Any] = {
        "raw": name or of.raw, "source": "room", "platform": "douyin", "room": "r1", "session": "s1", "kind": "viewer:douyin", "viewer": of.lead,
        "customer": of.customer, "lead": of.lead, "store": of.store, "met": "new", "grade": of.grade, "quality": of.quality,
        "points": of.points, "probability": of.probability, "reasons": [], "decided_at": START, "host": "小雅", "product": None,
        "campaign": None, "channel": of.channel, "policy": "p", "model": None,
    }  # fmt: skip
    return RawLead(**known | fields)


def company() -> list[Any]:
    """Six unique leads, one that was merged into the first, and eight raw ones."""
    s = START
    a = lead("A", 1, quality=5, flags=["test_drive_done"], status="won", holder="li", team="hz", channel="ads",
             claimed_at=s + 20 * SECOND, assigned_at=s + 10 * SECOND, responded_at=s + 60 * SECOND, closed_at=s + 2 * DAY,
             touches=3, value=20_000_000, probability=0.9, points=95)  # fmt: skip
    b = lead("B", 2, quality=4, flags=["confirmed"], status="following", holder="li", team="hz", claimed_at=s + 40 * SECOND,
             assigned_at=s + 30 * SECOND, responded_at=s + 240 * SECOND, touches=1, probability=0.55)  # fmt: skip
    c = lead("C", 3, quality=3, status="lost", reason="price", holder="wang", team="hz", claimed_at=s + 350 * SECOND,
             assigned_at=s + 320 * SECOND, breached_at=s + 300 * SECOND, breach="seller_no_claim",
             responded_at=s + 400 * SECOND, closed_at=s + DAY, touches=2, probability=0.25)  # fmt: skip
    d = lead(
        "D",
        4,
        quality=0,
        status="invalid",
        reason="duplicate",
        assigned_at=s + 50 * SECOND,
        closed_at=s + DAY,
    )
    e = lead("E", 5, breached_at=s + 300 * SECOND, breach="unassigned")
    f = lead("F", 6, quality=2, status="pooled", grade="warm", pool="public")
    g = lead("G", 7, merged_into="A", probability=0.7)
    leads = [a, b, c, d, e, f, g]
    raws = [
        raw(a), raw(a, "rA2", session="s2", grade="warm", probability=None), raw(b), raw(c), raw(d), raw(e),
        raw(f, source="form"), raw(g),
    ]  # fmt: skip
    people: list[Any] = []
    for each in (a, b, c):
        person = ("form", each.lead)
        people += [
            Identity(*person, each.customer, s),
            Contact(each.lead, *person, "00", "CN", "浙江", "杭州", None, None, s, "f"),
            Consent(*person, "contact", "", each is not c, s, "form"),  # C has taken it back
        ]
    entries = [
        Entry("A", 1, s + 10 * SECOND, "assigned", "rule:x", {"seller": "li"}),
        Entry("A", 2, s + 60 * SECOND, "lead_touch", "li", {"direction": "out", "answered": True}),
        Entry("B", 1, s + 5 * SECOND, "assigned", "rule:x", {"team": "hz"}),  # to a team: nobody has it yet
        Entry("B", 2, s + 30 * SECOND, "assigned", "rule:x", {"seller": "li"}),
        Entry("B", 3, s + 240 * SECOND, "lead_touch", "li", {"direction": "out", "answered": False}),
        Entry("C", 1, s + 20 * SECOND, "assigned", "rule:x", {"seller": "li"}),
        Entry("C", 2, s + 300 * SECOND, "returned", "clock", {}),
        Entry("C", 3, s + 320 * SECOND, "assigned", "rule:x", {"seller": "wang"}),
        Entry("C", 4, s + 400 * SECOND, "lead_touch", "wang", {"direction": "in"}),
        Entry("D", 1, s + 50 * SECOND, "assigned", "rule:x", {"seller": "wang"}),
    ]
    for entry in entries:
        mark(next(row for row in leads if row.lead == entry.lead), entry)
    return [*leads, *raws, *people, *entries]


MESSAGES = [
    Message(START, "sent", START + 1 * SECOND),
    Message(START, "sent", START + 3 * SECOND),
    Message(START, "sent", START + 2 * SECOND),
    Message(START, "pending", None),
    Message(START, "dead", START + 600 * SECOND),
]


@pytest.fixture(scope="module", params=DATABASES)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "sqlite":
        yield "sqlite://"
    else:
        with own_database() as found:
            yield found


@pytest.fixture(scope="module")
def db(url: str) -> Iterator[sa.Connection]:
    engine = open_database(url)
    fill(engine)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def fill(engine: sa.Engine) -> None:
    book = SqlBook(engine, b"journal")
    book.begin()
    for row in company():
        book.put(row)
    save_rooms(book.db, rooms())
    book.db.execute(
        sa.insert(tables.costs),
        [{"channel": "ads", "day": HOUR, "currency": "CNY", "amount": 5_000_000}],
    )
    book.position().now = AS_OF
    book.commit()


# What each is in the company and the broadcast above: numerator, denominator, value.
EXPECTED: dict[str, tuple[float | None, float | None, float]] = {
    "events_received": (18, None, 18),
    "duplicate_rate": (2, 20, 0.1),
    "gap_count": (1, None, 1),
    "feed_lag": (None, 18, 0.1),
    "feed_availability": (135_000, 240_000, 0.5625),
    "viewers_seen": (3, None, 3),  # v1, v2, v3; h is staff, v9 a test
    "returning_viewers": (1, 3, 1 / 3),  # v2
    "observed_dwell": (None, 2, 100.0),  # v1 210 s, v3 100 s
    "inferred_dwell_share": (1, 3, 1 / 3),  # v2
    "peak_concurrent": (40, None, 40),
    "comments_per_viewer": (3, 3, 1.0),
    "question_share": (2, 3, 2 / 3),
    "answered_question_rate": (1, 2, 0.5),
    "likes_per_viewer": (5, 3, 5 / 3),
    "gift_value": (500, None, 500),  # dollars are not added to yuan
    "price_intent_viewers": (1, None, 1),  # v1
    "product_click_rate": (1, 3, 1 / 3),  # v1, however often
    "cart_rate": (1, 3, 1 / 3),
    "form_rate": (1, 3, 1 / 3),
    "hot_viewers": (6, None, 6),  # all but the form's and the warm one
    "hot_precision_at_k": (2, 6, 1 / 3),  # A, and G which is A
    "raw_leads": (8, None, 8),
    "contact_rate": (3, 6, 0.5),  # A, B, C
    "consent_rate": (2, 6, 1 / 3),  # A, B
    "raw_to_unique": (8, 6, 8 / 6),
    "effective_rate": (3, 8, 0.375),  # A, B, C
    "duplicate_lead_rate": (2, 8, 0.25),  # A's second one, and G
    # A |0.9 − 1|, G |0.7 − 1|, B |0.55 − 0|, C |0.25 − 0|, each alone in its band
    "calibration_error": (1.2, 4, 0.3),
    "time_to_assign": (110, 4, 20),  # 10, 20, 30, 50 s: the second of four
    "time_to_alert": (6, 3, 2),  # 1, 2, 3 s
    "alert_delivery_rate": (3, 5, 0.6),
    "unassigned_leads": (2, None, 2),  # E, F
    "reassignment_rate": (1, 6, 1 / 6),  # C
    "first_response": (700, 3, 240),  # 60, 240, 400 s
    "in_sla_rate": (2, 4, 0.5),  # A, B of A, B, C, E
    "contact_success_rate": (2, 3, 2 / 3),  # A answered, C wrote; B did not
    "follow_ups_per_lead": (6, 3, 2.0),
    "lead_to_opportunity": (2, 6, 1 / 3),  # A, B
    "lead_to_visit": (1, 6, 1 / 6),  # A
    "lead_to_order": (1, 6, 1 / 6),  # A
    "deal_cycle": (2, 1, 2.0),  # A: two days
}
PARTED: dict[str, dict[Any, tuple[int, int]]] = {
    "invalid_rate": {"duplicate": (1, 6)},  # D
    "quality_mix": {0: (1, 6), 1: (1, 6), 2: (1, 6), 3: (1, 6), 4: (1, 6), 5: (1, 6)},
    "loss_by_cause": {"late": (1, 3), "duplicate": (1, 3), "unassigned": (1, 3)},  # C, D, F
}
BY_CHANNEL = {"channel_roi": {"ads": (15_000_000, 5_000_000, 3.0), None: (None, None, None)}}
IMMATURE = {
    "hot_precision_at_k": 2 / 6,  # of B and E one cannot tell yet
    "calibration_error": 1 / 4,  # B
    "lead_to_opportunity": 3 / 6,  # B, E, F
    "lead_to_visit": 3 / 6,
    "lead_to_order": 3 / 6,
    "deal_cycle": 3 / 4,  # B, E, F are not won yet, A is
}
QUANTILES = {
    "feed_lag": {"p50": 0.1, "p99": 2.0},
    "observed_dwell": {"p50": 100, "p90": 210},
    "time_to_assign": {"p50": 20, "p90": 50},
    "time_to_alert": {"p50": 2, "p99": 3},
    "first_response": {"p50": 240, "p90": 400},
    "deal_cycle": {"p50": 2, "p90": 2},
}


def ask(db: sa.Connection, indicator: str, **more: Any) -> list[Figure]:
    return query(db, Question(indicators=(indicator,), from_at=HOUR, to_at=HOUR + DAY, **more), MESSAGES)


def test_there_are_45_in_nine_levels_and_each_has_a_number_worked_out_by_hand() -> None:
    assert len(CATALOGUE) == len(BY_ID) == 45
    assert {level: sum(each.level == level for each in CATALOGUE) for level in LEVELS} == dict.fromkeys(
        LEVELS, 5
    )
    assert len(LEVELS) == len(DIMENSIONS) == 9
    assert set(BY_ID) == {*EXPECTED, *PARTED, *BY_CHANNEL}
    assert {each.id for each in CATALOGUE if each.outcome} == {*IMMATURE, "channel_roi"}
    assert {each.id for each in CATALOGUE if each.quantiles} == set(QUANTILES)


def test_every_measure_is_computed_somewhere_and_everything_said_of_an_indicator_holds_together() -> None:
    for each in CATALOGUE:
        measures = {each.numerator, each.denominator or each.numerator}
        assert measures <= MEASURES, each.id
        assert bool(each.denominator) == (each.kind == "ratio"), each.id
        assert each.formula and each.zh and each.en and each.cuts and each.owner
        assert "time" in each.dimensions


@pytest.mark.parametrize("indicator", EXPECTED)
def test_an_indicator_is_what_was_worked_out_by_hand(db: sa.Connection, indicator: str) -> None:
    [figure] = ask(db, indicator)
    numerator, denominator, value = EXPECTED[indicator]
    # Sketches are right to 2 %; everything else is exact.
    loose = 0.02 if indicator in ("feed_lag", "observed_dwell") else 1e-12
    assert figure.value == pytest.approx(value, rel=loose)
    assert figure.numerator == pytest.approx(numerator)
    assert figure.denominator == denominator
    assert (figure.why, figure.as_of) == (None, AS_OF)
    assert figure.immature == (pytest.approx(IMMATURE[indicator]) if indicator in IMMATURE else None)
    if indicator in QUANTILES:
        assert figure.quantiles == pytest.approx(QUANTILES[indicator], rel=loose)


@pytest.mark.parametrize("indicator", PARTED)
def test_an_indicator_of_parts_tells_each_part_of_the_whole(db: sa.Connection, indicator: str) -> None:
    part = BY_ID[indicator].part
    found = {each.cut[part]: (each.numerator, each.denominator) for each in ask(db, indicator)}
    assert found == PARTED[indicator]


def test_a_channel_without_an_imported_cost_says_so_instead_of_a_number(db: sa.Connection) -> None:
    found = {each.cut["channel"]: each for each in ask(db, "channel_roi", cuts=("channel",))}
    told = {channel: (each.numerator, each.denominator, each.value) for channel, each in found.items()}
    assert told == BY_CHANNEL["channel_roi"]
    assert (found["ads"].why, found[None].why) == (None, "cost_missing")
    assert (found["ads"].immature, found[None].immature) == (0.0, 3 / 5)
    in_dollars = ask(db, "channel_roi", cuts=("channel",), currency="USD")
    assert {each.why for each in in_dollars} == {"cost_missing"}


def test_a_rate_of_one_seller_with_few_leads_is_hidden_and_says_so(db: sa.Connection) -> None:
    for figure in ask(db, "lead_to_order", cuts=("seller",)):
        assert (figure.value, figure.why, figure.low) == (None, "too_few", None)
        assert figure.n == {"li": 2, "wang": 1, None: 3}[figure.cut["seller"]]  # type: ignore[index]
    [team, _] = sorted(ask(db, "lead_to_order", cuts=("team",)), key=lambda each: each.cut["team"] is None)
    assert (team.value, team.n) == (1 / 3, 3)


def test_a_proportion_has_the_interval_of_wilson(db: sa.Connection) -> None:
    [figure] = ask(db, "lead_to_order")
    # One of six: 0.0301 to 0.5635, as any table of Wilson's interval has it.
    assert figure.low == pytest.approx(0.0301, abs=5e-5)
    assert figure.high == pytest.approx(0.5635, abs=5e-5)
    assert wilson(0, 10)[0] == 0.0 and wilson(10, 10)[1] == 1.0


def test_what_ended_after_the_moment_asked_of_counts_as_open(db: sa.Connection) -> None:
    [figure] = ask(db, "deal_cycle", as_of=START + 2 * DAY)
    assert figure.n == 1
    assert ask(db, "deal_cycle", as_of=START + 2 * DAY - 1) == []
    assert ask(db, "raw_leads", as_of=START - 1)[0].value == 0


def test_open_leads_that_are_old_are_no_longer_immature(db: sa.Connection) -> None:
    [figure] = ask(db, "lead_to_visit", as_of=START + 30 * DAY)
    assert figure.immature == 0.0


def test_figures_are_cut_and_filtered_by_dimension(db: sa.Connection) -> None:
    by_day = ask(db, "raw_leads", cuts=("day", "host"))
    midnight = 1_749_916_800_000  # 2025-06-15 00:00 in Shanghai, 16:00 UTC the day before
    assert [(each.cut, each.value) for each in by_day] == [({"day": midnight, "host": "小雅"}, 8)]
    [week] = ask(db, "viewers_seen", cuts=("week",))
    assert week.cut == {"week": midnight - 6 * DAY}  # the Monday before
    assert [each.value for each in ask(db, "raw_leads", filters={"session": ("s2",)})] == [1]
    assert [each.value for each in ask(db, "raw_leads", filters={"channel": (None,)})] == [6]
    assert [each.value for each in ask(db, "raw_leads", filters={"channel": ()})] == [0]


def test_a_store_s_hottest_are_ranked_among_all_of_their_session(database: str) -> None:
    """Who is kept changes nothing of who was among the first ten: of twelve, the last two are of the store that is asked for, and of its
    one in another room nobody stands before."""
    engine = open_database(database)
    book = SqlBook(engine, b"journal")
    book.begin()
    book.position().now = AS_OF
    for number in range(1, 14):
        store = "hangzhou" if number <= 8 else "ningbo"
        row = lead(f"L{number}", number, store=store, points=100 - number)
        book.put(row)
        book.put(raw(row, room="r2") if number == 13 else raw(row))
    book.commit()
    with engine.connect() as db:
        [kept] = ask(db, "hot_precision_at_k", filters={"store": ("ningbo",)})
        by_store = ask(db, "hot_precision_at_k", cuts=("store",))
    engine.dispose()
    assert kept.denominator == 3  # the ninth, the tenth and the one alone
    assert {each.cut["store"]: each.denominator for each in by_store} == {"hangzhou": 8, "ningbo": 3}


def test_a_denominator_of_nothing_gives_no_number(db: sa.Connection) -> None:
    [figure] = ask(db, "lead_to_order", filters={"store": ("nowhere",)})
    assert (figure.value, figure.why, figure.denominator) == (None, "nothing", 0)


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ({"indicators": ("nonsense",)}, "no indicator 'nonsense'"),
        ({"indicators": ("events_received",), "cuts": ("seller",)}, "cannot be cut by seller"),
        ({"indicators": ("raw_leads",), "filters": {"moon": ("full",)}}, "no cut 'moon'"),
        ({"indicators": ("raw_leads",), "filters": {"day": (0,)}}, "bounded by from and to"),
        ({"indicators": ("raw_leads",), "cuts": ("day", "day")}, "named twice"),
    ],
)
def test_a_question_that_nothing_can_answer_is_refused_in_words(
    db: sa.Connection, question: dict[str, Any], reason: str
) -> None:
    with pytest.raises(QuestionRefused, match=reason):
        query(db, Question(**question))


def test_the_tables_are_what_the_migrations_make(db: sa.Connection) -> None:
    context = MigrationContext.configure(db)
    assert compare_metadata(context, tables.metadata) == []


def test_the_page_for_people_says_what_the_catalogue_says() -> None:
    page = Path(__file__).parents[2] / "daemon" / "docs" / "indicators.md"
    told = (
        "python -c 'from frontrow.core.centre.indicators_document import document as d; print(d(), end=\"\")'"
    )
    assert page.read_text("utf-8") == document(), f"it is old: {told} > daemon/docs/indicators.md"
