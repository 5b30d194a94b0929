"""Where somebody is from: of a telephone number, and of what they or their platform say. Unknown stays unknown.

A Chinese mobile is looked up by its first seven digits, a landline by its area code, in the table that the library
``phone`` brings; other countries by their code. Numbers can be carried to another carrier but not to another city, and
people can move: it is where the number was bought. An area code that several cities share gives the province alone.

The table is read at the first number or name that needs it: 4.5 MB of memory and 7 ms of processor time, once; then a
number takes 60 µs. The geocoder of ``phonenumbers`` is not used: it takes 99 MB and 560 ms, knows a city for fewer
mobiles (70 % of 2,000 prefixes, against 93 %), and for landlines no other province in any of 321 area codes. What it
would add is cities abroad.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from frontrow.core.centre.facts import NOWHERE, Region
from frontrow.core.phones import country_of

CHINA = "CN"
_LONGEST = 6  # characters of a city's name
MUNICIPALITIES = frozenset({"北京", "上海", "天津", "重庆"})
_OUTSIDE = {"香港": "HK", "澳门": "MO", "台湾": "TW"}  # regions with a telephone code of their own
_BY_COUNTRY = {country: province for province, country in _OUTSIDE.items()}

# Places of the table that have another name now, or are the seat of a prefecture that is named beside them.
_NOW = {
    "思茅": "普洱", "临河": "巴彦淖尔", "集宁": "乌兰察布", "乌兰浩特": "兴安", "海拉尔": "呼伦贝尔", "锡林浩特": "锡林郭勒",
    "延吉": "延边", "珲春": "延边", "梅河口": "通化", "西昌": "凉山", "克州": "克孜勒苏", "博州": "博尔塔拉", "博乐": "博尔塔拉",
    "巴州": "巴音郭楞", "库尔勒": "巴音郭楞", "雄安": "保定", "潢川": "信阳", "江汉": "潜江", "吉首": "湘西", "兴义": "黔西南",
    "凯里": "黔东南", "都匀": "黔南", "商州": "商洛", "共和": "海南", "德令哈": "海西", "格尔木": "海西", "海晏": "海北",
    "奎屯": "伊犁", "莱芜": "济南", "巢湖": "合肥",
}  # fmt: skip
# A city's name that is as often a district's elsewhere: it counts only with 市 behind it or its province before it.
_DOUBTFUL = frozenset({"朝阳"})

_LEADING = re.compile(r"(?:IP属地|属地|所在地|地区)\s*:\s*|中国(?!$)\s*")
_GAP = re.compile(r"[\s,，、/·\-|>]+")
_PROVINCE_END = re.compile(r"省|特别行政区|(?:壮族|回族|维吾尔)?自治区")
_CITY_END = re.compile(r"市|地区|林区|盟|(?:[\u4e00-\u9fff]{1,4}族)*自治州|州")
_PREFECTURE = re.compile(r"(?:[\u4e00-\u9fff]{1,4}族)*自治州|州")
_DISTRICT = re.compile(r"(?!湾)[\u4e00-\u9fff]{1,5}[区县]")  # 杭州湾 is no part of 杭州


def region_of_number(e164: str) -> Region:
    """Return where a number was bought; ``e164`` as :func:`frontrow.core.centre.identities.normalised_phone` gives it.

    The country is known of every number but those of no country (``+800``); province and city of China's only.
    """
    country = country_of(e164)
    if country != CHINA:
        return Region(country=country, province=_BY_COUNTRY.get(country, ""))
    digits = e164.removeprefix("+86")
    places = _places()
    if len(digits) == 11 and digits.startswith("1"):
        return places.of_mobile(digits)
    for length in (2, 3):
        found = places.by_area.get(f"0{digits[:length]}")
        if found is not None:
            return found
    return Region(country=CHINA)


def region_of_text(text: str) -> Region:
    """Return the region that a text names, as in 浙江省杭州市, 浙江 杭州, 杭州, IP属地：浙江; of China only.

    What contradicts itself (广东杭州) or may be two places names none.
    """
    rest = unicodedata.normalize("NFKC", text).strip()
    while leading := _LEADING.match(rest):
        rest = rest[leading.end() :].lstrip()
    places = _places()
    province, behind = _province(rest)
    if not province:
        return places.of_city(rest)
    if province in _OUTSIDE:
        return Region(country=_OUTSIDE[province], province=province)
    if province in MUNICIPALITIES:
        return Region(country=CHINA, province=province, city=province)
    city = places.by_province[province].get(_longest(behind, places.by_province[province]), "")
    if not city and places.of_city(behind) != NOWHERE:
        return NOWHERE
    return Region(country=CHINA, province=province, city=city)


def _province(text: str) -> tuple[str, str]:
    """Return the province that a text begins with, and what stands behind it; ("", text) if there is none."""
    for province in _places().by_province.keys() | _OUTSIDE.keys():
        if not text.startswith(province):
            continue
        rest = text[len(province) :]
        city_alike = rest.startswith("市") and province not in MUNICIPALITIES | _OUTSIDE.keys()
        if city_alike or _PREFECTURE.match(rest):
            return "", text  # 吉林市 and 海南州 are not their namesakes
        end = _PROVINCE_END.match(rest)
        return province, _GAP.sub("", rest[end.end() if end else 0 :], count=1)
    return "", text


def _longest(text: str, names: Collection[str]) -> str:
    """Return the longest of ``names`` that a text begins with, or nothing."""
    return next((text[:length] for length in range(_LONGEST, 1, -1) if text[:length] in names), "")


@dataclass(frozen=True, slots=True)
class _Places:
    """The library's table, and what is made of it."""

    find: Callable[[str], Mapping[str, str] | None]  # by a mobile's first seven digits
    by_area: Mapping[str, Region]  # area code (0571) → region; several cities: without a city
    by_province: Mapping[str, Mapping[str, str]]  # province → every name of a city there → its name now
    by_city: Mapping[str, Region]  # names of cities that only one province has

    def of_mobile(self, digits: str) -> Region:
        found = self.find(digits[:7])
        if found is None:
            return Region(country=CHINA)
        province = found["province"]
        return Region(country=CHINA, province=province, city=_city(province, found["city"]))

    def of_city(self, text: str) -> Region:
        """Return the region of the city that a text begins with, if that is what it can only mean."""
        name = _longest(text, self.by_city)
        rest = text[len(name) :]
        plain = not rest or _GAP.match(rest) or _DISTRICT.fullmatch(rest)
        if not name or not (_CITY_END.match(rest) or (plain and name not in _DOUBTFUL)):
            return NOWHERE
        return self.by_city[name]


@cache
def _places() -> _Places:
    from phone import Phone  # the table is a file of 4.5 MB: for those who ask for a region

    table = Phone()
    by_area: dict[str, set[Region]] = {}
    by_province: dict[str, dict[str, str]] = {}
    by_city: dict[str, set[Region]] = {}
    for record in table.buf[8 : table.first_phone_record_offset].decode().split("\0"):
        if not record:
            continue
        province, name, _, area = record.split("|")
        city = _city(province, name)
        region = Region(country=CHINA, province=province, city=city)
        by_area.setdefault(area, set()).add(region)
        for each in {name.removesuffix("盟"), city}:
            by_province.setdefault(province, {})[each] = city
            by_city.setdefault(each, set()).add(region)
    return _Places(
        table.find,
        {area: _common(regions) for area, regions in by_area.items()},
        by_province,
        {name: found for name, (found, *others) in by_city.items() if not others},
    )


def _common(regions: Iterable[Region]) -> Region:
    first, *others = regions
    return first if not others else Region(country=CHINA, province=first.province)


def _city(province: str, name: str) -> str:
    name = name.removesuffix("盟")
    return province if province in MUNICIPALITIES else _NOW.get(name, name)
