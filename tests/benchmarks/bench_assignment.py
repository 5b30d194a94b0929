"""What it costs to decide who gets a lead: 500 rules, 200 stores, 3,000 sellers.

Run: ``pytest -s -o addopts=--import-mode=importlib tests/benchmarks/bench_assignment.py``

Processor time of each decision, the clock of the decisions going on by 250 ms from one to the next. The first table's
rules are such as a company of this size has: by room, host, product and city, some by what the organisation says of a
place or a product. The others are as bad as it gets: everybody in one team, rules that no index helps with, and an
organisation that changes before every decision.
"""

import random
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import numpy as np
import pytest

from frontrow.core.centre.assignment import Conditions, Rule, Rules, State, Strategy, decide
from frontrow.core.centre.facts import LeadFacts, Region
from frontrow.core.centre.organisation import Absence, Organisation, OrgChange, Seller, Shift, Unit
from frontrow.core.centre.rule_findings import findings

NOON = 1_767_585_600_000 + 4 * 3_600_000  # Monday, 12:00 in Shanghai
STORES, TEAMS, PEOPLE, RULES = 200, 3, 5, 500
LINES = [("auto", f"line{number}") for number in range(TEAMS)]
CITIES = [f"city{number}" for number in range(100)]
LIMIT_MS = 5.0


def company() -> Organisation:
    chance = random.Random(1)
    units = [Unit(id="hq", kind="company")]
    sellers = []
    for store in range(STORES):
        units.append(Unit(id=f"s{store}", kind="store", parent="hq", cities=(CITIES[store % len(CITIES)],)))
        for team, line in enumerate(LINES):
            units.append(
                Unit(id=f"s{store}t{team}", kind="team", parent=f"s{store}", products=("/".join(line),))
            )
            sellers += [
                Seller(
                    id=f"s{store}t{team}p{person}",
                    team=f"s{store}t{team}",
                    weight=1 + person % 3,
                    capacity=10_000,
                    shifts=(
                        Shift(
                            weekdays=(1, 2, 3, 4, 5, 6, 7),
                            from_minute=480 + 60 * (person % 3),
                            to_minute=1320,
                        ),
                    ),
                    absences=(Absence(from_at=NOON + chance.randrange(86_400_000), to_at=NOON + 86_400_000),),
                )
                for person in range(PEOPLE)
            ]
    return Organisation(units, sellers)


def leads(number: int) -> list[LeadFacts]:
    chance = random.Random(2)
    return [
        LeadFacts(
            lead=f"L{each}", platform="douyin", room=f"room{chance.randrange(300)}", grade="hot", quality=3, points=85,
            host=f"host{chance.randrange(300)}", product=f"p{chance.randrange(2_000)}", taxonomy=chance.choice(LINES),
            region=Region(province="浙江", city=chance.choice(CITIES)),
        )
        for each in range(number)
    ]  # fmt: skip


def usual_rules() -> list[Rule]:
    chance = random.Random(3)
    strategies: list[Strategy] = ["round_robin", "weighted", "least_loaded", "best_performer"]

    def rule(number: int) -> Rule:
        when: dict[str, Any] = {"grades": ("hot",)}
        field, values = chance.choice([
            ("rooms", [f"room{each}" for each in range(300)]), ("hosts", [f"host{each}" for each in range(300)]),
            ("cities", CITIES),
        ])  # fmt: skip
        when[field] = tuple(chance.sample(values, 2))
        when["products"] = ("/".join(chance.choice(LINES)),)
        team = f"s{chance.randrange(STORES)}t{chance.randrange(TEAMS)}"
        return Rule(name=f"r{number}", when=Conditions(**when), team=team, strategy=strategies[number % 4])

    return [
        *map(rule, range(RULES - 3)),
        Rule(name="both", by=("region", "product"), when=Conditions(platforms=("douyin",)), if_nobody="next"),
        Rule(name="region", by=("region",), strategy="least_loaded"),
        Rule(name="product", by=("product",), strategy="weighted"),
    ]


def strange_rules() -> list[Rule]:
    """None of them matches but the last, and no index tells so."""
    return [
        *(Rule(name=f"r{number}", when=Conditions(grades=("hot",), points_at_least=90), team="s0t0") for number in range(RULES - 1)),
        Rule(name="last", team="s1t1"),
    ]  # fmt: skip


def measured(each: Iterator[Callable[[], object]]) -> Any:
    """Return the processor time of each call, in ms."""
    taken = []
    for call in each:
        before = time.thread_time_ns()
        call()
        taken.append((time.thread_time_ns() - before) / 1e6)
    return np.array(taken)


def told(what: str, taken: Any) -> None:
    p50, p99 = np.percentile(taken, [50, 99])
    print(f"\n{what}: p50 {p50:.3f} ms, p99 {p99:.3f} ms, worst {taken.max():.1f} ms of {len(taken):,}")


def decisions(rules: list[Rule], organisation: Organisation, number: int) -> Any:
    compiled, state, moments = Rules(rules), State(), count(NOON, 250)
    state.abilities = {seller.id: hash_free(seller.id) for seller in organisation.sellers[::2]}
    return measured(
        lambda lead=lead, at=at: decide(lead, compiled, organisation, state, at)  # type: ignore[misc]
        for lead, at in zip(leads(number), moments, strict=False)
    )


def hash_free(name: str) -> float:
    """Return a number from −0.1 to 0.1 that is the same in every run."""
    return sum(map(ord, name)) % 200 / 1_000 - 0.1


def test_usual_rules() -> None:
    taken = decisions(usual_rules(), company(), 20_000)
    told(f"{RULES} rules, {STORES * TEAMS * PEOPLE:,} sellers in {STORES * TEAMS} teams", taken)
    assert np.percentile(taken, 99) < LIMIT_MS


@pytest.mark.parametrize("strategy", ["round_robin", "weighted", "least_loaded", "best_performer"])
def test_everybody_in_one_team(strategy: Strategy) -> None:
    taken = decisions([Rule(name="all", team="hq", strategy=strategy)], company(), 1_000)
    told(f"{strategy} among all {STORES * TEAMS * PEOPLE:,} sellers", taken)
    assert np.percentile(taken, 99) < LIMIT_MS


def test_rules_that_no_index_helps_with() -> None:
    taken = decisions(strange_rules(), company(), 3_000)
    told(f"{RULES} rules that all look alike", taken)
    assert np.percentile(taken, 99) < LIMIT_MS


def test_an_organisation_that_changes_all_the_time() -> None:
    organisation, rules, state = company(), Rules(usual_rules()), State()
    building, deciding = [], []
    for number, lead in enumerate(leads(40)):
        at = NOON + number
        change = OrgChange(sellers=(Seller(id="s0t0p0", team="s0t1", capacity=number, from_at=at),))
        before = time.thread_time_ns()
        organisation = organisation.changed(change)
        between = time.thread_time_ns()
        decide(lead, rules, organisation, state, at)
        building.append((between - before) / 1e6)
        deciding.append((time.thread_time_ns() - between) / 1e6)
    told("one seller of 3,000 changes", np.array(building))
    told("the first decision after it", np.array(deciding))


def test_looking_for_mistakes_in_the_rules() -> None:
    organisation, rules = company(), usual_rules()
    told(f"findings in {RULES} rules", measured(iter([lambda: findings(rules, organisation, NOON)])))
    told("problems of the organisation", measured(iter([lambda: organisation.problems()])))
    told("rules made ready", measured(iter([lambda: Rules(rules)])))
