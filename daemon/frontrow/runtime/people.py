"""Who the rows are, for people's eyes: the last name and the last words that mattered, per row of the engine.

Kept apart from the engine, which must compute the same without them. Filled from the personal half of the journal at
start and from each frame afterwards.

Memory per row: 16 bytes for its two places, and where it has a name, 33 bytes and the name in UTF-8 (a name of four
Chinese characters: 45 bytes; at most :data:`MAX_NAME` characters, 289 bytes); words likewise, which few viewers
have. Python's text would take nearly twice as much for Chinese, hence bytes.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frontrow.core import facts as fact
from frontrow.core import kernel
from frontrow.core.frames import Frame
from frontrow.core.images import Image

MAX_NAME = 64  # characters; more than any panel or card has room for
MAX_WORDS = 120  # characters shown of what somebody said

_TELLING = fact.QUESTION | fact.CONTACT | fact.HOST


class People:
    """Names and words by row; of each row the latest only."""

    def __init__(self) -> None:
        # The last place of both is nobody's: row -1, an event without a viewer, writes there and costs no question.
        self._names: list[bytes | None] = [None]
        self._words: list[bytes | None] = [None]

    def note(self, frame: Frame, rows: NDArray[np.int64] | Sequence[int]) -> None:
        """Take names and telling words from a frame; ``rows[i]`` is the row of event i's viewer, or -1."""
        if not len(frame):
            return
        of_event = np.asarray(rows, np.int64)
        missing = int(np.max(of_event)) + 2 - len(self._names)
        if missing > 0:
            self._names[-1:] = self._words[-1:] = [None] * (missing + 1)
        names, words = self._names, self._words
        if kernel.compiled is not None:
            kernel.compiled.keep_last(np.ascontiguousarray(of_event), list(frame.names), names, MAX_NAME)
        else:
            for row, name in zip(of_event.tolist(), frame.names, strict=True):
                if name:
                    names[row] = name[:MAX_NAME].encode("utf-8", "surrogatepass")
        for position in np.flatnonzero(np.asarray(frame.facts) & _TELLING).tolist():
            text = frame.texts[position]
            if text:
                words[of_event[position]] = text[:MAX_WORDS].encode("utf-8", "surrogatepass")

    def free(self, rows: Iterable[int]) -> None:
        """Forget names and words of rows: of viewers who have left memory, before another is given their number, or who are erased."""
        for row in rows:
            if row < len(self._names) - 1:
                self._names[row] = self._words[row] = None

    def image(self) -> Image:
        """Return a copy of all names and words."""
        return Image(arrays={**_packed("names", self._names), **_packed("words", self._words)})

    def load(self, image: Image) -> None:
        """Take over an image."""
        self._names, self._words = _unpacked("names", image), _unpacked("words", image)

    def name(self, row: int) -> str | None:
        """Return the display name of a row, or None where no event has given one."""
        return _text(self._names, row)

    def words(self, row: int) -> str | None:
        """Return the last words that mattered, or None."""
        return _text(self._words, row)


def _text(column: list[bytes | None], row: int) -> str | None:
    kept = column[row] if 0 <= row < len(column) - 1 else None
    return None if kept is None else kept.decode("utf-8", "surrogatepass")


def _packed(name: str, column: Sequence[bytes | None]) -> dict[str, NDArray[Any]]:
    lengths = np.array([-1 if text is None else len(text) for text in column], np.int32)
    return {name: np.frombuffer(b"".join(filter(None, column)), np.uint8), f"{name}_lengths": lengths}


def _unpacked(name: str, image: Image) -> list[bytes | None]:
    joined, lengths = image.arrays[name].tobytes(), image.arrays[f"{name}_lengths"]
    ends = np.cumsum(np.maximum(lengths, 0)).tolist()
    return [
        None if length < 0 else joined[end - length : end]
        for length, end in zip(lengths.tolist(), ends, strict=True)
    ]
