"""Retention: names, texts and contacts leave the journal when they have been kept for as long as is configured.

Each of the three has its time and its place in the journal, up to which it is gone; the place is in the store and
moves with what was rewritten, so that a restart goes on there. It is done in small steps with pauses, beside
everything else. What the lead centre's database holds of them goes by the same times (:class:`Sweeping`).
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Protocol

import sqlalchemy as sa
import structlog

from frontrow.config import Config
from frontrow.core.alerts import LeadAlert
from frontrow.core.centre.erasing import CONTACTS, NAMES, TEXTS, blanked, without
from frontrow.core.errors import DatabaseAway, StoreDamaged
from frontrow.core.events import DAEMON_KINDS
from frontrow.core.frames import Frame
from frontrow.core.ports import Clock
from frontrow.storage.aio import StoreThread
from frontrow.storage.centre.sweeping import sweep
from frontrow.storage.store import RETENTION, Store

DAY_MS = 86_400_000
EVERY_S = 3_600.0
FRAMES_A_STEP = 4  # some 20 ms of the store's thread
ALERTS_A_STEP = 512
PAUSE_S = 0.2  # so that a tenth of the store's time goes here at most
AWAY_S = 60.0  # between two looks at whether the lead centre's database is back
TOO_OLD = "older than names and words are kept"

log = structlog.get_logger(__name__)


def kept_days(config: Config) -> dict[str, int]:
    """Return for how many days each part is kept; those that are kept for ever are left out."""
    privacy = config.privacy
    days = {
        NAMES: privacy.keep_names_days,
        TEXTS: privacy.keep_texts_days,
        CONTACTS: privacy.keep_contacts_days,
    }
    return {part: kept for part, kept in days.items() if kept}


def kept_since(days: Mapping[str, int], now: int) -> dict[str, int]:
    """Return since when (UTC ms) each part is kept at ``now``: what is older goes."""
    return {part: now - kept * DAY_MS for part, kept in days.items()}


def aged(store: Store, days: Mapping[str, int], now: int) -> Iterator[int]:
    """Take out of a store what has been kept for ``days`` at ``now`` (UTC ms), a little at each step; yield frames changed.

    A frame's age is that of its last event. Alerts lose both name and words as soon as either is too old.

    Raises:
        StoreDamaged: A frame cannot be read; what comes behind it is kept.
        CommitFailed: The store takes no more.
    """
    for part, kept in days.items():
        place = f"{RETENTION}{part}"
        seq = store.place(place)
        while True:
            last, changed = store.rewrite_personal(
                seq, FRAMES_A_STEP, partial(_without, part), before=now - kept * DAY_MS, place=place
            )
            if last == seq:
                break
            seq = last
            yield changed
    shown = [kept for part, kept in days.items() if part != CONTACTS]
    if shown:
        until = now - min(shown) * DAY_MS
        id = 0
        while True:
            last, _ = store.rewrite_alerts(id, ALERTS_A_STEP, partial(_blanked, until), at=now, error=TOO_OLD)
            if last == id:
                return
            id = last
            yield 0


async def retain(store: StoreThread, days: Mapping[str, int], clock: Clock) -> None:
    """Take out what is too old, now and every hour, until cancelled; returns at once if all is kept for ever."""
    while days:
        changed = 0
        try:
            steps = aged(store.store, days, clock.now())
            while (more := await store.call(next, steps, None)) is not None:
                changed += more
                await clock.sleep(PAUSE_S)
        except StoreDamaged as damaged:
            log.error("retention_stopped", reason=str(damaged))
        if changed:
            log.info("retention", frames=changed)
        await clock.sleep(EVERY_S)


class Observer(Protocol):
    """Who counts. No call may raise or wait."""

    def centre_swept(self, part: str, rows: int) -> None:
        """Hear that so many rows of the lead centre's database have lost a part."""


class Sweeping:
    """Takes what is too old out of the lead centre's database, now and every hour, from :meth:`run` until it is cancelled."""

    def __init__(
        self,
        days: Mapping[str, int],
        *,
        between: Callable[[Callable[[sa.Engine], dict[str, int]]], Awaitable[dict[str, int]]],
        scrub: Callable[[], Awaitable[bool]],
        clock: Clock,
        observer: Observer,
    ) -> None:
        """``between`` does something with the database between two transactions of the centre, and raises DatabaseAway where there is none now;
        ``scrub`` takes out of its files what was taken out of its rows, and returns False while somebody reads."""
        self._days = days
        self._between = between
        self._scrub = scrub
        self._clock = clock
        self._observer = observer
        self._unscrubbed = False
        self.failing = False

    async def run(self) -> None:
        """Sweep until cancelled; returns at once if all is kept for ever. A database that is away is tried again."""
        while self._days:
            wait_s, swept = EVERY_S, Counter[str]()
            try:
                await self._sweep(swept)
                self.failing = False
            except (DatabaseAway, sa.exc.OperationalError, sa.exc.InterfaceError):
                wait_s = AWAY_S  # which the centre's follower tells and counts
            except Exception as error:  # a mistake of ours must not end the daemon
                if not self.failing:
                    log.error("centre_retention_failed", error=type(error).__name__, exc_info=error)
                self.failing = True
            if swept:
                log.info("centre_retention", **swept)
            await self._clock.sleep(wait_s)

    async def _sweep(self, swept: Counter[str]) -> None:
        before = kept_since(self._days, self._clock.now())
        while taken := await self._between(partial(sweep, before=before)):
            self._unscrubbed = True
            for part, rows in taken.items():
                swept[part] += rows
                self._observer.centre_swept(part, rows)
            await self._clock.sleep(PAUSE_S)
        if self._unscrubbed:  # not insisted on: where somebody reads, it is done an hour later
            self._unscrubbed = not await self._scrub()


def _without(part: str, frame: Frame) -> Frame | None:
    # What the daemon itself says (who let which model lead, and why) is no viewer's, and a ledger is held against it.
    return without(frame, [at for at, kind in enumerate(frame.kinds) if kind not in DAEMON_KINDS], [part])


def _blanked(until: int, alert: LeadAlert, created_at: int) -> LeadAlert | None:
    rest = blanked(alert)
    return rest if created_at < until and rest != alert else None
