"""What people read of a lead: chips, a card, a digest; pure functions from alerts to text.

Names, words, product and room titles come from viewers or platforms and are hostile until :func:`harmless` has seen
them. WeCom documents no way to escape its markdown (a backslash is shown as a backslash), so characters that could
mark up, link or mention are replaced by their full-width look-alikes, which no dialect gives a meaning to.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from frontrow.core.alerts import LeadAlert, Reason, heat
from frontrow.core.errors import SinkRefused

MAX_CHIPS = 3

# Longest parts of a card, in bytes of UTF-8: one part must not push the others out.
_NAME_BYTES = 60
_TITLE_BYTES = 120
_CHIP_BYTES = 48
_WORDS_BYTES = 600
_SHORT_NAME_BYTES = 24  # in a digest that is short of room

_ELLIPSIS = "…"
_ZERO_WIDTH_JOINER = "\u200d"


# What viewers wrote, made harmless


def harmless(text: str, *, hide_numbers: bool = True) -> str:
    """Return ``text`` on one line, without phone numbers, and without anything that could be markup or a link.

    Controls, bidirectional overrides, zero-width characters and lone surrogates go; a joiner inside an emoji stays.
    ``hide_numbers`` is put off only for what no viewer writes (titles, products), where a date is not a number.
    """
    shown = "".join(_shown(character) for character in text)
    line = " ".join(shown.split())  # before masking, so that nothing invisible can part a number
    return _without_links(masked(line) if hide_numbers else line).translate(_LOOK_ALIKES)


def masked(text: str) -> str:
    """Return ``text`` with every run of digits that may be a phone number hidden but for its ends.

    The second line of defence: the engine masks before an alert is made. So this errs on the side of hiding: any
    seven digits in a row count, split by blanks, dashes, dots or brackets, full-width, circled or Chinese.
    """
    return _NUMBER.sub(_mask, text)


def cut(text: str, max_bytes: int) -> str:
    """Return ``text``, or its beginning and an ellipsis, in at most ``max_bytes`` bytes of UTF-8.

    What is seen as one character is not cut in two: a base keeps its accents, an emoji sequence and a flag stay whole.
    """
    if len(text.encode()) <= max_bytes:
        return text
    room = max_bytes - len(_ELLIPSIS.encode())
    if room < 0:
        return ""
    keep = len(text.encode()[:room].decode(errors="ignore"))
    whole = _boundary_before(text, keep)
    # A pile of accents as long as the limit has no boundary; then a code point's boundary must do.
    return text[: whole or keep] + _ELLIPSIS


def _shown(character: str) -> str:
    category = unicodedata.category(character)
    if category in ("Zs", "Zl", "Zp", "Cc"):
        return " "
    if category in ("Cf", "Cs", "Co") and character != _ZERO_WIDTH_JOINER:
        return ""
    return character


# What clients make links of, asked or not: "scheme:…" and "word.word". A full-width colon and a blank behind the dot
# end it and still read well in a sentence.
_SCHEME = re.compile(r"(?<=[A-Za-z]):(?=\S)|:(?=//)")
_DOMAIN_DOT = re.compile(r"(?<=\w)([.．])(?=[^\W\d_])")

_LOOK_ALIKES = str.maketrans({character: chr(ord(character) + 0xFEE0) for character in "<>[]()*_`#@\\|~!&{}"})

_DIGIT = r"[\d①-⑨⓪零〇○一二三四五六七八九幺壹贰叁肆伍陆柒捌玖]"
_NUMBER = re.compile(rf"{_DIGIT}(?:[\s\-‐-―－.．·•_/()（）]{{0,2}}{_DIGIT}){{6,}}")


def _mask(match: re.Match[str]) -> str:
    digits = re.findall(_DIGIT, match[0])
    ends = (3, 2) if len(digits) >= 11 else (0, 2)
    return "".join(digits[: ends[0]]) + "****" + "".join(digits[-ends[1] :])


def _without_links(text: str) -> str:
    return _SCHEME.sub("：", _DOMAIN_DOT.sub(r"\1 ", text))


def _boundary_before(text: str, position: int) -> int:
    while position > 0 and _belongs_to_last(text, position):
        position -= 1
    return position


def _belongs_to_last(text: str, position: int) -> bool:
    following = text[position]
    return (
        unicodedata.category(following).startswith("M")
        or following == _ZERO_WIDTH_JOINER
        or "\U0001f3fb" <= following <= "\U0001f3ff"  # skin tones
        or text[position - 1] == _ZERO_WIDTH_JOINER
        or (_is_flag_half(following) and _flag_halves_before(text, position) % 2 == 1)
    )


def _flag_halves_before(text: str, position: int) -> int:
    count = 0
    while count < position and _is_flag_half(text[position - 1 - count]):
        count += 1
    return count


def _is_flag_half(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


# Words, in both languages


@dataclass(frozen=True, slots=True)
class _Words:
    grades: dict[str, str]
    rules: dict[str, str]
    questions: dict[str, str]
    times: str  # how often, behind a chip
    minutes: str
    seconds: str
    about: str  # before an inferred time
    comments: str
    points: str
    probability: str
    unknown: str  # in a probability's place
    room: str
    reasons: str
    words: str
    product: str
    lead: str
    digest: str
    just_now: str
    ago: tuple[str, str, str, str]  # seconds, minutes, hours, days
    quotes: tuple[str, str]
    colon: str


_ZH = _Words(
    grades={"hot": "热", "warm": "温", "cold": "冷"},
    rules={
        "form_submit": "填了表单",
        "product_click": "点链接",
        "cart_add": "加购",
        "raffle": "参与抽奖",
        "mention_host": "@主播",
        "phone": "留了电话",
        "company": "公司职位",
        "question": "提问",
    },
    questions={
        "price": "问价",
        "spec": "问规格",
        "stock": "问库存",
        "delivery": "问发货",
        "instalment": "问分期",
        "warranty": "问售后",
        "buy": "问怎么买",
        "discount": "问优惠",
        "raffle": "问抽奖",
        "contact": "要联系方式",
    },
    times="×{}",
    minutes="停留{}{}分",
    seconds="停留{}{}秒",
    about="约",
    comments="发言{}条",
    points="{}分",
    probability="成交概率 {}",
    unknown="成交概率：数据不足",
    room="直播间",
    reasons="理由",
    words="原话",
    product="商品",
    lead="线索",
    digest="{} 位高意向观众",
    just_now="刚刚",
    ago=("{}秒前", "{}分钟前", "{}小时前", "{}天前"),
    quotes=("「", "」"),
    colon="：",
)

_EN = _Words(
    grades={"hot": "hot", "warm": "warm", "cold": "cold"},
    rules={
        "form_submit": "sent the form",
        "product_click": "clicked the link",
        "cart_add": "added to cart",
        "raffle": "joined the raffle",
        "mention_host": "@host",
        "phone": "left a number",
        "company": "company or position",
        "question": "asked",
    },
    questions={
        "price": "asked price",
        "spec": "asked specs",
        "stock": "asked stock",
        "delivery": "asked delivery",
        "instalment": "asked instalments",
        "warranty": "asked warranty",
        "buy": "asked how to buy",
        "discount": "asked discount",
        "raffle": "asked raffle",
        "contact": "asked for contact",
    },
    times=" ×{}",
    minutes="stayed {}{} min",
    seconds="stayed {}{} s",
    about="~",
    comments="{} comments",
    points="{} points",
    probability="deal probability {}",
    unknown="deal probability: not enough data",
    room="Room",
    reasons="Why",
    words="Said",
    product="Product",
    lead="Lead",
    digest="{} viewers ready to buy",
    just_now="just now",
    ago=("{} s ago", "{} min ago", "{} h ago", "{} d ago"),
    quotes=("“", "”"),
    colon=": ",
)

_ICONS = {"hot": "🔥", "warm": "🌤", "cold": "❄"}


def _words(language: str) -> _Words:
    return _ZH if language.lower().startswith("zh") else _EN


def grade_word(grade: str, language: str) -> str:
    """Return the grade's word; a grade that this version does not know is shown as is."""
    return _words(language).grades.get(grade) or cut(harmless(grade), _CHIP_BYTES)


def probability_text(probability: float | None, language: str) -> str:
    """Return "成交概率 38%", or that there is not enough data for one. 0 % and 100 % are never claimed."""
    words = _words(language)
    percent = _percent(probability)
    return words.unknown if percent is None else words.probability.format(percent)


def how_long_ago(at: int, now: int, language: str) -> str:
    """Return how long ago ``at`` was (both UTC milliseconds); the future counts as now."""
    words = _words(language)
    seconds = (now - at) // 1_000
    if seconds < 5:
        return words.just_now
    for shape, unit, below in zip(
        words.ago, (1, 60, 3_600, 86_400), (60, 3_600, 86_400, math.inf), strict=True
    ):
        if seconds < below:
            return shape.format(seconds // unit)
    raise AssertionError("the last unit has no end")


def chips(reasons: Sequence[Reason], language: str, *, limit: int = MAX_CHIPS) -> list[str]:
    """Return at most ``limit`` short reasons, the most points first, safe to put into any message.

    Only rules become chips: a part of a logit means something to the model's owner, not on a phone. A rule that this
    version does not know is shown by its own name.
    """
    rules = sorted(
        (reason for reason in reasons if reason.kind == "rule"), key=lambda reason: -(reason.points or 0)
    )
    shown: list[str] = []
    for reason in rules:
        for chip in _rule_chips(reason, _words(language)):
            if chip not in shown:
                shown.append(chip)
    return shown[:limit]


def _rule_chips(reason: Reason, words: _Words) -> Iterator[str]:
    match reason.name:
        case "question" if reason.by:
            for intent, count in sorted(reason.by.items(), key=lambda item: -item[1]):
                yield _counted(_label(words.questions, intent), count, words)
        case "comments" if reason.count is not None:
            yield words.comments.format(_number(reason.count))
        case "watched" if _is_time(reason.value):
            yield _watched(reason, words)
        case _:
            yield _counted(_label(words.rules, reason.name), reason.count, words)


def _label(labels: dict[str, str], name: str) -> str:
    return labels.get(name) or cut(harmless(name), _CHIP_BYTES)


def _counted(label: str, count: int | None, words: _Words) -> str:
    return label + words.times.format(_number(count)) if count is not None and count > 1 else label


def _number(count: int) -> str:
    return str(count) if count < 1_000 else "999+"


def _is_time(seconds: float | None) -> bool:
    return seconds is not None and math.isfinite(seconds) and seconds >= 0


def _watched(reason: Reason, words: _Words) -> str:
    seconds = int(reason.value or 0)
    about = words.about if reason.inferred else ""
    shape, number = (words.minutes, seconds // 60) if seconds >= 60 else (words.seconds, seconds)
    return shape.format(about, number)


def _percent(probability: float | None) -> str | None:
    if probability is None or not 0.0 <= probability <= 1.0:  # NaN fails both comparisons
        return None
    percent = round(probability * 100)
    if percent < 1:
        return "＜1%"  # full-width, since an ASCII one could open a tag
    return "＞99%" if percent > 99 else f"{percent}%"


# Markdown as group robots take it


def room_link(base_url: str, room_id: str) -> str:
    """Return the address of the room's panel, or nothing where no public address is configured."""
    return f"{base_url.rstrip('/')}/host/{quote(room_id, safe='')}" if base_url else ""


def markdown_card(
    alert: LeadAlert,
    *,
    language: str,
    base_url: str,
    now: int,
    max_bytes: int,
    emphasis: Callable[[str], str] = str,
) -> str:
    """Return one lead as markdown of at most ``max_bytes`` bytes.

    The headline and the lead's id are always there; of the rest, what fits, reasons first. ``emphasis`` marks up the
    grade in the robot's own way.
    """
    words = _words(language)
    name = _name(alert, _NAME_BYTES)
    grade = f"{_icon(alert.grade)}{grade_word(alert.grade, language)}"
    score = f"{words.points.format(alert.points)} · {probability_text(alert.probability, language)}"
    first = f"{emphasis(grade)} **{name}** · {score}"
    last = _line(words, words.lead, f"{_code(alert.lead)} · {how_long_ago(alert.decided_at, now, language)}")
    optional = [
        line
        for line in (
            _line(words, words.reasons, " · ".join(chips(alert.reasons, language))),
            _line(words, words.room, _room(alert, base_url)),
            _line(words, words.words, _quoted(alert.words, words)),
            _line(words, words.product, cut(harmless(alert.product or "", hide_numbers=False), _TITLE_BYTES)),
        )
        if line
    ]
    return "\n".join([first, *_fitting(optional, max_bytes - _size(first) - _size(last) + 1), last])


def markdown_digest(
    alerts: Sequence[LeadAlert], *, language: str, base_url: str, now: int, max_bytes: int
) -> str:
    """Return several leads as one message: the number, a line per lead, hottest first, and the rooms' links.

    Lines get shorter when the room is short, down to grade, name, points and id. A lead is never left out.

    Raises:
        SinkRefused: Not even the shortest lines fit; fewer leads will.
    """
    words = _words(language)
    ordered = sorted(alerts, key=heat, reverse=True)
    rooms = {alert.room_id: alert for alert in ordered}
    headline = f"**{words.digest.format(len(ordered))}**"
    for name_bytes, chip_count in ((_NAME_BYTES, 3), (_NAME_BYTES, 1), (_SHORT_NAME_BYTES, 0)):
        lines = [headline]
        for number, alert in enumerate(ordered, start=1):
            parts = _digest_parts(alert, words, language, name_bytes, chip_count)
            if chip_count and len(rooms) > 1:
                parts.append(cut(_room_name(alert), _SHORT_NAME_BYTES * 2))
            if chip_count:
                parts.append(how_long_ago(alert.decided_at, now, language))
            lines.append(f"{number}. " + " · ".join([*parts, _code(alert.lead)]))
        text = "\n".join(lines)
        if len(text.encode()) <= max_bytes:
            links = (
                [_line(words, words.room, _room(alert, base_url)) for alert in rooms.values()]
                if base_url
                else []
            )
            return "\n".join([text, *_fitting(links, max_bytes - len(text.encode()))])
    raise SinkRefused(f"{len(ordered)} leads do not fit into one message of {max_bytes} bytes")


def _digest_parts(
    alert: LeadAlert, words: _Words, language: str, name_bytes: int, chip_count: int
) -> list[str]:
    name = f"{_icon(alert.grade)}**{_name(alert, name_bytes)}**"
    percent = _percent(alert.probability)
    score = [words.points.format(alert.points)] + ([percent] if percent else [])
    return [name, *score, *chips(alert.reasons, language, limit=chip_count)]


def _name(alert: LeadAlert, max_bytes: int) -> str:
    return cut(harmless(alert.name), max_bytes) or "–"  # two pairs of asterisks around nothing would be four


def _icon(grade: str) -> str:
    return f"{_ICONS[grade]} " if grade in _ICONS else ""


def _room_name(alert: LeadAlert) -> str:
    return harmless(alert.room_title or alert.room_id, hide_numbers=False)


def _room(alert: LeadAlert, base_url: str) -> str:
    title = cut(_room_name(alert), _TITLE_BYTES)
    link = room_link(base_url, alert.room_id)
    return f"[{title}]({link})" if link else title


def _quoted(text: str | None, words: _Words) -> str:
    opening, closing = words.quotes
    said = cut(harmless(text), _WORDS_BYTES) if text else ""
    return f"{opening}{said}{closing}" if said else ""


def _code(lead: str) -> str:
    # An id is copied by people, so it keeps its characters; in a code span only a backtick or a line's end could
    # get out.
    return "`" + "".join("" if character == "`" else _shown(character) for character in lead) + "`"


def _line(words: _Words, label: str, value: str) -> str:
    return f"> {label}{words.colon}{value}" if value else ""


def _fitting(lines: Sequence[str], room: int) -> list[str]:
    """Return, in order, the lines that have room, with their line ends; a line is left out rather than cut."""
    taken: list[str] = []
    for line in lines:
        if _size(line) <= room:
            taken.append(line)
            room -= _size(line)
    return taken


def _size(line: str) -> int:
    return len(line.encode()) + 1  # and its line's end
