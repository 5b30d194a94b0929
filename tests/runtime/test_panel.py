"""What a panel is sent: the true list, made anew only where a person would see a difference."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pytest

from frontrow.core.engine import Engine, ViewerScore
from frontrow.core.events import Event, RoomRef
from frontrow.core.frames import Frame
from frontrow.runtime.panel import DELTA_EVERY_S, REASONS_EVERY_S, REFRESH_EVERY_S, Panels, Subscription
from frontrow.runtime.people import MAX_NAME, MAX_WORDS, People
from frontrow.runtime.pipeline import Applied
from tests.support.clock import ManualClock, settle
from tests.support.rooms import ROOM, START, engine, event, facts_of

OTHER = RoomRef(id="other", platform="test", room="r2")
ROWS = 5
SEEN = ("viewer", "name", "grade", "points", "last_at", "hot_at", "lead", "words")


class CountingEngine:
    """Counts the rows whose reasons are read; everything else is the engine's."""

    def __init__(self, real: Engine) -> None:
        self._real = real
        self.reasons_read = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def scores(
        self, rows: Sequence[int], at: int, *, reasons: bool = True, features: bool = True
    ) -> list[ViewerScore]:
        self.reasons_read += len(rows) if reasons else 0
        return self._real.scores(rows, at, reasons=reasons, features=features)


@dataclass
class Client:
    """A host's page: holds what it was shown, by viewer."""

    panel: Subscription
    shown: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows_sent: int = 0

    def read(self) -> None:
        while self.panel._queue:
            message = orjson.loads(self.panel._queue.popleft())
            if message["type"] == "snapshot":
                self.shown.clear()
            for row in message.get("viewers", ()):
                self.shown[row["viewer"]] = row
                self.rows_sent += 1
            for viewer in message.get("gone", ()):
                del self.shown[viewer]


class Stage:
    """An engine with panels over it, without tasks: time and deltas in the test's hand."""

    def __init__(self) -> None:
        self.clock = ManualClock(START)
        self.engine = CountingEngine(engine())
        self.people = People()
        self.dropped = 0
        self.settled = True  # whether all that was applied is durable
        self.panels = Panels(
            engine=self.engine,  # type: ignore[arg-type]  # is one in all that matters
            people=self.people,
            clock=self.clock,
            rooms=[ROOM, OTHER],
            rows=ROWS,
            feeds=lambda _room: (),
            dropped=lambda _room: self.dropped,
            settled=lambda: self.settled,
        )

    def apply(self, *events: Event) -> None:
        effects = self.engine.apply(Frame.of(events, facts_of(events)))
        self.people.note(effects.kept, effects.rows)
        self.panels.durable([Applied(effects.kept, effects, (), self.clock.now())])

    def open(self, room: RoomRef = ROOM) -> Client:
        return Client(self.panels.subscribe(room.id, None))

    async def delta(self, after: float = DELTA_EVERY_S, room: RoomRef = ROOM) -> None:
        await self.clock.advance(after)
        self.panels._send_delta(self.panels._channels[room.id])


def seen(rows: Sequence[dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
    return {row["viewer"]: tuple(row[name] for name in SEEN) for row in rows}


async def test_whatever_happens_a_client_has_the_list_that_a_newcomer_would_get() -> None:
    stage, dice = Stage(), random.Random(7)
    client = stage.open()
    kinds = ("like", "comment", "form_submit", "product_click", "cart_add", "lottery_join", "enter")
    for step in range(300):
        after = step * DELTA_EVERY_S
        stage.apply(
            *(
                event(
                    dice.choice(kinds),
                    after,
                    viewer=f"v{dice.randrange(60)}",
                    id=f"{step}-{n}",
                    room=dice.choice(("r1", "r1", "r2")),
                    text=dice.choice(("多少钱", "好看")),
                    name=f"n{step}",
                    staff=True if dice.random() < 0.002 else None,
                )
                for n in range(dice.randrange(6))
            )
        )
        await stage.delta()
        client.read()
        assert seen(list(client.shown.values())) == seen(stage.panels.viewers(ROOM.id, ROWS)), step
    assert len(client.shown) == ROWS


async def test_a_row_in_which_nothing_changed_is_neither_made_nor_sent_again() -> None:
    stage = Stage()
    client = stage.open()
    stage.apply(*(event("form_submit", 0, viewer=f"v{n}") for n in range(ROWS)))
    await stage.delta()
    client.read()
    sent, read = client.rows_sent, stage.engine.reasons_read
    stage.apply(event("like", 0.2, viewer="v2"))
    await stage.delta(REASONS_EVERY_S + 0.1)
    client.read()
    assert (client.rows_sent - sent, stage.engine.reasons_read - read) == (1, 1)


async def test_reasons_are_read_at_once_when_points_change_and_seldom_otherwise() -> None:
    stage = Stage()
    client = stage.open()
    stage.apply(event("form_submit", 0))
    await stage.delta()
    read = stage.engine.reasons_read
    for n in range(1, 5):
        stage.apply(event("like", n / 10))
        await stage.delta()
    client.read()
    assert stage.engine.reasons_read == read
    assert client.shown["v1"]["last_at"] == START + 400
    stage.apply(event("product_click", 0.5))
    await stage.delta()
    client.read()
    assert [each["name"] for each in client.shown["v1"]["reasons"]] == ["form_submit", "product_click"]


async def test_the_whole_room_is_looked_at_again_from_time_to_time() -> None:
    """Rows that nobody touched may have changed: numbers fade."""
    stage = Stage()
    stage.open()
    stage.apply(*(event("form_submit", 0, viewer=f"v{n}") for n in range(ROWS)))
    await stage.delta()
    read = stage.engine.reasons_read
    await stage.delta(REFRESH_EVERY_S)
    assert stage.engine.reasons_read - read == ROWS


async def test_an_event_of_another_room_changes_nothing_here() -> None:
    stage = Stage()
    client = stage.open()
    stage.apply(event("form_submit", 0), event("form_submit", 0, viewer="w", room="r2"))
    await stage.delta()
    client.read()
    assert set(client.shown) == {"v1"}


async def test_only_what_was_dropped_in_this_session_is_told() -> None:
    stage = Stage()
    stage.apply(event("like", 0, session="one"))
    stage.dropped = 3
    assert stage.panels.state(ROOM.id)["dropped"] == 3
    stage.apply(event("like", 1, session="two"))
    assert stage.panels.state(ROOM.id)["dropped"] == 0
    stage.dropped = 5
    assert stage.panels.state(ROOM.id)["dropped"] == 2


async def test_why_tells_of_viewers_of_the_present_session_alone() -> None:
    stage = Stage()
    assert stage.panels.why(ROOM.id, "v1") is None  # no session yet
    stage.apply(
        event("form_submit", 0, session="one"),
        event("form_submit", 0, viewer="w", room="r2"),
        event("form_submit", 0, viewer="moderator", staff=True, session="one"),
    )
    found = stage.panels.why(ROOM.id, "v1")
    assert found is not None
    assert (found.session, found.points, found.state, found.probability) == ("one", 50, "off", None)
    staff = stage.panels.why(ROOM.id, "moderator")
    assert staff is not None
    assert (staff.state, staff.points, staff.rules) == ("staff", 0, [])
    assert stage.panels.why(ROOM.id, "w") is None
    assert stage.panels.why(OTHER.id, "w") is not None
    stage.apply(event("like", 10, viewer="v2", session="two"))
    assert stage.panels.why(ROOM.id, "v1") is None
    with pytest.raises(KeyError):
        stage.panels.why("nowhere", "v1")


# ---------------------------------------------------------------- people


def noted(*events: Event, rows: Sequence[int]) -> People:
    people = People()
    people.note(Frame.of(events, facts_of(events)), np.array(rows, np.int64))
    return people


def test_the_last_name_and_the_last_words_that_mattered_are_kept() -> None:
    people = noted(
        event("comment", 0, text="多少钱", name="小丑鱼"),
        event("comment", 1, text="好看", name="大白鲨"),
        event("like", 2),
        rows=[3, 3, 3],
    )
    assert (people.name(3), people.words(3)) == ("大白鲨", "多少钱")
    assert (people.name(2), people.words(2), people.name(4), people.name(-1)) == (None, None, None, None)


def test_an_event_without_a_viewer_names_nobody() -> None:
    people = noted(event("like", 0, viewer=None, name="nobody"), event("like", 1, name="a"), rows=[-1, 0])
    assert (people.name(0), people.name(1)) == ("a", None)


def test_a_row_that_is_free_knows_nothing_of_who_had_it() -> None:
    people = noted(event("comment", 0, text="多少钱", name="小丑鱼"), rows=[0])
    people.free([0, 7])
    assert (people.name(0), people.words(0)) == (None, None)


def test_names_and_words_are_bounded() -> None:
    people = noted(event("comment", 0, text="多少钱" * 1_000, name="很" * 200), rows=[0])
    assert (len(people.name(0) or ""), len(people.words(0) or "")) == (MAX_NAME, MAX_WORDS)


async def test_what_is_not_durable_yet_is_shown_to_nobody() -> None:
    """A lead on the panel that a crash then takes back would be a promise broken before the host's eyes."""
    stage = Stage()
    client = stage.open()
    showing = asyncio.ensure_future(stage.panels.run())
    await settle()
    stage.settled = False
    effects = stage.engine.apply(Frame.of([event("form_submit", 0)], [0]))
    asked = asyncio.ensure_future(stage.panels.when_settled(lambda: stage.panels.viewers(ROOM.id, ROWS)))
    await stage.clock.advance(2 * REFRESH_EVERY_S)
    client.read()
    assert (client.shown, asked.done()) == ({}, False)
    stage.settled = True
    stage.panels.durable([Applied(effects.kept, effects, (), stage.clock.now())])
    client.read()
    assert list(client.shown) == ["v1"]
    assert [row["viewer"] for row in await asked] == ["v1"]
    showing.cancel()


async def test_what_goes_wrong_in_an_answer_is_the_askers_and_not_the_pipelines() -> None:
    stage = Stage()
    stage.settled = False
    asked = asyncio.ensure_future(stage.panels.when_settled(lambda: 1 // 0))
    await settle()
    stage.panels.durable([])
    with pytest.raises(ZeroDivisionError):
        await asked
