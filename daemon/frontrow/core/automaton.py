"""pyahocorasick behind types: finds all of many strings in one pass over a text.

Aho and Corasick, *Efficient string matching: an aid to bibliographic search*, CACM 18(6), 1975. One pass costs the
text's length plus the hits, however many strings there are; a regular expression of alternatives tries them in turn.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import ahocorasick
import numpy as np

_BEYOND = re.compile("[\U00010000-\U0010ffff]")


class Automaton:
    """Finds ``strings``, each of which carries a number. Unchangeable once made."""

    def __init__(self, strings: Mapping[str, int]) -> None:
        self._iter = _compiled(strings)

    def hits(self, text: str) -> Iterable[tuple[int, int]]:
        """Return for every occurrence, overlapping ones too, the index of its last character and its number."""
        hits: Iterable[tuple[int, int]] = self._iter(text)
        return hits


class WideAutomaton:
    """An :class:`Automaton` for ideographs.

    A node of the library's automaton looks through its children one by one, and with ideographs the first node has a
    thousand. So a character is matched as its two bytes, of which a node has some fifty: six times as fast. Characters
    beyond the basic plane, rarer in chat than any term, take part as one unknown character.
    """

    def __init__(self, strings: Mapping[str, int]) -> None:
        joined, end = _bytes_of("".join(strings)), 0
        spelt: dict[str, int] = {}
        for string, number in strings.items():
            start, end = end, end + 2 * len(string)
            spelt[joined[start:end]] = number
        self._iter = _compiled(spelt)

    def hits(self, text: str) -> Iterable[tuple[int, int]]:
        """Return what :meth:`Automaton.hits` does."""
        # A string found from one character's second byte to another's first ends on an even index: it is not there.
        return [(last >> 1, number) for last, number in self._iter(_bytes_of(text)) if last & 1]


class Sieve:
    """Finds which of many ASCII texts hold any of a few short patterns, whatever their case.

    A pattern is a row of places, each the characters (lower case) that may stand there. Every character has one byte for
    each place, with a bit for each pattern that it fits there; the bytes of neighbouring characters, ANDed, leave the
    bits of the patterns that begin here: Baeza-Yates and Gonnet's shift-and, CACM 35(10), 1992, for all characters of
    all texts at once. NUL, which parts the texts, counts as a space inside one.
    """

    MOST = 8  # patterns: the bits of a byte

    def __init__(self, *patterns: Sequence[str]) -> None:
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

    def sift(self, texts: Sequence[str]) -> list[int]:
        """Return the positions of the texts that hold a pattern, in order."""
        joined = _joined(texts).encode("ascii")
        padded = joined + bytes(len(self._fits))
        found = np.frombuffer(joined.translate(self._fits[0]), np.uint8)
        for place, fits in enumerate(self._fits[1:], start=1):
            found = found & np.frombuffer(padded.translate(fits), np.uint8)[place : place + len(found)]
        places = np.flatnonzero(found != 0)
        if not len(places):
            return []
        ends = np.flatnonzero(np.frombuffer(joined, np.uint8) == 0)
        return sorted(set(np.searchsorted(ends, places).tolist()))


def _joined(texts: Sequence[str]) -> str:
    joined = "\0".join(texts)
    if joined.count("\0") < len(texts):
        return joined
    return "\0".join([text.replace("\0", " ") for text in texts])


def _bytes_of(text: str) -> str:
    encoded = text.encode("utf-16-be", "surrogatepass")
    if len(encoded) > 2 * len(text):
        encoded = _BEYOND.sub("\ufffd", text).encode("utf-16-be", "surrogatepass")
    return encoded.decode("latin-1")


def _compiled(strings: Mapping[str, int]) -> Any:
    automaton: Any = ahocorasick.Automaton(ahocorasick.STORE_ANY, ahocorasick.KEY_STRING)
    for string, number in strings.items():
        automaton.add_word(string, number)
    if not strings:
        return _nothing
    automaton.make_automaton()
    return automaton.iter


def _nothing(text: str) -> Iterable[tuple[int, int]]:
    return ()
