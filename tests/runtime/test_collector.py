"""The collector leaves what stays alone, and is as it was when the daemon has ended."""

import gc
import platform
import subprocess
import sys
from collections.abc import Iterator

import pytest

from frontrow.runtime import collector


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    yield
    collector.release()


def test_what_lives_is_not_walked_again() -> None:
    kept = [[number] for number in range(10_000)]
    collector.settle()
    assert gc.get_freeze_count() > len(kept)
    assert gc.get_threshold() == collector.THRESHOLDS
    assert not any(each is kept for each in gc.get_objects())


def test_all_is_as_before_when_it_is_released_twice() -> None:
    before = gc.get_threshold()
    collector.settle()
    collector.release()
    collector.release()
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)


OUTGROWN = """
import sys, psutil, numpy as np
from frontrow.runtime import collector
if sys.argv[1:] == ["set"]:
    collector.give_back()
process = psutil.Process()
np.ones(3_500_000)  # 28 MB: from now on less than that comes out of the heap, unless that was forbidden
outgrown = np.ones(2_500_000)
behind = [bytes(90_000) for _ in range(40)]  # which lies behind it in the heap, and stays
held = process.memory_info().rss
del outgrown
print(held - process.memory_info().rss)
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="another C library gives memory back as it likes"
)
def test_an_outgrown_column_goes_back_to_the_system() -> None:
    def given_back(*arguments: str) -> int:
        command = [sys.executable, "-c", OUTGROWN, *arguments]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert given_back() < 1_000_000  # what it is about: else this shows nothing
    assert given_back("set") > 19_000_000
