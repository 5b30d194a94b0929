"""The versions of the model that a replay of a journal makes on its way, told by name: ``python -m tests.support.replayed_versions``.

Arguments: the journal, the configuration's file, and sizes of frames. Prints one JSON array of names, the SHA-256 of each
version's content, for each size.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from frontrow.app.inputs import Inputs
from frontrow.app.offline import options_of, shortest_window_of
from frontrow.app.parts import load_config, make_engine
from frontrow.app.retraining import figures_of, online_of
from frontrow.config import Config
from frontrow.core.lessons import Lessons
from frontrow_models.learner import Learner
from frontrow_models.versions import Card, Position, encode, name_of, to_version

EVERY_MS = 300_000  # engine time between two versions


class NamingLearner(Learner):
    """The daemon's learner, which makes a version of itself every five minutes once it has learnt, and keeps the name."""

    def __init__(self, config: Config) -> None:
        super().__init__(options_of(config), window_ms=shortest_window_of(config))
        self._made_with = options_of(config)
        self._made_at = 0
        self.names: list[str] = []

    def learn(self, lessons: Lessons) -> None:
        super().learn(lessons)
        now = int(lessons.resolved_at[-1])
        if self.labels and now // EVERY_MS != self._made_at // EVERY_MS:
            self._made_at = now
            version = to_version(
                online_of(self, self._made_with),
                journal=Position(seq=0, at=now),
                parents=self.names[-1:],
                label_policy=self.state()["label_policy"],
                calibration=self.state()["calibration"],
                card=Card(figures=figures_of(self.report())),
            )
            self.names.append(name_of(encode(version)))


def names_of_versions(journal: Path, config: Config, size: int) -> list[str]:
    """Replay a journal in frames of at most ``size`` events; return the names of its versions, oldest first."""
    learner, engine = NamingLearner(config), make_engine(config)
    engine.model = learner
    for frame in Inputs([journal]).frames(config, size=size):
        engine.apply(frame)
    return learner.names


def main(arguments: Sequence[str]) -> None:
    journal, config = Path(arguments[0]), load_config(Path(arguments[1]), {})
    for size in arguments[2:]:
        sys.stdout.write(json.dumps(names_of_versions(journal, config, int(size))) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
