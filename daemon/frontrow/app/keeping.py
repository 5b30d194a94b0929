"""Keeps images of the engine beside the journal, so that a start need not read all of it; and starts from them.

A snapshot only shortens a restart: with the frames after it, it gives what the whole journal gives. The image is taken
between two commits, when all that the engine has applied is durable; it is written in a thread of its own. If writing
fails, that is told and counted, and the daemon goes on: the journal has everything.
"""

import asyncio
import functools
import hashlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Protocol

import msgspec
import structlog

from frontrow import __version__
from frontrow.app.following import Following
from frontrow.config import Config
from frontrow.core.engine import ENGINE_VERSION, Engine
from frontrow.core.errors import SnapshotFailed
from frontrow.core.features import FEATURES_VERSION
from frontrow.core.images import Image
from frontrow.core.ports import Clock
from frontrow.runtime.people import People
from frontrow.storage.aio import StoreThread
from frontrow.storage.attic import DiskAttic
from frontrow.storage.snapshots import Snapshots
from frontrow.storage.store import Store

_LOOK_S = 0.02  # between two looks at whether a snapshot is still being written

log = structlog.get_logger(__name__)


class Observer(Protocol):
    """Who counts. No call may raise or wait."""

    def snapshot(self, seconds: float | None) -> None:
        """Hear that a snapshot was written, and how long it took; None: it failed."""


def identity_of(config: Config) -> dict[str, str]:
    """Return what an engine must have in common with the one whose image it takes over."""
    days = sorted(
        (room.platform, room.room, room.timezone) for room in config.rooms
    )  # of rules that pay per day
    # Who learns beside the champion, and who lets one of them lead, comes in as events.
    model = msgspec.structs.replace(config.model, challengers=(), promotion="ask")
    settings = msgspec.json.encode(
        [config.points, config.crowd, config.engine, config.outcome, model, days],
        order="deterministic",
        enc_hook=str,
    )
    return {
        "frontrow": __version__,
        "engine": str(ENGINE_VERSION),
        "features": str(FEATURES_VERSION),
        "numpy": version("numpy"),
        "river": version("river"),
        "settings": hashlib.sha256(settings).hexdigest()[:16],
    }


class Keeper:
    """The snapshots and the attic of one daemon, from its start to its end."""

    def __init__(
        self,
        *,
        store: StoreThread,
        attic: DiskAttic,
        attic_thread: ThreadPoolExecutor,
        snapshots: Snapshots,
        identity: dict[str, str],
        clock: Clock,
        every_s: float,
        observer: Observer,
    ) -> None:
        """``every_s`` is the time between two snapshots in seconds; 0: none are written."""
        self._store = store
        self._attic = attic
        self._attic_thread = attic_thread
        self._snapshots = snapshots
        self._identity = identity
        self._clock = clock
        self._every_s = every_s
        self._observer = observer
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="snapshots")
        self._taken_at = clock.monotonic()
        self._seq = 0  # the frame of the last image
        self._image: tuple[int, dict[str, Image]] | None = None  # what waits to be written
        self._writing = False
        self._asked = asyncio.Event()

    def restore(
        self,
        engine: Engine,
        people: People,
        following: Following | None = None,
        *,
        stopping: Callable[[], bool],
    ) -> tuple[int, int]:
        """Bring a new engine to where the journal ends; return (frame of the snapshot, events applied after it).

        For the store's thread. ``following`` are the versions that the engine will ask for, None if it asks for none.
        ``stopping`` is asked between frames, and ends it early.

        Raises:
            StoreDamaged: The journal cannot be read back.
            CannotFollow: A version is not there or cannot be used; nothing was applied then.
        """
        store = self._store.store
        found = self._snapshots.newest(store.seq, self._identity, self._fitting(store))
        seq = 0
        if found is not None:
            seq, images = found
            engine.load(images)
            people.load(images["people"])
        self._attic.rewind(seq)
        if following is not None and engine.model is not None:
            following.look_ahead(store, after=seq, waiting=engine.succession.waiting)
        events = 0
        for _, frame in store.frames(after=seq):
            if stopping():
                break  # the daemon is to end before it has begun; nothing depends on the rest
            effects = engine.apply(frame)
            people.note(effects.kept, effects.rows)
            people.free(effects.freed)
            events += len(effects.kept)
        self._seq = seq
        return seq, events

    def between(self, engine: Engine, people: People) -> None:
        """Take an image if it is time; called when all that the engine has applied is durable."""
        seq = self._store.store.seq
        now = self._clock.monotonic()
        if not self._every_s or self._writing or seq == self._seq or now - self._taken_at < self._every_s:
            return
        self._take(engine, people, seq)

    def last(self, engine: Engine, people: People) -> None:
        """Take an image at the end, so that the next start has nothing to read; nothing is applied any more."""
        if self._every_s and not self._writing and self._store.store.seq != self._seq:
            self._take(engine, people, self._store.store.seq)

    async def replace_all(
        self,
        engine: Engine,
        people: People,
        when_settled: Callable[[Callable[[], bool]], Awaitable[bool]],
    ) -> None:
        """Write an image of now and remove every other, as one must when somebody was erased; while :meth:`run` runs.

        ``when_settled`` calls when all that the engine has applied is durable. If the image cannot be written, none
        is left.

        Raises:
            SnapshotFailed: The others cannot be removed.
        """

        def take() -> bool:
            if self._every_s and not self._writing:
                self._take(engine, people, self._store.store.seq)
                return True
            return not self._every_s

        while not await when_settled(take):
            await self._clock.sleep(_LOOK_S)
        seq = self._seq
        while self._writing:
            await self._clock.sleep(_LOOK_S)
        remove = functools.partial(self._snapshots.remove_all, but=seq if self._every_s else None)
        await asyncio.get_running_loop().run_in_executor(self._thread, remove)

    def _take(self, engine: Engine, people: People, seq: int) -> None:
        self._taken_at, self._seq, self._writing = self._clock.monotonic(), seq, True
        self._image = (seq, {**engine.images(), "people": people.image()})
        self._attic.mark(seq)
        self._asked.set()

    async def run(self) -> None:
        """Write what :meth:`between` takes, until cancelled.

        Raises:
            CommitFailed: The attic's disk failed; the daemon must end.
        """
        while True:
            await self._asked.wait()
            self._asked.clear()
            await self.finish()

    async def finish(self) -> None:
        """Write the image that waits, if there is one."""
        if self._image is None:
            return
        (seq, images), self._image = self._image, None
        began = self._clock.monotonic()
        try:
            mark = await self._store.call(self._store.store.mark, seq)
            if mark is not None:
                await asyncio.get_running_loop().run_in_executor(self._thread, self._write, seq, mark, images)
            seconds = self._clock.monotonic() - began
            self._observer.snapshot(seconds)
            log.info("snapshot_written", seq=seq, seconds=round(seconds, 3))
        except SnapshotFailed as failed:
            self._observer.snapshot(None)
            log.warning("snapshot_failed", seq=seq, reason=str(failed))
        finally:
            self._writing = False

    def _write(self, seq: int, mark: bytes, images: dict[str, Image]) -> None:
        self._attic.settle(seq, mark)  # first: a snapshot without its attic would be no use
        self._snapshots.write(seq, mark, images, self._identity)
        oldest = self._snapshots.kept()[-1]
        try:
            self._attic.prune(oldest)
        except KeyError:
            log.info("attic_not_pruned", seq=oldest)  # that snapshot is of another attic, and soon gone

    def close(self) -> None:
        """Let go of the thread and the attic; nothing is being written any more."""
        self._thread.shutdown(wait=True)
        self._attic_thread.shutdown(wait=True)
        self._attic.close()

    def _fitting(self, store: Store) -> Callable[[int], bytes | None]:
        def mark(seq: int) -> bytes | None:
            found = store.mark(seq)
            return found if found is not None and self._attic.fits(seq, found) else None

        return mark
