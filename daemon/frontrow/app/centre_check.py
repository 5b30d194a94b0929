"""What is wrong with the lead centre's part of a configuration beyond its form: rules that take nothing, an organisation that does
not fit together, names of what there is not.

Where the organisation is imported and not configured, it is read from the lead centre's database if that is a file
here, and what follows from it are warnings: it may change any day. Nothing is written.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from frontrow.app.lead_centre import database_url, known_names
from frontrow.app.parts import make_pack
from frontrow.config import Config
from frontrow.config.document import Document, read_document
from frontrow.config.positions import KeyPath
from frontrow.config.schema import CentreConfig
from frontrow.config.walk import nearest
from frontrow.core.centre.assignment import DEFAULT_RULES, FALLBACK, Rule
from frontrow.core.centre.organisation import Organisation, Role, Seller, Unit
from frontrow.core.centre.packs import Pack
from frontrow.core.centre.rule_findings import Finding, Known, findings
from frontrow.core.errors import Mistake
from frontrow.storage.centre.past import organisation_rows
from frontrow_connectors.sinks.feiyu.options import FeiyuSinkOptions
from frontrow_connectors.sinks.registry import SINKS

_ROLES: tuple[Role, ...] = ("seller", "specialist", "reception", "manager")
_SQLITE = "sqlite:///"


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found, each in the order of the file: ``mistakes`` are to be mended, ``warnings`` to be looked at."""

    mistakes: tuple[Mistake, ...]
    warnings: tuple[Mistake, ...]


def check_centre(config: Config, path: Path, at: int) -> Checked:
    """Return what is wrong with the lead centre of a configuration that was read from ``path``, at ``at`` (UTC ms) or later.

    Raises:
        ConfigError: The trade's pack has mistakes.
    """
    mistakes, warnings = read_document(path), read_document(path)
    if not config.centre.enabled:
        for number, sink in enumerate(config.sinks):
            if SINKS[sink.kind].audience in ("member", "source"):
                reason = f"a sink of the kind {sink.kind!r} hears of nothing without the lead centre"
                warnings.add(("sinks", number, "kind"), reason)
        return Checked((), tuple(warnings.mistakes))
    configured = bool(config.centre.units or config.centre.sellers)
    organisation = (
        Organisation(config.centre.units, config.centre.sellers) if configured else _imported(config)
    )
    for place, reason, hint in _problems(config, organisation) if configured and organisation else ():
        mistakes.add(place, reason, hint)
    pack = make_pack(config)
    _outcomes(config, pack, mistakes, warnings)
    known = known_names(config, pack)
    for number, finding in _findings(config, organisation, at, known):
        sure = finding.kind != "nobody" and (configured or organisation is None)
        (mistakes if sure else warnings).add(("centre", "rules", number, "name"), finding.reason)
    pools = {FALLBACK, *(rule.pool for rule in config.centre.rules if rule.pool is not None)}
    if config.centre.fallback not in pools:
        reason = (
            f"there is no pool {config.centre.fallback!r}: pools are {FALLBACK!r} and those that rules name"
        )
        mistakes.add(("centre", "fallback"), reason, nearest(config.centre.fallback, pools))
    for number, room in enumerate(config.rooms):
        stores = {unit.id for unit in organisation.units if unit.kind == "store"} if organisation else set()
        if organisation is not None and room.store is not None and room.store not in stores:
            where = mistakes if configured else warnings
            where.add(
                ("rooms", number, "store"), f"there is no store {room.store!r}", nearest(room.store, stores)
            )
    ids = [room.id for room in config.rooms]
    for number, rule in enumerate(config.centre.broadcasts):
        for name in sorted(set(rule.rooms) - set(ids)):
            where_rooms: KeyPath = ("centre", "broadcasts", number, "rooms")
            mistakes.add(where_rooms, f"there is no room {name!r}", nearest(name, ids))
    return Checked(tuple(mistakes.mistakes), tuple(warnings.mistakes))


def _outcomes(config: Config, pack: Pack, mistakes: Document, warnings: Document) -> None:
    """Add what stands for an outcome that the trade does not have: an order would close nothing, a platform hear another state."""
    codes = [outcome.code for outcome in pack.outcomes]
    order = config.centre.order_outcome
    if order and order not in codes:
        where = warnings if order == CentreConfig().order_outcome else mistakes
        reason = f"the trade {pack.pack.name!r} has no outcome {order!r}: no paid order closes a lead"
        where.add(("centre", "order_outcome"), reason, nearest(order, codes))
    for number, sink in enumerate(config.sinks):
        told = sink.options.states if isinstance(sink.options, FeiyuSinkOptions) else {}
        for name in sorted(set(told) - set(codes)):
            reason = f"the trade {pack.pack.name!r} has no outcome {name!r}"
            mistakes.add(("sinks", number, "states", name), reason, nearest(name, codes))


def _problems(config: Config, organisation: Organisation) -> Iterator[tuple[KeyPath, str, str]]:
    places: dict[str, KeyPath] = {
        f"{unit.kind} {unit.id} ": ("centre", "units", number)
        for number, unit in reversed(list(enumerate(config.centre.units)))
    }
    places |= {
        f"seller {seller.id} ": ("centre", "sellers", number)
        for number, seller in reversed(list(enumerate(config.centre.sellers)))
    }
    for sentence in organisation.problems():
        place = next(
            (place for begin, place in places.items() if sentence.startswith(begin)), ("centre", "units")
        )
        yield place, sentence, ""


def _findings(
    config: Config, organisation: Organisation | None, at: int, known: Known
) -> Iterator[tuple[int, Finding]]:
    """Yield what is wrong with rules, each with the place of the rule in the list."""
    rules = config.centre.rules
    if rules == DEFAULT_RULES:
        return  # they are for any company; one without product lines simply has no use for the first
    seen: set[tuple[str, str]] = set()
    for finding in findings(rules, organisation or _assumed(rules, known), at, known):
        numbers = [number for number, rule in enumerate(rules) if rule.name == finding.rule]
        later = finding.kind == "twice" or (finding.rule, finding.kind) in seen
        seen.add((finding.rule, finding.kind))
        yield numbers[min(later, len(numbers) - 1)], finding


def _assumed(rules: tuple[Rule, ...], known: Known) -> Organisation:
    """Return an organisation that has whatever rules may name: nothing follows from it."""
    products = {path for rule in rules for path in rule.when.products} | set(known.products or ())
    units = [Unit(id="-", kind="store", products=tuple(sorted(products)))]
    units += [
        Unit(id=team, kind="team", parent="-") for team in sorted({rule.team for rule in rules if rule.team})
    ]
    return Organisation(
        units, [Seller(id=f"{unit.id} {role}", team=unit.id, role=role) for unit in units for role in _ROLES]
    )


def _imported(config: Config) -> Organisation | None:
    """Return what was imported, None: nothing, or it cannot be known here."""
    url = database_url(config)
    if not url.startswith(_SQLITE) or not Path(url.removeprefix(_SQLITE)).is_file():
        return None
    engine = sa.create_engine(url)
    try:
        rows = organisation_rows(engine)
    except SQLAlchemyError:
        return None  # not written yet, or busy: the daemon says what is wrong with a database
    finally:
        engine.dispose()
    if not rows:
        return None
    return Organisation(
        [msgspec.convert(row.body, Unit) for row in rows if row.what == "unit"],
        [msgspec.convert(row.body, Seller) for row in rows if row.what == "seller"],
    )
