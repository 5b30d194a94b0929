"""Contact data in comments and forms: finding it, masking it where it is shown, taking it out where it may not stay.

Finding is careful, masking is greedy. A number counts only if a numbering plan has it; whatever looks like one is
masked, because a shown number is a harm and a masked price list is not.

Viewers spell numbers so that platforms do not see them: with spaces, dashes or emoji between, full-width, circled, in
Chinese numerals (一三八…, 幺 for 1), with O for 0. All of these are read. A number with words between its digits is
not.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from frontrow.core.automaton import Sieve
from frontrow.core.phones import valid_e164

_CHINESE_DIGITS = dict(
    zip("〇零一二三四五六七八九幺壹贰叁肆伍陆柒捌玖貳參陸兩", "0012345678911234567892362", strict=True)
)


# Digits that are digits to Unicode and yet no decimals to `re`: superscripts, subscripts, circled ones and their kin.
_DECORATED: tuple[tuple[int, int], ...] = ((0xB2, 0xBA), (0x2070, 0x208A), (0x2460, 0x2500), (0x2776, 0x2794))
_DECORATED += ((0x1F100, 0x1F10B),)


def _digit_characters() -> dict[str, str]:
    """Return every way of writing a digit but the decimals that ``\\d`` knows, with the digit."""
    characters = [chr(code) for from_, to in _DECORATED for code in range(from_, to)]
    digits = {character: unicodedata.digit(character, -1) for character in characters}
    return {character: str(digit) for character, digit in digits.items() if digit >= 0} | _CHINESE_DIGITS


_DIGITS = _digit_characters()
_ALL_DIGITS = rf"\d{''.join(_DIGITS)}"
_DIGIT = f"[{_ALL_DIGITS}]"
_READ = str.maketrans(_DIGITS | {"O": "0", "o": "0"})

# Seven digits or more, at most three marks (spaces, dashes, dots, emoji, keycaps) between two of them. No digit is a
# mark and no mark a digit, so the search is linear. An O stands for 0 only right after a digit.
_RUN = re.compile(
    rf"(?:\+[\W_]{{0,2}})?{_DIGIT}(?:[\W_]{{0,3}}{_DIGIT}|[oO](?![a-np-zA-NP-Z])){{6,}}[\ufe0f\u20e3]*"
)
# What every run begins with. The search for it passes over other texts four times as fast: it begins with one
# character of a class, which need not be tried in several ways.
_RUN_BEGINS = re.compile(rf"{_DIGIT}[{_ALL_DIGITS}oO\W_]{{6}}")
_ASCII_RUN_BEGINS = re.compile(r"[0-9][0-9oO\W_]{6}", re.ASCII)
_CHINA_MOBILE = re.compile(r"(?=(1[3-9]\d{9}))")  # overlapping ones too
_LONG_ENOUGH = 7  # no number that can be called is shorter, short codes aside

# A number is read out of a run by its groups; a hostile comment must not make that a long search.
_MAX_TRIES = 24
_MAX_DIGITS = 15  # ITU-T E.164, section 6
_MAX_GROUPS = 40
_MAX_DEPTH = 16  # of a form's fields


@dataclass(frozen=True, slots=True)
class PhoneFinding:
    """What was found where a number was looked for.

    ``valid``: a numbering plan has it; then ``e164`` is ``+`` and digits. Otherwise it only looked like a number and
    ``e164`` is None.
    """

    valid: bool
    e164: str | None


@dataclass(frozen=True, slots=True)
class FormFacts:
    """What a form says of its sender: the number, if a field has anything like one, and whether company or position
    is given."""

    phone: PhoneFinding | None
    company: bool


def find_phone(text: str, region: str = "CN", *, landlines: bool = False) -> PhoneFinding | None:
    """Return the first valid number in ``text``, else that something looked like one, else None.

    ``region`` is where a number without a country's code is dialled from. Without ``landlines`` a number without such a
    code counts only if it can be a mobile's: comments are full of numbers. An ordinary comment costs one search.
    """
    if not _may_hold_run(text):
        return None
    seen = False
    for match in _RUN.finditer(text):
        seen = True
        for digits in _readings(match.group()):
            e164 = valid_e164(digits, region, landlines=landlines)
            if e164 is not None:
                return PhoneFinding(True, e164)
    return PhoneFinding(False, None) if seen else None


def form_facts(fields: Mapping[str, Any], region: str = "CN") -> FormFacts:
    """Return what a form's fields say; keys in Chinese or English, in any spelling (``companyName``, 您的手机号).

    In a field for numbers landlines count too; in any other field only what would count in a comment.
    """
    phone: PhoneFinding | None = None
    company = False
    for key, value in fields.items():
        text = _as_text(value)
        if not text:
            continue
        what = _field_kind(str(key))
        if what == "company":
            company = company or _says_something(text)
        found = find_phone(text, region, landlines=what == "phone")
        if found is None and what == "phone" and _says_something(text, digits=True):
            found = PhoneFinding(False, None)
        if found is not None and (phone is None or found.valid > phone.valid):
            phone = found
    return FormFacts(phone, company)


def mask_numbers(text: str) -> str:
    """Return ``text`` with numbers, e-mail addresses and WeChat or QQ ids masked, for showing.

    A number keeps its first three and last four digits (138****8000), a shorter one fewer, so that at least four are
    always hidden. Masking a masked text changes nothing.
    """
    if "@" in text:
        text = _EMAIL.sub(lambda match: f"{match.group(1)}***@***", text)
    if _may_hold_account(text):
        text = _ACCOUNT.sub(lambda match: f"{match.group(1)}{match.group(2)[:2]}****", text)
    return _RUN.sub(_mask_run, text) if _may_hold_run(text) else text


def mask_name(name: str) -> str:
    """Return a name's first character and ``**``, whatever its length; nothing of a name of one character."""
    shown = name.strip()
    if not shown:
        return ""
    return f"{shown[0]}**" if len(shown) > 1 and shown[0].isprintable() else "**"


def redact_text(text: str) -> str:
    """Return ``text`` without the numbers, addresses and ids that may be kept only with consent.

    What :func:`mask_numbers` would mask is gone whole: ``***`` stands in its place.
    """
    if "@" in text:
        text = _EMAIL.sub("***", text)
    if _may_hold_account(text):
        text = _ACCOUNT.sub(r"\1***", text)
    return _RUN.sub(_redact_run, text) if _may_hold_run(text) else text


def suspects(texts: Sequence[str | None]) -> list[int]:
    """Return the positions of the texts that may hold contact data, in order; some of them hold none, and None never does.

    For every other text :func:`find_phone` returns None, with and without landlines, and :func:`redact_text` and
    :func:`mask_numbers` the text itself. Looked through together, texts cost a tenth of being asked one by one.
    """
    if len(texts) < _MANY:
        return [position for position, text in enumerate(texts) if text and _may_hold_anything(text)]
    return _CLUES.sift(texts)


def redact_fields(fields: Mapping[str, Any], consent: bool | None) -> dict[str, Any]:
    """Return a form's fields as they may be kept: all of them with consent, else without contact data.

    Without consent (None is no consent) the values of fields for numbers, addresses, accounts and identity papers
    become ``***``, and what looks like contact data goes from all other values, however deep. ``fields`` stays as it
    is.
    """
    if consent:
        return dict(fields)
    return {
        redact_text(str(key)): _redacted(value, private=_is_private(str(key)))
        for key, value in fields.items()
    }


def redact_label(text: str, region: str = "CN") -> str:
    """Return a product, gift, host or other label without a number that can be called; ids of things stay as they are."""
    found = find_phone(text, region)
    return redact_text(text) if found is not None and found.valid else text


def redact_extra(extra: Mapping[str, Any], region: str = "CN") -> dict[str, Any]:
    """Return a platform's own fields as they may be kept: without values named as contact data and without numbers
    that can be called.

    Greedier redaction would destroy the ids of rooms, gifts and messages, which are what these fields are kept for.
    """
    return {
        redact_label(str(key), region): _without_numbers(value, region, private=_is_private(str(key)))
        for key, value in extra.items()
    }


def _without_numbers(value: Any, region: str, *, private: bool, depth: int = 0) -> Any:
    if depth > _MAX_DEPTH:
        return value  # the caller has bounded the depth of what is stored; ids lie near the top
    if isinstance(value, dict):
        return {
            key: _without_numbers(part, region, private=private or _is_private(str(key)), depth=depth + 1)
            for key, part in value.items()
        }
    if isinstance(value, list):
        return [_without_numbers(part, region, private=private, depth=depth + 1) for part in value]
    if value is None or isinstance(value, bool):
        return value
    if private:
        return "***"
    found = find_phone(str(value), region) if isinstance(value, (str, int)) else None
    if found is None or not found.valid:
        return value
    return redact_text(value) if isinstance(value, str) else "***"


# --- reading a run of digits ---


def _readings(run: str) -> Iterator[str]:
    """Give the ways in which a run of digits can be one number, the likeliest first, at most :data:`_MAX_TRIES`."""
    plus = "+" if run.startswith("+") else ""
    groups = [_digits_of(group) for group in re.split(r"[\W_]+", run)]
    groups = [group for group in groups if group][:_MAX_GROUPS]
    whole = "".join(groups)
    given: set[str] = set()
    candidates = [plus + whole]
    # 扣1 138 0013 8000: the number is some of the groups, from any to any.
    spans = [(from_, to) for from_ in range(len(groups)) for to in range(from_ + 1, len(groups) + 1)]
    joined = ["".join(groups[from_:to]) for from_, to in spans]
    candidates += [digits for digits in joined if len(digits) == 11 and _CHINA_MOBILE.match(digits)]
    candidates += sorted(joined, key=len, reverse=True)
    for candidate in candidates:
        if candidate in given or not _LONG_ENOUGH <= len(candidate.lstrip("+")) <= _MAX_DIGITS:
            continue
        given.add(candidate)
        yield candidate
        if len(given) >= _MAX_TRIES:
            return


def _digits_of(run: str) -> str:
    # int() reads every script's decimal digits, which str.translate's table names only in part.
    read = run.translate(_READ)
    if read.isascii():
        return "".join(character for character in read if character.isdigit())
    return "".join(str(int(character)) for character in read if character.isdecimal())


# --- masking ---

_EMAIL = re.compile(r"\b([A-Za-z0-9])[A-Za-z0-9._%+-]{0,63}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}")
# The id after 微信, vx, 加v, QQ and their kin: a WeChat id is a letter and 5 to 19 more characters, a QQ id 5 to 12
# digits.
_ACCOUNT = re.compile(
    r"((?:微信|薇信|威信|微xin|weixin|wechat|(?<![a-z])[vw][xv](?![a-z])|[+加➕]\s{0,2}[vw](?![a-z])|v信|扣扣|企鹅|(?<![a-z])q{2}(?![a-z])"
    r"|telegram|whatsapp|(?<![a-z])line(?![a-z])(?=\s{0,2}(?:id|[:：])))"
    r"\s{0,2}(?:号码?|帐号|账号|id)?[\s:：=是为,，._-]{0,4})"
    r"([a-z][a-z0-9_-]{5,19}|[a-z]{0,3}\d{5,12})(?![a-z0-9])",
    re.IGNORECASE | re.ASCII,
)
# What every account has, found faster: its second part in any text, its first in one that has that.
_ID_BEGINS = re.compile(r"[A-Za-z0-9_-]{5}")
_KEYWORD_BEGINS = re.compile(
    "xin|wecha|atsap|telegr|line|qq|vx|wx|vv|wv|信|[+]|加|➕|扣扣|企鹅"
)  # lower case
# What any text must have: the beginning of an account, an address or a run. Of what is not ASCII every digit is taken
# for a 0, every mark for a space, and every ideograph of the keywords for one of these:
_FIRST, _BOTH, _SECOND, _NEXT, _OTHER = "\x80\x81\x82\x83\x84"
_IDEOGRAPHS = dict.fromkeys("微薇威企", _FIRST) | {"扣": _BOTH} | dict.fromkeys("信鹅", _SECOND)
_IDEOGRAPHS |= dict.fromkeys("号帐账是为", _NEXT) | dict.fromkeys("加➕", "+")


def _stand_in(character: str) -> str:
    known = _IDEOGRAPHS.get(character)
    if known is not None:
        return known
    if character in _DIGITS or character.isdecimal():
        return "0"
    return _OTHER if character.isalnum() else " "


_MARKS = "".join(chr(code) for code in range(1, 128) if not chr(code).isalnum())
_IN_RUN = ("0123456789", *["0123456789o" + _MARKS] * 6)
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_SPACES = " \t\n\v\f\r\x1c\x1d\x1e\x1f"
_MANY = 32  # texts, from which on looking through them together pays
_CLUES = Sieve(
    (f"{_LETTERS}._%+-", "@", f"{_LETTERS}-"),
    ("+", f"{_SPACES}vw"),
    ("qvw", "qvx"),
    (f"v{_FIRST}{_BOTH}", _BOTH + _SECOND, f"{_LETTERS}{_SPACES}{_NEXT}:=,._-"),  # 微信, 扣扣, 企鹅
    ("x", "i", "n"),  # weixin
    ("wa", "et", "cs", "ha"),  # wechat, whatsapp
    ("tl", "ei", "ln", "e"),  # telegram, line
    _IN_RUN,
    stand_in=_stand_in,
)


def _may_hold_anything(text: str) -> bool:
    return "@" in text or _may_hold_run(text) or _may_hold_account(text)


def _may_hold_account(text: str) -> bool:
    return _ID_BEGINS.search(text) is not None and _KEYWORD_BEGINS.search(text.lower()) is not None


def _may_hold_run(text: str) -> bool:
    return (_ASCII_RUN_BEGINS if text.isascii() else _RUN_BEGINS).search(text) is not None


def _redact_run(match: re.Match[str]) -> str:
    run = match.group()
    return "***" if _looks_callable(run) else run


def _mask_run(match: re.Match[str]) -> str:
    run = match.group()
    if not _looks_callable(run):
        return run
    digits = _digits_of(run)
    shown: list[str] = []
    position = 0
    for start, end in _mobiles(run):
        shown += _before_mobile(digits[position:start])
        shown.append(_starred(digits[start:end]))
        position = end
    if not shown:
        return f"{'+' if run.startswith('+') else ''}{_starred(digits)}"
    return " ".join(shown + _before_mobile(digits[position:]))


def _before_mobile(digits: str) -> list[str]:
    if digits in ("86", "0086"):
        return ["+86"]
    return [_starred(digits) if len(digits) >= _LONG_ENOUGH else digits] if digits else []


def _starred(digits: str) -> str:
    shown = max(0, min(7, len(digits) - 4))
    first = min(3, shown // 2)
    last = min(4, shown - first)
    return f"{digits[:first]}****{digits[len(digits) - last :]}"


def _looks_callable(run: str) -> bool:
    """Whether a run of digits is to be treated as a number, whether or not a plan has it."""
    if run.isascii() and run.isdigit():
        return run != run[0] * len(run)  # one long group; most runs are
    groups = [group for group in re.split(r"[\W_]+", run) if group]
    digits = _digits_of(run)
    if len(set(digits)) == 1:
        return False  # 6666666 is applause; no mobile has one digit only
    if _mobiles(run) or run.startswith("+"):
        return True
    if not any(character.isdecimal() for character in run):
        return digits.startswith(("0", "400", "800")) and len(digits) >= 10  # 一二三四五六七 is counting
    if any(len(group) >= _LONG_ENOUGH for group in groups):
        return True
    # Numbers are written in few long groups; dates, times, scores and countdowns in short ones, sizes and prices in
    # many of one length.
    alike = len(groups) > 2 and len({len(group) for group in groups}) == 1
    return len(digits) >= 8 and len(digits) / len(groups) >= 3 and not alike


def _mobiles(run: str) -> list[tuple[int, int]]:
    """Return where among a run's digits Chinese mobiles stand: from a group's start to a group's end."""
    digits = _digits_of(run)
    ends = list(accumulate(len(_digits_of(group)) for group in re.split(r"[\W_]+", run)))
    starts = {0, *ends} | {
        end + len(prefix) for end in (0, *ends) for prefix in ("86", "0086") if digits.startswith(prefix, end)
    }
    found: list[tuple[int, int]] = []
    for match in _CHINA_MOBILE.finditer(digits):
        start, end = match.span(1)
        if start in starts and end in ends and (not found or start >= found[-1][1]):
            found.append((start, end))
    return found


# --- forms ---

_PHONE_WORDS = frozenset({
    "phone", "phones", "mobile", "mobil", "tel", "telephone", "telphone", "cell", "cellphone", "handphone", "whatsapp",
    "phonenumber", "phoneno", "mobilephone", "mobileno", "contactnumber", "msisdn", "hp",
})  # fmt: skip
_PHONE_PARTS = (
    "手机",
    "电话",
    "联系方式",
    "联系号码",
    "手提",
    "座机",
    "固话",
    "手機",
    "電話",
    "聯繫方式",
    "聯絡方式",
    "联络方式",
)
_COMPANY_WORDS = frozenset({
    "company", "companies", "organisation", "organization", "org", "employer", "corporation", "corp", "firm", "business",
    "enterprise", "position", "title", "job", "jobtitle", "role", "occupation", "profession", "companyname",
})  # fmt: skip
_COMPANY_PARTS = (
    "公司", "单位", "企业", "机构", "职位", "职务", "岗位", "职业", "职称", "单位名称", "工作单位", "單位", "企業", "機構", "職位",
    "職務", "職業", "職稱", "崗位",
)  # fmt: skip
_PRIVATE_WORDS = _PHONE_WORDS | {
    "email", "mail", "wechat", "weixin", "wx", "vx", "qq", "telegram", "line", "idcard", "passport", "address", "contact",
}  # fmt: skip
_PRIVATE_PARTS = (
    *_PHONE_PARTS,
    "邮箱",
    "邮件",
    "微信",
    "身份证",
    "证件",
    "地址",
    "郵箱",
    "郵件",
    "身份證",
    "證件",
    "企鹅",
    "护照",
)
_NOTHING = frozenset({
    "无", "無", "没有", "沒有", "暂无", "暫無", "没", "不", "否", "不知道", "保密", "不方便", "不填", "不告诉你", "空", "略",
    "待定", "测试", "測試", "随便", "none", "null", "nil", "na", "no", "nope", "nothing", "unknown", "undefined", "nan",
    "test", "testing", "tbd", "secret", "private", "asdf", "qwerty", "abc", "xx", "xxx", "xxxx", "true", "false",
})  # fmt: skip
_KEY_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def _field_kind(key: str) -> str:
    key = unicodedata.normalize("NFKC", key)
    words = _words_of(key)
    if words & _PHONE_WORDS or any(part in key for part in _PHONE_PARTS):
        return "phone"
    if words & _COMPANY_WORDS or any(part in key for part in _COMPANY_PARTS):
        return "company"
    return ""


def _is_private(key: str) -> bool:
    key = unicodedata.normalize("NFKC", key)
    return bool(_words_of(key) & _PRIVATE_WORDS) or any(part in key for part in _PRIVATE_PARTS)


def _words_of(key: str) -> set[str]:
    # companyName, company_name and COMPANY-NAME have the word company; the whole key is a word too (jobtitle, e-mail).
    words = {word.casefold() for word in _KEY_WORDS.findall(key)}
    return words | {re.sub(r"[\W_]+", "", key).casefold()}


def _as_text(value: object) -> str:
    # Form builders send numbers as numbers and several answers as a list.
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 10**_MAX_DIGITS:
        value = int(value)
    if isinstance(value, int):
        return str(value) if abs(value) < 10**_MAX_DIGITS else ""
    if isinstance(value, list):
        return " ; ".join(
            text for text in (_as_text(part) for part in value if not isinstance(part, list)) if text
        )
    return ""


def _says_something(text: str, *, digits: bool = False) -> bool:
    """Whether an answer is one: two characters or more, not all the same, a letter among them (or a digit)."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(character for character in folded if character.isalnum())
    if len(kept) < 2 or len(set(kept)) == 1 or kept in _NOTHING:
        return False
    return digits or any(character.isalpha() for character in kept)


def _redacted(value: Any, *, private: bool, depth: int = 0) -> Any:
    # A form nested deeper than this is an attack; its depths are not kept rather than walked.
    private = private or depth > _MAX_DEPTH
    if isinstance(value, (dict, list)) and depth > _MAX_DEPTH:
        return "***"
    if isinstance(value, dict):
        return {
            key: _redacted(part, private=private or _is_private(str(key)), depth=depth + 1)
            for key, part in value.items()
        }
    if isinstance(value, list):
        return [_redacted(part, private=private, depth=depth + 1) for part in value]
    if value is None or isinstance(value, bool):
        return value
    if private:
        return "***"
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, (int, float)) and redact_text(str(value)) != str(value):
        return "***"
    return value
