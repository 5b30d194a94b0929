"""Who is given to the best: what sellers are able to is taken from their closed leads, once a day of engine time."""

from dataclasses import replace

from frontrow.core.centre import ability
from frontrow.core.centre.ability import Cell
from frontrow.core.centre.assignment import Rule
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
