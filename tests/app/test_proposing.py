"""A challenger that is proven better is proposed to people, or leads by policy, and is then judged anew."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from frontrow.app.following import Following
from frontrow.app.learning import Learning
from frontrow.app.models import listing, registry_beside
from frontrow.app.promoting import LOOK_EVERY_S, Promoting
from frontrow.config import defaults
from frontrow.core.engine import Effects
from frontrow.core.events import Event
from frontrow.core.frames import Frame
from frontrow.core.ports import Receipt
from frontrow.core.promotions import PromotionRefused
from frontrow_models.learner import Learner
from frontrow_models.online import ModelOptions
from frontrow_models.registry import Ledger
from tests.models.test_arena import batch
from tests.support.clock import ManualClock
from tests.support.rooms import START, apply, engine, event

WINDOW = 120_000
T = TypeVar("T")

pytestmark = pytest.mark.timeout(120)


class Place:
    """An engine whose champion knows nothing, and a real process beside it in which one learns what there is."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock(START)
        self.registry = registry_beside(folder / "a.db")
        following = Following(self.registry)
        self.learner = Learner(ModelOptions(), window_ms=WINDOW, versions=following)
        self.engine = engine(model=self.learner)
        apply(self.engine, event("like", 0))
        self.learning = Learning(
            self.engine,
            ("fast", "text"),
            window_ms=WINDOW,
            outcome=defaults().outcome,
            clock=self.clock,
        )
        self._made: dict[str, Any] = {
            "intake": self,
            "when_settled": self._at_once,
            "seq": lambda: 7,
            "clock": self.clock,
        }
        self._following = following
        self._batches = 0

    async def put(self, events: Sequence[Event], *, feed: str) -> Awaitable[Receipt]:
        """Take events as the intake and the pipeline would."""
        effects = self.engine.apply(Frame.of(events, [0] * len(events)))
        self.learning.durable(effects)
        done: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        done.set_result(Receipt(len(effects.kept), len(effects.duplicates)))
        return done

    def promoting(self, *, by_policy: bool) -> Promoting:
        return Promoting(self.engine, self._following, self.learning, by_policy=by_policy, **self._made)

    async def pass_hours(self, count: int) -> None:
        """Let the challengers see an hour's batch of looks and outcomes, so many times; wait until they have told."""
        for _ in range(count):
            at = self._batches * 7_200_000
            told, _, fresh, final = batch(self._batches, self._batches * 100, 100, at=at)
            self.learning.durable(Effects(served=[told], lessons=[fresh, final]))
            self._batches += 1
        await self.until(lambda: self.labels >= self._batches * 100)

    @property
    def labels(self) -> int:
        standing = self.learning.standing
        return 0 if standing is None else standing.report.labels

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(100):
            while not true():
                await asyncio.sleep(0.01)

    @staticmethod
    async def _at_once(read: Callable[[], T]) -> T:
        return read()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path)
    try:
        yield made
    finally:
        await asyncio.to_thread(made.learning.close)


async def test_what_is_proven_is_proposed_to_people_and_leads_by_policy_and_is_then_judged_anew(
    place: Place,
) -> None:
    await place.pass_hours(20)
    assert place.learning.proposed == {}  # 500 outcomes are wanted
    await place.pass_hours(60)
    assert place.learning.proposed.keys() == {"fast"}
    assert place.learning.told()["proposed"] == ["fast"]

    asking = asyncio.create_task(place.promoting(by_policy=False).run())
    await place.clock.until_sleeping()
    await place.clock.advance(LOOK_EVERY_S)
    await place.until(lambda: bool(place.registry.proposals()))
    asking.cancel()
    assert place.engine.succession.made == []
    last = listing(place.registry, Ledger())[-1]
    assert "fast. Promote: the challenger" in last
    assert last.endswith("frontrow models promote fast")

    knows = place.learning._beside.states["fast"]  # type: ignore[union-attr]  # there are challengers
    by_itself = asyncio.create_task(place.promoting(by_policy=True).run())
    await place.until(lambda: place.clock.sleeping > 0)
    await place.clock.advance(LOOK_EVERY_S)
    await place.until(lambda: bool(place.engine.succession.made))
    [promotion] = place.engine.succession.made
    assert promotion.by == "policy"
    assert promotion.reason.startswith("fast: Promote: the challenger")
    await place.put([event("like", 200)], feed="test")
    assert place.learner.leads == promotion.version
    version = place.registry.load(promotion.version)
    assert version.weights == knows["weights"]
    assert version.card.text.startswith("The challenger fast of a running daemon.")
    assert version.calibration is None
    assert place.learner.ready

    assert place.learning.proposed == {}  # what was proven of another champion is no proposal
    await place.pass_hours(2)
    standing = place.learning.standing
    assert standing is not None
    assert standing.since == place.learner.since
    assert standing.duels["fast"].decision == "not enough data"
    await place.clock.advance(LOOK_EVERY_S)
    await place.until(lambda: place.registry.proposals() == [])
    by_itself.cancel()
    assert len(place.engine.succession.made) == 1


async def test_a_challenger_may_be_promoted_by_its_name_if_a_version_can_be_made_of_it(place: Place) -> None:
    promoting = place.promoting(by_policy=False)
    with pytest.raises(PromotionRefused, match="of the challenger fast no version can be made, or not yet"):
        await promoting.promote("fast", by="Li", reason="")
    await place.pass_hours(10)
    with pytest.raises(PromotionRefused, match="of the challenger text no version can be made"):
        await promoting.promote("text", by="Li", reason="")
    promotion = await promoting.promote("fast", by="Li", reason="")
    await place.put([event("like", 200)], feed="test")
    assert place.learner.leads == promotion.version
    assert np.any(place.learner.weights().weights)
