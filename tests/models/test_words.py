"""Every reason has words: a host who reads a raw column name has been told nothing."""

import math

import pytest

from frontrow.core.features import NAMES
from frontrow_models import words
from frontrow_models.words import INTERCEPT, LANGUAGES, patterns, phrase


@pytest.mark.parametrize("name", NAMES)
def test_every_feature_says_what_was_and_what_was_not_in_both_languages(name: str) -> None:
    said = [phrase(name, value, language) for language in LANGUAGES for value in (0.0, math.log1p(7))]
    assert len(set(said)) == 4
    for text in said:
        assert text == text.strip() and "{" not in text and "_" not in text
    chinese, english = said[:2], said[2:]
    assert all(any("\u4e00" <= letter <= "\u9fff" for letter in text) for text in chinese)
    assert all(text.isascii() for text in english)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_two_features_are_told_apart_by_nothing(language: words.Language) -> None:
    assert len({patterns(name, language)[0] for name in NAMES}) == len(NAMES)
    assert INTERCEPT[language]


def test_counts_are_told_back_from_the_logarithm_and_faded_ones_as_none() -> None:
    assert phrase("clicks_5m", math.log1p(1.2), "en") == (
        "about 1 click on the purchase link in the last few minutes"
    )
    assert phrase("clicks_5m", math.log1p(2.4), "en").startswith("about 2 clicks")
    assert phrase("clicks_5m", math.log1p(0.3), "en").startswith("no clicks")
    assert phrase("clicks_5m", math.log1p(2.4), "zh-CN") == "最近几分钟点购买链接约 2 次"
    assert phrase("games_5m", math.log1p(1), "en").startswith("about 1 raffle entry or")
    assert phrase("watched_min", math.log1p(12_345), "en").startswith("watched for about 12,345 minutes")
    assert phrase("same_words", math.log1p(3), "en") == "says the same as 3 others"
    assert phrase("same_words", 0.0, "zh-CN") == "没有人说同样的话"


def test_words_for_what_is_no_feature_are_refused() -> None:
    with pytest.raises(KeyError):
        phrase("hovers_5m", 1.0, "en")


def test_there_are_no_words_for_features_that_are_gone() -> None:
    counted = {name.rpartition("_")[0] for name in NAMES}
    assert set(words._COUNTED) <= counted and set(words._STANDING) <= set(NAMES)
