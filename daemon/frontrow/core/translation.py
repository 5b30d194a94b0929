"""Translation: ``str.translate`` for texts long enough that asking a dictionary for every character is too slow.

A whole frame's comments, joined, are translated in a fifth of the time. Nothing here knows what a translation is for.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint32]  # code points

_CODES = 0x110000
_STANDS_FOR_MORE = 0xF0000  # the private characters of planes 15 and 16: more than there are entries of such
_FEW = 32  # replacements of one each; more of them together are quicker


class Translation:
    """Translates each character to a string that depends on nothing but that character.

    Make one and keep it: it remembers every character it has met, in 4.5 MB at most, which changes no result.
    """

    def __init__(self, entry: Callable[[str], str]) -> None:
        """``entry`` gives a character's translation; none has a private character of plane 15 or 16."""
        self._entry = entry
        self.becomes = np.zeros(_CODES, np.uint32)  # by code point, the one it becomes and 1 more; 0: not met
        # Where a character does not become one character: what the private one stands for that it becomes first.
        self._more: dict[int, str] = {}
        self._standing_for: dict[str, int] = {}

    def __call__(self, text: str) -> str:
        """Return the translation of ``text``."""
        found = self.each(codes_of(text))
        translated = text_of(found)
        if np.max(found, initial=0) < _STANDS_FOR_MORE:
            return translated
        standing = set(found[found >= _STANDS_FOR_MORE].tolist())
        if len(standing) > _FEW:
            return translated.translate(self._more)
        for code in standing:
            translated = translated.replace(chr(code), self._more[code])
        return translated

    def each(self, codes: Codes) -> Codes:
        """Return the code points that code points become, where each becomes one."""
        found = self.becomes[codes]
        if not found.all():
            for code in set(codes[found == 0].tolist()):
                self.meet(code)
            found = self.becomes[codes]
        found -= 1
        return found

    def meet(self, code: int) -> None:
        """Fill in what a code point becomes."""
        entry = self._entry(chr(code))
        if len(entry) == 1 and entry < chr(_STANDS_FOR_MORE):
            becomes = ord(entry)
        else:
            becomes = self._standing_for.setdefault(entry, _STANDS_FOR_MORE + len(self._standing_for))
            self._more[becomes] = entry
        self.becomes[code] = becomes + 1


def codes_of(text: str) -> Codes:
    """Return the code points of a text, which cannot be written to."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))


def text_of(codes: Codes) -> str:
    """Return the text of code points."""
    return codes.tobytes().decode("utf-32-le", "surrogatepass")
