"""Computes the indicators of :mod:`frontrow.core.centre.indicators` from the lead centre's database, in SQLite and Postgres alike.

A measure is an expression over a source: a table with a time and the columns that each cut is. All measures of a
source that a question needs are one statement. Quantiles are by nearest rank, in the database; those of rooms come
from sketches and are added up here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from frontrow.core.centre import sketch
from frontrow.core.centre.indicators import (
    MATURE_DAYS,
    MIN_PEOPLE_LEADS,
    PERSONAL_CUTS,
    TOP_K,
    Figure,
    Indicator,
    Question,
    check,
    wilson,
)
from frontrow.core.centre.ledger import (
    DUPLICATE_REASONS,
    INCOMPLETE_REASONS,
    LATE_REASONS,
    LOST_STATUSES,
    NOBODY_BREACHES,
    REACHABLE,
    SILENT_REASONS,
)
from frontrow.storage.centre import tables

Expression = ColumnElement[Any]
Key = tuple[str | int | None, ...]

DAY_MS = 86_400_000
_BUCKETS = {"hour": 3_600_000, "day": DAY_MS, "week": 7 * DAY_MS}
_WEEK_SHIFT = 3 * DAY_MS  # the first of January 1970 was a Thursday, and weeks begin on Mondays
VISIT_STAGES = (
    "drive_executed",
    "drive_evaluated",
    "visited",
)  # of the packs: what was done, not what was booked
_SPREAD_MS = 7 * DAY_MS  # how long before and after a time a session's other leads may have been made

_f, _r, _l = tables.room_facts.c, tables.raw_leads.c, tables.leads.c
_t, _k = tables.timeline.c, tables.costs.c


class Message(NamedTuple):
    """A message of the outbox: when it was decided and when a receiver took it or it was given up (UTC ms), and its state there."""

    created_at: int
    state: str
    settled_at: int | None


def query(db: sa.Connection, question: Question, messages: Sequence[Message] = ()) -> list[Figure]:
    """Return the figures that a question asks for: by indicator in its order, then by cut.

    ``messages`` are those of the outbox, which only the indicators of alerts look at.

    Raises:
        QuestionRefused: It names what there is not, or a cut that an indicator does not have.
    """
    indicators = check(question)
    as_of = question.as_of
    if as_of is None:
        as_of = db.execute(sa.select(tables.position.c.now)).scalar() or 0
    asked = _Asked(db, question, as_of, messages)
    found: list[Figure] = []
    for indicator in indicators:
        found += _figures(asked, indicator)
    return found


# ---- sources: what can be counted, by what


@dataclass(frozen=True)
class Source:
    """Rows that measures are of: where from, which time says when they were, and what each cut is of them. ``where`` holds for all."""

    rows: sa.FromClause
    at: Expression
    cuts: Mapping[str, Expression]
    where: tuple[Expression, ...] = ()


def _cuts(columns: Any, *names: str, **others: Expression) -> dict[str, Expression]:
    return {**{name: columns[name] for name in names}, **others}


_RAW_NAMES = (
    "platform", "room", "session", "host", "product", "campaign", "channel", "store", "grade", "quality",
)  # fmt: skip
_LEAD_NAMES = (
    "platform", "room", "host", "product", "campaign", "channel", "province", "city", "store", "team", "grade", "quality",
)  # fmt: skip

_first = tables.leads.alias("first_home")
_home = tables.leads.alias("home")
_h = _home.c
# A raw lead with the lead that it belongs to now: that into which its own was merged.
_is_home = _h.lead == sa.func.coalesce(_first.c.merged_into, _first.c.lead)
_met_rows = tables.raw_leads.join(_first, _first.c.lead == _r.lead).join(_home, _is_home)


def _source(name: str, asked: "_Asked") -> Source:
    match name:
        case "rooms":
            return Source(
                tables.room_facts,
                _f.hour,
                _cuts(_f, "platform", "room", "session", host=sa.func.nullif(_f.host, "")),
            )
        case "raws":
            return Source(tables.raw_leads, _r.decided_at, _cuts(_r, *_RAW_NAMES))
        case "met":
            return Source(_met_rows, _r.decided_at, _cuts(_r, *_RAW_NAMES))
        case "leads":
            extra = {"seller": _l.holder, "reason": _l.reason, "cause": loss_cause()}
            cuts = _cuts(_l, *_LEAD_NAMES, **extra)
            return Source(tables.leads, _l.created_at, cuts, (_l.merged_into.is_(None),))
        case "tops":
            return _tops(asked)
        case "costs":
            return Source(
                tables.costs, _k.day, _cuts(_k, "channel"), (_k.currency == asked.question.currency,)
            )
        case _:
            raise KeyError(name)


def _tops(asked: "_Asked") -> Source:
    """Hot viewers with their rank in their session, whatever the question keeps of them: a rank is among all."""
    question = asked.question
    rank = sa.func.row_number().over(
        partition_by=(_r.platform, _r.room, _r.session),
        order_by=(_r.points.desc(), sa.func.coalesce(_r.probability, -1.0).desc(), _r.decided_at, _r.raw),
    )
    columns = [_r[name] for name in ("lead", *_RAW_NAMES, "decided_at")]
    among = [
        _r.source == "room",
        _r.grade == "hot",
        _r.decided_at.between(question.from_at - _SPREAD_MS, question.to_at + _SPREAD_MS),
    ]
    if question.filters:
        # Nobody is ranked in a room of which nothing is kept: a store's question reads its own rooms.
        kept = tables.raw_leads.alias("kept")
        where = asked.where(Source(kept, kept.c.decided_at, _cuts(kept.c, *_RAW_NAMES)))
        among.append(_r.room.in_(sa.select(kept.c.room).where(*where)))
    ranked = sa.select(*columns, rank.label("rank")).where(*among).subquery("ranked")
    # What became of them is looked up of the first ones alone, behind the ranking: it is what takes long.
    rows = ranked.join(_first, _first.c.lead == ranked.c.lead).join(_home, _is_home)
    return Source(rows, ranked.c.decided_at, _cuts(ranked.c, *_RAW_NAMES), (ranked.c.rank <= TOP_K,))


# ---- conditions of leads


def _count(condition: Expression) -> Expression:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


def _has(flags: Expression, flag: str) -> Expression:
    return sa.cast(flags, sa.Text).like(f'%"{flag}"%')


# Not a parameter, of which no database knows that the index of orders alone has it.
_PAID: Expression = sa.literal_column("'order_paid'")


def _won(lead: Any, as_of: int) -> Expression:
    """Won by then, or an order was paid; ``lead`` are columns of the table of leads."""
    paid = sa.exists(
        sa.select(sa.literal(1))
        .select_from(tables.timeline)
        .where(_t.lead == lead.lead, _t.kind == _PAID, _t.at <= as_of)
        .correlate_except(tables.timeline)
    )
    # An order leaves a flag, so that hardly any lead's timeline has to be looked at.
    ordered = sa.and_(_has(lead.flags, "ordered"), paid)
    return sa.or_(sa.and_(lead.status == "won", lead.closed_at <= as_of), ordered)


def _young(lead: Any, as_of: int) -> Expression:
    """Neither ended nor ordered by then, and young enough that it may yet come to something."""
    is_open = sa.or_(lead.closed_at.is_(None), lead.closed_at > as_of)
    return sa.and_(is_open, ~_won(lead, as_of), lead.created_at > as_of - MATURE_DAYS * DAY_MS)


def loss_cause() -> Expression:
    """The cause of a loss: :func:`frontrow.core.centre.ledger.cause_of_loss` as an expression; a test holds them together."""
    since = _l.hot_at
    had = sa.or_(sa.func.coalesce(_l.assigned_at, -1) >= since, sa.func.coalesce(_l.claimed_at, -1) >= since)
    reason = sa.func.coalesce(_l.reason, "")
    return sa.case(
        (_l.status.not_in(LOST_STATUSES), None),
        (sa.and_(_l.status == "invalid", reason.in_(DUPLICATE_REASONS)), "duplicate"),
        (sa.and_(_l.status == "invalid", reason.in_(INCOMPLETE_REASONS)), "incomplete"),
        (_l.status == "invalid", "invalid"),
        (reason.in_(LATE_REASONS), "late"),
        (sa.or_(~had, sa.func.coalesce(_l.breach, "").in_(NOBODY_BREACHES)), "unassigned"),
        (sa.or_(_l.responded_at.is_(None), _l.breached_at.is_not(None)), "late"),
        (sa.and_(_l.status == "pooled", _l.quality >= REACHABLE), "late"),
        (_l.status == "pooled", "incomplete"),
        (sa.and_(reason.in_(SILENT_REASONS), _l.quality < REACHABLE), "incomplete"),
        else_="rejected",
    )


def _of_customer(table: sa.Table, *where: Expression) -> Expression:
    """Whether there is a row of one of the customer's identities."""
    i = tables.identities.c
    return sa.exists(
        sa.select(sa.literal(1))
        .select_from(tables.identities.join(table, sa.and_(table.c.kind == i.kind, table.c.key == i.key)))
        .where(i.customer == _l.customer, *where)
        .correlate(tables.leads)
    )


def _visited() -> Expression:
    return sa.or_(_has(_l.flags, "test_drive_done"), *(_has(_l.reached, stage) for stage in VISIT_STAGES))


def _effective() -> Expression:
    real = sa.or_(_h.grade.in_(("hot", "warm")), _h.quality >= REACHABLE + 1)
    return sa.and_(_r.raw == _h.raw, _h.quality >= REACHABLE, _h.status != "invalid", real)


def _sum(column: Expression) -> Expression:
    return sa.func.coalesce(sa.func.sum(column), 0)


Make = Callable[[int], Expression]  # from the moment as of which it is asked

# Each measure that is a sum or a count, with its source.
SUMS: Mapping[str, tuple[str, Make]] = {
    **{
        name: ("rooms", lambda _, name=name: _sum(_f[name]))  # type: ignore[misc]
        for name in (
            "events", "heard", "duplicates", "gaps", "span_ms", "comments", "questions", "answered", "likes", "gift_value",
            "viewers", "returners", "clickers", "carters", "form_viewers", "price_viewers", "dwell_inferred",
        )
    },
    "live_ms": ("rooms", lambda _: _sum(_f.span_ms - _f.gap_ms)),
    "peak": ("rooms", lambda _: sa.func.max(_f.peak)),
    "raw_leads": ("raws", lambda _: sa.func.count()),
    "hot_viewers": ("raws", lambda _: _count(sa.and_(_r.source == "room", _r.grade == "hot"))),
    "met_raws": ("met", lambda _: sa.func.count()),
    "met_leads": ("met", lambda _: sa.func.count(sa.distinct(_h.lead))),
    "second_raws": ("met", lambda _: _count(_r.raw != _h.raw)),
    "effective": ("met", lambda _: _count(_effective())),
    "leads": ("leads", lambda _: sa.func.count()),
    "with_contact": ("leads", lambda _: _count(_of_customer(tables.contacts))),
    "with_consent": ("leads", lambda _: _count(_consents())),
    "invalid": ("leads", lambda _: _count(_l.status == "invalid")),
    "unassigned": ("leads", lambda _: _count(sa.and_(_l.closed_at.is_(None), _l.holder.is_(None)))),
    "reassigned": (
        "leads", lambda _: _count(_l.taken_back),
    ),
    "in_sla": ("leads", lambda as_of: _count(_in_time(as_of))),
    "sla_due": (
        "leads", lambda as_of: _count(sa.or_(_l.responded_at <= as_of, _l.breached_at <= as_of)),
    ),
    "touched": ("leads", lambda _: _count(_l.contacted)),
    "reached": ("leads", lambda _: _count(_l.answered)),
    "touches": ("leads", lambda _: _sum(_l.touches)),
    "claimed": ("leads", lambda _: _count(_l.claimed_at.is_not(None))),
    "lost": ("leads", lambda _: _count(_l.status.in_(LOST_STATUSES))),
    "opportunities": (
        "leads",
        lambda as_of: _count(
            sa.or_(_l.quality >= REACHABLE + 1, _won(_l, as_of))
        ),
    ),
    "visits": ("leads", lambda _: _count(_visited())),
    "orders": ("leads", lambda as_of: _count(_won(_l, as_of))),
    "revenue": (
        "leads", lambda as_of: _sum(sa.case((_won(_l, as_of), _l.value), else_=0)),
    ),
    "young": ("leads", lambda as_of: _count(_young(_l, as_of))),
    "cost": ("costs", lambda _: _sum(_k.amount)),
}  # fmt: skip
# Measures of ranked hot viewers, whose columns are made with the question.
TOPS = frozenset({"top", "top_bought"})
SKETCHES: Mapping[str, Expression] = {"lag": _f.lag, "dwell": _f.dwell}
# Times whose quantiles are asked: source, the time in ms or None, and how many ms one unit has.
TIMES: Mapping[str, tuple[str, Callable[[int], Expression], int]] = {
    "assign_s": ("leads", lambda _: _l.had_at - _l.created_at, 1_000),
    "response_s": (
        "leads", lambda as_of: sa.case((_l.responded_at <= as_of, _l.responded_at - _l.hot_at)), 1_000,
    ),
    "cycle_s": (
        "leads",
        lambda as_of: sa.case(
            (sa.and_(_l.status == "won", _l.closed_at <= as_of), _l.closed_at - _l.created_at)
        ),
        DAY_MS,
    ),
}  # fmt: skip
# Of the outbox, which is beside the journal and not in this database: the caller gives its messages.
MESSAGES = frozenset({"alerts", "alerts_sent", "alert_s"})
CALIBRATION = frozenset({"calibration_gap", "calibrated"})
MEASURES = frozenset({*SUMS, *TOPS, *SKETCHES, *TIMES, *CALIBRATION, *MESSAGES})
"""Every measure that is computed here."""


def _consents() -> Expression:
    c = tables.consents.c
    return _of_customer(tables.consents, c.purpose == "contact", c.given.is_(True))


def _in_time(as_of: int) -> Expression:
    kept = sa.or_(_l.breached_at.is_(None), _l.breached_at >= _l.responded_at)
    return sa.and_(_l.responded_at <= as_of, kept)


# ---- asking


class _Asked:
    """A question while it is answered."""

    def __init__(
        self, db: sa.Connection, question: Question, as_of: int, messages: Sequence[Message]
    ) -> None:
        self.db = db
        self.messages = messages
        self.question = question
        self.as_of = as_of

    def cuts(self, source: Source, part: str) -> list[Expression]:
        """Return the columns that figures are parted by, labelled in order."""
        names = [*self.question.cuts, *([part] if part else [])]
        return [self._cut(source, name).label(f"cut{number}") for number, name in enumerate(names)]

    def _cut(self, source: Source, name: str) -> Expression:
        if name not in _BUCKETS:
            return source.cuts[name]
        width, shift = self.bucket(name)
        # Numbers, not parameters: Postgres takes two of them for two expressions, and groups by neither.
        wide, moved = (
            sa.literal_column(str(width), sa.BigInteger),
            sa.literal_column(str(shift), sa.BigInteger),
        )
        return ((source.at + moved) // wide) * wide - moved

    def bucket(self, name: str) -> tuple[int, int]:
        """Return how long a cut of time is, and how much a time is moved to begin with it; in ms."""
        shift = self.question.offset_minutes * 60_000 + (_WEEK_SHIFT if name == "week" else 0)
        return _BUCKETS[name], shift

    def where(self, source: Source) -> list[Expression]:
        """Return the conditions: the time asked for, what is kept, and nothing from after the moment it is asked of."""
        question = self.question
        found = [
            *source.where,
            source.at >= question.from_at,
            source.at < question.to_at,
            source.at <= self.as_of,
        ]
        for name, values in question.filters.items():
            column = source.cuts[name]
            given = [value for value in values if value is not None]
            either = [column.in_(given)] if given else []
            found.append(sa.or_(*either, column.is_(None)) if None in values else sa.or_(sa.false(), *either))
        return found

    def sums(
        self, source: Source, measures: Mapping[str, Expression], part: str = ""
    ) -> dict[Key, dict[str, Any]]:
        """Return measures by key."""
        cuts = self.cuts(source, part)
        columns = [measure.label(f"of_{name}") for name, measure in measures.items()]
        statement = sa.select(*cuts, *columns).select_from(source.rows).where(*self.where(source))
        rows = self.db.execute(statement.group_by(*cuts) if cuts else statement)
        return {tuple(row[: len(cuts)]): dict(zip(measures, row[len(cuts) :], strict=True)) for row in rows}

    def named(self, names: Sequence[str], part: str = "") -> dict[Key, dict[str, Any]]:
        """Return measures of one source by key."""
        source = _source(SUMS[names[0]][0], self)
        return self.sums(source, {name: SUMS[name][1](self.as_of) for name in names}, part)

    def times(self, name: str, quantiles: Sequence[int]) -> dict[Key, tuple[int, int, list[int]]]:
        """Return by key how many times there are, their sum, and their quantiles (percents) by nearest rank; in ms."""
        source_name, make, _ = TIMES[name]
        source = _source(source_name, self)
        cuts = self.cuts(source, "")
        plain = (
            sa.select(*cuts, make(self.as_of).label("x"))
            .select_from(source.rows)
            .where(*self.where(source))
            .subquery("plain")
        )
        keys = [plain.c[cut.name] for cut in cuts]
        ranked = (
            sa.select(
                *keys,
                plain.c.x,
                sa.func.row_number().over(partition_by=keys or None, order_by=plain.c.x).label("rank"),
                sa.func.count().over(partition_by=keys or None).label("n"),
            )
            .where(plain.c.x.is_not(None))
            .subquery("ranked")
        )
        keys = [ranked.c[cut.name] for cut in cuts]
        at = [
            sa.func.max(sa.case((ranked.c.rank == (ranked.c.n * percent + 99) // 100, ranked.c.x)))
            for percent in quantiles
        ]
        statement = sa.select(*keys, sa.func.count(), sa.func.sum(ranked.c.x), *at)
        rows = self.db.execute(statement.group_by(*keys) if keys else statement)
        width = len(cuts)
        return {
            tuple(row[:width]): (row[width], int(row[width + 1]), [int(each) for each in row[width + 2 :]])
            for row in rows
            if row[width]
        }

    def sketches(self, name: str) -> dict[Key, dict[int, int]]:
        """Return sketches added up by key."""
        source = _source("rooms", self)
        cuts = self.cuts(source, "")
        rows = self.db.execute(
            sa.select(*cuts, SKETCHES[name]).select_from(source.rows).where(*self.where(source))
        )
        parts: dict[Key, list[Mapping[str, Any]]] = {}
        for row in rows:
            parts.setdefault(tuple(row[:-1]), []).append(row[-1])
        return {key: sketch.merged(each) for key, each in parts.items()}


def _figures(asked: _Asked, indicator: Indicator) -> list[Figure]:
    if indicator.id == "channel_roi":
        return _returns(asked, indicator)
    if indicator.numerator in CALIBRATION:
        return _calibration(asked, indicator)
    if indicator.numerator in TOPS:
        return _precision(asked, indicator)
    if indicator.numerator in MESSAGES:
        return _of_messages(asked, indicator)
    if indicator.numerator in SKETCHES:
        return _of_sketches(asked, indicator)
    if indicator.numerator in TIMES:
        return _of_times(asked, indicator)
    if indicator.kind in ("count", "maximum"):
        return [
            _plain(asked, indicator, key, values[indicator.numerator])
            for key, values in _ordered(asked.named([indicator.numerator]))
        ]
    return _ratios(asked, indicator)


def _ordered(found: Mapping[Key, Any]) -> list[tuple[Key, Any]]:
    return sorted(found.items(), key=lambda pair: [(part is not None, part) for part in pair[0]])


def _cut(asked: _Asked, indicator: Indicator, key: Key) -> dict[str, str | int | None]:
    names = (*asked.question.cuts, *([indicator.part] if indicator.part else []))
    return dict(zip(names, key, strict=True))


def _plain(asked: _Asked, indicator: Indicator, key: Key, counted: Any) -> Figure:
    value = None if counted is None else int(counted)
    return Figure(
        indicator=indicator.id,
        cut=_cut(asked, indicator, key),
        numerator=value,
        denominator=None,
        value=value,
        why="nothing" if value is None else None,
        n=value or 0,
        as_of=asked.as_of,
    )


def _ratios(asked: _Asked, indicator: Indicator) -> list[Figure]:
    above, below = indicator.numerator, indicator.denominator
    extra = ["young"] if indicator.outcome else []
    if indicator.part:
        wholes = asked.named([below])
        parts = asked.named([above], indicator.part)
        pairs = [
            (key, values[above], wholes[key[:-1]][below], None)
            for key, values in _ordered(parts)
            if values[above] and key[-1] is not None
        ]
    else:
        names = list(dict.fromkeys([above, below, *extra]))
        pairs = [
            (key, values[above], values[below], values.get("young"))
            for key, values in _ordered(asked.named(names))
        ]
    return [_ratio(asked, indicator, *each) for each in pairs]


def _ratio(
    asked: _Asked, indicator: Indicator, key: Key, above: Any, below: Any, young: Any, n: int | None = None
) -> Figure:
    numerator, denominator = int(above), int(below)
    count = denominator if n is None else n
    why = None if denominator else "nothing"
    if why is None and PERSONAL_CUTS & set(asked.question.cuts) and count < MIN_PEOPLE_LEADS:
        why = "too_few"
    low = high = None
    if indicator.proportion and why is None:
        low, high = wilson(min(numerator, denominator), denominator)
    return Figure(
        indicator=indicator.id,
        cut=_cut(asked, indicator, key),
        numerator=numerator,
        denominator=denominator,
        value=numerator / denominator if why is None else None,
        why=why,
        n=count,
        as_of=asked.as_of,
        immature=int(young) / denominator if young is not None and denominator else None,
        low=low,
        high=high,
    )


def _of_times(asked: _Asked, indicator: Indicator) -> list[Figure]:
    _, _, unit = TIMES[indicator.numerator]
    found = asked.times(indicator.numerator, indicator.quantiles)
    young: dict[Key, int] = {}
    if indicator.outcome:
        young = {key: int(values["young"]) for key, values in asked.named(["young"]).items()}
    return _quantiles(asked, indicator, found, unit, young)


def _of_messages(asked: _Asked, indicator: Indicator) -> list[Figure]:
    question = asked.question
    widths = [asked.bucket(name) for name in question.cuts]
    groups: dict[Key, list[Message]] = {} if widths else {(): []}
    for message in asked.messages:
        at = message.created_at
        if question.from_at <= at < question.to_at and at <= asked.as_of:
            key = tuple((at + shift) // width * width - shift for width, shift in widths)
            groups.setdefault(key, []).append(message)
    taken = {
        key: sorted(
            each.settled_at - each.created_at
            for each in group
            if each.state == "sent" and each.settled_at is not None
        )
        for key, group in groups.items()
    }
    if indicator.kind == "ratio":
        return [
            _ratio(asked, indicator, key, len(taken[key]), len(group), None)
            for key, group in _ordered(groups)
        ]
    found = {
        key: (len(times), sum(times), [times[(len(times) * q + 99) // 100 - 1] for q in indicator.quantiles])
        for key, times in taken.items()
        if times
    }
    return _quantiles(asked, indicator, found, 1_000, {})


def _quantiles(
    asked: _Asked,
    indicator: Indicator,
    found: Mapping[Key, tuple[int, int, list[int]]],
    unit: int,
    young: Mapping[Key, int],
) -> list[Figure]:
    """Return figures of times in ms: how many, their sum, their quantiles."""
    figures: list[Figure] = []
    for key, (count, total, at) in _ordered(found):
        few = PERSONAL_CUTS & set(asked.question.cuts) and count < MIN_PEOPLE_LEADS
        quantiles = {
            f"p{percent}": each / unit for percent, each in zip(indicator.quantiles, at, strict=True)
        }
        still = young.get(key, 0)
        figures.append(
            Figure(
                indicator=indicator.id,
                cut=_cut(asked, indicator, key),
                numerator=total / unit,
                denominator=count,
                value=None if few else at[0] / unit,
                why="too_few" if few else None,
                n=count,
                as_of=asked.as_of,
                immature=still / (still + count) if indicator.outcome else None,
                quantiles=None if few else quantiles,
            )
        )
    return figures


def _of_sketches(asked: _Asked, indicator: Indicator) -> list[Figure]:
    figures: list[Figure] = []
    for key, counts in _ordered(asked.sketches(indicator.numerator)):
        at = {
            f"p{percent}": each / 1_000
            for percent in indicator.quantiles
            if (each := sketch.quantile(counts, percent / 100)) is not None
        }
        count = sum(counts.values())
        figures.append(
            Figure(
                indicator=indicator.id,
                cut=_cut(asked, indicator, key),
                numerator=None,
                denominator=count,
                value=at.get(f"p{indicator.quantiles[0]}"),
                why=None if count else "nothing",
                n=count,
                as_of=asked.as_of,
                quantiles=at or None,
            )
        )
    return figures


def _precision(asked: _Asked, indicator: Indicator) -> list[Figure]:
    source = _source("tops", asked)
    measures = {
        "top": sa.func.count(),
        "top_bought": _count(_won(_h, asked.as_of)),
        "young": _count(_young(_h, asked.as_of)),
    }
    return [
        _ratio(asked, indicator, key, values["top_bought"], values["top"], values["young"])
        for key, values in _ordered(asked.sums(source, measures))
    ]


def _calibration(asked: _Asked, indicator: Indicator) -> list[Figure]:
    source = _source("met", asked)
    probability = _r.probability
    # A sum of steps, since the databases do not agree on how a number is cut to a whole one.
    band: Expression = sa.literal_column("0")
    for step in range(1, 10):
        band = band + sa.case((probability >= step / 10, 1), else_=0)
    banded = Source(
        source.rows, source.at, {**source.cuts, "band": band}, (*source.where, probability.is_not(None))
    )
    won = _won(_h, asked.as_of)
    measures = {
        "expected": sa.func.sum(probability),
        "won": _count(won),
        "count": sa.func.count(),
        "young": _count(_young(_h, asked.as_of)),
    }
    totals: dict[Key, list[float]] = {}
    for key, values in asked.sums(banded, measures, "band").items():
        total = totals.setdefault(key[:-1], [0.0, 0, 0])
        total[0] += abs(float(values["expected"]) - int(values["won"]))
        total[1] += int(values["count"])
        total[2] += int(values["young"])
    return [
        Figure(
            indicator=indicator.id,
            cut=_cut(asked, indicator, key),
            numerator=gap,
            denominator=int(count),
            value=gap / count,
            why=None,
            n=int(count),
            as_of=asked.as_of,
            immature=young / count,
        )
        for key, (gap, count, young) in _ordered(totals)
    ]


def _returns(asked: _Asked, indicator: Indicator) -> list[Figure]:
    """Sales of won leads against costs, by channel; what no cost was imported for says so."""
    sales = asked.named(["revenue", "leads", "young"])
    costs = asked.named(["cost"])
    figures: list[Figure] = []
    for key, _ in _ordered({**sales, **costs}):
        sold = sales.get(key, {"revenue": 0, "leads": 0, "young": 0})
        cost = int(costs[key]["cost"]) if key in costs else 0
        leads, gained = int(sold["leads"]), int(sold["revenue"]) - cost
        figures.append(
            Figure(
                indicator=indicator.id,
                cut=_cut(asked, indicator, key),
                numerator=gained if cost else None,
                denominator=cost if cost else None,
                value=gained / cost if cost else None,
                why=None if cost else "cost_missing",
                n=leads,
                as_of=asked.as_of,
                immature=int(sold["young"]) / leads if leads else None,
            )
        )
    return figures
