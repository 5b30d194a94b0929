"""What viewers wrote last, as it was at a mark: for challengers that read words, live and over what is there already.

A look at a viewer is told of up to half a minute after its mark (:data:`~frontrow.core.engine.LEARN_MS`). What was
written in between was not known then, and a model that reads it is judged by what it could not have seen: an order is
announced in words. So a few comments of each are kept, and the last before the mark is given.

Memory: at most :data:`VIEWERS`, those who wrote last, for :data:`KEPT_MS`; of each one comment a mark of the last half minute and
the one before, :data:`MOST` characters of each. Who is erased is forgotten.
"""

from collections import OrderedDict
from collections.abc import Iterator

import numpy as np

from frontrow.core.engine import LEARN_MS, MARK_MS
from frontrow.core.frames import Frame
from frontrow.core.lessons import Served

VIEWERS = 100_000
KEPT_MS = 2 * 3_600_000  # engine time; as long as silent viewers stay in memory by default
MOST = 120  # characters; what is shown of what somebody said

Key = tuple[str, str, str]  # platform, room, viewer


class Saying:
    """Comments of the viewers who wrote last. Fed with frames in the order in which the engine applied them."""

    def __init__(self) -> None:
        self._said: OrderedDict[Key, list[tuple[int, str]]] = OrderedDict()  # engine time, text; oldest first
        self._fresh: set[Key] = set()  # who wrote since what is over was left behind
        self._now = 0

    def __len__(self) -> int:
        return len(self._said)

    def note(self, frame: Frame) -> None:
        """Take the comments of a frame that was applied, without duplicates."""
        if not len(frame):
            return
        arrivals = np.array(frame.arrivals(), np.int64)
        moments = np.maximum.accumulate(np.maximum(arrivals, self._now))
        self._now = int(moments[-1])
        for place, kind in enumerate(frame.kinds):
            viewer, text = frame.viewers[place], frame.texts[place]
            if kind == "comment" and viewer is not None and text:
                key = (frame.platforms[place], frame.rooms[place], viewer)
                self._add(key, int(moments[place]), text[:MOST])

    def forgotten(self) -> None:
        """Leave behind what no look will be told with any more; when all looks of the frames so far were asked for."""
        for key in self._fresh:
            said = self._said[key]
            # Whoever is still to be told of was looked at after the last mark at which something is learnt.
            before = sum(at < self._now - LEARN_MS for at, _ in said)
            del said[: max(0, before - 1)]
        self._fresh.clear()
        while self._said and (
            len(self._said) > VIEWERS
            or next(iter(self._said.values()))[-1][0] < self._now - KEPT_MS - LEARN_MS
        ):
            self._said.popitem(last=False)

    def erase(self, platform: str, viewer: str) -> None:
        """Forget a viewer, in all rooms."""
        for key in [key for key in self._said if (key[0], key[2]) == (platform, viewer)]:
            del self._said[key]
            self._fresh.discard(key)

    def at_marks(self, served: Served) -> list[str | None]:
        """Return the last comment of each viewer as it was known at the mark of the look; None: there was none."""
        return list(self._known(served))

    def _known(self, served: Served) -> Iterator[str | None]:
        marks = served.served_at.tolist()
        for name, viewer, mark in zip(served.rooms, served.viewers, marks, strict=True):
            platform, _, room = name.partition("/")
            said = self._said.get((platform, room, viewer), ())
            known = [text for at, text in said if mark - KEPT_MS <= at < mark]
            yield known[-1] if known else None

    def _add(self, key: Key, at: int, text: str) -> None:
        said = self._said.pop(key, [])
        # Marks are multiples of MARK_MS: of what is written between two, the next one knows the last alone.
        if said and said[-1][0] // MARK_MS == at // MARK_MS:
            said.pop()
        said.append((at, text))
        self._said[key] = said
        self._fresh.add(key)
