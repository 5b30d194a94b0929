"""Reconnecting for ever, with jitter: the loop that every connecting client shares.

Full jitter (each wait is drawn from 0 to a doubling ceiling) spreads the clients of a service that comes back; see
M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from frontrow.core.errors import FeedError, FeedRefused
from frontrow_connectors.contract import FeedContext, FeedState, FeedStatus

FIRST_CEILING_S = 1.0
LAST_CEILING_S = 60.0
REFUSED_WAIT_S = 300.0  # a person must act first; still tried, since a right may be given back
STABLE_S = 30.0  # a connection that lived this long starts the backoff anew

log = structlog.get_logger(__name__)


def ceiling(failures: int) -> float:
    """Return the longest wait, in seconds, after so many failures in a row (from 1)."""
    return min(LAST_CEILING_S, FIRST_CEILING_S * 2.0 ** min(failures - 1, 16))


async def keep_connected(context: FeedContext, session: Callable[[], Awaitable[None]]) -> None:
    """Run ``session`` again and again, until cancelled.

    A session connects, sets the status ``CONNECTED`` itself, and delivers until the connection ends. It says how it
    ended: by returning (the other side closed in order), by :class:`FeedError` (with ``retry_after_s`` where the other
    side gave one) or by :class:`FeedRefused`. Any other exception is a bug of the connector; it is logged with its
    traceback and treated like a lost connection, since one feed's bug must not end the others.
    """
    failures = 0
    while True:
        context.status(FeedStatus(FeedState.CONNECTING))
        began = context.clock.monotonic()
        state, reason, wait_s = FeedState.WAITING, "the other side closed the connection", None
        try:
            await session()
        except asyncio.CancelledError:
            raise
        except FeedRefused as error:
            state, reason, wait_s = FeedState.REFUSED, error.reason, REFUSED_WAIT_S
        except FeedError as error:
            reason, wait_s = error.reason, error.retry_after_s
        except Exception as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                # A group that failed as it was cancelled reports its failure and keeps the cancellation to itself.
                raise asyncio.CancelledError from error
            log.exception("feed_failed", feed=context.feed, room=context.room.id)
            reason = f"internal error ({type(error).__name__})"
        failures = 1 if context.clock.monotonic() - began >= STABLE_S else failures + 1
        if wait_s is None:
            wait_s = context.rng.uniform(0.0, ceiling(failures))
        context.status(FeedStatus(state, reason, wait_s))
        await context.clock.sleep(wait_s)
