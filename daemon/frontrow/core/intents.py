"""What a comment asks about, by a lexicon: one bit per intent.

The idea: a comment is folded (:mod:`frontrow.core.text`), then one Aho–Corasick pass finds every term in it. Most
comments hit nothing and are done. Almost all that hit, hit plain terms, and the answer is the OR of their masks.
Only terms that look at their surroundings (see :mod:`frontrow.core.terms`) take the longer way, where a hit inside a phrase
of the ``not`` lists is taken back.

Rejected: a trained classifier (nobody could say why a comment counted, nor mend it in a minute by adding a word), and
word segmentation (slower than all of this, and wrong on the misspelt half-sentences of live rooms).
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntFlag
from functools import cache, reduce
from operator import or_

from frontrow.core.automaton import Automaton, WideAutomaton
from frontrow.core.terms import (
    Expression,
    Literal,
    TermInvalid,
    compile_fillers,
    compile_term,
    fold_spellings,
)
from frontrow.core.text import Folding, has_unspaced


class Intent(IntFlag):
    """What a comment can be about. The values are part of the journal: never change one, only add."""

    PRICE = 1 << 0
    DISCOUNT = 1 << 1
    SPEC = 1 << 2  # size, colour, material, weight, use
    STOCK = 1 << 3
    DELIVERY = 1 << 4
    INSTALMENT = 1 << 5
    WARRANTY = 1 << 6
    BUY = 1 << 7  # how and where to buy
    RAFFLE = 1 << 8  # speaks of a raffle; joins none
    CONTACT = 1 << 9
    HOST = 1 << 10  # @ mentions the host
    RAFFLE_WORD = 1 << 11  # types a word by which this room's raffle is joined


# The intents that a lexicon gives terms for, by the names of its sections. The other two come from the room.
TERM_INTENTS: Mapping[str, Intent] = {
    intent.name.lower(): intent
    for intent in Intent
    if intent.name is not None and intent not in (Intent.HOST, Intent.RAFFLE_WORD)
}

_MASK_BITS = 16
_MASK = (1 << _MASK_BITS) - 1


@dataclass(frozen=True, kw_only=True)
class Section:
    """One intent's words: ``terms`` mean it, ``exclusions`` are phrases inside which they do not."""

    terms: Sequence[str] = ()
    exclusions: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class LexiconSource:
    """What a lexicon is made of, as read from its files.

    ``sections`` go by the names of :data:`TERM_INTENTS`; ``exclusions`` are taken out of every intent. ``spellings``
    gives words and how else they are typed: each term that has the word matches in all of these spellings too.
    ``fillers`` are words that say nothing at the start and the end of a comment. ``version`` names the files' content.
    """

    sections: Mapping[str, Section]
    exclusions: Sequence[str] = ()
    spellings: Mapping[str, Sequence[str]] = field(default_factory=dict)
    fillers: Sequence[str] = ()
    host_aliases: Sequence[str] = ()
    host_exclusions: Sequence[str] = ()
    version: str = ""


@dataclass(frozen=True, slots=True)
class _Rule:
    """What looks at its surroundings, with what it gives, or takes back. ``at_start`` is never with an expression."""

    mask: int
    takes_back: bool
    length: int
    at_start: bool
    at_end: bool
    expression: re.Pattern[str] | None
    fillers: re.Pattern[str]


_ANYTHING = re.compile("")
_Hits = Callable[[str], Iterable[tuple[int, int]]]


class _Needles:
    """The strings to look for in one form, with the number that the automaton gives for each."""

    def __init__(self) -> None:
        self._plain: dict[str, int] = defaultdict(int)
        self._rules: dict[str, list[_Rule]] = defaultdict(list)

    def add(self, part: Literal | Expression, given: "_Rule | int") -> None:
        """Add the strings of a part of a term, with a rule or with the mask that every occurrence gives."""
        for needle in (part.text,) if isinstance(part, Literal) else part.triggers:
            if isinstance(given, _Rule):
                self._rules[needle].append(given)
            else:
                self._plain[needle] |= given

    def numbers(self) -> dict[str, int]:
        """Return a number for each string: mask and length of a plain one, a negative index of rules of another.

        The loop over hits tells them apart by the sign.
        """
        numbers = {needle: mask | len(needle) << _MASK_BITS for needle, mask in self._plain.items()}
        return numbers | {needle: -1 - index for index, needle in enumerate(self._rules)}

    def rules(self) -> list[tuple[list[_Rule], list[_Rule]]]:
        """Return the rules by index, each string's as those that give and those that take back."""
        return [
            (
                [rule for rule in rules if not rule.takes_back] + self._as_rule(needle),
                [rule for rule in rules if rule.takes_back],
            )
            for needle, rules in self._rules.items()
        ]

    def _as_rule(self, needle: str) -> list[_Rule]:
        mask = self._plain.get(needle)
        return [] if mask is None else [_Rule(mask, False, len(needle), False, False, None, _ANYTHING)]


class LexiconInvalid(ValueError):
    """Terms that cannot be used: ``reasons`` says why, by term."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        super().__init__(reasons)
        self.reasons = reasons


class Lexicon:
    """All terms of all intents, compiled. Unchangeable; shared by all rooms."""

    def __init__(self, source: LexiconSource, folding: Folding) -> None:
        """Compile ``source``, which takes a second or so.

        Raises:
            LexiconInvalid: With every term that cannot be used.
        """
        self.version = source.version
        self._host_aliases = tuple(source.host_aliases)
        self._host_exclusions = tuple(source.host_exclusions)
        self._folding = folding
        compact = _Needles()
        words = _Needles()
        for part, given in _compiled(source, folding):
            (compact if part.compact else words).add(part, given)
        self.size = len(compact.numbers()) + len(words.numbers())  # strings looked for
        self._compact_form = _Matcher(WideAutomaton(compact.numbers()).hits, compact.rules())
        self._words_form = _Matcher(Automaton(words.numbers()).hits, words.rules())

    def detect(self, text: str) -> int:
        """Return the mask of what ``text`` asks about, without what only a room knows (host, raffle words)."""
        if text.isascii():
            return self._words_form.detect(self._folding.words(text))
        return self.detect_folded(text, self._folding.compact(text))

    def detect_folded(self, text: str, compact: str) -> int:
        """Return what :meth:`detect` does for a text that is not ASCII and whose compact form is known."""
        mask = self._compact_form.detect(compact)
        # Letters may be left where decoration folds away, so the compact form is asked and not the text. Where that is
        # the text itself it was seen to have none.
        if compact is not text and not self._folding.is_unspaced(compact):
            mask |= self._words_form.detect(self._folding.words(text))
        return mask

    def for_room(
        self, *, host_aliases: Iterable[str] = (), raffle_words: Iterable[str] = ()
    ) -> "RoomLexicon":
        """Return a lexicon that also knows one room's words; compile once, when the room's configuration is read.

        ``host_aliases`` are names of the host, beside those of every host (主播, host). ``raffle_words`` are what viewers
        type to join this room's raffle.
        """
        aliases = dict.fromkeys((*self._host_aliases, *host_aliases))
        return RoomLexicon(
            self,
            self._folding,
            _mention(tuple(aliases), self._host_exclusions, self._folding),
            _RaffleWords(tuple(raffle_words), self._folding),
        )


class _Matcher:
    """The terms for one form of a text."""

    def __init__(self, hits: _Hits, rules: list[tuple[list[_Rule], list[_Rule]]]) -> None:
        self._hits = hits
        self._rules = rules

    def detect(self, form: str) -> int:
        """Return the mask of a form."""
        mask = 0
        for _, number in self._hits(form):
            if number < 0:
                return self._resolve(form)
            mask |= number
        return mask & _MASK

    def _resolve(self, form: str) -> int:
        """Return the mask of a form with at least one rule's needle in it."""
        given: list[tuple[int, int, int]] = []
        giving: list[tuple[_Rule, int]] = []
        taking: list[tuple[_Rule, int]] = []
        for last, number in self._hits(form):
            if number >= 0:
                given.append((last + 1 - (number >> _MASK_BITS), last + 1, number & _MASK))
                continue
            giving_here, taking_here = self._rules[-1 - number]
            giving.extend([(rule, last + 1) for rule in giving_here])
            taking.extend([(rule, last + 1) for rule in taking_here])
        if not giving and not given:
            return 0
        spans = _Spans(form, taking)
        result = 0
        for start, end, mask in given:
            if mask & ~result:
                result |= spans.left_of(start, end, mask)
        # An expression is tried only where it could still add something, and once, however often its triggers occur.
        tried: set[re.Pattern[str]] = set()
        for rule, end in giving:
            if rule.mask & ~result and rule.expression not in tried:
                if rule.expression is not None:
                    tried.add(rule.expression)
                for start, stop in _places(rule, form, end):
                    result |= spans.left_of(start, stop, rule.mask)
        return result


class RoomLexicon:
    """A lexicon with one room's own words; made by :meth:`Lexicon.for_room`."""

    def __init__(
        self, lexicon: Lexicon, folding: Folding, mention: re.Pattern[str] | None, raffle: "_RaffleWords"
    ) -> None:
        self.lexicon = lexicon
        self._detect = lexicon.detect
        self._detect_folded = lexicon.detect_folded
        self._folding = folding
        self._mention = mention
        self._raffle = raffle if raffle else None

    def detect(self, text: str) -> int:
        """Return the mask of :class:`Intent` bits of a comment. Never raises, whatever the text."""
        if text.isascii():
            compact = ""
            mask = self._detect(text)
        else:
            compact = self._folding.compact(text)
            mask = self._detect_folded(text, compact)
        # U+FF20 and U+FE6B are the forms of @ that fold to it; a comment without any of them mentions nobody.
        if ("@" in text or "\uff20" in text or "\ufe6b" in text) and self._mentions_host(text):
            mask |= _HOST
        if self._raffle is not None and self._raffle.typed_in(text, compact):
            mask |= _RAFFLE_WORD
        return mask

    def _mentions_host(self, text: str) -> bool:
        return self._mention is not None and self._mention.search(self._folding.fold(text)) is not None


def intent_names(mask: int) -> list[str]:
    """Return the names of the intents in a mask, as in lexicon files, in the order of their bits."""
    return [intent.name.lower() for intent in Intent if intent.value & mask and intent.name is not None]


_HOST = int(Intent.HOST)
_RAFFLE_WORD = int(Intent.RAFFLE_WORD)


class _RaffleWords:
    """A room's raffle words.

    A word with unspaced characters counts wherever it stands (抽奖 in 我要抽奖). A word of digits counts only alone or
    repeated (1 in 111, never in 1号链接). Others count as whole words (!join), marks in them being part of them.
    """

    def __init__(self, words: Sequence[str], folding: Folding) -> None:
        self._folding = folding
        inside: list[str] = []
        alone: list[str] = []
        whole: list[str] = []
        for word in words:
            folded = " ".join(folding.fold(word).split())
            compact = folding.compact(word)
            if has_unspaced(compact):
                inside.append(compact)
            elif folded.isdigit():
                alone.append(folded)
            elif folded:
                whole.append(folded)
        self._inside = tuple(inside)
        self._alone = re.compile(f"(?:{_any_of(alone)})+") if alone else None
        # [^\W_] would take ideographs for parts of a word: 扣join joins.
        spaced = "|".join(
            re.escape(word).replace(r"\ ", r"\s+") for word in sorted(whole, key=len, reverse=True)
        )
        self._whole = re.compile(rf"(?<![a-z0-9])(?:{spaced})(?![a-z0-9])") if whole else None

    def __bool__(self) -> bool:
        return bool(self._inside or self._alone or self._whole)

    def typed_in(self, text: str, compact: str) -> bool:
        """Whether the comment joins; ``compact`` is its compact form, or empty for an ASCII text."""
        for word in self._inside:
            if word in compact:
                return True
        if self._alone is not None and self._alone.fullmatch(compact or self._folding.compact(text)):
            return True
        if self._whole is None:
            return False
        # Of an ASCII text folding leaves more than lower case only in control characters.
        return self._whole.search(text.lower() if text.isascii() else self._folding.fold(text)) is not None


def _mention(aliases: Sequence[str], exclusions: Sequence[str], folding: Folding) -> re.Pattern[str] | None:
    """Return the expression for an @ mention of any alias in folded text, or None without aliases.

    The @ must not follow a letter or digit of a spaced script (an e-mail address). A name that ends in such a letter
    or digit must end there (``@hostess`` is somebody else), and not go on as a domain (``@host.example``).
    """
    names = sorted({_flexible(alias, folding) for alias in aliases} - {""}, key=len, reverse=True)
    if not names:
        return None
    longer = [_flexible(name, folding) for name in exclusions]
    unless = f"(?!{'|'.join(name for name in longer if name)})" if any(longer) else ""
    return re.compile(rf"(?<![a-z0-9_.+-])@[@\s]{{0,4}}{unless}(?:{'|'.join(names)})")


def _flexible(alias: str, folding: Folding) -> str:
    # A name typed with or without the spaces and marks that it has is the same name.
    parts = [part for part in re.split(r"[\W_]+", folding.fold(alias.strip().lstrip("@\uff20"))) if part]
    if not parts:
        return ""
    end = r"(?![a-z0-9_])(?!\.[a-z])" if _is_latin(parts[-1][-1]) else ""
    return r"[\W_]?".join(re.escape(part) for part in parts) + end


def _is_latin(character: str) -> bool:
    return character.isalnum() and not has_unspaced(character)


def _any_of(words: Sequence[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


class _Spans:
    """Where a form's terms do not count, worked out when first asked for: most questions are in no such place."""

    def __init__(self, form: str, taking: list[tuple[_Rule, int]]) -> None:
        self._form = form
        self._taking = taking
        self._found: list[tuple[int, int, int]] | None = None

    def left_of(self, start: int, end: int, mask: int) -> int:
        """Return what is left of a mask given by the characters from ``start`` to ``end``."""
        if not self._taking:
            return mask
        if self._found is None:
            self._found = [
                (from_, to, rule.mask)
                for rule, last in dict.fromkeys(self._taking)
                for from_, to in _places(rule, self._form, last)
            ]
        for from_, to, without in self._found:
            if from_ <= start and end <= to:
                mask &= ~without
        return mask


def _places(rule: _Rule, form: str, end: int) -> list[tuple[int, int]]:
    """Return where a rule holds: its string, which ends at ``end``, or its expression anywhere."""
    if rule.expression is None:
        return [(end - rule.length, end)] if _stands(rule, form, end - rule.length, end) else []
    found = [match.span(1) for match in rule.expression.finditer(form)]
    return [(start, stop) for start, stop in found if _whole(form, start, stop)]


def _stands(rule: _Rule, form: str, start: int, end: int) -> bool:
    """Whether a string found at ``start`` to ``end`` stands as its rule wants it."""
    if not _whole(form, start, end):
        return False
    if rule.at_start and rule.fillers.fullmatch(form, 0, start) is None:
        return False
    return not rule.at_end or rule.fillers.fullmatch(form, end) is not None


def _whole(form: str, start: int, end: int) -> bool:
    """Whether neither end cuts a Latin word or a number in two; ``s码`` is not found in ``plus码``."""
    return not (_goes_on(form, start) or _goes_on(form, end))


def _goes_on(form: str, position: int) -> bool:
    if not 0 < position < len(form):
        return False
    before, after = form[position - 1], form[position]
    return (before.isdigit() and after.isdigit()) or (
        before.isalpha() and after.isalpha() and _is_latin(before) and _is_latin(after)
    )


def _compiled(source: LexiconSource, folding: Folding) -> Iterator[tuple[Literal | Expression, _Rule | int]]:
    """Give every part of every term with its mask, where every occurrence counts, or else with its rule.

    Raises:
        LexiconInvalid: At the end, with every term that cannot be used.
    """
    everything = reduce(or_, (int(intent) for intent in TERM_INTENTS.values()))
    lists = [(source.exclusions, everything, True)]
    for name, section in source.sections.items():
        mask = int(TERM_INTENTS[name])
        lists += [(section.terms, mask, False), (section.exclusions, mask, True)]
    spellings = fold_spellings(source.spellings, folding)
    fillers = compile_fillers(source.fillers, folding)
    compact_fillers, words_fillers = re.compile(fillers.compact), re.compile(fillers.words)
    rule_of = cache(_Rule)  # there are a thousand times as many strings as different rules
    invalid: dict[str, str] = {}
    for terms, mask, takes_back in lists:
        for term in terms:
            try:
                parts = compile_term(term, folding, spellings, fillers)
            except TermInvalid as error:
                invalid[term] = str(error)
                continue
            for part in parts:
                around = compact_fillers if part.compact else words_fillers
                if isinstance(part, Expression):
                    yield part, _Rule(mask, takes_back, 0, False, False, re.compile(part.pattern), around)
                elif takes_back or part.at_start or part.at_end or _cuttable(part):
                    length = len(part.text)
                    yield part, rule_of(mask, takes_back, length, part.at_start, part.at_end, None, around)
                else:
                    yield part, mask
    if invalid:
        raise LexiconInvalid(invalid)


def _cuttable(part: Literal) -> bool:
    return part.compact and (_is_latin(part.text[0]) or _is_latin(part.text[-1]))
