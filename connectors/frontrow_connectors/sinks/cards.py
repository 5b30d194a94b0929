"""What people read of a lead: chips, a card, a digest; pure functions from alerts to text.

Names, words, product and room titles come from viewers or platforms and are hostile until :func:`harmless` has seen
them. WeCom documents no way to escape its markdown (a backslash is shown as a backslash), so characters that could
mark up, link or mention are replaced by their full-width look-alikes, which no dialect gives a meaning to.
"""

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote
from zoneinfo import ZoneInfo

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
    same_words: str
    points: str
    probability: str
    unknown: str  # in a probability's place
    room: str
    reasons: str
    words: str
    product: str
    lead: str
    digest: str
    purposes: dict[str, str]
    causes: dict[str, str]
    due: str  # a time of day, and how long that is
    left: str
    overdue: str
    deadline: str
    region: str
    quality: str
    holders: dict[str, str]
    cause: str
    open: str
    lengths: tuple[str, str, str]  # seconds, minutes and seconds, hours and minutes
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
    same_words="与{}人说同样的话",
    points="{}分",
    probability="成交概率 {}",
    unknown="成交概率：数据不足",
    room="直播间",
    reasons="理由",
    words="原话",
    product="商品",
    lead="线索",
    digest="{} 位高意向观众",
    purposes={
        "todo": "📌 待跟进",
        "nudge": "⏰ 即将超时",
        "escalation": "⚠️ 已超时",
        "approval": "✋ 等你确认",
    },
    causes={
        "unassigned": "一直没有分配",
        "nobody_on_shift": "没有人当班",
        "approval_waiting": "在等确认",
        "seller_no_claim": "销售没有领取",
        "seller_claimed_untouched": "销售领取后没有联系",
        "alert_not_delivered": "提醒没有送达",
    },
    due="{} 前（{}）",
    left="还剩{}",
    overdue="已超{}",
    deadline="首次联系",
    region="地区",
    quality="质量",
    holders={"escalation": "当前销售", "approval": "建议分给"},
    cause="原因",
    open="打开线索",
    lengths=("{}秒", "{}分{:02}秒", "{}小时{:02}分"),
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
    same_words="says the same as {} others",
    points="{} points",
    probability="deal probability {}",
    unknown="deal probability: not enough data",
    room="Room",
    reasons="Why",
    words="Said",
    product="Product",
    lead="Lead",
    digest="{} viewers ready to buy",
    purposes={
        "todo": "📌 To follow up",
        "nudge": "⏰ Nearly late",
        "escalation": "⚠️ Late",
        "approval": "✋ Waits for you",
    },
    causes={
        "unassigned": "never assigned",
        "nobody_on_shift": "nobody was on shift",
        "approval_waiting": "it waited for approval",
        "seller_no_claim": "the seller did not claim it",
        "seller_claimed_untouched": "the seller claimed it and did not get in touch",
        "alert_not_delivered": "the alert was not delivered",
    },
    due="by {} ({})",
    left="{} left",
    overdue="{} over",
    deadline="First contact",
    region="Region",
    quality="Quality",
    holders={"escalation": "Seller", "approval": "Proposed seller"},
    cause="Cause",
    open="Open the lead",
    lengths=("{} s", "{} min {:02} s", "{} h {:02} min"),
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
        case "same_words" if reason.count is not None:
            yield words.same_words.format(_number(reason.count))
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


# Messages, in the way of writing that a receiver knows


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a receiver writes what stands out: format strings, ``link`` of a text and an address; ``end`` ends a line."""

    quote: str = "> {}"
    bold: str = "**{}**"
    grade: str = "{}"
    link: str = "[{}]({})"
    code: str = "`{}`"
    end: str = "\n"


MARKDOWN = Dialect()
PLAIN = Dialect(quote="{}", bold="{}", link="{} {}", code="{}")


def room_link(base_url: str, room_id: str) -> str:
    """Return the address of the room's panel, or nothing where no public address is configured."""
    return f"{base_url.rstrip('/')}/host/{quote(room_id, safe='')}" if base_url else ""


def lead_link(base_url: str, lead: str) -> str:
    """Return the address of the lead where sales work, or nothing where no public address is configured."""
    return f"{base_url.rstrip('/')}/sales#{quote(lead, safe='')}" if base_url else ""


def title(alert: LeadAlert, language: str) -> str:
    """Return one short line without markup, as notifications show it."""
    words = _words(language)
    what = words.purposes.get(alert.purpose) or _grade(alert, language)
    return f"{what} · {_name(alert, _NAME_BYTES)} · {words.points.format(alert.points)}"


def digest_title(count: int, language: str) -> str:
    """Return how many there are, as a line without markup."""
    return _words(language).digest.format(count)


def time_left(due_at: int, now: int, timezone: str, language: str) -> str:
    """Return until when there is time and how much that is: "13:05:00 前（还剩4分30秒）". UTC milliseconds.

    An unknown time zone leaves the time of day out.
    """
    words = _words(language)
    left_s = (due_at - now) // 1_000
    length = (words.left if left_s >= 0 else words.overdue).format(_length(abs(left_s), words))
    try:
        clock = datetime.fromtimestamp(due_at / 1_000, UTC).astimezone(ZoneInfo(timezone))
    except (KeyError, ValueError, OSError, OverflowError):  # no such zone, no name of one, no such time
        return length
    return words.due.format(f"{clock:%H:%M:%S}", length)


def markdown_card(
    alert: LeadAlert,
    *,
    language: str,
    base_url: str,
    now: int,
    max_bytes: int,
    dialect: Dialect = MARKDOWN,
) -> str:
    """Return one lead as a message of at most ``max_bytes`` bytes.

    The headline, the lead's id, and to one person the deadline and the link are always there; of the rest, what fits,
    reasons first.
    """
    words = _words(language)
    line = _Lines(words, dialect)
    purpose = words.purposes.get(alert.purpose)
    grade = dialect.grade.format(_grade(alert, language))
    score = f"{words.points.format(alert.points)} · {probability_text(alert.probability, language)}"
    first = [f"{dialect.bold.format(_name(alert, _NAME_BYTES))} · {score}"]
    first[0] = " · ".join([purpose, grade, first[0]]) if purpose else f"{grade} {first[0]}"
    if alert.due_at is not None:
        zone = alert.to.timezone if alert.to else "UTC"
        first += line(words.deadline, time_left(alert.due_at, now, zone, language))
    last = line(words.lead, f"{_code(alert.lead, dialect)} · {how_long_ago(alert.decided_at, now, language)}")
    if purpose and base_url:
        last.append(dialect.link.format(words.open, lead_link(base_url, alert.lead)))
    optional = [
        *line(words.reasons, " · ".join(chips(alert.reasons, language))),
        *line(words.holders.get(alert.purpose, ""), _label_text(alert.holder)),
        *line(words.cause, _label(words.causes, alert.cause) if alert.cause else ""),
        *line(words.room, _room(alert, base_url, dialect)),
        *line(words.words, _quoted(alert.words, words)),
        *line(words.product, _label_text(alert.product)),
        *line(words.region, _label_text(alert.region)),
        *line(words.quality, _label_text(alert.quality)),
    ]
    room = max_bytes - sum(map(line.size, [*first, *last])) + len(dialect.end)
    return dialect.end.join([*first, *_fitting(optional, room, line), *last])


def markdown_digest(
    alerts: Sequence[LeadAlert],
    *,
    language: str,
    base_url: str,
    now: int,
    max_bytes: int,
    dialect: Dialect = MARKDOWN,
) -> str:
    """Return several leads as one message: the number, a line per lead, hottest first, and the rooms' links.

    Lines get shorter when the room is short, down to grade, name, points and id. A lead is never left out.

    Raises:
        SinkRefused: Not even the shortest lines fit; fewer leads will.
    """
    words = _words(language)
    line = _Lines(words, dialect)
    ordered = sorted(alerts, key=heat, reverse=True)
    rooms = {alert.room_id: alert for alert in ordered}
    headline = dialect.bold.format(digest_title(len(ordered), language))
    for name_bytes, chip_count in ((_NAME_BYTES, 3), (_NAME_BYTES, 1), (_SHORT_NAME_BYTES, 0)):
        lines = [headline]
        for number, alert in enumerate(ordered, start=1):
            parts = _digest_parts(alert, words, language, name_bytes, chip_count, dialect)
            if chip_count and len(rooms) > 1:
                parts.append(cut(_room_name(alert), _SHORT_NAME_BYTES * 2))
            if chip_count:
                parts.append(how_long_ago(alert.decided_at, now, language))
            lines.append(f"{number}. " + " · ".join([*parts, _code(alert.lead, dialect)]))
        text = dialect.end.join(lines)
        if len(text.encode()) <= max_bytes:
            links = [
                each
                for alert in rooms.values()
                if base_url
                for each in line(words.room, _room(alert, base_url, dialect))
            ]
            return dialect.end.join([text, *_fitting(links, max_bytes - len(text.encode()), line)])
    raise SinkRefused(f"{len(ordered)} leads do not fit into one message of {max_bytes} bytes")


def _digest_parts(
    alert: LeadAlert, words: _Words, language: str, name_bytes: int, chip_count: int, dialect: Dialect
) -> list[str]:
    name = f"{_icon(alert.grade)}{dialect.bold.format(_name(alert, name_bytes))}"
    percent = _percent(alert.probability)
    score = [words.points.format(alert.points)] + ([percent] if percent else [])
    return [name, *score, *chips(alert.reasons, language, limit=chip_count)]


def _name(alert: LeadAlert, max_bytes: int) -> str:
    return cut(harmless(alert.name), max_bytes) or "–"  # two pairs of asterisks around nothing would be four


def _grade(alert: LeadAlert, language: str) -> str:
    return f"{_icon(alert.grade)}{grade_word(alert.grade, language)}"


def _icon(grade: str) -> str:
    return f"{_ICONS[grade]} " if grade in _ICONS else ""


def _room_name(alert: LeadAlert) -> str:
    return harmless(alert.room_title or alert.room_id, hide_numbers=False)


def _room(alert: LeadAlert, base_url: str, dialect: Dialect) -> str:
    title = cut(_room_name(alert), _TITLE_BYTES)
    link = room_link(base_url, alert.room_id)
    return dialect.link.format(title, link) if link else title


def _quoted(text: str | None, words: _Words) -> str:
    opening, closing = words.quotes
    said = cut(harmless(text), _WORDS_BYTES) if text else ""
    return f"{opening}{said}{closing}" if said else ""


def _label_text(text: str | None) -> str:
    """Return what no viewer writes, on one line and without markup."""
    return cut(harmless(text, hide_numbers=False), _TITLE_BYTES) if text else ""


def _code(lead: str, dialect: Dialect) -> str:
    if "`" not in dialect.code:
        return harmless(lead, hide_numbers=False)
    # An id is copied by people, so it keeps its characters; in a code span only a backtick or a line's end could
    # get out.
    return dialect.code.format("".join("" if character == "`" else _shown(character) for character in lead))


def _length(seconds: int, words: _Words) -> str:
    if seconds < 60:
        return words.lengths[0].format(seconds)
    if seconds < 3_600:
        return words.lengths[1].format(seconds // 60, seconds % 60)
    return words.lengths[2].format(seconds // 3_600, seconds % 3_600 // 60)


@dataclass(frozen=True, slots=True)
class _Lines:
    """Makes lines behind the headline, and knows how long they are."""

    words: _Words
    dialect: Dialect

    def __call__(self, label: str, value: str) -> list[str]:
        """Return the line as a list of one; of none where there is nothing to say."""
        return [self.dialect.quote.format(f"{label}{self.words.colon}{value}")] if label and value else []

    def size(self, line: str) -> int:
        """Return the bytes of a line with its end."""
        return len(line.encode()) + len(self.dialect.end)


def _fitting(lines: Sequence[str], room: int, line: _Lines) -> list[str]:
    """Return, in order, the lines that have room, with their line ends; a line is left out rather than cut."""
    taken: list[str] = []
    for each in lines:
        if line.size(each) <= room:
            taken.append(each)
            room -= line.size(each)
    return taken
