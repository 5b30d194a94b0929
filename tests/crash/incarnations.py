"""Real daemons that live one after another on one store: started from a warm process, killed, looked at."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frontrow.cli import DONE, main
from tests.crash.zygote import FastClock
from tests.support.daemons import ROOT, SOURCE_ROOTS

READY_S = 60.0  # a start takes a second; a machine that is busy with others takes longer
POLL_S = 0.0005


@dataclass(frozen=True, slots=True)
class Incarnation:
    """One life of the daemon."""

    pid: int
    out: Path
    err: Path
    zygote: "Zygote"

    @property
    def ready(self) -> bool:
        """Whether it has said where it listens."""
        return "listens on" in self.out.read_text("utf-8")

    def signal(self, number: int) -> None:
        """Send a signal; it may have ended already, and then nothing happens."""
        # Its number cannot have been given to another process: it is not reaped before wait().
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait until it has ended and return its exit code, negative for a signal. Once; blocks."""
        return self.zygote.wait(self.pid)

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        return False

    def complaint(self) -> str:
        """Return what it wrote to standard error."""
        return self.err.read_text("utf-8")


class Zygote:
    """The test's side of :mod:`tests.crash.zygote`. ``prefix`` runs it inside something else (a mount namespace)."""

    def __init__(self, *, clock: FastClock, prefix: tuple[str, ...] = ()) -> None:
        self.clock = clock
        self._count = 0
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "tests.crash.zygote", str(clock.epoch_ms), str(clock.rate)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([*SOURCE_ROOTS, str(ROOT)]),
                "OPENBLAS_NUM_THREADS": "1",  # else numpy starts threads, and there must be none at a fork
            },
        )
        assert self._answer() == {"ready": True}

    def run(self, config: Path) -> Incarnation:
        """Start a daemon; what it says is kept beside its configuration."""
        return self.program(config.parent, "run", "--config", str(config))

    def program(self, folder: Path, *arguments: str) -> Incarnation:
        """Start any command; what it says is kept in ``folder``."""
        self._count += 1
        out, err = (folder / f"life-{self._count:03}.{kind}" for kind in ("out", "err"))
        out.touch()
        err.touch()
        pid = self._ask({"run": arguments, "out": str(out), "err": str(err)})["pid"]
        return Incarnation(pid, out, err, self)

    def wait(self, pid: int) -> int:
        code: int = self._ask({"wait": pid})["code"]
        return code

    def close(self) -> None:
        """End it and whatever it has started."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the warm process ended with {self._process.wait()}"
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextlib.contextmanager
def zygote(*, rate: float = 1.0, prefix: tuple[str, ...] = ()) -> Iterator[Zygote]:
    """Run a warm process for the length of the block; its daemons' clock runs at ``rate`` from now on."""
    started = Zygote(clock=_fast_clock(rate), prefix=prefix)
    try:
        yield started
    finally:
        started.close()


def _fast_clock(rate: float) -> FastClock:
    clock = FastClock()
    clock.epoch_ms, clock.rate = time.time_ns() // 1_000_000, rate  # noqa: TID251  # a real process's wall clock
    return clock


def comes_up(daemon: Incarnation) -> bool:
    """Wait until a daemon listens (true) or has ended instead (false)."""
    deadline = time.monotonic() + READY_S  # noqa: TID251  # a real process starts in real time
    while not daemon.ready:
        if not daemon.alive:
            return False
        assert time.monotonic() < deadline, f"never ready: {daemon.complaint()}"  # noqa: TID251  # as above
        time.sleep(POLL_S)
    return True


def until_ready(daemon: Incarnation) -> None:
    """Wait until a daemon listens; one that ends instead is a failed start."""
    assert comes_up(daemon), f"the daemon did not start: {daemon.complaint()}"


def ended(daemon: Incarnation, *, within_s: float) -> int:
    """Return the exit code of a daemon that ends in time; one that does not is killed, and a failure."""
    deadline = time.monotonic() + within_s  # noqa: TID251  # as above
    while daemon.alive:
        if time.monotonic() > deadline:  # noqa: TID251  # as above
            daemon.signal(signal.SIGKILL)
            daemon.wait()
            raise AssertionError(f"it did not end within {within_s} s: {daemon.complaint()}")
        time.sleep(POLL_S)
    return daemon.wait()


def make_token(config: Path, role: str = "ingest") -> str:
    """Make a token by the command line."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main(["token", "create", "--role", role, "--config", str(config)]) == DONE
    return said.getvalue().strip()


def until_written(path: Path, daemon: Incarnation, *, patience_s: float) -> bool:
    """Wait until a file of the daemon's is written to; return whether it was."""

    def stamp() -> int:
        with contextlib.suppress(FileNotFoundError):
            return path.stat().st_mtime_ns
        return 0

    before = stamp()
    deadline = time.monotonic() + patience_s  # noqa: TID251  # as above
    while time.monotonic() < deadline and daemon.alive:  # noqa: TID251  # as above
        if stamp() != before:
            return True
        time.sleep(POLL_S / 5)
    return False
