"""The program as a person or a supervisor runs it: signals, locks, tokens, mistakes."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from frontrow.app.daemon import Address
from frontrow.app.parts import load_config
from frontrow.cli import DONE, FAILED, LOCKED, WRONG, _print_addresses, main
from frontrow.core.errors import CommitFailed
from frontrow.core.events import encode_event
from frontrow.runtime.access import token_hash
from frontrow.storage.store import Store
from tests.support.daemons import SOURCE_ROOTS, Process, process, write_config
from tests.support.rooms import event

pytestmark = pytest.mark.timeout(120)


def make_token(config: Path, capsys: pytest.CaptureFixture[str], role: str = "admin") -> str:
    capsys.readouterr()
    assert main(["token", "create", "--role", role, "--config", str(config)]) == DONE
    return capsys.readouterr().out.strip()


def post(url: str, token: str, body: bytes) -> dict[str, Any]:
    request = urllib.request.Request(url, body, {"authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found


def now_ms() -> int:
    return time.time_ns() // 1_000_000  # noqa: TID251  # the process under test runs on the machine's clock


def test_sigterm_drains_and_ends_in_time_with_all_that_was_acknowledged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path)
    with process("run", "--config", str(config), cwd=tmp_path) as daemon:
        url = daemon.until_listening()
        token = make_token(config, capsys)
        acknowledged: list[str] = []
        for batch in range(20):
            ids = [f"{batch}-{n}" for n in range(50)]
            body = b"\n".join(encode_event(event("like", id=id, at=now_ms())) for id in ids)
            assert post(f"{url}/ingest/demo", token, body)["accepted"] == 50
            acknowledged += ids
        began = time.monotonic()  # noqa: TID251  # a supervisor's clock
        code, _, err = daemon.end(signal.SIGTERM)
        assert time.monotonic() - began < 10  # noqa: TID251  # what the issue of it is: supervisors kill after ten
    assert code == DONE, err
    store = Store.open(tmp_path / "data" / "frontrow.db")
    assert [
        each.id for _, frame in store.frames() for each in frame.events() if each.kind == "like"
    ] == acknowledged
    store.close()


def test_a_killed_daemon_has_lost_nothing_that_it_acknowledged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path)
    with process("run", "--config", str(config), cwd=tmp_path) as daemon:
        url = daemon.until_listening()
        token = make_token(config, capsys)
        body = b"\n".join(encode_event(event("like", id=str(n), at=now_ms())) for n in range(500))
        assert post(f"{url}/ingest/demo", token, body)["accepted"] == 500
        daemon.end(signal.SIGKILL)
    with process("run", "--config", str(config), cwd=tmp_path) as daemon:
        url = daemon.until_listening()
        assert post(f"{url}/ingest/demo", token, body) == {"accepted": 0, "duplicates": 500, "rejected": []}


def test_a_second_daemon_on_the_store_is_told_who_holds_it(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    with process("run", "--config", str(config), cwd=tmp_path) as first:
        first.until_listening()
        second = Process("run", "--config", str(config), cwd=tmp_path)
        out, err = second.popen.communicate(timeout=60)
        assert (second.popen.returncode, out) == (LOCKED, "")
        assert f"process {first.popen.pid} on" in err
        assert err.count("\n") == 1, err


def test_a_taken_port_is_said_in_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = write_config(tmp_path)
        config.write_text(
            config.read_text("utf-8").replace("port = 0", f"port = {taken.getsockname()[1]}"), "utf-8"
        )
        with process("run", "--config", str(config), cwd=tmp_path) as daemon:
            _, err = daemon.popen.communicate(timeout=60)
            assert daemon.popen.returncode == WRONG
            assert "server.port: cannot listen on 127.0.0.1" in err
            assert "Traceback" not in err


def test_logs_are_json_and_hold_no_token_and_no_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path)
    environ = {"FRONTROW__LOG__LEVEL": "info"}
    with process("run", "--config", str(config), cwd=tmp_path, environ=environ) as daemon:
        url = daemon.until_listening()
        token = make_token(config, capsys)
        body = encode_event(event("comment", text="我的电话 13800138000", name="13800138000", at=now_ms()))
        post(f"{url}/ingest/demo?token={token}", token, body)
        with pytest.raises(urllib.error.HTTPError):
            post(f"{url}/ingest/nowhere", token, b'{"phone": "13800138000"}')
        post(f"{url}/ingest/demo", token, b'{"id": 13800138000}')
        _, out, err = daemon.end()
    assert err.strip()
    for line in err.splitlines():
        assert {"event", "level", "timestamp"} <= set(json.loads(line))
    assert token not in err + out
    assert "13800138000" not in err + out
    assert any(json.loads(line)["event"] == "input_rejected" for line in err.splitlines())


def test_a_demo_prints_an_address_that_opens(tmp_path: Path) -> None:
    config = write_config(
        tmp_path, '[[feeds]]\nid = "sim"\nroom = "demo"\nconnector = "simulator"\nviewers = 50\n'
    )
    with process("run", "--config", str(config), cwd=tmp_path) as daemon:
        daemon.until_listening()
        assert daemon.popen.stdout is not None
        line = daemon.popen.stdout.readline()
        address = line.split()[-1]
        assert "/host/demo?token=" in address
        with urllib.request.urlopen(address, timeout=10) as page:
            assert page.status == 200


def test_check_tells_all_mistakes_and_the_way_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(
        tmp_path, '[intakee]\nframe_ms = 1\n[[feeds]]\nid = "f"\nroom = "demoo"\nconnector = "fil"\n'
    )
    assert main(["check", "--config", str(config)]) == WRONG
    err = capsys.readouterr().err
    for words in ("intake", "demo", "file", "mistakes in the configuration"):
        assert words in err
    good = write_config(tmp_path)
    assert main(["check", "--config", str(good)]) == DONE
    assert "2 rooms" in capsys.readouterr().out
    assert main(["check", "--config", str(good), "--show"]) == DONE
    assert json.loads(capsys.readouterr().out)["server"]["host"] == "127.0.0.1"


def test_tokens_are_made_listed_and_revoked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(write_config(tmp_path))
    assert main(["token", "create", "--role", "host", "--room", "nowhere", "--config", config]) == WRONG
    assert "there are: demo, other" in capsys.readouterr().err
    assert (
        main(
            [
                "token",
                "create",
                "--role",
                "host",
                "--room",
                "demo",
                "--days",
                "1",
                "--label",
                "dock",
                "--config",
                config,
            ]
        )
        == DONE
    )
    token = capsys.readouterr().out.strip()
    assert token.startswith("fr_")
    assert main(["token", "list", "--config", config]) == DONE
    listed = capsys.readouterr().out
    assert token not in listed
    id, role, room, state, label = listed.split()
    assert (role, room, state, label) == ("host", "demo", "valid", "dock")
    assert main(["token", "revoke", id, "--config", config]) == DONE
    assert main(["token", "revoke", id, "--config", config]) == WRONG
    capsys.readouterr()
    main(["token", "list", "--config", config])
    assert "revoked" in capsys.readouterr().out


def test_simulate_makes_the_same_stream_and_its_truth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / "a.ndjson", tmp_path / "b.ndjson"]
    for file in files:
        arguments = [
            "--minutes",
            "2",
            "--viewers",
            "40",
            "--out",
            str(file),
            "--truth",
            str(tmp_path / "truth.ndjson"),
        ]
        assert main(["simulate", *arguments]) == DONE
    assert files[0].read_bytes() == files[1].read_bytes() != b""
    assert len((tmp_path / "truth.ndjson").read_bytes().splitlines()) == 40
    assert main(["simulate", "--minutes", "0"]) == WRONG
    assert "duration_s" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["run", "--nonsense"], ["token", "create", "--role", "king"]]
)
def test_wrong_arguments_have_their_own_exit_code(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == WRONG
    captured = capsys.readouterr()
    assert captured.out + captured.err


def test_a_missing_configuration_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--config", str(tmp_path / "no.toml")]) == WRONG
    assert "no.toml" in capsys.readouterr().err


def test_a_disk_without_room_ends_the_daemon_with_a_sentence_and_loses_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A limit on the size of files stands in for a full disk: SQLite sees a failed write all the same."""
    config = write_config(tmp_path)
    token = make_token(config, capsys)
    command = f"ulimit -f 600; exec {sys.executable} -m frontrow run --config {config}"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(SOURCE_ROOTS), "PYTHONUNBUFFERED": "1"}
    daemon = Process.__new__(Process)
    daemon.popen = subprocess.Popen(
        ["bash", "-c", command],
        cwd=tmp_path,
        env=environ,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    acknowledged: list[str] = []
    refused = 0
    try:
        url = daemon.until_listening()
        for batch in range(400):
            ids = [f"{batch}-{n}" for n in range(200)]
            lines = [encode_event(event("comment", id=id, text=f"{hash(id)}" * 8, at=now_ms())) for id in ids]
            try:
                if post(f"{url}/ingest/demo", token, b"\n".join(lines))["accepted"] == 200:
                    acknowledged += ids
            except (urllib.error.URLError, ConnectionError) as error:
                refused = getattr(error, "code", 0)
                break
        _, err = daemon.popen.communicate(timeout=30)
    finally:
        daemon.popen.kill()
        daemon.popen.communicate()
    assert refused in (0, 503)
    assert daemon.popen.returncode == FAILED, err
    assert "Traceback" not in err
    assert "journal_failed" in err
    assert "cannot be written" in err.splitlines()[-1]
    store = Store.open(tmp_path / "data" / "frontrow.db")
    stored = {id for _, frame in store.frames() for id in frame.ids}
    store.close()
    assert acknowledged
    assert set(acknowledged) <= stored


def test_a_disk_that_fails_with_the_first_event_is_said_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """That event is the daemon's own, its policy: who waits for it must not end beside the journal with words of its own."""

    def append(store: Store, _commits: object) -> None:
        raise CommitFailed(f"{store.path}: cannot be written: no space left", cause="full")

    monkeypatch.setattr(Store, "append", append)
    assert main(["run", "--config", str(write_config(tmp_path))]) == FAILED
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert "cannot be written" in err.splitlines()[-1]


def test_a_store_that_cannot_be_opened_is_said_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path, f'[storage]\npath = "{tmp_path}"\n')
    assert main(["run", "--config", str(config)]) == FAILED
    err = capsys.readouterr().err
    assert "see [storage] path" in err
    (tmp_path / "file").write_text("")
    config = write_config(tmp_path, f'[storage]\npath = "{tmp_path}/file/frontrow.db"\n')
    assert main(["token", "list", "--config", str(config)]) == FAILED
    assert "see [storage] path" in capsys.readouterr().err


def test_who_reads_only_the_beginning_gets_no_complaint() -> None:
    """As in `frontrow models list | head`."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        program = "import sys; from frontrow.cli import main; sys.exit(main(['--version']))"
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=writing, stderr=subprocess.PIPE, timeout=60, check=False
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (FAILED, b"")


def test_only_their_owner_may_read_the_stores_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path)
    make_token(config, capsys)
    for file in (tmp_path / "data").iterdir():
        assert file.stat().st_mode & 0o077 == 0, file
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("real", [False, True])
def test_a_token_for_leads_is_printed_only_where_every_room_is_a_simulated_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], real: bool
) -> None:
    """Leads of real customers are not for everybody who can read a terminal."""
    text = (Path(__file__).parents[2] / "config.toml").read_text("utf-8")
    if real:
        text += '\n[[rooms]]\nid = "shop"\nplatform = "shop"\nroom = "main"\n'
    (tmp_path / "config.toml").write_text(text, "utf-8")
    config = load_config(tmp_path / "config.toml", {})
    Store.open(config.storage.path).close()
    _print_addresses(config, Address("http://127.0.0.1:8787", 8787), 1_750_000_000_000)
    printed = capsys.readouterr().out
    found = re.search(r"/sales\?token=(fr_[\w-]+)", printed)
    assert ("/sales?token=…" in printed) == real
    assert (found is None) == real
    if found is not None:
        store = Store.open(config.storage.path)
        row = store.token_by_hash(token_hash(found[1]))
        store.close()
        assert row is not None and (row[1], row[5]) == ("sales", "demo-lin")
