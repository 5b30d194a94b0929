"""Where the open leads of a store go that leaves: a plan that can be looked at, carried out in steps, resumed and undone.

:func:`plan_transfer` computes the whole plan once, from what is open then. It is a value: the caller keeps it (it is
a Struct of JSON values) and shows it, and what is carried out is what was shown, since ``id`` is a digest of its
content. The first ``store_transfer`` event (:func:`opening_data`) holds the whole plan, and each :class:`Step` is one
more that names it (:func:`step_data`): after a crash the journal says what was planned and which steps are done, and
:func:`remaining` gives the others. :func:`undo_of` gives the plan that takes the done ones back.

One customer has one lead a store: where they have one at the target already, the lead is merged into it, and the move
says so.

Nothing here changes a lead. Whoever carries a step out passes over a move that no longer stands (:func:`stands`): the
lead was won, or went to somebody else, after the plan was made. What is then still open at the store is planned anew.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from frontrow.core.centre.facts import NOWHERE, Region
from frontrow.core.centre.organisation import Key, Organisation, Seller, Unit, sells
from frontrow.core.errors import FrontrowError

STEP_LEADS = 50  # whose transaction takes 0.1 s, for which new leads wait

How = Literal["store", "region", "share", "nearest"]


class Target(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which stores take the leads.

    ``how`` is ``store``: the one named; ``region``: the others of its region, by the number of their sellers;
    ``share``: those in ``shares``, by weight; ``nearest``: the one of the customer's city, else province, else that
    of the leaving store's own.
    """

    how: How
    store: Key | None = None
    shares: dict[Key, Annotated[int, Meta(ge=1, le=10_000)]] = {}


Standing = Literal["new", "following", "pooled", "closed"]


class OpenLead(Struct, frozen=True, kw_only=True):
    """A lead that is open at a store. ``team`` None: it waits in the store's pool; ``seller`` None: in the team's.

    ``status`` "pooled": it is in the public pool, and stays there.
    """

    lead: str
    customer: str | None = None
    team: str | None = None
    seller: str | None = None
    region: Region = NOWHERE
    product: str | None = None
    taxonomy: tuple[str, ...] = ()
    status: Standing = "new"


class Place(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where a lead is. ``team`` and ``seller`` are None as in :class:`OpenLead`."""

    store: str
    team: str | None = None
    seller: str | None = None


class Move(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One lead goes from ``before`` to ``after``. ``merge`` is the customer's lead there, which it joins; None: there is none.

    ``status`` is how it stood when this was planned: what an undo gives back.
    """

    lead: str
    before: Place
    after: Place
    merge: str | None = None
    status: Standing = "new"


class Step(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Moves that are carried out together, by one event. ``number`` counts from 1 to ``of``.

    With ``undo`` a ``merge`` is taken apart: the lead leaves the one that it had joined.
    """

    plan: str
    number: int
    of: int
    moves: tuple[Move, ...]
    undo: bool = False


class Stays(Struct, frozen=True, kw_only=True):
    """A lead that no store can take, and why."""

    lead: str
    reason: str


class Plan(Struct, frozen=True, kw_only=True):
    """What is to become of a store's leads. Two plans of the same content have the same ``id``."""

    id: str
    store: str
    steps: tuple[Step, ...]
    staying: tuple[Stays, ...] = ()

    @property
    def moves(self) -> tuple[Move, ...]:
        """All moves, in the order in which they are carried out."""
        return tuple(move for step in self.steps for move in step.moves)


class Run(Struct, frozen=True, kw_only=True):
    """How far a plan has come. ``at`` (UTC ms) is when it was begun, ``by`` whom. ``done`` are the numbers of its steps.

    ``moved`` leads were moved, ``passed`` did not stand any more. ``undoes`` is the plan that this one takes back,
    and ``undone_by`` the one that takes this back: none of its steps is done any more.
    """

    plan: str
    store: str
    at: int
    by: str
    of: int
    done: tuple[int, ...] = ()
    moved: int = 0
    passed: int = 0
    undoes: str | None = None
    undone_by: str | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing is left to be done."""
        return self.undone_by is not None or len(self.done) >= self.of


class Sum(Struct, frozen=True, kw_only=True):
    """How many leads a store, team or seller gets; ``merged`` of them join one that is there."""

    moved: int
    merged: int


class TransferRefused(FrontrowError):
    """There is no plan for this target; the message says why."""


def plan_transfer(
    leads: Iterable[OpenLead],
    *,
    store: str,
    target: Target,
    organisation: Organisation,
    at: int,
    present: Mapping[tuple[str, str], OpenLead],
    loads: Mapping[str, int],
    step_leads: int = STEP_LEADS,
) -> Plan:
    """Return where each open lead of ``store`` goes, by the organisation at ``at`` (UTC ms).

    ``present`` holds the leads, open or not, that these customers have at other stores, by (store, customer).
    ``loads`` is how many open leads each seller has. In the new store a lead goes to a team for its product and there
    to whoever has most room, shifts aside: the lead is not new. Where nobody has room it waits in the team's pool.
    The order of ``leads`` means nothing.

    Raises:
        TransferRefused: The target is not there, or is the store that leaves.
    """
    chooser = _Chooser(store, target, organisation, at)
    seats = _Seats(organisation, at, loads)
    taken = dict(present)
    chosen: dict[str, str] = {}  # by customer: nobody is to be called by two stores
    moves: list[Move] = []
    staying: list[Stays] = []
    for lead in sorted(leads, key=lambda lead: lead.lead):
        to = chosen.get(lead.customer) if lead.customer is not None else None
        to = to or chooser.choose(lead)
        if to is None:
            staying.append(Stays(lead=lead.lead, reason=chooser.why_none))
            continue
        there = taken.get((to, lead.customer)) if lead.customer is not None else None
        if there is not None and there.status in ("new", "following"):
            after = Place(store=to, team=there.team, seller=there.seller)
        elif lead.status == "pooled":
            after = Place(store=to)
        else:
            team, seller = seats.seat(to, lead)
            after = Place(store=to, team=team, seller=seller)
        before = Place(store=store, team=lead.team, seller=lead.seller)
        merge = None if there is None else there.lead
        moves.append(Move(lead=lead.lead, before=before, after=after, merge=merge, status=lead.status))
        if lead.customer is not None:
            chosen[lead.customer] = to
            moved = msgspec.structs.replace(lead, team=after.team, seller=after.seller)
            taken.setdefault((to, lead.customer), moved)
    parts = [moves[start : start + step_leads] for start in range(0, len(moves), step_leads)]
    return _plan(store, parts, staying, undo=False)


def remaining(plan: Plan, done: Collection[int]) -> tuple[Step, ...]:
    """Return the steps that are still to be carried out, in order; ``done`` are the numbers that the journal holds."""
    return tuple(step for step in plan.steps if step.number not in done)


def undo_of(plan: Plan, done: Collection[int]) -> Plan:
    """Return the plan that takes the ``done`` steps back, the last first. It can be resumed and undone like any other."""
    steps = [step for step in reversed(plan.steps) if step.number in done]
    parts = [
        [
            Move(lead=move.lead, before=move.after, after=move.before, merge=move.merge, status=move.status)
            for move in reversed(step.moves)
        ]
        for step in steps
    ]
    return _plan(plan.store, parts, (), undo=not any(step.undo for step in steps))


def stands(step: Step, move: Move, place: Place | None) -> bool:
    """Return whether a move can be carried out for a lead that is at ``place`` now (None: it is not open any more).

    A transfer moves what is just as it was planned. Its undo takes back whatever is still at the store that got it,
    whoever works on it there by now.
    """
    if place is None:
        return False
    return place.store == move.before.store if step.undo else place == move.before


def opening_data(plan: Plan, *, by: str, undoes: str | None = None) -> dict[str, Any]:
    """Return the ``data`` of the event that begins a plan; :func:`read_plan` reads the plan of it."""
    data = {"plan": plan.id, "step": 0, "content": msgspec.to_builtins(plan), "by": by}
    return data if undoes is None else {**data, "undoes": undoes}


def step_data(step: Step) -> dict[str, Any]:
    """Return the ``data`` of the event that carries out a step of a plan that was begun."""
    return {"plan": step.plan, "step": step.number}


def read_plan(content: object) -> Plan:
    """Return the plan that JSON values tell of.

    Raises:
        msgspec.ValidationError: They tell of none.
    """
    return msgspec.convert(content, Plan)


def overview(plan: Plan, by: Literal["store", "team", "seller"] = "store") -> dict[str, Sum]:
    """Return how many leads each store, team or seller gets, by id; "" are those without a team or a seller."""
    found: dict[str, Sum] = {}
    for move in plan.moves:
        key = getattr(move.after, by) or ""
        before = found.get(key, Sum(moved=0, merged=0))
        found[key] = Sum(moved=before.moved + 1, merged=before.merged + (move.merge is not None))
    return dict(sorted(found.items()))


class _Chooser:
    """Chooses the store of each lead: among several by smooth weighted turns, so that shares hold at any length."""

    def __init__(self, store: str, target: Target, organisation: Organisation, at: int) -> None:
        self._store, self._target, self._organisation, self._at = store, target, organisation, at
        self._credits: dict[tuple[str, ...], dict[str, int]] = {}
        named = {"store": [target.store] if target.store else [], "share": [*target.shares]}.get(target.how)
        if named == []:
            raise TransferRefused(f"the target says {target.how} and names none")
        for other in named or ():
            unit = organisation.unit(other, at)
            if other == store:
                raise TransferRefused(f"store {store} cannot take its own leads")
            if unit is None or unit.kind != "store":
                raise TransferRefused(f"there is no store {other} then")
        path = organisation.path(store, organisation.last_there(store, at))
        if not path or path[-1].kind != "store":
            raise TransferRefused(f"there is no store {store} then")
        self._here = path[-1]
        region = path[-2].id if len(path) > 1 else None
        self._neighbours = self._weighed(organisation.units_of(region, at, "store") if region else ())

    @property
    def why_none(self) -> str:
        return "no other store in its region" + (
            "" if self._target.how == "region" else ", and none that serves the place"
        )

    def choose(self, lead: OpenLead) -> str | None:
        """Return the store for a lead, or None: there is none."""
        match self._target.how:
            case "store":
                return self._target.store
            case "share":
                return self._turn(self._target.shares)
            case "region":
                return self._turn(self._neighbours)
            case "nearest":
                return self._turn(self._near(lead.region) or self._near_here() or self._neighbours)

    def _near(self, region: Region) -> dict[str, int]:
        return self._weighed(self._organisation.stores_serving(region, self._at, without=self._store))

    def _near_here(self) -> dict[str, int]:
        places = [Region(city=city) for city in self._here.cities]
        places += (Region(province=province) for province in self._here.provinces)
        return next((found for place in places if (found := self._near(place))), {})

    def _weighed(self, stores: Sequence[Unit]) -> dict[str, int]:
        at = self._at
        return {
            store.id: max(1, sum(map(_takes_leads, self._organisation.sellers_of(store.id, at))))
            for store in stores
            if store.id != self._store
        }

    def _turn(self, weights: Mapping[str, int]) -> str | None:
        if not weights:
            return None
        credits = self._credits.setdefault(tuple(sorted(weights)), dict.fromkeys(weights, 0))
        for store, weight in weights.items():
            credits[store] += weight
        best = min(credits, key=lambda store: (-credits[store], store))
        credits[best] -= sum(weights.values())
        return best


class _Seats:
    """Finds the team and the seller in a store: whoever sells the product, is there and has most room."""

    def __init__(self, organisation: Organisation, at: int, loads: Mapping[str, int]) -> None:
        self._organisation, self._at = organisation, at
        self._loads = dict(loads)

    def seat(self, store: str, lead: OpenLead) -> tuple[str | None, str | None]:
        teams = self._teams(store, lead)
        free = [
            seller
            for team in teams
            for seller in self._organisation.sellers_of(team.id, self._at)
            if _takes_leads(seller)
            and self._loads.get(seller.id, 0) < seller.capacity
            and sells(seller.products, lead.product, lead.taxonomy)
            and not self._organisation.absent(seller, self._at)
        ]
        if not free:
            return (teams[0].id if teams else None), None
        best = min(free, key=lambda seller: (self._loads.get(seller.id, 0) / seller.capacity, seller.id))
        self._loads[best.id] = self._loads.get(best.id, 0) + 1
        return best.team, best.id

    def _teams(self, store: str, lead: OpenLead) -> Sequence[Unit]:
        """Return the teams that name the product or, where none does, those that name none."""
        teams = self._organisation.units_of(store, self._at, "team")
        selling = {unit.id for unit in self._organisation.units_selling(lead.taxonomy, self._at, among=teams)}
        return [team for team in teams if team.id in selling] or [team for team in teams if not team.products]


def _takes_leads(seller: Seller) -> bool:
    return seller.role in ("seller", "specialist")


def _plan(store: str, parts: Sequence[Sequence[Move]], staying: Sequence[Stays], *, undo: bool) -> Plan:
    content = msgspec.json.encode([store, parts, staying, undo])
    id = "T" + hashlib.blake2b(content, digest_size=10).hexdigest()
    steps = tuple(
        Step(plan=id, number=number, of=len(parts), moves=tuple(moves), undo=undo)
        for number, moves in enumerate(parts, start=1)
    )
    return Plan(id=id, store=store, steps=steps, staying=tuple(staying))
