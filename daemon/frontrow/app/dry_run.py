"""A dry run of assignment rules over leads that were: which rule would have taken each, and what would have been otherwise.

It asks the lead centre's database, so it works beside a running daemon and changes nothing. Sellers' loads begin
empty and leads stay open while it goes on, and where somebody is from is what is known of them now: of teams and
rules it tells the truth, of single sellers only about how many each would get.
"""

from collections import Counter
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from frontrow.app.lead_centre import database_url, make_policy
from frontrow.app.parts import make_pack
from frontrow.config import Config
from frontrow.core.centre.assignment import Decision, State, dry_run
from frontrow.core.centre.facts import LeadFacts, Region
from frontrow.core.centre.meeting import Meeting
from frontrow.core.centre.organisation import Organisation, Seller, Unit
from frontrow.core.centre.policy import CentrePolicy
from frontrow.storage.centre.database import open_database
from frontrow.storage.centre.past import Past, decided, last_moment, organisation_rows

DAY_MS = 86_400_000
SHOWN = 50  # leads that would go elsewhere

_NEW = frozenset({Meeting.NEW, Meeting.REFERRAL, Meeting.WALK_IN})


class Elsewhere(Struct, frozen=True, kw_only=True):
    """A lead that would have gone to another team or pool, each with the rule."""

    lead: str
    was: str
    would_be: str


class Trial(Struct, frozen=True, kw_only=True):
    """What a dry run came to. Counts are by name or id; "" in ``by_rule`` are leads that no rule would take, ``before`` are those that
    each rule took."""

    from_at: int
    to_at: int
    leads: int
    by_rule: Mapping[str, int]
    before: Mapping[str, int]
    by_team: Mapping[str, int]
    by_seller: Mapping[str, int]
    by_pool: Mapping[str, int]
    elsewhere: tuple[Elsewhere, ...]


def tried(config: Config, rules: Config, *, from_at: int | None, to_at: int | None) -> Trial:
    """Return what the rules of one configuration make of the leads in the database of another.

    ``from_at`` and ``to_at`` are UTC ms; None: the last day that the database knows. Leads of rooms go by ``rules``'
    rooms; who works where is what was in force at each lead's moment or, where ``rules`` names units or sellers, what
    it says.

    Raises:
        StoreUnusable, StoreDamaged: The database cannot be opened.
        ConfigError: The trade's pack has mistakes.
    """
    engine = open_database(database_url(config))
    try:
        to_at = last_moment(engine) + 1 if to_at is None else to_at
        from_at = max(0, to_at - DAY_MS) if from_at is None else from_at
        past = list(decided(engine, from_at, to_at))
        rows = organisation_rows(engine)
    finally:
        engine.dispose()
    if rules.centre.units or rules.centre.sellers:
        organisation = Organisation(rules.centre.units, rules.centre.sellers)
    else:
        organisation = Organisation(
            [msgspec.convert(row.body, Unit) for row in rows if row.what == "unit"],
            [msgspec.convert(row.body, Seller) for row in rows if row.what == "seller"],
        )
    policy = make_policy(rules, make_pack(rules))
    facts = [(_facts(each, policy, organisation), each.raw.decided_at) for each in past]
    run = dry_run(facts, policy.compiled, organisation, State())
    elsewhere = tuple(
        Elsewhere(lead=each.raw.lead, was=_words(each.rule, was), would_be=_words(decision.rule, would_be))
        for each, (fact, at), decision in zip(past, facts, run.decisions, strict=True)
        if (was := _place(each.team, each.pool)) != (would_be := _goes(decision, fact, organisation, at))
    )
    return Trial(
        from_at=from_at,
        to_at=to_at,
        leads=len(past),
        by_rule=run.by_rule,
        before=Counter(each.rule or "" for each in past),
        by_team=run.by_team,
        by_seller=run.by_seller,
        by_pool=run.by_pool,
        elsewhere=elsewhere,
    )


def lines_of(trial: Trial) -> list[str]:
    """Return a trial for people."""
    lines = [f"{trial.leads:,} leads; {len(trial.elsewhere):,} would go elsewhere"]
    rules = [*trial.by_rule, *(name for name in trial.before if name not in trial.by_rule)]
    for name in rules:
        was, now = trial.before.get(name, 0), trial.by_rule.get(name, 0)
        lines.append(f"  {f'rule {name}' if name else 'no rule'}: {now:,} ({now - was:+,})")
    for what, counts in (("team", trial.by_team), ("pool", trial.by_pool), ("seller", trial.by_seller)):
        lines += (f"  {what} {name}: {count:,}" for name, count in counts.items())
    lines += (f"  {each.lead}: {each.was} → {each.would_be}" for each in trial.elsewhere[:SHOWN])
    if len(trial.elsewhere) > SHOWN:
        lines.append(f"  … and {len(trial.elsewhere) - SHOWN:,} more")
    return lines


def _goes(decision: Decision, facts: LeadFacts, organisation: Organisation, at: int) -> str:
    store = facts.store
    if decision.rule is None and store is not None and organisation.unit(store, at) is not None:
        return _place(store, None)  # as the lead centre does: no rule knows its store, which keeps it
    return _place(decision.team, decision.pool)


def _place(team: str | None, pool: str | None) -> str:
    return f"team {team}" if team is not None else f"pool {pool}" if pool is not None else "nowhere"


def _words(rule: str | None, place: str) -> str:
    return f"{place}, {'no rule' if rule is None else f'rule {rule}'}"


def _facts(past: Past, policy: CentrePolicy, organisation: Organisation) -> LeadFacts:
    raw = past.raw
    store = policy.store_of_room(raw.platform, raw.room)
    return LeadFacts(
        lead=raw.lead,
        platform=raw.platform,
        room=policy.room_id(raw.platform, raw.room),
        grade=raw.grade,  # type: ignore[arg-type]  # a column of texts holds grades only
        quality=raw.quality,
        points=raw.points,
        probability=raw.probability,
        session=raw.session,
        host=raw.host,
        campaign=raw.campaign,
        channel=raw.channel,
        product=raw.product,
        taxonomy=policy.path_of(raw.product),
        region=Region(country=past.country, province=past.province, city=past.city),
        store=None if store is None or organisation.gone(store, raw.decided_at) else store,
        returning=raw.met not in _NEW,
    )
