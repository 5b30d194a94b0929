"""The cleaning queue over the book: which leads somebody should look at, the tasks that this makes, and what is reported of them.

What is a doubt, and what a report does to a task, is decided by :mod:`cleaning`. Here is what it asks, and its
timers: a task waits for whoever takes it as long as it must; once somebody is at it they have ``timeout_s``, and then
it is put to the next.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from frontrow.core.centre import identities as ids
from frontrow.core.centre.book import Book, CleanTask, LeadRow, TimerRow
from frontrow.core.centre.cleaning import (
    CleaningRules,
    Doubt,
    DoubtFacts,
    Intent,
    Refused,
    Report,
    State,
    Step,
    Task,
    advance,
    doubts_about,
    expired,
    queued,
)
from frontrow.core.centre.policy import CentrePolicy
from frontrow.core.centre.quality import Fault
from frontrow.core.errors import EventInvalid

RING = "clean"  # the kind of a lead's timer for its tasks
SAME_VISIT_MS = 12 * 3_600_000  # numbers that somebody leaves within this time should be one
CONFIRMED = 4  # the quality of an outcome by which a seller has heard the intent


@dataclass(frozen=True)
class Hands:
    """What the lead centre lends; ``settle`` decides a lead's quality again."""

    note: Callable[[LeadRow, str, str, int, Mapping[str, Any]], None]
    changed: Callable[[LeadRow], None]
    settle: Callable[[LeadRow], None]
    policy: Callable[[], CentrePolicy]


class Queue:
    """Asks and hears. Part of one lead centre."""

    def __init__(self, book: Book, hands: Hands) -> None:
        self._book = book
        self._hands = hands

    def doubt(self, row: LeadRow, at: int) -> None:
        """Ask somebody about a lead where there is reason to, once for each reason."""
        facts = self._facts(row)
        for doubt in doubts_about(facts, self._hands.policy().doubts):
            if doubt is Doubt.SUSPECTED_SPAM and facts.intents & {"yes", "no"}:
                continue  # somebody has spoken with them, and said what they are
            self.ask(row, doubt, at)

    def ask(self, row: LeadRow, reason: str, at: int) -> None:
        """Put a lead into the queue, once for each reason."""
        if any(task.reason == reason for task in self._book.tasks_of(row.lead)):
            return
        task = queued(f"{row.lead}:{reason}", at, self._rules)
        self._put(row.lead, reason, task)
        self._hands.note(row, "cleaning", "clock", at, {"reason": reason})
        self._hands.changed(row)

    def hear(self, name: str, data: Mapping[str, Any], at: int) -> Refused | None:
        """Take a report of a task; return why it changes nothing, or None.

        Raises:
            EventInvalid: There is no such task, or it says nothing that can be read.
        """
        row_of_task = self._book.task(name)
        if row_of_task is None:
            raise EventInvalid("there is no such task")
        report = read_report(data)
        done = advance(task_of(row_of_task), report, at)
        if done.refused is not None:
            if done.refused is Refused.UNREADABLE:
                raise EventInvalid("a decision says its intent, and nothing else does")
            return done.refused
        row = self._home(row_of_task.lead)
        if row is None:
            return None
        # Whoever is at it has so long from their last word.
        task = msgspec.structs.replace(done.task, due_at=at + self._rules.timeout_s * 1000)
        self._put(row_of_task.lead, row_of_task.reason, task)
        if task.state is State.DECIDED:
            for other in self._book.tasks_of(row_of_task.lead):
                same = task_of(other)
                if other.reason == row_of_task.reason and same.open:  # the question is answered
                    self._put(other.lead, other.reason, advance(same, report, at).task)
        if task.intent == "yes":
            row.flags = sorted({*row.flags, "confirmed"})
        elif task.intent == "no":
            row.flags = sorted({*row.flags, "spam"} - {"confirmed"})
        self._hands.settle(row)
        told = {"task": name, "state": str(task.state), "intent": task.intent}
        self._hands.note(row, "clean_result", task.by or "clock", at, told)
        self._hands.changed(row)
        self.doubt(row, at)
        return None

    def ring(self, lead: str, at: int) -> None:
        """Take what was begun and not reported back from who has it, and put it to the next, as often as the rules allow."""
        row = self._home(lead)
        for known in self._book.tasks_of(lead):
            if known.due_at is None or row is None:
                continue
            ended, again = expired(task_of(known), at, self._rules)
            if ended.state is State.TIMEOUT:
                self._put(lead, known.reason, ended)
                told = {"task": known.task, "state": str(ended.state)}
                self._hands.note(row, "clean_result", "clock", at, told)
                self._hands.changed(row)
            if again is not None:
                self._put(lead, known.reason, again)

    @property
    def _rules(self) -> CleaningRules:
        return self._hands.policy().cleaning

    def _home(self, lead: str) -> LeadRow | None:
        row = self._book.lead(lead)
        while row is not None and row.merged_into is not None:
            row = self._book.lead(row.merged_into)
        return row

    def _put(self, lead: str, reason: str, task: Task) -> None:
        """Keep a task under the lead that it was asked about, whatever that is merged into."""
        known = self._book.task(task.task)
        if known is None:
            known = CleanTask(task.task, lead, reason, "", None, None, task.queued_at, None, task.attempt)
        known.state, known.intent, known.by = str(task.state), task.intent, task.by or None
        known.settled_at = None if task.open else task.changed_at
        known.due_at = task.due_at if task.state in (State.DIALING, State.ANSWERED) else None
        self._book.put(known)
        self._set_timer(lead)

    def _set_timer(self, lead: str) -> None:
        due = [task.due_at for task in self._book.tasks_of(lead) if task.due_at is not None]
        present = next((timer for timer in self._book.timers_of(lead) if timer.kind == RING), None)
        if due:
            self._book.put(TimerRow(lead, RING, 0, min(due)))
        elif present is not None:
            self._book.remove(present)

    def _facts(self, row: LeadRow) -> DoubtFacts:
        book = self._book
        identities = book.identities_of(row.customer)
        contacts = [each for one in identities for each in book.contacts_of(one.kind, one.key) if each.phone]
        newest = max((each.at for each in contacts), default=0)
        of_one_visit = frozenset(each.phone for each in contacts if newest - each.at <= SAME_VISIT_MS)
        return DoubtFacts(
            faults=tuple(Fault(each) for each in row.faults),
            phones=of_one_visit,
            phone_viewers=max(
                (self._viewers(phone) for phone in sorted({each.phone for each in contacts})), default=0
            ),
            intents=frozenset(self._intents(row)),
        )

    def _viewers(self, phone: str) -> int:
        """Return on how many viewers of one platform a number is."""
        found: dict[str, set[str]] = {}
        for link in self._book.links_of(ids.PHONE, phone):
            if link.unlinked_at is None:
                for kind, key in ((link.a_kind, link.a_key), (link.b_kind, link.b_key)):
                    if kind.startswith(ids.VIEWER):
                        found.setdefault(kind, set()).add(key)
        return max(map(len, found.values()), default=0)

    def _intents(self, row: LeadRow) -> set[Intent]:
        said: set[Intent] = set()
        for task in self._book.tasks_of(row.lead):
            if task.intent is not None and task.state == State.DECIDED:
                said.add(task.intent)  # type: ignore[arg-type]  # a column of intents
        outcome = None if row.outcome is None else self._hands.policy().pack.outcome(row.outcome)
        if outcome is not None and outcome.quality is not None:
            said |= {"yes"} if outcome.quality >= CONFIRMED else set()
        return said


def task_of(row: CleanTask) -> Task:
    """Return a row as what reports are taken by."""
    return Task(
        task=row.task,
        lead=row.task.rpartition(":")[0],
        queued_at=row.created_at,
        due_at=row.created_at if row.due_at is None else row.due_at,
        attempt=row.attempt,
        state=State(row.state),
        intent=row.intent,  # type: ignore[arg-type]  # a column of intents
        by=row.by or "",
    )


def read_report(data: Mapping[str, Any]) -> Report:
    """Return the report that JSON values tell of, beside whatever else they say.

    Raises:
        EventInvalid: They tell of none.
    """
    try:
        said = {name: data[name] for name in ("state", "intent", "by") if data.get(name) is not None}
        return msgspec.convert(said, Report)
    except (KeyError, msgspec.ValidationError) as error:
        raise EventInvalid("it says no state of a task") from error


def reported(row: CleanTask, report: Report, at: int) -> Step:
    """Return what a report would do to a task; changes nothing."""
    return advance(task_of(row), report, at)
