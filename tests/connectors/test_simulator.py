"""The simulator connector: a demo must be lively within seconds, and never tell the future."""

import asyncio
import itertools
import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from frontrow.core.events import Event, RoomRef, decode_event, encode_event
from frontrow.core.ports import Receipt
from frontrow_connectors.contract import FeedState
from frontrow_connectors.simulator import CONNECTOR
from frontrow_connectors.simulator.client import BATCH, SimulatorFeed
from frontrow_connectors.simulator.options import SimulatorOptions
from tests.support.clock import ManualClock
from tests.support.feeds import RecordingIntake

ROOM = RoomRef(id="demo", platform="sim", room="demo-room")
SMALL = SimulatorOptions(viewers=50, events_per_s=5.0, session_minutes=5, warm_start_minutes=1, pause_s=30)


@asynccontextmanager
async def playing(
    options: SimulatorOptions, clock: ManualClock, intake: RecordingIntake
) -> AsyncIterator[asyncio.Task[None]]:
    """A feed that has delivered its past and waits for the clock."""
    task = asyncio.create_task(SimulatorFeed(options, intake.context(clock, room=ROOM)).run())
    try:
        await clock.until_sleeping()
        yield task
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_demo_has_warm_and_hot_viewers_within_ten_seconds() -> None:
    clock, intake = ManualClock(), RecordingIntake()
    async with playing(SimulatorOptions(), clock, intake):
        await clock.advance(10)
    grades = Counter("hot" if p >= 80 else "warm" if p >= 40 else "cold" for p in rough_points(intake.events))
    assert grades["hot"] >= 3
    assert grades["warm"] >= 5
    assert grades["cold"] > grades["hot"] + grades["warm"]


def rough_points(events: Sequence[Event]) -> list[int]:
    """Return points per viewer by the key rules of the default table, read off kinds and a few words."""
    fired: dict[str, dict[str, int]] = defaultdict(dict)
    count: Counter[str] = Counter()
    worth = {"form_submit": 50, "product_click": 30, "cart_add": 20, "lottery_join": 10, "vote": 10}
    for event in events:
        if event.viewer is None or event.staff:
            continue
        rules = fired[event.viewer]
        if event.kind in worth:
            rules["raffle" if worth[event.kind] == 10 else event.kind] = worth[event.kind]
        elif event.kind == "comment":
            count[event.viewer] += 1
            if re.search(
                "多少钱|什么价|怎么卖|尺|材质|容量|有货|包邮|发货|分期|优惠|怎么买", event.text or ""
            ):
                rules["question"] = 15
            if count[event.viewer] >= 3:
                rules["comments"] = 10
    return [min(100, sum(rules.values())) for rules in fired.values()]


async def test_events_belong_to_the_configured_room_and_can_be_scored() -> None:
    clock, intake = ManualClock(), RecordingIntake()
    async with playing(SMALL, clock, intake):
        await clock.advance(30)
    for event in intake.events:
        assert (event.platform, event.room) == ("sim", "demo-room")
        assert not event.test
        assert event.seen_at is None, "the intake stamps the arrival"
        assert decode_event(encode_event(event)) == event
    assert not intake.rejected
    assert intake.statuses[0].state is FeedState.CONNECTED


async def test_the_past_comes_at_once_and_the_rest_as_time_passes() -> None:
    clock, intake = ManualClock(), RecordingIntake()
    began = clock.now()
    async with playing(SimulatorOptions(), clock, intake):
        past = len(intake.events)
        assert intake.events[0].kind == "room_start"
        assert intake.events[0].at == began - 30 * 60_000
        assert past == pytest.approx(30 * 60 * 20, rel=0.5)
        await clock.advance(0.0)
        assert len(intake.events) == past, "time stands still, and so does the room"
        await clock.advance(60)
        assert len(intake.events) - past == pytest.approx(60 * 20, rel=0.7)


@pytest.mark.parametrize("speed", [1.0, 20.0])
async def test_no_event_lies_in_the_future_and_none_comes_long_after_it_happened(speed: float) -> None:
    clock, intake = ManualClock(), RecordingIntake()
    options = msgspec.structs.replace(SMALL, viewers=400, speed=speed, warm_start_minutes=0)
    seen = 0
    async with playing(options, clock, intake):
        for _ in range(50):
            await clock.advance(0.2)
            for event in intake.events[seen:]:
                assert clock.now() - 62_000 <= event.at <= clock.now()
            seen = len(intake.events)
    assert seen > 20


async def test_speed_shortens_the_broadcast() -> None:
    clock, intake = ManualClock(), RecordingIntake()
    began = clock.now()
    async with playing(msgspec.structs.replace(SMALL, speed=10.0), clock, intake):
        await clock.advance(30)
    ends = [event.at for event in intake.events if event.kind == "room_end"]
    assert len(ends) == 1
    assert ends[0] - began == pytest.approx(24_000, abs=50), (
        "the four minutes that were left, ten times as fast"
    )
    stays = [event.seconds for event in intake.events if event.kind == "stay"]
    assert stays
    assert max(seconds or 0 for seconds in stays) <= 30


async def test_another_broadcast_follows_after_a_pause_with_nothing_repeated() -> None:
    clock, intake = ManualClock(), RecordingIntake()
    options = msgspec.structs.replace(SMALL, session_minutes=2)
    async with playing(options, clock, intake):
        await clock.advance(60 * 6)
    by_session = {
        session: list(events) for session, events in itertools.groupby(intake.events, lambda e: e.session)
    }
    assert len(by_session) >= 3
    ids = [{event.id for event in events} for events in by_session.values()]
    for first, second in itertools.combinations(ids, 2):
        assert not first & second
    first_end = next(event.at for event in intake.events if event.kind == "room_end")
    starts = [event.at for event in intake.events if event.kind == "room_start"]
    assert starts[1] - first_end >= 30_000
    assert "seed 8" in " ".join(status.sentence for status in intake.statuses)


async def test_a_restart_repeats_no_id_but_brings_the_same_people() -> None:
    clock, first, second = ManualClock(), RecordingIntake(), RecordingIntake()
    async with playing(SMALL, clock, first):
        await clock.advance(5)
    async with playing(SMALL, clock, second):
        await clock.advance(5)
    assert not {event.id for event in first.events} & {event.id for event in second.events}
    orders = ({event.order for event in intake.events if event.order} for intake in (first, second))
    assert not set.intersection(*orders)
    people = [{event.viewer for event in intake.events if event.viewer} for intake in (first, second)]
    assert people[0] & people[1]


@pytest.mark.parametrize("step_ms", [-3_600_000, 3_600_000])
async def test_event_times_follow_a_clock_that_is_set(step_ms: int) -> None:
    clock, intake = ManualClock(), RecordingIntake()
    async with playing(SMALL, clock, intake):
        await clock.advance(5)
        before = len(intake.events)
        clock.step_wall(step_ms)
        await clock.advance(20)
        after = intake.events[before:]
        assert len(after) > 20, "the pace does not hang on the wall clock"
        assert all(clock.now() - 85_000 <= event.at <= clock.now() for event in after)


async def test_a_full_intake_holds_the_simulation_back() -> None:
    clock, intake, gate = ManualClock(), RecordingIntake(), asyncio.Event()

    async def put(events: Sequence[Event]) -> Awaitable[Receipt]:
        await gate.wait()
        return await intake.put(events)

    context = replace(intake.context(clock, room=ROOM), put=put)
    task = asyncio.create_task(SimulatorFeed(SimulatorOptions(), context).run())
    await clock.advance(30)
    assert not intake.events
    gate.set()
    await clock.until_sleeping()
    assert len(intake.events) > BATCH
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"viewers": 0}, "viewers"),
        ({"speed": 0}, "speed"),
        ({"session_minutes": 10, "warm_start_minutes": 10}, "warm_start_minutes"),
        ({"sped": 2}, "sped"),
    ],
)
def test_options_that_cannot_be_are_refused_by_name(options: dict[str, Any], named: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=named):
        msgspec.convert(options, CONNECTOR.options)
