"""Who may do what: tokens with a role and, where the role belongs to a room, that room.

A token is 32 random bytes in base64, shown once when it is made. At rest there is only its SHA-256: the token's own
entropy is what protects it, so a slow password hash would add nothing but load.
"""

import base64
import enum
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

PREFIX = "fr_"
CACHE_MS = 2_000  # how long a revoked token may still work


class Role(enum.StrEnum):
    """What a token is for."""

    INGEST = "ingest"  # sends events into a room
    HOST = "host"  # sees a room's panel: names, no numbers
    SALES = "sales"  # sees leads, and the panel that an alert links to
    MANAGER = "manager"  # sees panels and leads
    CLEANING = (
        "cleaning"  # customer service, or a cleaning service's program: sees the cleaning queue and reports
    )
    CRM = "crm"  # the owner's CRM: tells of consents, of who is who, and of what it has sent
    ADMIN = "admin"  # everything


class Right(enum.StrEnum):
    """What can be asked for."""

    INGEST = "ingest"
    PANEL = "panel"
    LEADS = "leads"
    MODEL = "model"
    PROMOTE = "promote"
    OUTBOX = "outbox"
    ERASE = "erase"
    CLEANING = "cleaning"
    CUSTOMERS = "customers"
    NURTURE = "nurture"
    EXPORT = "export"


RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.INGEST: frozenset({Right.INGEST}),
    Role.HOST: frozenset({Right.PANEL}),
    Role.SALES: frozenset({Right.PANEL, Right.LEADS}),  # an alert links to the panel
    Role.MANAGER: frozenset(
        {
            Right.PANEL,
            Right.LEADS,
            Right.MODEL,
            Right.OUTBOX,
            Right.CLEANING,
            Right.CUSTOMERS,
            Right.NURTURE,
        }
    ),
    Role.CLEANING: frozenset({Right.CLEANING}),
    Role.CRM: frozenset({Right.CUSTOMERS, Right.NURTURE}),
    Role.ADMIN: frozenset(Right),
}


@dataclass(frozen=True, slots=True)
class Grant:
    """What a good token gives. ``room`` None: every room. ``seller`` is who bears it, where that is one of the organisation."""

    id: str
    role: Role
    room: str | None
    seller: str | None = None

    def allows(self, right: Right, room: str) -> bool:
        """Return whether this grant gives ``right`` in the room of this configured id."""
        return right in RIGHTS[self.role] and self.room in (None, room)


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made: ``token`` is for its bearer, ``row`` for the store."""

    token: str
    row: dict[str, Any]


def make_token(
    secret: bytes,
    *,
    role: Role,
    room: str | None,
    label: str,
    now: int,
    expires_at: int | None,
    seller: str | None = None,
) -> NewToken:
    """Return a token made of 32 random bytes that the caller drew. Times are UTC milliseconds."""
    token = PREFIX + base64.urlsafe_b64encode(secret).decode().rstrip("=")
    hash = token_hash(token)
    row = {
        "id": hash.hex()[:12],
        "hash": hash,
        "role": str(role),
        "room": room,
        "label": label,
        "created_at": now,
        "expires_at": expires_at,
        "seller": seller,
    }
    return NewToken(token, row)


def token_hash(token: str) -> bytes:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


TokenRow = tuple[str, str, str | None, int | None, int | None, str | None]


class Access:
    """Checks tokens against the store; remembers answers for :data:`CACHE_MS`."""

    def __init__(self, find: Callable[[bytes], Awaitable[TokenRow | None]]) -> None:
        self._find = find
        self._known: dict[bytes, tuple[int, TokenRow | None]] = {}

    async def grant(self, token: str | None, now: int) -> Grant | None:
        """Return what a token gives at ``now`` (UTC ms), or None: no token, unknown, expired or revoked."""
        if not token or len(token) > 256:
            return None
        hash = token_hash(token)
        asked_at, row = self._known.get(hash, (0, None))
        if not 0 <= now - asked_at < CACHE_MS:
            row = await self._find(hash)
            if len(self._known) >= 10_000:
                self._known.clear()  # somebody guesses; remembering wrong guesses must not cost memory
            self._known[hash] = (now, row)
        if row is None:
            return None
        id, role, room, expires_at, revoked_at, seller = row
        if revoked_at is not None or (expires_at is not None and expires_at <= now):
            return None
        return Grant(id, Role(role), room, seller)
