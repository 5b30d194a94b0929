"""What is wrong with assignment rules that nobody sees by reading them: rules that take nothing, and names that nobody has.

A finding is sure: a rule is only called hidden where an earlier one alone takes every lead that it could, and never
to match where no lead at all could meet it. That several earlier rules hide one together is not looked for.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from frontrow.core.centre.assignment import LISTS, MAX_POINTS, MAX_QUALITY, Conditions, Rule
from frontrow.core.centre.organisation import Organisation
from frontrow.core.leads import GRADES

_SINGULAR = {
    "platforms": "platform", "rooms": "room", "hosts": "host", "campaigns": "campaign", "channels": "channel",
    "products": "product", "provinces": "province", "cities": "city", "grades": "grade",
}  # fmt: skip


class Known(Struct, frozen=True, kw_only=True):
    """What exists, for rules to name. None: not known here, so any name is believed.

    ``rooms`` are names or ``platform/room``; ``products`` are paths of the taxonomy and ids; ``places`` are the
    cities of each province. ``warm`` and ``hot`` are the points from which a viewer is so: who has them is not graded
    lower.
    """

    platforms: Collection[str] | None = None
    rooms: Collection[str] | None = None
    hosts: Collection[str] | None = None
    campaigns: Collection[str] | None = None
    channels: Collection[str] | None = None
    products: Collection[str] | None = None
    places: Mapping[str, Collection[str]] | None = None
    pools: Collection[str] | None = None
    warm: int = 40
    hot: int = 80


class Finding(Struct, frozen=True, kw_only=True):
    """What is wrong with ``rule``, in a sentence that names it. ``other`` is the rule that hides it, or has the same name.

    ``never``: no lead can meet it, or it has nowhere to go; ``hidden``: an earlier one takes all; ``twice``: the name is not its own;
    ``unknown``: some of its names are nobody's; ``nobody``: it works, but nobody can take what it gives.
    """

    rule: str
    kind: Literal["never", "hidden", "twice", "unknown", "nobody"]
    reason: str
    other: str | None = None


def findings(
    rules: Sequence[Rule], organisation: Organisation, at: int, known: Known | None = None
) -> list[Finding]:
    """Return all that is wrong with rules in this order, by the organisation at ``at`` (UTC ms) or later."""
    known = Known() if known is None else known
    found: list[Finding] = []
    effective: list[Rule] = []  # those that take something, and take it for sure
    names: Counter[str] = Counter()
    takers: dict[str, set[str]] = defaultdict(
        set
    )  # by unit, the roles of those who can take leads, now or later
    for seller in organisation.sellers:
        if seller.capacity > 0 and (seller.to_at is None or seller.to_at > at):
            takers[seller.team].add(seller.role)
    for rule in rules:
        names[rule.name] += 1
        if names[rule.name] == 2:
            reason = f"two rules are called {rule.name!r}: nobody could tell which one took a lead"
            found.append(Finding(rule=rule.name, kind="twice", reason=reason, other=rule.name))
        impossible = next(_impossible(rule, organisation, at, known), None)
        if impossible is not None:
            found.append(
                Finding(
                    rule=rule.name, kind="never", reason=f"rule {rule.name!r} can never match: {impossible}"
                )
            )
            continue
        found += _unknown(rule, known)
        found += _nobody(rule, organisation, at, takers)
        hiding = next((earlier for earlier in effective if _hides(earlier, rule)), None)
        if hiding is not None:
            reason = f"rule {rule.name!r} is hidden: {hiding.name!r} stands before it and takes every lead that it could"
            found.append(Finding(rule=rule.name, kind="hidden", reason=reason, other=hiding.name))
        elif rule.pool is not None or rule.if_nobody == "wait":
            effective.append(rule)
    return found


def _hides(earlier: Rule, later: Rule) -> bool:
    # Units that are looked up may not be found; then whoever looks up the same ones finds none either.
    return (not earlier.by or earlier.by == later.by) and implies(later.when, earlier.when)


def implies(narrow: Conditions, wide: Conditions) -> bool:
    """Return whether every lead that meets ``narrow`` surely meets ``wide``."""
    return (
        narrow.quality_at_least >= wide.quality_at_least
        and narrow.points_at_least >= wide.points_at_least
        and (wide.returning is None or narrow.returning == wide.returning)
        and all(_within(name, narrow, wide) for name in LISTS)
    )


def _within(name: str, narrow: Conditions, wide: Conditions) -> bool:
    outer, inner = getattr(wide, name), getattr(narrow, name)
    if not outer:
        return True
    if name == "platforms" and not inner:  # a room may say its platform
        inner = [room.split("/", 1)[0] if "/" in room else "" for room in narrow.rooms]
    if name == "grades" and not inner:
        inner = GRADES
    if not inner:
        return False
    if name == "products":
        return all(any(_below(path, above) for above in outer) for path in inner)
    if name == "rooms":
        return all(room in outer or room.split("/", 1)[-1] in outer for room in inner)
    return set(inner) <= set(outer)


def _below(path: str, above: str) -> bool:
    return path == above or path.startswith(above + "/")


def _impossible(rule: Rule, organisation: Organisation, at: int, known: Known) -> Iterator[str]:
    """Yield why no lead can come this way."""
    when = rule.when
    for name in LISTS:
        given = getattr(when, name)
        if given and not any(_exists(name, value, known) for value in given):
            yield f"there is no {_SINGULAR[name]} {_either(given)}"
    if when.quality_at_least > MAX_QUALITY:
        yield f"quality goes up to Q{MAX_QUALITY}, and it wants Q{when.quality_at_least}"
    most = max(
        (_most_points(grade, known) for grade in when.grades or GRADES if grade in GRADES), default=MAX_POINTS
    )
    if when.points_at_least > most:
        if when.grades and most < MAX_POINTS:
            yield f"a lead that is {_either(when.grades)} has at most {most} points, and it wants {when.points_at_least}"
        else:
            yield f"points go up to {most}, and it wants {when.points_at_least}"
    if when.platforms and when.rooms and all(_elsewhere(room, when.platforms) for room in when.rooms):
        yield f"room {_either(when.rooms)} is not on {_either(when.platforms)}"
    if when.cities and when.provinces and known.places is not None:
        inside = {city for province in when.provinces for city in known.places.get(province, ())}
        if inside.isdisjoint(when.cities):
            yield f"{_either(when.cities)} does not lie in {_either(when.provinces)}"
    yield from _nowhere(rule, organisation, at, known)


def _nowhere(rule: Rule, organisation: Organisation, at: int, known: Known) -> Iterator[str]:
    there = [unit for unit in organisation.units if unit.to_at is None or unit.to_at > at]
    if rule.team is not None and not any(unit.id == rule.team for unit in there):
        yield f"there is no team {rule.team!r}"
    if rule.pool is not None and known.pools is not None and rule.pool not in known.pools:
        yield f"there is no pool {rule.pool!r}"
    if "product" in rule.by:
        sold = {path for unit in there for path in unit.products}
        wanted = rule.when.products
        # A word without / may be a product's id, which says nothing of its line.
        lines = wanted and all("/" in path for path in wanted)
        if not sold:
            yield "no unit names a product line that it sells"
        elif lines and not any(_below(path, each) or _below(each, path) for path in wanted for each in sold):
            yield f"no unit sells {_either(wanted)}"
    if "region" in rule.by and not any(unit.kind == "store" for unit in there):
        yield "there is no store"


def _most_points(grade: str, known: Known) -> int:
    return {"cold": known.warm - 1, "warm": known.hot - 1}.get(grade, MAX_POINTS)


def _elsewhere(room: str, platforms: Collection[str]) -> bool:
    return "/" in room and room.split("/", 1)[0] not in platforms


def _unknown(rule: Rule, known: Known) -> Iterator[Finding]:
    for name in LISTS:
        strange = [value for value in getattr(rule.when, name) if not _exists(name, value, known)]
        if strange:
            reason = f"rule {rule.name!r} names a {_SINGULAR[name]} that there is not: {', '.join(map(repr, strange))}"
            yield Finding(rule=rule.name, kind="unknown", reason=reason)


def _nobody(
    rule: Rule, organisation: Organisation, at: int, takers: Mapping[str, set[str]]
) -> Iterator[Finding]:
    if rule.team is None:
        return
    below = organisation.units_of(rule.team, at)
    if below and not any(role in takers.get(unit.id, ()) for unit in below for role in rule.roles):
        where = "they wait in its pool" if rule.if_nobody == "wait" else "they all go on to the next rule"
        reason = f"rule {rule.name!r} gives leads to {rule.team!r}, where nobody can take any: {where}"
        yield Finding(rule=rule.name, kind="nobody", reason=reason)


def _exists(name: str, value: str, known: Known) -> bool:
    match name:
        case "grades":
            return value in GRADES
        case "provinces":
            return known.places is None or value in known.places
        case "cities":
            return known.places is None or any(value in cities for cities in known.places.values())
        case "products":
            return known.products is None or any(_below(path, value) for path in known.products)
        case "rooms":
            return known.rooms is None or any(
                value == room or value == room.split("/", 1)[-1] or room == value.split("/", 1)[-1]
                for room in known.rooms
            )
    names: Collection[str] | None = getattr(known, name)
    return names is None or value in names


def _either(names: Sequence[str]) -> str:
    return " or ".join(map(repr, names))
