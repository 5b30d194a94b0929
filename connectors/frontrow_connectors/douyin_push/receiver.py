"""Checks and decodes one push; the server stores the events and sends the answer."""

import hmac

from frontrow.core.errors import EventInvalid, SignatureInvalid
from frontrow.core.events import MAX_ID, RoomRef
from frontrow_connectors.contract import HookAnswer, HookRequest
from frontrow_connectors.douyin_push.decoder import SIGNED_HEADERS, decode_push, milliseconds, signature
from frontrow_connectors.douyin_push.options import DouyinPushOptions

# Any 2xx answers the push; the body follows the platform's own style. It counts as delivered even where items were
# rejected: sending them again would not mend them.
ACCEPTED = b'{"err_no":0,"err_msg":"ok"}'


class DouyinPushReceiver:
    """The pushes of one room's owner. Stateless."""

    def __init__(self, options: DouyinPushOptions, room: RoomRef) -> None:
        self._options = options
        self._room = room

    def receive(self, request: HookRequest) -> HookAnswer:
        """Check the signature over the raw bytes, then the age, and decode.

        Raises:
            SignatureInvalid: A signed header is missing, the signature is wrong, or the request is too old.
            EventInvalid: The body is not a JSON array.
        """
        self._verify(request)
        # x-roomid names one broadcast; the configured room is the stable key of its owner.
        session = request.headers["x-roomid"]
        if not 0 < len(session) <= MAX_ID:
            raise EventInvalid("'x-roomid' is empty or too long")
        batch = decode_push(
            request.body,
            type=request.headers["x-msg-type"],
            session=session,
            room=self._room,
            now=request.now,
        )
        return HookAnswer(
            events=batch.events,
            body=ACCEPTED,
            rejected=tuple(f"item {rejected.index}: {rejected.reason}" for rejected in batch.rejected),
        )

    def _verify(self, request: HookRequest) -> None:
        missing = [name for name in (*SIGNED_HEADERS, "x-signature") if name not in request.headers]
        if missing:
            raise SignatureInvalid(f"header missing: {', '.join(missing)}")
        expected = signature(request.headers, request.body, self._options.secret)
        # Compared as bytes: for text, compare_digest takes ASCII only and would fail on what anyone may send.
        given = request.headers["x-signature"].strip().encode(errors="replace")
        if not hmac.compare_digest(given, expected.encode("ascii")):
            raise SignatureInvalid("the signature does not fit the body and the configured secret")
        self._check_age(request)

    def _check_age(self, request: HookRequest) -> None:
        stamp = request.headers["x-timestamp"].strip()
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 16):
            raise SignatureInvalid("'x-timestamp' is not a number")
        age_ms = request.now - milliseconds(int(stamp))
        if abs(age_ms) > self._options.max_age_s * 1_000:
            when = "ago" if age_ms > 0 else "ahead of our clock"
            raise SignatureInvalid(f"signed {abs(age_ms) // 1_000} s {when}; is this machine's clock right?")
