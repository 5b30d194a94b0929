"""How a room sells right now: what came against what was expected, and nothing where that cannot be told."""

import math

import numpy as np
import pytest

from frontrow_models.levels import GRID, LASTS, MINUTE_MS, ROOMS, SPREAD, C, RoomLevels


def room(levels: RoomLevels, name: str, *, expected: float, came: int, minute: int) -> None:
    at = minute * MINUTE_MS + 1
    levels.expect([name] * 20, np.full(20, expected / 20), np.full(20, at))
    levels.hear([name] * came, np.ones(came), *np.full((2, came), at))


def at_minute(levels: RoomLevels, minute: int, *rooms: str) -> list[float]:
    levels.fade(minute * MINUTE_MS)
    found: list[float] = levels.of(rooms).tolist()
    return found


def by_hand(minutes: list[tuple[float, int]]) -> float:
    """Return the level of the only room there is that changes its luck, the others selling as expected, by the definition."""
    prior = [math.exp(-((g / SPREAD) ** 2) / 2.0) for g in GRID.tolist()]
    prior = [each / math.fsum(prior) for each in prior]
    known = prior
    keep = math.exp(-1.0 / LASTS)
    for expected, came in minutes:
        weighed = [
            p * math.exp(came * g - expected * math.exp(g)) for p, g in zip(known, GRID.tolist(), strict=True)
        ]
        total = math.fsum(weighed)
        known = [keep * p / total + (1.0 - keep) * own for p, own in zip(weighed, prior, strict=True)]
    return C * math.fsum(p * g for p, g in zip(known, GRID.tolist(), strict=True))


def test_a_level_is_what_the_definition_gives() -> None:
    levels = RoomLevels()
    dice = np.random.default_rng(4)
    minutes = [(float(dice.random() * 2.0), int(dice.poisson(1.5))) for _ in range(40)]
    for minute, (expected, came) in enumerate(minutes, 1):
        # Those that sell as expected are so many that the pace of all rooms is 1.
        levels.expect(["sim/all"], np.array([1e9]), np.array([minute * MINUTE_MS]))
        levels.hear(["sim/all"], np.array([1e9]), *np.full((2, 1), minute * MINUTE_MS))
        room(levels, "sim/a", expected=expected, came=came, minute=minute)
    found, others = at_minute(levels, 41, "sim/a", "sim/all")
    assert found == pytest.approx(by_hand(minutes), abs=1e-6)
    assert others == pytest.approx(0.0, abs=1e-6)


def test_a_room_that_sells_three_times_as_much_as_expected_is_raised_and_the_other_lowered() -> None:
    levels = RoomLevels()
    assert levels.of(["sim/a", "sim/b"]).tolist() == [0.0, 0.0]
    for minute in range(1, 31):
        room(levels, "sim/a", expected=2.0, came=6, minute=minute)
        room(levels, "sim/b", expected=6.0, came=2, minute=minute)
    a, b, unknown = at_minute(levels, 31, "sim/a", "sim/b", "sim/c")
    assert C * np.log(2.0) < a < C * np.log(3.0)
    assert -C * np.log(3.0) < b < -C * np.log(2.0)
    assert unknown == 0.0


def test_a_handful_of_outcomes_hardly_makes_a_level() -> None:
    levels = RoomLevels()
    room(levels, "sim/quiet", expected=1.0, came=2, minute=1)
    room(levels, "sim/busy", expected=300.0, came=300, minute=1)
    quiet, busy = at_minute(levels, 2, "sim/quiet", "sim/busy")
    assert 0.0 < quiet < 0.25 * C * np.log(2.0)
    assert busy == pytest.approx(0.0, abs=0.01)


def test_a_level_fades_as_rooms_change_and_who_reads_changes_nothing() -> None:
    levels = RoomLevels()
    room(levels, "sim/a", expected=10.0, came=20, minute=1)
    room(levels, "sim/b", expected=1_000.0, came=1_000, minute=1)
    [begun] = at_minute(levels, 2, "sim/a")
    before = levels.state()
    [later] = at_minute(levels, 2 + 20, "sim/a")
    assert later == pytest.approx(begun * math.exp(-20.0 / LASTS))
    assert begun > 0.2
    assert levels.of(["sim/a"]).tolist() == [later]
    assert levels.state() == before | {"minute": 22}


def test_when_all_rooms_sell_twice_as_much_none_is_raised_for_long() -> None:
    """What is wrong with all rooms is for the model and the calibration to learn."""
    levels = RoomLevels()
    for minute in range(1, 121):
        for name in ("sim/a", "sim/b", "sim/c"):
            room(levels, name, expected=2.0, came=4, minute=minute)
    assert at_minute(levels, 121, "sim/a") == pytest.approx([0.0], abs=0.02)


@pytest.mark.parametrize("cut", [1, 2, 5])
def test_how_moments_are_cut_into_calls_does_not_show(cut: int) -> None:
    dice = np.random.default_rng(3)
    moments = [
        (MINUTE_MS + number * 17_000, [f"sim/{each}" for each in dice.integers(0, 4, 7)])
        for number in range(60)
    ]
    expected = [dice.random(7) for _ in moments]
    whole, parts = RoomLevels(), RoomLevels()
    for levels in (whole, parts):
        levels.expect(["sim/1", "sim/2"], np.zeros(2), np.array([1, 1]))
        levels.hear(["sim/1", "sim/2"], np.full(2, 2.0), *np.array([[1, 2], [1, 1]]))
    at = np.repeat([now for now, _ in moments], 7)
    found = whole.expect([room for _, rooms in moments for room in rooms], np.concatenate(expected), at)
    again = [
        parts.expect(
            [room for _, rooms in moments[start : start + cut] for room in rooms],
            np.concatenate(expected[start : start + cut]),
            at[start * 7 : (start + cut) * 7],
        )
        for start in range(0, len(moments), cut)
    ]
    assert found.tolist() == np.concatenate(again).tolist()
    assert whole.state() == parts.state()
    assert len(set(found.tolist())) > 20
    assert whole.expect([], np.zeros(0), np.zeros(0, np.int64)).tolist() == []


def test_within_a_minute_it_does_not_matter_what_was_heard_first() -> None:
    one, other = RoomLevels(), RoomLevels()
    for levels in (one, other):
        levels.expect(["sim/a"], np.array([0.5]), np.array([MINUTE_MS]))
    one.expect(["sim/a"], np.array([0.5]), np.array([MINUTE_MS + 30_000]))
    for levels in (one, other):
        levels.hear(["sim/a"], np.ones(1), *np.full((2, 1), MINUTE_MS + 20_000))
    other.expect(["sim/a"], np.array([0.5]), np.array([MINUTE_MS + 30_000]))
    assert one.of(["sim/a"]).tolist() == [0.0], "it counts from the next minute on"
    assert one.state() == other.state()
    assert at_minute(one, 2, "sim/a") != [0.0]


def test_it_goes_on_from_its_state_to_the_bit_and_follows_a_bounded_number_of_rooms() -> None:
    levels, again = RoomLevels(), RoomLevels()
    room(levels, "sim/a", expected=3.0, came=5, minute=1)
    room(levels, "sim/a", expected=3.0, came=5, minute=2)
    again.load(levels.state())
    for each in (levels, again):
        room(each, "sim/b", expected=3.0, came=1, minute=3)
    assert again.state() == levels.state()
    assert at_minute(again, 4, "sim/a", "sim/b") == at_minute(levels, 4, "sim/a", "sim/b")
    names = [f"sim/{number}" for number in range(ROOMS + 10)]
    levels.expect(names, np.ones(len(names)), np.full(len(names), 5 * MINUTE_MS))
    levels.fade(6 * MINUTE_MS)
    assert len(levels.state()["rooms"]) == ROOMS
    assert levels.of(["sim/a", "sim/b"]).tolist() == [0.0, 0.0]
    assert levels.of(names[-1:])[0] != 0.0


def test_an_outcome_of_a_look_of_which_nothing_was_expected_is_left_out() -> None:
    levels = RoomLevels()
    levels.hear(["sim/a"] * 30, np.ones(30), *np.full((2, 30), 5_000))
    levels.expect(["sim/a"], np.array([1.0]), np.array([10_000]))
    levels.hear(["sim/a"] * 30, np.ones(30), np.full(30, 12_000), np.full(30, 9_999))
    assert at_minute(levels, 1, "sim/a")[0] < 0.0
    levels.expect(["sim/a"], np.array([1.0]), np.array([MINUTE_MS]))
    levels.hear(["sim/a"] * 30, np.ones(30), *np.full((2, 30), MINUTE_MS))
    assert at_minute(levels, 2, "sim/a")[0] > 0.2


def test_a_room_beyond_all_measure_is_at_the_end_of_the_grid_and_comes_back() -> None:
    levels = RoomLevels()
    room(levels, "sim/b", expected=100.0, came=100, minute=1)
    levels.expect(["sim/a"], np.array([1e-9]), np.array([MINUTE_MS + 1]))
    levels.hear(["sim/a"], np.array([1e7]), *np.full((2, 1), MINUTE_MS + 1))
    [most] = at_minute(levels, 2, "sim/a")
    assert most == pytest.approx(C * GRID[-1] * math.exp(-1.0 / LASTS), abs=1e-9)
    room(levels, "sim/a", expected=1e7, came=0, minute=3)
    [least] = at_minute(levels, 4, "sim/a")
    assert least == pytest.approx(-most, abs=1e-9)


def test_after_a_night_without_looks_nothing_is_left_of_a_level() -> None:
    levels = RoomLevels()
    room(levels, "sim/a", expected=10.0, came=20, minute=1)
    room(levels, "sim/b", expected=200.0, came=200, minute=1)
    assert at_minute(levels, 2, "sim/a")[0] > 0.2
    night = np.array([8 * 60 * MINUTE_MS])
    assert levels.expect(["sim/a"], np.zeros(1), night).tolist() == pytest.approx([0.0], abs=1e-6)
    levels = RoomLevels()
    room(levels, "sim/a", expected=10.0, came=20, minute=1)
    assert at_minute(levels, 8 * 60, "sim/a") == pytest.approx([0.0], abs=1e-6)


def test_an_expectation_that_is_no_number_is_left_out() -> None:
    levels = RoomLevels()
    levels.expect(["sim/a"], np.array([np.nan]), np.array([5]))
    assert at_minute(levels, 1, "sim/a") == pytest.approx([0.0], abs=1e-12)
