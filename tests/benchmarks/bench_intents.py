"""What it costs to derive the facts of one comment.

Run: ``pytest -o addopts=--import-mode=importlib tests/benchmarks/bench_intents.py``
"""

from typing import Any

import pytest

from frontrow.core.events import Event
from frontrow.core.facts import derive
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


@pytest.mark.parametrize("what", COMMENTS)
def test_detect(benchmark: Any, what: str) -> None:
    room = default_lexicon().for_room(host_aliases=["小雨"])
    benchmark.pedantic(room.detect, (COMMENTS[what],), rounds=50, iterations=1000)


@pytest.mark.parametrize("what", COMMENTS)
def test_derive(benchmark: Any, what: str) -> None:
    room = default_lexicon().for_room(host_aliases=["小雨"], raffle_words=["冲", "!join"])
    event = Event(id="e", platform="p", room="r", kind="comment", at=1_700_000_000_000, text=COMMENTS[what])
    benchmark.pedantic(derive, (event, room), rounds=50, iterations=1000)
