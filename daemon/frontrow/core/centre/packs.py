"""Vertical packs: what a trade adds to Frontrow, read from one TOML file.

A pack holds words of the trade, its points table, its product lines, the outcomes that a seller taps, reasons,
stages, what to say and to write down in each, and what advertising platforms are told. No code: a trade that is not
shipped is another file (see daemon/docs/packs.md). This module turns a file's text into a :class:`Pack` or into all
of its mistakes; it opens no file.
"""

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cached_property
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Meta, Struct

from frontrow.core.centre.stages import CLOSED, Closed, OutcomeEffect, Workflow
from frontrow.core.errors import ConfigError, Mistake
from frontrow.core.events import VIEWER_KINDS
from frontrow.core.intents import TERM_INTENTS
from frontrow.core.leads import Grade
from frontrow.core.points import Policy, policy_mistakes

FORMAT = 1  # of the files; a higher number was written for a later Frontrow
DAY_S = 86_400

Code = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
Label = Annotated[str, Meta(min_length=1, max_length=64)]
Prose = Annotated[str, Meta(min_length=1, max_length=2_000)]
Word = Annotated[str, Meta(min_length=1, max_length=64)]
Period = Annotated[int, Meta(ge=1, le=3650 * DAY_S)]
FeedbackPlatform = Literal["tencent_ads", "oceanengine"]

_LATIN = re.compile("[a-z0-9]")

FEEDBACK_STATES: Mapping[FeedbackPlatform, frozenset[str]] = {
    # lead_clues/update, leads_convert_type
    "tencent_ads": frozenset(
        {
            "LEADS_CONVERT_STATUS_DEPRECATED",
            "LEADS_CONVERT_STATUS_POTENTIAL_CUSTOMER",
            "LEADS_CONVERT_STATUS_HIGH_INTENTION_CUSTOMER",
            "LEADS_CONVERT_STATUS_TRANS_COMPLETED",
        }
    ),
    # clue_convert_state of the Marketing API's /2/tools/clue/callback/, by which 飞鱼 is told: confirmed by telephone,
    # added as a friend, likely to buy, visited, paid, invalid. The values of the older /crm/v2/openapi/clue/callback/
    # are not published.
    "oceanengine": frozenset({"194", "195", "196", "527", "285", "10000"}),
}
FEEDBACK_REASONS: Mapping[FeedbackPlatform, frozenset[str]] = {
    "tencent_ads": frozenset(
        f"LEADS_INEFFECT_REASON_{name}"
        for name in (
            "EMPTY", "IDENTITY_MISMATCHED", "REGION_MISMATCHED", "DATA_DUPLICATION", "TEL_NOT_CONNECTED", "NO_INTENTION",
            "UNKNOWN",
        )
    ),
    "oceanengine": frozenset(),
}  # fmt: skip


class LexiconWords(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one section of the lexicon gets more of; the words are those of daemon/frontrow/lexicon/default.toml."""

    zh: tuple[Word, ...] = ()
    en: tuple[Word, ...] = ()
    exclusions: tuple[Word, ...] = msgspec.field(default=(), name="not")


class Training(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the model learns as success: events of viewers, beside the outcomes with ``training``; empty: as configured."""

    kinds: tuple[Code, ...] = ()


class ProductLine(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of products. ``path`` goes from the widest class to the line; ``ids`` are products' own ids, ``words`` how people
    speak of them."""

    path: Annotated[tuple[Code, ...], Meta(min_length=1, max_length=8)]
    zh: Label
    en: Label
    words: tuple[Word, ...] = ()
    ids: tuple[Word, ...] = ()


class Reason(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a lead was lost, or is none."""

    code: Code
    zh: Label
    en: Label


class Outcome(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a seller taps after a contact.

    ``touch``: the customer was reached. ``closes`` ends the lead, with ``reason`` (one of the pack's), or, where a lost one names
    none, with the one that the seller chooses. ``stage`` is reached by it. ``training``: what the model learns from
    it. ``quality`` is the level (Q0 to Q5) that the lead has then: 0 takes away, any other only lifts. ``points`` are
    added to the lead's, and ``churn_risk`` to the risk of losing it (both of 100, both ways). ``forbids_contact``:
    the customer wants to hear no more.
    """

    code: Code
    zh: Label
    en: Label
    touch: bool = True
    tone: Literal["positive", "neutral", "negative"] = "neutral"
    closes: Closed | None = None
    reason: Code | None = None
    stage: Code | None = None
    training: Literal["won", "lost", "none"] = "none"
    quality: Annotated[int, Meta(ge=0, le=5)] | None = None
    points: Annotated[int, Meta(ge=-100, le=100)] = 0
    churn_risk: Annotated[int, Meta(ge=-100, le=100)] = 0
    forbids_contact: bool = False

    @property
    def needs_reason(self) -> bool:
        """Whether the seller has to choose a reason with it."""
        return self.closes in ("lost", "invalid") and self.reason is None


class Stage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stage of follow-up, in its usual order.

    ``after``: stages that must have been reached before. ``deadline_s``: how long a lead should be in it at most, and
    ``follow_up_every_s``: how often its customer should hear of us. ``roles`` do what is to be done in it.
    """

    code: Code
    zh: Label
    en: Label
    after: tuple[Code, ...] = ()
    deadline_s: Period | None = None
    follow_up_every_s: Period | None = None
    roles: tuple[Literal["seller", "specialist", "reception", "manager"], ...] = ("seller",)


class Sop(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to say and to write down. Empty ``stages``, ``grades`` or ``line``: whichever; ``line`` is the beginning of a path."""

    zh: Prose
    en: Prose
    stages: tuple[Code, ...] = ()
    grades: tuple[Grade, ...] = ()
    line: tuple[Code, ...] = ()


class Feedback(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an advertising platform is told of an outcome, and the reason where the platform has reasons for it."""

    platform: FeedbackPlatform
    outcome: Code
    state: Word
    reason: Word | None = None


class About(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which pack it is. ``version`` changes with its content."""

    format: int
    name: Code
    version: Label
    zh: Label
    en: Label


class Pack(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """A trade. The order of outcomes, reasons and stages is the one in which people see them. ``points`` None: as configured."""

    pack: About
    stages: tuple[Stage, ...]
    outcomes: tuple[Outcome, ...]
    loss_reasons: tuple[Reason, ...]
    invalid_reasons: tuple[Reason, ...]
    lexicon: dict[str, LexiconWords] = {}
    points: Policy | None = None
    training: Training = Training()
    products: tuple[ProductLine, ...] = ()
    sop: tuple[Sop, ...] = ()
    feedback: tuple[Feedback, ...] = ()

    @cached_property
    def workflow(self) -> Workflow:
        """What :mod:`frontrow.core.centre.stages` has to know of it."""
        return Workflow(
            stages={stage.code: stage.after for stage in self.stages},
            outcomes={
                each.code: OutcomeEffect(
                    closes=each.closes,
                    reason=each.reason,
                    stage=each.stage,
                    forbids_contact=each.forbids_contact,
                )
                for each in self.outcomes
            },
            loss_reasons=frozenset(reason.code for reason in self.loss_reasons),
            invalid_reasons=frozenset(reason.code for reason in self.invalid_reasons),
        )

    @cached_property
    def lexicon_tables(self) -> dict[str, dict[str, list[str]]]:
        """The words in the form of a lexicon's file, which :func:`frontrow.lexicon.load_lexicon` joins to the others."""
        return {
            section: {"zh": list(words.zh), "en": list(words.en), "not": list(words.exclusions)}
            if section != "everything"
            else {"not": list(words.exclusions)}
            for section, words in self.lexicon.items()
        }

    @cached_property
    def won(self) -> frozenset[str]:
        """The outcomes that are successes to learn from."""
        return frozenset(each.code for each in self.outcomes if each.training == "won")

    @cached_property
    def lost(self) -> frozenset[str]:
        """The outcomes that say that no success is to be expected."""
        return frozenset(each.code for each in self.outcomes if each.training == "lost")

    def outcome(self, code: str) -> Outcome | None:
        """Return an outcome, None: the trade does not have it."""
        return self._outcomes.get(code)

    def product_path(self, product: str | None) -> tuple[str, ...]:
        """Return the path of a product, given by its id, or by words that speak of it; () where it is unknown.

        An id decides; else the longest of the words that stands in the text, and of equally long ones the line that
        comes first in the file. Width and case make no difference, Latin words stand by themselves (``ev`` is not in
        ``every``), and no guess is made beyond that.
        """
        if product is None:
            return ()
        by_id = self._lines_by_id.get(product)
        if by_id is not None:
            return by_id
        text = _folded(product)
        return next((path for word, path in self._lines_by_word if word.search(text)), ())

    def sop_of(self, stage: str, grade: Grade, taxonomy: tuple[str, ...]) -> tuple[Sop, ...]:
        """Return what a seller is to read of a lead, in the file's order."""
        return tuple(
            each
            for each in self.sop
            if (not each.stages or stage in each.stages)
            and (not each.grades or grade in each.grades)
            and taxonomy[: len(each.line)] == each.line
        )

    def churn_risk(self, outcomes: Iterable[str]) -> int:
        """Return the risk of losing a customer, 0 to 100, after all that was said of them, in order.

        It is a count of warnings, not a probability: each moves it up or down within the bounds.
        """
        risk = 0
        for code in outcomes:
            known = self.outcome(code)
            if known is not None:
                risk = min(100, max(0, risk + known.churn_risk))
        return risk

    def feedback_of(self, outcome: str, platform: FeedbackPlatform) -> Feedback | None:
        """Return what a platform is told of an outcome; None: nothing."""
        return next(
            (each for each in self.feedback if (each.outcome, each.platform) == (outcome, platform)), None
        )

    @cached_property
    def _outcomes(self) -> dict[str, Outcome]:
        return {each.code: each for each in self.outcomes}

    @cached_property
    def _lines_by_id(self) -> dict[str, tuple[str, ...]]:
        return {product: line.path for line in self.products for product in line.ids}

    @cached_property
    def _lines_by_word(self) -> list[tuple[re.Pattern[str], tuple[str, ...]]]:
        """The longest first; sorting is stable, so of equals the first in the file is the first here."""
        words = [(_folded(word), line.path) for line in self.products for word in line.words]
        words.sort(key=lambda pair: -len(pair[0]))
        return [(_standing(word), path) for word, path in words]


def _standing(word: str) -> re.Pattern[str]:
    before = r"(?<![a-z0-9])" if _LATIN.match(word[0]) else ""
    after = r"(?![a-z0-9])" if _LATIN.match(word[-1]) else ""
    return re.compile(before + re.escape(word) + after)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def load_pack(text: str, name: str) -> Pack:
    """Return the pack that a file's text holds; ``name`` is what the file is called in mistakes.

    Raises:
        ConfigError: With every mistake, each with its key path.
    """
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError([Mistake(name, 0, 0, "", f"not TOML: {error}")]) from error
    reader = _Reader(name)
    pack = reader.table(data, Pack, "")
    if isinstance(pack, Pack):
        _check(pack, reader)
    if reader.mistakes:
        raise ConfigError(reader.mistakes)
    assert isinstance(pack, Pack)  # what could not be read has left a mistake
    return pack


_WRONG = object()


class _Reader:
    """Reads tables into structs and goes on after a mistake, which msgspec by itself does not."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mistakes: list[Mistake] = []

    def mistake(self, key: str, reason: str, hint: str = "") -> None:
        self.mistakes.append(Mistake(self.name, 0, 0, key, reason, hint))

    def table(self, value: Any, struct: type[Struct], path: str) -> Any:
        if not isinstance(value, dict):
            self.mistake(path, f"expected a table, got {type(value).__name__}")
            return _WRONG
        fields = {each.encode_name: each for each in msgspec.structs.fields(struct)}
        read: dict[str, Any] = {}
        for key in value.keys() - fields.keys():
            self.mistake(_under(path, key), "unknown key", _nearest(key, fields))
        for key, each in fields.items():
            if key in value:
                read[each.name] = self.value(value[key], each.type, _under(path, key))
            elif each.default is NODEFAULT and each.default_factory is NODEFAULT:
                self.mistake(_under(path, key), "is missing")
                read[each.name] = _WRONG
        if any(each is _WRONG for each in read.values()):
            return _WRONG
        return struct(**read)

    def value(self, value: Any, kind: Any, path: str) -> Any:
        plain = get_args(kind)[0] if get_origin(kind) is Annotated else kind
        struct = _struct_in(plain)
        if struct is None:
            return self._scalar(value, kind, path)
        origin = get_origin(plain)
        if origin is tuple:
            if not isinstance(value, list):
                self.mistake(path, "expected a list; its header has two brackets: [[ ]]")
                return _WRONG
            found = [self.table(each, struct, f"{path}[{number}]") for number, each in enumerate(value)]
            return _WRONG if any(each is _WRONG for each in found) else tuple(found)
        if origin is dict:
            if not isinstance(value, dict):
                self.mistake(path, "expected a table of tables")
                return _WRONG
            tables = {key: self.table(each, struct, _under(path, key)) for key, each in value.items()}
            return _WRONG if any(each is _WRONG for each in tables.values()) else tables
        return self.table(value, struct, path)

    def _scalar(self, value: Any, kind: Any, path: str) -> Any:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            reason, _, place = str(error).partition(" - at `$")
            self.mistake(path + place.rstrip("`"), reason)
            return _WRONG


def _struct_in(kind: Any) -> type[Struct] | None:
    """Return the struct that a field's type is, or is a tuple, a dict or an option of."""
    if isinstance(kind, type) and issubclass(kind, Struct):
        return kind
    if get_origin(kind) in (tuple, dict, Union, UnionType):
        return next(filter(None, map(_struct_in, get_args(kind))), None)
    return None


def _under(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _nearest(name: str, known: Iterable[str]) -> str:
    return next(iter(get_close_matches(name, list(known), 1)), "")


def _check(pack: Pack, reader: _Reader) -> None:
    """Note what each table by itself does not show."""
    if pack.pack.format != FORMAT:
        reader.mistake("pack.format", f"this Frontrow reads format {FORMAT}, not {pack.pack.format}")
    for section in pack.lexicon.keys() - TERM_INTENTS.keys() - {"everything"}:
        reader.mistake(f"lexicon.{section}", "is no section of the lexicon", _nearest(section, TERM_INTENTS))
    if pack.points is not None:
        for path, reason in policy_mistakes(pack.points):
            reader.mistake(path, reason)
    for number, kind in enumerate(pack.training.kinds):
        if kind not in VIEWER_KINDS:
            reader.mistake(
                f"training.kinds[{number}]",
                f"{kind!r} is nothing that viewers do",
                _nearest(kind, VIEWER_KINDS),
            )
    _check_codes(pack, reader)
    _check_stages(pack, reader)
    _check_outcomes(pack, reader)
    _check_products(pack, reader)
    _check_feedback(pack, reader)


def _check_codes(pack: Pack, reader: _Reader) -> None:
    coded: Mapping[str, tuple[Stage | Outcome | Reason, ...]] = {
        "stages": pack.stages,
        "outcomes": pack.outcomes,
        "loss_reasons": pack.loss_reasons,
        "invalid_reasons": pack.invalid_reasons,
    }
    for section, each in coded.items():
        if not each:
            reader.mistake(section, "must not be empty")
        seen: set[str] = set()
        for number, one in enumerate(each):
            if one.code in seen:
                reader.mistake(f"{section}[{number}].code", f"is used twice: {one.code!r}")
            seen.add(one.code)


def _check_stages(pack: Pack, reader: _Reader) -> None:
    before: list[str] = []
    known = [stage.code for stage in pack.stages]
    for number, stage in enumerate(pack.stages):
        if stage.code in CLOSED:
            reader.mistake(f"stages[{number}].code", f"{stage.code!r} is an end that every trade has")
        for position, code in enumerate(stage.after):
            if code not in before:
                reason = "must stand before it" if code in known else "is no stage"
                reader.mistake(
                    f"stages[{number}].after[{position}]", f"{code!r} {reason}", _nearest(code, before)
                )
        before.append(stage.code)
    if pack.stages and pack.stages[0].after:
        reader.mistake("stages[0].after", "a lead begins here")
    lines = {line.path[:depth] for line in pack.products for depth in range(len(line.path) + 1)}
    for number, block in enumerate(pack.sop):
        for position, code in enumerate(block.stages):
            if code not in known:
                key = f"sop[{number}].stages[{position}]"
                reader.mistake(key, f"{code!r} is no stage", _nearest(code, known))
        if block.line and block.line not in lines:
            reader.mistake(f"sop[{number}].line", f"no product's path begins with {'/'.join(block.line)!r}")


def _check_outcomes(pack: Pack, reader: _Reader) -> None:
    stages = [stage.code for stage in pack.stages]
    reasons = {
        "lost": [reason.code for reason in pack.loss_reasons],
        "invalid": [reason.code for reason in pack.invalid_reasons],
    }
    for number, outcome in enumerate(pack.outcomes):
        path = f"outcomes[{number}]"
        if outcome.stage is not None and outcome.stage not in stages:
            reader.mistake(f"{path}.stage", f"{outcome.stage!r} is no stage", _nearest(outcome.stage, stages))
        if outcome.stage is not None and outcome.closes is not None:
            reader.mistake(f"{path}.stage", "a lead that is closed is in no stage")
        if outcome.reason is not None:
            known = reasons.get(outcome.closes or "")
            if known is None:
                reader.mistake(f"{path}.reason", "is for outcomes that close a lead as lost or invalid")
            elif outcome.reason not in known:
                section = "loss_reasons" if outcome.closes == "lost" else "invalid_reasons"
                reason = f"{outcome.reason!r} is not in {section}"
                reader.mistake(f"{path}.reason", reason, _nearest(outcome.reason, known))
        if outcome.training == "won" and outcome.closes in ("lost", "invalid"):
            reader.mistake(f"{path}.training", f"what is {outcome.closes} is no success")
        if outcome.training == "lost" and outcome.closes == "won":
            reader.mistake(f"{path}.training", "what is won is a success")
    if pack.outcomes:
        for end in ("won", "lost", "invalid"):
            if not any(outcome.closes == end for outcome in pack.outcomes):
                reader.mistake("outcomes", f"none closes a lead as {end}")


def _check_products(pack: Pack, reader: _Reader) -> None:
    paths: set[tuple[str, ...]] = set()
    words: dict[str, str] = {}
    ids: dict[str, str] = {}
    for number, line in enumerate(pack.products):
        path = "/".join(line.path)
        if line.path in paths:
            reader.mistake(f"products[{number}].path", f"is used twice: {path!r}")
        paths.add(line.path)
        for key, found, seen in (("words", map(_folded, line.words), words), ("ids", line.ids, ids)):
            for position, each in enumerate(found):
                other = seen.setdefault(each, path)
                if other != path:
                    reader.mistake(f"products[{number}].{key}[{position}]", f"{each!r} is also of {other!r}")


def _check_feedback(pack: Pack, reader: _Reader) -> None:
    outcomes = [outcome.code for outcome in pack.outcomes]
    seen: set[tuple[str, str]] = set()
    for number, told in enumerate(pack.feedback):
        path = f"feedback[{number}]"
        if told.outcome not in outcomes:
            reader.mistake(
                f"{path}.outcome", f"{told.outcome!r} is no outcome", _nearest(told.outcome, outcomes)
            )
        if (told.platform, told.outcome) in seen:
            reader.mistake(f"{path}.outcome", f"{told.platform} is told of {told.outcome!r} already")
        seen.add((told.platform, told.outcome))
        for key, value, known in (
            ("state", told.state, FEEDBACK_STATES[told.platform]),
            ("reason", told.reason, FEEDBACK_REASONS[told.platform]),
        ):
            if value is not None and value not in known:
                reader.mistake(f"{path}.{key}", f"{told.platform} has no {value!r}", _nearest(value, known))
