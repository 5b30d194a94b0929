"""One warm process for all tests here, and the seed that their moments are drawn from."""

import os
from collections.abc import Iterator

import pytest

from tests.crash.incarnations import Zygote, zygote

RATE = 40.0  # an hour of the daemons' time in 90 seconds of ours, so that labels mature and sessions end


@pytest.fixture(scope="session")
def warm() -> Iterator[Zygote]:
    with zygote(rate=RATE) as started:
        yield started


@pytest.fixture
def seed() -> Iterator[int]:
    """Return what moments are drawn from; a test that fails tells it."""
    drawn = int(os.environ.get("FRONTROW_TEST_SEED", "1"))
    yield drawn
    print(f"run it again with FRONTROW_TEST_SEED={drawn}")  # noqa: T201  # pytest shows it where a test fails
