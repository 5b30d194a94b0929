"""The vault: each person's own key, in a small SQLite file beside the store, so that what it sealed can be destroyed.

What people entrusted with consent is in the journal only as it was sealed with its person's key. To destroy it,
wherever there are copies of the journal, is to destroy the key. So the keys are in no backup of the store, and where
a copy of them is made it is for its owner to destroy it too (daemon/docs/privacy.md).

Here is also the installation's secret, by which numbers are known without being kept: phones in facts, and persons in
this file, in which nobody's id stands but while they are erased. A master key, if there is one, wraps keys and
secret; without it they are plain, and this file is worth what it protects.

AES-256-GCM with random nonces; what is sealed is bound to its person and purpose, a wrapped key to its row. The file
is not in WAL mode: what a commit replaced would stay in the WAL. The rollback journal, which holds the same, is
overwritten after each destruction. What a file system or a disk keeps of overwritten blocks nobody here can reach.

For the one who holds the store's lock; others may read. Any thread may call: a lock is held for microseconds, and for
one commit where somebody's key is made or destroyed.
"""

import contextlib
import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from frontrow.core.centre.identities import Identity, phone_key
from frontrow.core.errors import StoreDamaged, StoreUnusable
from frontrow.storage.folder import make_private
from frontrow.storage.sqlite import BUSY_MS, UNREADABLE, connect_to_read, explained

SUFFIX = ".keys"
SCHEMA = 1
APPLICATION_ID = 0x46524B59  # "FRKY"
KEY_BYTES = 32  # of AES-256, and of the secret
NONCE_BYTES = 12
PERSON_BYTES = 16
CACHED = 4_096  # persons whose keys are in memory; 1 MB

_FORMAT = b"\x01"  # what is sealed begins with
_SECRET = b"secret"
_TABLES = """
CREATE TABLE vault (secret BLOB NOT NULL, wrapped INTEGER NOT NULL) STRICT;
CREATE TABLE keys (person BLOB PRIMARY KEY, key BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE erased (person BLOB PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE erasures (id TEXT PRIMARY KEY, wish BLOB NOT NULL) STRICT, WITHOUT ROWID;
"""


def path_beside(store: Path) -> Path:
    """Return where the vault of a store is."""
    return store.with_name(store.name + SUFFIX)


def master_key(text: str) -> bytes | None:
    """Return the master key that an option of 32 characters or more makes; None of an empty one.

    It is taken for random: from words that somebody chose, guessing would be cheap.
    """
    return (
        hashlib.blake2b(text.encode(), digest_size=KEY_BYTES, person=b"frontrow master").digest()
        if text
        else None
    )


class Vault:
    """One open vault. Fits :class:`frontrow.core.ports.Sealer`."""

    def __init__(self, connection: apsw.Connection, path: Path, master: bytes | None) -> None:
        self.path = path
        self._db = connection
        self._master = None if master is None else AESGCM(master)
        self._lock = threading.Lock()
        self._keys: OrderedDict[bytes, AESGCM] = OrderedDict()
        secret, wrapped = connection.execute("SELECT secret, wrapped FROM vault").fetchone() or (b"", 0)
        if wrapped and self._master is None:
            raise StoreUnusable(f"{path}: is wrapped by a master key; see [privacy] master_key")
        self._wrapped = bool(wrapped)
        self._secret = self._unwrapped(secret, _SECRET)

    @classmethod
    def open(cls, path: Path, master: bytes | None = None) -> "Vault":
        """Open the vault at ``path``, making it where there is none; one that was plain is wrapped if ``master`` is given.

        Raises:
            StoreDamaged: The file is not a vault of this version, or is damaged.
            StoreUnusable: It cannot be opened for writing, or the master key is missing or another one.
            CommitFailed: It cannot be written.
        """
        try:
            make_private(path)
        except OSError as error:
            raise StoreUnusable(f"{path}: cannot be made ({error.strerror})") from error
        with _closing_on_error(path, lambda: _connect(path)) as connection:
            try:
                with connection:
                    if connection.execute("SELECT count(*) FROM sqlite_schema").get == 0:
                        _make(connection, master)
                    _check_version(connection, path)
            except (apsw.FullError, apsw.BusyError) as error:
                raise explained(error, path) from error
            vault = cls(connection, path, master)
            if master is not None and not vault._wrapped:
                vault._wrap_all()
            vault._scrub()  # a process may have ended between a destruction and this
            return vault

    @classmethod
    def open_to_read(cls, path: Path, master: bytes | None = None) -> "Vault":
        """Open a vault that is there, only to :meth:`unseal`; a daemon may work with it meanwhile. Raises as :meth:`open`."""
        with _closing_on_error(path, lambda: connect_to_read(path)) as connection:
            _check_version(connection, path)
            return cls(connection, path, master)

    def close(self) -> None:
        """Close the file, and forget all keys; idempotent."""
        with self._lock:
            self._keys.clear()
            self._db.close()

    # ------------------------------------------------------------------ what it is for

    def phone_key(self, e164: str) -> str:
        """Return what a number is known by in this installation."""
        return phone_key(e164, self._secret)

    def person(self, identity: Identity) -> bytes:
        """Return what an identity is known by in this file: its keyed hash."""
        framed = f"{len(identity.kind)}:{identity.kind}\x1f{identity.key}"
        data = framed.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(data, key=self._secret, digest_size=PERSON_BYTES).digest()

    def seal_all(self, items: Sequence[tuple[Identity, str, bytes]]) -> list[bytes]:
        """Return each (identity, purpose, data) sealed. Keys that are new are durable when this returns, in one commit.

        Raises:
            CommitFailed: A new key cannot be kept; nothing may be sealed with it.
        """
        persons = [self.person(identity) for identity, _, _ in items]
        with self._lock:
            ciphers = self._ciphers(persons)
        return [
            _FORMAT + _encrypted(ciphers[person], data, _bound(identity, purpose))
            for person, (identity, purpose, data) in zip(persons, items, strict=True)
        ]

    def seal(self, identity: Identity, purpose: str, data: bytes) -> bytes:
        """Return data sealed for one identity. Raises as :meth:`seal_all`."""
        return self.seal_all([(identity, purpose, data)])[0]

    def unseal(self, identity: Identity, purpose: str, sealed: bytes) -> bytes | None:
        """Return what was sealed, or None: the key was destroyed, or this was sealed for others or was changed."""
        with self._lock:
            cipher = self._known(self.person(identity))
        if cipher is None or not sealed.startswith(_FORMAT):
            return None
        try:
            return _decrypted(cipher, sealed[len(_FORMAT) :], _bound(identity, purpose))
        except InvalidTag:
            return None

    def destroy(self, identities: Iterable[Identity]) -> int:
        """Destroy the keys of identities; return how many there were. What they sealed can never be read again.

        Somebody who comes back gets another key.

        Raises:
            CommitFailed: It is not certain that they are destroyed; do it again.
        """
        persons = [self.person(identity) for identity in identities]
        with self._lock:
            with self._transaction() as db:
                destroyed = self._destroyed(db, persons)
            self._scrub()
        return destroyed

    # ------------------------------------------------------------------ erasures

    def begin_erasure(self, id: str, wish: bytes, identities: Iterable[Identity], at: int) -> int:
        """Destroy the keys of identities, note that what came of them up to ``at`` (UTC ms) is erased, and that it is under way.

        All in one commit, behind which there is no way back: ``wish`` says what is still to be done, after a crash too,
        until :meth:`end_erasure`. The same erasure may be begun again, with more identities.

        Returns:
            How many keys were destroyed.

        Raises:
            CommitFailed: It is not certain that it has begun; do it again.
        """
        persons = [self.person(identity) for identity in identities]
        with self._lock:
            with self._transaction() as db:
                destroyed = self._destroyed(db, persons)
                db.executemany(
                    "INSERT INTO erased VALUES (?, ?) ON CONFLICT (person) DO UPDATE SET at = max(at, excluded.at)",
                    [(person, at) for person in persons],
                )
                db.execute("INSERT OR REPLACE INTO erasures VALUES (?, ?)", (id, wish))
            self._scrub()
        return destroyed

    def erasures(self) -> list[tuple[str, bytes]]:
        """Return (id, wish) of the erasures that are under way."""
        with self._lock:
            return [(id, wish) for id, wish in self._db.execute("SELECT id, wish FROM erasures ORDER BY id")]

    def end_erasure(self, id: str) -> None:
        """Note that nothing is left to be done of an erasure; that it was, and of whom, stays as a keyed hash."""
        with self._lock:
            with self._transaction() as db:
                db.execute("DELETE FROM erasures WHERE id = ?", (id,))
            self._scrub()

    def erased(self) -> Callable[[Identity], int | None]:
        """Return what tells up to which arrival (UTC ms) an identity was erased, None if never; it is of this moment."""
        with self._lock:
            known: dict[bytes, int] = dict(self._db.execute("SELECT person, at FROM erased"))
        return lambda identity: known.get(self.person(identity)) if known else None

    # ------------------------------------------------------------------ inside

    def _destroyed(self, db: apsw.Connection, persons: Iterable[bytes]) -> int:
        """Delete the keys of persons in a transaction of the caller's; return how many there were."""
        destroyed = 0
        for person in persons:
            self._keys.pop(person, None)
            # secure_delete overwrites the row where it was.
            db.execute("DELETE FROM keys WHERE person = ?", (person,))
            destroyed += db.changes()
        return destroyed

    def _ciphers(self, persons: Sequence[bytes]) -> dict[bytes, AESGCM]:
        found = {person: self._known(person) for person in dict.fromkeys(persons)}
        new = {person: os.urandom(KEY_BYTES) for person, cipher in found.items() if cipher is None}
        if new:
            with self._transaction() as db:
                db.executemany(
                    "INSERT INTO keys VALUES (?, ?)",
                    [(person, self._as_kept(key, person)) for person, key in new.items()],
                )
        made = {person: self._remember(person, key) for person, key in new.items()}
        return {person: made[person] if cipher is None else cipher for person, cipher in found.items()}

    def _known(self, person: bytes) -> AESGCM | None:
        cipher = self._keys.get(person)
        if cipher is not None:
            self._keys.move_to_end(person)
            return cipher
        try:
            kept: bytes | None = self._db.execute("SELECT key FROM keys WHERE person = ?", (person,)).get
        except UNREADABLE as error:
            raise StoreDamaged(f"{self.path}: a key cannot be read ({error})") from error
        return None if kept is None else self._remember(person, self._unwrapped(kept, person))

    def _remember(self, person: bytes, key: bytes) -> AESGCM:
        cipher = self._keys[person] = AESGCM(key)
        if len(self._keys) > CACHED:
            self._keys.popitem(last=False)
        return cipher

    def _as_kept(self, key: bytes, row: bytes) -> bytes:
        return _encrypted(self._master, key, row) if self._wrapped and self._master else key

    def _unwrapped(self, kept: bytes, row: bytes) -> bytes:
        if not self._wrapped or self._master is None:
            key = kept
        else:
            try:
                key = _decrypted(self._master, kept, row)
            except InvalidTag as error:
                raise StoreUnusable(
                    f"{self.path}: the master key does not fit, or a key was changed; see [privacy] master_key"
                ) from error
        if len(key) != KEY_BYTES:
            raise StoreDamaged(f"{self.path}: a key is not whole")
        return key

    def _wrap_all(self) -> None:
        """Wrap what was plain until now."""
        self._wrapped = True
        with self._transaction() as db:
            db.execute("UPDATE vault SET secret = ?, wrapped = 1", (self._as_kept(self._secret, _SECRET),))
            rows: list[Any] = db.execute("SELECT person, key FROM keys").fetchall()
            db.executemany(
                "UPDATE keys SET key = ? WHERE person = ?",
                [(self._as_kept(key, person), person) for person, key in rows],
            )
            # A longer row may have moved: the pages are written anew, and what they left is overwritten.
        self._db.execute("VACUUM")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[apsw.Connection]:
        try:
            # Not `with self._db`: waiting for a reader in another thread of ours, that one waits in vain, until it is
            # busy.
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except apsw.Error as error:
            raise explained(error, self.path) from error

    def _scrub(self) -> None:
        """Overwrite the rollback journal, in which the pages are as they were before the last commit."""
        journal = Path(f"{self.path}-journal")
        try:
            self._db.execute(
                "BEGIN EXCLUSIVE"
            )  # nobody uses it, and one that a crash left has been played back
            try:
                with contextlib.suppress(FileNotFoundError), journal.open("r+b", buffering=0) as file:
                    file.write(bytes(journal.stat().st_size))
                    os.fsync(file.fileno())
            finally:
                self._db.execute("ROLLBACK")
        except apsw.Error as error:
            raise explained(error, self.path) from error
        except OSError as error:
            raise StoreUnusable(f"{journal}: cannot be overwritten ({error.strerror})") from error


def examine(path: Path) -> tuple[list[str], list[str]]:
    """Return what is wrong with a vault and what is worth knowing, for people; two empty lists where there is none."""
    if not path.exists():
        return [], []
    problems: list[str] = []
    notes: list[str] = []
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        problems.append(f"{path.name}: others than its owner may open it (mode {mode:o}); chmod 600 it")
    try:
        with contextlib.closing(connect_to_read(path)) as connection:
            _check_version(connection, path)
            lines = [str(line) for (line,) in connection.execute("PRAGMA quick_check(5)") if line != "ok"]
            problems += [f"{path.name}: {line}" for line in lines]
            count = connection.execute("SELECT count(*) FROM keys").get
            wrapped = connection.execute("SELECT wrapped FROM vault").get
            under_way = connection.execute("SELECT count(*) FROM erasures").get
    except (StoreDamaged, *UNREADABLE) as error:
        return [*problems, f"{path.name}: cannot be read ({error})"], []
    how = "wrapped by a master key" if wrapped else "kept plainly: [privacy] has no master_key"
    notes.append(f"{path.name}: {count:,} persons' keys, {how}")
    if under_way:
        notes.append(
            f"{path.name}: {under_way:,} erasures are under way; a daemon goes on with them when it runs"
        )
    return problems, notes


def _connect(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(BUSY_MS)
    connection.transaction_mode = "IMMEDIATE"
    connection.pragma("journal_mode", "persist")
    connection.pragma("synchronous", "FULL")
    connection.pragma("secure_delete", True)
    connection.pragma("temp_store", "memory")
    return connection


@contextlib.contextmanager
def _closing_on_error(path: Path, connected: Callable[[], apsw.Connection]) -> Iterator[apsw.Connection]:
    try:
        connection = connected()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise StoreDamaged(f"{path}: SQLite cannot read it ({error}); restore it from a backup") from error
    except apsw.Error as error:
        raise StoreUnusable(f"{path}: cannot be opened ({error})") from error


def _make(connection: apsw.Connection, master: bytes | None) -> None:
    secret = os.urandom(KEY_BYTES)
    kept = secret if master is None else _encrypted(AESGCM(master), secret, _SECRET)
    connection.execute(_TABLES)
    connection.execute("INSERT INTO vault VALUES (?, ?)", (kept, master is not None))
    connection.pragma("application_id", APPLICATION_ID)
    connection.pragma("user_version", SCHEMA)


def _check_version(connection: apsw.Connection, path: Path) -> None:
    if connection.pragma("application_id") != APPLICATION_ID:
        raise StoreDamaged(f"{path}: is no vault of Frontrow's")
    if (version := connection.pragma("user_version")) != SCHEMA:
        raise StoreDamaged(f"{path}: is a vault of another version ({version}, this one knows {SCHEMA})")


def _bound(identity: Identity, purpose: str) -> bytes:
    parts = (identity.kind, identity.key, purpose)
    return "\x1f".join(f"{len(part)}:{part}" for part in parts).encode("utf-8", "surrogatepass")


def _encrypted(cipher: AESGCM, data: bytes, bound: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, data, bound)


def _decrypted(cipher: AESGCM, data: bytes, bound: bytes) -> bytes:
    return cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], bound)
