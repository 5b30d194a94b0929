"""The rolling judge: the last mature labels in ring arrays, judged exactly whenever somebody asks.

Nothing is approximated as labels come: adding is a copy into arrays, and a question runs the offline functions over
the window (about 25 ms a column for 50,000 labels). So what the dashboard shows and what a recomputation from the
journal gives are one number, to the bit. Ask once a minute, not once a label, and judge what ``rows`` copied in
another thread if nothing may wait.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from frontrow.core.images import Image
from frontrow.core.lessons import Lessons
from frontrow_models.evaluation.judging import SHOWN, Column, Judged, judge
from frontrow_models.evaluation.keys import room_hours, room_keys

Numbers = NDArray[Any]

LABELS = 50_000


@dataclass(frozen=True, slots=True)
class Rows:
    """Mature labels in the order in which they came; ``served`` has a column per served number."""

    served: NDArray[np.float64]
    outcomes: NDArray[np.bool_]
    served_at: NDArray[np.int64]
    resolved_at: NDArray[np.int64]
    rooms: NDArray[np.int64]
    causes: NDArray[np.int64]
    weights: NDArray[np.float64]  # how many each one stands for
    reached: NDArray[np.float64]  # the chance at which sales had been told of the viewer; 0: they had not
    viewers: NDArray[np.int64]  # whose each one is

    @classmethod
    def of(cls, served: NDArray[np.float64], lessons: Lessons) -> "Rows":
        """Return mature lessons as rows, with the numbers that were served of them."""
        return cls(
            served=served,
            outcomes=lessons.outcome,
            served_at=lessons.served_at,
            resolved_at=lessons.resolved_at,
            rooms=room_keys(lessons.room.tolist()),
            causes=lessons.cause,
            weights=lessons.weight.astype(np.float64),
            reached=lessons.reached.astype(np.float64),
            viewers=lessons.viewer,
        )

    def __len__(self) -> int:
        return len(self.outcomes)

    def at(self, which: Any) -> "Rows":
        """Return some rows: a slice, a mask or an array of places."""
        return Rows(
            self.served[which], self.outcomes[which], self.served_at[which],
            self.resolved_at[which], self.rooms[which], self.causes[which], self.weights[which], self.reached[which],
            self.viewers[which],
        )  # fmt: skip


class Report(Struct, frozen=True):
    """The window's judgement: each column's, and which share of what was served still waits for its outcome.

    ``reached`` judges those alone of whom sales had been told, where some of them were shown by chance: each weighs
    the inverse of its chance, so that they stand for all who might have been. For outcomes that only sales can tell
    (``outcome.won``) it is the one to read: whoever nobody was told of cannot have any. Empty without exploration.
    ``labels`` are judged, the last of ``final`` ones.
    """

    labels: int
    immature: float | None
    columns: list[Judged]
    reached: list[Judged] = []
    final: int = 0


def report(
    columns: Sequence[Column], rows: Rows, *, shown: int = SHOWN, waiting: int = 0, final: int | None = None
) -> Report:
    """Judge every column of ``rows``, the last of ``final`` labels (None: these are all); ``waiting`` snapshots were served besides
    and have not matured."""
    final = len(rows) if final is None else final
    told = np.flatnonzero(rows.reached > 0.0)
    explored = bool((rows.reached[told] < 1.0).any())
    return Report(
        labels=len(rows),
        immature=waiting / (waiting + final) if waiting + final else None,
        columns=_judged(columns, rows, rows.weights, shown),
        reached=_judged(columns, rows.at(told), rows.weights[told] / rows.reached[told], shown)
        if explored
        else [],
        final=final,
    )


def _judged(columns: Sequence[Column], rows: Rows, weights: NDArray[np.float64], shown: int) -> list[Judged]:
    groups = room_hours(rows.rooms, rows.served_at)
    plain = bool((weights == 1.0).all())
    return [
        judge(
            column,
            rows.served[:, place],
            rows.outcomes,
            groups,
            rows.causes,
            rows.viewers,
            weights=None if plain else weights,
            k=shown,
        )
        for place, column in enumerate(columns)
    ]


class Rolling:
    """Keeps the last ``labels`` mature labels, of these those resolved in the last ``window_ms`` if that is given.

    Memory is fixed: 57 bytes a label and 8 for each column of it.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        labels: int = LABELS,
        window_ms: int | None = None,
        shown: int = SHOWN,
    ) -> None:
        self._columns = tuple(columns)
        self._bound, self._window_ms, self._shown = labels, window_ms, shown
        self._seen = 0
        self._newest = 0
        self._ring = Rows(
            served=np.zeros((labels, len(columns))),
            outcomes=np.zeros(labels, np.bool_),
            served_at=np.zeros(labels, np.int64),
            resolved_at=np.zeros(labels, np.int64),
            rooms=np.zeros(labels, np.int64),
            causes=np.zeros(labels, np.int64),
            weights=np.zeros(labels),
            reached=np.zeros(labels),
            viewers=np.zeros(labels, np.int64),
        )

    @property
    def seen(self) -> int:
        """How many labels were taken, those that are forgotten too."""
        return self._seen

    def add(self, rows: Rows) -> None:
        """Take mature labels, in order; however they are cut into calls, the window is the same."""
        if not len(rows):
            return
        self._newest = max(self._newest, int(np.max(rows.resolved_at)))
        kept = rows.at(slice(-self._bound, None))
        place = (self._seen + len(rows) - len(kept) + np.arange(len(kept))) % self._bound
        for name in Rows.__slots__:
            getattr(self._ring, name)[place] = getattr(kept, name)
        self._seen += len(rows)

    def rows(self) -> Rows:
        """Return a copy of the window, oldest first."""
        count = min(self._seen, self._bound)
        rows = self._ring.at((self._seen - count + np.arange(count)) % self._bound)
        if self._window_ms is None:
            return rows
        return rows.at(rows.resolved_at > self._newest - self._window_ms)

    def report(self, *, waiting: int = 0) -> Report:
        """Return :func:`report` of the window now."""
        return report(self._columns, self.rows(), shown=self._shown, waiting=waiting, final=self._seen)

    def image(self) -> Image:
        """Return a copy of the state."""
        rows = self._ring.at(slice(0, min(self._seen, self._bound)))
        return Image(
            meta={
                "columns": [column.name for column in self._columns],
                "seen": self._seen,
                "newest": self._newest,
                "bound": self._bound,
            },
            arrays={name: getattr(rows, name).copy() for name in Rows.__slots__},
        )

    def load(self, image: Image) -> None:
        """Take over a state.

        Raises:
            ValueError: If it was made with other columns or another bound.
        """
        meta = image.meta
        columns = [column.name for column in self._columns]
        if meta["columns"] != columns or meta["bound"] != self._bound:
            raise ValueError(
                f"a window of {meta['bound']} labels over {meta['columns']} does not fit one of {self._bound} over {columns}"
            )
        self._seen, self._newest = meta["seen"], meta["newest"]
        for name in Rows.__slots__:
            getattr(self._ring, name)[: len(image.arrays[name])] = image.arrays[name]
