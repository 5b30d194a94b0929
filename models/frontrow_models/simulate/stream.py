"""A scenario as a stream of events in order of arrival, with the truth beside it; and as NDJSON."""

import heapq
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import msgspec

from frontrow.core.events import Event
from frontrow_models.simulate.room import Room
from frontrow_models.simulate.scenario import Scenario, ViewerTruth

_LINES_AT_ONCE = 1_024


class Simulation:
    """One run of a scenario: an iterator over its events, which can be passed over once.

    Work is done as the events are taken, a few microseconds each; making the object costs some 20 µs per viewer.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._rooms = [Room(scenario, index) for index in range(len(scenario.rooms))]
        self._arrivals = _timed(self._rooms)

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        return next(self._arrivals)[1]

    def arrivals(self) -> Iterator[tuple[int, Event]]:
        """Yield (arrival in UTC milliseconds, event): what is left of this same single pass."""
        return self._arrivals

    @property
    def truth(self) -> list[ViewerTruth]:
        """What is known of each viewer, by room and then by id.

        Types and probabilities are there from the start; purchases are complete when the events are.
        """
        return [known for room in self._rooms for known in room.truth()]


def simulate(scenario: Scenario) -> Simulation:
    """Return the scenario's events in order of arrival; ``.truth`` of what is returned is the ground truth."""
    return Simulation(scenario)


def truth(scenario: Scenario) -> list[ViewerTruth]:
    """Return the ground truth of a scenario, for which its events are made and thrown away."""
    run = Simulation(scenario)
    for _ in run:
        pass
    return run.truth


def write_ndjson(events: Iterable[Event], out: BinaryIO) -> int:
    """Write events as lines of JSON, as :func:`frontrow.core.events.encode_event` gives them; return how many."""
    return _write_lines(events, out)


def write_truth(known: Iterable[ViewerTruth], out: BinaryIO) -> int:
    """Write one line of JSON per viewer, with the fields of :class:`ViewerTruth`; return how many."""
    return _write_lines(known, out)


def _write_lines(items: Iterable[object], out: BinaryIO) -> int:
    encoder = msgspec.json.Encoder()
    lines = bytearray()
    count = 0
    for item in items:
        encoder.encode_into(item, lines, len(lines))
        lines += b"\n"
        count += 1
        if count % _LINES_AT_ONCE == 0:
            out.write(lines)
            lines = bytearray()  # a new one: a stream may keep what it was given
    out.write(lines)
    return count


def _timed(rooms: list[Room]) -> Iterator[tuple[int, Event]]:
    # The rooms' positions and running numbers make the tuples distinct, so that events are never compared.
    merged = heapq.merge(*(room.arrivals() for room in rooms)) if len(rooms) > 1 else rooms[0].arrivals()
    for arrival, _, _, event in merged:
        yield arrival, event
