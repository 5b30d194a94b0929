"""Many viewers at once or one event after another: the engine gives the same, to the bit.

A crowded stream with everything in it that makes the engine look closer (staff, fans, visits, orders, test data,
several sessions, late events, duplicates) is taken both ways, and in many cuts.
"""

import dataclasses
import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from frontrow.core import engine as module
from frontrow.core import kernel
from frontrow.core.attic import MemoryAttic
from frontrow.core.engine import Engine, EngineOptions
from frontrow.core.events import Event
from frontrow.core.frames import Frame
from frontrow.core.images import Image
from frontrow.core.outcomes import OutcomeRules
from frontrow.core.points import DEFAULT_RULES, Policy, Rule
from frontrow.core.ports import Attic
from frontrow_models.learner import Learner
from frontrow_models.online import ModelOptions
from tests.support.rooms import START, apply, event, facts_of

TEXTS = ("好看", "多少钱", "还有货吗 怎么买", "@主播 价格", "哈哈哈哈", "13812345678", "1", "有没有优惠 分期")
KINDS = (
    ("like", 30), ("comment", 30), ("enter", 18), ("gift", 4), ("product_click", 4), ("cart_add", 2), ("leave", 2),
    ("stay", 1), ("follow", 2), ("lottery_join", 2), ("order_paid", 1), ("form_submit", 1), ("hologram", 1),
    ("lead_note", 1), ("order_refunded", 1), ("lead_outcome", 1), ("room_stats", 1), ("product_on_show", 1), ("host_change", 1),
)  # fmt: skip


def crowd(seed: int, events: int = 1500, rooms: Sequence[str] = ("r1", "r1", "r1", "r2")) -> list[Event]:
    """Return a crowded stream: some thousand events within seconds, then a jump in time, and again."""
    dice = random.Random(seed)
    kinds, weights = zip(*KINDS, strict=True)
    found: list[Event] = []
    now = START
    fans = {f"v{number}" for number in range(0, 120, 5)}
    for number in range(events):
        now += dice.choices((0, 1, 3, 40, 700_000), (40, 30, 20, 3, 0.2))[0]
        kind = dice.choices(kinds, weights)[0]
        room = dice.choice(rooms)
        viewer: str | None = f"v{int(dice.random() ** 2 * 120)}"
        fields: dict[str, Any] = {}
        if kind == "comment":
            fields["text"] = dice.choice(TEXTS)
        elif kind == "like":
            fields["count"] = dice.choice((None, 1, 7))
        elif kind == "gift":
            fields["value"] = dice.choice((None, -5, 100, 10_000))
        elif kind == "stay":
            fields["seconds"] = dice.choice((3.0, 700.5, 1000.0))
        elif kind == "lead_outcome":
            fields["outcome"] = dice.choice(("not_interested", "ordered"))
        elif kind == "room_stats":
            viewer, fields["viewers"] = None, dice.randrange(10_000)
        elif kind == "product_on_show":
            viewer, fields["product"] = None, f"p{dice.randrange(3)}"
        elif kind == "host_change":
            viewer, fields["host"] = None, f"h{dice.randrange(3)}"
        elif dice.random() < 0.02:
            viewer = None
        if kind in ("product_click", "cart_add", "form_submit", "order_refunded") and number % 7:
            fields["product"] = f"p{number % 5}"
        if viewer in fans and dice.random() < 0.8:
            fields["fan"] = dice.random() < 0.9
        if dice.random() < 0.004:
            fields["staff"] = True
        if dice.random() < 0.01:
            fields["test"] = True
        if dice.random() < 0.01:
            fields["campaign"] = "c1"
        late = dice.choices((0, 2_000, 400_000), (90, 8, 2))[0]
        found.append(
            Event(
                id=f"e{number}" if dice.random() < 0.97 else f"e{dice.randrange(number + 1)}",
                platform="test",
                room=room,
                kind=kind,
                at=now - late,
                seen_at=now,
                session="s1" if room == "r2" and number % 900 < 600 else None,
                viewer=viewer,
                **fields,
            )
        )
    return found


STREAMS = {seed: crowd(seed) for seed in range(4)}
MANY_ROOMS = 4
ALL = STREAMS | {MANY_ROOMS: crowd(MANY_ROOMS, rooms=[f"r{number}" for number in range(40)])}
FACTS = {seed: facts_of(stream) for seed, stream in ALL.items()}


def make(options: dict[str, Any], policy: Policy | None, attic: Attic | None = None) -> Engine:
    """Return an engine whose model learns and whose sessions end within these short streams."""
    model = Learner(ModelOptions(warm_up=30, min_labels=10, min_positives=2), window_ms=20_000)
    times: dict[str, Any] = {
        "outcome": OutcomeRules(won=frozenset({"ordered"})),
        "horizon_ms": 120_000,
        "window_ms": 20_000,
        "snapshot_every_ms": 20_000,
        "silence_ms": 600_000,
        "idle_ms": 60_000,
    }
    return Engine(EngineOptions(**times, **options), policy or Policy(), model, attic=attic)


def run(under_test: Engine, seed: int, start: int, end: int, size: int) -> list[Any]:
    """Apply part of a stream in frames of a size; return what was decided."""
    told: list[Any] = []
    stream, facts = ALL[seed], FACTS[seed]
    for begin in range(start, end, size):
        part = slice(begin, min(end, begin + size))
        told += under_test.apply(Frame.of(stream[part], facts[part])).leads
    return told


def state_of(under_test: Engine, told: list[Any], viewers: bool = True) -> bytes:
    """Return all that is decided, shown, served or learnt."""
    lines: dict[str, Any] = {}
    for room in under_test.rooms:
        for session in room.sessions:
            for score in under_test.scores(session.rows.tolist() if viewers else [], under_test.now):
                what = (
                    score.points,
                    score.grade,
                    score.probability,
                    score.reasons,
                    score.hot_at,
                    score.last_at,
                    under_test.viewers.chosen(score.row),
                )
                lines[f"{room.room}/{session.id}/{score.viewer}"] = what
            lines[f"{room.room}/{session.id}"] = (session.started_at, session.last_at, session.rate)
    model = under_test.model
    assert model is not None and model.labels + len(under_test.labels) > 20
    return msgspec.json.encode([told, sorted(lines.items()), model.state(), len(under_test.labels)])


def outcome_of(seed: int, size: int, options: dict[str, Any], policy: Policy | None) -> bytes:
    """Run a stream in frames of a size; return all that came of it."""
    under_test = make(options, policy)
    told = run(under_test, seed, 0, len(ALL[seed]), size)
    assert told and under_test.rows > 100
    return state_of(under_test, told)


@pytest.mark.parametrize("seed", ALL)
@pytest.mark.parametrize("grade_by", ["points", "points_or_probability"])
def test_many_at_once_gives_the_same_as_one_after_another(
    seed: int, grade_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"grade_by": grade_by, "hot_probability": 0.3, "exploration": 0.4, "exploration_points": 50}
    compiled = kernel.compiled
    monkeypatch.setattr(kernel, "compiled", None)
    monkeypatch.setattr(module, "FEW", 10**9)
    each = outcome_of(seed, 512, options, None)
    for few, size in ((0, 1500), (0, 97), (24, 512), (24, 1024), (3, 11)):
        monkeypatch.setattr(module, "FEW", few)
        assert outcome_of(seed, size, options, None) == each
    monkeypatch.setattr(kernel, "compiled", compiled)
    for size in (1500, 97, 512, 11, 1) if compiled else ():
        assert outcome_of(seed, size, options, None) == each


def test_who_is_kept_where_too_many_wait_is_the_same_in_any_cut() -> None:
    options = {"snapshot_bound": 40}
    under_test = make(options, None)
    run(under_test, 2, 0, len(STREAMS[2]), 512)
    assert under_test.labels.passed_over > 50
    assert outcome_of(2, 1500, options, None) == outcome_of(2, 13, options, None)


@pytest.mark.parametrize("seed", STREAMS)
def test_a_policy_whose_points_can_fall_gives_the_same_in_any_cut(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a policy is taken event by event; nothing of it may depend on the cut either."""
    rules = (*DEFAULT_RULES, Rule(name="refund", signal="gift", points=-20, repeat=3))
    policy = Policy(rules=rules, hot=60, hot_leave=50)
    either_way = outcome_of(seed, 1500, {}, policy)
    assert either_way == outcome_of(seed, 13, {}, policy)
    monkeypatch.setattr(kernel, "compiled", None)
    assert either_way == outcome_of(seed, 97, {}, policy)


@pytest.mark.usefixtures("each_way")
@pytest.mark.parametrize("rules", [(), (Rule(name="gone", signal="gift", points=7, per="day"),)])
def test_scores_by_column_are_those_of_objects(rules: tuple[Rule, ...]) -> None:
    """``crowd`` has staff, fans, long visits, questions and some who are hot by probability."""
    for seed, stream in STREAMS.items():
        options = {"grade_by": "points_or_probability", "hot_probability": 0.3}
        under_test = make(options, Policy(rules=(*DEFAULT_RULES, *rules)))
        run(under_test, seed, 0, len(stream), 512)
        viewers = under_test.viewers
        rows = [row for room in under_test.rooms for session in room.sessions for row in session.rows]
        viewers.alike.array[rows[::7]] = 3
        at_once = under_test.scores_as_json(rows, under_test.now)
        scores = under_test.scores(rows, under_test.now)
        assert at_once.viewers == [score.viewer for score in scores]
        assert at_once.points == [score.points for score in scores]
        assert at_once.grades == [score.grade for score in scores]
        assert at_once.probabilities == [score.probability if score.ready else None for score in scores]
        assert at_once.reasons == [msgspec.json.encode(score.reasons)[1:-1] for score in scores]
        assert {b"watched", b"same_words"} <= {
            reason.name.encode() for score in scores for reason in score.reasons
        }


def kept(images: dict[str, Image]) -> dict[str, Image]:
    """Return images as they come back from a file: JSON, bytes and texts, nothing shared."""
    return {
        name: Image(
            meta=msgspec.json.decode(msgspec.json.encode(image.meta)),
            arrays={key: array.copy() for key, array in image.arrays.items()},
            texts={key: list(texts) for key, texts in image.texts.items()},
        )
        for name, image in images.items()
    }


@pytest.mark.parametrize("seed", STREAMS)
@pytest.mark.parametrize("grade_by", ["points", "points_or_probability"])
def test_an_image_and_the_events_after_it_give_what_all_events_give(seed: int, grade_by: str) -> None:
    """A snapshot only shortens a restart: at whatever event it was taken, nothing else may come of the stream."""
    options = {"grade_by": grade_by, "hot_probability": 0.3, "exploration": 0.4, "exploration_points": 50}
    whole = make(options, None)
    expected = state_of(whole, run(whole, seed, 0, len(STREAMS[seed]), 100))
    dice = random.Random(seed)
    for cut in sorted(dice.sample(range(len(STREAMS[seed])), 6)):
        before, after = make(options, None), make(options, None)
        told = run(before, seed, 0, cut, 64)
        after.load(kept(before.images()))
        told += run(after, seed, cut, len(STREAMS[seed]), 200)
        assert state_of(after, told) == expected


def test_an_image_without_viewers_can_be_gone_on_from() -> None:
    """As when everybody has left memory, or nobody has come yet, at the moment of a snapshot."""
    whole, after = make({}, None), make({}, None)
    expected = state_of(whole, run(whole, 1, 0, 200, 100))
    after.load(kept(make({}, None).images()))
    assert state_of(after, run(after, 1, 0, 200, 100)) == expected


@pytest.mark.parametrize("rules", [DEFAULT_RULES, (Rule(name="q", signal="question", points=50, half_life_s=60),
    Rule(name="d", signal="product_click", points=90, per="day"))])  # fmt: skip
def test_an_image_holds_whatever_a_policy_keeps(rules: tuple[Rule, ...]) -> None:
    policy = Policy(rules=rules)
    whole, before, after = make({}, policy), make({}, policy), make({}, policy)
    expected = state_of(whole, run(whole, 1, 0, 1500, 100))
    told = run(before, 1, 0, 800, 100)
    after.load(kept(before.images()))
    assert state_of(after, told + run(after, 1, 800, 1500, 100)) == expected


@pytest.mark.parametrize("seed", STREAMS)
@pytest.mark.parametrize("grade_by", ["points", "points_or_probability"])
def test_whoever_leaves_memory_comes_back_as_they_were(seed: int, grade_by: str) -> None:
    options = {"grade_by": grade_by, "hot_probability": 0.3, "exploration": 0.4, "exploration_points": 50}
    here = make(options, None)
    expected = run(here, seed, 0, len(STREAMS[seed]), 100)
    attic = MemoryAttic()
    gone = make(options, None, attic)
    assert run(gone, seed, 0, len(STREAMS[seed]), 100) == expected
    assert len(attic) > 20
    assert here.model is not None and gone.model is not None
    assert gone.model.state() == here.model.state()
    assert len(gone.viewers) < len(here.viewers)
    compared = 0
    for room in gone.rooms:
        other = here.room(room.platform, room.room)
        assert other is not None
        for session, twin in zip(room.sessions, other.sessions, strict=True):
            assert len(twin.rows) == len(session.rows) + session.away
            for mine in gone.scores(session.rows.tolist(), gone.now):
                row = here.viewers.directory.row_of(twin.number, mine.viewer)
                [its] = here.scores([row], here.now)
                assert dataclasses.replace(mine, row=its.row) == its
                compared += 1
    assert compared > 50


def test_a_sessions_viewers_are_forgotten_two_days_after_its_end() -> None:
    under_test = make({}, None)
    apply(under_test, event("like", 0), event("comment", 1, text="好看"), event("like", 3600, viewer="v2"))
    later = apply(under_test, event("like", 60 * 3600, viewer="v3"))
    assert (later.freed, under_test.rows) == ([0], 2), "the room's present session stays, however old"
    assert apply(under_test, event("like", 60 * 3600 + 1, viewer="v4")).rows.tolist() == [0]


def test_a_viewer_who_is_new_in_a_frame_gets_one_row_in_each_room() -> None:
    """However many of its first events lie in the frame, and whether or not others of the same name are elsewhere."""
    under_test = make({}, None)
    first = [
        event(
            "like",
            number / 1000,
            viewer=f"v{number % 7}",
            room=f"r{number % 3}",
            session="s1",
            id=f"a{number}",
        )
        for number in range(84)
    ]
    rows = apply(under_test, *first).rows.tolist()
    again = [msgspec.structs.replace(each, id=f"b{each.id}") for each in first]
    assert apply(under_test, *again).rows.tolist() == rows
    of_viewer = {(each.room, each.viewer): row for each, row in zip(first, rows, strict=True)}
    assert sorted(of_viewer.values()) == list(range(21)), "as many rows as pairs of a room and a viewer"
    assert [of_viewer[each.room, each.viewer] for each in first] == rows


def test_sessions_that_are_forgotten_together_give_all_their_rows_back() -> None:
    under_test = make({}, None)
    for hour in (0, 1):
        crowd = (
            event(
                "like",
                hour * 3600 + number / 1000,
                viewer=f"v{number % 10}",
                room=f"r{number % 4}",
                session=f"s{hour}",
            )
            for number in range(40)
        )
        apply(under_test, *crowd)
    assert under_test.rows == 2 * 20
    freed = apply(under_test, event("tick", 60 * 3600, viewer=None)).freed
    assert (sorted(freed), under_test.rows) == (list(range(20)), 20)
    assert [[len(session.rows) for session in room.sessions] for room in under_test.rooms] == [[5]] * 4
    back = apply(
        under_test, *(event("like", 60 * 3600 + 1 + number, viewer=f"n{number}") for number in range(30))
    )
    assert set(freed) <= set(back.rows.tolist()), "the numbers of free rows are used again first"
