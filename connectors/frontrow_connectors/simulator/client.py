"""Plays a simulated broadcast by the clock, then the next, for ever."""

from collections.abc import Sequence

import msgspec

from frontrow.core.events import Event
from frontrow_connectors.contract import FeedContext, FeedState, FeedStatus
from frontrow_connectors.simulator.options import SimulatorOptions
from frontrow_models.simulate import Scenario, Simulation

BATCH = 512  # events made without a pause: about 4 ms of the loop
SHORTEST_WAIT_S = 0.02  # what arrives within this is put together
CLOCK_STEPPED_MS = 1_000  # a wall clock that differs by more was set; less is rounding and slewing


class SimulatorFeed:
    """The client of the ``simulator`` connector."""

    def __init__(self, options: SimulatorOptions, context: FeedContext) -> None:
        self._options = options
        self._context = context

    async def run(self) -> None:
        """Play one broadcast after the other; returns only by being cancelled."""
        warm_s = self._options.warm_start_minutes * 60.0
        number = 0
        while True:
            seed = self._options.seed + number
            self._context.status(FeedStatus(FeedState.CONNECTED, f"simulated broadcast, seed {seed}"))
            await _Broadcast(self._options, self._context, seed=seed, warm_s=warm_s).play()
            self._context.status(FeedStatus(FeedState.CONNECTED, "pause between two simulated broadcasts"))
            await self._context.clock.sleep(self._options.pause_s)
            warm_s = 0.0
            number += 1


class _Broadcast:
    """One broadcast on the way to the intake.

    The broadcast's own time begins at ``start`` and runs ``speed`` times as fast as the clock. It is paced by the
    monotonic clock; event times are given by the wall clock and follow it when it is set, and none lies in the future.
    Every id contains ``start``, so none comes twice over restarts and broadcasts.
    """

    def __init__(self, options: SimulatorOptions, context: FeedContext, *, seed: int, warm_s: float) -> None:
        self._context = context
        self._clock = context.clock
        self._speed = options.speed
        gone_s = warm_s / options.speed
        self._began = context.clock.monotonic() - gone_s
        self._start = context.clock.now() - int(gone_s * 1000)
        self._wall = self._start  # wall-clock time of the broadcast's beginning
        self._run = Simulation(
            Scenario(
                seed=seed,
                platform=context.room.platform,
                rooms=(context.room.room,),
                start=self._start,
                duration_s=options.session_minutes * 60,
                viewers=options.viewers,
                events_per_s=options.events_per_s,
                seen_at=False,  # the intake stamps the arrival
            )
        )

    async def play(self) -> None:
        batch: list[Event] = []
        for arrival, event in self._run.arrivals():
            wait_s = self._began + (arrival - self._start) / 1000.0 / self._speed - self._clock.monotonic()
            if wait_s > 0.0:
                await self._put(batch)
                batch = []
                await self._clock.sleep(max(wait_s, SHORTEST_WAIT_S))
            batch.append(event)
            if len(batch) == BATCH:
                await self._put(batch)
                batch = []
                await self._clock.sleep(0.0)  # let others run while the past is delivered
        await self._put(batch)

    async def _put(self, batch: list[Event]) -> None:
        # What `put` returns is not awaited: a simulated platform has no acknowledgement to give.
        if batch:
            await self._context.put(self._stamped(batch))

    def _stamped(self, batch: list[Event]) -> Sequence[Event]:
        """Return the events with wall-clock times."""
        now = self._clock.now()
        gone_ms = (self._clock.monotonic() - self._began) * 1000.0
        if abs(now - self._wall - gone_ms) > CLOCK_STEPPED_MS:
            self._wall = now - int(gone_ms)
        if self._wall == self._start and self._speed == 1.0 and max(event.at for event in batch) <= now:
            return batch
        return [self._restamped(event, now) for event in batch]

    def _restamped(self, event: Event, now: int) -> Event:
        at = min(now, self._wall + int((event.at - self._start) / self._speed))
        seconds = None if event.seconds is None else event.seconds / self._speed
        return msgspec.structs.replace(event, at=at, seconds=seconds)
