"""What every test gets: a clean environment, no colours, and the recordings' folder where it is there."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

ROOT = Path(__file__).parent.parent


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
def recordings() -> Path:
    """The folder of recorded streams and fixtures; it is not part of the project."""
    folder = Path(os.environ.get("FRONTROW_RECORDINGS", ROOT / ".." / "shared" / "data")).resolve()
    if not (folder / "streams").is_dir():
        pytest.skip(f"no recordings at {folder}: set FRONTROW_RECORDINGS to their folder")
    return folder
