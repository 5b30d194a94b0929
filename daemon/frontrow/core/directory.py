"""Which row a viewer of a session has: one hash table for all sessions, asked for a whole frame at once.

A dictionary of Python's waits for memory three times for each viewer (its index, its entry, the text), one viewer
after the other, and costs 160 bytes with the text and the number that it points to. Here all viewers of a frame are
looked up together, so that the processor waits for many of them at a time, and a viewer costs 28 bytes and some two
slots of eight.

The table is open addressing with linear probing. An entry is one number: 31 bits of a hash, the *tag*, above the row
plus 1; 0 is an empty slot, -1 one whose viewer is gone. The tag's upper bits say where the search begins, so the table
is made anew from its own entries: sorted, each goes to its place or behind the one before it. The table does not wrap
around; it ends with room for those who would, and with empty slots, where every search ends.

A tag only proposes a row. Who is there is decided by the session and by all bytes of the id. Hashes are Python's own,
keyed per process against senders who would choose ids that collide; nothing outside depends on them, and images do not
hold them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frontrow.core import kernel
from frontrow.core.columns import FIRST_ROWS, Column, zeros

Rows = NDArray[np.int64]

NOBODY = -1  # the session of a free row, and the row of a viewer who has none
WIDTH = 24  # bytes of an id, in UTF-8, that lie in a column

_WORDS = WIDTH // 8
# Longer ids, and those with a zero in them, are *odd*: a dictionary has them whole, and the column their first bytes
# and this mark, which no text in UTF-8 has. All others stand in the column as they are, filled up with zeros.
_ODD = b"\xff"
_EMPTY, _GONE = 0, -1
_ROW_BITS = 32
_ROW = (1 << _ROW_BITS) - 1
_TAG_BITS = 31  # with the row one signed number that is not negative
_WORD = (1 << 64) - 1
_OF_SESSION, _SPREAD = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93  # odd, with bits everywhere
_FEWEST_BITS = 11
_TAIL = 64  # slots behind those in which a search can begin
_NEXT = np.arange(1, 9)  # slots that are looked at together, behind the first
_FEW = 32  # up to so many, one after another is faster than all at once


@dataclass(frozen=True, slots=True)
class _Keys:
    """Viewers of sessions as numbers: what is compared at once. ``odd`` are the odd ids, by place."""

    sessions: Rows
    tags: Rows
    heads: NDArray[np.uint64]
    odd: dict[int, str]


class Directory:
    """Session and viewer by row, and the row by session and viewer. Whoever adds makes room for the rows before."""

    def __init__(self, hash_of: Callable[[str], int] = hash) -> None:
        """Make an empty directory. ``hash_of`` gives equal numbers, signed and of 64 bits, for equal texts."""
        self._hash_of = hash_of
        self._kernel = kernel.compiled if hash_of is hash else None
        self.session = Column(np.int32, fill=NOBODY)  # by row: its session's number, or NOBODY
        self._hold(zeros((FIRST_ROWS, _WORDS), np.uint64))
        self._odd: dict[int, str] = {}
        self._used = self._live = 0  # slots that are not empty, and those of them with a row
        self._arrange(np.zeros(0, np.int64))

    def __len__(self) -> int:
        """How many rows are taken."""
        return self._live

    @property
    def slots(self) -> int:
        """How many slots the table has."""
        return len(self._table)

    def grow(self, rows: int) -> None:
        """Make room for at least so many rows."""
        self.session.grow(rows)
        if rows > len(self._heads):
            heads = zeros((rows, _WORDS), np.uint64)
            heads[: len(self._heads)] = self._heads
            self._hold(heads)

    # ------------------------------------------------------------------ asking

    def row_of(self, session: int, viewer: str) -> int:
        """Return a viewer's row, or NOBODY."""
        tag = ((self._hash_of(viewer) + session * _OF_SESSION) * _SPREAD & _WORD) >> 64 - _TAG_BITS
        slot, table = tag >> self._shift, self._view
        while entry := table[slot]:
            if entry >> _ROW_BITS == tag:
                row: int = (entry & _ROW) - 1
                if self.session.view[row] == session and self.viewer(row) == viewer:
                    return row
            slot += 1
        return NOBODY

    def rows_of(self, sessions: Rows, viewers: Sequence[str]) -> Rows:
        """Return the row of each viewer in its session, or NOBODY; ``sessions`` are their numbers."""
        if self._kernel is not None:
            found = np.empty(len(viewers), np.int64)
            numbers = np.ascontiguousarray(sessions, np.int64)
            for place in self._kernel.directory_rows(
                found, numbers, list(viewers), self._table, self._shift, self._heads, self.session.array
            ):
                found[place] = self.row_of(int(numbers[place]), viewers[place])
            return found
        if len(viewers) <= _FEW:
            each = map(self.row_of, sessions.tolist(), viewers)
            return np.fromiter(each, np.int64, len(viewers))
        keys = self._keys(sessions, viewers)
        rows, doubtful = self._proposed(keys.tags)
        proposed = np.flatnonzero(rows >= 0)
        wrong = proposed[~self._are(rows[proposed], keys, proposed)]
        for place in [*doubtful.tolist(), *wrong.tolist()]:
            rows[place] = self.row_of(int(sessions[place]), viewers[place])
        return rows

    def _proposed(self, tags: Rows) -> tuple[Rows, Rows]:
        """Return the first row with each tag, or NOBODY, and the places of those who are not so quickly found."""
        slots = tags >> self._shift
        entries = self._table.take(slots)
        rows = (entries & _ROW) - 1
        other = entries >> _ROW_BITS != tags
        rows[other] = NOBODY
        on = np.flatnonzero(other & (entries != _EMPTY))
        if not on.size:
            return rows, on
        further = self._table.take(slots[on, None] + _NEXT)
        alike = further >> _ROW_BITS == tags[on, None]
        first = further[np.arange(len(on)), alike.argmax(axis=1)]
        found = alike.any(axis=1)
        rows[on[found]] = (first[found] & _ROW) - 1
        # There may be more behind the last of these slots, where none is empty.
        return rows, on[~found & (further != _EMPTY).all(axis=1)]

    def viewer(self, row: int) -> str:
        """Return the viewer of a row that is taken."""
        text: bytes = self._texts.item(row)
        return self._odd[row] if text.endswith(_ODD) else text.decode("utf-8", "surrogatepass")

    def viewers(self, rows: Rows) -> list[str]:
        """Return the viewer of each row; all of them are taken."""
        texts, odd = self._texts.take(rows).tolist(), self._odd
        if not odd:
            return [text.decode("utf-8", "surrogatepass") for text in texts]
        return [
            odd[row] if row in odd else text.decode("utf-8", "surrogatepass")
            for row, text in zip(rows.tolist(), texts, strict=True)
        ]

    # ------------------------------------------------------------------ changing

    def add(self, rows: Rows, sessions: Rows, viewers: Sequence[str]) -> None:
        """Give free rows to viewers of sessions; no two are the same, and none has a row."""
        keys = self._keys(sessions, viewers)
        self.session.array[rows] = sessions
        self._heads[rows] = keys.heads
        for place, viewer in keys.odd.items():
            self._odd[int(rows[place])] = viewer
        self._live += len(rows)
        self._enter(keys.tags << _ROW_BITS | rows + 1)

    def remove(self, rows: Rows) -> None:
        """Let rows be free; all of them are taken, and they are different."""
        entries = self._entries(rows)
        slots = entries >> _ROW_BITS >> self._shift
        while slots.size:
            on = self._table.take(slots) != entries
            self._table[slots[~on]] = _GONE
            entries, slots = entries[on], slots[on] + 1
        if self._odd:
            for row in rows.tolist():
                self._odd.pop(row, None)
        self.session.array[rows] = NOBODY
        self._live -= len(rows)
        if self._live < self._bound // 8 and self._shift < _TAG_BITS - _FEWEST_BITS:
            self._arrange(self._and_all(np.zeros(0, np.int64)))

    def _enter(self, entries: Rows) -> None:
        """Put new entries into the table."""
        if self._used + len(entries) > self._bound:
            self._arrange(self._and_all(entries))
            return
        self._used += len(entries)
        slots = entries >> _ROW_BITS >> self._shift
        while entries.size > _FEW:
            if int(np.max(slots)) >= self._last:
                self._arrange(self._and_all(entries))
                return
            # Of those who want the same empty slot one gets it. Slots of the gone are made empty all at once, later.
            empty = self._table.take(slots) == _EMPTY
            self._table[slots[empty]] = entries[empty]
            on = self._table.take(slots) != entries
            entries, slots = entries[on], slots[on] + 1
        for done, (entry, slot) in enumerate(zip(entries.tolist(), slots.tolist(), strict=True)):
            while self._view[slot]:
                slot += 1
            if slot >= self._last:
                self._arrange(self._and_all(entries[done:]))
                return
            self._view[slot] = entry

    def _and_all(self, entries: Rows) -> Rows:
        """Return the entries of the table and some more."""
        return np.concatenate((self._table[self._table > _EMPTY], entries))

    def _arrange(self, entries: Rows) -> None:
        """Make the table anew, of these entries alone, with room for as many again."""
        bits = max(_FEWEST_BITS, (2 * len(entries)).bit_length())
        slots = 1 << bits
        self._shift = _TAG_BITS - bits
        self._bound = slots * 2 // 3
        self._used = len(entries)
        entries.sort()
        order = np.arange(len(entries))
        place = order + np.maximum.accumulate((entries >> _ROW_BITS >> self._shift) - order)
        beyond = max(0, int(place[-1]) + 1 - slots) if place.size else 0
        self._last = slots + _TAIL + 2 * beyond  # this slot and those behind it stay empty
        self._table: NDArray[np.int64] = zeros(self._last + 1 + len(_NEXT), np.int64)
        self._table[place] = entries
        self._view = self._table.data

    # ------------------------------------------------------------------ keeping

    def image(self, end: int) -> tuple[NDArray[Any], list[str | None]]:
        """Return a copy of the ids of the rows below ``end``: the column, and the odd ones in the order of rows."""
        return self._heads[:end].copy(), [self._odd[row] for row in sorted(self._odd)]

    def load(self, heads: NDArray[Any], odd: Sequence[str | None]) -> None:
        """Take over what :meth:`image` told; this one is empty, but for the column of sessions, which has its rows."""
        self.grow(len(heads))
        self._heads[: len(heads)] = heads
        rows = np.flatnonzero(self.session.array[: len(heads)] != NOBODY)
        marked = rows[heads.view(np.uint8)[rows, WIDTH - 1] == ord(_ODD)].tolist()
        self._odd = {row: viewer for row, viewer in zip(marked, odd, strict=True) if viewer is not None}
        self._live = len(rows)
        self._arrange(self._entries(rows))

    def _hold(self, heads: NDArray[np.uint64]) -> None:
        self._heads = heads
        self._texts = heads.view(f"S{WIDTH}").reshape(
            -1
        )  # numpy takes off the zeros with which a text is filled up

    # ------------------------------------------------------------------ keys

    def _entries(self, rows: Rows) -> Rows:
        tags = self._tags(self.session.array[rows].astype(np.int64), self.viewers(rows))
        return tags << _ROW_BITS | rows + 1

    def _tags(self, sessions: Rows, viewers: Sequence[str]) -> Rows:
        hashes = np.fromiter(map(self._hash_of, viewers), np.int64, len(viewers)).view(np.uint64)
        mixed = (hashes + sessions.view(np.uint64) * np.uint64(_OF_SESSION)) * np.uint64(_SPREAD)
        return (mixed >> np.uint64(64 - _TAG_BITS)).view(np.int64)

    def _keys(self, sessions: Rows, viewers: Sequence[str]) -> _Keys:
        return _Keys(sessions, self._tags(sessions, viewers), *_packed(viewers))

    def _are(self, rows: Rows, keys: _Keys, places: Rows) -> NDArray[np.bool_]:
        """Return whether each row is that of the key at the place beside it."""
        differ = self._heads.take(rows, axis=0) ^ keys.heads.take(places, axis=0)
        same: NDArray[np.bool_] = (differ[:, 0] | differ[:, 1] | differ[:, 2]) == 0
        same &= self.session.array.take(rows) == keys.sessions.take(places)
        if keys.odd:
            for which, (row, place) in enumerate(zip(rows.tolist(), places.tolist(), strict=True)):
                if place in keys.odd:
                    same[which] &= self._odd.get(row) == keys.odd[place]
        return same


def _packed(viewers: Sequence[str]) -> tuple[NDArray[np.uint64], dict[int, str]]:
    """Return ids as they stand in the column, shape (ids, words), and the odd ones by place."""
    joined = "".join(viewers)
    if joined.isascii() and "\0" not in joined:
        lengths = set(map(len, viewers))
        if len(lengths) == 1 and 0 < (length := lengths.pop()) <= WIDTH:
            # All have the same length, as those of most platforms: a quarter of the time.
            block = np.zeros((len(viewers), WIDTH), np.uint8)
            block[:, :length] = np.frombuffer(joined.encode(), np.uint8).reshape(-1, length)
            return block.view(np.uint64), {}
    texts = [viewer.encode("utf-8", "surrogatepass") for viewer in viewers]
    heads = np.array(texts, f"S{WIDTH}")
    odd = {place: viewers[place] for place, text in enumerate(texts) if len(text) > WIDTH or b"\0" in text}
    for place in odd:
        heads[place] = texts[place][: WIDTH - 1].ljust(WIDTH - 1, b"\0") + _ODD
    return heads.view(np.uint64).reshape(-1, _WORDS), odd
