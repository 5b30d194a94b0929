"""The simulated stream: everything else is judged on it, so it is judged first."""

import hashlib
import io
import itertools
import math
import os
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import phonenumbers
import pytest

from frontrow.core.events import ROOM_KINDS, VIEWER_KINDS, Event, decode_event, encode_event
from frontrow_models.simulate import (
    NO_DRIFT,
    NO_FAULTS,
    Crowd,
    Drift,
    Faults,
    Scenario,
    Sellers,
    ViewerTruth,
    ViewerType,
    busy_room,
    room_names,
    simulate,
    truth,
    write_ndjson,
    write_truth,
)
from frontrow_models.simulate.busy import BUSY_MIX
from frontrow_models.simulate.comments import PHRASES, QUESTIONS
from frontrow_models.simulate.comments import Crowd as Voice
from frontrow_models.simulate.dice import Dice
from frontrow_models.simulate.scenario import DICE
from frontrow_models.simulate.stage import BLOCK_MS, PRODUCTS, run_sheet

# Changes only together with SIMULATOR_VERSION: whoever compares runs relies on it.
SMALL = Scenario(seed=11, viewers=60, duration_s=600, events_per_s=5.0, rooms=("a", "b"))
SMALL_SHA256 = "a70b0c2de1afd826b27ed141fc17cd9546f276de62dd634048a2ddbc98b4c42e"


@dataclass(frozen=True)
class Run:
    events: list[Event]
    truth: list[ViewerTruth]


@pytest.fixture(scope="module")
def evening() -> Run:
    """Two hours of a room of 2,000 viewers, with the default faults."""
    run = simulate(Scenario(viewers=2_000, events_per_s=8.0))
    return Run(list(run), run.truth)


def first_of_each(events: Iterable[Event]) -> list[Event]:
    return list({event.id: event for event in reversed(list(events))}.values())


def test_every_event_is_one_that_an_intake_takes(evening: Run) -> None:
    for event in evening.events:
        assert decode_event(encode_event(event)) == event
        assert not event.test


def test_the_same_scenario_gives_the_same_bytes_whatever_the_hash_seed() -> None:
    """Results of runs on two machines are compared; a set's order in between would make them differ at random."""
    program = (
        "import hashlib, io, sys\n"
        f"sys.path[:0] = {[path for path in sys.path if path]!r}\n"
        "from tests.models.test_simulate import SMALL\n"
        "from frontrow_models.simulate import simulate, write_ndjson\n"
        "out, run = io.BytesIO(), simulate(SMALL)\n"
        "write_ndjson(run, out)\n"
        "print(hashlib.sha256(out.getvalue()).hexdigest())\n"
    )
    root = Path(__file__).resolve().parents[2]
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=root,
            capture_output=True,
            check=True,
            text=True,
            timeout=50,
        ).stdout.strip()
        for seed in ("0", "1", "4242")
    }
    out = io.BytesIO()
    write_ndjson(simulate(SMALL), out)
    assert found == {hashlib.sha256(out.getvalue()).hexdigest()} == {SMALL_SHA256}


def test_another_seed_gives_another_broadcast() -> None:
    first, second = (Scenario(seed=seed, viewers=60, duration_s=600, events_per_s=5.0) for seed in (1, 2))
    assert [event.at for event in simulate(first)] != [event.at for event in simulate(second)]


def test_a_room_is_the_same_whichever_rooms_are_simulated_beside_it() -> None:
    """So a room can be taken out of a run and looked at alone."""
    both = [event for event in simulate(SMALL) if event.room == "b"]
    alone = list(simulate(msgspec.structs.replace(SMALL, rooms=("b",))))
    assert [(e.at, e.kind, e.viewer, e.text) for e in both] == [
        (e.at, e.kind, e.viewer, e.text) for e in alone
    ]


def test_events_come_in_order_of_arrival_and_never_before_they_happened(evening: Run) -> None:
    arrivals = [event.seen_at for event in evening.events if event.seen_at is not None]
    assert len(arrivals) == len(evening.events)
    assert all(earlier <= later for earlier, later in itertools.pairwise(arrivals))
    assert all(event.at <= event.seen_at for event in evening.events if event.seen_at is not None)


def test_without_faults_event_times_grow_and_ids_are_unique_in_each_room() -> None:
    scenario = msgspec.structs.replace(SMALL, rooms=room_names(3), faults=NO_FAULTS, seen_at=False)
    events = list(simulate(scenario))
    assert all(earlier.at <= later.at for earlier, later in itertools.pairwise(events))
    assert len({(event.room, event.id) for event in events}) == len(events)
    assert all(event.seen_at is None for event in events)
    for room in scenario.rooms:
        own = [event for event in events if event.room == room]
        assert (own[0].kind, own[-1].kind) == ("room_start", "room_end")
        assert (own[0].at, own[-1].at) == (scenario.start, scenario.end)


def test_viewers_of_different_rooms_are_different_people() -> None:
    events = list(simulate(SMALL))
    a, b = ({event.viewer for event in events if event.room == room and event.viewer} for room in ("a", "b"))
    assert a
    assert b
    assert not a & b


@pytest.mark.parametrize(
    "faults",
    [Faults(), Faults(duplicate=0.3, reorder=0.2, late=0.05, lost=0.1), NO_FAULTS],
    ids=["default", "terrible", "none"],
)
def test_faults_come_at_their_rates_and_change_nothing_but_the_arrival(faults: Faults) -> None:
    """A chaos run is only worth something beside a run of the same world without chaos."""
    calm = {e.id: e for e in simulate(Scenario(viewers=300, duration_s=1800, faults=NO_FAULTS))}
    events = list(simulate(Scenario(viewers=300, duration_s=1800, faults=faults)))
    count = Counter(event.id for event in events)
    assert set(count) <= set(calm)
    assert set(count.values()) <= {1, 2}
    for event in events:
        assert msgspec.structs.replace(event, seen_at=None) == msgspec.structs.replace(
            calm[event.id], seen_at=None
        )
    delays = [delay_ms(event) - faults.latency_ms for event in first_of_each(events)]
    near(sum(times == 2 for times in count.values()), faults.duplicate, len(calm))
    near(len(calm) - len(count), faults.lost, len(calm))
    near(sum(0 < delay <= 3_000 for delay in delays), faults.reorder, len(calm))
    near(sum(6_000 <= delay <= 60_000 for delay in delays), faults.late, len(calm))
    assert max(delays) <= 60_000


def delay_ms(event: Event) -> int:
    assert event.seen_at is not None
    return event.seen_at - event.at


def near(found: int, rate: float, of: int) -> None:
    """Fail unless ``found`` lies within four standard deviations (and one) of a rate."""
    assert abs(found - rate * of) <= 4.0 * math.sqrt(of * rate * (1.0 - rate)) + 1.0, (found, rate * of)


def test_every_kind_of_viewers_and_of_rooms_is_there(evening: Run) -> None:
    assert {event.kind for event in evening.events} == VIEWER_KINDS | ROOM_KINDS


@pytest.mark.parametrize("rate", [8.0, 40.0])
def test_the_rate_aimed_at_is_met_on_average_and_swings_with_what_happens_on_stage(rate: float) -> None:
    scenario = Scenario(viewers=600, duration_s=3600, events_per_s=rate, faults=NO_FAULTS)
    events = list(simulate(scenario))
    assert len(events) / scenario.duration_s == pytest.approx(rate, rel=0.1)
    blocks = Counter((event.at - scenario.start) // BLOCK_MS for event in events)
    counts = sorted(blocks.values())
    assert counts[-1] > 2 * counts[len(counts) // 2]


def test_people_come_and_ask_and_click_more_while_the_host_pitches(evening: Run) -> None:
    scenario = Scenario(viewers=2_000, events_per_s=8.0)
    stage = run_sheet(Dice(DICE, scenario.seed, scenario.rooms[0], 0, "stage"), scenario.duration_s)
    pitch = [stage.appeal[block] > 2 for block in range(stage.blocks)]
    for kind, least in (("enter", 1.2), ("product_click", 2.0), ("like", 1.2)):
        inside = outside = 0
        for event in first_of_each(evening.events):
            # the first ten minutes are the opening, when everybody comes
            block = (event.at - scenario.start) // BLOCK_MS
            if event.kind == kind and 60 <= block < stage.blocks:
                inside += pitch[block]
                outside += not pitch[block]
        shown = sum(pitch[60:])
        assert inside / shown > least * outside / (len(pitch) - 60 - shown), kind


def test_a_room_tells_a_plan_that_is_off_by_some_minutes_and_changes_nothing_else() -> None:
    """Else no figure with a plan could be set beside one without."""
    planned, unplanned = (
        list(simulate(SMALL)),
        list(simulate(msgspec.structs.replace(SMALL, plan_off_min=None))),
    )
    begun = [event.seconds for event in planned if event.kind == "room_start"]
    assert len(set(begun)) == 2 and all(seconds is not None and seconds % 300 == 0 for seconds in begun)
    assert [
        msgspec.structs.replace(event, seconds=None) for event in planned if event.kind == "room_start"
    ] == [event for event in unplanned if event.kind == "room_start"]
    assert [event for event in planned if event.kind != "room_start"] == [
        event for event in unplanned if event.kind != "room_start"
    ]
    exact = simulate(msgspec.structs.replace(SMALL, plan_off_min=0.0))
    assert {event.seconds for event in exact if event.kind == "room_start"} == {600.0}


def test_between_one_and_five_of_a_hundred_viewers_buy(evening: Run) -> None:
    assert 0.01 < sum(known.bought for known in evening.truth) / len(evening.truth) < 0.05


def test_buyers_buy_more_than_browsers_and_bots_never(evening: Run) -> None:
    share = {
        str(type): [known.bought for known in evening.truth if known.type == type]
        for type in ViewerType
        if type is not ViewerType.PAID
    }
    assert all(share.values())
    assert mean(share["buyer"]) > 10 * mean(share["browser"]) > 0
    assert mean(share["fan"]) > 0
    assert not any(share["bot"] + share["competitor"] + share["staff"])


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def test_who_bought_in_truth_is_who_paid_in_the_stream(evening: Run) -> None:
    paid: dict[str, int] = {}
    for event in evening.events:
        if event.kind == "order_paid":
            assert event.viewer is not None
            paid[event.viewer] = min(event.at, paid.get(event.viewer, event.at))
            assert (event.value or 0) > 0
            assert event.currency == "CNY"
    assert paid == {known.viewer: known.paid_at for known in evening.truth if known.bought}
    assert len({known.viewer for known in evening.truth}) == len(evening.truth) == 2_000


def test_the_true_probability_is_the_frequency_of_purchases() -> None:
    """p_true is computed, the purchases are drawn: the two must agree in every range of p."""
    crowd = Crowd(buyer=0.3, browser=0.3, fan=0.4, bot=0.0, competitor=0.0, staff=0.0)
    # Without drift: the future level of a room is shared by its viewers, who would not be independent.
    known = [
        k
        for seed in range(4)
        for k in truth(Scenario(seed=seed, viewers=1_000, events_per_s=0.0, crowd=crowd, drift=NO_DRIFT))
    ]
    for low, high in ((0.0, 0.01), (0.01, 0.05), (0.05, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1.01)):
        some = [k for k in known if low <= k.p_true < high]
        expected = sum(k.p_true for k in some)
        spread = math.sqrt(sum(k.p_true * (1.0 - k.p_true) for k in some))
        assert len(some) > 15
        assert abs(sum(k.bought for k in some) - expected) < 3.0 * spread, (low, high)


def test_what_viewers_do_tells_who_will_buy(evening: Run) -> None:
    """Without a signal before the first order there would be nothing to learn."""
    paid_at = {known.viewer: known.paid_at for known in evening.truth}
    clicks: Counter[str] = Counter()
    for event in first_of_each(evening.events):
        if event.kind == "product_click" and event.viewer is not None:
            clicks[event.viewer] += event.at < (paid_at[event.viewer] or event.at + 1)
    buyers = mean([clicks[known.viewer] for known in evening.truth if known.bought])
    others = mean([clicks[known.viewer] for known in evening.truth if not known.bought])
    assert buyers > 3 * others


def test_likes_and_gifts_carry_counts_and_stays_carry_their_length(evening: Run) -> None:
    for event in evening.events:
        if event.kind == "like":
            assert (event.count or 0) >= 1
        elif event.kind == "gift":
            assert event.gift
            assert (event.value or 0) > 0
            assert (event.count or 0) >= 1
        elif event.kind == "stay":
            assert 0 < (event.seconds or 0) <= 7200


def test_viewers_act_only_between_coming_and_leaving(evening: Run) -> None:
    """Dwell is derived from what people do; an act out of their visits would make it wrong."""
    there = {known.viewer: (known.came_at, known.left_at) for known in evening.truth}
    # chosen and paid on the phone, on the way home
    after_leaving = {"cart_add", "order_created", "order_paid", "order_refunded"}
    for event in evening.events:
        if event.viewer is not None:
            came, left = there[event.viewer]
            assert came <= event.at
            assert event.at <= left or event.kind in after_leaving, event.kind


def test_visits_that_are_told_are_the_visits_that_were(evening: Run) -> None:
    told: dict[str, float] = {}
    entered: dict[str, int] = {}
    for event in sorted(first_of_each(evening.events), key=lambda event: event.at):
        if event.viewer is None:
            continue
        if event.kind == "enter":
            entered[event.viewer] = event.at
        elif event.kind == "leave" and event.viewer in entered:
            seconds = (event.at - entered.pop(event.viewer)) / 1000
            told[event.viewer] = told.get(event.viewer, 0.0) + seconds
        elif event.kind == "stay":
            entered.pop(event.viewer, None)
            told[event.viewer] = told.get(event.viewer, 0.0) + (event.seconds or 0.0)
    known = {known.viewer: known.watched_s for known in evening.truth}
    complete = sum(math.isclose(seconds, known[viewer]) for viewer, seconds in told.items())
    assert complete > 0.7 * len(told), "most viewers come once"


def test_a_room_always_has_staff_and_they_are_flagged(evening: Run) -> None:
    staff = {known.viewer for known in truth(SMALL) if known.type == "staff"}
    assert len({viewer.split("-")[0] for viewer in staff}) == 2
    of_evening = {known.viewer for known in evening.truth if known.type == "staff"}
    assert {event.viewer for event in evening.events if event.staff} == of_evening


# Words, names and forms


def comments(events: Iterable[Event]) -> list[str]:
    return [event.text for event in events if event.kind == "comment" and event.text is not None]


def test_the_room_talks_in_all_tones(evening: Run) -> None:
    texts = comments(evening.events)
    for about in (
        "多少钱|什么价|怎么卖", "尺码|颜色|容量|材质", "有货|现货|库存", "包邮|发货|快递", "分期|免息", "优惠|打折|券",
        "怎么买|链接在哪", "保修|售后", "^@", "抽奖|福袋", "好看|喜欢", "来了|晚上好", "how much", "錢|貨|這|嗎",
        "[０-９Ａ-ｚ？！]{3}", "多小钱|肿么|油惠|包油|介个|神马", "微信|电话",
    ):  # fmt: skip
        assert any(re.search(about, text) for text in texts), about
    assert len(set(texts)) > 1_000


def test_buyers_ask_more_than_browsers_for_the_time_they_are_there() -> None:
    run = simulate(Scenario(viewers=2_000, duration_s=3600, events_per_s=0.0, faults=NO_FAULTS))
    asked = Counter(event.viewer for event in run if event.kind == "comment")
    asks, watched_s = Counter[str](), Counter[str]()
    for known in run.truth:
        asks[known.type] += asked[known.viewer]
        watched_s[known.type] += int(known.watched_s)
    hourly = {type: asks[type] / watched_s[type] * 3600 for type in watched_s}
    assert hourly["buyer"] > 3 * hourly["browser"] > 3 * hourly["bot"]
    assert hourly["competitor"] > 3 * hourly["browser"], "who asks most is not who buys"


@pytest.mark.parametrize("category", PHRASES)
def test_every_phrase_can_be_said_of_every_product(category: str) -> None:
    voice = Voice(Dice("words", category))
    texts = {
        voice.say(category, product=product, number=number, host="小鹿")
        for number, product in enumerate(PRODUCTS, start=1)
        for _ in range(100)
    }
    assert all(0 < len(text) < 60 and "{" not in text and "｛" not in text for text in texts)
    assert len(texts) > len(PHRASES[category])


def test_all_kinds_of_questions_are_asked() -> None:
    voice = Voice(Dice("questions"))
    assert {voice.question() for _ in range(1_000)} == set(QUESTIONS)


def test_names_are_diverse_and_some_too_long_for_any_column(evening: Run) -> None:
    names = {event.viewer: event.name for event in evening.events if event.name}
    distinct = set(names.values())
    assert len(distinct) > 600
    assert any(len(name) > 100 for name in distinct)
    assert any(re.search("[\U0001f300-\U0001faff]", name) for name in distinct)
    assert any(name.isascii() for name in distinct)
    assert any(re.fullmatch("[一-鿿]+", name) for name in distinct)


def forms() -> list[Event]:
    crowd = Crowd(buyer=1.0, browser=0.0, fan=0.0, bot=0.0, competitor=0.0, staff=0.0)
    scenario = Scenario(viewers=3_000, events_per_s=0.0, crowd=crowd, faults=NO_FAULTS)
    return [event for event in simulate(scenario) if event.kind == "form_submit"]


def test_forms_have_valid_and_invalid_invented_numbers_with_and_without_consent() -> None:
    found = forms()
    assert len(found) > 300
    valid = [form for form in found if is_valid((form.fields or {}).get("phone"))]
    assert 0.75 < len(valid) / len(found) < 0.92
    assert any((form.fields or {}).get("phone") and form not in valid for form in found)
    assert any("phone" not in (form.fields or {}) for form in found)
    assert {form.consent for form in found} == {True, False, None}
    assert any("company" in (form.fields or {}) for form in found)
    for form in valid:
        phone = unicodedata.normalize("NFKC", (form.fields or {})["phone"])
        digits = re.sub(r"\D", "", phone).removeprefix("86")
        assert re.fullmatch(r"1\d\d0000\d{4}", digits), "an invented number is known by its zeros"


def is_valid(phone: Any) -> bool:
    try:
        return phone is not None and phonenumbers.is_valid_number(phonenumbers.parse(phone, "CN"))
    except phonenumbers.NumberParseException:
        return False


# Scenarios, files and bulk


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"viewers": 0}, "viewers"),
        ({"duration_s": 5}, "duration_s"),
        ({"start": 1_700_000_000}, "start"),
        ({"events_per_s": float("nan")}, "events_per_s"),
        ({"rooms": ()}, "rooms"),
        ({"rooms": ("a", "a")}, "rooms"),
        ({"platform": ""}, "platform"),
        ({"seed": -1}, "seed"),
        ({"faults": Faults(duplicate=0.6, late=0.6)}, "faults"),
        ({"faults": Faults(latency_ms=-1)}, "faults.latency_ms"),
        ({"crowd": Crowd(buyer=-1.0)}, "crowd"),
        ({"paid": 1.0}, "paid"),
        ({"sessions": 0}, "sessions"),
        ({"drift": Drift(shock=-0.1)}, "drift.shock"),
        ({"drift": Drift(longest_min=5.0)}, "drift.longest_min"),
        ({"sellers": Sellers(count=1, speed_s=0.0)}, "sellers.speed_s"),
    ],
)
def test_a_scenario_that_cannot_be_is_refused_by_name(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"^{named}"):
        Scenario(**wrong)


@pytest.mark.parametrize("duration_s", [60, 61, 95, 600])
@pytest.mark.parametrize("viewers", [1, 25])
def test_short_and_nearly_empty_broadcasts_run(duration_s: int, viewers: int) -> None:
    events = list(simulate(Scenario(duration_s=duration_s, viewers=viewers, faults=NO_FAULTS)))
    end = events[0].at + duration_s * 1000
    assert events[0].kind == "room_start"
    assert all(event.at <= end for event in events)


def test_files_hold_one_line_per_event_and_per_viewer() -> None:
    run = simulate(SMALL)
    events, known = io.BytesIO(), io.BytesIO()
    count = write_ndjson(run, events)
    lines = events.getvalue().splitlines()
    assert len(lines) == count > 1_024, "more than one block of lines"
    assert [decode_event(line) for line in lines] == list(simulate(SMALL))
    assert write_truth(run.truth, known) == 120
    viewers = [msgspec.json.decode(line, type=ViewerTruth) for line in known.getvalue().splitlines()]
    assert viewers == truth(SMALL)


def test_the_busy_room_has_the_mix_of_a_busy_room_and_all_its_viewers() -> None:
    events = list(busy_room(events=40_000, viewers=4_000, events_per_s=1_000.0))
    assert len(events) == 40_000
    kinds = Counter(event.kind for event in events)
    for kind, share in BUSY_MIX:
        near(kinds[kind], share, 40_000)
    assert len({event.viewer for event in events if event.viewer}) == 4_000
    assert len({event.id for event in events}) == 40_000
    assert events[-1].at - events[0].at == 39_999
    for event in events[::7]:
        assert decode_event(encode_event(event)) == event
    again = list(busy_room(events=1_000, viewers=4_000, events_per_s=1_000.0))
    assert again == events[:1_000]


def test_the_busy_rooms_viewers_and_words_are_as_different_as_real_ones() -> None:
    """What repeats is cheap to look up and to compress, so benchmarks of a repeating room would flatter."""
    of_share: dict[float, float] = {}
    for share in (0.0, 0.7, 1.0):
        events = list(busy_room(events=40_000, viewers=4_000, distinct_texts=share))
        texts = [event.text for event in events if event.text]
        of_share[share] = len(set(texts)) / len(texts)
    assert len({event.name for event in events if event.viewer}) == 4_000
    assert {len(event.viewer) for event in events if event.viewer} == {16}
    assert of_share[0.0] < 0.12
    assert 0.7 < of_share[0.7] < 0.8
    assert of_share[1.0] > 0.999
