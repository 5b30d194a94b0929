"""SIGTERM at any moment: the daemon ends by itself, in time, with exit code 0 and everything that it acknowledged.

The moments are drawn; see ``seed``. What makes stopping hard is there: a long journal to read, a panel that does not
read, a sink that does not answer, a request that never ends. A second SIGTERM ends it at once.
"""

import asyncio
import contextlib
import json
import random
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest
import websockets

from frontrow.cli import DONE, main
from frontrow.core.events import encode_event
from frontrow_models.simulate import busy_room, write_ndjson
from tests.crash.checks import assert_once, rows, stored_ids
from tests.crash.incarnations import Incarnation, Zygote, ended, make_token, until_ready
from tests.crash.senders import HttpSender
from tests.support.daemons import write_config
from tests.support.http_server import Failure, Reply, scripted_server
from tests.support.ports import stable_port
from tests.support.rooms import event

SHUTDOWN_S = 2.0
SLACK_S = 5.0  # for a machine that is busy with others; supervisors kill after ten seconds
AT_ONCE_S = 2.0
LONG_JOURNAL = 60_000  # events

pytestmark = pytest.mark.timeout(240)

CRM = """
[[sinks]]
id = "crm"
kind = "webhook"
url = "{url}/hook"
secret = "a-secret-of-tests"
freshness_s = 86400
"""


def configured(folder: Path, dice: random.Random, more: str = "") -> tuple[Path, int]:
    """Write a configuration with a port that stays, and return both."""
    port = stable_port(dice)
    path = write_config(folder, more)
    server = f"port = {port}\nshutdown_s = {SHUTDOWN_S}"
    path.write_text(path.read_text("utf-8").replace("port = 0", server, 1), "utf-8")
    return path, port


async def stopped(daemon: Incarnation) -> int:
    """Send SIGTERM and return the exit code, which must come in time."""
    daemon.signal(signal.SIGTERM)
    return await asyncio.to_thread(ended, daemon, within_s=SHUTDOWN_S + SLACK_S)


@contextlib.asynccontextmanager
async def sending(sender: HttpSender) -> AsyncIterator[None]:
    """Let a sender work for the length of the block."""
    task = asyncio.create_task(sender.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture(scope="module")
def long_journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("journal")
    with (folder / "events.ndjson").open("wb") as file:
        write_ndjson(busy_room(events=LONG_JOURNAL, viewers=3_000, platform="test", room="r1"), file)
    command = [
        "replay",
        folder / "events.ndjson",
        "--out",
        folder / "out",
        "--journal",
        folder / "frontrow.db",
    ]
    assert main(list(map(str, command))) == DONE
    return folder / "frontrow.db"


def with_journal(folder: Path, journal: Path) -> Path:
    """Put a journal where the daemon of a folder will look for it, and return its place."""
    store = folder / "data" / "frontrow.db"
    store.parent.mkdir(mode=0o700)
    shutil.copy(journal, store)
    return store


def lock_of(store: Path) -> Path:
    return store.with_name(store.name + ".lock")


@pytest.mark.parametrize("moment", range(4))
async def test_it_can_be_stopped_while_it_starts(
    warm: Zygote, tmp_path: Path, seed: int, moment: int
) -> None:
    """Before it has said that signals are taken, SIGTERM has its usual effect, and then nothing was begun."""
    dice = random.Random(f"starting {seed} {moment}")
    config, _ = configured(tmp_path, dice)
    daemon = warm.run(config)
    await asyncio.sleep(dice.uniform(0.0, 0.8))
    code = await stopped(daemon)
    begun = (tmp_path / "data").exists()
    assert code == DONE or (code == -signal.SIGTERM and not begun), daemon.complaint()
    again = warm.run(config)
    await asyncio.to_thread(until_ready, again)
    assert await stopped(again) == DONE


@pytest.mark.parametrize("moment", range(3))
async def test_it_can_be_stopped_while_it_reads_a_long_journal(
    warm: Zygote, tmp_path: Path, long_journal: Path, seed: int, moment: int
) -> None:
    """What it has read is of no use to anybody, and what is stored stays as it is."""
    dice = random.Random(f"recovering {seed} {moment}")
    config, _ = configured(tmp_path, dice)
    store = with_journal(tmp_path, long_journal)
    before = rows(store, "SELECT count(*), sum(events) FROM frames")
    daemon = warm.run(config)
    await until(lock_of(store).exists)  # reading comes right after
    await asyncio.sleep(dice.uniform(0.0, 0.3 * moment))
    assert moment > 0 or not daemon.ready  # the others may come too late, on a fast machine
    assert await stopped(daemon) == DONE, daemon.complaint()
    [(frames, _)] = before
    assert rows(store, f"SELECT count(*), sum(events) FROM frames WHERE seq <= {frames}") == before
    # Whoever came too late stopped a daemon that had begun its work, and may have had something to write down itself.
    assert daemon.ready or rows(store, "SELECT count(*), sum(events) FROM frames") == before


@pytest.mark.parametrize("moment", range(3))
async def test_under_load_all_that_was_acknowledged_is_stored(
    warm: Zygote, tmp_path: Path, seed: int, moment: int
) -> None:
    dice = random.Random(f"working {seed} {moment}")
    config, port = configured(tmp_path, dice)
    url = f"http://127.0.0.1:{port}"
    sender = HttpSender(dice, warm.clock, url=url, token=make_token(config))
    daemon = warm.run(config)
    await asyncio.to_thread(until_ready, daemon)
    async with sending(sender):
        await until(lambda: bool(sender.acknowledged))
        await asyncio.sleep(dice.uniform(0.0, 1.0))
        assert await stopped(daemon) == DONE, daemon.complaint()
    assert_once(stored_ids(tmp_path / "data" / "frontrow.db"), sender.acknowledged)


async def test_a_panel_that_does_not_read_does_not_keep_it(warm: Zygote, tmp_path: Path, seed: int) -> None:
    """One panel follows and is told why it is left; another has stopped reading, as a sleeping laptop does."""
    dice = random.Random(f"panel {seed}")
    config, port = configured(tmp_path, dice)
    url, ingest, host = f"127.0.0.1:{port}", make_token(config), make_token(config, "host")
    sender = HttpSender(dice, warm.clock, url=f"http://{url}", token=ingest)
    daemon = warm.run(config)
    await asyncio.to_thread(until_ready, daemon)
    with _deaf_panel(port, host):
        async with (
            websockets.connect(f"ws://{url}/ws/host/demo?token={host}", proxy=None) as panel,
            sending(sender),
        ):
            await panel.recv()
            await until(lambda: len(sender.acknowledged) > 300)
            stopping = asyncio.create_task(stopped(daemon))
            with pytest.raises(websockets.ConnectionClosed) as closed:
                while True:
                    await panel.recv()
            assert await stopping == DONE, daemon.complaint()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
    assert_once(stored_ids(tmp_path / "data" / "frontrow.db"), sender.acknowledged)


async def test_a_sink_that_does_not_answer_does_not_keep_it_and_its_alert_is_kept(
    warm: Zygote, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(f"sink {seed}")
    async with scripted_server() as crm:
        crm.otherwise = Failure.HANG
        config, port = configured(tmp_path, dice, CRM.format(url=crm.url))
        daemon = warm.run(config)
        await asyncio.to_thread(until_ready, daemon)
        await _make_lead(warm, port, make_token(config))
        await crm.until(1)
        assert await stopped(daemon) == DONE, daemon.complaint()
        outbox = "SELECT state, attempts FROM outbox"
        assert rows(tmp_path / "data" / "frontrow.db", outbox) == [("pending", 1)]

        crm.otherwise = Reply(204)
        daemon = warm.run(config)
        await crm.until(2)
        assert await stopped(daemon) == DONE, daemon.complaint()
        leads = {json.loads(request.body)["data"]["lead"] for request in crm.requests}
        assert len(leads) == 1
        assert rows(tmp_path / "data" / "frontrow.db", outbox) == [("sent", 2)]


async def test_a_request_that_never_ends_does_not_keep_it(warm: Zygote, tmp_path: Path, seed: int) -> None:
    config, port = configured(tmp_path, random.Random(f"request {seed}"))
    daemon = warm.run(config)
    await asyncio.to_thread(until_ready, daemon)
    with _endless_request(port, make_token(config)):
        assert await stopped(daemon) == DONE, daemon.complaint()


@pytest.mark.parametrize("moment", range(2))
async def test_a_second_sigterm_ends_it_at_once(warm: Zygote, tmp_path: Path, seed: int, moment: int) -> None:
    """Whoever cannot wait for the drain does not have to send SIGKILL; what was acknowledged is stored all the same."""
    dice = random.Random(f"twice {seed} {moment}")
    config, port = configured(tmp_path, dice)
    store = tmp_path / "data" / "frontrow.db"
    sender = HttpSender(dice, warm.clock, url=f"http://127.0.0.1:{port}", token=make_token(config))
    daemon = warm.run(config)
    await asyncio.to_thread(until_ready, daemon)
    with _endless_request(port, make_token(config)):  # or it would have ended before the second
        async with sending(sender):
            await until(lambda: len(sender.acknowledged) > 100)
            daemon.signal(signal.SIGTERM)
            await asyncio.sleep(dice.uniform(0.1, 0.5))
            assert daemon.alive
            daemon.signal(signal.SIGTERM)
            assert await asyncio.to_thread(ended, daemon, within_s=AT_ONCE_S) == -signal.SIGTERM
    assert_once(stored_ids(store), sender.acknowledged)
    daemon = warm.run(config)
    await asyncio.to_thread(until_ready, daemon)
    assert await stopped(daemon) == DONE


async def test_a_second_sigterm_ends_it_while_it_reads_the_journal(
    warm: Zygote, tmp_path: Path, long_journal: Path, seed: int
) -> None:
    config, _ = configured(tmp_path, random.Random(f"twice recovering {seed}"))
    store = with_journal(tmp_path, long_journal)
    daemon = warm.run(config)
    await until(lock_of(store).exists)
    daemon.signal(signal.SIGTERM)
    daemon.signal(signal.SIGTERM)
    # Two of one signal that were not yet looked at are one, to the kernel and to the loop.
    assert await asyncio.to_thread(ended, daemon, within_s=AT_ONCE_S) in (DONE, -signal.SIGTERM)


async def until(holds: Callable[[], bool], *, patience_s: float = 10.0) -> None:
    """Wait in real time, for a real process."""
    async with asyncio.timeout(patience_s):
        while not holds():
            await asyncio.sleep(0.001)


async def _make_lead(warm: Zygote, port: int, token: str) -> None:
    at = warm.clock.now()
    kinds = ("form_submit", "product_click")
    lines = [encode_event(event(kind, id=kind, viewer="v1", at=at)) for kind in kinds]
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {token}"}) as http:
        answer = await http.post(f"http://127.0.0.1:{port}/ingest/demo", content=b"\n".join(lines))
    assert answer.json()["accepted"] == 2


@contextlib.contextmanager
def _endless_request(port: int, token: str) -> Iterator[None]:
    """Hold a request open whose body never ends."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sending:
        head = f"POST /ingest/demo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 900\r\n\r\n"
        sending.sendall(head.encode() + b"[")
        yield


@contextlib.contextmanager
def _deaf_panel(port: int, token: str) -> Iterator[None]:
    """Hold a panel's WebSocket open that never reads again, and so never answers to a goodbye."""
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        deaf.settimeout(5)
        deaf.connect(("127.0.0.1", port))
        deaf.sendall(
            f"GET /ws/host/demo?token={token} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        assert deaf.recv(12) == b"HTTP/1.1 101"
        yield
