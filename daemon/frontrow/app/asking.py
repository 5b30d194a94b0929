"""The command line asks a running daemon for what only it can do: another version leads, a letter is sent again, a person erased.

The daemon holds the store; whoever may write the store's file may do all that the daemon does, so the command makes
itself a token there, for a minute and an administrator's, and takes it back when it is done. The daemon is looked for
where the configuration says that it listens.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
import msgspec

from frontrow.app.erasing import Begun, NotErased
from frontrow.config import Config
from frontrow.core.errors import StoreLocked
from frontrow.core.letters import LetterRefused, LetterView
from frontrow.core.ports import Clock
from frontrow.core.promotions import Promotion, PromotionRefused
from frontrow.runtime.access import Role, make_token
from frontrow.storage.store import Store

TIMEOUT_S = 30.0
TOKEN_MS = 60_000
LABEL = "frontrow"
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}


T = TypeVar("T")


def ask(
    config: Config, locked: StoreLocked, what: str, body: dict[str, Any], *, clock: Clock, url: str = ""
) -> Promotion:
    """Post a wish, "promote" or "rollback", to the daemon that works on the configured store, and return what it did.

    Raises:
        PromotionRefused: The daemon refuses, in its own words.
        StoreLocked: As :func:`posted`.
    """
    done = posted(config, locked, f"models/{what}", body, Promotion, clock=clock, url=url)
    if isinstance(done, Refusal):
        raise PromotionRefused(done.reason)
    return done


def ask_to_send_again(
    config: Config, locked: StoreLocked, letter: int, *, clock: Clock, url: str = ""
) -> LetterView:
    """Let the daemon send a dead letter again, and return it.

    Raises:
        LetterRefused: The daemon refuses, in its own words.
        StoreLocked: As :func:`posted`.
    """
    done = posted(config, locked, f"outbox/{letter}/resend", {}, LetterView, clock=clock, url=url)
    if isinstance(done, Refusal):
        raise LetterRefused(done.reason, missing=done.status == 404)
    return done


def ask_to_erase(
    config: Config, locked: StoreLocked, body: Mapping[str, Any], *, clock: Clock, url: str = ""
) -> Begun:
    """Let the daemon begin to erase a person, and return how.

    Raises:
        NotErased: The daemon refuses, in its own words.
        StoreLocked: As :func:`posted`.
    """
    done = posted(config, locked, "persons/erase", body, Begun, clock=clock, url=url)
    if isinstance(done, Refusal):
        raise NotErased(done.reason)
    return done


@dataclass(frozen=True, slots=True)
class Refusal:
    """That the daemon does not do it: the HTTP status and why, in its own words."""

    status: int
    reason: str


def posted(
    config: Config,
    locked: StoreLocked,
    path: str,
    body: Mapping[str, Any] | None,
    answer_type: type[T],
    *,
    clock: Clock,
    url: str = "",
) -> T | Refusal:
    """Post to ``/api/v1/<path>`` of the daemon that works on the configured store, or without a body get it; return what it answers.

    ``locked`` says who holds the store; ``url`` is where the daemon listens, empty: as the configuration says.

    Raises:
        StoreLocked: No daemon of this store answers there; says why, and who holds the store.
    """
    url = url or _address(config, locked)
    now = clock.now()
    made = make_token(
        secrets.token_bytes(32), role=Role.ADMIN, room=None, label=LABEL, now=now, expires_at=now + TOKEN_MS
    )
    store = Store.open(config.storage.path, create=False)
    try:
        store.tokens_forget(LABEL, now)
        store.token_add(made.row)
        try:
            answer = httpx.request(
                "GET" if body is None else "POST",
                f"{url}/api/v1/{path}",
                json=body,
                headers={"authorization": f"Bearer {made.token}"},
                timeout=TIMEOUT_S,
                trust_env=False,  # it is on this machine, whatever proxy the others are behind
            )
        finally:
            store.token_revoke(made.row["id"], clock.now())
    except httpx.HTTPError as error:
        raise _away(locked, f"nobody answers at {url}") from error
    finally:
        store.close()
    try:
        if answer.status_code == 200:
            return msgspec.json.decode(answer.content, type=answer_type)
        reason = msgspec.json.decode(answer.content, type=dict[str, Any])["detail"]
    except (msgspec.DecodeError, KeyError) as error:
        raise _away(locked, f"what answers at {url} is no daemon of this version") from error
    if answer.status_code in (401, 403):
        raise _away(locked, f"the daemon at {url} has another store")
    return Refusal(answer.status_code, str(reason))


def _away(locked: StoreLocked, why: str) -> StoreLocked:
    return StoreLocked(locked.path, f"{locked.holder}, which cannot be asked: {why}")


def _address(config: Config, locked: StoreLocked) -> str:
    server = config.server
    if not server.port:
        raise _away(locked, "server.port is 0, so where it listens is not known here")
    host = _EVERYWHERE.get(server.host, f"[{server.host}]" if ":" in server.host else server.host)
    return f"http://{host}:{server.port}"
