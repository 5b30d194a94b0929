"""Contact data: found where it is real, masked wherever it is shown, gone where it may not stay."""

import re
from typing import Any

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.core.contact import (
    PhoneFinding,
    find_phone,
    form_facts,
    mask_name,
    mask_numbers,
    redact_fields,
    redact_text,
)

VALID = PhoneFinding(True, "+8613800138000")
UNLIKELY = PhoneFinding(False, None)

SPELLINGS = [
    "13800138000",
    "138 0013 8000",
    "138-0013-8000",
    "138_0013_8000",
    "1.3.8.0.0.1.3.8.0.0.0",
    "１３８００１３８０００",
    "①③⑧⓪⓪①③⑧⓪⓪⓪",
    "❶❸❽⓿⓿❶❸❽⓿⓿⓿",
    "1️⃣3️⃣8️⃣0️⃣0️⃣1️⃣3️⃣8️⃣0️⃣0️⃣0️⃣",
    "一三八零零一三八零零零",
    "幺三八〇〇幺三八〇〇〇",
    "壹叁捌零零壹叁捌零零零",
    "138OO138OOO",
    "+86 138 0013 8000",
    "+8613800138000",
    "0086 13800138000",
    "8613800138000",
    "138 🌸 0013 🌸 8000",
    "𝟏𝟑𝟖𝟎𝟎𝟏𝟑𝟖𝟎𝟎𝟎",
]


@pytest.mark.parametrize("number", SPELLINGS)
@pytest.mark.parametrize("around", ["{}", "我的电话{}", "打{}找我", "call {} pls", "扣1 {}"])
def test_a_mobile_is_found_however_it_is_spelt(number: str, around: str) -> None:
    assert find_phone(around.format(number)) == VALID


@pytest.mark.parametrize(
    "text",
    ["12345678901", "10000000000", "138001380001", "2026-01-01 12:30:00", "99999999999", "价格1999 2999"],
)
def test_digits_that_no_plan_has_are_no_valid_number(text: str) -> None:
    assert find_phone(text) == UNLIKELY


@pytest.mark.parametrize("text", ["", "多少钱", "1999", "666", "一二三", "138公里0013块8000米", "3号链接"])
def test_ordinary_comments_have_no_number(text: str) -> None:
    assert find_phone(text) is None


def test_a_landline_counts_in_a_form_only() -> None:
    assert find_phone("0755-26778888") == UNLIKELY
    assert find_phone("0755-26778888", landlines=True) == PhoneFinding(True, "+8675526778888")
    assert form_facts({"联系电话": "0755-26778888"}).phone == PhoneFinding(True, "+8675526778888")
    assert form_facts({"备注": "0755-26778888"}).phone == UNLIKELY


def test_the_region_says_where_a_number_is_dialled_from() -> None:
    assert find_phone("415 555 2671", "US") == PhoneFinding(True, "+14155552671")
    assert find_phone("415 555 2671", "CN") == UNLIKELY
    assert find_phone("+1 415 555 2671", "CN") == PhoneFinding(True, "+14155552671")


@pytest.mark.parametrize(
    ("fields", "phone", "company"),
    [
        ({"phone": "13800138000"}, VALID, False),
        ({"phone": "138 0013 8000", "company": "某某公司"}, VALID, True),
        ({"phone": 13800138000}, VALID, False),
        ({"phone": 13800138000.0}, VALID, False),
        ({"phone": ["无", "13800138000"]}, VALID, False),
        ({"phone": "12345678901"}, UNLIKELY, False),
        ({"phone": "123"}, UNLIKELY, False),
        ({"phone": "无"}, None, False),
        ({"phone": True, "tel": None}, None, False),
        ({"您的手机号码": "13800138000"}, VALID, False),
        ({"聯絡方式": "13800138000"}, VALID, False),
        ({"contactPhone": "13800138000"}, VALID, False),
        ({"TELPHONE": "13800138000"}, VALID, False),
        ({"q7": "我的是13800138000"}, VALID, False),
        ({"tel": "12345678901", "mobile": "13800138000"}, VALID, False),
        ({"company": "Example Ltd"}, None, True),
        ({"companyName": "Example Ltd"}, None, True),
        ({"公司名称": "某某科技"}, None, True),
        ({"职位": "采购经理"}, None, True),
        ({"job_title": "CEO"}, None, True),
        ({"position": "buyer"}, None, True),
        ({"单位": "第三中学"}, None, True),
        ({"company": "无"}, None, False),
        ({"company": "N/A", "title": "-"}, None, False),
        ({"company": "  ", "职位": "暂无"}, None, False),
        ({"company": "123"}, None, False),
        ({"company": "aaaa"}, None, False),
        ({"company": None, "position": {}}, None, False),
        ({"headphones": "yes", "companion": "Lily"}, None, False),
        ({}, None, False),
    ],
)
def test_what_a_form_says(fields: dict[str, Any], phone: PhoneFinding | None, company: bool) -> None:
    found = form_facts(fields)
    assert (found.phone, found.company) == (phone, company)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("13800138000", "138****8000"),
        ("我的电话 138 0013 8000 谢谢", "我的电话 138****8000 谢谢"),
        ("一三八零零一三八零零零", "138****8000"),
        ("+86 138-0013-8000", "+86 138****8000"),
        ("扣1 13800138000", "扣1 138****8000"),
        ("13800138000 13900139000", "138****8000 139****9000"),
        ("010-88888888", "010****8888"),
        ("2677888", "2****88"),
        ("加v abc12345", "加v ab****"),
        ("微信号：zhang_san88 找我", "微信号：zh**** 找我"),
        ("VX是wx_abc123", "VX是wx****"),
        ("qq 123456", "qq 12****"),
        ("TELEGRAM abcdef", "TELEGRAM ab****"),
        ("微xin：zhang_san", "微xin：zh****"),
        ("mail me a.b@example.com", "mail me a***@***"),
        ("line id: lisa_123", "line id: li****"),
        # not contact data
        ("多少钱", "多少钱"),
        ("666666666", "666666666"),
        ("2026-01-01 12:30:00", "2026-01-01 12:30:00"),
        ("10 9 8 7 6 5 4 3 2 1", "10 9 8 7 6 5 4 3 2 1"),
        ("160 165 170 175 的码", "160 165 170 175 的码"),
        ("1999 2999 3999", "1999 2999 3999"),
        ("一二三四五六七八", "一二三四五六七八"),
        ("我用微信支付的", "我用微信支付的"),
        ("view this video", "view this video"),
        ("@host hi", "@host hi"),
        ("", ""),
    ],
)
def test_what_is_shown_of_contact_data(text: str, masked: str) -> None:
    assert mask_numbers(text) == masked


@pytest.mark.parametrize("number", SPELLINGS)
def test_no_spelling_escapes_the_mask_or_the_redaction(number: str) -> None:
    masked = mask_numbers(f"电话{number}谢谢")
    assert "138****8000" in masked and find_phone(masked) is None
    assert redact_text(f"电话{number}谢谢") == "电话***谢谢"


DIGITS = ["0123456789", "０１２３４５６７８９", "〇一二三四五六七八九", "⓪①②③④⑤⑥⑦⑧⑨"]
MOBILES = st.from_regex(r"1(3[0-9]|5[0-35-9]|8[0-9])[0-9]{8}", fullmatch=True).filter(
    lambda digits: phonenumbers.is_valid_number(phonenumbers.parse(digits, "CN"))
)


@given(
    MOBILES,
    st.sampled_from(DIGITS),
    st.sampled_from(["", " ", "-", ".", " - ", "\u3000", "/"]),
    st.sampled_from(["", "+86", "+86 ", "0086", "86-"]),
    st.text(max_size=12),
    st.text(max_size=12),
)
def test_masking_leaves_no_number_that_can_be_found(
    mobile: str, digits: str, between: str, prefix: str, before: str, after: str
) -> None:
    spelt = between.join(digits[int(digit)] for digit in mobile)
    text = f"{before} {prefix}{spelt} {after}"
    for shown in (mask_numbers(text), redact_text(text)):
        plain = shown.translate(str.maketrans("".join(DIGITS), "0123456789" * len(DIGITS)))
        found = {match.number.national_number for match in phonenumbers.PhoneNumberMatcher(plain, "CN")}
        assert int(mobile) not in found
        assert mobile not in re.sub(r"[\W_]", "", plain)


@given(st.text())
def test_no_text_makes_any_of_it_fail_and_a_mask_is_masked_once(text: str) -> None:
    find_phone(text)
    find_phone(text, "US", landlines=True)
    masked = mask_numbers(text)
    assert mask_numbers(masked) == masked
    redacted = redact_text(text)
    assert redact_text(redacted) == redacted
    assert len(mask_name(text)) <= 3


LOOKING_LIKE_NUMBERS = st.text(alphabet="0123456789１３八零①oO +-_.@vxabcqw微信加：\ufe0f\u20e3", max_size=60)


@given(LOOKING_LIKE_NUMBERS)
def test_what_looks_like_numbers_does_not_fail_either(text: str) -> None:
    test_no_text_makes_any_of_it_fail_and_a_mask_is_masked_once.hypothesis.inner_test(text)  # type: ignore[attr-defined]  # Hypothesis keeps the plain function there


def test_a_hostile_comment_takes_no_long_time() -> None:
    # As long as a comment may be; the test's own timeout is the bound.
    for part in ("1 ", "1", "一 ", "a@a.", "wx ", "1o", "+1 ", "13800138000 ", "微信号：", "ab1 "):
        text = (part * 4096)[:4096]
        find_phone(text)
        mask_numbers(text)
        redact_text(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON))
def test_no_form_makes_it_fail(fields: dict[str, Any]) -> None:
    form_facts(fields)
    assert redact_fields(fields, True).keys() == fields.keys()
    assert set(redact_fields(fields, None)) == {redact_text(key) for key in fields}


def test_a_form_is_kept_whole_with_consent_only() -> None:
    fields: dict[str, Any] = {
        "name": "王小雨",
        "phone": "13800138000",
        "company": "某某公司",
        "e-mail": "a@example.com",
        "微信号": "zhangsan",
        "备注": "打我电话 138 0013 8000",
        "more": {"tel": 13800138000, "notes": ["call 13800138000", 3, None, True]},
        "number": 13800138000,
        "size": 42,
    }
    assert redact_fields(fields, True) == fields
    kept = {
        "name": "王小雨",
        "phone": "***",
        "company": "某某公司",
        "e-mail": "***",
        "微信号": "***",
        "备注": "打我电话 ***",
        "more": {"tel": "***", "notes": ["call ***", 3, None, True]},
        "number": "***",
        "size": 42,
    }
    assert redact_fields(fields, None) == redact_fields(fields, False) == kept
    assert fields["phone"] == "13800138000"


def test_a_form_nested_without_end_is_not_walked() -> None:
    fields: dict[str, Any] = {}
    for _ in range(10_000):
        fields = {"more": fields}
    assert "***" in str(redact_fields(fields, None))
    form_facts(fields)


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("王小雨", "王**"),
        ("Alice", "A**"),
        ("李", "**"),
        ("", ""),
        ("  ", ""),
        ("13800138000", "1**"),
        ("\u200bab", "**"),
    ],
)
def test_a_name_is_shown_by_its_first_character(name: str, masked: str) -> None:
    assert mask_name(name) == masked
