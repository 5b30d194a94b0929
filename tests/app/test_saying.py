"""What challengers read of a viewer is what was written before the look at them, live as in a backtest, and goes with an erasure."""

import io
from typing import Any

import numpy as np
import pytest

from frontrow.app import learning as live
from frontrow.app.learning import Learning
from frontrow.app.offline import Challenged, NotingLearner
from frontrow.app.saying import VIEWERS, Saying
from frontrow.config import OutcomeConfig
from frontrow.core.engine import MARK_MS, Effects
from frontrow.core.lessons import Served
from frontrow_models.arena import Arena
from frontrow_models.beside import Beside, run
from frontrow_models.challengers import make_challenger
from frontrow_models.online import ModelOptions
from tests.models.test_arena import batch
from tests.support.clock import ManualClock
from tests.support.rooms import START, apply, engine, event

WINDOW_MS = 120_000
Words = list[str | None]


class Heard:
    """Stands where the challengers' process does, and keeps what it is told of looks."""

    def __init__(self, *_names: Any, **_options: Any) -> None:
        self.words: dict[int, str | None] = {}
        self.forgets = 0

    def serve(self, served: Served, words: Words) -> None:
        self.words |= dict(zip(served.snapshot.tolist(), words, strict=True))

    def learn(self, lessons: object) -> None:
        pass

    def forget(self) -> None:
        self.forgets += 1


def comment(at_s: float, text: str, viewer: str = "a") -> Any:
    return event("comment", at_s, viewer=viewer, text=text)


# She is looked at at the first mark after her first comment, and told of up to half a minute later.
TALK = [
    event("like", 0.0, viewer="silent"),
    comment(1.0, "看看"),
    comment(3.0, "多少钱"),
    comment(9.0, "买了"),
    event("like", 31.0, viewer="b"),  # here the looks of the half minute are read
    comment(125.0, "再来一单"),
    comment(131.0, "已付"),
    event("like", 155.0, viewer="b"),
]


@pytest.mark.parametrize("cut", [1, 3, len(TALK)])
def test_live_and_afterwards_a_look_is_told_with_the_same_words_those_of_its_mark(
    cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "Beside", Heard)
    model = NotingLearner(ModelOptions(), window_ms=WINDOW_MS)
    watched = engine(model=model, report_learning=True)
    told = Learning(
        watched, ("text",), window_ms=WINDOW_MS, outcome=OutcomeConfig(), clock=ManualClock(START)
    )
    afterwards = Challenged(["text"], window_ms=WINDOW_MS)
    arena = Heard()
    monkeypatch.setattr(afterwards, "_arena", arena)
    viewers: dict[int, str] = {}
    for start in range(0, len(TALK), cut):
        effects = apply(watched, *TALK[start : start + cut])
        for served in effects.served:
            viewers |= dict(zip(served.snapshot.tolist(), served.viewers, strict=True))
        afterwards.see(watched, effects, model.in_order(effects))
        told.durable(effects)
    beside = told._beside
    assert isinstance(beside, Heard)
    assert beside.words == arena.words
    hers = [beside.words[number] for number, viewer in sorted(viewers.items()) if viewer == "a"]
    assert hers == ["看看", "再来一单"]
    assert None in beside.words.values()  # who said nothing


def look(viewer: str, mark: int) -> Served:
    none = np.zeros(1, np.int64)
    return Served(
        snapshot=none, served_at=np.array([mark]), session=none.astype(np.int32), rows=none, rooms=["sim/a"],
        broadcasts=["s"], viewers=[viewer], inputs=np.zeros((1, 1), np.float32),
        served=np.zeros((1, 1), np.float32), weight=np.ones(1, np.float32),
    )  # fmt: skip


def noted(*events: Any) -> tuple[Saying, str]:
    """What was said in these events, and the room of them, as looks name it."""
    saying, effects = Saying(), apply(engine(), *events)
    saying.note(effects.kept)
    return saying, f"{effects.kept.platforms[0]}/{effects.kept.rooms[0]}"


def words_of(saying: Saying, room: str, viewer: str, mark: int) -> str | None:
    served = look(viewer, mark)
    served.rooms[:] = [room]  # type: ignore[index]  # a list, made above
    [words] = saying.at_marks(served)
    return words


def test_who_is_erased_is_forgotten_at_once_and_nobody_else() -> None:
    saying, room = noted(comment(1, "多少钱", "her"), comment(1, "你好", "him"))
    mark = START + 10_000
    assert words_of(saying, room, "her", mark) == "多少钱"
    saying.erase(room.partition("/")[0], "her")
    saying.forgotten()
    assert (words_of(saying, room, "her", mark), words_of(saying, room, "him", mark)) == (None, "你好")


def test_what_is_kept_of_one_who_never_stops_writing_is_bounded() -> None:
    saying, _ = noted(*(comment(n / 100, f"{n}") for n in range(10_000)))
    saying.forgotten()
    [said] = saying._said.values()
    assert len(said) <= 30_000 / MARK_MS + 2
    assert said[-1][1] == "9999"


def test_those_who_wrote_first_are_left_behind_when_there_are_too_many_or_it_was_long_ago(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert VIEWERS == 100_000
    monkeypatch.setattr("frontrow.app.saying.VIEWERS", 3)
    saying, room = noted(*(comment(n, "在", f"v{n}") for n in range(5)))
    saying.forgotten()
    assert len(saying) == 3
    assert words_of(saying, room, "v1", START + 60_000) is None
    assert words_of(saying, room, "v4", START + 60_000) == "在"
    assert (
        words_of(saying, room, "v4", START + 3 * 3_600_000) is None
    )  # said too long ago to be her last words
    later = engine()
    saying.note(apply(later, event("like", 3 * 3_600.0, viewer="x")).kept)
    saying.forgotten()
    assert len(saying) == 0


def test_the_challengers_process_forgets_the_words_of_looks_whose_lessons_are_to_come() -> None:
    arena = Arena({"text": make_challenger("text")}, window_ms=WINDOW_MS)
    told, *_ = batch(0, 0, 50, at=0)
    arena.serve(told, ["我的名字"] * len(told))
    assert {text for _, text in arena._said.values()} == {"我的名字"}
    sent: list[bytes] = []
    beside = Beside.__new__(Beside)  # no process: what it would be sent is looked at
    beside._put = sent.append  # type: ignore[method-assign, assignment]
    beside.forget()
    [message] = sent
    run(arena, io.BytesIO(len(message).to_bytes(4, "little") + message), io.BytesIO())
    assert {text for _, text in arena._said.values()} == {None}
    assert len(arena._said) == len(told)


def test_an_erasure_reaches_what_was_said_and_the_challengers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "Beside", Heard)
    watched = engine(model=NotingLearner(ModelOptions(), window_ms=WINDOW_MS))
    told = Learning(
        watched, ("text",), window_ms=WINDOW_MS, outcome=OutcomeConfig(), clock=ManualClock(START)
    )
    effects: Effects = apply(watched, comment(1, "多少钱", "her"))
    told.durable(effects)
    assert len(told._saying) == 1
    told.forget([(effects.kept.platforms[0], "her")])
    assert len(told._saying) == 0
    assert isinstance(told._beside, Heard)
    assert told._beside.forgets == 1
