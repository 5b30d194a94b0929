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
        # River brings all of scipy.stats, a second of importing, for which only what has a model should wait.
        from river import drift

        adwin: Any = drift.ADWIN  # untyped
        self._adwin: Any = adwin(delta=delta)
        self._count, self._sum, self._recent = 0, 0.0, 0.0  # since the last cut

    def update(self, values: Sequence[float]) -> list[tuple[int, float, float]]:
        """Take values in order; return (place among them, mean before, mean now) of each at which it had risen."""
        adwin, risen = self._adwin, []
        count, total, recent = self._count, self._sum, self._recent
        for place, value in enumerate(values):
            adwin.update(value)
            count += 1
            total += value
            recent += (value - recent) / min(count, RECENT)
            if adwin.drift_detected:
                if recent > (before := total / count):
                    risen.append((place, before, recent))
                count, total, recent = 0, 0.0, 0.0  # ADWIN begins anew, too
        self._count, self._sum, self._recent = count, total, recent
        return risen

    def image(self) -> Image:
        """Return a copy of the state. ADWIN's own is bytes that only the same version of River reads."""
        return Image(
            meta={
                "river": RIVER,
                "count": self._count,
                "sum": self._sum,
                "recent": self._recent,
                "found": bool(self._adwin.drift_detected),
            },
            arrays={"adwin": np.frombuffer(self._adwin._helper.__getstate__(), np.uint8).copy()},
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
        self._adwin._reset()
        self._adwin._helper.__setstate__(state.tobytes())  # River has no other way in; a test pins it
        self._adwin._drift_detected = meta["found"]
        self._count, self._sum, self._recent = meta["count"], meta["sum"], meta["recent"]
