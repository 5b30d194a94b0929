"""The five-minute clock: when somebody is reminded of a lead, when it is taken from them, and whose fault that was.

A customer who asked a live question is worth an answer while the question is still in their head: most of the chance
of reaching them is gone within half an hour (Oldroyd, *Lead Response Management Study*, MIT/InsideSales, 2007: five
against thirty minutes). So every lead is measured from the moment it was made until somebody first *responds* to it:
touches the customer, or says what came of it. A claim alone is no response.

All is computed from values: a policy, what happened, and when. Nothing here waits; who keeps the timers fires them in
the order (due, lead), at their due time, before any event with a later engine time.

Working time stands still in quiet hours and on holidays. Days and hours are those that the clock on the policy's wall
shows, so a night in which the clock is put forward is an hour shorter. Where the clock shows an hour twice, quiet
hours begin at the first and end at the second; where it leaps over a time of day, that time is when it would have
been without the leap.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Literal, Protocol, assert_never, get_args
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

MINUTES = 60
HOURS = 60 * MINUTES
DAYS = 24 * HOURS

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
TimeOfDay = Annotated[str, Meta(pattern=r"^(?:(?:[01]\d|2[0-3]):[0-5]\d|24:00)$", max_length=5)]
CalendarDay = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d$", max_length=10)]

_DAY_MINUTES = 24 * 60
_WEEK_MINUTES = 7 * _DAY_MINUTES
# With less, what takes thirty days of work would be due in years, and finding out when would take a step for each day
# of them.
_LEAST_WORK_MINUTES = 5 * 60
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class QuietHours(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hours in which nobody is expected to work, on each of ``days``: from ``start`` to ``end``, as ``22:00``.

    An ``end`` that is not after ``start`` is on the day after; equal ones are a whole day. ``days`` are those of the
    start.
    """

    start: TimeOfDay
    end: TimeOfDay
    days: Annotated[tuple[Weekday, ...], Meta(min_length=1)] = WEEKDAYS


class Hours(Protocol):
    """When it is quiet: on which hours of which days, on which whole days, and in which time zone. Hashable, and never changed."""

    @property
    def timezone(self) -> str: ...
    @property
    def quiet_hours(self) -> tuple[QuietHours, ...]: ...
    @property
    def holidays(self) -> tuple[CalendarDay, ...]: ...
    def __hash__(self) -> int: ...


class SlaPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, cache_hash=True):
    """What a customer is promised, in seconds. A policy is a value: a changed one is another, with another :func:`version_of`.

    Counted in working time: ``first_response_s`` from the lead's making (or its latest reassignment) to the first
    response, with ``nudges`` at these shares of it; ``untouched_s`` from a claim until a lead that nobody has
    responded to is taken back; ``approval_s`` until a manager is reminded of a decision. Counted in all time:
    ``protection_s`` from the owner's last sign, in which nobody else may take the lead; ``recycle_s`` from the same
    until it goes to the public pool (公海); ``cooldown_s`` in which the one who lost it to the pool may not claim it
    again. ``max_reassignments`` is how often a lead is given to somebody else before the pool gets it.

    ``in_quiet_hours`` "run" lets working time go on in ``quiet_hours`` and on ``holidays`` (whole days), which then
    mean nothing. ``timezone`` is an IANA name.

    Raises:
        ValueError: A combination that no clock can keep, in words.
    """

    label: Annotated[str, Meta(max_length=64)] = ""
    first_response_s: Annotated[int, Meta(ge=1, le=30 * DAYS)] = 5 * MINUTES
    nudges: tuple[Annotated[float, Meta(gt=0, lt=1)], ...] = (0.6, 0.8)
    untouched_s: Annotated[int, Meta(ge=1, le=30 * DAYS)] = 15 * MINUTES
    approval_s: Annotated[int, Meta(ge=1, le=30 * DAYS)] = 2 * MINUTES
    escalate_to: Literal["manager", "nobody"] = "manager"
    max_reassignments: Annotated[int, Meta(ge=0, le=100)] = 3
    protection_s: Annotated[int, Meta(ge=0, le=3650 * DAYS)] = 7 * DAYS
    recycle_s: Annotated[int, Meta(ge=1, le=3650 * DAYS)] = 30 * DAYS
    cooldown_s: Annotated[int, Meta(ge=0, le=3650 * DAYS)] = 1 * DAYS
    timezone: Annotated[str, Meta(min_length=1, max_length=64)] = "Asia/Shanghai"
    quiet_hours: tuple[QuietHours, ...] = ()
    holidays: tuple[CalendarDay, ...] = ()
    in_quiet_hours: Literal["stand", "run"] = "stand"

    def __post_init__(self) -> None:
        if list(self.nudges) != sorted(set(self.nudges)):
            raise ValueError("nudges must rise, each once")
        if self.recycle_s < self.protection_s:
            raise ValueError(
                "recycle_s must not be shorter than protection_s, for which nobody else may have the lead"
            )
        check_hours(self)


def check_hours(hours: Hours) -> None:
    """Raise a ``ValueError`` that says what is wrong with hours that no clock can keep."""
    try:
        ZoneInfo(hours.timezone)
    # A folder of the time zone database is an OSError, a name that leaves it a ValueError.
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"timezone: {hours.timezone!r} is no IANA time zone") from error
    for day in hours.holidays:
        try:
            date.fromisoformat(day)
        except ValueError as error:
            raise ValueError(f"holidays: there is no day {day}") from error
    if sum(_working_minutes(hours.quiet_hours)) < _LEAST_WORK_MINUTES:
        raise ValueError("quiet_hours leave less than five hours of the week to work in")


def version_of(policy: SlaPolicy) -> str:
    """Return what names a policy for ever: its label, and 12 hex digits of its canonical SHA-256.

    A lead keeps the version that it was measured by; two policies that differ in anything have different versions.
    """
    digest = hashlib.sha256(msgspec.json.encode(policy, order="deterministic")).hexdigest()[:12]
    return f"{policy.label}+{digest}" if policy.label else digest


# ---- working time


def business_due(start: int, seconds: float, policy: SlaPolicy) -> int:
    """Return the first moment at which ``seconds`` of working time have passed since ``start`` (UTC ms), exact to the ms.

    Without seconds it is ``start`` itself, at any hour. What ends with the working day is due at its end, not the
    next morning.

    Raises:
        ValueError: ``seconds`` are negative.
    """
    left = round(seconds * 1000)
    if left < 0:
        raise ValueError("seconds must not be negative")
    at = start
    if left and policy.in_quiet_hours == "stand":
        for quiet_from, quiet_to in quiet_after(start, policy):
            if at + left <= quiet_from:
                break
            left -= max(0, quiet_from - at)
            at = max(at, quiet_to)
    return at + left


def quiet_until(at: int, hours: Hours) -> int:
    """Return when quiet hours are over, or ``at`` itself where they are not on (UTC ms)."""
    begin, end = next(quiet_after(at, hours), (at + 1, at))
    return end if begin <= at else at


def quiet_after(at: int, hours: Hours) -> Iterator[tuple[int, int]]:
    """Yield the quiet spans that end after ``at``, as (from, to) in UTC ms: apart from each other, in order.

    Endless where quiet hours are given (which leave time to work, as whoever holds them has seen to); what is quiet
    on one local day may touch what is quiet on the next.
    """
    zone = ZoneInfo(hours.timezone)
    # A span ends at most 48 hours after the midnight of its day.
    first = datetime.fromtimestamp(at / 1000, zone).date() - timedelta(days=2)
    last: tuple[int, int] | None = None
    for day in _days_from(first, hours):
        for span in _quiet_of(hours, day):
            if last is None:
                last = span
            elif span[0] <= last[1]:
                last = (last[0], max(last[1], span[1]))
            else:
                if last[1] > at:
                    yield last
                last = span
    if last is not None and last[1] > at:
        yield last


def _days_from(first: date, hours: Hours) -> Iterator[date]:
    """Yield the days from one on that may have something quiet: all of them, or the holidays alone."""
    if not any(each.days for each in hours.quiet_hours):
        yield from sorted(day for day in map(date.fromisoformat, hours.holidays) if day >= first)
        return
    while True:
        yield first
        first += timedelta(days=1)


@lru_cache(maxsize=4096)
def _quiet_of(hours: Hours, day: date) -> tuple[tuple[int, int], ...]:
    """Return the quiet spans that begin on a local day, in order; they may overlap."""
    zone = ZoneInfo(hours.timezone)
    weekday = WEEKDAYS[day.weekday()]
    spans = [_span(day, *_minutes(each), zone) for each in hours.quiet_hours if weekday in each.days]
    if day.isoformat() in hours.holidays:
        spans.append(_span(day, 0, _DAY_MINUTES, zone))
    return tuple(sorted(span for span in spans if span[0] < span[1]))


def _span(day: date, start: int, end: int, zone: ZoneInfo) -> tuple[int, int]:
    first, _ = _instants(day, start, zone)
    return first, max(_instants(day, end, zone))


def _instants(day: date, minute: int, zone: ZoneInfo) -> tuple[int, int]:
    """Return when the wall's clock shows a minute of a day, for PEP 495's two readings of it."""
    wall = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)  # noqa: DTZ001
    first, second = (
        round((wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) - _EPOCH) / timedelta(milliseconds=1))
        for fold in (0, 1)
    )
    return first, second


def _minutes(hours: QuietHours) -> tuple[int, int]:
    """Return the minutes of the day at which quiet hours begin and end, the end beyond 24 hours where it is on the next."""
    start, end = (60 * int(text[:2]) + int(text[3:]) for text in (hours.start, hours.end))
    return start, end if end > start else end + _DAY_MINUTES


def _working_minutes(quiet: Iterable[QuietHours]) -> list[bool]:
    working = [True] * _WEEK_MINUTES
    for hours in quiet:
        start, end = _minutes(hours)
        for weekday in hours.days:
            begin = WEEKDAYS.index(weekday) * _DAY_MINUTES
            for minute in range(begin + start, begin + end):
                working[minute % _WEEK_MINUTES] = False
    return working


# ---- timers

TimerKind = Literal["nudge", "breach", "untouched", "protection", "recycle", "follow_up", "approval"]
TIMER_KINDS: tuple[TimerKind, ...] = get_args(TimerKind)
_RESPONSE: frozenset[TimerKind] = frozenset({"nudge", "breach"})
_OWNERSHIP: frozenset[TimerKind] = frozenset({"untouched", "protection", "recycle", "follow_up"})
_ALL = frozenset(TIMER_KINDS)

Happening = Literal[
    "made",  # the lead exists; whether it has been given to somebody is no matter
    "reassigned",  # after a breach, a return or a release: to another seller, or to the queue
    "approval_asked",
    "approval_given",  # either way
    "claimed",
    "transferred",  # to somebody who owns it from now on
    "responded",  # a touch, or an outcome that does not close
    "follow_up_set",
    "closed",  # won, lost or invalid
    "reopened",
    "pooled",
]


class Timer(Struct, frozen=True, kw_only=True):
    """Something that is due at a time (UTC ms). ``number`` tells apart nudges, and reminders of one decision, from 1.

    A lead has at most one timer of each kind and number: a new one takes the place of the old.
    """

    kind: TimerKind
    due_at: int
    number: int = 1


class TimerChange(Struct, frozen=True, kw_only=True):
    """What a happening does to a lead's timers: those of the kinds ``cancels`` go, then ``sets`` come, in the order of their due."""

    cancels: frozenset[TimerKind] = frozenset()
    sets: tuple[Timer, ...] = ()


def timers_after(
    happening: Happening, policy: SlaPolicy, at: int, *, follow_up_at: int | None = None
) -> TimerChange:
    """Return what becomes of a lead's timers when something happens at ``at`` (engine time, UTC ms).

    The policy is the one by which the lead is measured, which need not be the present one. ``follow_up_at`` is what
    the customer was promised (UTC ms), None: nothing; a promise of the past is due now, and stands over a change of
    owner.
    """
    match happening:
        case "made":
            return TimerChange(sets=_response_timers(policy, at))
        case "reassigned":
            # The customer has waited already, and the next seller still needs time of their own. Without a timer
            # nobody would ever look at the lead again.
            return TimerChange(cancels=_ALL, sets=_response_timers(policy, at))
        case "approval_asked":
            due = business_due(at, policy.approval_s, policy)
            return TimerChange(cancels=frozenset({"approval"}), sets=(Timer(kind="approval", due_at=due),))
        case "approval_given":
            return TimerChange(cancels=frozenset({"approval"}))
        case "claimed" | "transferred" | "reopened":
            # The response clock goes on: only who touches the customer has answered them.
            untouched = Timer(kind="untouched", due_at=business_due(at, policy.untouched_s, policy))
            return _set(_OWNERSHIP, untouched, *_ownership_timers(policy, at), *_promise(follow_up_at, at))
        case "responded":
            return _set(_RESPONSE | _OWNERSHIP - {"follow_up"}, *_ownership_timers(policy, at))
        case "follow_up_set":
            return _set(frozenset({"follow_up"}), *_promise(follow_up_at, at))
        case "closed" | "pooled":
            return TimerChange(cancels=_ALL)
        case _:
            assert_never(happening)


def _set(cancels: frozenset[TimerKind], *timers: Timer) -> TimerChange:
    return TimerChange(cancels=cancels, sets=tuple(sorted(timers, key=_by_due)))


def _by_due(timer: Timer) -> tuple[int, int, int]:
    return timer.due_at, TIMER_KINDS.index(timer.kind), timer.number


def _response_timers(policy: SlaPolicy, at: int) -> tuple[Timer, ...]:
    nudges = [
        Timer(kind="nudge", due_at=business_due(at, share * policy.first_response_s, policy), number=number)
        for number, share in enumerate(policy.nudges, start=1)
    ]
    return (*nudges, Timer(kind="breach", due_at=business_due(at, policy.first_response_s, policy)))


def _ownership_timers(policy: SlaPolicy, at: int) -> tuple[Timer, Timer]:
    return (
        Timer(kind="protection", due_at=at + 1000 * policy.protection_s),
        Timer(kind="recycle", due_at=at + 1000 * policy.recycle_s),
    )


def _promise(follow_up_at: int | None, at: int) -> tuple[Timer, ...]:
    return () if follow_up_at is None else (Timer(kind="follow_up", due_at=max(at, follow_up_at)),)


# ---- what a timer does when it is due

Cause = Literal[
    "unassigned",
    "nobody_on_shift",
    "approval_waiting",
    "seller_no_claim",
    "seller_claimed_untouched",
    "alert_not_delivered",
]
CAUSES: tuple[Cause, ...] = get_args(Cause)


class Standing(Struct, frozen=True, kw_only=True):
    """How a lead stands when a timer is due.

    ``seller`` has it or was given it, None: nobody. ``managers`` are those of the lead's own team, and of no other.
    ``on_shift`` is whether anybody of its team could have had it; ``delivered`` whether the seller's alert reached a
    receiver, None: none is configured, or nothing has been heard, for which no seller is excused.
    """

    seller: str | None = None
    claimed: bool = False
    awaits_approval: bool = False
    on_shift: bool = True
    delivered: bool | None = None
    managers: tuple[str, ...] = ()
    reassignments: int = 0


def cause_of_breach(standing: Standing) -> Cause:
    """Return the one reason why nobody has responded: the earliest step at which the lead got stuck."""
    if standing.awaits_approval:
        return "approval_waiting"
    if standing.seller is None:
        return "unassigned" if standing.on_shift else "nobody_on_shift"
    if standing.claimed:
        return "seller_claimed_untouched"
    return "alert_not_delivered" if standing.delivered is False else "seller_no_claim"


class Consequence(Struct, frozen=True, kw_only=True):
    """What is to be done when a timer is due.

    ``told`` are the sellers and managers who get a message, each once and nobody else. ``act`` "reassign": the lead
    is taken back (the act "return" of :mod:`frontrow.core.centre.stages`) and given to another seller, if anybody is
    there; "pool": it goes to the public pool ("recycle"). ``cause`` is of a breach. ``sets`` are timers that come in
    place of the one that was due.
    """

    told: tuple[str, ...] = ()
    act: Literal["nothing", "reassign", "pool"] = "nothing"
    cause: Cause | None = None
    sets: tuple[Timer, ...] = ()


def consequence(timer: Timer, standing: Standing, policy: SlaPolicy) -> Consequence:
    """Return what a timer that is due brings about.

    The seller alone is told of what is theirs; the managers of that team are told of a breach, of a lead that was
    taken back, and of a decision that they owe, again and again at growing intervals. A lead that is claimed when its
    time is over stays with its seller, who may be on the telephone: it is taken back when ``untouched_s`` are over.
    """
    # Before the manager has confirmed it, the lead is no seller's, and none could claim it.
    seller = () if standing.seller is None or standing.awaits_approval else (standing.seller,)
    managers = standing.managers if policy.escalate_to == "manager" else ()
    both = tuple(dict.fromkeys((*seller, *managers)))
    onward: Literal["reassign", "pool"] = (
        "reassign" if standing.reassignments < policy.max_reassignments else "pool"
    )
    match timer.kind:
        case "nudge" | "follow_up" | "protection":
            return Consequence(told=seller)
        case "recycle":
            return Consequence(told=seller, act="pool")
        case "approval":
            # A decision that is never made must not be forgotten, nor cost a manager a message every two minutes.
            wait_s = min(policy.approval_s * 2 ** min(timer.number, 32), max(policy.approval_s, 1 * DAYS))
            again = Timer(
                kind="approval",
                due_at=business_due(timer.due_at, wait_s, policy),
                number=timer.number + 1,
            )
            return Consequence(told=standing.managers, sets=(again,))
        case "untouched":
            return Consequence(told=both, act=onward)
        case "breach":
            stays = standing.claimed or standing.awaits_approval
            return Consequence(told=both, act="nothing" if stays else onward, cause=cause_of_breach(standing))
        case _:
            assert_never(timer.kind)


class Measure(Struct, frozen=True, kw_only=True):
    """By what a lead is measured, kept with it for ever. Times are UTC ms.

    ``made_at`` is engine time, ``event_at`` the platform's time of the event that made it (both are kept: a feed that
    lags eats of the five minutes, and is to be seen). ``due_at`` is when the first response is due.
    """

    version: str
    made_at: int
    event_at: int
    due_at: int


def measure(made_at: int, event_at: int, policy: SlaPolicy) -> Measure:
    """Return the measure of a lead that is made now, by the present policy."""
    return Measure(
        version=version_of(policy),
        made_at=made_at,
        event_at=event_at,
        due_at=business_due(made_at, policy.first_response_s, policy),
    )


class SlaVersions:
    """Every policy that ever held, by its version: what is there is never changed. Not thread-safe."""

    def __init__(self, policies: Mapping[str, SlaPolicy] | None = None) -> None:
        """Take over what :attr:`policies` gave."""
        self._policies = dict(policies or {})

    @property
    def policies(self) -> Mapping[str, SlaPolicy]:
        """Policies by version, in the order in which they came."""
        return dict(self._policies)

    def hold(self, policy: SlaPolicy) -> str:
        """Keep a policy that holds from now on, and return its version. Idempotent."""
        version = version_of(policy)
        self._policies.setdefault(version, policy)
        return version

    def of(self, version: str) -> SlaPolicy:
        """Return the policy of a version.

        Raises:
            KeyError: It never held.
        """
        return self._policies[version]
