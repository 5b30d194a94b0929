"""Who works where, and when: regions, stores, teams and sellers, each with the time over which it holds.

An organisation changes while leads run. So nothing is ever overwritten: a unit or a seller may have several
*versions* of one id with ranges that do not meet, each from ``from_at`` on and before ``to_at`` (UTC ms; None: until
further notice), and every question says at which moment it is asked. A seller who changes teams tomorrow gets the old
team's leads today and the new team's from midnight on; what was given to somebody before stays where it is.

:class:`Organisation` is an index that is never changed; :meth:`Organisation.changed` gives the next one. It answers
also where the organisation has mistakes (:meth:`Organisation.problems` names them), and never raises for them: a
lead that comes in while the personnel office mends its list must still go somewhere.

Nothing here decides who gets a lead (:mod:`frontrow.core.centre.assignment`), and no decision reads a ``name``.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta, Struct

from frontrow.core.centre.facts import Region
from frontrow.core.errors import EventInvalid

Kind = Literal["company", "region", "store", "team"]
Role = Literal["seller", "specialist", "reception", "manager"]

Key = Annotated[str, Meta(min_length=1, max_length=64)]
Label = Annotated[str, Meta(max_length=256)]
Millis = Annotated[int, Meta(ge=0, le=4_102_444_800_000)]  # up to the year 2100; 0: since ever

MOBILE = r"^\+[1-9][0-9]{6,14}$"

MINUTE_MS = 60_000
DAY_MINUTES = 24 * 60
WEEK_MINUTES = 7 * DAY_MINUTES
# What each kind may belong to.
_PARENTS: Mapping[Kind, tuple[Kind, ...]] = {
    "company": (),
    "region": ("company", "region"),
    "store": ("company", "region"),
    "team": ("store",),
}


class Unit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of the company over a time. ``parent`` is the id of what it belongs to; None: it is a root.

    ``provinces`` and ``cities`` are what it serves, as :class:`~frontrow.core.centre.facts.Region` writes them.
    ``products`` are the product lines that it sells, each a path of the taxonomy like ``auto/suv``.
    """

    id: Key
    kind: Kind
    name: Label = ""
    parent: Key | None = None
    provinces: tuple[Key, ...] = ()
    cities: tuple[Key, ...] = ()
    products: tuple[Label, ...] = ()
    from_at: Millis = 0
    to_at: Millis | None = None


class Shift(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """When somebody works in a week, by the clock on their wall: summer time moves it with the clock.

    ``weekdays`` are those on which it starts, 1 Monday to 7 Sunday. ``from_minute`` and ``to_minute`` count from
    midnight; a shift that ends at or before its start ends on the next day, so equal ones are a whole day.
    """

    weekdays: tuple[Annotated[int, Meta(ge=1, le=7)], ...] = (1, 2, 3, 4, 5)
    from_minute: Annotated[int, Meta(ge=0, lt=DAY_MINUTES)]
    to_minute: Annotated[int, Meta(ge=0, le=DAY_MINUTES)]


class Absence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From ``from_at`` on and before ``to_at`` (UTC ms) somebody is away. Why is nobody's business here."""

    from_at: Millis
    to_at: Millis


class Seller(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Somebody who works with leads, over a time.

    ``team`` is a team's id; a manager's may be any unit's. ``wecom`` is the WeCom userid to which to-dos go,
    ``mobile`` the number (E.164) for the text messages that a rule asks for. ``products`` are the paths that they can
    sell; empty: all. ``weight`` is their share where leads are given by weight. ``capacity`` is how many open leads
    they may have; with 0 they get none. No ``shifts``: always on duty.
    """

    id: Key
    team: Key
    name: Label = ""
    role: Role = "seller"
    wecom: Key | None = None
    mobile: Annotated[str, Meta(pattern=MOBILE)] | None = None
    products: tuple[Label, ...] = ()
    weight: Annotated[int, Meta(ge=1, le=1_000)] = 1
    capacity: Annotated[int, Meta(ge=0, le=100_000)] = 50
    timezone: Key = "Asia/Shanghai"
    shifts: tuple[Shift, ...] = ()
    absences: tuple[Absence, ...] = ()
    from_at: Millis = 0
    to_at: Millis | None = None


class OrgChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the ``data`` of an ``org_change`` holds. ``by`` is the id of the token or the person who asked for it.

    Each version says what holds of its id from its ``from_at`` on: what was said of later times is forgotten, and who
    was there before stays so until then. So a seller leaves by a version with a ``to_at``, and is lent for a week by
    two versions. With ``replace`` the whole organisation is what this says.
    """

    units: tuple[Unit, ...] = ()
    sellers: tuple[Seller, ...] = ()
    replace: bool = False
    by: Label = ""


def read_change(data: object) -> OrgChange:
    """Return the change that an event's ``data`` tells of.

    Raises:
        EventInvalid: It is not one; with the path of what is wrong.
    """
    try:
        return msgspec.convert(data, OrgChange)
    except msgspec.ValidationError as error:
        raise EventInvalid(f"not a change of the organisation: {error}") from error


def change_data(change: OrgChange) -> dict[str, Any]:
    """Return what :func:`read_change` reads, in JSON values."""
    data: dict[str, Any] = msgspec.to_builtins(change)
    return data


Version = TypeVar("Version", Unit, Seller)


class Organisation:
    """All versions of all units and sellers, indexed for questions about a moment. Two of them are equal only by identity.

    Every ``at`` is UTC milliseconds. Where versions of one id overlap, the one that began last holds.
    """

    def __init__(self, units: Iterable[Unit] = (), sellers: Iterable[Seller] = ()) -> None:
        self.units = tuple(sorted(units, key=lambda unit: (unit.id, unit.from_at)))
        self.sellers = tuple(sorted(sellers, key=lambda seller: (seller.id, seller.from_at)))
        self._units = _by_id(self.units)
        self._sellers = _by_id(self.sellers)
        self._children: dict[str, list[Unit]] = defaultdict(list)
        self._members: dict[str, list[Seller]] = defaultdict(list)
        self._in_city: dict[str, list[Unit]] = defaultdict(list)
        self._in_province: dict[str, list[Unit]] = defaultdict(list)
        self._selling: dict[str, list[Unit]] = defaultdict(list)
        for unit in self.units:
            if unit.parent is not None:
                self._children[unit.parent].append(unit)
            for index, keys in (
                (self._in_city, unit.cities),
                (self._in_province, unit.provinces),
                (self._selling, unit.products),
            ):
                for key in keys:
                    index[key].append(unit)
        for seller in self.sellers:
            self._members[seller.team].append(seller)
        changes = set(_edges([*self.units, *self.sellers]))
        absences = _edges(absence for seller in self.sellers for absence in seller.absences)
        self._changes = sorted(changes)
        self._edges = sorted(changes.union(absences))
        self.skills = frozenset(path for seller in self.sellers for path in seller.products)

    def changed(self, change: OrgChange) -> "Organisation":
        """Return the organisation after a change; the same change again changes nothing."""
        if change.replace:
            return Organisation(change.units, change.sellers)
        return Organisation(_overlaid(self._units, change.units), _overlaid(self._sellers, change.sellers))

    def since(self, at: int) -> int:
        """Return a moment, the same for all of a stretch in which nobody comes, goes, moves, is away or changes shift.

        Whatever is asked of it gets the answer that it gets at ``at``, so answers can be kept by it.
        """
        # Shifts begin and end with a minute, also where the clock is put forward or back.
        return max(at - at % MINUTE_MS, _last(self._edges, at))

    def settled_since(self, at: int) -> int:
        """Return a moment since which nobody came, went or moved: as :meth:`since`, for who belongs where."""
        return _last(self._changes, at)

    # --- one unit, one seller

    def unit(self, id: str, at: int) -> Unit | None:
        """Return the unit as it is then, or None: there is none."""
        return _holding(self._units.get(id, ()), at)

    def last_there(self, id: str, at: int) -> int:
        """Return ``at`` where a unit is there then, else the last moment before at which it was; 0: it never was."""
        if self.unit(id, at) is not None:
            return at
        ends = [
            unit.to_at - 1 for unit in self._units.get(id, ()) if unit.to_at is not None and unit.to_at <= at
        ]
        return max(ends, default=0)

    def gone(self, id: str, at: int) -> bool:
        """Return whether a unit was there before and is not any more."""
        return self.unit(id, at) is None and self.last_there(id, at) > 0

    def seller(self, id: str, at: int) -> Seller | None:
        """Return the seller as they are then, or None: they are not there (yet, or any more)."""
        return _holding(self._sellers.get(id, ()), at)

    def on_shift(self, seller: Seller, at: int) -> bool:
        """Return whether somebody works then by their shifts; absences are not looked at. Never, in an unknown time zone."""
        if not seller.shifts:
            return True
        minute = _minute_of_week(seller.timezone, at // MINUTE_MS)
        return minute is not None and _working_minutes(seller.shifts)[minute] == 1

    def absent(self, seller: Seller, at: int) -> bool:
        """Return whether somebody is away then."""
        # Not any(): a generator for each of thousands of sellers costs more than all else that is asked of them.
        for absence in seller.absences:  # noqa: SIM110
            if absence.from_at <= at < absence.to_at:
                return True
        return False

    # --- up

    def path(self, unit: str, at: int) -> tuple[Unit, ...]:
        """Return a unit and all it belongs to then, from the root down to it; () where it is not there.

        It starts below a parent that is not there, or that would close a circle.
        """
        found: list[Unit] = []
        here = self.unit(unit, at)
        while here is not None and here not in found:
            found.append(here)
            here = None if here.parent is None else self.unit(here.parent, at)
        return tuple(reversed(found))

    def store_of(self, id: str, at: int) -> Unit | None:
        """Return the store that a unit or a seller (by id) belongs to then; a store's is itself. None: there is none."""
        seller = None if self.unit(id, at) is not None else self.seller(id, at)
        path = self.path(id if seller is None else seller.team, at)
        return next((unit for unit in reversed(path) if unit.kind == "store"), None)

    def managers_of(self, unit: str, at: int) -> tuple[Seller, ...]:
        """Return who manages a unit then, by id: its own managers or, where it has none, those of the nearest unit above."""
        for above in reversed(self.path(unit, at)):
            found = tuple(member for member in self._members_at(above.id, at) if member.role == "manager")
            if found:
                return found
        return ()

    # --- down

    def units_of(self, unit: str, at: int, kind: Kind | None = None) -> tuple[Unit, ...]:
        """Return a unit and all below it then, by id; with ``kind`` those of that kind alone."""
        found: dict[str, Unit] = {}
        waiting = [unit]
        while waiting:
            id = waiting.pop()
            here = self.unit(id, at)
            if here is None or id in found:
                continue
            found[id] = here
            waiting += (child.id for child in self._children.get(id, ()) if self.unit(child.id, at) is child)
        return tuple(found[id] for id in sorted(found) if kind is None or found[id].kind == kind)

    def sellers_of(self, unit: str, at: int) -> tuple[Seller, ...]:
        """Return everybody, whatever their role, who belongs then to a unit or to one below it, by id."""
        found = [member for below in self.units_of(unit, at) for member in self._members_at(below.id, at)]
        return tuple(sorted(found, key=lambda seller: seller.id))

    def left(self, unit: str, at: int) -> tuple[Seller, ...]:
        """Return who has left the company by then and was last in a unit or in one below it, by id."""
        found: dict[str, Seller] = {}
        for below in self.units_of(unit, at):
            for member in self._members.get(below.id, ()):
                began = [version for version in self._sellers[member.id] if version.from_at <= at]
                if began and began[-1] is member and _holding(began, at) is None:
                    found[member.id] = member
        return tuple(found[id] for id in sorted(found))

    # --- across

    def stores_serving(self, region: Region, at: int, *, without: str | None = None) -> tuple[Unit, ...]:
        """Return the stores for somebody from there, by id: those of the city or, where none is, those of the province.

        A store that names the place itself goes before the stores of a region that does. Where nothing is known of
        the place, () and not a guess. The store ``without`` is as if it were not there.
        """
        for name, index in ((region.city, self._in_city), (region.province, self._in_province)):
            serving = [unit for unit in index.get(name, ()) if self._serves(unit, region, at)] if name else []
            stores = {unit.id: unit for unit in serving if unit.kind == "store" and unit.id != without}
            if not stores:
                below = (store for unit in serving for store in self.units_of(unit.id, at, "store"))
                stores = {store.id: store for store in below if store.id != without}
            if stores:
                return tuple(stores[id] for id in sorted(stores))
        return ()

    def units_selling(
        self, taxonomy: Sequence[str], at: int, *, among: Sequence[Unit] | None = None
    ) -> tuple[Unit, ...]:
        """Return the units that name the product line, by id: those that name it most narrowly. () where none does.

        ``among`` leaves out all others, before it is asked who names it most narrowly; None: none.
        """
        for length in range(len(taxonomy), 0, -1):
            path = "/".join(taxonomy[:length])
            if among is not None:
                found = {unit.id: unit for unit in among if path in unit.products}
            else:
                named = self._selling.get(path, ())
                found = {unit.id: unit for unit in named if self.unit(unit.id, at) is unit}
            if found:
                return tuple(found[id] for id in sorted(found))
        return ()

    # --- mistakes

    def problems(self) -> list[str]:
        """Return what is wrong, a sentence each, in a fixed order; [] where all fits together at all times."""
        found = [sentence for unit in self.units for sentence in self._problems_of_unit(unit)]
        found += [sentence for seller in self.sellers for sentence in self._problems_of_seller(seller)]
        found += self._circles()
        found += (f"{id} is the id of a unit and of a seller" for id in self._units if id in self._sellers)
        found += self._shared_addresses()
        return found

    def _problems_of_unit(self, unit: Unit) -> Iterator[str]:
        what = f"{unit.kind} {unit.id}"
        yield from _problems_of_range(what, unit, self._units[unit.id])
        allowed = _PARENTS[unit.kind]
        if unit.parent is None:
            if allowed and unit.kind != "region":
                yield f"{what} belongs to nothing; a {unit.kind} stands in a {' or a '.join(allowed)}"
            return
        yield from self._problems_of_place(what, unit, unit.parent, allowed)

    def _problems_of_seller(self, seller: Seller) -> Iterator[str]:
        what = f"seller {seller.id}"
        yield from _problems_of_range(what, seller, self._sellers[seller.id])
        allowed: tuple[Kind, ...] = tuple(_PARENTS) if seller.role == "manager" else ("team",)
        yield from self._problems_of_place(what, seller, seller.team, allowed)
        if _minute_of_week(seller.timezone, 0) is None:
            yield f"{what} has an unknown time zone, {seller.timezone}, and so is never on shift"
        for absence in seller.absences:
            if absence.to_at <= absence.from_at:
                yield f"{what} has an absence that ends before it begins, on {_day(absence.from_at)}"

    def _problems_of_place(
        self, what: str, version: Unit | Seller, place: str, allowed: tuple[Kind, ...]
    ) -> Iterator[str]:
        """Yield why a version cannot belong where it says, at some time of its own."""
        covered = version.from_at
        for other in self._units.get(place, ()):
            if not _overlap(version, other):
                continue
            if other.kind not in allowed:
                yield f"{what} belongs to {other.kind} {place}, where only a {' or a '.join(allowed) or 'root'} can be"
            if other.from_at > covered:
                break
            covered = max(covered, _end(other))
        if covered < _end(version):
            if place not in self._units:
                yield f"{what} belongs to {place}, which does not exist"
            else:
                since = "" if covered == 0 else f" from {_day(covered)} on"
                yield f"{what} belongs to {place}, which does not exist{since}"

    def _circles(self) -> Iterator[str]:
        seen: set[frozenset[str]] = set()
        # A circle closes when the last of its versions begins, so each is found from that one.
        for unit in self.units:
            path = self.path(unit.id, unit.from_at)
            if not path or path[0].parent not in {above.id for above in path}:
                continue
            first = next(index for index, above in enumerate(path) if above.id == path[0].parent)
            circle = [above.id for above in path[: first + 1]]
            if frozenset(circle) not in seen:
                seen.add(frozenset(circle))
                start = circle.index(min(circle))
                turned = [*circle[start:], *circle[:start]]
                yield f"{' over '.join([*turned, turned[0]])}: a unit cannot be above itself"

    def _shared_addresses(self) -> Iterator[str]:
        by_address: dict[str, list[Seller]] = defaultdict(list)
        for seller in self.sellers:
            if seller.wecom is not None:
                by_address[seller.wecom].append(seller)
        for address, sellers in by_address.items():
            pairs = (
                (one.id, other.id)
                for number, one in enumerate(sellers)
                for other in sellers[number + 1 :]
                if one.id != other.id and _overlap(one, other)
            )
            for one, other in sorted(set(pairs)):
                yield f"sellers {one} and {other} have the same WeCom userid, {address}: each would see the other's leads"

    def _members_at(self, unit: str, at: int) -> Iterator[Seller]:
        return (member for member in self._members.get(unit, ()) if self.seller(member.id, at) is member)

    def _serves(self, unit: Unit, region: Region, at: int) -> bool:
        # Cities of one name lie in several provinces: a unit that names its provinces means the city in one of these.
        elsewhere = unit.provinces and region.province and region.province not in unit.provinces
        return not elsewhere and self.unit(unit.id, at) is unit


def sells(products: Sequence[str], product: str | None, taxonomy: Sequence[str]) -> bool:
    """Return whether who sells ``products`` suits a lead for this product; both unknown or no ``products``: yes.

    A path fits a lead below it, and also one above it: whoever asks for a car may want just this one.
    """
    if not products or (product is None and not taxonomy):
        return True
    if product is not None and product in products:
        return True
    wanted = tuple(taxonomy)
    for path in products:
        parts = tuple(path.split("/"))
        shorter = min(len(parts), len(wanted))
        if shorter and parts[:shorter] == wanted[:shorter]:
            return True
    return False


def _by_id(versions: Iterable[Version]) -> dict[str, list[Version]]:
    found: dict[str, list[Version]] = {}
    for version in versions:
        found.setdefault(version.id, []).append(version)
    return found


def _holding(versions: Sequence[Version], at: int) -> Version | None:
    for version in reversed(versions):
        if version.from_at <= at and (version.to_at is None or at < version.to_at):
            return version
    return None


def _edges(ranges: Iterable[Unit | Seller | Absence]) -> Iterator[int]:
    for each in ranges:
        yield each.from_at
        if each.to_at is not None:
            yield each.to_at


def _last(edges: Sequence[int], at: int) -> int:
    before = bisect_right(edges, at)
    return edges[before - 1] if before else 0


def _overlaid(before: Mapping[str, list[Version]], given: Iterable[Version]) -> list[Version]:
    after = dict(before)
    ordered: list[Version] = sorted(given, key=lambda version: version.from_at)
    for id, news in _by_id(ordered).items():
        start = news[0].from_at
        kept = [_until(version, start) for version in before.get(id, ()) if version.from_at < start]
        after[id] = _joined(kept + news)
    return [version for versions in after.values() for version in versions]


def _until(version: Version, at: int) -> Version:
    if version.to_at is not None and version.to_at <= at:
        return version
    return msgspec.structs.replace(version, to_at=at)


def _joined(versions: Sequence[Version]) -> list[Version]:
    """Return versions with those made one that follow each other and differ in nothing but their time."""
    joined: list[Version] = []
    for version in versions:
        last = joined[-1] if joined else None
        if (
            last is not None
            and last.to_at == version.from_at
            and msgspec.structs.replace(last, from_at=version.from_at, to_at=version.to_at) == version
        ):
            joined[-1] = msgspec.structs.replace(last, to_at=version.to_at)
        else:
            joined.append(version)
    return joined


_FOREVER = 1 << 62


def _end(version: Unit | Seller) -> int:
    return _FOREVER if version.to_at is None else version.to_at


def _overlap(one: Unit | Seller, other: Unit | Seller) -> bool:
    return max(one.from_at, other.from_at) < min(_end(one), _end(other))


def _problems_of_range(what: str, version: Version, all: Sequence[Version]) -> Iterator[str]:
    if version.to_at is not None and version.to_at <= version.from_at:
        yield f"{what} ends on {_day(version.to_at)}, before it begins"
    position = next(index for index, other in enumerate(all) if other is version)
    if position + 1 < len(all) and _overlap(version, all[position + 1]):
        yield f"{what} is there twice from {_day(all[position + 1].from_at)} on"


def _day(at: int) -> str:
    return (
        "its beginning" if at == 0 else datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    )


@lru_cache(maxsize=1_024)
def _minute_of_week(zone: str, minute: int) -> int | None:
    """Return the minute of the week, from Monday 0:00 on the wall, at a minute since 1970; None: an unknown zone."""
    try:
        local = datetime.fromtimestamp(minute * 60, ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
    return local.weekday() * DAY_MINUTES + local.hour * 60 + local.minute


@lru_cache(maxsize=1_024)
def _working_minutes(shifts: tuple[Shift, ...]) -> bytes:
    """Return 1 for each minute of a week that lies in a shift. Sellers share few patterns, 10 KB each."""
    minutes = bytearray(WEEK_MINUTES)
    for shift in shifts:
        length = shift.to_minute - shift.from_minute
        length += DAY_MINUTES if length <= 0 else 0
        for weekday in shift.weekdays:
            start = (weekday - 1) * DAY_MINUTES + shift.from_minute
            for minute in range(start, start + length):
                minutes[minute % WEEK_MINUTES] = 1
    return bytes(minutes)
