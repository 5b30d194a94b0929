"""A store leaves: its leads go where the plan says, none lost, none twice, whatever happens in between."""

from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontrow.core.centre.facts import Region
from frontrow.core.centre.organisation import Absence, Organisation, Seller, Unit
from frontrow.core.centre.transfer import (
    OpenLead,
    Place,
    Plan,
    Stays,
    Step,
    Sum,
    Target,
    TransferRefused,
    opening_data,
    overview,
    plan_transfer,
    read_plan,
    remaining,
    stands,
    step_data,
    undo_of,
)

NOW = 1_767_225_600_000
COMPANY = Organisation(
    [
        Unit(id="hq", kind="company"),
        Unit(id="east", kind="region", parent="hq"),
        Unit(id="west", kind="region", parent="hq"),
        Unit(id="old", kind="store", parent="east", cities=("杭州",), provinces=("浙江",)),
        Unit(id="hz", kind="store", parent="east", cities=("杭州",), provinces=("浙江",)),
        Unit(id="nb", kind="store", parent="east", cities=("宁波",), provinces=("浙江",)),
        Unit(id="cd", kind="store", parent="west", cities=("成都",), provinces=("四川",)),
        Unit(id="shut", kind="store", parent="east", cities=("杭州",), to_at=NOW),
        Unit(id="old-t", kind="team", parent="old"),
        Unit(id="hz-suv", kind="team", parent="hz", products=("auto/suv",)),
        Unit(id="hz-rest", kind="team", parent="hz"),
        Unit(id="nb-t", kind="team", parent="nb"),
        Unit(id="cd-t", kind="team", parent="cd"),
    ],
    [
        Seller(id="o1", team="old-t"),
        Seller(id="h1", team="hz-suv", capacity=10),
        Seller(id="h2", team="hz-rest", capacity=10),
        Seller(id="h3", team="hz-rest", capacity=20),
        Seller(id="h4", team="hz-rest", absences=(Absence(from_at=NOW, to_at=NOW + 1),)),
        Seller(id="h5", team="hz-rest", role="reception"),
        Seller(id="n1", team="nb-t", capacity=0),
    ],
)


def lead(number: int, **fields: Any) -> OpenLead:
    given: dict[str, Any] = {"customer": f"c{number}", "team": "old-t", "seller": "o1"}
    return OpenLead(lead=f"L{number:04}", **(given | fields))


def plan(
    leads: list[OpenLead], target: Target, *, present: Any = None, loads: Any = None, step_leads: int = 200
) -> Plan:
    return plan_transfer(
        leads, store="old", target=target, organisation=COMPANY, at=NOW, present=present or {}, loads=loads or {},
        step_leads=step_leads,
    )  # fmt: skip


def stores(made: Plan) -> list[str]:
    return [move.after.store for move in made.moves]


def test_a_named_store_gets_all_and_its_teams_by_product_and_room() -> None:
    made = plan(
        [lead(1, taxonomy=("auto", "suv", "x")), *(lead(number) for number in range(2, 8))],
        Target(how="store", store="hz"),
    )
    assert [(move.after.team, move.after.seller) for move in made.moves] == [
        ("hz-suv", "h1"), ("hz-rest", "h2"), ("hz-rest", "h3"), ("hz-rest", "h3"), ("hz-rest", "h2"), ("hz-rest", "h3"),
        ("hz-rest", "h3"),
    ]  # fmt: skip
    assert made.moves[0].before == Place(store="old", team="old-t", seller="o1")


def test_where_nobody_has_room_a_lead_waits_in_the_teams_pool_or_the_stores() -> None:
    loads = {"h2": 10, "h3": 20}
    [move] = plan([lead(1)], Target(how="store", store="hz"), loads=loads).moves
    assert move.after == Place(store="hz", team="hz-rest")
    [move] = plan([lead(1)], Target(how="store", store="nb")).moves
    assert move.after == Place(store="nb", team="nb-t")


def test_shares_hold_to_within_one_lead_at_any_length() -> None:
    made = plan(
        [lead(number) for number in range(500)], Target(how="share", shares={"hz": 5, "nb": 3, "cd": 2})
    )
    counts: Counter[str] = Counter()
    for number, store in enumerate(stores(made), start=1):
        counts[store] += 1
        for other, weight in (("hz", 5), ("nb", 3), ("cd", 2)):
            assert abs(counts[other] - number * weight / 10) <= 1


def test_the_same_region_takes_by_the_number_of_its_sellers_and_nobody_else() -> None:
    made = plan([lead(number) for number in range(40)], Target(how="region"))
    assert Counter(stores(made)) == {"hz": 32, "nb": 8}, (
        "hz has four who take leads (one at the desk does not), nb one"
    )


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        (Region(province="浙江", city="宁波"), "nb"),
        (Region(province="四川", city="成都"), "cd"),
        (Region(province="四川", city="绵阳"), "cd"),
        (Region(province="浙江", city="杭州"), "hz"),
        (Region(), "hz"),  # unknown: the nearest to the store that leaves
        (Region(province="云南", city="昆明"), "hz"),
    ],
)
def test_the_nearest_is_by_city_then_province_then_by_the_store_itself(region: Region, expected: str) -> None:
    assert stores(plan([lead(1, region=region)], Target(how="nearest"))) == [expected]


def test_a_customer_who_has_a_lead_there_is_merged_and_not_doubled() -> None:
    there = OpenLead(lead="T1", customer="c1", team="hz-suv", seller="h1")
    made = plan([lead(1), lead(2)], Target(how="store", store="hz"), present={("hz", "c1"): there})
    assert made.moves[0].merge == "T1"
    assert made.moves[0].after == Place(store="hz", team="hz-suv", seller="h1"), (
        "whoever has the lead keeps it"
    )
    assert made.moves[1].merge is None
    assert overview(made) == {"hz": Sum(moved=2, merged=1)}
    assert overview(made, "seller") == {"h1": Sum(moved=1, merged=1), "h2": Sum(moved=1, merged=0)}


def test_one_customer_is_not_given_to_two_stores() -> None:
    leads = [lead(number, customer="c") for number in range(6)] + [lead(9, customer=None)]
    made = plan(leads, Target(how="share", shares={"hz": 1, "nb": 1}))
    assert len(set(stores(made)[:6])) == 1
    assert [move.merge for move in made.moves] == [None, *["L0000"] * 5, None]


def test_what_nobody_can_take_stays_with_the_reason() -> None:
    alone = Organisation([Unit(id="old", kind="store")], [])
    made = plan_transfer(
        [lead(1)], store="old", target=Target(how="nearest"), organisation=alone, at=NOW, present={}, loads={}
    )
    assert made.moves == ()
    assert made.staying == (
        Stays(lead="L0001", reason="no other store in its region, and none that serves the place"),
    )


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (Target(how="store"), "names none"),
        (Target(how="share"), "names none"),
        (Target(how="store", store="old"), "cannot take its own"),
        (Target(how="store", store="shut"), "there is no store shut then"),
        (Target(how="store", store="hz-suv"), "there is no store hz-suv then"),
        (Target(how="share", shares={"hz": 1, "nowhere": 1}), "there is no store nowhere then"),
    ],
)
def test_a_target_that_is_none_is_refused(target: Target, reason: str) -> None:
    with pytest.raises(TransferRefused, match=reason):
        plan([lead(1)], target)


def test_a_plan_comes_back_from_its_first_event_and_the_others_name_its_steps() -> None:
    made = plan([lead(number) for number in range(5)], Target(how="region"), step_leads=2)
    assert [(step.number, step.of, len(step.moves)) for step in made.steps] == [
        (1, 3, 2),
        (2, 3, 2),
        (3, 3, 1),
    ]
    data = msgspec.json.decode(msgspec.json.encode(opening_data(made, by="chen")))
    assert (data["plan"], data["step"], data["by"]) == (made.id, 0, "chen")
    assert read_plan(data["content"]) == made
    assert step_data(made.steps[1]) == {"plan": made.id, "step": 2}


def test_a_store_that_has_closed_already_still_has_leads_to_give() -> None:
    made = plan_transfer(
        [lead(1)],
        store="shut",
        target=Target(how="nearest"),
        organisation=COMPANY,
        at=NOW,
        present={},
        loads={},
    )
    assert [move.after.store for move in made.moves] == ["hz"] or stores(made) == ["old"]


def test_a_move_stands_only_while_the_lead_is_as_it_was_planned() -> None:
    made = plan([lead(1)], Target(how="store", store="hz"))
    [step], [move] = made.steps, made.moves
    assert stands(step, move, move.before)
    assert not stands(step, move, Place(store="old", team="old-t"))
    assert not stands(step, move, None)
    [back] = undo_of(made, {1}).steps
    [undone] = back.moves
    assert stands(back, undone, Place(store="hz", team="hz-suv")), "whoever has it there by now"
    assert not stands(back, undone, Place(store="nb"))


# The leads of a small world, to see what steps do to them: where each is, and which lead it has joined.
World = dict[str, tuple[Place, str | None]]


def carry_out(world: World, step: Step) -> None:
    for move in step.moves:
        place, merged = world[move.lead]
        assert place == move.before, "steps are carried out from where the plan saw the lead"
        assert merged == (move.merge if step.undo else None)
        if move.merge in world:
            here = move.before if step.undo else move.after
            assert world[move.merge][0].store == here.store, "what a lead joins or leaves is there with it"
        world[move.lead] = (move.after, None if step.undo else move.merge)


REGIONS = st.sampled_from(
    [Region(), Region(province="浙江", city="宁波"), Region(province="四川", city="成都")]
)
LEADS = st.lists(
    st.builds(
        lambda customer, region: (customer, region),
        st.none() | st.sampled_from(["c1", "c2", "c3", "c4"]),
        REGIONS,
    ),
    max_size=12,
)
TARGETS = st.sampled_from([
    Target(how="store", store="hz"), Target(how="region"), Target(how="nearest"),
    Target(how="share", shares={"hz": 2, "cd": 1}),
])  # fmt: skip


@settings(max_examples=50)
@given(LEADS, TARGETS, st.integers(1, 4), st.integers(0, 5), st.integers(0, 5), st.randoms())
def test_a_transfer_survives_a_crash_and_is_wholly_undone(
    given_leads: list[tuple[str | None, Region]],
    target: Target,
    step_leads: int,
    crash: int,
    second_crash: int,
    random: Any,
) -> None:
    leads = [
        lead(number, customer=customer, region=region)
        for number, (customer, region) in enumerate(given_leads)
    ]
    present = {("hz", "c1"): OpenLead(lead="T1", customer="c1", team="hz-suv", seller="h1")}
    made = plan(leads, target, present=present, step_leads=step_leads)
    shuffled = random.sample(leads, len(leads))
    assert plan(shuffled, target, present=present, step_leads=step_leads) == made, "previewed is what is done"
    assert sorted([move.lead for move in made.moves] + [each.lead for each in made.staying]) == [
        each.lead for each in leads
    ], "none is lost"

    world: World = {each.lead: (Place(store="old", team="old-t", seller="o1"), None) for each in leads}
    before = dict(world)
    done: set[int] = set()
    for step in remaining(made, done)[:crash]:  # here the power fails
        carry_out(world, step)
        done.add(step.number)
    half = dict(world)
    back = undo_of(made, done)
    undone: set[int] = set()
    for step in remaining(back, undone)[:second_crash]:
        carry_out(world, step)
        undone.add(step.number)
    for step in remaining(back, undone):
        carry_out(world, step)
    assert world == before, "what was done is undone, and nothing else"

    world = half
    for step in remaining(made, done):
        carry_out(world, step)
    once = dict(before)
    for step in made.steps:
        carry_out(once, step)
    assert world == once, "resumed is as if it had never stopped"

    owners = [
        (world[each.lead][0].store, each.customer)
        for each in leads
        if each.customer and not world[each.lead][1]
    ]
    owners += [key for key in present]
    assert len(owners) == len(set(owners)), "one lead a customer and store"


def test_the_undo_of_an_undo_is_the_transfer() -> None:
    made = plan([lead(number, customer="c") for number in range(5)], Target(how="region"), step_leads=2)
    every = {step.number for step in made.steps}
    back = undo_of(made, every)
    assert undo_of(back, every).moves == made.moves
    assert [step.undo for step in back.steps] == [True] * 3
    assert not any(step.undo for step in undo_of(back, every).steps)
    assert back.id != made.id
