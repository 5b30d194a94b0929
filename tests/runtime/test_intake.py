"""The queue between feeds and pipeline: bounded, fair, and thinned in a written order where a feed cannot wait."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontrow.core.events import KINDS, MAX_COUNT, Event
from frontrow.core.frames import Frame
from frontrow.core.ports import Receipt
from frontrow.runtime.intake import EVENT_BYTES, FEWEST_EVENTS, TURN, Intake, NotStored, QueueFull, Taken
from tests.support.clock import ManualClock, settle
from tests.support.rooms import START, event

MIB = 1024 * 1024


@dataclass
class Thinned:
    """Counts what was merged and dropped; the ids of what was dropped, in order."""

    merges: Counter[str] = field(default_factory=Counter)
    drops: Counter[str] = field(default_factory=Counter)
    ids: list[str] = field(default_factory=list)

    def merged(self, event: Event) -> None:
        self.merges[event.kind] += 1

    def dropped(self, event: Event, events: int) -> None:
        self.drops[event.kind] += events
        self.ids.append(event.id)


def is_telling(event: Event) -> bool:
    """In these tests a question mark is the fact that a comment may hold."""
    return "?" in (event.text or "")


def intake(events: int = 100, size: int = 64 * MIB, thinned: Thinned | None = None) -> Intake:
    return Intake(
        clock=ManualClock(START),
        observer=thinned or Thinned(),
        telling=is_telling,
        queue_events=events,
        queue_bytes=size,
    )


def likes(count: int, *, room: str = "r1", start: int = 0) -> list[Event]:
    return [event("like", viewer=f"v{n}", id=f"{room}-{n}", room=room) for n in range(start, start + count)]


def ids(taken: Taken) -> list[str]:
    return [each.id for each in taken.events]


# ---------------------------------------------------------------- bounds and turns


async def test_a_flooding_feed_gets_half_of_the_queue_and_a_newcomer_still_finds_room() -> None:
    queue = intake(100)
    for batch in range(5):
        queue.put_nowait(likes(10, start=10 * batch), feed="flood")
    with pytest.raises(QueueFull):
        queue.put_nowait(likes(10, start=50), feed="flood")
    queue.put_nowait(likes(20, room="r2"), feed="other")
    assert queue.queued == 70


async def test_two_rooms_of_one_feed_have_lanes_of_their_own() -> None:
    """HTTP ingest is one feed for all rooms; a room that floods must not have the others refused."""
    queue = intake(100)
    queue.put_nowait(likes(50), feed="http")
    with pytest.raises(QueueFull):
        queue.put_nowait(likes(10, start=50), feed="http")
    queue.put_nowait(likes(10, room="r2"), feed="http")


async def test_a_batch_larger_than_the_queue_is_taken_when_nothing_waits() -> None:
    queue = intake(10)
    queue.put_nowait(likes(50), feed="f")
    with pytest.raises(QueueFull):
        queue.put_nowait(likes(1, start=50), feed="f")
    assert len(queue.take(10).events) == 50


async def test_frames_and_events_of_a_lane_keep_their_order() -> None:
    """What was decoded to columns at once and what needed a closer look are taken as one sequence."""
    queue = intake(100)
    first = queue.put_nowait(Frame.of(likes(3)), feed="f", text_bytes=300)
    rest = [queue.put_nowait(likes(2, start=3), feed="f"), queue.put_nowait(likes(1, start=5), feed="f")]
    rest.append(queue.put_nowait(Frame.of(likes(4, start=6)), feed="f"))
    assert queue.queued == 10
    taken = queue.take(100)
    assert ids(taken) == [f"r1-{n}" for n in range(10)]
    assert [len(frame) for frame in taken.frames()] == [3, 3, 4]
    taken.acknowledge([1, 9])
    assert (await first).duplicates == 1
    assert [(await done).accepted for done in rest] == [2, 1, 3]


async def test_bytes_are_bounded_as_events_are() -> None:
    queue = intake(100_000, size=MIB)
    for n in range(1_000):
        try:
            queue.put_nowait([event("comment", id=str(n), text="很长" * 2_000)], feed="f")
        except QueueFull:
            break
    assert 20 < queue.queued < 60
    assert queue.queued_bytes < MIB / 2 + 20_000


async def test_a_text_that_is_known_to_be_long_is_counted_as_long_as_it_is() -> None:
    """Whoever has read it need not measure it again, and is bounded all the same."""
    queue = intake(size=MIB)
    queue.put_nowait(likes(2), feed="f", text_bytes=5_000)
    assert queue.queued_bytes == 5_000 + 2 * EVENT_BYTES
    with pytest.raises(QueueFull):
        queue.put_nowait(likes(2, start=2), feed="f", text_bytes=MIB)


async def test_what_a_sender_puts_into_any_field_is_counted() -> None:
    plain = intake()
    plain.put_nowait([event("like", id="a")], feed="f")
    for fields in (
        {"extra": {"x": "y" * 5_000}},
        {"name": "n" * 5_000},
        {"fields": {"deep": [["z" * 5_000]]}},
    ):
        queue = intake()
        queue.put_nowait([event("like", id="a", **fields)], feed="f")
        assert queue.queued_bytes > plain.queued_bytes + 5_000, fields


async def test_what_cannot_be_measured_is_counted_as_large_and_taken() -> None:
    queue = intake()
    queue.put_nowait([event("comment", id="a", text="\ud800")], feed="f")
    assert queue.queued_bytes > 10_000


async def test_feeds_take_turns_and_each_keeps_its_order() -> None:
    queue = intake(100_000)
    for batch in range(20):
        queue.put_nowait(likes(100, start=100 * batch), feed="flood")
    for n in range(3):
        queue.put_nowait([event("order_paid", id=f"order-{n}", room="r2")], feed="other")
    first = ids(queue.take(1_000))
    assert [id for id in first if id.startswith("order")] == ["order-0", "order-1", "order-2"]
    assert first.index("order-2") < TURN + 100 + 3  # the flood has one turn, and may end its batch
    rest: list[str] = []
    while queue.queued:
        rest += ids(queue.take(1_000))
    flood = [id for id in first + rest if id.startswith("r1")]
    assert flood == [f"r1-{n}" for n in range(2_000)]


async def test_a_feed_of_large_batches_pays_for_them_with_turns() -> None:
    """Otherwise whoever sends more at once would get a larger share."""
    queue = intake(1_000_000, size=1024 * MIB)
    for batch in range(4):
        queue.put_nowait(likes(10_000, start=10_000 * batch), feed="large")
        for n in range(100):
            queue.put_nowait(likes(100, room="r2", start=10_000 * batch + 100 * n), feed="small")
    taken = [*ids(queue.take(8_192)), *ids(queue.take(8_192)), *ids(queue.take(8_192))]
    share = sum(id.startswith("r1") for id in taken) / len(taken)
    assert 0.3 < share < 0.7


async def test_put_waits_for_room_in_the_order_of_its_calls() -> None:
    queue = intake(10)
    await queue.put(likes(5), feed="f")
    waiting = [asyncio.ensure_future(queue.put(likes(3, start=10 * n), feed="f")) for n in range(1, 4)]
    await settle()
    assert not any(each.done() for each in waiting)
    with pytest.raises(QueueFull):
        queue.put_nowait(likes(1, start=99), feed="f")  # nor may anybody of this feed overtake them
    seen: list[str] = []
    for _ in range(4):
        seen += ids(queue.take(1))
        await settle()
    assert seen == [f"r1-{n}" for n in (*range(5), *range(10, 13), *range(20, 23), *range(30, 33))]


async def test_no_longer_a_queue_than_is_stored_in_the_time_to_wait() -> None:
    """A longer one would bring nothing but later answers."""
    queue = intake(65_536)
    for _ in range(3):
        queue.served(8_000, 0.2)
    assert queue.capacity == 40_000
    for _ in range(5):
        queue.served(8_000, 10.0)
    assert queue.capacity == FEWEST_EVENTS


async def test_a_newcomer_finds_room_although_more_waits_than_can_soon_be_stored() -> None:
    """The disk has become slow while a room flooded: that is not for the other rooms to wait for."""
    queue = intake(65_536)
    queue.put_nowait(likes(32_000), feed="http")
    for _ in range(3):
        queue.served(8_000, 4.0)
    assert queue.capacity < queue.queued
    queue.put_nowait(likes(TURN, room="r2"), feed="http")
    queue.offer([event("order_paid", room="r3")], feed="platform")
    for room in ("r1", "r2"):
        assert not queue.has_room("test", room, feed="http")
        with pytest.raises(QueueFull):
            queue.put_nowait([event("order_paid", room=room)], feed="http")
    assert {"r2", "r3"} <= {each.room for each in queue.take(1_000).events} | {
        each.room for each in queue.take(1_000).events
    }


async def test_one_slow_commit_says_nothing_of_how_much_can_be_stored() -> None:
    queue = intake(65_536)
    for seconds in (0.2, 0.2, 60.0):
        queue.served(8_000, seconds)
    assert queue.capacity == 40_000


async def test_it_is_full_when_less_than_a_tenth_is_free() -> None:
    queue = intake(100)
    for n in range(12):
        assert not queue.full
        queue.put_nowait(likes(min(50, (100 - queue.queued) // 2), room=f"r{n}"), feed="f")
        if queue.queued > 90:
            break
    assert queue.full


# ---------------------------------------------------------------- thinning


async def test_what_is_offered_without_pressure_stays_as_it_is() -> None:
    thinned = Thinned()
    queue = intake(100, thinned=thinned)
    queue.offer([event("like", id=str(n), count=2) for n in range(20)], feed="f")
    assert ids(queue.take(100)) == [str(n) for n in range(20)]
    assert not thinned.merges


async def test_likes_and_enters_of_one_viewer_are_merged_before_anything_is_dropped() -> None:
    thinned = Thinned()
    queue = intake(100, thinned=thinned)
    queue.offer(likes(40), feed="f")
    for n in range(300):
        kind = "like" if n % 3 else "enter"
        queue.offer([event(kind, viewer=f"w{n % 5}", id=f"m{n}", count=None if n % 2 else 4)], feed="f")
    taken = queue.take(1_000)
    assert (len(taken.events), thinned.drops) == (40 + 10, {})
    assert thinned.merges == {"like": 195, "enter": 95}
    first = next(each for each in taken.events if each.kind == "like" and each.viewer == "w1")
    mine = [n for n in range(300) if n % 3 and n % 5 == 1]
    assert (first.id, first.count) == ("m1", sum(1 if n % 2 else 4 for n in mine))


async def test_likes_are_merged_only_with_those_that_are_the_same_but_for_their_number() -> None:
    queue = intake(100)
    queue.offer(likes(40), feed="f")
    different = [
        event("like", viewer="w", id="0"),
        event("like", viewer="x", id="1"),
        event("like", viewer="w", id="2", session="another"),
        event("like", viewer="w", id="3", test=True),
        event("like", viewer="w", id="4", staff=True),
        event("enter", viewer="w", id="5"),
        event("leave", viewer="w", id="6"),
        event("leave", viewer="w", id="7"),
    ]
    queue.offer(different, feed="f")
    assert ids(queue.take(1_000))[40:] == [str(n) for n in range(8)]


async def test_a_merged_count_stays_within_its_bound() -> None:
    queue = intake(10)
    queue.offer(likes(4), feed="f")
    for n in range(3):
        queue.offer([event("like", viewer="w", id=f"m{n}", count=MAX_COUNT - 1)], feed="f")
    assert queue.take(100).events[-1].count == MAX_COUNT


async def test_nothing_is_merged_with_what_the_pipeline_has_taken() -> None:
    queue = intake(10)
    queue.offer(likes(4), feed="f")
    queue.offer([event("like", viewer="w", id="first", count=1)], feed="f")
    taken = queue.take(100)
    queue.offer(likes(4, start=4), feed="f")
    queue.offer([event("like", viewer="w", id="second", count=5)], feed="f")
    assert [each.count for each in taken.events[-1:] + queue.take(100).events[-1:]] == [1, 5]


ORDER = [  # the policy's order: every kind of an earlier line goes before any of a later one
    {"like", "enter", "leave", "stay", "room_stats"},
    {"something-new"},
    {"comment"},
    {"follow", "unfollow", "fan_club", "share", "gift", "vote", "lottery_join"},
    {"product_click", "cart_add", "coupon_claim"},
    {"question"},
    {
        "order_created", "order_paid", "order_refunded", "form_submit", "booking", "room_start", "room_end",
        "product_on_show", "host_change", "lead_claim", "lead_release", "lead_outcome", "lead_note", "lead_transfer",
        "lead_assign", "lead_approve", "lead_stage", "lead_touch", "lead_review", "lead_recycle", "contact_reveal",
        "clean_result", "identity_link", "identity_unlink", "consent", "person_erase", "org_change", "store_transfer",
        "channel_change", "cost_change", "touch_sent", "touch_result", "occasion_change", "number_change", "tick", "policy_change",
        "model_change", "request_mark",
    },
]  # fmt: skip


def one(kind: str, n: int) -> Event:
    if kind == "question":
        return event("comment", id=f"question-{n}", text="多少钱?")
    return event(kind, viewer=f"v{n}", id=f"{kind}-{n}", text="好看" if kind == "comment" else None)


def test_every_kind_has_its_place_in_the_order() -> None:
    assert set.union(*ORDER) == KINDS | {"something-new", "question"}


async def test_the_least_worth_is_dropped_first_and_the_oldest_of_it() -> None:
    thinned = Thinned()
    kinds = [kind for worth in reversed(ORDER) for kind in sorted(worth)]
    queue = intake(2 * 3 * len(kinds), thinned=thinned)
    for n in range(3):
        for kind in kinds:
            queue.offer([one(kind, n)], feed="f")
    queued = queue.queued
    for n in range(queued):
        queue.offer([one("order_paid", 100 + n)], feed="f")
    dropped = [id.rsplit("-", 1) for id in thinned.ids]
    assert len(dropped) > 2 * queued / 3
    places = [next(place for place, worth in enumerate(ORDER) if kind in worth) for kind, _ in dropped]
    assert places == sorted(places)
    for kind in ("like", "comment", "question"):
        assert [n for each, n in dropped if each == kind] == ["0", "1", "2"]


async def test_what_is_worth_less_than_all_that_waits_is_dropped_itself() -> None:
    thinned = Thinned()
    queue = intake(10, thinned=thinned)
    queue.offer([one("order_paid", n) for n in range(5)], feed="f")
    queue.offer([one("like", 1)], feed="f")
    assert thinned.ids == ["like-1"]
    assert len(queue.take(100).events) == 5


async def test_the_order_of_arrival_is_kept_among_what_is_left() -> None:
    queue = intake(60)
    for n in range(200):
        queue.offer([one(("like", "comment", "question", "order_paid")[n % 4], n)], feed="f")
    left = [int(id.rsplit("-", 1)[1]) for id in ids(queue.take(1_000))]
    assert left == sorted(left)
    assert len(left) > 20


async def test_comments_are_read_only_when_comments_must_go_and_once() -> None:
    """Reading costs as much as applying, and under overload there is nothing to spare."""
    read: list[str] = []

    def telling(event: Event) -> bool:
        read.append(event.id)
        return is_telling(event)

    queue = Intake(clock=ManualClock(), observer=Thinned(), telling=telling, queue_events=40)
    queue.offer([one("question" if n % 2 else "comment", n) for n in range(10)], feed="f")
    queue.offer([one("like", n) for n in range(40)], feed="f")
    assert read == []
    queue.offer([one("order_paid", n) for n in range(40)], feed="f")
    assert sorted(read) == sorted(set(read))
    assert len(read) == 10


async def test_what_was_put_is_never_thinned_however_much_is_offered() -> None:
    queue = intake(100)
    queue.put_nowait(likes(30), feed="f")
    queue.offer([event("like", id=f"offered-{n}", viewer=f"w{n}", room="r1") for n in range(500)], feed="f")
    taken = ids(queue.take(1_000))
    assert [id for id in taken if id.startswith("r1")] == [f"r1-{n}" for n in range(30)]


async def test_an_offered_lane_shrinks_when_its_share_does() -> None:
    """Its share is what is free: less, when others come."""
    queue = intake(120)
    queue.offer([one("order_paid", n) for n in range(60)], feed="cannot")
    for n in range(3):
        queue.put_nowait(likes(20, room=f"other{n}"), feed="can")
    assert queue.queued == 120
    queue.offer([one("order_paid", n) for n in range(60, 120)], feed="cannot")
    taken = ids(queue.take(1_000))
    assert len([id for id in taken if id.startswith("order")]) in range(29, 32)


async def test_bytes_that_are_offered_are_bounded_at_every_step() -> None:
    queue = intake(100_000, size=MIB)
    for n in range(2_000):
        queue.offer([one("order_paid", n)], feed="f")
    for n in range(200):
        queue.offer([event("like", viewer=f"v{n}", id=f"big-{n}", extra={"x": "y" * 100_000})], feed="f")
        assert queue.queued_bytes <= MIB


# ---------------------------------------------------------------- receipts


async def test_a_receipt_comes_when_all_that_was_kept_is_durable() -> None:
    queue = intake(40)
    queue.offer(likes(6), feed="f")
    done = queue.offer([one("order_paid", 1), one("like", 1), one("order_paid", 2)], feed="f")
    queue.offer([one("order_paid", n) for n in range(3, 21)], feed="f")  # all likes must go
    first = queue.take(1)
    assert first.events[0].id == "order_paid-1"
    first.acknowledge(())
    assert not done.done()
    queue.take(100).acknowledge(())
    assert done.result() == Receipt(accepted=2, duplicates=0, dropped=1)


async def test_a_batch_of_which_nothing_is_left_has_its_receipt_at_once() -> None:
    queue = intake(10)
    queue.offer([one("order_paid", n) for n in range(5)], feed="f")
    done = queue.offer([one("like", 1)], feed="f")
    assert done.result() == Receipt(0, 0, dropped=1)


async def test_a_merged_like_is_acknowledged_with_the_one_that_it_is_part_of() -> None:
    queue = intake(10)
    queue.offer(likes(4), feed="f")
    first = queue.offer([event("like", viewer="w", id="a")], feed="f")
    second = queue.offer([event("like", viewer="w", id="b")], feed="f")
    assert not second.done()
    queue.take(100).acknowledge(())
    assert (first.result(), second.result()) == (Receipt(1, 0), Receipt(1, 0))


async def test_what_was_merged_is_dropped_with_the_one_that_it_is_part_of() -> None:
    thinned = Thinned()
    queue = intake(10, thinned=thinned)
    queue.offer([one("order_paid", n) for n in range(4)], feed="f")
    likes = [queue.offer([event("like", viewer="w", id=str(n))], feed="f") for n in range(3)]
    queue.offer([one("order_paid", 4)], feed="f")
    assert [done.result() for done in likes] == [Receipt(0, 0, dropped=1)] * 3
    assert thinned.drops == {"like": 3}


async def test_duplicates_are_told_to_the_batch_that_had_them() -> None:
    queue = intake(100)
    receipts = [queue.put_nowait(likes(count, start=10 * count), feed="f") for count in (1, 3, 2)]
    queue.take(100).acknowledge([0, 2, 3])
    assert [done.result() for done in receipts] == [Receipt(0, 1), Receipt(1, 2), Receipt(2, 0)]


async def test_when_nothing_can_be_stored_everybody_is_told() -> None:
    queue = intake(10)
    done = [
        queue.put_nowait(likes(3), feed="f"),
        queue.offer([event("like", viewer="w", id="a")], feed="g"),
        queue.offer([event("like", viewer="w", id="b")], feed="g"),
    ]
    waiting = asyncio.ensure_future(queue.put(likes(6), feed="f"))
    await settle()
    taken = queue.take(1)
    queue.fail()
    taken.refuse()
    for each in done:
        with pytest.raises(NotStored):
            await each
    with pytest.raises(QueueFull):
        await waiting
    with pytest.raises(QueueFull):
        queue.offer(likes(1), feed="g")
    assert queue.queued == 0


# ---------------------------------------------------------------- whatever comes

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 2), st.integers(0, 9), st.just("like")),
        st.tuples(
            st.just("offer"),
            st.integers(0, 2),
            st.integers(0, 9),
            st.sampled_from(["like", "enter", "comment", "question", "order_paid", "x"]),
        ),
        st.tuples(st.just("take"), st.integers(0, 0), st.integers(1, 15), st.just("")),
        st.tuples(st.just("served"), st.integers(0, 0), st.integers(1, 9), st.just("")),
    ),
    max_size=80,
)


@settings(max_examples=200, deadline=None)
@given(STEPS, st.integers(1, 40))
def test_every_event_is_taken_merged_or_dropped_once_in_its_feeds_order_and_within_the_bound(
    steps: Sequence[tuple[str, int, int, str]], bound: int
) -> None:
    asyncio.run(_whatever_comes(steps, bound))


async def _whatever_comes(steps: Sequence[tuple[str, int, int, str]], bound: int) -> None:
    thinned = Thinned()
    queue = intake(bound, thinned=thinned)
    sent: list[str] = []
    taken: list[str] = []
    receipts: list[tuple[int, asyncio.Future[Receipt]]] = []
    largest = 0  # a batch that is larger than the whole queue is taken when nothing waits
    for what, lane, count, kind in steps:
        if what == "take":
            batch = queue.take(count)
            taken += ids(batch)
            batch.acknowledge(())
        elif what == "served":
            queue.served(10, count / 10)
        else:
            events = [
                msg(kind, viewer=f"v{n % 3}", id=f"{what}{lane}:{len(sent) + n}", room=f"r{lane}")
                for n in range(count)
            ]
            try:
                call = queue.put_nowait if what == "put" else queue.offer
                receipts.append((count, call(events, feed=what)))
            except QueueFull:
                assert what == "put"
                continue
            sent += [each.id for each in events]
            largest = max(largest, count if what == "put" else 0)
        assert queue.queued <= max(bound, largest)
    while queue.queued:
        batch = queue.take(7)
        taken += ids(batch)
        batch.acknowledge(())
    assert len(taken) == len(set(taken))
    # A merge whose result was dropped later is among the drops as well.
    settled = [(count, done.result()) for count, done in receipts]
    assert all(count == each.accepted + each.dropped for count, each in settled)
    assert sum(each.dropped for _, each in settled) == thinned.drops.total()
    assert (
        len(sent) - thinned.drops.total() - thinned.merges.total()
        <= len(taken)
        <= len(sent) - len(thinned.ids)
    )
    for name in {id.split(":")[0] for id in sent}:
        numbers = [int(id.split(":")[1]) for id in taken if id.split(":")[0] == name]
        assert numbers == sorted(numbers)


def msg(kind: str, *, viewer: str, id: str, room: str) -> Event:
    text = {"question": "多少钱?", "comment": "好看"}.get(kind)
    return event("comment" if text else kind, viewer=viewer, id=id, room=room, text=text)
