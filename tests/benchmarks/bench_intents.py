"""What it costs to do all that is done to an event's words: one comment alone, and frames of a live room.

Run: ``pytest -o addopts=--import-mode=importlib tests/benchmarks/bench_intents.py``
"""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from frontrow.core.events import Event
from frontrow.core.facts import derive
from frontrow.core.preparing import Preparer
from frontrow_models.simulate.busy import busy_room
from tests.core.lexicons import default_lexicon

COMMENTS = {
    "zh, nothing": "今天主播真好看啊哈",
    "zh, question": "这个裙子多少钱啊哈",
    "zh, marks": "哈哈，真好看！！",
    "en, nothing": "nice dress",
    "en, question": "how much??",
    "mixed, question": "iphone多少钱",
    "excluded": "一个月赚多少钱",
}
FRAME = 1024
FRAMES = 50


@pytest.mark.parametrize("what", COMMENTS)
def test_detect(benchmark: Any, what: str) -> None:
    room = default_lexicon().for_room(host_aliases=["小雨"])
    benchmark.pedantic(room.detect, (COMMENTS[what],), rounds=50, iterations=1000)


@pytest.mark.parametrize("what", COMMENTS)
def test_derive(benchmark: Any, what: str) -> None:
    room = default_lexicon().for_room(host_aliases=["小雨"], raffle_words=["冲", "!join"])
    event = Event(id="e", platform="p", room="r", kind="comment", at=1_700_000_000_000, text=COMMENTS[what])
    benchmark.pedantic(derive, (event, room), rounds=50, iterations=1000)


def busy_frames() -> Iterator[list[Event]]:
    events = busy_room(events=FRAME * FRAMES, viewers=10_000)
    while frame := list(itertools.islice(events, FRAME)):
        yield frame


def distinct_frames() -> Iterator[list[Event]]:
    words = (
        "so",
        "that",
        "was",
        "really",
        "the",
        "best",
        "of",
        "all",
        "those",
        "games",
        "we",
        "have",
        "seen",
        "this",
        "week",
    )
    for number in range(FRAMES):
        yield [
            Event(
                id=f"{number}-{index}", platform="p", room="r", kind="comment", at=1_700_000_000_000, viewer="v",
                name="somebody", text=f"{' '.join(words[index % 9 : index % 9 + 6])} {number} {index}",
            )
            for index in range(FRAME)
        ]  # fmt: skip


@pytest.mark.parametrize("frames", [busy_frames, distinct_frames])
def test_prepare_a_frame(benchmark: Any, frames: Any) -> None:
    # A frame's time; divide by 1,024 for an event's. Nothing may be prepared twice: each round takes the next frame.
    preparer = Preparer({}, default_lexicon().for_room(), "CN")
    prepared = frames()
    preparer.frame(next(prepared))
    benchmark.pedantic(preparer.frame, setup=lambda: ((next(prepared),), {}), rounds=FRAMES - 2, iterations=1)
