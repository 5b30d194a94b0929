"""The default lexicon, loaded once for all tests: it takes a second."""

from functools import cache

from frontrow.core.intents import Lexicon
from frontrow.core.text import Folding
from frontrow.lexicon import load_lexicon
from frontrow.lexicon.chinese import simplified_characters


@cache
def default_lexicon() -> Lexicon:
    return load_lexicon()


@cache
def folding() -> Folding:
    return Folding(simplified_characters(), {"💰": "钱"})
