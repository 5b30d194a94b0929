"""River's ADWIN over one signal, told only of rises, with a state that can be kept."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frontrow.core.images import Image
from frontrow_models.online import RIVER

RECENT = 128  # values that the mean now is of, about: at a cut ADWIN still holds much of what was before


class Rises:
    """Says when the mean of a signal within 0 to 1 has risen (Bifet & Gavaldà 2007, "Learning from time-changing data").

    A fall cuts the window, too, and is no news: a model that gets better needs no alarm. ``delta`` is ADWIN's, the
    chance of a false cut per test if values were independent.
    """

    def __init__(self, *, delta: float) -> None:
        self._delta = delta
        self._window = self._new()
        self._found = False  # a cut at the last value: the next one begins a new window
        self._count, self._sum, self._recent = 0, 0.0, 0.0  # since the last cut

    def update(self, values: Sequence[float]) -> list[tuple[int, float, float]]:
        """Take values in order; return (place among them, mean before, mean now) of each at which it had risen."""
        window, found, risen = self._window, self._found, []
        count, total, recent = self._count, self._sum, self._recent
        for place, value in enumerate(values):
            if found:
                window = self._new()
            found = window.update(value)
            count += 1
            total += value
            recent += (value - recent) / min(count, RECENT)
            if found:
                if recent > (before := total / count):
                    risen.append((place, before, recent))
                count, total, recent = 0, 0.0, 0.0  # ADWIN begins anew, too
        self._window, self._found = window, found
        self._count, self._sum, self._recent = count, total, recent
        return risen

    def _new(self) -> Any:
        # Only where there is a model; and the window itself, not river.drift around it, which brings scipy.stats and
        # two seconds of importing. Made as river.drift.ADWIN makes it; a test holds both together, and River is
        # pinned.
        from river._river_rust.drift import AdaptiveWindowing

        return AdaptiveWindowing(
            delta=self._delta, clock=32, max_buckets=5, min_window_length=5, grace_period=10
        )

    def image(self) -> Image:
        """Return a copy of the state. ADWIN's own is bytes that only the same version of River reads."""
        return Image(
            meta={
                "river": RIVER,
                "count": self._count,
                "sum": self._sum,
                "recent": self._recent,
                "found": self._found,
            },
            arrays={"adwin": np.frombuffer(self._window.__getstate__(), np.uint8).copy()},
        )

    def load(self, image: Image) -> None:
        """Take over a state.

        Raises:
            ValueError: If another version of River made it.
        """
        meta = image.meta
        if meta["river"] != RIVER:
            raise ValueError(
                f"the drift detector's state is of River {meta['river']}, and this is River {RIVER}"
            )
        state: NDArray[np.uint8] = image.arrays["adwin"]
        self._window = self._new()
        self._window.__setstate__(state.tobytes())
        self._found = meta["found"]
        self._count, self._sum, self._recent = meta["count"], meta["sum"], meta["recent"]
