"""The feeds that run: one task each, apart from one another, with what each says of itself."""

import asyncio
import random
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from frontrow.app.gate import ChannelGate
from frontrow.app.observing import Observer
from frontrow.config import Config
from frontrow.core.events import Batch, Event, RoomRef
from frontrow.core.ports import Clock, Intake, Receipt
from frontrow.runtime.panel import FeedLine
from frontrow.storage.aio import StoreThread
from frontrow_connectors.contract import FeedContext, FeedState, FeedStatus, Receiver
from frontrow_connectors.registry import CONNECTORS

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Running:
    id: str
    connector: str
    room: RoomRef
    status: FeedStatus
    since: int


class StoredPosition:
    """Fits :class:`frontrow_connectors.contract.Position` with the store."""

    def __init__(self, store: StoreThread, feed: str) -> None:
        self._store = store
        self._feed = feed

    async def read(self) -> str | None:
        return await self._store.call(self._store.store.position, self._feed)

    async def keep(self, position: str) -> None:
        await self._store.call(self._store.store.keep_position, self._feed, position)


class Feeds:
    """Makes the configured clients and receivers; runs the clients until cancelled."""

    def __init__(
        self,
        config: Config,
        *,
        rooms: dict[str, RoomRef],
        intake: Intake,
        clock: Clock,
        rng: random.Random,
        observer: Observer,
        store: StoreThread,
        gate: ChannelGate,
    ) -> None:
        self._intake = intake
        self._store = store
        self.gate = gate
        self._clock = clock
        self._observer = observer
        self._rng = rng
        self._running: dict[str, _Running] = {}
        self._clients = [feed for feed in config.feeds if feed.enabled and CONNECTORS[feed.connector].client]
        self._rooms = rooms
        self._receivers: dict[
            tuple[str, str], tuple[Receiver, RoomRef, str]
        ] = {}  # by (connector, feed's id)
        self._of_room: dict[tuple[str, str], list[str]] = {}  # (connector, room's id) → feeds' ids
        for feed in config.feeds:
            make = CONNECTORS[feed.connector].receiver
            if feed.enabled and make is not None:
                room = rooms[feed.room]
                self._receivers[feed.connector, feed.id] = make(feed.options, room), room, feed.id
                self._of_room.setdefault((feed.connector, feed.room), []).append(feed.id)
                # A webhook is called when the platform has something to say; until then it is ready.
                self._note(
                    feed.id, feed.connector, room, FeedStatus(FeedState.CONNECTED, "ready to be called")
                )
        for feed in self._clients:
            self._note(feed.id, feed.connector, rooms[feed.room], FeedStatus(FeedState.CONNECTING))

    def receiver(self, connector: str, name: str) -> tuple[Receiver, RoomRef, str] | None:
        """Return a connector's webhook, its room and its feed's id; ``name`` is the feed's id, or its room's where no other is in it.

        None: there is no such webhook, or the room has several.
        """
        in_room = self._of_room.get((connector, name), ())
        return self._receivers.get((connector, in_room[0] if len(in_room) == 1 else name))

    def lines(self, room: str) -> list[FeedLine]:
        """Return what a room's feeds do now, for its panel."""
        return [
            FeedLine(
                feed.id,
                feed.connector,
                str(feed.status.state),
                feed.status.detail,
                feed.status.retry_in_s,
                feed.since,
            )
            for feed in self._running.values()
            if feed.room.id == room
        ]

    def states(self) -> dict[tuple[str, str, str], str]:
        """Return every feed's state by (feed, room, connector), for the metrics."""
        return {
            (feed.id, feed.room.id, feed.connector): str(feed.status.state) for feed in self._running.values()
        }

    async def run(self) -> None:
        """Run all clients until cancelled. One that ends or fails leaves the others running."""
        async with asyncio.TaskGroup() as group:
            for feed in self._clients:
                room = self._rooms[feed.room]
                context = FeedContext(
                    feed=feed.id,
                    room=room,
                    clock=self._clock,
                    rng=random.Random(self._rng.random()),
                    put=partial(self._put, feed.id, room),
                    offer=partial(self._offer, feed.id, room),
                    status=partial(self._note, feed.id, feed.connector, room),
                    reject=partial(self._observer.rejected, feed.id, room),
                    position=StoredPosition(self._store, feed.id),
                )
                group.create_task(self._guard(context, feed.connector, feed.options), name=f"feed[{feed.id}]")

    async def _guard(self, context: FeedContext, connector: str, options: object) -> None:
        make = CONNECTORS[connector].client
        assert make is not None  # chosen above
        try:
            await make(options, context).run()
        except Exception as error:
            # A client reconnects by itself; what gets here is a bug of it, and must not end the other feeds.
            log.exception("feed_ended_by_error", feed=context.feed, room=context.room.id)
            context.status(FeedStatus(FeedState.ENDED, f"internal error ({type(error).__name__})"))

    async def _put(self, feed: str, room: RoomRef, events: Sequence[Event]) -> Awaitable[Receipt]:
        return await self._intake.put(self._admitted(feed, room, events), feed=feed)

    def _offer(self, feed: str, room: RoomRef, events: Sequence[Event]) -> Awaitable[Receipt]:
        return self._intake.offer(self._admitted(feed, room, events), feed=feed)

    def _admitted(self, feed: str, room: RoomRef, events: Sequence[Event]) -> Sequence[Event]:
        """Return what the channels let in; the rest is counted."""
        if not self.gate.stands:
            return events
        batch = self.gate.admit(Batch(list(events), []), feed)
        for rejected in batch.rejected:
            self._observer.rejected(feed, room, rejected.reason)
        return batch.events

    def _note(self, id: str, connector: str, room: RoomRef, status: FeedStatus) -> None:
        before = self._running.get(id)
        now = self._clock.now()
        changed = before is None or before.status.state is not status.state
        if changed or (before is not None and before.status.detail != status.detail):
            log.info("feed_state", feed=id, room=room.id, state=str(status.state), sentence=status.sentence)
        since = now if changed or before is None else before.since
        self._running[id] = _Running(id, connector, room, status, since)
