"""Frames: as columns nothing of an event is lost, and parts of a frame are what the parts' events would make."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.core.events import Event
from frontrow.core.frames import SELDOM, Frame
from frontrow.storage.frames import pack, unpack
from tests.support.kernels import without_kernel
from tests.support.rooms import event

GIVEN: dict[str, Any] = {
    "seconds": 1.5, "gift": "g", "currency": "CNY", "level": 3, "product": "p", "order": "o", "renewal": False,
    "form": "f", "fields": {"phone": "1"}, "consent": False, "viewers": 0, "likes": 7, "host": "h", "campaign": "c",
    "lead": "L1", "seller": "s", "outcome": "won", "note": "n", "extra": {"a": [1, None]},
    "model": "m", "replaces": "k", "data": {"stage": "won"},
}  # fmt: skip
COMMON: dict[str, Any] = {
    "seen_at": 1_750_000_000_500, "session": "s1", "name": "小鱼", "text": "多少钱", "count": 0, "value": -3,
    "fan": False, "staff": True, "test": True,
}  # fmt: skip


@pytest.mark.parametrize("name", SELDOM)
def test_a_seldom_field_is_found_wherever_it_is_the_only_one(name: str) -> None:
    made = event("like", 0, **{name: GIVEN[name]})
    assert Frame.of([made], [0]).events() == [made]


events_made = st.lists(
    st.builds(
        lambda number, viewer, fields: event("gift", number / 10, viewer=viewer, id=f"e{number}", **fields),
        st.integers(0, 10**6),
        st.none() | st.sampled_from(["v1", "v2", "很长的名字"]),
        st.fixed_dictionaries(
            {}, optional={name: st.just(value) for name, value in (GIVEN | COMMON).items()}
        ),
    ),
    min_size=1,
    max_size=12,
)


@given(events=events_made, data=st.data())
def test_columns_parts_and_the_journals_blobs_give_the_events_again(
    events: list[Event], data: st.DataObject
) -> None:
    facts = [position % 7 for position in range(len(events))]
    frame = Frame.of(events, facts)
    assert frame.events() == events
    cut = data.draw(st.integers(0, len(events)))
    head, tail = frame.part(0, cut), frame.part(cut, len(events))
    assert (head.events(), tail.events()) == (events[:cut], events[cut:])
    assert Frame.joined([head, tail]).events() == events
    made = [Frame.of(events[:cut]).seldom, Frame.of(events[cut:]).seldom]
    assert [list(head.seldom), list(tail.seldom)] == list(
        map(list, made)
    )  # the journal's bytes have this order
    chosen = sorted(data.draw(st.sets(st.integers(0, len(events) - 1))))
    taken = frame.take(chosen)
    assert taken.events() == [events[position] for position in chosen]
    assert list(taken.facts) == [facts[position] for position in chosen]
    packed = pack(frame)
    with without_kernel():
        assert pack(frame) == packed
    stored = unpack(packed, where="frame 1")
    assert stored.events() == events
    assert list(stored.facts) == facts
