"""``frontrow centre rebuild``: the lead centre's database made anew from the journal, beside the one in use, and exchanged for it.

What was decided is decided again, the same. Nobody is told of it again: the new database goes as far as the old one
had followed this journal, and what comes after that is the daemon's to follow and to tell when it starts. Where the
old one has followed another journal, as after a restore, or cannot be read, it goes to the journal's end: what is in
there was told when it came.

Who saw whole numbers in an export before that was journalled is taken over from the old one. Lost are duplicates that
were heard in the rooms: they are in no journal.
"""

import contextlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

import sqlalchemy as sa

from frontrow.app.centre import FRAMES_A_STEP, Made, follow, looked_at, read_made
from frontrow.app.lead_centre import database_url, make_policy, masked, room_facts
from frontrow.app.parts import make_pack
from frontrow.app.retaining import kept_days, kept_since
from frontrow.config import Config
from frontrow.core.centre.centre import Centre, Shown
from frontrow.core.centre.conduct import Conduct
from frontrow.core.errors import StoreDamaged, StoreUnusable
from frontrow.core.frames import Frame
from frontrow.storage.centre import tables
from frontrow.storage.centre.beside import Beside
from frontrow.storage.centre.book import SqlBook
from frontrow.storage.centre.database import WRITES, address_of, engine_of, open_database
from frontrow.storage.centre.rooms import save_conduct, save_rooms
from frontrow.storage.centre.sweeping import sweep_all
from frontrow.storage.lock import StoreLock
from frontrow.storage.store import Store

CARRIED = 500  # rows at once
SHOWN_KEPT = 200_000  # viewers whose last name and words are in mind, for leads that they turn into

Progress = Callable[[int, int], None]
"""Hears how many frames are done, and of how many."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What was made: from so many frames, so many unique leads. ``left`` frames are the daemon's to follow, and to tell of."""

    frames: int
    leads: int
    left: int


def rebuild(config: Config, *, now: int, since: str, progress: Progress) -> Rebuilt:
    """Make the database anew and put it in the place of the one in use, without what is too old at ``now`` (UTC ms) to be kept.

    ``since`` is what a daemon that starts meanwhile is told.

    Raises:
        FileNotFoundError: There is no store.
        StoreLocked: A daemon works on the store.
        StoreDamaged: The journal cannot be read back.
        StoreUnusable: The database cannot be made there, or does not answer; the one in use is as it was.
    """
    lock = StoreLock(config.storage.path)
    lock.acquire(since)
    try:
        with contextlib.closing(Store.open(config.storage.path, create=False)) as store:
            beside = Beside(database_url(config))
            try:
                until = _followed(database_url(config), store)
                beside.begin()
                leads = _build(beside.url, config, store, until, progress)
                _sweep(beside.url, config, now)
                _carry_over(database_url(config), beside.url)
                beside.exchange()
            except (sa.exc.SQLAlchemyError, OSError) as error:
                raise StoreUnusable(
                    f"the new database cannot be made ({type(error).__name__}: {str(error).splitlines()[0]});"
                    " the one in use is as it was"
                ) from error
            return Rebuilt(frames=until, leads=leads, left=store.seq - until)
    finally:
        lock.release()


def _followed(url: str, store: Store) -> int:
    """Return up to which frame it has been told what was decided."""
    address = address_of(url)
    c = tables.position.c
    engine = engine_of(address)
    try:
        with engine.connect() as db:
            row = db.execute(sa.select(c.store, c.seq, c.mark)).first()
    except sa.exc.DatabaseError:
        row = None  # there is none, or it is not to be read, which is what it is made anew for
    finally:
        engine.dispose()
    known = row is not None and bytes(row.store) == store.id and store.mark(row.seq) == bytes(row.mark)
    return row.seq if row is not None and known else store.seq


def _build(url: str, config: Config, store: Store, until: int, progress: Progress) -> int:
    engine = open_database(url)
    book = SqlBook(engine, store.id)
    try:
        centre = Centre(book, make_policy(config, make_pack(config)))
        book.begin()
        centre.load()
        book.roll_back()
        counts, conduct, heard = room_facts(config), Conduct(), Heard()
        done = 0
        while done < until:
            made = [heard.shown(each) for each in read_made(store, done, min(FRAMES_A_STEP, until - done))]
            if not made:
                raise StoreDamaged(f"the journal ends at frame {done}")
            for each in made:
                counts.take(each.seq, each.frame)
            made = [looked_at(each, conduct) for each in made]
            done = made[-1].seq
            mark = store.mark(done)
            assert mark is not None  # it was read just now
            concerned, counted = follow(book, centre, made, mark), counts.due or done == until
            if counted and not concerned:
                book.begin()
            if counted:
                save_rooms(book.db, counts)
            if done == until:
                save_conduct(book.db, conduct)
            if counted or concerned:
                book.commit()
            if counted:
                counts.written()
            conduct.settled(done)
            centre.take_told()
            progress(done, until)
        book.begin()
        return book.leads_made()
    finally:
        book.close()


def _sweep(url: str, config: Config, now: int) -> None:
    """Take out what is too old: the journal may hold it still, where no daemon has looked at it since."""
    engine = engine_of(address_of(url))
    try:
        for _ in sweep_all(engine, kept_since(kept_days(config), now)):
            pass
    finally:
        engine.dispose()


def _carry_over(old: str, new: str) -> None:
    """Take over who saw whole numbers in an export before that was journalled."""
    c = tables.accesses.c
    source, target = engine_of(address_of(old)), engine_of(address_of(new))
    try:
        if not _is_readable(source):
            return
        with source.connect() as reading, target.execution_options(**{WRITES: True}).begin() as writing:
            for part in reading.execute(sa.select(tables.accesses)).mappings().partitions(CARRIED):
                rows = {row["id"]: dict(row) for row in part}
                known = set(writing.execute(sa.select(c.id).where(c.id.in_(list(rows)))).scalars())
                missing = [row for id, row in rows.items() if id not in known]
                if missing:
                    writing.execute(sa.insert(tables.accesses), missing)
    finally:
        source.dispose()
        target.dispose()


def _is_readable(engine: sa.Engine) -> bool:
    try:
        with engine.connect() as db:
            db.execute(sa.select(tables.accesses.c.id).limit(1)).all()
    except sa.exc.DatabaseError:
        return False  # it has no such table, or is damaged: then there is nothing to take over
    return True


class Heard:
    """The last name and words of each viewer, as the daemon has them in mind when a viewer turns hot."""

    def __init__(self) -> None:
        self._last: OrderedDict[tuple[str, str], Shown] = OrderedDict()

    def shown(self, made: Made) -> Made:
        """Return a frame with what may be shown of the viewers of its leads."""
        found: dict[str, Shown] = {}
        start = 0
        for at, lead in made.leads:
            self._hear(made.frame, start, at + 1)
            start = max(start, at + 1)
            found[lead.lead] = masked(*self._last.get((lead.platform, lead.viewer), (None, None)))
        self._hear(made.frame, start, len(made.frame))
        return replace(made, shown=found)

    def _hear(self, frame: Frame, start: int, end: int) -> None:
        last = self._last
        for platform, viewer, name, text in zip(
            frame.platforms[start:end],
            frame.viewers[start:end],
            frame.names[start:end],
            frame.texts[start:end],
            strict=True,
        ):
            if viewer is not None and (name is not None or text is not None):
                before = last.pop((platform, viewer), (None, None))
                last[platform, viewer] = name or before[0], text or before[1]
        while len(last) > SHOWN_KEPT:
            last.popitem(last=False)
