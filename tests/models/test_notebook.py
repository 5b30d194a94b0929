"""The notebook API: recorded events through the daemon's own code, handed out as tables whose columns are a contract."""

import hashlib
import io
import json
import sys
import tomllib
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import frontrow_models
from frontrow.app.inputs import InputRefused
from frontrow.app.notebook import NoModel, RecordedJournal, TooMuch, open_journal
from frontrow.cli import DONE, main
from frontrow.core.errors import ConfigError
from frontrow_models import columns
from frontrow_models.evaluation.ranking import roc_auc
from frontrow_models.notebook import NotebookMissing
from frontrow_models.plots import lift_svg, reliability_svg
from frontrow_models.tables import ExtraMissing, Table, table_html
from tests.support.streams import evening

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "models" / "notebooks" / "from_stream_to_promoted_model.ipynb"


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return evening(tmp_path_factory.mktemp("stream") / "evening.ndjson")


@pytest.fixture(scope="module")
def journal(stream: Path) -> RecordedJournal:
    return open_journal(stream)


# ---------------------------------------------------------------------- the contract


def test_the_columns_are_those_of_this_version() -> None:
    """Whoever changes a column breaks somebody's notebook: a new COLUMNS_VERSION says so, and only then this number."""
    told = [
        [name, *([c.name, c.type, c.unit, bool(c.missing)] for c in of)]
        for name, of in columns.TABLES.items()
    ]
    digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()
    assert (columns.COLUMNS_VERSION, digest[:16]) == (4, "d3bdd07169c86f14")
    names = [column.name for column in columns.SNAPSHOTS]
    assert names[:6] == ["platform", "room", "session", "viewer", "snapshot", "served_at"]
    assert names[-12:] == [
        "shown", "champion", "base_rate", "points", "recency", "weight", "outcome", "delay_ms", "value", "stage", "ending", "reached"
    ]  # fmt: skip
    assert [column.name for column in columns.SNAPSHOTS if column.personal] == ["viewer"]


def test_the_document_is_the_contract() -> None:
    assert (ROOT / "models" / "docs" / "columns.md").read_text("utf-8") == columns.document()


def test_a_table_refuses_other_columns() -> None:
    with pytest.raises(ValueError, match="not its columns"):
        Table.of("outcomes", {"platform": ["sim"]})


# ---------------------------------------------------------------------- what is in the tables


def test_the_report_can_be_recomputed_from_the_snapshots(journal: RecordedJournal) -> None:
    table, report = journal.snapshots(), journal.report()
    final = table["stage"] == "mature"
    assert int(final.sum()) > 500
    for column in report.columns:
        values = table[column.column][final]
        good = ~np.ma.getmaskarray(values)
        assert (len(values[good]), column.left_out) == (column.labels, int((~good).sum()))
        outcomes = np.asarray(table["outcome"][final])[good]
        assert roc_auc(np.asarray(values)[good], outcomes) == column.roc_auc
        assert int(outcomes.sum()) == column.positives


def test_a_snapshot_tells_how_certain_its_outcome_is(journal: RecordedJournal) -> None:
    table = journal.snapshots()
    stages, outcome = table["stage"], table["outcome"]
    assert set(stages) == {"waiting", "observed", "late", "mature", "withdrawn"}
    assert np.array_equal(np.ma.getmaskarray(outcome), stages == "waiting")
    assert outcome[stages == "late"].all()
    happened = np.ma.filled(outcome, False)
    for name in ("delay_ms", "value"):
        assert np.array_equal(np.ma.getmaskarray(table[name]), ~happened)
    assert (table["delay_ms"][happened] >= 0).all()
    assert table["snapshot"].tolist() == list(range(len(table)))
    assert (np.diff(table["served_at"]) >= 0).all()


def test_leads_are_those_of_a_replay(journal: RecordedJournal, stream: Path, tmp_path: Path) -> None:
    assert main(["replay", str(stream), "--out", str(tmp_path)]) == DONE
    leads = [json.loads(line) for line in (tmp_path / "leads.ndjson").read_bytes().splitlines()]
    table = journal.leads()
    assert set(table["lead"]) == {lead["lead"] for lead in leads}
    assert sorted(table["decided_at"].tolist()) == sorted(lead["decided_at"] for lead in leads)
    after = np.ma.getmaskarray(table["outcome_after_ms"])
    assert np.array_equal(~after, table["outcome"])


def test_every_outcome_is_there_once(journal: RecordedJournal, stream: Path) -> None:
    events = {}
    for line in stream.read_bytes().splitlines():
        told = json.loads(line)
        if told["kind"] == "order_paid" or (told["kind"] == "form_submit" and told.get("consent")):
            events[told["id"]] = (told["viewer"], told["at"], "success")
        elif told["kind"] == "order_refunded":
            events[told["id"]] = (told["viewer"], told["at"], "refund")
    table = journal.outcomes()
    found = zip(table["viewer"].tolist(), table["at"].tolist(), table["said"].tolist(), strict=True)
    assert sorted(found) == sorted(events.values())


def test_a_part_of_the_time_has_the_same_rows(journal: RecordedJournal, stream: Path) -> None:
    whole = journal.snapshots()
    since, until = int(whole["served_at"][300]), int(whole["served_at"][900])
    part = open_journal(stream, since=since, until=until).snapshots()
    inside = (whole["served_at"] >= since) & (whole["served_at"] < until)
    for name, values in part.to_numpy().items():
        assert values.tolist() == whole[name][inside].tolist(), name


def test_too_many_rows_are_refused_with_what_to_do(stream: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frontrow.app.notebook.MOST", 100)
    with pytest.raises(TooMuch, match="since= and until="):
        open_journal(stream).snapshots()


# ---------------------------------------------------------------------- replaying and comparing


def test_a_replay_under_other_settings_is_compared(journal: RecordedJournal) -> None:
    other = journal.replay(settings=["points.hot=50", "points.hot_leave=45"])
    found = journal.compare(other)
    assert set(found.options) == {"points.hot", "points.hot_leave"}
    gained = len(other.leads()) - len(journal.leads())
    assert gained == found.moved["gained"].leads - found.moved["lost"].leads > 0
    assert f"{found.moved['gained'].leads:,} gained" in str(found)
    assert "points.hot_leave" in found._repr_html_()
    again = other.replay(settings=["points.hot=80", "points.hot_leave=75"])
    assert {change for change, told in journal.compare(again).moved.items() if told.leads} == {"same"}


def test_lines_that_cannot_be_taken_are_counted_and_the_first_of_them_named(
    stream: Path, tmp_path: Path
) -> None:
    lines = stream.read_text("utf-8").splitlines()
    broken = tmp_path / "broken.ndjson"
    broken.write_text(
        "\n".join(line[:40] if place % 3 == 1 else line for place, line in enumerate(lines)), "utf-8"
    )
    found = open_journal(broken)
    with pytest.warns(UserWarning, match=r"broken\.ndjson:2: ") as told:
        found.snapshots()
    assert f"{(len(lines) + 1) // 3:,} lines were left out" in str(told[0].message) and len(told) == 1
    assert str(told[0].message).count("\n") == 10
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert found.rejected == found.replay(settings=["points.hot=90"]).rejected == (len(lines) + 1) // 3
    assert f">{(len(lines) + 1) // 3:,}<" in found._repr_html_()


@pytest.mark.parametrize(
    "ask",
    [
        lambda found: found.snapshots(),
        lambda found: found.rejected,
        lambda found: found.replay(settings=["points.hot=90"]).compare(found),
    ],
    ids=["a table", "a number", "a comparison"],
)
def test_a_warning_points_at_the_notebooks_own_line(
    ask: Callable[[RecordedJournal], object], stream: Path, tmp_path: Path
) -> None:
    """Of several journals in a notebook the line tells which; one of ours tells nobody anything."""
    broken = tmp_path / "broken.ndjson"
    broken.write_bytes(b"{\n" + b"".join(stream.read_bytes().splitlines(keepends=True)[:50]))
    with pytest.warns(UserWarning, match=r"broken\.ndjson:1: ") as told:
        ask(open_journal(broken))
    code = ask.__code__
    assert [(each.filename, each.lineno) for each in told] == [(__file__, code.co_firstlineno)]


def test_only_the_same_events_are_compared(journal: RecordedJournal, stream: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.ndjson"
    copy.write_bytes(stream.read_bytes())
    with pytest.raises(ValueError, match="same events"):
        journal.compare(open_journal(copy))


def test_what_cannot_be_opened_is_said_at_once(stream: Path, tmp_path: Path) -> None:
    with pytest.raises(InputRefused):
        open_journal()
    with pytest.raises(FileNotFoundError):
        open_journal(tmp_path / "none.db")
    with pytest.raises(ConfigError):
        open_journal(stream, settings=["points.hott=1"])
    with pytest.raises(NoModel):
        open_journal(stream, settings=["model.enabled=false"]).report()


# ---------------------------------------------------------------------- the ways out


def test_parquet_keeps_types_missing_values_and_says_what_it_is(
    journal: RecordedJournal, tmp_path: Path
) -> None:
    polars = pytest.importorskip("polars")
    table = journal.snapshots()
    table.to_parquet(tmp_path / "snapshots.parquet")
    assert (tmp_path / "snapshots.parquet").stat().st_mode & 0o077 == 0  # it has viewers' ids
    read = polars.read_parquet(tmp_path / "snapshots.parquet")
    types = {"text": polars.String, "int64": polars.Int64, "float32": polars.Float32,
             "float64": polars.Float64, "bool": polars.Boolean}  # fmt: skip
    assert dict(read.schema) == {column.name: types[column.type] for column in columns.SNAPSHOTS}
    for column in columns.SNAPSHOTS:
        values = table[column.name]
        assert read[column.name].null_count() == int(np.ma.getmaskarray(values).sum())
        assert read[column.name].to_list() == values.tolist()
    told = polars.read_parquet_metadata(tmp_path / "snapshots.parquet")
    assert told["frontrow.columns_version"] == str(columns.COLUMNS_VERSION)
    assert (told["frontrow.table"], told["frontrow.personal"]) == ("snapshots", "viewer")


def test_an_arrow_table_has_the_same_columns(journal: RecordedJournal) -> None:
    pytest.importorskip("polars")
    pytest.importorskip("pyarrow")
    assert journal.leads().to_arrow().schema.names == [column.name for column in columns.LEADS]


def test_without_the_extra_it_says_which(journal: RecordedJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ExtraMissing, match=r"frontrow\[notebook\]"):
        journal.leads().to_polars()


def test_a_notebook_shows_tables_and_pictures(journal: RecordedJournal) -> None:
    for shown in (journal, journal.snapshots(), journal.report()):
        assert "<table>" in shown._repr_html_()
    report = journal.report()
    for picture in (report.reliability(), report.lift("shown", "points"), reliability_svg([]), lift_svg({})):
        assert ElementTree.fromstring(picture._repr_svg_()).tag == "{http://www.w3.org/2000/svg}svg"
    assert "precision@10" in str(report)


def test_a_picture_of_what_there_is_not_is_refused_in_a_sentence(journal: RecordedJournal) -> None:
    report = journal.report()
    told = "no column is called 'bogus'; there are shown, champion, base_rate, points, recency"
    for draw in (report.reliability, report.lift):
        with pytest.raises(ValueError, match=told):
            draw("bogus")
    with pytest.raises(ValueError, match="points is no probability"):
        report.reliability("points")
    with pytest.raises(ValueError, match="recency is no probability"):
        report.reliability("recency")
    assert "reliability of base_rate" in report.reliability("base_rate")


def test_what_a_viewer_is_called_is_no_html() -> None:
    assert table_html([["viewer"], ["<script>alert(1)</script>"]]).count("<script>") == 0


# ---------------------------------------------------------------------- the entry point


def installed(folder: Path, entry_points: str) -> None:
    info = folder / "frontrow-0.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: frontrow\nVersion: 0.0\n", "utf-8")
    (info / "entry_points.txt").write_text(entry_points, "utf-8")


def test_the_package_declares_who_opens_journals(
    stream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]
    [(name, target)] = declared["frontrow.notebook"].items()
    installed(tmp_path, f"[frontrow.notebook]\n{name} = {target}\n")
    monkeypatch.syspath_prepend(tmp_path)
    opened: Any = frontrow_models.open_journal(stream, settings=["points.hot=60", "points.hot_leave=50"])
    assert isinstance(opened, RecordedJournal)
    assert opened.config.points.hot == 60


def test_an_installation_without_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, "")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(NotebookMissing, match="install frontrow again"):
        frontrow_models.open_journal("journal.db")


# ---------------------------------------------------------------------- the executed notebook


def test_the_notebook_in_the_repository_runs_and_was_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = json.loads(NOTEBOOK.read_bytes())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert all(cell["outputs"] for cell in cells[1:])
    assert len(NOTEBOOK.read_bytes()) < 300_000
    installed(tmp_path, "[frontrow.notebook]\nopen_journal = frontrow.app.notebook:open_journal\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    printed = io.StringIO()
    with redirect_stdout(printed):
        for cell in cells:
            exec(compile("".join(cell["source"]), str(NOTEBOOK), "exec"), names)  # noqa: S102
    assert "leads" in printed.getvalue()
