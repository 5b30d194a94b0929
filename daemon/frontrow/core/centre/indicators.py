"""The catalogue: 45 indicators in nine levels, as data that the API, the export and the documentation share.

An indicator is a count, a ratio of two measures, a quantile of one, or a maximum. Measures are named here and
computed in :mod:`frontrow.storage.centre.indicators`. Every figure carries its numerator, its denominator and the
time as of which it holds; one about what became of leads also the share of them whose end is still open.

Leads are counted as cohorts: a figure of a day is about the leads made on that day, whenever they were answered or won.
"""

import math
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

Unit = Literal["count", "ratio", "seconds", "days", "money"]
Kind = Literal["count", "ratio", "quantile", "maximum"]
Owner = Literal["ops", "host", "marketing", "service", "manager", "executive"]

DIMENSIONS: Mapping[str, tuple[str, ...]] = {
    "platform": ("platform",),
    "room": ("room", "session"),
    "host": ("host",),
    "product": ("product",),
    "campaign": ("campaign", "channel"),
    "region": ("province", "city", "store"),
    "team": ("team", "seller"),
    "quality": ("grade", "quality"),
    "time": ("hour", "day", "week"),
}
"""The nine dimensions, each with the cuts by which a figure can be parted along it."""
CUTS: Mapping[str, str] = {cut: dimension for dimension, cuts in DIMENSIONS.items() for cut in cuts}
PERSONAL_CUTS = frozenset({"seller"})  # figures of one person
LEVELS: Mapping[str, tuple[str, str]] = {
    "L1": ("数据接入", "feed"),
    "L2": ("观众", "audience"),
    "L3": ("互动", "engagement"),
    "L4": ("意向", "intent"),
    "L5": ("留资", "capture"),
    "L6": ("质量", "quality"),
    "L7": ("分配", "dispatch"),
    "L8": ("跟进", "follow-up"),
    "L9": ("成交", "outcome"),
}

MIN_PEOPLE_LEADS = 5  # below, a rate of one seller is not shown: it would say more of chance than of them
MATURE_DAYS = 30  # after which a lead that is still open counts as one that came to nothing
TOP_K = 10  # hot viewers of a session whom a host can look after

_ROOM_CUTS = ("platform", "room", "session", "host", "hour", "day", "week")
_RAW_CUTS = (*_ROOM_CUTS, "product", "campaign", "channel", "store", "grade", "quality")
_LEAD_CUTS = tuple(cut for cut in CUTS if cut != "session")
_TIME_CUTS = ("hour", "day", "week")


class Indicator(Struct, frozen=True, kw_only=True):
    """One indicator. ``numerator`` and ``denominator`` ("" none) name measures; a quantile's or a maximum's numerator is what it is of.

    ``quantiles`` are percents, the first of which is the figure's value. ``part`` is a cut that belongs to the
    indicator itself: the numerator is parted by it, the denominator is of all parts. ``outcome``: it is about what
    becomes of leads, so some are still open.
    ``proportion``: its numerator is a part of its denominator, so that it has an interval.
    """

    id: str
    level: str
    zh: str
    en: str
    unit: Unit
    kind: Kind
    numerator: str
    denominator: str = ""
    formula: str
    owner: Owner
    cuts: tuple[str, ...]
    quantiles: tuple[int, ...] = ()
    part: str = ""
    outcome: bool = False
    proportion: bool = False

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The dimensions along which it can be cut, in the catalogue's order."""
        return tuple(dimension for dimension, cuts in DIMENSIONS.items() if set(cuts) & set(self.cuts))


class Figure(Struct, frozen=True, kw_only=True):
    """One number of one indicator. ``cut`` says of what: the value of each cut asked for, and of the indicator's own part.

    ``value`` None has its reason in ``why``: "nothing" (the denominator is 0, or there is nothing to take a quantile
    of), "too_few" (of one person, with ``n`` below :data:`MIN_PEOPLE_LEADS`), "cost_missing". ``n`` is how many the
    figure is of. Of a quantile the numerator is the sum of all values, None where only a sketch is kept, and the
    denominator how many they are. Times are in seconds or days as the unit says, money in minor units. ``immature``
    is the share of the denominator that is still open and young enough to change, None where that means nothing.
    ``low`` and ``high`` are the 95 % interval of a proportion. ``as_of`` is engine time, UTC ms.
    """

    indicator: str
    cut: dict[str, str | int | None]
    numerator: int | float | None
    denominator: int | float | None
    value: float | None
    why: str | None
    n: int
    as_of: int
    immature: float | None = None
    low: float | None = None
    high: float | None = None
    quantiles: dict[str, float] | None = None


class Question(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which figures are asked for: of what is from ``from_at`` on and before ``to_at`` (UTC ms).

    ``filters`` keeps of a cut only these values; None is unknown. ``as_of`` (UTC ms) None: now, in engine time. What
    ended after it counts as open; what was merged or opened again since is as it is now. ``offset_minutes`` is how
    far the days' and weeks' zone is ahead of UTC. ``currency`` is that of the money asked for.
    """

    indicators: tuple[str, ...]
    cuts: tuple[str, ...] = ()
    filters: dict[str, tuple[str | int | None, ...]] = {}
    from_at: int = 0
    to_at: int = 1 << 62
    as_of: int | None = None
    offset_minutes: int = 480
    currency: str = "CNY"


class QuestionRefused(ValueError):
    """No figure can answer this; says why in words."""


def check(question: Question) -> list[Indicator]:
    """Return the indicators that a question names, in its order.

    Raises:
        QuestionRefused: One is not known, or cannot be cut or filtered as asked.
    """
    found: list[Indicator] = []
    for id in question.indicators:
        indicator = BY_ID.get(id)
        if indicator is None:
            raise QuestionRefused(f"there is no indicator {id!r}")
        for cut in (*question.cuts, *question.filters):
            if cut not in CUTS:
                raise QuestionRefused(f"there is no cut {cut!r}; there are {', '.join(CUTS)}")
            if cut not in indicator.cuts:
                raise QuestionRefused(
                    f"{id} cannot be cut by {cut}; it can be by {', '.join(indicator.cuts)}"
                )
        found.append(indicator)
    if len(set(question.cuts)) != len(question.cuts):
        raise QuestionRefused("a cut is named twice")
    if set(question.filters) & set(DIMENSIONS["time"]):
        raise QuestionRefused("time is bounded by from and to, not filtered")
    if not -14 * 60 <= question.offset_minutes <= 14 * 60:
        raise QuestionRefused("an offset is within 14 hours of UTC")
    return found


def wilson(successes: int, count: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Return the interval of a proportion (Wilson, JASA 22, 1927, pp. 209–212), by default of 95 %. ``count`` is at least 1."""
    share = successes / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return (middle - half if successes else 0.0), (middle + half if successes < count else 1.0)


def _room(
    id: str, level: str, zh: str, en: str, numerator: str, denominator: str = "", *, formula: str, owner: Owner,
    unit: Unit = "ratio", kind: Kind = "ratio", quantiles: tuple[int, ...] = (), proportion: bool = False,
) -> Indicator:  # fmt: skip
    return Indicator(
        id=id, level=level, zh=zh, en=en, unit=unit, kind=kind, numerator=numerator, denominator=denominator, formula=formula,
        owner=owner, cuts=_ROOM_CUTS, quantiles=quantiles, proportion=proportion,
    )  # fmt: skip


def _lead(
    id: str, level: str, zh: str, en: str, numerator: str, denominator: str = "leads", *, formula: str, owner: Owner,
    unit: Unit = "ratio", kind: Kind = "ratio", quantiles: tuple[int, ...] = (), part: str = "", outcome: bool = False,
    proportion: bool = True, cuts: tuple[str, ...] = _LEAD_CUTS,
) -> Indicator:  # fmt: skip
    return Indicator(
        id=id, level=level, zh=zh, en=en, unit=unit, kind=kind, numerator=numerator, denominator=denominator, formula=formula,
        owner=owner, cuts=cuts, quantiles=quantiles, part=part, outcome=outcome, proportion=proportion,
    )  # fmt: skip


CATALOGUE: tuple[Indicator, ...] = (
    _room(
        "events_received", "L1", "接收事件数", "events received", "events", unit="count", kind="count", owner="ops",
        formula="events of feeds that were stored, without test data",
    ),
    _room(
        "duplicate_rate", "L1", "重复率", "duplicate rate", "duplicates", "heard", owner="ops", proportion=True,
        formula="duplicates ÷ (events + duplicates), of what the running daemon heard; the journal keeps no duplicates",
    ),
    _room(
        "gap_count", "L1", "断流次数", "gap count", "gaps", unit="count", kind="count", owner="ops",
        formula="times over 60 s without any event while a broadcast goes on",
    ),
    _room(
        "feed_lag", "L1", "接入延迟", "feed lag", "lag", unit="seconds", kind="quantile", quantiles=(50, 99), owner="ops",
        formula="p50 and p99 of arrival − event time, right to 2 %",
    ),
    _room(
        "feed_availability", "L1", "直播数据可用率", "live-feed availability", "live_ms", "span_ms", owner="ops",
        formula="(time of broadcasts − time within gaps) ÷ time of broadcasts",
    ),
    _room(
        "viewers_seen", "L2", "观众数", "viewers seen", "viewers", unit="count", kind="count", owner="host",
        formula="viewers, each once a session; staff is none",
    ),
    _room(
        "returning_viewers", "L2", "回访观众占比", "returning viewers", "returners", "viewers", owner="host", proportion=True,
        formula="viewers seen in an earlier session of the room ÷ viewers",
    ),
    _room(
        "observed_dwell", "L2", "观看时长", "observed dwell", "dwell", unit="seconds", kind="quantile", quantiles=(50, 90),
        owner="host", formula="p50 and p90 of a viewer's time from entering to leaving and of visits told whole, right to 2 %",
    ),
    _room(
        "inferred_dwell_share", "L2", "推算时长占比", "inferred-dwell share", "dwell_inferred", "viewers", owner="ops",
        proportion=True, formula="viewers of whom no stay was observed ÷ viewers",
    ),
    _room(
        "peak_concurrent", "L2", "同时在线峰值", "peak concurrent", "peak", unit="count", kind="maximum", owner="host",
        formula="the most viewers at a time in one session, as the feed tells",
    ),
    _room(
        "comments_per_viewer", "L3", "人均评论数", "comments per viewer", "comments", "viewers", owner="host",
        formula="comments ÷ viewers; staff's are not counted",
    ),
    _room(
        "question_share", "L3", "提问占比", "question share", "questions", "comments", owner="host", proportion=True,
        formula="comments that ask about the product ÷ comments",
    ),
    _room(
        "answered_question_rate", "L3", "提问回复率", "answered-question rate", "answered", "questions", owner="host",
        proportion=True, formula="questions after which staff wrote within 3 minutes ÷ questions; answers by voice are not seen",
    ),
    _room(
        "likes_per_viewer", "L3", "人均点赞数", "likes per viewer", "likes", "viewers", owner="host", formula="likes ÷ viewers",
    ),
    _room(
        "gift_value", "L3", "礼物金额", "gift value", "gift_value", unit="money", kind="count", owner="host",
        formula="value of gifts in the configured currency, in minor units",
    ),
    _room(
        "price_intent_viewers", "L4", "询价观众数", "price-intent viewers", "price_viewers", unit="count", kind="count",
        owner="marketing", formula="viewers who asked for price, discount or instalments, each once a session",
    ),
    _room(
        "product_click_rate", "L4", "商品点击率", "product-click rate", "clickers", "viewers", owner="marketing", proportion=True,
        formula="viewers who clicked a product ÷ viewers",
    ),
    _room(
        "cart_rate", "L4", "加购率", "cart rate", "carters", "viewers", owner="marketing", proportion=True,
        formula="viewers who put something into the cart ÷ viewers",
    ),
    _lead(
        "hot_viewers", "L4", "高热观众数", "hot viewers", "hot_viewers", "", unit="count", kind="count", owner="marketing",
        proportion=False, cuts=_RAW_CUTS, formula="viewers who turned hot, each once a session",
    ),
    _lead(
        "hot_precision_at_k", "L4", f"高热前{TOP_K}名成交率", f"hot-viewer precision@{TOP_K}", "top_bought", "top", outcome=True,
        owner="marketing", cuts=_RAW_CUTS,
        formula=f"of the {TOP_K} hot viewers of a session with the most points (then probability): those who ordered or were won ÷ all",
    ),
    _lead(
        "raw_leads", "L5", "原始线索数", "raw leads", "raw_leads", "", unit="count", kind="count", owner="marketing",
        proportion=False, cuts=_RAW_CUTS, formula="raw leads (N), of rooms and of forms",
    ),
    _room(
        "form_rate", "L5", "表单提交率", "form rate", "form_viewers", "viewers", owner="marketing", proportion=True,
        formula="viewers who sent a form ÷ viewers",
    ),
    _lead(
        "contact_rate", "L5", "留资率", "contact rate", "with_contact", owner="marketing",
        formula="unique leads whose customer left a valid contact ÷ unique leads",
    ),
    _lead(
        "consent_rate", "L5", "授权率", "consent rate", "with_consent", owner="marketing",
        formula="unique leads whose customer consents to be contacted, and has not taken it back ÷ unique leads",
    ),
    _lead(
        "raw_to_unique", "L5", "原始/唯一线索比", "raw→unique ratio", "met_raws", "met_leads", owner="marketing", proportion=False,
        cuts=_RAW_CUTS, formula="raw leads (N) ÷ unique leads that they went into (M)",
    ),
    _lead(
        "effective_rate", "L6", "有效率", "effective rate", "effective", "met_raws", owner="marketing", cuts=_RAW_CUTS,
        formula="raw leads that are reachable (Q3 or better), of real intent (not invalid; warm, hot or confirmed) and no duplicate ÷ raw leads",
    ),
    _lead(
        "invalid_rate", "L6", "无效率（按原因）", "invalid rate by reason", "invalid", owner="service", part="reason",
        formula="unique leads that are invalid, by reason ÷ unique leads",
    ),
    _lead(
        "quality_mix", "L6", "质量等级分布", "Q-level mix", "leads", owner="service", part="quality", cuts=tuple(cut for cut in _LEAD_CUTS if cut != "quality"),
        formula="unique leads of each level Q0 to Q5 ÷ unique leads",
    ),
    _lead(
        "duplicate_lead_rate", "L6", "重复线索率", "duplicate-lead rate", "second_raws", "met_raws", owner="service",
        cuts=_RAW_CUTS, formula="raw leads that went into a lead that was there ÷ raw leads",
    ),
    _lead(
        "calibration_error", "L6", "评分校准误差", "score calibration error", "calibration_gap", "calibrated", outcome=True,
        owner="marketing", proportion=False, cuts=_RAW_CUTS,
        formula="Σ over ten bands of probability |Σ probability − ordered or won| ÷ raw leads with a probability",
    ),
    _lead(
        "time_to_assign", "L7", "分配时长", "time to assign", "assign_s", "", unit="seconds", kind="quantile",
        quantiles=(50, 90), owner="manager", proportion=False,
        formula="p50 and p90 of the time from the lead's making until somebody had it",
    ),
    _lead(
        "time_to_alert", "L7", "提醒时长", "time to alert", "alert_s", "", unit="seconds", kind="quantile", quantiles=(50, 99),
        owner="ops", proportion=False, cuts=_TIME_CUTS,
        formula="p50 and p99 of the time from when a message was decided until a receiver took it",
    ),
    _lead(
        "alert_delivery_rate", "L7", "提醒送达率", "alert delivery rate", "alerts_sent", "alerts", owner="ops", cuts=_TIME_CUTS,
        formula="messages that a receiver took ÷ messages that were decided",
    ),
    _lead(
        "unassigned_leads", "L7", "未分配线索数", "unassigned leads", "unassigned", "", unit="count", kind="count",
        owner="manager", proportion=False, formula="open leads that nobody has and nobody was offered",
    ),
    _lead(
        "reassignment_rate", "L7", "重新分配率", "reassignment rate", "reassigned", owner="manager",
        formula="leads that were taken back, released or handed over ÷ leads",
    ),
    _lead(
        "first_response", "L8", "首次响应时长", "first response", "response_s", "", unit="seconds", kind="quantile",
        quantiles=(50, 90), owner="manager", proportion=False,
        formula="p50 and p90 of the time from the lead's making to the first response, by the clock on the wall; the mean is numerator ÷ denominator",
    ),
    _lead(
        "in_sla_rate", "L8", "及时响应率", "in-SLA rate (5 min)", "in_sla", "sla_due", owner="manager",
        formula="leads answered before their promise was broken ÷ leads that were answered or whose promise was broken",
    ),
    _lead(
        "contact_success_rate", "L8", "接通率", "contact success rate", "reached", "touched", owner="manager",
        formula="leads whose customer answered, or wrote or called ÷ leads that were called or written to",
    ),
    _lead(
        "follow_ups_per_lead", "L8", "单条线索跟进次数", "follow-ups per lead", "touches", "claimed", owner="manager",
        proportion=False, formula="contacts and outcomes noted ÷ leads that somebody claimed",
    ),
    _lead(
        "loss_by_cause", "L8", "流失原因", "loss by cause", "lost", "lost", owner="manager", part="cause",
        formula="lost leads of one cause ÷ lost leads; every lost lead has exactly one",
    ),
    _lead(
        "lead_to_opportunity", "L9", "线索→商机转化率", "lead→opportunity", "opportunities", owner="manager", outcome=True,
        formula="unique leads of verified intent (Q4 or better) or won ÷ unique leads",
    ),
    _lead(
        "lead_to_visit", "L9", "线索→试驾/到店转化率", "lead→test drive/visit", "visits", owner="manager", outcome=True,
        formula="unique leads with a test drive or a visit done ÷ unique leads",
    ),
    _lead(
        "lead_to_order", "L9", "线索→成交转化率", "lead→order", "orders", owner="executive", outcome=True,
        formula="unique leads won or ordered ÷ unique leads",
    ),
    _lead(
        "deal_cycle", "L9", "成交周期", "deal cycle", "cycle_s", "", unit="days", kind="quantile", quantiles=(50, 90),
        owner="executive", outcome=True, proportion=False,
        formula="p50 and p90 of the time from the lead's making to the deal, of leads won; those still open are the immature share",
    ),
    _lead(
        "channel_roi", "L9", "渠道投入产出比", "channel ROI", "revenue", "cost", owner="executive", outcome=True, proportion=False,
        cuts=("channel", "day", "week"),
        formula="(sales of won leads − cost) ÷ cost, by channel; without a cost that was imported it says so instead of a number",
    ),
)  # fmt: skip
BY_ID: Mapping[str, Indicator] = {indicator.id: indicator for indicator in CATALOGUE}
