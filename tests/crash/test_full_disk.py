"""A disk that is full, for real: the store lies on a small tmpfs, and a ballast file takes the room and gives it back.

The tmpfs is mounted in a mount namespace of its own, which ends with the test; the machine's own mounts are not
touched. Where such a namespace is not allowed, these tests skip.
"""

import contextlib
import hashlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from frontrow.cli import DONE, FAILED
from frontrow.core.events import Event, encode_event
from tests.crash.checks import assert_once, stored_ids
from tests.crash.incarnations import Incarnation, Zygote, comes_up, ended, until_ready, zygote
from tests.support.daemons import write_config
from tests.support.ports import stable_port
from tests.support.rooms import event

MEGABYTES = 8
ENDS_WITHIN_S = 15.0

pytestmark = pytest.mark.timeout(240)


@dataclass(frozen=True, slots=True)
class Disk:
    """A small disk, as seen from outside of its namespace, and how to run something inside."""

    inside: Path
    outside: Path
    enter: tuple[str, ...]

    @property
    def ballast(self) -> Path:
        return self.outside / "ballast"

    @property
    def free(self) -> int:
        """How many bytes are left."""
        status = os.statvfs(self.outside)
        return status.f_bavail * status.f_frsize

    def fill(self, *, leave: int = 0) -> None:
        """Take all room but so many bytes."""
        with self.ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while self.free > leave:
                file.write(bytes(min(65_536, self.free - leave)))

    def make_room(self) -> None:
        self.ballast.unlink()


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    folder = tmp_path_factory.mktemp("disk")
    alone = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    script = f"mount -t tmpfs -o size={MEGABYTES}m,mode=700 tmpfs '{folder}' && echo mounted && exec cat"
    try:
        holder = subprocess.Popen(
            [*alone, "sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    except FileNotFoundError:
        pytest.skip("no unshare here, so no disk can be made to fill")
    assert holder.stdout is not None and holder.stderr is not None
    try:
        if holder.stdout.readline() != "mounted\n":
            pytest.skip(f"no tmpfs can be mounted here: {holder.stderr.read().strip()}")
        user = () if os.geteuid() == 0 else ("-U", "--preserve-credentials")
        enter = ("nsenter", "-t", str(holder.pid), "-m", *user)
        yield Disk(folder, Path(f"/proc/{holder.pid}/root{folder}"), enter)
    finally:
        holder.communicate()  # its input ends, and with it the namespace and the mount


@pytest.fixture(scope="module")
def warm(disk: Disk) -> Iterator[Zygote]:
    """A warm process that sees the disk."""
    with zygote(prefix=disk.enter) as started:
        yield started


class Setting:
    """A daemon's configuration outside of the disk, and its store on it."""

    def __init__(self, warm: Zygote, disk: Disk, folder: Path, http: httpx.Client) -> None:
        self.warm = warm
        self.http = http
        self._folder = folder
        self._numbers = itertools.count()
        self._stored = disk.outside / folder.name
        self.port = stable_port(random.Random(folder.name))
        http.base_url = httpx.URL(f"http://127.0.0.1:{self.port}")
        self.config = write_config(folder)
        text = self.config.read_text("utf-8").replace("port = 0", f"port = {self.port}", 1)
        store = disk.inside / folder.name / "frontrow.db"
        self.config.write_text(f'{text}\n[storage]\npath = "{store}"\n', "utf-8")

    def take_snapshots(self) -> None:
        """Have the daemons that are started from here on take a snapshot every second."""
        text = self.config.read_text("utf-8")
        self.config.write_text(text.replace("[storage]", "[storage]\nsnapshot_every_s = 1"), "utf-8")

    def snapshots(self) -> dict[str, int]:
        """Return the whole snapshots, and how many bytes each has."""
        return {path.name: path.stat().st_size for path in self._stored.glob("frontrow.db.snapshots/*.snap")}

    def snapshot_beyond(self, frame: int) -> bool:
        """Whether there is a snapshot of all up to a frame."""
        return any(int(name.removesuffix(".snap")) >= frame for name in self.snapshots())

    def one_more(self, token: str) -> list[str]:
        """Post one event after a moment, so that there is something new to keep; return what was acknowledged."""
        time.sleep(0.1)  # real time: the daemon takes a snapshot every second of it
        ids = [f"more-{next(self._numbers)}"]
        return ids if self.crowd(token, ids) == 200 else []

    def token(self) -> str:
        """Make a token from inside, where the store has its name."""
        made = self.warm.program(
            self._folder, "token", "create", "--role", "ingest", "--config", str(self.config)
        )
        assert made.wait() == DONE, made.complaint()
        return made.out.read_text("utf-8").strip()

    def stored(self) -> Counter[str]:
        """Return what is in the journal, read from a copy: SQLite does not look into another namespace."""
        copy = self._folder / "copy"
        copy.mkdir(exist_ok=True)
        for file in self._stored.glob("frontrow.db*"):
            if file.is_file():  # the snapshots' folder is none, and derived from the journal
                shutil.copy(file, copy)
        (copy / "frontrow.db-shm").unlink(missing_ok=True)
        return stored_ids(copy / "frontrow.db")

    def start(self) -> Incarnation:
        daemon = self.warm.run(self.config)
        until_ready(daemon)
        return daemon

    def post(self, token: str, ids: list[str]) -> int:
        """Post comments full of noise; return the status, 0 for no answer."""
        dice = random.Random(ids[0])
        now = self.warm.clock.now()
        return self._post(
            token, [event("comment", id=id, text=f"{dice.getrandbits(2_000):x}", at=now) for id in ids]
        )

    def crowd(self, token: str, ids: list[str]) -> int:
        """Post a like of a viewer of its own for each id; return the status, 0 for no answer."""
        now = self.warm.clock.now()
        return self._post(token, [event("like", id=id, viewer=_name(id), at=now) for id in ids])

    def _post(self, token: str, events: list[Event]) -> int:
        lines = [encode_event(each) for each in events]
        try:
            answer = self.http.post(
                "/ingest/demo", content=b"\n".join(lines), headers={"authorization": f"Bearer {token}"}
            )
        except httpx.TransportError:
            return 0
        if answer.status_code == 200:
            found = answer.json()
            assert found["accepted"] + found["duplicates"] == len(events)
        return answer.status_code


def _name(id: str) -> str:
    """Return the name of a viewer, which no compression makes shorter."""
    return hashlib.sha256(id.encode()).hexdigest()[:32]


@pytest.fixture
def setting(warm: Zygote, disk: Disk, tmp_path: Path) -> Iterator[Setting]:
    with httpx.Client(timeout=10) as http:
        yield Setting(warm, disk, tmp_path, http)
    disk.ballast.unlink(missing_ok=True)
    shutil.rmtree(disk.outside / tmp_path.name, ignore_errors=True)


def assert_said(daemon: Incarnation) -> None:
    """It has ended by itself, in words that tell what to do."""
    assert ended(daemon, within_s=ENDS_WITHIN_S) == FAILED, daemon.complaint()
    complaint = daemon.complaint()
    assert "Traceback" not in complaint
    last = complaint.splitlines()[-1]
    assert last.startswith("frontrow: ")
    assert "frontrow.db" in last  # which disk it is


def test_a_disk_that_fills_ends_it_and_after_making_room_the_sender_goes_on(
    setting: Setting, disk: Disk
) -> None:
    """What was acknowledged is there, what was not is sent again, and all of it is there once."""
    token = setting.token()
    daemon = setting.start()
    disk.fill(leave=800_000)
    batches = [[f"{number}-{each}" for each in range(50)] for number in range(200)]
    acknowledged: list[str] = []
    refused = 0
    for ids in batches:
        refused = setting.post(token, ids)
        if refused != 200:
            break
        acknowledged += ids
    assert refused in (0, 503)
    assert_said(daemon)
    assert "cannot be written" in daemon.complaint()
    assert "journal_failed" in daemon.complaint()
    assert 0 < len(acknowledged) < 200 * 50

    disk.make_room()
    daemon = setting.start()
    more = batches[: len(acknowledged) // 50 + 5]
    for ids in more:
        assert setting.post(token, ids) == 200
    daemon.signal(signal.SIGTERM)
    assert ended(daemon, within_s=ENDS_WITHIN_S) == DONE
    found = setting.stored()
    assert_once(found, acknowledged)
    assert found.keys() == {id for ids in more for id in ids}


def test_a_disk_that_is_full_at_the_first_start_is_said(setting: Setting, disk: Disk) -> None:
    disk.fill()
    daemon = setting.warm.run(setting.config)
    assert_said(daemon)
    disk.make_room()
    daemon = setting.start()
    daemon.signal(signal.SIGTERM)
    assert ended(daemon, within_s=ENDS_WITHIN_S) == DONE


@pytest.mark.parametrize("leave", [0, 4_096, 40_000])
def test_a_disk_that_is_full_at_a_later_start_loses_nothing(setting: Setting, disk: Disk, leave: int) -> None:
    """It may say so at the start or with the first event; it must not acknowledge what it cannot keep."""
    token = setting.token()
    daemon = setting.start()
    ids = [f"before-{number}" for number in range(50)]
    assert setting.post(token, ids) == 200
    daemon.signal(signal.SIGKILL)
    assert ended(daemon, within_s=ENDS_WITHIN_S) == -signal.SIGKILL
    disk.fill(leave=leave)
    daemon = setting.warm.run(setting.config)
    acknowledged = list(ids)
    if comes_up(daemon):
        for batch in range(100):
            late = [f"late-{batch}-{number}" for number in range(50)]
            if setting.post(token, late) != 200:
                break
            acknowledged += late
    assert_said(daemon)

    disk.make_room()
    daemon = setting.start()
    assert setting.post(token, ids) == 200
    daemon.signal(signal.SIGTERM)
    assert ended(daemon, within_s=ENDS_WITHIN_S) == DONE
    assert_once(setting.stored(), acknowledged)


CROWD = 20_000  # viewers, of whom a snapshot has some hundred kilobytes


@pytest.mark.parametrize(
    ("share", "goes_on"), [(0.6, True), (0.02, None), (0.0, None)], ids=["for the journal", "little", "none"]
)
def test_a_disk_with_too_little_room_for_a_snapshot_loses_nothing(
    setting: Setting, disk: Disk, share: float, goes_on: bool | None
) -> None:
    """A snapshot that finds no room is given up, said, and tried again; the journal that finds none ends the daemon.

    ``share`` is how much of a snapshot there is room for.
    """
    token = setting.token()
    setting.take_snapshots()
    daemon = setting.start()
    acknowledged: list[str] = []
    for batch in range(CROWD // 1_000):
        ids = [f"early-{batch}-{number}" for number in range(1_000)]
        assert setting.crowd(token, ids) == 200
        acknowledged += ids
    while not setting.snapshot_beyond(CROWD // 1_000):
        acknowledged += setting.one_more(token)
    whole = setting.snapshots()
    disk.fill(leave=int(share * max(whole.values())))
    while daemon.alive and "snapshot_failed" not in daemon.complaint():
        acknowledged += setting.one_more(token)
    if goes_on:
        assert daemon.alive, daemon.complaint()
    if daemon.alive:
        assert setting.snapshots() == whole
        acknowledged += setting.one_more(token)
        disk.fill()
        while daemon.alive:
            acknowledged += setting.one_more(token)
    assert_said(daemon)

    disk.make_room()
    daemon = setting.start()
    while setting.snapshots().keys() <= whole.keys():
        acknowledged += (more := setting.one_more(token))
        assert more
    daemon.signal(signal.SIGTERM)
    assert ended(daemon, within_s=ENDS_WITHIN_S) == DONE
    assert_once(setting.stored(), acknowledged)
