"""One input, one result: over runs, hash seeds, frames, the order of files, versions of Python, and the live daemon.

Every stream here has a model that learns and may make leads (``points_or_probability``), and :func:`replayed` refuses a
result without leads or labels: nothing can be equal because nothing happened.
"""

import asyncio
import hashlib
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from frontrow.app.parts import load_config
from frontrow.cli import DONE, main
from frontrow.clock import SystemClock
from frontrow.core.alerts import LeadAlert
from frontrow.core.events import encode_event
from frontrow.core.leads import Lead
from frontrow.runtime.access import Role
from frontrow_models.simulate import Faults, Scenario, simulate, write_ndjson
from tests.crash.checks import assert_same_leads, leads_as_replayed, rows
from tests.support.daemons import ROOT, SOURCE_ROOTS, Running, running, write_config
from tests.support.http_server import Reply, scripted_server
from tests.support.replayed_versions import names_of_versions
from tests.support.rooms import event

FILES = ("leads.ndjson", "model.json", "viewers.ndjson")
PYTHONS = ("3.11", "3.12", "3.13")

pytestmark = pytest.mark.timeout(180)

# A short horizon, so that within the stream labels of both outcomes are learnt, probabilities are ready and some
# of the leads are theirs.
LEARNING = """
[outcome]
horizon_s = 600
[model]
learning_rate = 0.05
min_labels = 100
min_positives = 5
snapshot_every_s = 30
grade = "points_or_probability"
hot_probability = 0.3
"""


def evening(*rooms: str) -> Scenario:
    """Forty minutes of some rooms, with what platforms do to events."""
    return Scenario(
        seed=11,
        platform="test",
        rooms=rooms,
        viewers=150,
        duration_s=2_400,
        events_per_s=0.8,
        faults=Faults(duplicate=0.03, reorder=0.05, late=0.01),
    )


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_config(tmp_path_factory.mktemp("config"), LEARNING)


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One file a room."""
    folder = tmp_path_factory.mktemp("rooms")
    paths = [folder / f"{room}.ndjson" for room in ("r1", "r2", "r3")]
    for path in paths:
        with path.open("wb") as file:
            write_ndjson(simulate(evening(path.stem)), file)
    return paths


@pytest.fixture(scope="module")
def reference(rooms: list[Path], config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the rooms' files give, run here and now; to be read only."""
    folder = tmp_path_factory.mktemp("reference")
    replayed(folder, config, *rooms)
    return folder


@pytest.fixture(scope="module")
def digest(reference: Path) -> str:
    """The digest of that."""
    return digest_of(reference)


def replayed(out: Path, config: Path, *arguments: str | Path) -> str:
    """Replay in this process into a new folder; return the digest of a result that has leads and a taught model."""
    assert main(["replay", *map(str, arguments), "--config", str(config), "--out", str(out)]) == DONE
    return digest_of(out)


def digest_of(out: Path) -> str:
    """Return the digest that a replay told, having looked at what it is the digest of."""
    summary = json.loads((out / "summary.json").read_bytes())
    model = json.loads((out / "model.json").read_bytes())
    assert summary["leads"] > 10
    assert 0 < model["positives"] < model["labels"]
    assert any(model["weights"])
    told = hashlib.sha256()
    for name in sorted(FILES):
        content = (out / name).read_bytes()
        told.update(f"{name} {len(content)}\n".encode() + content)
    assert summary["digest"] == told.hexdigest()
    return told.hexdigest()


def replay_command(python: str | Path, config: Path, files: Sequence[Path], out: Path) -> list[str]:
    """Return the command that replays in a process of its own."""
    return [
        str(python),
        "-m",
        "frontrow",
        "replay",
        *map(str, files),
        "--config",
        str(config),
        "--out",
        str(out),
    ]


def run_aside(command: Sequence[str], **environ: str) -> str:
    """Run a command that must succeed, with our sources and nobody else's, and return what it prints."""
    paths = os.pathsep.join([*SOURCE_ROOTS, str(ROOT)])
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": paths, **environ},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---------------------------------------------------------------- runs, seeds, frames, files


def test_leads_come_from_points_and_from_probability(reference: Path) -> None:
    """What follows compares both kinds only if the stream has both."""
    points = [json.loads(line)["points"] for line in (reference / "leads.ndjson").read_bytes().splitlines()]
    assert max(points) >= 80 > min(points)


def test_a_digest_does_not_hang_on_the_order_of_the_rooms_files(
    rooms: list[Path], config: Path, digest: str, tmp_path: Path
) -> None:
    _, *others = itertools.permutations(rooms)  # the first is that of the reference
    for number, order in enumerate(others):
        assert replayed(tmp_path / str(number), config, *order) == digest, [path.stem for path in order]


@pytest.mark.parametrize("size", [1, 7, 250, 65_536])
def test_a_digest_does_not_hang_on_the_frames(
    rooms: list[Path], config: Path, digest: str, tmp_path: Path, size: int
) -> None:
    assert replayed(tmp_path / "files", config, *rooms, "--frame-size", str(size)) == digest


@pytest.mark.parametrize("seed", [1, 3])
def test_leads_of_bursts_do_not_hang_on_the_frames(tmp_path: Path, seed: int) -> None:
    """Many events that arrive at one moment, as after an outage, are cut anywhere; each lead names the same model.

    Most leads here are made while the model still learns what is usual, so that its name changes with every look at a
    viewer: the finest sign of what was computed when.
    """
    dice = random.Random(seed)
    path, at, lines = tmp_path / "bursts.ndjson", 1_750_000_000_000, []
    for number in range(2_000):
        if dice.random() < 0.05:
            at += dice.choice((90, 400, 2_500, 40_000))
        kind = dice.choice(
            ("like", "comment", "product_click", "cart_add", "form_submit", "order_paid", "enter")
        )
        viewer = f"v{number // 500}-{int(60 * dice.random() ** 2)}"
        text = dice.choice(("多少钱", "来了")) if kind == "comment" else None
        made = event(
            kind, id=str(number), viewer=viewer, at=at - dice.choice((0, 0, 70)), text=text, seen_at=at
        )
        lines.append(encode_event(made))
    path.write_bytes(b"\n".join(lines))
    config = write_config(tmp_path, LEARNING)
    found = {}
    for size in (1, 20, 64, 1_024):
        replayed(tmp_path / str(size), config, path, "--frame-size", str(size))
        found[size] = (tmp_path / str(size) / "leads.ndjson").read_bytes()
        assert_same_leads(found[1], found[size])
    assert len({digest_of(tmp_path / str(size)) for size in found}) == 1


def test_a_journal_gives_the_digest_of_what_it_was_written_from_in_any_frames(
    rooms: list[Path], config: Path, digest: str, tmp_path: Path
) -> None:
    journal = tmp_path / "journal.db"
    cut = random.Random(1)
    assert (
        replayed(tmp_path / "written", config, *rooms, "--journal", journal, "--frame-size", "97") == digest
    )
    for size in (1, cut.randint(2, 99), cut.randint(100, 5_000)):
        assert replayed(tmp_path / str(size), config, journal, "--frame-size", str(size)) == digest, size


def test_a_digest_does_not_hang_on_hash_seeds(
    rooms: list[Path], config: Path, digest: str, tmp_path: Path
) -> None:
    """Sets and dictionaries of texts come in another order under every seed; results must not."""
    for seed in ("0", "1", "2"):  # and the reference's own, which is drawn
        command = replay_command(sys.executable, config, rooms, tmp_path / seed)
        run_aside(command, PYTHONHASHSEED=seed)
        assert digest_of(tmp_path / seed) == digest, seed


def test_every_version_of_the_model_has_the_same_sha256_in_any_frames_under_any_hash_seed(
    rooms: list[Path], config: Path, tmp_path: Path
) -> None:
    """Versions are kept every five minutes of a journal: weights, optimiser, calibration, label policy and figures."""
    journal = tmp_path / "journal.db"
    replayed(tmp_path / "written", config, *rooms, "--journal", journal)
    sizes = (61, 4_096)
    here = [names_of_versions(journal, load_config(config, {}), size) for size in sizes]
    command = [sys.executable, "-m", "tests.support.replayed_versions", str(journal), str(config)]
    other = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    aside = run_aside([*command, *map(str, sizes)], PYTHONHASHSEED=other).splitlines()
    assert len(set(here[0])) == len(here[0]) >= 5
    assert [*here, *map(json.loads, aside)] == [here[0]] * 4


# ---------------------------------------------------------------- versions of Python


def interpreter(version: str) -> str | None:
    """Return a Python of this version that runs; a name on PATH may be a shim that does not."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [shutil.which(f"python{version}"), *sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True)]
    for python in found:
        if python is None:
            continue
        told = subprocess.run(
            [python, "-c", "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True,
            text=True,
            check=False,
        )
        if told.returncode == 0 and told.stdout.strip() == version:
            return str(python)
    return None


def installed(version: str, folder: Path) -> Path:
    """Return a Python of this version in a new environment with the locked dependencies; skip where it cannot be had."""
    base = interpreter(version)
    if base is None:
        pytest.skip(f"no Python {version} on PATH or in pyenv")
    python = folder / "bin" / "python"
    lock = ROOT / "requirements" / "run.lock"
    for command in (
        [base, "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(lock)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"{' '.join(command[:4])} failed: {done.stderr.strip().splitlines()[-1:]}")
    return python


def with_kernel(python: Path, folder: Path) -> bool:
    """Build the compiled kernel for a Python and put it into its environment; return whether it is used there."""
    sources = shutil.copytree(ROOT / "kernel", folder / "kernel", ignore=shutil.ignore_patterns("build"))
    install = [
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        str(sources),
    ]
    if subprocess.run(install, capture_output=True, check=False).returncode:
        return False
    assert (
        run_aside([str(python), "-c", "from frontrow.core import kernel; print(kernel.described())"])
        == "compiled kernel\n"
    )
    return True


@pytest.mark.long
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("version", PYTHONS)
def test_a_digest_does_not_hang_on_the_version_of_python(
    rooms: list[Path], config: Path, digest: str, tmp_path: Path, version: str
) -> None:
    python = installed(version, tmp_path / "venv")
    run_aside(replay_command(python, config, rooms, tmp_path / "out"))
    assert digest_of(tmp_path / "out") == digest
    if not with_kernel(python, tmp_path):
        pytest.skip(
            "without the compiled kernel the digest is the same; it cannot be built for this Python here"
        )
    run_aside(replay_command(python, config, rooms, tmp_path / "compiled"))
    assert digest_of(tmp_path / "compiled") == digest


# ---------------------------------------------------------------- the live daemon


class EveningClock(SystemClock):
    """Waits in real time, while the wall clock goes with the stream: an hour of arrivals passes in seconds."""

    def __init__(self, at: int) -> None:
        self.at = at

    def now(self) -> int:
        return self.at


async def test_a_replayed_journal_gives_what_the_live_daemon_wrote(tmp_path: Path) -> None:
    """Rooms arrive side by side, over HTTP, in batches of any size, with repeats and restarts in between."""
    async with scripted_server(Reply(204)) as crm:
        sink = f'\n[[sinks]]\nid = "crm"\nkind = "webhook"\nurl = "{crm.url}/hook"\nsecret = "a-secret-of-tests"\n'
        config = write_config(tmp_path, LEARNING + sink)
        arrivals = list(simulate(evening("r1", "r2")).arrivals())
        clock = EveningClock(arrivals[0][0])
        batches = list(_batches(arrivals, random.Random(3)))
        third = len(batches) // 3
        for part in (batches[:third], batches[third : 2 * third], batches[2 * third :]):
            async with running(config, clock=clock) as daemon:
                token = daemon.token(Role.ADMIN)
                await _send(daemon, token, clock, part)
                assert (await _send(daemon, token, clock, part[-3:])) == 0  # what came last comes again
        at_the_end = await _seen(config, clock)
        sent = [json.loads(request.body) for request in crm.requests]

    store = tmp_path / "data" / "frontrow.db"
    assert replayed(tmp_path / "a", config, store) == replayed(
        tmp_path / "b", config, store, "--frame-size", "37"
    )
    assert_same_leads(leads_as_replayed(store), (tmp_path / "a" / "leads.ndjson").read_bytes())

    model = json.loads((tmp_path / "a" / "model.json").read_bytes())
    assert at_the_end == {
        "intercept": round(model["intercept"], 4),  # as people are shown it
        "labels": model["labels"],
        "positives": model["positives"],
        # The name of a model is the hash of all that it knows, so it stands for every weight.
        "last lead's model": model["version"],
    }

    leads = [msgspec.json.decode(body, type=Lead) for (body,) in rows(store, "SELECT body FROM leads")]
    alerts = [
        msgspec.json.decode(body, type=LeadAlert) for (body,) in rows(store, "SELECT alert FROM outbox")
    ]
    assert sorted(map(_told, alerts)) == sorted(map(_told, leads))
    assert {each["data"]["lead"] for each in sent} <= {lead.lead for lead in leads}


def _batches(
    arrivals: Sequence[tuple[int, Any]], dice: random.Random
) -> Iterator[tuple[int, dict[str, bytes]]]:
    """Yield (arrival of the last event, body by room) of so many events as fall together."""
    start = 0
    while start < len(arrivals):
        part = arrivals[start : start + dice.choice((1, 5, 40, 200))]
        start += len(part)
        bodies = {
            id: b"\n".join(encode_event(event) for _, event in part if event.room == room)
            for id, room in (("demo", "r1"), ("other", "r2"))
        }
        yield part[-1][0], {id: body for id, body in bodies.items() if body}


async def _send(
    daemon: Running, token: str, clock: EveningClock, batches: Sequence[tuple[int, dict[str, bytes]]]
) -> int:
    """Post batches, those of the rooms at the same time; return how many events were new."""
    accepted = 0
    for at, bodies in batches:
        clock.at = max(clock.at, at)
        async with asyncio.TaskGroup() as group:
            posts = [
                group.create_task(daemon.ingest(body, room=room, token=token))
                for room, body in bodies.items()
            ]
        answers = [post.result().json() for post in posts]
        assert not any(answer["rejected"] for answer in answers)
        accepted += sum(answer["accepted"] for answer in answers)
    return accepted


async def _seen(config: Path, clock: EveningClock) -> dict[str, Any]:
    """Start once more, make one last lead, and return what can be seen of the model from outside."""
    events = [
        event("form_submit", viewer="last", id="last-1", at=clock.at),
        event("product_click", viewer="last", id="last-2", at=clock.at),
    ]
    async with running(config, clock=clock) as daemon:
        token = daemon.token(Role.ADMIN)
        await daemon.ingest(b"\n".join(map(encode_event, events)), token=token)
        rows = (await daemon.http.get("/api/v1/rooms/demo/viewers", params={"token": token})).json()[
            "viewers"
        ]
        metrics = (await daemon.http.get("/metrics")).text
        [lead] = (await daemon.http.get("/api/v1/leads", params={"token": token, "limit": 1})).json()["leads"]
    [last] = [row for row in rows if row["viewer"] == lead["viewer"] == "last"]
    [intercept] = [reason["logit"] for reason in last["reasons"] if reason["name"] == "intercept"]

    def metric(name: str) -> int:
        [value] = [line.split()[1] for line in metrics.splitlines() if line.startswith(f"{name} ")]
        return int(float(value))

    return {
        "intercept": intercept,
        "labels": metric("frontrow_model_labels"),
        "positives": metric("frontrow_model_positives"),
        "last lead's model": lead["model"],
    }


def _told(what: LeadAlert | Lead) -> tuple[Any, ...]:
    """Return what an alert tells of its lead: the rules, and no feature."""
    rules = [msgspec.to_builtins(reason) for reason in what.reasons if reason.kind == "rule"]
    return (
        *(what.lead, what.platform, what.room, what.session, what.viewer, what.grade, what.points),
        *(what.decided_at, what.product or "", -1.0 if what.probability is None else what.probability),
        orjson.dumps(rules),
    )
