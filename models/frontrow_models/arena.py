"""The arena: challengers beside the champion, on the same snapshots and labels, each judged by what it said in time.

``serve`` asks every challenger what it thinks of what was served, at that moment; ``learn`` gives them the lessons
and, when an outcome is final, judges all by what they said then. Pure and deterministic: it runs in a process of its
own beside the daemon (:mod:`frontrow_models.beside`), and over a replay in a backtest, and is the same.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from frontrow.core.lessons import Lessons, Served, Stage
from frontrow.core.scoring import sigmoid
from frontrow_models.challengers import Challenger
from frontrow_models.evaluation.duel import Duel
from frontrow_models.evaluation.judging import Column
from frontrow_models.evaluation.rolling import Report, Rolling, Rows
from frontrow_models.evaluation.verdict import Verdict, verdict
from frontrow_models.policies import DelayPolicy
from frontrow_models.served import LOGITS, SERVED

HELD = 1_000_000  # snapshots that wait for their outcome
_SALT = np.uint64(0x9E3779B97F4A7C15)


class Standing(Struct, frozen=True):
    """How all models stand: over the window of the last mature labels, and each challenger against the champion.

    Duels count what was served at ``since`` (engine time, UTC ms) or later, by the present champion; 0: from the
    beginning. ``missed`` snapshots came without having been served here, as after a start or when this process was
    too slow.
    """

    report: Report
    duels: dict[str, Verdict]
    missed: int
    since: int = 0


class Arena:
    """Holds challengers. One owner calls it, in the order in which things were served and resolved."""

    def __init__(self, challengers: Mapping[str, Challenger], *, window_ms: int) -> None:
        """``challengers`` by name; ``window_ms`` is the joiner's shortest window."""
        self._challengers = dict(challengers)
        self._policies = {name: DelayPolicy(window_ms) for name in challengers}
        self._duels = {name: Duel() for name in challengers}
        self._since = 0
        self._rolling = Rolling((*SERVED, *map(Column, challengers)))
        self._said: dict[int, tuple[NDArray[np.float32], str | None]] = {}
        self.missed = 0

    def serve(self, served: Served, words: Sequence[str | None]) -> None:
        """Ask the challengers about what was served; ``words`` are each viewer's last comment, or None."""
        count = len(served)
        said = np.full((count, len(self._challengers)), np.nan, np.float32)
        for place, challenger in enumerate(self._challengers.values()):
            which = np.flatnonzero(sampled(served.snapshot, challenger.share))
            if len(which):
                said[which, place] = challenger.predict(
                    served.inputs[which], [words[index] for index in which.tolist()]
                )
        for number, line, text in zip(served.snapshot.tolist(), said, words, strict=True):
            self._said[number] = (line, text)
        for number in list(self._said)[: max(0, len(self._said) - HELD)] if len(self._said) > HELD else ():
            del self._said[number]

    def forget(self) -> None:
        """Forget the words of all looks that wait for their lessons: somebody was erased."""
        self._said = {number: (line, None) for number, (line, _) in self._said.items()}

    def learn(self, lessons: Lessons) -> None:
        """Let the challengers learn what is fresh, and judge all by what is final."""
        known = np.array([number in self._said for number in lessons.snapshot.tolist()], np.bool_)
        self.missed += len(known) - int(np.count_nonzero(known))
        mature = lessons.stage == Stage.MATURE
        # Judged before learning: within one call nothing that is learnt was known when what is judged was said.
        self._judge(lessons.take(mature & known))
        self._teach(lessons.take(~mature & known))
        for number in lessons.snapshot[
            mature & known
        ].tolist():  # after both: a silence brings all lessons at once
            del self._said[number]

    def promoted(self, at: int) -> None:
        """Begin all duels anew: what was served at engine time ``at`` or later was said by another champion."""
        self._duels = {name: Duel() for name in self._challengers}
        self._since = at

    def standing(self) -> Standing:
        """Return how all stand now."""
        return Standing(
            report=self._rolling.report(waiting=len(self._said)),
            duels={name: verdict(duel.comparison()) for name, duel in self._duels.items()},
            missed=self.missed,
            since=self._since,
        )

    def states(self) -> dict[str, Mapping[str, Any]]:
        """Return the canonical state of every challenger that has one, with that of its label policy."""
        found = {name: challenger.state() for name, challenger in self._challengers.items()}
        return {
            name: {**state, "label_policy": self._policies[name].state()}
            for name, state in found.items()
            if state is not None
        }

    def _judge(self, lessons: Lessons) -> None:
        if not len(lessons):
            return
        numbers = lessons.snapshot.tolist()
        said = np.array([self._said[number][0] for number in numbers], np.float64)
        served = lessons.served.astype(np.float64)
        served[:, :LOGITS] = sigmoid(served[:, :LOGITS])
        columns = np.hstack((served, said.reshape(len(lessons), -1)))
        rows = Rows.of(columns, lessons)
        self._rolling.add(rows)
        for place, name in enumerate(self._challengers, len(SERVED)):
            self._policies[name].see(lessons)
            which = np.isfinite(columns[:, place]) & (lessons.served_at >= self._since)
            self._duels[name].add(
                columns[which, 0],
                columns[which, place],
                lessons.outcome[which],
                served_at=lessons.served_at[which],
                blocks=lessons.session[which].astype(np.int64),
                rooms=rows.rooms[which],
                causes=lessons.cause[which],
            )

    def _teach(self, lessons: Lessons) -> None:
        words = [self._said[number][1] for number in lessons.snapshot.tolist()]
        for place, (name, challenger) in enumerate(self._challengers.items()):
            learnt = sampled(lessons.snapshot, challenger.share)
            if not challenger.unlearns:
                learnt &= lessons.stage != Stage.WITHDRAWN
            which = np.flatnonzero(learnt)
            if not len(which):
                continue
            numbers = lessons.snapshot[which].tolist()
            believed = np.array([self._said[number][0][place] for number in numbers], np.float64)
            policy, taken = self._policies[name], lessons.take(which)
            policy.hear(taken)
            outcomes, weights = policy.steps(np.nan_to_num(believed), taken)
            challenger.learn(
                lessons.inputs[which],
                [words[index] for index in which.tolist()],
                outcomes,
                weights / challenger.share,
                looks=policy.waiting,
            )


def sampled(snapshots: NDArray[np.int64], share: float) -> NDArray[np.bool_]:
    """Return which snapshots belong to a sample: by a hash of their number, so that every replay chooses the same."""
    if share >= 1.0:
        return np.ones(len(snapshots), np.bool_)
    mixed = snapshots.astype(np.uint64) * _SALT
    mixed ^= mixed >> np.uint64(29)
    mixed *= _SALT
    chosen: NDArray[np.bool_] = (mixed >> np.uint64(11)).astype(np.float64) < share * 2.0**53
    return chosen
