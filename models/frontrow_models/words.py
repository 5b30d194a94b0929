"""Words for reasons: what a feature's number says of a viewer, as a host would say it, in Chinese and English.

A phrase states the fact ("about 2 clicks on the purchase link in the last few minutes"), and never whether it speaks
for or against: that is the sign of the reason's part. What did not happen is a fact, too, and often the reason for a
low number. The API gives them with a viewer's exact reasons; the short names in a row of a panel are the panel's own.
"""

import math
from typing import Literal

Language = Literal["zh-CN", "en"]
LANGUAGES: tuple[Language, ...] = ("zh-CN", "en")

# The half-life of a fading count, as people say it. A count that has faded by half stands for fewer or for older ones.
_SPANS: dict[Language, dict[str, str]] = {
    "zh-CN": {"1m": "刚刚", "5m": "最近几分钟", "30m": "最近半小时"},
    "en": {"1m": "just now", "5m": "in the last few minutes", "30m": "in the last half hour"},
}

# What is counted: (some, none). {n} is the count, {s} an English plural's ending.
_COUNTED: dict[str, dict[Language, tuple[str, str]]] = {
    "comments": {"zh-CN": ("发言约 {n} 条", "没有发言"), "en": ("about {n} comment{s}", "no comments")},
    "questions": {
        "zh-CN": ("问商品约 {n} 次", "没有问商品"),
        "en": ("about {n} question{s} about the product", "no questions about the product"),
    },
    "price": {
        "zh-CN": ("问价格或优惠约 {n} 次", "没有问价格或优惠"),
        "en": ("about {n} question{s} about price or discounts", "no questions about price or discounts"),
    },
    "closing": {
        "zh-CN": ("问库存、发货、分期或怎么买约 {n} 次", "没有问库存、发货或怎么买"),
        "en": (
            "about {n} question{s} about stock, delivery or how to buy",
            "no questions about stock, delivery or how to buy",
        ),
    },
    "likes": {"zh-CN": ("点赞约 {n} 次", "没有点赞"), "en": ("about {n} like{s}", "no likes")},
    "clicks": {
        "zh-CN": ("点购买链接约 {n} 次", "没有点购买链接"),
        "en": ("about {n} click{s} on the purchase link", "no clicks on the purchase link"),
    },
    "carts": {
        "zh-CN": ("加购或领券约 {n} 次", "没有加购或领券"),
        "en": ("about {n} cart add{s} or coupons taken", "no cart adds or coupons taken"),
    },
    "gifts": {"zh-CN": ("送了礼物", "没有送礼物"), "en": ("gifts sent", "no gifts")},
    "social": {
        "zh-CN": ("关注、分享或加粉丝团约 {n} 次", "没有关注、分享或加粉丝团"),
        "en": (
            "about {n} follow{s}, shares or fan-club steps",
            "no follows, shares or fan-club steps",
        ),
    },
    "games": {
        "zh-CN": ("参加抽奖或投票约 {n} 次", "没有参加抽奖或投票"),
        "en": ("about {n} raffle entr{ies} or votes", "no raffle entries or votes"),
    },
    "mentions": {
        "zh-CN": ("@主播约 {n} 次", "没有@主播"),
        "en": ("about {n} mention{s} of the host", "no mentions of the host"),
    },
}

_STANDING: dict[str, dict[Language, tuple[str, str]]] = {
    "watched_min": {
        "zh-CN": ("看了约 {n} 分钟", "刚开始看"),
        "en": ("watched for about {n} minute{s}", "has hardly watched yet"),
    },
    "present_min": {
        "zh-CN": ("约 {n} 分钟前第一次出现", "刚刚出现"),
        "en": ("first seen about {n} minute{s} ago", "first seen just now"),
    },
    "enters": {
        "zh-CN": ("本场进场 {n} 次", "没有看到进场"),
        "en": ("came in {n} time{s}", "was not seen coming in"),
    },
    "fan": {
        "zh-CN": ("是粉丝团成员或订阅者", "不是粉丝团成员"),
        "en": ("fan club member or subscriber", "not in the fan club"),
    },
    "earlier_sessions": {
        "zh-CN": ("以前来过 {n} 场", "第一次来"),
        "en": ("was in {n} earlier broadcast{s}", "was in no earlier broadcast"),
    },
    "order_rate": {
        "zh-CN": ("按以往场次，每千场约有 {n} 场下单", "以往几乎不下单"),
        "en": ("has ordered in about {n} of 1,000 earlier broadcasts", "hardly ever ordered before"),
    },
    "room_age_min": {
        "zh-CN": ("开播约 {n} 分钟", "刚开播"),
        "en": ("live for about {n} minute{s}", "the broadcast has just begun"),
    },
    "same_words": {
        "zh-CN": ("与另外 {n} 人说同样的话", "没有人说同样的话"),
        "en": ("says the same as {n} other{s}", "nobody says the same"),
    },
    "room_events_1m": {
        "zh-CN": ("直播间热度：最近约 {n} 次互动", "直播间很安静"),
        "en": ("about {n} interaction{s} in the room just now", "the room is quiet"),
    },
    "room_viewers": {
        "zh-CN": ("约 {n} 人在线", "在线人数未知"),
        "en": ("about {n} viewer{s} online", "number of viewers unknown"),
    },
    "product_age_min": {
        "zh-CN": ("本品讲解约 {n} 分钟", "没有商品在讲解，或刚开始"),
        "en": ("this product on show for about {n} minute{s}", "no product on show, or only just"),
    },
    "room_orders_30m": {
        "zh-CN": ("直播间最近半小时约 {n} 单", "直播间最近没有成交"),
        "en": ("about {n} order{s} in the room in the last half hour", "no orders in the room lately"),
    },
    "hour_left_pct": {
        "zh-CN": (
            "计划下播前，一小时的成交还能来约 {n}%（100：还早或未告知；21：已到或已过）",
            "到了计划下播的时间",
        ),
        "en": (
            "about {n} % of an hour's orders can still come before the planned end (100: it is far, or not told; 21: it is here, or past)",
            "the planned end has come",
        ),
    },
}

INTERCEPT: dict[Language, str] = {"zh-CN": "起点（人人相同）", "en": "starting point (same for all)"}


def phrase(name: str, value: float, language: Language) -> str:
    """Return what feature ``name`` says at ``value``, the model's input (``log1p`` of what it counts).

    Raises:
        KeyError: If there is no such feature.
    """
    some, none = patterns(name, language)
    count = math.expm1(value)
    if count < 0.5:
        return none
    n = round(count)
    one = n == 1
    return some.format(n=f"{n:,}", s="" if one else "s", ies="y" if one else "ies")


def patterns(name: str, language: Language) -> tuple[str, str]:
    """Return the patterns of a feature: for when there was some of it, and for when there was none.

    Raises:
        KeyError: If there is no such feature.
    """
    if name in _STANDING:
        return _STANDING[name][language]
    counted, _, span = name.rpartition("_")
    some, none = _COUNTED[counted][language]
    when = _SPANS[language][span]
    return (when + some, when + none) if language == "zh-CN" else (f"{some} {when}", f"{none} {when}")
