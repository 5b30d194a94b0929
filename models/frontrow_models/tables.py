"""A table of named columns as numpy arrays, and the ways out of it: polars, Arrow, Parquet, HTML for notebooks.

polars is an extra (``frontrow[notebook]``) and imported only when it is asked for; numpy is always there.
"""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frontrow.core.errors import FrontrowError
from frontrow_models.columns import TABLES, Column, Type, metadata
from frontrow_models.private import open_private

SHOWN_ROWS = 8
_DTYPES: Mapping[Type, Any] = {
    "text": np.object_,
    "int64": np.int64,
    "float32": np.float32,
    "float64": np.float64,
    "bool": np.bool_,
}
_POLARS: Mapping[Type, str] = {
    "text": "String",
    "int64": "Int64",
    "float32": "Float32",
    "float64": "Float64",
    "bool": "Boolean",
}


class ExtraMissing(FrontrowError):
    """A package is not installed that comes with an extra; the message says which."""


@dataclass(frozen=True)
class Table:
    """The columns of one of the contract's tables, masked arrays where a value may be missing."""

    name: str
    columns: Mapping[str, NDArray[Any]]

    @classmethod
    def of(cls, name: str, columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> "Table":
        """Make a table of the contract's types and order; None and NaN stand for a missing value where one may be.

        Raises:
            ValueError: A column is missing, or there is one too many.
        """
        contract = TABLES[name]
        if set(columns) != {column.name for column in contract}:
            raise ValueError(f"{name}: these are not its columns")
        return cls(name, {column.name: _typed(column, columns[column.name]) for column in contract})

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, column: str) -> NDArray[Any]:
        return self.columns[column]

    def to_numpy(self) -> dict[str, NDArray[Any]]:
        """Return the columns by name; text is of objects, and what may be missing is a masked array."""
        return dict(self.columns)

    def to_polars(self) -> Any:
        """Return a polars data frame; missing is null.

        Raises:
            ExtraMissing: Install ``frontrow[notebook]``.
        """
        polars = _polars()
        series = []
        for column in TABLES[self.name]:
            values = self.columns[column.name]
            plain = values.tolist() if np.ma.isMaskedArray(values) or column.type == "text" else values
            series.append(polars.Series(column.name, plain, dtype=getattr(polars, _POLARS[column.type])))
        return polars.DataFrame(series)

    def to_arrow(self) -> Any:
        """Return a pyarrow table. Raises ExtraMissing: it needs pyarrow besides ``frontrow[notebook]``."""
        frame = self.to_polars()
        try:
            import_module("pyarrow")
        except ModuleNotFoundError as error:
            raise ExtraMissing("pyarrow is not installed: pip install pyarrow") from error
        return frame.to_arrow()

    def to_parquet(self, path: str | Path) -> None:
        """Write a Parquet file that says in its metadata what it is; see ``models/docs/columns.md``. Only its owner may read it.

        Raises:
            ExtraMissing: Install ``frontrow[notebook]``.
            OSError: It cannot be written.
        """
        frame = self.to_polars()
        with open_private(Path(path)) as file:
            frame.write_parquet(file, metadata=metadata(self.name))

    def _repr_html_(self) -> str:
        names = list(self.columns)
        rows = [
            [_cell(self.columns[name][row]) for name in names] for row in range(min(SHOWN_ROWS, len(self)))
        ]
        return (
            f"<p>{len(self):,} {html.escape(self.name)}, {len(names)} columns</p>{table_html([names, *rows])}"
        )


def table_html(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as an HTML table, the first being its head; every cell is escaped."""
    head, *body = rows
    cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    lines = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in body
    )
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table>"


def _typed(column: Column, values: Sequence[Any] | NDArray[Any]) -> NDArray[Any]:
    dtype = _DTYPES[column.type]
    if not column.missing:
        if column.type == "text":
            made: NDArray[Any] = np.empty(len(values), np.object_)
            made[:] = values
            return made
        return np.asarray(values, dtype)
    if isinstance(values, np.ma.MaskedArray):
        return values.astype(dtype)
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        return np.ma.masked_invalid(values.astype(dtype))
    missing = np.array([value is None for value in values], np.bool_)
    empty: Any = "" if column.type == "text" else 0
    filled = np.array([empty if value is None else value for value in values], dtype)
    return np.ma.MaskedArray(filled, mask=missing)


def _cell(value: Any) -> str:
    if value is np.ma.masked:
        return "–"
    if isinstance(value, float | np.floating):
        return f"{float(value):.4g}"
    return str(value)


def _polars() -> Any:
    try:
        return import_module("polars")
    except ModuleNotFoundError as error:
        raise ExtraMissing("polars is not installed: pip install 'frontrow[notebook]'") from error
