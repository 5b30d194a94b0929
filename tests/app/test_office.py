"""`frontrow centre …` and the organisation's API beside a running daemon: imports, bad rows, and a store that leaves."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from frontrow.app.centre_office import Office, OfficeRefused, read_table, target_of, transfer_lines
from frontrow.app.parts import load_config
from frontrow.clock import SystemClock
from frontrow.core.centre.transfer import Target
from frontrow.runtime.access import Role
from tests.app.test_daemon import hot
from tests.support.daemons import Running, running, write_config

RULE = """
[[centre.rules]]
name = "all"
team = "old-t"
"""
UNITS = """编号,类型,名称,上级,城市
east,大区,华东,,
old,门店,老店,east,杭州
hz,门店,杭州店,east,杭州
old-t,团队,,old,
hz-t,团队,,hz,
"""
SELLERS = """工号,团队,姓名,角色,企业微信,手机
li,old-t,李想,销售,LiXiang,139 0013 9000
wang,hz-t,王芳,销售,WangFang,
boss,east,陈总,经理,,
"""
T = TypeVar("T")


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(write_config(tmp_path, RULE)) as up:
        yield up


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    units, sellers = tmp_path / "units.csv", tmp_path / "sellers.csv"
    units.write_text(UNITS, "utf-8")
    sellers.write_bytes(SELLERS.encode("gb18030"))  # as spreadsheets of Chinese Windows write it
    return units, sellers


async def asked(daemon: Running, tmp_path: Path, do: Callable[[Office], T]) -> T:
    """Ask as the command line does, from another thread, since the daemon is in this one."""

    def ask() -> T:
        config = load_config(tmp_path / "config.toml", {})
        return do(Office(config, clock=SystemClock(), url=daemon.url))

    return await asyncio.to_thread(ask)


def bearer(daemon: Running, role: Role = Role.MANAGER, seller: str | None = None) -> dict[str, str]:
    return {"authorization": f"Bearer {daemon.token(role, seller=seller)}"}


async def imported(daemon: Running, tmp_path: Path, files: tuple[Path, Path], **more: bool) -> Any:
    options: Any = {"replace": False, "all_or_nothing": False, "dry_run": False, **more}
    return await asked(daemon, tmp_path, lambda office: office.import_files(*files, **options))


async def test_an_organisation_is_imported_and_shown(
    daemon: Running, tmp_path: Path, files: tuple[Path, Path]
) -> None:
    answer, wrong = await imported(daemon, tmp_path, files)
    assert (answer.done, answer.units, answer.sellers, wrong) == (True, 5, 3, [])
    shown = await asked(daemon, tmp_path, lambda office: office.organisation(None))
    assert shown == [
        "region east · 华东",
        "  manager boss · 陈总",
        "  store hz · 杭州店 · serves 杭州",
        "    team hz-t",
        "      seller wang · 王芳",
        "  store old · 老店 · serves 杭州",
        "    team old-t",
        "      seller li · 李想",
    ]
    told = await daemon.http.get("/api/v1/organisation", headers=bearer(daemon))
    assert "9000" not in told.text, "nobody's number is shown"
    assert await asked(daemon, tmp_path, lambda office: office.organisation(0)) == shown


async def test_bad_rows_are_named_and_the_rest_is_taken_or_nothing(
    daemon: Running, tmp_path: Path, files: tuple[Path, Path]
) -> None:
    files[1].write_text(SELLERS + "sun,hz-t,孙,飞行员,,\nxu,nowhere,徐,销售,,\n", "utf-8")
    answer, wrong = await imported(daemon, tmp_path, files, all_or_nothing=True)
    assert not answer.done
    assert wrong[0].startswith(f"{files[1]}:5: 角色 is none of")
    assert wrong[1] == "then seller xu belongs to nowhere, which does not exist"
    assert await asked(daemon, tmp_path, lambda office: office.organisation(None)) == []
    answer, _ = await imported(daemon, tmp_path, files)
    assert (answer.done, answer.sellers) == (True, 4)


async def test_over_http_a_csv_file_or_json_is_taken_from_who_may(daemon: Running) -> None:
    http = daemon.http

    async def post(who: dict[str, str], **request: Any) -> httpx.Response:
        headers = {**who, **request.pop("headers", {})}
        return await http.post("/api/v1/organisation", headers=headers, **request)

    manager, csv = bearer(daemon), {"content-type": "text/csv; charset=utf-8"}
    assert (await post(bearer(daemon, Role.HOST), json={})).status_code == 403
    assert (await post({}, json={})).status_code == 401
    assert (await post(manager, content=UNITS.encode(), headers=csv)).status_code == 400, "which?"
    answer = await post(manager, content=UNITS.encode(), headers=csv, params={"what": "units"})
    assert (answer.status_code, answer.json()["units"]) == (200, 5)
    bad = {"sellers": [{"id": "li", "team": "old-t"}, {"id": "wu", "team": "hz-t", "weight": 0}]}
    refused = await post(manager, json={**bad, "all_or_nothing": True})
    assert refused.status_code == 422
    assert refused.json()["errors"] == [
        {"file": "sellers", "line": 2, "column": "weight", "reason": "expected `int` >= 1"}
    ]
    taken = await post(manager, json=bad)
    assert (taken.status_code, taken.json()["done"], taken.json()["sellers"]) == (200, True, 1)
    assert (await post(manager, content=b"{")).status_code == 400
    assert (await post(manager, json={"nonsense": 1})).status_code == 400
    of_a_seller = await http.get("/api/v1/organisation", headers=bearer(daemon, Role.SALES, "li"))
    assert of_a_seller.status_code == 403
    over = await post(manager, json={"timezone": "Mars/Phobos"})
    assert over.status_code == 422


async def test_a_large_organisation_is_taken(daemon: Running) -> None:
    sellers = "\n".join(f"s{number:05},old-t,某人某人某人,seller,user{number:05}," for number in range(5_000))
    body = {"units_csv": UNITS, "sellers_csv": SELLERS + sellers}
    answer = await daemon.http.post("/api/v1/organisation", headers=bearer(daemon), json=body)
    assert (answer.status_code, answer.json()["sellers"]) == (200, 5_003), answer.text[:300]


async def test_what_the_configuration_names_is_not_imported_over(tmp_path: Path) -> None:
    configured = '[[centre.units]]\nid = "hq"\nkind = "company"\n'
    async with running(write_config(tmp_path, configured)) as daemon:
        answer = await daemon.http.post(
            "/api/v1/organisation", headers=bearer(daemon), json={"units": [{"id": "x", "kind": "region"}]}
        )
        assert answer.status_code == 422
        assert "[centre]" in answer.json()["detail"]


async def test_a_stores_leads_are_transferred_and_taken_back_over_a_restart(
    tmp_path: Path, files: tuple[Path, Path]
) -> None:
    config = write_config(tmp_path, RULE)
    async with running(config) as daemon:
        await imported(daemon, tmp_path, files)
        for viewer in ("a", "b", "c"):
            await daemon.ingest(hot(viewer))
        await leads_are(daemon, "old", 3)
        dry = await asked(
            daemon, tmp_path, lambda office: office.transfer("old", target_of("region"), dry_run=True)
        )
        assert transfer_lines(dry) == [f"{dry.plan}: 3 leads of old in 1 steps", "  to hz: 3", "  wang: 3"]
        done = await asked(
            daemon, tmp_path, lambda office: office.transfer("old", target_of("region"), dry_run=False)
        )
        steps = await asked(daemon, tmp_path, lambda office: list(office.progress(done.plan)))
        assert steps[-1] == (1, 1, 3)
        await leads_are(daemon, "hz", 3)
        with pytest.raises(OfficeRefused, match="nothing to transfer"):
            await asked(
                daemon, tmp_path, lambda office: office.transfer("old", target_of("hz"), dry_run=False)
            )
        seller = await daemon.http.post(
            "/api/v1/stores/hz/transfer", headers=bearer(daemon, Role.SALES, "wang"), json={}
        )
        assert seller.status_code == 403
    async with running(config) as daemon:
        back = await asked(daemon, tmp_path, lambda office: office.undo(done.plan, dry_run=False))
        steps = await asked(daemon, tmp_path, lambda office: list(office.progress(back.plan)))
        assert steps[-1] == (1, 1, 3)
        await leads_are(daemon, "old", 3)
        listed = await daemon.http.get("/api/v1/transfers", headers=bearer(daemon))
        assert {run["plan"]: run["undone_by"] for run in listed.json()["transfers"]} == {
            done.plan: back.plan,
            back.plan: None,
        }


async def leads_are(daemon: Running, store: str, count: int) -> None:
    """Return when so many open leads are of a store."""
    async with asyncio.timeout(20):
        while True:
            found = (await daemon.http.get("/api/v1/inbox", headers=bearer(daemon))).json()["leads"]
            if [lead["store"] for lead in found] == [store] * count:
                return
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("nearest", Target(how="nearest")),
        ("region", Target(how="region")),
        ("hz", Target(how="store", store="hz")),
        ("hz=2, nb=1", Target(how="share", shares={"hz": 2, "nb": 1})),
    ],
)
def test_targets_are_read(text: str, target: Target) -> None:
    assert target_of(text) == target


@pytest.mark.parametrize("text", ["hz=", "hz=0", "=1", "hz=1,nb", "hz=-1"])
def test_a_share_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(OfficeRefused, match="is not a share"):
        target_of(text)


def test_without_a_daemon_it_says_so(tmp_path: Path) -> None:
    config = load_config(write_config(tmp_path), {})
    with pytest.raises(OfficeRefused, match="frontrow run"):
        Office(config, clock=SystemClock())
    broken = tmp_path / "x.csv"
    broken.write_bytes(b"\xff\xff\x81")
    with pytest.raises(OfficeRefused, match="neither"):
        read_table(broken)


async def test_what_channels_cost_is_imported_and_each_bad_row_is_named(
    daemon: Running, tmp_path: Path
) -> None:
    """Return on a channel is a figure only where somebody has said what it cost."""
    costs = tmp_path / "costs.csv"
    costs.write_text(
        "渠道,日期,金额\nfeed-ads,2026-11-20,1200.50\nfeed-ads,2026-11-31,5\n,2026-11-21,7\n", "utf-8"
    )

    async def take(**options: bool) -> Any:
        chosen: Any = {"currency": "CNY", "all_or_nothing": False, "dry_run": False, **options}
        return await asked(daemon, tmp_path, lambda office: office.import_costs(costs, **chosen))

    for options in ({"dry_run": True}, {"all_or_nothing": True}):
        answer, wrong = await take(**options)
        assert (answer.done, answer.rows, [line.split(":")[1] for line in wrong]) == (False, 1, ["3", "4"])
    answer, _ = await take()
    assert (answer.done, answer.rows) == (True, 1)
    with sqlite3.connect(tmp_path / "data" / "frontrow-centre.db") as db:
        assert db.execute("SELECT channel, amount, currency FROM costs").fetchall() == [
            ("feed-ads", 120050, "CNY")
        ]
