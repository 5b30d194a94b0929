"""An attic in memory: for replays, and for tests of whatever uses one."""

from collections.abc import Sequence


class MemoryAttic:
    """Fits :class:`frontrow.core.ports.Attic`. From its first mark on it also keeps what it needs to go back there."""

    def __init__(self) -> None:
        self._rows: dict[bytes, bytes] = {}
        self._undo: list[tuple[bytes, bytes | None]] = []  # what each put since the first mark has replaced
        self._marks: dict[int, int] = {}  # frame's number → length of the list above at its mark

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, items: Sequence[tuple[bytes, bytes]]) -> None:
        """See the protocol."""
        if self._marks:
            for key, row in items:
                self._undo.append((key, self._rows.get(key)))
                self._rows[key] = row
        else:
            self._rows.update(items)

    def take(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See the protocol."""
        return list(map(self._rows.get, keys))

    def mark(self, seq: int) -> None:
        """See the protocol."""
        self._marks[seq] = len(self._undo)

    def rewind(self, seq: int) -> None:
        """Go back to the mark of frame ``seq``, or to the beginning (0). Raises KeyError if there is no such mark."""
        if seq == 0:
            self.__init__()  # type: ignore[misc]  # nothing is inherited from it
            return
        length = self._marks[seq]
        for key, row in reversed(self._undo[length:]):
            if row is None:
                del self._rows[key]
            else:
                self._rows[key] = row
        del self._undo[length:]
        self._marks = {marked: length for marked, length in self._marks.items() if marked <= seq}
