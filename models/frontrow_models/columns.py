"""The columns of what is handed to data scientists: names, types, units and what a missing value means.

This is a contract: within a version columns are neither renamed nor given another type, unit or place. It is written
into every Parquet file, and into ``models/docs/columns.md``, which a test holds against this module.
"""

from typing import Literal

from msgspec import Struct

from frontrow.core.features import FEATURES_VERSION, NAMES

COLUMNS_VERSION = 4  # another one when a column changes, comes or goes

Type = Literal["text", "int64", "float32", "float64", "bool"]


class Column(Struct, frozen=True):
    """One column. ``missing`` says what a missing value means; empty: there is none. ``personal``: names a person."""

    name: str
    type: Type
    unit: str
    meaning: str
    missing: str = ""
    personal: bool = False


_WHERE = (
    Column("platform", "text", "", "where the room is"),
    Column("room", "text", "", "the room's id on the platform"),
    Column("session", "text", "", "the broadcast"),
    Column("viewer", "text", "", "the viewer's id on the platform", personal=True),
)

SNAPSHOTS: tuple[Column, ...] = (
    *_WHERE,
    Column("snapshot", "int64", "", "number of the look at a viewer, from 0, in the order of serving"),
    Column("served_at", "int64", "ms UTC", "engine time of the look"),
    *(Column(name, "float32", "ln(1 + x)", f"feature {name} as served") for name in NAMES),
    Column(
        "shown",
        "float64",
        "probability",
        "what was shown, calibrated",
        missing="the model was not ready to show it",
    ),
    Column("champion", "float64", "probability", "the champion's own, not calibrated"),
    Column("base_rate", "float64", "probability", "the share of outcomes as it was known then"),
    Column("points", "float64", "points", "the points table alone"),
    Column(
        "recency",
        "float64",
        "comments",
        "how recently the viewer had commented, the engine's own number; larger is later",
    ),
    Column("weight", "float32", "", "how many looks it stands for: more than 1 where not all were kept"),
    Column(
        "outcome",
        "bool",
        "",
        "whether the outcome came; false is certain only where stage is mature",
        missing="nothing is known yet",
    ),
    Column("delay_ms", "int64", "ms", "from the look until the outcome was heard of", missing="no outcome"),
    Column("value", "int64", "minor units", "the outcome's money; 0: none was told", missing="no outcome"),
    Column("stage", "text", "", "how certain the outcome is: waiting, observed, late, withdrawn or mature"),
    Column(
        "ending",
        "text",
        "",
        "what was heard: none, success, returned (one that was taken back) or declined",
        missing="nothing is known yet",
    ),
    Column(
        "reached",
        "float32",
        "probability",
        "the chance at which sales had been told of the viewer: 1 for the hot, less for those shown to find out, 0 for others",
        missing="nothing is known yet",
    ),
)

LEADS: tuple[Column, ...] = (
    *_WHERE,
    Column("lead", "text", "", "the lead's id"),
    Column("decided_at", "int64", "ms UTC", "engine time at which the viewer turned hot"),
    Column("points", "int64", "points", "at that moment"),
    Column("probability", "float64", "probability", "as shown then", missing="the model was not ready"),
    Column("known", "bool", "", "whether the horizon has passed, so that the outcome is final"),
    Column(
        "outcome",
        "bool",
        "",
        "whether an outcome of this viewer came after the lead, within the horizon, and was not taken back",
    ),
    Column("outcome_kind", "text", "", "of the first outcome", missing="no outcome"),
    Column(
        "outcome_after_ms", "int64", "ms", "from the lead to the outcome, event time", missing="no outcome"
    ),
    Column("value", "int64", "minor units", "the outcome's money", missing="no outcome, or none was told"),
)

OUTCOMES: tuple[Column, ...] = (
    Column("platform", "text", "", "where the room is"),
    Column("room", "text", "", "the room's id on the platform"),
    Column("viewer", "text", "", "the viewer's id on the platform", personal=True),
    Column("kind", "text", "", "the kind of event"),
    Column("said", "text", "", "what it says: success, refund or declined"),
    Column("at", "int64", "ms UTC", "when it happened"),
    Column("value", "int64", "minor units", "its money", missing="none was told"),
)

TABLES = {"snapshots": SNAPSHOTS, "leads": LEADS, "outcomes": OUTCOMES}


def metadata(table: str) -> dict[str, str]:
    """Return what a file of a table says of itself."""
    return {
        "frontrow.table": table,
        "frontrow.columns_version": str(COLUMNS_VERSION),
        "frontrow.features_version": str(FEATURES_VERSION),
        "frontrow.personal": ",".join(column.name for column in TABLES[table] if column.personal),
    }


def document() -> str:
    """Return the contract as the Markdown of ``models/docs/columns.md``."""
    lines = [
        "# Columns",
        "",
        f"Version {COLUMNS_VERSION}. What `frontrow_models.open_journal(...)` hands out, in this order, as polars, Arrow, numpy or Parquet.",
        "A Parquet file says in its metadata which table it is (`frontrow.table`), the version of this contract",
        "(`frontrow.columns_version`), that of the features (`frontrow.features_version`) and which columns name a person",
        "(`frontrow.personal`). Those are **personal data**: keep such files as you keep the store, and drop the column for",
        "whoever does not need it. Within a version no column is renamed, moved, or given another type or unit.",
    ]
    for name, columns in TABLES.items():
        lines += [
            "",
            f"## {name}",
            "",
            "| column | type | unit | meaning | missing means |",
            "| --- | --- | --- | --- | --- |",
        ]
        lines += [
            f"| `{c.name}` | {c.type} | {c.unit or '–'} | {c.meaning}{' (**personal**)' if c.personal else ''} | {c.missing or 'never missing'} |"
            for c in columns
        ]
    return "\n".join(lines) + "\n"
