"""Who works where is asked about a moment, changes from a moment on, and never raises for a list with mistakes."""

from datetime import datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.core.centre.facts import Region
from frontrow.core.centre.organisation import (
    MINUTE_MS,
    Absence,
    Organisation,
    OrgChange,
    Seller,
    Shift,
    Unit,
    change_data,
    read_change,
    sells,
)
from frontrow.core.errors import EventInvalid

HOUR = 3_600_000
DAY = 24 * HOUR
T0 = 1_767_225_600_000  # Thursday 2026-01-01 00:00 UTC


def at(text: str, zone: str = "Asia/Shanghai") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


UNITS = (
    Unit(id="hq", kind="company"),
    Unit(id="east", kind="region", parent="hq", provinces=("浙江", "江苏")),
    Unit(id="hz", kind="store", parent="east", cities=("杭州",), provinces=("浙江",)),
    Unit(id="nj", kind="store", parent="east", cities=("南京",)),
    Unit(id="hz-suv", kind="team", parent="hz", products=("auto/suv",)),
    Unit(id="hz-ev", kind="team", parent="hz", products=("auto/ev",)),
    Unit(id="nj-all", kind="team", parent="nj", products=("auto",)),
)
SELLERS = (
    Seller(id="a", team="hz-suv"),
    Seller(id="b", team="hz-suv"),
    Seller(id="c", team="hz-ev"),
    Seller(id="d", team="nj-all"),
    Seller(id="boss", team="hz", role="manager"),
    Seller(id="head", team="hq", role="manager"),
)
COMPANY = Organisation(UNITS, SELLERS)


def ids(found: Any) -> list[str]:
    return [each.id for each in found]


def test_questions_go_up_and_down_the_tree() -> None:
    assert ids(COMPANY.path("hz-suv", T0)) == ["hq", "east", "hz", "hz-suv"]
    assert ids(COMPANY.sellers_of("hz", T0)) == ["a", "b", "boss", "c"]
    assert ids(COMPANY.sellers_of("hq", T0)) == ["a", "b", "boss", "c", "d", "head"]
    assert ids(COMPANY.units_of("east", T0, "team")) == ["hz-ev", "hz-suv", "nj-all"]
    stores = [COMPANY.store_of(id, T0) for id in ("a", "hz-suv", "hz", "head", "nobody")]
    assert [store and store.id for store in stores] == ["hz", "hz", "hz", None, None]
    assert COMPANY.sellers_of("nowhere", T0) == ()
    assert COMPANY.problems() == []


def test_a_manager_is_the_nearest_one_above() -> None:
    assert ids(COMPANY.managers_of("hz-suv", T0)) == ["boss"]
    assert ids(COMPANY.managers_of("nj-all", T0)) == ["head"]
    assert COMPANY.managers_of("nowhere", T0) == ()


def test_a_reassigned_seller_is_in_one_team_before_and_in_another_after() -> None:
    moved = COMPANY.changed(OrgChange(sellers=(Seller(id="a", team="hz-ev", from_at=T0),)))
    assert ids(moved.sellers_of("hz-suv", T0 - 1)) == ["a", "b"]
    assert ids(moved.sellers_of("hz-suv", T0)) == ["b"]
    assert ids(moved.sellers_of("hz-ev", T0)) == ["a", "c"]
    assert ids(COMPANY.sellers_of("hz-suv", T0)) == ["a", "b"], "the one before is not changed"
    assert moved.problems() == []
    assert moved.left("hz-suv", T0) == (), "who has moved has not left"


def test_a_seller_is_lent_for_a_week_and_comes_back() -> None:
    lent = OrgChange(
        sellers=(
            Seller(id="a", team="nj-all", from_at=T0, to_at=T0 + 7 * DAY),
            Seller(id="a", team="hz-suv", from_at=T0 + 7 * DAY),
        )
    )
    company = COMPANY.changed(lent)
    teams = [company.seller("a", moment) for moment in (T0 - 1, T0, T0 + 7 * DAY - 1, T0 + 7 * DAY)]
    assert [seller and seller.team for seller in teams] == ["hz-suv", "nj-all", "nj-all", "hz-suv"]


def test_who_has_left_is_gone_and_known_to_be() -> None:
    company = COMPANY.changed(OrgChange(sellers=(Seller(id="a", team="hz-suv", to_at=T0),)))
    assert ids(company.sellers_of("hz-suv", T0)) == ["b"]
    assert ids(company.left("hz", T0)) == ["a"]
    assert company.left("hz", T0 - 1) == ()
    assert company.left("nj", T0) == ()
    moved = COMPANY.changed(OrgChange(sellers=(Seller(id="a", team="nj-all", from_at=T0, to_at=T0 + 1),)))
    assert (ids(moved.left("hz", T0 + 1)), ids(moved.left("nj", T0 + 1))) == ([], ["a"]), (
        "from the last team alone"
    )


def test_the_same_change_twice_changes_nothing_more() -> None:
    change = OrgChange(sellers=SELLERS, units=UNITS)
    again = COMPANY.changed(change)
    assert (again.units, again.sellers) == (COMPANY.units, COMPANY.sellers)
    later = tuple(msgspec.structs.replace(seller, from_at=T0) for seller in SELLERS)
    assert COMPANY.changed(OrgChange(sellers=later)).sellers == COMPANY.sellers, (
        "nothing is different from T0 on"
    )


def test_replacing_keeps_nothing() -> None:
    company = COMPANY.changed(OrgChange(units=UNITS[:1], replace=True))
    assert (company.units, company.sellers) == (UNITS[:1], ())


def test_a_change_comes_back_from_an_events_data() -> None:
    change = OrgChange(
        units=UNITS,
        sellers=(Seller(id="a", team="t", shifts=(Shift(from_minute=0, to_minute=1),), absences=(Absence(from_at=1, to_at=2),)),),
        by="token 1",
    )  # fmt: skip
    assert read_change(msgspec.json.decode(msgspec.json.encode(change_data(change)))) == change
    with pytest.raises(EventInvalid, match=r"\$\.sellers\[0\]\.weight"):
        read_change({"sellers": [{"id": "a", "team": "t", "weight": 0}]})
    with pytest.raises(EventInvalid, match="teem"):
        read_change({"sellers": [{"id": "a", "teem": "t"}]})


@pytest.mark.parametrize(
    ("moment", "on"),
    [
        ("2026-01-05 08:59", False),  # a Monday
        ("2026-01-05 09:00", True),
        ("2026-01-05 17:59", True),
        ("2026-01-05 18:00", False),
        ("2026-01-09 21:59", False),
        ("2026-01-09 22:00", True),  # Friday night …
        ("2026-01-10 05:59", True),  # … goes on into Saturday
        ("2026-01-10 06:00", False),
        ("2026-01-12 05:00", True),  # and Sunday night into Monday
    ],
)
def test_a_shift_may_pass_midnight_and_the_end_of_the_week(moment: str, on: bool) -> None:
    day = Shift(weekdays=(1, 2, 3, 4, 5), from_minute=540, to_minute=1080)
    night = Shift(weekdays=(5, 7), from_minute=1320, to_minute=360)
    assert COMPANY.on_shift(Seller(id="n", team="t", shifts=(day, night)), at(moment)) is on


def test_shifts_are_by_the_clock_on_the_sellers_wall_also_in_summer_time() -> None:
    nine = Shift(weekdays=(1, 2, 3, 4, 5, 6, 7), from_minute=540, to_minute=541)
    berlin = Seller(id="n", team="t", timezone="Europe/Berlin", shifts=(nine,))
    for day in ("2026-03-28", "2026-03-29", "2026-07-01"):
        assert COMPANY.on_shift(berlin, at(f"{day} 09:00", "Europe/Berlin"))
        assert not COMPANY.on_shift(berlin, at(f"{day} 09:00"))


def test_no_shifts_is_always_and_an_unknown_zone_never() -> None:
    assert COMPANY.on_shift(Seller(id="n", team="t"), T0)
    shift = Shift(weekdays=(1, 2, 3, 4, 5, 6, 7), from_minute=0, to_minute=0)
    assert COMPANY.on_shift(Seller(id="n", team="t", shifts=(shift,)), T0)
    assert not COMPANY.on_shift(Seller(id="n", team="t", shifts=(shift,), timezone="Mars/Olympus"), T0)


def test_somebody_is_absent_from_the_first_millisecond_until_before_the_last() -> None:
    seller = Seller(id="n", team="t", absences=(Absence(from_at=T0, to_at=T0 + DAY),))
    assert [COMPANY.absent(seller, moment) for moment in (T0 - 1, T0, T0 + DAY - 1, T0 + DAY)] == [
        False, True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("region", "stores"),
    [
        (Region(province="浙江", city="杭州"), ["hz"]),
        (Region(province="浙江", city="宁波"), ["hz"]),
        (Region(province="江苏", city="南京"), ["nj"]),
        (Region(province="江苏", city="苏州"), ["hz", "nj"]),  # only the region names 江苏
        (Region(province="云南", city="昆明"), []),
        (Region(), []),  # unknown: never a guess
        (Region(city="杭州"), ["hz"]),
        (Region(province="河南", city="杭州"), []),  # another city of that name
    ],
)
def test_who_serves_a_place(region: Region, stores: list[str]) -> None:
    assert ids(COMPANY.stores_serving(region, T0)) == stores


def test_the_narrowest_product_line_sells() -> None:
    assert ids(COMPANY.units_selling(("auto", "suv", "x5"), T0)) == ["hz-suv"]
    assert ids(COMPANY.units_selling(("auto", "van"), T0)) == ["nj-all"]
    assert COMPANY.units_selling(("shoes",), T0) == ()
    assert COMPANY.units_selling((), T0) == ()


@pytest.mark.parametrize(
    ("products", "product", "taxonomy", "fits"),
    [
        ((), "p1", ("auto",), True),
        (("auto/suv",), None, (), True),
        (("auto/suv",), "p1", ("auto", "suv", "x5"), True),
        (("auto/suv",), "p1", ("auto",), True),
        (("auto/suv",), "p1", ("auto", "ev"), False),
        (("auto/suv",), "p1", ("auto", "suvs"), False),
        (("auto/suv", "p1"), "p1", ("auto", "ev"), True),
        (("auto/suv",), "p1", (), False),
    ],
)
def test_what_a_seller_can_sell(
    products: tuple[str, ...], product: str | None, taxonomy: tuple[str, ...], fits: bool
) -> None:
    assert sells(products, product, taxonomy) is fits


def replaced(**changes: Unit | Seller | None) -> list[str]:
    """Return the problems of the company with versions added (any name) or one taken out (name → None)."""
    units = [unit for unit in UNITS if unit.id not in changes or changes[unit.id] is not None]
    sellers = list(SELLERS)
    for change in changes.values():
        if isinstance(change, Unit):
            units = [unit for unit in units if unit.id != change.id or unit.from_at != change.from_at]
            units.append(change)
        elif isinstance(change, Seller):
            sellers = [each for each in sellers if each.id != change.id or each.from_at != change.from_at]
            sellers.append(change)
    return Organisation(units, sellers).problems()


@pytest.mark.parametrize(
    ("problems", "expected"),
    [
        (replaced(nj=None), ["team nj-all belongs to nj, which does not exist"]),
        (
            replaced(nj=Unit(id="nj", kind="store", parent="east", to_at=T0)),
            ["team nj-all belongs to nj, which does not exist from 2026-01-01 00:00 UTC on"],
        ),
        (
            replaced(new=Unit(id="x", kind="team", parent="east")),
            ["team x belongs to region east, where only a store can be"],
        ),
        (replaced(new=Unit(id="x", kind="team")), ["team x belongs to nothing; a team stands in a store"]),
        (
            replaced(new=Seller(id="e", team="hz")),
            ["seller e belongs to store hz, where only a team can be"],
        ),
        (replaced(new=Seller(id="e", team="gone")), ["seller e belongs to gone, which does not exist"]),
        (
            replaced(new=Seller(id="a", team="hz-ev", from_at=T0)),
            ["seller a is there twice from 2026-01-01 00:00 UTC on"],
        ),
        (
            replaced(new=Seller(id="e", team="hz-ev", from_at=T0 + 1, to_at=T0)),
            ["seller e ends on 2026-01-01 00:00 UTC, before it begins"],
        ),
        (
            replaced(new=Seller(id="e", team="hz-ev", timezone="Mars/Olympus")),
            ["seller e has an unknown time zone, Mars/Olympus, and so is never on shift"],
        ),
        (
            replaced(new=Seller(id="e", team="hz-ev", absences=(Absence(from_at=T0, to_at=T0),))),
            ["seller e has an absence that ends before it begins, on 2026-01-01 00:00 UTC"],
        ),
        (
            replaced(
                one=Seller(id="e", team="hz-ev", wecom="w"), two=Seller(id="f", team="hz-ev", wecom="w")
            ),
            ["sellers e and f have the same WeCom userid, w: each would see the other's leads"],
        ),
        (replaced(new=Seller(id="hz-ev", team="hz-ev")), ["hz-ev is the id of a unit and of a seller"]),
        (
            replaced(
                one=Unit(id="x", kind="region", parent="y"), two=Unit(id="y", kind="region", parent="x")
            ),
            ["x over y over x: a unit cannot be above itself"],
        ),
    ],
)
def test_problems_are_named(problems: list[str], expected: list[str]) -> None:
    assert problems == expected


def test_a_circle_and_twins_stop_no_question() -> None:
    company = Organisation(
        [
            Unit(id="x", kind="region", parent="y"),
            Unit(id="y", kind="region", parent="x"),
            Unit(id="s", kind="store", parent="x"),
        ],
        [Seller(id="m", team="y", role="manager"), Seller(id="m", team="x", role="manager", from_at=1)],
    )
    assert ids(company.path("s", T0)) == ["y", "x", "s"]
    assert ids(company.managers_of("s", T0)) == ["m"]
    assert ids(company.sellers_of("y", T0)) == ["m"]


MOMENTS = st.integers(0, 6)
RANGES = st.tuples(MOMENTS, st.none() | MOMENTS)
CHANGES = st.lists(
    st.lists(
        st.builds(
            lambda team, range: Seller(id="a", team=team, from_at=range[0], to_at=range[1]),
            st.sampled_from("xyz"),
            RANGES.filter(lambda range: range[1] is None or range[0] < range[1]),
        ),
        min_size=1,
        max_size=1,
    ),
    max_size=6,
)


@given(CHANGES)
def test_after_any_changes_the_last_word_holds_and_ranges_never_meet(changes: list[list[Seller]]) -> None:
    company = Organisation()
    said: list[str | None] = [None] * 8
    for change in changes:
        company = company.changed(OrgChange(sellers=tuple(change)))
        for version in change:
            end = len(said) if version.to_at is None else version.to_at
            said[version.from_at :] = [
                version.team if moment < end else None for moment in range(version.from_at, len(said))
            ]
    found = [company.seller("a", moment) for moment in range(len(said))]
    assert [seller and seller.team for seller in found] == said
    ranges = [(version.from_at, version.to_at) for version in company.sellers]
    assert all(one[1] is not None and one[1] <= other[0] for one, other in pairwise(ranges))


@given(st.permutations(UNITS), st.permutations(SELLERS))
def test_the_order_of_a_list_means_nothing(units: list[Unit], sellers: list[Seller]) -> None:
    company = Organisation(units, sellers)
    assert company.sellers_of("hq", T0) == COMPANY.sellers_of("hq", T0)
    assert company.stores_serving(Region(province="江苏"), T0) == COMPANY.stores_serving(
        Region(province="江苏"), T0
    )


def test_answers_can_be_kept_for_a_stretch_in_which_nobody_comes_goes_or_is_away() -> None:
    absence = Absence(from_at=T0 + 5, to_at=T0 + 9)
    company = COMPANY.changed(
        OrgChange(sellers=(Seller(id="a", team="hz-ev", from_at=T0, absences=(absence,)),))
    )
    moments = (-1, 0, 4, 5, 8, 9, MINUTE_MS - 1, MINUTE_MS, MINUTE_MS + 1)
    since = [company.since(T0 + moment) - T0 for moment in moments]
    assert since == [-MINUTE_MS, 0, 0, 5, 5, 9, 9, MINUTE_MS, MINUTE_MS]
    assert [company.settled_since(T0 + moment) - T0 for moment in moments[1:]] == [0] * 8
    assert (Organisation().since(T0 + 1), Organisation().settled_since(T0)) == (T0, 0)
