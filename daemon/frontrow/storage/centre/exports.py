"""Leads, their timelines and the indicators as files: CSV for a spreadsheet, XLSX, and Parquet for a warehouse.

The columns are a contract: their names, order and types stay; new ones come at the end (daemon/docs/export.md). Texts
come from viewers, and a spreadsheet runs what looks like a formula: in CSV such a cell begins with an apostrophe, in
XLSX each cell is written as what it is. Rows are read and written as they come; only a partition of Parquet (one room
on one day) is held.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import orjson
import sqlalchemy as sa

from frontrow.core.centre.book import LeadRow
from frontrow.core.centre.indicators import Figure
from frontrow.core.centre.ledger import cause_of_loss
from frontrow.core.errors import FrontrowError
from frontrow.storage.centre import tables
from frontrow.storage.centre.book import row_of, select_rows

Format = Literal["csv", "xlsx", "parquet"]
Kind = Literal["text", "integer", "number", "boolean", "time"]
Row = Sequence[Any]
_ARMED = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # as wide as Excel takes them too
_SHEET_ROWS = 1_048_575  # of a sheet, without its header
_READ = 1_000


class ExportImpossible(FrontrowError):
    """It cannot be written as asked; says why and what would help."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the contract. A "time" is UTC ms in rows: a date in XLSX and Parquet (UTC), ISO 8601 in CSV."""

    name: str
    kind: Kind


def _columns(**kinds: Kind) -> tuple[Column, ...]:
    return tuple(Column(name, kind) for name, kind in kinds.items())


LEAD_COLUMNS = _columns(
    lead="text", created_at="time", platform="text", room="text", store="text", customer="text", name="text", phone="text",
    country="text", province="text", city="text", grade="text", quality="integer", points="integer", probability="number",
    host="text", product="text", taxonomy="text", campaign="text", channel="text", status="text", stage="text", outcome="text",
    reason="text", loss_cause="text", team="text", holder="text", rule="text", assigned_at="time", claimed_at="time",
    responded_at="time", breached_at="time", breach="text", touches="integer", reassignments="integer", follow_up_at="time",
    closed_at="time", value="integer", do_not_contact="boolean", raws="integer", words="text",
)  # fmt: skip
TIMELINE_COLUMNS = _columns(
    lead="text", number="integer", at="time", platform="text", room="text", kind="text", actor="text", data="text", note="text",
)  # fmt: skip
FIGURE_COLUMNS = _columns(
    indicator="text", cut="text", numerator="number", denominator="number", value="number", why="text", n="integer", as_of="time",
    immature="number", low="number", high="number", quantiles="text",
)  # fmt: skip

Reveal = Callable[[Sequence[LeadRow]], Sequence[str | None]]
"""Gives the numbers of leads, after it has written down who sees them and what for; None: there is none, or it was destroyed."""


def lead_rows(
    db: sa.Connection, from_at: int, to_at: int, *, by_room: bool = False, reveal: Reveal | None = None
) -> Iterator[Row]:
    """Yield leads made from ``from_at`` on and before ``to_at`` (UTC ms), one row each, in :data:`LEAD_COLUMNS`.

    Those that were merged into others are left out. Names, words and numbers are masked; with ``reveal`` numbers are
    whole.
    """
    c = tables.leads.c
    order = (_day(c.created_at), c.platform, c.room, c.number) if by_room else (c.number,)
    query = select_rows(LeadRow, c.merged_into.is_(None), c.created_at >= from_at, c.created_at < to_at)
    names = [column.name for column in LEAD_COLUMNS]
    found = db.execution_options(yield_per=_READ).execute(query.order_by(*order))
    for part in found.partitions(_READ):
        leads = [row_of(LeadRow, row) for row in part]
        numbers = [lead.masked for lead in leads] if reveal is None else reveal(leads)
        for lead, number in zip(leads, numbers, strict=True):
            values = {"phone": number, "loss_cause": cause_of_loss(lead)}
            yield [values[name] if name in values else getattr(lead, name) for name in names]


def timeline_rows(db: sa.Connection, from_at: int, to_at: int, *, by_room: bool = False) -> Iterator[Row]:
    """Yield what happened to leads from ``from_at`` on and before ``to_at`` (UTC ms), in :data:`TIMELINE_COLUMNS`."""
    t, c = tables.timeline.c, tables.leads.c
    order = (_day(t.at), c.platform, c.room, t.lead, t.number) if by_room else (t.at, t.lead, t.number)
    query = (
        sa.select(t.lead, t.number, t.at, c.platform, c.room, t.kind, t.actor, t.data, t.note)
        .select_from(tables.timeline.join(tables.leads, c.lead == t.lead))
        .where(t.at >= from_at, t.at < to_at)
    )
    for row in db.execution_options(yield_per=_READ).execute(query.order_by(*order)):
        yield [orjson.dumps(value).decode() if isinstance(value, dict) else value for value in row]


def figure_rows(figures: Iterable[Figure]) -> Iterator[Row]:
    """Yield figures in :data:`FIGURE_COLUMNS`; what they are cut by, and their quantiles, are JSON."""
    for figure in figures:
        values = [getattr(figure, column.name) for column in FIGURE_COLUMNS]
        yield [orjson.dumps(value).decode() if isinstance(value, dict) else value for value in values]


def _day(at: Any) -> Any:
    return at // sa.literal_column("86400000", sa.BigInteger)


# ---- writing


def write(path: Path, format: Format, columns: Sequence[Column], rows: Iterable[Row], name: str) -> int:
    """Write rows to a file, or of Parquet into a folder, and return how many there were.

    In Parquet, rows with a room and a time stand in ``dt=2025-06-15/room=…/`` (UTC days; they must come in this
    order); all others in one file. ``name`` is what the rows are of.

    Raises:
        ExportImpossible: What the format needs is not installed.
        OSError: It cannot be written.
    """
    match format:
        case "csv":
            return _write_csv(path, columns, rows)
        case "xlsx":
            return _write_xlsx(path, columns, rows, name)
        case "parquet":
            return _write_parquet(path, columns, rows, name)


def _write_csv(path: Path, columns: Sequence[Column], rows: Iterable[Row]) -> int:
    count = 0
    # With a byte order mark, without which Excel takes UTF-8 for something else.
    with path.open("w", encoding="utf-8-sig", errors="replace", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow([column.name for column in columns])
        for row in rows:
            writer.writerow([_csv_cell(column, value) for column, value in zip(columns, row, strict=True)])
            count += 1
    return count


def _csv_cell(column: Column, value: Any) -> Any:
    if value is None:
        return ""
    match column.kind:
        case "text":
            text = str(value)
            return f"'{text}" if text.startswith(_ARMED) else text
        case "time":
            return _time(value).isoformat(timespec="milliseconds")
        case "boolean":
            return "true" if value else "false"
        case _:
            return value


def _write_xlsx(path: Path, columns: Sequence[Column], rows: Iterable[Row], name: str) -> int:
    xlsxwriter = _extra("xlsxwriter")
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    count = 0
    with xlsxwriter.Workbook(str(path), options) as book:
        of_time = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        sheet: Any = None
        for count, row in enumerate(rows, start=1):
            line = (count - 1) % _SHEET_ROWS + 1
            if line == 1:
                sheet = _sheet(book, name, columns, 1 + (count - 1) // _SHEET_ROWS)
            for at, (column, value) in enumerate(zip(columns, row, strict=True)):
                if value is None:
                    continue
                match column.kind:
                    case "text":
                        sheet.write_string(line, at, str(value))
                    case "time":
                        sheet.write_datetime(line, at, _time(value).replace(tzinfo=None), of_time)
                    case "boolean":
                        sheet.write_boolean(line, at, value)
                    case _:
                        sheet.write_number(line, at, value)
        if sheet is None:
            _sheet(book, name, columns, 1)
    return count


def _sheet(book: Any, name: str, columns: Sequence[Column], number: int) -> Any:
    sheet = book.add_worksheet(name if number == 1 else f"{name} {number}")
    sheet.freeze_panes(1, 0)
    for at, column in enumerate(columns):
        sheet.write_string(0, at, column.name)
    return sheet


def _write_parquet(folder: Path, columns: Sequence[Column], rows: Iterable[Row], name: str) -> int:
    polars = _extra("polars")
    types = {
        "text": polars.String,
        "integer": polars.Int64,
        "number": polars.Float64,
        "boolean": polars.Boolean,
        "time": polars.Datetime("ms", "UTC"),
    }
    schema = {column.name: types[column.kind] for column in columns}
    count = 0
    for place, part in groupby(rows, _partition(columns)):
        held = [
            [
                float(value) if column.kind == "number" and value is not None else value
                for column, value in zip(columns, row, strict=True)
            ]
            for row in part
        ]
        into = folder / place if place else folder
        into.mkdir(parents=True, exist_ok=True)
        polars.DataFrame(held, schema=schema, orient="row").write_parquet(into / f"{name}.parquet")
        count += len(held)
    if not count:
        folder.mkdir(parents=True, exist_ok=True)
        polars.DataFrame(schema=schema).write_parquet(folder / f"{name}.parquet")
    return count


def _partition(columns: Sequence[Column]) -> Callable[[Row], str]:
    """Return what gives a row's folder. A room's key may hold anything, so it is percent-encoded with its platform."""
    names = [column.name for column in columns]
    if "room" not in names:
        return lambda _: ""
    platform, room = names.index("platform"), names.index("room")
    at = next(place for place, column in enumerate(columns) if column.kind == "time")

    def place(row: Row) -> str:
        day: date = _time(row[at]).date()
        return f"dt={day.isoformat()}/room={quote(f'{row[platform]}:{row[room]}', safe='')}"

    return place


def _time(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1_000, UTC)


def _extra(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise ExportImpossible(f"{module} is not installed: pip install 'frontrow[export]'") from error
