"""OpenCC behind types: the table of traditional ideographs and their simplified forms."""

from functools import cache
from typing import Any

import opencc

# Unified ideographs: the basic block, extension A, compatibility ideographs, and the supplementary planes.
_IDEOGRAPHS = (
    range(0x3400, 0x4DC0),
    range(0x4E00, 0xA000),
    range(0xF900, 0xFB00),
    range(0x20000, 0x323B0),
)


@cache
def simplified_characters() -> dict[int, str]:
    """Return for every traditional ideograph, by code point, its simplified form; others are left out.

    Character by character, so a comment costs one ``str.translate``; what only a phrase decides (乾坤, 瞭望) does not
    matter to the words of a live room. All characters are converted once per process; 5,100 change.
    """
    converter: Any = opencc.OpenCC("t2s")
    table: dict[int, str] = {}
    for block in _IDEOGRAPHS:
        # One to a line, so that no two of them are taken for a phrase.
        simplified: str = converter.convert("\n".join(map(chr, block)))
        pairs = zip(block, simplified.split("\n"), strict=True)
        table |= {code: character for code, character in pairs if character != chr(code)}
    return table
