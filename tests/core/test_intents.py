"""What comments ask about: the default lexicon against labelled comments, and how terms are matched."""

import gzip
import random
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import opencc
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from frontrow.core import facts as fact
from frontrow.core.errors import ConfigError
from frontrow.core.intents import (
    Intent,
    Lexicon,
    LexiconInvalid,
    LexiconSource,
    Section,
    _Sides,
    detect_own_of_rooms,
    intent_names,
)
from frontrow.lexicon import load_lexicon
from tests.core.lexicons import default_lexicon, folding

FIXTURE = Path(__file__).parents[1] / "fixtures" / "intents.tsv"


@cache
def labelled() -> list[tuple[str, frozenset[str]]]:
    lines = FIXTURE.read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return [(text, frozenset() if labels == "-" else frozenset(labels.split(","))) for text, labels in pairs]


def detect(text: str) -> set[str]:
    return set(intent_names(default_lexicon().for_room().detect(text)))


# --- the default lexicon ---


def test_the_labelled_comments_are_many_and_four_in_ten_ask_nothing() -> None:
    comments = labelled()
    assert len(comments) >= 350
    assert len({text for text, _ in comments}) == len(comments)
    assert sum(not labels for _, labels in comments) >= 0.4 * len(comments)


# What was reached, less a little: an addition to the lexicon that makes an intent worse must be noticed.
@pytest.mark.parametrize(
    "intent", ["price", "discount", "spec", "stock", "delivery", "instalment", "warranty", "buy"]
)
def test_precision_and_recall_of_each_intent_stay_above_their_floor(intent: str) -> None:
    outcomes = Counter((intent in detect(text), intent in labels) for text, labels in labelled())
    right, wrong, missed = outcomes[True, True], outcomes[True, False], outcomes[False, True]
    assert right >= 15
    assert right / (right + wrong) >= 0.95, "precision"
    assert right / (right + missed) >= 0.95, "recall"


def test_ordinary_chat_is_no_product_question() -> None:
    taken = [text for text, labels in labelled() if not labels and detect(text)]
    assert taken == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("有优惠吗 多少钱", {"price", "discount"}),
        ("3号链接是什么材质的", {"spec"}),
        ("什么尺码", {"spec"}),
        ("抽奖抽奖", {"raffle"}),
        ("这个　多 少 钱？？", {"price"}),
        ("@主播 在吗", {"host"}),
        ("哈哈", set()),
        ("priceless", set()),
        ("多少", set()),
        ("多少人", set()),
    ],
)
def test_cases_that_were_decided(text: str, names: set[str]) -> None:
    assert detect(text) == names


@given(st.text())
def test_no_text_makes_it_fail(text: str) -> None:
    room = default_lexicon().for_room(host_aliases=["小雨"], raffle_words=["冲", "!join", "666"])
    assert 0 <= room.detect(text) < 1 << 12


UNSPACED = re.compile("(?<=[\u4e00-\u9fff])(?=[\u4e00-\u9fff])")


@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_spacing_width_and_characters_do_not_change_what_is_asked(index: int, chance: random.Random) -> None:
    text, _ = labelled()[index % len(labelled())]
    room = default_lexicon().for_room()
    expected = room.detect(text)
    spaced = UNSPACED.sub(lambda _: chance.choice(["", " ", "\u3000", "。", "\u200b", "~ "]), text)
    assert room.detect(spaced) == expected
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" and chance.random() < 0.5 else c for c in text)
    assert room.detect(wide) == expected
    assert room.detect(text.upper()) == expected


def test_every_sign_may_be_as_wide_as_an_ideograph() -> None:
    """A Chinese keyboard writes ｗｈａｔ＇ｓ with an apostrophe of its own."""
    room = default_lexicon().for_room()
    wide = {code: code + 0xFEE0 for code in range(ord("!"), ord("~") + 1)}
    changed = [text for text, _ in labelled() if room.detect(text.translate(wide)) != room.detect(text)]
    assert changed == []


def test_traditional_characters_do_not_change_what_is_asked() -> None:
    converter: Any = opencc.OpenCC("s2t")
    room = default_lexicon().for_room()
    changed = [text for text, _ in labelled() if room.detect(converter.convert(text)) != room.detect(text)]
    assert changed == []


def test_a_long_hostile_comment_takes_no_long_time() -> None:
    # Each of these is as long as a comment may be; the test's own timeout is the bound.
    for part in (
        "多少钱",
        "how much ",
        "适合",
        "呢亲",
        "有没有",
        "1 ",
        "please ",
        "? ",
        "@主播",
        "不" * 3,
        "价格",
        "a b ",
    ):
        text = (part * 4096)[:4096]
        default_lexicon().for_room(raffle_words=["666", "!join"]).detect(text)


# --- the room's words ---


@pytest.mark.parametrize(
    ("text", "mentions"),
    [
        ("@主播", True),
        ("@ 主播 在吗", True),
        ("＠主播", True),
        ("﹫主播", True),
        ("多少钱@主播", True),
        ("@主播你好", True),
        ("@host hi", True),
        ("@HOST", True),
        ("hey @host!", True),
        ("@小雨 你好", True),
        ("@小雨老师", True),
        ("@Rainy_Day hi", True),
        ("@rainyday", True),
        ("@hostess", False),
        ("@host2", False),
        ("me@host.com", False),
        ("@host.example", False),
        ("主播你好", False),
        ("host", False),
        ("@主播助理 在吗", False),
        ("@rainydays", False),
        ("@someone else", False),
        ("@", False),
    ],
)
def test_mentions_of_the_host(text: str, mentions: bool) -> None:
    room = default_lexicon().for_room(host_aliases=["小雨", "Rainy Day"])
    assert bool(room.detect(text) & Intent.HOST) is mentions


def test_only_the_words_that_a_room_names_join_its_raffle() -> None:
    named = default_lexicon().for_room(raffle_words=["抽奖"])
    assert named.detect("我要抽 獎！") & Intent.RAFFLE_WORD
    assert not default_lexicon().for_room().detect("抽奖抽奖") & Intent.RAFFLE_WORD


@pytest.mark.parametrize(
    ("word", "text", "joins"),
    [
        ("666", "666", True),
        ("666", " 666！", True),
        ("666", "666666", True),
        ("666", "６６６", True),
        ("666", "6666", False),
        ("1", "111", True),
        ("1", "1号链接", False),
        ("1", "13800138000", False),
        ("!join", "!join", True),
        ("!join", "!JOIN please", True),
        ("!join", "扣!join", True),
        ("!join", "join", False),
        ("!join", "!joined", False),
        ("Lucky Me", "i feel lucky  me", True),
        ("Lucky Me", "lucky men", False),
        ("冲", "冲冲冲", True),
        ("扣1", "扣 1", True),
    ],
)
def test_how_a_raffle_word_counts(word: str, text: str, joins: bool) -> None:
    assert bool(default_lexicon().for_room(raffle_words=[word]).detect(text) & Intent.RAFFLE_WORD) is joins


def test_empty_words_of_a_room_match_nothing() -> None:
    room = default_lexicon().for_room(host_aliases=["", " @ "], raffle_words=["", "  ", "？"])
    assert room.detect("@ someone 你好") == 0


# --- terms ---


def made_of(
    *terms: str, exclusions: list[str] | None = None, spellings: dict[str, list[str]] | None = None
) -> Lexicon:
    section = Section(terms=terms, exclusions=exclusions or [])
    source = LexiconSource(
        sections={"price": section}, spellings=spellings or {}, fillers=["呢", "please", "亲"]
    )
    return Lexicon(source, folding())


@pytest.mark.parametrize(
    ("term", "matching", "other"),
    [
        ("多少钱", ["这多少钱啊", "多 少 钱"], ["多少", "钱多少"]),
        ("how much", ["How   much is it", "so how,much"], ["show much", "how muchas"]),
        ("hm?", ["hm?", "hm ?", "Hm？"], ["hm", "hmm?"]),
        ("(有|还有)(货|现货)吗", ["还有货吗", "有现货吗"], ["有吗货"]),
        ("便宜(点|)吗", ["便宜吗", "便宜点吗"], ["便宜些吗"]),
        ("适合…斤", ["适合一百二十斤", "适合斤"], ["斤适合", "适合一二三四五六七八九十斤"]),
        ("do you have … left", ["do you have any of these left", "do you have left"], ["do you haves left"]),
        ("^价格$", ["价格", "价格呢", "亲价格？", "价 格 呢亲"], ["价格战", "好价格", "价格多少"]),
        ("^size$", ["size?", "Size please", "please size"], ["size matters", "nice size"]),
        ("多少$", ["卖多少呢"], ["多少人"]),
        ("s码", ["要s码的", "iphone s码", "S 码"], ["plus码", "xs码"]),
        ("120斤", ["120斤", "我120 斤"], ["1120斤"]),
        ("a(1|2)x(b|) c", ["a1xb c", "a2x c"], ["a1x b", "a3x c"]),
        ("(re|)stock", ["restock", "stock"], ["restocks"]),
        ("價錢", ["价钱", "價 錢"], ["价"]),
        ("多𠀀少", ["多𠀀少"], ["多少"]),
        ("加v", ["加v", "加 V abc123"], ["加vip"]),
    ],
)
def test_how_a_term_is_matched(term: str, matching: list[str], other: list[str]) -> None:
    lexicon = made_of(term)
    assert [text for text in matching if not lexicon.detect(text)] == []
    assert [text for text in other if lexicon.detect(text)] == []


def test_a_term_of_very_many_spellings_is_matched_like_one_of_few() -> None:
    letters = "甲乙丙丁戊己庚辛壬癸"
    group = f"({'|'.join(letters)})"
    lexicon = made_of(f"看{group * 4}(完|)吗$")
    assert lexicon.detect("看甲癸丁己吗呢") and lexicon.detect("看丁丁丁丁完吗")
    assert not lexicon.detect("看甲癸丁吗") and not lexicon.detect("看甲癸丁己吗你")
    assert lexicon.size < 10_000
    words = made_of("(what|which|some|any) " + "(a|b|c|d|e|f|g|h) " * 3 + "(size|sizes) (left|)")
    assert words.detect("Which a  b, c size?") and words.detect("any h h h sizes left")
    assert not words.detect("which a b size") and not words.detect("any h h h sizess")


@given(
    st.lists(
        st.sampled_from(["亲", "宝", "宝宝", "宝贝", "号链接", "链接", "号", "在吗", "嘎"]), max_size=12
    ).map("".join)
)
def test_fillers_are_read_once_and_as_if_each_place_were_asked_alone(form: str) -> None:
    one = "宝宝|宝贝|号链接|链接|亲|宝|号"
    sides = _Sides(form, re.compile(one), 3)
    some = re.compile(f"(?:{one})*+")
    for place in [*range(len(form) + 1), *range(len(form), -1, -1)]:
        assert sides.only_fillers_before(place) is (some.fullmatch(form, 0, place) is not None)
        assert sides.only_fillers_after(place) is (some.fullmatch(form, place) is not None)


@pytest.mark.parametrize("text", ["链接", "价格 a ", "一个月赚多少钱", "how much longer "])
def test_a_comment_full_of_hits_takes_no_long_time(text: str) -> None:
    # As long as a comment may be, a hundred times over; the test's own timeout is the bound.
    room = default_lexicon().for_room(host_aliases=["小雨"], raffle_words=["券"])
    for end in ("嘎", " zzz"):
        for _ in range(50):
            room.detect((text * 4096)[:4090] + end)


def test_a_term_does_not_count_inside_an_excluded_phrase_but_beside_it() -> None:
    lexicon = made_of("多少钱", "how much", exclusions=["赚多少钱", "how much longer", "工资…多少钱"])
    assert not lexicon.detect("你赚多少钱")
    assert not lexicon.detect("工资一个月多少钱")
    assert lexicon.detect("你赚多少钱 这个多少钱")
    assert not lexicon.detect("how much longer?")
    assert lexicon.detect("how much longer and how much is it")


def test_an_exclusion_of_one_intent_leaves_the_others() -> None:
    source = LexiconSource(
        sections={
            "price": Section(terms=["运费"], exclusions=["运费险"]),
            "delivery": Section(terms=["运费"]),
        }
    )
    assert Lexicon(source, folding()).detect("有运费险吗") == Intent.DELIVERY


def test_every_term_matches_in_the_other_spellings_of_its_words() -> None:
    lexicon = made_of("优惠券怎么领", spellings={"优惠": ["忧惠"], "优惠券": ["优惠卷"], "怎么": ["咋"]})
    for text in ("优惠券怎么领", "优惠卷咋领", "忧惠券咋领"):
        assert lexicon.detect(text)
    assert not lexicon.detect("券咋领")
    # A Chinese word can be typed in letters alone, and is then found among words.
    assert made_of("价格", spellings={"价格": ["jiage"]}).detect("jiage?")


@pytest.mark.parametrize(
    "term",
    ["", "？", "(多少", "多少)", "a|b", "123", "钱", "多$少", "…", "(" * 20 + "多少" + ")" * 20, "(|)"],
)
def test_a_term_that_cannot_work_is_refused_with_a_reason(term: str) -> None:
    with pytest.raises(LexiconInvalid) as caught:
        made_of("多少钱", term)
    assert list(caught.value.reasons) == [term]
    assert caught.value.reasons[term]


def test_an_empty_lexicon_finds_nothing() -> None:
    empty = Lexicon(LexiconSource(sections={}), folding())
    assert empty.detect("多少钱 how much") == 0
    assert empty.detect_many(["多少钱", "how much"] * 16) == [0] * 32
    assert empty.detect_many([]) == []


# What chat is made of, and what could make two texts run together.
CHAT = st.lists(
    st.sampled_from([
        "多少钱", "一个月赚", "how much", " longer", "size", "^", "？", "?", " ", "\0", "\n", "'", "’", "价格", "呢", "亲", "please",
        "加 V", "ab", "1", "码", "xl", "🪟", "💰", "價", "，", "café", "ｈｏｗ", "\udc00", "𠀀",
    ]),
    max_size=6,
).map("".join)  # fmt: skip


@given(st.lists(CHAT | st.text(max_size=20), max_size=12))
def test_texts_looked_through_together_mean_what_each_means_alone(texts: list[str]) -> None:
    lexicon = default_lexicon()
    texts = texts + [f"{text}{number}" for number in range(8) for text in ("好看", "nice ")]
    assert lexicon.detect_many(texts) == [lexicon.detect(text) for text in texts]


# Terms of which strings are searched for that have no character of their form's scripts.
@given(
    st.lists(st.lists(st.sampled_from(["iphone", "苹果", "price", "多少", "5", "6", " ", "🎉"])).map("".join))
)
@example(["iphone price🎉", "5 6🎉", "5 6", "iphone price", "苹果🎉 price"])
def test_a_form_that_a_text_alone_does_not_have_is_not_read_among_many_either(texts: list[str]) -> None:
    lexicon = made_of("(iphone|苹果)…(price|多少)", "5…6", "、ab")
    texts = texts + ["、ab🎉", "ab🎉", "ab", "ab多"] * 4
    assert lexicon.detect_many(texts) == [lexicon.detect(text) for text in texts]


@given(st.lists(CHAT | st.sampled_from(["@多少", "＠主播", "﹫ 主播", "a@host"]) | st.text(max_size=20)))
def test_a_room_s_own_words_are_the_same_in_many_texts(texts: list[str]) -> None:
    lexicon = default_lexicon()
    rooms = [
        lexicon.for_room(host_aliases=["多少"], raffle_words=words) for words in ([], ["价格", "1", "ab"])
    ]
    rooms += [lexicon.for_room(host_aliases=["主播"]), lexicon.for_room()]
    written = {room: texts[place:] for place, room in enumerate(rooms)}
    own = {
        room: masks
        for room, some in written.items()
        if (masks := {text: mask for text in some if (mask := room.detect_own(text))})
    }
    assert detect_own_of_rooms(written) == own


@given(CHAT | st.text(max_size=20))
def test_a_room_s_own_words_and_its_lexicon_are_all_that_it_detects(text: str) -> None:
    room = default_lexicon().for_room(host_aliases=["多少"], raffle_words=["价格", "1", "ab"])
    assert room.detect(text) == room.lexicon.detect(text) | room.detect_own(text)


# --- files ---


def test_a_file_of_ones_own_adds_terms_and_takes_others_out(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(
        '[lexicon]\nversion = "shop-7"\n[price]\nzh = ["几个大洋"]\nremove = ["dsq"]\nnot = ["要几个大洋洲"]\n'
        '[host]\naliases = ["掌柜"]\n[homophones]\n"大洋" = ["大羊"]\n[characters]\n"🪙" = "钱"\n',
        encoding="utf-8",
    )
    lexicon = load_lexicon([mine])
    assert lexicon.detect("这个几个大羊") & Intent.PRICE
    assert not lexicon.detect("要几个大洋洲")
    assert not lexicon.detect("dsq") and default_lexicon().detect("dsq")
    assert lexicon.detect("多少🪙") & Intent.PRICE
    assert (
        lexicon.for_room().detect("@掌柜") & Intent.HOST and lexicon.for_room().detect("@主播") & Intent.HOST
    )
    assert "shop-7" in lexicon.version


def test_the_version_names_the_words() -> None:
    assert load_lexicon().version == default_lexicon().version
    assert re.fullmatch(r"1\+[0-9a-f]{12}", default_lexicon().version)


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    broken, wrong = tmp_path / "broken.toml", tmp_path / "wrong.toml"
    broken.write_text("[price]\nzh = [\n", encoding="utf-8")
    wrong.write_text(
        '[prices]\nzh = ["多少"]\n[price]\nzh = ["(多少", 7]\nen = "how much"\nnots = []\nremove = ["多少錢啊"]\n'
        '[lexicon]\nformat = 2\n[characters]\n"ab" = "c"\n',
        encoding="utf-8",
    )
    with pytest.raises(ConfigError) as caught:
        load_lexicon([broken, wrong, tmp_path / "missing.toml"])
    told = {(Path(mistake.file).name, mistake.key): mistake for mistake in caught.value.mistakes}
    assert set(told) == {
        ("broken.toml", ""),
        ("wrong.toml", "prices"),
        ("wrong.toml", "price.zh[0]"),
        ("wrong.toml", "price.zh[1]"),
        ("wrong.toml", "price.en"),
        ("wrong.toml", "price.nots"),
        ("wrong.toml", "price.remove[0]"),
        ("wrong.toml", "lexicon.format"),
        ("wrong.toml", "characters.ab"),
        ("missing.toml", ""),
    }
    assert told["wrong.toml", "prices"].hint == "price"
    assert told["wrong.toml", "price.nots"].hint == "not"
    assert told["broken.toml", ""].line > 0


# --- real chat ---


@pytest.mark.recordings
def test_few_comments_of_recorded_chat_are_taken_for_product_questions(recordings: Path) -> None:
    # Rooms that sell nothing: what is found there is a false alarm, a joke, or a question about a game.
    for folder, most in (("twitch", 0.0015), ("bilibili", 0.003)):
        comments = [
            text for path in sorted((recordings / "streams" / folder).glob("*.gz")) for text in texts_of(path)
        ]
        room = default_lexicon().for_room()
        asked = sum(room.detect(text) & fact.QUESTION != 0 for text in comments)
        assert len(comments) > 5_000
        assert asked <= most * len(comments), (folder, asked, len(comments))


def texts_of(path: Path) -> list[str]:
    with gzip.open(path) as lines:
        events = [msgspec.json.decode(line) for line in lines]
    return [event["text"] for event in events if event["kind"] == "comment"]
