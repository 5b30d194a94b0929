"""How a room sells right now: what came against what was expected, and nothing where that cannot be told."""

import numpy as np
import pytest

from frontrow_models.levels import HALF_LIFE_MS, ROOMS, A, C, K, RoomLevels

MINUTE_MS = 60_000


def room(levels: RoomLevels, name: str, *, expected: float, came: int, at: int) -> None:
    levels.expect([name] * 20, np.full(20, expected / 20), np.full(20, at))
    levels.hear([name] * came, np.ones(came), *np.full((2, came), at))


def test_a_room_that_sells_three_times_as_much_as_expected_is_raised_and_the_other_lowered() -> None:
    levels = RoomLevels()
    assert levels.of(["sim/a", "sim/b"]).tolist() == [0.0, 0.0]
    for minute in range(1, 31):
        room(levels, "sim/a", expected=2.0, came=6, at=minute * MINUTE_MS)
        room(levels, "sim/b", expected=6.0, came=2, at=minute * MINUTE_MS)
    a, b, unknown = levels.of(["sim/a", "sim/b", "sim/c"]).tolist()
    assert C * np.log(2.0) < a < C * np.log(3.0)
    assert -C * np.log(3.0) < b < -C * np.log(2.0)
    assert unknown == 0.0


def test_a_handful_of_outcomes_hardly_makes_a_level() -> None:
    levels = RoomLevels()
    room(levels, "sim/quiet", expected=1.0, came=3, at=1)
    room(levels, "sim/busy", expected=300.0, came=300, at=1)
    quiet, busy = levels.of(["sim/quiet", "sim/busy"]).tolist()
    assert quiet == pytest.approx(C * np.log((3 + K) / (1 + K)), abs=0.01)
    assert busy == pytest.approx(0.0, abs=0.01)


def test_a_level_fades_by_half_in_eight_minutes_and_who_reads_changes_nothing() -> None:
    levels = RoomLevels()
    room(levels, "sim/a", expected=10.0, came=40, at=1)
    room(levels, "sim/b", expected=1_000.0, came=1_000, at=1)
    begun = levels.of(["sim/a"])[0]
    levels.expect(["sim/b"], np.zeros(1), np.array([1 + int(HALF_LIFE_MS)]))
    before = levels.state()
    later = levels.of(["sim/a"])[0]
    assert later == pytest.approx(C * np.log((20 + K) / (5 * 1.03 + K)), abs=0.02)
    assert later < begun
    assert levels.state() == before


def test_what_all_rooms_sold_counts_half_after_an_hour_and_time_never_goes_back() -> None:
    levels = RoomLevels()
    room(levels, "sim/a", expected=1_000.0, came=3_000, at=1)
    levels.fade(60 * MINUTE_MS + 1)
    levels.fade(1)
    levels.expect(["sim/b"], np.array([1_000.0]), np.array([60 * MINUTE_MS + 1]))
    pace = (1_500 + A) / (500 + 1_000 + A)
    assert levels.of(["sim/b"])[0] == pytest.approx(C * np.log(K / (1_000 * pace + K)), abs=1e-9)
    levels.hear(["sim/b"] * 2, np.ones(2), np.full(2, 60 * MINUTE_MS + 1), np.full(2, 60 * MINUTE_MS + 1))
    assert levels.state()["now"] == 60 * MINUTE_MS + 1


def test_when_all_rooms_sell_twice_as_much_none_is_raised_for_long() -> None:
    """What is wrong with all rooms is for the model and the calibration to learn."""
    levels = RoomLevels()
    for minute in range(1, 121):
        for name in ("sim/a", "sim/b", "sim/c"):
            room(levels, name, expected=2.0, came=4, at=minute * MINUTE_MS)
    assert levels.of(["sim/a"])[0] == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize("cut", [1, 2, 5])
def test_how_moments_are_cut_into_calls_does_not_show(cut: int) -> None:
    dice = np.random.default_rng(3)
    moments = [
        (minute * MINUTE_MS, [f"sim/{each}" for each in dice.integers(0, 4, 7)]) for minute in range(1, 21)
    ]
    expected = [dice.random(7) for _ in moments]
    whole, parts = RoomLevels(), RoomLevels()
    for levels in (whole, parts):
        levels.expect(["sim/1", "sim/2"], np.zeros(2), np.array([1, 1]))
        levels.hear(["sim/1", "sim/2"], np.ones(2), *np.array([[1, 2], [1, 1]]))
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


def test_it_goes_on_from_its_state_to_the_bit_and_follows_a_bounded_number_of_rooms() -> None:
    levels, again = RoomLevels(), RoomLevels()
    room(levels, "sim/a", expected=3.0, came=5, at=1)
    again.load(levels.state())
    for each in (levels, again):
        room(each, "sim/b", expected=3.0, came=1, at=MINUTE_MS)
    assert again.state() == levels.state()
    names = [f"sim/{number}" for number in range(ROOMS + 10)]
    levels.expect(names, np.ones(len(names)), np.full(len(names), 2 * MINUTE_MS))
    assert len(levels.state()["rooms"]) == ROOMS
    assert levels.of(["sim/a", names[-1]])[0] == 0.0
    kept, quiet = names[10], names[11]
    levels.expect([kept, "sim/new"], np.ones(2), np.full(2, 3 * MINUTE_MS))
    known = {each[0] for each in levels.state()["rooms"]}
    assert kept in known and quiet not in known, "who was quiet for longest goes"


def test_an_outcome_of_a_look_of_which_nothing_was_expected_is_left_out() -> None:
    levels = RoomLevels()
    levels.hear(["sim/a"] * 30, np.ones(30), *np.full((2, 30), 5_000))
    levels.expect(["sim/a"], np.array([1.0]), np.array([10_000]))
    levels.hear(["sim/a"] * 30, np.ones(30), np.full(30, 12_000), np.full(30, 9_999))
    assert levels.of(["sim/a"])[0] == pytest.approx(0.0, abs=0.05)
    levels.hear(["sim/a"] * 30, np.ones(30), np.full(30, 12_000), np.full(30, 10_000))
    assert levels.of(["sim/a"])[0] > 0.2


def test_after_a_night_without_looks_nothing_is_left_of_a_level() -> None:
    levels = RoomLevels()
    room(levels, "sim/a", expected=10.0, came=40, at=1)
    room(levels, "sim/b", expected=200.0, came=200, at=1)
    assert levels.of(["sim/a"])[0] > 0.3
    assert levels.expect(["sim/a"], np.zeros(1), np.array([8 * 60 * MINUTE_MS]))[0] == pytest.approx(
        0.0, abs=1e-6
    )
    levels = RoomLevels()
    room(levels, "sim/a", expected=10.0, came=40, at=1)
    levels.fade(8 * 60 * MINUTE_MS)
    assert levels.of(["sim/a"])[0] == pytest.approx(0.0, abs=1e-6)


def test_an_expectation_that_is_no_number_is_left_out() -> None:
    levels = RoomLevels()
    levels.expect(["sim/a"], np.array([np.nan]), np.array([5]))
    assert levels.of(["sim/a"]).tolist() == [0.0]
