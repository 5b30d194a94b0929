"""What one seed does: which faults it enables, how often they come, how the daemon is configured, how large all is.

Each seed enables a random subset of the faults ("swarm testing": Groce, Zhang, Eide, Chen, Regehr, ISSTA 2012), since a
run with every fault at once mostly shows that one fault hides another. Every draw comes from a stream of its own,
named after what it is for, so that one more draw here does not shift all others.
"""

import random
from dataclasses import dataclass, field
from enum import StrEnum


class Fault(StrEnum):
    """What can go wrong. The value is how reports and tests name it."""

    KILL_STEP = "kill at an await"
    KILL_WRITE = "kill at a write"
    POWER = "power cut"  # what a kill becomes: what was not synced is lost or torn
    TERM = "SIGTERM"
    DISK_FULL = "disk full"
    WRITE_ERROR = "write error"
    SYNC_ERROR = "fsync error"
    SLOW_DISK = "slow disk"
    CLOCK = "clock step"
    DUPLICATES = "duplicate storm"
    LATE = "60 s reordering"
    GARBAGE = "garbage"
    SLOW_NETWORK = "slow network"
    LOST_REQUEST = "lost request or answer"
    FLAP = "flapping feed"
    SINK_BUSY = "sink answers 5xx"
    SINK_REFUSES = "sink answers 4xx"
    SINK_HANGS = "sink does not answer"
    SINK_LOSES = "sink accepts and its answer is lost"
    SLOW_PANEL = "slow panel"
    SMALL_QUEUE = "small queue"


CRASHES = (Fault.KILL_STEP, Fault.KILL_WRITE, Fault.TERM)
DISK = (Fault.DISK_FULL, Fault.WRITE_ERROR, Fault.SYNC_ERROR)


class Draws:
    """Independent streams of random numbers from one seed, by name."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def stream(self, name: str) -> random.Random:
        """Return the stream of this name; the same numbers for the same seed and name, in every process."""
        return random.Random(f"{self._seed}/{name}")


@dataclass(frozen=True)
class Plan:
    """One seed's run, before it begins. Times in seconds of virtual time."""

    seed: int
    faults: frozenset[Fault]
    crashes: int  # how often the daemon goes down by a fault, at most
    events: int
    rooms: int
    viewers: int
    span_s: float  # over which events are sent
    bursts: int  # moments at which all events happen; 0: spread evenly
    batch_events: int  # of one request or message, at most
    frame_events: int
    queue_events: int
    panel: bool  # whether somebody looks at the first room
    formatted: bool  # whether the disk holds a store already, so that no crash hits its making
    by_probability: bool
    fading_points: bool
    named_sessions: bool
    freshness_s: float | None
    snapshot_every_s: float  # 0: never
    idle_ms: int  # after which a viewer leaves memory
    draws: Draws = field(repr=False)

    @classmethod
    def of(cls, seed: int) -> "Plan":
        """Return the plan of a seed."""
        draws = Draws(seed)
        rng = draws.stream("plan")
        chance = rng.choice((0.1, 0.25, 0.4))
        faults = frozenset(fault for fault in Fault if rng.random() < chance)
        return cls(
            seed=seed,
            faults=faults,
            crashes=rng.randint(1, 3) if faults & {*CRASHES, *DISK} else 0,
            events=round(12 * 10 ** rng.triangular(0.0, 1.1, 0.3)),
            rooms=rng.randint(1, 3),
            viewers=rng.randint(3, 20),
            span_s=rng.uniform(32.0, 62.0),
            bursts=rng.choice((0, 0, 4, 12)),
            batch_events=rng.choice((6, 6, 40)),
            frame_events=rng.choice((1, 3, 16, 1024)),
            queue_events=rng.randint(1, 12) if Fault.SMALL_QUEUE in faults else 65_536,
            panel=Fault.SLOW_PANEL in faults or rng.random() < 0.3,
            formatted=rng.random() < 0.8,
            by_probability=rng.random() < 0.4,
            fading_points=rng.random() < 0.3,
            named_sessions=rng.random() < 0.3,
            freshness_s=rng.choice((None, 120.0, 900.0)),
            snapshot_every_s=rng.choice((0.0, 2.0, 8.0)),
            idle_ms=rng.choice((4_000, 15_000, 7_200_000)),
            draws=draws,
        )

    def has(self, fault: Fault) -> bool:
        return fault in self.faults

    def __str__(self) -> str:
        faults = ", ".join(sorted(self.faults)) or "no faults"
        return (
            f"seed {self.seed}: {self.events} events in {self.rooms} rooms over {self.span_s:.0f} s, frames of"
            f" {self.frame_events}; {faults}"
        )
