"""The founding text's sentence in the whole daemon, with the rules that are shipped: a new hot lead is 待跟进, goes by intended product to
that line's sales group, and its seller gets a to-do in WeCom with the customer's core information."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from frontrow.core.events import encode_event
from frontrow.runtime.access import Role
from tests.support.clock import ManualClock
from tests.support.daemons import Running, running, write_config
from tests.support.http_server import Reply, Request, ScriptedServer, scripted_server
from tests.support.rooms import event

NOW = 1_750_000_000_000
STEP_S = 0.02
SENT = b'{"errcode":0,"errmsg":"ok","invaliduser":"","msgid":"m-1"}'
COMPANY = """
[[centre.units]]
id = "hq"
kind = "company"
[[centre.units]]
id = "hangzhou"
kind = "store"
parent = "hq"
[[centre.units]]
id = "skin"
kind = "team"
parent = "hangzhou"
products = ["beauty/skincare"]
[[centre.units]]
id = "make-up"
kind = "team"
parent = "hangzhou"
products = ["beauty/makeup"]
[[centre.sellers]]
id = "li"
name = "李想"
team = "skin"
wecom = "LiXiang"
mobile = "+8613900139000"
[[centre.sellers]]
id = "wang"
name = "王芳"
team = "make-up"
wecom = "WangFang"
[[centre.sellers]]
id = "chen"
name = "陈店"
team = "hangzhou"
role = "manager"
wecom = "ChenDian"
[[sinks]]
id = "texts"
kind = "sms"
access_key_id = "LTAI0"
access_key_secret = "S3cret"
sign_name = "示例"
templates = {{ todo = "SMS_100000001" }}
url = "{url}"
[[sinks]]
id = "sellers"
kind = "wecom_app"
corp_id = "ww1"
agent_id = 7
secret = "S3cret"
url = "{url}"
"""
BY_TEXT_TOO = """
[[centre.rules]]
name = "hot ones by text message too"
by = ["product"]
notify = ["todo", "sms"]
when = { grades = ["hot"] }
"""


class WeCom:
    """Answers as WeCom's server does, and keeps what it was sent."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        server.on_request = self._answer

    def _answer(self, request: Request) -> None:
        if request.path.endswith("/gettoken"):
            body = b'{"errcode":0,"errmsg":"ok","access_token":"T","expires_in":7200}'
        elif request.path.endswith("/message/send"):
            body = SENT
        else:  # the text messages' provider
            body = b'{"Code":"OK","Message":"OK","BizId":"b-1","RequestId":"r-1"}'
        self.server.otherwise = Reply(body=body)

    @property
    def texts(self) -> list[Request]:
        return [each for each in self.server.requests if not each.path.startswith("/cgi-bin/")]

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(each.body) for each in self.server.requests if each.path.endswith("/message/send")]


@pytest.fixture
async def wecom() -> AsyncIterator[WeCom]:
    async with scripted_server() as server:
        yield WeCom(server)


def turns_hot(viewer: str, product: str, at: int) -> bytes:
    """Return a viewer's way to hot; while they choose a product, another line's is on show."""
    on_show = "哑光口红" if product == "保湿面霜" else "保湿面霜"
    events = [
        event("product_on_show", viewer=None, id=f"s-{viewer}", product=on_show, at=at),
        event("comment", viewer=viewer, id=f"c-{viewer}", text="多少钱 13800138000", name="小丑鱼", at=at),
        event("product_click", viewer=viewer, id=f"p-{viewer}", product=product, at=at + 1),
        event("form_submit", viewer=viewer, id=f"f-{viewer}", at=at + 2),
    ]
    return b"\n".join(encode_event(each) for each in events)


async def moved_until(clock: ManualClock, is_so: Any, most_s: float) -> float:
    """Move the daemon's clock in small steps until something is so, at most so far; return how far."""
    moved = 0.0
    async with asyncio.timeout(20):
        while not is_so():
            assert moved < most_s, f"not within {most_s} s of the daemon's time"
            # Sockets and threads need real time, of which a step of the clock takes as much as they ask for.
            for _ in range(20):
                await asyncio.sleep(0.001)
                if is_so():
                    break
            else:
                await clock.advance(STEP_S)
                moved += STEP_S
    return moved


async def test_a_new_hot_lead_goes_to_its_product_lines_group_and_its_seller_gets_the_to_do(
    tmp_path: Path, wecom: WeCom
) -> None:
    clock = ManualClock(NOW)
    config = write_config(tmp_path, COMPANY.format(url=wecom.server.url))
    async with running(config, clock=clock) as daemon:
        headers = {"authorization": f"Bearer {daemon.token(Role.MANAGER)}"}
        await _organised(daemon, clock)
        sending = asyncio.create_task(daemon.ingest(turns_hot("v1", "保湿面霜", NOW)))
        await moved_until(clock, sending.done, 1.0)
        assert (await sending).status_code == 200, "it is durable"
        await moved_until(clock, lambda: bool(wecom.messages), 1.0)

        [message] = wecom.messages
        content = message["markdown"]["content"]
        assert message["touser"] == "LiXiang"
        assert "📌 待跟进" in content and "🔥 热" in content
        assert "商品：保湿面霜" in content
        assert "小＊＊" in content and "小丑鱼" not in content
        assert "多少钱" in content and "13800138000" not in content

        [lead] = (await daemon.http.get("/api/v1/inbox", headers=headers)).json()["leads"]
        assert (lead["status"], lead["team"], lead["holder"]) == ("new", "skin", "li")
        assert (lead["rule"], lead["taxonomy"]) == ("hot-by-product-line", "beauty/skincare")
        assert f"sales#{lead['lead']}" in content

        # Another line's goes to another group, and nothing is said twice or to anybody else.
        sending = asyncio.create_task(daemon.ingest(turns_hot("v2", "哑光口红", clock.now())))
        await moved_until(clock, sending.done, 1.0)
        await moved_until(clock, lambda: len(wecom.messages) > 1, 1.0)
        await clock.advance(60)
        await _idle(daemon, clock, headers)
        assert [each["touser"] for each in wecom.messages] == ["LiXiang", "WangFang"]
        assert wecom.texts == [], "no rule asked for text messages"


async def test_a_rule_that_asks_for_it_sends_a_text_message_to_the_same_seller(
    tmp_path: Path, wecom: WeCom
) -> None:
    clock = ManualClock(NOW)
    config = write_config(tmp_path, COMPANY.format(url=wecom.server.url) + BY_TEXT_TOO)
    async with running(config, clock=clock) as daemon:
        await _organised(daemon, clock)
        sending = asyncio.create_task(daemon.ingest(turns_hot("v1", "保湿面霜", NOW)))
        await moved_until(clock, sending.done, 1.0)
        await moved_until(clock, lambda: bool(wecom.messages and wecom.texts), 1.0)
        assert [each["touser"] for each in wecom.messages] == ["LiXiang"]
        [text] = wecom.texts
        assert "13900139000" in str(text.query) + text.body.decode()


async def _organised(daemon: Running, clock: ManualClock) -> None:
    """Return when the configured organisation is in force: its people have leads to see."""
    headers = {"authorization": f"Bearer {daemon.token(Role.SALES, seller='li')}"}
    async with asyncio.timeout(20):
        while (await daemon.http.get("/api/v1/inbox", headers=headers)).status_code != 200:
            await clock.advance(STEP_S)


async def _idle(daemon: Running, clock: ManualClock, headers: dict[str, str]) -> None:
    """Return when nothing waits to be sent."""
    async with asyncio.timeout(20):
        while True:
            listed = await daemon.http.get("/api/v1/outbox?state=pending", headers=headers)
            assert listed.status_code == 200, listed.text
            if not listed.json()["letters"]:
                return
            await clock.advance(STEP_S)
