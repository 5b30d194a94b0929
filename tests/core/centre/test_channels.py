"""Channels: what may follow each state, whose channel an event is, and what is taken of it."""

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.core.centre.channels import (
    NEXT,
    Channel,
    ChannelChange,
    Channels,
    ChannelState,
    Refusal,
    clashes,
    read_change,
)
from frontrow.core.errors import EventInvalid
from frontrow.core.events import Batch, Event, Rejected
from tests.support.rooms import event

ROOMS = {("test", "r1"): "demo", ("test", "r2"): "other"}


def channels(*made: dict[str, Any]) -> Channels:
    return Channels(msgspec.convert(list(made), list[Channel]), rooms=ROOMS)


def form(**fields: Any) -> Event:
    return event("form_submit", viewer="v1", id="f1", fields={"phone": "1"}, **fields)


# --- states

STATES = list(ChannelState)


@pytest.mark.parametrize(
    ("path", "good"),
    [
        ("draft testing live paused live retired", True), ("draft testing draft testing live", True),
        ("draft live", False), ("draft paused", False), ("testing paused", False), ("live testing", False),
        ("live draft", False), ("paused testing live", True), ("paused retired", True), ("retired live", False),
        ("retired draft", False),
    ],
)  # fmt: skip
def test_only_what_may_follow_a_state_does(path: str, good: bool) -> None:
    first, *rest = path.split()
    registry: Channels | Refusal = channels({"code": "c", "state": first})
    for state in rest:
        assert isinstance(registry, Channels)
        registry = registry.changed(ChannelChange(channel="c", state=ChannelState(state)))
    assert isinstance(registry, Channels) is good
    if isinstance(registry, Refusal):
        assert rest[-1] in registry.reason


@given(st.lists(st.sampled_from(STATES), max_size=12))
def test_whatever_is_asked_nothing_goes_live_untested_and_the_retired_stay_so(
    asked: list[ChannelState],
) -> None:
    registry = channels({"code": "c"})
    been = [ChannelState.DRAFT]
    for state in asked:
        changed = registry.changed(ChannelChange(channel="c", state=state))
        if isinstance(changed, Channels):
            registry = changed
        now = registry.get("c")
        assert now is not None
        been.append(now.state)
    if ChannelState.LIVE in been:
        assert ChannelState.TESTING in been[: been.index(ChannelState.LIVE)]
    for before, after in itertools.pairwise(been):
        assert before is after or after in NEXT[before]


def test_a_change_names_a_channel_that_is_there() -> None:
    assert isinstance(channels().changed(ChannelChange(channel="x", state=ChannelState.LIVE)), Refusal)
    told = event("channel_change", 0, data={"channel": "c", "state": "paused", "by": "w"})
    assert read_change(told) == ChannelChange(channel="c", state=ChannelState.PAUSED, by="w")
    for wrong in ({}, {"channel": "c"}, {"channel": "c", "state": "x"}, {"channel": "C!", "state": "live"}):
        with pytest.raises(EventInvalid):
            read_change(event("channel_change", 0, data=wrong))


# --- whose channel

ALL = channels(
    {"code": "said", "state": "live"}, {"code": "by-form", "state": "live", "forms": ["trial"]},
    {"code": "by-feed", "state": "live", "feeds": ["feiyu"]}, {"code": "by-room", "state": "live", "rooms": ["demo"]},
)  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "feed", "code"),
    [
        ({"extra": {"channel": "said"}, "form": "trial"}, "feiyu", "said"), ({"form": "trial"}, "feiyu", "by-form"),
        ({"form": "x"}, "feiyu", "by-feed"), ({}, "http", "by-room"), ({"room": "r2"}, "http", None),
        ({"extra": {"channel": "nobody's"}}, "feiyu", "by-feed"), ({"extra": {"channel": 7}, "room": "r2"}, "x", None),
    ],
)  # fmt: skip
def test_an_events_channel_is_what_says_most_of_it(
    fields: dict[str, Any], feed: str, code: str | None
) -> None:
    found = ALL.channel_of(form(**fields), feed)
    assert (found and found.code) == code


def test_a_retired_channel_gives_way_to_who_took_over() -> None:
    old, new = {"code": "old", "state": "retired", "rooms": ["demo"]}, {"code": "new", "rooms": ["demo"]}
    for order in ((old, new), (new, old)):
        found = channels(*order).channel_of(form())
        assert found is not None
        assert found.code == "new"


# --- what is taken


@pytest.mark.parametrize(
    ("state", "taken", "test"),
    [
        ("draft", False, None), ("testing", True, True), ("live", True, False), ("paused", False, None),
        ("retired", False, None),
    ],
)  # fmt: skip
def test_a_lead_is_taken_as_its_channel_is_open(state: str, taken: bool, test: bool | None) -> None:
    admitted = channels({"code": "c", "state": state, "forms": ["trial"]}).admit(form(form="trial"))
    assert isinstance(admitted, Event) is taken
    if isinstance(admitted, Event):
        assert admitted.test is test
        assert admitted.extra == {"channel": "c"}
    else:
        assert "channel" in admitted.reason


def test_a_room_whose_channel_is_closed_still_hears_of_its_leads_and_its_broadcast() -> None:
    closed = channels({"code": "c", "state": "paused", "rooms": ["demo"]})
    for kind, taken in (("comment", False), ("like", False), ("room_start", True), ("lead_outcome", True)):
        fields: dict[str, Any] = {"text": "a"} if kind == "comment" else {}
        assert isinstance(closed.admit(event(kind, 0, **fields)), Event) is taken, kind


def test_what_no_channel_is_said_of_is_taken_as_it_is() -> None:
    lonely = form(room="r2", extra={"channel": "unknown"})
    assert ALL.admit(lonely) is lonely


def test_of_a_batch_the_positions_stay_true() -> None:
    closed = channels({"code": "c", "state": "paused", "rooms": ["demo"]})
    events = [event("like", 0, room="r2"), event("like", 1), event("like", 2, room="r2"), event("like", 3)]
    admitted = closed.admit_batch(Batch(events, [Rejected(0, "broken"), Rejected(3, "broken")]))
    assert admitted.events == [events[0], events[2]]
    assert [each.index for each in admitted.rejected] == [0, 2, 3, 5]


# --- the registry


def test_what_two_channels_cannot_both_be_is_named() -> None:
    made = msgspec.convert(
        [
            {"code": "a", "rooms": ["r"], "forms": ["f"]}, {"code": "b", "rooms": ["r"], "feeds": ["x"]}, {"code": "a"},
            {"code": "d", "state": "retired", "rooms": ["r"]}, {"code": "e", "forms": ["f"], "feeds": ["y"]},
        ],
        list[Channel],
    )  # fmt: skip
    assert [(position, key) for position, key, _ in clashes(made)] == [
        (1, "rooms"),
        (2, "code"),
        (4, "forms"),
    ]
