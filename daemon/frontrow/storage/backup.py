"""``frontrow backup``: a copy of a store, taken beside a daemon at work, that is one of its states and known to be whole.

SQLite's own backup copies the pages of one reading transaction. Commits go on meanwhile: they go to the WAL, which
only cannot begin anew until the copy is done. What the copy holds is then read as a whole, frame by frame, before it
gets its name; the same pass that ``frontrow doctor`` does. A copy by other means (``cp``, ``rsync``) may mix two
states.

Snapshots and the attic are not copied: they are derived, and a start without them reads the journal once.
"""

import contextlib
import errno
import os
from dataclasses import dataclass
from pathlib import Path

import apsw

from frontrow.core.errors import StoreDamaged, StoreUnusable
from frontrow.storage.doctor import examine
from frontrow.storage.folder import make_private, sync_folder
from frontrow.storage.sqlite import UNREADABLE, connect_to_read
from frontrow.storage.store import check_version

UNFINISHED = ".part"
PAGES_A_STEP = 1_024  # 4 MB, between which Ctrl-C is heard


@dataclass(frozen=True, slots=True)
class BackedUp:
    """What a backup holds: whole frames, their events, and its size."""

    frames: int
    events: int
    bytes: int


def back_up(store: Path, to: Path) -> BackedUp:
    """Write a copy of a store to ``to``, one file that only its owner may read; nothing is there if that fails.

    Raises:
        FileNotFoundError: There is no store.
        StoreUnusable: There is a file at ``to`` already, or it cannot be written.
        StoreDamaged: What was read of the store is not whole; ``frontrow doctor`` tells more.
    """
    if not store.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(store))
    unfinished = to.with_name(to.name + UNFINISHED)
    for path, advice in ((to, "a backup never replaces one"), (unfinished, "another one is under way, or was interrupted; remove it then")):  # fmt: skip
        if path.exists():
            raise StoreUnusable(f"{path} exists already: {advice}")
    try:
        make_private(unfinished)
        try:
            _copy(store, unfinished)
            found = examine(unfinished)
            if not found.sound:
                raise StoreDamaged(
                    f"{store}: no backup was made, since the copy is not whole:\n" + "\n".join(found.lines())
                )
            _name(unfinished, to)
        finally:
            with contextlib.suppress(FileNotFoundError):
                unfinished.unlink()
    except (apsw.Error, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise StoreUnusable(f"{to}: cannot be written ({reason})") from error
    return BackedUp(found.frames, found.events, to.stat().st_size)


def back_up_keys(vault: Path, to: Path) -> None:
    """Write a copy of a vault to ``to``, beside a daemon at work. With it, keys that are destroyed later are not gone.

    Raises:
        FileNotFoundError: There is no vault.
        StoreUnusable: There is a file at ``to`` already, or it cannot be written.
    """
    if not vault.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(vault))
    if to.exists():
        raise StoreUnusable(f"{to} exists already: a backup never replaces one")
    try:
        make_private(to)
        with contextlib.ExitStack() as stack:
            source, copy = connect_to_read(vault), apsw.Connection(str(to))
            stack.callback(source.close)
            stack.callback(copy.close)
            with copy.backup("main", source, "main") as backup:
                while not backup.step(PAGES_A_STEP):
                    pass
        sync_folder(to.parent)
    except (apsw.Error, OSError) as error:
        to.unlink(missing_ok=True)
        raise StoreUnusable(f"{to}: cannot be written ({error})") from error


def _copy(store: Path, to: Path) -> None:
    with contextlib.ExitStack() as stack:
        try:
            source = connect_to_read(store)
            stack.callback(source.close)
            source.execute("BEGIN")
            check_version(source, store)  # reads, and so fixes the state that is copied
        except UNREADABLE as error:
            raise StoreDamaged(f"{store}: SQLite cannot read it ({error})") from error
        copy = apsw.Connection(str(to))
        stack.callback(copy.close)
        copy.pragma("journal_mode", "off")  # what is half written has no name
        with copy.backup("main", source, "main") as backup:
            while not backup.step(PAGES_A_STEP):
                pass
        copy.pragma(
            "journal_mode", "delete"
        )  # the header says WAL, as the store's: one file, until it is opened
    with to.open("rb") as file:
        os.fsync(file.fileno())


def _name(unfinished: Path, to: Path) -> None:
    """Give the copy its name, which nobody else may have taken meanwhile."""
    try:
        os.link(unfinished, to)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
        if to.exists():  # no hard links there: all that can be done
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(to)) from error
        unfinished.rename(to)
    sync_folder(to.parent)
