"""The vault: what it seals only it opens, and what it has destroyed nobody opens, not even who has its file."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import apsw
import pytest

from frontrow.core.centre.identities import Identity, phone_key, viewer_identity
from frontrow.core.errors import CommitFailed, StoreDamaged, StoreUnusable
from frontrow.storage import vault as vaults
from frontrow.storage.doctor import examine
from frontrow.storage.store import Store
from frontrow.storage.vault import Vault, path_beside
from tests.support.daemons import SOURCE_ROOTS

ONE, OTHER = viewer_identity("douyin", "v1"), viewer_identity("douyin", "v2")
MASTER = bytes(range(32))
WORDS = "张三, 13800138000".encode()


def raw(path: Path) -> bytes:
    """Return all bytes of a vault's file and its journal."""
    journal = Path(f"{path}-journal")
    return path.read_bytes() + (journal.read_bytes() if journal.exists() else b"")


def keys_in(path: Path) -> list[bytes]:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return [key for (key,) in connection.execute("SELECT key FROM keys ORDER BY person")]
    finally:
        connection.close()


@pytest.fixture(params=[None, MASTER], ids=["plain", "wrapped"])
def master(request: pytest.FixtureRequest) -> bytes | None:
    found: bytes | None = request.param
    return found


def test_what_was_sealed_can_be_read_after_a_restart(tmp_path: Path, master: bytes | None) -> None:
    vault = Vault.open(tmp_path / "v.keys", master)
    sealed = vault.seal(ONE, "form", WORDS)
    assert WORDS not in sealed
    vault.close()
    again = Vault.open(tmp_path / "v.keys", master)
    assert again.unseal(ONE, "form", sealed) == WORDS
    again.close()
    reader = Vault.open_to_read(tmp_path / "v.keys", master)
    assert reader.unseal(ONE, "form", sealed) == WORDS
    reader.close()


def test_what_was_sealed_is_of_one_person_and_purpose_and_not_changed(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path / "v.keys")
    sealed = vault.seal(ONE, "form", WORDS)
    vault.seal(OTHER, "form", b"")
    assert vault.unseal(OTHER, "form", sealed) is None
    assert vault.unseal(ONE, "note", sealed) is None
    assert vault.unseal(ONE, "form", sealed[:-1] + bytes([sealed[-1] ^ 1])) is None
    assert vault.unseal(ONE, "form", b"") is None
    assert vault.unseal(Identity("crm", "nobody"), "form", sealed) is None
    assert vault.seal(ONE, "form", WORDS) != sealed
    vault.close()


def test_what_was_destroyed_cannot_be_read_by_anybody(tmp_path: Path, master: bytes | None) -> None:
    """Nor are the key's bytes in the file or in its journal any more."""
    path = tmp_path / "v.keys"
    vault = Vault.open(path, master)
    of_one = vault.seal(ONE, "form", WORDS)
    [key] = keys_in(path)
    assert key in raw(path)
    of_other = vault.seal(OTHER, "form", WORDS)
    assert vault.destroy([ONE]) == 1
    assert key not in raw(path)
    assert len(keys_in(path)) == 1
    assert vault.unseal(ONE, "form", of_one) is None
    assert vault.unseal(OTHER, "form", of_other) == WORDS
    assert vault.destroy([ONE]) == 0
    later = vault.seal(ONE, "form", b"later")
    assert vault.unseal(ONE, "form", later) == b"later"
    assert vault.unseal(ONE, "form", of_one) is None
    vault.close()


def test_a_process_that_ends_right_after_a_destruction_leaves_no_key_once_it_is_opened_again(
    tmp_path: Path,
) -> None:
    path = tmp_path / "v.keys"
    vault = Vault.open(path)
    sealed = vault.seal(ONE, "form", WORDS)
    vault.close()
    [key] = keys_in(path)
    code = (
        "import os, pathlib, sys; from frontrow.storage.vault import Vault\n"
        "from frontrow.core.centre.identities import viewer_identity\n"
        "vault = Vault.open(pathlib.Path(sys.argv[1])); vault._scrub = lambda: os._exit(9)\n"
        "vault.destroy([viewer_identity('douyin', 'v1')])"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(SOURCE_ROOTS)}
    ended = subprocess.run([sys.executable, "-c", code, str(path)], check=False, env=environ, timeout=60)
    assert ended.returncode == 9
    assert key in raw(path)  # in the journal: what the next line is for
    vault = Vault.open(path)
    assert key not in raw(path)
    assert vault.unseal(ONE, "form", sealed) is None
    vault.close()


def test_keys_of_many_are_made_in_one_commit(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path / "v.keys")
    commits = 0

    def committed() -> bool:
        nonlocal commits
        commits += 1
        return False

    vault._db.set_commit_hook(committed)
    items = [(viewer_identity("p", f"v{number % 20}"), "form", b"%d" % number) for number in range(60)]
    sealed = vault.seal_all(items)
    assert commits == 1
    assert [
        vault.unseal(who, purpose, each) for (who, purpose, _), each in zip(items, sealed, strict=True)
    ] == [data for _, _, data in items]
    vault.seal_all(items)
    assert commits == 1
    vault.close()


def test_threads_agree_on_a_persons_key(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path / "v.keys")
    with ThreadPoolExecutor(8) as pool:
        sealed = list(pool.map(lambda n: vault.seal(ONE, "form", b"%d" % n), range(64)))
    assert [vault.unseal(ONE, "form", each) for each in sealed] == [b"%d" % n for n in range(64)]
    assert len(keys_in(vault.path)) == 1
    vault.close()


def test_readers_in_other_threads_only_delay_a_commit(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path / "v.keys")
    done = Event()

    def read() -> None:
        while not done.is_set():
            reader = Vault.open_to_read(vault.path)
            reader.erasures()
            reader.close()

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            for number in range(20):
                vault.begin_erasure(str(number), b"", [ONE], number)
                vault.end_erasure(str(number))
        finally:
            done.set()
        assert [reader.result() for reader in readers] == [None, None]
    assert vault.erasures() == []
    vault.close()


def test_more_persons_than_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vaults, "CACHED", 3)
    vault = Vault.open(tmp_path / "v.keys")
    people = [viewer_identity("p", f"v{number}") for number in range(9)]
    sealed = vault.seal_all([(who, "form", who.key.encode()) for who in people])
    assert len(vault._keys) == 3
    assert [vault.unseal(who, "form", each) for who, each in zip(people, sealed, strict=True)] == [
        who.key.encode() for who in people
    ]
    vault.close()


def test_a_phone_is_known_by_the_secret_of_this_installation(tmp_path: Path, master: bytes | None) -> None:
    one, other = Vault.open(tmp_path / "1.keys", master), Vault.open(tmp_path / "2.keys", master)
    known = one.phone_key("+8613800138000")
    assert known != other.phone_key("+8613800138000")
    assert known == phone_key("+8613800138000", one._secret)
    one.close()
    again = Vault.open(tmp_path / "1.keys", master)
    assert again.phone_key("+8613800138000") == known
    again.close()
    other.close()


def test_the_file_is_its_owners_alone_and_names_nobody(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path / "v.keys", MASTER)
    viewer = viewer_identity("douyin", "MS4wLjABAAAA-a-very-long-viewer-id")
    vault.seal(viewer, "form", WORDS)
    secret = vault._secret
    vault.close()
    assert stat.S_IMODE(vault.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(Path(f"{vault.path}-journal").stat().st_mode) == 0o600
    assert viewer.key.encode() not in raw(vault.path)
    assert secret not in raw(vault.path)


def test_a_vault_is_not_opened_without_its_master_key_or_with_another(tmp_path: Path) -> None:
    Vault.open(tmp_path / "v.keys", MASTER).close()
    with pytest.raises(StoreUnusable, match="master_key"):
        Vault.open(tmp_path / "v.keys")
    with pytest.raises(StoreUnusable, match="does not fit"):
        Vault.open(tmp_path / "v.keys", bytes(32))
    with pytest.raises(StoreUnusable, match="master_key"):
        Vault.open_to_read(tmp_path / "v.keys")
    Vault.open(tmp_path / "v.keys", MASTER).close()


def test_a_plain_vault_is_wrapped_when_a_master_key_comes(tmp_path: Path) -> None:
    path = tmp_path / "v.keys"
    vault = Vault.open(path)
    sealed, known = vault.seal(ONE, "form", WORDS), vault.phone_key("+8613800138000")
    secret = vault._secret
    vault.close()
    [key] = keys_in(path)
    assert key in raw(path)
    wrapped = Vault.open(path, MASTER)
    assert (wrapped.unseal(ONE, "form", sealed), wrapped.phone_key("+8613800138000")) == (WORDS, known)
    assert key not in raw(path)
    assert secret not in raw(path)
    wrapped.close()
    again = Vault.open(path, MASTER)
    assert again.unseal(ONE, "form", sealed) == WORDS
    again.close()


def test_a_master_key_is_made_of_any_text_and_of_none() -> None:
    made = {vaults.master_key(text) for text in ("0" * 64, "0" * 63 + "1", "密" * 32)}
    assert len(made) == 3
    assert {len(key or b"") for key in made} == {32}
    assert vaults.master_key("") is None


def test_a_key_that_cannot_be_kept_seals_nothing(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path / "v.keys")
    vault._db.pragma("max_page_count", vault._db.pragma("page_count"))
    with pytest.raises(CommitFailed):
        vault.seal_all([(viewer_identity("p", f"v{number}"), "form", b"") for number in range(500)])
    assert keys_in(vault.path) == []
    assert not vault._keys
    vault.close()


def test_another_file_is_no_vault(tmp_path: Path) -> None:
    Store.open(tmp_path / "store.db").close()
    with pytest.raises(StoreDamaged, match="no vault"):
        Vault.open(tmp_path / "store.db")
    (tmp_path / "text.keys").write_text("these are no keys, but more than a hundred bytes of words. " * 99)
    with pytest.raises(StoreDamaged):
        Vault.open(tmp_path / "text.keys")


def test_the_doctor_says_how_keys_are_kept_and_who_may_read_them(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    Store.open(store).close()
    assert not any(".keys" in line for line in examine(store).lines())
    vault = Vault.open(path_beside(store))
    vault.seal(ONE, "form", WORDS)
    vault.close()
    assert any("1 persons' keys, kept plainly" in note for note in examine(store).notes)
    Vault.open(path_beside(store), MASTER).close()
    assert any("wrapped by a master key" in note for note in examine(store).notes)
    path_beside(store).chmod(0o644)
    [problem] = examine(store).problems
    assert "mode 644" in problem
    path_beside(store).chmod(0o600)
    path_beside(store).write_bytes(b"nothing" * 1_000)
    assert not examine(store).sound


# ---------------------------------------------------------------------- erasures


def test_an_erasure_destroys_keys_and_is_under_way_until_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "v.keys"
    vault = Vault.open(path)
    sealed = vault.seal(ONE, "form", WORDS)
    assert vault.begin_erasure("e1", b'{"of": "v1"}', [ONE, OTHER], 1_000) == 1
    assert vault.unseal(ONE, "form", sealed) is None
    vault.close()
    again = Vault.open(path)
    assert again.erasures() == [("e1", b'{"of": "v1"}')]
    assert again.begin_erasure("e1", b'{"of": "v1, a number"}', [ONE], 1_000) == 0
    assert again.erasures() == [("e1", b'{"of": "v1, a number"}')]
    again.end_erasure("e1")
    assert again.erasures() == []
    assert b'{"of"' not in raw(path)
    erased = again.erased()
    assert (erased(ONE), erased(OTHER), erased(viewer_identity("douyin", "v3"))) == (1_000, 1_000, None)
    again.close()


def test_who_was_erased_twice_was_erased_up_to_the_later_time(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path / "v.keys")
    for number, at in enumerate((2_000, 3_000, 1_000)):
        vault.begin_erasure(str(number), b"", [ONE], at)
    assert vault.erased()(ONE) == 3_000
    vault.close()
