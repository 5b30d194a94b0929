"""A rule that asks a manager first, in the whole daemon: who hears of the lead, who sees it, and who may say yes or no."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import websockets

from frontrow.runtime.access import Role
from frontrow.storage.store import Store
from tests.app.test_daemon import hot, next_message
from tests.app.test_desk import Person
from tests.app.test_founding_sentence import WeCom
from tests.support.daemons import Running, running, write_config
from tests.support.http_server import scripted_server

COMPANY = """
[[centre.units]]
id = "hangzhou"
kind = "store"
[[centre.units]]
id = "a"
kind = "team"
parent = "hangzhou"
[[centre.units]]
id = "b"
kind = "team"
parent = "hangzhou"
[[centre.sellers]]
id = "li"
name = "李想"
team = "a"
wecom = "LiXiang"
[[centre.sellers]]
id = "wang"
name = "王芳"
team = "a"
wecom = "WangFang"
[[centre.sellers]]
id = "chen"
name = "陈静"
team = "a"
role = "manager"
wecom = "ChenJing"
[[centre.sellers]]
id = "zhou"
team = "b"
role = "manager"
wecom = "ZhouYi"
[[centre.rules]]
name = "a manager confirms"
team = "a"
approval = true
[[sinks]]
id = "sellers"
kind = "wecom_app"
corp_id = "ww1"
agent_id = 7
secret = "S3cret"
url = "{url}"
"""


class Place:
    """A daemon whose rule asks a manager, and the WeCom that it writes to."""

    def __init__(self, daemon: Running, wecom: WeCom) -> None:
        self.daemon, self.wecom = daemon, wecom
        self.li, self.wang, self.chen, self.zhou = (
            Person(daemon, each) for each in ("li", "wang", "chen", "zhou")
        )

    async def told(self, count: int) -> list[str]:
        """Return to whom so many messages went, once they have."""
        await until(lambda: len(self.wecom.messages) >= count)
        return [each["touser"] for each in self.wecom.messages]


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.01)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with scripted_server() as server:
        wecom = WeCom(server)
        async with running(write_config(tmp_path, COMPANY.format(url=server.url))) as daemon:
            yield Place(daemon, wecom)


def kinds(answer: dict[str, Any]) -> list[str]:
    return [line["kind"] for line in answer["timeline"]]


async def test_a_manager_is_asked_and_says_yes_and_only_then_the_seller_hears(place: Place) -> None:
    await place.daemon.ingest(hot())
    lead = await place.chen.first_lead()
    assert await place.told(1) == ["ChenJing"]
    card = place.wecom.messages[0]["markdown"]["content"]
    assert "确认" in card and lead in card
    [shown] = await place.chen.leads()
    assert (shown["awaits_approval"], shown["holder"], "approve" in shown["may"]) == (True, "li", True)
    assert await place.li.leads() == await place.li.leads("mine") == [], "they may yet not get it"
    for seller in (place.li, place.wang):
        early = await seller.do(lead, "claim")
        assert (early.status_code, early.json()["code"]) == (409, "awaits_approval")
        assert early.json()["holder"] is None
        assert (await seller.get(f"/api/v1/leads/{lead}")).status_code == 404
    assert await place.zhou.leads() == []

    for nobody in (place.li, place.wang, place.zhou):
        assert (await nobody.do(lead, "approve", decision="approve")).status_code == 404
    assert (await place.chen.do(lead, "approve")).status_code == 422, "neither yes nor no"
    said = await place.chen.do(lead, "approve", "tap-1", decision="approve")
    assert (said.status_code, said.json()["awaits_approval"], said.json()["holder"]) == (200, False, "li")
    assert await place.told(2) == ["ChenJing", "LiXiang"]
    assert "待跟进" in place.wecom.messages[1]["markdown"]["content"]
    again = await place.chen.do(lead, "approve", "tap-1", decision="approve")
    assert again.status_code == 200
    late = await place.chen.do(lead, "approve", decision="reject")
    assert (late.status_code, late.json()["code"]) == (409, "no_approval_asked")
    claimed = await place.li.do(lead, "claim")
    assert (claimed.status_code, claimed.json()["status"]) == (200, "following")
    assert kinds(claimed.json()).count("lead_approve") == 1
    assert len(place.wecom.messages) == 2


async def test_who_is_not_confirmed_never_hears_of_it_and_the_next_is_proposed(place: Place) -> None:
    await place.daemon.ingest(hot())
    lead = await place.chen.first_lead()
    said = await place.chen.do(lead, "approve", decision="reject")
    assert (said.json()["awaits_approval"], said.json()["holder"]) == (True, "wang")
    assert await place.told(2) == ["ChenJing", "ChenJing"]
    assert await place.wang.leads() == []
    await place.chen.do(lead, "approve", decision="approve")
    assert await place.told(3) == ["ChenJing", "ChenJing", "WangFang"]
    assert [card["lead"] for card in await place.wang.leads("mine")] == [lead]
    assert await place.li.leads() == []


async def test_who_was_rejected_does_not_claim_it_from_the_queue_and_gets_it_from_a_manager_alone(
    place: Place,
) -> None:
    """A manager's no would be worth nothing if it could be gone round by a claim."""
    await place.daemon.ingest(hot())
    lead = await place.chen.first_lead()
    for _ in range(2):
        said = await place.chen.do(lead, "approve", decision="reject")
    assert (said.json()["awaits_approval"], said.json()["holder"]) == (False, None), (
        "it waits in the team's queue"
    )
    before = kinds(said.json())
    for seller in (place.li, place.wang):
        refused = await seller.do(lead, "claim")
        assert (refused.status_code, refused.json()["code"]) == (409, "turned_down"), refused.text
        assert refused.json()["detail_zh"] == "经理未同意由您跟进此线索"
        shown = (await seller.get(f"/api/v1/leads/{lead}")).json()
        assert "claim" not in shown["may"]
    assert kinds((await place.chen.get(f"/api/v1/leads/{lead}")).json()) == before
    store = Store.open_to_read(place.daemon.store)
    assert not list(store.frames_with("lead_claim")), "it was refused before it was journalled"
    store.close()

    assert (await place.chen.do(lead, "assign", seller="li")).json()["holder"] == "li"
    assert (await place.wang.do(lead, "claim")).status_code == 409
    claimed = await place.li.do(lead, "claim")
    assert (claimed.status_code, claimed.json()["status"]) == (200, "following")
    await place.li.do(lead, "release")
    assert (await place.wang.do(lead, "claim")).json()["code"] == "turned_down"
    assert (await place.li.do(lead, "claim")).status_code == 200, "the manager's last word was a yes"


async def test_who_was_rejected_is_not_offered_to_claim_it_in_the_inbox_nor_by_what_a_page_is_told(
    place: Place,
) -> None:
    """A button that answers "your manager said no" is a trap, and tells a colleague that looks on the same."""
    url = f"{place.daemon.url.replace('http', 'ws', 1)}/ws/sales?token={place.li.token}"
    async with websockets.connect(url) as page:
        await next_message(page, "snapshot")
        await place.daemon.ingest(hot())
        lead = await place.chen.first_lead()
        await place.chen.do(lead, "approve", decision="reject")
        await place.chen.do(lead, "assign", team="a")
        [told] = (await next_message(page, "delta"))["leads"]
        assert (told["lead"], told["holder"], told["may"]) == (lead, None, [])
        async with websockets.connect(url) as anew:
            [told] = (await next_message(anew, "snapshot"))["leads"]
            assert (told["lead"], told["may"]) == (lead, [])
        assert [card["may"] for card in await place.li.leads()] == [[]]
        assert [card["may"] for card in await place.wang.leads()] == [["claim"]], "nobody said no to them"
        [managers] = await place.chen.leads()
        assert "claim" in managers["may"], "who manages may"

        await place.chen.do(lead, "assign", seller="li")
        assert (await next_message(page, "delta"))["leads"][0]["may"] == ["claim"]
        assert [card["may"] for card in await place.li.leads()] == [["claim"]]


async def test_a_colleague_does_not_hand_it_to_who_was_rejected_and_a_manager_does(place: Place) -> None:
    """A no that a friend in the team can turn round is none."""
    await place.daemon.ingest(hot())
    lead = await place.chen.first_lead()
    await place.chen.do(lead, "approve", decision="reject")
    await place.chen.do(lead, "approve", decision="approve")
    assert (await place.wang.do(lead, "claim")).status_code == 200
    refused = await place.wang.do(lead, "transfer", seller="li")
    assert (refused.status_code, refused.json()["code"]) == (409, "turned_down"), refused.text
    assert refused.json()["detail_zh"] == "经理未同意由李想跟进此线索"
    assert "李想" in refused.json()["detail"]
    assert refused.json()["holder"] is None, "nobody took it meanwhile, as a page would say with a holder"
    assert "lead_transfer" not in kinds((await place.wang.get(f"/api/v1/leads/{lead}")).json())
    assert (await place.wang.do(lead, "transfer", seller="chen")).json() == {"lead": lead, "gone": True}

    given = await place.chen.do(lead, "transfer", seller="li")
    assert (given.status_code, given.json()["holder"]) == (200, "li")
    assert (await place.li.do(lead, "transfer", seller="wang")).status_code == 200
    back = await place.wang.do(lead, "transfer", seller="li")
    assert back.status_code == 200, "the manager's last word was a yes"


async def test_who_manages_claims_what_waits_whoever_was_rejected(place: Place) -> None:
    await place.daemon.ingest(hot())
    lead = await place.chen.first_lead()
    for _ in range(2):
        await place.chen.do(lead, "approve", decision="reject")
    assert (await place.chen.do(lead, "claim")).status_code == 200


async def test_a_manager_can_give_it_to_another_instead(place: Place) -> None:
    await place.daemon.ingest(hot())
    lead = await place.chen.first_lead()
    given = await place.chen.do(lead, "assign", seller="wang")
    assert (given.status_code, given.json()["awaits_approval"], given.json()["holder"]) == (
        200,
        False,
        "wang",
    )
    assert await place.told(2) == ["ChenJing", "WangFang"]
    assert (await place.wang.do(lead, "claim")).status_code == 200


async def test_whoever_bears_a_managers_token_of_the_whole_company_confirms_too(place: Place) -> None:
    await place.daemon.ingest(hot())
    lead = await place.chen.first_lead()
    office = Person(place.daemon, None, Role.MANAGER)
    assert (await office.do(lead, "approve", decision="approve")).status_code == 200
    assert await place.told(2) == ["ChenJing", "LiXiang"]
    line = (await office.get(f"/api/v1/leads/{lead}")).json()["timeline"][-1]
    assert (line["kind"], line["actor"].startswith("token ")) == ("lead_approve", True)
