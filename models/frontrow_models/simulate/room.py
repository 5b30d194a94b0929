"""The world of one room: viewers come and go, act by their hazards, and the platform carries the events.

Time runs in blocks of the run sheet. In each block every viewer present spends hazard from a unit exponential budget
(the time-rescaling theorem: an act happens when the integrated hazard has used it up), so that asks, clicks and forms
come at exact times without a draw per viewer and block. What the crowd does besides (likes, talk, gifts) is one Poisson
process per company, handed out by the viewers' weights. Events wait in a heap until nothing can arrive before them.

A room's own viewers and a paid crowd are two companies with dice of their own: what the first do does not depend on
whether the second is there.
"""

import heapq
import math
import zlib
from collections.abc import Iterator
from typing import Any

from frontrow.core.events import Event
from frontrow_models.simulate.climate import draw_climate
from frontrow_models.simulate.dice import Dice, running_sums
from frontrow_models.simulate.people import form_consent, form_fields
from frontrow_models.simulate.purchase import (
    MOST_CART,
    MOST_ORDER,
    Intent,
    Odds,
    draw_fate,
    redraw_fate,
)
from frontrow_models.simulate.scenario import DICE, Scenario, ViewerType
from frontrow_models.simulate.stage import BLOCK_MS, BLOCK_S, HOSTS, PRODUCTS, run_sheet
from frontrow_models.simulate.viewers import MATCH, Company, Stay, Viewer, doing, draw_viewer

# Gifts: name, value in 分, weight.
GIFTS = (
    ("小星星", 10, 60.0), ("小红花", 10, 25.0), ("棒棒糖", 90, 8.0), ("荧光棒", 190, 4.0), ("热气球", 5_200, 0.6),
    ("流星雨", 52_000, 0.05), ("环球列车", 300_000, 0.005),
)  # fmt: skip
_GIFT_SUMS = running_sums([weight for _, _, weight in GIFTS])

ENTER_SEEN = 0.96  # share of entries that the platform tells
# Shares of visits whose end is told as `leave`, as `stay`; never both, so that none counts twice.
LEAVE_SEEN, STAY_SEEN = 0.60, 0.25
REFUND = 0.08
AGAIN = 0.3  # factor on the chances of an order once the viewer has paid for one
BOOKING = 0.35  # after a form
LOST_MS = 1_800_000  # from a seller's answer until a lead without a payment is given up

BOUNCE_S = (
    45.0  # mean length of visits that end soon; how long one has lasted is soon forgotten, as of all visits
)
RETURN, AWAY_S = 0.3, 480.0  # chance to come back after a visit, and mean seconds until then
REGULARS = 0.3  # share of viewers who come to every broadcast of the room

SQUAD = 15  # paid viewers who act together
BURST, BETWEEN = 8.0, 0.6  # factors on their hazards in a burst and outside
BURST_BLOCKS, CALM_BLOCKS = 2, 40.0  # length of a burst; mean of the time to the next

_PLANNED_TO_S = 300.0  # what a planned length is a multiple of
# Not lost on the way: without the first there is no broadcast to speak of, and the others never were on the platform.
_FAULTLESS = frozenset({"room_start", "room_end", "product_on_show", "lead_claim", "lead_outcome"})


class Room:
    """One broadcast of one room. :meth:`arrivals` runs it, once.

    ``number``: which of the room's broadcasts. ``fork``: a time (a block's beginning, UTC milliseconds) and a seed: from
    then on everything that is not known at that time is drawn anew; see :func:`frontrow_models.simulate.simulate`.
    """

    def __init__(self, scenario: Scenario, index: int, number: int, fork: tuple[int, int] | None) -> None:
        name = scenario.rooms[index]
        world = (DICE, scenario.seed)
        home = (*world, name)
        key = (*home, number)
        self.scenario = scenario
        self.start = scenario.start_of(number)
        self.end = self.start + scenario.duration_s * 1000
        self.name = name
        self.session = f"s-{self.start}"
        self._key, self._number = key, number
        self._fork = fork
        self._position = index + number * len(scenario.rooms)
        self._index = index
        self.answer_s = scenario.sellers.speed_s if scenario.sellers.count else None
        self.stage = run_sheet(Dice(*key, "stage"), scenario.duration_s)
        self.climate = draw_climate(
            Dice(*world, "climate"),
            Dice(*key, "climate"),
            scenario.drift,
            start=self.start,
            blocks=self.stage.blocks,
        )
        self._doing = doing(scenario.mix)
        self._house = Company(*key, mark="")
        self._companies = [self._house]
        self._draw_house(Dice(*home, "regulars"), Dice(*key, "viewers"), Dice(*key, "visits"))
        if scenario.paid:
            self._draw_paid(Dice(*key, "paid"))
        self._pace = self._calm_rate()
        self._heap: list[tuple[int, int, int, Event]] = []
        self._pushed = 0
        self._likes = 0
        self._host = HOSTS[self.stage.cues[0].value]
        rates = scenario.faults
        self._faulty = running_sums((rates.lost, rates.duplicate, rates.reorder, rates.late))

    @property
    def viewers(self) -> list[Viewer]:
        """All viewers by their ids."""
        return sorted(
            (viewer for company in self._companies for viewer in company.viewers),
            key=lambda viewer: viewer.id,
        )

    def _planned_s(self) -> float | None:
        """Return the length that the room plans, to five minutes, as people do."""
        off_min = self.scenario.plan_off_min
        if off_min is None:
            return None
        planned = self.scenario.duration_s + 60.0 * off_min * Dice(*self._key, "plan").normal()
        return max(1, round(planned / _PLANNED_TO_S)) * _PLANNED_TO_S

    def arrivals(self) -> Iterator[tuple[int, int, int, Event]]:
        """Yield (arrival in UTC milliseconds, broadcast's position, running number, event) in order of arrival."""
        latency = self.scenario.faults.latency_ms
        self._emit(self.start, "room_start", host=self._host, seconds=self._planned_s())
        coming = self._coming(self.start - 1)
        present: list[list[Stay]] = [[] for _ in self._companies]
        for block in range(self.stage.blocks):
            low = self.start + block * BLOCK_MS
            high = min(low + BLOCK_MS, self.end)
            if self._fork is not None and self._fork[0] == low:
                self._branch(block, low, self._fork[1])
                coming = self._coming(low - 1)
            present = [[stay for stay in stays if stay.exit > low] for stays in present]
            self._cues(block, low, present)
            if block:
                self._emit(low, "room_stats", viewers=sum(map(len, present)), likes=self._likes)
            while coming and coming[-1].enter < high:
                stay = coming.pop()
                self._visit(stay)
                present[self._companies.index(stay.viewer.company)].append(stay)
            for stays in present:
                self._interests(block, low, high, stays)
            for company, stays in zip(self._companies[1:], present[1:], strict=True):
                for _ in self._crowd_noise(company, block, low, high, stays):
                    pass
            for now in self._crowd_noise(self._house, block, low, high, present[0]):
                yield from self._release(now + latency)
            yield from self._release(high + latency)
        self._emit(self.end, "room_end")
        while self._heap:
            yield heapq.heappop(self._heap)

    # Who is there

    def _draw_house(self, regulars: Dice, others: Dice, visits: Dice) -> None:
        crowd = self.scenario.crowd
        types = list(ViewerType)
        sums = running_sums([getattr(crowd, type.value, 0.0) for type in types])
        arrival = running_sums(self.stage.arrival)
        known = round(REGULARS * self.scenario.viewers)
        for number in range(self.scenario.viewers):
            dice = regulars if number < known else others
            type = dice.weighted(types, sums)
            if number == 0 and crowd.staff and self.scenario.viewers >= 20:
                type = ViewerType.STAFF  # no broadcast goes without somebody who puts the links up
            viewer = draw_viewer(
                dice,
                id=self._viewer_id(number, known),
                type=type,
                company=self._house,
                products=len(PRODUCTS),
            )
            self._house.viewers.append(viewer)
            if type is ViewerType.STAFF:
                viewer.visits = [Stay(viewer, self.start + visits.whole(0, 5_000), self.end, False)]
            else:
                self._draw_visits(visits, viewer, self._arrival(visits, arrival))

    def _draw_paid(self, dice: Dice) -> None:
        """Draw a paid crowd in squads: each has a script, bursts in common, and comes within some minutes."""
        company = Company(*self._key, "paid", mark="x")
        self._companies.append(company)
        arrival = running_sums(self.stage.arrival)
        count = round(self.scenario.viewers * self.scenario.paid / (1.0 - self.scenario.paid))
        for number in range(count):
            if number % SQUAD == 0:
                together = self._arrival(dice, arrival)
                bursts = self._bursts(dice)
                script = self._script(company, dice, together)
            viewer = draw_viewer(
                dice,
                id=self._viewer_id(self.scenario.viewers + number, 0),
                type=ViewerType.PAID,
                company=company,
                products=len(PRODUCTS),
            )
            viewer.bursts, viewer.script = bursts, script
            company.viewers.append(viewer)
            enter = together + int(dice.exponential(120_000.0))
            self._draw_visits(dice, viewer, min(enter, self.end - 2_000))

    def _viewer_id(self, number: int, known: int) -> str:
        mark = f"v{zlib.crc32(self.name.encode()):08x}-{self.scenario.seed}-"
        if number >= known and self._number:
            mark += f"{self._number}-"
        return f"{mark}{number:06d}"

    def _arrival(self, dice: Dice, sums: list[float]) -> int:
        enter = self.start + int((dice.index(sums) + dice.random()) * BLOCK_MS)
        return min(enter, self.end - 2_000)  # the last block may be cut short

    def _draw_visits(self, dice: Dice, viewer: Viewer, enter: int) -> None:
        """Add a visit from ``enter`` on, and those that follow it."""
        stay = Stay(viewer, enter, enter, dice.chance(viewer.habits.bounce))
        viewer.visits.append(stay)
        self._draw_exit(dice, stay, enter)

    def _draw_exit(self, dice: Dice, stay: Stay, since: int) -> None:
        """Draw when a visit ends that lasts at ``since``, and what follows."""
        mean_s = BOUNCE_S if stay.bounce else stay.viewer.habits.stay_s
        stay.exit = min(self.end, since + 1 + int(dice.exponential(mean_s) * 1000.0))
        if stay.exit < self.end:
            self._draw_return(dice, stay.viewer, stay.exit)

    def _draw_return(self, dice: Dice, viewer: Viewer, left: int, after: int = 0) -> None:
        """Draw whether and when a viewer comes back who left at ``left``, and has not until ``after``."""
        while dice.chance(RETURN):
            enter = left + 1 + int(dice.exponential(AWAY_S) * 1000.0)
            if enter > after:
                if enter < self.end:
                    self._draw_visits(dice, viewer, enter)
                return

    def _bursts(self, dice: Dice) -> list[float]:
        bursts = [BETWEEN] * self.stage.blocks
        block = int(dice.exponential(CALM_BLOCKS))
        while block < len(bursts):
            for one in range(block, min(block + BURST_BLOCKS, len(bursts))):
                bursts[one] = BURST
            block += BURST_BLOCKS + int(dice.exponential(CALM_BLOCKS))
        return bursts

    def _script(self, company: Company, dice: Dice, at: int) -> list[str]:
        """Return the few questions and praises that a squad was told to write."""
        number = self.stage.product[min((at - self.start) // BLOCK_MS, self.stage.blocks - 1)]
        voice = company.voice
        return [
            voice.phrase(
                voice.question() if dice.chance(0.7) else "praise",
                product=PRODUCTS[number],
                number=number + 1,
                host=self._host_at_start,
            )
            for _ in range(4)
        ]

    @property
    def _host_at_start(self) -> str:
        return HOSTS[self.stage.cues[0].value]

    def _coming(self, after: int) -> list[Stay]:
        """Return the visits that begin after ``after``, the last ones first."""
        return sorted(
            (stay for company in self._companies for viewer in company.viewers for stay in viewer.visits
             if stay.enter > after),
            key=lambda stay: (stay.enter, stay.viewer.id),
            reverse=True,
        )  # fmt: skip

    def _calm_rate(self) -> float:
        """Return likes and talk per second and unit of weight at excitement 1, so that the target rate comes out."""
        stage, scenario = self.stage, self.scenario
        excitement = [0.0, *running_sums([value * BLOCK_S for value in stage.excitement])]
        mean_appeal = math.fsum(stage.appeal) / stage.blocks
        calm = wishes = 0.0
        visits = 0
        for viewer in self._house.viewers:
            visits += len(viewer.visits)
            for stay in viewer.visits:
                calm += (
                    viewer.weight
                    * self._doing[viewer.type].total
                    * (_upto(excitement, stay.exit - self.start) - _upto(excitement, stay.enter - self.start))
                )
                rate = viewer.ask + 1.3 * viewer.click + viewer.form
                wishes += rate * (stay.exit - stay.enter) / 1000.0 * mean_appeal
        told = ENTER_SEEN + LEAVE_SEEN + STAY_SEEN
        others = told * visits + wishes + stage.blocks
        target = scenario.events_per_s * scenario.duration_s
        return max(0.0, target - others) / calm if calm else 0.0

    # Another future

    def _branch(self, block: int, now: int, seed: int) -> None:
        """Forget all that was drawn for the time after ``now`` and draw it anew, given what was seen until then."""
        self._heap = [entry for entry in self._heap if entry[3].at <= now]
        heapq.heapify(self._heap)
        dice = Dice(*self._key, "fork", now, seed)
        self.climate.redraw(dice, block)
        for company in self._companies:
            for name, part in (("acts", company.acts), ("faults", company.faults), ("words", company.words)):
                part.random = Dice(*self._key, "fork", now, seed, company.mark, name).random
            for viewer in company.viewers:
                viewer.budget = dice.exponential(1.0)
                if viewer.type is not ViewerType.STAFF:
                    self._branch_visits(dice, viewer, now)
                viewer.paid_at = None
                viewer.intents = [
                    redraw_fate(dice, intent, now, answer_s=self.answer_s) for intent in viewer.intents
                ]
                for intent in viewer.intents:
                    self._tell(viewer, intent, now)

    def _branch_visits(self, dice: Dice, viewer: Viewer, now: int) -> None:
        if viewer.visits[0].enter >= now:
            return  # nothing is known of who has not been there
        viewer.visits = [stay for stay in viewer.visits if stay.enter < now]
        last = viewer.visits[-1]
        if last.exit > now:
            self._draw_exit(dice, last, now)
            self._tell_end(last)
        else:
            self._draw_return(dice, viewer, last.exit, now)

    # What they do

    def _cues(self, block: int, low: int, present: list[list[Stay]]) -> None:
        for cue in self.stage.cues:
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
                for stays in present:
                    self._join(cue.what, block, low, low + cue.value * BLOCK_MS, stays)

    def _join(self, what: str, block: int, low: int, high: int, present: list[Stay]) -> None:
        for stay in present:
            viewer = stay.viewer
            dice = viewer.company.acts
            chance = viewer.habits.raffle if what == "raffle" else viewer.habits.vote
            if not dice.chance(chance):
                continue
            at = low + int(dice.random() * (high - low))
            if at >= min(stay.exit, self.end):
                continue
            if what == "vote":
                self._emit(at, "vote", viewer)
            elif dice.chance(0.5):
                self._comment(at, viewer, "raffle", block)
            else:
                self._emit(at, "lottery_join", viewer)

    def _visit(self, stay: Stay) -> None:
        if stay.viewer.company.acts.chance(ENTER_SEEN):
            self._emit(stay.enter, "enter", stay.viewer)
        self._tell_end(stay)

    def _tell_end(self, stay: Stay) -> None:
        if stay.exit >= self.end:
            return
        told = stay.viewer.company.acts.random()
        if told < LEAVE_SEEN:
            self._emit(stay.exit, "leave", stay.viewer)
        elif told < LEAVE_SEEN + STAY_SEEN:
            self._emit(stay.exit, "stay", stay.viewer, seconds=(stay.exit - stay.enter) / 1000.0)

    def appeal(self, block: int, viewer: Viewer) -> float:
        """Return the factor on a viewer's hazards in a block of the run sheet."""
        factor = self.stage.appeal[block] * (MATCH if self.stage.product[block] == viewer.favourite else 1.0)
        return factor if viewer.bursts is None else factor * viewer.bursts[block]

    def _interests(self, block: int, low: int, high: int, present: list[Stay]) -> None:
        for stay in present:
            viewer = stay.viewer
            rate = (viewer.ask + viewer.click + viewer.form) * self.appeal(block, viewer)
            since, until = max(low, stay.enter), min(high, stay.exit)
            viewer.budget -= rate * (until - since) / 1000.0
            while viewer.budget <= 0.0 < rate:
                self._act(max(since, until + math.floor(viewer.budget / rate * 1000.0)), stay, block)
                viewer.budget += viewer.company.acts.exponential(1.0)

    def _act(self, at: int, stay: Stay, block: int) -> None:
        viewer = stay.viewer
        draw = viewer.company.acts.random() * (viewer.ask + viewer.click + viewer.form)
        if draw < viewer.click:
            self._click(at, stay, block)
        elif draw < viewer.click + viewer.form and not viewer.filled_form:
            self._form(at, stay, block)
        else:
            self._comment(at, viewer, viewer.company.voice.question(), block)

    def odds(self, viewer: Viewer, block: int, *, again: bool) -> Odds:
        """Return the chances of a click of this viewer in a block; ``again``: after a payment."""
        habits = viewer.habits
        factor = viewer.lift * self.climate.factor(block, viewer.style) * (AGAIN if again else 1.0)
        cart_order = habits.cart_order * factor
        return Odds(
            cart=habits.cart,
            order=min(MOST_ORDER, habits.order * factor),
            cart_order=min(MOST_CART, cart_order),
            answered=min(MOST_CART, cart_order * self.scenario.sellers.skill),
            pay=habits.pay,
        )

    def _click(self, at: int, stay: Stay, block: int) -> None:
        viewer = stay.viewer
        dice, habits = viewer.company.acts, viewer.habits
        product = self.stage.product[block] if dice.chance(0.85) else viewer.favourite
        self._emit(at, "product_click", viewer, product=PRODUCTS[product].name)
        coupon = at + 3_000 + int(dice.exponential(12_000))
        if dice.chance(habits.coupon) and coupon < stay.exit:
            self._emit(coupon, "coupon_claim", viewer, product=PRODUCTS[product].name)
        again = viewer.paid_at is not None and viewer.paid_at <= at
        intent = Intent(
            at,
            self.odds(viewer, block, again=again),
            product,
            count=1 if dice.chance(0.85) else 2,
            seller=dice.whole(1, max(1, self.scenario.sellers.count)),
            order=f"o-{self.start}-{self._index}-{viewer.company.mark}{viewer.company.count}",
        )
        draw_fate(dice, intent, answer_s=self.answer_s)
        viewer.intents.append(intent)
        self._tell(viewer, intent, at)

    def _tell(self, viewer: Viewer, intent: Intent, after: int) -> None:
        """Emit what comes of an intent after a moment and before the end, seen by the platform or by the sellers."""
        dice = viewer.company.acts
        product = PRODUCTS[intent.product]
        paid, carted, answered, ordered = intent.paid, intent.carted, intent.answered, intent.ordered
        if carted is not None and after < carted < self.end:
            self._emit(carted, "cart_add", viewer, product=product.name)
        if answered is not None:
            seller = f"seller-{intent.seller}"
            given_up = answered + LOST_MS
            if after < answered < self.end:
                self._emit(answered, "lead_claim", viewer, seller=seller)
            done, outcome = (given_up, "lost") if paid is None or paid > given_up else (paid, "won")
            if after < done < self.end:
                self._emit(done, "lead_outcome", viewer, seller=seller, outcome=outcome)
        if ordered is not None and after < ordered < self.end:
            self._order(ordered, "order_created", viewer, intent)
        if paid is None or paid >= self.end:
            return
        viewer.paid_at = paid if viewer.paid_at is None else min(viewer.paid_at, paid)
        if paid <= after:
            return
        self._order(paid, "order_paid", viewer, intent)
        said = paid + 5_000 + int(dice.exponential(20_000))
        if dice.chance(0.3) and any(stay.enter <= said < stay.exit for stay in viewer.visits):
            self._comment(
                said, viewer, "ordered", min((paid - self.start) // BLOCK_MS, self.stage.blocks - 1)
            )
        back = paid + 60_000 + int(dice.exponential(900_000))
        if dice.chance(REFUND) and back < self.end:
            self._order(back, "order_refunded", viewer, intent)

    def _order(self, at: int, kind: str, viewer: Viewer, intent: Intent) -> None:
        product = PRODUCTS[intent.product]
        value = product.price * intent.count
        self._emit(
            at,
            kind,
            viewer,
            order=intent.order,
            product=product.name,
            count=intent.count,
            value=value,
            currency="CNY",
        )

    def _form(self, at: int, stay: Stay, block: int) -> None:
        viewer = stay.viewer
        dice = viewer.company.acts
        viewer.filled_form = True
        product = PRODUCTS[self.stage.product[block]].name
        self._emit(
            at,
            "form_submit",
            viewer,
            form="consult",
            fields=form_fields(dice, product=product),
            consent=form_consent(dice),
        )
        booked = at + 10_000 + int(dice.exponential(40_000))
        if dice.chance(BOOKING) and booked < stay.exit:
            self._emit(booked, "booking", viewer, product=product)

    def _crowd_noise(
        self, company: Company, block: int, low: int, high: int, present: list[Stay]
    ) -> Iterator[int]:
        """Let a company's viewers like, talk and give in a block; yield the time of each act."""
        sums = running_sums([stay.viewer.weight * self._doing[stay.viewer.type].total for stay in present])
        rate = self._pace * self.stage.excitement[block] * (sums[-1] if sums else 0.0)
        if rate <= 0.0:
            return
        dice = company.acts
        step_ms = 1000.0 / rate
        at = low + dice.exponential(step_ms)
        while at < high:
            now = int(at)
            stay = present[dice.index(sums)]
            # Thinning: who has left or is yet to come in this block does nothing, and nobody does it instead.
            if stay.enter <= now < stay.exit:
                self._pastime(now, stay.viewer, block)
            yield now
            at += dice.exponential(step_ms)

    def _pastime(self, at: int, viewer: Viewer, block: int) -> None:
        does = self._doing[viewer.type]
        dice = viewer.company.acts
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
        voice = viewer.company.voice
        if viewer.script is not None:
            text = voice.repeat(viewer.script)
        else:
            number = self.stage.product[block]
            text = voice.say(category, product=PRODUCTS[number], number=number + 1, host=self._host)
        self._emit(at, "comment", viewer, text=text)

    # How it arrives

    def _emit(self, at: int, kind: str, viewer: Viewer | None = None, **about: Any) -> None:
        company = self._house if viewer is None else viewer.company
        company.count += 1
        faults = company.faults
        arrival = at + self.scenario.faults.latency_ms
        again: int | None = None
        sums = self._faulty
        if sums[-1] and kind not in _FAULTLESS:
            draw = faults.random()
            if draw < sums[-1]:
                if draw < sums[0]:
                    return
                if draw < sums[1]:
                    again = arrival + self._fault_ms(faults, self.scenario.faults.duplicate_after_s)
                elif draw < sums[2]:
                    arrival += self._fault_ms(faults, self.scenario.faults.reorder_by_s)
                else:
                    longest = self.scenario.faults.late_by_s
                    arrival += int(100 * longest) + self._fault_ms(faults, 0.9 * longest)
        if viewer is not None:
            about["viewer"] = viewer.id
            about["name"] = viewer.name
            if viewer.fan:
                about["fan"] = True
            if viewer.type is ViewerType.STAFF:
                about["staff"] = True
        self._push(arrival, at, kind, company, about)
        if again is not None:
            self._push(again, at, kind, company, about)

    def _push(self, arrival: int, at: int, kind: str, company: Company, about: dict[str, Any]) -> None:
        event = Event(
            id=f"{self.start}-{company.mark}{company.count}",
            platform=self.scenario.platform,
            room=self.name,
            session=self.session,
            kind=kind,
            at=at,
            seen_at=arrival if self.scenario.seen_at else None,
            **about,
        )
        self._pushed += 1
        heapq.heappush(self._heap, (arrival, self._position, self._pushed, event))

    def _fault_ms(self, faults: Dice, longest_s: float) -> int:
        return int(faults.random() * longest_s * 1000.0)

    def _release(self, limit: int) -> Iterator[tuple[int, int, int, Event]]:
        while self._heap and self._heap[0][0] < limit:
            yield heapq.heappop(self._heap)


def _upto(sums: list[float], offset_ms: int) -> float:
    """Return a running sum over blocks at a time within a block, by straight line."""
    block, rest = divmod(offset_ms, BLOCK_MS)
    if block + 1 >= len(sums):
        return sums[-1]
    return sums[block] + (sums[block + 1] - sums[block]) * rest / BLOCK_MS
