"""Promotions while the daemon runs: a person asks over HTTP, and the event goes the way of all events.

What leads now is kept as a version first, with all that it has learnt since, so that one can go back to it. Then the
event is put through the intake, is durable like any other, and the engine obeys it at its next mark. Of two people
who ask at once, knowing of the same promotions, the second is told who was first: both events have one id. Disks are
waited for in threads.

A challenger that is proven better is proposed: to people, or by policy it is promoted at once, in the same way.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from frontrow.app.following import Following
from frontrow.app.learning import Learning
from frontrow.core.engine import Engine
from frontrow.core.ports import Clock, Intake
from frontrow.core.promotions import Promotion, PromotionRefused, promotion_event
from frontrow.runtime.intake import NotStored, QueueFull
from frontrow_models.evaluation.verdict import Verdict
from frontrow_models.learner import Learner
from frontrow_models.registry import Ledger, PinsDamaged, Proposal
from frontrow_models.versions import Card, Outcome, Position, Version, VersionRefused, check_outcome, fits

LOOK_EVERY_S = 60.0  # at what is proposed; challengers tell once a minute
LEAST_MS = 3_600_000  # between two promotions, so that each is judged by outcomes that it has had a part in
FEED = "models"  # the name under which promotions come in

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Moment:
    """What is known at one moment when all that the engine has applied is durable."""

    made: list[Promotion]
    position: Position
    leads: str | None
    outgoing: Version | None
    outcome: Outcome | None  # what the engine teaches


class Promoting:
    """Promotes and rolls back in a running daemon. One owner: the event loop."""

    def __init__(
        self,
        engine: Engine,
        following: Following,
        learning: Learning,
        *,
        intake: Intake,
        when_settled: Callable[[Callable[[], _Moment]], Awaitable[_Moment]],
        seq: Callable[[], int],
        by_policy: bool,
        clock: Clock,
    ) -> None:
        """``when_settled`` calls when all that the engine has applied is durable, ``seq`` is the last durable frame.

        ``by_policy``: challengers that are proposed are promoted by :meth:`run`.
        """
        self._engine = engine
        self._following = following
        self._learning = learning
        self._intake = intake
        self._when_settled = when_settled
        self._seq = seq
        self._by_policy = by_policy
        self._clock = clock

    async def run(self) -> None:
        """Look once a minute at what is proposed: tell it, and by policy let the best lead; until cancelled."""
        await self._tell([])
        told: set[str] = set()
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            proposed = self._learning.proposed
            if set(proposed) != told:
                told = set(proposed)
                at = self._clock.now()
                await self._tell([Proposal(name, proposed[name].sentence, at) for name in sorted(told)])
            if proposed and self._by_policy and self.next_at() is None:
                await self._promote_best(proposed)

    async def promote(self, prefix: str, *, by: str, reason: str) -> Promotion:
        """Let a version of the registry lead, or a challenger as it is now; return the promotion once it is durable.

        Raises:
            PromotionRefused: There is no such version, it cannot be used, predicts another outcome or leads already;
                somebody was faster; or the last promotion was less than an hour ago, unless what led before was
                learnt for another outcome, so that it cannot be gone back to.
            NotStored: The journal cannot be written, and the daemon ends.
        """
        moment = await self._when_settled(self._moment)
        if await asyncio.to_thread(self._can_go_back, moment):
            self._check_time(moment.made)
        registry = self._following.registry
        try:
            challenger = self._learning.challenger(prefix, moment.position)
            if challenger is None:
                name = await self._find(prefix)
            else:
                name = await asyncio.to_thread(registry.add, challenger)
        except VersionRefused as refused:
            raise PromotionRefused(str(refused)) from refused
        except OSError as error:
            raise PromotionRefused(f"{prefix} cannot be kept ({error.strerror or error})") from error
        return await self._put(name, moment, by=by, reason=reason)

    async def roll_back(self, *, by: str, reason: str) -> Promotion:
        """Let lead again what led before the champion did, at any time. Raises as :meth:`promote`."""
        moment = await self._when_settled(self._moment)
        former = Ledger(promotions=moment.made).former
        if former is None:
            raise PromotionRefused("nothing led before that could be rolled back to")
        return await self._put(former, moment, by=by, reason=reason, back=True)

    async def _find(self, prefix: str) -> str:
        registry, names = self._following.registry, self._learning.challengers
        try:
            return await asyncio.to_thread(registry.find, prefix)
        except VersionRefused as refused:
            challengers = f"challengers that run: {', '.join(names)}" if names else "no challenger runs"
            raise VersionRefused(f"{refused}; {challengers}") from refused

    def next_at(self) -> int | None:
        """Return when the next promotion may be, UTC ms; None: at any time."""
        made = self._engine.succession.made
        at = made[-1].at + LEAST_MS if made else 0
        return at if at > self._clock.now() else None

    def _can_go_back(self, moment: _Moment) -> bool:
        """Return whether what led before predicts what is to be predicted, as far as is known; True where nothing led."""
        former = Ledger(promotions=moment.made).former
        predicts = None if former is None else self._following.predicts(former)
        return fits(predicts, moment.outcome)

    def _check_time(self, made: list[Promotion]) -> None:
        next_at = self.next_at()
        if next_at is not None:
            wait_s = (next_at - self._clock.now()) / 1000.0
            raise PromotionRefused(
                f"promotion {made[-1].number} was less than an hour ago; the next may be in {wait_s / 60.0:.0f} minutes,"
                " a rollback at any time",
                retry_after_s=wait_s,
            )

    def _moment(self) -> _Moment:
        model = self._engine.model
        if not isinstance(model, Learner):
            raise PromotionRefused("model.enabled is false: there is no model that could lead")
        made, waiting = list(self._engine.succession.made), self._engine.succession.waiting
        number = len(made) + 1
        position = Position(seq=self._seq(), at=self._engine.now or self._clock.now())
        card = Card(
            text=f"What led until promotion {number}, as it was then.\n", figures=self._learning.figures()
        )
        if (
            waiting
        ):  # it leads from the next mark on, and what leads until then was kept when that was asked for
            return _Moment(made, position, waiting[-1].version, None, model.outcome)
        outgoing = None
        # One of another outcome stays the version that it was: what it has learnt here is too little to be one of ours.
        if not model.foreign:
            # Where it is refused it has learnt nothing yet that one could want to go back to.
            with contextlib.suppress(VersionRefused):
                outgoing = model.as_version(position, card=card)
        return _Moment(made, position, model.leads, outgoing, model.outcome)

    async def _put(
        self, name: str, moment: _Moment, *, by: str, reason: str, back: bool = False
    ) -> Promotion:
        if name == moment.leads:
            raise PromotionRefused(f"{name} leads already")
        number = len(moment.made) + 1
        registry, replaces = self._following.registry, moment.leads
        try:
            version = await asyncio.to_thread(self._following.hold, name)
            check_outcome(version, moment.outcome, name, back=back)
            if moment.outgoing is not None:
                replaces = await asyncio.to_thread(registry.add, moment.outgoing)
        except VersionRefused as refused:
            raise PromotionRefused(str(refused)) from refused
        except OSError as error:
            raise PromotionRefused(f"what leads now cannot be kept ({error.strerror or error})") from error
        event = promotion_event(
            number=number,
            version=name,
            replaces=replaces,
            by=by,
            reason=reason,
            at=self._clock.now(),
            back=back,
        )
        receipt = await (await self._intake.put([event], feed=FEED))
        [promotion] = [each for each in self._engine.succession.made if each.number == number]
        if receipt.duplicates:
            raise PromotionRefused(
                f"{promotion.by or 'somebody'} was first: by promotion {number} {promotion.version} leads"
            )
        log.info("promoted", number=number, version=name, replaces=replaces)
        await self._prune(replaces)
        return promotion

    async def _promote_best(self, proposed: Mapping[str, Verdict]) -> None:
        best = max(sorted(proposed), key=lambda name: _proven(proposed[name]))
        try:
            await self.promote(best, by="policy", reason=f"{best}: {proposed[best].sentence}")
        except PromotionRefused as refused:
            log.warning("not_promoted", challenger=best, reason=str(refused))
        except (NotStored, QueueFull):
            return  # the daemon ends

    async def _tell(self, proposals: Sequence[Proposal]) -> None:
        registry = self._following.registry
        try:
            if proposals != await asyncio.to_thread(registry.proposals):
                await asyncio.to_thread(registry.keep_proposals, proposals)
        except OSError as error:
            log.warning("proposals_not_kept", reason=error.strerror)
        for each in proposals:
            log.info("challenger_proposed", challenger=each.challenger, reason=each.sentence)

    async def _prune(self, also: str | None) -> None:
        """Remove old versions that nothing needs; that it fails is no reason to refuse a promotion that is durable."""
        ever = Ledger(promotions=list(self._engine.succession.made)).ever | ({also} if also else set())
        try:
            await asyncio.to_thread(self._following.registry.prune, ever)
        except PinsDamaged as damaged:
            log.warning("versions_not_pruned", reason=str(damaged))
        except OSError as error:
            log.warning("versions_not_pruned", reason=error.strerror)


def _proven(verdict: Verdict) -> float:
    """Return the advantage over the champion that is proven, in nats a label."""
    bound = verdict.comparison.any_time
    return 0.0 if bound is None else bound[0]
