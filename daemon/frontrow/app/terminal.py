"""What commands show while they work and when they are done: a progress bar on a terminal, tables of text."""

from collections.abc import Sequence
from typing import Protocol, Self, TextIO

from frontrow.core.ports import Clock

WIDTH = 28  # characters of the bar
EVERY_S = 0.1  # between two drawings
_CLEAR = "\r\x1b[K"
_MEGABYTE = 1e6


class Progress(Protocol):
    """Who is told how far a run is."""

    def at(self, *, events: int, done_bytes: int, total_bytes: int | None) -> None:
        """So many events were applied and so many bytes of the input read; ``total_bytes`` None: nobody knows."""


class NoProgress:
    """Fits :class:`Progress` where nobody looks."""

    def at(self, *, events: int, done_bytes: int, total_bytes: int | None) -> None:
        del events, done_bytes, total_bytes


class Bar:
    """Fits :class:`Progress`: one line of a terminal, drawn over and over. Draws nothing on what is no terminal.

    Use it as a context: leaving it takes the line away.
    """

    def __init__(self, stream: TextIO, clock: Clock, label: str = "") -> None:
        self.label = label
        self._stream = stream if stream.isatty() else None
        self._clock = clock
        self._drawn_s = self._began_s = clock.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._stream is not None:
            self._stream.write(_CLEAR)
            self._stream.flush()

    def begin(self, label: str) -> None:
        """Begin another run over the input."""
        self.label, self._began_s = label, self._clock.monotonic()

    def say(self, words: str) -> None:
        """Show words in the bar's place."""
        if self._stream is not None:
            self._stream.write(_CLEAR + words)
            self._stream.flush()

    def frames(self, done: int, total: int) -> None:
        """Show how many frames of a journal are done."""
        now_s = self._clock.monotonic()
        if self._stream is None or now_s - self._drawn_s < EVERY_S:
            return
        self._drawn_s = now_s
        share = done / total
        self._stream.write(
            f"{_CLEAR}[{'█' * round(WIDTH * share):<{WIDTH}}] {share:4.0%}  {done:,} of {total:,} frames"
        )
        self._stream.flush()

    def at(self, *, events: int, done_bytes: int, total_bytes: int | None) -> None:
        now_s = self._clock.monotonic()
        if self._stream is None or now_s - self._drawn_s < EVERY_S:
            return
        self._drawn_s = now_s
        speed = events / max(now_s - self._began_s, 1e-9)
        read = f"{done_bytes / _MEGABYTE:.1f}"
        bar = ""
        if total_bytes:
            share = min(1.0, done_bytes / total_bytes)
            bar = f"[{'█' * round(WIDTH * share):<{WIDTH}}] {share:4.0%}  "
            read += f" of {total_bytes / _MEGABYTE:.1f}"
        self._stream.write(f"{_CLEAR}{self.label}  {bar}{events:,} events  {read} MB  {speed:,.0f} events/s")
        self._stream.flush()


def table(rows: Sequence[Sequence[str]], *, right: set[int]) -> list[str]:
    """Return rows as lines with columns of one width, the first row being the head; columns in ``right`` end there."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
