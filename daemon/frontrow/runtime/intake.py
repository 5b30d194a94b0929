"""The bounded queue between the feeds and the pipeline, and what happens when more comes than can be stored.

``daemon/docs/overload.md`` is the policy in words. In short:

* *Bounds.* At most ``queue_events`` and ``queue_bytes`` wait, and where more than a turn of a lane waits, no more than the
  pipeline has lately stored in ``wait_s``: a longer queue would only make everybody wait longer.
* *Fairness.* Each feed of each room has a lane of its own. A lane may hold as much as is still free (the dynamic
  threshold of Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches", 1998): one
  flooding lane gets half of the queue, two a third each, and there is always room for a newcomer. The pipeline is
  given events by turns, :data:`TURN` of each lane, and those of one lane always in their order.
* *Those who can wait, wait*: :meth:`Intake.put` returns when the lane has room, and :meth:`Intake.put_nowait` says so
  by :class:`QueueFull`. What they have taken is never thinned.
* *Those who cannot* (:meth:`Intake.offer`) have their lanes thinned: from half of the threshold on, likes and enters are
  merged with those of the same viewer that wait already; at the threshold, the least worth is dropped, oldest first,
  in the order of :class:`Worth`. Each merge and each drop is counted by room and kind.

Not a store: what waits here is not durable, and nobody has been told that it is.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from statistics import median
from typing import Protocol

import msgspec

from frontrow.core.events import DAEMON_KINDS, MAX_COUNT, PEOPLE_KINDS, Event
from frontrow.core.frames import Frame
from frontrow.core.ports import Clock, Receipt

TURN = 256  # events of one lane before the next lane's turn
MERGING = 0.5  # the share of its threshold from which a lane's likes and enters are merged
# However slow the machine: a queue in which the largest request finds room when it is empty, and some frames wait.
FEWEST_EVENTS = 10_000
# Of an event beside its length on the wire: the object's 35 fields, and what Python adds to each text.
EVENT_BYTES = 640
_RATES = 5  # the median of so many measurements is believed: a single slow commit says nothing


class Worth(IntEnum):
    """What is dropped first, when something must be: the least first, the oldest of them first."""

    NOISE = (
        0  # likes, enters, leaves, lengths of stay, the platform's totals: the next ones say nearly the same
    )
    UNKNOWN = 1  # kinds that nothing is computed from
    CHATTER = 2  # comments without any fact
    INTEREST = 3  # follows, shares, gifts, votes
    INTENT = 4  # clicks on products, carts, coupons
    TELLING = 5  # comments with facts: questions, numbers, the host called by name
    VITAL = 6  # orders, forms, bookings, the broadcast itself, and what people and the daemon say


_WORTH: dict[str, Worth] = {
    **dict.fromkeys(("like", "enter", "leave", "stay", "room_stats"), Worth.NOISE),
    "comment": Worth.CHATTER,  # until it is read, which is done when one must go
    **dict.fromkeys(
        ("follow", "unfollow", "fan_club", "share", "gift", "vote", "lottery_join"), Worth.INTEREST
    ),
    **dict.fromkeys(("product_click", "cart_add", "coupon_claim"), Worth.INTENT),
    **dict.fromkeys(
        (
            "order_created",
            "order_paid",
            "order_refunded",
            "form_submit",
            "booking",
            "room_start",
            "room_end",
            "product_on_show",
            "host_change",
            *PEOPLE_KINDS,
            *DAEMON_KINDS,
        ),
        Worth.VITAL,
    ),
}
_MERGED = frozenset({"like", "enter"})

_encoder = msgspec.json.Encoder()


class QueueFull(Exception):
    """The lane has no room and the caller asked not to wait, or the intake is closed."""


class NotStored(Exception):
    """What was put could not be made durable; the daemon ends, and the sender must send it again."""


class IntakeObserver(Protocol):
    """Who counts what was thinned. No call may raise or wait."""

    def merged(self, event: Event) -> None:
        """One more event is part of another that waits."""

    def dropped(self, event: Event, events: int) -> None:
        """An event was given up, with those merged into it so many ``events`` of its kind."""


@dataclass(slots=True, eq=False)
class Entry:
    """One batch on its way, until all of it is durable or given up."""

    arrived_at: int  # UTC ms
    arrived: float  # monotonic
    left: int
    done: "asyncio.Future[Receipt]"
    accepted: int = 0
    duplicates: int = 0
    dropped: int = 0

    def settle(self, accepted: int, duplicates: int = 0, dropped: int = 0) -> None:
        """Say what became of some of the batch; after the last of it, the sender is told."""
        self.accepted += accepted
        self.duplicates += duplicates
        self.dropped += dropped
        self.left -= accepted + duplicates + dropped
        if (
            not self.left and not self.done.done()
        ):  # the sender may have gone; what it sent is stored all the same
            self.done.set_result(Receipt(self.accepted, self.duplicates, self.dropped))

    def refuse(self) -> None:
        """Say that it cannot be stored; idempotent."""
        if not self.done.done():
            self.done.set_exception(NotStored())
            self.done.exception()  # a feed without acknowledgements does not look; that is no error of its own


@dataclass(slots=True)
class Taken:
    """Events on their way to the journal, in order, and whose they are."""

    batches: list[Frame | list[Event]] = field(default_factory=list)
    seen_ats: list[int] = field(default_factory=list)  # arrivals, UTC ms
    parts: list[tuple[Entry, int]] = field(default_factory=list)  # whose events, how many in a row
    merged: list[Entry] = field(default_factory=list)  # an event of each is in one of these

    def __len__(self) -> int:
        return len(self.seen_ats)

    def add(self, events: Sequence[Event] | Frame, arrived_at: int) -> None:
        """Take events in; a frame is to be nobody else's."""
        if isinstance(events, Frame):
            self.batches.append(events)
        elif self.batches and isinstance(self.batches[-1], list):
            self.batches[-1] += events
        else:
            self.batches.append(list(events))
        self.seen_ats += [arrived_at] * len(events)

    def frames(self) -> Iterator[Frame]:
        """All of them as frames, which nobody has prepared."""
        return (batch if isinstance(batch, Frame) else Frame.of(batch) for batch in self.batches)

    @property
    def events(self) -> list[Event]:
        """All of them as objects: for those who are not in a hurry."""
        return [event for frame in self.frames() for event in frame.events()]

    def acknowledge(self, duplicates: Sequence[int]) -> None:
        """Tell the senders that all is durable; ``duplicates`` are the ascending positions of what was known."""
        if duplicates:
            known = iter((*duplicates, len(self)))
            position = next(known)
            end = 0
            for entry, count in self.parts:
                end += count
                repeated = 0
                while position < end:
                    repeated += 1
                    position = next(known)
                entry.settle(count - repeated, repeated)
        else:
            for entry, count in self.parts:
                entry.settle(count)
        for entry in self.merged:
            entry.settle(1)

    def refuse(self) -> None:
        """Tell the senders that it cannot be stored."""
        for entry, _ in self.parts:
            entry.refuse()
        for entry in self.merged:
            entry.refuse()


class Lane:
    """What waits of one feed of one room, whose sender can wait: whole batches."""

    def __init__(self) -> None:
        self.events = 0
        self.bytes = 0
        self.credit = 0
        self.turn = asyncio.Lock()  # one at a time, so that a feed's batches keep their order while they wait
        self._batches: deque[tuple[Entry, Sequence[Event] | Frame, int]] = deque()

    def add(self, entry: Entry, events: Sequence[Event] | Frame, size: int) -> None:
        """Queue a batch of ``size`` bytes."""
        self._batches.append((entry, events, size))
        self.events += len(events)
        self.bytes += size

    def move(self, into: Taken) -> int:
        """Move the oldest batch, which is never divided; return how many events it has."""
        entry, events, size = self._batches.popleft()
        count = len(events)
        self.events -= count
        self.bytes -= size
        into.add(events, entry.arrived_at)
        into.parts.append((entry, count))
        return count

    def entries(self) -> Iterator[Entry]:
        """Every batch that waits."""
        return (entry for entry, _, _ in self._batches)


@dataclass(slots=True, eq=False)
class _Item:
    number: int  # in the order of arrival
    event: Event
    entry: Entry
    size: int
    key: tuple[object, ...] | None = None  # under which others are merged with it
    merged: list[Entry] = field(default_factory=list)


class ThinLane(Lane):
    """What waits of one feed of one room, whose sender cannot wait: single events, apart by their worth.

    Oldest and least are found at once, however much waits, and the order of arrival is put together again on the way
    out.
    """

    def __init__(self, telling: Callable[[Event], bool]) -> None:
        super().__init__()
        self._telling = telling
        self._of: tuple[deque[_Item], ...] = tuple(deque() for _ in Worth)
        self._mergeable: dict[tuple[object, ...], _Item] = {}
        self._number = 0

    def push(self, event: Event, entry: Entry, size: int, *, merging: bool) -> bool:
        """Queue one event; return whether it was merged with one that waits already."""
        key: tuple[object, ...] | None = None
        if merging and event.kind in _MERGED:
            key = (event.kind, event.viewer, event.room, event.session, event.test, event.staff, event.fan)
            waiting = self._mergeable.get(key)
            if waiting is not None:
                if event.kind == "like":
                    waiting.event = _with_more(waiting.event, event)
                waiting.merged.append(entry)
                return True
        item = _Item(self._number, event, entry, size, key)
        self._number += 1
        if key is not None:
            self._mergeable[key] = item
        self._of[_WORTH.get(event.kind, Worth.UNKNOWN)].append(item)
        self.events += 1
        self.bytes += size
        return False

    def drop_least(self) -> _Item:
        """Give up the oldest of the least worth and return it. The lane must not be empty."""
        for worth in Worth:
            queue = self._of[worth]
            while queue:
                if worth is Worth.CHATTER and self._telling(queue[0].event):
                    # Read once: comments come from here in their order, and so stand in it there.
                    self._of[Worth.TELLING].append(queue.popleft())
                    continue
                return self._forget(queue.popleft())
        raise IndexError("nothing waits")

    def move(self, into: Taken) -> int:
        """Move the oldest event; return 1."""
        oldest = self._number
        for waiting in self._of:
            if waiting and waiting[0].number < oldest:
                oldest, queue = waiting[0].number, waiting
        item = self._forget(queue.popleft())
        entry = item.entry
        into.add((item.event,), entry.arrived_at)
        into.merged += item.merged
        if into.parts and into.parts[-1][0] is entry:
            into.parts[-1] = (entry, into.parts[-1][1] + 1)
        else:
            into.parts.append((entry, 1))
        return 1

    def entries(self) -> Iterator[Entry]:
        for queue in self._of:
            for item in queue:
                yield item.entry
                yield from item.merged

    def _forget(self, item: _Item) -> _Item:
        self.events -= 1
        self.bytes -= item.size
        if item.key is not None and self._mergeable.get(item.key) is item:
            del self._mergeable[item.key]
        return item


class Intake:
    """Fits :class:`frontrow.core.ports.Intake`: feeds put and offer, the pipeline takes."""

    def __init__(
        self,
        *,
        clock: Clock,
        observer: IntakeObserver,
        telling: Callable[[Event], bool],
        queue_events: int = 65_536,
        queue_bytes: int = 64 * 1024 * 1024,
        wait_s: float = 1.0,
    ) -> None:
        """Make an empty queue. ``telling`` says whether a comment holds any fact; asked only when comments must go.
        ``clock`` stamps arrivals."""
        self._clock = clock
        self._observer = observer
        self._telling = telling
        self._most_events = queue_events
        self._most_bytes = queue_bytes
        self._wait_s = wait_s
        self._capacity = queue_events
        self._rates: deque[float] = deque(maxlen=_RATES)
        self._lanes: dict[tuple[bool, str, str, str], Lane] = {}  # (thinned, feed, platform, room)
        self._turns: deque[Lane] = deque()  # lanes in which something waits
        self._events = 0
        self._bytes = 0
        self._arrival = asyncio.Event()
        self._space = asyncio.Event()
        self._closed = False

    @property
    def queued(self) -> int:
        """How many events wait."""
        return self._events

    @property
    def queued_bytes(self) -> int:
        """How many bytes they are counted as."""
        return self._bytes

    @property
    def capacity(self) -> int:
        """How many events may wait now: what was configured, or what is stored in ``wait_s`` if that is less."""
        return self._capacity

    @property
    def full(self) -> bool:
        """Whether less than a tenth of the queue is free: several lanes flood it, or one has, and the disk hangs."""
        return self._events * 10 > self._capacity * 9 or self._bytes * 10 > self._most_bytes * 9

    @property
    def closed(self) -> bool:
        """Whether nothing more is taken."""
        return self._closed

    # ------------------------------------------------------------------ of the feeds

    async def put(self, events: Sequence[Event], *, feed: str) -> Awaitable[Receipt]:
        """Wait until the feed's lane has room, then queue; see :class:`frontrow.core.ports.Intake`.

        Raises:
            QueueFull: The intake is closed.
        """
        if not events:
            return self._nothing()
        lane = self._lane(events, feed)
        size = _size(events)
        if lane.turn.locked() or not self._fits(lane, len(events), size):
            async with lane.turn:
                while not self._closed and not self._fits(lane, len(events), size):
                    self._space.clear()
                    await self._space.wait()
        return self._add(lane, events, size)

    def put_nowait(
        self, events: Sequence[Event] | Frame, *, feed: str, text_bytes: int | None = None
    ) -> "asyncio.Future[Receipt]":
        """Queue events at once; a frame is to be nobody else's, all of one room and not prepared. ``text_bytes`` is the length of what they were decoded from, where that is known: it
        bounds what a sender chooses as well as their length as JSON, which takes as long to learn as a fifth of the
        decoding.

        Raises:
            QueueFull: The feed's lane has no room, or the intake is closed. Nothing was taken.
        """
        if not len(events):
            return self._nothing()
        lane = self._lane(events, feed)
        size = _size(events) if text_bytes is None else text_bytes + EVENT_BYTES * len(events)
        if lane.turn.locked() or not self._fits(lane, len(events), size):
            raise QueueFull
        return self._add(lane, events, size)

    def has_room(self, platform: str, room: str, *, feed: str) -> bool:
        """Return whether a feed could put one event more of a room just now: asked before a request is decoded."""
        lane = self._lanes.get((False, feed, platform, room))
        if lane is None:
            return self._events < self._most_events
        return not lane.turn.locked() and self._fits(lane, 1, EVENT_BYTES)

    def offer(self, events: Sequence[Event], *, feed: str) -> "asyncio.Future[Receipt]":
        """Queue events of a feed that cannot wait; see :class:`frontrow.core.ports.Intake`.

        Raises:
            QueueFull: The intake is closed.
        """
        if self._closed:
            raise QueueFull
        if not events:
            return self._nothing()
        key = (True, feed, events[0].platform, events[0].room)
        lane = self._lanes.get(key)
        if not isinstance(lane, ThinLane):
            lane = self._lanes[key] = ThinLane(self._telling)
        entry = self._entry(len(events))
        size = _size(events) // len(events)
        if not lane.events:
            self._turns.append(lane)
        for event in events:
            self._offer(lane, event, entry, size)
        self._arrival.set()
        return entry.done

    def _offer(self, lane: ThinLane, event: Event, entry: Entry, size: int) -> None:
        free_events, free_bytes = self._capacity - self._events, self._most_bytes - self._bytes
        merging = lane.events >= MERGING * free_events or lane.bytes >= MERGING * free_bytes
        if lane.push(event, entry, size, merging=merging):
            self._observer.merged(event)
            return
        self._events += 1
        self._bytes += size
        # Two for one that comes: a threshold that has sunk since (others flood, too, or the disk has become slow) is
        # reached in steps, each of which costs little. The bounds of the whole queue are kept at every step.
        dropped = 0
        while lane.events and (self._beyond() or (dropped < 2 and self._over(lane))):
            self._drop(lane.drop_least())
            dropped += 1

    def _drop(self, item: "_Item") -> None:
        self._events -= 1
        self._bytes -= item.size
        self._observer.dropped(item.event, 1 + len(item.merged))
        item.entry.settle(0, dropped=1)
        for merged in item.merged:
            merged.settle(0, dropped=1)

    def _beyond(self) -> bool:
        return self._events > self._most_events or self._bytes > self._most_bytes

    def _over(self, lane: Lane) -> bool:
        # The event that has just come is counted on both sides.
        free = (self._capacity if lane.events > TURN else self._most_events) - self._events
        return lane.events > free + 1 or lane.bytes > self._most_bytes - self._bytes

    def _lane(self, events: Sequence[Event] | Frame, feed: str) -> Lane:
        # Rooms and feeds are configured ones, so lanes are few and stay.
        if isinstance(events, Frame):
            key = (False, feed, events.platforms[0], events.rooms[0])
        else:
            key = (False, feed, events[0].platform, events[0].room)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane()
        return lane

    def _fits(self, lane: Lane, events: int, size: int) -> bool:
        if not self._events:
            return True  # whatever its size: it could never be taken otherwise
        free = self._most_events - self._events
        worth_waiting = self._capacity - self._events
        return (
            lane.events + events <= (worth_waiting if lane.events + events > TURN else free)
            and lane.bytes + size <= self._most_bytes - self._bytes
        )

    def _add(self, lane: Lane, events: Sequence[Event] | Frame, size: int) -> "asyncio.Future[Receipt]":
        if self._closed:
            raise QueueFull
        entry = self._entry(len(events))
        if not lane.events:
            self._turns.append(lane)
        lane.add(entry, events, size)
        self._events += len(events)
        self._bytes += size
        self._arrival.set()
        return entry.done

    def _entry(self, events: int) -> Entry:
        done: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        return Entry(self._clock.now(), self._clock.monotonic(), events, done)

    def _nothing(self) -> "asyncio.Future[Receipt]":
        done: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        done.set_result(Receipt(accepted=0, duplicates=0))
        return done

    # ------------------------------------------------------------------ of the pipeline

    async def arrival(self) -> None:
        """Wait until something is queued, or the intake is closed."""
        while not self._events and not self._closed:
            self._arrival.clear()
            await self._arrival.wait()

    def take(self, most: int) -> Taken:
        """Return the next ``most`` events or so, by turns of the lanes: whole batches, so the last may exceed it."""
        taken = Taken()
        while self._turns and len(taken) < most:
            lane = self._turns[0]
            lane.credit += TURN
            # A batch is not divided, so credit may fall below nothing; the lane then waits for as many turns.
            while lane.credit > 0 and lane.events and len(taken) < most:
                before = lane.bytes
                count = lane.move(taken)
                lane.credit -= count
                self._events -= count
                self._bytes -= before - lane.bytes
            if lane.events:
                self._turns.rotate(-1)
            else:
                lane.credit = 0
                self._turns.popleft()
        self._space.set()
        return taken

    def served(self, events: int, seconds: float) -> None:
        """Learn how quickly events are stored; called after a commit that was as large as commits get."""
        self._rates.append(events / max(seconds, 1e-6))
        worth_waiting = int(median(self._rates) * self._wait_s)
        self._capacity = min(self._most_events, max(FEWEST_EVENTS, worth_waiting))
        self._space.set()

    def close(self) -> None:
        """Take nothing more; what waits is still for the pipeline. Idempotent."""
        self._closed = True
        self._arrival.set()
        self._space.set()

    def fail(self) -> None:
        """Take nothing more, and tell everybody who waits that it cannot be stored."""
        self.close()
        for lane in self._lanes.values():
            for entry in lane.entries():
                entry.refuse()
        self._lanes.clear()
        self._turns.clear()
        self._events = self._bytes = 0


def _with_more(first: Event, more: Event) -> Event:
    count = (1 if first.count is None else first.count) + (1 if more.count is None else more.count)
    return msgspec.structs.replace(first, count=min(count, MAX_COUNT))


def _size(events: Sequence[Event] | Frame) -> int:
    """Return what events are counted as: their length as JSON, which bounds all that a sender chooses, and the objects.

    Costs 0.4 µs an event. Objects made of JSON take more than their text, dictionaries of many small values ten times
    as much; it is a measure, and memory is bounded by a multiple of it.
    """
    try:
        return len(_encoder.encode(events)) + EVENT_BYTES * len(events)
    except (ValueError, TypeError, OverflowError, RecursionError):
        # Half a surrogate pair, or a platform's message nested too deep, both mended later: rare, so not worth
        # exactness.
        return 16_384 * len(events)
