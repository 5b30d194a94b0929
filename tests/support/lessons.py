"""Lessons as the joiner makes them, for tests of what learns from them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from frontrow.core.lessons import Ending, Lessons, Stage
from frontrow_models.served import SERVED


def fresh_lessons(inputs: NDArray[np.float32], outcomes: NDArray[np.bool_], **columns: Any) -> Lessons:
    """Return lessons that were observed as soon as they were served, when all was known of them, one a second in one room; ``columns`` replace some."""
    count = len(inputs)
    given: dict[str, Any] = {
        "snapshot": np.arange(count),
        "served_at": np.arange(count) * 1_000,
        "resolved_at": np.arange(count) * 1_000,
        "session": np.zeros(count, np.int32),
        "room": np.full(count, "sim/a", np.object_),
        "inputs": inputs,
        "served": np.zeros((count, len(SERVED)), np.float32),
        "outcome": outcomes,
        "delay_ms": np.where(outcomes, 0, -1).astype(np.int32),
        "value": np.zeros(count),
        "cause": np.where(outcomes, np.arange(count), -1),
        "stage": np.full(count, Stage.OBSERVED, np.uint8),
        "ending": np.where(outcomes, Ending.SUCCESS, Ending.NONE).astype(np.uint8),
        "weight": np.ones(count, np.float32),
        "reached": np.zeros(count, np.float32),
        "viewer": np.arange(count),
        "within": np.ones(count, np.float32),
    }
    return Lessons(**given | columns)
