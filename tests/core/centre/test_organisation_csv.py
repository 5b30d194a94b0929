"""A list of people or stores is read as it is kept; every row that cannot be taken is named with line, column and reason."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.core.centre.organisation import Seller, Shift, Unit
from frontrow.core.centre.organisation_csv import Mistake, read_sellers_csv, read_units_csv

SHANGHAI = ZoneInfo("Asia/Shanghai")


def day(year: int, month: int, number: int) -> int:
    return int(datetime(year, month, number, tzinfo=SHANGHAI).timestamp() * 1000)


def test_units_are_read_from_a_chinese_header() -> None:
    text = "\ufeff编号,类型,名称,上级,省份,城市,产品线,生效日期\r\nhz,门店,杭州店,east,浙江省,杭州市；宁波市,汽车/SUV、汽车/轿车,2026-01-01\r\n"
    read = read_units_csv(text)
    assert read.errors == ()
    assert read.records == (
        Unit(
            id="hz", kind="store", name="杭州店", parent="east", provinces=("浙江",), cities=("杭州", "宁波"),
            products=("汽车/SUV", "汽车/轿车"), from_at=day(2026, 1, 1),
        ),
    )  # fmt: skip


def test_places_are_written_as_a_leads_region_is() -> None:
    text = "id,kind,provinces,cities\nx,store,内蒙古自治区;上海市;Bayern,延边朝鲜族自治州;吉林市;浙江省杭州市;München;新市\n"
    [unit] = read_units_csv(text).records
    assert unit.provinces == ("内蒙古", "上海", "Bayern")
    assert unit.cities == ("延边", "吉林", "杭州", "München", "新")


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_sellers_are_read_from_an_english_header(mark: str) -> None:
    header = [
        "ID",
        "Team",
        "name",
        "role",
        "wecom",
        "weight",
        "capacity",
        "timezone",
        "from",
        "until",
        "shifts",
    ]
    row = ["a", "t1", '"Li, Na"', "manager", "lina", "2", "0", "Europe/Berlin", "2026/1/1", "2026-03-31", '"Mon-Fri 09:00-18:00; Sat 22:00-06:00"']  # fmt: skip
    read = read_sellers_csv("\n".join([mark.join(header), mark.join(row)]))
    assert read.errors == ()
    assert read.records == (
        Seller(
            id="a", team="t1", name="Li, Na", role="manager", wecom="lina", weight=2, capacity=0, timezone="Europe/Berlin",
            from_at=day(2026, 1, 1), to_at=day(2026, 3, 31),
            shifts=(
                Shift(weekdays=(1, 2, 3, 4, 5), from_minute=540, to_minute=1080),
                Shift(weekdays=(6,), from_minute=1320, to_minute=360),
            ),
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "weekdays"),
    [("周一至周五 9:00-18:00", (1, 2, 3, 4, 5)), ("周六,周日 9:00-18:00", (6, 7)), ("Sat-Mon 9:00-18:00", (1, 6, 7)),
     ("Friday 9:00-18:00", (5,)), ("1-7 9:00-18:00", (1, 2, 3, 4, 5, 6, 7)), ("星期天 9:00至18:00", (7,))],
)  # fmt: skip
def test_days_of_a_shift(text: str, weekdays: tuple[int, ...]) -> None:
    [seller] = read_sellers_csv(f'工号,团队,班次\na,t,"{text}"\n').records
    assert seller.shifts == (Shift(weekdays=weekdays, from_minute=540, to_minute=1080),)


def test_every_bad_row_is_named_and_the_rest_is_there_to_take() -> None:
    text = (
        "工号,团队,角色,权重,时区,入职日期,离职日期,班次\n"
        "a,t,销售,1,,,,\n"
        "b,,飞行员,0,Mars/Olympus,2026-02-30,,随便\n"
        "\n"
        "c,t,,1.5,,2026-01-02,2026-01-02,\n"
        'd,t,,,,,,"周一 9:00-18:00;\n周九 9:00-18:00"\n'
        "e,t,,,,2026-01-02,2026-01-02,\n"
        "a,t2,,,,,,\n"
        "f,t,,,,,,,,,\n"
        "g,t\n"
    )
    read = read_sellers_csv(text)
    assert [seller.id for seller in read.records] == ["a", "g"]
    assert [(error.line, error.column) for error in read.errors] == [
        (3, "角色"), (3, "权重"), (3, "时区"), (3, "入职日期"), (3, "班次"), (3, "团队"),
        (5, "权重"), (6, "班次"), (8, "离职日期"), (9, "工号"), (10, ""),
    ]  # fmt: skip
    reasons = [error.reason for error in read.errors]
    assert "飞行员" not in reasons[0] and "specialist" in reasons[0]
    assert reasons[1] == "must be 1 or more"
    assert reasons[3] == "is not a day of the calendar"
    assert reasons[5] == "is empty"
    assert reasons[7] == "周九 is not a day of the week"
    assert reasons[9] == "a stands in line 2 already, for the same time"
    assert reasons[10] == "has 11 columns, the header 8"


@pytest.mark.parametrize(
    ("column", "cell", "reason"),
    [
        ("手机", "12", "is no mobile number"),
        ("手机", "+0123456789", "is no mobile number"),
        ("姓名", "长" * 257, "has more than 256 characters"),
        ("上限", "99999999", "must be "),
    ],
)
def test_reasons_are_words_of_who_keeps_the_table(column: str, cell: str, reason: str) -> None:
    read = read_sellers_csv(f"工号,团队,{column}\na,t,{cell}\n")
    assert not read.records
    [error] = read.errors
    assert error.reason.startswith(reason) and "`" not in error.reason


def test_a_header_that_is_wrong_is_named() -> None:
    read = read_units_csv("编号,类型,电话,名称,name\nx,门店,1,店,店\n")
    assert [unit.id for unit in read.records] == ["x"]
    assert read.errors == (
        Mistake(line=1, column="电话", reason="is not a column that is known here"),
        Mistake(line=1, column="name", reason="says the same as a column before it, name"),
    )
    read = read_units_csv("编号,名称\nx,店\n")
    assert read.records == ()
    assert [(error.line, error.column) for error in read.errors] == [(1, "kind")]
    assert "类型" in read.errors[0].reason


def test_what_is_no_csv_ends_with_a_sentence() -> None:
    read = read_units_csv('id,kind\nx,store\ny,"store"z\nw,store\n')
    assert [unit.id for unit in read.records] == ["x"]
    assert [error.line for error in read.errors] == [3]
    assert read_units_csv("").errors == (Mistake(line=1, column="", reason="the file is empty"),)


@given(st.text(max_size=200))
def test_no_text_raises(text: str) -> None:
    for file in (text, "id,kind,from,provinces\n" + text, "工号,团队,班次,权重\n" + text):
        read_units_csv(file)
        read_sellers_csv(file)


def test_a_row_that_says_no_day_holds_from_when_the_caller_says() -> None:
    [unit] = read_units_csv("id,kind\nx,company\n", from_at=day(2026, 5, 1)).records
    assert unit.from_at == day(2026, 5, 1)
