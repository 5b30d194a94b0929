"""What channels cost: read from CSV, told by the journal, and set against what their leads brought."""

import pytest

from frontrow.core.centre.costs import CostRow, change_data, read_change, read_costs_csv
from frontrow.core.centre.indicators import Question
from frontrow.core.errors import EventInvalid
from frontrow.storage.centre.indicators import query
from tests.support.centre import Scene

JUNE_15 = 1_749_916_800_000  # 2025-06-15 00:00 in Shanghai


@pytest.mark.parametrize(
    "text",
    [
        "channel,day,amount,currency\nads,2025-06-15,1234.56,CNY\n",
        '\ufeff渠道,日期,金额\r\nads,2025/06/15,"1,234.56"\r\n',
        "备注,花费,渠道,日期\n六月,￥1234.56,ads,2025年6月15日\n\n",
    ],
)
def test_costs_are_read_as_people_keep_them(text: str) -> None:
    found = read_costs_csv(text)
    assert found.errors == ()
    assert found.records == (CostRow(channel="ads", day=JUNE_15, amount=123_456, currency="CNY"),)


def test_every_bad_row_is_told_of_by_line_column_and_reason_and_the_others_are_read() -> None:
    lines = [
        "渠道,日期,金额,币种",
        "ads,2025-06-15,10,CNY",
        ",2025-06-15,10,CNY",
        "ads,yesterday,10,CNY",
        "ads,2025-06-16,ten,CNY",
        "ads,2025-06-16,-1,CNY",
        "ads,2025-06-16,0.005,CNY",
        "ads,2025-06-16,NaN,CNY",
        "ads,2025-06-16,10,yuan",
        "ads,2025-06-15,11,CNY",
        "ads,2025-06-15,1,JPY",
        "ads,2025-06-15",
    ]
    found = read_costs_csv("\n".join(lines))
    assert [(row.currency, row.amount) for row in found.records] == [("CNY", 1_000), ("JPY", 1)]
    told = [(each.line, each.column) for each in found.errors]
    assert told == [
        (3, "渠道"), (4, "日期"), (5, "金额"), (6, "金额"), (7, "金额"), (8, "金额"), (9, "币种"), (10, ""), (12, "金额"),
    ]  # fmt: skip
    assert "line 2" in found.errors[7].reason


@pytest.mark.parametrize(
    ("text", "reason"), [("", "empty"), ("channel,amount\nads,1\n", "no column for day")]
)
def test_a_file_that_says_nothing_says_why(text: str, reason: str) -> None:
    [mistake] = read_costs_csv(text).errors
    assert mistake.line == 1 and reason in mistake.reason


def test_costs_of_the_journal_are_those_of_the_channel_and_a_later_word_replaces_an_earlier() -> None:
    scene = Scene()
    for amount in (500, 300):
        row = CostRow(channel="ads", day=JUNE_15, amount=amount)
        scene.say("cost_change", data=change_data([row], "chen"))
    with scene.engine.connect() as db:
        [figure] = query(db, Question(indicators=("channel_roi",), cuts=("channel",)))
    assert (figure.cut, figure.denominator, figure.numerator, figure.value) == (
        {"channel": "ads"},
        300,
        -300,
        -1.0,
    )
    scene.say("cost_change", data={"rows": [{"channel": "ads"}]})
    assert scene.centre.refused["cost_change"] == 1
    scene.close()


@pytest.mark.parametrize("data", [None, {}, {"rows": 3}, {"rows": [{"channel": "a", "day": 1, "amount": 1}]}])
def test_an_event_that_tells_no_costs_is_refused(data: object) -> None:
    with pytest.raises(EventInvalid):
        read_change(data)
