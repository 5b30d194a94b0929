"""What the benchmarks share: processes with what they cost, repeated rounds, and tables.

Figures are medians over rounds, since one round on a shared machine says little. Processor time stands beside wall
time for the same reason: other work on the machine lengthens the one and hardly the other.
"""

import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

from tests.support.daemons import ROOT, SOURCE_ROOTS

Key = TypeVar("Key")
Result = TypeVar("Result")

ROUNDS = 3
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process took from its start to its end."""

    wall_s: float
    cpu_s: float


def python(*arguments: str | Path, cwd: Path) -> Cost:
    """Run this Python with these arguments to its end, as a user's shell would, and return what it cost.

    Raises:
        AssertionError: It failed; with what it wrote to standard error.
    """
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([*SOURCE_ROOTS, str(ROOT)])}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # users have their modules compiled beforehand
    errors = cwd / "stderr.txt"
    with errors.open("wb") as stderr:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            cwd=cwd,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=environ,
        )
        _, status, usage = os.wait4(process.pid, 0)  # of this process alone, other than RUSAGE_CHILDREN
        wall_s = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, errors.read_text("utf-8", "replace")
    return Cost(wall_s, usage.ru_utime + usage.ru_stime)


def rounds(run: Callable[[], Result], count: int = ROUNDS) -> list[Result]:
    """Return the results of so many runs."""
    return [run() for _ in range(count)]


def in_turn(
    runs: Mapping[Key, Callable[[], Result]], count: int = ROUNDS, *, budget_s: float = 60.0
) -> dict[Key, list[Result]]:
    """Return the results of each of ``runs``, taken in turn (A B A B …): what slows the machine slows all of them.

    At least once, and no round begins after ``budget_s`` seconds: on a busy machine there are fewer rounds.
    """
    found: dict[Key, list[Result]] = {name: [] for name in runs}
    began = time.perf_counter()
    for number in range(count):
        if number and time.perf_counter() - began > budget_s:
            break
        for name, run in runs.items():
            found[name].append(run())
    return found


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this thread, and every process that it starts, on one core; on systems that can, which is Linux."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def in_a_fresh_process(function: Callable[[], Result]) -> Result:
    """Return what a module's function returns in a Python of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function).result()


def median(values: Iterable[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least ``share`` (0 to 1) of all do not exceed; no interpolation."""
    ordered = sorted(values)
    rank = -(-len(ordered) * round(share * 1000) // 1000)
    return ordered[max(0, rank - 1)]


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]], *notes: str) -> None:
    """Print a table: the first column to the left, numbers to the right, and the machine below."""
    lines = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    print(f"\n\n{title}")
    for line in lines:
        cells = [line[0].ljust(widths[0])] + [
            cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)
        ]
        print("  " + "  ".join(cells).rstrip())
    for note in (*notes, _machine()):
        print(f"  {note}")


def _machine() -> str:
    load = os.getloadavg()[0]
    return (
        f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}, "
        f"{psutil.cpu_count()} processors, load {load:.1f} now"
    )
