"""Whatever stands in the journal, the lead centre goes on behind it, and keeps the same in every database."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frontrow.core.centre.centre import PLATFORM, RELEVANT, ROOM
from frontrow.core.events import LATEST_MS, MAX_NAME, MAX_VALUE, Event
from frontrow.core.frames import Frame
from frontrow.core.leads import Lead
from frontrow.storage.centre import tables
from frontrow.storage.centre.book import TABLES
from tests.support.centre import MINUTE, START, Scene, hot_lead

VIEWERS = ["v1", "v2", "ａ", "🐟" * MAX_NAME]
PHONES = ["0" * 32, "f" * 32]
TEXTS = [
    "",
    "\0",
    "a\0b",
    "li",
    "wang",
    "chen",
    "hz-a",
    "won",
    "多" * MAX_NAME,
    "x" * 4_000,
    "\u202e'\";--",
    "{holder}",
]
NUMBERS = [
    0,
    -1,
    1,
    MAX_VALUE,
    START,
    LATEST_MS + 1,
    2**63,
    -(2**63) - 1,
    2**70,
    0.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
]
IDENTITIES: list[Any] = [
    *({"kind": "viewer:douyin", "key": viewer} for viewer in VIEWERS),
    *({"kind": "phone", "key": phone} for phone in PHONES),
    {"kind": "viewer:" + "🐟" * 300, "key": "v"}, {"kind": "viewer:douyin", "key": "🐟" * 512}, {"kind": "crm", "key": "\0"},
    {"kind": "wecom", "key": "🐟" * 512}, {"kind": "viewer:" + "多" * MAX_NAME, "key": "多" * MAX_NAME}, "v1", {}, {"kind": 1, "key": []},
]  # fmt: skip
_junk = st.recursive(
    st.none() | st.booleans() | st.sampled_from(TEXTS) | st.sampled_from(NUMBERS) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["", "\0", "a"]), inner, max_size=2)
    ),
    max_leaves=4,
)
# Mostly what could be meant, so that it comes further than the first check.
_KEYS: dict[str, list[Any]] = {
    "by": ["li", "chen"], "seller": ["li", "wang"], "stage": ["contacted", "won", "lost"], "decision": ["approve", "reject", "accept", "reopen"],
    "loss_reason": ["price"], "follow_up_at": [START + MINUTE, 0, LATEST_MS], "channel": ["call"], "direction": ["in", "out"],
    "seconds": [12], "answered": [True, False], "team": ["hz-a"], "pool": ["public"], "purpose": ["contact", "x" * 64, "x" * 65],
    "task": ["t"], "state": ["decided"], "intent": ["yes", "no"], "a": IDENTITIES, "b": IDENTITIES, "identity": IDENTITIES,
    "identities": [IDENTITIES[:2], IDENTITIES], "source": ["form"], "confidence": [1.0, 0], "given": [True, False],
    "link": ["frontrow/centre/e0", "frontrow/centre/e1"], "phone": PHONES, "country": ["CN"], "province": ["浙江"], "city": ["杭州"],
    "company": [True], "referred_by": ["x"], "policy": [{}], "units": [[]], "sellers": [[]], "replace": [False], "reason": ["x"],
    "plan": ["p"], "step": [0], "rows": [[]], "rule": ["r"], "customer": ["C1"], "at": [START],
}  # fmt: skip
_data = st.none() | st.dictionaries(st.sampled_from(sorted(_KEYS)), st.none(), min_size=1, max_size=14).flatmap(
    lambda keys: st.fixed_dictionaries({
        key: st.one_of(*([st.sampled_from(_KEYS[key])] * 4), _junk) for key in keys
    })
)  # fmt: skip
_name = st.none() | st.sampled_from([text for text in TEXTS if len(text) <= MAX_NAME])


def _event(kind: str, number: int, at: int, place: str, **rest: Any) -> Event:
    platform, room = (PLATFORM, ROOM) if place == "centre" else ("douyin", "r1")
    return Event(
        id=f"e{number}", platform=platform, room=room, kind=kind, at=START + at, seen_at=START + at, **rest
    )


# An event, and whether a viewer turns hot behind it. What it is said of is chosen when it is applied: who has a lead
# by then.
_steps: st.SearchStrategy[list[tuple[dict[str, Any], Any, str | None]]] = st.lists(
    st.tuples(
        st.builds(
            dict,
            kind=st.sampled_from(
                [*sorted(RELEVANT), "tick", "form_submit", "lead_claim", "lead_outcome", "lead_stage"]
            ),
            at=st.sampled_from([0, 1, MINUTE, 10 * MINUTE, 40 * 24 * 60 * MINUTE]),
            place=st.sampled_from(["room", "room", "centre"]),
            viewer=st.sampled_from([None, *VIEWERS]),
            name=_name,
            consent=st.sampled_from([None, True, True]),
            form=_name,
            fields=st.none()
            | st.just({"sealed": "c2", "masked": "138\0"})
            | st.dictionaries(st.just("masked"), _junk),
            product=_name,
            campaign=_name,
            host=_name,
            order=_name,
            seller=st.sampled_from([None, "li", "wang", "chen", "\0", "多" * MAX_NAME]),
            outcome=st.sampled_from([None, "no_answer", "interested", "won", "wrong_number", "\0"]),
            value=st.sampled_from([None, 0, -MAX_VALUE, MAX_VALUE]),
            note=st.sampled_from([None, "\0", "长" * 9]),
            data=_data,
        ),
        st.sampled_from([None, 0, 0, 1, 2, "none", "\0"]),
        st.sampled_from([None, None, *VIEWERS]),
    ),
    max_size=12,
)


class Pair:
    """One centre whose frames hold one event each, and one whose single frame holds all, each in a database of its own."""

    def __init__(self, one: str, all: str) -> None:
        self.urls = one, all

    def apply(self, steps: list[tuple[dict[str, Any], Any, str | None]]) -> list[dict[str, list[str]]]:
        """Apply steps and a last lead that must come through, and return what each database holds then."""
        scenes = [Scene(url=url) for url in self.urls]
        found: list[dict[str, list[str]]] = []
        try:
            frames: list[tuple[Frame, list[tuple[int, Lead]]]] = []
            now = 0
            for number, (about, lead, hot) in enumerate(steps):
                now += about["at"]
                known = scenes[0].leads()
                said = known[lead % len(known)].lead if isinstance(lead, int) and known else lead
                event = _event(
                    number=number, **{**about, "at": now}, lead=None if said is None else str(said)
                )
                made = (
                    []
                    if hot is None
                    else [hot_lead(hot, START + now, session=f"s{number}", product=about["product"])]
                )
                frames.append(self._say(scenes[0], event, made))
            last = hot_lead("last", START + now, session="last")
            frames.append(self._say(scenes[0], _event("tick", 99, now, "room"), [last]))
            joined = Frame.joined(frame for frame, _ in frames)
            scenes[1].book.begin()
            scenes[1].centre.apply(
                joined, [(at, lead) for at, (_, made) in enumerate(frames) for _, lead in made]
            )
            scenes[1].book.commit()
            for scene in scenes:
                assert scene.raw(last.lead).lead
                found.append(_decided(scene))
        finally:
            for scene in scenes:
                scene.book.roll_back()
                empty(scene.engine)
                scene.close()
        return found

    @staticmethod
    def _say(scene: Scene, event: Event, leads: list[Lead]) -> tuple[Frame, list[tuple[int, Lead]]]:
        frame, made = Frame.of([event]), [(0, lead) for lead in leads]
        scene.book.begin()
        scene.centre.apply(frame, made)
        scene.book.commit()
        return frame, made


def _decided(scene: Scene) -> dict[str, list[str]]:
    """All that was decided: what is shown of a viewer is what the frame holds, and frames are cut differently here."""
    found: dict[str, list[str]] = {}
    with scene.engine.connect() as db:
        for table in TABLES.values():
            shown = {"name", "words"} if table in (tables.leads, tables.raw_leads) else set()
            columns = [column for column in table.columns if column.name not in shown]
            found[table.name] = sorted(repr(tuple(row)) for row in db.execute(sa.select(*columns)))
    return found


def _differences(one: dict[str, list[str]], other: dict[str, list[str]]) -> list[str]:
    return [
        f"{sign} {name}: {row[:500]}"
        for name in one
        for sign, rows, others in (("-", one[name], other[name]), ("+", other[name], one[name]))
        for row in rows
        if row not in others
    ]


def empty(engine: sa.Engine) -> None:
    """Take everything out of a database, so that the next example finds it as it was made."""
    with engine.begin() as db:
        for table in tables.metadata.tables.values():
            db.execute(sa.delete(table))


@pytest.fixture
def pair(database: str, tmp_path: Path) -> Pair:
    return Pair(f"sqlite:///{tmp_path / 'one.db'}", database)


@given(steps=_steps)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.data_too_large], max_examples=14
)
def test_nothing_in_the_journal_stops_the_centre_and_every_database_keeps_the_same(
    pair: Pair, steps: list[tuple[dict[str, Any], Any, str | None]]
) -> None:
    """It would be stopped for ever: the same frame comes again at each start."""
    one, all = pair.apply(steps)
    assert _differences(one, all) == []
