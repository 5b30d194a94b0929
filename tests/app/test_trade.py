"""What the configured trade says holds in the daemon: its words, its points, what its model learns from."""

from pathlib import Path

import pytest
from msgspec import structs

from frontrow.app.parts import built_in, load_config, make_engine, make_lexicons, make_pack
from frontrow.core.facts import SPEC
from frontrow.core.points import Policy
from frontrow.packs import path_of
from tests.support.daemons import write_config
from tests.support.rooms import event

ACCELERATION = event("comment", 0, text="百公里加速")


def test_a_trades_words_points_and_outcomes_hold(tmp_path: Path) -> None:
    config = load_config(write_config(tmp_path, '[centre]\npack = "auto"\n'), {})
    pack = make_pack(config)
    assert make_lexicons(config).facts(ACCELERATION, "CN") & SPEC
    assert config.points == pack.points != Policy()
    assert config.outcome.kinds == ("form_submit", "booking")
    assert set(config.outcome.won) == pack.won
    assert set(config.outcome.lost) == {"not_interested", *pack.lost}
    assert make_engine(config).policy == pack.points


def test_the_words_of_one_trade_mean_nothing_in_another(tmp_path: Path) -> None:
    assert make_lexicons(load_config(write_config(tmp_path), {})).facts(ACCELERATION, "CN") == 0


def test_what_holds_without_a_file_is_what_an_empty_one_says(tmp_path: Path) -> None:
    """Else a replay would learn from other outcomes than the daemon has."""
    empty = tmp_path / "empty.toml"
    empty.touch()
    by_file, without = load_config(empty, {}), built_in()
    assert structs.replace(by_file, storage=without.storage) == without
    assert without.outcome.won


@pytest.mark.parametrize("more", ["", '[centre]\nenabled = false\npack = "auto"\n'])
def test_without_a_trades_own_table_or_without_a_lead_centre_the_configuration_holds(
    tmp_path: Path, more: str
) -> None:
    assert load_config(write_config(tmp_path, more), {}).points == Policy()


def test_what_the_configuration_says_goes_before_what_the_trade_says(tmp_path: Path) -> None:
    said = '[centre]\npack = "auto"\n[points]\nhot = 85\n[outcome]\nkinds = ["booking"]\nlost = ["won"]\n'
    config = load_config(write_config(tmp_path, said), {})
    assert (config.points.hot, config.points.rules) == (85, Policy().rules)
    assert config.outcome.kinds == ("booking",)
    assert "won" in config.outcome.lost and "won" not in config.outcome.won


def test_a_trade_of_ones_own_lies_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "school.toml").write_text(
        path_of("auto").read_text("utf-8").replace('"auto"', '"school"'), "utf-8"
    )
    config = load_config(write_config(tmp_path, '[centre]\npack = "school.toml"\n'), {})
    assert make_pack(config).pack.name == "school"
    assert make_lexicons(config).facts(ACCELERATION, "CN") & SPEC
