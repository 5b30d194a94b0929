"""What channels cost, by day: read from CSV as people keep it, and as ``cost_change`` tells it in the journal.

A row replaces an earlier one of the same channel, day and currency, so that a month can be imported again when it has
been corrected. Every row that cannot be taken is told of with its line, its column and the reason; the others are
returned. Whether these are taken all the same is the caller's choice.
"""

import csv
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

from frontrow.core.centre.organisation_csv import Mistake
from frontrow.core.errors import EventInvalid
from frontrow.core.events import EARLIEST_MS, LATEST_MS, MAX_VALUE

MAX_ROWS = 100_000
# ISO 4217: most have two decimals.
_DECIMALS: Mapping[str, int] = {
    "JPY": 0,
    "KRW": 0,
    "VND": 0,
    "CLP": 0,
    "ISK": 0,
    "KWD": 3,
    "BHD": 3,
    "JOD": 3,
    "TND": 3,
}
_COLUMNS: Mapping[str, str] = {
    "channel": "channel", "渠道": "channel", "渠道编码": "channel", "day": "day", "date": "day", "日期": "day", "amount": "amount",
    "cost": "amount", "金额": "amount", "费用": "amount", "花费": "amount", "currency": "currency", "币种": "currency",
}  # fmt: skip
_FORMS = ("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%Y年%m月%d日")


class CostRow(Struct, frozen=True, kw_only=True):
    """What a channel cost on a day: ``day`` is when it begins (UTC ms), ``amount`` in minor units of ``currency``."""

    channel: Annotated[str, Meta(min_length=1, max_length=256)]
    day: Annotated[int, Meta(ge=EARLIEST_MS, le=LATEST_MS)]
    amount: Annotated[int, Meta(ge=0, le=MAX_VALUE)]
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}$", max_length=3)] = "CNY"


class ImportedCosts(Struct, frozen=True, kw_only=True):
    """What a file gave: the rows that can be taken, and each that cannot be."""

    records: tuple[CostRow, ...]
    errors: tuple[Mistake, ...]


def change_data(rows: Iterable[CostRow], by: str) -> dict[str, Any]:
    """Return what the event ``cost_change`` says; :func:`read_change` reads it."""
    return {"rows": [msgspec.to_builtins(row) for row in rows], "by": by}


def read_change(data: object) -> list[CostRow]:
    """Return the rows of an event ``cost_change``.

    Raises:
        EventInvalid: It tells of none.
    """
    rows = data.get("rows") if isinstance(data, dict) else None
    try:
        return msgspec.convert(rows, list[CostRow])
    except msgspec.ValidationError as error:
        raise EventInvalid(f"not costs of channels: {error}") from error


def read_costs_csv(text: str, *, timezone: str = "Asia/Shanghai", currency: str = "CNY") -> ImportedCosts:
    """Return the costs of a CSV file with a header in Chinese or English: channel, day, amount (as 1234.56), currency where it says so.

    A day is one of the time zone. Amounts are whole minor units; thousands may be parted by commas.
    """
    rows = list(csv.reader(text.removeprefix("\ufeff").splitlines()))
    if not rows:
        return ImportedCosts(records=(), errors=(Mistake(line=1, column="", reason="the file is empty"),))
    header = [cell.strip() for cell in rows[0]]
    names = [_COLUMNS.get(cell.lower(), "") for cell in header]
    missing = [name for name in ("channel", "day", "amount") if name not in names]
    if missing:
        reason = f"there is no column for {', '.join(missing)}"
        return ImportedCosts(records=(), errors=(Mistake(line=1, column="", reason=reason),))
    records: list[CostRow] = []
    errors: list[Mistake] = []
    seen: dict[tuple[str, int, str], int] = {}
    zone = ZoneInfo(timezone)
    for line, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        if len(records) >= MAX_ROWS:
            errors.append(Mistake(line=line, column="", reason=f"more than {MAX_ROWS:,} rows"))
            break
        cells = dict(zip(names, (cell.strip() for cell in row), strict=False))
        found = _row(cells, zone, currency)
        if isinstance(found, CostRow):
            key = (found.channel, found.day, found.currency)
            if key in seen:
                errors.append(
                    Mistake(line=line, column="", reason=f"the same channel and day as in line {seen[key]}")
                )
                continue
            seen[key] = line
            records.append(found)
        else:
            name, reason = found
            column = header[names.index(name)] if name in names else name
            errors.append(Mistake(line=line, column=column, reason=reason))
    return ImportedCosts(records=tuple(records), errors=tuple(errors))


def _row(cells: Mapping[str, str], zone: ZoneInfo, currency: str) -> CostRow | tuple[str, str]:
    """Return the row, or which column is wrong and why."""
    channel = cells.get("channel", "")
    if not 0 < len(channel) <= 256:
        return "channel", "a channel is named, by at most 256 characters"
    day = _day(cells.get("day", ""), zone)
    if day is None:
        return "day", "a day is written as 2026-01-31"
    money = (cells.get("currency") or currency).upper()
    if not (len(money) == 3 and money.isascii() and money.isalpha()):
        return "currency", "a currency has three letters, as CNY"
    try:
        amount = Decimal(
            cells.get("amount", "").replace(",", "").removeprefix("¥").removeprefix("￥").strip()
        )
        minor = amount.scaleb(_DECIMALS.get(money, 2))
        if not (minor.is_finite() and 0 <= minor <= MAX_VALUE):
            return "amount", "an amount is 0 or more, and not as large"
        if minor != minor.to_integral_value():
            return "amount", f"{money} has {_DECIMALS.get(money, 2)} decimals"
    except InvalidOperation:
        return "amount", "an amount is a number, as 1234.56"
    return CostRow(channel=channel, day=day, amount=int(minor), currency=money)


def _day(text: str, zone: ZoneInfo) -> int | None:
    for form in _FORMS:
        try:
            day = datetime.strptime(text, form).replace(tzinfo=zone)
        except ValueError:
            continue
        at = round(day.timestamp() * 1_000)
        return at if EARLIEST_MS <= at <= LATEST_MS else None
    return None
