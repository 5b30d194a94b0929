"""From plain values to the schema's structs, noting every mistake on the way instead of stopping at the first."""

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, inspect

from frontrow.config.document import Document, reason_of
from frontrow.config.positions import KeyPath
from frontrow.config.secret import SHOWN_INSTEAD, SecretText
from frontrow.config.shape import OPTIONS, FromVariable, Kind, Option, Shape, options_of, plain

MAX_SECRET_BYTES = 65_536  # a private key of 16,384 bits has 13,000
MAX_NAME_TO_GUESS = 64  # characters; difflib's time grows with the square
MAX_GUESSES = 200  # mistakes that get a hint
MAX_SHOWN = 40  # characters of a wrong value

WRONG: Final = object()
"""Stands for a value that could not be read; the mistake is noted already."""


class Walk:
    """One reading of one document.

    ``values`` keeps, for the checks between options, what has the right type at its key path, in or out of bounds, and
    the tables in which nothing is wrong.
    """

    def __init__(self, document: Document, shape: Shape, folder: Path) -> None:
        self.document = document
        self.values: dict[KeyPath, Any] = {}
        self._shape = shape
        self._folder = folder
        self._secrets: set[str] = set()
        self._guesses = 0

    def struct(self, value: Any, struct: type[Struct], at: KeyPath) -> Any:
        """Return the table ``value`` as a ``struct``, or ``WRONG``."""
        table = plain(value, text=False)
        if not isinstance(table, dict):
            return self._wrong_type(table, "a table", at, Kind(inspect.AnyType()))
        if struct in self._shape.variants:
            return self._variant(table, struct, at)
        read = self._table(table, options_of(struct), at)
        return WRONG if read is WRONG else self._build(struct, read, at)

    def _variant(self, table: dict[str, Any], struct: type[Struct], at: KeyPath) -> Any:
        common = self._shape.common(struct)
        chosen = self._shape.chosen(struct, table)
        if chosen is None:
            variant = self._shape.variants[struct]
            self._table(
                {key: table[key] for key in table if key in {each.name for each in common}}, common, at
            )
            if (*at, variant.chooser) in self.values:
                self._not_one_of(self.values[*at, variant.chooser], variant.choices, (*at, variant.chooser))
            return WRONG
        own = options_of(chosen)
        read = self._table(table, (*common, *own), at)
        if read is WRONG:
            return WRONG
        own_attributes = {option.attribute for option in own}
        options = self._build(chosen, {name: read[name] for name in read if name in own_attributes}, at)
        if options is WRONG:
            return WRONG
        rest = {name: read[name] for name in read if name not in own_attributes}
        return self._build(struct, {**rest, OPTIONS: options}, at)

    def _build(self, struct: type[Struct], values: dict[str, Any], at: KeyPath) -> Any:
        try:
            built = struct(**values)
        except (ValueError, TypeError) as error:  # raised by the struct's own __post_init__
            self.document.add(at, self._without_secrets(str(error)))
            return WRONG
        self.values[at] = built
        return built

    def _without_secrets(self, reason: str) -> str:
        for secret in sorted(self._secrets, key=len, reverse=True):
            reason = reason.replace(secret, SHOWN_INSTEAD)
        return reason

    def _table(self, table: Mapping[str, Any], options: Sequence[Option], at: KeyPath) -> Any:
        """Return the values by attribute, or ``WRONG`` if any is missing or wrong."""
        self._refuse_unknown(table, options, at)
        values: dict[str, Any] = {}
        right = True
        for option in options:
            value = self._option(table, option, at)
            if value is WRONG:
                right = False
            elif value is not _LEFT_OUT:
                values[option.attribute] = value
        return values if right else WRONG

    def _option(self, table: Mapping[str, Any], option: Option, at: KeyPath) -> Any:
        path = (*at, option.name)
        file_key = f"{option.name}_file"
        if option.from_file and file_key in table:
            if option.name in table:
                self.document.add((*at, file_key), f"stands beside {option.name!r}; keep one of the two")
                return WRONG
            text = self._file(table[file_key], (*at, file_key))
            return WRONG if text is WRONG else self.value(text, option.kind, path)
        if option.name in table:
            return self.value(table[option.name], option.kind, path)
        if option.required:
            self._missing(option, path)
            return WRONG
        if option.kind.struct and isinstance(option.default, option.kind.struct):
            return self.value({}, option.kind, path)  # for the defaults that depend on the folder
        if isinstance(option.default, Path):
            return self._folder / option.default
        return _LEFT_OUT

    def _missing(self, option: Option, path: KeyPath) -> None:
        if not self.document.whole:
            return
        reason = "is missing"
        if option.from_file and option.kind.secret:
            reason += f"; give it here, as {option.name}_file, or by the environment"
        self.document.add(path, reason)

    def _refuse_unknown(self, table: Mapping[str, Any], options: Sequence[Option], at: KeyPath) -> None:
        known = [option.name for option in options]
        known += [f"{option.name}_file" for option in options if option.from_file]
        for key in table:
            if key in known:
                continue
            hint = self._guess(key, known)
            sections = self._shape.sections_with(key) if not hint else []
            elsewhere = f" here; {' and '.join(sections)} has it" if sections else ""
            self.document.add((*at, key), f"unknown key{elsewhere}", hint)

    def _guess(self, name: str, known: Iterable[str]) -> str:
        self._guesses += 1
        return "" if self._guesses > MAX_GUESSES else nearest(name, known)

    def value(self, value: Any, kind: Kind, at: KeyPath) -> Any:
        """Return ``value`` as ``kind`` wants it, or ``WRONG``."""
        if kind.struct:
            return self.struct(value, kind.struct, at)
        if kind.alternatives:
            return self._alternative(value, kind, at)
        value = plain(value, text=kind.is_text)
        items, table_values = kind.items, kind.table_values
        if items is not None:
            return self._list(value, kind, items, at)
        if table_values is not None:
            return self._free_table(value, table_values, at)
        return self._scalar(value, kind, at)

    def _alternative(self, value: Any, kind: Kind, at: KeyPath) -> Any:
        for alternative in kind.alternatives:
            if _fits(plain(value, text=False), alternative):
                return self.value(value, alternative, at)
        text = next((each for each in kind.alternatives if each.is_text), None)
        if text is not None and isinstance(value, FromVariable):
            return self.value(value, text, at)
        return self._wrong_type(value, " or ".join(map(_in_words, kind.alternatives)), at, kind)

    def _list(self, value: Any, kind: Kind, items: Kind, at: KeyPath) -> Any:
        if not isinstance(value, list):
            return self._wrong_type(value, "a list", at, kind)
        read = [self.value(each, items, (*at, number)) for number, each in enumerate(value)]
        if not self._has_length(len(read), kind.info, at, "element"):
            return WRONG
        if any(each is WRONG for each in read):
            return WRONG
        match kind.info:
            case inspect.VarTupleType():
                return tuple(read)
            case inspect.SetType():
                return set(read)
            case inspect.FrozenSetType():
                return frozenset(read)
        return read

    def _free_table(self, value: Any, values: Kind, at: KeyPath) -> Any:
        if not isinstance(value, dict):
            return self._wrong_type(value, "a table", at, values)
        read = {key: self.value(each, values, (*at, key)) for key, each in value.items()}
        return WRONG if any(each is WRONG for each in read.values()) else read

    def _scalar(self, value: Any, kind: Kind, at: KeyPath) -> Any:
        match kind.info:
            case inspect.LiteralType(values=choices):
                return self._choice(value, choices, kind, at)
            case inspect.EnumType(cls=enum):
                chosen = self._choice(value, tuple(member.value for member in enum), kind, at)
                return chosen if chosen is WRONG else enum(chosen)
            case inspect.AnyType():
                return value
        if not _fits(value, kind):
            return self._wrong_type(value, _in_words(kind), at, kind)
        self.values[at] = value
        match kind.info:
            case inspect.IntType() | inspect.FloatType():
                return self._number(value, kind, at)
            case inspect.StrType():
                return self._text(value, kind, kind.info, at)
        return self._path(value, at) if kind.is_path else value

    def _choice(self, value: Any, choices: tuple[Any, ...], kind: Kind, at: KeyPath) -> Any:
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            return self._wrong_type(value, "text", at, kind)
        if value not in choices:
            return self._not_one_of("" if kind.secret else value, choices, at)
        self.values[at] = value
        return value

    def _not_one_of(self, value: Any, choices: Iterable[Any], at: KeyPath) -> Any:
        names = [str(choice) for choice in choices]
        listed = ", ".join(names) or "none is known here"
        self.document.add(at, f"{shown(value)} is not one of: {listed}", self._guess(str(value), names))
        return WRONG

    def _number(self, value: float, kind: Kind, at: KeyPath) -> Any:
        number = kind.info
        assert isinstance(number, inspect.IntType | inspect.FloatType)
        read = value
        if isinstance(number, inspect.FloatType):
            try:
                read = float(value)
            except OverflowError:
                read = math.inf
            if not math.isfinite(read):
                self.document.add(at, "must be a finite number")
                return WRONG
        if (
            (number.ge is not None and read < number.ge)
            or (number.gt is not None and read <= number.gt)
            or (number.le is not None and read > number.le)
            or (number.lt is not None and read >= number.lt)
            or (number.multiple_of is not None and read % number.multiple_of)
        ):
            is_not = "" if kind.secret else f", not {shown(value)}"
            self.document.add(at, f"must be {_bounds(number)}{is_not}")
            return WRONG
        return read

    def _text(self, value: str, kind: Kind, text: inspect.StrType, at: KeyPath) -> Any:
        if kind.secret:
            self._secrets.update({value} - {""})
        if not self._has_length(len(value), text, at, "character"):
            return WRONG
        if text.pattern is not None and not re.search(text.pattern, value):
            form = kind.form or f"it must match {text.pattern}"
            self.document.add(at, f"does not have the right form: {form}")
            return WRONG
        return SecretText(value) if kind.secret else value

    def _has_length(self, length: int, kind: Any, at: KeyPath, unit: str) -> bool:
        least, most = kind.min_length, kind.max_length
        if (least is None or length >= least) and (most is None or length <= most):
            return True
        if length == 0:
            self.document.add(at, "must not be empty")
        elif most is not None and length > most:
            self.document.add(at, f"must have at most {most:_} {unit}s, has {length:_}")
        else:
            self.document.add(at, f"must have at least {least:_} {unit}s, has {length:_}")
        return False

    def _path(self, value: str, at: KeyPath) -> Any:
        if not value or "\0" in value:
            self.document.add(at, "must be a path")
            return WRONG
        return self._folder / value

    def _file(self, value: Any, at: KeyPath) -> Any:
        """Return the content of a file that holds one value, without white space around it."""
        name = plain(value, text=True)
        if not isinstance(name, str):
            return self._wrong_type(name, "text", at, Kind(inspect.AnyType()))
        try:
            with (self._folder / name).open("rb") as file:
                content = file.read(MAX_SECRET_BYTES + 1)
            text = content.decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            reason = "is not UTF-8"
        except (OSError, ValueError) as error:
            reason = f"cannot be read: {reason_of(error)}"
        else:
            if text and len(content) <= MAX_SECRET_BYTES:
                return text
            reason = f"is larger than {MAX_SECRET_BYTES:_} bytes" if text else "is empty"
        self.document.add(at, f"the file {shown(name)} {reason}")
        return WRONG

    def _wrong_type(self, value: Any, wanted: str, at: KeyPath, kind: Kind) -> Any:
        self.document.add(at, f"expected {wanted}, got {_type_of(value)}{_advice(value, kind)}")
        return WRONG


_LEFT_OUT: Final = object()


def nearest(name: str, known: Iterable[str], *, likeness: float = 0.6) -> str:
    """Return the nearest right spelling, or nothing if none is so like it (difflib's ratio, 0 to 1)."""
    if len(name) > MAX_NAME_TO_GUESS:
        return ""
    known = list(known)
    simple = name.lower().replace("-", "_").replace(" ", "_")
    for other in known:
        if other.lower().replace("-", "_") == simple:
            return other
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=likeness)), "")


def shown(value: Any) -> str:
    """Return a value for a message: short, in quotes if it is text, on one line."""
    if isinstance(value, int) and value.bit_length() > 128:
        return "a number of so many digits"  # str() of it can take long, and raises beyond 4,300
    text = str(value)
    if len(text) > MAX_SHOWN:
        text = text[:MAX_SHOWN] + "…"
    return (
        f'"{"".join(char if char.isprintable() else "?" for char in text)}"'
        if isinstance(value, str)
        else text
    )


def _fits(value: Any, kind: Kind) -> bool:
    match kind.info:
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.IntType():
            return isinstance(value, int) and not isinstance(value, bool)
        case inspect.FloatType():
            return isinstance(value, int | float) and not isinstance(value, bool)
        case inspect.StrType():
            return isinstance(value, str)
        case inspect.LiteralType(values=choices):
            return not isinstance(value, bool) and isinstance(value, str | int) and value in choices
    if kind.is_path:
        return isinstance(value, str)
    if kind.items is not None:
        return isinstance(value, list)
    if kind.struct or kind.table_values is not None:
        return isinstance(value, dict)
    raise TypeError(f"the configuration cannot hold a value of the type {kind.info}")


def _in_words(kind: Kind) -> str:
    match kind.info:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return "a whole number"
        case inspect.FloatType():
            return "a number"
    if kind.items is not None:
        return "a list"
    return "a table" if kind.struct or kind.table_values is not None else "text"


def _type_of(value: Any) -> str:
    match plain(value, text=False):
        case bool():
            return "true or false"
        case int():
            return "a whole number"
        case float():
            return "a number with a fraction"
        case str():
            return "text"
        case list():
            return "a list"
        case dict():
            return "a table"
    return "a date or time"


def _advice(value: Any, kind: Kind) -> str:
    """Return how the value is written right, where the wrong type is a matter of quotes or brackets."""
    match kind.info, value:
        case inspect.IntType() | inspect.FloatType(), str() if re.fullmatch(r"[+-]?[\d_.]+", value):
            return "; leave out the quotes"
        case inspect.BoolType(), str() if value.lower() in ("true", "false", "yes", "no", "on", "off"):
            return "; write true or false without quotes"
        case inspect.StrType(), bool() | int() | float():
            return "; put it in quotes"
    if kind.items is not None and not isinstance(value, dict):
        return "; put it in [ ]"
    if kind.items is not None and kind.items.struct:
        return "; its header has two brackets: [[ ]]"
    return ""


def _bounds(number: inspect.IntType | inspect.FloatType) -> str:
    said = []
    if number.ge is not None and number.le is not None:
        said.append(f"from {number.ge:_} to {number.le:_}")
    elif number.ge is not None:
        said.append(f"at least {number.ge:_}")
    if number.gt is not None:
        said.append(f"above {number.gt:_}")
    if number.le is not None and number.ge is None:
        said.append(f"at most {number.le:_}")
    if number.lt is not None:
        said.append(f"below {number.lt:_}")
    if number.multiple_of is not None:
        said.append(f"a multiple of {number.multiple_of:_}")
    return " and ".join(said)
