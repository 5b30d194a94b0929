"""``frontrow replay``: the same input gives the same bytes; a journal gives what its events gave."""

import gzip
import hashlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from frontrow.cli import DONE, FAILED, WRONG, main
from frontrow_models.calibration import KNEE
from frontrow_models.simulate import Faults, Scenario, simulate, write_ndjson
from tests.support.daemons import SOURCE_ROOTS

FILES = ("leads.ndjson", "model.json", "viewers.ndjson")


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eighty minutes of a simulated room, with the platform's faults: long enough for negatives to mature."""
    path = tmp_path_factory.mktemp("stream") / "evening.ndjson"
    scenario = Scenario(
        seed=5, viewers=300, duration_s=4800, events_per_s=2.0, faults=Faults(duplicate=0.03, reorder=0.05)
    )
    with path.open("wb") as file:
        write_ndjson(simulate(scenario), file)
    return path


def run(out: Path, *arguments: str | Path) -> dict[str, Any]:
    assert main(["replay", *map(str, arguments), "--out", str(out)]) == DONE
    summary: dict[str, Any] = json.loads((out / "summary.json").read_bytes())
    return summary


@pytest.fixture(scope="module")
def written(stream: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a replay of the stream writes, and beside it in ``journal.db`` the journal; both to be read only."""
    folder = tmp_path_factory.mktemp("written")
    run(folder, stream, "--journal", folder / "journal.db")
    return folder


@pytest.fixture(scope="module")
def summary(written: Path) -> dict[str, Any]:
    """The summary of that replay."""
    found: dict[str, Any] = json.loads((written / "summary.json").read_bytes())
    return found


def contents(out: Path) -> list[bytes]:
    return [(out / name).read_bytes() for name in FILES]


def test_the_same_input_gives_the_same_bytes_in_any_frames_with_a_journal_and_without(
    stream: Path, written: Path, summary: dict[str, Any], tmp_path: Path
) -> None:
    second = run(tmp_path, stream, "--frame-size", "17")
    assert summary["digest"] == second["digest"]
    assert contents(written) == contents(tmp_path)
    assert summary["leads"] > 0
    assert summary["events"] + summary["duplicates"] == stream.read_bytes().count(b"\n")


def test_the_digest_is_over_the_other_files(written: Path, summary: dict[str, Any]) -> None:
    digest = hashlib.sha256()
    for name in sorted(FILES):
        content = (written / name).read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    assert summary["digest"] == digest.hexdigest()


def test_a_journal_replays_to_what_its_events_gave(
    written: Path, summary: dict[str, Any], tmp_path: Path
) -> None:
    read = run(tmp_path, written / "journal.db")
    assert contents(written) == contents(tmp_path)
    assert (read["digest"], read["events"], read["duplicates"]) == (summary["digest"], summary["events"], 0)


def test_standard_input_is_a_file_like_any_other(
    stream: Path, summary: dict[str, Any], tmp_path: Path
) -> None:
    with stream.open("rb") as source:
        subprocess.run(
            [sys.executable, "-m", "frontrow", "replay", "-", "--out", str(tmp_path)],
            check=True,
            capture_output=True,
            stdin=source,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(SOURCE_ROOTS)},
        )
    assert json.loads((tmp_path / "summary.json").read_bytes())["digest"] == summary["digest"]


def test_files_are_merged_by_time_whatever_their_order(stream: Path, tmp_path: Path) -> None:
    lines = stream.read_bytes().splitlines(keepends=True)
    halves = [tmp_path / "one.ndjson.gz", tmp_path / "two.ndjson"]
    halves[0].write_bytes(gzip.compress(b"".join(lines[::2])))
    halves[1].write_bytes(b"".join(lines[1::2]))
    digests = {run(tmp_path / str(order), *halves[::order])["digest"] for order in (1, -1)}
    assert len(digests) == 1


def test_without_a_model_points_are_the_same_and_probability_is_unknown(
    stream: Path, written: Path, tmp_path: Path
) -> None:
    run(tmp_path, stream, "--no-model")
    with_model, without = (
        [json.loads(line) for line in (folder / "viewers.ndjson").read_bytes().splitlines()]
        for folder in (written, tmp_path)
    )
    assert [(each["viewer"], each["points"], each["grade"]) for each in with_model] == [
        (each["viewer"], each["points"], each["grade"]) for each in without
    ]
    assert {each["probability"] for each in without} == {None}
    assert json.loads((tmp_path / "model.json").read_bytes()) == {"enabled": False}


def test_it_runs_under_the_configuration_that_is_here_as_the_daemon_does_and_says_which(
    stream: Path, summary: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Else a replay of the daemon's own journal tells of other leads than the daemon did."""
    monkeypatch.chdir(tmp_path)
    digests = {}
    for text, which in (
        (None, "Configured by what is built in, without the environment: there is no config.toml here."),
        ("[points]\nhot = 62\nhot_leave = 55\n", "Configured by config.toml."),
    ):
        if text is not None:
            (tmp_path / "config.toml").write_text(text)
        digests[which] = run(tmp_path / "out", stream)["digest"]
        told = capsys.readouterr()
        assert told.err.splitlines() == [which]
        assert json.loads(told.out)["digest"] == digests[which], "what is printed is to be read by machines"
    built_in, here = digests.values()
    assert built_in == summary["digest"] != here
    (tmp_path / "config.toml").rename(tmp_path / "named.toml")
    assert run(tmp_path / "out", stream, "--config", "named.toml")["digest"] == here


def test_the_lines_are_sorted_and_their_reasons_add_up(written: Path) -> None:
    model = json.loads((written / "model.json").read_bytes())
    assert model["labels"] > 0
    calibration = model["calibration"]
    lines = [json.loads(line) for line in (written / "viewers.ndjson").read_bytes().splitlines()]
    keys = [(each["platform"], each["room"], each["session"], each["viewer"]) for each in lines]
    assert keys == sorted(keys)
    for line in lines:
        rules = sum(each["points"] for each in line["reasons"] if each["kind"] == "rule")
        assert line["points"] == min(100, rules)
        intercept = [each["logit"] for each in line["reasons"] if each["name"] == "intercept"]
        if not line["reasons"]:  # staff
            assert (line["points"], line["probability"]) == (0, None)
            continue
        assert intercept == [model["intercept"]]
        logit = sum(each["logit"] for each in line["reasons"] if each["kind"] == "feature")
        own = {room: bias for room, bias, _ in calibration["rooms"]}
        name = f"{line['platform']}/{line['room']}"
        bias = calibration["bias"] + own.get(name, 0.0)
        bend = calibration["tail"] * math.log1p(math.exp(logit - KNEE))
        calibrated = calibration["slope"] * logit + bend + bias
        assert line["probability"] == pytest.approx(1 / (1 + math.exp(-calibrated)), abs=1e-9)
    leads = [json.loads(line) for line in (written / "leads.ndjson").read_bytes().splitlines()]
    assert {"customer", "store", "quality", "host", "product", "campaign"} <= set(leads[0])
    assert [(each["platform"], each["room"], each["session"], each["viewer"]) for each in leads] == sorted(
        (each["platform"], each["room"], each["session"], each["viewer"]) for each in leads
    )


def test_a_broken_line_is_named_and_the_rest_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "evening.ndjson"
    good = '{"id":"%s","platform":"p","room":"r","kind":"like","at":1750000000000,"viewer":"v"}\n'
    path.write_text(
        good % "a"
        + "{broken\n"
        + good % "b"
        + '{"id":"c","platform":"p","room":"r","kind":"like","at":175}\n'
    )
    summary = run(tmp_path / "out", path)
    err = capsys.readouterr().err
    assert (summary["events"], summary["rejected"]) == (2, 2)
    assert f"{path}:2: " in err
    assert f"{path}:4: " in err
    assert "seconds?" in err


def test_what_cannot_be_replayed_is_said_in_a_sentence(
    stream: Path, written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = written / "journal.db"
    for arguments, code, words in (
        ([str(tmp_path / "no.ndjson")], FAILED, "No such file"),
        ([str(journal), str(stream)], FAILED, "a journal is replayed alone"),
        ([str(stream), "--journal", str(journal)], FAILED, "exists already"),
        ([], WRONG, "name at least one file"),
        ([str(stream), "--frame-size", "0"], WRONG, "--frame-size"),
    ):
        assert main(["replay", *arguments, "--out", str(tmp_path / "x")]) == code
        assert words in capsys.readouterr().err


@pytest.mark.recordings
@pytest.mark.timeout(300)
def test_real_recordings_replay_to_one_digest(recordings: Path, tmp_path: Path) -> None:
    files = sorted((recordings / "streams" / "twitch").glob("*.ndjson.gz"))[:3]
    files.append(recordings / "streams" / "bilibili" / "bilibili-C.ndjson.gz")
    first = run(tmp_path / "a", *files)
    again = run(tmp_path / "b", *reversed(files), "--frame-size", "333")
    assert (first["rejected"], first["duplicates"]) == (0, 0)
    assert first["events"] == sum(gzip.decompress(path.read_bytes()).count(b"\n") for path in files)
    assert first["digest"] == again["digest"]


@pytest.mark.long
@pytest.mark.recordings
@pytest.mark.timeout(900)
def test_all_recordings_replay_to_one_digest_and_a_model_in_its_bounds(
    recordings: Path, tmp_path: Path
) -> None:
    files = sorted((recordings / "streams").glob("*/*.ndjson.gz"))
    first = run(tmp_path / "a", *files, "--journal", tmp_path / "journal.db")
    assert (first["events"], first["rejected"]) == (170_737, 0)
    assert run(tmp_path / "b", *reversed(files), "--frame-size", "77")["digest"] == first["digest"]
    assert run(tmp_path / "c", tmp_path / "journal.db")["digest"] == first["digest"]
    model = json.loads((tmp_path / "a" / "model.json").read_bytes())
    assert max(map(abs, model["weights"])) < 10
    lines = [json.loads(line) for line in (tmp_path / "a" / "viewers.ndjson").read_bytes().splitlines()]
    served = [line["probability"] for line in lines if line["probability"] is not None]
    assert len(served) > 30_000
    assert 0 < min(served) <= max(served) < 1
