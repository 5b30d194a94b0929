"""Streams with known ground truth, in canonical events: seeded, versioned, pure.

:func:`simulate` gives a :class:`Scenario`'s events in order of arrival, with what each viewer truly was and how
likely to buy at any time (:class:`World`); :func:`busy_room` gives events in bulk for benchmarks. Nothing here reads
a clock or opens a file.
"""

from frontrow_models.simulate.busy import busy_room
from frontrow_models.simulate.judge import Chance, World
from frontrow_models.simulate.scenario import (
    NO_DRIFT,
    NO_FAULTS,
    NO_SELLERS,
    SIMULATOR_VERSION,
    Crowd,
    Drift,
    Faults,
    Mix,
    Scenario,
    Sellers,
    ViewerTruth,
    ViewerType,
    room_names,
)
from frontrow_models.simulate.stream import (
    Simulation,
    simulate,
    truth,
    world,
    write_chances,
    write_ndjson,
    write_truth,
)

__all__ = [
    "NO_DRIFT",
    "NO_FAULTS",
    "NO_SELLERS",
    "SIMULATOR_VERSION",
    "Chance",
    "Crowd",
    "Drift",
    "Faults",
    "Mix",
    "Scenario",
    "Sellers",
    "Simulation",
    "ViewerTruth",
    "ViewerType",
    "World",
    "busy_room",
    "room_names",
    "simulate",
    "truth",
    "world",
    "write_chances",
    "write_ndjson",
    "write_truth",
]
