"""Each way in, in the whole daemon: what is refused is counted where people look, in few series, and nothing falls."""

import asyncio
import re
import time
from pathlib import Path

from websockets.asyncio.server import ServerConnection

from frontrow.core.events import decode_event
from frontrow_connectors.douyin_push.decoder import signature
from tests.support import hostile
from tests.support.daemons import Running, running, write_config
from tests.support.mosquitto import Mosquitto, needs_broker
from tests.support.websocket_server import ScriptedSockets, stay

REFUSED = hostile.corpus("refused")
KEPT = hostile.corpus("kept")
# As a body of its own `[]` holds nothing, which is no mistake.
ALONE = [each for each in REFUSED if each != b"[]"]
SERIES = 60  # reasons of one feed: what a decoder can say, however much is sent


def feed(connector: str, more: str, room: str = "demo") -> str:
    return f'[[feeds]]\nid = "odd"\nroom = "{room}"\nconnector = "{connector}"\n{more}\n'


async def rejected(daemon: Running, feed: str) -> dict[str, int]:
    """Return how often each reason was counted for a feed."""
    metrics = (await daemon.http.get("/metrics")).text
    pattern = rf'^frontrow_dlq_events_total\{{feed="{feed}",reason="(.*)"\}} (\S+)$'
    return {reason: int(float(count)) for reason, count in re.findall(pattern, metrics, re.MULTILINE)}


async def until_rejected(daemon: Running, feed: str, count: int) -> dict[str, int]:
    async with asyncio.timeout(30):
        while sum((found := await rejected(daemon, feed)).values()) < count:
            await asyncio.sleep(0.05)
    return found


def check(found: dict[str, int], count: int) -> None:
    assert sum(found.values()) == count
    assert 5 < len(found) < SERIES
    assert all(reason.isprintable() and len(reason) <= 60 for reason in found)


async def test_over_http(tmp_path: Path) -> None:
    async with running(write_config(tmp_path)) as daemon:
        answer = await daemon.ingest(b"\n".join([*REFUSED, *KEPT]))
        assert answer.status_code == 200
        assert answer.json()["accepted"] == len(KEPT)
        assert [each["index"] for each in answer.json()["rejected"]] == list(range(len(REFUSED)))
        check(await rejected(daemon, "http"), len(REFUSED))
        for body in (b"[" * 100_000, b"[" + b"1," * 100_000 + b"1]", b"", b"\xff\xfe"):
            assert (await daemon.ingest(body)).status_code in (200, 400)
        check(await rejected(daemon, "http"), len(REFUSED) + 4)
        too_large = await daemon.ingest(b" " * 2_000_000)
        assert too_large.status_code == 413
        metrics = (await daemon.http.get("/metrics")).text
        assert 'frontrow_http_refused_total{reason="413",route="http"} 1.0' in metrics
        assert (await daemon.http.get("/readyz")).status_code == 200


async def test_over_http_one_by_one(tmp_path: Path) -> None:
    """The same verdict as in a batch."""
    async with running(write_config(tmp_path)) as daemon:
        token = daemon.token()
        for body in REFUSED:
            answer = await daemon.ingest(body, token=token)
            taken = answer.json().get("accepted", 0)
            assert (answer.status_code in (200, 400), taken) == (True, 0), body[:100]
        for body in KEPT:
            answer = await daemon.ingest(body, token=token)
            assert (answer.status_code, answer.json()["accepted"]) == (200, 1), body[:100]


async def test_over_a_websocket(tmp_path: Path) -> None:
    async def send_all(connection: ServerConnection) -> None:
        for each in [*ALONE, *KEPT]:
            await connection.send(each)
        await stay(connection)

    async with ScriptedSockets(send_all).running() as server:
        config = write_config(tmp_path, feed("websocket", f'url = "{server.url}"'))
        async with running(config) as daemon:
            check(await until_rejected(daemon, "odd", len(ALONE)), len(ALONE))
            assert (await daemon.http.get("/readyz")).status_code == 200


@needs_broker
async def test_over_mqtt(tmp_path: Path) -> None:
    import aiomqtt

    broker = Mosquitto(tmp_path)
    await broker.start()
    try:
        config = write_config(tmp_path, feed("mqtt", f'host = "127.0.0.1"\nport = {broker.port}'))
        async with running(config) as daemon:
            async with asyncio.timeout(10):
                while (
                    'frontrow_feed_connected{connector="mqtt",feed="odd",room="demo"} 1.0'
                    not in (await daemon.http.get("/metrics")).text
                ):
                    await asyncio.sleep(0.05)
            async with aiomqtt.Client("127.0.0.1", broker.port) as client:
                for each in [*ALONE, *KEPT]:
                    await client.publish("frontrow/demo/events", each, qos=1)
            check(await until_rejected(daemon, "odd", len(ALONE)), len(ALONE))
            assert (await daemon.http.get("/readyz")).status_code == 200
    finally:
        await broker.stop()


async def test_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "odd.ndjson"
    path.write_bytes(b"\n".join([*KEPT, *REFUSED]))
    async with running(write_config(tmp_path, feed("file", f'path = "{path}"'))) as daemon:
        check(await until_rejected(daemon, "odd", len(REFUSED)), len(REFUSED))


async def test_over_a_webhook(tmp_path: Path) -> None:
    room = '[[rooms]]\nid = "dy"\nplatform = "douyin"\nroom = "owner"\n'
    config = write_config(tmp_path, room + feed("douyin_push", 'secret = "s3cret"', room="dy"))
    async with running(config) as daemon:
        bodies = [b"[" * 100_000, b"{}", b"\xff", b"[1,null,[],{},true]", b'[{"msg_id":1e400}]', b"[NaN]"]
        for body in bodies:
            headers = {
                "x-msg-type": "live_like",
                "x-nonce-str": "n",
                "x-roomid": "s",
                "x-timestamp": str(time.time_ns() // 1_000_000_000),  # noqa: TID251  # the daemon's own clock
            }
            headers["x-signature"] = signature(headers, body, "s3cret")
            answer = await daemon.http.post("/hooks/douyin_push/dy", content=body, headers=headers)
            assert answer.status_code in (200, 400), body[:20]
        found = await rejected(daemon, "douyin_push")
        assert sum(found.values()) == len(bodies) - 1 + 5
        assert (await daemon.http.get("/readyz")).status_code == 200


def test_the_corpus_is_of_the_room_that_it_is_sent_to() -> None:
    """Else it would be refused for that, and show nothing."""
    for each in KEPT:
        event = decode_event(each)
        assert (event.platform, event.room) == ("test", "r1")
