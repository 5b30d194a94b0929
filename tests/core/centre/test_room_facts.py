"""What happened in rooms: the same counts wherever frames are cut and whenever the daemon starts again, and memory that is bounded."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from frontrow.core import facts as words
from frontrow.core.centre import room_facts, sketch
from frontrow.core.centre.room_facts import FactsRow, Place, RoomFacts
from frontrow.core.events import Event
from frontrow.core.frames import Frame

START = 1_750_000_000_000
HOUR = 3_600_000
KINDS = (
    "enter", "leave", "stay", "comment", "like", "gift", "product_click", "cart_add", "form_submit", "room_stats", "room_start",
    "room_end", "host_change", "follow", "tick", "lead_claim",
)  # fmt: skip


class Kept:
    """Where the counts are written, as the database does it."""

    def __init__(self) -> None:
        self.rows: dict[Place, FactsRow] = {}
        self.memories: dict[tuple[str, str, str], bytes] = {}

    def save(self, facts: RoomFacts) -> None:
        for session in facts.sessions():
            session.found({place: self.rows[place] for place in session.missing() if place in self.rows})
            self.rows.update(session.rows())
        for key, body in facts.memories().items():
            if body is None:
                self.memories.pop(key, None)
            else:
                self.memories[key] = body
        facts.written()

    def again(self) -> RoomFacts:
        """Who counts after a restart."""
        facts = RoomFacts()
        facts.load(self.memories.items())
        return facts


def event(number: int, kind: str, at: int, **fields: Any) -> Event:
    fields = {"platform": "douyin", "room": "r1"} | fields
    return Event(id=f"e{number}", kind=kind, at=at, **fields)


def stream(seed: int, count: int) -> tuple[list[Event], list[int]]:
    """Hours of three rooms, with silences, late events, named and unnamed sessions, several hosts, staff and tests."""
    chance = random.Random(seed)
    now, events, facts = START, [], []
    for number in range(count):
        now += chance.choice([100, 2_000, 30_000, 90_000]) if chance.random() < 0.99 else 3 * HOUR
        kind = chance.choice(KINDS)
        room = chance.choice(["r1", "r1", "r2", "r3"])
        late = chance.choice([0, 0, 0, 50, 4_000, 600_000]) if chance.random() < 0.99 else 5 * HOUR
        events.append(
            event(
                number,
                kind,
                now - late,
                seen_at=now,
                room=room,
                session=chance.choice(["a", "b"]) if room == "r2" and number % 7 else None,
                viewer=None if kind.startswith("room") else f"v{chance.randrange(40)}",
                staff=True if chance.random() < 0.05 else None,
                test=chance.random() < 0.02,
                text="?" if kind == "comment" else None,
                count=chance.choice([None, 3]),
                value=chance.choice([None, 100]),
                seconds=12.5 if kind == "stay" else None,
                viewers=chance.randrange(100) if kind == "room_stats" else None,
                host=chance.choice(["小雅", "阿明"]) if kind == "host_change" else None,
            )
        )
        facts.append(chance.choice([0, 0, words.PRICE, words.STOCK]) if kind == "comment" else 0)
    return events, facts


def counted(events: Sequence[Event], facts: Sequence[int], cuts: Sequence[int], *, restarts: bool) -> Kept:
    """Count a stream cut at these places, written now and then; with ``restarts`` by somebody new after each time."""
    kept, counter = Kept(), RoomFacts()
    ends = [*cuts, len(events)]
    for seq, (start, end) in enumerate(zip([0, *cuts], ends, strict=True), start=1):
        counter.take(seq, Frame.of(events[start:end], facts[start:end]))
        if seq % 3 == 0:
            kept.save(counter)
            counter = kept.again() if restarts else counter
    kept.save(counter)
    return kept


@pytest.mark.parametrize("seed", range(4))
def test_cuts_restarts_and_times_of_writing_change_no_count(seed: int) -> None:
    events, facts = stream(seed, 1_500)
    chance = random.Random(seed)
    whole = counted(events, facts, [], restarts=False)
    assert sum(row.counts["events"] for row in whole.rows.values()) > 1_000
    for restarts in (False, True):
        cuts = sorted(chance.sample(range(1, len(events)), 80))
        assert counted(events, facts, cuts, restarts=restarts).rows == whole.rows


def test_one_event_a_frame_counts_the_same_as_all_in_one() -> None:
    events, facts = stream(9, 400)
    whole = counted(events, facts, [], restarts=False)
    assert counted(events, facts, range(1, len(events)), restarts=False).rows == whole.rows


def test_a_frame_that_was_counted_before_is_passed_over() -> None:
    facts, frame = RoomFacts(), Frame.of([event(1, "like", START, viewer="a")])
    facts.take(1, frame)
    facts.take(1, frame)
    assert the_row(facts).counts["likes"] == 1


def rows_of(facts: RoomFacts) -> dict[Place, FactsRow]:
    kept = Kept()
    kept.save(facts)
    return kept.rows


def the_row(facts: RoomFacts) -> FactsRow:
    [row] = rows_of(facts).values()
    return row


def test_a_session_that_was_over_long_ago_leaves_memory_and_what_comes_late_is_added_to_it() -> None:
    kept, facts = Kept(), RoomFacts()
    facts.take(1, Frame.of([event(1, "like", START, viewer="a", session="s")]))
    facts.take(2, Frame.of([event(2, "tick", START + 5 * HOUR, platform="frontrow", room="clock")]))
    kept.save(facts)
    assert set(kept.memories) == {("", "", ""), ("douyin", "r1", "")}
    facts.take(3, Frame.of([event(3, "like", START, seen_at=START + 5 * HOUR, viewer="b", session="s")]))
    kept.save(facts)
    [row] = kept.rows.values()
    assert (row.counts["likes"], row.counts["viewers"]) == (2, 2)


def test_a_viewer_returns_who_was_in_an_earlier_session_in_memory_or_not() -> None:
    facts = RoomFacts()
    facts.take(1, Frame.of([event(1, "like", START, viewer="a", session="first")]))
    facts.take(
        2, Frame.of([event(2, "like", START + 60_000, viewer=name, session="second") for name in "ab"])
    )
    facts.take(3, Frame.of([event(3, "tick", START + 9 * HOUR, platform="frontrow", room="clock")]))
    facts.take(
        4, Frame.of([event(4, "like", START + 9 * HOUR, viewer=name, session="third") for name in "bc"])
    )
    rows = {place.session: row.counts for place, row in rows_of(facts).items()}
    told = {session: (row["viewers"], row["returners"]) for session, row in rows.items()}
    assert told == {"first": (1, 0), "second": (2, 1), "third": (2, 1)}


def test_viewers_beyond_the_bound_are_not_told_apart_and_their_events_are_counted_as_such(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room_facts, "MOST_VIEWERS", 3)
    facts = RoomFacts()
    facts.take(1, Frame.of([event(n, "like", START + n, viewer=f"v{n % 5}") for n in range(10)]))
    row = the_row(facts).counts
    assert (row["viewers"], row["likes"], row["overflow"]) == (3, 10, 4)


def test_who_was_here_before_is_kept_in_two_generations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_facts, "MOST_KNOWN", 2)
    facts = RoomFacts()
    for day in range(4):
        at = START + day * 24 * HOUR
        frame = [
            event(10 * day + n, "like", at + n, viewer=f"day{day}-{n}", session=f"s{day}") for n in range(3)
        ]
        facts.take(day + 1, Frame.of(frame))
    last = [event(99, "like", START + 96 * HOUR, viewer=f"day{day}-0", session="last") for day in range(4)]
    facts.take(9, Frame.of(last))
    [row] = [row for place, row in rows_of(facts).items() if place.session == "last"]
    assert (
        row.counts["returners"] == 1
    )  # of each day three came, more than one generation: the last day's alone are known


def test_duplicates_are_counted_of_what_was_heard_and_of_nothing_that_comes_from_the_journal() -> None:
    live, journal = RoomFacts(), RoomFacts()
    frame = Frame.of([event(1, "like", START, viewer="a")])
    live.take(1, frame, {("douyin", "r1"): 3, ("douyin", "nowhere"): 9})
    journal.take(1, frame)
    for facts, told in ((live, (4, 3)), (journal, (0, 0))):
        row = the_row(facts).counts
        assert (row["heard"], row["duplicates"]) == told


@pytest.mark.parametrize(("second", "answered"), [(180, 1), (181, 0)])
def test_a_question_is_answered_by_what_staff_writes_within_three_minutes(second: int, answered: int) -> None:
    facts = RoomFacts()
    said = [
        event(1, "comment", START, viewer="a", text="多少钱"),
        event(2, "comment", START + 1_000, viewer="b", text="我也想知道"),
        event(3, "comment", START + 1_000 * second, viewer="host", text="99", staff=True),
        event(4, "comment", START + 1_000 * second, viewer="host", text="真的", staff=True),
    ]
    facts.take(1, Frame.of(said, [words.PRICE, 0, 0, 0]))
    row = the_row(facts).counts
    assert (row["questions"], row["answered"], row["comments"]) == (1, answered, 2)


def test_a_host_has_the_viewers_who_came_to_them() -> None:
    facts = RoomFacts()
    change = event(2, "host_change", START + 2, host="阿明")
    facts.take(1, Frame.of([event(1, "like", START, viewer="a"), change, event(3, "like", START + 3, viewer="a"),
                            event(4, "product_click", START + 4, viewer="b")]))  # fmt: skip
    rows = {place.host: row.counts for place, row in rows_of(facts).items()}
    told = {host: (row["viewers"], row["likes"], row["clickers"]) for host, row in rows.items()}
    assert told == {"": (1, 1, 0), "阿明": (1, 1, 1)}


def test_quantiles_of_a_sketch_are_right_to_two_percent_and_do_not_care_how_it_was_put_together() -> None:
    chance = random.Random(3)
    times = [round(chance.lognormvariate(7, 2)) for _ in range(2_000)]
    parts = [as_sketch(times[:700]), as_sketch(times[700:])]
    together = sketch.merged(parts)
    assert together == sketch.merged([as_sketch(times)])
    for share in (0.01, 0.5, 0.9, 0.99, 1.0):
        exact = sorted(times)[round(share * 2_000) - 1]
        found = sketch.quantile(together, share)
        assert found == pytest.approx(exact, rel=sketch.ACCURACY, abs=1)
    assert sketch.quantile({}, 0.5) is None


def as_sketch(times: Sequence[int]) -> Mapping[str, int]:
    return sketch.as_json(sketch.counted(np.array(times, np.int64)))
