"""Nurture: what warm and cold customers hear of us when nobody calls them, and above all what they do not.

Five touchpoints: thanks when somebody has left their number (*welcome*), something to read by interest (*content*),
the next broadcast (*invitation*), a coupon or trial at a campaign (*campaign*), and a word to whoever has fallen
silent (*dormant*). Pure: from facts, rules, what was sent before and the time come touches, and for everyone else the
reason why not. Sending is the sinks' task, and what they have sent comes back as ``touch_sent`` events, which are the
history.

A message is for one reason (*about*): a contact, a broadcast, a campaign, a silence, a turn. The same rule never
writes twice about the same, however often the event was heard.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

from frontrow.core.centre.clock import CalendarDay, QuietHours, check_hours, quiet_until
from frontrow.core.centre.stages import Status
from frontrow.core.leads import Grade

DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS

TouchPoint = Literal["welcome", "content", "invitation", "campaign", "dormant"]
TOUCH_POINTS: tuple[TouchPoint, ...] = get_args(TouchPoint)
TouchChannel = Literal["sms", "wechat", "email"]
TOUCH_CHANNELS: tuple[TouchChannel, ...] = get_args(TouchChannel)
Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
Days = Annotated[int, Meta(ge=1, le=3650)]
PerWeek = Annotated[int, Meta(ge=0, le=100)]

_NEEDED_DAYS: Mapping[TouchPoint, str] = {"content": "every_days", "dormant": "silent_days"}


class TouchRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a customer is written to, on which channel and with which text. Rules that come first go first.

    ``purpose`` is the consent that it needs. ``grades`` and ``line`` (the beginning of a product's path) narrow it;
    empty: all. ``delay_s`` after the contact was left it begins (welcome, content); a welcome later than ``fresh_s``
    after that is not sent any more. ``every_days`` is of content, ``silent_days`` of dormant; ``occasion`` names a
    broadcast or campaign, empty: each. ``cap`` bounds how often one customer gets it ever, 0: no bound. ``stops`` are
    the states of a lead in which it is not sent. ``capped`` False leaves it out of the bounds per week, both ways: it
    is an answer, not an advertisement.

    Raises:
        ValueError: The days that its touchpoint needs are missing.
    """

    name: Name
    point: TouchPoint
    channel: TouchChannel
    text: Name
    purpose: Name = "marketing"
    grades: tuple[Grade, ...] = ()
    line: tuple[Name, ...] = ()
    delay_s: Annotated[int, Meta(ge=0, le=365 * 86_400)] = 0
    fresh_s: Annotated[int, Meta(ge=1, le=365 * 86_400)] = 86_400
    every_days: Days | None = None
    silent_days: Days | None = None
    occasion: str = ""
    cap: Annotated[int, Meta(ge=0, le=1000)] = 0
    stops: tuple[Status, ...] = ("won", "lost", "invalid")
    capped: bool = True

    def __post_init__(self) -> None:
        needed = _NEEDED_DAYS.get(self.point)
        if needed is not None and getattr(self, needed) is None:
            raise ValueError(f"a rule of {self.point} needs {needed}")


class TouchLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, cache_hash=True):
    """What holds for all rules together. ``per_week`` bounds a customer's messages in any seven days, ``sms_per_week`` and the others
    those of one channel, None: no bound of its own. Nobody is written to in quiet hours, nor for ``talks_s`` after
    their seller last spoke with them. ``send`` False: it is only previewed, and nobody gets anything.

    Raises:
        ValueError: Hours that no clock can keep.
    """

    send: bool = False
    per_week: PerWeek = 2
    sms_per_week: PerWeek | None = None
    wechat_per_week: PerWeek | None = None
    email_per_week: PerWeek | None = None
    talks_s: Annotated[int, Meta(ge=0, le=365 * 86_400)] = 3 * 86_400
    timezone: Annotated[str, Meta(min_length=1, max_length=64)] = "Asia/Shanghai"
    quiet_hours: tuple[QuietHours, ...] = (QuietHours(start="21:00", end="09:00"),)
    holidays: tuple[CalendarDay, ...] = ()

    def __post_init__(self) -> None:
        check_hours(self)

    def on_channel(self, channel: TouchChannel) -> int | None:
        """Return how many messages of a channel a customer gets in a week, None: as many as ``per_week`` lets through."""
        match channel:
            case "sms":
                return self.sms_per_week
            case "wechat":
                return self.wechat_per_week
            case "email":
                return self.email_per_week


DEFAULT_TOUCH_RULES = (
    TouchRule(name="welcome", point="welcome", channel="sms", text="welcome", purpose="service", capped=False, stops=("invalid",)),
    TouchRule(name="next_broadcast", point="invitation", channel="sms", text="invitation", stops=("invalid",)),
    TouchRule(name="offer", point="campaign", channel="sms", text="offer"),
    TouchRule(name="reading", point="content", channel="wechat", text="reading", grades=("warm", "cold"), every_days=14, delay_s=7 * 86_400),
    TouchRule(name="wake", point="dormant", channel="sms", text="wake", grades=("warm", "cold"), silent_days=30, cap=3),
)  # fmt: skip
TEXTS: Mapping[str, tuple[str, str]] = {
    "welcome": (
        "感谢您在直播间留下联系方式，我们已收到您对{product}的咨询，顾问会尽快与您联系。退订回T",
        "Thank you for leaving your number. An adviser will call you about {product} soon. Reply T to stop.",
    ),
    "reading": (
        "为您准备了关于{product}的选购资料与真实案例：{link} 退订回T",
        "Something to read about {product}, with cases of other customers: {link} Reply T to stop.",
    ),
    "invitation": (
        "您关注的{product}将于{time}再次开播，点此预约：{link} 退订回T",
        "The next broadcast on {product} begins at {time}. Book a place: {link} Reply T to stop.",
    ),
    "offer": (
        "专属优惠：{product}，{time}前有效，领取：{link} 退订回T",
        "For you: an offer on {product}, valid until {time}: {link} Reply T to stop.",
    ),
    "wake": (
        "好久不见。您之前了解过{product}，现在还有需要吗？回复即可，或看看新品：{link} 退订回T",
        "We have not met for a while. Are you still looking for {product}? Just reply, or see what is new: {link} Reply T to stop.",
    ),
}
"""The default rules' texts, in Chinese and English; ``{product}``, ``{time}`` and ``{link}`` are filled in when they are sent."""


class CustomerFacts(Struct, frozen=True, kw_only=True):
    """What nurture may know of a customer: nothing personal. Times are UTC ms, None: never.

    ``contact`` is the keyed hash of the number that they left, and ``contact_at`` when; ``consents`` the purposes
    that they have agreed to and not taken back, for one channel alone as ``purpose:channel``; ``channels`` those on
    which they can be reached; ``opted_out`` those that they have stopped. ``interests`` are paths of product lines.
    ``status`` is their latest lead's, ``talked_at`` when its owner last spoke with them, ``seen_at`` when they were
    last seen in a room.
    """

    customer: str
    grade: Grade = "cold"
    lead: str | None = None
    status: Status = "new"
    talked_at: int | None = None
    contact: str | None = None
    contact_at: int | None = None
    seen_at: int | None = None
    consents: tuple[str, ...] = ()
    channels: tuple[TouchChannel, ...] = ()
    opted_out: tuple[TouchChannel, ...] = ()
    interests: tuple[tuple[str, ...], ...] = ()
    do_not_contact: bool = False


class Occasion(Struct, frozen=True, kw_only=True):
    """A broadcast that people are invited to from ``opens_at`` until it begins at ``ends_at``, or a campaign that lasts from one to
    the other (UTC ms). ``lines`` are what it is about, empty: everything."""

    kind: Literal["invitation", "campaign"]
    occasion: str
    opens_at: int
    ends_at: int
    lines: tuple[tuple[str, ...], ...] = ()

    @property
    def named(self) -> str:
        """Its name as rules say it; what stands behind an @ tells several of one name apart."""
        return self.occasion.partition("@")[0]


class BroadcastRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That customers are invited to a broadcast of some ``rooms`` (configured ids, empty: every room) when it begins, and for ``for_s`` from
    then on. ``lines`` are the product lines that it is about, as paths (beauty/skincare), empty: everything. The
    first rule for a room holds."""

    rooms: tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...] = ()
    lines: tuple[Annotated[str, Meta(min_length=1, max_length=256)], ...] = ()
    for_s: Annotated[int, Meta(ge=60, le=86_400)] = 1_800


class SentTouch(Struct, frozen=True, kw_only=True):
    """A message that went out at ``at`` (UTC ms), as a ``touch_sent`` event tells of it. ``capped`` as its rule said. ``refused``: nobody took
    it, so that it counts against no bound; but nothing is written about the same again."""

    rule: str
    customer: str
    channel: TouchChannel
    about: str
    at: int
    capped: bool = True
    refused: bool = False


class Touch(Struct, frozen=True, kw_only=True):
    """A message that is to go out now. ``key`` is the same however often it is computed."""

    rule: str
    customer: str
    channel: TouchChannel
    text: str
    about: str
    lead: str | None = None
    capped: bool = True

    @property
    def key(self) -> str:
        """What a receiver may tell repetitions by."""
        return "\x1f".join(f"{len(part)}:{part}" for part in (self.rule, self.customer, self.about))

    def sent(self, at: int) -> SentTouch:
        """Return what history has to know once it has gone out."""
        return SentTouch(
            rule=self.rule,
            customer=self.customer,
            channel=self.channel,
            about=self.about,
            at=at,
            capped=self.capped,
        )


WithheldReason = Literal[
    "not_due", "do_not_contact", "opted_out", "no_consent", "no_channel", "stopped", "in_talks", "too_late", "sent_already",
    "refused", "rule_cap", "week_cap", "channel_cap", "quiet_hours",
]  # fmt: skip
WITHHELD: Mapping[WithheldReason, tuple[str, str]] = {
    "not_due": ("未到时机或不在范围", "not due, or not for them"),
    "do_not_contact": ("客户要求不再联系", "wants no contact"),
    "opted_out": ("已退订此渠道", "has stopped this channel"),
    "no_consent": ("未同意此用途", "has not agreed to this purpose"),
    "no_channel": ("此渠道无法触达", "cannot be reached on this channel"),
    "stopped": ("线索已结束", "the lead has ended"),
    "in_talks": ("销售正在沟通", "their seller is talking with them"),
    "too_late": ("已过时效", "too late for it"),
    "sent_already": ("已发送过", "has had it"),
    "refused": ("接收方未接受，见死信", "its receiver did not take it, see the dead letters"),
    "rule_cap": ("已达此规则上限", "has had it as often as the rule allows"),
    "week_cap": ("本周已达上限", "has had enough messages this week"),
    "channel_cap": ("此渠道本周已达上限", "has had enough on this channel this week"),
    "quiet_hours": ("免打扰时段", "quiet hours"),
}
"""What people read in a preview, in Chinese and English."""


class Withheld(Struct, frozen=True, kw_only=True):
    """Why a customer does not get a rule's message now. ``about`` is None where nothing was due; ``until`` (UTC ms) is when the
    reason ends, None: not by itself, or unknown."""

    rule: str
    customer: str
    reason: WithheldReason
    about: str | None = None
    until: int | None = None


class Preview(Struct, frozen=True, kw_only=True):
    """Who would get what now, and for everybody else and each rule, why not. ``counts``: rule → "sent" or a reason → customers."""

    touches: tuple[Touch, ...]
    withheld: tuple[Withheld, ...]
    counts: dict[str, dict[str, int]]


def due_touches(
    customers: Iterable[CustomerFacts],
    rules: Sequence[TouchRule],
    history: Iterable[SentTouch],
    at: int,
    *,
    occasions: Sequence[Occasion] = (),
    limits: TouchLimits,
) -> list[Touch | Withheld]:
    """Return the messages that are due at ``at`` (UTC ms), and those that were due and are withheld, with the reason.

    ``history`` is all that these customers ever got, under the names that they have now; after customers were joined,
    of all of them. By customer, then in the order of the rules, whatever the order of ``customers`` and ``history``;
    what an earlier rule sends counts for the later ones.
    """
    judged = _judged(customers, rules, history, at, occasions, limits)
    return [each for each in judged if isinstance(each, Touch) or each.reason != "not_due"]


def preview(
    customers: Iterable[CustomerFacts],
    rules: Sequence[TouchRule],
    history: Iterable[SentTouch],
    at: int,
    *,
    occasions: Sequence[Occasion] = (),
    limits: TouchLimits,
) -> Preview:
    """Return what :func:`due_touches` would send, and a reason for every customer and rule that would not. Sends nothing."""
    touches: list[Touch] = []
    withheld: list[Withheld] = []
    counts: dict[str, Counter[str]] = {rule.name: Counter() for rule in rules}
    for each in _judged(customers, rules, history, at, occasions, limits):
        if isinstance(each, Touch):
            touches.append(each)
            counts[each.rule]["sent"] += 1
        else:
            withheld.append(each)
            counts[each.rule][each.reason] += 1
    return Preview(
        touches=tuple(touches),
        withheld=tuple(withheld),
        counts={rule: dict(sorted(found.items())) for rule, found in counts.items()},
    )


class _History:
    """What was sent, by what is asked of it. What this run sends is added as it is decided."""

    def __init__(self, sent: Iterable[SentTouch]) -> None:
        self._of: defaultdict[str, list[SentTouch]] = defaultdict(list)
        self._abouts: dict[tuple[str, str, str], bool] = {}  # whether all were refused
        for each in sent:
            self.add(each)

    def add(self, sent: SentTouch) -> None:
        self._of[sent.customer].append(sent)
        # Customers are joined and parted; the telephone that rang stays the same.
        for whose in (sent.customer, "") if sent.about.startswith(_CONTACT) else (sent.customer,):
            key = (sent.rule, sent.about, whose)
            self._abouts[key] = self._abouts.get(key, True) and sent.refused

    def had(self, rule: TouchRule, customer: str, about: str) -> WithheldReason | None:
        """Return why a rule does not write about something once more, or None: it has not yet."""
        whose = "" if about.startswith(_CONTACT) else customer
        refused = self._abouts.get((rule.name, about, whose))
        return None if refused is None else "refused" if refused else "sent_already"

    def of_rule(self, rule: TouchRule, customer: str) -> list[int]:
        """Return when a rule wrote, what was refused too: its turns are counted by them."""
        return sorted(each.at for each in self._of.get(customer, ()) if each.rule == rule.name)

    def taken(self, rule: TouchRule, customer: str) -> int:
        """Return how many of a rule's messages were not refused."""
        return sum(each.rule == rule.name and not each.refused for each in self._of.get(customer, ()))

    def in_week(self, customer: str, at: int, channel: TouchChannel | None = None) -> list[int]:
        """Return when messages that count went out in the seven days before, oldest first."""
        return sorted(
            each.at
            for each in self._of.get(customer, ())
            if each.capped
            and not each.refused
            and each.at > at - WEEK_MS
            and (channel is None or each.channel == channel)
        )


_CONTACT = "contact:"


def _judged(
    customers: Iterable[CustomerFacts],
    rules: Sequence[TouchRule],
    history: Iterable[SentTouch],
    at: int,
    occasions: Sequence[Occasion],
    limits: TouchLimits,
) -> Iterator[Touch | Withheld]:
    past = _History(history)
    quiet_end = quiet_until(at, limits)
    in_order = sorted(occasions, key=lambda occasion: (occasion.ends_at, occasion.occasion))
    for customer in sorted(customers, key=lambda each: each.customer):
        for rule in rules:
            abouts = list(_abouts(customer, rule, past, at, in_order))
            if not abouts:
                yield Withheld(rule=rule.name, customer=customer.customer, reason="not_due")
            for about in abouts:
                withheld = _withheld(customer, rule, about, past, at, quiet_end, limits)
                if withheld is not None:
                    yield withheld
                    continue
                touch = Touch(
                    rule=rule.name,
                    customer=customer.customer,
                    channel=rule.channel,
                    text=rule.text,
                    about=about,
                    lead=customer.lead,
                    capped=rule.capped,
                )
                past.add(touch.sent(at))
                yield touch


def _abouts(
    customer: CustomerFacts, rule: TouchRule, past: _History, at: int, occasions: Sequence[Occasion]
) -> Iterator[str]:
    """Yield what a rule has to write to a customer about."""
    if rule.grades and customer.grade not in rule.grades:
        return
    if rule.line and not _interested(customer, (rule.line,)):
        return
    begun = customer.contact_at is not None and customer.contact_at + 1000 * rule.delay_s <= at
    match rule.point:
        case "welcome":
            if begun and customer.contact is not None:
                yield _CONTACT + customer.contact
        case "content":
            turns = past.of_rule(rule, customer.customer)
            if begun and (not turns or turns[-1] + (rule.every_days or 0) * DAY_MS <= at):
                yield f"turn:{len(turns) + 1}"
        case "invitation" | "campaign":
            for occasion in occasions:
                if (
                    occasion.kind == rule.point
                    and rule.occasion in ("", occasion.occasion, occasion.named)
                    and occasion.opens_at <= at < occasion.ends_at
                    and (not occasion.lines or _interested(customer, occasion.lines))
                ):
                    yield f"{occasion.kind}:{occasion.occasion}"
        case "dormant":
            if customer.seen_at is not None and customer.seen_at + (rule.silent_days or 0) * DAY_MS <= at:
                yield f"silence:{customer.seen_at}"


def _interested(customer: CustomerFacts, lines: Iterable[tuple[str, ...]]) -> bool:
    return any(path[: len(line)] == line for path in customer.interests for line in lines)


def _withheld(
    customer: CustomerFacts,
    rule: TouchRule,
    about: str,
    past: _History,
    at: int,
    quiet_end: int,
    limits: TouchLimits,
) -> Withheld | None:
    """Return why what is due is not sent: what the customer wants first, then what is not wanted twice, then what is only later."""
    until: int | None = None
    reason: WithheldReason
    week = past.in_week(customer.customer, at) if rule.capped else []
    on_channel = past.in_week(customer.customer, at, rule.channel) if rule.capped else []
    most_on_channel = limits.on_channel(rule.channel)
    talks_end = None if customer.talked_at is None else customer.talked_at + 1000 * limits.talks_s
    if customer.do_not_contact:
        reason = "do_not_contact"
    elif rule.channel in customer.opted_out:
        reason = "opted_out"
    elif not {rule.purpose, f"{rule.purpose}:{rule.channel}"} & set(customer.consents):
        reason = "no_consent"
    elif rule.channel not in customer.channels:
        reason = "no_channel"
    elif customer.status in rule.stops:
        reason = "stopped"
    elif (had := past.had(rule, customer.customer, about)) is not None:
        reason = had
    elif rule.cap and past.taken(rule, customer.customer) >= rule.cap:
        reason = "rule_cap"
    elif rule.point == "welcome" and at > (customer.contact_at or 0) + 1000 * (rule.delay_s + rule.fresh_s):
        reason = "too_late"
    elif customer.status == "following" and talks_end is not None and at < talks_end:
        reason, until = "in_talks", talks_end
    elif rule.capped and len(week) >= limits.per_week:
        reason, until = "week_cap", _room_again(week, limits.per_week)
    elif rule.capped and most_on_channel is not None and len(on_channel) >= most_on_channel:
        reason, until = "channel_cap", _room_again(on_channel, most_on_channel)
    elif quiet_end > at:
        reason, until = "quiet_hours", quiet_end
    else:
        return None
    return Withheld(rule=rule.name, customer=customer.customer, reason=reason, about=about, until=until)


def _room_again(sent: Sequence[int], most: int) -> int | None:
    """Return when enough of what was sent is a week old; None where nothing at all may be sent."""
    return sent[len(sent) - most] + WEEK_MS if most else None
