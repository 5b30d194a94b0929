"""`frontrow check` names rules that take nothing, an organisation that does not fit together, and names of what there is not."""

from pathlib import Path

import pytest

from frontrow.app.lead_centre import database_url
from frontrow.app.parts import load_config
from frontrow.cli import DONE, WRONG, main
from frontrow.core.centre.organisation import OrgChange, Seller, Unit
from tests.support.centre import Scene
from tests.support.daemons import BASE, write_config

ORGANISATION = """
[[centre.units]]
id = "east"
kind = "region"
[[centre.units]]
id = "hz"
kind = "store"
parent = "east"
[[centre.units]]
id = "a"
kind = "team"
parent = "hz"
[[centre.sellers]]
id = "li"
team = "a"
"""


def rule(name: str, rest: str) -> str:
    return f'[[centre.rules]]\nname = "{name}"\n{rest}\n'


def checked(folder: Path, more: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    path = write_config(folder, more)
    code = main(["check", "--config", str(path)])
    return code, [line.removeprefix(f"{path}") for line in capsys.readouterr().err.splitlines()]


def line_of(more: str, text: str, nth: int = 1) -> int:
    lines = (BASE + more).splitlines()
    return [number for number, line in enumerate(lines, start=1) if line == text][nth - 1]


@pytest.mark.parametrize(
    ("rules", "name", "reason"),
    [
        (rule("all", 'team = "a"') + rule("late", 'team = "a"'), "late", "is hidden: 'all' stands before it"),
        (rule("lost", 'team = "nowhere"'), "lost", "can never match: there is no team 'nowhere'"),
        (rule("mars", 'team = "a"\nwhen = { platforms = ["mars"] }'), "mars", "there is no platform 'mars'"),
        (
            rule("cold ones", 'team = "a"\nwhen = { grades = ["cold"], points_at_least = 90 }'),
            "cold ones",
            "has at most 39 points, and it wants 90",
        ),
        (
            rule("x", 'team = "a"\nwhen = { platforms = ["test", "mars"] }'),
            "x",
            "names a platform that there is not: 'mars'",
        ),
    ],
)
def test_a_rule_that_takes_nothing_is_named_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rules: str, name: str, reason: str
) -> None:
    more = ORGANISATION + rules
    code, lines = checked(tmp_path, more, capsys)
    assert code == WRONG
    [line] = lines[:-1]
    number = list((BASE + more).splitlines()).index(f'name = "{name}"') + 1
    index = rules.split("[[centre.rules]]")[1:].index(
        next(part for part in rules.split("[[centre.rules]]")[1:] if f'"{name}"' in part)
    )
    assert line.startswith(f":{number}:"), line
    assert f"centre.rules[{index}].name: " in line
    assert reason in line
    assert lines[-1] == "1 mistake in the configuration."


def test_two_rules_of_one_name_are_named_at_the_second(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hosts = 'team = "a"\nwhen = {{ hosts = ["{}"] }}'
    more = ORGANISATION + rule("same", hosts.format("A")) + rule("same", hosts.format("B"))
    code, [line, _] = checked(tmp_path, more, capsys)
    assert code == WRONG
    second = line_of(more, 'name = "same"', 2)
    assert line.startswith(f":{second}:")


def test_all_that_does_not_fit_together_is_named_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = (
        ORGANISATION
        + '[[centre.sellers]]\nid = "wu"\nteam = "nowhere"\n'
        + '[centre]\nfallback = "publik"\n'
        + '[[rooms]]\nid = "third"\nplatform = "test"\nroom = "r3"\nstore = "hx"\n'
    )
    code, lines = checked(tmp_path, more, capsys)
    assert code == WRONG
    text = "\n".join(lines)
    assert "centre.sellers[1]" in text and "seller wu belongs to nowhere, which does not exist" in text
    assert "centre.fallback: there is no pool 'publik'" in text and "did you mean 'public'?" in text
    assert "rooms[2].store: there is no store 'hx'" in text
    assert lines[-1] == "3 mistakes in the configuration."


def test_a_sound_configuration_is_right_and_who_can_take_nothing_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checked(tmp_path, ORGANISATION + rule("all", 'team = "a"'), capsys) == (DONE, [])
    nobody = '[[centre.units]]\nid = "b"\nkind = "team"\nparent = "hz"\n' + rule("all", 'team = "b"')
    code, [line] = checked(tmp_path, ORGANISATION + nobody, capsys)
    assert code == DONE
    assert "where nobody can take any" in line and line.endswith("(a warning)")


def test_without_an_organisation_rules_are_only_judged_by_what_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checked(tmp_path, rule("all", 'team = "a"'), capsys) == (DONE, [])
    hidden = rule("all", 'team = "a"') + rule("late", 'team = "b"')
    code, lines = checked(tmp_path, hidden, capsys)
    assert code == WRONG and "hidden" in lines[0]


def test_by_an_organisation_that_was_imported_they_are_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = f'[storage]\npath = "{tmp_path}/x.db"\n' + rule("to b", 'team = "b"')
    url = database_url(load_config(write_config(tmp_path, more), {}))
    units = (Unit(id="hz", kind="store"), Unit(id="a", kind="team", parent="hz"))
    Scene(organisation=OrgChange(units=units, sellers=(Seller(id="li", team="a"),)), url=url).close()
    code, [line] = checked(tmp_path, more, capsys)
    assert code == DONE
    assert "there is no team 'b'" in line and line.endswith("(a warning)")


def test_a_broadcast_of_a_room_that_there_is_not_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = checked(tmp_path, '[[centre.broadcasts]]\nrooms = ["demo", "othr"]\n', capsys)
    assert code == WRONG
    assert any("centre.broadcasts[0].rooms" in line and "'othr'" in line and "other" in line for line in told)


FEIYU = """[[sinks]]
id = "back"
kind = "feiyu"
signature_key = "key"
access_token = "token"
states = { no_answer = 0, wonn = 285 }
"""


def test_an_outcome_that_the_trade_does_not_have_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An order would close no lead, and a platform be told the pack's state where another was meant."""
    code, lines = checked(tmp_path, '[centre]\norder_outcome = "wonn"\n' + FEIYU, capsys)
    assert code == WRONG
    ordered, told = lines[:-1]
    assert "no outcome 'wonn': no paid order closes a lead (did you mean 'won'?)" in ordered
    assert "sinks[0].states.wonn: the trade 'commerce' has no outcome 'wonn' (did you mean 'won'?)" in told


@pytest.mark.parametrize("order", ["", "booked"])
def test_an_outcome_of_the_trade_or_none_is_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], order: str
) -> None:
    more = f'[centre]\norder_outcome = "{order}"\n' + FEIYU.replace("wonn", "won")
    assert checked(tmp_path, more, capsys) == (0, [])


def test_a_sink_that_hears_of_nothing_without_the_lead_centre_is_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, [warning] = checked(tmp_path, "[centre]\nenabled = false\n" + FEIYU, capsys)
    assert code == 0
    assert "sinks[0].kind: a sink of the kind 'feiyu' hears of nothing without the lead centre" in warning
