"""The directory says of every viewer and session what a dictionary would say, whatever the ids and their hashes are."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from frontrow.core.directory import NOBODY, WIDTH, Directory

ALPHABET = "a\0é微𝄞\ud800"  # one to four bytes, zero, and what no well-formed text has
EDGES = [
    "",
    "\0",
    "a",
    "a\0",
    "\0a",
    "a" * WIDTH,
    "a" * (WIDTH - 1) + "\0",
    "a" * WIDTH + "\0",
    "a" * 256,
    "微" * 256,
]
EDGES += ["微" * (WIDTH // 3), "a" + "微" * (WIDTH // 3), "a" * WIDTH + "b", "a" * WIDTH + "c"]
IDS = st.one_of(
    st.sampled_from(EDGES),
    st.text(ALPHABET, max_size=30),
    st.integers(0, 3000).map("viewer-{:04}".format),
)
KEYS = st.tuples(st.integers(0, 5), IDS)
HASHES: dict[str, Callable[[str], int]] = {
    "Python's": hash,  # with the kernel, where there is one
    "Python's without the kernel": lambda viewer: hash(viewer),
    "all alike": lambda _: 0,
    "all in the last slot": lambda _: -1,
    "three": lambda viewer: (len(viewer) % 3 - 1) << 62,
}


def add(directory: Directory, rows: Sequence[int], keys: Sequence[tuple[int, str]]) -> None:
    sessions = np.array([session for session, _ in keys], np.int64)
    directory.add(np.array(rows, np.int64), sessions, [viewer for _, viewer in keys])


class DirectoryAgainstDictionary(RuleBasedStateMachine):
    """Adds, removes, asks, and takes over images, beside a dictionary that does the same."""

    @initialize(hashes=st.sampled_from(sorted(HASHES)))
    def begin(self, hashes: str) -> None:
        self.hash_of = HASHES[hashes]
        self.directory = Directory(self.hash_of)
        self.rows: dict[tuple[int, str], int] = {}
        self.end = 0
        self.free: list[int] = []

    def _add(self, keys: list[tuple[int, str]]) -> None:
        new = [key for key in dict.fromkeys(keys) if key not in self.rows]
        again = [self.free.pop() for _ in range(min(len(self.free), len(new)))]
        rows = [*again, *range(self.end, self.end + len(new) - len(again))]
        self.end += len(new) - len(again)
        self.directory.grow(self.end)
        add(self.directory, rows, new)
        self.rows.update(zip(new, rows, strict=True))

    @rule(keys=st.lists(KEYS, max_size=40))
    def add(self, keys: list[tuple[int, str]]) -> None:
        self._add(keys)

    @rule(session=st.integers(0, 5), first=st.integers(0, 3000), count=st.integers(500, 1500))
    def add_a_crowd(self, session: int, first: int, count: int) -> None:
        if (
            self.hash_of is hash
        ):  # colliding ones are searched one by one, and a thousand would take their time
            self._add([(session, f"viewer-{number:04}") for number in range(first, first + count)])

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), share=st.sampled_from([1, 2, 3, 50]))
    def remove(self, data: st.DataObject, share: int) -> None:
        start = data.draw(st.integers(0, share - 1))
        gone = list(self.rows)[start::share]
        rows = [self.rows.pop(key) for key in gone]
        self.directory.remove(np.array(rows, np.int64))
        self.free += rows

    @rule(keys=st.lists(KEYS, max_size=60), data=st.data())
    def ask(self, keys: list[tuple[int, str]], data: st.DataObject) -> None:
        if self.rows:
            keys += data.draw(st.lists(st.sampled_from(sorted(self.rows)), max_size=60))
        numbers = np.array([session for session, _ in keys], np.int64)
        viewers = [viewer for _, viewer in keys]
        expected = [self.rows.get(key, NOBODY) for key in keys]
        assert self.directory.rows_of(numbers, viewers).tolist() == expected
        assert [self.directory.row_of(*key) for key in keys] == expected

    @rule()
    def ask_for_all(self) -> None:
        numbers = np.array([session for session, _ in self.rows], np.int64)
        rows = self.directory.rows_of(numbers, [viewer for _, viewer in self.rows])
        assert rows.tolist() == list(self.rows.values())

    @rule()
    def tell_of_all(self) -> None:
        rows = np.array(list(self.rows.values()), np.int64)
        viewers = [viewer for _, viewer in self.rows]
        assert self.directory.viewers(rows) == viewers
        assert [self.directory.viewer(row) for row in rows.tolist()] == viewers
        taken = np.flatnonzero(self.directory.session.array != NOBODY)
        assert taken.tolist() == sorted(rows.tolist())

    @rule(others=st.lists(KEYS, max_size=3))
    def take_over_the_image(self, others: list[tuple[int, str]]) -> None:
        """By one that is empty, as at a start; and hashes may be others then."""
        image, sessions = self.directory.image(self.end), self.directory.session.array[: self.end].copy()
        self.directory = Directory(self.hash_of)
        self.directory.session.load(sessions)
        self.directory.load(*image)
        self._add(others)

    @invariant()
    def holds_as_many(self) -> None:
        assert len(self.directory) == len(self.rows)


TestDirectoryAgainstDictionary = DirectoryAgainstDictionary.TestCase
TestDirectoryAgainstDictionary.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@pytest.mark.parametrize("hashes", HASHES)
def test_ids_that_are_nearly_alike_are_told_apart(hashes: str) -> None:
    """Every id is asked for in both ways among all others: a hash, a length or the first bytes alone say nothing."""
    directory = Directory(HASHES[hashes])
    ids = [*dict.fromkeys(EDGES), *(f"{number:020}" for number in range(40))]
    keys = [(session, viewer) for session in (0, 7) for viewer in ids]
    directory.grow(len(keys))
    add(directory, range(len(keys)), keys)
    asked = [*keys, *((session, viewer + "\0") for session, viewer in keys), *((3, viewer) for viewer in ids)]
    expected = [keys.index(key) if key in keys else NOBODY for key in asked]
    numbers = np.array([session for session, _ in asked], np.int64)
    assert directory.rows_of(numbers, [viewer for _, viewer in asked]).tolist() == expected
    assert [directory.row_of(*key) for key in asked] == expected
    assert expected.count(NOBODY) > len(ids)


def test_a_table_that_is_emptied_again_and_again_does_not_grow() -> None:
    """Whoever is gone leaves a mark in the table; the marks must not make it grow, nor a search endless."""
    directory = Directory()
    directory.grow(1000)
    for turn in range(60):
        viewers = [f"{turn}-{number}" for number in range(1000)]
        add(directory, range(1000), [(turn, viewer) for viewer in viewers])
        assert directory.rows_of(np.full(1000, turn), viewers).tolist() == list(range(1000))
        directory.remove(np.arange(1000))
        assert directory.rows_of(np.full(1000, turn), viewers).tolist() == [NOBODY] * 1000
    assert directory.slots <= 4096


def test_a_large_table_gives_its_room_back() -> None:
    directory = Directory()
    directory.grow(50_000)
    add(directory, range(50_000), [(0, str(number)) for number in range(50_000)])
    assert directory.slots >= 75_000
    directory.remove(np.arange(49_900))
    assert directory.slots < 5_000
    assert directory.rows_of(
        np.zeros(100, np.int64), [str(number) for number in range(49_900, 50_000)]
    ).tolist() == [*range(49_900, 50_000)]
