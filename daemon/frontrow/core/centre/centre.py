"""The lead centre: applies the journal's events and the engine's leads, in order, to the book of leads.

Pure and deterministic over its book: the same journal gives the same customers, leads, assignments, timers and
messages, wherever its frames are cut. Time is the events'. Timers fire at their due time, in the order (due, lead,
kind, number), before any event with a later time. Nothing is decided by what is personal. An event that cannot be
applied (a claim that came too late, a malformed one) changes nothing and is counted; it never stops what comes after
it.

What stands where: identities and links → :mod:`identities`; who gets a lead → :mod:`assignment`; what may be done to
one → :mod:`stages`; when → :mod:`clock`; how usable it is → :mod:`quality`. Here they are put together.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from frontrow.core.alerts import CLUE, LeadFeedback
from frontrow.core.centre import ability, costs, milestones, nursing, queue
from frontrow.core.centre import identities as ids
from frontrow.core.centre.assignment import Decision, Rotation, decide
from frontrow.core.centre.assignment import State as Turns
from frontrow.core.centre.book import (
    Access,
    Book,
    Consent,
    Contact,
    Cost,
    Entry,
    Identity,
    LeadRow,
    Link,
    OrgRow,
    RawLead,
    State,
    TimerRow,
    Told,
    TurnRow,
)
from frontrow.core.centre.cleaning import Doubt, Refused
from frontrow.core.centre.clock import (
    Happening,
    SlaPolicy,
    SlaVersions,
    Standing,
    Timer,
    consequence,
    timers_after,
)
from frontrow.core.centre.conduct import SIGNS, Finding
from frontrow.core.centre.facts import LeadFacts, Region
from frontrow.core.centre.meeting import Meeting, meeting
from frontrow.core.centre.nurture import Touch
from frontrow.core.centre.organisation import Organisation, OrgChange, Seller, Unit, read_change
from frontrow.core.centre.policy import CentrePolicy, policy_data, policy_version, read_policy
from frontrow.core.centre.quality import Contact as QualityContact
from frontrow.core.centre.quality import NumberLists, QualityFacts, faults_of, quality_of
from frontrow.core.centre.stages import CLOSED, Act, LeadState, Refusal, Step, act_of, step
from frontrow.core.centre.storable import (
    MOST,
    event_key,
    plain,
    storable,
    storable_text,
    with_storable_texts,
)
from frontrow.core.centre.survivors import survivors
from frontrow.core.centre.transfer import Move, Place, Plan, Run, read_plan, stands
from frontrow.core.centre.transfer import Step as TransferStep
from frontrow.core.contact import mask_name, mask_numbers
from frontrow.core.errors import EventInvalid
from frontrow.core.events import CENTRE_KINDS, MAX_NAME, PEOPLE_KINDS, Event
from frontrow.core.frames import Frame
from frontrow.core.leads import GRADES, Lead, lead_id
from frontrow.core.points import SAME_WORDS

PLATFORM, ROOM = "frontrow", "centre"  # where the centre's own events stand
RELEVANT = (
    PEOPLE_KINDS
    | CENTRE_KINDS
    | {
        "policy_change",
        "room_start",
        "form_submit",
        "booking",
        "order_paid",
        "order_refunded",
        "follow",
        "fan_club",
    }
)
NUMBER_LISTS = ("blacklist", "staff", "test")
REAL_NUMBERS = "not_test"  # those that somebody has taken off the list of test numbers
CLOCK = "clock"  # the actor of what timers do
REFUSALS_KEPT = 1_000
FROM_POOL = "from_pool"  # in a timeline: the pool that a lead left, where every seller saw it
DAY_MS = 86_400_000
KEPT_MS = 30 * DAY_MS  # for so long the transfer of a store's leads can be undone
JUDGED_MS = 365 * DAY_MS  # for how long a closed lead speaks of its seller
MAX_PURPOSE = 64  # characters, of a consent's purpose and channel

Shown = tuple[str | None, str | None]
"""What may be shown of a viewer: the name and the last words, both masked; personal, and nothing is decided by it."""

_STATE_FIELDS = tuple(name for name in LeadState.__struct_fields__ if name != "reached")
_GRADE_ORDER: Mapping[str, int] = {grade: number for number, grade in enumerate(GRADES)}


class Centre:
    """Applies frames to a book. Not thread-safe: one owner, in the journal's order."""

    def __init__(self, book: Book, policy: CentrePolicy) -> None:
        """``policy`` holds until the journal says another one; what the book says goes before it."""
        self._book = book
        self._first_policy = policy
        self.refused: Counter[str] = Counter()  # events that changed nothing, by kind; since the start
        self.refusals: dict[
            str, Refusal
        ] = {}  # why, by the event's id: of the last ones, for who waits for an answer
        self._told: list[Told] = []
        self._handlers: Mapping[str, Callable[[Event, int], None]] = {
            "policy_change": self._on_policy,
            "org_change": self._on_organisation,
            "room_start": self._on_room_start,
            "form_submit": self._on_form,
            "booking": self._on_booking,
            "order_paid": self._on_order,
            "order_refunded": self._on_refund,
            "follow": self._on_follow,
            "fan_club": self._on_follow,
            "identity_link": self._on_link,
            "identity_unlink": self._on_unlink,
            "consent": self._on_consent,
            "person_erase": self._on_erase,
            "contact_reveal": self._on_reveal,
            "clean_result": self._on_cleaned,
            "cost_change": self._on_costs,
            "touch_sent": self._on_touch_sent,
            "touch_result": self._on_touch_result,
            "occasion_change": self._on_occasion,
            "number_change": self._on_numbers,
            "lead_approve": self._on_approve,
            "lead_assign": self._on_assign,
            "store_transfer": self._on_transfer,
            **dict.fromkeys(
                (
                    "lead_claim", "lead_release", "lead_transfer", "lead_touch", "lead_outcome", "lead_stage",
                    "lead_review", "lead_recycle", "lead_note",
                ),
                self._on_act,
            ),
        }  # fmt: skip
        self._nurse = nursing.Nurse(
            book, nursing.Hands(self._note, self._changed, self._tell_customer, lambda: self.policy)
        )
        self._queue = queue.Queue(
            book, queue.Hands(self._note, self._changed, self._settle_quality, lambda: self.policy)
        )
        self._loaded = False
        self._turned = False
        self._judged_day: int | None = None  # of engine time, whose abilities hold
        self._numbers = NumberLists()
        self.journalled = False  # whether the policy in force is the journal's
        self.policy = policy
        self.organisation = Organisation()
        self._slas = SlaVersions()
        self._turns = Turns()
        self.transfers: Mapping[str, Run] = {}  # by plan; exchanged whole
        self._plan: Plan | None = None  # that was read last

    # ------------------------------------------------------------------ following

    def concerns(self, frame: Frame) -> bool:
        """Return whether a frame has an event that the centre may do something with."""
        return not RELEVANT.isdisjoint(frame.kinds)

    def now_after(self, frame: Frame) -> int:
        """Return engine time (UTC ms) after a frame."""
        return max(self._book.position().now, *frame.arrivals())

    def reload(self) -> None:
        """Forget what was not committed; the book has forgotten it too."""
        self._loaded = False
        self._told.clear()

    def take_told(self) -> list[Told]:
        """Return the messages that were decided since the last call, in order."""
        told, self._told = self._told, []
        return told

    def tell_again(self, told: Sequence[Told]) -> None:
        """Put messages that were taken in front of those that are decided from now on."""
        self._told = [*told, *self._told]

    def apply(
        self,
        frame: Frame,
        leads: Sequence[tuple[int, Lead]],
        shown: Mapping[str, Shown] | None = None,
        found: Sequence[Finding] = (),
    ) -> None:
        """Apply the relevant events of a durable frame and the leads that it made, each (position, lead) in the order of making.

        ``shown`` is what may be shown of the viewers of these leads, by lead; what is missing there is looked for in
        the frame. ``found`` are signs of these viewers' conduct, in order.
        """
        self.load()
        position = self._book.position()
        nows = np.maximum.accumulate(np.maximum(np.array(frame.arrivals(), np.int64), position.now)).tolist()
        relevant = [at for at, kind in enumerate(frame.kinds) if kind in RELEVANT and not frame.tests[at]]
        events = dict(zip(relevant, frame.take(relevant).events(), strict=True)) if relevant else {}
        made: dict[int, list[Lead]] = {}
        for at, lead in leads:
            made.setdefault(at, []).append(lead)
        signs: dict[int, list[Finding]] = {}
        for finding in found:
            signs.setdefault(finding.position, []).append(finding)
        for at in sorted({*events, *made, *signs}):
            event = events.get(at)
            if event is not None:
                self._fire(nows[at])
                self._hear(event, nows[at])
            for lead in made.get(at, ()):
                self._fire(lead.decided_at)
                self._take_lead(lead, (shown or {}).get(lead.lead) or _shown(frame, at, lead.viewer))
            for finding in signs.get(at, ()):
                self._fire(finding.at)
                self._suspect(finding)
        self._fire(nows[-1])
        position.now = nows[-1]
        self._save()

    def _hear(self, event: Event, at: int) -> None:
        try:
            self._handlers.get(event.kind, self._on_other)(storable(event), at)
        except (EventInvalid, ValueError, msgspec.ValidationError):
            self._refuse(event, Refusal(code="malformed"))

    def _refuse(self, event: Event, refusal: Refusal) -> None:
        self.refused[event.kind] += 1
        self.refusals[event.id] = refusal
        while len(self.refusals) > REFUSALS_KEPT:
            del self.refusals[next(iter(self.refusals))]

    def would_refuse(self, row: LeadRow, event: Event, at: int) -> Refusal | None:
        """Return why an event would not be done to a lead as it is, or None; changes nothing."""
        act = act_of(event, at)
        if act is None or isinstance(act, Refusal):
            return act
        slas = self._slas.policies
        done = step(_state_of(row), act, self.policy.pack.workflow, slas.get(row.sla, self.policy.sla))
        return done if isinstance(done, Refusal) else None

    def _on_other(self, event: Event, at: int) -> None:
        """An event that is kept for those who read it."""

    def open_of(self, seller: str) -> int:
        """Return how many open leads somebody has."""
        return self._turns.open.get(seller, 0)

    # ------------------------------------------------------------------ what is in force

    def load(self) -> None:
        """Read from the book what is in force; within a transaction of its own, or before a frame."""
        if self._loaded:
            return
        book = self._book
        kept = book.state("policy")
        self.journalled = kept is not None
        self.policy = self._first_policy if kept is None else read_policy(kept.value)
        self._numbers = self._numbers_of(book.state("numbers"))
        slas = book.state("sla")
        self._slas = SlaVersions(
            {}
            if slas is None
            else {version: msgspec.convert(body, SlaPolicy) for version, body in slas.value.items()}
        )
        rows = book.organisation()
        self.organisation = Organisation(
            [msgspec.convert(row.body, Unit) for row in rows if row.what == "unit"],
            [msgspec.convert(row.body, Seller) for row in rows if row.what == "seller"],
        )
        runs = book.state("transfers")
        self.transfers = {} if runs is None else msgspec.convert(runs.value, dict[str, Run])
        turns = book.state("turns")
        self._turns = Turns(
            day=0 if turns is None else turns.value["day"],
            rotations={row.rotation: msgspec.convert(row.body, Rotation) for row in book.turns()},
        )
        self._turns.open = book.open_leads()
        judged = book.state("abilities")
        self._judged_day = None if judged is None else judged.value["day"]
        self._turns.abilities = {} if judged is None else judged.value["low"]
        self._loaded = True

    def _save(self) -> None:
        # Who has how many open leads is in the leads themselves, and what sellers are able to beside this.
        turns = self._turns
        for name in sorted(turns.touched):
            self._book.put(TurnRow(name, msgspec.to_builtins(turns.rotations[name])))
        turns.touched.clear()
        if self._turned:
            self._put_state("turns", {"day": turns.day})
            self._turned = False

    def _put_state(self, name: str, value: dict[str, Any]) -> None:
        known = self._book.state(name)
        if known is None:
            self._book.put(State(name, value))
        elif known.value != value:
            known.value = value
            self._book.put(known)

    def _on_policy(self, event: Event, at: int) -> None:
        if (event.platform, event.room) != (PLATFORM, ROOM):
            return
        policy = read_policy((event.data or {}).get("policy"))
        before, self.policy = self.policy, policy
        self._numbers = self._numbers_of(self._book.state("numbers"))
        self.journalled = True
        self._put_state("policy", policy_data(policy))
        self._book.position().policy = policy_version(policy)
        self._nurse.policy_changed(before, at)

    def _on_organisation(self, event: Event, at: int) -> None:
        change: OrgChange = read_change(event.data)
        changed = self.organisation.changed(change)
        self.organisation = changed
        rows = {(row.what, row.id, row.from_at): row for row in self._book.organisation()}
        wanted = {
            (what, each.id, each.from_at): msgspec.to_builtins(each)
            for what, versions in (("unit", changed.units), ("seller", changed.sellers))
            for each in versions
        }
        for key, body in wanted.items():
            row = rows.pop(key, None)
            if row is None:
                self._book.put(OrgRow(*key, body))
            elif row.body != body:
                row.body = body
                self._book.put(row)
        for row in rows.values():
            self._book.remove(row)

    # ------------------------------------------------------------------ a store that leaves

    def _on_transfer(self, event: Event, at: int) -> None:
        """Begin a plan, or carry out one step of it; once, however often it is told."""
        data = event.data or {}
        number = data.get("step")
        if number == 0:
            self._begin_transfer(read_plan(data.get("content")), data, at)
            return
        run = self.transfers.get(_text(data, "plan"))
        if run is None or not isinstance(number, int) or not 1 <= number <= run.of:
            raise EventInvalid("there is no such plan, or no such step of it")
        if run.undone_by is not None or number in run.done:
            return
        part = self._plan_of(run).steps[number - 1]
        # All is read before anything is written, or each lead would cost a round of writing of its own.
        found = [self._moving(part, move) for move in part.moves]
        homes = {
            (each.row.customer, each.to): self._book.lead_of(each.row.customer, each.to)
            for each in found
            if each is not None
        }
        moved = 0
        for move, each in zip(part.moves, found, strict=True):
            if each is not None and each.row.store != each.to:
                self._carry_out(part, move, each, homes, run, at)
                moved += 1
        self._put_run(
            msgspec.structs.replace(
                run,
                done=(*run.done, number),
                moved=run.moved + moved,
                passed=run.passed + len(part.moves) - moved,
            )
        )

    def _plan_of(self, run: Run) -> Plan:
        if self._plan is None or self._plan.id != run.plan:
            kept = self._book.state(transfer_state(run.plan))
            assert kept is not None  # written together with its run
            self._plan = read_plan(kept.value)
        return self._plan

    def _begin_transfer(self, plan: Plan, data: Mapping[str, Any], at: int) -> None:
        for old in [each for each in self.transfers.values() if each.finished and each.at < at - KEPT_MS]:
            kept = self._book.state(transfer_state(old.plan))
            if kept is not None:
                self._book.remove(kept)
            self.transfers = {name: each for name, each in self.transfers.items() if name != old.plan}
        undoes = _text(data, "undoes") or None
        taken_back = self.transfers.get(undoes or "")
        if taken_back is not None:
            self._put_run(msgspec.structs.replace(taken_back, undone_by=plan.id))
        run = Run(
            plan=plan.id, store=plan.store, at=at, by=_text(data, "by"), of=len(plan.steps), undoes=undoes
        )
        self._plan = None
        self._put_state(transfer_state(plan.id), msgspec.to_builtins(plan))
        self._put_run(run)

    def _put_run(self, run: Run) -> None:
        self.transfers = {**self.transfers, run.plan: run}
        self._put_state("transfers", msgspec.to_builtins(self.transfers))

    def _moving(self, part: TransferStep, move: Move) -> "_Moving | None":
        """Return what a move moves; None: the lead does not stand where the plan saw it any more."""
        row = self._book.lead(move.lead)
        if row is None:
            return None
        gone = row.status in CLOSED or (row.merged_into is not None and not part.undo)
        place = None if gone else Place(store=row.store, team=row.team, seller=row.holder)
        if not stands(part, move, place):
            return None
        return _Moving(
            row=row,
            to=move.after.store,
            joined=self._book.merged_into(row.lead),
            left=None if row.merged_into is None else self._book.lead(row.merged_into),
            raws=self._book.raws_of(row.customer),
        )

    def _carry_out(
        self,
        part: TransferStep,
        move: Move,
        moving: "_Moving",
        homes: dict[tuple[str, str], LeadRow | None],
        run: Run,
        at: int,
    ) -> None:
        """Move one lead. ``homes`` are leads by (customer, store): those that it may become one with."""
        row, to, by = moving.row, move.after, run.by or CLOCK
        told = {"plan": run.plan, "from": move.before.store, "to": to.store, "undo": part.undo or None}
        self._rehome(moving, homes, move.merge if part.undo else None, at)
        if row.merged_into is None:
            seller = to.seller if to.seller and self.organisation.seller(to.seller, at) else None
            before, act = row.holder, _act_of_move(row, move, seller, undo=part.undo, at=at)
            told |= {"team": to.team, "seller": seller}
            if act is not None:
                self._do(row, act, at, "store_transfer", actor=by, data=told)
            row.team = to.team
            if seller is not None and row.holder == seller != before:
                row.assigned_at = at
                self._tell(row, seller, "todo", at)
        if row.merged_into is not None or act is None:
            self._note(row, "store_transfer", by, at, told)
        self._changed(row)

    def _rehome(
        self,
        moving: "_Moving",
        homes: dict[tuple[str, str], LeadRow | None],
        parting: str | None,
        at: int,
    ) -> None:
        """Let a lead be one of another store, with those that joined it; where its customer has one there, the two become one.
        ``parting`` is the lead that goes its own way again: which had joined this one, or which this one had joined."""
        row, store, book = moving.row, moving.to, self._book
        stays = next((each for each in moving.joined if each.lead == parting), None)
        along = [row, *(each for each in moving.joined if each is not stays)]
        for each in along:
            each.store = store
            book.put(each)
        names = {each.lead for each in along}
        for raw in moving.raws:
            if raw.lead in names:
                raw.store = store
                book.put(raw)
        if moving.left is not None:
            self._move(row, row.customer, None, moving.left, at)
        elif stays is not None:
            self._move(stays, stays.customer, None, row, at)
        there = homes.get((row.customer, store))
        if there is not None and there is not row and there.merged_into is None:
            survivor = _survivor([row, there])
            joins = there if survivor is row else row
            self._move(joins, joins.customer, survivor.lead, survivor, at)
            homes[row.customer, store] = survivor
        else:
            homes[row.customer, store] = row

    def _sla(self, version: str) -> SlaPolicy:
        return self._slas.of(version)

    def _present_sla(self) -> str:
        known = len(self._slas.policies)
        version = self._slas.hold(self.policy.sla)
        if len(self._slas.policies) != known:
            held = {each: msgspec.to_builtins(policy) for each, policy in self._slas.policies.items()}
            self._put_state("sla", held)
        return version

    # ------------------------------------------------------------------ identities

    def _identity(self, identity: ids.Identity, at: int) -> Identity:
        """Return an identity's row, made where there is none: a customer of its own."""
        known = self._book.identity(identity.kind, identity.key)
        if known is None:
            customer = ids.customer_id([identity], lambda _: at)
            known = Identity(identity.kind, identity.key, customer, at)
            self._book.put(known)
        return known

    def _links_of(self, identity: ids.Identity) -> list[ids.Link]:
        return [
            ids.Link(
                id=link.link,
                a=ids.Identity(link.a_kind, link.a_key),
                b=ids.Identity(link.b_kind, link.b_key),
                source=link.source,
                confidence=link.confidence,
                at=link.at,
            )
            for link in self._book.links_of(identity.kind, identity.key)
            if link.unlinked_at is None
        ]

    def _join(self, link: ids.Link, at: int) -> None:
        """Let a link stand from now on; one of the same name stays as it is."""
        if self._book.link(link.id) is not None:
            return
        self._identity(link.a, at)
        self._identity(link.b, at)
        row = Link(
            link=link.id,
            a_kind=link.a.kind,
            a_key=link.a.key,
            b_kind=link.b.kind,
            b_key=link.b.key,
            source=link.source,
            confidence=link.confidence,
            at=at,
        )
        self._book.put(row)
        self._regroup(link, came=True, at=at)

    def _regroup(self, link: ids.Link, *, came: bool, at: int) -> None:
        """Give each identity the customer that it belongs to now that a link has come or gone, and to leads theirs."""

        def without(identity: ids.Identity) -> list[ids.Link]:
            return [each for each in self._links_of(identity) if each.id != link.id]

        def with_it(identity: ids.Identity) -> list[ids.Link]:
            here = without(identity)
            return [*here, link] if identity in (link.a, link.b) else here

        before, after = (without, with_it) if came else (with_it, without)
        limits = self.policy.identity
        _, new = ids.regrouped(
            link, before, after, threshold=limits.threshold, max_viewers=limits.max_viewers
        )
        moved: set[str] = set()
        for group in sorted(new, key=sorted):
            rows = {each: self._identity(each, at) for each in group}
            customer = ids.customer_id(group, lambda each, rows=rows: rows[each].first_seen)  # type: ignore[misc]
            for each in sorted(group):
                row = rows[each]
                moved |= {row.customer, customer}
                if row.customer != customer:
                    row.customer = customer
                    self._book.put(row)
        if moved:
            self._rehouse(moved, at)
        phones = [each for group in new for each in group if each.kind == ids.PHONE]
        for phone in sorted(phones):
            if ids.is_shared(
                phone, self._links_of, threshold=limits.threshold, max_viewers=limits.max_viewers
            ):
                self._doubt_phone(phone, at)

    def _rehouse(self, customers: set[str], at: int) -> None:
        """Bring the leads of customers whose identities have changed to whom they belong: merge them, or part them again.

        Computed from who is who now; so what was merged by mistake parts as it was.
        """
        book = self._book
        raws: dict[str, RawLead] = {}
        rows: dict[str, LeadRow] = {}
        for customer in sorted(customers):
            raws.update((raw.raw, raw) for raw in book.raws_of(customer))
            rows.update((row.lead, row) for row in book.founded_by(customer))
        for raw in raws.values():
            identity = self._identity(ids.Identity(raw.kind, raw.viewer), raw.decided_at)
            if raw.customer != identity.customer:
                raw.customer = identity.customer
                book.put(raw)
        # First everything parts, then what belongs together is joined: two leads never stand under one key meanwhile.
        groups: dict[tuple[str, str], list[LeadRow]] = {}
        for row in sorted(rows.values(), key=lambda row: row.number):
            founder = raws.get(row.raw) or book.raw(row.raw)
            assert founder is not None
            groups.setdefault((founder.customer, row.store), []).append(row)
        survivors: dict[str, LeadRow] = {}
        for (customer, _), group in sorted(groups.items()):
            # What was merged has stood still since, and does not open again over a lead that was closed meanwhile.
            survivor = _survivor([row for row in group if row.merged_into is None] or group)
            for row in group:
                survivors[row.lead] = survivor
                into = None if row is survivor else survivor.lead
                if (row.customer, row.merged_into) != (customer, into):
                    self._move(row, customer, into, survivor, at)
        for raw in raws.values():
            home = survivors.get(raw.lead)
            if home is None or home.customer == raw.customer:
                continue
            here = next(
                (
                    row
                    for row in survivors.values()
                    if row.customer == raw.customer and row.store == raw.store
                ),
                None,
            )
            if here is None:  # it came in while they were one: it has a lead of its own now
                facts = self._facts_of(raw)
                here = self._open(raw, Meeting.NEW, facts, self._decide(facts, at), at)
                survivors[here.lead] = here  # what else of theirs came in meanwhile goes there
            else:
                here.raws += 1
                book.put(here)
            left = rows[raw.lead]
            left.raws -= 1
            book.put(left)
            raw.lead = here.lead
            book.put(raw)
        for customer in sorted(customers):
            for row in book.leads_of(customer):
                self._settle_contact(row)
                self._settle_quality(row)
                # Whatever it shows now: a name that retention has taken may not tell in what a lead counts.
                self._changed(row)
            self._nurse.stir(customer, at)

    def _move(self, row: LeadRow, customer: str, into: str | None, survivor: LeadRow, at: int) -> None:
        was, row.customer = row.merged_into, customer
        row.merged_into = into
        holder = None if row.status in CLOSED else row.holder
        # Written at once: the key that this row leaves or takes is looked at by the next.
        self._book.put(row)
        if into is not None and was is None:
            self._cancel_all(row)
            self._load_changes(holder, None)
            left = row.pool if row.holder is None and row.status not in CLOSED else None
            self._note(row, "merged", CLOCK, at, {"into": into, FROM_POOL: left})
            self._note(survivor, "merged_in", CLOCK, at, {"lead": row.lead})
            survivor.grade = max(survivor.grade, row.grade, key=_GRADE_ORDER.__getitem__)
            survivor.points = max(survivor.points, row.points)
            survivor.flags = sorted({*survivor.flags, *row.flags})
            self._settle_quality(survivor)
        elif into is None and was is not None:
            self._load_changes(None, holder)
            self._note(row, "parted", CLOCK, at, {"from": was})
            if row.status not in CLOSED and row.status != "pooled":
                happening: Happening = "claimed" if row.owner is not None else "reassigned"
                self._set_timers(row, happening, at)
        self._changed(row)
        self._changed(survivor)

    def _on_link(self, event: Event, at: int) -> None:
        link = ids.link_of(event_key(event), event.data or {}, at)
        if self._book.link(link.id) is None:
            self._join(link, at)
            told = {
                "source": link.source,
                "confidence": link.confidence,
                "kinds": sorted({link.a.kind, link.b.kind}),
            }
            self._note_link(link.a, link.b, event, at, told)

    def _on_unlink(self, event: Event, at: int) -> None:
        data = event.data or {}
        link = self._book.link(str(data.get("link")))
        if link is None or link.unlinked_at is not None:
            raise EventInvalid("there is no such link that stands")
        if not _text(data, "reason"):
            raise EventInvalid("who parts identities says why")
        link.unlinked_at, link.unlinked_by = at, _text(data, "by")
        self._book.put(link)
        a, b = ids.Identity(link.a_kind, link.a_key), ids.Identity(link.b_kind, link.b_key)
        self._regroup(ids.Link(link.link, a, b, link.source, link.confidence, link.at), came=False, at=at)
        told = {"source": link.source, "reason": _text(data, "reason"), "kinds": sorted({a.kind, b.kind})}
        self._note_link(a, b, event, at, told)

    def _note_link(
        self, a: ids.Identity, b: ids.Identity, event: Event, at: int, told: Mapping[str, Any]
    ) -> None:
        """Show a link that came or went on the timelines of whom it is about."""
        rows = [self._book.identity(each.kind, each.key) for each in (a, b)]
        for customer in sorted({row.customer for row in rows if row is not None}):
            for lead in self._book.leads_of(customer):
                self._note(lead, event.kind, _text(event.data or {}, "by") or CLOCK, at, told)
                self._changed(lead)

    def _doubt_phone(self, phone: ids.Identity, at: int) -> None:
        for link in self._links_of(phone):
            other = link.b if link.a == phone else link.a
            row = self._book.identity(other.kind, other.key)
            for lead in [] if row is None else self._book.leads_of(row.customer):
                self._queue.ask(lead, Doubt.SHARED_PHONE, at)

    # ------------------------------------------------------------------ leads come in

    def _take_lead(self, lead: Lead, shown: Shown) -> None:
        """Take a raw lead of the engine: a viewer turned hot, or was shown to find out."""
        if self._book.raw(lead.lead) is not None:
            return
        lead = with_storable_texts(lead)
        at = lead.decided_at
        identity = self._identity(ids.viewer_identity(lead.platform, lead.viewer), at)
        raw = RawLead(
            raw=lead.lead,
            source="room",
            platform=lead.platform,
            room=lead.room,
            session=lead.session,
            kind=identity.kind,
            viewer=lead.viewer,
            customer=identity.customer,
            lead="",
            store="",
            met="",
            grade=lead.grade,
            quality=_quality_number(lead.quality),
            points=lead.points,
            probability=None
            if lead.probability is None or not math.isfinite(lead.probability)
            else lead.probability,
            reasons=[msgspec.to_builtins(reason) for reason in lead.reasons],
            decided_at=at,
            host=lead.host,
            product=lead.product,
            campaign=lead.campaign,
            channel=self.policy.channel_of(lead.platform, lead.room),
            policy=lead.policy,
            model=lead.model,
            name=None if shown[0] is None else storable_text(shown[0]),
            words=None if shown[1] is None else storable_text(shown[1]),
        )
        self._meet(raw, at, referred=False)

    def _on_form(self, event: Event, at: int) -> None:
        """Somebody left a contact with consent: a lead, however cold they were in the room, unless they are of the broadcast's own people."""
        if event.staff:
            return
        data = event.data or {}
        phone = data.get("phone")
        if event.consent and data.get("unreadable") is True:
            self._on_unreadable(event, at)
        if not event.consent or not isinstance(phone, str):
            return
        number = ids.identity_of({"kind": ids.PHONE, "key": phone})
        owner = number if event.viewer is None else ids.viewer_identity(event.platform, event.viewer)
        key = event_key(event)
        self._identity(owner, at)
        contact = Contact(
            id=key,
            kind=owner.kind,
            key=owner.key,
            phone=phone,
            country=_text(data, "country"),
            province=_text(data, "province"),
            city=_text(data, "city"),
            masked=_text(event.fields or {}, "masked") or None,
            sealed=_sealed(event),
            at=at,
            form=event.form,
        )
        self._book.put(contact)
        if data.get("test_number") is True:
            self._list_test_number(number)
        self._consent(owner, "contact", "", True, at, event.form or "form")
        if owner != number:
            self._join(ids.Link(key, owner, number, "form", 1.0, at), at)
        identity = self._identity(owner, at)
        points = self.policy.form_points(has_company=bool(data.get("company")))
        raw = RawLead(
            raw=lead_id(event.platform, event.room, f"form:{event.id}", owner.key),
            source="form",
            platform=event.platform,
            room=event.room,
            session=event.session,
            kind=owner.kind,
            viewer=owner.key,
            customer=identity.customer,
            lead="",
            store="",
            met="",
            grade=self.policy.grade_of(points),
            quality=3,
            points=points,
            probability=None,
            reasons=[{"kind": "rule", "name": "form_submit", "points": points, "count": 1}],
            decided_at=at,
            host=event.host,
            product=event.product,
            campaign=event.campaign,
            channel=_text(data, "channel") or self.policy.channel_of(event.platform, event.room),
            policy="",
            model=None,
            name=None if event.name is None else mask_name(mask_numbers(event.name)),
        )
        if self._book.raw(raw.raw) is None:
            self._meet(raw, at, referred=bool(data.get("referred_by")))

    def _on_unreadable(self, event: Event, at: int) -> None:
        """Somebody wants to be called, and left a number that none is: kept for whoever looks at their lead."""
        if event.viewer is None:
            return
        owner = ids.viewer_identity(event.platform, event.viewer)
        row = self._identity(owner, at)
        key = event_key(event)
        self._book.put(
            Contact(key, owner.kind, owner.key, "", "", "", "", None, _sealed(event), at, event.form)
        )
        self._consent(owner, "contact", "", True, at, event.form or "form")
        for lead in self._book.leads_of(row.customer):
            if lead.status not in CLOSED:
                self._settle_quality(lead)
                self._queue.doubt(lead, at)
                self._changed(lead)

    def _meet(self, raw: RawLead, at: int, *, referred: bool) -> None:
        """Let a raw lead meet what is known of its customer: it goes into a lead of theirs, or begins one."""
        facts = self._facts_of(raw)
        leads = self._book.leads_of(raw.customer)
        decision: Decision | None = None
        open_leads = [row for row in leads if row.status not in CLOSED]
        if facts.store is not None:
            store = facts.store
        elif open_leads:
            store = open_leads[-1].store  # nothing names another store: it is theirs who follow this customer
        else:
            decision = self._decide(facts, at)
            store = self._store_of(decision, at)
        here = next((row for row in leads if row.store == store), None)
        met = meeting(here, [row for row in leads if row is not here], referred=referred, channel=raw.channel)
        raw.store, raw.met = store, met
        self._book.put(raw)  # before its lead, which is given away by what is known of it
        if here is None:
            facts = msgspec.structs.replace(facts, store=store or None)
            row = self._open(raw, met, facts, decision or self._decide(facts, at), at)
        else:
            row = here
            self._add(raw, row, met, at)
        raw.lead, raw.faults = row.lead, list(row.faults)
        self._book.put(raw)
        self._queue.doubt(row, at)
        self._nurse.stir(raw.customer, at)

    def _open(self, raw: RawLead, met: Meeting, facts: LeadFacts, decision: Decision, at: int) -> LeadRow:
        """Begin a unique lead by a raw one."""
        sla = self._present_sla()
        row = LeadRow(
            lead=_unique_id(raw, self._book.leads_made()),
            raw=raw.raw,
            customer=raw.customer,
            store=raw.store,
            number=self._book.leads_made() + 1,
            platform=raw.platform,
            room=raw.room,
            created_at=at,
            hot_at=raw.decided_at,
            grade=raw.grade,
            quality=raw.quality,
            points=raw.points,
            probability=raw.probability,
            sla=sla,
            host=raw.host,
            product=raw.product,
            campaign=raw.campaign,
            channel=raw.channel,
            taxonomy="/".join(facts.taxonomy),
            country=facts.region.country,
            province=facts.region.province,
            city=facts.region.city,
            flags=["crowd"] * bool(others := self._alike(raw)) + ["linkable"] * (raw.quality >= 2),
            name=raw.name,
            words=raw.words,
        )
        self._settle_contact(row)
        self._settle_quality(row)
        self._note(
            row, "made", CLOCK, at, {"raw": raw.raw, "met": met, "grade": raw.grade, "points": raw.points}
        )
        if others:
            self._note(row, "suspected", CLOCK, at, {"sign": "crowd", "others": others})
        self._book.put(row)
        self._set_timers(row, "made", at)
        self._dispatch(row, at, decision)
        return row

    def _add(self, raw: RawLead, row: LeadRow, met: Meeting, at: int) -> None:
        """Let a raw lead go into a lead that is there, and begin that again where it was closed or in the pool."""
        row.raws += 1
        before = row.grade
        row.grade = (
            raw.grade
            if met is not Meeting.OPEN_LEAD
            else max(row.grade, raw.grade, key=_GRADE_ORDER.__getitem__)
        )
        row.points = max(row.points, raw.points) if met is Meeting.OPEN_LEAD else raw.points
        row.probability = raw.probability if raw.probability is not None else row.probability
        row.product, row.host = raw.product or row.product, raw.host or row.host
        row.campaign, row.channel = raw.campaign or row.campaign, raw.channel or row.channel
        row.taxonomy = "/".join(self.policy.path_of(row.product)) or row.taxonomy
        if raw.quality >= 2:
            row.flags = sorted({*row.flags, "linkable"})
        others = 0 if "crowd" in row.flags else self._alike(raw)
        if others:
            row.flags = sorted({*row.flags, "crowd"})
            self._note(row, "suspected", CLOCK, at, {"sign": "crowd", "others": others})
        if raw.source == "form":  # another number, or the same one, which may work again
            row.flags = sorted({*row.flags} - {"dead"})
        self._settle_contact(row)
        self._settle_quality(row)
        self._note(
            row, "met", CLOCK, at, {"raw": raw.raw, "met": met, "grade": raw.grade, "points": raw.points}
        )
        if met is Meeting.OPEN_LEAD:
            if row.owner is None and _GRADE_ORDER[raw.grade] > _GRADE_ORDER[before]:
                self._ask_rules_again(row, raw, at)
                self._changed(row)
                return
            if row.holder is not None and _GRADE_ORDER[raw.grade] == len(GRADES) - 1:
                self._tell(row, row.holder, "nudge", at, event="hot_again")
            self._changed(row)
            return
        former = row.owner or row.former
        self._begin_again(row, raw.decided_at, at)
        self._dispatch(row, at, None, prefer=former if met is Meeting.REPURCHASE else None)

    def _begin_again(self, row: LeadRow, hot_at: int, at: int) -> None:
        """Let a lead that was closed or in the public pool be new, with a clock that runs from ``hot_at``; whose it is comes after."""
        row.hot_at, row.sla = hot_at, self._present_sla()
        row.cycle += 1
        row.assigned_at = row.claimed_at = None
        row.responded_at = row.breached_at = row.closed_at = row.breach = None
        act = Act(kind="reactivate" if row.status in CLOSED else "assign", at=at)
        self._do(row, act, at, "reactivated")
        self._settle_quality(row)  # what was invalid is asked about anew
        self._set_timers(row, "made", at)

    def _ask_rules_again(self, row: LeadRow, raw: RawLead, at: int) -> None:
        """A lead that nobody has claimed has become more eager: another rule may take it, and its five minutes begin now.

        A form makes a lead of somebody who is warm, and what they do next makes them hot.
        """
        row.hot_at = raw.decided_at
        self._set_timers(row, "made", at)
        taking = next(self.policy.compiled.matching(self._facts_of_row(row)), None)
        if taking is not None and taking.name != row.rule:
            self._dispatch(row, at, None)
        elif row.holder is not None:
            self._tell(row, row.holder, "nudge", at, event="hot_again")

    # ------------------------------------------------------------------ who gets it

    def _facts_of(self, raw: RawLead) -> LeadFacts:
        contact = self._book.contact_of(raw.customer)
        region = Region()
        if contact is not None:
            region = Region(country=contact.country, province=contact.province, city=contact.city)
        return LeadFacts(
            lead=raw.lead or raw.raw,
            platform=raw.platform,
            room=self.policy.room_id(raw.platform, raw.room),
            grade=raw.grade,  # type: ignore[arg-type]  # a column of texts holds grades only
            quality=max(raw.quality, 3 if contact is not None and contact.phone else 0),
            points=raw.points,
            probability=raw.probability,
            session=raw.session,
            host=raw.host,
            campaign=raw.campaign,
            channel=raw.channel,
            product=raw.product,
            taxonomy=self.policy.path_of(raw.product),
            region=region,
            store=raw.store or self._store_of_room(raw.platform, raw.room, raw.decided_at),
            returning=bool(self._book.leads_of(raw.customer)),
        )

    def _store_of_room(self, platform: str, room: str, at: int) -> str | None:
        """Return the store that a room's leads are of, or None: rules say, also where it has left the company."""
        store = self.policy.store_of_room(platform, room)
        return None if store is None or self.organisation.gone(store, at) else store

    def _facts_of_row(self, row: LeadRow) -> LeadFacts:
        raw = self._book.raw(row.raw)
        assert raw is not None
        return msgspec.structs.replace(
            self._facts_of(raw),
            lead=row.lead,
            grade=row.grade,
            quality=row.quality,
            points=row.points,
            probability=row.probability,
            host=row.host,
            campaign=row.campaign,
            channel=row.channel,
            product=row.product,
            taxonomy=tuple(row.taxonomy.split("/")) if row.taxonomy else (),
            store=row.store or None,
            returning=True,
        )

    def _decide(self, facts: LeadFacts, at: int, without: Iterable[str] = ()) -> Decision:
        self._judge_sellers(at)
        if at // DAY_MS != self._turns.day:
            self._turns.day, self._turned = at // DAY_MS, True
            self._turns.forget(self.organisation, at)
        excluding = frozenset(without)
        decision = decide(
            facts, self.policy.compiled, self.organisation, self._turns, at, excluding=excluding
        )
        if decision.seller is not None:
            self._turns.closed(
                decision.seller
            )  # counted when it is done: the lead may be given to another after all
        return decision

    def _judge_sellers(self, at: int) -> None:
        """Let who gives leads to the best know what had been closed when this day of engine time (UTC) began.

        Once a day: what a seller is able to moves slowly, and a rank that moved with each deal would send everything
        to who had the last. Asked for at the day's first decision, and only of what was closed before the day: so it
        hangs on the events' order alone.
        """
        day = at // DAY_MS
        if day == self._judged_day or not self.policy.judges_sellers:
            return
        begins = day * DAY_MS
        cells = self._book.closed_cells(begins - JUDGED_MS, begins)
        low = ability.lower_bounds(ability.abilities(ability.tallies(cells)))
        self._turns.abilities, self._judged_day = low, day
        self._put_state("abilities", {"day": day, "low": low})

    def _store_of(self, decision: Decision, at: int) -> str:
        """Return the store of the team that a lead goes to, "" where it goes to a pool of the whole company."""
        store = None if decision.team is None else self.organisation.store_of(decision.team, at)
        return "" if store is None else store.id

    def _dispatch(
        self,
        row: LeadRow,
        at: int,
        decision: Decision | None,
        *,
        without: Iterable[str] = (),
        prefer: str | None = None,
    ) -> None:
        """Give a lead to somebody, or to a team or a pool where nobody can have it now."""
        if decision is None:
            decision = self._decide(self._facts_of_row(row), at, {*without, *self._rejected(row)})
        seller = decision.seller
        if prefer is not None and self._can_have(prefer, row.store, at):
            seller = prefer
        left = row.pool if row.holder is None and seller is not None else None
        row.team, row.pool, row.rule = decision.team, decision.pool, decision.rule
        if decision.rule is None and self.organisation.unit(row.store, at) is not None:
            row.team, row.pool = row.store, None  # no rule knows its store: those who are there see it
        if seller is not None and seller == prefer:
            known = self.organisation.seller(seller, at)
            row.team = row.team if known is None else known.team
        actor = f"rule:{decision.rule}" if decision.rule else CLOCK
        act = Act(kind="assign", at=at, seller=seller, approval=decision.approval and seller is not None)
        told = {
            "team": row.team,
            "pool": row.pool,
            "seller": seller,
            "why": msgspec.to_builtins(decision.why),
            FROM_POOL: left,
        }
        self._do(row, act, at, "waiting" if seller is None else "assigned", actor=actor, data=told)
        if seller is not None:
            row.assigned_at = at
        if row.awaits_approval:
            for manager in self._managers(row, at):
                self._tell(row, manager, "approval", at)
        elif seller is not None:
            self._tell(row, seller, "todo", at, through=decision.notify)

    def _rejected(self, row: LeadRow) -> set[str]:
        """Return for whom a manager has said no to a lead since it began, or began again: nobody asks them twice."""
        found: set[str] = set()
        for entry in self._book.entries(row.lead):
            if entry.kind == "reactivated":
                found.clear()
            elif entry.kind == "lead_approve" and entry.data.get("decision") == "reject":
                found |= {entry.data["seller"]} if "seller" in entry.data else set()
        return found

    def _can_have(self, seller: str, store: str, at: int) -> bool:
        known = self.organisation.seller(seller, at)
        here = self.organisation.store_of(seller, at)
        return (
            known is not None
            and (here is None or here.id == store)
            and self.organisation.on_shift(known, at)
            and not self.organisation.absent(known, at)
        )

    def _ways_of(self, rule: str | None) -> tuple[str, ...]:
        """Return in which ways a rule wants the seller told."""
        return next((each.notify for each in self.policy.rules if each.name == rule), ("todo",))

    def _managers(self, row: LeadRow, at: int) -> tuple[str, ...]:
        unit = row.team or row.store
        return tuple(manager.id for manager in self.organisation.managers_of(unit, at)) if unit else ()

    def _load_changes(self, before: str | None, after: str | None) -> None:
        """Keep count of how many open leads each seller has."""
        if before == after:
            return
        if before is not None:
            self._turns.closed(before)
        if after is not None:
            self._turns.opened(after)

    # ------------------------------------------------------------------ what people do

    def _row(self, event: Event) -> LeadRow:
        row = self._book.lead(event.lead or "")
        if row is None and event.lead:
            raw = self._book.raw(event.lead)  # a CRM may know a lead by the name under which it was alerted
            row = None if raw is None else self._book.lead(raw.lead)
        while row is not None and row.merged_into is not None:
            row = self._book.lead(row.merged_into)
        if row is None:
            raise EventInvalid("there is no such lead")
        return row

    def _on_act(self, event: Event, at: int) -> None:
        row = self._row(event)
        act = act_of(event, at)
        if act is None or isinstance(act, Refusal):
            raise EventInvalid("it cannot be read")
        told = {
            name: value
            for name, value in {
                "seller": act.seller,
                "outcome": act.outcome,
                "stage": act.stage,
                "reason": act.reason,
                "decision": act.decision,
                "follow_up_at": act.follow_up_at,
                **{
                    key: plain((event.data or {}).get(key))
                    for key in ("channel", "direction", "seconds", "answered")
                },
            }.items()
            if value is not None
        }
        if act.kind in ("claim", "transfer") and not row.store:
            home = self._bring_home(row, act, at)
            if isinstance(home, Refusal):
                self._refuse(event, home)
                return
            row = home
        version, pool = row.version, row.pool
        done = self._do(row, act, at, event.kind, actor=act.by or CLOCK, data=told, note=event.note)
        if isinstance(done, Refusal):
            self._refuse(event, done)
            return
        if row.version == version:
            return  # said again: it is so already
        if act.kind in ("touch", "outcome") and "responded" in done.happenings:
            row.touches += 1
            row.last_touch_at = at
        if event.kind == "lead_outcome" and event.value is not None:
            row.value = event.value
        if row.owner is not None and (act.kind == "transfer" or (act.kind == "claim" and pool is not None)):
            # Who has it from a pool brings it into their team, whose manager answers for it from now on.
            seller = self.organisation.seller(row.owner, at)
            row.team = row.team if seller is None else seller.team
        if act.kind == "transfer" and row.owner is not None:
            self._tell(row, row.owner, "todo", at)
        if act.kind in ("release",):
            self._dispatch(row, at, None, without=[] if done.left is None else [done.left])
        self._take_outcome(row, event)
        if event.kind == "lead_outcome":
            self._queue.doubt(row, at)
            self._feed_back(row, act.outcome, at)
        elif act.kind == "review" and self._ended_by_outcome(row):
            self._feed_back(row, row.outcome, at)
        self._changed(row)

    def _bring_home(self, row: LeadRow, act: Act, at: int) -> LeadRow | Refusal:
        """Let a lead of no store be one of the store of whom it is given to, and return the lead that is to be theirs, or why none is.

        Where its customer has a lead in that store it goes into that one, as a raw lead would that came there: a lead
        that was closed or in the pool begins again, one that is open goes on. What a colleague follows stays theirs:
        they hear that the customer has come again, and whoever claimed hears who has it; nothing is given away to a
        third one over their heads.
        """
        workflow, sla = self.policy.pack.workflow, self._sla(row.sla)
        refused = step(_state_of(row), act, workflow, sla)
        store = None if act.seller is None else self.organisation.store_of(act.seller, at)
        if isinstance(refused, Refusal):
            return refused
        if store is None:
            return row
        there = self._book.lead_of(row.customer, store.id)
        if there is None:
            self._take_to(row, store.id)
            return row
        met = meeting(there, (), referred=False, channel=None)
        if met is Meeting.OPEN_LEAD:
            # Asked as a claim also where it is given away, for that takes from nobody who is protected.
            claim = msgspec.structs.replace(act, kind="claim")
            refused = step(_state_of(there), claim, workflow, self._sla(there.sla))
            if isinstance(refused, Refusal) and not (refused.code == "held" and act.kind == "claim"):
                return refused
        self._take_to(row, store.id)
        self._move(row, row.customer, there.lead, there, at)
        if met is not Meeting.OPEN_LEAD:
            self._begin_again(there, row.hot_at, at)
        elif isinstance(refused, Refusal):
            self._tell(there, there.holder, "nudge", at, event="hot_again")
            return refused
        return there

    def _take_to(self, row: LeadRow, store: str) -> None:
        """Let a lead be one of a store, with those that were merged into it and the raw leads of them all."""
        along = {each.lead: each for each in (row, *self._book.merged_into(row.lead))}
        raws = [raw for raw in self._book.raws_of(row.customer) if raw.lead in along]
        # All is read by now: a question would write the lead under a key that another may still have.
        for each in along.values():
            each.store = store
            self._book.put(each)
        for raw in raws:
            raw.store = store
            self._book.put(raw)

    def _take_outcome(self, row: LeadRow, event: Event) -> None:
        """Let an outcome say what it says of a lead beside its state: how usable, how eager, how likely to be lost."""
        outcome = (
            None
            if event.kind != "lead_outcome" or event.outcome is None
            else self.policy.pack.outcome(event.outcome)
        )
        if outcome is None:
            return
        flag = self.policy.flag_after(outcome.code)
        if flag is not None:
            row.flags = sorted({*row.flags, flag})
        row.points = min(100, max(0, row.points + outcome.points))
        row.churn_risk = min(100, max(0, row.churn_risk + outcome.churn_risk))
        self._settle_quality(row)

    def _ended_by_outcome(self, row: LeadRow) -> bool:
        """Return whether a lead's outcome is what closed it; one of before that was told when it was said."""
        known = None if row.outcome is None else self.policy.pack.outcome(row.outcome)
        return known is not None and known.closes is not None and known.closes == row.status

    def _feed_back(self, row: LeadRow, outcome: str | None, at: int) -> None:
        """Let the platforms that a lead came from hear what became of it: those that have an id of their own for it.

        What awaits a review is told when that has confirmed it: an advertiser's platform learns from losses, and
        takes none back.
        """
        if outcome is None or row.review == "pending":
            return
        known = self.policy.pack.feedback_of(outcome, "oceanengine")
        along = {row.lead, *(each.lead for each in self._book.merged_into(row.lead))}
        clues = {
            raw.viewer: raw.raw
            for raw in self._book.raws_of(row.customer)
            if raw.lead in along and raw.viewer.startswith(CLUE)
        }
        for viewer, raw in sorted(clues.items()):
            told = LeadFeedback(
                clue=viewer.removeprefix(CLUE), outcome=outcome, state=None if known is None else known.state
            )
            key = f"{row.lead}.{row.entries}.feedback.{told.clue}"
            self._told.append(Told(key, None, "feedback", row.lead, at, feedback=told, raw=raw))

    def _on_assign(self, event: Event, at: int) -> None:
        row = self._row(event)
        data = event.data or {}
        act = act_of(event, at)
        if act is None or isinstance(act, Refusal):
            raise EventInvalid("it cannot be read")
        team, pool = _text(data, "team") or None, _text(data, "pool") or None
        done = self._do(
            row,
            act,
            at,
            event.kind,
            actor=act.by or CLOCK,
            data={"team": team, "pool": pool, "seller": act.seller},
        )
        if isinstance(done, Refusal):
            self._refuse(event, done)
            return
        if act.seller is not None:
            seller = self.organisation.seller(act.seller, at)
            team = team if seller is None else seller.team
            row.assigned_at = at
            self._tell(row, act.seller, "todo", at)
        row.team, row.pool, row.rule = team or row.team, pool, None
        self._changed(row)

    def _on_approve(self, event: Event, at: int) -> None:
        row = self._row(event)
        act = act_of(event, at)
        if act is None or isinstance(act, Refusal):
            raise EventInvalid("it cannot be read")
        rejected = row.offered_to
        told = {"decision": act.decision, "seller": rejected if act.decision == "reject" else None}
        done = self._do(row, act, at, event.kind, actor=act.by or CLOCK, data=told)
        if isinstance(done, Refusal):
            self._refuse(event, done)
        elif row.offered_to is not None:
            self._tell(row, row.offered_to, "todo", at, through=self._ways_of(row.rule))
        else:
            self._dispatch(row, at, None)

    def _do(
        self,
        row: LeadRow,
        act: Act,
        at: int,
        kind: str,
        *,
        actor: str = CLOCK,
        data: dict[str, Any] | None = None,
        note: str | None = None,
    ) -> Step | Refusal:
        """Do something to a lead: its state, its timers, its timeline; a refusal leaves all as it is."""
        state = _state_of(row)
        done = step(state, act, self.policy.pack.workflow, self._sla(row.sla))
        if isinstance(done, Refusal):
            return done
        before = row.holder if row.status not in CLOSED else None
        pool = row.pool if row.holder is None else None
        for name in _STATE_FIELDS:
            setattr(row, name, getattr(done.state, name))
        row.reached = list(done.state.reached)
        row.holder = row.owner or row.offered_to
        if pool is not None and row.holder is not None:
            data = {**(data or {}), FROM_POOL: pool}
        closed = row.status in CLOSED
        self._load_changes(before, None if closed else row.holder)
        if row.status == "pooled":
            row.pool = row.pool or self.policy.public_pool
        elif row.owner is not None:
            row.pool = None
        if closed and "closed" in done.happenings:
            self._tell(row, None, "lead", at, event=row.status)
        for happening in done.happenings:
            if happening == "claimed" or happening == "transferred":
                row.claimed_at = at
            elif happening == "responded" and row.responded_at is None:
                row.responded_at = at
            elif happening == "closed":
                row.closed_at = at
                if row.responded_at is None:
                    row.responded_at = at
            elif happening == "reopened":
                row.closed_at = None
                self._nurse.stir(row.customer, at)
            self._set_timers(row, happening, at)
        if done.state == state and kind not in _ALWAYS_NOTED:
            return done
        self._note(row, kind, actor, at, data or {}, note)
        self._changed(row)
        return done

    # ------------------------------------------------------------------ timers

    def _fire(self, until: int) -> None:
        """Let everything happen that is due."""
        while (timer := self._book.due(until)) is not None:
            self._book.remove(timer)
            if timer.kind == nursing.SWEEP:
                self._nurse.sweep(timer)
                continue
            if timer.kind == queue.RING:
                self._queue.ring(timer.lead, timer.due_at)
                continue
            row = self._book.lead(timer.lead)
            if row is None or row.merged_into is not None:
                continue
            if timer.kind == nursing.LOOK:
                self._nurse.look(row, timer.due_at)
            else:
                self._ring(row, timer)

    def _ring(self, row: LeadRow, timer: TimerRow) -> None:
        at, sla = timer.due_at, self._sla(row.sla)
        standing = Standing(
            seller=row.holder,
            claimed=row.owner is not None,
            awaits_approval=row.awaits_approval,
            on_shift=self._somebody_on_shift(row, at),
            managers=self._managers(row, at),
            reassignments=row.reassignments,
        )
        due = Timer(kind=timer.kind, due_at=at, number=timer.number)  # type: ignore[arg-type]  # rows hold kinds of timers
        follows = consequence(due, standing, sla)
        if follows.cause is not None:
            row.breached_at, row.breach = at, follows.cause
            row.breaches += 1
        self._note(
            row, timer.kind, CLOCK, at, {"number": timer.number, "cause": follows.cause, "act": follows.act}
        )
        for again in follows.sets:
            self._book.put(TimerRow(row.lead, again.kind, again.number, again.due_at))
        for who in follows.told:
            mine = who == row.holder
            purpose = "approval" if timer.kind == "approval" else "nudge" if mine else "escalation"
            if not (mine and follows.act != "nothing"):
                self._tell(row, who, purpose, at, timer.number, event=_EVENT_OF_TIMER.get(timer.kind))
        if follows.act == "nothing":
            self._changed(row)
            return
        left = row.holder
        if left is not None:
            self._tell(row, left, "nudge", at, timer.number, event="returned")
        if follows.act == "pool":
            self._do(row, Act(kind="recycle", at=at), at, "pooled")
            return
        self._do(row, Act(kind="return", at=at), at, "returned")
        self._dispatch(row, at, None, without=[] if left is None else [left])

    def _somebody_on_shift(self, row: LeadRow, at: int) -> bool:
        unit = row.team or row.store
        organisation = self.organisation
        return bool(unit) and any(
            organisation.on_shift(seller, at) and not organisation.absent(seller, at)
            for seller in organisation.sellers_of(unit or "", at)
        )

    def _set_timers(self, row: LeadRow, happening: Happening, at: int) -> None:
        sla = self._sla(row.sla)
        change = timers_after(happening, sla, at, follow_up_at=row.follow_up_at)
        coming = {(timer.kind, timer.number): timer for timer in change.sets}
        known = {(timer.kind, timer.number): timer for timer in self._book.timers_of(row.lead)}
        for key, present in known.items():
            if present.kind in change.cancels and key not in coming:
                self._book.remove(present)
        left = {key: timer for key, timer in known.items() if key in coming or key[0] not in change.cancels}
        for key, timer in coming.items():
            present = left.setdefault(key, TimerRow(row.lead, timer.kind, timer.number, timer.due_at))
            present.due_at = timer.due_at
            self._book.put(present)
        row.due_at = min(
            (timer.due_at for timer in left.values() if timer.kind in ("breach", "untouched", "follow_up")),
            default=None,
        )

    def _cancel_all(self, row: LeadRow) -> None:
        for timer in self._book.timers_of(row.lead):
            if timer.kind != queue.RING:  # a question is answered whatever the lead is merged into
                self._book.remove(timer)
        row.due_at = None

    # ------------------------------------------------------------------ quality, contacts, cleaning

    def _settle_contact(self, row: LeadRow) -> None:
        """Let a lead show what is best known of its customer, and nothing of somebody who is not its customer any more."""
        contact = self._book.contact_of(row.customer)
        row.country = row.province = row.city = ""
        row.masked = None
        if contact is not None:
            # A place belongs to the number that it is told by.
            row.country, row.province, row.city = contact.country, contact.province, contact.city
            row.masked = contact.masked
        shown = survivors((), self._book.raws_of(row.customer)).get("name")
        row.name = None if shown is None else shown.won.value

    def _settle_quality(self, row: LeadRow) -> None:
        contact = self._book.contact_of(row.customer)
        given = None
        if contact is not None:
            region = Region(country=contact.country, province=contact.province, city=contact.city)
            given = QualityContact(phone=contact.phone or None, region=region, dead="dead" in row.flags)
        flags = {name: True for name in _FLAGS if name in row.flags}
        facts = msgspec.structs.replace(QualityFacts(contact=given), **flags)
        row.quality = int(quality_of(facts, self.policy.validation, self._numbers))
        row.faults = [str(fault) for fault in faults_of(facts, self.policy.validation, self._numbers)]
        if row.status == "invalid":
            row.quality = 0

    def _alike(self, raw: RawLead) -> int:
        """Return with how many others the viewer of a raw lead said the same few things, as the engine had found by then; 0: with none."""
        if not self.policy.doubts.conduct:
            return 0
        return next((each.get("count") or 0 for each in raw.reasons if each.get("name") == SAME_WORDS), 0)

    def _suspect(self, finding: Finding) -> None:
        """Let a sign of a viewer's conduct stand on their customer's leads that are not closed, and ask somebody to look."""
        viewer = ids.viewer_identity(storable_text(finding.platform), storable_text(finding.viewer))
        identity = self._book.identity(viewer.kind, viewer.key)
        if identity is None or not self.policy.doubts.conduct:
            return
        for row in self._book.leads_of(identity.customer):
            if row.status not in CLOSED and finding.sign not in row.flags:
                row.flags = sorted({*row.flags, finding.sign})
                self._settle_quality(row)
                self._note(row, "suspected", CLOCK, finding.at, {"sign": finding.sign, **finding.told})
                self._queue.doubt(row, finding.at)
                self._changed(row)

    def _flag(self, platform: str, viewer: str | None, flag: str, kind: str, event: Event, at: int) -> None:
        """Note something of a viewer on the leads of whose customer they are; of one without a lead nothing is kept."""
        identity = None if viewer is None else self._book.identity(f"{ids.VIEWER}{platform}", viewer)
        for row in [] if identity is None else self._book.leads_of(identity.customer):
            if row.status == "invalid" or (row.status in CLOSED and kind == "follow"):
                continue
            known = flag in row.flags
            row.flags = sorted({*row.flags, flag})
            self._settle_quality(row)
            if not known or kind == "order_paid":
                self._note(
                    row,
                    kind,
                    CLOCK,
                    at,
                    {"value": event.value, "product": event.product, "order": event.order},
                )
            if kind == "order_paid" and event.value is not None:
                row.value = min(MOST, (row.value or 0) + event.value)
            self._changed(row)

    def _on_follow(self, event: Event, at: int) -> None:
        self._flag(event.platform, event.viewer, "linkable", "follow", event, at)

    def _on_booking(self, event: Event, at: int) -> None:
        self._flag(event.platform, event.viewer, "booked", event.kind, event, at)

    def _on_order(self, event: Event, at: int) -> None:
        self._flag(event.platform, event.viewer, "ordered", event.kind, event, at)
        identity = None
        if event.viewer is not None:
            identity = self._book.identity(f"{ids.VIEWER}{event.platform}", event.viewer)
        outcome = self.policy.order_outcome
        for row in [] if identity is None or outcome is None else self._book.leads_of(identity.customer):
            if row.status == "following":  # what nobody follows stays open: it is still a customer to welcome
                act = Act(kind="outcome", at=at, by="order", outcome=outcome)
                done = self._do(row, act, at, "lead_outcome", actor="order", data={"outcome": outcome})
                if not isinstance(done, Refusal):
                    self._feed_back(row, outcome, at)

    def _on_refund(self, event: Event, at: int) -> None:
        identity = None
        if event.viewer is not None:
            identity = self._book.identity(f"{ids.VIEWER}{event.platform}", event.viewer)
        for row in [] if identity is None else self._book.leads_of(identity.customer):
            if row.value is not None and event.value is not None:
                row.value = max(0, row.value - abs(event.value))
            self._note(row, event.kind, CLOCK, at, {"value": event.value, "order": event.order})
            self._changed(row)

    def _on_cleaned(self, event: Event, at: int) -> None:
        data = event.data or {}
        refused = self._queue.hear(_text(data, "task"), data, at)
        if refused is Refused.FINAL:
            self._refuse(event, Refusal(code="closed"))

    # ------------------------------------------------------------------ nurture

    def _tell_customer(self, row: LeadRow, touch: Touch, name: str, at: int) -> None:
        self._told.append(Told(f"touch.{name}", None, "touch", row.lead, at, touch=touch))

    def _on_touch_sent(self, event: Event, at: int) -> None:
        id = event_key(event)
        self._nurse.heard(self._row(event), id, event.data or {}, at)

    def _on_touch_result(self, event: Event, at: int) -> None:
        self._nurse.came_back(self._row(event), event.data or {}, at)

    def _on_room_start(self, event: Event, at: int) -> None:
        self._nurse.begins(event.platform, event.room, min(event.at, at), at)

    def _on_occasion(self, event: Event, at: int) -> None:
        self._nurse.plan(event.data or {}, at)

    # ------------------------------------------------------------------ lists of numbers

    def _numbers_of(self, known: State | None) -> NumberLists:
        lists = {} if known is None else {name: frozenset(keys) for name, keys in known.value.items()}
        listed = self.policy.numbers
        return NumberLists(
            blacklist=listed.blacklist | lists.get("blacklist", frozenset()),
            staff=lists.get("staff", frozenset()),
            test=lists.get("test", frozenset()),
        )

    def _list_test_number(self, number: ids.Identity) -> None:
        """Put a number that nobody is reached at on the list of test numbers, unless somebody has taken it off."""
        known = self._book.state("numbers")
        value = {} if known is None else dict(known.value)
        if number.key in value.get(REAL_NUMBERS, ()) or number.key in value.get("test", ()):
            return
        value["test"] = sorted({*value.get("test", ()), number.key})
        self._put_state("numbers", value)
        self._numbers = self._numbers_of(self._book.state("numbers"))

    def _on_numbers(self, event: Event, at: int) -> None:
        """Numbers, as keyed hashes, are put on a list or taken off it; leads with them are judged again."""
        data = event.data or {}
        name, keys, off = data.get("list"), data.get("numbers"), data.get("remove", False)
        if name not in NUMBER_LISTS or not isinstance(keys, list) or not isinstance(off, bool):
            raise EventInvalid("it names no list and numbers")
        numbers = [ids.identity_of({"kind": ids.PHONE, "key": key}) for key in keys]
        known = self._book.state("numbers")
        value = {} if known is None else dict(known.value)
        listed = {number.key for number in numbers}
        before = set(value.get(name, ()))
        value[name] = sorted(before - listed if off else before | listed)
        if name == "test":
            real = set(value.get(REAL_NUMBERS, ()))
            value[REAL_NUMBERS] = sorted(real | listed if off else real - listed)
        self._put_state("numbers", value)
        self._numbers = self._numbers_of(self._book.state("numbers"))
        customers: set[str] = set()
        for number in numbers:
            for link in self._links_of(number):
                other = link.b if link.a == number else link.a
                found = self._book.identity(other.kind, other.key)
                customers |= set() if found is None else {found.customer}
            alone = self._book.identity(number.kind, number.key)
            customers |= set() if alone is None else {alone.customer}
        for customer in sorted(customers):
            for row in self._book.leads_of(customer):
                was = row.quality, row.faults
                self._settle_quality(row)
                if was != (row.quality, row.faults):
                    self._note(row, "quality", _text(data, "by") or CLOCK, at, {"faults": row.faults})
                    self._changed(row)

    # ------------------------------------------------------------------ personal data

    def _consent(
        self, identity: ids.Identity, purpose: str, channel: str, given: bool, at: int, source: str
    ) -> None:
        known = next(
            (
                each
                for each in self._book.consents_of(identity.kind, identity.key)
                if (each.purpose, each.channel) == (purpose, channel)
            ),
            None,
        )
        if known is None:
            known = Consent(identity.kind, identity.key, purpose, channel, given, at, source)
        known.given, known.at, known.source = given, at, source
        self._book.put(known)

    def _on_consent(self, event: Event, at: int) -> None:
        data = event.data or {}
        identity = ids.identity_of(data.get("identity"))
        purpose, given = _text(data, "purpose"), data.get("given")
        channel = _text(data, "channel")
        if not 0 < len(purpose) <= MAX_PURPOSE or len(channel) > MAX_PURPOSE or not isinstance(given, bool):
            raise EventInvalid("a consent says its purpose and whether it was given")
        source = _text(data, "source")
        row = self._identity(identity, at)
        before = self._said(row.customer)
        self._consent(identity, purpose, channel, given, at, source)
        if before.get((purpose, channel)) != self._said(row.customer).get((purpose, channel)):
            told = {"purpose": purpose, "given": given, "channel": channel or None, "source": source or None}
            for lead in self._book.leads_of(row.customer):
                self._note(lead, event.kind, _text(data, "by") or CLOCK, at, told)
                self._changed(lead)
        if purpose == "contact" and not channel:
            decision = "permit" if given else "forbid"
            for lead in self._book.leads_of(row.customer):
                self._do(
                    lead,
                    Act(kind="contact", at=at, decision=decision),
                    at,
                    "contact",
                    data={"decision": decision},
                )
        self._nurse.stir(row.customer, at)

    def _said(self, customer: str) -> dict[tuple[str, str], bool]:
        """Return what a customer said last of each (purpose, channel), through whichever identity."""
        return nursing.last_words(
            each
            for one in self._book.identities_of(customer)
            for each in self._book.consents_of(one.kind, one.key)
        )

    def _on_reveal(self, event: Event, at: int) -> None:
        row, data = self._row(event), event.data or {}
        key = event_key(event)
        by, purpose = _text(data, "by"), _text(data, "purpose")
        self._book.put(Access(key, row.lead, row.customer, by, purpose, at))
        self._note(row, event.kind, by or CLOCK, at, {"purpose": purpose})
        self._changed(row)

    def _on_erase(self, event: Event, at: int) -> None:
        """Take away what is personal of somebody; what was decided stays."""
        named = (event.data or {}).get("identities")
        if not isinstance(named, list):
            raise EventInvalid("it names no identities")
        for each in named:
            identity = ids.identity_of(each)
            row = self._book.identity(identity.kind, identity.key)
            if row is not None:
                self._erase(row.customer, at)

    def _erase(self, customer: str, at: int) -> None:
        book = self._book
        for identity in book.identities_of(customer):
            for contact in book.contacts_of(identity.kind, identity.key):
                contact.sealed = contact.masked = None
                book.put(contact)
        for raw in book.raws_of(customer):
            raw.name = raw.words = None
            book.put(raw)
        for row in book.founded_by(customer):
            row.name = row.words = row.masked = None
            row.do_not_contact = True
            for entry in book.entries(row.lead):
                if entry.note is not None:
                    entry.note = None
                    book.put(entry)
            self._cancel_all(row)  # nobody is to be reminded of somebody who wants to be forgotten
            self._note(row, "erased", CLOCK, at, {})
            self._changed(row)

    # ------------------------------------------------------------------ channels

    def _on_costs(self, event: Event, at: int) -> None:
        if (event.platform, event.room) != (PLATFORM, ROOM):
            return
        for row in costs.read_change(event.data):
            known = self._book.cost(row.channel, row.day, row.currency)
            if known is None:
                known = Cost(row.channel, row.day, row.currency, 0)
            known.amount = row.amount
            self._book.put(known)

    # ------------------------------------------------------------------ writing

    def _note(
        self, row: LeadRow, kind: str, actor: str, at: int, data: Mapping[str, Any], note: str | None = None
    ) -> None:
        """Add a line to a lead's timeline, chained to those before it; what is personal is not in the chain."""
        told = {key: value for key, value in data.items() if value is not None and value != {}}
        number = row.entries + 1
        line = msgspec.json.encode([row.lead, number, at, kind, actor, told], order="deterministic")
        row.chain = hashlib.blake2b(bytes.fromhex(row.chain) + line, digest_size=16).hexdigest()
        row.entries = number
        entry = Entry(row.lead, number, at, kind, actor, told, note)
        milestones.mark(row, entry)
        self._book.put(entry)
        event = _EVENTS.get(kind)
        if event is not None:
            self._tell(row, None, "lead", at, event=event)

    def _tell(
        self,
        row: LeadRow,
        to: str | None,
        purpose: str,
        at: int,
        number: int = 0,
        *,
        event: str | None = None,
        through: tuple[str, ...] = ("todo",),
    ) -> None:
        key = f"{row.lead}.{row.entries}.{event or purpose}.{to or ''}.{number}"
        self._told.append(
            Told(
                key,
                to,
                purpose,
                row.lead,
                at,
                row.due_at,
                event,
                row.holder,
                row.breach if purpose == "escalation" else None,
                through,
            )
        )

    def _changed(self, row: LeadRow) -> None:
        row.version += 1
        self._book.put(row)


@dataclass(frozen=True, slots=True)
class _Moving:
    """A lead that goes to another store: ``joined`` are those that were merged into it, ``left`` the one that it was merged into."""

    row: LeadRow
    to: str
    joined: Sequence[LeadRow]
    left: LeadRow | None
    raws: Sequence[RawLead]


def transfer_state(plan: str) -> str:
    """Return the name of the state that holds a plan."""
    return f"transfer {plan}"


def _act_of_move(row: LeadRow, move: Move, seller: str | None, *, undo: bool, at: int) -> Act | None:
    """Return what a move does to a lead beside its place; None: nothing, it stays in the public pool."""
    if row.status == "pooled":
        return None
    if undo and move.status == "pooled":
        return Act(kind="recycle", at=at)
    if seller is None and row.owner is not None:
        return Act(kind="release", at=at)
    follows = row.owner is not None or (undo and move.status == "following")
    return Act(kind="transfer" if follows and seller is not None else "assign", at=at, seller=seller)


# What is said of the one who has a lead when a timer of it rings.
_EVENT_OF_TIMER = {"follow_up": "follow_up_due", "protection": "protection_ended"}
# What programs that hear of all leads are told, by the timeline's kinds.
_EVENTS = {
    "assigned": "assigned", "lead_claim": "claimed", "breach": "breached", "returned": "returned", "pooled": "pooled",
    "merged": "merged", "reactivated": "reactivated",
}  # fmt: skip
_ALWAYS_NOTED = frozenset(
    {"lead_touch", "lead_note", "lead_outcome", "lead_review", "waiting", "store_transfer"}
)
_FLAGS = (
    "staff", "spam", "crowd", *SIGNS, "linkable", "confirmed", "booked", "test_drive_done", "ordered",
)  # fmt: skip


def _state_of(row: LeadRow) -> LeadState:
    return LeadState(**{name: getattr(row, name) for name in _STATE_FIELDS}, reached=tuple(row.reached))


def _survivor(group: Sequence[LeadRow]) -> LeadRow:
    """Return which of several leads of one customer in one store goes on: one that is followed, before one that is open, before one
    that is closed; of equals the older."""
    return min(group, key=lambda row: (_STANDING[row.status], row.number))


_STANDING = {"following": 0, "new": 1, "pooled": 2, "won": 3, "lost": 4, "invalid": 5}


def _unique_id(raw: RawLead, made: int) -> str:
    key = msgspec.json.encode([raw.raw, raw.store, made])
    return "U" + hashlib.blake2b(key, digest_size=10).hexdigest()


def _quality_number(quality: str | None) -> int:
    """Return 1 to 5 of ``Q1`` to ``Q5``; the engine says no other, and nothing of somebody who is not linkable."""
    return int(quality[1]) if quality is not None and quality[:1] == "Q" and quality[1:].isdigit() else 1


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return value[:MAX_NAME] if isinstance(value, str) else ""


def _sealed(event: Event) -> str | None:
    """Return what a form said, as it was sealed: whole, since what was cut opens no more."""
    value = (event.fields or {}).get("sealed")
    return value if isinstance(value, str) and value else None


def _shown(frame: Frame, position: int, viewer: str) -> Shown:
    """Return the last name and words of a viewer up to a position of a frame, masked."""
    name = words = None
    for at in range(position, -1, -1):
        if frame.viewers[at] == viewer:
            name, words = name or frame.names[at], words or frame.texts[at]
            if name and words:
                break
    return (
        None if name is None else mask_name(mask_numbers(name)),
        None if words is None else mask_numbers(words),
    )
