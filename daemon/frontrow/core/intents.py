"""What a comment asks about, by a lexicon: one bit per intent.

The idea: a comment is folded (:mod:`frontrow.core.text`), then one Aho–Corasick pass finds every term in it. Most
comments hit nothing and are done. Almost all that hit, hit plain terms, and the answer is the OR of their masks. Only
terms that look at their surroundings (see :mod:`frontrow.core.terms`) take the longer way, where a hit inside a
phrase of the ``not`` lists is taken back.

Rejected: a trained classifier (nobody could say why a comment counted, nor mend it in a minute by adding a word), and
word segmentation (slower than all of this, and wrong on the misspelt half-sentences of live rooms).
"""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntFlag
from functools import cache, reduce
from itertools import accumulate, compress
from operator import or_

import numpy as np

from frontrow.core.automaton import Automaton, Numbers
from frontrow.core.terms import (
    Expression,
    Fillers,
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
# U+FF20 and U+FE6B are the forms of @ that fold to it; a comment without any of them mentions nobody.
MENTIONS = "@\uff20\ufe6b"
_MANY = 16  # texts, from which on looking through them together pays


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


@dataclass(frozen=True, slots=True, eq=False)
class _Rule:
    """What looks at its surroundings, with what it gives, or takes back. ``at_start`` is never with an expression.

    Two rules are one only if they are the same object, which is quicker told than whether all is equal.
    """

    mask: int
    takes_back: bool
    length: int
    at_start: bool
    at_end: bool
    expression: re.Pattern[str] | None


_Rules = tuple[list[_Rule], list[_Rule]]


class _Needles:
    """The strings to look for in one form, with the number that the automaton gives for each."""

    def __init__(self) -> None:
        self._plain: dict[str, int] = {}  # mask, and length above it
        # Of a hundred thousand strings most have the same few rules as others, and so share the tuple that holds them.
        self._ruled: dict[str, tuple[_Rule, ...]] = {}
        self._one_more = cache(_one_more)

    def add(self, needles: Iterable[str], mask: int) -> None:
        """Add strings of which every occurrence gives a mask."""
        plain = self._plain
        for needle in needles:
            plain[needle] = plain.get(needle, len(needle) << _MASK_BITS) | mask

    def add_rule(self, needles: Iterable[str], rule: _Rule) -> None:
        """Add strings for whose occurrences a rule decides."""
        ruled, one_more = self._ruled, self._one_more
        for needle in needles:
            ruled[needle] = one_more(ruled.get(needle, ()), rule)

    def numbered(self) -> tuple[dict[str, int], list[_Rules]]:
        """Return a number for each string: mask and length of a plain one, a negative index of rules of another.

        The loop over hits tells them apart by the sign. Of the rules at an index the first give, the second take back.
        """
        numbers = dict(self._plain)
        index_of: dict[tuple[_Rule, ...], int] = {}
        plain_rule = cache(_plain_rule)
        for needle, rules in self._ruled.items():
            number = self._plain.get(needle)
            if number is not None:
                rules = self._one_more(rules, plain_rule(number & _MASK, len(needle)))
            numbers[needle] = -1 - index_of.setdefault(rules, len(index_of))
        return numbers, [
            ([rule for rule in rules if not rule.takes_back], [rule for rule in rules if rule.takes_back])
            for rules in index_of
        ]


def _one_more(rules: tuple[_Rule, ...], rule: _Rule) -> tuple[_Rule, ...]:
    return rules if rule in rules else (*rules, rule)


def _plain_rule(mask: int, length: int) -> _Rule:
    return _Rule(mask, False, length, False, False, None)


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
        fillers = compile_fillers(source.fillers, folding)
        compact, words = _compiled(source, folding, fillers)
        compact_numbers, compact_rules = compact.numbered()
        words_numbers, words_rules = words.numbered()
        self.size = len(compact_numbers) + len(words_numbers)  # strings looked for
        self._compact_form = _Matcher(
            Automaton(compact_numbers), compact_rules, re.compile(fillers.compact), fillers.longest
        )
        self._words_form = _Matcher(
            Automaton(words_numbers), words_rules, re.compile(fillers.words), fillers.longest
        )

    def detect(self, text: str) -> int:
        """Return the mask of what ``text`` asks about, without what only a room knows (host, raffle words)."""
        return self.detect_forms(*self._folding.forms(text))

    def detect_forms(self, compact: str, words: str) -> int:
        """Return what :meth:`detect` does for a text whose forms are known."""
        mask = self._compact_form.detect(compact) if compact else 0
        return mask | self._words_form.detect(words) if words else mask

    def detect_many(self, texts: Sequence[str]) -> list[int]:
        """Return what :meth:`detect` does for each text. A text among many costs a third of one alone."""
        if len(texts) < _MANY:
            return [self.detect(text) for text in texts]
        masks = np.zeros(len(texts), np.int64)
        ascii = np.fromiter(map(str.isascii, texts), np.bool_, len(texts))
        if ascii.any():
            words = self._folding.words_of_ascii(list(compress(texts, ascii)))
            masks[ascii] = self._words_form.detect_many(words)
        if not ascii.all():
            masks[~ascii] = self._detect_folded([text for text in texts if not text.isascii()])
        found: list[int] = masks.tolist()
        return found

    def _detect_folded(self, texts: list[str]) -> Numbers:
        """Return what :meth:`detect` does for each of some texts that are not ASCII."""
        compacts, unspaced, spaced = self._folding.compact_of_many(texts)
        masks = self._compact_form.detect_many(compacts)
        masks[spaced & ~unspaced] = 0  # no compact form is made of such a text alone
        if spaced.any():
            words = self._folding.words_of_many(list(compress(texts, spaced)))
            masks[spaced] |= self._words_form.detect_many(words)
        return masks

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

    def __init__(
        self, automaton: Automaton, rules: list[_Rules], filler: re.Pattern[str], longest: int
    ) -> None:
        self._automaton = automaton
        self._rules = rules
        self._filler = filler
        self._longest = longest  # characters of a filler

    def detect(self, form: str) -> int:
        """Return the mask of a form."""
        return self._mask(form, self._automaton.hits(form))

    def detect_many(self, forms: str) -> Numbers:
        """Return the mask of each of the forms, which stand in one text with NUL between them."""
        masks, ruled = self._automaton.spread(forms)
        for which, form, hits in ruled:
            masks[which] = self._resolve(form, hits)
        return masks

    def _mask(self, form: str, hits: list[tuple[int, int]]) -> int:
        """Return the mask of a form in which these are the hits."""
        mask = 0
        for _, number in hits:
            if number < 0:
                return self._resolve(form, hits)
            mask |= number
        return mask & _MASK

    def _resolve(self, form: str, hits: list[tuple[int, int]]) -> int:
        """Return the mask of a form with at least one rule's needle in it."""
        plain = 0
        giving: list[tuple[list[_Rule], int]] = []
        taking: list[tuple[_Rule, int]] = []
        for end, number in hits:
            if number >= 0:
                plain |= number
                continue
            giving_here, taking_here = self._rules[-1 - number]
            if giving_here:
                giving.append((giving_here, end))
            if taking_here:
                taking += [(rule, end) for rule in taking_here]
        if not giving and not (taking and plain):
            return plain & _MASK
        sides = _Sides(form, self._filler, self._longest)
        spans = None
        result = plain & _MASK
        if taking and (giving or plain):  # in few forms
            spans = _Spans(form, taking, sides)
            result = 0
            for end, number in hits:
                mask = number & _MASK
                if number >= 0 and mask & ~result:
                    result |= spans.left_of(end - (number >> _MASK_BITS), end, mask)
        # An expression is tried only where it could still add something, and once, however often its triggers occur.
        tried: list[re.Pattern[str]] = []
        for rules, end in giving:
            for rule in rules:
                mask = rule.mask
                if not mask & ~result:
                    continue
                if rule.expression is not None:
                    if rule.expression in tried:
                        continue
                    tried.append(rule.expression)
                for start, stop in _places(rule, form, end, sides):
                    result |= mask if spans is None else spans.left_of(start, stop, mask)
        return result


class RoomLexicon:
    """A lexicon with one room's own words; made by :meth:`Lexicon.for_room`.

    ``mention`` finds the host's names in a text that ``folding`` has folded; None: the host has none.
    """

    def __init__(
        self, lexicon: Lexicon, folding: Folding, mention: re.Pattern[str] | None, raffle: "_RaffleWords"
    ) -> None:
        self.lexicon = lexicon
        self._detect_forms = lexicon.detect_forms
        self.folding = folding
        self.mention = mention
        self._raffle = raffle if raffle else None

    def detect(self, text: str) -> int:
        """Return the mask of :class:`Intent` bits of a comment. Never raises, whatever the text."""
        compact, words = self.folding.forms(text)
        return self._detect_forms(compact, words) | self._own(text, compact)

    def detect_own(self, text: str) -> int:
        """Return the bits that the room's own words give: with what ``lexicon`` detects they are :meth:`detect`'s."""
        return self._own(text, "" if self._raffle is None else self.folding.forms(text)[0])

    @property
    def reads_every_text(self) -> bool:
        """Whether :meth:`detect_own` may give something of any text, and not only of one that :func:`may_mention` somebody."""
        return self._raffle is not None

    def _own(self, text: str, compact: str) -> int:
        mask = 0
        if may_mention(text) and self._mentions_host(text):
            mask = _HOST
        if self._raffle is not None and self._raffle.typed_in(text, compact):
            mask |= _RAFFLE_WORD
        return mask

    def _mentions_host(self, text: str) -> bool:
        return self.mention is not None and self.mention.search(self.folding.fold(text)) is not None


def detect_own_of_rooms(written: Mapping[RoomLexicon, Sequence[str]]) -> dict[RoomLexicon, dict[str, int]]:
    """Return :meth:`RoomLexicon.detect_own` of what was written in some rooms, of the texts and rooms for which it gives anything.

    The rooms' lexicons are made from one :class:`Lexicon`, so their texts are folded all at once.
    """
    found: dict[RoomLexicon, dict[str, int]] = {}
    asked: list[tuple[RoomLexicon, str]] = []
    for lexicon, texts in written.items():
        if lexicon.reads_every_text:
            masks = {text: mask for text in texts if (mask := lexicon.detect_own(text))}
            if masks:
                found[lexicon] = masks
        elif lexicon.mention is not None:
            asked += [(lexicon, text) for text in texts if may_mention(text)]
    if asked:
        folded = asked[0][0].folding.fold_each([text for _, text in asked])
        for (lexicon, text), form in zip(asked, folded, strict=True):
            if lexicon.mention is not None and lexicon.mention.search(form) is not None:
                found.setdefault(lexicon, {})[text] = _HOST
    return found


def may_mention(text: str) -> bool:
    """Return whether a text may mention somebody, in any room; most do not."""
    return any(mark in text for mark in MENTIONS)


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
        """Whether the comment joins; ``compact`` is its compact form, or empty without a character for ``inside``."""
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
    """Where a form's terms do not count, worked out when first asked for: most questions are in no such place.

    A comment can be full of such places, so each question is answered without looking at all of them.
    """

    def __init__(self, form: str, taking: list[tuple[_Rule, int]], sides: "_Sides") -> None:
        self._form = form
        self._taking = taking
        self._sides = sides
        # By mask: where spans start, in order, and the furthest end of all that start there or before.
        self._found: list[tuple[int, list[int], list[int]]] | None = None

    def left_of(self, start: int, end: int, mask: int) -> int:
        """Return what is left of a mask given by the characters from ``start`` to ``end``."""
        if self._found is None:
            self._found = self._find()
        for without, starts, furthest in self._found:
            before = bisect_right(starts, start)
            if before and furthest[before - 1] >= end:
                mask &= ~without
        return mask

    def _find(self) -> list[tuple[int, list[int], list[int]]]:
        # An expression finds all its places at once, however often its triggers occur.
        each = dict.fromkeys((rule, last if rule.expression is None else 0) for rule, last in self._taking)
        by_mask: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for rule, last in each:
            by_mask[rule.mask] += _places(rule, self._form, last, self._sides)
        found: list[tuple[int, list[int], list[int]]] = []
        for mask, spans in by_mask.items():
            spans.sort()
            found.append(
                (mask, [start for start, _ in spans], list(accumulate((end for _, end in spans), max)))
            )
        return found


class _Sides:
    """Whether nothing but fillers stands before or after a place of a form.

    A comment can be full of such places, so what was read for one of them is not read again for the next.
    """

    __slots__ = ("_filler", "_form", "_from_start", "_longest", "_no_fillers")

    def __init__(self, form: str, filler: re.Pattern[str], longest: int) -> None:
        self._form = form
        self._filler = filler
        self._longest = longest
        # Where fillers end that are read from the start on, up to what is none.
        self._from_start: list[int] | None = None
        self._no_fillers: set[int] | None = None  # from here to the end there is more than fillers

    def only_fillers_before(self, place: int) -> bool:
        if place == 0:
            return True
        if self._from_start is None:
            self._from_start = self._read(0, len(self._form))
        # What ends here may not be read further, so that the last filler before it can be another, shorter one.
        sure = bisect_right(self._from_start, place - self._longest)
        return self._read(self._from_start[max(0, sure - 1)], place)[-1] == place

    def only_fillers_after(self, place: int) -> bool:
        if place == len(self._form):
            return True
        if self._filler.match(self._form, place) is None:
            return False  # nearly always
        if self._no_fillers is None:
            self._no_fillers = set()
        read = self._read(place, len(self._form), self._no_fillers)
        if read[-1] == len(self._form):
            return True
        self._no_fillers.update(read)
        return False

    def _read(self, start: int, end: int, stops: Collection[int] = ()) -> list[int]:
        """Return ``start`` and where the fillers end that follow each other from there to ``end`` or to a stop."""
        read = [start]
        while read[-1] < end and read[-1] not in stops:
            filler = self._filler.match(self._form, read[-1], end)
            if filler is None or filler.end() == read[-1]:
                break
            read.append(filler.end())
        return read


def _places(rule: _Rule, form: str, end: int, sides: _Sides) -> list[tuple[int, int]]:
    """Return where a rule holds: its string, which ends at ``end``, or its expression anywhere."""
    if rule.expression is None:
        return [(end - rule.length, end)] if _stands(rule, form, end - rule.length, end, sides) else []
    if rule.expression.search(form) is None:
        return []  # six times in seven; half the time of looking for all
    found = [match.span(1) for match in rule.expression.finditer(form)]
    return [(start, stop) for start, stop in found if _whole(form, start, stop)]


def _stands(rule: _Rule, form: str, start: int, end: int, sides: _Sides) -> bool:
    """Whether a string found at ``start`` to ``end`` stands as its rule wants it."""
    return (
        _whole(form, start, end)
        and (not rule.at_end or sides.only_fillers_after(end))
        and (not rule.at_start or sides.only_fillers_before(start))
    )


def _whole(form: str, start: int, end: int) -> bool:
    """Whether neither end cuts a Latin word or a number in two; ``s码`` is not found in ``plus码``."""
    return not (_goes_on(form, start) or _goes_on(form, end))


def _goes_on(form: str, position: int) -> bool:
    if not 0 < position < len(form):
        return False
    before, after = form[position - 1], form[position]
    if "\u3041" <= after <= "\u9fff" or "\u3041" <= before <= "\u9fff":
        return False  # kana and ideographs, of which none is a digit: nearly always
    return (before.isdigit() and after.isdigit()) or (
        before.isalpha() and after.isalpha() and _is_latin(before) and _is_latin(after)
    )


def _compiled(source: LexiconSource, folding: Folding, fillers: Fillers) -> tuple[_Needles, _Needles]:
    """Return the strings of all terms for the compact form and for the words form.

    Raises:
        LexiconInvalid: With every term that cannot be used.
    """
    everything = reduce(or_, (int(intent) for intent in TERM_INTENTS.values()))
    lists = [(source.exclusions, everything, True)]
    for name, section in source.sections.items():
        mask = int(TERM_INTENTS[name])
        lists += [(section.terms, mask, False), (section.exclusions, mask, True)]
    spellings = fold_spellings(source.spellings, folding)
    needles = {True: _Needles(), False: _Needles()}
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
                to = needles[part.compact]
                if isinstance(part, Expression):
                    rule = _Rule(mask, takes_back, 0, False, False, re.compile(part.pattern))
                    to.add_rule(part.triggers, rule)
                    continue
                ruled: Sequence[str] = part.texts
                if not (takes_back or part.at_start or part.at_end):
                    # A compact string with a Latin end could be found inside a word.
                    ends = {end for text in ruled for end in (text[0], text[-1])} if part.compact else set()
                    latin = {end for end in ends if _is_latin(end)}
                    ruled = [text for text in ruled if text[0] in latin or text[-1] in latin] if latin else []
                    bound = set(ruled)
                    to.add([text for text in part.texts if text not in bound] if bound else part.texts, mask)
                by_length: dict[int, list[str]] = defaultdict(list)
                for text in ruled:
                    by_length[len(text)].append(text)
                for length, alike in by_length.items():
                    to.add_rule(alike, rule_of(mask, takes_back, length, part.at_start, part.at_end, None))
    if invalid:
        raise LexiconInvalid(invalid)
    return needles[True], needles[False]
