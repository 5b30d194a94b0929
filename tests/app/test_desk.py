"""The lead desk in the whole daemon: from a hot viewer to a closed lead over HTTP, and what a page is told meanwhile."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy.exc
import websockets

from frontrow.app import centre as follower
from frontrow.app.parts import load_config, make_engine
from frontrow.core.events import encode_event
from frontrow.core.outcomes import What
from frontrow.runtime import applying
from frontrow.runtime import desk as runtime_desk
from frontrow.runtime.access import Role
from frontrow.storage.store import Store
from tests.app.test_daemon import hot, next_message, now_ms
from tests.support.daemons import Running, running, write_config
from tests.support.postgres import Postgres, needs_postgres
from tests.support.rooms import event

ORGANISATION = """
[[centre.units]]
id = "hq"
kind = "company"
[[centre.units]]
id = "hangzhou"
kind = "store"
parent = "hq"
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
capacity = 0
[[centre.sellers]]
id = "wang"
name = "王芳"
team = "a"
capacity = 0
[[centre.sellers]]
id = "zhao"
team = "b"
[[centre.sellers]]
id = "chen"
team = "a"
role = "manager"
[[centre.rules]]
name = "to the queue of team a"
team = "a"
"""


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Running]:
    """A daemon whose leads wait in team a's queue, since nobody has room to be given one."""
    async with running(write_config(tmp_path, ORGANISATION)) as up:
        yield up


COSTS = "channel,day,amount,currency\ndouyin,2026-11-01,1200.50,CNY\n"


class Person:
    """Somebody with a token."""

    def __init__(self, daemon: Running, seller: str | None, role: Role = Role.SALES) -> None:
        self.token = daemon.token(role, seller=seller)
        self._http = daemon.http

    async def get(self, path: str) -> httpx.Response:
        return await self._http.get(path, headers={"authorization": f"Bearer {self.token}"})

    async def do(self, lead: str, act: str, key: str | None = None, **wish: Any) -> httpx.Response:
        return await self.post(f"/api/v1/leads/{lead}/{act}", key=key, **wish)

    async def post(self, path: str, key: str | None = None, **wish: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token}"} | ({"idempotency-key": key} if key else {})
        return await self._http.post(path, json=wish, headers=headers)

    async def leads(self, view: str = "open") -> list[dict[str, Any]]:
        answer = await self.get(f"/api/v1/inbox?view={view}")
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["leads"]
        return found

    async def first_lead(self) -> str:
        """Return the first lead that arrives: what is acknowledged is applied to the centre a moment later."""
        async with asyncio.timeout(10):
            while not (found := await self.leads()):
                await asyncio.sleep(0.01)
        return str(found[0]["lead"])


async def test_of_two_who_claim_at_once_one_has_it_and_the_other_is_told_who(daemon: Running) -> None:
    li, wang = Person(daemon, "li"), Person(daemon, "wang")
    await daemon.ingest(hot())
    lead = await li.first_lead()
    answers = await asyncio.gather(li.do(lead, "claim"), wang.do(lead, "claim"))
    won, lost = sorted(answers, key=lambda answer: answer.status_code)
    assert (won.status_code, lost.status_code) == (200, 409)
    holder = won.json()["holder"]
    assert won.json()["status"] == "following"
    assert (lost.json()["holder"], lost.json()["code"]) == (holder, "held")
    name = {"li": "李想", "wang": "王芳"}[holder]
    assert lost.json()["holder_name"] == name
    assert name in lost.json()["detail"] and name in lost.json()["detail_zh"]


async def test_who_comes_too_late_is_told_who_has_it_and_of_another_team_nothing(daemon: Running) -> None:
    """The card may still stand on a phone that was in a pocket."""
    li, wang, zhao = (Person(daemon, each) for each in ("li", "wang", "zhao"))
    await daemon.ingest(hot())
    lead = await li.first_lead()
    await li.do(lead, "claim")
    late, other = await wang.do(lead, "claim"), await zhao.do(lead, "claim")
    assert (late.status_code, late.json()["holder_name"]) == (409, "李想")
    assert other.status_code == 404
    assert (await wang.do(lead, "note", note="？")).status_code == 404


async def test_who_comes_too_late_to_a_pool_that_all_teams_see_is_told_who_has_it(tmp_path: Path) -> None:
    """Of a lead that one saw a moment ago nobody may say that there is none; of one that one never saw, nothing else."""
    pool = ORGANISATION.replace(
        'name = "to the queue of team a"\nteam = "a"', 'name = "free"\npool = "company"'
    )
    assert pool != ORGANISATION
    async with running(write_config(tmp_path, pool)) as daemon:
        li, wang, zhao, chen = (Person(daemon, each) for each in ("li", "wang", "zhao", "chen"))
        await daemon.ingest(hot())
        lead = await zhao.first_lead()
        await li.do(lead, "claim")
        late = await zhao.do(lead, "claim")
        assert (late.status_code, late.json()["code"], late.json()["holder"]) == (409, "held", "li")
        assert (await zhao.get(f"/api/v1/leads/{lead}")).status_code == 404, "nothing else is told"
        assert (await zhao.do(lead, "note", note="？")).status_code == 404
        await li.do(lead, "release")
        [free] = await zhao.leads()
        given = await chen.do(free["lead"], "assign", seller="wang")
        assert given.status_code == 200
        late = await zhao.do(lead, "claim")
        assert (late.status_code, late.json()["holder"]) == (409, "wang"), "it was offered to them"
        colleague = await li.do(lead, "claim")
        assert (colleague.status_code, colleague.json()["holder"]) == (409, "wang")
        await wang.do(lead, "claim")
        await wang.do(lead, "transfer", seller="li")
        assert (await zhao.do(lead, "claim")).status_code == 404, "what became of it is not theirs to know"
        assert (await wang.do(lead, "claim")).json()["holder"] == "li"


async def test_a_card_says_why_and_a_manager_sees_to_whom_it_can_be_given(daemon: Running) -> None:
    li, chen = Person(daemon, "li"), Person(daemon, "chen")
    await daemon.ingest(hot())
    lead = await li.first_lead()
    [card] = await li.leads()
    whole = (await li.get(f"/api/v1/leads/{lead}")).json()
    assert card["reasons"] == whole["reasons"] and card["reasons"]
    points = [reason["points"] for reason in card["reasons"]]
    assert points == sorted(points, reverse=True)
    found = (await chen.get("/api/v1/colleagues")).json()["colleagues"]
    assert [(each["id"], each["name"], each["there"], each["open"]) for each in found] == [
        ("li", "李想", True, 0), ("wang", "王芳", True, 0)
    ]  # fmt: skip
    given = await chen.do(lead, "assign", seller="li")
    assert given.json()["timeline"][-1]["seller_name"] == "李想"


async def test_a_lead_that_one_may_not_see_does_not_exist(daemon: Running) -> None:
    li, zhao = Person(daemon, "li"), Person(daemon, "zhao")
    await daemon.ingest(hot())
    lead = await li.first_lead()
    assert await zhao.leads() == []
    there = await zhao.get(f"/api/v1/leads/{lead}")
    nowhere = await zhao.get("/api/v1/leads/Uffffffffffffffffffff")
    assert (there.status_code, there.json()) == (404, nowhere.json())
    for act in ("claim", "outcome", "note", "reveal"):
        assert (await zhao.do(lead, act, outcome="won", purpose="call")).status_code == 404


async def test_an_outcome_closes_the_lead_once_however_often_it_is_sent(daemon: Running) -> None:
    """A phone on a bad network sends again what it has no answer to."""
    li = Person(daemon, "li")
    await daemon.ingest(hot())
    lead = await li.first_lead()
    assert (await li.do(lead, "outcome", outcome="won")).json()["code"] == "unclaimed"
    await li.do(lead, "claim")
    missing = await li.do(lead, "outcome", outcome="lost")
    assert (missing.status_code, missing.json()["code"]) == (422, "reason_missing")
    answers = [
        await li.do(lead, "outcome", "tap-1", outcome="won", value=19900, note="三号") for _ in range(3)
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    found = answers[-1].json()
    assert (found["status"], found["outcome"], found["value"]) == ("won", "won", 19900)
    assert [line["kind"] for line in found["timeline"]].count("lead_outcome") == 1
    assert [card["lead"] for card in await li.leads("closed")] == [lead]
    assert await li.leads("mine") == []


async def test_a_key_that_was_used_for_another_request_is_refused_after_a_restart_too(tmp_path: Path) -> None:
    """Answered as the first was, somebody would believe that what they said the second time is kept."""
    config = write_config(tmp_path, ORGANISATION)
    async with running(config) as daemon:
        li = Person(daemon, "li")
        await daemon.ingest(hot())
        lead = await li.first_lead()
        assert (await li.do(lead, "claim", "tap-0")).status_code == 200
        assert (await li.do(lead, "note", "tap-1", note="周六来")).status_code == 200
        both = [li.do(lead, "touch", "tap-2", channel=each, direction="out") for each in ("call", "wechat")]
        assert sorted(each.status_code for each in await asyncio.gather(*both)) == [200, 422]
    async with running(config) as daemon:
        li = Person(daemon, "li")
        other = await li.do(lead, "note", "tap-1", note="周日来")
        assert (other.status_code, other.json()["code"]) == (422, "key_reused")
        assert "Idempotency-Key" in other.json()["detail"] and "Idempotency-Key" in other.json()["detail_zh"]
        same = await li.do(lead, "note", "tap-1", note="周六来")
        assert same.status_code == 200
        kinds = [line["kind"] for line in same.json()["timeline"]]
        assert (kinds.count("lead_note"), kinds.count("lead_touch")) == (1, 1)
        assert (await li.do(lead, "note", "tap-3", note="周日来")).status_code == 200


async def test_a_number_is_not_shown_for_another_purpose_under_the_same_key(daemon: Running) -> None:
    li = Person(daemon, "li")
    await daemon.ingest(hot(consent=True, fields={"手机号": "13912340678"}))
    lead = await li.first_lead()
    await li.do(lead, "claim")
    shown = [await li.do(lead, "reveal", "r-1", purpose=each) for each in ("call", "call", "advertise")]
    assert [each.status_code for each in shown] == [200, 200, 422]
    seen = (await li.get(f"/api/v1/leads/{lead}")).json()["timeline"]
    assert [line["data"] for line in seen if line["kind"] == "contact_reveal"] == [{"purpose": "call"}]


async def test_what_sales_say_is_in_the_journal_before_they_are_answered(daemon: Running) -> None:
    li = Person(daemon, "li")
    await daemon.ingest(hot())
    lead = await li.first_lead()
    await li.do(lead, "claim")
    store = Store.open_to_read(daemon.store)
    claims = [
        each for _, frame in store.frames_with("lead_claim") for each in frame.events() if each.lead == lead
    ]
    store.close()
    assert [claim.seller for claim in claims] == ["li"]


async def test_a_deal_that_a_seller_taps_is_learnt_from(tmp_path: Path) -> None:
    """The page says so beside the button; the engine must find the viewer by whom the lead began."""
    path = write_config(tmp_path, ORGANISATION)
    async with running(path) as daemon:
        li = Person(daemon, "li")
        await daemon.ingest(hot())
        lead = await li.first_lead()
        await li.do(lead, "claim")
        await li.do(lead, "outcome", outcome="won", value=19900)
    config = load_config(path, {})
    engine = make_engine(config)
    store = Store.open_to_read(config.storage.path)
    for _, frame in store.frames():
        engine.apply(frame)
    store.close()
    [[viewer, lines]] = engine.labels.image(engine.viewers.end).meta["ledger"]["lines"]
    assert viewer == "test/r1/v1"
    assert [(What(what), value) for _, what, _, value, *_ in lines] == [(What.SUCCESS, 19900)]


async def test_a_number_is_shown_to_who_follows_the_lead_and_who_saw_it_is_kept(daemon: Running) -> None:
    li, wang, chen = Person(daemon, "li"), Person(daemon, "wang"), Person(daemon, "chen")
    await daemon.ingest(hot(consent=True, fields={"姓名": "小丑鱼", "手机号": "13912340678"}))
    lead = await li.first_lead()
    assert (await li.do(lead, "reveal", purpose="call")).status_code == 403, "not before it is claimed"
    await li.do(lead, "claim")
    card = (await li.get(f"/api/v1/leads/{lead}")).json()
    assert (card["quality"], card["contact"]) == ("Q3", "139****0678")
    assert "13912340678" not in json.dumps(card)
    assert (await li.do(lead, "reveal")).status_code == 422, "for no purpose"
    shown = await li.do(lead, "reveal", purpose="call")
    assert shown.json()["手机号"] == "13912340678"
    assert (await wang.do(lead, "reveal", purpose="call")).status_code == 404, "it is li's now"
    seen = (await chen.get(f"/api/v1/leads/{lead}")).json()["timeline"]
    assert [(line["actor"], line["data"]) for line in seen if line["kind"] == "contact_reveal"] == [
        ("li", {"purpose": "call"})
    ]


async def test_a_number_is_shown_however_much_else_its_form_says(daemon: Running) -> None:
    """A form with an address and a request is longer, sealed, than any name may be."""
    li = Person(daemon, "li")
    said = {"手机号": "13912340678", "留言": "想问三号连衣裙有没有大码，" * 40}
    await daemon.ingest(hot(consent=True, fields=said))
    lead = await li.first_lead()
    await li.do(lead, "claim")
    shown = await li.do(lead, "reveal", purpose="call")
    assert (shown.status_code, shown.json()) == (200, said)


async def test_a_page_is_told_what_comes_and_what_goes(daemon: Running) -> None:
    li, wang = Person(daemon, "li"), Person(daemon, "wang")
    url = f"{daemon.url.replace('http', 'ws', 1)}/ws/sales?token={wang.token}"
    async with websockets.connect(url) as page:
        first = await next_message(page, "snapshot")
        assert (first["leads"], first["seller"], first["name"]) == ([], "wang", "王芳")
        await daemon.ingest(hot())
        arrived = await next_message(page, "delta")
        [card] = arrived["leads"]
        assert (card["may"], card["holder"]) == (["claim"], None)
        await li.do(card["lead"], "claim")
        gone = await next_message(page, "delta")
        assert (gone["leads"], gone["gone"], gone["taken"]) == ([], [card["lead"]], {card["lead"]: "李想"})
        assert gone["seq"] > arrived["seq"]


@pytest.mark.parametrize(
    ("role", "seller", "status"),
    [
        (Role.SALES, None, 403),
        (Role.SALES, "nobody", 403),
        (Role.HOST, None, 403),
        (Role.MANAGER, None, 200),
        (Role.ADMIN, None, 200),
    ],
)
async def test_who_sees_leads(daemon: Running, role: Role, seller: str | None, status: int) -> None:
    answer = await Person(daemon, seller, role).get("/api/v1/inbox")
    assert answer.status_code == status
    if status == 403:
        code = {Role.HOST: "no_leads"}.get(role, "no_seller" if seller is None else "unknown_seller")
        assert (answer.json()["code"], bool(answer.json()["detail"])) == (code, True)


async def test_another_policy_is_journalled_once_and_an_equal_one_not_at_all(tmp_path: Path) -> None:
    """A replay must decide by what was in force, and a daemon that is started every day must not fill the journal."""
    config = write_config(tmp_path, ORGANISATION)
    kinds: list[tuple[int, int]] = []
    for more in ("", "", "[centre.sla]\nfirst_response_s = 120\n"):
        config.write_text(config.read_text("utf-8") + more, "utf-8")
        async with running(config) as up:
            await up.ingest(encode_event(event("like", len(kinds), at=now_ms())))
        store = Store.open_to_read(up.store)
        journalled = [kind for _, frame in store.frames() for kind in frame.kinds]
        store.close()
        kinds.append((journalled.count("policy_change"), journalled.count("org_change")))
    assert kinds == [(1, 1), (1, 1), (2, 1)]


@needs_postgres
async def test_while_the_database_is_away_events_are_taken_and_the_desk_says_503_and_later_all_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody tapped meanwhile is kept: tapped again under the same key it is not done twice."""
    monkeypatch.setattr(follower, "RETRY_S", 0.05)
    server = await asyncio.to_thread(Postgres)
    try:
        database = f'[centre]\ndatabase = "{server.database()}"\n'
        async with running(write_config(tmp_path, database + ORGANISATION)) as daemon:
            li = Person(daemon, "li")
            await daemon.ingest(hot())
            lead = await li.first_lead()
            await asyncio.to_thread(server.stop, signal.SIGQUIT)
            assert (await li.get("/api/v1/inbox")).status_code == 503
            admin = Person(daemon, None, Role.ADMIN)
            with monkeypatch.context() as impatient:  # only here: a database that is back may take its time
                impatient.setattr(runtime_desk, "APPLIED_WITHIN_S", 0.5)
                impatient.setattr(applying, "PATIENCE_S", 0.5)
                away = await li.do(lead, "claim", key="tap")
                async with asyncio.timeout(20):  # though an import may take a minute
                    costs = await admin.post("/api/v1/costs", costs_csv=COSTS)
            assert (away.status_code, "retry-after" in away.headers) == (503, True)
            assert (costs.status_code, "retry-after" in costs.headers) == (503, True)
            assert (await daemon.ingest(hot(viewer="v2"))).json()["accepted"] > 0
            await asyncio.to_thread(server.start)
            async with asyncio.timeout(20):
                while (await li.get("/api/v1/inbox")).status_code == 503 or len(await li.leads()) < 2:
                    await asyncio.sleep(0.02)
            done = await li.do(lead, "claim", key="tap")
            assert (done.status_code, done.json().get("holder")) == (200, "li")
            kinds = [entry["kind"] for entry in (await li.get(f"/api/v1/leads/{lead}")).json()["timeline"]]
            assert kinds.count("lead_claim") == 1
            roi = await admin.get("/api/v1/indicators/query?indicators=channel_roi")
            assert 120_050 in [row[1] for row in roi.json()["series"][0]["rows"]], roi.text
    finally:
        server.close()


async def test_a_database_that_does_not_answer_is_said_to_be_away(
    daemon: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manager's figures are not there for a while; that is no error of theirs, nor a reason to look for one of ours."""

    def away(*_: Any) -> None:
        raise sqlalchemy.exc.OperationalError("SELECT", {}, Exception("no server"))

    manager = Person(daemon, None, Role.MANAGER)
    path = "/api/v1/indicators/query?indicators=raw_leads"
    assert (await manager.get(path)).status_code == 200
    monkeypatch.setattr("frontrow.app.lead_centre.query", away)
    answer = await manager.get(path)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
