"""Leads, timelines and indicators as files, read back by who would open them."""

import asyncio
import base64
import contextlib
import csv
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import polars
import pytest
import sqlalchemy as sa

from frontrow import cli
from frontrow.app.exporting import export, open_vault, revealing
from frontrow.app.lead_centre import database_url
from frontrow.app.parts import load_config
from frontrow.app.rebuilding import rebuild
from frontrow.clock import SystemClock
from frontrow.core.centre.book import Contact, Entry, LeadRow
from frontrow.core.centre.identities import Identity
from frontrow.core.centre.sealing import PURPOSE
from frontrow.runtime.access import Role
from frontrow.storage.centre import tables
from frontrow.storage.centre.book import SqlBook
from frontrow.storage.centre.database import open_database
from frontrow.storage.centre.exports import (
    FIGURE_COLUMNS,
    LEAD_COLUMNS,
    TIMELINE_COLUMNS,
    ExportImpossible,
)
from frontrow.storage.store import Alert, Store
from frontrow.storage.vault import Vault
from frontrow.storage.vault import path_beside as vault_beside
from tests.app.test_daemon import hot
from tests.app.test_desk import ORGANISATION, Person
from tests.centre.test_indicators import START, company, lead
from tests.support.alerts import an_alert
from tests.support.daemons import running, write_config

CELLS = ("=1+2", "+86", "-3", "@sum", "\t=1", "\r=1", "＝1", "李想,\"小王\"\n下一行", "𠮷", "0123")  # fmt: skip
NUMBER = "13800138000"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose lead centre has seven leads with hostile names, one of which left a number."""
    path = tmp_path / "config.toml"
    path.write_text(
        '[[rooms]]\nid = "demo"\nplatform = "test"\nroom = "r1"\n[storage]\npath = "store.db"\n', "utf-8"
    )
    vault = Vault.open(vault_beside(tmp_path / "store.db"))
    person = Identity("form", "A")
    sealed = base64.b64encode(vault.seal(person, PURPOSE, f'{{"手机": "{NUMBER}"}}'.encode())).decode()
    vault.close()
    rows = []
    for number, row in enumerate(company()):
        if isinstance(row, Contact) and row.id == "A":
            row = replace(row, sealed=sealed)
        if isinstance(row, LeadRow):
            masked = "138****8000" if row.lead == "A" else None
            row = replace(row, words=CELLS[number % len(CELLS)], name="李**", masked=masked)
        rows.append(row)
    fill(tmp_path, rows)
    Store.open(tmp_path / "store.db").close()
    return path


def fill(folder: Path, rows: list[Any]) -> None:
    engine = open_database(f"sqlite:///{folder / 'store-centre.db'}")
    book = SqlBook(engine, b"journal")
    book.begin()
    for row in rows:
        book.put(row)
    book.position().now = START
    book.commit()
    book.close()


@pytest.fixture
def run(config: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(config.parent)
    return lambda *words: cli.main(["export", *words])


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_a_csv_opens_in_a_spreadsheet_with_chinese_intact_and_no_formula(run: Any, tmp_path: Path) -> None:
    out = tmp_path / "leads.csv"
    assert run("leads", "--out", str(out)) == 0
    assert out.read_bytes().startswith(b"\xef\xbb\xbf")
    rows = read_csv(out)
    assert list(rows[0]) == [column.name for column in LEAD_COLUMNS]
    assert [row["lead"] for row in rows] == list("ABCDEF")  # G is A
    assert [row["words"] for row in rows] == [
        cell if cell[0] in "李𠮷0" else f"'{cell}" for cell in CELLS[:6]
    ]
    first = rows[0]
    assert (first["host"], first["phone"], first["value"], first["created_at"]) == (
        "小雅", "138****8000", "20000000", "2025-06-15T15:06:40.000+00:00",
    )  # fmt: skip
    assert (first["do_not_contact"], first["loss_cause"], rows[2]["loss_cause"]) == ("false", "", "late")


def test_what_a_spreadsheet_would_run_is_disarmed_in_csv_and_a_text_in_xlsx(run: Any, tmp_path: Path) -> None:
    fill(tmp_path, [lead(f"X{at}", 50 + at, words=cell, status=cell[:16]) for at, cell in enumerate(CELLS)])
    assert run("leads", "--out", str(tmp_path / "a.csv")) == 0
    assert run("leads", "--format", "xlsx", "--out", str(tmp_path / "a.xlsx")) == 0
    rows = {row["lead"]: row for row in read_csv(tmp_path / "a.csv")}
    sheet = openpyxl.load_workbook(tmp_path / "a.xlsx").active
    assert sheet is not None
    typed = {str(row[0].value): row[-1] for row in sheet.iter_rows(min_row=2)}
    for at, cell in enumerate(CELLS):
        words = rows[f"X{at}"]["words"]
        assert words[0] not in "=+-@\t\r＝" and words.removeprefix("'") == cell
        assert rows[f"X{at}"]["status"][0] not in "=+-@\t\r＝"  # whatever the column
        assert (typed[f"X{at}"].data_type, str(typed[f"X{at}"].value).replace("_x000D_", "\r")) == ("s", cell)


def test_ten_thousand_leads_have_their_types_in_every_format(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    many = [
        lead(f"M{number}", 100 + number, created_at=START + 1_000 * number, masked="138****8000", value=number, probability=0.25,
             closed_at=START if number % 2 else None, words="多少钱")
        for number in range(9_994)
    ]  # fmt: skip
    fill(tmp_path, many)
    for name in ("csv", "xlsx", "parquet"):
        assert cli.main(["export", "leads", "--format", name, "--out", str(tmp_path / f"out.{name}")]) == 0
    assert len(read_csv(tmp_path / "out.csv")) == 10_000
    with contextlib.closing(openpyxl.load_workbook(tmp_path / "out.xlsx", read_only=True)) as workbook:
        sheet = workbook.active
        assert sheet is not None and sheet.max_row == 10_001
        # The first of them are looked at: to read all four hundred thousand cells takes longer than to write them.
        [names, first, *_, last] = sheet.iter_rows(max_row=9, values_only=True)
    row = dict(zip(names, last, strict=True))
    assert (row["phone"], row["value"], row["probability"], row["words"]) == (
        "138****8000",
        1,
        0.25,
        "多少钱",
    )
    assert (row["do_not_contact"], row["reason"]) == (False, None)
    assert isinstance(row["created_at"], datetime)
    assert dict(zip(names, first, strict=True))["created_at"] == datetime(2025, 6, 15, 15, 6, 40)  # noqa: DTZ001  # sheets know no zones
    frame = polars.scan_parquet(
        tmp_path / "out.parquet" / "**" / "*.parquet", hive_partitioning=False
    ).collect()
    assert frame.height == 10_000
    types = {name: str(kind) for name, kind in frame.schema.items()}
    assert types["created_at"] == "Datetime(time_unit='ms', time_zone='UTC')"
    assert {types[name] for name in ("phone", "lead", "words")} == {"String"}
    assert (types["value"], types["probability"], types["do_not_contact"]) == ("Int64", "Float64", "Boolean")
    assert frame.filter(polars.col("lead") == "M0")["created_at"][0] == datetime(
        2025, 6, 15, 15, 6, 40, tzinfo=UTC
    )


def test_parquet_is_parted_by_day_and_room_with_the_columns_of_the_contract(run: Any, tmp_path: Path) -> None:
    out = tmp_path / "lake"
    assert run("leads", "--format", "parquet", "--out", str(out)) == 0
    assert run("timeline", "--format", "parquet", "--out", str(out)) == 0
    found = {str(path.relative_to(out)) for path in out.rglob("*.parquet")}
    assert found == {f"dt=2025-06-15/room=douyin%3Ar1/{name}.parquet" for name in ("leads", "timeline")}
    for name, columns in (("leads", LEAD_COLUMNS), ("timeline", TIMELINE_COLUMNS)):
        frame = polars.read_parquet(
            out / "dt=2025-06-15" / "room=douyin%3Ar1" / f"{name}.parquet", hive_partitioning=False
        )
        assert frame.columns == [column.name for column in columns]


def test_the_contract_of_columns_stays() -> None:
    """A warehouse reads these; a change here breaks it. New columns come at the end."""
    assert " ".join(f"{column.name}:{column.kind}" for column in LEAD_COLUMNS) == (
        "lead:text created_at:time platform:text room:text store:text customer:text name:text phone:text country:text province:text "
        "city:text grade:text quality:integer points:integer probability:number host:text product:text taxonomy:text campaign:text "
        "channel:text status:text stage:text outcome:text reason:text loss_cause:text team:text holder:text rule:text "
        "assigned_at:time claimed_at:time responded_at:time breached_at:time breach:text touches:integer reassignments:integer "
        "follow_up_at:time closed_at:time value:integer do_not_contact:boolean raws:integer words:text"
    )
    assert " ".join(f"{column.name}:{column.kind}" for column in TIMELINE_COLUMNS) == (
        "lead:text number:integer at:time platform:text room:text kind:text actor:text data:text note:text"
    )
    assert " ".join(f"{column.name}:{column.kind}" for column in FIGURE_COLUMNS) == (
        "indicator:text cut:text numerator:number denominator:number value:number why:text n:integer as_of:time immature:number "
        "low:number high:number quantiles:text"
    )


def test_indicators_are_exported_with_what_they_are_made_of(run: Any, tmp_path: Path) -> None:
    out = tmp_path / "i.csv"
    assert run("indicators", "--out", str(out), "--indicator", "lead_to_order", "--cut", "team") == 0
    rows = {row["cut"]: (row["numerator"], row["denominator"], row["why"]) for row in read_csv(out)}
    assert rows == {'{"team":null}': ("0", "3", ""), '{"team":"hz"}': ("0", "3", "")}  # A was won after now
    assert run("indicators", "--out", str(tmp_path / "all.csv")) == 0
    assert run("indicators", "--out", str(out), "--indicator", "raw_leads", "--cut", "team") == 1


def test_indicators_of_alerts_are_those_of_the_store(run: Any, tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store.db")
    store.outbox_add(
        [(Alert("wecom", f"k{number}", an_alert()), START - 4_000 + number) for number in range(4)]
    )
    ids = [row[0] for row in store.outbox_due("wecom", START, 10)]
    store.outbox_delivered(ids[:3], START - 1_000, "m-1")
    store.outbox_dead(ids[3:], START - 1_000, "gone")
    store.close()
    out = tmp_path / "i.csv"
    assert run("indicators", "--out", str(out), "--indicator", "alert_delivery_rate") == 0
    [row] = read_csv(out)
    assert (row["numerator"], row["denominator"], row["value"]) == ("3", "4", "0.75")


def test_whole_numbers_need_a_purpose_and_leave_a_trace(run: Any, tmp_path: Path) -> None:
    out = tmp_path / "leads.csv"
    assert run("leads", "--out", str(out), "--contacts") == 2
    assert run("timeline", "--out", str(out), "--contacts", "--purpose", "call back") == 2
    assert not out.exists()
    assert run("leads", "--out", str(out), "--contacts", "--purpose", "call back", "--by", "chen") == 0
    assert [row["phone"] for row in read_csv(out)] == ["'+8613800138000", "", "", "", "", ""]
    store = Store.open_to_read(tmp_path / "store.db")
    found = [event for _, frame in store.frames_with("contact_reveal") for event in frame.events()]
    store.close()
    said = [(each.lead, (each.data or {})["by"], (each.data or {})["purpose"]) for each in found]
    assert said == [("A", "chen", "call back")], (
        "B and C left numbers that are not kept any more: nobody saw them"
    )


def test_without_a_journal_that_could_keep_it_no_number_is_given(
    run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "store.db").unlink()
    out = tmp_path / "leads.csv"
    assert run("leads", "--out", str(out), "--contacts", "--purpose", "call back") == 1
    assert "there is no store" in capsys.readouterr().err
    assert not out.exists() or NUMBER not in out.read_text("utf-8-sig")


async def test_beside_a_daemon_it_is_asked_and_a_database_that_is_lost_gives_it_again(tmp_path: Path) -> None:
    path = write_config(tmp_path, ORGANISATION)
    loaded = load_config(path, {})
    out = tmp_path / "leads.csv"

    def exported(url: str) -> int:
        with contextlib.closing(open_vault(loaded)) as vault:
            asked: dict[str, Any] = {
                "by": "chen",
                "purpose": "call back",
                "clock": SystemClock(),
                "id": "0123456789abcdef",
            }
            return export(loaded, "leads", "csv", out, reveal=revealing(loaded, vault, url=url, **asked))

    async with running(path) as daemon:
        await daemon.ingest(hot(consent=True, fields={"手机号": NUMBER}))
        manager = Person(daemon, None, Role.MANAGER)
        lead = await manager.first_lead()
        assert await asyncio.to_thread(exported, daemon.url) == 1
        assert [row["phone"] for row in read_csv(out)] == [f"'+86{NUMBER}"]
        line = (await manager.get(f"/api/v1/leads/{lead}")).json()["timeline"][-1]
        assert (line["kind"], line["actor"], line["data"]) == (
            "contact_reveal",
            "chen",
            {"purpose": "call back"},
        )
        refused = await manager.post(
            "/api/v1/exports/contacts", export="0" * 16, leads=[lead], by="x", purpose="y"
        )
        assert refused.status_code == 403, "for administrators"
        with pytest.raises(ExportImpossible, match="cannot be written down"):
            await asyncio.to_thread(exported, "http://127.0.0.1:9")

    for name in ("", "-wal", "-shm"):
        (tmp_path / f"frontrow-centre.db{name}").unlink(missing_ok=True)
    assert database_url(loaded).endswith("/frontrow-centre.db")
    rebuild(loaded, now=0, since="now", progress=lambda done, of: None)
    engine = open_database(database_url(loaded))
    with engine.connect() as db:
        columns = (tables.accesses.c.lead, tables.accesses.c.by, tables.accesses.c.purpose)
        assert db.execute(sa.select(*columns)).all() == [(lead, "chen", "call back")]
    engine.dispose()


def test_who_wants_no_contact_is_exported_without_a_number(run: Any, tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'store-centre.db'}")
    with engine.begin() as db:
        db.execute(sa.update(tables.leads).where(tables.leads.c.lead == "A").values(do_not_contact=True))
    engine.dispose()
    out = tmp_path / "leads.csv"
    assert run("leads", "--out", str(out), "--contacts", "--purpose", "call back") == 0
    assert {row["phone"] for row in read_csv(out)} == {""}


def test_what_no_numbering_plan_has_is_not_exported_and_nobody_is_said_to_have_seen_it(
    run: Any, tmp_path: Path
) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'store-centre.db'}")
    with engine.begin() as db:
        db.execute(sa.update(tables.contacts).values(phone=""))
    engine.dispose()
    out = tmp_path / "leads.csv"
    assert run("leads", "--out", str(out), "--contacts", "--purpose", "call back") == 0
    assert {row["phone"] for row in read_csv(out)} == {""}
    store = Store.open_to_read(tmp_path / "store.db")
    assert not list(store.frames_with("contact_reveal"))
    store.close()


def test_a_time_is_bounded_by_days_and_nothing_is_a_file_with_a_header(run: Any, tmp_path: Path) -> None:
    for name in ("csv", "xlsx", "parquet"):
        assert (
            run("leads", "--format", name, "--out", str(tmp_path / f"o.{name}"), "--since", "2025-06-16") == 0
        )
    assert read_csv(tmp_path / "o.csv") == []
    assert polars.read_parquet(tmp_path / "o.parquet" / "leads.parquet").shape == (0, len(LEAD_COLUMNS))
    assert run("leads", "--out", str(tmp_path / "p.csv"), "--until", "2025-06-16") == 0
    assert len(read_csv(tmp_path / "p.csv")) == 6
    assert run("leads", "--out", str(tmp_path / "p.csv"), "--until", "tomorrow") == 2


@pytest.mark.parametrize(("format", "module"), [("xlsx", "xlsxwriter"), ("parquet", "polars")])
def test_a_missing_extra_is_named(
    run: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    format: str,
    module: str,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert run("leads", "--format", format, "--out", str(tmp_path / "o")) == 1
    assert "pip install 'frontrow[export]'" in capsys.readouterr().err


def test_timelines_keep_their_data_as_json(run: Any, tmp_path: Path) -> None:
    assert run("timeline", "--out", str(tmp_path / "t.csv")) == 0
    rows = read_csv(tmp_path / "t.csv")
    assert len(rows) == sum(isinstance(row, Entry) for row in company())
    assert rows[0]["data"] == '{"team":"hz"}'
    assert all(row["at"].startswith("2025-06-15T15:") for row in rows)
