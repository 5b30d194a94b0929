"""The organisation as people change it: imported from CSV or JSON, each bad row named, and told to the journal as one event."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

from frontrow.core.centre.centre import PLATFORM, ROOM
from frontrow.core.centre.costs import change_data as costs_data
from frontrow.core.centre.costs import read_costs_csv
from frontrow.core.centre.organisation import Millis, Organisation, OrgChange, Seller, Unit, change_data
from frontrow.core.centre.organisation_csv import (
    MAX_ROWS,
    Imported,
    Mistake,
    read_sellers_csv,
    read_units_csv,
)
from frontrow.core.events import Event
from frontrow.core.ports import Clock, Receipt
from frontrow.runtime.applying import Follows, until_applied
from frontrow.runtime.transfers import APPLIED_WITHIN_S, Transfers

FEED = "organisation"

What = Literal["units", "sellers", "costs"]
COSTS_AN_EVENT = 5_000  # rows; an event has bounds
Record = TypeVar("Record", Unit, Seller)


class ImportWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to become of the organisation: ``units`` and ``sellers`` as JSON, or as the texts of CSV files.

    ``replace``: the whole organisation is what this says. ``all_or_nothing``: one bad row, and nothing is taken; else the others
    are. ``dry_run``: nothing is, and the answer is the same. ``timezone`` is that of days and of sellers who name
    none, ``from_at`` (UTC ms) from when a row of a CSV file holds that does not say.
    """

    units: list[Any] = []
    sellers: list[Any] = []
    units_csv: str | None = None
    sellers_csv: str | None = None
    replace: bool = False
    all_or_nothing: bool = False
    dry_run: bool = False
    timezone: Annotated[str, Meta(max_length=64)] = "Asia/Shanghai"
    from_at: Millis = 0


class BadRow(Struct, frozen=True, kw_only=True):
    """A row that cannot be taken. ``line`` is that of the CSV file, or the place in the JSON list, from 1."""

    file: What
    line: int
    column: str
    reason: str


class ImportAnswer(Struct, frozen=True, kw_only=True):
    """What was taken (or would be). ``problems`` are what does not fit together in the organisation after it that did before."""

    done: bool
    units: int
    sellers: int
    errors: tuple[BadRow, ...] = ()
    problems: tuple[str, ...] = ()


class CostsWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What channels cost, as the text of a CSV file (:mod:`frontrow.core.centre.costs`); the rest as in :class:`ImportWish`.

    ``currency`` is that of rows that name none.
    """

    costs_csv: str
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}$", max_length=3)] = "CNY"
    timezone: Annotated[str, Meta(max_length=64)] = "Asia/Shanghai"
    all_or_nothing: bool = False
    dry_run: bool = False


class CostsAnswer(Struct, frozen=True, kw_only=True):
    """How many rows were taken (or would be), and each that cannot be."""

    done: bool
    rows: int
    errors: tuple[BadRow, ...] = ()


class OrganisationAnswer(Struct, frozen=True, kw_only=True):
    """The organisation at a moment (UTC ms). Sellers' numbers are not shown."""

    at: int
    units: tuple[Unit, ...]
    sellers: tuple[Seller, ...]
    problems: tuple[str, ...]


class NotTaken(Exception):
    """The organisation cannot be changed this way; says why, with the bad rows."""

    def __init__(self, reason: str, answer: "ImportAnswer | CostsAnswer | None" = None) -> None:
        super().__init__(reason)
        self.answer = answer


class Company:
    """Reads and changes the organisation. For the event loop's thread."""

    def __init__(
        self,
        *,
        follows: Follows,
        put: Callable[[Sequence[Event], str], Awaitable[Receipt]],
        journal_seq: Callable[[], int],
        configured: bool,
        transfers: Transfers,
        clock: Clock,
    ) -> None:
        """``configured``: the configuration names the organisation, and would take back at the next start what is imported."""
        self._follows = follows
        self._put = put
        self._journal_seq = journal_seq
        self._configured = configured
        self._clock = clock
        self.transfers = transfers

    def organisation(self, at: int | None = None) -> OrganisationAnswer:
        """Return the organisation at a moment (UTC ms); None: now."""
        present = self._follows.centre.organisation
        at = self._clock.now() if at is None else at
        units = {unit.id: unit for unit in present.units if present.unit(unit.id, at) is unit}
        sellers = {seller.id: seller for seller in present.sellers if present.seller(seller.id, at) is seller}
        return OrganisationAnswer(
            at=at,
            units=tuple(units.values()),
            sellers=tuple(msgspec.structs.replace(seller, mobile=None) for seller in sellers.values()),
            problems=tuple(present.problems()),
        )

    async def costs(self, wish: CostsWish, *, by: str) -> CostsAnswer:
        """Take what channels cost; done when it is in force.

        Raises:
            NotApplied: It is journalled, and the centre's database is away.
            NotTaken: All or nothing was asked for and a row is bad, or nothing is left to take.
        """
        _check_zone(wish.timezone)
        found = await asyncio.to_thread(
            read_costs_csv, wish.costs_csv, timezone=wish.timezone, currency=wish.currency
        )
        errors = tuple(
            BadRow(file="costs", line=each.line, column=each.column, reason=each.reason)
            for each in found.errors
        )
        answer = CostsAnswer(done=False, rows=len(found.records), errors=errors)
        if wish.dry_run:
            return answer
        if wish.all_or_nothing and errors:
            raise NotTaken(f"All or nothing, and {len(errors)} rows are bad.", answer)
        if not found.records:
            raise NotTaken("There is nothing to take.", answer)
        events = [
            self._event("cost_change", "costs", costs_data(found.records[start : start + COSTS_AN_EVENT], by))
            for start in range(0, len(found.records), COSTS_AN_EVENT)
        ]
        await self._put(events, FEED)
        await until_applied(self._follows, self._journal_seq(), APPLIED_WITHIN_S)
        return msgspec.structs.replace(answer, done=True)

    def _event(self, kind: str, name: str, data: Mapping[str, Any]) -> Event:
        now = self._clock.now()
        digest = hashlib.blake2b(msgspec.json.encode(data, order="deterministic"), digest_size=8).hexdigest()
        return Event(
            id=f"{name}-{digest}-{now}", platform=PLATFORM, room=ROOM, kind=kind, at=now, data=dict(data)
        )

    async def change(self, wish: ImportWish, *, by: str) -> ImportAnswer:
        """Take what can be taken, as one event; done when it is in force.

        Raises:
            NotApplied: It is journalled, and the centre's database is away.
            NotTaken: All or nothing was asked for and something is bad, nothing is left to take, or the configuration decides.
        """
        present = self._follows.centre.organisation
        change, answer = await asyncio.to_thread(_judged, wish, present, by)
        if wish.dry_run:
            return answer
        if self._configured:
            raise NotTaken(
                "The configuration names the organisation in [centre]; change it there, or take it out.",
                answer,
            )
        wrong = len(answer.errors) + len(answer.problems)
        if wish.all_or_nothing and wrong:
            raise NotTaken(
                f"All or nothing, and {wrong} thing{'s are' if wrong > 1 else ' is'} wrong.", answer
            )
        if not (change.units or change.sellers):
            raise NotTaken("There is nothing to take.", answer)
        await self._put([self._event("org_change", "organisation", change_data(change))], FEED)
        await until_applied(self._follows, self._journal_seq(), APPLIED_WITHIN_S)
        return msgspec.structs.replace(answer, done=True)


def _judged(wish: ImportWish, present: Organisation, by: str) -> tuple[OrgChange, ImportAnswer]:
    """Return the change that a wish comes to, and what is to be said of it."""
    units, sellers, errors = _read(wish)
    change = OrgChange(units=units, sellers=sellers, replace=wish.replace, by=by)
    known = set(present.problems())
    problems = tuple(each for each in present.changed(change).problems() if each not in known)
    return change, ImportAnswer(
        done=False, units=len(units), sellers=len(sellers), errors=errors, problems=problems
    )


def _read(wish: ImportWish) -> tuple[tuple[Unit, ...], tuple[Seller, ...], tuple[BadRow, ...]]:
    _check_zone(wish.timezone)
    units = _records(wish.units, Unit)
    sellers = _records(wish.sellers, Seller)
    found: list[tuple[What, Imported[Unit] | Imported[Seller]]] = [("units", units), ("sellers", sellers)]
    if wish.units_csv is not None:
        more = read_units_csv(wish.units_csv, timezone=wish.timezone, from_at=wish.from_at)
        found.append(("units", more))
        units = Imported(records=units.records + more.records, errors=())
    if wish.sellers_csv is not None:
        also = read_sellers_csv(wish.sellers_csv, timezone=wish.timezone, from_at=wish.from_at)
        found.append(("sellers", also))
        sellers = Imported(records=sellers.records + also.records, errors=())
    errors = tuple(
        BadRow(file=file, line=each.line, column=each.column, reason=each.reason)
        for file, part in found
        for each in part.errors
    )
    return units.records, sellers.records, errors


def _check_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise NotTaken(f"{name!r} is no known time zone, as Asia/Shanghai is.") from None


def _records(given: Sequence[Any], type: type[Record]) -> Imported[Record]:
    records: list[Record] = []
    errors: list[Mistake] = []
    for line, each in enumerate(given[:MAX_ROWS], start=1):
        try:
            records.append(msgspec.convert(each, type))
        except msgspec.ValidationError as error:
            reason, _, path = str(error).partition(" - at `$.")
            errors.append(Mistake(line=line, column=path.rstrip("`"), reason=reason[:1].lower() + reason[1:]))
    if len(given) > MAX_ROWS:
        errors.append(Mistake(line=MAX_ROWS + 1, column="", reason=f"more than {MAX_ROWS:,} rows"))
    return Imported(records=tuple(records), errors=tuple(errors))


def tree(units: Sequence[Unit], sellers: Sequence[Seller]) -> list[str]:
    """Return an organisation as lines for people, each unit with those who are in it, below what it belongs to."""
    ids = {unit.id for unit in units}
    below: dict[str | None, list[Unit]] = {}
    for unit in units:
        below.setdefault(unit.parent if unit.parent in ids else None, []).append(unit)
    members: dict[str, list[Seller]] = {}
    for seller in sellers:
        members.setdefault(seller.team, []).append(seller)
    lines: list[str] = []
    shown: set[str] = set()

    def add(unit: Unit, depth: int) -> None:
        shown.add(unit.id)
        more = [f"sells {', '.join(unit.products)}"] if unit.products else []
        more += (
            [f"serves {', '.join((*unit.provinces, *unit.cities))}"] if unit.provinces or unit.cities else []
        )
        lines.append(
            "  " * depth + " · ".join([f"{unit.kind} {unit.id}", *([unit.name] if unit.name else []), *more])
        )
        for seller in members.pop(unit.id, ()):
            words = [f"{seller.role} {seller.id}", *([seller.name] if seller.name else [])]
            lines.append("  " * (depth + 1) + " · ".join(words))
        for each in below.get(unit.id, ()):
            if each.id not in shown:
                add(each, depth + 1)

    for unit in [*below.get(None, ()), *units]:  # a circle has no root, and is shown from wherever it is met
        if unit.id not in shown:
            add(unit, 0)
    lines += (
        f"seller {seller.id}: of {team}, which is not there"
        for team, lost in members.items()
        for seller in lost
    )
    return lines


def answer_data(answer: Struct) -> Mapping[str, Any]:
    """Return an answer as JSON values."""
    data: Mapping[str, Any] = msgspec.to_builtins(answer)
    return data
