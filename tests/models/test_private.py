"""Files with viewers' ids are for their owner alone, as the store is."""

import os
from pathlib import Path

from frontrow_models.private import open_private


def test_only_its_owner_may_read_a_file_also_if_it_was_there_before(tmp_path: Path) -> None:
    before = tmp_path / "before"
    before.write_bytes(b"longer than what comes")
    before.chmod(0o644)
    for path in (before, tmp_path / "new"):
        with open_private(path) as file:
            file.write(b"ids")
        assert (path.stat().st_mode & 0o777, path.read_bytes()) == (0o600, b"ids")


def test_a_device_stays_as_it_is() -> None:
    mode = os.stat(os.devnull).st_mode
    with open_private(Path(os.devnull)) as file:
        file.write(b"ids")
    assert os.stat(os.devnull).st_mode == mode
