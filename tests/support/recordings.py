"""Where the recordings are that some tests read; they are no part of the repository."""

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("FRONTROW_RECORDINGS") or Path(__file__).parents[2] / "../shared/data")


def recording(name: str) -> Path:
    """Return the path of a recording, or skip the test with a plain sentence when it is not there."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"the recording {name} is not there; set FRONTROW_RECORDINGS to the folder that has it")
    return path
