"""Streams with known ground truth, in canonical events: seeded, versioned, pure.

:func:`simulate` gives a :class:`Scenario`'s events in order of arrival, with what each viewer truly was and how likely
to buy; :func:`busy_room` gives events in bulk for benchmarks. Nothing here reads a clock or opens a file.
"""

from frontrow_models.simulate.busy import busy_room
from frontrow_models.simulate.scenario import (
    NO_FAULTS,
    SIMULATOR_VERSION,
    Crowd,
    Faults,
    Mix,
    Scenario,
    ViewerTruth,
    ViewerType,
    room_names,
)
from frontrow_models.simulate.stream import Simulation, simulate, truth, write_ndjson, write_truth

__all__ = [
    "NO_FAULTS",
    "SIMULATOR_VERSION",
    "Crowd",
    "Faults",
    "Mix",
    "Scenario",
    "Simulation",
    "ViewerTruth",
    "ViewerType",
    "busy_room",
    "room_names",
    "simulate",
    "truth",
    "write_ndjson",
    "write_truth",
]
