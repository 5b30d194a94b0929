"""Which times are believed: one wrong clock must not stop engine time for all that follows."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.core.times import BELIEF_S, LEAP_MS, UNSEEN_LEAP_MS, WITNESSES, Arrivals, leaps

T0 = 1_750_000_000_000
FAR = 4_000_000_000_000  # 2096
DAY = 24 * 3_600_000


def refused(*times: int, latest: int | None = None) -> list[int]:
    return leaps(times, len(times), latest)


def test_one_line_from_the_future_is_refused_wherever_it_stands() -> None:
    usual = [T0 + n for n in range(20)]
    for place in range(20):
        assert refused(*usual[:place], FAR, *usual[place:]) == [place]


@pytest.mark.parametrize("together", range(1, WITNESSES // 2 + 1))
def test_as_many_as_half_the_witnesses_can_be_wrong_together(together: int) -> None:
    assert refused(T0, *[FAR] * together, *[T0 + 1] * 20) == list(range(1, 1 + together))


def test_a_room_that_comes_back_after_months_is_believed() -> None:
    assert refused(T0, T0 + 1, *[T0 + 200 * DAY + n for n in range(3)]) == []


def test_a_last_line_months_later_is_believed_but_not_one_years_later() -> None:
    """It has no witness; years would let every snapshot that waits for its outcome become a negative label."""
    assert refused(T0, T0 + 100 * DAY) == []
    assert refused(T0, T0 + UNSEEN_LEAP_MS + 1) == [1]
    assert refused(FAR) == []


def test_late_events_make_no_leap_of_what_is_around_them() -> None:
    assert refused(T0, T0 - 400 * DAY, T0 + 1, T0 - 400 * DAY, T0 + 2) == []


def test_steps_within_a_day_need_no_witness() -> None:
    assert refused(T0, T0 + LEAP_MS, T0, T0, T0, T0) == []


def test_what_was_believed_before_is_known() -> None:
    assert refused(T0, T0, T0, latest=T0) == []
    assert refused(FAR, T0, T0, latest=T0) == [0]
    assert refused(FAR, T0, T0, latest=FAR - 1) == []


@given(st.lists(st.integers(T0, T0 + 3 * UNSEEN_LEAP_MS), max_size=40), st.integers(0, 40))
def test_a_file_may_be_judged_in_parts(times: list[int], cut: int) -> None:
    """The reader sees a file block by block; where blocks end must not matter."""
    cut = min(cut, len(times))
    first = leaps(times[: cut + WITNESSES], cut, None)
    believed = [at for place, at in enumerate(times[:cut]) if place not in first]
    second = leaps(times[cut:], len(times) - cut, max(believed, default=None))
    assert [*first, *(cut + place for place in second)] == leaps(times, len(times), None)


# --- arrivals


def test_arrivals_are_what_the_clock_shows() -> None:
    arrivals = Arrivals()
    assert [arrivals.stamp(T0 + n * 1_000, 50.0 + n) for n in range(3)] == [T0, T0 + 1_000, T0 + 2_000]


def test_a_clock_set_back_does_not_stop_time_nor_turn_it_back() -> None:
    arrivals = Arrivals()
    arrivals.stamp(T0, 0.0)
    stamps = [arrivals.stamp(T0 - 3_600_000 + n * 1_000, float(n)) for n in range(1, 8_000)]
    assert all(earlier <= later for earlier, later in itertools.pairwise(stamps))
    assert stamps[1_999] == T0 + 1_000_000  # half pace
    assert stamps[-1] == T0 - 3_600_000 + 7_999_000  # caught up after two hours


def test_small_steps_of_a_clock_that_is_behind_add_up() -> None:
    """A busy feed asks every tenth of a millisecond; rounding each answer down would stand still."""
    arrivals = Arrivals(T0)
    last = [arrivals.stamp(T0 - 10_000, n / 10_000) for n in range(10_001)][-1]
    assert last == pytest.approx(T0 + 500, abs=1)


def test_a_clock_that_leaps_ahead_and_comes_back_leaves_no_trace() -> None:
    arrivals = Arrivals()
    arrivals.stamp(T0, 0.0)
    assert arrivals.stamp(FAR, 1.0) == T0 + 1_000
    assert arrivals.stamp(FAR + 1_000, 2.0) == T0 + 2_000
    assert arrivals.stamp(T0 + 3_000, 3.0) == T0 + 3_000


def test_a_clock_that_keeps_to_its_leap_is_followed() -> None:
    """It was wrong before, or the machine slept: nobody can tell, and time must go on."""
    arrivals = Arrivals()
    arrivals.stamp(T0, 0.0)
    assert arrivals.stamp(FAR, 1.0) == T0 + 1_000
    assert arrivals.stamp(FAR + 60_000, 1.0 + BELIEF_S) == FAR + 60_000


def test_a_step_of_an_hour_is_followed_at_once() -> None:
    arrivals = Arrivals()
    arrivals.stamp(T0, 0.0)
    assert arrivals.stamp(T0 + 3_601_000, 1.0) == T0 + 3_601_000


def test_after_a_restart_time_goes_on_from_the_journal() -> None:
    assert Arrivals(T0).stamp(T0 + 400 * DAY, 0.0) == T0 + 400 * DAY
    assert Arrivals(T0).stamp(T0 - DAY, 0.0) == T0
