"""Who is given to the best: what sellers are able to is taken from their closed leads, once a day of engine time."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from frontrow.core.centre import ability
from frontrow.core.centre.ability import Cell
from frontrow.core.centre.assignment import Rule
from frontrow.core.centre.book import LeadRow
from frontrow.core.centre.organisation import OrgChange, Seller, Unit
from tests.centre.test_indicators import lead, raw
from tests.support.centre import START, Scene, a_policy

DAY = 86_400_000
MIDNIGHT = START // DAY * DAY + DAY  # the next one, UTC
SELLERS = tuple(f"s{number}" for number in range(6))
ORGANISATION = OrgChange(
    units=(Unit(id="hz", kind="store"), Unit(id="hz-a", kind="team", parent="hz")),
    sellers=tuple(Seller(id=seller, team="hz-a") for seller in SELLERS),
)


def scene(strategy: str = "best_performer") -> Scene:
    """Six sellers with forty closed leads each, of which s0 won none, s1 four, … s5 twenty."""
    rule = Rule(name="to the best", team="hz-a", strategy=strategy)  # type: ignore[arg-type]
    made = Scene(a_policy(rules=(rule,)), ORGANISATION)
    made.book.begin()
    for number in range(240):
        seller, nth = SELLERS[number % 6], number // 6
        won = nth < 4 * (number % 6)
        row = lead(f"L{number}", 1_000 + number, holder=seller, owner=seller, closed_at=START + nth,
                   status="won" if won else "lost", quality=5 if won else 1, probability=0.05)  # fmt: skip
        made.book.put(row)
        made.book.put(replace(raw(row), quality=1))
    made.book.commit()
    return made


def test_a_lead_goes_to_the_best_by_what_had_been_closed_when_the_day_began() -> None:
    s = scene()
    # Today nothing had been closed when the day began: nobody is known, the first by name has it.
    assert s.hot("a").holder == "s0"
    for number in range(3):
        assert s.hot(f"b{number}", MIDNIGHT - START + number).holder == "s5"
    s.close()


def test_what_is_closed_during_a_day_changes_nothing_until_the_next() -> None:
    s = scene()
    s.hot("a", MIDNIGHT - START)
    before = dict(s.centre._turns.abilities)
    s.book.begin()
    for number in range(60):
        row = lead(
            f"M{number}", 2_000 + number, holder="s0", owner="s0", closed_at=MIDNIGHT + 1, status="won"
        )
        s.book.put(row)
        s.book.put(raw(row))
    s.book.commit()
    s.hot("b", MIDNIGHT - START + 1_000)
    assert s.centre._turns.abilities == before
    s.hot("c", MIDNIGHT - START + DAY)
    assert s.centre._turns.abilities["s0"] > before["s0"]
    s.close()


def test_what_became_of_a_lead_is_no_stratum_of_it() -> None:
    s = scene()
    s.book.begin()
    cells = s.book.closed_cells(0, START + DAY)
    s.book.roll_back()
    assert {cell.stratum for cell in cells} == {ability.stratum(1, 0.05)}
    assert sorted(cells, key=lambda cell: cell.seller)[5] == Cell(
        seller="s5", stratum="q1/p2", leads=40, wins=20
    )
    s.close()


def test_a_restart_goes_on_with_what_was_known_and_without_such_a_rule_nobody_is_judged() -> None:
    s = scene()
    s.hot("a", MIDNIGHT - START)
    known = dict(s.centre._turns.abilities)
    assert set(known) == set(SELLERS)
    s.centre.reload()
    s.hot("b", MIDNIGHT - START + 1)
    assert s.centre._turns.abilities == known
    s.close()
    other = scene("round_robin")
    other.hot("a", MIDNIGHT - START)
    assert other.centre._turns.abilities == {}
    other.close()


def counted_by_hand(
    leads: dict[str, LeadRow], since: int, before: int
) -> dict[tuple[str, str], tuple[int, int]]:
    closed: Counter[tuple[str, str]] = Counter()
    won: Counter[tuple[str, str]] = Counter()
    for row in leads.values():
        if (
            row.closed_at is not None
            and since <= row.closed_at < before
            and row.holder is not None
            and row.merged_into is None
            and row.status in ("won", "lost")
        ):
            key = row.holder, ability.stratum(1, row.probability)
            closed[key] += 1
            won[key] += row.status == "won"
    return {key: (count, won[key]) for key, count in closed.items()}


@pytest.mark.parametrize("seed", range(6))
def test_what_is_counted_day_by_day_is_what_all_leads_give(database: str, seed: int) -> None:
    """Leads that were counted may be opened again, merged, parted or handed over, and what is taken back was never done."""
    chance = random.Random(seed)
    made = Scene(a_policy(), ORGANISATION, url=database)
    leads: dict[str, LeadRow] = {}
    since, before = 0, 20
    for step in range(60):
        made.book.begin()
        kept = dict(leads)
        for _ in range(chance.randrange(6)):
            name = f"L{chance.randrange(40)}"
            known = made.book.lead(name)
            row = known or lead(name, 1_000 + int(name[1:]), probability=chance.choice((None, 0.05, 0.5)))
            row.status = chance.choice(("following", "won", "lost", "invalid"))
            row.closed_at = None if row.status == "following" else chance.randrange(since, before + 12)
            row.holder = chance.choice((*SELLERS[:3], None))
            row.merged_into = chance.choice((None, None, "L99"))
            made.book.put(row)
            if known is None:
                made.book.put(replace(raw(row), quality=1))
            leads[name] = replace(row)
            if chance.random() < 0.3:
                assert made.book.db is not None  # all is written now, and some of it again later
        if chance.random() < 0.6:
            if chance.random() < 0.1:
                since, before = (
                    max(0, since - 3),
                    before + 40,
                )  # a company that has asked for the best again after a while
            else:
                since, before = since + chance.randrange(4), before + chance.randrange(8)
            cells = made.book.closed_cells(since, before)
            found = {(cell.seller, cell.stratum): (cell.leads, cell.wins) for cell in cells}
            assert found == counted_by_hand(leads, since, before), f"step {step}"
        if chance.random() < 0.2:
            made.book.roll_back()
            leads = kept
        else:
            made.book.commit()
    assert leads
    made.close()
