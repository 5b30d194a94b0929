"""Options of the simulator."""

from typing import Annotated

from msgspec import Meta, Struct


class SimulatorOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of a simulated broadcast.

    ``seed``: which broadcast, a whole number; the next ones take the following numbers. Default 7.
    ``viewers``: different viewers over one broadcast, 1 to 100,000; a fifth or so are there at a time. Default 400.
    ``events_per_s``: events per second of the broadcast's own time, on average, 0 to 10,000. Default 20.
    ``session_minutes``: length of a broadcast in its own time, 1 to 1,440. Default 120.
    ``pause_s``: seconds by the clock between two broadcasts, 1 to 86,400. Default 60.
    ``warm_start_minutes``: how far into the first broadcast the feed begins, in its own time; what came before is
    delivered at once, with event times in the past, so that a panel shows something within seconds. 0 begins with an
    empty room. Less than ``session_minutes``. Default 30.
    ``speed``: how many times faster than the clock a broadcast runs, up to 1,000; at 10, its minute takes six seconds.
    Default 1.
    """

    seed: Annotated[int, Meta(ge=0, le=2**62)] = 7
    viewers: Annotated[int, Meta(ge=1, le=100_000)] = 400
    events_per_s: Annotated[float, Meta(ge=0.0, le=10_000.0)] = 20.0
    session_minutes: Annotated[int, Meta(ge=1, le=1440)] = 120
    pause_s: Annotated[float, Meta(ge=1.0, le=86_400.0)] = 60.0
    warm_start_minutes: Annotated[float, Meta(ge=0.0, le=1440.0)] = 30.0
    speed: Annotated[float, Meta(gt=0.0, le=1000.0)] = 1.0

    def __post_init__(self) -> None:
        if self.warm_start_minutes >= self.session_minutes:
            raise ValueError("`warm_start_minutes` must be less than `session_minutes`")
