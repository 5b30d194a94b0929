"""Options of the file connector."""

from typing import Annotated

from msgspec import Meta, Struct


class FileOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of a file that is played into a room.

    ``path``: the file (NDJSON, plain, gzip or zstandard: told apart by content), or ``-`` for standard input;
    relative to the daemon's working folder. Required.
    ``speed``: how many times faster than it happened; 1 is real time, 0 is as fast as the daemon takes it. Default 0.
    ``retime``: move event times so that the first is now, divided by ``speed``, and give ids and sessions of their
    own to this run, so that a recording can be shown again and again. Needs a ``speed`` above 0. Default false.
    ``max_line_bytes``: a longer line is rejected, in bytes, 1 KiB to 64 MiB. Default 1 MiB.
    """

    path: Annotated[str, Meta(min_length=1)]
    speed: Annotated[float, Meta(ge=0, le=1_000_000)] = 0.0
    retime: bool = False
    max_line_bytes: Annotated[int, Meta(ge=1_024, le=64 * 1_048_576)] = 1_048_576

    def __post_init__(self) -> None:
        if self.retime and self.speed <= 0:
            raise ValueError("`retime` needs a `speed` above 0: without one, events would lie in the future")
