"""What the simulated world knows: each viewer's probability, at any time, of paying for an order within a horizon.

The probability at ``t`` is conditional on what is settled then, seen or not: the viewer's type, interest, style and
favourite; the run sheet, the drift and the times of the shocks; the room's level at ``t``; whether the viewer is
there and on what kind of visit; the stage of each intent (click, cart, answer, order, payment) and that nothing was
seen of it since. It does not know the future: clicks to come, leaving and coming back, levels after the next shock,
nor the decisions of intents. Nobody who sees only events can know as much; no prediction can do better.

The future of a viewer who has not paid since ``t`` splits in two independent parts. Intents under way each pay in time
with a probability in closed form (:meth:`purchase.Waits.intent_pays`). Clicks to come are a Poisson process whose rate
depends on a Markov chain (here on a short visit, here on a long one, away and coming back, gone; the room's level), and
thinned by the chance to be paid before the horizon ends. The probability u that none of those is solves the
backward Kolmogorov equation with killing,

    −du/ds = Q u − λ(s) · P(a click at s is paid by T) · u,     u(T) = 1,

which is solved backward block by block: half of the killing, the exact transition of the chain, half of the killing
(Strang's splitting); rates are constant within a block, and the killing uses the exact integral of the waits.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from frontrow_models.simulate.purchase import MOST_CART, MOST_ORDER, Array, Waits
from frontrow_models.simulate.room import AGAIN, AWAY_S, BOUNCE_S, RETURN, Room
from frontrow_models.simulate.scenario import ViewerTruth
from frontrow_models.simulate.stage import BLOCK_MS, PRODUCTS
from frontrow_models.simulate.viewers import HABITS, MATCH, Habits, Stay, Viewer

Times = npt.NDArray[np.int64]

_CHUNK = 8_192  # rows at once: what they need stays in the processor's cache
_TICK_MS = 100  # transitions over parts of a block are tabulated with this step
_BOUNCING, _STAYING, _AWAY = range(3)


@dataclass(frozen=True, slots=True)
class Chance:
    """What is known of a present viewer at a time (UTC milliseconds): ``p_true`` of paying within the horizon, and
    whether it ``happened``."""

    platform: str
    room: str
    session: str
    viewer: str
    at: int
    p_true: float
    happened: bool


class World:
    """What is known of the broadcasts of a run, for which the run must have come at least as far as what is asked."""

    def __init__(self, broadcasts: Sequence[Room]) -> None:
        self._broadcasts = list(broadcasts)
        self._known: dict[str, list[tuple[Room, Viewer]]] = {}
        for room in self._broadcasts:
            for viewer in room.viewers:
                self._known.setdefault(viewer.id, []).append((room, viewer))
        self._waits: dict[Room, Waits] = {}

    def p_true(self, viewer: str, at: int, horizon_ms: int) -> float:
        """Return the probability, as of ``at``, that a viewer pays for an order after ``at`` and until the horizon.

        ``at`` is UTC milliseconds. Nobody pays after the end of the broadcast, so the horizon ends there at the latest.

        Raises:
            ValueError: No such viewer, or not yet seen in a broadcast that goes on at ``at``; nothing is known then.
        """
        return float(self.p_true_many([viewer], np.array([at], np.int64), horizon_ms)[0])

    def p_true_many(self, viewers: Sequence[str], at: Times, horizon_ms: int) -> Array:
        """Return :meth:`p_true` of each (viewer, at), float64[n]; some microseconds a row when there are many."""
        found = np.zeros(len(viewers))
        rows: dict[Room, list[int]] = {}
        who: list[Viewer] = []
        for row, (name, moment) in enumerate(zip(viewers, at.tolist(), strict=True)):
            room, viewer = self._there(name, moment)
            rows.setdefault(room, []).append(row)
            who.append(viewer)
        for room, own in rows.items():
            for low in range(0, len(own), _CHUNK):
                some = own[low : low + _CHUNK]
                some_at = at[some] - room.start
                until = np.minimum(some_at + horizon_ms, room.end - room.start)
                found[some] = self._of_room(room, [who[row] for row in some], some_at, until)
        return found

    def pays(self, viewers: Sequence[str], at: Times, horizon_ms: int) -> npt.NDArray[np.bool_]:
        """Return what came of it, bool[n]: whether each viewer paid after ``at`` and until the horizon."""
        found = np.zeros(len(viewers), np.bool_)
        for row, (name, moment) in enumerate(zip(viewers, at.tolist(), strict=True)):
            room, viewer = self._there(name, moment)
            until = min(moment + horizon_ms, room.end - 1)
            found[row] = any(
                intent.paid is not None and moment < intent.paid <= until for intent in viewer.intents
            )
        return found

    def room_of(self, name: str, at: int) -> Room:
        """Return a room's broadcast that goes on at a time, with its viewers, stage and climate.

        Raises:
            ValueError: There is none.
        """
        for room in self._broadcasts:
            if room.name == name and room.start <= at <= room.end:
                return room
        raise ValueError(f"{name}: no broadcast at {at}")

    def present(self, at: int) -> list[str]:
        """Return the ids of the viewers who are there at a time, in all rooms, in order."""
        return sorted(
            viewer.id
            for room in self._broadcasts
            if room.start <= at < room.end
            for viewer in room.viewers
            if any(stay.enter <= at < stay.exit for stay in viewer.visits)
        )

    def chances(self, *, horizon_ms: int, every_ms: int) -> Iterator[Chance]:
        """Yield what is known of all who are there, every ``every_ms`` of each broadcast, by room, time and id."""
        for room in self._broadcasts:
            viewers = room.viewers
            for at in range(room.start + every_ms, room.end, every_ms):
                there = [
                    viewer
                    for viewer in viewers
                    if any(stay.enter <= at < stay.exit for stay in viewer.visits)
                ]
                names = [viewer.id for viewer in there]
                moments = np.full(len(there), at, np.int64)
                found = zip(
                    names,
                    self.p_true_many(names, moments, horizon_ms).tolist(),
                    self.pays(names, moments, horizon_ms).tolist(),
                    strict=True,
                )
                for name, p_true, happened in found:
                    yield Chance(room.scenario.platform, room.name, room.session, name, at, p_true, happened)

    def viewers(self) -> list[ViewerTruth]:
        """Return what is known of each viewer, by broadcast and room and then by id."""
        known = []
        for room in self._broadcasts:
            viewers = room.viewers
            came = np.array([viewer.visits[0].enter for viewer in viewers], np.int64) - room.start
            until = np.full(len(viewers), room.end - room.start, np.int64)
            chances = [
                self._of_room(
                    room, viewers[low : low + _CHUNK], came[low : low + _CHUNK], until[low : low + _CHUNK]
                )
                for low in range(0, len(viewers), _CHUNK)
            ]
            p_true = np.concatenate(chances).tolist() if chances else []
            known += [_told(room, viewer, chance) for viewer, chance in zip(viewers, p_true, strict=True)]
        return known

    def _there(self, name: str, at: int) -> tuple[Room, Viewer]:
        for room, viewer in self._known.get(name, ()):
            if viewer.visits[0].enter <= at <= room.end:
                return room, viewer
        raise ValueError(f"{name}: not seen in any broadcast that goes on at {at}")

    def _of_room(self, room: Room, viewers: list[Viewer], at: Times, until: Times) -> Array:
        """Return the probabilities of viewers of one room; times in milliseconds since its start."""
        waits = self._waits.get(room)
        if waits is None:
            waits = self._waits[room] = Waits((room.end - room.start) / 1000.0, room.answer_s)
        none = np.ones(len(viewers))
        for type, habits in HABITS.items():
            if habits.pay * (habits.order + habits.cart * habits.cart_order) == 0.0:
                continue
            rows = [row for row, viewer in enumerate(viewers) if viewer.type is type]
            if rows:
                own = [viewers[row] for row in rows]
                none[rows] = _no_later_click_pays(room, waits, habits, own, at[rows], until[rows])
        for row, (viewer, now, end) in enumerate(zip(viewers, at.tolist(), until.tolist(), strict=True)):
            moment = room.start + now
            for intent in viewer.intents:
                if intent.at <= moment:
                    none[row] *= 1.0 - waits.intent_pays(intent, moment, (end - now) / 1000.0)
        return 1.0 - none


def _no_later_click_pays(
    room: Room, waits: Waits, habits: Habits, viewers: list[Viewer], at: Times, until: Times
) -> Array:
    """Return the probability that no click after ``at`` is paid by ``until``; all viewers of one type."""
    order = np.argsort(
        -_blocks(at, until), kind="stable"
    )  # whose way is longest come first: the others end early
    viewers, at, until = [viewers[row] for row in order], at[order], until[order]
    steps = _blocks(at, until)
    climate, stage = room.climate, room.stage
    levels = np.array(climate.levels)
    jumps = np.array(climate.jumps)
    style = np.array([viewer.style for viewer in viewers])
    drift = np.array(climate.drift)
    again = [
        any(intent.paid is not None and intent.paid <= room.start + now for intent in viewer.intents)
        for viewer, now in zip(viewers, at.tolist(), strict=True)
    ]
    lift = climate.season * np.where(again, AGAIN, 1.0) * np.array([viewer.lift for viewer in viewers])
    click = np.array([viewer.click for viewer in viewers])
    favourite = np.array([viewer.favourite for viewer in viewers])
    appeal = np.array(stage.appeal)[:, None] * np.where(
        np.array(stage.product)[:, None] == np.arange(len(PRODUCTS)), MATCH, 1.0
    )
    transitions = _transitions(habits)
    none = np.ones((3, len(levels), len(viewers)))
    high = until.copy()
    click_sums = waits.click_sums[: 2 if room.answer_s is None else 3]
    paid_high = np.zeros((len(click_sums), len(viewers)))
    for step in range(int(steps[0]) if len(steps) else 0):
        n = int(np.searchsorted(-steps, -step, side="left"))  # those with more steps than this
        block = (high[:n] - 1) // BLOCK_MS
        start = block * BLOCK_MS
        low = np.maximum(start, at[:n])
        left_s = (until[:n] - low) / 1000.0
        paid_low = np.stack([waits.at(table, left_s) for table in click_sums])
        straight, cart = (paid_low - paid_high[:, :n])[:2]
        factor = lift[:n] * np.exp(drift[block] * style[:n]) * levels[:, None]
        by_cart = habits.cart_order * factor
        pays = np.minimum(MOST_ORDER, habits.order * factor) * straight
        pays += habits.cart * np.minimum(MOST_CART, by_cart) * cart
        if room.answer_s is not None:
            answered = np.minimum(MOST_CART, by_cart * room.scenario.sellers.skill)
            pays += habits.cart * answered * (paid_low - paid_high[:, :n])[2]
        kept = np.exp(-0.5 * habits.pay * click[:n] * appeal[block, favourite[:n]] * pays)
        now = none[:, :, :n]
        now[:_AWAY] *= kept
        ticks = (high[:n] - low + _TICK_MS // 2) // _TICK_MS
        now[...] = _stepped(transitions, now, ticks)
        now[:_AWAY] *= kept
        drawn = jumps[block] & (low == start) & (low > at[:n])
        now[:, :, drawn] = now[:, :, drawn].mean(axis=1, keepdims=True)
        high[:n] = low
        paid_high[:, :n] = paid_low
    level = np.array(climate.level)[np.minimum(at // BLOCK_MS, stage.blocks - 1)]
    ends = none[:, level, np.arange(len(viewers))]
    found = np.empty(len(viewers))
    found[order] = [
        _from_here(ends[:, row], viewer, room.start + now)
        for row, (viewer, now) in enumerate(zip(viewers, at.tolist(), strict=True))
    ]
    return found


def _blocks(at: Times, until: Times) -> Times:
    """Return how many blocks, or parts of one, lie between."""
    return np.where(until > at, (until - 1) // BLOCK_MS - at // BLOCK_MS + 1, 0)


def _from_here(none: Array, viewer: Viewer, at: int) -> float:
    """Return the probability that none is paid, given what is known of where the viewer is."""
    stay: Stay | None = None
    for visit in viewer.visits:
        if visit.enter <= at:
            stay = visit
    assert stay is not None  # World._there has looked
    if at < stay.exit:
        return float(none[_BOUNCING if stay.bounce else _STAYING])
    still = RETURN * math.exp(-(at - stay.exit) / 1000.0 / AWAY_S)
    back = still / (still + 1.0 - RETURN)
    return float(back * none[_AWAY] + 1.0 - back)


def _transitions(habits: Habits) -> Array:
    """Return the transition matrices of presence over 0, 1, 2, … ticks: float64[ticks, 3, 4], the last column: gone."""
    bounce, stay, back = 1.0 / BOUNCE_S, 1.0 / habits.stay_s, 1.0 / AWAY_S
    generator = np.array([
        [-bounce, 0.0, bounce * RETURN, bounce * (1.0 - RETURN)],
        [0.0, -stay, stay * RETURN, stay * (1.0 - RETURN)],
        [back * habits.bounce, back * (1.0 - habits.bounce), -back, 0.0],
        [0.0, 0.0, 0.0, 0.0],
    ])  # fmt: skip
    tick = np.eye(4)
    term = np.eye(4)
    for power in range(1, 12):  # the exponential's series: the rates times a tick are below 0.01
        term = term @ generator * (_TICK_MS / 1000.0 / power)
        tick = tick + term
    found = [np.eye(4)]
    for _ in range(BLOCK_MS // _TICK_MS):
        found.append(found[-1] @ tick)
    return np.stack(found)[:, :3, :]


def _stepped(transitions: Array, none: Array, ticks: Times) -> Array:
    """Return the probabilities one step earlier; most steps are whole blocks, whose matrix is the same."""
    whole = transitions[-1]
    found = np.tensordot(whole[:, :3], none, axes=1) + whole[:, 3][:, None, None]
    parts = np.flatnonzero(ticks != len(transitions) - 1)
    if len(parts):
        own = transitions[ticks[parts]]
        found[:, :, parts] = (
            np.einsum("nij,jln->iln", own[:, :, :3], none[:, :, parts]) + own[:, :, 3].T[:, None, :]
        )
    return np.asarray(found)


def _told(room: Room, viewer: Viewer, p_true: float) -> ViewerTruth:
    return ViewerTruth(
        platform=room.scenario.platform,
        room=room.name,
        session=room.session,
        viewer=viewer.id,
        type=viewer.type.value,
        interest=viewer.interest,
        came_at=viewer.visits[0].enter,
        left_at=viewer.visits[-1].exit,
        watched_s=sum(stay.exit - stay.enter for stay in viewer.visits) / 1000.0,
        p_true=p_true,
        bought=viewer.paid_at is not None,
        paid_at=viewer.paid_at,
    )
