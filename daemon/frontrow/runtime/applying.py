"""Waits until the lead centre has applied what was journalled: what somebody does is answered when it is done."""

import asyncio
from typing import Protocol

from frontrow.core.centre.centre import Centre

PATIENCE_S = 5.0  # of whoever waits, once the database has failed; it is tried again in two seconds, and may only have dropped a connection


class NotApplied(Exception):
    """It is in the journal and will be done; the lead centre's database does not answer now."""


class Follows(Protocol):
    """Who applies the journal to the centre. ``failing``: it cannot now, since the centre's database does not answer."""

    @property
    def centre(self) -> Centre: ...
    @property
    def failing(self) -> bool: ...
    async def applied(self, seq: int) -> None:
        """Wait until the frame of this number is applied."""

    async def tried(self, seq: int) -> bool:
        """Wait until the frame of this number is applied, or cannot be now; return which."""


async def until_applied(follows: Follows, seq: int, within_s: float) -> None:
    """Wait until the journal is applied as far as frame ``seq``.

    Raises:
        NotApplied: The centre's database is away, or this takes longer than ``within_s``. Whoever is the first to find the database away
            waits a few seconds for it to come back.
    """
    if follows.failing:
        raise NotApplied
    try:
        async with asyncio.timeout(within_s) as limit:
            if not await follows.tried(seq):
                ends = limit.when()
                assert ends is not None
                limit.reschedule(min(ends, asyncio.get_running_loop().time() + PATIENCE_S))
                await follows.applied(seq)
    except TimeoutError:
        raise NotApplied from None
