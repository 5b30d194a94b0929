"""Conduct: what makes a viewer look like a machine or like one of a crowd, and what honest viewers do that does not."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from frontrow.core.centre import conduct
from frontrow.core.centre.book import CleanTask
from frontrow.core.centre.cleaning import DoubtRules
from frontrow.core.centre.conduct import (
    CLOCKWORK,
    CROWD,
    IN_STEP,
    ONE_LINE,
    Conduct,
    Finding,
    entropy_bits,
    finding_of,
)
from frontrow.core.events import Event
from frontrow.core.frames import Frame
from frontrow.core.leads import Lead, LeadGrouped
from frontrow.core.sketches import sketches_of
from tests.support.centre import START, Scene, a_policy, hot_lead

Story = Sequence[tuple[Event, Sequence[Lead]]]
SECOND = 1_000
MINUTE = 60 * SECOND
LINES = (
    "多少钱",
    "有没有黑色",
    "什么时候发货",
    "可以便宜点吗",
    "适合一米六的吗",
    "怎么下单呀",
    "会不会起球",
    "还有库存吗",
)


def act(viewer: str, at: int, kind: str = "comment", text: str | None = None, **fields: Any) -> Event:
    fields = {"platform": "douyin", "room": "r1"} | fields
    id = f"{viewer}-{kind}-{at}"
    return Event(id=id, kind=kind, at=START + at, seen_at=START + at, viewer=viewer, text=text, **fields)


def hot(viewer: str, at: int) -> Lead:
    return hot_lead(viewer, START + at)


def frames(story: Story, cut: int) -> Iterable[tuple[Frame, list[tuple[int, Lead]]]]:
    for start in range(0, len(story), cut):
        part = story[start : start + cut]
        frame = Frame.of([event for event, _ in part])
        frame = replace(frame, sketches=sketches_of([event.text or "" for event, _ in part]))
        yield frame, [(at, lead) for at, (_, leads) in enumerate(part) for lead in leads]


def look(story: Story, cut: int = 7, looks: Conduct | None = None) -> list[Finding]:
    looks = looks or Conduct()
    return [
        finding
        for seq, (frame, leads) in enumerate(frames(story, cut), looks.seq + 1)
        for finding in looks.take(seq, frame, leads)
    ]


def signs(found: Iterable[Finding]) -> set[tuple[str, str]]:
    return {(finding.viewer, finding.sign) for finding in found}


def talk(viewer: str, lines: Sequence[str], seed: int = 1) -> Story:
    """Somebody turns hot, and then says these lines at moments as people choose them."""
    chance, at, story = random.Random(seed), 0, []
    for number, line in enumerate(lines):
        at += int(chance.expovariate(1 / 40) * SECOND) + SECOND
        story.append((act(viewer, at, text=line), [hot(viewer, at)] if number == 0 else []))
    return story


@pytest.mark.parametrize(
    ("lines", "suspected"),
    [
        (["多少钱"] * 8, True),
        (["多少钱", "有没有黑色"] * 4, True),
        (["多少钱？？", "多少钱", "多少钱！"] * 3, True),  # marks are no words
        (["多少钱"] * 7, False),  # not enough to say
        (["1"] * 20, False),  # the host asked for it: of figures and emoji nothing is known
        (["哈哈哈😂", *LINES], False),
        (LINES, False),
        (["多少钱"] * 3 + list(LINES[1:6]), False),  # asked again since nobody answered
    ],
)
def test_who_says_one_line_again_and_again_is_suspected(lines: Sequence[str], suspected: bool) -> None:
    assert ((("a", ONE_LINE) in signs(look(talk("a", lines)))), suspected) == (suspected, suspected)


def clicks(viewer: str, times: Sequence[int]) -> Story:
    return [
        (act(viewer, at, "product_click", product="p"), [hot(viewer, at)] if number == 0 else [])
        for number, at in enumerate(times)
    ]


def waiting(waits: Sequence[float]) -> list[int]:
    at, found = 0, [0]
    for wait in waits:
        at += round(wait * SECOND)
        found.append(at)
    return found


@pytest.mark.parametrize(
    ("waits", "suspected"),
    [
        ([30] * 12, True),
        ([30, 29, 31.5, 30.2] * 3, True),
        ([10, 50] * 6, True),  # a click and a cart, by turns
        ([30] * 11, False),
        ([2] * 30, False),  # a finger that taps, and clocks that tell seconds
        ([3, 180, 20, 65, 9, 33, 700, 12, 48, 5, 90, 260], False),
    ],
)
def test_who_acts_by_the_clock_is_suspected(waits: Sequence[float], suspected: bool) -> None:
    found = signs(look(clicks("a", waiting(waits))))
    assert (("a", CLOCKWORK) in found) is suspected


def test_of_honest_waits_hardly_any_are_a_clocks() -> None:
    """Whoever acts at random, at whatever pace, waits now shortly and now long."""
    chance = random.Random(3)
    found: set[tuple[str, str]] = set()
    for number in range(400):
        pace = chance.choice([8, 30, 120])
        waits = [chance.expovariate(1 / pace) for _ in range(60)]
        found |= signs(look(clicks(f"v{number}", waiting(waits)), 61))
    assert not found


def crowd(size: int, bursts: Sequence[int], seed: int = 5) -> list[tuple[Event, list[Lead]]]:
    """Viewers who click within two seconds of one another whenever they are told to, and say nothing."""
    chance, story = random.Random(seed), list[tuple[Event, list[Lead]]]()
    for burst in bursts:
        for number in range(size):
            at = burst + chance.randrange(2 * SECOND)
            story.append((act(f"x{number}", at, "product_click", product="p"), []))
    return sorted(story, key=lambda each: each[0].at)


BURSTS = [minute * MINUTE for minute in (1, 3, 4, 8, 9, 13, 17, 18)]


def test_who_only_clicks_but_always_with_the_same_others_is_suspected() -> None:
    story = crowd(12, BURSTS)
    event, _ = story[-1]
    story[-1] = event, [hot("x1", event.at - START)]
    found = look(story)
    assert signs(found) == {("x1", IN_STEP)}
    assert 8 <= found[0].told["others"] <= 11


def test_honest_viewers_who_click_when_the_host_counts_down_are_not() -> None:
    """Two in three follow each call; but not the same ones, and they do other things as well, each when they like."""
    chance = random.Random(9)
    story: list[tuple[Event, list[Lead]]] = [each for each in crowd(40, BURSTS) if chance.random() < 0.67]
    for number in range(40):
        story += [
            (act(f"x{number}", chance.randrange(20 * MINUTE), "product_click", product="q"), [])
            for _ in range(12)
        ]
    story.sort(key=lambda each: each[0].at)
    story = [(event, [hot(event.viewer or "", event.at - START)]) for event, _ in story]
    assert not signs(look(story))


def test_a_moment_of_very_many_says_nothing() -> None:
    """In a room of ten thousand all are in step with somebody."""
    story = crowd(conduct.MOST_AT_ONCE + 40, BURSTS)
    event, _ = story[-1]
    story[-1] = event, [hot(event.viewer or "", event.at - START)]
    assert not signs(look(story, 500))


def test_nobody_without_a_lead_is_looked_at() -> None:
    story: Story = [(event, []) for event, _ in talk("a", ["多少钱"] * 12)]
    assert not look(story)


def test_a_form_makes_a_lead_and_staff_and_tests_make_nothing() -> None:
    lines = [event for event, _ in talk("a", ["多少钱"] * 8)]
    form = act("a", 30 * MINUTE, "form_submit", form="f", consent=True)
    assert signs(look([(event, []) for event in [*lines, form]])) == {("a", ONE_LINE)}
    excuses: list[dict[str, Any]] = [{"staff": True}, {"test": True}]
    for excuse in excuses:
        said = [act("b", number * MINUTE, text="欢迎来到直播间", **excuse) for number in range(10)]
        assert not look([(event, [hot("b", event.at - START)]) for event in said])


def mixed(seed: int) -> list[tuple[Event, list[Lead]]]:
    chance = random.Random(seed)
    story = [*talk("a", ["多少钱"] * 12), *clicks("c", waiting([20] * 30)), *crowd(8, BURSTS)]
    for number in range(300):
        kind = chance.choice(["enter", "like", "comment", "cart_add"])
        story.append((act(f"v{number % 40}", chance.randrange(20 * MINUTE), kind, chance.choice(LINES)), []))
    story.sort(key=lambda each: each[0].at)
    return [
        (event, [*leads, *([hot(event.viewer or "", event.at - START)] if number % 17 == 0 else [])])
        for number, (event, leads) in enumerate(story)
    ]


def told(found: Iterable[Finding]) -> list[tuple[Any, ...]]:
    return [(each.at, each.viewer, each.sign, dict(each.told)) for each in found]


@pytest.mark.parametrize("cut", [1, 5, 64, 10_000])
def test_frames_may_be_cut_anywhere_and_generations_pass_in_between(
    monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    monkeypatch.setattr(conduct, "GENERATION", 24)
    monkeypatch.setattr(conduct, "MOMENTS_GENERATION", 60)
    story = mixed(4)
    assert told(look(story, cut)) == told(look(story, 3)) != []


def test_what_was_written_goes_on_as_if_nothing_had_been() -> None:
    story = mixed(6)
    whole, parts, found = told(look(story, 10)), list(frames(story, 10)), list[Finding]()
    looks = Conduct()
    for seq, (frame, leads) in enumerate(parts, 1):
        found += looks.take(seq, frame, leads)
        if seq % 9 == 0:
            packed, looks = looks.packed(), Conduct()
            looks.load(packed, 0)
    assert told(found) == whole


def test_the_same_frame_again_gives_the_same_until_it_is_settled() -> None:
    """A database that fails has its frames applied again."""
    looks = Conduct()
    ((frame, leads),) = frames(talk("a", ["多少钱"] * 9), 100)
    first = looks.take(1, frame, leads)
    assert looks.take(1, frame, leads) == first != ()
    looks.settled(1)
    assert looks.take(1, frame, leads) == ()


def test_who_was_erased_is_somebody_new() -> None:
    looks = Conduct()
    look(talk("a", ["多少钱"] * 7), looks=looks)
    identities = [{"kind": "viewer:douyin", "key": "a"}]
    erase = Event(
        id="x",
        kind="person_erase",
        platform="frontrow",
        room="centre",
        at=START + MINUTE,
        data={"identities": identities},
    )
    look([(erase, [])], looks=looks)
    assert b"\xa1a" not in looks.packed()
    later = [(act("a", 60 * MINUTE, text="多少钱"), [hot("a", 60 * MINUTE)])]
    assert not look(later, looks=looks)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conduct, "GENERATION", 100)
    monkeypatch.setattr(conduct, "MOMENTS_GENERATION", 200)
    looks = Conduct()
    look([(act(f"v{number}", number * SECOND, "cart_add"), []) for number in range(2_000)], 50, looks)
    viewers = sum(len(part) for room in looks._rooms.values() for part in room.viewers)
    moments = sum(
        len(there) for room in looks._rooms.values() for part in room.moments for there in part.values()
    )
    assert viewers <= 200 and moments <= 400 + conduct.MOST_AT_ONCE


def test_entropy_is_that_of_how_often_each_value_is() -> None:
    assert entropy_bits([7] * 9) == 0.0
    assert entropy_bits([1, 2] * 4) == pytest.approx(1.0)
    assert entropy_bits([1, 1, 2, 3]) == pytest.approx(1.5)


def suspect(scene: Scene, viewer: str, sign: str, at: int, **told: int) -> None:
    frame = Frame.of([scene.event("tick", at)])
    scene.book.begin()
    scene.centre.apply(frame, [], found=[Finding(0, START + at, "douyin", viewer, sign, told)])
    scene.book.commit()


def test_a_lead_that_is_suspected_is_q0_says_why_and_is_put_to_somebody_once() -> None:
    scene = Scene()
    lead = scene.hot("a")
    assert (lead.quality, lead.faults) == (1, [])
    suspect(scene, "a", CLOCKWORK, MINUTE, every_s=30)
    suspect(scene, "a", ONE_LINE, 2 * MINUTE, lines=1)
    suspect(scene, "a", ONE_LINE, 3 * MINUTE, lines=1)
    lead = scene.lead(lead.lead)
    assert (lead.quality, lead.faults) == (0, ["one_line", "clockwork"])
    said = [entry.data for entry in scene.timeline(lead) if entry.kind == "suspected"]
    assert said == [{"sign": "clockwork", "every_s": 30}, {"sign": "one_line", "lines": 1}]
    tasks = scene.rows(CleanTask)
    assert [(task.reason, task.state) for task in tasks] == [("suspected_spam", "queued")]
    scene.say("clean_result", 4 * MINUTE, data={"task": tasks[0].task, "state": "decided", "intent": "yes"})
    assert scene.lead(lead.lead).quality == 4, "a person's word outweighs what was only suspected"


def test_a_lead_whose_group_is_found_later_is_suspected_as_if_it_had_been_known() -> None:
    """The first of a hired crowd turn hot before anybody can know them for one."""
    scene = Scene()
    lead, again = scene.hot("a"), scene.hot("b", quality="Q2")
    found = LeadGrouped("L", "douyin", "a", START + MINUTE, 7)
    frame = Frame.of([scene.event("tick", MINUTE)])
    scene.book.begin()
    scene.centre.apply(frame, [], found=[finding_of(-1, found), finding_of(0, found)])
    scene.book.commit()
    lead = scene.lead(lead.lead)
    assert (lead.quality, lead.faults, scene.lead(again.lead).faults) == (0, ["crowd"], [])
    said = [(entry.at, entry.data) for entry in scene.timeline(lead) if entry.kind == "suspected"]
    assert said == [(START + MINUTE, {"sign": "crowd", "others": 7})]
    assert [(task.lead, task.reason) for task in scene.rows(CleanTask)] == [(lead.lead, "suspected_spam")]


@pytest.mark.parametrize("sign", [CROWD, ONE_LINE])
def test_nobody_is_asked_about_a_lead_that_a_person_has_spoken_with(sign: str) -> None:
    """A seller has heard on the telephone what the customer wants: what a rule finds later is no question any more."""
    scene = Scene()
    lead = scene.hot("a")
    code = next(
        each.code for each in scene.centre.policy.pack.outcomes if each.quality == 4 and each.closes is None
    )
    scene.act("lead_claim", lead, 1_000, seller=lead.holder)
    scene.act("lead_outcome", lead, 2_000, seller=lead.holder, outcome=code, data={"by": lead.holder})
    suspect(scene, "a", sign, MINUTE, others=5)
    lead = scene.lead(lead.lead)
    assert (lead.quality, lead.faults) == (4, [sign]), "it is kept what was seen"
    assert scene.rows(CleanTask) == []


def test_a_lead_is_left_as_it_is_where_nobody_wants_this_looked_at() -> None:
    scene = Scene(a_policy(doubts=DoubtRules(conduct=False)))
    lead = scene.hot("a")
    suspect(scene, "a", CLOCKWORK, MINUTE, every_s=30)
    suspect(scene, "unknown", CLOCKWORK, MINUTE, every_s=30)
    assert scene.lead(lead.lead).faults == []
