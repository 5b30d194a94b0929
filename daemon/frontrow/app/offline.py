"""The daemon's engine over an input that is there already, and those who watch what it does.

Nothing is computed here that the daemon does not compute: the same preparation, engine and learner; watchers only
look at effects. What they keep is bounded, or grows with the number of leads alone.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from frontrow.app.inputs import Inputs
from frontrow.app.parts import make_engine
from frontrow.app.saying import Saying
from frontrow.app.terminal import Progress
from frontrow.config import Config, OutcomeConfig
from frontrow.core.engine import Effects, Engine
from frontrow.core.frames import Frame
from frontrow.core.lessons import Lessons, Served, Stage
from frontrow.core.outcomes import Ledger, OutcomeRules, What
from frontrow.core.scoring import Matrix, sigmoid
from frontrow.runtime import collector
from frontrow_models.arena import Arena, Standing
from frontrow_models.challengers import make_challenger
from frontrow_models.evaluation.latency import NEVER, HotToOutcome, hot_to_outcome
from frontrow_models.evaluation.reliability import wilson
from frontrow_models.evaluation.rolling import LABELS, Rows
from frontrow_models.learner import Learner
from frontrow_models.online import ModelOptions
from frontrow_models.served import LOGITS

FINAL = LABELS  # the last final outcomes that are held: those of the learner's own window
# Options of ``[model]`` that are the model's own: a version has them, too, and goes on with these.
MODEL_OPTIONS = ("learning_rate", "l2", "min_labels", "min_positives", "expected_rate")

Learning = Sequence[Served | Lessons]


class Watcher(Protocol):
    """Who looks at what the engine does, frame by frame."""

    def see(self, engine: Engine, effects: Effects, learning: Learning) -> None:
        """Take note of a frame's effects, just after it was applied.

        ``learning`` is what was served and resolved in it, in the order in which the engine did so: large frames hold
        many of both, and who predicts in between must know what was known then, and no more.
        """


class NotingLearner(Learner):
    """The daemon's learner, which also notes in which order it is asked and taught."""

    def __init__(self, options: ModelOptions, *, window_ms: int) -> None:
        super().__init__(options, window_ms=window_ms)
        self._asked: list[bool] = []

    def serve(
        self, inputs: Matrix, rooms: Sequence[str], points: NDArray[np.int64], at: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        self._asked.append(True)
        return super().serve(inputs, rooms, points, at)

    def learn(self, lessons: Lessons) -> None:
        self._asked.append(False)
        super().learn(lessons)

    def in_order(self, effects: Effects) -> Learning:
        """Return what a frame's effects tell of serving and learning in order, and forget it."""
        served, lessons = iter(effects.served), iter(effects.lessons)
        asked, self._asked = self._asked, []
        return [next(served) if each else next(lessons) for each in asked]


@dataclass
class Counts:
    """How much there was. ``begin`` and ``end`` are engine time (UTC ms); 0 before the first event."""

    events: int = 0
    duplicates: int = 0
    begin: int = 0
    end: int = 0

    def see(self, engine: Engine, effects: Effects, learning: Learning) -> None:
        del learning
        if not self.begin and len(effects.kept):
            self.begin = min(effects.kept.arrivals())
        self.events += len(effects.kept)
        self.duplicates += len(effects.duplicates)
        self.end = engine.now


def run(
    inputs: Inputs,
    config: Config,
    watchers: Sequence[Watcher],
    *,
    progress: Progress | None = None,
    learner: NotingLearner | None = None,
) -> Engine:
    """Apply the whole input to a new engine and return it.

    ``learner`` takes the place of the configured one, where the configuration has a model. Raises as
    :meth:`Inputs.frames`.
    """
    engine = make_engine(config, report_learning=True)
    if engine.model is not None:
        learner = learner or NotingLearner(options_of(config), window_ms=shortest_window_of(config))
        engine.model = learner
    else:
        learner = None
    collector.settle()
    try:
        for frame in inputs.frames(config, progress=progress):
            effects = engine.apply(frame)
            learning = learner.in_order(effects) if learner is not None else ()
            for watcher in watchers:
                watcher.see(engine, effects, learning)
    finally:
        collector.release()
    return engine


def options_of(config: Config) -> ModelOptions:
    """Return the model's options as configured; a test holds them against the daemon's."""
    return ModelOptions(**{name: getattr(config.model, name) for name in MODEL_OPTIONS})


def shortest_window_of(config: Config) -> int:
    """Return the joiner's shortest window, in milliseconds."""
    return min(config.outcome.window_s, config.outcome.horizon_s) * 1000


def learner_of(engine: Engine) -> Learner | None:
    """Return the engine's learner, None where it has no model."""
    return engine.model if isinstance(engine.model, Learner) else None


# ---------------------------------------------------------------------- leads and what became of them


@dataclass(frozen=True, slots=True)
class Outcome:
    """The first outcome of a lead's viewer: ``at`` event time, UTC ms; ``value`` in minor units, None: not told."""

    kind: str
    at: int
    after_ms: int
    value: int | None


@dataclass(slots=True)
class Followed:
    """A lead and how it turned out so far. ``viewer`` is the platform's id: personal data."""

    lead: str
    platform: str
    room: str
    session: str
    viewer: str
    decided_at: int
    points: int
    probability: float | None
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Turnout:
    """How leads turned out. Only those are judged whose horizon had passed at the end (``known`` of ``leads``).

    ``precision`` is the share of these with an outcome, with its 95 % Wilson interval; None without any. ``value`` is
    the sum of their outcomes' money, in minor units. ``waited`` says how long it took from hot to outcome.
    """

    leads: int
    known: int
    came: int
    precision: float | None
    low: float | None
    high: float | None
    value: int
    waited: HotToOutcome


class LeadsFollowed:
    """Watches leads until their horizon has passed.

    An outcome counts for a lead if it happened at or after the decision, within the horizon, and came behind the very
    event that decided: a form that makes its sender hot is no success of that lead. Leads that were shown to find out
    are not among them, as they are not what the policy believes in. One that is taken back before the horizon has
    passed is none.
    """

    def __init__(self, outcome: OutcomeConfig) -> None:
        self._rules = outcome.rules
        self._horizon_ms = outcome.horizon_s * 1000
        self._ledger = Ledger(self._horizon_ms)
        self._kind_of: dict[int, str] = {}  # by cause
        self._waiting: dict[
            str, list[tuple[Followed, int]]
        ] = {}  # by viewer; with the first cause that counts
        self._viewer_of: dict[str, str] = {}  # by lead
        self._end = 0
        self.leads: list[Followed] = []

    def see(self, engine: Engine, effects: Effects, learning: Learning) -> None:
        del learning
        frame, before = effects.kept, self._end
        self._end = engine.now
        decided = deque(zip(effects.lead_positions, effects.leads, strict=True))
        if said := outcomes_of(frame, self._rules):
            now = np.maximum.accumulate(np.maximum(np.array(frame.arrivals(), np.int64), before))
            for position, _ in said:
                while decided and decided[0][0] < position:
                    self._follow(decided.popleft()[1])
                self._happened(frame, position, int(now[position]))
        for _, lead in decided:
            self._follow(lead)

    def keep(self, most: int) -> None:
        """Forget all but the last leads, and among the others who still may have an outcome: for who watches without end."""
        self.leads = self.leads[-most:]
        held = {lead.lead for lead in self.leads if not self.known(lead)}
        waiting = {
            key: [each for each in leads if each[0].lead in held] for key, leads in self._waiting.items()
        }
        self._waiting = {key: leads for key, leads in waiting.items() if leads}
        self._viewer_of = {lead: key for lead, key in self._viewer_of.items() if lead in held}
        first = min(
            (since for leads in self._waiting.values() for _, since in leads), default=self._ledger.causes
        )
        self._kind_of = {cause: kind for cause, kind in self._kind_of.items() if cause >= first}

    def known(self, lead: Followed) -> bool:
        """Return whether all is known of a lead: its horizon has passed."""
        return lead.decided_at + self._horizon_ms <= self._end

    def turnout(self) -> Turnout:
        """Return how all leads turned out so far."""
        known = [lead for lead in self.leads if self.known(lead)]
        came = [lead.outcome for lead in known if lead.outcome is not None]
        low, high = wilson(np.array([len(came) / max(1, len(known))]), np.array([max(1, len(known))]))
        return Turnout(
            leads=len(self.leads),
            known=len(known),
            came=len(came),
            precision=len(came) / len(known) if known else None,
            low=float(low[0]) if known else None,
            high=float(high[0]) if known else None,
            value=sum(each.value or 0 for each in came),
            waited=hot_to_outcome(
                np.array([lead.decided_at for lead in known], np.int64),
                np.array([lead.outcome.at if lead.outcome else NEVER for lead in known], np.int64),
            ),
        )

    def _follow(self, lead: Any) -> None:
        made = Followed(
            lead.lead, lead.platform, lead.room, lead.session, lead.viewer,
            lead.decided_at, lead.points, lead.probability,
        )  # fmt: skip
        if lead.propensity is not None:
            return
        self.leads.append(made)
        key = f"{made.platform}/{made.room}/{made.viewer}"
        self._waiting.setdefault(key, []).append((made, self._ledger.causes))
        self._viewer_of[made.lead] = key

    def _happened(self, frame: Frame, position: int, now: int) -> None:
        heard = self._rules.heard(frame, position, min(frame.ats[position], now))
        if heard is None or heard.what is What.DECLINED:
            return
        key = f"{frame.platforms[position]}/{frame.rooms[position]}/{frame.viewers[position] or ''}"
        key = self._viewer_of.get(frame.seldom.get("lead", {}).get(position, ""), key)
        self._kind_of[self._ledger.causes] = frame.kinds[position]
        successes = self._ledger.hear(key, heard, now)
        for lead, since in self._waiting.get(key, ()):
            until = lead.decided_at + self._horizon_ms
            if now > until:
                continue
            its = (each for each in successes if each.stands and each.cause >= since)
            first = next((each for each in its if lead.decided_at <= each.at <= until), None)
            lead.outcome = None
            if first is not None:
                kind, after_ms = self._kind_of[first.cause], first.at - lead.decided_at
                lead.outcome = Outcome(kind, first.at, after_ms, first.value or None)


def outcomes_of(frame: Frame, rules: OutcomeRules) -> list[tuple[int, What]]:
    """Return the positions of a frame's outcomes, as the engine counts them, and what each says."""
    kinds = rules.kinds | rules.refunds | {"lead_outcome"}
    if kinds.isdisjoint(frame.kinds):
        return []
    found: list[tuple[int, What]] = []
    for position, kind in enumerate(frame.kinds):
        if kind not in kinds or frame.tests[position] or frame.staffs[position]:
            continue
        if kind != "lead_outcome" and frame.viewers[position] is None:
            continue
        if (heard := rules.heard(frame, position, frame.ats[position])) is not None:
            found.append((position, heard.what))
    return found


# ---------------------------------------------------------------------- what was served and resolved


def part_of(served: Served, which: NDArray[np.intp]) -> Served:
    """Return what was served at some places, in their order."""
    places = which.tolist()
    return Served(
        snapshot=served.snapshot[which],
        served_at=served.served_at[which],
        session=served.session[which],
        rows=served.rows[which],
        rooms=[served.rooms[place] for place in places],
        broadcasts=[served.broadcasts[place] for place in places],
        viewers=[served.viewers[place] for place in places],
        inputs=served.inputs[which],
        served=served.served[which],
        weight=served.weight[which],
    )


class Sessions:
    """Names of the sessions of which something was served, by the engine's number."""

    def __init__(self) -> None:
        self._names: dict[int, tuple[str, str, str]] = {}

    def see(self, engine: Engine, effects: Effects, learning: Learning) -> None:
        del learning
        for served in effects.served:
            for number, first in zip(*np.unique(served.session, return_index=True), strict=True):
                if int(number) not in self._names:
                    room, session = engine.session_of(int(served.rows[first]))
                    self._names[int(number)] = (room.platform, room.room, session.id)

    def name(self, number: int) -> tuple[str, str, str]:
        """Return (platform, room, session)."""
        return self._names[number]


class Challenged:
    """Lets challengers watch the champion: what they would have said, learnt and been worth, in time."""

    def __init__(self, names: Sequence[str], *, window_ms: int) -> None:
        """Raises ValueError: There is no challenger of a name."""
        self._arena = Arena({name: make_challenger(name) for name in names}, window_ms=window_ms)
        self._saying = Saying()

    def see(self, engine: Engine, effects: Effects, learning: Learning) -> None:
        del engine
        self._saying.note(effects.kept)
        for told in learning:
            if isinstance(told, Served):
                self._arena.serve(told, self._saying.at_marks(told))
            else:
                self._arena.learn(told)
        self._saying.forgotten()

    def standing(self) -> Standing:
        """Return how all stand at the end."""
        return self._arena.standing()


class Final:
    """The last final outcomes with what was served: what the learner's own report is made of, and a bit more."""

    def __init__(self, labels: int = FINAL) -> None:
        self._labels = labels
        self._parts: deque[Lessons] = deque()
        self._held = 0
        self.seen = 0

    def see(self, engine: Engine, effects: Effects, learning: Learning) -> None:
        del engine, learning
        for lessons in effects.lessons:
            mature = lessons.take(lessons.stage == Stage.MATURE)
            if len(mature):
                # The inputs are most of it, and nobody asks for them.
                self._parts.append(replace(mature, inputs=np.zeros((len(mature), 0), np.float32)))
                self._held += len(mature)
                self.seen += len(mature)
        while self._parts and self._held - len(self._parts[0]) >= self._labels:
            self._held -= len(self._parts.popleft())

    @property
    def lessons(self) -> Lessons | None:
        """What is held, oldest first; ``inputs`` have no columns. None: nothing is."""
        if not self._parts:
            return None
        joined = Lessons.joined(list(self._parts))
        return joined.take(np.arange(max(0, len(joined) - self._labels), len(joined)))


def rows_of(lessons: Lessons) -> Rows:
    """Return final lessons as the judge takes them: logits are probabilities, rooms are keys."""
    served = lessons.served.astype(np.float64)
    served[:, :LOGITS] = sigmoid(served[:, :LOGITS])
    return Rows.of(served, lessons)
