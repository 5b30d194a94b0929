"""A snapshot is taken over only by an engine that would have computed the same."""

from pathlib import Path

import pytest

from frontrow.app.keeping import identity_of
from frontrow.app.parts import load_config

BASE = """
[[rooms]]
id = "demo"
platform = "sim"
room = "demo"
timezone = "Asia/Shanghai"

[points]
hot = 80

[storage]
path = "a.db"
"""


def identity(tmp_path: Path, text: str) -> dict[str, str]:
    path = tmp_path / "config.toml"
    path.write_text(text, "utf-8")
    return identity_of(load_config(path, {}))


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("hot = 80", "hot = 90", False),
        ("Asia/Shanghai", "Europe/Berlin", False),  # the day of rules that pay once a day
        ("[storage]", '[model]\nchallengers = ["slow"]\npromotion = "policy"\n[storage]', True),
        ('path = "a.db"', 'path = "b.db"', True),
        ('id = "demo"', 'id = "other"', True),
    ],
)
def test_only_what_the_engine_computes_with_makes_another_identity(
    tmp_path: Path, before: str, after: str, same: bool
) -> None:
    assert (identity(tmp_path, BASE) == identity(tmp_path, BASE.replace(before, after))) is same
