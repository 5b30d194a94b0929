"""The mask of facts: all that the engine knows of an event's words."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.core import facts as fact
from frontrow.core.events import KINDS, Event, convert_event
from frontrow.core.facts import derive
from frontrow.core.intents import Intent
from tests.core.lexicons import default_lexicon


def event(kind: str, **fields: Any) -> Event:
    return convert_event(
        {"id": "e1", "platform": "test", "room": "r1", "kind": kind, "at": 1_700_000_000_000} | fields
    )


def facts_of(kind: str, **fields: Any) -> int:
    return derive(event(kind, **fields), default_lexicon().for_room(raffle_words=["冲"]))


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("哈哈", 0),
        ("", 0),
        ("多少钱", fact.PRICE),
        ("@主播 包邮吗", fact.HOST | fact.DELIVERY),
        ("冲", fact.RAFFLE_WORD),
        ("抽奖", fact.RAFFLE),
        ("我的电话 138 0013 8000", fact.CONTACT | fact.PHONE_VALID),
        ("12345678901", 0),
        ("可以分期吗 13800138000", fact.INSTALMENT | fact.PHONE_VALID),
    ],
)
def test_the_facts_of_a_comment(text: str, facts: int) -> None:
    assert facts_of("comment", text=text) == facts


@pytest.mark.parametrize(
    ("fields", "facts"),
    [
        ({"phone": "13800138000"}, fact.PHONE_VALID),
        ({"phone": "12345678901"}, 0),
        ({"phone": "138 0013 8000", "company": "某某公司"}, fact.PHONE_VALID | fact.COMPANY),
        ({"title": "采购经理"}, fact.COMPANY),
        ({"备注": "多少钱"}, 0),
        ({}, 0),
    ],
)
def test_the_facts_of_a_form(fields: dict[str, Any], facts: int) -> None:
    assert facts_of("form_submit", fields=fields) == facts


def test_events_without_words_have_no_facts() -> None:
    for kind in KINDS - {"comment", "form_submit", "stay"}:
        assert facts_of(kind, text="多少钱", name="13800138000") == 0
    assert facts_of("form_submit") == 0


def test_the_bits_never_change() -> None:
    # They are journalled: a replay in years must read today's.
    assert [int(intent) for intent in Intent] == [1 << bit for bit in range(12)]
    assert (fact.PRICE, fact.BUY, fact.RAFFLE_WORD, fact.PHONE_VALID, fact.COMPANY) == (
        1,
        128,
        2048,
        4096,
        8192,
    )
    assert fact.QUESTION == 255


@given(st.text(max_size=4096), st.dictionaries(st.text(), st.text() | st.integers() | st.none()))
def test_no_words_make_it_fail(text: str, fields: dict[str, Any]) -> None:
    facts_of("comment", text=text)
    facts_of("form_submit", fields=fields)


def test_the_golden_cases_give_the_facts_that_their_points_need() -> None:
    path = Path(__file__).parents[1] / "points_golden.json"
    if not path.exists():
        pytest.skip("tests/points_golden.json is not there")
    room = default_lexicon().for_room()
    by_text: dict[str, int] = {}
    for case in json.loads(path.read_text(encoding="utf-8"))["cases"]:
        for fields in case["events"]:
            if fields["kind"] == "comment":
                by_text[fields["text"]] = derive(convert_event(fields), room)
    questions = {text for text, facts in by_text.items() if facts & fact.QUESTION}
    assert questions == {
        "这个多少钱",
        "3号链接是什么材质的",
        "多少钱啊",
        "有优惠吗 多少钱",
        "多少钱",
        "什么尺码",
        "这个　多 少 钱？？",
    }
    assert {text for text, facts in by_text.items() if facts & fact.HOST} == {"@主播 你好", "@主播 在吗"}
    assert {text for text, facts in by_text.items() if facts & fact.PHONE_VALID} == {"我的电话 138 0013 8000"}
    assert not any(facts & fact.RAFFLE_WORD for facts in by_text.values())
