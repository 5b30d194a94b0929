"""What people read: the right words, in two languages, and nothing that a viewer smuggled in."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.alerts import DECIDED_AT, an_alert, question

from frontrow.core.alerts import LeadAlert, Reason
from frontrow.core.errors import SinkRefused
from frontrow_connectors.sinks.cards import (
    chips,
    cut,
    grade_word,
    harmless,
    how_long_ago,
    markdown_card,
    markdown_digest,
    masked,
    probability_text,
    room_link,
)

NOW = DECIDED_AT + 12_000


def card(
    alert: LeadAlert, *, language: str = "zh-CN", base_url: str = "https://front.example", size: int = 4_096
) -> str:
    return markdown_card(alert, language=language, base_url=base_url, now=NOW, max_bytes=size)


def digest(alerts: list[LeadAlert], *, language: str = "zh-CN", size: int = 4_096) -> str:
    return markdown_digest(
        alerts, language=language, base_url="https://front.example", now=NOW, max_bytes=size
    )


def rule(
    name: str, *, count: int | None = None, value: float | None = None, inferred: bool | None = None
) -> Reason:
    return Reason("rule", name, points=10, count=count, value=value, inferred=inferred)


# Chips


@pytest.mark.parametrize(
    ("reason", "zh", "en"),
    [
        (question(price=3), "问价×3", "asked price ×3"),
        (question(spec=1), "问规格", "asked specs"),
        (question(stock=1), "问库存", "asked stock"),
        (question(delivery=1), "问发货", "asked delivery"),
        (question(instalment=2), "问分期×2", "asked instalments ×2"),
        (question(warranty=1), "问售后", "asked warranty"),
        (question(buy=1), "问怎么买", "asked how to buy"),
        (question(discount=1), "问优惠", "asked discount"),
        (question(raffle=1), "问抽奖", "asked raffle"),
        (question(contact=1), "要联系方式", "asked for contact"),
        (rule("question", count=4), "提问×4", "asked ×4"),
        (rule("form_submit", count=1), "填了表单", "sent the form"),
        (rule("product_click"), "点链接", "clicked the link"),
        (rule("product_click", count=2), "点链接×2", "clicked the link ×2"),
        (rule("cart_add"), "加购", "added to cart"),
        (rule("raffle", count=1), "参与抽奖", "joined the raffle"),
        (rule("mention_host", count=1), "@主播", "@host"),
        (rule("comments", count=5), "发言5条", "5 comments"),
        (rule("watched", value=1_085.0), "停留18分", "stayed 18 min"),
        (rule("watched", value=1_085.0, inferred=True), "停留约18分", "stayed ~18 min"),
        (rule("watched", value=45.9), "停留45秒", "stayed 45 s"),
        (rule("phone"), "留了电话", "left a number"),
        (rule("company"), "公司职位", "company or position"),
        (rule("test_drive", count=2), "test＿drive×2", "test＿drive ×2"),
        (rule("product_click", count=5_000), "点链接×999+", "clicked the link ×999+"),
        (rule("watched", value=float("nan")), "watched", "watched"),
    ],
)
def test_every_rule_has_a_chip_in_both_languages(reason: Reason, zh: str, en: str) -> None:
    assert chips([reason], "zh-CN") == [zh]
    assert chips([reason], "en") == [en]


def test_the_three_chips_worth_most_are_shown_and_a_question_splits_by_what_was_asked() -> None:
    reasons = [
        Reason("rule", "mention_host", points=5, count=1),
        Reason("feature", "f_dwell", logit=3.2, value=1.0),
        question(spec=1, price=3),
        Reason("rule", "form_submit", points=50, count=1),
    ]
    assert chips(reasons, "zh-CN") == ["填了表单", "问价×3", "问规格"]


@pytest.mark.parametrize(
    ("probability", "zh", "en"),
    [
        (0.38, "成交概率 38%", "deal probability 38%"),
        (None, "成交概率：数据不足", "deal probability: not enough data"),
        (float("nan"), "成交概率：数据不足", "deal probability: not enough data"),
        (1.7, "成交概率：数据不足", "deal probability: not enough data"),
        (0.0, "成交概率 ＜1%", "deal probability ＜1%"),
        (1.0, "成交概率 ＞99%", "deal probability ＞99%"),
    ],
)
def test_a_probability_claims_no_more_than_the_model_knows(
    probability: float | None, zh: str, en: str
) -> None:
    assert probability_text(probability, "zh-CN") == zh
    assert probability_text(probability, "en") == en


@pytest.mark.parametrize(
    ("seconds", "zh", "en"),
    [
        (-90, "刚刚", "just now"),
        (4, "刚刚", "just now"),
        (59, "59秒前", "59 s ago"),
        (60, "1分钟前", "1 min ago"),
        (3_599, "59分钟前", "59 min ago"),
        (7_200, "2小时前", "2 h ago"),
        (200_000, "2天前", "2 d ago"),
    ],
)
def test_how_long_ago_is_said_in_the_largest_whole_unit(seconds: int, zh: str, en: str) -> None:
    at, now = DECIDED_AT, DECIDED_AT + seconds * 1_000
    assert how_long_ago(at, now, "zh-CN") == zh
    assert how_long_ago(at, now, "en") == en


def test_grades_have_words_and_a_new_grade_is_shown_harmless() -> None:
    assert [grade_word(grade, "zh-CN") for grade in ("hot", "warm", "cold")] == ["热", "温", "冷"]
    assert grade_word("hot", "en") == "hot"
    assert grade_word("<b>boiling", "en") == "＜b＞boiling"


# The card


def test_a_card_says_who_why_where_and_which_lead() -> None:
    text = card(an_alert("L-42", words="这款多少钱", product="SU7 Max"))
    assert text.splitlines() == [
        "🔥 热 **小＊＊花** · 92分 · 成交概率 38%",
        "> 理由：点链接 · 问价×3 · 停留18分",
        "> 直播间：[新车首发](https://front.example/host/demo)",
        "> 原话：「这款多少钱」",
        "> 商品：SU7 Max",
        "> 线索：`L-42` · 12秒前",
    ]


def test_a_card_in_english() -> None:
    text = card(an_alert("L-42", probability=None, words="how much"), language="en")
    assert text.splitlines() == [
        "🔥 hot **小＊＊花** · 92 points · deal probability: not enough data",
        "> Why: clicked the link · asked price ×3 · stayed 18 min",
        "> Room: [新车首发](https://front.example/host/demo)",
        "> Said: “how much”",
        "> Lead: `L-42` · 12 s ago",
    ]


def test_without_a_public_address_the_room_has_no_link() -> None:
    assert "> 直播间：新车首发" in card(an_alert(), base_url="").splitlines()
    assert room_link("https://front.example/", "直播 1)") == (
        "https://front.example/host/%E7%9B%B4%E6%92%AD%201%29"
    )


HOSTILE = [
    "[点我领奖](https://evil.example/x)",
    "<@all> <@zhangsan>",
    '<font color="info">官方</font>',
    "**粗** *斜* __底__ ~~删~~ `码`",
    "\n# 标题\n> 引用\n- 表\n1. 表",
    "![图](http://evil.example/a.png)",
    "https://evil.example/a?b=c www.evil.example evil.example",
    "\u202e反\u2066向\u200b零\ufeff宽",
    "\ud800 lone surrogate \x00\x07\x1b[31m",
    "\\[x\\](y) &lt;b&gt; &#91;",
    "weixin://dl/business javascript:alert(1) mailto:a@b.example",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_viewers_name_or_words_add_no_markup_link_mention_or_line(text: str) -> None:
    """The frame of a card is ours: whatever a viewer writes, the card's markup is that of a card without it."""
    plain = card(an_alert(name="甲", words="乙", product="丙", room_title="丁"))
    hostile = card(an_alert(name=text, words=text, product=text, room_title=text))
    markup = re.compile(r"[<>\[\]()*_`#@\\|~!&\n]")
    assert markup.findall(hostile) == markup.findall(plain)
    assert re.findall(r"[A-Za-z]+:\S", hostile.replace("https://front.example", "")) == []
    assert re.findall(r"\w\.[A-Za-z]", hostile.replace("https://front.example", "")) == []
    hostile.encode()  # nothing that UTF-8 cannot carry


@given(st.text(max_size=300))
def test_any_text_becomes_one_harmless_line(text: str) -> None:
    shown = harmless(text)
    assert not re.search(r"[<>\[\]()*_`#@\\|~!&{}\x00-\x1f\x7f\u2028\u2029\u202a-\u202e\u2066-\u2069]", shown)
    assert shown == shown.strip()
    shown.encode()


def test_an_emoji_of_several_parts_stays_whole() -> None:
    assert harmless("👩\u200d👧 好") == "👩\u200d👧 好"


@pytest.mark.parametrize(
    "number",
    [
        "13800138000",
        "138 0013 8000",
        "138-0013-8000",
        "+86 138 0013 8000",
        "１３８００１３８０００",
        "一三八零零一三八零零零",
        "幺三八零零幺三八零零零",
        "①③⑧⓪⓪①③⑧⓪⓪⓪",
        "1.3.8.0.0.1.3.8.0.0.0",
        "138\u200b0013\u200b8000",
        "(010) 8888 8888",
        "555-123-4567",
        "微信13800138000",
    ],
)
def test_numbers_that_reached_the_card_are_masked_again(number: str) -> None:
    text = card(an_alert(name=f"花{number}", words=f"打我电话 {number} 谢谢"))
    assert "****" in masked(harmless(number, hide_numbers=False)) or "＊＊＊＊" in text
    quoted = text.split("「")[1].split("」")[0]
    name = text.split("**")[1]
    for shown in (quoted, name):
        assert len(re.findall(r"[\d①-⑨⓪零一三八幺]", shown)) <= 5
    assert "谢谢" in quoted


@pytest.mark.parametrize(
    "text", ["1299元还是1399元", "要2件 170 60公斤", "2025年6月18日", "138****8000", "一千二百三十四"]
)
def test_prices_sizes_and_masked_numbers_are_left_alone(text: str) -> None:
    assert masked(text) == text


def test_titles_and_products_keep_their_digits() -> None:
    """No viewer writes them, and sales look a product up by its number."""
    text = card(an_alert(room_title="大促 2025-06-18", product="3721939123"))
    assert "大促 2025-06-18" in text and "3721939123" in text


# Limits


@pytest.mark.parametrize("size", [300, 600, 1_024, 4_096])
def test_a_card_fits_and_keeps_its_head_and_its_lead(size: int) -> None:
    long = "很长的话👩\u200d👧" * 400
    text = card(an_alert("L-42", name=long, words=long, product=long, room_title=long), size=size)
    assert len(text.encode()) <= size
    assert text.startswith("🔥 热 **") and text.splitlines()[-1] == "> 线索：`L-42` · 12秒前"
    assert text.count("](") == text.count("[") <= 1  # a link is whole or not there


@given(st.text(), st.integers(0, 60))
def test_cutting_never_breaks_a_character_and_never_exceeds_the_limit(text: str, limit: int) -> None:
    shown = cut(text, limit)
    assert len(shown.encode()) <= limit
    assert shown == text or (shown == "" and limit < 3) or (shown[-1] == "…" and text.startswith(shown[:-1]))


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("价格多少", 12, "价格多少"),
        ("价格多少", 11, "价格…"),
        ("价格多少", 8, "价…"),
        ("ab👩\u200d👧cd", 14, "ab…"),  # the family is not orphaned
        ("ab👍🏽cd", 11, "ab…"),  # nor does the thumb lose its skin
        ("a🇨🇳🇯🇵x", 16, "a🇨🇳…"),  # a flag is two halves
        ("ae\u0301\u0301\u0301x", 8, "a…"),
    ],
)
def test_what_is_seen_as_one_character_is_cut_before_or_behind(text: str, limit: int, expected: str) -> None:
    assert cut(text, limit) == expected


def test_a_lead_id_keeps_its_characters_and_stays_in_its_code_span() -> None:
    assert card(an_alert("a_b*c.d`[x](y)\nz")).splitlines()[-1] == "> 线索：`a_b*c.d[x](y) z` · 12秒前"


# The digest


def test_a_digest_says_how_many_and_names_the_hottest_first_with_their_leads() -> None:
    text = digest(
        [
            an_alert("L1", points=81, probability=0.2),
            an_alert("L2", points=90, probability=0.7, decided_at=DECIDED_AT - 60_000),
            an_alert("L3", grade="warm", points=60, probability=None),
        ]
    )
    assert text.splitlines() == [
        "**3 位高意向观众**",
        "1. 🔥 **小＊＊花** · 90分 · 70% · 点链接 · 问价×3 · 停留18分 · 1分钟前 · `L2`",
        "2. 🔥 **小＊＊花** · 81分 · 20% · 点链接 · 问价×3 · 停留18分 · 12秒前 · `L1`",
        "3. 🌤 **小＊＊花** · 60分 · 点链接 · 问价×3 · 停留18分 · 12秒前 · `L3`",
        "> 直播间：[新车首发](https://front.example/host/demo)",
    ]


def test_a_digest_of_several_rooms_names_them_and_links_each_once() -> None:
    text = digest(
        [
            an_alert("L1", room_id="a", room_title="甲"),
            an_alert("L2", room_id="b", room_title="乙"),
            an_alert("L3", room_id="a", room_title="甲"),
        ],
        language="en",
    )
    assert text.splitlines()[0] == "**3 viewers ready to buy**"
    assert text.count("/host/a)") == text.count("/host/b)") == 1
    assert re.search(r"· 乙 · .*`L2`", text)


def test_fifteen_leads_with_long_names_fit_into_one_message_and_none_is_left_out() -> None:
    alerts = [
        an_alert(
            f"lead-{number:032d}", name="很长的名字" * 20, room_id=f"room-{number}", room_title="标题" * 40
        )
        for number in range(15)
    ]
    text = digest(alerts)
    assert len(text.encode()) <= 4_096
    assert all(text.count(f"`{alert.lead}`") == 1 for alert in alerts)
    assert text.count("[") == text.count("](")


def test_a_digest_that_cannot_fit_is_refused_so_that_it_comes_again_in_halves() -> None:
    with pytest.raises(SinkRefused, match="15 leads do not fit"):
        digest([an_alert(f"L{number}") for number in range(15)], size=300)
