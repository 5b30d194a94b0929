"""What became of a lead goes back to 飞鱼, which it came from, and nothing else does: in the whole daemon, over a restart, with receipts."""

import asyncio
import json
from pathlib import Path
from typing import Any

from frontrow.core.events import encode_event
from frontrow.runtime.access import Role
from tests.app.test_care import Caller
from tests.app.test_daemon import hot, now_ms
from tests.app.test_desk import ORGANISATION, Person
from tests.support.daemons import Running, running, write_config
from tests.support.http_server import Reply, scripted_server
from tests.support.rooms import event

SINK = """
[centre]
order_outcome = "won"
[[sinks]]
id = "back"
kind = "feiyu"
api_url = "{url}"
signature_key = "key"
access_token = "token"
states = {{ no_answer = 0 }}
"""


def clue(id: int, number: str) -> bytes:
    """A lead as the feed of 飞鱼 brings it."""
    return encode_event(
        event(
            "form_submit", id=f"clue:{id}", viewer=f"clue:{id}", at=now_ms(), consent=True, form="feiyu", fields={"手机": number}
        )
    )  # fmt: skip


async def letters(daemon: Running, state: str) -> list[dict[str, Any]]:
    found = (await Caller(daemon, Role.MANAGER).get(f"outbox?state={state}")).json()["letters"]
    return [each for each in found if each["sink"] == "back"]


async def test_what_sellers_say_of_a_lead_of_feiyu_goes_back_there(tmp_path: Path) -> None:
    async with scripted_server(Reply(200, b'{"status":"success"}')) as feiyu:
        feiyu.script.append(Reply(403))
        config = write_config(tmp_path, SINK.format(url=feiyu.url) + ORGANISATION)
        async with running(config) as daemon:
            li = Person(daemon, "li")
            await daemon.ingest(clue(7001, "13800138001"))
            lead = await li.first_lead()
            assert (await li.do(lead, "claim")).status_code == 200
            assert (await li.do(lead, "outcome", outcome="interested")).status_code == 200
            await feiyu.until(1)
            async with asyncio.timeout(10):
                while not (dead := await letters(daemon, "dead")):
                    await asyncio.sleep(0.01)
            assert (dead[0]["event"], dead[0]["reason"]) == ("lead.outcome", "HTTP 403")
            again = await Caller(daemon, Role.MANAGER).post(f"outbox/{dead[0]['id']}/resend")
            assert again.status_code in (200, 202), again.text
            await feiyu.until(2)
            # A viewer who never was a lead of theirs is no affair of theirs.
            await daemon.ingest(hot(viewer="v1"))
            async with asyncio.timeout(10):
                while not (others := [each["lead"] for each in await li.leads() if each["lead"] != lead]):
                    await asyncio.sleep(0.01)
            assert (await li.do(others[0], "claim")).status_code == 200
            assert (await li.do(others[0], "outcome", outcome="interested")).status_code == 200
        async with running(config) as daemon:
            li = Person(daemon, "li")
            await daemon.ingest(
                encode_event(
                    event("order_paid", id="o1", viewer="clue:7001", at=now_ms(), order="o1", value=9_900)
                )
            )
            await feiyu.until(3)
            async with asyncio.timeout(10):
                while len(sent := await letters(daemon, "sent")) < 2:
                    await asyncio.sleep(0.01)
            assert sorted(each["receipt"] for each in sent) == ["7001=194", "7001=285"]
        told = [json.loads(each.body)["data"] for each in feiyu.requests]
        assert told == [
            {"clue_id": "7001", "clue_convert_state": 194},
            {"clue_id": "7001", "clue_convert_state": 194},
            {"clue_id": "7001", "clue_convert_state": 285},
        ]
