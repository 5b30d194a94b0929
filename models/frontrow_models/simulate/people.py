"""Who comes: habits of each type of viewer, invented names, and what people type into forms.

Every name, nickname and number here is made up.
"""

import math
from dataclasses import dataclass, field
from typing import Any

from frontrow_models.simulate.dice import Dice, running_sums
from frontrow_models.simulate.scenario import Mix, ViewerType


@dataclass(frozen=True, slots=True)
class Habits:
    """What viewers of a type do on average.

    ``bounce``: share of visits that end within a minute or so; ``stay_s``: mean length of the others, seconds.
    ``ask``, ``click``, ``form``: hazards per hour of presence while the stage's appeal is 1. ``convert``: chance that
    a click leads to a paid order, at average interest. ``cart``, ``coupon``, ``unpaid``: chances after a click that
    does not. ``raffle``, ``vote``: chance to join one. ``activity``: weight of likes and talk per time present.
    ``does``: factors on the weights of :class:`Mix`. ``talks``: weights of categories of comments.
    """

    bounce: float
    stay_s: float
    ask: float
    click: float
    form: float
    convert: float
    cart: float
    coupon: float
    unpaid: float
    raffle: float
    vote: float
    activity: float
    does: dict[str, float]
    talks: dict[str, float]


HABITS: dict[ViewerType, Habits] = {
    ViewerType.BUYER: Habits(
        bounce=0.05, stay_s=1300, ask=14.0, click=10.0, form=1.5, convert=0.045, cart=0.5, coupon=0.15, unpaid=0.05,
        raffle=0.25, vote=0.2, activity=0.7, does={"gift": 0.3},
        talks={"small_talk": 4, "praise": 3, "mention": 0.6, "contact": 0.15},
    ),
    ViewerType.BROWSER: Habits(
        bounce=0.5, stay_s=750, ask=3.0, click=1.8, form=0.06, convert=0.015, cart=0.06, coupon=0.05, unpaid=0.03,
        raffle=0.3, vote=0.15, activity=0.8, does={"gift": 0.3, "fan_club": 0.3},
        talks={"small_talk": 6, "praise": 3, "mention": 0.4, "raffle": 0.3, "contact": 0.03},
    ),
    ViewerType.FAN: Habits(
        bounce=0.05, stay_s=2400, ask=2.0, click=1.8, form=0.02, convert=0.014, cart=0.05, coupon=0.08, unpaid=0.03,
        raffle=0.6, vote=0.55, activity=1.6, does={"gift": 2.0, "share": 1.5, "fan_club": 3.0, "comment": 1.5},
        talks={"small_talk": 5, "praise": 6, "mention": 1.5, "raffle": 0.3},
    ),
    ViewerType.BOT: Habits(
        bounce=0.1, stay_s=1500, ask=0.3, click=2.0, form=0.0, convert=0.0, cart=0.02, coupon=0.10, unpaid=0.0,
        raffle=0.9, vote=0.1, activity=1.5, does={"gift": 0.0, "comment": 0.7, "share": 2.0},
        talks={"spam": 4, "small_talk": 3, "praise": 3, "raffle": 1},
    ),
    ViewerType.COMPETITOR: Habits(
        bounce=0.0, stay_s=1500, ask=16.0, click=5.0, form=0.05, convert=0.0, cart=0.05, coupon=0.02, unpaid=0.02,
        raffle=0.0, vote=0.0, activity=0.15, does={"gift": 0.0, "like": 0.3},
        talks={"shill": 3, "small_talk": 2},
    ),
    ViewerType.STAFF: Habits(
        bounce=0.0, stay_s=0.0, ask=0.0, click=0.0, form=0.0, convert=0.0, cart=0.0, coupon=0.0, unpaid=0.0,
        raffle=0.0, vote=0.0, activity=1.0,
        does={"gift": 0.0, "follow": 0.0, "unfollow": 0.0, "fan_club": 0.0, "comment": 2.0}, talks={"staff": 1},
    ),
}  # fmt: skip

INTEREST_SPREAD = 0.6  # of the logarithm of hazards and of the logit of `convert`, between viewers of a type
MATCH = 2.0  # factor on a viewer's hazards while the favourite product is on show


@dataclass(slots=True)
class Viewer:
    """One viewer: what was drawn at the start, and where they stand now. Times are UTC milliseconds."""

    id: str
    name: str
    type: ViewerType
    habits: Habits
    interest: float
    ask: float  # hazards per second at appeal 1
    click: float
    form: float
    convert: float
    weight: float  # of likes and talk, per second present
    favourite: int  # position in PRODUCTS
    visits: list[tuple[int, int]]
    budget: float  # what hazard is left until the next act; unit exponential
    fan: bool
    level: int = 0
    follows: bool = False
    enter: int = 0
    exit: int = 0
    filled_form: bool = False
    paid_at: int | None = None

    @property
    def staff(self) -> bool:
        return self.type is ViewerType.STAFF


@dataclass(frozen=True, slots=True)
class Doing:
    """The kinds that viewers of a type do without any wish to buy, with running weights, and what they say."""

    kinds: tuple[str, ...]
    sums: list[float]
    categories: tuple[str, ...]
    category_sums: list[float] = field(default_factory=list)

    @property
    def total(self) -> float:
        return self.sums[-1]


def doing(mix: Mix) -> dict[ViewerType, Doing]:
    """Return what each type does under a mix."""
    kinds = mix.__struct_fields__
    scale = math.fsum(getattr(mix, kind) for kind in kinds)
    found = {}
    for type, habits in HABITS.items():
        weights = [getattr(mix, kind) / scale * habits.does.get(kind, 1.0) for kind in kinds]
        found[type] = Doing(
            kinds, running_sums(weights), tuple(habits.talks), running_sums(list(habits.talks.values()))
        )
    return found


def draw_viewer(
    dice: Dice, *, id: str, type: ViewerType, visits: list[tuple[int, int]], products: int
) -> Viewer:
    """Return a viewer with habits drawn around those of the type."""
    habits = HABITS[type]
    interest = dice.normal()
    lift = math.exp(INTEREST_SPREAD * interest)
    odds = habits.convert / (1.0 - habits.convert) * lift
    level = dice.whole(1, 12) if type is ViewerType.FAN and dice.chance(0.7) else 0
    return Viewer(
        id=id,
        name=nickname(dice),
        type=type,
        habits=habits,
        interest=interest,
        ask=habits.ask / 3600.0 * lift,
        click=habits.click / 3600.0 * lift,
        form=habits.form / 3600.0 * lift,
        convert=odds / (1.0 + odds),
        weight=habits.activity * math.exp(0.8 * dice.normal()),
        favourite=dice.whole(0, products - 1),
        visits=visits,
        budget=dice.exponential(1.0),
        fan=level > 0,
        level=level,
        follows=level > 0 or dice.chance(0.15),
    )


_LIKES = (
    "爱喝豆浆的",
    "追光的",
    "想去海边的",
    "不吃香菜的",
    "早睡早起的",
    "骑单车的",
    "种番茄的",
    "晒太阳的",
    "会做饭的",
    "慢慢走的",
)
_WHO = (
    "小满",
    "橘子",
    "团团",
    "阿木",
    "南风",
    "晚星",
    "豆包妈妈",
    "老周",
    "青柠",
    "雪梨",
    "大熊",
    "云朵",
    "七月",
    "芝麻",
    "林深",
)
_HANDLES = (
    "sunny",
    "maple",
    "river",
    "luna",
    "mochi",
    "olive",
    "kiwi",
    "nora",
    "teddy",
    "hazel",
    "momo",
    "pixel",
    "juniper",
)
_LATIN = (
    "Lin Xiaoyu",
    "Emma Q.",
    "Marco",
    "Dr. Bao",
    "Anna-Lena",
    "José R.",
    "Kim Haneul",
    "Zoë",
    "O'Malley",
    "Siti",
)
_OTHERS = ("ゆきうさぎ", "하늘바다", "陳小姐的花園", "Åsa 在北京", "Мария", "นกน้อย", "臺灣阿慶", "用戶甲乙丙")
_EMOJI = ("🌸", "🍊", "✨", "🐱", "🌊", "🍀", "☕️", "🚲", "👨‍👩‍👧", "🇨🇳", "🌙", "🥟")  # fmt: skip
_LONG = (
    "今天也要好好吃饭好好睡觉好好看直播然后努力工作买下所有喜欢的东西",
    "Somewhere over the rainbow there is a live room that never closes ",
    "名字太长显示不下的那位观众",
)


def nickname(dice: Dice) -> str:
    """Return an invented nickname; one in fifty is far too long for any column."""
    draw = dice.random()
    if draw < 0.30:
        return dice.pick(_LIKES) + dice.pick(_WHO)
    if draw < 0.50:
        return dice.pick(_WHO) + dice.pick(_EMOJI)
    if draw < 0.64:
        return f"{dice.pick(_WHO)}{dice.whole(1, 9999)}"
    if draw < 0.78:
        return f"{dice.pick(_HANDLES)}_{dice.pick(_HANDLES)}{dice.whole(1, 99)}"
    if draw < 0.86:
        return dice.pick(_LATIN)
    if draw < 0.93:
        return f"{dice.pick(_EMOJI)}{dice.pick(_HANDLES)}的{dice.pick(_WHO)}{dice.pick(_EMOJI)}"
    if draw < 0.98:
        return dice.pick(_OTHERS)
    return (dice.pick(_LONG) * dice.whole(1, 4) + dice.pick(_EMOJI))[:200]


_SURNAMES = ("林", "周", "苏", "程", "叶", "顾", "沈", "何", "陆", "宋")
_GIVEN = ("小满", "知夏", "一诺", "明远", "安然", "子墨", "晴", "向北", "书恒", "可欣")
_COMPANIES = ("晴川贸易有限公司", "北窗设计工作室", "青禾幼儿园", "远山咨询", "Bluebird Trading")
_TITLES = ("采购经理", "店长", "设计师", "行政主管", "Buyer")
_CITIES = ("杭州", "成都", "广州", "西安", "长沙")
_PREFIXES = ("138", "139", "150", "186", "188", "199")
_FULL_WIDTH_DIGITS = str.maketrans("0123456789", "０１２３４５６７８９")


def invented_phone(dice: Dice) -> str:
    """Return a mobile number that is valid by its pattern.

    China keeps no numbers for fiction, so all have 0000 in the middle and can be told at a glance. Do not call them.
    """
    prefix, tail = dice.pick(_PREFIXES), f"{dice.whole(0, 9999):04d}"
    form = dice.random()
    if form < 0.6:
        return f"{prefix}0000{tail}"
    if form < 0.75:
        return f"{prefix} 0000 {tail}"
    if form < 0.85:
        return f"{prefix}-0000-{tail}"
    if form < 0.95:
        return f"+86{prefix}0000{tail}"
    return f"{prefix}0000{tail}".translate(_FULL_WIDTH_DIGITS)


def invalid_phone(dice: Dice) -> str:
    """Return what people type who would rather not be called: too short, too long, no such prefix, no number."""
    tail = f"{dice.whole(0, 9999):04d}"
    return dice.pick((f"1380000{tail[:2]}", f"1380000{tail}99", f"1200000{tail}", "保密", "00000000000"))


VALID_PHONE, INVALID_PHONE = 0.84, 0.12  # shares of forms; the others leave the field out
CONSENT, NO_CONSENT = 0.86, 0.08  # the others do not say


def form_fields(dice: Dice, *, product: str) -> dict[str, Any]:
    """Return what somebody types into an enquiry form."""
    fields: dict[str, Any] = {"name": dice.pick(_SURNAMES) + dice.pick(_GIVEN), "product": product}
    draw = dice.random()
    if draw < VALID_PHONE:
        fields["phone"] = invented_phone(dice)
    elif draw < VALID_PHONE + INVALID_PHONE:
        fields["phone"] = invalid_phone(dice)
    if dice.chance(0.5):
        fields["city"] = dice.pick(_CITIES)
    if dice.chance(0.12):
        fields["company"] = dice.pick(_COMPANIES)
        if dice.chance(0.6):
            fields["title"] = dice.pick(_TITLES)
    return fields


def form_consent(dice: Dice) -> bool | None:
    """Return whether the box was ticked; None where the form does not say."""
    draw = dice.random()
    return True if draw < CONSENT else False if draw < CONSENT + NO_CONSENT else None
