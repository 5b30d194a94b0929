"""The hosted form over real HTTP: shown, sent, stored before the thanks, once; and what is not taken."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from frontrow.app.links import LinkRefused, form_address
from frontrow.app.parts import load_config
from frontrow.cli import main
from frontrow.clock import SystemClock
from frontrow.core.events import Event, encode_event
from tests.support.daemons import Running, running, write_config
from tests.support.rooms import event
from tests.support.stored_forms import stored_forms

FORM = """
[[forms]]
id = "trial"
room = "demo"
rooms = ["other"]
title_zh = "领取试用装"
title_en = "Free sample"
products = ["1号", "3号"]
consent_zh = "我同意商家联系我。"
consent_en = "I agree to be contacted."
consent_version = "2026-11"
channel = "poster"
link_secret = "0123456789abcdef"
per_address_per_minute = 4
"""


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(write_config(tmp_path, FORM)) as up:
        yield up


def stored(daemon: Running) -> list[Event]:
    """Return the submissions that are in the journal now."""
    return [event for event, _ in stored_forms(daemon.store)]


def nonce_of(page: httpx.Response) -> str:
    return page.text.split('name="nonce" value="')[1].split('"')[0]


async def send(
    daemon: Running, address: str = "/form/trial", *, client: str = "192.0.2.1", **fields: str
) -> httpx.Response:
    given = {"phone": "13800138000", "consent": "yes", "nonce": "n" * 22, **fields}
    return await daemon.http.post(address, data=given, headers={"x-forwarded-for": client})


async def test_a_page_is_filled_in_and_sent_and_is_stored_before_the_thanks(daemon: Running) -> None:
    config = load_config(daemon.store.parents[1] / "config.toml", {})
    link = urlsplit(
        form_address(
            config,
            "trial",
            room="other",
            labels={"host": "小鹿", "product": "3号"},
            viewer="o-77",
            session=None,
        )
    )
    address = f"{link.path}?{link.query}"
    page = await daemon.http.get(address)
    assert page.status_code == 200
    assert '<option value="3号" selected>' in page.text
    assert dict(parse_qsl(link.query))["host"] == "小鹿"

    action = page.text.split('action="')[1].split('"')[0].replace("&amp;", "&")
    answer = await send(daemon, action, name="小明", product="3号", nonce=nonce_of(page))
    assert answer.status_code == 303
    [event] = stored(daemon)
    assert (event.platform, event.room, event.viewer, event.host, event.product) == (
        "test",
        "r2",
        "o-77",
        "小鹿",
        "3号",
    )
    assert stored_forms(daemon.store)[0][1] == {"name": "小明", "phone": "13800138000", "product": "3号"}
    assert event.extra is not None
    assert (event.extra["consent_text"], event.extra["consent_version"]) == ("我同意商家联系我。", "2026-11")

    thanks = await daemon.http.get(answer.headers["location"])
    assert thanks.status_code == 200
    assert "已收到" in thanks.text
    other = thanks.text.split('hreflang="en" href="')[1].split('"')[0].replace("&amp;", "&")
    assert "Received" in (await daemon.http.get(other)).text
    assert (await send(daemon, action, nonce=nonce_of(page))).status_code == 303  # pressed twice
    assert len(stored(daemon)) == 1
    assert page.headers["cache-control"] == "no-store"
    assert nonce_of(await daemon.http.get(address)) != nonce_of(page)


async def test_mistakes_are_told_beside_the_fields_and_nothing_is_stored(daemon: Running) -> None:
    for changes, words in (
        ({"phone": "123"}, "这个号码打不通"), ({"consent": ""}, "请先阅读并勾选"), ({"product": "9号"}, "请从列表中选择"),
    ):  # fmt: skip
        answer = await send(daemon, **changes)
        assert answer.status_code == 422
        assert words in answer.text
        assert 'value="' + "n" * 22 in answer.text  # the same submission, when it is mended
    english = await daemon.http.post("/form/trial?lang=en", data={"phone": "123"})
    assert "cannot be called" in english.text
    bad_nonce = await send(daemon, nonce="x")
    assert bad_nonce.status_code == 422
    assert len(nonce_of(bad_nonce)) >= 16
    assert stored(daemon) == []


async def test_programs_are_thanked_and_not_taken(daemon: Running) -> None:
    assert (await send(daemon, leave_empty="http://spam.example")).status_code == 303
    assert stored(daemon) == []
    metrics = (await daemon.http.get("/metrics")).text
    assert 'frontrow_http_refused_total{reason="trap",route="form"} 1.0' in metrics


async def test_an_address_is_slowed_down_and_others_are_not(daemon: Running) -> None:
    """Behind a proxy on this machine each visitor counts apart; what they write in front of its entry says nothing."""

    async def sent(letter: str, clients: str) -> list[httpx.Response]:
        # One more than two minutes' share: it may be that a minute ends in between.
        return [
            await send(daemon, nonce=f"{letter}{number:021}", client=clients.format(number))
            for number in range(9)
        ]

    answers = await sent("a", "203.0.113.{}, 192.0.2.9")
    assert {answer.status_code for answer in answers} == {303, 429}
    late = next(answer for answer in answers if answer.status_code == 429)
    assert late.headers["retry-after"] == "60"
    assert 'value="13800138000"' in late.text
    assert (await send(daemon, nonce="b" * 22, client="192.0.2.10")).status_code == 303
    assert 429 in {answer.status_code for answer in await sent("c", "2001:db8::{}")}  # of one household
    assert 429 not in {answer.status_code for answer in await sent("d", "2001:db8:1:{}::1")}


async def test_what_is_no_form_gets_a_page_all_the_same(daemon: Running) -> None:
    json = {"content-type": "application/json"}
    for body, headers, status in (
        (b"x" * 20_000, {}, 413), (b"\xff\xfe", {}, 413), (b"&".join([b"a=1"] * 100), {}, 413), (b"", {}, 422),
        (b"phone=%ff&consent=yes", {}, 413), (b'{"phone": 1}', json, 422),
    ):  # fmt: skip
        answer = await daemon.http.post("/form/trial", content=body, headers=headers)
        assert answer.status_code == status, body[:20]
        assert answer.headers["content-type"].startswith("text/html")


async def test_a_form_that_is_not_there_says_so_and_a_forged_link_is_only_a_link(daemon: Running) -> None:
    for method in ("GET", "POST"):
        answer = await daemon.http.request(method, "/form/nope")
        assert answer.status_code == 404
        assert "没有这个表单" in answer.text
    assert (await send(daemon, "/form/trial?v=Zm9v.YmFy&room=nope")).status_code == 303
    [event] = stored(daemon)
    assert (event.room, event.viewer) == ("r1", event.id)
    assert 'reason="link",route="form"} 1.0' in (await daemon.http.get("/metrics")).text


def test_the_command_prints_the_address_and_says_why_it_cannot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(write_config(tmp_path, FORM))
    words: list[str] = ["form", "link", "--config", config, "--form"]
    assert main([*words, "trial", "--host", "小鹿", "--product", "3号", "--viewer", "o-77"]) == 0
    address = urlsplit(capsys.readouterr().out.strip())
    query: dict[str, Any] = dict(parse_qsl(address.query))
    assert (address.path, query["room"], query["host"], query["product"]) == (
        "/form/trial",
        "demo",
        "小鹿",
        "3号",
    )
    assert "v" in query
    for more, reason in ((["nope"], "no form"), (["trial", "--room", "nope"], "not of the room")):
        assert main([*words, *more]) == 2
        assert reason in capsys.readouterr().err
    plain = str(write_config(tmp_path, FORM.replace('link_secret = "0123456789abcdef"\n', "")))
    with pytest.raises(LinkRefused, match="link_secret"):
        form_address(load_config(Path(plain), {}), "trial", room=None, labels={}, viewer="o-77")


async def test_what_a_tested_channel_brings_makes_no_lead_and_a_paused_one_brings_nothing(
    tmp_path: Path,
) -> None:
    """A form, a link and a number make a hot viewer; on a channel that is tested sales must not hear of it."""
    registry = """
[[channels]]
code = "poster"
state = "{}"
forms = ["trial"]
rooms = ["other"]
[[channels]]
code = "main"
state = "live"
rooms = ["demo"]
"""
    outcomes = {}
    for state in ("live", "testing", "paused"):
        folder = tmp_path / state
        folder.mkdir()
        async with running(write_config(folder, FORM + registry.format(state))) as daemon:
            answer = await send(daemon)
            click = event("product_click", viewer="v1", id="p", room="r2", at=SystemClock().now())
            posted = (await daemon.ingest(encode_event(click), room="other")).json()
            found = stored(daemon)
            metrics = (await daemon.http.get("/metrics")).text
            outcomes[state] = (
                answer.status_code,
                [(each.test, (each.data or {}).get("channel")) for each in found],
                posted["accepted"],
                [each["reason"] for each in posted["rejected"]],
            )
            assert ("of a channel that is paused" in metrics) is (state == "paused")
    assert outcomes == {
        "live": (303, [(False, "poster")], 1, []),
        "testing": (303, [(True, "poster")], 1, []),
        "paused": (404, [], 0, ["of a channel that is paused"]),
    }
