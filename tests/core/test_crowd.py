"""A paid crowd cannot buy a hot grade: who writes from one script shares the points of one viewer, and honest viewers do not."""

import random
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from frontrow.core import crowd as module
from frontrow.core import engine as engine_module
from frontrow.core import kernel
from frontrow.core.attic import MemoryAttic
from frontrow.core.crowd import LINES, SPEAKERS, Crowd, CrowdRules
from frontrow.core.engine import Engine, EngineOptions
from frontrow.core.events import Event
from frontrow.core.features import NAMES
from frontrow.core.frames import Frame
from frontrow.core.leads import LeadGrouped, lead_id
from frontrow.core.points import SAME_WORDS, Policy
from frontrow.core.sketches import sketches_of
from frontrow_models.learner import Learner
from frontrow_models.online import ModelOptions
from tests.support.rooms import event, facts_of

SCRIPT = ("这个小台灯多少钱", "老人用会不会刺眼", "今天下单什么时候发货", "质量看起来真不错")
QUESTIONS = (
    "多少钱",
    "怎么买",
    "包邮吗",
    "有优惠吗",
    "什么材质",
    "保修多久",
    "几天能到",
    "有现货吗",
    "能分期吗",
    "有黑色吗",
)


def heard(said: list[tuple[str, str]], rules: CrowdRules | None = None) -> Crowd:
    crowd = Crowd(rules or CrowdRules())
    tell(crowd, said)
    return crowd


def tell(crowd: Crowd, said: list[tuple[str, str]]) -> None:
    for viewer, text in said:
        [sketch] = sketches_of([text])
        crowd.hear([0], [viewer], [sketch])


def own_words(viewers: int, seed: int = 1) -> list[tuple[str, str]]:
    """Return what honest viewers say: popular questions, and things that nobody else says."""
    dice = random.Random(seed)
    letters = [chr(code) for code in range(0x4E00, 0x4E00 + 2_000)]
    said: list[tuple[str, str]] = []
    for number in range(viewers):
        for _ in range(dice.randrange(1, 9)):
            text = dice.choice(QUESTIONS) if dice.random() < 0.5 else "".join(dice.choices(letters, k=8))
            said.append((f"honest{number}", text))
    dice.shuffle(said)
    return said


def script_of(viewer: int, seed: int = 2) -> list[tuple[str, str]]:
    dice = random.Random(seed * 1_000 + viewer)
    tails = ("", "", "！", "😊", "呀", "～～")
    return [(f"paid{viewer}", dice.choice(SCRIPT) + dice.choice(tails)) for _ in range(6)]


def test_viewers_with_one_script_are_a_group_and_others_are_not() -> None:
    said = own_words(300) + [line for number in range(12) for line in script_of(number)]
    random.Random(3).shuffle(said)
    crowd = heard(said)
    found = {viewer: crowd.partners_of(0, viewer) for viewer, _ in said}
    assert all(found[f"paid{number}"] >= 5 for number in range(12))
    assert [viewer for viewer, partners in found.items() if partners and viewer.startswith("honest")] == []


def test_a_large_crowd_does_not_hide_behind_its_own_number() -> None:
    said = own_words(300) + [line for number in range(200) for line in script_of(number)]
    random.Random(3).shuffle(said)
    crowd = heard(said)
    found = [crowd.partners_of(0, f"paid{number}") > 0 for number in range(200)]
    assert sum(found) >= 190


def test_one_line_in_common_is_nothing() -> None:
    """Where the host says so, all write the same word."""
    said = [
        (f"v{number}", text)
        for number in range(50)
        for text in ("想要小台灯", f"我是第{chr(0x4E00 + number)}位")
    ]
    crowd = heard(said)
    assert all(crowd.partners_of(0, f"v{number}") == 0 for number in range(50))


def test_too_few_partners_are_no_group() -> None:
    three = own_words(50) + [(f"paid{number}", text) for number in range(3) for text in SCRIPT]
    four = three + [("paid3", text) for text in SCRIPT]
    assert heard(three).partners_of(0, "paid0") == 0
    assert heard(three, CrowdRules(partners=2)).partners_of(0, "paid0") == 2
    assert heard(four).partners_of(0, "paid0") == 3
    assert heard(four, CrowdRules(partners=0)).partners_of(0, "paid0") == 0


def test_a_group_is_of_one_broadcast() -> None:
    crowd = Crowd(CrowdRules())
    for session in range(12):
        for viewer, text in script_of(session):
            crowd.hear([session], [viewer], sketches_of([text]))
    assert all(crowd.partners_of(session, f"paid{session}") == 0 for session in range(12))


def test_what_was_just_said_counts() -> None:
    crowd = heard([line for number in range(8) for line in script_of(number)])
    assert crowd.partners_of(0, "new") == 0
    assert crowd.partners_of(0, "new", sketches_of(SCRIPT[:2])) > 3
    assert crowd.partners_of(0, "new") == 0  # it was asked, not heard


def test_who_says_more_of_their_own_leaves_the_group_but_not_at_once() -> None:
    crowd = heard(own_words(100) + [line for number in range(8) for line in script_of(number)])
    tell(crowd, [("v", SCRIPT[0]), ("v", SCRIPT[1])])
    assert crowd.partners_of(0, "v") > 0
    tell(crowd, [("v", "我家孩子昨天才说想要"), ("v", "隔壁邻居也在看这个"), ("v", "主播声音有点小")])
    assert crowd.partners_of(0, "v") == 0
    assert crowd.partners_of(0, "v", grouped=True) > 0
    tell(crowd, [("v", f"{text}我自己说的") for text in ("早上", "中午", "晚上", "周末", "过年")])
    assert crowd.partners_of(0, "v", grouped=True) == 0


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GENERATION", 200)
    crowd = Crowd(CrowdRules())
    for number in range(3_000):  # talkative viewers who never say the same, and many who say one thing
        crowd.hear([number % 3], [f"v{number % 20}"], [(number * 7919 % (1 << 23) + 2) << 24 | number + 1])
        crowd.hear([number % 3], [f"w{number}"], [1 << 24 | 1])
    _, _, *parts = zip(*crowd.state()["talks"], strict=True)
    viewers, lines, near = ([part for both in kind for part in both] for kind in parts)
    assert sum(len(part[0]) for part in viewers) + sum(len(part[0]) for part in lines) <= 404
    assert sum(len(part[0]) for part in near) <= 404
    assert max(size for _, sizes, *_ in viewers for size in sizes) == LINES
    assert max(size for _, sizes, _ in lines for size in sizes) == 1 + SPEAKERS


def test_a_state_that_was_kept_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GENERATION", 300)
    said = own_words(100) + [line for number in range(12) for line in script_of(number)]
    random.Random(3).shuffle(said)
    whole, begun = heard(said), heard(said[:250])
    again = Crowd(CrowdRules())
    again.load(msgspec.json.decode(msgspec.json.encode(begun.state())))
    tell(again, said[250:])
    assert again.state() == whole.state()
    again.forget([0, 7])
    assert again.state() == Crowd(CrowdRules()).state()


# ---------------------------------------------------------------------- in the engine


def stream(paid: int = 10, seed: int = 5) -> list[Event]:
    """Return a broadcast of half an hour: honest viewers who ask and click, and a squad that writes from a script."""
    dice = random.Random(seed)
    found: list[Event] = []
    for viewer, text in own_words(60, seed):
        found.append(event("comment", dice.uniform(0, 1_800), viewer=viewer, text=text))
    for number in range(paid):
        for viewer, text in script_of(number, seed):
            found.append(event("comment", dice.uniform(60, 1_500), viewer=viewer, text=text))
    for viewer in (
        *(f"honest{number}" for number in range(0, 60, 3)),
        *(f"paid{number}" for number in range(paid)),
    ):
        kinds = "product_click", "cart_add", "lottery_join"
        found += [event(kind, dice.uniform(200, 1_700), viewer=viewer) for kind in kinds]
        found.append(event("like", 1_790 + dice.random(), viewer=viewer))
    return sorted(found, key=lambda each: each.at)


def frame_of(events: list[Event]) -> Frame:
    frame = Frame.of(events, facts_of(events))
    frame.sketches = [
        sketch if each.kind == "comment" else 0
        for each, sketch in zip(events, sketches_of([each.text or "" for each in events]), strict=True)
    ]
    return frame


def make(attic: MemoryAttic | None = None, **rules: Any) -> Engine:
    crowd, attic = CrowdRules(**rules), MemoryAttic() if attic is None else attic
    return Engine(EngineOptions(idle_ms=300_000, crowd=crowd), Policy(hot=70), None, attic=attic)


def run(to: Engine, events: list[Event], size: int) -> list[str]:
    """Apply events in frames of a size; return whoever became a lead, in order."""
    told: list[str] = []
    for start in range(0, len(events), size):
        told += [lead.viewer for lead in to.apply(frame_of(events[start : start + size])).leads]
    return told


def paid_of(viewers: list[str]) -> int:
    return sum(viewer.startswith("paid") for viewer in viewers)


def test_a_paid_crowd_buys_hardly_a_hot_grade_and_the_others_keep_theirs() -> None:
    without, held = run(make(partners=0), stream(), 64), run(make(), stream(), 64)
    assert paid_of(without) >= 9
    assert paid_of(held) <= 2
    assert [viewer for viewer in held if viewer.startswith("honest")] == [
        viewer for viewer in without if viewer.startswith("honest")
    ]


def test_hosts_are_told_why() -> None:
    under_test = make()
    run(under_test, stream(), 64)
    [room] = under_test.rooms
    assert room.sessions.current is not None
    scores = under_test.scores(room.sessions.current.rows.tolist(), under_test.now)
    grouped = [score for score in scores if any(reason.name == "same_words" for reason in score.reasons)]
    assert len(grouped) == under_test.grouped >= 6
    for score in grouped:
        [why] = [reason for reason in score.reasons if reason.name == "same_words"]
        assert why.count is not None and why.count >= 3
        assert score.points == 100 // (why.count + 1)
        assert sum(reason.points or 0 for reason in score.reasons) == score.points
        assert score.grade == "cold"


def test_a_budget_that_is_enough_for_all_lets_all_be_hot() -> None:
    without = run(make(partners=0), stream(), 64)
    assert run(make(budget=100_000), stream(), 64) == without


@pytest.mark.parametrize("seed", [5, 6, 7])
def test_however_frames_are_cut_the_same_viewers_are_grouped(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Crowded, so that many events lie between two marks and are taken at once."""
    events = [msgspec.structs.replace(each, at=each.at // 40) for each in stream(seed=seed)]
    monkeypatch.setattr(engine_module, "FEW", 10**9)
    one = make()
    expected = run(one, events, 50), one.images()["engine"].meta["crowd"], one.grouped
    assert one.grouped > 0
    for few, size in ((0, 10_000), (0, 37), (3, 11), (24, 200), (24, 1)):
        monkeypatch.setattr(engine_module, "FEW", few)
        other = make()
        assert (run(other, events, size), other.images()["engine"].meta["crowd"], other.grouped) == expected


def test_an_image_taken_anywhere_changes_nothing() -> None:
    events = stream()
    whole = make()
    expected = run(whole, events, 20)
    for cut in (137, 301, 422, 505):
        attic = MemoryAttic()  # beside the images, as the daemon's on the disk
        before, after = make(attic), make(attic)
        told = run(before, events[:cut], 20)
        images = before.images()
        meta = msgspec.json.decode(msgspec.json.encode(images["engine"].meta))
        after.load(images | {"engine": replace(images["engine"], meta=meta)})
        told += run(after, events[cut:], 20)
        assert (told, after.grouped) == (expected, whole.grouped)


Found = tuple[list[str], list[tuple[int, LeadGrouped]]]


def leads_and_groups(to: Engine, events: list[Event], size: int, first: int = 0) -> Found:
    """Apply events in frames of a size; return whoever became a lead, and who of them was found in a group behind which of all events."""
    leads: list[str] = []
    grouped: list[tuple[int, LeadGrouped]] = []
    for start in range(0, len(events), size):
        effects = to.apply(frame_of(events[start : start + size]))
        leads += [lead.viewer for lead in effects.leads]
        grouped += [(first + start + position, each) for position, each in effects.grouped]
    return leads, grouped


@pytest.mark.parametrize("seed", [6, 7, 8])
def test_who_was_a_lead_before_the_group_was_found_is_told_the_same_in_any_frames(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crowd's first viewers are hot before anybody can know; what is told of them is a fact of the journal's order alone."""
    events = stream(seed=seed)
    leads, grouped = expected = leads_and_groups(make(), events, 64)
    viewers = [each.viewer for _, each in grouped]
    assert len(viewers) == len(set(viewers)) >= 3
    assert all(viewer.startswith("paid") and viewer in leads for viewer in viewers)
    for position, each in grouped:
        assert each.lead == lead_id("test", "r1", _session_of(events), each.viewer)
        assert each.others >= 3
        assert events[position].at <= each.at, "a mark is behind the event before it"
    for size in (1, 7, 10_000):
        assert leads_and_groups(make(), events, size) == expected
    monkeypatch.setattr(kernel, "compiled", None)
    for size in (3, 200):
        assert leads_and_groups(make(), events, size) == expected


def _session_of(events: list[Event]) -> str:
    other = make()
    other.apply(frame_of(events[:1]))
    [room] = other.rooms
    assert room.sessions.current is not None
    return room.sessions.current.id


@pytest.mark.parametrize("cut", [137, 197, 260, 330])
def test_who_was_a_lead_before_the_group_was_found_is_told_after_a_start_from_an_image(cut: int) -> None:
    events = stream(seed=8)
    leads, grouped = leads_and_groups(make(), events, 20)
    attic = MemoryAttic()
    before, after = make(attic), make(attic)
    begun = leads_and_groups(before, events[:cut], 20)
    images = before.images()
    meta = msgspec.json.decode(msgspec.json.encode(images["engine"].meta))
    after.load(images | {"engine": replace(images["engine"], meta=meta)})
    rest = leads_and_groups(after, events[cut:], 20, cut)
    assert (begun[0] + rest[0], begun[1] + rest[1]) == (leads, grouped)


def test_a_lead_that_a_group_makes_is_not_told_of_twice() -> None:
    """Whoever is found in the group as they turn hot has it among the reasons of their lead."""
    effects = make(budget=100_000).apply(frame_of(stream(seed=8)))
    said = {
        lead.viewer for lead in effects.leads if any(reason.name == SAME_WORDS for reason in lead.reasons)
    }
    grouped = {each.viewer for _, each in effects.grouped}
    assert said and grouped and not said & grouped


def test_staff_are_no_partners() -> None:
    """Assistants say the same things all evening, and a viewer who repeats them is no crowd."""
    events = [
        msgspec.structs.replace(each, staff=True)
        if each.viewer != "paid0" and (each.viewer or "").startswith("paid")
        else each
        for each in stream()
    ]
    assert paid_of(run(make(), events, 64)) == paid_of(run(make(partners=0), events, 64))


def test_whoever_writes_one_line_a_thousand_times_stops_nothing(each_way: str) -> None:
    """The number of ways to choose half of two thousand comments is above what a float holds."""
    said = [(f"bot{number}", text) for number in range(5) for text in SCRIPT[:2] * 1_000]
    crowd = heard(said)
    assert crowd.partners_of(0, "bot0") == 4


@pytest.mark.parametrize("seed", range(6))
def test_the_compiled_crowd_is_that_of_python(
    kernel_present: None, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(module, "GENERATION", 400)
    monkeypatch.setattr(module, "SPEAKERS", 8)
    dice = random.Random(seed)
    said = [(dice.randrange(3), *line) for line in own_words(150, seed)]
    said += [(dice.randrange(2), *line) for number in range(12) for line in script_of(number, seed)]
    dice.shuffle(said)
    compiled = Crowd(CrowdRules(partners=2))
    with monkeypatch.context() as patch:
        patch.setattr(kernel, "compiled", None)
        python = Crowd(CrowdRules(partners=2))
    grouped = 0
    while said:
        part = [said.pop() for _ in range(min(len(said), dice.randrange(1, 40)))]
        sessions, viewers, texts = ([*column] for column in zip(*part, strict=True))
        # Alike and yet not the same: the near halves meet now and then.
        sketches = [sketch ^ (dice.randrange(3) << 24) for sketch in sketches_of(texts)]
        for crowd in (compiled, python):
            crowd.hear(sessions, viewers, sketches)
        assert compiled.state() == python.state()
        for session, viewer in zip(sessions, viewers, strict=True):
            just_said = sketches[:2] if dice.random() < 0.3 else []
            found = compiled.partners_of(session, viewer, just_said)
            assert found == python.partners_of(session, viewer, just_said)
            grouped += found > 0
    assert grouped


def test_a_lead_of_a_grouped_viewer_says_so() -> None:
    """Where a group may have more points some of it turn hot all the same, and the lead centre suspects them by this reason."""
    made = {budget: make(budget=budget).apply(frame_of(stream())).leads for budget in (100, 1_000)}
    said = {
        budget: {lead.viewer for lead in leads if any(reason.name == SAME_WORDS for reason in lead.reasons)}
        for budget, leads in made.items()
    }
    assert said[100] == set()
    assert len(said[1_000]) >= 3 and all(viewer.startswith("paid") for viewer in said[1_000])


def looks(events: list[Event], size: int) -> list[tuple[str, int, float]]:
    """Return who was looked at, when, and what the model was told of their words, where nobody can turn hot."""
    under_test = Engine(
        EngineOptions(report_learning=True),
        Policy(hot=1_000),
        Learner(ModelOptions(), window_ms=120_000),
    )
    told = [
        served
        for start in range(0, len(events), size)
        for served in under_test.apply(frame_of(events[start : start + size])).served
    ]
    said = NAMES.index("same_words")
    return [
        (viewer, at, round(float(np.expm1(row[said])), 3))
        for each in told
        for viewer, at, row in zip(each.viewers, each.served_at.tolist(), each.inputs, strict=True)
    ]


def test_the_model_is_told_of_a_group_whose_members_are_only_warm() -> None:
    """Four points short of hot a hired viewer looked like the best of customers, and led the list by probability."""
    found = looks(stream(), 64)
    last = {viewer: others for viewer, _, others in found}
    paid = [others for viewer, others in last.items() if viewer.startswith("paid")]
    assert len(paid) == 10
    assert sum(others >= 3 for others in paid) >= 7
    assert {others for viewer, others in last.items() if viewer.startswith("honest")} == {0.0}


def test_who_wrote_from_the_script_while_cold_is_judged_once_clicks_make_them_warm() -> None:
    """A script that writes first and clicks afterwards would else go unseen: nothing is said any more."""
    said = [
        event("comment", 10 * line + number, viewer=f"paid{number}", text=text)
        for line, text in enumerate(SCRIPT)
        for number in range(10)
    ]
    clicked = [
        event(kind, 600 + number, viewer=f"paid{number}")
        for number in range(10)
        for kind in ("product_click", "cart_add")
    ]
    later = [event("like", 900 + number, viewer=f"paid{number}") for number in range(10)]
    alone = [
        event("comment", 20 * number, viewer=f"honest{number}", text=text)
        for number, (_, text) in enumerate(own_words(20))
    ]
    found = looks(
        sorted(
            [*said, *alone, *clicked, *later, event("tick", 1_000, viewer=None)], key=lambda each: each.at
        ),
        64,
    )
    assert {viewer: others for viewer, _, others in found if viewer.startswith("paid")} == {
        f"paid{number}": 9.0 for number in range(10)
    }


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_who_is_judged_when_looked_at_is_judged_the_same_in_any_frames(size: int) -> None:
    assert looks(stream(), size) == looks(stream(), 64)
