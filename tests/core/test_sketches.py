"""Sketches: what is the same words is the same number, and the company of other texts has no say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.core.sketches import BITS, NOTHING, exact_of, near_of, sketches_of
from tests.support.kernels import without_kernel


def sketch(text: str) -> int:
    [found] = sketches_of([text])
    return found


@pytest.mark.parametrize(
    "other",
    [
        "花呗能分期不", "12花呗能分期不", "花呗能分期不？？", "花呗 能分期不 😊", "花呗能分期不不不", "花呗能分期不!!!",
    ],
)  # fmt: skip
def test_digits_marks_emoji_and_repeated_letters_make_no_other_words(other: str) -> None:
    assert sketch(other) == sketch("花呗能分期不")


def test_case_and_width_make_no_other_words() -> None:
    assert sketch("HOW much") == sketch("ｈｏｗ　ＭＵＣＨ") == sketch("how much")


def test_other_words_and_another_order_are_others() -> None:
    texts = [
        "多少钱",
        "怎么买",
        "好不好",
        "不好不",
        "包邮吗",
        "有没有优惠",
        "没有优惠",
        "what size is it",
        "𠮷野家",
        "𠮷家野",
    ]
    assert len({exact_of(found) for found in sketches_of(texts)}) == len(texts)


def test_a_long_text_with_a_word_added_is_near_and_another_one_is_not() -> None:
    text = "昨天在直播间买的那个小台灯特别好看想再要一个送给妈妈请问还有货吗"
    assert exact_of(sketch(text + "呀")) != exact_of(sketch(text))
    assert near_of(sketch(text + "呀")) == near_of(sketch(text))
    assert near_of(sketch("今天主播穿的衣服是什么牌子")) != near_of(sketch(text))


@pytest.mark.parametrize("text", ["", "1", "666", "👍👍", "哈哈哈哈", "啊", "？？？", "138 1624 7753", "\n"])
def test_what_is_hardly_a_word_has_no_sketch(text: str) -> None:
    assert sketch(text) == NOTHING


@given(st.lists(st.text(max_size=12) | st.text(st.sampled_from("aA啊ａ1\n𠮷😀\udc00\0")), max_size=12))
def test_the_kernel_sketches_as_python_does(texts: list[str]) -> None:
    sketches = sketches_of(texts)
    with without_kernel():
        assert sketches_of(texts) == sketches


@given(st.lists(st.text(max_size=12), max_size=12))
def test_a_text_has_the_same_sketch_in_any_company(texts: list[str]) -> None:
    found = sketches_of(texts)
    assert found == [sketch(text) for text in texts]
    assert all(0 <= each < 1 << 2 * BITS for each in found)


def test_sketches_stay_what_they_are() -> None:
    """They are journalled: a version that computed others would not know again what was said before an update."""
    assert sketches_of(["多少钱", "how much is it", "包邮吗 😊"]) == [
        95603212262098,
        83064242282100,
        73012187523747,
    ]
