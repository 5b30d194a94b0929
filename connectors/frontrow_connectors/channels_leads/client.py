"""Asks WeChat Channels for leads: forms, their broadcasts, and the pages of each from where the last full page ended."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
from msgspec import Struct

from frontrow.core.errors import EventInvalid, FeedError, FeedRefused
from frontrow_connectors.canonical import count_rejected
from frontrow_connectors.channels_leads.decoder import Broadcast, Source, decode_leads, lead_key
from frontrow_connectors.channels_leads.options import ChannelsLeadsOptions
from frontrow_connectors.connections import ask
from frontrow_connectors.contract import FeedContext, FeedState, FeedStatus
from frontrow_connectors.reconnect import keep_connected

TOKEN_PATH = "/cgi-bin/stable_token"
LEADS_PATH = "/channels/leads/"
APPROVED = 4  # a form's status; the others cannot be shown in a broadcast
MAX_PAGES = 1_000  # of one list
EARLY_S = 300.0  # before a token's end from which on a new one is asked for, as WeChat advises
FORCE_EVERY_S = 86_400 / 20  # WeChat renews by force so many times a day
BUSY_S, SPENT_S = 60.0, 3_600.0

_TOKEN_REFUSED = frozenset({40001, 40014, 42001})
_LATER = {-1: BUSY_S, 45011: BUSY_S, 45009: SPENT_S}  # busy; too often; the day's calls are spent
_NOTHING_THERE = 1
_WRONG_ARGUMENT = -2
_REFUSED = {
    40013: "the AppID is not right",
    40125: "the AppSecret is not right",
    40164: "this machine's address is not in the account's list of allowed addresses",
    41002: "the AppID is missing",
    41004: "the AppSecret is missing",
    48001: "the account has not been given this interface",
    61007: "the account has not been given this interface",
    89503: "the account's administrator must confirm this machine's address",
    100000: "the account has not been given this interface",
}


class _Answered(Exception):
    """A business error that whoever asked can act on."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _Place(Struct, omit_defaults=True):
    """Where to go on in one broadcast: behind the last page that was full, and what of the next is stored already."""

    buffer: str = ""
    seen: list[str] = []
    start_s: int = 0


_PLACES = msgspec.json.Decoder(dict[str, _Place])


class ChannelsLeadsFeed:
    """The leads of one account; see :class:`frontrow_connectors.contract.Feed`."""

    def __init__(self, options: ChannelsLeadsOptions, context: FeedContext) -> None:
        self._options = options
        self._context = context
        self._source = Source(
            context.room, options.form, options.consent_text, options.lead_channel, options.app_secret
        )
        self._places: dict[str, _Place] = {}
        self._token = ""
        self._token_until = 0.0  # monotonic
        self._may_force_at = 0.0
        self._may_call_at = 0.0

    async def run(self) -> None:
        async with httpx.AsyncClient(trust_env=self._options.use_proxy) as http:
            await keep_connected(self._context, lambda: self._session(http))

    async def _session(self, http: httpx.AsyncClient) -> None:
        self._places = _read(await self._context.position.read())
        while True:
            await self._round(http)
            self._context.status(FeedStatus(FeedState.CONNECTED, "asking for leads"))
            await self._context.clock.sleep(self._options.every_s)

    async def _round(self, http: httpx.AsyncClient) -> None:
        oldest_s = self._context.clock.now() // 1_000 - self._options.max_age_days * 86_400
        listed: set[str] = set()
        async for component in self._list(http, "get_leads_component_id", {}):
            name = _id(component, "leads_component_id")
            if name is None or component.get("status") != APPROVED:
                continue
            description = component.get("leads_description")
            async for item in self._list(http, "get_leads_request_id", {"leads_component_id": name}):
                request = _id(item, "request_id")
                start_s = item.get("live_start_time")
                start_s = start_s if isinstance(start_s, int) else 0
                if request is None or 0 < start_s < oldest_s:
                    continue
                broadcast = Broadcast(
                    name, request, description if isinstance(description, str) else "", start_s
                )
                listed.add(broadcast.key)
                await self._leads(http, broadcast)
        # By age, not by what was listed: a list that comes back short once must not bring old leads again.
        stays = {
            key: place
            for key, place in self._places.items()
            if (place.start_s >= oldest_s if place.start_s > 0 else key in listed)
        }
        if len(stays) < len(self._places):
            self._places = stays
            await self._keep()

    async def _leads(self, http: httpx.AsyncClient, broadcast: Broadcast) -> None:
        """Store the leads of a broadcast that are not stored yet.

        A page that others follow is full: once it is stored, the next round begins behind it. The last one may still
        grow, so it is asked for again, and what is stored of it is known by its keys.
        """
        place = self._places.get(broadcast.key) or _Place(start_s=broadcast.start_s)
        for _ in range(MAX_PAGES):
            body = {"request_id": broadcast.request, "last_buffer": place.buffer, "version": 1}
            try:
                page = await self._call(http, "get_leads_info_by_request_id", body)
            except _Answered as answered:
                if answered.code == _WRONG_ARGUMENT and place.buffer:
                    # The place is not known there any more: from the start.
                    place = _Place(start_s=broadcast.start_s)
                    continue
                if answered.code != _NOTHING_THERE:  # one broadcast must not stop the others
                    self._context.reject("WeChat does not answer for a broadcast")
                return
            leads = page.get("user_data") or []
            if not isinstance(leads, list):
                raise FeedError("WeChat answered without a list of leads")
            keys = [self._key(lead, broadcast) for lead in leads]
            new = [lead for lead, key in zip(leads, keys, strict=True) if key not in place.seen]
            batch = decode_leads(new, broadcast, self._source, self._context.clock.now())
            count_rejected(self._context, batch)
            durable = await self._context.put(batch.events)
            await durable
            following = _buffer(page)
            full = bool(page.get("continue_flag")) and following not in ("", place.buffer)
            place = _Place(
                buffer=following if full else place.buffer,
                seen=[] if full else [key for key in keys if key is not None],
                start_s=broadcast.start_s,
            )
            if self._places.get(broadcast.key) != place:
                self._places[broadcast.key] = place
                await self._keep()
            if not full:
                return

    def _key(self, lead: Any, broadcast: Broadcast) -> str | None:
        try:
            return lead_key(lead, broadcast, self._options.app_secret)
        except EventInvalid:
            return None

    async def _keep(self) -> None:
        await self._context.position.keep(msgspec.json.encode(self._places).decode())

    async def _list(
        self, http: httpx.AsyncClient, name: str, body: dict[str, str]
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield the elements of a list, page by page."""
        buffer = ""
        for _ in range(MAX_PAGES):
            try:
                page = await self._call(http, name, {**body, "last_buffer": buffer})
            except _Answered as answered:
                if answered.code == _NOTHING_THERE:
                    return
                raise _failed(answered) from answered
            items = page.get("item")
            for item in items if isinstance(items, list) else ():
                if isinstance(item, dict):
                    yield item
            following = _buffer(page)
            if not page.get("continue_flag") or following in ("", buffer):
                return
            buffer = following

    async def _call(self, http: httpx.AsyncClient, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the answer of one interface; a token that is refused is renewed, once by asking and once by force.

        Raises:
            FeedError: Not now.
            FeedRefused: A person must act.
            _Answered: Any other business error.
        """
        content = msgspec.json.encode(body)
        url = self._options.api_url.rstrip("/") + LEADS_PATH + name
        refused: list[str] = []
        while True:
            token = await self._access_token(http, refused)
            await self._pace()
            answer = await ask(http, url, query={"access_token": token}, content=content)
            code = _code(answer)
            if code == 0:
                return answer
            if code not in _TOKEN_REFUSED:
                raise _error(code) or _Answered(code)
            refused.append(token)
            if len(refused) == 2:
                raise FeedRefused(f"WeChat refuses even a new access token ({code})")

    async def _access_token(self, http: httpx.AsyncClient, refused: list[str]) -> str:
        """Return a token that has not been refused, the present one as long as it lasts."""
        now = self._context.clock.monotonic()
        if self._token and self._token not in refused and now < self._token_until:
            return self._token
        token = await self._new_token(http, force=False)
        if token in refused:
            # WeChat gives the same one until it has run out; it was revoked, or somebody else's use has replaced it.
            if now < self._may_force_at:
                raise FeedRefused("WeChat refuses the access token that it gives")
            self._may_force_at = now + FORCE_EVERY_S
            token = await self._new_token(http, force=True)
        return token

    async def _new_token(self, http: httpx.AsyncClient, *, force: bool) -> str:
        body = {
            "grant_type": "client_credential",
            "appid": self._options.app_id,
            "secret": str(self._options.app_secret),
            "force_refresh": force,
        }
        await self._pace()
        url = self._options.api_url.rstrip("/") + TOKEN_PATH
        answer = await ask(http, url, content=msgspec.json.encode(body))
        code, token, lasts_s = _code(answer), answer.get("access_token"), answer.get("expires_in")
        if code:
            if code in _TOKEN_REFUSED:
                raise FeedRefused(f"the AppSecret is not right ({code})")
            raise _error(code) or FeedError(f"WeChat gives no access token ({code})")
        if not isinstance(token, str) or not token or not isinstance(lasts_s, int):
            raise FeedError("WeChat answered without an access token")
        self._token = token
        self._token_until = self._context.clock.monotonic() + max(0.0, lasts_s - EARLY_S)
        return token

    async def _pace(self) -> None:
        """Wait until another call may be made."""
        clock = self._context.clock
        wait_s = self._may_call_at - clock.monotonic()
        if wait_s > 0:
            await clock.sleep(wait_s)
        self._may_call_at = clock.monotonic() + 60.0 / self._options.calls_per_minute


def _error(code: int) -> FeedError | FeedRefused | None:
    """Return what a business error means, where that does not depend on what was asked."""
    if code in _LATER:
        return FeedError(f"WeChat asks to come later ({code})", retry_after_s=_LATER[code])
    if code in _REFUSED:
        return FeedRefused(f"{_REFUSED[code]} ({code})")
    return None


def _failed(answered: _Answered) -> FeedError:
    return FeedError(f"WeChat answered with the error {answered.code}")


def _code(answer: dict[str, Any]) -> int:
    code = answer.get("errcode", 0)
    return code if isinstance(code, int) else -1


def _buffer(page: dict[str, Any]) -> str:
    buffer = page.get("last_buffer")
    return buffer if isinstance(buffer, str) else ""


def _id(item: Any, name: str) -> str | None:
    value = item.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and value else None


def _read(position: str | None) -> dict[str, _Place]:
    try:
        return _PLACES.decode(position or "{}")
    except msgspec.DecodeError:
        return {}  # of another version: all is asked for again, and known by its ids
