"""``frontrow restore``: a backup in the store's place, without those who were erased since it was made.

The backup is copied and cleaned under another name, and gets the store's only then; what stood there stays beside it.
The vault is not put back: keys that were destroyed since must stay so. Only where there is none, that of the backup
is taken, if it has one.
"""

import contextlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from frontrow.app.erasing import erased
from frontrow.app.models import back_up_versions
from frontrow.core.centre.erasing import KIND, Erasure
from frontrow.core.centre.identities import Identity, identity_of, viewer_identity
from frontrow.core.errors import StoreDamaged, StoreUnusable
from frontrow.core.ports import Clock
from frontrow.storage.doctor import examine
from frontrow.storage.folder import make_private, sync_folder
from frontrow.storage.lock import StoreLock
from frontrow.storage.snapshots import Snapshots
from frontrow.storage.store import Store
from frontrow.storage.vault import Vault, path_beside

REPLACED, UNFINISHED = ".replaced", ".restoring"
_BESIDE = ("", "-wal", "-shm")  # a store's files


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored: frames, events, in how many frames somebody was erased, versions of the model.

    ``replaced`` is where the store that was there is now, None if there was none; ``keys``: the backup's were taken.
    """

    frames: int
    events: int
    erased: int
    versions: int
    replaced: Path | None
    keys: bool


def restore(file: Path, path: Path, master: bytes | None, *, clock: Clock) -> Restored:
    """Put the backup ``file`` in the place of the store at ``path``; the backup stays as it is.

    Raises:
        FileNotFoundError: There is no backup.
        StoreLocked: A daemon works on the store.
        StoreDamaged: The backup is not whole.
        StoreUnusable: Something cannot be written, or an earlier store stands aside still; the store is as it was.
        CannotFollow: All is restored but a version of the model that led.
    """
    if not file.exists():
        raise FileNotFoundError(2, os.strerror(2), str(file))
    found = examine(file)
    if not found.sound:
        raise StoreDamaged("\n".join(found.lines()))
    aside = path.with_name(path.name + REPLACED)
    lock = StoreLock(path)
    lock.acquire("a restoration")
    try:
        if path.exists() and aside.exists():
            raise StoreUnusable(f"{aside} exists already: remove it, or move it away")
        keys = _take_keys(file, path)
        unfinished = path.with_name(path.name + UNFINISHED)
        try:
            _copy(file, unfinished)
            with contextlib.closing(Vault.open(path_beside(path), master)) as vault:
                changed = _clean(unfinished, vault, clock)
            replaced = aside if path.exists() else None
            if replaced is not None:
                _move(path, replaced)
            Snapshots.beside(path).remove_all()  # they are of what was there
            _move(unfinished, path)
            sync_folder(path.parent)
        except OSError as error:
            raise StoreUnusable(f"{path}: cannot be restored ({error.strerror})") from error
        finally:
            _remove(unfinished)
        versions = back_up_versions(file, path)
    finally:
        lock.release()
    return Restored(found.frames, found.events, changed, versions, replaced, keys)


def _take_keys(file: Path, path: Path) -> bool:
    """Copy the backup's vault to where there is none."""
    source, vault = path_beside(file), path_beside(path)
    if vault.exists() or not source.exists():
        return False
    _copy(source, vault)
    return True


def _copy(source: Path, to: Path) -> None:
    _remove(to)
    make_private(to)
    with source.open("rb") as read, to.open("r+b") as written:
        shutil.copyfileobj(read, written, 1 << 20)
        written.flush()
        os.fsync(written.fileno())


def _move(source: Path, to: Path) -> None:
    # The file of a name comes last: a store without its WAL is an earlier state of it, a WAL without its store nothing.
    for ending in reversed(_BESIDE):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{source}{ending}").rename(f"{to}{ending}")


def _remove(path: Path) -> None:
    for ending in _BESIDE:
        Path(f"{path}{ending}").unlink(missing_ok=True)


def _clean(path: Path, vault: Vault, clock: Clock) -> int:
    """Erase in a store who was erased, by the vault's list and by the store's own journal; return in how many frames."""
    store = Store.open(path, create=False)
    try:
        until = _until(store, vault.erased())
        leads: dict[str, int] = {}
        for lead, platform, viewer in store.viewers_of_leads():
            at = until(viewer_identity(platform, viewer))
            if at is not None:
                leads[lead] = at
        changed = 0
        for done in erased(store, Erasure(until, leads), at=clock.now()):
            changed = done[0] if done is not None else 0
        store.empty_wal()
    finally:
        store.close()
    return changed


def _until(store: Store, listed: Callable[[Identity], int | None]) -> Callable[[Identity], int | None]:
    told: dict[Identity, int] = {}
    for _, frame in store.frames_with(KIND):
        data = frame.seldom.get("data", {})
        for position in (at for at, kind in enumerate(frame.kinds) if kind == KIND and at in data):
            for each in data[position].get("identities", ()):
                with contextlib.suppress(ValueError):
                    identity = identity_of(each)
                    told[identity] = max(told.get(identity, 0), frame.arrivals()[position])

    def until(identity: Identity) -> int | None:
        return max((at for at in (told.get(identity), listed(identity)) if at is not None), default=None)

    return until
