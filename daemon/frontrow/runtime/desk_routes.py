"""The lead desk over HTTP and WebSocket: inboxes, single leads, what is done to them."""

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import Annotated, Any, TypeVar

import msgspec
import structlog
from litestar import WebSocket, get, post, websocket
from litestar.exceptions import WebSocketDisconnect
from litestar.params import FromPath, FromQuery, QueryParameter

from frontrow.core.centre.inbox import FAR, LAST, VIEWS, View, place_of
from frontrow.core.errors import DatabaseAway
from frontrow.core.ports import Clock
from frontrow.runtime.access import Access, Right
from frontrow.runtime.answers import Http, problem, token_of
from frontrow.runtime.applying import NotApplied
from frontrow.runtime.desk import ACTS, Desk, ExportWish, NotAllowed, NotNow, NotThere, Reader, Wish
from frontrow.runtime.door import RETRY_AFTER_S, Door, Refused
from frontrow.runtime.repeating import KeyReused

MAX_PAGE = 200
SEND_TIMEOUT_S = 10.0
UNAUTHORIZED, FORBIDDEN, TOO_SLOW, TRY_AGAIN = 4401, 4403, 4408, 1013  # close codes; see runtime/server.py

log = structlog.get_logger(__name__)
_encoder = msgspec.json.Encoder()
Answer = TypeVar("Answer")


def desk_routes(desk: Desk, access: Access, clock: Clock, refused: Refused) -> list[Any]:
    """Return the handlers. ``refused`` counts refusals by route and reason."""

    door = Door("desk", access, clock, refused)

    async def reader_of(request: Http) -> Reader:
        try:
            return desk.reader(await door.grant(request))
        except NotAllowed as error:
            raise door.forbidden(error) from error

    @get("/api/v1/inbox", summary="Leads of who asks, the most urgent first", tags=["leads"])
    async def inbox(
        request: Http,
        view: FromQuery[str] = "open",
        cursor: FromQuery[str | None] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=MAX_PAGE)] = 50,
    ) -> dict[str, Any]:
        """``view``: mine (held and open), open (also what can be claimed), closed (the latest first), all. ``next`` is the cursor of the
        following page, or null."""
        reader = await reader_of(request)
        if view not in VIEWS:
            raise problem(400, f"view is one of {', '.join(VIEWS)}.")
        chosen: View = view
        found = await answered(desk.inbox(reader, chosen, limit=limit + 1, after=_cursor(cursor)))
        more = len(found) > limit
        found = found[:limit]
        return {"leads": found, "next": _next(found[-1]) if more else None, "now": desk.now}

    @get("/api/v1/leads/{lead:str}", summary="One lead, with its timeline and what to do", tags=["leads"])
    async def lead(request: Http, lead: FromPath[str]) -> dict[str, Any]:
        """404 also for a lead that this token may not see."""
        reader = await reader_of(request)
        return await answered(desk.lead(reader, lead))

    @post(
        "/api/v1/leads/{lead:str}/{act:str}",
        status_code=200,
        summary="Do something to a lead",
        tags=["leads"],
    )
    async def do(request: Http, lead: FromPath[str], act: FromPath[str]) -> dict[str, Any]:
        """``act``: claim, release, touch, outcome, stage, note, transfer, assign, approve, review, recycle; or reveal, whose answer is the
        contact's fields. Answers when it is durable and done. With an ``Idempotency-Key`` it is done once however
        often it is sent, and the same key with another body is refused (422). 409 says why not, and in ``holder`` who
        has the lead."""
        reader = await reader_of(request)
        if act not in ACTS and act != "reveal":
            raise problem(404, "There is no such thing to do to a lead.")
        wish = await door.wish(request, Wish)
        key = request.headers.get("idempotency-key") or None
        if act == "reveal":
            if not wish.purpose:
                raise problem(422, "A number is shown for a purpose: say which.")
            return dict(await answered(desk.reveal(reader, lead, wish.purpose, key=key)))
        return await answered(desk.act(reader, lead, act, wish, key=key))

    async def answered(doing: Awaitable[Answer]) -> Answer:
        """Return what is done, or say why it is not."""
        try:
            # Shielded: who hangs up does not take back what is on its way into the journal.
            return await asyncio.shield(asyncio.ensure_future(doing))
        except NotThere:
            raise door.refusal("not there", 404, "There is no such lead.") from None
        except NotAllowed as error:
            raise door.forbidden(error) from error
        except NotNow as error:
            refusal = error.refusal
            named = msgspec.structs.replace(
                refusal,
                holder=None if refusal.holder is None else desk.name(refusal.holder),
                seller=None if refusal.seller is None else desk.name(refusal.seller),
            )
            status = 422 if refusal.code in _INCOMPLETE else 409
            raise door.refusal(
                "conflict",
                status,
                named.words("en"),
                code=refusal.code,
                detail_zh=named.words("zh-CN"),
                holder=refusal.holder,
                holder_name=named.holder,
                until=refusal.until,
                missing=list(refusal.missing),
            ) from error
        except KeyReused:
            raise door.key_reused() from None
        except DatabaseAway:
            raise door.refusal(
                "database away",
                503,
                "The database of leads does not answer now.",
                {"retry-after": str(RETRY_AFTER_S)},
            ) from None
        except NotApplied:
            raise door.not_applied() from None

    @post("/api/v1/exports/contacts", status_code=200, summary="Whole numbers go into a file", tags=["leads"])
    async def exported(request: Http) -> dict[str, Any]:
        """For ``frontrow export --contacts``, which asks before it reads the first number. Administrators only."""
        grant = await door.grant(request)
        if not grant.allows(Right.EXPORT, ""):
            raise door.forbidden(NotAllowed("Only administrators take whole numbers out."))
        wish = await door.wish(request, ExportWish)
        await answered(desk.exported(wish))
        return {"leads": len(wish.leads)}

    @get("/api/v1/trade", summary="Outcomes, reasons and stages of the trade", tags=["leads"])
    async def trade(request: Http) -> dict[str, Any]:
        """What a page needs to offer outcomes and to name stages, in Chinese and English."""
        await reader_of(request)
        pack = desk.pack
        return {
            "name": pack.pack.name,
            "zh": pack.pack.zh,
            "en": pack.pack.en,
            "outcomes": [
                {
                    **{name: getattr(each, name) for name in ("code", "zh", "en", "tone", "closes", "stage")},
                    "needs_reason": each.needs_reason,
                    "teaches": each.training != "none",
                }
                for each in pack.outcomes
            ],
            "loss_reasons": [{"code": each.code, "zh": each.zh, "en": each.en} for each in pack.loss_reasons],
            "invalid_reasons": [
                {"code": each.code, "zh": each.zh, "en": each.en} for each in pack.invalid_reasons
            ],
            "stages": [{"code": each.code, "zh": each.zh, "en": each.en} for each in pack.stages],
        }

    @get("/api/v1/colleagues", summary="To whom who asks can give leads", tags=["leads"])
    async def colleagues(request: Http) -> dict[str, Any]:
        """Everybody of the teams of who asks, with whether they are there now and how many open leads they have."""
        return {"colleagues": desk.colleagues(await reader_of(request))}

    @websocket("/ws/sales")
    async def sales_socket(socket: WebSocket[Any, Any, Any]) -> None:
        grant = await access.grant(token_of(socket.headers, socket.query_params), clock.now())
        await socket.accept()  # first, so that a browser sees the close code
        try:
            reader = None if grant is None else desk.reader(grant)
        except NotAllowed as error:
            refused("sales", "forbidden")
            await socket.close(code=FORBIDDEN, reason=error.code)
            return
        if reader is None:
            refused("sales", "unauthorized")
            await socket.close(code=UNAUTHORIZED)
            return
        await _serve(desk, reader, socket)

    return [inbox, lead, do, exported, trade, colleagues, sales_socket]


# Refusals of what was left out of a request, not of the lead's state.
_INCOMPLETE = frozenset({
    "outcome_missing", "reason_missing", "unknown_outcome", "unknown_reason", "unknown_stage", "seller_missing",
    "by_missing", "malformed",
})  # fmt: skip


async def _serve(desk: Desk, reader: Reader, socket: WebSocket[Any, Any, Any]) -> None:
    subscription = await desk.subscribe(reader)

    async def read() -> None:
        while True:  # a page sends nothing; reading notices that it has gone
            await socket.receive()

    async def send() -> None:
        async for message in subscription.messages():
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await socket.send_data(_encoder.encode(message).decode(), mode="text")

    tasks = asyncio.ensure_future(read()), asyncio.ensure_future(send())
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        desk.unsubscribe(subscription)
        for task in tasks:
            task.cancel()
        reading, sending = await asyncio.gather(*tasks, return_exceptions=True)
    if isinstance(reading, WebSocketDisconnect):
        return
    code, reason = 1001, "the daemon stops"
    if isinstance(sending, NotAllowed):
        code, reason = FORBIDDEN, sending.code
    elif isinstance(sending, TimeoutError):
        code, reason = TOO_SLOW, "too slow; connect again for a snapshot"
    elif isinstance(sending, DatabaseAway):
        code, reason = TRY_AGAIN, "the database of leads does not answer now"
    elif isinstance(sending, Exception):
        log.error("sales_page_failed", error=type(sending).__name__)
        code, reason = 1011, "an error of ours"
    with contextlib.suppress(Exception):
        await socket.close(code=code, reason=reason)


def _cursor(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    at, _, number = text.partition(".")
    if not (at.isascii() and at.isdigit() and number.isascii() and number.isdigit() and len(text) < 40):
        raise problem(400, "The cursor is not one that this API gave.")
    place = int(at), int(number)
    if place > (LAST, FAR) or place[1] > FAR:
        raise problem(400, "The cursor is not one that this API gave.")
    return place


def _next(card: dict[str, Any]) -> str:
    at, number = place_of(due_at=card["due_at"], closed_at=card["closed_at"], number=card["number"])
    return f"{at}.{number}"
