"""ahocorasick_rs behind types, and a sieve: find many strings, or a few patterns, in many texts at once.

Aho and Corasick, *Efficient string matching: an aid to bibliographic search*, CACM 18(6), 1975. One pass costs the
text's length plus the hits, however many strings there are; a regular expression of alternatives tries them in turn.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain

import numpy as np
from ahocorasick_rs import AhoCorasick, Implementation
from numpy.typing import NDArray

from frontrow.core import kernel
from frontrow.core.translation import Translation, codes_of

Numbers = NDArray[np.int64]


class Automaton:
    """Finds ``strings``, none of them empty, each of which carries a number. Unchangeable once made."""

    def __init__(self, strings: Mapping[str, int]) -> None:
        self._numbers = list(strings.values())
        self._by_string = np.array(self._numbers, np.int64)
        # Of the library's kinds the one of least memory: a table for every state would take a gigabyte here.
        self._find = AhoCorasick(
            list(strings), implementation=Implementation.ContiguousNFA, store_patterns=False
        ).find_matches_as_indexes

    def hits(self, text: str) -> list[tuple[int, int]]:
        """Return for every occurrence, overlapping ones too, the index behind its last character and its number.

        They are in the order in which they end. ``text`` has no lone surrogate.
        """
        numbers = self._numbers
        return [(end, numbers[which]) for which, _, end in self._find(text, overlapping=True)]

    def spread(self, text: str) -> tuple[Numbers, list[tuple[int, str, list[tuple[int, int]]]]]:
        """Return the low 16 bits of all numbers found in each part of a text, whose parts have NUL between them, joined by OR;
        and of the parts where a negative one was found: which, the part, and its :meth:`hits`. The bits of those say
        nothing."""
        masks = np.zeros(text.count("\0") + 1, np.int64)
        if kernel.compiled is not None:
            found = self._find(text, overlapping=True)
            return masks, kernel.compiled.spread_hits(found, self._by_string, text, masks)
        ends, numbers = self._hits_by_column(text)
        if not len(ends):
            return masks, []
        gaps = np.flatnonzero(codes_of(text) == 0)
        index = np.searchsorted(gaps, ends)  # of the part that each hit is in
        np.bitwise_or.at(masks, index, numbers & 0xFFFF)
        ruled = np.unique(index[numbers < 0])
        firsts, lasts = np.searchsorted(index, ruled), np.searchsorted(index, ruled, "right")
        starts = np.zeros(len(masks), np.int64)
        starts[1:] = gaps + 1
        hits = list(zip((ends - starts[index]).tolist(), numbers.tolist(), strict=True))
        apart = text.split("\0")
        return masks, [
            (which, apart[which], hits[first:last])
            for which, first, last in zip(ruled.tolist(), firsts.tolist(), lasts.tolist(), strict=True)
        ]

    def _hits_by_column(self, text: str) -> tuple[Numbers, Numbers]:
        found = self._find(text, overlapping=True)
        columns = np.fromiter(chain.from_iterable(found), np.int64, 3 * len(found))
        return columns[2::3], self._by_string[columns[::3]]


class Sieve:
    """Finds which of many texts hold any of a few short patterns, whatever their case.

    A pattern is a row of two places or more, each the characters (lower case) that may stand there. Every character
    has one byte for each place, with a bit for each pattern that it fits there; the bytes of neighbouring characters,
    ANDed, leave the bits of the patterns that begin here: Baeza-Yates and Gonnet's shift-and, CACM 35(10), 1992, for
    all characters of all texts at once. NUL, which parts the texts, counts as a space inside one.

    ``stand_in`` gives the character below U+0100 that a character beyond ASCII is taken for; NUL is none.
    """

    MOST = 8  # patterns: the bits of a byte

    def __init__(self, *patterns: Sequence[str], stand_in: Callable[[str], str]) -> None:
        if len(patterns) > self.MOST:
            raise ValueError(f"{len(patterns)} patterns, and a byte has {self.MOST} bits")
        self._fits = [
            bytes(
                sum(
                    1 << bit
                    for bit, pattern in enumerate(patterns)
                    if place >= len(pattern) or chr(code).lower() in pattern[place]
                )
                for code in range(256)
            )
            for place in range(max(map(len, patterns)))
        ]
        self._taken_for = Translation(
            lambda character: character if character.isascii() else stand_in(character)
        )

    def sift(self, texts: Sequence[str | None]) -> list[int]:
        """Return the positions of the texts that hold a pattern, in order; None is none."""
        if kernel.compiled is not None:
            taken_for = self._taken_for
            found: list[int] = kernel.compiled.sift(
                list(texts), self._fits, taken_for.becomes, taken_for.meet
            )
            return found
        return self._sift([text or "" for text in texts])

    def _sift(self, texts: Sequence[str]) -> list[int]:
        joined = "\0".join(texts)
        if joined.count("\0") >= len(texts):
            joined = "\0".join([text.replace("\0", " ") for text in texts])
        if joined.isascii():
            data = joined.encode("ascii")
        else:
            data = self._taken_for.each(codes_of(joined)).astype(np.uint8).tobytes()
        first, second, *others = self._fits
        padded = data + bytes(len(self._fits))
        codes = np.frombuffer(padded, np.uint8)
        after = np.frombuffer(padded.translate(second), np.uint8)
        found = np.frombuffer(data.translate(first), np.uint8) & after[1 : len(data) + 1]
        # Where two characters fit is seldom, so only there more are looked at.
        places = np.flatnonzero(found)
        found = found[places]
        for place, fits in enumerate(others, start=2):
            found &= np.frombuffer(fits, np.uint8)[codes[places + place]]
        places = places[found != 0]
        if not len(places):
            return []
        ends = np.flatnonzero(codes == 0)
        return sorted(set(np.searchsorted(ends, places).tolist()))
