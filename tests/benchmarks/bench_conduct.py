"""How well the signs of conduct part hired viewers and machines from customers, and what they cost.

Run: ``pytest -s -o addopts=--import-mode=importlib tests/benchmarks/bench_conduct.py`` (some five minutes of processor time). What
is looked at are *leads*: viewers whom the shipped points call hot. *Flagged*: a sign was seen of them by the end of
the stream, so the lead became Q0 and somebody was asked to look. The engine's own rule for crowds (ADR 17) has been
at work before: what is hot here has got past it.

*Shops*: three rooms of 1,200 viewers over four hours with a paid crowd of 20 % on top, of which the simulator knows who is who. It has no viewers
with a clock and none in lockstep: its bots and hired viewers act at random times, the latter eight times as often in
twenty seconds of each seven minutes. So two kinds are *planted* besides, in the same rooms: machines, each of which
clicks and fills its cart every 20 to 90 seconds with a tenth of that to and fro, and squads of 20 who only click,
within two seconds of each other, some 40 times in four hours. Since clicks alone make nobody hot, a form is planted
for each of them.

*Recordings*: every viewer with 8 acts or more is looked at as if there were a lead of them, which nobody there is. None is known to be a
machine, so each flag counts as a false alarm; where one line was written again and again that is what was written.
"""

import random
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from frontrow.app.parts import make_engine, make_lexicons
from frontrow.config import defaults
from frontrow.core.centre.conduct import CLOCKWORK, IN_STEP, ONE_LINE, SIGNS, Conduct, Finding
from frontrow.core.events import Event
from frontrow.core.frames import Frame
from frontrow.core.leads import Lead
from frontrow.core.preparing import Preparer
from frontrow_models.simulate import Scenario, busy_room, room_names, simulate
from tests.benchmarks.harness import table
from tests.benchmarks.twitch import read
from tests.support.centre import hot_lead

pytestmark = pytest.mark.timeout(1_800)

FRAME_EVENTS = 4_096
SEEDS = 7, 8, 9
ACTS = 8  # of a recorded viewer, at least
Applied = tuple[Frame, list[tuple[int, Lead]]]


def applied(events: Sequence[Event]) -> list[Applied]:
    """Return frames and the leads that the shipped points make of them."""
    config = defaults()
    lexicons = make_lexicons(config)
    preparer = Preparer(lexicons.of_room, lexicons.default, config.intents.phone_region)
    engine, found = make_engine(config), list[Applied]()
    for start in range(0, len(events), FRAME_EVENTS):
        frame = preparer.frame(events[start : start + FRAME_EVENTS])
        effects = engine.apply(frame)
        found.append((frame, list(zip(effects.lead_positions, effects.leads, strict=True))))
    return found


def looked(frames: Iterable[Applied]) -> list[Finding]:
    looks = Conduct()
    return [finding for seq, each in enumerate(frames, 1) for finding in looks.take(seq, *each)]


def planted(scenario: Scenario, seed: int) -> dict[str, list[Event]]:
    """Return the events of machines and of squads in lockstep, by viewer; the kind of each is the first letter of its id."""
    chance, found = random.Random(seed), dict[str, list[Event]]()
    for room in scenario.rooms:
        for number in range(20):
            viewer, every = f"m-{room}-{number}", chance.uniform(20, 90)
            at, acts = scenario.start + chance.randrange(3_600_000), list[Event]()
            while at < scenario.end and len(acts) < 200:
                acts.append(_event(viewer, room, at, ("product_click", "cart_add")[len(acts) % 2]))
                at += round(1_000 * every * chance.uniform(0.9, 1.1))
            found[viewer] = acts
        for squad in range(3):
            bursts = sorted(chance.randrange(scenario.start, scenario.end) for _ in range(40))
            for number in range(20):
                viewer = f"s-{room}-{squad}-{number}"
                found[viewer] = [
                    _event(viewer, room, burst + chance.randrange(2_000), "product_click")
                    for burst in bursts
                    if chance.random() < 0.9
                ]
    for viewer, acts in found.items():
        middle = acts[len(acts) // 2]
        acts.append(_event(viewer, middle.room, middle.at + 1, "form_submit"))
    return found


def _event(viewer: str, room: str, at: int, kind: str) -> Event:
    fields = {"form": "f", "consent": True} if kind == "form_submit" else {"product": "p"}
    return Event(
        id=f"{viewer}-{at}-{kind}",
        platform="sim",
        room=room,
        kind=kind,
        at=at,
        seen_at=at,
        viewer=viewer,
        **fields,
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_leads_of_a_shop_with_a_paid_crowd(seed: int) -> None:
    scenario = Scenario(
        seed=seed, viewers=1_200, events_per_s=4.0, rooms=room_names(3), duration_s=4 * 3600, paid=0.2
    )
    run = simulate(scenario)
    machines = planted(scenario, seed)
    events = sorted(
        [*run, *(each for acts in machines.values() for each in acts)],
        key=lambda each: each.seen_at or each.at,
    )
    kinds = {each.viewer: str(each.type) for each in run.truth}
    bought = {each.viewer for each in run.truth if each.bought}
    kinds |= {viewer: {"m": "machine", "s": "in lockstep"}[viewer[0]] for viewer in machines}
    frames = applied(events)
    leads = {lead.viewer for _, made in frames for _, lead in made} | set(machines)
    signs: dict[str, set[str]] = {}
    for finding in looked(frames):
        signs.setdefault(finding.viewer, set()).add(finding.sign)
    rows = []
    for kind in sorted(set(kinds.values())):
        of_kind = [viewer for viewer in leads if kinds[viewer] == kind]
        flagged = Counter(sign for viewer in of_kind for sign in signs.get(viewer, ()))
        rows.append(_row(kind, len(of_kind), sum(viewer in signs for viewer in of_kind), flagged))
    buyers = leads & bought
    flagged = Counter(sign for viewer in buyers for sign in signs.get(viewer, ()))
    rows.append(_row("who bought", len(buyers), sum(viewer in signs for viewer in buyers), flagged))
    hired = [viewer for viewer in leads if kinds[viewer] in ("paid", "bot")]
    seen = [viewer for viewer in leads if viewer in signs and viewer not in machines]
    right = sum(kinds[viewer] in ("paid", "bot") for viewer in seen)
    table(
        f"Leads that are suspected, seed {seed}",
        ("truth", "leads", "suspected", *SIGNS),
        rows,
        f"Of the simulator's own: precision {right} of {len(seen)}, recall {right} of {len(hired)} hired and bots.",
    )


def _row(name: str, leads: int, suspected: int, flagged: Counter[str]) -> tuple[str, ...]:
    return name, str(leads), str(suspected), *(str(flagged[sign]) for sign in (ONE_LINE, CLOCKWORK, IN_STEP))


@pytest.mark.parametrize("platform", ["twitch", "bilibili"])
def test_viewers_of_recorded_rooms(recordings: Path, platform: str) -> None:
    files = sorted((recordings / "streams" / platform).glob("*.ndjson*"))
    if not files:
        pytest.skip(f"no recorded streams of {platform} in {recordings}")
    viewers = looked_at = leads = 0
    flagged, rooms = Counter[str](), Counter[str]()
    for file in files:
        frames = applied(read([file]))
        leads += sum(len(made) for _, made in frames)
        acts = Counter(
            viewer
            for frame, _ in frames
            for viewer, kind in zip(frame.viewers, frame.kinds, strict=True)
            if viewer is not None and kind == "comment"
        )
        viewers += len(acts)
        first = {viewer for viewer, count in acts.items() if count >= ACTS}
        looked_at += len(first)
        for frame, made in frames:
            made.clear()
            for position, viewer in enumerate(frame.viewers):
                if viewer in first:
                    first.discard(viewer)
                    lead = hot_lead(
                        viewer,
                        frame.ats[position],
                        platform=frame.platforms[position],
                        room=frame.rooms[position],
                    )
                    made.append((position, lead))
        for finding in looked(frames):
            flagged[finding.sign] += 1
            rooms[file.name] += 1
    table(
        f"Recorded viewers of {platform} that would be suspected",
        ("streams", "who write", f"{ACTS} comments or more", *SIGNS),
        [(str(len(files)), f"{viewers:,}", f"{looked_at:,}", *(str(flagged[sign]) for sign in SIGNS))],
        f"Leads by the shipped points: {leads}. By stream: {dict(rooms)}.",
    )


def test_what_looking_costs() -> None:
    """Processor time and memory of a busy room, one viewer in two hundred a lead."""
    config = defaults()
    lexicons = make_lexicons(config)
    preparer = Preparer(lexicons.of_room, lexicons.default, config.intents.phone_region)
    events = list(busy_room(events=200_000, viewers=20_000))
    frames = list[Applied]()
    for start in range(0, len(events), FRAME_EVENTS):
        frame = preparer.frame(events[start : start + FRAME_EVENTS])
        made = [
            (
                position,
                hot_lead(
                    viewer,
                    frame.ats[position],
                    platform=frame.platforms[position],
                    room=frame.rooms[position],
                ),
            )
            for position, viewer in enumerate(frame.viewers)
            if viewer is not None and (start + position) % 200 == 0
        ]
        frames.append((frame, made))
    began = time.process_time()
    looked(frames)
    spent = time.process_time() - began
    tracemalloc.start()
    looks = Conduct()
    for seq, each in enumerate(frames, 1):
        looks.take(seq, *each)
    memory = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    table(
        "What looking costs, in the lead centre's thread",
        ("events", "µs an event", "memory, MB", "as written, MB"),
        [
            (
                f"{len(events):,}",
                f"{1e6 * spent / len(events):.2f}",
                f"{memory / 1e6:.1f}",
                f"{len(looks.packed()) / 1e6:.1f}",
            )
        ],
    )
