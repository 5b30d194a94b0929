"""The five-minute clock: working time to the millisecond, who is reminded, and whose fault a breach was."""

from datetime import datetime, timedelta
from itertools import pairwise, product
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontrow.core.centre.clock import (
    CAUSES,
    TIMER_KINDS,
    Cause,
    Consequence,
    QuietHours,
    SlaPolicy,
    SlaVersions,
    Standing,
    Timer,
    TimerKind,
    business_due,
    cause_of_breach,
    consequence,
    measure,
    quiet_until,
    timers_after,
    version_of,
)
from tests.support.oracles import business_elapsed_ms

MINUTE = 60_000
HOUR = 60 * MINUTE
START = 1_790_000_000_000  # 2026-09-21 21:33:20 in Shanghai, a Monday
NIGHT = QuietHours(start="22:00", end="09:00")
PLAIN = SlaPolicy()


def moment(text: str, zone: str = "Asia/Shanghai", fold: int = 0) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


# ---- working time

DUE = {
    "without quiet hours it is plain addition": (SlaPolicy(), "2026-09-21T12:00", 300, "2026-09-21T12:05"),
    "what begins in the night begins in the morning": (
        SlaPolicy(quiet_hours=(NIGHT,)),
        "2026-09-21T23:10",
        300,
        "2026-09-22T09:05",
    ),
    "what the night interrupts goes on in the morning": (
        SlaPolicy(quiet_hours=(NIGHT,)),
        "2026-09-21T21:58",
        300,
        "2026-09-22T09:03",
    ),
    "what ends with the day is due at its end": (
        SlaPolicy(quiet_hours=(NIGHT,)),
        "2026-09-21T21:55",
        300,
        "2026-09-21T22:00",
    ),
    "without seconds it is the start, also at night": (
        SlaPolicy(quiet_hours=(NIGHT,)),
        "2026-09-21T23:10",
        0,
        "2026-09-21T23:10",
    ),
    "a millisecond more is due in the morning": (
        SlaPolicy(quiet_hours=(NIGHT,)),
        "2026-09-21T21:55",
        300.001,
        "2026-09-22T09:00:00.001",
    ),
    "quiet hours of some days leave the others alone": (
        SlaPolicy(quiet_hours=(QuietHours(start="00:00", end="24:00", days=("sat", "sun")),)),
        "2026-09-25T23:59",
        300,
        "2026-09-28T00:04",
    ),
    "a holiday is quiet all day": (
        SlaPolicy(holidays=("2026-10-01", "2026-10-02")),
        "2026-09-30T23:58",
        300,
        "2026-10-03T00:03",
    ),
    "a holiday far away is nothing yet": (
        SlaPolicy(holidays=("2026-12-31", "2026-01-01")),
        "2026-09-30T23:58",
        300,
        "2026-10-01T00:03",
    ),
    "quiet hours that overlap count once": (
        SlaPolicy(quiet_hours=(NIGHT, QuietHours(start="08:00", end="10:00"))),
        "2026-09-21T21:59",
        300,
        "2026-09-22T10:04",
    ),
    "quiet hours in which the clock runs mean nothing": (
        SlaPolicy(quiet_hours=(NIGHT,), in_quiet_hours="run"),
        "2026-09-21T23:10",
        300,
        "2026-09-21T23:15",
    ),
}


@pytest.mark.parametrize(("policy", "start", "seconds", "due"), DUE.values(), ids=DUE)
def test_a_time_is_due_when_so_much_has_been_worked(
    policy: SlaPolicy, start: str, seconds: float, due: str
) -> None:
    assert business_due(moment(start), seconds, policy) == moment(due)
    assert business_elapsed_ms(moment(start), moment(due), policy) == round(seconds * 1000)


def test_a_night_in_which_the_clock_is_put_forward_is_an_hour_shorter() -> None:
    """Berlin, 2026-03-29: 02:00 becomes 03:00. The quiet hours end when the wall says nine."""
    policy = SlaPolicy(timezone="Europe/Berlin", quiet_hours=(NIGHT,))
    start, end = moment("2026-03-28T22:00", "Europe/Berlin"), moment("2026-03-29T09:00", "Europe/Berlin")
    assert end - start == 10 * HOUR
    assert business_due(start, 1, policy) == end + 1000
    daily = moment("2026-03-28T12:00", "Europe/Berlin")
    assert business_due(daily, 13 * 3600, policy) == moment("2026-03-29T12:00", "Europe/Berlin")


def test_quiet_hours_end_at_the_second_of_two_equal_times_and_begin_at_the_first() -> None:
    """Berlin, 2026-10-25: the hour from two to three comes twice."""
    zone = "Europe/Berlin"
    ends = SlaPolicy(timezone=zone, quiet_hours=(QuietHours(start="22:00", end="02:30"),))
    assert (
        business_due(moment("2026-10-25T01:00", zone), 1, ends) == moment("2026-10-25T02:30", zone, 1) + 1000
    )
    begins = SlaPolicy(timezone=zone, quiet_hours=(QuietHours(start="02:30", end="06:00"),))
    first = moment("2026-10-25T02:30", zone, 0)
    assert business_due(first - MINUTE, 61, begins) == moment("2026-10-25T06:00", zone) + 1000


def test_quiet_hours_within_a_leap_of_the_clock_are_where_they_would_have_been_without_it() -> None:
    zone = "Europe/Berlin"
    policy = SlaPolicy(timezone=zone, quiet_hours=(QuietHours(start="02:10", end="02:40"),))
    leap = moment("2026-03-29T03:00", zone)
    assert business_elapsed_ms(leap, leap + HOUR, policy) == HOUR - 30 * MINUTE
    assert business_due(leap, 10 * 60 + 1, policy) == leap + 40 * MINUTE + 1000


TIMES = st.integers(1_750_000_000_000, 1_850_000_000_000)
SECONDS = st.integers(0, 40 * 86_400_000).map(lambda ms: ms / 1000)
ZONES = st.sampled_from(
    ["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]
)
OF_DAY = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
QUIET = st.builds(
    QuietHours,
    start=OF_DAY,
    end=OF_DAY,
    days=st.lists(st.sampled_from(["mon", "tue", "wed", "thu", "fri"]), min_size=1, unique=True).map(tuple),
)
HOLIDAYS = st.lists(st.dates(datetime(2025, 6, 1).date(), datetime(2028, 8, 1).date()), max_size=4).map(  # noqa: DTZ001
    lambda days: tuple(sorted({day.isoformat() for day in days}))
)
POLICIES = st.builds(
    SlaPolicy, timezone=ZONES, quiet_hours=st.lists(QUIET, max_size=3).map(tuple), holidays=HOLIDAYS
)


@given(start=TIMES, seconds=SECONDS, policy=POLICIES)
def test_what_is_worked_until_it_is_due_is_what_was_given(
    start: int, seconds: float, policy: SlaPolicy
) -> None:
    due = business_due(start, seconds, policy)
    assert business_elapsed_ms(start, due, policy) == round(seconds * 1000)
    if seconds:
        assert business_elapsed_ms(start, due - 1, policy) == round(seconds * 1000) - 1, (
            "the first such moment"
        )


@given(start=TIMES, later=st.integers(0, 10**8), seconds=SECONDS, more=SECONDS, policy=POLICIES)
def test_what_begins_later_or_takes_longer_is_not_due_sooner(
    start: int, later: int, seconds: float, more: float, policy: SlaPolicy
) -> None:
    assert business_due(start, seconds, policy) <= business_due(start + later, seconds, policy)
    assert business_due(start, seconds, policy) <= business_due(start, seconds + more, policy)


@given(start=TIMES, seconds=SECONDS, zone=ZONES)
def test_without_quiet_hours_the_zone_is_nothing(start: int, seconds: float, zone: str) -> None:
    assert business_due(start, seconds, SlaPolicy(timezone=zone)) == start + round(seconds * 1000)


@settings(max_examples=25)  # each asks thousands of minutes
@given(
    start=st.integers(29_830_000, 29_900_000).map(lambda minute: minute * MINUTE),
    minutes=st.integers(0, 2 * 1440),
    policy=st.builds(
        SlaPolicy,
        timezone=st.sampled_from(
            ["Asia/Shanghai", "Asia/Kathmandu"]
        ),  # no leaps: what the wall shows is the whole truth
        quiet_hours=st.lists(QUIET, max_size=3).map(tuple),
    ),
)
def test_working_time_is_what_is_left_when_each_minute_is_asked(
    start: int, minutes: int, policy: SlaPolicy
) -> None:
    def quiet(at: int) -> bool:
        wall = datetime.fromtimestamp(at / 1000, ZoneInfo(policy.timezone))
        for hours in policy.quiet_hours:
            for back in (0, 1):
                day = wall - timedelta(days=back)
                if day.strftime("%a").lower() not in hours.days:
                    continue
                begin = int(hours.start[:2]) * 60 + int(hours.start[3:])
                end = int(hours.end[:2]) * 60 + int(hours.end[3:])
                now = wall.hour * 60 + wall.minute + back * 1440
                if begin <= now < (end if end > begin else end + 1440):
                    return True
        return False

    worked = sum(not quiet(start + minute * MINUTE) for minute in range(minutes))
    assert business_elapsed_ms(start, start + minutes * MINUTE, policy) == worked * MINUTE


def test_time_that_runs_backwards_is_no_time_and_no_time_is_negative() -> None:
    assert business_elapsed_ms(START, START - 5, PLAIN) == 0
    with pytest.raises(ValueError, match="negative"):
        business_due(START, -1, PLAIN)


@given(at=TIMES, policy=POLICIES)
def test_quiet_hours_are_over_when_time_goes_on(at: int, policy: SlaPolicy) -> None:
    end = quiet_until(at, policy)
    assert business_elapsed_ms(at, end, policy) == 0
    assert business_elapsed_ms(end, end + 1, policy) == 1


# ---- policies

REFUSED = {
    "nudges that do not rise": ({"nudges": (0.8, 0.6)}, "must rise"),
    "two equal nudges": ({"nudges": (0.6, 0.6)}, "must rise"),
    "a pool that takes a protected lead": ({"protection_s": 100, "recycle_s": 99}, "recycle_s"),
    "an unknown zone": ({"timezone": "Asia/Shangai"}, "time zone"),
    "a zone that is a path": ({"timezone": "../etc"}, "time zone"),
    "a folder of zones": ({"timezone": "Asia"}, "time zone"),
    "a day that is not": ({"holidays": ("2026-02-30",)}, "2026-02-30"),
    "no time to work in": (
        {"quiet_hours": (NIGHT, QuietHours(start="09:00", end="22:00"))},
        "less than five hours",
    ),
}


@pytest.mark.parametrize(("given_", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_policy_that_no_clock_can_keep_is_refused(given_: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        SlaPolicy(**given_)


def test_times_of_day_and_shares_have_bounds_where_they_are_read() -> None:
    for wrong in (
        {"start": "25:00", "end": "06:00"},
        {"start": "9:00", "end": "10:00"},
        {"start": "24:01", "end": "06:00"},
    ):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, QuietHours)
    for share in (0.0, 1.0, -0.5):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"nudges": [share]}, SlaPolicy)


def test_a_lead_keeps_the_version_that_it_was_measured_by() -> None:
    """A promise that is changed does not make an old breach a success, nor the reverse."""
    versions, slow = SlaVersions(), SlaPolicy(first_response_s=900)
    old = measure(START, START - 700, PLAIN)
    assert versions.hold(PLAIN) == old.version
    assert versions.hold(slow) != old.version
    assert versions.of(old.version) == PLAIN
    assert old.due_at == START + 5 * MINUTE
    assert measure(START, START, slow).due_at == START + 15 * MINUTE
    assert SlaVersions(versions.policies).of(old.version) == PLAIN
    with pytest.raises(KeyError):
        versions.of("never")


def test_a_label_that_is_used_again_for_other_values_is_another_version() -> None:
    assert version_of(SlaPolicy(label="夜班")) != version_of(SlaPolicy(label="夜班", untouched_s=60))
    assert version_of(SlaPolicy(label="夜班")).startswith("夜班+")
    assert version_of(SlaPolicy()) == version_of(msgspec.convert({}, SlaPolicy))


# ---- timers


def timers(
    *happenings: tuple[str, int], policy: SlaPolicy = PLAIN, **lead: Any
) -> list[tuple[str, int, int]]:
    """Return (kind, number, minutes after the start) of the timers that are left after what happened at these minutes."""
    left: dict[tuple[TimerKind, int], Timer] = {}
    for happening, minute in happenings:
        change = timers_after(happening, policy, START + minute * MINUTE, **lead)  # type: ignore[arg-type]
        assert all(a.due_at <= b.due_at for a, b in pairwise(change.sets)), "in the order of their due"
        left = {key: timer for key, timer in left.items() if timer.kind not in change.cancels}
        left |= {(timer.kind, timer.number): timer for timer in change.sets}
    found = sorted(left.values(), key=lambda timer: (timer.due_at, TIMER_KINDS.index(timer.kind)))
    return [(timer.kind, timer.number, (timer.due_at - START) // MINUTE) for timer in found]


RESPONSE = [("nudge", 1, 3), ("nudge", 2, 4), ("breach", 1, 5)]
DAY = 24 * 60
OWNED_FROM_1 = [("protection", 1, 7 * DAY + 1), ("recycle", 1, 30 * DAY + 1)]

TIMERS = {
    "a new lead: 3:00, 4:00, 5:00": ([("made", 0)], RESPONSE),
    "a claim alone stops no clock, and begins another": (
        [("made", 0), ("claimed", 1)],
        [*RESPONSE, ("untouched", 1, 16), *OWNED_FROM_1],
    ),
    "a response ends the clocks of first response and of touch": (
        [("made", 0), ("claimed", 0), ("responded", 1)],
        OWNED_FROM_1,
    ),
    "each response renews protection": (
        [("made", 0), ("claimed", 0), ("responded", 0), ("responded", 1)],
        OWNED_FROM_1,
    ),
    "who gets it next has five minutes of their own": (
        [("made", 0), ("reassigned", 5)],
        [("nudge", 1, 8), ("nudge", 2, 9), ("breach", 1, 10)],
    ),
    "what was taken back leaves no timer of the former owner": (
        [("made", 0), ("claimed", 1), ("reassigned", 16)],
        [("nudge", 1, 19), ("nudge", 2, 20), ("breach", 1, 21)],
    ),
    "a manager who must confirm is reminded while the customer waits": (
        [("made", 0), ("approval_asked", 0)],
        [("approval", 1, 2), *RESPONSE],
    ),
    "a decision ends that": ([("made", 0), ("approval_asked", 0), ("approval_given", 1)], RESPONSE),
    "a closed lead has none": ([("made", 0), ("claimed", 0), ("follow_up_set", 0), ("closed", 1)], []),
    "a pooled lead has none": ([("made", 0), ("claimed", 0), ("pooled", 1)], []),
    "a lead from the pool is watched, and not on the five-minute clock": (
        [("pooled", 0), ("claimed", 1)],
        [("untouched", 1, 16), *OWNED_FROM_1],
    ),
    "a lead that was opened again is to be touched": (
        [("closed", 0), ("reopened", 1)],
        [("untouched", 1, 16), *OWNED_FROM_1],
    ),
    "the one to whom it is handed over is watched anew": (
        [("pooled", 0), ("claimed", 0), ("transferred", 1)],
        [("untouched", 1, 16), *OWNED_FROM_1],
    ),
}


@pytest.mark.parametrize(("happenings", "left"), TIMERS.values(), ids=TIMERS)
def test_what_happens_sets_and_cancels_timers(
    happenings: list[tuple[str, int]], left: list[tuple[str, int, int]]
) -> None:
    assert timers(*happenings) == left


def test_a_promised_follow_up_is_due_when_it_was_promised_and_moves_with_its_promise() -> None:
    assert timers(("follow_up_set", 0), follow_up_at=START + 90 * MINUTE) == [("follow_up", 1, 90)]
    change = timers_after("follow_up_set", PLAIN, START)
    assert change.cancels == {"follow_up"}
    assert not change.sets, "a promise that was taken back"
    assert timers(("follow_up_set", 5), follow_up_at=START) == [("follow_up", 1, 5)], (
        "one of the past is due now"
    )


def test_timers_of_a_lead_made_at_night_wait_for_the_morning() -> None:
    policy = SlaPolicy(quiet_hours=(NIGHT,))
    midnight = moment("2026-09-22T00:00")
    change = timers_after("made", policy, midnight)
    assert [timer.due_at for timer in change.sets] == [
        moment("2026-09-22T09:03"),
        moment("2026-09-22T09:04"),
        moment("2026-09-22T09:05"),
    ]


# ---- what a timer does

GIVEN = Standing(seller="li", managers=("wang",), delivered=True)


def due(kind: TimerKind, standing: Standing, policy: SlaPolicy = PLAIN) -> Consequence:
    return consequence(Timer(kind=kind, due_at=START), standing, policy)


def test_nobody_answers_for_five_minutes() -> None:
    """The golden five minutes as a table: 3:00 nudge, 4:00 nudge, 5:00 breach, given on and escalated."""
    change = timers_after("made", PLAIN, START)
    told = [
        ((timer.due_at - START) / MINUTE, timer.kind, consequence(timer, GIVEN, PLAIN))
        for timer in change.sets
    ]
    assert told == [
        (3.0, "nudge", Consequence(told=("li",))),
        (4.0, "nudge", Consequence(told=("li",))),
        (5.0, "breach", Consequence(told=("li", "wang"), act="reassign", cause="seller_no_claim")),
    ]


CONSEQUENCES: dict[str, tuple[TimerKind, Standing, Consequence]] = {
    "a reminder is the seller's alone": ("nudge", GIVEN, Consequence(told=("li",))),
    "a reminder of a lead that nobody has is nobody's": (
        "nudge",
        Standing(managers=("wang",)),
        Consequence(),
    ),
    "a breach of what nobody has is the manager's": (
        "breach",
        Standing(managers=("wang",)),
        Consequence(told=("wang",), act="reassign", cause="unassigned"),
    ),
    "a manager who has the lead is told once": (
        "breach",
        Standing(seller="wang", managers=("wang", "zhao")),
        Consequence(told=("wang", "zhao"), act="reassign", cause="seller_no_claim"),
    ),
    "a seller who has claimed keeps it through the breach": (
        "breach",
        msgspec.structs.replace(GIVEN, claimed=True),
        Consequence(told=("li", "wang"), cause="seller_claimed_untouched"),
    ),
    "and gives it back when it stays untouched": (
        "untouched",
        msgspec.structs.replace(GIVEN, claimed=True),
        Consequence(told=("li", "wang"), act="reassign"),
    ),
    "what waits for a manager is given to nobody else": (
        "breach",
        Standing(awaits_approval=True, managers=("wang",)),
        Consequence(told=("wang",), cause="approval_waiting"),
    ),
    "the seller of an unconfirmed lead hears nothing of its breach": (
        "breach",
        msgspec.structs.replace(GIVEN, awaits_approval=True),
        Consequence(told=("wang",), cause="approval_waiting"),
    ),
    "nor is reminded of it": ("nudge", msgspec.structs.replace(GIVEN, awaits_approval=True), Consequence()),
    "a lead that went through too many hands goes to the pool": (
        "breach",
        msgspec.structs.replace(GIVEN, reassignments=3),
        Consequence(told=("li", "wang"), act="pool", cause="seller_no_claim"),
    ),
    "so does one that comes back too often": (
        "untouched",
        msgspec.structs.replace(GIVEN, claimed=True, reassignments=3),
        Consequence(told=("li", "wang"), act="pool"),
    ),
    "the end of protection is told to the owner": ("protection", GIVEN, Consequence(told=("li",))),
    "a silent lead goes to the pool": ("recycle", GIVEN, Consequence(told=("li",), act="pool")),
    "a promise is the seller's": ("follow_up", GIVEN, Consequence(told=("li",))),
    "a decision is the manager's, who is asked again": (
        "approval",
        Standing(awaits_approval=True, managers=("wang",)),
        Consequence(told=("wang",), sets=(Timer(kind="approval", due_at=START + 4 * MINUTE, number=2),)),
    ),
}


@pytest.mark.parametrize(("kind", "standing", "expected"), CONSEQUENCES.values(), ids=CONSEQUENCES)
def test_who_is_told_and_what_becomes_of_the_lead(
    kind: TimerKind, standing: Standing, expected: Consequence
) -> None:
    assert due(kind, standing) == expected


def test_a_decision_that_nobody_makes_is_asked_for_less_and_less_often_and_never_forgotten() -> None:
    timer, gaps = Timer(kind="approval", due_at=START), []
    for _ in range(40):
        [again] = consequence(timer, Standing(awaits_approval=True, managers=("wang",)), PLAIN).sets
        gaps.append((again.due_at - timer.due_at) // MINUTE)
        timer = again
    assert gaps[:4] == [4, 8, 16, 32]
    assert gaps[-1] == 24 * 60


def test_no_manager_is_told_where_nobody_is_to_be() -> None:
    quiet = SlaPolicy(escalate_to="nobody")
    assert due("breach", GIVEN, quiet).told == ("li",)
    assert due("untouched", GIVEN, quiet).told == ("li",)


STANDINGS = st.builds(
    Standing,
    seller=st.sampled_from([None, "li"]),
    claimed=st.booleans(),
    awaits_approval=st.booleans(),
    on_shift=st.booleans(),
    delivered=st.sampled_from([None, True, False]),
    managers=st.lists(st.sampled_from(["wang", "zhao", "li"]), unique=True).map(tuple),
    reassignments=st.integers(0, 5),
)


@given(kind=st.sampled_from(TIMER_KINDS), standing=STANDINGS)
def test_nobody_beyond_the_seller_and_the_managers_of_the_team_is_ever_told(
    kind: TimerKind, standing: Standing
) -> None:
    told = due(kind, standing).told
    assert len(told) == len(set(told))
    assert set(told) <= {standing.seller, *standing.managers}
    if kind in ("nudge", "follow_up", "protection", "recycle"):
        assert set(told) <= {standing.seller}


CAUSED: dict[Cause, Standing] = {
    "unassigned": Standing(),
    "nobody_on_shift": Standing(on_shift=False),
    "approval_waiting": Standing(seller="li", awaits_approval=True),
    "seller_no_claim": Standing(seller="li", delivered=True),
    "seller_claimed_untouched": Standing(seller="li", claimed=True, delivered=False),
    "alert_not_delivered": Standing(seller="li", delivered=False),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_each_cause_of_a_breach_is_told_from_the_others(cause: Cause) -> None:
    assert cause_of_breach(CAUSED[cause]) == cause


def test_a_breach_has_one_cause_and_only_a_breach_has_one() -> None:
    for kind, seller, claimed, waits in product(TIMER_KINDS, (None, "li"), (True, False), (True, False)):
        found = due(kind, Standing(seller=seller, claimed=claimed, awaits_approval=waits)).cause
        assert (found in CAUSES) if kind == "breach" else (found is None)


def test_a_seller_is_not_excused_because_nothing_was_heard_of_the_alert() -> None:
    assert cause_of_breach(Standing(seller="li", delivered=None)) == "seller_no_claim"
