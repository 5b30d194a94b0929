"""Requests that are sent again under the same ``Idempotency-Key``, as draft-ietf-httpapi-idempotency-key-header has it.

What a request does is an event whose id is made of who asks and of the key, so that the journal takes it once. Which
request that was is told by one more event, the *mark*, journalled before it: its id is that one's with a hash of what
was asked. Both are known for as long as the journal knows duplicates, over restarts too. So what is sent again is
answered as it is now, and another request under a key that was used is refused.
"""

import hashlib
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from frontrow.core.centre.centre import PLATFORM, ROOM
from frontrow.core.events import MAX_ID, Event
from frontrow.core.ports import Receipt

KIND = "request_mark"


class KeyReused(Exception):
    """The key was sent before with another request."""


class Requests:
    """Takes what requests ask for into the journal, once for each key."""

    def __init__(
        self,
        put: Callable[[Sequence[Event], str], Awaitable[Receipt]],
        journalled: Callable[[Event], bool],
        feed: str,
    ) -> None:
        """``put`` journals events and is done when they are durable; ``journalled`` says whether one of its id was before."""
        self._put = put
        self._journalled = journalled
        self._feed = feed

    def done(self, event: Event, key: str | None, asked: object) -> bool:
        """Return whether what a request asks for is in the journal. ``event`` is what it does, the first of several; ``asked`` is all that
        may differ between two requests of one id, as JSON values or structs.

        Raises:
            KeyReused: It was another request.
        """
        if key is None or not self._journalled(event):
            return False
        if not self._journalled(_mark(event, key, asked)):
            raise KeyReused
        return True

    async def take(self, events: Sequence[Event], key: str | None, asked: object) -> None:
        """Journal what a request does; with a key that was sent before, nothing more.

        Raises:
            KeyReused: The key came before with another request, or at the same moment.
        """
        if key is None:
            await self._put(events, self._feed)
            return
        if self.done(events[0], key, asked):
            return
        mark = _mark(events[0], key, asked)
        marked = self._journalled(mark)  # and no more, where the daemon died in between
        receipt = await self._put([mark, *events], self._feed)
        if not marked and receipt.accepted == 1:
            raise KeyReused  # its mark alone was new: another request was faster


def _mark(event: Event, key: str, asked: object) -> Event:
    # Keyed, since what was asked may be a note about a person: whoever does not know the key can try no guesses on
    # the hash.
    secret = hashlib.blake2b(key.encode()).digest()
    body = msgspec.json.encode(asked, order="deterministic")
    digest = hashlib.blake2b(body, key=secret, digest_size=10).hexdigest()
    id = f"{event.id[: MAX_ID - len(digest) - 1]}-{digest}"
    return Event(id=id, platform=PLATFORM, room=ROOM, kind=KIND, at=event.at)
