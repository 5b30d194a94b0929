"""The collector leaves what stays alone, and is as it was when the daemon has ended."""

import gc
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
