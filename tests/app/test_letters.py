"""Dead letters: looked at and sent again, over HTTP and by the command line, with the daemon running and at rest."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from frontrow.cli import DONE, FAILED, LOCKED, WRONG, main
from frontrow.core.frames import Frame
from frontrow.runtime.access import Role
from frontrow.storage.store import Alert, Commit, Store
from tests.app.test_daemon import hot
from tests.support.alerts import an_alert
from tests.support.daemons import Running, running, write_config
from tests.support.http_server import Reply, ScriptedServer, scripted_server
from tests.support.rooms import event

SINK = """
[[sinks]]
id = "company-crm"
kind = "crm"
url = "{url}"
fields = {{ id = "lead", name = "name" }}
receipt = "id"
[[sinks]]
id = "sellers"               # tells only of what has an addressee, which a new lead has not
kind = "wecom_app"
corp_id = "ww1"
agent_id = 1
secret = "s"
url = "{url}"
"""


class Place:
    """A daemon whose CRM has refused a lead."""

    def __init__(self, daemon: Running, crm: ScriptedServer, config: Path) -> None:
        self.daemon = daemon
        self.crm = crm
        self.config = config
        self.token = daemon.token(Role.MANAGER)

    async def ask(self, method: str, path: str = "", token: str = "", **query: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {token or self.token}"}
        return await self.daemon.http.request(method, f"/api/v1/outbox{path}", params=query, headers=headers)

    async def until(self, state: str) -> dict[str, Any]:
        """Return the one letter, once it is in this state."""
        async with asyncio.timeout(10):
            while True:
                letters = (await self.ask("GET", state=state)).json()["letters"]
                if letters:
                    found: dict[str, Any] = letters[0]
                    return found
                await asyncio.sleep(0.01)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with scripted_server(Reply(201, b'{"id":"r-7"}')) as crm:
        crm.script.append(Reply(404))
        config = write_config(tmp_path, SINK.format(url=crm.url))
        async with running(config) as daemon:
            await daemon.ingest(hot())
            yield Place(daemon, crm, config)


async def test_a_dead_letter_is_looked_at_sent_again_and_has_a_receipt(place: Place) -> None:
    dead = await place.until("dead")
    assert (dead["id"], dead["sink"], dead["event"], dead["reason"]) == (
        1,
        "company-crm",
        "lead.hot",
        "HTTP 404",
    )
    assert dead["fresh"] and dead["fresh_until"] == dead["created_at"] + 900_000
    assert dead["alert"] is None
    assert (await place.ask("GET")).json() == {"letters": [dead], "next": None}
    whole = (await place.ask("GET", "/1")).json()
    assert whole["alert"]["lead"] == dead["lead"]
    with capture_logs() as logs:
        again = await place.ask("POST", "/1/resend")
    assert again.status_code == 200, again.text
    assert (again.json()["state"], again.json()["attempts"]) == ("pending", 0)
    assert any(line["event"] == "letter_sent_again" and line["by"].startswith("token ") for line in logs)
    sent = await place.until("sent")  # at once, not at the worker's next look in half a minute
    assert (sent["receipt"], sent["reason"]) == ("r-7", None)
    assert [json.loads(request.body)["id"] for request in place.crm.requests] == [dead["lead"]] * 2
    keys = {request.headers["idempotency-key"] for request in place.crm.requests}
    assert len(keys) == 1
    once_more = await place.ask("POST", "/1/resend")
    assert (once_more.status_code, once_more.json()["detail"]) == (
        409,
        "letter 1 was sent; only dead letters are sent again",
    )


async def test_who_may_not_see_the_outbox_is_told_so_and_what_is_not_there_is_404(place: Place) -> None:
    await place.until("dead")
    for role in (Role.INGEST, Role.HOST, Role.SALES):
        token = place.daemon.token(role)
        for method, path in (("GET", ""), ("GET", "/1"), ("POST", "/1/resend")):
            assert (await place.ask(method, path, token)).status_code == 403
    of_one_room = place.daemon.token(Role.MANAGER, "demo")
    assert (await place.ask("GET", token=of_one_room)).status_code == 403
    assert (await place.ask("GET", token="fr_nobody")).status_code == 401
    for path in ("/2", "/0", "/-1", f"/{1 << 70}"):
        assert (await place.ask("GET", path)).status_code == 404
        assert (await place.ask("POST", f"{path}/resend")).status_code == 404
    for query in ({"state": "lost"}, {"limit": 0}, {"limit": 501}, {"cursor": "x"}):
        assert (await place.ask("GET", **query)).status_code == 400
    assert (await place.ask("GET", cursor=1 << 70)).json()["next"] is None
    assert place.crm.requests[1:] == []


async def test_the_command_line_reads_beside_a_running_daemon_and_asks_it_to_send(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await place.until("dead")
    rest = ["--config", str(place.config)]
    assert await asyncio.to_thread(main, ["outbox", "list", *rest]) == DONE
    listed = capsys.readouterr().out
    assert all(word in listed for word in ("company-crm", "dead", "fresh", "HTTP 404", "lead.hot"))
    assert await asyncio.to_thread(main, ["outbox", "show", "1", *rest]) == DONE
    assert json.loads(capsys.readouterr().out)["alert"]["grade"] == "hot"
    assert await asyncio.to_thread(main, ["outbox", "resend", "1", *rest]) == LOCKED
    assert "server.port is 0" in capsys.readouterr().err
    monkeypatch.setenv("FRONTROW__SERVER__PORT", place.daemon.url.rsplit(":", 1)[1])
    assert await asyncio.to_thread(main, ["outbox", "resend", "1", *rest]) == DONE
    assert capsys.readouterr().out.endswith("letter 1 goes to company-crm again\n")
    assert (await place.until("sent"))["receipt"] == "r-7"
    assert await asyncio.to_thread(main, ["outbox", "resend", "1", "5", *rest]) == FAILED
    assert capsys.readouterr().err.splitlines() == [
        "frontrow outbox resend: letter 1 was sent; only dead letters are sent again",
        "frontrow outbox resend: there is no letter 5",
    ]


@pytest.fixture
def at_rest(tmp_path: Path) -> Path:
    """A store that no daemon works on, with dead letters of a sink that is configured and of one that is not."""
    config = write_config(tmp_path, SINK.format(url="http://127.0.0.1:9"))
    store = Store.open(tmp_path / "data" / "frontrow.db")
    alerts = [Alert(sink, f"{sink}:{n}", an_alert(f"L{n}")) for n, sink in enumerate(["company-crm", "gone"])]
    store.append([Commit(Frame.of([event("like", 0)], [0]), (), alerts, 1_000)])
    store.outbox_dead([1, 2], 2_000, "stale")
    store.close()
    return config


def test_in_a_store_that_rests_a_letter_waits_for_the_daemons_start(
    at_rest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rest = ["--config", str(at_rest)]
    assert main(["outbox", "list", "--sink", "company-crm", *rest]) == DONE
    listed = capsys.readouterr().out
    assert [word for word in ("stale", "dead", "L0") if word not in listed.split()] == []
    assert main(["outbox", "resend", "1", "2", *rest]) == FAILED
    said = capsys.readouterr()
    assert said.out == "letter 1 goes to company-crm again\n"
    assert "sink gone, which is not configured or not enabled" in said.err
    assert main(["outbox", "list", "--state", "pending", *rest]) == DONE
    listed = capsys.readouterr().out
    assert "fresh" in listed and "L0" in listed
    for number in ("9", str(1 << 70)):
        assert main(["outbox", "show", number, *rest]) == WRONG
        assert main(["outbox", "resend", number, *rest]) == FAILED
    assert main(["outbox", "list", "--limit", "0", *rest]) == WRONG


def test_without_a_store_nothing_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path)
    assert main(["outbox", "resend", "1", "--config", str(config)]) == FAILED
    assert main(["outbox", "list", "--config", str(config)]) == FAILED
    assert "there is no store" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [config]
