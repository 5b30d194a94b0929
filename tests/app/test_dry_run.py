"""A dry run says what other rules would have made of leads that were, and changes nothing."""

from pathlib import Path

import pytest

from frontrow.app.dry_run import DAY_MS, lines_of, tried
from frontrow.app.lead_centre import database_url
from frontrow.app.parts import load_config
from frontrow.cli import main
from frontrow.core.centre.assignment import Conditions, Rule
from tests.support.centre import START, Scene, a_policy
from tests.support.daemons import write_config

RULES = (
    Rule(name="A's viewers", when=Conditions(hosts=("A",)), team="sh-a"),
    Rule(name="others", team="hz-a"),
)
OTHER = """
[storage]
path = "{folder}/frontrow.db"
[[centre.rules]]
name = "B's viewers"
team = "sh-a"
when = {{ hosts = ["B"] }}
[[centre.rules]]
name = "others"
team = "hz-a"
[[centre.rules]]
name = "nobody's"
pool = "cold"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A lead centre whose last day had four leads of A's and two of B's."""
    write_config(tmp_path, OTHER.format(folder=tmp_path))
    url = database_url(load_config(tmp_path / "config.toml", {}))
    scene = Scene(a_policy(rules=RULES), url=url)
    scene.hot("early", 0, host="B")
    for number in range(6):
        scene.hot(f"v{number}", DAY_MS + number, host="A" if number < 4 else "B")
    scene.close()
    return tmp_path


def test_which_rule_would_take_each_lead_and_what_would_be_otherwise(folder: Path) -> None:
    config = load_config(folder / "config.toml", {})
    trial = tried(config, config, from_at=None, to_at=None)
    assert (trial.leads, trial.from_at, trial.to_at) == (6, START + 6, START + DAY_MS + 6)
    assert trial.by_rule == {"B's viewers": 2, "others": 4, "nobody's": 0}
    assert trial.before == {"A's viewers": 4, "others": 2}
    assert trial.by_team == {"hz-a": 4, "sh-a": 2}
    assert trial.by_seller == {"li": 2, "wang": 2, "zhou": 2}
    assert {(each.was, each.would_be) for each in trial.elsewhere} == {
        ("team sh-a, rule A's viewers", "team hz-a, rule others"),
        ("team hz-a, rule others", "team sh-a, rule B's viewers"),
    }
    lines = lines_of(trial)
    assert lines[:5] == [
        "6 leads; 6 would go elsewhere",
        "  rule B's viewers: 2 (+2)",
        "  rule others: 4 (+2)",
        "  rule nobody's: 0 (+0)",
        "  rule A's viewers: 0 (-4)",
    ]


def test_the_command_takes_a_time_and_refuses_what_is_none(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(folder / "config.toml")
    assert main(["centre", "dry-run", "--config", config, "--from", "2025-06-15", "--to", "2025-06-16"]) == 0
    assert capsys.readouterr().out.startswith("1 leads; 1 would go elsewhere")
    assert main(["centre", "dry-run", "--config", config, "--from", "yesterday"]) == 2
    assert "2026-03-31" in capsys.readouterr().err


def test_the_same_rules_change_nothing(tmp_path: Path) -> None:
    same = OTHER.replace("B", "A").replace('[[centre.rules]]\nname = "nobody\'s"\npool = "cold"\n', "")
    write_config(tmp_path, same.format(folder=tmp_path))
    config = load_config(tmp_path / "config.toml", {})
    scene = Scene(a_policy(rules=RULES), url=database_url(config))
    for number in range(5):
        scene.hot(f"v{number}", number, host="A" if number % 2 else "B")
    before = scene.dump()
    trial = tried(config, config, from_at=None, to_at=None)
    assert (trial.leads, trial.elsewhere) == (5, ())
    assert scene.dump() == before
    scene.close()
