"""What every test gets: a clean environment, no colours, and the recordings' folder where it is there."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from frontrow.core import kernel

ROOT = Path(__file__).parent.parent

# How fast an example runs says something of the machine, not of us; what is too slow for a test shows in its timeout.
settings.register_profile(
    "frontrow", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("frontrow")


MOST_WORKERS = 8  # each has a lexicon and a browser of its own, half a gigabyte


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return how many ``-n auto`` is: one for each core that we may use, whatever else the machine has."""
    return min(len(os.sched_getaffinity(0)), MOST_WORKERS)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting of the developer's own shell must not decide a test."""
    for name in list(os.environ):
        if name.startswith("FRONTROW__"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def fresh_logging() -> Iterator[None]:
    """A test that configures logging leaves none of it behind."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def kernel_present() -> None:
    """For what compares the compiled kernel with Python: skips where it is not built."""
    if kernel.compiled is None:
        pytest.skip(kernel.described())


@pytest.fixture(params=["compiled", "python"])
def each_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Lets a test run with the compiled kernel and without; what it makes after this goes that way."""
    way = str(request.param)
    if way == "python":
        monkeypatch.setattr(kernel, "compiled", None)
    elif kernel.compiled is None:
        pytest.skip(kernel.described())
    return way


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of recorded streams and fixtures; it is not part of the project."""
    folder = Path(os.environ.get("FRONTROW_RECORDINGS", ROOT / ".." / "shared" / "data")).resolve()
    if not (folder / "streams").is_dir():
        pytest.skip(f"no recordings at {folder}: set FRONTROW_RECORDINGS to their folder")
    return folder
