"""The outbox as people look at it, and dead letters sent again: in a running daemon, and in a store that rests."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog

from frontrow.config import Config
from frontrow.core.letters import Letter, LetterRefused, LetterView, State, view
from frontrow.core.ports import Clock
from frontrow.storage.aio import StoreThread
from frontrow.storage.lock import StoreLock
from frontrow.storage.store import Store

log = structlog.get_logger(__name__)


class Letters:
    """Fits :class:`frontrow.runtime.server.Letters` with the store of a running daemon."""

    def __init__(
        self, store: StoreThread, config: Config, *, clock: Clock, notify: Callable[[], None]
    ) -> None:
        """``notify`` calls the workers: something is due."""
        self._store = store
        self._config = config
        self._clock = clock
        self._notify = notify

    async def listed(
        self, state: State | None, sink: str | None, before: int | None, limit: int
    ) -> list[LetterView]:
        """Return letters, newest first."""
        # Over a connection of its own: few dead letters among many are looked for row by row, 0.3 s of processor time
        # a million, for which no commit is to wait.
        now = self._clock.now()
        return await asyncio.to_thread(
            read, self._config, state=state, sink=sink, before=before, limit=limit, now=now
        )

    async def shown(self, id: int) -> LetterView | None:
        """Return one letter with all that it says, or None."""
        return await asyncio.to_thread(read_one, self._config, id, now=self._clock.now())

    async def send_again(self, id: int, *, by: str) -> LetterView:
        """Let a dead letter be sent once more, and return it. Raises LetterRefused."""
        # Not broken off by who asks: what is due must also be called.
        return await asyncio.shield(asyncio.ensure_future(self._send_again(id, by)))

    async def _send_again(self, id: int, by: str) -> LetterView:
        now = self._clock.now()
        letter = await self._store.call(_put_back, self._store.store, self._config, id, now)
        log.info("letter_sent_again", id=id, sink=letter.sink, by=by)
        self._notify()
        return views(self._config, [letter], now=now)[0]


def views(config: Config, letters: Sequence[Letter], *, now: int, whole: bool = False) -> list[LetterView]:
    """Return letters as they may be shown, with the freshness of their sinks."""
    limits: Mapping[str, int] = {sink.id: sink.freshness_s for sink in config.sinks}
    return [view(each, now=now, freshness_s=limits.get(each.sink), whole=whole) for each in letters]


def read(
    config: Config, *, state: State | None, sink: str | None, before: int | None = None, limit: int, now: int
) -> list[LetterView]:
    """Return letters of the configured store, newest first (those before number ``before``, if any); beside a running daemon as well.

    Raises as :meth:`Store.open_to_read`.
    """
    store = Store.open_to_read(config.storage.path)
    try:
        found = store.letters(state=state, sink=sink, before=before, limit=limit)
        return views(config, found, now=now)
    finally:
        store.close()


def read_one(config: Config, id: int, *, now: int) -> LetterView | None:
    """Return one letter of the configured store with all that it says, or None. Raises as :func:`read`."""
    store = Store.open_to_read(config.storage.path)
    try:
        found = store.letter(id)
        return views(config, [found], now=now, whole=True)[0] if found else None
    finally:
        store.close()


def put_back(config: Config, id: int, *, clock: Clock) -> LetterView:
    """Let a dead letter of a store that rests be sent when the daemon runs again, and return it.

    Raises:
        LetterRefused: It cannot be.
        StoreLocked: A daemon works on the store, and is to be asked.
    """
    if not config.storage.path.exists():
        raise LetterRefused(f"{config.storage.path}: there is no store", missing=True)
    lock = StoreLock(config.storage.path)
    lock.acquire("a letter sent again")
    try:
        store = Store.open(config.storage.path, create=False)
        try:
            store.settle()
            now = clock.now()
            return views(config, [_put_back(store, config, id, now)], now=now)[0]
        finally:
            store.close()
    finally:
        lock.release()


def _put_back(store: Store, config: Config, id: int, now: int) -> Letter:
    letter = store.letter(id)
    if letter is None:
        raise LetterRefused(f"there is no letter {id}", missing=True)
    if letter.state != "dead":
        waits = "was sent" if letter.state == "sent" else "waits to be sent"
        raise LetterRefused(f"letter {id} {waits}; only dead letters are sent again")
    if letter.sink not in {sink.id for sink in config.sinks if sink.enabled}:
        raise LetterRefused(f"letter {id} is for sink {letter.sink}, which is not configured or not enabled")
    if not store.outbox_again(id, now):
        raise LetterRefused(f"letter {id} is no dead letter any more")
    again = store.letter(id)
    assert again is not None  # it was there in the line before, and nothing removes letters
    return again
