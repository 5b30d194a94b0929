"""The region of a number and of declared words: known ones right, unknown ones unknown, never a guess."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.core.centre.facts import NOWHERE, Region
from frontrow.core.centre.regions import region_of_number, region_of_text


def china(province: str = "", city: str = "") -> Region:
    return Region(country="CN", province=province, city=city)


@pytest.mark.parametrize(
    ("e164", "region"),
    [
        # mobiles; the last five are of prefixes that phonenumbers' geocoder does not know
        ("+8613800138000", china("北京", "北京")),
        ("+8615012345678", china("云南", "昭通")),
        ("+8618857112345", china("浙江", "杭州")),
        ("+8613570912345", china("广东", "广州")),
        ("+8618109912345", china("新疆", "乌鲁木齐")),
        ("+8617012345678", china("浙江", "杭州")),
        ("+8619912345678", china("河北", "唐山")),
        ("+8616612345678", china("重庆", "重庆")),
        ("+8617512345678", china("重庆", "重庆")),
        # landlines
        ("+8657188123456", china("浙江", "杭州")),
        ("+861088123456", china("北京", "北京")),
        ("+862188123456", china("上海", "上海")),
        ("+8675588123456", china("广东", "深圳")),
        ("+868798812345", china("云南", "普洱")),  # the table has its former name too
        ("+865008812345", china()),  # no such area code
        ("+862888123456", china("四川")),  # 028 is Chengdu, Meishan and Ziyang
        ("+8673188123456", china("湖南")),  # 0731 is Changsha, Zhuzhou and Xiangtan
        ("+864008123456", china()),
        # elsewhere
        ("+85223456789", Region(country="HK", province="香港")),
        ("+886223456789", Region(country="TW", province="台湾")),
        ("+442079460958", Region(country="GB")),
        ("+16502530000", Region(country="US")),
        ("+80012345678", NOWHERE),
        ("nonsense", NOWHERE),
    ],
)
def test_the_region_of_a_number(e164: str, region: Region) -> None:
    assert region_of_number(e164) == region


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("浙江省杭州市", china("浙江", "杭州")),
        ("浙江省杭州市西湖区文三路 1 号", china("浙江", "杭州")),
        ("浙江 杭州", china("浙江", "杭州")),
        ("浙江-杭州", china("浙江", "杭州")),
        ("中国浙江杭州", china("浙江", "杭州")),
        ("杭州", china("浙江", "杭州")),
        ("杭州市", china("浙江", "杭州")),
        ("杭州余杭区", china("浙江", "杭州")),
        (" 杭州 ", china("浙江", "杭州")),
        ("浙江", china("浙江")),
        ("IP属地：浙江", china("浙江")),
        ("浙江省某某县", china("浙江")),
        ("北京市朝阳区", china("北京", "北京")),
        ("上海", china("上海", "上海")),
        ("内蒙古自治区呼和浩特市", china("内蒙古", "呼和浩特")),
        ("新疆维吾尔自治区", china("新疆")),
        ("新疆乌鲁木齐", china("新疆", "乌鲁木齐")),
        ("锡林郭勒盟", china("内蒙古", "锡林郭勒")),
        ("云南西双版纳傣族自治州", china("云南", "西双版纳")),
        ("吉林省吉林市", china("吉林", "吉林")),
        ("吉林市", china("吉林", "吉林")),
        ("吉林", china("吉林")),
        ("海南", china("海南")),
        ("海南省三亚市", china("海南", "三亚")),
        ("海南藏族自治州", china("青海", "海南")),
        ("吉林延吉", china("吉林", "延边")),
        ("朝阳市", china("辽宁", "朝阳")),
        ("香港特别行政区", Region(country="HK", province="香港")),
        ("澳门", Region(country="MO", province="澳门")),
        # what is not known, or may be two things
        ("朝阳", NOWHERE),
        ("广东杭州", NOWHERE),
        ("杭州湾新区", NOWHERE),
        ("杭州菜真好吃", NOWHERE),
        ("火星", NOWHERE),
        ("Hangzhou", NOWHERE),
        ("中国", NOWHERE),
        ("", NOWHERE),
    ],
)
def test_the_region_that_is_declared(text: str, region: Region) -> None:
    assert region_of_text(text) == region


@given(st.text(alphabet="浙江杭州市省海南吉林自治区族中国IP属地: 北京", max_size=12))
def test_no_text_is_too_strange(text: str) -> None:
    found = region_of_text(text)
    assert not found.city or found.province


def test_nobody_pays_for_the_table_who_asks_for_no_region() -> None:
    """Replays and the command line import the engine; the geocoder, 99 MB, is never wanted."""
    code = (
        "import sys, frontrow.core.centre.regions as r; assert 'phone' not in sys.modules;"
        " r.region_of_number('+8618857112345'); r.region_of_text('杭州');"
        " assert 'phone' in sys.modules and 'phonenumbers.geocoder' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
