"""Asks 飞鱼 CRM for leads: windows that overlap, by pages, each lead once."""

from collections.abc import Awaitable
from typing import Any

import httpx
import msgspec

from frontrow.core.errors import EventInvalid, FeedError, FeedRefused
from frontrow.core.ports import Receipt
from frontrow_connectors.canonical import count_rejected
from frontrow_connectors.connections import ask
from frontrow_connectors.contract import FeedContext, FeedState, FeedStatus
from frontrow_connectors.feiyu.decoder import (
    PULL_PATH,
    Refusal,
    clue_id,
    created_s,
    decode_clues,
    pull_message,
    refusal_of,
    signed_headers,
)
from frontrow_connectors.feiyu.options import FeiyuOptions
from frontrow_connectors.reconnect import keep_connected

MAX_WINDOW_S = 7 * 86_400  # of one question: community clients keep to a week
MAX_PAGES = 1_000  # of one window: 100,000 leads a week


class FeiyuFeed:
    """The leads of one 飞鱼 account; see :class:`frontrow_connectors.contract.Feed`."""

    def __init__(self, options: FeiyuOptions, context: FeedContext) -> None:
        self._options = options
        self._context = context
        self._stored: dict[str, int] = {}  # ids that are durable → when they were made, in s

    async def run(self) -> None:
        async with httpx.AsyncClient(trust_env=self._options.use_proxy) as http:
            await keep_connected(self._context, lambda: self._session(http))

    async def _session(self, http: httpx.AsyncClient) -> None:
        clock = self._context.clock
        until_s = _until(await self._context.position.read())
        if until_s is None:
            until_s = clock.now() // 1_000 - self._options.first_s
        while True:
            now_s = clock.now() // 1_000
            while True:
                start_s = min(until_s, now_s) - self._options.overlap_s
                end_s = min(start_s + MAX_WINDOW_S, now_s)
                await self._pull(http, start_s, end_s)
                # Only now: after a crash in the middle of a window it is asked for again, whole.
                await self._context.position.keep(msgspec.json.encode({"until": end_s}).decode())
                until_s = end_s
                if end_s == now_s:
                    break
            self._context.status(FeedStatus(FeedState.CONNECTED, "asking for leads"))
            self._forget(until_s - self._options.overlap_s)
            await clock.sleep(self._options.every_s)

    async def _pull(self, http: httpx.AsyncClient, start_s: int, end_s: int) -> None:
        """Put every lead of a window that is not known, and return when all are durable.

        A lead that comes while pages are read may push another from one page to the next, which is then not seen; it
        is in the next window too, which overlaps this one.
        """
        waiting: list[tuple[Awaitable[Receipt], dict[str, int]]] = []
        seen = 0
        for page in range(1, MAX_PAGES + 1):
            clues, count = await self._page(http, start_s, end_s, page)
            seen += len(clues)
            new = [clue for clue in clues if not self._known(clue)]
            if new:
                batch = decode_clues(
                    new,
                    room=self._context.room,
                    now=self._context.clock.now(),
                    form=self._options.form,
                    consent_text=self._options.consent_text,
                    channel=self._options.lead_channel,
                )
                count_rejected(self._context, batch)
                ids = {clue_id(clue): created_s(clue) or end_s for clue in new if _has_id(clue)}
                waiting.append((await self._context.put(batch.events), ids))
            if len(clues) < self._options.page_size or seen >= count:
                break
        for durable, ids in waiting:
            await durable
            self._stored |= ids

    async def _page(
        self, http: httpx.AsyncClient, start_s: int, end_s: int, page: int
    ) -> tuple[list[Any], int]:
        now_s = self._context.clock.now() // 1_000
        query = {
            "start_time": str(start_s),
            "end_time": str(end_s),
            "page": str(page),
            "page_size": str(self._options.page_size),
        }
        headers = signed_headers(
            pull_message(start_s, end_s, now_s),
            self._options.signature_key,
            self._options.access_token,
            now_s,
        )
        answer = await ask(http, self._options.api_url.rstrip("/") + PULL_PATH, query=query, headers=headers)
        _check(answer)
        clues, count = answer.get("data") or [], answer.get("count")
        if not isinstance(clues, list):
            raise FeedError("Feiyu answered without a list of leads")
        return clues, count if isinstance(count, int) else MAX_PAGES * self._options.page_size

    def _known(self, clue: Any) -> bool:
        return _has_id(clue) and clue_id(clue) in self._stored

    def _forget(self, before_s: int) -> None:
        """Forget the ids that no window will hold again; the daemon itself knows each for a day more."""
        self._stored = {id: made_s for id, made_s in self._stored.items() if made_s >= before_s}


def _check(answer: dict[str, Any]) -> None:
    """Return if an answer is a success; its own words are not repeated, since nobody bounds what is in them."""
    match refusal_of(answer):
        case Refusal.KEYS:
            raise FeedRefused("Feiyu refuses the key or the token")
        case Refusal.OTHER:
            raise FeedError("Feiyu answered that it failed")
        case None:
            return


def _has_id(clue: Any) -> bool:
    try:
        clue_id(clue)
    except EventInvalid:
        return False
    return True


def _until(position: str | None) -> int | None:
    """Return until when leads have been asked for, in seconds; None where that is not known."""
    try:
        until = msgspec.json.decode(position or "{}").get("until")
    except (msgspec.DecodeError, AttributeError):
        return None
    return until if isinstance(until, int) and until > 0 else None
