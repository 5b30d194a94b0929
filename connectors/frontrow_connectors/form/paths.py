"""Where a value stands in a JSON document: the part of JSONPath (RFC 9535) that forms need.

Read are names (``$.entry.field_1``, ``$['a name']``), indices (``[0]``, ``[-1]``), every element (``[*]``) and elements
by what one of their members is (``[?@.field.ref=='phone']``). Not read: slices, descendants, functions and comparisons
other than ``==``; a path with one is refused where it is configured.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

Place = tuple[str | int, ...]
"""Names and indices from the document's root to a node; what RFC 9535 calls a normalized path."""

_NAME = "[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*"
_QUOTED = r"""'(?:[^'\\]|\\['"\\])*'|"(?:[^"\\]|\\['"\\])*\""""
_MEMBER = rf"\.(?:{_NAME})|\[\s*(?:{_QUOTED})\s*\]"
_STEP = re.compile(
    rf"(?P<every>\.\*|\[\s*\*\s*\])"
    rf"|(?P<member>{_MEMBER})"
    r"|\[\s*(?P<index>-?\d{1,9})\s*\]"
    rf"|\[\s*\?\s*@(?P<of>(?:{_MEMBER})+)\s*==\s*(?P<value>{_QUOTED}|-?\d+(?:\.\d+)?|true|false|null)\s*\]"
)
_ONE_MEMBER = re.compile(_MEMBER)
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class _Every:
    """Each element of an array, each value of an object."""


@dataclass(frozen=True, slots=True)
class _Where:
    """The elements whose member at ``of`` equals ``value``."""

    of: tuple[str, ...]
    value: Any


_Step = str | int | _Every | _Where


@dataclass(frozen=True, slots=True)
class JsonPath:
    """One parsed path."""

    text: str
    steps: tuple[_Step, ...]

    def nodes(self, document: Any) -> Iterator[tuple[Place, Any]]:
        """Yield the nodes that the path selects, in the document's order, each with its place."""
        yield from _walk(document, self.steps, ())


def parse(text: str) -> JsonPath:
    """Return the path that ``text`` writes.

    Raises:
        ValueError: It is none, or has a part that is not read here. The message repeats the path.
    """
    if not text.startswith("$"):
        raise ValueError(f"the path {text!r} does not begin with $ (RFC 9535), as in $.entry.field_1")
    steps: list[_Step] = []
    position = 1
    while position < len(text):
        found = _STEP.match(text, position)
        if found is None:
            raise ValueError(f"the path {text!r} cannot be read from its character {position + 1} on")
        steps.append(_step(found))
        position = found.end()
    return JsonPath(text, tuple(steps))


def first(paths: Sequence[JsonPath], document: Any) -> tuple[Place, Any] | None:
    """Return the first node that says something, of the first path that selects one; None if none does.

    Null, an empty text and an empty array or object say nothing.
    """
    for path in paths:
        for place, value in path.nodes(document):
            if value not in (None, "", [], {}):
                return place, value
    return None


def without(document: Any, places: Sequence[Place]) -> Any:
    """Return the document without the nodes at these places; elements of arrays become null, so that indices stay true.

    Only what is on the way to a place is copied.
    """
    if () in places:
        return None
    inner: dict[str | int, list[Place]] = {}
    for place in places:
        inner.setdefault(place[0], []).append(place[1:])
    if isinstance(document, dict):
        left = {}
        for key, value in document.items():
            if key not in inner:
                left[key] = value
            elif () not in inner[key]:
                left[key] = without(value, inner[key])
        return left
    if isinstance(document, list):
        return [
            without(value, inner[index]) if index in inner else value for index, value in enumerate(document)
        ]
    return document


def _step(found: re.Match[str]) -> _Step:
    if found["every"]:
        return _Every()
    if found["member"]:
        return _member(found["member"])
    if found["index"]:
        return int(found["index"])
    value = found["value"]
    of = tuple(_member(each) for each in _ONE_MEMBER.findall(found["of"]))
    return _Where(of, _unquoted(value) if value[0] in "'\"" else msgspec.json.decode(value))


def _member(text: str) -> str:
    return text[1:] if text.startswith(".") else _unquoted(text[1:-1].strip())


def _unquoted(text: str) -> str:
    return _ESCAPED.sub(r"\1", text[1:-1])


def _walk(node: Any, steps: tuple[_Step, ...], place: Place) -> Iterator[tuple[Place, Any]]:
    if not steps:
        yield place, node
        return
    step, rest = steps[0], steps[1:]
    match step:
        case str():
            if isinstance(node, dict) and step in node:
                yield from _walk(node[step], rest, (*place, step))
        case int():
            if isinstance(node, list) and -len(node) <= step < len(node):
                index = step % len(node)
                yield from _walk(node[index], rest, (*place, index))
        case _Every():
            for key, value in _children(node):
                yield from _walk(value, rest, (*place, key))
        case _Where():
            for key, value in _children(node):
                if _is(_at(value, step.of), step.value):
                    yield from _walk(value, rest, (*place, key))


def _children(node: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(node, dict):
        yield from node.items()
    elif isinstance(node, list):
        yield from enumerate(node)


def _at(node: Any, names: Sequence[str]) -> Any:
    """Return the value at the end of these names, or what equals nothing."""
    for name in names:
        if not isinstance(node, dict) or name not in node:
            return _NOTHING
        node = node[name]
    return node


def _is(value: Any, wanted: Any) -> bool:
    # As in JSON, and not as in Python, true is not 1.
    return value == wanted and isinstance(value, bool) is isinstance(wanted, bool)


_NOTHING = object()
