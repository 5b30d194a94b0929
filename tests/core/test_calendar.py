"""The calendar: numbers wait for their times, and none is lost, taken early or taken twice."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from frontrow.core.calendar import MOST, Calendar

TIMES = st.lists(st.integers(-20_000, 4_102_444_800_000) | st.integers(0, 20_000), max_size=40)


@settings(max_examples=300, deadline=None)
@given(
    rounds=st.lists(
        st.tuples(TIMES, st.integers(-20_000, 4_102_444_800_000) | st.integers(0, 20_000)), max_size=8
    )
)
def test_it_gives_each_number_once_when_its_time_has_passed(rounds: list[tuple[list[int], int]]) -> None:
    calendar, waiting, number = Calendar(), dict[int, int](), 0
    for times, now in rounds:
        numbers = list(range(number, number + len(times)))
        number += len(times)
        calendar.add(np.array(times, np.int64), np.array(numbers, np.int64))
        waiting |= dict(zip(numbers, times, strict=True))
        due = {each for each, time in waiting.items() if time < now}
        assert calendar.due(now) == bool(due)
        taken = calendar.take(now).tolist()
        assert sorted(taken) == sorted(due)
        waiting = {each: time for each, time in waiting.items() if each not in due}
        assert not calendar.due(now)
        assert calendar.take(now).tolist() == []


def test_a_time_of_this_very_moment_has_not_passed_and_large_numbers_are_kept_whole() -> None:
    calendar = Calendar()
    calendar.add(np.array([5_000]), np.array([MOST - 1]))
    assert not calendar.due(5_000)
    assert calendar.due(5_001)
    assert calendar.take(5_001).tolist() == [MOST - 1]
