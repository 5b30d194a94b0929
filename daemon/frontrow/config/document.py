"""A configuration file as text: read, parsed, every syntax mistake placed, and later mistakes put in file order."""

import itertools
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from frontrow.config.positions import KeyPath, Position, deepest_value, index_keys, show_path
from frontrow.core.errors import ConfigError, Mistake

MAX_FILE_BYTES = 1_048_576  # a configuration of a thousand rooms is a fifth of this
MAX_SYNTAX_MISTAKES = 20  # beyond these it is hardly a configuration file
MAX_LOOK_BACK = 100  # statements before a syntax mistake that are tried as its beginning
MAX_LOOK_BACK_BYTES = 500_000  # parsed again per mistake to find it; a quarter of a second
MAX_PLACE_DEPTH = 8  # parts of a key path that are shown; deeper than any option

_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_STATEMENT = re.compile(
    r"\s*(?:\[|[\w\"'.\-][\w\"'.\- ]*=)"
)  # a line that looks like the beginning of a statement
_KEY = re.compile(r"\s*([\w.\-]+)\s*=\s*")
_HEADER = re.compile(r"\s*\[")
_BROKEN_HEADER = re.compile(r"\s*\[{1,2}\s*([\w.\-]+)")
_WHOLE_HEADER = re.compile(r"\s*\[[^\[\],]*\]\s*(?:#.*)?|\s*\[\[[^\[\],]*\]\]\s*(?:#.*)?")
_LOST_TABLE = "\N{REPLACEMENT CHARACTER}"  # no key of ours; stands in for a header that cannot be read

# Typed by an input method that was left on, and hard to see.
_FULL_WIDTH = dict(zip("“”‘’＝：，［］【】｛｝＃。　", "\"\"''==,[][]{}#. ", strict=True))


@dataclass
class Document:
    """What a configuration is made of, and the mistakes found in it so far.

    ``data`` is the TOML as plain values, which the environment's overrides are written into; ``origins`` then says
    which variable a key path comes from. ``whole`` is False where a syntax mistake hides part of the file: what is
    missing then is not known to be missing. ``wrong`` are the key paths with a mistake.
    """

    file: str
    data: dict[str, Any] = field(default_factory=dict, repr=False)
    positions: dict[KeyPath, Position] = field(default_factory=dict)
    origins: dict[KeyPath, str] = field(default_factory=dict)
    whole: bool = True
    wrong: set[KeyPath] = field(default_factory=set)
    _found: list[tuple[tuple[int, int, int, str], Mistake]] = field(default_factory=list)

    def add(self, path: KeyPath, reason: str, hint: str = "") -> None:
        """Note a mistake at a key path; what is not written itself is placed at the table that should hold it."""
        self.wrong.add(path)
        key = show_path(path[:MAX_PLACE_DEPTH])
        variable = self._variable(path)
        if variable is not None:
            self.add_variable(variable, key, reason, hint)
            return
        position = self._position(path)
        self._add(position.line, position.column, key, reason, hint)

    def add_variable(self, variable: str, key: str, reason: str, hint: str = "") -> None:
        """Note a mistake in an environment variable; these come after those of the file, by name."""
        variable = variable.encode(
            "utf-8", "replace"
        ).decode()  # a name may hold bytes that cannot be printed
        self._found.append(((1, 0, 0, variable), Mistake(f"environment {variable}", 0, 0, key, reason, hint)))

    def add_syntax(self, position: Position, key: str, reason: str) -> None:
        self._add(position.line, position.column, key, reason, "")

    def _add(self, line: int, column: int, key: str, reason: str, hint: str) -> None:
        self._found.append(((0, line, column, ""), Mistake(self.file, line, column, key, reason, hint)))

    @property
    def mistakes(self) -> list[Mistake]:
        """Every mistake so far, in the order of the file, then those of the environment."""
        return [mistake for _, mistake in sorted(self._found, key=lambda found: found[0])]

    def refuse_mistakes(self) -> None:
        """Raise :class:`ConfigError` with every mistake so far, if there is one."""
        if self._found:
            raise ConfigError(self.mistakes)

    def _variable(self, path: KeyPath) -> str | None:
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]]
        return None

    def _position(self, path: KeyPath) -> Position:
        for length in range(len(path), 0, -1):
            if path[:length] in self.positions:
                return self.positions[path[:length]]
        return Position(1, 1) if self.positions else Position(0, 0)


def read_document(path: Path) -> Document:
    """Return the file as a :class:`Document` that may already hold syntax mistakes.

    Raises:
        ConfigError: The file as a whole cannot be read: not there, too large, not UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise _unreadable(path, f"cannot be read: {reason_of(error)}") from error
    if len(content) > MAX_FILE_BYTES:
        raise _unreadable(path, f"is larger than {MAX_FILE_BYTES:_} bytes; is this the configuration file?")
    return parse_document(content, str(path))


def parse_document(content: bytes, file: str) -> Document:
    """Return the document in ``content``; ``file`` is its name in mistakes. A byte order mark is passed over.

    Raises:
        ConfigError: Not UTF-8.
    """
    document = Document(file)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig", "replace")
        position = Position(before.count("\n") + 1, len(before) - before.rfind("\n"))
        utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
        document.add_syntax(
            position, "", f"not UTF-8{' but UTF-16' if utf16 else ''}; save the file as UTF-8"
        )
        raise ConfigError(document.mistakes) from error
    text = _parse_repairing(text.replace("\r\n", "\n"), document)
    for path, position in index_keys(text):
        document.positions.setdefault(path, position)
    return document


def reason_of(error: OSError | ValueError) -> str:
    """Return why a file could not be opened, without its path, which the reader of the mistake has already."""
    return error.strerror if isinstance(error, OSError) and error.strerror else "not a path"


def _unreadable(path: Path, reason: str) -> ConfigError:
    return ConfigError([Mistake(str(path), 0, 0, "", reason)])


# tomllib stops at its first mistake. To name them all, a statement that cannot be read is taken out, leaving its lines
# empty so that places stay true, and the rest is read again. A header is replaced rather than taken out, or the keys
# below it would seem to belong to the table above.


def _parse_repairing(text: str, document: Document) -> str:
    """Parse into ``document.data`` and return the text that was understood."""
    lines = text.split("\n")
    names = _names_by_line(lines)
    for number in itertools.count(1):
        failure = _failure("\n".join(lines), document)
        if failure is None:
            break
        document.whole = False
        position, reason = failure
        first = _first_line(lines, position.line)
        _note(document, lines, position, first, reason, names)
        if number == MAX_SYNTAX_MISTAKES:
            return ""
        _take_out(lines, first, position, number)
    if not document.whole:
        for key in [key for key in document.data if key.startswith(_LOST_TABLE)]:
            del document.data[key]
    return "\n".join(lines)


def _failure(text: str, document: Document) -> tuple[Position, str] | None:
    """Parse; return the first mistake's place and reason, or None once ``document.data`` holds the values."""
    last_line = text.rstrip().count("\n") + 1
    try:
        document.data = tomllib.loads(text)
    except RecursionError:
        return deepest_value(text), "is nested too deeply"
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _PLACE.search(message)
        reason = message[: place.start()] if place else message
        if place and place[1]:
            return Position(int(place[1]), int(place[2])), reason
        return Position(last_line, 0), reason
    except ValueError:
        # The one other ValueError: int() refuses more than 4,300 digits.
        longest = max(re.finditer(r"[0-9_]+", text), key=lambda digits: len(digits[0]))
        line_start = text.rfind("\n", 0, longest.start()) + 1
        line = text.count("\n", 0, longest.start()) + 1
        return Position(line, longest.start() - line_start + 1), "has too many digits"
    return None


def _first_line(lines: list[str], line: int) -> int:
    """Return the line where the statement begins that fails at ``line``: the last one before which all is well."""
    candidates = (
        first for first in range(line, 0, -1) if first == line or _STATEMENT.match(lines[first - 1])
    )
    budget = MAX_LOOK_BACK_BYTES
    for first in itertools.islice(candidates, MAX_LOOK_BACK):
        before = "\n".join(lines[: first - 1])
        budget -= len(before)
        if budget < 0:
            break
        try:
            tomllib.loads(before)
        except (ValueError, RecursionError):
            continue
        return first
    return line


def _note(
    document: Document,
    lines: list[str],
    position: Position,
    first: int,
    reason: str,
    names: dict[int, tuple[str, int]],
) -> None:
    key, earlier = names.get(first, ("", 0))
    begin = Position(first, len(lines[first - 1]) - len(lines[first - 1].lstrip()) + 1)
    if reason.startswith(("Cannot", "Duplicate")):  # tomllib points behind the statement
        position = begin
        reason = "is given twice" + (f"; first in line {earlier}" if earlier else "")
    elif position.column == 0 or (first < position.line and _STATEMENT.match(lines[position.line - 1])):
        noticed = f"; noticed in line {position.line}" if first < position.line else ""
        position, reason = begin, f"not valid TOML: what begins here is not closed{noticed}"
    elif not reason.startswith(("is ", "has ")):
        position, reason = _bare_word(lines, position, reason)
        reason = f"not valid TOML: {_lower(reason)}{_advice(reason, lines, position)}"
    document.add_syntax(position, key, reason)


def _bare_word(lines: list[str], position: Position, reason: str) -> tuple[Position, str]:
    """Say of ``level = info`` what is said of any word without quotes, though TOML reads ``inf`` first."""
    line = lines[position.line - 1]
    key = _KEY.match(line)
    if key and reason.startswith("Expected newline"):
        word = line[key.end() : position.column]
        if word.isalnum() and word[0].isalpha() and word[-1].isalpha():
            return Position(position.line, key.end() + 1), "Invalid value"
    return position, reason


def _advice(reason: str, lines: list[str], position: Position) -> str:
    line = lines[position.line - 1]
    char = line[position.column - 1 : position.column]
    if char in _FULL_WIDTH and char:
        return f"; {char} is a full-width character, write {_FULL_WIDTH[char]}"
    if reason == "Invalid value" and char.isalpha():
        return "; text goes in quotes, and true and false are in lower case"
    return ""


def _lower(reason: str) -> str:
    if reason.startswith("Illegal character '\\n'"):
        return "a text must end on the line where it begins (or use three quotation marks)"
    return reason[:1].lower() + reason[1:]


def _take_out(lines: list[str], first: int, failed: Position, number: int) -> None:
    """Empty the lines of the statement that begins at line ``first`` and fails at ``failed``."""
    lost_header = f'["{_LOST_TABLE}{number}"]'
    if first == failed.line:
        lines[first - 1] = lost_header if _HEADER.match(lines[first - 1]) else ""
        return
    # A list that is never closed fails at the statement after it, which is kept.
    next_statement = failed.column > 0 and _STATEMENT.match(lines[failed.line - 1])
    for index in range(first - 1, failed.line - 1 if next_statement else failed.line):
        lines[index] = lost_header if _WHOLE_HEADER.fullmatch(lines[index]) else ""
        if lines[index]:
            lost_header = ""  # once is enough, and twice would be a mistake of its own


def _names_by_line(lines: list[str]) -> dict[int, tuple[str, int]]:
    """Return, for each line that begins a statement, the key path it seems to set and the line that did so before.

    By the spelling alone, since this serves the messages about a text that is not TOML.
    """
    first_lines: dict[str, int] = {}
    names: dict[int, tuple[str, int]] = {}
    elements: dict[str, int] = {}
    table = ""
    for number, line in enumerate(lines, start=1):
        if _WHOLE_HEADER.fullmatch(line):
            name = line.split("]")[0].lstrip(" \t[").strip()
            if line.lstrip().startswith("[["):
                elements[name] = elements.get(name, -1) + 1
                name = f"{name}[{elements[name]}]"
            table = name
        elif (header := _BROKEN_HEADER.match(line)) and "," not in line:
            table = header[1]
            continue
        elif key := _KEY.match(line):
            name = f"{table}.{key[1]}" if table else key[1]
        else:
            continue
        earlier = first_lines.setdefault(name, number)
        names[number] = (name, earlier if earlier < number else 0)
    return names
