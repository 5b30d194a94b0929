"""A warm process that forks real daemons: ``python -m tests.crash.zygote EPOCH_MS RATE``.

A start of the program costs seconds, nearly all of them imports and the lexicon, which no kill can hurt. So one process
imports everything and compiles the lexicon, before any thread or loop exists, and forks. The child does what the
program does from ``frontrow.cli.main`` on, with files, sockets, locks and signals of its own, and is a process that
SIGKILL ends like any other.

One thing differs: the wall clock runs RATE times as fast since EPOCH_MS (UTC milliseconds), so that labels mature and
sessions end while a test waits; waiting itself is in real time. Rate 1 is the machine's own clock.

Commands come as lines of JSON on standard input, each with an answer on standard output: ``{"run": arguments, "out":
path, "err": path}`` → ``{"pid": n}``, ``{"wait": pid}`` → ``{"code": n}`` (negative: the signal). At the end of the
input whatever still runs is killed. The test's side is :mod:`tests.crash.incarnations`.
"""

import ctypes
import gc
import importlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from frontrow import cli
from frontrow.app.parts import make_lexicons
from frontrow.clock import SystemClock
from frontrow.config import defaults

# What the command line imports only when a command needs it.
WARM = (
    "frontrow.app.daemon", "frontrow.app.replaying", "frontrow.storage.store", "frontrow_connectors.registry",
    "frontrow_connectors.sinks.registry", "river.drift",
)  # fmt: skip
PR_SET_PDEATHSIG = 1  # Linux, prctl(2)


class FastClock(SystemClock):
    """The wall clock at a rate of its own; everything else is the machine's."""

    epoch_ms = 0
    rate = 1.0

    def now(self) -> int:
        return self.at(super().now())

    def at(self, now_ms: int) -> int:
        """Return what this clock shows when the machine's shows ``now_ms``."""
        return self.epoch_ms + int((now_ms - self.epoch_ms) * self.rate)


def serve() -> Sequence[str] | None:
    """Fork a child for each command until the input ends. Return in each child, with its arguments; None in the parent."""
    for module in WARM:
        importlib.import_module(module)
    make_lexicons(defaults())  # kept by the process
    # A fork with threads keeps their locks and not the threads.
    assert len(os.listdir("/proc/self/task")) == 1, "something has started a thread"
    gc.collect()
    gc.freeze()  # the children need not copy these pages to look at them
    _say({"ready": True})
    running: set[int] = set()
    for line in sys.stdin:
        command: dict[str, Any] = json.loads(line)
        if "run" in command:
            pid = os.fork()
            if pid == 0:
                _become_a_program(command["out"], command["err"])
                arguments: Sequence[str] = command["run"]
                return arguments
            running.add(pid)
            _say({"pid": pid})
        else:
            pid, status = os.waitpid(command["wait"], 0)
            running.discard(pid)
            _say({"code": os.waitstatus_to_exitcode(status)})
    for pid in running:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return None


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def _become_a_program(out: str, err: str) -> None:
    """Give the child a standard input, output and error of its own, and a session, as a supervisor would."""
    os.setsid()
    ctypes.CDLL(None).prctl(
        PR_SET_PDEATHSIG, signal.SIGKILL
    )  # whatever ends the tests, no daemon is left behind
    for path, flags, number in (
        (os.devnull, os.O_RDONLY, 0),
        (out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 1),
        (err, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 2),
    ):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)


def main() -> int:
    """Serve, and in each child be the program."""
    epoch_ms, rate = sys.argv[1:]
    FastClock.epoch_ms, FastClock.rate = int(epoch_ms), float(rate)
    cli.SystemClock = FastClock  # type: ignore[attr-defined]  # the one seam: the command line makes the clock
    arguments = serve()
    return 0 if arguments is None else cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
