"""Sketches: a number by which a comment is known again, as it stands or with little changed, without its words.

A sketch is derived once, when an event comes in, and is journalled with its facts, so that replay needs no text. It
has two halves of 24 bits. The *exact* half is a hash of the letters alone: lower case, compatibility forms folded, no
digits, marks or emoji, and runs of one letter as one. The *near* half joins three min-hashes of the pairs of
neighbouring letters (Broder, "On the resemblance and containment of documents", 1997): of two texts whose pairs have
the resemblance J it is the same with the chance J cubed.

A sketch of a short text can be guessed by trying texts. So contact data are taken out of a text before it is sketched,
digits never count, and the halves are kept short: of all that may be written, very much shares each.

Values are part of the journal: never change how they are computed without another journal format. Texts are looked at
all together, since what numpy does to a thousand costs little more than what it does to one.
"""

import unicodedata
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from frontrow.core import kernel

BITS = 24  # of each half
NEAR = (1 << BITS) - 1  # the near half
NOTHING = 0  # the sketch of a text without two different letters, or with none beside each other

_SEPARATOR = "\n"
_PLANE = 1 << 16
_RARE = range(0x20000, 0x40000)  # ideographs beyond the first plane; the rest there are emoji and signs
_FIRST, _SECOND, _PLACE = np.uint32(0x9E37_79B1), np.uint32(0x85EB_CA77), np.uint32(0xC2B2_AE3D)
_MIX = np.uint32(0x27D4_EB2F)
_ODD = tuple(np.uint32(number) for number in (0x1656_67B1, 0xD3A2_646D, 0xFD70_46C5))

Words = NDArray[np.uint32]


def exact_of(sketch: int) -> int:
    """Return the half that is the same of texts with the same letters."""
    return sketch >> BITS


def near_of(sketch: int) -> int:
    """Return the half that is likely the same of texts with almost the same letters."""
    return sketch & NEAR


def sketches_of(texts: Sequence[str]) -> list[int]:
    """Return the sketch of each text, below 2**48."""
    if kernel.compiled is not None:
        found: list[int] = kernel.compiled.sketches(list(texts), _folding())
        return found
    return _sketches_of(texts)


def _sketches_of(texts: Sequence[str]) -> list[int]:
    letters, text_of = _letters_of(texts)
    sketches = np.zeros(len(texts), np.uint64)
    if len(letters) > 1:
        # Each letter with the one before it. A text of one letter has no pair.
        ends = np.flatnonzero((text_of[1:] == text_of[:-1]) & (letters[1:] != letters[:-1])) + 1
        if ends.size:
            pairs = _mixed(letters[ends - 1] * _FIRST + letters[ends] * _SECOND)
            which = text_of[ends]
            starts = np.flatnonzero(np.append(True, which[1:] != which[:-1]))
            begun = np.zeros(len(which), np.uint32)
            begun[starts] = starts
            place = np.arange(len(which), dtype=np.uint32) - np.maximum.accumulate(begun)
            # A sum, so the place must matter: 好不好 is another text than 不好不.
            exact = _mixed(np.add.reduceat(_mixed(pairs + place * _PLACE), starts, dtype=np.uint32))
            near = np.zeros(len(starts), np.uint32)
            for odd in _ODD:
                near = _mixed(near + np.minimum.reduceat(pairs * odd, starts))
            above = np.uint32(32 - BITS)
            high = (exact >> above).astype(np.uint64) << np.uint64(BITS)
            sketches[which[starts]] = high | np.maximum(near >> above, np.uint32(1))
    found: list[int] = sketches.tolist()
    return found


def _letters_of(texts: Sequence[str]) -> tuple[Words, NDArray[np.int64]]:
    """Return all letters of all texts, folded, and for each the number of its text."""
    joined = _SEPARATOR.join(texts)
    if joined.count(_SEPARATOR) >= len(texts):
        joined = _SEPARATOR.join([text.replace(_SEPARATOR, " ") for text in texts])
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint32)
    letters = _folding()[np.minimum(codes, _PLANE)]
    if (codes >= _RARE.start).any():
        rare = (codes >= _RARE.start) & (codes < _RARE.stop)
        letters[rare] = codes[rare]
    where = np.flatnonzero(letters)
    return letters[where], np.cumsum(codes == ord(_SEPARATOR))[where]


def _mixed(numbers: Words) -> Words:
    """Return numbers whose high bits depend on all bits of those given."""
    numbers = (numbers ^ (numbers >> np.uint32(15))) * _MIX
    numbers = (numbers ^ (numbers >> np.uint32(13))) * _MIX
    return numbers ^ (numbers >> np.uint32(16))


@cache
def _folding() -> Words:
    """Return what each character of the first plane counts as: a letter in lower case, or 0."""
    folded = np.zeros(_PLANE + 1, np.uint32)
    for code in range(_PLANE):
        character = chr(code)
        if character.isalpha():
            plain = unicodedata.normalize("NFKC", character).lower()
            folded[code] = ord(plain[0]) if plain[:1].isalpha() else code
    return folded
