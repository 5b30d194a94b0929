"""Care for customers in the whole daemon: consents, who is who, the cleaning queue and a message to a customer, over HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import sqlalchemy as sa

from frontrow.app.caring import NotListed, lines_of, list_numbers, touches
from frontrow.app.lead_centre import database_url
from frontrow.app.parts import load_config
from frontrow.clock import SystemClock
from frontrow.core.centre.callbacks import signature_of
from frontrow.core.centre.erasing import CONTACTS
from frontrow.core.events import encode_event
from frontrow.runtime.access import Role
from frontrow.storage.centre import tables
from frontrow.storage.centre.database import open_database
from frontrow.storage.centre.sweeping import sweep_all
from frontrow.storage.store import Store
from tests.app.test_daemon import now_ms
from tests.app.test_desk import ORGANISATION
from tests.support.daemons import Running, running, write_config
from tests.support.http_server import Reply, scripted_server
from tests.support.rooms import event

NUMBER = "13800138001"
NURTURE = """
[centre.touch]
send = true
quiet_hours = []
[[centre.touch_rules]]
name = "thanks"
point = "welcome"
channel = "sms"
text = "welcome"
purpose = "service"
[[sinks]]
id = "sms"
kind = "sms"
access_key_id = "id"
access_key_secret = "secret"
sign_name = "签名"
templates = { touch_welcome = "SMS_1" }
"""


def form(viewer: str, number: str = NUMBER, **more: Any) -> bytes:
    fields = {"手机": number, "姓名": "陈小明"}
    return encode_event(
        event(
            "form_submit",
            viewer=viewer,
            id=f"f-{viewer}",
            at=now_ms(),
            consent=True,
            form="f",
            fields=fields,
            **more,
        )
    )


class Caller:
    """A program or a person with a token of a role."""

    def __init__(self, daemon: Running, role: Role, seller: str | None = None) -> None:
        self._http = daemon.http
        self._headers = {"authorization": f"Bearer {daemon.token(role, seller=seller)}"}

    async def get(self, path: str) -> httpx.Response:
        return await self._http.get(f"/api/v1/{path}", headers=self._headers)

    async def post(self, path: str, key: str | None = None, /, **body: Any) -> httpx.Response:
        headers = self._headers | ({} if key is None else {"idempotency-key": key})
        return await self._http.post(f"/api/v1/{path}", json=body, headers=headers)

    async def send(self, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        return await self._http.post(f"/api/v1/{path}", content=body, headers=self._headers | headers)


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(write_config(tmp_path, ORGANISATION)) as up:
        yield up


async def lead_of(daemon: Running, *bodies: bytes) -> dict[str, Any]:
    """Take events in, and return the newest lead that they make."""
    manager = Caller(daemon, Role.MANAGER)
    before = len((await manager.get("inbox?view=all")).json()["leads"])
    for body in bodies:
        assert (await daemon.ingest(body)).status_code == 200
    async with asyncio.timeout(20):
        while True:
            leads: list[dict[str, Any]] = (await manager.get("inbox?view=all")).json()["leads"]
            if len(leads) > before:
                return max(leads, key=lambda lead: int(lead["number"]))
            await asyncio.sleep(0)


async def test_under_one_key_one_consent_is_kept_and_one_link_made(daemon: Running) -> None:
    """A call centre's program that sends again what it has no answer to must not give a consent anew that was withdrawn since."""
    lead = await lead_of(daemon, form("v1"))
    crm = Caller(daemon, Role.CRM)
    path = f"leads/{lead['lead']}/consent"
    assert (await crm.post(path, "c-1", purpose="marketing", given=True)).status_code == 200
    await crm.post(path, "c-2", purpose="marketing", given=False)
    again = await crm.post(path, "c-1", purpose="marketing", given=True)
    assert again.status_code == 200
    assert ("marketing", False) in [(each["purpose"], each["given"]) for each in again.json()["consents"]]
    other = await crm.post(path, "c-1", purpose="marketing", given=False)
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")

    ends = {"a": {"kind": "viewer:test", "key": "v1"}, "b": {"kind": "crm", "key": "c-0001"}}
    first = await crm.post("identities/link", "l-1", **ends, source="crm")
    assert (await crm.post("identities/link", "l-1", **ends, source="crm")).json() == first.json()
    other = await crm.post("identities/link", "l-1", **ends, source="shop")
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")


async def test_a_consent_is_kept_at_every_name_and_withdrawing_contact_hides_the_number(
    daemon: Running,
) -> None:
    lead = await lead_of(daemon, form("v1"))
    crm = Caller(daemon, Role.CRM)
    path = f"leads/{lead['lead']}/consent"
    said = (await crm.post(path, purpose="marketing", given=True, source="call")).json()
    assert [(each["purpose"], each["given"]) for each in said["consents"]] == [
        ("contact", True),
        ("marketing", True),
    ]
    said = (await crm.post(path, purpose="contact", given=False, source="call")).json()
    assert said["do_not_contact"]
    manager = Caller(daemon, Role.MANAGER)
    shown = (await manager.get(f"leads/{lead['lead']}")).json()
    assert shown["do_not_contact"] and "reveal" not in shown["may"]
    assert (await manager.post(f"leads/{lead['lead']}/reveal", purpose="call")).status_code == 403
    customer = (await crm.get(f"customers/{said['customer']}")).json()
    assert {each["kind"] for each in customer["identities"]} == {"viewer:test", "phone"}
    assert NUMBER not in json.dumps(customer)
    assert customer["fields"]["phone"]["value"] == "138****8001"
    other = Caller(daemon, Role.SALES, "zhao")
    assert (await other.post(path, purpose="contact", given=True)).status_code == 404, "another team's seller"
    assert (
        await Caller(daemon, Role.SALES, "li").post(path, purpose="contact", given=True)
    ).status_code == 403, "not theirs"
    assert (await Caller(daemon, Role.INGEST).get(f"customers/{said['customer']}")).status_code == 403
    assert (await crm.post(path, purpose="Marketing!", given=True)).status_code == 400


async def test_identities_are_linked_by_a_number_suggested_and_parted_again(daemon: Running) -> None:
    lead = await lead_of(daemon, form("v1"))
    crm = Caller(daemon, Role.CRM)
    phone, wecom = {"kind": "phone", "number": NUMBER}, {"kind": "wecom", "key": "wmABCDEFGH"}
    weak = (await crm.post("identities/link", a=phone, b=wecom, source="guess", confidence=0.4)).json()
    assert [each["link"] for each in (await crm.get("identities/suggestions")).json()["links"]] == [
        weak["link"]
    ]
    sure = (await crm.post("identities/link", a=wecom, b=phone, source="wecom")).json()
    again = (await crm.post("identities/link", a=phone, b=wecom, source="wecom")).json()
    assert again["link"] == sure["link"], "told twice it is one"
    assert "wmABCDEFGH" not in json.dumps(sure) and sure["b"]["key"] != ""
    customer = (await crm.post(f"leads/{lead['lead']}/consent", purpose="service", given=True)).json()[
        "customer"
    ]
    assert "wecom" in {each["kind"] for each in (await crm.get(f"customers/{customer}")).json()["identities"]}
    assert (await crm.post("identities/unlink", link=sure["link"])).status_code == 400, "a reason is needed"
    parted = (await crm.post("identities/unlink", link=sure["link"], reason="two people")).json()
    assert parted["unlinked_at"] is not None
    assert (await crm.post("identities/unlink", link=sure["link"], reason="again")).json() == parted
    anew = (await crm.post("identities/link", a=phone, b=wecom, source="wecom")).json()
    assert anew["unlinked_at"] is None and anew["link"] != sure["link"]
    for body in (
        {"a": phone, "b": phone},
        {"a": {"kind": "phone", "number": "12"}, "b": wecom},
        {"a": {"kind": "cat", "key": "1"}, "b": wecom},
    ):
        assert (await crm.post("identities/link", **body, source="x")).status_code == 422
    assert (await crm.post("identities/unlink", link="none", reason="x")).status_code == 404
    assert (
        await Caller(daemon, Role.SALES, "li").post("identities/link", a=phone, b=wecom, source="x")
    ).status_code == 403


async def test_a_cleaning_service_whose_calls_are_to_be_signed_gets_nothing_done_without(
    tmp_path: Path,
) -> None:
    """A token that leaks into some log is no use to anybody who has not the secret."""
    secret = '[centre.callback]\nsecret = "a secret of two"\n'
    async with running(write_config(tmp_path, ORGANISATION + secret)) as daemon:
        await lead_of(daemon, form("v1"))
        other = event(
            "form_submit", viewer="v1", id="f2", at=now_ms(), consent=True, fields={"手机": "13900139002"}
        )
        await daemon.ingest(encode_event(other))
        service = Caller(daemon, Role.CLEANING)
        async with asyncio.timeout(20):
            while not (found := (await service.get("cleaning?state=queued")).json()["tasks"]):
                await asyncio.sleep(0)
        path = f"cleaning/{found[0]['task']}"
        refused = await service.post(path, state="dialing")
        assert (refused.status_code, "x-frontrow-timestamp" in refused.json()["detail"]) == (401, True)
        assert (await service.post(f"{path}/reveal")).status_code == 401
        seconds, body = str(now_ms() // 1000), b'{"state":"dialing"}'
        signed = {
            "x-frontrow-timestamp": seconds,
            "x-frontrow-signature": f"sha256={signature_of('a secret of two', seconds, found[0]['task'], body)}",
        }
        answers = [await service.send(path, body, signed) for _ in range(2)]
        assert [each.status_code for each in answers] == [200, 200], (
            "taken down and sent again it does nothing more"
        )
        timeline = (await Caller(daemon, Role.MANAGER).get(f"leads/{found[0]['lead']}")).json()["timeline"]
        assert [each["kind"] for each in timeline].count("clean_result") == 1
        changed = await service.send(path, b'{"state":"answered"}', signed)
        assert changed.status_code == 401, "the signature is of another body"
        admin = Caller(daemon, Role.ADMIN)
        assert (await admin.post(path, state="answered")).status_code == 200, "people sign nothing"
        assert b'reason="signature"' in (await daemon.http.get("/metrics")).content


async def test_a_cleaning_service_takes_a_task_calls_and_reports_as_often_as_it_likes(
    daemon: Running,
) -> None:
    await lead_of(daemon, form("v1"))
    await daemon.ingest(
        encode_event(
            event(
                "form_submit", viewer="v1", id="f2", at=now_ms(), consent=True, fields={"手机": "13900139002"}
            )
        )
    )
    service = Caller(daemon, Role.CLEANING)
    async with asyncio.timeout(20):
        while not (found := (await service.get("cleaning?state=queued")).json()["tasks"]):
            await asyncio.sleep(0)
    [task] = found
    assert (task["reason"], task["contact"]) == ("contradictory", "139****9002")
    path = f"cleaning/{task['task']}"
    assert (await service.post(path, state="dialing")).json()["state"] == "dialing"
    assert (await service.post(f"{path}/reveal")).json()["手机"] == "13900139002"
    answers = await asyncio.gather(*(service.post(path, state="decided", intent="yes") for _ in range(3)))
    assert [each.status_code for each in answers] == [200, 200, 200]
    manager = Caller(daemon, Role.MANAGER)
    timeline = (await manager.get(f"leads/{task['lead']}")).json()["timeline"]
    assert [each["data"]["state"] for each in timeline if each["kind"] == "clean_result"] == [
        "dialing",
        "decided",
    ]
    assert [each["data"]["purpose"] for each in timeline if each["kind"] == "contact_reveal"] == ["cleaning"]
    otherwise = await service.post(path, state="decided", intent="no")
    assert (otherwise.status_code, otherwise.json()["task"]["intent"]) == (409, "yes")
    late = await service.post(path, state="answered")
    assert (late.status_code, late.json()["changed"]) == (200, False)
    assert (await service.post(path, state="decided")).status_code == 422
    assert (await service.post(path, state="gone")).status_code == 400
    assert (await service.post(f"{path}/reveal")).status_code == 403, "the task is over"
    assert (await service.post("cleaning/none", state="dialing")).status_code == 404
    assert (await service.get("cleaning?state=lost")).status_code == 400
    assert (await service.get("inbox")).status_code == 403, "leads are others'"
    assert (await Caller(daemon, Role.SALES, "li").get("cleaning")).status_code == 403


async def test_a_number_that_is_not_kept_any_more_is_not_said_to_have_been_seen(tmp_path: Path) -> None:
    """The reveals in the journal say who has seen a number: who was shown none has seen none."""
    config = write_config(tmp_path, ORGANISATION)
    async with running(config) as daemon:
        lead = await lead_of(daemon, form("v1"))
        other = event(
            "form_submit", viewer="v1", id="f2", at=now_ms(), consent=True, fields={"手机": "13900139002"}
        )
        await daemon.ingest(encode_event(other))
        service, manager = Caller(daemon, Role.CLEANING), Caller(daemon, Role.MANAGER)
        async with asyncio.timeout(20):
            while not (found := (await service.get("cleaning?state=queued")).json()["tasks"]):
                await asyncio.sleep(0.01)
        database = open_database(database_url(load_config(config, {})))
        with database.begin() as db:
            db.execute(sa.update(tables.contacts).values(sealed=None))
        database.dispose()
        assert (await service.post(f"cleaning/{found[0]['task']}/reveal")).status_code == 404
        assert (await manager.post(f"leads/{lead['lead']}/reveal", purpose="call")).status_code == 404
        timeline = (await manager.get(f"leads/{lead['lead']}")).json()["timeline"]
        assert "contact_reveal" not in [each["kind"] for each in timeline]
    store = Store.open_to_read(daemon.store)
    assert not list(store.frames_with("contact_reveal"))
    store.close()


async def test_of_a_customer_whose_older_numbers_were_swept_the_cleaning_gets_what_is_kept(
    tmp_path: Path,
) -> None:
    """Retention takes the number and leaves that there was one; what they left last may be all that whoever is to call them has."""
    config = write_config(tmp_path, ORGANISATION)
    async with running(config) as daemon:
        await lead_of(daemon, form("v1"))
        service = Caller(daemon, Role.CLEANING)
        fields = {"手机": "13900139002"}, {"手机": "139 0013 900", "备注": "晚上打"}
        for number, left in enumerate(fields):
            sent = event("form_submit", viewer="v1", id=f"g{number}", at=now_ms(), consent=True, fields=left)
            await daemon.ingest(encode_event(sent))
        database = open_database(database_url(load_config(config, {})))
        c = tables.contacts.c
        async with asyncio.timeout(20):
            while len(found := await asyncio.to_thread(contacts, database)) < 3:
                await asyncio.sleep(0.01)
        assert [phone != "" for phone, _ in found] == [True, True, False]
        with database.begin() as db:  # some weeks went by between the second and the last
            db.execute(sa.update(tables.contacts).where(c.phone != "").values(at=c.at - 1_000_000))
        assert sum(taken["contacts"] for taken in sweep_all(database, {CONTACTS: found[2][1]})) == 2
        database.dispose()
        [task] = (await service.get("cleaning?state=queued")).json()["tasks"]
        shown = await service.post(f"cleaning/{task['task']}/reveal")
        assert (shown.status_code, shown.json()) == (200, fields[1])


def contacts(database: sa.Engine) -> list[tuple[str, int]]:
    """Return the contacts there are as (hash of the number, when), the oldest first."""
    c = tables.contacts.c
    with database.connect() as db:
        return [
            (phone, at) for phone, at in db.execute(sa.select(c.phone, c.at).order_by(c.at, c.phone.desc()))
        ]


async def test_a_customer_is_thanked_by_text_message_and_the_number_is_stored_nowhere(tmp_path: Path) -> None:
    async with scripted_server(Reply(body=b'{"Code":"OK","BizId":"9006"}')) as provider:
        config = write_config(tmp_path, ORGANISATION + NURTURE + f'url = "{provider.url}"\n')
        async with running(config) as daemon:
            lead = await lead_of(daemon, form("v1"))
            async with asyncio.timeout(20):
                while not provider.requests:
                    await asyncio.sleep(0.01)
            assert provider.requests[0].query["PhoneNumbers"] == NUMBER
            crm = Caller(daemon, Role.CRM)
            preview = (await crm.get("touches/preview")).json()
            assert preview["sends"] and preview["counts"] == {"thanks": {"sent_already": 1}}
            [withheld] = preview["withheld"]
            assert (withheld["lead"], withheld["zh"]) == (lead["lead"], "已发送过")
            told = await crm.post(
                "touches", lead=lead["lead"], rule="newsletter", channel="wechat", about="may"
            )
            assert told.status_code == 200
            customer = (await crm.get(f"customers/{withheld['customer']}")).json()
            assert [each["rule"] for each in customer["touches"]] == ["thanks", "newsletter"]
            opens = now_ms() + 60_000
            plan = {"kind": "invitation", "occasion": "friday", "opens_at": opens, "ends_at": opens + 60_000}
            assert (await crm.post("occasions", **plan)).json()["occasions"][0]["occasion"] == "friday"
            assert (await crm.post("occasions", **plan | {"ends_at": opens - 1})).status_code == 422
            loaded = load_config(config, {})
            policy, pages = await asyncio.to_thread(touches, loaded, now_ms())
            lines = lines_of(policy, pages, now_ms())
            assert any("has had it" in line for line in lines) and NUMBER not in "".join(lines)
            done = await asyncio.to_thread(
                list_numbers, loaded, "blacklist", [NUMBER], remove=False, clock=SystemClock(), url=daemon.url
            )
            assert done == 1
            shown = (await Caller(daemon, Role.MANAGER).get(f"leads/{lead['lead']}")).json()
            assert shown["quality"] == "Q0"
        await asyncio.sleep(0)
        with pytest.raises(NotListed, match="no daemon runs"):
            list_numbers(loaded, "blacklist", [NUMBER], remove=False, clock=SystemClock())
        store = Store.open_to_read(loaded.storage.path)
        try:
            [sent] = [each for each in store.letters(state=None, sink="sms", before=None, limit=10)]
            assert NUMBER not in msgspec.json.encode(sent.alert).decode() and sent.state == "sent"
        finally:
            store.close()


async def test_a_message_that_nobody_took_is_not_one_that_a_customer_had(tmp_path: Path) -> None:
    """Its dead letter, sent again when the account works, makes it one after all; a restart knows both."""
    refused = b'{"Code":"isv.SMS_TEMPLATE_ILLEGAL","Message":"no such template"}'
    async with scripted_server() as provider:
        provider.otherwise = Reply(body=refused)
        config = write_config(tmp_path, ORGANISATION + NURTURE + f'url = "{provider.url}"\n')
        async with running(config) as daemon:
            await lead_of(daemon, form("v1"))
            crm = Caller(daemon, Role.CRM)
            assert await result_of(crm, "refused") == {"thanks": {"refused": 1}}
            [withheld] = (await crm.get("touches/preview")).json()["withheld"]
            assert (withheld["reason"], "死信" in withheld["zh"]) == ("refused", True)
        async with running(config) as daemon:
            crm, manager = Caller(daemon, Role.CRM), Caller(daemon, Role.MANAGER)
            assert await result_of(crm, "refused") == {"thanks": {"refused": 1}}
            provider.otherwise = Reply(body=b'{"Code":"OK","BizId":"9006"}')
            [letter] = (await manager.get("outbox?state=dead")).json()["letters"]
            assert (await manager.post(f"outbox/{letter['id']}/resend")).status_code in (200, 202)
            assert await result_of(crm, "sent") == {"thanks": {"sent_already": 1}}


async def result_of(crm: Caller, wanted: str) -> Any:
    """Return the preview's counts, once the one message has this result."""
    async with asyncio.timeout(20):
        while True:
            preview = (await crm.get("touches/preview")).json()
            if preview["withheld"]:
                found = (await crm.get(f"customers/{preview['withheld'][0]['customer']}")).json()["touches"]
                if [each["result"] for each in found] == [wanted]:
                    return (await crm.get("touches/preview")).json()["counts"]
            await asyncio.sleep(0.01)


async def test_a_number_that_people_type_when_they_have_to_is_nobodys_unless_somebody_says_so(
    daemon: Running,
) -> None:
    typed = "13812345678"
    lead = await lead_of(daemon, form("v1", typed))
    assert lead["quality"] == "Q0"
    crm = Caller(daemon, Role.CRM)
    exact = await crm.post("numbers", list="test", numbers=[typed], remove=True)
    assert exact.status_code == 200
    shown = (await Caller(daemon, Role.MANAGER).get(f"leads/{lead['lead']}")).json()
    assert shown["quality"] == "Q3"
    again = await lead_of(daemon, form("v2", typed), form("v3", "13812340678"))
    assert again["quality"] == "Q3", "it stays off the list"
    leads = (await Caller(daemon, Role.MANAGER).get("inbox?view=all")).json()["leads"]
    assert {each["quality"] for each in leads} == {"Q3"}
