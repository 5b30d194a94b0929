"""The world of one room: viewers come and go, act by their hazards, and the platform carries the events.

Time runs in blocks of the run sheet. In each block every viewer present spends hazard from a unit exponential budget
(the time-rescaling theorem: an act happens when the integrated hazard has used it up), so that asks, clicks and forms
come at exact times without a draw per viewer and block. What the crowd does besides (likes, talk, gifts) is one Poisson
process per room, handed out by the viewers' weights. Events wait in a heap until nothing can arrive before them.
"""

import heapq
import math
import zlib
from collections.abc import Iterator
from typing import Any

from frontrow.core.events import Event
from frontrow_models.simulate.comments import Crowd
from frontrow_models.simulate.dice import Dice, running_sums
from frontrow_models.simulate.people import (
    HABITS,
    Viewer,
    doing,
    draw_viewer,
    form_consent,
    form_fields,
)
from frontrow_models.simulate.purchase import appeal, draw_delay_s, true_probability
from frontrow_models.simulate.scenario import SIMULATOR_VERSION, Scenario, ViewerTruth, ViewerType
from frontrow_models.simulate.stage import BLOCK_MS, BLOCK_S, HOSTS, PRODUCTS, run_sheet

# Gifts: name, value in 分, weight.
GIFTS = (
    ("小星星", 10, 60.0), ("小红花", 10, 25.0), ("棒棒糖", 90, 8.0), ("荧光棒", 190, 4.0), ("热气球", 5_200, 0.6),
    ("流星雨", 52_000, 0.05), ("环球列车", 300_000, 0.005),
)  # fmt: skip
_GIFT_SUMS = running_sums([weight for _, _, weight in GIFTS])

ENTER_SEEN = 0.96  # share of entries that the platform tells
LEAVE_SEEN, STAY_SEEN = (
    0.60,
    0.25,
)  # of visits: ends told as `leave`, as `stay`; never both, so that none counts twice
REFUND = 0.08
AGAIN = 0.3  # factor on a click's chance to become an order once the viewer has paid for one; p_true is of the first
BOOKING = 0.35  # after a form

_FAULTLESS = frozenset({"room_start", "room_end", "product_on_show"})


class Room:
    """One broadcast of one room. :meth:`arrivals` runs it, once."""

    def __init__(self, scenario: Scenario, index: int) -> None:
        name = scenario.rooms[index]
        key = (SIMULATOR_VERSION, scenario.seed, name)
        self._scenario = scenario
        self._index = index
        self._platform = scenario.platform
        self._name = name
        self._session = f"s-{scenario.start}"
        self._start, self._end = scenario.start, scenario.end
        self._dice = Dice(*key, "acts")
        self._faults = Dice(*key, "faults")
        self._crowd = Crowd(Dice(*key, "words"))
        self._stage = run_sheet(Dice(*key, "stage"), scenario.duration_s)
        self._doing = doing(scenario.mix)
        self._viewers = self._draw_viewers(Dice(*key, "viewers"))
        self._pace = self._calm_rate()
        self._heap: list[tuple[int, int, int, Event]] = []
        self._count = 0
        self._pushed = 0
        self._orders = 0
        self._likes = 0
        self._host = HOSTS[self._stage.cues[0].value]
        rates = scenario.faults
        self._faulty = running_sums((rates.lost, rates.duplicate, rates.reorder, rates.late))

    def truth(self) -> list[ViewerTruth]:
        """Return what is known of each viewer, in the order of their ids; purchases as far as the run has come."""
        return [
            ViewerTruth(
                platform=self._platform,
                room=self._name,
                session=self._session,
                viewer=viewer.id,
                type=viewer.type.value,
                interest=viewer.interest,
                came_at=viewer.visits[0][0],
                left_at=viewer.visits[-1][1],
                watched_s=sum(exit - enter for enter, exit in viewer.visits) / 1000.0,
                p_true=true_probability(viewer, self._stage, start=self._start, end=self._end),
                bought=viewer.paid_at is not None,
                paid_at=viewer.paid_at,
            )
            for viewer in self._viewers
        ]

    def arrivals(self) -> Iterator[tuple[int, int, int, Event]]:
        """Yield (arrival in UTC milliseconds, room's position, running number, event) in order of arrival."""
        latency = self._scenario.faults.latency_ms
        self._emit(self._start, "room_start", host=self._host)
        coming = sorted(
            ((visit, viewer) for viewer in self._viewers for visit in viewer.visits),
            key=lambda entry: (entry[0], entry[1].id),
        )
        at = 0
        present: list[Viewer] = []
        for block in range(self._stage.blocks):
            low = self._start + block * BLOCK_MS
            high = min(low + BLOCK_MS, self._end)
            present = [viewer for viewer in present if viewer.exit > low]
            self._cues(block, low, present)
            if block:
                self._emit(low, "room_stats", viewers=len(present), likes=self._likes)
            while at < len(coming) and coming[at][0][0] < high:
                visit, viewer = coming[at]
                at += 1
                self._visit(viewer, visit)
                present.append(viewer)
            self._interests(block, low, high, present)
            yield from self._crowd_noise(block, low, high, present, latency)
            yield from self._release(high + latency)
        self._emit(self._end, "room_end")
        while self._heap:
            yield heapq.heappop(self._heap)

    # Who is there

    def _draw_viewers(self, dice: Dice) -> list[Viewer]:
        crowd = self._scenario.crowd
        types = list(ViewerType)
        sums = running_sums([getattr(crowd, type.value) for type in types])
        arrival = running_sums(self._stage.arrival)
        mark = f"v{zlib.crc32(self._name.encode()):08x}-{self._scenario.seed}-"
        viewers = []
        for number in range(self._scenario.viewers):
            type = dice.weighted(types, sums)
            if number == 0 and crowd.staff and self._scenario.viewers >= 20:
                type = ViewerType.STAFF  # no broadcast goes without somebody who puts the links up
            visits = self._draw_visits(dice, type, arrival)
            viewers.append(
                draw_viewer(dice, id=f"{mark}{number:06d}", type=type, visits=visits, products=len(PRODUCTS))
            )
        return viewers

    def _draw_visits(self, dice: Dice, type: ViewerType, arrival: list[float]) -> list[tuple[int, int]]:
        """Return visits that do not meet: half a minute at least lies between two, so a block never has both."""
        if type is ViewerType.STAFF:
            return [(self._start + dice.whole(0, 5_000), self._end)]
        enter = self._start + int((dice.index(arrival) + dice.random()) * BLOCK_MS)
        enter = min(enter, self._end - 2_000)  # the last block may be cut short
        visits: list[tuple[int, int]] = []
        habits = HABITS[type]
        while enter < self._end - 1_000 and len(visits) < 4:
            bounced = dice.chance(habits.bounce)
            length = (
                3.0 + dice.exponential(45.0) if bounced else 30.0 + dice.exponential(habits.stay_s - 30.0)
            )
            exit = min(self._end, enter + int(length * 1000))
            visits.append((enter, exit))
            if dice.chance(0.75):
                break
            enter = exit + 30_000 + int(dice.exponential(480_000))
        return visits

    def _calm_rate(self) -> float:
        """Return likes and talk per second and unit of weight at excitement 1, so that the target rate comes out."""
        stage, scenario = self._stage, self._scenario
        excitement = [0.0, *running_sums([value * BLOCK_S for value in stage.excitement])]
        mean_appeal = math.fsum(stage.appeal) / stage.blocks
        calm = wishes = 0.0
        visits = 0
        for viewer in self._viewers:
            visits += len(viewer.visits)
            for enter, exit in viewer.visits:
                calm += (
                    viewer.weight
                    * self._doing[viewer.type].total
                    * (_upto(excitement, exit - self._start) - _upto(excitement, enter - self._start))
                )
                wishes += (
                    (viewer.ask + 1.3 * viewer.click + viewer.form) * (exit - enter) / 1000.0 * mean_appeal
                )
        told = ENTER_SEEN + LEAVE_SEEN + STAY_SEEN
        others = told * visits + wishes + stage.blocks
        target = scenario.events_per_s * scenario.duration_s
        return max(0.0, target - others) / calm if calm else 0.0

    # What they do

    def _cues(self, block: int, low: int, present: list[Viewer]) -> None:
        for cue in self._stage.cues:
            if cue.block != block:
                continue
            if cue.what == "product":
                self._emit(low, "product_on_show", product=PRODUCTS[cue.value].name)
            elif cue.what == "host":
                if not block:  # room_start has told who hosts
                    continue
                self._host = HOSTS[cue.value]
                self._emit(low, "host_change", host=self._host)
            else:
                self._join(cue.what, block, low, low + cue.value * BLOCK_MS, present)

    def _join(self, what: str, block: int, low: int, high: int, present: list[Viewer]) -> None:
        dice = self._dice
        for viewer in present:
            chance = viewer.habits.raffle if what == "raffle" else viewer.habits.vote
            if not dice.chance(chance):
                continue
            at = low + int(dice.random() * (high - low))
            if at >= min(viewer.exit, self._end):
                continue
            if what == "vote":
                self._emit(at, "vote", viewer)
            elif dice.chance(0.5):
                self._comment(at, viewer, "raffle", block)
            else:
                self._emit(at, "lottery_join", viewer)

    def _visit(self, viewer: Viewer, visit: tuple[int, int]) -> None:
        enter, exit = viewer.enter, viewer.exit = visit
        if self._dice.chance(ENTER_SEEN):
            self._emit(enter, "enter", viewer)
        if exit >= self._end:
            return
        told = self._dice.random()
        if told < LEAVE_SEEN:
            self._emit(exit, "leave", viewer)
        elif told < LEAVE_SEEN + STAY_SEEN:
            self._emit(exit, "stay", viewer, seconds=(exit - enter) / 1000.0)

    def _interests(self, block: int, low: int, high: int, present: list[Viewer]) -> None:
        for viewer in present:
            rate = (viewer.ask + viewer.click + viewer.form) * appeal(self._stage, block, viewer.favourite)
            until = min(high, viewer.exit)
            viewer.budget -= rate * (until - max(low, viewer.enter)) / 1000.0
            while viewer.budget <= 0.0 < rate:
                self._act(until + math.floor(viewer.budget / rate * 1000.0), viewer, block)
                viewer.budget += self._dice.exponential(1.0)

    def _act(self, at: int, viewer: Viewer, block: int) -> None:
        draw = self._dice.random() * (viewer.ask + viewer.click + viewer.form)
        if draw < viewer.click:
            self._click(at, viewer, block)
        elif draw < viewer.click + viewer.form and not viewer.filled_form:
            self._form(at, viewer, block)
        else:
            self._comment(at, viewer, self._crowd.question(), block)

    def _click(self, at: int, viewer: Viewer, block: int) -> None:
        dice, habits = self._dice, viewer.habits
        product = PRODUCTS[self._stage.product[block] if dice.chance(0.85) else viewer.favourite]
        self._emit(at, "product_click", viewer, product=product.name)
        if dice.chance(viewer.convert * (1.0 if viewer.paid_at is None else AGAIN)):
            self._buy(at, viewer, product.name, product.price, block)
            return
        draw = dice.random()
        after = at + 3_000 + int(dice.exponential(12_000))
        if after >= viewer.exit:
            return
        if draw < habits.cart:
            self._emit(after, "cart_add", viewer, product=product.name)
        elif draw < habits.cart + habits.coupon:
            self._emit(after, "coupon_claim", viewer, product=product.name)
        elif draw < habits.cart + habits.coupon + habits.unpaid:
            self._order(after, "order_created", viewer, product.name, product.price, self._next_order())

    def _buy(self, at: int, viewer: Viewer, product: str, price: int, block: int) -> None:
        dice = self._dice
        delay_ms = int(draw_delay_s(dice) * 1000)
        order = self._next_order()
        count = 1 if dice.chance(0.85) else 2
        value = price * count
        if dice.chance(0.5) and at + delay_ms // 3 < viewer.exit:
            self._emit(at + delay_ms // 3, "cart_add", viewer, product=product)
        created = at + delay_ms * 2 // 3
        if created < self._end:
            self._order(created, "order_created", viewer, product, value, order, count)
        paid = at + delay_ms
        if paid >= self._end:
            return
        self._order(paid, "order_paid", viewer, product, value, order, count)
        viewer.paid_at = paid if viewer.paid_at is None else min(viewer.paid_at, paid)
        said = paid + 5_000 + int(dice.exponential(20_000))
        if dice.chance(0.3) and said < viewer.exit:
            self._comment(said, viewer, "ordered", block)
        back = paid + 60_000 + int(dice.exponential(900_000))
        if dice.chance(REFUND) and back < self._end:
            self._order(back, "order_refunded", viewer, product, value, order, count)

    def _order(
        self, at: int, kind: str, viewer: Viewer, product: str, value: int, order: str, count: int = 1
    ) -> None:
        self._emit(at, kind, viewer, order=order, product=product, count=count, value=value, currency="CNY")

    def _next_order(self) -> str:
        self._orders += 1
        return f"o-{self._start}-{self._index}-{self._orders}"

    def _form(self, at: int, viewer: Viewer, block: int) -> None:
        viewer.filled_form = True
        product = PRODUCTS[self._stage.product[block]].name
        self._emit(
            at,
            "form_submit",
            viewer,
            form="consult",
            fields=form_fields(self._dice, product=product),
            consent=form_consent(self._dice),
        )
        booked = at + 10_000 + int(self._dice.exponential(40_000))
        if self._dice.chance(BOOKING) and booked < viewer.exit:
            self._emit(booked, "booking", viewer, product=product)

    def _crowd_noise(
        self, block: int, low: int, high: int, present: list[Viewer], latency: int
    ) -> Iterator[tuple[int, int, int, Event]]:
        sums = running_sums([viewer.weight * self._doing[viewer.type].total for viewer in present])
        rate = self._pace * self._stage.excitement[block] * (sums[-1] if sums else 0.0)
        if rate <= 0.0:
            return
        dice, heap = self._dice, self._heap
        step_ms = 1000.0 / rate
        at = low + dice.exponential(step_ms)
        while at < high:
            now = int(at)
            viewer = present[dice.index(sums)]
            # Thinning: who has left or is yet to come in this block does nothing, and nobody does it instead.
            if viewer.enter <= now < viewer.exit:
                self._pastime(now, viewer, block)
            while heap and heap[0][0] < now + latency:
                yield heapq.heappop(heap)
            at += dice.exponential(step_ms)

    def _pastime(self, at: int, viewer: Viewer, block: int) -> None:
        does = self._doing[viewer.type]
        dice = self._dice
        kind = does.kinds[dice.index(does.sums)]
        if (kind == "follow" and viewer.follows) or (kind == "unfollow" and not viewer.follows):
            kind = "like"
        if kind == "like":
            count = 1 + int(dice.exponential(6.0))
            self._likes += count
            self._emit(at, "like", viewer, count=count)
        elif kind == "comment":
            self._comment(at, viewer, dice.weighted(does.categories, does.category_sums), block)
        elif kind == "gift":
            gift, value, _ = GIFTS[dice.index(_GIFT_SUMS)]
            count = 1 if dice.chance(0.8) else dice.whole(2, 10)
            self._emit(at, "gift", viewer, gift=gift, count=count, value=value * count, currency="CNY")
        elif kind == "fan_club":
            viewer.fan = True
            viewer.level += 1
            self._emit(at, "fan_club", viewer, level=viewer.level)
        else:
            if kind in ("follow", "unfollow"):
                viewer.follows = kind == "follow"
            self._emit(at, kind, viewer)

    def _comment(self, at: int, viewer: Viewer, category: str, block: int) -> None:
        number = self._stage.product[block]
        text = self._crowd.say(category, product=PRODUCTS[number], number=number + 1, host=self._host)
        self._emit(at, "comment", viewer, text=text)

    # How it arrives

    def _emit(self, at: int, kind: str, viewer: Viewer | None = None, **about: Any) -> None:
        self._count += 1
        arrival = at + self._scenario.faults.latency_ms
        again: int | None = None
        sums = self._faulty
        if sums[-1] and kind not in _FAULTLESS:
            draw = self._faults.random()
            if draw < sums[-1]:
                if draw < sums[0]:
                    return
                if draw < sums[1]:
                    again = arrival + self._fault_ms(self._scenario.faults.duplicate_after_s)
                elif draw < sums[2]:
                    arrival += self._fault_ms(self._scenario.faults.reorder_by_s)
                else:
                    longest = self._scenario.faults.late_by_s
                    arrival += int(100 * longest) + self._fault_ms(0.9 * longest)
        if viewer is not None:
            about["viewer"] = viewer.id
            about["name"] = viewer.name
            if viewer.fan:
                about["fan"] = True
            if viewer.type is ViewerType.STAFF:
                about["staff"] = True
        self._push(arrival, at, kind, about)
        if again is not None:
            self._push(again, at, kind, about)

    def _push(self, arrival: int, at: int, kind: str, about: dict[str, Any]) -> None:
        event = Event(
            id=f"{self._start}-{self._count}",
            platform=self._platform,
            room=self._name,
            session=self._session,
            kind=kind,
            at=at,
            seen_at=arrival if self._scenario.seen_at else None,
            **about,
        )
        self._pushed += 1
        heapq.heappush(self._heap, (arrival, self._index, self._pushed, event))

    def _fault_ms(self, longest_s: float) -> int:
        return int(self._faults.random() * longest_s * 1000.0)

    def _release(self, limit: int) -> Iterator[tuple[int, int, int, Event]]:
        while self._heap and self._heap[0][0] < limit:
            yield heapq.heappop(self._heap)


def _upto(sums: list[float], offset_ms: int) -> float:
    """Return a running sum over blocks at a time within a block, by straight line."""
    block, rest = divmod(offset_ms, BLOCK_MS)
    if block + 1 >= len(sums):
        return sums[-1]
    return sums[block] + (sums[block + 1] - sums[block]) * rest / BLOCK_MS
