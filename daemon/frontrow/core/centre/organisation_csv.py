"""Reads units and sellers from CSV as people keep them, with a header in Chinese or English.

Every row that cannot be taken is told of, with its line, its column and the reason; the others are returned. Whether
these are taken all the same is the caller's choice. How the rows fit together (a team without its store) is not
looked at here: see :meth:`~frontrow.core.centre.organisation.Organisation.problems`.

Days are days of a time zone: the version holds from the start of ``from`` on and until the start of ``until``, the
first day on which it no longer does. Lists are parted by ``;``, ``；``, ``、`` or ``|``; shifts read ``Mon-Fri
09:00-18:00; Sat 22:00-06:00`` or ``周一至周五 9:00-18:00``.
"""

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Generic, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from frontrow.core.centre.organisation import DAY_MINUTES, MOBILE, Seller, Shift, Unit
from frontrow.core.centre.regions import region_of_text

MAX_ROWS = 100_000


class Mistake(Struct, frozen=True, kw_only=True):
    """What is wrong where: ``line`` from 1, the header's; ``column`` as the header calls it, "" for the whole line."""

    line: int
    column: str
    reason: str


Record = TypeVar("Record", Unit, Seller)


class Imported(Struct, Generic[Record], frozen=True, kw_only=True):
    """What a file gave: the rows that can be taken, and each that cannot be."""

    records: tuple[Record, ...]
    errors: tuple[Mistake, ...]


def read_units_csv(text: str, *, timezone: str = "Asia/Shanghai", from_at: int = 0) -> Imported[Unit]:
    """Return the units of a CSV file; :data:`UNIT_COLUMNS` are its columns, of which ``id`` and ``kind`` must be there.

    ``from_at`` (UTC ms) is from when a row holds that does not say so itself. ``timezone`` must be a known one.
    """
    return _read(text, Unit, UNIT_COLUMNS, ("id", "kind"), ZoneInfo(timezone), from_at)


def read_sellers_csv(text: str, *, timezone: str = "Asia/Shanghai", from_at: int = 0) -> Imported[Seller]:
    """Return the sellers of a CSV file; :data:`SELLER_COLUMNS` are its columns, of which ``id`` and ``team`` must be there.

    ``timezone`` is also a seller's own where the row names none. The rest is as in :func:`read_units_csv`.
    """
    return _read(text, Seller, SELLER_COLUMNS, ("id", "team"), ZoneInfo(timezone), from_at)


UNIT_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "编号", "组织编号"),
    "kind": ("kind", "类型", "组织类型"),
    "name": ("name", "名称", "组织名称"),
    "parent": ("parent", "上级", "上级编号"),
    "provinces": ("provinces", "province", "省份", "省"),
    "cities": ("cities", "city", "城市", "市"),
    "products": ("products", "产品", "产品线"),
    "from_at": ("from", "生效日期", "开始日期"),
    "to_at": ("until", "失效日期", "终止日期"),
}
"""Field of a :class:`Unit` → what its column may be called, in any case."""

SELLER_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "工号", "编号"),
    "team": ("team", "团队", "团队编号", "组"),
    "name": ("name", "姓名", "名称"),
    "role": ("role", "角色", "岗位"),
    "wecom": ("wecom", "wecom userid", "企业微信", "企业微信账号"),
    "mobile": ("mobile", "phone", "手机", "手机号"),
    "products": ("products", "产品", "产品线", "技能"),
    "weight": ("weight", "权重"),
    "capacity": ("capacity", "容量", "上限"),
    "timezone": ("timezone", "时区"),
    "shifts": ("shifts", "班次", "排班"),
    "from_at": ("from", "生效日期", "入职日期", "开始日期"),
    "to_at": ("until", "失效日期", "离职日期", "终止日期"),
}
"""Field of a :class:`Seller` → what its column may be called, in any case."""

_KINDS = {
    "公司": "company", "集团": "company", "大区": "region", "区域": "region", "门店": "store", "经销商": "store", "店": "store",
    "团队": "team", "销售组": "team", "组": "team",
}  # fmt: skip
_ROLES = {
    "销售": "seller", "销售顾问": "seller", "顾问": "seller", "专员": "specialist", "专家": "specialist", "前台": "reception",
    "经理": "manager", "店长": "manager", "主管": "manager",
}  # fmt: skip
# Not str.splitlines: that also ends a line at characters that may stand in a name.
_LINE = re.compile(r"(?<=\n)|(?<=\r)(?!\n)")
_LIST = re.compile(r"[;；、|]")
_WEEKDAYS = {
    name: number
    for number, names in enumerate(
        ("mon 一 1", "tue 二 2", "wed 三 3", "thu 四 4", "fri 五 5", "sat 六 6", "sun 日 天 7"), start=1
    )
    for name in names.split()
}
_SHIFT = re.compile(r"(?P<days>\S+)\s+(?P<from>\d{1,2}:\d\d)\s*[-–~至到]\s*(?P<to>\d{1,2}:\d\d)")
_DAYS = re.compile(r"[,，]")
_SPAN = re.compile(r"[-–~至到]")


def _read(
    text: str,
    type: type[Record],
    columns: Mapping[str, tuple[str, ...]],
    needed: Sequence[str],
    zone: ZoneInfo,
    from_at: int,
) -> Imported[Record]:
    lines = _LINE.split(text.removeprefix("\ufeff"))
    rows = csv.reader(lines, delimiter=_delimiter(lines[0] if lines else "", columns), strict=True)
    records: list[Record] = []
    errors: list[Mistake] = []
    seen: dict[tuple[str, int], int] = {}
    header: list[str] | None = None
    fields: list[str | None] = []
    line = 1
    try:
        for row in rows:
            if not any(cell.strip() for cell in row):
                pass
            elif header is None:
                header = [name.strip() for name in row]
                fields, mistakes = _fields(header, columns, needed)
                errors += mistakes
                if any(need not in fields for need in needed):
                    break
            else:
                if len(records) + len(errors) >= MAX_ROWS:
                    errors.append(Mistake(line=line, column="", reason=f"more than {MAX_ROWS:,} rows"))
                    break
                record, mistakes = _record(row, header, fields, type, zone, from_at, line)
                errors += mistakes
                if record is not None:
                    first = seen.setdefault((record.id, record.from_at), line)
                    if first == line:
                        records.append(record)
                    else:
                        reason = f"{record.id} stands in line {first} already, for the same time"
                        errors.append(Mistake(line=line, column=header[fields.index("id")], reason=reason))
            line = rows.line_num + 1
    except csv.Error as error:
        errors.append(Mistake(line=line, column="", reason=f"not CSV: {error}; nothing below was read"))
    if header is None and not errors:
        errors.append(Mistake(line=1, column="", reason="the file is empty"))
    return Imported(records=tuple(records), errors=tuple(errors))


def _delimiter(first_line: str, columns: Mapping[str, tuple[str, ...]]) -> str:
    """Return what parts the columns: whatever makes the most known names of the first line."""
    known = {name for names in columns.values() for name in names}
    return max(
        ",;\t", key=lambda mark: sum(cell.strip(' "\r\n').lower() in known for cell in first_line.split(mark))
    )


def _fields(
    header: Sequence[str], columns: Mapping[str, tuple[str, ...]], needed: Sequence[str]
) -> tuple[list[str | None], list[Mistake]]:
    """Return the field that each column is for (None: none), and the mistakes of the header."""
    by_name = {name: field for field, names in columns.items() for name in names}
    fields: list[str | None] = []
    mistakes: list[Mistake] = []
    for name in header:
        field = by_name.get(name.lower())
        if field is None and name:
            mistakes.append(Mistake(line=1, column=name, reason="is not a column that is known here"))
        elif field is not None and field in fields:
            mistakes.append(
                Mistake(line=1, column=name, reason=f"says the same as a column before it, {field}")
            )
            field = None
        fields.append(field)
    mistakes += (
        Mistake(
            line=1, column=need, reason=f"is missing; it may also be called {', '.join(columns[need][1:])}"
        )
        for need in needed
        if need not in fields
    )
    return fields, mistakes


def _record(
    row: Sequence[str],
    header: Sequence[str],
    fields: Sequence[str | None],
    type: type[Record],
    zone: ZoneInfo,
    from_at: int,
    line: int,
) -> tuple[Record | None, list[Mistake]]:
    """Return one row's record, or None and why not."""
    if len(row) > len(header):
        reason = f"has {len(row)} columns, the header {len(header)}"
        return None, [Mistake(line=line, column="", reason=reason)]
    given: dict[str, Any] = {"from_at": from_at}
    if type is Seller:
        given["timezone"] = zone.key
    mistakes: list[Mistake] = []
    for name, field, cell in zip(header, fields, row, strict=False):
        if field is None or not cell.strip():
            continue
        try:
            value = _READERS.get(field, _plain)(cell.strip(), zone)
            # Each field is looked at by itself, so that a row with two mistakes names both.
            msgspec.convert(value, _types(type)[field])
        except (msgspec.ValidationError, ValueError) as error:
            mistakes.append(Mistake(line=line, column=name, reason=_sentence(str(error))))
        else:
            given[field] = value
    for need in type.__struct_fields__[: len(type.__struct_fields__) - len(type.__struct_defaults__)]:
        column = next((name for name, field in zip(header, fields, strict=True) if field == need), None)
        if (
            need not in given
            and column is not None
            and not any(mistake.column == column for mistake in mistakes)
        ):
            mistakes.append(Mistake(line=line, column=column, reason="is empty"))
    if mistakes:
        return None, mistakes
    record = msgspec.convert(given, type)
    if record.to_at is not None and record.to_at <= record.from_at:
        column = header[fields.index("to_at")]
        return None, [Mistake(line=line, column=column, reason="is not after the day from which it holds")]
    return record, []


def _sentence(reason: str) -> str:
    """Return in words for who keeps a table what a type's bounds say."""
    for pattern, sentence in _BOUNDS:
        if found := re.match(pattern, reason):
            return sentence.format(found[1])
    return reason[:1].lower() + reason[1:]


_BOUNDS = (
    (r"Expected `(?:int|float)` >= (\S+)", "must be {} or more"),
    (r"Expected `(?:int|float)` <= (\S+)", "must be {} or less"),
    (r"Expected `str` of length <= (\d+)", "has more than {} characters"),
    (r"Expected `array` of length <= (\d+)", "names more than {}"),
)


@cache
def _types(type: type[Unit] | type[Seller]) -> dict[str, Any]:
    return {field.name: field.type for field in msgspec.structs.fields(type)}


def _plain(cell: str, zone: ZoneInfo) -> str:
    return cell


def _number(cell: str, zone: ZoneInfo) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", cell):
        raise ValueError("is not a whole number")
    return int(cell)


def _mobile(cell: str, zone: ZoneInfo) -> str:
    digits = re.sub(r"[\s().-]", "", cell)
    number = f"+86{digits}" if re.fullmatch(r"1[3-9][0-9]{9}", digits) else digits
    if not re.fullmatch(MOBILE, number):
        raise ValueError(
            "is no mobile number: eleven digits from 13 to 19 on, or + and all with the country's code"
        )
    return number


def _list(cell: str, zone: ZoneInfo) -> list[str]:
    return [part.strip() for part in _LIST.split(cell) if part.strip()]


def _provinces(cell: str, zone: ZoneInfo) -> list[str]:
    return [region_of_text(place).province or place for place in _list(cell, zone)]


def _cities(cell: str, zone: ZoneInfo) -> list[str]:
    # As a lead's region writes it; what that does not know (a city abroad) may still be what a form says.
    return [region_of_text(place).city or place.removesuffix("市") for place in _list(cell, zone)]


def _word_of(words: Mapping[str, str]) -> Callable[[str, ZoneInfo], str]:
    def read(cell: str, zone: ZoneInfo) -> str:
        word = words.get(cell, cell.lower())
        if word not in words.values():
            raise ValueError(f"is none of {', '.join([*dict.fromkeys(words.values()), *words])}")
        return word

    return read


def _zone(cell: str, zone: ZoneInfo) -> str:
    try:
        return ZoneInfo(cell).key
    except (
        KeyError,
        ValueError,
        OSError,
    ):  # what zoneinfo raises for a name that it does not find, or that is a path
        raise ValueError("is not a known time zone, as in Asia/Shanghai") from None


def _day(cell: str, zone: ZoneInfo) -> int:
    numbers = re.fullmatch(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:[ T](\d{1,2}):(\d\d))?", cell)
    if numbers is None:
        raise ValueError("is not a day, as in 2026-03-31")
    try:
        local = datetime(*(int(number or 0) for number in numbers.groups()), tzinfo=zone)  # type: ignore[misc,arg-type]
    except ValueError:
        raise ValueError("is not a day of the calendar") from None
    return int(local.timestamp() * 1000)


def _shifts(cell: str, zone: ZoneInfo) -> list[dict[str, Any]]:
    shifts: list[dict[str, Any]] = []
    for part in re.split("[;；]", cell):
        read = _SHIFT.fullmatch(part.strip())
        if read is None:
            raise ValueError(f"{part.strip()!r} is not a shift, as in Mon-Fri 09:00-18:00")
        start, end = _minute(read["from"]), _minute(read["to"])
        shifts.append(
            {"weekdays": _weekdays(read["days"]), "from_minute": start % DAY_MINUTES, "to_minute": end}
        )
    return msgspec.to_builtins(msgspec.convert(shifts, list[Shift]))  # type: ignore[no-any-return]  # JSON values


def _minute(clock: str) -> int:
    hours, minutes = map(int, clock.split(":"))
    if minutes > 59 or hours * 60 + minutes > DAY_MINUTES:
        raise ValueError(f"{clock} is not a time of the day")
    return hours * 60 + minutes


def _weekdays(text: str) -> list[int]:
    found: set[int] = set()
    for part in _DAYS.split(text):
        ends = [_weekday(day) for day in _SPAN.split(part)]
        if len(ends) > 2:
            raise ValueError(f"{part} is not a span of days")
        # Sat-Mon goes over the end of the week.
        found |= {(ends[0] - 1 + step) % 7 + 1 for step in range((ends[-1] - ends[0]) % 7 + 1)}
    return sorted(found)


def _weekday(name: str) -> int:
    plain = re.sub("^(?:周|星期|礼拜)", "", name.strip()).lower()
    number = _WEEKDAYS.get(plain) or _WEEKDAYS.get(plain[:3] if plain.endswith("day") else "")
    if number is None:
        raise ValueError(f"{name or 'nothing'} is not a day of the week")
    return number


_READERS: Mapping[str, Callable[[str, ZoneInfo], Any]] = {
    "kind": _word_of(_KINDS),
    "role": _word_of(_ROLES),
    "provinces": _provinces,
    "cities": _cities,
    "products": _list,
    "mobile": _mobile,
    "weight": _number,
    "capacity": _number,
    "timezone": _zone,
    "shifts": _shifts,
    "from_at": _day,
    "to_at": _day,
}
