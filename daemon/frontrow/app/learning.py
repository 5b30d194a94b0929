"""Joins the learning loop to the daemon: challengers beside it, and the judge's figures once a minute.

What was served and resolved goes to the challengers' process once it is durable, with each viewer's last comment as
of the look. The judge's window is read on the event loop and judged in a thread, since that takes some hundred
milliseconds.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from frontrow.app.models import ADVICE
from frontrow.app.offline import LeadsFollowed
from frontrow.app.saying import Saying
from frontrow.config import OutcomeConfig
from frontrow.core.engine import Effects, Engine
from frontrow.core.ports import Clock
from frontrow_models.arena import Standing
from frontrow_models.beside import Beside
from frontrow_models.evaluation.alike import Alike
from frontrow_models.evaluation.guard import Alarm
from frontrow_models.evaluation.judging import Judged
from frontrow_models.evaluation.rolling import Report
from frontrow_models.evaluation.verdict import Verdict
from frontrow_models.learner import Learner
from frontrow_models.reasons import Explanation
from frontrow_models.versions import Card, Outcome, Position, Version, VersionRefused, of_challenger

JUDGED_EVERY_S = 60.0
FOLLOWED = 2_000  # leads of which the time from hot to outcome is told, the last ones
PROMOTIONS = 20  # that are told, the last ones

log = structlog.get_logger(__name__)


class Learning:
    """The daemon's view of its model. One owner: the event loop."""

    def __init__(
        self,
        engine: Engine,
        challengers: Sequence[str],
        *,
        window_ms: int,
        outcome: OutcomeConfig,
        clock: Clock,
        predicts: Callable[[str], Outcome | None] = lambda _version: None,
    ) -> None:
        """``predicts`` gives what a version was learnt for, None where nobody knows; it is called in a thread.

        Raises:
            ValueError: There is no challenger of one of the names.
        """
        self._engine = engine
        self._clock = clock
        self._predicts = predicts
        self._predicted: dict[str, Outcome | None] = {}  # by versions that have led, each asked once
        self._challengers = tuple(challengers)
        self._saying = Saying()  # nothing, without challengers
        self._beside = Beside(challengers, window_ms=window_ms) if challengers else None
        # From when on the champion is who it is now; what is said of an earlier one is no proposal.
        self._since = engine.model.since if isinstance(engine.model, Learner) else 0
        if self._beside is not None and self._since:
            self._beside.promoted(self._since)
        self._logged = 0 if not isinstance(engine.model, Learner) else engine.model.alarmed
        self.report: Report | None = None  # of the last minute; None before the first, and without a model
        self._followed = LeadsFollowed(outcome)
        self._alike: Alike | None = None  # as of the report

    @property
    def standing(self) -> Standing | None:
        """How the challengers stand, as they last told; None without any, or before the first time."""
        return None if self._beside is None else self._beside.standing

    @property
    def challengers(self) -> Sequence[str]:
        """The names of those who learn beside the champion."""
        return self._challengers

    @property
    def dropped(self) -> int:
        """Messages that the challengers' process was too slow for."""
        return 0 if self._beside is None else self._beside.dropped

    @property
    def frozen(self) -> bool:
        """Whether outcomes have stopped arriving, so that nothing is learnt."""
        return isinstance(self._engine.model, Learner) and self._engine.model.frozen

    @property
    def alarms(self) -> int:
        """How many alarms the guard has given since the journal's start."""
        return self._engine.model.alarmed if isinstance(self._engine.model, Learner) else 0

    @property
    def rollbacks(self) -> int:
        """How often the model went back to a good state since the journal's start."""
        return self._engine.model.rollbacks if isinstance(self._engine.model, Learner) else 0

    @property
    def other_outcome(self) -> Outcome | None:
        """What the version that leads was learnt for, where that is another outcome than the configured one; else None.

        None, too, where nobody knows, for a minute after a promotion, and once calm windows of this outcome have judged it.
        """
        model = self._engine.model
        if not isinstance(model, Learner) or model.outcome is None:
            return None
        if not model.foreign and not self._engine.succession.waiting:
            return None
        found = self._predicted.get(self._leading(model) or "")
        return None if found == model.outcome else found

    @property
    def proposed(self) -> dict[str, Verdict]:
        """The challengers that are proven better than the champion and could lead, each with the verdict."""
        standing = self.standing
        if self._beside is None or standing is None or standing.since != self._since:
            return {}
        states = self._beside.states
        return {
            name: verdict
            for name, verdict in standing.duels.items()
            if verdict.decision == "promote" and name in states
        }

    def challenger(self, name: str, journal: Position) -> Version | None:
        """Return the version that a challenger was when it last told; None: no challenger is called so.

        Raises:
            VersionRefused: None can be made of it, or not yet.
        """
        if self._beside is None or name not in self._challengers:
            return None
        state = self._beside.states.get(name)
        if state is None:
            raise VersionRefused(f"of the challenger {name} no version can be made, or not yet")
        verdict = None if self.standing is None else self.standing.duels.get(name)
        text = f"The challenger {name} of a running daemon.\n" + (
            "" if verdict is None else f"{verdict.sentence}\n"
        )
        figures = {key: value for key, value in self.figures().items() if key.startswith(f"{name}.")}
        model = self._engine.model
        outcome = model.outcome if isinstance(model, Learner) else None
        return of_challenger(state, journal=journal, card=Card(text=text, figures=figures), outcome=outcome)

    def quality(self) -> dict[tuple[str, str], float]:
        """Return the last judgement of everything that was served, by (served column, metric); nothing unknown."""
        return {
            (each.column, name): value
            for each in self._judged()
            for name in ("roc_auc", "pr_auc", "precision", "log_loss", "calibration_error")
            if (value := getattr(each, name)) is not None
        }

    def figures(self) -> dict[str, float]:
        """Return the last judgement by dotted name, for the card of a version; empty before the first.

        With each column how many looks, and how many distinct outcomes, it stands on: who began later is judged on
        fewer.
        """
        found = {f"{column}.{name}": value for (column, name), value in self.quality().items()}
        for each in self._judged():
            if each.labels:
                found[f"{each.column}.labels"] = float(each.labels)
                found[f"{each.column}.outcomes"] = float(each.outcomes)
        return found

    def _judged(self) -> Sequence[Judged]:
        """Return the served columns as last judged, the champion's and then the challengers'."""
        standing = self.standing
        judged = [] if self.report is None else self.report.columns
        known = {each.column for each in judged}
        others = [] if standing is None else standing.report.columns
        return [*judged, *(each for each in others if each.column not in known)]

    def durable(self, effects: Effects) -> None:
        """Take note of a frame: tell the challengers what it served and resolved, and follow its leads."""
        if self._engine.model is not None:
            self._followed.see(self._engine, effects, ())
        if effects.promoted:
            self._alike = None  # it was another's promises that it knew of
        if self._beside is None:
            return
        for _, mark in effects.promoted:
            self._since = mark
            self._beside.promoted(mark)
        self._saying.note(effects.kept)
        for served in effects.served:
            self._beside.serve(served, self._saying.at_marks(served))
        for lessons in effects.lessons:
            self._beside.learn(lessons)
        self._saying.forgotten()

    def forget(self, viewers: Sequence[tuple[str, str]]) -> None:
        """Forget the words of viewers, (platform, viewer), who are erased; the challengers' process those of everybody.

        That one knows looks and no viewers. What it has not learnt yet of the last hour it learns without words.
        """
        for platform, viewer in viewers:
            self._saying.erase(platform, viewer)
        if self._beside is not None:
            self._beside.forget()

    async def run(self) -> None:
        """Judge at once what is known from before, then once a minute, and log every new alarm of the guard."""
        model = self._engine.model
        if not isinstance(model, Learner):
            return
        await self._ask_champion(model)
        if model.final:  # after a restart there is something to tell
            await self._judge(model)
        while True:
            await self._clock.sleep(JUDGED_EVERY_S)
            await self._ask_champion(model)
            await self._judge(model)

    def _leading(self, model: Learner) -> str | None:
        """Return the version that leads, or is to lead from the next mark on."""
        waiting = self._engine.succession.waiting
        return waiting[-1].version if waiting else model.leads

    async def _ask_champion(self, model: Learner) -> None:
        """Ask who leads what it was learnt for, once, and log it where that is not what is configured."""
        name = self._leading(model)
        if name is None or name in self._predicted:
            return
        self._predicted[name] = await asyncio.to_thread(self._predicts, name)
        if self.other_outcome is not None:
            log.warning(
                "champion_of_another_outcome",
                version=name,
                predicts=str(self.other_outcome),
                configured=str(model.outcome),
                advice=ADVICE,
            )

    async def _judge(self, model: Learner) -> None:
        judging = model.judging(waiting=len(self._engine.labels))
        alike = model.judging_alike()
        self._followed.keep(FOLLOWED)
        self.report = await asyncio.to_thread(judging)
        self._alike = await asyncio.to_thread(alike)
        for alarm in self._new_alarms(model):
            log.warning(
                "model_alarm",
                kind=alarm.kind,
                reason=alarm.sentence,
                rolled_back=alarm.roll_back,
                leads=model.leads,
            )
        self._logged = model.alarmed

    def _new_alarms(self, model: Learner) -> Sequence[Alarm]:
        new = min(model.alarmed - self._logged, len(model.alarms))
        return model.alarms[len(model.alarms) - new :]

    def interval(self, probability: float) -> tuple[float, float] | None:
        """Return between what the share of outcomes lies among those who were told about the same; None: not enough data."""
        return None if self._alike is None else self._alike.interval(probability)

    def explain(self, row: int) -> Explanation | None:
        """Return the exact parts of a row's probability as it is now; None while the model is off or not to be believed."""
        model = self._engine.model
        if not isinstance(model, Learner) or not model.ready:
            return None
        room, _ = self._engine.session_of(row)
        return model.explain(self._engine.inputs([row], self._engine.now), f"{room.platform}/{room.room}")

    def close(self) -> None:
        """End the challengers' process."""
        if self._beside is not None:
            self._beside.close()

    def told(self) -> dict[str, Any]:
        """Return the state of the model, its figures and its challengers' as JSON values."""
        model = self._engine.model
        if not isinstance(model, Learner):
            return {"enabled": False}
        return {
            "enabled": True,
            "version": model.version,
            "leads": model.leads,
            "outcome": None if model.outcome is None else str(model.outcome),
            "other_outcome": None if self.other_outcome is None else str(self.other_outcome),
            "promotions": self._engine.succession.made[-PROMOTIONS:],
            "ready": model.ready,
            "labels": model.labels,
            "positives": model.positives,
            "frozen": model.frozen,
            "rollbacks": model.rollbacks,
            "alarms": model.alarms,
            "report": self.report,
            "challengers": self.standing,
            "hot_to_outcome": self._followed.turnout().waited,
            "proposed": sorted(self.proposed),
        }
