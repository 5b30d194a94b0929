"""The lead centre's task: it follows the journal, frame by frame, and keeps its database up with it.

A frame is applied after it is durable, in a thread of its own, so the event path never waits for a database of leads.
The position in the journal is written in the same transaction as all that follows from it; after a crash the frames
behind it are applied again, and nothing is done twice or left out. What is behind (a slow database, or one that was
away) is read from the journal, not kept in memory.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Literal, Protocol, TypeVar

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.exc import SQLAlchemyError

from frontrow.core.centre.book import LeadRow, Position, Told
from frontrow.core.centre.centre import Centre, Shown
from frontrow.core.centre.conduct import Conduct, Finding, finding_of
from frontrow.core.centre.room_facts import RoomFacts
from frontrow.core.errors import DatabaseAway, FrontrowError, StoreDamaged
from frontrow.core.frames import Frame
from frontrow.core.leads import Lead
from frontrow.core.ports import Clock
from frontrow.runtime.pipeline import Applied
from frontrow.storage.aio import StoreThread
from frontrow.storage.centre.book import SqlBook
from frontrow.storage.centre.database import empty_wal
from frontrow.storage.centre.rooms import load_conduct, load_rooms, save_conduct, save_rooms
from frontrow.storage.store import Alert, Store, made_order

FRAMES_HELD = 64  # in memory; more are read from the journal when their turn comes
FRAMES_A_STEP = 64  # applied in one transaction at most
FRAMES_READ = 16  # from the journal at once, in the thread in which commits wait meanwhile
UNWRITTEN_FRAMES = 256  # without anything for the centre, before the position is written all the same
MOST_SKIPPED = 8  # events of one frame that may fail, before it is not the events that are at fault
RETRY_S = 2.0  # after the database failed
ANOTHER_HISTORY = (
    "the lead centre's database has followed a journal that is not this one any more, as after a restore: stop the daemon, run"
    " `frontrow centre rebuild`, which makes the database anew from the journal (nothing that was sent is sent again), and start it"
)

Result = TypeVar("Result")

log = structlog.get_logger(__name__)


class Observer(Protocol):
    """Who counts. No call may raise or wait."""

    def centre_applied(self, frames: int, seconds: float, behind: int) -> None: ...
    def centre_failed(self, behind: int) -> None: ...
    def centre_skipped(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Made:
    """A durable frame as the centre takes it: its number, the leads it made, each with its place, and what may be shown of their viewers.

    ``duplicates`` were heard with it or since the one before it, by (platform, room); None: it comes from the
    journal, which has none. ``found`` is what was found in it of viewers who have a lead: by the engine, and behind
    that by :class:`Conduct` once that has looked.
    """

    seq: int
    frame: Frame
    leads: Sequence[tuple[int, Lead]]
    shown: Mapping[str, Shown] = field(default_factory=dict)
    duplicates: Mapping[tuple[str, str], int] | None = None
    found: Sequence[Finding] = ()


def follow(
    book: SqlBook,
    centre: Centre,
    made: Sequence[Made],
    mark: bytes,
    *,
    skipped: Callable[[int, Exception], None] | None = None,
) -> bool:
    """Apply frames that follow each other, ``mark`` the journal's at the last of them, in a transaction that is left open.

    Return False where there was nothing to do but to go on, and none is open. With ``skipped`` each event is tried by
    itself: one that fails, by a mistake of ours, is taken back and told of by its frame, and the others are applied.
    """
    position = book.position()
    now = max(centre.now_after(each.frame) for each in made)
    due = book.next_due is not None and book.next_due <= now
    concerned = due or any(centre.concerns(each.frame) or each.leads or each.found for each in made)
    if concerned:
        book.begin()
        for each in made:
            if skipped is None:
                centre.apply(each.frame, each.leads, each.shown, each.found)
            else:
                _apply_apart(book, centre, each, skipped)
    else:
        position.now = now
    position.seq, position.mark = made[-1].seq, mark
    return concerned


def _apply_apart(
    book: SqlBook, centre: Centre, made: Made, skipped: Callable[[int, Exception], None]
) -> None:
    """Apply a frame event by event, which gives the same as all at once, less those that fail."""
    frame, told, failures, begin = made.frame, centre.take_told(), 0, 0
    for end in range(1, len(frame) + 1):
        leads = [
            (place - begin, lead)
            for place, lead in made.leads
            if place == end - 1 or (place < 0 and end == 1)
        ]
        found = [
            msgspec.structs.replace(each, position=each.position - begin)
            for each in made.found
            if each.position == end - 1 or (each.position < 0 and end == 1)
        ]
        part = frame.part(begin, end)
        if not leads and not found and end < len(frame) and not centre.concerns(frame.part(end - 1, end)):
            continue
        begin = end
        try:
            with book.attempt():
                centre.apply(part, leads, made.shown, found)
        except sa.exc.OperationalError:
            raise  # the database's trouble, not the event's
        except Exception as error:
            centre.reload()
            failures += 1
            if failures > MOST_SKIPPED:
                raise  # it is not one event that is wrong
            skipped(made.seq, error)
        told += centre.take_told()
    centre.tell_again(told)


def read_made(store: Store, after: int, limit: int = FRAMES_READ) -> list[Made]:
    """Read the frames that come after ``after`` from a journal, with the leads that they made and what was found of leads in them."""
    frames = list(islice(store.frames(after), limit))
    if not frames:
        return []
    until = frames[-1][0]
    leads, grouped = store.leads_made(after, until), store.grouped(after, until)
    return [
        Made(seq, frame, leads.get(seq, ()), found=[finding_of(*each) for each in grouped.get(seq, ())])
        for seq, frame in frames
    ]


def looked_at(made: Made, conduct: Conduct) -> Made:
    """Return a frame with what the looker at conduct finds in it, too."""
    return replace(made, found=[*made.found, *conduct.take(made.seq, made.frame, made.leads)])


class CentreFollower:
    """Owns the lead centre from :meth:`open` to :meth:`close`; :meth:`run` follows until it is cancelled."""

    def __init__(
        self,
        *,
        store: StoreThread,
        make: Callable[[], tuple[SqlBook, Centre]],
        alerts: Callable[[SqlBook, Centre, Sequence[Told]], list[tuple[Alert, int]]],
        told: Callable[[], None],
        changed: Callable[[Sequence[LeadRow]], None],
        shown: Callable[[int], Shown],
        clock: Clock,
        observer: Observer,
        counts: RoomFacts | None = None,
    ) -> None:
        """``make`` opens the database, in the centre's thread, where ``alerts`` makes messages of what was decided to be told; ``told`` hears, on
        the loop, that some are in the outbox. ``changed`` hears, on the loop, of the leads that each transaction
        changed. ``shown`` gives what may be shown of the viewer in an engine's row. ``counts`` is who counts what
        happens in the rooms; its sessions must end as the engine's do."""
        self._store = store
        self._make = make
        self._alerts = alerts
        self._told = told
        self._changed = changed
        self._shown = shown
        self._clock = clock
        self._observer = observer
        self._counts = RoomFacts() if counts is None else counts
        self._conduct = Conduct()
        self._unheard: Counter[tuple[str, str]] = Counter()  # duplicates since the last frame
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="centre")
        self._held: deque[Made] = deque()
        self._arrived = asyncio.Event()
        self._stepped = asyncio.Condition()
        self._turn = asyncio.Lock()  # whose transaction it is
        self._opened: tuple[SqlBook, Centre] | None = None
        self._seq = -1  # of the last frame that was applied; below all of them until the database is open
        self._written = 0  # of the last position that was written
        self._trouble: str | None = None  # why it cannot be followed now, as it was last logged
        self._unemptied = False  # its file, the last time that this was tried
        self.failing = False
        self.away = False  # it fails since no server answers; otherwise somebody has to look at it

    @property
    def is_open(self) -> bool:
        """Whether the database has been opened: it may be away now, but what it says of the company is known."""
        return self._opened is not None

    @property
    def state(self) -> Literal["ok", "away", "failing"]:
        """How the database is: "away", no server answers; "failing", it answers and cannot be used, and the log says why."""
        return "ok" if not self.failing else "away" if self.away else "failing"

    @property
    def centre(self) -> Centre:
        """The centre; what others read of it are values that are exchanged whole.

        Raises:
            DatabaseAway: The database has not been opened since the start.
        """
        if self._opened is None:
            raise DatabaseAway("the lead centre's database has not answered yet")
        return self._opened[1]

    @property
    def next_due(self) -> int | None:
        """When the next timer is due (UTC ms), as of the last transaction; None: none is set."""
        return None if self._opened is None else self._opened[0].next_due

    @property
    def seq(self) -> int:
        """The number of the last frame that the centre has applied."""
        return self._seq

    async def open(self) -> None:
        """Open the database; where no server answers, :meth:`run` goes on trying.

        Raises:
            StoreUnusable, StoreDamaged: It cannot be used, or follows another journal.
        """
        try:
            await self._open()
        except (DatabaseAway, sa.exc.OperationalError) as error:
            self._fails(error)

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        book, centre = await loop.run_in_executor(self._thread, self._make)
        try:
            await self._check_history(book.position())
            await loop.run_in_executor(self._thread, load_rooms, book.engine, self._counts)
            await loop.run_in_executor(
                self._thread, load_conduct, book.engine, self._conduct, self._counts.seq
            )
        except BaseException:
            await loop.run_in_executor(self._thread, book.close)
            raise
        self._opened = book, centre
        async with self._stepped:
            self._seq = self._written = book.position().seq
            self._stepped.notify_all()

    async def _check_history(self, position: Position) -> None:
        """Return if the database follows this journal up to where it stands.

        Raises:
            StoreDamaged: The journal is another one from some point on, as after a restore.
        """
        if position.seq and await self._store.call(self._store.store.mark, position.seq) != position.mark:
            raise StoreDamaged(ANOTHER_HISTORY)

    def _fails(self, error: Exception) -> None:
        """Take note that the database cannot be followed now, and say so once for each reason."""
        self._observer.centre_failed(self._store.store.seq - max(0, self._seq))
        self.failing = True
        self.away = isinstance(error, DatabaseAway | sa.exc.OperationalError | sa.exc.InterfaceError)
        trouble = type(error).__name__
        if self._opened is None and not self.away:  # why one that answers refuses, somebody must mend
            trouble = f"{trouble}: {error}"
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if isinstance(error, FrontrowError):
            log.error(
                "centre_away" if self.away else "centre_refused",
                reason=str(error),
                retry_in_s=RETRY_S,
                meanwhile="events are taken and journalled, the desk answers 503",
            )
        else:
            log.error("centre_failed", seq=self._seq, error=type(error).__name__, exc_info=error)

    async def close(self) -> None:
        """Write the position and close the database; idempotent."""
        if self._opened is not None:
            book, self._opened = self._opened[0], None
            await asyncio.get_running_loop().run_in_executor(self._thread, self._finish, book)
        self._thread.shutdown(wait=False)

    def durable(self, frames: Sequence[Applied]) -> None:
        """Hear of frames that are on the disk, in their order; cheap."""
        seq = self._store.store.seq - sum(1 for applied in frames if len(applied.frame))
        for applied in frames:
            self._unheard.update(applied.duplicates)
            if not len(applied.frame):
                continue
            seq += 1
            effects = applied.effects
            made = sorted(zip(effects.lead_positions, effects.leads, strict=True), key=made_order)
            shown = {
                lead.lead: self._shown(row)
                for lead, row in zip(effects.leads, effects.lead_rows, strict=True)
            }
            found = [finding_of(*each) for each in effects.grouped]
            self._held.append(Made(seq, applied.frame, made, shown, self._unheard, found))
            self._unheard = Counter()
        while len(self._held) > FRAMES_HELD:
            self._held.popleft()
        self._arrived.set()

    async def applied(self, seq: int) -> None:
        """Wait until the centre has applied the frame of this number."""
        async with self._stepped:
            await self._stepped.wait_for(lambda: self._seq >= seq)

    async def tried(self, seq: int) -> bool:
        """Wait until the centre has applied the frame of this number, or cannot now since the database fails; return which."""
        async with self._stepped:
            await self._stepped.wait_for(lambda: self._seq >= seq or self.failing)
        return self._seq >= seq

    async def between(self, work: Callable[[sa.Engine], Result]) -> Result:
        """Do something with the database in the centre's thread, between two of its transactions, which wait meanwhile: it must be short.

        Raises:
            DatabaseAway: The database is not open, or fails now.
        """
        async with self._turn:
            if self._opened is None or self.failing:
                raise DatabaseAway("the lead centre's database does not answer")
            engine = self._opened[0].engine
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, engine)

    async def scrub(self) -> bool:
        """Take out of the database's files what was taken out of its rows; False: somebody reads, ask again.

        Raises:
            DatabaseAway: It cannot be done now; ask again.
        """
        loop = asyncio.get_running_loop()
        async with (
            self._turn
        ):  # a transaction of ours that is open would be waited for, in the thread that is to end it
            if self._opened is None:
                return True
            try:
                emptied = await loop.run_in_executor(self._thread, empty_wal, self._opened[0].engine)
            except DatabaseAway as error:
                if not self._unemptied:
                    log.warning("centre_file_not_emptied", reason=str(error))
                self._unemptied = True
                raise
            self._unemptied = False
            return emptied

    async def run(self) -> None:
        """Follow the journal until cancelled. A database that fails is tried again; meanwhile the journal keeps everything."""
        while True:
            self._arrived.clear()
            try:
                if self._opened is None:
                    await self._open()
                elif self.failing:
                    await self._resume()
                await self._count_again()
                while made := await self._next():
                    await self._step(made)
                # Not before: who works where comes from the journal, and whoever waits for the database waits for that.
                self._recovered()
            except Exception as error:  # noqa: BLE001  # whatever it is, it is logged, the journal has all, and events go on
                self._fails(error)
                async with self._stepped:
                    self._stepped.notify_all()
                await self._clock.sleep(RETRY_S)
                continue
            await self._arrived.wait()

    async def _count_again(self) -> None:
        """Count what was applied before a restart, and whose counts were not written: the whole journal, where the tables are new."""
        loop = asyncio.get_running_loop()
        while (counted := min(self._counts.seq, self._conduct.seq)) < self._seq:
            made = await self._store.call(self._read, counted)
            await loop.run_in_executor(self._thread, self._count, made)

    def _count(self, made: Sequence[Made]) -> None:
        for each in made:
            if each.seq <= self._seq:
                self._counts.take(each.seq, each.frame)
                self._conduct.take(each.seq, each.frame, each.leads)

    async def _resume(self) -> None:
        """Go on from where the database says it is: of a commit whose answer was lost nobody else knows whether it was done."""
        loop = asyncio.get_running_loop()
        position = await loop.run_in_executor(self._thread, self._reread)
        await self._check_history(position)
        self._seq = self._written = position.seq

    def _recovered(self) -> None:
        if self.failing:
            self.failing, self._trouble = False, None
            log.info("centre_recovered", seq=self._seq)

    async def _next(self) -> list[Made]:
        """Return the frames that come next, [] where there are none yet."""
        while self._held and self._held[0].seq <= self._seq:
            self._held.popleft()
        if self._held and self._held[0].seq == self._seq + 1:
            return [self._held[place] for place in range(min(FRAMES_A_STEP, len(self._held)))]
        if self._seq >= self._store.store.seq:
            return []
        return await self._store.call(self._read, self._seq)

    def _read(self, after: int) -> list[Made]:
        """Read frames from the journal; in the store's thread."""
        return read_made(self._store.store, after)

    async def _step(self, made: Sequence[Made]) -> None:
        began = self._clock.monotonic()
        mark = await self._store.call(self._store.store.mark, made[-1].seq)
        assert mark is not None
        async with self._turn:
            alerts, changed = await self._transaction(made, mark)
        async with self._stepped:
            self._seq = made[-1].seq
            self._stepped.notify_all()
        seconds = self._clock.monotonic() - began
        self._observer.centre_applied(len(made), seconds, self._store.store.seq - self._seq)
        if alerts:
            self._told()
        if changed:
            self._changed(changed)

    async def _transaction(
        self, made: Sequence[Made], mark: bytes
    ) -> tuple[list[tuple[Alert, int]] | None, list[LeadRow]]:
        """Apply frames, and return what is to be told, None where nothing was to be done, and the leads that have changed."""
        loop = asyncio.get_running_loop()
        changed: list[LeadRow] = []
        try:
            try:
                alerts = await loop.run_in_executor(self._thread, self._apply, made, mark)
            except sa.exc.OperationalError:
                raise
            except Exception as error:
                log.exception("centre_event_failed", seq=made[0].seq, error=type(error).__name__)
                await loop.run_in_executor(self._thread, self._roll_back)
                alerts = await loop.run_in_executor(self._thread, self._apply_apart, made, mark)
            if alerts:
                # Before the position is written: what a crash repeats has the same keys, and is in the outbox once.
                await self._store.call(self._store.store.outbox_add, alerts)
            if alerts is not None:
                changed = await loop.run_in_executor(self._thread, self._commit, made[-1].seq)
        except BaseException:
            await asyncio.shield(loop.run_in_executor(self._thread, self._roll_back))
            raise
        return alerts, changed

    # ------------------------------------------------------------------ in the centre's thread

    def _apply(self, made: Sequence[Made], mark: bytes) -> list[tuple[Alert, int]] | None:
        """Apply frames in a transaction that is left open, and return what is to be told; None: nothing was to be done, and none is open."""
        assert self._opened is not None
        book, centre = self._opened
        for each in made:
            self._counts.take(each.seq, each.frame, each.duplicates)
        if not follow(book, centre, self._looked_at(made), mark):
            if made[-1].seq - self._written < UNWRITTEN_FRAMES and not (
                self._counts.due or self._conduct.due
            ):
                return None
            book.begin()
            return []
        return self._alerts(book, centre, centre.take_told())

    def _looked_at(self, made: Sequence[Made]) -> list[Made]:
        return [looked_at(each, self._conduct) for each in made]

    def _apply_apart(self, made: Sequence[Made], mark: bytes) -> list[tuple[Alert, int]]:
        """Apply frames of which one has an event that fails: it must not stop what comes after it."""
        assert self._opened is not None
        book, centre = self._opened

        def skipped(seq: int, error: Exception) -> None:
            self._observer.centre_skipped()
            log.error("centre_event_skipped", seq=seq, error=type(error).__name__)

        if not follow(book, centre, self._looked_at(made), mark, skipped=skipped):
            book.begin()
        return self._alerts(book, centre, centre.take_told())

    def _commit(self, seq: int) -> list[LeadRow]:
        assert self._opened is not None
        counted, looked = self._counts.due, self._conduct.due
        if counted:
            save_rooms(self._opened[0].db, self._counts)
        if looked:
            save_conduct(self._opened[0].db, self._conduct)
        changed = self._opened[0].commit()
        if counted:
            self._counts.written()
        if looked:
            self._conduct.written()
        self._conduct.settled(seq)
        self._written = seq
        return changed

    def _finish(self, book: SqlBook) -> None:
        self._counts.take_duplicates(self._unheard)
        try:
            if not self.failing:  # else nobody knows what the database holds
                book.begin()
                save_rooms(book.db, self._counts)
                save_conduct(book.db, self._conduct)
                book.commit()
        except (
            SQLAlchemyError,
            StoreDamaged,
        ) as error:  # what is not written is counted again from the journal
            log.warning("centre_not_finished", error=type(error).__name__)
        book.close()

    def _reread(self) -> Position:
        assert self._opened is not None
        book, centre = self._opened
        book.roll_back()
        book.reread()
        centre.reload()
        return book.position()

    def _roll_back(self) -> None:
        if self._opened is not None:
            book, centre = self._opened
            book.roll_back()
            centre.reload()
