"""The panels' files as a server needs them: bodies, types, validators and the headers that keep them safe.

No framework is known here: :func:`document` and :func:`asset` give an :class:`Asset`, and :meth:`Asset.answer` the
status, headers and body of a ``GET``. Every name is looked up among the files that are there, never joined to a
path, so no request can reach outside :data:`STATIC`.
"""

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

STATIC: Final = Path(__file__).parent / "static"

PAGES: Final = ("host", "model", "sales")
"""The names that :func:`page` knows; each is ``static/<name>.html``."""

ASSET_PREFIX: Final = "/static/"
"""Where the pages expect :func:`asset` to be served."""

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}

# Only what a page loads is served: its README and whatever an editor leaves behind are not in `_TYPES`.

SECURITY_HEADERS: Final[Mapping[str, str]] = MappingProxyType({
    # No inline script or style, nothing from elsewhere, no frame around a page whose address holds a token.
    # 'self' in connect-src covers the WebSocket of the same origin (CSP 3, section 6.7.2.8).
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
})  # fmt: skip
"""Sent with every page and asset, and fit for every other answer to a browser."""

# Modules import each other by plain names, so a name cannot carry a version: the browser must ask each time, and a
# 304 costs no body. A daemon that was updated is seen at the next load, with no page half old and half new.
_REVALIDATE: Final = "no-cache"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it goes out. ``etag`` is a strong validator, quoted as in the header."""

    body: bytes
    content_type: str
    etag: str

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers of a 200 answer, names in lower case, without ``content-length``."""
        return {
            **SECURITY_HEADERS,
            "content-type": self.content_type,
            "cache-control": _REVALIDATE,
            "etag": self.etag,
        }

    def answer(self, if_none_match: str | None = None) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body for a ``GET`` with this ``If-None-Match`` (None: it had none)."""
        headers = self.headers
        if if_none_match is not None and _matches(if_none_match, self.etag):
            del headers["content-type"]
            return 304, headers, b""
        return 200, headers, self.body


def page(name: str) -> bytes:
    """Return the page called ``name``.

    Raises:
        KeyError: There is no such page.
    """
    return document(name).body


def document(name: str) -> Asset:
    """Return the page called ``name`` with its headers; ``KeyError`` if there is none."""
    if name not in PAGES:
        raise KeyError(name)
    return _files()[f"{name}.html"]


def asset(path: str) -> Asset | None:
    """Return the file at ``path`` below :data:`STATIC` (``host/list.js``), or None where nothing is served."""
    return None if path.endswith(".html") else _files().get(path)


@functools.cache
def _files() -> dict[str, Asset]:
    # Read once, at the first request: a page stays whole while an update replaces the files under a running daemon.
    return {
        path.relative_to(STATIC).as_posix(): _read(path, _TYPES[path.suffix])
        for path in sorted(STATIC.rglob("*"))
        if path.suffix in _TYPES and path.is_file()
    }


def _read(path: Path, content_type: str) -> Asset:
    body = path.read_bytes()
    return Asset(body, content_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _matches(if_none_match: str, etag: str) -> bool:
    # RFC 9110, 13.1.2: a list or *, compared weakly, so that a proxy's W/ does not matter.
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in tags or "*" in tags
