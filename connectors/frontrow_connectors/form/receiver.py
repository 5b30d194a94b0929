"""Checks who posts a submission and decodes it; the server stores it and sends the answer."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from zoneinfo import ZoneInfo

from frontrow.core.errors import SignatureInvalid
from frontrow.core.events import RoomRef
from frontrow_connectors.contract import HookAnswer, HookRequest
from frontrow_connectors.form.decoder import Mapped, decode_submission
from frontrow_connectors.form.options import FormOptions

# What a proxy adds: a request with one of these comes from elsewhere, though the last step was from this machine.
FORWARDED = (
    "cf-connecting-ip",
    "forwarded",
    "true-client-ip",
    "via",
    "x-client-ip",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
)


class FormReceiver:
    """The submissions of one form. Stateless."""

    def __init__(self, options: FormOptions, room: RoomRef) -> None:
        self._options = options
        self._room = room
        self._mapping = Mapped.of(options, ZoneInfo(options.timezone))

    def receive(self, request: HookRequest) -> HookAnswer:
        """Check the signature over the raw body, or the token, then decode.

        Raises:
            SignatureInvalid: It is missing or wrong; or there is none by configuration, and the request comes from
                another machine.
            EventInvalid: It cannot be read, or has no id.
        """
        self._verify(request)
        event = decode_submission(
            request.body,
            content_type=request.headers.get("content-type", ""),
            mapping=self._mapping,
            room=self._room,
            now=request.now,
        )
        return HookAnswer(events=[event], body=self._options.answer.encode())

    def _verify(self, request: HookRequest) -> None:
        options = self._options
        if options.signature == "none":
            if not request.from_here or any(name in request.headers for name in FORWARDED):
                raise SignatureInvalid("without a signature submissions are taken from this machine only")
            return
        given = self._given(request)
        expected = self._expected(request.body)
        if options.signature == "hmac_hex":
            given = given.lower()
        # Compared as bytes: for text, compare_digest takes ASCII only and would fail on what anyone may send.
        if not hmac.compare_digest(given.encode(errors="replace"), expected.encode()):
            raise SignatureInvalid("the signature does not fit the body and the configured secret")

    def _given(self, request: HookRequest) -> str:
        options = self._options
        name, where = options.signature_name, options.signature_in
        carried: Mapping[str, str] = request.headers if where == "header" else request.query
        given = carried.get(name.lower() if where == "header" else name)
        if given is None:
            raise SignatureInvalid(f"the signature is missing: {where} {name}")
        given = given.strip()
        if not given.startswith(options.signature_prefix):
            raise SignatureInvalid(f"the signature does not begin with {options.signature_prefix!r}")
        return given[len(options.signature_prefix) :]

    def _expected(self, body: bytes) -> str:
        options = self._options
        if options.signature == "token":
            return options.secret
        digest = hmac.new(options.secret.encode(), body, hashlib.sha256).digest()
        return base64.b64encode(digest).decode() if options.signature == "hmac_base64" else digest.hex()
