"""Folding: the many ways of typing the same words become one, so that a term has to be written down once.

One character folds to a string that depends on nothing but that character: compatibility forms (full-width,
circled, ligatures) give way to their plain form, case and accents go, invisible characters go, traditional
ideographs become simplified. Because combining marks are dropped, folding character by character gives what
folding the whole text would, and a whole comment is folded by one ``str.translate``.

Two forms are made for matching. The *compact* form has letters and digits only, nothing between them, for scripts
that put no spaces between words: ``这个　多 少 钱？？`` becomes ``这个多少钱``. The *words* form has the words of spaced
scripts with one space around each: ``How MUCH?`` becomes ``" how much ? "``; unspaced scripts are a gap in it, a
question mark is a word of its own, an apostrophe is nothing (``what's`` is ``whats``).
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from string import ascii_lowercase

import numpy as np
from numpy.typing import NDArray

from frontrow.core.translation import Codes, Translation, codes_of, text_of

# Characters that show nothing and yet are letters or symbols to Unicode: Hangul fillers and the Braille blank.
_INVISIBLE = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_DROPPED = frozenset({"Mn", "Me", "Mc", "Cf", "Cc", "Cs", "Co", "Cn"})
_SPACES = frozenset("\t\n\v\f\r\x1c\x1d\x1e\x1f\x85")
_APOSTROPHES = frozenset("'\u2018\u2019\u02bc`\u00b4\uff07\uff40")

# Scripts that put no spaces between words: Thai, Lao, Burmese, Khmer, radicals to ideographs with kana and Bopomofo
# between them, compatibility ideographs, and the planes of the rarer ideographs.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u303a\u3041-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_HAS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_HAS_SPACED = re.compile(rf"[^\W\d_{_UNSPACED}]")

# Single spaces that do not keep two words of a spaced script apart.
_GAPS = re.compile(rf"(?<![^\W_{_UNSPACED}]) | (?![^\W_{_UNSPACED}])|(?<=\d) (?=\d)")

_APART, _APART_SPACED = "\0", " \0 "  # between texts that are folded together

_BASIC_IDEOGRAPHS = range(0x4E00, 0xA000)

# Of the 150,000 assigned characters a live room uses a few thousand; a sender who tries them all fills no more
# memory than this (about 4 MB), and only pays for the computing beyond it.
_CACHED_CHARACTERS = 32_768


Flags = NDArray[np.bool_]


class _Table(dict[int, str]):
    """A table for ``str.translate`` that works an entry out when it is first asked for."""

    def __init__(self, entry: Callable[[str], str]) -> None:
        super().__init__()
        self._entry = entry

    def __missing__(self, code: int) -> str:
        entry = self._entry(chr(code))
        if len(self) < _CACHED_CHARACTERS:
            self[code] = entry
        return entry


class Folding:
    """Folds text. Make one and keep it: it remembers the characters it has met, which changes no result.

    ``simplified`` maps traditional ideographs to simplified ones. ``substitutes`` maps single characters to what
    they stand for in chat (``💰`` to ``钱``) and goes before everything else.
    """

    def __init__(self, simplified: Mapping[int, str], substitutes: Mapping[str, str] | None = None) -> None:
        self._simplified = simplified
        self._substitutes = dict(substitutes or {})
        self._folded = _Table(self._fold)
        self._compact = _Table(self._fold_compact)
        self._loose = _Table(self._fold_loose)
        self._words = _Table(self._fold_words)
        # Most Chinese comments are plain already, and to see that costs a third of translating them. No basic ideograph
        # has a compatibility form or a case, so that these two tables are all that folding could change.
        plain = "".join(
            [
                chr(code)
                for code in _BASIC_IDEOGRAPHS
                if code not in self._simplified and chr(code) not in self._substitutes and chr(code).isalnum()
            ]
        )
        self._is_compact = re.compile(f"[0-9{_ranges(plain)}]*").fullmatch
        letters = "".join([letter for letter in ascii_lowercase if self._fold_compact(letter) == letter])
        self._is_plain = re.compile(f"[0-9{letters}{_ranges(plain)}]*").fullmatch
        # None is nothing as "" is, but only None keeps `str.translate` on its fast way through ASCII.
        self._ascii_folded = {code: self._fold(chr(code)) or None for code in range(128)}
        self._ascii_words = {code: self._fold_words(chr(code)) or None for code in range(128)}
        self._ascii_words_apart = {**self._ascii_words, 0: "\0"}
        self._folded_of_many = Translation(
            lambda character: character if character == _APART else self._fold(character)
        )
        self._loose_of_many = _many(self._fold_loose)
        self._words_of_many = _many(self._fold_words)

    def fold(self, text: str) -> str:
        """Return ``text`` with every character folded; spaces and punctuation stay where they were."""
        return text.translate(self._ascii_folded if text.isascii() else self._folded)

    def fold_each(self, texts: Sequence[str]) -> list[str]:
        """Return each text as :meth:`fold` does."""
        return self._folded_of_many(_joined(texts)).split(_APART) if texts else []

    def compact(self, text: str) -> str:
        """Return the compact form: folded letters and digits, and nothing between them.

        Only between words of a spaced script one space is left, lest ``加 v abc`` read like ``加vabc``.
        """
        if self._is_compact(text) is not None:
            return text
        compact = text.translate(self._compact)
        return compact if _HAS_SPACED.search(compact) is None else self._parted(text)

    def _parted(self, text: str) -> str:
        return _GAPS.sub("", " ".join(text.translate(self._loose).split()))

    def all_plain(self, texts: Sequence[str]) -> bool:
        """Whether each text has an ideograph and, having plain characters only, is its own compact form."""
        return not any(map(str.isascii, texts)) and self._is_plain("".join(texts)) is not None

    def compact_each(self, texts: Sequence[str]) -> list[str]:
        """Return the compact form of each text."""
        return list(texts) if self.all_plain(texts) else list(map(self.compact, texts))

    def forms(self, text: str) -> tuple[str, str]:
        """Return both forms of a text; for one in which no term of its kind can be found, an empty text.

        Without a character of an unspaced script that is the compact form, without a letter of a spaced one the words
        form. Letters may be left where decoration folds away, so the folded text is asked, and not the text.
        """
        if text.isascii():
            return "", self.words(text)
        if self._is_compact(text) is not None:
            return text, ""
        compact = text.translate(self._compact)
        if _HAS_SPACED.search(compact) is None:
            return compact, ""
        words = self.words(text)
        return (self._parted(text), words) if _HAS_UNSPACED.search(compact) is not None else ("", words)

    def words(self, text: str) -> str:
        """Return the words form: each word of a spaced script, and each question mark, with one space around it."""
        # An ASCII text with a table of single ASCII characters is translated many times as fast as any other.
        words = text.translate(self._ascii_words if text.isascii() else self._words)
        if "?" in words:
            words = words.replace("?", " ? ")
        return " ".join(["", *words.split(), ""])

    def words_each(self, texts: Sequence[str]) -> list[str]:
        """Return the words form of each text."""
        ascii = [text for text in texts if text.isascii()]
        found = iter(self.words_of_ascii(ascii).split("\0"))
        return [next(found) if text.isascii() else self.words(text) for text in texts]

    def compact_of_many(self, texts: Sequence[str]) -> tuple[str, Flags, Flags]:
        """Return the compact forms of texts in one text, with NUL between them.

        And by position, which of them have a character of an unspaced script, and which a letter of a spaced one.
        """
        codes = _single_spaced(self._loose_of_many(_joined(texts, _APART_SPACED)))
        kinds = _KINDS.each(codes)
        # Of two neighbours' bits, ORed, a gap that stays has that of a letter and of nothing else but digits.
        parted = (kinds[:-2] | kinds[2:]) & ~np.uint32(_DIGIT) == _LETTER
        inside = codes[1:-1]
        each = np.bitwise_or.reduceat(kinds, np.append(0, np.flatnonzero(codes == 0)))
        compacts = text_of(inside[(inside != _SPACE) | parted])
        return compacts, (each & _UNSPACED_LETTER) != 0, (each & _LETTER) != 0

    def words_of_many(self, texts: Sequence[str]) -> str:
        """Return the words forms of texts in one text, with NUL between them."""
        words = self._words_of_many(_joined(texts, _APART_SPACED))
        return text_of(_single_spaced(words.replace("?", " ? ")))

    def words_of_ascii(self, texts: Sequence[str]) -> str:
        """Return the words forms of ASCII texts in one text, with NUL between them."""
        words = _joined(texts).translate(self._ascii_words_apart).replace("\0", " \0 ")
        if "?" in words:
            words = words.replace("?", " ? ")
        return " ".join(["", *words.split(), ""])

    def _fold(self, character: str) -> str:
        substitute = self._substitutes.get(character)
        if substitute is not None:
            return substitute
        plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
        return "".join([self._fold_plain(part) for part in plain])

    def _fold_plain(self, character: str) -> str:
        if character in _SPACES:
            return " "
        category = unicodedata.category(character)
        if category in _DROPPED or character in _INVISIBLE:
            return ""
        if category[0] == "Z":
            return " "
        return self._simplified.get(ord(character), character)

    def _fold_compact(self, character: str) -> str:
        return "".join([part for part in self._fold(character) if part.isalnum()])

    def _fold_loose(self, character: str) -> str:
        if character in _APOSTROPHES:
            return ""
        return "".join([part if part.isalnum() else " " for part in self._fold(character)])

    def _fold_words(self, character: str) -> str:
        if character in _APOSTROPHES:
            return ""
        return "".join(
            [part if is_word_character(part) or part == "?" else " " for part in self._fold(character)]
        )


def _joined(texts: Sequence[str], apart: str = _APART) -> str:
    """Return the texts with NUL between them, or what else has one; folding drops their own."""
    joined = apart.join(texts)
    if joined.count(_APART) >= len(texts):
        joined = apart.join([text.replace(_APART, "") for text in texts])
    return joined if apart == _APART else f" {joined} "


def _many(entry: Callable[[str], str]) -> Translation:
    """Return a translation of texts that stand apart, to what spaces are made single in."""

    def entry_of_many(character: str) -> str:
        text = character if character == _APART else entry(character)
        return " " if text.isspace() else text

    return Translation(entry_of_many)


def _single_spaced(text: str) -> Codes:
    """Return a text with one space where there are several."""
    codes = codes_of(text)
    space = codes == _SPACE
    stays = np.ones(len(codes), np.bool_)
    np.logical_and(space[1:], space[:-1], out=stays[1:])
    np.logical_not(stays[1:], out=stays[1:])
    return codes[stays]


def _kind(character: str) -> str:
    if has_unspaced(character):
        return chr(_UNSPACED_LETTER)
    if not character.isalnum():
        return chr(_NEITHER)
    return chr(_DIGIT if character.isdecimal() else _LETTER)


_SPACE = ord(" ")
_LETTER, _DIGIT = 1, 2  # of a spaced script; a decimal digit of any but an unspaced one
_UNSPACED_LETTER, _NEITHER = 4, 8  # a character of an unspaced script; anything else
_KINDS = Translation(_kind)


def _ranges(characters: str) -> str:
    """Return sorted characters as the ranges of a character class."""
    ranges: list[list[str]] = []
    for character in characters:
        if ranges and ord(character) == ord(ranges[-1][1]) + 1:
            ranges[-1][1] = character
        else:
            ranges.append([character, character])
    return "".join([f"{first}-{last}" for first, last in ranges])


def is_word_character(character: str) -> bool:
    """Whether a folded character is part of a word of a spaced script, or a digit."""
    return character.isalnum() and not has_unspaced(character)


def has_unspaced(text: str) -> bool:
    """Whether a folded text has a character of a script without spaces between words, such as Chinese."""
    return _HAS_UNSPACED.search(text) is not None


def has_spaced(text: str) -> bool:
    """Whether a folded text has a letter (not only digits) of a script with spaces between words."""
    return _HAS_SPACED.search(text) is not None
