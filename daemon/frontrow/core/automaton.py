"""pyahocorasick behind types: finds all of many strings in one pass over a text.

Aho and Corasick, *Efficient string matching: an aid to bibliographic search*, CACM 18(6), 1975. One pass costs the
text's length plus the hits, however many strings there are; a regular expression of alternatives tries them in turn.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import ahocorasick

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
        self._iter = _compiled({_bytes_of(string): number for string, number in strings.items()})

    def hits(self, text: str) -> Iterable[tuple[int, int]]:
        """Return what :meth:`Automaton.hits` does."""
        # A string found from one character's second byte to another's first ends on an even index: it is not there.
        return [(last >> 1, number) for last, number in self._iter(_bytes_of(text)) if last & 1]


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
