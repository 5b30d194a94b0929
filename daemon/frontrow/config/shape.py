"""What keys a table may have, by its type: the structs of the schema, joined with what connectors and sinks declare."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, inspect

from frontrow.config.schema import Config, FeedConfig, SinkConfig
from frontrow.config.secret import is_secret_name

OPTIONS = "options"
"""The attribute that holds a connector's or sink's own options; in the file these stand beside the common keys."""


@dataclass(frozen=True, slots=True)
class Kind:
    """The type of an option's value, freed of its wrappers.

    ``form`` describes a text in words where a pattern bounds it. ``alternatives`` are the types of a union.
    """

    info: inspect.Type
    secret: bool = False
    form: str = ""
    alternatives: tuple["Kind", ...] = ()

    @property
    def is_text(self) -> bool:
        """Whether any text may be given, so that it may come from a file or stand in a variable without quotes."""
        if self.alternatives:
            return any(kind.is_text for kind in self.alternatives)
        return isinstance(self.info, inspect.StrType) or self.is_path

    @property
    def is_path(self) -> bool:
        return isinstance(self.info, inspect.CustomType) and self.info.cls is Path

    @property
    def struct(self) -> type[Struct] | None:
        return self.info.cls if isinstance(self.info, inspect.StructType) else None

    @property
    def items(self) -> "Kind | None":
        """The type of a list's elements; None if this is no list."""
        match self.info:
            case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
                return kind_of(item, secret=self.secret)
            case inspect.SetType(item_type=item) | inspect.FrozenSetType(item_type=item):
                return kind_of(item, secret=self.secret)
        return None

    @property
    def table_values(self) -> "Kind | None":
        """The type of the values of a table with free keys; None if this is no such table."""
        return (
            kind_of(self.info.value_type, secret=self.secret)
            if isinstance(self.info, inspect.DictType)
            else None
        )


@dataclass(frozen=True, slots=True)
class Option:
    """One key of a table. ``name`` is its spelling in the file, ``attribute`` in the struct."""

    name: str
    attribute: str
    kind: Kind
    required: bool
    default: Any
    from_file: bool = False  # <name>_file may name a file with the value


@cache
def options_of(struct: type[Struct]) -> tuple[Option, ...]:
    """Return the keys of a struct's table, in the order of the struct."""
    info = inspect.type_info(struct)
    if not isinstance(info, inspect.StructType):
        raise TypeError(f"{struct!r} is not a struct")
    names = {found.encode_name for found in info.fields}
    return tuple(_option(found, names) for found in info.fields)


def _option(found: inspect.Field, names: set[str]) -> Option:
    kind = kind_of(found.type, secret=is_secret_name(found.name))
    default: Any = None
    if not found.required:
        default = found.default if found.default is not msgspec.NODEFAULT else found.default_factory()
    from_file = kind.is_text and not kind.is_path and f"{found.encode_name}_file" not in names
    return Option(found.encode_name, found.name, kind, found.required, default, from_file)


def kind_of(type_: inspect.Type, *, secret: bool = False, form: str = "") -> Kind:
    """Return what msgspec's description of a type says, with what its annotations add."""
    match type_:
        case inspect.Metadata():
            # What an author says of it goes before what its name looks like.
            hidden = bool((type_.extra or {}).get("secret", secret))
            said = (type_.extra_json_schema or {}).get("description", form)
            return kind_of(type_.type, secret=hidden, form=said)
        case inspect.UnionType():
            kinds = [
                kind_of(each, secret=secret, form=form)
                for each in type_.types
                if not isinstance(each, inspect.NoneType)
            ]
            if len(kinds) == 1:  # TOML has no null: None is said by leaving the key out
                return kinds[0]
            return Kind(type_, secret or any(kind.secret for kind in kinds), form, tuple(kinds))
    return Kind(type_, secret, form)


@dataclass(frozen=True)
class Variant:
    """A table whose key ``chooser`` decides which more keys it has."""

    chooser: str
    choices: Mapping[str, type[Struct]]


class Shape:
    """The whole schema, with the connectors and sinks that this daemon knows.

    Raises:
        TypeError: An option of a connector or sink has the name of a common key (a bug of its author).
    """

    def __init__(self, connectors: Mapping[str, type[Struct]], sinks: Mapping[str, type[Struct]]) -> None:
        self.variants: dict[type[Struct], Variant] = {
            FeedConfig: Variant("connector", connectors),
            SinkConfig: Variant("kind", sinks),
        }
        for struct, variant in self.variants.items():
            common = {option.name for option in self.common(struct)}
            for name, declared in variant.choices.items():
                both = common & {option.name for option in options_of(declared)}
                if both:
                    raise TypeError(f"{variant.chooser} {name!r}: options may not be called {sorted(both)}")

    def common(self, struct: type[Struct]) -> tuple[Option, ...]:
        """Return the keys that a table has whatever its chooser says."""
        options = options_of(struct)
        return tuple(each for each in options if each.name != OPTIONS) if struct in self.variants else options

    def chosen(self, struct: type[Struct], table: Mapping[str, Any]) -> type[Struct] | None:
        """Return the options' type that a feed's or sink's table has chosen; None if it chose none that is known."""
        variant = self.variants[struct]
        choice = plain(table.get(variant.chooser), text=True)
        return variant.choices.get(choice) if isinstance(choice, str) else None

    def options(self, struct: type[Struct], table: Mapping[str, Any]) -> tuple[Option, ...] | None:
        """Return every key that this table may have; None where an unknown chooser leaves that open."""
        if struct not in self.variants:
            return options_of(struct)
        chosen = self.chosen(struct, table)
        return None if chosen is None else (*self.common(struct), *options_of(chosen))

    def sections_with(self, key: str) -> list[str]:
        """Return the sections, as ``[name]``, that have such a key."""
        return [
            f"[{section.name}]"
            for section in options_of(Config)
            if section.kind.struct and any(option.name == key for option in options_of(section.kind.struct))
        ]


@dataclass(frozen=True, slots=True)
class FromVariable:
    """A value that an environment variable gives: the text itself, and what it is read as TOML (else the text)."""

    text: str
    value: Any

    def __repr__(self) -> str:  # may be a secret
        return "FromVariable(…)"


def plain(value: Any, *, text: bool) -> Any:
    """Return a value freed of where it came from. With ``text`` a variable's own text is meant, if it is not quoted."""
    if not isinstance(value, FromVariable):
        return value
    return value.text if text and not isinstance(value.value, str) else value.value
