"""The terms of a lexicon: their grammar, and what is searched for to find them.

A term is text with ``(a|b|)`` for any one of the alternatives (groups may be nested), ``…`` (or ``...``) for a short
gap, and ``^`` and ``$`` for the start and the end of a comment, fillers aside. Each word of ``spellings`` in it also
stands for its other spellings.

Most terms mean some hundred strings and become just these: strings cost nothing in the automaton. A term with a gap,
or with very many strings, becomes one regular expression, tried only on texts in which the automaton has found one of
its *triggers*: that part of the term whose strings are rarest in other texts.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from frontrow.core.text import Folding, has_spaced, has_unspaced

_MAX_STRINGS = 4_000  # of one term, or of its trigger
_MAX_DEPTH = 8
# What any chat is full of makes a bad trigger.
_FREQUENT_WORDS = frozenset({
    "a", "all", "am", "an", "and", "any", "are", "at", "be", "buy", "can", "come", "did", "do", "does",
    "for", "from", "get", "go", "good", "got", "had", "has", "have", "he", "how", "i", "if", "im", "in",
    "is", "it", "its", "just", "like", "me", "my", "no", "not", "now", "of", "off", "on", "one", "or",
    "out", "really", "see", "she", "so", "some", "that", "the", "there", "they", "think", "this", "time",
    "to", "u", "ur", "was", "we", "what", "when", "where", "which", "who", "will", "with", "would", "yes",
    "you", "your",
})  # fmt: skip
_FREQUENT_CHARACTERS = frozenset("的了吗不么是有我你他一好大小来要会能可以这那没人个多少上下看说在到")
_GAP_COMPACT = ".{0,8}?"  # characters, in unspaced scripts
_GAP_WORDS = "(?:[^ ]+ ){0,4}?"  # words, in spaced ones
_SPACE = "(?: |(?<= ))"  # a space, or the one already read: what is optional leaves two in a row


class TermInvalid(ValueError):
    """A term of a lexicon cannot be used; ``str(error)`` says why."""


@dataclass(frozen=True, slots=True)
class Literals:
    """Strings to find. ``at_start``, ``at_end``: nothing but fillers may stand before or after them."""

    texts: Sequence[str]
    compact: bool
    at_start: bool = False
    at_end: bool = False


@dataclass(frozen=True, slots=True)
class Expression:
    """A regular expression whose group 1 is the term, to be tried where one of ``triggers`` occurs."""

    triggers: tuple[str, ...]
    pattern: str
    compact: bool


@dataclass(frozen=True, slots=True)
class Fillers:
    """What says nothing, as regular expressions for one filler in the two forms; ``longest`` is the most characters
    that one has."""

    compact: str
    words: str
    longest: int


@dataclass(frozen=True, slots=True)
class Spellings:
    """Words and how else they are typed, folded; see :func:`fold_spellings`."""

    words: tuple[tuple[str, tuple[str, ...]], ...]  # the longest word first


# A term is read into a sequence of parts: a text, alternatives (sequences themselves), a gap or an anchor.
@dataclass(frozen=True, slots=True)
class _Choice:
    sequences: "tuple[_Sequence, ...]"


class _Mark:
    """A gap or an anchor: stands for itself."""


_GAP, _START, _END = _Mark(), _Mark(), _Mark()
_Part = str | _Choice | _Mark
_Sequence = tuple[_Part, ...]


def fold_spellings(spellings: Mapping[str, Sequence[str]], folding: Folding) -> Spellings:
    """Return spellings ready for :func:`compile_term`."""
    folded = [
        (folding.fold(word), tuple(folding.fold(other) for other in others))
        for word, others in spellings.items()
    ]
    return Spellings(tuple(sorted(folded, key=lambda item: (-len(item[0]), item[0]))))


def compile_fillers(words: Sequence[str], folding: Folding) -> Fillers:
    """Return what may stand around a term with ``^`` or ``$``."""
    unspaced = {folding.compact(word) for word in words if has_unspaced(folding.fold(word))}
    spaced = {folding.words(word).strip() for word in words if not has_unspaced(folding.fold(word))}
    digits = {word for word in spaced if word.isdigit()}
    return Fillers(
        _any_of(unspaced | digits),
        f"(?:{_any_of(spaced)}|[? ])(?= |\\Z|(?<= ))",
        max(map(len, unspaced | spaced | {" "})),
    )


def _any_number(filler: str) -> str:
    # Possessive: a rest of hundreds of overlapping fillers must not be tried in all its divisions.
    return f"(?:{filler})*+"


def compile_term(
    term: str, folding: Folding, spellings: Spellings, fillers: Fillers
) -> list[Literals | Expression]:
    """Return what to search for to find a term.

    Raises:
        TermInvalid: Unbalanced brackets, ``^`` or ``$`` in the middle, nothing left to find, or too little of it.
    """
    # Folding first, so that terms may be written full-width or in traditional characters; it makes "..." of "…".
    text = folding.fold(term)
    sequence = _spelt(_read(text), spellings)
    compact = has_unspaced(text)
    anchored = _has_anchor(sequence)
    strings = _strings_inside(sequence) if _count(sequence) <= _MAX_STRINGS else None
    if strings is None:
        return [_expression(sequence, compact, folding, fillers)]
    if anchored and any("^" in string[1:] or "$" in string[:-1] for string in strings):
        raise TermInvalid("^ stands at its start and $ at its end, or nowhere")
    # In letters alone (微信$ spelt weixin$) the anchor would be to the end of the letters, whatever Chinese follows.
    return [
        part
        for part in _literals(strings, folding, anchored=anchored)
        if part.compact == compact or not (part.at_start or part.at_end)
    ]


def _literals(strings: Sequence[str], folding: Folding, *, anchored: bool) -> list[Literals]:
    """Return strings as they are searched for."""
    bodies: dict[tuple[bool, bool, bool], list[str]] = {}
    rest: Sequence[str] = strings
    if not anchored:
        # A lexicon's terms have a hundred thousand strings, nearly all without an anchor, and in letters alone or in
        # ideographs and letters that folding leaves as they are.
        rest = [string for string in strings if not string.isascii()]
        if len(rest) < len(strings):
            bodies[False, False, False] = [string for string in strings if string.isascii()]
        if rest and folding.all_plain(rest):
            bodies[True, False, False], rest = rest, ()
    for string in rest:
        at_start, at_end = string.startswith("^"), string.endswith("$")
        body = string.removeprefix("^").removesuffix("$")
        compact = has_unspaced(body)  # of two spellings of a word one can be Chinese and one in letters
        bodies.setdefault((compact, at_start, at_end), []).append(body)
    found: list[Literals] = []
    for (compact, at_start, at_end), alike in bodies.items():
        texts = folding.compact_each(alike) if compact else folding.words_each(alike)
        _check(texts, compact, anchored=at_start or at_end)
        found.append(Literals(texts, compact, at_start, at_end))
    return found


def _check(texts: Sequence[str], compact: bool, *, anchored: bool) -> None:
    """Raise TermInvalid if one of some strings cannot be searched for."""
    shortest = min(map(len, texts)) - (0 if compact else 2)  # a words form has a space at each end
    if shortest < 1:
        raise TermInvalid("nothing is left of it to find")
    # What is lower case has a letter, which is told faster of ASCII.
    if (
        not compact
        and not all(text.isascii() and text.islower() for text in texts)
        and not all(map(has_spaced, texts))
    ):
        raise TermInvalid("without a letter it would be found everywhere")
    if shortest == 1 and not anchored:
        raise TermInvalid(
            "a single character would be found everywhere; ^ and $ make it a comment of its own"
        )


# --- reading ---


def _read(text: str) -> _Sequence:
    (sequence, *others), rest = _read_choices(text.replace("...", "…"), 0, depth=0)
    if rest < len(text.replace("...", "…")) or others:
        raise TermInvalid("a bracket ) closes nothing")
    return sequence


def _read_choices(text: str, position: int, *, depth: int) -> tuple[list[_Sequence], int]:
    """Read alternatives up to the closing bracket or the end; return them and where reading stopped."""
    if depth > _MAX_DEPTH:
        raise TermInvalid("its brackets are nested too deep")
    choices: list[_Sequence] = []
    parts: list[_Part] = []
    while position < len(text) and text[position] != ")":
        character = text[position]
        if character == "(":
            inside, position = _read_choices(text, position + 1, depth=depth + 1)
            if position == len(text):
                raise TermInvalid("a bracket ( is not closed")
            parts.append(_Choice(tuple(inside)))
        elif character == "|":
            if not depth:
                raise TermInvalid("alternatives | stand in brackets")
            choices.append(tuple(parts))
            parts = []
        elif character in _MARKS:
            parts.append(_MARKS[character])
        elif parts and isinstance(parts[-1], str):
            parts[-1] += character
        else:
            parts.append(character)
        position += 1
    return [*choices, tuple(parts)], position


_MARKS = {"…": _GAP, "^": _START, "$": _END}


def _spelt(sequence: _Sequence, spellings: Spellings) -> _Sequence:
    """Return the sequence with each word of ``spellings`` replaced by the choice of all its spellings."""
    parts: list[_Part] = []
    for part in sequence:
        if isinstance(part, str):
            parts += _spelt_text(part, spellings.words)
        elif isinstance(part, _Choice):
            parts.append(_Choice(tuple(_spelt(choice, spellings) for choice in part.sequences)))
        else:
            parts.append(part)
    return tuple(parts)


def _spelt_text(text: str, words: tuple[tuple[str, tuple[str, ...]], ...]) -> _Sequence:
    for index in [index for index, (word, _) in enumerate(words) if word in text]:
        word, others = words[index]
        before, _, after = text.partition(word)
        shorter = words[index + 1 :]  # a word inside a word (优惠 in 优惠券) has spellings of its own
        choice = _Choice((_spelt_text(word, shorter), *((other,) for other in others)))
        return (
            (*_spelt_text(before, words), choice, *_spelt_text(after, words))
            if before or after
            else (choice,)
        )
    return (text,) if text else ()


# --- strings ---


def _has_anchor(sequence: _Sequence) -> bool:
    return any(
        part in (_START, _END) or (isinstance(part, _Choice) and any(map(_has_anchor, part.sequences)))
        for part in sequence
    )


def _options(part: _Part) -> list[str] | None:
    if isinstance(part, str):
        return [part]
    if isinstance(part, _Mark):
        return None if part is _GAP else ["^" if part is _START else "$"]
    found: list[str] = []
    for sequence in part.sequences:
        strings = _strings_inside(sequence)
        if strings is None:
            return None
        found += strings
    return found


def _strings_inside(sequence: _Sequence) -> list[str] | None:
    """Return all strings that a sequence stands for, anchors written out; None if it has a gap."""
    found = [""]
    for part in sequence:
        options = _options(part)
        if options is None:
            return None
        found = [before + option for before, option in product(found, options)]
    return found


def _count(sequence: _Sequence) -> int:
    total = 1
    for part in sequence:
        if isinstance(part, _Choice):
            total *= sum(_count(choice) for choice in part.sequences)
    return total


# --- expressions ---


def _expression(sequence: _Sequence, compact: bool, folding: Folding, fillers: Fillers) -> Expression:
    triggers = _triggers(sequence, compact, folding)
    edge = "" if compact else _SPACE
    form = folding.compact if compact else folding.words
    body = f"{edge}{_regex(sequence, compact, form, fillers)}{edge}"
    return Expression(tuple(triggers), f"({body})", compact)


def _triggers(sequence: _Sequence, compact: bool, folding: Folding) -> list[str]:
    """Return strings of which every match holds one: of all stretches of the term, the one rarest in other texts."""
    best: list[str] = []
    least = math.inf
    for from_ in range(len(sequence)):
        for to in range(from_ + 1, len(sequence) + 1):
            strings = _strings_inside(sequence[from_:to]) if _fits(sequence[from_:to]) else None
            if strings is None:
                break
            edges = (from_ == 0, to == len(sequence))
            whole = _stretches(strings, compact, folding, edges)
            chance = 0.0
            for string in whole:
                chance += _chance(string)
                if chance >= least:
                    break  # however the others are
            if chance < least and all(whole):
                best, least = whole, chance
    if not best:
        raise TermInvalid("no part of it must always be there, or it stands for too many strings")
    return best


def _chance(string: str) -> float:
    # How often a string turns up somewhere in chat, by the order of magnitude.
    if not string.isascii() and any(character > "\u2e80" for character in string):
        return math.prod([0.02 if character in _FREQUENT_CHARACTERS else 0.001 for character in string])
    return math.prod([0.03 if word in _FREQUENT_WORDS else 0.0003 for word in string.split()])


def _fits(sequence: _Sequence) -> bool:
    return _GAP not in sequence and _count(sequence) <= _MAX_STRINGS


def _stretches(
    strings: Sequence[str], compact: bool, folding: Folding, edges: tuple[bool, bool]
) -> list[str]:
    """Return what to search for to find one of the strings, which are a term's from one part to another."""
    bare = [string.replace("^", "").replace("$", "") for string in strings]
    found: set[str] = set()
    forms = folding.compact_each(bare) if compact else folding.words_each(bare)
    for string, text in zip(bare, forms, strict=True):
        if compact or not text.strip():
            found.add(text.strip())
            continue
        # A stretch may begin or end inside a word (re(stock|fund)); only at the term's own ends a word surely does.
        start = 0 if edges[0] or not _joins(string[0]) else 1
        end = len(text) if edges[1] or not _joins(string[-1]) else -1
        found.add(text[start:end])
    return sorted(found)


def _regex(sequence: _Sequence, compact: bool, form: Callable[[str], str], fillers: Fillers) -> str:
    return "".join(_part_regex(part, compact, form, fillers) for part in sequence)


def _part_regex(part: _Part, compact: bool, form: Callable[[str], str], fillers: Fillers) -> str:
    if isinstance(part, _Choice):
        return f"(?:{'|'.join(_regex(choice, compact, form, fillers) for choice in part.sequences)})"
    if isinstance(part, str):
        return re.escape(form(part)) if compact else _words_regex(part, form)
    if part is _GAP:
        return _GAP_COMPACT if compact else f"{_SPACE}{_GAP_WORDS}"
    if part is _END:
        if compact:
            return rf"(?={_any_number(fillers.compact)}\Z)"
        return rf"{_SPACE}(?={_any_number(fillers.words)}\Z)"
    raise TermInvalid("^ stands only in terms without a gap and with fewer spellings")


def _words_regex(text: str, form: Callable[[str], str]) -> str:
    # Where a word goes on in the neighbouring part (re(stock|fund)) there is no space to be read.
    words = form(text).split()
    inner = _SPACE.join(re.escape(word) for word in words)
    before = _SPACE if not words or not _joins(text[0]) else ""
    after = _SPACE if words and not _joins(text[-1]) else ""
    return f"{before}{inner}{after}"


def _joins(character: str) -> bool:
    return character.isalnum() or character in "'\u2019"


def _any_of(words: set[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=lambda word: (-len(word), word))) or "(?!)"
