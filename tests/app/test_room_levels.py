"""Rooms' levels in the engine: the same in any frames and after a restart, and there at all."""

import hashlib
from collections.abc import Sequence

import numpy as np
import pytest

from frontrow.app.parts import make_engine, make_lexicons
from frontrow.config import defaults
from frontrow.core.engine import Engine
from frontrow.core.events import Event
from frontrow.core.preparing import Preparer
from frontrow_models.learner import Learner
from frontrow_models.online import ModelOptions
from frontrow_models.simulate import Scenario, room_names, simulate

pytestmark = pytest.mark.timeout(180)


def made() -> Engine:
    engine = make_engine(defaults(), report_learning=True)
    engine.model = Learner(ModelOptions(min_positives=5), window_ms=120_000)
    return engine


def told(
    events: Sequence[Event], *, frame: int, restart_at: int | None = None
) -> tuple[str, str, list[float]]:
    """Return digests of all that was served and of all that was told of windows, and the levels at the end."""
    config = defaults()
    lexicons = make_lexicons(config)
    preparer = Preparer(lexicons.of_room, lexicons.default, config.intents.phone_region)
    engine = made()
    served, windows = hashlib.sha256(), hashlib.sha256()
    for start in range(0, len(events), frame):
        if restart_at is not None and start // frame == restart_at:
            images, engine = engine.images(), made()
            engine.load(images)
        effects = engine.apply(preparer.frame(list(events[start : start + frame])))
        for each in effects.served:
            served.update(each.served.tobytes())
        for lessons in effects.lessons:
            for column in (lessons.snapshot, lessons.resolved_at, lessons.within):
                windows.update(column.tobytes())
    assert engine.model is not None
    rooms = [f"sim/{name}" for name in room_names(3)]
    logits = np.zeros(3)
    shown = engine.model.probabilities(logits, [*rooms[:2], "sim/elsewhere"])
    return served.hexdigest(), windows.hexdigest(), shown.tolist()


def test_levels_and_windows_are_the_same_in_any_frames_and_after_a_restart() -> None:
    scenario = Scenario(seed=5, viewers=900, events_per_s=2.0, rooms=room_names(3), duration_s=90 * 60)
    events = list(simulate(scenario))
    whole = told(events, frame=4_096)
    assert told(events, frame=61) == whole
    assert told(events, frame=997, restart_at=25) == whole
    one, other, elsewhere = whole[2]
    assert len({one, other, elsewhere}) == 3, "each room has a level of its own by then"
