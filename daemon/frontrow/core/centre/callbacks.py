"""What an outside service signs when it calls back: HMAC-SHA256 over the moment, what it is about, and the body.

A token says who may call; a signature says besides that this very call was made by who has the secret, and when. One
that is older than the window is not taken. Within the window a call that somebody took down and sends again does what
a service's own repetition does: nothing.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from frontrow.core.errors import SignatureInvalid

MOMENT, SIGNATURE = "x-frontrow-timestamp", "x-frontrow-signature"
PREFIX = "sha256="
MAX_DIGITS = 12  # of seconds since 1970


class CallbackRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How calls are signed: with ``secret`` ("": they are not), and for how long they may be under way, either way, in seconds."""

    secret: Annotated[str, Meta(max_length=512, extra={"secret": True})] = ""
    window_s: Annotated[int, Meta(ge=10, le=3_600)] = 300


def signature_of(secret: str, seconds: str, subject: str, body: bytes) -> str:
    """Return the signature of a call about ``subject`` at a moment, in hexadecimal."""
    message = f"{seconds}\n{subject}\n".encode("utf-8", "surrogatepass") + body
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def check_signed(
    rules: CallbackRules, headers: Mapping[str, str], subject: str, body: bytes, *, now: int
) -> None:
    """Return if a call is signed as it must be, at ``now`` (UTC ms).

    Raises:
        SignatureInvalid: It is not, or it is too old or of another clock; says which.
    """
    if not rules.secret:
        return
    seconds, given = headers.get(MOMENT, ""), headers.get(SIGNATURE, "")
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) <= MAX_DIGITS):
        raise SignatureInvalid(f"the header {MOMENT} must say when this was signed, in seconds since 1970")
    expected = PREFIX + signature_of(rules.secret, seconds, subject, body)
    if not hmac.compare_digest(given.encode(errors="replace"), expected.encode()):
        raise SignatureInvalid(f"the header {SIGNATURE} does not fit the body and the configured secret")
    if abs(now - int(seconds) * 1000) > rules.window_s * 1000:
        raise SignatureInvalid(
            f"this was signed more than {rules.window_s} seconds ago, or the clocks differ"
        )
