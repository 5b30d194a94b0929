"""The lexicon's files: read, merged, checked, compiled.

``default.toml`` in this folder explains how to write one; an operator's own files add to it and may take terms out.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from frontrow.core.errors import ConfigError, Mistake
from frontrow.core.intents import TERM_INTENTS, Lexicon, LexiconInvalid, LexiconSource, Section
from frontrow.core.text import Folding
from frontrow.lexicon.chinese import simplified_characters

DEFAULT_FILE = Path(__file__).with_name("default.toml")

_FORMAT = 1  # of the files; one with a higher number was written for a later Frontrow
_TERM_LISTS = ("zh", "en")
_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)")


def load_lexicon(paths: Sequence[Path] = (), packs: Sequence[tuple[Path, Mapping[str, Any]]] = ()) -> Lexicon:
    """Return the lexicon of the default file, then ``packs``, then ``paths``, in this order.

    A pack gives its file's path, for mistakes, and tables in the form of a lexicon's file.

    ``version`` of the result is the default file's version and a hash of all files' content: the same words have the
    same version. Takes about two seconds: load once, at start.

    Raises:
        ConfigError: With every mistake of every file.
    """
    files: list[bytes] = []
    merged = _Merged()
    for path in (DEFAULT_FILE, *paths):
        try:
            content = path.read_bytes()
        except OSError as error:
            merged.mistake(path, "", f"cannot be read: {error.strerror}")
            continue
        files.append(content)
        merged.add(path, content)
        if path == DEFAULT_FILE:
            for pack, tables in packs:
                files.append(json.dumps(tables, sort_keys=True).encode())
                merged.add_tables(pack, tables)
    folding = Folding(simplified_characters(), merged.characters)
    digest = hashlib.sha256(b"".join(hashlib.sha256(content).digest() for content in files)).hexdigest()
    try:
        lexicon = Lexicon(merged.source(f"{merged.version}+{digest[:12]}"), folding)
    except LexiconInvalid as error:
        merged.note_invalid(error.reasons)
        raise ConfigError(merged.mistakes) from error
    if merged.mistakes:
        raise ConfigError(merged.mistakes)
    return lexicon


@dataclass
class _Merged:
    """What the files read so far give together. Lists are dicts from a term to the place that gave it."""

    version: str = ""
    mistakes: list[Mistake] = field(default_factory=list)
    terms: dict[str, dict[str, "_Place"]] = field(default_factory=dict)
    exclusions: dict[str, dict[str, "_Place"]] = field(default_factory=dict)
    spellings: dict[str, list[str]] = field(default_factory=dict)
    characters: dict[str, str] = field(default_factory=dict)
    fillers: dict[str, None] = field(default_factory=dict)
    host_aliases: dict[str, None] = field(default_factory=dict)
    host_exclusions: dict[str, None] = field(default_factory=dict)

    def mistake(
        self, path: Path, key: str, reason: str, hint: str = "", *, line: int = 0, column: int = 0
    ) -> None:
        self.mistakes.append(Mistake(str(path), line, column, key, reason, hint))

    def add(self, path: Path, content: bytes) -> None:
        try:
            tables = tomllib.loads(content.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            self.mistake(path, "", f"not UTF-8: byte {error.start} cannot be read")
            return
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            place = _PLACE.search(str(error))
            # Without a place it is the end of the file: something was opened and not closed.
            line, column = (
                (int(place.group(1)), int(place.group(2))) if place else (content.count(b"\n") + 1, 1)
            )
            self.mistake(
                path, "", f"not TOML: {_PLACE.sub('', str(error)).strip()}", line=line, column=column
            )
            return
        self.add_tables(path, tables)

    def add_tables(self, path: Path, tables: Mapping[str, Any]) -> None:
        for name, table in tables.items():
            if not isinstance(table, dict):
                self._unknown(path, name, name, _SECTIONS)
            elif name in TERM_INTENTS or name == "everything":
                self._add_terms(path, name, table)
            elif name in _SECTIONS:
                getattr(self, f"_add_{name}")(path, table)
            else:
                self._unknown(path, name, name, _SECTIONS)

    def note_invalid(self, reasons: Mapping[str, str]) -> None:
        """Note the terms that could not be compiled, at every place that gives them."""
        for lists in (self.terms, self.exclusions):
            for terms in lists.values():
                for term, place in terms.items():
                    if term in reasons:
                        self.mistake(place.path, place.key, f"{term!r} is no term: {reasons[term]}")

    def source(self, version: str) -> LexiconSource:
        return LexiconSource(
            sections={
                name: Section(terms=list(terms), exclusions=list(self.exclusions.get(name, ())))
                for name, terms in self.terms.items()
                if name != "everything"
            },
            exclusions=list(self.exclusions.get("everything", ())),
            spellings=self.spellings,
            fillers=list(self.fillers),
            host_aliases=list(self.host_aliases),
            host_exclusions=list(self.host_exclusions),
            version=version,
        )

    def _add_terms(self, path: Path, name: str, table: Mapping[str, Any]) -> None:
        terms = self.terms.setdefault(name, {})
        exclusions = self.exclusions.setdefault(name, {})
        known = ("not", "remove") if name == "everything" else (*_TERM_LISTS, "not", "remove")
        for key, value in table.items():
            if key not in known:
                self._unknown(path, f"{name}.{key}", key, known)
                continue
            for index, term in enumerate(self._strings(path, f"{name}.{key}", value)):
                place = _Place(path, f"{name}.{key}[{index}]")
                if key == "remove":
                    self._remove(place, term, (terms, exclusions))
                else:
                    (exclusions if key == "not" else terms).setdefault(term, place)

    def _remove(self, place: "_Place", term: str, lists: Sequence[dict[str, "_Place"]]) -> None:
        found = [terms for terms in lists if term in terms]
        for terms in found:
            del terms[term]
        if not found:
            near = get_close_matches(term, [known for terms in lists for known in terms], 1)
            self.mistake(
                place.path, place.key, f"{term!r} is not there to be removed", near[0] if near else ""
            )

    def _add_lexicon(self, path: Path, table: Mapping[str, Any]) -> None:
        for key, value in table.items():
            if key == "format":
                if not isinstance(value, int) or isinstance(value, bool) or value != _FORMAT:
                    self.mistake(
                        path, "lexicon.format", f"this Frontrow reads format {_FORMAT}, not {value!r}"
                    )
            elif key == "version":
                if not isinstance(value, str) or not value:
                    self.mistake(path, "lexicon.version", "must be a text that is not empty")
                else:
                    self.version = f"{self.version}+{value}" if self.version else value
            elif key == "fillers":
                self.fillers |= dict.fromkeys(self._strings(path, "lexicon.fillers", value))
            else:
                self._unknown(path, f"lexicon.{key}", key, ("format", "version", "fillers"))

    def _add_host(self, path: Path, table: Mapping[str, Any]) -> None:
        for key, value in table.items():
            if key == "aliases":
                self.host_aliases |= dict.fromkeys(self._strings(path, "host.aliases", value))
            elif key == "not":
                self.host_exclusions |= dict.fromkeys(self._strings(path, "host.not", value))
            else:
                self._unknown(path, f"host.{key}", key, ("aliases", "not"))

    def _add_homophones(self, path: Path, table: Mapping[str, Any]) -> None:
        for word, value in table.items():
            spellings = self.spellings.setdefault(word, [])
            for other in self._strings(path, f"homophones.{word}", value):
                if other not in spellings:
                    spellings.append(other)

    def _add_characters(self, path: Path, table: Mapping[str, Any]) -> None:
        for character, value in table.items():
            if len(character) != 1:
                self.mistake(
                    path, f"characters.{character}", "must be one character; longer ones go to [homophones]"
                )
            elif not isinstance(value, str):
                self.mistake(path, f"characters.{character}", "must be a text")
            else:
                self.characters[character] = value

    def _strings(self, path: Path, key: str, value: object) -> list[str]:
        if not isinstance(value, list):
            self.mistake(path, key, "must be a list of texts")
            return []
        for index, item in enumerate(value):
            if not isinstance(item, str) or not item.strip():
                self.mistake(path, f"{key}[{index}]", "must be a text that is not empty")
        return [item for item in value if isinstance(item, str) and item.strip()]

    def _unknown(self, path: Path, key: str, name: str, known: Sequence[str]) -> None:
        near = get_close_matches(name, known, 1)
        self.mistake(path, key, f"is not known here; there are {', '.join(known)}", near[0] if near else "")


@dataclass(frozen=True, slots=True)
class _Place:
    path: Path
    key: str


_SECTIONS = ("lexicon", *TERM_INTENTS, "everything", "host", "homophones", "characters")
