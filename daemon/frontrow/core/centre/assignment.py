"""Who gets a lead: ordered rules, the first that matches wins, and whoever is there at that moment.

:func:`decide` asks the rules in their order. A rule says by which facts it takes a lead (:class:`Conditions`), and
gives it to a team (or any unit), to the units that serve the lead's place or sell its product, or to a pool. Among a
unit's people only those are eligible who at the moment of decision are there, on shift, sell the product and have
room; a strategy picks one of them:

* ``round_robin``: who has waited longest for one. Among people who are always eligible nobody is ever more than one lead ahead, whoever
  comes and goes beside them; somebody who comes back gets the next lead and not all that they missed.
* ``weighted``: smooth weighted turns (nginx, ``ngx_http_upstream_round_robin.c``): everybody's credit rises by their share of a lead, the
  highest gets it and pays a whole one. Shares are exact over each round, and a big one's leads do not come in a row.
  nginx adds weights and takes their sum; since that differs with who is there, a lead would cost more at one hour
  than at another.
* ``least_loaded``: the lowest share of their capacity in use.
* ``best_performer``: the highest lower bound of ability (:mod:`frontrow.core.centre.ability`), never a raw rate; those of whom too little
  is known come after those of whom enough is, the least loaded first.

A lead is never dropped: where nobody is eligible it waits in the team's pool, or goes on to the next rule that
matches if the rule says so; where no rule takes it, it goes to the fallback pool. Every decision says why, with the
number passed over for each reason.

Rules are indexed by their most selective condition, and what an organisation answers is kept for the minute. Nothing
here waits for the seller (:mod:`frontrow.core.centre.clock`) or tells anybody.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Literal, TypeVar
from weakref import WeakKeyDictionary

import msgspec
from msgspec import Meta, Struct

from frontrow.core.centre.facts import LeadFacts
from frontrow.core.centre.organisation import Key, Label, Organisation, Role, Seller, sells
from frontrow.core.leads import Grade

Strategy = Literal["round_robin", "weighted", "least_loaded", "best_performer"]
By = Literal["region", "product"]
Notice = Literal["todo", "sms"]
Passed = Literal["left", "absent", "off_shift", "lacks_product", "excluded", "at_capacity"]

MAX_QUALITY = 5
MAX_POINTS = 100
FALLBACK = "public"  # 公海
LEFT_MS = (
    30 * 86_400_000
)  # for so long a decision still names who has left; whom nobody remembers explains nothing
_KEPT = 2_048  # answers of an organisation, of each sort
_LEAD = 1 << 30  # units of credit in one lead; whole numbers keep ties ties
_UNKNOWN = float("-inf")  # ability: below everybody's of whom enough is known


class Conditions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which leads a rule takes: those that meet every condition. One that is left out, or empty, is met by all.

    A list is met by any of its values, and never by a fact that is not known. ``rooms`` are a platform's names of
    rooms, or ``platform/room``. ``products`` are ids, or paths of the taxonomy, which take all below them.
    ``quality_at_least`` is 0 to 5. ``returning`` is whether the customer was known before.
    """

    platforms: tuple[Label, ...] = ()
    rooms: tuple[Label, ...] = ()
    hosts: tuple[Label, ...] = ()
    campaigns: tuple[Label, ...] = ()
    channels: tuple[Label, ...] = ()
    products: tuple[Label, ...] = ()
    provinces: tuple[Label, ...] = ()
    cities: tuple[Label, ...] = ()
    grades: tuple[Grade, ...] = ()
    quality_at_least: Annotated[int, Meta(ge=0, le=MAX_QUALITY)] = 0
    points_at_least: Annotated[int, Meta(ge=0, le=MAX_POINTS)] = 0
    returning: bool | None = None


LISTS = (
    "platforms", "rooms", "hosts", "campaigns", "channels", "products", "provinces", "cities", "grades",
)  # fmt: skip
"""The conditions of :class:`Conditions` that are lists."""


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which leads go where. Exactly one of ``team``, ``pool`` and ``by`` says where.

    ``team`` is the id of a team, or of a unit of which everybody below is meant. ``by`` finds the units: those that
    serve the lead's region, sell its product, or both. A lead that belongs to a store already stays in it: where
    nothing of that store is meant, or ``by`` finds none, the rule does not match. ``if_nobody`` is eligible the lead
    waits in the team's pool, or goes on to the next rule. With ``approval`` a manager confirms the seller before they
    are told. ``notify`` is how they are told. ``notes`` are for people.
    """

    name: Key
    when: Conditions = Conditions()
    team: Key | None = None
    pool: Key | None = None
    by: tuple[By, ...] = ()
    strategy: Strategy = "round_robin"
    roles: Annotated[tuple[Role, ...], Meta(min_length=1)] = ("seller", "specialist")
    if_nobody: Literal["wait", "next"] = "wait"
    approval: bool = False
    notify: tuple[Notice, ...] = ("todo",)
    notes: Label = ""

    def __post_init__(self) -> None:
        if (self.team is not None) + (self.pool is not None) + bool(self.by) != 1:
            raise ValueError(f"rule {self.name!r} must have exactly one of team, pool and by")


# The founding text's sentence: a new hot lead, which is 待跟进 (every lead's first status), goes by intended product to
# that line's sales group, and its seller gets a to-do with the customer's core information. Q0 is nobody's lead:
# spam, staff, a test.
DEFAULT_RULES = (
    Rule(name="hot-by-product-line", when=Conditions(grades=("hot",), quality_at_least=1), by=("product",)),
    Rule(name="hot-by-region", when=Conditions(grades=("hot",), quality_at_least=1), by=("region",)),
)
"""For a company whose units name the product lines that they sell, and its stores the places that they serve."""


class Rotation(Struct, kw_only=True, omit_defaults=True):
    """Whose turn it is in one team by one strategy. ``last`` is the ``turn`` in which each got a lead; ``credits`` are what the weighted
    are owed."""

    turn: int = 0
    last: dict[str, int] = {}
    credits: dict[str, int] = {}


class State(Struct, kw_only=True, omit_defaults=True):
    """What decisions depend on besides the lead and the organisation. It is JSON values all through.

    ``open`` is how many open leads each seller has, ``abilities`` the lower bound of each whose ability is known
    (:func:`frontrow.core.centre.ability.lower_bounds`), ``rotations`` whose turn it is. ``day`` is the last one (of
    1970) on which those who had left were forgotten. ``touched`` names the rotations that have changed, until whoever
    keeps them has written them.
    """

    open: dict[str, int] = {}
    abilities: dict[str, float] = {}
    day: int = 0
    rotations: dict[str, Rotation] = {}
    touched: set[str] = set()

    def rotation(self, name: str) -> Rotation:
        """Return whose turn it is by a name, for who is about to change it."""
        self.touched.add(name)
        return self.rotations.setdefault(name, Rotation())

    def opened(self, seller: str) -> None:
        """Take note that a seller has one more open lead; :func:`decide` does so itself for what it gives."""
        self.open[seller] = self.open.get(seller, 0) + 1

    def closed(self, seller: str) -> None:
        """Take note that a seller has one open lead less: closed, released or moved."""
        left = self.open.get(seller, 0) - 1
        if left > 0:
            self.open[seller] = left
        else:
            self.open.pop(seller, None)

    def copy(self) -> "State":
        """Return another that is equal now and shares nothing."""
        return msgspec.convert(msgspec.to_builtins(self), State)

    def forget(self, organisation: Organisation, at: int) -> None:
        """Drop the turns of those who are not there any more, so that the state does not grow with the years."""
        for name, rotation in self.rotations.items():
            for turns in (rotation.last, rotation.credits):
                for id in [
                    id for id in turns if not organisation.seller(id, at) and not organisation.unit(id, at)
                ]:
                    del turns[id]
                    self.touched.add(name)


class Skipped(Struct, frozen=True, kw_only=True):
    """A rule that matched and did not take the lead: ``nobody`` was eligible, or it found ``no_unit``."""

    rule: str
    reason: Literal["nobody", "no_unit"]


class Why(Struct, frozen=True, kw_only=True):
    """How a decision came about. Everybody of ``considered`` is eligible or counted once in ``passed_over``, by the first reason."""

    considered: int = 0
    eligible: int = 0
    passed_over: dict[Passed, int] = {}
    skipped: tuple[Skipped, ...] = ()


class Decision(Struct, frozen=True, kw_only=True):
    """Where a lead goes. ``rule`` None: none took it, and it goes to the fallback ``pool``.

    Otherwise either ``pool`` is named by the rule, or ``team`` is the unit; ``seller`` None then: it waits in the
    team's pool, since nobody was eligible. With ``approval`` the seller is proposed, and a manager is to confirm.
    """

    lead: str
    rule: str | None
    team: str | None = None
    pool: str | None = None
    seller: str | None = None
    strategy: Strategy | None = None
    approval: bool = False
    notify: tuple[Notice, ...] = ()
    why: Why = Why()


class _Compiled(Struct, frozen=True, kw_only=True):
    position: int
    rule: Rule
    lists: tuple[tuple[str, frozenset[str]], ...]


class Rules:
    """Rules in their order, made ready to be asked. Never changed."""

    def __init__(self, rules: Iterable[Rule], *, fallback: str = FALLBACK) -> None:
        """``fallback`` is the pool for leads that no rule takes."""
        self.rules = tuple(rules)
        self.fallback = fallback
        wanted = [
            {name: frozenset(values) for name in LISTS if (values := getattr(rule.when, name))}
            for rule in self.rules
        ]
        shared = Counter(
            (name, value) for lists in wanted for name, values in lists.items() for value in values
        )
        self._index: dict[tuple[str, str], list[_Compiled]] = defaultdict(list)
        self._always: list[_Compiled] = []
        for position, (rule, lists) in enumerate(zip(self.rules, wanted, strict=True)):
            # The condition that fewest rules share its values with is looked up, the others are tested.
            chosen = min(
                lists, key=lambda name: sum(shared[name, value] for value in lists[name]), default=None
            )
            rest = tuple((name, values) for name, values in lists.items() if name != chosen)
            compiled = _Compiled(position=position, rule=rule, lists=rest)
            if chosen is None:
                self._always.append(compiled)
            else:
                for value in lists[chosen]:
                    self._index[chosen, value].append(compiled)

    def matching(self, facts: LeadFacts) -> Iterator[Rule]:
        """Yield the rules whose conditions a lead meets, in order."""
        values = _values(facts)
        found: dict[int, _Compiled] = {compiled.position: compiled for compiled in self._always}
        for name, given in values.items():
            for value in given:
                for compiled in self._index.get((name, value), ()):
                    found[compiled.position] = compiled
        for position in sorted(found):
            compiled = found[position]
            when = compiled.rule.when
            if (
                facts.quality >= when.quality_at_least
                and facts.points >= when.points_at_least
                and (when.returning is None or when.returning == facts.returning)
                and not any(wanted.isdisjoint(values[name]) for name, wanted in compiled.lists)
            ):
                yield compiled.rule


def decide(
    facts: LeadFacts,
    rules: Rules,
    organisation: Organisation,
    state: State,
    at: int,
    *,
    excluding: Collection[str] = (),
) -> Decision:
    """Return who gets a lead at a moment (UTC ms), and take note of it in ``state``: whose turn it was, and who has one more.

    ``excluding`` are sellers who must not get it, as after they let it wait. The same state, organisation and lead give
    the same decision; ties go to the smallest id.
    """
    skipped: list[Skipped] = []
    for rule in rules.matching(facts):
        if rule.pool is not None:
            why = Why(skipped=tuple(skipped))
            return Decision(lead=facts.lead, rule=rule.name, pool=rule.pool, notify=rule.notify, why=why)
        since = organisation.since(at)
        units = _units(rule, facts, organisation, since)
        if not units:
            skipped.append(Skipped(rule=rule.name, reason="no_unit"))
            continue
        available, passed = _roster(organisation, units, rule, facts, since)
        opened = state.open
        free = [seller for seller in available if opened.get(seller.id, 0) < seller.capacity]
        full = len(available) - len(free)
        if excluding:
            allowed = [seller for seller in available if seller.id not in excluding]
            free = [seller for seller in free if seller.id not in excluding]
            full = len(allowed) - len(free)
        if not free and rule.if_nobody == "next":
            skipped.append(Skipped(rule=rule.name, reason="nobody"))
            continue
        return _given(facts.lead, rule, units, state, free, {
            **passed, "excluded": len(available) - len(free) - full, "at_capacity": full,
        }, tuple(skipped))  # fmt: skip
    return Decision(lead=facts.lead, rule=None, pool=rules.fallback, why=Why(skipped=tuple(skipped)))


class DryRun(Struct, frozen=True, kw_only=True):
    """What rules would have made of leads. Counts are by name or id; "" in ``by_rule`` are those that no rule took."""

    decisions: tuple[Decision, ...]
    by_rule: dict[str, int]
    by_team: dict[str, int]
    by_seller: dict[str, int]
    by_pool: dict[str, int]


def dry_run(
    leads: Iterable[tuple[LeadFacts, int]], rules: Rules, organisation: Organisation, state: State
) -> DryRun:
    """Return what becomes of leads, each with the moment (UTC ms) at which it is decided; ``state`` stays as it is.

    Leads stay open for as long as this goes on, so sellers fill up sooner than they did.
    """
    state = state.copy()
    decisions = tuple(decide(facts, rules, organisation, state, at) for facts, at in leads)

    def counted(keys: Iterable[str | None]) -> dict[str, int]:
        counts = Counter(key for key in keys if key is not None)
        return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))

    # Rules that took nothing are what one looks for in such a list.
    by_rule = {**dict.fromkeys((rule.name for rule in rules.rules), 0)}
    by_rule |= Counter(decision.rule or "" for decision in decisions)
    return DryRun(
        decisions=decisions,
        by_rule=by_rule,
        by_team=counted(decision.team for decision in decisions),
        by_seller=counted(decision.seller for decision in decisions),
        by_pool=counted(decision.pool for decision in decisions),
    )


_WORDS: Mapping[str, tuple[str, str]] = {
    "left": ("{} 人已离职", "{} left the company"),
    "absent": ("{} 人请假", "{} absent"),
    "off_shift": ("{} 人不在班", "{} off shift"),
    "lacks_product": ("{} 人不负责该产品", "{} who do not sell the product"),
    "excluded": ("{} 人已排除", "{} excluded"),
    "at_capacity": ("{} 人已满", "{} at capacity"),
    "nobody": ("规则“{}”无人可接", "rule “{}” had nobody"),
    "no_unit": ("规则“{}”找不到对应团队", "rule “{}” found no team"),
    "rule": ("规则“{}”", "rule “{}”"),
    "none": ("没有规则匹配", "no rule took it"),
    "eligible": ("{} 人中 {} 人可接", "{1} of {0} eligible"),
}


def explain(decision: Decision, language: Literal["zh-CN", "en"]) -> str:
    """Return in one line why a decision was made, for people."""

    def say(word: str, *values: object) -> str:
        return _WORDS[word][language == "en"].format(*values)

    why = decision.why
    parts = [say("none") if decision.rule is None else say("rule", decision.rule)]
    if why.considered:
        parts.append(say("eligible", why.considered, why.eligible))
    parts += (say(reason, count) for reason, count in why.passed_over.items())
    parts += (say(each.reason, each.rule) for each in why.skipped)
    return ("；" if language == "zh-CN" else "; ").join(parts)


def _values(facts: LeadFacts) -> dict[str, tuple[str, ...]]:
    """Return what a lead has to say to each list of conditions."""
    paths = tuple("/".join(facts.taxonomy[:length]) for length in range(1, len(facts.taxonomy) + 1))
    return {
        "platforms": (facts.platform,),
        "rooms": (facts.room, f"{facts.platform}/{facts.room}"),
        "hosts": () if facts.host is None else (facts.host,),
        "campaigns": () if facts.campaign is None else (facts.campaign,),
        "channels": () if facts.channel is None else (facts.channel,),
        "products": paths if facts.product is None else (*paths, facts.product),
        "provinces": (facts.region.province,) if facts.region.province else (),
        "cities": (facts.region.city,) if facts.region.city else (),
        "grades": (facts.grade,),
    }


def _units(rule: Rule, facts: LeadFacts, organisation: Organisation, since: int) -> tuple[str, ...]:
    """Return the ids of the units that a rule gives a lead to; () where there is none.

    A lead stays in its store: of a unit above that the store alone is meant, and a unit of another store is none for
    it.
    """
    store = facts.store
    if store is not None and organisation.unit(store, since) is None:
        store = None  # it has closed since
    if rule.team is not None:
        path = [unit.id for unit in organisation.path(rule.team, since)]
        if not path or store is None or store in path:
            return (rule.team,) if path else ()
        below = any(unit.id == rule.team for unit in organisation.path(store, since))
        return (store,) if below else ()
    if "region" in rule.by:
        found = (
            (store,)
            if store is not None
            else tuple(unit.id for unit in organisation.stores_serving(facts.region, since))
        )
    else:
        found = () if store is None else (store,)
    if "product" not in rule.by or ("region" in rule.by and not found):
        return found
    among = [unit for each in found for unit in organisation.units_of(each, since)] if found else None
    return tuple(unit.id for unit in organisation.units_selling(facts.taxonomy, since, among=among))


class _Crew(Struct, frozen=True, kw_only=True, eq=False):
    """Who belongs to some units for a while, by id, each with a number of their shifts and of their products: many share them."""

    members: tuple[tuple[Seller, int, int], ...]
    shifts: tuple[Seller, ...]  # one who has them
    products: tuple[tuple[str, ...], ...]
    left_at: tuple[int, ...]  # UTC ms, of those who are gone


class _Answers:
    """What one organisation has answered. It goes with the organisation: each change makes another one."""

    def __init__(self) -> None:
        self.crews: dict[object, _Crew] = {}
        self.rosters: dict[object, _Roster] = {}


_Roster = tuple[tuple[Seller, ...], dict[Passed, int]]
_answers: WeakKeyDictionary[Organisation, _Answers] = WeakKeyDictionary()
_Answer = TypeVar("_Answer")


def _kept(answers: dict[object, _Answer], key: object, compute: Callable[[], _Answer]) -> _Answer:
    answer = answers.get(key)
    if answer is None:
        if len(answers) >= _KEPT:
            answers.clear()  # most are of minutes that have passed
        answer = answers[key] = compute()
    return answer


def _crew(organisation: Organisation, units: tuple[str, ...], roles: tuple[Role, ...], settled: int) -> _Crew:
    people = {seller.id: seller for unit in units for seller in organisation.sellers_of(unit, settled)}
    gone = {seller.id: seller for unit in units for seller in organisation.left(unit, settled)}
    shifts: dict[object, int] = {}
    products: dict[tuple[str, ...], int] = {}
    examples: list[Seller] = []
    members: list[tuple[Seller, int, int]] = []
    for id in sorted(people):
        seller = people[id]
        if seller.role not in roles:
            continue
        shift = shifts.setdefault((seller.timezone, seller.shifts), len(shifts))
        if shift == len(examples):
            examples.append(seller)
        members.append((seller, shift, products.setdefault(seller.products, len(products))))
    return _Crew(
        members=tuple(members),
        shifts=tuple(examples),
        products=tuple(products),
        left_at=tuple(seller.to_at or 0 for seller in gone.values() if seller.role in roles),
    )


def _roster(
    organisation: Organisation, units: tuple[str, ...], rule: Rule, facts: LeadFacts, since: int
) -> _Roster:
    """Return who of some units could take a lead if they have room, by id, and how many could not, by the first reason."""
    answers = _answers.get(organisation) or _answers.setdefault(organisation, _Answers())
    # A product that no seller names says only that it is known: "" keeps the number of answers small.
    product = facts.product if facts.product is None or facts.product in organisation.skills else ""
    taxonomy, roles = facts.taxonomy, rule.roles

    def compute() -> _Roster:
        settled = organisation.settled_since(since)
        crew = _kept(
            answers.crews, (units, roles, settled), lambda: _crew(organisation, units, roles, settled)
        )
        working = [organisation.on_shift(example, since) for example in crew.shifts]
        suited = [sells(products, product, taxonomy) for products in crew.products]
        available: list[Seller] = []
        absent = off_shift = lacking = 0
        for seller, shift, products in crew.members:
            if seller.absences and organisation.absent(seller, since):
                absent += 1
            elif not working[shift]:
                off_shift += 1
            elif not suited[products]:
                lacking += 1
            else:
                available.append(seller)
        left = sum(at > since - LEFT_MS for at in crew.left_at)
        return tuple(available), {
            "left": left, "absent": absent, "off_shift": off_shift, "lacks_product": lacking,
        }  # fmt: skip

    return _kept(answers.rosters, (units, roles, product, taxonomy, since), compute)


def _given(
    lead: str,
    rule: Rule,
    units: tuple[str, ...],
    state: State,
    free: Sequence[Seller],
    passed: Mapping[Passed, int],
    skipped: tuple[Skipped, ...],
) -> Decision:
    """Return the decision for a rule that takes a lead, and note it in the state."""
    why = Why(
        considered=len(free) + sum(passed.values()),
        eligible=len(free),
        passed_over={reason: count for reason, count in passed.items() if count},
        skipped=skipped,
    )
    seller: Seller | None = None
    if free:
        # By the rule where that finds the units: turns by who has waited longest stay fair over teams that overlap.
        whose = f"rule/{rule.name}" if rule.team is None else f"team/{rule.team}"
        rotation = state.rotation(f"{rule.strategy}/{whose}")
        seller = _STRATEGIES[rule.strategy](free, rotation, state)
        _note(rotation, seller.id)
        state.opened(seller.id)
        team = seller.team
    elif len(units) == 1:
        team = units[0]
    else:  # several stores serve the place: their pools take turns, too
        rotation = state.rotation(f"pool/rule/{rule.name}")
        team = min(units, key=lambda unit: (rotation.last.get(unit, 0), unit))
        _note(rotation, team)
    return Decision(
        lead=lead,
        rule=rule.name,
        team=team,
        seller=None if seller is None else seller.id,
        strategy=rule.strategy,
        approval=rule.approval and seller is not None,
        notify=rule.notify,
        why=why,
    )


def _note(rotation: Rotation, id: str) -> None:
    rotation.turn += 1
    rotation.last[id] = rotation.turn


# Each picks one of those who are free. They come by id, and min() takes the first of equals: ties go to the smallest
# id.


def _round_robin(free: Sequence[Seller], rotation: Rotation, state: State) -> Seller:
    last = rotation.last
    return min(free, key=lambda seller: last.get(seller.id, 0))


def _weighted(free: Sequence[Seller], rotation: Rotation, state: State) -> Seller:
    credits = rotation.credits
    total = sum(seller.weight for seller in free)
    price = 0
    for seller in free:
        share = seller.weight * _LEAD // total
        credits[seller.id] = credits.get(seller.id, 0) + share
        price += share
    best = min(free, key=lambda seller: -credits[seller.id])
    credits[best.id] -= price
    return best


def _least_loaded(free: Sequence[Seller], rotation: Rotation, state: State) -> Seller:
    opened, last = state.open, rotation.last
    return min(free, key=lambda seller: (opened.get(seller.id, 0) / seller.capacity, last.get(seller.id, 0)))


def _best_performer(free: Sequence[Seller], rotation: Rotation, state: State) -> Seller:
    opened, last, abilities = state.open, rotation.last, state.abilities
    return min(
        free,
        key=lambda seller: (
            -abilities.get(seller.id, _UNKNOWN),
            opened.get(seller.id, 0) / seller.capacity,
            last.get(seller.id, 0),
        ),
    )


_STRATEGIES: Mapping[Strategy, Callable[[Sequence[Seller], Rotation, State], Seller]] = {
    "round_robin": _round_robin,
    "weighted": _weighted,
    "least_loaded": _least_loaded,
    "best_performer": _best_performer,
}
