"""The whole daemon: real sockets, a real store; from event in to panel, alert and metric out."""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import websockets

from frontrow.core.centre.sealing import answers_of
from frontrow.core.events import encode_event
from frontrow.runtime.access import Role
from frontrow.storage.store import Store
from frontrow.storage.vault import Vault, path_beside
from tests.support.daemons import Running, running, write_config
from tests.support.http_server import Reply, scripted_server
from tests.support.rooms import event


def now_ms() -> int:
    return time.time_ns() // 1_000_000  # noqa: TID251  # the daemon under test runs on the machine's clock


def hot(viewer: str = "v1", **fields: Any) -> bytes:
    """Events that make a viewer hot now, as NDJSON."""
    at = now_ms()
    events = [
        event("comment", viewer=viewer, id=f"c-{viewer}", text="多少钱", name="小丑鱼", at=at),
        event("form_submit", viewer=viewer, id=f"f-{viewer}", at=at + 1, **fields),
        event("product_click", viewer=viewer, id=f"p-{viewer}", product="3号 亚麻衬衫", at=at + 2),
    ]
    return b"\n".join(encode_event(each) for each in events)


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(write_config(tmp_path)) as up:
        yield up


def ids_of_rooms(store: Store) -> list[str]:
    """Return the ids of the events that came from outside, in order."""
    return [
        id
        for _, frame in store.frames()
        for id, platform in zip(frame.ids, frame.platforms, strict=True)
        if platform != "frontrow"
    ]


async def next_message(socket: Any, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            message: dict[str, Any] = json.loads(await socket.recv())
            if message["type"] == kind:
                return message


# ---------------------------------------------------------------- ingest


async def test_a_batch_is_answered_with_what_became_of_each(daemon: Running) -> None:
    lines = [encode_event(event("like", n, id=str(n % 3), at=now_ms())) for n in range(4)]
    body = b"[" + b",".join([*lines, b'{"id": "x"}', b"7"]) + b"]"
    answer = await daemon.ingest(body)
    assert answer.status_code == 200
    found = answer.json()
    assert (found["accepted"], found["duplicates"]) == (3, 1)
    assert [each["index"] for each in found["rejected"]] == [4, 5]
    assert "missing required field" in found["rejected"][0]["reason"]


async def test_ndjson_is_taken_too(daemon: Running) -> None:
    answer = await daemon.ingest(hot())
    assert answer.json() == {"accepted": 3, "duplicates": 0, "rejected": []}


async def test_an_event_of_another_room_or_of_the_daemons_own_kind_is_rejected(daemon: Running) -> None:
    lines = [
        encode_event(event("like", 0, room="r2", at=now_ms())),
        encode_event(event("like", 0, platform="douyin", at=now_ms())),
        encode_event(event("model_change", 0, at=now_ms())),
        encode_event(event("like", 0, at=now_ms())),
    ]
    found = (await daemon.ingest(b"\n".join(lines))).json()
    assert (found["accepted"], [each["index"] for each in found["rejected"]]) == (1, [0, 1, 2])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[1,", 400),
        (b"\xff\xfe", 200),
        (b"{}", 200),
        (b"[" * 100_000, 400),
        (b"x" * 1_100_000, 413),
    ],
    ids=["empty", "broken", "no text", "no event", "deep", "too large"],
)
async def test_what_cannot_be_read_gets_a_clear_answer(daemon: Running, body: bytes, status: int) -> None:
    answer = await daemon.ingest(body)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]
    else:
        assert answer.json()["accepted"] == 0
        assert answer.json()["rejected"]
    assert (await daemon.ingest(hot())).json()["accepted"] == 3  # and the daemon goes on


async def test_half_a_surrogate_pair_costs_only_its_own_event(daemon: Running) -> None:
    lines = [encode_event(event("comment", n, text="a", at=now_ms())) for n in range(3)]
    lines[1] = lines[1].replace(b'"text":"a"', b'"text":"\\ud800"')
    found = (await daemon.ingest(b"[" + b", ".join(lines) + b"]")).json()
    assert (found["accepted"], [each["index"] for each in found["rejected"]]) == (2, [1])


async def test_every_refusal_is_counted_and_is_a_problem_document(daemon: Running) -> None:
    token = {"authorization": f"Bearer {daemon.token()}"}
    for method, path, status in (
        ("GET", "/nope", 404),
        ("GET", "/api/v1/leads?limit=0", 400),
        ("PUT", "/livez", 405),
    ):
        answer = await daemon.http.request(method, path, headers={**token, "accept": "text/html"})
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), (
            path
        )
    assert (await daemon.ingest(b"x" * 1_100_000)).status_code == 413
    metrics = (await daemon.http.get("/metrics")).text
    for status in (400, 413):
        assert f'frontrow_http_refused_total{{reason="{status}",route="http"}} 1.0' in metrics


async def test_old_and_scattered_times_do_not_slow_the_daemon(daemon: Running) -> None:
    """Each of these opens a session of its own; the cost of one must not grow with their number."""
    start = now_ms()
    lines = [encode_event(event("enter", id=str(n), at=start - n * 45 * 60_000)) for n in range(4_000)]
    assert (await daemon.ingest(b"\n".join(lines))).json()["accepted"] == 4_000
    assert (await daemon.ingest(hot())).json()["accepted"] == 3


async def test_no_number_is_shown_whatever_field_it_came_in(daemon: Running) -> None:
    number = "13912345678"
    at = now_ms()
    form = event("form_submit", viewer="v1", id="f", fields={number: number, "phone": number}, at=at)
    body = [
        event("product_on_show", viewer=None, id="s", product=number, at=at),
        event(
            "comment",
            viewer="v1",
            id="c",
            text=f"多少钱 {number}",
            name=f"小{number}",
            at=at,
            campaign=number,
        ),
        msgspec.structs.replace(form, product=number, gift=number, form=number, host=number, campaign=number),
        event("product_click", viewer="v1", id="p", product=number, extra={"tel": number}, at=at),
    ]
    await daemon.ingest(b"\n".join(map(encode_event, body)))
    token = {"token": daemon.token()}
    for path in ("/api/v1/leads", "/api/v1/rooms", "/api/v1/rooms/demo/viewers"):
        shown = (await daemon.http.get(path, params=token)).text
        assert len(shown) > 100
        assert number not in shown, path


async def test_hostile_values_are_stored_or_rejected_and_never_end_the_daemon(daemon: Running) -> None:
    def body(more: str) -> bytes:
        head = f'"id":"{len(more)}","platform":"test","room":"r1","kind":"form_submit","viewer":"v","at":{now_ms()}'
        return f"{{{head},{more}}}".encode()

    deep = '{"a":' * 900 + "1" + "}" * 900
    for more, taken in (
        ('"extra":{"n":123456789012345678901234567890}', 1),
        (f'"extra":{deep}', 0),
        (f'"fields":{deep}', 0),
        ('"value":1e308', 0),
        ('"count":-1', 0),
        ('"fields":{"phone":138001380001380013800,"\\u0000":[[null]]}', 1),
        ('"seen_at":99', 0),
        ('"name":"\\u202e<script>\\u0000"', 1),
    ):
        answer = await daemon.ingest(body(more))
        assert (answer.status_code, answer.json()["accepted"]) == (200, taken), more
    assert (await daemon.http.get("/readyz")).status_code == 200
    store = Store.open(daemon.store)
    assert len(ids_of_rooms(store)) == 3
    store.close()


async def test_what_was_acknowledged_is_in_the_journal(daemon: Running) -> None:
    await daemon.ingest(hot())
    store = Store.open(daemon.store)
    stored = ids_of_rooms(store)
    store.close()
    assert stored == ["c-v1", "f-v1", "p-v1"]


async def test_what_comes_with_consent_is_sealed_and_known_again_after_a_restart(tmp_path: Path) -> None:
    """By facts that replay goes by; what was written can be read with the vault only."""
    config = write_config(tmp_path)
    keys: list[Any] = []
    for number in range(2):
        async with running(config) as daemon:
            fields = {"姓名": "张三丰", "手机号": "138 0013 8000"}
            sent = event("form_submit", id=f"f{number}", at=now_ms(), consent=True, fields=fields)
            assert (await daemon.ingest(encode_event(sent))).json()["accepted"] == 1
    store = Store.open_to_read(daemon.store)
    frames = [frame for _, frame in store.frames()]
    vault = Vault.open_to_read(path_beside(daemon.store))
    for stored in (each for frame in frames for each in frame.events() if each.kind == "form_submit"):
        assert "张三丰" not in encode_event(stored).decode()
        assert answers_of(stored, vault.unseal) == fields
        keys.append(stored.data)
    vault.close()
    store.close()
    assert len(keys) == 2
    assert keys[0] == keys[1]
    assert (keys[0]["province"], len(keys[0]["phone"])) == ("北京", 32)


# ---------------------------------------------------------------- access


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/ingest/demo"),
        ("GET", "/host/demo"),
        ("GET", "/model"),
        ("GET", "/api/v1/model"),
        ("GET", "/api/v1/rooms"),
        ("GET", "/api/v1/rooms/demo/viewers"),
        ("GET", "/api/v1/rooms/demo/reasons?viewer=v1"),
        ("GET", "/api/v1/leads"),
    ],
)
async def test_without_a_good_token_everything_refuses_and_counts(
    daemon: Running, method: str, path: str
) -> None:
    expired = daemon.token(expires_at=now_ms() - 1)
    for headers in ({}, {"authorization": "Bearer fr_wrong"}, {"authorization": f"Bearer {expired}"}):
        assert (await daemon.http.request(method, path, headers=headers)).status_code == 401
    metrics = (await daemon.http.get("/metrics")).text
    assert 'frontrow_http_refused_total{reason="' in metrics


async def test_a_role_gives_its_rights_in_its_room_only(daemon: Running) -> None:
    def status_of(role: Role, room: str | None, path: str, method: str = "GET") -> Any:
        token = daemon.token(role, room)
        return daemon.http.request(method, path, headers={"authorization": f"Bearer {token}"}, content=b"{}")

    table = [
        (Role.HOST, "demo", "/api/v1/rooms/demo/viewers", "GET", 200),
        (Role.HOST, "demo", "/api/v1/rooms/other/viewers", "GET", 403),
        (Role.HOST, "demo", "/api/v1/rooms/demo/reasons?viewer=nobody", "GET", 404),
        (Role.HOST, "demo", "/api/v1/rooms/demo/reasons", "GET", 400),
        (Role.HOST, "demo", "/api/v1/rooms/other/reasons?viewer=v1", "GET", 403),
        (Role.INGEST, None, "/api/v1/rooms/demo/reasons?viewer=v1", "GET", 403),
        (Role.HOST, "demo", "/api/v1/leads", "GET", 403),
        (Role.HOST, "demo", "/ingest/demo", "POST", 403),
        (Role.INGEST, "demo", "/ingest/demo", "POST", 200),
        (Role.INGEST, "demo", "/ingest/other", "POST", 403),
        (Role.INGEST, None, "/api/v1/rooms/demo/viewers", "GET", 403),
        (Role.SALES, None, "/api/v1/leads", "GET", 200),
        (Role.SALES, "demo", "/api/v1/leads?room=other", "GET", 403),
        (Role.ADMIN, None, "/api/v1/rooms/nowhere/viewers", "GET", 404),
    ]
    for role, room, path, method, expected in table:
        answer = await status_of(role, room, path, method)
        assert answer.status_code == expected, (role, room, path)


async def test_a_revoked_token_is_refused_within_two_seconds(daemon: Running) -> None:
    token = daemon.token(Role.HOST)
    headers = {"authorization": f"Bearer {token}"}
    assert (await daemon.http.get("/api/v1/rooms", headers=headers)).status_code == 200
    store = Store.open(daemon.store)
    [row] = store.tokens()
    assert store.token_revoke(row[0], now_ms())
    store.close()
    async with asyncio.timeout(4):
        while (await daemon.http.get("/api/v1/rooms", headers=headers)).status_code != 401:
            await asyncio.sleep(0.1)


async def test_tokens_are_not_kept_in_clear(daemon: Running) -> None:
    token = daemon.token()
    await daemon.http.get("/api/v1/rooms", headers={"authorization": f"Bearer {token}"})
    for file in daemon.store.parent.iterdir():
        assert token.encode() not in file.read_bytes()


# ---------------------------------------------------------------- panel


async def test_before_the_model_is_ready_every_answer_says_so_instead_of_a_number(daemon: Running) -> None:
    """A number that nobody may believe must not be there for anybody to read."""
    await daemon.ingest(hot("v/1?&"))
    headers = {"authorization": f"Bearer {daemon.token(Role.MANAGER)}"}
    answer = await daemon.http.get("/api/v1/rooms/demo/reasons", params={"viewer": "v/1?&"}, headers=headers)
    why = answer.json()
    assert (why["viewer"], why["points"], why["grade"]) == ("v/1?&", 95, "hot")
    assert [each["name"] for each in why["rules"]] == ["form_submit", "product_click", "question"]
    assert why["state"] == "not enough data"
    assert (why["probability"], why["interval"], why["explanation"]) == (None, None, None)
    [row] = (await daemon.http.get("/api/v1/rooms/demo/viewers", headers=headers)).json()["viewers"]
    assert (row["probability"], row["interval"]) == (None, None)
    assert {each["kind"] for each in row["reasons"]} == {"rule"}
    [lead] = (await daemon.http.get("/api/v1/leads", headers=headers)).json()["leads"]
    assert lead["probability"] is None
    assert {each["kind"] for each in lead["reasons"]} == {"rule"}


async def test_a_hot_viewer_is_on_the_panel_after_the_event(daemon: Running) -> None:
    token = daemon.token(Role.HOST, "demo")
    async with websockets.connect(daemon.socket_url("demo", token)) as socket:
        first = await next_message(socket, "snapshot")
        assert first["viewers"] == []
        await daemon.ingest(hot())
        begun = await next_message(socket, "snapshot")  # a session has begun, so the whole list is sent
        [row] = begun["viewers"]
        assert (row["viewer"], row["name"], row["grade"], row["points"]) == ("v1", "小丑鱼", "hot", 95)
        assert [each["name"] for each in row["reasons"] if each["kind"] == "rule"] == [
            "form_submit",
            "product_click",
            "question",
        ]
        assert begun["seq"] > first["seq"]
        await daemon.ingest(hot("v2"))
        delta = await next_message(socket, "delta")
        assert [row["viewer"] for row in delta["viewers"]] == ["v2"]
        state = (await next_message(socket, "state"))["state"]
        assert (state["hot"], state["room"]["title"], state["model"]["ready"]) == (2, "夏季新品", False)


async def test_a_panel_that_comes_back_gets_what_it_missed(daemon: Running) -> None:
    token = daemon.token(Role.HOST, "demo")
    async with websockets.connect(daemon.socket_url("demo", token)) as watching:
        await next_message(watching, "snapshot")
        async with websockets.connect(daemon.socket_url("demo", token)) as socket:
            await next_message(socket, "snapshot")
            await daemon.ingest(hot("v1"))
            seq = (await next_message(socket, "snapshot"))["seq"]
        await daemon.ingest(hot("v2"))
        missed = await next_message(watching, "delta")
        async with websockets.connect(daemon.socket_url("demo", token, since=seq)) as socket:
            again = json.loads(await socket.recv())
            while again["type"] == "state":
                again = json.loads(await socket.recv())
            assert (again["type"], again["seq"]) == ("delta", missed["seq"])
        async with websockets.connect(daemon.socket_url("demo", token, since=5)) as socket:
            assert json.loads(await socket.recv())["type"] == "snapshot"


@pytest.mark.parametrize(
    ("room", "role", "of_room", "code"),
    [
        ("demo", None, None, 4401),
        ("demo", Role.INGEST, None, 4403),
        ("demo", Role.HOST, "other", 4403),
        ("nowhere", Role.ADMIN, None, 4404),
    ],
)
async def test_a_panel_without_the_right_is_closed_with_a_code_that_says_why(
    daemon: Running, room: str, role: Role | None, of_room: str | None, code: int
) -> None:
    token = "fr_wrong" if role is None else daemon.token(role, of_room)
    async with websockets.connect(daemon.socket_url(room, token)) as socket:
        with pytest.raises(websockets.ConnectionClosed):
            await socket.recv()
        assert socket.close_code == code


async def test_the_page_comes_with_its_files_and_safe_headers(daemon: Running) -> None:
    page = await daemon.http.get("/host/demo", params={"token": daemon.token(Role.HOST, "demo")})
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["referrer-policy"] == "no-referrer"
    script = await daemon.http.get("/static/host.js")
    assert script.headers["content-type"].startswith("text/javascript")
    again = await daemon.http.get("/static/host.js", headers={"if-none-match": script.headers["etag"]})
    assert again.status_code == 304
    for role, status in ((Role.MANAGER, 200), (Role.HOST, 403)):
        model = await daemon.http.get("/model", params={"token": daemon.token(role)})
        assert (model.status_code, b"/static/model.js" in model.content) == (status, True)
    assert (await daemon.http.get("/static/../pages.py")).status_code == 404
    assert (await daemon.http.get("/static/%2e%2e/pages.py")).status_code == 404


# ---------------------------------------------------------------- out


async def test_a_lead_reaches_wecom_and_the_webhook_once_each(tmp_path: Path) -> None:
    async with scripted_server() as wecom, scripted_server() as crm:
        wecom.otherwise = Reply(200, b'{"errcode": 0, "errmsg": "ok"}')
        crm.otherwise = Reply(204)
        secret = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
        config = write_config(
            tmp_path,
            f"""
[[sinks]]
id = "sales-group"
kind = "wecom"
key = "k-123"
url = "{wecom.url}/cgi-bin/webhook/send"
[[sinks]]
id = "crm"
kind = "webhook"
url = "{crm.url}/hook"
secret = "whsec_{secret}"
""",
        )
        async with running(config) as daemon:
            await daemon.ingest(hot())
            await daemon.ingest(hot())  # the platform repeats itself
            await wecom.until(1)
            await crm.until(1)
            leads = (
                await daemon.http.get(
                    "/api/v1/leads", headers={"authorization": f"Bearer {daemon.token(Role.SALES)}"}
                )
            ).json()["leads"]
        card, call = json.loads(wecom.requests[0].body), crm.requests[0]
        assert card["msgtype"] == "markdown"
        assert "问价" in card["markdown"]["content"]
        assert leads[0]["lead"] in card["markdown"]["content"]
        assert leads[0]["lead"] in call.body.decode()
        assert (len(wecom.requests), len(crm.requests), len(leads)) == (1, 1, 1)


# ---------------------------------------------------------------- webhook in


async def test_a_feed_that_asks_goes_on_after_a_restart_where_it_was(tmp_path: Path) -> None:
    async with scripted_server(Reply(200, b'{"status": "success", "count": 0, "data": []}')) as feiyu:
        config = write_config(
            tmp_path,
            f"""
[[feeds]]
id = "feiyu"
room = "demo"
connector = "feiyu"
signature_key = "k"
access_token = "t"
first_s = 86_400
overlap_s = 0
api_url = "{feiyu.url}"
""",
        )
        for restart in (1, 2):
            async with running(config) as daemon:
                await feiyu.until(restart)
                async with asyncio.timeout(10):
                    while Store.open_to_read(daemon.store).position("feiyu") is None:
                        await asyncio.sleep(0.01)
        first, second = (
            int(each.query["end_time"]) - int(each.query["start_time"]) for each in feiyu.requests
        )
    assert first == 86_400
    assert second < 60


FORM = """
[[feeds]]
id = "{id}"
room = "demo"
connector = "form"
form = "{id}"
signature = "token"
signature_name = "x-key"
secret = "{secret}"
entry_id = "$.id"
consent = "$.ok"
fields = {{ phone = "$.tel" }}
"""


async def test_two_forms_of_one_room_are_told_apart_by_their_feeds(tmp_path: Path) -> None:
    more = FORM.format(id="one", secret="o" * 16) + FORM.format(id="two", secret="t" * 16)
    body = {"id": 7, "ok": "yes", "tel": "13800138000"}
    async with running(write_config(tmp_path, more)) as daemon:

        async def post(name: str, key: str) -> int:
            answer = await daemon.http.post(f"/hooks/form/{name}", json=body, headers={"x-key": key})
            return answer.status_code

        assert [await post("one", "o" * 16), await post("one", "o" * 16), await post("two", "t" * 16)] == [
            200
        ] * 3
        assert await post("two", "o" * 16) == 401  # the other form's
        assert await post("demo", "o" * 16) == 404  # which of the two?
        metrics = (await daemon.http.get("/metrics")).text
        assert 'frontrow_http_refused_total{reason="signature",route="hooks"} 1.0' in metrics
        assert 'outcome="accepted",platform="test",room="demo",type="form_submit"} 2.0' in metrics
        assert 'frontrow_dedupe_hits_total{room="demo"} 1.0' in metrics


async def test_a_signed_push_is_stored_and_a_wrong_signature_is_refused(tmp_path: Path) -> None:
    config = write_config(
        tmp_path,
        '[[rooms]]\nid = "dy"\nplatform = "douyin"\nroom = "main"\n[[feeds]]\nid = "dy"\nroom = "dy"\nconnector = "douyin_push"\nsecret = "s3cret"\n',
    )
    body = json.dumps(
        [{"msg_id": "m1", "sec_openid": "o1", "content": "多少钱", "nickname": "n", "timestamp": now_ms()}]
    ).encode()
    signed = {
        "x-msg-type": "live_comment",
        "x-nonce-str": "n",
        "x-roomid": "77",
        "x-timestamp": str(now_ms()),
    }
    text = "&".join(f"{key}={value}" for key, value in sorted(signed.items()))
    signature = base64.b64encode(hashlib.md5(text.encode() + body + b"s3cret").digest()).decode()
    async with running(config) as daemon:
        good = await daemon.http.post(
            "/hooks/douyin_push/dy", content=body, headers={**signed, "x-signature": signature}
        )
        bad = await daemon.http.post(
            "/hooks/douyin_push/dy", content=body + b" ", headers={**signed, "x-signature": signature}
        )
        nowhere = await daemon.http.post("/hooks/douyin_push/demo", content=body)
        metrics = (await daemon.http.get("/metrics")).text
    assert (good.status_code, bad.status_code, nowhere.status_code) == (200, 401, 404)
    assert 'frontrow_http_refused_total{reason="signature",route="hooks"} 1.0' in metrics
    assert (
        'frontrow_feed_events_total{outcome="accepted",platform="douyin",room="dy",type="comment"} 1.0'
        in metrics
    )


# ---------------------------------------------------------------- ops


async def test_health_metrics_and_the_api_document(daemon: Running) -> None:
    assert (await daemon.http.get("/livez")).text == "ok\n"
    assert (await daemon.http.get("/readyz")).json() == {
        "ready": True,
        "checks": {"daemon": "ok", "intake": "ok", "centre": "ok"},
    }
    document = (await daemon.http.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    assert "/ingest/{room}" in document["paths"]
    await daemon.ingest(hot())
    metrics = (await daemon.http.get("/metrics")).text
    for name in (
        "feed_events_total",
        "ingest_ack_seconds_bucket",
        "journal_fsync_seconds_count",
        "score_seconds_count",
        "leads_created_total",
        "viewers_active 1.0",
        "build_info",
        "feed_last_event_timestamp_seconds",
        "feed_lag_seconds",
    ):
        assert f"frontrow_{name}" in metrics


async def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    """The engine's memory is the journal's: same viewers, same leads, same duplicates."""
    config = write_config(tmp_path)
    body = hot()
    async with running(config) as daemon:
        await daemon.ingest(body)
        before = (
            await daemon.http.get("/api/v1/rooms/demo/viewers", params={"token": daemon.token()})
        ).json()
    async with running(config) as daemon:
        after = (await daemon.http.get("/api/v1/rooms/demo/viewers", params={"token": daemon.token()})).json()
        assert (await daemon.ingest(body)).json() == {"accepted": 0, "duplicates": 3, "rejected": []}
        leads = (await daemon.http.get("/api/v1/leads", params={"token": daemon.token()})).json()["leads"]
    for view in (before, after):  # the model's part is of the moment
        for row in view["viewers"]:
            row["reasons"] = [each for each in row["reasons"] if each["kind"] == "rule"]
    assert after == before
    assert len(leads) == 1


async def test_a_feed_that_fails_does_not_hurt_another(tmp_path: Path) -> None:
    good = tmp_path / "good.ndjson"
    good.write_bytes(b"\n".join(encode_event(event("like", n, at=now_ms())) for n in range(3)))
    config = write_config(
        tmp_path,
        f'[[feeds]]\nid = "dead"\nroom = "demo"\nconnector = "websocket"\nurl = "ws://127.0.0.1:9"\n'
        f'[[feeds]]\nid = "missing"\nroom = "demo"\nconnector = "file"\npath = "{tmp_path}/no.ndjson"\n'
        f'[[feeds]]\nid = "good"\nroom = "demo"\nconnector = "file"\npath = "{good}"\n',
    )
    async with running(config) as daemon:
        async with asyncio.timeout(10):
            while (
                'outcome="accepted",platform="test",room="demo",type="like"} 3.0'
                not in (await daemon.http.get("/metrics")).text
            ):
                await asyncio.sleep(0.05)
        rooms = (await daemon.http.get("/api/v1/rooms", params={"token": daemon.token()})).json()
        feeds = {feed["id"]: feed["state"] for feed in rooms[0]["state"]["feeds"]}
    assert feeds["good"] == "ended"
    assert feeds["dead"] in ("waiting", "connecting")
    assert feeds["missing"] in ("ended", "waiting", "refused")
