"""Challengers: models that learn beside the champion from the same snapshots and labels, and decide nothing.

To add one: write a small module here with a class that fits :class:`Challenger`, name it in :data:`CHALLENGERS`, and
put that name into ``model.challengers``. Nothing else knows of it: it runs in the process of the arena
(:mod:`frontrow_models.arena`), where it can take its time.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float64]


class Challenger(Protocol):
    """A model on trial. Deterministic: the same calls in the same order give the same answers."""

    share: float
    """Which share of the snapshots it learns from, in (0, 1]; chosen by the snapshot's number, and weighing more for it."""
    unlearns: bool
    """Whether a weight below 0 takes back what was learnt; if not, such rows are kept from it."""

    def predict(self, inputs: NDArray[np.float32], words: Sequence[str | None]) -> Probabilities:
        """Return the probability of each row, NaN where it cannot tell.

        ``inputs`` (rows, features) are as served, ``words`` the viewer's last comment, or None.
        """

    def learn(
        self,
        inputs: NDArray[np.float32],
        words: Sequence[str | None],
        outcomes: NDArray[np.bool_],
        weights: Probabilities,
        *,
        looks: int = 0,
    ) -> None:
        """Learn some rows, in order; each counts as much as its weight. ``looks`` wait for their outcomes, about."""

    def state(self) -> Mapping[str, Any] | None:
        """Return the canonical state, JSON values, from which a version can be made; None: it cannot be promoted."""


# name → (module, class). Imported when one is asked for: trees and forests bring much of River with them.
CHALLENGERS: Mapping[str, tuple[str, str]] = {
    "slow": ("frontrow_models.challengers.linear", "Slow"),
    "fast": ("frontrow_models.challengers.linear", "Fast"),
    "text": ("frontrow_models.challengers.text", "Text"),
    "tree": ("frontrow_models.challengers.trees", "Tree"),
    "forest": ("frontrow_models.challengers.trees", "Forest"),
}


def make_challenger(name: str) -> Challenger:
    """Return a new challenger of this name.

    Raises:
        ValueError: There is none; the message names all.
    """
    if name not in CHALLENGERS:
        raise ValueError(f"no challenger is called {name!r}; there are {', '.join(CHALLENGERS)}")
    module, kind = CHALLENGERS[name]
    made = cast("Callable[[], Challenger]", getattr(import_module(module), kind))
    return made()
