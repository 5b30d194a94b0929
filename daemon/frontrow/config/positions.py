"""Where each key of a TOML text stands: an index from key path to line and column.

``tomllib`` gives values without places, so the concrete syntax tree of tree-sitter is walked once for the places
alone; what a text means is always ``tomllib``'s word (see ``daemon/docs/adr/0002``).
"""

import functools
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

import tree_sitter_toml
from tree_sitter import Language, Node, Parser, Tree

KeyPath = tuple[str | int, ...]
"""Keys and, within lists, indices from 0: ``("feeds", 0, "token")``."""

MAX_DEPTH = 64
"""Parts of the longest key path that is listed. No option nests that far, and the text must not choose our memory."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_KEYS = ("bare_key", "quoted_key", "dotted_key")


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a text; both count from 1, ``column`` in characters."""

    line: int
    column: int


def show_path(path: KeyPath) -> str:
    """Return a key path as people write it: ``feeds[0].token``; a key that TOML must quote is quoted."""
    shown = ""
    for part in path:
        if isinstance(part, int):
            shown += f"[{part}]"
            continue
        name = part if _BARE_KEY.fullmatch(part) else _quoted(part)
        shown += f".{name}" if shown else name
    return shown


def _quoted(key: str) -> str:
    printable = "".join(
        char if char.isprintable() and char not in '"\\' else f"\\u{ord(char):04X}" for char in key
    )
    return f'"{printable}"'


def index_keys(text: str) -> list[tuple[KeyPath, Position]]:
    """Return every key path of a TOML text, down to ``MAX_DEPTH``, and where it stands, in the order of the text.

    A table stands at the key in its header, an element of a list at itself. A path that is named more than once
    (``[a.b]`` and ``[a.c]`` both name ``a``) is listed each time. A text that is not valid TOML gives what can be
    made out. Never raises for any text: no recursion is involved, however deep the text nests.
    """
    source = _Source(text.encode("utf-8"))
    return sorted(
        _Indexer(source).walk(), key=lambda found: found[1]
    )  # stable: a list before its first element


def deepest_value(text: str) -> Position:
    """Return where the most deeply nested statement of a text begins."""
    source = _Source(text.encode("utf-8"))
    deepest, found = -1, Position(1, 1)
    for statement in _statements(source.tree.root_node):
        stack = [(statement, 0)]
        while stack:
            node, depth = stack.pop()
            if depth > deepest:
                deepest, found = depth, source.position(statement)
            stack.extend((child, depth + 1) for child in node.named_children)
    return found


@functools.cache
def _parser() -> Parser:
    return Parser(Language(tree_sitter_toml.language()))


class _Source:
    """A text with its syntax tree."""

    def __init__(self, source: bytes) -> None:
        self.bytes = source
        self.tree: Tree = _parser().parse(source)
        self._line_starts = [0, *(match.end() for match in re.finditer(rb"\n", source))]

    def position(self, node: Node) -> Position:
        row = node.start_point.row
        before = self.bytes[self._line_starts[row] : node.start_byte]  # tree-sitter counts columns in bytes
        return Position(row + 1, len(before.decode("utf-8", "replace")) + 1)

    def text(self, node: Node) -> str:
        return self.bytes[node.start_byte : node.end_byte].decode("utf-8", "replace")


def _statements(root: Node) -> Iterator[Node]:
    """Yield the key = value pairs at the top and within tables, in the order of the text."""
    for child in root.named_children:
        if child.type in ("table", "table_array_element"):
            yield from (pair for pair in child.named_children if pair.type == "pair")
        elif child.type == "pair":
            yield child


class _Indexer:
    def __init__(self, source: _Source) -> None:
        self._source = source
        self._lengths: dict[KeyPath, int] = {}  # of the lists that [[headers]] have begun

    def walk(self) -> Iterator[tuple[KeyPath, Position]]:
        for child in self._source.tree.root_node.named_children:
            match child.type:
                case "pair":
                    yield from self._pair(child, ())
                case "table" | "table_array_element":
                    yield from self._table(child)

    def _table(self, table: Node) -> Iterator[tuple[KeyPath, Position]]:
        header = next((child for child in table.named_children if child.type in _KEYS), None)
        if header is None:
            return
        parts = self._key(header)[:MAX_DEPTH]
        path: KeyPath = ()
        for number, (name, position) in enumerate(parts, start=1):
            path = (*path, name)
            yield path, position
            if table.type == "table_array_element" and number == len(parts):
                self._lengths[path] = self._lengths.get(path, 0) + 1
            if path in self._lengths:  # [feeds.x] after [[feeds]] speaks of the last of them
                path = (*path, self._lengths[path] - 1)
                yield path, position
        for child in table.named_children:
            if child.type == "pair":
                yield from self._pair(child, path)

    def _pair(self, pair: Node, parent: KeyPath) -> Iterator[tuple[KeyPath, Position]]:
        # An explicit stack, since the text decides how deep it nests. Pushed in reverse to keep the text's order.
        stack: list[tuple[Node, KeyPath]] = [(pair, parent)]
        while stack:
            node, path = stack.pop()
            if len(path) >= MAX_DEPTH:
                continue
            if node.type == "pair":
                named = node.named_children
                if not named or named[0].type not in _KEYS:
                    continue
                for name, position in self._key(named[0])[:MAX_DEPTH]:
                    path = (*path, name)
                    yield path, position
                stack.extend((child, path) for child in named[1:] if child.type in ("array", "inline_table"))
            elif node.type == "inline_table":
                stack.extend((child, path) for child in reversed(node.named_children) if child.type == "pair")
            else:
                elements = [child for child in node.named_children if child.type not in ("comment", "ERROR")]
                for number, element in enumerate(elements):
                    yield (*path, number), self._source.position(element)
                stack.extend(
                    (element, (*path, number))
                    for number, element in reversed(list(enumerate(elements)))
                    if element.type in ("array", "inline_table")
                )

    def _key(self, key: Node) -> list[tuple[str, Position]]:
        """Return the parts of a key. Dotted keys nest to the left in the tree: ``a.b.c`` is ``(a.b).c``."""
        parts: list[tuple[str, Position]] = []
        stack = [key]
        while stack:
            node = stack.pop()
            if node.type == "dotted_key":
                stack.extend(reversed([child for child in node.named_children if child.type in _KEYS]))
            else:
                parts.append((self._name(node), self._source.position(node)))
        return parts

    def _name(self, key: Node) -> str:
        text = self._source.text(key)
        if key.type == "bare_key":
            return text
        try:
            return next(iter(tomllib.loads(f"{text} = 0")))
        except (tomllib.TOMLDecodeError, StopIteration):
            return text
