"""Erasing one person: in a running daemon, on a store that rests, and in a store that is restored.

What is sealed goes first, with its key, and from then on there is no way back: the vault knows what is still to be
done, and the next start goes on with it. Then the journal gets an event that says so, names and words leave memory,
the journal's frames and the outbox are gone through in small steps, snapshots are replaced by one of now, and the WAL
is emptied.

The platform's viewer id stays in the facts, as a pseudonym: replay goes by it. What comes after the erasure is new.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
import structlog
from msgspec import Struct

from frontrow.core.centre.erasing import KIND, LEAD, Erasure, erase_event
from frontrow.core.centre.identities import PHONE, Identity, identity_of, viewer_identity
from frontrow.core.centre.sealing import answers_of
from frontrow.core.engine import Engine
from frontrow.core.errors import CommitFailed, DatabaseAway, FrontrowError
from frontrow.core.events import Event
from frontrow.core.frames import Frame
from frontrow.core.ports import Clock, Intake
from frontrow.core.preparing import Preparer
from frontrow.runtime.intake import NotStored, QueueFull
from frontrow.runtime.people import People
from frontrow.storage.aio import StoreThread
from frontrow.storage.centre.care import WholePerson
from frontrow.storage.lock import StoreLock
from frontrow.storage.snapshots import Snapshots
from frontrow.storage.store import Commit, Store
from frontrow.storage.vault import Vault, path_beside

FEED = "privacy"  # the name under which the event comes in
FRAMES_A_STEP = 32  # some 10 ms of the store's thread where nothing is found
ALERTS_A_STEP = 512
AGAIN_S = 10.0  # between two looks at whether what erasures wait for is over: somebody reads, or the lead centre's database is away
PAUSE_S = 0.02  # between two steps, so that commits do not wait for more than one
WAL_TRIES, WAL_PAUSE_S = 20, 0.5  # before it is said that somebody reads: most have soon done
STILL_READ = "somebody reads the journal, and what was erased is in its WAL until they have done"
CENTRE_STILL_READ = (
    "somebody reads the lead centre's file, and what was erased is in its WAL until they have done"
)
REASON = "the person was erased"  # of alerts that were not sent yet

log = structlog.get_logger(__name__)
_encode = msgspec.json.Encoder().encode


class Wish(Struct, frozen=True):
    """What is to be erased: all that came up to ``at`` (UTC ms) of some identities. ``by`` and ``reason`` are kept as facts.

    The first ``named`` identities are those that were known when it was asked for; leads, and numbers that are found
    later, come behind them.
    """

    id: str
    identities: list[Identity]
    by: str
    reason: str
    at: int
    named: int = 1


class Begun(Struct, frozen=True):
    """An erasure that will be finished whatever happens: ``id`` names it, ``keys`` were destroyed, of a person with so many ``names``."""

    id: str
    keys: int
    names: int = 1


class NoSuchStore(FrontrowError):
    """There is no store to look for a person in."""


class NotErased(FrontrowError):
    """Nothing was erased since a running daemon refuses, in its own words, or what was begun could not be ended; the message says which."""


class Keeps(Protocol):
    """Who keeps snapshots."""

    async def replace_all(self, engine: Engine, people: People, when_settled: "WhenSettled") -> None: ...


WhenSettled = Callable[[Callable[[], bool]], Awaitable[bool]]


def new_wish(
    platform: str, viewer: str, *, by: str, reason: str, at: int, whole: WholePerson | None = None
) -> Wish:
    """Return the wish to erase a platform's viewer, with all that came of them up to ``at``; ``whole`` is what else they are known by."""
    names = [viewer_identity(platform, viewer)] if whole is None else whole.identities
    leads = [] if whole is None else [Identity(LEAD, lead) for lead in whole.leads]
    return Wish(secrets.token_hex(8), [*names, *leads], by, reason, at, len(names))


class Erasing:
    """Erases persons in a running daemon, one after another. One owner: the event loop."""

    def __init__(
        self,
        *,
        store: StoreThread,
        vault: Vault,
        intake: Intake,
        engine: Engine,
        people: People,
        preparer: Preparer,
        keeper: Keeps,
        forget: Callable[[Sequence[tuple[str, str]]], None],
        when_settled: WhenSettled,
        waits_s: float,
        clock: Clock,
    ) -> None:
        """``waits_s`` is how long events may wait in the intake, in seconds: what came before an erasure may be stored behind it."""
        self._store = store
        self._vault = vault
        self._intake = intake
        self._engine = engine
        self._people = people
        self._preparer = preparer
        self._keeper = keeper
        self._forget_elsewhere = forget
        self._when_settled = when_settled
        self._clock = clock
        self._waits_s = waits_s
        self._person: Callable[[Identity, bool], Awaitable[WholePerson]] | None = None
        self._centre_forgets: Callable[[], Awaitable[bool]] | None = None
        self._told: set[str] = set()
        self._telling = asyncio.Lock()
        self._asked = asyncio.Event()
        # What is finished but for the WAL, and the lead centre's database: how many frames and alerts were changed.
        self._rewritten: dict[str, tuple[int, int]] = {}
        self._waits_for = ""  # as was logged; "": for nothing

    def follow(
        self,
        person: Callable[[Identity, bool], Awaitable[WholePerson]],
        centre_forgets: Callable[[], Awaitable[bool]],
    ) -> None:
        """Let the lead centre take part: ``person`` gives all that somebody is known by (True: one name alone), ``centre_forgets`` waits
        until its database has forgotten whom the journal says to forget."""
        self._person, self._centre_forgets = person, centre_forgets

    async def erase(
        self, platform: str, viewer: str, *, by: str, reason: str, one_name: bool = False
    ) -> Begun:
        """Begin to erase a person, under all names or only this; return once it is certain to be finished, by :meth:`run` or after the next start.

        By then their keys are destroyed, the journal says so, and nothing of theirs is shown any more.

        Raises:
            CommitFailed: The vault cannot be written, and nothing was begun.
            NotStored: The journal cannot be written, and the daemon ends.
            DatabaseAway: The lead centre, which knows the names, does not answer; nothing was begun.
        """
        whole = (
            None if self._person is None else await self._person(viewer_identity(platform, viewer), one_name)
        )
        wish = new_wish(platform, viewer, by=by, reason=reason, at=self._clock.now(), whole=whole)
        keys = await asyncio.to_thread(_begin, self._vault, wish)
        await self._tell(wish)
        self._asked.set()
        return Begun(wish.id, keys, wish.named)

    async def run(self) -> None:
        """Finish what was begun, now or in an earlier life of the daemon; until cancelled, or until nothing more can be stored."""
        while True:
            self._asked.clear()
            for wish in await asyncio.to_thread(_under_way, self._vault):
                if wish.id in self._rewritten:
                    continue
                try:
                    await self._rewrite(wish)
                except CommitFailed:
                    raise
                except (NotStored, QueueFull):
                    return  # the daemon ends, and the pipeline says why; the next start goes on
                except FrontrowError as failed:
                    # It is under way still: the next start tries again, and so does the next erasure.
                    log.error("erasure_not_finished", erasure=wish.id, reason=str(failed))
            if await self._finished():
                await self._asked.wait()
            else:
                await self._clock.sleep(AGAIN_S)

    async def _rewrite(self, wish: Wish) -> None:
        await self._tell(wish)
        await self._clock.sleep(self._waits_s)
        self._forget(wish)
        store = self._store.store
        wish, leads = await asyncio.to_thread(_completed, store.path, self._vault, wish)
        steps = erased(store, Erasure.of(wish.identities, leads, wish.at), at=wish.at)
        while (changed := await self._store.call(next, steps)) is None:
            await self._clock.sleep(PAUSE_S)
        await self._keeper.replace_all(self._engine, self._people, self._when_settled)
        self._rewritten[wish.id] = changed

    async def _finished(self) -> bool:
        """End the erasures of which nothing can be read any more; False: something is waited for, and they are under way."""
        waits_for = await self._hindrance() if self._rewritten else ""
        if waits_for and waits_for != self._waits_for:
            log.warning("erasure_waits", erasures=len(self._rewritten), reason=waits_for, retry_in_s=AGAIN_S)
        self._waits_for = waits_for
        if waits_for:
            return False
        for id, (frames, alerts) in list(self._rewritten.items()):
            await asyncio.to_thread(self._vault.end_erasure, id)
            del self._rewritten[id]
            log.info("person_erased", erasure=id, frames=frames, alerts=alerts)
        return True

    async def _hindrance(self) -> str:
        """Take what was out of the files of journal and lead centre; return what that has to wait for, "" where it is done."""
        store = self._store.store
        if not await self._emptied(lambda: self._store.call(store.empty_wal)):
            return STILL_READ
        try:
            if self._centre_forgets is not None and not await self._emptied(self._centre_forgets):
                return CENTRE_STILL_READ
        except DatabaseAway as away:
            return str(away)
        return ""

    async def _emptied(self, empty: Callable[[], Awaitable[bool]]) -> bool:
        # Once it was said that somebody reads, one look is enough: a new erasure shall not wait for all of them.
        for _ in range(1 if self._waits_for else WAL_TRIES):
            if await empty():
                return True
            await self._clock.sleep(WAL_PAUSE_S)
        return False

    async def _tell(self, wish: Wish) -> None:
        """Journal that a person is erased, once, then forget them in memory."""
        async with self._telling:
            if wish.id not in self._told:
                await (await self._intake.put([_event(wish)], feed=FEED))
                self._forget(wish)
                self._told.add(wish.id)

    def _forget(self, wish: Wish) -> None:
        self._preparer.forget()
        viewers = [_viewer(identity) for identity in wish.identities if identity.is_viewer]
        for platform, viewer in viewers:
            self._people.free(self._engine.rows_of(platform, viewer))
        self._forget_elsewhere(viewers)


def erased(store: Store, erasure: Erasure, *, at: int) -> Iterator[tuple[int, int] | None]:
    """Erase in a store, a little at each step; yield None, and in the end how many frames and alerts were changed.

    What comes in meanwhile is gone through too.

    Raises:
        StoreDamaged: A frame cannot be read.
        CommitFailed: It is not certain what was erased; begin again.
    """
    seq = id = frames = alerts = 0
    while True:
        last, changed = store.rewrite_personal(
            seq, FRAMES_A_STEP, erasure.rest_of, may_concern=erasure.may_concern
        )
        if last == seq:
            break
        seq, frames = last, frames + changed
        yield None
    while True:
        last, changed = store.rewrite_alerts(id, ALERTS_A_STEP, erasure.rest_of_alert, at=at, error=REASON)
        if last == id:
            break
        id, alerts = last, alerts + changed
        yield None
    yield frames, alerts


def erase_at_rest(
    path: Path, master: bytes | None, wish: Callable[[int], Wish] | None, *, clock: Clock
) -> list[Wish]:
    """Erase in a store that no daemon works on, and finish what an earlier one has begun; return what was erased.

    ``wish`` makes a new wish, given the time up to which the journal goes (UTC ms); None: there is none.

    Raises:
        StoreLocked: A daemon works on it.
        NoSuchStore: There is none.
        StoreDamaged: The journal or the vault cannot be read; what was begun is begun.
        StoreUnusable: One of them cannot be opened or written.
        NotErased: Somebody reads the journal: all is done but that the WAL still has what was; what is under way is ended
            by the next start, or when this is asked again, with or without a new wish.
    """
    if not path.exists():
        raise NoSuchStore(f"{path}: there is no store; see [storage] path")
    lock = StoreLock(path)
    lock.acquire("an erasure")
    try:
        vault = Vault.open(path_beside(path), master)
        store = Store.open(path, create=False)
        try:
            store.settle()
            if wish is not None:
                _begin(vault, wish(max(clock.now(), _end_of(store))))
            done = _under_way(vault)
            for each in done:
                _finish_at_rest(store, vault, each, clock)
        finally:
            store.close()
            vault.close()
    finally:
        lock.release()
    return done


def _finish_at_rest(store: Store, vault: Vault, wish: Wish, clock: Clock) -> None:
    event = _event(wish)
    if not any(event.id in frame.ids for _, frame in store.frames_with(KIND)):
        store.append([Commit(Frame.of([event], [0]), (), (), clock.now())])
    wish, leads = _completed(store.path, vault, wish)
    for _ in erased(store, Erasure.of(wish.identities, leads, wish.at), at=wish.at):
        pass
    Snapshots.beside(store.path).remove_all()  # the next start reads the journal
    if not store.empty_wal():
        raise NotErased(
            f"erasure {wish.id} is under way: {STILL_READ}; the daemon's next start ends it, or this command, given again"
        )
    vault.end_erasure(wish.id)


def _end_of(store: Store) -> int:
    return max((max(frame.arrivals()) for _, frame in store.frames(after=max(0, store.seq - 1))), default=0)


def _begin(vault: Vault, wish: Wish) -> int:
    return vault.begin_erasure(wish.id, _encode(wish), wish.identities, wish.at)


def _under_way(vault: Vault) -> list[Wish]:
    return [msgspec.json.decode(wish, type=Wish) for _, wish in vault.erasures()]


def _event(wish: Wish) -> Event:
    # Of what was asked for, not what was found: the same after a restart, so that it is in the journal once.
    return erase_event(wish.id, wish.identities[: wish.named], by=wish.by, reason=wish.reason, at=wish.at)


def _completed(path: Path, vault: Vault, wish: Wish) -> tuple[Wish, list[str]]:
    """Add to a wish the numbers that its viewers gave, whose keys go too; return it with the ids of their leads."""
    found = look_for(path, wish.identities)
    numbers = [identity for identity in found.numbers if identity not in wish.identities]
    if numbers:
        wish = msgspec.structs.replace(wish, identities=[*wish.identities, *numbers])
        _begin(vault, wish)
    return wish, found.leads


# ---------------------------------------------------------------------- looking


class Found(Struct, frozen=True):
    """What a store knows some viewers by: the numbers that they gave, as identities, and their leads' ids."""

    numbers: list[Identity]
    leads: list[str]


def look_for(path: Path, identities: Sequence[Identity]) -> Found:
    """Return what a store knows some viewers by, beside a daemon at work. Raises StoreDamaged, StoreUnusable."""
    viewers = {identity for identity in identities if identity.is_viewer}
    erasure = Erasure.of(viewers, (), 1 << 62)
    store = Store.open_to_read(path)
    try:
        numbers: dict[Identity, None] = {}
        for _, frame in store.frames_that(erasure.may_concern):
            data = frame.seldom.get("data", {})
            for position in erasure.positions(frame):
                if number := _number(data.get(position)):
                    numbers[number] = None
        leads = [lead.lead for identity in viewers for lead in store.leads_of(*_viewer(identity))]
    finally:
        store.close()
    return Found(list(numbers), leads)


def export(
    path: Path, vault: Vault | None, platform: str, viewer: str, whole: WholePerson | None = None
) -> dict[str, Any]:
    """Return all that a store holds of a platform's viewer, as JSON values; forms as they were written. ``whole`` is what else they are known by.

    ``events`` are theirs and those about their leads, ``contacts`` what they entrusted (None: its key was destroyed),
    ``consents`` what they agreed to, ``accesses`` who was shown their contact. Without a vault nothing sealed is
    opened.

    Raises:
        NoSuchStore: There is none.
        StoreDamaged: The journal cannot be read.
        StoreUnusable: It cannot be opened.
    """
    if not path.exists():
        raise NoSuchStore(f"{path}: there is no store; see [storage] path")
    person = viewer_identity(platform, viewer)
    names = [person] if whole is None else whole.identities
    found = look_for(path, names)
    identities = [*names, *(number for number in found.numbers if number not in names)]
    erasure = Erasure.of(identities, [*found.leads, *(whole.leads if whole is not None else ())], 1 << 62)
    viewers = [each for each in names if each.is_viewer]
    store = Store.open_to_read(path)
    try:
        frames = store.frames_that(erasure.may_concern)
        events = [event for _, frame in frames for event in _concerning(frame, erasure, identities)]
        leads = [lead for each in viewers for lead in store.leads_of(*_viewer(each))]
        alerts = [alert for each in viewers for alert in store.alerts_of(*_viewer(each))]
    finally:
        store.close()
    unseal = vault.unseal if vault is not None else lambda *_: None
    forms = [event for event in events if event.kind == "form_submit"]
    held: dict[str, Any] = msgspec.to_builtins({
        "person": {"platform": platform, "viewer": viewer, "identities": identities},
        "events": events,
        "contacts": [
            {"event": event.id, "at": event.at, "form": event.form, "answers": answers_of(event, unseal)}
            for event in forms
            if event.fields
        ],
        "consents": [
            {"event": event.id, "at": event.at, "form": event.form, "given": bool(event.consent)}
            for event in forms
        ]
        + [{"event": event.id, "at": event.at, **(event.data or {})} for event in events if event.kind == "consent"],
        "accesses": [
            {"event": event.id, "at": event.at, "lead": event.lead, "seller": event.seller, **(event.data or {})}
            for event in events
            if event.kind == "contact_reveal"
        ],
        "leads": leads,
        "alerts": [
            {"sink": sink, "state": state, "created_at": created_at, "alert": alert}
            for sink, state, created_at, alert in alerts
        ],
    })  # fmt: skip
    return held


def _viewer(identity: Identity) -> tuple[str, str]:
    return identity.kind.partition(":")[2], identity.key


def _concerning(frame: Frame, erasure: Erasure, identities: Sequence[Identity]) -> list[Event]:
    positions = set(erasure.positions(frame))
    for position, data in frame.seldom.get("data", {}).items():
        if isinstance(data, dict) and _identity(data.get("identity")) in identities:
            positions.add(position)
    return frame.take(sorted(positions)).events()


def _number(data: Any) -> Identity | None:
    return _identity({"kind": PHONE, "key": data.get(PHONE)}) if isinstance(data, dict) else None


def _identity(value: Any) -> Identity | None:
    try:
        return identity_of(value)
    except ValueError:
        return None
