"""Names and words of rows: the latest of each, the same with the kernel and without."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from frontrow.core import facts as fact
from frontrow.core.frames import Frame
from frontrow.runtime.people import MAX_NAME, People
from tests.support.kernels import without_kernel
from tests.support.rooms import event

NAMES = (
    st.none() | st.text(max_size=5) | st.sampled_from(["小鱼", "x" * 80, "鱼" * 80, "😀" * 80, "\udc00é", ""])
)
NOTED = st.lists(st.tuples(st.integers(-1, 4), NAMES), max_size=8)


def noted(people: People, batch: list[tuple[int, str | None]]) -> None:
    events = [
        event("comment", n, viewer=None if row < 0 else f"v{row}", name=name, text=name)
        for n, (row, name) in enumerate(batch)
    ]
    people.note(
        Frame.of(events, [fact.QUESTION] * len(events)), np.array([row for row, _ in batch], np.int64)
    )


@given(st.lists(NOTED, max_size=3))
def test_the_latest_name_and_words_of_each_row_are_kept(batches: list[list[tuple[int, str | None]]]) -> None:
    compiled, plain = People(), People()
    latest: dict[int, str] = {}
    for batch in batches:
        noted(compiled, batch)
        with without_kernel():
            noted(plain, batch)
        latest |= {row: name for row, name in batch if name}
    for row in range(-1, 6):
        name = latest.get(row) if row >= 0 else None
        assert compiled.name(row) == plain.name(row) == (None if name is None else name[:MAX_NAME])
        assert compiled.words(row) == plain.words(row)
