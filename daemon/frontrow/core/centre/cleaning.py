"""Cleaning: from a lead that may be one to a lead that is, by telephone or by a person's eyes, and one record out of several.

Three decisions, all pure. *Tasks*: a lead is called by an outside service or by a person, which reports as it goes;
its reports come twice, late and out of order. *The queue*: which leads a person should look at, and why.
*Survivorship*: of several records of one customer, which value of each field is shown. Nothing is thrown away, so a
merge is undone by leaving a record out again.
"""

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Literal, assert_never

import msgspec
from msgspec import Meta, Struct

from frontrow.core.centre.facts import NOWHERE, Region
from frontrow.core.centre.quality import SPAM_FAULTS, Fault

# ---------------------------------------------------------------------- tasks


class CleaningRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long an attempt may take from when it was queued, in seconds, and how many are made of one lead."""

    timeout_s: Annotated[int, Meta(ge=60, le=7 * 86_400)] = 3_600
    attempts: Annotated[int, Meta(ge=1, le=20)] = 3


class State(StrEnum):
    """Where a task is. ``DECIDED`` is the end; ``TIMEOUT`` is the end too, unless a report comes after all."""

    QUEUED = "queued"
    DIALING = "dialing"
    ANSWERED = "answered"
    DECIDED = "decided"
    TIMEOUT = "timeout"


Intent = Literal["yes", "no", "unknown"]

_ORDER = {State.QUEUED: 0, State.DIALING: 1, State.ANSWERED: 2, State.TIMEOUT: 3, State.DECIDED: 4}


class Task(Struct, frozen=True, kw_only=True):
    """One attempt to clean one lead. Times in UTC ms; ``intent`` is None until it is decided."""

    task: str
    lead: str
    queued_at: int
    due_at: int
    attempt: int = 1
    state: State = State.QUEUED
    intent: Intent | None = None
    by: str = ""  # who reported last
    changed_at: int = 0

    @property
    def open(self) -> bool:
        """Whether something is still waited for."""
        return self.state not in (State.DECIDED, State.TIMEOUT)


class Report(Struct, frozen=True, kw_only=True):
    """What is told of a task: ``clean_result.data`` without the task. An intent belongs to ``DECIDED`` and to no other state."""

    state: State
    intent: Intent | None = None
    by: str = ""


class Refused(StrEnum):
    """Why a report changes nothing."""

    REPEATED = "repeated"  # it says what is known: to be answered like the first
    STALE = "stale"  # it says less than what is known, since it comes late
    FINAL = "final"  # it says another thing than what was decided
    UNREADABLE = "unreadable"  # a decision without an intent, or an intent without a decision


class Step(Struct, frozen=True):
    """What a report did: the task as it is now, and why it is the same as before; None: it is not."""

    task: Task
    refused: Refused | None = None


def queued(lead: str, at: int, rules: CleaningRules, attempt: int = 1) -> Task:
    """Return a new task; its name is the same whenever it is computed."""
    due_at = at + rules.timeout_s * 1000
    return Task(
        task=f"{lead}:{attempt}", lead=lead, queued_at=at, due_at=due_at, attempt=attempt, changed_at=at
    )


def advance(task: Task, report: Report, at: int) -> Step:
    """Take a report of a task. Steps may be left out; the same report again changes nothing, however often.

    A timeout is only our own impatience: a report of an answer or of a decision is taken after it.
    """
    if (report.state is State.DECIDED) is (report.intent is None):
        return Step(task, Refused.UNREADABLE)
    if (report.state, report.intent) == (task.state, task.intent):
        return Step(task, Refused.REPEATED)
    if task.state is State.DECIDED:
        return Step(task, Refused.FINAL if report.state is State.DECIDED else Refused.STALE)
    comes_after_all = task.state is State.TIMEOUT and report.state is State.ANSWERED
    if _ORDER[report.state] < _ORDER[task.state] and not comes_after_all:
        return Step(task, Refused.STALE)
    return Step(
        msgspec.structs.replace(
            task, state=report.state, intent=report.intent, by=report.by, changed_at=max(at, task.changed_at)
        )
    )


def expired(task: Task, now: int, rules: CleaningRules) -> tuple[Task, Task | None]:
    """Return the task as it is at ``now`` and the next attempt that follows it, or None."""
    if not task.open or now < task.due_at:
        return task, None
    ended = msgspec.structs.replace(task, state=State.TIMEOUT, changed_at=task.due_at)
    if task.attempt >= rules.attempts:
        return ended, None
    return ended, queued(task.lead, task.due_at, rules, task.attempt + 1)


# ---------------------------------------------------------------------- the queue for a person


class Doubt(StrEnum):
    """Why a person should look at a lead, the most pressing first."""

    SHARED_PHONE = "shared_phone"  # one number on more viewers than a family has
    SUSPECTED_SPAM = "suspected_spam"
    CONTRADICTORY = "contradictory"
    UNREADABLE_NUMBER = "unreadable_number"  # somebody wants to be called, and cannot be
    INTENT_UNKNOWN = "intent_unknown"  # was reached, and it is still not known


class DoubtRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``viewers_per_phone``: on how many viewers of one platform a number may be before it is nobody's own. ``conduct``: whether who behaves
    like a machine, or as one with others, is suspected (:mod:`frontrow.core.centre.conduct`)."""

    viewers_per_phone: Annotated[int, Meta(ge=1, le=1_000)] = 3
    conduct: bool = True


class DoubtFacts(Struct, frozen=True, kw_only=True):
    """What is known where doubts may come from.

    ``phones``: the different valid numbers (keyed hashes) of the same customer and session; ``phone_viewers``: on how many viewers
    of one platform the most shared of them is. ``declared``: the region of a form; ``of_number`` of its number.
    ``intents``: what the customer and all who have spoken to them said, of any source.
    """

    faults: tuple[Fault, ...] = ()
    phones: frozenset[str] = frozenset()
    phone_viewers: int = 0
    declared: Region = NOWHERE
    of_number: Region = NOWHERE
    intents: frozenset[Intent] = frozenset()


def doubts_about(facts: DoubtFacts, rules: DoubtRules) -> tuple[Doubt, ...]:
    """Return why a person should look at this lead; empty where nobody needs to."""
    suspected = SPAM_FAULTS & set(facts.faults)
    countries = {facts.declared.country, facts.of_number.country} - {""}
    contradictory = len(facts.phones) > 1 or len(countries) > 1 or {"yes", "no"} <= facts.intents
    found = {
        Doubt.SHARED_PHONE: facts.phone_viewers > rules.viewers_per_phone,
        Doubt.SUSPECTED_SPAM: bool(suspected),
        Doubt.CONTRADICTORY: contradictory,
        Doubt.UNREADABLE_NUMBER: Fault.FORMAT in facts.faults,
        Doubt.INTENT_UNKNOWN: facts.intents == {"unknown"},
    }
    return tuple(doubt for doubt, is_so in found.items() if is_so)


# ---------------------------------------------------------------------- survivorship

Source = Literal["verified", "form", "crm", "profile", "comment"]
SOURCES: tuple[Source, ...] = ("verified", "form", "crm", "profile", "comment")  # the most believed first

Preference = Literal["source", "newest", "oldest", "longest"]
"""What makes a value win: a better source, being newer, being older, having more characters."""

SURVIVORSHIP: Mapping[str, tuple[Preference, ...]] = {
    "phone": ("source", "newest"),
    "name": ("source", "longest", "newest"),  # 陈 in one form and 陈小明 in another are the same
    "company": ("source", "longest", "newest"),
    "city": ("source", "newest"),
    "province": ("source", "newest"),
    "consent": ("newest",),  # whoever takes it back has taken it back, whatever was ticked in which form
    "product": ("newest",),
    "campaign": ("oldest",),  # what brought the customer
    "first_seen": ("oldest",),
}
OTHERWISE: tuple[Preference, ...] = ("source", "newest")


class Value(Struct, frozen=True, kw_only=True):
    """What one record says of one field. ``at`` in UTC ms.

    ``value`` may be sealed; then ``length``, in characters, tells how long it is, else its own length counts.
    """

    record: str
    field: str
    value: str
    source: Source
    at: int
    length: int | None = None


class Survivor(Struct, frozen=True):
    """A field of a merged customer: the value that is shown, and the others, the next best first."""

    won: Value
    lost: tuple[Value, ...] = ()


def merged(
    values: Iterable[Value],
    *,
    without: Collection[str] = (),
    rules: Mapping[str, tuple[Preference, ...]] = SURVIVORSHIP,
) -> dict[str, Survivor]:
    """Return each field's survivor over all records but those ``without``; empty values count as not given.

    The order of ``values`` has no say, so a merge is undone by merging without the record that came in.
    """
    by_field: dict[str, list[Value]] = {}
    for value in values:
        if value.value and value.record not in without:
            by_field.setdefault(value.field, []).append(value)
    found: dict[str, Survivor] = {}
    for field in sorted(by_field):
        preferences = rules.get(field, OTHERWISE)
        best, *others = sorted(by_field[field], key=lambda value: _rank(value, preferences))
        found[field] = Survivor(best, tuple(others))
    return found


def _rank(value: Value, preferences: tuple[Preference, ...]) -> tuple[int | str, ...]:
    wins = [_order(value, preference) for preference in preferences]
    # Never a tie between values that differ: the record's name is as good as a coin.
    return (*wins, value.record, value.value, -value.at, SOURCES.index(value.source), value.length or 0)


def _order(value: Value, preference: Preference) -> int:
    match preference:
        case "source":
            return SOURCES.index(value.source)
        case "newest":
            return -value.at
        case "oldest":
            return value.at
        case "longest":
            return -(len(value.value) if value.length is None else value.length)
        case _:
            assert_never(preference)
