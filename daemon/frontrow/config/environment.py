"""Overrides from the environment: ``FRONTROW__SECTION__KEY=value`` sets ``section.key``.

``__`` parts the levels; names are in upper case, with ``_`` for ``-``. An element of a list is named by its id (a
rule of points by its name, a channel by its code) or by its index from 0: ``FRONTROW__FEEDS__MAIN__TOKEN``. A value
is read as TOML (``8787``, ``true``, ``["a", "b"]``), and is text if it is not TOML or if the option is a text. A
variable wins over the file, also over a ``…_file`` there. A variable that names no option is a mistake like any
other.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from frontrow.config.document import Document
from frontrow.config.positions import KeyPath, show_path
from frontrow.config.schema import Config
from frontrow.config.shape import FromVariable, Kind, Option, Shape, plain
from frontrow.config.walk import nearest

PREFIX = "FRONTROW__"
_BETWEEN = "__"
_NAMES_OF_ELEMENTS = ("id", "code", "name")


def apply_environment(document: Document, environ: Mapping[str, str], shape: Shape) -> None:
    """Write every override into ``document.data`` and say in ``document.origins`` where it came from."""
    variables = [name for name in environ if name.startswith(PREFIX)]
    for variable in sorted(variables, key=_order):
        _Override(document, shape, variable, environ[variable]).apply()


def _order(variable: str) -> tuple[int, bool, str]:
    # A table before what is in it, and what decides which keys a table has before these keys.
    levels = variable.removeprefix(PREFIX).split(_BETWEEN)
    return len(levels), levels[-1].upper() not in ("CONNECTOR", "KIND"), variable


class _Override:
    def __init__(self, document: Document, shape: Shape, variable: str, text: str) -> None:
        self._document = document
        self._shape = shape
        self._variable = variable
        self._text = text
        self._names = variable.removeprefix(PREFIX).split(_BETWEEN)

    def apply(self) -> None:
        try:
            self._text.encode("utf-8")
        except UnicodeEncodeError:
            self._document.add_variable(self._variable, "", "is not UTF-8")
            return
        path: KeyPath = ()
        holder: Any = self._document.data
        kind = Kind(msgspec.inspect.type_info(Config))
        last = len(self._names) - 1
        for level in range(last + 1):
            step = self._step(kind, holder, level, path)
            if step is None:
                return
            path, kind = (*path, step.key), step.kind
            if level < last:
                holder = _below(holder, step)
            else:
                self._set(holder, step, path)

    def _step(self, kind: Kind, holder: Any, level: int, path: KeyPath) -> "_Step | None":
        """Return what this level names; None if that cannot be said, and then the mistake is noted."""
        if kind.struct and isinstance(holder, dict):
            options = self._shape.options(kind.struct, holder)
            return None if options is None else self._option(options, level, path)
        if kind.items is not None and kind.items.struct and isinstance(holder, list):
            index = self._element(holder, level, path)
            return None if index is None else _Step(index, kind.items)
        if kind.table_values is not None and isinstance(holder, dict):
            return _Step(self._free_key(holder, level), kind.table_values)
        if not kind.struct and kind.items is None and kind.table_values is None:
            self._unknown(path, level, f"{show_path(path)} is a value and has no keys", ())
        elif kind.items is not None and not kind.items.struct:
            self._unknown(path, level, f"set the whole list {show_path(path)} instead, as TOML", ())
        # Else the file has something else than a table here, which is noted when its type is checked.
        return None

    def _option(self, options: Iterable[Option], level: int, path: KeyPath) -> "_Step | None":
        name = _simple(self._names[level])
        known: list[str] = []
        for option in options:
            file_key = f"{option.name}_file"
            if name == _simple(option.name):
                return _Step(option.name, option.kind, option.default, file_key if option.from_file else "")
            if option.from_file and name == _simple(file_key):
                return _Step(file_key, Kind(msgspec.inspect.StrType()), rival=option.name)
            known += [_simple(option.name), *([_simple(file_key)] if option.from_file else [])]
        self._unknown(path, level, "unknown key", known)
        return None

    def _element(self, elements: list[Any], level: int, path: KeyPath) -> int | None:
        name = self._names[level]
        ids = [_id_of(element) for element in elements]
        same = [index for index, known in enumerate(ids) if known and _simple(known) == _simple(name)]
        if len(same) == 1:
            return same[0]
        if not same and name.isascii() and name.isdigit() and len(name) < 6 and int(name) < len(elements):
            return int(name)
        if not self._document.whole:
            return None  # the element may be where the file cannot be read
        reason = (
            "is the name of several elements; use the index" if same else "no element has this id or index"
        )
        self._unknown(path, level, reason, [] if same else [_simple(known) for known in ids if known])
        return None

    def _free_key(self, table: dict[str, Any], level: int) -> str:
        name = self._names[level]
        return next((key for key in table if _simple(key) == _simple(name)), name.lower())

    def _unknown(self, path: KeyPath, level: int, reason: str, known: Iterable[str]) -> None:
        near = nearest(self._names[level].upper(), known)
        names = [*self._names[:level], near, *self._names[level + 1 :]]
        hint = PREFIX + _BETWEEN.join(names) if near else ""
        key = show_path((*path, self._names[level].lower()))
        self._document.add_variable(self._variable, key, reason, hint)

    def _set(self, holder: Any, step: "_Step", path: KeyPath) -> None:
        if isinstance(holder, dict):
            holder.pop(step.rival, None)
        holder[step.key] = FromVariable(self._text, _as_toml(self._text))
        self._document.origins[path] = self._variable


@dataclass(frozen=True, slots=True)
class _Step:
    """One level of a variable's name: the key or index, its type, its default, and its other form (…_file)."""

    key: str | int
    kind: Kind
    default: Any = None
    rival: str = ""


def _below(holder: Any, step: _Step) -> Any:
    """Return the table or list under a key, made from the default where the file has none; None for other options."""
    if not (step.kind.struct or step.kind.items or step.kind.table_values):
        return None
    if isinstance(holder, dict) and step.key not in holder:
        holder[step.key] = _as_plain(step)
    held = holder[step.key]
    if isinstance(held, FromVariable):
        held = holder[step.key] = held.value
    return held


def _as_plain(step: _Step) -> Any:
    if step.kind.items is not None:  # tables leave out what TOML cannot say
        elements = msgspec.to_builtins(step.default or ())
        return [
            {key: value for key, value in each.items() if value is not None}
            if isinstance(each, dict)
            else each
            for each in elements
        ]
    return dict(step.default) if step.kind.table_values is not None and step.default else {}


def _as_toml(text: str) -> Any:
    try:
        read = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return read["value"] if len(read) == 1 else text  # a text of several lines may read as more keys


def _simple(name: str) -> str:
    return name.upper().replace("-", "_")


def _id_of(element: Any) -> str | None:
    """Return how an element of a list is named, if it is a table with an id or, for want of one, a code or a name."""
    table = plain(element, text=False)
    if not isinstance(table, dict):
        return None
    named = next((plain(table[key], text=True) for key in _NAMES_OF_ELEMENTS if key in table), None)
    return named if isinstance(named, str) else None
